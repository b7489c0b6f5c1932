//! What is a request, a notification, a response (MCP base protocol, Messages; JSON-RPC 2.0 sections 4 and 5).

use mcp_oauth::message::{Kind, MAX_ID_BYTES, MessageError, read};

use super::{bad, check_bodies, good};

const NO_MESSAGE: MessageError = MessageError::NoMessage;
const ID: MessageError = MessageError::Member("id");
const METHOD: MessageError = MessageError::Member("method");

#[test]
fn members_tell_the_kind() {
    for (body, kind, id, method) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, Kind::Request, Some("1"), "ping"),
        (r#"{"id":"a","method":"ping","params":null}"#, Kind::Request, Some(r#""a""#), "ping"),
        (r#"{"method":"ping","params":{},"id":-1.50e+3}"#, Kind::Request, Some("-1.50e+3"), "ping"),
        (r#"{"id": "\u0061\/é" ,"method":"ping"}"#, Kind::Request, Some(r#""\u0061\/é""#), "ping"),
        (r#"{"id":"","method":""}"#, Kind::Request, Some(r#""""#), ""),
        (r#"{"id":0,"method":"unknown/method"}"#, Kind::Request, Some("0"), "unknown/method"),
        (r#"{"method":"notifications/initialized"}"#, Kind::Notification, None, "notifications/initialized"),
        (r#"{"method":"ping","params":{"id":1}}"#, Kind::Notification, None, "ping"),
        (r#"{"id":1,"result":{}}"#, Kind::Response, Some("1"), ""),
        (r#"{"id":"a","result":null}"#, Kind::Response, Some(r#""a""#), ""),
        (r#"{"id":1,"error":{"code":-1,"message":"no"}}"#, Kind::Response, Some("1"), ""),
        (r#"{"id":null,"error":{}}"#, Kind::Response, None, ""),
        (r#"{"id":1,"result":{},"params":{"name":"x"}}"#, Kind::Response, Some("1"), ""),
    ] {
        let messages = read(body.as_bytes(), false).unwrap_or_else(|error| panic!("{body}: {error}"));
        let [message] = &messages.list[..] else { panic!("{body}: {messages:?}") };
        assert_eq!((message.kind, message.id, &*message.method), (kind, id, method), "{body}");
        assert_eq!((&message.targets[..], &message.protocol_version), (&[][..], &None), "{body}");
        assert!(!messages.is_batch, "{body}");
    }
}

#[test]
fn nothing_else_is_a_message() {
    check_bodies(vec![
        good("MCP base protocol, Requests", r#"{"id":1,"method":"x"}"#),
        good("MCP base protocol, Responses", r#"{"id":1,"result":0}"#),
        bad("an empty object", "{}", NO_MESSAGE),
        bad("only the version", r#"{"jsonrpc":"2.0"}"#, NO_MESSAGE),
        bad("only an id", r#"{"id":1}"#, NO_MESSAGE),
        bad("only params", r#"{"params":{"name":"x"}}"#, NO_MESSAGE),
        bad("id and params", r#"{"id":1,"params":{"method":"x"}}"#, NO_MESSAGE),
        good("MCP 2025-11-25: an error about a request without an id", r#"{"error":{"code":-32700,"message":"x"}}"#),
        bad("JSON-RPC 5: a result without an id", r#"{"result":{}}"#, NO_MESSAGE),
        bad("JSON-RPC 5: result and error", r#"{"id":1,"result":{},"error":{}}"#, NO_MESSAGE),
        bad("JSON-RPC 5: result and error, null", r#"{"id":1,"result":null,"error":null}"#, NO_MESSAGE),
        bad("method and result", r#"{"id":1,"method":"x","result":{}}"#, NO_MESSAGE),
        bad("method and error", r#"{"id":1,"method":"x","error":{}}"#, NO_MESSAGE),
        bad("method and a null result", r#"{"id":1,"method":"x","result":null}"#, NO_MESSAGE),
        bad("a notification with a result", r#"{"method":"x","result":{}}"#, NO_MESSAGE),
        bad("method, result and error", r#"{"id":1,"method":"x","result":{},"error":{}}"#, NO_MESSAGE),
        bad("JSON-RPC 4: a method that is null", r#"{"id":1,"method":null}"#, METHOD),
        bad("JSON-RPC 4: a method that is a number", r#"{"id":1,"method":1}"#, METHOD),
        bad("JSON-RPC 4: a method that is a list", r#"{"id":1,"method":["x"]}"#, METHOD),
        bad("JSON-RPC 4: a method that is an object", r#"{"id":1,"method":{"x":1}}"#, METHOD),
        bad("JSON-RPC 4: a method that is true", r#"{"method":true}"#, METHOD),
        bad("a null method beside a result", r#"{"id":1,"method":null,"result":{}}"#, METHOD),
    ]);
}

#[test]
fn an_id_is_a_text_or_a_number() {
    let of = |id: &str| format!(r#"{{"id":{id},"method":"ping"}}"#);
    let result = |id: &str| format!(r#"{{"id":{id},"result":{{}}}}"#);
    let text = |bytes: usize| format!("\"{}\"", "a".repeat(bytes - 2));
    let escapes = |count: usize| format!("\"{}\"", r"\u0061".repeat(count));
    assert_eq!(escapes(170).len() + 2, MAX_ID_BYTES);
    check_bodies(vec![
        good("MCP base protocol, Requests: a text", of(r#""a""#)),
        good("MCP base protocol, Requests: an empty text", of(r#""""#)),
        good("MCP base protocol, Requests: a text like null", of(r#""null""#)),
        good("MCP base protocol, Requests: zero", of("0")),
        good("MCP base protocol, Requests: nine", of("9")),
        good("MCP base protocol, Requests: a negative number", of("-1")),
        good("JSON-RPC 4: a fraction is only discouraged", of("1.5")),
        good("RFC 8259 6: larger than any f64", of("1e400")),
        bad("MCP base protocol, Requests: null", of("null"), ID),
        bad("JSON-RPC 4: true", of("true"), ID),
        bad("JSON-RPC 4: false", of("false"), ID),
        bad("JSON-RPC 4: an object", of("{}"), ID),
        bad("JSON-RPC 4: a list", of("[1]"), ID),
        good("1024 bytes of text", of(&text(1024))),
        bad("1025 bytes of text", of(&text(1025)), ID),
        good("1024 digits", of(&"1".repeat(1024))),
        bad("1025 digits", of(&"1".repeat(1025)), ID),
        good("1024 bytes with an escape at the end", of(&format!("\"{}{}\"", "a".repeat(1016), r"\u0061"))),
        bad("1025 bytes that say less", of(&format!("\"{}{}\"", "a".repeat(1017), r"\u0061")), ID),
        good("1024 bytes and spaces around them", of(&format!("  {}  ", text(1024)))),
        good("JSON-RPC 5: a response with a text", result(r#""a""#)),
        good("JSON-RPC 5: a response to what had no id", result("null")),
        good("1024 bytes in a response", result(&text(1024))),
        bad("1025 bytes in a response", result(&text(1025)), ID),
        bad("JSON-RPC 5: a response with true", result("true"), ID),
        bad("JSON-RPC 5: a response with an object", result("{}"), ID),
        bad("JSON-RPC 5: a response with a list", result("[]"), ID),
        bad("an id of another type without a method", r#"{"id":[]}"#, ID),
    ]);
}
