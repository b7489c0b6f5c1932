//! Clients in a browser (Fetch standard, spec section 4): preflights without credentials, readable answers.

use mcp_oauth::{
    fetch::Answer,
    forward::Edit,
    gate::{Gate, Verdict},
    reply::Reply,
    request::Request,
};
use serde_json::json;

use crate::support::{
    NOW, ask, gate, good_token, head, inline_config, jwk, jwks, put, remote_config, reply, reply_header,
};

const DOCUMENT: &str = "/.well-known/oauth-protected-resource/mcp";
const ORIGIN: (&str, &str) = ("origin", "https://app.example.com");
const METHOD: (&str, &str) = ("access-control-request-method", "POST");

fn options(gate: &mut Gate, path: &str, more: &[(&str, &str)]) -> Reply {
    let mut lines = vec![(":method", "OPTIONS"), (":authority", "mcp.example.com"), (":path", path)];
    lines.extend(more);
    reply(ask(gate, &lines))
}

fn sorted(reply: &Reply) -> Vec<(&str, &str)> {
    let mut headers: Vec<_> = reply.headers().collect();
    headers.sort_unstable();
    headers
}

#[test]
fn a_preflight_is_answered_before_any_authentication() {
    let rows = [
        ("/mcp", "GET, POST, DELETE, OPTIONS", "https://app.example.com"),
        ("/mcp/x?y", "GET, POST, DELETE, OPTIONS", "null"),
        (DOCUMENT, "GET, HEAD, OPTIONS", "https://app.example.com"),
    ];
    // With keys that cannot be had, too: a preflight needs none.
    for config in [inline_config(), remote_config()] {
        let mut gate = gate(&config);
        for (path, methods, origin) in rows {
            let wanted = ("access-control-request-headers", "authorization,content-type,mcp-protocol-version");
            let found = options(&mut gate, path, &[("origin", origin), METHOD, wanted]);
            assert_eq!((found.status(), found.reason()), (204, "mcp_oauth_preflight"), "{path}");
            assert_eq!((found.body(), found.refusal()), (&b""[..], None), "{path}");
            assert_eq!(
                sorted(&found),
                [
                    ("access-control-allow-headers", wanted.1),
                    ("access-control-allow-methods", methods),
                    ("access-control-allow-origin", "*"),
                    ("access-control-max-age", "7200"),
                    ("cache-control", "no-store"),
                    ("vary", "Access-Control-Request-Headers"),
                ],
                "{path}"
            );
            // Credentials make no difference, good or bad.
            for authorization in ["Bearer", "Bearer a b", "Basic x"] {
                let more = [("origin", origin), METHOD, wanted, ("authorization", authorization)];
                assert_eq!(options(&mut gate, path, &more), found, "{path} with {authorization}");
            }
        }
    }
}

#[test]
fn a_preflight_for_nothing_is_nothing() {
    let mut gate = gate(&inline_config());
    for path in ["/", "/other", "/.well-known/oauth-protected-resource", "/.well-known/oauth-authorization-server"] {
        let found = options(&mut gate, path, &[ORIGIN, METHOD]);
        assert_eq!(found.status(), 404, "{path}");
        assert_eq!(reply_header(&found, "access-control-allow-methods"), None, "{path}");
    }
    assert_eq!(options(&mut gate, "/mcp/../x", &[ORIGIN, METHOD]).status(), 400);
}

/// `*` does not cover `Authorization`, and `Mcp-Param-*` is an open set, so the names are echoed: if they are names.
#[test]
fn header_names_are_echoed_and_nothing_else_is() {
    let rows: [(&str, &[u8], bool); 23] = [
        ("one", b"authorization", true),
        ("several", b"authorization,content-type", true),
        ("with spaces", b"Authorization, Content-Type, Mcp-Param-City", true),
        ("every tchar (RFC 9110 section 5.6.2)", b"!#$%&'*+-.^_`|~09AZaz", true),
        ("empty", b"", false),
        ("CR and LF", b"authorization\r\nset-cookie: a=b", false),
        ("LF", b"authorization\nx", false),
        ("CR", b"authorization\rx", false),
        ("NUL", b"authorization\0", false),
        ("a tab", b"authorization,\tcontent-type", false),
        ("a quote", b"authorization\"", false),
        ("a colon", b"authorization:", false),
        ("a semicolon", b"authorization;q=1", false),
        ("a slash", b"a/b", false),
        ("a backslash", b"a\\b", false),
        ("an equals sign", b"a=b", false),
        ("parentheses", b"a(b)", false),
        ("angle brackets", b"<script>", false),
        ("square brackets", b"a[b]", false),
        ("braces", b"a{b}", false),
        ("an at sign", b"a@b", false),
        ("UTF-8", "authorizatiön".as_bytes(), false),
        ("not UTF-8", b"authorization\xFF", false),
    ];
    let mut gate = gate(&inline_config());
    for path in ["/mcp", DOCUMENT] {
        for (name, value, echoed) in rows {
            let lines: [(&[u8], &[u8]); 6] = [
                (b":method", b"OPTIONS"),
                (b":authority", b"mcp.example.com"),
                (b":path", path.as_bytes()),
                (b"origin", b"https://app.example.com"),
                (b"access-control-request-method", b"POST"),
                (b"access-control-request-headers", value),
            ];
            let request = Request::new(lines, gate.policy().identity_headers());
            let found = reply(gate.on_request(1, &request, NOW));
            assert_eq!(found.status(), 204, "{name} at {path}");
            let expected = echoed.then(|| str::from_utf8(value).expect("ASCII"));
            assert_eq!(reply_header(&found, "access-control-allow-headers"), expected, "{name} at {path}");
        }
        let none = options(&mut gate, path, &[ORIGIN, METHOD]);
        assert_eq!(reply_header(&none, "access-control-allow-headers"), None, "{path}: nothing asked for");
    }
}

/// Spec section 4: a preflight has both headers; any other OPTIONS is a request like any other.
#[test]
fn an_options_request_that_is_no_preflight_needs_a_token() {
    let mut gate = gate(&inline_config());
    let expected = reply(ask(&mut gate, &head("/mcp", &[])));
    assert_eq!(expected.status(), 401);
    let names = ("access-control-request-headers", "authorization");
    let rows = [
        ("neither header", vec![]),
        ("no origin", vec![METHOD]),
        ("no method", vec![ORIGIN]),
        ("no method, but header names", vec![ORIGIN, names]),
        ("no origin, but header names", vec![METHOD, names]),
    ];
    for (name, more) in rows {
        assert_eq!(options(&mut gate, "/mcp", &more), expected, "{name}");
    }
    let of_preflight = [ORIGIN, METHOD];
    for method in ["GET", "POST", "options", "DELETE"] {
        let mut lines = vec![(":method", method), (":authority", "mcp.example.com"), (":path", "/mcp")];
        lines.extend(of_preflight);
        assert_eq!(reply(ask(&mut gate, &lines)), expected, "{method} with both headers");
    }
    let authorization = format!("Bearer {}", good_token());
    let mut lines = vec![(":method", "OPTIONS"), (":authority", "mcp.example.com"), (":path", "/mcp")];
    lines.push(("authorization", &authorization));
    assert!(matches!(ask(&mut gate, &lines), Verdict::Forward(_)), "with a token it goes upstream");
}

/// Without this a page sees neither the challenge nor the reason.
#[test]
fn every_answer_can_be_read_by_a_page() {
    let mut gate = gate(&inline_config());
    let rows = [
        ("POST", "/mcp", 401),
        ("GET", "/other", 404),
        ("GET", "/mcp/..", 400),
        ("GET", DOCUMENT, 200),
        ("POST", DOCUMENT, 405),
        ("GET", "/.well-known/oauth-protected-resource", 404),
    ];
    for (method, path, status) in rows {
        // With and without `Origin`: caches do not ask who wants it.
        for more in [&[ORIGIN][..], &[]] {
            let mut lines = vec![(":method", method), (":authority", "mcp.example.com"), (":path", path)];
            lines.extend(more);
            let found = reply(ask(&mut gate, &lines));
            assert_eq!(found.status(), status, "{method} {path}");
            assert_eq!(reply_header(&found, "access-control-allow-origin"), Some("*"), "{method} {path}");
            assert_eq!(
                reply_header(&found, "access-control-expose-headers"),
                Some("WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After, DPoP-Nonce"),
                "{method} {path}"
            );
            // Credentials are a header that a page must hold, never a cookie (spec section 4).
            assert_eq!(reply_header(&found, "access-control-allow-credentials"), None, "{method} {path}");
        }
    }
}

#[test]
fn a_forwarded_request_remembers_that_a_page_waits() {
    let authorization = format!("Bearer {}", good_token());
    let credentials = ("authorization", authorization.as_str());
    let rows = [
        ("an origin", vec![credentials, ORIGIN], true),
        ("an opaque origin", vec![credentials, ("origin", "null")], true),
        ("in another case", vec![credentials, ("Origin", "https://app.example.com")], true),
        ("none", vec![credentials], false),
        ("a referer", vec![credentials, ("referer", "https://app.example.com/")], false),
    ];
    let mut inline = gate(&inline_config());
    for (name, more, expected) in rows {
        let mut verdicts = vec![ask(&mut inline, &head("/mcp", &more))];
        // A request that was held remembers it, too.
        let mut remote =
            gate(&put(remote_config(), "/authorization_servers/0/jwks_uri", json!("https://idp.example.com/k")));
        assert!(matches!(ask(&mut remote, &head("/mcp", &more)), Verdict::Hold), "{name}");
        let fetch = remote.poll_fetch(NOW).expect("a fetch");
        let keys = jwks(&[jwk(1, "k1")]).to_string();
        let answer = Answer::Response {
            status: b"200",
            content_type: Some(b"application/json"),
            cache_control: None,
            body: keys.as_bytes(),
        };
        verdicts.extend(remote.on_answer(fetch.id, answer, NOW).resumed.into_iter().map(|resumed| resumed.verdict));
        assert_eq!(verdicts.len(), 2, "{name}");
        for verdict in verdicts {
            let Verdict::Forward(forward) = verdict else { panic!("{name}: {verdict:?}") };
            assert_eq!(forward.into_response_guard().is_cross_origin(), expected, "{name}");
        }
    }
}

#[test]
fn a_response_without_cors_headers_gets_them() {
    let authorization = format!("Bearer {}", good_token());
    let lines = head("/mcp", &[("authorization", &authorization), ("origin", "https://app.example")]);
    let Verdict::Forward(forward) = ask(&mut gate(&inline_config()), &lines) else { panic!("not forwarded") };
    let guard = forward.into_response_guard();
    let edits: Vec<Edit<'_>> = guard.cors_edits().collect();
    assert_eq!(
        edits,
        [
            Edit::Set("access-control-allow-origin", b"*"),
            Edit::Set(
                "access-control-expose-headers",
                b"WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After, DPoP-Nonce"
            ),
        ]
    );
}
