//! Who may call what (spec sections 5.2 to 5.6): decided from the body, for every message of it, before anything goes up.

mod anonymous;
mod batches;
mod claims;
mod denials;
mod holding;
mod matching;
mod reported;
mod resources;
mod scopes;
mod verbs;

use mcp_oauth::{
    gate::{Gate, Verdict},
    grant::InsufficientScope,
    refusal::Refusal,
    scope::ScopeSet,
};
use serde_json::{Value, json};

use crate::support::{ask, claims, gate, good_token, head, header, inline_config, outcome, put, sign, with};

/// The shared configuration with these members in its resource, and with the head of a request held.
pub(crate) fn ruled(members: &Value) -> Value {
    let mut config = put(inline_config(), "/hold_requests", json!("headers"));
    let resource = config["resources"][0].as_object_mut().expect("an object");
    resource.extend(members.as_object().expect("an object").clone());
    config
}

/// The same with rules only.
pub(crate) fn with_rules(rules: &Value) -> Value {
    ruled(&json!({ "rules": rules }))
}

/// A token with exactly these scopes.
pub(crate) fn scoped(scopes: &str) -> String {
    sign(&header(), &with(claims(), "scope", json!(scopes)))
}

/// A request as JSON.
pub(crate) fn request(method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
}

pub(crate) fn call(tool: &str) -> String {
    request("tools/call", &json!({ "name": tool, "arguments": { "name": "other" } }))
}

/// Sends a body; without a token if that is empty.
pub(crate) fn post(gate: &mut Gate, token: &str, more: &[(&str, &str)], body: &str) -> Verdict {
    let authorization = format!("Bearer {token}");
    let mut lines = head("/mcp", &[("content-type", "application/json")]);
    lines.extend((!token.is_empty()).then_some(("authorization", authorization.as_str())));
    lines.extend(more);
    match ask(gate, &lines) {
        Verdict::ReadBody(pending) => pending.judge(body.as_bytes()),
        other => other,
    }
}

/// What becomes of a body of a caller with `mcp:read mcp:write`.
fn judged(config: &Value, body: &str) -> Result<(), Refusal> {
    outcome(post(&mut gate(config), &good_token(), &[], body))
}

fn denied(rule: usize) -> Refusal {
    Refusal::Denied { rule: Some(rule) }
}

fn lacking(granted: &str, needed: &str) -> Refusal {
    let [granted, needed] = [granted, needed].map(ScopeSet::from_list);
    Refusal::InsufficientScope(InsufficientScope { granted, needed })
}
