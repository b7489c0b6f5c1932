//! Methods, caching and absence of the documents.

use mcp_oauth::refusal::Refusal;
use serde_json::{Value, json};

use super::{RESOURCE, WELL_KNOWN, body, config, fetch, gate, get};
use crate::support::{put, reply_header};

const HOST: &str = "mcp.example.com";

fn path() -> String {
    format!("{WELL_KNOWN}/mcp")
}

fn headers(reply: &mcp_oauth::reply::Reply) -> Vec<(&str, &str)> {
    let mut headers: Vec<_> = reply.headers().collect();
    headers.sort_unstable();
    headers
}

#[test]
fn a_document_can_be_read_and_only_read() {
    let mut gate = gate(&config(json!([{ "resource": RESOURCE }])));
    let got = get(&mut gate, HOST, &path());
    let etag = reply_header(&got, "etag").expect("an entity tag").to_owned();
    assert_eq!((got.status(), got.reason(), got.refusal()), (200, "mcp_oauth_metadata", None));
    assert_eq!(
        headers(&got),
        [
            ("access-control-allow-origin", "*"),
            (
                "access-control-expose-headers",
                "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After, DPoP-Nonce"
            ),
            ("cache-control", "public, max-age=3600"),
            ("content-type", "application/json"),
            ("etag", &*etag),
        ]
    );
    assert_eq!(fetch(&mut gate, "HEAD", HOST, &path(), &[]), got, "HEAD is GET; the host leaves the body out");

    let options = fetch(&mut gate, "OPTIONS", HOST, &path(), &[]);
    assert_eq!((options.status(), options.refusal(), options.body()), (204, None, &b""[..]));
    assert_eq!(reply_header(&options, "access-control-allow-methods"), Some("GET, HEAD, OPTIONS"));
    assert_eq!(reply_header(&options, "access-control-allow-origin"), Some("*"));

    for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "get", "QUERY", ""] {
        let refused = fetch(&mut gate, method, HOST, &path(), &[]);
        assert_eq!(refused.refusal(), Some(&Refusal::Method), "{method:?}");
        assert_eq!((refused.status(), refused.reason()), (405, "mcp_oauth_document_method"), "{method:?}");
        assert_eq!(
            headers(&refused),
            [
                ("access-control-allow-origin", "*"),
                (
                    "access-control-expose-headers",
                    "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After, DPoP-Nonce"
                ),
                ("allow", "GET, HEAD, OPTIONS"),
                ("cache-control", "no-store"),
                ("content-type", "application/json"),
            ],
            "{method:?}"
        );
        let expected = r#"{"error":"method_not_allowed","error_description":"the document can only be read"}"#;
        assert_eq!(body(&refused), expected, "{method:?}");
    }
}

/// RFC 9110 section 13.1.2.
#[test]
fn an_unchanged_document_is_not_sent_again() {
    let mut gate = gate(&config(json!([{ "resource": RESOURCE }])));
    let etag = reply_header(&get(&mut gate, HOST, &path()), "etag").expect("an entity tag").to_owned();
    assert!(etag.len() > 10 && etag.starts_with('"') && etag.ends_with('"'), "a strong tag: {etag}");
    let unquoted = etag.trim_matches('"');
    let rows = [
        ("the tag", etag.clone(), 304),
        ("any", "*".into(), 304),
        ("any, with spaces", " * ".into(), 304),
        ("weak", format!("W/{etag}"), 304),
        ("the last of a list", format!("\"a\", W/\"b\", {etag}"), 304),
        ("the first of a list", format!("{etag},\"a\""), 304),
        ("a list without spaces", format!("\"a\",{etag},\"b\""), 304),
        ("another", "\"a\"".into(), 200),
        ("another weak one", "W/\"a\"".into(), 200),
        ("another list", "\"a\", \"b\"".into(), 200),
        ("without quotes", unquoted.into(), 200),
        ("in another case", etag.to_ascii_lowercase(), 200),
        ("cut off", etag[..etag.len() - 2].into(), 200),
        ("a longer one", format!("\"{unquoted}x\""), 200),
        ("weak in lower case", format!("w/{etag}"), 200),
        ("empty", String::new(), 200),
        ("only commas", ",,,".into(), 200),
    ];
    for (name, value, expected) in rows {
        for method in ["GET", "HEAD"] {
            let reply = fetch(&mut gate, method, HOST, &path(), &[("if-none-match", &value)]);
            assert_eq!(reply.status(), expected, "{method}, {name}: {value}");
            assert_eq!(reply.body().is_empty(), expected == 304, "{method}, {name}: the body");
            // RFC 9110 section 15.4.5: what a 200 would have said of caching.
            for header in ["etag", "cache-control", "access-control-allow-origin"] {
                let of_200 = get(&mut gate, HOST, &path());
                assert_eq!(reply_header(&reply, header), reply_header(&of_200, header), "{method}, {name}: {header}");
            }
            assert_eq!(reply_header(&reply, "content-type").is_some(), expected == 200, "{method}, {name}");
        }
        let posted = fetch(&mut gate, "POST", HOST, &path(), &[("if-none-match", &value)]);
        assert_eq!(posted.status(), 405, "POST, {name}");
    }
}

#[test]
fn the_tag_changes_with_the_document_and_with_nothing_else() {
    let base = config(json!([{ "resource": RESOURCE, "metadata": {}, "scopes": { "required": ["a"] } }]));
    let tag = |config: &Value| {
        let reply = get(&mut gate(config), HOST, &path());
        reply_header(&reply, "etag").expect("an entity tag").to_owned()
    };
    let first = tag(&base);
    assert_eq!(tag(&base), first, "the same in every worker");
    let rows = [
        ("the name", "/resources/0/metadata/resource_name", json!("Weather"), true),
        ("a page", "/resources/0/metadata/resource_tos_uri", json!("https://example.com/tos"), true),
        ("a scope", "/resources/0/scopes/required", json!(["a", "b"]), true),
        ("the form of the URI", "/resources/0/resource", json!("https://mcp.example.com/mcp/"), true),
        ("the issuer", "/authorization_servers/0/issuer", json!("https://idp.example.com/"), true),
        ("the audiences", "/resources/0/audiences", json!(["api://a"]), false),
        ("the challenged scopes", "/resources/0/scopes/challenged", json!(["a", "b"]), false),
        ("how long it may be cached", "/resources/0/metadata/max_age", json!("5s"), false),
    ];
    let mut seen = vec![first.clone()];
    for (name, at, value, changes) in rows {
        let found = tag(&put(base.clone(), at, value));
        assert_eq!(found != first, changes, "{name}: {found}");
        assert!(!changes || !seen.contains(&found), "{name}: {found} is the tag of another document");
        seen.push(found);
    }
}

/// Spec 2.1: never the root document for an unknown path, never 401, never 5xx: each sends some client the wrong way.
#[test]
fn an_unknown_document_does_not_exist() {
    let resources = json!([
        { "resource": "https://mcp.example.com" },
        { "resource": RESOURCE },
        { "resource": "https://example.org/a/b", "host_default": true },
    ]);
    let mut gate = gate(&config(resources));
    let rows = [
        (HOST, "/other"),
        (HOST, "/mcp/other"),
        (HOST, "/mc"),
        (HOST, "/mcpx"),
        (HOST, "/MCP"),
        (HOST, "/mcp/.well-known/oauth-protected-resource"),
        ("example.org", "/a"),
        ("example.org", "/a/b/c"),
        ("example.org", "/mcp"),
        // Hosts without a resource.
        ("example.net", ""),
        ("example.net", "/mcp"),
        ("mcp.example.com:8443", ""),
    ];
    for (authority, path) in rows {
        let path = format!("{WELL_KNOWN}{path}");
        for method in ["GET", "HEAD", "OPTIONS", "POST", "DELETE"] {
            let preflight = [("origin", "https://app.example"), ("access-control-request-method", "GET")];
            let more = if method == "OPTIONS" { &preflight[..] } else { &[] };
            let reply = fetch(&mut gate, method, authority, &path, more);
            assert_eq!(reply.refusal(), Some(&Refusal::NoDocument), "{method} {authority}{path}");
            assert_eq!((reply.status(), reply.reason()), (404, "mcp_oauth_no_document"), "{method} {authority}{path}");
            assert_eq!(reply_header(&reply, "www-authenticate"), None, "{method} {authority}{path}");
            assert_eq!(reply_header(&reply, "cache-control"), Some("no-store"), "{method} {authority}{path}");
            assert_eq!(reply_header(&reply, "access-control-allow-origin"), Some("*"), "{method} {authority}{path}");
            let expected = r#"{"error":"not_found","error_description":"no such document"}"#;
            assert_eq!(body(&reply), expected, "{method} {authority}{path}");
        }
    }
}
