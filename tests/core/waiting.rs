//! What waits has an end: so many requests, and so much of them, for each of the ways to wait; and whoever goes makes room.

mod in_turn;

use mcp_oauth::{
    config,
    event_stream::ListEvents,
    fetch::Answer,
    gate::{Gate, Verdict},
    list_filter::MAX_LIST_BYTES,
    pending::Pending,
    refusal::Refusal,
    reply::Reply,
    waiting::{
        MAX_EVENT_BYTES, MAX_HELD, MAX_HELD_BYTES, MAX_READING, MAX_READING_ANONYMOUS, MAX_READING_ANONYMOUS_BYTES,
        MAX_READING_BYTES,
    },
};
use serde_json::{Value, json};

use crate::{
    access_rules::{call, request, ruled},
    support::{
        NOW, ask_as, claims, gate, good_token, head, header, outcome, put, refusal, remote_config, reply_header, sign,
        with,
    },
};

const MIB: usize = 1024 * 1024;

fn rules() -> Value {
    json!({ "rules": [{ "tools": ["no"], "deny": true }], "anonymous_methods": ["ping"], "filter_lists": true })
}

/// Keys that must be fetched, and bodies that are read.
fn cold(members: &Value) -> Value {
    with(ruled(members), "authorization_servers", remote_config()["authorization_servers"].clone())
}

/// A POST; without a token if that is empty.
fn arrive(gate: &mut Gate, id: usize, token: &str, more: &[(&str, &str)]) -> Verdict {
    let authorization = format!("Bearer {token}");
    let mut lines = head("/mcp", &[("content-type", "application/json")]);
    lines.extend((!token.is_empty()).then_some(("authorization", authorization.as_str())));
    lines.extend(more);
    ask_as(gate, u32::try_from(id).expect("small"), &lines, NOW)
}

#[track_caller]
fn reading(gate: &mut Gate, token: &str) -> Box<Pending> {
    match arrive(gate, 1, token, &[]) {
        Verdict::ReadBody(pending) => pending,
        other => panic!("not read: {other:?}"),
    }
}

fn held_bytes(reply: Option<Reply>) -> Option<Refusal> {
    reply.map(|reply| reply.refusal().expect("a refusal").clone())
}

#[test]
fn so_many_requests_are_read_at_a_time_and_those_without_a_token_apart() {
    let good = good_token();
    let rows = [("with a token", good.as_str(), MAX_READING, ""), ("without", "", MAX_READING_ANONYMOUS, &good)];
    for (name, token, most, other) in rows {
        let mut gate = gate(&ruled(&rules()));
        let mut pending: Vec<_> = (0..most).map(|_| reading(&mut gate, token)).collect();
        let full = Refusal::Overloaded { held: most };
        assert_eq!(refusal(arrive(&mut gate, 1, token, &[])), full, "{name}");
        assert_eq!(full.status(), 503);
        // Whoever does or does not answer for itself keeps out only its like.
        drop(reading(&mut gate, other));
        // A verdict and a client that leaves make room for one each.
        let (judged, gone) = (pending.pop().expect("one"), pending.pop().expect("one"));
        assert_eq!(outcome(judged.judge(request("ping", &json!({})).as_bytes())), Ok(()), "{name}");
        pending.push(reading(&mut gate, token));
        assert_eq!(refusal(arrive(&mut gate, 1, token, &[])), full, "{name}");
        drop(gone);
        pending.push(reading(&mut gate, token));
        assert_eq!(refusal(arrive(&mut gate, 1, token, &[])), full, "{name}");
        // What needs not be read does not wait.
        if !token.is_empty() {
            let authorization = format!("Bearer {token}");
            let lines = [
                (":method", "GET"),
                (":authority", "mcp.example.com"),
                (":path", "/mcp"),
                ("authorization", authorization.as_str()),
            ];
            let lines = lines.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            let get = mcp_oauth::request::Request::new(lines, gate.policy().identity_headers()).ended(true);
            assert_eq!(outcome(gate.on_request(1, &get, NOW)), Ok(()), "{name}");
        }
    }
}

/// Of a token its claims are kept besides the head: 2 000 scopes in a token of 15 KiB are several times as much as its text.
#[test]
fn what_is_kept_of_a_token_counts_besides_its_head_and_its_body() {
    let scopes: Vec<String> = (0..2000).map(|n| format!("{n:04}")).collect();
    let token = sign(&header(), &with(claims(), "scope", json!(format!("mcp:read {}", scopes.join(" ")))));
    let body = 96 * 1024;
    let mut gate = gate(&ruled(&rules()));
    let mut pending = Vec::new();
    while let Verdict::ReadBody(mut one) = arrive(&mut gate, 1, &token, &[]) {
        if one.on_arrived(body).is_some() {
            break;
        }
        pending.push(one);
    }
    assert!(MAX_READING * (token.len() + 4096 + body) < MAX_READING_BYTES, "without the scopes all of them fit");
    assert!(pending.len() < MAX_READING, "all of them fit");
    assert!(pending.len() * (token.len() + body + 2000 * 28) <= MAX_READING_BYTES, "{}", pending.len());
}

/// What goes upstream in the token's place is kept as long.
#[test]
fn the_credential_for_the_server_counts_too() {
    let token = good_token();
    let body = MAX_READING_BYTES / MAX_READING - token.len() - 4096;
    let fit = |config: &Value| {
        let key = |name: &str| (name == "API_KEY").then(|| "k".repeat(16 * 1024));
        let mut gate = Gate::new(config::parse_in(config.to_string().as_bytes(), &key).expect("no findings"));
        let mut pending = Vec::new();
        while let Verdict::ReadBody(mut one) = arrive(&mut gate, 1, &token, &[]) {
            if one.on_arrived(body).is_some() {
                break;
            }
            pending.push(one);
        }
        pending.len()
    };
    let config = ruled(&rules());
    assert_eq!(fit(&config), MAX_READING);
    let header = json!({ "header": { "name": "x-api-key", "value_variable": "API_KEY" } });
    let with_credential = fit(&put(config, "/resources/0/upstream_credential", header));
    assert!(with_credential * (body + 16 * 1024) <= MAX_READING_BYTES, "{with_credential}");
}

#[test]
fn what_was_read_of_all_bodies_has_an_end() {
    let good = good_token();
    for (token, most) in [(good.as_str(), MAX_READING_BYTES), ("", MAX_READING_ANONYMOUS_BYTES)] {
        let mut gate = gate(&ruled(&rules()));
        let (mut pending, mut refused) = (Vec::new(), 0);
        for _ in 0..most / MIB {
            let mut one = reading(&mut gate, token);
            // The heads take something, too, so the last one does not fit.
            match held_bytes(one.on_arrived(MIB)) {
                None => pending.push(one),
                Some(refusal) => {
                    assert_eq!(refusal, Refusal::Overloaded { held: most / MIB });
                    refused += 1;
                }
            }
        }
        assert_eq!((pending.len(), refused), (most / MIB - 1, 1));
        // Small ones still fit, and what has come once is not refused later.
        assert_eq!(held_bytes(reading(&mut gate, token).on_arrived(1000)), None);
        assert_eq!(held_bytes(pending[0].on_arrived(MIB)), None);
        pending.pop();
        assert_eq!(held_bytes(reading(&mut gate, token).on_arrived(MIB)), None);
    }
}

#[test]
fn a_body_is_as_long_as_may_be_or_refused_at_once() {
    let config = ruled(&put(put(rules(), "/body", json!({})), "/body/max_size", json!("2KiB")));
    let config = put(config, "/resources/0/origins", json!(["https://app.example"]));
    for token in [good_token(), String::new()] {
        for (size, expected) in [(0, None), (2048, None), (2049, Some(413)), (usize::MAX, Some(413))] {
            let mut gate = gate(&config);
            let Verdict::ReadBody(mut pending) = arrive(&mut gate, 1, &token, &[("origin", "https://app.example")])
            else {
                panic!("not read")
            };
            let reply = pending.on_arrived(size);
            assert_eq!(reply.as_ref().map(Reply::status), expected, "{size} bytes");
            if let Some(reply) = reply {
                assert_eq!(reply_header(&reply, "access-control-allow-origin"), Some("https://app.example"));
            }
        }
    }
}

#[test]
fn the_body_of_a_held_request_is_read_where_there_are_rules() {
    for (config, expected) in [(cold(&rules()), true), (remote_config(), false)] {
        let mut gate = gate(&config);
        assert!(matches!(arrive(&mut gate, 7, &good_token(), &[]), Verdict::Hold));
        assert_eq!(gate.reads_held_body(7), expected);
        assert!(!gate.reads_held_body(8), "nobody waits by that number");
    }
}

/// 5.2: nobody knows yet who sends it.
#[test]
fn a_body_that_is_too_long_does_not_wait_for_keys_where_bodies_are_read() {
    let limited = put(cold(&put(rules(), "/body", json!({}))), "/resources/0/body", json!({ "max_size": "2KiB" }));
    let too_large = Some(Refusal::TooLarge { most: 2048 });
    let mib = Some(Refusal::TooLarge { most: MIB });
    let rows = [
        ("shorter", &limited, 2048, None),
        ("longer", &limited, 2049, too_large),
        ("as long as may be by default", &cold(&rules()), MIB, None),
        ("longer than by default", &cold(&rules()), MIB + 1, mib),
        ("without rules", &remote_config(), 100 * MIB, None),
    ];
    for (name, config, size, expected) in rows {
        let mut gate = gate(config);
        assert!(matches!(arrive(&mut gate, 7, &good_token(), &[]), Verdict::Hold), "{name}");
        assert_eq!(held_bytes(gate.on_held_body(8, size)), None, "{name}: nobody waits by that number");
        assert_eq!(held_bytes(gate.on_held_body(7, 0)), None, "{name}");
        assert_eq!(held_bytes(gate.on_held_body(7, size)), expected, "{name}");
        // It is answered, so it does not wait any more.
        assert_eq!(held_bytes(gate.on_held_body(7, size)), None, "{name}");
        let fetch = gate.poll_fetch(NOW).expect("a fetch");
        let resumed = gate.on_answer(fetch.id, Answer::NoResponse, NOW).resumed;
        assert_eq!(resumed.len(), usize::from(expected.is_none()), "{name}");
    }
}

#[test]
fn what_waits_for_keys_has_an_end_in_heads_and_in_bodies() {
    // Long heads: about 128 KiB each.
    let long = "x".repeat(128 * 1024);
    let most = MAX_HELD_BYTES / long.len();
    assert!(most < MAX_HELD, "it is not their number that is too much");
    let mut gate = gate(&cold(&rules()));
    let hold = |gate: &mut Gate, id| arrive(gate, id, &good_token(), &[("x-long", &long)]);
    let held = (0..most).take_while(|id| matches!(hold(&mut gate, *id), Verdict::Hold)).count();
    assert!((most - 5..most).contains(&held), "the rest of the heads takes something, too: {held}");
    assert_eq!(refusal(hold(&mut gate, held)), Refusal::Overloaded { held });
    assert!(matches!(arrive(&mut gate, held, &good_token(), &[]), Verdict::Hold), "a short one fits");
    gate.on_gone(0);
    assert!(matches!(hold(&mut gate, 0), Verdict::Hold), "whoever goes makes room");

    let mut gate = crate::support::gate(&cold(&rules()));
    let most = MAX_HELD_BYTES / MIB;
    for id in 0..most {
        assert!(matches!(arrive(&mut gate, id, &good_token(), &[]), Verdict::Hold));
    }
    for id in 0..most - 1 {
        assert_eq!(held_bytes(gate.on_held_body(u32::try_from(id).expect("small"), MIB)), None, "{id}");
    }
    let last = u32::try_from(most - 1).expect("small");
    assert_eq!(held_bytes(gate.on_held_body(last, MIB)), Some(Refusal::Overloaded { held: most }));
    // It does not wait any more.
    let fetch = gate.poll_fetch(NOW).expect("a fetch");
    assert_eq!(gate.on_answer(fetch.id, Answer::NoResponse, NOW).resumed.len(), most - 1);
    assert!(matches!(arrive(&mut gate, most, &good_token(), &[]), Verdict::Reply(_)), "a pause after the failure");
}

#[test]
fn beginnings_of_events_have_an_end_together() {
    let mut gate = gate(&ruled(&rules()));
    let mut streaming = || -> ListEvents {
        let pending = reading(&mut gate, &good_token());
        let verdict = pending.judge(request("tools/list", &json!({})).as_bytes());
        let Verdict::Forward(forward) = verdict else { panic!("{verdict:?}") };
        forward.into_response_guard().into_list_events().expect("a list")
    };
    let beginning = b" ".repeat(MAX_LIST_BYTES - 3);
    let most = MAX_EVENT_BYTES / MAX_LIST_BYTES;
    let mut streams: Vec<ListEvents> = (0..most).map(|_| streaming()).collect();
    for stream in &mut streams {
        assert_eq!(stream.push(&beginning, false), b"");
    }
    let mut late = streaming();
    let shown = String::from_utf8(late.push(&beginning, false)).expect("UTF-8");
    assert!(shown.contains("-32603"), "{shown}");
    assert_eq!(late.push(b"\n\n", false), b"", "once");
    // Complete events are not kept, so they take no room.
    let event = b"data: {\"result\":{\"tools\":[]}}\n\n";
    let mut small = streaming();
    assert_eq!(small.push(&event.repeat(100_000), false), event.repeat(100_000));
    // An event that ends and a stream that ends make room for one each.
    assert!(!streams[0].push(b"\n\n", false).is_empty());
    assert_eq!(streaming().push(&beginning, false), b"");
    drop(streams.pop());
    let (mut one, mut other) = (streaming(), streaming());
    assert_eq!((one.push(&beginning, false), other.push(&beginning, false)), (vec![], vec![]));
    assert!(!streaming().push(&beginning, false).is_empty(), "full again");
}

/// What is too much to wait is told to come back, and not to log in.
#[test]
fn too_much_is_503_for_the_origin_that_asked() {
    let config = put(ruled(&rules()), "/resources/0/origins", json!(["https://app.example"]));
    let mut gate = gate(&config);
    let _pending: Vec<_> = (0..MAX_READING_ANONYMOUS).map(|_| reading(&mut gate, "")).collect();
    let Verdict::Reply(reply) = arrive(&mut gate, 1, "", &[("origin", "https://app.example")]) else {
        panic!("not refused")
    };
    assert_eq!((reply.status(), reply.reason()), (503, "mcp_oauth_overloaded"));
    let rows = [
        ("retry-after", Some("1")),
        ("www-authenticate", None),
        ("access-control-allow-origin", Some("https://app.example")),
        ("vary", Some("Origin")),
    ];
    for (name, expected) in rows {
        assert_eq!(reply_header(&reply, name), expected, "{name}");
    }
    assert_eq!(outcome(reading(&mut gate, &good_token()).judge(call("a").as_bytes())), Ok(()), "others are served");
}
