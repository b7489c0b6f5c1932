//! Upstream credentials on the wire: what is asked and by whom, what the upstream gets, and that no fault makes it get less
//! or the client's token.

use serde_json::{Value, json};
use wasm_host_tests::{
    Answer, Fault, HOST_FUNCTIONS, Headers, Key, PATH, RESOURCE, Request, Response, Stream, Token, Vm, inline_config,
};

const SECRET: &str = "gateway-secret";
const API_KEY: &str = "our-api-key";
const ENDPOINT: &str = "https://as.example.com/token";
/// P-256, d = 7 (32 times the byte).
const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","d":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc","x":"HhhTL9R1TALzBB2cdc6zO4P_2BrHzk_ogsyxyYvFiW4","y":"pGwxHE4v9A3ZajZT5uRURdMt_khuztdcepDGoYiBwKM"}]}"#;

fn config(credential: &Value) -> String {
    let mut config = inline_config(&[Key::GOOD]);
    config["resources"][0]["upstream_credential"] = credential.clone();
    config.to_string()
}

fn endpoint() -> Value {
    json!({
        "endpoint": ENDPOINT, "cluster": "idp", "client_id": "gateway", "client_secret_variable": "SECRET",
        "audience": "up", "timeout": "2s",
    })
}

fn exchange() -> Value {
    json!({ "token_exchange": endpoint() })
}

fn own() -> Value {
    json!({ "client_credentials": endpoint() })
}

fn header() -> Value {
    json!({ "header": { "name": "x-api-key", "value_variable": "API_KEY" } })
}

fn identity() -> Value {
    json!({ "identity_jwt": {
        "issuer": "https://gateway.example", "audience": "up", "keys_variable": "KEYS", "jwks_path": "/keys",
    } })
}

fn vm(credential: &Value) -> Vm {
    let mut vm = Vm::with_environment(&[("SECRET", SECRET), ("API_KEY", API_KEY), ("KEYS", KEYS)]);
    let (_, accepted) = vm.root(config(credential));
    assert!(accepted, "{}", vm.world().log_text());
    vm
}

fn token() -> String {
    Token::good().sign()
}

fn request() -> Request {
    Request::post(PATH).bearer(&token())
}

fn issued(token: &str) -> Answer {
    Answer::json(&json!({
        "access_token": token, "token_type": "Bearer", "expires_in": 300,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }))
}

/// Ticks, and answers the only open call.
#[track_caller]
fn serve(vm: &mut Vm, answer: Answer) {
    vm.tick();
    let calls = vm.world().open_calls();
    assert_eq!(calls.len(), 1, "{calls:#?}");
    vm.answer(calls[0].token, answer);
}

fn silent(vm: &mut Vm) -> bool {
    vm.tick();
    vm.world().open_calls().is_empty()
}

#[test]
fn a_token_is_exchanged_and_only_the_new_one_goes_upstream() {
    let mut vm = vm(&exchange());
    let stream = vm.request(request());
    assert!(vm.is_held(stream), "{:?}", vm.outcome(stream));
    vm.tick();
    let call = vm.world().open_calls().remove(0);
    assert_eq!((call.url().as_str(), call.cluster.as_str(), call.timeout_ms), (ENDPOINT, "idp", 2000));
    assert_eq!(call.asked_by, call.root, "asked by the root, so that no client can take the answer away");
    assert_eq!(call.headers.get(":method"), Some("POST"));
    assert_eq!(call.headers.get("content-type"), Some("application/x-www-form-urlencoded"));
    assert!(call.headers.get("authorization").is_some_and(|value| value.starts_with("Basic ")));
    let body = String::from_utf8_lossy(&call.body).into_owned();
    assert!(body.contains(&format!("&subject_token={}&", token())), "{body}");
    vm.answer(call.token, issued("exchanged"));
    let upstream = vm.forwarded(stream);
    assert_eq!(upstream.get("authorization"), Some("Bearer exchanged"));
    assert!(!upstream.mentions(&token()));

    let again = vm.request(request());
    assert_eq!(vm.forwarded(again).get("authorization"), Some("Bearer exchanged"));
    assert!(silent(&mut vm), "kept");
}

#[test]
fn the_gates_own_token_is_renewed_while_nobody_waits() {
    let mut vm = vm(&own());
    let stream = vm.request(request());
    serve(&mut vm, issued("first"));
    assert_eq!(vm.forwarded(stream).get("authorization"), Some("Bearer first"));
    assert!(silent(&mut vm));
    vm.world().now += 270;
    let stream = vm.request(Request::post(PATH).bearer(&token()));
    assert_eq!(vm.forwarded(stream).get("authorization"), Some("Bearer first"));
    serve(&mut vm, issued("second"));
    let stream = vm.request(request());
    assert_eq!(vm.forwarded(stream).get("authorization"), Some("Bearer second"));
    assert!(silent(&mut vm));
}

#[test]
fn lines_and_jwts_need_nobody_else() {
    let mut with_header = vm(&header());
    let stream = with_header.request(request().header("x-api-key", "forged").header("x_api_key", "forged"));
    let upstream = with_header.forwarded(stream);
    assert_eq!(upstream.get("x-api-key"), Some(API_KEY));
    assert_eq!((upstream.get("x_api_key"), upstream.get("authorization")), (None, None));
    assert!(silent(&mut with_header));

    let mut with_jwt = vm(&identity());
    let stream = with_jwt.request(request());
    let upstream = with_jwt.forwarded(stream);
    let jwt = upstream.get("authorization").expect("a line").to_owned();
    assert_eq!(jwt.strip_prefix("Bearer ").expect("a scheme").split('.').count(), 3);
    assert!(!upstream.mentions(&token()));
    let keys = with_jwt.request(Request::get("/keys"));
    let keys = with_jwt.replied(keys);
    assert_eq!((keys.status, keys.details.as_str()), (200, "mcp_oauth_identity_keys"));
    let document: Value = serde_json::from_slice(&keys.body).expect("JSON");
    assert!(document["keys"][0].get("x").is_some() && document["keys"][0].get("d").is_none(), "{document}");
}

#[test]
fn a_forwarded_token_is_warned_of() {
    let mut vm = vm(&json!("insecure_forward_client_token"));
    assert!(
        vm.world()
            .log_text()
            .contains("config: `https://mcp.example.com/weather/mcp`: `insecure_forward_client_token`: "),
        "{}",
        vm.world().log_text()
    );
    let stream = vm.request(request());
    assert_eq!(vm.forwarded(stream).get("authorization"), Some(format!("Bearer {}", token()).as_str()));
}

#[test]
fn each_failure_has_its_name_and_shows_no_secret() {
    let refused = |code: &str| Answer::new(400, "application/json", json!({ "error": code }).to_string());
    let unavailable = "mcp_oauth_upstream_credential_unavailable";
    let rows: [(&str, Answer, u32, &str); 8] = [
        ("html", Answer::html(), 503, unavailable),
        ("404", Answer::not_found(), 503, unavailable),
        ("not sent", Answer::refused(), 503, unavailable),
        ("timeout", Answer::timeout(), 503, unavailable),
        ("reset", Answer::reset(), 503, unavailable),
        ("2 MiB", Answer::new(200, "application/json", " ".repeat(2 << 20)), 503, unavailable),
        ("DPoP", Answer::json(&json!({ "access_token": "hush", "token_type": "DPoP" })), 503, unavailable),
        ("refused", refused("invalid_target"), 502, "mcp_oauth_upstream_credential_refused"),
    ];
    for credential in [exchange(), own()] {
        for (name, failure, status, reason) in rows.clone() {
            let mut vm = vm(&credential);
            let stream = vm.request(request());
            serve(&mut vm, failure);
            let reply = vm.replied(stream);
            assert_eq!((reply.status, reply.details.as_str()), (status, reason), "{name}");
            assert!(vm.upstream_attempts(stream).is_empty(), "{name}");
            let shown = format!("{}{reply:?}", vm.world().log_text());
            assert!(shown.contains(&format!("`{ENDPOINT}`: ")), "{name}: {shown}");
            for secret in [SECRET, "hush", &token()] {
                assert!(!shown.contains(secret), "{name}: {shown}");
            }
            vm.world().now += 11;
            let next = vm.request(request());
            serve(&mut vm, issued("later"));
            assert_eq!(vm.forwarded(next).get("authorization"), Some("Bearer later"), "{name}");
        }
    }
}

#[test]
fn a_client_that_leaves_does_not_disturb_the_others() {
    let mut vm = vm(&exchange());
    let (gone, stays) = (vm.request(request()), vm.request(request()));
    vm.tick();
    vm.delete(gone);
    serve(&mut vm, issued("exchanged"));
    assert_eq!(vm.forwarded(stays).get("authorization"), Some("Bearer exchanged"));
}

/// A request that goes upstream, or tries to, has the credential and nothing of the client's. Says how many there were.
#[track_caller]
fn check_attempts(vm: &mut Vm, stream: Stream, is_good: fn(&Headers) -> bool, what: &str) -> usize {
    let attempts = vm.upstream_attempts(stream);
    for headers in &attempts {
        assert!(!headers.mentions(&token()) && !headers.mentions("forged"), "{what}: the client's: {headers:?}");
        assert!(is_good(headers), "{what}: no credential: {headers:?}");
    }
    attempts.len()
}

/// A host that has no such thing, one that cannot read, and one that fails: all statuses for all functions would take minutes.
const SOME_STATUSES: [u32; 3] = [1, 2, 10];

#[test]
fn no_fault_makes_the_upstream_get_less() {
    fn has_token(headers: &Headers) -> bool {
        headers.get("authorization") == Some("Bearer issued")
    }
    fn has_jwt(headers: &Headers) -> bool {
        let jwt = headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "));
        jwt.is_some_and(|jwt| jwt.split('.').count() == 3)
    }
    fn has_key(headers: &Headers) -> bool {
        headers.get("x-api-key") == Some(API_KEY) && headers.get("authorization").is_none()
    }
    type Check = fn(&Headers) -> bool;
    // After a wait, and at once.
    let credentials =
        [(exchange(), has_token as Check), (own(), has_token), (header(), has_key), (identity(), has_jwt)];
    for (credential, is_good) in credentials {
        let mut faults = Vec::new();
        for function in HOST_FUNCTIONS {
            faults.extend(SOME_STATUSES.map(|status| Fault::nth(function, 1, status)));
            faults.extend([2, 3].map(|n| Fault::nth(function, n, 2)));
        }
        faults.extend((1..=25).map(|n| Fault::everything_from(n, 2)));
        let (all, mut forwarded) = (faults.len(), 0);
        for fault in faults {
            let mut vm = vm(&credential);
            vm.world().fault(fault.clone());
            // What the client says itself must go, whatever fails.
            let forged = if credential == header() { "x-api-key" } else { "x-mcp-subject" };
            let stream = vm.request(request().header(forged, "forged"));
            vm.tick();
            for call in vm.world().open_calls() {
                vm.answer(call.token, issued("issued"));
            }
            forwarded += usize::from(check_attempts(&mut vm, stream, is_good, &format!("{fault:?} {credential}")) > 0);
        }
        // Most calls are not made for such a request, and some may fail without harm; but not all.
        assert!(forwarded > all / 4 && forwarded < all, "{forwarded} of {all} went upstream: {credential}");
    }
}

/// A 401 of the server is about the credential that it got, and never about the client's token: a client that heard of it would
/// throw a good token away and log in, for nothing.
#[test]
fn a_server_that_refuses_the_credential_does_not_send_the_client_away() {
    let challenge = r#"Bearer error="invalid_token""#;
    for (credential, is_asked) in [(exchange(), true), (own(), true), (header(), false), (identity(), false)] {
        let mut vm = vm(&credential);
        for (response, is_refused) in [
            (Response::status(401).header("www-authenticate", challenge), true),
            (Response::status(401), true),
            (Response::status(403).header("www-authenticate", challenge), false),
            (Response::status(200), false),
        ] {
            let stream = vm.request(request());
            if vm.is_held(stream) {
                assert!(is_asked);
                serve(&mut vm, issued("upstream"));
            }
            vm.forwarded(stream);
            let seen = vm.try_respond(stream, response);
            assert_eq!(seen.is_none(), is_refused, "{seen:?}");
            if is_refused {
                let reply = vm.replied(stream);
                reply.refuses(502, "bad_gateway");
                assert_eq!(reply.details, "mcp_oauth_upstream_credential_refused");
                assert!(vm.world().log_text().contains(&format!("`{RESOURCE}`: the server answered 401")));
            }
        }
    }
    // Where there is none, the server may want a token of its own accord, and the challenge is the resource's.
    for credential in [json!("none"), json!("insecure_forward_client_token")] {
        let mut vm = vm(&credential);
        let stream = vm.request(request());
        vm.forwarded(stream);
        let seen = vm.respond(stream, Response::status(401).header("www-authenticate", challenge));
        assert!(
            seen.get("www-authenticate").is_some_and(|line| line.starts_with("Bearer resource_metadata=")),
            "{seen:?}"
        );
    }
}

/// Nor does a request that goes on without one, because its refusal is only reported.
#[test]
fn where_nothing_was_given_nothing_was_refused() {
    let mut config = inline_config(&[Key::GOOD]);
    config["resources"][0]["upstream_credential"] = header();
    config["resources"][0]["report_only"] = json!(true);
    let mut vm = Vm::with_environment(&[("API_KEY", API_KEY)]);
    assert!(vm.root(config.to_string()).1);
    let stream = vm.request(Request::post(PATH));
    vm.forwarded(stream);
    let seen = vm.respond(stream, Response::status(401));
    assert_eq!(seen.get(":status"), Some("401"));
}
