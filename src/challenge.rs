//! The `WWW-Authenticate` header (RFC 6750 section 3, RFC 9728 section 5.1, MCP authorization).
//!
//! One line, `Bearer` first, every value quoted, no escapes: the official clients read it with regular expressions, and
//! a stricter or looser form makes one of them fail.

use core::fmt;

use crate::scope::ScopeSet;

/// A challenge, built by what is wrong with the request.
///
/// Every value in it comes from configuration or from a fixed list, and none can contain a quote or a backslash.
#[derive(Clone, Copy, Debug)]
pub struct Challenge<'p> {
    kind: Kind,
    metadata_url: &'p str,
    scopes: &'p ScopeSet,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Missing,
    InvalidRequest(&'static str),
    InvalidToken(&'static str),
    InsufficientScope(&'static str),
}

impl<'p> Challenge<'p> {
    /// No credentials were sent: there must be no error code (RFC 6750 section 3.1).
    pub(crate) const fn missing(metadata_url: &'p str, scopes: &'p ScopeSet) -> Self {
        Self { kind: Kind::Missing, metadata_url, scopes }
    }

    /// The credentials cannot be read.
    pub(crate) const fn invalid_request(metadata_url: &'p str, scopes: &'p ScopeSet, why: &'static str) -> Self {
        Self { kind: Kind::InvalidRequest(why), metadata_url, scopes }
    }

    /// The token is not valid here.
    pub(crate) const fn invalid_token(metadata_url: &'p str, scopes: &'p ScopeSet, why: &'static str) -> Self {
        Self { kind: Kind::InvalidToken(why), metadata_url, scopes }
    }

    /// The token lacks scopes; `scopes` are all that the operation needs, in one challenge (MCP SEP-2350).
    pub(crate) const fn insufficient_scope(metadata_url: &'p str, scopes: &'p ScopeSet, why: &'static str) -> Self {
        Self { kind: Kind::InsufficientScope(why), metadata_url, scopes }
    }
}

/// The header's value.
impl fmt::Display for Challenge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.metadata_url;
        // `scope=""` makes one client ask for the scope `""` and another give up, so an empty one is left out.
        let scope = Parameter(", scope=\"", self.scopes);
        match self.kind {
            Kind::Missing => write!(f, "Bearer resource_metadata=\"{url}\"{scope}"),
            Kind::InvalidRequest(why) => {
                write!(f, "Bearer error=\"invalid_request\", error_description=\"{why}\", resource_metadata=\"{url}\"")
            }
            Kind::InvalidToken(why) => write!(
                f,
                "Bearer error=\"invalid_token\", error_description=\"{why}\", resource_metadata=\"{url}\"{scope}"
            ),
            Kind::InsufficientScope(why) => write!(
                f,
                "Bearer error=\"insufficient_scope\"{scope}, resource_metadata=\"{url}\", error_description=\"{why}\""
            ),
        }
    }
}

/// A parameter that vanishes when there are no scopes.
struct Parameter<'p>(&'static str, &'p ScopeSet);

impl fmt::Display for Parameter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1.is_empty() { Ok(()) } else { write!(f, "{}{}\"", self.0, self.1) }
    }
}
