//! Every algorithm accepts its own signatures and nothing that differs from them by one thing.

mod published;
mod rsa_and_ec;
pub(crate) mod signers;

use std::sync::OnceLock;

use mcp_oauth::{
    jws::{Algorithm, JwsError},
    signature::{BadSignature, PublicKey},
    token::TokenError,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{
    ISSUER, Row, accepted, check, check_tokens, claims, gate, holding, inline_config, invalid, jwks, outcome, present,
    with,
};
use signers::{NAMES, decode, encode, jwk, sign, token};

/// A configuration whose only issuer has exactly these keys.
fn config(keys: &[Value]) -> Value {
    with(inline_config(), "authorization_servers", json!([{ "issuer": ISSUER, "jwks": jwks(keys) }]))
}

/// The key of this seed as `k1`, for this algorithm only.
fn pinned(name: &str, seed: u8) -> Value {
    with(unpinned(name, seed), "alg", json!(name))
}

/// The key of this seed as `k1`, for whatever its type is good for.
fn unpinned(name: &str, seed: u8) -> Value {
    with(jwk(name, seed), "kid", json!("k1"))
}

fn header(name: &str) -> Value {
    json!({ "typ": "at+jwt", "alg": name, "kid": "k1", "x": "a" })
}

/// A good token for every name, made once: RSA takes its time to sign.
fn good(name: &str) -> String {
    static GOOD: OnceLock<[String; 10]> = OnceLock::new();
    let tokens = GOOD.get_or_init(|| NAMES.map(|name| token(name, 1, &header(name), &claims())));
    NAMES.iter().zip(tokens).find(|(other, _)| **other == name).expect("a name").1.clone()
}

/// The algorithms of the same keys.
fn family(name: &str) -> &'static [&'static str] {
    match name {
        "ES256" => &["ES256"],
        "ES384" => &["ES384"],
        "EdDSA" | "Ed25519" => &["EdDSA", "Ed25519"],
        _ => &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
    }
}

/// The token with another header, payload or signature, the other two as they were.
fn replaced(token: &str, part: usize, by: impl AsRef<[u8]>) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts[part] = encode(by);
    parts.join(".")
}

fn part(token: &str, part: usize) -> Vec<u8> {
    decode(token.split('.').nth(part).expect("three parts"))
}

/// The bytes with one bit changed.
fn flipped(mut bytes: Vec<u8>, bit: usize) -> Vec<u8> {
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

fn unknown_key() -> TokenError {
    TokenError::UnknownKey(Some("k1".to_owned()))
}

#[test]
fn every_algorithm_accepts_its_own_signatures() {
    for name in NAMES {
        let good = good(name);
        let payload = String::from_utf8(part(&good, 1)).expect("a text");
        let signature = part(&good, 2);
        let bad =
            |what: &str, token: String| invalid(format!("{name}, RFC 7515 5.2: {what}"), token, TokenError::Signature);
        let mut rows = vec![
            accepted(format!("{name}, RFC 7518 3.1, RFC 8037 3.1"), good.clone()),
            bad("another header", replaced(&good, 0, holding(header(name), "x", json!("b")).to_string())),
            bad("another spelling of the header", replaced(&good, 0, format!("{} ", header(name)))),
            bad("another subject", replaced(&good, 1, payload.replace("alice", "alicf"))),
            bad("more scopes", replaced(&good, 1, payload.replace("mcp:write", "mcp:admin"))),
            bad("a longer life", replaced(&good, 1, payload.replace("1800000300", "1800000301"))),
            bad("another spelling of the payload", replaced(&good, 1, format!(" {payload}"))),
            bad("the signature of another text", replaced(&good, 2, sign(name, 1, b"another text"))),
            bad("no signature", replaced(&good, 2, b"")),
            bad("a signature of zeros", replaced(&good, 2, vec![0; signature.len()])),
            bad("a signature of ones", replaced(&good, 2, vec![0xff; signature.len()])),
            bad("a byte less", replaced(&good, 2, &signature[1..])),
            bad("a byte less at the end", replaced(&good, 2, &signature[..signature.len() - 1])),
            bad("a zero more", replaced(&good, 2, [&[0], &signature[..]].concat())),
            bad("a zero more at the end", replaced(&good, 2, [&signature[..], &[0]].concat())),
            bad("twice", replaced(&good, 2, [&signature[..], &signature[..]].concat())),
            bad("backwards", replaced(&good, 2, signature.iter().rev().copied().collect::<Vec<u8>>())),
        ];
        // One bit of every 32 bytes, and the first and the last.
        let bits = signature.len() * 8;
        for bit in (0..bits).step_by(256).chain([7, bits / 2, bits - 8, bits - 1]) {
            rows.push(bad(&format!("bit {bit}"), replaced(&good, 2, flipped(signature.clone(), bit))));
        }
        check_tokens(&config(&[pinned(name, 1)]), rows);
    }
}

#[test]
fn every_key_accepts_its_own_signatures() {
    for name in NAMES {
        check(
            vec![
                accepted(format!("{name}, RFC 8725 3.8: the key that signed"), 1),
                invalid(format!("{name}, RFC 8725 3.8: another key"), 2, TokenError::Signature),
            ],
            |seed| outcome(present(&mut gate(&config(&[pinned(name, *seed)])), &good(name))),
        );
    }
}

/// RFC 8725 section 3.1: the key says with which algorithm it is used. The header can only agree.
#[test]
fn a_key_with_an_algorithm_is_used_with_that_one() {
    for name in NAMES {
        let mut rows = vec![accepted(format!("{name}: signed and named so"), good(name))];
        for other in NAMES {
            let is_same = other == name || (family(name).contains(&other) && name.starts_with("Ed"));
            if is_same {
                rows.push(accepted(format!("RFC 9864 2.2: {name} is {other}"), good(other)));
                continue;
            }
            let renamed = replaced(&good(name), 0, header(other).to_string());
            rows.push(invalid(format!("{name}, RFC 8725 3.1: named {other}"), renamed, unknown_key()));
            let signed_so = good(other);
            rows.push(invalid(format!("{name}, RFC 8725 3.1: named and signed {other}"), signed_so, unknown_key()));
            let misnamed = token(other, 1, &header(name), &claims());
            rows.push(invalid(format!("{name}, RFC 8725 3.1: signed {other}"), misnamed, TokenError::Signature));
        }
        check_tokens(&config(&[pinned(name, 1)]), rows);
    }
}

/// RFC 7517 section 4.4: `alg` is optional, and then the type of the key is all there is.
#[test]
fn a_key_without_an_algorithm_is_used_with_those_of_its_type() {
    for name in NAMES {
        let mut rows = Vec::new();
        for other in NAMES {
            let renamed = replaced(&good(name), 0, header(other).to_string());
            if family(name).contains(&other) {
                rows.push(accepted(format!("{name}, RFC 7517 4.4: {other}"), good(other)));
            } else {
                rows.push(invalid(format!("{name}, RFC 7517 4.1: {other}"), good(other), unknown_key()));
            }
            if other != name {
                let error = if family(name).contains(&other) { TokenError::Signature } else { unknown_key() };
                rows.push(invalid(format!("{name}, RFC 8725 3.1: named {other}, not signed again"), renamed, error));
            }
        }
        check_tokens(&config(&[unpinned(name, 1)]), rows);
    }
}

/// RFC 8725 section 2.1: a public key taken for an HMAC secret. Every spelling of the key is tried as the secret.
#[test]
fn a_public_key_is_no_secret() {
    let rsa = unpinned("RS256", 1);
    let secrets: [Vec<u8>; 6] = [
        rsa.to_string().into_bytes(),
        jwks(std::slice::from_ref(&rsa)).to_string().into_bytes(),
        signers::RSA_N.into(),
        decode(signers::RSA_N),
        decode("AQAB"),
        Vec::new(),
    ];
    let mut rows = vec![accepted("RFC 8725 2.1: RS256", good("RS256"))];
    for secret in secrets {
        let input = format!("{}.{}", encode(header("HS256").to_string()), encode(claims().to_string()));
        let forged = format!("{input}.{}", encode(hmac_sha256(&secret, input.as_bytes())));
        let error = TokenError::Jws(JwsError::Algorithm("HS256".to_owned()));
        rows.push(invalid(format!("RFC 8725 2.1: HS256 with {} bytes", secret.len()), forged, error));
        // The same, but named as what the key is for.
        let input = format!("{}.{}", encode(header("RS256").to_string()), encode(claims().to_string()));
        let forged = format!("{input}.{}", encode(hmac_sha256(&secret, input.as_bytes())));
        let name = format!("RFC 8725 2.1: HS256 with {} bytes, named RS256", secret.len());
        rows.push(invalid(name, forged, TokenError::Signature));
    }
    check_tokens(&config(&[rsa]), rows);
}

/// RFC 2104.
fn hmac_sha256(secret: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = if secret.len() > 64 { Sha256::digest(secret).to_vec() } else { secret.to_vec() };
    block.resize(64, 0);
    let pad = |with: u8| block.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let inner = Sha256::digest([&pad(0x36), text].concat());
    Sha256::digest([&pad(0x5c)[..], &inner].concat()).to_vec()
}

/// RFC 4231 section 4.3: the forgeries above are what they say.
#[test]
fn the_forger_can_do_hmac() {
    let found: String =
        hmac_sha256(b"Jefe", b"what do ya want for nothing?").iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(found, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

/// One layer down: a key verifies nothing under an algorithm of another type of key, whoever asks.
#[test]
fn a_key_fits_the_algorithms_of_its_type() {
    for name in NAMES {
        let key = public_key(name);
        for algorithm in Algorithm::ALL {
            let fits = family(name).contains(&algorithm.as_str());
            assert_eq!(key.fits(algorithm), fits, "{name} and {}", algorithm.as_str());
            let signature = sign(algorithm.as_str(), 1, b"text");
            let expected = if fits { Ok(()) } else { Err(BadSignature) };
            assert_eq!(key.verify(algorithm, b"text", &signature), expected, "{name} and {}", algorithm.as_str());
        }
    }
}

/// RFC 8032 section 5.1.7 leaves the choice; libraries that differ on such a signature are how one token is good here and
/// bad there. Only the owner of a key can make one.
#[test]
fn an_ed25519_signature_does_not_start_with_a_point_of_small_order() {
    let text = b"text";
    // R is the neutral element, and S the product of secret scalar and challenge, so that S * B = R + k * A.
    let small = signers::from_hex(concat!(
        "0100000000000000000000000000000000000000000000000000000000000000",
        "fba97ef6bd87c30ebd9e29cb0328f74233b4412b33d87c48214d109967ca6209",
    ));
    let lenient = ed25519_dalek::Signature::from_slice(&small).expect("64 bytes");
    assert!(
        ed25519_dalek::Verifier::verify(&signers::ed25519(1).verifying_key(), text, &lenient).is_ok(),
        "the case that is meant: other libraries accept it"
    );
    let key = public_key("EdDSA");
    assert_eq!(key.verify(Algorithm::EdDsa, text, &sign("EdDSA", 1, text)), Ok(()));
    assert_eq!(key.verify(Algorithm::EdDsa, text, &small), Err(BadSignature));
}

fn public_key(name: &str) -> PublicKey {
    let jwk = jwk(name, 1);
    let member = |member: &str| decode(jwk[member].as_str().expect("a text"));
    match name {
        "ES256" => PublicKey::p256(&member("x"), &member("y")),
        "ES384" => PublicKey::p384(&member("x"), &member("y")),
        "EdDSA" | "Ed25519" => PublicKey::ed25519(&member("x")),
        _ => PublicKey::rsa(&member("n"), &member("e")),
    }
    .expect("a usable key")
}

#[test]
fn names_and_algorithms_belong_together() {
    for algorithm in Algorithm::ALL {
        assert_eq!(Algorithm::parse(algorithm.as_str()), Some(algorithm));
    }
    for name in NAMES {
        let expected = if name == "Ed25519" { "EdDSA" } else { name };
        assert_eq!(Algorithm::parse(name).map(Algorithm::as_str), Some(expected), "{name}");
    }
    for name in ["none", "HS256", "ES512", "ES256K", "rs256", "", "RS256 ", "Ed448", "EDDSA"] {
        assert_eq!(Algorithm::parse(name), None, "{name}");
    }
}

fn bad_signature<T>(name: impl Into<String>, token: T) -> Row<T> {
    invalid(name, token, TokenError::Signature)
}
