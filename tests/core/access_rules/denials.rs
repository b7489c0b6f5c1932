//! How to say no (spec section 5.6): status, challenge and body of every case, byte by byte.

use mcp_oauth::{gate::Verdict, reply::Reply};
use serde_json::{Value, json};

use super::{call, post, ruled, scoped, with_rules};
use crate::support::{METADATA_URL, ask, gate, good_token, head, reply, reply_header};

/// Allows `a`, wants `wide` for `wide`, denies `no`, knows URIs, and takes batches.
fn config() -> Value {
    ruled(&json!({
        "rules": [
            { "tools": ["no"], "deny": true },
            { "resources": ["x://y"], "deny": true },
            { "tools": ["wide"], "scopes": ["wide"] },
            { "methods": ["notifications/cancelled"], "scopes": ["wide"] },
        ],
        "body": { "batches": true, "max_size": "1KiB" },
    }))
}

fn answer(token: &str, more: &[(&str, &str)], body: &str) -> Reply {
    reply(post(&mut gate(&config()), token, more, body))
}

/// A body with this id, or without one.
fn message(id: Option<&str>, rest: &str) -> String {
    let id = id.map(|id| format!("\"id\":{id},")).unwrap_or_default();
    format!("{{\"jsonrpc\":\"2.0\",{id}{rest}}}")
}

fn plain(code: &str, description: &str) -> String {
    format!("{{\"error\":\"{code}\",\"error_description\":\"{description}\"}}")
}

fn rpc(id: &str, code: i32, message: &str, error: &str) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{\"code\":{code},\"message\":\"{message}\",\
         \"data\":{{\"error\":\"{error}\"}}}}}}"
    )
}

const WIDE: &str = r#""method":"tools/call","params":{"name":"wide"}"#;
const NO: &str = r#""method":"tools/call","params":{"name":"no"}"#;
const DOTS: &str = r#""method":"resources/read","params":{"uri":"x://a/../y"}"#;
const LACKING: &str = "the access token does not carry the needed permissions";
const DENIED: &str = "this is not allowed to the caller";
const MISMATCH: &str = "the headers do not fit the body";
const AMBIGUOUS: &str = "the resource URI is ambiguous";
const IDS: [&str; 7] = ["\"1\"", "1", "-7", "1.5e3", "\"\\u0041\\\"\"", "\"ü\"", "12345678901234567890"];

fn insufficient(scopes: &str) -> String {
    format!(
        "Bearer error=\"insufficient_scope\", scope=\"{scopes}\", resource_metadata=\"{METADATA_URL}\", \
         error_description=\"{LACKING}\""
    )
}

/// Every header of a refusal besides the challenge.
#[track_caller]
fn assert_is(reply: &Reply, status: u16, challenge: Option<&str>, body: &str, name: &str) {
    assert_eq!(reply.status(), status, "{name}");
    assert_eq!(str::from_utf8(reply.body()), Ok(body), "{name}");
    let mut expected = vec![
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
        ("access-control-allow-origin", "*"),
        (
            "access-control-expose-headers",
            "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After, DPoP-Nonce",
        ),
    ];
    expected.extend(challenge.map(|challenge| ("www-authenticate", challenge)));
    assert_eq!(reply.headers().collect::<Vec<_>>(), expected, "{name}");
}

#[test]
fn a_request_is_answered_with_its_own_id() {
    let rows = [
        ("lacks scope", WIDE, 403, Some(insufficient("mcp:read wide")), (403, LACKING, "insufficient_scope"), vec![]),
        ("policy denial that no scope can fix", NO, 403, None, (403, DENIED, "access_denied"), vec![]),
        ("5.3: dot segments", DOTS, 400, None, (-32602, AMBIGUOUS, "invalid_request"), vec![]),
        ("header/body mismatch", WIDE, 400, None, (-32020, MISMATCH, "invalid_request"), vec![("mcp-name", "other")]),
    ];
    for (name, rest, status, challenge, (code, text, error), more) in rows {
        for id in IDS {
            let found = answer(&good_token(), &more, &message(Some(id), rest));
            let row = format!("{name}, id {id}");
            assert_is(&found, status, challenge.as_deref(), &rpc(id, code, text, error), &row);
            let parsed: Value = serde_json::from_slice(found.body()).expect("JSON");
            assert_eq!(parsed["id"], serde_json::from_str::<Value>(id).expect("JSON"), "{row}");
        }
    }
}

/// JSON-RPC 2.0 section 4.1: nobody answers a notification, and a batch has many ids.
#[test]
fn notifications_and_batches_are_answered_without_an_id() {
    let notified = r#""method":"notifications/cancelled""#;
    let batch = |messages: &[String]| format!("[{}]", messages.join(","));
    let (wide, no) = (message(Some("1"), WIDE), message(Some("2"), NO));
    let lacking = plain("insufficient_scope", LACKING);
    let denied = plain("access_denied", DENIED);
    let challenge = insufficient("mcp:read wide");
    let rows = [
        ("notification lacks scope", message(None, notified), 403, Some(&challenge), &lacking),
        ("notification of a call", message(None, WIDE), 403, Some(&challenge), &lacking),
        ("notification denied", message(None, NO), 403, None, &denied),
        (
            "batch element lacks scope",
            batch(&[message(Some("3"), r#""method":"ping""#), wide.clone()]),
            403,
            Some(&challenge),
            &lacking,
        ),
        ("batch of one", batch(std::slice::from_ref(&wide)), 403, Some(&challenge), &lacking),
        ("batch element denied", batch(&[message(Some("3"), r#""method":"ping""#), no.clone()]), 403, None, &denied),
        ("batch: a denial outweighs a lack", batch(&[wide, no]), 403, None, &denied),
    ];
    for (name, body, status, challenge, expected) in rows {
        assert_is(&answer(&good_token(), &[], &body), status, challenge.map(String::as_str), expected, name);
    }
    let dots = batch(&[message(Some("1"), DOTS)]);
    assert_is(&answer(&good_token(), &[], &dots), 400, None, &plain("invalid_request", AMBIGUOUS), "dots in a batch");
    let silent = message(None, WIDE);
    let mismatch = answer(&good_token(), &[("mcp-name", "other")], &silent);
    assert_is(&mismatch, 400, None, &plain("invalid_request", MISMATCH), "mismatch of a notification");
}

/// Name, token, more header lines, body; status, challenge, body of the answer.
type Unread<'r> = (&'r str, &'r str, Vec<(&'r str, &'r str)>, &'r str, u16, Option<&'r str>, String);

#[test]
fn what_was_not_read_is_answered_without_an_id() {
    let missing = format!("Bearer resource_metadata=\"{METADATA_URL}\", scope=\"mcp:read\"");
    let invalid = format!(
        "Bearer error=\"invalid_token\", error_description=\"the access token is malformed\", \
         resource_metadata=\"{METADATA_URL}\", scope=\"mcp:read\""
    );
    let body = message(Some("1"), WIDE);
    let large = message(Some("1"), &format!("{WIDE},\"x\":\"{}\"", "x".repeat(1024)));
    let good = good_token();
    let rows: Vec<Unread<'_>> = vec![
        ("no token", "", vec![], &body, 401, Some(&missing), plain("missing_token", "an access token is required")),
        (
            "invalid token",
            "x",
            vec![],
            &body,
            401,
            Some(&invalid),
            plain("invalid_token", "the access token is malformed"),
        ),
        ("size", &good, vec![], &large, 413, None, plain("invalid_request", "the body is too large")),
        ("no message", &good, vec![], "{", 400, None, plain("invalid_request", "the body is no well-formed message")),
        ("empty", &good, vec![], "", 400, None, plain("invalid_request", "the body is no well-formed message")),
        (
            "5.2 step 2: two media types",
            &good,
            vec![("content-type", "application/json")],
            &body,
            415,
            None,
            plain("invalid_request", "the body must be application/json"),
        ),
        (
            "5.2 step 2: compressed",
            &good,
            vec![("content-encoding", "gzip")],
            &body,
            415,
            None,
            plain("invalid_request", "the body must not be compressed"),
        ),
    ];
    for (name, token, more, body, status, challenge, expected) in rows {
        assert_is(&answer(token, &more, body), status, challenge, &expected, name);
    }
}

/// The limit is what the configuration says, to the byte, whoever counts.
#[test]
fn a_body_may_be_as_long_as_the_limit() {
    let sized = |size: usize| {
        let empty = message(Some("1"), "\"method\":\"ping\",\"x\":\"\"");
        empty.replace("\"x\":\"\"", &format!("\"x\":\"{}\"", "x".repeat(size - empty.len())))
    };
    for (size, forwarded) in [(1023, true), (1024, true), (1025, false)] {
        let body = sized(size);
        assert_eq!(body.len(), size);
        let verdict = post(&mut gate(&config()), &good_token(), &[], &body);
        assert_eq!(matches!(verdict, Verdict::Forward(_)), forwarded, "{size}");
    }
    let authorization = format!("Bearer {}", good_token());
    let lines = head("/mcp", &[("content-type", "application/json"), ("authorization", &authorization)]);
    for (config, limit) in [(config(), 1024), (with_rules(&json!([{ "tools": ["a"] }])), 1024 * 1024)] {
        let mut gate = gate(&config);
        let Verdict::ReadBody(pending) = ask(&mut gate, &lines) else { panic!("the body decides") };
        assert_eq!(pending.max_body_bytes(), limit);
        let found = pending.too_large();
        let reason = (found.reason(), found.refusal().expect("a refusal").to_string());
        assert_eq!(reason, ("mcp_oauth_body_too_large", format!("the body is longer than `{limit}` bytes")));
        assert_is(&found, 413, None, &plain("invalid_request", "the body is too large"), "the host counted");
    }
}

/// For the operator: which rule it was. For the client: never.
#[test]
fn a_denial_is_told_apart_in_the_log_only() {
    let default = ruled(&json!({ "default": "deny" }));
    let rows = [
        (config(), message(Some("1"), NO), "mcp_oauth_denied", "denied by `rules[0]`"),
        (default, call("a"), "mcp_oauth_denied", "denied: no rule allows it"),
        (
            config(),
            message(Some("1"), WIDE),
            "mcp_oauth_insufficient_scope",
            "token: scopes `mcp:read` are not enough, asked for `mcp:read wide`",
        ),
        (config(), message(Some("1"), DOTS), "mcp_oauth_ambiguous_uri", AMBIGUOUS),
    ];
    for (config, body, reason, log) in rows {
        let found = reply(post(&mut gate(&config), &scoped("mcp:read"), &[], &body));
        assert_eq!((found.reason(), found.refusal().expect("a refusal").to_string()), (reason, log.to_owned()));
        assert_eq!(reply_header(&found, "content-type"), Some("application/json"));
        assert!(!String::from_utf8_lossy(found.body()).contains("rules"), "{log}");
    }
}
