//! RFC 9449 section 11.1: a proof counts once, whatever the clock does, and what is forgotten opens nothing.

use std::collections::BTreeSet;

use core::time::Duration;

use mcp_oauth::{
    confirmation::Thumbprint,
    dpop::{ProofError, Replay, ReplayLimits},
    time::UnixTime,
};
use proptest::{collection::vec, prelude::*};
use serde_json::json;

use super::{
    bound_token, config, dpop_gate, good_proof, not_proved, proof_claims, proof_header, proof_of, show, sign_proof,
};
use crate::{
    properties::cases,
    support::{NOW, gate, outcome, put, with},
};

const WINDOW: u64 = 100;

fn at(seconds: u64) -> UnixTime {
    UnixTime(1000 + seconds)
}

fn holder(number: u8) -> Thumbprint {
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": format!("{number}") });
    Thumbprint::of_jwk(key.to_string().as_bytes()).expect("a key")
}

fn bounded(buckets: usize, proofs_of_bucket: usize, proofs: usize) -> Replay {
    Replay::new(Duration::from_secs(WINDOW), ReplayLimits { buckets, proofs_of_bucket, proofs })
}

#[test]
fn a_proof_counts_once() {
    let (mut gate, token) = (dpop_gate(), bound_token());
    let proof = good_proof(&token);
    assert_eq!(outcome(show(&mut gate, &token, &proof, NOW)), Ok(()));
    assert_eq!(outcome(show(&mut gate, &token, &proof, NOW)), not_proved(ProofError::Replayed));
    // Signed anew it is the same.
    let later = UnixTime(NOW.0 + 5);
    assert_eq!(outcome(show(&mut gate, &token, &good_proof(&token), later)), not_proved(ProofError::Replayed));
    for (name, other) in
        [("another id", proof_of(&token, "p2", NOW)), ("the same id of another time", proof_of(&token, "p1", later))]
    {
        assert_eq!(outcome(show(&mut gate, &token, &other, later)), Ok(()), "{name}");
    }
}

/// Whoever sees a proof that failed cannot use its id up, and neither can one that made it fail.
#[test]
fn a_proof_that_fails_is_not_remembered() {
    let (mut gate, token) = (dpop_gate(), bound_token());
    let wrong = sign_proof(&proof_header(), &with(proof_claims(&token), "htm", json!("GET")));
    assert_eq!(outcome(show(&mut gate, &token, &wrong, NOW)), not_proved(ProofError::OtherUse("htm")));
    let forged = crate::support::sign_texts(6, &proof_header().to_string(), &proof_claims(&token).to_string());
    assert_eq!(outcome(show(&mut gate, &token, &forged, NOW)), not_proved(ProofError::Signature));
    assert_eq!(outcome(show(&mut gate, &token, &good_proof(&token), NOW)), Ok(()));
}

#[test]
fn a_clock_that_is_set_back_brings_no_proof_back() {
    let (mut gate, token) = (dpop_gate(), bound_token());
    let proof = good_proof(&token);
    assert_eq!(outcome(show(&mut gate, &token, &proof, NOW)), Ok(()));
    for seconds in [400, 10_000] {
        let token = bound_token();
        let later = UnixTime(NOW.0 + seconds);
        // The token has expired by then, so this only moves the clock.
        assert!(outcome(show(&mut gate, &token, &proof_of(&token, "x", later), later)).is_err());
        assert_eq!(outcome(show(&mut gate, &token, &proof, NOW)), not_proved(ProofError::Replayed), "{seconds}");
        assert_eq!(outcome(show(&mut gate, &token, &proof_of(&token, &format!("{seconds}"), NOW), NOW)), Ok(()));
    }
}

/// A longer window of another resource must not be cut short: its proofs are remembered for as long.
#[test]
fn the_longest_window_counts_for_all() {
    let settings = |max_age: &str| json!({ "max_age": max_age });
    let config = put(config(), "/resources/0/dpop", settings("200s"));
    let mut other = config["resources"][0].clone();
    other["resource"] = json!("https://mcp.example.com/other");
    other["dpop"] = settings("10s");
    let mut config = config;
    config["resources"].as_array_mut().expect("a list").push(other);
    let (mut gate, token) = (gate(&config), bound_token());
    let proof = good_proof(&token);
    assert_eq!(outcome(show(&mut gate, &token, &proof, NOW)), Ok(()));
    let later = UnixTime(NOW.0 + 150);
    assert_eq!(outcome(show(&mut gate, &token, &proof, later)), not_proved(ProofError::Replayed));
}

#[test]
fn a_holder_who_sends_more_than_is_remembered_shuts_out_nobody_else() {
    let mut replay = bounded(64, 4, 64);
    assert_eq!(replay.admit(holder(1), "quiet", at(0), at(0)), Ok(()));
    for second in 1..50 {
        let id = format!("{second}");
        assert_eq!(replay.admit(holder(2), &id, at(second), at(second)), Ok(()), "made just now: {second}");
    }
    // What was forgotten is refused, used or not.
    for id in ["1", "40", "never used"] {
        assert_eq!(replay.admit(holder(2), id, at(40), at(50)), Err(ProofError::Forgotten), "{id}");
    }
    assert_eq!(replay.admit(holder(2), "49", at(49), at(50)), Err(ProofError::Replayed));
    // The other one may be as slow as before.
    assert_eq!(replay.admit(holder(1), "quiet", at(0), at(50)), Err(ProofError::Replayed));
    assert_eq!(replay.admit(holder(1), "slow", at(1), at(50)), Ok(()));
    assert_eq!(replay.admit(holder(3), "new", at(1), at(50)), Ok(()));
}

#[test]
fn within_one_second_no_more_than_is_remembered() {
    let mut replay = bounded(64, 4, 64);
    for id in ["1", "2", "3", "4"] {
        assert_eq!(replay.admit(holder(1), id, at(0), at(0)), Ok(()), "{id}");
    }
    assert_eq!(replay.admit(holder(1), "5", at(0), at(0)), Err(ProofError::Forgotten));
    assert_eq!(replay.admit(holder(1), "1", at(0), at(0)), Err(ProofError::Forgotten));
    assert_eq!(replay.admit(holder(2), "5", at(0), at(0)), Ok(()));
    assert_eq!(replay.admit(holder(1), "5", at(1), at(1)), Ok(()));
}

/// Room for all is taken from whoever has most of it.
#[test]
fn room_for_all_is_made_by_the_busiest() {
    let mut replay = bounded(64, 100, 10);
    for second in 0..8 {
        assert_eq!(replay.admit(holder(1), &format!("{second}"), at(second), at(second)), Ok(()));
    }
    for id in ["a", "b", "c"] {
        assert_eq!(replay.admit(holder(2), id, at(0), at(8)), Ok(()), "{id}");
    }
    for id in ["a", "b", "c"] {
        assert_eq!(replay.admit(holder(2), id, at(0), at(8)), Err(ProofError::Replayed), "{id}");
    }
    assert_eq!(replay.admit(holder(1), "0", at(0), at(8)), Err(ProofError::Forgotten));
    assert_eq!(replay.admit(holder(1), "7", at(7), at(8)), Err(ProofError::Replayed));
    assert_eq!(replay.admit(holder(1), "8", at(8), at(8)), Ok(()));
}

/// Two keys of one bucket are two keys; what one of them makes it forget, it forgets of both.
#[test]
fn keys_that_share_a_bucket() {
    let mut replay = bounded(1, 4, 64);
    assert_eq!(replay.admit(holder(1), "x", at(0), at(0)), Ok(()));
    assert_eq!(replay.admit(holder(2), "x", at(0), at(0)), Ok(()));
    for second in 1..20 {
        assert_eq!(replay.admit(holder(2), "x", at(second), at(second)), Ok(()), "{second}");
    }
    assert_eq!(replay.admit(holder(1), "x", at(0), at(20)), Err(ProofError::Forgotten));
    assert_eq!(replay.admit(holder(1), "y", at(0), at(20)), Err(ProofError::Forgotten));
    assert_eq!(replay.admit(holder(1), "y", at(20), at(20)), Ok(()));
}

/// Proofs from the future, as far as a clock may be ahead, leave no time behind that others would have to wait for, not even
/// in the same bucket, and not if many keys send them.
#[test]
fn the_future_does_not_shut_out_the_present() {
    for (buckets, each, all) in [(1, 8, 64), (64, 64, 8), (1, 8, 8)] {
        let mut replay = bounded(buckets, each, all);
        let mut admitted = 0;
        for number in 0..40 {
            let ahead = replay.admit(holder(number), "x", at(u64::from(number) + 30), at(u64::from(number)));
            admitted += u32::from(ahead.is_ok());
            let now = at(u64::from(number));
            assert_eq!(replay.admit(holder(100), &format!("{number}"), now, now), Ok(()), "{number}, {buckets}");
        }
        assert!((2..20).contains(&admitted), "{admitted}");
    }
}

/// What is too old to count takes no room from what does.
#[test]
fn the_old_make_room_first() {
    let mut replay = bounded(64, 4, 4);
    for number in 0..4 {
        assert_eq!(replay.admit(holder(number), "x", at(0), at(0)), Ok(()));
    }
    let later = WINDOW + 1;
    assert_eq!(replay.admit(holder(9), "x", at(later), at(later)), Ok(()));
    assert_eq!(replay.admit(holder(0), "slow", at(1), at(later)), Ok(()), "only the oldest time was left behind");
    assert_eq!(replay.admit(holder(0), "x", at(0), at(0)), Err(ProofError::Forgotten), "with the clock set back");
}

/// README says how many are remembered and for how long: a client whose clock is a second ahead is within that for good.
/// Neither a second too early, nor anything of the second after those that make room.
#[test]
fn what_is_not_too_old_is_remembered() {
    let mut replay = bounded(1, 4, 100);
    for (id, made) in [("a", 0), ("b", 0)] {
        assert_eq!(replay.admit(holder(1), id, at(made), at(1)), Ok(()), "{id}");
    }
    assert_eq!(replay.admit(holder(1), "c", at(0), at(WINDOW)), Ok(()), "as old as it may be");
    let mut replay = bounded(1, 4, 100);
    for (id, made) in [("a", 0), ("b", 0), ("c", 1), ("d", 1), ("e", 2)] {
        assert_eq!(replay.admit(holder(1), id, at(made), at(2)), Ok(()), "{id}");
    }
    for (id, made, error) in
        [("a", 0, ProofError::Forgotten), ("c", 1, ProofError::Replayed), ("d", 1, ProofError::Replayed)]
    {
        assert_eq!(replay.admit(holder(1), id, at(made), at(2)), Err(error), "{id}");
    }
}

#[test]
fn a_client_whose_clock_is_ahead_is_served_for_good() {
    let mut replay = Replay::new(Duration::from_secs(330), ReplayLimits::default());
    for second in 0..5000 {
        assert_eq!(replay.admit(holder(1), &format!("{second}"), at(second + 1), at(second)), Ok(()), "{second}");
    }
    assert_eq!(replay.admit(holder(1), "4999", at(5000), at(5000)), Err(ProofError::Replayed));
}

/// Many of them, none of whom comes near to what a bucket holds: all together are within what is remembered.
#[test]
fn all_clients_may_be_ahead_for_good() {
    let most = usize::try_from(2 * (WINDOW + 3)).expect("a small number");
    let mut replay = bounded(64, most, most);
    for second in 0..10 * WINDOW {
        let (holder, id) = (holder(u8::try_from(second % 200).expect("a small number")), format!("{second}"));
        assert_eq!(replay.admit(holder, &id, at(second + 1), at(second)), Ok(()), "{second}");
        assert_eq!(replay.admit(holder, &id, at(second + 1), at(second)), Err(ProofError::Replayed), "{second}");
    }
}

/// Neither of one key nor of all: whatever left because it was too old stays out when the clock is set back.
#[test]
fn what_left_for_its_age_is_not_admitted_again() {
    for (each, all) in [(4, 64), (64, 4)] {
        let mut replay = bounded(64, each, all);
        for id in ["1", "2", "3"] {
            assert_eq!(replay.admit(holder(1), id, at(5), at(5)), Ok(()));
        }
        let later = at(5 + WINDOW + 1);
        assert_eq!(replay.admit(holder(1), "4", later, later), Ok(()));
        for id in ["1", "2", "3", "never used"] {
            assert_eq!(replay.admit(holder(1), id, at(5), at(5)), Err(ProofError::Forgotten), "{id}, {each}");
        }
        assert_eq!(replay.admit(holder(1), "1", at(6), at(6)), Ok(()), "only what is as old is shut out");
    }
}

/// A clock that was ahead, and a bucket that is full of what was made then: closed, until that time has come.
#[test]
fn what_was_made_by_a_clock_that_was_ahead_is_kept() {
    let mut replay = bounded(1, 4, 64);
    for id in ["1", "2", "3", "4"] {
        assert_eq!(replay.admit(holder(1), id, at(1000), at(1000)), Ok(()));
    }
    assert_eq!(replay.admit(holder(1), "5", at(0), at(0)), Err(ProofError::Forgotten));
    assert_eq!(replay.admit(holder(1), "1", at(1000), at(990)), Err(ProofError::Replayed));
    assert_eq!(replay.admit(holder(1), "6", at(1001), at(1001)), Ok(()));
}

#[derive(Clone, Debug)]
struct Use {
    holder: u8,
    id: u8,
    made: u64,
    now: u64,
}

fn uses() -> impl Strategy<Value = Vec<Use>> {
    let one = (0..6u8, 0..4u8, 0..300u64, 0..300u64);
    vec(one.prop_map(|(holder, id, made, now)| Use { holder, id, made, now }), 0..200)
}

proptest! {
    #![proptest_config(cases(512))]

    /// In any order of times, with however little room.
    #[test]
    fn no_proof_is_admitted_twice(uses in uses(), buckets in 1..5usize, each in 1..6usize, all in 1..12usize) {
        let mut replay = bounded(buckets, each, all);
        let mut admitted = BTreeSet::new();
        for Use { holder: number, id, made, now } in uses {
            if replay.admit(holder(number), &format!("{id}"), at(made), at(now)).is_ok() {
                prop_assert!(admitted.insert((number, id, made)), "{number} {id} {made}");
            }
        }
    }

    /// With room enough, whatever was not used before counts.
    #[test]
    fn with_room_enough_every_new_proof_is_admitted(uses in uses()) {
        let mut replay = bounded(4, 1000, 1000);
        let mut admitted = BTreeSet::new();
        for Use { holder: number, id, made, now } in uses {
            let is_new = admitted.insert((number, id, made));
            let expected = if is_new { Ok(()) } else { Err(ProofError::Replayed) };
            prop_assert_eq!(replay.admit(holder(number), &format!("{id}"), at(made), at(now)), expected);
        }
    }
}
