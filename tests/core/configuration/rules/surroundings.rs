//! What stands around the rules: how scopes relate, where they come from, session keys, origins.

use mcp_oauth::config;
use serde_json::{Value, json};

use super::{NONE, Setting, base, check};
use crate::support::{findings, inline_config, put, shown_uri};

#[test]
fn scopes_may_imply_others_and_have_other_names() {
    let no_scope = "is no scope (RFC 6749 section 3.3)";
    let known = "required, challenged, advertised, implies, request_as, challenge";
    let at = "resources[0].scopes";
    let rows = [
        (json!({ "implies": {}, "request_as": {} }), None),
        (json!({ "implies": { "a": ["b"], "b": ["a"], "c": [] } }), None),
        (json!({ "request_as": { "a": "api://x/a" } }), None),
        (json!({ "challenge": "needed" }), None),
        (json!({ "challenge": "granted_and_needed" }), None),
        (json!({ "implied": {} }), Some(format!("{at}.implied: unknown key; known here: {known}"))),
        (json!({ "implies": [] }), Some(format!("{at}.implies: is a list where an object is expected"))),
        (json!({ "implies": { "a": "b" } }), Some(format!("{at}.implies.a: is a text where a list is expected"))),
        (json!({ "implies": { "a": ["b", ""] } }), Some(format!("{at}.implies.a[1]: is empty"))),
        (json!({ "implies": { "a": ["b c"] } }), Some(format!("{at}.implies.a[0]: `b c` {no_scope}"))),
        (json!({ "implies": { "a b": ["c"] } }), Some(format!("{at}.implies.a b: `a b` {no_scope}"))),
        (json!({ "request_as": ["a"] }), Some(format!("{at}.request_as: is a list where an object is expected"))),
        (json!({ "request_as": { "a": 5 } }), Some(format!("{at}.request_as.a: is a number where a text is expected"))),
        (json!({ "request_as": { "a": "" } }), Some(format!("{at}.request_as.a: is empty"))),
        (json!({ "request_as": { "a": "b c" } }), Some(format!("{at}.request_as.a: `b c` {no_scope}"))),
        (json!({ "request_as": { "\"": "b" } }), Some(format!("{at}.request_as.\": `\"` {no_scope}"))),
        (
            json!({ "request_as": { "a": "offline_access" } }),
            Some(format!("{at}.request_as.a: `offline_access` is between a client and its authorization server")),
        ),
        (
            json!({ "challenge": "all" }),
            Some(format!("{at}.challenge: `all` is not one of `needed`, `granted_and_needed`")),
        ),
        (json!({ "challenge": null }), Some(format!("{at}.challenge: is null where a text is expected"))),
    ];
    for (scopes, expected) in rows {
        let found = findings(&put(base(), "/resources/0/scopes", scopes.clone()));
        assert_eq!(found, Vec::from_iter(expected), "{scopes}");
    }
}

#[test]
fn an_authorization_server_says_where_scopes_stand() {
    check(
        &inline_config(),
        vec![Setting {
            at: "/authorization_servers/0/scope_claims",
            good: vec![json!(["scope"]), json!(["realm_access.roles", "https://a/b"])],
            bad: vec![
                (json!([]), "authorization_servers[0].scope_claims: is empty: no token could carry a scope"),
                (json!("scope"), "authorization_servers[0].scope_claims: is a text where a list is expected"),
                (json!(["scope", 5]), "authorization_servers[0].scope_claims[1]: is a number where a text is expected"),
                (json!([""]), "authorization_servers[0].scope_claims[0]: is empty"),
            ],
            missing: "",
        }],
    );
}

/// A session that nobody opened belongs to nobody, and whoever comes with a token gets 404 for it.
#[test]
fn sessions_are_opened_with_a_token() {
    let config = |methods: Value, sessions: bool| {
        let config = put(base(), "/resources/0/anonymous_methods", methods);
        if sessions { put(config, "/resources/0/sessions", json!({ "key_variable": "KEYS" })) } else { config }
    };
    let found = |config: &Value| -> Vec<String> {
        let parsed = config::parse_in(config.to_string().as_bytes(), &|_| Some("A".repeat(43)));
        parsed.err().unwrap_or_default().iter().map(ToString::to_string).collect()
    };
    let both = "resources[0].anonymous_methods: cannot have `initialize` beside `sessions`: a session that nobody opened \
                belongs to nobody";
    for (methods, with_sessions) in [
        (json!(["tools/list", "notifications/initialized"]), None),
        (json!(["initialized", "Initialize"]), None),
        (json!(["initialize"]), Some(both)),
        (json!(["ping", "init*"]), Some(both)),
    ] {
        assert_eq!(found(&config(methods.clone(), false)), NONE, "{methods}");
        assert_eq!(found(&config(methods.clone(), true)), Vec::from_iter(with_sessions), "{methods}");
    }
}

#[test]
fn session_keys_come_from_an_environment_variable() {
    let key = "A".repeat(43);
    let list = |n: usize| vec![key.clone(); n].join(",");
    let at = "resources[0].sessions.key_variable";
    let rows: Vec<(&str, Option<String>, Option<String>)> = vec![
        ("32 bytes", Some(key.clone()), None),
        ("more bytes", Some("A".repeat(86)), None),
        ("four keys with spaces", Some(format!(" {key} ,{key},\t{key}, {key}\n")), None),
        ("not set", None, Some(format!("{at}: the environment variable `KEYS` is not set"))),
        (
            "empty",
            Some(String::new()),
            Some(format!("{at}: the environment variable `KEYS` holds no key, or more than 4 of them")),
        ),
        (
            "spaces",
            Some("  ".into()),
            Some(format!("{at}: the environment variable `KEYS` holds no key, or more than 4 of them")),
        ),
        (
            "five keys",
            Some(list(5)),
            Some(format!("{at}: the environment variable `KEYS` holds no key, or more than 4 of them")),
        ),
        (
            "31 bytes",
            Some("A".repeat(42)),
            Some(format!("{at}: the environment variable `KEYS` holds a key of less than 32 bytes")),
        ),
        (
            "one of two short",
            Some(format!("{key},AAAA")),
            Some(format!("{at}: the environment variable `KEYS` holds a key of less than 32 bytes")),
        ),
        (
            "a comma too many",
            Some(format!("{key},")),
            Some(format!("{at}: the environment variable `KEYS` holds a key of less than 32 bytes")),
        ),
    ];
    let encodings = [
        format!("{key}="),
        format!("{}+", "A".repeat(42)),
        format!("{}/", "A".repeat(42)),
        "!".into(),
        format!("{key} {key}"),
    ];
    let encodings = encodings.map(|keys| {
        (
            "encoding",
            Some(keys),
            Some(format!("{at}: the environment variable `KEYS` holds a key that is not base64url without padding")),
        )
    });
    let config = put(inline_config(), "/resources/0/sessions", json!({ "key_variable": "KEYS" })).to_string();
    for (name, keys, expected) in rows.into_iter().chain(encodings) {
        let found = config::parse_in(config.as_bytes(), &|variable| keys.clone().filter(|_| variable == "KEYS"));
        let found: Vec<String> = found.err().unwrap_or_default().iter().map(ToString::to_string).collect();
        assert_eq!(found, Vec::from_iter(expected), "{name}");
    }
    let rows = [
        (json!({}), "resources[0].sessions.key_variable: is missing"),
        (json!("KEYS"), "resources[0].sessions: is a text where an object is expected"),
        (json!({ "key_variable": "" }), "resources[0].sessions.key_variable: is empty"),
        (json!({ "key_variable": 5 }), "resources[0].sessions.key_variable: is a number where a text is expected"),
        // No environment at all.
        (json!({ "key_variable": "A" }), "resources[0].sessions.key_variable: the environment variable `A` is not set"),
    ];
    for (sessions, expected) in rows {
        assert_eq!(
            findings(&put(inline_config(), "/resources/0/sessions", sessions.clone())),
            [expected],
            "{sessions}"
        );
    }
    let unknown = put(inline_config(), "/resources/0/sessions", json!({ "key_variable": "KEYS", "key": "x" }));
    let found = config::parse_in(unknown.to_string().as_bytes(), &|_| Some(key.clone()));
    assert_eq!(
        found.expect_err("findings").iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["resources[0].sessions.key: unknown key; known here: key_variable"]
    );
}

#[test]
fn origins_are_written_as_browsers_write_them() {
    let at = "resources[0].origins";
    let config = |value: Value| put(inline_config(), "/resources/0/origins", value);
    for good in [
        json!([]),
        json!(["https://app.example.com", "http://localhost:6274", "http://127.0.0.1", "http://[::1]:5173"]),
        json!(["chrome-extension://abcdef", "vscode-webview://x_y", "https://app.example.com:80", "http://a:443"]),
        json!(vec!["https://a.example"; 100]),
    ] {
        assert_eq!(findings(&config(good.clone())), NONE, "{good}");
    }
    let form = "is no origin: write scheme://host or scheme://host:port";
    let letters = "is no origin: only lower case, no path, no wildcard";
    let port = "names the default port of its scheme, which browsers leave out";
    let bad = [
        ("app.example.com", form),
        ("null", form),
        ("*", form),
        ("https://", form),
        ("://app.example.com", form),
        ("https:/app.example.com", form),
        ("https://App.example.com", letters),
        ("HTTPS://app.example.com", letters),
        ("https://app.example.com/", letters),
        ("https://app.example.com/a", letters),
        ("https://*.example.com", letters),
        ("https://a@app.example.com", letters),
        ("https://app.example.com?x", letters),
        ("https://app.example.com https://b", letters),
        ("https://app.example.com:443", port),
        ("http://app.example.com:80", port),
        ("https://[::1]:443", port),
    ];
    for (origin, reason) in bad {
        assert_eq!(
            findings(&config(json!(["https://ok", origin]))),
            [format!("{at}[1]: `{}` {reason}", shown_uri(origin))],
            "{origin}"
        );
    }
    let rows = [
        (json!("https://a"), format!("{at}: is a text where a list is expected")),
        (json!([5]), format!("{at}[0]: is a number where a text is expected")),
        (json!([""]), format!("{at}[0]: is empty")),
        (json!(vec!["https://a.example"; 101]), format!("{at}: has `101` entries, more than 100")),
    ];
    for (bad, expected) in rows {
        assert_eq!(findings(&config(bad)), [expected]);
    }
}

#[test]
fn cors_has_two_settings() {
    check(
        &inline_config(),
        vec![Setting {
            at: "/resources/0/cors",
            good: vec![
                json!({}),
                json!({ "expose_headers": ["X-Request-Id", "a_b"], "max_age": "24h" }),
                json!({ "expose_headers": [], "max_age": "0s" }),
            ],
            bad: vec![
                (json!([]), "resources[0].cors: is a list where an object is expected"),
                (
                    json!({ "origins": [] }),
                    "resources[0].cors.origins: unknown key; known here: expose_headers, max_age",
                ),
                (json!({ "max_age": "25h" }), "resources[0].cors.max_age: `25h` is not within 0s and 24h"),
                (
                    json!({ "max_age": "-1" }),
                    "resources[0].cors.max_age: `-1` is no duration: write a whole number and ms, s, m or h",
                ),
                (
                    json!({ "expose_headers": "x" }),
                    "resources[0].cors.expose_headers: is a text where a list is expected",
                ),
                (json!({ "expose_headers": ["a b"] }), "resources[0].cors.expose_headers[0]: `a b` is no header name"),
                (json!({ "expose_headers": ["a,b"] }), "resources[0].cors.expose_headers[0]: `a,b` is no header name"),
                (json!({ "expose_headers": ["*"] }), "resources[0].cors.expose_headers[0]: `*` is no header name"),
                (json!({ "expose_headers": [""] }), "resources[0].cors.expose_headers[0]: is empty"),
            ],
            missing: "",
        }],
    );
}

#[test]
fn a_resource_lists_what_it_knows() {
    let known = "resource, authorization_servers, audiences, scopes, host_default, metadata, rules, default, \
                 anonymous_methods, body, filter_lists, sessions, dpop, mutual_tls, static_tokens, origins, cors, \
                 upstream_credential, report_only, browser_page";
    let found = findings(&put(inline_config(), "/resources/0/rule", json!([])));
    assert_eq!(found, [format!("resources[0].rule: unknown key; known here: {known}")]);
}
