//! Tokens in the query (OAuth 2.1 section 5.1.1 forbids them): never read, never passed on.

use super::{gate, good_token, inline_config, upstream};

/// `:path` as the client sent it and as the upstream gets it.
const ROWS: [(&str, &str); 33] = [
    // Nothing to remove, nothing changed.
    ("/mcp", "/mcp"),
    ("/mcp?", "/mcp?"),
    ("/mcp?a=1&b=2", "/mcp?a=1&b=2"),
    ("/mcp?&&=&a", "/mcp?&&=&a"),
    ("/mcp?a=access_token", "/mcp?a=access_token"),
    ("/mcp?a=1?access_token=2", "/mcp?a=1?access_token=2"),
    ("/mcp?xaccess_token=1", "/mcp?xaccess_token=1"),
    ("/mcp?access_token2=1", "/mcp?access_token2=1"),
    ("/mcp?access_toke=n", "/mcp?access_toke=n"),
    ("/mcp?access-token=1", "/mcp?access-token=1"),
    ("/mcp?access%255Ftoken=1", "/mcp?access%255Ftoken=1"),
    ("/mcp?access_token%=1", "/mcp?access_token%=1"),
    ("/mcp?access_token%00=1", "/mcp?access_token%00=1"),
    ("/mcp/access_token", "/mcp/access_token"),
    // Removed, with its separator.
    ("/mcp?access_token=1", "/mcp"),
    ("/mcp?access_token=", "/mcp"),
    ("/mcp?access_token", "/mcp"),
    ("/mcp?access_token=1=2=", "/mcp"),
    ("/mcp?access_token=1&a=2", "/mcp?a=2"),
    ("/mcp?a=2&access_token=1", "/mcp?a=2"),
    ("/mcp?a=2&access_token=1&b=3", "/mcp?a=2&b=3"),
    ("/mcp?access_token=1&access_token=2", "/mcp"),
    ("/mcp?access_token=1&a&access_token=2&b&access_token", "/mcp?a&b"),
    ("/mcp/?access_token=1", "/mcp/"),
    // Under another spelling of its name.
    ("/mcp?access%5Ftoken=1&a", "/mcp?a"),
    ("/mcp?access%5ftoken=1&a", "/mcp?a"),
    ("/mcp?%61ccess_token=1&a", "/mcp?a"),
    ("/mcp?access_toke%6E=1&a", "/mcp?a"),
    ("/mcp?%61%63%63%65%73%73%5F%74%6F%6B%65%6E=1&a", "/mcp?a"),
    ("/mcp?%61%63%63%65%73%73%5f%74%6f%6b%65%6e&a", "/mcp?a"),
    // The others keep every byte and their order.
    ("/mcp?z=%2f&access_token=1&a=+&b=%&c=\"<>\\;:@", "/mcp?z=%2f&a=+&b=%&c=\"<>\\;:@"),
    ("/mcp?a&&access_token=1&&b", "/mcp?a&&&b"),
    ("/mcp?a=1&a=2&access_token=x&a=3", "/mcp?a=1&a=2&a=3"),
];

#[test]
fn a_token_in_the_query_is_cut_out_and_the_rest_is_kept() {
    let mut gate = gate(&inline_config());
    for (path, expected) in ROWS {
        let headers = upstream(&mut gate, path, &good_token(), &[]);
        assert_eq!(headers.all(":path"), [expected], "{path}");
    }
}

/// Without a change the header is not touched at all.
#[test]
fn a_path_without_a_token_is_not_edited() {
    use mcp_oauth::{forward::Edit, gate::Verdict};

    let authorization = format!("Bearer {}", good_token());
    for (path, expected) in ROWS {
        let lines = crate::support::head(path, &[("authorization", &authorization)]);
        let Verdict::Forward(forward) = crate::support::ask(&mut gate(&inline_config()), &lines) else {
            panic!("{path}: not forwarded")
        };
        let edited = forward.edits().any(|edit| matches!(edit, Edit::Set(":path", _)));
        assert_eq!(edited, path != expected, "{path}");
    }
}
