//! What `init` writes passes `check`, and is refused where it would not.

use serde_json::{Value, json};

use crate::support::{file, own, run};

const KINDS: [&str; 6] = ["envoy", "istio", "traffic-extension", "envoy-gateway", "higress", "json"];

#[test]
fn what_is_written_has_no_findings() {
    for kind in KINDS {
        for (issuer, scopes) in [
            ("https://idp.example.com/realms/mcp", "mcp:read mcp:write"),
            ("https://idp.example.com:8443", ""),
            ("https://[2001:db8::1]:8443", "it's"),
            ("http://127.0.0.1:9400", "it's"),
        ] {
            if issuer.starts_with("http:") && matches!(kind, "istio" | "traffic-extension") {
                continue;
            }
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
            let found: Vec<String> = checked.findings();
            assert!(
                checked.code == 0 && found.iter().all(|one| one.contains("note url: ")),
                "{found:?}: {}",
                written.out
            );
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
    let nowhere = format!("{target}.d/x");
    let cases: [(&[&str], i32, &str); 8] = [
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
        (&[&good[..], &["--output", &nowhere]].concat(), 2, "make its folder first"),
        (&[&good[..], &["--output", "/proc/version.new/x"]].concat(), 2, "make its folder first"),
    ];
    for (arguments, code, part) in cases {
        let written = run(&[&["init"], arguments].concat());
        assert_eq!(written.code, code, "{arguments:?}: {written:?}");
        assert!(written.out.contains(part) || written.err.contains(part), "{part}: {written:?}");
    }
    assert_eq!(std::fs::read_to_string(&target).expect("it is there"), "mine");
    let stdout = run(&[&["init", "--output", "-"], &good[..]].concat());
    assert_eq!((stdout.code, stdout.out), (0, run(&[&["init"], &good[..]].concat()).out));
    assert!(!std::path::Path::new("-").exists());
    let fresh = format!("{target}.new");
    assert_eq!(run(&[&["init", "--output", &fresh], &good[..]].concat()).code, 0);
    assert_eq!(run(&["check", &fresh]).code, 0);
}

/// The two values of what was written, from wherever they stand in it.
fn values(kind: &str, written: &str) -> (Value, Value) {
    let text = match kind {
        "json" => written.to_owned(),
        "envoy" => {
            let (_, value) = written.split_once("value: '").expect("a value");
            value.trim_end().trim_end_matches('\'').replace("''", "'")
        }
        _ => {
            let items: Vec<&str> = written.lines().filter_map(|line| line.trim_start().strip_prefix("- {")).collect();
            format!(r#"{{ "authorization_servers": [{{{}], "resources": [{{{}] }}"#, items[0], items[1])
        }
    };
    let all: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    (all["authorization_servers"][0].clone(), all["resources"][0].clone())
}

#[test]
fn values_are_written_as_they_were_given() {
    let issuer = "https://idp.example.com";
    let rows = [
        ("a,", "x"),
        ("a,\"b", "x"),
        ("a\":b", "x"),
        ("a'b''c", "it's"),
        ("a b: c", ":read"),
        ("{{.Values.x}} # c: *x", "a' : - {x} &y *z !w |"),
        ("\u{200f}\u{202e}\u{2066}\u{feff}\u{ffff}é😀", ",read :write"),
    ];
    for kind in KINDS {
        for (cluster, scopes) in rows {
            let resource = "https://mcp.example.com/mcp";
            let is_mesh = matches!(kind, "istio" | "traffic-extension" | "higress");
            let cluster = if is_mesh { format!("outbound|443||{cluster}") } else { cluster.to_owned() };
            let given = ["--resource", resource, "--issuer", issuer, "--cluster", &cluster, "--scopes", scopes];
            let written = run(&[&["init", "--for", kind][..], &given].concat());
            assert_eq!(written.code, 0, "{kind} {cluster:?} {scopes:?}: {written:?}");
            let scopes: Vec<&str> = scopes.split_whitespace().collect();
            let expected = (
                json!({ "issuer": issuer, "cluster": cluster }),
                json!({ "resource": resource, "scopes": { "required": scopes } }),
            );
            assert_eq!(values(kind, &written.out), expected, "{kind}: {}", written.out);
            let checked = run(&["check", &file("a.yaml", &written.out)]);
            assert_eq!(checked.code, 0, "{kind}: {checked:?}");
        }
    }
}

/// Istio makes a cluster of a name only: an address needs one, and a loopback address is the gateway's own.
#[test]
fn a_mesh_reaches_the_issuer_or_is_not_written() {
    let init = |kind: &str, issuer: &str, more: &[&str]| {
        let given = ["init", "--for", kind, "--resource", "https://mcp.example.com/mcp", "--issuer", issuer];
        run(&[&given, more].concat())
    };
    for kind in ["istio", "traffic-extension"] {
        let named = init(kind, "https://idp.example.com/x", &[]);
        for part in [
            "\"outbound|443||idp.example.com\"",
            "hosts: [\"idp.example.com\"]",
            "resolution: DNS\n  ports: [{ number: 443, name: https, protocol: HTTPS }]\n---",
            "tls: { mode: SIMPLE, sni: \"idp.example.com\", subjectAltNames: [\"idp.example.com\"] }",
        ] {
            assert!(named.out.contains(part), "{part}: {named:?}");
        }
        // Whatever else in the mesh asks the issuer speaks TLS itself. And they are those of deploy/.
        let manifest = std::fs::read_to_string(own("deploy/istio.yaml")).expect("a manifest").replace('"', "");
        let documents = |text: &str, kind: &str| -> String {
            let kind = format!("kind: {kind}\n");
            text.split("---\n").find(|document| document.contains(&kind)).expect("a document").replace('"', "")
        };
        let selector = "workloadSelector: { matchLabels: { gateway.networking.k8s.io/gateway-name: mcp } }";
        for (kind, parts) in [
            ("ServiceEntry", &["metadata: { name: idp, namespace: mcp }", "exportTo: [.]"][..]),
            ("DestinationRule", &["metadata: { name: idp, namespace: mcp }", "exportTo: [.]", selector]),
        ] {
            for part in parts {
                assert!(documents(&named.out, kind).contains(part), "{kind} {part}: {named:?}");
                assert!(documents(&manifest, kind).contains(part), "{kind} {part}: {manifest}");
            }
        }
        for (issuer, address, port) in [
            ("https://[2001:db8::1]", "2001:db8::1", 443),
            ("https://[2001:db8::1]:8443/x", "2001:db8::1", 8443),
            ("https://192.0.2.1:8443", "192.0.2.1", 8443),
        ] {
            let written = init(kind, issuer, &[]);
            for part in [
                format!("\"outbound|{port}||mcp-oauth-idp.internal\""),
                "hosts: [\"mcp-oauth-idp.internal\"]".to_owned(),
                "resolution: STATIC".to_owned(),
                format!("number: {port}, "),
                format!("endpoints: [{{ address: \"{address}\" }}]"),
                format!("tls: {{ mode: SIMPLE, subjectAltNames: [\"{address}\"] }}"),
            ] {
                assert!(written.code == 0 && written.out.contains(&part), "{part}: {written:?}");
            }
        }
        for issuer in ["http://127.0.0.1:9400", "http://localhost:9400", "https://[::1]:8443"] {
            let refused = init(kind, issuer, &[]);
            assert!(refused.code == 1 && refused.out.contains("--issuer: "), "{refused:?}");
            assert!(refused.out.contains("the cluster that does with --cluster"), "{refused:?}");
            // What makes a cluster of one's own is there already.
            let written = init(kind, issuer, &["--cluster", "outbound|9400||idp.internal"]);
            assert!(written.code == 0 && !written.out.contains("ServiceEntry"), "{written:?}");
        }
    }
}

#[test]
fn machines_are_told_what_is_wrong_too() {
    let given = ["init", "--json", "--for", "json", "--resource", "https://mcp.example.com/mcp", "--issuer"];
    let told = run(&[&given[..], &["idp"]].concat());
    assert_eq!((told.code, &told.json()["findings"][0]["option"]), (1, &json!("--issuer")), "{told:?}");
    let finding = &told.json()["findings"][0];
    assert!(finding["reason"].as_str().is_some_and(|text| text.contains("`idp`")) && finding["cure"].is_string());
    let told = run(&[&given[..], &["https://idp.example.com"]].concat());
    assert!(told.code == 0 && told.json()["resources"].is_array(), "{told:?}");
    let fresh = format!("{}.new", file("a.json", ""));
    let told = run(&[&given[..], &["https://idp.example.com", "--output", &fresh]].concat());
    assert_eq!((told.code, told.json()), (0, json!({ "findings": [], "written": fresh })), "{told:?}");
    let written = std::fs::read_to_string(&fresh).expect("it is written");
    assert!(serde_json::from_str::<Value>(&written).expect("JSON")["resources"].is_array());
}

/// The core says which there are, and what they need.
#[test]
fn a_provider_is_one_that_the_core_knows() {
    let keycloak = "https://idp.example.com/realms/mcp";
    let init = |kind: &str, provider: &str, issuer: &str| {
        let given = ["--resource", "https://mcp.example.com/mcp", "--issuer", issuer, "--provider", provider];
        run(&[&["init", "--for", kind][..], &given].concat())
    };
    for kind in KINDS {
        let written = init(kind, "keycloak", keycloak);
        assert_eq!((written.code, &values(kind, &written.out).0["provider"]), (0, &json!("keycloak")), "{written:?}");
    }
    for (provider, issuer, option, part) in [
        ("keycloack", keycloak, "--provider: ", "`keycloack`"),
        ("", keycloak, "--provider: ", ""),
        ("keycloak", "https://idp.example.com", "--issuer: ", "realms"),
        (
            "google",
            "https://accounts.google.com",
            "--provider: `authorization_servers[0].introspection` ",
            "add it and what it needs",
        ),
        (
            "entra",
            "https://login.microsoftonline.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/v2.0",
            "--provider: `resources[0].audiences` ",
            "add it and",
        ),
    ] {
        let told = init("istio", provider, issuer);
        assert!(told.code == 1 && told.out.contains(option) && told.out.contains(part), "{provider}: {told:?}");
        assert!(told.out.contains("nothing was written"), "{told:?}");
    }
    let help = run(&["init", "--help"]).out;
    let names = init("json", "?", keycloak).out;
    for name in ["keycloak", "auth0", "entra", "okta", "google", "authentik", "generic"] {
        assert!(help.contains(name) && names.contains(name), "{name}: {help} {names}");
    }
}

/// What `check` would warn of is not written.
#[test]
fn a_cluster_that_a_mesh_cannot_have_is_not_written() {
    let given = ["--resource", "https://mcp.example.com/mcp", "--issuer", "https://idp.example.com", "--cluster"];
    for (kind, cluster, code) in [
        ("istio", "idp", 1),
        ("istio", "outbound|443||sso.example.com", 0),
        ("traffic-extension", "idp", 1),
        ("higress", "idp", 1),
        ("higress", "outbound|443||sso.dns", 0),
        ("envoy", "idp", 0),
        ("envoy-gateway", "idp", 0),
    ] {
        let told = run(&[&["init", "--for", kind][..], &given, &[cluster]].concat());
        assert_eq!((told.code, told.out.starts_with("--cluster: ")), (code, code == 1), "{kind} {cluster}: {told:?}");
    }
}

/// No proxy has a cluster of such a name, and in the manifest nobody sees it.
#[test]
fn a_cluster_that_is_no_name_is_not_written() {
    let issuer = "https://idp.example.com";
    let given = ["--resource", "https://mcp.example.com/mcp", "--issuer", issuer];
    for kind in ["envoy", "istio"] {
        let of = |cluster: &str| run(&[&["init", "--for", kind, "--cluster", cluster][..], &given].concat());
        for cluster in
            ["", " ", " idp", "idp ", "idp\n", "a\nb: c", "a\tb", "a\u{85}b", "a\u{2028}b", "a\u{7f}b", "\u{3000}"]
        {
            let told = of(cluster);
            assert!(told.code == 1 && told.out.starts_with("--cluster: "), "{kind} {cluster:?}: {told:?}");
            assert!(told.out.contains("\n   cure: write ") && told.out.contains("nothing was written"), "{told:?}");
        }
        let good = if kind == "istio" { "outbound|443||a b" } else { "a b" };
        assert_eq!(of(good).code, 0, "{kind}");
    }
}
