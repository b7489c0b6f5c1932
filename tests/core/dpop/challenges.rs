//! What a client is told (RFC 9449 section 7.1), in one line that the official clients can read, and what the metadata say.

use mcp_oauth::{gate::Verdict, reply::Reply};
use serde_json::{Value, json};

use super::{authorization, bound_token, config, good_proof, proof_claims, proof_header, proof_of, show, sign_proof};
use crate::support::{
    METADATA_URL, NOW, ask, claims, gate, good_token, head, header, inline_config, put, reply, reply_header, sign, with,
};

const ALGS: &str = "ES256 ES384 EdDSA RS256 PS256";

fn required() -> Value {
    put(config(), "/resources/0/dpop/required", json!(true))
}

fn challenge(verdict: Verdict) -> (u16, String, Reply) {
    let reply = reply(verdict);
    let challenge = reply_header(&reply, "www-authenticate").unwrap_or_default().to_owned();
    (reply.status(), challenge, reply)
}

#[test]
fn without_a_token() {
    let rows = [
        (inline_config(), format!("Bearer resource_metadata=\"{METADATA_URL}\", scope=\"mcp:read\"")),
        (config(), format!("Bearer resource_metadata=\"{METADATA_URL}\", scope=\"mcp:read\", DPoP algs=\"{ALGS}\"")),
        (required(), format!("DPoP algs=\"{ALGS}\", resource_metadata=\"{METADATA_URL}\", scope=\"mcp:read\"")),
    ];
    for (config, expected) in rows {
        let (status, found, _) = challenge(ask(&mut gate(&config), &head("/mcp", &[])));
        assert_eq!((status, found), (401, expected));
    }
}

#[test]
fn with_a_token_that_does_not_count() {
    let told = |error: &str, why: &str| {
        format!(
            "error=\"{error}\", error_description=\"{why}\", resource_metadata=\"{METADATA_URL}\", scope=\"mcp:read\""
        )
    };
    let (bound, free) = (bound_token(), good_token());
    let (signed, _) = bound.rsplit_once('.').expect("a signature");
    let forged = format!("{signed}.{}", "A".repeat(86));
    let bearer = |token: &str| vec![("authorization", format!("Bearer {token}"))];
    let dpop = |token: &str, proof: String| vec![("authorization", authorization(token)), ("dpop", proof)];
    let wrong_use = sign_proof(&proof_header(), &with(proof_claims(&bound), "htm", json!("GET")));
    let other_key = sign_proof(&with(proof_header(), "jwk", super::client_key(6)), &proof_claims(&bound));
    let constrained = told("invalid_token", "the access token is sender-constrained and no proof was verified");
    let rows = [
        (config(), bearer(&bound), format!("Bearer {constrained}, DPoP algs=\"{ALGS}\""), "token_sender_constrained"),
        (required(), bearer(&bound), format!("DPoP {constrained}, algs=\"{ALGS}\""), "token_sender_constrained"),
        (
            required(),
            bearer(&free),
            format!("DPoP {}, algs=\"{ALGS}\"", told("invalid_token", "the access token is not bound to a DPoP key")),
            "token_not_bound",
        ),
        (
            config(),
            dpop(&bound, wrong_use),
            format!(
                "DPoP {}, algs=\"{ALGS}\"",
                told("invalid_dpop_proof", "the DPoP proof was made for another request")
            ),
            "dpop_use",
        ),
        (
            config(),
            dpop(&bound, other_key),
            format!("DPoP {}, algs=\"{ALGS}\"", told("invalid_token", "the access token is bound to another key")),
            "dpop_key",
        ),
        (
            config(),
            dpop(&forged, good_proof(&forged)),
            format!(
                "DPoP {}, algs=\"{ALGS}\"",
                told("invalid_token", "the signature of the access token is not valid")
            ),
            "token_signature",
        ),
        (
            config(),
            vec![("authorization", authorization(&bound))],
            format!("DPoP {}, algs=\"{ALGS}\"", told("invalid_dpop_proof", "a DPoP proof is required")),
            "dpop_missing",
        ),
        // As ever where the setting is not made.
        (inline_config(), bearer(&bound), format!("Bearer {constrained}"), "token_sender_constrained"),
    ];
    for (config, lines, expected, reason) in rows {
        let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (status, found, reply) = challenge(ask(&mut gate(&config), &head("/mcp", &lines)));
        assert_eq!((status, found), (401, expected), "{reason}");
        assert_eq!(reply.reason(), format!("mcp_oauth_{reason}"));
        assert_eq!(reply_header(&reply, "dpop-nonce"), None, "{reason}");
    }
}

#[test]
fn with_credentials_that_cannot_be_read() {
    let told = format!(
        "error=\"invalid_request\", error_description=\"the credentials are malformed\", resource_metadata=\"{METADATA_URL}\""
    );
    for (scheme, expected) in
        [("Bearer", format!("Bearer {told}, DPoP algs=\"{ALGS}\"")), ("DPoP", format!("DPoP {told}, algs=\"{ALGS}\""))]
    {
        let (status, found, _) =
            challenge(ask(&mut gate(&config()), &head("/mcp", &[("authorization", &format!("{scheme} a b"))])));
        assert_eq!((status, found), (400, expected));
    }
}

/// Whether by the head alone or by the body, in the scheme that was used.
#[test]
fn without_scopes() {
    let cnf = json!({ "jkt": super::thumbprint(super::CLIENT).to_string() });
    let token = sign(&header(), &with(with(claims(), "scope", json!("x")), "cnf", cnf));
    let expected = format!(
        "DPoP error=\"insufficient_scope\", scope=\"mcp:read\", resource_metadata=\"{METADATA_URL}\", error_description=\"the access token does not carry the needed permissions\", algs=\"{ALGS}\""
    );
    let (status, found, _) = challenge(show(&mut gate(&config()), &token, &good_proof(&token), NOW));
    assert_eq!((status, found), (403, expected.clone()));

    let ruled = put(config(), "/resources/0/rules", json!([{ "tools": ["a"], "scopes": ["mcp:read"] }]));
    let ruled = with(ruled, "hold_requests", json!("headers"));
    let (dpop, proof) = (authorization(&token), proof_of(&token, "2", NOW));
    let lines = head("/mcp", &[("authorization", &dpop), ("dpop", &proof), ("content-type", "application/json")]);
    let Verdict::ReadBody(pending) = ask(&mut gate(&ruled), &lines) else { panic!("not read") };
    let body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}"#;
    let (status, found, _) = challenge(pending.judge(body));
    assert_eq!((status, found), (403, expected));
}

#[test]
fn the_metadata_document() {
    let document = |config: &Value| {
        let lines = [
            (":method", "GET"),
            (":authority", "mcp.example.com"),
            (":path", "/.well-known/oauth-protected-resource/mcp"),
        ];
        serde_json::from_slice::<Value>(reply(ask(&mut gate(config), &lines)).body()).expect("JSON")
    };
    let members = [
        "dpop_signing_alg_values_supported",
        "dpop_bound_access_tokens_required",
        "tls_client_certificate_bound_access_tokens",
    ];
    let all = json!(["ES256", "ES384", "EdDSA", "RS256", "PS256"]);
    let one = put(required(), "/resources/0/dpop/algorithms", json!(["ES256"]));
    let rows = [
        (inline_config(), [Value::Null, Value::Null, Value::Null]),
        (config(), [all, Value::Null, Value::Null]),
        (one, [json!(["ES256"]), json!(true), Value::Null]),
        (put(inline_config(), "/resources/0/mutual_tls", json!(true)), [Value::Null, Value::Null, json!(true)]),
        (put(inline_config(), "/resources/0/mutual_tls", json!(false)), [Value::Null, Value::Null, Value::Null]),
    ];
    for (config, expected) in rows {
        let document = document(&config);
        for (member, expected) in members.into_iter().zip(expected) {
            assert_eq!(document[member], expected, "{member} of {document}");
        }
    }
}
