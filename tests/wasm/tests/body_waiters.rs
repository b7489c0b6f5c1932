//! Requests whose rules must be judged and whose keys are not there yet: the body comes before, after, or half-way.

use wasm_host_tests::{
    ADMIN_TOOL, DENIED_TOOL, Hold, Idp, PATH, Request, Stream, TOOL, Token, Vm, breach, call, fetching_config,
    good_post, message,
};

/// When the keys come.
#[derive(Clone, Copy, Debug)]
enum Keys {
    First,
    HalfWay,
    BeforeTheEnd,
    Last,
}

const KEYS: [Keys; 4] = [Keys::First, Keys::HalfWay, Keys::BeforeTheEnd, Keys::Last];

/// How the body ends.
#[derive(Clone, Copy, Debug)]
enum End {
    WithItsLastPiece,
    EmptyPiece,
    Trailers,
}

const ENDS: [End; 3] = [End::WithItsLastPiece, End::EmptyPiece, End::Trailers];

/// One request in two pieces, while its keys come.
fn send(vm: &mut Vm, request: Request, body: &str, keys: Keys, end: End) -> Stream {
    let stream = vm.request(request);
    assert!(vm.is_held(stream), "{:?}", vm.outcome(stream));
    let (first, last) = body.split_at(body.len() / 2);
    let idp = Idp::default();
    if matches!(keys, Keys::First) {
        idp.serve(vm);
    }
    vm.send(stream, first, false);
    if matches!(keys, Keys::HalfWay) {
        idp.serve(vm);
    }
    vm.send(stream, last, matches!(end, End::WithItsLastPiece));
    if matches!(keys, Keys::BeforeTheEnd) {
        idp.serve(vm);
    }
    match end {
        End::WithItsLastPiece => {}
        End::EmptyPiece => vm.send(stream, "", true),
        End::Trailers => vm.send_trailers(stream),
    }
    if matches!(keys, Keys::Last) {
        let got = vm.upstream(stream);
        assert!(got.is_nothing(), "nothing may go on without keys: {got:?}");
        idp.serve(vm);
    }
    stream
}

/// Every way for a body and the keys to come, in a new VM for each.
fn everywhere(mut check: impl FnMut(&str, Keys, End, Hold)) {
    for hold in Hold::BOTH {
        for keys in KEYS {
            for end in ENDS {
                check(&format!("{hold:?}, keys {keys:?}, end {end:?}"), keys, end, hold);
            }
        }
    }
}

#[test]
fn a_good_message_goes_upstream_whenever_the_keys_come() {
    everywhere(|case, keys, end, hold| {
        let mut vm = hold.cold();
        let stream = send(&mut vm, good_post().header("x-mcp-subject", "mallory"), &call(TOOL), keys, end);
        let got = vm.upstream(stream);
        assert_eq!((String::from_utf8_lossy(&got.body).as_ref(), got.ended), (call(TOOL).as_str(), true), "{case}");
        assert_eq!(breach(&mut vm, stream, true), None, "{case}");
    });
}

#[test]
fn a_denied_message_stays_here_whenever_the_keys_come() {
    everywhere(|case, keys, end, hold| {
        for tool in [DENIED_TOOL, ADMIN_TOOL] {
            let mut vm = hold.cold();
            let stream = send(&mut vm, good_post(), &call(tool), keys, end);
            assert_eq!(vm.replied(stream).status, 403, "{case}");
            let got = vm.upstream(stream);
            assert!(got.body.is_empty() && !got.ended, "{case}: {got:?}");
            assert!(hold == Hold::Body || got.head.is_none(), "{case}: {got:?}");
            assert_eq!(breach(&mut vm, stream, true), None, "{case}");
        }
    });
}

#[test]
fn a_bad_token_keeps_all_of_it_here_whenever_the_keys_come() {
    everywhere(|case, keys, end, hold| {
        let mut vm = hold.cold();
        let unscoped = Token::good().claim("scope", "other").sign();
        let stream = send(&mut vm, Request::post(PATH).bearer(&unscoped), &call(TOOL), keys, end);
        assert_eq!(vm.replied(stream).status, 403, "{case}");
        assert_eq!(breach(&mut vm, stream, false), None, "{case}");
        assert!(vm.upstream(stream).body.is_empty(), "{case}");
    });
}

/// A proxy that hands bodies over early does so whatever the filter was told of it.
#[test]
fn a_filter_that_was_told_the_wrong_thing_of_its_proxy_lets_nothing_through() {
    for hold in Hold::BOTH {
        for keys in KEYS {
            for end in ENDS {
                let mut vm = hold.cold();
                vm.world().stops_headers_only = hold == Hold::Body;
                let stream = send(&mut vm, good_post(), &call(DENIED_TOOL), keys, end);
                let got = vm.upstream(stream);
                assert!(got.body.is_empty() && !got.ended, "{hold:?} {keys:?} {end:?}: {got:?}");
                assert_eq!(breach(&mut vm, stream, true), None, "{hold:?} {keys:?} {end:?}");
            }
        }
    }
}

#[test]
fn requests_without_a_body_wait_for_keys_too() {
    for hold in Hold::BOTH {
        let mut vm = hold.cold();
        let token = Token::good().sign();
        let ended = vm.request(Request::get(PATH).bearer(&token));
        let later = vm.request(Request::new("DELETE", PATH).bearer(&token).ending(false));
        let empty = vm.request(good_post().ending(true));
        vm.send(later, "", true);
        Idp::default().serve(&mut vm);
        for stream in [ended, later] {
            assert!(vm.upstream(stream).ended, "{hold:?}");
            assert_eq!(breach(&mut vm, stream, true), None);
        }
        vm.replied(empty).refuses(400, "invalid_request");
        assert!(vm.upstream(empty).is_nothing());
    }
}

/// Nobody has vouched for them yet: where the host tells of them, they are refused at once.
#[test]
fn bodies_that_are_too_long_while_they_wait_are_refused() {
    for hold in Hold::BOTH {
        let mut config = hold.ruled(fetching_config());
        config["resources"][0]["body"] = serde_json::json!({"max_size": "1KiB"});
        let mut vm = hold.start(&config);
        let (long, short) = (vm.request(good_post()), vm.request(good_post()));
        vm.send(long, " ".repeat(1000), false);
        assert!(vm.is_held(long));
        vm.send(long, " ".repeat(25), false);
        vm.send(short, " ".repeat(1024), false);
        assert_eq!(vm.is_held(long), hold == Hold::Body, "the host keeps the body, or hands it over");
        assert!(vm.is_held(short));
        Idp::default().serve(&mut vm);
        vm.replied(long).refuses(413, "invalid_request");
        assert!(vm.upstream(long).body.is_empty());
        vm.send(short, "", true);
        vm.replied(short).refuses(400, "invalid_request");
    }
}

/// Where bodies are not read, they are the proxy's.
#[test]
fn without_rules_a_body_of_any_length_waits() {
    for stops_headers_only in [false, true] {
        let mut vm = Vm::start(fetching_config().to_string());
        vm.world().stops_headers_only = stops_headers_only;
        let stream = vm.request(good_post());
        let body = " ".repeat(3 << 20);
        vm.send(stream, &body, false);
        assert!(vm.is_held(stream));
        Idp::default().serve(&mut vm);
        vm.send(stream, "", true);
        assert!(vm.upstream(stream).body == body.as_bytes());
    }
}

#[test]
fn so_many_requests_are_read_at_a_time_and_the_rest_is_told_to_come_back() {
    const MOST: usize = 2048;
    const MOST_ANONYMOUS: usize = 256;
    let mut config = Hold::Headers.ruled(fetching_config());
    config["resources"][0]["anonymous_methods"] = serde_json::json!(["ping"]);
    let mut vm = Hold::Headers.start(&config);
    Idp::default().serve(&mut vm);
    let ping = message("ping", serde_json::json!({}));
    let (good, anonymous) = (good_post(), Request::post(PATH));
    for (request, most, other) in [(&anonymous, MOST_ANONYMOUS, &good), (&good, MOST, &anonymous)] {
        let mut streams: Vec<Stream> = (0..most).map(|_| vm.request(request.clone())).collect();
        for stream in &streams {
            vm.send(*stream, &ping[..9], false);
            assert!(vm.is_held(*stream), "{:?}", vm.outcome(*stream));
        }
        let refused = vm.request(request.clone());
        vm.replied(refused).refuses(503, "temporarily_unavailable");
        let stream = vm.request(other.clone());
        vm.send(stream, &ping, true);
        assert!(vm.upstream(stream).ended, "others are served");
        // A verdict makes room, and so does a client that leaves.
        vm.send(streams[0], &ping[9..], true);
        assert_eq!(vm.upstream(streams[0]).body, ping.as_bytes());
        vm.send(streams[1], "nonsense", true);
        vm.replied(streams[1]);
        vm.delete(streams[2]);
        for stream in streams.iter_mut().take(3) {
            *stream = vm.request(request.clone());
            assert!(vm.is_held(*stream), "{:?}", vm.outcome(*stream));
        }
        let refused = vm.request(request.clone());
        vm.replied(refused).refuses(503, "temporarily_unavailable");
        streams.into_iter().for_each(|stream| vm.delete(stream));
    }
}

#[test]
fn without_rules_a_body_follows_its_head_when_the_keys_come() {
    for stops_headers_only in [false, true] {
        for keys in KEYS {
            for end in ENDS {
                let mut vm = Vm::start(fetching_config().to_string());
                vm.world().stops_headers_only = stops_headers_only;
                let stream = send(&mut vm, good_post(), "any body", keys, end);
                let got = vm.upstream(stream);
                assert_eq!((&got.body[..], got.ended), (&b"any body"[..], true), "{keys:?} {end:?}");
                assert_eq!(breach(&mut vm, stream, true), None);
            }
        }
    }
}

#[test]
fn clients_that_leave_while_they_wait_make_room() {
    for hold in Hold::BOTH {
        let mut vm = hold.cold();
        let request = good_post();
        // More than may wait at a time.
        for _ in 0..1100 {
            let stream = vm.request(request.clone());
            assert!(vm.is_held(stream), "{:?}", vm.outcome(stream));
            vm.delete(stream);
        }
    }
}

#[test]
fn clients_that_leave_while_they_are_read_leave_nothing_behind() {
    const ROUNDS: usize = 150;
    for hold in Hold::BOTH {
        let mut vm = hold.served();
        // What is kept of a request is about as long as this.
        let request = good_post().header("mcp-name", "x".repeat(16 * 1024));
        let leave = |vm: &mut Vm| {
            for round in 0..ROUNDS {
                let stream = vm.request(request.clone());
                vm.send(stream, "{", false);
                if round % 2 == 0 {
                    vm.send(stream, "nonsense", true);
                    assert_eq!(vm.replied(stream).status, 400);
                }
                vm.delete(stream);
            }
        };
        leave(&mut vm);
        let before = vm.memory();
        leave(&mut vm);
        let grown = vm.memory() - before;
        assert!(grown < ROUNDS * 1024, "{hold:?}: {grown} bytes more than before");
    }
}

#[test]
fn clients_that_left_are_not_acted_for_when_the_keys_come() {
    for hold in Hold::BOTH {
        let mut vm = hold.cold();
        let streams: Vec<Stream> = (0..4).map(|_| vm.request(good_post())).collect();
        vm.send(streams[0], call(TOOL), true);
        vm.send(streams[1], call(TOOL), false);
        vm.send(streams[3], call(DENIED_TOOL), true);
        for gone in &streams[..3] {
            vm.delete(*gone);
        }
        Idp::default().serve(&mut vm);
        for gone in &streams[..3] {
            assert!(vm.upstream(*gone).is_nothing());
        }
        assert_eq!(vm.replied(streams[3]).status, 403);
    }
}
