//! Which checks a decision went through, for the command-line tool (feature `explain`).
//!
//! The checks themselves say that they begin, so what is told is what was run. Without the feature, nothing of this is built:
//! the marks are empty functions. With it, they write to a list of the thread, the only state here that is not an argument.

#![cfg_attr(not(feature = "explain"), allow(unreachable_pub, reason = "it is private without the feature"))]

#[cfg(feature = "explain")]
use crate::{refusal::Refusal, token::TokenError};

/// A check, in the order in which a request meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Check {
    /// The head has one method, one path and one host, and the path has one reading.
    Head,
    /// A resource is configured for host and path.
    Resource,
    /// The page that asks may.
    Origin,
    /// There is one set of credentials, in a scheme that the resource takes.
    Credentials,
    /// The token is a compact JWS with a known algorithm and no extension.
    Form,
    /// `iss` is an authorization server of the resource.
    Issuer,
    /// The authorization server may use the algorithm.
    Algorithm,
    /// It is an access token and no other kind.
    Kind,
    /// The claims that are needed are there and of their types.
    Claims,
    /// `aud` has the resource.
    Audience,
    /// `exp`, `nbf` and `iat`.
    Times,
    /// What it is bound to can be proved here.
    Binding,
    /// The authorization server has the key.
    Key,
    /// The signature is right.
    Signature,
    /// The authorization server says that it is active.
    Introspection,
    /// It is one of the operator's own.
    StaticToken,
    /// Whoever sends it proves what it is bound to.
    Possession,
    /// There is a credential for the server.
    UpstreamCredential,
    /// Method and media type are those of an MCP endpoint.
    Endpoint,
    /// The session is the caller's.
    Session,
    /// The body is one well-formed message, of a size that is read.
    Message,
    /// Headers and body say the same.
    Headers,
    /// The rules allow it.
    Rules,
    /// The token carries the scopes.
    Scopes,
}

#[cfg(feature = "explain")]
impl Check {
    /// All of them, in order.
    pub const ALL: [Self; 24] = [
        Self::Head,
        Self::Resource,
        Self::Origin,
        Self::Credentials,
        Self::Form,
        Self::Issuer,
        Self::Algorithm,
        Self::Kind,
        Self::Claims,
        Self::Audience,
        Self::Times,
        Self::Binding,
        Self::Key,
        Self::Signature,
        Self::Introspection,
        Self::StaticToken,
        Self::Possession,
        Self::UpstreamCredential,
        Self::Endpoint,
        Self::Session,
        Self::Message,
        Self::Headers,
        Self::Rules,
        Self::Scopes,
    ];

    /// Which check says this; `None` where none does: the gate itself could not go on.
    #[must_use]
    pub fn of(refusal: &Refusal) -> Option<Self> {
        Some(match refusal {
            Refusal::Path(_) | Refusal::Head => Self::Head,
            Refusal::Unmatched | Refusal::RouteResource(_) | Refusal::NoDocument | Refusal::Method => Self::Resource,
            Refusal::Origin => Self::Origin,
            Refusal::MissingToken | Refusal::Credentials(_) => Self::Credentials,
            Refusal::Token(error) => Self::of_token(error),
            Refusal::Proof(_) => Self::Possession,
            Refusal::KeysUnavailable { .. } => Self::Key,
            Refusal::IntrospectionUnavailable { .. } => Self::Introspection,
            Refusal::UpstreamCredentialUnavailable { .. } | Refusal::UpstreamCredentialRefused { .. } => {
                Self::UpstreamCredential
            }
            Refusal::EndpointMethod | Refusal::Media(_) => Self::Endpoint,
            Refusal::Session => Self::Session,
            Refusal::TooLarge { .. } | Refusal::Message(_) | Refusal::UnexpectedBody => Self::Message,
            Refusal::HeaderMismatch(_) => Self::Headers,
            Refusal::AmbiguousUri | Refusal::Denied { .. } => Self::Rules,
            Refusal::InsufficientScope(_) => Self::Scopes,
            Refusal::UnreadableList
            | Refusal::EarlyResponse
            | Refusal::Overloaded { .. }
            | Refusal::Misconfigured
            | Refusal::Host(_) => return None,
        })
    }

    fn of_token(error: &TokenError) -> Self {
        match error {
            TokenError::Jws(_) => Self::Form,
            TokenError::Claim("iss", _) | TokenError::Issuer(_) => Self::Issuer,
            TokenError::Algorithm(_) => Self::Algorithm,
            TokenError::Type(_) | TokenError::NotAccessToken(_) | TokenError::Unmarked(_) | TokenError::OpaqueOnly => {
                Self::Kind
            }
            TokenError::Claim(..) | TokenError::ScopeClaim(_) => Self::Claims,
            TokenError::Audience { .. } => Self::Audience,
            TokenError::Expired { .. } | TokenError::NotYetValid { .. } => Self::Times,
            TokenError::SenderConstrained => Self::Binding,
            TokenError::NotBound | TokenError::Certificate => Self::Possession,
            TokenError::UnknownKey(_) | TokenError::AmbiguousKey => Self::Key,
            TokenError::Signature => Self::Signature,
            TokenError::Inactive => Self::Introspection,
        }
    }
}

#[cfg(feature = "explain")]
mod trace {
    extern crate std;

    use core::cell::RefCell;

    use alloc::vec::Vec;

    use super::Check;

    std::thread_local! {
        static BEGUN: RefCell<Option<Vec<Check>>> = const { RefCell::new(None) };
    }

    /// Begins to note what checks this thread makes, anew.
    pub fn start() {
        BEGUN.with_borrow_mut(|begun| *begun = Some(Vec::new()));
    }

    /// The checks that were begun since [`start`], each once, in the order of its first time; notes no more.
    #[must_use]
    pub fn take() -> Vec<Check> {
        BEGUN.with_borrow_mut(Option::take).unwrap_or_default()
    }

    pub(crate) fn at(check: Check) {
        BEGUN.with_borrow_mut(|begun| {
            if let Some(begun) = begun.as_mut().filter(|begun| !begun.contains(&check)) {
                begun.push(check);
            }
        });
    }
}

#[cfg(feature = "explain")]
pub(crate) use trace::at;
#[cfg(feature = "explain")]
pub use trace::{start, take};

/// A check begins.
#[cfg(not(feature = "explain"))]
#[inline(always)]
pub(crate) const fn at(_: Check) {}
