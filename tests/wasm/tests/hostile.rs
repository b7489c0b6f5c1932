//! Hostile headers: the right status, no trap, and the next request is served.

use wasm_host_tests::{Headers, Key, PATH, Request, Response, SUBJECT, Token, Vm, inline_config};

fn vm() -> Vm {
    Vm::start(inline_config(&[Key::GOOD]).to_string())
}

fn good() -> Request {
    Request::post(PATH).bearer(&Token::good().sign())
}

#[track_caller]
fn assert_serves_the_next(vm: &mut Vm) {
    let stream = vm.request(good());
    assert_eq!(vm.forwarded(stream).get("x-mcp-subject"), Some(SUBJECT));
    let stream = vm.request(Request::post(PATH));
    vm.replied(stream).refuses(401, "missing_token");
}

/// A status that is the client's fault, as opposed to 503.
#[track_caller]
fn assert_client_error(vm: &mut Vm, request: Request) {
    let shown = format!("{request:?}");
    let stream = vm.request(request);
    let reply = vm.replied(stream);
    assert!(matches!(reply.status, 400 | 401 | 404), "{shown}: {reply:?}");
    reply.refuses(reply.status, &reply.error());
}

#[test]
fn bytes_that_are_no_utf8_in_every_header_that_is_read() {
    let mut vm = vm();
    let junk = b"\xff\xfe\x80";
    for name in [":path", ":authority", "authorization"] {
        let mut bad = b"Bearer ".to_vec();
        bad.extend(junk);
        assert_client_error(&mut vm, good().with(name, junk));
        assert_client_error(&mut vm, good().with(name, bad));
        assert_serves_the_next(&mut vm);
    }
    for name in [
        ":method",
        ":scheme",
        "origin",
        "if-none-match",
        "access-control-request-method",
        "access-control-request-headers",
        "x-mcp-subject",
        "dpop",
        "content-type",
        "x-anything",
    ] {
        let stream = vm.request(good().with(name, junk));
        for upstream in vm.upstream_attempts(stream) {
            assert_eq!(upstream.bytes("authorization"), None, "{name}");
            assert_eq!(upstream.get("x-mcp-subject"), Some(SUBJECT), "{name}");
        }
        vm.outcome(stream);
        assert_serves_the_next(&mut vm);
    }
    let preflight = Request::new("OPTIONS", PATH)
        .header("origin", junk)
        .header("access-control-request-method", junk)
        .header("access-control-request-headers", junk);
    let stream = vm.request(preflight);
    assert!(!vm.replied(stream).headers.pairs().iter().any(|(_, value)| value.contains(&0xff)));
    let document = Request::get("/.well-known/oauth-protected-resource/weather/mcp");
    let stream = vm.request(document.header("if-none-match", junk));
    assert_eq!(vm.replied(stream).status, 200);
}

#[test]
fn a_name_that_is_no_utf8_does_not_matter() {
    let mut vm = vm();
    let stream = vm.request(good().header(b"x-\xff\xfe", "1"));
    assert_eq!(vm.forwarded(stream).get("authorization"), None);
    assert_serves_the_next(&mut vm);
}

#[test]
fn a_megabyte_in_every_header_that_is_read() {
    let mut vm = vm();
    let giant = vec![b'a'; 1 << 20];
    let mut path = b"/".to_vec();
    path.extend(&giant);
    let mut credentials = b"Bearer ".to_vec();
    credentials.extend(&giant);
    assert_client_error(&mut vm, good().with(":path", &path));
    assert_client_error(&mut vm, good().with(":authority", &giant));
    assert_client_error(&mut vm, Request::post(PATH).header("authorization", &credentials));
    assert_client_error(&mut vm, Request::post(PATH).header("authorization", &giant));
    assert_serves_the_next(&mut vm);
    for name in ["origin", "x-mcp-subject", "dpop", "user-agent", ":scheme"] {
        let stream = vm.request(good().with(name, &giant));
        let upstream = vm.forwarded(stream);
        assert_eq!(upstream.get("authorization"), None, "{name}");
        assert_eq!(upstream.get("x-mcp-subject"), Some(SUBJECT), "{name}");
    }
    let query = [format!("{PATH}?a=").as_bytes(), &giant].concat();
    let stream = vm.request(good().with(":path", &query));
    for upstream in vm.upstream_attempts(stream) {
        assert_eq!(upstream.get("authorization"), None);
    }
    assert_serves_the_next(&mut vm);
}

#[test]
fn thousands_of_headers() {
    let mut vm = vm();
    for count in [1024, 1025, 5000] {
        let mut request = good();
        for n in 0..count {
            request = request.header(format!("x-{n}"), "v");
        }
        let stream = vm.request(request);
        let upstream = vm.forwarded(stream);
        assert_eq!(upstream.get("authorization"), None);
        assert_eq!(upstream.get("x-0"), Some("v"));
    }
    let mut request = good();
    for n in 0..2000 {
        request = request.header(if n % 2 == 0 { "x-mcp-subject" } else { "x_mcp_subject" }, "mallory");
    }
    let stream = vm.request(request);
    let upstream = vm.forwarded(stream);
    assert!(!upstream.mentions("mallory"));
    assert_eq!(upstream.get("x-mcp-subject"), Some(SUBJECT));
    assert_serves_the_next(&mut vm);
}

#[test]
fn pseudo_headers_that_are_missing_or_doubled() {
    let mut vm = vm();
    for name in [":path", ":authority", ":method"] {
        assert_client_error(&mut vm, good().without(name));
        assert_serves_the_next(&mut vm);
    }
    for name in [":path", ":authority"] {
        assert_client_error(&mut vm, good().with(name, ""));
    }
    assert_client_error(&mut vm, good().header(":path", "/other"));
    assert_client_error(&mut vm, good().header(":authority", "other.example"));
    let stream = vm.request(good().without(":scheme"));
    vm.forwarded(stream);
    // No header at all: in the ABI the same as a map that the host does not give.
    let stream = vm.new_stream(1);
    let mut nothing = good();
    for name in [":path", ":authority", ":method", ":scheme", "content-type", "accept", "content-length"] {
        nothing = nothing.without(name);
    }
    vm.request_headers(stream, nothing.without("authorization"));
    assert!(vm.replied(stream).status >= 400);
    assert_serves_the_next(&mut vm);
}

#[test]
fn authorities_that_could_be_read_in_two_ways() {
    let mut vm = vm();
    for authority in
        ["mcp.example.com@evil.example", "mcp.example.com/", "mcp.example.com:x", "[", "mcp.example.com:443:443"]
    {
        assert_client_error(&mut vm, good().with(":authority", authority));
    }
    for same in ["MCP.example.com", "mcp.example.com:443"] {
        let stream = vm.request(good().with(":authority", same));
        vm.forwarded(stream);
    }
}

#[test]
fn hostile_response_headers() {
    let mut vm = vm();
    let junk = b"\xff\xfe";
    let giant = vec![b'a'; 1 << 20];
    let browser = || good().header("origin", "https://a.example");
    for response in [
        Response::status(200).header("www-authenticate", junk).header("access-control-allow-origin", junk),
        Response::status(401).header("www-authenticate", &giant),
        Response::status(401).header("www-authenticate", ""),
        Response::status(200).header(b"x-\xff", &giant),
    ] {
        let stream = vm.request(browser());
        let seen = vm.respond(stream, response);
        let stray = |value: &[u8]| value == junk || value == giant;
        assert!(!seen.bytes("www-authenticate").is_some_and(stray), "{seen:?}");
        vm.delete(stream);
    }
    let stream = vm.request(browser());
    vm.response_headers(stream, Headers::default());
    assert_serves_the_next(&mut vm);
}

/// A line that was not read might be a forged identity, and one is added beside it.
#[test]
fn header_lines_that_are_not_all_there_are_refused() {
    let token = Token::good().sign();
    let mut vm = Vm::start(inline_config(&[Key::GOOD]).to_string());
    let forged = || Request::post(PATH).bearer(&token).header("x-mcp-subject", "mallory");
    for cut in 1..24 {
        vm.world().cut_pairs = cut;
        let stream = vm.request(forged());
        vm.replied(stream).refuses(503, "temporarily_unavailable");
        vm.delete(stream);
    }
    vm.world().cut_pairs = 0;
    let stream = vm.request(forged());
    assert_ne!(vm.forwarded(stream).get("x-mcp-subject"), Some("mallory"));
}
