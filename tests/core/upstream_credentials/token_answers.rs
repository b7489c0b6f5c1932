//! What a token endpoint answers: used if all of it is as it should be, else one error for each cause.

use mcp_oauth::{
    fetch::{Answer, FetchError},
    json::JsonError,
    refusal::Refusal,
    upstream_credential::TokenEndpointError,
};
use serde_json::{Value, json};

use super::{TOKEN_ENDPOINT, gate, held, issued, next, only, send_at, token_exchange, with_credential};
use crate::support::{NOW, Row, accepted, check, good_token, holding, outcome, refused, without};

fn judge(status: &str, content_type: Option<&str>, body: &[u8]) -> Result<(), Refusal> {
    let mut gate = gate(&with_credential(&token_exchange()));
    held(send_at(&mut gate, 1, &good_token(), &[], NOW));
    let fetch = next(&mut gate, NOW);
    let content_type = content_type.map(str::as_bytes);
    let answer = Answer::Response { status: status.as_bytes(), content_type, cache_control: None, body };
    outcome(only(gate.on_answer(fetch.id, answer, NOW)))
}

fn unavailable(error: TokenEndpointError) -> Refusal {
    Refusal::UpstreamCredentialUnavailable { endpoint: TOKEN_ENDPOINT.to_owned(), error }
}

fn good() -> Value {
    serde_json::from_str(&issued("t", 300)).expect("JSON")
}

#[test]
fn what_a_200_must_say() {
    use TokenEndpointError as Error;
    let wrong = |name: &str, body: Value, error: Error| refused(name, body.to_string(), unavailable(error));
    let right = |name: &str, body: Value| accepted(name, body.to_string());
    let with = |member: &str, value: Value| holding(good(), member, value);
    let issued_type = |kind: &str| with("issued_token_type", json!(format!("urn:ietf:params:oauth:token-type:{kind}")));
    let wrong_issued = Error::IssuedTokenType;
    let lifetime = |found: &str| Error::Lifetime(found.to_owned());
    let rows: Vec<Row<String>> = vec![
        right("RFC 8693 section 2.2.1", good()),
        right("more members", with("scope", json!("a b"))),
        right("a refresh token is nobody's here", with("refresh_token", json!("r"))),
        wrong("no token", without(good(), "/access_token"), Error::Missing("access_token")),
        wrong("null", with("access_token", Value::Null), Error::NotText("access_token")),
        wrong("a number", with("access_token", json!(1)), Error::NotText("access_token")),
        wrong("empty", with("access_token", json!("")), Error::TokenForm),
        wrong("a space", with("access_token", json!("a b")), Error::TokenForm),
        wrong("a line end", with("access_token", json!("a\r\nx: y")), Error::TokenForm),
        wrong("a NUL", with("access_token", json!("a\0")), Error::TokenForm),
        wrong("not ASCII", with("access_token", json!("é")), Error::TokenForm),
        wrong("DEL", with("access_token", json!("a\u{7f}")), Error::TokenForm),
        right("all that a token may have", with("access_token", json!("!~,=+/._-\"\\"))),
        right("the longest", with("access_token", json!("t".repeat(16 * 1024)))),
        wrong("longer", with("access_token", json!("t".repeat(16 * 1024 + 1))), Error::TokenLength(16 * 1024 + 1)),
        wrong("no type", without(good(), "/token_type"), Error::Missing("token_type")),
        right("in any case", with("token_type", json!("bEARER"))),
        wrong("RFC 8693: not to be used as one", with("token_type", json!("N_A")), Error::TokenType(Some("N_A"))),
        wrong("DPoP", with("token_type", json!("DPoP")), Error::TokenType(Some("DPoP"))),
        wrong("mac", with("token_type", json!("mac")), Error::TokenType(Some("mac"))),
        wrong("padded", with("token_type", json!("Bearer ")), Error::TokenType(None)),
        wrong("a list", with("token_type", json!(["Bearer"])), Error::NotText("token_type")),
        wrong("no kind", without(good(), "/issued_token_type"), Error::Missing("issued_token_type")),
        right("a JWT", issued_type("jwt")),
        wrong(
            "a refresh token",
            issued_type("refresh_token"),
            wrong_issued(Some("urn:ietf:params:oauth:token-type:refresh_token")),
        ),
        wrong("an ID token", issued_type("id_token"), wrong_issued(Some("urn:ietf:params:oauth:token-type:id_token"))),
        wrong("SAML", issued_type("saml2"), wrong_issued(Some("urn:ietf:params:oauth:token-type:saml2"))),
        wrong("upper case", issued_type("JWT"), wrong_issued(None)),
        right("no lifetime", without(good(), "/expires_in")),
        right("a second", with("expires_in", json!(1))),
        right("ten years", with("expires_in", json!(10_u64 * 366 * 24 * 3600))),
        wrong("more", with("expires_in", json!(10_u64 * 366 * 24 * 3600 + 1)), lifetime("316224001")),
        wrong("none", with("expires_in", json!(0)), lifetime("0")),
        wrong("negative", with("expires_in", json!(-1)), lifetime("-1")),
        wrong("a fraction", with("expires_in", json!(1.5)), lifetime("1.5")),
        wrong("many digits", with("expires_in", json!(1_234_567_890_123_u64)), lifetime("Number")),
        wrong("a text", with("expires_in", json!("300")), lifetime("Text")),
        wrong("null", with("expires_in", Value::Null), lifetime("Null")),
    ];
    check(rows, |body| judge("200", Some("application/json"), body.as_bytes()));
    let exponent = issued("t", 300).replace("300", "1e400");
    assert_eq!(judge("200", Some("application/json"), exponent.as_bytes()), Err(unavailable(lifetime("1e400"))));
}

#[test]
fn what_is_no_token_answer() {
    use TokenEndpointError as Error;
    let json = Some("application/json");
    let status = |found: &str| Error::Fetch(FetchError::Status(found.to_owned()));
    let body = issued("t", 300);
    let body = body.as_bytes();
    let twice = br#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#;
    let padded = vec![b' '; 300 * 1024];
    type Given<'a> = (&'a str, Option<&'a str>, &'a [u8]);
    let rows: [(Given<'_>, Result<(), Error>); 13] = [
        (("200", json, body), Ok(())),
        (("200", Some("application/json; charset=utf-8"), body), Ok(())),
        (("200", Some("text/html"), b"<html>"), Err(Error::Fetch(FetchError::ContentType("text/html".into())))),
        (("200", Some("text/html"), body), Err(Error::Fetch(FetchError::ContentType("text/html".into())))),
        (("200", None, body), Err(Error::Fetch(FetchError::ContentType(String::new())))),
        (("200", json, b""), Err(Error::Json(JsonError::Syntax { line: 1, column: 1 }))),
        (("200", json, b"[]"), Err(Error::Json(JsonError::NotAnObject))),
        (("200", json, twice), Err(Error::Json(JsonError::Duplicate { line: 1, column: 21 }))),
        (("200", json, &padded), Err(Error::Fetch(FetchError::TooLarge(300 * 1024)))),
        (("201", json, body), Err(status("201"))),
        (("302", json, body), Err(status("302"))),
        (("500", json, br#"{"error":"invalid_request"}"#), Err(status("500"))),
        (("503", json, b""), Err(status("503"))),
    ];
    for ((status, content_type, body), expected) in rows {
        let found = judge(status, content_type, body);
        assert_eq!(found, expected.map_err(unavailable), "{status} {content_type:?}");
    }
}

/// What is longer than a media type that anybody registers may be something else, and a secret.
#[test]
fn a_media_type_is_shown_where_it_looks_like_one() {
    let of_bytes = |length: usize| format!("{:x<length$}", "application/");
    for (sent, told) in [
        (of_bytes(40), of_bytes(40)),
        (of_bytes(41), "an unknown media type".to_owned()),
        ("ey.JhbGciOi".to_owned(), "an unknown media type".to_owned()),
    ] {
        let error = TokenEndpointError::Fetch(FetchError::ContentType(told));
        assert_eq!(judge("200", Some(&sent), b"{}"), Err(unavailable(error)), "{sent}");
    }
}

/// RFC 6749 section 5.2: a refusal says why, in JSON. What does not is an outage, and so is being asked to wait.
#[test]
fn what_is_a_refusal() {
    let json = "application/json";
    let long = format!(r#"{{"error":"{}"}}"#, "e".repeat(65));
    let of_bytes = |length: usize| r#"{"error":"x"}"#.to_owned() + &" ".repeat(length - 13);
    let (longest, longer, too_long) = (of_bytes(64 * 1024), of_bytes(64 * 1024 + 1), of_bytes(100 * 1024));
    let rows = [
        ("400", json, &*longest, Some("x")),
        ("400", json, &longer, None),
        ("400", json, &too_long, None),
        ("400", json, r#"{"error":"invalid_grant"}"#, Some("invalid_grant")),
        (
            "400",
            json,
            r#"{"error":"invalid_request","error_description":"subject_token ey.."}"#,
            Some("invalid_request"),
        ),
        ("401", json, r#"{"error":"invalid_client"}"#, Some("invalid_client")),
        ("403", json, r#"{"error":"access_denied"}"#, Some("access_denied")),
        ("422", json, r#"{"error":"x"}"#, Some("x")),
        ("429", json, r#"{"error":"slow_down"}"#, None),
        ("408", json, r#"{"error":"slow_down"}"#, None),
        ("400", json, r#"{"message":"no"}"#, None),
        ("400", json, r#"{"error":{"code":1}}"#, None),
        ("400", json, r#"{"error":""}"#, None),
        ("400", json, "{\"error\":\"a\\nb\"}", None),
        ("400", json, r#"{"error":"é"}"#, None),
        ("400", json, &long, None),
        ("400", json, r#"{"error":"a","error":"b"}"#, None),
        ("404", json, "not found", None),
        ("404", "text/html", "<html>not found", None),
        ("500", json, r#"{"error":"invalid_grant"}"#, None),
        ("4000", json, r#"{"error":"invalid_grant"}"#, None),
    ];
    for (status, content_type, body, code) in rows {
        let expected = match code {
            Some(code) => Refusal::UpstreamCredentialRefused {
                endpoint: TOKEN_ENDPOINT.to_owned(),
                error: TokenEndpointError::Refused { status: status.to_owned(), error: code.to_owned() },
            },
            None => unavailable(TokenEndpointError::Fetch(FetchError::Status(status.to_owned()))),
        };
        assert_eq!(judge(status, Some(content_type), body.as_bytes()), Err(expected), "{status} {body}");
    }
}
