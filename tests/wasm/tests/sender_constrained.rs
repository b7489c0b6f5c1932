//! Tokens that are bound to their sender: what the proxy is asked for, what it takes with it, and what goes over the wire.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use wasm_host_tests::{
    Fault, Idp, Key, NOW, PATH, RESOURCE, Request, Response, STATUSES, Token, Vm, fetching_config, good_post,
    inline_config,
};

const GET: &str = "proxy_get_property";
const NOT_FOUND: u32 = 1;
const CLIENT: Key = Key::Ed25519(40);

fn hex(digest: [u8; 32]) -> Vec<u8> {
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes()
}

fn with(mut config: Value, name: &str, value: Value) -> Value {
    config["resources"][0][name] = value;
    config
}

fn certificates() -> Value {
    with(inline_config(&[Key::GOOD]), "mutual_tls", json!(true))
}

fn with_certificate(digest: [u8; 32]) -> String {
    Token::good().claim("cnf", json!({ "x5t#S256": URL_SAFE_NO_PAD.encode(digest) })).sign()
}

/// What the proxy says, and why the request is refused if it is.
type Row = (Option<Vec<u8>>, Result<(), &'static str>);

#[test]
fn the_certificate_of_the_connection_is_the_one_that_counts() {
    let own = hex([7; 32]);
    let rows: [Row; 7] = [
        (Some(own.clone()), Ok(())),
        (Some(hex([8; 32])), Err("mcp_oauth_token_certificate")),
        (Some(Vec::new()), Err("mcp_oauth_token_certificate")),
        (None, Err("mcp_oauth_token_certificate")),
        // Nothing that Envoy would say.
        (Some(own[1..].to_vec()), Err("mcp_oauth_host_failure")),
        (Some(b"\xff".to_vec()), Err("mcp_oauth_host_failure")),
        (Some([own.as_slice(), b"\0"].concat()), Err("mcp_oauth_host_failure")),
    ];
    for (certificate, expected) in rows {
        let mut vm = Vm::start(certificates().to_string());
        vm.world().certificate.clone_from(&certificate);
        // What a client says of itself is nothing.
        let claimed = format!("Hash={}", String::from_utf8_lossy(&own));
        let request = Request::post(PATH).bearer(&with_certificate([7; 32]));
        let stream = vm.request(request.header("x-forwarded-client-cert", claimed));
        match expected {
            Ok(()) => drop(vm.forwarded(stream)),
            Err(reason) => assert_eq!(vm.replied(stream).details, reason, "{certificate:?}"),
        }
        assert_eq!(vm.world().counts[GET], 1, "one call per request");
    }
}

#[test]
fn a_certificate_that_cannot_be_read_refuses_its_resource_only() {
    for status in STATUSES {
        let mut config = certificates();
        config["resources"].as_array_mut().expect("a list").push(json!({ "resource": "https://mcp.example.com/news" }));
        let mut vm = Vm::start(config.to_string());
        vm.world().fault(Fault::always(GET, status));
        let stream = vm.request(good_post());
        if status == NOT_FOUND {
            vm.forwarded(stream);
        } else {
            vm.replied(stream).refuses(503, "temporarily_unavailable");
        }
        let news = Token::good().claim("aud", "https://mcp.example.com/news").sign();
        let stream = vm.request(Request::post("/news").bearer(&news));
        vm.forwarded(stream);
    }
}

#[test]
fn a_request_that_waits_keeps_its_certificate() {
    let mut vm = Vm::start(with(fetching_config(), "mutual_tls", json!(true)).to_string());
    vm.world().certificate = Some(hex([7; 32]));
    let good = vm.request(Request::post(PATH).bearer(&with_certificate([7; 32])));
    vm.world().certificate = Some(hex([8; 32]));
    let bad = vm.request(Request::post(PATH).bearer(&with_certificate([7; 32])));
    Idp::default().serve(&mut vm);
    vm.forwarded(good);
    assert_eq!(vm.replied(bad).details, "mcp_oauth_token_certificate");
}

#[test]
fn without_the_setting_the_proxy_is_not_asked() {
    let mut vm = Vm::start(with(inline_config(&[Key::GOOD]), "mutual_tls", json!(false)).to_string());
    let stream = vm.request(good_post());
    vm.forwarded(stream);
    assert_eq!(vm.world().counts.get(GET), None);
}

fn client_key() -> Value {
    let key = CLIENT.jwk();
    json!({ "kty": key["kty"], "crv": key["crv"], "x": key["x"] })
}

/// A token that is bound to the client's key.
fn bound() -> String {
    let key = client_key();
    let canonical = format!(r#"{{"crv":{},"kty":{},"x":{}}}"#, key["crv"], key["kty"], key["x"]);
    Token::good().claim("cnf", json!({ "jkt": URL_SAFE_NO_PAD.encode(Sha256::digest(canonical)) })).sign()
}

fn proof(token: &str, id: &str, nonce: Option<&str>) -> String {
    let proof = Token::good().signed_by(CLIENT).header("kid", Value::Null).header("typ", "dpop+jwt");
    let proof = proof.header("jwk", client_key()).claim("htm", "POST").claim("htu", RESOURCE).claim("jti", id);
    let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(token));
    proof.claim("iat", NOW).claim("ath", hash).claim("nonce", nonce.map_or(Value::Null, Value::from)).sign()
}

fn request(token: &str, proof: &str) -> Request {
    Request::post(PATH).header("authorization", format!("DPoP {token}")).header("dpop", proof)
}

#[test]
fn neither_token_nor_proof_go_upstream() {
    let mut vm = Vm::start(with(inline_config(&[Key::GOOD]), "dpop", json!({})).to_string());
    let (token, first) = (bound(), proof(&bound(), "1", None));
    let stream = vm.request(request(&token, &first));
    let upstream = vm.forwarded(stream);
    assert_eq!((upstream.get("authorization"), upstream.get("dpop")), (None, None));
    assert!(!upstream.mentions(&token) && !upstream.mentions(&first), "{upstream:?}");
    let stream = vm.request(request(&token, &first));
    assert_eq!(vm.replied(stream).details, "mcp_oauth_dpop_replay");
    let stream = vm.request(Request::post(PATH).bearer(&token));
    assert_eq!(vm.replied(stream).details, "mcp_oauth_token_sender_constrained");
    // For access logs and their readers.
    let logged = vm.world().logs.iter().any(|line| line.text.contains(&token) || line.text.contains(&first));
    assert!(!logged);
}

#[test]
fn a_request_that_waits_keeps_its_proof() {
    let mut vm = Vm::start(with(fetching_config(), "dpop", json!({})).to_string());
    let token = bound();
    let good = vm.request(request(&token, &proof(&token, "1", None)));
    let again = vm.request(request(&token, &proof(&token, "1", None)));
    let other = vm.request(request(&token, &proof(&token, "2", None)));
    Idp::default().serve(&mut vm);
    vm.forwarded(good);
    vm.forwarded(other);
    assert_eq!(vm.replied(again).details, "mcp_oauth_dpop_replay");
}

fn with_nonces(report_only: bool) -> Vm {
    let mut vm = Vm::with_environment(&[("NONCES", &URL_SAFE_NO_PAD.encode([1; 32]))]);
    let config = with(inline_config(&[Key::GOOD]), "dpop", json!({ "nonce": { "key_variable": "NONCES" } }));
    let (_, accepted) = vm.root(with(config, "report_only", json!(report_only)).to_string());
    assert!(accepted);
    vm
}

#[test]
fn a_nonce_is_told_in_a_header() {
    let mut vm = with_nonces(false);
    let token = bound();
    let stream = vm.request(request(&token, &proof(&token, "1", None)));
    let reply = vm.replied(stream);
    reply.refuses(401, "use_dpop_nonce");
    assert!(reply.challenge().starts_with("DPoP error=\"use_dpop_nonce\""), "{}", reply.challenge());
    let nonce = reply.headers.get("dpop-nonce").expect("a nonce").to_owned();
    let stream = vm.request(request(&token, &proof(&token, "1", Some(&nonce))));
    vm.forwarded(stream);
}

/// What would be refused for it goes on, and its response tells the nonce, whatever the server says and the proxy can do.
#[test]
fn where_refusals_are_only_reported_the_nonce_comes_with_the_response() {
    for (fault, is_told) in [(None, true), (Some("proxy_replace_header_map_value"), false)] {
        let mut vm = with_nonces(true);
        let token = bound();
        let stream = vm.request(request(&token, &proof(&token, "1", None)));
        vm.forwarded(stream);
        if let Some(call) = fault {
            vm.world().fault(Fault::always(call, NOT_FOUND));
        }
        let seen = vm.respond(stream, Response::status(200).header("dpop-nonce", "the-servers-own"));
        let nonce = seen.get("dpop-nonce").expect("a nonce").to_owned();
        assert_eq!(nonce != "the-servers-own", is_told, "{nonce}");
        vm.world().heal();
        let next = vm.request(request(&token, &proof(&token, "2", Some(&nonce))));
        vm.forwarded(next);
        let seen = vm.respond(next, Response::status(200));
        assert_eq!(seen.get("dpop-nonce").is_none(), is_told, "{seen:?}");
    }
}
