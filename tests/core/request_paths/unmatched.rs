//! What becomes of requests that belong to no resource: 404, or, if the operator said so loudly, the upstream.

use mcp_oauth::gate::Gate;
use serde_json::json;

use super::{NO_DOCUMENT, UNMATCHED, at, with_resources};
use crate::support::{gate, put};

const MCP: &str = "401 https://mcp.example.com/.well-known/oauth-protected-resource/mcp";

fn gates(resources: &[&str]) -> (Gate, Gate) {
    let config = with_resources(resources);
    (gate(&config), gate(&put(config, "/unmatched", json!("insecure_forward"))))
}

/// Authority, path, answer of `deny`, answer of `insecure_forward`.
#[test]
fn only_what_belongs_to_no_resource_of_any_host_may_go_on() {
    let (mut deny, mut forward) = gates(&["https://mcp.example.com/mcp"]);
    let rows = [
        ("mcp.example.com", "/mcp", MCP, MCP),
        ("mcp.example.com", "/mcp/x", MCP, MCP),
        ("mcp.example.com", "/health", UNMATCHED, "not ours"),
        ("mcp.example.com", "/", UNMATCHED, "not ours"),
        ("mcp.example.com", "/mcpx", UNMATCHED, "not ours"),
        ("example.org", "/health", UNMATCHED, "not ours"),
        // A spoofed host, perhaps: routes of a proxy often look at the path alone.
        ("example.org", "/mcp", UNMATCHED, UNMATCHED),
        ("example.org", "/mcp/x?y", UNMATCHED, UNMATCHED),
        ("mcp.example.com:8080", "/mcp", UNMATCHED, UNMATCHED),
        ("mcp.example.com.", "/mcp", UNMATCHED, UNMATCHED),
        ("MCP.EXAMPLE.COM", "/mcp", MCP, MCP),
        // Metadata is served here or nowhere.
        ("mcp.example.com", "/.well-known/oauth-protected-resource", NO_DOCUMENT, NO_DOCUMENT),
        ("mcp.example.com", "/.well-known/oauth-protected-resource/other", NO_DOCUMENT, NO_DOCUMENT),
        ("example.org", "/.well-known/oauth-protected-resource/mcp", NO_DOCUMENT, NO_DOCUMENT),
        ("example.org", "/.well-known/oauth-protected-resource", NO_DOCUMENT, NO_DOCUMENT),
    ];
    for (authority, path, denied, forwarded) in rows {
        assert_eq!(at(&mut deny, authority, path), denied, "deny: {authority}{path}");
        assert_eq!(at(&mut forward, authority, path), forwarded, "insecure_forward: {authority}{path}");
    }
}

/// The same spoofed host, but one that is configured for something else.
#[test]
fn the_path_of_another_configured_host_may_not_go_on() {
    let (mut deny, mut forward) = gates(&[
        "https://mcp.example.com/mcp",
        "https://mcp.example.com:8443/admin",
        "https://weather.example.com/weather",
    ]);
    let rows = [
        ("weather.example.com", "/mcp"),
        ("weather.example.com", "/mcp/x"),
        ("mcp.example.com", "/weather"),
        ("mcp.example.com", "/admin"),
        ("mcp.example.com:8443", "/mcp"),
    ];
    for (authority, path) in rows {
        assert_eq!(at(&mut deny, authority, path), UNMATCHED, "deny: {authority}{path}");
        assert_eq!(at(&mut forward, authority, path), UNMATCHED, "insecure_forward: {authority}{path}");
    }
    assert_eq!(at(&mut forward, "weather.example.com", "/health"), "not ours", "a path of nobody");
}

/// docs/decisions/0006: a resource that is a bare origin owns every path of every host.
#[test]
fn beside_a_bare_origin_nothing_goes_on() {
    let (_, mut forward) = gates(&["https://mcp.example.com/mcp", "https://weather.example.com"]);
    for authority in ["example.org", "mcp.example.com"] {
        for path in ["/health", "/"] {
            assert_eq!(at(&mut forward, authority, path), UNMATCHED, "{authority}{path}");
        }
    }
}
