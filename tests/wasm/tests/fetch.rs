//! Keys by fetch: discovery, one call at a time, every failure answered, recovery without a restart.

use serde_json::json;
use wasm_host_tests::{
    Answer, Cluster, HttpCall, ISSUER, Idp, JWKS_URL, Key, METADATA_URL, PATH, Request, SUBJECT, Token, Vm,
    fetching_config, jwks, settle,
};

fn vm() -> Vm {
    Vm::start(fetching_config().to_string())
}

fn good() -> Request {
    Request::post(PATH).bearer(&Token::good().sign())
}

#[test]
fn the_first_tick_fetches_metadata_and_keys_before_anybody_asks() {
    let mut vm = vm();
    assert!(vm.world().http_calls.is_empty(), "configure is a pure function: no call from it");
    vm.tick();
    let calls = vm.world().open_calls();
    assert_eq!(calls.len(), 1, "{calls:#?}");
    let call = &calls[0];
    assert_eq!(call.url(), METADATA_URL);
    assert_eq!(call.cluster, "idp");
    assert_eq!(call.asked_by, call.root, "asked by the root, so that no client can take the answer away");
    assert_eq!(call.headers.get(":method"), Some("GET"));
    assert_eq!(call.headers.get("accept"), Some("application/json"));
    assert_eq!(call.timeout_ms, 5000);

    vm.answer(call.token, Answer::json(&Idp::metadata()));
    vm.tick();
    let calls = vm.world().open_calls();
    assert_eq!(calls.iter().map(HttpCall::url).collect::<Vec<_>>(), [JWKS_URL]);
    vm.answer(calls[0].token, Answer::json(&jwks(&[Key::GOOD])));

    // Ready: requests do not wait, and nothing more is asked.
    let stream = vm.request(good());
    assert_eq!(vm.forwarded(stream).get("x-mcp-subject"), Some(SUBJECT));
    vm.sleep(60);
    assert!(vm.world().open_calls().is_empty());
}

#[test]
fn a_request_waits_for_the_keys_and_goes_on_without_its_token() {
    let mut vm = vm();
    let stream = vm.request(good().header("x-mcp-subject", "mallory"));
    assert!(vm.is_held(stream), "{:?}", vm.outcome(stream));
    Idp::default().serve(&mut vm);
    let upstream = vm.forwarded(stream);
    assert_eq!(upstream.get("authorization"), None);
    assert_eq!(upstream.get("x-mcp-subject"), Some(SUBJECT));
}

#[test]
fn what_can_be_refused_without_keys_does_not_wait_and_does_not_fetch() {
    let mut vm = vm();
    Idp::default().serve(&mut vm);
    let before = vm.world().http_calls.len();
    for (request, status) in [
        (Request::post(PATH), 401),
        (Request::post(PATH).bearer("opaque"), 401),
        (Request::post(PATH).bearer(&Token::good().claim("aud", "https://x.example").sign()), 401),
        (Request::post(PATH).bearer(&Token::good().claim("exp", 1).sign()), 401),
    ] {
        let stream = vm.request(request);
        assert_eq!(vm.replied(stream).status, status);
    }
    vm.tick();
    assert_eq!(vm.world().http_calls.len(), before);
}

#[test]
fn discovery_goes_on_to_the_next_place_where_the_specification_says_so() {
    let places = [
        "https://idp.example.com/.well-known/oauth-authorization-server/realms/mcp",
        "https://idp.example.com/.well-known/openid-configuration/realms/mcp",
        "https://idp.example.com/realms/mcp/.well-known/openid-configuration",
    ];
    let mut other_issuer = Idp::metadata();
    other_issuer["issuer"] = json!("https://idp.example.com/realms/other");
    for not_here in [
        Answer::not_found(),
        Answer::html(),
        Answer::new(302, "text/plain", "").with("location", places[2]),
        Answer::new(502, "text/plain", ""),
        Answer::json(&other_issuer),
        Answer::new(200, "application/json", vec![b' '; 2 << 20]),
    ] {
        let mut vm = vm();
        let stream = vm.request(good());
        let urls = settle(&mut vm, |call| match call.url() {
            url if url == places[2] => Answer::json(&Idp::metadata()),
            url if url == JWKS_URL => Answer::json(&jwks(&[Key::GOOD])),
            _ => not_here.clone(),
        });
        assert_eq!(urls, [places[0], places[1], places[2], JWKS_URL], "{not_here:?}");
        vm.forwarded(stream);
    }
}

/// Ways in which an authorization server does not deliver: at both documents unless said
/// otherwise.
fn failures() -> Vec<(&'static str, Answer)> {
    let mut elsewhere = Idp::metadata();
    elsewhere["issuer"] = json!("https://evil.example");
    vec![
        ("connection refused", Answer::refused()),
        ("timeout", Answer::timeout()),
        ("reset", Answer::reset()),
        ("500", Answer::new(500, "application/json", "{}")),
        ("404", Answer::not_found()),
        ("HTML", Answer::html()),
        ("2 MB", Answer::new(200, "application/json", vec![b' '; 2 << 20])),
        ("2 MB of braces", Answer::new(200, "application/json", vec![b'{'; 200 << 10])),
        ("another issuer", Answer::json(&elsewhere)),
        ("no JSON", Answer::new(200, "application/json", "{\"issuer\":")),
        ("a list", Answer::new(200, "application/json", "[]")),
        ("bytes", Answer::new(200, "application/json", b"\xff\xfe".to_vec())),
        ("no status", Answer::json(&Idp::metadata()).with(":status", b"\xff")),
        ("no body", Answer::new(200, "application/json", "")),
        ("keys of no use", Answer::json(&json!({"keys": [{"kty": "oct", "k": "AAAA"}]}))),
    ]
}

#[test]
fn every_failure_answers_the_waiting_request_with_503_and_recovers() {
    for place in [METADATA_URL, JWKS_URL] {
        for (what, failure) in failures() {
            let mut vm = vm();
            let stream = vm.request(good());
            settle(&mut vm, |call| match place {
                METADATA_URL => failure.clone(),
                _ if call.url() == JWKS_URL => failure.clone(),
                _ => Answer::json(&Idp::metadata()),
            });
            let reply = vm.replied(stream);
            assert_eq!(reply.status, 503, "{what} at {place}: {reply:?}");
            reply.refuses(503, "temporarily_unavailable");
            let log = vm.world().log_text();
            assert!(log.contains(ISSUER), "{what} at {place}: the log does not name the issuer:\n{log}");
            vm.delete(stream);

            vm.sleep(61);
            let stream = vm.request(good());
            Idp::default().serve(&mut vm);
            assert_eq!(vm.forwarded(stream).get("authorization"), None, "after {what} at {place}");
        }
    }
}

#[test]
fn a_call_that_cannot_be_made_answers_with_503_and_recovers() {
    for cluster in [None, Some(Cluster::Empty)] {
        let mut vm = vm();
        vm.world().clusters.clear();
        vm.world().clusters.extend(cluster.map(|state| ("idp".to_owned(), state)));
        let stream = vm.request(good());
        vm.tick();
        vm.tick();
        vm.replied(stream).refuses(503, "temporarily_unavailable");
        vm.delete(stream);

        vm.world().clusters.insert("idp".to_owned(), Cluster::Up);
        vm.sleep(61);
        let stream = vm.request(good());
        Idp::default().serve(&mut vm);
        vm.forwarded(stream);
    }
}

#[test]
fn a_dead_authorization_server_is_not_hammered() {
    let mut vm = vm();
    for _ in 0..60 {
        for _ in 0..20 {
            let stream = vm.request(good());
            settle(&mut vm, |_| Answer::refused());
            vm.replied(stream).refuses(503, "temporarily_unavailable");
            vm.delete(stream);
        }
        vm.sleep(1);
        settle(&mut vm, |_| Answer::refused());
    }
    // 1, 2, 4, 8, 16 and 30 seconds apart: at most seven tries in a minute.
    let calls = vm.world().http_calls.len();
    assert!((2..=7).contains(&calls), "{calls} calls in a minute");
}

#[test]
fn a_new_key_is_fetched_once_and_not_once_per_request() {
    let mut vm = vm();
    Idp::default().serve(&mut vm);
    vm.sleep(60);
    let before = vm.world().http_calls.len();
    let by_new_key = || Request::post(PATH).bearer(&Token::good().signed_by(Key::OTHER).sign());
    let stream = vm.request(by_new_key());
    assert!(vm.is_held(stream));
    Idp::with_keys(&[Key::GOOD, Key::OTHER]).serve(&mut vm);
    vm.forwarded(stream);
    assert!(vm.world().http_calls.len() > before);

    // A kid that is nowhere: one refetch in the cooldown, whoever asks.
    vm.sleep(60);
    let before = vm.world().http_calls.len();
    for _ in 0..20 {
        let stream = vm.request(Request::post(PATH).bearer(&Token::good().signed_by(Key::Ed25519(99)).sign()));
        Idp::default().serve(&mut vm);
        vm.replied(stream).refuses(401, "invalid_token");
    }
    let fetched = vm.world().http_calls.len() - before;
    assert!((1..=2).contains(&fetched), "{fetched} calls for unknown keys");
}

#[test]
fn old_keys_stay_in_use_while_a_refresh_fails() {
    let mut vm = vm();
    Idp::default().serve(&mut vm);
    vm.sleep(15 * 60);
    settle(&mut vm, |_| Answer::refused());
    let stream = vm.request(good());
    settle(&mut vm, |_| Answer::refused());
    vm.forwarded(stream);

    // keys_max_stale is an hour after the last good fetch; the token must outlive it.
    vm.world().now += 2 * 3600;
    let late = Token::good().claim("exp", wasm_host_tests::NOW + 24 * 3600).sign();
    let stream = vm.request(Request::post(PATH).bearer(&late));
    settle(&mut vm, |_| Answer::refused());
    vm.replied(stream).refuses(503, "temporarily_unavailable");
}

#[test]
fn a_fetch_that_the_host_forgets_is_given_up() {
    let mut vm = vm();
    let stream = vm.request(good());
    vm.tick();
    assert_eq!(vm.world().open_calls().len(), 1);
    for _ in 0..30 {
        vm.sleep(1);
    }
    vm.replied(stream).refuses(503, "temporarily_unavailable");
}

#[test]
fn a_configured_jwks_uri_skips_discovery_and_may_live_elsewhere() {
    let mut config = fetching_config();
    config["authorization_servers"][0]["jwks_uri"] = json!("https://keys.example.net/set?a=b");
    config["authorization_servers"][0]["jwks_cluster"] = json!("idp-keys");
    config["authorization_servers"][0]["fetch_timeout"] = json!("250ms");
    let mut vm = Vm::start(config.to_string());
    vm.world().clusters.insert("idp-keys".to_owned(), Cluster::Up);
    let stream = vm.request(good());
    let urls = settle(&mut vm, |_| Answer::json(&jwks(&[Key::GOOD])));
    assert_eq!(urls, ["https://keys.example.net/set?a=b"]);
    let call = &vm.world().http_calls[0];
    assert_eq!((call.cluster.as_str(), call.timeout_ms), ("idp-keys", 250));
    vm.forwarded(stream);
}

#[test]
fn one_dead_issuer_does_not_keep_the_tokens_of_another_waiting() {
    let other = "https://other.example.com";
    let mut config = fetching_config();
    let second = json!({"issuer": other, "cluster": "other", "jwks_uri": "https://other.example.com/keys"});
    config["authorization_servers"].as_array_mut().expect("an array").push(second);
    let mut vm = Vm::start(config.to_string());
    vm.world().clusters.insert("other".to_owned(), Cluster::Up);
    let by_other = |key| Request::post(PATH).bearer(&Token::good().claim("iss", other).signed_by(key).sign());

    let first = vm.request(good());
    let second = vm.request(by_other(Key::OTHER));
    let crossed = vm.request(by_other(Key::GOOD));
    vm.tick();
    let open = vm.world().open_calls();
    assert_eq!(open.len(), 2, "{open:#?}");
    let keys = open.iter().find(|call| call.cluster == "other").expect("a call to the other issuer");
    vm.answer(keys.token, Answer::json(&jwks(&[Key::OTHER])));
    vm.forwarded(second);
    vm.replied(crossed).refuses(401, "invalid_token");
    assert!(vm.is_held(first));
    settle(&mut vm, |_| Answer::timeout());
    vm.replied(first).refuses(503, "temporarily_unavailable");
}

#[test]
fn a_document_that_is_too_large_is_not_copied_into_the_vm() {
    for (size, copied) in [(2 << 20, false), (1 << 10, true)] {
        let mut vm = vm();
        vm.tick();
        let call = vm.world().open_calls()[0].clone();
        let before = vm.world().counts["proxy_get_buffer_bytes"];
        vm.answer(call.token, Answer::new(200, "application/json", vec![b' '; size]));
        assert_eq!(vm.world().counts["proxy_get_buffer_bytes"] > before, copied, "{size} bytes");
    }
}
