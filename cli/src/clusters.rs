//! The clusters of a bootstrap: those that a configuration names must be there, and reach https over TLS, to the right server.
//! `services` has the clusters that are made in other ways.

use std::{collections::HashMap, rc::Rc};

use crate::{
    check::{Finding, Severity},
    configuration::Readable,
    manifests::typed,
    node::{MAX_DEPTH, Node, Value, shown},
};

/// Those of a document.
pub(crate) struct Clusters<'d> {
    /// `None`: which there are is not known.
    all: Option<Vec<&'d Node>>,
    by_name: HashMap<&'d str, &'d Node>,
    /// Whether there may be more, from elsewhere.
    has_others: bool,
    /// What it means that one is missing.
    missing: (Severity, &'static str),
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

/// A cluster that a configuration names.
pub(crate) struct Named<'n> {
    /// What names it.
    user: &'n Node,
    is_for_keys: bool,
    pub(crate) node: &'n Node,
}

impl<'n> Named<'n> {
    /// What is asked through it, if the configuration says that.
    pub(crate) fn url(&self) -> &'n str {
        let keys = self.user.text_of(&["jwks_uri"]).filter(|_| self.is_for_keys);
        let asked = self.user.text_of(&["endpoint"]).or_else(|| self.user.text_of(&["issuer"]));
        keys.or(asked).unwrap_or_default()
    }
}

/// All clusters that a configuration names.
pub(crate) fn named(tree: &Node) -> Vec<Named<'_>> {
    let mut named = Vec::new();
    tree.each(&mut |user| {
        for member in user.members() {
            let is_for_keys = member.name == "jwks_cluster";
            if is_for_keys || member.name == "cluster" {
                named.push(Named { user, is_for_keys, node: &member.node });
            }
        }
    });
    named
}

impl<'d> Clusters<'d> {
    /// Those of a bootstrap, if the document is one.
    pub(crate) fn of(document: &'d Node) -> Self {
        let all = document.field("static_resources").and_then(|all| all.field("clusters"));
        let all = all.map(|all| all.items().iter().map(|cluster| &**cluster).collect());
        let dynamic = document.field("dynamic_resources");
        let has_others = dynamic.is_some_and(|dynamic| dynamic.field("cds_config").is_some());
        let missing = (Severity::Error, "no cluster of this name is in `static_resources.clusters`");
        Self { has_others, ..Self::among(all, missing) }
    }

    /// These and no others.
    pub(crate) fn among(all: Option<Vec<&'d Node>>, missing: (Severity, &'static str)) -> Self {
        let mut by_name = HashMap::new();
        for cluster in all.iter().flatten().copied() {
            cluster.text_of(&["name"]).map(|name| by_name.entry(name).or_insert(cluster));
        }
        Self { all, by_name, has_others: false, missing, known: HashMap::new() }
    }

    /// What is wrong with those that are named.
    pub(crate) fn advise(&mut self, named: &[Named<'_>], readable: &Readable) -> Vec<Finding> {
        if self.all.is_none() {
            return Vec::new();
        }
        named.iter().filter_map(|one| self.judge(one, readable)).collect()
    }

    fn judge(&mut self, one: &Named<'_>, readable: &Readable) -> Option<Finding> {
        let name = one.node.text()?;
        let (severity, reason, cure) = if let Some(cluster) = self.by_name.get(name).copied() {
            let (severity, fault) = self.fault(cluster).filter(|_| one.url().starts_with("https://"))?.describe();
            let reason = format!("this cluster {fault}: whoever can answer in its place signs any token");
            let cure =
                "give it a `transport_socket` with `sni`, `auto_sni_san_validation` and `trusted_ca`, as in envoy.yaml";
            (severity, reason, cure.to_owned())
        } else if self.has_others {
            return None;
        } else {
            let all = self.all.as_deref().unwrap_or_default();
            let names: Vec<String> =
                all.iter().filter_map(|cluster| cluster.text_of(&["name"])).map(shown).take(10).collect();
            let more = if all.len() > names.len() { ", and others" } else { "" };
            let cure = format!("add it, or name one of those that are there: {}{more}", names.join(", "));
            (self.missing.0, self.missing.1.to_owned(), cure)
        };
        let finding = Finding::new(severity, readable.in_file(one.node.at), "cluster", reason, cure);
        Some(Finding { value: Some(format!("\"{}\"", shown(name))), ..finding })
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
