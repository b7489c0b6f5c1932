//! `dpop` and `mutual_tls` of a resource: every mistake has its finding.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_oauth::config;
use serde_json::{Value, json};

use crate::support::{findings, inline_config, put};

fn with_dpop(dpop: Value) -> Value {
    put(inline_config(), "/resources/0/dpop", dpop)
}

fn found_in(config: &Value, value: Option<&str>) -> Vec<String> {
    let environment = |name: &str| value.filter(|_| name == "KEY").map(str::to_owned);
    let found = config::parse_in(config.to_string().as_bytes(), &environment).err().unwrap_or_default();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_wrong_with_it() {
    let place = |name: &str, rest: &str| vec![format!("resources[0].dpop{name}{rest}")];
    let rows = [
        (json!({}), vec![]),
        (json!({ "required": true, "max_age": "1h", "clock_skew": "5m" }), vec![]),
        (json!(true), place("", ": is true or false where an object is expected")),
        (
            json!({ "require": true }),
            place(".require", ": unknown key; known here: required, algorithms, max_age, clock_skew, nonce"),
        ),
        (json!({ "required": "yes" }), place(".required", ": is a text where true or false is expected")),
        (json!({ "algorithms": [] }), place(".algorithms", ": is empty: no token could be accepted")),
        (json!({ "algorithms": ["HS256"] }), place(".algorithms[0]", ": `(not shown)` is no supported algorithm")),
        (json!({ "algorithms": ["none"] }), place(".algorithms[0]", ": `(not shown)` is no supported algorithm")),
        (json!({ "algorithms": ["EdDSA", "Ed25519"] }), place(".algorithms", ": `EdDSA` is listed twice")),
        (json!({ "max_age": "0s" }), place(".max_age", ": `0s` is not within 1s and 1h")),
        (json!({ "max_age": "2h" }), place(".max_age", ": `2h` is not within 1s and 1h")),
        (json!({ "clock_skew": "6m" }), place(".clock_skew", ": `6m` is not within 0s and 5m")),
    ];
    for (dpop, expected) in rows {
        assert_eq!(findings(&with_dpop(dpop.clone())), expected, "{dpop}");
    }
    let found = findings(&put(inline_config(), "/resources/0/mutual_tls", json!("yes")));
    assert_eq!(found, ["resources[0].mutual_tls: is a text where true or false is expected"]);
}

#[test]
fn the_keys_of_nonces_are_in_the_environment() {
    let place = "resources[0].dpop.nonce";
    let good = URL_SAFE_NO_PAD.encode([1; 32]);
    let rows = [
        (json!({ "key_variable": "KEY" }), Some(good.as_str()), vec![]),
        (json!({}), Some(&good), vec![format!("{place}.key_variable: is missing")]),
        (
            json!({ "key_variable": "OTHER" }),
            Some(&good),
            vec![format!("{place}.key_variable: the environment variable `OTHER` is not set")],
        ),
        (
            json!({ "key_variable": "KEY" }),
            Some("c2hvcnQ"),
            vec![format!("{place}.key_variable: the environment variable `KEY` holds a key of less than 32 bytes")],
        ),
        (
            json!({ "key_variable": "KEY", "max_age": "2h", "keys": 1 }),
            Some(&good),
            vec![
                format!("{place}.keys: unknown key; known here: key_variable, max_age"),
                format!("{place}.max_age: `2h` is not within 1s and 1h"),
            ],
        ),
    ];
    for (nonce, value, expected) in rows {
        assert_eq!(found_in(&with_dpop(json!({ "nonce": nonce })), value), expected, "{nonce}");
    }
}

/// Tokens that nobody could use are a mistake.
#[test]
fn static_tokens_are_bound_to_nothing() {
    let entry = json!([{ "name": "ci", "sha256": "0".repeat(64), "scopes": [], "expires": "never" }]);
    let with_tokens =
        |required: bool| put(with_dpop(json!({ "required": required })), "/resources/0/static_tokens", entry.clone());
    assert_eq!(findings(&with_tokens(false)), Vec::<String>::new());
    let refused = "resources[0].static_tokens: are bound to no key, so `dpop.required` refuses them all";
    assert_eq!(findings(&with_tokens(true)), [refused]);
}
