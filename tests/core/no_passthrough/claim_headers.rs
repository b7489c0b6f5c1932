//! Claims that the operator sends upstream: whole or not at all, never the client's, never a control byte.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{good_token, inline_config, put, upstream};
use crate::{
    properties::cases,
    support::{HeaderMap, RESOURCE, claims, findings, gate, header, holding, sign},
};

fn telling(lines: &Value) -> Value {
    put(inline_config(), "/identity_headers", json!({ "claims": lines }))
}

fn upstream_of(lines: &Value, claims: &Value, more: &[(&str, &str)]) -> HeaderMap {
    upstream(&mut gate(&telling(lines)), "/mcp", &sign(&header(), claims), more)
}

/// The header of the claim `a`, if its value is this.
fn told(value: Value) -> Option<String> {
    let lines = json!([{ "claim": "a", "header": "x-a" }]);
    let mut told = upstream_of(&lines, &holding(claims(), "a", value), &[("x-a", "root")]).all("x-a");
    assert!(told.len() < 2, "{told:?}");
    told.pop()
}

#[test]
fn a_claim_is_told_as_it_is_or_not_at_all() {
    let rows = [
        (json!("gold"), Some("gold")),
        (json!("a b"), Some("a%20b")),
        (json!("50%"), Some("50%25")),
        (json!("j\u{fc}rgen"), Some("j%C3%BCrgen")),
        (json!("a\r\nx-admin: 1"), Some("a%0D%0Ax-admin:%201")),
        (json!("a\u{0}b"), Some("a%00b")),
        // A text with a comma is not two items.
        (json!("a,b"), Some("a%2Cb")),
        (json!(["a", "b"]), Some("a,b")),
        (json!(["a,b"]), Some("a%2Cb")),
        (json!(["a%2Cb"]), Some("a%252Cb")),
        (json!(["a", "b c", "%,"]), Some("a,b%20c,%25%2C")),
        (json!(["a", "", "b"]), Some("a,,b")),
        (json!([1, true, "x", -2.5]), Some("1,true,x,-2.5")),
        (json!(7), Some("7")),
        (json!(true), Some("true")),
        (json!(false), Some("false")),
        (json!("static:ci"), Some("static:ci")),
        (json!(""), None),
        (json!([]), None),
        (json!([""]), None),
        (json!(null), None),
        (json!({ "b": "c" }), None),
        // A part of a list would be another list.
        (json!(["a", { "b": "c" }]), None),
        (json!(["a", null]), None),
        (json!(["a", ["b"]]), None),
    ];
    for (value, expected) in rows {
        assert_eq!(told(value.clone()).as_deref(), expected, "{value}");
    }
}

#[test]
fn numbers_are_told_as_they_are_written() {
    for number in ["1e2", "1.0", "-0", "12345678901234567890123", "1E+400"] {
        let claims = claims().to_string().replacen('{', &format!("{{\"a\":{number},"), 1);
        let token = crate::support::sign_texts(1, &header().to_string(), &claims);
        let config = telling(&json!([{ "claim": "a", "header": "x-a" }]));
        assert_eq!(upstream(&mut gate(&config), "/mcp", &token, &[]).all("x-a"), [number]);
    }
}

#[test]
fn a_claim_may_lie_deep() {
    let claims = holding(claims(), "realm_access", json!({ "roles": ["r1", "r2"], "more": { "x": 1 } }));
    let claims = holding(claims, "https://example.com/tier", json!("gold"));
    let rows = [
        ("realm_access.roles", Some("r1,r2")),
        ("realm_access.more.x", Some("1")),
        ("https://example.com/tier", Some("gold")),
        ("aud", Some(RESOURCE)),
        ("realm_access", None),
        ("realm_access.more", None),
        ("realm_access.none", None),
        ("realm_access.roles.r1", None),
        ("realm_access.", None),
        ("none.roles", None),
    ];
    for (claim, expected) in rows {
        let lines = json!([{ "claim": claim, "header": "x-roles" }]);
        let headers = upstream_of(&lines, &claims, &[("x-roles", "root")]);
        assert_eq!(headers.all("x-roles"), expected.into_iter().collect::<Vec<_>>(), "{claim}");
    }
}

/// 4 KiB each and 16 KiB all together, as they are encoded; what is longer is left out whole.
#[test]
fn long_claims_are_left_out() {
    assert_eq!(told(json!("x".repeat(4096))), Some("x".repeat(4096)));
    assert_eq!(told(json!("x".repeat(4097))), None);
    assert_eq!(told(json!(" ".repeat(1365))).map(|value| value.len()), Some(4095));
    assert_eq!(told(json!(" ".repeat(1366))), None);
    assert_eq!(told(json!(["x".repeat(2048), "y".repeat(2047)])).map(|value| value.len()), Some(4096));
    assert_eq!(told(json!(["x".repeat(2048), "y".repeat(2048)])), None);
    let line = |number: usize| json!({ "claim": "a", "header": format!("x-{number}") });
    let lines = json!((0..6).map(line).chain([json!({ "claim": "b", "header": "x-b" })]).collect::<Vec<_>>());
    let claims = holding(holding(claims(), "a", json!("x".repeat(4000))), "b", json!("y"));
    let headers = upstream_of(&lines, &claims, &[("x-5", "root")]);
    let told: Vec<usize> = (0..6).filter(|number| !headers.all(&format!("x-{number}")).is_empty()).collect();
    assert_eq!(told, [0, 1, 2, 3]);
    assert_eq!(headers.all("x-b"), ["y"], "a shorter one still has room");
}

#[test]
fn a_client_cannot_send_what_a_claim_tells() {
    let lines = json!([{ "claim": "roles", "header": "x-mcp-roles" }]);
    for variant in ["x-mcp-roles", "X-MCP-Roles", "x_mcp_roles", "X_Mcp-ROLES", "x-mcp_roles"] {
        let more = [(variant, "root"), ("x-mcp-role", "kept"), (variant, "admin")];
        for (roles, expected) in [(json!(["r"]), vec!["r"]), (json!(null), vec![]), (json!({}), vec![])] {
            let headers = upstream_of(&lines, &holding(claims(), "roles", roles.clone()), &more);
            assert_eq!(headers.all("x-mcp-roles"), expected, "{variant}, {roles}");
            assert!(headers.0.iter().all(|(_, value)| value != b"root" && value != b"admin"), "{variant}, {roles}");
            assert_eq!(headers.all("x-mcp-role"), ["kept"], "another header stays");
        }
    }
}

#[test]
fn a_remembered_token_tells_the_same() {
    let lines = json!([{ "claim": "sub", "header": "x-user" }, { "claim": "scope", "header": "x-scope" }]);
    let mut gate = gate(&telling(&lines));
    let first = upstream(&mut gate, "/mcp", &good_token(), &[("x-user", "root")]);
    assert_eq!(
        (first.all("x-user"), first.all("x-scope")),
        (vec!["alice".into()], vec!["mcp:read%20mcp:write".into()])
    );
    assert_eq!(upstream(&mut gate, "/mcp", &good_token(), &[("x-user", "root")]), first);
}

#[test]
fn a_caller_without_claims_has_none_and_cannot_bring_any() {
    let config = telling(&json!([{ "claim": "sub", "header": "x-user" }]));
    let entry = json!({
        // SHA-256 of `secret`.
        "name": "ci", "sha256": "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",
        "scopes": ["mcp:read"], "expires": "never",
    });
    let config = put(config, "/resources/0/static_tokens", json!([entry]));
    let headers = upstream(&mut gate(&config), "/mcp", "secret", &[("X_User", "root"), ("x-user", "root")]);
    assert_eq!(headers.all("x-mcp-subject"), ["static:ci"]);
    assert!(headers.0.iter().all(|(_, value)| value != b"root"), "{headers:?}");
}

#[test]
fn each_line_has_a_claim_and_a_header_of_its_own() {
    const TAKEN: &str = "has a meaning of its own";
    let line = |header: &str| json!([{ "claim": "a", "header": header }]);
    let no_name = "is no header name in lower-case letters, digits and hyphens";
    let at = "identity_headers.claims";
    let mut rows = vec![
        (json!([]), String::new()),
        (json!([{ "claim": "a", "header": "x-a" }, { "claim": "a", "header": "x-b" }]), String::new()),
        (line("x-forwarded-user"), String::new()),
        (line("x-mcp-subjects"), String::new()),
        (json!({}), format!("{at}: is an object where a list is expected")),
        (json!(null), format!("{at}: is null where a list is expected")),
        (json!(["a"]), format!("{at}[0]: is a text where an object is expected")),
        (json!([{ "claim": "a" }]), format!("{at}[0].header: is missing")),
        (json!([{ "header": "x-a" }]), format!("{at}[0].claim: is missing")),
        (json!([{ "claim": "", "header": "x-a" }]), format!("{at}[0].claim: is empty")),
        (json!([{ "claim": "a", "header": "" }]), format!("{at}[0].header: is empty")),
        (
            json!([{ "claim": "a", "header": "x-a", "as": 1 }]),
            format!("{at}[0].as: unknown key; known here: claim, header"),
        ),
        (
            json!([{ "claim": "a", "header": "x-a" }, { "claim": "b", "header": "x-a" }]),
            "identity_headers: `x-a` is used twice".to_owned(),
        ),
        (line("x-mcp-subject"), "identity_headers: `x-mcp-subject` is used twice".to_owned()),
    ];
    rows.extend([":path", "X-A", "x_a", "x a"].map(|name| (line(name), format!("{at}[0].header: `{name}` {no_name}"))));
    let taken = [
        "authorization",
        "host",
        "content-length",
        "content-x",
        "mcp-session-id",
        "mcp-anything",
        "connection",
        "te",
        "transfer-encoding",
        "proxy-x",
        "cookie",
        "sec-fetch-site",
        "x-envoy-original-path",
        "x-forwarded-for",
        "x-request-id",
        "accept",
        "accept-encoding",
        "access-control-request-method",
        "if-none-match",
        "origin",
        "forwarded",
    ];
    rows.extend(taken.map(|name| (line(name), format!("{at}[0].header: `{name}` {TAKEN}"))));
    for (lines, finding) in rows {
        let expected: Vec<String> = Some(finding).filter(|finding| !finding.is_empty()).into_iter().collect();
        assert_eq!(findings(&telling(&lines)), expected, "{lines}");
    }
    let many = |count: usize| {
        let line = |number: usize| json!({ "claim": "a", "header": format!("x-{number}") });
        telling(&json!((0..count).map(line).collect::<Vec<_>>()))
    };
    assert_eq!(findings(&many(32)), Vec::<String>::new());
    assert_eq!(findings(&many(33)), ["identity_headers.claims: has `33` entries, more than 32"]);
}

/// What undoes the encoding.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend(before.bytes());
        bytes.push(u8::from_str_radix(&after[..2], 16).expect("two digits"));
        rest = &after[2..];
    }
    bytes.extend(rest.bytes());
    String::from_utf8(bytes).expect("a text")
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn any_texts_arrive_as_visible_ascii_and_come_back(
        items in proptest::collection::vec("\\PC{0,8}|[\\x00-\\x7f]{0,8}|[%,2C]{0,4}", 1..6),
    ) {
        let told = told(json!(items)).unwrap_or_default();
        prop_assert!(told.bytes().all(|byte| matches!(byte, 0x21..=0x7E)), "{told:?}");
        prop_assert_eq!(told.split(',').map(decoded).collect::<Vec<_>>(), items);
    }
}
