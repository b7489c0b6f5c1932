//! The configuration file: JSON in, a [`Policy`] or every finding out.
//!
//! Total and deterministic: the result depends on the bytes alone. A proxy that runs it in several VMs gets the same
//! answer in each, which is what keeps Envoy from running without the filter.

mod reader;

use core::time::Duration;

use alloc::{
    borrow::{Cow, ToOwned},
    string::{String, ToString as _},
    sync::Arc,
    vec::Vec,
};

pub use reader::Finding;
use reader::{At, Findings, Members};

use crate::{
    forward::IdentityHeaders,
    issuer::Issuer,
    json,
    jwk::KeySet,
    jws::Algorithm,
    metadata::{Description, Document},
    policy::{
        AuthorizationServer, KeySource, Policy, RemoteKeys, ResourcePolicy, Unmatched, VerifySignature, is_well_known,
    },
    resource::ResourceUri,
    scope::{Scope, ScopeSet},
    shown::Shown,
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

/// Parses a configuration.
///
/// # Errors
///
/// Everything that is wrong, each finding with its path. Nothing is repaired or ignored: an unknown key may be a
/// misspelt security setting.
pub fn parse(bytes: &[u8]) -> Result<Policy, Vec<Finding>> {
    let mut findings = Findings::default();
    let policy = match json::object(bytes) {
        Ok(document) => read(&Members::root(document), &mut findings),
        Err(error) => {
            findings.add("", error.to_string());
            Policy::refusing()
        }
    };
    if findings.0.is_empty() { Ok(policy) } else { Err(findings.0) }
}

fn read(root: &Members<'_>, findings: &mut Findings) -> Policy {
    findings.expect_only(
        root,
        &["authorization_servers", "resources", "identity_headers", "unmatched", "token_cache", "verify_signature"],
    );
    let mut policy = Policy::default();
    let servers = required_items(root, "authorization_servers", MAX_AUTHORIZATION_SERVERS, findings);
    for at in &servers {
        let Some(server) = read_authorization_server(at, findings) else { continue };
        let same = |other: &AuthorizationServer| other.issuer == server.issuer;
        if policy.authorization_servers.iter().any(same) {
            findings.add(&at.path, alloc::format!("issuer `{}` is listed twice", server.issuer.as_str()));
        }
        policy.authorization_servers.push(server);
    }
    for at in &required_items(root, "resources", MAX_RESOURCES, findings) {
        read_resource(at, &mut policy, findings);
    }
    if let Some(at) = root.get("identity_headers") {
        policy.identity_headers = read_identity_headers(&at, findings);
    }
    policy.token_cache = read_token_cache(root.get("token_cache"), findings);
    let verify_signature = [("auto", VerifySignature::Auto), ("never", VerifySignature::Never)];
    policy.verify_signature = findings.choice(root.get("verify_signature"), &verify_signature).unwrap_or_default();
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

fn read_authorization_server(at: &At<'_>, findings: &mut Findings) -> Option<AuthorizationServer> {
    const KNOWN: [&str; 12] = [
        "issuer",
        "cluster",
        "jwks_uri",
        "jwks",
        "jwks_cluster",
        "algorithms",
        "clock_skew",
        "fetch_timeout",
        "keys_max_age",
        "keys_max_stale",
        "refetch_cooldown",
        "require_at_jwt",
    ];
    let members = findings.object(at, &KNOWN)?;
    let issuer = match members.get("issuer") {
        Some(at) => findings.parsed(&at, Issuer::parse),
        None => {
            findings.add(&members.place("issuer"), "is missing");
            None
        }
    };
    let algorithms = match members.get("algorithms") {
        Some(at) => read_algorithms(&at, findings),
        None => Algorithm::ALL.to_vec(),
    };
    let clock_skew = findings.duration(
        members.get("clock_skew"),
        Duration::from_secs(30),
        Duration::ZERO..=Duration::from_secs(300),
    );
    let require_at_jwt = findings.truth(members.get("require_at_jwt"));
    let keys = match members.get("jwks") {
        Some(at) => read_inline_keys(&at, &members, findings),
        None => read_remote_keys(&members, findings),
    };
    Some(AuthorizationServer { issuer: issuer?, keys: keys?, algorithms, clock_skew, require_at_jwt })
}

fn read_algorithms(at: &At<'_>, findings: &mut Findings) -> Vec<Algorithm> {
    let before = findings.0.len();
    let mut algorithms = Vec::new();
    for (path, name) in findings.texts(at) {
        match Algorithm::parse(&name) {
            Some(algorithm) => algorithms.push(algorithm),
            None => findings.add(&path, alloc::format!("`{}` is no supported algorithm", Shown(&name))),
        }
    }
    if algorithms.is_empty() && findings.0.len() == before {
        findings.add(&at.path, "is empty: no token could be accepted");
    }
    algorithms
}

fn read_inline_keys(at: &At<'_>, members: &Members<'_>, findings: &mut Findings) -> Option<KeySource> {
    for name in ["jwks_uri", "jwks_cluster", "fetch_timeout", "keys_max_age", "keys_max_stale", "refetch_cooldown"] {
        if members.get(name).is_some() {
            findings.add(&members.place(name), "has no meaning beside `jwks`: inline keys are never fetched");
        }
    }
    // Of no use, but a mistake in it is a mistake.
    members.get("cluster").map(|at| findings.text(&at));
    let keys = KeySet::from_object(&findings.foreign_object(at)?);
    keys.map(KeySource::Inline).map_err(|error| findings.add(&at.path, error.to_string())).ok()
}

fn read_remote_keys(members: &Members<'_>, findings: &mut Findings) -> Option<KeySource> {
    let cluster = required_text(members, "cluster", findings);
    let jwks_cluster = match members.get("jwks_cluster") {
        Some(at) => findings.text(&at),
        None => cluster.clone(),
    };
    let jwks_uri = members.get("jwks_uri").and_then(|at| findings.parsed(&at, HttpUri::parse));
    let fetch_timeout =
        findings.duration(members.get("fetch_timeout"), Duration::from_secs(5), Duration::from_millis(100)..=MINUTE);
    let max_age =
        findings.duration(members.get("keys_max_age"), Duration::from_secs(600), Duration::from_secs(10)..=DAY);
    let max_stale = findings.duration(members.get("keys_max_stale"), HOUR.max(max_age), max_age..=DAY);
    let refetch_cooldown = findings.duration(members.get("refetch_cooldown"), Duration::from_secs(30), SECOND..=HOUR);
    Some(KeySource::Remote(RemoteKeys {
        cluster: cluster?.into(),
        jwks_cluster: jwks_cluster?.into(),
        jwks_uri,
        fetch_timeout,
        max_age,
        max_stale,
        refetch_cooldown,
    }))
}

fn read_resource(at: &At<'_>, policy: &mut Policy, findings: &mut Findings) -> Option<()> {
    let known = ["resource", "authorization_servers", "audiences", "scopes", "host_default", "metadata"];
    let members = findings.object(at, &known)?;
    let issuers = match members.get("authorization_servers") {
        Some(at) => read_issuer_list(&at, policy, findings),
        None => (0..policy.authorization_servers.len()).collect(),
    };
    let audiences = members.get("audiences").map(|at| {
        let before = findings.0.len();
        let audiences: Vec<String> = findings.texts(&at).into_iter().map(|(_, text)| text.into_owned()).collect();
        if audiences.is_empty() && findings.0.len() == before {
            findings.add(&at.path, "is empty: no token could be accepted");
        }
        audiences
    });
    let scopes = read_scopes(members.get("scopes"), findings);
    let host_default = findings.truth(members.get("host_default"));
    let (description, max_age) = read_metadata(members.get("metadata"), findings);

    let Some(resource) = members.get("resource") else {
        findings.add(&members.place("resource"), "is missing");
        return None;
    };
    let uri = findings.parsed(&resource, ResourceUri::parse)?;
    if is_well_known(uri.base_path()) {
        findings.add(&resource.path, "lies where OAuth metadata is served, so no request would reach it");
    }
    let index = policy.resources.len();
    route(&uri, &resource.path, host_default, index, policy, findings);

    let issuer_texts: Vec<&str> =
        issuers.iter().filter_map(|index| Some(policy.authorization_server(*index)?.issuer.as_str())).collect();
    let advertised: Vec<&str> = scopes.advertised.iter().map(Scope::as_str).collect();
    let document = Document::new(uri.as_str(), &issuer_texts, &advertised, &description, max_age);
    let metadata_url = uri.metadata_url();
    policy.resources.push(ResourcePolicy {
        issuers,
        audiences: audiences.unwrap_or_else(|| uri.audiences()),
        bare_challenge: ResourcePolicy::challenge_without_error(&metadata_url, &scopes.challenged),
        needed: scopes.needed(),
        required: scopes.required,
        challenged: scopes.challenged,
        metadata_url,
        document,
    });
    Some(())
}

/// Enters a resource and its documents into the routes.
fn route(
    uri: &ResourceUri,
    place: &str,
    host_default: bool,
    index: usize,
    policy: &mut Policy,
    findings: &mut Findings,
) {
    let is_default = host_default || uri.base_path().is_empty();
    for authority in uri.authorities() {
        let routes = &mut policy.routes;
        if !routes.add_resource(&authority, uri.base_path(), index) {
            findings.add(place, alloc::format!("`{}` has the host and path of another resource", uri.as_str()));
            return;
        }
        let documents = [Some(uri.base_path()), is_default.then_some("")];
        if !documents.into_iter().flatten().all(|path| routes.add_document(&authority, path, index)) {
            findings.add(place, alloc::format!("`{}` is a second default of its host", uri.as_str()));
            return;
        }
    }
}

fn read_issuer_list(at: &At<'_>, policy: &Policy, findings: &mut Findings) -> Vec<usize> {
    let before = findings.0.len();
    let mut issuers = Vec::new();
    for (path, text) in findings.texts(at) {
        let position = policy.authorization_servers.iter().position(|server| server.issuer.as_str() == text);
        match position {
            Some(index) if issuers.contains(&index) => findings.add(&path, alloc::format!("`{text}` is listed twice")),
            Some(index) => issuers.push(index),
            None => findings.add(&path, alloc::format!("`{}` is no configured issuer", Shown(&text))),
        }
    }
    if issuers.is_empty() && findings.0.len() == before {
        findings.add(&at.path, "is empty: no token could be accepted");
    }
    issuers
}

/// Three lists that clients use differently: what a token must carry, what a challenge asks for, what the metadata
/// shows.
#[derive(Default)]
struct Scopes {
    required: ScopeSet,
    challenged: ScopeSet,
    advertised: ScopeSet,
}

impl Scopes {
    /// What a token that carries too little is told to come back with: all that is required or challenged, in one challenge
    /// (MCP SEP-2350). Where the challenged scopes have nothing in common with the required ones, they are the names that
    /// an authorization server knows the same rights by (Entra), and all of them are asked for.
    fn needed(&self) -> ScopeSet {
        let same_names = self.required.iter().any(|scope| self.challenged.contains(scope));
        let required = self.required.iter().filter(|_| same_names);
        required.chain(self.challenged.iter()).cloned().collect()
    }
}

fn read_scopes(at: Option<At<'_>>, findings: &mut Findings) -> Scopes {
    let Some(at) = at else { return Scopes::default() };
    let Some(members) = findings.object(&at, &["required", "challenged", "advertised"]) else {
        return Scopes::default();
    };
    let required = members.get("required").map(|at| read_scope_list(&at, findings)).unwrap_or_default();
    let before = findings.0.len();
    let mut listed = |name| members.get(name).map_or_else(|| required.clone(), |at| read_scope_list(&at, findings));
    let (challenged, advertised) = (listed("challenged"), listed("advertised"));
    if challenged.is_empty() && !required.is_empty() && findings.0.len() == before {
        findings.add(&members.place("challenged"), "is empty, so no client would learn what `required` asks for");
    }
    Scopes { required, challenged, advertised }
}

fn read_scope_list(at: &At<'_>, findings: &mut Findings) -> ScopeSet {
    let mut scopes = Vec::new();
    for (path, text) in findings.texts(at) {
        match Scope::parse(&text) {
            // MCP 2026-07-28, Refresh Tokens: a resource neither needs nor asks for it.
            Some(scope) if scope.as_str() == "offline_access" => {
                findings.add(&path, "`offline_access` is between a client and its authorization server");
            }
            Some(scope) => scopes.push(scope),
            None => findings.add(&path, alloc::format!("`{}` is no scope (RFC 6749 section 3.3)", Shown(&text))),
        }
    }
    scopes.into_iter().collect()
}

fn read_metadata(at: Option<At<'_>>, findings: &mut Findings) -> (Description, Duration) {
    let known = ["resource_name", "resource_documentation", "resource_policy_uri", "resource_tos_uri", "max_age"];
    let Some(members) = at.and_then(|at| findings.object(&at, &known)) else {
        return (Description::default(), HOUR);
    };
    let mut page = |name| members.get(name).and_then(|at| findings.parsed(&at, parse_page));
    let documentation = page("resource_documentation");
    let policy_uri = page("resource_policy_uri");
    let tos_uri = page("resource_tos_uri");
    let name = members.get("resource_name").and_then(|at| findings.text(&at)).map(Cow::into_owned);
    let max_age = findings.duration(members.get("max_age"), HOUR, Duration::ZERO..=DAY);
    (Description { name, documentation, policy_uri, tos_uri }, max_age)
}

/// A page for people: it is shown, never compared, so any http or https URL will do.
fn parse_page(text: &str) -> Result<String, &'static str> {
    let url = url::Url::parse(text).map_err(|_| "is not an absolute URL")?;
    if matches!(url.scheme(), "http" | "https") { Ok(text.to_owned()) } else { Err("is neither http nor https") }
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

fn read_identity_headers(at: &At<'_>, findings: &mut Findings) -> IdentityHeaders {
    let mut headers = IdentityHeaders::default();
    let Some(members) = findings.object(at, &["subject", "client_id", "scopes", "issuer"]) else { return headers };
    let slots = [
        ("subject", &mut headers.subject),
        ("client_id", &mut headers.client_id),
        ("scopes", &mut headers.scopes),
        ("issuer", &mut headers.issuer),
    ];
    for (name, slot) in slots {
        let Some(at) = members.get(name) else { continue };
        *slot = if Findings::is_off(&at) { None } else { findings.parsed(&at, parse_header_name) };
    }
    let names: Vec<&Arc<str>> = headers.names().collect();
    let doubled = names.iter().enumerate().find(|(position, name)| names.iter().take(*position).any(|n| n == *name));
    if let Some((_, name)) = doubled {
        findings.add(&at.path, alloc::format!("`{name}` is used twice"));
    }
    headers
}

/// A header of the proxy or of the protocol must not become one that carries an identity.
fn parse_header_name(text: &str) -> Result<Arc<str>, &'static str> {
    const TAKEN: [&str; 24] = [
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "dpop",
        "expect",
        "host",
        "keep-alive",
        "last-event-id",
        "mcp-method",
        "mcp-name",
        "mcp-protocol-version",
        "mcp-session-id",
        "origin",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "www-authenticate",
    ];
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !text.bytes().all(legal) {
        Err("is no header name in lower-case letters, digits and hyphens")
    } else if TAKEN.contains(&text) {
        Err("has a meaning of its own")
    } else {
        Ok(text.into())
    }
}
