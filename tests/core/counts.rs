//! What is counted besides requests, told once; hits of the token cache at most every ten seconds.

use mcp_oauth::{
    fetch::Answer,
    gate::{Gate, Verdict},
    metrics::COUNTERS,
    time::UnixTime,
};

use crate::support::{NOW, ask_as, gate, good_token, head, inline_config, outcome, remote_config};

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
    assert_eq!(told(&mut gate, UnixTime(NOW.0 + 9)), []);
    assert_eq!(told(&mut gate, UnixTime(NOW.0 + 10)), [("mcp_oauth.token_cache.hit", 1)]);
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
