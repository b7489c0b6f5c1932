//! Held requests: many on one fetch, each answered for itself, also when the client left.

use wasm_host_tests::{
    Answer, ISSUER, Idp, Key, Outcome, PATH, Request, Stream, Token, Vm, fetching_config, jwks, settle,
};

fn vm() -> Vm {
    Vm::start(fetching_config().to_string())
}

fn with(token: &Token) -> Request {
    Request::post(PATH).bearer(&token.sign())
}

#[test]
fn each_of_several_waiters_gets_its_own_verdict() {
    let mut vm = vm();
    let allowed = vm.request(with(&Token::good()));
    let unscoped = vm.request(with(&Token::good().claim("scope", "other")));
    let forged = vm.request(with(&Token::good().forged_by(Key::OTHER)));
    let gone = vm.request(with(&Token::good()));
    let body_less = vm.request(Request::get(PATH).bearer(&Token::good().sign()));
    for stream in [allowed, unscoped, forged, gone, body_less] {
        assert!(vm.is_held(stream), "{:?}", vm.outcome(stream));
    }
    vm.tick();
    vm.tick();
    assert_eq!(vm.world().open_calls().len(), 1, "one fetch for all of them");
    vm.delete(gone);

    Idp::default().serve(&mut vm);
    for stream in [allowed, body_less] {
        assert_eq!(vm.forwarded(stream).get("authorization"), None);
    }
    vm.replied(unscoped).refuses(403, "insufficient_scope");
    vm.replied(forged).refuses(401, "invalid_token");
    assert!(matches!(vm.outcome(gone), Outcome::Gone));
    assert!(vm.upstream_attempts(gone).is_empty());
}

#[test]
fn at_no_time_are_two_calls_in_flight_for_one_issuer() {
    let mut vm = vm();
    let mut streams = Vec::new();
    let mut answered = 0;
    for round in 0..12 {
        streams.push(vm.request(with(&Token::good())));
        vm.tick();
        let open = vm.world().open_calls();
        assert!(open.len() <= 1, "{open:#?}");
        if let (Some(call), 3 | 6 | 9) = (open.first(), round) {
            vm.answer(call.token, Idp::default().answer(call));
            answered += 1;
        }
    }
    assert!(answered >= 2);
    Idp::default().serve(&mut vm);
    for stream in streams {
        vm.forwarded(stream);
    }
}

#[test]
fn when_all_clients_left_the_fetch_still_ends_well() {
    let mut vm = vm();
    let streams: Vec<Stream> = (0..5).map(|_| vm.request(with(&Token::good()))).collect();
    vm.tick();
    for stream in &streams {
        vm.delete(*stream);
    }
    Idp::default().serve(&mut vm);
    let stream = vm.request(with(&Token::good()));
    vm.forwarded(stream);
}

#[test]
fn every_waiter_is_answered_when_the_keys_do_not_come() {
    let mut vm = vm();
    let streams: Vec<Stream> = (0..50).map(|_| vm.request(with(&Token::good()))).collect();
    vm.delete(streams[10]);
    vm.delete(streams[49]);
    settle(&mut vm, |_| Answer::timeout());
    for (n, stream) in streams.into_iter().enumerate() {
        match n {
            10 | 49 => assert!(matches!(vm.outcome(stream), Outcome::Gone)),
            _ => {
                vm.replied(stream).refuses(503, "temporarily_unavailable");
            }
        }
    }
}

#[test]
fn held_requests_are_bounded_and_the_rest_is_told_to_come_back() {
    let mut vm = vm();
    let token = Token::good().sign();
    let streams: Vec<Stream> = (0..3000).map(|_| vm.request(Request::post(PATH).bearer(&token))).collect();
    let held: Vec<Stream> = streams.iter().copied().filter(|stream| vm.is_held(*stream)).collect();
    assert!((100..2000).contains(&held.len()), "{} held", held.len());
    for stream in streams.iter().filter(|stream| !held.contains(stream)) {
        vm.replied(*stream).refuses(503, "temporarily_unavailable");
    }
    // Whoever gives up makes room.
    vm.delete(held[0]);
    let stream = vm.request(Request::post(PATH).bearer(&token));
    assert!(vm.is_held(stream));
    settle(&mut vm, |_| Answer::refused());
    for stream in &held[1..] {
        vm.replied(*stream).refuses(503, "temporarily_unavailable");
    }
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let mut vm = vm();
    let stream = vm.request(with(&Token::good().signed_by(Key::OTHER)));
    vm.tick();
    let call = vm.world().open_calls()[0].clone();
    let evil = || Some(Answer::json(&jwks(&[Key::OTHER])));
    for token in [0, call.token + 1, 77, u32::MAX] {
        vm.deliver(call.root, token, 2, 100, evil());
    }
    assert!(vm.is_held(stream));
    Idp::default().serve(&mut vm);
    vm.replied(stream).refuses(401, "invalid_token");
    // The same token again, long after its call has ended.
    for finished in 1..=vm.world().http_calls.len() {
        let token = u32::try_from(finished).expect("few calls");
        vm.deliver(call.root, token, 2, 100, evil());
    }
    let stream = vm.request(with(&Token::good()));
    vm.forwarded(stream);
    let stream = vm.request(with(&Token::good().signed_by(Key::OTHER)));
    Idp::default().serve(&mut vm);
    vm.replied(stream).refuses(401, "invalid_token");
}

#[test]
fn a_late_answer_to_a_fetch_that_was_given_up_changes_nothing() {
    let mut vm = vm();
    let stream = vm.request(with(&Token::good()));
    vm.tick();
    let late = vm.world().open_calls()[0].clone();
    for _ in 0..30 {
        vm.sleep(1);
        for call in vm.world().open_calls().into_iter().filter(|call| call.token != late.token) {
            vm.answer(call.token, Answer::refused());
        }
    }
    vm.replied(stream).refuses(503, "temporarily_unavailable");
    vm.answer(late.token, Answer::json(&jwks(&[Key::OTHER])));
    vm.sleep(61);
    let stream = vm.request(with(&Token::good()));
    Idp::default().serve(&mut vm);
    assert_eq!(vm.forwarded(stream).get("x-mcp-issuer"), Some(ISSUER));
}
