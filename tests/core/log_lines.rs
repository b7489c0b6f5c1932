//! Promise: whatever is wrong, the operator's log says what, on one line of plain text, and no two faults read alike.

use std::{collections::BTreeMap, fmt::Display};

use mcp_oauth::{
    bearer::CredentialsError,
    dpop::ProofError,
    introspection::IntrospectionError,
    json::JsonError,
    jwk::KeySetError,
    jws::{Algorithm, JwsError, Part},
    message::{HeaderMismatch, MessageError},
    refusal::Refusal,
    token::{ClaimFault, TokenError},
    upstream_credential::TokenEndpointError,
};

use crate::support::{NOW, path_errors};

/// Checks the texts of all faults of one kind.
#[track_caller]
fn check(faults: Vec<Box<dyn Display>>) {
    let mut seen = BTreeMap::new();
    for (number, fault) in faults.iter().enumerate() {
        let text = fault.to_string();
        assert!(text.len() > 5 && text.bytes().all(|byte| matches!(byte, 0x20..=0x7E)), "{number}: {text:?}");
        assert_eq!(seen.insert(text, number), None, "{number} reads like another");
    }
}

/// The same kind of fault in boxes.
fn boxed<T: Display + 'static>(faults: impl IntoIterator<Item = T>) -> Vec<Box<dyn Display>> {
    faults.into_iter().map(|fault| Box::new(fault) as Box<dyn Display>).collect()
}

fn json_errors() -> [JsonError; 4] {
    let (line, column) = (2, 3);
    [
        JsonError::Syntax { line, column },
        JsonError::Duplicate { line, column },
        JsonError::Names,
        JsonError::NotAnObject,
    ]
}

fn jws_errors() -> Vec<JwsError> {
    let parts = [Part::Header, Part::Payload, Part::Signature];
    let mut errors: Vec<JwsError> = parts.map(JwsError::Base64).into();
    errors.extend(json_errors().map(|error| JwsError::Json(Part::Header, error)));
    errors.extend(json_errors().map(|error| JwsError::Json(Part::Payload, error)));
    errors.extend([
        JwsError::Parts(2),
        JwsError::Parts(5),
        JwsError::Critical,
        JwsError::NoAlgorithm,
        JwsError::Algorithm("none\u{7}".to_owned()),
        JwsError::NotText("kid"),
        JwsError::NotText("typ"),
    ]);
    errors
}

#[test]
fn what_is_wrong_with_a_request() {
    check(boxed([CredentialsError::Doubled, CredentialsError::Malformed, CredentialsError::TooLong(20_000)]));
    check(boxed(path_errors()));
    let mut messages = vec![
        MessageError::Variant("Method\u{e9}".to_owned()),
        MessageError::Member("method"),
        MessageError::Control("method"),
        MessageError::NoMessage,
        MessageError::Response,
        MessageError::Batch,
        MessageError::BatchLength(101),
        MessageError::Subscriptions,
    ];
    messages.extend(json_errors().map(MessageError::Json));
    check(boxed(messages));
    let header = "Mcp-Method";
    check(boxed([
        HeaderMismatch::Doubled(header),
        HeaderMismatch::Malformed(header),
        HeaderMismatch::Missing(header),
        HeaderMismatch::Differs(header),
    ]));
}

#[test]
fn what_is_wrong_with_a_token() {
    check(boxed(jws_errors()));
    let (at, now) = (NOW, NOW);
    let mut errors = vec![
        TokenError::Type("dpop+jwt".to_owned()),
        TokenError::NotAccessToken("nonce"),
        TokenError::Unmarked("azp"),
        TokenError::OpaqueOnly,
        TokenError::Claim("exp", ClaimFault::Missing),
        TokenError::Claim("exp", ClaimFault::Type),
        TokenError::Claim("exp", ClaimFault::Range),
        TokenError::ScopeClaim("roles".to_owned()),
        TokenError::Issuer("https://other.example.com".to_owned()),
        TokenError::Algorithm(Algorithm::Es256),
        TokenError::Audience { found: "x".to_owned(), accepted: "y".to_owned() },
        TokenError::Expired { at, now },
        TokenError::NotYetValid { claim: "nbf", at, now },
        TokenError::SenderConstrained,
        TokenError::NotBound,
        TokenError::Certificate,
        TokenError::UnknownKey(None),
        TokenError::UnknownKey(Some("k1".to_owned())),
        TokenError::AmbiguousKey,
        TokenError::Signature,
        TokenError::Inactive,
    ];
    errors.extend(jws_errors().into_iter().map(TokenError::Jws));
    check(boxed(errors));
}

#[test]
fn what_is_wrong_with_a_proof() {
    let (now, later) = (NOW, mcp_oauth::time::UnixTime(NOW.0 + 400));
    let mut errors = vec![
        ProofError::Missing,
        ProofError::Doubled,
        ProofError::TooLong(9000),
        ProofError::Type("jwt".to_owned()),
        ProofError::Algorithm(Algorithm::Rs256),
        ProofError::PrivateKey,
        ProofError::Key,
        ProofError::OtherKey,
        ProofError::Claim("jti"),
        ProofError::OtherUse("htm"),
        ProofError::Time { made: later, now },
        ProofError::Time { made: now, now: later },
        ProofError::Nonce { now },
        ProofError::Signature,
        ProofError::Replayed,
        ProofError::Forgotten,
    ];
    errors.extend(jws_errors().into_iter().map(ProofError::Jws));
    check(boxed(errors));
    let time = |made, now| ProofError::Time { made, now }.to_string();
    assert_eq!(time(later, now), "`iat` lies `400` s in the future");
    assert_eq!(time(now, later), "made `400` s ago");
    assert_eq!(time(now, now), "made `0` s ago");
}

#[test]
fn what_is_wrong_with_the_answer_of_an_authorization_server() {
    let mut keys = vec![KeySetError::NoKeys, KeySetError::NoneUsable(3)];
    keys.extend(json_errors().map(KeySetError::Json));
    check(boxed(keys));
    let mut answers = vec![IntrospectionError::Active, IntrospectionError::Refused];
    answers.extend(json_errors().map(IntrospectionError::Json));
    check(boxed(answers));
    let mut tokens = vec![
        TokenEndpointError::Refused { status: "400".to_owned(), error: "invalid_target".to_owned() },
        TokenEndpointError::Missing("access_token"),
        TokenEndpointError::NotText("token_type"),
        TokenEndpointError::TokenLength(1 << 20),
        TokenEndpointError::TokenForm,
        TokenEndpointError::TokenType(None),
        TokenEndpointError::TokenType(Some("DPoP")),
        TokenEndpointError::IssuedTokenType(None),
        TokenEndpointError::IssuedTokenType(Some("refresh_token")),
        TokenEndpointError::Lifetime("-1".to_owned()),
    ];
    tokens.extend(json_errors().map(TokenEndpointError::Json));
    check(boxed(tokens));
}

/// A refusal tells what its cause tells, and more: each still reads unlike every other.
#[test]
fn why_a_request_was_refused() {
    check(boxed(crate::reasons::refusals()));
    let credentials = Refusal::Credentials(CredentialsError::Doubled).to_string();
    assert!(credentials.contains(&CredentialsError::Doubled.to_string()), "{credentials}");
}
