//! What each method is applied to (MCP server features; docs: spec requirements, table 5.3), and what the `Mcp-Name` header
//! repeats of it.

use mcp_oauth::message::{MessageError, Target, read};

use super::{bad, check_bodies, good, targets};

fn tool(name: &str) -> Target<'_> {
    Target::Tool(name.into())
}

fn prompt(name: &str) -> Target<'_> {
    Target::Prompt(name.into())
}

fn resource(uri: &str) -> Target<'_> {
    Target::Resource(uri.into())
}

fn task(id: &str) -> Target<'_> {
    Target::Task(id.into())
}

/// Members of all kinds, so that only the right one can be taken.
const ALL: &str = r#"{"name":"n","uri":"u","taskId":"t","ref":{"type":"ref/prompt","name":"rn"},"arguments":{"name":"an","uri":"au"},
    "notifications":{"resourceSubscriptions":["s1","s2"]},"task":{"ttl":1},"cursor":"c"}"#;

#[test]
fn each_method_has_its_target() {
    for (method, expected, name) in [
        ("tools/call", vec![tool("n")], Some("n")),
        ("prompts/get", vec![prompt("n")], Some("n")),
        ("resources/read", vec![resource("u")], Some("u")),
        ("resources/subscribe", vec![resource("u")], None),
        ("resources/unsubscribe", vec![resource("u")], None),
        ("subscriptions/listen", vec![resource("s1"), resource("s2")], None),
        ("completion/complete", vec![prompt("rn")], None),
        ("tasks/get", vec![task("t")], Some("t")),
        ("tasks/update", vec![task("t")], Some("t")),
        ("tasks/cancel", vec![task("t")], Some("t")),
        ("tasks/result", vec![task("t")], None),
        ("tasks/list", vec![], None),
        ("tools/list", vec![], None),
        ("prompts/list", vec![], None),
        ("resources/list", vec![], None),
        ("resources/templates/list", vec![], None),
        ("initialize", vec![], None),
        ("server/discover", vec![], None),
        ("ping", vec![], None),
        ("logging/setLevel", vec![], None),
        ("notifications/cancelled", vec![], None),
        ("notifications/resources/updated", vec![], None),
        ("extension/unknown", vec![], None),
        // Case matters, and so does every letter.
        ("Tools/Call", vec![], None),
        ("tools/call ", vec![], None),
        ("tools/calls", vec![], None),
        ("", vec![], None),
    ] {
        for id in ["", r#""id":1,"#] {
            let body = format!(r#"{{{id}"method":"{method}","params":{ALL}}}"#);
            assert_eq!(targets(&body), expected, "{method}");
            let messages = read(body.as_bytes(), false).expect("as before");
            assert_eq!(messages.list[0].name(), name, "{method}");
        }
        // The order of members does not matter.
        let body = format!(r#"{{"params":{ALL},"method":"{method}"}}"#);
        assert_eq!(targets(&body), expected, "{method}, params first");
    }
}

/// Whether a method cannot be without its target. Methods that not every revision has can: a server that does not know one
/// must be the one to say so.
const NEEDS: [(&str, &str, &str, bool); 9] = [
    ("tools/call", "name", "params.name", true),
    ("prompts/get", "name", "params.name", true),
    ("resources/read", "uri", "params.uri", true),
    ("resources/subscribe", "uri", "params.uri", false),
    ("resources/unsubscribe", "uri", "params.uri", false),
    ("tasks/get", "taskId", "params.taskId", false),
    ("tasks/update", "taskId", "params.taskId", false),
    ("tasks/cancel", "taskId", "params.taskId", false),
    ("tasks/result", "taskId", "params.taskId", false),
];

#[test]
fn a_target_that_decides_is_a_text() {
    for (method, member, path, needed) in NEEDS {
        let with = |params: &str| format!(r#"{{"id":1,"method":"{method}","params":{params}}}"#);
        let of = |value: &str| with(&format!(r#"{{"{member}":{value}}}"#));
        let odd = ["null", "0", "true", r#"["a"]"#, r#"{"a":"b"}"#, "[]"];
        let mut rows =
            vec![good(format!("5.3: {method}"), of(r#""a""#)), good(format!("5.3: {method}, empty"), of(r#""""#))];
        rows.extend(odd.map(|value| bad(format!("5.3: {method}, {value}"), of(value), MessageError::Member(path))));
        let mut absent = vec![
            ("without params", format!(r#"{{"id":1,"method":"{method}"}}"#)),
            ("with null params", with("null")),
            ("with empty params", with("{}")),
            ("as a notification", format!(r#"{{"method":"{method}"}}"#)),
            ("beside params", format!(r#"{{"id":1,"method":"{method}","{member}":"a"}}"#)),
            ("in arguments", with(&format!(r#"{{"arguments":{{"{member}":"a"}}}}"#))),
            ("in ref", with(&format!(r#"{{"ref":{{"{member}":"a"}}}}"#))),
        ];
        for other in ["name", "uri", "taskId"].into_iter().filter(|other| *other != member) {
            absent.push((other, with(&format!(r#"{{"{other}":"a"}}"#))));
            let body = with(&format!(r#"{{"{member}":"a","{other}":0}}"#));
            rows.push(good(format!("5.3: {method}, {other} is none of its"), body));
        }
        for (name, body) in absent {
            if needed {
                rows.push(bad(format!("5.3: {method}, {name}"), body, MessageError::Member(path)));
            } else {
                assert_eq!(targets(&body), [], "5.3: {method}, {name}");
            }
        }
        check_bodies(rows);
    }
}

#[test]
fn a_completion_names_a_prompt_or_a_resource_or_both() {
    let complete = |params: &str| format!(r#"{{"id":1,"method":"completion/complete","params":{params}}}"#);
    for (reference, expected) in [
        (r#"{"type":"ref/prompt","name":"a"}"#, vec![prompt("a")]),
        (r#"{"type":"ref/resource","uri":"a"}"#, vec![resource("a")]),
        (r#"{"name":"a"}"#, vec![prompt("a")]),
        // What the type says does not count: whoever sends both must be allowed both.
        (r#"{"type":"ref/prompt","name":"a","uri":"b"}"#, vec![prompt("a"), resource("b")]),
        (r#"{"uri":"b","name":"a","type":"ref/resource"}"#, vec![prompt("a"), resource("b")]),
        (r#"{"type":"ref/resource","name":"a"}"#, vec![prompt("a")]),
    ] {
        let body = complete(&format!(r#"{{"name":"x","uri":"y","ref":{reference},"argument":{{"name":"z"}}}}"#));
        assert_eq!(targets(&body), expected, "{reference}");
    }
    let (name, uri) = (|| MessageError::Member("params.ref.name"), || MessageError::Member("params.ref.uri"));
    let of = |reference: &str| complete(&format!(r#"{{"ref":{reference}}}"#));
    check_bodies(vec![
        good("5.3: a prompt", of(r#"{"name":"a"}"#)),
        good("5.3: a resource", of(r#"{"uri":"a"}"#)),
        bad("5.3: no params", r#"{"id":1,"method":"completion/complete"}"#, name()),
        bad("5.3: no ref", complete("{}"), name()),
        bad("5.3: a null ref", of("null"), name()),
        bad("5.3: an empty ref", of("{}"), name()),
        bad("5.3: only a type", of(r#"{"type":"ref/prompt"}"#), name()),
        bad("5.3: a name of no text", of(r#"{"name":1}"#), name()),
        bad("5.3: a null name", of(r#"{"name":null}"#), name()),
        bad("5.3: a URI of no text", of(r#"{"uri":["a"]}"#), uri()),
        bad("5.3: a null URI", of(r#"{"uri":null}"#), uri()),
        bad("5.3: a name and a null URI", of(r#"{"name":"a","uri":null}"#), uri()),
        bad("5.3: a null name and a URI", of(r#"{"name":null,"uri":"a"}"#), name()),
        bad("5.3: name and URI beside ref", complete(r#"{"name":"a","uri":"a"}"#), name()),
    ]);
}

#[test]
fn a_subscription_names_each_resource() {
    let listen = |params: &str| format!(r#"{{"id":1,"method":"subscriptions/listen","params":{params}}}"#);
    let of = |list: &str| {
        listen(&format!(r#"{{"notifications":{{"resourceSubscriptions":{list},"toolsListChanged":true}}}}"#))
    };
    for (body, expected) in [
        (of("[]"), vec![]),
        (of(r#"["a"]"#), vec![resource("a")]),
        (of(r#"[ "b" , "a","b"]"#), vec![resource("b"), resource("a"), resource("b")]),
        (listen(r#"{"notifications":{"toolsListChanged":true}}"#), vec![]),
        (listen(r#"{"notifications":null}"#), vec![]),
        (listen(r#"{"uri":"a","resourceSubscriptions":["a"]}"#), vec![]),
        (r#"{"id":1,"method":"subscriptions/listen"}"#.to_owned(), vec![]),
    ] {
        assert_eq!(targets(&body), expected, "{body}");
    }
    let error = || MessageError::Member("params.notifications.resourceSubscriptions");
    let mut rows = vec![good("5.3: a list", of(r#"["a"]"#))];
    let odd =
        ["null", "{}", r#""a""#, "1", "true", "[1]", r#"["a",null]"#, r#"[["a"]]"#, r#"[{"uri":"a"}]"#, r#"{"0":"a"}"#];
    rows.extend(odd.map(|list| bad(format!("5.3: {list}"), of(list), error())));
    // Each is compared with each rule.
    let many = |count: usize| of(&format!("[{}]", vec![r#""a""#; count].join(",")));
    rows.push(good("5.3: 256", many(256)));
    rows.push(bad("5.3: 257", many(257), MessageError::Subscriptions));
    rows.push(bad("5.3: a hundred thousand", many(100_000), MessageError::Subscriptions));
    check_bodies(rows);
}

#[test]
fn the_version_is_taken_from_meta_alone() {
    let version = |body: &str| {
        let messages = read(body.as_bytes(), false).unwrap_or_else(|error| panic!("{body}: {error}"));
        messages.list[0].protocol_version.as_deref().map(str::to_owned)
    };
    const NAME: &str = "io.modelcontextprotocol/protocolVersion";
    let with = |meta: &str| format!(r#"{{"id":1,"method":"x","params":{{"_meta":{meta}}}}}"#);
    for (body, expected) in [
        (with(&format!(r#"{{"{NAME}":"2026-07-28"}}"#)), Some("2026-07-28")),
        (with(&format!(r#"{{"a":1,"{NAME}":"x","b":2}}"#)), Some("x")),
        (with(&format!(r#"{{"{NAME}":""}}"#)), Some("")),
        (with(r#"{"io.modelcontextprotocol\/protocol\u0056ersion":"1"}"#), Some("1")),
        (with("{}"), None),
        (with("null"), None),
        (with(r#"{"protocolVersion":"2026-07-28"}"#), None),
        (with(&format!(r#"{{"a":{{"{NAME}":"2026-07-28"}}}}"#)), None),
        (format!(r#"{{"id":1,"method":"x","params":{{"{NAME}":"2026-07-28"}}}}"#), None),
        (format!(r#"{{"id":1,"method":"x","_meta":{{"{NAME}":"2026-07-28"}}}}"#), None),
        (r#"{"id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#.to_owned(), None),
        (format!(r#"{{"id":1,"result":{{"_meta":{{"{NAME}":"2026-07-28"}}}}}}"#), None),
    ] {
        assert_eq!(version(&body).as_deref(), expected, "{body}");
    }
    let mut rows = vec![good("5.2 item 7: a text", with(&format!(r#"{{"{NAME}":"2026-07-28"}}"#)))];
    for odd in ["null", "20260728", "true", r#"["2026-07-28"]"#, "{}"] {
        let body = with(&format!(r#"{{"{NAME}":{odd}}}"#));
        rows.push(bad(format!("5.2 item 7: {odd}"), body, MessageError::Member("params._meta.protocolVersion")));
    }
    check_bodies(rows);
}
