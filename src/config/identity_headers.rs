//! `identity_headers`: the names of the headers that carry the caller's identity.

use alloc::{sync::Arc, vec::Vec};

use super::{
    reader::{At, Findings},
    required_text,
};
use crate::{claim::ClaimPath, claim_headers::ClaimHeader, forward::IdentityHeaders};

/// More than a server reads; each is looked for in each new token.
const MAX_CLAIM_HEADERS: usize = 32;

pub(super) fn read_identity_headers(at: &At<'_>, findings: &mut Findings) -> IdentityHeaders {
    let mut headers = IdentityHeaders::default();
    let Some(members) = findings.object(at, &["subject", "client_id", "scopes", "issuer", "claims"]) else {
        return headers;
    };
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
    if let Some(at) = members.get("claims") {
        headers.claims = read_claims(&at, findings);
    }
    let names: Vec<&Arc<str>> = headers.names().collect();
    let doubled = names.iter().enumerate().find(|(position, name)| names.iter().take(*position).any(|n| n == *name));
    if let Some((_, name)) = doubled {
        findings.add(&at.path, alloc::format!("`{name}` is used twice"));
    }
    headers
}

fn read_claims(at: &At<'_>, findings: &mut Findings) -> Vec<ClaimHeader> {
    let items = findings.items(at);
    if items.len() > MAX_CLAIM_HEADERS {
        findings.add(&at.path, alloc::format!("has `{}` entries, more than {MAX_CLAIM_HEADERS}", items.len()));
        return Vec::new();
    }
    let read = |at: &At<'_>| {
        let members = findings.object(at, &["claim", "header"])?;
        let claim = required_text(&members, "claim", findings).map(|claim| ClaimPath(claim.into_owned()));
        let header = members.get("header");
        if header.is_none() {
            findings.add(&members.place("header"), "is missing");
        }
        let name = header.and_then(|at| findings.parsed(&at, parse_header_name));
        Some(ClaimHeader { claim: claim?, name: name? })
    };
    items.iter().filter_map(read).collect()
}

/// A header of the proxy or of the protocol must not become one that carries an identity.
pub(super) fn parse_header_name(text: &str) -> Result<Arc<str>, &'static str> {
    const TAKEN: [&str; 36] = [
        "accept",
        "authorization",
        "cache-control",
        "connection",
        "cookie",
        "date",
        "dpop",
        "expect",
        "forwarded",
        "host",
        "http2-settings",
        "keep-alive",
        "last-event-id",
        "max-forwards",
        "origin",
        "pragma",
        "range",
        "referer",
        "set-cookie",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
        "www-authenticate",
        "x-forwarded-client-cert",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-http-method-override",
        "x-real-ip",
        "x-request-id",
    ];
    const TAKEN_PREFIXES: [&str; 8] =
        ["accept-", "access-control-", "content-", "if-", "mcp-", "proxy-", "sec-", "x-envoy-"];
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !text.bytes().all(legal) {
        Err("is no header name in lower-case letters, digits and hyphens")
    } else if TAKEN.contains(&text) || TAKEN_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
        Err("has a meaning of its own")
    } else {
        Ok(text.into())
    }
}
