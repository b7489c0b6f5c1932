//! How contradictions between headers and body are answered (MCP 2026-07-28, Server Validation), and what only one era has.

use mcp_oauth::{
    gate::Verdict,
    message::{
        HeaderMismatch::{Differs, Doubled, Malformed},
        MessageError,
    },
    refusal::Refusal,
};
use serde_json::{Value, json};

use super::{
    JSON, config,
    header_checks::{METHOD, MODERN, NAME, VERSION},
    post,
};
use crate::support::{accepted, ask, check, gate, head, outcome, put, refused, reply, reply_header};

/// The answer to the request of this id.
fn mismatch(id: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32020,"message":"the headers do not fit the body","data":{{"error":"invalid_request"}}}}}}"#
    )
}

const WITHOUT_ID: &str = r#"{"error":"invalid_request","error_description":"the headers do not fit the body"}"#;

/// Server Validation: hosts show the error, and clients take it for an answer only if the id is theirs.
#[test]
fn a_contradiction_is_answered_with_the_id_of_the_request() {
    let header = [JSON, (METHOD, "tools/list")];
    for id in [
        "1",
        "-0",
        "1.50",
        "1E+2",
        "1e400",
        "123456789012345678901234567890",
        r#""""#,
        r#""a""#,
        r#""\u0061\/\"\\""#,
        r#""é😀\ud83d\ude00""#,
        r#""\u0000""#,
    ] {
        let body = format!(r#"{{"method":"ping","id" : {id} }}"#);
        let reply = reply(post(&mut gate(&config()), &header, body.as_bytes()));
        assert_eq!(reply.refusal(), Some(&Refusal::HeaderMismatch(Differs(METHOD))), "{id}");
        assert_eq!((reply.status(), reply_header(&reply, "content-type")), (400, Some("application/json")), "{id}");
        assert_eq!(String::from_utf8_lossy(reply.body()), mismatch(id), "{id}");
    }
}

#[test]
fn without_a_request_there_is_no_id_to_repeat() {
    let batches = put(config(), "/resources/0/body", json!({ "batches": true }));
    for (name, lines, body) in [
        ("a notification", vec![(METHOD, "a")], r#"{"method":"b"}"#),
        ("a response", vec![(METHOD, "a")], r#"{"id":7,"result":{}}"#),
        ("a batch", vec![(METHOD, "a")], r#"[{"id":7,"method":"b"}]"#),
        ("a second message", vec![(METHOD, "a")], r#"[{"id":6,"method":"a"},{"id":7,"method":"b"}]"#),
        ("a notification, a header twice", vec![(METHOD, "b"), (METHOD, "b")], r#"{"method":"b"}"#),
        ("a response, a header twice", vec![(METHOD, ""), (METHOD, "")], r#"{"id":7,"result":{}}"#),
        ("a batch, a header twice", vec![(METHOD, "b"), (METHOD, "b")], r#"[{"id":7,"method":"b"}]"#),
    ] {
        let lines: Vec<_> = lines.into_iter().chain([JSON]).collect();
        let reply = reply(post(&mut gate(&batches), &lines, body.as_bytes()));
        assert!(matches!(reply.refusal(), Some(Refusal::HeaderMismatch(_))), "{name}: {reply:?}");
        assert_eq!((reply.status(), str::from_utf8(reply.body())), (400, Ok(WITHOUT_ID)), "{name}");
    }
}

/// What is wrong with the body is told first. Its sender waits for an answer to its id, if there is one (JSON-RPC 5.1).
#[test]
fn a_body_that_cannot_be_read_is_refused_whatever_the_headers_say() {
    let header = [JSON, (METHOD, "tools/call"), (NAME, "add"), (VERSION, MODERN)];
    let variant = |name: &str| MessageError::Variant(name.to_owned());
    let id = r#""\u0061""#;
    let member = MessageError::Member;
    for (body, error, answer) in [
        (r#"{"id":"\u0061","method":"tools/call","params":{}}"#, member("params.name"), Some(-32602)),
        (r#"{"params":{"name":1},"method":"tools/call","id":"\u0061"}"#, member("params.name"), Some(-32602)),
        (
            r#"{"id":"\u0061","method":"tools/call","params":{"name":"\u0000"}}"#,
            MessageError::Control("params.name"),
            Some(-32602),
        ),
        (r#"{"id":"\u0061","method":"x","params":[]}"#, member("params"), Some(-32600)),
        (r#"{"id":"\u0061","method":"\u0000"}"#, MessageError::Control("method"), Some(-32600)),
        (r#"{"id":"\u0061","method":"ping","ID":2}"#, variant("ID"), Some(-32600)),
        (r#"{"id":"\u0061","Method":"ping"}"#, variant("Method"), None),
        (r#"{"id":"\u0061","method":1}"#, member("method"), None),
        (r#"{"id":"\u0061","method":"ping","result":1}"#, MessageError::NoMessage, None),
        (r#"{"id":"\u0061","result":1,"error":1}"#, MessageError::NoMessage, None),
        (r#"{"id":null,"method":"tools/call","params":{"name":"add"}}"#, member("id"), None),
        (r#"{"id":[],"method":"tools/call","params":{"name":"add"}}"#, member("id"), None),
        (r#"{"method":"tools/call"}"#, member("params.name"), None),
        (r#"[{"id":"\u0061","method":"ping"}]"#, MessageError::Batch, None),
        (r#"{"id":"\u0061","id":"\u0061","method":"ping"}"#, super::duplicate(1, 16), None),
        (r#"{"id":"\u0061","method":"ping"},"#, super::syntax(1, 32), None),
        ("", super::syntax(1, 1), None),
    ] {
        let reply = reply(post(&mut gate(&config()), &header, body.as_bytes()));
        assert_eq!((reply.status(), reply.refusal()), (400, Some(&Refusal::Message(error))), "{body}");
        let text = "the body is no well-formed message";
        let expected = match answer {
            None => format!(r#"{{"error":"invalid_request","error_description":"{text}"}}"#),
            Some(code) => format!(
                r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{text}","data":{{"error":"invalid_request"}}}}}}"#
            ),
        };
        assert_eq!(String::from_utf8_lossy(reply.body()), expected, "{body}");
    }
}

/// A header that comes twice, or is no text, is wrong before there is a body; its sender waits for an answer all the same.
#[test]
fn a_header_that_contradicts_itself_is_answered_with_the_id_too() {
    let body = r#"{"id":"seven","method":"tools/call","params":{"name":"add"}}"#;
    let whole = config();
    let body_alone = put(config(), "/hold_requests", json!("body"));
    for (header, value) in [(METHOD, "tools/call"), (NAME, "add"), (VERSION, MODERN)] {
        let rows = [
            (vec![(header, value), (header, value)], Doubled(header)),
            (vec![(header, value), (header, "")], Doubled(header)),
            (vec![(header, "\u{e9}")], Malformed(header)),
            (vec![(header, "a\0")], Malformed(header)),
        ];
        for (mut lines, error) in rows {
            lines.push(JSON);
            let found = reply(post(&mut gate(&whole), &lines, body.as_bytes()));
            assert_eq!((found.status(), found.refusal()), (400, Some(&Refusal::HeaderMismatch(error))), "{lines:?}");
            assert_eq!(str::from_utf8(found.body()), Ok(&*mismatch(r#""seven""#)), "{lines:?}");
            // Where the head would go upstream, it is refused before there is an id.
            lines.push(("authorization", &super::AUTHORIZATION));
            let found = reply(ask(&mut gate(&body_alone), &head("/mcp", &lines)));
            assert_eq!((found.status(), found.refusal()), (400, Some(&Refusal::HeaderMismatch(error))), "{lines:?}");
            assert_eq!(str::from_utf8(found.body()), Ok(WITHOUT_ID), "{lines:?}");
        }
        // A body that cannot be read is told first.
        let twice = [JSON, (header, value), (header, value)];
        let found = outcome(post(&mut gate(&whole), &twice, b"{"));
        assert_eq!(found, Err(Refusal::Message(super::syntax(1, 2))), "{header}");
    }
}

/// Whoever has no token is asked for one, whatever else is wrong; a method that needs none is answered like any other.
#[test]
fn without_a_token_a_header_that_contradicts_itself_is_401_first() {
    let open = put(config(), "/resources/0/anonymous_methods", json!(["ping"]));
    let lines = [JSON, (METHOD, "ping"), (METHOD, "ping")];
    let of = |method: &str| format!(r#"{{"id":7,"method":"{method}","params":{{"name":"add"}}}}"#);
    let asked = |config: &Value, body: &str| match ask(&mut gate(config), &head("/mcp", &lines)) {
        Verdict::ReadBody(pending) => reply(pending.judge(body.as_bytes())),
        other => reply(other),
    };
    for (name, config, body) in [
        ("no method is open", &config(), of("ping")),
        ("the method is not open", &open, of("tools/call")),
        ("nobody knows the method", &open, "{".to_owned()),
    ] {
        assert_eq!(asked(config, &body).refusal(), Some(&Refusal::MissingToken), "{name}");
    }
    let found = asked(&open, &of("ping"));
    assert_eq!((found.status(), str::from_utf8(found.body())), (400, Ok(&*mismatch("7"))));
}

/// 5.2 item 5: from 2026-07-28 on servers ask nothing, so clients have nothing to answer.
#[test]
fn a_response_is_of_the_older_revisions() {
    let result = |version: Option<&'static str>| (version, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    let error = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no"}}"#;
    let modern = Refusal::Message(MessageError::Response);
    let rows = vec![
        accepted("5.2 item 5: without a version", result(None)),
        accepted("5.2 item 5: 2025-03-26", result(Some("2025-03-26"))),
        accepted("5.2 item 5: 2025-06-18", result(Some("2025-06-18"))),
        accepted("5.2 item 5: 2025-11-25", result(Some("2025-11-25"))),
        accepted("5.2 item 5: an error, 2025-11-25", (Some("2025-11-25"), error)),
        accepted("5.2 item 5: no version that is known", result(Some("draft"))),
        refused("5.2 item 5: 2026-07-28", result(Some(MODERN)), modern.clone()),
        refused("5.2 item 5: a version to come", result(Some("2027-01-01")), modern.clone()),
        refused("5.2 item 5: an error, 2026-07-28", (Some(MODERN), error), modern),
        accepted("B20: a notification, 2026-07-28", (Some(MODERN), r#"{"method":"notifications/cancelled"}"#)),
    ];
    check(rows, |(version, body)| {
        let lines: Vec<_> = version.map(|version| (VERSION, version)).into_iter().chain([JSON]).collect();
        outcome(post(&mut gate(&config()), &lines, body.as_bytes()))
    });
    let found = reply(post(&mut gate(&config()), &[JSON, (VERSION, MODERN)], error.as_bytes()));
    let text = r#"{"error":"invalid_request","error_description":"the body is no well-formed message"}"#;
    assert_eq!((found.status(), str::from_utf8(found.body())), (400, Ok(text)));
}
