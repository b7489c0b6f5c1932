//! Who calls, as the upstream is told: from the verified token or not at all, never from the client.

use serde_json::{Value, json};

use super::{gate, good_token, head, inline_config, upstream};
use crate::support::{HeaderMap, claims, findings, header, put, sign, with};

const NAMES: [&str; 4] = ["x-mcp-subject", "x-mcp-client-id", "x-mcp-scopes", "x-mcp-issuer"];

/// A configuration without required scopes, so that tokens need none.
fn open_config() -> Value {
    put(inline_config(), "/resources/0/scopes", json!({}))
}

fn upstream_of(claims: &Value, more: &[(&str, &str)]) -> HeaderMap {
    upstream(&mut gate(&open_config()), "/mcp", &sign(&header(), claims), more)
}

fn without_claims(names: &[&str]) -> Value {
    names.iter().fold(claims(), |claims, name| with(claims, name, Value::Null))
}

#[test]
fn a_client_cannot_say_who_it_is() {
    let nobody = without_claims(&["sub", "client_id", "scope"]);
    for name in NAMES {
        let variants = [
            name.to_owned(),
            name.to_ascii_uppercase(),
            name.replace("mcp", "Mcp"),
            name.replace('-', "_"),
            name.replace('-', "_").to_ascii_uppercase(),
            name.replacen('-', "_", 1),
            name.replace("mcp-", "mcp_"),
        ];
        for variant in &variants {
            let variant = variant.as_str();
            let more = [("x-other", "1"), (variant, "root"), (variant, "admin")];
            // The token says who it is: what it says is there once.
            let told = upstream_of(&claims(), &more);
            assert_eq!(told.all(name).len(), 1, "{variant} with the claim");
            // The token does not say: nobody is named. (It always says the issuer.)
            let untold = upstream_of(&nobody, &more);
            assert_eq!(untold.all(name).len(), usize::from(name == "x-mcp-issuer"), "{variant} without the claim");
            for headers in [told, untold] {
                let hostile = headers.0.iter().find(|(_, value)| value == b"root" || value == b"admin");
                assert_eq!(hostile, None, "{variant}");
                assert_eq!(headers.all("x-other"), ["1"], "{variant}");
            }
        }
        // A header that no server takes for it stays.
        for other in [format!("{name}s"), name[1..].to_owned(), name.replace("x-", "x--"), name.replace('-', ".")] {
            let headers = upstream_of(&claims(), &[(&other, "kept")]);
            assert_eq!(headers.all(&other), ["kept"], "{other}");
        }
    }
    // All variants at once.
    let all: Vec<String> = NAMES.iter().flat_map(|name| [name.replace('-', "_"), name.to_ascii_uppercase()]).collect();
    let more: Vec<(&str, &str)> = all.iter().map(|name| (name.as_str(), "root")).collect();
    let headers = upstream_of(&nobody, &more);
    assert_eq!(headers.0.iter().filter(|(name, _)| name.starts_with(b"x")).count(), 1, "{headers:?}");
}

/// RFC 9110 section 5.5: visible ASCII only; `%` is encoded too, so that it can be undone.
#[test]
fn a_value_is_percent_encoded_where_it_is_no_visible_ascii() {
    let rows = [
        ("alice", Some("alice")),
        ("auth0|507f1f77bcf86cd799439011", Some("auth0|507f1f77bcf86cd799439011")),
        ("a@example.com", Some("a@example.com")),
        ("!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~", Some("!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~")),
        ("a b", Some("a%20b")),
        (" a ", Some("%20a%20")),
        ("100%", Some("100%25")),
        ("%41", Some("%2541")),
        ("a\r\nx-mcp-scopes: admin", Some("a%0D%0Ax-mcp-scopes:%20admin")),
        ("a\tb", Some("a%09b")),
        ("\0", Some("%00")),
        ("\u{1f}\u{7f}\u{80}", Some("%1F%7F%C2%80")),
        ("jürgen", Some("j%C3%BCrgen")),
        ("愛", Some("%E6%84%9B")),
        ("👻", Some("%F0%9F%91%BB")),
        ("\u{feff}", Some("%EF%BB%BF")),
        // Nobody is called "".
        ("", None),
    ];
    for (value, expected) in rows {
        let expected: Vec<_> = expected.into_iter().collect();
        let headers = upstream_of(&with(claims(), "sub", json!(value)), &[("x-mcp-subject", "root")]);
        assert_eq!(headers.all("x-mcp-subject"), expected, "sub {value:?}");
        let headers = upstream_of(&with(claims(), "client_id", json!(value)), &[("x-mcp-client-id", "root")]);
        assert_eq!(headers.all("x-mcp-client-id"), expected, "client_id {value:?}");
        for (name, value) in headers.0 {
            assert!(value.iter().all(|byte| matches!(byte, 0x20..=0x7E)), "{}", name.escape_ascii());
        }
    }
}

#[test]
fn each_header_has_its_claim() {
    let change = |changes: &[(&str, Value)]| {
        changes.iter().fold(claims(), |claims, (name, value)| with(claims, name, value.clone()))
    };
    let null = Value::Null;
    let rows = [
        ("all of them", claims(), ["alice", "c1", "mcp:read mcp:write", "https://idp.example.com"]),
        ("no subject", change(&[("sub", null.clone())]), ["", "c1", "mcp:read mcp:write", "https://idp.example.com"]),
        (
            "no client",
            change(&[("client_id", null.clone())]),
            ["alice", "", "mcp:read mcp:write", "https://idp.example.com"],
        ),
        (
            "OpenID Connect's client",
            change(&[("client_id", null.clone()), ("azp", json!("z1"))]),
            ["alice", "z1", "mcp:read mcp:write", "https://idp.example.com"],
        ),
        (
            "both clients: RFC 9068 counts",
            change(&[("azp", json!("z1"))]),
            ["alice", "c1", "mcp:read mcp:write", "https://idp.example.com"],
        ),
        ("no scopes", change(&[("scope", null.clone())]), ["alice", "c1", "", "https://idp.example.com"]),
        ("empty scopes", change(&[("scope", json!(""))]), ["alice", "c1", "", "https://idp.example.com"]),
        (
            "scopes in order, once",
            change(&[("scope", json!("b a  b"))]),
            ["alice", "c1", "a b", "https://idp.example.com"],
        ),
        (
            "what is no scope is left out",
            change(&[("scope", json!("a \"b\" \u{e9} c\\ d\r\ne"))]),
            ["alice", "c1", "a", "https://idp.example.com"],
        ),
        (
            "Entra's scopes",
            change(&[("scope", null.clone()), ("scp", json!("mcp.read"))]),
            ["alice", "c1", "mcp.read", "https://idp.example.com"],
        ),
        (
            "Okta's scopes",
            change(&[("scope", null), ("scp", json!(["r", "w x", 5, "a"]))]),
            ["alice", "c1", "a r", "https://idp.example.com"],
        ),
    ];
    for (name, claims, expected) in rows {
        let spoofed: Vec<(&str, &str)> = NAMES.iter().map(|name| (*name, "root")).collect();
        let headers = upstream_of(&claims, &spoofed);
        for (header, value) in NAMES.into_iter().zip(expected) {
            let expected: Vec<&str> = Some(value).filter(|value| !value.is_empty()).into_iter().collect();
            assert_eq!(headers.all(header), expected, "{name}: {header}");
        }
    }
}

#[test]
fn the_names_are_the_operators() {
    let rows = [
        (json!({}), NAMES.map(Some)),
        (
            json!({ "subject": "x-user", "client_id": "x-app" }),
            [Some("x-user"), Some("x-app"), Some("x-mcp-scopes"), Some("x-mcp-issuer")],
        ),
        (
            json!({ "subject": "x-mcp-issuer", "issuer": "x-mcp-subject" }),
            [Some("x-mcp-issuer"), Some("x-mcp-client-id"), Some("x-mcp-scopes"), Some("x-mcp-subject")],
        ),
        (json!({ "scopes": null, "issuer": null }), [Some("x-mcp-subject"), Some("x-mcp-client-id"), None, None]),
        (json!({ "subject": null, "client_id": null, "scopes": null, "issuer": null }), [None; 4]),
    ];
    for (names, expected) in rows {
        let mut gate = gate(&put(open_config(), "/identity_headers", names.clone()));
        let spoofed: Vec<(&str, &str)> = expected.iter().flatten().map(|name| (*name, "root")).collect();
        let headers = upstream(&mut gate, "/mcp", &good_token(), &spoofed);
        let values = ["alice", "c1", "mcp:read mcp:write", "https://idp.example.com"];
        let mut lines = head("/mcp", &[]);
        lines.extend(expected.iter().zip(values).filter_map(|(name, value)| Some(((*name)?, value))));
        let lines = HeaderMap::new(&lines);
        assert_eq!(headers, lines, "{names}");
    }
}

/// Whatever name a configuration may give to an identity header: if the token has no such claim, a client's own header
/// of that name must not be taken for it.
#[test]
fn no_name_that_is_accepted_can_be_spoofed() {
    let names = [
        "x-user",
        "forwarded",
        "x-forwarded-user",
        "remote-user",
        "if-none-match",
        "access-control-request-method",
        "access-control-request-headers",
        "origin",
        "host",
        "authorization",
        "dpop",
        "proxy-authorization",
        "cookie",
    ];
    let nobody = sign(&header(), &without_claims(&["sub"]));
    for name in names {
        let config = put(open_config(), "/identity_headers", json!({ "subject": name }));
        if !findings(&config).is_empty() {
            continue;
        }
        let headers = upstream(&mut gate(&config), "/mcp", &nobody, &[(name, "root")]);
        assert_eq!(headers.all(name), Vec::<String>::new(), "{name} as the subject's header");
    }
}
