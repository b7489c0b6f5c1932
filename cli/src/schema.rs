//! The JSON Schema of the plugin configuration, for editors, and what it says of single settings.

use std::sync::LazyLock;

use serde_json::Value;

/// JSON Schema, draft 2020-12.
pub(crate) const TEXT: &str = include_str!("schema.json");

/// What the setting at a finding's path (`resources[0].resource`) is for.
pub(crate) fn describe(path: &str) -> Option<String> {
    static ROOT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(TEXT).unwrap_or_default());
    let mut here = vec![&*ROOT];
    for part in path.split('.') {
        let name = part.split('[').next().unwrap_or(part);
        here = here.iter().flat_map(|schema| named(schema, name)).collect();
    }
    here.iter().find_map(|schema| schema.get("description")?.as_str()).map(str::to_owned)
}

/// The schemas of a member, whichever form its parent has.
fn named<'s>(schema: &'s Value, name: &str) -> Vec<&'s Value> {
    let mut found: Vec<&Value> = schema.get("properties").and_then(|all| all.get(name)).into_iter().collect();
    found.extend(schema.get("items").into_iter().flat_map(|items| named(items, name)));
    let forms = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    found.extend(forms.flat_map(|form| named(form, name)));
    found
}
