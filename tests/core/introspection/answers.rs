//! Promise: an answer is held to all that a JWT is held to, and one that is none is 503, whatever it is.

use mcp_oauth::{
    fetch::{Answer, FetchError},
    gate::Verdict,
    grant::InsufficientScope,
    introspection::IntrospectionError,
    refusal::Refusal,
    time::UnixTime,
    token::{ClaimFault, TokenError},
};
use serde_json::{Value, json};

use super::{OPAQUE, active, always_asking, answered, asking, gate, json_answer, later, next, only, present_at, serve};
use crate::support::{
    HeaderMap, ISSUER, NOW, RESOURCE, Row, accepted, check, good_token, holding, invalid, put, reply, reply_header,
    with,
};

fn judge(config: &Value, token: &str, rows: Vec<Row<Value>>) {
    check(rows, |document| answered(config, token, json_answer(document.to_string().as_bytes())));
}

#[test]
fn an_opaque_token_is_held_to_what_a_jwt_is_held_to() {
    let row = |member: &str, value: Value| holding(active(), member, value);
    let lacks = |member: &str| with(active(), member, Value::Null);
    let missing = |claim| TokenError::Claim(claim, ClaimFault::Missing);
    let wrong = |claim| TokenError::Claim(claim, ClaimFault::Type);
    let no_date = |claim| TokenError::Claim(claim, ClaimFault::Range);
    let audience = |found: &str| TokenError::Audience { found: found.to_owned(), accepted: RESOURCE.to_owned() };
    let issuer = |found: &str| TokenError::Issuer(found.to_owned());
    judge(
        &asking(),
        OPAQUE,
        vec![
            accepted("RFC 7662 2.2: active", active()),
            accepted("RFC 7662 2.2: `iss` is optional", lacks("iss")),
            accepted("RFC 7662 2.2: `token_type` is optional", lacks("token_type")),
            accepted("RFC 7662 2.2: `aud` may be an array", row("aud", json!(["x", RESOURCE]))),
            accepted("RFC 6749 5.1: `token_type` has no case", row("token_type", json!("bearer"))),
            invalid("RFC 7662 2.2: not active", json!({ "active": false }), TokenError::Inactive),
            invalid(
                "RFC 7662 2.2: not active, whatever else it says",
                row("active", json!(false)),
                TokenError::Inactive,
            ),
            invalid("another issuer", row("iss", json!("https://evil.example")), issuer("https://evil.example")),
            invalid(
                "an issuer that begins alike",
                row("iss", json!(format!("{ISSUER}/"))),
                issuer(&format!("{ISSUER}/")),
            ),
            invalid("an issuer that is no text", row("iss", json!([ISSUER])), issuer("")),
            invalid("another audience", row("aud", json!("https://other.example")), audience("https://other.example")),
            invalid(
                "an audience that begins alike",
                row("aud", json!(format!("{RESOURCE}/x"))),
                audience(&format!("{RESOURCE}/x")),
            ),
            invalid("no audience", lacks("aud"), missing("aud")),
            invalid("an audience that is no text", row("aud", json!(1)), wrong("aud")),
            invalid("no end", lacks("exp"), missing("exp")),
            invalid(
                "it has ended",
                row("exp", json!(NOW.0 - 31)),
                TokenError::Expired { at: UnixTime(NOW.0 - 31), now: NOW },
            ),
            invalid("a negative end", row("exp", json!(-1)), no_date("exp")),
            invalid("an end in milliseconds", row("exp", json!(NOW.0 * 1000)), no_date("exp")),
            invalid("an end that is a text", row("exp", json!(format!("{}", NOW.0 + 300))), wrong("exp")),
            invalid(
                "it begins later",
                row("nbf", json!(NOW.0 + 31)),
                TokenError::NotYetValid { claim: "nbf", at: UnixTime(NOW.0 + 31), now: NOW },
            ),
            invalid("RFC 7662 2.2: bound to a key", row("cnf", json!({ "jkt": "x" })), TokenError::SenderConstrained),
            invalid(
                "a refresh token is active too",
                row("token_type", json!("N_A")),
                TokenError::NotAccessToken("token_type"),
            ),
            accepted("Ory: `token_use`", row("token_use", json!("access_token"))),
            invalid(
                "Ory: a refresh token",
                row("token_use", json!("refresh_token")),
                TokenError::NotAccessToken("token_use"),
            ),
            accepted(
                "Keycloak before 24: a nonce in an access token",
                with(row("nonce", json!("n")), "typ", json!("Bearer")),
            ),
            invalid("Keycloak: a refresh token", row("typ", json!("Refresh")), TokenError::NotAccessToken("typ")),
            invalid("an ID token", row("nonce", json!("n")), TokenError::NotAccessToken("nonce")),
            invalid("scopes of another type", row("scope", json!(1)), wrong("scope")),
        ],
    );
}

/// RFC 7662 section 2.2: they are optional, and some servers write null for what they do not have.
#[test]
fn a_member_that_is_null_is_none() {
    let null = |member: &str| holding(active(), member, Value::Null);
    let missing = |claim| TokenError::Claim(claim, ClaimFault::Missing);
    let optional = ["iss", "nbf", "sub", "client_id", "cnf", "token_type", "token_use", "typ", "nonce"];
    let mut rows: Vec<_> = optional.into_iter().map(|member| accepted(member, null(member))).collect();
    rows.extend(["aud", "exp"].into_iter().map(|member| invalid(member, null(member), missing(member))));
    judge(&asking(), OPAQUE, rows);
    let unscoped = answered(&asking(), OPAQUE, json_answer(null("scope").to_string().as_bytes()));
    assert!(matches!(unscoped, Err(Refusal::InsufficientScope(_))), "{unscoped:?}");
    let undecided = answered(&asking(), OPAQUE, json_answer(br#"{"active":null}"#));
    assert!(matches!(undecided, Err(Refusal::IntrospectionUnavailable { .. })), "{undecided:?}");
}

#[test]
fn the_scopes_of_the_answer_decide() {
    let answer = holding(active(), "scope", json!("mcp:other"));
    let refused = answered(&asking(), OPAQUE, json_answer(answer.to_string().as_bytes()));
    let Err(Refusal::InsufficientScope(InsufficientScope { granted, needed })) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((granted.to_string(), needed.to_string()), ("mcp:other".to_owned(), "mcp:read".to_owned()));
}

/// For a token that its signature proved, only what may have changed counts.
#[test]
fn a_jwt_may_have_been_revoked() {
    let good = good_token();
    judge(
        &always_asking(),
        &good,
        vec![
            accepted("active, and nothing else", json!({ "active": true })),
            accepted("the same end", active()),
            invalid("revoked", json!({ "active": false }), TokenError::Inactive),
            invalid(
                "another issuer",
                json!({ "active": true, "iss": "https://evil.example" }),
                TokenError::Issuer("https://evil.example".to_owned()),
            ),
            invalid(
                "ended earlier",
                json!({ "active": true, "exp": NOW.0 - 31 }),
                TokenError::Expired { at: UnixTime(NOW.0 - 31), now: NOW },
            ),
        ],
    );
}

fn unavailable(error: IntrospectionError) -> Refusal {
    Refusal::IntrospectionUnavailable { issuer: ISSUER.to_owned(), error }
}

#[test]
fn whatever_is_no_answer_is_503_and_never_a_weaker_check() {
    let good = active().to_string();
    let response = |status: &'static [u8], media: Option<&'static [u8]>, body: &'static [u8]| Answer::Response {
        status,
        content_type: media,
        cache_control: None,
        body,
    };
    let json: Option<&[u8]> = Some(b"application/json");
    let fetch = IntrospectionError::Fetch;
    let status = |status: &str| fetch(FetchError::Status(status.to_owned()));
    let big = vec![b' '; 2_000_000];
    let rows: Vec<(&str, Answer<'_>, IntrospectionError)> = vec![
        ("500", response(b"500", json, b"{\"active\":true}"), status("500")),
        ("400", response(b"400", json, b"{\"active\":true}"), status("400")),
        ("401: the gate's own credentials", response(b"401", json, b"{}"), status("401")),
        ("a redirect", response(b"302", json, b"{\"active\":true}"), status("302")),
        ("201", response(b"201", json, b"{\"active\":true}"), status("201")),
        ("timeout", response(b"504", Some(b"text/plain"), b"upstream request timeout"), status("504")),
        ("HTML", response(b"200", Some(b"text/html"), b"<p>"), fetch(FetchError::ContentType("text/html".to_owned()))),
        ("no media type", response(b"200", None, b"{\"active\":true}"), fetch(FetchError::ContentType(String::new()))),
        ("2 MB that the host did not copy", Answer::TooLarge(2_000_000), fetch(FetchError::TooLarge(2_000_000))),
        (
            "2 MB",
            Answer::Response { status: b"200", content_type: json, cache_control: None, body: &big },
            fetch(FetchError::TooLarge(2_000_000)),
        ),
        ("no response", Answer::NoResponse, fetch(FetchError::NoResponse)),
        ("not sent", Answer::NotSent(2), fetch(FetchError::NotSent(2))),
        ("`active` as text", response(b"200", json, b"{\"active\":\"true\"}"), IntrospectionError::Active),
        ("`active` as number", response(b"200", json, b"{\"active\":1}"), IntrospectionError::Active),
        ("no `active`", response(b"200", json, b"{}"), IntrospectionError::Active),
    ];
    for config in [asking(), always_asking()] {
        let token = if config == asking() { OPAQUE.to_owned() } else { good_token() };
        assert_eq!(answered(&config, &token, json_answer(good.as_bytes())), Ok(()));
        for (name, answer, error) in &rows {
            assert_eq!(answered(&config, &token, *answer), Err(unavailable(error.clone())), "{name}");
        }
        for (name, body) in [
            ("not JSON", &b"active"[..]),
            ("an array", b"[true]"),
            ("twice", b"{\"active\":false,\"active\":true}"),
            ("more", b"{\"active\":true}{}"),
            ("nothing", b""),
        ] {
            let found = answered(&config, &token, json_answer(body));
            assert!(
                matches!(found, Err(Refusal::IntrospectionUnavailable { error: IntrospectionError::Json(_), .. })),
                "{name}: {found:?}"
            );
        }
    }
}

#[test]
fn operators_are_told_that_a_401_is_about_the_gate() {
    let told = |status: &str| IntrospectionError::Fetch(FetchError::Status(status.to_owned())).to_string();
    assert_eq!(told("401"), "answered 401: check the client id and its secret");
    assert_eq!(told("403"), "answered `403`");
}

#[test]
fn an_answer_that_is_none_does_not_make_a_client_throw_its_token_away() {
    let mut gate = gate(&asking());
    assert!(matches!(present_at(&mut gate, 1, OPAQUE, NOW), Verdict::Hold));
    let fetch = next(&mut gate, NOW);
    let outcome = gate.on_answer(fetch.id, Answer::NoResponse, NOW);
    let event = outcome.remote.clone().expect("an event");
    assert_eq!(
        event.to_string(),
        "introspection: `https://idp.example.com/introspect?...`: the connection ended without a response; requests that need \
         it are refused while that lasts"
    );
    let reply = reply(only(outcome));
    assert_eq!((reply.status(), reply.reason()), (503, "mcp_oauth_introspection_unavailable"));
    assert_eq!(reply_header(&reply, "www-authenticate"), None);
    assert_eq!(reply_header(&reply, "retry-after"), Some("1"));
}

#[test]
fn trouble_is_told_once_and_so_is_its_end() {
    let mut gate = gate(&asking());
    let mut ask = |seconds: u64, answer: Answer<'_>| {
        let (id, now) = (u32::try_from(seconds).expect("small"), later(seconds));
        let _ = present_at(&mut gate, id, &format!("{OPAQUE}{id}"), now);
        let fetch = next(&mut gate, now);
        gate.on_answer(fetch.id, answer, now).remote.map(|event| event.failure.is_some())
    };
    let good = active().to_string();
    let inactive = json_answer(b"{\"active\":false}");
    assert_eq!(ask(1, json_answer(good.as_bytes())), None);
    assert_eq!(ask(2, Answer::NoResponse), Some(true));
    assert_eq!(ask(3, Answer::NotSent(1)), None, "once");
    // Clients choose the tokens, and so what is answered: they must not fill the log.
    assert_eq!(ask(11, inactive), None, "within ten seconds");
    assert_eq!(ask(12, inactive), Some(false), "it answers again");
    assert_eq!(ask(13, Answer::NoResponse), None);
    assert_eq!(ask(21, Answer::NoResponse), None);
    assert_eq!(ask(22, Answer::NoResponse), Some(true));
    assert_eq!(ask(40, Answer::NoResponse), None);
}

/// developers.google.com/identity/protocols/oauth2: numbers are texts there, and a bad token is a 400.
#[test]
fn googles_tokeninfo_is_read_as_it_is() {
    let google = put(
        asking(),
        "/authorization_servers/0/introspection",
        json!({ "endpoint": "https://oauth2.googleapis.com/tokeninfo", "cluster": "google", "form": "google_tokeninfo" }),
    );
    let info = json!({
        "azp": "c1", "aud": RESOURCE, "sub": "110", "scope": "mcp:read openid", "exp": format!("{}", NOW.0 + 300),
        "expires_in": "300", "email": "alice@example.com", "email_verified": "true", "access_type": "online",
    });
    let response = |status: &'static [u8], body: &'static [u8]| Answer::Response {
        status,
        content_type: Some(b"application/json; charset=UTF-8"),
        cache_control: Some(b"no-cache, no-store"),
        body,
    };
    let ask = |info: &Value| answered(&google, "ya29.a0Af.x", json_answer(info.to_string().as_bytes()));
    assert_eq!(ask(&info), Ok(()));
    let past = holding(info.clone(), "exp", json!(format!("{}", NOW.0 - 31)));
    let expired = TokenError::Expired { at: UnixTime(NOW.0 - 31), now: NOW };
    assert_eq!(ask(&past), Err(Refusal::Token(expired)));
    let other = holding(info.clone(), "aud", json!("other"));
    assert!(matches!(ask(&other), Err(Refusal::Token(TokenError::Audience { .. }))));
    let odd = holding(info, "exp", json!("soon"));
    assert_eq!(ask(&odd), Err(Refusal::Token(TokenError::Claim("exp", ClaimFault::Range))));
    for body in [
        &b"{\"error\":\"invalid_token\",\"error_description\":\"Invalid Value\"}"[..],
        b"{\"error_description\":\"Invalid Value\"}",
    ] {
        let found = answered(&google, "ya29.x", response(b"400", body));
        assert_eq!(found, Err(Refusal::Token(TokenError::Inactive)));
    }
    for body in [
        &b"{\"error\":\"invalid_request\"}"[..],
        b"{\"error\":\"invalid_request\",\"error_description\":\"Invalid Value\"}",
        b"{}",
    ] {
        let refused = answered(&google, "ya29.x", response(b"400", body));
        assert_eq!(refused, Err(unavailable(IntrospectionError::Refused)));
    }
    let down = answered(&google, "ya29.x", response(b"503", b"{}"));
    assert_eq!(down, Err(unavailable(IntrospectionError::Fetch(FetchError::Status("503".to_owned())))));
}

#[test]
fn the_caller_that_an_answer_names_is_told_upstream() {
    let mut gate = gate(&asking());
    let _ = present_at(&mut gate, 1, OPAQUE, NOW);
    let Verdict::Forward(forward) = only(serve(&mut gate, &active(), NOW)) else {
        panic!("not forwarded");
    };
    let mut lines = HeaderMap::new(&[("authorization", "Bearer x")]);
    lines.apply(forward.edits());
    let told = HeaderMap::new(&[
        ("x-mcp-subject", "alice"),
        ("x-mcp-client-id", "c1"),
        ("x-mcp-scopes", "mcp:read"),
        ("x-mcp-issuer", ISSUER),
    ]);
    assert_eq!(lines, told);
}
