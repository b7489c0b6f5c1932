//! Claims that an operator wants the upstream to read, each in a header of its own.

use alloc::{string::String, sync::Arc, vec::Vec};

use crate::{
    claim::ClaimPath,
    forward::{IdentityHeaders, encode},
    json::{Kind, Object, Value},
};

/// A longer value is left out as a whole: half a list of roles would be another list.
const MAX_VALUE_BYTES: usize = 4 * 1024;

/// All values of one token. Servers take 8 KiB to 64 KiB of headers, and there are others.
const MAX_BYTES: usize = 16 * 1024;

/// A claim and the header that carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClaimHeader {
    pub(crate) claim: ClaimPath,
    /// In lower case, with hyphens.
    pub(crate) name: Arc<str>,
}

impl IdentityHeaders {
    /// The lines for these claims; one that is absent, empty or cannot be told as a text has none.
    pub(crate) fn of_claims(&self, claims: &Object<'_>) -> Vec<(Arc<str>, String)> {
        let mut left = MAX_BYTES;
        let mut lines = Vec::new();
        for ClaimHeader { claim, name } in &self.claims {
            let value = claim.find(claims).ok().and_then(value);
            let Some(value) = value.filter(|value| !value.is_empty() && value.len() <= MAX_VALUE_BYTES) else {
                continue;
            };
            let Some(rest) = left.checked_sub(value.len()) else { continue };
            left = rest;
            lines.push((Arc::clone(name), value));
        }
        lines
    }
}

/// Visible ASCII. A comma separates the items of an array and is nothing else.
fn value(value: Value<'_>) -> Option<String> {
    if value.kind() != Kind::Array {
        return scalar(value);
    }
    let items: Option<Vec<String>> = value.as_items()?.into_iter().map(scalar).collect();
    Some(items?.join(","))
}

fn scalar(value: Value<'_>) -> Option<String> {
    match value.kind() {
        Kind::Text => Some(encode(&value.as_text()?, b"%,")),
        Kind::Number => value.as_number().map(String::from),
        Kind::Boolean => Some(String::from(if value.as_truth()? { "true" } else { "false" })),
        Kind::Null | Kind::Array | Kind::Object => None,
    }
}
