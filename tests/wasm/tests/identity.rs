//! Identity headers: what the upstream reads there was verified, whatever the client sent.

use serde_json::{Value, json};
use wasm_host_tests::{Headers, Key, PATH, Request, Response, SUBJECT, Token, Vm, inline_config};

fn vm() -> Vm {
    Vm::start(inline_config(&[Key::GOOD]).to_string())
}

fn good() -> Request {
    Request::post(PATH).bearer(&Token::good().sign())
}

/// How a server behind CGI or WSGI reads a header's name.
fn folded(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

fn count(headers: &Headers, name: &str) -> usize {
    headers.names().filter(|other| folded(other) == name).count()
}

#[test]
fn copies_that_the_client_sent_are_gone() {
    let mut vm = vm();
    let request = good()
        .header("x-mcp-subject", "mallory")
        .header("x-mcp-subject", "mallory")
        .header("X-MCP-Subject", "mallory")
        .header("x_mcp_subject", "mallory")
        .header("x-mcp_client-id", "mallory")
        .header("x-mcp-client-id", b"mallory\xff")
        .header("X-Mcp-Scopes", "mallory")
        .header("x_mcp_scopes", "mallory")
        .header("x-mcp-issuer", "mallory")
        .header("x_MCP_issuer", "mallory")
        .header("dpop", "mallory")
        .header("proxy-authorization", "Bearer mallory")
        .header("x-mcp-subjects", "another header");
    let stream = vm.request(request);
    let upstream = vm.forwarded(stream);
    assert!(!upstream.mentions("mallory"), "{upstream:?}");
    for name in ["x-mcp-subject", "x-mcp-client-id", "x-mcp-scopes", "x-mcp-issuer"] {
        assert_eq!(count(&upstream, name), 1, "{name}: {upstream:?}");
    }
    assert_eq!(upstream.get("x-mcp-subject"), Some(SUBJECT));
    assert_eq!(upstream.get("x-mcp-subjects"), Some("another header"));
}

#[test]
fn a_claim_that_the_token_lacks_leaves_no_room_for_the_clients_header() {
    let mut vm = vm();
    let token = Token::good().claim("client_id", Value::Null).claim("azp", Value::Null).sign();
    let stream = vm.request(Request::post(PATH).bearer(&token).header("x-mcp-client-id", "mallory"));
    // Either refused or without the header, but never with the client's.
    for upstream in vm.upstream_attempts(stream) {
        assert_eq!(count(&upstream, "x-mcp-client-id"), 0, "{upstream:?}");
    }
}

#[test]
fn a_hostile_subject_cannot_break_out_of_its_header() {
    let mut vm = vm();
    let table = [
        ("a b", "a%20b"),
        ("ü", "%C3%BC"),
        ("a\r\nx-admin: 1", "a%0D%0Ax-admin:%201"),
        ("a\u{0}b", "a%00b"),
        ("100%", "100%25"),
        ("plain,\"\\", "plain,\"\\"),
    ];
    for (subject, expected) in table {
        let token = Token::good().claim("sub", subject).sign();
        let stream = vm.request(Request::post(PATH).bearer(&token));
        let upstream = vm.forwarded(stream);
        assert_eq!(upstream.get("x-mcp-subject"), Some(expected), "{subject:?}");
        assert_eq!(upstream.get("x-admin"), None);
    }
}

#[test]
fn names_can_be_changed_and_switched_off() {
    let mut config = inline_config(&[Key::GOOD]);
    config["identity_headers"] = json!({"subject": "x-user", "scopes": null});
    let mut vm = Vm::start(config.to_string());
    let stream = vm.request(good().header("x_user", "mallory").header("x-user", "mallory"));
    let upstream = vm.forwarded(stream);
    assert_eq!(upstream.get("x-user"), Some(SUBJECT));
    assert_eq!(count(&upstream, "x-user"), 1, "{upstream:?}");
    assert_eq!(upstream.get("x-mcp-subject"), None);
    assert_eq!(upstream.get("x-mcp-scopes"), None);
}

#[test]
fn a_query_token_is_cut_out_and_never_accepted() {
    let mut vm = vm();
    let token = Token::good().sign();
    let table = [
        ("?access_token=TOKEN", ""),
        ("?a=1&access_token=TOKEN&b=2", "?a=1&b=2"),
        ("?access_token=TOKEN&access_token=x&c", "?c"),
        ("?a=access_token", "?a=access_token"),
    ];
    for (query, expected) in table {
        let path = format!("{PATH}{}", query.replace("TOKEN", &token));
        let stream = vm.request(Request::post(&path).bearer(&token));
        let upstream = vm.forwarded(stream);
        assert_eq!(upstream.get(":path"), Some(format!("{PATH}{expected}").as_str()), "{query}");
        assert!(!upstream.mentions(&token), "{upstream:?}");

        let stream = vm.request(Request::post(&path));
        vm.replied(stream).refuses(401, "missing_token");
    }
}

#[test]
fn an_upstream_challenge_does_not_reach_the_client() {
    let mut vm = vm();
    let stray = "Bearer resource_metadata=\"https://evil.example/\"";
    for status in [401, 403, 200] {
        let stream = vm.request(good());
        let response = Response::status(status)
            .header("www-authenticate", stray)
            .header("www-authenticate", "Basic realm=\"upstream\"")
            .header("mcp-session-id", "s1");
        let seen = vm.respond(stream, response);
        assert!(!seen.mentions("evil.example") && !seen.mentions("Basic"), "{seen:?}");
        assert_eq!(seen.get(":status"), Some(status.to_string().as_str()));
        assert_eq!(seen.get("mcp-session-id"), Some("s1"));
        let own = seen.get("www-authenticate").is_some_and(|value| value.contains("weather/mcp"));
        assert_eq!(own, status == 401, "{seen:?}");
        vm.delete(stream);
    }
}

#[test]
fn a_browser_may_read_the_response_unless_the_upstream_decided_itself() {
    let mut vm = vm();
    let origin = |request: Request| request.header("origin", "https://inspector.example");
    let allowed = |headers: &Headers| headers.get("access-control-allow-origin").map(str::to_owned);

    let stream = vm.request(origin(good()));
    let seen = vm.respond(stream, Response::status(200));
    assert_eq!(allowed(&seen).as_deref(), Some("*"));

    let stream = vm.request(origin(good()));
    let own = Response::status(200).header("access-control-allow-origin", "https://only.example");
    let seen = vm.respond(stream, own);
    assert_eq!(allowed(&seen).as_deref(), Some("https://only.example"));

    let stream = vm.request(good());
    let seen = vm.respond(stream, Response::status(200));
    assert_eq!(allowed(&seen), None);
}
