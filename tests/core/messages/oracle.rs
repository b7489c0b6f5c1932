//! What `serde_json` makes of a body, for comparison with what is read of it. The fuzz target has the same.

use mcp_oauth::{
    json::JsonError,
    message::{self, Kind, Message, MessageError, Target},
};
use serde_json::Value;

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// Reads a body in both ways: whether it is accepted, or how the two contradict each other.
pub(crate) fn compare(body: &[u8], batches: bool) -> Result<bool, String> {
    let tamed = tame(body);
    let document = serde_json::from_slice::<Value>(&tamed);
    match (message::read(body, batches), document) {
        (Ok(_), Err(error)) => Err(format!("accepted, but serde_json says: {error}")),
        (Ok(messages), Ok(document)) => {
            let items = match &document {
                Value::Array(items) if messages.is_batch && batches => items.as_slice(),
                Value::Object(_) if !messages.is_batch => core::slice::from_ref(&document),
                other => return Err(format!("accepted as {messages:?}, but it is {other}")),
            };
            if items.len() != messages.list.len() || !(1..=message::MAX_BATCH).contains(&items.len()) {
                return Err(format!("{} messages of {}", messages.list.len(), items.len()));
            }
            // Names that serde_json found to be duplicates are missing in what it made.
            let (written, found) = (colons(body), members(&document));
            if written != found {
                return Err(format!("{written} members written, {found} different ones"));
            }
            messages.list.iter().zip(items).try_for_each(|(message, item)| agree(message, item))?;
            Ok(true)
        }
        (Err(MessageError::Json(JsonError::Syntax { .. })), Ok(document)) => {
            Err(format!("refused as no JSON, but serde_json reads {document}"))
        }
        (Err(MessageError::Json(JsonError::NotAnObject)), _) => Err("a body need not be an object".to_owned()),
        (Err(MessageError::Json(_)), Err(_)) => Ok(false),
        (Err(MessageError::Json(JsonError::Duplicate { line, column })), Ok(document)) => {
            let (written, found) = (colons(body), members(&document));
            if written > found { Ok(false) } else { Err(format!("what stands at {line}, {column} is no duplicate")) }
        }
        (Err(error), Err(syntax)) => Err(format!("read as far as `{error}`, but serde_json says: {syntax}")),
        (Err(_), Ok(_)) => Ok(false),
    }
}

/// Compares one message with the same as a document.
fn agree(message: &Message<'_>, document: &Value) -> Result<(), String> {
    let found = (kind(document), document["method"].as_str().unwrap_or_default(), targets(document));
    let targets = message.targets.iter().map(|target| (letter(target), target.as_str())).collect::<Vec<_>>();
    let read = (Some(message.kind), &*message.method, targets);
    if read != found {
        return Err(format!("{read:?}, but serde_json reads {found:?}"));
    }
    let id = message.id.map(|id| serde_json::from_slice::<Value>(&tame(id.as_bytes())));
    let id = id.transpose().map_err(|error| format!("the id {:?}: {error}", message.id))?;
    let own = document.get("id").filter(|id| !id.is_null());
    if id.as_ref() != own || own.is_some_and(|id| !id.is_string() && !id.is_number()) {
        return Err(format!("the id {id:?}, but serde_json reads {own:?}"));
    }
    let version = (message.kind != Kind::Response).then(|| document["params"]["_meta"][VERSION].as_str()).flatten();
    if message.protocol_version.as_deref() != version {
        return Err(format!("the version {:?}, but serde_json reads {version:?}", message.protocol_version));
    }
    let compared = message.targets.iter().map(Target::as_str).chain([&*message.method]).chain(version);
    if let Some(text) = { compared }.find(|text| text.chars().any(char::is_control)) {
        return Err(format!("{text:?} has control characters"));
    }
    let params = &document["params"];
    let known: [(&Value, &[&str]); 5] = [
        (document, &["jsonrpc", "id", "method", "params", "result", "error"]),
        (params, &["name", "uri", "taskId", "ref", "notifications", "_meta", "arguments"]),
        (&params["ref"], &["type", "name", "uri"]),
        (&params["notifications"], &["resourceSubscriptions"]),
        (&params["_meta"], &[VERSION]),
    ];
    for (value, names) in known {
        for name in value.as_object().into_iter().flat_map(|members| members.keys()) {
            if names.iter().any(|known| plain(known) == plain(name) && known != name) {
                return Err(format!("{name:?} is a variant"));
            }
        }
    }
    Ok(())
}

/// A name without what some readers ignore: case, and marks between its words.
fn plain(name: &str) -> String {
    const MARKS: [char; 4] = ['_', '-', '.', '/'];
    let words = name.trim_matches(MARKS);
    let joined = name.replacen(words, &words.replace(MARKS, ""), 1);
    joined.replace('\u{17F}', "s").replace('\u{212A}', "k").to_ascii_lowercase()
}

fn kind(document: &Value) -> Option<Kind> {
    let has = |name| document.get(name).is_some();
    match (has("method"), has("id"), has("result") || has("error")) {
        (true, true, false) => Some(Kind::Request),
        (true, false, false) => Some(Kind::Notification),
        (false, id, true) if !(has("result") && has("error")) && (id || has("error")) => Some(Kind::Response),
        _ => None,
    }
}

/// Table 5.3: what the method is applied to. What should be a text is one, or an accepted message differs.
fn targets(document: &Value) -> Vec<(char, &str)> {
    let params = &document["params"];
    let (prompt, uri) = (&params["ref"]["name"], &params["ref"]["uri"]);
    let if_there = |letter, name| params.get(name).map(|value| (letter, value)).into_iter().collect();
    let found: Vec<(char, &Value)> = match document["method"].as_str().unwrap_or_default() {
        "tools/call" => vec![('t', &params["name"])],
        "prompts/get" => vec![('p', &params["name"])],
        "resources/read" => vec![('r', &params["uri"])],
        "resources/subscribe" | "resources/unsubscribe" => if_there('r', "uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" | "tasks/result" => if_there('k', "taskId"),
        "completion/complete" => {
            let both = [('p', prompt), ('r', uri)].into_iter();
            both.filter(|(_, value)| !value.is_null()).collect()
        }
        "subscriptions/listen" => {
            let list = params["notifications"]["resourceSubscriptions"].as_array();
            list.into_iter().flatten().map(|uri| ('r', uri)).collect()
        }
        _ => Vec::new(),
    };
    found.into_iter().map(|(letter, value)| (letter, value.as_str().unwrap_or("(no text)"))).collect()
}

fn letter(target: &Target<'_>) -> char {
    match target {
        Target::Tool(_) => 't',
        Target::Prompt(_) => 'p',
        Target::Resource(_) => 'r',
        Target::Task(_) => 'k',
    }
}

pub(crate) fn members(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(members).sum(),
        Value::Object(object) => object.len() + object.values().map(members).sum::<usize>(),
        _ => 0,
    }
}

/// How many colons stand outside of texts.
pub(crate) fn colons(body: &[u8]) -> usize {
    let mut colons = 0;
    outside_of_texts(body, |run| colons += run.iter().filter(|byte| **byte == b':').count());
    colons
}

/// Calls `see` with all that is between texts, and returns the texts, quotes included, with what `see` was given between.
fn outside_of_texts<'b>(body: &'b [u8], mut see: impl FnMut(&'b [u8])) -> Vec<&'b [u8]> {
    let mut parts = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (outside, text) = rest.split_at(rest.iter().position(|byte| *byte == b'"').unwrap_or(rest.len()));
        see(outside);
        let mut end = usize::from(!text.is_empty());
        while let Some(byte) = text.get(end) {
            end += if *byte == b'\\' { 2 } else { 1 };
            if *byte == b'"' {
                break;
            }
        }
        let (text, after) = text.split_at(end.min(text.len()));
        parts.extend([outside, text]);
        rest = after;
    }
    parts
}

/// The same with smaller numbers: JSON has no largest one (RFC 8259 section 6), but `serde_json` refuses what is no `f64`.
/// Whether a text is a number at all does not change.
pub(crate) fn tame(body: &[u8]) -> Vec<u8> {
    let mut tamed = Vec::with_capacity(body.len());
    for part in outside_of_texts(body, |_| ()) {
        if part.starts_with(b"\"") {
            tamed.extend_from_slice(part);
            continue;
        }
        let is_of_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
        for token in part.chunk_by(|one, next| is_of_number(one) == is_of_number(next)) {
            let number = str::from_utf8(token).ok().and_then(|token| token.parse::<f64>().ok());
            if number.is_none_or(f64::is_finite) {
                tamed.extend_from_slice(token);
                continue;
            }
            // Two digits of each run are enough for what the grammar asks: one, and whether one follows a zero.
            for run in token.chunk_by(|one, next| one.is_ascii_digit() && next.is_ascii_digit()) {
                tamed.extend_from_slice(&run[..run.len().min(2)]);
            }
        }
    }
    tamed
}
