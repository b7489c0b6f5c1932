//! Protected resource metadata (RFC 9728): where it is, what is in it, who may read it.

mod serving;

use mcp_oauth::{gate::Gate, reply::Reply};
use serde_json::{Value, json};

use crate::support::{ISSUER, RESOURCE, ask, gate, inline_config, put, reply, reply_header};

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
const JSON: &str = "application/json";

fn fetch(gate: &mut Gate, method: &str, authority: &str, path: &str, more: &[(&str, &str)]) -> Reply {
    let mut lines = vec![(":method", method), (":authority", authority), (":path", path)];
    lines.extend(more);
    reply(ask(gate, &lines))
}

fn get(gate: &mut Gate, authority: &str, path: &str) -> Reply {
    fetch(gate, "GET", authority, path, &[])
}

fn body(reply: &Reply) -> &str {
    str::from_utf8(reply.body()).expect("UTF-8")
}

/// Which resource's document this is, or the status.
fn resource_in(reply: &Reply) -> String {
    let document: Value = serde_json::from_slice(reply.body()).unwrap_or_default();
    document["resource"].as_str().map_or_else(|| reply.status().to_string(), ToOwned::to_owned)
}

fn config(resources: Value) -> Value {
    put(inline_config(), "/resources", resources)
}

/// Spec 2.1: resource, and the path that is inserted between host and path (RFC 9728 section 3.1).
#[test]
fn the_well_known_path_is_inserted_before_the_path_of_the_resource() {
    let rows = [
        ("https://mcp.example.com", "mcp.example.com", ""),
        ("https://mcp.example.com/", "mcp.example.com", ""),
        ("https://mcp.example.com/mcp", "mcp.example.com", "/mcp"),
        ("https://mcp.example.com/mcp/", "mcp.example.com", "/mcp/"),
        ("https://mcp.example.com:8443/server/mcp", "mcp.example.com:8443", "/server/mcp"),
        ("https://mcp.example.com/caf%C3%A9/%E2%82%AC", "mcp.example.com", "/caf%C3%A9/%E2%82%AC"),
        ("http://127.0.0.1:8080/mcp", "127.0.0.1:8080", "/mcp"),
    ];
    for (uri, authority, path) in rows {
        let mut gate = gate(&config(json!([{ "resource": uri }])));
        let (origin, _) = uri.split_at(uri.find(authority).expect("the authority") + authority.len());
        let challenged = fetch(&mut gate, "POST", authority, if path.is_empty() { "/" } else { path }, &[]);
        let url = format!("{origin}{WELL_KNOWN}{path}");
        let challenge = format!("Bearer resource_metadata=\"{url}\"");
        assert_eq!(reply_header(&challenged, "www-authenticate"), Some(&*challenge), "{uri}");
        assert_eq!(resource_in(&get(&mut gate, authority, &url[origin.len()..])), uri, "{uri}: at its URL");

        // Clients take one slash off, or put one on: both forms, and no other.
        let bare = path.strip_suffix('/').unwrap_or(path);
        for slash in ["", "/"] {
            let path = format!("{WELL_KNOWN}{bare}{slash}");
            assert_eq!(resource_in(&get(&mut gate, authority, &path)), uri, "{uri}: at {path}");
            let with_query = format!("{path}?a=/b");
            assert_eq!(resource_in(&get(&mut gate, authority, &with_query)), uri, "{uri}: at {with_query}");
        }
        for (wrong, status) in [("//", 400), ("/x", 404), ("x", if bare.is_empty() { 401 } else { 404 })] {
            let path = format!("{WELL_KNOWN}{bare}{wrong}");
            assert_eq!(get(&mut gate, authority, &path).status(), status, "{uri}: at {path}");
        }
    }
}

#[test]
fn the_root_form_is_for_a_bare_origin_or_the_default_of_its_host() {
    const MCP: &str = "https://mcp.example.com/mcp";
    const OTHER: &str = "https://mcp.example.com/other";
    const ORIGIN: &str = "https://mcp.example.com";
    let rows = [
        ("a path", json!([{ "resource": MCP }]), "404"),
        ("a path that is said not to be the default", json!([{ "resource": MCP, "host_default": false }]), "404"),
        ("a default", json!([{ "resource": MCP, "host_default": true }]), MCP),
        (
            "a default with a slash",
            json!([{ "resource": "https://mcp.example.com/mcp/", "host_default": true }]),
            "https://mcp.example.com/mcp/",
        ),
        ("the second is the default", json!([{ "resource": MCP }, { "resource": OTHER, "host_default": true }]), OTHER),
        ("a bare origin", json!([{ "resource": ORIGIN }]), ORIGIN),
        ("a bare origin with a slash", json!([{ "resource": "https://mcp.example.com/" }]), "https://mcp.example.com/"),
        ("a bare origin that says so", json!([{ "resource": ORIGIN, "host_default": true }]), ORIGIN),
        ("a bare origin beside a path", json!([{ "resource": MCP }, { "resource": ORIGIN }]), ORIGIN),
        (
            "the default of another host",
            json!([{ "resource": MCP }, { "resource": "https://example.org/a", "host_default": true }]),
            "404",
        ),
        (
            "the default of another port",
            json!([{ "resource": MCP }, { "resource": "https://mcp.example.com:8443/a", "host_default": true }]),
            "404",
        ),
    ];
    for (name, resources, expected) in rows {
        let mut gate = gate(&config(resources));
        for path in [WELL_KNOWN.to_owned(), format!("{WELL_KNOWN}/"), format!("{WELL_KNOWN}?x=1")] {
            for authority in ["mcp.example.com", "mcp.example.com:443", "MCP.example.com"] {
                let found = resource_in(&get(&mut gate, authority, &path));
                assert_eq!(found, expected, "{name}: {authority}{path}");
            }
        }
        // The challenge names the form of the resource itself, never the root of its host.
        if expected == MCP {
            let challenged = fetch(&mut gate, "POST", "mcp.example.com", "/mcp", &[]);
            let challenge = format!("Bearer resource_metadata=\"https://mcp.example.com{WELL_KNOWN}/mcp\"");
            assert_eq!(reply_header(&challenged, "www-authenticate"), Some(&*challenge), "{name}");
        }
    }
}

#[test]
fn the_document_says_what_is_configured_and_nothing_else() {
    let minimal = config(json!([{ "resource": RESOURCE }]));
    let full = put(
        config(json!([{
            "resource": RESOURCE,
            "authorization_servers": ["https://second.example.com/realms/mcp", ISSUER],
            "audiences": ["api://3f5c"],
            "scopes": { "required": ["r"], "challenged": ["r", "w"], "advertised": ["b", "a", "b"] },
            "host_default": true,
            "metadata": {
                "resource_name": "Wetter „jetzt“ \"\\\u{1f}",
                "resource_documentation": "https://example.com/docs?a=b#c",
                "resource_policy_uri": "https://example.com/policy",
                "resource_tos_uri": "https://example.com/tos",
                "max_age": "90s",
            },
        }])),
        "/authorization_servers",
        json!([
            { "issuer": ISSUER, "cluster": "idp" },
            { "issuer": "https://second.example.com/realms/mcp", "cluster": "second" },
            { "issuer": "https://third.example.com", "cluster": "third" },
        ]),
    );
    let scopes = |scopes: Value| config(json!([{ "resource": RESOURCE, "scopes": scopes }]));
    let of_scopes = |scopes: &str| {
        format!(
            "{{\"resource\":\"https://mcp.example.com/mcp\",\"authorization_servers\":[\"https://idp.example.com\"],\
             {scopes}\"bearer_methods_supported\":[\"header\"]}}"
        )
    };
    let rows = [
        ("minimal: no empty list (RFC 9728 section 3.2)", minimal, of_scopes("")),
        (
            "full: issuers in the order of the resource, as they are written",
            full,
            "{\"resource\":\"https://mcp.example.com/mcp\",\
             \"authorization_servers\":[\"https://second.example.com/realms/mcp\",\"https://idp.example.com\"],\
             \"scopes_supported\":[\"a\",\"b\"],\"bearer_methods_supported\":[\"header\"],\
             \"resource_name\":\"Wetter „jetzt“ \\\"\\\\\\u001f\",\
             \"resource_documentation\":\"https://example.com/docs?a=b#c\",\
             \"resource_policy_uri\":\"https://example.com/policy\",\"resource_tos_uri\":\"https://example.com/tos\"}"
                .to_owned(),
        ),
        (
            "required scopes are advertised",
            scopes(json!({ "required": ["r"] })),
            of_scopes("\"scopes_supported\":[\"r\"],"),
        ),
        ("challenged ones are not", scopes(json!({ "challenged": ["c"] })), of_scopes("")),
        (
            "advertised ones take their place",
            scopes(json!({ "required": ["r"], "advertised": ["s"] })),
            of_scopes("\"scopes_supported\":[\"s\"],"),
        ),
        ("an empty list hides them", scopes(json!({ "required": ["r"], "advertised": [] })), of_scopes("")),
    ];
    for (name, config, expected) in rows {
        let reply = get(&mut gate(&config), "mcp.example.com", &format!("{WELL_KNOWN}/mcp"));
        assert_eq!(body(&reply), expected, "{name}");
        assert!(serde_json::from_slice::<Value>(reply.body()).is_ok(), "{name}");
        assert!(!body(&reply).contains("offline_access"), "{name}");
    }
}

/// Without a list of its own a resource takes every issuer, in the order of the file: clients use the first.
#[test]
fn the_order_of_authorization_servers_is_an_interface() {
    let server = |issuer: &str| json!({ "issuer": issuer, "cluster": "idp" });
    for issuers in
        [["https://b.example.com/", "https://a.example.com"], ["https://a.example.com", "https://b.example.com/"]]
    {
        let config = put(inline_config(), "/authorization_servers", json!([server(issuers[0]), server(issuers[1])]));
        let reply = get(&mut gate(&config), "mcp.example.com", &format!("{WELL_KNOWN}/mcp"));
        let document: Value = serde_json::from_slice(reply.body()).expect("JSON");
        assert_eq!(document["authorization_servers"], json!(issuers));
    }
}

/// RFC 9728 section 7.3: whoever can choose the host must not choose what the document says.
#[test]
fn nothing_of_the_request_enters_the_document() {
    let config = config(json!([{ "resource": RESOURCE, "host_default": true }]));
    let path = format!("{WELL_KNOWN}/mcp");
    let mut gate = gate(&config);
    let expected = get(&mut gate, "mcp.example.com", &path);
    let rows = [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", "81"),
        ("x-forwarded-prefix", "/evil"),
        ("forwarded", "host=evil.example;proto=http"),
        ("x-original-host", "evil.example"),
        ("x-original-url", "/evil"),
        (":scheme", "http"),
        ("origin", "https://evil.example"),
        ("referer", "https://evil.example/"),
        ("accept", "text/html"),
        ("accept-language", "xx"),
        ("authorization", "Bearer evil"),
        ("cookie", "evil=1"),
        ("range", "bytes=0-1"),
        ("if-modified-since", "Thu, 01 Jan 2099 00:00:00 GMT"),
    ];
    for header in rows {
        assert_eq!(fetch(&mut gate, "GET", "mcp.example.com", &path, &[header]), expected, "{header:?}");
    }
    for authority in ["MCP.EXAMPLE.COM", "mcp.example.com:443"] {
        assert_eq!(get(&mut gate, authority, &path), expected, "{authority}");
    }
    assert_eq!(get(&mut gate, "mcp.example.com", &format!("{path}?resource=evil")), expected, "a query");
    assert_eq!(reply_header(&expected, "content-type"), Some(JSON));
    // Both places of one resource have the same document.
    assert_eq!(get(&mut gate, "mcp.example.com", WELL_KNOWN), expected, "the root form");
}
