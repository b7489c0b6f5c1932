//! A token is in no debug output, error or log line, whatever is printed while it is there (RFC 6750 section 5.3,
//! MCP authorization, Token Theft).

use core::fmt::Debug;

use mcp_oauth::{
    bearer::Authorization,
    gate::{Gate, Verdict},
    request::Request,
};

use crate::support::{
    ask, claims, gate, good_token, head, header, inline_config, present, refusal, remote_config, sign_texts,
};

/// Every way in which Rust or a person prints this value.
fn printed(value: &impl Debug) -> String {
    format!("{value:?}\n{value:#?}\n{value:x?}\n{value:X?}")
}

/// Whether eight characters in a row of the secret are in the text: as they are, or as the numbers of their bytes.
fn shows(text: &str, secret: &str) -> Option<String> {
    // The pretty form has one number a line.
    let compact: String = text.chars().filter(|character| !character.is_whitespace()).collect();
    let numbers = |window: &[u8], write: fn(&u8) -> String| window.iter().map(write).collect::<Vec<_>>().join(",");
    secret.as_bytes().windows(8).find_map(|window| {
        let forms = [
            String::from_utf8_lossy(window).into_owned(),
            numbers(window, |byte| byte.to_string()),
            numbers(window, |byte| format!("{byte:x}")),
            numbers(window, |byte| format!("{byte:X}")),
        ];
        forms.into_iter().find(|form| compact.contains(form.as_str()))
    })
}

#[track_caller]
fn assert_silent(what: &str, value: &impl Debug, secret: &str) {
    let text = printed(value);
    if let Some(form) = shows(&text, secret) {
        let at = text.chars().take(400).collect::<String>();
        panic!("{what} prints `{form}` of the token: {at}...");
    }
}

fn request<'r>(lines: &'r [(&'r str, &'r str)], gate: &Gate) -> Request<'r> {
    let lines = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    Request::new(lines, gate.policy().identity_headers())
}

/// The detector finds what it must find, or the tests below show nothing.
#[test]
fn what_prints_a_token_is_found() {
    let token = good_token();
    let bytes = token.as_bytes();
    assert!(shows(&printed(&token), &token).is_some(), "as a text");
    assert!(shows(&printed(&&token[20..40]), &token).is_some(), "a part of it");
    assert!(shows(&format!("{bytes:?}"), &token).is_some(), "as numbers");
    assert!(shows(&format!("{bytes:#?}"), &token).is_some(), "as numbers, one a line");
    assert!(shows(&format!("{:x?}", &bytes[10..30]), &token).is_some(), "as hexadecimal numbers");
    assert!(shows("nothing of it: 101, 121, 74", &token).is_none());
}

#[test]
fn credentials_do_not_print() {
    let token = good_token();
    let value = format!("Bearer {token}");
    let authorization = Authorization::default().and(value.as_bytes());
    assert_silent("Authorization", &authorization, &token);
    assert_silent("Authorization, several lines", &authorization.and(value.as_bytes()), &token);
    let bearer = authorization.bearer().expect("one token").expect("a token");
    assert_silent("BearerToken", &bearer, &token);
    assert_eq!(format!("{bearer:?}"), format!("BearerToken(<{} bytes>)", token.len()));
    let malformed = Authorization::default().and(&value.as_bytes()[..value.len() - 1]).and(b"");
    assert_silent("CredentialsError", &malformed.bearer(), &token);
}

#[test]
fn a_request_does_not_print_its_credentials() {
    let token = good_token();
    let bearer = format!("Bearer {token}");
    let gate = gate(&inline_config());
    for name in ["authorization", "proxy-authorization", "dpop", "cookie", "x-mcp-subject"] {
        let lines = head("/mcp", &[(name, &bearer)]);
        assert_silent(name, &request(&lines, &gate), &token);
    }
}

/// OAuth 2.1 section 5.1 forbids tokens in the query; clients send them all the same, and they are as secret.
#[test]
fn a_request_does_not_print_a_token_of_the_query() {
    let token = good_token();
    let path = format!("/mcp?access_token={token}");
    let gate = gate(&inline_config());
    assert_silent("Request", &request(&head(&path, &[]), &gate), &token);
}

#[test]
fn a_gate_does_not_print_what_it_holds() {
    let token = good_token();
    let (path, bearer) = (format!("/mcp?access_token={token}&a=b"), format!("Bearer {token}"));
    let mut gate = gate(&remote_config());
    let lines = head(&path, &[("authorization", &bearer), ("dpop", &token), ("x-mcp-subject", &token)]);
    let verdict = ask(&mut gate, &lines);
    assert!(matches!(verdict, Verdict::Hold), "{verdict:?}");
    assert!(printed(&gate).contains("Held("), "the gate prints that it holds something");
    assert_silent("Gate", &gate, &token);
    assert_silent("Verdict::Hold", &verdict, &token);
}

#[test]
fn a_verdict_does_not_print_the_token() {
    let token = good_token();
    let (path, bearer) = (format!("/mcp?access_token={token}&a=b"), format!("Bearer {token}"));
    let lines = head(&path, &[("authorization", &bearer), ("dpop", &token), ("x-mcp-subject", &token)]);
    let verdict = ask(&mut gate(&inline_config()), &lines);
    assert!(matches!(verdict, Verdict::Forward(_)), "{verdict:?}");
    assert_silent("Verdict::Forward", &verdict, &token);
    let Verdict::Forward(forward) = verdict else { panic!("checked above") };
    for edit in forward.edits() {
        assert_silent("Edit", &edit, &token);
    }
}

/// A refused token may be a good one somewhere else.
#[test]
fn a_refusal_does_not_print_the_token() {
    let good = good_token();
    let (input, signature) = good.rsplit_once('.').expect("three parts");
    let (header_part, payload_part) = input.split_once('.').expect("three parts");
    for (name, token) in [
        ("a wrong signature", sign_texts(2, &header().to_string(), &claims().to_string())),
        ("a padded signature", format!("{good}=")),
        ("no signature", input.to_owned()),
        ("parts exchanged", format!("{payload_part}.{header_part}.{signature}")),
        ("opaque", signature.to_owned()),
        ("malformed", format!("{good}!")),
        ("two of them", format!("{good},Bearer {good}")),
    ] {
        let verdict = present(&mut gate(&inline_config()), &token);
        assert_silent(name, &verdict, &token);
        let refusal = refusal(verdict);
        assert_silent(name, &refusal.to_string(), &token);
        assert_silent(name, &(refusal.description(), refusal.reason(), refusal.code()), &token);
    }
}
