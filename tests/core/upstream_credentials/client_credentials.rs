//! RFC 6749 section 4.4: one token of the gate's own for all, fetched once, renewed before it ends.

use mcp_oauth::{refusal::Refusal, upstream_credential::TokenEndpointError};
use serde_json::json;

use super::{
    TOKEN_ENDPOINT, answer, authorization, but, client_credentials, gate, held, issued, later, next, no_question, only,
    send_at, serve, with_credential,
};
use crate::support::{NOW, claims, good_token, header, outcome, sign, with};

fn token_of(subject: &str) -> String {
    sign(&header(), &with(with(claims(), "sub", json!(subject)), "exp", json!(NOW.0 + 100_000)))
}

fn failed(status: &str, error: &str) -> Refusal {
    let error = TokenEndpointError::Refused { status: status.to_owned(), error: error.to_owned() };
    Refusal::UpstreamCredentialRefused { endpoint: TOKEN_ENDPOINT.to_owned(), error }
}

#[test]
fn the_question_names_no_caller() {
    let mut one = gate(&with_credential(&but(&client_credentials(), "scopes", json!(["up:read"]))));
    held(send_at(&mut one, 1, &good_token(), &[], NOW));
    let post = next(&mut one, NOW).post.expect("a form");
    assert_eq!(
        post.form.expose(),
        "grant_type=client_credentials&audience=https%3A%2F%2Fupstream.internal&scope=up%3Aread"
    );
    assert!(post.authorization.expect("credentials").expose().starts_with("Basic "));
}

#[test]
fn one_token_serves_everybody() {
    let mut gate = gate(&with_credential(&client_credentials()));
    for (id, subject) in (1..).zip(["alice", "bob", "carol"]) {
        held(send_at(&mut gate, id, &token_of(subject), &[], NOW));
    }
    let resumed = serve(&mut gate, "200", &issued("own", 3600), NOW).resumed;
    assert_eq!(resumed.len(), 3);
    for resumed in resumed {
        assert_eq!(authorization(resumed.verdict), ["Bearer own"]);
    }
    assert_eq!(authorization(send_at(&mut gate, 9, &token_of("dave"), &[], later(60))), ["Bearer own"]);
    no_question(&mut gate, later(60));
}

#[test]
fn nobody_is_asked_for_a_request_that_is_refused() {
    let unscoped = sign(&header(), &with(claims(), "scope", json!("other")));
    let mut gate = gate(&with_credential(&client_credentials()));
    let refused = outcome(send_at(&mut gate, 1, &unscoped, &[], NOW));
    assert!(matches!(refused, Err(Refusal::InsufficientScope { .. })), "{refused:?}");
    no_question(&mut gate, NOW);
    held(send_at(&mut gate, 2, &good_token(), &[], NOW));
}

/// Nobody waits for the second one, and a failure to get it changes nothing while the first one lasts.
#[test]
fn it_is_renewed_before_it_ends() {
    let token = token_of("alice");
    let mut gate = gate(&with_credential(&client_credentials()));
    held(send_at(&mut gate, 1, &token, &[], NOW));
    let _ = only(serve(&mut gate, "200", &issued("first", 1010), NOW));
    assert_eq!(authorization(send_at(&mut gate, 2, &token, &[], later(899))), ["Bearer first"]);
    assert!(!gate.wants_fetch());
    no_question(&mut gate, later(899));
    for id in 3..6 {
        assert_eq!(authorization(send_at(&mut gate, id, &token, &[], later(900))), ["Bearer first"]);
    }
    assert!(gate.wants_fetch());
    assert!(serve(&mut gate, "500", "", later(900)).resumed.is_empty());
    assert!(!gate.wants_fetch());
    assert_eq!(authorization(send_at(&mut gate, 6, &token, &[], later(900))), ["Bearer first"]);
    no_question(&mut gate, later(900));
    assert_eq!(authorization(send_at(&mut gate, 7, &token, &[], later(901))), ["Bearer first"]);
    assert!(serve(&mut gate, "200", &issued("second", 1010), later(901)).resumed.is_empty());
    assert_eq!(authorization(send_at(&mut gate, 8, &token, &[], later(901))), ["Bearer second"]);
    // It is over where nobody asked in time.
    held(send_at(&mut gate, 9, &token, &[], later(901 + 1000)));
    let refusal = outcome(only(serve(&mut gate, "401", r#"{"error":"invalid_client"}"#, later(1901))));
    assert_eq!(refusal, Err(failed("401", "invalid_client")), "never the old one");
    assert_eq!(outcome(send_at(&mut gate, 10, &token, &[], later(1901))), refusal, "nor is it asked for at once");
    no_question(&mut gate, later(1901));
}

/// No caller can be to blame for it, whatever the code is.
#[test]
fn the_operator_is_told_of_every_refusal() {
    for error in ["invalid_client", "invalid_grant", "invalid_request", "temporarily_overloaded"] {
        let mut gate = gate(&with_credential(&client_credentials()));
        held(send_at(&mut gate, 1, &good_token(), &[], NOW));
        let body = json!({ "error": error }).to_string();
        let told = serve(&mut gate, "400", &body, NOW).remote.map(|event| event.to_string());
        let expected = format!("refused with `400`, `{error}`; requests that need it");
        assert!(told.as_ref().is_some_and(|told| told.contains(&expected)), "{told:?}");
    }
}

/// What the endpoint gives is mostly what it keeps itself: near its end it says so again.
#[test]
fn a_token_that_lasts_no_longer_does_not_replace_it() {
    let token = token_of("alice");
    for (renewed, at_1005, at_1009) in [(5, "first", "first"), (110, "second", "second")] {
        let mut gate = gate(&with_credential(&client_credentials()));
        held(send_at(&mut gate, 1, &token, &[], NOW));
        let _ = only(serve(&mut gate, "200", &issued("first", 1020), NOW));
        assert_eq!(authorization(send_at(&mut gate, 2, &token, &[], later(1000))), ["Bearer first"]);
        assert!(serve(&mut gate, "200", &issued("second", renewed), later(1000)).resumed.is_empty());
        for (at, expected) in [(1005, at_1005), (1009, at_1009)] {
            let (id, expected) = (u32::try_from(at).expect("small"), format!("Bearer {expected}"));
            assert_eq!(authorization(send_at(&mut gate, id, &token, &[], later(at))), [expected], "{renewed} at {at}");
        }
    }
}

/// An endpoint that gives the same token until its end is asked again before that, and nobody waits.
#[test]
fn the_same_token_is_asked_for_again_before_it_ends() {
    let token = token_of("alice");
    let mut gate = gate(&with_credential(&client_credentials()));
    held(send_at(&mut gate, 1, &token, &[], NOW));
    let _ = only(serve(&mut gate, "200", &issued("same", 1010), NOW));
    assert_eq!(authorization(send_at(&mut gate, 2, &token, &[], later(900))), ["Bearer same"]);
    assert!(serve(&mut gate, "200", &issued("same", 110), later(900)).resumed.is_empty());
    no_question(&mut gate, later(989));
    assert_eq!(authorization(send_at(&mut gate, 3, &token, &[], later(990))), ["Bearer same"]);
    assert!(serve(&mut gate, "200", &issued("next", 1010), later(990)).resumed.is_empty());
    assert_eq!(authorization(send_at(&mut gate, 4, &token, &[], later(990))), ["Bearer next"]);
}

#[test]
fn a_failure_is_not_repeated_by_every_request() {
    for (status, body, pause) in [("500", "", 1), ("400", r#"{"error":"invalid_scope"}"#, 10)] {
        let mut gate = gate(&with_credential(&client_credentials()));
        held(send_at(&mut gate, 1, &good_token(), &[], NOW));
        let first = outcome(only(serve(&mut gate, status, body, NOW)));
        assert!(first.is_err());
        assert_eq!(outcome(send_at(&mut gate, 2, &good_token(), &[], later(pause - 1))), first);
        no_question(&mut gate, later(pause - 1));
        held(send_at(&mut gate, 3, &good_token(), &[], later(pause)));
        let fetch = next(&mut gate, later(pause));
        assert_eq!(
            authorization(only(gate.on_answer(fetch.id, answer("200", &issued("own", 60)), later(pause)))),
            ["Bearer own"]
        );
    }
}

#[test]
fn a_clock_that_is_set_back_forgets_it() {
    let token = sign(&header(), &with(claims(), "exp", json!(NOW.0 + 100_000)));
    let mut gate = gate(&with_credential(&client_credentials()));
    held(send_at(&mut gate, 1, &token, &[], later(5000)));
    let _ = only(serve(&mut gate, "200", &issued("ahead", 3600), later(5000)));
    held(send_at(&mut gate, 2, &token, &[], later(4000)));
    assert_eq!(authorization(only(serve(&mut gate, "200", &issued("right", 3600), later(4000)))), ["Bearer right"]);
}

/// The same answer, where `issued_token_type` is not needed.
#[test]
fn an_answer_needs_no_issued_token_type() {
    let mut gate = gate(&with_credential(&client_credentials()));
    held(send_at(&mut gate, 1, &good_token(), &[], NOW));
    let body = r#"{"access_token":"own","token_type":"bearer","expires_in":60}"#;
    assert_eq!(authorization(only(serve(&mut gate, "200", body, NOW))), ["Bearer own"]);
}
