//! Line and column of a value, in every way in which YAML lets one write a configuration.

use crate::support::{file, run};

/// The place of `NOT_A_URL`, whatever is around it.
fn place_of(text: &str, needle: &str) -> (u64, u64) {
    let (line, rest) = text.lines().enumerate().find(|(_, line)| line.contains(needle)).expect("it is there");
    let column = rest.split(needle).next().expect("before it").chars().count();
    (line as u64 + 1, column as u64 + 1)
}

#[test]
fn a_value_is_found_in_every_style() {
    let json = r#"{ "authorization_servers": [{ "issuer": "https://idp.example.com", "cluster": "outbound|443||idp" }], "resources": [{ "resource": "NOT_A_URL" }] }"#;
    let pretty = "{\n  \"authorization_servers\": [\n    { \"issuer\": \"https://idp.example.com\", \"cluster\": \"idp\" }\n  ],\n\n  \"resources\": [\n    { \"resource\": \"NOT_A_URL\" }\n  ]\n}";
    let indented = |by: &str| pretty.lines().map(|line| format!("{by}{line}\n")).collect::<String>();
    let envoy = |value: &str| {
        format!(
            "# ü\nhttp_filters:\n- name: mcp\n  typed_config:\n    \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n    config:\n      configuration:\n        \"@type\": type.googleapis.com/google.protobuf.StringValue\n        value: {value}\n      failure_policy: FAIL_RELOAD\n"
        )
    };
    let escaped = json.replace('"', "\\\"");
    let map = "authorization_servers:\n- issuer: https://idp.example.com\n  cluster: outbound|443||idp\nresources:\n- resource: NOT_A_URL\n";
    let below = |by: &str| map.lines().map(|line| format!("{by}{line}\n")).collect::<String>();
    let manifest = |group: &str, kind: &str, before: &str, by: &str| {
        format!(
            "---\nkind: Service\n---\napiVersion: {group}/v1alpha1\nkind: {kind}\nmetadata:\n  name: x\nspec:\n{before}{}",
            below(by)
        )
    };
    let files = [
        ("a JSON file", "a.json", json.to_owned()),
        ("a JSON file of many lines", "b.json", pretty.to_owned()),
        ("a YAML file", "c.yaml", map.to_owned()),
        ("a YAML file with a byte order mark", "m.yaml", format!("\u{feff}{map}")),
        ("single quotes", "d.yaml", envoy(&format!("'{json}'"))),
        ("single quotes over lines", "e.yaml", envoy(&format!("'{}'", json.replace(", \"resources\"", ",\n\n          \"resources\"")))),
        ("single quotes with one inside", "f.yaml", envoy(&format!("'{}'", json.replace("idp\"", "i''d''p\"")))),
        ("double quotes", "g.yaml", envoy(&format!("\"{escaped}\""))),
        ("double quotes with escapes", "h.yaml", envoy(&format!("\"{}\"", escaped.replace("idp\\\"", "\\u0069\\x64p\\\"").replace(", ", ",\\n\\t ")))),
        ("double quotes with white space in escapes", "v.yaml", envoy(&format!("\"{}\"", escaped.replace("{ ", "{\\x20").replace(": ", ":\\u0020\\x09").replace(", ", ",\\U00000020")))),
        ("a tag", "w.yaml", envoy(&format!("!!str '{json}'"))),
        ("an anchor and a tag before a block", "x.yaml", envoy(&format!("&a !!str | # {{\n{}", indented("          ")))),
        ("a tag with a comment before double quotes", "y.yaml", envoy(&format!("!!str # \"\n          \"{escaped}\""))),
        ("a literal block", "i.yaml", envoy(&format!("|\n{}", indented("          ")))),
        ("a literal block with its indentation and a comment", "j.yaml", envoy(&format!("|2- # {{\n{}", indented("          ")))),
        ("a folded block", "k.yaml", envoy(&format!(">-\n{}", indented("          ")))),
        ("Windows line ends", "l.yaml", envoy(&format!("|\n{}", indented("          "))).replace('\n', "\r\n")),
        ("Istio", "n.yaml", manifest("extensions.istio.io", "WasmPlugin", "  pluginConfig:\n", "    ")),
        ("TrafficExtension", "o.yaml", manifest("extensions.istio.io", "TrafficExtension", "  wasm:\n    pluginConfig:\n", "      ")),
        ("Envoy Gateway", "p.yaml", manifest("gateway.envoyproxy.io", "EnvoyExtensionPolicy", "  wasm:\n  - name: a\n    config:\n", "      ")),
        ("Higress", "q.yaml", manifest("extensions.higress.io", "WasmPlugin", "  defaultConfig:\n", "    ")),
        ("a list of manifests", "u.yaml", format!("apiVersion: v1\nkind: List\nitems:\n- kind: Service\n- apiVersion: extensions.istio.io/v1alpha1\n  kind: WasmPlugin\n  spec:\n    pluginConfig:\n{}", below("      "))),
        ("a ConfigMap", "s.yaml", format!("apiVersion: v1\nkind: ConfigMap\ndata:\n  envoy.yaml: |\n{}", envoy(&format!("'{json}'")).lines().map(|l| format!("    {l}\n")).collect::<String>())),
        ("a bootstrap in JSON", "t.json", serde_json::to_string_pretty(&serde_json::json!({ "a": [{
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": { "configuration": { "@type": "type.googleapis.com/google.protobuf.StringValue", "value": json } },
        }]})).expect("JSON")),
    ];
    for (name, file_name, text) in files {
        let path = file(file_name, &text);
        let checked = run(&["check", "--json", &path]);
        let (line, column) = place_of(&text.replace('\u{feff}', ""), "NOT_A_URL");
        // The place is that of the value: of its quotes, where it has some.
        let before = text
            .replace('\u{feff}', "")
            .lines()
            .nth(line as usize - 1)
            .expect("a line")
            .chars()
            .nth(column as usize - 2);
        let quotes = match before {
            Some('"') if text.contains("\\\"NOT_A_URL") => 2,
            Some('"') => 1,
            _ => 0,
        };
        let expected = format!(
            "{line}:{} error resources[0].resource: `NOT_A_URL` is not an absolute URI with a host",
            column - quotes
        );
        assert_eq!((checked.code, checked.findings()), (1, vec![expected]), "{name}\n{text}");
        // The sibling without the mistake.
        let path = file(file_name, text.replace("NOT_A_URL", "https://mcp.example.com/mcp"));
        let checked = run(&["check", "--json", &path]);
        assert_eq!((checked.code, checked.findings()), (0, vec![]), "{name}");
    }
}

#[test]
fn people_read_file_line_column_value_and_cure() {
    let path = file(
        "a.json",
        "{ \"authorization_servers\": [],\n  \"resources\": [{ \"resorce\": 1, \"resource\": \"https://a.example/#x\" }] }",
    );
    let checked = run(&["check", &path]);
    assert_eq!(checked.code, 1);
    let expected = [
        format!("{path}:1:28: error: authorization_servers: is empty\n   value: a list of 0\n   cure: "),
        format!("{path}:2:19: error: resources[0].resorce: unknown key; known here: "),
        "   cure: write `resource` if that is what is meant, else delete it\n".to_owned(),
        format!("{path}:2:45: error: resources[0].resource: `https://a.example/#x` has a fragment"),
        "   value: \"https://a.example/#x\"\n   cure: leave out `#` and what follows it\n".to_owned(),
        "3 findings\n".to_owned(),
    ];
    for part in expected {
        assert!(checked.out.contains(&part), "{part}\n{}", checked.out);
    }
}
