//! Whoever waits for one thing after another takes room for all that is kept of it, and finds room for what comes next.

use mcp_oauth::{
    config,
    fetch::Answer,
    gate::{Gate, Resumed, Verdict},
    refusal::Refusal,
    waiting::{MAX_HELD, MAX_HELD_BYTES, MAX_READING_ANONYMOUS},
};
use serde_json::{Value, json};

use super::{MIB, arrive, cold, held_bytes, rules};
use crate::{
    access_rules::ruled,
    support::{NOW, ask_as, claims, gate, good_token, head, header, inline_config, put, refusal, sign, with},
};

fn serve_keys(gate: &mut Gate) -> Vec<Resumed> {
    let issuer = "https://idp.example.com";
    let metadata = json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") }).to_string();
    let keys = inline_config()["authorization_servers"][0]["jwks"].to_string();
    let mut resumed = Vec::new();
    for body in [metadata.as_bytes(), keys.as_bytes()] {
        let fetch = gate.poll_fetch(NOW).expect("a fetch");
        let content_type = Some(&b"application/json"[..]);
        let answer = Answer::Response { status: b"200", content_type, cache_control: None, body };
        resumed.extend(gate.on_answer(fetch.id, answer, NOW).resumed);
    }
    resumed
}

fn asking(config: &Value) -> Gate {
    let secret = |name: &str| (name == "SECRET").then(|| "secret".to_owned());
    Gate::new(config::parse_in(config.to_string().as_bytes(), &secret).expect("no findings"))
}

fn exchanging(config: &Value) -> Gate {
    let exchange = json!({ "token_exchange": {
        "endpoint": "https://as.example.com/token", "cluster": "as", "client_id": "gate",
        "client_secret_variable": "SECRET", "audience": "https://upstream.internal",
    } });
    asking(&put(config.clone(), "/resources/0/upstream_credential", exchange))
}

/// Those that waited for keys wait for another server next, with what was read of their bodies.
#[test]
fn whoever_waits_for_one_server_after_another_takes_as_much_room() {
    let mut gate = exchanging(&cold(&rules()));
    let most = u32::try_from(MAX_HELD_BYTES / MIB).expect("small");
    let read = |gate: &mut Gate, id: u32| {
        assert!(matches!(arrive(gate, id as usize, &good_token(), &[]), Verdict::Hold), "{id}");
        held_bytes(gate.on_held_body(id, MIB))
    };
    for id in 1..most {
        assert_eq!(read(&mut gate, id), None, "{id}");
    }
    assert!(serve_keys(&mut gate).is_empty(), "they wait for the token endpoint");
    assert_eq!(
        read(&mut gate, most),
        Some(Refusal::Overloaded { held: most as usize }),
        "the heads take something, too"
    );
}

/// What is kept of a token counts where it waits for another server, too: 2 000 scopes in 15 KiB, as above.
#[test]
fn whoever_is_known_already_takes_more_room_than_its_head() {
    let mut gate = exchanging(&ruled(&rules()));
    let scopes: Vec<String> = (0..2000).map(|n| format!("{n:04}")).collect();
    let token = sign(&header(), &with(claims(), "scope", json!(format!("mcp:read {}", scopes.join(" ")))));
    let held = (0..MAX_HELD).take_while(|id| matches!(arrive(&mut gate, *id, &token, &[]), Verdict::Hold)).count();
    assert!(MAX_HELD * (token.len() + 4096) < MAX_HELD_BYTES, "without the scopes all of them fit");
    assert!((100..MAX_HELD).contains(&held) && held * (token.len() + 2000 * 28) <= MAX_HELD_BYTES, "{held}");
    // Nor is it forgotten when a body comes.
    for id in 0..held {
        assert_eq!(held_bytes(gate.on_held_body(u32::try_from(id).expect("small"), 0)), None, "{id}");
    }
    assert_eq!(refusal(arrive(&mut gate, held, &token, &[])), Refusal::Overloaded { held });
}

/// The path is kept for the server without the token in its query, and for the proof.
#[test]
fn a_path_counts_twice() {
    let path = format!("/mcp/{}?access_token=x", "p".repeat(128 * 1024));
    let mut gate = gate(&cold(&rules()));
    let authorization = format!("Bearer {}", good_token());
    let lines = head(&path, &[("content-type", "application/json"), ("authorization", &authorization)]);
    let held = (0..).take_while(|id| matches!(ask_as(&mut gate, *id, &lines, NOW), Verdict::Hold)).count();
    let most = MAX_HELD_BYTES / (2 * 128 * 1024);
    assert!((most - 5..most).contains(&held), "{held}");
}

/// Those without a token wait for the gate's own credential and for their body in one room.
#[test]
fn whoever_waits_again_in_the_same_room_has_its_place() {
    let credential = json!({ "client_credentials": {
        "endpoint": "https://as.example.com/token", "cluster": "as", "client_id": "gate", "client_secret_variable": "SECRET",
    } });
    let mut gate = asking(&put(ruled(&rules()), "/resources/0/upstream_credential", credential));
    for id in 0..MAX_READING_ANONYMOUS {
        assert!(matches!(arrive(&mut gate, id, "", &[]), Verdict::Hold), "{id}");
    }
    let fetch = gate.poll_fetch(NOW).expect("a question");
    let body = br#"{"access_token":"t","token_type":"Bearer","expires_in":300}"#;
    let answer =
        Answer::Response { status: b"200", content_type: Some(b"application/json"), cache_control: None, body };
    let resumed = gate.on_answer(fetch.id, answer, NOW).resumed;
    assert_eq!(resumed.len(), MAX_READING_ANONYMOUS);
    for Resumed { request, verdict } in &resumed {
        assert!(matches!(verdict, Verdict::ReadBody(_)), "{request}: {verdict:?}");
    }
    assert_eq!(refusal(arrive(&mut gate, 0, "", &[])), Refusal::Overloaded { held: MAX_READING_ANONYMOUS });
}

/// Those that waited for keys all wait for their bodies next.
#[test]
fn whoever_was_held_finds_room_to_be_read() {
    let mut gate = gate(&cold(&rules()));
    for id in 0..MAX_HELD {
        assert!(matches!(arrive(&mut gate, id, &good_token(), &[]), Verdict::Hold));
    }
    let resumed = serve_keys(&mut gate);
    assert_eq!(resumed.len(), MAX_HELD);
    for resumed in &resumed {
        assert!(matches!(resumed.verdict, Verdict::ReadBody(_)), "{:?}", resumed.verdict);
    }
    assert!(matches!(arrive(&mut gate, 1, &good_token(), &[]), Verdict::ReadBody(_)), "and one more");
}
