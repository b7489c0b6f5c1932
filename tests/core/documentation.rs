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
        ("report-only", include_str!("../../examples/report-only.json")),
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

const GUIDES: [(&str, &str); 13] = [
    ("auth0", include_str!("../../docs/guides/auth0.md")),
    ("authorization-server", include_str!("../../docs/guides/authorization-server.md")),
    ("clients", include_str!("../../docs/guides/clients.md")),
    ("entra", include_str!("../../docs/guides/entra.md")),
    ("envoy-gateway", include_str!("../../docs/guides/envoy-gateway.md")),
    ("google", include_str!("../../docs/guides/google.md")),
    ("higress", include_str!("../../docs/guides/higress.md")),
    ("istio", include_str!("../../docs/guides/istio.md")),
    ("keycloak", include_str!("../../docs/guides/keycloak.md")),
    ("migrate-static-tokens", include_str!("../../docs/guides/migrate-static-tokens.md")),
    ("okta", include_str!("../../docs/guides/okta.md")),
    ("security", include_str!("../../docs/guides/security.md")),
    ("troubleshooting", include_str!("../../docs/guides/troubleshooting.md")),
];

#[test]
fn the_guides_configurations_load() {
    let mut loaded = BTreeSet::new();
    for (name, guide) in GUIDES {
        assert!(README.contains(&format!("(docs/guides/{name}.md)")), "README leads to {name}");
        for block in guide.split("```json\n").skip(1) {
            let (block, _) = block.split_once("```").expect("an end");
            let document: Value =
                serde_json::from_str(block).unwrap_or_else(|error| panic!("{name}: {error}\n{block}"));
            // The configurations of clients have one of these.
            if document.get("mcpServers").is_some() || document.get("servers").is_some() {
                assert!(block.contains("\"example\""), "{name}: {block}");
                continue;
            }
            config::parse_in(block.as_bytes(), &environment).unwrap_or_else(|findings| panic!("{name}: {findings:?}"));
            loaded.insert(name);
        }
    }
    let expected = ["auth0", "entra", "google", "keycloak", "migrate-static-tokens", "okta"];
    assert_eq!(loaded, BTreeSet::from(expected));
}

/// The configuration behind `before` in a manifest: JSON, as deep as its first line or deeper.
fn indented<'t>(manifest: &'t str, before: &str) -> &'t str {
    let (_, block) = manifest.split_once(before).unwrap_or_else(|| panic!("no `{before}`"));
    let depth = block.len() - block.trim_start_matches(' ').len();
    let lines = block.lines().take_while(|line| line.len() > depth && line[..depth].trim().is_empty());
    &block[..lines.map(|line| line.len() + 1).sum::<usize>().min(block.len())]
}

#[test]
fn the_manifests_configurations_load() {
    let manifests = [
        ("envoy", include_str!("../../deploy/envoy.yaml"), "value: |\n"),
        ("istio", include_str!("../../deploy/istio.yaml"), "pluginConfig:\n"),
        ("istio-traffic-extension", include_str!("../../deploy/istio-traffic-extension.yaml"), "pluginConfig:\n"),
        ("envoy-gateway", include_str!("../../deploy/envoy-gateway.yaml"), "\n    config:\n"),
        ("higress", include_str!("../../deploy/higress.yaml"), "defaultConfig:\n"),
    ];
    for (name, manifest, before) in manifests {
        assert!(README.contains(&format!("(deploy/{name}.yaml)")), "README leads to {name}");
        let configuration = indented(manifest, before);
        config::parse_in(configuration.as_bytes(), &environment)
            .unwrap_or_else(|findings| panic!("{name}: {findings:?}"));
    }
}

/// What a heading's anchor is called.
#[cfg(not(target_family = "wasm"))]
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// The documents lead to files that exist, and to headings in them.
#[cfg(not(target_family = "wasm"))] // a sandbox has no files
#[test]
fn links_lead_somewhere() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let guides = root.join("docs/guides");
    let found: BTreeSet<String> = std::fs::read_dir(&guides)
        .expect("the guides")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().trim_end_matches(".md").to_owned())
        .collect();
    assert_eq!(found, GUIDES.iter().map(|(name, _)| (*name).to_owned()).collect());
    let mut pages: Vec<_> = GUIDES.iter().map(|(name, _)| guides.join(format!("{name}.md"))).collect();
    pages.extend(
        ["README.md", "docs/compatibility.md", "docs/threats.md", "docs/architecture.md"].map(|page| root.join(page)),
    );
    let mut followed = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).expect("a page");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link)) {
            if link.starts_with("http") {
                continue;
            }
            let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
            let target = if file.is_empty() { page.clone() } else { page.parent().expect("a folder").join(file) };
            assert!(target.exists(), "{}: {link}", page.display());
            if let Some(heading) = heading {
                let text = std::fs::read_to_string(&target).expect("a page");
                let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
                let mut anchors = headings.map(|line| anchor(line.trim_start_matches('#').trim()));
                assert!(anchors.any(|anchor| anchor == heading), "{}: {link}", page.display());
            }
            followed += 1;
        }
    }
    assert!(followed > 100, "{followed} links were found");
}
