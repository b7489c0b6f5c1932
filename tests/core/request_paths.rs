//! Which resource a request is for: one reading of the path or none, and nothing reaches an upstream by a spelling.

mod ambiguous;
mod unmatched;

use mcp_oauth::{gate::Gate, gate::Verdict, request::Request};
use serde_json::{Value, json};

use crate::support::{NOW, ask, gate, good_token, inline_config, put, reply, reply_header};

/// A configuration with these resources.
fn with_resources(uris: &[&str]) -> Value {
    let resources: Vec<Value> = uris.iter().map(|uri| json!({ "resource": uri })).collect();
    put(inline_config(), "/resources", json!(resources))
}

/// A verdict in a few words: the resource that challenges, or status and reason.
fn told(verdict: Verdict) -> String {
    let reply = match verdict {
        Verdict::Reply(reply) => reply,
        Verdict::NotOurs(_) => return "not ours".into(),
        Verdict::Forward(_) => return "forward".into(),
        Verdict::Hold => return "hold".into(),
        Verdict::ReadBody(_) => return "read body".into(),
    };
    let url = reply_header(&reply, "www-authenticate").and_then(|challenge| challenge.split('"').nth(1));
    url.map_or_else(|| format!("{} {}", reply.status(), reply.reason()), |url| format!("{} {url}", reply.status()))
}

/// What a request without a token is told.
fn at(gate: &mut Gate, authority: &str, path: &str) -> String {
    told(ask(gate, &[(":method", "POST"), (":authority", authority), (":path", path)]))
}

const UNMATCHED: &str = "404 mcp_oauth_unmatched";
const NO_DOCUMENT: &str = "404 mcp_oauth_no_document";

#[test]
fn the_longest_path_wins_on_segment_boundaries() {
    const MCP: &str = "401 https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
    const ADMIN: &str = "401 https://mcp.example.com/.well-known/oauth-protected-resource/mcp/admin";
    const DEEP: &str = "401 https://mcp.example.com/.well-known/oauth-protected-resource/a/b/c/";
    const PORT: &str = "401 https://mcp.example.com:8443/.well-known/oauth-protected-resource/mcp";
    const ORIGIN: &str = "401 https://weather.example.com/.well-known/oauth-protected-resource";
    const UNDER_ORIGIN: &str = "401 https://weather.example.com/.well-known/oauth-protected-resource/mcp";
    const LOCAL: &str = "401 http://localhost/.well-known/oauth-protected-resource/mcp";
    let mut resources = [
        "https://mcp.example.com/mcp",
        "https://mcp.example.com/mcp/admin",
        "https://mcp.example.com/a/b/c/",
        "https://mcp.example.com:8443/mcp",
        "https://weather.example.com",
        "https://weather.example.com/mcp",
        "http://localhost/mcp",
    ];
    let rows = [
        ("the path itself", "mcp.example.com", "/mcp", MCP),
        ("a trailing slash", "mcp.example.com", "/mcp/", MCP),
        ("below it", "mcp.example.com", "/mcp/x/y", MCP),
        ("a query", "mcp.example.com", "/mcp?session=1", MCP),
        ("an empty query", "mcp.example.com", "/mcp?", MCP),
        ("a query like a path", "mcp.example.com", "/mcp?/admin", MCP),
        ("a query with what a path may not have", "mcp.example.com", "/mcp?a=../..//;\\%2f%", MCP),
        ("a longer path", "mcp.example.com", "/mcp/admin", ADMIN),
        ("below the longer path", "mcp.example.com", "/mcp/admin/", ADMIN),
        ("no boundary of the longer path", "mcp.example.com", "/mcp/administrator", MCP),
        ("another case of the longer path", "mcp.example.com", "/mcp/Admin", UNMATCHED),
        ("another case below the path", "mcp.example.com", "/mcp/Other", MCP),
        ("no boundary", "mcp.example.com", "/mcp-admin", UNMATCHED),
        ("no boundary but a dot", "mcp.example.com", "/mcp.json", UNMATCHED),
        ("a prefix", "mcp.example.com", "/mc", UNMATCHED),
        ("another case", "mcp.example.com", "/MCP", UNMATCHED),
        ("the root", "mcp.example.com", "/", UNMATCHED),
        ("in the middle", "mcp.example.com", "/x/mcp", UNMATCHED),
        ("a resource with a slash", "mcp.example.com", "/a/b/c/", DEEP),
        ("a resource with a slash, without it", "mcp.example.com", "/a/b/c", DEEP),
        ("below a resource with a slash", "mcp.example.com", "/a/b/c/d", DEEP),
        ("above a resource", "mcp.example.com", "/a/b", UNMATCHED),
        // RFC 9110 section 4.2.3: hosts have no case, and a default port may be written.
        ("the host in another case", "MCP.Example.COM", "/mcp", MCP),
        ("the default port", "mcp.example.com:443", "/mcp", MCP),
        ("the default port and case", "Mcp.example.com:443", "/mcp", MCP),
        ("the other port", "mcp.example.com:8443", "/mcp", PORT),
        ("a path that the other port has not", "mcp.example.com:8443", "/a/b/c", UNMATCHED),
        ("the port of http", "mcp.example.com:80", "/mcp", UNMATCHED),
        ("a port that is a prefix", "mcp.example.com:844", "/mcp", UNMATCHED),
        ("an unknown host", "example.com", "/mcp", UNMATCHED),
        ("a host below", "x.mcp.example.com", "/mcp", UNMATCHED),
        ("a host that goes on", "mcp.example.com.evil.example", "/mcp", UNMATCHED),
        ("an absolute host", "mcp.example.com.", "/mcp", UNMATCHED),
        ("a bare origin", "weather.example.com", "/", ORIGIN),
        ("everything below a bare origin", "weather.example.com", "/a/b?c", ORIGIN),
        ("a path beside a bare origin", "weather.example.com", "/mcp/x", UNDER_ORIGIN),
        ("no boundary of the path beside it", "weather.example.com", "/mcpx", ORIGIN),
        ("loopback", "localhost", "/mcp", LOCAL),
        ("loopback, default port of http", "localhost:80", "/mcp", LOCAL),
        ("loopback, default port of https", "localhost:443", "/mcp", UNMATCHED),
    ];
    // In whatever order they are configured.
    for _ in 0..2 {
        let mut gate = gate(&with_resources(&resources));
        for (name, authority, path, expected) in rows {
            assert_eq!(at(&mut gate, authority, path), expected, "{name}: {authority}{path}");
        }
        resources.reverse();
    }
}

/// Spec 2.5 and 3.5: older clients look there; 401 or another server's metadata sends them the wrong way.
#[test]
fn a_resource_has_no_authorization_server_metadata() {
    let mut gate = gate(&with_resources(&["https://mcp.example.com", "https://other.example.com/mcp"]));
    let rows = [
        ("mcp.example.com", "/.well-known/oauth-authorization-server", NO_DOCUMENT),
        ("mcp.example.com", "/.well-known/oauth-authorization-server/", NO_DOCUMENT),
        ("mcp.example.com", "/.well-known/oauth-authorization-server/mcp?x", NO_DOCUMENT),
        ("mcp.example.com", "/.well-known/openid-configuration", NO_DOCUMENT),
        ("mcp.example.com", "/.well-known/openid-configuration/tenant", NO_DOCUMENT),
        ("other.example.com", "/.well-known/oauth-authorization-server", UNMATCHED),
        ("other.example.com", "/.well-known/openid-configuration/mcp", UNMATCHED),
        (
            "mcp.example.com",
            "/.well-known/oauth-authorization-servers",
            "401 https://mcp.example.com/.well-known/oauth-protected-resource",
        ),
        (
            "mcp.example.com",
            "/.well-known/security.txt",
            "401 https://mcp.example.com/.well-known/oauth-protected-resource",
        ),
    ];
    for (authority, path, expected) in rows {
        assert_eq!(at(&mut gate, authority, path), expected, "{authority}{path}");
        let authorization = format!("Bearer {}", good_token());
        let lines =
            [(":method", "GET"), (":authority", authority), (":path", path), ("authorization", &*authorization)];
        assert!(!matches!(ask(&mut gate, &lines), Verdict::Forward(_)), "{authority}{path} with a token");
    }
}

/// MCP transports: what is asked, how and with which content does not matter before the token does.
#[test]
fn every_method_and_content_type_is_challenged_alike() {
    let mut gate = gate(&inline_config());
    let ask = |gate: &mut Gate, method: &[u8], more: &[(&str, &str)]| {
        let mut lines: Vec<(&[u8], &[u8])> =
            vec![(b":method", method), (b":authority", b"mcp.example.com"), (b":path", b"/mcp")];
        lines.extend(more.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        gate.on_request(1, &Request::new(lines, gate.policy().identity_headers()), NOW)
    };
    let expected = reply(ask(&mut gate, b"POST", &[]));
    assert_eq!(expected.status(), 401);
    let methods: [&[u8]; 17] = [
        b"GET",
        b"HEAD",
        b"PUT",
        b"PATCH",
        b"DELETE",
        b"OPTIONS",
        b"TRACE",
        b"CONNECT",
        b"QUERY",
        b"PROPFIND",
        b"PRI",
        b"get",
        b"options",
        b"M-SEARCH",
        b"X",
        b"",
        b"\xff\x00",
    ];
    let authorization = format!("Bearer {}", good_token());
    for method in methods {
        let shown = String::from_utf8_lossy(method);
        assert_eq!(reply(ask(&mut gate, method, &[])), expected, "{shown:?}");
        let with_token = ask(&mut gate, method, &[("authorization", &authorization)]);
        // RFC 9110 section 9.3.8: it comes back with all headers, those of the gate too.
        if method == b"TRACE" {
            let refused = reply(with_token);
            assert_eq!((refused.status(), refused.reason()), (405, "mcp_oauth_method"));
            continue;
        }
        assert!(matches!(with_token, Verdict::Forward(_)), "{shown:?} with a token: {with_token:?}");
    }
    let contents = [
        ("content-type", "application/json"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-type", "text/event-stream"),
        ("content-type", ""),
        ("content-encoding", "gzip"),
        ("accept", "text/html"),
        ("upgrade", "websocket"),
        (":protocol", "websocket"),
        ("expect", "100-continue"),
        ("x-http-method-override", "OPTIONS"),
        ("x-original-url", "/health"),
        ("x-forwarded-host", "example.org"),
        ("x-envoy-original-path", "/health"),
    ];
    for content in contents {
        assert_eq!(reply(ask(&mut gate, b"POST", &[content])), expected, "{content:?}");
    }
}

#[test]
fn method_path_and_authority_are_there_exactly_once() {
    const HEAD: &str = "400 mcp_oauth_malformed_request";
    const MCP: &str = "401 https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
    let (method, authority, path) = ((":method", "POST"), (":authority", "mcp.example.com"), (":path", "/mcp"));
    let rows = [
        ("all", vec![method, authority, path], MCP),
        ("in another order", vec![path, authority, method], MCP),
        ("names in another case", vec![(":Method", "POST"), (":AUTHORITY", "mcp.example.com"), (":Path", "/mcp")], MCP),
        ("nothing", vec![], HEAD),
        ("no method", vec![authority, path], HEAD),
        ("no path", vec![method, authority], HEAD),
        ("no authority", vec![method, path], HEAD),
        ("host instead of authority", vec![method, ("host", "mcp.example.com"), path], MCP),
        ("host beside authority", vec![method, authority, ("host", "mcp.example.com"), path], MCP),
        ("another host beside authority", vec![method, authority, ("host", "example.org"), path], MCP),
        (
            "the host beside another authority",
            vec![method, (":authority", "example.org"), ("host", "mcp.example.com"), path],
            UNMATCHED,
        ),
        ("two methods", vec![method, method, authority, path], HEAD),
        ("two paths", vec![method, authority, path, (":path", "/health")], HEAD),
        ("two paths that are the same", vec![method, authority, path, path], HEAD),
        ("two authorities", vec![method, authority, (":authority", "example.org"), path], HEAD),
        ("two hosts", vec![method, ("host", "mcp.example.com"), ("Host", "example.org"), path], HEAD),
        ("two hosts beside authority", vec![method, authority, ("host", "a"), ("host", "b"), path], HEAD),
    ];
    for unmatched in ["deny", "insecure_forward"] {
        let mut gate = gate(&put(inline_config(), "/unmatched", json!(unmatched)));
        for (name, lines, expected) in &rows {
            assert_eq!(told(ask(&mut gate, lines)), *expected, "{name}, {unmatched}");
        }
    }
}

/// RFC 9110 section 7.2: a value that is no host is answered 400, and the agreed interface says so, too.
#[test]
fn an_authority_that_is_no_host_is_malformed() {
    let rows: [(&str, &[u8]); 7] = [
        ("empty", b""),
        ("two hosts in one", b"mcp.example.com, example.org"),
        ("user information", b"me@mcp.example.com"),
        ("a path", b"mcp.example.com/mcp"),
        ("white space", b"mcp.example.com "),
        ("a control byte", b"mcp.example.com\0"),
        ("not UTF-8", b"mcp.example.com\xff"),
    ];
    for unmatched in ["deny", "insecure_forward"] {
        let mut gate = gate(&put(inline_config(), "/unmatched", json!(unmatched)));
        for (name, authority) in rows {
            let lines: [(&[u8], &[u8]); 3] =
                [(b":method", b"POST"), (b":authority", authority), (b":path", b"/health")];
            let request = Request::new(lines, gate.policy().identity_headers());
            let found = told(gate.on_request(1, &request, NOW));
            assert_eq!(found, "400 mcp_oauth_malformed_request", "{name}, {unmatched}");
        }
    }
}
