//! Who may ask from a browser: validation of `Origin` (MCP transports, Security Warning) and cross-origin headers (Fetch
//! standard), so that clients that run in a browser can read challenges and documents.
//!
//! The credential is a header that a page must hold, never a cookie that a browser adds, so every origin may ask unless
//! the operator lists the ones that may.

use core::time::Duration;

use alloc::{borrow::Cow, sync::Arc, vec, vec::Vec};

use crate::{
    reply::{Header, Reply},
    request::Line,
};

/// `Access-Control-Allow-Origin` where every origin may ask.
pub const ALLOW_ORIGIN: &str = "*";

/// The response headers that clients need and that a browser would hide.
pub const EXPOSE_HEADERS: &str = "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After, DPoP-Nonce";

/// What a document answers to.
pub(crate) const DOCUMENT_METHODS: &str = "GET, HEAD, OPTIONS";

/// What an MCP endpoint answers to (MCP transports, Streamable HTTP, all revisions).
pub(crate) const ENDPOINT_METHODS: &str = "GET, POST, DELETE, OPTIONS";

/// Two hours is the longest that Chromium keeps a preflight's answer.
pub(crate) const MAX_AGE: Duration = Duration::from_secs(7200);

/// The origins that may ask for a resource, and what a browser is told.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    /// `None`: all of them.
    pub(crate) allowed: Option<Vec<Arc<str>>>,
    pub(crate) expose: Arc<str>,
    pub(crate) max_age: Duration,
}

impl Default for Origins {
    fn default() -> Self {
        Self { allowed: None, expose: EXPOSE_HEADERS.into(), max_age: MAX_AGE }
    }
}

/// The origin of one request, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// There is none: not a browser, or a request to its own origin.
    Absent,
    /// There is one, and all may ask.
    Any,
    /// It is this one of the list.
    Listed(Arc<str>),
    /// It may not ask.
    Refused,
}

impl Origins {
    /// Compares code point by code point: browsers write an origin in one way only (RFC 6454 section 6.2).
    pub(crate) fn judge(&self, origin: Line<'_>) -> Origin {
        match (origin, &self.allowed) {
            (Line::Absent, _) => Origin::Absent,
            (_, None) => Origin::Any,
            (Line::One(origin), Some(allowed)) => {
                let listed = allowed.iter().find(|listed| listed.as_bytes() == origin);
                listed.map_or(Origin::Refused, |listed| Origin::Listed(Arc::clone(listed)))
            }
            (Line::Several, Some(_)) => Origin::Refused,
        }
    }

    /// The headers of every reply, so that a page can read it.
    pub(crate) fn headers(&self, origin: &Origin) -> Vec<Header> {
        let allow = match (origin, &self.allowed) {
            (Origin::Listed(origin), _) => Some(Cow::Owned((**origin).into())),
            (Origin::Absent | Origin::Any, None) => Some(Cow::Borrowed(ALLOW_ORIGIN)),
            _ => None,
        };
        let expose = allow.is_some().then(|| ("access-control-expose-headers", Cow::Owned((*self.expose).into())));
        let vary = self.allowed.is_some().then_some(("vary", Cow::Borrowed("Origin")));
        allow.map(|allow| ("access-control-allow-origin", allow)).into_iter().chain(expose).chain(vary).collect()
    }

    /// The answer to a preflight for the endpoint, before any authentication: browsers send none with it.
    pub(crate) fn preflight(&self, origin: &Origin, wanted_headers: Option<&[u8]>) -> Reply {
        let allow = match origin {
            Origin::Listed(origin) => Cow::Owned((**origin).into()),
            _ => Cow::Borrowed(ALLOW_ORIGIN),
        };
        preflight(allow, ENDPOINT_METHODS, self.max_age, wanted_headers)
    }
}

pub(crate) const fn exposed() -> [Header; 2] {
    [
        ("access-control-allow-origin", Cow::Borrowed(ALLOW_ORIGIN)),
        ("access-control-expose-headers", Cow::Borrowed(EXPOSE_HEADERS)),
    ]
}

/// The answer to a preflight for a document, which everybody may read.
pub(crate) fn document_preflight(wanted_headers: Option<&[u8]>) -> Reply {
    preflight(Cow::Borrowed(ALLOW_ORIGIN), DOCUMENT_METHODS, MAX_AGE, wanted_headers)
}

/// The wanted header names are echoed, because `Mcp-Param-*` is an open set and `*` does not cover `Authorization`; but
/// only if they are nothing but header names.
fn preflight(
    origin: Cow<'static, str>,
    methods: &'static str,
    max_age: Duration,
    wanted_headers: Option<&[u8]>,
) -> Reply {
    let vary = if origin == ALLOW_ORIGIN {
        "Access-Control-Request-Headers"
    } else {
        "Origin, Access-Control-Request-Headers"
    };
    let mut headers: Vec<Header> = vec![
        ("access-control-allow-origin", origin),
        ("access-control-allow-methods", Cow::Borrowed(methods)),
        ("access-control-max-age", Cow::Owned(alloc::format!("{}", max_age.as_secs()))),
        ("vary", Cow::Borrowed(vary)),
        ("cache-control", Cow::Borrowed("no-store")),
    ];
    let names = wanted_headers.filter(|names| names.iter().all(|byte| is_name_list_byte(*byte)));
    if let Some(names) = names.and_then(|names| str::from_utf8(names).ok()).filter(|names| !names.is_empty()) {
        headers.push(("access-control-allow-headers", Cow::Owned(names.into())));
    }
    Reply::document(204, headers, Vec::new(), "mcp_oauth_preflight")
}

/// `tchar` of RFC 9110 section 5.6.2, and what separates names.
const fn is_name_list_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~' | b',' | b' '
        )
}
