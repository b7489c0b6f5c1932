//! The challenge as clients read it: by the grammar (Go), and by searching (TypeScript, Python).

use serde_json::json;

use super::{config, refused, rows};
use crate::support::{gate, put, reply_header};

/// Scheme, and names with their values.
type Parsed<'h> = (&'h str, Vec<(&'h str, &'h str)>);

/// Scheme and parameters of one challenge by RFC 9110 section 11.6.1, in its strictest reading: one space after the
/// scheme, `, ` between parameters, no white space around `=`, every value quoted and without escapes, no name twice.
fn parse(header: &str) -> Result<Parsed<'_>, String> {
    let is_token = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let (scheme, mut rest) = header.split_once(' ').ok_or("no parameters")?;
    if !is_token(scheme) {
        return Err(format!("the scheme `{scheme}`"));
    }
    let mut parameters: Vec<(&str, &str)> = Vec::new();
    loop {
        let (name, value) = rest.split_once("=\"").ok_or(format!("no quoted value in `{rest}`"))?;
        if !is_token(name) || parameters.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return Err(format!("the name `{name}`"));
        }
        let (value, after) = value.split_once('"').ok_or(format!("no end of `{value}`"))?;
        // RFC 6750 section 3 leaves even less than quoted-string does: no quote, no backslash, no byte outside ASCII.
        if value.is_empty() || !value.bytes().all(|b| matches!(b, 0x20..=0x7E) && b != b'\\') {
            return Err(format!("the value `{value}`"));
        }
        parameters.push((name, value));
        if after.is_empty() {
            return Ok((scheme, parameters));
        }
        rest = after.strip_prefix(", ").ok_or(format!("`{after}` after a value"))?;
    }
}

/// A field as the official TypeScript client finds it: `FIELD=(?:"([^"]+)"|([^\s,]+))`, unanchored, the first hit.
fn search<'h>(header: &'h str, field: &str) -> Option<&'h str> {
    let mut words = header.split(' ');
    if !words.next()?.eq_ignore_ascii_case("bearer") || words.next()?.is_empty() {
        return None;
    }
    let name = format!("{field}=");
    header.match_indices(&name).find_map(|(at, _)| {
        let value = &header[at + name.len()..];
        let quoted = value.strip_prefix('"').and_then(|rest| rest.split_once('"')).map(|(quoted, _)| quoted);
        let plain = value.split(|c: char| c.is_whitespace() || c == ',').next();
        quoted.filter(|quoted| !quoted.is_empty()).or(plain.filter(|plain| !plain.is_empty()))
    })
}

#[test]
fn the_parsers_of_this_test_can_say_no() {
    let rows = [
        ("Bearer", Err("no parameters".to_owned())),
        ("Bearer ", Err("no quoted value in ``".to_owned())),
        ("Bearer a=b", Err("no quoted value in `a=b`".to_owned())),
        ("Bearer a=\"\"", Err("the value ``".to_owned())),
        ("Bearer a=\"b\\\"c\"", Err("the value `b\\`".to_owned())),
        ("Bearer a=\"b\",c=\"d\"", Err("`,c=\"d\"` after a value".to_owned())),
        ("Bearer a=\"b\", A=\"d\"", Err("the name `A`".to_owned())),
        ("Bearer, DPoP a=\"b\"", Err("the scheme `Bearer,`".to_owned())),
        ("Bearer  a=\"b\"", Err("the name ` a`".to_owned())),
        ("Bearer a=\"b c\", d=\"e\"", Ok(("Bearer", vec![("a", "b c"), ("d", "e")]))),
    ];
    for (header, expected) in rows {
        assert_eq!(parse(header), expected, "{header}");
    }
    // Spec 3.3, executed there against the real client.
    let searches = [
        ("Bearer", "resource_metadata", None),
        ("Bearer, DPoP resource_metadata=\"u\"", "resource_metadata", None),
        ("Negotiate, Bearer resource_metadata=\"u\"", "resource_metadata", None),
        ("bearer  resource_metadata=\"u\"", "resource_metadata", None),
        ("Bearer resource_metadata = \"u\"", "resource_metadata", None),
        ("Bearer resource_metadata=\"u\", scope=\"a b\", DPoP algs=\"ES256\"", "scope", Some("a b")),
        ("Bearer error_description=\"need scope=foo\", scope=\"a\"", "scope", Some("foo\"")),
        ("Bearer scope=\"\"", "scope", Some("\"\"")),
    ];
    for (header, field, expected) in searches {
        assert_eq!(search(header, field), expected, "{field} in {header}");
    }
}

#[test]
fn every_challenge_means_the_same_to_every_client() {
    let scopes = [
        json!({ "required": [], "challenged": [] }),
        json!({ "required": ["mcp:read"] }),
        json!({ "required": ["mcp:read"], "challenged": ["mcp:read", "https://example.com/a?b&c", "!#[]~", "a,b"] }),
        json!({ "required": ["mcp:read"], "challenged": [","] }),
    ];
    let resources = [
        ("https://mcp.example.com", "/mcp"),
        ("https://mcp.example.com/", "/mcp"),
        ("https://mcp.example.com/mcp", "/mcp"),
        ("https://mcp.example.com/mcp/", "/mcp"),
        ("https://mcp.example.com/mcp/a,b='c'(d)", "/mcp/a,b='c'(d)"),
        ("https://mcp.example.com/mcp/%22%20%C3%A9", "/mcp/%22%20%C3%A9"),
    ];
    let mut seen = 0;
    for scopes in scopes {
        for (uri, path) in resources {
            let config = put(config(&scopes), "/resources/0/resource", json!(uri));
            let config = put(config, "/resources/0/audiences", json!(["https://mcp.example.com/mcp"]));
            let mut gate = gate(&config);
            for row in rows() {
                let name = format!("{} at {uri} with {scopes}", row.name);
                if row.status == 403 && scopes["required"] == json!([]) {
                    continue;
                }
                let reply = refused(&mut gate, path, &row.credentials);
                let header = reply_header(&reply, "www-authenticate").unwrap_or_default();
                let (scheme, parameters) = parse(header).unwrap_or_else(|why| panic!("{name}: {why} in {header}"));
                assert_eq!(scheme, "Bearer", "{name}");
                let mut known = vec!["resource_metadata"];
                known.extend((!row.error.is_empty()).then_some(["error", "error_description"]).into_iter().flatten());
                let with_scope = row.status != 400 && scopes["challenged"] != json!([]);
                known.extend(with_scope.then_some("scope"));
                for field in ["error", "error_description", "resource_metadata", "scope"] {
                    let parsed = parameters.iter().find(|(name, _)| *name == field).map(|(_, value)| *value);
                    assert_eq!(parsed.is_some(), known.contains(&field), "{name}: {field} in {header}");
                    assert_eq!(search(header, field), parsed, "{name}: {field} in {header}");
                }
                assert_eq!(parameters.len(), known.len(), "{name}: other parameters in {header}");
                assert!(!header.contains("offline_access"), "{name}: {header}");
                seen += 1;
            }
        }
    }
    // Four lists of scopes, six resources; where no scope is required there is no 403.
    assert_eq!(seen, 4 * 6 * rows().len() - 6, "challenges");
}
