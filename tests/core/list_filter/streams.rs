//! Lists that come as an event stream (HTML standard, server-sent events): cut anywhere, shown event by event, and every
//! byte of them as it was but for what is hidden.

use mcp_oauth::{event_stream::ListEvents, list_filter::MAX_LIST_BYTES};

use super::{MODERN, config, guard};
use crate::support::{gate, good_token};

const WHOLE: &str = r#"{"result":{"tools":[{"name":"a"},{"name":"no"}]}}"#;
const KEPT: &str = r#"{"result":{"tools":[{"name":"a"}]}}"#;
const ERROR: &str = "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32603,\
                     \"message\":\"the list cannot be filtered\"}}\n\n";

fn events(more: &[(&str, &str)]) -> ListEvents {
    let mut gate = gate(&config());
    guard(&mut gate, &good_token(), "tools/list", "1", more).into_list_events().expect("a list")
}

/// What comes out of these pieces.
fn push(events: &mut ListEvents, pieces: &[&[u8]]) -> String {
    let mut shown = Vec::new();
    for piece in pieces {
        shown.extend(events.push(piece, false));
    }
    shown.extend(events.push(b"", true));
    String::from_utf8(shown).expect("UTF-8")
}

/// What the caller sees of a stream, which must not depend on where it is cut.
#[track_caller]
fn seen(stream: &str, more: &[(&str, &str)]) -> String {
    let mut gate = gate(&config());
    let guard = guard(&mut gate, &good_token(), "tools/list", "1", more);
    let events = || guard.clone().into_list_events().expect("a list");
    let stream = stream.as_bytes();
    let whole = push(&mut events(), &[stream]);
    let at_once = String::from_utf8(events().push(stream, true)).expect("UTF-8");
    assert_eq!(at_once, whole, "the last piece says that it is");
    for at in 0..stream.len() {
        let (first, second) = stream.split_at(at);
        assert_eq!(push(&mut events(), &[first, second]), whole, "cut at {at}");
    }
    for size in [1, 2, 3, 7] {
        let pieces: Vec<&[u8]> = stream.chunks(size).collect();
        assert_eq!(push(&mut events(), &pieces), whole, "in pieces of {size}");
    }
    whole
}

fn streamed(stream: &str) -> String {
    seen(stream, &[])
}

#[test]
fn only_what_is_hidden_goes_wherever_an_event_ends_and_however_it_is_cut() {
    let rows = [
        ("LF", format!("data: {WHOLE}\n\n"), format!("data: {KEPT}\n\n")),
        ("CRLF", format!("data: {WHOLE}\r\n\r\n"), format!("data: {KEPT}\r\n\r\n")),
        ("CR", format!("data: {WHOLE}\r\r"), format!("data: {KEPT}\r\r")),
        ("CR and LF", format!("data: {WHOLE}\r\n\ndata: {WHOLE}\n\r"), format!("data: {KEPT}\r\n\ndata: {KEPT}\n\r")),
        ("no space", format!("data:{WHOLE}\n\n"), format!("data:{KEPT}\n\n")),
        ("two spaces", format!("data:  {WHOLE} \n\n"), format!("data:  {KEPT} \n\n")),
        ("no empty line", format!("data: {WHOLE}\n"), format!("data: {KEPT}\n")),
        ("no empty line, CRLF", format!("id: 7\r\ndata: {WHOLE}\r\n"), format!("id: 7\r\ndata: {KEPT}\r\n")),
        ("no end at all", format!("data: {WHOLE}"), format!("data: {KEPT}")),
        ("half an end", format!("data: {WHOLE}\n\r"), format!("data: {KEPT}\n\r")),
        ("a byte order mark", format!("\u{feff}data: {WHOLE}\n\n"), format!("\u{feff}data: {KEPT}\n\n")),
        (
            "a byte order mark and an empty line",
            format!("\u{feff}\ndata: {WHOLE}\n\n"),
            format!("\u{feff}\ndata: {KEPT}\n\n"),
        ),
        ("a type", format!("event: message\ndata: {WHOLE}\n\n"), format!("event: message\ndata: {KEPT}\n\n")),
        (
            "a type, an id, a time and a comment around",
            format!("id: 7\nevent: message\n: ping\ndata: {WHOLE}\nretry: 5\n\n"),
            format!("id: 7\nevent: message\n: ping\ndata: {KEPT}\nretry: 5\n\n"),
        ),
        ("an id after it", format!("data: {WHOLE}\nid: 7\n\n"), format!("data: {KEPT}\nid: 7\n\n")),
        ("CRLF, an id", format!("id: 7\r\ndata: {WHOLE}\r\n\r\n"), format!("id: 7\r\ndata: {KEPT}\r\n\r\n")),
        (
            "a priming event before it",
            format!("id: 1\ndata: \n\nid: 2\ndata: {WHOLE}\n\n"),
            format!("id: 1\ndata: \n\nid: 2\ndata: {KEPT}\n\n"),
        ),
        (
            "a priming event without a colon",
            format!("id: 1\ndata\n\ndata: {WHOLE}\n\n"),
            format!("id: 1\ndata\n\ndata: {KEPT}\n\n"),
        ),
        ("comments before it", format!(": hi\n\n:\n\ndata: {WHOLE}\n\n"), format!(": hi\n\n:\n\ndata: {KEPT}\n\n")),
        (
            "others around it",
            format!("data: {{\"method\":\"ping\",\"id\":1}}\n\ndata: {WHOLE}\n\ndata: {{\"method\":\"x\"}}\n\n"),
            format!("data: {{\"method\":\"ping\",\"id\":1}}\n\ndata: {KEPT}\n\ndata: {{\"method\":\"x\"}}\n\n"),
        ),
        ("twice", format!("data: {WHOLE}\n\ndata: {WHOLE}\n\n"), format!("data: {KEPT}\n\ndata: {KEPT}\n\n")),
        (
            "twice, CRLF",
            format!("data: {WHOLE}\r\n\r\ndata:{WHOLE}\r\n\r\n"),
            format!("data: {KEPT}\r\n\r\ndata:{KEPT}\r\n\r\n"),
        ),
        ("empty lines around", format!("\n\n\ndata: {WHOLE}\n\n\n"), format!("\n\n\ndata: {KEPT}\n\n\n")),
    ];
    for (name, stream, expected) in rows {
        assert_eq!(streamed(&stream), expected, "{name}");
    }
}

/// Where a line end is hidden, two lines become one.
#[test]
fn data_in_several_lines_stays_in_several_lines() {
    let rows = [
        (
            "a hidden item on a line of its own",
            "data: {\"result\":{\"tools\":[\r\ndata:{\"name\":\"a\"},\ndata: {\"name\":\"no\"}\rdata:  ]}}\r\n\r\n",
            "data: {\"result\":{\"tools\":[\r\ndata:{\"name\":\"a\"}\rdata:  ]}}\r\n\r\n",
        ),
        (
            "two, the first ones",
            "data: {\"result\":{\"tools\":[\ndata: 5,\ndata:{\"name\":\"no\"},\r\ndata: {\"name\":\"a\"}\ndata: ]}}\n\n",
            "data: {\"result\":{\"tools\":[\ndata: {\"name\":\"a\"}\ndata: ]}}\n\n",
        ),
        (
            "all",
            "data: {\"result\":{\"tools\":[\ndata: 5,\ndata:{\"name\":\"no\"}\r\ndata: ]}}\n\n",
            "data: {\"result\":{\"tools\":[\ndata: \r\ndata: ]}}\n\n",
        ),
        (
            "as many lines as before",
            "data: {\"result\":{\"tools\":[{\"name\":\"no\"}],\r\ndata:\"x\":\rdata: 1}}",
            "data: {\"result\":{\"tools\":[],\r\ndata:\"x\":\rdata: 1}}",
        ),
        (
            "an id between",
            "data: {\"result\":{\"tools\":[{\"name\":\"a\"}\nid: 7\ndata: ,{\"name\":\"no\"}]}}\n\n",
            "id: 7\ndata: {\"result\":{\"tools\":[{\"name\":\"a\"}]}}\n\n",
        ),
        (
            "an id between, and no end",
            "data: {\"result\":{\"tools\":[{\"name\":\"a\"}\nid: 7\ndata: ,{\"name\":\"no\"}]}}",
            "id: 7\ndata: {\"result\":{\"tools\":[{\"name\":\"a\"}]}}",
        ),
        (
            "a name without a colon is an empty line",
            "data\ndata: {\"result\":{\"tools\":[{\"name\":\"no\"}]}}\ndata\n\n",
            "data\ndata: {\"result\":{\"tools\":[]}}\ndata\n\n",
        ),
        (
            "which may be hidden",
            "data: {\"result\":{\"tools\":[\ndata: {\"name\":\"a\"}\ndata\ndata:,{\"name\":\"no\"}]\ndata: }}\n\n",
            "data: {\"result\":{\"tools\":[\ndata: {\"name\":\"a\"}]\ndata: }}\n\n",
        ),
        (
            "which may be hidden before the first",
            "data: {\"result\":{\"tools\":[5,\ndata\ndata: {\"name\":\"a\"}]}}\n\n",
            "data: {\"result\":{\"tools\":[{\"name\":\"a\"}]}}\n\n",
        ),
    ];
    for (name, stream, expected) in rows {
        assert_eq!(streamed(stream), expected, "{name}");
    }
    let stream = "data: {\"result\":{\"tools\":[],\"cacheScope\": {\r\ndata:\"a\":1\rdata: }}}\n\n";
    let expected = "data: {\"result\":{\"tools\":[],\"cacheScope\": \"private\"}}\n\n";
    assert_eq!(streamed(stream), expected, "a value in several lines is replaced once");
}

/// The member is put behind the bracket, even if the line ends there.
#[test]
fn a_modern_list_in_several_lines_is_private() {
    let stream = "data: {\"result\":{\ndata: \"tools\":[ ]\r\ndata:}}\n\n";
    let expected = "data: {\"result\":{\"cacheScope\":\"private\",\ndata: \"tools\":[ ]\r\ndata:}}\n\n";
    assert_eq!(seen(stream, &[MODERN]), expected);
}

#[test]
fn a_stream_that_hides_nothing_stays_as_it_was() {
    for end in ["\n", "\r\n", "\r"] {
        for stream in [
            format!("id: 1{end}data: {KEPT}{end}{end}"),
            format!("data:{KEPT}{end}id: 1{end}{end}"),
            format!(": a{end}{end}event: message{end}data: {{\"result\":{{{end}data: \"tools\":[ ]}}}}{end}{end}"),
            format!("id: 1{end}data: {end}{end}retry: 5{end}{end}data: {KEPT}{end}"),
            format!("data: {{\"error\":{{\"code\":1}}}}{end}{end}"),
            // Other fields are no data, whatever stands in them.
            format!(
                "dat: {WHOLE}{end}data2: {WHOLE}{end}DATA: {WHOLE}{end} data: {WHOLE}{end}:data: {WHOLE}{end}{end}"
            ),
            // A byte order mark is one at the very beginning only.
            format!("data: {KEPT}{end}{end}\u{feff}data: {WHOLE}{end}{end}"),
            String::new(),
        ] {
            assert_eq!(streamed(&stream), stream, "{end:?}");
        }
    }
}

#[test]
fn a_modern_list_in_a_stream_is_private_too() {
    let rows = [
        (KEPT, r#"{"result":{"cacheScope":"private","tools":[{"name":"a"}]}}"#),
        (WHOLE, r#"{"result":{"cacheScope":"private","tools":[{"name":"a"}]}}"#),
        (r#"{"result":{"cacheScope":"public","tools":[]}}"#, r#"{"result":{"cacheScope":"private","tools":[]}}"#),
        (r#"{"method":"notifications/progress"}"#, r#"{"method":"notifications/progress"}"#),
    ];
    for (answer, expected) in rows {
        let event = |data: &str| format!("event: message\r\ndata:{data}\r\n\r\n");
        assert_eq!(seen(&event(answer), &[MODERN]), event(expected));
    }
}

/// A server may wait for the client's answer to an event before it goes on.
#[test]
fn an_event_is_shown_with_its_last_byte_and_not_before() {
    for end in ["\n", "\r\n", "\r"] {
        let event = |data: &str| format!("id: 1{end}: c{end}data: {data}{end}:{end}{end}");
        let sent = [event(r#"{"method":"ping","id":1}"#), event(WHOLE)];
        let expected = [sent[0].clone(), event(KEPT)].concat();
        // Where what is sent is complete, and what of it is shown. A CR ends the line already, and its LF comes behind.
        let mut complete = vec![(0, 0)];
        for (sent, expected) in [(sent[0].len(), sent[0].len()), (sent.concat().len(), expected.len())] {
            let late = end.len() - 1;
            complete.extend([(sent - late, expected - late), (sent, expected)]);
        }
        let (mut events, mut shown) = (events(&[]), Vec::new());
        for (at, byte) in sent.concat().bytes().enumerate() {
            shown.extend(events.push(&[byte], false));
            let (_, visible) = complete.iter().rfind(|(sent, _)| *sent <= at + 1).expect("the first");
            assert_eq!(String::from_utf8_lossy(&shown), expected[..*visible], "{end:?}, {at} bytes");
        }
        // In one piece nothing of it is kept for later.
        let mut events = self::events(&[]);
        assert_eq!(events.push(sent.concat().as_bytes(), false), expected.as_bytes(), "{end:?}");
    }
}

/// By comments servers tell everybody on the way that the stream is still alive.
#[test]
fn a_comment_between_events_is_shown_with_its_line() {
    for end in ["\n", "\r\n", "\r"] {
        let mut events = events(&[]);
        let comment = format!(": ping{end}");
        assert_eq!(events.push(b": pi", false), b"", "{end:?}");
        assert_eq!(events.push(format!("ng{end}").as_bytes(), false), comment.as_bytes(), "{end:?}");
        assert_eq!(events.push(comment.repeat(3).as_bytes(), false), comment.repeat(3).as_bytes(), "{end:?}");
        assert_eq!(events.push(format!("data: {WHOLE}{end}").as_bytes(), false), b"", "{end:?}");
        assert_eq!(events.push(comment.as_bytes(), false), b"", "in an event it waits for that");
        let shown = format!("data: {KEPT}{end}{comment}{end}");
        assert_eq!(events.push(end.as_bytes(), false), shown.as_bytes(), "{end:?}");
        assert_eq!(
            events.push(format!("{comment}data: {WHOLE}{end}").as_bytes(), false),
            comment.as_bytes(),
            "{end:?}"
        );
        assert_eq!(events.push(end.as_bytes(), false), format!("data: {KEPT}{end}{end}").as_bytes(), "{end:?}");
    }
}

/// What cannot be read is not passed on, and nothing behind it is either.
#[test]
fn what_cannot_be_read_becomes_an_error_once() {
    let rows = [
        ("data: x\n\n".to_owned(), String::new()),
        (format!("data: {WHOLE}\n\ndata: [{WHOLE}]\n\n"), format!("data: {KEPT}\n\n")),
        (format!("data: {KEPT}\n\ndata: x\n\ndata: {WHOLE}\n\ndata: y\n\n"), format!("data: {KEPT}\n\n")),
        (format!(":\n\ndata: {WHOLE}x\n\n"), ":\n\n".to_owned()),
        (format!("data: {WHOLE}\ndata: {WHOLE}\n\n"), String::new()),
        (format!("data:  \u{feff}{WHOLE}\n\n"), String::new()),
        ("data: {\"result\":{\"tools\":[{\"name\":\"no\"}\n\n".to_owned(), String::new()),
        ("data: {\"result\":{\"tools\":[{\"name\":\"no\"}".to_owned(), String::new()),
        (
            WHOLE.replacen("{\"name\":\"no\"}", "{\"name\":\"no\",\"name\":\"a\"}", 1).replacen('{', "data: {", 1),
            String::new(),
        ),
    ];
    for (stream, before) in rows {
        assert_eq!(streamed(&stream), before + ERROR, "{stream}");
    }
}

#[test]
fn an_event_is_as_long_as_may_be_or_an_error() {
    let event = |size: usize| {
        let (start, end) = ("x: ", format!("\ndata: {WHOLE}\n\n"));
        format!("{start}{}{end}", "x".repeat(size - start.len() - end.len()))
    };
    let small = format!("data: {WHOLE}\n\n");
    for pieces in [1, 3] {
        for (size, is_shown) in [(MAX_LIST_BYTES, true), (MAX_LIST_BYTES + 1, false)] {
            let stream = format!("{small}{}{small}", event(size));
            let pieces: Vec<&[u8]> = stream.as_bytes().chunks(stream.len() / pieces + 1).collect();
            let found = push(&mut events(&[]), &pieces);
            let kept = small.replace(WHOLE, KEPT);
            let expected = if is_shown { stream.replace(WHOLE, KEPT) } else { format!("{kept}{ERROR}") };
            assert!(found == expected, "{size} bytes become {} and not {}", found.len(), expected.len());
        }
    }
    // Many events are no long event.
    let many = event(MAX_LIST_BYTES / 2).repeat(5);
    assert!(push(&mut events(&[]), &[many.as_bytes()]) == many.replace(WHOLE, KEPT));
    // It is known before its end.
    let mut events = events(&[]);
    assert_eq!(events.push(&b" ".repeat(MAX_LIST_BYTES), false), b"");
    assert_eq!(events.push(b" ", false), ERROR.as_bytes());
    assert_eq!(events.push(small.as_bytes(), false), b"", "nothing more");
    assert_eq!(events.push(small.as_bytes(), true), b"", "nothing more");
}

/// The host asks for this when it cannot hand over what came.
#[test]
fn what_the_host_keeps_to_itself_becomes_an_error_once() {
    let mut events = events(&[]);
    assert_eq!(events.push(b"data: {", false), b"");
    assert_eq!(events.fail_now(), ERROR.as_bytes());
    assert_eq!(events.fail_now(), b"");
    assert_eq!(events.push(format!("}}\n\ndata: {WHOLE}\n\n").as_bytes(), true), b"");
}
