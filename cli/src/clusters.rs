//! The clusters of a bootstrap: those that a configuration names must be there, and reach https over TLS, to the right server.

use std::{collections::HashMap, rc::Rc};

use crate::{
    check::{Finding, Severity},
    configuration::Readable,
    manifests::typed,
    node::{MAX_DEPTH, Node, Value, shown},
};

/// Those of a document.
pub(crate) struct Clusters<'d> {
    /// `None`: it is no bootstrap with clusters.
    all: Option<&'d [Rc<Node>]>,
    by_name: HashMap<&'d str, &'d Node>,
    /// Whether there may be more, from elsewhere.
    has_others: bool,
    /// What is wrong with a transport socket or a list of them; many clusters may share it.
    known: HashMap<*const Node, Option<Fault>>,
}

/// Why whoever can answer in the place of the server may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Plain,
    AnyCertificate,
    AnyName,
}

impl Fault {
    const fn describe(self) -> (Severity, &'static str) {
        match self {
            Self::Plain => (Severity::Error, "reaches an https server without TLS"),
            Self::AnyCertificate => (Severity::Error, "reaches an https server and takes any certificate"),
            // With a CA that signs for one server only, that is no harm.
            Self::AnyName => {
                (Severity::Warning, "reaches an https server and does not compare the name in its certificate")
            }
        }
    }
}

impl<'d> Clusters<'d> {
    pub(crate) fn of(document: &'d Node) -> Self {
        let all = document.field("static_resources").and_then(|all| all.field("clusters")).map(Node::items);
        let mut by_name = HashMap::new();
        for cluster in all.unwrap_or_default() {
            cluster.text_of(&["name"]).map(|name| by_name.entry(name).or_insert(&**cluster));
        }
        let dynamic = document.field("dynamic_resources");
        let has_others = dynamic.is_some_and(|dynamic| dynamic.field("cds_config").is_some());
        Self { all, by_name, has_others, known: HashMap::new() }
    }

    /// What is wrong with those that a configuration names.
    pub(crate) fn advise(&mut self, tree: &Node, readable: &Readable) -> Vec<Finding> {
        let Some(all) = self.all else { return Vec::new() };
        let mut named: Vec<(&Node, &Node)> = Vec::new();
        tree.each(&mut |node| {
            let is_cluster = |name: &str| matches!(name, "cluster" | "jwks_cluster");
            let clusters = node.members().iter().filter(|member| is_cluster(&member.name));
            named.extend(clusters.map(|member| (node, &*member.node)));
        });
        let one = |(user, node): (&Node, &Node)| {
            let name = node.text()?;
            let at = readable.in_file(node.at);
            let value = Some(format!("\"{}\"", shown(name)));
            let (severity, reason, cure) = if let Some(cluster) = self.by_name.get(name).copied() {
                let url = user.text_of(&["endpoint"]).or_else(|| user.text_of(&["issuer"])).unwrap_or_default();
                let (severity, fault) = self.fault(cluster).filter(|_| url.starts_with("https://"))?.describe();
                let reason = format!("this cluster {fault}: whoever can answer in its place signs any token");
                let cure = "give it a `transport_socket` with `sni`, `auto_sni_san_validation` and `trusted_ca`, as in envoy.yaml";
                (severity, reason, cure.to_owned())
            } else if self.has_others {
                return None;
            } else {
                let reason = "no cluster of this name is in `static_resources.clusters`".to_owned();
                let names: Vec<String> =
                    all.iter().filter_map(|cluster| cluster.text_of(&["name"])).map(shown).take(10).collect();
                let more = if all.len() > names.len() { ", and others" } else { "" };
                let cure = format!("add it, or name one of those that are there: {}{more}", names.join(", "));
                (Severity::Error, reason, cure)
            };
            Some(Finding { value, ..Finding::new(severity, at, "cluster", reason, cure) })
        };
        named.into_iter().filter_map(one).collect()
    }

    fn fault(&mut self, cluster: &Node) -> Option<Fault> {
        let socket = cluster.field("transport_socket");
        let matches = cluster.field("transport_socket_matches").filter(|matches| !matches.items().is_empty());
        let (socket, matches) = match (socket, matches) {
            (None, None) => return Some(Fault::Plain),
            (socket, matches) => (socket.and_then(|socket| self.of_socket(socket)), matches),
        };
        let matches = matches.and_then(|matches| {
            if let Some(known) = self.known.get(&std::ptr::from_ref(matches)) {
                return *known;
            }
            let one =
                |each: &Rc<Node>| each.field("transport_socket").map_or(Some(Fault::Plain), |one| self.of_socket(one));
            let worst = matches.items().iter().filter_map(one).min();
            self.known.insert(matches, worst);
            worst
        });
        socket.into_iter().chain(matches).min()
    }

    fn of_socket(&mut self, socket: &Node) -> Option<Fault> {
        if let Some(known) = self.known.get(&std::ptr::from_ref(socket)) {
            return *known;
        }
        let (mut inner, mut fault) = (Some(socket), Some(Fault::Plain));
        // Others, such as the PROXY protocol, wrap one that may be TLS.
        for _ in 0..MAX_DEPTH {
            let Some((kind, body)) = inner.and_then(|socket| socket.field("typed_config")).and_then(typed) else {
                break;
            };
            let context =
                if kind.ends_with(".UpstreamTlsContext") { Some(body) } else { body.field("upstream_tls_context") };
            if let Some(context) = context {
                fault = of_context(context);
                break;
            }
            inner = body.field("transport_socket");
        }
        self.known.insert(socket, fault);
        fault
    }
}

/// What is wrong with an `UpstreamTlsContext`.
fn of_context(context: &Node) -> Option<Fault> {
    const SECRET: &str = "validation_context_sds_secret_config";
    let given = |node: &Node, name: &str| {
        node.field(name).is_some_and(|node| match &node.value {
            Value::List(items) => !items.is_empty(),
            Value::Map(members) => members.iter().any(|member| !matches!(member.node.value, Value::Null)),
            _ => true,
        })
    };
    let common = context.field("common_tls_context");
    let combined = common.and_then(|common| common.field("combined_validation_context"));
    let own = common.and_then(|common| common.field("validation_context"));
    let validation = own.or_else(|| combined?.field("default_validation_context"));
    let is_verified = |validation: &Node| {
        let verification = validation.field("trust_chain_verification");
        verification.is_none_or(|verification| verification.text() == Some("VERIFY_TRUST_CHAIN"))
    };
    if !validation.is_none_or(is_verified) {
        return Some(Fault::AnyCertificate);
    }
    // What comes from elsewhere is not seen here.
    if [common, combined].into_iter().flatten().any(|node| given(node, SECRET)) {
        return None;
    }
    let Some(validation) = validation else { return Some(Fault::AnyCertificate) };
    let any = |names: &[&str]| names.iter().any(|name| given(validation, name));
    if any(&["verify_certificate_spki", "verify_certificate_hash", "custom_validator_config"]) {
        return None;
    }
    if !any(&["trusted_ca", "ca_certificate_provider_instance"]) && validation.field("system_root_certs").is_none() {
        return Some(Fault::AnyCertificate);
    }
    let is_named = context.field("auto_sni_san_validation").is_some_and(Node::is_true)
        || any(&["match_typed_subject_alt_names", "match_subject_alt_names"]);
    (!is_named).then_some(Fault::AnyName)
}
