//! Lists that come as an event stream (HTML standard, server-sent events).

use super::{MODERN, shown};

const WHOLE: &str = r#"{"result":{"tools":[{"name":"a"},{"name":"no"}]}}"#;
const KEPT: &str = r#"{"result":{"tools":[{"name":"a"}]}}"#;

fn streamed(stream: &str) -> String {
    shown("tools/list", &[], stream, true)
}

#[test]
fn events_end_at_empty_lines_of_any_kind() {
    let rows = [
        ("LF", format!("data: {WHOLE}\n\n"), format!("data: {KEPT}\n\n")),
        ("CRLF", format!("data: {WHOLE}\r\n\r\n"), format!("data: {KEPT}\n\r\n")),
        ("CR", format!("data: {WHOLE}\r\r"), format!("data: {KEPT}\n\r")),
        ("no space", format!("data:{WHOLE}\n\n"), format!("data: {KEPT}\n\n")),
        ("no empty line", format!("data: {WHOLE}\n"), format!("data: {KEPT}\n")),
        ("no end at all", format!("data: {WHOLE}"), format!("data: {KEPT}\n")),
        ("a byte order mark", format!("\u{feff}data: {WHOLE}\n\n"), format!("\u{feff}data: {KEPT}\n\n")),
        ("a type", format!("event: message\ndata: {WHOLE}\n\n"), format!("event: message\ndata: {KEPT}\n\n")),
        (
            "a type, an id, a time and a comment around",
            format!("id: 7\nevent: message\n: ping\ndata: {WHOLE}\nretry: 5\n\n"),
            format!("id: 7\nevent: message\n: ping\ndata: {KEPT}\nretry: 5\n\n"),
        ),
        ("an id after it", format!("data: {WHOLE}\nid: 7\n\n"), format!("data: {KEPT}\nid: 7\n\n")),
        ("CRLF, an id", format!("id: 7\r\ndata: {WHOLE}\r\n\r\n"), format!("id: 7\r\ndata: {KEPT}\n\r\n")),
        (
            "several data lines",
            "data: {\"result\":{\"tools\":[\ndata: {\"name\":\"a\"},\ndata:{\"name\":\"no\"}\ndata: ]}}\n\n".into(),
            format!("data: {KEPT}\n\n"),
        ),
        (
            "several data lines that stay several",
            "data: {\"result\":{\"tools\":[{\"name\":\"no\"}],\ndata: \"x\":1}}\n\n".into(),
            "data: {\"result\":{\"tools\":[],\ndata: \"x\":1}}\n\n".into(),
        ),
        (
            "data lines with an id between",
            "data: {\"result\":{\"tools\":[\nid: 7\ndata: {\"name\":\"no\"}]}}\n\n".into(),
            "data: {\"result\":{\"tools\":[]}}\nid: 7\n\n".into(),
        ),
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
            "notifications before it",
            format!("data: {{\"method\":\"notifications/progress\"}}\n\ndata: {WHOLE}\n\n"),
            format!("data: {{\"method\":\"notifications/progress\"}}\n\ndata: {KEPT}\n\n"),
        ),
        ("twice", format!("data: {WHOLE}\n\ndata: {WHOLE}\n\n"), format!("data: {KEPT}\n\ndata: {KEPT}\n\n")),
        ("empty lines around", format!("\n\n\ndata: {WHOLE}\n\n\n"), format!("\n\n\ndata: {KEPT}\n\n\n")),
    ];
    for (name, stream, expected) in rows {
        assert_eq!(streamed(&stream), expected, "{name}");
    }
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
            String::new(),
        ] {
            assert_eq!(streamed(&stream), stream, "{end:?}");
        }
    }
}

#[test]
fn a_modern_list_in_a_stream_is_private_too() {
    let stream = format!("event: message\ndata: {KEPT}\n\n");
    let expected = KEPT.replacen("{\"tools\"", "{\"cacheScope\":\"private\",\"tools\"", 1);
    assert_eq!(shown("tools/list", &[MODERN], &stream, true), format!("event: message\ndata: {expected}\n\n"));
}

/// What cannot be read is not passed on, and nothing before it is either.
#[test]
fn a_stream_that_cannot_be_read_becomes_an_error() {
    let error = "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32603,\
                 \"message\":\"the list cannot be filtered\"}}\n\n";
    for stream in [
        "data: x\n\n".to_owned(),
        format!("data: {WHOLE}\n\ndata: [{WHOLE}]\n\n"),
        format!("data: {WHOLE}x\n\n"),
        format!("data: {WHOLE}\ndata: {WHOLE}\n\n"),
        format!("data:  \u{feff}{WHOLE}\n\n"),
        "data: {\"result\":{\"tools\":[{\"name\":\"no\"}\n\n".to_owned(),
        WHOLE.replacen("{\"name\":\"no\"}", "{\"name\":\"no\",\"name\":\"a\"}", 1).replacen('{', "data: {", 1),
    ] {
        assert_eq!(streamed(&stream), error, "{stream}");
    }
}
