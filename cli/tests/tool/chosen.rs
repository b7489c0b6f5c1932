//! Which configuration of a file `explain` is about: whatever `check` finds, and one of several by its place.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::support::{NOW, Run, configuration, file, good_token, run_with};

fn explain(path: &str, more: &[&str]) -> Run {
    let now = NOW.to_string();
    let arguments = ["explain", "--config", path, "--token", "-", "--now", &now, "--json"];
    run_with(&[&arguments, more].concat(), &good_token())
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

fn other() -> Value {
    let mut other = configuration();
    other["resources"][0]["scopes"] = json!({ "required": ["mcp:write"] });
    other
}

#[test]
fn it_is_found_wherever_check_finds_it() {
    let envoy = format!(
        "typed_config:\n  \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n  config:\n    configuration:\n      \"@type\": type.googleapis.com/google.protobuf.StringValue\n      value: '{}'\n",
        configuration()
    );
    let map = |text: &str| format!("kind: ConfigMap\ndata:\n  other.txt: hello\n  envoy.yaml: |\n{}", indented(text));
    let inner = configuration().to_string();
    for text in [inner.clone(), envoy.clone(), map(&inner), map(&envoy), map(&map(&envoy))] {
        let told = explain(&file("a.yaml", &text), &[]);
        assert_eq!((told.code, told.json()["verdict"].as_str()), (0, Some("forward")), "{text}\n{told:?}");
    }
    for text in [map("hello"), "a: 1\n".to_owned()] {
        let told = explain(&file("a.yaml", &text), &[]);
        assert!(told.code == 2 && told.err.contains("there is no plugin configuration in it"), "{told:?}");
        assert!(told.err.contains("cure: see what is wrong with: mcp-oauth check"), "{told:?}");
    }
}

#[test]
fn of_several_one_is_chosen_by_its_place() {
    let plugin = |configuration: &Value| {
        format!("kind: WasmPlugin\napiVersion: extensions.istio.io/v1alpha1\nspec:\n  pluginConfig: {configuration}\n")
    };
    let text = format!("{}---\n{}", plugin(&configuration()), plugin(&other()));
    let path = file("a.yaml", &text);
    let told = explain(&path, &[]);
    let resource = "https://mcp.example.com/mcp";
    assert!(told.code == 2 && told.out.is_empty(), "{told:?}");
    for part in [format!("4:17 ({resource}), 9:17 ({resource})"), "choose one with --at LINE".to_owned()] {
        assert!(told.err.contains(&part), "{part}: {told:?}");
    }
    let rows = [
        ("4", 0, "forward"),
        ("4:17", 0, "forward"),
        ("9", 1, "mcp_oauth_insufficient_scope"),
        ("9:17", 1, "mcp_oauth_insufficient_scope"),
    ];
    for (at, code, expected) in rows {
        let told = explain(&path, &["--at", at]);
        let document = told.json();
        let found = document.get("reason").unwrap_or(&document["verdict"]);
        assert_eq!((told.code, found.as_str()), (code, Some(expected)), "{at}: {told:?}");
    }
    for at in ["3", "9:16", "0", "4:", ":17", "-1", "x", "4:17:1", ""] {
        let told = explain(&path, &["--at", at]);
        assert!(told.code == 2 && told.out.is_empty() && told.err.contains("--at "), "{at}: {told:?}");
    }
    // Places are those of the file, also inside a text of it.
    let map = format!("kind: ConfigMap\ndata:\n  a.yaml: |\n{}", indented(&text));
    let path = file("a.yaml", &map);
    for (at, expected) in [("7:21", "forward"), ("12:21", "refuse")] {
        assert_eq!(explain(&path, &["--at", at]).json()["verdict"], expected, "{at}: {map}");
    }
    // On one line the column tells.
    let list = format!(
        "kind: List\nitems: [{{kind: WasmPlugin, apiVersion: extensions.istio.io/v1alpha1, spec: {{pluginConfig: {}}}}}, {{kind: WasmPlugin, apiVersion: extensions.istio.io/v1alpha1, spec: {{pluginConfig: {}}}}}]\n",
        configuration(),
        other()
    );
    let path = file("a.yaml", &list);
    let told = explain(&path, &["--at", "2"]);
    assert!(told.code == 2 && told.err.contains("not exactly one"), "{told:?}");
    let column =
        list.lines().nth(1).expect("a line").rfind("pluginConfig: ").expect("the last") + "pluginConfig: ".len() + 1;
    let told = explain(&path, &["--at", &format!("2:{column}")]);
    assert_eq!(told.json()["reason"], "mcp_oauth_insufficient_scope", "{told:?}");
    // In a file with one, the place may be given too, and must be right.
    let one = file("a.json", configuration().to_string());
    assert_eq!((explain(&one, &["--at", "1"]).code, explain(&one, &["--at", "2"]).code), (0, 2));
}

/// What has one place is one configuration, or is numbered: there is always a way to choose.
#[test]
fn what_has_one_place_can_be_chosen_too() {
    let plugin = |configuration: &str| {
        format!(
            "{{kind: WasmPlugin, apiVersion: extensions.istio.io/v1alpha1, spec: {{url: mcp-oauth-filter, pluginConfig: {configuration}}}}}"
        )
    };
    let shared = format!("- {}\n- {}\n", plugin(&format!("&c {}", configuration())), plugin("*c"));
    let told = explain(&file("a.yaml", &shared), &[]);
    assert_eq!((told.code, told.json()["verdict"].as_str()), (0, Some("forward")), "{told:?}");
    let broken = format!("- {}\n- {}\n", plugin("&c [1]"), plugin("*c"));
    let told = explain(&file("a.yaml", &broken), &[]);
    assert!(told.code == 2 && !told.err.contains("several"), "{told:?}");

    let in_base64 = |all: &[&Value]| {
        let list: String = all.iter().map(|one| format!("- {}\n", plugin(&one.to_string()))).collect();
        let data = STANDARD.encode(list);
        file("a.yaml", format!("kind: Secret\ndata: {{ e: {data}, f: {} }}\n", STANDARD.encode("x")))
    };
    let path = in_base64(&[&configuration(), &other()]);
    let told = explain(&path, &[]);
    let resource = "https://mcp.example.com/mcp";
    let listed = format!("2:12#1 ({resource}), 2:12#2 ({resource})");
    assert!(told.code == 2 && told.err.contains(&listed) && told.err.contains("--at LINE:COLUMN#NUMBER"), "{told:?}");
    for (at, code, expected) in [
        ("2:12#1", 0, "forward"),
        ("2#1", 0, "forward"),
        ("2:12#2", 1, "mcp_oauth_insufficient_scope"),
        ("2#2", 1, "mcp_oauth_insufficient_scope"),
    ] {
        let told = explain(&path, &["--at", at]);
        let document = told.json();
        let found = document.get("reason").unwrap_or(&document["verdict"]);
        assert_eq!((told.code, found.as_str()), (code, Some(expected)), "{at}: {told:?}");
    }
    for at in ["2", "2:12", "2:12#0", "2:12#3", "2:11#1", "3#1"] {
        let told = explain(&path, &["--at", at]);
        assert!(told.code == 2 && told.err.contains(&listed), "{at}: {told:?}");
    }
    for at in ["2:12#", "2:12#x", "#1", "2:12#1#1", "2:12#-1"] {
        let told = explain(&path, &["--at", at]);
        assert!(told.code == 2 && told.err.contains("--at is no place"), "{at}: {told:?}");
    }
    // The same twice is once.
    let told = explain(&in_base64(&[&other(), &other()]), &[]);
    assert_eq!((told.code, told.json()["verdict"].as_str()), (1, Some("refuse")), "{told:?}");
    // Two places are two, whatever stands there; and have no numbers.
    let mixed = format!("- {0}\n- {0}\n", plugin(&configuration().to_string()));
    assert!(!explain(&file("a.yaml", &mixed), &[]).err.split("in it: ").nth(1).expect("a list").contains("#1"));
}
