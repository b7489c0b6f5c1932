//! What a token must carry for a rule, and what the challenge of one that does not asks for: all of it, once, and no more.

use serde_json::{Value, json};

use super::{call, judged, lacking, post, ruled, scoped, with_rules};
use crate::support::{
    METADATA_URL, Row, accepted, check, claims, gate, header, holding, inline_config, outcome, put, refused, reply,
    reply_header, sign, with,
};

/// Rows: the members of the resource, the scopes of the token, and what they are told to ask for.
#[track_caller]
fn check_scopes(rows: Vec<(&str, &Value, &str, Option<&str>)>) {
    let rows = rows.into_iter().map(|(name, members, granted, needed)| match needed {
        None => accepted(name, (members.clone(), granted)),
        Some(needed) => refused(name, (members.clone(), granted), lacking(granted, needed)),
    });
    check(rows.collect(), |(members, granted)| {
        outcome(post(&mut gate(&ruled(members)), &scoped(granted), &[], &call("a")))
    });
}

fn rule(rule: Value) -> Value {
    json!({ "rules": [rule] })
}

#[test]
fn a_rule_asks_for_all_of_its_scopes_and_for_one_of_any_of() {
    let all = rule(json!({ "scopes": ["b", "a"] }));
    let any = rule(json!({ "any_of": ["z", "a", "m"] }));
    let both = rule(json!({ "scopes": ["x"], "any_of": ["z", "a"] }));
    let needed_anyway = rule(json!({ "scopes": ["x", "m"], "any_of": ["z", "m"] }));
    let required_anyway = rule(json!({ "any_of": ["z", "mcp:read"] }));
    let none = rule(json!({ "scopes": [] }));
    check_scopes(vec![
        ("all: all of them", &all, "mcp:read a b", None),
        ("all: and more", &all, "mcp:read a b c", None),
        ("all: one of them", &all, "mcp:read a", Some("a b mcp:read")),
        ("all: the other", &all, "mcp:read b", Some("a b mcp:read")),
        ("all: none", &all, "mcp:read", Some("a b mcp:read")),
        ("all: without the required one", &all, "a b", Some("a b mcp:read")),
        ("all: nothing at all", &all, "", Some("a b mcp:read")),
        ("any: the first", &any, "mcp:read z", None),
        ("any: the last", &any, "mcp:read m", None),
        ("any: none, the first is preferred", &any, "mcp:read b", Some("mcp:read z")),
        ("any: it has one, the required one lacks", &any, "m", Some("m mcp:read")),
        ("both: both", &both, "mcp:read x a", None),
        ("both: all without any", &both, "mcp:read x", Some("mcp:read x z")),
        ("both: any without all", &both, "mcp:read z", Some("mcp:read x z")),
        ("any, one is needed anyway: both", &needed_anyway, "mcp:read x m", None),
        ("any, one is needed anyway: it is enough", &needed_anyway, "mcp:read", Some("m mcp:read x")),
        ("any, one is required anyway", &required_anyway, "mcp:read", None),
        ("any, one is required anyway: it is enough", &required_anyway, "", Some("mcp:read")),
        ("no scopes: the required ones are enough", &none, "mcp:read", None),
        ("no scopes: the required ones are needed", &none, "a", Some("mcp:read")),
    ]);
}

#[test]
fn scopes_imply_others_through_any_number_of_steps() {
    let implying = |implies: Value, rule: Value| json!({ "scopes": { "required": ["mcp:read"], "implies": implies }, "rules": [rule] });
    let chain = json!({ "admin": ["write"], "write": ["read", "mcp:read"], "read": ["list"] });
    let needs_list = implying(chain.clone(), json!({ "scopes": ["list"] }));
    let needs_any = implying(chain.clone(), json!({ "any_of": ["x", "read"] }));
    let needs_admin = implying(chain, json!({ "scopes": ["admin"] }));
    let circle = implying(json!({ "a": ["b"], "b": ["c"], "c": ["a"] }), json!({ "scopes": ["c"] }));
    let itself = implying(json!({ "a": ["a"] }), json!({ "scopes": ["a"] }));
    check_scopes(vec![
        ("itself", &needs_list, "mcp:read list", None),
        ("one step", &needs_list, "mcp:read read", None),
        ("two steps, and the required one implied too", &needs_list, "write", None),
        ("three steps", &needs_list, "admin", None),
        ("one step does not imply the required one", &needs_list, "read", Some("list mcp:read")),
        ("not at all", &needs_list, "mcp:read other", Some("list mcp:read")),
        ("any of, implied", &needs_any, "admin", None),
        ("any of, not implied", &needs_any, "mcp:read list", Some("mcp:read x")),
        ("never the other way", &needs_admin, "mcp:read write read list", Some("admin")),
        ("a circle, itself", &circle, "mcp:read c", None),
        ("a circle, one step", &circle, "mcp:read b", None),
        ("a circle, two steps", &circle, "mcp:read a", None),
        ("a circle, none", &circle, "mcp:read", Some("c mcp:read")),
        ("a scope that implies itself", &itself, "mcp:read a", None),
        ("a scope that implies itself, absent", &itself, "mcp:read", Some("a mcp:read")),
    ]);
}

/// Entra: a token says `Files.Read`, a client must ask for `api://app/Files.Read`.
#[test]
fn a_challenge_speaks_the_names_that_clients_ask_by() {
    let names = json!({ "Files.Read": "api://app/Files.Read", "Mcp": "api://app/Mcp" });
    let scopes = json!({ "required": ["Mcp"], "request_as": names });
    let members = |more: Value| {
        let scopes =
            more.as_object().expect("an object").iter().fold(scopes.clone(), |s, (n, v)| holding(s, n, v.clone()));
        json!({ "scopes": scopes, "rules": [{ "scopes": ["Files.Read", "plain"] }] })
    };
    let (plain, granted_too) = (members(json!({})), members(json!({ "challenge": "granted_and_needed" })));
    let challenged = members(json!({ "challenged": ["api://app/.default"] }));
    let any = json!({ "scopes": scopes, "rules": [{ "any_of": ["Files.Read", "plain"] }] });
    check_scopes(vec![
        ("what the token carries counts", &plain, "Mcp Files.Read plain", None),
        (
            "what it asks by does not count",
            &plain,
            "api://app/Mcp api://app/Files.Read plain",
            Some("api://app/Files.Read api://app/Mcp plain"),
        ),
        ("one lacks", &plain, "Mcp plain", Some("api://app/Files.Read api://app/Mcp plain")),
        (
            "granted ones in the client's names",
            &granted_too,
            "Mcp x",
            Some("api://app/Files.Read api://app/Mcp plain x"),
        ),
        (
            "challenged ones are of the 401 alone",
            &challenged,
            "Mcp plain",
            Some("api://app/Files.Read api://app/Mcp plain"),
        ),
        ("any of", &any, "Mcp", Some("api://app/Files.Read api://app/Mcp")),
    ]);
    // The 401 and the metadata speak the same names.
    let mut gate = gate(&ruled(&plain));
    let expected = format!("Bearer resource_metadata=\"{METADATA_URL}\", scope=\"api://app/Mcp\"");
    assert_eq!(reply_header(&reply(post(&mut gate, "", &[], &call("a"))), "www-authenticate"), Some(&*expected));
    let document =
        [(":method", "GET"), (":authority", "mcp.example.com"), (":path", "/.well-known/oauth-protected-resource/mcp")];
    let document = reply(crate::support::ask(&mut gate, &document));
    let document: Value = serde_json::from_slice(document.body()).expect("JSON");
    assert_eq!(document["scopes_supported"], json!(["api://app/Mcp"]));
}

#[test]
fn a_challenge_names_what_is_needed_or_also_what_is_granted() {
    let members = |challenge: Option<&str>| {
        let mut scopes = json!({ "required": ["mcp:read"], "challenged": ["mcp:read", "mcp:more"] });
        if let Some(challenge) = challenge {
            scopes["challenge"] = json!(challenge);
        }
        json!({ "scopes": scopes, "rules": [{ "scopes": ["a"] }] })
    };
    let (default, needed, also) = (members(None), members(Some("needed")), members(Some("granted_and_needed")));
    check_scopes(vec![
        ("enough", &also, "mcp:read a", None),
        ("default", &default, "mcp:read z", Some("a mcp:read")),
        ("needed", &needed, "mcp:read z", Some("a mcp:read")),
        ("granted_and_needed", &also, "mcp:read z y", Some("a mcp:read y z")),
        ("granted_and_needed, nothing granted", &also, "", Some("a mcp:read")),
    ]);
}

/// A19, SEP-2350: the smallest set that is enough. What another asked scope implies is not asked for.
#[test]
fn a_challenge_leaves_out_what_is_implied() {
    let members = |more: Value, implies: Value, rule: Value| {
        let mut scopes = json!({ "required": ["read"], "implies": implies });
        scopes.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        json!({ "scopes": scopes, "rules": [rule] })
    };
    let chain = json!({ "admin": ["write"], "write": ["read"] });
    let none = json!({});
    let admin = members(none.clone(), chain.clone(), json!({ "scopes": ["admin"] }));
    let both = members(none.clone(), chain.clone(), json!({ "scopes": ["admin", "write", "x"] }));
    let any = members(none.clone(), chain.clone(), json!({ "any_of": ["write", "x"] }));
    let last = members(none.clone(), chain.clone(), json!({ "scopes": ["x"], "any_of": ["y", "read"] }));
    let also = members(json!({ "challenge": "granted_and_needed" }), chain.clone(), json!({ "scopes": ["admin"] }));
    let names = json!({ "request_as": { "admin": "api://app/admin", "read": "api://app/read" } });
    let entra = members(names.clone(), chain, json!({ "scopes": ["admin"] }));
    let to_one = json!({ "request_as": { "read": "api://app/.default", "x": "api://app/.default" } });
    let to_one = members(to_one, none.clone(), json!({ "scopes": ["x"] }));
    // The names that clients ask by have no hierarchy of their own.
    let confusing = json!({ "request_as": { "x": "admin" } });
    let confusing = members(confusing, json!({ "admin": ["read"] }), json!({ "scopes": ["x"] }));
    let same = members(none.clone(), json!({ "read": ["lesen"], "lesen": ["read"] }), json!({ "scopes": ["lesen"] }));
    check_scopes(vec![
        ("what implies is enough", &admin, "admin", None),
        ("the required one is implied", &admin, "read", Some("admin")),
        ("and if it has nothing", &admin, "", Some("admin")),
        ("all that one implies", &both, "read", Some("admin x")),
        ("an alternative implies the required one", &any, "", Some("write")),
        ("the alternative that is not enough", &any, "read", Some("write")),
        ("a required one is an alternative", &last, "", Some("read x")),
        ("what the token has is kept", &also, "read z", Some("admin read z")),
        ("granted_and_needed, nothing granted", &also, "", Some("admin")),
        ("in the client's names", &entra, "read", Some("api://app/admin")),
        ("two with one name", &to_one, "", Some("api://app/.default")),
        ("the other's names imply nothing", &confusing, "", Some("admin read")),
        ("a circle: one of them", &same, "", Some("read")),
        ("a circle: either is enough", &same, "lesen", None),
    ]);
}

/// Several lists of alternatives are chosen from together: what the token has, what is good for most, what comes first.
#[test]
fn alternatives_are_chosen_together() {
    let listen = |uris: &[&str]| {
        super::request("subscriptions/listen", &json!({ "notifications": { "resourceSubscriptions": uris } }))
    };
    let config = |implies: Value, lists: &[&[&str]]| {
        let rules: Vec<_> = lists
            .iter()
            .enumerate()
            .map(|(n, any)| json!({ "resources": [format!("x://{n}")], "any_of": any }))
            .collect();
        ruled(&json!({ "scopes": { "required": ["r"], "implies": implies }, "rules": rules }))
    };
    let none = json!({});
    type Choice<'r> = (&'r str, Value, &'r [&'r [&'r str]], &'r str, &'r str);
    let rows: [Choice<'_>; 13] = [
        ("one list: the first", none.clone(), &[&["a", "b"]], "r", "a r"),
        ("one list: what the token has", none.clone(), &[&["a", "b"]], "b", "b r"),
        ("two lists: what both have", none.clone(), &[&["a", "b"], &["c", "b"]], "r", "b r"),
        ("two lists: nothing in common", none.clone(), &[&["a", "b"], &["c", "d"]], "r", "a c r"),
        ("the token's is preferred to what both have", none.clone(), &[&["a", "b"], &["b", "c"]], "c", "a c r"),
        ("of the token's, what both have", none.clone(), &[&["a", "b"], &["b", "c"]], "a b", "b r"),
        ("three lists: two and one", none.clone(), &[&["a", "b"], &["b", "c"], &["c", "d"]], "r", "b c r"),
        (
            "five lists: not what comes first",
            none.clone(),
            &[&["a", "b"], &["a", "c"], &["c", "x"], &["c", "y"], &["b", "z"]],
            "r",
            "b c r",
        ),
        ("a required one is in the list", none.clone(), &[&["a", "r"], &["c", "d"]], "", "c r"),
        ("one that implies is good for both", json!({ "w": ["b"] }), &[&["a", "w"], &["b", "c"]], "r", "r w"),
        ("one that the token's implies", json!({ "w": ["b"] }), &[&["a", "b"], &["z"]], "r w", "b r z"),
        ("one that implies the required one", json!({ "a": ["r"] }), &[&["a", "b"]], "", "a"),
        ("one that implies another choice", json!({ "z": ["a"] }), &[&["a", "b"], &["z"]], "r", "r z"),
    ];
    for (name, implies, lists, granted, needed) in rows {
        let uris: Vec<String> = (0..lists.len()).map(|n| format!("x://{n}")).collect();
        let uris: Vec<&str> = uris.iter().map(String::as_str).collect();
        let mut gate = gate(&config(implies, lists));
        let found = outcome(post(&mut gate, &scoped(granted), &[], &listen(&uris)));
        assert_eq!(found, Err(lacking(granted, needed)), "{name}");
        assert_eq!(outcome(post(&mut gate, &scoped(needed), &[], &listen(&uris))), Ok(()), "{name}: it is enough");
    }
}

/// A subscription may meet as many rules as it has resources, and each may have its own alternatives.
#[test]
fn hundreds_of_alternatives_are_all_chosen_from() {
    let rule =
        |n: usize| json!({ "resources": [format!("x://{n}")], "any_of": [format!("a{n}"), format!("b{}", n / 2)] });
    let config = ruled(&json!({ "scopes": {}, "rules": (0..256).map(rule).collect::<Vec<_>>() }));
    let uris: Vec<String> = (0..256).map(|n| format!("x://{n}")).collect();
    let body = super::request("subscriptions/listen", &json!({ "notifications": { "resourceSubscriptions": uris } }));
    let mut gate = gate(&config);
    let needed = (0..128).map(|n| format!("b{n}")).collect::<Vec<_>>().join(" ");
    assert_eq!(outcome(post(&mut gate, &scoped(""), &[], &body)), Err(lacking("", &needed)));
    assert_eq!(outcome(post(&mut gate, &scoped(&needed), &[], &body)), Ok(()));
}

/// Dozens of alternatives in hundreds of rules would keep the worker busy for seconds, if all were compared with all.
#[test]
fn too_many_alternatives_are_chosen_one_by_one() {
    let alternatives = |n: usize| (0..60).map(|k| format!("s{n}-{k}")).collect::<Vec<_>>();
    let rule = |n: usize| json!({ "resources": [format!("x://{n}")], "any_of": alternatives(n) });
    let config = ruled(&json!({ "scopes": {}, "rules": (0..256).map(rule).collect::<Vec<_>>() }));
    let uris: Vec<String> = (0..256).map(|n| format!("x://{n}")).collect();
    let body = super::request("subscriptions/listen", &json!({ "notifications": { "resourceSubscriptions": uris } }));
    let mut needed: Vec<_> = (0..256).map(|n| format!("s{n}-0")).collect();
    needed.sort_unstable();
    let mut gate = gate(&config);
    assert_eq!(outcome(post(&mut gate, &scoped(""), &[], &body)), Err(lacking("", &needed.join(" "))));
}

/// Keycloak has realm roles two objects deep, others have several claims at once.
#[test]
fn scopes_stand_where_the_operator_says() {
    let config =
        |claims: Value| put(with_rules(&json!([{ "scopes": ["a"] }])), "/authorization_servers/0/scope_claims", claims);
    let (roles, both) =
        (config(json!(["realm_access.roles"])), config(json!(["scope", "realm_access.roles", "perm.x"])));
    let carrying = |scope: Value, more: Value| {
        let claims = with(claims(), "scope", scope);
        let more = more.as_object().expect("an object").clone();
        sign(&header(), &more.into_iter().fold(claims, |claims, (name, value)| holding(claims, &name, value)))
    };
    let nested = |list: Value| json!({ "realm_access": { "roles": list } });
    let wrong =
        mcp_oauth::refusal::Refusal::Token(mcp_oauth::token::TokenError::ScopeClaim("realm_access.roles".into()));
    let rows: Vec<Row<(&Value, String)>> = vec![
        accepted("an array", (&roles, carrying(Value::Null, nested(json!(["mcp:read", "a"]))))),
        accepted("a text", (&roles, carrying(Value::Null, nested(json!("a mcp:read"))))),
        refused(
            "`scope` is not listed, so it counts for nothing",
            (&roles, carrying(json!("mcp:read a"), nested(json!(["b"])))),
            lacking("b", "a mcp:read"),
        ),
        refused("absent", (&roles, carrying(json!("mcp:read a"), json!({}))), lacking("", "a mcp:read")),
        refused("a number", (&roles, carrying(Value::Null, nested(json!(5)))), wrong.clone()),
        refused("an object", (&roles, carrying(Value::Null, nested(json!({ "a": 1 })))), wrong.clone()),
        refused("null", (&roles, carrying(Value::Null, nested(json!(null)))), wrong),
        refused(
            "what is no text in an array",
            (&roles, carrying(Value::Null, nested(json!([5, "b", ["a"]])))),
            lacking("b", "a mcp:read"),
        ),
        accepted("the union of two", (&both, carrying(json!("mcp:read"), nested(json!(["a"]))))),
        accepted("the union of two, the other way", (&both, carrying(json!("a"), nested(json!(["mcp:read"]))))),
        accepted("a literal name with a dot", (&both, carrying(json!("a"), json!({ "perm.x": "mcp:read" })))),
        refused(
            "the union lacks one",
            (&both, carrying(json!("mcp:read"), nested(json!(["b"])))),
            lacking("b mcp:read", "a mcp:read"),
        ),
    ];
    check(rows, |(config, token)| outcome(post(&mut gate(config), token, &[], &call("a"))));
}

/// `required: []` and a rule: the rule alone decides.
#[test]
fn a_resource_may_require_nothing_but_what_its_rules_say() {
    let members = json!({ "scopes": {}, "rules": [{ "tools": ["a"], "scopes": ["x"] }] });
    check_scopes(vec![("has it", &members, "x", None), ("has none", &members, "", Some("x"))]);
    let config = ruled(&members);
    assert_eq!(judged(&config, &call("b")), Ok(()), "no rule, nothing required");
    assert_eq!(inline_config()["resources"][0]["scopes"]["required"], json!(["mcp:read"]), "the shared one requires");
}

/// A token from the cache meets the same decisions, for every body anew.
#[test]
fn a_cached_token_is_judged_anew() {
    let config = with_rules(&json!([
        { "tools": ["no"], "deny": true },
        { "tools": ["admin"], "claims": [{ "claim": "role", "equals": "admin" }] },
        { "tools": ["admin"], "deny": true },
        { "tools": ["wide"], "scopes": ["wide"] },
    ]));
    let token =
        |role: &str, scope: &str| sign(&header(), &holding(with(claims(), "scope", json!(scope)), "role", json!(role)));
    let callers = [token("admin", "mcp:read"), token("user", "mcp:read wide"), token("user", "other")];
    let bodies = ["no", "admin", "wide", "a"].map(call);
    let mut fresh = Vec::new();
    for caller in &callers {
        fresh.push(bodies.each_ref().map(|body| outcome(post(&mut gate(&config), caller, &[], body))));
    }
    let (deny, none) = (super::denied(0), super::denied(2));
    let base = |granted: &str, needed: &str| Err(lacking(granted, needed));
    assert_eq!(
        fresh,
        [
            [Err(deny.clone()), Ok(()), base("mcp:read", "mcp:read wide"), Ok(())],
            [Err(deny.clone()), Err(none.clone()), Ok(()), Ok(())],
            [Err(deny), Err(none), base("other", "mcp:read wide"), base("other", "mcp:read")],
        ]
    );
    let mut one = gate(&config);
    for _ in 0..3 {
        for (caller, fresh) in callers.iter().zip(&fresh) {
            let found = bodies.each_ref().map(|body| outcome(post(&mut one, caller, &[], body)));
            assert_eq!(found, *fresh);
        }
    }
}
