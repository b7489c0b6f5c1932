//! A document as a tree whose every value knows where it stands.

use std::{collections::HashSet, rc::Rc};

use mcp_oauth::shown::{Shown, ShownUri};

/// Deeper documents are refused: nobody writes them by hand, and recursion has an end.
pub(crate) const MAX_DEPTH: usize = 64;
/// More values than any configuration has. Aliases count each time, which is what makes "billion laughs" end.
pub(crate) const MAX_NODES: usize = 500_000;
/// Of the JSON that a tree is written as: one alias may stand for a long text, and is short itself.
const MAX_JSON_BYTES: usize = 4 * 1024 * 1024;

/// A value and its place, in characters from the beginning of the text.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) at: usize,
    pub(crate) value: Value,
}

/// What a value is.
#[derive(Debug)]
pub(crate) enum Value {
    Null,
    Truth(bool),
    Number(String),
    Text { text: String, style: Style },
    List(Vec<Rc<Node>>),
    Map(Vec<Member>),
}

/// How a text is written, which says how to find a character of it in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Single,
    Double,
    Block,
    /// Without quotes, and with a tag that makes it a text.
    Tagged,
}

/// A name and its value.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) at: usize,
    pub(crate) node: Rc<Node>,
}

/// Why a text is no document.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    pub(crate) at: usize,
    pub(crate) reason: String,
}

impl Node {
    /// The member of one of these names: protobuf has two spellings for each in JSON.
    pub(crate) fn get(&self, names: &[&str]) -> Option<&Rc<Node>> {
        self.members().iter().find(|member| names.contains(&member.name.as_str())).map(|member| &member.node)
    }

    /// A field of a protobuf message in either of its spellings, of which this is the one with `_`. What is null is not set.
    pub(crate) fn field(&self, name: &str) -> Option<&Node> {
        // The same, of letters only, with capitals where a word begins.
        let is_other = |written: &str| {
            let mut is_start = false;
            let camel = name.chars().filter_map(|c| match (std::mem::replace(&mut is_start, c == '_'), c) {
                (_, '_') => None,
                (true, c) => Some(c.to_ascii_uppercase()),
                (false, c) => Some(c),
            });
            camel.eq(written.chars())
        };
        let named = self.members().iter().find(|member| member.name == name || is_other(&member.name));
        named.map(|member| &*member.node).filter(|node| !matches!(node.value, Value::Null))
    }

    /// The value at the end of a path of names.
    pub(crate) fn find(&self, path: &[&[&str]]) -> Option<&Node> {
        path.iter().try_fold(self, |node, names| node.get(names).map(|node| &**node))
    }

    pub(crate) fn members(&self) -> &[Member] {
        match &self.value {
            Value::Map(members) => members,
            _ => &[],
        }
    }

    pub(crate) fn items(&self) -> &[Rc<Node>] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text { text, .. } => Some(text),
            _ => None,
        }
    }

    pub(crate) fn text_of(&self, names: &[&str]) -> Option<&str> {
        self.get(names)?.text()
    }

    pub(crate) const fn is_true(&self) -> bool {
        matches!(self.value, Value::Truth(true))
    }

    pub(crate) const fn is_false(&self) -> bool {
        matches!(self.value, Value::Truth(false))
    }

    /// The same as JSON, which is what the filter is given; if it is too much, how much was written of it.
    pub(crate) fn to_json(&self) -> Result<String, usize> {
        let (mut json, mut left) = (String::new(), MAX_NODES);
        if self.write(&mut json, &mut left) { Ok(json) } else { Err(json.len()) }
    }

    fn write(&self, json: &mut String, left: &mut usize) -> bool {
        let Some(less) = left.checked_sub(1).filter(|_| json.len() <= MAX_JSON_BYTES) else { return false };
        *left = less;
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        match &self.value {
            Value::Null => json.push_str("null"),
            Value::Truth(truth) => json.push_str(if *truth { "true" } else { "false" }),
            Value::Number(number) => json.push_str(number),
            Value::Text { text, .. } => json.push_str(&quoted(text)),
            Value::List(items) => {
                json.push('[');
                for (index, item) in items.iter().enumerate() {
                    json.push_str(if index > 0 { "," } else { "" });
                    if !item.write(json, left) {
                        return false;
                    }
                }
                json.push(']');
            }
            Value::Map(members) => {
                json.push('{');
                for (index, member) in members.iter().enumerate() {
                    json.push_str(if index > 0 { "," } else { "" });
                    json.push_str(&quoted(&member.name));
                    json.push(':');
                    if !member.node.write(json, left) {
                        return false;
                    }
                }
                json.push('}');
            }
        }
        true
    }

    /// Calls `visit` for every value, this one first; for those that aliases share, once.
    pub(crate) fn each<'n>(&'n self, visit: &mut impl FnMut(&'n Node)) {
        fn walk<'n>(node: &'n Node, seen: &mut HashSet<*const Node>, visit: &mut impl FnMut(&'n Node)) {
            if !seen.insert(node) {
                return;
            }
            visit(node);
            node.items().iter().for_each(|item| walk(item, seen, visit));
            node.members().iter().for_each(|member| walk(&member.node, seen, visit));
        }
        walk(self, &mut HashSet::new(), visit);
    }

    /// The deepest value on the way to `path`, a path as findings have it (`resources[0].resource`); whether it is the whole
    /// way, and where its name stands.
    pub(crate) fn locate(&self, path: &str) -> Located<'_> {
        let mut found = Located { node: self, name_at: self.at, whole: path.is_empty() };
        let mut rest = path;
        while !rest.is_empty() {
            let next = match rest.strip_prefix('[') {
                Some(indexed) => indexed.split_once(']').and_then(|(index, rest)| {
                    let node = found.node.items().get(index.parse::<usize>().ok()?)?;
                    Some((node, node.at, rest))
                }),
                None => {
                    let named = rest.strip_prefix('.').unwrap_or(rest);
                    // Names may have dots and brackets in them: the longest one that fits.
                    let fits = found.node.members().iter().filter_map(|member| {
                        let rest = named.strip_prefix(shown(&member.name).as_str())?;
                        (rest.is_empty() || rest.starts_with(['.', '['])).then_some((&member.node, member.at, rest))
                    });
                    fits.min_by_key(|(_, _, rest)| rest.len())
                }
            };
            let Some((node, name_at, left)) = next else { return Located { whole: false, ..found } };
            found = Located { node, name_at, whole: left.is_empty() };
            rest = left;
        }
        found
    }
}

/// Where a path of a finding leads.
#[derive(Clone, Copy)]
pub(crate) struct Located<'n> {
    pub(crate) node: &'n Node,
    pub(crate) name_at: usize,
    pub(crate) whole: bool,
}

/// A URL as the core shows it in findings: its user information and its query may be secrets.
pub(crate) fn shown_uri(text: &str) -> String {
    ShownUri(text).to_string()
}

/// A text as the core shows it: one line of visible ASCII.
pub(crate) fn shown(text: &str) -> String {
    Shown(text).to_string()
}
