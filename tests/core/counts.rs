//! What is counted besides requests, told once; hits of the token cache at most every ten seconds.

use mcp_oauth::{
    fetch::Answer,
    gate::{Gate, Verdict},
    metrics::{COUNTERS, Outcome, reason_counter},
    time::UnixTime,
};

use serde_json::json;

use crate::support::{
    ISSUER, NOW, RESOURCE, ask_as, gate, good_token, head, inline_config, outcome, remote_config, with,
};

/// What is not 0.
fn told(gate: &mut Gate, now: UnixTime) -> Vec<(&'static str, u64)> {
    COUNTERS.into_iter().zip(gate.take_counts(now)).filter(|(_, count)| *count > 0).collect()
}

fn present(gate: &mut Gate) -> Verdict {
    let authorization = format!("Bearer {}", good_token());
    ask_as(gate, 1, &head("/mcp", &[("authorization", &authorization)]), NOW)
}

#[test]
fn tokens_that_were_remembered_or_not() {
    let mut gate = gate(&inline_config());
    (0..3).for_each(|_| assert_eq!(outcome(present(&mut gate)), Ok(())));
    // Nobody's host checks signatures here.
    let fallback = ("mcp_oauth.verify_signature_fallback", 1);
    let at_once = [fallback, ("mcp_oauth.token_cache.hit", 2), ("mcp_oauth.token_cache.miss", 1)];
    assert_eq!(told(&mut gate, NOW), at_once);
    assert_eq!(told(&mut gate, NOW), []);
    assert_eq!(outcome(present(&mut gate)), Ok(()));
    assert_eq!(told(&mut gate, NOW), []);
    assert_eq!(told(&mut gate, UnixTime(NOW.0 + 9)), []);
    assert_eq!(told(&mut gate, UnixTime(NOW.0 + 10)), [("mcp_oauth.token_cache.hit", 1)]);
}

#[test]
fn a_clock_that_is_set_back_keeps_no_counts() {
    let mut gate = gate(&inline_config());
    assert_eq!(told(&mut gate, UnixTime(NOW.0 + 1000)), []);
    (0..2).for_each(|_| assert_eq!(outcome(present(&mut gate)), Ok(())));
    assert!(told(&mut gate, NOW).contains(&("mcp_oauth.token_cache.hit", 1)));
}

/// The counter of a decision about the resource at this place, with as many resources as there are.
fn counter(metrics: &str, resources: &[&str], place: Option<usize>) -> Option<String> {
    let of = |uri: &&str| with(inline_config()["resources"][0].clone(), "resource", json!(uri));
    let config = with(inline_config(), "resources", resources.iter().map(of).collect());
    let gate = gate(&with(config, "request_metrics", json!(metrics)));
    gate.policy().counted_as(place).map(|counted| gate.policy().requests_counter(Outcome::Allow, counted))
}

#[test]
fn requests_are_counted_together_by_resource_or_not_at_all() {
    let two = ["https://mcp.example.com/mcp", "https://mcp.example.com/a-b/"];
    let many: Vec<String> = (0..202).map(|number| format!("https://mcp.example.com/{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let (two, many) = (&two[..], &many[..]);
    let rows = [
        ("off", two, Some(0), None),
        ("off", two, None, None),
        ("total", two, Some(1), Some("")),
        ("total", two, None, Some("")),
        ("per_resource", two, None, Some(".resource.none")),
        ("per_resource", two, Some(0), Some(".resource.mcp_example_com_mcp")),
        ("per_resource", two, Some(1), Some(".resource.mcp_example_com_a_b")),
        ("per_resource", many, Some(199), Some(".resource.mcp_example_com_199")),
        ("per_resource", many, Some(200), Some(".resource.other")),
        ("per_resource", many, Some(201), Some(".resource.other")),
        ("per_resource", two, Some(9), Some(".resource.other")),
    ];
    for (metrics, resources, place, expected) in rows {
        let expected = expected.map(|rest| format!("mcp_oauth.requests.allow{rest}"));
        assert_eq!(counter(metrics, resources, place), expected, "{metrics}, {place:?}");
    }
    let policy = gate(&inline_config());
    assert_eq!(policy.policy().keys_gauge(ISSUER), "mcp_oauth.keys_fetched_at.issuer.idp_example_com");
}

#[test]
fn a_decision_names_its_resource() {
    let resource = |path: &str| {
        let first = with(inline_config()["resources"][0].clone(), "audiences", json!([RESOURCE]));
        with(first, "resource", json!(format!("https://mcp.example.com{path}")))
    };
    let paths = ["/mcp", "/second", "/third"];
    let mut gate = gate(&with(inline_config(), "resources", paths.map(resource).into_iter().collect()));
    let authorization = format!("Bearer {}", good_token());
    for (index, path) in paths.into_iter().enumerate() {
        let Verdict::Reply(refused) = ask_as(&mut gate, 1, &head(path, &[]), NOW) else { panic!("{path}: no reply") };
        let good = head(path, &[("authorization", &authorization)]);
        let Verdict::Forward(allowed) = ask_as(&mut gate, 1, &good, NOW) else { panic!("{path}: not forwarded") };
        let decisions = [refused.decision(), allowed.decision()].map(|decision| (decision.outcome, decision.resource));
        assert_eq!(decisions, [(Outcome::Deny, Some(index)), (Outcome::Allow, Some(index))], "{path}");
    }
}

#[test]
fn refusals_are_counted_by_reason() {
    let reason = "mcp_oauth_token_expired";
    let rows = [
        (Outcome::Deny, "deny", Some("mcp_oauth.denied.token_expired")),
        (Outcome::Report, "report", Some("mcp_oauth.reported.token_expired")),
        (Outcome::Allow, "allow", None),
        (Outcome::Answer, "answer", None),
    ];
    for (outcome, name, expected) in rows {
        assert_eq!((outcome.as_str(), reason_counter(outcome, reason).as_deref()), (name, expected));
    }
}

#[test]
fn fetches_of_keys_and_those_that_brought_none() {
    let mut gate = gate(&remote_config());
    assert!(matches!(present(&mut gate), Verdict::Hold));
    let fetch = gate.poll_fetch(NOW).expect("a fetch");
    assert_eq!(told(&mut gate, NOW), [("mcp_oauth.token_cache.miss", 1), ("mcp_oauth.fetches.keys", 1)]);
    drop(gate.on_answer(fetch.id, Answer::NoResponse, NOW));
    assert_eq!(told(&mut gate, NOW), [("mcp_oauth.fetch_failures.keys", 1)]);
}

#[test]
fn requests_that_wait() {
    let mut gate = gate(&remote_config());
    assert_eq!(gate.held(), 0);
    let authorization = format!("Bearer {}", good_token());
    for id in 1..=2_u32 {
        let verdict = ask_as(&mut gate, id, &head("/mcp", &[("authorization", &authorization)]), NOW);
        assert!(matches!(verdict, Verdict::Hold));
        assert_eq!(gate.held(), id as usize);
    }
    gate.on_gone(1);
    assert_eq!(gate.held(), 1);
}
