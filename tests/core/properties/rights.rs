//! Scopes, and what of a request goes upstream.

use mcp_oauth::{
    gate::Verdict,
    scope::{Scope, ScopeSet},
};
use proptest::{
    collection::{btree_set, vec},
    prelude::*,
    sample::{Index, select},
};
use serde_json::json;

use super::{Lines, TOKEN, any_bytes, any_value, ask_bytes, bytes, cases, inline_gate};
use crate::support::{HeaderMap, claims, gate, header, inline_config, outcome, present, put, sign, with};

proptest! {
    #![proptest_config(cases(2000))]

    /// RFC 6749 section 3.3.
    #[test]
    fn a_scope_is_printed_as_it_was_read(text in prop_oneof![any::<String>(), "[ -~]{0,12}"]) {
        let legal = |c: char| c == '\x21' || ('\x23'..='\x5B').contains(&c) || ('\x5D'..='\x7E').contains(&c);
        let expected = (!text.is_empty() && text.chars().all(legal)).then_some(text.as_str());
        let scope = Scope::parse(&text);
        prop_assert_eq!(scope.as_ref().map(Scope::as_str), expected);
    }

    #[test]
    fn a_set_of_scopes_is_read_as_it_was_printed(list in prop_oneof![any::<String>(), "([a-c:\"é]{1,2} {1,2}){0,6}"]) {
        let set = ScopeSet::from_list(&list);
        let printed = set.to_string();
        prop_assert_eq!(&ScopeSet::from_list(&printed), &set);
        prop_assert!(set.iter().all(|scope| set.contains(scope)));
        // Each legal word of the list, once, in order.
        let mut words: Vec<&str> = list.split(' ').filter(|word| Scope::parse(word).is_some()).collect();
        words.sort_unstable();
        words.dedup();
        prop_assert_eq!(printed, words.join(" "));
    }
}

proptest! {
    #![proptest_config(cases(150))]

    /// Rights only grow with scopes, and each scope that is needed is needed.
    #[test]
    fn a_needed_scope_decides_and_another_does_not(
        needed in btree_set("[a-d]{1,2}", 1..4),
        other in btree_set("[e-h]{1,2}", 0..4),
        removed in any::<Index>(),
    ) {
        let needed: Vec<String> = needed.into_iter().collect();
        let mut gate = gate(&put(inline_config(), "/resources/0/scopes", json!({ "required": needed })));
        let mut ask = |scopes: &[&str]| {
            outcome(present(&mut gate, &sign(&header(), &with(claims(), "scope", json!(scopes.join(" "))))))
        };
        let enough: Vec<&str> = needed.iter().map(String::as_str).collect();
        prop_assert_eq!(ask(&enough), Ok(()));
        let mut more: Vec<&str> = other.iter().map(String::as_str).collect();
        more.extend(&enough);
        prop_assert_eq!(ask(&more), Ok(()), "{:?} for {:?}", more, needed);
        let removed = enough[removed.index(enough.len())];
        more.retain(|scope| *scope != removed);
        let refused = ask(&more).err().map(|refusal| refusal.status());
        prop_assert_eq!(refused, Some(403), "{:?} for {:?}", more, needed);
    }

    /// Whoever the token says it is: the header can be undone to just that, and is one line of visible ASCII.
    #[test]
    fn an_identity_survives_its_header(subject in any::<String>(), client in "[ -~]{0,20}") {
        let claims = with(with(claims(), "sub", json!(subject)), "client_id", json!(client));
        let verdict = present(&mut inline_gate(), &sign(&header(), &claims));
        let Verdict::Forward(forward) = verdict else { return Err(TestCaseError::fail(format!("{verdict:?}"))) };
        let mut headers = HeaderMap(Vec::new());
        headers.apply(forward.edits());
        for (name, value) in [("x-mcp-subject", subject), ("x-mcp-client-id", client)] {
            let found = headers.all(name).concat();
            prop_assert!(found.bytes().all(|byte| byte.is_ascii_graphic()), "{}: {:?}", name, found);
            prop_assert_eq!(undo(&found), value.into_bytes(), "{}: {:?}", name, found);
        }
    }
}

/// Percent-decoding, for what is always well-formed.
fn undo(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut decoded = bytes(parts.next().unwrap_or_default());
    for part in parts {
        decoded.push(u8::from_str_radix(&part[..2], 16).expect("two digits"));
        decoded.extend(part[2..].bytes());
    }
    decoded
}

/// Places where clients have been seen to put their token besides the header, and other lines.
fn any_carrier() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let carriers = [
        "dpop",
        "DPoP",
        "proxy-authorization",
        "Proxy-Authorization",
        "x-mcp-subject",
        "X-MCP-Client-Id",
        "x_mcp_scopes",
        "X_Mcp-Issuer",
    ];
    let forms = ["", "Bearer ", "bearer x, "];
    let with_token = (select(carriers.to_vec()), select(forms.to_vec()))
        .prop_map(|(name, form)| (bytes(name), format!("{form}{}", *TOKEN).into_bytes()));
    let names = ["cookie", "accept", "x-custom", "origin", "x-mcp-session", "if-none-match", "content-type"];
    let other = (select(names.to_vec()), any_value()).prop_map(|(name, value)| (bytes(name), value));
    prop_oneof![with_token, other, ("[a-z]{1,6}", any_bytes(12)).prop_map(|(name, value)| (bytes(&name), value))]
}

fn any_query() -> impl Strategy<Value = String> {
    let names = ["access_token", "access%5Ftoken", "%61ccess_toke%6e"];
    let with_token = select(names.to_vec()).prop_map(|name| format!("{name}={}", *TOKEN));
    let other = select(&["a=b", "", "=", "access_token", "access_token2=x", "%", "a=access_token=b"][..]);
    vec(prop_oneof![with_token, other.prop_map(str::to_owned)], 0..5)
        .prop_map(|parts| if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) })
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn the_token_never_goes_upstream(
        before in vec(any_carrier(), 0..4),
        after in vec(any_carrier(), 0..4),
        query in any_query(),
        name in select(&["authorization", "Authorization", "AUTHORIZATION"][..]),
    ) {
        let token = &*TOKEN;
        let mut lines: Lines = before;
        lines.push((bytes(":method"), bytes("POST")));
        lines.push((bytes(":authority"), bytes("mcp.example.com")));
        lines.push((bytes(":path"), format!("/mcp{query}").into_bytes()));
        lines.push((bytes(name), format!("Bearer {token}").into_bytes()));
        lines.extend(after);
        let verdict = ask_bytes(&mut inline_gate(), &lines);
        let Verdict::Forward(forward) = verdict else { return Err(TestCaseError::fail(format!("{verdict:?}"))) };
        let mut headers = HeaderMap::new(&lines);
        headers.apply(forward.edits());
        prop_assert_eq!(headers.all("authorization"), Vec::<String>::new());
        for (name, value) in &headers.0 {
            let leaks = value.windows(token.len()).any(|part| part == token.as_bytes());
            prop_assert!(!leaks, "{}: {}", name.escape_ascii(), value.escape_ascii());
        }
        let told = ["x-mcp-subject", "x-mcp-client-id", "x-mcp-scopes", "x-mcp-issuer"].map(|name| headers.all(name));
        let expected = ["alice", "c1", "mcp:read mcp:write", "https://idp.example.com"];
        let expected = expected.map(|value| vec![value.to_owned()]);
        prop_assert_eq!(told, expected);
    }
}
