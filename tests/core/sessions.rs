//! Sessions belong to whoever opened them (MCP 2025-11-25, Session Management; spec section 5.4): an id of another caller
//! is 404, with every method.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_oauth::{
    config,
    gate::{Gate, Verdict},
    refusal::Refusal,
    response::ResponseGuard,
};
use serde_json::{Value, json};

use crate::{
    access_rules::{call, ruled},
    support::{
        HeaderMap, ISSUER, RESOURCE, ask, claims, good_token, header, inline_config, jwk, jwks, outcome, put, reply,
        sign, sign_texts, with,
    },
};

const VARIABLE: &str = "MCP_SESSION_KEYS";
const SESSION: &str = "mcp-session-id";

fn key(seed: u8) -> String {
    URL_SAFE_NO_PAD.encode([seed; 32])
}

/// A gate whose environment has these keys.
fn keyed(config: &Value, keys: &str) -> Gate {
    let found = config::parse_in(config.to_string().as_bytes(), &|name| (name == VARIABLE).then(|| keys.to_owned()));
    Gate::new(found.unwrap_or_else(|findings| panic!("findings: {findings:?}")))
}

fn sealing() -> Value {
    put(inline_config(), "/resources/0/sessions", json!({ "key_variable": VARIABLE }))
}

/// Sends a request with these session lines, and its body if that is read.
fn send(gate: &mut Gate, method: &str, token: &str, more: &[(&str, &str)]) -> Verdict {
    send_to(gate, method, "/mcp", token, more)
}

fn send_to(gate: &mut Gate, method: &str, path: &str, token: &str, more: &[(&str, &str)]) -> Verdict {
    let authorization = format!("Bearer {token}");
    let mut lines = vec![
        (":method", method),
        (":authority", "mcp.example.com"),
        (":path", path),
        ("content-type", "application/json"),
    ];
    lines.extend((!token.is_empty()).then_some(("authorization", authorization.as_str())));
    lines.extend(more);
    let body = if method == "POST" { call("a") } else { String::new() };
    match ask(gate, &lines) {
        Verdict::ReadBody(pending) => pending.judge(body.as_bytes()),
        other => other,
    }
}

#[track_caller]
fn guard(verdict: Verdict) -> ResponseGuard {
    match verdict {
        Verdict::Forward(forward) => forward.into_response_guard(),
        other => panic!("not forwarded: {other:?}"),
    }
}

/// The id as this caller gets it.
#[track_caller]
fn sealed(gate: &mut Gate, token: &str, id: &str) -> String {
    let guard = guard(send(gate, "POST", token, &[]));
    assert!(guard.seals_sessions());
    guard.seal_session(id.as_bytes()).expect("a sealed id")
}

/// What the upstream sees of the session, or why it sees nothing.
#[track_caller]
fn opened(verdict: Verdict, sent: &[(&str, &str)]) -> Result<Vec<String>, Refusal> {
    let Verdict::Forward(forward) = verdict else { return Err(outcome(verdict).expect_err("not forwarded")) };
    let mut lines = HeaderMap::new(sent);
    lines.apply(forward.edits());
    Ok(lines.all(SESSION))
}

fn of(member: &str, value: Value) -> String {
    sign(&header(), &with(claims(), member, value))
}

#[test]
fn the_caller_comes_back_to_its_session_and_the_server_sees_its_own_id() {
    for id in ["a", "1868a90c-83f1", "with.dots.in.it", "!~", "ends.", &"x".repeat(500)] {
        for config in [
            sealing(),
            put(
                ruled(&json!({ "rules": [{ "tools": ["a"] }] })),
                "/resources/0/sessions",
                json!({ "key_variable": VARIABLE }),
            ),
        ] {
            let mut gate = keyed(&config, &key(1));
            let token = good_token();
            let seal = sealed(&mut gate, &token, id);
            let (start, mac) = seal.rsplit_once('.').expect("a seal");
            assert_eq!((start, URL_SAFE_NO_PAD.decode(mac).expect("base64url").len()), (id, 32));
            for method in ["POST", "GET", "DELETE"] {
                let lines = [(SESSION, seal.as_str())];
                assert_eq!(
                    opened(send(&mut gate, method, &token, &lines), &lines),
                    Ok(vec![id.to_owned()]),
                    "{method}"
                );
                let other_case = [("Mcp-Session-Id", seal.as_str())];
                let found = opened(send(&mut gate, method, &token, &other_case), &other_case);
                assert_eq!(found, Ok(vec![id.to_owned()]), "{method}, {id}");
                assert_eq!(opened(send(&mut gate, method, &token, &[]), &[]), Ok(vec![]), "{method} without a session");
            }
            // A later token of the same caller, and another replica with the same key.
            let later = of("jti", json!("2"));
            let lines = [(SESSION, seal.as_str())];
            let mut replica = keyed(&config, &key(1));
            assert_eq!(opened(send(&mut replica, "POST", &later, &lines), &lines), Ok(vec![id.to_owned()]));
            assert_eq!(sealed(&mut replica, &later, id), seal, "there is no state");
        }
    }
}

/// Two issuers and two resources, so that each difference can be alone.
fn wide() -> Value {
    let mut config = sealing();
    config["authorization_servers"] = json!([
        { "issuer": ISSUER, "jwks": jwks(&[jwk(1, "k1")]) },
        { "issuer": "https://other.example.com", "jwks": jwks(&[jwk(2, "k1")]) },
    ]);
    let mut second = config["resources"][0].clone();
    second["resource"] = json!("https://mcp.example.com/second");
    second["audiences"] = json!([RESOURCE]);
    config["resources"].as_array_mut().expect("an array").push(second);
    config
}

#[test]
fn a_session_of_another_caller_is_no_session() {
    let service = |client: Value| sign(&header(), &with(with(claims(), "sub", Value::Null), "client_id", client));
    let other_issuer =
        sign_texts(2, &header().to_string(), &with(claims(), "iss", json!("https://other.example.com")).to_string());
    let alice = good_token();
    let rows = [
        ("the same", &alice, "/mcp", &alice, "/mcp", true),
        ("the same, of another client", &alice, "/mcp", &of("client_id", json!("c2")), "/mcp", true),
        ("another subject", &alice, "/mcp", &of("sub", json!("bob")), "/mcp", false),
        ("a subject in another case", &alice, "/mcp", &of("sub", json!("Alice")), "/mcp", false),
        ("another issuer", &alice, "/mcp", &other_issuer, "/mcp", false),
        ("another resource", &alice, "/mcp", &alice, "/second", false),
        ("another resource, the other way", &alice, "/second", &alice, "/mcp", false),
        ("no subject, the same client", &alice, "/mcp", &service(json!("c1")), "/mcp", false),
        ("a client that is called like the subject", &alice, "/mcp", &service(json!("alice")), "/mcp", false),
        ("clients: the same", &service(json!("c1")), "/mcp", &service(json!("c1")), "/mcp", true),
        ("clients: another", &service(json!("c1")), "/mcp", &service(json!("c2")), "/mcp", false),
        ("clients: a subject of this name", &service(json!("c1")), "/mcp", &of("sub", json!("c1")), "/mcp", false),
    ];
    for (name, owner, from, other, to, expected) in rows {
        let mut gate = keyed(&wide(), &key(1));
        let guard = guard(send_to(&mut gate, "POST", from, owner, &[]));
        let seal = guard.seal_session(b"s1").expect("a sealed id");
        let lines = [(SESSION, seal.as_str())];
        for method in ["POST", "GET", "DELETE"] {
            let expected = if expected { Ok(vec!["s1".to_owned()]) } else { Err(Refusal::Session) };
            assert_eq!(opened(send_to(&mut gate, method, to, other, &lines), &lines), expected, "{name}: {method}");
        }
    }
}

#[test]
fn an_id_that_was_not_sealed_here_is_no_session() {
    let mut gate = keyed(&sealing(), &key(1));
    let token = good_token();
    let seal = sealed(&mut gate, &token, "s1");
    let mac = seal.strip_prefix("s1.").expect("the id");
    let mut last = mac.to_owned();
    // The last letter has two bits that mean nothing; another letter for the same bytes is another text.
    let letter = last.pop().expect("a letter");
    last.push(if letter == 'A' { 'B' } else { char::from(u8::try_from(letter).expect("ASCII") + 1) });
    let flipped = URL_SAFE_NO_PAD.encode(
        URL_SAFE_NO_PAD
            .decode(mac)
            .expect("base64url")
            .iter()
            .enumerate()
            .map(|(n, b)| if n == 31 { b ^ 1 } else { *b })
            .collect::<Vec<_>>(),
    );
    let shorter = URL_SAFE_NO_PAD.encode(&URL_SAFE_NO_PAD.decode(mac).expect("base64url")[..16]);
    let rows = [
        ("unsealed", "s1".to_owned()),
        ("unsealed, with a dot", "s1.s2".to_owned()),
        ("empty", String::new()),
        ("an empty seal", "s1.".to_owned()),
        ("an empty id", format!(".{mac}")),
        ("another id", format!("s2.{mac}")),
        ("a longer id", format!("s1x.{mac}")),
        ("a shorter id", format!("s.{mac}")),
        ("one more part", format!("s1.x.{mac}")),
        ("the seal twice", format!("{seal}.{mac}")),
        ("one bit flipped", format!("s1.{flipped}")),
        ("half a seal", format!("s1.{shorter}")),
        ("another last letter", format!("s1.{last}")),
        ("padded", format!("{seal}=")),
        ("in lower case", seal.to_lowercase()),
        ("two in one line", format!("{seal}, {seal}")),
        ("a space", format!("s1 .{mac}")),
        ("not ASCII", format!("s1ü.{mac}")),
    ];
    let good = [(SESSION, seal.as_str())];
    assert_eq!(opened(send(&mut gate, "POST", &token, &good), &good), Ok(vec!["s1".to_owned()]));
    for (name, value) in rows {
        for method in ["POST", "GET", "DELETE"] {
            let lines = [(SESSION, value.as_str())];
            assert_eq!(
                opened(send(&mut gate, method, &token, &lines), &lines),
                Err(Refusal::Session),
                "{name}: {method}"
            );
        }
    }
    let two = [(SESSION, seal.as_str()), ("Mcp-Session-Id", seal.as_str())];
    for method in ["POST", "GET", "DELETE"] {
        assert_eq!(opened(send(&mut gate, method, &token, &two), &two), Err(Refusal::Session), "two lines: {method}");
    }
    let found = reply(send(&mut gate, "GET", &token, &two));
    assert_eq!((found.status(), found.reason()), (404, "mcp_oauth_session"));
    assert_eq!(str::from_utf8(found.body()), Ok(r#"{"error":"not_found","error_description":"no such session"}"#));
    assert!(found.headers().all(|(name, _)| name != "www-authenticate"), "another token would not help");
    // Whoever has no good token learns nothing of sessions.
    assert_eq!(outcome(send(&mut gate, "GET", "", &two)), Err(Refusal::MissingToken));
}

#[test]
fn keys_are_rotated_without_losing_sessions() {
    let token = good_token();
    let gate = |keys: &[u8]| keyed(&sealing(), &keys.iter().map(|seed| key(*seed)).collect::<Vec<_>>().join(","));
    let old = sealed(&mut gate(&[1]), &token, "s1");
    let new = sealed(&mut gate(&[2, 1]), &token, "s1");
    assert_eq!(new, sealed(&mut gate(&[2]), &token, "s1"), "the first key seals");
    assert_ne!(old, new);
    let rows = [
        (&[1][..], true, false),
        (&[2, 1], true, true),
        (&[1, 2], true, true),
        (&[3, 4, 2, 1], true, true),
        (&[2], false, true),
        (&[3], false, false),
    ];
    for (keys, opens_old, opens_new) in rows {
        for (seal, opens) in [(&old, opens_old), (&new, opens_new)] {
            let lines = [(SESSION, seal.as_str())];
            let expected = if opens { Ok(vec!["s1".to_owned()]) } else { Err(Refusal::Session) };
            assert_eq!(opened(send(&mut gate(keys), "GET", &token, &lines), &lines), expected, "{keys:?}");
        }
    }
    let spaced = keyed(&sealing(), &format!(" {} , {} ", key(2), key(1)));
    let lines = [(SESSION, old.as_str())];
    let mut spaced = spaced;
    assert_eq!(opened(send(&mut spaced, "GET", &token, &lines), &lines), Ok(vec!["s1".to_owned()]));
}

/// MCP 2026-07-28 has no sessions, so there is nothing to open and nothing to send up.
/// Where refusals are only reported, servers see their own ids, and one that was sealed before.
#[test]
fn sessions_are_only_opened_where_refusals_are_reported() {
    let token = good_token();
    let seal = sealed(&mut keyed(&sealing(), &key(1)), &token, "a");
    let stranger = of("sub", json!("mallory"));
    let mut gate = keyed(&put(sealing(), "/resources/0/report_only", json!(true)), &key(1));
    let rows =
        [("its own", &token, &*seal, "a"), ("a server's", &token, "a", "a"), ("another's", &stranger, &seal, &seal)];
    for (name, token, sent, seen) in rows {
        let lines = [(SESSION, sent)];
        let Verdict::Forward(forward) = send(&mut gate, "GET", token, &lines) else { panic!("{name}: not forwarded") };
        assert_eq!(forward.decision().reason, None, "{name}");
        let mut map = HeaderMap::new(&lines);
        map.apply(forward.edits());
        assert_eq!(map.all(SESSION), [seen], "{name}");
    }
}

/// Servers that make underscores of hyphens would take another spelling for the session.
#[test]
fn nothing_that_a_server_may_take_for_the_session_arrives_and_all_else_does() {
    let mut gate = keyed(&sealing(), &key(1));
    let sent = [("mcp_session_id", "x"), ("mcp-session_id", "y"), ("x-mcp-session-id", "z"), ("accept", "*/*")];
    let Verdict::Forward(forward) = send(&mut gate, "GET", &good_token(), &sent) else { panic!("not forwarded") };
    let mut lines = HeaderMap::new(&sent);
    lines.apply(forward.edits());
    let arrived = sent.map(|(name, _)| lines.all(name).len());
    assert_eq!(arrived, [0, 0, 1, 1]);
}

#[test]
fn modern_requests_have_no_session() {
    let mut gate = keyed(&sealing(), &key(1));
    let token = good_token();
    let seal = sealed(&mut gate, &token, "s1");
    let version = |version: &'static str| ("mcp-protocol-version", version);
    let rows = [
        ("modern", vec![version("2026-07-28")], Ok(vec![])),
        ("later", vec![version("2027-01-01")], Ok(vec![])),
        ("2025-11-25", vec![version("2025-11-25")], Err(Refusal::Session)),
        ("the day before", vec![version("2026-07-27")], Err(Refusal::Session)),
        ("no version", vec![], Err(Refusal::Session)),
        ("no date", vec![version("draft")], Err(Refusal::Session)),
        ("two versions", vec![version("2026-07-28"), version("2026-07-28")], Err(Refusal::Session)),
    ];
    for (name, more, unsealed) in rows {
        for method in ["POST", "GET", "DELETE"] {
            for (value, expected) in
                [("s1", unsealed.clone()), (&*seal, unsealed.clone().or(Ok(vec!["s1".to_owned()])))]
            {
                let mut lines = vec![("Mcp-Session-Id", value)];
                lines.extend(&more);
                assert_eq!(
                    opened(send(&mut gate, method, &token, &lines), &lines),
                    expected,
                    "{name}: {method} {value}"
                );
            }
        }
    }
    let several = [(SESSION, "a"), (SESSION, "b"), version("2026-07-28")];
    assert_eq!(opened(send(&mut gate, "POST", &token, &several), &several), Ok(vec![]), "none of several");
}

/// MCP transports: visible ASCII only.
#[test]
fn an_id_that_no_server_may_send_is_not_passed_on() {
    let mut gate = keyed(&sealing(), &key(1));
    let guard = guard(send(&mut gate, "POST", &good_token(), &[]));
    for id in [&b""[..], b"a b", b"a\tb", b"a\r\nx: y", b"\0", b"a\x7f", "ü".as_bytes(), b"\xff", b" a"] {
        assert_eq!(guard.seal_session(id), None, "{id:?}");
    }
    for id in [&b"a"[..], b"!", b"~"] {
        assert!(guard.seal_session(id).is_some(), "{id:?}");
    }
}

#[test]
fn without_the_setting_ids_are_left_alone() {
    let mut gate = crate::support::gate(&inline_config());
    let lines = [(SESSION, "s1"), ("Mcp-Session-Id", "s2")];
    let verdict = send(&mut gate, "POST", &good_token(), &lines);
    let Verdict::Forward(forward) = verdict else { panic!("{verdict:?}") };
    let mut edited = HeaderMap::new(&lines);
    edited.apply(forward.edits());
    assert_eq!(edited.all(SESSION), ["s1", "s2"]);
    let guard = forward.into_response_guard();
    assert!(!guard.seals_sessions());
    assert_eq!(guard.seal_session(b"s1"), None);
}

/// A session is opened before the body is judged, and the head that goes first has the server's id.
#[test]
fn sessions_and_rules_go_together() {
    for hold in ["headers", "body"] {
        let config =
            put(ruled(&json!({ "rules": [{ "tools": ["no"], "deny": true }] })), "/hold_requests", json!(hold));
        let mut gate = keyed(&put(config, "/resources/0/sessions", json!({ "key_variable": VARIABLE })), &key(1));
        let authorization = format!("Bearer {}", good_token());
        let lines = |session: &'static str| {
            let own =
                [("content-type", "application/json"), ("authorization", authorization.as_str()), (SESSION, session)];
            crate::support::head("/mcp", &own)
        };
        assert_eq!(outcome(ask(&mut gate, &lines("s1"))), Err(Refusal::Session), "{hold}");
        let seal = sealed(&mut gate, &good_token(), "s1");
        let Verdict::ReadBody(pending) = ask(&mut gate, &lines(seal.leak())) else { panic!("{hold}") };
        let expected = mcp_oauth::forward::Edit::Set(SESSION, b"s1");
        if let Some(head) = pending.head() {
            assert_eq!(hold, "body");
            assert!(head.edits().any(|edit| edit == expected));
        }
        let Verdict::Forward(forward) = pending.judge(call("a").as_bytes()) else { panic!("{hold}") };
        assert_eq!(forward.edits().any(|edit| edit == expected), hold == "headers", "once");
        assert!(forward.into_response_guard().seals_sessions(), "{hold}");
    }
}

#[test]
fn the_keys_are_shown_nowhere() {
    let mut gate = keyed(&sealing(), &format!("{},{}", key(7), key(9)));
    let guard = guard(send(&mut gate, "POST", &good_token(), &[]));
    let shown = [format!("{gate:?}"), format!("{:?}", gate.policy()), format!("{guard:?}"), format!("{guard:#?}")];
    for text in shown {
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        for secret in [key(7), key(9), "7,7,7".into(), "9,9,9".into(), VARIABLE.into(), good_token()] {
            assert!(!compact.contains(&secret), "{secret} in {text}");
        }
    }
    assert!(format!("{gate:?}").contains("MacKeys(<2 keys>)"));
    for keys in ["secret!", &key(1)[..20], ""] {
        let found = config::parse_in(sealing().to_string().as_bytes(), &|_| Some(keys.to_owned()));
        let found = format!("{:?}", found.expect_err("findings"));
        assert!(keys.is_empty() || !found.contains(keys), "{found}");
    }
}
