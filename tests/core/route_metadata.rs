//! Promise: a route names exactly one configured resource, and what cannot be known is refused.

use mcp_oauth::{
    gate::Verdict,
    refusal::Refusal,
    request::{Request, RouteResource},
};
use serde_json::{Value, json};

use crate::support::{
    NOW, RESOURCE, accepted, check, claims, findings, gate, good_token, head, header, inline_config, outcome, put,
    refused, reply, reply_header, sign, with,
};

const NEWS: &str = "https://news.example.com/news/mcp";
const NEWS_METADATA: &str = "https://news.example.com/.well-known/oauth-protected-resource/news/mcp";

fn config(reads: bool) -> Value {
    let resources = json!([{ "resource": RESOURCE }, { "resource": NEWS }]);
    with(put(inline_config(), "/resources", resources), "route_metadata", json!(reads))
}

fn ask(config: &Value, lines: &[(&str, &str)], route: RouteResource<'_>) -> Verdict {
    let mut gate = gate(config);
    let lines = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let request = Request::new(lines, gate.policy().identity_headers()).on_route(route);
    gate.on_request(1, &request, NOW)
}

fn bearer(audience: &str) -> String {
    format!("Bearer {}", sign(&header(), &with(claims(), "aud", json!(audience))))
}

#[test]
fn the_name_is_compared_byte_for_byte() {
    use RouteResource::{Named, Unknown, Unnamed};
    let unknown = |name: &str| Refusal::RouteResource(name.to_owned());
    let rows = vec![
        accepted("its own name", Named(RESOURCE.as_bytes())),
        accepted("no name", Unnamed),
        refused("a slash more", Named(b"https://mcp.example.com/mcp/"), unknown("https://mcp.example.com/mcp/")),
        refused("a path below", Named(b"https://mcp.example.com/mcp/x"), unknown("https://mcp.example.com/mcp/x")),
        refused("another case", Named(b"https://MCP.example.com/mcp"), unknown("https://MCP.example.com/mcp")),
        refused("nothing in it", Named(b""), unknown("")),
        refused("no UTF-8", Named(b"\xff"), unknown("\u{fffd}")),
        refused("not looked at", Unknown, Refusal::Host("route metadata")),
    ];
    let authorization = format!("Bearer {}", good_token());
    let lines = head("/mcp", &[("authorization", &authorization)]);
    check(rows, |route| outcome(ask(&config(true), &lines, *route)));
}

#[test]
fn the_named_resource_counts_whatever_host_and_path() {
    let named = RouteResource::Named(NEWS.as_bytes());
    for path in ["/mcp", "/elsewhere"] {
        let (theirs, ours) = (bearer(NEWS), bearer(RESOURCE));
        assert_eq!(outcome(ask(&config(true), &head(path, &[("authorization", &theirs)]), named)), Ok(()), "{path}");
        let refused = reply(ask(&config(true), &head(path, &[("authorization", &ours)]), named));
        assert_eq!(refused.status(), 401, "{path}");
        let challenge = reply_header(&refused, "www-authenticate").expect("a challenge");
        assert!(challenge.contains(NEWS_METADATA), "{challenge}");
    }
    let ambiguous = ask(&config(true), &head("/mcp/../x", &[("authorization", &bearer(NEWS))]), named);
    assert_eq!(reply(ambiguous).status(), 400);
}

#[test]
fn documents_and_preflights_are_answered_on_every_route() {
    let document = "/.well-known/oauth-protected-resource/mcp";
    let rows = [
        (document, NEWS, 200),
        (document, "nobody", 200),
        ("/.well-known/oauth-protected-resource/x", NEWS, 404),
        ("/.well-known/oauth-authorization-server", NEWS, 404),
        ("/.well-known/openid-configuration/mcp", NEWS, 404),
        // Not one of these documents.
        ("/.well-known/other", NEWS, 401),
        ("/.well-known/other", "nobody", 503),
    ];
    for (path, name, status) in rows {
        let lines = [(":method", "GET"), (":authority", "mcp.example.com"), (":path", path)];
        let answer = reply(ask(&config(true), &lines, RouteResource::Named(name.as_bytes())));
        assert_eq!(answer.status(), status, "{path} on a route for {name}");
    }
    let preflight = [
        (":method", "OPTIONS"),
        (":authority", "gateway"),
        (":path", "/elsewhere"),
        ("origin", "https://app.example.com"),
        ("access-control-request-method", "POST"),
    ];
    assert_eq!(reply(ask(&config(true), &preflight, RouteResource::Named(NEWS.as_bytes()))).status(), 204);
}

#[test]
fn without_the_setting_no_name_counts() {
    let authorization = bearer(RESOURCE);
    let lines = head("/mcp", &[("authorization", &authorization)]);
    for name in [NEWS, "nobody"] {
        assert_eq!(outcome(ask(&config(false), &lines, RouteResource::Named(name.as_bytes()))), Ok(()), "{name}");
    }
}

/// Asking the proxy costs something.
#[test]
fn the_proxy_is_asked_where_the_setting_is_on() {
    for reads in [false, true] {
        assert_eq!(gate(&config(reads)).policy().reads_route_metadata(), reads);
    }
}

#[test]
fn the_setting_is_true_or_false() {
    for (value, expected) in [(json!(true), vec![]), (json!(false), vec![]), (json!("true"), vec!["a text"])] {
        let expected: Vec<_> = expected
            .iter()
            .map(|found| format!("route_metadata: is {found} where true or false is expected"))
            .collect();
        assert_eq!(findings(&with(inline_config(), "route_metadata", value)), expected);
    }
}
