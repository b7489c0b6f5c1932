//! Claims that a configuration names: where scopes stand, and what roles and groups a rule asks for.

use alloc::string::String;

use crate::{
    json::{Object, Value},
    scope::{Scope, ScopeSet},
};

/// Where a claim stands: its name, or names separated by dots (`realm_access.roles`).
///
/// A claim whose whole name has dots (`https://example.com/roles`) is found first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClaimPath(pub(crate) String);

impl ClaimPath {
    pub(crate) fn find<'j>(&self, claims: &Object<'j>) -> Option<Value<'j>> {
        if let Some(value) = claims.get(&self.0) {
            return Some(value);
        }
        let (first, mut rest) = self.0.split_once('.')?;
        let mut value = claims.get(first)?;
        loop {
            let (name, more) = rest.split_once('.').map_or((rest, None), |(name, more)| (name, Some(more)));
            value = value.as_object()?.get(name)?;
            let Some(more) = more else { return Some(value) };
            rest = more;
        }
    }
}

/// The scopes in a claim: the words of a text, or the items of an array. `None` if it is neither.
pub(crate) fn scopes(value: Value<'_>) -> Option<ScopeSet> {
    if let Some(list) = value.as_text() {
        return Some(ScopeSet::from_list(&list));
    }
    let items = value.as_items()?;
    Some(items.into_iter().filter_map(|item| Scope::parse(&item.as_text()?)).collect())
}

/// What a rule asks of the caller's claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) claim: ClaimPath,
    pub(crate) test: Test,
}

/// How a claim is compared: code point by code point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    /// It is this text.
    Equals(String),
    /// It is an array with this text in it.
    Contains(String),
}

impl Condition {
    pub(crate) fn holds(&self, claims: &Object<'_>) -> bool {
        let Some(value) = self.claim.find(claims) else { return false };
        match &self.test {
            Test::Equals(text) => value.as_text().is_some_and(|found| found == *text),
            Test::Contains(text) => {
                let items = value.as_items().unwrap_or_default();
                items.into_iter().filter_map(Value::as_text).any(|item| item == *text)
            }
        }
    }
}
