//! Origins that may ask (MCP transports, Security Warning; spec section 4): a list, or everybody.

use mcp_oauth::{
    forward::Edit,
    gate::{Gate, Verdict},
    refusal::Refusal,
    reply::Reply,
};
use serde_json::{Value, json};

use crate::support::{
    ask, findings, gate, good_token, head, inline_config, outcome, put, remote_config, reply, reply_header, with,
};

const APP: &str = "https://app.example.com";
const OTHER: &str = "http://localhost:6274";
const EXPOSED: &str = "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After, DPoP-Nonce";
const DOCUMENT: &str = "/.well-known/oauth-protected-resource/mcp";

fn listing() -> Value {
    put(inline_config(), "/resources/0/origins", json!([OTHER, APP]))
}

fn send(config: &Value, method: &str, path: &str, token: &str, more: &[(&str, &str)]) -> Verdict {
    let authorization = format!("Bearer {token}");
    let mut lines = vec![(":method", method), (":authority", "mcp.example.com"), (":path", path)];
    lines.extend((!token.is_empty()).then_some(("authorization", authorization.as_str())));
    lines.extend(more);
    ask(&mut gate(config), &lines)
}

fn sorted(reply: &Reply) -> Vec<(&str, &str)> {
    let mut headers: Vec<_> = reply.headers().collect();
    headers.sort_unstable();
    headers
}

#[test]
fn only_listed_origins_may_ask() {
    let origin = |value: &'static str| vec![("origin", value)];
    let rows = [
        ("listed", origin(APP), true),
        ("listed too", origin(OTHER), true),
        ("none: not a browser", vec![], true),
        ("a referer is no origin", vec![("referer", "https://evil.example")], true),
        ("another host", origin("https://evil.example"), false),
        ("a subdomain", origin("https://x.app.example.com"), false),
        ("a longer host", origin("https://app.example.com.evil.example"), false),
        ("another scheme", origin("http://app.example.com"), false),
        ("a port", origin("https://app.example.com:8443"), false),
        ("the default port", origin("https://app.example.com:443"), false),
        ("another port", origin("http://localhost:6275"), false),
        ("another case", origin("https://APP.example.com"), false),
        ("a slash", origin("https://app.example.com/"), false),
        ("opaque", origin("null"), false),
        ("empty", origin(""), false),
        ("two in one line", origin("https://app.example.com https://app.example.com"), false),
        ("two lines", vec![("origin", APP), ("Origin", APP)], false),
        ("a listed line and another", vec![("origin", APP), ("origin", "https://evil.example")], false),
        ("another name case", vec![("ORIGIN", "https://evil.example")], false),
    ];
    for (name, more, allowed) in rows {
        for method in ["POST", "GET", "DELETE"] {
            let found = outcome(send(&listing(), method, "/mcp", &good_token(), &more));
            assert_eq!(found, if allowed { Ok(()) } else { Err(Refusal::Origin) }, "{name}: {method}");
            assert_eq!(
                outcome(send(&inline_config(), method, "/mcp", &good_token(), &more)),
                Ok(()),
                "{name}, no list"
            );
        }
    }
    let nobody = put(inline_config(), "/resources/0/origins", json!([]));
    assert_eq!(outcome(send(&nobody, "POST", "/mcp", &good_token(), &origin(APP))), Err(Refusal::Origin));
    assert_eq!(outcome(send(&nobody, "POST", "/mcp", &good_token(), &[])), Ok(()));
}

/// Section 4: 403 without CORS headers, before any authentication.
#[test]
fn whoever_may_not_ask_may_not_read_why() {
    let preflight = [("origin", "null"), ("access-control-request-method", "POST")];
    for (method, more) in
        [("POST", &preflight[..1]), ("GET", &preflight[..1]), ("OPTIONS", &preflight), ("OPTIONS", &preflight[..1])]
    {
        for token in ["", "x", &good_token()] {
            let found = reply(send(&listing(), method, "/mcp", token, more));
            assert_eq!((found.status(), found.reason()), (403, "mcp_oauth_origin"), "{method} {token}");
            let body = r#"{"error":"access_denied","error_description":"the origin is not allowed"}"#;
            assert_eq!(str::from_utf8(found.body()), Ok(body));
            let expected = [("cache-control", "no-store"), ("content-type", "application/json"), ("vary", "Origin")];
            assert_eq!(sorted(&found), expected, "{method} {token}");
        }
    }
}

#[test]
fn a_listed_origin_is_named_in_every_refusal() {
    for origin in [APP, OTHER] {
        let found = reply(send(&listing(), "POST", "/mcp", "", &[("origin", origin)]));
        assert_eq!(found.status(), 401);
        let challenge = reply_header(&found, "www-authenticate").expect("a challenge").to_owned();
        let expected = [
            ("access-control-allow-origin", origin),
            ("access-control-expose-headers", EXPOSED),
            ("cache-control", "no-store"),
            ("content-type", "application/json"),
            ("vary", "Origin"),
            ("www-authenticate", &challenge),
        ];
        assert_eq!(sorted(&found), expected);
    }
    let found = reply(send(&listing(), "POST", "/mcp", "", &[]));
    let names: Vec<&str> = sorted(&found).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["cache-control", "content-type", "vary", "www-authenticate"], "without an origin");
    let open = reply(send(&inline_config(), "POST", "/mcp", "", &[("origin", "null")]));
    assert_eq!(reply_header(&open, "access-control-allow-origin"), Some("*"), "without a list");
    assert_eq!(reply_header(&open, "vary"), None, "without a list");
}

#[test]
fn a_preflight_of_a_listed_origin_names_it() {
    let wanted = ("access-control-request-headers", "authorization, mcp-param-x");
    let method = ("access-control-request-method", "POST");
    let rows = [
        (listing(), APP, APP, "Origin, Access-Control-Request-Headers"),
        (listing(), OTHER, OTHER, "Origin, Access-Control-Request-Headers"),
        (inline_config(), APP, "*", "Access-Control-Request-Headers"),
        (inline_config(), "null", "*", "Access-Control-Request-Headers"),
    ];
    for (config, origin, allowed, vary) in rows {
        let found = reply(send(&config, "OPTIONS", "/mcp", "", &[("origin", origin), method, wanted]));
        assert_eq!((found.status(), found.body()), (204, &b""[..]));
        let expected = [
            ("access-control-allow-headers", wanted.1),
            ("access-control-allow-methods", "GET, POST, DELETE, OPTIONS"),
            ("access-control-allow-origin", allowed),
            ("access-control-max-age", "7200"),
            ("cache-control", "no-store"),
            ("vary", vary),
        ];
        assert_eq!(sorted(&found), expected, "{origin}");
    }
}

/// Section 4: the well-known documents stay public.
#[test]
fn metadata_is_public_for_every_origin() {
    for origin in [APP, "https://evil.example", "null"] {
        for config in [listing(), inline_config()] {
            let found = reply(send(&config, "GET", DOCUMENT, "", &[("origin", origin)]));
            assert_eq!(
                (found.status(), reply_header(&found, "access-control-allow-origin")),
                (200, Some("*")),
                "{origin}"
            );
            let more = [("origin", origin), ("access-control-request-method", "GET")];
            let found = reply(send(&config, "OPTIONS", DOCUMENT, "", &more));
            assert_eq!(
                (found.status(), reply_header(&found, "access-control-allow-origin")),
                (204, Some("*")),
                "{origin}"
            );
            assert_eq!(reply_header(&found, "access-control-max-age"), Some("7200"));
        }
    }
}

#[test]
fn the_operator_adds_exposed_headers_and_sets_the_age_of_preflights() {
    let config = put(
        listing(),
        "/resources/0/cors",
        json!({ "expose_headers": ["X-Request-Id", "Server-Timing"], "max_age": "90s" }),
    );
    let exposed = format!("{EXPOSED}, X-Request-Id, Server-Timing");
    let found = reply(send(&config, "POST", "/mcp", "", &[("origin", APP)]));
    assert_eq!(reply_header(&found, "access-control-expose-headers"), Some(&*exposed));
    let preflight = [("origin", APP), ("access-control-request-method", "POST")];
    let found = reply(send(&config, "OPTIONS", "/mcp", "", &preflight));
    assert_eq!(reply_header(&found, "access-control-max-age"), Some("90"));
    let verdict = send(&config, "POST", "/mcp", &good_token(), &[("origin", APP)]);
    let Verdict::Forward(forward) = verdict else { panic!("{verdict:?}") };
    let guard = forward.into_response_guard();
    assert!(guard.cors_edits().any(|edit| edit == Edit::Set("access-control-expose-headers", exposed.as_bytes())));
    let none = put(listing(), "/resources/0/cors", json!({ "expose_headers": [], "max_age": "0s" }));
    assert_eq!(findings(&none), Vec::<String>::new());
    let found = reply(send(&none, "OPTIONS", "/mcp", "", &preflight));
    assert_eq!(reply_header(&found, "access-control-max-age"), Some("0"));
    let found = reply(send(&none, "POST", "/mcp", "", &[("origin", APP)]));
    assert_eq!(reply_header(&found, "access-control-expose-headers"), Some(EXPOSED));
}

#[test]
fn a_response_names_the_listed_origin() {
    let expose = Edit::Set("access-control-expose-headers", EXPOSED.as_bytes());
    let listed = |origin: &'static str| {
        vec![Edit::Set("access-control-allow-origin", origin.as_bytes()), expose, Edit::Add("vary", b"Origin")]
    };
    let any = vec![Edit::Set("access-control-allow-origin", b"*"), expose];
    let rows = [
        (listing(), Some(APP), true, Some(listed(APP))),
        (listing(), Some(OTHER), true, Some(listed(OTHER))),
        (listing(), None, false, None),
        (inline_config(), Some(APP), true, Some(any.clone())),
        (inline_config(), Some("null"), true, Some(any)),
        (inline_config(), None, false, None),
    ];
    for (config, origin, is_cross_origin, edits) in rows {
        let more: Vec<(&str, &str)> = origin.map(|origin| ("origin", origin)).into_iter().collect();
        let verdict = send(&config, "POST", "/mcp", &good_token(), &more);
        let Verdict::Forward(forward) = verdict else { panic!("{verdict:?}") };
        let guard = forward.into_response_guard();
        assert_eq!(guard.is_cross_origin(), is_cross_origin, "{origin:?}");
        if let Some(edits) = edits {
            assert_eq!(guard.cors_edits().collect::<Vec<_>>(), edits, "{origin:?}");
        }
    }
}

/// Each resource has a list of its own, and a refusal after the body was read names the origin too.
#[test]
fn lists_are_kept_apart() {
    let mut config = listing();
    config["hold_requests"] = json!("headers");
    config["resources"][0]["rules"] = json!([{ "deny": true }]);
    let second = json!({ "resource": "https://mcp.example.com/second", "origins": ["https://second.example"] });
    config["resources"].as_array_mut().expect("an array").push(second);
    assert_eq!(reply(send(&config, "POST", "/second", "", &[("origin", APP)])).status(), 403);
    assert_eq!(reply(send(&config, "POST", "/second", "", &[("origin", "https://second.example")])).status(), 401);
    let authorization = format!("Bearer {}", good_token());
    let more = [("content-type", "application/json"), ("authorization", authorization.as_str()), ("origin", APP)];
    for body in [r#"{"method":"ping","id":1}"#, "{"] {
        let mut gate = gate(&config);
        let Verdict::ReadBody(pending) = ask(&mut gate, &head("/mcp", &more)) else { panic!("no body is read") };
        let found = reply(pending.judge(body.as_bytes()));
        assert_eq!(reply_header(&found, "access-control-allow-origin"), Some(APP), "{body}");
        assert_eq!(reply_header(&found, "vary"), Some("Origin"), "{body}");
    }
    let mut gate = gate(&config);
    let Verdict::ReadBody(pending) = ask(&mut gate, &head("/mcp", &more)) else { panic!("no body is read") };
    assert_eq!(reply_header(&pending.too_large(), "access-control-allow-origin"), Some(APP));
}

/// Whatever answers in place of a response, of a body or of a verdict on a head: the page that asked can read it.
#[test]
fn every_refusal_names_the_listed_origin() {
    let mut config = listing();
    config["hold_requests"] = json!("body");
    config["resources"][0]["rules"] = json!([{ "tools": ["a"] }]);
    config["resources"][0]["filter_lists"] = json!(true);
    let authorization = format!("Bearer {}", good_token());
    let more = [("content-type", "application/json"), ("authorization", authorization.as_str()), ("origin", APP)];
    let mut cold = with(config.clone(), "authorization_servers", remote_config()["authorization_servers"].clone());
    cold["resources"][0]["body"] = json!({ "max_size": "1KiB" });
    let refusal = || Refusal::Host("x");
    let pending = || match ask(&mut gate(&config), &head("/mcp", &more)) {
        Verdict::ReadBody(pending) => pending,
        other => panic!("no body is read: {other:?}"),
    };
    let held = |ask_again: &dyn Fn(&mut Gate) -> Option<Reply>| {
        let mut gate = gate(&cold);
        assert!(matches!(ask(&mut gate, &head("/mcp", &more)), Verdict::Hold));
        ask_again(&mut gate)
    };
    let guard = || match pending().judge(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#) {
        Verdict::Forward(forward) => forward.into_response_guard(),
        other => panic!("not forwarded: {other:?}"),
    };
    let rows = [
        ("in place of a response", Some(guard().refuse(refusal())), 503),
        (
            "in place of a response to the head",
            Some(pending().head().expect("it went").response_guard().refuse(refusal())),
            503,
        ),
        ("a response that came early", pending().on_early_response(true), 502),
        ("a body that cannot be had", Some(pending().refuse(refusal())), 503),
        ("a request that cannot be held", held(&|gate| gate.refuse_held(1, refusal())), 503),
        ("all that are held", held(&|gate| Some(reply(gate.refuse_all_held(&refusal()).remove(0).verdict))), 503),
        ("a body that is too long to be held", held(&|gate| gate.on_held_body(1, 1025)), 413),
    ];
    for (name, reply, status) in rows {
        let reply = reply.unwrap_or_else(|| panic!("{name}: no reply"));
        assert_eq!(reply.status(), status, "{name}");
        assert_eq!(reply_header(&reply, "access-control-allow-origin"), Some(APP), "{name}");
        assert_eq!(reply_header(&reply, "vary"), Some("Origin"), "{name}");
    }
    // There is nobody else to refuse.
    assert!(held(&|gate| gate.refuse_held(2, refusal())).is_none());
    assert!(pending().on_early_response(false).is_none(), "no success is no list");
}
