//! Names that some readers take for known ones (CVE-2026-27896: Go's `encoding/json` ignores case, as Unicode folds it;
//! Python's models take the names of their fields, in snake case).

use mcp_oauth::message::{MessageError, read};

use super::{bad, check_bodies, good};

/// Where names are known, and which: the texts around a member there, and the names.
const LEVELS: [(&str, &str, &[&str], &str); 5] = [
    ("a message", r#"{"x":0,"#, &["jsonrpc", "id", "method", "params", "result", "error"], "}"),
    (
        "params",
        r#"{"method":"x","params":{"#,
        &["name", "uri", "taskId", "ref", "notifications", "_meta", "arguments"],
        "}}",
    ),
    ("params.ref", r#"{"method":"x","params":{"ref":{"#, &["type", "name", "uri"], "}}}"),
    ("params.notifications", r#"{"method":"x","params":{"notifications":{"#, &["resourceSubscriptions"], "}}}"),
    ("params._meta", r#"{"method":"x","params":{"_meta":{"#, &["io.modelcontextprotocol/protocolVersion"], "}}}"),
];

/// Each spelling of `name` with another case, wholly or at one letter, and with each letter outside ASCII that folds into it.
fn spellings(name: &str) -> Vec<String> {
    let mut all = vec![name.to_ascii_uppercase(), name.to_ascii_lowercase()];
    for (at, letter) in name.char_indices() {
        let swap = |new: char| format!("{}{new}{}", &name[..at], &name[at + 1..]);
        let folding = match letter.to_ascii_lowercase() {
            's' => Some('\u{17F}'),
            'k' => Some('\u{212A}'),
            _ => None,
        };
        let other_case =
            if letter.is_ascii_uppercase() { letter.to_ascii_lowercase() } else { letter.to_ascii_uppercase() };
        all.push(swap(other_case));
        all.extend(folding.map(swap));
    }
    all.retain(|spelling| spelling != name);
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
fn no_known_name_comes_in_another_case() {
    let mut kelvin_and_long_s = 0;
    for (level, before, names, after) in LEVELS {
        for name in names {
            for spelling in spellings(name) {
                for value in ["0", "null", "\"x\"", "{}", "[]"] {
                    let body = format!(r#"{before}"{spelling}":{value}{after}"#);
                    let expected = Err(MessageError::Variant(spelling.clone()));
                    assert_eq!(read(body.as_bytes(), false).map(drop), expected, "in {level}: {body}");
                }
                kelvin_and_long_s += usize::from(spelling.contains(['\u{17F}', '\u{212A}']));
            }
        }
    }
    // s: jsonrpc, params, result, notifications, arguments, resourceSubscriptions (four), protocolVersion; k: taskId.
    assert_eq!(kelvin_and_long_s, 12, "every letter that folds into ASCII");
}

/// The Python SDK's models have `populate_by_name`: of `taskId` and `task_id` whichever it finds counts.
#[test]
fn no_known_name_comes_in_snake_case() {
    let mut snakes = 0;
    for (level, before, names, after) in LEVELS {
        for name in names {
            let snake = name.chars().fold(String::new(), |mut snake, letter| {
                snake.extend(letter.is_ascii_uppercase().then_some('_'));
                snake.push(letter.to_ascii_lowercase());
                snake
            });
            let slug = snake.replace(['.', '/'], "_");
            let (start, end) = name.split_at(name.len() / 2);
            let mut spellings: Vec<_> = ["_", "-", "__", "_-"].map(|mark| format!("{start}{mark}{end}")).to_vec();
            spellings.extend([snake.replace('_', "-"), snake.to_ascii_uppercase(), snake, slug]);
            // `_meta` is itself, and `-meta` is another name.
            spellings.retain(|spelling| spelling != name && !spelling.starts_with('-'));
            snakes += spellings.len();
            for spelling in spellings {
                let body = format!(r#"{before}"{spelling}":"x"{after}"#);
                let expected = Err(MessageError::Variant(spelling));
                assert_eq!(read(body.as_bytes(), false).map(drop), expected, "in {level}: {body}");
            }
        }
    }
    assert!(snakes > 60, "{snakes}");
    check_bodies(vec![
        bad("task_id", r#"{"method":"x","params":{"task_id":"a"}}"#, MessageError::Variant("task_id".into())),
        bad(
            "resource_subscriptions",
            r#"{"method":"subscriptions/listen","params":{"notifications":{"resource_subscriptions":["x://y"]}}}"#,
            MessageError::Variant("resource_subscriptions".into()),
        ),
        bad(
            "a field of the Python SDK",
            r#"{"method":"x","params":{"_meta":{"io_modelcontextprotocol_protocol_version":"2026-07-28"}}}"#,
            MessageError::Variant("io_modelcontextprotocol_protocol_version".into()),
        ),
        good("meta is another name", r#"{"method":"x","params":{"meta":{}}}"#),
        good("__meta is another name", r#"{"method":"x","params":{"__meta":{}}}"#),
        good("task_id in arguments", r#"{"method":"x","params":{"arguments":{"task_id":1}}}"#),
    ]);
}

/// What is like a known name for nobody.
#[test]
fn other_names_pass() {
    for (level, before, names, after) in LEVELS {
        let before = if level == "a message" { r#"{"method":"x","# } else { before };
        for name in names {
            let (all_but_last, all_but_first) = (&name[..name.len() - 1], &name[1..]);
            let others = [
                format!("{name}2"),
                format!("{name}s"),
                format!("{name} "),
                format!(" {name}"),
                format!("{name}\\u0000"),
                format!("{name}\\u0301"),
                format!("_{name}"),
                format!("{name}_"),
                all_but_last.to_owned(),
                all_but_first.to_owned(),
                all_but_last.to_ascii_uppercase(),
                format!("{}2", name.to_ascii_uppercase()),
                name.chars().rev().collect(),
                name.replace('e', "é").replace('i', "í") + "é",
                // U+FF4E and so on: Unicode normalizes these to ASCII, but does not fold them.
                name.chars().map(|c| char::from_u32(u32::from(c) + 0xFEE0).unwrap_or(c)).collect(),
                format!("{name}\\u00df"),
                String::new(),
            ];
            for other in others {
                let body = format!(r#"{before}"{other}":0{after}"#);
                assert_eq!(read(body.as_bytes(), false).map(drop), Ok(()), "in {level}: {body}");
            }
        }
    }
}

#[test]
fn a_name_is_known_at_its_own_level_only() {
    let variant = |name: &str| MessageError::Variant(name.to_owned());
    let call = |params: &str| format!(r#"{{"id":1,"method":"tools/call","params":{{"name":"add",{params}}}}}"#);
    check_bodies(vec![
        good("5.2 item 3: Name in arguments", call(r#""arguments":{"Name":1,"NAME":2,"_META":3,"name":4}"#)),
        good("5.2 item 3: deep in arguments", call(r#""arguments":[{"Params":{"Method":1}}]"#)),
        good("5.2 item 3: Method in params", call(r#""Method":1,"PARAMS":2,"Id":3"#)),
        good("5.2 item 3: Name in a message", r#"{"id":1,"method":"x","Name":1,"URI":2,"_Meta":3}"#),
        good("5.2 item 3: Arguments in ref", call(r#""ref":{"Arguments":1,"TaskId":2,"Ref":3}"#)),
        good("5.2 item 3: Name in _meta", call(r#""_meta":{"Name":1,"Method":2,"x":{"_Meta":3}}"#)),
        good("5.2 item 3: Uri in notifications", call(r#""notifications":{"Uri":1,"Name":2}"#)),
        good("5.2 item 3: Name in a result", r#"{"id":1,"result":{"Name":1,"Method":2,"Result":3}}"#),
        good("5.2 item 3: Name in an unknown member", call(r#""task":{"Name":1,"TTL":2}"#)),
        good("5.2 item 3: names in texts", call(r#""arguments":"Name","x":"Method""#)),
        bad("5.2 item 3: Name beside name", call(r#""Name":"delete""#), variant("Name")),
        bad("5.2 item 3: NAME before name", r#"{"method":"x","params":{"NAME":"a","name":"b"}}"#, variant("NAME")),
        bad("5.2 item 3: escaped", call(r#""\u004eame":"delete""#), variant("Name")),
        bad("5.2 item 3: a long s, escaped", call(r#""argument\u017f":{}"#), variant("argumentſ")),
        bad("Java folds a Turkish i", call(r#""urı":"x://y""#), variant("urı")),
        bad("Java folds a Turkish I", r#"{"İd":1,"method":"x"}"#, variant("İd")),
        bad("5.2 item 3: Arguments beside arguments", call(r#""arguments":{},"Arguments":{}"#), variant("Arguments")),
        bad("5.2 item 3: Params alone", r#"{"id":1,"method":"tools/call","Params":{"name":"a"}}"#, variant("Params")),
        bad("5.2 item 3: Method alone", r#"{"id":1,"Method":"ping"}"#, variant("Method")),
        bad("5.2 item 3: Result in a request", r#"{"id":1,"method":"ping","Result":1}"#, variant("Result")),
        bad("5.2 item 3: Method in a response", r#"{"id":1,"result":{},"METHOD":"tools/call"}"#, variant("METHOD")),
        bad("5.2 item 3: the first one is told", r#"{"METHOD":1,"Method":2,"method":"x"}"#, variant("METHOD")),
        bad("5.2 item 3: in a notification", r#"{"method":"notifications/x","params":{"URI":1}}"#, variant("URI")),
    ]);
}

#[test]
fn what_should_be_an_object_is_one_or_null() {
    for (member, body) in [
        ("params", r#"{"method":"x","params":@}"#),
        ("params.ref", r#"{"method":"x","params":{"ref":@}}"#),
        ("params.notifications", r#"{"method":"x","params":{"notifications":@}}"#),
        ("params._meta", r#"{"method":"x","params":{"_meta":@}}"#),
    ] {
        let at = |value: &str| body.replace('@', value);
        let no_object = ["[]", r#"["a"]"#, r#""""#, r#""null""#, "0", "true", "false", r#"[{"name":"a"}]"#];
        let no_object = no_object
            .map(|value| bad(format!("JSON-RPC 4.2: {member}: {value}"), at(value), MessageError::Member(member)));
        let objects = ["{}", "null", " null ", r#"{"a":[]}"#];
        let objects = objects.map(|value| good(format!("JSON-RPC 4.2: {member}: {value}"), at(value)));
        check_bodies(no_object.into_iter().chain(objects).collect());
    }
}

/// The first thing that is odd is told, and only if all of it is JSON.
#[test]
fn what_is_odd_is_told_in_its_order() {
    let variant = |name: &str| MessageError::Variant(name.to_owned());
    check_bodies(vec![
        good("none", r#"{"method":"x","params":{}}"#),
        bad("params, then a variant", r#"{"params":[],"Method":"x"}"#, MessageError::Member("params")),
        bad("a variant, then params", r#"{"Method":"x","params":[]}"#, variant("Method")),
        bad(
            "params, then a variant in it",
            r#"{"method":"x","params":{"ref":1,"URI":1}}"#,
            MessageError::Member("params.ref"),
        ),
        bad("a variant before a missing method", r#"{"Id":1}"#, variant("Id")),
        bad("a duplicate behind a variant", r#"{"Method":"x","a":1,"a":1}"#, super::duplicate(1, 21)),
        bad("a syntax error behind a variant", r#"{"Method":"x","#, super::syntax(1, 15)),
    ]);
}
