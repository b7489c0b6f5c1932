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
use rsa::Pkcs1v15Sign;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::{
    algorithms::signers,
    support::{claims, good_token, header, inline_config, jwk, jwks, outcome, present, put, refusal, sign_texts, with},
};

/// How a host answers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Right,
    AlwaysGood,
    AlwaysBad,
    Unknown,
    /// Right, except that these questions, counted from one, are not understood.
    UnknownAt(&'static [usize]),
    /// Right this many times, then not understood.
    RightUntil(usize),
}

/// A host that checks signatures itself, or pretends to. It notes what it was asked and what it said.
#[derive(Clone, Debug)]
struct Host {
    manner: Manner,
    asked: Rc<RefCell<Vec<(Algorithm, HostAnswer)>>>,
}

impl Host {
    fn new(manner: Manner) -> Self {
        Self { manner, asked: Rc::default() }
    }

    fn asked(&self) -> usize {
        self.asked.borrow().len()
    }
}

impl HostCrypto for Host {
    fn verify(&mut self, algorithm: Algorithm, key: &[u8], text: &[u8], signature: &[u8]) -> HostAnswer {
        let number = self.asked() + 1;
        let right = || if is_good(algorithm, key, text, signature) { HostAnswer::Good } else { HostAnswer::Bad };
        let answer = match self.manner {
            Manner::Right => right(),
            Manner::RightUntil(times) if number <= times => right(),
            Manner::UnknownAt(numbers) if !numbers.contains(&number) => right(),
            Manner::AlwaysGood => HostAnswer::Good,
            Manner::AlwaysBad => HostAnswer::Bad,
            Manner::Unknown | Manner::RightUntil(_) | Manner::UnknownAt(_) => HostAnswer::Unknown,
        };
        self.asked.borrow_mut().push((algorithm, answer));
        answer
    }
}

/// What a host is given is really what its interface says, or this panics.
fn is_good(algorithm: Algorithm, key: &[u8], text: &[u8], signature: &[u8]) -> bool {
    use p256::{ecdsa::signature::Verifier as _, pkcs8::DecodePublicKey as _};
    let rsa = |scheme, hash: &[u8]| {
        let key = rsa::RsaPublicKey::from_public_key_der(key).expect("an RSA SubjectPublicKeyInfo");
        key.verify(scheme, hash, signature).is_ok()
    };
    match algorithm {
        Algorithm::Rs256 => rsa(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(text)),
        Algorithm::Rs384 => rsa(Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(text)),
        Algorithm::Rs512 => rsa(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(text)),
        Algorithm::Es256 => {
            let key = p256::ecdsa::VerifyingKey::from_public_key_der(key).expect("a P-256 SubjectPublicKeyInfo");
            let signature = p256::ecdsa::Signature::from_der(signature).expect("an ECDSA-Sig-Value");
            key.verify(text, &signature).is_ok()
        }
        Algorithm::Es384 => {
            let key = p384::ecdsa::VerifyingKey::from_public_key_der(key).expect("a P-384 SubjectPublicKeyInfo");
            let signature = p384::ecdsa::Signature::from_der(signature).expect("an ECDSA-Sig-Value");
            key.verify(text, &signature).is_ok()
        }
        other => panic!("a host is not asked about {other:?}"),
    }
}

/// A gate without a token cache on such a host.
fn gate_on(manner: Manner, verify_signature: &str) -> (Gate, Host) {
    gate_with(&[jwk(1, "k1")], manner, verify_signature)
}

/// The same with these keys.
fn gate_with(keys: &[Value], manner: Manner, verify_signature: &str) -> (Gate, Host) {
    let config = put(inline_config(), "/token_cache", json!({ "max_entries": 0 }));
    let config = put(config, "/authorization_servers/0/jwks", jwks(keys));
    let config = put(config, "/verify_signature", json!(verify_signature));
    let host = Host::new(manner);
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

/// Whatever the host says: the good token is accepted, the forged one is not, and the host is asked this often and was of
/// no help with so many tokens.
#[test]
fn the_outcome_is_the_same_on_every_host() {
    let rows = [
        // Two questions to prove itself, then one per token.
        (Manner::Right, "auto", 4, 0),
        (Manner::AlwaysGood, "auto", 2, 1),
        (Manner::AlwaysBad, "auto", 1, 1),
        (Manner::Unknown, "auto", 2, 2),
        (Manner::RightUntil(1), "auto", 3, 2),
        (Manner::RightUntil(2), "auto", 4, 2),
        (Manner::RightUntil(3), "auto", 4, 1),
        (Manner::Right, "never", 0, 0),
    ];
    for (manner, setting, asked, fallbacks) in rows {
        let name = format!("{manner:?}, {setting}");
        let (mut gate, host) = gate_on(manner, setting);
        assert_good_and_forged(&mut gate, &name);
        assert_eq!(host.asked(), asked, "{name}");
        assert_eq!(gate.take_acceleration_fallbacks(), fallbacks, "{name}");
        assert_eq!(gate.take_acceleration_fallbacks(), 0, "{name}: counted once");
    }
}

/// Three tokens in a row may find no help; after each the host has to prove itself again.
#[test]
fn a_host_is_given_up_after_three_answers_that_are_not_understood() {
    let rows = [
        ("never right", Manner::Unknown, 3, 3),
        (
            "two questions to prove itself, one about a token, then one for each of three tokens",
            Manner::RightUntil(3),
            6,
            3,
        ),
        // A proof ends no row: 1 and 2 prove, 3 is about a token, and so on.
        ("it proves itself and cannot tell of tokens", Manner::UnknownAt(&[3, 6, 9]), 9, 3),
        ("one that calls a bad signature good is not asked a second time", Manner::AlwaysGood, 2, 1),
        ("one failed call: 4 fails, 5 and 6 prove", Manner::UnknownAt(&[4]), 14, 1),
        // 4 fails, 5 and 6 prove, 7 fails, 8 and 9 prove, 10 is about a token; 11, 14 fail likewise.
        ("never three in a row", Manner::UnknownAt(&[4, 7, 11, 14]), 20, 4),
    ];
    for (name, manner, asked, fallbacks) in rows {
        let (mut gate, host) = gate_on(manner, "auto");
        for _ in 0..5 {
            assert_good_and_forged(&mut gate, name);
        }
        assert_eq!((host.asked(), gate.take_acceleration_fallbacks()), (asked, fallbacks), "{name}");
    }
}

/// RFC 7518 sections 3.3 and 3.4. The first two questions are about the known signature.
#[test]
fn each_algorithm_is_the_hosts_once_it_told_the_known_signature_from_a_bad_one() {
    use Algorithm::{Es256, Es384, Rs256, Rs384, Rs512};
    use HostAnswer::{Bad, Good};
    for (name, algorithm) in [("RS256", Rs256), ("RS384", Rs384), ("RS512", Rs512), ("ES256", Es256), ("ES384", Es384)]
    {
        let key = with(with(signers::jwk(name, 1), "kid", json!("k1")), "alg", json!(name));
        let (mut gate, host) = gate_with(&[key], Manner::Right, "auto");
        let header = with(header(), "alg", json!(name));
        let good = signers::token(name, 1, &header, &claims());
        let (_, signature) = good.rsplit_once('.').expect("three parts");
        let other = signers::token(name, 1, &header, &with(claims(), "jti", json!("other")));
        let (input, _) = other.rsplit_once('.').expect("three parts");
        assert_eq!(outcome(present(&mut gate, &good)), Ok(()), "{name}");
        let forged = refusal(present(&mut gate, &format!("{input}.{signature}")));
        assert_eq!(forged, Refusal::Token(TokenError::Signature), "{name}");
        assert_eq!(*host.asked.borrow(), [Good, Bad, Good, Bad].map(|answer| (algorithm, answer)), "{name}");
        assert_eq!(gate.take_acceleration_fallbacks(), 0, "{name}");
    }
}

/// A host that knows one algorithm need not know another.
#[test]
fn each_algorithm_is_proved_for_itself() {
    use HostAnswer::{Bad, Good};
    let names = ["RS256", "RS384", "ES256", "ES384"];
    let keys = names.map(|name| with(with(signers::jwk(name, 1), "kid", json!(name)), "alg", json!(name)));
    let (mut gate, host) = gate_with(&keys, Manner::Right, "auto");
    for name in names {
        let header = with(with(header(), "alg", json!(name)), "kid", json!(name));
        assert_eq!(outcome(present(&mut gate, &signers::token(name, 1, &header, &claims()))), Ok(()), "{name}");
        let answers: Vec<HostAnswer> = host.asked.borrow_mut().drain(..).map(|(_, answer)| answer).collect();
        assert_eq!(answers, [Good, Bad, Good], "{name}");
    }
}

/// RFC 8017 section 8.2.2 step 1: hosts may take a signature that lacks a zero in front, or has one too many.
#[test]
fn an_rsa_signature_of_another_length_than_the_key_never_reaches_the_host() {
    let key = with(with(signers::jwk("RS256", 1), "kid", json!("k1")), "alg", json!("RS256"));
    let (mut gate, host) = gate_with(&[key], Manner::Right, "auto");
    let good = signers::token("RS256", 1, &with(header(), "alg", json!("RS256")), &claims());
    assert_eq!(outcome(present(&mut gate, &good)), Ok(()));
    let (input, signature) = good.rsplit_once('.').expect("three parts");
    let bytes = signers::decode(signature);
    let asked = host.asked();
    for other in [[&[0], &bytes[..]].concat(), bytes[1..].to_vec(), bytes[..255].to_vec(), Vec::new()] {
        let token = format!("{input}.{}", signers::encode(&other));
        let refused = refusal(present(&mut gate, &token));
        assert_eq!(refused, Refusal::Token(TokenError::Signature), "{} bytes", other.len());
    }
    assert_eq!(host.asked(), asked);
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
    let before = host.asked();
    let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(longer));
    assert_eq!(refusal(present(&mut gate, &token)), Refusal::Token(TokenError::Signature));
    assert_eq!(host.asked(), before);
}

/// Algorithms that no host proves are checked in wasm; the host does not hear of them.
#[test]
fn what_a_host_cannot_know_it_is_not_asked() {
    let (mut gate, host) = gate_on(Manner::AlwaysGood, "auto");
    let header: Value = with(header(), "alg", json!("PS256"));
    let token = sign_texts(1, &header.to_string(), &claims().to_string());
    assert_eq!(refusal(present(&mut gate, &token)), Refusal::Token(TokenError::UnknownKey(Some("k1".to_owned()))));
    assert!(host.asked() == 0);
}
