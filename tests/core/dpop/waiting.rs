//! A request that waits keeps what it proves, and it is judged once, when its token was found good; of whatever vouches for
//! the token.

use mcp_oauth::{
    config,
    dpop::ProofError,
    fetch::Answer,
    gate::{Gate, Outcome, Verdict},
    refusal::Refusal,
    request::{Certificate, Request},
    time::UnixTime,
    token::TokenError,
};
use serde_json::{Value, json};

use super::{CLIENT, authorization, bound_to, bound_token, good_proof, not_proved, proof_of, show, thumbprint};
use crate::support::{
    ISSUER, NOW, RESOURCE, ask_as, gate, good_token, head, jwk, jwks, outcome, put, remote_config, with,
};

fn fetching() -> Value {
    let keyed = json!([{ "issuer": ISSUER, "cluster": "idp", "jwks_uri": "https://idp.example.com/jwks" }]);
    put(put(remote_config(), "/authorization_servers", keyed), "/resources/0/dpop", json!({}))
}

fn serve(gate: &mut Gate, document: &Value, now: UnixTime) -> Outcome {
    let fetch = gate.poll_fetch(now).expect("a fetch");
    let body = document.to_string();
    let answer = Answer::Response {
        status: b"200",
        content_type: Some(b"application/json"),
        cache_control: None,
        body: body.as_bytes(),
    };
    gate.on_answer(fetch.id, answer, now)
}

fn resumed(outcome_of: Outcome) -> Vec<(u32, Result<(), Refusal>)> {
    let mut all: Vec<_> =
        outcome_of.resumed.into_iter().map(|resumed| (resumed.request, outcome(resumed.verdict))).collect();
    all.sort_by_key(|(request, _)| *request);
    all
}

#[test]
fn each_request_keeps_its_own() {
    let mut gate = gate(&fetching());
    let token = bound_token();
    let (dpop, bearer) = (authorization(&token), format!("Bearer {token}"));
    let (first, second) = (good_proof(&token), proof_of(&token, "p2", NOW));
    let heads = [
        head("/mcp", &[("authorization", &dpop), ("dpop", &first)]),
        head("/mcp", &[("authorization", &dpop), ("dpop", &first)]),
        head("/mcp", &[("authorization", &dpop), ("dpop", &second)]),
        head("/mcp/x", &[("authorization", &dpop), ("dpop", &proof_of(&token, "p3", NOW))]).clone(),
        head("/mcp", &[("authorization", &dpop)]),
        head("/mcp", &[("authorization", &bearer), ("dpop", &second)]),
    ]
    .map(|lines| lines.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>());
    for (id, lines) in heads.iter().enumerate() {
        let lines: Vec<_> = lines.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let held = ask_as(&mut gate, u32::try_from(id).expect("few"), &lines, NOW);
        assert!(matches!(held, Verdict::Hold), "{id}: {held:?}");
    }
    let found = resumed(serve(&mut gate, &jwks(&[jwk(1, "k1")]), NOW));
    let expected = [
        Ok(()),
        not_proved(ProofError::Replayed),
        Ok(()),
        Ok(()),
        not_proved(ProofError::Missing),
        Err(Refusal::Token(TokenError::SenderConstrained)),
    ];
    assert_eq!(found, (0..).zip(expected).collect::<Vec<_>>());
}

#[test]
fn a_proof_that_became_too_old_meanwhile_counts_no_more() {
    let config = put(fetching(), "/resources/0/dpop/max_age", json!("3s"));
    for (seconds, counts) in [(3, true), (4, false)] {
        let (mut gate, token) = (gate(&config), bound_token());
        assert!(matches!(show(&mut gate, &token, &good_proof(&token), NOW), Verdict::Hold));
        let now = UnixTime(NOW.0 + seconds);
        let found = resumed(serve(&mut gate, &jwks(&[jwk(1, "k1")]), now));
        let expected = if counts { Ok(()) } else { not_proved(ProofError::Time { made: NOW, now }) };
        assert_eq!(found, [(1, expected)], "{seconds}");
    }
}

#[test]
fn a_certificate_waits_along() {
    let digest = [7; 32];
    let token = bound_to(&json!({ "x5t#S256": base64::Engine::encode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD, digest) }));
    let bearer = format!("Bearer {token}");
    let config = put(fetching(), "/resources/0/mutual_tls", json!(true));
    let mut gate = gate(&config);
    for (id, certificate) in [(1, Certificate::Sha256(digest)), (2, Certificate::Sha256([8; 32]))] {
        let lines = head("/mcp", &[("authorization", &bearer)]);
        let lines = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let request = Request::new(lines, gate.policy().identity_headers()).on_connection(certificate);
        assert!(matches!(gate.on_request(id, &request, NOW), Verdict::Hold));
    }
    let found = resumed(serve(&mut gate, &jwks(&[jwk(1, "k1")]), NOW));
    assert_eq!(found, [(1, Ok(())), (2, Err(Refusal::Token(TokenError::Certificate)))]);
}

/// A token that nobody can prove anything for causes no fetch.
#[test]
fn nothing_is_fetched_for_a_token_that_cannot_count() {
    let mut gate = gate(&fetching());
    let token = bound_to(&json!({ "x5t#S256": thumbprint(1).to_string() }));
    let found = outcome(show(&mut gate, &token, &good_proof(&token), NOW));
    assert_eq!(found, Err(Refusal::Token(TokenError::SenderConstrained)));
}

const OPAQUE: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";

fn introspecting(config: Value) -> Value {
    let asked = json!({
        "endpoint": "https://idp.example.com/introspect", "cluster": "idp", "client_id": "c",
        "client_secret_variable": "SECRET",
    });
    put(config, "/authorization_servers/0/introspection", asked)
}

fn introspecting_gate(config: &Value) -> Gate {
    let environment = |name: &str| (name == "SECRET").then(|| "secret".to_owned());
    let policy = config::parse_in(config.to_string().as_bytes(), &environment);
    Gate::new(policy.unwrap_or_else(|findings| panic!("findings: {findings:?}")))
}

/// RFC 9449 section 7.1, figure 12 and 13: the example as it stands there, with the answer of section 6.2 about its token.
#[test]
fn the_example_of_the_rfc() {
    const PROOF: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    const RESOURCE: &str = "https://resource.example.org/protectedresource";
    let config = json!({
        "authorization_servers": [{ "issuer": "https://server.example.com", "jwks": jwks(&[jwk(1, "k1")]) }],
        "resources": [{ "resource": RESOURCE, "dpop": {} }],
    });
    let now = UnixTime(1_562_262_618);
    let (_, signature) = PROOF.rsplit_once('.').expect("a signature");
    let other = if signature.starts_with('2') { PROOF.replace(".2oW9", ".3oW9") } else { String::new() };
    for (proof, method, expected) in [
        (PROOF, "GET", Ok(())),
        (PROOF, "POST", not_proved(ProofError::OtherUse("htm"))),
        (&other, "GET", not_proved(ProofError::Signature)),
    ] {
        let mut gate = introspecting_gate(&introspecting(config.clone()));
        let authorization = authorization(OPAQUE);
        let lines = [
            (":method", method),
            (":authority", "resource.example.org"),
            (":path", "/protectedresource"),
            ("authorization", &authorization),
            ("dpop", proof),
        ];
        assert!(matches!(ask_as(&mut gate, 1, &lines, now), Verdict::Hold));
        let answer = json!({
            "active": true, "sub": "someone@example.com", "iss": "https://server.example.com", "nbf": 1_562_262_611,
            "exp": 1_562_266_216, "aud": RESOURCE,
            "cnf": { "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" },
        });
        assert_eq!(resumed(serve(&mut gate, &answer, now)), [(1, expected)], "{method} {proof}");
        // The answer is remembered, and the proof that was used.
        let again = outcome(ask_as(&mut gate, 2, &lines, now));
        assert!(again.is_err(), "{method}");
    }
}

/// RFC 9449 section 6.2: a token that only its authorization server knows is bound by its answer.
#[test]
fn an_answer_binds_as_a_claim_does() {
    let answer = |cnf: Value| {
        with(
            json!({ "active": true, "iss": ISSUER, "aud": RESOURCE, "scope": "mcp:read", "exp": NOW.0 + 300 }),
            "cnf",
            cnf,
        )
    };
    let jkt = json!({ "jkt": thumbprint(CLIENT).to_string() });
    let constrained = Err(Refusal::Token(TokenError::SenderConstrained));
    let rows = [
        (jkt.clone(), "DPoP", Ok(())),
        (jkt, "Bearer", constrained.clone()),
        (json!({ "jkt": thumbprint(6).to_string() }), "DPoP", not_proved(ProofError::OtherKey)),
        (json!({}), "DPoP", constrained.clone()),
        (json!({ "x5t#S256": thumbprint(6).to_string() }), "Bearer", constrained),
        (Value::Null, "Bearer", Ok(())),
        (Value::Null, "DPoP", Err(Refusal::Token(TokenError::NotBound))),
    ];
    for (cnf, scheme, expected) in rows {
        let mut gate = introspecting_gate(&introspecting(super::config()));
        let (authorization, proof) = (format!("{scheme} {OPAQUE}"), good_proof(OPAQUE));
        let lines = head("/mcp", &[("authorization", &authorization), ("dpop", &proof)]);
        assert!(matches!(ask_as(&mut gate, 1, &lines, NOW), Verdict::Hold));
        assert_eq!(resumed(serve(&mut gate, &answer(cnf.clone()), NOW)), [(1, expected)], "{cnf} as {scheme}");
    }
}

/// Token and answer both say what it is bound to. They must not contradict each other, whoever is right.
#[test]
fn an_answer_must_not_contradict_the_token() {
    let config = put(introspecting(super::config()), "/authorization_servers/0/introspect", json!("always"));
    let own = json!({ "jkt": thumbprint(CLIENT).to_string() });
    let other = json!({ "jkt": thumbprint(6).to_string() });
    let constrained = Err(Refusal::Token(TokenError::SenderConstrained));
    let (bound, free) = (bound_token(), good_token());
    let rows = [
        (&bound, own.clone(), Ok(())),
        (&bound, Value::Null, Ok(())),
        (&bound, other, constrained.clone()),
        (&bound, json!({}), constrained.clone()),
        (&free, own, constrained),
        (&free, Value::Null, Ok(())),
    ];
    for (token, cnf, expected) in rows {
        let mut gate = introspecting_gate(&config);
        let held = if *token == bound {
            show(&mut gate, token, &good_proof(token), NOW)
        } else {
            crate::support::present(&mut gate, token)
        };
        assert!(matches!(held, Verdict::Hold));
        let answer = with(json!({ "active": true, "exp": NOW.0 + 300 }), "cnf", cnf.clone());
        assert_eq!(resumed(serve(&mut gate, &answer, NOW)), [(1, expected)], "{cnf}");
    }
}

/// The operator's own tokens are bound to nothing.
#[test]
fn a_static_token_is_a_bearer_token() {
    use sha2::{Digest as _, Sha256};
    let sha256: String = Sha256::digest(OPAQUE).iter().map(|byte| format!("{byte:02x}")).collect();
    let entry = json!([{ "name": "ci", "sha256": sha256, "scopes": ["mcp:read"], "expires": "never" }]);
    let listed = put(super::config(), "/resources/0/static_tokens", entry);
    for config in [listed.clone(), introspecting(listed)] {
        let mut gate = introspecting_gate(&config);
        assert_eq!(outcome(crate::support::present(&mut gate, OPAQUE)), Ok(()));
        let shown = outcome(show(&mut gate, OPAQUE, &good_proof(OPAQUE), NOW));
        assert!(matches!(shown, Err(Refusal::Token(_))), "{shown:?}");
    }
}
