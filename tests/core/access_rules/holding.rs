//! Both ways to hold a request: head and body, or the body only.

use mcp_oauth::{
    gate::{Gate, Verdict},
    refusal::Refusal,
    request::Request,
};
use serde_json::{Value, json};

use super::{call, denied, lacking, ruled, scoped};
use crate::support::{HeaderMap, NOW, ask, gate, good_token, head, outcome, put};

fn config(hold: &str) -> Value {
    let members = json!({
        "rules": [{ "tools": ["no"], "deny": true }, { "tools": ["x"], "scopes": ["x"] }],
        "filter_lists": true,
    });
    put(ruled(&members), "/hold_requests", json!(hold))
}

fn arrive(gate: &mut Gate, token: &str, more: &[(&str, &str)]) -> Verdict {
    let authorization = format!("Bearer {token}");
    let mut lines = head("/mcp", &[("content-type", "application/json"), ("authorization", &authorization)]);
    lines.extend(more);
    ask(gate, &lines)
}

#[test]
fn the_head_waits_with_the_body_or_goes_first() {
    for (hold, goes_first) in [("headers", false), ("body", true)] {
        let mut gate = gate(&config(hold));
        let Verdict::ReadBody(pending) = arrive(&mut gate, &good_token(), &[]) else {
            panic!("{hold}: no body is read")
        };
        assert_eq!(pending.head().is_some(), goes_first, "{hold}");
        assert_eq!(outcome(pending.judge(call("a").as_bytes())), Ok(()), "{hold}");
        let refusals = [("no", denied(0)), ("x", lacking("mcp:read mcp:write", "mcp:read x"))];
        for (tool, expected) in refusals {
            let Verdict::ReadBody(pending) = arrive(&mut gate, &good_token(), &[]) else { panic!("{hold}") };
            assert_eq!(outcome(pending.judge(call(tool).as_bytes())), Err(expected), "{hold}: {tool}");
        }
    }
}

#[test]
fn a_head_that_goes_first_has_all_edits() {
    let sent = [
        ("x-mcp-subject", "mallory"),
        ("dpop", "proof"),
        ("proxy-authorization", "Basic x"),
        ("accept-encoding", "gzip"),
        ("x-other", "1"),
    ];
    let edited = |forward: &mcp_oauth::forward::Forward| {
        let mut lines = HeaderMap::new(&sent);
        lines.apply([mcp_oauth::forward::Edit::Add("authorization", b"Bearer secret")]);
        lines.apply(forward.edits());
        lines
    };
    let mut early = gate(&config("body"));
    let Verdict::ReadBody(pending) = arrive(&mut early, &good_token(), &sent) else { panic!("no body is read") };
    let early = edited(pending.head().expect("a head"));
    let mut late = gate(&config("headers"));
    let Verdict::ReadBody(pending) = arrive(&mut late, &good_token(), &sent) else { panic!("no body is read") };
    let Verdict::Forward(forward) = pending.judge(call("a").as_bytes()) else { panic!("not forwarded") };
    let expected = [
        ("x-other", "1"),
        ("x-mcp-subject", "alice"),
        ("x-mcp-client-id", "c1"),
        ("x-mcp-scopes", "mcp:read mcp:write"),
        ("x-mcp-issuer", "https://idp.example.com"),
    ];
    assert_eq!(early, HeaderMap::new(&expected));
    assert_eq!(edited(&forward), early, "whichever way it waits");
}

/// 5.2: the upstream learns nothing of whoever may do nothing at all.
#[test]
fn a_head_goes_first_only_with_the_required_scopes() {
    let insufficient = Err(lacking("x", "mcp:read"));
    let mut body = gate(&config("body"));
    assert_eq!(outcome(arrive(&mut body, &scoped("x"), &[])), insufficient, "before the body");
    assert!(outcome(arrive(&mut body, "x.y.z", &[])).is_err());
    assert_eq!(outcome(ask(&mut body, &head("/mcp", &[]))), Err(Refusal::MissingToken));
    let mut headers = gate(&config("headers"));
    let Verdict::ReadBody(pending) = arrive(&mut headers, &scoped("x"), &[]) else { panic!("no body is read") };
    assert_eq!(outcome(pending.judge(call("a").as_bytes())), insufficient, "with the body");
}

/// A head that was all of the request has nothing to wait for.
#[test]
fn an_ended_head_is_judged_at_once() {
    for hold in ["headers", "body"] {
        let mut gate = gate(&config(hold));
        let authorization = format!("Bearer {}", good_token());
        for (method, expected) in [("GET", 0), ("DELETE", 0), ("POST", 400)] {
            let lines = [
                (":method", method),
                (":authority", "mcp.example.com"),
                (":path", "/mcp"),
                ("content-type", "application/json"),
                ("authorization", &authorization),
            ];
            let lines = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            let request = Request::new(lines, gate.policy().identity_headers()).ended(true);
            let status = outcome(gate.on_request(1, &request, NOW)).map_or_else(|refusal| refusal.status(), |()| 0);
            assert_eq!(status, expected, "{hold}: {method}");
        }
    }
}
