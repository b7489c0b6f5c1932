//! Why a request does not go upstream: for the operator the cause, for the client an RFC code and a fixed text.

use core::fmt;

use alloc::string::String;

use crate::{
    bearer::CredentialsError,
    path::PathError,
    shown::Shown,
    token::{InsufficientScope, TokenError},
};

/// The one reason why a request was answered instead of forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The path could be read in two ways.
    Path(PathError),
    /// The request has no usable `:method`, `:path` or `:authority`.
    Head,
    /// No resource is configured for this host and path.
    Unmatched,
    /// No such well-known document.
    NoDocument,
    /// The method is not one that a document has.
    Method,
    /// No Bearer credentials.
    MissingToken,
    /// Credentials that cannot be read.
    Credentials(CredentialsError),
    /// A token that is not valid here.
    Token(TokenError),
    /// A valid token that may not do this.
    InsufficientScope(InsufficientScope),
    /// The keys of this issuer cannot be had.
    KeysUnavailable {
        /// The issuer.
        issuer: String,
        /// Seconds until it is worth trying again.
        retry_after: u64,
    },
    /// As many requests wait for keys as may.
    Overloaded {
        /// How many wait.
        held: usize,
    },
    /// The configuration was refused, so everything is.
    Misconfigured,
    /// The proxy did not do what was asked of it.
    Host(&'static str),
}

impl Refusal {
    /// The HTTP status (RFC 6750 section 3.1; MCP authorization, Error Handling).
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Path(_) | Self::Head | Self::Credentials(_) => 400,
            Self::MissingToken | Self::Token(_) => 401,
            Self::InsufficientScope(_) => 403,
            Self::Unmatched | Self::NoDocument => 404,
            Self::Method => 405,
            // Never 401: that would make a client throw a good token away.
            Self::KeysUnavailable { .. } | Self::Overloaded { .. } | Self::Misconfigured | Self::Host(_) => 503,
        }
    }

    /// The `error` of the JSON body.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Path(_) | Self::Head | Self::Credentials(_) => "invalid_request",
            // RFC 6750 section 3.1 forbids an error code in the *challenge*; the body needs a word all the same.
            Self::MissingToken => "missing_token",
            Self::Token(_) => "invalid_token",
            Self::InsufficientScope(_) => "insufficient_scope",
            Self::Unmatched | Self::NoDocument => "not_found",
            Self::Method => "method_not_allowed",
            Self::KeysUnavailable { .. } | Self::Overloaded { .. } | Self::Misconfigured | Self::Host(_) => {
                "temporarily_unavailable"
            }
        }
    }

    /// The `error_description`: from a fixed list, no value of the request in it, no `"` and no `\`.
    #[must_use]
    pub const fn description(&self) -> &'static str {
        match self {
            Self::Path(_) => "the path of the request is ambiguous",
            Self::Head => "the request is malformed",
            Self::Unmatched => "no resource is configured here",
            Self::NoDocument => "no such document",
            Self::Method => "the document can only be read",
            Self::MissingToken => "an access token is required",
            Self::Credentials(CredentialsError::Doubled) => "more than one set of credentials was sent",
            Self::Credentials(CredentialsError::Malformed) => "the Bearer credentials are malformed",
            Self::Credentials(CredentialsError::TooLong(_)) => "the access token is too long",
            Self::Token(error) => error.description(),
            Self::InsufficientScope(_) => "the access token does not carry the needed permissions",
            Self::KeysUnavailable { .. } => "the keys of the authorization server are not available",
            Self::Overloaded { .. } => "too many requests wait for the authorization server",
            Self::Misconfigured => "the gateway is misconfigured",
            Self::Host(_) => "the gateway failed",
        }
    }

    /// A stable name for access logs (`response_code_details`) and metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Path(_) => "mcp_oauth_ambiguous_path",
            Self::Head => "mcp_oauth_malformed_request",
            Self::Unmatched => "mcp_oauth_unmatched",
            Self::NoDocument => "mcp_oauth_no_document",
            Self::Method => "mcp_oauth_document_method",
            Self::MissingToken => "mcp_oauth_missing_token",
            Self::Credentials(_) => "mcp_oauth_malformed_credentials",
            Self::Token(error) => error.reason(),
            Self::InsufficientScope(_) => "mcp_oauth_insufficient_scope",
            Self::KeysUnavailable { .. } => "mcp_oauth_keys_unavailable",
            Self::Overloaded { .. } => "mcp_oauth_overloaded",
            Self::Misconfigured => "mcp_oauth_misconfigured",
            Self::Host(_) => "mcp_oauth_host_failure",
        }
    }
}

/// For the operator: the cause, with values that are safe to log.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(error) => error.fmt(f),
            Self::Credentials(error) => error.fmt(f),
            Self::Token(error) => write!(f, "token: {error}"),
            Self::InsufficientScope(error) => {
                use alloc::string::ToString as _;
                write!(f, "token: scopes `{}` are not enough", Shown(&error.granted.to_string()))
            }
            Self::KeysUnavailable { issuer, retry_after } => {
                write!(f, "keys: issuer `{issuer}`: none available, next try in `{retry_after}` s")
            }
            Self::Overloaded { held } => write!(f, "`{held}` requests wait for keys already"),
            Self::Host(call) => write!(f, "the proxy failed at `{call}`"),
            other => f.write_str(other.description()),
        }
    }
}
