//! Promise: where refusals are only reported, what would be refused goes on without the client's token and without anything
//! of the operator's; what bounds the proxy, what nobody can tell the resource of, and what fails, does not go on.

use mcp_oauth::{
    gate::{Gate, Verdict},
    metrics::Outcome,
    request::Request,
    time::UnixTime,
};
use serde_json::{Value, json};

use crate::support::{
    HeaderMap, NOW, ask, ask_as, claims, gate, good_token, head, header, inline_config, put, remote_config, sign, with,
};

fn report_only(config: Value) -> Value {
    put(config, "/resources/0/report_only", json!(true))
}

/// What of a request goes upstream, and why it would have been refused; or the reason of the answer.
#[track_caller]
fn sent(verdict: Verdict, lines: &[(&str, &str)]) -> Result<(HeaderMap, Option<&'static str>), &'static str> {
    match verdict {
        Verdict::Forward(forward) => {
            let mut map = HeaderMap::new(lines);
            map.apply(forward.edits());
            assert!(map.all("authorization").is_empty(), "the token goes on");
            let decision = forward.decision();
            assert_eq!(decision.outcome == Outcome::Report, decision.reason.is_some());
            Ok((map, decision.reason))
        }
        Verdict::Reply(reply) => Err(reply.reason()),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn reported(gate: &mut Gate, lines: &[(&str, &str)]) -> Result<Option<&'static str>, &'static str> {
    sent(ask(gate, lines), lines).map(|(_, reason)| reason)
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// What it is, the lines of its head, why it would be refused.
type Case<'c> = (&'c str, Vec<(&'c str, &'c str)>, Option<&'c str>);

#[test]
fn a_decision_about_the_caller_goes_on() {
    let foreign = bearer(&sign(&header(), &with(claims(), "aud", json!("https://other.example.com"))));
    let expired = bearer(&sign(&header(), &with(claims(), "exp", json!(NOW.0 - 60))));
    let unscoped = bearer(&sign(&header(), &with(claims(), "scope", json!("other"))));
    let good = bearer(&good_token());
    let rows: [Case<'_>; 7] = [
        ("good", vec![("authorization", &good)], None),
        ("no token", vec![], Some("mcp_oauth_missing_token")),
        (
            "two tokens",
            vec![("authorization", "Bearer a"), ("authorization", "Bearer b")],
            Some("mcp_oauth_malformed_credentials"),
        ),
        ("no JWT", vec![("authorization", "Bearer a")], Some("mcp_oauth_token_malformed")),
        ("for another", vec![("authorization", &foreign)], Some("mcp_oauth_token_audience")),
        ("expired", vec![("authorization", &expired)], Some("mcp_oauth_token_expired")),
        ("without scopes", vec![("authorization", &unscoped)], Some("mcp_oauth_insufficient_scope")),
    ];
    for (name, more, expected) in rows {
        let lines = head("/mcp", &more);
        assert_eq!(reported(&mut gate(&report_only(inline_config())), &lines), Ok(expected), "{name}");
        // The same is refused, for the same reason, where refusals are enforced.
        let enforced = reported(&mut gate(&inline_config()), &lines);
        assert_eq!(enforced.err(), expected, "{name}");
    }
}

#[test]
fn what_nobody_can_tell_the_resource_of_does_not() {
    for (path, expected) in [
        ("/mcp/../x", "mcp_oauth_ambiguous_path"),
        ("/elsewhere", "mcp_oauth_unmatched"),
        ("/.well-known/oauth-protected-resource/elsewhere", "mcp_oauth_no_document"),
    ] {
        assert_eq!(reported(&mut gate(&report_only(inline_config())), &head(path, &[])), Err(expected), "{path}");
    }
    let mut gate = gate(&report_only(inline_config()));
    assert_eq!(reported(&mut gate, &[(":method", "POST")]), Err("mcp_oauth_malformed_request"));
}

#[test]
fn identity_is_that_of_whoever_was_verified_and_never_the_clients_word() {
    let spoofed = [("x-mcp-subject", "mallory"), ("X_MCP_Issuer", "https://evil.example")];
    let unscoped = bearer(&sign(&header(), &with(claims(), "scope", json!("other"))));
    let forged = bearer(&crate::support::sign_texts(2, &header().to_string(), &claims().to_string()));
    for (token, subject) in [(None, None), (Some(&forged), None), (Some(&unscoped), Some("alice"))] {
        let mut lines = head("/mcp", &spoofed);
        lines.extend(token.map(|token| ("authorization", token.as_str())));
        let (map, reason) = sent(ask(&mut gate(&report_only(inline_config())), &lines), &lines).expect("it goes on");
        assert!(reason.is_some());
        assert_eq!(map.all("x-mcp-subject"), subject.into_iter().collect::<Vec<_>>(), "{token:?}");
        assert!(map.all("X_MCP_Issuer").is_empty());
    }
}

#[test]
fn the_credential_of_the_operator_is_for_those_who_would_not_be_refused() {
    let credential = json!({ "header": { "name": "x-api-key", "value_variable": "KEY" } });
    let config = put(report_only(inline_config()), "/resources/0/upstream_credential", credential);
    let environment = |name: &str| (name == "KEY").then(|| "operators-secret".to_owned());
    let policy = mcp_oauth::config::parse_in(config.to_string().as_bytes(), &environment).expect("no findings");
    let mut gate = Gate::new(policy);
    let good = bearer(&good_token());
    for (token, expected) in [(good.as_str(), vec!["operators-secret".to_owned()]), ("Bearer a", vec![])] {
        let lines = head("/mcp", &[("authorization", token), ("x-api-key", "of-the-client")]);
        let (map, _) = sent(ask(&mut gate, &lines), &lines).expect("it goes on");
        assert_eq!(map.all("x-api-key"), expected, "{token}");
    }
    let config =
        put(report_only(inline_config()), "/resources/0/upstream_credential", json!("insecure_forward_client_token"));
    assert!(reported(&mut crate::support::gate(&config), &head("/mcp", &[("authorization", "Bearer a")])).is_ok());
}

#[test]
fn no_head_goes_ahead_with_it() {
    for credential in [json!("insecure_forward_client_token"), json!("none")] {
        for hold in ["headers", "body"] {
            let config = put(report_only(inline_config()), "/resources/0/upstream_credential", credential.clone());
            let config = put(put(config, "/resources/0/rules", json!([{}])), "/hold_requests", json!(hold));
            let found = crate::support::findings(&config);
            assert_eq!(
                found.len(),
                usize::from(hold == "body" && credential != "none"),
                "{hold} {credential}: {found:?}"
            );
        }
    }
}

#[test]
fn keys_are_waited_for_and_a_request_goes_on_without_them() {
    let mut gate = gate(&report_only(remote_config()));
    let good = bearer(&good_token());
    let lines = head("/mcp", &[("authorization", &good)]);
    let Verdict::Hold = ask_as(&mut gate, 1, &lines, NOW) else { panic!("not held") };
    let fetch = gate.poll_fetch(NOW).expect("a fetch");
    let mut outcome = gate.on_answer(fetch.id, mcp_oauth::fetch::Answer::NoResponse, NOW);
    let verdict = outcome.resumed.pop().expect("it goes on").verdict;
    let (map, reason) = sent(verdict, &lines).expect("it goes on");
    assert_eq!((map.all("x-mcp-subject"), reason), (vec![], Some("mcp_oauth_keys_unavailable")));
}

#[test]
fn what_bounds_the_memory_is_enforced_all_the_same() {
    let mut gate = gate(&report_only(remote_config()));
    let good = bearer(&good_token());
    let lines = head("/mcp", &[("authorization", &good)]);
    let mut held = 0;
    let refused = loop {
        match ask_as(&mut gate, held, &lines, NOW) {
            Verdict::Hold => held += 1,
            other => break sent(other, &lines).map(|(_, reason)| reason),
        }
    };
    assert_eq!((held, refused), (1024, Err("mcp_oauth_overloaded")));
}

/// A token was found good, and ran out while its request waited for the server's credential: nobody is told to be calling.
#[test]
fn whose_token_ran_out_while_it_waited_is_nobody() {
    let exchange = json!({ "token_exchange": {
        "endpoint": "https://idp.example.com/token", "cluster": "idp", "client_id": "proxy", "client_secret_variable": "KEY",
        "audience": "upstream",
    } });
    let config = put(report_only(inline_config()), "/resources/0/upstream_credential", exchange);
    let environment = |name: &str| (name == "KEY").then(|| "operators-secret".to_owned());
    let policy = mcp_oauth::config::parse_in(config.to_string().as_bytes(), &environment).expect("no findings");
    let mut gate = Gate::new(policy);
    let token = bearer(&sign(&header(), &with(claims(), "exp", json!(NOW.0 + 2))));
    let lines = head("/mcp", &[("authorization", &token)]);
    for (seconds, expected) in [
        (1, (vec!["alice"], Some("mcp_oauth_upstream_credential_unavailable"))),
        (40, (vec![], Some("mcp_oauth_token_expired"))),
    ] {
        let Verdict::Hold = ask_as(&mut gate, 1, &lines, NOW) else { panic!("not held") };
        let fetch = gate.poll_fetch(NOW).expect("a question");
        let mut outcome = gate.on_answer(fetch.id, mcp_oauth::fetch::Answer::NoResponse, UnixTime(NOW.0 + seconds));
        let (map, reason) = sent(outcome.resumed.pop().expect("it goes on").verdict, &lines).expect("it goes on");
        assert_eq!(
            (map.all("x-mcp-subject"), reason),
            (expected.0.iter().map(|name| (*name).to_owned()).collect(), expected.1)
        );
    }
}

#[test]
fn bodies_are_judged_and_bounded_and_what_is_denied_goes_on() {
    let config =
        put(report_only(inline_config()), "/resources/0/rules", json!([{ "tools": ["rm"], "deny": true }, {}]));
    let config =
        put(put(config, "/hold_requests", json!("headers")), "/resources/0/body", json!({ "max_size": "1KiB" }));
    let call = |tool: &str| {
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool } }).to_string()
    };
    let token = bearer(&good_token());
    let big = "x".repeat(2000);
    for (body, expected) in [
        (call("ok"), Ok(None)),
        (call("rm"), Ok(Some("mcp_oauth_denied"))),
        ("{".to_owned(), Ok(Some("mcp_oauth_malformed_message"))),
        (big, Err("mcp_oauth_body_too_large")),
    ] {
        let lines = head("/mcp", &[("authorization", &token), ("content-type", "application/json")]);
        let mut gate = gate(&config);
        let Verdict::ReadBody(pending) = ask(&mut gate, &lines) else { panic!("not read") };
        let (found, subject) = match sent(pending.judge(body.as_bytes()), &lines) {
            Ok((map, reason)) => (Ok(reason), map.all("x-mcp-subject")),
            Err(reason) => (Err(reason), vec!["alice".to_owned()]),
        };
        assert_eq!((found, subject), (expected, vec!["alice".to_owned()]), "{body}");
    }
    let lines = head("/mcp", &[("authorization", &token), ("content-type", "text/plain")]);
    assert_eq!(reported(&mut gate(&config), &lines), Ok(Some("mcp_oauth_media_type")));
}

#[test]
fn a_page_of_another_origin_goes_on_and_so_does_its_preflight() {
    let config = put(report_only(inline_config()), "/resources/0/origins", json!(["https://app.example.com"]));
    let origin = ("origin", "https://evil.example.com");
    assert_eq!(reported(&mut gate(&config), &head("/mcp", &[origin])), Ok(Some("mcp_oauth_origin")));
    // That of a page which may is answered here, as ever.
    for (origin, expected) in
        [(origin, Ok(Some("mcp_oauth_origin"))), (("origin", "https://app.example.com"), Err("mcp_oauth_preflight"))]
    {
        let lines = [
            (":method", "OPTIONS"),
            (":authority", "mcp.example.com"),
            (":path", "/mcp"),
            origin,
            ("access-control-request-method", "POST"),
        ];
        assert_eq!(reported(&mut gate(&config), &lines), expected, "{origin:?}");
    }
}

#[test]
fn the_proxy_is_told_that_it_is_a_report_and_never_an_allow() {
    let config = with(report_only(inline_config()), "filter_state", json!(["decision", "reason", "subject"]));
    let mut gate = gate(&config);
    let lines = head("/mcp", &[]);
    let bytes = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let request = Request::new(bytes, gate.policy().identity_headers());
    let Verdict::Forward(forward) = gate.on_request(1, &request, NOW) else { panic!("refused") };
    let told: Vec<_> = forward.notes().collect();
    assert_eq!(told, [("mcp_oauth.decision", "report"), ("mcp_oauth.reason", "mcp_oauth_missing_token")]);
}

#[test]
fn it_is_loud_once_per_configuration() {
    let warnings: Vec<_> = gate(&report_only(inline_config())).policy().warnings().collect();
    assert_eq!(
        warnings,
        ["`https://mcp.example.com/mcp`: `report_only`: NOTHING IS ENFORCED, its server gets what would be refused"]
    );
}
