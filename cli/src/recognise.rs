//! What is this filter's, among all that a file holds. Whatever several values share is looked at once.

use std::collections::HashMap;

use crate::{
    configuration::{Configuration, decoded},
    node::{Member, Node, Value},
};

/// What was seen already, by the value that it is about.
#[derive(Default)]
pub(crate) struct Recogniser<'d> {
    names: HashMap<*const Node, Option<&'d Node>>,
    telling: HashMap<*const Node, bool>,
}

impl<'d> Recogniser<'d> {
    /// What a plugin is configured with, if that or its name tells it to be this filter.
    pub(crate) fn configuration(
        &mut self,
        around: &'d Node,
        given: Option<&'d Node>,
        is_bytes: bool,
    ) -> Option<Configuration<'d>> {
        let name = self.name(around);
        let Some(node) = given.filter(|node| !matches!(node.value, Value::Null)) else {
            return name.map(Configuration::Missing);
        };
        if name.is_none() && !self.is_telling(node, is_bytes) {
            return None;
        }
        Some(match &node.value {
            Value::Text { .. } if is_bytes => Configuration::Bytes(node),
            Value::Text { .. } => Configuration::Text(node),
            _ => Configuration::Map(node),
        })
    }

    /// The text that names this filter: an image, a file, a plugin. What a plugin is configured with, and where it stands, may
    /// name another one.
    fn name(&mut self, node: &'d Node) -> Option<&'d Node> {
        const OF_OTHERS: [&str; 12] = [
            "config",
            "configuration",
            "defaultConfig",
            "env",
            "environmentVariables",
            "environment_variables",
            "match",
            "matchRules",
            "pluginConfig",
            "selector",
            "targetRef",
            "targetRefs",
        ];
        const NAMES: [&str; 3] = ["mcp-oauth-filter", "mcp_oauth_filter", "mcp_resource_server"];
        if let Some(known) = self.names.get(&std::ptr::from_ref(node)) {
            return *known;
        }
        let found = match &node.value {
            Value::Text { text, .. } => NAMES.iter().any(|name| text.contains(name)).then_some(node),
            Value::List(items) => items.iter().find_map(|item| self.name(item)),
            Value::Map(members) => {
                let own = |member: &&Member| !OF_OTHERS.contains(&member.name.as_str());
                members.iter().filter(own).find_map(|member| self.name(&member.node))
            }
            _ => None,
        };
        self.names.insert(node, found);
        found
    }

    fn is_telling(&mut self, node: &Node, is_bytes: bool) -> bool {
        let is_telling = || match &node.value {
            Value::Text { text, .. } => {
                is_telling_text(text) || (is_bytes && decoded(text).is_some_and(|text| is_telling_text(&text)))
            }
            _ => is_telling(node),
        };
        *self.telling.entry(node).or_insert_with(is_telling)
    }
}

/// Whether a map has this filter's settings. Many others have `resources`, but not with a `resource` in one of them; but for
/// Envoy's own, whose type is always there.
pub(crate) fn is_telling(node: &Node) -> bool {
    let resources = || node.get(&["resources"]).map(|all| all.items()).unwrap_or_default();
    let is_ours = |item: &Node| item.get(&["resource"]).is_some() && item.get(&["@type"]).is_none();
    node.get(&["authorization_servers"]).is_some() || resources().iter().any(|item| is_ours(item))
}

/// The same of a text, which may be broken.
pub(crate) fn is_telling_text(text: &str) -> bool {
    text.contains("authorization_servers") || (text.contains("\"resources\"") && text.contains("\"resource\""))
}
