//! Texts (RFC 8259 section 7): their escapes, what may not stand in them, and that they are decoded alike everywhere.

use mcp_oauth::message::{Target, read};

use super::{bad, broken, check_bodies, good, hex, syntax, targets};

const BEFORE: &str = r#"{"method":"x","params":{"a":""#;

fn with_text(text: &str) -> String {
    format!("{BEFORE}{text}\"}}}}")
}

#[test]
fn escapes_are_as_the_grammar_has_them() {
    let mut rows: Vec<_> = [r#"\""#, r"\\", r"\/", r"\b", r"\f", r"\n", r"\r", r"\t", r"\u0041", r"\uFFff", r"\u0000"]
        .map(|escape| good(format!("RFC 8259 7: {escape}"), with_text(escape)))
        .into();
    for escape in ["a", "e", "v", "x41", "0", "'", "U0041", "N", " ", "\n", "\0", "é"] {
        let before = format!("{BEFORE}\\");
        let name = format!("RFC 8259 7: \\{}", escape.escape_debug());
        // The byte after the backslash is read before it is judged.
        let column = before.len() + 2;
        let error = if escape == "\n" { syntax(2, 1) } else { syntax(1, column) };
        rows.push(bad(name, format!("{before}{escape}\"}}}}"), error));
    }
    let cut = |text: &str| bad(format!("RFC 8259 7: ends after {text}"), format!("{BEFORE}{text}"), at_end(text));
    rows.extend(["", "a", "\\"].map(cut));
    for digits in ["004", "", "00"] {
        let before = format!("{BEFORE}\\u");
        rows.push(bad(
            format!("RFC 8259 7: ends after \\u{digits}"),
            format!("{before}{digits}"),
            syntax(1, before.len() + 1),
        ));
    }
    for digits in ["004g", "+041", "-041", " 041", "0x41", "00 4", "{41}", "004\"", "00é", "٠041"] {
        let before = format!("{BEFORE}\\u");
        let name = format!("RFC 8259 7: \\u{digits}");
        rows.push(bad(name, format!("{before}{digits}\"}}}}"), syntax(1, before.len() + 5)));
    }
    check_bodies(rows);
}

fn at_end(text: &str) -> mcp_oauth::message::MessageError {
    syntax(1, BEFORE.len() + text.len() + 1)
}

/// RFC 8259 section 8.2: what readers make of half a pair is unpredictable.
#[test]
fn surrogates_come_in_pairs() {
    let mut rows: Vec<_> =
        [r"\ud83d\ude00", r"\uD800\uDC00", r"\uDBFF\uDFFF", r"\ud7ff", r"\ue000", r"\ud83d\ude00\ud83d\ude00"]
            .map(|pair| good(format!("RFC 8259 7: {pair}"), with_text(pair)))
            .into();
    // Each with what is read of it before the fault.
    for (name, read, rest) in [
        ("a high half alone", r"\ud83d", ""),
        ("the first high half alone", r"\uD800", ""),
        ("the last high half alone", r"\uDBFF", ""),
        ("a high half before a letter", r"\ud83d", "x"),
        ("a high half before another escape", r"\ud83d", r"\n"),
        ("a high half before an escaped backslash", r"\ud83d", r"\\ude00"),
        ("a high half before an upper-case U", r"\ud83d", r"\Ude00"),
        ("a high half before a letter's unit", r"\ud83d\u0041", ""),
        ("two high halves", r"\ud83d\ud83d", ""),
        ("two high halves and a low one", r"\ud83d\ud83d", r"\ude00"),
        ("a high half before a unit below", r"\ud83d\uDBFF", ""),
        ("a high half before a unit above", r"\ud83d\uE000", ""),
        ("a low half alone", r"\ude00", ""),
        ("the first low half alone", r"\uDC00", ""),
        ("the last low half alone", r"\uDFFF", ""),
        ("the halves reversed", r"\ude00", r"\ud83d"),
        ("a second low half", r"\ud83d\ude00\ude00", ""),
    ] {
        let before = format!("{BEFORE}{read}");
        rows.push(broken(format!("RFC 8259 8.2: {name}"), before, format!("{rest}\"}}}}")));
    }
    rows.push(broken("RFC 8259 8.2: in a name", r#"{"method":"x","a\ud83d"#, "\":1}"));
    rows.push(broken("RFC 8259 8.2: in the method", r#"{"method":"x\ud83d"#, "\"}"));
    rows.push(broken("RFC 8259 8.2: in the id", r#"{"method":"x","id":"\udfff"#, "\"}"));
    check_bodies(rows);
}

#[test]
fn control_characters_are_escaped() {
    let mut rows =
        vec![good("RFC 8259 7: DEL is none", with_text("\x7F")), good("RFC 8259 7: NEL is none", with_text("\u{85}"))];
    for byte in 0..0x20_u8 {
        let control = char::from(byte).to_string();
        rows.push(good(format!("RFC 8259 7: U+{byte:04X} escaped"), with_text(&format!("\\u{byte:04x}"))));
        rows.push(broken(format!("RFC 8259 7: U+{byte:04X}"), BEFORE, format!("{control}\"}}}}")));
        rows.push(broken(
            format!("RFC 8259 7: U+{byte:04X} in a name"),
            r#"{"method":"x","a"#,
            format!("{control}\":1}}"),
        ));
    }
    check_bodies(rows);
}

/// Plain bytes are read eight at a time, so each special one must be found wherever it stands among them.
#[test]
fn a_special_byte_is_found_at_any_place() {
    for plain in ["a", " ", "!", "#", "[", "]", "~", "\x7F"] {
        for before in 0..36 {
            for after in [0, 1, 7, 16] {
                let (head, tail) = (plain.repeat(before), plain.repeat(after));
                for (written, said) in [("\\\"", "\""), ("\\\\", "\\"), ("é", "é"), ("\\u00e9", "é"), ("😀", "😀")]
                {
                    let body =
                        format!(r#"{{"id":1,"method":"tools/call","params":{{"name":"{head}{written}{tail}"}}}}"#);
                    let name = format!("{head}{said}{tail}").into();
                    if plain == "\x7F" && before + after > 0 {
                        assert!(read(body.as_bytes(), false).is_err(), "{body:?}");
                    } else {
                        assert_eq!(targets(&body), [Target::Tool(name)], "{body}");
                    }
                }
                for special in [&b"\0"[..], b"\x1F", b"\n", b"\"", b"\xFF", b"\x80", b"\\x"] {
                    let start = format!(r#"{{"method":"x","params":{{"a":"{head}"#);
                    let body = [start.as_bytes(), special, tail.as_bytes(), b"\"}}"].concat();
                    assert!(read(&body, false).is_err(), "{} after {head:?}, before {tail:?}", hex(special));
                }
            }
        }
    }
}

#[test]
fn a_text_says_the_same_however_it_is_written() {
    for (written, said) in [
        ("add", "add"),
        (r"\u0061dd", "add"),
        (r"\u0061\u0064\u0064", "add"),
        (r"a\u0064d", "add"),
        (r"ad\u0064", "add"),
        (r"\u00E9\u00e9é", "ééé"),
        (r"\ud83d\ude00\uD83D\uDE00😀", "😀😀😀"),
        (r"\ud800\udc00", "\u{10000}"),
        (r"\udbff\udfff", "\u{10FFFF}"),
        (r"\ud834\udd1e", "\u{1D11E}"),
        (r"\uffff\ue000\ud7ff", "\u{FFFF}\u{E000}\u{D7FF}"),
        (r#"\"\\\/"#, "\"\\/"),
        (r"\\u0061", "\\u0061"),
        (r"\\\u0061", "\\a"),
        (r"\\n", "\\n"),
        ("", ""),
    ] {
        for name in ["name", r"n\u0061me", r"\u006e\u0061\u006D\u0065"] {
            let body = format!(r#"{{"id":1,"m\u0065thod":"tools\/c\u0061ll","p\u0061rams":{{"{name}":"{written}"}}}}"#);
            assert_eq!(targets(&body), [Target::Tool(said.into())], "{body}");
        }
    }
}
