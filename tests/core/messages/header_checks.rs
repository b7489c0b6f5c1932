//! `Mcp-Method`, `Mcp-Name` and `MCP-Protocol-Version` against the body (MCP 2026-07-28, Standard Request Headers, Value
//! Encoding, Server Validation): headers are never what decides, but they must not contradict it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mcp_oauth::{
    message::HeaderMismatch::{self, Differs, Doubled, Malformed, Missing},
    refusal::Refusal,
};
use serde_json::json;

use super::{JSON, config, post};
use crate::support::{Row, accepted, check, gate, outcome, refused};

type Lines = Vec<(&'static str, String)>;
type Question = (Lines, String);

pub(super) const METHOD: &str = "Mcp-Method";
pub(super) const NAME: &str = "Mcp-Name";
pub(super) const VERSION: &str = "MCP-Protocol-Version";
pub(super) const MODERN: &str = "2026-07-28";

fn lines(lines: &[(&'static str, &str)]) -> Lines {
    lines.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

/// A body without a version: up to MCP 2025-11-25.
fn legacy(method: &str, params: &str) -> String {
    format!(r#"{{"id":1,"method":"{method}","params":{{{params}}}}}"#)
}

/// A body that says that it is of MCP 2026-07-28.
fn modern(method: &str, params: &str) -> String {
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
    let params = if params.is_empty() { meta.to_owned() } else { format!("{params},{meta}") };
    legacy(method, &params)
}

fn call(name: &str) -> String {
    modern("tools/call", &format!(r#""name":{}"#, json!(name)))
}

fn fits(name: impl Into<String>, header: &[(&'static str, &str)], body: impl Into<String>) -> Row<Question> {
    accepted(name, (lines(header), body.into()))
}

fn differs(
    name: impl Into<String>,
    header: &[(&'static str, &str)],
    body: impl Into<String>,
    mismatch: HeaderMismatch,
) -> Row<Question> {
    refused(name, (lines(header), body.into()), Refusal::HeaderMismatch(mismatch))
}

#[track_caller]
fn check_questions(rows: Vec<Row<Question>>) {
    check(rows, |(lines, body)| {
        let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_str())).chain([JSON]).collect();
        outcome(post(&mut gate(&config()), &lines, body.as_bytes()))
    });
}

const ALL: [(&str, &str); 3] = [(METHOD, "tools/call"), (NAME, "add"), (VERSION, MODERN)];

/// [`ALL`] with another value for one of the three, or without it.
fn all_but(name: &'static str, value: Option<&'static str>) -> Vec<(&'static str, &'static str)> {
    let mut all: Vec<_> = ALL.into_iter().filter(|(other, _)| *other != name).collect();
    all.extend(value.map(|value| (name, value)));
    all
}

#[test]
fn a_modern_request_repeats_what_it_is_in_its_headers() {
    let body = call("add");
    let without = |name| all_but(name, None);
    let with = |name, value| all_but(name, Some(value));
    let no_meta = legacy("tools/call", r#""name":"add""#);
    check_questions(vec![
        fits("Standard Request Headers: all", &ALL, &*body),
        fits("RFC 9110 5.1: names in another case", &ALL.map(|(name, value)| (upper(name), value)), &*body),
        differs("Server Validation: no method", &without(METHOD), &*body, Missing(METHOD)),
        differs("Server Validation: no name", &without(NAME), &*body, Missing(NAME)),
        differs("Protocol Version Header: no version", &without(VERSION), &*body, Missing(VERSION)),
        differs("Server Validation: none at all", &[], &*body, Missing(METHOD)),
        differs("Server Validation: another method", &with(METHOD, "tools/list"), &*body, Differs(METHOD)),
        differs("Server Validation: method in another case", &with(METHOD, "Tools/Call"), &*body, Differs(METHOD)),
        differs("Server Validation: an empty method", &with(METHOD, ""), &*body, Differs(METHOD)),
        differs(
            "Server Validation: two methods in a line",
            &with(METHOD, "tools/call, tools/call"),
            &*body,
            Differs(METHOD),
        ),
        differs("Server Validation: another name", &with(NAME, "delete"), &*body, Differs(NAME)),
        differs("Server Validation: name in another case", &with(NAME, "Add"), &*body, Differs(NAME)),
        differs("Server Validation: the start of the name", &with(NAME, "ad"), &*body, Differs(NAME)),
        differs("Server Validation: an empty name", &with(NAME, ""), &*body, Differs(NAME)),
        differs("Server Validation: a name in quotes", &with(NAME, "\"add\""), &*body, Differs(NAME)),
        differs("Protocol Version Header: another version", &with(VERSION, "2025-11-25"), &*body, Differs(VERSION)),
        differs("Protocol Version Header: a later one", &with(VERSION, "2027-01-01"), &*body, Differs(VERSION)),
        differs("Protocol Version Header: empty", &with(VERSION, ""), &*body, Differs(VERSION)),
        fits("5.2 item 7: modern by its header", &ALL, &*no_meta),
        differs("5.2 item 7: modern by its header, no method", &without(METHOD), &*no_meta, Missing(METHOD)),
        differs("5.2 item 7: modern by its header, no name", &without(NAME), &*no_meta, Missing(NAME)),
        fits("5.7: a version to come", &with(VERSION, "2027-01-01"), &*no_meta),
        differs(
            "5.7: a version to come, no name",
            &[(METHOD, "tools/call"), (VERSION, "2027-01-01")],
            &*no_meta,
            Missing(NAME),
        ),
    ]);
}

fn upper(name: &'static str) -> &'static str {
    match name {
        METHOD => "MCP-METHOD",
        NAME => "mcp-name",
        _ => "mcp-Protocol-VERSION",
    }
}

#[test]
fn the_name_is_that_of_the_methods_target() {
    let named = [
        ("tools/call", r#""name":"a","uri":"b","taskId":"c""#, "a"),
        ("prompts/get", r#""name":"a","uri":"b","taskId":"c""#, "a"),
        ("resources/read", r#""name":"a","uri":"b","taskId":"c""#, "b"),
        ("tasks/get", r#""name":"a","uri":"b","taskId":"c""#, "c"),
        ("tasks/update", r#""name":"a","uri":"b","taskId":"c""#, "c"),
        ("tasks/cancel", r#""name":"a","uri":"b","taskId":"c""#, "c"),
    ];
    let mut rows = Vec::new();
    for (method, params, name) in named {
        let body = modern(method, params);
        let header = [(METHOD, method), (VERSION, MODERN)];
        rows.push(fits(format!("B6: {method}"), &[&header[..], &[(NAME, name)]].concat(), &*body));
        rows.push(differs(format!("B6: {method} without a name"), &header, &*body, Missing(NAME)));
        for other in ["a", "b", "c"].into_iter().filter(|other| *other != name) {
            let header = [&header[..], &[(NAME, other)]].concat();
            rows.push(differs(format!("B6: {method} with the name {other}"), &header, &*body, Differs(NAME)));
        }
    }
    for (method, params) in [
        ("tools/list", ""),
        ("server/discover", ""),
        ("completion/complete", r#""ref":{"name":"a"}"#),
        ("subscriptions/listen", r#""notifications":{"resourceSubscriptions":["a"]}"#),
        ("extension/x", r#""name":"a""#),
    ] {
        rows.push(fits(
            format!("B6: {method} has no name"),
            &[(METHOD, method), (VERSION, MODERN)],
            modern(method, params),
        ));
        if params.contains("\"a\"") && method != "extension/x" {
            let header = |name: &'static str| [(METHOD, method), (VERSION, MODERN), (NAME, name)];
            rows.push(fits(format!("{method}: the name is the target"), &header("a"), modern(method, params)));
            let body = modern(method, params);
            rows.push(differs(format!("{method}: the name is no target"), &header("b"), body, Differs(NAME)));
        }
        let another = [(METHOD, "ping"), (VERSION, MODERN)];
        rows.push(differs(format!("B6: {method} has a method"), &another, modern(method, params), Differs(METHOD)));
    }
    check_questions(rows);
}

#[test]
fn an_older_request_needs_no_headers_and_must_not_contradict_them() {
    let body = legacy("tools/call", r#""name":"add""#);
    let mut rows = vec![
        fits("MCP 2025-03-26: no headers", &[], &*body),
        fits("Server Validation: all three fit", &ALL, &*body),
        fits("5.2 item 7: only the method", &[(METHOD, "tools/call")], &*body),
        fits("5.2 item 7: only the name", &[(NAME, "add")], &*body),
        differs("5.2 item 7: another method, no version", &[(METHOD, "tools/list")], &*body, Differs(METHOD)),
        differs("5.2 item 7: another name, no version", &[(NAME, "delete")], &*body, Differs(NAME)),
        differs("5.2 item 7: another method in a notification", &[(METHOD, "a")], r#"{"method":"b"}"#, Differs(METHOD)),
        differs("5.2 item 7: a method and a response", &[(METHOD, "a")], r#"{"id":1,"result":{}}"#, Differs(METHOD)),
        fits("B20: a notification of a modern client", &[(VERSION, MODERN)], r#"{"method":"notifications/cancelled"}"#),
        differs("B20: but no contradiction", &[(VERSION, MODERN), (METHOD, "a")], r#"{"method":"b"}"#, Differs(METHOD)),
        fits("no date, so not later", &[(VERSION, "draft")], &*body),
        fits("a day before", &[(VERSION, "2026-07-27")], &*body),
        fits("no date, although longer", &[(VERSION, "2026-07-28x")], &*body),
        fits("no date, of its length", &[(VERSION, "2026/07/28")], &*body),
        fits("no date, although of digits", &[(VERSION, "2026-07-28-1")], &*body),
        fits("no date, too short", &[(VERSION, "2027")], &*body),
        differs("the day itself", &[(VERSION, MODERN)], &*body, Missing(METHOD)),
        differs("a day after", &[(VERSION, "2026-07-29")], &*body, Missing(METHOD)),
        differs("far away", &[(VERSION, "9999-12-31")], &*body, Missing(METHOD)),
    ];
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        rows.push(fits(format!("MCP {version}: it is enough"), &[(VERSION, version)], &*body));
        let header = [(VERSION, version), (METHOD, "tools/list")];
        rows.push(differs(format!("MCP {version}: another method"), &header, &*body, Differs(METHOD)));
        let header = [(VERSION, version), (NAME, "delete")];
        rows.push(differs(format!("MCP {version}: another name"), &header, &*body, Differs(NAME)));
    }
    check_questions(rows);
}

#[test]
fn a_header_comes_once_and_is_visible_ascii() {
    let body = legacy("tools/call", r#""name":"add""#);
    let mut rows = Vec::new();
    for (header, value) in ALL {
        let again: Vec<_> = ALL.into_iter().chain([(header, value)]).collect();
        rows.push(differs(format!("5.2 item 7: {header} twice alike"), &again, &*body, Doubled(header)));
        let another: Vec<_> = ALL.into_iter().chain([(header, "x")]).collect();
        rows.push(differs(format!("5.2 item 7: {header} twice"), &another, &*body, Doubled(header)));
        let empty: Vec<_> = ALL.into_iter().chain([(upper(header), "")]).collect();
        rows.push(differs(format!("5.2 item 7: {header} and an empty one"), &empty, &*body, Doubled(header)));
        let with = |value: String| {
            let mut all = lines(&all_but(header, None));
            all.push((header, value));
            (all, body.clone())
        };
        for (name, value) in [("spaces around it", format!("  {value} ")), ("tabs around it", format!("\t{value} \t"))]
        {
            rows.push(accepted(format!("RFC 9110 5.5: {header}, {name}"), with(value)));
        }
        for odd in ["\u{0}", "\n", "\r", "\x0B", "\x1F", "\x7F", "é", "\u{A0}", "\u{85}"] {
            for value in [format!("{value}{odd}"), format!("{odd}{value}")] {
                let name = format!("Value Encoding: {header}: {}", value.escape_debug());
                rows.push(refused(name, with(value), Refusal::HeaderMismatch(Malformed(header))));
            }
        }
    }
    check_questions(rows);
}

/// Value Encoding, and the conformance table of SEP-2243.
#[test]
fn a_name_may_be_written_in_base64() {
    let encoded = |text: &[u8]| format!("=?base64?{}?=", STANDARD.encode(text));
    let row =
        |header: &str, name: &str| (lines(&[(METHOD, "tools/call"), (VERSION, MODERN), (NAME, header)]), call(name));
    let same = |header: &str, name: &str| accepted(format!("Value Encoding: {header} is {name}"), row(header, name));
    let differs = |header: &str, name: &str| {
        refused(
            format!("Value Encoding: {header} is not {name}"),
            row(header, name),
            Refusal::HeaderMismatch(Differs(NAME)),
        )
    };
    let malformed = |header: &str| {
        refused(format!("Value Encoding: {header}"), row(header, "add"), Refusal::HeaderMismatch(Malformed(NAME)))
    };
    let mut rows = Vec::new();
    for name in ["add", "a", "ab", "é", "日本語", "😀", " add ", "add\u{A0}", "", "=?base64?YWRk?=", "a,b", ">>>???~~~"]
    {
        rows.push(same(&encoded(name.as_bytes()), name));
        rows.push(differs(&encoded(name.as_bytes()), "other"));
    }
    rows.extend([
        same("=?base64?YWRk?=", "add"),
        same("  =?base64?YWRk?=\t", "add"),
        // No normalization: one letter, or a letter and an accent.
        differs(&encoded("é".as_bytes()), "e\u{301}"),
        differs(&encoded(b"Add"), "add"),
        differs(&encoded(b"add "), "add"),
        // Literal: the mark in another case, or without its end or its start.
        same("=?BASE64?YWRk?=", "=?BASE64?YWRk?="),
        same("=?Base64?YWRk?=", "=?Base64?YWRk?="),
        same("=?base64?YWRk", "=?base64?YWRk"),
        same("=?base64?YWRk=", "=?base64?YWRk="),
        same("base64?YWRk?=", "base64?YWRk?="),
        same("=?utf-8?B?YWRk?=", "=?utf-8?B?YWRk?="),
        same("x=?base64?YWRk?=", "x=?base64?YWRk?="),
        same("=?base64?YWRk?=x", "=?base64?YWRk?=x"),
        same("=?base64?=", "=?base64?="),
        differs("=?BASE64?YWRk?=", "add"),
        differs("=?base64?YWRk", "add"),
        differs("YWRk", "add"),
        malformed("=?base64?YWR?="),
        malformed("=?base64?YW?="),
        malformed("=?base64?Y?="),
        malformed("=?base64?YWQ?="),
        malformed("=?base64?YWRk=?="),
        malformed("=?base64?YWRk====?="),
        malformed("=?base64?YW Rk?="),
        malformed("=?base64? YWRk?="),
        malformed("=?base64?YW-_?="),
        malformed("=?base64?YWRk??="),
        malformed("=?base64?=YWRk?="),
        // A bit that should be zero.
        malformed("=?base64?YWF=?="),
        malformed("=?base64?%59WRk?="),
        malformed(&encoded(b"\xFF")),
        malformed(&encoded(b"caf\xE9")),
        malformed(&encoded(b"\xC0\x80")),
        malformed(&encoded(b"\xED\xA0\x80")),
    ]);
    check_questions(rows);
}

/// Only names are encoded.
#[test]
fn a_method_and_a_version_are_literal() {
    let encoded = |text: &str| format!("=?base64?{}?=", STANDARD.encode(text));
    let body = call("add");
    let with = |header: &'static str, value: String| {
        let mut all = lines(&all_but(header, None));
        all.push((header, value));
        (all, body.clone())
    };
    let differs = |header, value| refused(header, with(header, value), Refusal::HeaderMismatch(Differs(header)));
    check_questions(vec![
        fits("Value Encoding: plain", &ALL, &*body),
        accepted("Value Encoding: a name", with(NAME, encoded("add"))),
        differs(METHOD, encoded("tools/call")),
        differs(VERSION, encoded(MODERN)),
    ]);
}
