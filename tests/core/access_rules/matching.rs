//! Which rule a message meets: by method, by tool, by prompt; the first one that matches decides.

use serde_json::{Value, json};

use super::{call, denied, judged, request, ruled, with_rules};
use crate::support::{Row, accepted, check, refused};

/// One deny rule with these members; each body meets it or passes.
#[track_caller]
fn check_rule(rule: &Value, met: &[String], passing: &[String]) {
    let mut rule = rule.clone();
    rule["deny"] = json!(true);
    let config = with_rules(&json!([rule]));
    let met = met.iter().map(|body| refused(format!("{rule} meets {body}"), body.clone(), denied(0)));
    let passing = passing.iter().map(|body| accepted(format!("{rule} leaves {body}"), body.clone()));
    check(met.chain(passing).collect(), |body| judged(&config, body));
}

fn bare(method: &str) -> String {
    request(method, &json!({}))
}

fn prompt(name: &str) -> String {
    request("prompts/get", &json!({ "name": name }))
}

fn completion(reference: &Value) -> String {
    request("completion/complete", &json!({ "ref": reference, "argument": { "name": "a", "value": "b" } }))
}

#[test]
fn methods_are_named_in_full_or_by_their_start() {
    let rows = [
        (json!(["tools/call"]), vec![call("a")], vec!["tools/list", "Tools/call", "tools/calls", "tools", "ping"]),
        (
            json!(["tools/*"]),
            vec![call("a"), bare("tools/list"), bare("tools/")],
            vec!["tools", "toolsx/list", "TOOLS/x"],
        ),
        (json!(["tool*"]), vec![call("a"), bare("tool"), bare("toolsx")], vec!["too", "xtool"]),
        (
            json!(["ping", "logging/*"]),
            vec![bare("ping"), bare("logging/setLevel")],
            vec!["pin", "pings", "logging", "initialize", "server/discover"],
        ),
    ];
    for (methods, met, passing) in rows {
        let passing: Vec<String> = passing.into_iter().map(bare).collect();
        check_rule(&json!({ "methods": methods }), &met, &passing);
    }
}

/// `*` alone and a rule without any condition match all that is judged.
#[test]
fn a_rule_may_match_everything() {
    for rule in [json!({ "methods": ["*"], "deny": true }), json!({ "deny": true })] {
        let config = with_rules(&json!([rule]));
        let mut rows = vec![accepted("5.3: the answer to a request of the server", answer())];
        let bodies = [bare("ping"), bare("vendor/extension"), call("a"), prompt("a"), bare("initialize")];
        rows.extend(bodies.map(|body| refused(body.clone(), body, denied(0))));
        rows.push(refused("a notification", notification("notifications/initialized"), denied(0)));
        check(rows, |body| judged(&config, body));
    }
}

fn notification(method: &str) -> String {
    json!({ "jsonrpc": "2.0", "method": method }).to_string()
}

fn answer() -> String {
    json!({ "jsonrpc": "2.0", "id": 7, "result": { "role": "assistant" } }).to_string()
}

#[test]
fn tools_are_named_in_full_or_by_their_start() {
    let others = [bare("tools/list"), prompt("delete"), request("tasks/get", &json!({ "taskId": "delete" }))];
    let with_others =
        |names: &[&str]| -> Vec<String> { names.iter().map(|name| call(name)).chain(others.iter().cloned()).collect() };
    let odd = [
        // 5.2: the same name, written differently.
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\u0064elete"}}"#.to_owned(),
        r#"{"params":{"arguments":{},"name":"delete"},"method":"tools\/call","id":1}"#.to_owned(),
        // A notification, which some servers run all the same.
        r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"delete"}}"#.to_owned(),
        call("delete"),
    ];
    check_rule(&json!({ "tools": ["delete"] }), &odd, &with_others(&["Delete", "delete2", " delete", "delet", ""]));
    let met = ["delete", "delete_all"].map(call);
    check_rule(&json!({ "tools": ["delete*"] }), &met, &with_others(&["undelete", "Delete_all", "delet"]));
    check_rule(&json!({ "tools": ["a", "b*"] }), &["a", "b", "bc"].map(call), &with_others(&["c", "ab"]));
    check_rule(&json!({ "tools": ["*"] }), &["a", ""].map(call), &with_others(&[]));
    // Both must match.
    let task = request("tasks/get", &json!({ "taskId": "a" }));
    check_rule(&json!({ "tools": ["a"], "methods": ["tools/call"] }), &[call("a")], &[call("b"), task]);
    check(
        vec![accepted("a method without this target", call("a")), refused("the sibling", prompt("a"), denied(1))],
        |body| {
            let rules = json!([
                { "tools": ["a"], "methods": ["tools/*"], "claims": [{ "claim": "x", "equals": "y" }] },
                { "prompts": ["a"], "methods": ["prompts/get"], "deny": true },
            ]);
            judged(&with_rules(&rules), body)
        },
    );
}

/// 5.3: a completion leaks what the arguments of a prompt may be.
#[test]
fn prompts_are_named_in_full_or_by_their_start() {
    let reference = |name: &str| completion(&json!({ "type": "ref/prompt", "name": name }));
    let both = completion(&json!({ "type": "ref/resource", "name": "secret", "uri": "x://y" }));
    check_rule(
        &json!({ "prompts": ["secret"] }),
        &[prompt("secret"), reference("secret"), both],
        &[
            prompt("secrets"),
            reference("Secret"),
            call("secret"),
            bare("prompts/list"),
            completion(&json!({ "type": "ref/resource", "uri": "secret" })),
        ],
    );
    check_rule(
        &json!({ "prompts": ["s*"], "tools": ["t"] }),
        &[prompt("secret"), reference("s"), call("t")],
        &[prompt("t"), call("s")],
    );
}

#[test]
fn the_first_rule_that_matches_decides() {
    let first = |first: Value, second: Value| with_rules(&json!([first, second]));
    // A rule that an earlier one covers does not load, so the second one has something of its own.
    let (allow, deny) = (json!({ "tools": ["a*"] }), json!({ "tools": ["ab", "z"], "deny": true }));
    let (all, no) = (json!({ "scopes": ["admin"] }), json!({ "deny": true }));
    let rows: Vec<Row<(Value, String)>> = vec![
        accepted("allowed first, denied later", (first(allow.clone(), deny.clone()), call("ab"))),
        refused("denied first, allowed later", (first(deny.clone(), allow.clone()), call("ab")), denied(0)),
        accepted("the first does not match, the second allows", (first(deny.clone(), allow.clone()), call("ac"))),
        refused(
            "the first does not match, the second denies",
            (first(allow.clone(), no.clone()), call("b")),
            denied(1),
        ),
        accepted("no scopes first, scopes later", (first(allow.clone(), all.clone()), call("a"))),
        refused(
            "scopes later, for all the others",
            (first(allow, all.clone()), call("b")),
            super::lacking("mcp:read mcp:write", "admin mcp:read"),
        ),
        refused(
            "scopes first, without them nothing else is tried",
            (first(json!({ "tools": ["a"], "scopes": ["admin"] }), json!({ "tools": ["a*"] })), call("a")),
            super::lacking("mcp:read mcp:write", "admin mcp:read"),
        ),
    ];
    check(rows, |(config, body)| judged(config, body));
}

/// 5.3, unknown method: forwarding it is what makes the server's -32601 work; denying it is the operator's choice.
#[test]
fn the_default_says_what_no_rule_says() {
    let config = |default: Option<&str>| {
        let mut members = json!({ "rules": [{ "tools": ["a"] }, { "tools": ["b"], "deny": true }] });
        if let Some(default) = default {
            members["default"] = json!(default);
        }
        ruled(&members)
    };
    let none = mcp_oauth::refusal::Refusal::Denied { rule: None };
    let mut rows = Vec::new();
    for default in [None, Some("allow"), Some("deny")] {
        let config = config(default);
        rows.push(accepted(format!("{default:?}: a rule allows"), (config.clone(), call("a"))));
        rows.push(refused(format!("{default:?}: a rule denies"), (config.clone(), call("b")), denied(1)));
        rows.push(accepted(format!("{default:?}: 5.3, an answer passes"), (config.clone(), answer())));
        let open =
            [call("c"), bare("tools/list"), bare("vendor/x"), bare("server/discover"), notification("notifications/x")];
        for body in open {
            let name = format!("{default:?}: no rule for {body}");
            rows.push(match default {
                Some("deny") => refused(name, (config.clone(), body), none.clone()),
                _ => accepted(name, (config.clone(), body)),
            });
        }
    }
    rows.push(refused("deny without any rules", (ruled(&json!({ "default": "deny" })), call("a")), none));
    check(rows, |(config, body)| judged(config, body));
}
