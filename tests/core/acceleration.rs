//! A host's signature checks are believed after they were proved, and never more than the in-wasm implementation.

use std::{cell::RefCell, rc::Rc};

use mcp_oauth::{
    acceleration::{HostAnswer, HostCrypto},
    config,
    gate::{Gate, Verdict},
    jws::Algorithm,
    refusal::Refusal,
    token::TokenError,
};
use p256::pkcs8::DecodePublicKey as _;
use serde_json::{Value, json};

use crate::support::{claims, good_token, header, inline_config, present, put, refusal, sign_texts, with};

/// How a host answers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Right,
    AlwaysGood,
    AlwaysBad,
    Unknown,
    /// Right this many times, then not understood.
    RightUntil(usize),
}

/// A host that checks ES256 itself, or pretends to. It counts what it was asked.
#[derive(Clone, Debug)]
struct Host {
    manner: Manner,
    asked: Rc<RefCell<Vec<Algorithm>>>,
}

impl HostCrypto for Host {
    fn verify(&mut self, algorithm: Algorithm, key: &[u8], text: &[u8], signature: &[u8]) -> HostAnswer {
        self.asked.borrow_mut().push(algorithm);
        let right = || {
            use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier as _};
            let key = VerifyingKey::from_public_key_der(key).expect("a P-256 SubjectPublicKeyInfo");
            let signature = Signature::from_der(signature).expect("an ECDSA-Sig-Value");
            if key.verify(text, &signature).is_ok() { HostAnswer::Good } else { HostAnswer::Bad }
        };
        match self.manner {
            Manner::Right => right(),
            Manner::RightUntil(times) if self.asked.borrow().len() <= times => right(),
            Manner::AlwaysGood => HostAnswer::Good,
            Manner::AlwaysBad => HostAnswer::Bad,
            Manner::Unknown | Manner::RightUntil(_) => HostAnswer::Unknown,
        }
    }
}

/// A gate without a token cache on such a host.
fn gate_on(manner: Manner, verify_signature: &str) -> (Gate, Host) {
    let config = put(inline_config(), "/token_cache", json!({ "max_entries": 0 }));
    let config = put(config, "/verify_signature", json!(verify_signature));
    let host = Host { manner, asked: Rc::default() };
    let policy = config::parse(config.to_string().as_bytes()).expect("no findings");
    (Gate::on_host(policy, Box::new(host.clone()), 0), host)
}

/// Signed by nobody's key under the good key's name.
fn forged_token() -> String {
    sign_texts(9, &header().to_string(), &claims().to_string())
}

#[track_caller]
fn assert_good_and_forged(gate: &mut Gate, name: &str) {
    let verdict = present(gate, &good_token());
    assert!(matches!(verdict, Verdict::Forward(_)), "{name}: the good token: {verdict:?}");
    assert_eq!(refusal(present(gate, &forged_token())), Refusal::Token(TokenError::Signature), "{name}");
}

/// Whatever the host says: the good token is accepted, the forged one is not, and the host is asked this often and given
/// up for this many algorithms.
#[test]
fn the_outcome_is_the_same_on_every_host() {
    let rows = [
        // Two questions to prove itself, then one per token.
        (Manner::Right, "auto", 4, 0),
        (Manner::AlwaysGood, "auto", 2, 1),
        (Manner::AlwaysBad, "auto", 1, 1),
        (Manner::Unknown, "auto", 1, 1),
        (Manner::RightUntil(2), "auto", 3, 1),
        (Manner::RightUntil(3), "auto", 4, 1),
        (Manner::Right, "never", 0, 0),
    ];
    for (manner, setting, asked, given_up) in rows {
        let name = format!("{manner:?}, {setting}");
        let (mut gate, host) = gate_on(manner, setting);
        assert_good_and_forged(&mut gate, &name);
        assert_eq!(host.asked.borrow().len(), asked, "{name}");
        assert_eq!(gate.take_acceleration_fallbacks(), given_up, "{name}");
        assert_eq!(gate.take_acceleration_fallbacks(), 0, "{name}: counted once");
    }
}

/// A host that lost its trust is not asked again.
#[test]
fn a_host_that_was_given_up_stays_so() {
    let (mut gate, host) = gate_on(Manner::RightUntil(3), "auto");
    for _ in 0..3 {
        assert_good_and_forged(&mut gate, "again");
    }
    assert_eq!(host.asked.borrow().len(), 4);
}

/// DER has no fixed length, so a signature that a JWS must not have could become one that a host accepts.
#[test]
fn a_signature_of_the_wrong_length_never_reaches_the_host() {
    let (mut gate, host) = gate_on(Manner::Right, "auto");
    assert_good_and_forged(&mut gate, "first");
    let token = good_token();
    let (input, signature) = token.rsplit_once('.').expect("three parts");
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    let (r, s) = bytes.split_at(32);
    let longer = [&[0], r, &[0], s].concat();
    let before = host.asked.borrow().len();
    let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(longer));
    assert_eq!(refusal(present(&mut gate, &token)), Refusal::Token(TokenError::Signature));
    assert_eq!(host.asked.borrow().len(), before);
}

/// Algorithms that no host proves are checked in wasm; the host does not hear of them.
#[test]
fn what_a_host_cannot_know_it_is_not_asked() {
    let (mut gate, host) = gate_on(Manner::AlwaysGood, "auto");
    let header: Value = with(header(), "alg", json!("PS256"));
    let token = sign_texts(1, &header.to_string(), &claims().to_string());
    assert_eq!(refusal(present(&mut gate, &token)), Refusal::Token(TokenError::UnknownKey(Some("k1".to_owned()))));
    assert!(host.asked.borrow().is_empty());
}
