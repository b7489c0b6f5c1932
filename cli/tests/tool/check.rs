//! What is around a configuration, and each finding's sibling that is none.

use serde_json::json;

use crate::support::{configuration, file, own, run, with};

#[test]
fn what_the_repository_ships_has_no_findings() {
    let mut files = vec![own("envoy.yaml")];
    for folder in ["examples", "deploy"] {
        let entries = std::fs::read_dir(own(folder)).expect(folder).map(|entry| entry.expect("a file").path());
        files.extend(entries.map(|path| path.to_string_lossy().into_owned()));
    }
    // A dashboard is no configuration.
    files.retain(|name| name.ends_with(".yaml") || (name.ends_with(".json") && !name.ends_with("grafana.json")));
    assert!(files.len() > 10);
    let mut arguments = vec!["check", "--json"];
    arguments.extend(files.iter().map(String::as_str));
    let checked = run(&arguments);
    let bad: Vec<String> = checked.findings().into_iter().filter(|finding| !finding.contains(" note ")).collect();
    assert_eq!((checked.code, bad), (0, vec![]));
}

const RULES: &str = r#""rules": [{ "tools": ["x"], "scopes": ["y"] }]"#;

fn envoy(plugin: &str, clusters: &str, configuration: &str) -> String {
    format!(
        "static_resources:
  listeners:
  - filter_chains:
    - filters:
      - typed_config:
          http_filters:
          - typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                {plugin}
                configuration:
                  \"@type\": type.googleapis.com/google.protobuf.StringValue
                  value: '{configuration}'
  clusters: {clusters}
"
    )
}

fn plain(more_server: &str, more_resource: &str, more: &str) -> String {
    format!(
        r#"{{ "authorization_servers": [{{ "issuer": "https://idp.example.com", "cluster": "idp"{more_server} }}], "resources": [{{ "resource": "https://mcp.example.com/mcp"{more_resource} }}]{more} }}"#
    )
}

/// The same, with a cluster that Istio could have.
fn in_mesh(json: &str) -> String {
    json.replace("\"idp\"", "\"outbound|443||idp.example.com\"")
}

const TLS: &str = r#"[{ name: idp, transport_socket: { typed_config: { "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, auto_sni_san_validation: true, common_tls_context: { validation_context: { trusted_ca: { filename: a } } } } } }]"#;

/// A file, and a part of its findings; `None`: there are none.
type Row = (&'static str, String, Option<&'static str>);

/// Beside a good one, too, so that the good one does not speak for both.
#[test]
fn a_configuration_that_is_not_known_as_one_is_none_of_another_filter() {
    let plugin = |name: &str, configuration: &str| {
        format!(
            "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {{ name: {name} }}\nspec:\n  \
             url: oci://registry.example.com/{name}@sha256:00\n  pluginConfig: {configuration}\n---\n"
        )
    };
    let good = plugin("mcp-oauth-filter", &in_mesh(&plain("", "", r#", "hold_requests": "body""#)));
    let misspelt = r#"{ "authorisation_servers": [], "resource": [] }"#;
    for (name, more, expected) in [
        ("ours", plugin("mcp-oauth-filter", misspelt), Some("authorisation_servers: unknown key")),
        ("ours, empty", plugin("mcp-oauth-filter", "{}"), Some("authorization_servers: is missing")),
        ("another's", plugin("other", misspelt), None),
        (
            "a broken file in a ConfigMap",
            "kind: ConfigMap\ndata: { a.json: '{ \"authorization_servers\": [,] }' }\n".to_owned(),
            Some("error"),
        ),
        ("another's broken file", "kind: ConfigMap\ndata: { a.json: '{ \"x\": [,] }' }\n".to_owned(), None),
    ] {
        let checked = run(&["check", "--json", &file("a.yaml", format!("{good}{more}"))]);
        let found: Vec<String> = checked.findings().into_iter().filter(|finding| !finding.contains(" note ")).collect();
        assert_eq!(checked.code, i32::from(expected.is_some()), "{name}: {found:?}");
        assert!(expected.is_none_or(|part| found.iter().any(|finding| finding.contains(part))), "{name}: {found:?}");
    }
}

#[test]
fn what_is_forwarded_unchecked_is_noted() {
    let notes = |unmatched: &str| {
        let checked = run(&[
            "check",
            "--json",
            &file("a.json", with(configuration(), "unmatched", json!(unmatched)).to_string()),
        ]);
        assert_eq!(checked.code, 0, "{checked:?}");
        checked
            .findings()
            .iter()
            .filter(|note| note.contains("note unmatched: requests that no resource is for"))
            .count()
    };
    assert_eq!((notes("insecure_forward"), notes("deny")), (1, 0));
}

#[test]
fn what_is_around_a_configuration_counts() {
    let closed = "failure_policy: FAIL_RELOAD";
    let secret = r#", "sessions": { "key_variable": "MCP_KEYS" }"#;
    let body = format!(", {RULES}");
    let held = r#", "hold_requests": "headers""#;
    let istio = |spec: &str, hold: &str| {
        format!(
            "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nspec:\n  {spec}\n  pluginConfig: {}\n",
            in_mesh(&plain("", &body, hold))
        )
    };
    let gateway = |more: &str| {
        format!(
            "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyExtensionPolicy\nspec:\n  wasm:\n  - name: x\n    {more}\n    config: {}\n",
            plain("", secret, "")
        )
    };
    let rows: Vec<Row> = vec![
        ("closed", envoy(closed, TLS, &plain("", "", "")), None),
        (
            "open",
            envoy("failure_policy: FAIL_OPEN", TLS, &plain("", "", "")),
            Some("error failure_policy: requests would pass"),
        ),
        (
            "open by number",
            envoy("failurePolicy: 3", TLS, &plain("", "", "")),
            Some("error failurePolicy: requests would pass"),
        ),
        (
            "open, the old way",
            envoy("fail_open: true", TLS, &plain("", "", "")),
            Some("error fail_open: requests would pass"),
        ),
        (
            "open in small letters, which Envoy reads",
            envoy("failure_policy: fail_open", TLS, &plain("", "", "")),
            Some("error failure_policy: requests would pass"),
        ),
        (
            "open in another number system",
            envoy("failure_policy: 0x3", TLS, &plain("", "", "")),
            Some("error failure_policy: requests would pass"),
        ),
        (
            "open in words, which Envoy reads",
            envoy("fail_open: yes", TLS, &plain("", "", "")),
            Some("error fail_open: requests would pass"),
        ),
        ("closed by another name", envoy("failure_policy: FAIL_CLOSED", TLS, &plain("", "", "")), None),
        ("closed, the old way", envoy("fail_open: false", TLS, &plain("", "", "")), None),
        (
            "no such cluster",
            envoy(closed, "[{ name: other }]", &plain("", "", "")),
            Some("error cluster: no cluster of this name"),
        ),
        (
            "https without TLS",
            envoy(closed, "[{ name: idp }]", &plain("", "", "")),
            Some("reaches an https server without TLS"),
        ),
        (
            "TLS without a check",
            envoy(closed, &TLS.replace("validation_context", "nothing"), &plain("", "", "")),
            Some("takes any certificate"),
        ),
        (
            "a cluster for keys",
            envoy(closed, TLS, &plain(r#", "jwks_cluster": "keys""#, "", "")),
            Some("no cluster of this name"),
        ),
        (
            "held heads",
            envoy(closed, TLS, &plain("", &body, held)),
            Some("error hold_requests: Envoy does not deliver"),
        ),
        (
            "held heads that Envoy delivers",
            envoy("allow_on_headers_stop_iteration: true", TLS, &plain("", &body, held)),
            None,
        ),
        ("held bodies", envoy(closed, TLS, &plain("", &body, r#", "hold_requests": "body""#)), None),
        (
            "a variable that is not passed on",
            envoy(closed, TLS, &plain("", secret, "")),
            Some("error key_variable: the environment variable `MCP_KEYS` is not passed on"),
        ),
        (
            "a variable of the host",
            envoy("vm_config: { environment_variables: { host_env_keys: [MCP_KEYS] } }", TLS, &plain("", secret, "")),
            None,
        ),
        (
            "a secret in the file",
            envoy(
                "vm_config: { environment_variables: { key_values: { MCP_KEYS: s3cr3t } } }",
                TLS,
                &plain("", secret, ""),
            ),
            Some("error MCP_KEYS: the secret `MCP_KEYS` stands in the manifest"),
        ),
        (
            "a variable of the host that is a secret in the file, too",
            envoy(
                "vm_config: { environment_variables: { host_env_keys: [MCP_KEYS], key_values: { MCP_KEYS: s3cr3t } } }",
                TLS,
                &plain("", secret, ""),
            ),
            Some("error MCP_KEYS: the secret `MCP_KEYS` stands in the manifest"),
        ),
        (
            "closed by what is not set",
            envoy("failure_policy: null\n                fail_open: null", TLS, &plain("", "", "")),
            None,
        ),
        (
            "no module",
            envoy("vm_config: { runtime: envoy.wasm.runtime.null }", TLS, &plain("", "", "")),
            Some("error vm_config.runtime: this runtime runs what is built into Envoy"),
        ),
        ("a module", envoy("vm_config: { runtime: envoy.wasm.runtime.v8 }", TLS, &plain("", "", "")), None),
        (
            "a type without its slash",
            envoy(closed, TLS, &plain("", "", ""))
                .replace("type.googleapis.com/google.protobuf.S", "google.protobuf.S"),
            Some("configuration.@type: the filter would get protobuf"),
        ),
        (
            "more than a value",
            envoy(closed, TLS, &plain("", "", "")).replace("  value: '", "  extra: 1\n                  value: '"),
            Some("error configuration.extra: Envoy refuses what stands beside"),
        ),
        (
            "a Struct",
            envoy(closed, TLS, &plain("", "", "")).replace("StringValue", "Struct"),
            Some("the filter would get protobuf"),
        ),
        (
            "a kind that nobody names",
            envoy(closed, TLS, &plain("", "", ""))
                .replace("\"@type\": type.googleapis.com/google.protobuf.StringValue\n", "\n"),
            Some("the filter would get protobuf"),
        ),
        (
            "an object for a text",
            envoy(closed, TLS, &plain("", "", "")).replace("value: '", "value: ").replace("}'", "}"),
            Some("the filter would get protobuf"),
        ),
        ("Istio", istio("failStrategy: FAIL_CLOSE", r#", "hold_requests": "body""#), None),
        (
            "Istio, open",
            istio("failStrategy: FAIL_OPEN", r#", "hold_requests": "body""#),
            Some("error failStrategy: requests would pass"),
        ),
        (
            "Istio, open in words",
            istio("failStrategy: fail_open", r#", "hold_requests": "body""#),
            Some("error failStrategy: requests would pass"),
        ),
        ("Istio, held heads", istio("phase: AUTHN", held), Some("held heads never get their bodies")),
        ("Envoy Gateway", gateway("env: { hostKeys: [MCP_KEYS] }"), None),
        (
            "Envoy Gateway, open",
            gateway("failOpen: true\n    env: { hostKeys: [MCP_KEYS] }"),
            Some("error failOpen: requests would pass"),
        ),
        (
            "Envoy Gateway, open in words",
            gateway("failOpen: on\n    env: { hostKeys: [MCP_KEYS] }"),
            Some("error failOpen: requests would pass"),
        ),
        (
            "Envoy Gateway, a text for an object",
            gateway("env: { hostKeys: [MCP_KEYS] }").replace("config: {", "config: '{").replace("}] }\n", "}] }'\n"),
            Some("the filter would get a JSON text"),
        ),
        ("Envoy Gateway, no variable", gateway("failOpen: false"), Some("is not passed on")),
        (
            "no configuration",
            "kind: Service\n".to_owned(),
            Some("there is no plugin configuration of this filter here"),
        ),
        ("another filter's", envoy(closed, TLS, r#"{ "rules": [] }"#), Some("there is no plugin configuration")),
    ];
    for (name, text, expected) in rows {
        let checked = run(&["check", "--json", &file("a.yaml", &text)]);
        let found: Vec<String> = checked.findings().into_iter().filter(|finding| !finding.contains(" note ")).collect();
        match expected {
            None => assert_eq!((checked.code, found), (0, vec![]), "{name}"),
            Some(expected) => {
                assert!(
                    checked.code == 1 && found.len() == 1 && found[0].contains(expected),
                    "{name}: {found:?}\n{text}"
                );
                assert!(!checked.json()["findings"][0]["cure"].as_str().expect("a cure").is_empty(), "{name}");
            }
        }
        assert!(!checked.out.contains("s3cr3t"), "{name}");
    }
}

#[test]
fn every_finding_of_a_bad_configuration_has_a_cure() {
    let bad = json!({
        "authorization_servers": [
            { "issuer": "http://idp.example.com", "cluster": "", "clock_skew": "1y", "fetch_timeout": "2h", "algorithms": ["HS256"] },
            { "issuer": "https://idp.example.com/", "provider": "keyclock", "cluster": 1 },
        ],
        "resources": [
            { "resource": "https://MCP.example.com/mcp", "scopes": { "required": "a" } },
            { "resource": "https://mcp.example.com:443/mcp" },
            { "scopes": { "requierd": [] } },
            { "resource": "https://a.example/", "rules": [{ "scopes": ["a"] }, { "tools": ["x"] }], "body": { "max_size": "1" } },
            { "resource": "https://b.example/", "static_tokens": [{ "name": "a b", "sha256": "hunter2hunter2", "scopes": [], "expires": "soon" }] },
        ],
        "unmatched": "allow", "token_cache": { "max_entries": -1 }, "nonsense": { "a": 1 },
    });
    let path = file("a.json", serde_json::to_string_pretty(&bad).expect("JSON"));
    let checked = run(&["check", "--json", &path]);
    let document = checked.json();
    let findings = document["findings"].as_array().expect("findings");
    assert!(checked.code == 1 && findings.len() >= 20, "{findings:#?}");
    for finding in findings {
        let cure = finding["cure"].as_str().expect("a cure");
        assert!(
            cure.len() > 5 && finding["line"].as_u64() > Some(0) && finding["column"].as_u64() > Some(0),
            "{finding}"
        );
    }
    assert!(!checked.out.contains("hunter2"), "what may be a secret is not shown");
}

#[test]
fn variables_are_given_found_or_assumed() {
    let sessions = json!([{ "resource": "https://mcp.example.com/mcp", "sessions": { "key_variable": "MCP_KEYS" } }]);
    let path = file("a.json", with(configuration(), "resources", sessions).to_string());
    let assumed = run(&["check", &path]);
    assert!(assumed.code == 0 && assumed.out.contains("assumed to be set and right: MCP_KEYS"), "{assumed:?}");
    let strict = run(&["check", "--strict-env", &path]);
    assert!(strict.code == 1 && strict.out.contains("the environment variable `MCP_KEYS` is not set"), "{strict:?}");
    let given = run(&["check", "--strict-env", "--env", &format!("MCP_KEYS={}", "A".repeat(43)), &path]);
    assert_eq!((given.code, given.out.contains("assumed")), (0, false));
    let wrong = run(&["check", "--env", "MCP_KEYS=hunter2hunter2", &path]);
    assert!(wrong.code == 1 && !wrong.out.contains("hunter2"), "{wrong:?}");
}

/// kubectl merges, Envoy takes it for a name: what is read here must not be another configuration than what is applied.
#[test]
fn merge_keys_are_a_finding() {
    let manifest = |spec: &str| {
        format!(
            "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nspec:\n  url: oci://a.example/b\n  {spec}\n  pluginConfig: {}\n",
            configuration()
        )
    };
    let merged = file("a.yaml", manifest("<<: { failStrategy: FAIL_OPEN }"));
    let checked = run(&["check", "--json", &merged]);
    let found = checked.findings();
    assert!(checked.code == 1 && found.len() == 1, "{checked:?}");
    assert!(found[0].starts_with("5:3 error : `<<` merges another mapping for some readers"), "{found:?}");
    // In quotes it is a name like others, which no reader merges.
    let quoted = file("a.yaml", manifest("\"<<\": { failStrategy: FAIL_OPEN }"));
    assert_eq!(run(&["check", &quoted]).code, 0);
    // It hides nothing that stands in another document of the file.
    let both = file("a.yaml", format!("x:\n  <<: {{ a: 1 }}\n---\n{}", manifest("failStrategy: FAIL_OPEN")));
    let found = run(&["check", "--json", &both]).findings();
    assert!(
        found.len() == 2 && found[0].starts_with("2:3 error : `<<`") && found[1].contains("failStrategy"),
        "{found:?}"
    );
    let aliased = "base: &d [\"mcp:read\"]\n---\nkind: ConfigMap\n";
    assert!(run(&["check", &file("a.yaml", aliased)]).out.contains("no plugin configuration"));
}
