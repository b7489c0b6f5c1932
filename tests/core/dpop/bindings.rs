//! What a token is bound to, and how it is presented, must fit (RFC 9449 section 7.2, RFC 8705 section 3).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mcp_oauth::{
    bearer::CredentialsError,
    config as settings,
    confirmation::Thumbprint,
    dpop::ProofError,
    gate::Gate,
    refusal::Refusal,
    request::{Certificate, Request},
    token::TokenError,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    CLIENT, authorization, bound_to, bound_token, client_key, config, dpop_gate, good_proof, proof_of, show, thumbprint,
};
use crate::support::{
    NOW, RESOURCE, Row, accepted, ask, check, claims, gate, good_token, head, header, inline_config, invalid, outcome,
    present, put, refused, sign, with,
};

/// RFC 8705 appendix A: a certificate, and what a token says of it.
const CERTIFICATE: &str = "MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAxODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwIDSQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOVbUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=";
const DIGEST: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";

/// What Envoy says of the certificate.
fn hex() -> String {
    let digest = Sha256::digest(STANDARD.decode(CERTIFICATE).expect("base64"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn with_certificates(config: Value) -> Value {
    put(config, "/resources/0/mutual_tls", json!(true))
}

/// Presents a token over a connection with this certificate.
fn over(gate: &mut Gate, lines: &[(&str, &str)], certificate: Certificate) -> Result<(), Refusal> {
    let lines = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let request = Request::new(lines, gate.policy().identity_headers()).on_connection(certificate);
    outcome(gate.on_request(1, &request, NOW))
}

/// RFC 7638 section 3.1, RFC 9449 section 6.1: both by computation.
#[test]
fn thumbprints() {
    let modulus = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let rows = [
        (
            json!({ "kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29" }),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
        ),
        (
            json!({
                "kty": "EC", "crv": "P-256", "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
                "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
            }),
            "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
        ),
        // RFC 8037 appendix A.3.
        (
            json!({ "crv": "Ed25519", "kty": "OKP", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        ),
    ];
    for (key, expected) in rows {
        let found = Thumbprint::of_jwk(key.to_string().as_bytes()).map(|thumbprint| thumbprint.to_string());
        assert_eq!(found.as_deref(), Some(expected), "{key}");
    }
    let none = [json!({ "kty": "oct", "k": "AA" }), json!({ "kty": "EC", "crv": "P-256", "x": "AA" }), json!({})];
    for key in none {
        assert_eq!(Thumbprint::of_jwk(key.to_string().as_bytes()), None, "{key}");
    }
}

#[test]
fn the_scheme_must_fit_the_token() {
    let (bound, free) = (bound_token(), good_token());
    let proof = good_proof(&bound);
    let rows: Vec<Row<(&str, &str)>> = vec![
        accepted("a bound token with its proof", ("DPoP", &bound)),
        accepted("RFC 9110 11.1: schemes have no case", ("dpop", &bound)),
        accepted("an unbound one as bearer token", ("Bearer", &free)),
        invalid("RFC 9449 7.2: a bound one as bearer token", ("Bearer", &bound), TokenError::SenderConstrained),
        invalid("an unbound one with a proof", ("DPoP", &free), TokenError::NotBound),
        refused("another scheme", ("Basic", &bound), Refusal::MissingToken),
        refused("a longer name", ("DPoPx", &bound), Refusal::MissingToken),
    ];
    check(rows, |(scheme, token)| {
        let authorization = format!("{scheme} {token}");
        outcome(ask(&mut dpop_gate(), &head("/mcp", &[("authorization", &authorization), ("dpop", &proof)])))
    });
}

#[test]
fn where_it_is_required_nothing_else_counts() {
    let config = put(config(), "/resources/0/dpop/required", json!(true));
    let token = bound_token();
    assert_eq!(outcome(show(&mut gate(&config), &token, &good_proof(&token), NOW)), Ok(()));
    let refused = |error| Err(Refusal::Token(error));
    assert_eq!(outcome(present(&mut gate(&config), &good_token())), refused(TokenError::NotBound));
    assert_eq!(outcome(present(&mut gate(&config), &token)), refused(TokenError::SenderConstrained));
}

#[test]
fn without_the_setting_there_is_no_such_scheme() {
    let token = bound_token();
    let shown = show(&mut gate(&inline_config()), &token, &good_proof(&token), NOW);
    assert_eq!(outcome(shown), Err(Refusal::MissingToken));
    let bearer = present(&mut gate(&inline_config()), &token);
    assert_eq!(outcome(bearer), Err(Refusal::Token(TokenError::SenderConstrained)));
}

#[test]
fn the_credentials_are_one_token() {
    use CredentialsError::{Doubled, Malformed};
    let token = bound_token();
    let rows: Vec<Row<Vec<String>>> = vec![
        accepted("one", vec![format!("DPoP {token}")]),
        accepted("more spaces", vec![format!("DPoP   {token}")]),
        refused("none", vec!["DPoP".to_owned()], Refusal::Credentials(Malformed)),
        refused("an empty one", vec!["DPoP ".to_owned()], Refusal::Credentials(Malformed)),
        refused("two words", vec![format!("DPoP {token} x")], Refusal::Credentials(Malformed)),
        refused("two lines", vec![format!("DPoP {token}"), format!("Bearer {token}")], Refusal::Credentials(Doubled)),
        refused("joined", vec![format!("DPoP {token}, Bearer {token}")], Refusal::Credentials(Doubled)),
        refused("the other way round", vec![format!("Bearer {token}, DPoP {token}")], Refusal::Credentials(Doubled)),
        refused("behind others", vec![format!("Basic YTpi, DPoP {token}")], Refusal::Credentials(Doubled)),
        refused("behind others, as ever", vec![format!("Basic YTpi, Bearer {token}")], Refusal::Credentials(Doubled)),
    ];
    let proof = good_proof(&token);
    check(rows, |lines| {
        let mut head = head("/mcp", &[("dpop", &proof)]);
        head.extend(lines.iter().map(|line| ("authorization", line.as_str())));
        outcome(ask(&mut dpop_gate(), &head))
    });
}

/// RFC 7800 section 3.1: what is not understood cannot be proved, wherever it stands.
#[test]
fn every_confirmation_must_be_understood() {
    let jkt = thumbprint(CLIENT).to_string();
    let mut rows = vec![
        accepted("RFC 9449 6.1", bound_to(&json!({ "jkt": jkt }))),
        accepted("Keycloak 26.7", bound_to(&json!({ "jkt": jkt, "kc-jkt-type": "DPoP" }))),
    ];
    let unknown = [
        json!({}),
        json!([]),
        json!(jkt),
        json!({ "jkt": jkt, "x": 1 }),
        json!({ "jkt": jkt, "kc-jkt-type": "other" }),
        json!({ "kc-jkt-type": "DPoP" }),
        json!({ "jkt": jkt, "kid": "k" }),
        json!({ "jkt": jkt, "x5t#S512": DIGEST }),
        json!({ "jwk": client_key(CLIENT) }),
        json!({ "JKT": jkt }),
        json!({ "jkt": 1 }),
        json!({ "jkt": [jkt] }),
        json!({ "jkt": "" }),
        json!({ "jkt": &jkt[1..] }),
        json!({ "jkt": format!("{jkt}=") }),
        json!({ "jkt": jkt, "x5t#S256": "x" }),
        // A resource that does not look at certificates.
        json!({ "jkt": jkt, "x5t#S256": DIGEST }),
        json!({ "x5t#S256": DIGEST }),
    ];
    for cnf in unknown {
        rows.push(invalid(cnf.to_string(), bound_to(&cnf), TokenError::SenderConstrained));
    }
    check(rows, |token| outcome(show(&mut dpop_gate(), token, &good_proof(token), NOW)));
    let null = crate::support::holding(crate::support::claims(), "cnf", Value::Null);
    let null = crate::support::sign(&crate::support::header(), &null);
    let found = outcome(show(&mut dpop_gate(), &null, &good_proof(&null), NOW));
    assert_eq!(found, Err(Refusal::Token(TokenError::SenderConstrained)));
}

/// Each request proves it anew, although the token is remembered.
#[test]
fn a_token_that_is_remembered_is_still_bound() {
    let (mut gate, token) = (dpop_gate(), bound_token());
    for id in ["1", "2"] {
        assert_eq!(outcome(show(&mut gate, &token, &proof_of(&token, id, NOW), NOW)), Ok(()));
        let bare = outcome(ask(&mut gate, &head("/mcp", &[("authorization", &authorization(&token))])));
        assert_eq!(bare, Err(Refusal::Proof(ProofError::Missing)));
        assert_eq!(outcome(present(&mut gate, &token)), Err(Refusal::Token(TokenError::SenderConstrained)));
    }
}

/// RFC 8705 section 3: the certificate of the connection, and no other.
#[test]
fn a_certificate_must_be_the_one_that_the_token_is_bound_to() {
    let own = Certificate::from_hex(hex().as_bytes());
    assert!(matches!(own, Certificate::Sha256(_)));
    let Certificate::Sha256(mut other) = own else { return };
    other[31] ^= 1;
    let wrong = Err(Refusal::Token(TokenError::Certificate));
    let failed = Err(Refusal::Host("client certificate"));
    let rows = [
        ("appendix A", own, Ok(())),
        ("another one", Certificate::Sha256(other), wrong.clone()),
        ("none", Certificate::Absent, wrong.clone()),
        ("nobody knows", Certificate::Unknown, failed.clone()),
    ];
    let config = with_certificates(inline_config());
    let bearer = format!("Bearer {}", bound_to(&json!({ "x5t#S256": DIGEST })));
    let free = format!("Bearer {}", good_token());
    for (name, certificate, expected) in rows {
        let lines = head("/mcp", &[("authorization", &bearer)]);
        let mut gate = gate(&config);
        assert_eq!(over(&mut gate, &lines, certificate), expected, "{name}");
        assert_eq!(over(&mut gate, &lines, certificate), expected, "{name}, remembered");
        let unbound = if certificate == Certificate::Unknown { failed.clone() } else { Ok(()) };
        assert_eq!(over(&mut gate, &head("/mcp", &[("authorization", &free)]), certificate), unbound, "{name}");
    }
    let mut unset = gate(&inline_config());
    let found = over(&mut unset, &head("/mcp", &[("authorization", &bearer)]), own);
    assert_eq!(found, Err(Refusal::Token(TokenError::SenderConstrained)), "without the setting");
    assert!(!unset.policy().reads_certificate() && gate(&config).policy().reads_certificate());
}

/// Although it was proved at another one, where the token was remembered.
#[test]
fn a_resource_that_looks_at_no_certificates_takes_no_token_that_is_bound_to_one() {
    let mut other = inline_config()["resources"][0].clone();
    other["resource"] = json!("https://mcp.example.com/other");
    let mut config = with_certificates(inline_config());
    config["resources"].as_array_mut().expect("a list").push(other);
    let audiences = json!([RESOURCE, "https://mcp.example.com/other"]);
    let bound = with(with(claims(), "cnf", json!({ "x5t#S256": DIGEST })), "aud", audiences);
    let bearer = format!("Bearer {}", sign(&header(), &bound));
    let own = Certificate::from_hex(hex().as_bytes());
    let mut gate = gate(&config);
    assert_eq!(over(&mut gate, &head("/mcp", &[("authorization", &bearer)]), own), Ok(()));
    let found = over(&mut gate, &head("/other", &[("authorization", &bearer)]), own);
    assert_eq!(found, Err(Refusal::Token(TokenError::SenderConstrained)));
}

/// A static token is bound to nothing, and still a resource that is to know the certificate must know it: whichever way the
/// token is found, which is another one where opaque tokens are introspected.
#[test]
fn a_static_token_is_refused_alike_however_it_is_found() {
    let digest: String = Sha256::digest("listed").iter().map(|byte| format!("{byte:02x}")).collect();
    let listed = json!([{ "name": "ci", "sha256": digest, "scopes": ["mcp:read"], "expires": "never" }]);
    let config = put(inline_config(), "/resources/0/static_tokens", listed);
    let introspection = json!({ "endpoint": "https://idp.example.com/introspect", "client_id": "gateway", "client_secret_variable": "SECRET" });
    let introspected = put(config.clone(), "/authorization_servers/0/introspection", introspection);
    let introspected = put(introspected, "/authorization_servers/0/cluster", json!("idp"));
    let failed = Err(Refusal::Host("client certificate"));
    let lines = head("/mcp", &[("authorization", "Bearer listed")]);
    for (name, config) in [("not introspected", config), ("introspected", introspected)] {
        for (certificate, with_setting) in [
            (Certificate::Unknown, failed.clone()),
            (Certificate::Absent, Ok(())),
            (Certificate::Sha256([7; 32]), Ok(())),
        ] {
            let mut gates = [gate_in(&with_certificates(config.clone())), gate_in(&config)];
            assert_eq!(over(&mut gates[0], &lines, certificate), with_setting, "{name}, {certificate:?}");
            assert_eq!(
                over(&mut gates[1], &lines, certificate),
                Ok(()),
                "{name}, {certificate:?}, without the setting"
            );
        }
    }
}

fn gate_in(config: &Value) -> Gate {
    let environment = |name: &str| (name == "SECRET").then(|| "secret".to_owned());
    Gate::new(settings::parse_in(config.to_string().as_bytes(), &environment).expect("no findings"))
}

#[test]
fn what_a_proxy_says_of_a_certificate() {
    let digest = hex();
    let upper = digest.to_uppercase();
    let rows: [(&[u8], bool, bool); 6] = [
        (b"", true, false),
        (digest.as_bytes(), false, true),
        (&digest.as_bytes()[1..], false, false),
        (upper.as_bytes(), false, false),
        (DIGEST.as_bytes(), false, false),
        (b"\xff", false, false),
    ];
    for (text, absent, known) in rows {
        let found = Certificate::from_hex(text);
        assert_eq!(
            (found == Certificate::Absent, matches!(found, Certificate::Sha256(_))),
            (absent, known),
            "{text:?}"
        );
    }
}

/// A token may be bound to both, and then both have to be proved.
#[test]
fn key_and_certificate() {
    let config = with_certificates(config());
    let token = bound_to(&json!({ "jkt": thumbprint(CLIENT).to_string(), "x5t#S256": DIGEST }));
    let own = Certificate::from_hex(hex().as_bytes());
    let (proof, dpop, bearer) = (good_proof(&token), authorization(&token), format!("Bearer {token}"));
    let both = head("/mcp", &[("authorization", &dpop), ("dpop", &proof)]);
    let rows = [
        ("both", &both, own, Ok(())),
        ("the key", &both, Certificate::Absent, Err(Refusal::Token(TokenError::Certificate))),
        ("the certificate", &head("/mcp", &[("authorization", &dpop)]), own, Err(Refusal::Proof(ProofError::Missing))),
        (
            "the certificate, as bearer token",
            &head("/mcp", &[("authorization", &bearer), ("dpop", &proof)]),
            own,
            Err(Refusal::Token(TokenError::SenderConstrained)),
        ),
    ];
    for (name, lines, certificate, expected) in rows {
        assert_eq!(over(&mut gate(&config), lines, certificate), expected, "{name}");
    }
    // A proof beside a certificate that is wrong was not used.
    let mut gate = gate(&config);
    assert!(over(&mut gate, &both, Certificate::Absent).is_err());
    assert_eq!(over(&mut gate, &both, own), Ok(()));
}
