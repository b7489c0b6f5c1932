//! Promise: what is asked, about which tokens, how often.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use mcp_oauth::{fetch::Answer, gate::Verdict, jws::JwsError, refusal::Refusal, token::TokenError};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    ENDPOINT, OPAQUE, active, always_asking, answered, asking, gate, introspection, json_answer, later, next,
    no_question, only, present_at, serve,
};
use crate::support::{
    ISSUER, NOW, RESOURCE, ask_as, claims, good_token, head, header, holding, jwk, jwks, outcome, put, remote_config,
    sign, sign_texts, with, without,
};

#[test]
fn the_question_is_a_form_with_the_gates_own_credentials() {
    let mut one = gate(&asking());
    let _ = present_at(&mut one, 1, "a+b/c~d==", NOW);
    let fetch = next(&mut one, NOW);
    assert_eq!((fetch.uri.as_str(), &*fetch.cluster, fetch.timeout.as_secs()), (ENDPOINT, "idp", 5));
    let post = fetch.post.expect("a form");
    assert_eq!(post.form.expose(), "token=a%2Bb%2Fc%7Ed%3D%3D&token_type_hint=access_token");
    // RFC 6749 section 2.3.1 and appendix B: each part encoded as in a form.
    let basic = format!("Basic {}", STANDARD.encode("gate+way:s3cr%3At+%2F%25%2B"));
    assert_eq!(post.authorization.expect("credentials").expose(), basic);

    let with_post =
        put(asking(), "/authorization_servers/0/introspection/client_authentication", json!("client_secret_post"));
    let mut one = gate(&with_post);
    let _ = present_at(&mut one, 1, "t", NOW);
    let post = next(&mut one, NOW).post.expect("a form");
    assert!(post.authorization.is_none());
    assert_eq!(
        post.form.expose(),
        "token=t&token_type_hint=access_token&client_id=gate+way&client_secret=s3cr%3At+%2F%25%2B"
    );
}

#[test]
fn nothing_that_is_kept_shows_a_token_or_a_secret() {
    let mut gate = gate(&asking());
    let _ = present_at(&mut gate, 1, OPAQUE, NOW);
    let open = format!("{gate:?}");
    let fetch = format!("{:?}", next(&mut gate, NOW));
    for shown in [open, fetch, format!("{gate:?}")] {
        assert!(!shown.contains(OPAQUE) && !shown.contains("s3cr"), "{shown}");
    }
}

/// RFC 7515: what begins like a JWS is one, and a bad one is nobody's opaque token.
#[test]
fn only_what_is_no_jws_is_asked_about() {
    let headed = |text: &str| format!("{}.e30.c2ln", URL_SAFE_NO_PAD.encode(text));
    let is_asked = |token: &str| {
        let mut gate = gate(&asking());
        let verdict = present_at(&mut gate, 1, token, NOW);
        let asked = gate.poll_fetch(NOW).is_some();
        assert_eq!(asked, matches!(verdict, Verdict::Hold), "{token}");
        asked
    };
    for token in [OPAQUE, "a.b", "a.b.c", "ya29.a0Af.x", "a.b.c.d.e", &headed("{}"), &headed("[]"), &headed("no")] {
        assert!(is_asked(token), "{token}");
    }
    for token in [
        &headed("{\"alg\":\"none\"}"),
        &headed("{\"alg\":\"HS256\"}"),
        &headed("{\"alg\":\"ES256\",\"crit\":[]}"),
        &headed("{\"alg\":\"ES256\",\"kid\":1}"),
        &format!("{}.e30.=", headed("{\"alg\":\"ES256\"}").split('.').next().unwrap_or_default()),
        &good_token(),
        &sign(&header(), &with(claims(), "exp", json!(1))),
    ] {
        assert!(!is_asked(token), "{token}");
    }
    let mut gate = gate(&asking());
    let refused = outcome(present_at(&mut gate, 1, &headed("{\"alg\":\"none\"}"), NOW));
    assert_eq!(refused, Err(Refusal::Token(TokenError::Jws(JwsError::Algorithm("none".to_owned())))));
}

#[test]
fn jwts_are_asked_about_only_always_and_only_after_they_were_found_good() {
    let mut opaque_only = gate(&asking());
    assert_eq!(outcome(present_at(&mut opaque_only, 1, &good_token(), NOW)), Ok(()));
    no_question(&mut opaque_only, NOW);

    let mut always = gate(&always_asking());
    let forged = sign_texts(2, &header().to_string(), &claims().to_string());
    assert_eq!(outcome(present_at(&mut always, 1, &forged, NOW)), Err(Refusal::Token(TokenError::Signature)));
    let foreign = sign(&header(), &with(claims(), "aud", json!("other")));
    assert!(matches!(outcome(present_at(&mut always, 1, &foreign, NOW)), Err(Refusal::Token(_))));
    no_question(&mut always, NOW);
    assert!(matches!(present_at(&mut always, 1, &good_token(), NOW), Verdict::Hold));
    let post = next(&mut always, NOW).post.expect("a form");
    assert!(post.form.expose().starts_with(&format!("token={}&", good_token())));
    assert!(matches!(present_at(&mut always, 2, OPAQUE, NOW), Verdict::Hold), "opaque ones too");
}

#[test]
fn one_question_serves_all_who_present_the_token() {
    let mut gate = gate(&asking());
    for id in 1..=5 {
        assert!(matches!(present_at(&mut gate, id, OPAQUE, NOW), Verdict::Hold));
    }
    assert!(matches!(present_at(&mut gate, 6, "another", NOW), Verdict::Hold));
    gate.on_gone(3);
    let first = next(&mut gate, NOW);
    let second = next(&mut gate, NOW);
    no_question(&mut gate, NOW);
    assert!(gate.awaits(first.id) && gate.awaits(second.id));
    let resumed = gate.on_answer(first.id, json_answer(active().to_string().as_bytes()), NOW).resumed;
    let ids: Vec<u32> = resumed.iter().map(|resumed| resumed.request).collect();
    assert_eq!(ids, [1, 2, 4, 5]);
    assert!(resumed.into_iter().all(|resumed| outcome(resumed.verdict) == Ok(())));
    assert!(!gate.awaits(first.id));
    let again = gate.on_answer(first.id, json_answer(b"{\"active\":false}"), NOW);
    assert!(again.resumed.is_empty(), "an answer counts once");
    let resumed = gate.on_answer(second.id, json_answer(b"{\"active\":false}"), NOW).resumed;
    assert_eq!(resumed.len(), 1);
}

#[test]
fn an_active_answer_counts_until_the_earlier_of_exp_and_the_limit() {
    for (exp, asked_again_after) in [(300, 60), (20, 20), (60, 60)] {
        let mut gate = gate(&asking());
        let _ = present_at(&mut gate, 1, OPAQUE, NOW);
        let answer = holding(active(), "exp", json!(NOW.0 + exp));
        assert_eq!(outcome(only(serve(&mut gate, &answer, NOW))), Ok(()));
        assert_eq!(outcome(present_at(&mut gate, 2, OPAQUE, later(asked_again_after - 1))), Ok(()), "{exp}");
        no_question(&mut gate, later(asked_again_after - 1));
        assert!(matches!(present_at(&mut gate, 3, OPAQUE, later(asked_again_after)), Verdict::Hold), "{exp}");
        let revoked = serve(&mut gate, &json!({ "active": false }), later(asked_again_after));
        assert_eq!(outcome(only(revoked)), Err(Refusal::Token(TokenError::Inactive)));
    }
}

#[test]
fn a_jwt_is_believed_no_longer_than_its_introspection() {
    let mut gate = gate(&always_asking());
    let _ = present_at(&mut gate, 1, &good_token(), NOW);
    assert_eq!(outcome(only(serve(&mut gate, &json!({ "active": true }), NOW))), Ok(()));
    assert_eq!(outcome(present_at(&mut gate, 2, &good_token(), later(59))), Ok(()));
    assert!(matches!(present_at(&mut gate, 3, &good_token(), later(60)), Verdict::Hold));
    let revoked = serve(&mut gate, &json!({ "active": false }), later(60));
    assert_eq!(outcome(only(revoked)), Err(Refusal::Token(TokenError::Inactive)));
    assert_eq!(
        outcome(present_at(&mut gate, 4, &good_token(), later(61))),
        Err(Refusal::Token(TokenError::Inactive)),
        "and it does not come back as a JWT"
    );
}

#[test]
fn an_inactive_answer_counts_briefly_and_a_failure_not_at_all() {
    let mut gate = gate(&asking());
    let _ = present_at(&mut gate, 1, OPAQUE, NOW);
    let inactive = Err(Refusal::Token(TokenError::Inactive));
    assert_eq!(outcome(only(serve(&mut gate, &json!({ "active": false }), NOW))), inactive);
    assert_eq!(outcome(present_at(&mut gate, 2, OPAQUE, later(9))), inactive);
    no_question(&mut gate, later(9));
    assert!(matches!(present_at(&mut gate, 3, OPAQUE, later(10)), Verdict::Hold));
    let fetch = next(&mut gate, later(10));
    let failed = gate.on_answer(fetch.id, Answer::NoResponse, later(10));
    assert!(matches!(outcome(only(failed)), Err(Refusal::IntrospectionUnavailable { .. })));
    assert!(matches!(present_at(&mut gate, 4, OPAQUE, later(10)), Verdict::Hold), "asked again at once");
    assert_eq!(outcome(only(serve(&mut gate, &active(), later(10)))), Ok(()));
}

/// The operator's own tokens are nobody else's business.
#[test]
fn a_static_token_is_never_sent_away() {
    let digest: String = Sha256::digest(OPAQUE).iter().map(|byte| format!("{byte:02x}")).collect();
    let entry = json!([{ "name": "ci", "sha256": digest, "scopes": ["mcp:read"], "expires": "never" }]);
    let mut gate = gate(&put(asking(), "/resources/0/static_tokens", entry));
    assert_eq!(outcome(present_at(&mut gate, 1, OPAQUE, NOW)), Ok(()));
    no_question(&mut gate, NOW);
    assert!(matches!(present_at(&mut gate, 2, "another", NOW), Verdict::Hold));
}

/// An issuer is asked only for resources that it is for.
#[test]
fn a_resource_of_other_issuers_asks_nobody() {
    let other = json!({ "issuer": "https://other.example.com", "jwks": jwks(&[jwk(2, "k2")]) });
    let config = put(asking(), "/authorization_servers", json!([asking()["authorization_servers"][0], other]));
    let config = put(config, "/resources/0/authorization_servers", json!(["https://other.example.com"]));
    let mut gate = gate(&config);
    let refused = outcome(present_at(&mut gate, 1, OPAQUE, NOW));
    assert_eq!(refused, Err(Refusal::Token(TokenError::Jws(JwsError::Parts(1)))));
    no_question(&mut gate, NOW);
}

#[test]
fn what_one_resource_learned_is_judged_anew_for_the_next() {
    let two = json!([{ "resource": RESOURCE }, { "resource": "https://mcp.example.com/other" }]);
    let mut gate = gate(&put(asking(), "/resources", two));
    let _ = present_at(&mut gate, 1, OPAQUE, NOW);
    assert_eq!(outcome(only(serve(&mut gate, &active(), NOW))), Ok(()));
    let authorization = format!("Bearer {OPAQUE}");
    let other = head("/other", &[("authorization", &authorization)]);
    let refused = outcome(ask_as(&mut gate, 2, &other, NOW));
    assert!(matches!(refused, Err(Refusal::Token(TokenError::Audience { .. }))), "{refused:?}");
    no_question(&mut gate, NOW);
}

#[test]
fn a_request_can_wait_for_keys_and_then_for_an_answer() {
    let config = put(remote_config(), "/authorization_servers/0/introspection", introspection());
    let config = put(config, "/authorization_servers/0/introspect", json!("always"));
    let mut gate = gate(&config);
    assert!(matches!(present_at(&mut gate, 1, &good_token(), NOW), Verdict::Hold));
    let metadata = json!({ "issuer": ISSUER, "jwks_uri": "https://idp.example.com/keys" });
    assert!(serve(&mut gate, &metadata, NOW).resumed.is_empty());
    assert!(serve(&mut gate, &jwks(&[jwk(1, "k1")]), NOW).resumed.is_empty(), "it waits again");
    assert_eq!(outcome(only(serve(&mut gate, &json!({ "active": true }), NOW))), Ok(()));
    no_question(&mut gate, NOW);
}

/// Without keys, a JWT is as opaque as any other token of its issuer.
#[test]
fn an_issuer_without_keys_is_asked_about_its_jwts() {
    let config = without(asking(), "/authorization_servers/0/jwks");
    let forged = sign_texts(9, &header().to_string(), &claims().to_string());
    assert_eq!(
        answered(&config, &forged, json_answer(b"{\"active\":false}")),
        Err(Refusal::Token(TokenError::Inactive))
    );
    let scope = holding(active(), "scope", json!("mcp:other"));
    let claimed = answered(&config, &good_token(), json_answer(scope.to_string().as_bytes()));
    assert!(matches!(claimed, Err(Refusal::InsufficientScope(_))), "the answer counts, not the token: {claimed:?}");
    assert_eq!(answered(&config, &good_token(), json_answer(active().to_string().as_bytes())), Ok(()));
    let mut gate = gate(&config);
    let foreign = sign(&header(), &with(claims(), "iss", json!("https://other.example.com")));
    assert!(matches!(outcome(present_at(&mut gate, 1, &foreign, NOW)), Err(Refusal::Token(TokenError::Issuer(_)))));
    no_question(&mut gate, NOW);
}

/// Where a token is looked up is told by its ends alone: whoever has one that begins and ends like another's must not pass for
/// its owner.
#[test]
fn tokens_that_differ_only_in_the_middle_are_two() {
    let [head, tail] = ["h".repeat(24), "t".repeat(24)];
    let token = |middle: &str| format!("{head}{middle}{tail}");
    let known = "m".repeat(17);
    let mut gate = gate(&asking());
    assert!(matches!(present_at(&mut gate, 1, &token(&known), NOW), Verdict::Hold));
    assert_eq!(outcome(only(serve(&mut gate, &active(), NOW))), Ok(()));
    let changed = (0..known.len()).map(|at| format!("{}x{}", &known[..at], &known[at + 1..]));
    let lengths = [String::new(), known[1..].to_owned(), format!("{known}m"), format!("{known}{known}")];
    for other in changed.chain(lengths) {
        let verdict = present_at(&mut gate, 2, &token(&other), NOW);
        assert!(matches!(verdict, Verdict::Hold), "`{other}`: {verdict:?}");
        assert!(outcome(only(serve(&mut gate, &json!({ "active": false }), NOW))).is_err(), "`{other}`");
        assert_eq!(outcome(present_at(&mut gate, 3, &token(&known), NOW)), Ok(()), "`{other}`");
    }
}

/// A clock that was ahead and is set right leaves no question open for as long.
#[test]
fn a_question_is_given_up_in_time_by_any_clock() {
    let mut gate = gate(&asking());
    assert!(matches!(present_at(&mut gate, 1, OPAQUE, later(5000)), Verdict::Hold));
    let fetch = next(&mut gate, later(5000));
    assert!(gate.awaits(fetch.id));
    assert!(gate.on_time(NOW).is_empty());
    assert!(gate.on_time(later(7)).is_empty(), "5 s to answer and 2 s of grace");
    let given_up: usize = gate.on_time(later(8)).into_iter().map(|outcome| outcome.resumed.len()).sum();
    assert_eq!((given_up, gate.awaits(fetch.id)), (1, false));
}
