//! Finds plugin configurations in whatever holds them.

use std::{borrow::Cow, collections::HashSet};

use crate::{
    configuration::{Configuration, decoded},
    json,
    node::{Node, SyntaxError, Value},
    recognise::{Recogniser, is_telling},
    source::Source,
    yaml::{self, Document},
};

/// What a configuration stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// The file is the configuration.
    Itself,
    /// Envoy's own configuration, or a part of it.
    Envoy,
    Istio,
    EnvoyGateway,
    Higress,
}

/// A plugin configuration and what is around it.
pub(crate) struct Plugin<'d> {
    pub(crate) holder: Holder,
    /// Envoy's `PluginConfig`, the `spec` of a manifest, or what in it is about this plugin.
    pub(crate) around: &'d Node,
    /// The document that it is in.
    pub(crate) document: &'d Node,
    pub(crate) configuration: Configuration<'d>,
    /// What Envoy's filter is configured with, of which `around` is a part.
    pub(crate) filter: Option<&'d Node>,
}

/// The documents of a file.
pub(crate) struct Documents {
    pub(crate) all: Vec<Document>,
    /// Why the filter would not read it, if it is the configuration itself and begins as JSON does.
    pub(crate) no_json: Option<SyntaxError>,
}

/// Any number of documents in YAML, one in JSON, and of manifests in JSON any number, as `kubectl` takes them.
pub(crate) fn documents(source: &Source) -> Result<Documents, SyntaxError> {
    let is_named_json = source.name.ends_with(".json");
    let is_json = is_named_json || source.text.trim_start().starts_with(['{', '[']);
    if !is_json {
        return Ok(Documents { all: yaml::parse(&source.text)?, no_json: None });
    }
    let all = |nodes: Vec<Node>| nodes.into_iter().map(|node| Document { node, disputed: None }).collect();
    let error = match json::parse(&source.text) {
        Ok(node) => {
            let mark = || SyntaxError { at: 0, reason: "no JSON: it begins with a byte order mark".to_owned() };
            return Ok(Documents { all: all(vec![node]), no_json: source.is_marked.then(mark) });
        }
        Err(error) => error,
    };
    let manifests = json::parse_all(&source.text).ok();
    if let Some(nodes) = manifests.filter(|nodes| nodes.iter().all(|node| node.text_of(&["kind"]).is_some())) {
        return Ok(Documents { all: all(nodes), no_json: None });
    }
    if is_named_json {
        return Err(error);
    }
    // YAML may begin like that too.
    match yaml::parse(&source.text) {
        Ok(all) if all.iter().all(|document| !document.node.members().is_empty()) => {
            let reason = format!("no JSON, only YAML, which the filter does not read: {}", error.reason);
            Ok(Documents { all, no_json: Some(SyntaxError { reason, ..error }) })
        }
        _ => Err(error),
    }
}

/// A document, or what a list of manifests has in it.
pub(crate) struct Manifest<'d> {
    pub(crate) node: &'d Node,
    pub(crate) kind: Option<&'d str>,
    group: &'d str,
    /// Whether it is the whole document.
    is_whole: bool,
}

/// The manifests of a document: itself, or the items of a `List`, of a list of one kind, or of an array. Each once.
pub(crate) fn manifests(document: &Node) -> Vec<Manifest<'_>> {
    fn unfold<'d>(
        node: &'d Node,
        of: (Option<&'d str>, &'d str),
        seen: &mut HashSet<*const Node>,
        found: &mut Vec<Manifest<'d>>,
    ) {
        if !seen.insert(node) {
            return;
        }
        let kind = node.text_of(&["kind"]).or(of.0);
        let version = node.text_of(&["apiVersion"]).unwrap_or(of.1);
        let list = kind.and_then(|kind| Some((kind.strip_suffix("List")?, node.get(&["items"])?)));
        match list {
            Some((of, items)) => {
                let of = Some(of).filter(|kind| !kind.is_empty());
                items.items().iter().for_each(|item| unfold(item, (of, version), seen, found));
            }
            None if !node.items().is_empty() => {
                node.items().iter().for_each(|item| unfold(item, (None, ""), seen, found));
            }
            None => {
                let group = version.split('/').next().unwrap_or_default();
                found.push(Manifest { node, kind, group, is_whole: seen.len() == 1 });
            }
        }
    }
    let mut found = Vec::new();
    unfold(document, (None, ""), &mut HashSet::new(), &mut found);
    found
}

/// All plugin configurations of a document that are this filter's, as far as can be told.
pub(crate) fn find(document: &Node) -> Vec<Plugin<'_>> {
    let mut finder = Finder { recogniser: Recogniser::default(), seen: HashSet::new(), found: Vec::new() };
    manifests(document).iter().for_each(|manifest| finder.look(manifest));
    finder.found
}

struct Finder<'d> {
    recogniser: Recogniser<'d>,
    seen: HashSet<(*const Node, Option<*const Node>)>,
    found: Vec<Plugin<'d>>,
}

impl<'d> Finder<'d> {
    fn look(&mut self, manifest: &Manifest<'d>) {
        let Manifest { node: document, kind, group, is_whole } = *manifest;
        let spec = document.get(&["spec"]).map(|spec| &**spec);
        let list = |node: &'d Node, name| node.get(&[name]).map(|list| list.items()).unwrap_or_default();
        match (kind, spec) {
            (Some("WasmPlugin"), Some(spec)) if group.contains("higress") => {
                let rules = list(spec, "matchRules").iter().filter_map(|rule| rule.get(&["config"]));
                let given: Vec<_> = spec.get(&["defaultConfig"]).into_iter().chain(rules).collect();
                let given: Vec<_> = given.into_iter().chain(spec.get(&["pluginConfig"])).collect();
                if given.is_empty() {
                    self.add(Holder::Higress, document, spec, None);
                }
                given.into_iter().for_each(|node| self.add(Holder::Higress, document, spec, Some(node)));
            }
            (Some("WasmPlugin"), Some(spec)) => {
                self.add(Holder::Istio, document, spec, spec.get(&["pluginConfig"]).map(|node| &**node));
            }
            (Some("TrafficExtension"), Some(spec)) => {
                if let Some(wasm) = spec.get(&["wasm"]) {
                    self.add(Holder::Istio, document, wasm, wasm.get(&["pluginConfig"]).map(|node| &**node));
                }
            }
            (Some("EnvoyExtensionPolicy"), Some(spec)) => {
                for wasm in list(spec, "wasm") {
                    self.add(Holder::EnvoyGateway, document, wasm, wasm.get(&["config"]).map(|node| &**node));
                }
            }
            (None, _) if is_whole && is_telling(document) => {
                let configuration = Configuration::Map(document);
                let holder = Holder::Itself;
                self.found.push(Plugin { holder, around: document, document, configuration, filter: None });
            }
            _ => self.look_for_filters(document),
        }
    }

    fn add(&mut self, holder: Holder, document: &'d Node, around: &'d Node, given: Option<&'d Node>) {
        if self.seen.insert((around, given.map(std::ptr::from_ref)))
            && let Some(configuration) = self.recogniser.configuration(around, given, false)
        {
            self.found.push(Plugin { holder, around, document, configuration, filter: None });
        }
    }

    /// Envoy's filters, wherever they are.
    fn look_for_filters(&mut self, document: &'d Node) {
        document.each(&mut |node| {
            let Some(around) = envoy_plugin(node).filter(|_| self.seen.insert((node, None))) else { return };
            let any = around.get(&["configuration"]).map(|any| &**any);
            let typed = any.and_then(|any| any.text_of(&["@type"]));
            let is = |kind| typed.is_some_and(|typed| typed.ends_with(kind));
            let (is_text, is_bytes) = (is("google.protobuf.StringValue"), is("google.protobuf.BytesValue"));
            let value = any.and_then(|any| any.get(&["value"])).map(|value| &**value);
            let given = value.or(any.filter(|_| !is_text && !is_bytes));
            if let Some(configuration) = self.recogniser.configuration(around, given, is_bytes) {
                let filter = Some(node);
                self.found.push(Plugin { holder: Holder::Envoy, around, document, configuration, filter });
            }
        });
    }
}

/// Envoy's `PluginConfig`, if this is a plugin of Wasm: a filter, or what sees no requests.
pub(crate) fn envoy_plugin(node: &Node) -> Option<&Node> {
    let (kind, node) = typed(node)?;
    kind.ends_with(".wasm.v3.Wasm").then(|| node.get(&["config"]).map(|node| &**node))?
}

/// What a message is, and its fields.
pub(crate) fn typed(node: &Node) -> Option<(&str, &Node)> {
    let kind = node.text_of(&["@type"])?;
    if kind.ends_with("TypedStruct") {
        return Some((node.text_of(&["type_url", "typeUrl"])?, node.get(&["value"])?));
    }
    Some((kind, node))
}

/// A text that is a file of its own.
pub(crate) struct Inner<'d> {
    pub(crate) name: &'d str,
    pub(crate) node: &'d Node,
    /// As it is in the file, or what was base64 there.
    pub(crate) text: Cow<'d, str>,
}

/// The files in a `ConfigMap` and in a `Secret`. Each once, whatever it is called.
pub(crate) fn inner_files(document: &Node) -> Vec<Inner<'_>> {
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    for manifest in manifests(document) {
        let (written, encoded) = match manifest.kind {
            Some("ConfigMap") => ("data", "binaryData"),
            Some("Secret") => ("stringData", "data"),
            _ => continue,
        };
        for (list, is_encoded) in [(written, false), (encoded, true)] {
            let members = manifest.node.get(&[list]).map(|list| list.members()).unwrap_or_default();
            for member in members.iter().filter(|member| seen.insert(&raw const *member.node)) {
                let Value::Text { text, .. } = &member.node.value else { continue };
                let text = if is_encoded { decoded(text).map(Cow::Owned) } else { Some(Cow::Borrowed(&**text)) };
                found.extend(text.map(|text| Inner { name: &member.name, node: &member.node, text }));
            }
        }
    }
    found
}
