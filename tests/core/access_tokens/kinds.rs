//! Other JWTs of the same issuer, made with the same keys, do not pass as access tokens: RFC 8725 sections 3.11 and
//! 3.12, RFC 9068 section 4. Nor do tokens that are bound to a key which nobody proved to hold.

use mcp_oauth::{jws::JwsError, token::TokenError};
use serde_json::{Value, json};

use crate::support::{
    ISSUER, RESOURCE, Row, accepted, check_tokens, claims, gate, header, holding, inline_config, invalid, jwk, jwks,
    outcome, present, sign, with,
};

use super::{headed, malformed};

fn typed(typ: &str) -> String {
    headed("typ", json!(typ))
}

fn untyped_header() -> Value {
    with(header(), "typ", Value::Null)
}

fn wrong_type(typ: &str) -> Row<String> {
    invalid(format!("RFC 8725 3.11: `{typ}`"), typed(typ), TokenError::Type(typ.to_owned()))
}

#[test]
fn the_type_is_that_of_an_access_token_or_none() {
    let mut rows = vec![accepted("RFC 7519 5.1: no `typ`", sign(&untyped_header(), &claims()))];
    for typ in ["at+jwt", "application/at+jwt", "AT+JWT", "Application/At+Jwt", "JWT", "jwt", "application/jwt"] {
        rows.push(accepted(format!("RFC 9068 4, RFC 7515 4.1.9: `{typ}`"), typed(typ)));
    }
    for typ in [
        "logout+jwt",
        "dpop+jwt",
        "oauth-id-jag+jwt",
        "secevent+jwt",
        "application/logout+jwt",
        "LOGOUT+JWT",
        "id_token",
        "id_token+jwt",
        "ID",
        "Bearer",
        "JOSE",
        "JWE",
        "client-authentication+jwt",
        "oauth-authz-req+jwt",
        "token-introspection+jwt",
        "entity-statement+jwt",
        "rt+jwt",
        "at+jwt2",
        "cat+jwt",
        "at+jwt ",
        "at_jwt",
        "at+jwt, logout+jwt",
        "at+jwt;v=1",
        "text/at+jwt",
        "application/application/at+jwt",
        "\u{430}t+jwt",
    ] {
        rows.push(wrong_type(typ));
    }
    for value in [Value::Null, json!(1), json!(true), json!(["at+jwt"]), json!({})] {
        let name = format!("RFC 7515 4.1.9: `typ` is {value}");
        rows.push(malformed(name, headed("typ", value), JwsError::NotText("typ")));
    }
    check_tokens(&inline_config(), rows);
}

#[test]
fn the_type_may_be_required() {
    let servers = json!([{ "issuer": ISSUER, "jwks": jwks(&[jwk(1, "k1")]), "require_at_jwt": true }]);
    check_tokens(
        &with(inline_config(), "authorization_servers", servers),
        vec![
            accepted("RFC 9068 4: `at+jwt`", typed("at+jwt")),
            accepted("RFC 9068 4: `application/at+jwt`", typed("application/at+jwt")),
            accepted("RFC 9068 4: `AT+JWT`", typed("AT+JWT")),
            wrong_type("JWT"),
            wrong_type("application/jwt"),
            wrong_type(""),
            invalid("RFC 9068 4: no `typ`", sign(&untyped_header(), &claims()), TokenError::Type(String::new())),
            wrong_type("logout+jwt"),
        ],
    );
}

/// Claims that an untyped access token does not have, and the token that does.
#[test]
fn an_untyped_token_has_the_shape_of_an_access_token() {
    let foreign = [
        ("ID token: OpenID Connect Core 2", "nonce", json!("n")),
        ("ID token: OpenID Connect Core 3.1.3.6", "at_hash", json!("h")),
        ("ID token: OpenID Connect Core 3.3.2.11", "c_hash", json!("h")),
        ("ID token: FAPI 1.0", "s_hash", json!("h")),
        ("logout token: OpenID Connect Back-Channel Logout 2.4; RFC 8417 2.2", "events", json!({})),
        ("DPoP proof: RFC 9449 4.2", "htm", json!("POST")),
        ("DPoP proof: RFC 9449 4.2", "htu", json!(RESOURCE)),
        ("DPoP proof: RFC 9449 4.2", "ath", json!("h")),
        ("present is present, whatever it is", "nonce", Value::Null),
        ("present is present, whatever it is", "events", json!("")),
    ];
    for header in [untyped_header(), with(header(), "typ", json!("JWT"))] {
        let mut rows = vec![accepted("RFC 8725 3.12: the shape of an access token", sign(&header, &claims()))];
        for (kind, claim, value) in foreign.clone() {
            let token = sign(&header, &holding(claims(), claim, value));
            rows.push(invalid(format!("RFC 8725 3.12: {kind}"), token, TokenError::NotAccessToken(claim)));
        }
        check_tokens(&inline_config(), rows);
    }
    // The explicit type says more than the shape (RFC 8725 section 3.11).
    for (kind, claim, value) in foreign {
        let token = sign(&header(), &holding(claims(), claim, value));
        let found = outcome(present(&mut gate(&inline_config()), &token));
        assert_eq!(found, Ok(()), "{kind}, `{claim}`, but `at+jwt`");
    }
}

/// Keycloak says by a claim what kind of token it is, and before version 24 put `nonce` into access tokens.
#[test]
fn keycloak_types_its_tokens_by_a_claim() {
    let typed = |typ: Value| holding(claims(), "typ", typ);
    let mut rows = vec![
        accepted("RFC 8725 3.12: `Bearer`", sign(&untyped_header(), &typed(json!("Bearer")))),
        accepted("RFC 8725 3.12: `DPoP`, of tokens that it binds", sign(&untyped_header(), &typed(json!("DPoP")))),
        accepted(
            "RFC 8725 3.12: `Bearer` with a nonce",
            sign(&untyped_header(), &holding(typed(json!("Bearer")), "nonce", json!("n"))),
        ),
        invalid(
            "RFC 8725 3.12: a nonce, and a `typ` that is no text",
            sign(&untyped_header(), &holding(typed(json!(["Bearer"])), "nonce", json!("n"))),
            TokenError::NotAccessToken("nonce"),
        ),
    ];
    for typ in ["ID", "Refresh", "Offline", "Logout", "Serialized-ID", "bearer", "BEARER", "dpop", "at+jwt", ""] {
        let token = sign(&untyped_header(), &typed(json!(typ)));
        rows.push(invalid(format!("RFC 8725 3.12: `{typ}`"), token, TokenError::NotAccessToken("typ")));
    }
    check_tokens(&inline_config(), rows);
}

/// OpenID Connect Core section 2: the audience of an ID token is the client. Entra's applications are client and
/// resource in one, and then only rights tell the access token from the ID token.
#[test]
fn a_token_for_the_client_itself_needs_rights() {
    let config = with(inline_config(), "resources", json!([{ "resource": RESOURCE, "audiences": ["app", "c1"] }]));
    let bare = with(with(with(claims(), "scope", Value::Null), "client_id", Value::Null), "aud", json!("app"));
    let (azp, client_id) = (with(bare.clone(), "azp", json!("app")), with(bare.clone(), "client_id", json!("app")));
    let token = |claims: Value| sign(&untyped_header(), &claims);
    let id_token = |name: &str, claims: Value| invalid(name, token(claims), TokenError::NotAccessToken("aud"));
    check_tokens(
        &config,
        vec![
            accepted("RFC 8725 3.12: no client, no rights", token(bare.clone())),
            accepted("RFC 8725 3.12: another client, no rights", token(with(bare.clone(), "azp", json!("c1")))),
            id_token("RFC 8725 3.12: `aud` is `azp`", azp.clone()),
            id_token("RFC 8725 3.12: `aud` is `client_id`", client_id.clone()),
            id_token("RFC 8725 3.12: `aud` is [`azp`]", with(azp.clone(), "aud", json!(["app"]))),
            // An access token may name the client among others; the only audience of an ID token is the client.
            accepted(
                "RFC 8725 3.12: `aud` is `azp` and another",
                token(with(azp.clone(), "aud", json!(["app", "https://a.example"]))),
            ),
            accepted("RFC 8725 3.12: with `scope`", token(with(azp.clone(), "scope", json!("mcp:read")))),
            accepted("RFC 8725 3.12: with `scp`", token(with(azp.clone(), "scp", json!("mcp:read")))),
            accepted("RFC 8725 3.12: with `roles`", token(with(azp.clone(), "roles", json!(["reader"])))),
            accepted("RFC 8725 3.12: `client_id` and rights", token(with(client_id, "scope", json!("mcp:read")))),
            accepted("RFC 8725 3.12: typed `Bearer`", token(with(azp.clone(), "typ", json!("Bearer")))),
            accepted("RFC 8725 3.11: typed `at+jwt`", sign(&header(), &azp)),
        ],
    );
}

/// RFC 7800 section 3, RFC 9449 section 7.2, RFC 8705 section 3: nothing here verifies a proof.
#[test]
fn a_token_that_is_bound_to_a_key_is_refused() {
    let thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    let mut rows = vec![accepted("RFC 6750 1.2: bound to nothing", sign(&header(), &claims()))];
    for value in [
        json!({ "jkt": thumbprint }),
        json!({ "x5t#S256": thumbprint }),
        json!({ "jwk": jwk(1, "k1") }),
        json!({}),
        Value::Null,
        json!(thumbprint),
        json!(false),
        json!([]),
    ] {
        let name = format!("RFC 7800 3: `cnf` is {value}");
        rows.push(invalid(name, sign(&header(), &holding(claims(), "cnf", value)), TokenError::SenderConstrained));
    }
    check_tokens(&inline_config(), rows);
}
