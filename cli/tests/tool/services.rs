//! The way to the authorization server where no bootstrap says it: what else in the file makes clusters.

use crate::{
    forms::{expect, istio, manifest},
    support::{file, own, run},
};

fn json(more: &str) -> String {
    format!(
        r#"{{ "authorization_servers": [{{ "issuer": "https://idp.example.com:8443/x", {more} }}], "resources": [{{ "resource": "https://mcp.example.com/mcp" }}] }}"#
    )
}

fn cluster(name: &str) -> String {
    json(&format!(r#""cluster": "{name}""#))
}

fn wasm_plugin(name: &str) -> String {
    istio(&format!("pluginConfig: {}", cluster(name)))
}

fn extension(name: &str) -> String {
    manifest("extensions.istio.io", "TrafficExtension", &format!("wasm: {{ pluginConfig: {} }}", cluster(name)))
}

fn higress(name: &str) -> String {
    manifest("extensions.higress.io", "WasmPlugin", &format!("defaultConfig: {}", cluster(name)))
}

fn policy(name: &str) -> String {
    let wasm = format!("wasm: [{{ name: a, config: {} }}]", cluster(name));
    manifest("gateway.envoyproxy.io", "EnvoyExtensionPolicy", &wasm)
}

fn entry(hosts: &str, ports: &[u32]) -> String {
    let ports: String = ports.iter().map(|port| format!("{{ number: {port}, name: https }}, ")).collect();
    manifest("networking.istio.io", "ServiceEntry", &format!("hosts: [{hosts}], ports: [{ports}]"))
}

fn bridge(registries: &str) -> String {
    manifest("networking.higress.io", "McpBridge", &format!("registries: [{registries}]"))
}

fn proxy(bootstrap: &str) -> String {
    manifest("gateway.envoyproxy.io", "EnvoyProxy", &format!("bootstrap: {{ {bootstrap} }}"))
}

fn patched(op: &str, path: &str, value: &str) -> String {
    proxy(&format!("type: JSONPatch, jsonPatches: [{{ op: {op}, path: {path}, value: {value} }}]"))
}

fn all(documents: &[&str]) -> String {
    documents.join("---\n")
}

const FORM: Option<&str> = Some("warning cluster: Istio names its clusters outbound|<port>||<host>");
const NO_ENTRY: Option<&str> = Some("warning cluster: no ServiceEntry in this file has this host and port");

#[test]
fn istio_names_clusters_by_port_and_host() {
    let mesh = "outbound|8443||idp.example.com";
    let patch = |to: &str, value: &str| {
        let patches = format!("configPatches: [{{ applyTo: {to}, patch: {{ operation: ADD, value: {value} }} }}]");
        manifest("networking.istio.io", "EnvoyFilter", &patches)
    };
    expect(&[
        ("its form", wasm_plugin(mesh), None),
        ("the form of a subset", wasm_plugin("outbound|8443|v1|idp.example.com"), None),
        ("an Envoy's", wasm_plugin("idp"), FORM),
        ("of a TrafficExtension, its form", extension(mesh), None),
        ("of a TrafficExtension", extension("idp"), FORM),
        ("no host", wasm_plugin("outbound|8443||"), FORM),
        ("no port", wasm_plugin("outbound|||idp.example.com"), FORM),
        ("no number", wasm_plugin("outbound|https||idp.example.com"), FORM),
        ("no subset", wasm_plugin("outbound|8443|idp.example.com"), FORM),
        ("more than there is", wasm_plugin("outbound|8443||idp.example.com|x"), FORM),
        ("the other way", wasm_plugin("inbound|8443||idp.example.com"), FORM),
        ("one of its own", all(&[&wasm_plugin("idp"), &patch("CLUSTER", "{ name: idp }")]), None),
        ("another one of its own", all(&[&wasm_plugin("idp"), &patch("CLUSTER", "{ name: other }")]), FORM),
        ("no cluster", all(&[&wasm_plugin("idp"), &patch("LISTENER", "{ name: idp }")]), FORM),
        ("a configuration alone", cluster("idp"), None),
    ]);
    let told = run(&["check", &file("a.yaml", wasm_plugin("idp"))]);
    assert!(told.out.contains("   value: \"idp\"\n   cure: write outbound|8443||idp.example.com, and"), "{told:?}");
    // What is asked is where the keys are.
    let keys =
        json(&format!(r#""cluster": "{mesh}", "jwks_uri": "https://keys.example.com/jwks", "jwks_cluster": "keys""#));
    let told = run(&["check", &file("a.yaml", istio(&format!("pluginConfig: {keys}")))]);
    assert!(told.out.contains("cure: write outbound|443||keys.example.com, and"), "{told:?}");
}

#[test]
fn a_service_entry_has_the_host_and_the_port() {
    let mesh = wasm_plugin("outbound|8443||idp.example.com");
    let with = |entry: &str| all(&[&mesh, entry]);
    expect(&[
        ("it does", with(&entry("idp.example.com", &[8443])), None),
        ("among others", with(&entry("a.example.com, idp.example.com", &[443, 8443])), None),
        ("before it", all(&[&entry("idp.example.com", &[8443]), &mesh]), None),
        ("one of two", all(&[&entry("a.example.com", &[443]), &mesh, &entry("idp.example.com", &[8443])]), None),
        ("another host", with(&entry("sso.example.com", &[8443])), NO_ENTRY),
        ("another port", with(&entry("idp.example.com", &[443])), NO_ENTRY),
        (
            "host and port of two",
            with(&all(&[&entry("idp.example.com", &[443]), &entry("a.example.com", &[8443])])),
            NO_ENTRY,
        ),
        (
            "of a TrafficExtension",
            all(&[&extension("outbound|1||idp.example.com"), &entry("idp.example.com", &[443])]),
            NO_ENTRY,
        ),
        (
            "in a list",
            format!(
                "kind: List\nitems: [{{ kind: ServiceEntry, spec: {{ hosts: [a.example.com], ports: [{{ number: 1 }}] }} }}]\n---\n{mesh}"
            ),
            NO_ENTRY,
        ),
        ("none at all", with(&entry("", &[8443])), None),
        (
            "the cluster's own",
            all(&[&wasm_plugin("outbound|8443||idp.sso.svc.cluster.local"), &entry("a.example.com", &[443])]),
            None,
        ),
    ]);
    let told = run(&["check", &file("a.yaml", with(&entry("sso.example.com, a.example.com", &[8443])))]);
    let there = "one of those that are there: outbound|8443||a.example.com, outbound|8443||sso.example.com\n";
    assert!(told.out.contains(there), "{told:?}");
}

#[test]
fn higress_names_clusters_by_registry() {
    let form = Some("warning cluster: Higress names its clusters outbound|<port>||<name>.<type>");
    let none = Some("warning cluster: no registry of an McpBridge in this file has this host and port");
    let dns = "{ name: idp, type: dns, domain: idp.example.com, port: 8443 }";
    let with = |name: &str, registries: &str| all(&[&higress(name), &bridge(registries)]);
    let idp = "outbound|8443||idp.dns";
    expect(&[
        ("alone", higress(idp), None),
        ("another form", higress("idp"), form),
        ("its registry", with(idp, dns), None),
        ("another name", with(idp, &dns.replace("name: idp", "name: sso")), none),
        ("another port", with(idp, &dns.replace("8443", "443")), none),
        (
            "another type",
            with(
                idp,
                &format!("{}, {}", dns.replace("type: dns", "type: static"), dns.replace("name: idp", "name: a")),
            ),
            none,
        ),
        (
            "a registry whose clusters are not known, beside a service",
            all(&[&with("outbound|80||idp.static", dns), &entry("a.example.com", &[443])]),
            None,
        ),
        ("a registry whose clusters are not known", with("outbound|80||idp.static", dns), None),
        ("Istio's, alone", with("outbound|8443||idp.example.com", dns), None),
        ("Istio's", all(&[&higress("outbound|8443||idp.example.com"), &entry("idp.example.com", &[8443])]), None),
        (
            "another of Istio's",
            all(&[&higress("outbound|8443||idp.example.com"), &entry("a.example.com", &[8443])]),
            NO_ENTRY,
        ),
    ]);
}

#[test]
fn envoy_gateway_has_what_the_bootstrap_is_given() {
    let missing = Some("warning cluster: no `EnvoyProxy` in this file adds a cluster of this name");
    let plain = Some("error cluster: this cluster reaches an https server without TLS");
    let unnamed = Some("warning cluster: this cluster reaches an https server and does not compare the name");
    let socket = |more: &str| {
        format!(
            r#"transport_socket: {{ typed_config: {{ "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, {more}common_tls_context: {{ validation_context: {{ trusted_ca: {{ filename: a }} }} }} }} }}"#
        )
    };
    let good = socket("auto_sni_san_validation: true, ");
    let (one, at) = (format!("{{ name: idp, {good} }}"), "/static_resources/clusters/-");
    let with = |name: &str, proxy: &str| all(&[proxy, &policy(name)]);
    expect(&[
        ("alone", policy("idp"), None),
        ("added", with("idp", &patched("add", at, &one)), None),
        ("another", with("sso", &patched("add", at, &one)), missing),
        ("behind it", all(&[&policy("sso"), &patched("add", at, &one)]), missing),
        ("all of them", with("idp", &patched("replace", "/static_resources/clusters", &format!("[{one}]"))), None),
        (
            "another of all",
            with("sso", &patched("replace", "/static_resources/clusters", &format!("[{one}]"))),
            missing,
        ),
        ("of two", all(&[&patched("add", at, "{ name: a }"), &patched("add", at, &one), &policy("idp")]), None),
        ("a route's", with("httproute/mcp/mcp/rule/0", &patched("add", at, &one)), None),
        ("without TLS", with("idp", &patched("add", at, "{ name: idp }")), plain),
        ("any name", with("idp", &patched("add", at, &format!("{{ name: idp, {} }}", socket("")))), unnamed),
        ("no patch of clusters", with("sso", &patched("add", "/admin", &one)), None),
        ("in another way", with("sso", &proxy("type: Merge, value: 'static_resources: {}'")), None),
        (
            "TLS by another patch",
            with("idp", &patched("add", "/static_resources/clusters/0/transport_socket", "{}")),
            None,
        ),
        ("one that is removed", with("sso", &patched("remove", "/static_resources/clusters/0", "null")), None),
        ("a patch of all", with("sso", &patched("add", "/static_resources", &one)), None),
        (
            "what patches what comes later",
            all(&[
                &with("sso", &patched("add", at, &one)),
                &manifest("gateway.envoyproxy.io", "EnvoyPatchPolicy", "type: JSONPatch"),
            ]),
            None,
        ),
    ]);
}

/// Lists that aliases share are long in each place, and clusters of more hosts than anyone has are not counted.
#[test]
fn more_services_than_anyone_has_are_not_counted() {
    let ports: String = (1..=2000).map(|port| format!("{{ number: {port} }}, ")).collect();
    let hosts: String = (1..=2000).map(|host| format!("h{host}.example.com, ")).collect();
    let many = manifest("networking.istio.io", "ServiceEntry", &format!("hosts: [{hosts}], ports: [{ports}]"));
    let few = entry("h1.example.com", &[1]);
    // The same one again and again is no other one, and no less to look at.
    let again = manifest(
        "networking.istio.io",
        "ServiceEntry",
        &format!("hosts: [{}], ports: [{}]", "h1.example.com, ".repeat(40_000), "{ number: 1 }, ".repeat(40_000)),
    );
    let mesh = wasm_plugin("outbound|8443||idp.example.com");
    expect(&[
        ("many", all(&[&mesh, &many]), None),
        ("one, again and again", all(&[&mesh, &again]), None),
        ("few", all(&[&mesh, &few]), NO_ENTRY),
    ]);
}

/// Whoever forgets to name the image is told, and what is in deploy/ has no findings all the same.
#[test]
fn the_placeholder_of_the_image_is_told() {
    let note = "note url: this image is the placeholder of the manifest, which no registry has";
    let zeros = "0".repeat(64);
    let of = |name: &str, kind: &str| {
        let url = format!("url: \"{name}\"");
        let code = format!("code: {{ type: Image, image: {{ {url} }} }}");
        match kind {
            "istio" => istio(&format!("{url}, pluginConfig: {}", cluster("outbound|443||a.example.com"))),
            "extension" => extension("outbound|443||a.example.com").replace("wasm: {", &format!("wasm: {{ {url},")),
            "higress" => higress("outbound|443||idp.dns").replace("spec: {", &format!("spec: {{ {url},")),
            _ => policy("idp").replace("name: a,", &format!("name: a, {code},")),
        }
    };
    for kind in ["istio", "extension", "higress", "envoy-gateway"] {
        for (image, is_told) in [
            (format!("oci://registry.example.com/mcp-oauth-filter@sha256:{zeros}"), true),
            ("registry.example.com/mcp-oauth-filter:1".to_owned(), true),
            (format!("r.example.net/mcp-oauth-filter@sha256:{zeros}"), true),
            (format!("oci://r.example.net/mcp-oauth-filter@sha256:{}", zeros.replacen('0', "1", 1)), false),
            ("oci://r.example.net/registry.example.com:1".to_owned(), false),
            ("oci://r.example.net/mcp-oauth-filter:0".to_owned(), false),
        ] {
            let told = run(&["check", "--json", &file("a.yaml", of(&image, kind))]);
            assert_eq!(told.code, 0, "{kind} {image}: {told:?}");
            assert_eq!(told.findings().iter().any(|found| found.contains(note)), is_told, "{kind} {image}: {told:?}");
        }
    }
    for (name, is_told) in [("istio", true), ("envoy-gateway", true), ("higress", true), ("envoy", false)] {
        let told = run(&["check", "--json", &own(&format!("deploy/{name}.yaml"))]);
        assert_eq!((told.code, told.findings().iter().any(|found| found.contains(note))), (0, is_told), "{told:?}");
    }
}
