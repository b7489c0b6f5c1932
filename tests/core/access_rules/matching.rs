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

/// 5.3, MCP 2026-07-28 multi round-trip requests: a retry is a request of its own, whatever it says that came before.
#[test]
fn a_retry_is_judged_again() {
    let retry = |method: &str, mut params: Value| {
        params["inputResponses"] =
            json!({ "name": { "action": "accept", "content": { "name": "open", "method": "ping" } } });
        params["requestState"] = json!("eyJuYW1lIjoib3BlbiJ9");
        request(method, &params)
    };
    let config = with_rules(&json!([
        { "tools": ["no"], "deny": true },
        { "tools": ["admin"], "scopes": ["admin"] },
        { "prompts": ["no"], "deny": true },
        { "resources": ["x://no"], "deny": true },
    ]));
    let lacking = super::lacking("mcp:read mcp:write", "admin mcp:read");
    let with_task = request("tools/call", &json!({ "name": "no", "arguments": {}, "task": { "ttl": 1000 } }));
    let rows: Vec<Row<String>> = vec![
        accepted("5.3: the retry of an open tool", retry("tools/call", json!({ "name": "open" }))),
        refused("5.3: the retry of a tool that is denied", retry("tools/call", json!({ "name": "no" })), denied(0)),
        refused("5.3: of a tool that needs a scope", retry("tools/call", json!({ "name": "admin" })), lacking),
        accepted("5.3: the retry of an open prompt", retry("prompts/get", json!({ "name": "open" }))),
        refused("5.3: of a prompt that is denied", retry("prompts/get", json!({ "name": "no" })), denied(2)),
        accepted("5.3: the retry of an open resource", retry("resources/read", json!({ "uri": "x://open" }))),
        refused("5.3: of a resource that is denied", retry("resources/read", json!({ "uri": "x://no" })), denied(3)),
        refused("5.3: as a task", with_task, denied(0)),
    ];
    check(rows, |body| judged(&config, body));
}

/// 5.6: the server knows which tools there are, and answers -32602; a 403 here would tell which names the rules have.
#[test]
fn an_unknown_tool_goes_to_the_server() {
    let rules = json!([{ "tools": ["delete"], "scopes": ["admin"] }, { "tools": ["no*"], "deny": true }]);
    let open = with_rules(&rules);
    let closed = ruled(&json!({ "rules": rules, "default": "deny" }));
    let lacking = super::lacking("mcp:read mcp:write", "admin mcp:read");
    let none = mcp_oauth::refusal::Refusal::Denied { rule: None };
    check(
        vec![
            accepted("5.6: a tool that nobody knows", (&open, call("delet"))),
            accepted("5.6: a tool without a name", (&open, call(""))),
            refused("5.6: a tool that a rule knows", (&open, call("delete")), lacking),
            refused("5.6: the start of a name that a rule knows", (&open, call("nobody")), denied(1)),
            refused("5.6: with `default: deny` it is the operator's choice", (&closed, call("delet")), none),
        ],
        |(config, body)| judged(config, body),
    );
}
