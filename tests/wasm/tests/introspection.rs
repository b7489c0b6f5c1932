//! Introspection on the wire: what is sent and by whom, how a held request goes on, and that no fault lets one through.

use serde_json::{Value, json};
use wasm_host_tests::{Answer, ISSUER, Key, NOW, PATH, RESOURCE, Request, SCOPE, Vm, inline_config};

const SECRET: &str = "gateway-secret";
const TOKEN: &str = "opaque-token";

fn config() -> Value {
    let mut config = inline_config(&[Key::GOOD]);
    config["authorization_servers"][0]["introspection"] = json!({
        "endpoint": "https://idp.example.com/introspect", "cluster": "idp", "client_id": "gateway",
        "client_secret_variable": "SECRET", "client_authentication": "client_secret_post", "timeout": "2s",
    });
    config
}

fn vm() -> Vm {
    let mut vm = Vm::with_environment(&[("SECRET", SECRET)]);
    let (_, accepted) = vm.root(config().to_string());
    assert!(accepted);
    vm
}

fn active() -> Value {
    json!({ "active": true, "iss": ISSUER, "aud": RESOURCE, "sub": "bob", "scope": SCOPE, "exp": NOW + 600 })
}

fn request() -> Request {
    Request::post(PATH).bearer(TOKEN)
}

#[test]
fn a_request_waits_for_the_answer_and_goes_on_without_its_token() {
    let mut vm = vm();
    let stream = vm.request(request().header("x-mcp-subject", "mallory"));
    assert!(vm.is_held(stream), "{:?}", vm.outcome(stream));
    vm.tick();
    let calls = vm.world().open_calls();
    assert_eq!(calls.len(), 1, "{calls:#?}");
    let call = &calls[0];
    assert_eq!((call.url().as_str(), call.cluster.as_str()), ("https://idp.example.com/introspect", "idp"));
    assert_eq!(call.asked_by, call.root, "asked by the root, so that no client can take the answer away");
    assert_eq!(call.timeout_ms, 2000);
    let body = format!("token={TOKEN}&token_type_hint=access_token&client_id=gateway&client_secret={SECRET}");
    let length = body.len().to_string();
    for (name, value) in [
        (":method", Some("POST")),
        ("content-type", Some("application/x-www-form-urlencoded")),
        ("content-length", Some(length.as_str())),
        ("accept", Some("application/json")),
        ("authorization", None),
    ] {
        assert_eq!(call.headers.get(name), value, "{name}");
    }
    assert_eq!(String::from_utf8_lossy(&call.body), body);
    vm.answer(call.token, Answer::json(&active()));
    let upstream = vm.forwarded(stream);
    assert_eq!((upstream.get("authorization"), upstream.get("x-mcp-subject")), (None, Some("bob")));

    // Remembered: nobody is asked again.
    let again = vm.request(request());
    assert_eq!(vm.forwarded(again).get("x-mcp-subject"), Some("bob"));
    vm.tick();
    assert!(vm.world().open_calls().is_empty());
}

#[test]
fn a_revoked_token_is_challenged() {
    let mut vm = vm();
    let stream = vm.request(request());
    vm.tick();
    let call = vm.world().open_calls().remove(0);
    vm.answer(call.token, Answer::json(&json!({ "active": false })));
    let reply = vm.replied(stream);
    assert_eq!((reply.status, reply.details.as_str()), (401, "mcp_oauth_token_inactive"));
}

#[test]
fn each_failure_is_503_by_its_name_and_is_logged_without_the_token() {
    let failures = [
        ("html", Answer::html()),
        ("404", Answer::not_found()),
        ("refused", Answer::refused()),
        ("timeout", Answer::timeout()),
        ("reset", Answer::reset()),
        ("text", Answer::json(&json!({ "active": "true" }))),
    ];
    for (name, failure) in failures {
        let mut vm = vm();
        let stream = vm.request(request());
        vm.tick();
        let call = vm.world().open_calls().remove(0);
        vm.answer(call.token, failure);
        let reply = vm.replied(stream);
        assert_eq!((reply.status, reply.details.as_str()), (503, "mcp_oauth_introspection_unavailable"), "{name}");
        let logs = format!("{:?}", vm.world().logs);
        assert!(logs.contains("introspection: `https://idp.example.com/introspect`: "), "{name}: {logs}");
        assert!(!logs.contains(TOKEN) && !logs.contains(SECRET), "{name}: {logs}");
        // And the next request may be luckier.
        let next = vm.request(request());
        vm.tick();
        let call = vm.world().open_calls().remove(0);
        vm.answer(call.token, Answer::json(&active()));
        assert_eq!(vm.forwarded(next).get("x-mcp-subject"), Some("bob"), "{name}");
    }
}

#[test]
fn a_cluster_that_is_not_there_is_503() {
    let mut vm = vm();
    vm.world().clusters.remove("idp");
    let stream = vm.request(request());
    vm.tick();
    assert_eq!(vm.replied(stream).details, "mcp_oauth_introspection_unavailable");
    // A timer goes on until it is stopped, a thousand times in a second.
    assert_eq!(vm.world().ticks.values().max(), Some(&0), "nothing is left to wait for");
}

/// A proxy that never reports the end of a call.
#[test]
fn a_call_that_never_ends_does_not_keep_its_request() {
    let mut vm = vm();
    let stream = vm.request(request());
    vm.tick();
    let lost = vm.world().open_calls().remove(0);
    vm.sleep(10);
    assert_eq!(vm.replied(stream).details, "mcp_oauth_introspection_unavailable");
    vm.answer(lost.token, Answer::json(&active()));
    let next = vm.request(request());
    assert!(vm.is_held(next), "a late answer changes nothing");
}

#[test]
fn a_client_that_leaves_does_not_disturb_the_others() {
    let mut vm = vm();
    let (gone, stays) = (vm.request(request()), vm.request(request()));
    vm.tick();
    vm.delete(gone);
    let calls = vm.world().open_calls();
    assert_eq!(calls.len(), 1, "one question for both");
    vm.answer(calls[0].token, Answer::json(&active()));
    assert_eq!(vm.forwarded(stays).get("x-mcp-subject"), Some("bob"));
}
