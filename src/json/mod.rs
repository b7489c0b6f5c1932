//! JSON as security documents need it: one value, no duplicate member names, nothing after it; read in place.
//!
//! RFC 7515 section 4 and RFC 7519 section 4 leave a receiver two ways with duplicate names, refuse or take the last;
//! readers that differ are how one token means two things, so they are refused at every depth. Why this is not
//! `serde_json`: docs/decisions/0008-json.md.

mod cursor;
mod names;
mod scanner;
mod text;

use core::fmt;

use alloc::{borrow::Cow, string::String, vec::Vec};

use names::MAX_NAMES;
pub(crate) use scanner::{Fault, Scanner};

/// Why bytes are no acceptable JSON document.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonError {
    /// Not UTF-8, not JSON, nested deeper than 127 levels, half a surrogate pair, or followed by something.
    Syntax {
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in bytes.
        column: usize,
    },
    /// Two members of one object have the same name, which may be a secret: this is where the second one stands.
    Duplicate {
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in bytes.
        column: usize,
    },
    /// Objects that are open at a time have more than 16 384 members.
    Names,
    /// The document is not an object.
    NotAnObject,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { line, column } => write!(f, "not one JSON value (line {line}, column {column})"),
            Self::Duplicate { line, column } => write!(f, "a member appears twice (line {line}, column {column})"),
            Self::Names => write!(f, "more than {MAX_NAMES} members in objects that are open at a time"),
            Self::NotAnObject => f.write_str("not a JSON object"),
        }
    }
}

/// Reads a document that is one object.
pub(crate) fn object(text: &[u8]) -> Result<Object<'_>, JsonError> {
    document(text, Object::read)?.ok_or(JsonError::NotAnObject)
}

/// Reads a document with `read`, which must read one value.
pub(crate) fn document<'j, T>(
    text: &'j [u8],
    read: impl FnOnce(&mut Scanner<'j>) -> Result<T, Fault>,
) -> Result<T, JsonError> {
    let mut scanner = Scanner::new(text);
    let value = read(&mut scanner).and_then(|value| scanner.end().map(|()| value));
    value.map_err(|fault| {
        let before = text.get(..scanner.at()).unwrap_or(text);
        let lines = before.split(|byte| *byte == b'\n');
        let column = lines.clone().next_back().map_or(0, <[u8]>::len).saturating_add(1);
        match fault {
            Fault::Syntax => JsonError::Syntax { line: lines.count(), column },
            Fault::Duplicate => JsonError::Duplicate { line: lines.count(), column },
            Fault::Names => JsonError::Names,
        }
    })
}

/// The name behind [`JsonError::Duplicate`], for texts whose names may be shown.
pub(crate) fn duplicate(text: &[u8]) -> Option<String> {
    let mut scanner = Scanner::new(text);
    scanner.peek().and_then(|_| scanner.skip()).err().and_then(|_| scanner.duplicate())
}

/// A JSON object: its members in their order. Everything in it was checked.
#[derive(Clone)]
pub(crate) struct Object<'j> {
    members: Vec<(Cow<'j, str>, Value<'j>)>,
    skips_nulls: bool,
}

impl<'j> Object<'j> {
    /// `None` for a value that is no object.
    fn read(scanner: &mut Scanner<'j>) -> Result<Option<Self>, Fault> {
        if scanner.peek()? != b'{' {
            return scanner.skip().map(|()| None);
        }
        // As many as the claims of a usual token.
        let mut members = Vec::with_capacity(16);
        scanner.members(|scanner, name| {
            members.push((name.decode(), Value(scanner.value()?)));
            Ok(())
        })?;
        Ok(Some(Self { members, skips_nulls: false }))
    }

    /// The same, where members that are null count as missing.
    pub(crate) fn skipping_nulls(mut self) -> Self {
        self.skips_nulls = true;
        self
    }

    pub(crate) fn get(&self, name: &str) -> Option<Value<'j>> {
        let value = self.members.iter().find(|(own, _)| own == name).map(|(_, value)| *value)?;
        (!self.skips_nulls || value.kind() != Kind::Null).then_some(value)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, Value<'j>)> {
        self.members.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|(name, _)| name.as_ref())
    }
}

/// A value as it is written, after it was checked. Its parts are read when they are asked for.
#[derive(Clone, Copy)]
pub(crate) struct Value<'j>(&'j [u8]);

/// The kinds of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Number,
    Text,
    Array,
    Object,
}

impl<'j> Value<'j> {
    pub(crate) fn kind(self) -> Kind {
        match self.0.first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::Text,
            Some(b't' | b'f') => Kind::Boolean,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        }
    }

    pub(crate) fn as_text(self) -> Option<Cow<'j, str>> {
        Scanner::new(self.0).text().ok().map(text::Text::decode)
    }

    pub(crate) fn as_truth(self) -> Option<bool> {
        (self.kind() == Kind::Boolean).then(|| self.0 == b"true")
    }

    /// A number as it is written.
    pub(crate) fn as_number(self) -> Option<&'j str> {
        if self.kind() == Kind::Number { str::from_utf8(self.0).ok() } else { None }
    }

    pub(crate) fn as_object(self) -> Option<Object<'j>> {
        Object::read(&mut Scanner::new(self.0)).ok().flatten()
    }

    pub(crate) fn as_items(self) -> Option<Vec<Self>> {
        let mut items = Vec::new();
        let read = Scanner::new(self.0).items(|scanner| {
            items.push(Self(scanner.value()?));
            Ok(())
        });
        read.is_ok().then_some(items)
    }
}

/// A text as JSON writes it (RFC 8259 section 7).
pub(crate) struct Quoted<'t>(pub(crate) &'t str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        f.write_str("\"")?;
        for letter in self.0.chars() {
            match letter {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\0'..='\u{1f}' => write!(f, "\\u{:04x}", u32::from(letter))?,
                _ => f.write_char(letter)?,
            }
        }
        f.write_str("\"")
    }
}
