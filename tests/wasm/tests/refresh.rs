//! Keys are refreshed before they are too old, whether or not anybody asks; the timer says when.

use std::collections::BTreeSet;
use wasm_host_tests::{
    Answer, HttpCall, Idp, JWKS_URL, Key, NOW, PATH, Request, Token, Vm, fetching_config, inline_config, jwks, settle,
};

/// The default of `keys_max_age`, in seconds.
const MAX_AGE: u32 = 600;
/// The default of `refetch_cooldown`.
const COOLDOWN: u32 = 30;

fn vm() -> Vm {
    Vm::start(fetching_config().to_string())
}

fn good() -> Request {
    Request::post(PATH).bearer(&Token::good().sign())
}

/// The seconds after which the only root context is to be called.
fn timer(vm: &mut Vm) -> u32 {
    let ticks: Vec<u32> = vm.world().ticks.values().copied().collect();
    assert_eq!(ticks.len(), 1, "{ticks:?}");
    assert!(ticks[0] > 0, "there is no timer");
    assert_eq!(ticks[0] % 1000, 0, "{ticks:?}");
    ticks[0] / 1000
}

/// The lifetime and up to a tenth less.
fn assert_about(seconds: u32, lifetime: u32, what: &str) {
    assert!((lifetime - lifetime / 10..=lifetime).contains(&seconds), "{what}: {seconds} s, not {lifetime} s");
}

#[test]
fn keys_are_refreshed_although_nobody_asks() {
    let mut vm = vm();
    Idp::default().serve(&mut vm);
    for round in 0..5 {
        let due = timer(&mut vm);
        assert_about(due, MAX_AGE, &format!("round {round}"));
        // A tick too early finds nothing to do, and keeps the appointment.
        let before = vm.world().http_calls.len();
        vm.sleep(u64::from(due) - 1);
        assert_eq!(vm.world().http_calls.len(), before, "round {round}: too early");
        assert_eq!(timer(&mut vm), 1);
        vm.sleep(1);
        assert_eq!(vm.world().open_calls().len(), 1, "round {round}: not fetched");
        let stream = vm.request(good().with("authorization", format!("Bearer {}", late().sign())));
        vm.forwarded(stream);
        Idp::default().serve(&mut vm);
    }
}

/// A token that outlives the test.
fn late() -> Token {
    Token::good().claim("exp", NOW + 24 * 3600)
}

#[test]
fn an_answers_max_age_counts_between_the_cooldown_and_the_configured_age() {
    for (cache_control, lifetime) in [
        ("max-age=120", 120),
        ("public, max-age=300, must-revalidate", 300),
        ("max-age=1", COOLDOWN),
        ("max-age=86400", MAX_AGE),
        ("max-age=99999999999999999999999", MAX_AGE),
        ("max-age=soon", MAX_AGE),
        ("", MAX_AGE),
    ] {
        let mut vm = vm();
        settle(&mut vm, |call: &HttpCall| match call.url().as_str() {
            JWKS_URL => Answer::json(&jwks(&[Key::GOOD])).with("cache-control", cache_control),
            _ => Idp::default().answer(call),
        });
        assert_about(timer(&mut vm), lifetime, cache_control);
        let stream = vm.request(good());
        vm.forwarded(stream);
    }
}

#[test]
fn a_cache_control_that_is_no_text_spoils_nothing() {
    let mut vm = vm();
    settle(&mut vm, |call| Idp::default().answer(call).with("cache-control", b"max-age=\xff60"));
    assert_about(timer(&mut vm), MAX_AGE, "bytes");
    let stream = vm.request(good());
    vm.forwarded(stream);
}

#[test]
fn workers_do_not_all_refresh_in_the_same_second() {
    let times: BTreeSet<u32> = (0..20)
        .map(|worker| {
            let mut vm = Vm::new();
            vm.world().now = NOW + worker;
            assert!(vm.root(fetching_config().to_string()).1);
            Idp::default().serve(&mut vm);
            let seconds = timer(&mut vm);
            assert_about(seconds, MAX_AGE, &format!("worker {worker}"));
            seconds
        })
        .collect();
    assert!(times.len() > 10, "{times:?}");
}

#[test]
fn a_failed_refresh_is_tried_again_soon_and_then_back_to_the_usual_pace() {
    let mut vm = vm();
    Idp::default().serve(&mut vm);
    let due = u64::from(timer(&mut vm));
    vm.sleep(due);
    settle(&mut vm, |_| Answer::refused());
    let retry = timer(&mut vm);
    assert!(retry <= 30, "{retry} s");
    let stream = vm.request(good());
    vm.forwarded(stream);
    vm.sleep(u64::from(retry));
    Idp::default().serve(&mut vm);
    assert_about(timer(&mut vm), MAX_AGE, "after a failure");
}

/// A proxy starts before its clock is set right. What is planned meanwhile must not be hours ahead afterwards.
#[test]
fn a_clock_that_is_set_back_does_not_keep_the_keys_away() {
    const AHEAD: u64 = 8 * 3600;
    for fails in [true, false] {
        let mut vm = Vm::new();
        vm.world().now = NOW + AHEAD;
        assert!(vm.root(fetching_config().to_string()).1);
        if fails {
            settle(&mut vm, |_| Answer::refused());
        } else {
            Idp::with_keys(&[Key::OTHER]).serve(&mut vm);
            let stream = vm.request(Request::post(PATH).bearer(&late().sign()));
            assert!(vm.is_held(stream), "one refetch for an unknown key");
            Idp::with_keys(&[Key::OTHER]).serve(&mut vm);
            vm.replied(stream).refuses(401, "invalid_token");
        }
        vm.world().now = NOW;
        let stream = vm.request(good());
        vm.replied(stream);
        // At the latest when the pause or the cooldown of the wrong clock is over.
        vm.sleep(u64::from(COOLDOWN));
        let stream = vm.request(good());
        Idp::default().serve(&mut vm);
        vm.forwarded(stream);
    }
}

#[test]
fn with_keys_in_the_configuration_there_is_no_timer() {
    let mut vm = Vm::start(inline_config(&[Key::GOOD]).to_string());
    vm.tick();
    let stream = vm.request(good());
    vm.forwarded(stream);
    assert!(vm.world().ticks.values().all(|period| *period == 0), "{:?}", vm.world().ticks);
}
