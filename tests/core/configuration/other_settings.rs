//! Durations, what the metadata says, identity headers, and what becomes of requests that belong to nothing.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Setting, check};
use crate::support::{NOW, ask, findings, gate, head, inline_config, put, remote_config, reply, reply_header};

/// The finding for `at` if its value is wrong in this way.
fn not_within(at: &str, value: &str, range: &str) -> String {
    format!("{at}: `{value}` is not within {range}")
}

#[test]
fn a_duration_is_a_whole_number_and_a_unit() {
    let at = "/authorization_servers/0/fetch_timeout";
    let good = [
        ("100ms", Duration::from_millis(100)),
        ("60000ms", Duration::from_secs(60)),
        ("5s", Duration::from_secs(5)),
        ("007s", Duration::from_secs(7)),
        ("1m", Duration::from_secs(60)),
    ];
    for (text, expected) in good {
        let mut gate = gate(&put(remote_config(), at, json!(text)));
        assert_eq!(gate.poll_fetch(NOW).expect("a fetch").timeout, expected, "{text}");
    }
    let overflowing = "18446744073709551616s";
    let overflowing_when_multiplied = "18446744073709551615h";
    let bad = [
        "5",
        "s",
        "5S",
        "5 s",
        " 5s",
        "5s ",
        "+5s",
        "-5s",
        "5.0s",
        "5e0s",
        "0x5s",
        "٥s",
        "5sec",
        "5d",
        "1m5s",
        "5s5s",
        "1us",
        "inf",
        "5µs",
        overflowing,
        overflowing_when_multiplied,
        "307445734561825861m",
    ];
    for text in bad {
        let shown: String = text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect();
        let expected = format!(
            "authorization_servers[0].fetch_timeout: `{shown}` is no duration: write a whole number and ms, s, m or h"
        );
        assert_eq!(findings(&put(remote_config(), at, json!(text))), [expected], "{text}");
    }
    let not_texts = [(json!(5), "a number"), (json!(null), "null"), (json!({ "seconds": 5 }), "an object")];
    for (value, found) in not_texts {
        let expected = format!("authorization_servers[0].fetch_timeout: is {found} where a text is expected");
        assert_eq!(findings(&put(remote_config(), at, value)), [expected], "{found}");
    }
}

#[test]
fn a_duration_is_within_its_range() {
    let rows = [
        ("clock_skew", &["0s", "0ms", "300s", "5m"][..], &["301s", "300001ms", "6m", "1h"][..], "0s and 5m"),
        ("fetch_timeout", &["100ms", "60s"], &["99ms", "0s", "61s", "18446744073709551615s"], "100ms and 1m"),
        ("keys_max_age", &["10s", "24h"], &["9s", "0h", "25h", "86401s"], "10s and 24h"),
        // Never shorter than `keys_max_age`, which is 600 s by default.
        ("keys_max_stale", &["10m", "600s", "24h"], &["599s", "0s", "86401s", "25h"], "10m and 24h"),
        ("refetch_cooldown", &["1s", "1h"], &["0s", "999ms", "3601s", "2h"], "1s and 1h"),
    ];
    for (name, good, bad, range) in rows {
        let at = format!("/authorization_servers/0/{name}");
        for value in good {
            assert_eq!(findings(&put(remote_config(), &at, json!(value))), Vec::<String>::new(), "{name} = {value}");
        }
        for value in bad {
            let expected = not_within(&format!("authorization_servers[0].{name}"), value, range);
            assert_eq!(findings(&put(remote_config(), &at, json!(value))), [expected], "{name} = {value}");
        }
    }
}

#[test]
fn keys_may_not_be_given_up_before_a_refresh_is_due() {
    let config = |max_age: &str, max_stale: Option<&str>| {
        let config = put(remote_config(), "/authorization_servers/0/keys_max_age", json!(max_age));
        max_stale.map_or(config.clone(), |stale| put(config, "/authorization_servers/0/keys_max_stale", json!(stale)))
    };
    let rows = [
        ("10s", Some("10s"), Vec::new()),
        ("2h", Some("2h"), Vec::new()),
        ("2h", None, Vec::new()),
        ("24h", None, Vec::new()),
        ("2h", Some("1h"), vec!["authorization_servers[0].keys_max_stale: `1h` is not within 2h and 24h".to_owned()]),
    ];
    for (max_age, max_stale, expected) in rows {
        assert_eq!(findings(&config(max_age, max_stale)), expected, "{max_age}, {max_stale:?}");
    }
}

#[test]
fn the_metadata_may_be_cached_for_up_to_a_day() {
    let config = |value: Value| put(inline_config(), "/resources/0/metadata", json!({ "max_age": value }));
    let document = head("/.well-known/oauth-protected-resource/mcp", &[]);
    let document: Vec<_> =
        document.into_iter().map(|(n, v)| if n == ":method" { (n, "GET") } else { (n, v) }).collect();
    let rows = [("0s", "public, max-age=0"), ("90s", "public, max-age=90"), ("24h", "public, max-age=86400")];
    for (value, expected) in rows {
        let reply = reply(ask(&mut gate(&config(json!(value))), &document));
        assert_eq!(reply_header(&reply, "cache-control"), Some(expected), "{value}");
    }
    let expected = not_within("resources[0].metadata.max_age", "25h", "0s and 24h");
    assert_eq!(findings(&config(json!("25h"))), [expected]);
}

#[test]
fn the_metadata_has_a_name_and_pages() {
    let page = |at: &'static str, bad: Vec<(Value, &'static str)>| Setting {
        at,
        good: vec![json!("https://example.com/a#b"), json!("http://example.com?c=d")],
        bad,
        missing: "",
    };
    check(
        &put(inline_config(), "/resources/0/metadata", json!({})),
        vec![
            Setting {
                at: "/resources/0/metadata",
                good: vec![json!({})],
                bad: vec![
                    (json!("Weather"), "resources[0].metadata: is a text where an object is expected"),
                    (json!(null), "resources[0].metadata: is null where an object is expected"),
                ],
                missing: "",
            },
            Setting {
                at: "/resources/0/metadata/resource_name",
                good: vec![json!("Weather"), json!("Wetter für „alle“ \"\\\u{1}")],
                bad: vec![
                    (json!(""), "resources[0].metadata.resource_name: is empty"),
                    (json!(["Weather"]), "resources[0].metadata.resource_name: is a list where a text is expected"),
                ],
                missing: "",
            },
            page(
                "/resources/0/metadata/resource_documentation",
                vec![
                    (json!("/docs"), "resources[0].metadata.resource_documentation: `/docs` is not an absolute URL"),
                    (json!(5), "resources[0].metadata.resource_documentation: is a number where a text is expected"),
                ],
            ),
            page(
                "/resources/0/metadata/resource_policy_uri",
                vec![
                    (
                        json!("javascript:alert(1)"),
                        "resources[0].metadata.resource_policy_uri: `javascript:alert(1)` is neither http nor https",
                    ),
                    (json!(""), "resources[0].metadata.resource_policy_uri: is empty"),
                ],
            ),
            page(
                "/resources/0/metadata/resource_tos_uri",
                vec![
                    (
                        json!("mailto:a@example.com"),
                        "resources[0].metadata.resource_tos_uri: `mailto:...@example.com` is neither http nor https",
                    ),
                    (json!(false), "resources[0].metadata.resource_tos_uri: is true or false where a text is expected"),
                ],
            ),
        ],
    );
}

#[test]
fn identity_headers_have_names_of_their_own() {
    const NO_NAME: &str = "is no header name in lower-case letters, digits and hyphens";
    let settings = [("subject", "client_id"), ("client_id", "scopes"), ("scopes", "issuer"), ("issuer", "subject")];
    let config = |headers: Value| put(inline_config(), "/identity_headers", headers);
    for (name, other) in settings {
        for good in [json!("x-caller"), json!("x9"), json!(null)] {
            assert_eq!(findings(&config(json!({ name: good }))), Vec::<String>::new(), "{name} = {good}");
        }
        let illegal = ["X-Caller", "x_caller", "x caller", ":path", "x-caller\r\nx-admin", "x-ü", "x:y"];
        for bad in illegal {
            let shown: String = bad.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect();
            let expected = format!("identity_headers.{name}: `{shown}` {NO_NAME}");
            assert_eq!(findings(&config(json!({ name: bad }))), [expected], "{name} = {bad:?}");
        }
        let taken = [
            "authorization",
            "proxy-authorization",
            "dpop",
            "cookie",
            "host",
            "content-length",
            "transfer-encoding",
            "connection",
            "origin",
            "accept",
            "content-type",
            "mcp-session-id",
            "mcp-protocol-version",
            "mcp-method",
            "mcp-name",
            "last-event-id",
            "www-authenticate",
            "upgrade",
            "te",
            "trailer",
            "expect",
        ];
        for bad in taken {
            let expected = format!("identity_headers.{name}: `{bad}` has a meaning of its own");
            assert_eq!(findings(&config(json!({ name: bad }))), [expected], "{name} = {bad}");
        }
        let doubled = json!({ name: "x-caller", other: "x-caller" });
        assert_eq!(findings(&config(doubled)), ["identity_headers: `x-caller` is used twice"], "{name} and {other}");
    }
    let rows = [
        (json!({}), Vec::new()),
        (json!({ "subject": null, "client_id": null, "scopes": null, "issuer": null }), Vec::new()),
        // Two that are switched off are not the same header; one that takes another's default is.
        (json!({ "subject": "x-mcp-issuer" }), vec!["identity_headers: `x-mcp-issuer` is used twice"]),
        (json!({ "subject": "x-mcp-issuer", "issuer": null }), Vec::new()),
        (json!({ "subject": "" }), vec!["identity_headers.subject: is empty"]),
        (json!({ "subject": false }), vec!["identity_headers.subject: is true or false where a text is expected"]),
        (json!(null), vec!["identity_headers: is null where an object is expected"]),
        (json!("x-mcp-"), vec!["identity_headers: is a text where an object is expected"]),
    ];
    for (headers, expected) in rows {
        assert_eq!(findings(&config(headers.clone())), expected, "{headers}");
    }
}

#[test]
fn unmatched_is_one_of_two_words() {
    check(
        &inline_config(),
        vec![Setting {
            at: "/unmatched",
            good: vec![json!("deny"), json!("insecure_forward")],
            bad: vec![
                (json!("forward"), "unmatched: `forward` is not one of `deny`, `insecure_forward`"),
                (json!("Deny"), "unmatched: `Deny` is not one of `deny`, `insecure_forward`"),
                (json!(""), "unmatched: is empty"),
                (json!(null), "unmatched: is null where a text is expected"),
                (json!(false), "unmatched: is true or false where a text is expected"),
            ],
            missing: "",
        }],
    );
}
