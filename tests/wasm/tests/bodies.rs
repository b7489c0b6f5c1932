//! Bodies of requests that rules judge: nothing goes upstream before the verdict, and all of it after.

use serde_json::{Value, json};
use wasm_host_tests::{
    ADMIN_SCOPE, ADMIN_TOOL, DENIED_TOOL, Hold, Key, PATH, Reply, Request, Response, SCOPE, Stream, TOOL, Token, Vm,
    breach, call, good_post, inline_config, message,
};

/// As an interpreter is slow, one size of many chunks.
const CHUNK: usize = 16 * 1024;

/// What the client of a denied request gets: the answer to its message.
#[track_caller]
fn assert_rpc_error(reply: &Reply, error: &str) {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_else(|bad| panic!("{bad}: {reply:?}"));
    assert_eq!((reply.status, &body["id"]), (403, &json!(7)), "{reply:?}");
    assert_eq!(body["error"]["data"]["error"], json!(error), "{reply:?}");
}

/// The upstream got this message, all of it, and a head with the identity and without the token.
#[track_caller]
fn assert_forwarded(vm: &mut Vm, stream: Stream, body: &[u8]) {
    let got = vm.upstream(stream);
    assert!(got.ended, "{} of {} bytes\n{}", got.body.len(), body.len(), vm.world().log_text());
    assert!(got.body == body, "{} bytes instead of {}", got.body.len(), body.len());
    assert_eq!(breach(vm, stream, true), None);
}

/// The upstream got nothing, or where heads do not wait, nothing but a clean head.
#[track_caller]
fn assert_kept(vm: &mut Vm, stream: Stream, hold: Hold) {
    let got = vm.upstream(stream);
    match hold {
        Hold::Headers => assert!(got.is_nothing(), "{got:?}"),
        Hold::Body => {
            assert!(got.head.is_some() && got.body.is_empty() && !got.ended, "{got:?}");
            assert_eq!(breach(vm, stream, true), None);
        }
    }
}

/// A message of about this many bytes.
fn long_call(tool: &str, size: usize) -> String {
    message("tools/call", json!({"name": tool, "arguments": {"text": "x".repeat(size)}}))
}

#[test]
fn a_body_in_one_piece_goes_upstream_with_its_head() {
    for hold in Hold::BOTH {
        let mut vm = hold.warm();
        let stream = vm.request(good_post().header("x-mcp-subject", "mallory"));
        assert_kept(&mut vm, stream, hold);
        vm.send(stream, call(TOOL), true);
        assert_forwarded(&mut vm, stream, call(TOOL).as_bytes());
    }
}

#[test]
fn a_body_in_many_pieces_waits_for_the_last_one() {
    for hold in Hold::BOTH {
        for by_trailers in [false, true] {
            let mut vm = hold.warm();
            let body = long_call(TOOL, 300_000);
            let stream = vm.request(good_post());
            for chunk in body.as_bytes().chunks(CHUNK) {
                vm.send(stream, chunk, false);
                assert_kept(&mut vm, stream, hold);
            }
            if by_trailers {
                vm.send_trailers(stream)
            } else {
                vm.send(stream, "", true)
            }
            assert_forwarded(&mut vm, stream, body.as_bytes());
        }
    }
}

#[test]
fn the_last_piece_may_have_bytes_too() {
    for hold in Hold::BOTH {
        let mut vm = hold.warm();
        let body = call(TOOL);
        let (first, last) = body.split_at(30);
        let stream = vm.request(good_post());
        vm.send(stream, first, false);
        assert_kept(&mut vm, stream, hold);
        vm.send(stream, last, true);
        assert_forwarded(&mut vm, stream, body.as_bytes());
    }
}

#[test]
fn what_a_rule_denies_never_reaches_the_upstream() {
    for hold in Hold::BOTH {
        let body = long_call(DENIED_TOOL, 40_000);
        for by_trailers in [false, true] {
            let mut vm = hold.warm();
            let stream = vm.request(good_post());
            for chunk in body.as_bytes().chunks(CHUNK) {
                vm.send(stream, chunk, false);
            }
            if by_trailers {
                vm.send_trailers(stream)
            } else {
                vm.send(stream, "", true)
            }
            assert_rpc_error(&vm.replied(stream), "access_denied");
            assert_kept(&mut vm, stream, hold);
            // What comes after the verdict does not follow.
            vm.send(stream, call(TOOL), true);
            assert_kept(&mut vm, stream, hold);
        }
        let mut vm = hold.warm();
        let stream = vm.request(good_post());
        vm.send(stream, call(DENIED_TOOL), true);
        assert_rpc_error(&vm.replied(stream), "access_denied");
        assert_kept(&mut vm, stream, hold);
    }
}

#[test]
fn a_rule_that_asks_for_scopes_is_told_to_the_client() {
    for hold in Hold::BOTH {
        let mut vm = hold.warm();
        let stream = vm.request(good_post());
        vm.send(stream, call(ADMIN_TOOL), true);
        let reply = vm.replied(stream);
        assert_rpc_error(&reply, "insufficient_scope");
        assert!(reply.challenge().contains(&format!("{ADMIN_SCOPE} {SCOPE}")), "{}", reply.challenge());
        assert_kept(&mut vm, stream, hold);

        let admin = Token::good().claim("scope", format!("{SCOPE} {ADMIN_SCOPE}")).sign();
        let stream = vm.request(Request::post(PATH).bearer(&admin));
        vm.send(stream, call(ADMIN_TOOL), true);
        assert_eq!(vm.upstream(stream).body, call(ADMIN_TOOL).into_bytes());
    }
}

#[test]
fn a_body_that_is_no_message_stays_here() {
    for hold in Hold::BOTH {
        let mut vm = hold.warm();
        let batch = format!("[{}]", call(TOOL));
        let doubled = call(TOOL).replace("\"method\"", "\"method\":\"ping\",\"method\"");
        for body in ["", "{}", "nonsense", &call(TOOL)[1..], &batch, &doubled, &format!("{} ,", call(TOOL))] {
            let stream = vm.request(good_post());
            vm.send(stream, body, true);
            vm.replied(stream).refuses(400, "invalid_request");
            assert_kept(&mut vm, stream, hold);
        }
        // Trailers and no body at all: then there is no buffer.
        let stream = vm.request(good_post());
        vm.send_trailers(stream);
        vm.replied(stream).refuses(400, "invalid_request");
        assert_kept(&mut vm, stream, hold);
    }
}

#[test]
fn a_request_that_ends_with_its_head_is_judged_at_once() {
    for hold in Hold::BOTH {
        let mut vm = hold.warm();
        for method in ["GET", "DELETE"] {
            let stream = vm.request(Request::new(method, PATH).bearer(&Token::good().sign()));
            assert_forwarded(&mut vm, stream, b"");
        }
        let stream = vm.request(good_post().ending(true));
        vm.replied(stream).refuses(400, "invalid_request");
        assert!(vm.upstream(stream).is_nothing(), "not even the head");
        let stream = vm.request(Request::new("PUT", PATH).bearer(&Token::good().sign()).ending(false));
        vm.replied(stream).refuses(405, "method_not_allowed");
        assert!(vm.upstream(stream).is_nothing());
    }
}

#[test]
fn get_and_delete_have_no_body_however_it_ends() {
    for hold in Hold::BOTH {
        for method in ["GET", "DELETE"] {
            let request = || Request::new(method, PATH).bearer(&Token::good().sign()).ending(false);
            let mut vm = hold.warm();
            let stream = vm.request(request());
            assert_kept(&mut vm, stream, hold);
            vm.send(stream, call(TOOL), true);
            vm.replied(stream).refuses(400, "invalid_request");
            assert_kept(&mut vm, stream, hold);

            // A client may say only later that nothing comes.
            let stream = vm.request(request());
            vm.send(stream, "", true);
            assert_forwarded(&mut vm, stream, b"");
            let stream = vm.request(request());
            vm.send_trailers(stream);
            assert_forwarded(&mut vm, stream, b"");
        }
    }
}

#[test]
fn a_body_that_is_too_long_is_refused_before_it_ends() {
    for hold in Hold::BOTH {
        let mut config = hold.ruled(inline_config(&[Key::GOOD]));
        config["resources"][0]["body"] = json!({"max_size": "1KiB"});
        let mut vm = hold.start(&config);
        let body = long_call(TOOL, 2000);
        for pieces in [&[1024, 1][..], &[1025], &[1, 1, 1023], &[2000]] {
            let stream = vm.request(good_post());
            let mut rest = body.as_bytes();
            for (n, size) in pieces.iter().enumerate() {
                assert_eq!(rest.len(), body.len() - pieces[..n].iter().sum::<usize>());
                assert_kept(&mut vm, stream, hold);
                let (piece, left) = rest.split_at(*size);
                vm.send(stream, piece, false);
                rest = left;
            }
            vm.replied(stream).refuses(413, "invalid_request");
            assert_kept(&mut vm, stream, hold);
        }
        assert_eq!(vm.world().counts["proxy_get_buffer_bytes"], 1, "only the configuration is worth its copy");
        let stream = vm.request(good_post());
        let fits = long_call(TOOL, 1024 - long_call(TOOL, 0).len());
        vm.send(stream, &fits, false);
        assert_kept(&mut vm, stream, hold);
        vm.send(stream, "", true);
        assert_forwarded(&mut vm, stream, fits.as_bytes());
    }
}

#[test]
fn a_body_of_which_the_host_keeps_a_part_to_itself_is_not_forwarded() {
    for hold in Hold::BOTH {
        for withheld in [1, 10_000] {
            for by_trailers in [false, true] {
                let mut vm = hold.warm();
                vm.world().withheld = withheld;
                let stream = vm.request(good_post());
                // Read without its end, it would be a good message.
                vm.send(stream, format!("{} ", call(TOOL)), !by_trailers);
                if by_trailers {
                    vm.send_trailers(stream);
                }
                vm.replied(stream).refuses(503, "temporarily_unavailable");
                assert_kept(&mut vm, stream, hold);
            }
        }
    }
}

#[test]
fn an_upstream_that_answers_a_head_early_tells_no_more_than_otherwise() {
    let mut vm = Hold::Body.warm();
    for verdict in [TOOL, DENIED_TOOL] {
        let stream = vm.request(good_post());
        vm.send(stream, "{", false);
        let challenge = "Bearer resource_metadata=\"https://evil.example/\"";
        let seen = vm.respond(stream, Response::status(401).header("www-authenticate", challenge));
        assert!(!seen.mentions("evil.example"), "{seen:?}");
        assert!(seen.mentions("mcp.example.com"), "{seen:?}");
        vm.send_back(stream, "early", false);
        assert_eq!(vm.client(stream).body, b"early");

        vm.send(stream, &call(verdict)[1..], true);
        let body = vm.upstream(stream).body;
        // The client has a response already, so the stream is reset; either way nothing unjudged goes on.
        assert_eq!(vm.was_reset(stream), verdict == DENIED_TOOL);
        assert_eq!(body, if verdict == TOOL { call(TOOL).into_bytes() } else { Vec::new() });
    }
}

#[test]
fn methods_that_need_no_token_do_without_one_and_others_do_not() {
    let hold = Hold::Headers;
    let mut config = hold.ruled(inline_config(&[Key::GOOD]));
    config["resources"][0]["anonymous_methods"] = json!(["initialize", "tools/list"]);
    let mut vm = hold.start(&config);
    for method in ["initialize", "tools/list"] {
        let stream = vm.request(Request::post(PATH).header("x-mcp-subject", "mallory"));
        assert_kept(&mut vm, stream, hold);
        let body = message(method, json!({}));
        vm.send(stream, &body, true);
        let got = vm.upstream(stream);
        assert_eq!((got.body, got.ended), (body.into_bytes(), true));
        let head = got.head.expect("a head");
        assert!(!head.mentions("mallory") && !head.mentions("x-mcp-"), "{head:?}");
    }
    for body in [call(TOOL), message("ping", json!({})), format!("[{}]", message("initialize", json!({})))] {
        let stream = vm.request(Request::post(PATH));
        vm.send(stream, body, true);
        let reply = vm.replied(stream);
        assert!([400, 401].contains(&reply.status), "{reply:?}");
        assert!(vm.upstream(stream).is_nothing());
    }
    // A token that is sent must be good, whatever the method.
    let stream = vm.request(Request::post(PATH).bearer(&Token::good().forged_by(Key::OTHER).sign()));
    vm.replied(stream).refuses(401, "invalid_token");
    for method in ["GET", "DELETE"] {
        let stream = vm.request(Request::new(method, PATH));
        vm.replied(stream).refuses(401, "missing_token");
    }
}

#[test]
fn bodies_of_resources_without_rules_pass_piece_by_piece() {
    for stops_headers_only in [false, true] {
        let mut vm = Vm::start(inline_config(&[Key::GOOD]).to_string());
        vm.world().stops_headers_only = stops_headers_only;
        let stream = vm.request(good_post());
        let before = vm.world().host_calls();
        vm.send(stream, "any", false);
        assert_eq!(vm.upstream(stream).body, b"any");
        vm.send(stream, "thing", false);
        vm.send_trailers(stream);
        assert_eq!(vm.world().host_calls(), before);
        assert_forwarded(&mut vm, stream, b"anything");
    }
}

#[test]
fn a_request_that_no_rule_guards_is_not_judged_by_its_body_either() {
    let mut config = Hold::Headers.ruled(inline_config(&[Key::GOOD]));
    config["unmatched"] = json!("insecure_forward");
    for hold in Hold::BOTH {
        let mut vm = hold.start(&config);
        let stream = vm.request(Request::post("/elsewhere").with(":authority", "other.example.com"));
        vm.send(stream, call(DENIED_TOOL), true);
        assert_eq!(vm.upstream(stream).body, call(DENIED_TOOL).into_bytes());
    }
}
