//! Lists that cannot be read: an error with the request's own id, and nothing of the list.

use super::{config, guard};
use crate::support::{gate, good_token};

fn error(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32603,"message":"the list cannot be filtered"}}}}"#)
}

#[test]
fn a_body_that_cannot_be_read_becomes_an_error_with_the_id() {
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(130), "]".repeat(130));
    let rows: [(&str, &[u8]); 13] = [
        ("empty", b""),
        ("no JSON", b"<html>"),
        ("cut off", br#"{"result":{"tools":[{"name":"a"}"#),
        ("followed by something", br#"{"result":{"tools":[{"name":"no"}]}} {}"#),
        ("an array", br#"[{"result":{"tools":[{"name":"no"}]}}]"#),
        ("a text", br#""no""#),
        ("two results", br#"{"result":{},"result":{"tools":[{"name":"no"}]}}"#),
        ("two lists", br#"{"result":{"tools":[],"tools":[{"name":"no"}]}}"#),
        ("two names", br#"{"result":{"tools":[{"name":"a","name":"no"}]}}"#),
        ("two names, one escaped", br#"{"result":{"tools":[{"name":"a","n\u0061me":"no"}]}}"#),
        ("no UTF-8", b"{\"result\":{\"tools\":[{\"name\":\"a\xff\"}]}}"),
        ("a byte order mark", b"\xef\xbb\xbf{\"result\":{\"tools\":[{\"name\":\"no\"}]}}"),
        ("deeper than any reader goes", deep.as_bytes()),
    ];
    for id in ["1", "\"a\\u0022\"", "-5"] {
        let mut gate = gate(&config());
        let guard = guard(&mut gate, &good_token(), "tools/list", id, &[]);
        for (name, body) in rows {
            let found = guard.filter_list(body).expect("a list");
            assert_eq!(str::from_utf8(&found), Ok(&*error(id)), "{name}, id {id}");
            serde_json::from_slice::<serde_json::Value>(&found).expect("JSON");
        }
        let good = br#"{"result":{"tools":[{"name":"a"}]}}"#;
        assert_eq!(guard.filter_list(good).as_deref(), Some(&good[..]), "id {id}");
    }
}

/// The host asks for this when a list is longer than it may hold.
#[test]
fn a_list_that_is_too_long_becomes_the_same_error() {
    let mut gate = gate(&config());
    let guard = guard(&mut gate, &good_token(), "tools/list", "\"x\"", &[]);
    assert_eq!(String::from_utf8(guard.unreadable_list()), Ok(error("\"x\"")));
}
