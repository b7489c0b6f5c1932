//! Cross-origin headers (Fetch standard), so that clients that run in a browser can read challenges and documents.
//!
//! The origin is always `*`: the credential is a header that a page must hold, never a cookie that a browser adds.

use alloc::{borrow::Cow, vec, vec::Vec};

use crate::reply::{Header, Reply};

/// `Access-Control-Allow-Origin` on everything.
pub const ALLOW_ORIGIN: &str = "*";

/// The response headers that clients need and that a browser would hide.
pub const EXPOSE_HEADERS: &str = "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After";

/// What a document answers to.
pub(crate) const DOCUMENT_METHODS: &str = "GET, HEAD, OPTIONS";

/// What an MCP endpoint answers to (MCP transports, Streamable HTTP, all revisions).
pub(crate) const ENDPOINT_METHODS: &str = "GET, POST, DELETE, OPTIONS";

/// Two hours is the longest that Chromium keeps a preflight's answer.
const MAX_AGE: &str = "7200";

pub(crate) const fn exposed() -> [Header; 2] {
    [
        ("access-control-allow-origin", Cow::Borrowed(ALLOW_ORIGIN)),
        ("access-control-expose-headers", Cow::Borrowed(EXPOSE_HEADERS)),
    ]
}

/// The answer to a preflight, before any authentication: browsers send none with it.
///
/// The wanted header names are echoed, because `Mcp-Param-*` is an open set and `*` does not cover `Authorization`; but
/// only if they are nothing but header names.
pub(crate) fn preflight(methods: &'static str, wanted_headers: Option<&[u8]>) -> Reply {
    let mut headers: Vec<Header> = vec![
        ("access-control-allow-origin", Cow::Borrowed(ALLOW_ORIGIN)),
        ("access-control-allow-methods", Cow::Borrowed(methods)),
        ("access-control-max-age", Cow::Borrowed(MAX_AGE)),
        ("vary", Cow::Borrowed("Access-Control-Request-Headers")),
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
