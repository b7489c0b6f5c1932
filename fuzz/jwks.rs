//! JWK Sets: no key is used that may not be, and none but the signer's lets a token in.

#![no_main]

mod common;

use std::sync::LazyLock;

use common::{
    base64url, check_reply, post, strict,
    support::{NOW, gate, good_token, jwk, put, remote_config},
};
use mcp_oauth::{
    fetch::Answer,
    gate::{Gate, Verdict},
    jwk::{KeySet, KeySetError, MAX_KEYS},
    policy::Policy,
};
use serde_json::{Value, json};

static TOKEN: LazyLock<String> = LazyLock::new(good_token);
static SIGNER: LazyLock<Value> = LazyLock::new(|| jwk(1, "k1"));
static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let uri = json!("https://idp.example.com/keys");
    gate(&put(remote_config(), "/authorization_servers/0/jwks_uri", uri)).policy().clone()
});

/// Whether a key says nothing that forbids its use; the mathematics may.
fn is_plausible(key: &Value) -> bool {
    let length = |name: &str| Some(base64url(key[name].as_str()?)?.len());
    let is_usable = key.get("use").is_none_or(|usage| usage == "sig")
        && key.get("key_ops").is_none_or(|ops| ops.as_array().is_some_and(|ops| ops.contains(&json!("verify"))))
        && key.get("kid").is_none_or(Value::is_string)
        && key.get("d").is_none();
    let algorithms: &[&str] = match (key["kty"].as_str(), key["crv"].as_str()) {
        // A zero may stand first.
        (Some("RSA"), _) if length("n").is_some_and(|bytes| (256..=1025).contains(&bytes)) && length("e").is_some() => {
            &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
        }
        (Some("EC"), Some("P-256")) if (length("x"), length("y")) == (Some(32), Some(32)) => &["ES256"],
        (Some("EC"), Some("P-384")) if (length("x"), length("y")) == (Some(48), Some(48)) => &["ES384"],
        (Some("OKP"), Some("Ed25519")) if length("x") == Some(32) => &["EdDSA", "Ed25519"],
        _ => return false,
    };
    key.is_object() && is_usable && key.get("alg").is_none_or(|alg| algorithms.iter().any(|known| alg == known))
}

libfuzzer_sys::fuzz_target!(|document: &[u8]| {
    let read = strict(document);
    let listed = read.as_ref().and_then(|set| set.get("keys")?.as_array());
    let plausible = listed.into_iter().flatten().filter(|key| is_plausible(key));
    match (KeySet::parse(document), listed) {
        (Ok(set), Some(listed)) => {
            assert_eq!(set.usable() + set.skipped(), listed.len());
            let most = plausible.clone().count().min(MAX_KEYS);
            assert!((1..=most).contains(&set.usable()), "{} of {most} keys", set.usable());
        }
        (Err(KeySetError::NoneUsable(keys)), Some(listed)) => assert_eq!(keys, listed.len()),
        (Err(KeySetError::NoKeys), None) => assert!(read.as_ref().is_some_and(Value::is_object)),
        (Err(KeySetError::Json(_)), _) => assert!(!read.as_ref().is_some_and(Value::is_object)),
        (found, listed) => panic!("{found:?} of {listed:?}"),
    }

    let mut gate = Gate::new(POLICY.clone());
    let held = common::ask(&mut gate, 1, &post(format!("Bearer {}", *TOKEN)), NOW);
    assert!(matches!(held, Verdict::Hold), "{held:?}");
    let fetch = gate.poll_fetch(NOW).expect("a fetch of the keys");
    let json = Some(&b"application/json"[..]);
    let answer = Answer::Response { status: b"200", content_type: json, cache_control: None, body: document };
    let mut resumed = gate.on_answer(fetch.id, answer, NOW).resumed;
    let fits = |key: &&Value| ["kid", "kty", "crv", "x", "y"].into_iter().all(|name| key[name] == SIGNER[name]);
    let fitting = plausible.filter(fits).count();
    match resumed.pop().expect("an answer to the request").verdict {
        Verdict::Forward(_) => assert_eq!(fitting, 1, "let in by other keys"),
        Verdict::Reply(reply) => {
            check_reply(&reply);
            assert!(matches!(reply.status(), 401 | 503), "{reply:?}");
        }
        other => panic!("{other:?}"),
    }
});
