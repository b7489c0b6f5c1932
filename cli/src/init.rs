//! `mcp-oauth init`: the least that is needed, for each place where it can stand. What is written was checked.

use std::io::{BufRead as _, ErrorKind, IsTerminal as _, Write as _};

use mcp_oauth::config;
use serde_json::{Value, json};

use crate::{
    Ending, Misuse,
    arguments::{Check, Init},
    check::{self, Finding, Severity},
    cures, http,
    output::{self, Ink, Output},
    services::Server,
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
    let server = Server::of(&issuer);
    let own_cluster = default_cluster(kind, &server);
    let cluster = options.cluster.unwrap_or_else(|| own_cluster.clone());

    // The core takes any text. No proxy has a cluster of such a name, and whoever reads the manifest does not see why.
    let is_odd = |c: char| c.is_control() || (c.is_whitespace() && c != ' ');
    if cluster.contains(is_odd) || (cluster.trim() != cluster) {
        let reason = "has white space at an end, or a character that ends a line or is not seen";
        let cure = "write the name of the cluster as the proxy's configuration has it";
        return Ok(not_written(&[("--cluster", reason.to_owned(), cure.to_owned())], out));
    }
    let scopes: Vec<&str> = scopes.split_whitespace().collect();
    let mut server_of_tokens = json!({ "issuer": issuer, "cluster": cluster });
    if let (Some(members), Some(provider)) = (server_of_tokens.as_object_mut(), &options.provider) {
        members.insert("provider".to_owned(), json!(provider));
    }
    let configuration = json!({
        "authorization_servers": [server_of_tokens],
        "resources": [{ "resource": resource, "scopes": { "required": scopes } }],
    });
    if let Err(findings) = config::parse(configuration.to_string().as_bytes()) {
        let findings = findings.iter().map(|config::Finding { path, reason }| {
            let option = match path.as_str() {
                path if path.starts_with("authorization_servers[0].issuer") => "--issuer",
                path if path.starts_with("authorization_servers[0].cluster") => "--cluster",
                path if path.starts_with("authorization_servers[0].provider") => "--provider",
                path if path.contains(".scopes") => "--scopes",
                // What only this product needs, and `init` does not ask for.
                path if path.starts_with("authorization_servers[0]") || path.ends_with(".audiences") => {
                    let cure =
                        "leave --provider out, and add it and what it needs to what is written: docs/guides shows it";
                    return ("--provider", format!("`{path}` {reason}"), cure.to_owned());
                }
                _ => "--resource",
            };
            (option, reason.clone(), cures::cure(path, reason))
        });
        return Ok(not_written(&findings.collect::<Vec<_>>(), out));
    }
    let needs_mesh = matches!(kind, Kind::Istio | Kind::TrafficExtension) && cluster == own_cluster;
    if needs_mesh && http::is_loopback(&issuer) {
        let reason = format!("`{issuer}` is on the machine of whoever asks, which in a mesh is the gateway's own pod");
        let cure = "name it by the https URL at which the gateway reaches it, or the cluster that does with --cluster";
        return Ok(not_written(&[("--issuer", reason, cure.to_owned())], out));
    }
    let text = write(kind, &configuration, needs_mesh.then_some(&server));
    let wrong = check::look(&Source::new("output", text.clone()), &Check::default()).placed;
    let is_wrong = |finding: &Finding| finding.severity != Severity::Note;
    if let Some((_, finding)) = wrong.iter().find(|(_, finding)| is_wrong(finding) && finding.path == "cluster") {
        return Ok(not_written(&[("--cluster", finding.reason.clone(), finding.cure.clone())], out));
    }
    if let Some((_, finding)) = wrong.iter().find(|(_, finding)| is_wrong(finding)) {
        let what = format!("what would be written has a finding: {}", finding.reason);
        return Err(Misuse::new(what, finding.cure.clone()));
    }
    match options.output.as_deref() {
        None | Some("-") => out.plain(text.trim_end()),
        Some(name) => {
            let misuse = |error: std::io::Error| {
                let cure = match error.kind() {
                    ErrorKind::AlreadyExists => "name a file that is not there yet",
                    ErrorKind::NotFound => "make its folder first, or name a file in one that is there",
                    _ => "name a file that can be written",
                };
                Misuse::new(format!("{}: {error}", output::name_of_file(name)), cure)
            };
            let file = std::fs::OpenOptions::new().write(true).create_new(true).open(name);
            file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(misuse)?;
            out.line(&format!("{name} is written; next: mcp-oauth check {name}"));
            out.document(&json!({ "findings": [], "written": name }));
        }
    }
    Ok(Ending::Good)
}

/// Says what is wrong: option, reason and cure of each.
fn not_written(findings: &[(&str, String, String)], out: &Output) -> Ending {
    for (option, reason, cure) in findings {
        out.line(&format!("{option}: {reason}\n   cure: {cure}"));
    }
    let count = if findings.len() == 1 { "1 finding".to_owned() } else { format!("{} findings", findings.len()) };
    out.line(&out.paint(Ink::Red, &format!("{count}: nothing was written")));
    let one =
        |(option, reason, cure): &(&str, String, String)| json!({ "option": option, "reason": reason, "cure": cure });
    out.document(&json!({ "findings": findings.iter().map(one).collect::<Vec<_>>() }));
    Ending::Findings
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

fn default_cluster(kind: Kind, server: &Server) -> String {
    match kind {
        Kind::Envoy | Kind::EnvoyGateway | Kind::Json => "idp".to_owned(),
        Kind::Istio | Kind::TrafficExtension => format!("outbound|{}||{}", server.port, server.name()),
        Kind::Higress => format!("outbound|{}||idp.dns", server.port),
    }
}

/// JSON that YAML reads alike, where more characters must not be there; and that a terminal shows as it is.
fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

fn quoted(text: &str) -> String {
    escaped(&Value::from(text).to_string())
}

/// A value in one line, as JSON and as YAML.
fn line(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(line).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let one = |(name, value): (&String, &Value)| format!("{}: {}", quoted(name), line(value));
            format!("{{{}}}", members.iter().map(one).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn write(kind: Kind, configuration: &Value, mesh: Option<&Server>) -> String {
    let one = |name: &str| {
        let value = configuration.get(name).and_then(|list| list.get(0)).unwrap_or(&Value::Null);
        line(value)
    };
    let (server, resource) = (one("authorization_servers"), one("resources"));
    let map = |indent: usize| {
        let space = " ".repeat(indent);
        format!("{space}authorization_servers:\n{space}- {server}\n{space}resources:\n{space}- {resource}\n")
    };
    let mesh = mesh.map(in_mesh).unwrap_or_default();
    match kind {
        Kind::Json => format!("{}\n", escaped(&serde_json::to_string_pretty(configuration).unwrap_or_default())),
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
            mesh
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
            mesh
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

/// How the gateway reaches the issuer: over TLS, with its certificate checked. The gateway only: what else asks the issuer
/// speaks TLS itself, and would do so twice.
fn in_mesh(server: &Server) -> String {
    let (name, port) = (quoted(server.name()), server.port);
    // RFC 6066 section 3: no address in `sni`.
    let (resolution, endpoints, sni) = if server.is_address() {
        ("STATIC", format!("\n  endpoints: [{{ address: {} }}]", quoted(&server.host)), String::new())
    } else {
        ("DNS", String::new(), format!(" sni: {name},"))
    };
    let host = quoted(&server.host);
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: idp, namespace: mcp }}
spec:
  exportTo: [\".\"]
  hosts: [{name}]
  location: MESH_EXTERNAL
  resolution: {resolution}
  ports: [{{ number: {port}, name: https, protocol: HTTPS }}]{endpoints}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: idp, namespace: mcp }}
spec:
  host: {name}
  exportTo: [\".\"]
  workloadSelector: {{ matchLabels: {{ gateway.networking.k8s.io/gateway-name: mcp }} }}
  trafficPolicy:
    tls: {{ mode: SIMPLE,{sni} subjectAltNames: [{host}] }}
"
    )
}
