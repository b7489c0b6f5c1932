//! A signature is checked once; everything that depends on the request, the time and the keys is checked each time.

mod bounds;

use std::{cell::Cell, rc::Rc};

use mcp_oauth::{
    acceleration::{HostAnswer, HostCrypto},
    config,
    fetch::Answer,
    gate::{Gate, Verdict},
    jws::Algorithm,
    refusal::Refusal,
    time::UnixTime,
    token::TokenError,
};
use serde_json::{Value, json};

use crate::support::{
    ISSUER, NOW, ask_as, claims, good_token, head, header, inline_config, jwk, jwks, put, refusal, remote_config,
    sign_texts, with,
};

/// A host that knows ES256 by heart: it counts the signatures that are checked.
#[derive(Clone, Debug, Default)]
struct Counting(Rc<Cell<usize>>);

impl HostCrypto for Counting {
    fn verify(&mut self, _: Algorithm, key: &[u8], text: &[u8], signature: &[u8]) -> HostAnswer {
        use p256::{
            ecdsa::{Signature, VerifyingKey, signature::Verifier as _},
            pkcs8::DecodePublicKey as _,
        };
        self.0.set(self.0.get() + 1);
        let key = VerifyingKey::from_public_key_der(key).expect("a P-256 key");
        let signature = Signature::from_der(signature).expect("DER");
        if key.verify(text, &signature).is_ok() { HostAnswer::Good } else { HostAnswer::Bad }
    }
}

struct Worker {
    gate: Gate,
    checks: Counting,
}

impl Worker {
    /// A worker that has proved its host already.
    fn new(config: &Value) -> Self {
        let checks = Counting::default();
        let policy = config::parse(config.to_string().as_bytes()).expect("no findings");
        Self { gate: Gate::on_host(policy, Box::new(checks.clone()), 0), checks }
    }

    fn present(&mut self, path: &str, token: &str, now: UnixTime) -> Verdict {
        let authorization = format!("Bearer {token}");
        ask_as(&mut self.gate, 1, &head(path, &[("authorization", &authorization)]), now)
    }

    #[track_caller]
    fn accepts(&mut self, token: &str, now: UnixTime) {
        let verdict = self.present("/mcp", token, now);
        assert!(matches!(verdict, Verdict::Forward(_)), "{verdict:?}");
    }

    /// How many signatures were checked since the last call.
    fn checked(&mut self) -> usize {
        self.checks.0.replace(0)
    }

    /// Serves this document to the fetch that is due.
    fn serve(&mut self, document: &Value, now: UnixTime) {
        let fetch = self.gate.poll_fetch(now).expect("a fetch");
        let body = document.to_string();
        let answer = Answer::Response {
            status: b"200",
            content_type: Some(b"application/json"),
            cache_control: None,
            body: body.as_bytes(),
        };
        let _ = self.gate.on_answer(fetch.id, answer, now);
    }
}

fn later(seconds: u64) -> UnixTime {
    UnixTime(NOW.0 + seconds)
}

/// A token of its own for each number.
fn numbered(seed: u8, number: usize) -> String {
    sign_texts(seed, &header().to_string(), &with(claims(), "jti", json!(number.to_string())).to_string())
}

const PROVING: usize = 2;

#[test]
fn a_signature_is_checked_once() {
    let mut worker = Worker::new(&inline_config());
    let token = good_token();
    worker.accepts(&token, NOW);
    assert_eq!(worker.checked(), PROVING + 1);
    for _ in 0..5 {
        worker.accepts(&token, NOW);
    }
    assert_eq!(worker.checked(), 0);
    worker.accepts(&numbered(1, 2), NOW);
    assert_eq!(worker.checked(), 1, "another token");
}

#[test]
fn without_entries_each_signature_is_checked_each_time() {
    let mut worker = Worker::new(&put(inline_config(), "/token_cache", json!({ "max_entries": 0 })));
    worker.accepts(&good_token(), NOW);
    worker.accepts(&good_token(), NOW);
    assert_eq!(worker.checked(), PROVING + 2);
}

/// RFC 9068 section 4: the time is part of each decision.
#[test]
fn a_known_token_expires_all_the_same() {
    let mut worker = Worker::new(&put(inline_config(), "/token_cache", json!({ "ttl": "1h" })));
    let token = good_token();
    worker.accepts(&token, NOW);
    worker.accepts(&token, later(329));
    let expired = Refusal::Token(TokenError::Expired { at: later(300), now: later(330) });
    assert_eq!(refusal(worker.present("/mcp", &token, later(330))), expired, "exp is at 300 s, the skew is 30 s");
}

#[test]
fn an_entry_lives_no_longer_than_its_time() {
    let mut worker = Worker::new(&put(inline_config(), "/token_cache", json!({ "ttl": "10s" })));
    let token = good_token();
    worker.accepts(&token, NOW);
    worker.accepts(&token, later(9));
    assert_eq!(worker.checked(), PROVING + 1);
    worker.accepts(&token, later(10));
    assert_eq!(worker.checked(), 1);
}

/// RFC 8707 section 2: a token that is known for one resource is worth nothing for another.
#[test]
fn audience_and_scopes_are_judged_for_each_resource() {
    let resources = json!([
        { "resource": "https://mcp.example.com/mcp", "scopes": { "required": ["mcp:read"] } },
        { "resource": "https://mcp.example.com/other" },
        { "resource": "https://mcp.example.com/strict", "audiences": ["https://mcp.example.com/mcp"],
          "scopes": { "required": ["mcp:admin"] } },
        { "resource": "https://mcp.example.com/alike", "audiences": ["https://mcp.example.com/mcp"] },
    ]);
    let mut worker = Worker::new(&put(inline_config(), "/resources", resources));
    let token = good_token();
    worker.accepts(&token, NOW);
    let other = refusal(worker.present("/other", &token, NOW));
    assert!(matches!(other, Refusal::Token(TokenError::Audience { .. })), "{other:?}");
    let strict = refusal(worker.present("/strict", &token, NOW));
    assert!(matches!(strict, Refusal::InsufficientScope(_)), "{strict:?}");
    assert!(matches!(worker.present("/alike", &token, NOW), Verdict::Forward(_)), "the same audience");
    assert_eq!(worker.checked(), PROVING + 1);
}

/// A resource that does not accept an issuer does not accept what is known of its tokens.
#[test]
fn the_issuer_is_judged_for_each_resource() {
    let other = "https://other.example.com";
    let config = put(
        inline_config(),
        "/authorization_servers",
        json!([{ "issuer": ISSUER, "jwks": jwks(&[jwk(1, "k1")]) }, { "issuer": other, "jwks": jwks(&[jwk(2, "k1")]) }]),
    );
    let mut worker = Worker::new(&put(
        config,
        "/resources",
        json!([
            { "resource": "https://mcp.example.com/mcp" },
            { "resource": "https://mcp.example.com/b", "audiences": ["https://mcp.example.com/mcp"],
              "authorization_servers": [other] },
        ]),
    ));
    worker.accepts(&good_token(), NOW);
    let refused = refusal(worker.present("/b", &good_token(), NOW));
    assert_eq!(refused, Refusal::Token(TokenError::Issuer(ISSUER.to_owned())));
}

/// A key that was taken back takes what it proved with it, and does not bring it back when it returns.
#[test]
fn a_rotation_forgets_what_the_old_key_proved() {
    let mut worker = Worker::new(&put(remote_config(), "/token_cache", json!({ "ttl": "1h" })));
    worker.serve(&json!({ "issuer": ISSUER, "jwks_uri": "https://idp.example.com/keys" }), NOW);
    worker.serve(&jwks(&[jwk(1, "k1")]), NOW);
    let claims = with(claims(), "exp", json!(NOW.0 + 100_000));
    let token = sign_texts(1, &header().to_string(), &claims.to_string());
    worker.accepts(&token, NOW);
    worker.accepts(&token, NOW);
    assert_eq!(worker.checked(), PROVING + 1);

    worker.serve(&jwks(&[jwk(1, "k1"), jwk(2, "k2")]), later(600));
    worker.accepts(&token, later(600));
    assert_eq!(worker.checked(), 0, "the key stayed");

    worker.serve(&jwks(&[jwk(2, "k2")]), later(1200));
    assert!(matches!(worker.present("/mcp", &token, later(1200)), Verdict::Hold), "one refetch for an unknown key");
    worker.serve(&jwks(&[jwk(2, "k2")]), later(1200));
    let refused = refusal(worker.present("/mcp", &token, later(1200)));
    assert_eq!(refused, Refusal::Token(TokenError::UnknownKey(Some("k1".to_owned()))));

    worker.serve(&jwks(&[jwk(1, "k1")]), later(1800));
    worker.accepts(&token, later(1800));
    assert_eq!(worker.checked(), 1, "the key came back: checked anew");
}

/// Each issuer numbers its own keys: the first ones of two have the same number.
#[test]
fn a_rotation_forgets_nothing_of_another_issuer() {
    let other = "https://other.example.com";
    let server = |issuer| json!({ "issuer": issuer, "cluster": "idp", "jwks_uri": format!("{issuer}/keys") });
    let config = put(remote_config(), "/authorization_servers", json!([server(ISSUER), server(other)]));
    let config = put(config, "/token_cache", json!({ "ttl": "1h" }));
    let token = |issuer| {
        let claims = with(with(claims(), "exp", json!(NOW.0 + 100_000)), "iss", json!(issuer));
        sign_texts(1, &header().to_string(), &claims.to_string())
    };
    let (old, new) = (jwks(&[jwk(1, "k1")]), jwks(&[jwk(2, "k2")]));
    for rotates in [0, 1] {
        let mut worker = Worker::new(&config);
        worker.serve(&old, NOW);
        worker.serve(&old, NOW);
        let tokens = [token(ISSUER), token(other)];
        tokens.iter().for_each(|token| worker.accepts(token, NOW));
        worker.checked();
        let (first, second) = if rotates == 0 { (&new, &old) } else { (&old, &new) };
        worker.serve(first, later(600));
        worker.serve(second, later(600));
        worker.accepts(&tokens[1 - rotates], later(600));
        assert_eq!(worker.checked(), 0, "the other issuer's token stays");
        let gone = worker.present("/mcp", &tokens[rotates], later(600));
        assert!(matches!(gone, Verdict::Hold), "its key is looked for: {gone:?}");
    }
}

/// An entry's end was reckoned by the clock that was wrong.
#[test]
fn a_clock_that_is_set_back_empties_the_cache() {
    for (back, checked) in [(0, 0), (1, 1), (200, 1)] {
        let mut worker = Worker::new(&inline_config());
        worker.accepts(&good_token(), later(200));
        worker.checked();
        worker.accepts(&good_token(), later(200 - back));
        assert_eq!(worker.checked(), checked, "{back} s back");
        worker.accepts(&good_token(), later(200 - back));
        assert_eq!(worker.checked(), 0, "{back} s back: remembered anew");
    }
}

#[test]
fn a_bad_signature_is_checked_once_too() {
    let mut worker = Worker::new(&inline_config());
    worker.accepts(&good_token(), NOW);
    worker.checked();
    for _ in 0..5 {
        assert_eq!(refusal(worker.present("/mcp", &numbered(9, 1), NOW)), Refusal::Token(TokenError::Signature));
    }
    assert_eq!(worker.checked(), 1);
}

/// There is room for as many as clients may have when a key has been changed.
#[test]
fn a_hundred_bad_tokens_are_remembered_beside_each_other() {
    let mut worker = Worker::new(&inline_config());
    worker.accepts(&good_token(), NOW);
    let tokens: Vec<String> = (0..100).map(|number| numbered(9, number)).collect();
    for expected in [100, 0] {
        worker.checked();
        for token in &tokens {
            assert_eq!(refusal(worker.present("/mcp", token, NOW)), Refusal::Token(TokenError::Signature));
        }
        assert_eq!(worker.checked(), expected);
    }
}

/// A flood of bad tokens has a place of its own.
#[test]
fn bad_tokens_do_not_evict_good_ones() {
    let mut worker = Worker::new(&put(inline_config(), "/token_cache", json!({ "max_entries": 4 })));
    worker.accepts(&good_token(), NOW);
    for number in 0..600 {
        assert_eq!(refusal(worker.present("/mcp", &numbered(9, number), NOW)), Refusal::Token(TokenError::Signature));
    }
    worker.checked();
    worker.accepts(&good_token(), NOW);
    assert_eq!(worker.checked(), 0);
    // They are bounded themselves: the first of them has been forgotten, the last has not.
    assert_eq!(refusal(worker.present("/mcp", &numbered(9, 599), NOW)), Refusal::Token(TokenError::Signature));
    assert_eq!(worker.checked(), 0);
    assert_eq!(refusal(worker.present("/mcp", &numbered(9, 0), NOW)), Refusal::Token(TokenError::Signature));
    assert_eq!(worker.checked(), 1);
}

/// What was used last is kept; what was not is forgotten, by number and by size.
#[test]
fn the_cache_is_bounded_by_entries_and_by_bytes() {
    for limits in [json!({ "max_entries": 8 }), json!({ "max_bytes": "8KiB" })] {
        let mut worker = Worker::new(&put(inline_config(), "/token_cache", limits.clone()));
        for number in 0..40 {
            worker.accepts(&numbered(1, 0), NOW);
            worker.accepts(&numbered(1, number), NOW);
        }
        worker.checked();
        worker.accepts(&numbered(1, 0), NOW);
        worker.accepts(&numbered(1, 39), NOW);
        assert_eq!(worker.checked(), 0, "{limits}: what is in use stays");
        worker.accepts(&numbered(1, 5), NOW);
        assert_eq!(worker.checked(), 1, "{limits}: what is not is forgotten");
    }
}

/// A token that alone is larger than the cache is checked each time, and evicts nothing.
#[test]
fn a_token_that_does_not_fit_is_not_kept() {
    let mut worker = Worker::new(&put(inline_config(), "/token_cache", json!({ "max_bytes": "4KiB" })));
    worker.accepts(&good_token(), NOW);
    let large = with(claims(), "groups", json!(vec!["a-group-of-people"; 200]));
    let large = sign_texts(1, &header().to_string(), &large.to_string());
    worker.accepts(&large, NOW);
    worker.checked();
    worker.accepts(&good_token(), NOW);
    assert_eq!(worker.checked(), 0);
    worker.accepts(&large, NOW);
    assert_eq!(worker.checked(), 1);
}
