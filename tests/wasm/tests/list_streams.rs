//! Lists in event streams: each event passes with its last byte, cut wherever it may be, and nothing that is hidden does.

use wasm_host_tests::{
    DENIED_TOOL, Fault, Hold, STATUSES, Stream, TOOL, Vm, all_tools, asked, good_post, response, tools,
};

const MAX_LIST_BYTES: usize = 768 << 10;

/// What a server asks its client for before it goes on.
const SAMPLING: &str = r#"{"jsonrpc":"2.0","id":"s-1","method":"sampling/createMessage","params":{"tools":[]}}"#;

fn event(message: &str) -> String {
    format!(": hello\nid: 1\nevent: message\ndata: {message}\n\n")
}

fn whole() -> String {
    event(&all_tools())
}

fn kept() -> String {
    event(&tools(&[TOOL]))
}

/// A list that is about to be streamed.
fn streaming(vm: &mut Vm) -> Stream {
    let stream = asked(vm, good_post());
    let seen = vm.respond(stream, response("Text/Event-Stream; charset=utf-8"));
    assert_eq!(seen.get("content-length"), None, "it may become shorter");
    stream
}

#[track_caller]
fn assert_shown(vm: &mut Vm, stream: Stream, expected: &str) {
    assert_eq!(String::from_utf8_lossy(&vm.client(stream).body), expected);
}

/// The error that answers the request, as an event.
#[track_caller]
fn assert_ends_with_error(shown: &str) {
    let last = shown.rsplit("event: message\ndata: ").next().and_then(|last| last.strip_suffix("\n\n"));
    let answer: serde_json::Value =
        serde_json::from_str(last.expect("an event")).unwrap_or_else(|bad| panic!("{bad}: {shown}"));
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&7.into(), &(-32603).into()), "{shown}");
}

#[test]
fn what_a_server_asks_in_between_reaches_the_client_at_once() {
    for hold in Hold::BOTH {
        let mut vm = hold.warm();
        let stream = streaming(&mut vm);
        vm.send_back(stream, event(SAMPLING), false);
        assert_shown(&mut vm, stream, &event(SAMPLING));
        // The answer is a request of its own; the server waits for it.
        let answer = vm.request(good_post());
        vm.send(answer, r#"{"jsonrpc":"2.0","id":"s-1","result":{}}"#, true);
        assert!(vm.upstream(answer).ended);
        vm.send_back(stream, whole(), false);
        assert_shown(&mut vm, stream, &(event(SAMPLING) + &kept()));
        assert!(!vm.client(stream).ended, "it stays open");
        vm.send_back(stream, ": still there\n\n", false);
        assert_shown(&mut vm, stream, &(event(SAMPLING) + &kept() + ": still there\n\n"));
        vm.send_back(stream, "", true);
        assert!(vm.client(stream).ended);
    }
}

#[test]
fn events_may_be_cut_at_every_byte() {
    let mut vm = Hold::Headers.warm();
    let (list, left) = (all_tools(), tools(&[TOOL]));
    let whole = format!("\u{feff}data: {SAMPLING}\r\n\r\n: a\r\ndata:{list}\r\n\r\n:\r\rdata: {list}\r\rdata: {list}");
    let expected =
        format!("\u{feff}data: {SAMPLING}\r\n\r\n: a\r\ndata:{left}\r\n\r\n:\r\rdata: {left}\r\rdata: {left}");
    for at in 0..=whole.len() {
        let stream = streaming(&mut vm);
        let (first, last) = whole.as_bytes().split_at(at);
        vm.send_back(stream, first, false);
        assert!(!String::from_utf8_lossy(&vm.client(stream).body).contains(DENIED_TOOL), "cut at {at}");
        vm.send_back(stream, last, at % 2 == 0);
        if at % 2 == 1 {
            vm.send_back(stream, "", true);
        }
        assert_shown(&mut vm, stream, &expected);
        assert!(vm.client(stream).ended, "cut at {at}");
        vm.delete(stream);
    }
    let stream = streaming(&mut vm);
    for byte in whole.bytes() {
        vm.send_back(stream, [byte], false);
    }
    vm.send_back(stream, "", true);
    assert_shown(&mut vm, stream, &expected);
}

/// There is no buffer any more to show the rest in.
#[test]
fn trailers_end_a_stream_too_and_what_is_no_whole_event_is_none() {
    for (sent, shown) in [
        (whole(), kept()),
        (format!("{}data: {}", whole(), all_tools()), kept()),
        (format!("data: {}", all_tools()), String::new()),
        (String::new(), String::new()),
    ] {
        let mut vm = Hold::Headers.warm();
        let stream = streaming(&mut vm);
        for piece in sent.as_bytes().chunks(50) {
            vm.send_back(stream, piece, false);
        }
        vm.send_back_trailers(stream);
        assert_shown(&mut vm, stream, &shown);
        assert!(vm.client(stream).ended);
    }
}

#[test]
fn what_cannot_be_read_becomes_an_error_behind_what_was_shown() {
    let too_long = " ".repeat(MAX_LIST_BYTES + 1);
    for bad in ["data: nonsense\n\n", "data: []\n\n", &whole().replace("]}", ""), &too_long] {
        for ended in [true, false] {
            let mut vm = Hold::Headers.warm();
            let stream = streaming(&mut vm);
            vm.send_back(stream, whole(), false);
            vm.send_back(stream, bad, ended);
            let shown = String::from_utf8_lossy(&vm.client(stream).body).into_owned();
            assert!(shown.starts_with(&kept()) && !shown.contains(DENIED_TOOL), "{shown}");
            assert_ends_with_error(&shown);
            vm.send_back(stream, whole(), false);
            vm.send_back(stream, whole(), true);
            assert_shown(&mut vm, stream, &shown);
            assert!(vm.client(stream).ended);
        }
    }
}

#[test]
fn an_event_of_exactly_the_longest_size_is_filtered() {
    let mut vm = Hold::Headers.warm();
    let stream = streaming(&mut vm);
    let padded = |event: &str| format!("{}{event}", "x\n".repeat((MAX_LIST_BYTES - whole().len()) / 2));
    let long = padded(&whole());
    for piece in long.as_bytes().chunks(100_000) {
        assert_eq!(vm.client(stream).body, b"");
        vm.send_back(stream, piece, false);
    }
    assert!(vm.client(stream).body == padded(&kept()).into_bytes());
}

const PIECES: u32 = 5;

/// [`PIECES`] of a stream while the n-th call of a function fails; what the client saw.
fn with_fault(function: &'static str, n: u32, status: u32, by_trailers: bool) -> (String, bool) {
    let mut vm = Hold::Headers.warm();
    let stream = streaming(&mut vm);
    vm.world().fault(Fault::nth(function, n, status));
    let sent = event(SAMPLING) + &whole() + &event(SAMPLING);
    let pieces = sent.as_bytes().chunks(sent.len().div_ceil(PIECES as usize));
    assert_eq!(pieces.len(), PIECES as usize);
    for piece in pieces {
        vm.send_back(stream, piece, false);
    }
    if by_trailers {
        vm.send_back_trailers(stream)
    } else {
        vm.send_back(stream, "", true)
    }
    let got = vm.client(stream);
    (String::from_utf8(got.body).expect("UTF-8"), got.ended)
}

#[test]
fn when_the_host_fails_in_the_middle_nothing_is_shown_that_was_not_filtered() {
    let good = event(SAMPLING) + &kept() + &event(SAMPLING);
    let (shown, ended) = with_fault("proxy_log", 99, 2, false);
    assert_eq!((shown.as_str(), ended), (good.as_str(), true), "no fault");
    for by_trailers in [true, false] {
        for n in 1..=PIECES {
            for status in STATUSES {
                let (shown, ended) = with_fault("proxy_get_buffer_bytes", n, status, by_trailers);
                let (before, _) = shown.rsplit_once("event: message\n").expect("an event");
                assert!(good.starts_with(before), "piece {n}, status {status}: {shown}");
                assert_ends_with_error(&shown);
                assert!(ended, "the client need not wait");

                let (shown, ended) = with_fault("proxy_set_buffer_bytes", n, status, by_trailers);
                assert!(good.starts_with(&shown), "piece {n}, status {status}: {shown}");
                assert!(!ended, "what cannot be replaced is not shown, and nothing after it");
            }
        }
    }
}

#[test]
fn a_piece_of_which_the_host_keeps_a_part_to_itself_is_not_shown() {
    let mut vm = Hold::Headers.warm();
    let stream = streaming(&mut vm);
    vm.send_back(stream, event(SAMPLING), false);
    vm.world().withheld = 1;
    vm.send_back(stream, whole(), false);
    vm.world().withheld = 0;
    vm.send_back(stream, event(SAMPLING), true);
    let shown = String::from_utf8_lossy(&vm.client(stream).body).into_owned();
    assert!(shown.starts_with(&event(SAMPLING)) && !shown.contains(DENIED_TOOL), "{shown}");
    assert_ends_with_error(&shown);
}
