//! Compact JWS as access tokens. One line is a token as it comes; with a line feed, what is before it is signed as a header
//! and what is behind it as claims, so that more than the signature decides.

#![no_main]

mod common;

use std::sync::LazyLock;

use common::{
    base64url, check_forward, check_reply, post, strict_object,
    support::{ISSUER, NOW, RESOURCE, gate, inline_config, sign_bytes},
};
use mcp_oauth::{
    gate::{Gate, Verdict},
    jws::{Algorithm, JwsError, Part},
    policy::Policy,
    refusal::Refusal,
    token::TokenError,
};
use serde_json::{Map, Value};

static POLICY: LazyLock<Policy> = LazyLock::new(|| gate(&inline_config()).policy().clone());

/// RFC 7515 section 5.2, by other means than the core's: header and claims, or why there are none.
fn read(token: &str) -> Result<(Map<String, Value>, Map<String, Value>), JwsError> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = *parts else { return Err(JwsError::Parts(parts.len())) };
    let decode = |text, part| base64url(text).ok_or(JwsError::Base64(part));
    let object = |bytes: &[u8], part| {
        let place = mcp_oauth::json::JsonError::NotAnObject;
        strict_object(bytes).ok_or(JwsError::Json(part, place))
    };
    let header = object(&decode(header, Part::Header)?, Part::Header)?;
    if header.contains_key("crit") {
        return Err(JwsError::Critical);
    }
    let name = header.get("alg").and_then(Value::as_str).ok_or(JwsError::NoAlgorithm)?;
    if Algorithm::parse(name).is_none() {
        return Err(JwsError::Algorithm(name.to_owned()));
    }
    for member in ["kid", "typ"] {
        if header.get(member).is_some_and(|value| !value.is_string()) {
            return Err(JwsError::NotText(member));
        }
    }
    let payload = decode(payload, Part::Payload)?;
    decode(signature, Part::Signature)?;
    Ok((header, object(&payload, Part::Payload)?))
}

/// Which fault of a JSON text comes first is the business of the target `message`.
fn without_place(error: JwsError) -> JwsError {
    match error {
        JwsError::Json(part, _) => JwsError::Json(part, mcp_oauth::json::JsonError::NotAnObject),
        error => error,
    }
}

/// What every accepted token is.
fn check_accepted(header: &Map<String, Value>, claims: &Map<String, Value>) {
    let typ = header.get("typ").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    let typ = typ.strip_prefix("application/").unwrap_or(&typ);
    assert!(header["alg"] == "ES256" && header.get("kid").is_none_or(|kid| kid == "k1"), "{header:?}");
    assert!(matches!(typ, "at+jwt" | "jwt" | ""), "{header:?}");
    let says = claims.get("typ").and_then(Value::as_str);
    if typ != "at+jwt" && !matches!(says, Some("Bearer" | "DPoP")) {
        assert!(says.is_none(), "another kind: {claims:?}");
        for name in ["nonce", "at_hash", "c_hash", "s_hash", "events", "htm", "htu", "ath"] {
            assert!(!claims.contains_key(name), "has the shape of another kind: {claims:?}");
        }
    }
    assert_eq!(claims["iss"], ISSUER);
    let audiences = claims["aud"].as_array().map_or_else(|| vec![&claims["aud"]], |list| list.iter().collect());
    assert!(audiences.iter().all(|aud| aud.is_string()) && audiences.iter().any(|aud| **aud == RESOURCE), "{claims:?}");
    // A second for what an `f64` rounds; thirty for clocks.
    let date = |name: &str| claims.get(name).map(|date| date.as_f64().expect("a number"));
    let now = NOW.0 as f64;
    assert!(date("exp").is_some_and(|exp| exp + 31.0 > now && exp < 253_402_300_800.0), "{claims:?}");
    assert!(["nbf", "iat"].into_iter().all(|name| date(name).is_none_or(|at| at <= now + 31.0)), "{claims:?}");
    assert!(!claims.contains_key("cnf"), "bound, and nothing was proved: {claims:?}");
    let scopes = claims.get("scope").or_else(|| claims.get("scp")).expect("the required scope");
    let words: Vec<&str> = match scopes {
        Value::String(list) => list.split(' ').collect(),
        list => list.as_array().expect("a list").iter().filter_map(Value::as_str).collect(),
    };
    assert!(words.contains(&"mcp:read"), "{claims:?}");
}

/// Whether nothing about it is unusual, so that it must be accepted.
fn is_usual(header: &Map<String, Value>, claims: &Map<String, Value>) -> bool {
    let date = |name: &str| claims.get(name).and_then(Value::as_u64);
    header.len() == 3
        && (&header["alg"], header.get("kid"), header.get("typ"))
            == (&"ES256".into(), Some(&"k1".into()), Some(&"at+jwt".into()))
        && claims.keys().all(|name| ["iss", "aud", "exp", "iat", "scope", "sub", "client_id"].contains(&name.as_str()))
        && ["sub", "client_id", "scope"].into_iter().all(|name| claims.get(name).is_none_or(Value::is_string))
        && claims.get("iss").is_some_and(|iss| iss == ISSUER)
        && claims.get("aud").is_some_and(|aud| aud == RESOURCE)
        && date("exp").is_some_and(|exp| (NOW.0..200_000_000_000).contains(&exp))
        && claims.get("iat").is_none_or(|_| date("iat").is_some_and(|iat| iat <= NOW.0))
        && claims.get("scope").is_some_and(|list| list.as_str().unwrap_or_default().split(' ').any(|s| s == "mcp:read"))
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut halves = data.splitn(2, |byte| *byte == b'\n');
    let (header, claims) = (halves.next().unwrap_or_default(), halves.next());
    let is_signed = claims.is_some();
    let token = match claims {
        Some(claims) => sign_bytes(1, header, claims),
        None => String::from_utf8_lossy(header).into_owned(),
    };
    let verdict = common::ask(&mut Gate::new(POLICY.clone()), 1, &post(format!("Bearer {token}")), NOW);
    let read = read(&token);
    match &verdict {
        Verdict::Forward(forward) => {
            assert!(is_signed, "nobody signed {token}");
            check_forward(forward);
            let (header, claims) = read.expect("an accepted token is a JWS");
            check_accepted(&header, &claims);
        }
        Verdict::Reply(reply) => {
            check_reply(reply);
            match (reply.refusal().expect("a refusal"), read) {
                // What is no token of the header's grammar is the business of the target `bearer`.
                (Refusal::Credentials(_) | Refusal::MissingToken, _) => assert!(!is_signed, "{reply:?}"),
                (Refusal::Token(TokenError::Jws(error)), read) => {
                    assert_eq!(Some(without_place(error.clone())), read.err(), "{token}");
                }
                (_, Err(error)) => panic!("{error:?}, but {reply:?}"),
                (refusal, Ok((header, claims))) => {
                    let is_wrong = *refusal == Refusal::Token(TokenError::Signature);
                    assert!(!is_signed || !is_wrong, "the signature is right: {token}");
                    assert!(!is_signed || !is_usual(&header, &claims), "{refusal:?}: {claims:?}");
                }
            }
        }
        other => panic!("{other:?}"),
    }
});
