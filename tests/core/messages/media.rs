//! Which bodies are read at all: one plain JSON text of bounded length (RFC 9110 sections 8.3, 8.4 and 15.5; spec section
//! 5.2, items 1 and 2), after authentication.

use mcp_oauth::{
    gate::Verdict,
    pending::Pending,
    refusal::{MediaError, Refusal},
    request::Request,
};
use serde_json::json;

use super::{AUTHORIZATION, JSON, config, post, syntax};
use crate::support::{
    NOW, Row, accepted, ask, check, gate, head, inline_config, outcome, put, refused, reply, reply_header,
};

const PING: &[u8] = br#"{"id":1,"method":"ping"}"#;

type Lines = Vec<(&'static str, &'static str)>;

fn type_row(name: &str, good: bool, content_types: &[&'static str]) -> Row<Lines> {
    let lines = content_types.iter().map(|value| ("Content-Type", *value)).collect();
    if good { accepted(name, lines) } else { refused(name, lines, Refusal::Media(MediaError::Type)) }
}

fn encoding_row(name: &str, good: bool, encodings: &[&'static str]) -> Row<Lines> {
    let lines = [JSON].into_iter().chain(encodings.iter().map(|value| ("content-encoding", *value))).collect();
    if good { accepted(name, lines) } else { refused(name, lines, Refusal::Media(MediaError::Encoding)) }
}

#[track_caller]
fn check_lines(rows: Vec<Row<Lines>>) {
    check(rows, |lines| outcome(post(&mut gate(&config()), lines, PING)));
}

#[test]
fn a_body_is_said_to_be_json_once() {
    check_lines(vec![
        type_row("RFC 9110 8.3: JSON", true, &["application/json"]),
        type_row("RFC 9110 8.3.1: a parameter", true, &["application/json;charset=utf-8"]),
        type_row("RFC 9110 8.3.1: in another case, with a parameter", true, &["Application/JSON; charset=utf-8"]),
        type_row("RFC 9110 8.3.1: upper case", true, &["APPLICATION/JSON"]),
        type_row("RFC 9110 5.6.6: white space before the parameter", true, &["application/json ; charset=UTF-8"]),
        type_row("RFC 9110 5.6.6: an empty parameter", true, &["application/json;"]),
        type_row("RFC 9110 8.3.2: the charset in quotes", true, &["application/json; charset=\"UTF-8\""]),
        type_row("RFC 2152: UTF-7, in which a message hides in a text", false, &["application/json; charset=utf-7"]),
        type_row("RFC 2781: UTF-16", false, &["application/json; charset=utf-16le"]),
        type_row("RFC 9110 8.3.2: Latin-1", false, &["application/json; charset=iso-8859-1"]),
        type_row("RFC 9110 8.3.2: two charsets", false, &["application/json; charset=utf-8; charset=utf-7"]),
        type_row("RFC 9110 8.3.2: two charsets, swapped", false, &["application/json; charset=utf-7; charset=utf-8"]),
        type_row("RFC 9110 8.3.1: another parameter", false, &["application/json; profile=x"]),
        type_row("RFC 9110 5.6.6: white space in a parameter", false, &["application/json; charset =utf-7"]),
        type_row("RFC 9110 5.5: white space around it", true, &[" \tapplication/json "]),
        type_row("RFC 9110 8.3: none", false, &[]),
        type_row("RFC 9110 8.3: empty", false, &[""]),
        type_row("RFC 9110 8.3: only a parameter", false, &[";application/json"]),
        type_row("RFC 9110 8.3: twice alike", false, &["application/json", "application/json"]),
        type_row("RFC 9110 8.3: twice", false, &["application/json", "text/plain"]),
        type_row("RFC 9110 8.3: and an empty one", false, &["application/json", ""]),
        type_row("RFC 9110 5.3: a list", false, &["application/json, application/json"]),
        type_row("RFC 9110 5.3: a list, JSON last", false, &["text/plain, application/json"]),
        type_row("RFC 9110 5.3: a list behind a parameter", false, &["application/json; a=b, text/plain"]),
        type_row("RFC 9110 5.3: a comma", false, &["application/json,"]),
        type_row("RFC 9110 8.3: text", false, &["text/plain"]),
        type_row("RFC 9110 8.3: a JSON of another name", false, &["text/json"]),
        type_row("RFC 9110 8.3: a suffix", false, &["application/vnd.x+json"]),
        type_row("RFC 9110 8.3: JSON with more behind it", false, &["application/json5"]),
        type_row("RFC 9110 8.3: a space inside", false, &["application/json charset=utf-8"]),
        type_row("RFC 9110 8.3: a space at the slash", false, &["application/ json"]),
        type_row("RFC 9110 8.3: a parameter first", false, &["a; application/json"]),
        type_row("RFC 9110 8.3: a form", false, &["application/x-www-form-urlencoded"]),
        type_row("RFC 9110 8.3: parts", false, &["multipart/form-data; boundary=application/json"]),
        type_row("RFC 9110 8.3: anything", false, &["*/*"]),
        type_row("RFC 9110 8.3: in quotes", false, &["\"application/json\""]),
        type_row("RFC 9110 8.3: only the subtype", false, &["json"]),
    ]);
}

#[test]
fn a_body_is_not_compressed() {
    check_lines(vec![
        encoding_row("RFC 9110 8.4: none", true, &[]),
        encoding_row("RFC 9110 8.4: identity", true, &["identity"]),
        encoding_row("RFC 9110 8.4.1: in another case", true, &["Identity"]),
        encoding_row("RFC 9110 5.5: white space around it", true, &[" identity\t"]),
        encoding_row("RFC 9110 8.4: gzip", false, &["gzip"]),
        encoding_row("RFC 9110 8.4: deflate", false, &["deflate"]),
        encoding_row("RFC 9110 8.4: br", false, &["br"]),
        encoding_row("RFC 9110 8.4: zstd", false, &["zstd"]),
        encoding_row("RFC 9110 8.4: a list", false, &["identity, gzip"]),
        encoding_row("RFC 9110 8.4: identities", false, &["identity, identity"]),
        encoding_row("RFC 9110 8.4: two lines", false, &["identity", "gzip"]),
        encoding_row("RFC 9110 8.4: two identities", false, &["identity", "identity"]),
        encoding_row("RFC 9110 8.4: empty", false, &[""]),
        encoding_row("RFC 9110 8.4: unknown", false, &["x"]),
    ]);
}

#[test]
fn the_reply_says_what_media_type_is_wanted() {
    for (lines, description) in [
        (vec![("content-type", "text/plain")], "the body must be application/json"),
        (vec![], "the body must be application/json"),
        (vec![JSON, ("content-encoding", "gzip")], "the body must not be compressed"),
        (vec![("content-type", "text/plain"), ("content-encoding", "gzip")], "the body must be application/json"),
    ] {
        let reply = reply(post(&mut gate(&config()), &lines, PING));
        assert_eq!((reply.status(), reply.reason()), (415, "mcp_oauth_media_type"), "{lines:?}");
        assert_eq!(reply_header(&reply, "www-authenticate"), None, "{lines:?}");
        let expected = format!(r#"{{"error":"invalid_request","error_description":"{description}"}}"#);
        assert_eq!(String::from_utf8_lossy(reply.body()), expected, "{lines:?}");
    }
}

/// Item 1: whoever has no token learns nothing about the rest.
#[test]
fn a_token_is_asked_for_first() {
    for lines in [vec![], vec![("content-type", "text/plain")], vec![JSON, ("mcp-name", "é")], vec![JSON]] {
        let reply = reply(ask(&mut gate(&config()), &head("/mcp", &lines)));
        assert_eq!((reply.status(), reply.refusal()), (401, Some(&Refusal::MissingToken)), "{lines:?}");
        let lines = [&[("authorization", "Bearer a.b.c")], &lines[..]].concat();
        let verdict = ask(&mut gate(&config()), &head("/mcp", &lines));
        assert!(matches!(outcome(verdict), Err(Refusal::Token(_))), "{lines:?}");
    }
}

#[test]
fn without_rules_no_body_is_read() {
    let verdict = post(&mut gate(&inline_config()), &[("content-type", "text/plain"), ("mcp-method", "é")], b"no JSON");
    assert_eq!(outcome(verdict), Ok(()));
}

fn pending(config: &serde_json::Value) -> Pending {
    let lines = [("authorization", AUTHORIZATION.as_str()), JSON];
    match ask(&mut gate(config), &head("/mcp", &lines)) {
        Verdict::ReadBody(pending) => *pending,
        other => panic!("{other:?}"),
    }
}

/// A message of exactly so many bytes.
fn of_length(bytes: usize) -> Vec<u8> {
    let mut body = PING.to_vec();
    body.resize(bytes, b' ');
    body
}

#[test]
fn a_body_has_as_many_bytes_as_are_allowed() {
    let default = config();
    let small = put(config(), "/resources/0/body", json!({ "max_size": "1KiB" }));
    for (config, most) in [(default, 1024 * 1024), (small, 1024)] {
        assert_eq!(pending(&config).max_body_bytes(), most);
        for (bytes, expected) in [
            (PING.len(), Ok(())),
            (most - 1, Ok(())),
            (most, Ok(())),
            (most + 1, Err(Refusal::TooLarge { most })),
            (most * 2, Err(Refusal::TooLarge { most })),
        ] {
            assert_eq!(outcome(pending(&config).judge(&of_length(bytes))), expected, "{bytes} of {most}");
        }
        // What is in it does not matter then.
        let too_long = vec![b'{'; most + 1];
        assert_eq!(outcome(pending(&config).judge(&too_long)), Err(Refusal::TooLarge { most }));
        let reply = pending(&config).too_large();
        assert_eq!((reply.status(), reply.reason()), (413, "mcp_oauth_body_too_large"));
        assert_eq!(reply.refusal(), Some(&Refusal::TooLarge { most }));
        assert_eq!(reply_header(&reply, "www-authenticate"), None);
        let expected = r#"{"error":"invalid_request","error_description":"the body is too large"}"#;
        assert_eq!(String::from_utf8_lossy(reply.body()), expected);
    }
}

/// A head that is all of the request has an empty body.
#[test]
fn a_post_without_a_body_is_no_message() {
    let mut gate = gate(&config());
    let lines = [("authorization", AUTHORIZATION.as_str()), JSON];
    let lines = head("/mcp", &lines);
    let lines = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let request = Request::new(lines, gate.policy().identity_headers()).ended(true);
    let verdict = gate.on_request(1, &request, NOW);
    assert_eq!(outcome(verdict), Err(Refusal::Message(syntax(1, 1))));
}
