//! Methods that need no token: forwarded without an identity. The challenge comes at everything else.

use mcp_oauth::{forward::Edit, gate::Verdict, refusal::Refusal};
use serde_json::{Value, json};

use super::{call, denied, post, request, ruled, scoped};
use crate::support::{
    HeaderMap, METADATA_URL, Row, accepted, check, claims, gate, good_token, head, header, outcome, refused, reply,
    reply_header, sign, with,
};

fn config() -> Value {
    ruled(&json!({
        "anonymous_methods": ["server/discover", "tools/list", "notifications/*"],
        "rules": [{ "tools": ["a"] }, { "methods": ["notifications/no"], "deny": true }],
        "body": { "batches": true },
    }))
}

fn bare(method: &str) -> String {
    request(method, &json!({}))
}

#[test]
fn listed_methods_need_no_token() {
    let none = Refusal::MissingToken;
    let notification = |method: &str| json!({ "jsonrpc": "2.0", "method": method }).to_string();
    let answer = json!({ "jsonrpc": "2.0", "id": 1, "result": {} }).to_string();
    let batch = |methods: &[&str]| format!("[{}]", methods.iter().map(|m| bare(m)).collect::<Vec<_>>().join(","));
    let rows: Vec<Row<String>> = vec![
        accepted("listed", bare("server/discover")),
        accepted("listed, with arguments", request("tools/list", &json!({ "cursor": "x" }))),
        accepted("a start of names", notification("notifications/initialized")),
        accepted("a batch of listed ones", batch(&["server/discover", "tools/list"])),
        refused("not listed", call("a"), none.clone()),
        refused("not listed: longer", bare("tools/listx"), none.clone()),
        refused("not listed: another case", bare("Tools/List"), none.clone()),
        refused("not listed: `initialize`", bare("initialize"), none.clone()),
        refused("an answer has no method", answer, none.clone()),
        refused("a batch, the last is not listed", batch(&["tools/list", "initialize"]), none.clone()),
        refused("a batch, the first is not listed", batch(&["initialize", "tools/list"]), none),
        refused("a rule denies", notification("notifications/no"), denied(1)),
    ];
    check(rows, |body| outcome(post(&mut gate(&config()), "", &[], body)));
}

#[test]
fn an_anonymous_request_has_no_identity() {
    let (x, y) = (("x-mcp-subject", "mallory"), ("X_MCP_Scopes", "admin"));
    let sent = [x, y, ("x-mcp-issuer", "https://x"), ("dpop", "a"), ("authorization", "Basic YTpi"), ("x-other", "1")];
    let verdict = post(&mut gate(&config()), "", &sent, &bare("tools/list"));
    let Verdict::Forward(forward) = verdict else { panic!("{verdict:?}") };
    assert!(forward.edits().all(|edit| matches!(edit, Edit::Remove(_))), "nothing is said of the caller");
    let mut lines = HeaderMap::new(&sent);
    lines.apply(forward.edits());
    assert_eq!(lines, HeaderMap::new(&[("x-other", "1")]));
    // With a token the same method has one.
    let Verdict::Forward(forward) = post(&mut gate(&config()), &good_token(), &[x, y], &bare("tools/list")) else {
        panic!("not forwarded")
    };
    let mut lines = HeaderMap::new(&[x, y]);
    lines.apply(forward.edits());
    let expected = [("x-mcp-subject", "alice"), ("x-mcp-scopes", "mcp:read mcp:write")];
    for (name, value) in expected {
        assert_eq!(lines.all(name), [value], "{name}");
    }
    assert_eq!(lines.all("X_MCP_Scopes"), Vec::<String>::new());
}

#[test]
fn whatever_else_comes_without_a_token_is_challenged() {
    let challenge = format!("Bearer resource_metadata=\"{METADATA_URL}\", scope=\"mcp:read\"");
    let body = r#"{"error":"missing_token","error_description":"an access token is required"}"#;
    let json = [("content-type", "application/json")];
    let mut gate = gate(&config());
    let mut answers = vec![reply(post(&mut gate, "", &[], &call("a"))), reply(post(&mut gate, "", &[], &bare("x")))];
    // What cannot be one of the listed ones is not even read.
    for lines in [
        vec![(":method", "GET")],
        vec![(":method", "DELETE")],
        vec![(":method", "PUT"), json[0]],
        vec![(":method", "POST")],
        vec![(":method", "POST"), ("content-type", "text/plain")],
        vec![(":method", "POST"), json[0], ("content-encoding", "gzip")],
    ] {
        let mut all = head("/mcp", &[]);
        all.retain(|(name, _)| *name != ":method");
        all.extend(lines);
        answers.push(reply(crate::support::ask(&mut gate, &all)));
    }
    for found in answers {
        assert_eq!((found.status(), reply_header(&found, "www-authenticate")), (401, Some(&*challenge)));
        assert_eq!(str::from_utf8(found.body()), Ok(body));
    }
}

/// An answer has no method, and belongs to a session, and a session to somebody.
#[test]
fn an_answer_is_never_anonymous() {
    let config = ruled(&json!({ "anonymous_methods": ["x", "r*"], "body": { "batches": true } }));
    let answer = json!({ "jsonrpc": "2.0", "id": 1, "result": {} }).to_string();
    let rows: Vec<Row<String>> = vec![
        accepted("a method", bare("x")),
        refused("an answer", answer.clone(), Refusal::MissingToken),
        refused("a batch with an answer", format!("[{},{answer}]", bare("x")), Refusal::MissingToken),
    ];
    check(rows, |body| outcome(post(&mut gate(&config), "", &[], body)));
}

/// A token that is there and bad is a mistake that the client must learn of.
#[test]
fn an_invalid_token_is_refused_even_there() {
    let expired = sign(&header(), &with(claims(), "exp", json!(5)));
    for token in [expired.as_str(), "x", "a.b.c", "a b"] {
        let found = reply(post(&mut gate(&config()), token, &[], &bare("tools/list")));
        assert!(matches!(found.status(), 400 | 401), "{token}: {}", found.status());
        assert!(reply_header(&found, "www-authenticate").is_some_and(|c| c.contains("error=")), "{token}");
    }
    assert_eq!(outcome(post(&mut gate(&config()), &scoped("mcp:read"), &[], &bare("tools/list"))), Ok(()));
}

/// Without the list a request without a token is refused before its body is read.
#[test]
fn without_the_setting_nothing_is_anonymous() {
    let config = super::with_rules(&json!([{ "methods": ["tools/list"] }]));
    let lines = head("/mcp", &[("content-type", "application/json")]);
    assert_eq!(outcome(crate::support::ask(&mut gate(&config), &lines)), Err(Refusal::MissingToken));
}
