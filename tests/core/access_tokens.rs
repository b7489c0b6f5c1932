//! Which tokens are let through, and for exactly which reason the others are not.
//!
//! Every table holds tokens that differ in one thing from one that is accepted, and every row names the clause it guards.

mod audiences;
mod credentials;
mod debug_output;
mod encoding;
mod headers;
mod issuers;
mod kinds;
mod scopes;
mod times;

use mcp_oauth::{
    jws::JwsError,
    token::{ClaimFault, TokenError},
};
use serde_json::{Value, json};

use crate::support::{
    Row, accepted, check_tokens, claims, gate, good_token, header, holding, inline_config, invalid, outcome, present,
    sign, with,
};

/// The good claims with this one set, null included.
fn claiming(claim: &str, value: Value) -> String {
    sign(&header(), &holding(claims(), claim, value))
}

/// The good claims without this one.
fn without(claim: &str) -> String {
    sign(&header(), &with(claims(), claim, Value::Null))
}

/// The good header with this member set, null included.
fn headed(member: &str, value: Value) -> String {
    sign(&holding(header(), member, value), &claims())
}

/// A row whose token is no JWS that can be checked.
fn malformed(name: impl Into<String>, token: String, error: JwsError) -> Row<String> {
    invalid(name, token, TokenError::Jws(error))
}

/// A row whose token has a claim that is not what it must be.
fn bad_claim(name: impl Into<String>, token: String, claim: &'static str, fault: ClaimFault) -> Row<String> {
    invalid(name, token, TokenError::Claim(claim, fault))
}

#[test]
fn the_good_token_is_accepted() {
    assert_eq!(outcome(present(&mut gate(&inline_config()), &good_token())), Ok(()));
}

#[test]
fn claims_about_the_caller_are_texts_or_absent() {
    let mut rows = vec![accepted("RFC 9068 2.2: `azp` beside `client_id`", claiming("azp", json!("c2")))];
    for claim in ["sub", "client_id", "azp"] {
        rows.push(accepted(format!("RFC 7519 4.1: no `{claim}`"), without(claim)));
        rows.push(accepted(format!("RFC 7519 4.1: an empty `{claim}`"), claiming(claim, json!(""))));
        for value in [json!(1), json!(true), Value::Null, json!(["alice"]), json!({ "id": "alice" })] {
            let name = format!("RFC 7519 4.1.2, RFC 9068 2.2: `{claim}` is {value}");
            rows.push(bad_claim(name, claiming(claim, value), claim, ClaimFault::Type));
        }
    }
    check_tokens(&inline_config(), rows);
}
