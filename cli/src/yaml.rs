//! YAML with places: the parser's events made into trees. Aliases are shared, never copied.

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::node::{MAX_DEPTH, MAX_NODES, Member, Node, Style, SyntaxError, Value, shown};

/// Reads all documents of a file.
pub(crate) fn parse(text: &str) -> Result<Vec<Node>, SyntaxError> {
    let mut documents = Vec::new();
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
            Event::DocumentStart(_) | Event::DocumentEnd => {
                anchors.clear();
                continue;
            }
            Event::Alias(id) => match anchors.get(&id) {
                Some((node, depth)) => (Rc::clone(node), *depth, 0),
                None => return fail("an alias of a value that it is part of"),
            },
            Event::Scalar(value, style, anchor, tag) => {
                let is_text =
                    tag.is_some_and(|tag| tag.suffix == "str" || (tag.handle.is_empty() && tag.suffix == "!"));
                (Rc::new(Node { at, value: scalar(&value, style, is_text) }), 0, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                open.push(Open { at, anchor, depth: 0, children: Children::List(Vec::new()) });
                continue;
            }
            Event::MappingStart(anchor, _) => {
                open.push(Open { at, anchor, depth: 0, children: Children::Map(Vec::new(), None, HashSet::new()) });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { at, anchor, depth, children }) = open.pop() else {
                    return fail("an end without a beginning");
                };
                let value = match children {
                    Children::List(items) => Value::List(items),
                    Children::Map(members, ..) => Value::Map(members),
                };
                (Rc::new(Node { at, value }), depth, anchor)
            }
        };
        if open.len().saturating_add(depth) > MAX_DEPTH {
            return fail("the document is too deep or has too many values");
        }
        if anchor > 0 {
            anchors.insert(anchor, (Rc::clone(&node), depth));
        }
        match open.last_mut() {
            None => documents.push(node),
            Some(parent) => {
                parent.depth = parent.depth.max(depth.saturating_add(1));
                parent.add(node, at)?;
            }
        }
    }
    // The anchors may still share it.
    anchors.clear();
    Ok(documents.into_iter().filter_map(Rc::into_inner).collect())
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
    fn add(&mut self, node: Rc<Node>, at: usize) -> Result<(), SyntaxError> {
        match &mut self.children {
            Children::List(items) => items.push(node),
            Children::Map(_, name @ None, names) => {
                // YAML 1.1 merges another mapping in here. kubectl does so, Envoy does not: what one of them reads, a
                // reader of the other's would not see.
                if matches!(&node.value, Value::Text { text, style: Style::Plain } if text == "<<") {
                    let reason = "`<<` merges another mapping for some readers, and is a name for others: write its members here";
                    return Err(SyntaxError { at, reason: reason.to_owned() });
                }
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

/// Whether Kubernetes' YAML (1.1) or Envoy's makes a truth value or a number of what is a text in YAML 1.2 and its JSON schema.
pub(crate) fn is_read_otherwise(text: &str) -> bool {
    const TRUTHS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];
    let number = text.strip_prefix(['+', '-']).unwrap_or(text).replace('_', "").to_ascii_lowercase();
    let has_base = ["0x", "0o", "0b"].iter().filter_map(|base| number.strip_prefix(base));
    let is_number = number.starts_with(|c: char| c.is_ascii_digit() || c == '.') && number.parse::<f64>().is_ok();
    TRUTHS.iter().any(|word| text.eq_ignore_ascii_case(word))
        || matches!(number.as_str(), ".inf" | ".nan")
        || has_base.filter(|digits| !digits.is_empty()).any(|digits| digits.bytes().all(|c| c.is_ascii_hexdigit()))
        || is_number
}
