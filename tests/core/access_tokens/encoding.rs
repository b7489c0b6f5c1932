//! The bytes of a token have one reading: RFC 7515 sections 2, 5.2, 7.1 and 10.12, RFC 8725 sections 2.6 and 3.7.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_oauth::{
    bearer::CredentialsError,
    json::JsonError,
    jws::{JwsError, Part},
    refusal::Refusal,
    token::TokenError,
};

use crate::support::{
    Row, accepted, check_tokens, claims, good_token, header, inline_config, invalid, refused, sign_bytes, sign_input,
    sign_texts,
};

use super::malformed;

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn header_text() -> String {
    header().to_string()
}

fn claims_text() -> String {
    claims().to_string()
}

/// The good header and these claims, as text.
fn claiming_text(claims: &str) -> String {
    sign_texts(1, &header_text(), claims)
}

/// This header, as text, and the good claims.
fn headed_text(header: &str) -> String {
    sign_texts(1, header, &claims_text())
}

fn json(part: Part, error: JsonError) -> JwsError {
    JwsError::Json(part, error)
}

fn syntax(part: Part, column: usize) -> JwsError {
    json(part, JsonError::Syntax { line: 1, column })
}

/// The text of an object with one more member at its end.
fn and(object: &str, member: &str) -> String {
    format!("{},{member}}}", object.strip_suffix('}').expect("an object"))
}

/// Pads a JSON text with spaces until its length leaves this remainder by three.
fn of_length(mut json: String, remainder: usize) -> String {
    while json.len() % 3 != remainder {
        json.push(' ');
    }
    json
}

#[test]
fn a_token_has_three_parts() {
    let good = good_token();
    let [header, payload, signature] = [0, 1, 2].map(|part| good.split('.').nth(part).expect("three parts"));
    let parts = |name: &str, token: String, count: usize| malformed(name, token, JwsError::Parts(count));
    check_tokens(
        &inline_config(),
        vec![
            accepted("RFC 7515 7.1: three", good.clone()),
            parts("RFC 7515 7.1: one, opaque", "2YotnFZFEjr1zCsicMWpAA".to_owned(), 1),
            parts("RFC 7515 7.1: one, the header", header.to_owned(), 1),
            parts("RFC 7515 7.1: two", format!("{header}.{payload}"), 2),
            parts("RFC 7515 7.1: four", format!("{good}.{signature}"), 4),
            parts("RFC 7515 7.1: an empty fourth", format!("{good}."), 4),
            parts("RFC 7515 7.1: an empty first of four", format!(".{good}"), 4),
            parts("RFC 7516 7.1: five, encrypted", format!("{good}.{payload}.{signature}"), 5),
            parts("RFC 7515 7.1: dots only", ".".repeat(1000), 1001),
        ],
    );
}

#[test]
fn no_part_is_empty() {
    let (header, payload) = (encode(header_text()), encode(claims_text()));
    check_tokens(
        &inline_config(),
        vec![
            accepted("RFC 7515 7.1: none", good_token()),
            malformed("RFC 7515 5.2: header", sign_input(1, &format!(".{payload}")), syntax(Part::Header, 1)),
            malformed("RFC 7519 7.2: payload", sign_input(1, &format!("{header}.")), syntax(Part::Payload, 1)),
            invalid("RFC 7515 5.2: signature", format!("{header}.{payload}."), TokenError::Signature),
            malformed("RFC 7515 5.2: all", "..".to_owned(), syntax(Part::Header, 1)),
        ],
    );
}

/// RFC 7515 section 2: base64url without padding, line breaks or anything else. The signatures here are right for the
/// texts as they are, so only the strict reading refuses them.
#[test]
fn base64_has_one_spelling() {
    let base64 = |name: &str, token: String, part: Part| malformed(name, token, JwsError::Base64(part));
    let credentials =
        |name: &str, token: String| refused(name, token, Refusal::Credentials(CredentialsError::Malformed));
    let (header, payload) = (encode(of_length(header_text(), 1)), encode(of_length(claims_text(), 1)));
    let (header_2, payload_2) = (encode(of_length(header_text(), 2)), encode(of_length(claims_text(), 2)));
    let good = sign_input(1, &format!("{header}.{payload}"));
    let bits = |text: &str| trailing_bit_set(text);
    check_tokens(
        &inline_config(),
        vec![
            accepted("RFC 7515 2: a remainder of one byte", good.clone()),
            accepted("RFC 7515 2: a remainder of two bytes", sign_input(1, &format!("{header_2}.{payload_2}"))),
            base64("RFC 7515 2: padded signature", format!("{good}=="), Part::Signature),
            base64("RFC 7515 2: wrongly padded signature", format!("{good}="), Part::Signature),
            // `=` inside is not even a Bearer token (RFC 6750 section 2.1).
            credentials("RFC 7515 2: padded header", sign_input(1, &format!("{header}==.{payload}"))),
            credentials("RFC 7515 2: padded payload", sign_input(1, &format!("{header}.{payload}=="))),
            base64(
                "RFC 4648 3.5: header, a bit too many",
                sign_input(1, &format!("{}.{payload}", bits(&header))),
                Part::Header,
            ),
            base64(
                "RFC 4648 3.5: header, likewise",
                sign_input(1, &format!("{}.{payload}", bits(&header_2))),
                Part::Header,
            ),
            base64(
                "RFC 4648 3.5: payload, a bit too many",
                sign_input(1, &format!("{header}.{}", bits(&payload))),
                Part::Payload,
            ),
            base64(
                "RFC 4648 3.5: payload, likewise",
                sign_input(1, &format!("{header}.{}", bits(&payload_2))),
                Part::Payload,
            ),
            base64("RFC 4648 3.5: signature, a bit too many", bits(&good), Part::Signature),
            base64(
                "RFC 4648 3.2: a lone last character, header",
                sign_input(1, &format!("{header}AAA.{payload}")),
                Part::Header,
            ),
            base64(
                "RFC 4648 3.2: a lone last character, payload",
                sign_input(1, &format!("{header}.{payload}AAA")),
                Part::Payload,
            ),
            base64("RFC 4648 3.2: a lone last character, signature", format!("{good}AAA"), Part::Signature),
            base64(
                "RFC 4648 3.3: outside the alphabet, header",
                sign_input(1, &format!("{header}~AA.{payload}")),
                Part::Header,
            ),
            base64(
                "RFC 4648 3.3: outside the alphabet, payload",
                sign_input(1, &format!("{header}.{payload}~AA")),
                Part::Payload,
            ),
            base64("RFC 4648 3.3: outside the alphabet, signature", format!("{good}~~"), Part::Signature),
        ],
    );
}

/// The same base64url text with one of the bits set that the decoder must find zero.
fn trailing_bit_set(text: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert_ne!(text.rsplit('.').next().map_or(0, str::len) % 4, 0, "no bits to spare");
    let mut changed = text.to_owned();
    let last = changed.pop().expect("not empty");
    let value = ALPHABET.find(last).expect("of the alphabet");
    assert_eq!(value % 2, 0, "the bit is zero in the one spelling");
    changed.push(char::from(ALPHABET.as_bytes()[value + 1]));
    changed
}

#[test]
fn the_alphabet_is_the_url_alphabet() {
    // `>` and `?` at the right places encode to `-` and `_`, which the standard alphabet writes `+` and `/`.
    let header = ["?", "??", "???"].map(|text| encode(and(&header_text(), &format!("\"x\":\"{text}>>>\""))));
    let header = header.into_iter().find(|header| header.contains(['-', '_'])).expect("one of three alignments");
    let payload = ["?", "??", "???"].map(|text| encode(and(&claims_text(), &format!("\"x\":\"{text}>>>\""))));
    let payload = payload.into_iter().find(|payload| payload.contains(['-', '_'])).expect("one of three alignments");
    let good = sign_input(1, &format!("{header}.{payload}"));
    let (input, signature) = good.rsplit_once('.').expect("three parts");
    let standard = |text: &str| {
        let changed = text.replace('-', "+").replace('_', "/");
        assert_ne!(changed, text, "a text that both alphabets write alike");
        changed
    };
    let error = |part| JwsError::Base64(part);
    check_tokens(
        &inline_config(),
        vec![
            accepted("RFC 7515 2: the URL alphabet", good.clone()),
            malformed(
                "RFC 7515 2: header",
                sign_input(1, &format!("{}.{payload}", standard(&header))),
                error(Part::Header),
            ),
            malformed(
                "RFC 7515 2: payload",
                sign_input(1, &format!("{header}.{}", standard(&payload))),
                error(Part::Payload),
            ),
            malformed("RFC 7515 2: signature", format!("{input}.{}", standard(signature)), error(Part::Signature)),
        ],
    );
}

/// Readers differ on which of two members counts: RFC 7515 section 4, RFC 7519 section 4, RFC 8725 section 2.6.
#[test]
fn no_member_comes_twice() {
    // A text with a `§` before the second of two names, which is where it stands; what it is called may be a secret.
    let duplicate = |name: &str, part: Part, marked: String| {
        let (before, after) = marked.split_once('§').expect("a mark");
        let text = format!("{before}{after}");
        let token = if part == Part::Header { headed_text(&text) } else { claiming_text(&text) };
        malformed(name, token, json(part, JsonError::Duplicate { line: 1, column: before.len() + 1 }))
    };
    let header = |name: &str, member: &str| duplicate(name, Part::Header, and(&header_text(), member));
    let payload = |name: &str, member: &str| duplicate(name, Part::Payload, and(&claims_text(), member));
    let in_header = |member: &str| headed_text(&and(&header_text(), member));
    let in_claims = |member: &str| claiming_text(&and(&claims_text(), member));
    check_tokens(
        &inline_config(),
        vec![
            accepted("RFC 7519 4: the same name in another object", in_claims(r#""act":{"sub":"bob","iss":"x"}"#)),
            accepted("RFC 7519 4: the same name in two items", in_claims(r#""x":[{"a":1},{"a":1}]"#)),
            accepted("RFC 7519 4: names in another case", in_claims(r#""Aud":"x","ISS":"x""#)),
            accepted("RFC 7515 4: names in another case", in_header(r#""Alg":"none","KID":"k2""#)),
            header("RFC 7515 4: `alg`", r#"§"alg":"none""#),
            header("RFC 7515 4: `alg`, the same", r#"§"alg":"ES256""#),
            duplicate(
                "RFC 7515 4: `alg`, first",
                Part::Header,
                header_text().replacen(r#""alg""#, r#""alg":"none",§"alg""#, 1),
            ),
            header("RFC 7515 4: `kid`", r#"§"kid":"k2""#),
            header("RFC 7515 4: escaped", r#"§"\u0061lg":"none""#),
            header("RFC 7515 4: nested", r#""jwk":{"kty":"EC",§"kty":"oct"}"#),
            header("RFC 7515 4: the empty name", r#""":1,§"":2"#),
            payload("RFC 7519 4: `aud`", r#"§"aud":"https://a.example""#),
            payload("RFC 7519 4: `exp`", r#"§"exp":9999999999"#),
            payload("RFC 7519 4: `sub`, the same", r#"§"sub":"alice""#),
            payload("RFC 7519 4: escaped", r#"§"\u0073ub":"bob""#),
            payload("RFC 7519 4: nested", r#""act":{"sub":"a",§"sub":"b"}"#),
            payload("RFC 7519 4: nested in an array", r#""x":[[{"a":1,§"a":null}]]"#),
        ],
    );
}

/// RFC 7515 section 10.12: trailing characters. Neither a signature nor a lenient parser makes them go away.
#[test]
fn nothing_follows_the_object() {
    let (header, claims) = (header_text(), claims_text());
    let mut rows = vec![
        accepted("RFC 8259 2: white space in the header", headed_text(&format!(" \t\r\n{header} \t\r\n"))),
        accepted("RFC 8259 2: white space in the payload", claiming_text(&format!(" \t\r\n{claims} \t\r\n"))),
    ];
    for tail in ["x", "{}", "}", ",", "\u{0}", "//", "null", ";", "\u{a0}", "\u{feff}"] {
        let column = |text: &str| text.len() + 1;
        rows.push(malformed(
            format!("RFC 7515 10.12: {tail:?} after the header"),
            headed_text(&format!("{header}{tail}")),
            syntax(Part::Header, column(&header)),
        ));
        rows.push(malformed(
            format!("RFC 7515 10.12: {tail:?} after the payload"),
            claiming_text(&format!("{claims}{tail}")),
            syntax(Part::Payload, column(&claims)),
        ));
    }
    check_tokens(&inline_config(), rows);
}

#[test]
fn both_parts_are_objects() {
    let mut rows = vec![accepted("RFC 7515 5.2, RFC 7519 7.2: objects", good_token())];
    for text in ["[]", "null", "true", "1", "\"ES256\"", "[{}]"] {
        let error = |part| json(part, JsonError::NotAnObject);
        rows.push(malformed(format!("RFC 7515 5.2: the header is {text}"), headed_text(text), error(Part::Header)));
        rows.push(malformed(format!("RFC 7519 7.2: the payload is {text}"), claiming_text(text), error(Part::Payload)));
    }
    check_tokens(&inline_config(), rows);
}

/// RFC 7515 section 5.2, RFC 8725 section 3.7: UTF-8, without byte order mark (RFC 8259 section 8.1).
#[test]
fn both_parts_are_utf_8() {
    let (header, claims) = (header_text(), claims_text());
    let row = broken_text;
    let utf_16: Vec<u8> = claims.encode_utf16().flat_map(u16::to_be_bytes).collect();
    check_tokens(
        &inline_config(),
        [
            vec![
                accepted("RFC 8259 8.1: beyond ASCII", claiming_text(&and(&claims, r#""name":"Zoë 🦀""#))),
                accepted("RFC 8259 7: escaped beyond ASCII", claiming_text(&and(&claims, r#""name":"\ud83e\udd80""#))),
                malformed("RFC 8259 8.1: UTF-16", sign_bytes(1, header.as_bytes(), &utf_16), syntax(Part::Payload, 1)),
                malformed(
                    "RFC 8259 8.1: a mark before the header",
                    headed_text(&format!("\u{feff}{header}")),
                    syntax(Part::Header, 1),
                ),
                malformed(
                    "RFC 8259 8.1: a mark before the payload",
                    claiming_text(&format!("\u{feff}{claims}")),
                    syntax(Part::Payload, 1),
                ),
            ],
            row("RFC 8725 3.7: no UTF-8 at all", b"\xff", 0),
            row("RFC 8725 3.7: Latin-1", b"Zo\xeb", 2),
            row("RFC 3629 3: an overlong slash", b"a\xc0\xaf", 1),
            row("RFC 3629 3: a surrogate", b"\xed\xa0\x80", 0),
            row("RFC 3629 3: cut off", b"\xf0\x9f\xa6", 0),
            row("RFC 8259 8.2: half of an escaped pair", br"\ud83e", 6),
            row("RFC 8259 7: a raw line feed", b"a\nb", 1),
            row("RFC 8259 7: a raw zero", b"a\x00b", 1),
        ]
        .into_iter()
        .flatten()
        .collect(),
    );
}

/// The good token with one more text, of these bytes, in its header, in its claims, and as the name of a claim; and where
/// the text goes wrong: the line, and in the first one after how many bytes.
fn broken_text(name: &str, bytes: &[u8], offset: usize) -> Vec<Row<String>> {
    let (header, claims) = (header_text(), claims_text());
    let broken = |part: Part, object: &str, before: &str, after: &str| {
        let open = format!("{},{before}", object.strip_suffix('}').expect("an object"));
        let column = open.len() + offset + 1;
        let error = json(part, JsonError::Syntax { line: 1, column });
        ([open.as_bytes(), bytes, after.as_bytes()].concat(), error)
    };
    let (header_bytes, header_error) = broken(Part::Header, &header, "\"x\":\"", "\"}");
    let (value_bytes, value_error) = broken(Part::Payload, &claims, "\"x\":\"", "\"}");
    let (name_bytes, name_error) = broken(Part::Payload, &claims, "\"", "\":1}");
    vec![
        malformed(format!("{name}, in the header"), sign_bytes(1, &header_bytes, claims.as_bytes()), header_error),
        malformed(format!("{name}, in a claim"), sign_bytes(1, header.as_bytes(), &value_bytes), value_error),
        malformed(format!("{name}, in a name"), sign_bytes(1, header.as_bytes(), &name_bytes), name_error),
    ]
}

/// RFC 8259 section 9 allows a limit. A parser that recurses without one is a stack overflow by request.
#[test]
fn depth_is_bounded() {
    let nested =
        |open: &str, close: &str, levels: usize| format!("\"x\":{}1{}", open.repeat(levels), close.repeat(levels));
    let claims_with = |member: &str| claiming_text(&and(&claims_text(), member));
    let header_with = |member: &str| headed_text(&and(&header_text(), member));
    let (arrays, objects) = (|levels| nested("[", "]", levels), |levels| nested("{\"a\":", "}", levels));
    // The object itself is the first level, so the 127th bracket inside it is one too many.
    let at =
        |part: Part, object: String, width: usize| syntax(part, object.len() - 1 + ",\"x\":".len() + 126 * width + 1);
    let claims_at = |width: usize| at(Part::Payload, claims_text(), width);
    let header_at = |width: usize| at(Part::Header, header_text(), width);
    check_tokens(
        &inline_config(),
        vec![
            accepted("RFC 8259 9: 127 levels of claims", claims_with(&arrays(126))),
            accepted("RFC 8259 9: 127 levels of claims, objects", claims_with(&objects(126))),
            accepted("RFC 8259 9: 127 levels of header", header_with(&arrays(126))),
            malformed("RFC 8259 9: 128 levels of claims", claims_with(&arrays(127)), claims_at(1)),
            malformed("RFC 8259 9: 128 levels of claims, objects", claims_with(&objects(127)), claims_at(5)),
            malformed("RFC 8259 9: 128 levels of header", header_with(&arrays(127)), header_at(1)),
            malformed("RFC 8259 9: a bomb", claims_with(&arrays(5000)), claims_at(1)),
            malformed("RFC 8259 9: a bomb in the header", header_with(&arrays(5000)), header_at(1)),
            malformed("RFC 8259 9: a bomb of objects", claims_with(&objects(1500)), claims_at(5)),
            malformed("RFC 8259 9: never closed", claiming_text(&"[".repeat(11_000)), syntax(Part::Payload, 128)),
        ],
    );
}
