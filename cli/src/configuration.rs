//! A configuration as it is written, and as the filter gets it.

use std::rc::Rc;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::{
    budget::Budget,
    json,
    node::{Located, Node, SyntaxError, Value},
    source::Source,
};

/// A configuration, by what it is in the file.
pub(crate) enum Configuration<'d> {
    /// A map of the file itself.
    Map(&'d Node),
    /// A text in the file.
    Text(&'d Node),
    /// A text in base64, as protobuf's JSON has bytes.
    Bytes(&'d Node),
    /// There is none; what names the filter.
    Missing(&'d Node),
}

/// A configuration to be asked about: the bytes, and where in the file each value stands.
pub(crate) struct Readable {
    pub(crate) json: String,
    tree: Result<Rc<Node>, SyntaxError>,
    /// Of each character of the text, where it stands in the file; `None`: the places are the file's already.
    places: Option<Vec<usize>>,
    at: usize,
}

/// Why there is nothing to be asked about.
pub(crate) struct Unreadable {
    pub(crate) reason: &'static str,
    pub(crate) cure: &'static str,
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
            Self::Map(node) | Self::Text(node) | Self::Bytes(node) | Self::Missing(node) => node,
        }
    }

    /// What the filter gets of it.
    pub(crate) fn read(&self, source: &Source, budget: &mut Budget) -> Result<Readable, Unreadable> {
        const TOO_LARGE: Unreadable =
            Unreadable { reason: "the configuration is too large", cure: "write less, or without aliases" };
        match self {
            Self::Map(node) => {
                let written = node.to_json();
                // What was written in vain has cost as much.
                let is_within = budget.has_text(written.as_ref().map_or_else(|bytes| *bytes, String::len));
                let json = written.ok().filter(|_| is_within).ok_or(TOO_LARGE)?;
                Ok(Readable { json, tree: Ok(Rc::new(copy(node))), places: None, at: node.at })
            }
            Self::Text(node) => {
                let Value::Text { text, style } = &node.value else { return Err(NO_TEXT) };
                if !budget.has_text(text.len()) {
                    return Err(TOO_LARGE);
                }
                let places = source.align(node.at, *style, text);
                let tree = json::parse(text).map(Rc::new);
                Ok(Readable { json: text.clone(), tree, places: Some(places), at: node.at })
            }
            Self::Bytes(node) => {
                let json = node.text().and_then(decoded).ok_or(NO_TEXT)?;
                if !budget.has_text(json.len()) {
                    return Err(TOO_LARGE);
                }
                let tree = json::parse(&json).map(Rc::new);
                // No character of it stands in the file: all places are that of the value.
                Ok(Readable { json, tree, places: Some(Vec::new()), at: node.at })
            }
            Self::Missing(_) => Err(Unreadable {
                reason: "this filter gets no configuration, so it answers 503 to everything",
                cure: "write `authorization_servers` and `resources` there; `mcp-oauth init` shows how",
            }),
        }
    }
}

const NO_TEXT: Unreadable = Unreadable {
    reason: "this is no text in base64",
    cure: "write the JSON as `value` of a type.googleapis.com/google.protobuf.StringValue",
};

/// The text that is in base64 of either alphabet, padded or not: protobuf's JSON takes all of them.
pub(crate) fn decoded(text: &str) -> Option<String> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const ENGINE: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
    // Go's reader, which is Kubernetes', passes over the ends of lines.
    let is_written = |c: &char| !matches!(c, '\r' | '\n');
    let standard = |c| match c {
        '-' => '+',
        '_' => '/',
        c => c,
    };
    let bytes = ENGINE.decode(text.chars().filter(is_written).map(standard).collect::<String>()).ok()?;
    String::from_utf8(bytes).ok()
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
