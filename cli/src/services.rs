//! What else in a file makes clusters: Istio's services, Higress' registries, and what Envoy Gateway is told to add.

use std::{
    collections::{BTreeSet, HashSet},
    net::IpAddr,
};

use crate::{
    check::{Finding, Severity},
    clusters::{Clusters, Named, named},
    configuration::Readable,
    manifests::{Holder, manifests},
    node::{Node, Value, shown},
};

/// Of hosts with their ports. Where there are more, nobody is told that one is missing.
const MAX_SERVICES: usize = 10_000;

/// Where a server is, by its URL.
pub(crate) struct Server {
    /// Without the brackets of an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Server {
    pub(crate) fn of(url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
        let authority = rest.split('/').next().unwrap_or_default();
        let default = if scheme == "http" { 80 } else { 443 };
        let is_port = |port: &str| port.parse::<u16>().ok();
        // The colons of an IPv6 address are in brackets, so the last one is not one of them if a number follows.
        let (host, port) = match authority.rsplit_once(':').and_then(|(host, port)| Some((host, is_port(port)?))) {
            Some(found) => found,
            None => (authority, default),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Self { host: host.to_owned(), port }
    }

    pub(crate) fn is_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }

    /// What a `ServiceEntry` calls it. Istio takes no address for a name.
    pub(crate) fn name(&self) -> &str {
        if self.is_address() { "mcp-oauth-idp.internal" } else { &self.host }
    }
}

/// Hosts with their ports, which are what the name of a cluster is made of.
#[derive(Default)]
struct Services {
    all: BTreeSet<(String, u16)>,
    /// How often one was added, also one that was there.
    added: usize,
}

impl Services {
    /// Whether it was taken; if not, no more are.
    fn add(&mut self, host: &str, port: u16) -> bool {
        let is_taken = self.added < MAX_SERVICES;
        if is_taken {
            self.all.insert((host.to_owned(), port));
        }
        self.added = self.added.saturating_add(1);
        is_taken
    }

    fn lacks(&self, host: &str, port: u16) -> bool {
        self.added <= MAX_SERVICES && !self.all.is_empty() && !self.all.contains(&(host.to_owned(), port))
    }

    /// The clusters that are made of them, in words.
    fn clusters(&self) -> String {
        let some = self.all.iter().take(10).map(|(host, port)| format!("outbound|{port}||{}", shown(host)));
        let more = if self.all.len() > 10 { ", and others" } else { "" };
        format!("{}{more}", some.collect::<Vec<_>>().join(", "))
    }
}

/// What the documents of a file make clusters of.
pub(crate) struct Made<'d> {
    entries: Services,
    registries: Services,
    has_bridge: bool,
    /// By an `EnvoyFilter`, under any name.
    patched: HashSet<&'d str>,
    /// By an `EnvoyProxy`.
    added: Clusters<'d>,
}

impl<'d> Made<'d> {
    pub(crate) fn of(documents: impl Iterator<Item = &'d Node>) -> Self {
        let (mut entries, mut registries) = (Services::default(), Services::default());
        let (mut patched, mut added) = (HashSet::new(), Some(Vec::new()));
        let mut has_bridge = false;
        for manifest in documents.flat_map(manifests) {
            let Some(spec) = manifest.node.get(&["spec"]) else { continue };
            let list = |name: &str| spec.field(name).map(Node::items).unwrap_or_default();
            match manifest.kind {
                Some("ServiceEntry") => {
                    let ports = list("ports").iter().filter_map(|port| number(port.field("number")?));
                    let ports: Vec<u16> = ports.collect();
                    let mut hosts = list("hosts").iter().filter_map(|host| host.text());
                    hosts.all(|host| ports.iter().all(|port| entries.add(host, *port)));
                }
                // The clusters of the other types have names that their registries say.
                Some("McpBridge") => {
                    has_bridge = true;
                    for registry in list("registries").iter().filter(|one| one.text_of(&["type"]) == Some("dns")) {
                        let name = registry.text_of(&["name"]);
                        if let (Some(name), Some(port)) = (name, registry.field("port").and_then(number)) {
                            registries.add(&format!("{name}.dns"), port);
                        }
                    }
                }
                Some("EnvoyFilter") => {
                    let patches = list("configPatches").iter();
                    let clusters = patches.filter(|patch| patch.text_of(&["applyTo"]) == Some("CLUSTER"));
                    let name = |patch: &'d Node| patch.find(&[&["patch"], &["value"], &["name"]])?.text();
                    patched.extend(clusters.filter_map(|patch| name(patch)));
                }
                Some("EnvoyProxy") => match (&mut added, add_to_bootstrap(spec)) {
                    (Some(all), Some(more)) => all.extend(more),
                    _ => added = None,
                },
                // It may add one, and rename any.
                Some("EnvoyPatchPolicy") => added = None,
                _ => {}
            }
        }
        let added = added.filter(|all| !all.is_empty());
        let missing = (Severity::Warning, "no `EnvoyProxy` in this file adds a cluster of this name");
        Self { entries, registries, has_bridge, patched, added: Clusters::among(added, missing) }
    }

    /// What is wrong with the clusters that a configuration names.
    pub(crate) fn advise(&mut self, holder: Holder, tree: &Node, readable: &Readable) -> Vec<Finding> {
        let mut named = named(tree);
        match holder {
            Holder::EnvoyGateway => {
                // Its own ones, such as those of routes.
                named.retain(|one| one.node.text().is_some_and(|name| !name.contains('/')));
                self.added.advise(&named, readable)
            }
            Holder::Istio | Holder::Higress => {
                named.iter().filter_map(|one| self.judge(holder, one, readable)).collect()
            }
            Holder::Envoy | Holder::Itself => Vec::new(),
        }
    }

    fn judge(&self, holder: Holder, one: &Named<'_>, readable: &Readable) -> Option<Finding> {
        let name = one.node.text().filter(|name| !self.patched.contains(name))?;
        let server = Server::of(one.url());
        let host = if server.host.is_empty() { "<host>".to_owned() } else { shown(server.name()) };
        let is_higress = holder == Holder::Higress;
        let (reason, cure) = match host_and_port(name) {
            None if is_higress => (
                "Higress names its clusters outbound|<port>||<name>.<type>".to_owned(),
                format!("write outbound|{}||<name>.dns, by the name of the registry that leads to {host}", server.port),
            ),
            None => (
                "Istio names its clusters outbound|<port>||<host>".to_owned(),
                format!("write outbound|{}||{host}, and have a ServiceEntry for it", server.port),
            ),
            Some((host, port)) => {
                let (services, what) = match host {
                    host if is_higress && host.ends_with(".dns") => (&self.registries, "registry of an McpBridge"),
                    _ if is_higress && self.has_bridge => return None,
                    // What is in the cluster itself needs none.
                    host if host.contains(".svc.") => return None,
                    _ => (&self.entries, "ServiceEntry"),
                };
                if !services.lacks(host, port) {
                    return None;
                }
                let cure = format!("add it, or name one of those that are there: {}", services.clusters());
                (format!("no {what} in this file has this host and port"), cure)
            }
        };
        let finding = Finding::new(Severity::Warning, readable.in_file(one.node.at), "cluster", reason, cure);
        Some(Finding { value: Some(format!("\"{}\"", shown(name))), ..finding })
    }
}

/// Of `outbound|PORT|SUBSET|HOST`.
fn host_and_port(cluster: &str) -> Option<(&str, u16)> {
    let mut parts = cluster.strip_prefix("outbound|")?.split('|');
    let (port, _, host) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
    (parts.next().is_none() && !host.is_empty()).then_some((host, port))
}

fn number(node: &Node) -> Option<u16> {
    match &node.value {
        Value::Number(number) => number.parse().ok(),
        _ => None,
    }
}

/// The clusters that an `EnvoyProxy` adds. `None`: which there are then cannot be told.
fn add_to_bootstrap(spec: &Node) -> Option<Vec<&Node>> {
    let Some(bootstrap) = spec.field("bootstrap") else { return Some(Vec::new()) };
    if bootstrap.text_of(&["type"]) != Some("JSONPatch") {
        return None;
    }
    let mut added: Vec<&Node> = Vec::new();
    for patch in bootstrap.field("jsonPatches").map(Node::items).unwrap_or_default() {
        let path = patch.text_of(&["path"])?;
        let Some(below) = path.strip_prefix("/static_resources/clusters") else {
            if "/static_resources".starts_with(path) || patch.field("jsonPath").is_some() {
                return None;
            }
            continue;
        };
        // A change of one that is there may be what gives it TLS.
        if below.matches('/').count() > 1 || !matches!(patch.text_of(&["op"]), Some("add" | "replace")) {
            return None;
        }
        let value = patch.field("value")?;
        match &value.value {
            Value::List(all) => added.extend(all.iter().map(|cluster| &**cluster)),
            _ => added.push(value),
        }
    }
    Some(added)
}
