//! Arrays (MCP 2025-03-26 alone has batches): refused unless the operator says otherwise.

use mcp_oauth::{
    gate::Verdict,
    message::{Kind, MAX_BATCH, MessageError, Messages, read},
    refusal::Refusal,
};
use serde_json::json;

use super::{JSON, config, duplicate, post, syntax};
use crate::support::{Row, accepted, check, gate, outcome, put, refused};

const PING: &str = r#"{"id":1,"method":"ping"}"#;

fn of(count: usize) -> String {
    format!("[{}]", vec![PING; count].join(","))
}

fn length(name: &str, body: &str) -> (String, Result<(bool, usize), MessageError>) {
    let found = read(body.as_bytes(), true).map(|Messages { list, is_batch }| (is_batch, list.len()));
    (name.to_owned(), found)
}

#[test]
fn where_batches_are_allowed_one_to_a_hundred_messages_are_one() {
    assert_eq!(MAX_BATCH, 100);
    let variant = |name: &str| Err(MessageError::Variant(name.to_owned()));
    let too_deep = format!("[{}]", "[".repeat(127));
    for ((name, found), expected) in [
        (length("no array", PING), Ok((false, 1))),
        (length("one", &of(1)), Ok((true, 1))),
        (length("white space", " [ {\"method\":\"x\"} ] "), Ok((true, 1))),
        (length("two", &of(2)), Ok((true, 2))),
        (length("99", &of(99)), Ok((true, 99))),
        (length("100", &of(100)), Ok((true, 100))),
        (length("101", &of(101)), Err(MessageError::BatchLength(101))),
        (length("5000", &of(5000)), Err(MessageError::BatchLength(5000))),
        (length("none", "[]"), Err(MessageError::BatchLength(0))),
        (length("none, with a space", "[ ]"), Err(MessageError::BatchLength(0))),
        (length("a batch in a batch", &format!("[{}]", of(1))), Err(MessageError::NoMessage)),
        (length("an empty batch in a batch", "[[]]"), Err(MessageError::NoMessage)),
        (length("a batch behind a message", &format!("[{PING},{}]", of(1))), Err(MessageError::NoMessage)),
        (length("a number", &format!("[{PING},1]")), Err(MessageError::NoMessage)),
        (length("null", &format!("[null,{PING}]")), Err(MessageError::NoMessage)),
        (length("a text", r#"["ping"]"#), Err(MessageError::NoMessage)),
        (length("an empty object", &format!("[{PING},{{}}]")), Err(MessageError::NoMessage)),
        (
            length("the last has no target", &format!(r#"[{PING},{{"id":2,"method":"tools/call"}}]"#)),
            Err(MessageError::Member("params.name")),
        ),
        (length("a variant in the last", &format!(r#"[{PING},{{"Method":"x"}}]"#)), variant("Method")),
        (length("a variant in the first", r#"[{"METHOD":"x"},{"Method":"x"}]"#), variant("METHOD")),
        (
            length("a duplicate in the last", &format!(r#"[{PING},{{"id":1,"id":1,"method":"x"}}]"#)),
            Err(duplicate(1, PING.len() + 11)),
        ),
        (
            length("a duplicate in one too many", &format!(r#"{}{{"a":1,"a":1}}]"#, of(100).replace(']', ","))),
            Err(duplicate(1, of(100).len() + 8)),
        ),
        (length("no end", r#"[{"method":"x"}"#), Err(syntax(1, 16))),
        (length("a comma at the end", r#"[{"method":"x"},]"#), Err(syntax(1, 17))),
        (length("two batches", "[{\"method\":\"x\"}]\n[]"), Err(syntax(2, 1))),
        (length("128 levels", &too_deep), Err(syntax(1, 128))),
    ] {
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_batch_keeps_the_order_of_its_messages() {
    let body = br#"[{"id":1,"method":"a"},{"method":"b"},{"id":"c","result":0},{"id":1,"method":"tools/call","params":{"name":"d"}}]"#;
    let messages = read(body, true).expect("a batch");
    let found: Vec<_> = messages
        .list
        .iter()
        .map(|message| {
            (message.kind, message.id, &*message.method, message.targets.first().map(|target| target.as_str()))
        })
        .collect();
    assert_eq!(
        found,
        [
            (Kind::Request, Some("1"), "a", None),
            (Kind::Notification, None, "b", None),
            (Kind::Response, Some(r#""c""#), "", None),
            (Kind::Request, Some("1"), "tools/call", Some("d")),
        ]
    );
}

/// Whatever is in it; but what is no JSON is told first.
#[test]
fn where_batches_are_not_allowed_every_array_is_refused() {
    let of_101 = of(101);
    for (body, expected) in [
        (PING, Ok(())),
        ("[]", Err(MessageError::Batch)),
        ("[[]]", Err(MessageError::Batch)),
        ("[1]", Err(MessageError::Batch)),
        (r#"[{"id":1,"method":"ping"}]"#, Err(MessageError::Batch)),
        (r#"[{"Id":1,"method":"ping"}]"#, Err(MessageError::Batch)),
        (&of_101, Err(MessageError::Batch)),
        ("[", Err(syntax(1, 2))),
        (r#"[{"a":1,"a":2}]"#, Err(duplicate(1, 9))),
    ] {
        assert_eq!(read(body.as_bytes(), false).map(drop), expected, "{body}");
    }
}

fn batch_row(name: &str, version: Option<&'static str>, error: Option<MessageError>) -> Row<Option<&'static str>> {
    match error {
        None => accepted(name, version),
        Some(error) => refused(name, version, Refusal::Message(error)),
    }
}

/// MCP 2025-06-18 removed them again.
#[test]
fn a_batch_goes_upstream_only_in_the_revision_that_has_them() {
    let allowed = put(config(), "/resources/0/body", json!({ "batches": true }));
    let later = || Some(MessageError::Batch);
    check(
        vec![
            batch_row("MCP 2025-03-26: no version header", None, None),
            batch_row("MCP 2025-03-26", Some("2025-03-26"), None),
            batch_row("MCP 2024-11-05", Some("2024-11-05"), None),
            batch_row("MCP 2025-06-18", Some("2025-06-18"), later()),
            batch_row("MCP 2025-11-25", Some("2025-11-25"), later()),
            batch_row("MCP 2026-07-28", Some("2026-07-28"), later()),
            batch_row("a day later", Some("2025-03-27"), later()),
            batch_row("white space around it", Some(" 2025-06-18\t"), later()),
            batch_row("no date", Some("later"), later()),
            batch_row("no date, although of digits", Some("2025-06-18-1"), later()),
        ],
        |version| {
            let mut lines = vec![JSON];
            lines.extend(version.map(|version| ("mcp-protocol-version", version)));
            outcome(post(&mut gate(&allowed), &lines, of(2).as_bytes()))
        },
    );
    let verdict = post(&mut gate(&config()), &[JSON], of(1).as_bytes());
    assert_eq!(outcome(verdict), Err(Refusal::Message(MessageError::Batch)), "not without the setting");
    let off = put(config(), "/resources/0/body", json!({ "batches": false }));
    let verdict = post(&mut gate(&off), &[JSON], of(1).as_bytes());
    assert_eq!(outcome(verdict), Err(Refusal::Message(MessageError::Batch)), "nor with `false`");
}

/// One member that may not be sent is enough, wherever it stands, and nothing of the batch is answered by id.
#[test]
fn a_batch_is_judged_as_a_whole() {
    let config = put(config(), "/resources/0/body", json!({ "batches": true }));
    let config = put(config, "/resources/0/rules", json!([{ "tools": ["delete"], "deny": true }]));
    let call = |name: &str| format!(r#"{{"id":7,"method":"tools/call","params":{{"name":"{name}"}}}}"#);
    let (add, delete) = (call("add"), call("delete"));
    for (body, goes) in [
        (format!("[{add},{PING}]"), true),
        (format!("[{delete}]"), false),
        (format!("[{add},{delete}]"), false),
        (format!("[{delete},{add}]"), false),
        (format!("[{},{delete}]", vec![add.clone(); 99].join(",")), false),
    ] {
        match post(&mut gate(&config), &[JSON], body.as_bytes()) {
            Verdict::Forward(_) => assert!(goes, "{body}"),
            Verdict::Reply(reply) => {
                assert_eq!((reply.refusal(), goes), (Some(&Refusal::Denied { rule: Some(0) }), false), "{body}");
                assert!(!String::from_utf8_lossy(reply.body()).contains("\"id\""), "{body}: {reply:?}");
            }
            other => panic!("{body}: {other:?}"),
        }
    }
}
