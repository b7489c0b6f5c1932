//! `identity_headers`: the names of the headers that carry the caller's identity.

use alloc::{sync::Arc, vec::Vec};

use super::reader::{At, Findings};
use crate::forward::IdentityHeaders;

pub(super) fn read_identity_headers(at: &At<'_>, findings: &mut Findings) -> IdentityHeaders {
    let mut headers = IdentityHeaders::default();
    let Some(members) = findings.object(at, &["subject", "client_id", "scopes", "issuer"]) else { return headers };
    let slots = [
        ("subject", &mut headers.subject),
        ("client_id", &mut headers.client_id),
        ("scopes", &mut headers.scopes),
        ("issuer", &mut headers.issuer),
    ];
    for (name, slot) in slots {
        let Some(at) = members.get(name) else { continue };
        *slot = if Findings::is_off(&at) { None } else { findings.parsed(&at, parse_header_name) };
    }
    let names: Vec<&Arc<str>> = headers.names().collect();
    let doubled = names.iter().enumerate().find(|(position, name)| names.iter().take(*position).any(|n| n == *name));
    if let Some((_, name)) = doubled {
        findings.add(&at.path, alloc::format!("`{name}` is used twice"));
    }
    headers
}

/// A header of the proxy or of the protocol must not become one that carries an identity.
fn parse_header_name(text: &str) -> Result<Arc<str>, &'static str> {
    const TAKEN: [&str; 24] = [
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "dpop",
        "expect",
        "host",
        "keep-alive",
        "last-event-id",
        "mcp-method",
        "mcp-name",
        "mcp-protocol-version",
        "mcp-session-id",
        "origin",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "www-authenticate",
    ];
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !text.bytes().all(legal) {
        Err("is no header name in lower-case letters, digits and hyphens")
    } else if TAKEN.contains(&text) {
        Err("has a meaning of its own")
    } else {
        Ok(text.into())
    }
}
