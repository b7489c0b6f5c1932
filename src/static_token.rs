//! Tokens that an operator lists beside those of authorization servers, so that callers without OAuth keep working.
//!
//! Known are their SHA-256 hashes only: whoever reads the configuration cannot use them.

use core::fmt;

use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};
use subtle::ConstantTimeEq as _;

use crate::{
    digest::{Digest, sha256},
    filter_state::{FilterState, Notes},
    forward::{Identity, IdentityHeaders, static_subject},
    scope::ScopeSet,
    time::UnixTime,
    token::TokenError,
};

/// An entry of the configuration.
pub(crate) struct Entry {
    /// Letters, digits, `.`, `_` and `-`.
    pub(crate) name: String,
    /// SHA-256 of the token.
    pub(crate) digest: Digest,
    pub(crate) scopes: ScopeSet,
    /// `None`: it never expires.
    pub(crate) expires_at: Option<UnixTime>,
}

/// Who a static token says is calling.
///
/// Does NOT say that it has not expired: that is what makes a `Caller`.
pub(crate) struct StaticToken {
    name: String,
    scopes: ScopeSet,
    expires_at: Option<UnixTime>,
    identity: Identity,
    notes: Notes,
    facts: Arc<[usize]>,
}

/// The static tokens of one resource.
#[derive(Clone, Default)]
pub(crate) struct StaticTokens(Box<[(Digest, Arc<StaticToken>)]>);

/// Names only: a hash can be tried out at leisure.
impl fmt::Debug for StaticToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaticToken({})", self.name)
    }
}

impl fmt::Debug for StaticTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaticTokens(<{}>)", self.0.len())
    }
}

impl StaticTokens {
    /// `facts` are the conditions that hold for a caller of whose claims nothing is known.
    pub(crate) fn new(
        entries: Vec<Entry>,
        headers: &IdentityHeaders,
        filter_state: FilterState,
        facts: &Arc<[usize]>,
    ) -> Self {
        let listed = entries.into_iter().map(|Entry { name, digest, scopes, expires_at }| {
            let identity = headers.fill_static(&name, &scopes);
            let notes = filter_state.of_token(Some(static_subject(&name)), None, &scopes, None);
            (digest, Arc::new(StaticToken { name, scopes, expires_at, identity, notes, facts: Arc::clone(facts) }))
        });
        Self(listed.collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entry of these bytes. Every entry is compared, each in constant time, so that how long it takes tells nothing of
    /// any hash.
    pub(crate) fn find(&self, token: &[u8]) -> Option<&Arc<StaticToken>> {
        let digest = sha256(token);
        self.0.iter().fold(None, |found, (own, token)| if own.ct_eq(&digest).into() { Some(token) } else { found })
    }
}

impl StaticToken {
    /// No skew: nobody's clock but the proxy's is asked.
    pub(crate) fn check_time(&self, now: UnixTime) -> Result<(), TokenError> {
        match self.expires_at {
            Some(at) if now >= at => Err(TokenError::Expired { at, now }),
            _ => Ok(()),
        }
    }

    pub(crate) const fn expires_at(&self) -> Option<UnixTime> {
        self.expires_at
    }

    /// Unique within the resource.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }

    pub(crate) const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What the proxy is told of its holder.
    pub(crate) fn notes(&self) -> &[(&'static str, String)] {
        &self.notes
    }

    pub(crate) fn facts(&self) -> &[usize] {
        &self.facts
    }
}
