//! Lists on their way to the client, as JSON and as event streams. The first byte chooses the list and the revision, the
//! second how the stream is cut; the rest is what the upstream sends.

#![no_main]

mod common;

use common::{
    line, oracle, post, strict,
    support::{NOW, gate, good_token, inline_config, put},
};
use mcp_oauth::{event_stream::ListEvents, gate::Verdict, list_filter::MAX_LIST_BYTES, response::ResponseGuard};
use serde_json::{Value, json};

/// Method, the member of the result that holds the items, the member that names an item.
const LISTS: [(&str, &str, &str); 3] =
    [("tools/list", "tools", "name"), ("prompts/list", "prompts", "name"), ("resources/list", "resources", "uri")];

const ERROR: &str = "\"the list cannot be filtered\"";

/// One guard for each list, before and since 2026-07-28.
fn guards() -> Vec<ResponseGuard> {
    let rules = json!([
        { "tools": ["no*"], "deny": true },
        { "tools": ["wide"], "scopes": ["wide"] },
        { "prompts": ["no*"], "deny": true },
        { "resources": ["x://no/*"], "deny": true },
    ]);
    let config = put(inline_config(), "/hold_requests", json!("headers"));
    let config = put(config, "/resources/0/rules", rules);
    let mut gate = gate(&put(config, "/resources/0/filter_lists", json!(true)));
    let mut guards = Vec::new();
    for (method, ..) in LISTS {
        for is_modern in [false, true] {
            let mut lines = post(format!("Bearer {}", good_token()));
            let modern = [line("mcp-protocol-version", "2026-07-28"), line("mcp-method", method)];
            lines.extend(modern.into_iter().filter(|_| is_modern));
            let body = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\",\"params\":{{}}}}");
            let Verdict::ReadBody(pending) = common::ask(&mut gate, 1, &lines, NOW) else { panic!("not read") };
            let Verdict::Forward(forward) = pending.judge(body.as_bytes()) else { panic!("not forwarded") };
            guards.push(forward.into_response_guard());
        }
    }
    guards
}

thread_local!(static GUARDS: Vec<ResponseGuard> = guards());

/// Whether the rules of [`guards`] let the caller use an item; `None` where the target `message` knows better.
fn may_use(item: &Value, key: &str) -> Option<bool> {
    let Some(name) = item.get(key).and_then(Value::as_str) else { return Some(false) };
    match key {
        "name" => Some(!name.starts_with("no") && name != "wide"),
        _ if name.starts_with("x://no/") => Some(false),
        _ => None,
    }
}

/// What the caller may see of an answer, or nothing if that is left open.
fn expected(mut document: Value, items: &str, key: &str, is_modern: bool) -> Option<Value> {
    let Some(result) = document.get_mut("result").and_then(Value::as_object_mut) else { return Some(document) };
    if let Some(list) = result.get_mut(items).and_then(Value::as_array_mut) {
        let known: Option<Vec<bool>> = list
            .iter()
            .map(|item| {
                // Prompts know no tool `wide`.
                if items == "prompts" {
                    may_use(item, key).map(|may| may || item[key] == "wide")
                } else {
                    may_use(item, key)
                }
            })
            .collect();
        let mut known = known?.into_iter();
        list.retain(|_| known.next() == Some(true));
        if is_modern {
            result.insert("cacheScope".to_owned(), json!("private"));
        }
    }
    if let Some(scope) = result.get_mut("cacheScope") {
        *scope = json!("private");
    }
    Some(document)
}

fn check_json(guard: &ResponseGuard, body: &[u8], (items, key): (&str, &str), is_modern: bool) {
    let shown = guard.filter_list(body).expect("a list");
    let read = strict(body).filter(Value::is_object);
    let after = strict(&shown).unwrap_or_else(|| panic!("no JSON is left: {}", shown.escape_ascii()));
    let Some(read) = read else {
        assert_eq!(after["error"]["code"], -32603, "shown unread: {}", shown.escape_ascii());
        return;
    };
    let hidden = after["result"][items]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|item| may_use(item, key) == Some(false) && !(items == "prompts" && item[key] == "wide"));
    assert_eq!(hidden.count(), 0, "shown: {}", shown.escape_ascii());
    // Numbers that no `f64` holds are compared as what `strict` makes of them.
    if let Some(expected) = expected(read, items, key, is_modern) {
        assert_eq!(after, expected, "{}", shown.escape_ascii());
    }
    assert_eq!(guard.filter_list(&shown).as_deref(), Some(&*shown), "filtered twice");
    assert!(oracle::colons(&shown) <= oracle::colons(body) + 1);
}

/// The data of each event, read as the HTML standard says. What the end cuts off counts as an event, as it does for the filter.
fn events(stream: &[u8]) -> Vec<Vec<u8>> {
    let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let mut text: Vec<u8> = Vec::with_capacity(stream.len());
    for (at, byte) in stream.iter().enumerate() {
        match byte {
            b'\n' if at > 0 && stream[at - 1] == b'\r' => {}
            b'\r' => text.push(b'\n'),
            byte => text.push(*byte),
        }
    }
    let (mut events, mut data) = (Vec::new(), None::<Vec<u8>>);
    for line in text.split(|byte| *byte == b'\n') {
        if line.is_empty() {
            events.extend(data.take());
            continue;
        }
        let (name, value) = line.split_at(line.iter().position(|byte| *byte == b':').unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or(value);
        if name == b"data" {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            data = Some(data.map_or_else(|| value.to_vec(), |data| [&*data, b"\n", value].concat()));
        }
    }
    events.extend(data);
    events.retain(|data| !data.is_empty());
    events
}

/// All that comes out of these pieces.
fn push(mut filter: ListEvents, pieces: &[&[u8]]) -> Vec<u8> {
    let mut shown = Vec::new();
    for piece in pieces {
        shown.extend(filter.push(piece, false));
    }
    shown.extend(filter.push(b"", true));
    shown
}

fn check_stream(guard: &ResponseGuard, stream: &[u8], cut: usize) {
    assert!(stream.len() < MAX_LIST_BYTES);
    let filter = || guard.clone().into_list_events().expect("a list");
    let shown = push(filter(), &[stream]);
    let (first, second) = stream.split_at(cut.min(stream.len()));
    assert_eq!(push(filter(), &[first, second]), shown, "cut at {cut}");
    let pieces: Vec<&[u8]> = stream.chunks(cut % 7 + 1).collect();
    assert_eq!(push(filter(), &pieces), shown, "in pieces of {}", cut % 7 + 1);
    // An event comes out as its data would by itself; after one that cannot be read there is nothing but the error.
    let mut seen = events(&shown).into_iter();
    for data in events(stream) {
        let alone = guard.filter_list(&data).expect("a list");
        let seen = seen.next().unwrap_or_else(|| panic!("an event is lost: {}", data.escape_ascii()));
        let is_error = common::find(&alone, ERROR.as_bytes()) && !common::find(&data, ERROR.as_bytes());
        // Where a line end was hidden, two lines became one.
        let joined = |text: &[u8]| text.iter().filter(|byte| **byte != b'\n').copied().collect::<Vec<_>>();
        assert_eq!(joined(&seen), joined(&alone), "{}", shown.escape_ascii());
        if is_error {
            break;
        }
    }
    assert_eq!(seen.next(), None, "an event from nowhere: {}", shown.escape_ascii());
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [which, cut, sent @ ..] = data else { return };
    let (list, is_modern) = (usize::from(which >> 1) % LISTS.len(), which & 1 == 1);
    let (_, items, key) = LISTS[list];
    GUARDS.with(|guards| {
        let guard = &guards[2 * list + usize::from(is_modern)];
        check_json(guard, sent, (items, key), is_modern);
        check_stream(guard, sent, usize::from(*cut));
    });
});
