//! Finds plugin configurations in whatever holds them.

use std::rc::Rc;

use crate::{
    json,
    node::{Located, Node, SyntaxError, Value},
    source::Source,
    yaml,
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
}

/// A configuration as the filter gets it.
pub(crate) enum Configuration<'d> {
    /// A map of the file itself.
    Map(&'d Node),
    /// A text in the file.
    Text(&'d Node),
}

/// A configuration to be asked about: the bytes, and where in the file each value stands.
pub(crate) struct Readable {
    pub(crate) json: String,
    tree: Result<Rc<Node>, SyntaxError>,
    /// Of each character of the text, where it stands in the file; `None`: the places are the file's already.
    places: Option<Vec<usize>>,
    at: usize,
}

impl Readable {
    /// The place of a value, by the path of a finding: in the file, in characters. And the value.
    pub(crate) fn place(&self, path: &str, of_name: bool) -> (usize, Option<&Node>) {
        let Ok(tree) = &self.tree else { return (self.at, None) };
        let Located { node, name_at, whole } = tree.locate(path);
        (self.in_file(if of_name && whole { name_at } else { node.at }), whole.then_some(node))
    }

    pub(crate) fn in_file(&self, at: usize) -> usize {
        match &self.places {
            Some(places) => places.get(at).or(places.last()).copied().unwrap_or(self.at),
            None => at,
        }
    }

    pub(crate) fn tree(&self) -> Result<&Node, &SyntaxError> {
        self.tree.as_deref()
    }
}

impl Configuration<'_> {
    pub(crate) fn node(&self) -> &Node {
        match self {
            Self::Map(node) | Self::Text(node) => node,
        }
    }

    /// What the filter gets of it.
    pub(crate) fn read(&self, source: &Source) -> Option<Readable> {
        match self {
            Self::Map(node) => {
                Some(Readable { json: node.to_json()?, tree: Ok(Rc::new(copy(node))), places: None, at: node.at })
            }
            Self::Text(node) => {
                let Value::Text { text, style } = &node.value else { return None };
                let places = source.align(node.at, *style, text);
                let tree = json::parse(text).map(Rc::new);
                Some(Readable { json: text.clone(), tree, places: Some(places), at: node.at })
            }
        }
    }
}

/// The same tree; what is below is shared.
fn copy(node: &Node) -> Node {
    let value = match &node.value {
        Value::Null => Value::Null,
        Value::Truth(truth) => Value::Truth(*truth),
        Value::Number(number) => Value::Number(number.clone()),
        Value::Text { text, style } => Value::Text { text: text.clone(), style: *style },
        Value::List(items) => Value::List(items.clone()),
        Value::Map(members) => {
            let copy = |member: &crate::node::Member| crate::node::Member {
                name: member.name.clone(),
                at: member.at,
                node: Rc::clone(&member.node),
            };
            Value::Map(members.iter().map(copy).collect())
        }
    };
    Node { at: node.at, value }
}

/// The documents of a file: one of JSON, any number of YAML.
pub(crate) fn documents(source: &Source) -> Result<Vec<Node>, SyntaxError> {
    let is_json = source.text.trim_start().starts_with(['{', '[']);
    if !is_json {
        return yaml::parse(&source.text);
    }
    json::parse(&source.text).map(|node| vec![node]).or_else(|error| {
        let is_named_json = source.name.ends_with(".json");
        // YAML may begin like that too.
        let documents = if is_named_json { None } else { yaml::parse(&source.text).ok() };
        documents.filter(|documents| documents.iter().all(|node| !node.members().is_empty())).ok_or(error)
    })
}

/// The names of settings that only this filter has.
const TELLING: [&str; 2] = ["authorization_servers", "resources"];

/// All plugin configurations of a document that are this filter's, as far as can be told.
pub(crate) fn find<'d>(document: &'d Node) -> Vec<Plugin<'d>> {
    if document.text_of(&["kind"]) == Some("List") {
        let items = document.get(&["items"]).map(|items| items.items()).unwrap_or_default();
        return items
            .iter()
            .filter(|item| item.text_of(&["kind"]) != Some("List"))
            .flat_map(|item| find(item))
            .collect();
    }
    let mut found = Vec::new();
    let group = document.text_of(&["apiVersion"]).unwrap_or_default().split('/').next().unwrap_or_default();
    let spec = document.get(&["spec"]);
    let mut add = |holder, around: &'d Node, node: Option<&'d Rc<Node>>| {
        if let Some(configuration) = node.and_then(|node| configuration(node).or_else(|| misspelt(node, around))) {
            found.push(Plugin { holder, around, document, configuration });
        }
    };
    match (document.text_of(&["kind"]), spec) {
        (Some("WasmPlugin"), Some(spec)) if group.contains("higress") => {
            add(Holder::Higress, spec, spec.get(&["defaultConfig"]));
            for rule in spec.get(&["matchRules"]).map(|rules| rules.items()).unwrap_or_default() {
                add(Holder::Higress, spec, rule.get(&["config"]));
            }
            add(Holder::Higress, spec, spec.get(&["pluginConfig"]));
        }
        (Some("WasmPlugin"), Some(spec)) => add(Holder::Istio, spec, spec.get(&["pluginConfig"])),
        (Some("TrafficExtension"), Some(spec)) => {
            if let Some(wasm) = spec.get(&["wasm"]) {
                add(Holder::Istio, wasm, wasm.get(&["pluginConfig"]));
            }
        }
        (Some("EnvoyExtensionPolicy"), Some(spec)) => {
            for wasm in spec.get(&["wasm"]).map(|wasm| wasm.items()).unwrap_or_default() {
                add(Holder::EnvoyGateway, wasm, wasm.get(&["config"]));
            }
        }
        (None, _) if document.members().iter().any(|member| TELLING.contains(&member.name.as_str())) => {
            let configuration = Configuration::Map(document);
            return vec![Plugin { holder: Holder::Itself, around: document, document, configuration }];
        }
        _ => {
            document.each(&mut |node| {
                if let Some(around) = envoy_plugin(node) {
                    let value = around.get(&["configuration"]);
                    let inner = value.and_then(|any| any.get(&["value"])).or(value);
                    let inner = inner.and_then(|node| configuration(node).or_else(|| misspelt(node, around)));
                    if let Some(configuration) = inner {
                        found.push(Plugin { holder: Holder::Envoy, around, document, configuration });
                    }
                }
            });
        }
    }
    found
}

/// Envoy's `PluginConfig`, if this is a Wasm filter or a plugin of a generic proxy.
fn envoy_plugin(node: &Node) -> Option<&Node> {
    let typed = node.text_of(&["@type"])?;
    let (typed, node) = match typed {
        typed if typed.ends_with("TypedStruct") => (node.text_of(&["type_url", "typeUrl"])?, &**node.get(&["value"])?),
        typed => (typed, node),
    };
    typed.ends_with(".wasm.v3.Wasm").then(|| node.get(&["config"]).map(|node| &**node))?
}

/// A configuration of this filter: a map with its settings, or a text that seems to be meant as one.
fn configuration(node: &Node) -> Option<Configuration<'_>> {
    match &node.value {
        Value::Map(members) if members.iter().any(|member| TELLING.contains(&member.name.as_str())) => {
            Some(Configuration::Map(node))
        }
        Value::Text { text, .. } if TELLING.iter().any(|name| text.contains(name)) => Some(Configuration::Text(node)),
        _ => None,
    }
}

/// What nothing in it tells to be for this filter, where what is around it names the filter: its settings are misspelt, or missing.
fn misspelt<'d>(node: &'d Node, around: &Node) -> Option<Configuration<'d>> {
    const NAMES: [&str; 3] = ["mcp-oauth-filter", "mcp_oauth_filter", "mcp_resource_server"];
    let mut is_named = false;
    around.each(&mut |node| is_named |= node.text().is_some_and(|text| NAMES.iter().any(|name| text.contains(name))));
    match &node.value {
        Value::Map(_) if is_named => Some(Configuration::Map(node)),
        Value::Text { .. } if is_named => Some(Configuration::Text(node)),
        _ => None,
    }
}

/// Texts that are files of their own: the `data` of a `ConfigMap`.
pub(crate) fn inner_files(document: &Node) -> Vec<(&str, &Node)> {
    let is_map = document.text_of(&["kind"]) == Some("ConfigMap");
    let data = document.get(&["data"]).filter(|_| is_map).map(|data| data.members()).unwrap_or_default();
    data.iter()
        .filter(|member| member.node.text().is_some())
        .map(|member| (member.name.as_str(), &*member.node))
        .collect()
}
