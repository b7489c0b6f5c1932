//! A valid token without the rights is 403, never 401: RFC 6750 section 3.1, RFC 9068 section 2.2.3.

use mcp_oauth::{grant::InsufficientScope, refusal::Refusal, scope::ScopeSet, token::ClaimFault};
use serde_json::{Value, json};

use crate::support::{
    RESOURCE, Row, accepted, check_tokens, claims, header, holding, inline_config, refused, sign, with,
};

use super::{bad_claim, claiming, without};

/// A row whose token carries exactly these scopes, which are not enough.
fn lacking(name: impl Into<String>, token: String, granted: &str) -> Row<String> {
    lacking_of("mcp:read", name, token, granted)
}

fn lacking_of(needed: &str, name: impl Into<String>, token: String, granted: &str) -> Row<String> {
    let [granted, needed] = [granted, needed].map(ScopeSet::from_list);
    refused(name, token, Refusal::InsufficientScope(InsufficientScope { granted, needed }))
}

/// The good claims with this as the only claim about scopes.
fn carrying(claim: &str, value: Value) -> String {
    sign(&header(), &holding(with(claims(), "scope", Value::Null), claim, value))
}

#[test]
fn the_needed_scope_is_carried() {
    let list = |name: &str, scopes: &str, granted: &str| lacking(name, claiming("scope", json!(scopes)), granted);
    check_tokens(
        &inline_config(),
        vec![
            accepted("RFC 6749 3.3: the one scope", claiming("scope", json!("mcp:read"))),
            accepted("RFC 6749 3.3: first of two", claiming("scope", json!("mcp:read mcp:write"))),
            accepted("RFC 6749 3.3: last of two", claiming("scope", json!("mcp:write mcp:read"))),
            accepted("RFC 6749 3.3: twice", claiming("scope", json!("mcp:read mcp:read"))),
            accepted("RFC 6749 3.3: more spaces than needed", claiming("scope", json!(" mcp:write  mcp:read "))),
            list("RFC 6749 3.3: another scope", "mcp:write", "mcp:write"),
            list("RFC 6749 3.3: two others", "mcp:write mcp:admin", "mcp:admin mcp:write"),
            list("RFC 6749 3.3: none", "", ""),
            list("RFC 6749 3.3: another case", "MCP:read", "MCP:read"),
            list("RFC 6749 3.3: a prefix", "mcp:rea", "mcp:rea"),
            list("RFC 6749 3.3: a longer one", "mcp:read2", "mcp:read2"),
            list("RFC 6749 3.3: no wildcards", "mcp:* *", "mcp:* *"),
            list("RFC 6749 3.3: commas do not separate", "mcp:read,mcp:write", "mcp:read,mcp:write"),
            list("RFC 6749 3.3: tabs do not separate", "mcp:write\tmcp:read", ""),
            list("RFC 6749 3.3: line feeds do not separate", "mcp:write mcp:admin\nmcp:read", "mcp:write"),
            list("RFC 6749 3.3: quoted", "\"mcp:read\"", ""),
            lacking("RFC 9068 2.2.3: no `scope`", without("scope"), ""),
        ],
    );
}

#[test]
fn scopes_come_in_four_forms() {
    check_tokens(
        &inline_config(),
        vec![
            accepted("RFC 9068 2.2.3: `scope`, a text", carrying("scope", json!("mcp:read a"))),
            lacking("RFC 9068 2.2.3: `scope`, a text without it", carrying("scope", json!("a")), "a"),
            accepted("vendors: `scope`, an array", carrying("scope", json!(["a", "mcp:read"]))),
            lacking("vendors: `scope`, an array without it", carrying("scope", json!(["a", "b"])), "a b"),
            accepted("Entra: `scp`, a text", carrying("scp", json!("mcp:read a"))),
            lacking("Entra: `scp`, a text without it", carrying("scp", json!("a")), "a"),
            accepted("Okta: `scp`, an array", carrying("scp", json!(["a", "mcp:read"]))),
            lacking("Okta: `scp`, an array without it", carrying("scp", json!(["a", "b"])), "a b"),
            lacking("an empty array", carrying("scp", json!([])), ""),
            lacking("an item is one scope, not a list", carrying("scp", json!(["a mcp:read"])), ""),
            lacking("an item that is no text is no scope", carrying("scp", json!([["mcp:read"], 1, null])), ""),
            lacking(
                "RFC 9068 2.2.3: `scope` is the claim, whatever `scp` says",
                sign(&header(), &with(with(claims(), "scope", json!("a")), "scp", json!("mcp:read"))),
                "a",
            ),
            lacking("RFC 9068 2.2.3: no other claim", carrying("scopes", json!("mcp:read")), ""),
            lacking("RFC 9068 2.2.3.1: roles are no scopes", carrying("roles", json!(["mcp:read"])), ""),
        ],
    );
}

#[test]
fn scopes_of_another_type_are_no_scopes() {
    let mut rows = vec![accepted("RFC 9068 2.2.3: a text", claiming("scope", json!("mcp:read")))];
    for claim in ["scope", "scp"] {
        for value in [json!(1), json!(true), Value::Null, json!({ "mcp:read": true })] {
            let name = format!("RFC 9068 2.2.3: `{claim}` is {value}");
            rows.push(bad_claim(name, carrying(claim, value), claim, ClaimFault::Type));
        }
    }
    check_tokens(&inline_config(), rows);
}

#[test]
fn all_needed_scopes_are_needed() {
    let scopes = json!({ "required": ["a", "b", "c"] });
    check_tokens(
        &with(inline_config(), "resources", json!([{ "resource": RESOURCE, "scopes": scopes }])),
        vec![
            accepted("OAuth 2.1 5.2: all", claiming("scope", json!("c b a"))),
            accepted("OAuth 2.1 5.2: all and more", claiming("scope", json!("a b b2 c d"))),
            lacking_of("a b c", "OAuth 2.1 5.2: without the first", claiming("scope", json!("b c")), "b c"),
            lacking_of("a b c", "OAuth 2.1 5.2: without the second", claiming("scope", json!("a c")), "a c"),
            lacking_of("a b c", "OAuth 2.1 5.2: without the third", claiming("scope", json!("a b")), "a b"),
            lacking_of("a b c", "OAuth 2.1 5.2: joined", claiming("scope", json!("abc")), "abc"),
        ],
    );
}

#[test]
fn a_resource_that_needs_none_takes_any() {
    let config = with(inline_config(), "resources", json!([{ "resource": RESOURCE }]));
    check_tokens(
        &config,
        vec![
            accepted("no claim about scopes", without("scope")),
            accepted("other scopes", claiming("scope", json!("a b"))),
            // What is not understood is refused, needed or not.
            bad_claim("RFC 9068 2.2.3: a number", claiming("scope", json!(1)), "scope", ClaimFault::Type),
        ],
    );
}
