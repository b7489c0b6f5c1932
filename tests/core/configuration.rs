//! A configuration is loaded as it is meant or refused with every finding; nothing is repaired, guessed or ignored.

mod files;
mod other_settings;
mod refusing;
mod resource_uris;
mod rules;
mod secrets;
mod static_tokens;

use serde_json::{Value, json};

use crate::support::{ISSUER, RESOURCE, findings, inline_config, jwk, jwks, put, remote_config, without};

/// What is done to a good configuration: one place of it gets each of these values in turn.
struct Setting {
    /// JSON pointer.
    at: &'static str,
    /// Accepted.
    good: Vec<Value>,
    /// Refused, with this one finding.
    bad: Vec<(Value, &'static str)>,
    /// The finding if it is left out; empty if it may be.
    missing: &'static str,
}

fn check(base: &Value, settings: Vec<Setting>) {
    for Setting { at, good, bad, missing } in settings {
        for value in good {
            let row = format!("{at} = {value}");
            assert_eq!(findings(&put(base.clone(), at, value)), Vec::<String>::new(), "{row}");
        }
        for (value, finding) in bad {
            let row = format!("{at} = {value}");
            assert_eq!(findings(&put(base.clone(), at, value)), [finding], "{row}");
        }
        // Present first, because a pointer to nothing cannot be removed.
        let left_out = without(put(base.clone(), at, Value::Null), at);
        let expected: Vec<&str> = Some(missing).filter(|finding| !finding.is_empty()).into_iter().collect();
        assert_eq!(findings(&left_out), expected, "{at} left out");
    }
}

#[test]
fn an_authorization_server_has_an_issuer_and_a_cluster() {
    check(
        &remote_config(),
        vec![
            Setting {
                at: "/authorization_servers",
                good: vec![],
                bad: vec![
                    (json!([]), "authorization_servers: is empty"),
                    (json!({}), "authorization_servers: is an object where a list is expected"),
                    (json!(null), "authorization_servers: is null where a list is expected"),
                    (json!([ISSUER]), "authorization_servers[0]: is a text where an object is expected"),
                ],
                missing: "authorization_servers: is missing",
            },
            Setting {
                at: "/authorization_servers/0/issuer",
                good: vec![
                    json!("https://idp.example.com"),
                    json!("https://tenant.auth0.com/"),
                    json!("https://idp.example.com:8443/realms/mcp"),
                    // PingOne Advanced Identity Cloud.
                    json!("https://tenant.forgeblocks.com:443/am/oauth2/alpha"),
                    json!("http://127.0.0.1:4000"),
                    json!("http://[::1]:4000/realms/mcp"),
                    json!("http://localhost:4000"),
                ],
                bad: vec![
                    (json!(5), "authorization_servers[0].issuer: is a number where a text is expected"),
                    (json!(""), "authorization_servers[0].issuer: is empty"),
                    (
                        json!("idp.example.com"),
                        "authorization_servers[0].issuer: `idp.example.com` is not an absolute URI with a host",
                    ),
                    (
                        json!("http://idp.example.com"),
                        "authorization_servers[0].issuer: `http://idp.example.com` is http, which is allowed on \
                         loopback hosts only",
                    ),
                    (
                        json!("https://idp.example.com/?tenant=a"),
                        "authorization_servers[0].issuer: `https://idp.example.com/?...` has a query",
                    ),
                    (
                        json!("https://idp.example.com/#a"),
                        "authorization_servers[0].issuer: `https://idp.example.com/#a` has a fragment, which RFC 8707 \
                         section 2 forbids",
                    ),
                ],
                missing: "authorization_servers[0].issuer: is missing",
            },
            Setting {
                at: "/authorization_servers/0/cluster",
                good: vec![json!("idp"), json!("outbound|443||idp.example.com")],
                bad: vec![
                    (json!(""), "authorization_servers[0].cluster: is empty"),
                    (json!(null), "authorization_servers[0].cluster: is null where a text is expected"),
                    (json!(["idp"]), "authorization_servers[0].cluster: is a list where a text is expected"),
                ],
                missing: "authorization_servers[0].cluster: is missing",
            },
        ],
    );
}

#[test]
fn an_authorization_server_says_where_its_keys_are() {
    let keys = jwks(&[jwk(1, "k1")]);
    check(
        &remote_config(),
        vec![
            Setting {
                at: "/authorization_servers/0/jwks_uri",
                good: vec![json!("https://keys.example.com/jwks?v=2"), json!("http://127.0.0.1:4000/jwks")],
                bad: vec![
                    (json!(true), "authorization_servers[0].jwks_uri: is true or false where a text is expected"),
                    (
                        json!("http://keys.example.com/jwks"),
                        "authorization_servers[0].jwks_uri: `http://keys.example.com/jwks` is http, which is allowed \
                         on loopback hosts only",
                    ),
                    (
                        json!("file:///etc/passwd"),
                        "authorization_servers[0].jwks_uri: `file:///etc/passwd` has a scheme other than https",
                    ),
                    (
                        json!("https://me@keys.example.com/jwks"),
                        "authorization_servers[0].jwks_uri: `https:...@keys.example.com/jwks` has user information",
                    ),
                ],
                missing: "",
            },
            Setting {
                at: "/authorization_servers/0/jwks_cluster",
                good: vec![json!("idp-keys")],
                bad: vec![
                    (json!(""), "authorization_servers[0].jwks_cluster: is empty"),
                    (json!({}), "authorization_servers[0].jwks_cluster: is an object where a text is expected"),
                ],
                missing: "",
            },
            Setting {
                at: "/authorization_servers/0/jwks",
                good: vec![keys.clone(), put(keys, "/extra", json!("not ours to know"))],
                bad: vec![
                    (json!("{}"), "authorization_servers[0].jwks: is a text where an object is expected"),
                    (json!({}), "authorization_servers[0].jwks: the JWK Set has no `keys` array"),
                    (
                        json!({ "keys": [{ "kty": "oct", "k": "c2VjcmV0" }] }),
                        "authorization_servers[0].jwks: none of the `1` keys of the JWK Set is usable",
                    ),
                ],
                missing: "",
            },
        ],
    );
    let no_cluster = "authorization_servers[0].cluster: is missing";
    check(
        &inline_config(),
        vec![Setting { at: "/authorization_servers/0/jwks", good: vec![], bad: vec![], missing: no_cluster }],
    );
}

#[test]
fn inline_keys_exclude_all_that_is_about_fetching() {
    let rows = [
        ("jwks_uri", json!("https://idp.example.com/keys")),
        ("jwks_cluster", json!("idp-keys")),
        ("fetch_timeout", json!("5s")),
        ("keys_max_age", json!("10m")),
        ("keys_max_stale", json!("1h")),
        ("refetch_cooldown", json!("30s")),
    ];
    for (name, value) in rows {
        let at = format!("/authorization_servers/0/{name}");
        let remote = put(remote_config(), &at, value.clone());
        assert_eq!(findings(&remote), Vec::<String>::new(), "{name} without jwks");
        let expected =
            format!("authorization_servers[0].{name}: has no meaning beside `jwks`: inline keys are never fetched");
        assert_eq!(findings(&put(inline_config(), &at, value)), [expected], "{name} beside jwks");
    }
    let named = put(inline_config(), "/authorization_servers/0/cluster", json!("idp"));
    assert_eq!(findings(&named), Vec::<String>::new(), "a cluster beside jwks");
}

/// "Nothing is repaired or ignored" holds for a member that is not needed, too.
#[test]
fn a_cluster_beside_inline_keys_is_still_a_text() {
    let config = put(inline_config(), "/authorization_servers/0/cluster", json!(5));
    assert_eq!(findings(&config), ["authorization_servers[0].cluster: is a number where a text is expected"]);
}

#[test]
fn an_authorization_server_says_what_its_tokens_may_be() {
    let all = json!(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "Ed25519"]);
    check(
        &inline_config(),
        vec![
            Setting {
                at: "/authorization_servers/0/algorithms",
                good: vec![json!(["ES256"]), all],
                bad: vec![
                    (json!([]), "authorization_servers[0].algorithms: is empty: no token could be accepted"),
                    (json!("ES256"), "authorization_servers[0].algorithms: is a text where a list is expected"),
                    (
                        json!(["ES256", 5]),
                        "authorization_servers[0].algorithms[1]: is a number where a text is expected",
                    ),
                    (json!([""]), "authorization_servers[0].algorithms[0]: is empty"),
                    (json!(["none"]), "authorization_servers[0].algorithms[0]: `none` is no supported algorithm"),
                    (json!(["HS256"]), "authorization_servers[0].algorithms[0]: `HS256` is no supported algorithm"),
                    (json!(["es256"]), "authorization_servers[0].algorithms[0]: `es256` is no supported algorithm"),
                    (json!(["ES512"]), "authorization_servers[0].algorithms[0]: `ES512` is no supported algorithm"),
                ],
                missing: "",
            },
            Setting {
                at: "/authorization_servers/0/require_at_jwt",
                good: vec![json!(true), json!(false)],
                bad: vec![
                    (
                        json!("true"),
                        "authorization_servers[0].require_at_jwt: is a text where true or false is expected",
                    ),
                    (json!(1), "authorization_servers[0].require_at_jwt: is a number where true or false is expected"),
                    (json!(null), "authorization_servers[0].require_at_jwt: is null where true or false is expected"),
                ],
                missing: "",
            },
        ],
    );
}

#[test]
fn a_resource_has_issuers_and_audiences() {
    check(
        &inline_config(),
        vec![
            Setting {
                at: "/resources",
                good: vec![],
                bad: vec![
                    (json!([]), "resources: is empty"),
                    (json!(RESOURCE), "resources: is a text where a list is expected"),
                    (json!([RESOURCE]), "resources[0]: is a text where an object is expected"),
                ],
                missing: "resources: is missing",
            },
            Setting {
                at: "/resources/0/resource",
                good: vec![json!(RESOURCE)],
                bad: vec![
                    (json!(null), "resources[0].resource: is null where a text is expected"),
                    (json!(""), "resources[0].resource: is empty"),
                ],
                missing: "resources[0].resource: is missing",
            },
            Setting {
                at: "/resources/0/authorization_servers",
                good: vec![json!([ISSUER])],
                bad: vec![
                    (json!([]), "resources[0].authorization_servers: is empty: no token could be accepted"),
                    (json!(ISSUER), "resources[0].authorization_servers: is a text where a list is expected"),
                    (
                        json!(["https://idp.example.com/"]),
                        "resources[0].authorization_servers[0]: `https://idp.example.com/` is no configured issuer",
                    ),
                    (
                        json!([ISSUER, ISSUER]),
                        "resources[0].authorization_servers[1]: `https://idp.example.com` is listed twice",
                    ),
                    (json!([0]), "resources[0].authorization_servers[0]: is a number where a text is expected"),
                ],
                missing: "",
            },
            Setting {
                at: "/resources/0/audiences",
                good: vec![json!([RESOURCE]), json!(["api://3f5c", "3f5c"])],
                bad: vec![
                    (json!([]), "resources[0].audiences: is empty: no token could be accepted"),
                    (json!(null), "resources[0].audiences: is null where a list is expected"),
                    (json!(RESOURCE), "resources[0].audiences: is a text where a list is expected"),
                    (json!([""]), "resources[0].audiences[0]: is empty"),
                    (json!([RESOURCE, 5]), "resources[0].audiences[1]: is a number where a text is expected"),
                ],
                missing: "",
            },
            Setting {
                at: "/resources/0/host_default",
                good: vec![json!(true), json!(false)],
                bad: vec![(json!("no"), "resources[0].host_default: is a text where true or false is expected")],
                missing: "",
            },
        ],
    );
}

#[test]
fn scopes_are_scope_tokens() {
    let list = |name: &'static str, good: Vec<Value>, bad: Vec<(Value, &'static str)>| {
        check(&inline_config(), vec![Setting { at: name, good, bad, missing: "" }]);
    };
    list(
        "/resources/0/scopes",
        vec![json!({}), json!({ "challenged": [], "advertised": [] }), json!({ "required": ["a"], "advertised": [] })],
        vec![
            (json!("mcp:read"), "resources[0].scopes: is a text where an object is expected"),
            (json!(["mcp:read"]), "resources[0].scopes: is a list where an object is expected"),
            (
                json!({ "required": ["a"], "challenged": [] }),
                "resources[0].scopes.challenged: is empty, so no client would learn what `required` asks for",
            ),
        ],
    );
    list(
        "/resources/0/scopes/required",
        // RFC 6749 section 3.3: %x21 / %x23-5B / %x5D-7E.
        vec![json!([]), json!(["mcp:read"]), json!(["!#[]~", "https://example.com/a?b=c&d"]), json!(["a", "a"])],
        vec![
            (json!("mcp:read"), "resources[0].scopes.required: is a text where a list is expected"),
            (json!(null), "resources[0].scopes.required: is null where a list is expected"),
            (json!([""]), "resources[0].scopes.required[0]: is empty"),
            (json!(["a b"]), "resources[0].scopes.required[0]: `a b` is no scope (RFC 6749 section 3.3)"),
            (json!(["a\"b"]), "resources[0].scopes.required[0]: `a\"b` is no scope (RFC 6749 section 3.3)"),
            (json!(["a\\b"]), "resources[0].scopes.required[0]: `a\\b` is no scope (RFC 6749 section 3.3)"),
            (json!(["a\tb"]), "resources[0].scopes.required[0]: `a?b` is no scope (RFC 6749 section 3.3)"),
            (json!(["ü"]), "resources[0].scopes.required[0]: `?` is no scope (RFC 6749 section 3.3)"),
            // MCP 2026-07-28, Refresh Tokens.
            (
                json!(["a", "offline_access"]),
                "resources[0].scopes.required[1]: `offline_access` is between a client and its authorization server",
            ),
        ],
    );
    list(
        "/resources/0/scopes/challenged",
        vec![json!(["mcp:read", "mcp:write"]), json!(["api://app/mcp.read"])],
        vec![
            (json!(["a", " "]), "resources[0].scopes.challenged[1]: ` ` is no scope (RFC 6749 section 3.3)"),
            (
                json!(["mcp:read", "offline_access"]),
                "resources[0].scopes.challenged[1]: `offline_access` is between a client and its authorization server",
            ),
        ],
    );
    list(
        "/resources/0/scopes/advertised",
        vec![json!([]), json!(["mcp:read", "mcp:write"]), json!(["Offline_Access"])],
        vec![
            (json!([5]), "resources[0].scopes.advertised[0]: is a number where a text is expected"),
            (
                json!(["offline_access"]),
                "resources[0].scopes.advertised[0]: `offline_access` is between a client and its authorization server",
            ),
        ],
    );
}

/// A list that could not be read is not an empty one.
#[test]
fn one_mistake_in_the_challenged_scopes_is_one_finding() {
    let rows = [
        (json!(["a b"]), "resources[0].scopes.challenged[0]: `a b` is no scope (RFC 6749 section 3.3)"),
        (json!("mcp:read"), "resources[0].scopes.challenged: is a text where a list is expected"),
    ];
    for (value, finding) in rows {
        let row = format!("challenged = {value}");
        assert_eq!(findings(&put(inline_config(), "/resources/0/scopes/challenged", value)), [finding], "{row}");
    }
}

/// A resource below the paths that the gate answers itself would never be reached.
#[test]
fn a_resource_does_not_lie_where_metadata_is_served() {
    let at = |path: &str| {
        findings(&put(inline_config(), "/resources/0/resource", json!(format!("https://mcp.example.com{path}"))))
    };
    let why = ["resources[0].resource: lies where OAuth metadata is served, so no request would reach it"];
    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/openid-configuration/mcp",
    ] {
        assert_eq!(at(path), why, "{path}");
    }
    assert_eq!(at("/.well-known/mcp"), Vec::<String>::new());
}

/// Sizes and counts of the token cache, and the one other new word.
#[test]
fn the_token_cache_and_the_host_have_settings() {
    let cache = |value: Value| findings(&put(inline_config(), "/token_cache", value));
    let good = json!({ "max_entries": 0, "max_bytes": "256MiB", "ttl": "1h" });
    assert_eq!(cache(good), Vec::<String>::new());
    assert_eq!(
        cache(json!({ "max_entries": "9" })),
        ["token_cache.max_entries: is a text where a whole number is expected"]
    );
    assert_eq!(
        cache(json!({ "max_entries": 1_000_001 })),
        ["token_cache.max_entries: `1000001` is not within 0 and 1000000"]
    );
    assert_eq!(
        cache(json!({ "max_bytes": "9MB" })),
        ["token_cache.max_bytes: `9MB` is no size: write a whole number and B, KiB or MiB"]
    );
    assert_eq!(
        cache(json!({ "max_bytes": "257MiB" })),
        ["token_cache.max_bytes: `257MiB` is not within 0 and 268435456 bytes"]
    );
    assert_eq!(cache(json!({ "ttl": "0s" })), ["token_cache.ttl: `0s` is not within 1s and 1h"]);
    assert_eq!(cache(json!({ "size": 1 })), ["token_cache.size: unknown key; known here: max_entries, max_bytes, ttl"]);
    let host = |value: &str| findings(&put(inline_config(), "/verify_signature", json!(value)));
    assert_eq!(host("never"), Vec::<String>::new());
    assert_eq!(host("always"), ["verify_signature: `always` is not one of `auto`, `never`"]);
}
