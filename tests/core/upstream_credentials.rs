//! What a resource's server gets in place of the client's token (MCP authorization, Token Handling): exactly what the operator
//! said, never the client's, and nothing goes upstream where it cannot be had.

mod client_credentials;
mod configuration;
mod header;
mod identity_jwt;
mod public_keys;
mod secrecy;
mod token_answers;
mod token_exchange;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_oauth::{
    config,
    fetch::{Answer, Fetch},
    gate::{Gate, Outcome, Verdict},
    time::UnixTime,
};
use serde_json::{Value, json};

use crate::support::{HeaderMap, NOW, ask_as, good_token, head, inline_config, put};

const TOKEN_ENDPOINT: &str = "https://as.example.com/token?tenant=a";
const API_KEY: &str = "k3y with-space";
const CLIENT_SECRET: &str = "s3cr:t /%+";
const ACTOR: &str = "actor.t0ken";

/// Secrets that must not be shown anywhere.
fn environment(name: &str) -> Option<String> {
    let value = match name {
        "API_KEY" => API_KEY,
        "CLIENT_SECRET" => CLIENT_SECRET,
        "ACTOR" => ACTOR,
        "KEYS" => return Some(json!({ "keys": [private_p256(7)] }).to_string()),
        "NEW_KEYS" => {
            let named = put(private_p256(8), "/kid", json!("new"));
            return Some(json!({ "keys": [named, private_p256(7)] }).to_string());
        }
        _ => return None,
    };
    Some(value.to_owned())
}

fn private_p256(seed: u8) -> Value {
    let mut jwk = crate::support::jwk(seed, "");
    let members = jwk.as_object_mut().expect("an object");
    members.retain(|name, _| ["kty", "crv", "x", "y"].contains(&name.as_str()));
    members.insert("d".to_owned(), json!(URL_SAFE_NO_PAD.encode([seed; 32])));
    jwk
}

/// The shared configuration with this credential.
fn with_credential(credential: &Value) -> Value {
    put(inline_config(), "/resources/0/upstream_credential", credential.clone())
}

fn header() -> Value {
    json!({ "header": { "name": "x-api-key", "value_variable": "API_KEY" } })
}

fn endpoint() -> Value {
    json!({
        "endpoint": TOKEN_ENDPOINT, "cluster": "as", "client_id": "gate way", "client_secret_variable": "CLIENT_SECRET",
        "audience": "https://upstream.internal",
    })
}

fn token_exchange() -> Value {
    json!({ "token_exchange": endpoint() })
}

fn client_credentials() -> Value {
    json!({ "client_credentials": endpoint() })
}

fn identity_jwt() -> Value {
    json!({ "identity_jwt": {
        "issuer": "https://gateway.example", "audience": "https://upstream.internal", "keys_variable": "KEYS",
        "jwks_path": "/.well-known/mcp-oauth/jwks.json",
    } })
}

/// The credential with one member of its only kind changed.
fn but(credential: &Value, member: &str, value: Value) -> Value {
    let kind = credential.as_object().and_then(|kinds| kinds.keys().next()).expect("a kind").clone();
    put(credential.clone(), &format!("/{kind}/{member}"), value)
}

fn gate(config: &Value) -> Gate {
    let policy = config::parse_in(config.to_string().as_bytes(), &environment);
    Gate::new(policy.unwrap_or_else(|findings| panic!("findings: {findings:?}")))
}

fn later(seconds: u64) -> UnixTime {
    UnixTime(NOW.0 + seconds)
}

fn send_at(gate: &mut Gate, id: u32, token: &str, more: &[(&str, &str)], now: UnixTime) -> Verdict {
    let authorization = format!("Bearer {token}");
    let mut lines = head("/mcp", &[("authorization", &authorization)]);
    lines.extend(more);
    ask_as(gate, id, &lines, now)
}

/// What the upstream gets of a request with these lines, besides those of [`head`].
#[track_caller]
fn received(verdict: Verdict, sent: &[(&str, &str)]) -> HeaderMap {
    let Verdict::Forward(forward) = verdict else { panic!("not forwarded: {verdict:?}") };
    let authorization = format!("Bearer {}", good_token());
    let mut lines = vec![("authorization", authorization.as_str())];
    lines.extend(sent);
    let mut headers = HeaderMap::new(&lines);
    headers.apply(forward.edits());
    headers
}

/// What the upstream gets as `Authorization`.
#[track_caller]
fn authorization(verdict: Verdict) -> Vec<String> {
    received(verdict, &[]).all("authorization")
}

fn next(gate: &mut Gate, now: UnixTime) -> Fetch {
    gate.poll_fetch(now).expect("a question")
}

#[track_caller]
fn no_question(gate: &mut Gate, now: UnixTime) {
    assert!(gate.poll_fetch(now).is_none(), "a question");
}

fn answer<'a>(status: &'a str, body: &'a str) -> Answer<'a> {
    Answer::Response {
        status: status.as_bytes(),
        content_type: Some(b"application/json;charset=UTF-8"),
        cache_control: None,
        body: body.as_bytes(),
    }
}

/// A good answer to both kinds of questions.
fn issued(token: &str, expires_in: u64) -> String {
    json!({
        "access_token": token, "token_type": "Bearer", "expires_in": expires_in,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    })
    .to_string()
}

/// Answers the only open question.
#[track_caller]
fn serve(gate: &mut Gate, status: &str, body: &str, now: UnixTime) -> Outcome {
    let fetch = next(gate, now);
    no_question(gate, now);
    gate.on_answer(fetch.id, answer(status, body), now)
}

/// The only request that an answer let go on.
#[track_caller]
fn only(outcome: Outcome) -> Verdict {
    let mut resumed = outcome.resumed;
    assert_eq!(resumed.len(), 1, "{resumed:?}");
    resumed.remove(0).verdict
}

#[track_caller]
fn held(verdict: Verdict) {
    assert!(matches!(verdict, Verdict::Hold), "not held: {verdict:?}");
}
