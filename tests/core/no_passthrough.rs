//! MCP authorization, Token Handling: the client's token ends here. What goes upstream instead is what was verified.

mod claim_headers;
mod identity;
mod query;

use mcp_oauth::{
    fetch::Answer,
    forward::{Edit, Forward},
    gate::{Gate, Verdict},
};
use serde_json::{Value, json};

use crate::support::{
    HeaderMap, METADATA_URL, NOW, ask, gate, good_token, head, inline_config, jwk, jwks, put, remote_config,
};

#[track_caller]
fn forwarded(verdict: Verdict) -> Forward {
    match verdict {
        Verdict::Forward(forward) => forward,
        other => panic!("expected a forward, got {other:?}"),
    }
}

/// What the upstream gets of these lines and this token.
#[track_caller]
fn upstream(gate: &mut Gate, path: &str, token: &str, more: &[(&str, &str)]) -> HeaderMap {
    let authorization = format!("Bearer {token}");
    let mut lines = head(path, &[("authorization", &authorization)]);
    lines.extend(more);
    let forward = forwarded(ask(gate, &lines));
    let mut headers = HeaderMap::new(&lines);
    headers.apply(forward.edits());
    headers
}

#[test]
fn no_credentials_go_upstream() {
    let token = good_token();
    let mut gate = gate(&inline_config());
    let rows: [&[(&str, &str)]; 10] = [
        &[],
        &[("dpop", "proof")],
        &[("DPoP", "proof")],
        &[("dpop", "proof"), ("DPOP", "another")],
        &[("proxy-authorization", "Basic YTpi")],
        &[("Proxy-Authorization", "Bearer x"), ("proxy-authorization", "Basic YTpi")],
        &[("Proxy_Authorization", "Basic YTpi"), ("proxy-authorization", "Bearer x")],
        &[("dpop", ""), ("proxy-authorization", "")],
        &[("x-mcp-subject", "root"), ("dpop", "proof"), ("proxy-authorization", "Basic YTpi")],
        &[("dpop", &token), ("proxy-authorization", &token), ("x-mcp-issuer", &token), ("X_MCP_Scopes", &token)],
    ];
    for more in rows {
        let headers = upstream(&mut gate, "/mcp", &token, more);
        for name in ["authorization", "dpop", "proxy-authorization", "proxy_authorization"] {
            assert_eq!(headers.all(name), Vec::<String>::new(), "{name} after {more:?}");
        }
        let leak = headers.0.iter().find(|(_, value)| value.windows(token.len()).any(|part| part == token.as_bytes()));
        assert_eq!(leak, None, "the token after {more:?}");
    }
    for name in ["Authorization", "AUTHORIZATION", "aUTHORIZATION"] {
        let authorization = format!("Bearer {token}");
        let lines = head("/mcp", &[(name, &authorization)]);
        let forward = forwarded(ask(&mut gate, &lines));
        let mut headers = HeaderMap::new(&lines);
        headers.apply(forward.edits());
        assert_eq!(headers.all("authorization"), Vec::<String>::new(), "{name}");
    }
}

/// The removal does not depend on what was seen: it is there for a host whose header map the gate misread.
#[test]
fn the_first_edit_removes_the_token() {
    let authorization = format!("Bearer {}", good_token());
    let forward = forwarded(ask(&mut gate(&inline_config()), &head("/mcp", &[("authorization", &authorization)])));
    assert_eq!(forward.edits().next(), Some(Edit::Remove(b"authorization")));
}

#[test]
fn everything_else_goes_upstream_as_it_came() {
    let kept = [
        ("host", "mcp.example.com"),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("cookie", "a=b"),
        ("mcp-session-id", "s"),
        ("mcp-protocol-version", "2026-07-28"),
        ("Mcp-Method", "tools/call"),
        ("mcp-name", "x"),
        ("last-event-id", "1"),
        ("origin", "https://app.example.com"),
        ("if-none-match", "\"a\""),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "a"),
        ("x-custom", "1"),
        ("x-custom", "2"),
        ("x-empty", ""),
        ("authorizations", "x"),
        ("x-authorization", "x"),
        ("dpop-nonce", "x"),
        ("www-authenticate", "x"),
        ("traceparent", "00-1-2-03"),
    ];
    let headers = upstream(&mut gate(&inline_config()), "/mcp?a=%2F&b", &good_token(), &kept);
    let mut expected: Vec<(&str, &str)> = head("/mcp?a=%2F&b", &kept);
    expected.extend([
        ("x-mcp-subject", "alice"),
        ("x-mcp-client-id", "c1"),
        ("x-mcp-scopes", "mcp:read mcp:write"),
        ("x-mcp-issuer", "https://idp.example.com"),
    ]);
    let expected = HeaderMap::new(&expected);
    assert_eq!(headers, expected);
}

/// A request that waited goes on exactly as one that did not.
#[test]
fn a_held_request_is_edited_alike() {
    let token = good_token();
    let authorization = format!("Bearer {token}");
    let more = [
        ("authorization", &*authorization),
        ("X_Mcp-Subject", "root"),
        ("DPoP", "proof"),
        ("x-mcp-scopes", "admin"),
        ("origin", "null"),
    ];
    let lines = head("/mcp/x?access_token=1&a=b", &more);
    let at_once = forwarded(ask(&mut gate(&inline_config()), &lines));

    let uri = json!("https://idp.example.com/keys");
    let mut remote = gate(&put(remote_config(), "/authorization_servers/0/jwks_uri", uri));
    assert!(matches!(ask(&mut remote, &lines), Verdict::Hold));
    let fetch = remote.poll_fetch(NOW).expect("a fetch");
    let keys = jwks(&[jwk(1, "k1")]).to_string();
    let answer = Answer::Response {
        status: b"200",
        content_type: Some(b"application/json"),
        cache_control: None,
        body: keys.as_bytes(),
    };
    let mut resumed = remote.on_answer(fetch.id, answer, NOW).resumed;
    let waited = forwarded(resumed.pop().expect("the request").verdict);

    assert!(waited.edits().eq(at_once.edits()), "{waited:?} is not {at_once:?}");
    let (waited, at_once) = (waited.into_response_guard(), at_once.into_response_guard());
    assert_eq!(waited.is_cross_origin(), at_once.is_cross_origin());
    assert!(waited.on_upstream_challenge(b"401").eq(at_once.on_upstream_challenge(b"401")));
}

/// Spec 3.4: the upstream never saw the token, so its challenge is about something else.
#[test]
fn an_upstream_challenge_never_reaches_the_client() {
    let config = |scopes: Value| put(inline_config(), "/resources/0/scopes", scopes);
    let of_resource = format!("Bearer resource_metadata=\"{METADATA_URL}\"");
    let with_scopes = format!("{of_resource}, scope=\"mcp:read mcp:write\"");
    let scopes = json!({ "required": ["mcp:read"], "challenged": ["mcp:write", "mcp:read"] });
    let rows: [(&[u8], bool); 12] = [
        (b"401", true),
        (b"200", false),
        (b"400", false),
        (b"403", false),
        (b"404", false),
        (b"407", false),
        (b"500", false),
        (b"", false),
        (b"4011", false),
        (b"0401", false),
        (b"401 ", false),
        (b"\xFF", false),
    ];
    for (config, own) in [(config(json!({})), of_resource), (config(scopes), with_scopes)] {
        let authorization = format!("Bearer {}", good_token());
        let forward = forwarded(ask(&mut gate(&config), &head("/mcp", &[("authorization", &authorization)])));
        let guard = forward.into_response_guard();
        for (status, replaced) in rows {
            let lines: [(&[u8], &[u8]); 5] = [
                (b":status", status),
                (b"WWW-Authenticate", b"Bearer resource_metadata=\"https://upstream.internal\""),
                (b"content-type", b"text/plain"),
                (b"www-authenticate", b"Basic realm=\"upstream\""),
                (b"proxy-authenticate", b"Basic"),
            ];
            let mut headers = HeaderMap::new(&lines);
            headers.apply(guard.on_upstream_challenge(status));
            let expected = if replaced { vec![own.clone()] } else { Vec::new() };
            let name = status.escape_ascii();
            assert_eq!(headers.all("www-authenticate"), expected, "{name}");
            assert_eq!(headers.all(":status"), [String::from_utf8_lossy(status)], "{name}: the status is left alone");
            assert_eq!(headers.all("content-type"), ["text/plain"], "{name}");
        }
    }
}
