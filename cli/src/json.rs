//! JSON with places. Whether it is good enough for the filter is not for this reader to say: the core reads the same text.

use std::{collections::HashSet, rc::Rc};

use crate::node::{MAX_DEPTH, MAX_NODES, Member, Node, Style, SyntaxError, Value};

/// Reads one JSON text.
pub(crate) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let mut reader = Reader { text: text.chars().collect(), at: 0, nodes: 0 };
    let node = reader.value(0)?;
    reader.skip();
    if reader.at < reader.text.len() { Err(reader.error("more text after the end of the document")) } else { Ok(node) }
}

/// Reads JSON texts one after another.
pub(crate) fn parse_all(text: &str) -> Result<Vec<Node>, SyntaxError> {
    let mut reader = Reader { text: text.chars().collect(), at: 0, nodes: 0 };
    let mut nodes = Vec::new();
    reader.skip();
    while reader.at < reader.text.len() {
        nodes.push(reader.value(0)?);
        reader.skip();
    }
    Ok(nodes)
}

struct Reader {
    text: Vec<char>,
    at: usize,
    nodes: usize,
}

impl Reader {
    fn error(&self, reason: impl Into<String>) -> SyntaxError {
        SyntaxError { at: self.at, reason: reason.into() }
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at = self.at.saturating_add(1);
        Some(next)
    }

    fn skip(&mut self) {
        while self.peek().is_some_and(|c| matches!(c, ' ' | '\t' | '\r' | '\n')) {
            self.at = self.at.saturating_add(1);
        }
    }

    fn expect(&mut self, wanted: char) -> Result<(), SyntaxError> {
        self.skip();
        if self.peek() == Some(wanted) {
            self.at = self.at.saturating_add(1);
            return Ok(());
        }
        Err(match self.peek() {
            Some(found) => {
                self.error(format!("`{}` where `{wanted}` is expected", crate::node::shown(&found.to_string())))
            }
            None => self.error(format!("the text ends where `{wanted}` is expected")),
        })
    }

    fn value(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        self.skip();
        self.nodes = self.nodes.saturating_add(1);
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err(self.error("the document is too deep or has too many values"));
        }
        let at = self.at;
        let value = match self.peek() {
            Some('{') => self.object(depth)?,
            Some('[') => self.list(depth)?,
            Some('"') => Value::Text { text: self.text()?, style: Style::Double },
            Some(_) => self.word()?,
            None => return Err(self.error("the text ends where a value is expected")),
        };
        Ok(Node { at, value })
    }

    fn object(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        self.expect('{')?;
        let (mut members, mut names) = (Vec::new(), HashSet::new());
        self.skip();
        if self.peek() == Some('}') {
            self.expect('}')?;
            return Ok(Value::Map(members));
        }
        loop {
            self.skip();
            let at = self.at;
            if self.peek() != Some('"') {
                return Err(self.error("a name in `\"` is expected here"));
            }
            let name = self.text()?;
            if !names.insert(name.clone()) {
                return Err(SyntaxError { at, reason: format!("`{}` is here twice", crate::node::shown(&name)) });
            }
            self.expect(':')?;
            let node = Rc::new(self.value(depth.saturating_add(1))?);
            members.push(Member { name, at, node });
            self.skip();
            if self.peek() != Some(',') {
                self.expect('}')?;
                return Ok(Value::Map(members));
            }
            self.expect(',')?;
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        self.expect('[')?;
        let mut items = Vec::new();
        self.skip();
        if self.peek() == Some(']') {
            self.expect(']')?;
            return Ok(Value::List(items));
        }
        loop {
            items.push(Rc::new(self.value(depth.saturating_add(1))?));
            self.skip();
            if self.peek() != Some(',') {
                self.expect(']')?;
                return Ok(Value::List(items));
            }
            self.expect(',')?;
        }
    }

    /// A text; `serde_json` undoes its escapes.
    fn text(&mut self) -> Result<String, SyntaxError> {
        let start = self.at;
        let mut raw = String::new();
        raw.extend(self.next());
        loop {
            match self.next() {
                None => return Err(SyntaxError { at: start, reason: "a text without end".to_owned() }),
                Some('"') => break raw.push('"'),
                Some('\\') => {
                    raw.push('\\');
                    raw.extend(self.next());
                }
                Some(c) => raw.push(c),
            }
        }
        serde_json::from_str(&raw)
            .map_err(|_| SyntaxError { at: start, reason: "a control character or an unknown escape".to_owned() })
    }

    fn word(&mut self) -> Result<Value, SyntaxError> {
        let start = self.at;
        let mut word = String::new();
        while let Some(c) = self.peek().filter(|c| c.is_ascii_alphanumeric() || "+-.".contains(*c)) {
            word.push(c);
            self.at = self.at.saturating_add(1);
        }
        match word.as_str() {
            "null" => Ok(Value::Null),
            "true" => Ok(Value::Truth(true)),
            "false" => Ok(Value::Truth(false)),
            number if serde_json::from_str::<serde_json::Number>(number).is_ok() => Ok(Value::Number(word)),
            _ => Err(SyntaxError { at: start, reason: "no JSON value".to_owned() }),
        }
    }
}
