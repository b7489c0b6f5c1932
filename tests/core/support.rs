//! What the tests share: one issuer, one resource, one key, one good token, and the question put to a gate.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_oauth::{
    config,
    gate::{Gate, Verdict},
    refusal::Refusal,
    reply::Reply,
    request::Request,
    time::UnixTime,
};
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use serde_json::{Value, json};

pub(crate) const NOW: UnixTime = UnixTime(1_800_000_000);
pub(crate) const ISSUER: &str = "https://idp.example.com";
pub(crate) const RESOURCE: &str = "https://mcp.example.com/mcp";
pub(crate) const METADATA_URL: &str = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";

/// A test-only ES256 key; different seeds make different keys.
pub(crate) fn es256(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).expect("a scalar below the order")
}

/// The public JWK of [`es256`].
pub(crate) fn jwk(seed: u8, kid: &str) -> Value {
    let point = es256(seed).verifying_key().to_sec1_point(false);
    let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid,
        "x": coordinate(point.x().expect("not the identity")), "y": coordinate(point.y().expect("uncompressed")),
    })
}

pub(crate) fn jwks(keys: &[Value]) -> Value {
    json!({ "keys": keys })
}

/// The header of a good token.
pub(crate) fn header() -> Value {
    json!({ "typ": "at+jwt", "alg": "ES256", "kid": "k1" })
}

/// The claims of a good token.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": RESOURCE, "sub": "alice", "client_id": "c1", "scope": "mcp:read mcp:write",
        "iat": NOW.0 - 10, "exp": NOW.0 + 300, "jti": "1",
    })
}

/// The same object with one member changed, or removed where the value is null.
pub(crate) fn with(mut object: Value, member: &str, value: Value) -> Value {
    let members = object.as_object_mut().expect("an object");
    if value.is_null() {
        members.remove(member)
    } else {
        members.insert(member.to_owned(), value)
    };
    object
}

/// A compact JWS over exactly these texts, signed with [`es256`].
pub(crate) fn sign_texts(seed: u8, header: &str, claims: &str) -> String {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature: Signature = es256(seed).sign(input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

pub(crate) fn sign(header: &Value, claims: &Value) -> String {
    sign_texts(1, &header.to_string(), &claims.to_string())
}

/// A token that is accepted.
pub(crate) fn good_token() -> String {
    sign(&header(), &claims())
}

/// A configuration with the key of seed 1 inline, as `k1`.
pub(crate) fn inline_config() -> Value {
    json!({
        "authorization_servers": [{ "issuer": ISSUER, "jwks": jwks(&[jwk(1, "k1")]) }],
        "resources": [{ "resource": RESOURCE, "scopes": { "required": ["mcp:read"] } }],
    })
}

/// A configuration that has to fetch its keys.
pub(crate) fn remote_config() -> Value {
    with(inline_config(), "authorization_servers", json!([{ "issuer": ISSUER, "cluster": "idp" }]))
}

pub(crate) fn gate(config: &Value) -> Gate {
    match config::parse(config.to_string().as_bytes()) {
        Ok(policy) => Gate::new(policy),
        Err(findings) => panic!("findings: {findings:?}"),
    }
}

/// Header lines of a POST to `path` of the resource's host, followed by `more`.
pub(crate) fn head<'h>(path: &'h str, more: &[(&'h str, &'h str)]) -> Vec<(&'h str, &'h str)> {
    let mut lines = vec![(":method", "POST"), (":authority", "mcp.example.com"), (":path", path)];
    lines.extend(more);
    lines
}

pub(crate) fn ask_as(gate: &mut Gate, id: u32, lines: &[(&str, &str)], now: UnixTime) -> Verdict {
    let lines = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let request = Request::new(lines, gate.policy().identity_headers());
    gate.on_request(id, &request, now)
}

pub(crate) fn ask(gate: &mut Gate, lines: &[(&str, &str)]) -> Verdict {
    ask_as(gate, 1, lines, NOW)
}

/// Presents a token to the resource.
pub(crate) fn present(gate: &mut Gate, token: &str) -> Verdict {
    let authorization = format!("Bearer {token}");
    ask(gate, &head("/mcp", &[("authorization", &authorization)]))
}

#[track_caller]
pub(crate) fn reply(verdict: Verdict) -> Reply {
    match verdict {
        Verdict::Reply(reply) => reply,
        other => panic!("expected a reply, got {other:?}"),
    }
}

#[track_caller]
pub(crate) fn refusal(verdict: Verdict) -> Refusal {
    reply(verdict).refusal().expect("a refusal").clone()
}

/// The value of a reply's header; `None` if it is absent, a panic if it is there twice.
#[track_caller]
pub(crate) fn reply_header<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    let mut found = reply.headers().filter(|(other, _)| *other == name);
    let value = found.next().map(|(_, value)| value);
    assert!(found.next().is_none(), "`{name}` is there twice");
    value
}
