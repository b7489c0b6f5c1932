//! Scopes (RFC 6749 section 3.3).

use core::fmt;

use alloc::{borrow::ToOwned, collections::BinaryHeap, string::String, vec::Vec};

/// One `scope-token`: visible ASCII without `"` and `\`, so it never needs escaping in a challenge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope(String);

impl Scope {
    /// Accepts `1*( %x21 / %x23-5B / %x5D-7E )`; case is kept and matters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let legal = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        (!text.is_empty() && text.bytes().all(legal)).then(|| Self(text.to_owned()))
    }

    /// The scope as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is asked for by this name whatever the resource: a URI, or a scope of OpenID Connect (Core section 5.4).
    pub(crate) fn is_global(&self) -> bool {
        self.0.contains("://") || ["openid", "profile", "email", "address", "phone"].contains(&self.as_str())
    }
}

/// A set of scopes, in a stable order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeSet(Vec<Scope>);

impl ScopeSet {
    /// Reads a space-separated list. What is no legal scope is left out: it can satisfy nothing.
    #[must_use]
    pub fn from_list(list: &str) -> Self {
        list.split(' ').filter_map(Scope::parse).collect()
    }

    /// Whether this scope is in the set.
    ///
    /// Does NOT know hierarchies: `admin` does not imply `read`.
    #[must_use]
    pub fn contains(&self, scope: &Scope) -> bool {
        self.0.binary_search(scope).is_ok()
    }

    /// Whether there is no scope at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The scopes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        // A heap is a fifth of the code of `sort`, for lists of a few.
        let mut scopes = scopes.into_iter().collect::<BinaryHeap<Scope>>().into_sorted_vec();
        scopes.dedup();
        Self(scopes)
    }
}

/// The space-separated list of RFC 6749 section 3.3.
impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, scope) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(" ")?;
            }
            f.write_str(&scope.0)?;
        }
        Ok(())
    }
}
