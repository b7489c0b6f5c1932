//! Which answers count, which send us to the next place, which end the attempt; and the operator's line for each.

use mcp_oauth::{
    fetch::{Answer, KeyEventKind, MAX_DOCUMENT_BYTES},
    gate::Verdict,
    refusal::Refusal,
    time::UnixTime,
};
use serde_json::{Value, json};

use super::{FIRST, ISSUER, JSON, KEYS, NOW, SECOND, answer, answer_json, expect_fetch, metadata, ok, text};
use crate::support::{ask, gate, good_token, head, jwk, jwks, put, refusal, remote_config};

/// What a host brought, and what the operator reads of it.
struct Row {
    name: &'static str,
    status: &'static [u8],
    content_type: Option<&'static [u8]>,
    body: String,
    why: String,
}

fn status(status: &'static str, why: &str) -> Row {
    // With a body that would do: only the status says that it does not count.
    let body = metadata(ISSUER, KEYS).to_string();
    Row { name: status, status: status.as_bytes(), content_type: Some(JSON), body, why: why.to_owned() }
}

fn typed(content_type: Option<&'static str>, shown: &str) -> Row {
    let body = metadata(ISSUER, KEYS).to_string();
    let why = format!("answered `{shown}` instead of JSON");
    let name = content_type.unwrap_or("no content type");
    Row { name, status: b"200", content_type: content_type.map(str::as_bytes), body, why }
}

fn document(name: &'static str, body: impl ToString, why: &str) -> Row {
    Row { name, status: b"200", content_type: Some(JSON), body: body.to_string(), why: why.to_owned() }
}

fn elsewhere() -> Vec<Row> {
    let full = metadata(ISSUER, KEYS);
    let jwks_uri = |uri: &str| metadata(ISSUER, uri);
    let cut = full.to_string();
    let twice = cut.replacen('{', "{\"jwks_uri\":\"https://evil.example\",", 1);
    let second = twice.rfind("\"jwks_uri\"").expect("the second one") + 1;
    let too_long = format!("{cut}{}", " ".repeat(MAX_DOCUMENT_BYTES + 1 - cut.len()));
    vec![
        status("400", "answered `400`"),
        status("401", "answered `401`"),
        status("403", "answered `403`"),
        status("404", "answered `404`"),
        status("410", "answered `410`"),
        status("429", "answered `429`"),
        status("502", "answered `502`"),
        // No redirect is followed, wherever it leads.
        status("301", "answered `301`"),
        status("302", "answered `302`"),
        status("307", "answered `307`"),
        status("304", "answered `304`"),
        status("201", "answered `201`"),
        status("204", "answered `204`"),
        status("206", "answered `206`"),
        status("100", "answered `100`"),
        status("", "answered ``"),
        status("0200", "answered `0200`"),
        status("200 ", "answered `200 `"),
        status("2\n`0", "answered `2??0`"),
        typed(None, ""),
        typed(Some(""), ""),
        typed(Some("text/html"), "text/html"),
        typed(Some("text/html; charset=utf-8"), "text/html"),
        typed(Some("text/json"), "text/json"),
        typed(Some("text/plain"), "text/plain"),
        typed(Some("application/jsonp"), "application/jsonp"),
        typed(Some("application/json5"), "application/json5"),
        typed(Some("application/json, text/html"), "application/json, text/html"),
        typed(Some("text/x+json"), "text/x+json"),
        typed(Some("x-application/json"), "x-application/json"),
        typed(Some("application/octet-stream; a=application/json"), "application/octet-stream"),
        typed(Some("A\r\n`B"), "a???b"),
        document("HTML called JSON", "<!doctype html>", "the metadata: not one JSON value (line 1, column 1)"),
        document("nothing", "", "the metadata: not one JSON value (line 1, column 1)"),
        document(
            "cut off",
            &cut[..cut.len() - 1],
            &format!("the metadata: not one JSON value (line 1, column {})", cut.len()),
        ),
        document(
            "followed by something",
            format!("{cut}x"),
            &format!("the metadata: not one JSON value (line 1, column {})", cut.len() + 1),
        ),
        document("a list", format!("[{cut}]"), "the metadata: not a JSON object"),
        document("a member twice", twice, &format!("the metadata: a member appears twice (line 1, column {second})")),
        document(
            "another issuer",
            metadata("https://evil.example", KEYS),
            "the metadata is of issuer `https://evil.example`",
        ),
        document("no issuer", json!({ "jwks_uri": KEYS }), "the metadata is of issuer ``"),
        document(
            "an issuer that is no text",
            json!({ "issuer": [ISSUER], "jwks_uri": KEYS }),
            "the metadata is of issuer ``",
        ),
        document("an issuer that is hostile", metadata("a`\r\n\u{e9}", KEYS), "the metadata is of issuer `a????`"),
        document("no jwks_uri", json!({ "issuer": ISSUER }), "the metadata has no `jwks_uri`"),
        document(
            "a jwks_uri that is no text",
            json!({ "issuer": ISSUER, "jwks_uri": [KEYS] }),
            "the metadata has no `jwks_uri`",
        ),
        document(
            "keys over http",
            jwks_uri("http://idp.example.com/keys"),
            "the `jwks_uri` `http://idp.example.com/keys` is http, which is allowed on loopback hosts only",
        ),
        document("relative", jwks_uri("/keys"), "the `jwks_uri` `/keys` is not an absolute URI with a host"),
        document("a file", jwks_uri("file:///keys"), "the `jwks_uri` `file:///keys` has a scheme other than https"),
        document(
            "user information",
            jwks_uri("https://a@idp.example.com/keys"),
            "the `jwks_uri` `https://a@idp.example.com/keys` has user information",
        ),
        document(
            "a fragment",
            jwks_uri("https://idp.example.com/keys#a"),
            "the `jwks_uri` `https://idp.example.com/keys#a` has a fragment, which RFC 8707 section 2 forbids",
        ),
        document("too long", too_long, "answered `262145` bytes, more than `262144`"),
    ]
}

impl Row {
    fn answer(&self) -> Answer<'_> {
        Answer::Response {
            status: self.status,
            content_type: self.content_type,
            cache_control: None,
            body: self.body.as_bytes(),
        }
    }
}

fn tried(place: &str, why: &str) -> String {
    format!("keys: issuer `{ISSUER}`: `{place}`: {why}; trying the next place")
}

fn failed(place: &str, why: &str) -> String {
    format!(
        "keys: issuer `{ISSUER}`: `{place}`: {why}; next try in `1` s at the earliest, its tokens cannot be checked \
         until then"
    )
}

#[test]
fn a_server_without_this_document_is_asked_for_the_next() {
    for row in elsewhere() {
        let mut first = gate(&remote_config());
        let event = answer(&mut first, FIRST, row.answer());
        assert!(event.as_ref().is_some_and(|event| !event.is_failure()), "{}", row.name);
        assert_eq!(text(event), Some(tried(FIRST, &row.why)), "{}", row.name);
        // At the last place the attempt ends.
        let event = answer(&mut first, SECOND, row.answer());
        assert!(event.as_ref().is_some_and(mcp_oauth::fetch::KeyEvent::is_failure), "{}", row.name);
        assert_eq!(text(event), Some(failed(SECOND, &row.why)), "{}", row.name);
        assert!(first.poll_fetch(NOW).is_none(), "{}: the attempt ended", row.name);

        // And the next place is believed all the same.
        let mut second = gate(&remote_config());
        answer(&mut second, FIRST, row.answer());
        assert_eq!(answer_json(&mut second, SECOND, &metadata(ISSUER, KEYS)), None, "{}", row.name);
        let _ = expect_fetch(&mut second, KEYS);
    }
}

#[test]
fn a_body_that_the_host_did_not_copy_is_too_large() {
    let mut gate = gate(&remote_config());
    let event = answer(&mut gate, FIRST, Answer::TooLarge(2_000_000));
    assert_eq!(text(event), Some(tried(FIRST, "answered `2000000` bytes, more than `262144`")));
    let full = metadata(ISSUER, KEYS).to_string();
    let longest = format!("{full}{}", " ".repeat(MAX_DOCUMENT_BYTES - full.len()));
    assert_eq!(answer(&mut gate, SECOND, ok(longest.as_bytes())), None, "as long as may be");
    let _ = expect_fetch(&mut gate, KEYS);
}

/// A server that is down is not asked three times while requests wait.
#[test]
fn a_server_that_is_down_ends_the_attempt() {
    let of = |status: &'static str| Answer::Response {
        status: status.as_bytes(),
        content_type: Some(JSON),
        cache_control: None,
        body: b"{}",
    };
    let rows = [
        (of("500"), "answered `500`"),
        (of("501"), "answered `501`"),
        (of("503"), "answered 503, or could not be reached"),
        (of("504"), "answered 504, or did not answer in time"),
        (of("505"), "answered `505`"),
        (of("599"), "answered `599`"),
        (Answer::NoResponse, "the connection ended without a response"),
        (Answer::NotSent(2), "the proxy did not send the request (status `2`): check the cluster"),
    ];
    for (given, why) in rows {
        for place in [FIRST, SECOND, KEYS] {
            let mut gate = gate(&remote_config());
            let authorization = format!("Bearer {}", good_token());
            let lines = head("/mcp", &[("authorization", &authorization)]);
            assert!(matches!(ask(&mut gate, &lines), Verdict::Hold), "{why}");
            if place == SECOND {
                answer(&mut gate, FIRST, super::NOT_FOUND);
            }
            if place == KEYS {
                answer_json(&mut gate, FIRST, &metadata(ISSUER, KEYS));
            }
            let fetch = expect_fetch(&mut gate, place);
            let outcome = gate.on_answer(fetch.id, given, NOW);
            assert_eq!(text(outcome.event), Some(failed(place, why)));
            let waited: Vec<_> = outcome.resumed.into_iter().map(|resumed| refusal(resumed.verdict)).collect();
            let expected = Refusal::KeysUnavailable { issuer: ISSUER.into(), retry_after: 1 };
            assert_eq!(waited, [expected], "{why}: who waited is answered");
            assert!(gate.poll_fetch(NOW).is_none(), "{why} at {place}");
        }
    }
}

#[test]
fn a_fetch_that_the_host_forgot_ends_the_attempt() {
    let mut gate = gate(&remote_config());
    let fetch = expect_fetch(&mut gate, FIRST);
    // The timeout of 5 s and 2 s of grace.
    assert!(gate.on_time(UnixTime(NOW.0 + 7)).is_empty(), "in time");
    let outcomes = gate.on_time(UnixTime(NOW.0 + 8));
    let events: Vec<_> = outcomes.into_iter().map(|outcome| text(outcome.event)).collect();
    assert_eq!(events, [Some(failed(FIRST, "the proxy never reported the end of the request"))]);
    let late = gate.on_answer(fetch.id, ok(metadata(ISSUER, KEYS).to_string().as_bytes()), UnixTime(NOW.0 + 8));
    assert!(late.event.is_none() && late.resumed.is_empty(), "an answer that comes too late changes nothing: {late:?}");
    assert!(gate.poll_fetch(UnixTime(NOW.0 + 8)).is_none());
}

/// RFC 8414 section 3.2, RFC 7517 section 8.5, RFC 6839 section 3.1.
#[test]
fn json_has_these_media_types() {
    let accepted: [&[u8]; 7] = [
        b"application/json",
        b"application/json; charset=utf-8",
        b"application/json;charset=UTF-8",
        b"Application/JSON",
        b"application/json ;x=\"a;b\"",
        b"application/jwk-set+json",
        b"application/jrd+json; charset=utf-8",
    ];
    for content_type in accepted {
        let name = String::from_utf8_lossy(content_type);
        let given =
            |body| Answer::Response { status: b"200", content_type: Some(content_type), cache_control: None, body };
        let mut gate = gate(&remote_config());
        let documents = [metadata(ISSUER, KEYS).to_string(), jwks(&[jwk(1, "k1")]).to_string()];
        assert_eq!(answer(&mut gate, FIRST, given(documents[0].as_bytes())), None, "{name}: metadata");
        let event = answer(&mut gate, KEYS, given(documents[1].as_bytes())).expect("an event");
        assert!(matches!(event.kind, KeyEventKind::Fetched { usable: 1, skipped: 0, .. }), "{name}: {event}");
    }
}

/// The same answers in the place of keys: there is no other place for these.
#[test]
fn keys_that_cannot_be_used_end_the_attempt() {
    let symmetric = json!({ "kty": "oct", "k": "c2VjcmV0" });
    let mut rows: Vec<Row> =
        elsewhere().into_iter().filter(|row| !row.why.contains("metadata") && !row.why.contains("jwks_uri")).collect();
    assert!(rows.len() > 30, "{} rows", rows.len());
    rows.extend([
        document("HTML called JSON", "<!doctype html>", "the JWK Set: not one JSON value (line 1, column 1)"),
        document("a list", "[]", "the JWK Set: not a JSON object"),
        document("keys twice", "{\"keys\":[],\"keys\":[]}", "the JWK Set: a member appears twice (line 1, column 12)"),
        document("no keys", "{}", "the JWK Set has no `keys` array"),
        document("keys that are no list", "{\"keys\":{}}", "the JWK Set has no `keys` array"),
        document("the metadata", metadata(ISSUER, KEYS), "the JWK Set has no `keys` array"),
        document("an empty list", jwks(&[]), "none of the `0` keys of the JWK Set is usable"),
        document("nothing usable", jwks(&[symmetric, Value::Null]), "none of the `2` keys of the JWK Set is usable"),
    ]);
    for row in rows {
        for explicit in [false, true] {
            let mut gate = if explicit {
                gate(&put(remote_config(), "/authorization_servers/0/jwks_uri", json!(KEYS)))
            } else {
                let mut gate = gate(&remote_config());
                answer_json(&mut gate, FIRST, &metadata(ISSUER, KEYS));
                gate
            };
            let event = answer(&mut gate, KEYS, row.answer());
            assert_eq!(text(event), Some(failed(KEYS, &row.why)), "{}", row.name);
            assert!(gate.poll_fetch(NOW).is_none(), "{}", row.name);
        }
    }
}

/// An answer under a number that is not waited for, twice, or for another issuer.
#[test]
fn only_the_answer_that_is_waited_for_counts() {
    let mut gate = gate(&remote_config());
    let first = expect_fetch(&mut gate, FIRST);
    let document = metadata(ISSUER, KEYS).to_string();
    assert!(gate.on_answer(first.id, super::NOT_FOUND, NOW).event.is_some());
    for _ in 0..2 {
        let again = gate.on_answer(first.id, ok(document.as_bytes()), NOW);
        assert!(again.event.is_none() && again.resumed.is_empty(), "the same answer again");
    }
    let second = expect_fetch(&mut gate, SECOND);
    let other = metadata(ISSUER, "https://idp.example.com/other").to_string();
    let late = gate.on_answer(first.id, ok(other.as_bytes()), NOW);
    assert!(late.event.is_none() && late.resumed.is_empty(), "the first answer during the second fetch");
    assert!(gate.poll_fetch(NOW).is_none(), "the first answer led on");
    assert!(gate.on_answer(second.id, ok(document.as_bytes()), NOW).event.is_none());
    let _ = expect_fetch(&mut gate, KEYS);
}
