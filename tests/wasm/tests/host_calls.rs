//! What a request costs in host calls, each of which crosses the sandbox.

use serde_json::json;
use std::collections::BTreeMap;
use wasm_host_tests::{
    Answer, Hold, Idp, Key, PATH, Request, Response, TOOL, Token, Vm, fetching_config, good_post, jwks, message, tools,
};

/// Measured: time, pairs, remove `authorization`, set four identity headers; one look at the response; a counter.
const MOST_FOR_A_FORWARD: u32 = 9;
/// Of these, for the counter.
const FOR_METRICS: u32 = 1;
/// Measured: time, pairs, the reply; log level and log line at level debug; two counters.
const MOST_FOR_A_REFUSAL: u32 = 7;

/// Measured: time, three headers, the body, a log line, the timer, a gauge.
const MOST_FOR_AN_ANSWER: u32 = 8;

/// Measured: what a forward costs, and the body.
const FOR_A_RULED_FORWARD: u32 = 10;
/// Measured besides: four looks at the response's head, its length, the list, and the list again.
const FOR_A_LIST: u32 = 16;

/// Host calls by name that `work` makes.
fn cost(vm: &mut Vm, work: impl FnOnce(&mut Vm)) -> (u32, BTreeMap<&'static str, u32>) {
    let before = vm.world().counts.clone();
    work(vm);
    let mut spent = vm.world().counts.clone();
    for (name, count) in &mut spent {
        *count -= before.get(name).unwrap_or(&0);
    }
    spent.retain(|_, count| *count > 0);
    (spent.values().sum(), spent)
}

/// A VM that has its keys and has served a request.
fn warm() -> Vm {
    warm_with("total")
}

fn warm_with(request_metrics: &str) -> Vm {
    let mut config = fetching_config();
    config["request_metrics"] = json!(request_metrics);
    let mut vm = Vm::start(config.to_string());
    Idp::default().serve(&mut vm);
    let stream = vm.request(Request::post(PATH).bearer(&Token::good().sign()));
    vm.forwarded(stream);
    vm
}

#[test]
fn a_warm_request_makes_few_host_calls() {
    let mut vm = warm();
    let token = Token::good().sign();
    let (total, spent) = cost(&mut vm, |vm| {
        let stream = vm.request(Request::post(PATH).bearer(&token));
        vm.forwarded(stream);
        vm.respond(stream, Response::status(200).header("content-type", "application/json"));
        vm.delete(stream);
    });
    println!("a warm request and its response: {total} host calls {spent:?}");
    assert!(total <= MOST_FOR_A_FORWARD, "measured {MOST_FOR_A_FORWARD} once, now {total}: {spent:?}");
}

#[test]
fn counting_costs_a_warm_request_one_host_call_or_none() {
    for (request_metrics, expected) in [("total", 1), ("per_resource", 1), ("off", 0)] {
        let mut vm = warm_with(request_metrics);
        let token = Token::good().sign();
        let (total, spent) = cost(&mut vm, |vm| {
            let stream = vm.request(Request::post(PATH).bearer(&token));
            vm.forwarded(stream);
            vm.respond(stream, Response::status(200).header("content-type", "application/json"));
            vm.delete(stream);
        });
        assert_eq!(total, MOST_FOR_A_FORWARD - FOR_METRICS + expected, "{request_metrics}: {spent:?}");
        assert_eq!(spent.get("proxy_increment_metric").copied().unwrap_or_default(), expected, "{request_metrics}");
    }
}

#[test]
fn a_refusal_makes_few_host_calls() {
    let mut vm = warm();
    // The first one of its kind defines its counters.
    let stream = vm.request(Request::post(PATH));
    vm.replied(stream).refuses(401, "missing_token");
    vm.delete(stream);
    let (total, spent) = cost(&mut vm, |vm| {
        let stream = vm.request(Request::post(PATH));
        vm.replied(stream).refuses(401, "missing_token");
        vm.delete(stream);
    });
    println!("a refusal: {total} host calls {spent:?}");
    assert!(total <= MOST_FOR_A_REFUSAL, "measured {MOST_FOR_A_REFUSAL} once, now {total}: {spent:?}");
}

#[test]
fn the_answer_to_a_fetch_makes_few_host_calls() {
    let mut vm = warm();
    vm.sleep(600);
    let calls = vm.world().open_calls();
    assert_eq!(calls.len(), 1, "{calls:#?}");
    let (total, spent) = cost(&mut vm, |vm| vm.answer(calls[0].token, Answer::json(&jwks(&[Key::GOOD]))));
    println!("the answer to a fetch: {total} host calls {spent:?}");
    assert!(total <= MOST_FOR_AN_ANSWER, "measured {MOST_FOR_AN_ANSWER} once, now {total}: {spent:?}");
}

/// What a request with a body of 1 KiB and its response cost.
fn ruled(hold: Hold, method: &str, list: &str) -> (u32, BTreeMap<&'static str, u32>) {
    let mut vm = hold.served();
    let params = |text: &str| json!({"name": TOOL, "arguments": {"text": text}});
    let padding = "x".repeat(1024 - message(method, params("")).len());
    let (request, body) = (good_post(), message(method, params(&padding)));
    assert_eq!(body.len(), 1024);
    cost(&mut vm, |vm| {
        let stream = vm.request(request);
        vm.send(stream, &body, true);
        assert_eq!(vm.upstream(stream).body, body.as_bytes());
        vm.respond(stream, Response::status(200).header("content-type", "application/json"));
        vm.send_back(stream, list, true);
        assert!(vm.client(stream).ended);
        vm.delete(stream);
    })
}

#[test]
fn a_warm_request_with_a_rule_costs_one_call_more_than_without() {
    for hold in Hold::BOTH {
        let (total, spent) = ruled(hold, "tools/call", "any body");
        println!("{hold:?}: {total} host calls {spent:?}");
        assert_eq!(total, FOR_A_RULED_FORWARD, "{hold:?}: {spent:?}");
        assert_eq!(spent["proxy_get_buffer_bytes"], 1, "the body is read once");
    }
}

#[test]
fn a_warm_list_costs_a_look_at_its_head_and_its_body_twice() {
    for hold in Hold::BOTH {
        let (total, spent) = ruled(hold, "tools/list", &tools(&[TOOL]));
        println!("{hold:?}: {total} host calls {spent:?}");
        assert_eq!(total, FOR_A_LIST, "{hold:?}: {spent:?}");
    }
}

#[test]
fn pieces_of_a_body_that_is_not_complete_cost_nothing() {
    for hold in Hold::BOTH {
        let mut vm = hold.served();
        let stream = vm.request(good_post());
        let (total, spent) = cost(&mut vm, |vm| (0..5).for_each(|_| vm.send(stream, " ", false)));
        assert_eq!(total, 0, "{spent:?}");
    }
}
