//! Rules for resource URIs: exactly, or everything below a segment; a URI with two meanings is refused (5.3).

use mcp_oauth::refusal::Refusal;
use serde_json::{Value, json};

use super::{call, denied, judged, request, with_rules};
use crate::support::{Row, accepted, check, refused};

fn read(uri: &str) -> String {
    request("resources/read", &json!({ "uri": uri }))
}

fn listen(uris: &[&str]) -> String {
    request("subscriptions/listen", &json!({ "notifications": { "resourceSubscriptions": uris } }))
}

fn complete(reference: &Value) -> String {
    request("completion/complete", &json!({ "ref": reference, "argument": { "name": "a", "value": "b" } }))
}

fn denying(uris: &[&str]) -> Value {
    with_rules(&json!([{ "resources": uris, "deny": true }]))
}

#[test]
fn resources_are_named_in_full_or_by_a_segment_above() {
    let rows = [
        (
            "file:///a/b",
            vec!["file:///a/b"],
            vec!["file:///a/b/", "file:///a/b/c", "file:///a/B", "file:///a/bc", "file:///a", "file:///a/b?x"],
        ),
        (
            "file:///a/*",
            vec!["file:///a/", "file:///a/b", "file:///a/b/c", "file:///a/..b", "file:///a/?x"],
            vec!["file:///a", "file:///ab", "file:///A/b", "file:///", "xfile:///a/b"],
        ),
        ("file:///*", vec!["file:///", "file:///a"], vec!["https://a/"]),
    ];
    for (pattern, met, passing) in rows {
        let config = denying(&[pattern]);
        let met = met.into_iter().map(|uri| refused(format!("{pattern} meets {uri}"), read(uri), denied(0)));
        let passing = passing.into_iter().map(|uri| accepted(format!("{pattern} leaves {uri}"), read(uri)));
        check(met.chain(passing).collect(), |body| judged(&config, body));
    }
}

#[test]
fn every_place_of_a_uri_is_looked_at() {
    let config = denying(&["x://secret"]);
    let of = |method: &str, uri: &str| request(method, &json!({ "uri": uri }));
    let reference = |uri: &str| complete(&json!({ "type": "ref/resource", "uri": uri }));
    let mut rows = Vec::new();
    for method in ["resources/read", "resources/subscribe", "resources/unsubscribe"] {
        rows.push(refused(format!("5.3: {method}"), of(method, "x://secret"), denied(0)));
        rows.push(accepted(format!("5.3: {method} of another"), of(method, "x://open")));
    }
    let both = complete(&json!({ "type": "ref/prompt", "name": "a", "uri": "x://secret" }));
    rows.extend([
        refused("5.3: completion/complete", reference("x://secret"), denied(0)),
        accepted("5.3: completion/complete of another", reference("x://open")),
        refused("5.3: completion/complete with a name too", both, denied(0)),
        refused("5.3: subscriptions/listen", listen(&["x://secret"]), denied(0)),
        refused("5.3: subscriptions/listen, first of two", listen(&["x://secret", "x://open"]), denied(0)),
        refused("5.3: subscriptions/listen, last of three", listen(&["x://a", "x://b", "x://secret"]), denied(0)),
        accepted("5.3: subscriptions/listen to others", listen(&["x://a", "x://b"])),
        accepted("5.3: subscriptions/listen to none", listen(&[])),
        accepted("a tool of this name", call("x://secret")),
        accepted("a list", request("resources/list", &json!({}))),
    ]);
    check(rows, |body| judged(&config, body));
}

/// All that several URIs need is asked for at once.
#[test]
fn each_uri_of_a_subscription_needs_its_own_scopes() {
    let config = with_rules(&json!([
        { "resources": ["x://a/*"], "scopes": ["a"] },
        { "resources": ["x://b/*"], "scopes": ["b"] },
        { "resources": ["x://w/*"], "scopes": ["mcp:write"] },
    ]));
    let lacking = |needed: &str| super::lacking("mcp:read mcp:write", needed);
    let rows: Vec<Row<String>> = vec![
        accepted("has what it needs", listen(&["x://w/1", "x://w/2", "x://c"])),
        refused("lacks one", listen(&["x://w/1", "x://a/1"]), lacking("a mcp:read mcp:write")),
        refused("lacks two", listen(&["x://b/1", "x://a/1"]), lacking("a b mcp:read")),
    ];
    check(rows, |body| judged(&config, body));
}

/// A server that resolves the URI would read another resource than the one that was judged.
#[test]
fn a_uri_that_could_be_resolved_to_another_is_refused() {
    let ambiguous = [
        "file:///a/../b",
        "file:///a/./b",
        "file:///a/..",
        "file:///a/.",
        "..",
        ".",
        "../b",
        "file:///a/%2e%2e/b",
        "file:///a/%2E%2E/b",
        "file:///a/.%2e/b",
        "file:///a/%2e/b",
        "file:///a%2f..%2fb",
        "file:///a%2F%2e%2e%2Fb",
        "file:///a/%252e%252e/b",
        "file:///a/%252E%252e/b",
        "file:///a%252f..",
        "file:///a%252fb",
        "file:///a%255Cb",
        "file:///a\\..\\b",
        "file:///a\\.\\b",
        "file:///a%5c..%5cb",
        "file:///a%5C..",
        "file:///a/..?x",
        // The URL standard takes these for file:///a and https://h.example/a, and some servers ask it.
        "file://localhost/a",
        "file://",
        "https://h.example:443/a",
        "https://h.example:/a",
        "https://@h.example/a",
        "https://u@h.example/a",
        "https://h.example",
        "https://127.1/a",
        "https://0x7f.0.0.1/a",
        "https://h%2Eexample/a",
        // Python's urllib drops these.
        "file:///a#",
        "file:///a?",
        "x://a#b",
        "file:///a/..#x",
        "file:///a?x=/../b",
        "file:///a/..%3fx",
        // A scheme of its own: what follows is a path to most servers.
        "x://../y",
        "x://./y",
        "x://..",
        "x:../y",
        "x:/../y",
        // What the TypeScript SDK (`new URL(uri).toString()`) writes otherwise, and Python (`urlsplit`), in any scheme.
        "x://y:/z",
        "x://@y/z",
        "x://:@y/z",
        "x://u@y/z",
        "x://u:p@y/z",
        "x://y:0080/z",
        "x://y:080",
        "x://y:00/z",
        "x://y:65536/z",
        "x://y:a/z",
        "x://Y/z",
        "x://stationS/z",
        "x://y.Z:80/z",
        "x://%79/z",
        "x://a%C3%BC/z",
        "x://a%c3%bc/z",
        "x:/z",
        "x:/",
        "x:",
        "x:?a",
        // RFC 3986 section 6.2.2: another spelling of the same.
        "FILE:///a/b",
        "file://HOST/a",
        "file:/a",
        "file:a",
        "file:///a//b",
        "file:////a",
        "file:///%61",
        "file:///a%2Fb",
        "file:///a/%c3%bc",
        "file:///a/b;c",
        "file:///a/b%00",
        "file:///a/b%252C",
        // No URI at all.
        "file:///a/100%",
        "file:///a/%zz",
        "file:///a/%2",
        "file:///a/ü",
        "file:///a b",
        " file:///a",
        "a/b",
        "",
    ];
    let plain = [
        "file:///a/..b",
        "file:///a/b..",
        "file:///a/...",
        "file:///a/.hidden",
        "file:///a/b.c",
        "file:///a/b%20c",
        "file:///a/%C3%BC",
        "urn:a:b",
        "x://a/b?c=d/e",
        "https://h.example:8443/secret?x",
        "https://127.0.0.1/",
        "x://a/B",
        "x://y",
        "x://y/z",
        "x://y:80/z",
        "x://y:8080",
        "x://y:0/z",
        "x://a.b-c_d/z",
        "x:///z",
        "x:z",
        "x:z/a",
        "x+y.z-1://a/b?c",
    ];
    let config = denying(&["x://no"]);
    let mut rows: Vec<Row<(Value, String)>> = Vec::new();
    // Where no rule is about URIs, no URI means anything.
    let without = with_rules(&json!([{ "tools": ["a"], "deny": true }]));
    for uri in ambiguous {
        rows.push(refused(format!("5.3: {uri}"), (config.clone(), read(uri)), Refusal::AmbiguousUri));
        let listened = listen(&["file:///ok", uri]);
        rows.push(refused(format!("5.3: {uri} in a list"), (config.clone(), listened), Refusal::AmbiguousUri));
        rows.push(accepted(format!("{uri} without rules for URIs"), (without.clone(), read(uri))));
        rows.push(accepted(format!("{uri} as a tool"), (config.clone(), call(uri))));
    }
    for uri in plain {
        rows.push(accepted(format!("{uri} has one meaning"), (config.clone(), read(uri))));
    }
    check(rows, |(config, body)| judged(config, body));
}

/// The attacks of a review: each of these was read as the resource that the rule denies, and met no rule.
#[test]
fn a_rule_for_a_scheme_of_its_own_is_not_passed_by_another_spelling() {
    let config = denying(&["weather://stations/*"]);
    let rows = [
        "weather://stations:/secret",
        "weather://@stations/secret",
        "weather://:@stations/secret",
        "weather://stations:0080/secret",
        "weather://STATIONS/secret",
        "weather://u@stations/secret",
        "WEATHER://stations/secret",
    ];
    let rows = rows.map(|uri| refused(format!("5.3: {uri}"), read(uri), Refusal::AmbiguousUri));
    let itself = refused("5.3: as the rule says", read("weather://stations/secret"), denied(0));
    let rows = rows.into_iter().chain([itself, accepted("5.3: another", read("weather://towns/open"))]);
    check(rows.collect(), |body| judged(&config, body));
}

/// RFC 6570: the names of variables have their own case, and only completion is about templates.
#[test]
fn the_case_of_a_template_is_its_own() {
    let config = denying(&["x://{townId}/secret", "x://a/{Id}"]);
    let of = |uri: &str| complete(&json!({ "type": "ref/resource", "uri": uri }));
    let ambiguous =
        ["x://{townId}:/a", "x://{townId}/../a", "x://A/{Id}", "x://{a", "x://a}", "x://u@{h}/a", "x://{a}{B"];
    let mut rows: Vec<Row<String>> =
        ambiguous.iter().map(|uri| refused(format!("5.3: {uri}"), of(uri), Refusal::AmbiguousUri)).collect();
    rows.extend([
        refused("5.3: in the host", of("x://{townId}/secret"), denied(0)),
        refused("5.3: in the path", of("x://a/{Id}"), denied(0)),
        accepted("5.3: another template", of("x://{townId}/open")),
        accepted("5.3: the name in another case is another template", of("x://a/{id}")),
        accepted("RFC 6570 3.2: operators", of("x://a/{+path}{?q,R}")),
        refused("5.3: a URI has no braces", read("x://{townId}/open"), Refusal::AmbiguousUri),
    ]);
    check(rows, |body| judged(&config, body));
}
