//! A token in the scheme `DPoP` has its upstream credential like any other, and its proof counts once, also where it waits.

use mcp_oauth::{
    config,
    fetch::Answer,
    gate::{Gate, Verdict},
    refusal::Refusal,
};
use serde_json::{Value, json};

use super::{bound_token, config, good_proof, show};
use crate::support::{HeaderMap, NOW, outcome, put};

fn with_credential(credential: Value) -> Gate {
    let config = put(config(), "/resources/0/upstream_credential", credential);
    let environment = |name: &str| (name == "SECRET").then(|| "secret".to_owned());
    Gate::new(config::parse_in(config.to_string().as_bytes(), &environment).expect("no findings"))
}

fn upstream(verdict: Verdict) -> Vec<String> {
    let Verdict::Forward(forward) = verdict else { panic!("{verdict:?}") };
    let authorization = format!("DPoP {}", bound_token());
    let mut headers = HeaderMap::new(&[("authorization", authorization.as_str()), ("dpop", "proof")]);
    headers.apply(forward.edits());
    headers.all("authorization")
}

#[test]
fn a_bound_token_is_exchanged_and_its_proof_counts_once() {
    let mut gate = with_credential(json!({ "token_exchange": {
        "endpoint": "https://as.example.com/token", "cluster": "as", "client_id": "c", "client_secret_variable": "SECRET",
        "audience": "up",
    } }));
    let proof = good_proof(&bound_token());
    let held = show(&mut gate, &bound_token(), &proof, NOW);
    assert!(matches!(held, Verdict::Hold), "{held:?}");
    let fetch = gate.poll_fetch(NOW).expect("a question");
    let form = fetch.post.expect("a form");
    assert!(form.form.expose().contains(&format!("&subject_token={}&", bound_token())), "the token, not the scheme");
    let body = br#"{"access_token":"new","token_type":"Bearer","expires_in":300,"issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}"#;
    let answer =
        Answer::Response { status: b"200", content_type: Some(b"application/json"), cache_control: None, body };
    let mut resumed = gate.on_answer(fetch.id, answer, NOW).resumed;
    assert_eq!(upstream(resumed.remove(0).verdict), ["Bearer new"]);
    let replayed = outcome(show(&mut gate, &bound_token(), &proof, NOW));
    assert!(matches!(replayed, Err(Refusal::Proof(_))), "{replayed:?}");
}

#[test]
fn the_clients_own_line_is_forwarded_where_it_is_said_so() {
    let mut gate = with_credential(json!("insecure_forward_client_token"));
    let verdict = show(&mut gate, &bound_token(), &good_proof(&bound_token()), NOW);
    assert_eq!(upstream(verdict), [format!("DPoP {}", bound_token())]);
}
