//! `mcp-oauth init`: the least that is needed, for each place where it can stand. What is written was checked.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use mcp_oauth::config;
use serde_json::{Value, json};

use crate::{
    Ending, Misuse,
    arguments::{Check, Init},
    check::{self, Severity},
    cures,
    output::{Ink, Output},
    source::Source,
};

/// Where it shall stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Envoy,
    Istio,
    TrafficExtension,
    EnvoyGateway,
    Higress,
    Json,
}

const KINDS: [(&str, Kind); 6] = [
    ("envoy", Kind::Envoy),
    ("istio", Kind::Istio),
    ("traffic-extension", Kind::TrafficExtension),
    ("envoy-gateway", Kind::EnvoyGateway),
    ("higress", Kind::Higress),
    ("json", Kind::Json),
];

/// As in the manifests under deploy/: a tag is whatever somebody pushed last.
const IMAGE: &str = "registry.example.com/mcp-oauth-filter\
    @sha256:0000000000000000000000000000000000000000000000000000000000000000";
const DIGEST: &str = "The digest is what `make push` says.";
/// On a gateway that serves others too they would all get 404.
const GATEWAY_OF_ITS_OWN: &str = "# For the gateway of deploy/istio.yaml: this one is for all that a gateway serves, and what is no \
    configured resource gets 404.\n# The digest is what `make push` says.\n";

pub(crate) fn run(options: Init, out: &mut Output) -> Result<Ending, Misuse> {
    let names = KINDS.map(|(name, _)| name).join(", ");
    let kind = answer(options.kind, "--for", &format!("For what ({names})?"), Some("envoy"))?;
    let kind = KINDS.iter().find(|(name, _)| *name == kind).map(|(_, kind)| *kind);
    let kind = kind.ok_or_else(|| Misuse::new("an unknown kind for --for", format!("write one of {names}")))?;
    let resource = answer(options.resource, "--resource", "The MCP server's URL, as users type it?", None)?;
    let issuer = answer(options.issuer, "--issuer", "The authorization server, as its tokens say in `iss`?", None)?;
    let scopes = answer(options.scopes, "--scopes", "What must a token carry (scopes, may be empty)?", Some(""))?;
    let cluster = options.cluster.unwrap_or_else(|| default_cluster(kind, &issuer));

    let scopes: Vec<&str> = scopes.split_whitespace().collect();
    let configuration = json!({
        "authorization_servers": [{ "issuer": issuer, "cluster": cluster }],
        "resources": [{ "resource": resource, "scopes": { "required": scopes } }],
    });
    if let Err(findings) = config::parse(configuration.to_string().as_bytes()) {
        for config::Finding { path, reason } in &findings {
            let option = match path.as_str() {
                path if path.starts_with("authorization_servers[0].issuer") => "--issuer",
                path if path.starts_with("authorization_servers[0].cluster") => "--cluster",
                path if path.contains(".scopes") => "--scopes",
                _ => "--resource",
            };
            out.line(&format!("{option}: {reason}\n   cure: {}", cures::cure(path, reason)));
        }
        out.line(&out.paint(Ink::Red, &format!("{} findings: nothing was written", findings.len())));
        return Ok(Ending::Findings);
    }
    let text = write(kind, &configuration, &issuer);
    let wrong = check::look(&Source::new("output", text.clone()), &Check::default()).placed;
    if let Some((_, finding)) = wrong.iter().find(|(_, finding)| finding.severity != Severity::Note) {
        let what = format!("what would be written has a finding: {}", finding.reason);
        return Err(Misuse::new(what, finding.cure.clone()));
    }
    match options.output {
        None => out.plain(text.trim_end()),
        Some(name) => {
            let misuse =
                |error: std::io::Error| Misuse::new(format!("{name}: {error}"), "name a file that is not there yet");
            let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&name);
            file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(misuse)?;
            out.line(&format!("{name} is written; next: mcp-oauth check {name}"));
        }
    }
    Ok(Ending::Good)
}

/// What was given, else what is typed.
fn answer(given: Option<String>, option: &str, question: &str, default: Option<&str>) -> Result<String, Misuse> {
    if let Some(given) = given {
        return Ok(given);
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return match default {
            Some(default) => Ok(default.to_owned()),
            None => Err(Misuse::new(format!("{option} is missing"), "give it, or run it on a terminal to be asked")),
        };
    }
    let hint = default.filter(|default| !default.is_empty()).map(|default| format!(" [{default}]"));
    let mut line = String::new();
    let asked = write!(std::io::stderr().lock(), "{question}{} ", hint.unwrap_or_default());
    let read = asked.and_then(|()| std::io::stdin().lock().read_line(&mut line));
    read.map_err(|error| Misuse::new(format!("no answer: {error}"), format!("give {option}")))?;
    let line = line.trim();
    match (line, default) {
        ("", Some(default)) => Ok(default.to_owned()),
        ("", None) => Err(Misuse::new(format!("{option} is needed"), "answer the question, or give the option")),
        _ => Ok(line.to_owned()),
    }
}

fn host_of(issuer: &str) -> (&str, u16) {
    let rest = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?))) {
        Some((host, port)) => (host, port),
        None => (authority, 443),
    }
}

fn default_cluster(kind: Kind, issuer: &str) -> String {
    let (host, port) = host_of(issuer);
    match kind {
        Kind::Envoy | Kind::EnvoyGateway | Kind::Json => "idp".to_owned(),
        Kind::Istio | Kind::TrafficExtension => format!("outbound|{port}||{host}"),
        Kind::Higress => format!("outbound|{port}||idp.dns"),
    }
}

fn write(kind: Kind, configuration: &Value, issuer: &str) -> String {
    let one = |name: &str| {
        let value = configuration.get(name).and_then(|list| list.get(0)).unwrap_or(&Value::Null);
        value.to_string().replace("\":", "\": ").replace(",\"", ", \"")
    };
    let (server, resource) = (one("authorization_servers"), one("resources"));
    let map = |indent: usize| {
        let space = " ".repeat(indent);
        format!("{space}authorization_servers:\n{space}- {server}\n{space}resources:\n{space}- {resource}\n")
    };
    let (host, port) = host_of(issuer);
    let quoted = |text: &str| Value::from(text).to_string();
    match kind {
        Kind::Json => format!("{}\n", serde_json::to_string_pretty(configuration).unwrap_or_default()),
        Kind::Envoy => {
            let quote = |text: &str| text.replace('\'', "''");
            format!(
                "- name: mcp_resource_server
  typed_config:
    \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
    config:
      failure_policy: FAIL_RELOAD
      vm_config: {{ runtime: envoy.wasm.runtime.v8, code: {{ local: {{ filename: mcp_resource_server.wasm }} }} }}
      configuration:
        \"@type\": type.googleapis.com/google.protobuf.StringValue
        value: '{{ \"authorization_servers\": [{}],
          \"resources\": [{}] }}'
",
                quote(&server),
                quote(&resource)
            )
        }
        Kind::Istio => format!(
            "{GATEWAY_OF_ITS_OWN}apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {{ name: mcp-oauth, namespace: mcp }}
spec:
  targetRefs: [{{ group: gateway.networking.k8s.io, kind: Gateway, name: mcp }}]
  url: oci://{IMAGE}
  phase: AUTHN
  failStrategy: FAIL_RELOAD # Istio 1.26 and earlier: FAIL_CLOSE
  pluginConfig:
{}{}",
            map(4),
            mesh(&quoted(host), port)
        ),
        Kind::TrafficExtension => format!(
            "{GATEWAY_OF_ITS_OWN}apiVersion: extensions.istio.io/v1alpha1
kind: TrafficExtension
metadata: {{ name: mcp-oauth, namespace: mcp }}
spec:
  targetRefs: [{{ group: gateway.networking.k8s.io, kind: Gateway, name: mcp }}]
  phase: AUTHN
  wasm:
    url: oci://{IMAGE}
    failStrategy: FAIL_RELOAD
    pluginConfig:
{}{}",
            map(6),
            mesh(&quoted(host), port)
        ),
        Kind::EnvoyGateway => format!(
            "# The rest is in deploy/envoy-gateway.yaml: the cluster of the name in `cluster`, which EnvoyProxy adds to the bootstrap, and a
# route `mcp` that matches /.well-known/oauth-protected-resource too. {DIGEST}
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: {{ name: mcp-oauth, namespace: mcp }}
spec:
  targetRefs: [{{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: mcp }}]
  wasm:
  - name: mcp-oauth
    failOpen: false
    code: {{ type: Image, image: {{ url: \"{IMAGE}\" }} }}
    config:
{}",
            map(6)
        ),
        Kind::Higress => format!(
            "# `cluster` is what Higress makes of the service source `idp` (McpBridge, type dns) that leads to the issuer: it is in
# deploy/higress.yaml. {DIGEST}
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {{ name: mcp-oauth, namespace: higress-system }}
spec:
  url: oci://{IMAGE}
  phase: AUTHN
  failStrategy: FAIL_CLOSE
  defaultConfig:
{}",
            map(4)
        ),
    }
}

/// How a mesh reaches the issuer: over TLS, with its certificate checked.
fn mesh(host: &str, port: u16) -> String {
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: mcp-oauth-idp, namespace: mcp }}
spec:
  hosts: [{host}]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{{ number: {port}, name: https, protocol: HTTPS }}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: mcp-oauth-idp, namespace: mcp }}
spec:
  host: {host}
  trafficPolicy:
    tls: {{ mode: SIMPLE, sni: {host}, subjectAltNames: [{host}] }}
"
    )
}
