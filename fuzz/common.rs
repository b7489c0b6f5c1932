//! What the targets share: keys and tokens of the tests, a strict reader of JSON, and what holds for every answer.

#![allow(dead_code, reason = "no target uses all of it")]

#[path = "../tests/core/messages/oracle.rs"]
pub(crate) mod oracle;
#[path = "../tests/core/support.rs"]
pub(crate) mod support;

use std::collections::BTreeMap;

use mcp_oauth::{
    forward::{Edit, Forward},
    gate::{Gate, Verdict},
    reply::Reply,
    request::Request,
    time::UnixTime,
};
use serde_json::{Map, Value};

/// The document, if `serde_json` reads it and no object has a name twice.
pub(crate) fn strict(text: &[u8]) -> Option<Value> {
    let document = serde_json::from_slice::<Value>(&oracle::tame(text)).ok()?;
    (oracle::colons(text) == oracle::members(&document)).then_some(document)
}

pub(crate) fn strict_object(text: &[u8]) -> Option<Map<String, Value>> {
    match strict(text)? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// base64url without padding in its only spelling, written without the crate that the core uses.
pub(crate) fn base64url(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for byte in text.bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    // What is left over of the last letter is less than a letter, and zero.
    (held < 6 && bits == 0).then_some(bytes)
}

/// Puts a request to a gate.
pub(crate) fn ask(gate: &mut Gate, id: u32, lines: &[(Vec<u8>, Vec<u8>)], now: UnixTime) -> Verdict {
    let request = Request::new(lines.iter().map(|(name, value)| (&**name, &**value)), gate.policy().identity_headers());
    gate.on_request(id, &request, now)
}

pub(crate) fn line(name: &str, value: impl AsRef<[u8]>) -> (Vec<u8>, Vec<u8>) {
    (name.as_bytes().to_vec(), value.as_ref().to_vec())
}

/// A POST to the shared resource with this `Authorization`.
pub(crate) fn post(authorization: impl AsRef<[u8]>) -> Vec<(Vec<u8>, Vec<u8>)> {
    vec![
        line(":method", "POST"),
        line(":authority", "mcp.example.com"),
        line(":path", "/mcp"),
        line("content-type", "application/json"),
        line("authorization", authorization),
    ]
}

pub(crate) fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, 0x20..=0x7E))
}

/// What every answer is, whatever was asked.
pub(crate) fn check_reply(reply: &Reply) {
    for (name, value) in reply.headers() {
        assert!(is_visible(value), "{name}: {value:?}");
        if name == "www-authenticate" {
            challenges(value);
        }
    }
    let is_empty = matches!(reply.status(), 204 | 304);
    let is_json = strict_object(reply.body()).is_some();
    assert!(if is_empty { reply.body().is_empty() } else { is_json }, "{reply:?}");
    let challenges = reply.headers().filter(|(name, _)| *name == "www-authenticate").count();
    assert!(challenges <= 1 && (reply.status() != 401 || challenges == 1), "{reply:?}");
    if let Some(refusal) = reply.refusal() {
        assert!(is_visible(&refusal.to_string()), "for the log: {refusal:?}");
    }
}

/// What goes upstream is one header line per edit, and no credential of the client.
pub(crate) fn check_forward(forward: &Forward) {
    let mut removes = false;
    for edit in forward.edits() {
        match edit {
            Edit::Remove(name) => removes |= name.eq_ignore_ascii_case(b"authorization"),
            // A path is the client's, without its token; its bytes were judged.
            Edit::Set(name, value) | Edit::Add(name, value) => {
                assert!(value.iter().all(|byte| matches!(byte, 0x20..=0x7E)), "{name}: {}", value.escape_ascii());
            }
        }
    }
    assert!(removes, "the client's token stays: {forward:?}");
}

/// A challenge: its scheme and its parameters.
pub(crate) type Challenge = (String, BTreeMap<String, String>);

/// Reads `WWW-Authenticate` in the one form that all clients read: every value quoted, nothing escaped.
pub(crate) fn challenges(value: &str) -> Vec<Challenge> {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let (mut found, mut rest) = (Vec::<Challenge>::new(), value);
    loop {
        if let Some((scheme, after)) = rest.split_once(' ').filter(|(scheme, _)| is_name(scheme)) {
            found.push((scheme.to_owned(), BTreeMap::new()));
            rest = after;
        }
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("no parameter in {rest:?} of {value:?}"));
        let (text, after) = after.split_once('"').unwrap_or_else(|| panic!("no end in {after:?} of {value:?}"));
        assert!(is_name(name) && is_visible(text) && !text.contains('\\'), "{name}={text:?} in {value:?}");
        let (_, parameters) = found.last_mut().unwrap_or_else(|| panic!("no scheme in {value:?}"));
        assert!(parameters.insert(name.to_owned(), text.to_owned()).is_none(), "{name} twice in {value:?}");
        if after.is_empty() {
            return found;
        }
        rest = after.strip_prefix(", ").unwrap_or_else(|| panic!("{after:?} in {value:?}"));
    }
}

/// Whether a part of a secret is in a text: one of its pieces of twelve letters is in every 23 letters of it.
pub(crate) fn shows(text: &[u8], secret: &str) -> bool {
    let text = String::from_utf8_lossy(text);
    secret.as_bytes().chunks_exact(12).any(|piece| text.contains(&*String::from_utf8_lossy(piece)))
}

pub(crate) fn find(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
