//! What the readers of YAML do not agree about is a finding, so that nothing hides in it.

use crate::{
    forms::{expect, findings, good, istio},
    support::{file, run},
};

fn plugin(more: &str) -> String {
    istio(&format!("pluginConfig: {}", good())).replace("spec: {", &format!("spec: {{ {more}"))
}

/// In lines, as people write it.
fn lines(more: &str) -> String {
    format!("apiVersion: extensions.istio.io/v1\nkind: WasmPlugin\nspec:\n{more}  pluginConfig: {}\n", good())
}

#[test]
fn a_line_ends_for_all_readers_or_for_none() {
    for (code, end) in [("0085", '\u{85}'), ("2028", '\u{2028}'), ("2029", '\u{2029}')] {
        let hidden = lines(&format!("  # closed{end}  failStrategy: FAIL_OPEN\n"));
        let found = findings("a.yaml", &hidden);
        assert!(found.len() == 1 && found[0].starts_with(&format!("4:11 error : U+{code} ends a line")), "{found:?}");
        let explained = run(&["explain", "--config", &file("a.yaml", &hidden), "--now", "1"]);
        assert_eq!(explained.code, 2, "{explained:?}");
        // Written as an escape it is a character like others, and in JSON all agree.
        expect(&[("escaped", lines(&format!("  x: \"\\u{code}\"\n")), None)]);
        assert_eq!(
            findings("a.json", &format!("{{ \"kind\": \"Service\", \"x\": \"{end}\" }}{}", json(""))),
            Vec::<String>::new()
        );
    }
    // A lone CR ends one for all, and is counted.
    let found = findings("a.yaml", &lines("  # closed\r  failStrategy: FAIL_OPEN\n"));
    assert!(found.len() == 1 && found[0].starts_with("5:17 error failStrategy"), "{found:?}");
}

fn json(more: &str) -> String {
    format!(
        r#"{{ "apiVersion": "extensions.istio.io/v1", "kind": "WasmPlugin", "spec": {{ {more}"pluginConfig": {} }} }}"#,
        good()
    )
}

#[test]
fn what_some_readers_refuse_is_a_finding() {
    let config_map = |script: &str| format!("kind: ConfigMap\ndata:\n  run.sh: {script}\n---\n{}", lines(""));
    let mut rows = vec![
        ("a comment", lines("  # a\tb\n"), None),
        ("a tab before a comment", lines("\t# a\n"), Some("4:1 error : kubectl refuses a tab where a line begins")),
        ("a tab after spaces", lines("  a: 1\n \t\n"), Some("5:2 error : kubectl refuses a tab")),
        ("a tab behind a value", lines("  a: 1\t# a\n"), None),
        ("a tab in a block", config_map("|\n    a\n    \tb\n"), None),
        ("a tab where a block begins", config_map("|+\n    \ta\n\n"), None),
        ("a tab in quotes", config_map("\"a\n    \tb\""), None),
        ("a tab behind a block", config_map("|\n    a\n\t# b\n"), Some("error : kubectl refuses a tab")),
        (
            "a tab in what kubectl does not read",
            format!("\t# a\n{}", good().replace("{\"auth", "x: {\"auth")),
            Some("no plugin"),
        ),
        ("a directive", format!("%YAML 1.1\n---\n{}", lines("")), Some("1:1 error : kubectl refuses directives")),
        ("a percent sign", lines("  a: '%YAML'\n"), None),
        ("documents", format!("{}---\n{}", lines(""), lines("")), None),
        ("documents that end", format!("{}...\n---\n{}...\n", lines(""), lines("")), None),
        (
            "documents that end and do not begin",
            format!("{}...\n{}", lines(""), lines("")),
            Some("6:1 error : kubectl does not read a document that has no `---` above it"),
        ),
    ];
    for c in ['\u{1}', '\u{b}', '\u{c}', '\u{1b}', '\u{7f}', '\u{80}', '\u{9f}', '\u{fffe}', '\u{ffff}'] {
        rows.push(("a control character", lines(&format!("  # {c}\n")), Some("4:5 error : U+")));
    }
    for c in ['\u{a0}', '\u{e000}', '\u{1f600}'] {
        rows.push(("a character", lines(&format!("  # {c}\n")), None));
    }
    expect(&rows);
}

#[test]
fn a_tag_is_a_finding_unless_it_makes_a_text() {
    let scope = |value: &str| lines("").replace("\"mcp:read\"", value);
    let tag = Some("error : readers of YAML make different things of this tag");
    let open = "ZmFpbFN0cmF0ZWd5: FAIL_OPEN";
    let mut rows = vec![
        ("a name in base64", lines(&format!("  !!binary {open}\n")), tag),
        ("a name", lines(&format!("  {open}\n")), None),
        ("a text for a name", lines(&format!("  !!str {open}\n")), None),
        ("a name that is left out", lines("  !ignore a: 1\n"), tag),
        ("a list", lines("  a: !!set [1]\n"), tag),
        ("an object", lines("  a: !!omap { b: 1 }\n"), tag),
        ("none of them", lines("  a: [1]\n  b: { c: 1 }\n"), None),
    ];
    for value in
        ["!!int \"5\"", "!!bool \"true\"", "!str a", "!<tag:yaml.org,2002:str> a", "!a!b c", "!!float 1", "!x a"]
    {
        let text =
            if value.starts_with("!a!") { format!("%TAG !a! tag:a\n---\n{}", scope(value)) } else { scope(value) };
        let found = findings("a.yaml", &text);
        assert!(
            found.iter().any(|f| f.contains(": readers of YAML make") || f.contains("directives")),
            "{value}: {found:?}"
        );
    }
    for value in ["!!str a", "! a", "\"a\"", "!!str 5"] {
        rows.push(("a text", scope(value), None));
    }
    expect(&rows);
    // It stops neither the rest of the file, nor makes a request be explained by it.
    let both = format!("a: !!int 1\n---\n{}", plugin("failStrategy: FAIL_OPEN, "));
    let found = findings("a.yaml", &both);
    assert!(found.len() == 2 && found[1].contains("failStrategy"), "{found:?}");
    let explain = |text: &str| run(&["explain", "--config", &file("a.yaml", text), "--now", "1800000000"]);
    let told = explain(&scope("!!int \"5\""));
    assert!(told.code == 2 && told.err.contains("not read in the same way by all readers of YAML"), "{told:?}");
    assert_eq!(explain(&scope("!!str a")).code, 1, "without a token it is refused");
}
