//! A path that is accepted is its own normal form, by a normalizer that is not the gate's.

use mcp_oauth::path::RequestPath;
use proptest::{collection::vec, prelude::*, sample::select};

use super::{any_bytes, cases};

/// RFC 3986 section 6.2.2, and merging of slashes as Envoy and nginx do it: decode what is unreserved, write other
/// triplets in upper case, drop dot segments and empty segments. Simple and slow on purpose.
fn normalize(path: &str) -> String {
    let hex = |text: &str| u8::from_str_radix(text, 16).ok().filter(|_| text.len() == 2 && !text.starts_with('+'));
    let mut decoded = String::new();
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let triplet = rest.strip_prefix('%').and_then(|after| hex(after.get(..2)?));
        match triplet {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => decoded.push(char::from(byte)),
            Some(byte) => decoded.push_str(&format!("%{byte:02X}")),
            None => decoded.push(first),
        }
        let consumed = if triplet.is_some() { 3 } else { first.len_utf8() };
        rest = &rest[consumed..];
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_open = false;
    for segment in decoded.split('/').skip(1) {
        ends_open = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let end = if ends_open && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

#[test]
fn the_normalizer_of_this_test_normalizes() {
    let rows = [
        ("/", "/"),
        ("//", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("/a//b", "/a/b"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/../../b", "/b"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a/"),
        ("/%61/%2E%2e/%7Eb", "/~b"),
        ("/a%2fb", "/a%2Fb"),
        ("/a%C3%a9", "/a%C3%A9"),
        ("/100%", "/100%"),
        ("/%%41", "/%A"),
    ];
    for (path, expected) in rows {
        assert_eq!(normalize(path), expected, "{path}");
    }
}

fn any_path() -> impl Strategy<Value = Vec<u8>> {
    let parts = [
        "/", "/", "/", "//", "/.", "/..", "a", "mcp", ".", "..", "...", "~", "-", "_", "%", "%2E", "%2e", "%2F", "%2f",
        "%5C", "%41", "%7E", "%7e", "%C3%A9", "%c3%a9", "%20", "%25", "%252E", "%00", "%0A", "\\", ";", ";a=b", "#",
        "?", "&", "=", "@", ":", ",", "!", "*", "+", "$", "'", "(", ")", "é", " ", "\t", "\0", "\u{7f}",
    ];
    prop_oneof![
        6 => vec(select(parts.to_vec()), 0..10).prop_map(|parts| format!("/{}", parts.concat()).into_bytes()),
        1 => vec(select(parts.to_vec()), 0..6).prop_map(|parts| parts.concat().into_bytes()),
        1 => any_bytes(20),
    ]
}

proptest! {
    #![proptest_config(cases(20_000))]

    #[test]
    fn a_path_that_is_accepted_is_normal(raw in any_path()) {
        let Ok(path) = RequestPath::parse(&raw) else { return Ok(()) };
        let path = path.as_str();
        prop_assert_eq!(normalize(path), path);
        // It is the beginning of what was received, up to the query.
        let until_query = raw.split(|byte| *byte == b'?').next();
        prop_assert_eq!(Some(path.as_bytes()), until_query);
        for trap in ["//", "\\", ";", "#", "?", "/./", "/../", "%2F", "%5C"] {
            prop_assert!(!path.contains(trap), "`{}` in {}", trap, path);
        }
        prop_assert!(path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()), "{}", path);
    }

    /// And what is refused stays refused, whatever follows: a longer path never mends a shorter one.
    #[test]
    fn a_path_that_is_refused_stays_refused(raw in any_path(), more in "/[a-z]{1,3}") {
        if RequestPath::parse(&raw).is_err() && raw.starts_with(b"/") && !raw.contains(&b'?') {
            let longer = [&raw[..], more.as_bytes()].concat();
            prop_assert!(RequestPath::parse(&longer).is_err(), "{}", longer.escape_ascii());
        }
    }
}
