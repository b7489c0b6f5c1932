//! Configurations: the same outcome each time, findings that are lines of plain text, and no gate that lets a stranger in
//! without being told so in as many words.

#![no_main]

mod common;

use std::sync::LazyLock;

use common::{
    check_reply, is_visible, line, shows, strict_object,
    support::{NOW, claims, header, sign_texts},
};
use mcp_oauth::{
    config,
    gate::{Gate, Verdict},
};
use serde_json::Value;

/// Signed with a key that nobody published.
static STRANGER: LazyLock<String> = LazyLock::new(|| sign_texts(9, &header().to_string(), &claims().to_string()));

/// 32 bytes in base64url.
const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I";

fn environment(name: &str) -> Option<String> {
    (!name.is_empty()).then(|| SECRET.to_owned())
}

/// What a stranger gets of the resource at this place of the configuration.
fn ask(gate: &mut Gate, resource: &Value, url: &str) {
    let Some((authority, path)) =
        url.split_once("://").map(|(_, rest)| rest.split_at(rest.find('/').unwrap_or(rest.len())))
    else {
        panic!("accepted as a resource: {url:?}");
    };
    let path = if path.is_empty() { "/" } else { path };
    for credentials in [None, Some("Bearer a.b.c".to_owned()), Some(format!("Bearer {}", *STRANGER))] {
        let mut lines = vec![line(":method", "POST"), line(":authority", authority), line(":path", path)];
        lines.push(line("content-type", "application/json"));
        lines.extend(credentials.map(|value| line("authorization", value)));
        let verdict = match common::ask(gate, 1, &lines, NOW) {
            Verdict::ReadBody(pending) => {
                pending.judge(br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}"#)
            }
            verdict => verdict,
        };
        match verdict {
            Verdict::Reply(reply) => check_reply(&reply),
            Verdict::Hold => gate.on_gone(1),
            Verdict::Forward(forward) => {
                let says = |name: &str, value: &Value| resource.get(name).is_some_and(|own| own == value);
                let is_anonymous = resource["anonymous_methods"].as_array().is_some_and(|methods| !methods.is_empty());
                assert!(says("report_only", &true.into()) || is_anonymous, "{forward:?}");
            }
            other => panic!("{other:?} of a resource"),
        }
    }
}

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    // libFuzzer reads what is compared, and writes the secret into the file, where it is none.
    if shows(file, SECRET) {
        return;
    }
    let first = config::parse_in(file, &environment);
    let again = config::parse_in(file, &environment);
    let lines = |findings: &[config::Finding]| findings.iter().map(ToString::to_string).collect::<Vec<_>>();
    let policy = match (first, again) {
        (Ok(policy), Ok(_)) => policy,
        (Err(findings), Err(again)) => {
            let findings = lines(&findings);
            assert!(!findings.is_empty() && findings == lines(&again));
            for finding in findings {
                assert!(is_visible(&finding) && !shows(finding.as_bytes(), SECRET), "{finding:?}");
            }
            return;
        }
        (first, _) => panic!("once so, once otherwise: {first:?}"),
    };
    for warning in policy.warnings() {
        assert!(is_visible(&warning) && !shows(warning.as_bytes(), SECRET), "{warning:?}");
    }
    assert!(!shows(format!("{policy:?}").as_bytes(), SECRET), "a secret in {policy:?}");
    let file = strict_object(file).expect("an accepted configuration is one strict object");
    let list = |name: &str| file.get(name).and_then(Value::as_array).expect("a list that must be there");
    for server in list("authorization_servers") {
        let issuer = server["issuer"].as_str().expect("an issuer");
        assert!(issuer.starts_with("https://") || issuer.starts_with("http://"), "{issuer:?}");
    }
    let mut gate = Gate::new(policy);
    for resource in list("resources") {
        let url = resource["resource"].as_str().expect("a resource");
        ask(&mut gate, resource, url);
    }
    assert!(!shows(format!("{gate:?}").as_bytes(), SECRET));
});
