//! Lists show only what the caller may use (spec section 5.5), and everything else of them stays as it was.

mod streams;
mod unreadable;

use mcp_oauth::{
    forward::Edit,
    gate::{Gate, Verdict},
    response::ResponseGuard,
};
use serde_json::{Value, json};

use crate::{
    access_rules::{call, post, request, ruled, scoped},
    support::{gate, good_token},
};

const MODERN: (&str, &str) = ("mcp-protocol-version", "2026-07-28");

fn config() -> Value {
    ruled(&json!({
        "rules": [
            { "tools": ["no*"], "deny": true },
            { "tools": ["wide"], "scopes": ["wide"] },
            { "prompts": ["no*"], "deny": true },
            { "resources": ["x://no/*", "x://{no}"], "deny": true },
        ],
        "filter_lists": true,
        "anonymous_methods": ["tools/list"],
    }))
}

/// The guard of a request for a list with this id, as JSON.
#[track_caller]
fn guard(gate: &mut Gate, token: &str, method: &str, id: &str, more: &[(&str, &str)]) -> ResponseGuard {
    let body = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":{{}}}}");
    let mut lines = more.to_vec();
    if more.contains(&MODERN) {
        lines.push(("mcp-method", method));
    }
    match post(gate, token, &lines, &body) {
        Verdict::Forward(forward) => forward.into_response_guard(),
        other => panic!("not forwarded: {other:?}"),
    }
}

/// What the caller with the good token gets of an upstream's JSON answer to this method.
#[track_caller]
fn shown(method: &str, more: &[(&str, &str)], answer: &str) -> String {
    let mut gate = gate(&config());
    let guard = guard(&mut gate, &good_token(), method, "1", more);
    assert!(guard.filters_list(), "{method}");
    let filtered = guard.filter_list(answer.as_bytes()).expect("a list");
    String::from_utf8(filtered).expect("UTF-8")
}

/// A legacy answer.
#[track_caller]
fn legacy(method: &str, answer: &str) -> String {
    shown(method, &[], answer)
}

#[test]
fn each_list_shows_what_its_caller_may_use() {
    let rows = [
        (
            "tools/list",
            r#"{"result":{"tools":[{"name":"a"},{"name":"no1"},{"name":"wide"},{"name":"b","x":1}]}}"#,
            r#"{"result":{"tools":[{"name":"a"},{"name":"b","x":1}]}}"#,
        ),
        (
            "prompts/list",
            r#"{"result":{"prompts":[{"name":"no"},{"name":"a"}]}}"#,
            r#"{"result":{"prompts":[{"name":"a"}]}}"#,
        ),
        (
            "resources/list",
            r#"{"result":{"resources":[{"uri":"x://a","name":"no"},{"uri":"x://no/b","name":"a"}]}}"#,
            r#"{"result":{"resources":[{"uri":"x://a","name":"no"}]}}"#,
        ),
        (
            "resources/templates/list",
            r#"{"result":{"resourceTemplates":[{"uriTemplate":"x://{no}"},{"uriTemplate":"x://no/{a}"},{"uriTemplate":"x://{a}"}]}}"#,
            r#"{"result":{"resourceTemplates":[{"uriTemplate":"x://{a}"}]}}"#,
        ),
        // A name in another list means something else.
        ("tools/list", r#"{"result":{"prompts":[{"name":"no"}]}}"#, r#"{"result":{"prompts":[{"name":"no"}]}}"#),
        ("tools/list", r#"{"tools":[{"name":"no"}]}"#, r#"{"tools":[{"name":"no"}]}"#),
        (
            "tools/list",
            r#"{"result":{"_meta":{"tools":[{"name":"no"}]},"tools":[{"name":"\u006eo"}]}}"#,
            r#"{"result":{"_meta":{"tools":[{"name":"no"}]},"tools":[]}}"#,
        ),
        // What has no name that a rule could know is not shown.
        (
            "tools/list",
            r#"{"result":{"tools":[{},{"title":"a"},{"name":5},{"name":null},"a",null,5,[],{"name":"a"}]}}"#,
            r#"{"result":{"tools":[{"name":"a"}]}}"#,
        ),
        ("tools/list", r#"{"result":{"tools":[{"uri":"a"},{"Name":"a"}]}}"#, r#"{"result":{"tools":[]}}"#),
        // A URI that no request may name is not shown.
        (
            "resources/list",
            r#"{"result":{"resources":[{"uri":"x://a/../no/b"},{"uri":"x://a/%2e%2e/b"},{"uri":"x://a/b"}]}}"#,
            r#"{"result":{"resources":[{"uri":"x://a/b"}]}}"#,
        ),
    ];
    for (method, answer, expected) in rows {
        assert_eq!(legacy(method, answer), expected, "{method}");
    }
}

#[test]
fn the_scopes_of_the_caller_decide() {
    let answer = r#"{"result":{"tools":[{"name":"a"},{"name":"wide"},{"name":"no"}]}}"#;
    let rows = [
        (scoped("mcp:read"), r#"{"result":{"tools":[{"name":"a"}]}}"#),
        (scoped("mcp:read wide"), r#"{"result":{"tools":[{"name":"a"},{"name":"wide"}]}}"#),
        // Whoever has no token yet sees what a token could open, and not what is denied to all.
        (String::new(), r#"{"result":{"tools":[{"name":"a"},{"name":"wide"}]}}"#),
    ];
    for (token, expected) in rows {
        let mut gate = gate(&config());
        let guard = guard(&mut gate, &token, "tools/list", "1", &[]);
        let found = guard.filter_list(answer.as_bytes()).expect("a list");
        assert_eq!(str::from_utf8(&found), Ok(expected));
    }
    // The default decides where no rule does.
    let mut gate = gate(&ruled(
        &json!({ "rules": [{ "tools": ["a"] }, { "methods": ["tools/list"] }], "default": "deny", "filter_lists": true }),
    ));
    let guard = guard(&mut gate, &good_token(), "tools/list", "1", &[]);
    let found = guard.filter_list(answer.as_bytes()).expect("a list");
    assert_eq!(str::from_utf8(&found), Ok(r#"{"result":{"tools":[{"name":"a"}]}}"#));
}

#[test]
fn what_is_shown_is_shown_byte_for_byte() {
    let whole = "\r\n{ \"jsonrpc\" : \"2.0\" ,\t\"id\":1, \"result\" : { \"tools\" : [ { \"name\" : \"a\" } ,\n\
                 \t{ \"n\\u0061me\":\"\\u0062\", \"x\":1.50e+1,\"ü\":\"\\/\" } ] , \"nextCursor\":\"c\" } }\n ";
    assert_eq!(legacy("tools/list", whole), whole, "nothing is hidden");
    let empty = "{\"result\":{ \"tools\" : [ ] }}";
    assert_eq!(legacy("tools/list", empty), empty);
    // What is hidden takes one comma along, and the space between the two; nothing else changes.
    let (a, b, no) = ("{ \"name\" : \"a\" }", "{\"name\":\"b\" , \"x\":1.50}", "{ \"name\":\"no\"}");
    let rows = [
        (format!("[ {a} , {no} ,\n {b}\t]"), format!("[ {a} ,\n {b}\t]")),
        (format!("[ {no} , {a} ,\n {b}\t]"), format!("[ {a} ,\n {b}\t]")),
        (format!("[ {a} , {b} ,\n {no}\t]"), format!("[ {a} , {b}\t]")),
        (format!("[{no}, {no} , {a} , {no},{no} ,{b},{no} ]"), format!("[{a} ,{b} ]")),
        (format!("[ {no} ]"), "[  ]".to_owned()),
        (format!("[ {no},\n{no}\n]"), "[ \n]".to_owned()),
        (format!("[ 5 , {a} ,null ,{b}, \"\" ]"), format!("[ {a} ,{b} ]")),
    ];
    for (tools, expected) in rows {
        let whole = |tools: &str| format!("{{ \"result\" : {{ \"tools\" : {tools} ,\t\"nextCursor\" : \"c\" }} }}\n");
        assert_eq!(legacy("tools/list", &whole(&tools)), whole(&expected), "{tools}");
    }
    let page = r#"{"result":{"nextCursor":"next","tools":[{"name":"no"}],"ttlMs":5}}"#;
    let expected = r#"{"result":{"nextCursor":"next","tools":[],"ttlMs":5}}"#;
    assert_eq!(legacy("tools/list", page), expected, "an empty page has a next one");
}

/// A list of one caller must not be cached for all; results before 2026-07-28 have no such member.
#[test]
fn a_list_is_private_to_its_caller() {
    let rows = [
        (
            r#"{"result":{"tools":[]}}"#,
            r#"{"result":{"cacheScope":"private","tools":[]}}"#,
            r#"{"result":{"tools":[]}}"#,
        ),
        (
            r#"{"result":{ "tools":[{"name":"no"}]}}"#,
            r#"{"result":{"cacheScope":"private", "tools":[]}}"#,
            r#"{"result":{ "tools":[]}}"#,
        ),
        (
            r#"{"result":{"tools":[{"name":"a"}],"cacheScope" : "public" ,"ttlMs":1}}"#,
            r#"{"result":{"tools":[{"name":"a"}],"cacheScope" : "private" ,"ttlMs":1}}"#,
            r#"{"result":{"tools":[{"name":"a"}],"cacheScope" : "private" ,"ttlMs":1}}"#,
        ),
        (
            r#"{"result":{"cacheScope":"public","tools":[{"name":"no"},{"name":"a"}]}}"#,
            r#"{"result":{"cacheScope":"private","tools":[{"name":"a"}]}}"#,
            r#"{"result":{"cacheScope":"private","tools":[{"name":"a"}]}}"#,
        ),
        (
            r#"{"result":{"tools":[{"name":"no","cacheScope":"public"}],"cacheScope":null}}"#,
            r#"{"result":{"tools":[],"cacheScope":"private"}}"#,
            r#"{"result":{"tools":[],"cacheScope":"private"}}"#,
        ),
        (
            r#"{"result":{"tools":[{"name":"a","cacheScope":"public"}],"cacheScope":{"a":[1]}}}"#,
            r#"{"result":{"tools":[{"name":"a","cacheScope":"public"}],"cacheScope":"private"}}"#,
            r#"{"result":{"tools":[{"name":"a","cacheScope":"public"}],"cacheScope":"private"}}"#,
        ),
        (r#"{"result":{}}"#, r#"{"result":{}}"#, r#"{"result":{}}"#),
    ];
    for (answer, modern, older) in rows {
        assert_eq!(shown("tools/list", &[MODERN], answer), modern);
        for version in ["2025-11-25", "2026-07-27", "draft"] {
            assert_eq!(shown("tools/list", &[("mcp-protocol-version", version)], answer), older, "{version}");
        }
        assert_eq!(legacy("tools/list", answer), older);
    }
}

/// MCP base protocol: the version in `_meta` is what makes a request modern, whatever it is called.
#[test]
fn a_request_is_modern_by_what_its_body_says() {
    let version = "DRAFT-2027-v1";
    let more = [("mcp-protocol-version", version), ("mcp-method", "tools/list")];
    let rows = [
        (json!({ "_meta": { "io.modelcontextprotocol/protocolVersion": version } }), true),
        (json!({ "_meta": { "protocolVersion": version } }), false),
        (json!({}), false),
    ];
    for (params, is_modern) in rows {
        let mut gate = gate(&config());
        let verdict = post(&mut gate, &good_token(), &more, &request("tools/list", &params));
        let Verdict::Forward(forward) = verdict else { panic!("{params}: {verdict:?}") };
        let guard = forward.into_response_guard();
        let found = guard.filter_list(br#"{"result":{"tools":[]}}"#).expect("a list");
        assert_eq!(String::from_utf8_lossy(&found).contains("cacheScope"), is_modern, "{params}");
    }
}

#[test]
fn only_successful_answers_are_filtered() {
    for answer in [
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"x","data":{"tools":[{"name":"no"}]}}}"#,
        r#"{"result":null}"#,
        r#"{"result":[{"tools":[{"name":"no"}]}]}"#,
        r#"{"result":"tools"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"tools":[{"name":"no"}]}}"#,
        "{}",
    ] {
        for more in [&[][..], &[MODERN]] {
            assert_eq!(shown("tools/list", more, answer), answer);
        }
    }
}

#[test]
fn only_lists_are_filtered_and_only_where_it_is_asked_for() {
    let none = ruled(&json!({ "rules": [{ "tools": ["no*"], "deny": true }] }));
    let notification = r#"{"jsonrpc":"2.0","method":"tools/list"}"#.to_owned();
    let list = || request("tools/list", &json!({}));
    let rows = [
        (config(), list(), true),
        (config(), request("prompts/list", &json!({})), true),
        (config(), request("tools/lists", &json!({})), false),
        (config(), request("tasks/list", &json!({})), false),
        (config(), call("tools/list"), false),
        // Some servers answer it all the same.
        (config(), notification, true),
        (none, list(), false),
    ];
    for (config, body, expected) in rows {
        let mut gate = gate(&config);
        let Verdict::Forward(forward) = post(&mut gate, &good_token(), &[], &body) else { panic!("{body}") };
        let guard = forward.into_response_guard();
        assert_eq!(guard.filters_list(), expected, "{body}");
        let found = guard.filter_list(br#"{"result":{"tools":[{"name":"no"}]}}"#);
        assert_eq!(found.is_some(), expected, "{body}");
    }
}

/// What is compressed cannot be filtered; whether a list is asked for is not known before the body.
#[test]
fn compressed_answers_are_not_asked_for() {
    let none = ruled(&json!({ "rules": [{ "tools": ["no*"], "deny": true }] }));
    for (config, removed) in [(config(), true), (none, false)] {
        for (more, sent) in
            [(vec![("accept-encoding", "gzip, br")], true), (vec![("Accept-Encoding", "")], true), (vec![], false)]
        {
            for body in [call("a"), request("tools/list", &json!({}))] {
                let Verdict::Forward(forward) = post(&mut gate(&config), &good_token(), &more, &body) else {
                    panic!("{body}")
                };
                let found = forward.edits().any(|edit| edit == Edit::Remove(b"accept-encoding"));
                assert_eq!(found, removed && sent, "{body} with {more:?}");
            }
        }
    }
}
