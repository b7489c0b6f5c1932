//! The file as a whole: strict JSON, known keys only, every finding at once, bounded.

use mcp_oauth::config;
use serde_json::{Value, json};

use crate::support::{ISSUER, RESOURCE, findings, findings_in, inline_config, jwk, jwks, put, remote_config};

#[test]
fn the_file_is_one_json_object() {
    let good = inline_config().to_string();
    let after = |more: &str| [good.as_bytes(), more.as_bytes()].concat();
    let syntax = |line: usize, column: usize| format!("not one JSON value (line {line}, column {column})");
    let not_an_object = || "not a JSON object".to_owned();
    let rows = [
        ("empty", Vec::new(), syntax(1, 1)),
        ("only white space", b" \n ".to_vec(), syntax(2, 2)),
        ("cut off", good.as_bytes()[..good.len() - 1].to_vec(), syntax(1, good.len())),
        ("trailing text", after(" x"), syntax(1, good.len() + 2)),
        ("a second value", after(&good), syntax(1, good.len() + 1)),
        ("a trailing NUL", after("\0"), syntax(1, good.len() + 1)),
        ("a byte order mark", format!("\u{feff}{good}").into_bytes(), syntax(1, 1)),
        ("a trailing comma", b"{\"unmatched\":\"deny\",}".to_vec(), syntax(1, 21)),
        ("a comment", b"{\n// no\n}".to_vec(), syntax(2, 1)),
        ("not UTF-8", b"{\"unmatched\":\"\xff\"}".to_vec(), syntax(1, 15)),
        ("not UTF-8 in a key", b"{\"\xc0\xaf\":1}".to_vec(), syntax(1, 3)),
        ("a list", format!("[{good}]").into_bytes(), not_an_object()),
        ("a text", b"\"{}\"".to_vec(), not_an_object()),
        ("null", b"null".to_vec(), not_an_object()),
    ];
    for (name, file, finding) in rows {
        assert_eq!(findings_in(&file), [finding], "{name}");
    }
    let spaced = format!("\r\n\t {good} \n");
    assert_eq!(findings_in(spaced.as_bytes()), Vec::<String>::new(), "white space around it");
}

/// A host stack is small in wasm: depth must end in a finding, not in an overflow.
#[test]
fn nesting_is_bounded() {
    for depth in [128, 10_000, 200_000] {
        let lists = format!("{{\"x\":{}", "[".repeat(depth));
        assert_eq!(findings_in(lists.as_bytes()), ["not one JSON value (line 1, column 132)"], "{depth} lists");
        let objects = "{\"x\":".repeat(depth);
        assert_eq!(findings_in(objects.as_bytes()), ["not one JSON value (line 1, column 636)"], "{depth} objects");
    }
    let known = "known here: authorization_servers, resources, identity_headers, unmatched, token_cache, verify_signature, hold_requests, filter_state, route_metadata, request_metrics";
    let fits = put(inline_config(), "/x", (0..126).fold(json!(1), |inner, _| json!([inner])));
    assert_eq!(findings(&fits), [format!("x: unknown key; {known}")], "126 lists in an object");
}

#[test]
fn every_key_is_known_at_every_level() {
    let rows = [
        (
            "/Unmatched",
            "Unmatched",
            "authorization_servers, resources, identity_headers, unmatched, token_cache, verify_signature, hold_requests, filter_state, route_metadata, request_metrics",
        ),
        (
            "/authorization_servers/0/audience",
            "authorization_servers[0].audience",
            "issuer, provider, cluster, jwks_uri, jwks, jwks_cluster, algorithms, clock_skew, fetch_timeout, keys_max_age, \
             keys_max_stale, refetch_cooldown, require_at_jwt, scope_claims, introspect, introspection",
        ),
        (
            "/resources/0/audience",
            "resources[0].audience",
            "resource, authorization_servers, audiences, scopes, host_default, metadata, rules, default, anonymous_methods, body, filter_lists, sessions, dpop, mutual_tls, static_tokens, origins, cors, upstream_credential, report_only, browser_page",
        ),
        (
            "/resources/0/scopes/scope",
            "resources[0].scopes.scope",
            "required, challenged, advertised, implies, request_as, challenge",
        ),
        (
            "/resources/0/metadata/resource_names",
            "resources[0].metadata.resource_names",
            "resource_name, resource_documentation, resource_policy_uri, resource_tos_uri, max_age",
        ),
        ("/identity_headers/sub", "identity_headers.sub", "subject, client_id, scopes, issuer, claims"),
        // An operator's log line stays one line.
        (
            "/a\nb `c`",
            "a?b ?c?",
            "authorization_servers, resources, identity_headers, unmatched, token_cache, verify_signature, hold_requests, filter_state, route_metadata, request_metrics",
        ),
    ];
    let base = put(inline_config(), "/identity_headers", json!({}));
    let base = put(base, "/resources/0/metadata", json!({}));
    assert_eq!(findings(&base), Vec::<String>::new(), "without any of them");
    for (at, place, known) in rows {
        let expected = format!("{place}: unknown key; known here: {known}");
        assert_eq!(findings(&put(base.clone(), at, json!(true))), [expected], "{at:?}");
    }
    let long = put(base, &format!("/{}", "x".repeat(1000)), json!(1));
    let shown = findings(&long).concat();
    assert!(shown.starts_with(&format!("{}...: unknown key", "x".repeat(80))), "a long key: {shown}");
}

/// RFC 8259 section 4: what a second member of one name means is anybody's guess.
#[test]
fn no_member_appears_twice() {
    let rows = [
        ("\"unmatched\":\"deny\"", "unmatched"),
        ("\"resource\":\"https://mcp.example.com/mcp\"", "resource"),
        ("\"required\":[\"mcp:read\"]", "required"),
        ("\"issuer\":\"https://idp.example.com\"", "issuer"),
        // In a part that is not ours to know, too.
        ("\"kty\":\"EC\"", "kty"),
    ];
    let good = put(inline_config(), "/unmatched", json!("deny")).to_string();
    assert_eq!(findings_in(good.as_bytes()), Vec::<String>::new());
    for (member, name) in rows {
        let second = good.find(member).expect("it is in the file") + member.len() + 2;
        let expected = format!("`{name}`: a member appears twice (line 1, column {second})");
        let twice = good.replacen(member, &format!("{member},{member}"), 1);
        assert_eq!(findings_in(twice.as_bytes()), [&*expected], "{name}");
        // The same name in another spelling of JSON.
        let escaped = member.replacen(&name[..1], &format!("\\u{:04x}", name.as_bytes()[0]), 1);
        let twice = good.replacen(member, &format!("{member},{escaped}"), 1);
        assert_eq!(findings_in(twice.as_bytes()), [expected], "{escaped}");
    }
}

/// An operator mends a file in one round.
#[test]
fn all_findings_come_at_once_in_the_order_of_the_file_format() {
    let config = json!({
        "authorization_server": [],
        "authorization_servers": [
            { "issuer": "http://idp.example.com", "algorithms": ["none", "HS256"], "clock_skew": "6m" },
            { "issuer": ISSUER, "cluster": "idp", "jwks_uri": "https://idp.example.com/#keys", "secret": "s" },
            { "issuer": "https://other.example.com", "jwks": { "keys": [] }, "keys_max_age": "1h" },
        ],
        "resources": [
            { "resource": "http://mcp.example.com/mcp", "audiences": [], "scopes": { "required": ["a b"] } },
            { "authorization_servers": ["https://nobody.example.com"], "host_default": 1 },
            { "resource": "https://mcp.example.com/a/", "metadata": { "resource_tos_uri": "tos", "max_age": "2d" } },
            { "resource": "https://mcp.example.com/a", "scopes": { "advertised": ["offline_access"] } },
        ],
        "identity_headers": { "subject": "Cookie", "issuer": "cookie" },
        "unmatched": "allow",
    });
    let expected = [
        "authorization_server: unknown key; known here: authorization_servers, resources, identity_headers, unmatched, token_cache, verify_signature, hold_requests, filter_state, route_metadata, request_metrics",
        "authorization_servers[0].issuer: `http://idp.example.com` is http, which is allowed on loopback hosts only",
        "authorization_servers[0].algorithms[0]: `none` is no supported algorithm",
        "authorization_servers[0].algorithms[1]: `HS256` is no supported algorithm",
        "authorization_servers[0].clock_skew: `6m` is not within 0s and 5m",
        "authorization_servers[0].cluster: is missing",
        "authorization_servers[1].secret: unknown key; known here: issuer, provider, cluster, jwks_uri, jwks, jwks_cluster, \
         algorithms, clock_skew, fetch_timeout, keys_max_age, keys_max_stale, refetch_cooldown, require_at_jwt, scope_claims, introspect, introspection",
        "authorization_servers[1].jwks_uri: `https://idp.example.com/#keys` has a fragment, which RFC 8707 section 2 \
         forbids",
        "authorization_servers[2].keys_max_age: has no meaning beside `jwks`: inline keys are never fetched",
        "authorization_servers[2].jwks: none of the `0` keys of the JWK Set is usable",
        "resources[0].audiences: is empty: no token could be accepted",
        "resources[0].scopes.required[0]: `a b` is no scope (RFC 6749 section 3.3)",
        "resources[0].resource: `http://mcp.example.com/mcp` is http, which is allowed on loopback hosts only",
        "resources[1].authorization_servers[0]: `https://nobody.example.com` is no configured issuer",
        "resources[1].host_default: is a number where true or false is expected",
        "resources[1].resource: is missing",
        "resources[2].metadata.resource_tos_uri: `tos` is not an absolute URL",
        "resources[2].metadata.max_age: `2d` is no duration: write a whole number and ms, s, m or h",
        "resources[3].scopes.advertised[0]: `offline_access` is between a client and its authorization server",
        "resources[3].resource: `https://mcp.example.com/a` has the host and path of another resource",
        "identity_headers.subject: `Cookie` is no header name in lower-case letters, digits and hyphens",
        "identity_headers.issuer: `cookie` has a meaning of its own",
        "unmatched: `allow` is not one of `deny`, `insecure_forward`",
    ];
    assert_eq!(findings(&config), expected);
    // Total and deterministic: a proxy that runs it in several VMs gets the same answer in each.
    assert_eq!(findings(&config), findings(&config));
}

#[test]
fn an_issuer_is_listed_once() {
    let server = |issuer: &str| json!({ "issuer": issuer, "cluster": "idp" });
    let rows = [
        (vec![server(ISSUER), server("https://other.example.com")], Vec::new()),
        // Another text is another issuer (RFC 8414 section 3.3).
        (vec![server(ISSUER), server("https://idp.example.com/")], Vec::new()),
        (
            vec![server(ISSUER), server("https://other.example.com"), server(ISSUER)],
            vec!["authorization_servers[2]: issuer `https://idp.example.com` is listed twice"],
        ),
    ];
    for (servers, expected) in rows {
        let config = put(remote_config(), "/authorization_servers", json!(servers));
        assert_eq!(findings(&config), expected, "{servers:?}");
    }
}

#[test]
fn lists_are_bounded() {
    let servers = |count: usize| {
        let servers: Vec<Value> =
            (0..count).map(|n| json!({ "issuer": format!("https://idp.example.com/{n}"), "cluster": "idp" })).collect();
        put(remote_config(), "/authorization_servers", json!(servers))
    };
    assert_eq!(config::MAX_AUTHORIZATION_SERVERS, 32);
    assert_eq!(findings(&servers(32)), Vec::<String>::new(), "32 authorization servers");
    assert_eq!(findings(&servers(33)), ["authorization_servers: has `33` entries, more than 32"]);

    let resources = |count: usize| {
        let resources: Vec<Value> = (0..count).map(|n| json!({ "resource": format!("{RESOURCE}/{n}") })).collect();
        put(remote_config(), "/resources", json!(resources))
    };
    assert_eq!(config::MAX_RESOURCES, 10_000);
    assert_eq!(findings(&resources(10_000)), Vec::<String>::new(), "10 000 resources");
    assert_eq!(findings(&resources(10_001)), ["resources: has `10001` entries, more than 10000"]);
}

/// RFC 7517 section 5: a key that cannot be used does not spoil the set.
#[test]
fn inline_keys_need_one_that_is_usable() {
    let symmetric = json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "s" });
    let rows = [
        (vec![jwk(1, "k1")], Vec::new()),
        (vec![symmetric.clone(), jwk(1, "k1")], Vec::new()),
        (vec![symmetric], vec!["authorization_servers[0].jwks: none of the `1` keys of the JWK Set is usable"]),
    ];
    for (keys, expected) in rows {
        let config = put(inline_config(), "/authorization_servers/0/jwks", jwks(&keys));
        assert_eq!(findings(&config), expected, "{keys:?}");
    }
}
