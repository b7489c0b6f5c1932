//! Promise: what waits is bounded, and nothing waits for ever.

use mcp_oauth::{
    fetch::FetchError,
    flights::MAX_FLIGHTS,
    gate::{Gate, Verdict},
    introspection::IntrospectionError,
    refusal::Refusal,
    time::UnixTime,
};
use serde_json::json;

use super::{OPAQUE, active, asking, gate, introspection, later, next, no_question, only, present_at, serve};
use crate::support::{ISSUER, NOW, ask_as, head, outcome, put};

#[test]
fn as_many_questions_are_open_as_may_be() {
    let mut gate = gate(&asking());
    let most = u32::try_from(MAX_FLIGHTS).expect("small");
    for id in 0..most {
        assert!(matches!(present_at(&mut gate, id, &format!("token-{id}"), NOW), Verdict::Hold));
    }
    let refused = outcome(present_at(&mut gate, most, "one-more", NOW));
    assert_eq!(refused, Err(Refusal::Overloaded { held: MAX_FLIGHTS }));
    assert!(matches!(present_at(&mut gate, most, "token-1", NOW), Verdict::Hold), "one that is asked already");
    assert_eq!(outcome(only_first(&mut gate)), Ok(()));
    assert!(matches!(present_at(&mut gate, most + 1, "one-more", NOW), Verdict::Hold), "there is room again");
}

/// Whoever fills the questions to one issuer keeps nobody from asking another one.
#[test]
fn each_server_has_its_share_of_the_questions() {
    let other = json!({
        "issuer": "https://other.example.com",
        "introspection": put(introspection(), "/endpoint", json!("https://other.example.com/introspect")),
    });
    let config = put(asking(), "/authorization_servers", json!([asking()["authorization_servers"][0], other]));
    let resource = |path: &str, issuer: &str| json!({ "resource": format!("https://mcp.example.com/{path}"), "authorization_servers": [issuer] });
    let two = json!([resource("mcp", ISSUER), resource("other", "https://other.example.com")]);
    let mut gate = gate(&put(config, "/resources", two));
    let share = u32::try_from(MAX_FLIGHTS / 2).expect("small");
    for id in 0..share {
        assert!(matches!(present_at(&mut gate, id, &format!("token-{id}"), NOW), Verdict::Hold));
        // It is asked all the same when its client has left.
        gate.on_gone(id);
    }
    assert!(matches!(outcome(present_at(&mut gate, share, "more", NOW)), Err(Refusal::Overloaded { .. })));
    for id in 0..share {
        let authorization = format!("Bearer token-{id}");
        let lines = head("/other", &[("authorization", &authorization)]);
        assert!(matches!(ask_as(&mut gate, 1000 + id, &lines, NOW), Verdict::Hold), "{id}");
    }
}

/// Opaque tokens may all end alike.
#[test]
fn tokens_with_one_ending_are_remembered_beside_each_other() {
    let mut gate = gate(&asking());
    // As PASETOs with a key id in their footer are: they begin alike, too.
    let token = |number: u32| {
        let head = "v4.public.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlLmNvbSIs";
        format!("{head}{:0200}.{}", number.wrapping_mul(0x9E37_79B9), "constant-footer".repeat(4))
    };
    let tokens: Vec<String> = (0..50).map(token).collect();
    for (id, token) in (0..).zip(&tokens) {
        assert!(matches!(present_at(&mut gate, id, token, NOW), Verdict::Hold));
        assert_eq!(outcome(only(serve(&mut gate, &active(), NOW))), Ok(()));
    }
    for token in &tokens {
        assert_eq!(outcome(present_at(&mut gate, 1, token, NOW)), Ok(()));
    }
}

fn only_first(gate: &mut Gate) -> Verdict {
    only(serve(gate, &active(), NOW))
}

/// A client that leaves takes nothing along: the answer is remembered for the next.
#[test]
fn an_answer_for_nobody_is_remembered() {
    let mut gate = gate(&asking());
    let _ = present_at(&mut gate, 1, OPAQUE, NOW);
    gate.on_gone(1);
    assert!(serve(&mut gate, &active(), NOW).resumed.is_empty());
    assert_eq!(outcome(present_at(&mut gate, 2, OPAQUE, NOW)), Ok(()));
}

#[test]
fn a_question_whose_end_is_never_reported_is_given_up() {
    let mut gate = gate(&asking());
    let _ = present_at(&mut gate, 1, OPAQUE, NOW);
    assert_eq!(gate.next_call(), Some(UnixTime(0)), "at once, to be sent");
    let lost = next(&mut gate, NOW);
    assert_eq!(gate.next_call(), Some(later(8)), "5 s to answer, 2 s of grace, and it is over");
    assert!(gate.on_time(later(7)).is_empty());
    let mut outcomes = gate.on_time(later(8));
    let error = IntrospectionError::Fetch(FetchError::Forgotten);
    let refused = outcome(only(outcomes.remove(0)));
    assert_eq!(refused, Err(Refusal::IntrospectionUnavailable { issuer: ISSUER.to_owned(), error }));
    assert!(!gate.awaits(lost.id));
    assert_eq!(gate.next_call(), None);
}

#[test]
fn a_clock_that_is_set_back_moves_nothing_into_the_distance() {
    let mut gate = gate(&asking());
    let ahead = later(1_000_000);
    let _ = present_at(&mut gate, 1, OPAQUE, ahead);
    let _lost = next(&mut gate, ahead);
    no_question(&mut gate, NOW);
    assert_eq!(gate.next_call(), Some(later(8)));
    assert_eq!(gate.on_time(later(8)).len(), 1);

    let _ = present_at(&mut gate, 2, OPAQUE, ahead);
    let _ = serve(&mut gate, &json!({ "active": false }), ahead);
    assert!(
        matches!(present_at(&mut gate, 3, OPAQUE, NOW), Verdict::Hold),
        "the brief memory of a wrong clock is gone"
    );
}

#[test]
fn without_a_cache_every_request_is_asked_about() {
    let mut gate = gate(&put(asking(), "/token_cache", json!({ "max_entries": 0 })));
    for id in 1..=3 {
        assert!(matches!(present_at(&mut gate, id, OPAQUE, NOW), Verdict::Hold));
        assert_eq!(outcome(only(serve(&mut gate, &active(), NOW))), Ok(()));
    }
}
