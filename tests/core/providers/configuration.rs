//! A preset that cannot fit its server is a finding with the cure, and settings that are written hold.

use serde_json::{Value, json};

use super::{AUTH0, AUTHENTIK, ENTRA, GOOGLE, KEYCLOAK, OKTA, config_of, gate, generic, present, recorded, vectors};
use crate::{
    access_rules::{call, post},
    support::{ask, findings, head, holding, jwk, jwks, reply, reply_header, with, without},
};

const TENANT: &str = "aaaabbbb-0000-cccc-1111-dddd2222eeee";
const APP: &str = "00001111-aaaa-2222-bbbb-3333cccc4444";

fn server(file: &str) -> Value {
    vectors(file)["server"].clone()
}

fn config(file: &str) -> Value {
    config_of(&server(file), &vectors(file)["resource"])
}

/// The findings about a server with this issuer.
fn with_issuer(file: &str, issuer: &str) -> Vec<String> {
    findings(&config_of(&holding(server(file), "issuer", json!(issuer)), &vectors(file)["resource"]))
}

#[test]
fn a_provider_is_one_of_seven() {
    let config = |provider| config_of(&holding(server(KEYCLOAK), "provider", provider), &vectors(KEYCLOAK)["resource"]);
    assert_eq!(findings(&config(json!("generic"))), Vec::<String>::new());
    let expected = "authorization_servers[0].provider: `Keycloak` is not one of `generic`, `keycloak`, `auth0`, `entra`, \
                    `okta`, `google`, `authentik`";
    assert_eq!(findings(&config(json!("Keycloak"))), [expected]);
    let expected = "authorization_servers[0].provider: is null where a text is expected";
    assert_eq!(findings(&config(Value::Null)), [expected]);
}

#[test]
fn issuers_are_spelled_as_their_provider_spells_them() {
    let entra = |path: &str| format!("https://login.microsoftonline.com/{path}");
    let (v1, v2) = (format!("https://sts.windows.net/{TENANT}/"), entra(&format!("{TENANT}/v2.0")));
    let good = [
        (KEYCLOAK, "https://sso.example.com/realms/mcp"),
        (KEYCLOAK, "https://sso.example.com/auth/realms/mcp"),
        (AUTH0, "https://id.example.com/"),
        (ENTRA, &v1),
        (ENTRA, &v2),
        (ENTRA, &v2.replace(".com", ".us")),
        (OKTA, "https://id.example.com/oauth2/aus1"),
        (GOOGLE, "https://accounts.google.com"),
        (AUTHENTIK, "https://example.com/auth/application/o/mcp/"),
    ];
    for (file, issuer) in good {
        assert_eq!(with_issuer(file, issuer), Vec::<String>::new(), "{issuer}");
    }
    let bad = [
        (
            KEYCLOAK,
            "https://sso.example.com/realms/mcp/".to_owned(),
            "is no issuer of Keycloak: they end with `/realms/`",
        ),
        (KEYCLOAK, "https://sso.example.com/mcp".to_owned(), "is no issuer of Keycloak"),
        (KEYCLOAK, "https://sso.example.com/realms".to_owned(), "is no issuer of Keycloak"),
        (AUTH0, "https://t.auth0.com".to_owned(), "is no issuer of Auth0: they end with `/` right behind the host"),
        (AUTH0, "https://t.auth0.com/api/".to_owned(), "is no issuer of Auth0"),
        (
            ENTRA,
            entra("common/v2.0"),
            "is no issuer of Entra: write `https://login.microsoftonline.com/<tenant id>/v2.0`",
        ),
        (ENTRA, entra("organizations/v2.0"), "is no issuer of Entra"),
        (ENTRA, entra("contoso.onmicrosoft.com/v2.0"), "is no issuer of Entra"),
        (ENTRA, entra(TENANT), "is no issuer of Entra"),
        (ENTRA, format!("{v2}/"), "is no issuer of Entra"),
        (
            ENTRA,
            v2.to_uppercase().replace("HTTPS://LOGIN.MICROSOFTONLINE.COM", "https://login.microsoftonline.com"),
            "is no",
        ),
        (ENTRA, entra(&format!("{}g/v2.0", &TENANT[..35])), "is no issuer of Entra"),
        (ENTRA, entra(&format!("{}/v2.0", TENANT.replace('-', "0"))), "is no issuer of Entra"),
        (ENTRA, entra("aaaabbbb/v2.0"), "is no issuer of Entra"),
        (ENTRA, entra(&format!("{TENANT}0/v2.0")), "is no issuer of Entra"),
        (ENTRA, format!("https://sts.windows.net/{TENANT}"), "is no issuer of Entra"),
        (ENTRA, format!("https://sts.windows.net/{TENANT}/v2.0"), "is no issuer of Entra"),
        (OKTA, "https://dev-1.okta.com".to_owned(), "is no issuer of an Okta custom authorization server"),
        (OKTA, "https://dev-1.okta.com/oauth2".to_owned(), "is no issuer of an Okta custom authorization server"),
        (
            OKTA,
            "https://dev-1.okta.com/oauth2/default/".to_owned(),
            "is no issuer of an Okta custom authorization server",
        ),
        (GOOGLE, "https://accounts.google.com/".to_owned(), "is not `https://accounts.google.com`"),
        (
            AUTHENTIK,
            "https://auth.example.com/application/o/mcp".to_owned(),
            "is no issuer of authentik: they end with",
        ),
        (AUTHENTIK, "https://auth.example.com/".to_owned(), "is no issuer of authentik"),
        (AUTHENTIK, "https://auth.example.com/application/o//".to_owned(), "is no issuer of authentik"),
    ];
    for (file, issuer, reason) in bad {
        let found = with_issuer(file, &issuer);
        let start = format!("authorization_servers[0].issuer: `{issuer}` {reason}");
        assert!(found.len() == 1 && found[0].starts_with(&start), "{issuer}: {found:?}");
    }
}

/// What never stands in `aud` is no default for it.
#[test]
fn audiences_are_written_where_tokens_are_for_an_application() {
    for (file, reason) in [
        (ENTRA, "Entra's tokens are for the client id of the API (v2.0) or its `api://` URI (v1.0)"),
        (GOOGLE, "Google's tokens are for the client id"),
        (AUTHENTIK, "authentik's tokens are for the client id"),
    ] {
        let found = findings(&without(config(file), "/resources/0/audiences"));
        assert_eq!(found, [format!("resources[0].audiences: is missing: {reason}")]);
    }
    for file in [KEYCLOAK, AUTH0] {
        assert_eq!(findings(&config(file)), Vec::<String>::new());
    }
    assert_eq!(findings(&without(config(OKTA), "/resources/0/audiences")), Vec::<String>::new());
}

#[test]
fn one_tenant_is_not_listed_twice_under_two_names() {
    let v1 = json!({ "issuer": format!("https://sts.windows.net/{TENANT}/"), "jwks": jwks(&[jwk(1, "k1")]) });
    let other =
        json!({ "issuer": "https://sts.windows.net/bbbbcccc-1111-dddd-2222-eeee3333ffff/", "cluster": "entra" });
    let resource = vectors(ENTRA)["resource"].clone();
    for (servers, listed) in [
        (json!([server(ENTRA), v1]), v1["issuer"].as_str()),
        (json!([v1, server(ENTRA)]), server(ENTRA)["issuer"].as_str()),
        (json!([server(ENTRA), other]), None),
    ] {
        let found = findings(&json!({ "authorization_servers": servers, "resources": [resource] }));
        let expected = listed.map(|issuer| format!("authorization_servers[1]: issuer `{issuer}` is listed twice"));
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    }
}

/// Only of the cloud whose two names are known.
#[test]
fn v1_tokens_are_accepted_where_the_other_name_is_derived() {
    let file = vectors(ENTRA);
    let v1 = &recorded(&file)[3];
    let server = |issuer: String| json!({ "issuer": issuer, "provider": "entra", "jwks": jwks(&[jwk(1, "k1")]) });
    let v1_issuer = format!("https://sts.windows.net/{TENANT}/");
    for (issuer, accepted) in [
        (format!("https://login.microsoftonline.com/{TENANT}/v2.0"), true),
        (v1_issuer.clone(), true),
        (format!("https://login.microsoftonline.us/{TENANT}/v2.0"), false),
        (format!("https://login.example.com/{TENANT}/v2.0"), false),
        ("https://login.microsoftonline.com/bbbbcccc-1111-dddd-2222-eeee3333ffff/v2.0".to_owned(), false),
    ] {
        let (found, _) = present(&mut gate(&config_of(&server(issuer.clone()), &v1.resource)), &v1.token);
        let refused = format!("token: issuer `{v1_issuer}` is no authorization server of this resource");
        assert_eq!(found, if accepted { "accepted".to_owned() } else { refused }, "{issuer}");
    }
}

#[test]
fn settings_override_the_preset() {
    let file = vectors(ENTRA);
    let app_only = &recorded(&file)[7];
    let server = with(holding(generic(&file["server"]), "provider", json!("entra")), "scope_claims", json!(["wids"]));
    let (found, _) = present(&mut gate(&config_of(&server, &app_only.resource)), &app_only.token);
    let asked = format!("api://{APP}/API.READER");
    assert_eq!(found, format!("token: scopes `` are not enough, asked for `{asked}`"));
    let usual = with(server, "scope_claims", Value::Null);
    assert_eq!(present(&mut gate(&config_of(&usual, &app_only.resource)), &app_only.token).0, "accepted");
}

/// What a challenge and the metadata ask for.
fn asked_for(audiences: &Value, scopes: &Value, provider: &str) -> (String, Value) {
    let file = vectors(ENTRA);
    let resource = holding(holding(file["resource"].clone(), "audiences", audiences.clone()), "scopes", scopes.clone());
    let server = holding(file["server"].clone(), "provider", json!(provider));
    let mut gate = gate(&config_of(&server, &resource));
    let challenge = reply(ask(&mut gate, &head("/mcp", &[])));
    let challenge = reply_header(&challenge, "www-authenticate").expect("a challenge").to_owned();
    let scope =
        challenge.split_once("scope=\"").and_then(|(_, rest)| rest.split_once('"')).map(|(scope, _)| scope.to_owned());
    let lines =
        [(":method", "GET"), (":authority", "mcp.example.com"), (":path", "/.well-known/oauth-protected-resource/mcp")];
    let document = reply(ask(&mut gate, &lines));
    let document: Value = serde_json::from_slice(document.body()).expect("JSON");
    (scope.unwrap_or_default(), document["scopes_supported"].clone())
}

/// anthropics/claude-ai-mcp#977.
#[test]
fn entra_is_asked_for_scopes_by_their_whole_names() {
    let uri = format!("api://{APP}");
    let required = json!({ "required": ["mcp.read", "openid", "https://graph.microsoft.com/User.Read"] });
    let whole = format!("{uri}/mcp.read https://graph.microsoft.com/User.Read openid");
    let short = "https://graph.microsoft.com/User.Read mcp.read openid".to_owned();
    let rows = [
        ("entra", json!([APP, uri]), required.clone(), whole.clone()),
        ("entra", json!([uri]), required.clone(), whole),
        // Nothing tells the URI.
        ("entra", json!([APP]), required.clone(), short.clone()),
        ("entra", json!([uri, "api://other"]), required.clone(), short.clone()),
        ("generic", json!([APP, uri]), required, short),
        (
            "entra",
            json!([uri]),
            json!({ "required": ["a", "b"], "request_as": { "a": "x/a" } }),
            format!("{uri}/b x/a"),
        ),
        (
            "entra",
            json!([uri]),
            json!({ "required": ["a"], "challenged": ["y/a"], "advertised": ["y/a"] }),
            "y/a".to_owned(),
        ),
    ];
    for (provider, audiences, scopes, expected) in rows {
        let (challenged, advertised) = asked_for(&audiences, &scopes, provider);
        let row = format!("{provider} {audiences} {scopes}");
        assert_eq!(challenged, expected, "{row}");
        assert_eq!(advertised, json!(expected.split(' ').collect::<Vec<_>>()), "{row}");
    }
}

/// A resource that has `scopes` of its rules only.
#[test]
fn entra_is_asked_for_scopes_of_rules_by_their_whole_names() {
    let file = vectors(ENTRA);
    let rules = json!([{ "tools": ["a"], "scopes": ["tools.run"] }]);
    let resource = with(with(file["resource"].clone(), "scopes", Value::Null), "rules", rules);
    let server = holding(generic(&file["server"]), "provider", json!("entra"));
    let config = holding(config_of(&server, &resource), "hold_requests", json!("headers"));
    let mut gate = gate(&config);
    let refused = reply(post(&mut gate, &recorded(&file)[0].token, &[], &call("a")));
    let challenge = reply_header(&refused, "www-authenticate").expect("a challenge");
    assert!(challenge.contains(&format!("scope=\"api://{APP}/tools.run\"")), "{challenge}");
}

/// A client of the other server would not know the name.
#[test]
fn whole_names_are_asked_for_where_all_servers_know_them() {
    let file = vectors(ENTRA);
    let other = json!({ "issuer": "https://idp.example.com", "cluster": "idp" });
    for (servers, expected) in [
        (json!([file["server"], other]), "access_as_user".to_owned()),
        (json!([other, file["server"]]), "access_as_user".to_owned()),
        (json!([file["server"]]), format!("api://{APP}/access_as_user")),
    ] {
        let config = json!({ "authorization_servers": servers, "resources": [file["resource"]] });
        let challenge = reply(ask(&mut gate(&config), &head("/mcp", &[])));
        let challenge = reply_header(&challenge, "www-authenticate").expect("a challenge").to_owned();
        assert!(challenge.contains(&format!("scope=\"{expected}\"")), "{challenge}");
    }
}
