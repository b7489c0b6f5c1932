//! What no request may do, whatever fails around it.

use crate::headers::Headers;
use crate::token::{CLIENT, ISSUER, SCOPE, SUBJECT};
use crate::vm::{Stream, Vm};

/// The value of every identity header that a test's client makes up.
pub const FORGED: &str = "mallory";

/// How the filter broke its promise for this stream, if it did. `allowed` says whether the request
/// carries a token that the configuration accepts.
///
/// Forwarding counts as attempted when the callback returned "continue" without a local reply, or
/// `continue_stream` was called, with whatever success.
pub fn breach(vm: &mut Vm, stream: Stream, allowed: bool) -> Option<String> {
    let attempts = vm.upstream_attempts(stream);
    attempts.iter().find_map(|headers| breach_by(headers, allowed)).map(|what| format!("{what}: {attempts:?}"))
}

fn breach_by(headers: &Headers, allowed: bool) -> Option<String> {
    if !allowed {
        return Some("forwarded without a good token".to_owned());
    }
    for name in ["authorization", "dpop", "proxy-authorization"] {
        if headers.bytes(name).is_some() {
            return Some(format!("forwarded with `{name}`"));
        }
    }
    if headers.mentions(FORGED) {
        return Some("forwarded with a client-sent identity".to_owned());
    }
    let identity = [("subject", SUBJECT), ("client-id", CLIENT), ("scopes", SCOPE), ("issuer", ISSUER)];
    for (name, value) in identity {
        if headers.bytes(format!("x-mcp-{name}")) != Some(value.as_bytes()) {
            return Some(format!("forwarded without the verified `x-mcp-{name}`"));
        }
    }
    None
}
