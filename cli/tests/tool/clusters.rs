//! The way to the authorization server: over TLS, to a server whose certificate and name are checked.

use crate::forms::{WASM, expect, string_value};

const JSON: &str = r#"{ "authorization_servers": [{ "issuer": "https://idp.example.com", "cluster": "idp" }], "resources": [{ "resource": "https://mcp.example.com/mcp" }] }"#;

fn bootstrap(more: &str, cluster: &str) -> String {
    format!(
        "{more}\nstatic_resources:\n  listeners: [{{ typed_config: {{ {WASM}, config: {{ configuration: {} }} }} }}]\n  clusters: [{{ name: idp, {cluster} }}]\n",
        string_value(JSON)
    )
}

fn kind(kind: &str) -> String {
    format!("\"@type\": type.googleapis.com/envoy.extensions.transport_sockets.{kind}")
}

/// A transport socket of TLS.
fn tls(more: &str, common: &str) -> String {
    let kind = kind("tls.v3.UpstreamTlsContext");
    format!("{{ name: tls, typed_config: {{ {kind}{more}, common_tls_context: {{ {common} }} }} }}")
}

fn socket(socket: &str) -> String {
    bootstrap("", &format!("transport_socket: {socket}"))
}

const PLAIN: Option<&str> = Some("error cluster: this cluster reaches an https server without TLS");
const ANYONE: Option<&str> = Some("error cluster: this cluster reaches an https server and takes any certificate");
const NAME: Option<&str> = Some("warning cluster: this cluster reaches an https server and does not compare the name");

#[test]
fn a_certificate_is_checked_and_so_is_its_name() {
    let named = ", auto_sni_san_validation: true";
    let context = |more: &str| tls(named, &format!("validation_context: {{ {more} }}"));
    let unnamed = |more: &str| tls("", &format!("validation_context: {{ trusted_ca: {{ filename: a }}{more} }}"));
    let ca = "trusted_ca: { filename: a }";
    let sds = "validation_context_sds_secret_config: { name: a }";
    let combined = |more: &str| tls(named, &format!("combined_validation_context: {{ {more} }}"));
    expect(&[
        ("a CA", socket(&context(ca)), None),
        (
            "a CA, in the other spelling",
            socket(&context(ca).replace("validation_context", "validationContext").replace("trusted_ca", "trustedCa")),
            None,
        ),
        ("the system's", socket(&context("system_root_certs: {}")), None),
        ("null", socket(&tls(named, "validation_context: null")), ANYONE),
        ("nothing", socket(&context("")), ANYONE),
        ("no context", socket(&tls(named, "")), ANYONE),
        ("no file", socket(&context("trusted_ca: {}")), ANYONE),
        ("a file of none", socket(&context("trusted_ca: { filename: null }")), ANYONE),
        ("another setting", socket(&context("crl: { filename: a }")), ANYONE),
        ("what is not trusted", socket(&context(&format!("{ca}, trust_chain_verification: ACCEPT_UNTRUSTED"))), ANYONE),
        ("by number", socket(&context(&format!("{ca}, trust_chain_verification: 1"))), ANYONE),
        ("what is trusted", socket(&context(&format!("{ca}, trust_chain_verification: VERIFY_TRUST_CHAIN"))), None),
        ("a secret from elsewhere", socket(&tls(named, sds)), None),
        ("both", socket(&combined(&format!("default_validation_context: {{}}, {sds}"))), None),
        (
            "both, and no check",
            socket(&combined(&format!(
                "default_validation_context: {{ trust_chain_verification: ACCEPT_UNTRUSTED }}, {sds}"
            ))),
            ANYONE,
        ),
        ("the default alone", socket(&combined(&format!("default_validation_context: {{ {ca} }}"))), None),
        ("nothing of both", socket(&combined("")), ANYONE),
        ("any name", socket(&unnamed("")), NAME),
        (
            "any name, in words",
            socket(&unnamed("").replace("common_tls", "auto_sni_san_validation: false, common_tls")),
            NAME,
        ),
        ("no names", socket(&unnamed(", match_typed_subject_alt_names: []")), NAME),
        (
            "a name",
            socket(&unnamed(", match_typed_subject_alt_names: [{ san_type: DNS, matcher: { exact: a } }]")),
            None,
        ),
        ("one certificate", socket(&tls("", "validation_context: { verify_certificate_hash: [aa] }")), None),
        ("no certificates", socket(&tls("", "validation_context: { verify_certificate_hash: [] }")), ANYONE),
    ]);
}

#[test]
fn what_is_no_tls_is_none() {
    let good = tls(", auto_sni_san_validation: true", "validation_context: { trusted_ca: { filename: a } }");
    let wrapped = |inner: &str| {
        format!(
            "{{ name: a, typed_config: {{ {}, transport_socket: {inner} }} }}",
            kind("proxy_protocol.v3.ProxyProtocolUpstreamTransport")
        )
    };
    let raw = format!("{{ name: raw, typed_config: {{ {} }} }}", kind("raw_buffer.v3.RawBuffer"));
    let quic = good.replace("tls.v3.UpstreamTlsContext\"", "").replace("common_tls_context", "x");
    let matches = |sockets: &[&str]| {
        let each: String =
            sockets.iter().map(|socket| format!("{{ name: a, match: {{}}, transport_socket: {socket} }}, ")).collect();
        format!("transport_socket_matches: [{each}]")
    };
    expect(&[
        ("TLS", socket(&good), None),
        ("none", bootstrap("", "type: STATIC"), PLAIN),
        ("null", socket("null"), PLAIN),
        ("raw", socket(&raw), PLAIN),
        ("a name only", socket("{ name: envoy.transport_sockets.tls }"), PLAIN),
        ("another context", socket(&good.replace("Upstream", "Downstream")), PLAIN),
        ("TLS in another", socket(&wrapped(&good)), None),
        ("TLS in another in another", socket(&wrapped(&wrapped(&good))), None),
        ("raw in another", socket(&wrapped(&raw)), PLAIN),
        ("nothing in another", socket(&wrapped("null")), PLAIN),
        ("a check that is not where it belongs", socket(&quic), ANYONE),
        ("by its kind", bootstrap("", &matches(&[&good, &good])), None),
        ("by its kind, one of them raw", bootstrap("", &matches(&[&good, &raw])), PLAIN),
        ("by its kind, one of them none", bootstrap("", &matches(&[&good, "null"])), PLAIN),
        ("by no kind", bootstrap("", &matches(&[])), PLAIN),
        ("TLS, by its kind raw", bootstrap("", &format!("transport_socket: {good}, {}", matches(&[&raw]))), PLAIN),
    ]);
}

#[test]
fn clusters_may_come_from_elsewhere() {
    let other = |more: &str| bootstrap(more, "").replace("name: idp", "name: other");
    let missing = Some("error cluster: no cluster of this name is in `static_resources.clusters`");
    expect(&[
        ("from nowhere", other(""), missing),
        ("listeners", other("dynamic_resources: { lds_config: { ads: {} } }"), missing),
        ("null", other("dynamic_resources: { cds_config: null }"), missing),
        ("clusters", other("dynamic_resources: { cds_config: { ads: {} } }"), None),
        ("clusters, in the other spelling", other("dynamicResources: { cdsConfig: { ads: {} } }"), None),
    ]);
}
