//! What a token endpoint answers (RFC 6749 sections 5.1 and 5.2, RFC 8693 section 2.2).

use core::{fmt, time::Duration};

use alloc::{borrow::ToOwned, string::String};

use crate::{
    fetch::{Answer, FetchError},
    json::{self, JsonError, Object, Value},
    secret::Secret,
    shown::Shown,
};

/// A longer token would not fit into the headers of most servers.
pub(crate) const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// How long a token is kept of which the endpoint does not say how long it lives (RFC 6749 section 5.1: "recommended").
pub(crate) const UNSAID_LIFETIME: Duration = Duration::from_secs(60);

/// Ten years: no answer means that.
const MAX_LIFETIME_SECONDS: u64 = 10 * 366 * 24 * 3600;

/// The grant that was asked for: an answer to a token exchange must say more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GrantType {
    TokenExchange,
    ClientCredentials,
}

/// A token for the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Issued {
    pub(crate) token: Secret,
    /// From now.
    pub(crate) lifetime: Duration,
}

/// Why a token endpoint gave no usable token. For the operator's log only.
///
/// Does NOT hold what the endpoint wrote, but for its `error` and a short number: a token may stand in any other member.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenEndpointError {
    /// It refused the request, with this status and `error` (RFC 6749 section 5.2).
    Refused {
        /// `:status`, 400 to 499.
        status: String,
        /// The code, from the endpoint.
        error: String,
    },
    /// The server itself answered 401.
    Server,
    /// There was no answer, or not one with JSON and status 200.
    Fetch(FetchError),
    /// The answer is not strict JSON.
    Json(JsonError),
    /// A member is missing.
    Missing(&'static str),
    /// A member is no text.
    NotText(&'static str),
    /// `access_token` has this many bytes, more than a header takes.
    TokenLength(usize),
    /// `access_token` is empty, or has characters other than visible ASCII.
    TokenForm,
    /// `token_type` is not Bearer but this one; `None` if it is none that is registered.
    TokenType(Option<&'static str>),
    /// `issued_token_type` is neither an access token nor a JWT but this; `None` if it is none that is registered.
    IssuedTokenType(Option<&'static str>),
    /// `expires_in` is no whole number from 1 to the seconds of ten years: a short number, or what kind of value it is.
    Lifetime(String),
}

impl fmt::Display for TokenEndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { status, error } => write!(f, "refused with `{}`, `{}`", Shown(status), Shown(error)),
            Self::Server => f.write_str("the server answered 401"),
            Self::Fetch(error) => error.fmt(f),
            Self::Json(error) => write!(f, "the answer: {error}"),
            Self::Missing(member) => write!(f, "the answer has no `{member}`"),
            Self::NotText(member) => write!(f, "`{member}` of the answer is no text"),
            Self::TokenLength(bytes) => {
                write!(f, "the token of the answer has `{bytes}` bytes, more than `{MAX_TOKEN_BYTES}`")
            }
            Self::TokenForm => f.write_str("the token of the answer is not one of visible ASCII characters"),
            Self::TokenType(Some(found)) => write!(f, "the answer has the token type `{found}` instead of Bearer"),
            Self::TokenType(None) => f.write_str("the answer has an unknown token type instead of Bearer"),
            Self::IssuedTokenType(Some(found)) => {
                write!(f, "the answer has a token of the type `{found}`, which is not an access token")
            }
            Self::IssuedTokenType(None) => f.write_str("the answer has a token of an unknown type"),
            Self::Lifetime(found) => write!(f, "`expires_in` of the answer is `{}`, no life of a token", Shown(found)),
        }
    }
}

impl TokenEndpointError {
    /// Whether the gate is refused, whoever calls (RFC 6749 section 5.2, RFC 8693 section 2.2.2), or there is no usable
    /// answer at all.
    pub(crate) fn is_about_gate(&self) -> bool {
        const CODES: [&str; 5] =
            ["invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_target"];
        match self {
            Self::Refused { error, .. } => CODES.contains(&error.as_str()),
            _ => true,
        }
    }

    /// Whether the endpoint is there and says no, so that asking again would not help.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

/// Reads the answer to a request for a token.
pub(crate) fn read(answer: Answer<'_>, grant_type: GrantType) -> Result<Issued, TokenEndpointError> {
    use TokenEndpointError as Error;
    let document = match answer.json() {
        Ok(document) => document,
        Err(error) => return Err(refusal(answer).unwrap_or(Error::Fetch(without_secrets(error)))),
    };
    let members = json::object(document.body).map_err(Error::Json)?;
    let token = text(&members, "access_token")?;
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Error::TokenLength(token.len()));
    }
    if token.is_empty() || !token.bytes().all(|byte| matches!(byte, 0x21..=0x7E)) {
        return Err(Error::TokenForm);
    }
    // RFC 6749 section 7.1: a client must not use a token whose type it does not understand. `N_A` of RFC 8693 section
    // 2.2.1 is for tokens that no server takes, and DPoP for those that only the holder of a key can present.
    let token_type = text(&members, "token_type")?;
    if !token_type.eq_ignore_ascii_case("bearer") {
        return Err(Error::TokenType(registered(&token_type, &TOKEN_TYPES)));
    }
    if grant_type == GrantType::TokenExchange {
        let issued = text(&members, "issued_token_type")?;
        if ![ACCESS_TOKEN, JWT].contains(&issued.as_str()) {
            return Err(Error::IssuedTokenType(registered(&issued, &ISSUED_TOKEN_TYPES)));
        }
    }
    Ok(Issued { token: Secret::from(token), lifetime: lifetime(&members)? })
}

/// RFC 8693 section 3.
pub(crate) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// IANA, OAuth Access Token Types, and the draft's that some servers still use.
const TOKEN_TYPES: [&str; 4] = ["DPoP", "PoP", "N_A", "mac"];
/// IANA, OAuth URI.
const ISSUED_TOKEN_TYPES: [&str; 5] = [
    "urn:ietf:params:oauth:token-type:refresh_token",
    "urn:ietf:params:oauth:token-type:id_token",
    "urn:ietf:params:oauth:token-type:saml1",
    "urn:ietf:params:oauth:token-type:saml2",
    "urn:ietf:params:oauth:token-type:id-jag",
];

fn registered(found: &str, names: &[&'static str]) -> Option<&'static str> {
    names.iter().copied().find(|name| found.eq_ignore_ascii_case(name))
}

/// A media type is shown if it looks like one.
fn without_secrets(error: FetchError) -> FetchError {
    const KINDS: [&str; 5] = ["application/", "text/", "multipart/", "image/", "message/"];
    match error {
        FetchError::ContentType(found)
            if !found.is_empty()
                && (found.len() > MAX_MEDIA_TYPE_BYTES || !KINDS.iter().any(|kind| found.starts_with(kind))) =>
        {
            FetchError::ContentType("an unknown media type".to_owned())
        }
        error => error,
    }
}

const MAX_MEDIA_TYPE_BYTES: usize = 40;
/// Ten years have nine digits.
const MAX_NUMBER_BYTES: usize = 12;

fn lifetime(members: &Object<'_>) -> Result<Duration, TokenEndpointError> {
    let Some(value) = members.get("expires_in") else { return Ok(UNSAID_LIFETIME) };
    let written = value.as_number();
    let seconds = written.and_then(|number| number.parse().ok());
    let seconds = seconds.filter(|seconds| (1..=MAX_LIFETIME_SECONDS).contains(seconds));
    // A text may be anything, and so may many digits: then the kind must do.
    let short = written.filter(|number| number.len() <= MAX_NUMBER_BYTES);
    let shown = || short.map_or_else(|| alloc::format!("{:?}", value.kind()), ToOwned::to_owned);
    seconds.map(Duration::from_secs).ok_or_else(|| TokenEndpointError::Lifetime(shown()))
}

fn text(members: &Object<'_>, name: &'static str) -> Result<String, TokenEndpointError> {
    let value = members.get(name).ok_or(TokenEndpointError::Missing(name))?;
    value.as_text().map(alloc::borrow::Cow::into_owned).ok_or(TokenEndpointError::NotText(name))
}

/// A 4xx with an error of RFC 6749 section 5.2. 408 and 429 say that it is worth asking again.
fn refusal(answer: Answer<'_>) -> Option<TokenEndpointError> {
    let Answer::Response { status, body, .. } = answer else { return None };
    let status = str::from_utf8(status).ok()?;
    let is_refused = status.len() == 3 && status.starts_with('4') && !["408", "429"].contains(&status);
    if !is_refused || body.len() > MAX_ERROR_BYTES {
        return None;
    }
    let error = json::object(body).ok()?.get("error").and_then(Value::as_text)?;
    // RFC 6749 section 5.2: characters of a scope-token, and spaces.
    let is_code = (1..=MAX_CODE_BYTES).contains(&error.len())
        && error.bytes().all(|byte| matches!(byte, b' ' | 0x21 | 0x23..=0x5B | 0x5D..=0x7E));
    is_code.then(|| TokenEndpointError::Refused { status: status.to_owned(), error: error.into_owned() })
}

const MAX_ERROR_BYTES: usize = 64 * 1024;

/// The longest that is registered has 28; what is longer may be a text with a token in it.
const MAX_CODE_BYTES: usize = 64;
