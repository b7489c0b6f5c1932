//! The JOSE header: what it may say, and that it cannot choose how it is checked (RFC 7515 section 4, RFC 8725
//! section 3.1).

use mcp_oauth::{
    jws::{Algorithm, JwsError},
    token::TokenError,
};
use serde_json::{Value, json};

use crate::algorithms::signers;
use crate::support::{
    ISSUER, accepted, check_tokens, claims, good_token, header, inline_config, invalid, jwk, jwks, sign, with,
};

use super::{headed, malformed};

#[test]
fn critical_extensions_are_not_understood() {
    let mut rows = vec![
        accepted("RFC 7515 4.1.11: no `crit`", good_token()),
        accepted("RFC 7515 4: a member that is not critical", headed("b64", json!(true))),
    ];
    for value in
        [json!([]), json!(["b64"]), json!(["exp"]), json!(["alg"]), json!("b64"), json!({}), Value::Null, json!(false)]
    {
        rows.push(malformed(format!("RFC 7515 4.1.11: `crit` is {value}"), headed("crit", value), JwsError::Critical));
    }
    check_tokens(&inline_config(), rows);
}

#[test]
fn the_algorithm_is_one_that_is_implemented() {
    let mut rows = vec![accepted("RFC 7518 3.1: `ES256`", headed("alg", json!("ES256")))];
    for name in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "none ",
        "HS256",
        "HS384",
        "HS512",
        "hs256",
        "ES512",
        "ES256K",
        "es256",
        "Es256",
        " ES256",
        "ES256 ",
        "ES256\u{0}",
        "ECDSA",
        "RS1",
        "RSA",
        "Ed448",
        "eddsa",
        "ED25519",
        "ESP256",
        "ML-DSA-44",
        "dir",
        "A128KW",
        "RSA-OAEP",
        "",
    ] {
        let token = headed("alg", json!(name));
        rows.push(malformed(format!("RFC 8725 3.1: `{name}`"), token, JwsError::Algorithm(name.to_owned())));
    }
    let without_alg = sign(&with(header(), "alg", Value::Null), &claims());
    rows.push(malformed("RFC 7515 4.1.1: no `alg`", without_alg, JwsError::NoAlgorithm));
    for value in [Value::Null, json!(256), json!(true), json!(["ES256"]), json!({ "name": "ES256" })] {
        let name = format!("RFC 7515 4.1.1: `alg` is {value}");
        rows.push(malformed(name, headed("alg", value), JwsError::NoAlgorithm));
    }
    check_tokens(&inline_config(), rows);
}

/// RFC 7515 appendix A.5, RFC 8725 section 2.1: the classic, with its empty signature and with any other.
#[test]
fn an_unsecured_jws_is_refused() {
    let token = headed("alg", json!("none"));
    let (input, _) = token.rsplit_once('.').expect("three parts");
    let error = || JwsError::Algorithm("none".to_owned());
    check_tokens(
        &inline_config(),
        vec![
            accepted("RFC 7515 A.5: signed", good_token()),
            malformed("RFC 7515 A.5: an empty signature", format!("{input}."), error()),
            malformed("RFC 7515 A.5: some signature", format!("{input}.AAAA"), error()),
            malformed("RFC 7515 A.5: a good signature", token, error()),
        ],
    );
}

#[test]
fn the_algorithm_is_one_that_the_issuer_may_use() {
    let keys = jwks(&[jwk(1, "k1"), with(signers::jwk("EdDSA", 1), "kid", json!("k2"))]);
    let config = |algorithms: Value| {
        let servers = json!([{ "issuer": ISSUER, "jwks": keys, "algorithms": algorithms }]);
        with(inline_config(), "authorization_servers", servers)
    };
    let signed = |algorithm: &str| {
        let header = json!({ "typ": "at+jwt", "alg": algorithm, "kid": "k2" });
        signers::token(algorithm, 1, &header, &claims())
    };
    check_tokens(
        &config(json!(["ES256"])),
        vec![
            accepted("RFC 8725 3.1: the allowed one", good_token()),
            invalid("RFC 8725 3.1: another one", signed("EdDSA"), TokenError::Algorithm(Algorithm::EdDsa)),
            invalid("RFC 9864 2.2: its other name", signed("Ed25519"), TokenError::Algorithm(Algorithm::EdDsa)),
            // Before any key is looked for.
            invalid("RFC 8725 3.1: no key", headed("alg", json!("PS512")), TokenError::Algorithm(Algorithm::Ps512)),
        ],
    );
    // Two names of one algorithm (RFC 9864 section 2.2) are one permission.
    for name in ["EdDSA", "Ed25519"] {
        check_tokens(
            &config(json!(["RS256", name])),
            vec![
                accepted("RFC 8725 3.1: the allowed one", signed("EdDSA")),
                accepted("RFC 9864 2.2: its other name", signed("Ed25519")),
                invalid("RFC 8725 3.1: another one", good_token(), TokenError::Algorithm(Algorithm::Es256)),
            ],
        );
    }
}

/// RFC 8725 section 3.10: `kid` is a hint that can only choose among the issuer's keys.
#[test]
fn the_key_id_is_a_text_that_names_a_key() {
    let without_kid = sign(&with(header(), "kid", Value::Null), &claims());
    let mut rows = vec![
        accepted("RFC 7515 4.1.4: the key's", headed("kid", json!("k1"))),
        accepted("RFC 7515 4.1.4: none, and one key", without_kid),
    ];
    for name in
        ["k2", "", "K1", "k1 ", " k1", "k", "k11", "../k1", "k1\u{0}", "' OR 1=1 --", "https://idp.example.com/k1"]
    {
        let token = headed("kid", json!(name));
        let error = TokenError::UnknownKey(Some(name.to_owned()));
        rows.push(invalid(format!("RFC 7515 4.1.4: `{name:?}`"), token, error));
    }
    for value in [Value::Null, json!(1), json!(true), json!(["k1"]), json!({ "kid": "k1" })] {
        let name = format!("RFC 7515 4.1.4: `kid` is {value}");
        rows.push(malformed(name, headed("kid", value), JwsError::NotText("kid")));
    }
    check_tokens(&inline_config(), rows);
}
