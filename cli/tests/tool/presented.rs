//! How `explain` is given a token: all of it, in the scheme that it is given in, or not at all.

use serde_json::json;

use crate::support::{NOW, assert_hidden, configuration, file, good_token, run_with, with};

/// `dpop` on, so that the scheme makes a difference.
fn path() -> String {
    let mut configuration = configuration();
    configuration["resources"][0]["dpop"] = json!({});
    file("a.json", configuration.to_string())
}

#[test]
fn the_value_of_the_header_is_taken_as_it_is_copied() {
    let path = path();
    let now = NOW.to_string();
    let good = good_token();
    let rows: [(&str, &[&str], &str); 12] = [
        ("{}", &[], "forward"),
        ("  {}\t \r\n\n", &[], "forward"),
        ("Bearer {}", &[], "forward"),
        ("BEARER {}\n", &[], "forward"),
        (" bearer  {}", &[], "forward"),
        ("{}", &["--scheme", "bearer"], "forward"),
        ("dpop {}", &["--scheme", "Bearer"], "forward"),
        ("{}", &["--scheme", "DPOP"], "mcp_oauth_token_not_bound"),
        ("dPoP {}", &[], "mcp_oauth_token_not_bound"),
        ("Basic {}", &[], "mcp_oauth_malformed_credentials"),
        ("{} {}", &[], "mcp_oauth_malformed_credentials"),
        ("Bearer Bearer {}", &[], "mcp_oauth_malformed_credentials"),
    ];
    for (form, more, expected) in rows {
        let given = form.replace("{}", &good);
        for (token, input) in [("-", given.as_str()), (given.as_str(), "")] {
            let arguments = ["explain", "--json", "--config", &path, "--now", &now, "--token", token];
            let told = run_with(&[&arguments, more].concat(), input);
            let document = told.json();
            let found = document.get("reason").unwrap_or(&document["verdict"]);
            assert_eq!(found, expected, "{form:?} {more:?}: {told:?}");
            assert_hidden(&told, &good);
        }
    }
}

#[test]
fn nothing_is_cut_off_or_ignored() {
    let path = path();
    let least = "a".repeat(64 * 1024);
    let more = format!("{least}a");
    let rows: [(&[&str], &str, &str); 11] = [
        (&["--token", "-"], &more, "standard input is longer than 64 KiB"),
        (&["--token", "-"], "", "the token is empty"),
        (&["--token", "-"], " \n", "the token is empty"),
        (&["--token", "-"], "Bearer ", "the token is empty"),
        (&["--token", ""], "", "the token is empty"),
        (&["--scheme", "bogus"], "", "an unknown --scheme"),
        (&["--scheme", "DPoP"], "", "--scheme without --token"),
        (&["--scheme", "bogus", "--token", "-"], "a", "an unknown --scheme"),
        (&["--token", "-", "--body", "-"], "a", "standard input can be one thing only"),
        (&["--config", "-", "--body", "-"], "{}", "standard input can be one thing only"),
        (&["--config", "-", "--keys", "-"], "{}", "standard input can be one thing only"),
    ];
    for (arguments, input, expected) in rows {
        let told = run_with(&[&["explain", "--config", &path], arguments].concat(), input);
        assert!(told.code == 2 && told.out.is_empty() && told.err.contains(expected), "{arguments:?}: {told:?}");
        assert!(told.err.contains("\n   cure: "), "{told:?}");
    }
    // One byte less is a token, and the core's to refuse.
    let told = run_with(&["explain", "--json", "--config", &path, "--token", "-"], &least);
    assert_eq!((told.code, told.json()["reason"].as_str()), (1, Some("mcp_oauth_malformed_credentials")));
    let told = run_with(&["explain", "--json", "--config", "-"], &configuration().to_string());
    assert_eq!(told.json()["reason"], "mcp_oauth_missing_token");
}

#[test]
fn a_body_is_judged_whole() {
    let path = file("a.json", with(configuration(), "hold_requests", json!("headers")).to_string());
    let most = 32 * 1024 * 1024;
    for (size, code) in [(most + 1, 2), (most, 1)] {
        let body = file("body", vec![b' '; size]);
        let told = run_with(&["explain", "--config", &path, "--body", &body], "");
        assert_eq!((told.code, told.err.contains("is longer than 32 MiB")), (code, code == 2), "{size}: {}", told.err);
    }
}
