//! What is counted, by which names, and that nobody makes a counter by what they send.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use wasm_host_tests::{Answer, Idp, Key, PATH, Request, Token, Vm, fetching_config, inline_config};

fn with(mut config: Value, name: &str, value: Value) -> Value {
    config[name] = value;
    config
}

/// The metrics that are not 0.
fn told(vm: &mut Vm) -> BTreeMap<String, i64> {
    let values = vm.world().metric_values.clone();
    values.into_iter().filter(|(_, value)| *value != 0).collect()
}

#[track_caller]
fn assert_told(vm: &mut Vm, expected: &[(&str, i64)]) {
    let expected = expected.iter().map(|(name, value)| (format!("mcp_oauth.{name}"), *value)).collect();
    assert_eq!(told(vm), expected);
}

fn allow(vm: &mut Vm) {
    let stream = vm.request(Request::post(PATH).bearer(&Token::good().sign()));
    vm.forwarded(stream);
    vm.delete(stream);
}

fn deny(vm: &mut Vm) {
    let stream = vm.request(Request::post(PATH));
    vm.replied(stream).refuses(401, "missing_token");
    vm.delete(stream);
}

#[test]
fn requests_are_counted_by_outcome_and_reason() {
    let mut vm = Vm::start(inline_config(&[Key::GOOD]).to_string());
    (0..2).for_each(|_| allow(&mut vm));
    (0..3).for_each(|_| deny(&mut vm));
    assert_told(
        &mut vm,
        &[("requests.allow", 2), ("requests.deny", 3), ("denied.missing_token", 3), ("token_cache.miss", 1)],
    );
    vm.sleep(10);
    allow(&mut vm);
    assert_eq!(vm.world().metric("mcp_oauth.token_cache.hit"), 2, "those from before too");
}

#[test]
fn by_resource_where_that_is_wanted_and_not_at_all_where_not() {
    let mut vm = Vm::start(with(inline_config(&[Key::GOOD]), "request_metrics", json!("per_resource")).to_string());
    allow(&mut vm);
    deny(&mut vm);
    let stream = vm.request(Request::post("/elsewhere/x"));
    vm.replied(stream).refuses(404, "not_found");
    let told = told(&mut vm);
    let requests: Vec<_> = told.iter().filter(|(name, _)| name.contains(".requests.")).collect();
    assert_eq!(requests.len(), 3, "{told:?}");
    assert_eq!(told["mcp_oauth.requests.deny.resource.none"], 1, "{told:?}");
    let mut vm = Vm::start(with(inline_config(&[Key::GOOD]), "request_metrics", json!("off")).to_string());
    allow(&mut vm);
    deny(&mut vm);
    assert_told(&mut vm, &[("token_cache.miss", 1)]);
}

#[test]
fn so_many_resources_are_counted_by_themselves_and_the_rest_together() {
    let mut config = with(inline_config(&[Key::GOOD]), "request_metrics", json!("per_resource"));
    let resources = config["resources"].as_array_mut().expect("a list");
    let own = resources[0]["resource"].as_str().expect("a text").to_owned();
    resources.extend((1..204).map(|n| json!({ "resource": format!("{own}-{n}") })));
    let mut vm = Vm::start(config.to_string());
    for n in 0..204 {
        let path = if n == 0 { PATH.to_owned() } else { format!("{PATH}-{n}") };
        let stream = vm.request(Request::post(&path));
        vm.replied(stream).refuses(401, "missing_token");
        vm.delete(stream);
    }
    let told = told(&mut vm);
    let by_resource: Vec<_> = told.iter().filter(|(name, _)| name.contains(".deny.resource.")).collect();
    assert_eq!(by_resource.len(), 201, "200, and one for all others");
    assert_eq!(told["mcp_oauth.requests.deny.resource.other"], 4, "{told:?}");
    assert!(by_resource.iter().all(|(name, count)| **count == 1 || name.ends_with(".other")), "{told:?}");
}

#[test]
fn nothing_that_is_sent_makes_a_metric() {
    let mut vm = Vm::start(with(inline_config(&[Key::GOOD]), "request_metrics", json!("per_resource")).to_string());
    let ask = |vm: &mut Vm, n: u32| {
        let stream = vm.request(Request::post(&format!("{PATH}/{n}")).bearer(&format!("token-{n}")));
        vm.replied(stream).refuses(401, "invalid_token");
        vm.delete(stream);
        let stream = vm.request(Request::post(&format!("/elsewhere/{n}")));
        vm.replied(stream).refuses(404, "not_found");
        vm.delete(stream);
    };
    ask(&mut vm, 0);
    let before = vm.world().metrics.len();
    (1..50).for_each(|n| ask(&mut vm, n));
    assert_eq!(vm.world().metrics.len(), before);
}

#[test]
fn fetches_failures_waiting_requests_and_the_age_of_keys() {
    let mut vm = Vm::start(fetching_config().to_string());
    let stream = vm.request(Request::post(PATH).bearer(&Token::good().sign()));
    let other = vm.request(Request::post(PATH).bearer(&Token::good().sign()));
    assert_eq!(vm.world().metric("mcp_oauth.held_requests"), 2);
    vm.delete(other);
    assert_eq!(vm.world().metric("mcp_oauth.held_requests"), 1);
    Idp::default().serve(&mut vm);
    vm.forwarded(stream);
    assert_eq!(vm.world().metric("mcp_oauth.held_requests"), 0);
    let now = vm.world().now;
    assert_eq!(vm.world().metric("mcp_oauth.keys_fetched_at.issuer.idp_example_com_realms_mcp"), now);
    assert!(vm.world().metric("mcp_oauth.fetches.keys") > 0);
    assert_eq!(vm.world().metric("mcp_oauth.fetch_failures.keys"), 0);
    vm.sleep(600);
    let call = vm.world().open_calls()[0].token;
    vm.answer(call, Answer::html());
    assert_eq!(vm.world().metric("mcp_oauth.fetch_failures.keys"), 1);
    assert_eq!(
        vm.world().metric("mcp_oauth.keys_fetched_at.issuer.idp_example_com_realms_mcp"),
        now,
        "the old keys stay"
    );
}

#[test]
fn whoever_waits_when_the_configuration_changes_does_not_wait_for_ever() {
    let mut vm = Vm::start(fetching_config().to_string());
    let stream = vm.request(Request::post(PATH).bearer(&Token::good().sign()));
    assert_eq!(vm.world().metric("mcp_oauth.held_requests"), 1);
    let root = vm.world().http_calls.first().map_or(1, |call| call.root);
    assert!(vm.reconfigure(root, fetching_config().to_string()));
    vm.replied(stream).refuses(503, "temporarily_unavailable");
    assert_eq!(vm.world().metric("mcp_oauth.held_requests"), 0);
}

#[test]
fn what_is_only_reported_goes_on_without_token_and_is_counted() {
    let mut config = inline_config(&[Key::GOOD]);
    config["resources"][0]["report_only"] = json!(true);
    let mut vm = Vm::start(config.to_string());
    assert!(vm.world().log_text().contains("NOTHING IS ENFORCED"), "{}", vm.world().log_text());
    let stream = vm.request(Request::post(PATH).bearer("nonsense").header("x-mcp-subject", "mallory"));
    let sent = vm.forwarded(stream);
    assert_eq!(sent.get("authorization"), None);
    assert_eq!(sent.get("x-mcp-subject"), None);
    assert_told(&mut vm, &[("requests.report", 1), ("reported.token_malformed", 1), ("token_cache.miss", 1)]);
    allow(&mut vm);
    assert_eq!(vm.world().metric("mcp_oauth.requests.allow"), 1);
}
