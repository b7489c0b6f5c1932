//! The grammar of a body (RFC 8259), and what is refused beyond it (docs/decisions/0008-json.md).

use mcp_oauth::{
    json::JsonError,
    message::{MessageError, read},
};

use super::{bad, broken, check_bodies, duplicate, good, hex, syntax};
use crate::support::Row;

#[test]
fn a_body_is_utf_8_without_a_mark() {
    let around = |bytes: &[u8]| [r#"{"method":"x","params":{"a":"é"#.as_bytes(), bytes, br#""}}"#].concat();
    let mut rows = vec![
        good("RFC 8259 8.1: ASCII", br#"{"method":"x"}"#),
        broken("RFC 8259 8.1: a byte order mark", b"", b"\xEF\xBB\xBF{\"method\":\"x\"}"),
        broken("RFC 8259 8.1: UTF-16, big end first", b"", b"\0{\0}"),
        broken("RFC 8259 8.1: UTF-16, little end first", b"{", b"\0}\0"),
        broken("RFC 8259 8.1: a mark of UTF-16", b"", b"\xFF\xFE{\0}\0"),
        broken("RFC 8259 2: a character outside of texts", br#"{"method":"x"}"#, "é"),
        broken("RFC 8259 2: before the value", b"", "\u{A0}{\"method\":\"x\"}"),
        good("RFC 8259 8.1: a mark in a text is a character", around(b"\xEF\xBB\xBF")),
        broken("RFC 3629 4: in a name", br#"{"method":"x",""#, b"\xFF\":1}"),
    ];
    for (name, bytes) in [
        ("two bytes", "\u{80}\u{7FF}"),
        ("three bytes", "\u{800}\u{D7FF}\u{E000}\u{FFFF}"),
        ("four bytes", "\u{10000}\u{10FFFF}"),
    ] {
        rows.push(good(format!("RFC 3629 4: {name}"), around(bytes.as_bytes())));
    }
    for (name, bytes) in [
        ("overlong", &b"\xC0\x80"[..]),
        ("overlong", b"\xC1\xBF"),
        ("overlong", b"\xE0\x80\xAF"),
        ("overlong", b"\xF0\x8F\xBF\xBF"),
        ("a surrogate", b"\xED\xA0\x80"),
        ("a pair of surrogates", b"\xED\xA0\xBD\xED\xB8\x80"),
        ("above U+10FFFF", b"\xF4\x90\x80\x80"),
        ("five bytes", b"\xF8\x88\x80\x80\x80"),
        ("never a first byte", b"\xFE"),
        ("a lone continuation", b"\x80"),
        ("one continuation too many", b"\xC3\xA9\xA9"),
        ("cut off by the quote", b"\xE2\x82"),
        ("cut off by a letter", b"\xE2\x82a"),
        ("cut off by an escape", b"\xF0\x9F\x98\\u0041"),
        ("Latin-1", b"caf\xE9"),
    ] {
        // The run of bytes outside ASCII in which it stands: with the `é` before it, unless there is a letter between.
        let before = if name == "Latin-1" { "écaf" } else { "" };
        let column = r#"{"method":"x","params":{"a":""#.len() + before.len() + 1;
        rows.push(bad(format!("RFC 3629 3: {name}, {}", hex(bytes)), around(bytes), syntax(1, column)));
    }
    check_bodies(rows);
}

#[test]
fn a_body_is_one_value() {
    let whole = br#"{"method":"x"}"#;
    check_bodies(vec![
        good("RFC 8259 2: alone", whole),
        good("RFC 8259 2: white space around it", b" \t\r\n{ \"method\" :\r\n\t\"x\" } \t\r\n"),
        broken("RFC 8259 2: nothing", b"", b""),
        broken("RFC 8259 2: only white space", b" \t", b""),
        broken("RFC 8259 2: another one", whole, br#"{"method":"y"}"#),
        broken("RFC 8259 2: another one after a space", [&whole[..], b" "].concat(), b"null"),
        bad("RFC 8259 2: another line", b"{\"method\":\"x\"}\n  {\"method\":\"y\"}", syntax(2, 3)),
        broken("RFC 8259 2: a comma", whole, b","),
        broken("RFC 8259 2: a bracket", whole, b"}"),
        broken("RFC 8259 2: a NUL", whole, b"\0"),
        broken("RFC 8259 2: a form feed", whole, b"\x0C"),
        broken("RFC 8259 2: a vertical tab before it", b"", b"\x0B{\"method\":\"x\"}"),
        broken("RFC 8259 2: a no-break space", whole, "\u{A0}"),
        broken("RFC 8259 2: a line separator", whole, "\u{2028}"),
        broken("RFC 8259 2: a comment", whole, b"// x"),
        broken("RFC 8259 2: a comment before it", b"", b"/* x */{\"method\":\"x\"}"),
        broken("RFC 8259 2: a prefix against inclusion", b"", b")]}'\n{\"method\":\"x\"}"),
        broken("RFC 7464 2.1: a record separator", b"", b"\x1E{\"method\":\"x\"}"),
        bad("JSON-RPC 4: null", b"null", MessageError::NoMessage),
        bad("JSON-RPC 4: a text", br#""{\"method\":\"x\"}""#, MessageError::NoMessage),
        bad("JSON-RPC 4: a number", b"1", MessageError::NoMessage),
        bad("JSON-RPC 4: true", b"true", MessageError::NoMessage),
    ]);
}

#[test]
fn objects_and_arrays_are_as_the_grammar_has_them() {
    let params = |params: &str| format!(r#"{{"method":"x","params":{params}"#);
    check_bodies(vec![
        good("RFC 8259 4: empty", params("{ }}")),
        good("RFC 8259 4: the empty name", params(r#"{"":1}}"#)),
        good("RFC 8259 5: empty", params(r#"{"a":[ ]}}"#)),
        good("RFC 8259 5: two", params(r#"{"a":[1 , 2]}}"#)),
        broken("RFC 8259 4: no colon", params(r#"{"a" "#), "1}}"),
        broken("RFC 8259 4: an equals sign", params(r#"{"a""#), "=1}}"),
        broken("RFC 8259 4: no value", params(r#"{"a":"#), "}}"),
        broken("RFC 8259 4: no comma", params(r#"{"a":1 "#), "\"b\":2}}"),
        broken("RFC 8259 4: a comma at the end", params(r#"{"a":1,"#), "}}"),
        broken("RFC 8259 4: a comma at the start", params("{"), ",\"a\":1}}"),
        broken("RFC 8259 4: two commas", params(r#"{"a":1,"#), ",\"b\":2}}"),
        broken("RFC 8259 4: a name without quotes", params("{"), "a:1}}"),
        broken("RFC 8259 4: a name in single quotes", params("{"), "'a':1}}"),
        broken("RFC 8259 4: a number as a name", params("{"), "1:1}}"),
        broken("RFC 8259 4: null as a name", params("{"), "null:1}}"),
        broken("RFC 8259 4: not closed", params(r#"{"a":1"#), ""),
        broken("RFC 8259 4: the outer one not closed", params("{}"), ""),
        broken("RFC 8259 4: closed as an array", params(r#"{"a":1"#), "]}"),
        broken("RFC 8259 5: no comma", params(r#"{"a":[1 "#), "2]}}"),
        broken("RFC 8259 5: a comma at the end", params(r#"{"a":[1,"#), "]}}"),
        broken("RFC 8259 5: a comma alone", params(r#"{"a":["#), ",]}}"),
        broken("RFC 8259 5: a comment", params(r#"{"a":[1,"#), "/**/2]}}"),
        broken("RFC 8259 5: closed as an object", params(r#"{"a":[1"#), "}}}"),
        broken("RFC 8259 5: not closed", params(r#"{"a":["#), ""),
        broken("RFC 8259 5: a member", params(r#"{"a":["b""#), ":1]}}"),
    ]);
}

#[test]
fn numbers_are_as_the_grammar_has_them() {
    let good_numbers = [
        "0",
        "-0",
        "7",
        "-7",
        "10",
        "1234567890",
        "0.0",
        "-0.5",
        "1.25",
        "100.001",
        "1e5",
        "1E5",
        "1e+5",
        "1e-5",
        "1E+05",
        "0e0",
        "-0.0e-0",
        "1.5e10",
        "1e400",
        "-1e999999",
        "123456789012345678901234567890",
        "0.1e400",
    ];
    let good_numbers = good_numbers.map(|number| good(format!("RFC 8259 6: {number}"), at_three_places(number)));
    // Each with the part that could still become one.
    let bad_numbers = [
        ("-", ""),
        ("", "+1"),
        ("", ".5"),
        ("-", ".5"),
        ("5.", ""),
        ("5.", "e1"),
        ("0", "1"),
        ("-0", "1"),
        ("0", "0"),
        ("-", "-1"),
        ("1", "_000"),
        ("1e", ""),
        ("1.5E+", ""),
        ("1e-", ""),
        ("1e+", "-1"),
        ("1e", "x"),
        ("1e1", ".5"),
        ("1.1", ".1"),
        ("0", "x1F"),
        ("1", "f"),
        ("1", "n"),
        ("-", "Infinity"),
        ("", "Infinity"),
        ("", "NaN"),
        ("-", "NaN"),
        ("1 ", "2"),
        ("", "١"),
        ("1", "\u{FF11}"),
        ("1.", "٥"),
    ];
    let start = r#"{"method":"x","params":{"a":"#;
    let bad_numbers = bad_numbers.into_iter().map(|(read, rest)| {
        broken(format!("RFC 8259 6: {read}{rest}"), format!("{start}{read}"), format!("{rest}}}}}"))
    });
    check_bodies(good_numbers.into_iter().chain(bad_numbers).collect());
}

/// A number as an id, as a member and as an item.
fn at_three_places(number: &str) -> String {
    format!(r#"{{"id":{number},"method":"x","params":{{"a":{number},"b":[{number},{number} ]}}}}"#)
}

#[test]
fn literals_are_three_words() {
    let params = r#"{"method":"x","params":{"a":"#;
    let at = |word: &str| format!("{params}{word}}}}}");
    let mut rows: Vec<_> = ["null", "true", "false"].map(|word| good(format!("RFC 8259 3: {word}"), at(word))).into();
    for word in [
        "Null",
        "NULL",
        "nul",
        "nil",
        "None",
        "True",
        "TRUE",
        "tru",
        "t",
        "False",
        "fals",
        "yes",
        "undefined",
        "NaN",
        "x",
    ] {
        rows.push(broken(format!("RFC 8259 3: {word}"), params, format!("{word}}}}}")));
    }
    for (word, rest) in [("null", "l"), ("true", "1"), ("false", "_")] {
        rows.push(broken(format!("RFC 8259 3: {word}{rest}"), format!("{params}{word}"), format!("{rest}}}}}")));
    }
    check_bodies(rows);
}

#[test]
fn as_many_as_127_levels_are_read() {
    let nested = |open: &str, close: &str, levels: usize| format!("{}{}", open.repeat(levels), close.repeat(levels));
    let arrays = |levels: usize| nested("[", "]", levels);
    let objects = |levels: usize| format!("{}0{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    let inside = |value: &str| format!(r#"{{"method":"x","params":{{"arguments":{value}}}}}"#);
    let beside = |value: &str| format!(r#"{{"method":"x","more":{value}}}"#);
    let start = r#"{"method":"x","params":{"arguments":"#;
    let beside_start = r#"{"method":"x","more":"#;
    let too_deep = |name: &str, body: String, before: usize| bad(name, body, syntax(1, before + 1));
    check_bodies(vec![
        good("RFC 8259 9: 127 levels, arrays", inside(&arrays(125))),
        good("RFC 8259 9: 127 levels, objects", inside(&objects(125))),
        good("RFC 8259 9: 127 levels beside params", beside(&arrays(126))),
        good("RFC 8259 9: 127 levels again and again", inside(&format!("[{0},{0},{0}]", arrays(124)))),
        good("RFC 8259 9: empty ones side by side are one level", inside(&format!("[{}[]]", "[],{},".repeat(500)))),
        too_deep("RFC 8259 9: 128 levels, arrays", inside(&arrays(126)), start.len() + 125),
        too_deep("RFC 8259 9: 128 levels, objects", inside(&objects(126)), start.len() + 125 * 5),
        too_deep("RFC 8259 9: 128 levels beside params", beside(&arrays(127)), beside_start.len() + 126),
        too_deep("RFC 8259 9: a bomb", inside(&arrays(100_000)), start.len() + 125),
        too_deep("RFC 8259 9: never closed", "[".repeat(100_000), 127),
        too_deep("RFC 8259 9: never closed objects", r#"{"a":"#.repeat(100_000), 127 * 5),
    ]);
}

/// A body with a `§` before the second of two names: where it stands is what is told, and never the name.
fn twice(name: &str, marked: impl AsRef<str>) -> Row<Vec<u8>> {
    let (before, after) = marked.as_ref().split_once('§').expect("a mark");
    bad(name, format!("{before}{after}"), duplicate(1, before.len() + 1))
}

#[test]
fn no_object_has_two_members_of_one_name() {
    let call = |params: &str| format!(r#"{{"id":1,"method":"tools/call","params":{{{params}}}}}"#);
    check_bodies(vec![
        good("RFC 8259 4: once", call(r#""name":"add","arguments":{"name":"x"}"#)),
        good("RFC 8259 4: once in each", call(r#""name":"add","arguments":[{"a":1},{"a":1,"b":{"a":1}}],"a":1"#)),
        good("RFC 8259 4: names differ by case", call(r#""name":"add","arguments":{"a":1,"A":1}"#)),
        good("RFC 8259 4: names differ by normalization", call("\"name\":\"add\",\"é\":1,\"e\u{301}\":1")),
        twice("RFC 8259 4: method", r#"{"id":1,"method":"ping",§"method":"tools/call"}"#),
        twice("RFC 8259 4: method, the same", r#"{"id":1,"method":"ping",§"method":"ping"}"#),
        twice("RFC 8259 4: id", r#"{"id":1,"method":"ping",§"id":2}"#),
        twice("RFC 8259 4: jsonrpc", r#"{"jsonrpc":"2.0",§"jsonrpc":"2.0","id":1,"method":"ping"}"#),
        twice("RFC 8259 4: params", r#"{"id":1,"method":"x","params":{},§"params":{}}"#),
        twice("RFC 8259 4: params, null", r#"{"id":1,"method":"x","params":null,§"params":{}}"#),
        twice("RFC 8259 4: result", r#"{"id":1,"result":{},§"result":{}}"#),
        twice("RFC 8259 4: an unknown one", r#"{"id":1,"method":"x","y":1,§"y":1}"#),
        twice("RFC 8259 4: the empty name", r#"{"id":1,"method":"x","":1,§"":1}"#),
        twice("RFC 8259 4: in params", call(r#""name":"add",§"name":"delete""#)),
        twice("RFC 8259 4: in params, apart", call(r#""name":"add","a":{"name":1},§"name":"b""#)),
        twice("RFC 8259 4: in params, unknown", call(r#""name":"add","x":1,§"x":1"#)),
        twice("RFC 8259 4: arguments", call(r#""name":"add","arguments":{},§"arguments":{}"#)),
        twice("RFC 8259 4: in _meta", call(r#""name":"add","_meta":{"a":1,§"a":1}"#)),
        twice("RFC 8259 4: in ref", call(r#""name":"add","ref":{"uri":"a",§"uri":"b"}"#)),
        twice("RFC 8259 4: in notifications", call(r#""name":"a","notifications":{"x":1,§"x":1}"#)),
        twice("RFC 8259 4: in arguments", call(r#""name":"add","arguments":{"a":1,§"a":1}"#)),
        twice("RFC 8259 4: deeper", call(r#""name":"add","arguments":[0,{"b":[{"a":1,§"a":1}]}]"#)),
        twice("RFC 8259 4: in a result", r#"{"id":1,"result":{"a":{"b":1,§"b":1}}}"#),
        twice("RFC 8259 4: in an id", r#"{"id":{"a":1,§"a":1},"method":"x"}"#),
        twice("RFC 8259 8.3: escaped", call(r#""name":"add",§"n\u0061me":"delete""#)),
        twice("RFC 8259 8.3: escaped first", call(r#""\u006Eame":"add",§"name":"delete""#)),
        twice("RFC 8259 8.3: escaped twice", r#"{"\u006dethod":"a",§"\u006Dethod":"b"}"#),
        good("RFC 8259 8.3: short escapes are no letters", call(r#""name":"a","\b":1,"b":1,"\f":1,"f":1"#)),
        twice("RFC 8259 8.3: a backspace", call(r#""name":"a","\b":1,§"\u0008":1"#)),
        twice("RFC 8259 8.3: a form feed", call(r#""name":"a","\f":1,§"\u000C":1"#)),
        twice("RFC 8259 8.3: a line feed", call(r#""name":"a","\n":1,§"\u000a":1"#)),
        twice("RFC 8259 8.3: a carriage return", call(r#""name":"a","\r":1,§"\u000d":1"#)),
        twice("RFC 8259 8.3: a tab", call(r#""name":"a","\t":1,§"\u0009":1"#)),
        twice("RFC 8259 8.3: a quote", call(r#""name":"a","\"":1,§"\u0022":1"#)),
        twice("RFC 8259 8.3: a backslash", call(r#""name":"a","\\":1,§"\u005c":1"#)),
        twice("RFC 8259 8.3: a solidus", call(r#""name":"a","b/":1,§"b\/":1"#)),
        twice("RFC 8259 8.3: a pair of units", call("\"name\":\"a\",\"😀\":1,§\"\\ud83d\\uDE00\":1")),
        twice("RFC 8259 4: what comes first counts", r#"{"a":1,§"a":1,}"#),
        broken("RFC 8259 4: likewise", r#"{"a":1,"#, r#","a":1}"#),
    ]);
}

/// A name in a body may be a secret, and a log is no place for it.
#[test]
fn what_a_member_is_called_is_not_told() {
    let few = r#"{"method":"x","params":{"arguments":{"s3cret":1,"s3cret":1}}}"#.to_owned();
    let many =
        few.replace('1', &format!("{{{}}}", (0..30).map(|n| format!(r#""{n}":0"#)).collect::<Vec<_>>().join(",")));
    let sorted = few.replace(r#""s3cret":1,"#, &(0..30).map(|n| format!(r#""{n}":0,"#)).collect::<String>());
    let sorted = sorted.replace(r#""s3cret":1"#, r#""s3cret":1,"s3\u0063ret":1"#);
    for body in [few, many, sorted] {
        let error = read(body.as_bytes(), false).expect_err("a name twice");
        assert!(matches!(&error, MessageError::Json(JsonError::Duplicate { .. })), "{error}");
        let told = format!("{error} {error:?}");
        assert!(told.contains("line") && !told.contains("s3"), "{told}");
    }
}

/// However many there are: beyond some number they are compared in another way.
#[test]
fn names_are_compared_however_many_there_are() {
    let wrapped =
        |members: &[String]| format!(r#"{{"method":"x","params":{{"arguments":{{{}}}}}}}"#, members.join(","));
    for count in 1..80 {
        let names: Vec<_> = (0..count).map(|number| format!(r#""n{number}":{{"n0":1,"n1":[]}}"#)).collect();
        let unique = wrapped(&names);
        assert_eq!(read(unique.as_bytes(), false).map(drop), Ok(()), "{count} names");
        let outer = unique.replace("n0", "params").replace("n1\"", "method\"");
        assert_eq!(read(outer.as_bytes(), false).map(drop), Ok(()), "{count} names, some of them used outside");
        for (again, at) in [(0, count), (count / 2, count), (count - 1, count), (0, 1), (count - 1, count / 2)] {
            for spelling in ["n", "\\u006e"] {
                let mut names = names.clone();
                names.insert(at, format!(r#""{spelling}{again}":0"#));
                // The second of the two is the one that was put in, unless that stands before the other.
                let second = if at <= again { again + 1 } else { at };
                let before = wrapped(&names[..second]).len() - "}}}".len() + 2;
                let expected = Err(duplicate(1, before));
                let body = wrapped(&names);
                assert_eq!(read(body.as_bytes(), false).map(drop), expected, "{spelling}{again} at {at} of {count}");
            }
        }
    }
}

/// Escaped names are sorted by a digest that is no secret, and others may have it: these two do.
#[test]
fn names_of_one_digest_are_compared() {
    let one = "\u{2486b}\u{241f0}\u{20483}\u{27f6d}\u{2e468}\u{20000}";
    let other = "\u{20829}\u{23f39}\u{2b60f}\u{2389c}\u{26ec3}\u{2caaf}";
    let wrapped =
        |members: &[String]| format!(r#"{{"method":"x","params":{{"arguments":{{{}}}}}}}"#, members.join(","));
    let member = |name: &str| format!(r#""{name}":0"#);
    let more: Vec<String> = (0..30).map(|number| member(&format!("\\u006e{number}"))).collect();
    let with = |at: [usize; 3], names: [&str; 3]| {
        let mut members = more.clone();
        at.iter().zip(names).for_each(|(at, name)| members.insert(*at, member(name)));
        members
    };
    let mut rows = vec![good("RFC 8259 4: one digest", wrapped(&with([0, 1, 2], [one, other, "x"])))];
    for second in 1..16 {
        for third in 16..32 {
            let members = with([0, second, third], [one, other, one]);
            let column = wrapped(&members[..third]).len() - "}}}".len() + 2;
            let name = format!("RFC 8259 4: one digest, at {second} and {third}");
            rows.push(bad(name, wrapped(&members), duplicate(1, column)));
        }
    }
    check_bodies(rows);
}

/// Names are kept until their object ends, so there may be so many in all objects that are open.
#[test]
fn as_many_as_16384_members_are_open_at_a_time() {
    let names = |count: usize| (0..count).map(|number| format!(r#""{number}":0"#)).collect::<Vec<_>>().join(",");
    let params = |value: String| format!(r#"{{"method":"x","params":{{"arguments":{value}}}}}"#);
    let flat = |count: usize| params(format!("{{{}}}", names(count)));
    // `method`, `params` and `arguments` are open too.
    let most = 16_384 - 3;
    let nested = |count: usize| params(format!(r#"{{{},"in":{{{}}}}}"#, names(8_000), names(count - 8_001)));
    let many = MessageError::Json(JsonError::Names);
    check_bodies(vec![
        good("in one object", flat(most)),
        bad("in one object, one more", flat(most + 1), many.clone()),
        good("in two objects", nested(most)),
        bad("in two objects, one more", nested(most + 1), many.clone()),
        good("one after the other", params(format!("[{0},{0},{0}]", format!("{{{}}}", names(10_000))))),
        bad("all of a megabyte", params(format!("{{{}}}", names(100_000))), many.clone()),
        bad("and a name twice, later", params(format!(r#"{{{},"0":0}}"#, names(most))), many),
    ]);
}
