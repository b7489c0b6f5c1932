//! Whether a proof was made for the URI of the request (RFC 9449 section 4.3, check 9).

use alloc::string::String;
use url::Url;

/// The URIs that a proof may name.
#[derive(Clone, Copy)]
pub(super) struct Target<'t> {
    /// The resource identifier, in normal form.
    pub(super) resource: &'t str,
    /// The part of it before the path.
    pub(super) origin: &'t str,
    /// The path of the request, which has one spelling only ([`crate::path`]).
    pub(super) path: &'t str,
}

impl Target<'_> {
    /// Query and fragment do not count. Scheme and host are those that clients know; what a proxy in between made of them
    /// does not.
    pub(super) fn is_named_by(self, uri: &str) -> bool {
        let uri = uri.split(['?', '#']).next().unwrap_or_default();
        self.is(uri) || normalize(uri).is_some_and(|uri| self.is(&uri))
    }

    /// The resource identifier itself may stand for every path below it: some clients know no other.
    fn is(self, uri: &str) -> bool {
        let own = self.resource.strip_prefix(self.origin).unwrap_or_default();
        let is_own = |path| path == own || (own.is_empty() && path == "/");
        uri.strip_prefix(self.origin).is_some_and(|path| path == self.path || is_own(path))
    }
}

/// RFC 3986 sections 6.2.2 and 6.2.3: case, percent-encoding, dot segments, default port and empty path. `None` for what
/// readers of URIs differ on.
fn normalize(uri: &str) -> Option<String> {
    let (_, rest) = uri.split_once("://")?;
    let is_plain = uri.bytes().all(|byte| matches!(byte, 0x21..=0x7E) && byte != b'\\');
    if !is_plain || rest.starts_with('/') {
        return None;
    }
    let url = Url::parse(uri).ok()?;
    if !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let mut normal = alloc::format!("{}://{}", url.scheme(), url.host_str()?);
    if let Some(port) = url.port() {
        normal.push_str(&alloc::format!(":{port}"));
    }
    let mut rest = url.path();
    while let Some((before, encoded)) = rest.split_once('%') {
        normal.push_str(before);
        let (digits, after) = encoded.split_at_checked(2)?;
        let byte = u8::from_str_radix(digits, 16).ok()?;
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            normal.push(char::from(byte));
        } else {
            normal.push_str(&alloc::format!("%{byte:02X}"));
        }
        rest = after;
    }
    normal.push_str(rest);
    Some(normal)
}
