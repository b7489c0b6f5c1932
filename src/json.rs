//! JSON as security documents need it: one value, no duplicate member names, nothing after it.
//!
//! RFC 7515 section 4 and RFC 7519 section 4 leave a receiver two ways with duplicate names, refuse or take the last;
//! readers that differ are how one token means two things, so they are refused at every depth.

use core::{cell::RefCell, fmt};

use alloc::{borrow::ToOwned, string::String, vec::Vec};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A JSON object.
pub(crate) type Object = Map<String, Value>;

/// Why bytes are no acceptable JSON document.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonError {
    /// Not UTF-8, not JSON, nested deeper than 127 levels, or followed by something.
    Syntax {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// Two members of one object have this name.
    Duplicate(String),
    /// The document is not an object.
    NotAnObject,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { line, column } => write!(f, "not one JSON value (line {line}, column {column})"),
            Self::Duplicate(name) => write!(f, "the member `{}` appears twice", crate::shown::Shown(name)),
            Self::NotAnObject => f.write_str("not a JSON object"),
        }
    }
}

/// Parses one object.
pub(crate) fn object(bytes: &[u8]) -> Result<Object, JsonError> {
    let duplicate = RefCell::new(None);
    let mut input = serde_json::Deserializer::from_slice(bytes);
    let value = Strict(&duplicate).deserialize(&mut input).and_then(|value| input.end().map(|()| value));
    match value {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(JsonError::NotAnObject),
        Err(error) => Err(duplicate
            .take()
            .map_or_else(|| JsonError::Syntax { line: error.line(), column: error.column() }, JsonError::Duplicate)),
    }
}

/// Builds a [`Value`] and remembers the first duplicate name.
#[derive(Clone, Copy)]
struct Strict<'d>(&'d RefCell<Option<String>>);

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Object::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(self)?;
            if object.contains_key(&name) {
                self.0.replace(Some(name));
                return Err(A::Error::custom("duplicate member"));
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}
