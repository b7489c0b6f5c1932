//! Which key a token gets: the one that its `kid`, its `alg` and the key's own members agree on, or none. Never one after
//! the other until something fits (RFC 7515 appendix D, RFC 8725 section 3.1).

use mcp_oauth::token::TokenError;
use serde_json::{Value, json};

use crate::algorithms::signers;
use crate::support::{ISSUER, Row, accepted, check_tokens, claims, inline_config, invalid, jwk, jwks, with};

fn config(keys: &[Value]) -> Value {
    with(inline_config(), "authorization_servers", json!([{ "issuer": ISSUER, "jwks": jwks(keys) }]))
}

/// A token signed with the key of `seed`, that says so with this `alg` and this `kid`.
fn token(algorithm: &str, seed: u8, kid: Option<&str>) -> String {
    let header = with(json!({ "typ": "at+jwt", "alg": algorithm }), "kid", json!(kid));
    signers::token(algorithm, seed, &header, &claims())
}

/// A key without `alg` and `use`.
fn key(algorithm: &str, seed: u8, kid: Option<&str>) -> Value {
    with(signers::jwk(algorithm, seed), "kid", json!(kid))
}

fn unknown(name: &str, token: String, kid: Option<&str>) -> Row<String> {
    invalid(name, token, TokenError::UnknownKey(kid.map(str::to_owned)))
}

#[test]
fn the_key_is_the_one_that_the_token_names() {
    check_tokens(
        &config(&[jwk(1, "k1"), jwk(2, "k2")]),
        vec![
            accepted("RFC 7515 4.1.4: the first", token("ES256", 1, Some("k1"))),
            accepted("RFC 7515 4.1.4: the second", token("ES256", 2, Some("k2"))),
            invalid(
                "RFC 7515 4.1.4: the first named, signed with the second",
                token("ES256", 2, Some("k1")),
                TokenError::Signature,
            ),
            invalid(
                "RFC 7515 4.1.4: the second named, signed with the first",
                token("ES256", 1, Some("k2")),
                TokenError::Signature,
            ),
            unknown("RFC 7515 4.1.4: none of them", token("ES256", 1, Some("k3")), Some("k3")),
            unknown("RFC 7515 4.1.4: another case", token("ES256", 1, Some("K1")), Some("K1")),
            unknown("RFC 7515 4.1.4: nothing", token("ES256", 1, Some("")), Some("")),
        ],
    );
}

#[test]
fn a_token_without_key_id_needs_a_set_with_one_key_that_fits() {
    check_tokens(
        &config(&[jwk(1, "k1")]),
        vec![
            accepted("RFC 7515 D: one key", token("ES256", 1, None)),
            invalid("RFC 7515 D: one key, another signed", token("ES256", 2, None), TokenError::Signature),
            unknown("RFC 7515 D: no key for the algorithm", token("ES384", 1, None), None),
            unknown("RFC 7515 D: no key of the type", token("RS256", 1, None), None),
        ],
    );
    let both = [jwk(1, "k1"), jwk(2, "k2")];
    check_tokens(
        &config(&both),
        vec![
            accepted("RFC 7515 D: two keys, one named", token("ES256", 1, Some("k1"))),
            invalid(
                "RFC 7515 D: two keys, none named, the first signed",
                token("ES256", 1, None),
                TokenError::AmbiguousKey,
            ),
            invalid(
                "RFC 7515 D: two keys, none named, the second signed",
                token("ES256", 2, None),
                TokenError::AmbiguousKey,
            ),
            unknown("RFC 7515 D: two keys, neither fits", token("EdDSA", 1, None), None),
        ],
    );
}

/// The `alg` narrows the choice down, so keys of other types are not in the way.
#[test]
fn a_token_without_key_id_gets_the_only_key_of_its_algorithm() {
    let keys = [key("ES256", 1, None), key("ES384", 1, Some("k1")), key("EdDSA", 1, Some("k2")), key("RS256", 1, None)];
    let mut rows: Vec<Row<String>> = signers::NAMES
        .map(|name| accepted(format!("RFC 7515 D: the only key for {name}"), token(name, 1, None)))
        .into();
    rows.push(invalid("RFC 7515 D: signed by another", token("ES256", 2, None), TokenError::Signature));
    check_tokens(&config(&keys), rows);

    // Two RSA keys, told apart by the algorithm that each is for (RFC 7517 section 4.4).
    let keys = [
        with(key("RS256", 1, Some("k1")), "alg", json!("RS256")),
        with(key("PS256", 1, Some("k2")), "alg", json!("PS256")),
    ];
    check_tokens(
        &config(&keys),
        vec![
            accepted("RFC 7517 4.4: the one for RS256", token("RS256", 1, None)),
            accepted("RFC 7517 4.4: the one for PS256", token("PS256", 1, None)),
            unknown("RFC 7517 4.4: none for PS384", token("PS384", 1, None), None),
            unknown("RFC 7517 4.4: named, and for another", token("RS256", 1, Some("k2")), Some("k2")),
        ],
    );
}

/// RFC 7517 section 4.5 allows one `kid` for equivalent keys of different types.
#[test]
fn keys_with_the_same_id_are_told_apart_by_their_type() {
    let keys = [key("ES256", 1, Some("k1")), key("EdDSA", 1, Some("k1")), key("RS256", 1, Some("k1"))];
    check_tokens(
        &config(&keys),
        vec![
            accepted("RFC 7517 4.5: EC", token("ES256", 1, Some("k1"))),
            accepted("RFC 7517 4.5: OKP", token("EdDSA", 1, Some("k1"))),
            accepted("RFC 7517 4.5: RSA", token("PS256", 1, Some("k1"))),
            invalid("RFC 7517 4.5: EC, another key", token("ES256", 2, Some("k1")), TokenError::Signature),
            unknown("RFC 7517 4.5: another curve", token("ES384", 1, Some("k1")), Some("k1")),
        ],
    );
    // Of the same type they are not told apart: trying both would make each key valid for each token.
    let keys = [key("ES256", 1, Some("k1")), key("ES256", 2, Some("k1")), key("EdDSA", 1, Some("k1"))];
    check_tokens(
        &config(&keys),
        vec![
            accepted("RFC 7517 4.5: the only one of its type", token("EdDSA", 1, Some("k1"))),
            invalid("RFC 7517 4.5: the first of two", token("ES256", 1, Some("k1")), TokenError::AmbiguousKey),
            invalid("RFC 7517 4.5: the second of two", token("ES256", 2, Some("k1")), TokenError::AmbiguousKey),
        ],
    );
}

/// A `kid` in the token is a statement about the key, and a key without one does not agree to it.
#[test]
fn a_key_without_id_is_for_tokens_without_one() {
    check_tokens(
        &config(&[key("ES256", 1, None)]),
        vec![
            accepted("RFC 7515 4.1.4: neither has a `kid`", token("ES256", 1, None)),
            unknown("RFC 7515 4.1.4: the token has one", token("ES256", 1, Some("k1")), Some("k1")),
            unknown("RFC 7515 4.1.4: the token has an empty one", token("ES256", 1, Some("")), Some("")),
        ],
    );
    check_tokens(
        &config(&[key("ES256", 1, None), key("ES256", 2, Some("k2"))]),
        vec![
            accepted("RFC 7515 4.1.4: the key with the `kid`", token("ES256", 2, Some("k2"))),
            invalid("RFC 7515 4.1.4: two fit a token without one", token("ES256", 1, None), TokenError::AmbiguousKey),
        ],
    );
}

/// A key that is left out is not there: it neither verifies nor makes a choice ambiguous.
#[test]
fn a_key_that_is_left_out_is_not_chosen() {
    let enc = with(jwk(2, "k2"), "use", json!("enc"));
    check_tokens(
        &config(&[jwk(1, "k1"), enc]),
        vec![
            accepted("RFC 7517 4.2: the other", token("ES256", 1, Some("k1"))),
            accepted("RFC 7517 4.2: the other, not named", token("ES256", 1, None)),
            unknown("RFC 7517 4.2: named and signed with", token("ES256", 2, Some("k2")), Some("k2")),
            invalid("RFC 7517 4.2: signed with, not named", token("ES256", 2, None), TokenError::Signature),
        ],
    );
}
