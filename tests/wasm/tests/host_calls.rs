//! What a request costs in host calls, each of which crosses the sandbox.

use std::collections::BTreeMap;
use wasm_host_tests::{Answer, Idp, Key, PATH, Request, Response, Token, Vm, fetching_config, jwks};

/// Measured: time, pairs, remove `authorization`, set four identity headers; one look at the response.
const MOST_FOR_A_FORWARD: u32 = 8;
/// Measured: time, pairs, the reply; log level and log line at level debug.
const MOST_FOR_A_REFUSAL: u32 = 5;

/// Measured: time, three headers, the body, a log line, the timer.
const MOST_FOR_AN_ANSWER: u32 = 7;

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
    let mut vm = Vm::start(fetching_config().to_string());
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
fn a_refusal_makes_few_host_calls() {
    let mut vm = warm();
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
