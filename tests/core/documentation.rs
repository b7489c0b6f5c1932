//! README's configurations load, and its table lists exactly the settings that exist.

use std::collections::BTreeSet;

use mcp_oauth::config;
use serde_json::Value;

const README: &str = include_str!("../../README.md");

/// The text between `start` and the next `end`.
fn section<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("README has no `{start}`"));
    rest.split_once(end).unwrap_or_else(|| panic!("README has no `{end}` after `{start}`")).0
}

fn full_configuration() -> &'static str {
    section(README, "```json\n", "```")
}

/// The variables that README and the examples name.
fn environment(name: &str) -> Option<String> {
    match name {
        "MCP_SESSION_KEYS" | "MCP_NONCE_KEYS" => Some("0".repeat(43)),
        "MCP_CLIENT_SECRET" | "MCP_ACTOR_TOKEN" | "MCP_MAPS_KEY" => Some("secret".to_owned()),
        // RFC 7515 appendix A.3.1, a test key.
        "MCP_IDENTITY_KEYS" => Some(
            r#"{ "keys": [{
                "kty": "EC", "crv": "P-256", "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
                "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
            }] }"#
                .to_owned(),
        ),
        _ => None,
    }
}

#[test]
fn the_full_configuration_loads() {
    config::parse_in(full_configuration().as_bytes(), &environment).expect("no findings");
}

#[test]
fn the_examples_load() {
    let examples = [
        ("static-tokens", include_str!("../../examples/static-tokens.json")),
        ("claims-to-headers", include_str!("../../examples/claims-to-headers.json")),
        ("dpop", include_str!("../../examples/dpop.json")),
        ("providers", include_str!("../../examples/providers.json")),
        ("introspection", include_str!("../../examples/introspection.json")),
        ("upstream-credentials", include_str!("../../examples/upstream-credentials.json")),
    ];
    for (name, example) in examples {
        config::parse_in(example.as_bytes(), &environment).unwrap_or_else(|findings| panic!("{name}: {findings:?}"));
        assert!(README.contains(&format!("(examples/{name}.json)")), "README leads to {name}");
    }
}

#[test]
fn the_ten_lines_are_ten_and_load() {
    let yaml = section(README, "```yaml\n", "```");
    assert_eq!(yaml.lines().count(), 10, "{yaml}");
    config::parse(section(yaml, "value: '", "'").as_bytes()).expect("no findings");
}

#[test]
fn the_envoy_examples_load() {
    let examples = [
        include_str!("../../envoy.yaml"),
        include_str!("../../examples/filter-state.yaml"),
        include_str!("../../examples/mutual-tls.yaml"),
        include_str!("../../examples/route-metadata.yaml"),
    ];
    for example in examples {
        let (_, block) = example.split_once("value: |\n").expect("a configuration");
        let indented = |line: &&str| line.starts_with("                    ");
        let text: Vec<&str> = block.lines().take_while(indented).collect();
        config::parse(text.join("\n").as_bytes()).expect("no findings");
    }
}

#[test]
fn the_table_lists_every_setting() {
    let table = section(README, "### Settings", "All of it at once");
    let mut listed = BTreeSet::new();
    let mut parent = String::new();
    for name in table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name)) {
        if let Some(member) = name.strip_prefix('.') {
            listed.insert(format!("{parent}.{member}"));
        } else {
            parent = name.trim_end_matches("[]").to_owned();
            listed.insert(parent.clone());
        }
    }
    let document: Value = serde_json::from_str(full_configuration()).expect("JSON");
    let mut used = BTreeSet::new();
    collect(&document, "", &mut used);
    // These are shown by their members alone.
    let groups = ["scopes", "metadata", "rules", "rules.claims", "body", "sessions", "dpop.nonce", "cors"];
    for group in groups.map(|group| format!("resources.{group}")) {
        assert!(used.remove(&group), "{group}");
    }
    for group in [
        "identity_headers.claims",
        "authorization_servers.introspection",
        "resources.upstream_credential.header",
        "resources.upstream_credential.token_exchange",
        "resources.upstream_credential.identity_jwt",
    ] {
        assert!(used.remove(group), "{group}");
    }
    assert_eq!(listed, used);
}

/// The paths of all members, without what belongs to a JWK Set.
fn collect(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                into.insert(path.clone());
                // The members of these have names of their own.
                if !["jwks", "implies", "request_as", "client_credentials"].contains(&name.as_str()) {
                    collect(value, &path, into);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, path, into)),
        _ => {}
    }
}
