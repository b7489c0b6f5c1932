//! Why a token is not valid here.

use core::fmt;

use alloc::string::String;

use crate::{
    jws::{Algorithm, JwsError},
    shown::Shown,
    time::UnixTime,
};

/// Why a token is not valid for a resource. To the client all of them are `invalid_token`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// It is no compact JWS.
    Jws(JwsError),
    /// Its `typ` is not that of an access token (RFC 8725 section 3.11), or not `at+jwt` where that is required.
    Type(String),
    /// It has the shape of another kind of token (RFC 8725 section 3.12); this claim gives it away.
    NotAccessToken(&'static str),
    /// It lacks the claim that the provider's access tokens have and its other tokens have not.
    Unmarked(&'static str),
    /// The provider's access tokens are opaque, so a JWT is something else.
    OpaqueOnly,
    /// A claim is absent or not of its type.
    Claim(&'static str, ClaimFault),
    /// A claim that scopes are read from is neither a text nor an array.
    ScopeClaim(String),
    /// No authorization server of the resource is this issuer.
    Issuer(String),
    /// The issuer may not use this algorithm here.
    Algorithm(Algorithm),
    /// It was issued for somebody else.
    Audience {
        /// What the token says.
        found: String,
        /// What the resource accepts.
        accepted: String,
    },
    /// Its `exp` has passed, skew included.
    Expired {
        /// The `exp` claim.
        at: UnixTime,
        /// When it was judged.
        now: UnixTime,
    },
    /// Its `nbf` or `iat` lies in the future, skew included.
    NotYetValid {
        /// The claim.
        claim: &'static str,
        /// Its value.
        at: UnixTime,
        /// When it was judged.
        now: UnixTime,
    },
    /// It is bound to a key (`cnf`, RFC 7800) whose possession was not proved (RFC 9449 section 7.2).
    SenderConstrained,
    /// It is bound to no key, and must be: the resource takes no other, or it was presented with the scheme `DPoP`.
    NotBound,
    /// It is bound to a certificate (RFC 8705 section 3), and the client has none or another one.
    Certificate,
    /// The issuer has no key with this `kid` that fits.
    UnknownKey(Option<String>),
    /// It has no `kid`, and several keys fit.
    AmbiguousKey,
    /// The signature is wrong.
    Signature,
    /// Its authorization server says that it is not active (RFC 7662 section 2.2).
    Inactive,
}

/// What is wrong with a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimFault {
    /// It is absent.
    Missing,
    /// It has another JSON type than RFC 7519 section 4.1 says.
    Type,
    /// It is a number, but no date between 1970 and 9999.
    Range,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jws(error) => error.fmt(f),
            Self::Type(typ) => write!(f, "the type `{}` is not that of an access token here", Shown(typ)),
            Self::NotAccessToken(claim) => write!(f, "not an access token: it has the shape told by `{claim}`"),
            Self::Unmarked(claim) => write!(f, "not an access token: this provider's have `{claim}`"),
            Self::OpaqueOnly => f.write_str("not an access token: this provider's are opaque"),
            Self::Claim(claim, ClaimFault::Missing) => write!(f, "the claim `{claim}` is missing"),
            Self::Claim(claim, ClaimFault::Type) => write!(f, "the claim `{claim}` has the wrong type"),
            Self::Claim(claim, ClaimFault::Range) => write!(f, "the claim `{claim}` is no date"),
            Self::ScopeClaim(claim) => write!(f, "the claim `{claim}` has the wrong type"),
            Self::Issuer(issuer) => {
                write!(f, "issuer `{}` is no authorization server of this resource", Shown(issuer))
            }
            Self::Algorithm(algorithm) => write!(f, "algorithm `{}` is not allowed here", algorithm.as_str()),
            Self::Audience { found, accepted } => {
                write!(f, "audience `{}` does not include `{}`", Shown(found), Shown(accepted))
            }
            Self::Expired { at, now } => write!(f, "expired `{}` s ago", now.seconds_from(*at)),
            Self::NotYetValid { claim, at, now } => {
                write!(f, "`{claim}` lies `{}` s in the future", at.seconds_from(*now))
            }
            Self::SenderConstrained => f.write_str("bound to a key (`cnf`) whose possession was not proved"),
            Self::NotBound => f.write_str("not bound to a key (`cnf.jkt`)"),
            Self::Certificate => f.write_str("bound to another certificate than the client's"),
            Self::UnknownKey(Some(id)) => write!(f, "no usable key `{}`", Shown(id)),
            Self::UnknownKey(None) => f.write_str("no `kid`, and no key fits"),
            Self::AmbiguousKey => f.write_str("no `kid`, and several keys fit"),
            Self::Signature => f.write_str("wrong signature"),
            Self::Inactive => f.write_str("its authorization server says that it is not active"),
        }
    }
}

impl TokenError {
    /// What the client is told: from a fixed list, without any value of the token.
    pub(crate) const fn description(&self) -> &'static str {
        match self {
            Self::Jws(_) | Self::Claim(..) | Self::ScopeClaim(_) => "the access token is malformed",
            Self::Type(_) | Self::NotAccessToken(_) | Self::Unmarked(_) | Self::OpaqueOnly => {
                "the token is not an access token"
            }
            Self::Issuer(_) => "the access token was issued by another authorization server",
            Self::Audience { .. } => "the access token was issued for another resource",
            Self::Expired { .. } => "the access token expired",
            Self::NotYetValid { .. } => "the access token is not valid yet",
            Self::Inactive => "the access token is not active",
            Self::SenderConstrained => "the access token is sender-constrained and no proof was verified",
            Self::NotBound => "the access token is not bound to a DPoP key",
            Self::Certificate => "the access token is bound to another client certificate",
            Self::Algorithm(_) | Self::UnknownKey(_) | Self::AmbiguousKey | Self::Signature => {
                "the signature of the access token is not valid"
            }
        }
    }

    /// Whether no issuer of the resource answers for the token, so that it may be one of the operator's own.
    pub(crate) fn is_foreign(&self) -> bool {
        matches!(self, Self::Jws(_) | Self::Issuer(_) | Self::Claim("iss", _))
    }

    /// A stable name for logs and metrics.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Jws(_) => "mcp_oauth_token_malformed",
            Self::Type(_) | Self::NotAccessToken(_) | Self::Unmarked(_) | Self::OpaqueOnly => "mcp_oauth_token_type",
            Self::Claim(..) | Self::ScopeClaim(_) => "mcp_oauth_token_claim",
            Self::Issuer(_) => "mcp_oauth_token_issuer",
            Self::Algorithm(_) => "mcp_oauth_token_algorithm",
            Self::Audience { .. } => "mcp_oauth_token_audience",
            Self::Expired { .. } => "mcp_oauth_token_expired",
            Self::NotYetValid { .. } => "mcp_oauth_token_not_yet_valid",
            Self::SenderConstrained => "mcp_oauth_token_sender_constrained",
            Self::NotBound => "mcp_oauth_token_not_bound",
            Self::Certificate => "mcp_oauth_token_certificate",
            Self::UnknownKey(_) | Self::AmbiguousKey => "mcp_oauth_token_key",
            Self::Signature => "mcp_oauth_token_signature",
            Self::Inactive => "mcp_oauth_token_inactive",
        }
    }
}
