//! Conditions on claims: roles and groups decide which rule a caller meets.

use serde_json::{Value, json};

use super::{call, denied, post, with_rules};
use crate::support::{Row, accepted, check, claims, gate, header, holding, outcome, refused, sign};

type Rows = Vec<Row<(Value, Value)>>;

/// A rule that denies whoever meets the condition, and one that allows nobody else.
fn rows(claim: &str, test: (&str, &str), value: Value, denied_by_it: bool, allowed_by_it: bool) -> Rows {
    let (condition, claims) = condition(claim, test, value);
    let denying = with_rules(&json!([{ "claims": [condition], "deny": true }]));
    let allowing = with_rules(&json!([{ "claims": [condition] }, { "deny": true }]));
    let row = |what: &str, config, refusal: Option<_>| Row {
        name: format!("{condition} {what} {claims}"),
        input: (config, claims.clone()),
        expected: refusal.map_or(Ok(()), Err),
    };
    vec![
        row("denies", denying, denied_by_it.then(|| denied(0))),
        row("allows", allowing, (!allowed_by_it).then(|| denied(1))),
    ]
}

fn met(claim: &str, test: (&str, &str), value: Value) -> Rows {
    rows(claim, test, value, true, true)
}

fn unmet(claim: &str, test: (&str, &str), value: Value) -> Rows {
    rows(claim, test, value, false, false)
}

/// It cannot be judged: what denies is closed, and what allows is not opened.
fn unclear(claim: &str, test: (&str, &str), value: Value) -> Rows {
    rows(claim, test, value, true, false)
}

/// A condition, and the good claims with a first name of its path set to a value.
fn condition(claim: &str, (test, text): (&str, &str), value: Value) -> (Value, Value) {
    let extra = value.as_object().expect("an object").clone();
    let claims = extra.into_iter().fold(claims(), |claims, (name, value)| holding(claims, &name, value));
    (json!({ "claim": claim, test: text }), claims)
}

fn present(config: &Value, claims: &Value) -> Result<(), mcp_oauth::refusal::Refusal> {
    outcome(post(&mut gate(config), &sign(&header(), claims), &[], &call("a")))
}

#[test]
fn a_claim_equals_a_text_or_contains_one() {
    let (equals, contains) = (("equals", "admin"), ("contains", "admin"));
    let uri = "https://example.com/roles";
    let rows = vec![
        met("role", equals, json!({ "role": "admin" })),
        unmet("role", equals, json!({ "role": "Admin" })),
        unmet("role", equals, json!({ "role": "admin " })),
        unmet("role", equals, json!({ "role": "administrator" })),
        unmet("role", equals, json!({ "role": "" })),
        unmet("role", equals, json!({ "role": null })),
        unmet("role", equals, json!({ "roles": "admin" })),
        unclear("role", equals, json!({ "role": ["admin"] })),
        unclear("role", equals, json!({ "role": ["user", "admin"] })),
        unclear("role", equals, json!({ "role": ["user", 5] })),
        unmet("role", equals, json!({ "role": ["user"] })),
        unmet("role", equals, json!({ "role": [] })),
        unclear("role", equals, json!({ "role": { "admin": "admin" } })),
        unclear("role", equals, json!({ "role": {} })),
        unclear("role", ("equals", "true"), json!({ "role": true })),
        unclear("role", ("equals", "5"), json!({ "role": 5 })),
        met("roles", contains, json!({ "roles": ["admin"] })),
        met("roles", contains, json!({ "roles": ["user", 5, null, "admin"] })),
        met("roles", contains, json!({ "roles": "admin" })),
        unmet("roles", contains, json!({ "roles": "user" })),
        unmet("roles", contains, json!({ "roles": "admin user" })),
        unmet("roles", contains, json!({ "roles": ["user"] })),
        unmet("roles", contains, json!({ "roles": ["ADMIN", "admins"] })),
        unmet("roles", contains, json!({ "roles": [] })),
        unmet("roles", contains, json!({ "roles": null })),
        unmet("roles", contains, json!({})),
        unclear("roles", contains, json!({ "roles": ["user", ["admin"]] })),
        unclear("roles", contains, json!({ "roles": ["user", { "admin": "admin" }] })),
        unclear("roles", contains, json!({ "roles": ["user", null] })),
        unclear("roles", contains, json!({ "roles": { "admin": true } })),
        unclear("roles", contains, json!({ "roles": 5 })),
        unclear("roles", contains, json!({ "roles": false })),
        unclear("roles", ("contains", "5"), json!({ "roles": [5] })),
        met("realm_access.roles", contains, json!({ "realm_access": { "roles": ["admin"] } })),
        met("a.b.c", equals, json!({ "a": { "b": { "c": "admin" } } })),
        unmet("a.b.c", equals, json!({ "a": { "b": {} } })),
        unmet("a.b.c", equals, json!({ "a": { "b": null } })),
        unmet("a.b.c", equals, json!({ "a": null })),
        unclear("a.b.c", equals, json!({ "a": { "b": "admin" } })),
        unclear("a.b.c", equals, json!({ "a": { "b": { "c": { "d": "admin" } } } })),
        unclear("a.b.c", equals, json!({ "a": 5 })),
        unclear("a.b", equals, json!({ "a": ["b", "admin"] })),
        unmet("a.b", equals, json!({ "a": { "b.c": "admin" } })),
        unmet("a.b", equals, json!({ "b": "admin" })),
        // A name that has dots itself is found first, and hides what stands deeper.
        met(uri, contains, json!({ uri: ["admin"] })),
        met("a.b", equals, json!({ "a.b": "admin", "a": { "b": "user" } })),
        unmet("a.b", equals, json!({ "a.b": "user", "a": { "b": "admin" } })),
        unmet(uri, contains, json!({ "https://example": { "com/roles": ["user"] } })),
        met("sub", ("equals", "alice"), json!({})),
        unmet("sub", ("equals", "bob"), json!({})),
    ];
    check(rows.into_iter().flatten().collect(), |(config, claims)| present(config, claims));
}

#[test]
fn all_conditions_of_a_rule_must_hold() {
    let role = json!({ "claim": "role", "equals": "admin" });
    let group = json!({ "claim": "groups", "contains": "eu" });
    let config = with_rules(&json!([
        { "claims": [role, group], "tools": ["a"], "deny": true },
        { "claims": [group], "tools": ["a"], "scopes": ["mcp:write"] },
        { "tools": ["a"], "scopes": ["none"] },
    ]));
    let with = |extra: Value| condition("", ("equals", ""), extra).1;
    let lacking = super::lacking("mcp:read mcp:write", "mcp:read none");
    let rows = vec![
        refused("both", with(json!({ "role": "admin", "groups": ["eu"] })), denied(0)),
        accepted("the second only, which another rule asks for", with(json!({ "groups": ["eu"] }))),
        refused("the first only", with(json!({ "role": "admin" })), lacking.clone()),
        refused("neither", with(json!({})), lacking),
    ];
    check(rows, |claims| present(&config, claims));
}

/// A condition is checked once per token, whichever rule or resource asks for it.
#[test]
fn conditions_of_other_resources_are_kept_apart() {
    let mut config = with_rules(&json!([{ "claims": [{ "claim": "role", "equals": "a" }], "deny": true }]));
    let other = json!({
        "resource": "https://mcp.example.com/other",
        "audiences": ["https://mcp.example.com/mcp"],
        "rules": [{ "claims": [{ "claim": "role", "equals": "b" }], "deny": true }],
    });
    config["resources"].as_array_mut().expect("an array").push(other);
    let with = |role: &str| condition("", ("equals", ""), json!({ "role": role })).1;
    let rows = vec![
        refused("the first, its role", ("/mcp", with("a")), denied(0)),
        accepted("the first, the other's role", ("/mcp", with("b"))),
        refused("the other, its role", ("/other", with("b")), denied(0)),
        accepted("the other, the first's role", ("/other", with("a"))),
    ];
    check(rows, |(path, claims)| {
        let mut gate = gate(&config);
        let authorization = format!("Bearer {}", sign(&header(), claims));
        let more = [("content-type", "application/json"), ("authorization", authorization.as_str())];
        match crate::support::ask(&mut gate, &crate::support::head(path, &more)) {
            mcp_oauth::gate::Verdict::ReadBody(pending) => outcome(pending.judge(call("a").as_bytes())),
            other => outcome(other),
        }
    });
}
