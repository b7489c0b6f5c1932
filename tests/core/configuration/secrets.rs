//! Findings are logged, so a secret in the wrong place of a configuration is in none of them.

use serde_json::json;

use crate::support::{findings, inline_config, put};

const SECRET: &str = "S3cr3t-V4lue";

#[test]
fn where_secrets_are_configured_no_wrong_value_is_shown() {
    let server = "/authorization_servers/0";
    let resource = "/resources/0";
    let endpoint = json!({ "endpoint": "https://idp.example.com/x", "cluster": "idp", "client_id": "a" });
    let rows = [
        (resource, "upstream_credential", json!(SECRET)),
        (resource, "upstream_credential", json!({ "header": { "name": SECRET, "value_variable": SECRET } })),
        (
            resource,
            "upstream_credential",
            json!({ "client_credentials": put(endpoint.clone(), "/timeout", json!(SECRET)) }),
        ),
        (
            resource,
            "upstream_credential",
            json!({ "client_credentials": put(endpoint.clone(), "/resource", json!(SECRET)) }),
        ),
        (resource, "static_tokens", json!([{ "name": format!("{SECRET} x") }])),
        (resource, "static_tokens", json!([{ "expires": SECRET }])),
        (resource, "static_tokens", json!([{ "scopes": [format!("{SECRET}\"")] }])),
        (resource, "static_tokens", json!([{ SECRET: "x" }])),
        (resource, "sessions", json!({ "key_variable": SECRET })),
        (resource, "dpop", json!({ "algorithms": [SECRET] })),
        (resource, "dpop", json!({ "nonce": { "key_variable": SECRET } })),
        (server, "introspection", put(endpoint.clone(), "/client_authentication", json!(SECRET))),
        (server, "introspection", put(endpoint, "/client_secret_variable", json!(SECRET))),
        (server, "introspection", json!({ "endpoint": SECRET })),
    ];
    for (at, name, value) in rows {
        let row = format!("{name} = {value}");
        let found = findings(&put(inline_config(), &format!("{at}/{name}"), value));
        assert!(!found.is_empty() && found.iter().all(|finding| !finding.contains(SECRET)), "{row}: {found:?}");
    }
}

#[test]
fn what_is_no_secret_is_still_told() {
    let rows = [
        (
            "/resources/0/upstream_credential",
            json!("insecure"),
            "resources[0].upstream_credential: `(not shown)` is not one of `none`, `insecure_forward_client_token`",
        ),
        (
            "/resources/0/dpop",
            json!({ "require": true }),
            "resources[0].dpop.require: unknown key; known here: required, algorithms, max_age, clock_skew, nonce",
        ),
        ("/resources/0/dpop", json!({ "max_age": "9h" }), "resources[0].dpop.max_age: `9h` is not within 1s and 1h"),
        (
            "/resources/0/sessions",
            json!({ "key_variable": "MCP_KEYS" }),
            "resources[0].sessions.key_variable: the environment variable `MCP_KEYS` is not set",
        ),
    ];
    for (at, value, expected) in rows {
        let found = findings(&put(inline_config(), at, value));
        assert!(found.iter().any(|finding| finding == expected), "{expected}: {found:?}");
    }
}

#[test]
fn urls_are_shown_without_user_information_and_query() {
    let rows = [
        ("https://u:S3cr3t@idp.example.com/a", "`https:...@idp.example.com/a` has user information"),
        ("https://u:S3/cr3t@idp.example.com", "`https:...@idp.example.com` is not an absolute URI with a host"),
        ("https://u:S3cr3t?x@idp.example.com", "`https:...@...` has a query"),
        ("https:u:S3cr3t@idp.example.com", "`https:...@idp.example.com` is not an absolute URI with a host"),
        ("https://idp.example.com?key=S3cr3t", "`https://idp.example.com?...` has a query"),
        ("https://idp.example.com?key=S3cr3t@x", "`https:...@...` has a query"),
    ];
    for (uri, expected) in rows {
        let found = findings(&put(inline_config(), "/authorization_servers/0/issuer", json!(uri)));
        assert_eq!(found, [format!("authorization_servers[0].issuer: {expected}")], "{uri}");
    }
    let server = json!({ "issuer": "https://idp.example.com", "cluster": "idp", "jwks_uri": "https://IDP.example.com/keys?key=S3cr3t" });
    let found = findings(&put(inline_config(), "/authorization_servers/0", server));
    let expected = "authorization_servers[0].jwks_uri: `https://IDP.example.com/keys?...` is not in normal form: write \
                    `https://idp.example.com/keys?...`";
    assert_eq!(found, [expected]);
}
