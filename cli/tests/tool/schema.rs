//! The JSON Schema: it lists what README lists. (Whether it takes what it should is for a validator: `cli/tests/schema.mjs`.)

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{own, run};

fn schema() -> Value {
    let run = run(&["schema"]);
    assert_eq!(run.code, 0);
    run.json()
}

#[test]
fn it_lists_exactly_the_settings_of_the_readme() {
    let readme = std::fs::read_to_string(own("README.md")).expect("README");
    let (_, table) = readme.split_once("### Settings").expect("a table");
    let (table, _) = table.split_once("All of it at once").expect("its end");
    let mut listed = BTreeSet::new();
    let mut parent = String::new();
    for name in table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name)) {
        match name.strip_prefix('.') {
            Some(member) => listed.insert(format!("{parent}.{member}")),
            None => {
                parent = name.trim_end_matches("[]").to_owned();
                listed.insert(parent.clone())
            }
        };
    }
    let mut found = BTreeSet::new();
    collect(&schema(), "", &mut found);
    // README shows these by their members, or by those of `token_exchange`.
    let groups = [
        "authorization_servers.introspection",
        "identity_headers.claims",
        "resources.body",
        "resources.cors",
        "resources.dpop.nonce",
        "resources.metadata",
        "resources.rules",
        "resources.rules.claims",
        "resources.scopes",
        "resources.sessions",
        "resources.upstream_credential.header",
        "resources.upstream_credential.identity_jwt",
        "resources.upstream_credential.token_exchange",
        "authorization_servers.jwks.keys",
    ];
    for group in groups {
        assert!(found.remove(group), "{group}");
    }
    found.retain(|path| !path.starts_with("resources.upstream_credential.client_credentials."));
    assert_eq!(listed, found);
}

fn collect(schema: &Value, path: &str, into: &mut BTreeSet<String>) {
    if let Some(members) = schema["properties"].as_object() {
        for (name, member) in members {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            into.insert(path.clone());
            collect(member, &path, into);
        }
        let is_open = path == "authorization_servers.jwks";
        assert!(is_open || schema["additionalProperties"] == Value::Bool(false), "{path} takes unknown keys");
    }
    let forms = schema["oneOf"].as_array().into_iter().flatten();
    forms.chain(schema.get("items")).for_each(|below| collect(below, path, into));
}

#[test]
fn every_setting_is_described() {
    fn look(schema: &Value, path: &str) {
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            let is_referred = member.get("$ref").is_some();
            assert!(
                path.ends_with(".jwks.keys") || is_referred || member.get("description").is_some() || named(&path),
                "{path}"
            );
            look(member, &path);
        }
        schema.get("items").into_iter().for_each(|items| look(items, path));
        schema["oneOf"].as_array().into_iter().flatten().for_each(|form| look(form, path));
    }
    /// Groups, whose members say it.
    fn named(path: &str) -> bool {
        [".nonce", ".header", ".token_exchange", ".identity_jwt", ".claims"].iter().any(|end| path.ends_with(end))
    }
    look(&schema(), "");
}
