//! A rule that no request reaches is a mistake: its operator believes that something is closed, or open, and it is not.

use mcp_oauth::refusal::Refusal;
use proptest::{
    collection::vec,
    prelude::*,
    sample::{select, subsequence},
};
use serde_json::{Value, json};

use super::{NONE, base};
use crate::{
    access_rules::{post, request, with_rules},
    properties::cases,
    support::{claims, findings, gate, header, holding, outcome, put, sign},
};

fn unreached(rules: &Value) -> Vec<String> {
    findings(&put(base(), "/resources/0/rules", rules.clone()))
}

fn unreached_by(later: usize, earlier: usize) -> String {
    format!("resources[0].rules[{later}]: is never reached: `rules[{earlier}]` matches all that it matches")
}

#[test]
fn a_rule_that_an_earlier_one_covers_is_found() {
    let claim = |claim: &str, text: &str| json!({ "claim": claim, "equals": text });
    let rows = [
        // The defect that this check is for: `delete` would need `read` only.
        (
            json!({ "methods": ["tools/*"], "scopes": ["read"] }),
            json!({ "tools": ["delete"], "scopes": ["admin"] }),
            true,
        ),
        (
            json!({ "tools": ["delete"], "scopes": ["admin"] }),
            json!({ "methods": ["tools/*"], "scopes": ["read"] }),
            false,
        ),
        // All of it.
        (json!({}), json!({}), true),
        (json!({}), json!({ "tools": ["a"] }), true),
        (json!({ "methods": ["x", "*"] }), json!({ "methods": ["ping"], "deny": true }), true),
        (json!({ "deny": true }), json!({ "prompts": ["*"] }), true),
        (json!({ "methods": ["*"] }), json!({}), true),
        (json!({ "tools": ["a"] }), json!({}), false),
        // Names.
        (json!({ "tools": ["a"] }), json!({ "tools": ["a"] }), true),
        (json!({ "tools": ["a*"] }), json!({ "tools": ["a", "ab", "abc*"] }), true),
        (json!({ "tools": ["a", "b*"] }), json!({ "tools": ["bc", "a"] }), true),
        (json!({ "tools": ["*"] }), json!({ "tools": ["a*"] }), true),
        (json!({ "tools": ["a"] }), json!({ "tools": ["a*"] }), false),
        (json!({ "tools": ["a"] }), json!({ "tools": ["a", "b"] }), false),
        (json!({ "tools": ["ab*"] }), json!({ "tools": ["a*"] }), false),
        (json!({ "tools": ["A"] }), json!({ "tools": ["a"] }), false),
        (json!({ "prompts": ["a"] }), json!({ "tools": ["a"] }), false),
        (json!({ "prompts": ["*"], "tools": ["*"] }), json!({ "tools": ["a"], "prompts": ["b"] }), true),
        (json!({ "tools": ["*"] }), json!({ "tools": ["a"], "prompts": ["b"] }), false),
        // URIs.
        (json!({ "resources": ["x://a"] }), json!({ "resources": ["x://a"] }), true),
        (json!({ "resources": ["x://a/*"] }), json!({ "resources": ["x://a/", "x://a/b", "x://a/b/*"] }), true),
        (json!({ "resources": ["x://*"] }), json!({ "resources": ["x://a/b"] }), true),
        (json!({ "resources": ["x://a/*"] }), json!({ "resources": ["x://a"] }), false),
        (json!({ "resources": ["x://a/b"] }), json!({ "resources": ["x://a/*"] }), false),
        (json!({ "resources": ["x://a/b/*"] }), json!({ "resources": ["x://a/*"] }), false),
        // Methods.
        (json!({ "methods": ["tools/*"] }), json!({ "methods": ["tools/call", "tools/l*"] }), true),
        (json!({ "methods": ["tools/call"] }), json!({ "methods": ["tools/*"] }), false),
        (json!({ "methods": ["tools/list"] }), json!({ "tools": ["a"] }), false),
        (json!({ "methods": ["prompts/get"] }), json!({ "prompts": ["a"] }), false),
        (json!({ "methods": ["prompts/get", "completion/*"] }), json!({ "prompts": ["a"] }), true),
        (json!({ "methods": ["prompts/get"] }), json!({ "prompts": ["a"], "methods": ["prompts/*"] }), true),
        (json!({ "methods": ["resources/*"] }), json!({ "resources": ["x://a"] }), false),
        (json!({ "methods": ["resources/*"] }), json!({ "resources": ["x://a"], "methods": ["resources/read"] }), true),
        (
            json!({ "methods": ["resources/*", "subscriptions/listen", "completion/complete"] }),
            json!({ "resources": ["x://a"] }),
            true,
        ),
        (json!({ "resources": ["x://*"], "methods": ["resources/read"] }), json!({ "resources": ["x://a"] }), false),
        (json!({ "tools": ["*"] }), json!({ "methods": ["tools/call"] }), true),
        (json!({ "prompts": ["*"] }), json!({ "methods": ["prompts/get"] }), true),
        (json!({ "tools": ["*"] }), json!({ "methods": ["tools/call", "tools/list"] }), false),
        (json!({ "tools": ["*"] }), json!({ "methods": ["tools/*"] }), false),
        (json!({ "tools": ["a*"] }), json!({ "methods": ["tools/call"] }), false),
        (json!({ "prompts": ["*"] }), json!({ "methods": ["completion/complete"] }), false),
        // Conditions.
        (json!({ "tools": ["a"] }), json!({ "tools": ["a"], "claims": [claim("r", "x")] }), true),
        (json!({ "tools": ["a"], "claims": [claim("r", "x")] }), json!({ "tools": ["a"] }), false),
        (
            json!({ "claims": [claim("r", "x")] }),
            json!({ "tools": ["a"], "claims": [claim("s", "y"), claim("r", "x")] }),
            true,
        ),
        (json!({ "claims": [claim("r", "x")] }), json!({ "claims": [claim("r", "y")] }), false),
        (json!({ "claims": [claim("r", "x")] }), json!({ "claims": [{ "claim": "r", "contains": "x" }] }), false),
        // What cannot be judged is denied and not allowed.
        (json!({ "claims": [claim("r", "x")], "deny": true }), json!({ "claims": [claim("r", "x")] }), true),
        (json!({ "claims": [claim("r", "x")] }), json!({ "claims": [claim("r", "x")], "deny": true }), false),
        (
            json!({ "claims": [claim("r", "x")], "deny": true }),
            json!({ "claims": [claim("r", "x")], "deny": true }),
            true,
        ),
    ];
    for (earlier, later, found) in rows {
        let rules = json!([earlier, later]);
        assert_eq!(unreached(&rules), Vec::from_iter(found.then(|| unreached_by(1, 0))), "{rules}");
    }
}

#[test]
fn the_first_rule_that_covers_it_is_named_once() {
    let (a, b, all) = (json!({ "tools": ["a"] }), json!({ "tools": ["b"] }), json!({ "tools": ["*"] }));
    let typo = json!({ "tools": ["*"], "scope": ["x"] });
    let unknown = "resources[0].rules[0].scope: unknown key; known here: methods, tools, prompts, resources, claims, \
                   scopes, any_of, deny";
    let rows = [
        (json!([a, b, all]), vec![]),
        (json!([a, b, a, all, b]), vec![unreached_by(2, 0), unreached_by(4, 1)]),
        (json!([{}, a, b]), vec![unreached_by(1, 0), unreached_by(2, 0)]),
        // A rule with a mistake may match something else than it seems to.
        (json!([typo, a]), vec![unknown.to_owned()]),
        (json!([typo, a, a]), vec![unknown.to_owned(), unreached_by(2, 1)]),
    ];
    for (rules, expected) in rows {
        assert_eq!(unreached(&rules), expected, "{rules}");
    }
    assert_eq!(unreached(&json!([a, b])), NONE);
}

/// Every kind of message that rules tell apart, with names that the rules below are made of.
fn messages() -> Vec<String> {
    let names = ["", "a", "ab", "b"];
    let uris = ["x://a", "x://a/", "x://a/b", "x://b"];
    let reference = |key: &str, value: &str| json!({ "ref": { key: value } });
    let mut all: Vec<String> = ["tools/list", "ping", "prompts/list", "resources/list", "subscriptions/listen"]
        .map(|method| request(method, &json!({})))
        .to_vec();
    for name in names {
        all.extend(["tools/call", "prompts/get"].map(|method| request(method, &json!({ "name": name }))));
        all.push(request("completion/complete", &reference("name", name)));
    }
    for uri in uris {
        all.extend(["resources/read", "resources/subscribe"].map(|method| request(method, &json!({ "uri": uri }))));
        all.push(request("completion/complete", &reference("uri", uri)));
        let listened = json!({ "notifications": { "resourceSubscriptions": [uri] } });
        all.push(request("subscriptions/listen", &listened));
    }
    all
}

/// Lists of one or two patterns, or none.
fn some(of: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![3 => Just(Vec::new()), 4 => vec(select(of), 1), 2 => subsequence(of, 2)]
}

fn any_rule() -> impl Strategy<Value = Value> {
    let names = &["a", "ab", "a*", "b", "*"];
    let methods = &["tools/call", "tools/*", "prompts/get", "resources/*", "resources/read", "completion/*", "*"];
    let uris = &["x://a", "x://a/*", "x://a/b", "x://*"];
    let conditions =
        subsequence(vec![json!({ "claim": "r", "equals": "x" }), json!({ "claim": "s", "contains": "y" })], 0..=2);
    (some(methods), some(names), some(names), some(uris), conditions).prop_map(
        |(methods, tools, prompts, uris, claims)| {
            let mut rule = json!({ "deny": true });
            for (key, list) in [("methods", methods), ("tools", tools), ("prompts", prompts), ("resources", uris)] {
                if !list.is_empty() {
                    rule[key] = json!(list);
                }
            }
            if !claims.is_empty() {
                rule["claims"] = json!(claims);
            }
            rule
        },
    )
}

/// Whether a rule alone is met, for each message of each caller.
fn met(rule: &Value, messages: &[String]) -> Vec<bool> {
    let mut gate = gate(&with_rules(&json!([rule])));
    let callers = [json!({}), json!({ "r": "x" }), json!({ "s": ["y"] }), json!({ "r": "x", "s": "y" })];
    let callers = callers.map(|extra| {
        let extra = extra.as_object().expect("an object").clone();
        sign(&header(), &extra.into_iter().fold(claims(), |claims, (name, value)| holding(claims, &name, value)))
    });
    let mut each = Vec::new();
    for token in &callers {
        for message in messages {
            let found = outcome(post(&mut gate, token, &[], message));
            assert!(matches!(found, Ok(()) | Err(Refusal::Denied { .. })), "{found:?}");
            each.push(found.is_err());
        }
    }
    each
}

proptest! {
    #![proptest_config(cases(150))]

    /// A rule that is found to be covered is: whatever meets it meets the earlier one. And where a rule has at most one
    /// pattern of each kind, one that is not found has a message of its own.
    #[test]
    fn what_is_found_is_covered(earlier in any_rule(), later in any_rule()) {
        prop_assume!(unreached(&json!([earlier])).is_empty() && unreached(&json!([later])).is_empty());
        let messages = messages();
        let (by_earlier, by_later) = (met(&earlier, &messages), met(&later, &messages));
        let covered = by_earlier.iter().zip(&by_later).all(|(earlier, later)| *earlier || !*later);
        let found = !unreached(&json!([earlier, later])).is_empty();
        prop_assert!(covered || !found, "found, but not covered: {earlier} {later}");
        prop_assert!(found || !covered || is_wide(&earlier) || is_wide(&later), "covered, but not found: {earlier} {later}");
    }
}

/// Whether a rule has several patterns of a kind, or one that the few messages here exhaust.
fn is_wide(rule: &Value) -> bool {
    let lists = ["methods", "tools", "prompts", "resources"];
    let several = lists.iter().any(|key| rule[key].as_array().is_some_and(|list| list.len() > 1));
    several || rule["methods"] == json!(["completion/*"])
}
