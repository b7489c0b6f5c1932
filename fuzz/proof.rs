//! DPoP proofs (RFC 9449). With a line feed, what is before it is signed as a header and what is behind it as claims, by the
//! key that the token is bound to; one line is a proof as it comes.

#![no_main]

mod common;

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use common::{
    base64url, check_forward, check_reply, line, post, strict_object,
    support::{NOW, RESOURCE, claims, gate, header, inline_config, jwk, put, sign, sign_bytes, with},
};
use mcp_oauth::{
    confirmation::Thumbprint,
    dpop::ProofError,
    gate::{Gate, Verdict},
    policy::Policy,
    refusal::Refusal,
};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

const CLIENT: u8 = 5;

static POLICY: LazyLock<Policy> =
    LazyLock::new(|| gate(&put(inline_config(), "/resources/0/dpop", json!({}))).policy().clone());
static TOKEN: LazyLock<String> = LazyLock::new(|| {
    let key = Thumbprint::of_jwk(jwk(CLIENT, "k").to_string().as_bytes()).expect("a key");
    sign(&header(), &with(claims(), "cnf", json!({ "jkt": key.to_string() })))
});
static TOKEN_HASH: LazyLock<String> = LazyLock::new(|| URL_SAFE_NO_PAD.encode(Sha256::digest(&*TOKEN)));

/// RFC 9449 section 4.3, of a proof that was accepted.
fn check_accepted(header: &Map<String, Value>, claims: &Map<String, Value>) {
    let typ = header["typ"].as_str().expect("a type").to_ascii_lowercase();
    assert!(matches!(&*typ, "dpop+jwt" | "application/dpop+jwt"), "{header:?}");
    assert!(header["alg"] == "ES256" && !header.contains_key("crit"), "{header:?}");
    let (key, own) = (header["jwk"].as_object().expect("a key"), jwk(CLIENT, "k"));
    assert!(["kty", "crv", "x", "y"].into_iter().all(|name| key.get(name) == own.get(name)), "{header:?}");
    assert!(
        ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].into_iter().all(|name| !key.contains_key(name)),
        "{header:?}"
    );
    assert!(claims["jti"].as_str().is_some_and(|id| (1..=256).contains(&id.len())), "{claims:?}");
    assert!(claims["htm"] == "POST" && claims["ath"] == **TOKEN_HASH, "{claims:?}");
    let uri = Url::parse(claims["htu"].as_str().expect("a URI")).expect("a URI");
    assert!(uri.username().is_empty() && uri.password().is_none(), "{uri}");
    let decoded = uri.path().replace("%6D", "m").replace("%6d", "m").replace("%63", "c").replace("%70", "p");
    assert!(
        (uri.scheme(), uri.host_str(), uri.port(), &*decoded) == ("https", Some("mcp.example.com"), None, "/mcp"),
        "{uri}"
    );
    let made = claims["iat"].as_f64().expect("a date");
    assert!((made - NOW.0 as f64).abs() <= 302.0, "made long ago: {claims:?}");
}

/// Whether nothing about it is unusual, so that it must be accepted.
fn is_usual(header: &Map<String, Value>, claims: &Map<String, Value>) -> bool {
    let own = with(with(with(jwk(CLIENT, "k"), "kid", Value::Null), "use", Value::Null), "alg", Value::Null);
    let says = |object: &Map<String, Value>, name: &str, value: &Value| object.get(name) == Some(value);
    header.len() == 3
        && claims.len() == 5
        && says(header, "typ", &json!("dpop+jwt"))
        && says(header, "alg", &json!("ES256"))
        && says(header, "jwk", &own)
        && says(claims, "htm", &json!("POST"))
        && says(claims, "htu", &json!(RESOURCE))
        && says(claims, "iat", &json!(NOW.0))
        && says(claims, "ath", &json!(**TOKEN_HASH))
        && claims.get("jti").and_then(Value::as_str).is_some_and(|id| !id.is_empty() && id.len() <= 256)
}

/// Header and claims of a JWS that is well-formed.
fn read(proof: &str) -> Option<[Map<String, Value>; 2]> {
    let [header, claims, signature] = *proof.split('.').collect::<Vec<_>>() else { return None };
    base64url(signature)?;
    Some([strict_object(&base64url(header)?)?, strict_object(&base64url(claims)?)?])
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut halves = data.splitn(2, |byte| *byte == b'\n');
    let (header, claims) = (halves.next().unwrap_or_default(), halves.next());
    // Seeds cannot know the hash of the token, which is made when this starts.
    let fill = |text: &[u8]| {
        text.strip_prefix(b"ATH")
            .map_or_else(|| text.to_vec(), |rest| [format!("{{\"ath\":\"{}\",", *TOKEN_HASH).as_bytes(), rest].concat())
    };
    let is_signed = claims.is_some();
    let proof = claims.map_or_else(|| header.to_vec(), |claims| sign_bytes(CLIENT, header, &fill(claims)).into_bytes());
    let mut lines = post(format!("DPoP {}", *TOKEN));
    lines.push(line("dpop", &proof));
    let mut gate = Gate::new(POLICY.clone());
    let read = str::from_utf8(&proof).ok().and_then(read);
    match common::ask(&mut gate, 1, &lines, NOW) {
        Verdict::Forward(forward) => {
            assert!(is_signed, "nobody signed {}", proof.escape_ascii());
            check_forward(&forward);
            assert!(forward.edits().any(|edit| edit == mcp_oauth::forward::Edit::Remove(b"dpop")), "{forward:?}");
            let [header, claims] = read.expect("an accepted proof is a JWS");
            check_accepted(&header, &claims);
            // Section 11.1: once.
            match common::ask(&mut gate, 2, &lines, NOW) {
                Verdict::Reply(reply) => assert_eq!(reply.refusal(), Some(&Refusal::Proof(ProofError::Replayed))),
                other => panic!("twice: {other:?}"),
            }
        }
        Verdict::Reply(reply) => {
            check_reply(&reply);
            let refusal = reply.refusal().expect("a refusal");
            assert!(matches!(refusal, Refusal::Proof(_)), "the token is good: {refusal:?}");
            let is_wrong = *refusal == Refusal::Proof(ProofError::Signature);
            assert!(!is_signed || !is_wrong, "the signature is right: {}", proof.escape_ascii());
            let is_usual = is_signed && read.is_some_and(|[header, claims]| is_usual(&header, &claims));
            assert!(!is_usual, "{refusal:?}: {}", data.escape_ascii());
        }
        other => panic!("{other:?}"),
    }
});
