//! What holds for any input. The seed is fixed, so a run is the same everywhere; nothing is written to disk.

mod interleavings;
mod paths;
mod rights;

use std::sync::LazyLock;

use mcp_oauth::{
    config,
    fetch::Answer,
    gate::{Gate, Verdict},
    policy::Policy,
    reply::Reply,
    request::Request,
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    test_runner::RngSeed,
};
use serde_json::{Value, json};

use crate::support::{
    ISSUER, NOW, claims, gate, good_token, header, inline_config, jwk, jwks, present, put, remote_config, sign_texts,
};

pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(9728), ..ProptestConfig::default() }
}

// Made once: signing, and parsing a key, take longer than most cases.
static TOKEN: LazyLock<String> = LazyLock::new(good_token);
static POLICY: LazyLock<Policy> = LazyLock::new(|| gate(&inline_config()).policy().clone());
static OPEN_POLICY: LazyLock<Policy> =
    LazyLock::new(|| gate(&put(inline_config(), "/unmatched", json!("insecure_forward"))).policy().clone());

/// Signed with a key that nobody published.
static STRANGER: LazyLock<String> = LazyLock::new(|| sign_texts(9, &header().to_string(), &claims().to_string()));

/// The gate of [`inline_config`].
fn inline_gate() -> Gate {
    Gate::new(POLICY.clone())
}

type Lines = Vec<(Vec<u8>, Vec<u8>)>;

fn ask_bytes(gate: &mut Gate, lines: &Lines) -> Verdict {
    let lines = lines.iter().map(|(name, value)| (&**name, &**value));
    let request = Request::new(lines, gate.policy().identity_headers());
    gate.on_request(1, &request, NOW)
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// Any bytes, printable ones more often.
fn any_bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..most), vec(0x20..0x7F_u8, 0..most)]
}

/// Names that mean something, in any case, and names that do not.
fn any_name() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        ":method",
        ":path",
        ":authority",
        ":scheme",
        "host",
        "authorization",
        "dpop",
        "proxy-authorization",
        "origin",
        "access-control-request-method",
        "access-control-request-headers",
        "if-none-match",
        "cookie",
        "x-mcp-subject",
        "x-mcp-client-id",
        "x_mcp_scopes",
        "x-mcp_issuer",
        "content-type",
        "www-authenticate",
        "mcp-session-id",
    ];
    let cased = (select(known.to_vec()), any::<bool>())
        .prop_map(|(name, upper)| if upper { name.to_ascii_uppercase() } else { name.to_owned() })
        .prop_map(String::into_bytes);
    prop_oneof![4 => cased, 1 => any_bytes(12)]
}

/// Values that mean something, and values that do not.
fn any_value() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        "GET",
        "POST",
        "OPTIONS",
        "HEAD",
        "/mcp",
        "/mcp/",
        "/mcp/x?access_token=a",
        "/",
        "/health",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/openid-configuration",
        "mcp.example.com",
        "MCP.example.com:443",
        "example.org",
        "Bearer",
        "Bearer abc",
        "Bearer a.b.c",
        "Basic YTpi",
        "*",
        "null",
        "",
        "authorization, content-type",
    ];
    prop_oneof![4 => select(known.to_vec()).prop_map(bytes), 2 => any_bytes(40)]
}

fn any_lines() -> impl Strategy<Value = Lines> {
    let head = prop_oneof![
        1 => Just(Vec::new()),
        3 => any_value().prop_map(|path| vec![
            (bytes(":method"), bytes("POST")),
            (bytes(":authority"), bytes("mcp.example.com")),
            (bytes(":path"), path),
        ]),
    ];
    (head, vec((any_name(), any_value()), 0..8)).prop_map(|(mut head, more)| {
        head.extend(more);
        head
    })
}

/// What every answer is, whatever was asked.
fn check_reply(reply: &Reply) -> Result<(), TestCaseError> {
    for (name, value) in reply.headers() {
        prop_assert!(value.bytes().all(|byte| matches!(byte, 0x20..=0x7E)), "{}: {:?}", name, value);
    }
    let is_empty = matches!(reply.status(), 204 | 304);
    let is_json = serde_json::from_slice::<Value>(reply.body()).is_ok_and(|body| body.is_object());
    prop_assert!(if is_empty { reply.body().is_empty() } else { is_json }, "{:?}", reply);
    let challenges = reply.headers().filter(|(name, _)| *name == "www-authenticate").count();
    let challenged = reply.refusal().is_some_and(|refusal| matches!(refusal.status(), 401 | 403));
    prop_assert!(challenges <= 1 && (!challenged || challenges == 1), "{:?}", reply);
    Ok(())
}

const SCHEMES: &[&str] = &["", "Bearer", "Bearer ", "bearer  ", "BEARER ", "Basic ", "Bearer\t", "Basic x, Bearer "];

proptest! {
    #![proptest_config(cases(3000))]

    #[test]
    fn no_headers_are_a_way_in(lines in any_lines()) {
        match ask_bytes(&mut inline_gate(), &lines) {
            Verdict::Reply(reply) => check_reply(&reply)?,
            other => prop_assert!(false, "{:?}", other),
        }
    }

    /// Not even where the operator leaves the door open for the rest.
    #[test]
    fn no_headers_are_a_way_around(lines in any_lines()) {
        let mut gate = Gate::new(OPEN_POLICY.clone());
        match ask_bytes(&mut gate, &lines) {
            Verdict::Reply(reply) => check_reply(&reply)?,
            Verdict::NotOurs(_) => {
                let path = lines.iter().find(|(name, _)| name.eq_ignore_ascii_case(b":path")).map(|(_, path)| path);
                let path = path.and_then(|path| path.split(|byte| *byte == b'?').next()).unwrap_or_default();
                prop_assert!(path != b"/mcp" && !path.starts_with(b"/mcp/"), "{}", path.escape_ascii());
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn no_credentials_but_a_token_are_accepted(
        scheme in select(SCHEMES),
        rest in prop_oneof![any_bytes(60), "[-._~+/A-Za-z0-9]{0,40}={0,2}".prop_map(String::into_bytes)],
        again in proptest::option::weighted(0.2, any_bytes(20)),
    ) {
        let mut lines = vec![
            (bytes(":method"), bytes("POST")),
            (bytes(":authority"), bytes("mcp.example.com")),
            (bytes(":path"), bytes("/mcp")),
            (bytes("authorization"), [bytes(scheme), rest].concat()),
        ];
        lines.extend(again.map(|value| (bytes("Authorization"), value)));
        let verdict = ask_bytes(&mut inline_gate(), &lines);
        let Verdict::Reply(reply) = verdict else { return Err(TestCaseError::fail(format!("{verdict:?}"))) };
        prop_assert!(matches!(reply.status(), 400 | 401), "{:?}", reply);
        prop_assert!(lines.len() == 4 || reply.status() == 400, "two lines: {:?}", reply);
        check_reply(&reply)?;
    }
}

proptest! {
    #![proptest_config(cases(2000))]

    /// RFC 7515 section 5.2, and base64url in its only spelling: no other text is the same token.
    #[test]
    fn a_token_with_another_byte_is_another_token(
        at in any::<Index>(),
        byte in prop_oneof![any::<u8>(), 0x20..0x7F_u8],
    ) {
        let good = &*TOKEN;
        let mut token = good.clone().into_bytes();
        let at = at.index(token.len());
        token[at] = byte;
        let same = token == good.as_bytes();
        let lines = vec![
            (bytes(":method"), bytes("POST")),
            (bytes(":authority"), bytes("mcp.example.com")),
            (bytes(":path"), bytes("/mcp")),
            (bytes("authorization"), [bytes("Bearer "), token].concat()),
        ];
        let verdict = ask_bytes(&mut inline_gate(), &lines);
        prop_assert_eq!(matches!(verdict, Verdict::Forward(_)), same, "byte {} as {:#04x}: {:?}", at, byte, verdict);
    }

    /// Nor is a part of it, or more than it.
    #[test]
    fn a_token_that_is_shorter_or_longer_is_another_token(
        at in any::<Index>(),
        more in prop_oneof![Just(String::new()), "[-._~+/A-Za-z0-9=]{1,5}"],
    ) {
        let good = &*TOKEN;
        let (before, after) = good.split_at(at.index(good.len()));
        let token = if more.is_empty() { before.to_owned() } else { format!("{before}{more}{after}") };
        let verdict = present(&mut inline_gate(), &token);
        prop_assert!(!matches!(verdict, Verdict::Forward(_)), "{}: {:?}", token, verdict);
    }
}

/// Any JSON, with the names that are looked for more often than others.
fn any_json() -> impl Strategy<Value = Value> {
    let names = [
        "keys",
        "kty",
        "crv",
        "x",
        "y",
        "n",
        "e",
        "alg",
        "use",
        "kid",
        "key_ops",
        "issuer",
        "jwks_uri",
        "resources",
        "resource",
        "authorization_servers",
        "scopes",
        "required",
        "cluster",
        "jwks",
        "unmatched",
        "d",
        "",
    ];
    let texts = [
        "RSA",
        "EC",
        "OKP",
        "P-256",
        "P-384",
        "Ed25519",
        "sig",
        "AQAB",
        "ES256",
        "RS256",
        "k1",
        "verify",
        ISSUER,
        "https://idp.example.com/keys",
        "https://mcp.example.com/mcp",
        "AAAA",
        "5s",
        "\u{0}\u{e9}`",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(texts.to_vec()).prop_map(Value::from),
        "[-_A-Za-z0-9]{0,90}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((select(names.to_vec()), inner), 0..8)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

/// A document with some bytes replaced, as a transmission or an attacker would.
fn mutated(document: &Value) -> impl Strategy<Value = Vec<u8>> {
    let text = document.to_string().into_bytes();
    vec((any::<Index>(), any_bytes(4), 0..4_usize), 0..4).prop_map(move |changes| {
        let mut text = text.clone();
        for (at, new, old) in changes {
            let at = at.index(text.len() + 1);
            text.splice(at..(at + old).min(text.len()), new);
        }
        text
    })
}

fn any_document(like: &Value) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![any_bytes(200), any_json().prop_map(|document| document.to_string().into_bytes()), mutated(like),]
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn no_configuration_panics_or_lets_a_stranger_in(file in any_document(&inline_config())) {
        match config::parse(&file) {
            Ok(policy) => {
                let verdict = present(&mut Gate::new(policy), "a.b.c");
                prop_assert!(!matches!(verdict, Verdict::Forward(_) | Verdict::NotOurs(_)), "{:?}", verdict);
            }
            Err(findings) => {
                prop_assert!(!findings.is_empty());
                for finding in findings {
                    let line = finding.to_string();
                    prop_assert!(line.bytes().all(|byte| matches!(byte, 0x20..=0x7E)), "{:?}", line);
                }
            }
        }
    }

    /// Whoever answers for the authorization server: no panic, one line for the log, nobody waits for ever.
    #[test]
    fn no_answer_panics_or_lets_a_stranger_in(
        metadata in any_document(&json!({ "issuer": ISSUER, "jwks_uri": "https://idp.example.com/keys" })),
        keys in any_document(&jwks(&[jwk(1, "k1"), jwk(2, "k2")])),
        explicit in any::<bool>(),
        status in prop_oneof![4 => Just(bytes("200")), 1 => any_bytes(5)],
        content_type in prop_oneof![4 => Just(bytes("application/json")), 1 => any_bytes(20)],
    ) {
        let uri = json!("https://idp.example.com/keys");
        let config = remote_config();
        let config = if explicit { put(config, "/authorization_servers/0/jwks_uri", uri) } else { config };
        let mut gate = gate(&config);
        let mut waiting = matches!(present(&mut gate, &STRANGER), Verdict::Hold);
        prop_assert!(waiting);
        for _ in 0..8 {
            let Some(fetch) = gate.poll_fetch(NOW) else { break };
            let body = if fetch.uri.as_str().contains(".well-known") { &metadata } else { &keys };
            let answer = Answer::Response { status: &status, content_type: Some(&content_type), cache_control: None, body };
            let outcome = gate.on_answer(fetch.id, answer, NOW);
            if let Some(event) = outcome.event {
                let line = event.to_string();
                prop_assert!(line.bytes().all(|byte| matches!(byte, 0x20..=0x7E)), "{:?}", line);
            }
            for resumed in outcome.resumed {
                let Verdict::Reply(reply) = resumed.verdict else { return Err(TestCaseError::fail("let in")) };
                prop_assert!(waiting && matches!(reply.status(), 401 | 503), "{:?}", reply);
                waiting = false;
            }
        }
        prop_assert!(!waiting, "it still waits");
    }
}
