//! What `init` writes passes `check`, and is refused where it would not.

use crate::support::{file, own, run};

const KINDS: [&str; 6] = ["envoy", "istio", "traffic-extension", "envoy-gateway", "higress", "json"];

#[test]
fn what_is_written_has_no_findings() {
    for kind in KINDS {
        for (issuer, scopes) in [
            ("https://idp.example.com/realms/mcp", "mcp:read mcp:write"),
            ("https://idp.example.com:8443", ""),
            ("http://127.0.0.1:9400", "it's"),
        ] {
            let arguments = [
                "init",
                "--for",
                kind,
                "--resource",
                "https://mcp.example.com/mcp",
                "--issuer",
                issuer,
                "--scopes",
                scopes,
            ];
            let written = run(&arguments);
            assert_eq!(written.code, 0, "{kind}: {written:?}");
            for part in [issuer, "https://mcp.example.com/mcp"] {
                assert!(written.out.contains(part), "{kind}: {part}");
            }
            let checked = run(&["check", "--json", &file("a.yaml", &written.out)]);
            assert_eq!((checked.code, checked.findings()), (0, vec![]), "{kind}: {}", written.out);
            assert_eq!(checked.json()["configurations"], 1, "{kind}");
        }
    }
}

/// What is written goes with the manifests under deploy/: the same names, the same place, and closed as they are.
#[test]
fn what_is_written_fits_the_manifests() {
    let files = [
        ("istio", "istio.yaml"),
        ("envoy-gateway", "envoy-gateway.yaml"),
        ("higress", "higress.yaml"),
        ("traffic-extension", "istio-traffic-extension.yaml"),
    ];
    for (kind, manifest) in files {
        let given =
            ["--resource", "https://mcp.example.com/mcp", "--issuer", "https://idp.example.com", "--scopes", "a"];
        let written = run(&[&["init", "--for", kind][..], &given].concat()).out;
        let manifest = std::fs::read_to_string(own(&format!("deploy/{manifest}"))).expect("a manifest");
        let bare = |text: &str| text.replace([' ', '"'], "");
        let manifest = bare(&manifest);
        let names = ["metadata:", "targetRefs:", "url:oci:", "image:", "failStrategy:", "failOpen:", "phase:"];
        let lines: Vec<String> = written
            .lines()
            .take_while(|line| *line != "---")
            .map(|line| bare(line.split(" # ").next().unwrap_or_default()))
            .filter(|line| names.iter().any(|name| line.starts_with(name)))
            .collect();
        assert!(lines.len() >= 3, "{kind}: {lines:?}");
        for line in lines {
            assert!(manifest.contains(&line), "{kind}: {line}");
        }
    }
}

#[test]
fn for_envoy_it_is_the_ten_lines_of_the_readme() {
    let arguments =
        ["--resource", "https://mcp.example.com/mcp", "--issuer", "https://idp.example.com", "--scopes", "mcp:read"];
    let written = run(&[&["init", "--for", "envoy"][..], &arguments].concat());
    let readme = std::fs::read_to_string(own("README.md")).expect("README");
    let lines: Vec<&str> = written.out.lines().collect();
    assert_eq!(lines.len(), 10);
    for line in &lines[..8] {
        assert!(readme.contains(line), "{line}");
    }
}

#[test]
fn what_would_not_load_is_not_written() {
    let target = file("there.yaml", "mine");
    let good = ["--resource", "https://mcp.example.com/mcp", "--issuer", "https://idp.example.com"];
    let cases: [(&[&str], i32, &str); 6] = [
        (&["--resource", "http://mcp.example.com/mcp", "--issuer", "https://idp.example.com"], 1, "--resource: "),
        (&["--resource", "https://mcp.example.com/mcp", "--issuer", "idp"], 1, "--issuer: "),
        (
            &["--resource", "https://mcp.example.com/mcp", "--issuer", "https://idp.example.com", "--scopes", "a\"b"],
            1,
            "--scopes: ",
        ),
        (&["--resource", "https://mcp.example.com/mcp"], 2, "--issuer is missing"),
        (&[&good[..], &["--for", "nginx"]].concat(), 2, "an unknown kind"),
        (&[&good[..], &["--output", &target]].concat(), 2, "name a file that is not there yet"),
    ];
    for (arguments, code, part) in cases {
        let written = run(&[&["init"], arguments].concat());
        assert_eq!(written.code, code, "{arguments:?}: {written:?}");
        assert!(written.out.contains(part) || written.err.contains(part), "{part}: {written:?}");
    }
    assert_eq!(std::fs::read_to_string(&target).expect("it is there"), "mine");
    let fresh = format!("{target}.new");
    assert_eq!(run(&[&["init", "--output", &fresh], &good[..]].concat()).code, 0);
    assert_eq!(run(&["check", &fresh]).code, 0);
}
