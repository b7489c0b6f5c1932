//! Why a request does not go upstream: for the operator the cause, for the client an RFC code and a fixed text.

use core::fmt;

use alloc::string::String;

use crate::{
    bearer::CredentialsError,
    dpop::ProofError,
    grant::InsufficientScope,
    introspection::IntrospectionError,
    message::{HeaderMismatch, MessageError},
    path::PathError,
    shown::{Shown, WithoutQuery},
    token::TokenError,
    upstream_credential::TokenEndpointError,
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
    /// The proxy's route names this resource, and none of this name is configured.
    RouteResource(String),
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
    /// A valid token that is bound to a key, without a proof that counts.
    Proof(ProofError),
    /// A valid token that may not do this.
    InsufficientScope(InsufficientScope),
    /// The page that asks is of an origin that may not.
    Origin,
    /// The method is not one that an MCP endpoint has.
    EndpointMethod,
    /// The body is not said to be plain JSON, once.
    Media(MediaError),
    /// The body is longer than this many bytes.
    TooLarge {
        /// The configured limit.
        most: usize,
    },
    /// The body is no message that could be judged.
    Message(MessageError),
    /// There is a body where none belongs.
    UnexpectedBody,
    /// Headers and body contradict each other.
    HeaderMismatch(HeaderMismatch),
    /// The target is a URI that a server could resolve to another one.
    AmbiguousUri,
    /// A rule says no, whatever the scopes.
    Denied {
        /// Its number; `None` if no rule says yes.
        rule: Option<usize>,
    },
    /// The upstream's list is compressed, or no list.
    UnreadableList,
    /// The upstream answered before the request was judged, perhaps with a list that nobody filtered.
    EarlyResponse,
    /// The session is not the caller's, or not one that was given out here.
    Session,
    /// The keys of this issuer cannot be had.
    KeysUnavailable {
        /// The issuer.
        issuer: String,
        /// Seconds until it is worth trying again.
        retry_after: u64,
    },
    /// This issuer cannot be asked whether the token is active.
    IntrospectionUnavailable {
        /// The issuer.
        issuer: String,
        /// Why.
        error: IntrospectionError,
    },
    /// The credential for the upstream cannot be had from this token endpoint.
    UpstreamCredentialUnavailable {
        /// The endpoint.
        endpoint: String,
        /// Why.
        error: TokenEndpointError,
    },
    /// The token endpoint refused to give a credential for the upstream.
    UpstreamCredentialRefused {
        /// The endpoint; or the resource, if its server refused it.
        endpoint: String,
        /// Why.
        error: TokenEndpointError,
    },
    /// As many requests wait, or so much of them, as may ([`crate::waiting`]).
    Overloaded {
        /// How many wait.
        held: usize,
    },
    /// The configuration was refused, so everything is.
    Misconfigured,
    /// The proxy did not do what was asked of it.
    Host(&'static str),
}

/// Why a body cannot be looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MediaError {
    /// There is not exactly one `Content-Type`, or it is not `application/json`.
    Type,
    /// It is compressed.
    Encoding,
}

impl Refusal {
    /// The HTTP status (RFC 6750 section 3.1; MCP authorization, Error Handling).
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Path(_)
            | Self::Head
            | Self::Credentials(_)
            | Self::Message(_)
            | Self::UnexpectedBody
            | Self::HeaderMismatch(_)
            | Self::AmbiguousUri => 400,
            Self::MissingToken | Self::Token(_) | Self::Proof(_) => 401,
            Self::InsufficientScope(_) | Self::Origin | Self::Denied { .. } => 403,
            Self::Unmatched | Self::NoDocument | Self::Session => 404,
            Self::Method | Self::EndpointMethod => 405,
            Self::TooLarge { .. } => 413,
            Self::Media(_) => 415,
            Self::UnreadableList | Self::EarlyResponse | Self::UpstreamCredentialRefused { .. } => 502,
            // Never 401: that would make a client throw a good token away.
            Self::KeysUnavailable { .. }
            | Self::IntrospectionUnavailable { .. }
            | Self::UpstreamCredentialUnavailable { .. }
            | Self::Overloaded { .. }
            | Self::Misconfigured
            | Self::RouteResource(_)
            | Self::Host(_) => 503,
        }
    }

    /// The `error` of the JSON body.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Path(_)
            | Self::Head
            | Self::Credentials(_)
            | Self::Media(_)
            | Self::TooLarge { .. }
            | Self::Message(_)
            | Self::UnexpectedBody
            | Self::HeaderMismatch(_)
            | Self::AmbiguousUri => "invalid_request",
            // RFC 6750 section 3.1 forbids an error code in the *challenge*; the body needs a word all the same.
            Self::MissingToken => "missing_token",
            Self::Token(_) => "invalid_token",
            Self::Proof(error) => error.code(),
            Self::InsufficientScope(_) => "insufficient_scope",
            // No scope can cure these, so they must not send a client to its authorization server.
            Self::Origin | Self::Denied { .. } => "access_denied",
            Self::Unmatched | Self::NoDocument | Self::Session => "not_found",
            Self::Method | Self::EndpointMethod => "method_not_allowed",
            Self::UnreadableList | Self::EarlyResponse | Self::UpstreamCredentialRefused { .. } => "bad_gateway",
            Self::KeysUnavailable { .. }
            | Self::IntrospectionUnavailable { .. }
            | Self::UpstreamCredentialUnavailable { .. }
            | Self::Overloaded { .. }
            | Self::Misconfigured
            | Self::RouteResource(_)
            | Self::Host(_) => "temporarily_unavailable",
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
            Self::Credentials(CredentialsError::Malformed) => "the credentials are malformed",
            Self::Credentials(CredentialsError::TooLong(_)) => "the access token is too long",
            Self::Token(error) => error.description(),
            Self::Proof(error) => error.description(),
            Self::InsufficientScope(_) => "the access token does not carry the needed permissions",
            Self::Origin => "the origin is not allowed",
            Self::EndpointMethod => "the endpoint has no such method",
            Self::Media(MediaError::Type) => "the body must be application/json",
            Self::Media(MediaError::Encoding) => "the body must not be compressed",
            Self::TooLarge { .. } => "the body is too large",
            Self::Message(_) => "the body is no well-formed message",
            Self::UnexpectedBody => "the request must not have a body",
            Self::HeaderMismatch(_) => "the headers do not fit the body",
            Self::AmbiguousUri => "the resource URI is ambiguous",
            Self::Denied { .. } => "this is not allowed to the caller",
            Self::UnreadableList => "the list of the server cannot be read",
            Self::EarlyResponse => "the server answered before the request was complete",
            Self::Session => "no such session",
            Self::KeysUnavailable { .. } => "the keys of the authorization server are not available",
            Self::IntrospectionUnavailable { .. } => "the authorization server is not available",
            Self::UpstreamCredentialUnavailable { .. } => "the credential for the server is not available",
            Self::UpstreamCredentialRefused { .. } => "the credential for the server was refused",
            Self::Overloaded { .. } => "too many requests wait",
            Self::Misconfigured | Self::RouteResource(_) => "the gateway is misconfigured",
            Self::Host(_) => "the gateway failed",
        }
    }

    /// The code of a JSON-RPC error, where the request can be answered with one.
    ///
    /// MCP defines none for a denial and wants new ones outside the range that JSON-RPC keeps for itself (base protocol,
    /// Error Codes); 403 says what it is.
    pub(crate) fn rpc_code(&self) -> Option<i32> {
        match self {
            Self::HeaderMismatch(_) => Some(-32020),
            // JSON-RPC 2.0 section 5.1: invalid params, invalid request.
            Self::Message(MessageError::Member(member) | MessageError::Control(member)) if is_parameter(member) => {
                Some(-32602)
            }
            Self::Message(_) => Some(-32600),
            Self::AmbiguousUri => Some(-32602),
            Self::InsufficientScope(_) | Self::Denied { .. } => Some(403),
            _ => None,
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
            Self::Proof(error) => error.reason(),
            Self::InsufficientScope(_) => "mcp_oauth_insufficient_scope",
            Self::Origin => "mcp_oauth_origin",
            Self::EndpointMethod => "mcp_oauth_method",
            Self::Media(_) => "mcp_oauth_media_type",
            Self::TooLarge { .. } => "mcp_oauth_body_too_large",
            Self::Message(_) | Self::UnexpectedBody => "mcp_oauth_malformed_message",
            Self::HeaderMismatch(_) => "mcp_oauth_header_mismatch",
            Self::AmbiguousUri => "mcp_oauth_ambiguous_uri",
            Self::Denied { .. } => "mcp_oauth_denied",
            Self::UnreadableList => "mcp_oauth_unreadable_list",
            Self::EarlyResponse => "mcp_oauth_early_response",
            Self::Session => "mcp_oauth_session",
            Self::KeysUnavailable { .. } => "mcp_oauth_keys_unavailable",
            Self::IntrospectionUnavailable { .. } => "mcp_oauth_introspection_unavailable",
            Self::UpstreamCredentialUnavailable { .. } => "mcp_oauth_upstream_credential_unavailable",
            Self::UpstreamCredentialRefused { .. } => "mcp_oauth_upstream_credential_refused",
            Self::Overloaded { .. } => "mcp_oauth_overloaded",
            Self::Misconfigured => "mcp_oauth_misconfigured",
            Self::RouteResource(_) => "mcp_oauth_route_resource",
            Self::Host(_) => "mcp_oauth_host_failure",
        }
    }
}

fn is_parameter(member: &str) -> bool {
    member.starts_with("params.")
}

/// For the operator: the cause, with values that are safe to log.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(error) => error.fmt(f),
            Self::Credentials(error) => error.fmt(f),
            Self::Token(error) => write!(f, "token: {error}"),
            Self::Proof(error) => write!(f, "DPoP proof: {error}"),
            Self::InsufficientScope(error) => {
                use alloc::string::ToString as _;
                let (granted, needed) = (error.granted.to_string(), error.needed.to_string());
                write!(f, "token: scopes `{}` are not enough, asked for `{}`", Shown(&granted), Shown(&needed))
            }
            Self::Message(error) => write!(f, "body: {error}"),
            Self::HeaderMismatch(error) => error.fmt(f),
            Self::Denied { rule: Some(rule) } => write!(f, "denied by `rules[{rule}]`"),
            Self::Denied { rule: None } => f.write_str("denied: no rule allows it"),
            Self::TooLarge { most } => write!(f, "the body is longer than `{most}` bytes"),
            Self::KeysUnavailable { issuer, retry_after } => {
                write!(f, "keys: issuer `{issuer}`: none available, next try in `{retry_after}` s")
            }
            Self::IntrospectionUnavailable { issuer, error } => write!(f, "introspection: issuer `{issuer}`: {error}"),
            Self::UpstreamCredentialUnavailable { endpoint, error }
            | Self::UpstreamCredentialRefused { endpoint, error } => {
                write!(f, "upstream credential: `{}`: {error}", WithoutQuery(endpoint))
            }
            Self::Overloaded { held } => write!(f, "too much waits already, in `{held}` requests"),
            Self::RouteResource(name) => {
                write!(f, "the route names `{}`, which is no configured resource", Shown(name))
            }
            Self::Host(call) => write!(f, "the proxy failed at `{call}`"),
            other => f.write_str(other.description()),
        }
    }
}
