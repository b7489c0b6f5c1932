//! Whatever is refused, there is something to do about it.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{configuration, file, run, run_with};

#[path = "../../src/explain/cures.rs"]
mod of_refusals;

/// The quoted names that begin with `mcp_oauth_`, as the core's own test of reasons finds them.
fn reasons() -> BTreeSet<String> {
    let sources = [
        include_str!("../../../src/refusal.rs"),
        include_str!("../../../src/token/error.rs"),
        include_str!("../../../src/dpop/mod.rs"),
    ];
    let quoted = sources.iter().flat_map(|text| text.split("\"mcp_oauth_").skip(1));
    quoted.filter_map(|rest| Some(format!("mcp_oauth_{}", rest.split_once('"')?.0))).collect()
}

/// What `docs/guides/troubleshooting.md` has a paragraph for, which the core's tests compare with all of its sources.
fn documented() -> (BTreeSet<String>, BTreeSet<String>) {
    let guide = include_str!("../../../docs/guides/troubleshooting.md");
    let (faults, others) = guide.split_once("\n## No fault\n").expect("a chapter");
    let headings = |text: &str| {
        text.lines()
            .filter_map(|line| line.strip_prefix("### "))
            .filter(|line| line.starts_with("mcp_oauth_"))
            .map(str::to_owned)
            .collect()
    };
    (headings(faults), headings(others))
}

#[test]
fn every_refusal_has_a_cure_and_nothing_else_has() {
    let (faults, others) = documented();
    assert_eq!(reasons(), faults);
    assert!(faults.len() >= 45 && others.len() >= 3, "{faults:?} {others:?}");
    for reason in &faults {
        assert!(of_refusals::cure(reason).is_some_and(|cure| cure.len() > 10), "{reason}");
    }
    for reason in &others {
        assert_eq!(of_refusals::cure(reason), None, "{reason}");
    }
}

#[test]
fn no_cure_is_printed_empty() {
    let path = file("a.json", configuration().to_string());
    let metadata = "/.well-known/oauth-protected-resource/mcp";
    let rows: [(&[&str], i32, bool); 4] = [
        (&["--method", "GET", "--path", metadata], 0, false),
        (&["--method", "DELETE", "--path", metadata], 1, true),
        (&["--path", "/.well-known/oauth-protected-resource/other"], 1, true),
        (&["--path", "/a//b"], 1, true),
    ];
    for (arguments, code, has) in rows {
        let all = [&["explain", "--config", &path], arguments].concat();
        let told = run(&all);
        assert_eq!((told.code, told.out.contains("   cure: ")), (code, has), "{told:?}");
        assert!(!told.out.lines().any(|line| line.trim_end() == "   cure:"), "{told:?}");
        let document = run(&[&all[..], &["--json"]].concat()).json();
        assert_eq!(document.get("cure").is_some_and(|cure| cure.as_str().is_some_and(|cure| !cure.is_empty())), has);
        assert_eq!(document.get("cure").is_some(), has, "{document}");
    }
}

/// Each kind of manifest has its own place for it.
#[test]
fn a_variable_is_passed_on_where_the_manifest_can() {
    let mut configuration = configuration();
    configuration["resources"][0]["sessions"] = json!({ "key_variable": "MCP_KEYS" });
    let wasm =
        |kind: &str, group: &str, spec: &str| format!("kind: {kind}\napiVersion: {group}/v1alpha1\nspec:\n  {spec}\n");
    let value = format!("'{configuration}'");
    let rows = [
        (
            format!(
                "typed_config:\n  \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n  config:\n    configuration:\n      \"@type\": type.googleapis.com/google.protobuf.StringValue\n      value: {value}\n"
            ),
            "`vm_config.environment_variables.host_env_keys`",
        ),
        (wasm("WasmPlugin", "extensions.istio.io", &format!("pluginConfig: {configuration}")), "`vmConfig.env` with"),
        (
            wasm("EnvoyExtensionPolicy", "gateway.envoyproxy.io", &format!("wasm: [{{ config: {configuration} }}]")),
            "`env.hostKeys`",
        ),
        (
            wasm("WasmPlugin", "extensions.higress.io", &format!("defaultConfig: {configuration}")),
            "pass it on to the module",
        ),
        (configuration.to_string(), "pass it on to the module"),
    ];
    let places = ["host_env_keys", "vmConfig.env", "env.hostKeys"];
    for (text, place) in rows {
        let told = run_with(&["check", "--strict-env", "--json", "-"], &text);
        let findings = told.json()["findings"].as_array().expect("a list").clone();
        let finding = findings.iter().find(|f| f["reason"].as_str().expect("a text").contains("is not set"));
        let cure = finding.unwrap_or_else(|| panic!("{told:?}"))["cure"].as_str().expect("a text");
        assert!(cure.contains(place) && cure.contains("--env"), "{cure}");
        assert!(places.iter().all(|other| place.contains(other) || !cure.contains(other)), "{cure}");
    }
}

#[test]
fn what_is_assumed_is_named_or_counted() {
    let of = |first: &str, second: &str| {
        let mut changed = configuration();
        let mut other = changed["resources"][0].clone();
        other["resource"] = json!("https://mcp.example.com/other");
        changed["resources"][0]["sessions"] = json!({ "key_variable": first });
        other["sessions"] = json!({ "key_variable": second });
        changed["resources"].as_array_mut().expect("a list").push(other);
        file("a.json", changed.to_string())
    };
    let rows = [
        ("A", "B", "right: A, B\n"),
        ("A", "odd name", "right: A, one with an odd name\n"),
        ("odd name", "odd name", "right: one with an odd name\n"),
        ("odd name", "odder name", "right: 2 with odd names\n"),
    ];
    for (first, second, expected) in rows {
        let told = run(&["check", &of(first, second)]);
        assert!(told.out.contains(&format!("assumed to be set and {expected}")), "{first} {second}: {told:?}");
    }
}
