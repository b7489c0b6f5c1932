//! Tokens that are bound to a key of their sender (RFC 9449): taken only with a proof that is made for this request, with
//! this token, by the holder of the key, just now, and once.

mod bindings;
mod challenges;
mod configuration;
mod nonces;
mod proofs;
mod replay;
mod targets;
mod upstream;
mod waiting;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_oauth::{
    confirmation::Thumbprint,
    dpop::ProofError,
    gate::{Gate, Verdict},
    refusal::Refusal,
    time::UnixTime,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{
    NOW, RESOURCE, ask_as, claims, gate, head, header, inline_config, jwk, put, sign, sign_texts, with,
};

/// The seed of the client's key.
const CLIENT: u8 = 5;

/// The shared configuration, whose resource takes tokens that are bound to keys.
fn config() -> Value {
    put(inline_config(), "/resources/0/dpop", json!({}))
}

/// A public key as a client writes it.
fn client_key(seed: u8) -> Value {
    with(with(with(jwk(seed, "k"), "kid", Value::Null), "use", Value::Null), "alg", Value::Null)
}

fn thumbprint(seed: u8) -> Thumbprint {
    Thumbprint::of_jwk(client_key(seed).to_string().as_bytes()).expect("a key")
}

/// A token that is bound to the client's key.
fn bound_token() -> String {
    bound_to(&json!({ "jkt": thumbprint(CLIENT).to_string() }))
}

fn bound_to(cnf: &Value) -> String {
    sign(&header(), &with(claims(), "cnf", cnf.clone()))
}

fn hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}

/// The header of a good proof.
fn proof_header() -> Value {
    json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": client_key(CLIENT) })
}

/// The claims of a good proof for a POST to the resource with this token.
fn proof_claims(token: &str) -> Value {
    json!({ "jti": "p1", "htm": "POST", "htu": RESOURCE, "iat": NOW.0, "ath": hash(token) })
}

fn sign_proof(header: &Value, claims: &Value) -> String {
    sign_texts(CLIENT, &header.to_string(), &claims.to_string())
}

fn good_proof(token: &str) -> String {
    sign_proof(&proof_header(), &proof_claims(token))
}

/// Another proof that is as good, made at this time.
fn proof_of(token: &str, id: &str, made: UnixTime) -> String {
    sign_proof(&proof_header(), &with(with(proof_claims(token), "jti", json!(id)), "iat", json!(made.0)))
}

fn authorization(token: &str) -> String {
    format!("DPoP {token}")
}

/// Presents a token in the scheme `DPoP` with this proof.
fn show(gate: &mut Gate, token: &str, proof: &str, now: UnixTime) -> Verdict {
    let authorization = authorization(token);
    ask_as(gate, 1, &head("/mcp", &[("authorization", &authorization), ("dpop", proof)]), now)
}

fn dpop_gate() -> Gate {
    gate(&config())
}

fn not_proved(error: ProofError) -> Result<(), Refusal> {
    Err(Refusal::Proof(error))
}
