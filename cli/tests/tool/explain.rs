//! `explain` says what the gate says, of every token; and the list of checks fits the verdict.

use mcp_oauth::{
    config,
    explain::Check,
    gate::{Gate, Verdict},
    request::Request,
    time::UnixTime,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{
    NOW, Run, assert_hidden, claims, configuration, file, good_token, header, run, run_with, sign, with,
};

/// What the gate itself says: verdict, reason, status, headers, body.
fn gate_says(configuration: &Value, token: &str, more: &[(&str, &str)], body: &str) -> Value {
    let mut gate = Gate::new(config::parse(configuration.to_string().as_bytes()).expect("no findings"));
    let authorization = format!("Bearer {token}");
    let mut lines = vec![
        (":method", "POST"),
        (":authority", "mcp.example.com"),
        (":path", "/mcp"),
        ("authorization", &*authorization),
        ("content-type", "application/json"),
    ];
    lines.extend(more);
    let lines = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let request = Request::new(lines, gate.policy().identity_headers());
    let mut verdict = gate.on_request(1, &request, UnixTime(NOW));
    if let Verdict::ReadBody(pending) = verdict {
        verdict = pending.judge(body.as_bytes());
    }
    match verdict {
        Verdict::Forward(_) => json!({ "verdict": "forward" }),
        Verdict::Reply(reply) => {
            let headers: Vec<Value> = reply.headers().map(|(name, value)| json!([name, value])).collect();
            let check = reply.refusal().and_then(Check::of).map(|check| format!("{check:?}"));
            json!({
                "verdict": "refuse", "reason": reply.reason(), "check": check,
                "reply": { "status": reply.status(), "headers": headers, "body": String::from_utf8_lossy(reply.body()) },
            })
        }
        other => panic!("{other:?}"),
    }
}

/// Compares, and checks the list: one check failed, that of the refusal; all before it passed, all after it were not reached.
#[track_caller]
fn agree(configuration: &Value, path: &str, token: &str, body: Option<&str>) -> Run {
    let now = NOW.to_string();
    let mut arguments = vec!["explain", "--json", "--config", path, "--token", "-", "--now", &now];
    let body_file = body.map(|body| file("body.json", body));
    arguments.extend(body_file.as_deref().into_iter().flat_map(|name| ["--body", name]));
    let told = run_with(&arguments, token);
    assert_hidden(&told, token);
    let expected = gate_says(configuration, token, &[], body.unwrap_or(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#));
    let found = told.json();
    for member in ["verdict", "reason", "reply"] {
        assert_eq!(found.get(member), expected.get(member), "{member}: {told:?}");
    }
    let steps: Vec<(&str, &str)> = found["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .map(|step| (step["check"].as_str().expect("a name"), step["status"].as_str().expect("a status")))
        .collect();
    let failed: Vec<&str> = steps.iter().filter(|(_, status)| *status == "failed").map(|(check, _)| *check).collect();
    if found["verdict"] == "forward" {
        assert_eq!((told.code, failed), (0, vec![]), "{steps:?}");
        assert!(steps.iter().all(|(_, status)| matches!(*status, "passed" | "passed on")), "{steps:?}");
        assert!(steps.iter().any(|(check, _)| *check == "Scopes"), "{steps:?}");
    } else {
        assert!(told.code == 1 && failed.contains(&expected["check"].as_str().expect("a check")), "{steps:?}");
        let at = steps.iter().rposition(|(_, status)| *status == "failed").expect("one");
        assert!(steps[at + 1..].iter().all(|(_, status)| *status == "not reached"), "{steps:?}");
    }
    for step in found["steps"].as_array().expect("steps") {
        assert!(
            !step["clause"].as_str().expect("a clause").is_empty() && !step["what"].as_str().expect("text").is_empty()
        );
    }
    told
}

/// Name, token, and the check that refuses it; none for one that is let through.
fn tokens() -> Vec<(&'static str, String, Option<&'static str>)> {
    let claim = |name: &str, value: Value| sign(&header(), &with(claims(), name, value));
    let head = |name: &str, value: Value| sign(&with(header(), name, value), &claims());
    let good = good_token();
    let cut = good.get(..good.len() - 2).expect("longer").to_owned();
    vec![
        ("good", good.clone(), None),
        ("two audiences", claim("aud", json!(["x", "https://mcp.example.com/mcp"])), None),
        ("untyped", head("typ", Value::Null), None),
        ("within the skew", claim("exp", json!(NOW - 20)), None),
        ("no token at all", "x".to_owned(), Some("Form")),
        ("two parts", "eyJhbGciOiJub25lIn0.e30".to_owned(), Some("Form")),
        ("encrypted", "eyJhbGciOiJkaXIifQ.a.b.c.d".to_owned(), Some("Form")),
        ("none", head("alg", json!("none")), Some("Form")),
        ("HMAC", head("alg", json!("HS256")), Some("Form")),
        ("crit", head("crit", json!(["x"])), Some("Form")),
        ("cut off", cut, Some("Signature")),
        ("changed", good.replacen(".e", ".f", 1), Some("Form")),
        ("no iss", claim("iss", Value::Null), Some("Issuer")),
        ("iss of another type", claim("iss", json!(1)), Some("Issuer")),
        ("another issuer", claim("iss", json!("https://idp.example.com/")), Some("Issuer")),
        ("another algorithm", head("alg", json!("RS256")), Some("Key")),
        ("an ID token", claim("nonce", json!("n")), None),
        (
            "an untyped ID token",
            sign(&with(header(), "typ", Value::Null), &with(claims(), "nonce", json!("n"))),
            Some("Kind"),
        ),
        ("a logout token", head("typ", json!("logout+jwt")), Some("Kind")),
        ("no aud", claim("aud", Value::Null), Some("Claims")),
        ("sub of another type", claim("sub", json!(1)), Some("Claims")),
        ("no exp", claim("exp", Value::Null), Some("Claims")),
        ("milliseconds", claim("exp", json!(NOW * 1000)), Some("Claims")),
        ("another audience", claim("aud", json!("https://mcp.example.com/")), Some("Audience")),
        ("a longer audience", claim("aud", json!("https://mcp.example.com/mcp2")), Some("Audience")),
        ("expired", claim("exp", json!(NOW - 31)), Some("Times")),
        ("not yet", claim("nbf", json!(NOW + 31)), Some("Times")),
        ("from the future", claim("iat", json!(NOW + 31)), Some("Times")),
        (
            "bound to a key",
            claim("cnf", json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" })),
            Some("Binding"),
        ),
        ("bound in a way that is not known", claim("cnf", json!({ "x": 1 })), Some("Binding")),
        ("an unknown key", head("kid", json!("k2")), Some("Key")),
        ("no key named", head("kid", Value::Null), None),
        (
            "signed for another claim",
            {
                let other = claim("sub", json!("bob"));
                let (input, _) = other.rsplit_once('.').expect("parts");
                let (_, signature) = good.rsplit_once('.').expect("parts");
                format!("{input}.{signature}")
            },
            Some("Signature"),
        ),
        ("no scope", claim("scope", Value::Null), Some("Scopes")),
        ("another scope", claim("scope", json!("mcp:write")), Some("Scopes")),
    ]
}

#[test]
fn it_says_of_every_token_what_the_gate_says() {
    let configuration = configuration();
    let path = file("config.json", configuration.to_string());
    for (name, token, expected) in tokens() {
        let told = agree(&configuration, &path, &token, None).json();
        let failed = told["steps"].as_array().expect("steps").iter().find(|step| step["status"] == "failed");
        assert_eq!(failed.map(|step| step["check"].as_str().expect("a name")), expected, "{name}");
    }
}

#[test]
fn static_tokens_are_the_last_word() {
    // printf %s static-secret-token | sha256sum
    let listed = json!([{
        "resource": "https://mcp.example.com/mcp", "scopes": { "required": ["mcp:read"] },
        "static_tokens": [{ "name": "ci", "sha256": STATIC, "scopes": ["mcp:read"], "expires": "never" }],
    }]);
    let configuration = with(configuration(), "resources", listed);
    let path = file("config.json", configuration.to_string());
    let told = agree(&configuration, &path, "static-secret-token", None).json();
    assert_eq!(told["verdict"], "forward");
    agree(&configuration, &path, "static-secret-tokem", None);
    agree(&configuration, &path, &good_token(), None);
}

const STATIC: &str = "c7a3832f7913503369fb09e7e9d03e14d9e20cca4bea4038358009a14219e34f";

#[test]
fn bodies_are_judged() {
    let rules = json!([{
        "resource": "https://mcp.example.com/mcp", "scopes": { "required": ["mcp:read"] },
        "rules": [{ "tools": ["drop"], "deny": true }, { "tools": ["write"], "scopes": ["mcp:write"] }],
    }]);
    let configuration = with(with(configuration(), "resources", rules), "hold_requests", json!("headers"));
    let path = file("config.json", configuration.to_string());
    let call = |tool: &str| {
        json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": { "name": tool, "arguments": {} } })
            .to_string()
    };
    let cases = [
        (call("read"), "forward"),
        (call("drop"), "mcp_oauth_denied"),
        (call("write"), "mcp_oauth_insufficient_scope"),
        ("{".to_owned(), "mcp_oauth_malformed_message"),
        ("[]".to_owned(), "mcp_oauth_malformed_message"),
    ];
    for (body, expected) in cases {
        let told = agree(&configuration, &path, &good_token(), Some(&body)).json();
        let found = told.get("reason").unwrap_or(&told["verdict"]);
        assert_eq!(found, expected, "{body}");
    }
}

#[test]
fn people_read_what_the_client_is_told() {
    let path = file("config.json", configuration().to_string());
    let now = NOW.to_string();
    let token = sign(&header(), &with(claims(), "aud", json!("https://other.example")));
    let told = run_with(&["explain", "--config", &path, "--token", "-", "--now", &now], &format!("Bearer {token}\n"));
    assert_eq!(told.code, 1);
    assert_hidden(&told, &token);
    for part in [
        "passed      it is an access token",
        "failed      `aud` has the resource (RFC 8707 section 2; MCP authorization, Token Handling)",
        "audience `https://other.example` does not include `https://mcp.example.com/mcp`",
        "not reached the signature is right",
        "refused: mcp_oauth_token_audience",
        "   401\n",
        "www-authenticate: Bearer error=\"invalid_token\"",
    ] {
        assert!(told.out.contains(part), "{part}\n{}", told.out);
    }
    let told = run_with(&["explain", "--config", &path, "--token", "-", "--now", &now], &good_token());
    assert!(
        told.code == 0 && told.out.contains("removes authorization") && told.out.contains("sets x-mcp-subject: alice")
    );
    assert_hidden(&told, &good_token());
}

#[test]
fn a_resource_that_only_reports_is_told_so() {
    let mut configuration = configuration();
    configuration["resources"][0]["report_only"] = json!(true);
    let path = file("config.json", configuration.to_string());
    let now = NOW.to_string();
    let arguments = ["explain", "--json", "--config", &path, "--token", "-", "--now", &now];
    let expired = sign(&header(), &with(claims(), "exp", json!(1)));
    let told = run_with(&arguments, &expired);
    let found = told.json();
    assert_eq!(
        (told.code, &found["verdict"], &found["reason"]),
        (1, &json!("report"), &json!("mcp_oauth_token_expired"))
    );
    assert_hidden(&told, &expired);
    let told = run_with(&arguments, &good_token());
    assert_eq!((told.code, &told.json()["verdict"]), (0, &json!("forward")));
}

#[test]
fn no_token_is_the_first_question_of_a_client() {
    let path = file("config.json", configuration().to_string());
    let told = run(&["explain", "--json", "--config", &path]);
    assert_eq!((told.code, told.json()["reason"].as_str()), (1, Some("mcp_oauth_missing_token")));
    let document = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
    let told = run(&["explain", "--json", "--config", &path, "--method", "GET", "--path", document]);
    assert_eq!((told.code, told.json()["verdict"].as_str()), (0, Some("answer")), "{told:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// A token with one part changed, or put somewhere else, is told as the gate tells it, and never shown.
    #[test]
    fn changed_tokens_are_told_alike(at in 0_usize..400, with in "[A-Za-z0-9._-]{0,3}", claim in "[a-z]{3}", value in "[ -~]{0,12}") {
        let configuration = configuration();
        let path = file("config.json", configuration.to_string());
        let token = sign(&header(), &crate::support::with(claims(), &claim, json!(value)));
        let at = at.min(token.len() - 1);
        let (before, after) = token.split_at(at);
        agree(&configuration, &path, &format!("{before}{with}{}", after.get(1..).unwrap_or_default()), None);
    }
}
