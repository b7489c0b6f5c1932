//! The settings of rules, bodies, lists, sessions and origins: every finding, and the sibling that is accepted.

mod reach;
mod surroundings;

use serde_json::{Value, json};

use super::{Setting, check};
use crate::support::{findings, inline_config, put, without};

const NONE: [&str; 0] = [];

/// A configuration whose resource has one rule.
fn base() -> Value {
    let config = put(inline_config(), "/hold_requests", json!("headers"));
    put(config, "/resources/0/rules", json!([{ "tools": ["a"] }]))
}

fn with_rule(rule: Value) -> Value {
    put(base(), "/resources/0/rules/0", rule)
}

#[test]
fn names_are_lists_of_texts_with_a_star_at_the_end_only() {
    for name in ["methods", "tools", "prompts"] {
        let at = format!("resources[0].rules[0].{name}");
        let config = |value: Value| with_rule(json!({ name: value }));
        for good in [json!(["a"]), json!(["a*", "*"]), json!(["a b", "ü", "a.b/c"])] {
            assert_eq!(findings(&config(good.clone())), NONE, "{name} = {good}");
        }
        let rows = [
            (json!([]), format!("{at}: is empty: leave it out")),
            (json!("a"), format!("{at}: is a text where a list is expected")),
            (json!(null), format!("{at}: is null where a list is expected")),
            (json!(["a", 5]), format!("{at}[1]: is a number where a text is expected")),
            (json!([""]), format!("{at}[0]: is empty")),
            (json!(["a*b"]), format!("{at}[0]: `a*b` has a `*` that is not at its end")),
            (json!(["*a"]), format!("{at}[0]: `*a` has a `*` that is not at its end")),
            (json!(["a", "a**"]), format!("{at}[1]: `a**` has a `*` that is not at its end")),
        ];
        for (bad, expected) in rows {
            assert_eq!(findings(&config(bad.clone())), [expected], "{name} = {bad}");
        }
    }
}

#[test]
fn resources_are_uris_with_a_star_as_the_last_segment_only() {
    let at = "resources[0].rules[0].resources";
    let config = |value: Value| with_rule(json!({ "resources": value }));
    for good in [
        json!(["file:///a"]),
        json!(["file:///a/*", "x://y"]),
        json!(["file:///a/..b", "x://{id}", "x://{stationId}/a", "x://*", "x://a:80/*"]),
    ] {
        assert_eq!(findings(&config(good.clone())), NONE, "{good}");
    }
    let dots = |uri: &str| {
        format!("{at}[0]: `{uri}` is no URI, or one with several spellings, so no request for it is accepted")
    };
    let star = |uri: &str| format!("{at}[0]: `{uri}` has a `*` that is not a last segment of its own");
    let rows = [
        (json!([]), format!("{at}: is empty: leave it out")),
        (json!("x://y"), format!("{at}: is a text where a list is expected")),
        (json!([null]), format!("{at}[0]: is null where a text is expected")),
        (json!([""]), format!("{at}[0]: is empty")),
        (json!(["*"]), star("*")),
        (json!(["file:///a*"]), star("file:///a*")),
        (json!(["file:///*/a"]), star("file:///*/a")),
        (json!(["file:///*/*"]), star("file:///*/*")),
        (json!(["file:///a/../b"]), dots("file:///a/../b")),
        (json!(["file:///a/%2e%2E/*"]), dots("file:///a/%2e%2E/*")),
        (json!(["file:///a/%252e/b"]), dots("file:///a/%252e/b")),
        (json!(["a\\..\\b"]), dots("a\\..\\b")),
        // No request for these is accepted, so the rule would be one for nothing.
        (json!(["x://A/b"]), dots("x://A/b")),
        (json!(["x://A/*"]), dots("x://A/*")),
        (json!(["x://a:/b"]), dots("x://a:/b")),
        (json!(["x://u@a/*"]), dots("x:...@a/*")),
        (json!(["x://a:080/b"]), dots("x://a:080/b")),
        (json!(["x:/a"]), dots("x:/a")),
        (json!(["https://h.example"]), dots("https://h.example")),
        (json!(["https://h.example:443/*"]), dots("https://h.example:443/*")),
        (json!(["x://A/{id}"]), dots("x://A/{id}")),
        (json!(["x://a/{id"]), dots("x://a/{id")),
    ];
    for (bad, expected) in rows {
        assert_eq!(findings(&config(bad.clone())), [expected], "{bad}");
    }
}

#[test]
fn a_rule_has_the_members_it_may_have() {
    let known = "methods, tools, prompts, resources, claims, scopes, any_of, deny";
    let at = "resources[0].rules[0]";
    let leaves_out = format!("{at}.methods: leaves out the methods that name such tools, prompts or resources");
    let unfit = |number| format!("{at}.methods[{number}]: is no method that names such tools, prompts or resources");
    let nothing_cures = format!("{at}.deny: has no use for scopes: nothing cures a denial");
    let rows = [
        (json!({}), None),
        (json!({ "tools": ["a"], "scopes": ["b"], "any_of": ["c"], "deny": false }), None),
        (json!({ "deny": true }), None),
        (json!({ "scopes": [] }), None),
        (json!({ "tool": ["a"] }), Some(format!("{at}.tool: unknown key; known here: {known}"))),
        (json!({ "allow": true }), Some(format!("{at}.allow: unknown key; known here: {known}"))),
        (json!("a"), Some(format!("{at}: is a text where an object is expected"))),
        (json!({ "deny": "true" }), Some(format!("{at}.deny: is a text where true or false is expected"))),
        (json!({ "deny": null }), Some(format!("{at}.deny: is null where true or false is expected"))),
        (json!({ "deny": true, "scopes": ["a"] }), Some(nothing_cures.clone())),
        (json!({ "deny": true, "scopes": [] }), Some(nothing_cures.clone())),
        (json!({ "deny": true, "any_of": ["a"] }), Some(nothing_cures)),
        (json!({ "scopes": "a" }), Some(format!("{at}.scopes: is a text where a list is expected"))),
        (json!({ "scopes": ["a b"] }), Some(format!("{at}.scopes[0]: `a b` is no scope (RFC 6749 section 3.3)"))),
        (json!({ "any_of": ["a", "\""] }), Some(format!("{at}.any_of[1]: `\"` is no scope (RFC 6749 section 3.3)"))),
        (json!({ "any_of": [] }), Some(format!("{at}.any_of: is empty: leave it out"))),
        (json!({ "tools": ["a"], "methods": ["tools/list"], "deny": true }), Some(unfit(0))),
        (json!({ "tools": ["a"], "methods": ["tools/c*"], "deny": true }), None),
        (json!({ "tools": ["a"], "methods": ["*"] }), None),
        (json!({ "tools": ["a"], "methods": ["tools/call", "prompts/get"] }), Some(unfit(1))),
        (json!({ "tools": ["a"], "prompts": ["b"], "methods": ["tools/call", "prompts/get"] }), None),
        (json!({ "prompts": ["a"], "methods": ["prompts/list", "completion/complete"] }), Some(unfit(0))),
        (json!({ "prompts": ["a"], "methods": ["prompts/*", "completion/complete"] }), None),
        (json!({ "resources": ["x://y"], "methods": ["prompts/get"] }), Some(unfit(0))),
        (json!({ "resources": ["x://y"], "methods": ["resources/list", "resources/read"] }), Some(unfit(0))),
        (json!({ "resources": ["x://y"], "methods": ["subscriptions/listen"] }), None),
        (json!({ "resources": ["x://y"], "tools": ["a"], "methods": ["tools/call"] }), Some(leaves_out)),
        (json!({ "methods": ["resources/list", "x"] }), None),
        (
            json!({ "scopes": ["offline_access"] }),
            Some(format!("{at}.scopes[0]: `offline_access` is between a client and its authorization server")),
        ),
    ];
    for (rule, expected) in rows {
        assert_eq!(findings(&with_rule(rule.clone())), Vec::from_iter(expected), "{rule}");
    }
}

#[test]
fn a_condition_has_a_claim_and_one_test() {
    let at = "resources[0].rules[0].claims";
    let config = |value: Value| with_rule(json!({ "claims": value }));
    for good in [
        json!([{ "claim": "a.b", "equals": "x" }]),
        json!([{ "claim": "https://a/b", "contains": "x y" }, { "claim": "a", "equals": "ü" }]),
    ] {
        assert_eq!(findings(&config(good.clone())), NONE, "{good}");
    }
    let either = format!("{at}[0]: needs either `equals` or `contains`");
    let rows = [
        (json!([]), format!("{at}: is empty: leave it out")),
        (json!({}), format!("{at}: is an object where a list is expected")),
        (json!(["a"]), format!("{at}[0]: is a text where an object is expected")),
        (json!([{ "equals": "x" }]), format!("{at}[0].claim: is missing")),
        (json!([{ "claim": "a" }]), either.clone()),
        (json!([{ "claim": "a", "equals": "x", "contains": "y" }]), either),
        (json!([{ "claim": "", "equals": "x" }]), format!("{at}[0].claim: is empty")),
        (json!([{ "claim": ["a"], "equals": "x" }]), format!("{at}[0].claim: is a list where a text is expected")),
        (
            json!([{ "claim": "a", "equals": "x", "is": "y" }]),
            format!("{at}[0].is: unknown key; known here: claim, equals, contains"),
        ),
    ];
    for (bad, expected) in rows {
        assert_eq!(findings(&config(bad.clone())), [expected], "{bad}");
    }
    // How many conditions there are counts each once.
    let distinct = |n: usize| (0..n).map(|n| json!({ "claim": "a", "equals": n.to_string() })).collect::<Vec<_>>();
    let same = vec![json!({ "claim": "a", "equals": "x" }); 300];
    assert_eq!(findings(&config(json!(distinct(256)))), NONE);
    assert_eq!(findings(&config(json!(same))), NONE);
    let expected = format!("{at}: is more than the 256 conditions that one configuration may have");
    assert_eq!(findings(&config(json!(distinct(257)))), [expected]);
}

#[test]
fn rules_are_a_list() {
    let config = |rules: Value| put(base(), "/resources/0/rules", rules);
    let many = |n: usize| json!((0..n).map(|n| json!({ "tools": [n.to_string()] })).collect::<Vec<_>>());
    assert_eq!(findings(&config(many(1000))), NONE);
    let rows = [
        (many(1001), "resources[0].rules: has `1001` entries, more than 1000"),
        (json!({}), "resources[0].rules: is an object where a list is expected"),
    ];
    for (rules, expected) in rows {
        assert_eq!(findings(&config(rules)), [expected]);
    }
}

#[test]
fn bodies_lists_and_anonymous_methods_have_settings_that_fit_together() {
    check(
        &base(),
        vec![
            Setting {
                at: "/resources/0/default",
                good: vec![json!("allow"), json!("deny")],
                bad: vec![
                    (json!("Deny"), "resources[0].default: `Deny` is not one of `allow`, `deny`"),
                    (json!(true), "resources[0].default: is true or false where a text is expected"),
                    (json!(""), "resources[0].default: is empty"),
                ],
                missing: "",
            },
            Setting {
                at: "/resources/0/anonymous_methods",
                good: vec![json!(["tools/list"]), json!(["i*"]), json!(["initialize"])],
                bad: vec![
                    (
                        json!(["*"]),
                        "resources[0].anonymous_methods: has `*`, which would switch authentication off: name the methods",
                    ),
                    (
                        json!(["ping", "*"]),
                        "resources[0].anonymous_methods: has `*`, which would switch authentication off: name the methods",
                    ),
                    (json!([]), "resources[0].anonymous_methods: is empty: leave it out"),
                    (json!("a"), "resources[0].anonymous_methods: is a text where a list is expected"),
                    (json!(["a*b"]), "resources[0].anonymous_methods[0]: `a*b` has a `*` that is not at its end"),
                ],
                missing: "",
            },
            Setting {
                at: "/resources/0/filter_lists",
                good: vec![json!(true), json!(false)],
                bad: vec![(json!("on"), "resources[0].filter_lists: is a text where true or false is expected")],
                missing: "",
            },
            Setting {
                at: "/resources/0/body",
                good: vec![
                    json!({}),
                    json!({ "max_size": "1024B", "batches": true }),
                    json!({ "max_size": "1KiB" }),
                    json!({ "max_size": "16MiB" }),
                ],
                bad: vec![
                    (json!([]), "resources[0].body: is a list where an object is expected"),
                    (json!({ "size": "1KiB" }), "resources[0].body.size: unknown key; known here: max_size, batches"),
                    (json!({ "batches": 1 }), "resources[0].body.batches: is a number where true or false is expected"),
                    (json!({ "max_size": 5 }), "resources[0].body.max_size: is a number where a text is expected"),
                    (
                        json!({ "max_size": "1023B" }),
                        "resources[0].body.max_size: `1023B` is not within 1024 and 16777216 bytes",
                    ),
                    (
                        json!({ "max_size": "17MiB" }),
                        "resources[0].body.max_size: `17MiB` is not within 1024 and 16777216 bytes",
                    ),
                    (
                        json!({ "max_size": "1MB" }),
                        "resources[0].body.max_size: `1MB` is no size: write a whole number and B, KiB or MiB",
                    ),
                ],
                missing: "",
            },
            Setting {
                at: "/hold_requests",
                good: vec![json!("headers"), json!("body")],
                bad: vec![
                    (json!("both"), "hold_requests: `both` is not one of `headers`, `body`"),
                    (json!(null), "hold_requests: is null where a text is expected"),
                ],
                missing: "hold_requests: is missing: rules need to know whether the proxy holds `headers` or the `body`",
            },
        ],
    );
}

#[test]
fn settings_that_contradict_each_other_are_found() {
    let resource = |more: Value| {
        let mut config = base();
        let resource = config["resources"][0].as_object_mut().expect("an object");
        resource.remove("rules");
        resource.extend(more.as_object().expect("an object").clone());
        config
    };
    let rules = json!([{ "tools": ["a"] }]);
    let batches = "resources[0].filter_lists: cannot be combined with `body.batches`";
    let nothing = "resources[0].filter_lists: has nothing to filter by: there are no `rules`";
    let unread = "resources[0].body: has no meaning here: without `rules`, `default: deny` or `anonymous_methods` no \
                  body is read";
    let rows = [
        (json!({ "rules": rules, "filter_lists": true }), vec![]),
        (json!({ "rules": rules, "filter_lists": true, "body": { "batches": false } }), vec![]),
        (json!({ "rules": rules, "filter_lists": false, "body": { "batches": true } }), vec![]),
        (json!({ "rules": rules, "filter_lists": true, "body": { "batches": true } }), vec![batches]),
        (json!({ "default": "deny", "filter_lists": true }), vec![nothing]),
        (json!({ "filter_lists": true }), vec![nothing]),
        (json!({ "rules": [], "filter_lists": true }), vec![nothing]),
        (json!({ "default": "deny", "body": {} }), vec![]),
        (json!({ "anonymous_methods": ["a"], "body": {} }), vec![]),
        (json!({ "body": {} }), vec![unread]),
        (json!({ "default": "allow", "body": { "batches": true } }), vec![unread]),
        (json!({ "rules": [], "default": "allow" }), vec![]),
    ];
    for (more, expected) in rows {
        assert_eq!(findings(&resource(more.clone())), expected, "{more}");
    }
    let anonymous = resource(json!({ "anonymous_methods": ["tools/list"] }));
    assert_eq!(findings(&anonymous), NONE);
    assert_eq!(
        findings(&put(anonymous.clone(), "/hold_requests", json!("body"))),
        [
            "resources[0].anonymous_methods: needs `hold_requests: headers`: otherwise heads without a token would go upstream"
        ]
    );
    // Whatever makes bodies be read asks for `hold_requests`, and nothing else does.
    let missing = "hold_requests: is missing: rules need to know whether the proxy holds `headers` or the `body`";
    for config in [anonymous, resource(json!({ "rules": rules })), resource(json!({ "default": "deny" }))] {
        assert_eq!(findings(&without(config, "/hold_requests")), [missing]);
    }
    for more in [json!({}), json!({ "rules": [] }), json!({ "default": "allow" }), json!({ "filter_lists": false })] {
        assert_eq!(findings(&without(resource(more.clone()), "/hold_requests")), NONE, "{more}");
    }
}
