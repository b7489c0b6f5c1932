//! YAML with places: the parser's events made into trees. Aliases are shared, never copied.

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use crate::{
    dialects::{self, Covered},
    node::{MAX_DEPTH, MAX_NODES, Member, Node, Style, SyntaxError, Value, shown},
};

/// A document, and the first place in it that not all readers of YAML read in the same way.
pub(crate) struct Document {
    pub(crate) node: Node,
    pub(crate) disputed: Option<SyntaxError>,
}

/// Reads all documents of a file.
pub(crate) fn parse(text: &str) -> Result<Vec<Document>, SyntaxError> {
    dialects::characters(text)?;
    let mut documents = Vec::new();
    let mut disputed: Option<SyntaxError> = None;
    let mut covered = Covered::default();
    let mut open: Vec<Open> = Vec::new();
    // Each with its depth: a chain of aliases is deep without an event that is.
    let mut anchors: HashMap<usize, (Rc<Node>, usize)> = HashMap::new();
    let mut nodes = 0_usize;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| SyntaxError {
            at: error.marker().index(),
            reason: format!("no YAML: {}", shown(error.info())),
        })?;
        let at = span.start.index();
        let fail = |reason: &str| Err(SyntaxError { at, reason: reason.to_owned() });
        nodes = nodes.saturating_add(1);
        if open.len() > MAX_DEPTH || nodes > MAX_NODES {
            return fail("the document is too deep or has too many values");
        }
        let (node, depth, anchor) = match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd => continue,
            Event::DocumentStart(is_explicit) => {
                if !is_explicit && !documents.is_empty() {
                    disputed = dispute(at, "kubectl does not read a document that has no `---` above it");
                }
                continue;
            }
            Event::DocumentEnd => {
                anchors.clear();
                continue;
            }
            Event::Alias(id) => match anchors.get(&id) {
                Some((node, depth)) => (Rc::clone(node), *depth, 0),
                None => return fail("an alias of a value that it is part of"),
            },
            Event::Scalar(value, style, anchor, tag) => {
                covered.add(at, span.end.index());
                let is_text = tag.as_deref().is_some_and(is_text);
                disputed = disputed.or_else(|| tag.filter(|_| !is_text).and_then(|_| tagged(at)));
                (Rc::new(Node { at, value: scalar(&value, style, is_text) }), 0, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                disputed = disputed.or_else(|| tag.and_then(|_| tagged(at)));
                open.push(Open { at, anchor, depth: 0, children: Children::List(Vec::new()) });
                continue;
            }
            Event::MappingStart(anchor, tag) => {
                disputed = disputed.or_else(|| tag.and_then(|_| tagged(at)));
                open.push(Open { at, anchor, depth: 0, children: Children::Map(Vec::new(), None, HashSet::new()) });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { at: start, anchor, depth, children }) = open.pop() else {
                    return fail("an end without a beginning");
                };
                // The end of what is in brackets is a character, and of all else none.
                if span.end.index() > span.start.index() {
                    covered.add(start, span.end.index());
                }
                let value = match children {
                    Children::List(items) => Value::List(items),
                    Children::Map(members, ..) => Value::Map(members),
                };
                (Rc::new(Node { at: start, value }), depth, anchor)
            }
        };
        if open.len().saturating_add(depth) > MAX_DEPTH {
            return fail("the document is too deep or has too many values");
        }
        if anchor > 0 {
            anchors.insert(anchor, (Rc::clone(&node), depth));
        }
        match open.last_mut() {
            None => documents.push((node, disputed.take())),
            Some(parent) => {
                parent.depth = parent.depth.max(depth.saturating_add(1));
                if parent.merges(&node) {
                    let reason = "`<<` merges another mapping for some readers, and is a name for others: write its members here";
                    disputed = disputed.or_else(|| dispute(at, reason));
                }
                parent.add(node, at)?;
            }
        }
    }
    // The anchors may still share it.
    anchors.clear();
    if documents.iter().any(|(node, _)| node.get(&["kind"]).is_some()) {
        covered.lines(text)?;
    }
    let document = |(node, disputed)| Some(Document { node: Rc::into_inner(node)?, disputed });
    Ok(documents.into_iter().filter_map(document).collect())
}

fn dispute(at: usize, reason: &str) -> Option<SyntaxError> {
    Some(SyntaxError { at, reason: reason.to_owned() })
}

/// A tag may make a name of what looks like another (`!!binary`), a number of a text, and for Envoy nothing at all (`!ignore`).
fn tagged(at: usize) -> Option<SyntaxError> {
    dispute(at, "readers of YAML make different things of this tag: write the value as it is meant, without a tag")
}

/// `!!str` and `!`, which make a text.
fn is_text(tag: &Tag) -> bool {
    (tag.handle == "tag:yaml.org,2002:" && tag.suffix == "str") || (tag.handle.is_empty() && tag.suffix == "!")
}

struct Open {
    at: usize,
    anchor: usize,
    /// Of the deepest value in it so far.
    depth: usize,
    children: Children,
}

enum Children {
    List(Vec<Rc<Node>>),
    /// And the name whose value comes next, and all names.
    Map(Vec<Member>, Option<(String, usize)>, HashSet<String>),
}

impl Open {
    /// YAML 1.1 merges another mapping in here. kubectl does so, Envoy does not: what one of them reads, a reader of the
    /// other's would not see.
    fn merges(&self, node: &Node) -> bool {
        matches!(self.children, Children::Map(_, None, _))
            && matches!(&node.value, Value::Text { text, style: Style::Plain } if text == "<<")
    }

    fn add(&mut self, node: Rc<Node>, at: usize) -> Result<(), SyntaxError> {
        match &mut self.children {
            Children::List(items) => items.push(node),
            Children::Map(_, name @ None, names) => {
                let text = match &node.value {
                    Value::Text { text, .. } | Value::Number(text) => text.clone(),
                    Value::Truth(truth) => truth.to_string(),
                    Value::Null => String::new(),
                    _ => return Err(SyntaxError { at, reason: "a name that is no text".to_owned() }),
                };
                if !names.insert(text.clone()) {
                    return Err(SyntaxError { at, reason: format!("`{}` is here twice", shown(&text)) });
                }
                *name = Some((text, at));
            }
            Children::Map(members, name, _) => {
                if let Some((name, at)) = name.take() {
                    members.push(Member { name, at, node });
                }
            }
        }
        Ok(())
    }
}

/// YAML 1.2, core schema.
fn scalar(text: &str, style: ScalarStyle, is_text: bool) -> Value {
    let style = match style {
        ScalarStyle::Plain if is_text => Style::Tagged,
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::Single,
        ScalarStyle::DoubleQuoted => Style::Double,
        ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
    };
    if style == Style::Plain {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
            "true" | "True" | "TRUE" => return Value::Truth(true),
            "false" | "False" | "FALSE" => return Value::Truth(false),
            number if serde_json::from_str::<serde_json::Number>(number).is_ok() => {
                return Value::Number(number.to_owned());
            }
            _ => {}
        }
    }
    Value::Text { text: text.to_owned(), style }
}
