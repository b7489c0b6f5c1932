//! Claims that a configuration names: where scopes stand, and what roles and groups a rule asks for.

use alloc::{string::String, vec::Vec};

use crate::{
    json::{Kind, Object, Value},
    scope::{Scope, ScopeSet},
};

/// Where a claim stands: its name, or names separated by dots (`realm_access.roles`).
///
/// A claim whose whole name has dots (`https://example.com/roles`) is found first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClaimPath(pub(crate) String);

/// Why there is no claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoClaim {
    Absent,
    /// Something that is no object stands where the path goes on.
    Obstructed,
}

impl ClaimPath {
    pub(crate) fn find<'j>(&self, claims: &Object<'j>) -> Result<Value<'j>, NoClaim> {
        if let Some(value) = claims.get(&self.0) {
            return Ok(value);
        }
        let (first, mut rest) = self.0.split_once('.').ok_or(NoClaim::Absent)?;
        let mut value = claims.get(first).ok_or(NoClaim::Absent)?;
        loop {
            let (name, more) = rest.split_once('.').map_or((rest, None), |(name, more)| (name, Some(more)));
            if value.kind() == Kind::Null {
                return Err(NoClaim::Absent);
            }
            value = value.as_object().ok_or(NoClaim::Obstructed)?.get(name).ok_or(NoClaim::Absent)?;
            let Some(more) = more else { return Ok(value) };
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
    /// Whether it holds for a claim that cannot be judged: for whoever is denied by it, but not for whoever is allowed.
    pub(crate) holds_if_unclear: bool,
}

/// How a claim is compared: code point by code point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    /// It is this text.
    Equals(String),
    /// It is this text, or an array with this text in it.
    Contains(String),
}

impl Condition {
    pub(crate) fn holds(&self, claims: &Object<'_>) -> bool {
        self.judge(claims).unwrap_or(self.holds_if_unclear)
    }

    /// Whether every claim that fulfils `other` fulfils this one.
    pub(crate) fn is_implied_by(&self, other: &Self) -> bool {
        self.claim == other.claim && self.test == other.test && (self.holds_if_unclear || !other.holds_if_unclear)
    }

    /// `None` if the claim is of a type that the question does not fit.
    fn judge(&self, claims: &Object<'_>) -> Option<bool> {
        let value = match self.claim.find(claims) {
            Ok(value) => value,
            Err(NoClaim::Absent) => return Some(false),
            Err(NoClaim::Obstructed) => return None,
        };
        let (Test::Equals(own) | Test::Contains(own)) = &self.test;
        match value.kind() {
            Kind::Null => Some(false),
            Kind::Text => Some(value.as_text()? == *own),
            Kind::Array => {
                let items: Vec<_> = value.as_items()?.into_iter().map(Value::as_text).collect();
                let is_there = items.iter().flatten().any(|item| item == own);
                match self.test {
                    Test::Contains(_) if is_there => Some(true),
                    // An array is no text, so what is in it can only rule out that it means this one.
                    Test::Equals(_) if is_there => None,
                    _ => items.iter().all(Option::is_some).then_some(false),
                }
            }
            Kind::Boolean | Kind::Number | Kind::Object => None,
        }
    }
}
