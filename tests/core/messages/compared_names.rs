//! Texts that rules and headers are compared with: no control characters, because servers and logs cut at a NUL.

use mcp_oauth::message::MessageError;

use super::{bad, check_bodies, good};

#[test]
fn compared_names_have_no_control_characters() {
    let fields = [
        ("method", r#"{"id":1,"method":"x@"}"#),
        ("params.name", r#"{"id":1,"method":"tools/call","params":{"name":"add@"}}"#),
        ("params.name", r#"{"id":1,"method":"prompts/get","params":{"name":"add@"}}"#),
        ("params.uri", r#"{"id":1,"method":"resources/read","params":{"uri":"file:///a@"}}"#),
        ("params.uri", r#"{"id":1,"method":"resources/subscribe","params":{"uri":"file:///a@"}}"#),
        ("params.uri", r#"{"id":1,"method":"resources/unsubscribe","params":{"uri":"file:///a@"}}"#),
        ("params.taskId", r#"{"id":1,"method":"tasks/get","params":{"taskId":"1@"}}"#),
        ("params.ref.name", r#"{"id":1,"method":"completion/complete","params":{"ref":{"name":"a@"}}}"#),
        ("params.ref.uri", r#"{"id":1,"method":"completion/complete","params":{"ref":{"uri":"a@"}}}"#),
        ("params.ref.name", r#"{"id":1,"method":"completion/complete","params":{"ref":{"name":"a@","uri":"b"}}}"#),
        ("params.ref.uri", r#"{"id":1,"method":"completion/complete","params":{"ref":{"name":"a","uri":"b@"}}}"#),
        (
            "params.notifications.resourceSubscriptions",
            r#"{"id":1,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["a","b@"]}}}"#,
        ),
        (
            "params._meta.protocolVersion",
            r#"{"id":1,"method":"x","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28@"}}}"#,
        ),
    ];
    // C0, DEL and C1; some are allowed in JSON unescaped.
    let controls = [
        r"\u0000",
        r"\u0000delete",
        r"\b",
        r"\f",
        r"\t",
        r"\n",
        r"\r",
        r"\u001b[2J",
        r"\u001F",
        r"\u007f",
        "\x7F",
        r"\u0080",
        "\u{9F}",
    ];
    let harmless = ["", " ", "é", "\u{A0}", "😀", r"\u0020", r"\u2028", "ﬁ", r"\\u0000", "\\\""];
    let mut rows = Vec::new();
    for (member, body) in fields {
        for control in controls {
            let name = format!("5.2 item 3: {body} with {}", control.escape_debug());
            rows.push(bad(name, body.replace('@', control), MessageError::Control(member)));
        }
        for text in harmless {
            rows.push(good(format!("5.2 item 3: {body} with {text}"), body.replace('@', text)));
        }
    }
    check_bodies(rows);
}

#[test]
fn texts_that_nobody_compares_may_have_them() {
    for body in [
        r#"{"id":"a\u0000","method":"ping"}"#,
        r#"{"id":1,"method":"ping","a\u0000":"b\u0000"}"#,
        r#"{"id":1,"method":"tools/call","params":{"name":"add","arguments":{"text":"a\u0000\n"}}}"#,
        r#"{"id":1,"method":"tools/call","params":{"name":"add","uri":"a\u0000","taskId":"\n","ref":{"name":"\t"}}}"#,
        r#"{"id":1,"method":"tools/list","params":{"name":"a\u0000"}}"#,
        r#"{"id":1,"method":"x","params":{"_meta":{"a":"\u0000"}}}"#,
        r#"{"id":1,"result":{"text":"a\u0000\n"}}"#,
    ] {
        assert!(mcp_oauth::message::read(body.as_bytes(), false).is_ok(), "{body}");
    }
}
