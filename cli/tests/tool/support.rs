//! Runs the tool, and makes what it is given.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use serde_json::{Value, json};

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "https://idp.example.com";
pub(crate) const RESOURCE: &str = "https://mcp.example.com/mcp";

/// How the tool ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Findings as `line:column severity path: reason`.
    pub(crate) fn findings(&self) -> Vec<String> {
        let document = self.json();
        let findings = document["findings"].as_array().expect("findings");
        let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        let one = |f: &Value| {
            format!("{}:{} {} {}: {}", f["line"], f["column"], text(f, "severity"), text(f, "path"), text(f, "reason"))
        };
        findings.iter().map(one).collect()
    }
}

pub(crate) fn run(arguments: &[&str]) -> Run {
    run_with(arguments, "")
}

pub(crate) fn run_with(arguments: &[&str], input: &str) -> Run {
    // By what it uses, not by the clock, which other work on the machine delays.
    let bounded = "ulimit -t 20 && exec \"$0\" \"$@\"";
    let mut child = Command::new("sh")
        .args(["-c", bounded, env!("CARGO_BIN_EXE_mcp-oauth")])
        .args(arguments)
        .env_remove("MCP_CLIENT_SECRET")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool starts");
    // Whoever does not read it has closed it.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let run = Run {
        code: output.status.code().expect("an end of its own within 20 s of CPU time"),
        out: text(output.stdout),
        err: text(output.stderr),
    };
    assert!(!run.err.contains("panicked") && !run.err.contains("RUST_BACKTRACE"), "{run:?}");
    run
}

/// The Python that `make setup` made: it has what makes certificates.
pub(crate) fn python(arguments: &[&str]) -> Command {
    let mut command = Command::new(own("testbed/.venv/bin/python"));
    command.args(arguments);
    command
}

/// A file that this test alone has.
pub(crate) fn file(name: &str, content: impl AsRef<[u8]>) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join(name);
    std::fs::write(&path, content).expect("a file");
    path.to_string_lossy().into_owned()
}

/// A file of the repository.
pub(crate) fn own(name: &str) -> String {
    format!("{}/../{name}", env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn key() -> SigningKey {
    SigningKey::from_slice(&[1; 32]).expect("a scalar below the order")
}

pub(crate) fn jwks() -> Value {
    let point = key().verifying_key().to_sec1_point(false);
    let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({ "keys": [{
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "k1",
        "x": coordinate(point.x().expect("x")), "y": coordinate(point.y().expect("y")),
    }]})
}

pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": RESOURCE, "sub": "alice", "client_id": "c1", "scope": "mcp:read",
        "iat": NOW - 10, "exp": NOW + 300, "jti": "1",
    })
}

pub(crate) fn header() -> Value {
    json!({ "typ": "at+jwt", "alg": "ES256", "kid": "k1" })
}

pub(crate) fn with(mut object: Value, member: &str, value: Value) -> Value {
    let members = object.as_object_mut().expect("an object");
    if value.is_null() {
        members.remove(member);
    } else {
        members.insert(member.to_owned(), value);
    }
    object
}

pub(crate) fn sign(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", part(header), part(claims));
    let signature: Signature = key().sign(input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

pub(crate) fn good_token() -> String {
    sign(&header(), &claims())
}

/// A configuration with its keys in it.
pub(crate) fn configuration() -> Value {
    json!({
        "authorization_servers": [{ "issuer": ISSUER, "jwks": jwks() }],
        "resources": [{ "resource": RESOURCE, "scopes": { "required": ["mcp:read"] } }],
    })
}

/// One that fetches them.
pub(crate) fn remote(issuer: &str) -> Value {
    json!({
        "authorization_servers": [{ "issuer": issuer, "cluster": "idp" }],
        "resources": [{ "resource": RESOURCE, "scopes": { "required": ["mcp:read"] } }],
    })
}

/// No part of the token that is long enough to be told is in the text.
#[track_caller]
pub(crate) fn assert_hidden(run: &Run, token: &str) {
    for part in std::iter::once(token).chain(token.split('.')).filter(|part| part.len() >= 8) {
        for start in 0..=part.len().saturating_sub(12).min(200) {
            let Some(piece) = part.get(start..(start + 12).min(part.len())) else { continue };
            assert!(!run.out.contains(piece) && !run.err.contains(piece), "`{piece}` is in {run:?}");
        }
    }
}
