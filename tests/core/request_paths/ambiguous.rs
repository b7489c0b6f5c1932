//! A path that two readers could read differently is refused, never "not matched".

use mcp_oauth::{
    path::{PathError, RequestPath},
    refusal::Refusal,
    request::Request,
};
use serde_json::json;

use super::{told, with_resources};
use crate::support::{NOW, ask, claims, gate, header, inline_config, put, reply, reply_header, sign, with};

const fn encoded(byte: u8) -> PathError {
    PathError::PercentEncoded(byte)
}

/// Path, why it is refused, and the path that differs in just that and is accepted.
const ROWS: [(&[u8], PathError, &[u8]); 63] = [
    (b"", PathError::NotAbsolute, b"/"),
    (b"*", PathError::NotAbsolute, b"/*"),
    (b"mcp", PathError::NotAbsolute, b"/mcp"),
    (b"?mcp", PathError::NotAbsolute, b"/?mcp"),
    (b"https://mcp.example.com/mcp", PathError::NotAbsolute, b"/mcp"),
    (b"mcp.example.com:443", PathError::NotAbsolute, b"/"),
    (b"/mcp x", PathError::NotVisibleAscii, b"/mcp%20x"),
    (b" /mcp", PathError::NotVisibleAscii, b"/mcp"),
    (b"/mcp\t", PathError::NotVisibleAscii, b"/mcp"),
    (b"/mcp\0", PathError::NotVisibleAscii, b"/mcp"),
    (b"/mcp\r\nx-mcp-subject: root", PathError::NotVisibleAscii, b"/mcp"),
    (b"/mcp\x7F", PathError::NotVisibleAscii, b"/mcp"),
    (b"/caf\xC3\xA9", PathError::NotVisibleAscii, b"/caf%C3%A9"),
    (b"/mcp\xFF", PathError::NotVisibleAscii, b"/mcp%FF"),
    (b"/mcp?a b", PathError::NotVisibleAscii, b"/mcp?a+b"),
    (b"/mcp?\x80", PathError::NotVisibleAscii, b"/mcp?%80"),
    (b"\\mcp", PathError::NotAbsolute, b"/mcp"),
    (b"/\\mcp", PathError::Backslash, b"/mcp"),
    (b"/mcp\\admin", PathError::Backslash, b"/mcp/admin"),
    (b"/mcp\\..\\admin", PathError::Backslash, b"/mcp?\\..\\admin"),
    (b"/mcp;", PathError::Semicolon, b"/mcp?;"),
    (b"/mcp;jsessionid=1", PathError::Semicolon, b"/mcp,jsessionid=1"),
    (b"/;/mcp", PathError::Semicolon, b"/_/mcp"),
    (b"/..;/mcp", PathError::Semicolon, b"/..,/mcp"),
    (b"/mcp#", PathError::Fragment, b"/mcp"),
    (b"/mcp#/admin", PathError::Fragment, b"/mcp/admin"),
    (b"/mcp?a#b", PathError::Fragment, b"/mcp?a%23b"),
    (b"//", PathError::EmptySegment, b"/"),
    (b"//mcp", PathError::EmptySegment, b"/mcp"),
    (b"//mcp.example.com/mcp", PathError::EmptySegment, b"/mcp.example.com/mcp"),
    (b"/mcp//", PathError::EmptySegment, b"/mcp/"),
    (b"/mcp//admin", PathError::EmptySegment, b"/mcp/admin"),
    (b"/mcp///admin", PathError::EmptySegment, b"/mcp?///admin"),
    (b"/.", PathError::DotSegment, b"/.a"),
    (b"/..", PathError::DotSegment, b"/..."),
    (b"/./mcp", PathError::DotSegment, b"/.x/mcp"),
    (b"/mcp/.", PathError::DotSegment, b"/mcp/.x"),
    (b"/mcp/..", PathError::DotSegment, b"/mcp/..x"),
    (b"/health/../mcp", PathError::DotSegment, b"/health/x../mcp"),
    (b"/mcp/..?", PathError::DotSegment, b"/mcp/?.."),
    (b"/%", PathError::PercentForm, b"/"),
    (b"/mcp%", PathError::PercentForm, b"/mcp"),
    (b"/mcp%C", PathError::PercentForm, b"/mcp%C3"),
    (b"/mcp%C/", PathError::PercentForm, b"/mcp%C3/"),
    (b"/mcp%zz", PathError::PercentForm, b"/mcpzz"),
    (b"/mcp%c3%a9", PathError::PercentForm, b"/mcp%C3%A9"),
    (b"/mcp%u002F", PathError::PercentForm, b"/mcp"),
    (b"/%2e%2e/mcp", PathError::PercentForm, b"/mcp"),
    (b"/mcp%2fadmin", PathError::PercentForm, b"/mcp/admin"),
    (b"/%%6Dcp", PathError::PercentForm, b"/mcp"),
    (b"/%2E", encoded(b'.'), b"/.a"),
    (b"/%2E%2E/mcp", encoded(b'.'), b"/mcp"),
    (b"/mcp%2Fadmin", encoded(b'/'), b"/mcp/admin"),
    (b"/mcp%5Cadmin", encoded(b'\\'), b"/mcp/admin"),
    (b"/mcp%3Badmin", encoded(b';'), b"/mcp"),
    (b"/mcp%3Fadmin", encoded(b'?'), b"/mcp?admin"),
    (b"/mcp%23admin", encoded(b'#'), b"/mcp"),
    (b"/mcp%252Fadmin", encoded(b'%'), b"/mcp"),
    (b"/mcp%00", encoded(0), b"/mcp"),
    (b"/mcp%0D%0A", encoded(b'\r'), b"/mcp"),
    (b"/%6Dcp", encoded(b'm'), b"/mcp"),
    (b"/%40admin", encoded(b'@'), b"/@admin"),
    (b"/{mcp}", PathError::Unencoded(b'{'), b"/%7Bmcp%7D"),
];

#[test]
fn each_ambiguous_form_is_refused_with_400_and_its_reason() {
    for unmatched in ["deny", "insecure_forward"] {
        let mut gate = gate(&put(with_resources(&["https://mcp.example.com"]), "/unmatched", json!(unmatched)));
        for (path, expected, sibling) in ROWS {
            let name = format!("{} ({unmatched})", path.escape_ascii());
            let mut ask = |path: &[u8]| {
                let lines: [(&[u8], &[u8]); 3] =
                    [(b":method", b"GET"), (b":authority", b"mcp.example.com"), (b":path", path)];
                gate.on_request(1, &Request::new(lines, gate.policy().identity_headers()), NOW)
            };
            let refused = reply(ask(path));
            assert_eq!(refused.refusal(), Some(&Refusal::Path(expected)), "{name}");
            assert_eq!((refused.status(), refused.reason()), (400, "mcp_oauth_ambiguous_path"), "{name}");
            assert_eq!(reply_header(&refused, "www-authenticate"), None, "{name}");
            let accepted = told(ask(sibling));
            let expected = "401 https://mcp.example.com/.well-known/oauth-protected-resource";
            assert_eq!(accepted, expected, "{name}: its sibling {}", sibling.escape_ascii());
        }
    }
}

/// RFC 3986 section 2.3 and 2.2: which bytes mean something else, or the same, when they are decoded.
#[test]
fn a_percent_encoded_byte_is_judged_by_what_it_decodes_to() {
    for byte in 0..=u8::MAX {
        let path = format!("/mcp/a%{byte:02X}b");
        let found = RequestPath::parse(path.as_bytes()).map(|path| path.as_str().to_owned());
        let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if unreserved || byte.is_ascii_control() || b"/\\;?#%".contains(&byte) {
            assert_eq!(found, Err(encoded(byte)), "{path}");
        } else if b" \"<>[]^`{|}".contains(&byte) || !byte.is_ascii() {
            // RFC 3986 section 3.3: there is no other way to write these.
            assert_eq!(found, Ok(path));
        } else {
            assert_eq!(found, Err(encoded(byte)), "{path} has another spelling");
        }
    }
}

#[test]
fn the_reason_is_for_the_log_and_not_for_the_client() {
    let mut gate = gate(&inline_config());
    let lines = |path| [(":method", "GET"), (":authority", "mcp.example.com"), (":path", path)];
    let rows = [
        ("mcp", "the path does not start with a slash"),
        ("/\u{7f}", "the path has bytes outside visible ASCII"),
        ("/a\\b", "the path has a backslash"),
        ("/a;b", "the path has a semicolon"),
        ("/a#b", "the path has a fragment"),
        ("/a//b", "the path has an empty segment"),
        ("/a/./b", "the path has a dot segment"),
        ("/a%2e", "the path has a percent sign without two upper-case hexadecimal digits"),
        ("/a%0A", "the path has `%0A`, which decodes ambiguously"),
    ];
    for (path, logged) in rows {
        let reply = reply(ask(&mut gate, &lines(path)));
        assert_eq!(reply.refusal().map(ToString::to_string).as_deref(), Some(logged), "{path}");
        assert_eq!(
            String::from_utf8_lossy(reply.body()),
            r#"{"error":"invalid_request","error_description":"the path of the request is ambiguous"}"#,
            "{path}"
        );
    }
}

/// Servers decode before they route (Go, Starlette, Express), and some route without case (Express, ASP.NET). A resource whose path has a character that may also be
/// percent-encoded must not be reachable by the other spelling under a weaker resource, nor under none.
#[test]
fn another_spelling_of_a_resource_path_is_no_way_around_it() {
    let rows = [
        ("/@admin", "/%40admin"),
        ("/a,b", "/a%2Cb"),
        ("/a:b", "/a%3Ab"),
        ("/a=b", "/a%3Db"),
        ("/a!", "/a%21"),
        ("/a+b", "/a%2Bb"),
        ("/(a)", "/%28a%29"),
        ("/a%22b", "/a\"b"),
        ("/a%5Bb%5D", "/a[b]"),
        ("/admin", "/ADMIN"),
        ("/Admin", "/admin"),
        ("/Admin", "/aDMIN/x"),
        ("/caf%C3%A9", "/CAF%C3%A9"),
    ];
    let weak = sign(&header(), &with(claims(), "aud", json!("https://mcp.example.com")));
    let authorization = format!("Bearer {weak}");
    for (configured, spelling) in rows {
        let strong = format!("https://mcp.example.com{configured}");
        let lines = |path| {
            [
                (":method", "POST"),
                (":authority", "mcp.example.com"),
                (":path", path),
                ("authorization", &*authorization),
            ]
        };
        let mut both = gate(&with_resources(&["https://mcp.example.com", &strong]));
        assert_eq!(told(ask(&mut both, &lines("/other"))), "forward", "{strong}: the weak token is good elsewhere");
        assert_eq!(&told(ask(&mut both, &lines(configured)))[..3], "401", "{strong}: the weak token is not good there");
        assert_ne!(told(ask(&mut both, &lines(spelling))), "forward", "{strong}: as {spelling} with the weak token");

        let mut open = gate(&put(with_resources(&[&strong]), "/unmatched", json!("insecure_forward")));
        assert_ne!(told(ask(&mut open, &lines(spelling)[..3])), "not ours", "{strong}: as {spelling} without a token");
    }
}
