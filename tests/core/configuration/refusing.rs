//! The policy of a configuration that was refused: 503 to everything, whatever the proxy does with the refusal.

use mcp_oauth::{gate::Gate, policy::Policy, refusal::Refusal};

use crate::support::{NOW, ask, good_token, reply, reply_header};

#[test]
fn everything_is_answered_503() {
    let authorization = format!("Bearer {}", good_token());
    let credentials = ("authorization", authorization.as_str());
    let origin = [("origin", "https://app.example.com"), ("access-control-request-method", "POST")];
    let rows: [(&str, Vec<(&str, &str)>); 10] = [
        ("no headers at all", vec![]),
        ("without a path", vec![(":method", "GET"), (":authority", "mcp.example.com")]),
        ("an ambiguous path", vec![(":method", "GET"), (":authority", "mcp.example.com"), (":path", "/a/../b")]),
        ("no token", vec![(":method", "POST"), (":authority", "mcp.example.com"), (":path", "/mcp")]),
        ("a token", vec![(":method", "POST"), (":authority", "mcp.example.com"), (":path", "/mcp"), credentials]),
        ("another host", vec![(":method", "GET"), (":authority", "example.org"), (":path", "/")]),
        (
            "resource metadata",
            vec![
                (":method", "GET"),
                (":authority", "mcp.example.com"),
                (":path", "/.well-known/oauth-protected-resource/mcp"),
            ],
        ),
        (
            "server metadata",
            vec![
                (":method", "GET"),
                (":authority", "mcp.example.com"),
                (":path", "/.well-known/oauth-authorization-server"),
            ],
        ),
        (
            "a preflight",
            vec![(":method", "OPTIONS"), (":authority", "mcp.example.com"), (":path", "/mcp"), origin[0], origin[1]],
        ),
        ("an odd method", vec![(":method", "PURGE"), (":authority", "mcp.example.com"), (":path", "/health")]),
    ];
    let mut gate = Gate::new(Policy::refusing());
    for (name, lines) in rows {
        let reply = reply(ask(&mut gate, &lines));
        assert_eq!(reply.refusal(), Some(&Refusal::Misconfigured), "{name}");
        assert_eq!(reply.status(), 503, "{name}");
        assert_eq!(reply.reason(), "mcp_oauth_misconfigured", "{name}");
        assert_eq!(reply_header(&reply, "www-authenticate"), None, "{name}");
        assert_eq!(reply_header(&reply, "retry-after"), Some("1"), "{name}");
        assert_eq!(
            reply.body(),
            br#"{"error":"temporarily_unavailable","error_description":"the gateway is misconfigured"}"#,
            "{name}"
        );
    }
    assert!(gate.poll_fetch(NOW).is_none(), "nothing is fetched");
    assert_eq!(gate.next_call(), None);
}
