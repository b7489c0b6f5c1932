//! The configuration file: JSON in, a [`Policy`] or every finding out.
//!
//! Total and deterministic: the result depends on the bytes alone. A proxy that runs it in several VMs gets the same
//! answer in each, which is what keeps Envoy from running without the filter.

mod authorization_servers;
mod client_authentication;
mod dpop;
mod identity_headers;
mod introspection;
mod reach;
mod reader;
mod resources;
mod rules;
mod scopes;
mod static_tokens;
mod upstream_credential;

use core::time::Duration;

use alloc::{borrow::Cow, collections::BTreeMap, string::String, vec::Vec};

pub use reader::Finding;
use reader::{At, Findings, Members};

use crate::{
    filter_state::{FilterState, Note},
    json,
    metrics::RequestMetrics,
    policy::{AuthorizationServer, HoldRequests, Policy, ResourcePolicy, Unmatched, VerifySignature},
    shown::Shown,
    static_token::StaticTokens,
    token_cache::TokenCacheLimits,
    uri::HttpUri,
};

/// More authorization servers than anybody lists for one gateway; each has a key cache.
pub const MAX_AUTHORIZATION_SERVERS: usize = 32;
/// More resources than one proxy serves; each costs about a kilobyte per worker.
pub const MAX_RESOURCES: usize = 10_000;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What a configuration may refer to besides itself.
#[derive(Clone, Copy)]
struct Surroundings<'e> {
    /// The value of an environment variable.
    environment: &'e dyn Fn(&str) -> Option<String>,
    hold_requests: Option<HoldRequests>,
}

/// Parses a configuration that refers to no environment variables.
///
/// # Errors
///
/// Everything that is wrong, each finding with its path. Nothing is repaired or ignored: an unknown key may be a
/// misspelt security setting.
pub fn parse(bytes: &[u8]) -> Result<Policy, Vec<Finding>> {
    parse_in(bytes, &|_| None)
}

/// Parses a configuration whose secrets are in environment variables.
///
/// # Errors
///
/// As [`parse`]. No finding says anything of a variable's value.
pub fn parse_in(bytes: &[u8], environment: &dyn Fn(&str) -> Option<String>) -> Result<Policy, Vec<Finding>> {
    let mut findings = Findings::default();
    let policy = match json::object(bytes) {
        Ok(document) => read(&Members::root(document), environment, &mut findings),
        Err(error) => {
            // Nothing in a configuration is secret, so it may be told which name it is.
            let name = json::duplicate(bytes).map(|name| alloc::format!("`{}`: ", Shown(&name)));
            findings.add("", alloc::format!("{}{error}", name.unwrap_or_default()));
            Policy::refusing()
        }
    };
    if findings.0.is_empty() { Ok(policy) } else { Err(findings.0) }
}

fn read(root: &Members<'_>, environment: &dyn Fn(&str) -> Option<String>, findings: &mut Findings) -> Policy {
    const KNOWN: [&str; 10] = [
        "authorization_servers",
        "resources",
        "identity_headers",
        "unmatched",
        "token_cache",
        "verify_signature",
        "hold_requests",
        "filter_state",
        "route_metadata",
        "request_metrics",
    ];
    findings.expect_only(root, &KNOWN);
    let mut policy = Policy::default();
    let mut surroundings = Surroundings { environment, hold_requests: None };
    let servers = required_items(root, "authorization_servers", MAX_AUTHORIZATION_SERVERS, findings);
    for at in &servers {
        let Some(server) = authorization_servers::read_authorization_server(at, surroundings, findings) else {
            continue;
        };
        let same = |other: &AuthorizationServer| {
            let is_one_of = |a: &AuthorizationServer, b: &AuthorizationServer| a.is_issuer(b.issuer.as_str());
            is_one_of(other, &server) || is_one_of(&server, other)
        };
        if policy.authorization_servers.iter().any(same) {
            findings.add(&at.path, alloc::format!("issuer `{}` is listed twice", server.issuer.as_str()));
        }
        policy.authorization_servers.push(server);
    }
    let hold = [("headers", HoldRequests::Headers), ("body", HoldRequests::Body)];
    surroundings.hold_requests = findings.choice(root.get("hold_requests"), &hold);
    let (mut static_tokens, mut places) = (Vec::new(), Vec::new());
    for at in &required_items(root, "resources", MAX_RESOURCES, findings) {
        static_tokens.extend(resources::read_resource(at, surroundings, &mut policy, findings));
        // One that was not read has no place.
        places.resize(policy.resources.len(), at.path.clone());
    }
    if root.get("hold_requests").is_none() && policy.resources.iter().any(|resource| resource.access.is_some()) {
        findings.add("hold_requests", "is missing: rules need to know whether the proxy holds `headers` or the `body`");
    }
    policy.hold_requests = surroundings.hold_requests.unwrap_or_default();
    policy.reads_certificate = policy.resources.iter().any(ResourcePolicy::mutual_tls);
    if let Some(at) = root.get("identity_headers") {
        policy.identity_headers = identity_headers::read_identity_headers(&at, findings);
    }
    if let Some(at) = root.get("filter_state") {
        policy.filter_state = read_filter_state(&at, findings);
    }
    if findings.truth(root.get("route_metadata")) {
        let mut names = BTreeMap::new();
        // `collect` would bring a sort of its own into the module.
        for (index, resource) in policy.resources.iter().enumerate() {
            names.insert(resource.uri.clone(), index);
        }
        policy.route_names = Some(names);
    }
    upstream_credential::check_all(&mut policy, &places, findings);
    let facts = policy.facts_without_claims();
    for (resource, entries) in policy.resources.iter_mut().zip(static_tokens) {
        resource.static_tokens = StaticTokens::new(entries, &policy.identity_headers, policy.filter_state, &facts);
    }
    policy.token_cache = read_token_cache(root.get("token_cache"), findings);
    let verify_signature = [("auto", VerifySignature::Auto), ("never", VerifySignature::Never)];
    policy.verify_signature = findings.choice(root.get("verify_signature"), &verify_signature).unwrap_or_default();
    let counted =
        [("total", RequestMetrics::Total), ("per_resource", RequestMetrics::PerResource), ("off", RequestMetrics::Off)];
    policy.request_metrics = findings.choice(root.get("request_metrics"), &counted).unwrap_or_default();
    let unmatched = [("deny", Unmatched::Deny), ("insecure_forward", Unmatched::InsecureForward)];
    policy.unmatched = findings.choice(root.get("unmatched"), &unmatched).unwrap_or_default();
    policy
}

fn required_items<'v>(root: &Members<'v>, name: &str, most: usize, findings: &mut Findings) -> Vec<At<'v>> {
    let Some(at) = root.get(name) else {
        findings.add(&root.place(name), "is missing");
        return Vec::new();
    };
    let before = findings.0.len();
    let items = findings.items(&at);
    if items.is_empty() && findings.0.len() == before {
        findings.add(&at.path, "is empty");
    }
    if items.len() > most {
        findings.add(&at.path, alloc::format!("has `{}` entries, more than {most}", items.len()));
        return Vec::new();
    }
    items
}

fn required_text<'v>(members: &Members<'v>, name: &str, findings: &mut Findings) -> Option<Cow<'v, str>> {
    let at = members.get(name);
    if at.is_none() {
        findings.add(&members.place(name), "is missing");
    }
    findings.text(&at?)
}

fn required_uri(members: &Members<'_>, name: &str, findings: &mut Findings) -> Option<HttpUri> {
    let at = members.get(name);
    if at.is_none() {
        findings.add(&members.place(name), "is missing");
    }
    findings.parsed(&at?, HttpUri::parse)
}

fn read_filter_state(at: &At<'_>, findings: &mut Findings) -> FilterState {
    let mut state = FilterState::default();
    for item in findings.items(at) {
        let path = item.path.clone();
        match findings.choice(Some(item), &Note::NAMES) {
            Some(note) if state.has(note) => findings.add(&path, "is listed twice"),
            Some(note) => state.add(note),
            None => {}
        }
    }
    state
}

fn read_token_cache(at: Option<At<'_>>, findings: &mut Findings) -> TokenCacheLimits {
    let default = TokenCacheLimits::default();
    let Some(members) = at.and_then(|at| findings.object(&at, &["max_entries", "max_bytes", "ttl"])) else {
        return default;
    };
    TokenCacheLimits {
        max_entries: findings.count(members.get("max_entries"), default.max_entries, 0..=1_000_000),
        max_bytes: findings.size(members.get("max_bytes"), default.max_bytes, 0..=256 * 1024 * 1024),
        ttl: findings.duration(members.get("ttl"), default.ttl, SECOND..=HOUR),
    }
}
