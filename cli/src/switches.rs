//! What keeps requests from one of Envoy's filters, in the same file: where it stands, or by its name from elsewhere.

use std::collections::{HashMap, HashSet};

use crate::{
    advice::{switched_off, written},
    check::{Finding, Severity},
    manifests::{envoy_plugin, typed},
    node::Node,
};

/// What a file says of filters.
#[derive(Default)]
pub(crate) struct Switches<'d> {
    /// What a value is the configuration of: an entry of `http_filters`, or what wraps it there.
    above: HashMap<*const Node, Vec<&'d Node>>,
    /// Entries that stand behind a router.
    unreached: HashSet<*const Node>,
    by_name: HashMap<&'d str, Vec<Said<'d>>>,
    /// Lists and maps that were looked at: aliases share them.
    seen: HashSet<*const Node>,
    fields: HashMap<(*const Node, &'static str), Option<&'d Node>>,
    skips: HashMap<*const Node, Option<&'d Node>>,
    told: HashSet<*const Node>,
    told_names: HashSet<&'d str>,
}

/// What is said of a filter of a name.
#[derive(Clone, Copy)]
enum Said<'d> {
    /// What is merged into its entry.
    Merged(&'d Node),
    /// For some routes.
    Route(&'d Node),
    /// The operation that takes it out.
    Removed(&'d Node),
}

/// What there is to say of one filter.
#[derive(Default)]
pub(crate) struct Told<'d> {
    pub(crate) findings: Vec<Finding>,
    /// Other settings (`PluginConfig`) that count for it.
    pub(crate) arounds: Vec<&'d Node>,
}

impl<'d> Switches<'d> {
    pub(crate) fn of(documents: impl Iterator<Item = &'d Node>) -> Self {
        let mut switches = Self::default();
        documents.for_each(|document| document.each(&mut |node| switches.note(node)));
        switches
    }

    fn note(&mut self, node: &'d Node) {
        for member in node.members() {
            match member.name.as_str() {
                "typed_config" | "typedConfig" | "config_discovery" | "configDiscovery" | "default_config"
                | "defaultConfig" | "extension_config" | "extensionConfig" => {
                    self.above.entry(&raw const *member.node).or_default().push(node);
                }
                "typed_per_filter_config" | "typedPerFilterConfig" if self.seen.insert(&raw const *member.node) => {
                    let routes = member.node.members().iter();
                    routes.for_each(|filter| self.say(&filter.name, Said::Route(&filter.node)));
                }
                "http_filters" | "httpFilters" if self.seen.insert(&raw const *member.node) => self.order(&member.node),
                "configPatches" if self.seen.insert(&raw const *member.node) => {
                    member.node.items().iter().for_each(|patch| self.patch(patch));
                }
                _ => {}
            }
        }
    }

    fn say(&mut self, name: &'d str, said: Said<'d>) {
        self.by_name.entry(name).or_default().push(said);
    }

    fn field(&mut self, node: &'d Node, name: &'static str) -> Option<&'d Node> {
        *self.fields.entry((node, name)).or_insert_with(|| node.field(name))
    }

    fn find(&mut self, node: &'d Node, path: &[&'static str]) -> Option<&'d Node> {
        path.iter().try_fold(node, |node, name| self.field(node, name))
    }

    fn order(&mut self, filters: &'d Node) {
        let mut has_router = false;
        for filter in filters.items() {
            if has_router {
                self.unreached.insert(&raw const **filter);
            }
            let kind = self.find(filter, &["typed_config", "@type"]).and_then(Node::text);
            has_router |= kind.is_some_and(|kind| kind.ends_with(".router.v3.Router"));
        }
    }

    /// One of an `EnvoyFilter`.
    fn patch(&mut self, patch: &'d Node) {
        const NAME: [&str; 6] = ["match", "listener", "filter_chain", "filter", "sub_filter", "name"];
        let operation = self.find(patch, &["patch", "operation"]);
        let value = self.find(patch, &["patch", "value"]);
        let matched = self.find(patch, &NAME).and_then(Node::text);
        let own = value.and_then(|value| self.field(value, "name")).and_then(Node::text);
        let said = match (operation, operation.and_then(Node::text), value) {
            (Some(operation), Some("REMOVE"), _) => Said::Removed(operation),
            (_, Some("MERGE"), Some(value)) => Said::Merged(value),
            _ => return,
        };
        matched.into_iter().chain(own).for_each(|name| self.say(name, said));
    }

    /// What there is to say of the filter that is configured with this; each thing once.
    pub(crate) fn tell(&mut self, filter: &'d Node) -> Told<'d> {
        let mut told = Told::default();
        let (mut names, mut seen) = (Vec::new(), HashSet::new());
        let mut left: Vec<&'d Node> = self.above.get(&std::ptr::from_ref(filter)).cloned().unwrap_or_default();
        while let Some(entry) = left.pop() {
            if !seen.insert(std::ptr::from_ref(entry)) {
                continue;
            }
            left.extend(self.above.get(&std::ptr::from_ref(entry)).into_iter().flatten());
            names.extend(self.field(entry, "name").and_then(Node::text));
            self.stands(entry, &mut told);
        }
        for name in names {
            if self.told_names.insert(name) {
                let said = self.by_name.remove(name).unwrap_or_default();
                said.into_iter().for_each(|said| self.hear(said, &mut told));
            }
        }
        told
    }

    /// What an entry that leads to the filter says of it.
    fn stands(&mut self, entry: &'d Node, told: &mut Told<'d>) {
        self.disabled(entry, told);
        let optional = self.field(entry, "is_optional").filter(|optional| !optional.is_false());
        if let Some(node) = optional.filter(|node| self.told.insert(std::ptr::from_ref(*node))) {
            let reason =
                "an Envoy that does not know Wasm would leave this filter out, and requests would pass unchecked";
            let finding = Finding::new(Severity::Warning, node.at, "is_optional", reason, "write false");
            told.findings.push(Finding { value: Some(written(node)), ..finding });
        }
        if self.unreached.contains(&std::ptr::from_ref(entry)) && self.told.insert(entry) {
            let reason = "this filter stands behind the router, which passes no request on to it";
            let cure = "put it above envoy.filters.http.router, which must be the last one";
            told.findings.push(Finding::new(Severity::Error, entry.at, "http_filters", reason, cure));
        }
        if let Some(skip) = self.field(entry, "extension_config").and_then(|_| self.skip(entry)) {
            self.skipped(skip, told);
        }
    }

    fn hear(&mut self, said: Said<'d>, told: &mut Told<'d>) {
        match said {
            Said::Merged(entry) => {
                self.disabled(entry, told);
                told.arounds.extend(self.field(entry, "typed_config").and_then(envoy_plugin));
            }
            Said::Route(config) => {
                self.disabled(config, told);
                if let Some(inner) = self.field(config, "value") {
                    self.disabled(inner, told);
                }
                if let Some(skip) = self.skip(config) {
                    self.skipped(skip, told);
                }
            }
            Said::Removed(operation) => {
                if self.told.insert(operation) {
                    let reason =
                        "this patch takes the filter out, and requests pass unchecked wherever it is applied later";
                    let cure = "delete the patch";
                    let finding = Finding::new(Severity::Warning, operation.at, "patch.operation", reason, cure);
                    told.findings.push(Finding { value: Some(written(operation)), ..finding });
                }
            }
        }
    }

    fn disabled(&mut self, node: &'d Node, told: &mut Told<'d>) {
        let switch = self.field(node, "disabled").filter(|switch| self.told.insert(std::ptr::from_ref(*switch)));
        told.findings.extend(switch.and_then(|switch| switched_off("disabled", switch)));
    }

    fn skipped(&mut self, skip: &'d Node, told: &mut Told<'d>) {
        if self.told.insert(skip) {
            let reason = "requests pass unchecked wherever this matcher skips the filter";
            let cure = "let it see all requests; what needs no token is for `unmatched`, `anonymous_methods` or a listener of its own";
            told.findings.push(Finding::new(Severity::Warning, skip.at, "matcher", reason, cure));
        }
    }

    /// The `SkipFilter` in a value.
    fn skip(&mut self, node: &'d Node) -> Option<&'d Node> {
        if let Some(known) = self.skips.get(&std::ptr::from_ref(node)) {
            return *known;
        }
        let is_skip = typed(node).is_some_and(|(kind, _)| kind.ends_with(".SkipFilter"));
        let found = is_skip.then_some(node);
        let found = found.or_else(|| node.items().iter().find_map(|item| self.skip(item)));
        let found = found.or_else(|| node.members().iter().find_map(|member| self.skip(&member.node)));
        self.skips.insert(node, found);
        found
    }
}
