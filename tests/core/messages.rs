//! What is read out of a body, and when a body and the headers around it are refused (MCP base protocol, Streamable HTTP).

mod against_serde_json;
mod batches;
mod compared_names;
mod contradictions;
mod header_checks;
mod kinds;
mod media;
mod oracle;
mod strict_json;
mod strict_texts;
mod targets;
mod variants;

use std::sync::LazyLock;

use mcp_oauth::{
    gate::{Gate, Verdict},
    json::JsonError,
    message::{MessageError, Target, read},
    refusal::Refusal,
};
use serde_json::{Value, json};

use crate::support::{Row, accepted, ask, check, good_token, head, inline_config, put, refused};

static AUTHORIZATION: LazyLock<String> = LazyLock::new(|| format!("Bearer {}", good_token()));

/// A configuration that needs bodies, because it has rules.
fn config() -> Value {
    let rules = json!([{ "tools": ["add"], "scopes": ["mcp:read"] }]);
    put(put(inline_config(), "/resources/0/rules", rules), "/hold_requests", json!("headers"))
}

/// Sends a POST with the good token, these header lines, and this body if it is asked for.
fn post(gate: &mut Gate, lines: &[(&str, &str)], body: &[u8]) -> Verdict {
    let lines = [&[("authorization", AUTHORIZATION.as_str())], lines].concat();
    match ask(gate, &head("/mcp", &lines)) {
        Verdict::ReadBody(pending) => pending.judge(body),
        other => other,
    }
}

const JSON: (&str, &str) = ("content-type", "application/json");

fn good(name: impl Into<String>, body: impl Into<Vec<u8>>) -> Row<Vec<u8>> {
    accepted(name, body.into())
}

fn bad(name: impl Into<String>, body: impl Into<Vec<u8>>, error: MessageError) -> Row<Vec<u8>> {
    refused(name, body.into(), Refusal::Message(error))
}

/// A body that is no JSON from the end of `before` on.
fn broken(name: impl Into<String>, before: impl AsRef<[u8]>, after: impl AsRef<[u8]>) -> Row<Vec<u8>> {
    let (before, after) = (before.as_ref(), after.as_ref());
    bad(name, [before, after].concat(), syntax(1, before.len() + 1))
}

fn syntax(line: usize, column: usize) -> MessageError {
    MessageError::Json(JsonError::Syntax { line, column })
}

fn duplicate(line: usize, column: usize) -> MessageError {
    MessageError::Json(JsonError::Duplicate { line, column })
}

/// [`check`] for bodies that must be one message.
#[track_caller]
fn check_bodies(rows: Vec<Row<Vec<u8>>>) {
    check(rows, |body| read(body, false).map(drop).map_err(Refusal::Message));
}

/// The targets of a message that must be accepted.
#[track_caller]
fn targets(body: &str) -> Vec<Target<'_>> {
    let messages = read(body.as_bytes(), false).unwrap_or_else(|error| panic!("{body}: {error}"));
    assert!(!messages.is_batch, "{body}");
    let [message] = <[_; 1]>::try_from(messages.list).expect("one message");
    message.targets
}

/// These bytes as hexadecimal, for names of rows.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ")
}
