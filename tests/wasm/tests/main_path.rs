//! The main path: a good token goes upstream without itself; one change, and it does not.

use serde_json::{Value, json};
use wasm_host_tests::{CLIENT, ISSUER, Key, NOW, PATH, RESOURCE, Request, SCOPE, SUBJECT, Token, Vm, inline_config};

const METADATA: &str = "https://mcp.example.com/.well-known/oauth-protected-resource/weather/mcp";

fn vm() -> Vm {
    Vm::start(inline_config(&[Key::GOOD, Key::P256(3), Key::Rsa]).to_string())
}

fn good() -> Request {
    Request::post(PATH).bearer(&Token::good().sign())
}

#[test]
fn without_a_token_the_client_learns_where_to_get_one() {
    let mut vm = vm();
    for request in [
        Request::post(PATH),
        Request::get(PATH),
        Request::new("DELETE", PATH),
        Request::new("OPTIONS", PATH),
        Request::post(PATH).header("authorization", "Basic YTpi"),
        Request::post(&format!("{PATH}?access_token={}", Token::good().sign())),
    ] {
        let stream = vm.request(request);
        let reply = vm.replied(stream);
        reply.refuses(401, "missing_token");
        assert_eq!(reply.challenge(), format!("Bearer resource_metadata=\"{METADATA}\", scope=\"{SCOPE}\""));
    }
}

#[test]
fn the_metadata_that_the_challenge_names_is_there() {
    let mut vm = vm();
    let stream = vm.request(Request::get("/.well-known/oauth-protected-resource/weather/mcp"));
    let reply = vm.replied(stream);
    assert_eq!(reply.status, 200);
    let document: Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!(document["resource"], json!(RESOURCE));
    assert_eq!(document["authorization_servers"], json!([ISSUER]));
    assert_eq!(document["scopes_supported"], json!([SCOPE]));
    assert_eq!(reply.headers.get("access-control-allow-origin"), Some("*"));

    let etag = reply.headers.get("etag").expect("an etag").to_owned();
    let path = "/.well-known/oauth-protected-resource/weather/mcp/";
    let stream = vm.request(Request::get(path).header("if-none-match", etag));
    assert_eq!(vm.replied(stream).status, 304);
    let stream = vm.request(Request::post("/.well-known/oauth-protected-resource/weather/mcp"));
    assert_eq!(vm.replied(stream).status, 405);
    let stream = vm.request(Request::get("/.well-known/oauth-protected-resource/weather"));
    vm.replied(stream).refuses(404, "not_found");
}

#[test]
fn a_good_token_goes_upstream_as_an_identity_and_not_as_a_token() {
    let mut vm = vm();
    let token = Token::good().sign();
    let stream = vm.request(Request::post(PATH).bearer(&token));
    let upstream = vm.forwarded(stream);
    assert_eq!(upstream.get("authorization"), None);
    assert!(!upstream.mentions(&token), "{upstream:?}");
    assert_eq!(upstream.get("x-mcp-subject"), Some(SUBJECT));
    assert_eq!(upstream.get("x-mcp-client-id"), Some(CLIENT));
    assert_eq!(upstream.get("x-mcp-scopes"), Some(SCOPE));
    assert_eq!(upstream.get("x-mcp-issuer"), Some(ISSUER));
    assert_eq!(upstream.get(":path"), Some(PATH));
    assert_eq!(upstream.get("content-type"), Some("application/json"));
    assert!(!vm.world().log_text().contains(&token), "the token is in the log");
}

#[test]
fn each_kind_of_signature_is_verified_in_the_module() {
    let mut vm = vm();
    for key in [Key::GOOD, Key::P256(3), Key::Rsa] {
        let token = Token::good().signed_by(key);
        let stream = vm.request(Request::post(PATH).bearer(&token.sign()));
        assert_eq!(vm.forwarded(stream).get("x-mcp-subject"), Some(SUBJECT), "{key:?}");

        let text = token.sign();
        let (message, signature) = text.rsplit_once('.').expect("three parts");
        let first = if signature.starts_with('A') { "B" } else { "A" };
        let bad = format!("{message}.{first}{}", &signature[1..]);
        let stream = vm.request(Request::post(PATH).bearer(&bad));
        vm.replied(stream).refuses(401, "invalid_token");
    }
}

#[test]
fn one_change_and_the_token_is_refused() {
    let table: [(&str, Token); 17] = [
        ("expired", Token::good().claim("exp", NOW - 3600)),
        ("without end", Token::good().claim("exp", Value::Null)),
        ("not yet", Token::good().claim("nbf", NOW + 3600)),
        ("another audience", Token::good().claim("aud", "https://mcp.example.com/other")),
        ("another spelling", Token::good().claim("aud", format!("{RESOURCE}/"))),
        ("no audience", Token::good().claim("aud", Value::Null)),
        ("another issuer", Token::good().claim("iss", "https://idp.example.com")),
        ("an unknown key", Token::good().signed_by(Key::OTHER)),
        ("a forged signature", Token::good().forged_by(Key::OTHER)),
        ("no algorithm", Token::good().header("alg", "none")),
        ("a symmetric algorithm", Token::good().header("alg", "HS256")),
        ("another key's algorithm", Token::good().header("alg", "RS256")),
        ("an unknown extension", Token::good().header("crit", json!(["b64"]))),
        ("an ID token's type", Token::good().header("typ", "id_token+jwt")),
        ("a proof's type", Token::good().header("typ", "dpop+jwt")),
        ("a binding nobody checked", Token::good().claim("cnf", json!({"jkt": "x"}))),
        ("audience among numbers", Token::good().claim("aud", json!([RESOURCE, 1]))),
    ];
    let mut vm = vm();
    for (what, token) in table {
        let stream = vm.request(Request::post(PATH).bearer(&token.sign()));
        let reply = vm.replied(stream);
        assert_eq!(reply.status, 401, "{what}: {reply:?}");
        reply.refuses(401, "invalid_token");
        let challenge = reply.challenge();
        assert!(challenge.starts_with("Bearer error=\"invalid_token\", "), "{what}: {challenge}");
        assert!(challenge.contains(&format!("resource_metadata=\"{METADATA}\"")), "{what}: {challenge}");
    }
    let stream = vm.request(good());
    vm.forwarded(stream);
}

#[test]
fn a_missing_scope_is_named() {
    let mut vm = vm();
    let allowed = Token::good().claim("scope", format!("other {SCOPE}"));
    let stream = vm.request(Request::post(PATH).bearer(&allowed.sign()));
    vm.forwarded(stream);
    for scope in [json!("weather.reads"), json!(""), Value::Null] {
        let token = Token::good().claim("scope", scope);
        let stream = vm.request(Request::post(PATH).bearer(&token.sign()));
        let reply = vm.replied(stream);
        reply.refuses(403, "insufficient_scope");
        assert!(reply.challenge().contains(&format!("scope=\"{SCOPE}\"")), "{reply:?}");
    }
}

#[test]
fn unclear_credentials_are_a_bad_request() {
    let mut vm = vm();
    let token = Token::good().sign();
    for request in [
        good().bearer(&token),
        good().header("authorization", "Basic YTpi"),
        Request::post(PATH).header("authorization", format!("Bearer {token},Bearer {token}")),
        Request::post(PATH).header("authorization", format!("Bearer {token} x")),
        Request::post(PATH).header("authorization", "Bearer "),
        Request::post(PATH).bearer(&"x".repeat(16 * 1024 + 1)),
    ] {
        let stream = vm.request(request);
        let reply = vm.replied(stream);
        reply.refuses(400, "invalid_request");
        assert!(reply.challenge().starts_with("Bearer error=\"invalid_request\", "), "{reply:?}");
    }
    let stream = vm.request(Request::post(PATH).header("authorization", format!("bearer {token}")));
    vm.forwarded(stream);
}

#[test]
fn an_ambiguous_path_is_refused_and_an_unknown_one_is_not_forwarded() {
    let mut vm = vm();
    let token = Token::good().sign();
    for path in [
        "/weather/../weather/mcp",
        "//weather/mcp",
        "/weather//mcp",
        "/weather/%2e%2e/mcp",
        "/weather%2fmcp",
        "/weather/mcp;a=b",
        "/weather\\mcp",
        "weather/mcp",
        "",
    ] {
        let stream = vm.request(Request::post(path).bearer(&token));
        vm.replied(stream).refuses(400, "invalid_request");
    }
    for path in ["/", "/weather", "/weather/mcpx", "/.well-known/oauth-authorization-server"] {
        let stream = vm.request(Request::post(path).bearer(&token));
        vm.replied(stream).refuses(404, "not_found");
    }
    let stream = vm.request(good().with(":authority", "other.example.com"));
    vm.replied(stream).refuses(404, "not_found");
    let stream = vm.request(Request::post("/weather/mcp/sub?a=b").bearer(&token));
    assert_eq!(vm.forwarded(stream).get(":path"), Some("/weather/mcp/sub?a=b"));
}

#[test]
fn a_browsers_preflight_is_answered_before_authentication() {
    let mut vm = vm();
    let preflight = Request::new("OPTIONS", PATH)
        .header("origin", "https://inspector.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization, mcp-session-id");
    let stream = vm.request(preflight.clone());
    let reply = vm.replied(stream);
    assert_eq!(reply.status, 204, "{reply:?}");
    assert_eq!(reply.headers.get("access-control-allow-origin"), Some("*"));
    assert!(reply.headers.get("access-control-allow-headers").is_some_and(|names| names.contains("mcp-session-id")));

    let stream = vm.request(preflight.without("access-control-request-method"));
    vm.replied(stream).refuses(401, "missing_token");
}
