//! Keys come and go without a restart: one fetch at a time, everybody who waits is answered, old keys serve while new
//! ones cannot be had, and no token can cause more than one refetch per cooldown.

mod cache_control;
mod clock;

use std::collections::BTreeSet;

use mcp_oauth::{
    acceleration::NoHostCrypto,
    config,
    fetch::{Answer, Fetch},
    gate::{Gate, Resumed, Verdict},
    refusal::Refusal,
    reply::Reply,
    time::UnixTime,
    token::TokenError,
    waiting::MAX_HELD,
};
use serde_json::{Value, json};

use crate::support::{
    ISSUER, NOW, ask_as, claims, gate, good_token, head, header, jwk, jwks, refusal, remote_config, reply,
    reply_header, sign, sign_texts, with,
};

const JWKS_URI: &str = "https://idp.example.com/keys";

fn later(seconds: u64) -> UnixTime {
    UnixTime(NOW.0 + seconds)
}

fn metadata() -> Value {
    json!({ "issuer": ISSUER, "jwks_uri": JWKS_URI })
}

fn json_answer(body: &[u8]) -> Answer<'_> {
    Answer::Response { status: b"200", content_type: Some(b"application/json"), cache_control: None, body }
}

fn next(gate: &mut Gate, now: UnixTime) -> Fetch {
    gate.poll_fetch(now).expect("a fetch")
}

/// Answers the fetch that is due with a JSON document.
fn serve(gate: &mut Gate, document: &Value, now: UnixTime) -> Vec<Resumed> {
    let fetch = next(gate, now);
    gate.on_answer(fetch.id, json_answer(document.to_string().as_bytes()), now).resumed
}

/// Lets the fetch that is due fail.
fn fail(gate: &mut Gate, now: UnixTime) -> Vec<Resumed> {
    let fetch = next(gate, now);
    gate.on_answer(fetch.id, Answer::NoResponse, now).resumed
}

/// A gate that has fetched the key of seed 1 as `k1`.
fn ready_gate() -> Gate {
    let mut gate = gate(&remote_config());
    serve(&mut gate, &metadata(), NOW);
    serve(&mut gate, &jwks(&[jwk(1, "k1")]), NOW);
    gate
}

/// A token that does not expire during these tests, signed with a key of this seed and naming this `kid`.
fn token(seed: u8, kid: &str) -> String {
    let claims = with(claims(), "exp", json!(NOW.0 + 1_000_000));
    sign_texts(seed, &with(header(), "kid", json!(kid)).to_string(), &claims.to_string())
}

fn present_as(gate: &mut Gate, id: u32, token: &str, now: UnixTime) -> Verdict {
    let authorization = format!("Bearer {token}");
    ask_as(gate, id, &head("/mcp", &[("authorization", &authorization)]), now)
}

#[track_caller]
fn assert_forward(verdict: &Verdict) {
    assert!(matches!(verdict, Verdict::Forward(_)), "expected forward, got {verdict:?}");
}

#[track_caller]
fn assert_hold(verdict: &Verdict) {
    assert!(matches!(verdict, Verdict::Hold), "expected hold, got {verdict:?}");
}

#[track_caller]
fn only(resumed: Vec<Resumed>) -> Verdict {
    let mut resumed = resumed.into_iter();
    let first = resumed.next().expect("a request that can go on");
    assert!(resumed.next().is_none(), "more than one request went on");
    first.verdict
}

fn unavailable(retry_after: u64) -> Refusal {
    Refusal::KeysUnavailable { issuer: ISSUER.to_owned(), retry_after }
}

fn unknown_key(kid: &str) -> Refusal {
    Refusal::Token(TokenError::UnknownKey(Some(kid.to_owned())))
}

/// A server that names no `kid` tells its old key from its new one by having one only.
#[test]
fn several_keys_that_fit_are_looked_up_once_more() {
    let keys = |all: &[u8]| jwks(&all.iter().map(|seed| with(jwk(*seed, ""), "kid", Value::Null)).collect::<Vec<_>>());
    let token = sign_texts(2, &with(header(), "kid", Value::Null).to_string(), &claims().to_string());
    for (left, expected) in [(&[2_u8][..], Ok(())), (&[1, 2], Err(Refusal::Token(TokenError::AmbiguousKey)))] {
        let mut gate = gate(&remote_config());
        serve(&mut gate, &metadata(), NOW);
        serve(&mut gate, &keys(&[1, 2]), NOW);
        assert_hold(&present_as(&mut gate, 1, &token, NOW));
        let resumed = only(serve(&mut gate, &keys(left), NOW));
        assert_eq!(crate::support::outcome(resumed), expected);
        // Not for each request.
        let next = present_as(&mut gate, 2, &token, NOW);
        assert_eq!(crate::support::outcome(next), expected);
        assert!(gate.poll_fetch(NOW).is_none());
    }
    // Where keys cannot be had, nobody knows.
    let mut gate = gate(&remote_config());
    serve(&mut gate, &metadata(), NOW);
    serve(&mut gate, &keys(&[1, 2]), NOW);
    assert_hold(&present_as(&mut gate, 1, &token, NOW));
    let refused = crate::support::outcome(only(fail(&mut gate, NOW)));
    assert!(matches!(refused, Err(Refusal::KeysUnavailable { .. })), "{refused:?}");
}

#[test]
fn keys_are_fetched_before_anybody_asks() {
    let mut gate = gate(&remote_config());
    assert_eq!(gate.next_call(), Some(UnixTime(0)), "at once");
    serve(&mut gate, &metadata(), NOW);
    serve(&mut gate, &jwks(&[jwk(1, "k1")]), NOW);
    assert!(gate.next_call() > Some(later(539)), "not before a tenth of keys_max_age is left");
    assert!(gate.poll_fetch(NOW).is_none());
    assert_forward(&present_as(&mut gate, 1, &good_token(), NOW));
}

#[test]
fn all_who_wait_are_answered_by_one_fetch() {
    let mut gate = gate(&remote_config());
    let (good, bad) = (token(1, "k1"), token(2, "k1"));
    for id in 0..100 {
        assert_hold(&present_as(&mut gate, id, if id % 2 == 0 { &good } else { &bad }, NOW));
    }
    gate.on_gone(4);
    assert!(serve(&mut gate, &metadata(), NOW).is_empty(), "metadata alone decides nothing");
    let keys = next(&mut gate, NOW);
    assert!(gate.poll_fetch(NOW).is_none(), "one fetch at a time");
    assert_hold(&present_as(&mut gate, 100, &good, NOW));

    let document = jwks(&[jwk(1, "k1")]).to_string();
    let resumed = gate.on_answer(keys.id, json_answer(document.as_bytes()), NOW).resumed;

    assert_eq!(resumed.len(), 100, "101 asked, one left");
    for Resumed { request, verdict } in resumed {
        assert_ne!(request, 4);
        if request % 2 == 0 {
            assert_forward(&verdict);
        } else {
            assert_eq!(refusal(verdict), Refusal::Token(TokenError::Signature));
        }
    }
    assert!(gate.poll_fetch(NOW).is_none(), "those who waited cause no other fetch");
}

#[test]
fn a_failed_fetch_answers_503_with_retry_after_and_recovers() {
    let mut gate = gate(&remote_config());
    let good = token(1, "k1");
    let mut now = NOW;
    // Pauses double from one second to thirty, and longer ones are up to a quarter shorter.
    for most in [1, 2, 4, 8, 16, 30, 30] {
        assert_hold(&present_as(&mut gate, 1, &good, now));
        let answer = reply(only(fail(&mut gate, now)));
        let pause = pause_of(&answer);
        assert!((most - most / 4..=most).contains(&pause), "{pause} s of {most} s");
        assert_eq!(answer.refusal(), Some(&unavailable(pause)));
        assert_eq!((answer.status(), reply_header(&answer, "retry-after")), (503, Some(pause.to_string().as_str())));
        assert_eq!(reply_header(&answer, "www-authenticate"), None, "a challenge would throw the token away");

        let too_early = UnixTime(now.0 + pause - 1);
        assert_eq!(
            refusal(present_as(&mut gate, 2, &good, too_early)),
            unavailable(1.max(now.0 + pause - too_early.0))
        );
        assert!(gate.poll_fetch(too_early).is_none(), "no fetch during the pause");
        now = UnixTime(now.0 + pause);
    }
    assert_hold(&present_as(&mut gate, 1, &good, now));
    serve(&mut gate, &metadata(), now);
    assert_forward(&only(serve(&mut gate, &jwks(&[jwk(1, "k1")]), now)));
}

fn pause_of(reply: &Reply) -> u64 {
    match reply.refusal() {
        Some(Refusal::KeysUnavailable { retry_after, .. }) => *retry_after,
        other => panic!("{other:?}"),
    }
}

/// Workers that lost the server in the same second must not all come back in the same one.
#[test]
fn workers_do_not_all_try_again_in_the_same_second() {
    let policy = || config::parse(remote_config().to_string().as_bytes()).expect("no findings");
    let mut pauses = [const { BTreeSet::new() }; 8];
    for seed in 0..40 {
        let mut gate = Gate::on_host(policy(), Box::new(NoHostCrypto), seed);
        let mut now = NOW;
        for seen in &mut pauses {
            assert_hold(&present_as(&mut gate, 1, &token(1, "k1"), now));
            let pause = pause_of(&reply(only(fail(&mut gate, now))));
            seen.insert(pause);
            now = UnixTime(now.0 + pause);
        }
    }
    let found = pauses.map(|seen| (seen.first().copied().unwrap_or(0), seen.last().copied().unwrap_or(0), seen.len()));
    let expected = [(1, 1, 1), (2, 2, 1), (3, 4, 2), (6, 8, 3), (12, 16, 5), (23, 30, 8), (23, 30, 8), (23, 30, 8)];
    assert_eq!(found, expected, "the shortest, the longest, and how many");
}

/// Nor refresh in the same one. The numbers are those of SplitMix64, whose first with the seed 0 are
/// `e220a8397b1dcdaf`, `6e789e6aa1b965f4` and `06c45d188009454f`; another one for each fetch.
#[test]
fn workers_do_not_all_refresh_in_the_same_second() {
    let policy = || config::parse(remote_config().to_string().as_bytes()).expect("no findings");
    let mut gate = Gate::on_host(policy(), Box::new(NoHostCrypto), 0);
    serve(&mut gate, &metadata(), NOW);
    serve(&mut gate, &jwks(&[jwk(1, "k1")]), NOW);
    // keys_max_age is 10m, of which a tenth is for the refresh.
    let after = |now: UnixTime, number: u64| UnixTime(now.0 + 600 - number % 60);
    let first = after(NOW, 0x6e78_9e6a_a1b9_65f4);
    assert_eq!(gate.next_call(), Some(first));
    serve(&mut gate, &jwks(&[jwk(1, "k1")]), first);
    let second = after(first, 0x06c4_5d18_8009_454f);
    assert_eq!(gate.next_call(), Some(second));
    assert_ne!(second.0 - first.0, 600);
}

#[test]
fn an_unknown_kid_causes_one_refetch_per_cooldown() {
    let mut gate = ready_gate();
    assert_hold(&present_as(&mut gate, 1, &token(2, "k2"), later(1)));
    assert_forward(&present_as(&mut gate, 2, &token(1, "k1"), later(1)));
    let rotated = jwks(&[jwk(1, "k1"), jwk(2, "k2")]);
    assert_forward(&only(serve(&mut gate, &rotated, later(1))));
    assert_forward(&present_as(&mut gate, 3, &token(1, "k1"), later(1)));

    for second in [1, 2, 30] {
        let verdict = present_as(&mut gate, 4, &token(3, "k3"), later(second));
        assert_eq!(refusal(verdict), unknown_key("k3"), "within the cooldown");
        assert!(gate.poll_fetch(later(second)).is_none());
    }
    assert_hold(&present_as(&mut gate, 5, &token(3, "k3"), later(31)));
    assert_eq!(refusal(only(serve(&mut gate, &rotated, later(31)))), unknown_key("k3"));
}

#[test]
fn a_key_that_changed_under_its_kid_is_fetched_again_once() {
    let mut gate = ready_gate();
    let changed = token(2, "k1");
    assert_hold(&present_as(&mut gate, 1, &changed, later(1)));
    assert_forward(&only(serve(&mut gate, &jwks(&[jwk(2, "k1")]), later(1))));
    // The sibling: a signature by nobody's key is refused, and may not fetch again.
    let nobodys = token(9, "k1");
    assert_eq!(refusal(present_as(&mut gate, 2, &nobodys, later(2))), Refusal::Token(TokenError::Signature));
    assert!(gate.poll_fetch(later(2)).is_none());
    assert_hold(&present_as(&mut gate, 3, &nobodys, later(31)));
    let verdict = only(serve(&mut gate, &jwks(&[jwk(2, "k1")]), later(31)));
    assert_eq!(refusal(verdict), Refusal::Token(TokenError::Signature));
}

#[test]
fn an_unknown_kid_is_not_called_bad_while_the_keys_cannot_be_refreshed() {
    let mut gate = ready_gate();
    assert_hold(&present_as(&mut gate, 1, &token(2, "k2"), later(1)));
    assert_eq!(refusal(only(fail(&mut gate, later(1)))), unavailable(1));
    // What the old keys can decide, they decide.
    assert_forward(&present_as(&mut gate, 2, &token(1, "k1"), later(1)));
    let nobodys = token(9, "k1");
    assert_eq!(refusal(present_as(&mut gate, 3, &nobodys, later(1))), Refusal::Token(TokenError::Signature));
}

#[test]
fn an_unknown_kid_does_not_shorten_the_pause_after_a_failed_refresh() {
    let mut gate = ready_gate();
    let unknown = token(2, "k2");
    fail(&mut gate, later(600));
    assert_eq!(refusal(present_as(&mut gate, 1, &unknown, later(600))), unavailable(1));
    assert!(gate.poll_fetch(later(600)).is_none());
    assert_hold(&present_as(&mut gate, 1, &unknown, later(601)));
    fail(&mut gate, later(601));
    assert_eq!(refusal(present_as(&mut gate, 1, &unknown, later(602))), unavailable(1), "2 s by now");
    assert!(gate.poll_fetch(later(602)).is_none());
}

#[test]
fn the_host_is_called_at_once_when_somebody_waits() {
    let mut gate = ready_gate();
    assert!(gate.next_call() > Some(later(539)));
    assert_hold(&present_as(&mut gate, 1, &token(2, "k2"), later(1)));
    assert_eq!(gate.next_call(), Some(UnixTime(0)));
}

#[test]
fn old_keys_serve_while_a_refresh_runs_or_fails_and_not_a_second_too_long() {
    let mut gate = ready_gate();
    let good = token(1, "k1");
    assert_forward(&present_as(&mut gate, 1, &good, later(540)));
    assert!(gate.poll_fetch(later(540)).is_none(), "keys_max_age is 10m, the last tenth of it is for the refresh");
    let refresh = next(&mut gate, later(600));
    assert_eq!(refresh.uri.as_str(), JWKS_URI, "metadata is not read again within the hour");
    assert_forward(&present_as(&mut gate, 1, &good, later(601)));
    assert!(gate.on_answer(refresh.id, Answer::NoResponse, later(602)).resumed.is_empty());

    assert_forward(&present_as(&mut gate, 1, &good, later(3599)));
    fail(&mut gate, later(3599));
    assert_eq!(refusal(present_as(&mut gate, 1, &good, later(3600))), unavailable(1), "keys_max_stale is 1h");
}

#[test]
fn old_keys_run_out_even_while_a_refresh_is_in_flight() {
    let mut gate = ready_gate();
    let good = token(1, "k1");
    assert_forward(&present_as(&mut gate, 1, &good, later(3599)));
    let refresh = next(&mut gate, later(3599));
    assert_hold(&present_as(&mut gate, 1, &good, later(3600)));
    assert_eq!(refusal(only(gate.on_answer(refresh.id, Answer::NoResponse, later(3600)).resumed)), unavailable(1));
}

#[test]
fn a_key_that_was_taken_back_is_gone_after_the_refresh() {
    let mut gate = ready_gate();
    assert_forward(&present_as(&mut gate, 1, &token(1, "k1"), later(600)));
    serve(&mut gate, &jwks(&[jwk(2, "k2")]), later(600));
    assert_hold(&present_as(&mut gate, 1, &token(1, "k1"), later(601)));
    assert_eq!(refusal(only(serve(&mut gate, &jwks(&[jwk(2, "k2")]), later(601)))), unknown_key("k1"));
}

#[test]
fn metadata_is_read_again_when_the_keys_have_moved() {
    let mut gate = ready_gate();
    assert_forward(&present_as(&mut gate, 1, &token(1, "k1"), later(600)));
    fail(&mut gate, later(600));
    assert_forward(&present_as(&mut gate, 1, &token(1, "k1"), later(601)));
    let fetch = next(&mut gate, later(601));
    assert_eq!(fetch.uri.as_str(), "https://idp.example.com/.well-known/oauth-authorization-server");
}

#[test]
fn an_answer_that_is_not_waited_for_changes_nothing() {
    let mut gate = gate(&remote_config());
    let first = next(&mut gate, NOW);
    assert_eq!(gate.next_call(), Some(later(8)), "5 s to answer and 2 s of grace");
    assert!(gate.on_time(later(7)).is_empty());
    let given_up = gate.on_time(later(8));
    assert_eq!(given_up.len(), 1);
    let event = given_up[0].event.as_ref().map(ToString::to_string).unwrap_or_default();
    assert!(event.contains("never reported"), "{event}");

    let document = metadata().to_string();
    let late = gate.on_answer(first.id, json_answer(document.as_bytes()), later(9));
    assert!(late.resumed.is_empty() && late.event.is_none());
    assert_hold(&present_as(&mut gate, 1, &good_token(), later(9)));
    let second = next(&mut gate, later(9));
    assert_ne!(first.id, second.id);
    assert_eq!((gate.awaits(first.id), gate.awaits(second.id)), (false, true));
    gate.on_answer(second.id, json_answer(document.as_bytes()), later(9)).resumed.clear();
    let twice = gate.on_answer(second.id, json_answer(document.as_bytes()), later(9));
    assert!(twice.resumed.is_empty() && twice.event.is_none());
}

#[test]
fn no_more_wait_than_may() {
    let mut gate = gate(&remote_config());
    let good = good_token();
    let most = u32::try_from(MAX_HELD).expect("a small number");
    for id in 0..most {
        assert_hold(&present_as(&mut gate, id, &good, NOW));
    }
    assert_eq!(refusal(present_as(&mut gate, most, &good, NOW)), Refusal::Overloaded { held: MAX_HELD });
    gate.on_gone(0);
    assert_hold(&present_as(&mut gate, most, &good, NOW));
}

/// A flood for an issuer that does not answer must not take the places of those who wait for another one.
#[test]
fn each_issuer_has_its_share_of_the_places() {
    // There are 32 issuers at most.
    for (issuers, share) in [(2, 512), (3, 341), (32, 32)] {
        let issuer = |number: usize| format!("https://{number}.example.com");
        let server = |number| json!({ "issuer": issuer(number), "cluster": "idp" });
        let servers: Vec<Value> = (0..issuers).map(server).collect();
        let mut gate = gate(&with(remote_config(), "authorization_servers", json!(servers)));
        let mut id = 0;
        let mut arrive = |number| {
            let token = sign_texts(1, &header().to_string(), &with(claims(), "iss", json!(issuer(number))).to_string());
            id += 1;
            present_as(&mut gate, id, &token, NOW)
        };
        for number in 0..issuers {
            for _ in 0..share {
                assert_hold(&arrive(number));
            }
            let held = share * (number + 1);
            assert_eq!(refusal(arrive(number)), Refusal::Overloaded { held }, "{issuers} issuers");
        }
        // Whoever goes makes room for one of the same issuer.
        gate.on_gone(1);
        let token = sign_texts(1, &header().to_string(), &with(claims(), "iss", json!(issuer(0))).to_string());
        assert_hold(&present_as(&mut gate, 1, &token, NOW));
        assert!(matches!(present_as(&mut gate, 99_999, &token, NOW), Verdict::Reply(_)), "{issuers} issuers");
    }
}

#[test]
fn each_issuer_has_keys_and_waiters_of_its_own() {
    let other = "https://other.example.com";
    let servers = json!([{ "issuer": ISSUER, "cluster": "idp" }, { "issuer": other, "cluster": "other" }]);
    let mut gate = gate(&with(remote_config(), "authorization_servers", servers));
    let theirs = sign_texts(2, &header().to_string(), &with(claims(), "iss", json!(other)).to_string());
    assert_hold(&present_as(&mut gate, 1, &good_token(), NOW));
    assert_hold(&present_as(&mut gate, 2, &theirs, NOW));

    let (ours, others) = (next(&mut gate, NOW), next(&mut gate, NOW));
    assert_eq!((&*ours.cluster, &*others.cluster), ("idp", "other"));
    let document = metadata().to_string();
    assert!(gate.on_answer(ours.id, json_answer(document.as_bytes()), NOW).resumed.is_empty());
    assert_forward(&only(serve(&mut gate, &jwks(&[jwk(1, "k1")]), NOW)));
    let verdict = only(gate.on_answer(others.id, Answer::NotSent(2), NOW).resumed);
    assert_eq!(refusal(verdict), Refusal::KeysUnavailable { issuer: other.to_owned(), retry_after: 1 });
}

#[test]
fn what_is_refused_without_a_key_causes_no_fetch() {
    let mut gate = ready_gate();
    for (member, value) in [("aud", json!("https://other.example.com")), ("iss", json!("x")), ("exp", json!(1))] {
        let bad = sign_texts(
            1,
            &with(header(), "kid", json!("unknown")).to_string(),
            &with(claims(), member, value).to_string(),
        );
        assert_eq!(reply(present_as(&mut gate, 1, &bad, later(1))).status(), 401, "{member}");
        assert!(gate.poll_fetch(later(1)).is_none(), "{member}");
    }
}

#[test]
fn inline_keys_are_never_fetched() {
    let mut gate = gate(&crate::support::inline_config());
    assert_eq!(gate.next_call(), None);
    let verdict = present_as(&mut gate, 1, &sign(&with(header(), "kid", json!("k2")), &claims()), NOW);
    assert_eq!(refusal(verdict), unknown_key("k2"));
    assert!(gate.poll_fetch(NOW).is_none());
}
