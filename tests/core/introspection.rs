//! Tokens that only their authorization server knows (RFC 7662): asked once, believed no longer than it says, held to all that
//! a JWT is held to, and refused whenever the answer is not one.

mod answers;
mod bounds;
mod configuration;
mod questions;

use mcp_oauth::{
    config,
    fetch::{Answer, Fetch},
    gate::{Gate, Outcome, Verdict},
    refusal::Refusal,
    time::UnixTime,
};
use serde_json::{Value, json};

use crate::support::{ISSUER, NOW, RESOURCE, ask_as, head, inline_config, outcome, put};

const SECRET: &str = "s3cr:t/ä"; // never reaches a gate: not ASCII
const ASCII_SECRET: &str = "s3cr:t /%+";
const ENDPOINT: &str = "https://idp.example.com/introspect?tenant=a";
const OPAQUE: &str = "opaque-token-1";

fn environment(name: &str) -> Option<String> {
    match name {
        "SECRET" => Some(ASCII_SECRET.to_owned()),
        "NOT_ASCII" => Some(SECRET.to_owned()),
        "EMPTY" => Some(String::new()),
        "LINE" => Some("secret\n".to_owned()),
        _ => None,
    }
}

fn introspection() -> Value {
    json!({ "endpoint": ENDPOINT, "cluster": "idp", "client_id": "gate way", "client_secret_variable": "SECRET" })
}

/// The shared configuration whose issuer is asked about opaque tokens.
fn asking() -> Value {
    put(inline_config(), "/authorization_servers/0/introspection", introspection())
}

/// The same where it is asked about all tokens.
fn always_asking() -> Value {
    put(asking(), "/authorization_servers/0/introspect", json!("always"))
}

fn gate(config: &Value) -> Gate {
    let policy = config::parse_in(config.to_string().as_bytes(), &environment);
    Gate::new(policy.unwrap_or_else(|findings| panic!("findings: {findings:?}")))
}

fn active() -> Value {
    json!({
        "active": true, "iss": ISSUER, "aud": RESOURCE, "sub": "alice", "client_id": "c1", "scope": "mcp:read",
        "token_type": "Bearer", "iat": NOW.0 - 10, "exp": NOW.0 + 300,
    })
}

fn later(seconds: u64) -> UnixTime {
    UnixTime(NOW.0 + seconds)
}

fn present_at(gate: &mut Gate, id: u32, token: &str, now: UnixTime) -> Verdict {
    let authorization = format!("Bearer {token}");
    ask_as(gate, id, &head("/mcp", &[("authorization", &authorization)]), now)
}

fn json_answer(body: &[u8]) -> Answer<'_> {
    Answer::Response { status: b"200", content_type: Some(b"application/json"), cache_control: None, body }
}

fn next(gate: &mut Gate, now: UnixTime) -> Fetch {
    gate.poll_fetch(now).expect("a question")
}

fn no_question(gate: &mut Gate, now: UnixTime) {
    assert!(gate.poll_fetch(now).is_none(), "a question");
}

/// Answers the question that is open with a JSON document.
fn serve(gate: &mut Gate, document: &Value, now: UnixTime) -> Outcome {
    let fetch = next(gate, now);
    gate.on_answer(fetch.id, json_answer(document.to_string().as_bytes()), now)
}

/// The only request that an answer let go on.
#[track_caller]
fn only(outcome: Outcome) -> Verdict {
    let mut resumed = outcome.resumed;
    assert_eq!(resumed.len(), 1, "{resumed:?}");
    resumed.remove(0).verdict
}

/// Presents a token to a new gate and answers the question about it.
#[track_caller]
fn answered(config: &Value, token: &str, answer: Answer<'_>) -> Result<(), Refusal> {
    let mut gate = gate(config);
    let held = present_at(&mut gate, 1, token, NOW);
    assert!(matches!(held, Verdict::Hold), "{held:?}");
    let fetch = next(&mut gate, NOW);
    no_question(&mut gate, NOW);
    outcome(only(gate.on_answer(fetch.id, answer, NOW)))
}
