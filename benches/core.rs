//! What the core's steps cost, natively: `cargo bench`. What the filter costs in Envoy is `make bench`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::string_slice,
    dead_code,
    reason = "a benchmark that cannot go on has failed, and it shares the tests' support"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use mcp_oauth::{jwk::KeySet, message, path::RequestPath, request::Request};
use serde_json::json;

#[path = "../tests/core/support.rs"]
mod support;

use support::{NOW, ask, claims, gate, good_token, head, header, inline_config, jwk, jwks, put, sign, with};

/// Puts one question to a gate again and again.
fn question(criterion: &mut Criterion, name: &str, config: &serde_json::Value, lines: &[(&str, &str)]) {
    let mut gate = gate(config);
    criterion.bench_function(name, |bencher| bencher.iter(|| black_box(ask(&mut gate, lines))));
}

fn requests(criterion: &mut Criterion) {
    let authorization = format!("Bearer {}", good_token());
    let lines = head("/mcp", &[("authorization", &authorization), ("accept", "application/json, text/event-stream")]);
    question(criterion, "token seen before", &inline_config(), &lines);
    let cold = put(inline_config(), "/token_cache", json!({ "max_entries": 0 }));
    question(criterion, "new token: parse and verify ES256", &cold, &lines);
    let expired = format!("Bearer {}", sign(&header(), &with(claims(), "exp", json!(NOW.0 - 1000))));
    question(
        criterion,
        "expired token: parse and challenge",
        &inline_config(),
        &head("/mcp", &[("authorization", &expired)]),
    );
    question(criterion, "no token: challenge", &inline_config(), &head("/mcp", &[]));
    let document = "/.well-known/oauth-protected-resource/mcp";
    question(
        criterion,
        "resource metadata",
        &inline_config(),
        &[(":method", "GET"), (":authority", "mcp.example.com"), (":path", document)],
    );
    let resources: Vec<_> =
        (0..1000).map(|i| json!({ "resource": format!("https://mcp.example.com/team-{i}/mcp") })).collect();
    let many = put(inline_config(), "/resources", json!(resources));
    question(criterion, "route among 1000 resources", &many, &head("/team-500/mcp/messages", &[]));
}

fn parts(criterion: &mut Criterion) {
    let twenty: Vec<_> = (1..=20).map(|seed| jwk(seed, &format!("k{seed}"))).collect();
    let document = jwks(&twenty).to_string();
    criterion
        .bench_function("JWK Set of 20 keys", |bencher| bencher.iter(|| KeySet::parse(black_box(document.as_bytes()))));
    criterion.bench_function("path", |bencher| bencher.iter(|| RequestPath::parse(black_box(b"/weather/mcp?x=1"))));
    let mut keys = put(inline_config(), "/authorization_servers/0/jwks", jwks(&twenty));
    keys = put(keys, "/token_cache", json!({ "max_entries": 0 }));
    let unknown = format!("Bearer {}", sign(&with(header(), "kid", json!("none")), &claims()));
    question(criterion, "key selection among 20, none fits", &keys, &head("/mcp", &[("authorization", &unknown)]));
    let identity = gate(&inline_config());
    let lines = head("/mcp", &[("accept", "application/json"), ("user-agent", "bench"), ("x-mcp-subject", "forged")]);
    criterion.bench_function("request head", |bencher| {
        bencher.iter(|| {
            let lines = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            black_box(Request::new(lines, identity.policy().identity_headers()));
        });
    });
}

/// Two tool calls, of about 1 KiB and 36 KiB: one long text, and a list of small objects.
fn bodies(criterion: &mut Criterion) {
    for length in [660, 26_000] {
        let list: Vec<_> = (0..length / 64).map(|k| json!({ "k": k, "v": "abc" })).collect();
        let arguments = json!({ "text": "x".repeat(length), "list": list });
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "add", "arguments": arguments } });
        let body = call.to_string();
        criterion.bench_function(&format!("message of {} bytes", body.len()), |bencher| {
            bencher.iter(|| black_box(message::read(body.as_bytes(), false).is_ok()));
        });
    }
}

criterion_group!(benches, requests, parts, bodies);
criterion_main!(benches);
