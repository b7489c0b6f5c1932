//! What a person sees who opens the URL of a resource in a browser: the same 401, with a page that says how to use it.
//!
//! Everything in it is from the configuration and nothing of the request. It loads nothing, and its policy (CSP level 3) lets it
//! run and style itself by hash only.

use alloc::{borrow::Cow, string::String, vec::Vec};

use crate::{metadata::Description, policy::ResourcePolicy, reply::Header, request::Line};

/// HTML, and between two [`MARK`]s the name of a value.
const TEMPLATE: &[u8] = include_bytes!("page.html");
const MARK: u8 = b'|';

/// The hashes are of the template's style and script; a test makes them anew.
const POLICY: &str = "default-src 'none'; style-src 'sha256-M8+mlMID/IDzRbjsg71OA5WqPjj86UrXyoABE+3kDjc='; \
                      script-src 'sha256-4CPU+Cb/dzRgoiW7Lp/saZn+LrraGWnnoXkC4JwIYXg='; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

pub(crate) const MEDIA_TYPE: &str = "text/html; charset=utf-8";

pub(crate) const HEADERS: [Header; 3] = [
    ("content-security-policy", Cow::Borrowed(POLICY)),
    ("x-content-type-options", Cow::Borrowed("nosniff")),
    ("referrer-policy", Cow::Borrowed("no-referrer")),
];

/// Clients let people call tools by the name of their server, which is why theirs are short.
const MAX_NAME_BYTES: usize = 40;

/// What the page says besides what the policy says.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    name: Option<String>,
    documentation: Option<String>,
}

impl Page {
    pub(crate) fn new(description: &Description) -> Self {
        Self { name: description.name.clone(), documentation: description.documentation.clone() }
    }

    /// The page of a resource.
    pub(crate) fn render(&self, resource: &ResourcePolicy) -> Vec<u8> {
        let uri = resource.uri();
        let (_, place) = uri.split_once("://").unwrap_or_default();
        let mut page = Vec::with_capacity(TEMPLATE.len().saturating_mul(2));
        for part in TEMPLATE.split(|byte| *byte == MARK) {
            match part {
                b"name" => escape(self.name.as_deref().unwrap_or(place), &mut page),
                b"resource" => escape(uri, &mut page),
                b"key" => name_server(place, &mut page),
                b"metadata" => escape(resource.terms().metadata_url, &mut page),
                b"claude_code" => {
                    // A shell must read the address as it is.
                    if uri.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte)) {
                        write(&mut page, b"<p>Claude Code:</p>\n<pre>claude mcp add --transport http ");
                        name_server(place, &mut page);
                        page.push(b' ');
                        write(&mut page, uri.as_bytes());
                        write(&mut page, b"</pre>\n");
                    }
                }
                b"documentation" => {
                    if let Some(url) = &self.documentation {
                        write(&mut page, b"<a href=\"");
                        escape(url, &mut page);
                        write(&mut page, b"\">Documentation</a>. ");
                    }
                }
                text => write(&mut page, text),
            }
        }
        page
    }
}

/// Whether a request looks like a person's: it asks for `text/html`, and not also for what MCP clients ask for (MCP transports,
/// Streamable HTTP).
pub(crate) fn is_wanted(method: &[u8], accept: Line<'_>) -> bool {
    let Line::One(accept) = accept else { return false };
    if !matches!(method, b"GET" | b"HEAD") {
        return false;
    }
    let mut wanted = false;
    for range in accept.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        let media_type = range.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
        let is = |known: &str| media_type.eq_ignore_ascii_case(known.as_bytes());
        if is("application/json") || is("text/event-stream") {
            return false;
        }
        wanted |= is("text/html") && media_type.len() == range.len();
    }
    wanted
}

/// Apart, so that the module has it once and not at each place.
#[inline(never)]
fn write(page: &mut Vec<u8>, text: &[u8]) {
    page.extend_from_slice(text);
}

/// Writes a text into HTML, as content or as a quoted attribute.
fn escape(text: &str, page: &mut Vec<u8>) {
    for byte in text.bytes() {
        let escaped: &[u8] = match byte {
            b'&' => b"&amp;",
            b'<' => b"&lt;",
            b'>' => b"&gt;",
            b'"' => b"&quot;",
            _ => &[byte],
        };
        write(page, escaped);
    }
}

/// Writes what people may call a server in their clients: letters, digits and hyphens of its address.
fn name_server(place: &str, page: &mut Vec<u8>) {
    let end = page.len().saturating_add(MAX_NAME_BYTES);
    for byte in place.bytes() {
        if byte.is_ascii_alphanumeric() {
            page.push(byte);
        } else if page.last().is_some_and(u8::is_ascii_alphanumeric) {
            page.push(b'-');
        }
    }
    page.truncate(end);
    if page.last() == Some(&b'-') {
        page.pop();
    }
}
