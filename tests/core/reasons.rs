//! Promise: every reply tells the access log why, in one word that never changes with the request.

use std::collections::BTreeSet;

use mcp_oauth::{
    bearer::CredentialsError,
    dpop::ProofError,
    grant::InsufficientScope,
    introspection::IntrospectionError,
    jws::{Algorithm, JwsError},
    message::{HeaderMismatch, MessageError},
    path::PathError,
    refusal::{MediaError, Refusal},
    reply::Reply,
    scope::ScopeSet,
    token::{ClaimFault, TokenError},
    upstream_credential::TokenEndpointError,
};

use crate::support::NOW;

/// The names of the variants of an enum, from its source.
fn variants(source: &str, name: &str) -> BTreeSet<String> {
    let (_, rest) = source.split_once(&format!("pub enum {name} {{\n")).expect("the enum");
    let (body, _) = rest.split_once("\n}").expect("its end");
    let lines = body.lines().filter_map(|line| line.strip_prefix("    "));
    let named = lines.filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
    named.map(|line| line.split(|c: char| !c.is_ascii_alphanumeric()).next().expect("a name").to_owned()).collect()
}

/// The name of a value's variant.
fn variant(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    text.split(|c: char| !c.is_ascii_alphanumeric()).next().expect("a name").to_owned()
}

fn token_errors() -> Vec<TokenError> {
    vec![
        TokenError::Jws(JwsError::Parts(1)),
        TokenError::Type("x".to_owned()),
        TokenError::NotAccessToken("nonce"),
        TokenError::Unmarked("azp"),
        TokenError::OpaqueOnly,
        TokenError::Claim("exp", ClaimFault::Missing),
        TokenError::ScopeClaim("scope".to_owned()),
        TokenError::Issuer("x".to_owned()),
        TokenError::Algorithm(Algorithm::Es256),
        TokenError::Audience { found: "x".to_owned(), accepted: "y".to_owned() },
        TokenError::Expired { at: NOW, now: NOW },
        TokenError::NotYetValid { claim: "nbf", at: NOW, now: NOW },
        TokenError::SenderConstrained,
        TokenError::NotBound,
        TokenError::Certificate,
        TokenError::UnknownKey(None),
        TokenError::AmbiguousKey,
        TokenError::Signature,
        TokenError::Inactive,
    ]
}

fn proof_errors() -> Vec<ProofError> {
    vec![
        ProofError::Missing,
        ProofError::Doubled,
        ProofError::TooLong(1),
        ProofError::Jws(JwsError::Parts(1)),
        ProofError::Type("x".to_owned()),
        ProofError::Algorithm(Algorithm::Es256),
        ProofError::PrivateKey,
        ProofError::Key,
        ProofError::OtherKey,
        ProofError::Claim("jti"),
        ProofError::OtherUse("htm"),
        ProofError::Time { made: NOW, now: NOW },
        ProofError::Nonce { now: NOW },
        ProofError::Signature,
        ProofError::Replayed,
        ProofError::Forgotten,
    ]
}

pub(crate) fn refusals() -> Vec<Refusal> {
    let insufficient = InsufficientScope { granted: ScopeSet::default(), needed: ScopeSet::default() };
    let others = vec![
        Refusal::Path(PathError::Backslash),
        Refusal::Head,
        Refusal::Unmatched,
        Refusal::RouteResource("x".to_owned()),
        Refusal::NoDocument,
        Refusal::Method,
        Refusal::MissingToken,
        Refusal::Credentials(CredentialsError::Doubled),
        Refusal::InsufficientScope(insufficient),
        Refusal::Origin,
        Refusal::EndpointMethod,
        Refusal::Media(MediaError::Type),
        Refusal::TooLarge { most: 1 },
        Refusal::Message(MessageError::Batch),
        Refusal::UnexpectedBody,
        Refusal::HeaderMismatch(HeaderMismatch::Missing("mcp-method")),
        Refusal::AmbiguousUri,
        Refusal::Denied { rule: None },
        Refusal::UnreadableList,
        Refusal::EarlyResponse,
        Refusal::Session,
        Refusal::KeysUnavailable { issuer: "x".to_owned(), retry_after: 1 },
        Refusal::UpstreamCredentialUnavailable { endpoint: "x".to_owned(), error: TokenEndpointError::TokenForm },
        Refusal::UpstreamCredentialRefused {
            endpoint: "x".to_owned(),
            error: TokenEndpointError::Refused { status: "400".to_owned(), error: "x".to_owned() },
        },
        Refusal::IntrospectionUnavailable { issuer: "x".to_owned(), error: IntrospectionError::Active },
        Refusal::Overloaded { held: 1 },
        Refusal::Misconfigured,
        Refusal::Host("x"),
    ];
    let proofs = proof_errors().into_iter().map(Refusal::Proof);
    token_errors().into_iter().map(Refusal::Token).chain(proofs).chain(others).collect()
}

#[test]
fn every_refusal_has_a_reason() {
    let found: BTreeSet<_> = refusals().iter().map(variant).collect();
    assert_eq!(found, variants(include_str!("../../src/refusal.rs"), "Refusal"));
    let found: BTreeSet<_> = token_errors().iter().map(variant).collect();
    assert_eq!(found, variants(include_str!("../../src/token/error.rs"), "TokenError"));
    let found: BTreeSet<_> = proof_errors().iter().map(variant).collect();
    assert_eq!(found, variants(include_str!("../../src/dpop/mod.rs"), "ProofError"));
    for refusal in refusals() {
        let reply = Reply::refuse(refusal.clone());
        // A proxy would change blanks and cut at others.
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        let rest = reply.reason().strip_prefix("mcp_oauth_").unwrap_or_default();
        assert!(!rest.is_empty() && rest.bytes().all(legal), "{refusal:?}: {}", reply.reason());
        assert_eq!(reply.reason(), refusal.reason());
    }
}

/// Dashboards and alerts are made of these names.
#[test]
fn each_cause_has_its_reason() {
    let cause = |refusal: &Refusal| match refusal {
        Refusal::Token(error) => format!("Token({})", variant(error)),
        Refusal::Proof(error) => format!("Proof({})", variant(error)),
        other => variant(other),
    };
    let told: Vec<String> =
        refusals().iter().map(|refusal| format!("{} {}", cause(refusal), refusal.reason())).collect();
    assert_eq!(told, REASONS);
}

const REASONS: [&str; 63] = [
    "Token(Jws) mcp_oauth_token_malformed",
    "Token(Type) mcp_oauth_token_type",
    "Token(NotAccessToken) mcp_oauth_token_type",
    "Token(Unmarked) mcp_oauth_token_type",
    "Token(OpaqueOnly) mcp_oauth_token_type",
    "Token(Claim) mcp_oauth_token_claim",
    "Token(ScopeClaim) mcp_oauth_token_claim",
    "Token(Issuer) mcp_oauth_token_issuer",
    "Token(Algorithm) mcp_oauth_token_algorithm",
    "Token(Audience) mcp_oauth_token_audience",
    "Token(Expired) mcp_oauth_token_expired",
    "Token(NotYetValid) mcp_oauth_token_not_yet_valid",
    "Token(SenderConstrained) mcp_oauth_token_sender_constrained",
    "Token(NotBound) mcp_oauth_token_not_bound",
    "Token(Certificate) mcp_oauth_token_certificate",
    "Token(UnknownKey) mcp_oauth_token_key",
    "Token(AmbiguousKey) mcp_oauth_token_key",
    "Token(Signature) mcp_oauth_token_signature",
    "Token(Inactive) mcp_oauth_token_inactive",
    "Proof(Missing) mcp_oauth_dpop_missing",
    "Proof(Doubled) mcp_oauth_dpop_malformed",
    "Proof(TooLong) mcp_oauth_dpop_malformed",
    "Proof(Jws) mcp_oauth_dpop_malformed",
    "Proof(Type) mcp_oauth_dpop_malformed",
    "Proof(Algorithm) mcp_oauth_dpop_malformed",
    "Proof(PrivateKey) mcp_oauth_dpop_malformed",
    "Proof(Key) mcp_oauth_dpop_malformed",
    "Proof(OtherKey) mcp_oauth_dpop_key",
    "Proof(Claim) mcp_oauth_dpop_malformed",
    "Proof(OtherUse) mcp_oauth_dpop_use",
    "Proof(Time) mcp_oauth_dpop_time",
    "Proof(Nonce) mcp_oauth_dpop_nonce",
    "Proof(Signature) mcp_oauth_dpop_signature",
    "Proof(Replayed) mcp_oauth_dpop_replay",
    "Proof(Forgotten) mcp_oauth_dpop_replay",
    "Path mcp_oauth_ambiguous_path",
    "Head mcp_oauth_malformed_request",
    "Unmatched mcp_oauth_unmatched",
    "RouteResource mcp_oauth_route_resource",
    "NoDocument mcp_oauth_no_document",
    "Method mcp_oauth_document_method",
    "MissingToken mcp_oauth_missing_token",
    "Credentials mcp_oauth_malformed_credentials",
    "InsufficientScope mcp_oauth_insufficient_scope",
    "Origin mcp_oauth_origin",
    "EndpointMethod mcp_oauth_method",
    "Media mcp_oauth_media_type",
    "TooLarge mcp_oauth_body_too_large",
    "Message mcp_oauth_malformed_message",
    "UnexpectedBody mcp_oauth_malformed_message",
    "HeaderMismatch mcp_oauth_header_mismatch",
    "AmbiguousUri mcp_oauth_ambiguous_uri",
    "Denied mcp_oauth_denied",
    "UnreadableList mcp_oauth_unreadable_list",
    "EarlyResponse mcp_oauth_early_response",
    "Session mcp_oauth_session",
    "KeysUnavailable mcp_oauth_keys_unavailable",
    "UpstreamCredentialUnavailable mcp_oauth_upstream_credential_unavailable",
    "UpstreamCredentialRefused mcp_oauth_upstream_credential_refused",
    "IntrospectionUnavailable mcp_oauth_introspection_unavailable",
    "Overloaded mcp_oauth_overloaded",
    "Misconfigured mcp_oauth_misconfigured",
    "Host mcp_oauth_host_failure",
];

/// All reasons, from the sources: what is quoted and begins with `mcp_oauth_`. Names of variables and metrics differ from them.
#[cfg(not(target_family = "wasm"))] // a sandbox has no sources
fn in_sources(folder: &std::path::Path, into: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            in_sources(&entry, into);
            continue;
        }
        let text = std::fs::read_to_string(&entry).expect("a source");
        for (_, rest) in text.match_indices("\"mcp_oauth_").map(|(at, _)| text.split_at(at + 1)) {
            into.extend(rest.split_once('"').map(|(reason, _)| reason.to_owned()));
        }
    }
}

#[cfg(not(target_family = "wasm"))]
#[test]
fn every_reason_leads_to_a_paragraph() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut reasons = BTreeSet::new();
    for folder in ["src", "filters/resource-server/src"] {
        in_sources(&root.join(folder), &mut reasons);
    }
    let guide = include_str!("../../docs/guides/troubleshooting.md");
    let mut anchors = BTreeSet::new();
    for section in guide.split("\n#").skip(1) {
        let (heading, text) = section.split_once('\n').expect("a text below the heading");
        let Some(reason) = heading.strip_prefix("## ").filter(|heading| heading.starts_with("mcp_oauth_")) else {
            continue;
        };
        assert!(anchors.insert(reason.to_owned()), "{reason} comes twice");
        assert!(text.trim().len() > 20, "{reason} has a paragraph");
    }
    assert_eq!(anchors, reasons);
    // What the tests of every refusal know is among them.
    for refusal in refusals() {
        assert!(anchors.contains(refusal.reason()), "{refusal:?}");
    }
}
