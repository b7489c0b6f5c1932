//! The `WWW-Authenticate` header (RFC 6750 section 3, RFC 9728 section 5.1, MCP authorization).
//!
//! One line, `Bearer` first (`DPoP` where nothing else counts), every value quoted, no escapes: the official clients read it with regular expressions, and
//! a stricter or looser form makes one of them fail.

use core::fmt;

use crate::{bearer::Scheme, scope::ScopeSet};

/// A challenge, built by what is wrong with the request.
///
/// Every value in it comes from configuration or from a fixed list, and none can contain a quote or a backslash.
#[derive(Clone, Copy, Debug)]
pub struct Challenge<'p> {
    kind: Kind,
    terms: Terms<'p>,
    scopes: &'p ScopeSet,
    scheme: Scheme,
}

/// What a resource says in each of its challenges.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'p> {
    pub(crate) metadata_url: &'p str,
    /// The algorithms of DPoP proofs (RFC 9449 section 7.1), where tokens may be bound to keys.
    pub(crate) dpop: Option<&'p str>,
    /// Whether they must be.
    pub(crate) dpop_only: bool,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Missing,
    InvalidRequest(&'static str),
    /// An `error` that another token or proof mends, and its description.
    Invalid(&'static str, &'static str),
    InsufficientScope(&'static str),
}

impl<'p> Challenge<'p> {
    const fn new(kind: Kind, terms: Terms<'p>, scopes: &'p ScopeSet) -> Self {
        Self { kind, terms, scopes, scheme: if terms.dpop_only { Scheme::Dpop } else { Scheme::Bearer } }
    }

    /// Answers a request that presented its token so.
    pub(crate) fn to(mut self, scheme: Scheme) -> Self {
        if scheme == Scheme::Dpop && self.terms.dpop.is_some() {
            self.scheme = scheme;
        }
        self
    }

    /// No credentials were sent: there must be no error code (RFC 6750 section 3.1).
    pub(crate) const fn missing(terms: Terms<'p>, scopes: &'p ScopeSet) -> Self {
        Self::new(Kind::Missing, terms, scopes)
    }

    /// The credentials cannot be read.
    pub(crate) const fn invalid_request(terms: Terms<'p>, scopes: &'p ScopeSet, why: &'static str) -> Self {
        Self::new(Kind::InvalidRequest(why), terms, scopes)
    }

    /// The token, or the proof beside it, is not valid here.
    pub(crate) const fn invalid(
        error: &'static str,
        terms: Terms<'p>,
        scopes: &'p ScopeSet,
        why: &'static str,
    ) -> Self {
        Self::new(Kind::Invalid(error, why), terms, scopes)
    }

    /// The token lacks scopes; `scopes` are all that the operation needs, in one challenge (MCP SEP-2350).
    pub(crate) const fn insufficient_scope(terms: Terms<'p>, scopes: &'p ScopeSet, why: &'static str) -> Self {
        Self::new(Kind::InsufficientScope(why), terms, scopes)
    }
}

/// The header's value.
impl fmt::Display for Challenge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.terms.metadata_url;
        let algorithms = self.terms.dpop.unwrap_or_default();
        // `scope=""` makes one client ask for the scope `""` and another give up, so an empty one is left out.
        let scope = Parameter(", scope=\"", self.scopes);
        write!(f, "{} ", self.scheme.as_str())?;
        match self.kind {
            Kind::Missing if self.scheme == Scheme::Dpop => {
                return write!(f, "algs=\"{algorithms}\", resource_metadata=\"{url}\"{scope}");
            }
            Kind::Missing => write!(f, "resource_metadata=\"{url}\"{scope}"),
            Kind::InvalidRequest(why) => {
                write!(f, "error=\"invalid_request\", error_description=\"{why}\", resource_metadata=\"{url}\"")
            }
            Kind::Invalid(error, why) => {
                write!(f, "error=\"{error}\", error_description=\"{why}\", resource_metadata=\"{url}\"{scope}")
            }
            Kind::InsufficientScope(why) => write!(
                f,
                "error=\"insufficient_scope\"{scope}, resource_metadata=\"{url}\", error_description=\"{why}\""
            ),
        }?;
        match (self.scheme, self.terms.dpop) {
            (_, None) => Ok(()),
            (Scheme::Dpop, _) => write!(f, ", algs=\"{algorithms}\""),
            // One more challenge in the same line: clients read the first scheme of the first line only.
            (Scheme::Bearer, _) => write!(f, ", DPoP algs=\"{algorithms}\""),
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
