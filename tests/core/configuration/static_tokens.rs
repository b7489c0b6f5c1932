//! `static_tokens`: nothing is guessed, and no finding repeats what may be a secret.

use serde_json::{Value, json};

use super::{Setting, check};
use crate::support::{findings, inline_config, put};

const HASH: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const OTHER: &str = "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn entry(name: &str, sha256: &str) -> Value {
    json!({ "name": name, "sha256": sha256, "scopes": ["mcp:read"], "expires": "never" })
}

fn listing(entries: &Value) -> Value {
    put(inline_config(), "/resources/0/static_tokens", entries.clone())
}

#[test]
fn an_entry_says_everything() {
    let no_hash = "resources[0].static_tokens[0].sha256: is no SHA-256 in 64 lower-case hexadecimal digits";
    let no_date = "resources[0].static_tokens[0].expires: `(not shown)` is neither `never` nor a date in UTC such as \
                   2027-01-31T12:00:00Z";
    let bad_dates = [
        "Never",
        "2027-01-31",
        "2027-01-31 12:00:00Z",
        "2027-01-31T12:00:00",
        "2027-01-31t12:00:00z",
        "2027-01-31T12:00:00+00:00",
        "2027-01-31T12:00:00.5Z",
        "2027-01-31T12:00Z",
        "2027-1-31T12:00:00Z",
        "2027-02-29T12:00:00Z",
        "2100-02-29T12:00:00Z",
        "2027-04-31T12:00:00Z",
        "2027-00-10T12:00:00Z",
        "2027-13-10T12:00:00Z",
        "2027-01-00T12:00:00Z",
        "2027-01-32T12:00:00Z",
        "2027-01-31T24:00:00Z",
        "2027-01-31T12:60:00Z",
        "2027-01-31T12:00:60Z",
        "1969-12-31T23:59:59Z",
        "0000-01-01T00:00:00Z",
        "+027-01-31T12:00:00Z",
        "2027-01-31T12:00:00Z ",
        "10m",
        "2027-01-31T12:00:0",
    ];
    let mut expires: Vec<(Value, &'static str)> = bad_dates.map(|text| (json!(text), no_date)).to_vec();
    expires.extend([
        (json!(1_800_000_000), "resources[0].static_tokens[0].expires: is a number where a text is expected"),
        (json!(null), "resources[0].static_tokens[0].expires: is null where a text is expected"),
    ]);
    let secret = "hunter2-the-token-itself";
    let longest = "n".repeat(64);
    let too_long = "n".repeat(65);
    let long = "resources[0].static_tokens[0].name: `(not shown)` is a name of more than 64 characters";
    check(
        &listing(&json!([entry("ci", HASH)])),
        vec![
            Setting {
                at: "/resources/0/static_tokens",
                good: vec![json!([]), json!([entry("ci", HASH), entry("ci2", OTHER)])],
                bad: vec![
                    (json!({}), "resources[0].static_tokens: is an object where a list is expected"),
                    (json!([secret]), "resources[0].static_tokens[0]: is a text where an object is expected"),
                    (
                        json!([entry("ci", HASH), entry("ci", OTHER)]),
                        "resources[0].static_tokens[1]: `ci` is listed twice",
                    ),
                    (
                        json!([entry("ci", HASH), entry("ci2", HASH)]),
                        "resources[0].static_tokens[1]: `ci2` has the same token as `ci`",
                    ),
                ],
                missing: "",
            },
            Setting {
                at: "/resources/0/static_tokens/0/name",
                good: vec![json!("a"), json!("CI_runner-2.example"), json!(longest)],
                bad: vec![
                    (json!(""), "resources[0].static_tokens[0].name: is empty"),
                    (json!(5), "resources[0].static_tokens[0].name: is a number where a text is expected"),
                    (
                        json!("c i"),
                        "resources[0].static_tokens[0].name: `(not shown)` is no name of letters, digits, `.`, `_` and `-`",
                    ),
                    (
                        json!("c%69"),
                        "resources[0].static_tokens[0].name: `(not shown)` is no name of letters, digits, `.`, `_` and `-`",
                    ),
                    (json!(too_long), long),
                ],
                missing: "resources[0].static_tokens[0].name: is missing",
            },
            Setting {
                at: "/resources/0/static_tokens/0/sha256",
                good: vec![json!(HASH)],
                bad: vec![
                    (json!(HASH.to_uppercase()), no_hash),
                    (json!(&HASH[1..]), no_hash),
                    (json!(format!("{HASH}0")), no_hash),
                    (json!(HASH.replace('f', "g")), no_hash),
                    (json!(format!("sha256:{}", &HASH[7..])), no_hash),
                    (json!("ü".repeat(32)), no_hash),
                    (json!(secret), no_hash),
                    (json!(""), "resources[0].static_tokens[0].sha256: is empty"),
                ],
                missing: "resources[0].static_tokens[0].sha256: is missing",
            },
            Setting {
                at: "/resources/0/static_tokens/0/scopes",
                good: vec![json!([]), json!(["a", "b"])],
                bad: vec![
                    (json!("mcp:read"), "resources[0].static_tokens[0].scopes: is a text where a list is expected"),
                    (
                        json!(["a b"]),
                        "resources[0].static_tokens[0].scopes[0]: `(not shown)` is no scope (RFC 6749 section 3.3)",
                    ),
                ],
                missing: "resources[0].static_tokens[0].scopes: is missing: a list, which may be empty",
            },
            Setting {
                at: "/resources/0/static_tokens/0/expires",
                good: vec![json!("never"), json!("1970-01-01T00:00:00Z"), json!("2028-02-29T23:59:59Z")],
                bad: expires,
                missing: "resources[0].static_tokens[0].expires: is missing: a date, or `never`",
            },
        ],
    );
}

#[test]
fn as_many_as_fit_are_listed() {
    let entries = |count: usize| {
        let entry = |number: usize| entry(&format!("n{number}"), &format!("{number:064x}"));
        listing(&json!((0..count).map(entry).collect::<Vec<_>>()))
    };
    assert_eq!(findings(&entries(256)), Vec::<String>::new());
    assert_eq!(findings(&entries(257)), ["resources[0].static_tokens: has `257` entries, more than 256"]);
    // The same name and token in another resource is another entry.
    let one = listing(&json!([entry("ci", HASH)]));
    let other = json!({ "resource": "https://mcp.example.com/other", "static_tokens": [entry("ci", HASH)] });
    assert_eq!(findings(&put(one.clone(), "/resources", json!([one["resources"][0], other]))), Vec::<String>::new());
}

#[test]
fn no_finding_tells_what_may_be_a_token() {
    let secret = "hunter2";
    for at in ["", "/0", "/0/sha256"] {
        let config = listing(&json!([entry("ci", HASH)]));
        let config = put(config, &format!("/resources/0/static_tokens{at}"), json!(secret));
        let found = findings(&config).concat();
        assert!(!found.is_empty() && !found.contains(secret), "{at}: {found}");
    }
}
