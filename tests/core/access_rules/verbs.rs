//! What is no POST (spec section 5.4): streams, the end of a session, and methods that no endpoint has.

use mcp_oauth::{
    gate::{Gate, Verdict},
    refusal::Refusal,
    request::Request,
};
use serde_json::json;

use super::{lacking, post, ruled, scoped};
use crate::support::{NOW, Row, accepted, check, gate, good_token, outcome, refused, reply, reply_header};

fn send(gate: &mut Gate, method: &str, token: &str, more: &[(&str, &str)], ended: bool) -> Verdict {
    let authorization = format!("Bearer {token}");
    let mut lines = vec![(":method", method), (":authority", "mcp.example.com"), (":path", "/mcp")];
    lines.extend((!token.is_empty()).then_some(("authorization", authorization.as_str())));
    lines.extend(more);
    let lines = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let request = Request::new(lines, gate.policy().identity_headers()).ended(ended);
    gate.on_request(1, &request, NOW)
}

fn closed() -> Gate {
    gate(&ruled(&json!({ "rules": [{ "tools": ["a"] }], "default": "deny" })))
}

#[test]
fn get_and_delete_need_the_required_scopes_only() {
    let rows: Vec<Row<(&str, String)>> = ["GET", "DELETE"]
        .into_iter()
        .flat_map(|method| {
            [
                accepted(format!("5.4: {method}"), (method, scoped("mcp:read"))),
                refused(format!("5.4: {method} without the scope"), (method, scoped("x")), lacking("x", "mcp:read")),
                refused(format!("5.4: {method} without a token"), (method, String::new()), Refusal::MissingToken),
            ]
        })
        .collect();
    check(rows, |(method, token)| outcome(send(&mut closed(), method, token, &[], true)));
}

#[test]
fn get_and_delete_have_no_body() {
    for method in ["GET", "DELETE"] {
        for (body, expected) in
            [(&b""[..], Ok(())), (b" ", Err(Refusal::UnexpectedBody)), (b"{}", Err(Refusal::UnexpectedBody))]
        {
            let mut gate = closed();
            let verdict = send(&mut gate, method, &good_token(), &[("content-type", "application/json")], false);
            let Verdict::ReadBody(pending) = verdict else { panic!("{method}: {verdict:?}") };
            assert_eq!(outcome(pending.judge(body)), expected, "{method} with {body:?}");
        }
        let mut gate = closed();
        let Verdict::ReadBody(pending) = send(&mut gate, method, &scoped("x"), &[], false) else { panic!("{method}") };
        assert_eq!(outcome(pending.judge(b"")), Err(lacking("x", "mcp:read")), "{method} without the scope");
    }
}

#[test]
fn other_methods_are_no_methods_of_an_endpoint() {
    for method in ["PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "post", "get", "PROPFIND", ""] {
        for ended in [true, false] {
            let json = [("content-type", "application/json")];
            let found = reply(send(&mut closed(), method, &good_token(), &json, ended));
            assert_eq!((found.status(), found.reason()), (405, "mcp_oauth_method"), "{method}");
            assert_eq!(reply_header(&found, "allow"), Some("GET, POST, DELETE, OPTIONS"), "{method}");
            assert_eq!(reply_header(&found, "www-authenticate"), None, "{method}");
            let body = r#"{"error":"method_not_allowed","error_description":"the endpoint has no such method"}"#;
            assert_eq!(str::from_utf8(found.body()), Ok(body), "{method}");
            let unknown = reply(send(&mut closed(), method, "", &json, ended));
            assert_eq!((unknown.status(), reply_header(&unknown, "allow")), (401, None), "{method}: 401 before 405");
        }
    }
}

#[test]
fn a_post_without_a_body_is_no_message() {
    let found = send(&mut closed(), "POST", &good_token(), &[("content-type", "application/json")], true);
    assert_eq!(reply(found).status(), 400);
}

/// 5.3: without the answers to its own requests a server waits for ever.
#[test]
fn answers_to_the_server_need_the_required_scopes_only() {
    let result = r#"{"jsonrpc":"2.0","id":3,"result":{"role":"assistant"}}"#;
    let error = r#"{"jsonrpc":"2.0","id":"x","error":{"code":-1,"message":"no"}}"#;
    let both = r#"{"jsonrpc":"2.0","id":3,"result":{},"method":"tools/call","params":{"name":"b"}}"#;
    let no_message = Refusal::Message(mcp_oauth::message::MessageError::NoMessage);
    let rows: Vec<Row<(&str, &str)>> = vec![
        accepted("5.3: a result", ("mcp:read", result)),
        accepted("5.3: an error", ("mcp:read", error)),
        refused("5.3: a result without the scope", ("x", result), lacking("x", "mcp:read")),
        refused("5.2 step 5: an answer that calls", ("mcp:read", both), no_message),
    ];
    check(rows, |(scopes, body)| outcome(post(&mut closed(), &scoped(scopes), &[], body)));
}

/// Without rules bodies are none of our business: nothing of this changes what worked.
#[test]
fn without_rules_every_method_goes_up() {
    for method in ["GET", "POST", "PUT", "HEAD", "OPTIONS"] {
        let mut gate = gate(&crate::support::inline_config());
        assert!(matches!(send(&mut gate, method, &good_token(), &[], false), Verdict::Forward(_)), "{method}");
    }
}
