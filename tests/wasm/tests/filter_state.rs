//! What the proxy is told of a request: for access logs, and for filters that decide by it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wasm_host_tests::{
    ADMIN_TOOL, CLIENT, DENIED_TOOL, Fault, Hold, ISSUER, Idp, Key, Outcome, PATH, Request, Response, SCOPE, STATUSES,
    SUBJECT, TOOL, Token, Vm, call, good_post, inline_config, message,
};

const SET: &str = "proxy_set_property";
const ALL: [&str; 8] = ["subject", "client_id", "issuer", "scopes", "method", "tool", "decision", "reason"];

fn config(names: &[&str]) -> Value {
    let mut config = inline_config(&[Key::GOOD]);
    config["filter_state"] = json!(names);
    config
}

fn state(lines: &[(&str, &str)]) -> BTreeMap<String, String> {
    lines.iter().map(|(name, value)| (format!("wasm.mcp_oauth.{name}"), (*value).to_owned())).collect()
}

const WHO: [(&str, &str); 4] = [("subject", SUBJECT), ("client_id", CLIENT), ("issuer", ISSUER), ("scopes", SCOPE)];

fn who(more: &[(&str, &str)]) -> BTreeMap<String, String> {
    state(&[&WHO, more].concat())
}

#[test]
fn a_forwarded_request_is_allowed_and_has_an_identity() {
    let mut vm = Vm::start(config(&ALL).to_string());
    let stream = vm.request(good_post().header("x-mcp-subject", "mallory"));
    vm.forwarded(stream);
    assert_eq!(vm.filter_state(stream), who(&[("decision", "allow")]));
}

#[test]
fn only_what_was_asked_for_is_told_and_each_is_one_call() {
    let subsets: [&[&str]; 4] = [&[], &["subject"], &["decision", "issuer"], &["method", "tool", "reason"]];
    for names in subsets {
        let mut vm = Vm::start(config(names).to_string());
        let stream = vm.request(good_post());
        vm.forwarded(stream);
        let mut expected = who(&[("decision", "allow")]);
        expected.retain(|name, _| names.iter().any(|wanted| name == &format!("wasm.mcp_oauth.{wanted}")));
        assert_eq!(vm.filter_state(stream), expected, "{names:?}");
        let calls = vm.world().counts.get(SET).copied().unwrap_or_default();
        assert_eq!(calls as usize, expected.len(), "{names:?}");
    }
}

#[test]
fn a_refusal_says_why_and_whose_token_it_was_if_that_was_good() {
    let mut vm = Vm::start(config(&ALL).to_string());
    let good = Token::good();
    let unscoped = good.clone().claim("scope", "other").sign();
    let rows = [
        (Request::post(PATH), state(&[("reason", "mcp_oauth_missing_token")])),
        // Its claims are nobody's word.
        (
            Request::post(PATH).bearer(&Token::good().claim("aud", "https://x.example").sign()),
            state(&[("reason", "mcp_oauth_token_audience")]),
        ),
        (
            Request::post(PATH).bearer(&good.clone().claim("jti", 2).with_signature_of(&good.sign())),
            state(&[("reason", "mcp_oauth_token_signature")]),
        ),
        (
            Request::post(PATH).bearer(&unscoped),
            who(&[("reason", "mcp_oauth_insufficient_scope"), ("scopes", "other")]),
        ),
        (Request::post("/other"), state(&[("reason", "mcp_oauth_unmatched")])),
    ];
    for (request, mut expected) in rows {
        let stream = vm.request(request);
        let reply = vm.replied(stream);
        expected.extend(state(&[("decision", "deny")]));
        let told = vm.filter_state(stream);
        assert_eq!(told["wasm.mcp_oauth.reason"], reply.details);
        assert_eq!(told, expected);
    }
}

#[test]
fn documents_and_preflights_are_answers_with_details_too() {
    let mut vm = Vm::start(config(&ALL).to_string());
    let document = format!("/.well-known/oauth-protected-resource{PATH}");
    let preflight = Request::new("OPTIONS", PATH)
        .header("origin", "https://a.example")
        .header("access-control-request-method", "POST");
    let rows = [
        (Request::get(&document), "answer", "mcp_oauth_metadata"),
        (Request::new("HEAD", &document), "answer", "mcp_oauth_metadata"),
        (preflight, "answer", "mcp_oauth_preflight"),
        (Request::new("PUT", &document), "deny", "mcp_oauth_document_method"),
        (Request::get("/.well-known/oauth-protected-resource/x"), "deny", "mcp_oauth_no_document"),
    ];
    for (request, decision, reason) in rows {
        let stream = vm.request(request);
        assert_eq!(vm.replied(stream).details, reason);
        assert_eq!(vm.filter_state(stream), state(&[("decision", decision), ("reason", reason)]));
    }
}

#[test]
fn what_a_body_asks_for_is_told_whatever_becomes_of_it() {
    for hold in Hold::BOTH {
        let mut ruled = hold.ruled(config(&ALL));
        ruled["resources"][0]["body"] = json!({"batches": true});
        ruled["resources"][0]["filter_lists"] = json!(false);
        let mut vm = hold.start(&ruled);
        let long = "x".repeat(257);
        let cut = format!("{}...", "x".repeat(256));
        let odd = "a b\u{e5}%";
        let call_of = |tool: &str| call(tool);
        let denied = |reason: &'static str| vec![("decision", "deny"), ("reason", reason)];
        let allowed = vec![("decision", "allow")];
        let batch = format!("[{},{}]", message("ping", json!({})), message("prompts/list", json!({})));
        let rows = [
            (call_of(TOOL), vec![("method", "tools/call"), ("tool", TOOL)], allowed.clone()),
            (call_of(&long[..256]), vec![("method", "tools/call"), ("tool", &long[..256])], allowed.clone()),
            (call_of(&long), vec![("method", "tools/call"), ("tool", cut.as_str())], allowed.clone()),
            (call_of(odd), vec![("method", "tools/call"), ("tool", "a%20b%C3%A5%25")], allowed.clone()),
            (message("ping", json!({})), vec![("method", "ping")], allowed.clone()),
            (batch, vec![], allowed.clone()),
            (call_of(DENIED_TOOL), vec![("method", "tools/call"), ("tool", DENIED_TOOL)], denied("mcp_oauth_denied")),
            (
                call_of(ADMIN_TOOL),
                vec![("method", "tools/call"), ("tool", ADMIN_TOOL)],
                denied("mcp_oauth_insufficient_scope"),
            ),
            ("{".to_owned(), vec![], denied("mcp_oauth_malformed_message")),
        ];
        for (body, asked, decision) in rows {
            let stream = vm.request(good_post());
            vm.send(stream, &body, true);
            assert_eq!(vm.filter_state(stream), who(&[asked, decision].concat()), "{hold:?}: {body:.60}");
        }
    }
}

#[test]
fn a_held_request_is_told_of_when_it_goes_on() {
    for hold in Hold::BOTH {
        let mut config = hold.ruled(wasm_host_tests::fetching_config());
        config["filter_state"] = json!(ALL);
        let mut vm = hold.start(&config);
        let stream = vm.request(good_post());
        assert!(vm.filter_state(stream).is_empty());
        Idp::default().serve(&mut vm);
        vm.send(stream, call(TOOL), true);
        assert_eq!(
            vm.filter_state(stream),
            who(&[("method", "tools/call"), ("tool", TOOL), ("decision", "allow")]),
            "{hold:?}"
        );
    }
}

#[test]
fn an_allowance_is_taken_back_when_the_answer_is_replaced() {
    let hold = Hold::Headers;
    let mut vm = hold.start(&hold.ruled(config(&["decision", "reason"])));
    let stream = vm.request(good_post());
    vm.send(stream, message("tools/list", json!({})), true);
    assert_eq!(vm.filter_state(stream), state(&[("decision", "allow")]));
    vm.try_respond(stream, Response::status(200).header("content-type", "text/html"));
    assert_eq!(vm.filter_state(stream), state(&[("decision", "deny"), ("reason", "mcp_oauth_unreadable_list")]));
}

/// Whether the upstream got all of a request.
fn went_on(vm: &mut Vm, hold: Option<Hold>) -> bool {
    let stream = vm.request(good_post());
    match hold {
        None => matches!(vm.outcome(stream), Outcome::Forwarded(_)),
        Some(_) => {
            vm.send(stream, call(TOOL), true);
            vm.upstream(stream).ended && !matches!(vm.outcome(stream), Outcome::Replied(_))
        }
    }
}

#[test]
fn a_request_does_not_go_on_unless_all_of_it_was_told() {
    let ways = [(None, 5), (Some(Hold::Headers), 7), (Some(Hold::Body), 7)];
    for (hold, calls) in ways {
        let config = hold.map_or_else(|| config(&ALL), |hold| hold.ruled(config(&ALL)));
        for n in 1..=calls {
            for status in STATUSES {
                let mut vm = hold.unwrap_or(Hold::Headers).start(&config);
                vm.world().fault(Fault::nth(SET, n, status));
                assert!(!went_on(&mut vm, hold), "{hold:?}: call {n} returns {status}");
                let stream = vm.request(good_post());
                vm.delete(stream);
                assert!(went_on(&mut vm, hold), "the next one: {hold:?}: call {n} returns {status}");
            }
        }
        let mut vm = hold.unwrap_or(Hold::Headers).start(&config);
        vm.world().fault(Fault::nth(SET, calls + 1, 2));
        assert!(went_on(&mut vm, hold), "{hold:?}: there are not more than {calls} calls");
    }
}

#[test]
fn a_refusal_is_sent_even_if_nothing_can_be_told() {
    for status in STATUSES {
        let mut vm = Vm::start(config(&ALL).to_string());
        vm.world().fault(Fault::always(SET, status));
        let stream = vm.request(Request::post(PATH));
        vm.replied(stream).refuses(401, "missing_token");
        let stream = vm.request(good_post());
        vm.replied(stream).refuses(503, "temporarily_unavailable");
    }
}
