//! What is taken for a configuration of this filter, in whatever holds it, and what is another's.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};

use crate::support::{configuration, file, run, with};

pub(crate) const WASM: &str = r#""@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"#;
const NONE: &str = "there is no plugin configuration of this filter here";

pub(crate) fn good() -> String {
    configuration().to_string()
}

/// One finding.
fn bad() -> String {
    good().replace("https://mcp.example.com/mcp", "https://mcp.example.com/mcp#x")
}

pub(crate) fn string_value(json: &str) -> String {
    format!(r#"{{ "@type": type.googleapis.com/google.protobuf.StringValue, value: '{json}' }}"#)
}

fn bytes_value(base64: &str) -> String {
    format!(r#"{{ "@type": type.googleapis.com/google.protobuf.BytesValue, value: "{base64}" }}"#)
}

pub(crate) fn manifest(group: &str, kind: &str, spec: &str) -> String {
    format!("apiVersion: {group}/v1alpha1\nkind: {kind}\nspec: {{ {spec} }}\n")
}

pub(crate) fn istio(spec: &str) -> String {
    manifest("extensions.istio.io", "WasmPlugin", spec)
}

/// The findings of a file of this name that are no notes, and that the exit code fits them.
#[track_caller]
pub(crate) fn findings(name: &str, text: &str) -> Vec<String> {
    let checked = run(&["check", "--json", &file(name, text)]);
    let document = checked.json();
    let all = document["findings"].as_array().expect("findings");
    assert!(all.iter().all(|f| f["severity"] == "note" || !f["cure"].as_str().unwrap_or_default().is_empty()));
    let found: Vec<String> = checked.findings().into_iter().filter(|finding| !finding.contains(" note ")).collect();
    assert_eq!(checked.code, i32::from(!found.is_empty()), "{checked:?}");
    found
}

/// A file, and a part of its only finding; `None`: there is none.
#[track_caller]
pub(crate) fn expect(rows: &[(&str, String, Option<&str>)]) {
    for (name, text, expected) in rows {
        let found = findings("a.yaml", text);
        match expected {
            None => assert!(found.is_empty(), "{name}: {found:?}\n{text}"),
            Some(part) => {
                assert!(found.len() == 1 && found.iter().any(|f| f.contains(part)), "{name}: {found:?}\n{text}");
            }
        }
    }
}

#[test]
fn resources_of_another_kind_are_no_configuration() {
    let listener = |json: &str| {
        format!(
            "resources:\n- \"@type\": type.googleapis.com/envoy.config.listener.v3.Listener\n  filters:\n  - name: mcp\n    typed_config: {{ {WASM}, config: {{ configuration: {} }} }}\n",
            string_value(json)
        )
    };
    let discovered = |json: &str| {
        format!(
            "resources:\n- \"@type\": type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig\n  typed_config: {{ {WASM}, config: {{ configuration: {} }} }}\n",
            string_value(json)
        )
    };
    expect(&[
        ("listeners", listener(&good()), None),
        (
            "listeners, one with a mistake",
            listener(&bad()),
            Some("resources[0].resource: `https://mcp.example.com/mcp#x`"),
        ),
        ("a filter's discovery", discovered(&good()), None),
        ("a filter's discovery, with a mistake", discovered(&bad()), Some("resources[0].resource: ")),
        (
            "listeners, each with its version",
            listener(&good()).replace(
                "- \"@type\": type.googleapis.com/envoy.config.listener.v3.Listener\n",
                "- \"@type\": type.googleapis.com/envoy.service.discovery.v3.Resource\n  resource: { name: mcp }\n",
            ),
            None,
        ),
        (
            "clusters",
            "resources:\n- \"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster\n  name: c\n".to_owned(),
            Some(NONE),
        ),
        ("a kustomization", "resources:\n- a.yaml\n- b.yaml\n".to_owned(), Some(NONE)),
        ("what a container may use", "image: a\nresources: { limits: { cpu: 1 } }\n".to_owned(), Some(NONE)),
        (
            "ours, broken",
            r#"resources: [{ resource: "https://mcp.example.com/mcp" }]"#.to_owned(),
            Some("authorization_servers: is missing"),
        ),
        (
            "ours, broken otherwise",
            with(configuration(), "resources", serde_json::json!(null)).to_string(),
            Some("resources: is missing"),
        ),
    ]);
}

#[test]
fn a_plugin_of_this_name_without_a_configuration_is_a_finding() {
    let image = r#"url: "oci://registry.example.com/mcp-oauth-filter:1""#;
    let envoy = |more: &str| {
        format!(
            "- {{ {WASM}, config: {{ vm_config: {{ code: {{ local: {{ filename: a/mcp_resource_server.wasm }} }} }}{more} }} }}\n"
        )
    };
    let gateway = |more: &str| {
        let spec = format!("wasm: [{{ name: a, code: {{ image: {{ {image} }} }}{more} }}]");
        manifest("gateway.envoyproxy.io", "EnvoyExtensionPolicy", &spec)
    };
    let higress = |more: &str| manifest("extensions.higress.io", "WasmPlugin", &format!("{image}{more}"));
    let missing = Some("configuration: this filter gets no configuration, so it answers 503 to everything");
    let rows = vec![
        ("Istio", istio(image), missing),
        ("Istio, nothing", istio(&format!("{image}, pluginConfig: null")), missing),
        ("Istio, configured", istio(&format!("{image}, pluginConfig: {}", good())), None),
        ("Istio, another's", istio("url: oci://registry.example.com/other"), Some(NONE)),
        (
            "TrafficExtension",
            manifest("extensions.istio.io", "TrafficExtension", &format!("wasm: {{ {image} }}")),
            missing,
        ),
        ("Envoy Gateway", gateway(""), missing),
        ("Envoy Gateway, configured", gateway(&format!(", config: {}", good())), None),
        ("Higress", higress(""), missing),
        ("Higress, configured", higress(&format!(", defaultConfig: {}", good())), None),
        (
            "Higress, configured for one route",
            higress(&format!(", matchRules: [{{ config: {} }}]", good())),
            Some("error matchRules: Higress puts `_rules_` into the configuration"),
        ),
        ("Envoy", envoy(""), missing),
        ("Envoy, nothing", envoy(", configuration: null"), missing),
        (
            "Envoy, a text that is not there",
            envoy(", configuration: { \"@type\": type.googleapis.com/google.protobuf.StringValue }"),
            missing,
        ),
        ("Envoy, configured", envoy(&format!(", configuration: {}", string_value(&good()))), None),
        ("Envoy, another's", envoy("").replace("mcp_resource_server", "other"), Some(NONE)),
    ];
    expect(&rows);
    // A good one does not speak for it, and what is around it counts as well.
    let both = format!(
        "{}---\n{}",
        istio(&format!("{image}, pluginConfig: {}", good())),
        istio(&format!("{image}, failStrategy: FAIL_OPEN"))
    );
    let found = findings("a.yaml", &both);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("7:14 error configuration: this filter gets no configuration"), "{found:?}");
    assert!(found[1].contains("failStrategy: requests would pass"), "{found:?}");
}

#[test]
fn bytes_are_a_configuration_in_base64() {
    let envoy = |value: &str| format!("- {{ {WASM}, config: {{ configuration: {value} }} }}\n");
    let named = |value: &str| format!("- {{ {WASM}, config: {{ name: mcp_oauth_filter, configuration: {value} }} }}\n");
    expect(&[
        ("with a mistake", envoy(&bytes_value(&STANDARD.encode(bad()))), Some("resources[0].resource: `https://mcp.")),
        ("cut off", envoy(&bytes_value(&STANDARD.encode(&good()[..good().len() - 1]))), Some("no JSON: ")),
        ("no base64", named(&bytes_value("*")), Some("configuration: this is no text in base64")),
        (
            "JSON where bytes belong",
            envoy(&bytes_value("X").replace("\"X\"", &format!("'{}'", good()))),
            Some("configuration: this is no text in base64"),
        ),
        ("base64 where a text belongs", named(&string_value(&STANDARD.encode(good()))), Some("no JSON: ")),
        ("another's", envoy(&bytes_value(&STANDARD.encode("{}"))), Some(NONE)),
    ]);
    // Both alphabets, and each length of padding, present and absent.
    for end in ["", " ", "  "] {
        let text = good().replace("mcp:read", "mcp:~~~~????") + end;
        let (standard, for_urls) = (STANDARD.encode(&text), URL_SAFE_NO_PAD.encode(&text));
        assert!(standard.contains('+') && for_urls.contains('_'), "{standard} {for_urls}");
        for value in [standard.trim_end_matches('='), &standard, &for_urls] {
            assert_eq!(findings("a.yaml", &envoy(&bytes_value(value))), Vec::<String>::new(), "{value}");
        }
    }
    let text = envoy(&bytes_value(&STANDARD.encode(bad())));
    let column = text.find("value: ").expect("it is there") + "value: ".len() + 1;
    assert!(findings("a.yaml", &text)[0].starts_with(&format!("1:{column} ")), "the place is that of the value");
}

#[test]
fn what_is_switched_off_is_a_finding() {
    let envoy = |more: &str| {
        format!(
            "- {{ name: a{more}, typed_config: {{ {WASM}, config: {{ configuration: {} }} }} }}\n",
            string_value(&good())
        )
    };
    let higress =
        |more: &str| manifest("extensions.higress.io", "WasmPlugin", &format!("defaultConfig: {}{more}", good()));
    let rule = |more: &str| higress(&format!(", matchRules: [{{ ingress: [a]{more} }}]"));
    let shared = format!(
        "x:\n- {{ name: a, typed_config: &a {{ {WASM}, config: {{ configuration: {} }} }} }}\n- {{ disabled: true, typed_config: *a }}\n",
        string_value(&good())
    );
    expect(&[
        ("Envoy", envoy(""), None),
        ("Envoy, on", envoy(", disabled: false"), None),
        ("Envoy, off", envoy(", disabled: true"), Some("warning disabled: requests pass unchecked wherever")),
        ("Envoy, off in words", envoy(", disabled: yes"), Some("warning disabled: requests pass unchecked")),
        ("Envoy, off by an alias", shared, Some("3:15 warning disabled: requests pass unchecked")),
        ("Higress", higress(""), None),
        ("Higress, on", higress(", defaultConfigDisable: false, matchRules: []"), None),
        ("Higress, off", higress(", defaultConfigDisable: true"), Some("warning defaultConfigDisable: requests pass")),
        ("Higress, off for a route", rule(", configDisable: true"), Some("warning configDisable: requests pass")),
        ("Higress, for a route", rule(""), Some("error matchRules: Higress puts `_rules_` into the configuration")),
        ("Higress, on for a route", rule(", configDisable: false"), Some("error matchRules: Higress puts `_rules_`")),
    ]);
    // Once, however many configurations there are.
    let rules = format!(", config: {} }}, {{ configDisable: true, config: {}", good(), good());
    let found = findings("a.yaml", &rule(&rules));
    assert_eq!(found.len(), 2, "{found:?}");
}

/// What another plugin says of this one does not make it this one.
#[test]
fn a_plugin_is_known_by_its_own_name() {
    let ours = istio(&format!("url: oci://registry.example.com/mcp-oauth-filter, pluginConfig: {}", good()));
    let beside = |spec: &str| format!("{ours}---\n{}", istio(&format!("failStrategy: FAIL_OPEN, {spec}")));
    let open = Some("error failStrategy: requests would pass");
    expect(&[
        ("another's", beside("url: oci://registry.example.com/stats"), None),
        ("its configuration", beside("url: a, pluginConfig: { skip: [mcp_resource_server] }"), None),
        ("its environment", beside("url: a, vmConfig: { env: [{ name: A, value: mcp_resource_server }] }"), None),
        ("its gateway", beside("url: a, targetRefs: [{ kind: Gateway, name: mcp-oauth-filter }]"), None),
        ("ours, by its URL", beside(&format!("url: oci://a/mcp-oauth-filter, pluginConfig: {}", good())), open),
        (
            "ours, by its name",
            beside(&format!("url: a, pluginName: mcp_resource_server, pluginConfig: {}", good())),
            open,
        ),
        ("ours, by its configuration", beside(&format!("url: a, pluginConfig: {}", good())), open),
    ]);
}

#[test]
fn lists_streams_and_secrets_hold_manifests() {
    let json = |configuration: &str| {
        format!(
            r#"{{ "apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin", "spec": {{ "pluginConfig": {configuration} }} }}"#
        )
    };
    let (plain_good, plain_bad) = (good(), bad());
    let (good, bad) = (json(&plain_good), json(&plain_bad));
    let kindless = |manifest: &str| manifest.replace(r#""kind": "WasmPlugin","#, "");
    let list = |kind: &str, items: &str| {
        format!(r#"{{ "apiVersion": "extensions.istio.io/v1alpha1", "kind": "{kind}", "items": [{items}] }}"#)
    };
    let secret = |list: &str, value: &str| format!("kind: Secret\n{list}: {{ a: {value} }}\n");
    let encoded = |json: &str| STANDARD.encode(json);
    let mistake = Some("resources[0].resource: `https://mcp.example.com/mcp#x`");
    expect(&[
        ("an array", format!("[{good}]"), None),
        ("an array, with a mistake", format!("[{good}, {bad}]"), mistake),
        ("a list of one kind", list("WasmPluginList", &good), None),
        ("a list of one kind, with a mistake", list("WasmPluginList", &bad), mistake),
        ("a list of one kind, which its items do not repeat", list("WasmPluginList", &kindless(&bad)), mistake),
        ("a list of another kind", list("OtherList", &kindless(&bad)), Some(NONE)),
        ("a list in a list", list("List", &list("List", &list("WasmPluginList", &bad))), mistake),
        ("one after another", format!("{good}\n{good}\n"), None),
        ("one after another, with a mistake", format!("{good}\n{bad}"), mistake),
        ("a configuration after another", format!("{plain_good}\n{plain_good}"), Some("more text after the end")),
        ("a secret", secret("stringData", &format!("'{plain_good}'")), None),
        ("a secret, with a mistake", secret("stringData", &format!("'{plain_bad}'")), mistake),
        ("a secret in base64", secret("data", &encoded(&plain_bad)), mistake),
        ("another secret", secret("data", &encoded("hunter2")), Some(NONE)),
        (
            "a broken file in a secret's file",
            secret("data", &encoded(&secret("data", &encoded(plain_good.trim_end_matches('}'))))),
            Some("the text ends where `}` is expected"),
        ),
        ("a secret that is no text", secret("data", "/w=="), Some(NONE)),
    ]);
}

#[test]
fn what_yaml_1_1_reads_otherwise_wants_quotes() {
    let scopes = |value: &str| {
        let configuration = good().replace("\"mcp:read\"", value);
        istio(&format!("pluginConfig: {configuration}"))
    };
    for value in ["yes", "No", "ON", "off", "y", "N", "0x10", "0o7", "0b1", "010", "1_000", "+1", ".5", "-.inf", ".NaN"]
    {
        let found = findings("a.yaml", &scopes(value));
        assert!(
            found.len() == 1
                && found[0].contains("error resources[0].scopes.required[0]: this is a text for some readers of YAML"),
            "{value}: {found:?}"
        );
        for quoted in [format!("\"{value}\""), format!("'{value}'"), format!("!!str {value}"), format!("! {value}")] {
            assert_eq!(findings("a.yaml", &scopes(&quoted)), Vec::<String>::new(), "{quoted}");
        }
    }
    for text in [
        "yess",
        "none",
        "1.2.3",
        "127.0.0.1",
        "2027-01-31",
        "12:30",
        "0x",
        "0xg",
        "0b3f",
        "0b",
        "0o9",
        "0oa",
        "on_",
        "a1",
    ] {
        assert_eq!(findings("a.yaml", &scopes(text)), Vec::<String>::new(), "{text}");
    }
    // The tag makes a text, which is where a truth value is none.
    for text in ["! true", "!!str true", "! null", "! 1"] {
        assert_eq!(findings("a.yaml", &scopes(text)), Vec::<String>::new(), "{text}");
    }
    assert_eq!(findings("a.yaml", &scopes("true")).len(), 1);
    // Elsewhere in a file it is none of this filter's business.
    assert_eq!(findings("a.yaml", &istio(&format!("verbose: yes, pluginConfig: {}", good()))), Vec::<String>::new());
    // A number may be a secret in the wrong place.
    let checked = run(&["check", &file("a.yaml", scopes("0x5ec4e7"))]);
    assert!(checked.code == 1 && !checked.out.contains("5ec4e7"), "{checked:?}");
}

#[test]
fn yaml_where_json_is_read_is_a_finding() {
    let trailing = good().replace("}]}", "},]}");
    assert_ne!(trailing, good());
    let no_json = Some("no JSON");
    let config_map = |key: &str, text: &str| format!("kind: ConfigMap\ndata: {{ {key}: '{text}' }}\n");
    let envoy = format!("- {{ {WASM}, config: {{ configuration: {} }} }}\n", string_value(&trailing));
    expect(&[
        ("the file itself", trailing.clone(), Some("no JSON, only YAML, which the filter does not read: ")),
        ("the file itself, as JSON", good(), None),
        ("the file itself, as YAML that does not begin as JSON", format!("# a\n{trailing}"), None),
        ("a text", envoy, no_json),
        ("a file in a ConfigMap", config_map("config", &trailing), Some("no JSON, only YAML")),
        ("a JSON file in a ConfigMap", config_map("a.json", &trailing), Some("no JSON value")),
        ("a JSON file in a ConfigMap, as JSON", config_map("a.json", &good()), None),
        // kubectl reads YAML.
        (
            "a manifest",
            format!("{{ apiVersion: extensions.istio.io/v1, kind: WasmPlugin, spec: {{ pluginConfig: {trailing} }} }}"),
            None,
        ),
        ("a byte order mark", format!("\u{feff}{}", good()), Some("error : no JSON: it begins with a byte order mark")),
        ("a manifest of many lines", istio(&format!("pluginConfig: {trailing}")), None),
    ]);
    // What is named JSON is read as nothing else.
    for text in [
        format!("# a\n{}", good()),
        format!("---\n{}", good()),
        trailing.clone(),
        "authorization_servers:\n".to_owned(),
    ] {
        assert!(findings("a.json", &text)[0].contains("error : "), "{text}");
    }
    assert_eq!(findings("a.json", &format!("\n {}", good())), Vec::<String>::new());
    // Nor is a request explained by what the filter would refuse.
    let explained = |text: &str| run(&["explain", "--config", &file("a.yaml", text), "--now", "1800000000"]);
    let told = explained(&trailing);
    assert!(told.code == 2 && told.err.contains("a.yaml: no JSON\n"), "{told:?}");
    assert_eq!(explained(&good()).code, 1, "without a token it is refused");
}
