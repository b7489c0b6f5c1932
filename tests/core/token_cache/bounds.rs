//! How much is remembered, and of what.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{NOW, Worker, claims, header, inline_config, later, numbered, put, sign_texts, with};

fn bounded(limits: &Value) -> Worker {
    Worker::new(&put(inline_config(), "/token_cache", limits.clone()))
}

/// How many of these are verified when each is used once more, in turn.
fn verified(worker: &mut Worker, tokens: &[String]) -> usize {
    worker.checked();
    tokens.iter().for_each(|token| worker.accepts(token, NOW));
    worker.checked()
}

#[test]
fn as_many_tokens_as_it_may_have_are_verified_once() {
    for entries in [1, 2, 8, 33] {
        let tokens: Vec<String> = (0..=entries).map(|number| numbered(1, number)).collect();
        let mut worker = bounded(&json!({ "max_entries": entries }));
        verified(&mut worker, &tokens[..entries]);
        for round in 0..5 {
            assert_eq!(verified(&mut worker, &tokens[..entries]), 0, "{entries} entries, round {round}");
        }
        // The sibling: one more, and some are verified again in each round.
        verified(&mut worker, &tokens);
        for round in 0..5 {
            assert!(verified(&mut worker, &tokens) > 0, "{entries} entries and a token more, round {round}");
        }
    }
}

/// Whoever has many good tokens does not push out those that others use.
#[test]
fn tokens_in_use_outlive_a_flood_of_tokens_that_are_used_once() {
    let mut worker = bounded(&json!({ "max_entries": 32 }));
    let in_use: Vec<String> = (0..24).map(|number| numbered(1, number)).collect();
    verified(&mut worker, &in_use);
    for number in 0..200 {
        // Each is used again before the hand of the clock came round.
        if number % 4 == 0 {
            assert_eq!(verified(&mut worker, &in_use), 0, "after {number}");
        }
        worker.accepts(&numbered(1, 1000 + number), NOW);
    }
}

/// All that is kept of a token counts.
#[test]
fn long_names_take_room() {
    let long = |name: &str, number: usize| {
        let claims = with(claims(), name, json!("x".repeat(4000)));
        sign_texts(1, &header().to_string(), &with(claims, "jti", json!(number)).to_string())
    };
    // Each token has about 5.8 KiB, as text. The identity header of the subject is one of the defaults; an audience is
    // kept once, and what is not read is not kept.
    let fit: BTreeMap<&str, usize> = ["sub", "client_id", "unread"]
        .map(|name| {
            let mut worker = bounded(&json!({ "max_bytes": "64KiB" }));
            let tokens: Vec<String> = (0..12).map(|number| long(name, number)).collect();
            (
                name,
                (1..=12)
                    .take_while(|count| {
                        verified(&mut worker, &tokens[..*count]);
                        verified(&mut worker, &tokens[..*count]) == 0
                    })
                    .count(),
            )
        })
        .into();
    assert_eq!(fit, [("sub", 4), ("client_id", 4), ("unread", 10)].into());
}

/// 32 MiB by default: a megabyte and a half of it.
#[test]
fn many_long_tokens_fit_by_default() {
    let long = |number: usize| {
        let claims = with(with(claims(), "sub", json!("x".repeat(10_000))), "jti", json!(number));
        sign_texts(1, &header().to_string(), &claims.to_string())
    };
    let tokens: Vec<String> = (0..64).map(long).collect();
    let mut worker = Worker::new(&inline_config());
    verified(&mut worker, &tokens);
    assert_eq!(verified(&mut worker, &tokens), 0);
}

/// Within the skew it is still good, and nobody will send it again for long.
#[test]
fn a_token_that_expired_is_not_kept() {
    for (seconds, checked) in [(299, 0), (300, 1), (329, 1)] {
        let mut worker = bounded(&json!({}));
        worker.accepts(&numbered(1, 1), later(seconds));
        worker.checked();
        worker.accepts(&numbered(1, 1), later(seconds));
        assert_eq!(worker.checked(), checked, "exp is at 300 s, it is {seconds} s");
    }
}
