//! A clock that was ahead and is set right: nothing that was planned by it stays as far ahead.

use mcp_oauth::{
    gate::{Gate, Verdict},
    time::UnixTime,
};
use serde_json::json;

use super::{fail, json_answer, metadata, next, present_as, serve, token};
use crate::support::{NOW, gate, jwk, jwks, put, remote_config};

/// The shortest `keys_max_age`, which has no tenth to spread refreshes over.
const REFRESH: u64 = 10;

const COLD: fn(UnixTime) -> Gate =
    |_| gate(&put(remote_config(), "/authorization_servers/0/keys_max_age", json!(format!("{REFRESH}s"))));

const READY: fn(UnixTime) -> Gate = |now| {
    let mut gate = COLD(now);
    serve(&mut gate, &metadata(), now);
    serve(&mut gate, &jwks(&[jwk(1, "k1")]), now);
    gate
};

struct Case {
    name: &'static str,
    /// What happens by the wrong clock, and how many seconds that takes.
    ahead: fn(UnixTime) -> (Gate, u64),
    /// The first call by the right clock.
    notice: fn(&mut Gate, UnixTime),
    /// Something that comes about so many seconds after the beginning, and no sooner.
    due_after: u64,
    is_due: fn(&mut Gate, UnixTime) -> bool,
}

const BY_TIME: fn(&mut Gate, UnixTime) = |gate, now| assert!(gate.on_time(now).is_empty());
const BY_FETCH: fn(&mut Gate, UnixTime) = |gate, now| assert!(gate.poll_fetch(now).is_none());
const BY_REQUEST: fn(&mut Gate, UnixTime) =
    |gate, now| assert!(matches!(present_as(gate, 9, &token(1, "k1"), now), Verdict::Forward(_)));

const CASES: [Case; 6] = [
    Case {
        name: "absent: the pause after a failure",
        ahead: |now| {
            let mut gate = COLD(now);
            for after in [0, 1] {
                fail(&mut gate, UnixTime(now.0 + after));
            }
            (gate, 1)
        },
        notice: BY_FETCH,
        due_after: 1 + 2,
        is_due: |gate, now| gate.poll_fetch(now).is_some(),
    },
    Case {
        name: "fetching: the end of a fetch that the host forgot",
        ahead: |now| {
            let mut gate = COLD(now);
            let _ = next(&mut gate, now);
            (gate, 0)
        },
        notice: BY_TIME,
        due_after: 8,
        is_due: |gate, now| !gate.on_time(now).is_empty(),
    },
    Case {
        name: "ready: the cooldown after an unknown kid",
        ahead: |now| {
            let mut gate = READY(now);
            assert!(matches!(present_as(&mut gate, 1, &token(3, "k3"), now), Verdict::Hold));
            serve(&mut gate, &jwks(&[jwk(1, "k1")]), now);
            (gate, 0)
        },
        notice: BY_REQUEST,
        due_after: 30,
        is_due: |gate, now| matches!(present_as(gate, 1, &token(2, "k2"), now), Verdict::Hold),
    },
    Case {
        name: "ready: the refresh",
        ahead: |now| (READY(now), 0),
        notice: BY_FETCH,
        due_after: REFRESH,
        is_due: |gate, now| gate.poll_fetch(now).is_some(),
    },
    Case {
        name: "ready: the end of old keys",
        ahead: |now| (READY(now), 0),
        notice: BY_REQUEST,
        due_after: 3600,
        is_due: |gate, now| !matches!(present_as(gate, 1, &token(1, "k1"), now), Verdict::Forward(_)),
    },
    Case {
        name: "ready: the age of the metadata",
        ahead: |now| (READY(now), 0),
        notice: BY_TIME,
        due_after: 3600,
        is_due: |gate, now| next(gate, now).uri.as_str().contains("/.well-known/"),
    },
];

#[test]
fn what_was_planned_by_a_clock_that_was_ahead_comes_as_soon_as_without() {
    for Case { name, ahead, notice, due_after, is_due } in CASES {
        for ahead_by in [0, 1, 8 * 3600] {
            for (seconds, expected) in [(due_after - 1, false), (due_after, true)] {
                let (mut gate, taken) = ahead(UnixTime(NOW.0 + ahead_by));
                notice(&mut gate, UnixTime(NOW.0 + taken));
                let found = is_due(&mut gate, UnixTime(NOW.0 + seconds));
                assert_eq!(found, expected, "{name}: {ahead_by} s ahead, {seconds} s later");
            }
        }
    }
}

#[test]
fn an_answer_may_be_the_first_to_tell_the_right_time() {
    let ahead = UnixTime(NOW.0 + 8 * 3600);
    let mut gate = COLD(ahead);
    serve(&mut gate, &metadata(), ahead);
    let fetch = next(&mut gate, ahead);
    let keys = jwks(&[jwk(1, "k1")]).to_string();
    let _ = gate.on_answer(fetch.id, json_answer(keys.as_bytes()), NOW);
    assert!(gate.poll_fetch(UnixTime(NOW.0 + REFRESH - 1)).is_none());
    assert!(gate.poll_fetch(UnixTime(NOW.0 + REFRESH)).is_some());
}
