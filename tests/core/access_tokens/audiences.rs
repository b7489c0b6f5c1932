//! `aud` names the resource, exactly: RFC 8707 section 2, MCP authorization (Access Token Privilege Restriction).

use mcp_oauth::token::{ClaimFault, TokenError};
use serde_json::{Value, json};

use crate::support::{RESOURCE, Row, accepted, check_tokens, inline_config, invalid, with};

use super::{bad_claim, claiming, without};

/// A token for somebody else, in the eyes of a resource that accepts `accepted`.
fn for_others(name: &str, aud: Value, found: &str, accepted: &str) -> Row<String> {
    let error = TokenError::Audience { found: found.to_owned(), accepted: accepted.to_owned() };
    invalid(name, claiming("aud", aud), error)
}

fn other(name: &str, audience: &str) -> Row<String> {
    for_others(name, json!(audience), audience, RESOURCE)
}

#[test]
fn the_audience_is_the_resource() {
    let wrong_type = |name: &str, value: Value| bad_claim(name, claiming("aud", value), "aud", ClaimFault::Type);
    check_tokens(
        &inline_config(),
        vec![
            accepted("RFC 8707 2: the resource", claiming("aud", json!(RESOURCE))),
            accepted("RFC 7519 4.1.3: an array of one", claiming("aud", json!([RESOURCE]))),
            accepted("RFC 7519 4.1.3: first of several", claiming("aud", json!([RESOURCE, "https://a.example"]))),
            accepted("RFC 7519 4.1.3: last of several", claiming("aud", json!(["https://a.example", RESOURCE]))),
            bad_claim("RFC 8725 3.9: no `aud`", without("aud"), "aud", ClaimFault::Missing),
            wrong_type("RFC 7519 4.1.3: `aud` is null", Value::Null),
            wrong_type("RFC 7519 4.1.3: `aud` is a number", json!(1)),
            wrong_type("RFC 7519 4.1.3: `aud` is true", json!(true)),
            wrong_type("RFC 7519 4.1.3: `aud` is an object", json!({ "0": RESOURCE })),
            wrong_type("RFC 7519 4.1.3: an array with a number before it", json!([1, RESOURCE])),
            wrong_type("RFC 7519 4.1.3: an array with a null behind it", json!([RESOURCE, null])),
            wrong_type("RFC 7519 4.1.3: an array in an array", json!([[RESOURCE]])),
            for_others("RFC 7519 4.1.3: an empty array", json!([]), "", RESOURCE),
            for_others(
                "RFC 7519 4.1.3: an array without it",
                json!(["https://a.example", "https://b.example"]),
                "https://a.example https://b.example",
                RESOURCE,
            ),
            other("RFC 8707 2: another resource", "https://a.example/mcp"),
            other("RFC 8707 2: no text at all", ""),
            other("RFC 8707 2: the origin of the resource", "https://mcp.example.com"),
            other("RFC 8707 2: a prefix", "https://mcp.example.com/mc"),
            other("RFC 8707 2: a longer name", "https://mcp.example.com/mcp-admin"),
            other("RFC 8707 2: a path below it", "https://mcp.example.com/mcp/tools"),
            other("RFC 9728 6: a slash more", "https://mcp.example.com/mcp/"),
            other("RFC 9728 6: another case in the path", "https://mcp.example.com/MCP"),
            other("RFC 9728 6: another case in the host", "https://MCP.example.com/mcp"),
            other("RFC 9728 6: the default port", "https://mcp.example.com:443/mcp"),
            other("RFC 9728 6: another scheme", "http://mcp.example.com/mcp"),
            other("RFC 9728 6: percent-encoded", "https://mcp.example.com/%6Dcp"),
            other("RFC 9728 6: a query", "https://mcp.example.com/mcp?a"),
            other("RFC 9728 6: a fragment", "https://mcp.example.com/mcp#a"),
            other("RFC 9728 6: a space", "https://mcp.example.com/mcp "),
            other("RFC 7519 4.1.3: two in one text", "https://mcp.example.com/mcp https://a.example"),
            other("RFC 7519 4.1.3: no list by commas", "https://mcp.example.com/mcp,https://a.example"),
        ],
    );
}

/// Clients older than typescript-sdk#1968 write a bare origin with a slash, so for those both spellings count.
#[test]
fn a_bare_origin_has_two_spellings_and_no_third() {
    let bare = ("https://mcp.example.com", "https://mcp.example.com https://mcp.example.com/");
    let slash = ("https://mcp.example.com/", "https://mcp.example.com/ https://mcp.example.com");
    for (resource, accepts) in [bare, slash] {
        let other = |name: &str, audience: &str| for_others(name, json!(audience), audience, accepts);
        check_tokens(
            &with(inline_config(), "resources", json!([{ "resource": resource }])),
            vec![
                accepted("RFC 8707 2: without a slash", claiming("aud", json!("https://mcp.example.com"))),
                accepted("RFC 8707 2: with a slash", claiming("aud", json!("https://mcp.example.com/"))),
                other("RFC 9728 6: two slashes", "https://mcp.example.com//"),
                other("RFC 9728 6: a path", "https://mcp.example.com/mcp"),
                other("RFC 9728 6: the default port", "https://mcp.example.com:443"),
                other("RFC 9728 6: another port", "https://mcp.example.com:8443/"),
                other("RFC 9728 6: another case", "https://MCP.example.com"),
                other("RFC 9728 6: another scheme", "http://mcp.example.com/"),
                other("RFC 9728 6: a longer host", "https://mcp.example.com.attacker.example"),
                other("RFC 9728 6: an empty query", "https://mcp.example.com?"),
            ],
        );
    }
}

#[test]
fn configured_audiences_replace_the_resource() {
    let audiences = json!(["api://mcp", "0a1b2c"]);
    let config = with(inline_config(), "resources", json!([{ "resource": RESOURCE, "audiences": audiences }]));
    let accepts = "api://mcp 0a1b2c";
    check_tokens(
        &config,
        vec![
            accepted("RFC 8707 2: the first alias", claiming("aud", json!("api://mcp"))),
            accepted("RFC 8707 2: the second alias", claiming("aud", json!(["https://a.example", "0a1b2c"]))),
            for_others("RFC 8707 2: the resource itself", json!(RESOURCE), RESOURCE, accepts),
            for_others("RFC 9728 6: an alias and a slash", json!("api://mcp/"), "api://mcp/", accepts),
            for_others("RFC 9728 6: both aliases in one text", json!(accepts), accepts, accepts),
        ],
    );
    // The same alias where it is not configured.
    check_tokens(
        &inline_config(),
        vec![
            accepted("RFC 8707 2: the resource", claiming("aud", json!(RESOURCE))),
            other("RFC 8707 2: an alias", "api://mcp"),
        ],
    );
}

#[test]
fn an_audience_of_another_resource_of_the_same_gate_is_refused() {
    let resources = json!([{ "resource": RESOURCE }, { "resource": "https://mcp.example.com/other" }]);
    check_tokens(
        &with(inline_config(), "resources", resources),
        vec![
            accepted("RFC 8707 2: its own", claiming("aud", json!(RESOURCE))),
            other("RFC 8707 2: its neighbour's", "https://mcp.example.com/other"),
        ],
    );
}
