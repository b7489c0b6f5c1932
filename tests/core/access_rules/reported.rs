//! Ways around a rule, a seal or a filter that a review found: each was open once.

use mcp_oauth::{
    config,
    gate::{Gate, Verdict},
    refusal::Refusal,
};
use serde_json::{Value, json};

use super::{call, judged, lacking, post, request, ruled, scoped, with_rules};
use crate::support::{ask, claims, findings, gate, good_token, head, header, inline_config, outcome, put, sign, with};

fn anonymous(config: &Value, body: &str) -> Result<(), Refusal> {
    outcome(post(&mut gate(config), "", &[], body))
}

#[test]
fn a_rule_that_asks_for_scopes_is_not_met_without_a_token() {
    for need in [json!({ "tools": ["x"], "scopes": ["admin"] }), json!({ "tools": ["x"], "any_of": ["admin"] })] {
        let config = ruled(&json!({ "anonymous_methods": ["tools/*"], "rules": [need] }));
        assert_eq!(anonymous(&config, &call("a")), Ok(()));
        assert_eq!(anonymous(&config, &call("x")), Err(Refusal::MissingToken));
    }
}

#[test]
fn without_a_token_every_method_that_needs_one_is_401() {
    let rules = json!([
        { "methods": ["tools/list"] },
        { "tools": ["role"], "claims": [{ "claim": "role", "equals": "admin" }] },
        { "resources": ["x://y"] },
    ]);
    let config = ruled(&json!({ "anonymous_methods": ["tools/list"], "rules": rules, "default": "deny" }));
    assert_eq!(anonymous(&config, &request("tools/list", &json!({}))), Ok(()));
    let dots = request("resources/read", &json!({ "uri": "x://../y" }));
    for body in [call("role"), call("other"), request("initialize", &json!({})), dots] {
        assert_eq!(anonymous(&config, &body), Err(Refusal::MissingToken), "{body}");
    }
}

/// RFC 3986 section 6.2.2: these are the same URI, or one that a server decodes to the same.
#[test]
fn a_rule_for_a_uri_is_not_passed_by_another_spelling() {
    let config = with_rules(&json!([{ "resources": ["file:///secret/*"], "scopes": ["admin"] }]));
    for uri in [
        "file:///%73ecret/x",
        "file:///secre%74/x",
        "FILE:///secret/x",
        "file:///secret%2fx",
        "file:///secret%5Cx",
        "file:///a/%25252e%25252e/secret/x",
        "file:///a/..;/secret/x",
        "file:///a/..%00/secret/x",
        "file:////secret/x",
        " file:///secret/x",
    ] {
        let body = request("resources/read", &json!({ "uri": uri }));
        assert!(judged(&config, &body).is_err(), "{uri}");
    }
}

fn sealing() -> Gate {
    let config = put(inline_config(), "/resources/0/sessions", json!({ "key_variable": "KEYS" }));
    Gate::new(config::parse_in(config.to_string().as_bytes(), &|_| Some("A".repeat(43))).expect("a policy"))
}

/// Like the identity headers: CGI and its heirs read `_` as `-`.
#[test]
fn a_session_header_with_underscores_does_not_go_up() {
    let mut gate = sealing();
    let authorization = format!("Bearer {}", good_token());
    for name in ["mcp_session_id", "Mcp_Session-Id"] {
        let verdict = ask(&mut gate, &head("/mcp", &[("authorization", &authorization), (name, "raw")]));
        let removed = match &verdict {
            Verdict::Forward(forward) => {
                forward.edits().any(|edit| edit == mcp_oauth::forward::Edit::Remove(name.as_bytes()))
            }
            _ => true,
        };
        assert!(removed, "{name}");
    }
}

#[test]
fn a_session_of_nobody_is_not_sealed() {
    let mut gate = sealing();
    let nobody = with(with(claims(), "sub", Value::Null), "client_id", Value::Null);
    let authorization = format!("Bearer {}", sign(&header(), &nobody));
    let verdict = ask(&mut gate, &head("/mcp", &[("authorization", &authorization)]));
    let Verdict::Forward(forward) = verdict else { panic!("{verdict:?}") };
    assert_eq!(forward.into_response_guard().seal_session(b"s1"), None);
}

#[test]
fn a_challenge_asks_for_no_alternative_to_what_the_token_has() {
    let with_scopes = |scopes: Value, rule: Value| ruled(&json!({ "scopes": scopes, "rules": [rule] }));
    let rule = json!({ "scopes": ["x"], "any_of": ["admin", "user"] });
    let also = json!({ "required": ["mcp:read"], "challenge": "granted_and_needed" });
    let implies = json!({ "required": ["mcp:read"], "implies": { "w": ["r"] } });
    let rows = [
        (with_scopes(json!({ "required": ["mcp:read"] }), rule.clone()), "mcp:read user", "mcp:read user x"),
        (with_scopes(also, rule), "mcp:read user", "mcp:read user x"),
        (with_scopes(implies, json!({ "scopes": ["w"], "any_of": ["z", "r"] })), "mcp:read", "mcp:read w"),
    ];
    for (config, granted, needed) in rows {
        let found = outcome(post(&mut gate(&config), &scoped(granted), &[], &call("a")));
        assert_eq!(found, Err(lacking(granted, needed)));
    }
}

#[test]
fn a_byte_order_mark_stays_where_it_is() {
    let mut gate = gate(&ruled(&json!({ "rules": [{ "tools": ["no"], "deny": true }], "filter_lists": true })));
    let verdict = post(&mut gate, &good_token(), &[], &request("tools/list", &json!({})));
    let Verdict::Forward(forward) = verdict else { panic!("{verdict:?}") };
    let guard = forward.into_response_guard();
    let shown = "\u{feff}data: {\"result\":{\"tools\":[{\"name\":\"a\"}]}}\n\n";
    let filter = |text: &str| guard.clone().into_list_events().expect("a list").push(text.as_bytes(), true);
    assert_eq!(filter(shown), shown.as_bytes());
    let hidden = "\u{feff}\u{feff}data: {\"result\":{\"tools\":[{\"name\":\"no\"}]}}\n\n";
    let found = filter(hidden);
    assert!(!found.starts_with("\u{feff}data".as_bytes()), "a client would take it for data");
}

#[test]
fn one_mistake_is_one_finding() {
    let many: Vec<Value> = (0..257).map(|n| json!({ "claim": "a", "equals": n.to_string() })).collect();
    for rules in [
        json!([{ "any_of": "x" }]),
        json!([{ "claims": [{ "claim": "a", "equals": "" }] }]),
        json!([{ "claims": [{ "claim": "a", "contains": 5 }] }]),
        json!([{ "tools": ["a*b"] }, { "tools": ["c"] }]),
        json!([{ "claims": many }, { "tools": ["a"] }]),
    ] {
        let found = findings(&with_rules(&rules));
        assert_eq!(found.len(), 1, "{found:?}");
    }
}

/// Clients that probe with an empty body, or with a batch, begin a login only if they are asked for a token.
#[test]
fn without_a_token_what_cannot_be_read_is_401_too() {
    let config = ruled(&json!({ "anonymous_methods": ["server/discover"], "rules": [{ "tools": ["a"] }] }));
    assert_eq!(anonymous(&config, &request("server/discover", &json!({}))), Ok(()));
    let batch = format!("[{}]", request("server/discover", &json!({})));
    for body in ["", "{", "[]", &batch, r#"{"id":1,"method":"tools/call","params":{}}"#] {
        assert_eq!(anonymous(&config, body), Err(Refusal::MissingToken), "{body}");
    }
}

#[test]
fn without_a_token_a_rule_about_claims_is_a_reason_to_log_in() {
    let gold = json!([{ "tools": ["vip"], "claims": [{ "claim": "tier", "equals": "gold" }] }, { "tools": ["pub"] }]);
    let config = ruled(&json!({ "anonymous_methods": ["tools/call"], "default": "deny", "rules": gold }));
    assert_eq!(anonymous(&config, &call("pub")), Ok(()));
    assert_eq!(anonymous(&config, &call("vip")), Err(Refusal::MissingToken));
    let plain = ruled(&json!({ "anonymous_methods": ["tools/call"], "rules": [{ "tools": ["no"], "deny": true }] }));
    assert_eq!(anonymous(&plain, &call("no")), Err(Refusal::Denied { rule: Some(0) }));
}

#[test]
fn without_a_token_a_session_is_no_reason_to_say_that_it_ended() {
    let settings = json!({
        "anonymous_methods": ["server/discover"],
        "rules": [{ "tools": ["a"] }],
        "sessions": { "key_variable": "KEYS" },
    });
    let text = ruled(&settings).to_string();
    let mut gate = Gate::new(config::parse_in(text.as_bytes(), &|_| Some("A".repeat(43))).expect("a policy"));
    let session = [("mcp-session-id", "s1.c29tZWJvZHkgZWxzZSdz")];
    assert_eq!(outcome(post(&mut gate, "", &session, &call("a"))), Err(Refusal::MissingToken));
    let open = request("server/discover", &json!({}));
    assert_eq!(outcome(post(&mut gate, "", &session, &open)), Err(Refusal::Session));
    assert_eq!(outcome(post(&mut gate, "", &[], &open)), Ok(()));
}

/// MCP, Completion: the reference is a URI or a template.
#[test]
fn the_arguments_of_a_template_can_be_completed() {
    let config = with_rules(&json!([{ "resources": ["x://stations/{id}"], "scopes": ["admin"] }]));
    let complete =
        |uri: &str| request("completion/complete", &json!({ "ref": { "type": "ref/resource", "uri": uri } }));
    assert_eq!(judged(&config, &complete("x://towns/{id}")), Ok(()));
    assert!(matches!(judged(&config, &complete("x://stations/{id}")), Err(Refusal::InsufficientScope(_))));
    assert_eq!(judged(&config, &complete("x://stations/{id}/..")), Err(Refusal::AmbiguousUri));
    let read = request("resources/read", &json!({ "uri": "x://stations/{id}" }));
    assert_eq!(judged(&config, &read), Err(Refusal::AmbiguousUri));
}

#[test]
fn a_session_id_is_in_no_debug_output() {
    let text =
        put(ruled(&json!({ "rules": [{ "tools": ["a"] }] })), "/resources/0/sessions", json!({ "key_variable": "K" }));
    let mut gate =
        Gate::new(config::parse_in(text.to_string().as_bytes(), &|_| Some("A".repeat(43))).expect("a policy"));
    let authorization = format!("Bearer {}", good_token());
    let bare = [("authorization", &*authorization)];
    let Verdict::ReadBody(pending) = ask(&mut gate, &head("/mcp", &[bare[0], ("content-type", "application/json")]))
    else {
        panic!("not read")
    };
    let Verdict::Forward(forward) = pending.judge(call("a").as_bytes()) else { panic!("not forwarded") };
    let sealed = forward.into_response_guard().seal_session(b"SECRET").expect("sealed");
    let lines = [bare[0], ("content-type", "application/json"), ("mcp-session-id", &*sealed)];
    let verdict = ask(&mut gate, &head("/mcp", &lines));
    let shown = format!("{verdict:?}");
    assert!(matches!(verdict, Verdict::ReadBody(_)), "{shown}");
    for secret in ["SECRET", "83, 69, 67", &sealed] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
