//! Promise: the upstream gets the operator's header and no client's, and a client's token only where its loud name stands.

use mcp_oauth::forward::Edit;
use serde_json::{Value, json};

use super::{
    ACTOR, API_KEY, authorization, but, client_credentials, gate, header, held, identity_jwt, issued, only, received,
    send_at, serve, token_exchange, with_credential,
};
use crate::{
    access_rules::{call, request},
    support::{HeaderMap, NOW, RESOURCE, ask, ask_as, good_token, head, inline_config, outcome, put, refusal, without},
};
use mcp_oauth::{gate::Verdict, refusal::Refusal};

#[test]
fn the_operators_line_is_the_only_one() {
    let sent: [&[(&str, &str)]; 6] = [
        &[],
        &[("x-api-key", "forged")],
        &[("X-Api-Key", "forged")],
        &[("x_api_key", "forged"), ("X-API_KEY", "forged")],
        &[("X_Api-Key", "a"), ("x-api-key", "b"), ("x-api-key", "c")],
        &[("x-api-key", "")],
    ];
    for (prefix, value) in [(None, API_KEY.to_owned()), (Some("Key "), format!("Key {API_KEY}"))] {
        let credential = but(&header(), "prefix", json!(prefix.unwrap_or_default()));
        let mut gate = gate(&with_credential(&credential));
        for more in sent {
            let headers = received(send_at(&mut gate, 1, &good_token(), more, NOW), more);
            assert_eq!(headers.all("x-api-key"), [value.as_str()], "{more:?}");
            assert_eq!(headers.all("authorization"), Vec::<String>::new());
            for name in ["x_api_key", "x-api_key", "x_api-key"] {
                assert_eq!(headers.all(name), Vec::<String>::new(), "{more:?}");
            }
        }
    }
    let bearer = json!({ "header": { "name": "authorization", "prefix": "Bearer ", "value_variable": "ACTOR" } });
    let verdict = send_at(&mut gate(&with_credential(&bearer)), 1, &good_token(), &[], NOW);
    assert_eq!(authorization(verdict), [format!("Bearer {ACTOR}")]);
}

/// A header that is nobody's credential here is none of our business.
#[test]
fn headers_of_other_resources_are_left_alone() {
    let mut config = with_credential(&header());
    let mut other = config["resources"][0].clone();
    other["resource"] = json!("https://mcp.example.com/other");
    other["upstream_credential"] = json!("none");
    other["audiences"] = json!([crate::support::RESOURCE]);
    config["resources"].as_array_mut().expect("a list").push(other);
    let mut gate = gate(&config);
    let authorization = format!("Bearer {}", good_token());
    let sent = [("x-api-key", "the client's own"), ("x_api_key", "2")];
    for (path, kept) in [("/other", vec!["the client's own"]), ("/mcp", vec![API_KEY])] {
        let mut lines = head(path, &[("authorization", &authorization)]);
        lines.extend(sent);
        let headers = received(ask(&mut gate, &lines), &sent);
        assert_eq!(headers.all("x-api-key"), kept, "{path}");
        assert_eq!(headers.all("x_api_key").len(), usize::from(path == "/other"));
    }
}

#[test]
fn every_resource_has_a_header_of_its_own() {
    let mut config = with_credential(&header());
    let other = |path: &str, name: &str| {
        let mut other = config["resources"][0].clone();
        other["resource"] = json!(format!("https://mcp.example.com/{path}"));
        other["audiences"] = json!([crate::support::RESOURCE]);
        other["upstream_credential"]["header"]["name"] = json!(name);
        other
    };
    let others = [other("same", "x-api-key"), other("other", "x-other-key")];
    config["resources"].as_array_mut().expect("a list").extend(others);
    let mut gate = gate(&config);
    let authorization = format!("Bearer {}", good_token());
    let sent = [("X_Api_Key", "forged"), ("X_Other_Key", "forged")];
    for (path, name, spelling) in [
        ("/mcp", "x-api-key", "x_api_key"),
        ("/same", "x-api-key", "x_api_key"),
        ("/other", "x-other-key", "x_other_key"),
    ] {
        let mut lines = head(path, &[("authorization", &authorization)]);
        lines.extend(sent);
        let headers = received(ask(&mut gate, &lines), &sent);
        assert_eq!((headers.all(name), headers.all(spelling)), (vec![API_KEY.to_owned()], vec![]), "{path}");
    }
}

#[test]
fn without_a_setting_or_with_none_there_is_no_credential() {
    for config in [inline_config(), with_credential(&json!("none"))] {
        let verdict = send_at(&mut gate(&config), 1, &good_token(), &[], NOW);
        assert_eq!(authorization(verdict), Vec::<String>::new());
    }
}

/// The only expression that keeps the token is the one with the loud name.
#[test]
fn a_clients_token_is_forwarded_only_by_its_name() {
    let loud = with_credential(&json!("insecure_forward_client_token"));
    let mut insecure = gate(&loud);
    let token = format!("Bearer {}", good_token());
    assert_eq!(authorization(send_at(&mut insecure, 1, &good_token(), &[], NOW)), [token.as_str()]);
    assert_eq!(
        insecure.policy().warnings().collect::<Vec<_>>(),
        [
            "`https://mcp.example.com/mcp`: `insecure_forward_client_token`: its server gets the client's token, which the MCP specification forbids"
        ],
    );
    for credential in [json!("none"), header(), identity_jwt()] {
        let mut gate = gate(&with_credential(&credential));
        assert_eq!(gate.policy().warnings().count(), 0, "{credential}");
        let Verdict::Forward(forward) = send_at(&mut gate, 1, &good_token(), &[], NOW) else { panic!("{credential}") };
        assert_eq!(forward.edits().next(), Some(Edit::Remove(b"authorization")), "{credential}");
    }
    for credential in [token_exchange(), client_credentials()] {
        let mut gate = gate(&with_credential(&credential));
        held(send_at(&mut gate, 1, &good_token(), &[], NOW));
        let Verdict::Forward(forward) = only(serve(&mut gate, "200", &issued("t", 60), NOW)) else {
            panic!("{credential}")
        };
        assert_eq!(forward.edits().next(), Some(Edit::Remove(b"authorization")), "{credential}");
    }
    // Refused tokens are refused.
    let refused = refusal(send_at(&mut insecure, 1, "x", &[], NOW));
    assert!(matches!(refused, Refusal::Token(_)), "{refused:?}");
}

fn open(credential: &Value, hold: &str) -> Value {
    let config = put(with_credential(credential), "/hold_requests", json!(hold));
    let config = put(config, "/resources/0/rules", json!([{ "tools": ["no"], "deny": true }]));
    put(config, "/resources/0/anonymous_methods", json!(["tools/list"]))
}

/// Callers without a token get what belongs to the gate, and nothing that would say something of them.
#[test]
fn callers_without_a_token_get_the_gates_own_credentials_only() {
    let list = request("tools/list", &json!({}));
    let forged = [
        ("content-type", "application/json"),
        ("authorization", "Basic YTpi"),
        ("x-api-key", "forged"),
        ("X_Api_Key", "forged"),
    ];
    let jwt_header = but(&identity_jwt(), "header", json!("x-api-key"));
    let rows = [
        (json!("none"), "x-other", vec![]),
        (json!("insecure_forward_client_token"), "authorization", vec![]),
        (header(), "x-api-key", vec![API_KEY.to_owned()]),
        (client_credentials(), "authorization", vec!["Bearer own".to_owned()]),
        (token_exchange(), "authorization", vec![]),
        (identity_jwt(), "authorization", vec![]),
        (jwt_header, "x-api-key", vec![]),
    ];
    for (credential, name, expected) in rows {
        let mut gate = gate(&open(&credential, "headers"));
        let verdict = match ask(&mut gate, &head("/mcp", &forged)) {
            Verdict::Hold => only(serve(&mut gate, "200", &issued("own", 60), NOW)),
            other => other,
        };
        let Verdict::ReadBody(pending) = verdict else { panic!("{credential}: {verdict:?}") };
        let Verdict::Forward(forward) = pending.judge(list.as_bytes()) else { panic!("{credential}") };
        let mut headers = HeaderMap::new(&forged);
        headers.apply(forward.edits());
        assert_eq!(headers.all(name), expected, "{credential}");
        assert_eq!(headers.all("x_api_key").is_empty(), name == "x-api-key", "{credential}");
        // And what needs a token still does.
        let verdict = match ask(&mut gate, &head("/mcp", &forged)) {
            Verdict::ReadBody(pending) => pending.judge(call("a").as_bytes()),
            other => other,
        };
        assert_eq!(outcome(verdict), Err(Refusal::MissingToken), "{credential}");
    }
}

/// The credential comes before the head goes.
#[test]
fn a_head_that_goes_first_has_the_credential() {
    let authorization = format!("Bearer {}", good_token());
    let lines = head("/mcp", &[("content-type", "application/json"), ("authorization", &authorization)]);
    for credential in [header(), token_exchange(), client_credentials(), identity_jwt()] {
        for hold in ["headers", "body"] {
            let mut gate = gate(&without(open(&credential, hold), "/resources/0/anonymous_methods"));
            let verdict = match ask(&mut gate, &lines) {
                Verdict::Hold => only(serve(&mut gate, "200", &issued("got", 60), NOW)),
                other => other,
            };
            let Verdict::ReadBody(pending) = verdict else { panic!("{credential}: {verdict:?}") };
            let name = if credential == header() { "x-api-key" } else { "authorization" };
            let mut headers = HeaderMap::new(&lines);
            if let Some(head) = pending.head() {
                assert_eq!(hold, "body");
                headers.apply(head.edits());
                assert_eq!(outcome(pending.judge(call("a").as_bytes())), Ok(()));
            } else {
                let Verdict::Forward(forward) = pending.judge(call("a").as_bytes()) else { panic!("{credential}") };
                headers.apply(forward.edits());
            }
            let found = headers.all(name);
            assert_eq!(found.len(), 1, "{credential} {hold}");
            assert!(!found[0].contains(&good_token()), "{credential} {hold}");
        }
    }
}

/// A 401 of the server is about what it got of the gate, if it got something.
#[test]
fn a_server_that_refuses_the_credential_is_refused_itself() {
    let rows = [
        (header(), false, true),
        (header(), true, true),
        (identity_jwt(), false, true),
        (json!("none"), false, false),
        (json!("insecure_forward_client_token"), false, false),
    ];
    for (credential, report_only, expected) in rows {
        let config = put(with_credential(&credential), "/resources/0/report_only", json!(report_only));
        let guard = |verdict: Verdict| match verdict {
            Verdict::Forward(forward) => forward.into_response_guard(),
            other => panic!("{other:?}"),
        };
        let mut gate = gate(&config);
        let given = guard(send_at(&mut gate, 1, &good_token(), &[], NOW));
        assert_eq!(given.has_credential(), expected, "{credential}");
        if expected {
            let refusal = given.credential_refused();
            assert_eq!((refusal.status(), refusal.reason()), (502, "mcp_oauth_upstream_credential_refused"));
            assert_eq!(refusal.to_string(), format!("upstream credential: `{RESOURCE}`: the server answered 401"));
        }
        if report_only {
            // Whoever would be refused is given none.
            assert!(!guard(ask_as(&mut gate, 2, &head("/mcp", &[]), NOW)).has_credential());
        }
    }
}
