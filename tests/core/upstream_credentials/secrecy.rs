//! Promise: no secret of the operator's, no token of a client's and none of an upstream's is shown anywhere but where it
//! belongs.

use mcp_oauth::fetch::Answer;
use serde_json::{Value, json};

use super::{
    ACTOR, API_KEY, CLIENT_SECRET, but, client_credentials, gate, header, held, identity_jwt, issued, next, only,
    private_p256, send_at, token_exchange, with_credential,
};
use crate::support::{NOW, good_token, holding, reply};

#[test]
fn nothing_shows_a_secret() {
    let private = private_p256(7)["d"].as_str().expect("a text").to_owned();
    let encoded = "s3cr%3At";
    let token = good_token();
    let secrets = [
        API_KEY,
        CLIENT_SECRET,
        ACTOR,
        encoded,
        private.as_str(),
        "7, 7, 7",
        token.as_str(),
        "upstr3am",
        "eyJhbGciOiJFUzI1Ni",
    ];
    let check = |text: String| {
        let compact = text.replace('\n', "");
        for secret in secrets {
            assert!(!compact.contains(secret), "{secret} in {text}");
        }
    };
    let exchange = but(&token_exchange(), "actor_token_variable", json!("ACTOR"));
    for credential in [header(), exchange, client_credentials(), identity_jwt(), json!("insecure_forward_client_token")]
    {
        let mut gate = gate(&with_credential(&credential));
        check(format!("{:?}", gate.policy()));
        check(format!("{:#?}", gate.policy()));
        let mut verdict = send_at(&mut gate, 1, &good_token(), &[], NOW);
        check(format!("{gate:?} {verdict:?}"));
        if credential.get("token_exchange").or(credential.get("client_credentials")).is_some() {
            let fetch = next(&mut gate, NOW);
            check(format!("{fetch:?}"));
            let outcome = gate.on_answer(fetch.id, super::answer("200", &issued("upstr3am", 300)), NOW);
            check(format!("{outcome:?}"));
            verdict = only(outcome);
        }
        check(format!("{gate:?} {gate:#?} {verdict:?} {verdict:#?}"));
    }
}

/// What a token endpoint writes into its answer may be anything, also a token where it does not belong.
#[test]
fn nothing_of_an_answer_is_shown_but_its_code() {
    let hush = "hush-hush-hush";
    let json = "application/json";
    let good = json!({
        "access_token": hush, "token_type": "Bearer", "expires_in": 300,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    });
    let misplaced = |member: &str, value: Value| ("200", json, holding(good.clone(), member, value));
    let digits = "12345678901234567890123456789012345678901234567890";
    let answers = [
        misplaced("access_token", json!([hush])),
        misplaced("access_token", json!({ hush: hush })),
        misplaced("token_type", json!(hush)),
        misplaced("token_type", json!(format!("Bearer {hush}"))),
        misplaced("token_type", json!([hush])),
        misplaced("issued_token_type", json!(hush)),
        misplaced("issued_token_type", json!(format!("urn:ietf:params:oauth:token-type:{hush}"))),
        misplaced("issued_token_type", json!([hush])),
        misplaced("expires_in", json!(hush)),
        misplaced("expires_in", json!([hush])),
        misplaced("expires_in", serde_json::from_str(digits).expect("a number")),
        ("200", hush, good.clone()),
        ("200", "application/hush-hush-hush-of-more-bytes-than-a-media-type-has", good.clone()),
        ("400", json, json!({ "error": format!("{hush}é") })),
        ("400", json, json!({ "error": [hush] })),
        ("200", json, json!({ hush: hush })),
        ("200", json, json!({ "access_token": format!("{hush} x"), "token_type": "Bearer" })),
        ("200", json, json!({ "access_token": hush, "token_type": "mac" })),
        ("200", json, json!({ "access_token": hush, "token_type": "Bearer", "issued_token_type": "x" })),
        (
            "200",
            json,
            json!({ "access_token": hush, "token_type": "Bearer", "issued_token_type": "urn:ietf:params:oauth:token-type:jwt", "expires_in": hush }),
        ),
        ("400", json, json!({ "error": "invalid_grant", "error_description": hush, "error_uri": hush })),
        ("500", json, json!({ "error": hush })),
    ];
    for (status, content_type, body) in answers {
        let mut gate = gate(&with_credential(&token_exchange()));
        held(send_at(&mut gate, 1, &good_token(), &[], NOW));
        let (fetch, body) = (next(&mut gate, NOW), body.to_string());
        let (content_type, body) = (Some(content_type.as_bytes()), body.as_bytes());
        let answer = Answer::Response { status: status.as_bytes(), content_type, cache_control: None, body };
        let outcome = gate.on_answer(fetch.id, answer, NOW);
        let event = outcome.remote.as_ref().map(ToString::to_string).unwrap_or_default();
        let reply = reply(only(outcome));
        let refusal = reply.refusal().expect("a refusal");
        let body = String::from_utf8_lossy(reply.body()).into_owned();
        for text in [event, format!("{refusal}"), format!("{reply:?}"), body] {
            for secret in [hush, &digits[..20], "1.234567890"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }
}
