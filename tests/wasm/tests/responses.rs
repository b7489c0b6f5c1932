//! Responses: lists show what the caller may use, sessions belong to their caller, and all else passes untouched.

use serde_json::{Value, json};
use wasm_host_tests::{
    ADMIN_SCOPE, ADMIN_TOOL, DENIED_TOOL, Fault, Headers, Hold, Key, PATH, Request, Response, SCOPE, STATUSES, Stream,
    TOOL, Token, Vm, all_tools, asked, call, good_post, inline_config, message, response,
};

const MAX_LIST_BYTES: usize = 768 << 10;

/// The names of the tools in a list.
fn names(body: &[u8]) -> Vec<String> {
    let list: Value = serde_json::from_slice(body).unwrap_or_else(|bad| panic!("{bad}: {}", body.escape_ascii()));
    assert_eq!(list["id"], json!(7));
    let tools = list["result"]["tools"].as_array().unwrap_or_else(|| panic!("no tools: {list}"));
    tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}

#[track_caller]
fn assert_unreadable(body: &[u8]) {
    let answer: Value = serde_json::from_slice(body).unwrap_or_else(|bad| panic!("{bad}: {}", body.escape_ascii()));
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(7), &json!(-32603)), "{answer}");
}

#[test]
fn a_list_shows_only_what_the_caller_may_use() {
    for hold in Hold::BOTH {
        let mut vm = hold.warm();
        for by_trailers in [false, true] {
            let stream = asked(&mut vm, good_post().header("accept-encoding", "gzip"));
            assert_eq!(vm.upstream(stream).head.expect("a head").get("accept-encoding"), None);
            let seen = vm.respond(stream, response("application/json; charset=utf-8"));
            assert_eq!(seen.get("content-length"), None, "it became shorter");
            let list = all_tools();
            for chunk in list.as_bytes().chunks(20) {
                vm.send_back(stream, chunk, false);
                assert_eq!(vm.client(stream).body, b"", "nothing is shown before all of it is there");
            }
            if by_trailers {
                vm.send_back_trailers(stream)
            } else {
                vm.send_back(stream, "", true)
            }
            let got = vm.client(stream);
            assert!(got.ended);
            assert_eq!(names(&got.body), [TOOL]);
        }
        let admin = Token::good().claim("scope", format!("{SCOPE} {ADMIN_SCOPE}")).sign();
        let stream = asked(&mut vm, Request::post(PATH).bearer(&admin));
        vm.respond(stream, response("application/json"));
        vm.send_back(stream, all_tools(), true);
        assert_eq!(names(&vm.client(stream).body), [TOOL, ADMIN_TOOL]);
    }
}

#[test]
fn a_list_that_is_too_long_is_replaced_as_soon_as_that_is_known() {
    let mut vm = Hold::Headers.warm();
    let stream = asked(&mut vm, good_post());
    vm.respond(stream, response("application/json"));
    vm.send_back(stream, " ".repeat(MAX_LIST_BYTES), false);
    assert_eq!(vm.client(stream).body, b"", "as long as may be");
    vm.send_back(stream, " ", false);
    let shown = vm.client(stream).body;
    assert_unreadable(&shown);
    vm.send_back(stream, all_tools(), false);
    assert_eq!(vm.client(stream).body, shown, "nothing more is shown");
    vm.send_back(stream, all_tools(), true);
    assert_eq!(vm.client(stream).body, shown, "nothing more is shown");
    assert!(vm.client(stream).ended);
    // Trailers change nothing of that.
    let stream = asked(&mut vm, good_post());
    vm.respond(stream, response("application/json"));
    vm.send_back(stream, " ".repeat(MAX_LIST_BYTES + 1), false);
    vm.send_back_trailers(stream);
    assert_unreadable(&vm.client(stream).body);
    assert!(vm.client(stream).ended);
}

#[test]
fn a_list_of_exactly_the_longest_size_is_filtered() {
    let mut vm = Hold::Headers.warm();
    let stream = asked(&mut vm, good_post());
    vm.respond(stream, response("application/json"));
    let list = all_tools();
    vm.send_back(stream, format!("{list}{}", " ".repeat(MAX_LIST_BYTES - list.len())), false);
    vm.send_back(stream, "", true);
    assert_eq!(names(&vm.client(stream).body), [TOOL]);
}

#[test]
fn what_is_no_list_is_replaced() {
    let mut vm = Hold::Headers.warm();
    for body in ["", "nonsense", "[]", &all_tools()[1..]] {
        let stream = asked(&mut vm, good_post());
        vm.respond(stream, response("application/json"));
        vm.send_back(stream, body, true);
        assert_unreadable(&vm.client(stream).body);
    }
    // The host keeps the end to itself: what is there would read well.
    vm.world().withheld = 1;
    let stream = asked_short(&mut vm);
    vm.respond(stream, response("application/json"));
    vm.send_back(stream, format!("{} ", all_tools()), true);
    assert_unreadable(&vm.client(stream).body);
}

/// As [`asked`] while the host withholds bytes, which must not hit the request.
fn asked_short(vm: &mut Vm) -> Stream {
    let withheld = std::mem::take(&mut vm.world().withheld);
    let stream = asked(vm, good_post());
    vm.world().withheld = withheld;
    stream
}

/// RFC 9110 section 8.4.1: `identity` is no coding.
#[test]
fn a_list_that_says_it_is_not_compressed_is_filtered() {
    let mut vm = Hold::Headers.warm();
    let stream = asked(&mut vm, good_post());
    vm.respond(stream, response("application/json").header("content-encoding", "Identity"));
    vm.send_back(stream, all_tools(), true);
    assert_eq!(names(&vm.client(stream).body), [TOOL]);
}

#[test]
fn a_list_that_cannot_be_read_is_refused_before_it_is_shown() {
    for hold in Hold::BOTH {
        let mut vm = hold.warm();
        for response in [
            response("application/json").header("content-encoding", "gzip"),
            response("text/event-stream").header("content-encoding", "br"),
            response("text/html"),
            response("application/json, text/html"),
        ] {
            let stream = asked(&mut vm, good_post());
            assert_eq!(vm.try_respond(stream, response), None);
            vm.replied(stream).refuses(502, "bad_gateway");
            vm.send_back(stream, all_tools(), true);
            assert_eq!(vm.client(stream).body, b"");
        }
    }
}

#[test]
fn answers_that_are_no_success_are_no_lists() {
    let mut vm = Hold::Headers.warm();
    for response in [
        Response::status(404).header("content-type", "application/json").header("content-length", "9"),
        Response::status(500).header("content-type", "text/html").header("content-length", "9"),
    ] {
        let stream = asked(&mut vm, good_post());
        assert_eq!(vm.respond(stream, response).get("content-length"), Some("9"));
        vm.send_back(stream, "not a list", false);
        assert_eq!(vm.client(stream).body, b"not a list");
    }
}

/// A client that guesses what a body without a type is would see what another may not.
#[test]
fn what_has_no_type_is_read_as_a_list_if_it_is_anything() {
    let mut vm = Hold::Headers.warm();
    let stream = asked(&mut vm, good_post());
    vm.respond(stream, Response::status(200));
    vm.send_back(stream, all_tools(), true);
    assert_eq!(names(&vm.client(stream).body), [TOOL]);
    // A status that the host does not tell might be a success.
    let stream = asked(&mut vm, good_post());
    vm.respond(stream, Response::without_status().header("content-type", "application/json"));
    vm.send_back(stream, all_tools(), true);
    assert_eq!(names(&vm.client(stream).body), [TOOL]);
    let stream = asked(&mut vm, good_post());
    vm.respond(stream, Response::status(202));
    vm.send_back(stream, "", true);
    assert_eq!(vm.client(stream).body, b"", "202 has no body");
}

#[test]
fn a_list_that_cannot_be_replaced_is_not_shown() {
    for status in STATUSES {
        for by_trailers in [false, true] {
            let mut vm = Hold::Headers.warm();
            let stream = asked(&mut vm, good_post());
            vm.respond(stream, response("application/json"));
            vm.world().fault(Fault::always("proxy_set_buffer_bytes", status));
            vm.send_back(stream, all_tools(), !by_trailers);
            if by_trailers {
                vm.send_back_trailers(stream);
            }
            assert_eq!(vm.client(stream).body, b"", "status {status}");
        }
    }
}

#[test]
fn a_list_that_is_only_trailers_ends() {
    let mut vm = Hold::Headers.warm();
    let stream = asked(&mut vm, good_post());
    vm.respond(stream, response("application/json"));
    vm.send_back_trailers(stream);
    assert!(vm.client(stream).ended);
}

#[test]
fn a_list_that_was_too_long_and_cannot_be_replaced_is_not_shown_later() {
    for n in [1, 2] {
        for by_trailers in [false, true] {
            let mut vm = Hold::Headers.warm();
            let stream = asked(&mut vm, good_post());
            vm.respond(stream, response("application/json"));
            vm.world().fault(Fault::nth("proxy_set_buffer_bytes", n, 2));
            vm.send_back(stream, " ".repeat(MAX_LIST_BYTES + 1), false);
            vm.send_back(stream, all_tools(), false);
            if by_trailers {
                vm.send_back_trailers(stream)
            } else {
                vm.send_back(stream, all_tools(), true)
            }
            let shown = String::from_utf8_lossy(&vm.client(stream).body).into_owned();
            assert!(!shown.contains(DENIED_TOOL), "call {n} fails, trailers {by_trailers}: {}", shown.trim_start());
        }
    }
}

#[test]
fn other_responses_pass_piece_by_piece_and_cost_nothing() {
    for hold in Hold::BOTH {
        let mut vm = hold.warm();
        let stream = vm.request(good_post());
        vm.send(stream, call(TOOL), true);
        for content_type in ["text/event-stream", "application/json"] {
            let seen = vm.respond(stream, response(content_type));
            assert_eq!(seen.get("content-length"), Some("4711"));
            let before = vm.world().host_calls();
            let mut sent = Vec::new();
            for n in 0..5 {
                // Even what looks like a list.
                let event = format!("data: {n} {}\n\n", all_tools());
                vm.send_back(stream, &event, false);
                sent.extend(event.into_bytes());
                assert!(vm.client(stream).body == sent, "piece {n} waits or was changed");
            }
            vm.send_back_trailers(stream);
            assert!(vm.client(stream).ended);
            assert_eq!(vm.world().host_calls(), before);
        }
    }
}

const VARIABLE: &str = "MCP_SESSION_KEYS";
/// 32 bytes in base64url.
const SESSION_KEY: &str = "c2Vzc2lvbnMgYXJlIHNlYWxlZCB3aXRoIHRoaXMga2V5IQ";

fn sealing(hold: Option<Hold>) -> Value {
    let mut config = inline_config(&[Key::GOOD]);
    if let Some(hold) = hold {
        config = hold.ruled(config);
    }
    config["resources"][0]["sessions"] = json!({"key_variable": VARIABLE});
    config
}

fn sealing_vm(hold: Option<Hold>) -> Vm {
    let mut vm = Vm::with_environment(&[("HOME", "/"), (VARIABLE, SESSION_KEY), ("PATH", "")]);
    vm.world().stops_headers_only = hold == Some(Hold::Headers);
    let (_, accepted) = vm.root(sealing(hold).to_string());
    assert!(accepted, "{}", vm.world().log_text());
    vm
}

/// Sends a call in a session; returns the session's id as the upstream got it.
fn in_session(vm: &mut Vm, token: &str, id: &str) -> Result<String, Stream> {
    let stream = vm.request(Request::post(PATH).bearer(token).header("mcp-session-id", id));
    vm.send(stream, call(TOOL), true);
    let got: Option<Headers> = vm.upstream(stream).head;
    got.map(|head| head.get("mcp-session-id").expect("a session").to_owned()).ok_or(stream)
}

#[test]
fn sessions_are_sealed_for_their_caller_and_opened_for_the_upstream() {
    for hold in [None, Some(Hold::Headers), Some(Hold::Body)] {
        let mut vm = sealing_vm(hold);
        let alice = Token::good().sign();
        let stream = vm.request(Request::post(PATH).bearer(&alice));
        vm.send(stream, message("initialize", json!({})), true);
        let seen = vm.respond(stream, response("application/json").header("mcp-session-id", "s-1"));
        let sealed = seen.get("mcp-session-id").expect("a session").to_owned();
        assert!(sealed.starts_with("s-1.") && sealed.len() > 40, "{sealed}");
        assert_eq!(in_session(&mut vm, &alice, &sealed), Ok("s-1".to_owned()), "{hold:?}");

        let bob = Token::good().claim("sub", "bob").sign();
        for (token, id) in
            [(&bob, sealed.as_str()), (&alice, "s-1"), (&alice, ""), (&alice, &sealed[..sealed.len() - 1])]
        {
            let stream = in_session(&mut vm, token, id).expect_err("not their session");
            vm.replied(stream).refuses(404, "not_found");
            assert!(vm.upstream(stream).is_nothing(), "{hold:?}");
        }
        // Another worker has the same key and no memory of it.
        assert_eq!(in_session(&mut sealing_vm(hold), &alice, &sealed), Ok("s-1".to_owned()));
    }
}

#[test]
fn a_session_that_nobody_could_own_is_not_shown() {
    let mut vm = sealing_vm(None);
    for id in ["s 1", "", "\u{e9}"] {
        let stream = vm.request(good_post());
        let seen = vm.respond(stream, response("application/json").header("mcp-session-id", id));
        assert_eq!(seen.bytes("mcp-session-id"), None, "{id}");
    }
}

#[test]
fn sessions_without_their_key_are_a_finding_that_does_not_tell_it() {
    let short = "c2VjcmV0";
    for variables in
        [&[][..], &[("OTHER", SESSION_KEY)], &[(VARIABLE, short)], &[(VARIABLE, "")], &[(VARIABLE, "s/c+t")]]
    {
        let mut vm = Vm::with_environment(variables);
        let (_, accepted) = vm.root(sealing(None).to_string());
        assert!(!accepted, "{variables:?}");
        let log = vm.world().log_text();
        assert!(log.contains("resources[0].sessions.key_variable: ") && log.contains(VARIABLE), "{log}");
        assert!(!variables.iter().any(|(_, value)| !value.is_empty() && log.contains(value)), "{log}");
        let stream = vm.request(good_post());
        vm.replied(stream).refuses(503, "temporarily_unavailable");
    }
}
