//! Nonces (RFC 9449 sections 8 and 9): what was given out here not long ago, and by any replica with the same keys.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_oauth::{
    config,
    dpop::ProofError,
    gate::{Gate, Verdict},
    time::UnixTime,
};
use serde_json::{Value, json};

use super::{bound_token, not_proved, proof_claims, proof_header, show, sign_proof};
use crate::support::{METADATA_URL, NOW, ask_as, head, outcome, put, reply, reply_header, with};

const VARIABLE: &str = "DPOP_NONCE_KEY";

fn config() -> Value {
    put(super::config(), "/resources/0/dpop/nonce", json!({ "key_variable": VARIABLE, "max_age": "60s" }))
}

fn key(seed: u8) -> String {
    URL_SAFE_NO_PAD.encode([seed; 32])
}

fn keyed(keys: &str) -> Gate {
    gate_of(&config(), keys)
}

fn gate_of(config: &Value, keys: &str) -> Gate {
    let environment = |name: &str| (name == VARIABLE).then(|| keys.to_owned());
    let policy = config::parse_in(config.to_string().as_bytes(), &environment);
    Gate::new(policy.unwrap_or_else(|findings| panic!("findings: {findings:?}")))
}

/// Presents the bound token with a proof that was made at this time and has this nonce.
fn ask_with(gate: &mut Gate, nonce: Option<&str>, id: &str, now: UnixTime) -> Verdict {
    let token = bound_token();
    let claims = with(with(proof_claims(&token), "iat", json!(now.0)), "jti", json!(id));
    let claims = with(claims, "nonce", nonce.map_or(Value::Null, |nonce| json!(nonce)));
    show(gate, &token, &sign_proof(&proof_header(), &claims), now)
}

fn given(gate: &mut Gate, now: UnixTime) -> String {
    let reply = reply(ask_with(gate, None, "first", now));
    reply_header(&reply, "dpop-nonce").expect("a nonce").to_owned()
}

fn later(seconds: u64) -> UnixTime {
    UnixTime(NOW.0 + seconds)
}

#[test]
fn a_proof_without_one_is_told_which_to_use() {
    let mut gate = keyed(&key(1));
    let told = reply(ask_with(&mut gate, None, "1", NOW));
    assert_eq!((told.status(), told.reason()), (401, "mcp_oauth_dpop_nonce"));
    assert_eq!(
        reply_header(&told, "www-authenticate"),
        Some(&*format!(
            "DPoP error=\"use_dpop_nonce\", error_description=\"the DPoP proof needs the nonce of this server\", resource_metadata=\"{METADATA_URL}\", scope=\"mcp:read\", algs=\"ES256 ES384 EdDSA RS256 PS256\""
        ))
    );
    let nonce = reply_header(&told, "dpop-nonce").expect("a nonce");
    // RFC 9449 section 8.1: NQCHAR.
    assert!(nonce.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E)), "{nonce}");
    assert!(reply_header(&told, "access-control-expose-headers").is_some_and(|names| names.contains("DPoP-Nonce")));
    // Neither does it use up the id, nor does it count for less the second time.
    assert_eq!(outcome(ask_with(&mut gate, Some(nonce), "1", NOW)), Ok(()));
    assert_eq!(outcome(ask_with(&mut gate, Some(nonce), "2", NOW)), Ok(()));
    assert_eq!(outcome(ask_with(&mut gate, Some(nonce), "2", NOW)), not_proved(ProofError::Replayed));
}

#[test]
fn it_counts_for_as_long_as_is_configured() {
    let nonce = given(&mut keyed(&key(1)), later(100));
    for (second, counts) in [(69, false), (70, true), (100, true), (160, true), (161, false)] {
        let now = later(second);
        let expected = if counts { Ok(()) } else { not_proved(ProofError::Nonce { now }) };
        assert_eq!(outcome(ask_with(&mut keyed(&key(1)), Some(&nonce), "1", now)), expected, "{second}");
    }
}

#[test]
fn one_that_was_not_given_out_is_none() {
    let mut gate = keyed(&key(1));
    let nonce = given(&mut gate, NOW);
    let (time, seal) = nonce.split_once('.').expect("two parts");
    let sooner = format!("{}.{seal}", NOW.0 + 1);
    let other = given(&mut keyed(&key(2)), NOW);
    let texts =
        ["", ".", time, seal, &sooner, &format!("+{nonce}"), &format!("0{nonce}"), &format!("{nonce}x"), &other];
    for text in texts {
        let found = outcome(ask_with(&mut gate, Some(text), "1", NOW));
        assert_eq!(found, not_proved(ProofError::Nonce { now: NOW }), "{text:?}");
    }
    assert_eq!(outcome(ask_with(&mut gate, Some(&nonce), "good", NOW)), Ok(()));
}

#[test]
fn keys_can_be_changed() {
    let (old, both) = (key(1), format!("{},{}", key(2), key(1)));
    let nonce = given(&mut keyed(&old), NOW);
    assert_eq!(outcome(ask_with(&mut keyed(&both), Some(&nonce), "1", NOW)), Ok(()));
    let new = given(&mut keyed(&both), NOW);
    assert_ne!(new, nonce);
    assert_eq!(outcome(ask_with(&mut keyed(&old), Some(&new), "1", NOW)), not_proved(ProofError::Nonce { now: NOW }));
}

/// Nobody learns a nonce who has no proof of the token's key: it is asked for last before the signature.
#[test]
fn only_a_proof_that_fits_is_told() {
    let mut gate = keyed(&key(1));
    let token = bound_token();
    let wrong = sign_proof(&proof_header(), &with(proof_claims(&token), "htm", json!("GET")));
    let told = reply(show(&mut gate, &token, &wrong, NOW));
    assert_eq!((told.reason(), reply_header(&told, "dpop-nonce")), ("mcp_oauth_dpop_use", None));
    let missing = reply(ask_as(&mut gate, 1, &head("/mcp", &[]), NOW));
    assert_eq!(reply_header(&missing, "dpop-nonce"), None);
    let debug = format!("{gate:?}");
    assert!(debug.contains("MacKeys(<1 keys>)") && !debug.contains(&key(1)), "{debug}");
}

/// RFC 9449 section 8.2: the response may have one, whatever became of the request. Else whoever would recover by itself
/// would be reported for ever.
#[test]
fn where_refusals_are_only_reported_the_response_says_which_to_use() {
    let mut gate = gate_of(&put(config(), "/resources/0/report_only", json!(true)), &key(1));
    let nonce_of = |verdict: Verdict| {
        let Verdict::Forward(forward) = verdict else { panic!("{verdict:?}") };
        (forward.decision().reason, forward.response_guard().dpop_nonce().map(str::to_owned))
    };
    let (reason, nonce) = nonce_of(ask_with(&mut gate, None, "1", NOW));
    assert_eq!(reason, Some("mcp_oauth_dpop_nonce"));
    assert_eq!(nonce, Some(given(&mut keyed(&key(1)), NOW)), "the same as where they are enforced");
    assert_eq!(nonce_of(ask_with(&mut gate, nonce.as_deref(), "1", NOW)), (None, None));
    let reused = nonce_of(ask_with(&mut gate, nonce.as_deref(), "1", NOW));
    assert_eq!(reused, (Some("mcp_oauth_dpop_replay"), None), "it is not about the nonce");
}
