//! Batches (MCP 2025-03-26): refused unless the operator allows them, and then judged one by one.

use mcp_oauth::{message::MessageError, refusal::Refusal};
use serde_json::{Value, json};

use super::{call, denied, judged, lacking, post, request, ruled};
use crate::support::{Row, accepted, check, gate, good_token, outcome, refused};

fn config(batches: bool) -> Value {
    ruled(&json!({
        "rules": [
            { "tools": ["no"], "deny": true },
            { "tools": ["x"], "scopes": ["x"] },
            { "tools": ["y"], "scopes": ["y"] },
            { "tools": ["z"], "any_of": ["w", "y"] },
        ],
        "body": { "batches": batches },
    }))
}

fn batch(messages: &[String]) -> String {
    format!("[{}]", messages.join(","))
}

fn ping() -> String {
    request("ping", &json!({}))
}

fn refused_batch() -> Refusal {
    Refusal::Message(MessageError::Batch)
}

#[test]
fn every_message_of_a_batch_is_judged() {
    let config = config(true);
    let sampled = json!({ "jsonrpc": "2.0", "id": 1, "result": {} }).to_string();
    let lacking = |needed: &str| lacking("mcp:read mcp:write", needed);
    let rows: Vec<Row<String>> = vec![
        accepted("5.2 step 4: all allowed", batch(&[call("a"), ping(), sampled.clone(), call("b")])),
        accepted("5.2 step 4: one is an array still", batch(&[call("a")])),
        refused("5.2 step 4: the first is denied", batch(&[call("no"), ping()]), denied(0)),
        refused("5.2 step 4: the last is denied", batch(&[ping(), sampled.clone(), call("no")]), denied(0)),
        refused("5.2 step 4: one in the middle is denied", batch(&[ping(), call("no"), sampled]), denied(0)),
        refused("one lacks a scope", batch(&[ping(), call("x")]), lacking("mcp:read x")),
        refused("two lack scopes: one challenge has all", batch(&[call("y"), call("x")]), lacking("mcp:read x y")),
        refused("any of is what others need anyway", batch(&[call("z"), call("y")]), lacking("mcp:read y")),
        refused("an empty batch", "[]".to_owned(), Refusal::Message(MessageError::BatchLength(0))),
        refused("a batch in a batch", format!("[[{}]]", call("a")), Refusal::Message(MessageError::NoMessage)),
    ];
    check(rows, |body| judged(&config, body));
}

#[test]
fn batches_are_refused_unless_they_are_allowed() {
    let off = ruled(&json!({ "rules": [{ "tools": ["no"], "deny": true }] }));
    let rows: Vec<Row<(Value, String)>> = vec![
        accepted("allowed", (config(true), batch(&[ping()]))),
        refused("not allowed", (config(false), batch(&[ping()])), refused_batch()),
        refused("not mentioned", (off, batch(&[ping()])), refused_batch()),
        accepted("a message alone", (config(false), ping())),
    ];
    check(rows, |(config, body)| judged(config, body));
}

/// 5.2 step 4: an array is never valid from 2025-06-18 on.
#[test]
fn a_version_without_batches_excludes_them() {
    let rows: Vec<Row<Option<&str>>> = vec![
        accepted("no version", None),
        accepted("2024-11-05", Some("2024-11-05")),
        accepted("2025-03-26", Some("2025-03-26")),
        accepted("2025-03-26 with spaces around it", Some(" 2025-03-26 ")),
        refused("no date", Some("draft"), refused_batch()),
        refused("2025-06-18", Some("2025-06-18"), refused_batch()),
        refused("2025-11-25", Some("2025-11-25"), refused_batch()),
        refused("2025-03-27", Some("2025-03-27"), refused_batch()),
        refused("2026-07-28", Some("2026-07-28"), refused_batch()),
        refused("a later one", Some("2031-01-01"), refused_batch()),
    ];
    check(rows, |version| {
        let more: Vec<(&str, &str)> = version.map(|version| ("mcp-protocol-version", version)).into_iter().collect();
        outcome(post(&mut gate(&config(true)), &good_token(), &more, &batch(&[ping()])))
    });
}
