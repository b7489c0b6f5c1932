//! Promise: the proxy is told what was verified and what was decided, of what it asked for, and nothing else.

use mcp_oauth::gate::{Gate, Verdict};
use serde_json::{Value, json};

use crate::{
    access_rules::{call, post, request, ruled},
    support::{claims, findings, gate, good_token, header, inline_config, present, reply, sign, with},
};

fn config(names: Value) -> Value {
    with(inline_config(), "filter_state", names)
}

fn told(gate: &mut Gate, token: &str) -> Vec<(String, String)> {
    let verdict = present(gate, token);
    notes(gate, verdict)
}

fn notes(gate: &Gate, verdict: Verdict) -> Vec<(String, String)> {
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    match verdict {
        Verdict::Forward(forward) => forward.notes().map(own).collect(),
        other => reply(other).notes(gate.policy().filter_state()).map(own).collect(),
    }
}

#[track_caller]
fn assert_told(names: Value, token: &str, expected: &[(&str, &str)]) {
    let expected: Vec<_> =
        expected.iter().map(|(name, value)| (format!("mcp_oauth.{name}"), (*value).to_owned())).collect();
    assert_eq!(told(&mut gate(&config(names)), token), expected);
}

#[test]
fn a_decision_is_the_last_word_of_a_request_that_goes_on() {
    let all = json!(["decision", "reason", "tool", "method", "scopes", "issuer", "client_id", "subject"]);
    let expected = [
        ("subject", "alice"),
        ("client_id", "c1"),
        ("issuer", "https://idp.example.com"),
        ("scopes", "mcp:read mcp:write"),
        ("decision", "allow"),
    ];
    assert_told(all, &good_token(), &expected);
}

#[test]
fn a_refusal_begins_with_it() {
    let unscoped = sign(&header(), &with(claims(), "scope", json!("other")));
    let expected = [("decision", "deny"), ("reason", "mcp_oauth_insufficient_scope"), ("subject", "alice")];
    assert_told(json!(["subject", "decision", "reason"]), &unscoped, &expected);
    let foreign = sign(&header(), &with(claims(), "aud", json!("https://other.example.com")));
    let expected = [("decision", "deny"), ("reason", "mcp_oauth_token_audience")];
    assert_told(json!(["subject", "decision", "reason"]), &foreign, &expected);
}

/// What is told of a request with this body.
fn told_of(names: Value, body: &str) -> Vec<(String, String)> {
    let rules = json!({ "rules": [{ "tools": ["no"], "deny": true }] });
    let mut gate = gate(&with(ruled(&rules), "filter_state", names));
    let verdict = post(&mut gate, &good_token(), &[], body);
    notes(&gate, verdict)
}

#[test]
fn what_is_asked_for_is_told_whether_it_may_be_or_not() {
    let ping = request("ping", &json!({}));
    let rows = [
        (json!(["method", "tool"]), call("a b"), vec![("method", "tools/call"), ("tool", "a%20b")]),
        (json!(["tool"]), call("a"), vec![("tool", "a")]),
        (json!(["method"]), call("a"), vec![("method", "tools/call")]),
        (json!(["method", "tool"]), ping, vec![("method", "ping")]),
        (json!(["subject"]), call("a"), vec![("subject", "alice")]),
        (
            json!(["method", "tool", "decision", "reason"]),
            call("no"),
            vec![("decision", "deny"), ("reason", "mcp_oauth_denied"), ("method", "tools/call"), ("tool", "no")],
        ),
    ];
    for (names, body, expected) in rows {
        let expected: Vec<_> =
            expected.iter().map(|(name, value)| (format!("mcp_oauth.{name}"), (*value).to_owned())).collect();
        assert_eq!(told_of(names.clone(), &body), expected, "{names} of {body}");
    }
}

#[test]
fn long_names_are_cut_and_equal_no_other() {
    let rows = [
        ("x".repeat(256), "x".repeat(256)),
        ("x".repeat(257), "x".repeat(256) + "..."),
        ("x".repeat(5000), "x".repeat(256) + "..."),
        ("é".repeat(200), "%C3%A9".repeat(42) + "%C3%" + "..."),
        (" ".repeat(85), "%20".repeat(85)),
    ];
    for (name, expected) in rows {
        assert_eq!(told_of(json!(["tool"]), &call(&name)), [("mcp_oauth.tool".to_owned(), expected)], "{name}");
    }
}

#[test]
fn a_claim_that_is_absent_is_not_told() {
    let anonymous = sign(&header(), &with(with(claims(), "client_id", json!(null)), "azp", json!(null)));
    let mut gate = gate(&config(json!(["client_id", "subject"])));
    let told = told(&mut gate, &anonymous);
    assert!(told.iter().all(|(name, _)| name != "mcp_oauth.client_id"), "{told:?}");
}

#[test]
fn values_are_visible_ascii_and_tell_subjects_apart() {
    for (subject, expected) in
        [("a b", "a%20b"), ("a%20b", "a%2520b"), ("a\r\nb", "a%0D%0Ab"), ("\u{202e}x", "%E2%80%AEx")]
    {
        let token = sign(&header(), &with(claims(), "sub", json!(subject)));
        assert_told(json!(["subject"]), &token, &[("subject", expected)]);
    }
}

#[test]
fn names_are_known_and_listed_once() {
    let known = "`subject`, `client_id`, `issuer`, `scopes`, `method`, `tool`, `decision`, `reason`";
    let unknown = |name: &str| format!("filter_state[0]: `{name}` is not one of {known}");
    let rows = [
        (json!([]), vec![]),
        (json!(["tool", "subject"]), vec![]),
        (json!(["subject", "subject"]), vec!["filter_state[1]: is listed twice".to_owned()]),
        (json!(["token"]), vec![unknown("token")]),
        (json!(["Subject"]), vec![unknown("Subject")]),
        (json!("subject"), vec!["filter_state: is a text where a list is expected".to_owned()]),
        (json!([1]), vec!["filter_state[0]: is a number where a text is expected".to_owned()]),
    ];
    for (names, expected) in rows {
        assert_eq!(findings(&config(names.clone())), expected, "{names}");
    }
}
