//! Identity JWTs: signed by the gate over what was verified, for an upstream that verifies it with the published keys.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_oauth::{
    gate::{Gate, Verdict},
    time::UnixTime,
};
use p256::ecdsa::{Signature, signature::Verifier as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{but, gate, identity_jwt, later, no_question, only, received, send_at, with_credential};
use crate::support::{ISSUER, NOW, ask_as, claims, es256, good_token, head, header, outcome, put, reply, sign, with};

/// The header and the claims of a JWT, if its signature is that of [`es256`].
#[track_caller]
fn read(jwt: &str, seed: u8) -> (Value, Value) {
    let parts: Vec<&str> = jwt.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("{jwt}") };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("base64url");
    let signature = Signature::from_slice(&decode(signature)).expect("64 bytes");
    es256(seed).verifying_key().verify(format!("{header}.{claims}").as_bytes(), &signature).expect("a good signature");
    let json = |part: &str| serde_json::from_slice(&decode(part)).expect("JSON");
    (json(header), json(claims))
}

/// The JWT that the upstream gets for this token.
#[track_caller]
fn jwt_at(gate: &mut Gate, token: &str, now: UnixTime) -> String {
    let found = received(send_at(gate, 1, token, &[], now), &[]).all("authorization");
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].strip_prefix("Bearer ").expect("a scheme").to_owned()
}

fn claims_of(token: &str) -> Value {
    read(&jwt_at(&mut gate(&with_credential(&identity_jwt())), token, NOW), 7).1
}

#[test]
fn it_says_what_was_verified() {
    let mut gate = gate(&with_credential(&identity_jwt()));
    let (header, claims) = read(&jwt_at(&mut gate, &good_token(), NOW), 7);
    // RFC 7638 section 3.1, computed apart.
    let jwk = super::private_p256(7);
    let members = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
    let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(members));
    assert_eq!(header, json!({ "alg": "ES256", "kid": thumbprint, "typ": "JWT" }));
    assert_eq!(
        claims,
        json!({
            "iss": "https://gateway.example", "aud": "https://upstream.internal", "iat": NOW.0, "exp": NOW.0 + 60,
            "sub": "alice", "client_id": "c1", "scope": "mcp:read mcp:write",
            "sub_id": { "format": "iss_sub", "iss": ISSUER, "sub": "alice" },
        })
    );
    no_question(&mut gate, NOW);
}

#[test]
fn claims_that_a_token_does_not_have_are_not_made_up() {
    let without = |member: &str| sign(&header(), &with(claims(), member, Value::Null));
    let found = claims_of(&without("sub"));
    assert_eq!((found.get("sub"), found.get("sub_id")), (None, None), "{found}");
    assert_eq!(claims_of(&without("client_id")).get("client_id"), None);
    let mut open = with_credential(&identity_jwt());
    open["resources"][0].as_object_mut().expect("an object").remove("scopes");
    let jwt = jwt_at(&mut gate(&open), &without("scope"), NOW);
    assert_eq!(read(&jwt, 7).1.get("scope"), None);
}

/// RFC 8259 section 7, and no subject that could be taken for another.
#[test]
fn subjects_are_told_as_they_are() {
    let same = [
        "a\"b",
        "a\\",
        "\",\"admin\":true,\"x\":\"",
        "a\u{0}\u{1f}\n",
        "ü",
        "\u{1F600}",
        "auth0|1",
        "100%",
        "a b",
        "Static:a",
        "a static:b",
    ];
    let changed = [
        ("static:ci", "static%3Aci"),
        ("static:", "static%3A"),
        ("static%3Aci", "static%253Aci"),
        ("static:é", "static%3A%C3%A9"),
    ];
    for (subject, told) in same.map(|subject| (subject, subject)).into_iter().chain(changed) {
        let found = claims_of(&sign(&header(), &with(claims(), "sub", json!(subject))));
        assert_eq!(found["sub"], told);
        assert_eq!(found["sub_id"], json!({ "format": "iss_sub", "iss": ISSUER, "sub": subject }));
        assert_eq!(found.get("admin"), None);
    }
    let client = claims_of(&sign(&header(), &with(claims(), "client_id", json!("a\"}\\"))));
    assert_eq!(client["client_id"], "a\"}\\");
}

#[test]
fn the_holder_of_a_static_token_has_no_issuer() {
    let sha256: String = Sha256::digest("a-token-of-ci").iter().map(|byte| format!("{byte:02x}")).collect();
    let entry = json!({ "name": "ci", "sha256": sha256, "scopes": ["mcp:read"], "expires": "never" });
    let config = put(with_credential(&identity_jwt()), "/resources/0/static_tokens", json!([entry]));
    let mut gate = gate(&config);
    let first = jwt_at(&mut gate, "a-token-of-ci", NOW);
    assert_eq!(jwt_at(&mut gate, "a-token-of-ci", later(1)), first, "it is signed once");
    assert_eq!(
        read(&first, 7).1,
        json!({
            "iss": "https://gateway.example", "aud": "https://upstream.internal", "iat": NOW.0, "exp": NOW.0 + 60,
            "sub": "static:ci", "scope": "mcp:read",
        })
    );
}

#[test]
fn it_does_not_outlive_a_static_token() {
    let sha256: String = Sha256::digest("a-token-of-ci").iter().map(|byte| format!("{byte:02x}")).collect();
    for (expires, seconds) in [("2027-01-15T08:00:10Z", 10), ("2027-01-15T09:00:00Z", 60)] {
        let entry = json!({ "name": "ci", "sha256": sha256, "scopes": ["mcp:read"], "expires": expires });
        let config = put(with_credential(&identity_jwt()), "/resources/0/static_tokens", json!([entry]));
        let jwt = jwt_at(&mut gate(&config), "a-token-of-ci", NOW);
        assert_eq!(read(&jwt, 7).1["exp"], NOW.0 + seconds, "{expires}");
    }
}

#[test]
fn another_header_has_the_bare_jwt() {
    let mut gate = gate(&with_credential(&but(&identity_jwt(), "header", json!("x-identity"))));
    let sent = [("X_Identity", "forged"), ("x-identity", "forged")];
    let headers = received(send_at(&mut gate, 1, &good_token(), &sent, NOW), &sent);
    assert_eq!(headers.all("authorization"), Vec::<String>::new());
    assert_eq!(headers.all("x_identity"), Vec::<String>::new());
    let found = headers.all("x-identity");
    assert_eq!(found.len(), 1);
    read(&found[0], 7);
}

/// Signed once, and used for half its life; the rest is for the way to whoever verifies it.
#[test]
fn it_is_signed_once_and_anew_at_half_its_life() {
    for (max_age, half) in [("60s", 30), ("10s", 5), ("11s", 5)] {
        let mut gate = gate(&with_credential(&but(&identity_jwt(), "max_age", json!(max_age))));
        let first = jwt_at(&mut gate, &good_token(), NOW);
        assert_eq!(jwt_at(&mut gate, &good_token(), later(half - 1)), first);
        let second = jwt_at(&mut gate, &good_token(), later(half));
        assert_eq!(read(&second, 7).1["iat"], NOW.0 + half, "{max_age}");
        // A clock that is set back: what was signed by the old one lies in the future.
        assert_eq!(read(&jwt_at(&mut gate, &good_token(), later(1)), 7).1["iat"], NOW.0 + 1);
    }
}

#[test]
fn every_caller_has_its_own() {
    let mut gate = gate(&with_credential(&identity_jwt()));
    for subject in ["alice", "bob", "alice", "bob"] {
        let token = sign(&header(), &with(claims(), "sub", json!(subject)));
        assert_eq!(read(&jwt_at(&mut gate, &token, NOW), 7).1["sub"], subject);
    }
}

/// The first key signs.
#[test]
fn keys_are_rotated_in_order() {
    let config = with_credential(&but(&identity_jwt(), "keys_variable", json!("NEW_KEYS")));
    let (header, _) = read(&jwt_at(&mut gate(&config), &good_token(), NOW), 8);
    assert_eq!(header["kid"], "new");
}

/// What the gate signs and publishes is what a gate of the same kind accepts.
#[test]
fn whoever_verifies_with_the_published_keys_accepts_it() {
    let mut signing = gate(&with_credential(&identity_jwt()));
    let lines = [(":method", "GET"), (":authority", "mcp.example.com"), (":path", "/.well-known/mcp-oauth/jwks.json")];
    let keys = reply(ask_as(&mut signing, 1, &lines, NOW));
    let keys: Value = serde_json::from_slice(keys.body()).expect("JSON");
    let verifying = json!({
        "authorization_servers": [{ "issuer": "https://gateway.example", "jwks": keys }],
        "resources": [{ "resource": "https://upstream.internal/mcp", "audiences": ["https://upstream.internal"] }],
    });
    let jwt = format!("Bearer {}", jwt_at(&mut signing, &good_token(), NOW));
    let mut lines = head("/mcp", &[("authorization", &jwt)]);
    lines[1] = (":authority", "upstream.internal");
    for (seconds, is_good) in [(0, true), (89, true), (90, false)] {
        let found = outcome(ask_as(&mut crate::support::gate(&verifying), 1, &lines, later(seconds)));
        assert_eq!(found.is_ok(), is_good, "{found:?}");
    }
}

/// What is said of a token ends with it, whatever `max_age` is.
#[test]
fn it_ends_with_the_token_it_speaks_for() {
    let long = with_credential(&but(&identity_jwt(), "max_age", json!("1h")));
    // 30 s of skew: so long does the token count here.
    for (left, lifetime) in [(5, 35), (300, 330), (100_000, 3600)] {
        let token = sign(&header(), &with(claims(), "exp", json!(NOW.0 + left)));
        let mut gate = gate(&long);
        let (_, found) = read(&jwt_at(&mut gate, &token, NOW), 7);
        assert_eq!(found["exp"], NOW.0 + lifetime, "{left}");
    }
}

/// An issuer may say something else of the same token when it is asked again.
#[test]
fn it_says_what_is_known_now() {
    let config = put(
        with_credential(&but(&identity_jwt(), "max_age", json!("1h"))),
        "/authorization_servers/0/introspection",
        json!({
            "endpoint": "https://idp.example.com/introspect", "cluster": "idp", "client_id": "c", "client_secret_variable": "CLIENT_SECRET",
        }),
    );
    let mut gate = gate(&config);
    let mut scopes_at = |scopes: &str, now: UnixTime| {
        let verdict = send_at(&mut gate, 1, "opaque", &[], now);
        let verdict = match verdict {
            Verdict::Hold => {
                let mut active = with(claims(), "scope", json!(scopes));
                active["active"] = json!(true);
                active["exp"] = json!(NOW.0 + 10_000);
                only(super::serve(&mut gate, "200", &active.to_string(), now))
            }
            verdict => verdict,
        };
        let found = received(verdict, &[]).all("authorization");
        read(found[0].strip_prefix("Bearer ").expect("a scheme"), 7).1
    };
    let first = scopes_at("mcp:read mcp:write", NOW);
    assert_eq!(first["scope"], "mcp:read mcp:write");
    assert_eq!(scopes_at("not asked", later(59))["iat"], NOW.0, "nobody was asked");
    let second = scopes_at("mcp:read", later(60));
    assert_eq!((&second["scope"], &second["iat"]), (&json!("mcp:read"), &json!(NOW.0 + 60)));
    assert_eq!(scopes_at("mcp:read", later(120))["iat"], NOW.0 + 60, "asked, and the same was said");
}
