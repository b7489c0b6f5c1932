//! RFC 9449 section 4.3, check by check.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_oauth::{
    confirmation::Thumbprint,
    dpop::{MAX_PROOF_BYTES, ProofError},
    gate::Verdict,
    jws::{Algorithm, JwsError, Part},
    refusal::Refusal,
    time::UnixTime,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    CLIENT, authorization, bound_to, bound_token, client_key, config, dpop_gate, good_proof, hash, not_proved,
    proof_claims, proof_header, show, sign_proof, thumbprint,
};
use crate::{
    properties::cases,
    support::{NOW, Row, accepted, ask, check, gate, head, outcome, put, refused, sign_bytes, sign_texts, with},
};

/// A row whose proof does not count, for exactly this reason.
fn unproved(name: &str, proof: String, error: ProofError) -> Row<String> {
    refused(name, proof, Refusal::Proof(error))
}

#[test]
fn one_header() {
    let (token, proof) = (bound_token(), good_proof(&bound_token()));
    let authorization = authorization(&token);
    let rows: [(&str, Vec<&str>, Result<(), Refusal>); 5] = [
        ("4.3 check 1: one", vec![&proof], Ok(())),
        ("none", vec![], not_proved(ProofError::Missing)),
        ("two", vec![&proof, &proof], not_proved(ProofError::Doubled)),
        ("an empty one more", vec![&proof, ""], not_proved(ProofError::Doubled)),
        ("an empty one", vec![""], not_proved(ProofError::Jws(JwsError::Parts(1)))),
    ];
    for (name, proofs, expected) in rows {
        let mut lines = head("/mcp", &[("authorization", &authorization)]);
        lines.extend(proofs.into_iter().map(|proof| ("dpop", proof)));
        assert_eq!(outcome(ask(&mut dpop_gate(), &lines)), expected, "{name}");
    }
    let joined = format!("{proof}, {proof}");
    let found = outcome(show(&mut dpop_gate(), &token, &joined, NOW));
    assert_eq!(found, not_proved(ProofError::Jws(JwsError::Parts(5))), "two, joined by a proxy");
}

#[test]
fn a_signed_object_of_this_type() {
    let token = bound_token();
    let typed = |typ: Value| sign_proof(&with(proof_header(), "typ", typ), &proof_claims(&token));
    let of_alg = |alg: &str| sign_proof(&with(proof_header(), "alg", json!(alg)), &proof_claims(&token));
    let other = |typ: &str| ProofError::Type(typ.to_owned());
    // Padding in two parts, because no part of base64url has a length that is one more than a multiple of four.
    let padded = |bytes: usize| {
        let padding = |more: usize| json!("x".repeat(more));
        let proof = |first, second| {
            sign_proof(&with(proof_header(), "x", padding(first)), &with(proof_claims(&token), "x", padding(second)))
        };
        let start = (bytes - proof(0, 0).len()) / 4 * 3 - 4;
        let mut tried = (0..4).flat_map(|second| (start..start + 8).map(move |first| (first, second)));
        tried.find_map(|(first, second)| Some(proof(first, second)).filter(|proof| proof.len() == bytes)).expect("one")
    };
    let rows = vec![
        accepted("4.3 check 4", typed(json!("dpop+jwt"))),
        accepted("RFC 7515 4.1.9: no case", typed(json!("DPoP+JWT"))),
        accepted("RFC 7515 4.1.9: the whole media type", typed(json!("application/dpop+jwt"))),
        unproved("no type", typed(Value::Null), other("")),
        unproved("JWT", typed(json!("JWT")), other("JWT")),
        unproved("an access token", typed(json!("at+jwt")), other("at+jwt")),
        unproved("more", typed(json!("dpop+jwt2")), other("dpop+jwt2")),
        unproved("no text", typed(json!(1)), ProofError::Jws(JwsError::NotText("typ"))),
        unproved("4.3 check 2: an opaque text", "abc".to_owned(), ProofError::Jws(JwsError::Parts(1))),
        unproved("no base64url", "a!.e30.e30".to_owned(), ProofError::Jws(JwsError::Base64(Part::Header))),
        unproved("4.3 check 5: none", of_alg("none"), ProofError::Jws(JwsError::Algorithm("none".to_owned()))),
        unproved("symmetric", of_alg("HS256"), ProofError::Jws(JwsError::Algorithm("HS256".to_owned()))),
        unproved("not among the allowed", of_alg("ES384x"), ProofError::Jws(JwsError::Algorithm("ES384x".to_owned()))),
        unproved("asymmetric, not allowed", of_alg("RS512"), ProofError::Algorithm(Algorithm::Rs512)),
        unproved(
            "RFC 7515 4.1.11",
            sign_proof(&with(proof_header(), "crit", json!(["x"])), &proof_claims(&token)),
            ProofError::Jws(JwsError::Critical),
        ),
        accepted("as long as may be", padded(MAX_PROOF_BYTES)),
        unproved("too long", padded(MAX_PROOF_BYTES + 1), ProofError::TooLong(MAX_PROOF_BYTES + 1)),
    ];
    check(rows, |proof| outcome(show(&mut dpop_gate(), &token, proof, NOW)));
}

#[test]
fn the_public_key_of_the_token() {
    let token = bound_token();
    let keyed = |key: Value| sign_proof(&with(proof_header(), "jwk", key), &proof_claims(&token));
    let mut rows = vec![
        accepted("4.3 check 12: the key", keyed(client_key(CLIENT))),
        accepted("with members that are nobody's", keyed(with(client_key(CLIENT), "ext", json!(true)))),
        accepted("as WebCrypto exports it", keyed(with(client_key(CLIENT), "key_ops", json!(["verify"])))),
        unproved("another key", keyed(client_key(6)), ProofError::OtherKey),
        unproved("no key", keyed(Value::Null), ProofError::Key),
        unproved("a text", keyed(json!("x")), ProofError::Key),
        unproved("no type", keyed(with(client_key(CLIENT), "kty", Value::Null)), ProofError::Key),
        unproved("no y", keyed(with(client_key(CLIENT), "y", Value::Null)), ProofError::Key),
        unproved("for encryption", keyed(with(client_key(CLIENT), "use", json!("enc"))), ProofError::Key),
        unproved("for another algorithm", keyed(with(client_key(CLIENT), "alg", json!("ES384"))), ProofError::Key),
        unproved(
            "of another algorithm",
            sign_proof(&with(proof_header(), "alg", json!("ES384")), &proof_claims(&token)),
            ProofError::Key,
        ),
    ];
    for member in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
        let private = with(client_key(CLIENT), member, json!("AA"));
        rows.push(unproved(&format!("4.3 check 7: `{member}`"), keyed(private), ProofError::PrivateKey));
    }
    check(rows, |proof| outcome(show(&mut dpop_gate(), &token, proof, NOW)));
}

#[test]
fn a_key_that_is_no_point_verifies_nothing() {
    let key = with(client_key(CLIENT), "x", client_key(6)["x"].clone());
    let jkt = Thumbprint::of_jwk(key.to_string().as_bytes()).expect("a key").to_string();
    let token = bound_to(&json!({ "jkt": jkt }));
    let proof = sign_proof(&with(proof_header(), "jwk", key), &proof_claims(&token));
    assert_eq!(outcome(show(&mut dpop_gate(), &token, &proof, NOW)), not_proved(ProofError::Key));
}

#[test]
fn an_rsa_key_is_bounded() {
    let (config, header) = (config(), json!({ "typ": "dpop+jwt", "alg": "RS256" }));
    for (bytes, expected) in [(255, ProofError::Key), (512, ProofError::Signature), (513, ProofError::Key)] {
        let mut modulus = vec![0xFF; bytes];
        modulus[0] = 0x80;
        let key = json!({ "kty": "RSA", "n": URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB" });
        let jkt = Thumbprint::of_jwk(key.to_string().as_bytes()).expect("a key").to_string();
        let token = bound_to(&json!({ "jkt": jkt }));
        let proof = sign_proof(&with(header.clone(), "jwk", key), &proof_claims(&token));
        assert_eq!(outcome(show(&mut gate(&config), &token, &proof, NOW)), not_proved(expected), "{bytes} bytes");
    }
}

#[test]
fn the_claims() {
    let token = bound_token();
    let having = |claim: &str, value: Value| sign_proof(&proof_header(), &with(proof_claims(&token), claim, value));
    let other = bound_to(&json!({ "jkt": thumbprint(6).to_string() }));
    let mut rows = vec![
        accepted("4.3 check 8: the method", having("htm", json!("POST"))),
        unproved("another method", having("htm", json!("GET")), ProofError::OtherUse("htm")),
        unproved("in another case", having("htm", json!("post")), ProofError::OtherUse("htm")),
        accepted("4.3 check 12: the token", having("ath", json!(hash(&token)))),
        unproved("another token", having("ath", json!(hash(&other))), ProofError::OtherUse("ath")),
        unproved("half a hash", having("ath", json!(&hash(&token)[..22])), ProofError::OtherUse("ath")),
        unproved("padded", having("ath", json!(format!("{}=", hash(&token)))), ProofError::OtherUse("ath")),
        accepted("a long id", having("jti", json!("x".repeat(256)))),
        unproved("too long an id", having("jti", json!("x".repeat(257))), ProofError::Claim("jti")),
        unproved("an empty id", having("jti", json!("")), ProofError::Claim("jti")),
        accepted("a nonce that nobody asked for", having("nonce", json!(1))),
    ];
    for claim in ["jti", "htm", "htu", "iat", "ath"] {
        let name = format!("4.3 check 3: `{claim}`");
        rows.push(unproved(&name, having(claim, Value::Null), ProofError::Claim(claim)));
        rows.push(unproved(&name, having(claim, json!([])), ProofError::Claim(claim)));
    }
    check(rows, |proof| outcome(show(&mut dpop_gate(), &token, proof, NOW)));
}

#[test]
fn made_just_now() {
    let token = bound_token();
    let at = |iat: Value| sign_proof(&proof_header(), &with(proof_claims(&token), "iat", iat));
    let wrong = |made: u64| ProofError::Time { made: UnixTime(made), now: NOW };
    let rows = vec![
        accepted("4.3 check 11: now", at(json!(NOW.0))),
        accepted("with a fraction", at(json!(1_800_000_000.9))),
        accepted("as long ago as may be", at(json!(NOW.0 - 300))),
        unproved("longer ago", at(json!(NOW.0 - 301)), wrong(NOW.0 - 301)),
        accepted("as far ahead as may be", at(json!(NOW.0 + 30))),
        unproved("farther", at(json!(NOW.0 + 31)), wrong(NOW.0 + 31)),
        unproved("in milliseconds", at(json!(NOW.0 * 1000)), ProofError::Claim("iat")),
        unproved("a text", at(json!(NOW.0.to_string())), ProofError::Claim("iat")),
        unproved("negative", at(json!(-1)), ProofError::Claim("iat")),
    ];
    check(rows, |proof| outcome(show(&mut dpop_gate(), &token, proof, NOW)));
    let settings = json!({ "max_age": "10s", "clock_skew": "0s" });
    let tight = put(config(), "/resources/0/dpop", settings);
    for (iat, expected) in
        [(NOW.0 - 10, Ok(())), (NOW.0 - 11, not_proved(wrong(NOW.0 - 11))), (NOW.0 + 1, not_proved(wrong(NOW.0 + 1)))]
    {
        assert_eq!(outcome(show(&mut gate(&tight), &token, &at(json!(iat)), NOW)), expected, "{iat}");
    }
}

#[test]
fn signed_by_the_key_in_it() {
    let token = bound_token();
    let (header, claims) = (proof_header().to_string(), proof_claims(&token).to_string());
    let forged = sign_texts(6, &header, &claims);
    let good = good_proof(&token);
    let cut = good[..good.len() - 4].to_owned();
    let unsigned = format!("{}.", good.rsplit_once('.').expect("a signature").0);
    let rows = vec![
        accepted("4.3 check 6", good),
        unproved("by another key", forged, ProofError::Signature),
        unproved("too short", cut, ProofError::Signature),
        unproved("not at all", unsigned, ProofError::Signature),
    ];
    check(rows, |proof| outcome(show(&mut dpop_gate(), &token, proof, NOW)));
}

/// Each allowed algorithm may be narrowed down.
#[test]
fn only_the_configured_algorithms() {
    let token = bound_token();
    for (algorithms, expected) in [
        (json!(["ES256"]), Ok(())),
        (json!(["ES384", "ES256"]), Ok(())),
        (json!(["ES384", "EdDSA"]), not_proved(ProofError::Algorithm(Algorithm::Es256))),
    ] {
        let mut gate = gate(&put(config(), "/resources/0/dpop/algorithms", algorithms.clone()));
        assert_eq!(outcome(show(&mut gate, &token, &good_proof(&token), NOW)), expected, "{algorithms}");
    }
}

proptest! {
    #![proptest_config(cases(256))]

    /// Whatever a client sends: an answer, and never a request that goes on.
    #[test]
    fn what_is_no_proof_is_refused(
        header in ".{0,64}", claims in ".{0,64}", raw in "\\PC{0,64}", member in "[a-z]{1,5}", value in ".{0,16}",
    ) {
        let token = bound_token();
        let proofs = [
            sign_bytes(CLIENT, header.as_bytes(), claims.as_bytes()),
            sign_proof(&with(proof_header(), "jwk", json!({ member: value })), &proof_claims(&token)),
            raw,
        ];
        for proof in proofs {
            let verdict = show(&mut dpop_gate(), &token, &proof, NOW);
            prop_assert!(matches!(&verdict, Verdict::Reply(reply) if reply.status() == 401), "{verdict:?}");
        }
    }

    /// One byte that is changed anywhere makes it none.
    #[test]
    fn a_proof_that_was_changed_is_none(at in any::<prop::sample::Index>(), byte in "[A-Za-z0-9._-]") {
        let token = bound_token();
        let good = good_proof(&token);
        let mut changed = good.clone().into_bytes();
        let at = at.index(changed.len());
        changed[at] = byte.as_bytes()[0];
        let changed = String::from_utf8(changed).expect("ASCII");
        prop_assume!(changed != good);
        let verdict = show(&mut dpop_gate(), &token, &changed, NOW);
        prop_assert!(matches!(&verdict, Verdict::Reply(reply) if reply.status() == 401), "{verdict:?}");
    }
}
