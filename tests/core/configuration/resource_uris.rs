//! What may be the URI of a resource (RFC 8707 section 2, RFC 9728 section 1.2), and when two are in each other's way.

use serde_json::{Value, json};

use crate::support::{ISSUER, ask, findings, gate, inline_config, put, reply, reply_header, shown_uri};

fn config(resource: &str) -> Value {
    put(inline_config(), "/resources", json!([{ "resource": resource }]))
}

/// URI, `:authority` and `:path` of a request for it, metadata URL that the challenge names.
#[test]
fn an_accepted_uri_is_kept_as_it_is_written_and_matches_its_requests() {
    const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
    let rows = [
        ("https://mcp.example.com", "mcp.example.com", "/any", "https://mcp.example.com", ""),
        ("https://mcp.example.com/", "mcp.example.com", "/", "https://mcp.example.com", ""),
        ("https://mcp.example.com/mcp", "mcp.example.com", "/mcp", "https://mcp.example.com", "/mcp"),
        ("https://mcp.example.com/mcp/", "mcp.example.com", "/mcp/", "https://mcp.example.com", "/mcp/"),
        (
            "https://mcp.example.com:8443/a/mcp",
            "mcp.example.com:8443",
            "/a/mcp",
            "https://mcp.example.com:8443",
            "/a/mcp",
        ),
        ("https://mcp.example.com:80/mcp", "mcp.example.com:80", "/mcp", "https://mcp.example.com:80", "/mcp"),
        ("https://xn--bcher-kva.example/mcp", "xn--bcher-kva.example", "/mcp", "https://xn--bcher-kva.example", "/mcp"),
        ("https://192.0.2.1/mcp", "192.0.2.1", "/mcp", "https://192.0.2.1", "/mcp"),
        ("https://[2001:db8::1]/mcp", "[2001:db8::1]", "/mcp", "https://[2001:db8::1]", "/mcp"),
        ("https://[2001:db8::1]:8443/mcp", "[2001:db8::1]:8443", "/mcp", "https://[2001:db8::1]:8443", "/mcp"),
        (
            "https://mcp.example.com/MCP/~a_b-c.d",
            "mcp.example.com",
            "/MCP/~a_b-c.d",
            "https://mcp.example.com",
            "/MCP/~a_b-c.d",
        ),
        ("https://mcp.example.com/caf%C3%A9", "mcp.example.com", "/caf%C3%A9", "https://mcp.example.com", "/caf%C3%A9"),
        // RFC 8252 section 7.3: plain http stays on this machine.
        ("http://127.0.0.1:8080/mcp", "127.0.0.1:8080", "/mcp", "http://127.0.0.1:8080", "/mcp"),
        ("http://127.255.0.9/mcp", "127.255.0.9", "/mcp", "http://127.255.0.9", "/mcp"),
        ("http://[::1]:8080/mcp", "[::1]:8080", "/mcp", "http://[::1]:8080", "/mcp"),
        ("http://localhost/mcp", "localhost", "/mcp", "http://localhost", "/mcp"),
        ("http://localhost:443/mcp", "localhost:443", "/mcp", "http://localhost:443", "/mcp"),
    ];
    for (uri, authority, path, origin, metadata_path) in rows {
        assert_eq!(findings(&config(uri)), Vec::<String>::new(), "{uri}");
        let mut gate = gate(&config(uri));
        let challenged = reply(ask(&mut gate, &[(":method", "POST"), (":authority", authority), (":path", path)]));
        let expected = format!("Bearer resource_metadata=\"{origin}{WELL_KNOWN}{metadata_path}\"");
        assert_eq!(reply_header(&challenged, "www-authenticate"), Some(&*expected), "{uri}");

        let metadata = format!("{WELL_KNOWN}{metadata_path}");
        let served = reply(ask(&mut gate, &[(":method", "GET"), (":authority", authority), (":path", &metadata)]));
        let document: Value = serde_json::from_slice(served.body()).unwrap_or_default();
        assert_eq!(document["resource"], json!(uri), "{uri}");
    }
}

#[test]
fn a_uri_that_clients_would_read_in_different_ways_is_refused() {
    let path = |why: &str| format!("has a path that no request can match: the path {why}");
    let normal = |form: &str| format!("is not in normal form: write `{form}`");
    const NOT_ABSOLUTE: &str = "is not an absolute URI with a host";
    const HTTP: &str = "is http, which is allowed on loopback hosts only";
    const FRAGMENT: &str = "has a fragment, which RFC 8707 section 2 forbids";
    const PORT: &str = "names the default port of its scheme: leave the port out";
    let rows: Vec<(&str, String)> = vec![
        // Scheme. http elsewhere than on loopback: whoever is on the way reads the tokens.
        ("mcp.example.com/mcp", NOT_ABSOLUTE.into()),
        ("//mcp.example.com/mcp", NOT_ABSOLUTE.into()),
        ("/mcp", NOT_ABSOLUTE.into()),
        ("https:mcp.example.com/mcp", NOT_ABSOLUTE.into()),
        ("https:/mcp.example.com/mcp", NOT_ABSOLUTE.into()),
        ("https:mcp.example.com/a://b", normal("https://mcp.example.com/a://b")),
        ("https:\\\\mcp.example.com\\mcp", NOT_ABSOLUTE.into()),
        ("https://", NOT_ABSOLUTE.into()),
        ("https:///mcp", normal("https://mcp/")),
        ("http://mcp.example.com/mcp", HTTP.into()),
        ("http://127.0.0.1.example.com/mcp", HTTP.into()),
        ("http://localhost.example.com/mcp", HTTP.into()),
        ("http://notlocalhost/mcp", HTTP.into()),
        ("http://mcp.localhost/mcp", HTTP.into()),
        ("http://localhost./mcp", HTTP.into()),
        ("http://128.0.0.1/mcp", HTTP.into()),
        ("http://0.0.0.0/mcp", HTTP.into()),
        ("http://[::]/mcp", HTTP.into()),
        ("http://[::2]/mcp", HTTP.into()),
        ("http://[::ffff:127.0.0.1]/mcp", HTTP.into()),
        ("ftp://mcp.example.com/mcp", "has a scheme other than https".into()),
        ("ws://127.0.0.1/mcp", "has a scheme other than https".into()),
        ("urn:example:mcp", "has a scheme other than https".into()),
        ("HTTPS://mcp.example.com/mcp", normal("https://mcp.example.com/mcp")),
        // Authority.
        ("https://me@mcp.example.com/mcp", "has user information".into()),
        ("https://me:secret@mcp.example.com/mcp", "has user information".into()),
        ("https://@mcp.example.com/mcp", "has user information".into()),
        ("https://mcp.example.com@evil.example/mcp", "has user information".into()),
        ("https://mcp.example.com:443/mcp", PORT.into()),
        ("https://mcp.example.com:0443/mcp", normal("https://mcp.example.com/mcp")),
        ("https://mcp.example.com:/mcp", normal("https://mcp.example.com/mcp")),
        ("https://MCP.example.com:443/mcp", PORT.into()),
        ("https://[2001:db8::1]:443/mcp", PORT.into()),
        ("http://127.0.0.1:80/mcp", PORT.into()),
        ("https://mcp.example.com:08443/mcp", normal("https://mcp.example.com:8443/mcp")),
        ("https://mcp.example.com:65536/mcp", NOT_ABSOLUTE.into()),
        ("https://mcp.example.com:8a/mcp", NOT_ABSOLUTE.into()),
        ("https://MCP.Example.com/mcp", normal("https://mcp.example.com/mcp")),
        ("https://mcp%2Eexample.com/mcp", normal("https://mcp.example.com/mcp")),
        ("https://mcp.example\t.com/mcp", "is not in normal form: write `https://mcp.example.com/mcp`".into()),
        ("https://bücher.example/mcp", NOT_ABSOLUTE.into()),
        ("https://a b.example.com/mcp", NOT_ABSOLUTE.into()),
        // IPv4 in the spellings that only some resolvers take.
        ("http://127.1/mcp", normal("http://127.0.0.1/mcp")),
        ("http://2130706433/mcp", normal("http://127.0.0.1/mcp")),
        ("http://0x7f.0.0.1/mcp", normal("http://127.0.0.1/mcp")),
        ("http://0177.0.0.1/mcp", normal("http://127.0.0.1/mcp")),
        ("http://127.0.0.1./mcp", normal("http://127.0.0.1/mcp")),
        ("https://192.0.2.256/mcp", NOT_ABSOLUTE.into()),
        ("https://[2001:DB8::1]/mcp", normal("https://[2001:db8::1]/mcp")),
        ("https://2001:db8::1/mcp", NOT_ABSOLUTE.into()),
        // Path.
        ("https://mcp.example.com/a/../mcp", normal("https://mcp.example.com/mcp")),
        ("https://mcp.example.com/./mcp", normal("https://mcp.example.com/mcp")),
        ("https://mcp.example.com/a/%2E%2e/mcp", normal("https://mcp.example.com/mcp")),
        ("https://mcp.example.com\\mcp", normal("https://mcp.example.com/mcp")),
        ("https://mcp.example.com/a b", normal("https://mcp.example.com/a%20b")),
        ("https://mcp.example.com/café", normal("https://mcp.example.com/caf%C3%A9")),
        ("https://mcp.example.com//mcp", path("has an empty segment")),
        ("https://mcp.example.com/mcp//", path("has an empty segment")),
        ("https://mcp.example.com/a%2Fb", path("has `%2F`, which decodes ambiguously")),
        ("https://mcp.example.com/a%5Cb", path("has `%5C`, which decodes ambiguously")),
        ("https://mcp.example.com/%6Dcp", path("has `%6D`, which decodes ambiguously")),
        ("https://mcp.example.com/a%00", path("has `%00`, which decodes ambiguously")),
        ("https://mcp.example.com/a%2fb", path("has a percent sign without two upper-case hexadecimal digits")),
        ("https://mcp.example.com/100%", path("has a percent sign without two upper-case hexadecimal digits")),
        ("https://mcp.example.com/mcp;v=1", path("has a semicolon")),
        // Query and fragment.
        ("https://mcp.example.com/mcp?tenant=a", "has a query".into()),
        ("https://mcp.example.com/mcp?", "has a query".into()),
        ("https://mcp.example.com/?tenant=a", "has a query".into()),
        ("https://mcp.example.com/mcp#a", FRAGMENT.into()),
        ("https://mcp.example.com/mcp#", FRAGMENT.into()),
        ("https://mcp.example.com#a", FRAGMENT.into()),
        // Around it.
        (" https://mcp.example.com/mcp", normal("https://mcp.example.com/mcp")),
        ("https://mcp.example.com/mcp\n", normal("https://mcp.example.com/mcp")),
    ];
    for (uri, why) in rows {
        let shown: String = shown_uri(uri).chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect();
        assert_eq!(findings(&config(uri)), [format!("resources[0].resource: `{shown}` {why}")], "{uri:?}");
    }
}

/// A quote would end the challenge's `resource_metadata` early; a star looks like a wildcard and is none.
#[test]
fn a_host_name_is_a_host_name() {
    for accepted in ["mcp-1.example.com", "mcp_1.example.com", "mcp"] {
        assert_eq!(findings(&config(&format!("https://{accepted}/mcp"))), Vec::<String>::new(), "{accepted}");
    }
    for host in ["mcp\"x.example.com", "*.example.com", "a,b.example.com", "a;b.example.com", "a{b}.example.com"] {
        let uri = format!("https://{host}/mcp");
        let why = "has a host name with other characters than letters, digits, `-`, `_` and `.`";
        assert_eq!(findings(&config(&uri)), [format!("resources[0].resource: `{uri}` {why}")], "{host}");
    }
}

/// The port is not what is wrong here.
#[test]
fn an_ipv6_address_in_another_spelling_is_told_its_normal_form() {
    for uri in ["https://[2001:db8:0:0:0:0:0:1]/mcp", "https://[2001:0db8::1]/mcp"] {
        let expected =
            format!("resources[0].resource: `{uri}` is not in normal form: write `https://[2001:db8::1]/mcp`");
        assert_eq!(findings(&config(uri)), [expected]);
    }
}

/// Who writes what a finding says must not get another finding, nor another identifier: `iss` and `aud` are compared as
/// text, so a slash that nobody wrote makes every token wrong.
#[test]
fn the_form_that_a_finding_suggests_is_accepted_and_means_the_same() {
    let rows = [
        ("/resources/0/resource", "https://MCP.example.com/mcp", Some("https://mcp.example.com/mcp")),
        ("/resources/0/resource", "https://MCP.example.com/", Some("https://mcp.example.com/")),
        ("/resources/0/resource", "https://MCP.example.com", Some("https://mcp.example.com")),
        ("/authorization_servers/0/issuer", "https://IDP.example.com", Some("https://idp.example.com")),
        // The query is what is wrong with these, with and without the slash.
        ("/resources/0/resource", "https://mcp.example.com?tenant=a", None),
        ("/authorization_servers/0/issuer", "https://idp.example.com?tenant=a", None),
    ];
    for (at, written, expected) in rows {
        let found = findings(&put(inline_config(), at, json!(written))).concat();
        let suggested = found.split_once("write `").and_then(|(_, rest)| rest.split_once('`')).map(|(form, _)| form);
        assert_eq!(suggested, expected, "{at} = {written}: {found}");
    }
}

#[test]
fn two_resources_have_different_places() {
    let resource = |uri: &str| json!({ "resource": uri });
    let default = |uri: &str| json!({ "resource": uri, "host_default": true });
    let taken = |uri: &str| vec![format!("resources[1].resource: `{uri}` has the host and path of another resource")];
    let second = |uri: &str| vec![format!("resources[1].resource: `{uri}` is a second default of its host")];
    let (a, b) = ("https://mcp.example.com/a", "https://mcp.example.com/b");
    let rows = [
        ("two paths", [resource(a), resource(b)], vec![]),
        ("one below the other", [resource(a), resource("https://mcp.example.com/a/b")], vec![]),
        ("two hosts", [resource(a), resource("https://mcp.example.org/a")], vec![]),
        ("two ports", [resource(a), resource("https://mcp.example.com:8443/a")], vec![]),
        // Express and others do not tell them apart.
        (
            "two cases of a path",
            [resource(a), resource("https://mcp.example.com/A")],
            taken("https://mcp.example.com/A"),
        ),
        ("a bare origin and a path", [resource("https://mcp.example.com"), resource(a)], vec![]),
        ("the same twice", [resource(a), resource(a)], taken(a)),
        (
            "with a slash after without",
            [resource(a), resource("https://mcp.example.com/a/")],
            taken("https://mcp.example.com/a/"),
        ),
        ("without a slash after with", [resource("https://mcp.example.com/a/"), resource(a)], taken(a)),
        (
            "both forms of a bare origin",
            [resource("https://mcp.example.com"), resource("https://mcp.example.com/")],
            taken("https://mcp.example.com/"),
        ),
        // Requests for both arrive with the same `:authority`.
        (
            "http and https on one authority",
            [resource("http://localhost:443/a"), resource("https://localhost/a")],
            taken("https://localhost/a"),
        ),
        (
            "http and https on the default ports",
            [resource("http://localhost/a"), resource("https://localhost/a")],
            taken("https://localhost/a"),
        ),
        ("one default", [default(a), resource(b)], vec![]),
        ("two defaults", [default(a), default(b)], second(b)),
        ("two defaults of two hosts", [default(a), default("https://mcp.example.org/a")], vec![]),
        ("a default beside a bare origin", [resource("https://mcp.example.com"), default(a)], second(a)),
    ];
    for (name, resources, expected) in rows {
        assert_eq!(findings(&put(inline_config(), "/resources", json!(resources))), expected, "{name}");
    }
    // A resource of its own issuers does not change that.
    let own = json!({ "resource": a, "authorization_servers": [ISSUER] });
    assert_eq!(findings(&put(inline_config(), "/resources", json!([resource(a), own]))), taken(a), "other issuers");
}

/// The same two resources as above in the other order: what is taken is the place of the default, not host and path.
#[test]
fn a_bare_origin_after_a_default_is_a_second_default() {
    let default = json!({ "resource": "https://mcp.example.com/a", "host_default": true });
    let resources = json!([default, { "resource": "https://mcp.example.com" }]);
    let expected = "resources[1].resource: `https://mcp.example.com` is a second default of its host";
    assert_eq!(findings(&put(inline_config(), "/resources", resources)), [expected]);
}
