//! `iss` is exactly a configured issuer, and only that issuer's own keys speak for it.

use mcp_oauth::{
    gate::Verdict,
    refusal::Refusal,
    token::{ClaimFault, TokenError},
};
use serde_json::{Value, json};

use crate::support::{
    ISSUER, NOW, RESOURCE, Row, accepted, ask, check, check_tokens, claims, gate, good_token, head, header, holding,
    inline_config, invalid, jwk, jwks, outcome, present, remote_config, sign_texts, with,
};

use super::{bad_claim, claiming, without};

const OTHER_ISSUER: &str = "https://idp.example.org";
const OTHER_RESOURCE: &str = "https://mcp.example.com/other";

fn unknown_issuer(name: &str, issuer: &str) -> Row<String> {
    invalid(name, claiming("iss", json!(issuer)), TokenError::Issuer(issuer.to_owned()))
}

#[test]
fn the_issuer_is_compared_code_point_by_code_point() {
    let wrong_type = |name: &str, value: Value| bad_claim(name, claiming("iss", value), "iss", ClaimFault::Type);
    check_tokens(
        &inline_config(),
        vec![
            accepted("RFC 9068 4: the configured issuer", claiming("iss", json!(ISSUER))),
            bad_claim("RFC 9068 2.2: no `iss`", without("iss"), "iss", ClaimFault::Missing),
            wrong_type("RFC 7519 4.1.1: `iss` is null", Value::Null),
            wrong_type("RFC 7519 4.1.1: `iss` is a number", json!(1)),
            wrong_type("RFC 7519 4.1.1: `iss` is true", json!(true)),
            wrong_type("RFC 7519 4.1.1: `iss` is an array", json!([ISSUER])),
            wrong_type("RFC 7519 4.1.1: `iss` is an object", json!({ "issuer": ISSUER })),
            unknown_issuer("RFC 8725 3.8: another issuer", OTHER_ISSUER),
            unknown_issuer("RFC 8725 3.8: no text at all", ""),
            unknown_issuer("RFC 8414 3.3: a slash more", "https://idp.example.com/"),
            unknown_issuer("RFC 8414 3.3: a path more", "https://idp.example.com/realms/mcp"),
            unknown_issuer("RFC 8414 3.3: a letter less", "https://idp.example.co"),
            unknown_issuer("RFC 8414 3.3: the default port", "https://idp.example.com:443"),
            unknown_issuer("RFC 8414 3.3: another case", "https://IDP.example.com"),
            unknown_issuer("RFC 8414 3.3: another scheme", "http://idp.example.com"),
            unknown_issuer("RFC 8414 3.3: no scheme", "idp.example.com"),
            unknown_issuer("RFC 8414 3.3: a space", "https://idp.example.com "),
            unknown_issuer("RFC 8414 3.3: a letter that looks alike", "https://\u{456}dp.example.com"),
        ],
    );
}

/// Some servers name the default port; then it is part of the name.
#[test]
fn an_issuer_with_its_default_port_is_another_issuer() {
    let with_port = "https://idp.example.com:443/am";
    let servers = json!([{ "issuer": with_port, "jwks": jwks(&[jwk(1, "k1")]) }]);
    check_tokens(
        &with(inline_config(), "authorization_servers", servers),
        vec![
            accepted("RFC 8414 3.3: the configured issuer", claiming("iss", json!(with_port))),
            unknown_issuer("RFC 8414 3.3: without the port", "https://idp.example.com/am"),
        ],
    );
}

#[test]
fn an_issuer_with_a_slash_is_another_issuer() {
    // Auth0's issuers end in a slash, so the rule must hold the other way round too.
    let with_slash = "https://idp.example.com/";
    let servers = json!([{ "issuer": with_slash, "jwks": jwks(&[jwk(1, "k1")]) }]);
    check_tokens(
        &with(inline_config(), "authorization_servers", servers),
        vec![
            accepted("RFC 8414 3.3: the configured issuer", claiming("iss", json!(with_slash))),
            unknown_issuer("RFC 8414 3.3: a slash less", ISSUER),
        ],
    );
}

/// Two issuers whose keys have the same `kid`, and one resource that accepts the first issuer only.
fn two_issuers() -> Value {
    json!({
        "authorization_servers": [
            { "issuer": ISSUER, "jwks": jwks(&[jwk(1, "k1"), jwk(3, "k3")]) },
            { "issuer": OTHER_ISSUER, "jwks": jwks(&[jwk(2, "k1")]) },
        ],
        "resources": [
            { "resource": RESOURCE },
            { "resource": OTHER_RESOURCE, "authorization_servers": [ISSUER] },
        ],
    })
}

/// A token by `issuer` for `resource`, signed with the key of `seed`, which it calls `kid`.
fn token(issuer: &str, resource: &str, seed: u8, kid: Option<&str>) -> String {
    let claims = with(with(claims(), "iss", json!(issuer)), "aud", json!(resource));
    sign_texts(seed, &with(header(), "kid", json!(kid)).to_string(), &claims.to_string())
}

#[test]
fn keys_belong_to_their_issuer() {
    let unknown = |kid: &str| TokenError::UnknownKey(Some(kid.to_owned()));
    let (first, second) = (ISSUER, OTHER_ISSUER);
    check_tokens(
        &two_issuers(),
        vec![
            accepted("RFC 8725 3.8: the first issuer, its key", token(first, RESOURCE, 1, Some("k1"))),
            accepted("RFC 8725 3.8: the second issuer, its key", token(second, RESOURCE, 2, Some("k1"))),
            accepted("RFC 8725 3.8: the second issuer, its only key", token(second, RESOURCE, 2, None)),
            invalid(
                "RFC 8725 3.8: the first issuer, the second's key",
                token(first, RESOURCE, 2, Some("k1")),
                TokenError::Signature,
            ),
            invalid(
                "RFC 8725 3.8: the second issuer, the first's key",
                token(second, RESOURCE, 1, Some("k1")),
                TokenError::Signature,
            ),
            invalid(
                "RFC 8725 3.8: the second issuer, a key and a `kid` that only the first has",
                token(second, RESOURCE, 3, Some("k3")),
                unknown("k3"),
            ),
            invalid(
                "RFC 8725 3.8: the second issuer, the first's key, no `kid`",
                token(second, RESOURCE, 1, None),
                TokenError::Signature,
            ),
        ],
    );
}

#[test]
fn a_resource_accepts_its_own_issuers_only() {
    let rows = vec![
        accepted("RFC 9728 2: an issuer of the resource", token(ISSUER, OTHER_RESOURCE, 1, Some("k1"))),
        invalid(
            "RFC 9728 2: a configured issuer, not of this resource",
            token(OTHER_ISSUER, OTHER_RESOURCE, 2, Some("k1")),
            TokenError::Issuer(OTHER_ISSUER.to_owned()),
        ),
    ];
    check(rows, |token| {
        let authorization = format!("Bearer {token}");
        outcome(ask(&mut gate(&two_issuers()), &head("/other", &[("authorization", &authorization)])))
    });
}

/// The key of seed 9 is the attacker's: no key set has it.
const ATTACKER: u8 = 9;

/// Every header member that could bring or name the attacker's key (RFC 7515 sections 4.1.2, 4.1.3, 4.1.5 to 4.1.8).
fn brought_keys() -> Vec<(&'static str, Value)> {
    vec![
        ("jwk", jwk(ATTACKER, "k1")),
        ("jku", json!("https://attacker.example/jwks")),
        ("x5u", json!("https://attacker.example/cert.pem")),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAA")),
        ("x5t#S256", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
    ]
}

#[test]
fn a_key_that_the_token_brings_along_is_ignored() {
    let mut rows = Vec::new();
    for (member, value) in brought_keys() {
        let header = holding(header(), member, value);
        let signed = |seed: u8, header: &Value| sign_texts(seed, &header.to_string(), &claims().to_string());
        rows.push(accepted(format!("RFC 8725 3.10: `{member}` beside the right key"), signed(1, &header)));
        let name = format!("RFC 8725 3.10: `{member}`, signed by the attacker");
        rows.push(invalid(name, signed(ATTACKER, &header), TokenError::Signature));
        let name = format!("RFC 8725 3.10: `{member}`, signed by the attacker, no `kid`");
        let anonymous = with(header.clone(), "kid", Value::Null);
        rows.push(invalid(name, signed(ATTACKER, &anonymous), TokenError::Signature));
        let name = format!("RFC 8725 3.10: `{member}`, signed by the attacker, own `kid`");
        let named = with(header, "kid", json!("k9"));
        rows.push(invalid(name, signed(ATTACKER, &named), TokenError::UnknownKey(Some("k9".to_owned()))));
    }
    check_tokens(&inline_config(), rows);
}

/// RFC 8725 section 3.10: server-side request forgery through `jku` and `x5u`.
#[test]
fn a_token_does_not_say_where_keys_are_fetched() {
    let expected = "https://idp.example.com/.well-known/oauth-authorization-server";
    for (member, value) in brought_keys() {
        let mut gate = gate(&remote_config());
        let header = holding(header(), member, value);
        let token = sign_texts(ATTACKER, &header.to_string(), &claims().to_string());
        let verdict = present(&mut gate, &token);
        assert!(matches!(verdict, Verdict::Hold), "{member}: {verdict:?}");
        let fetches: Vec<String> =
            core::iter::from_fn(|| gate.poll_fetch(NOW)).map(|fetch| fetch.uri.as_str().to_owned()).collect();
        assert_eq!(fetches, [expected], "{member}");
    }
}

/// A token for somebody else must not make the gate ask an authorization server.
#[test]
fn a_token_of_an_unknown_issuer_is_refused_without_keys() {
    let mut gate = gate(&remote_config());
    let token = claiming("iss", json!(OTHER_ISSUER));
    let error = TokenError::Issuer(OTHER_ISSUER.to_owned());
    assert_eq!(outcome(present(&mut gate, &token)), Err(Refusal::Token(error)));
    assert!(matches!(present(&mut gate, &good_token()), Verdict::Hold));
}
