//! Files and arguments that are not what they should be: bounded in time, no backtrace, no token in any output.

use proptest::prelude::*;
use serde_json::json;

use crate::support::{assert_hidden, configuration, file, good_token, run, run_with, with};

#[test]
fn files_that_are_no_configuration() {
    let bomb = {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = level - 1;
            text += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{below}"); 10].join(", "));
        }
        text
    };
    let chain = (1..60_000).fold("- &a0 [1]\n".to_owned(), |text, n| format!("{text}- &a{n} [*a{}]\n", n - 1));
    let wasm = |inner: &str| format!("spec:\n  pluginConfig:\n    resources: *a11\n    x: {inner}\n");
    let files: Vec<(&str, Vec<u8>)> = vec![
        ("an empty file", vec![]),
        ("binary", (0..=255).collect()),
        ("NUL", b"a\0b".to_vec()),
        ("huge", vec![b'a'; 5 * 1024 * 1024]),
        ("huge JSON", format!("[{}1]", "1,".repeat(2_000_000)).into_bytes()),
        ("deep JSON", "[".repeat(100_000).into_bytes()),
        ("deep objects", "{\"a\":".repeat(100_000).into_bytes()),
        ("deep YAML", "- ".repeat(100_000).into_bytes()),
        ("deep flow YAML", format!("a: {}", "[".repeat(100_000)).into_bytes()),
        (
            "many names",
            format!("{{{}\"b\":1}}", (0..100_000).map(|n| format!("\"a{n}\":1,")).collect::<String>()).into_bytes(),
        ),
        ("a bomb", bomb.clone().into_bytes()),
        (
            "a bomb in a manifest",
            format!("{bomb}kind: WasmPlugin\napiVersion: extensions.istio.io/v1alpha1\n{}", wasm("y")).into_bytes(),
        ),
        (
            "a bomb that is a configuration",
            format!("{bomb}resources: *a11\nauthorization_servers: *a11\n").into_bytes(),
        ),
        ("a chain of aliases", format!("x:\n{chain}").into_bytes()),
        (
            "a chain of aliases in a manifest",
            format!(
                "kind: WasmPlugin\napiVersion: a\nmetadata:\n{chain}spec:\n  pluginConfig:\n    resources: *a59999\n"
            )
            .into_bytes(),
        ),
        ("a circle", b"a: &a [*a]\n".to_vec()),
        ("no such anchor", b"a: *b\n".to_vec()),
        ("two documents, one broken", b"a: 1\n---\n\tb: [\n".to_vec()),
        ("a lone surrogate", b"{\"resources\": \"\\ud800\"}".to_vec()),
        ("a duplicate", b"{\"resources\": [], \"resources\": []}".to_vec()),
        ("a YAML duplicate", b"resources: []\nresources: []\n".to_vec()),
        ("text", b"hello".to_vec()),
        ("a list", b"[]".to_vec()),
        ("a null", b"null".to_vec()),
        ("a control character", b"{\"a\": \"\x01\"}".to_vec()),
    ];
    for (name, content) in files {
        let path = file("a.yaml", &content);
        let checked = run(&["check", "--json", &path]);
        assert!(
            checked.code == 1 && !checked.findings().is_empty() && checked.out.len() < 200_000,
            "{name}: {}",
            checked.code
        );
        let explained = run(&["explain", "--config", &path]);
        assert!(explained.code == 2 && explained.err.contains("cure: "), "{name}: {explained:?}");
    }
}

/// A small file that says much: what is shared is looked at once, and there is an end to the rest. By count and not by clock.
#[test]
fn there_is_an_end_to_what_a_file_may_cost() {
    let envoy = |value: &str| {
        format!(
            "{{ \"@type\": a/envoy.extensions.filters.http.wasm.v3.Wasm, config: {{ configuration: {{ \"@type\": a/google.protobuf.StringValue, value: {value} }} }} }}"
        )
    };
    let good = configuration().to_string();
    let long = with(configuration(), "nonsense", json!("x".repeat(1_000_000))).to_string();
    let many = |plugin: &str, count: usize| format!("x:\n{}", format!("- {plugin}\n").repeat(count));
    let nested = |levels: usize| {
        (0..levels).fold(good.clone(), |inner, _| {
            let lines: String = inner.lines().map(|line| format!("  {line}\n")).collect();
            format!("kind: ConfigMap\ndata:\n a: |\n{lines}")
        })
    };
    let quoted = format!("'{good}'");
    let shared = |count: usize| format!("x: &a {}\ny: [{}]\n", envoy(&quoted), vec!["*a"; count].join(", "));
    let file_shared = |count: usize| {
        let keys: String = (0..count).map(|n| format!("  k{n}: *a\n")).collect();
        format!("kind: ConfigMap\ndata:\n  k: &a {quoted}\n{keys}")
    };
    let text_shared = |count: usize| format!("t: &t '{long}'\n{}", many(&envoy("*t"), count));
    let long_list = format!("t: &t '{long}'\nauthorization_servers: [{}]\n", vec!["*t"; 1000].join(", "));
    // Each is too large, and so is the writing of it.
    let large = |count: usize| {
        let list = format!("a: &a [{}]\nb: &b [{}]\n", vec!["a"; 1000].join(", "), vec!["*a"; 1000].join(", "));
        list + &many(&envoy("{ authorization_servers: *b }"), count)
    };
    let much = "there is more here than is looked at: 1000 configurations, 16 MiB of texts";
    // How many configurations, how many findings, and one of them.
    let rows: Vec<(&str, String, u64, u64, &str)> = vec![
        ("one plugin for all", shared(100_000), 1, 0, ""),
        ("one file for all", file_shared(50_000), 1, 0, ""),
        ("as many as there may be", many(&envoy(&quoted), 1000), 1000, 0, ""),
        ("one more", many(&envoy(&quoted), 1001), 1000, 1, much),
        ("texts of 16 MB, each with an unknown setting", text_shared(16), 16, 16, "nonsense: unknown key"),
        ("texts of 17 MB", text_shared(17), 17, 18, much),
        ("a long text a thousand times", long_list, 1, 1, "the configuration is too large"),
        ("a large one", large(1), 1, 2, "the configuration is too large"),
        ("large ones", large(1000), 9, 19, much),
        ("a file in a file", nested(2), 1, 0, ""),
        ("a file in a file in a file", nested(3), 0, 1, "a: a file in files is not looked at so deep"),
        ("and so on", nested(60), 0, 1, "a: a file in files is not looked at so deep"),
    ];
    for (name, text, configurations, count, part) in rows {
        let checked = run(&["check", "--json", &file("a.yaml", &text)]);
        let document = checked.json();
        assert_eq!(
            (&document["configurations"], &document["count"]),
            (&json!(configurations), &json!(count)),
            "{name}"
        );
        assert!(part.is_empty() || checked.findings().iter().any(|finding| finding.contains(part)), "{name}");
    }
}

/// The tool's lines are its own: what a file calls a file in it may have lines, too.
#[test]
fn a_name_in_a_file_makes_no_line() {
    let inner = r#"kind: ConfigMap\ndata: { \"b\\nno findings\": \"authorization_servers: []\" }"#;
    let middle = format!(r#"kind: ConfigMap\ndata: {{ a: \"{}\" }}"#, inner.replace('\\', "\\\\").replace('"', "\\\""));
    let text = format!("kind: ConfigMap\ndata: {{ a: \"{middle}\" }}\n");
    let checked = run(&["check", &file("a.yaml", &text)]);
    assert!(
        checked.code == 1 && checked.out.contains("a file in files is not looked at so deep"),
        "{checked:?}\n{text}"
    );
    assert!(checked.out.contains("b?no findings: ") && !checked.out.contains("\nno findings"), "{checked:?}");
}

#[test]
fn a_token_in_the_wrong_place_is_not_repeated() {
    let token = good_token();
    let t = token.as_str();
    let keys = file("keys.json", json!({ "keys": [t] }).to_string());
    let resources = json!([{ "resource": t, "scopes": { "required": [t] }, t: 1, "audiences": [t] }]);
    let configurations = [
        with(configuration(), "resources", resources),
        with(configuration(), "authorization_servers", json!([{ "issuer": t, "cluster": t, "jwks_uri": t }])),
        with(configuration(), "unmatched", json!(t)),
        with(configuration(), t, json!(t)),
        json!({ "resources": t, "authorization_servers": { t: t } }),
    ];
    for configuration in configurations {
        let path = file("a.json", configuration.to_string());
        for arguments in [vec!["check", &path], vec!["check", "--json", &path], vec!["explain", "--config", &path]] {
            assert_hidden(&run(&arguments), t);
        }
    }
    let good = file("good.json", configuration().to_string());
    let header = format!("authorization: Bearer {t}");
    let cookie = format!("x-other: {t}");
    let query = format!("/mcp?access_token={t}");
    let all: Vec<Vec<&str>> = vec![
        vec![t],
        vec!["check", t],
        vec!["discover", t],
        vec!["explain", t],
        vec!["explain", "--config", t],
        vec!["explain", "--config", &good, "--keys", t],
        vec!["explain", "--config", &good, "--keys", &keys],
        vec!["explain", "--config", &good, "--token", t, "--header", &header],
        vec!["explain", "--config", &good, "--token", t, "--header", &cookie],
        vec!["explain", "--config", &good, "--header", t],
        vec!["explain", "--config", &good, "--header", &header],
        vec!["explain", "--config", &good, "--path", &query],
        vec!["explain", "--config", &good, "--path", t],
        vec!["explain", "--config", &good, "--method", t],
        vec!["explain", "--config", &good, "--now", t],
        vec!["explain", "--config", &good, "--scheme", t],
        vec!["explain", "--config", &good, "--certificate", t],
        vec!["explain", "--config", &good, "--body", t],
        vec!["explain", "--config", &good, "--token", t, "--token", t, t],
        vec!["init", "--for", t, "--resource", t, "--issuer", t],
        vec!["init", "--for", "json", "--resource", t, "--issuer", t, "--scopes", t],
        vec!["--token", t],
        vec!["check", "--env", t],
    ];
    for arguments in all {
        let told = run_with(&arguments, t);
        assert_hidden(&told, t);
        assert!(matches!(told.code, 1 | 2), "{told:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the token is, no output has it.
    #[test]
    fn no_output_has_the_token(token in "[A-Za-z0-9._~+/=-]{16,60}", json in any::<bool>(), claim in "[a-z]{1,8}") {
        let path = file("a.json", configuration().to_string());
        let mut arguments = vec!["explain", "--config", &path, "--token", "-"];
        if json {
            arguments.push("--json");
        }
        assert_hidden(&run_with(&arguments, &token), &token);
        let header = format!("{claim}: {token}");
        arguments.extend(["--header", &header, "--method", "GET"]);
        assert_hidden(&run_with(&arguments, &token), &token);
    }

    /// Whatever a file holds, there is an answer.
    #[test]
    fn any_text_is_answered(text in "(\\PC|[\\n\\t:{}\\[\\]&*|>'\"-]){0,200}") {
        let path = file("a.yaml", &text);
        let told = run(&["check", "--json", &path]);
        prop_assert!(told.code == 1, "{:?}", told);
    }
}
