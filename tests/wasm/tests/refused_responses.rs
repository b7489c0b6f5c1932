//! Responses in whose place the filter answers: those that came too early, and those that it cannot filter.

use serde_json::{Value, json};
use wasm_host_tests::{
    Fault, Hold, Key, Request, Response, Stream, TOOL, Vm, all_tools, asked, call, good_post, inline_config, message,
    response,
};

/// Nobody knows yet whether it is a list, and of whose tools.
#[test]
fn a_success_that_begins_before_the_request_was_judged_is_refused_where_lists_are_filtered() {
    let list = message("tools/list", json!({}));
    for filters in [true, false] {
        let mut config = Hold::Body.ruled(inline_config(&[Key::GOOD]));
        config["resources"][0]["filter_lists"] = json!(filters);
        let mut vm = Hold::Body.start(&config);
        for (status, content_type) in [(200, "text/event-stream"), (200, "application/json"), (202, "x"), (299, "x")] {
            let early = Response::status(status).header("content-type", content_type);
            for sent in [0, 1, list.len()] {
                let stream = vm.request(good_post());
                vm.send(stream, &list[..sent], false);
                assert!(vm.upstream(stream).body.is_empty(), "only the head has gone");
                let seen = vm.try_respond(stream, early.clone());
                assert_eq!(seen.is_some(), !filters, "{status} after {sent} bytes");
                vm.send_back(stream, all_tools(), true);
                if filters {
                    vm.replied(stream).refuses(502, "bad_gateway");
                    assert_eq!(vm.replied(stream).details, "mcp_oauth_early_response");
                    assert_eq!(vm.client(stream).body, b"");
                }
                vm.send(stream, &list[sent..], true);
                assert_eq!(vm.upstream(stream).body.is_empty(), filters, "{status} after {sent} bytes");
            }
        }
        let stream = vm.request(good_post());
        assert_eq!(vm.try_respond(stream, Response::without_status()).is_some(), !filters, "it might be a success");
        // No list is an answer without success, and it stays as it is, whatever was asked for.
        for status in [199, 300, 400, 413, 500] {
            let stream = vm.request(good_post());
            vm.send(stream, &list[..1], false);
            vm.respond(stream, Response::status(status).header("content-type", "application/json"));
            vm.send(stream, &list[1..], true);
            assert!(vm.upstream(stream).ended, "{status}");
            vm.send_back(stream, all_tools(), true);
            assert_eq!(vm.client(stream).body, all_tools().into_bytes(), "{status}");
        }
        // In its time an answer is filtered.
        let stream = asked(&mut vm, good_post());
        vm.respond(stream, response("application/json"));
        vm.send_back(stream, all_tools(), true);
        assert_eq!(vm.client(stream).body == all_tools().into_bytes(), !filters);
    }
}

/// A page whose requests are refused must be able to read why, and no other page.
#[test]
fn refusals_on_the_way_back_are_for_the_origin_that_asked() {
    let origin = "https://app.example";
    let refused_early = |vm: &mut Vm, request: Request| {
        let stream = vm.request(request);
        vm.try_respond(stream, response("application/json"));
        stream
    };
    let unreadable = |vm: &mut Vm, request: Request| {
        let stream = asked(vm, request);
        vm.try_respond(stream, response("text/html"));
        stream
    };
    let unchanged = |vm: &mut Vm, request: Request| {
        let stream = asked(vm, request);
        vm.world().fault(Fault::always("proxy_remove_header_map_value", 2));
        vm.try_respond(stream, response("application/json"));
        vm.world().heal();
        stream
    };
    let unread = |vm: &mut Vm, request: Request| {
        let stream = vm.request(request);
        vm.world().fault(Fault::always("proxy_get_buffer_bytes", 2));
        vm.send(stream, call(TOOL), true);
        vm.world().heal();
        stream
    };
    let unedited = |vm: &mut Vm, request: Request| {
        vm.world().fault(Fault::always("proxy_add_header_map_value", 2));
        let stream = vm.request(request);
        vm.send(stream, call(TOOL), true);
        vm.world().heal();
        stream
    };
    type Refused = fn(&mut Vm, Request) -> Stream;
    let rows: [(&str, u32, &[Hold], Refused); 5] = [
        ("early", 502, &[Hold::Body], refused_early),
        ("no list", 502, &Hold::BOTH, unreadable),
        ("the host does not edit the response", 503, &Hold::BOTH, unchanged),
        ("the host does not hand over the body", 503, &Hold::BOTH, unread),
        ("the host does not edit the request", 503, &Hold::BOTH, unedited),
    ];
    for (name, status, holds, refused) in rows {
        for hold in holds {
            for origins in [json!([origin, "https://other.example"]), Value::Null] {
                let mut config = hold.ruled(inline_config(&[Key::GOOD]));
                if !origins.is_null() {
                    config["resources"][0]["origins"] = origins.clone();
                }
                let mut vm = hold.start(&config);
                for sent in [Some(origin), None] {
                    let request = sent.map_or(good_post(), |origin| good_post().header("origin", origin));
                    let stream = refused(&mut vm, request);
                    let reply = vm.replied(stream);
                    assert_eq!(reply.status, status, "{name}: {reply:?}");
                    let allowed = reply.headers.get("access-control-allow-origin");
                    let expected = if origins.is_null() { Some("*") } else { sent };
                    assert_eq!(allowed, expected, "{name}, {hold:?}, {origins}, {sent:?}");
                    let vary = (!origins.is_null()).then_some("Origin");
                    assert_eq!(reply.headers.get("vary"), vary, "{name}, {hold:?}, {origins}, {sent:?}");
                }
            }
        }
    }
}
