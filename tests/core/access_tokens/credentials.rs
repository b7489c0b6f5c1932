//! The `Authorization` header, in every form that a client, a proxy or an attacker may send it: RFC 6750 section 2.1,
//! RFC 9110 section 11.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_oauth::{
    bearer::{Authorization, CredentialsError, MAX_TOKEN_BYTES},
    jws::{JwsError, Part},
    refusal::Refusal,
    request::Request,
    token::TokenError,
};

use crate::support::{
    NOW, Row, accepted, check, claims, gate, good_token, header, inline_config, outcome, refused, sign_texts,
};

/// Header lines besides the pseudo headers.
type Lines = Vec<(&'static str, Vec<u8>)>;

fn ask_lines(path: &str, lines: &Lines) -> Result<(), Refusal> {
    let mut gate = gate(&inline_config());
    let pseudo = [(":method", "POST"), (":authority", "mcp.example.com"), (":path", path)];
    let pseudo = pseudo.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let lines = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
    let request = Request::new(pseudo.chain(lines), gate.policy().identity_headers());
    outcome(gate.on_request(1, &request, NOW))
}

fn one(value: impl AsRef<[u8]>) -> Lines {
    vec![("authorization", value.as_ref().to_vec())]
}

/// A value in which `T` stands for the good token.
fn with_token(value: &str) -> Lines {
    one(value.replace('T', &good_token()))
}

fn missing(name: &str, lines: Lines) -> Row<Lines> {
    refused(name, lines, Refusal::MissingToken)
}

fn malformed(name: &str, lines: Lines) -> Row<Lines> {
    refused(name, lines, Refusal::Credentials(CredentialsError::Malformed))
}

fn doubled(name: &str, lines: Lines) -> Row<Lines> {
    refused(name, lines, Refusal::Credentials(CredentialsError::Doubled))
}

fn no_jws(name: &str, lines: Lines, error: JwsError) -> Row<Lines> {
    refused(name, lines, Refusal::Token(TokenError::Jws(error)))
}

#[test]
fn the_scheme_is_bearer() {
    let rows = vec![
        accepted("RFC 6750 2.1: as it is written there", with_token("Bearer T")),
        accepted("RFC 9110 11.1: in lower case", with_token("bearer T")),
        accepted("RFC 9110 11.1: in upper case", with_token("BEARER T")),
        accepted("RFC 9110 11.1: in any case", with_token("bEaReR T")),
        accepted("RFC 9110 11.4: several spaces", with_token("Bearer     T")),
        missing("RFC 6750 3.1: no header", vec![]),
        missing("RFC 6750 3.1: an empty one", one("")),
        missing("RFC 6750 3.1: a space", one(" ")),
        missing("RFC 6750 3.1: Basic", one("Basic dXNlcjpwYXNz")),
        missing("RFC 6750 3.1: Negotiate", one("Negotiate")),
        missing("RFC 9449 7.1: DPoP", with_token("DPoP T")),
        missing("RFC 6750 2.1: no scheme", with_token("T")),
        missing("RFC 6750 2.1: no space", with_token("BearerT")),
        missing("RFC 6750 2.1: a longer scheme", with_token("Bearers T")),
        missing("RFC 6750 2.1: a shorter scheme", with_token("Beare T")),
        missing("RFC 9110 11.4: a tab is no space", with_token("Bearer\tT")),
        missing("RFC 9110 11.4: nor is a colon", with_token("Bearer: T")),
        missing("RFC 9110 5.5: a leading space, which a proxy takes off", with_token(" Bearer T")),
        missing("RFC 9110 11.4: one scheme after another", with_token("Basic Bearer T")),
        missing("RFC 9110 5.6.3: no header list by semicolons", with_token("Basic dXNlcjpwYXNz; Bearer T")),
    ];
    check(rows, |lines| ask_lines("/mcp", lines));
}

#[test]
fn bearer_is_followed_by_one_token() {
    let rows = vec![
        accepted("RFC 6750 2.1: one", with_token("Bearer T")),
        malformed("RFC 6750 2.1: nothing", one("Bearer")),
        malformed("RFC 6750 2.1: a space", one("Bearer ")),
        malformed("RFC 6750 2.1: spaces", one("bearer     ")),
        malformed("RFC 6750 2.1: two", with_token("Bearer T T")),
        malformed("RFC 6750 2.1: a space behind", with_token("Bearer T ")),
        malformed("RFC 6750 2.1: a tab behind", with_token("Bearer T\t")),
        malformed("RFC 6750 2.1: a tab before", with_token("Bearer \tT")),
        malformed("RFC 6750 2.1: quoted", with_token("Bearer \"T\"")),
        malformed("RFC 6750 2.1: in angle brackets", with_token("Bearer <T>")),
        malformed("RFC 6750 2.1: a parameter", with_token("Bearer token=T")),
        malformed("RFC 6750 2.1: a parameter behind", with_token("Bearer T; a=b")),
        malformed("RFC 6750 2.1: Bearer twice", with_token("Bearer Bearer T")),
        malformed("RFC 6750 2.1: a line feed", with_token("Bearer T\n")),
        malformed("RFC 6750 2.1: a line feed inside", with_token("Bearer \r\n T")),
        malformed("RFC 6750 2.1: a zero", with_token("Bearer T\0")),
        malformed("RFC 6750 2.1: a delete", with_token("Bearer T\u{7f}")),
        malformed("RFC 6750 2.1: a percent sign", with_token("Bearer T%3D")),
        malformed("RFC 6750 2.1: an exclamation mark", one("Bearer abc!")),
        malformed("RFC 6750 2.1: a colon", one("Bearer user:password")),
        malformed("RFC 6750 2.1: `=` only", one("Bearer =")),
        malformed("RFC 6750 2.1: `==` only", one("Bearer ==")),
        malformed("RFC 6750 2.1: `=` before", with_token("Bearer =T")),
        malformed("RFC 6750 2.1: `=` in the middle", one("Bearer a=b")),
        malformed("RFC 6750 2.1: `=` in the middle and behind", one("Bearer a=b=")),
        no_jws("RFC 6750 2.1: `=` behind is a b64token", one("Bearer abc=="), JwsError::Parts(1)),
        no_jws("RFC 6750 2.1: every legal character", one("Bearer aZ09-_~+/"), JwsError::Parts(1)),
        no_jws("RFC 7515 2: but no JWS", with_token("Bearer T="), JwsError::Base64(Part::Signature)),
    ];
    check(rows, |lines| ask_lines("/mcp", lines));
}

/// RFC 6750 section 2, RFC 9110 section 5.3: readers disagree on which of two counts.
#[test]
fn there_is_one_set_of_credentials() {
    let bearer = || with_token("Bearer T").remove(0);
    let basic = || ("authorization", b"Basic dXNlcjpwYXNz".to_vec());
    let named = |name: &'static str| (name, bearer().1);
    let rows = vec![
        accepted("RFC 9110 5.1: one line", vec![bearer()]),
        accepted("RFC 9110 5.1: in any case", vec![named("AuThOrIzAtIoN")]),
        doubled("RFC 9110 5.3: two lines, the same", vec![bearer(), bearer()]),
        doubled("RFC 9110 5.3: two lines in another case", vec![bearer(), named("Authorization")]),
        doubled("RFC 9110 5.3: Basic, then Bearer", vec![basic(), bearer()]),
        doubled("RFC 9110 5.3: Bearer, then Basic", vec![bearer(), basic()]),
        doubled("RFC 9110 5.3: Bearer, then nothing", vec![bearer(), ("authorization", vec![])]),
        doubled("RFC 9110 5.3: two lines without a token", vec![basic(), basic()]),
        doubled("RFC 9110 5.3: three lines", vec![bearer(), bearer(), bearer()]),
        doubled("RFC 9110 5.3: joined, the same", with_token("Bearer T,Bearer T")),
        doubled("RFC 9110 5.3: joined with a space", with_token("Bearer T, Bearer T")),
        doubled("RFC 9110 5.3: joined with Basic", with_token("Bearer T, Basic dXNlcjpwYXNz")),
        doubled("RFC 9110 5.3: joined with nothing", with_token("Bearer T,")),
        doubled("RFC 9110 5.3: nothing joined with it", with_token("Bearer ,T")),
        doubled("RFC 9110 5.3: Basic joined with Bearer", with_token("Basic dXNlcjpwYXNz, Bearer T")),
        doubled("RFC 9110 5.3: Basic joined with bearer", with_token("Basic dXNlcjpwYXNz,bearer T")),
        doubled("RFC 9110 5.6.1: tabs and empty elements", with_token("Basic dXNlcjpwYXNz,,\t Bearer T")),
        doubled("RFC 9110 5.3: Basic joined with no token", one("Basic dXNlcjpwYXNz, Bearer")),
        doubled("RFC 9110 5.3: nothing joined with Bearer", with_token(", Bearer T")),
        missing("RFC 9110 5.3: joined, neither is Bearer", one("Basic dXNlcjpwYXNz, Digest a=b")),
    ];
    check(rows, |lines| ask_lines("/mcp", lines));
}

#[test]
fn the_token_is_nowhere_else() {
    let token = good_token();
    let named = |name: &'static str, prefix: &str| vec![(name, format!("{prefix}{token}").into_bytes())];
    let rows = vec![
        accepted("RFC 6750 2.1: the header", with_token("Bearer T")),
        missing("RFC 9110 11.7.2: for the proxy", named("proxy-authorization", "Bearer ")),
        missing("RFC 9110 5.1: another header", named("x-authorization", "Bearer ")),
        missing("RFC 9110 5.1: another header, again", named("x-forwarded-access-token", "")),
        missing("RFC 9110 5.1: a space in the name", named("authorization ", "Bearer ")),
        missing("RFC 6265 5.4: a cookie", named("cookie", "access_token=")),
        missing("RFC 9449 4.1: a proof", named("dpop", "")),
    ];
    check(rows, |lines| ask_lines("/mcp", lines));
    for query in ["access_token=T", "access%5Ftoken=T", "a=b&access_token=T&c=d", "authorization=Bearer+T"] {
        let path = format!("/mcp?{}", query.replace('T', &token));
        assert_eq!(ask_lines(&path, &vec![]), Err(Refusal::MissingToken), "OAuth 2.1 5.1: {query}");
        assert_eq!(ask_lines(&path, &with_token("Bearer T")), Ok(()), "OAuth 2.1 5.1: {query}, and the header");
    }
}

/// A good token of exactly this many bytes: the claims are filled up with spaces.
fn token_of(bytes: usize) -> String {
    const SIGNATURE: usize = 86;
    // One of four lengths cannot be that of a base64url text; a longer header moves it away.
    for spaces in 0..4 {
        let header = format!("{}{}", header(), " ".repeat(spaces));
        let taken = URL_SAFE_NO_PAD.encode(&header).len() + SIGNATURE + 2;
        let payload = (bytes - taken) * 3 / 4;
        let claims = claims().to_string();
        let claims = format!("{claims}{}", " ".repeat(payload - claims.len()));
        let token = sign_texts(1, &header, &claims);
        if token.len() == bytes {
            return token;
        }
    }
    panic!("no token of {bytes} bytes");
}

#[test]
fn a_token_has_a_longest_length() {
    assert_eq!(MAX_TOKEN_BYTES, 16_384);
    let bearer = |token: String| one(format!("Bearer {token}"));
    let too_long = |name: &str, token: String| {
        let bytes = token.len();
        refused(name, bearer(token), Refusal::Credentials(CredentialsError::TooLong(bytes)))
    };
    let rows = vec![
        accepted("bounded: a byte less", bearer(token_of(16_383))),
        accepted("bounded: exactly", bearer(token_of(16_384))),
        accepted("bounded: spaces before it do not count", one(format!("Bearer    {}", token_of(16_384)))),
        too_long("bounded: a byte more", token_of(16_385)),
        too_long("bounded: the padding counts", format!("{}=", token_of(16_384))),
        too_long("bounded: a megabyte", "a".repeat(1 << 20)),
        // What cannot be a token at all is refused for its length first.
        too_long("bounded: illegal characters", "\u{0}".repeat(16_385)),
        no_jws("bounded: opaque, exactly", bearer("a".repeat(16_384)), JwsError::Parts(1)),
        no_jws("bounded: dots, exactly", bearer(".".repeat(16_384)), JwsError::Parts(16_385)),
    ];
    check(rows, |lines| ask_lines("/mcp", lines));
}

/// Header values are bytes (RFC 9110 section 5.5), and a panic over them would stop every request of a worker.
#[test]
fn bytes_that_are_no_text_are_refused() {
    let behind = |prefix: &[u8], suffix: &[u8]| one([prefix, good_token().as_bytes(), suffix].concat());
    let rows = vec![
        accepted("RFC 9110 5.5: text", behind(b"Bearer ", b"")),
        malformed("RFC 6750 2.1: nothing but bytes", one(b"Bearer \xff\xfe")),
        malformed("RFC 6750 2.1: a byte behind", behind(b"Bearer ", b"\xff")),
        malformed("RFC 6750 2.1: a byte before", behind(b"Bearer \x80", b"")),
        malformed("RFC 6750 2.1: half a character", behind(b"Bearer ", b"\xc3")),
        malformed("RFC 6750 2.1: a letter beyond ASCII", behind(b"Bearer ", "é".as_bytes())),
        malformed("RFC 6750 2.1: a space beyond ASCII", behind("Bearer \u{a0}".as_bytes(), b"")),
        missing("RFC 9110 11.1: nothing but bytes, no scheme", one(b"\xff\xfe")),
        missing("RFC 9110 11.1: bytes in the scheme", behind(b"Bea\xffrer ", b"")),
        missing("RFC 9110 11.1: a byte instead of the space", behind(b"Bearer\xa0", b"")),
        missing("RFC 9110 11.1: bytes behind Basic", one(b"Basic \xff\xff\xff\xff")),
        missing("RFC 9110 11.1: letters that look alike", behind("B\u{435}arer ".as_bytes(), b"")),
        doubled("RFC 9110 5.3: bytes joined with Bearer", behind(b"\xff\xff, Bearer ", b"")),
    ];
    check(rows, |lines| ask_lines("/mcp", lines));
}

/// The same outcomes one layer down, where other hosts may start.
#[test]
fn lines_are_added_one_by_one() {
    let token = good_token();
    let value = format!("Bearer {token}");
    assert!(matches!(Authorization::default().bearer(), Ok(None)));
    let one = Authorization::default().and(value.as_bytes());
    assert!(matches!(one.bearer(), Ok(Some(_))));
    assert_eq!(one.and(b"").bearer().err(), Some(CredentialsError::Doubled));
    assert_eq!(one.and(b"").and(b"").bearer().err(), Some(CredentialsError::Doubled));
}
