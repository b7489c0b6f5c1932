//! The policy: configuration after every check, immutable, with nothing left to interpret per request.

use core::time::Duration;

use alloc::{collections::BTreeMap, string::String, sync::Arc, vec::Vec};

use crate::{
    challenge::Challenge, forward::IdentityHeaders, issuer::Issuer, jwk::KeySet, jws::Algorithm, metadata::Document,
    path::RequestPath, resource::METADATA_PATH, scope::ScopeSet, token_cache::TokenCacheLimits, uri::HttpUri,
};

/// What the gate enforces. [`crate::config::parse`] makes one from a configuration.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub(crate) authorization_servers: Vec<AuthorizationServer>,
    pub(crate) resources: Vec<ResourcePolicy>,
    pub(crate) routes: Routes,
    pub(crate) identity_headers: IdentityHeaders,
    pub(crate) unmatched: Unmatched,
    pub(crate) token_cache: TokenCacheLimits,
    pub(crate) verify_signature: VerifySignature,
}

/// Whether the host's `verify_signature` is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VerifySignature {
    /// For each algorithm that the host proves to know.
    #[default]
    Auto,
    /// Not at all.
    Never,
}

/// What becomes of a request that belongs to no resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unmatched {
    /// It is answered 404.
    #[default]
    Deny,
    /// It goes upstream as it came, without any check: the loudly named setting `insecure_forward`.
    InsecureForward,
    /// The configuration was refused: everything is answered 503.
    Misconfigured,
}

/// An authorization server whose tokens are accepted.
#[derive(Clone, Debug)]
pub struct AuthorizationServer {
    pub(crate) issuer: Issuer,
    pub(crate) keys: KeySource,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) clock_skew: Duration,
    pub(crate) require_at_jwt: bool,
}

/// Where an authorization server's keys come from.
#[derive(Clone, Debug)]
pub(crate) enum KeySource {
    /// From the configuration: never fetched.
    Inline(KeySet),
    /// From the network.
    Remote(RemoteKeys),
}

#[derive(Clone, Debug)]
pub(crate) struct RemoteKeys {
    /// The proxy's cluster for the metadata.
    pub(crate) cluster: Arc<str>,
    /// The proxy's cluster for the keys.
    pub(crate) jwks_cluster: Arc<str>,
    /// Skips discovery.
    pub(crate) jwks_uri: Option<HttpUri>,
    /// How long one fetch may take.
    pub(crate) fetch_timeout: Duration,
    /// After this a refresh is due.
    pub(crate) max_age: Duration,
    /// How long keys stay in use while refreshes fail.
    pub(crate) max_stale: Duration,
    /// At most one refetch for a key that is missing or does not fit in this time.
    pub(crate) refetch_cooldown: Duration,
}

impl AuthorizationServer {
    /// The issuer identifier.
    #[must_use]
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    pub(crate) fn allows(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    pub(crate) const fn clock_skew(&self) -> Duration {
        self.clock_skew
    }

    pub(crate) const fn requires_at_jwt(&self) -> bool {
        self.require_at_jwt
    }
}

/// One protected resource.
#[derive(Clone, Debug)]
pub struct ResourcePolicy {
    pub(crate) issuers: Vec<usize>,
    pub(crate) audiences: Vec<String>,
    pub(crate) required: ScopeSet,
    pub(crate) challenged: ScopeSet,
    pub(crate) needed: ScopeSet,
    pub(crate) metadata_url: String,
    pub(crate) bare_challenge: Arc<str>,
    pub(crate) document: Document,
}

impl ResourcePolicy {
    pub(crate) fn issuers(&self) -> &[usize] {
        &self.issuers
    }

    pub(crate) fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// Exact match, code point by code point: prefixes are how a token for `/mcp` opens `/mcp-admin`.
    pub(crate) fn accepts_audience(&self, audience: &str) -> bool {
        self.audiences.iter().any(|accepted| accepted == audience)
    }

    pub(crate) const fn required_scopes(&self) -> &ScopeSet {
        &self.required
    }

    pub(crate) const fn challenged_scopes(&self) -> &ScopeSet {
        &self.challenged
    }

    pub(crate) const fn needed_scopes(&self) -> &ScopeSet {
        &self.needed
    }

    pub(crate) fn metadata_url(&self) -> &str {
        &self.metadata_url
    }

    /// The challenge that says nothing but where the metadata is.
    pub(crate) fn bare_challenge(&self) -> Arc<str> {
        Arc::clone(&self.bare_challenge)
    }

    pub(crate) fn challenge_without_error(metadata_url: &str, challenged: &ScopeSet) -> Arc<str> {
        alloc::format!("{}", Challenge::missing(metadata_url, challenged)).into()
    }
}

impl Policy {
    /// The policy of a configuration that was refused: it answers 503 to everything.
    ///
    /// A proxy may ignore that the filter refused its configuration and run it all the same, so refusing is a policy
    /// like any other and not a branch that can be forgotten.
    #[must_use]
    pub fn refusing() -> Self {
        Self { unmatched: Unmatched::Misconfigured, ..Self::default() }
    }

    /// The names of the headers that carry the caller's identity upstream.
    #[must_use]
    pub const fn identity_headers(&self) -> &IdentityHeaders {
        &self.identity_headers
    }

    pub(crate) fn authorization_server(&self, index: usize) -> Option<&AuthorizationServer> {
        self.authorization_servers.get(index)
    }

    pub(crate) fn authorization_servers(&self) -> &[AuthorizationServer] {
        &self.authorization_servers
    }

    pub(crate) fn resource(&self, index: usize) -> Option<&ResourcePolicy> {
        self.resources.get(index)
    }

    pub(crate) const fn token_cache(&self) -> TokenCacheLimits {
        self.token_cache
    }

    pub(crate) const fn verify_signature(&self) -> VerifySignature {
        self.verify_signature
    }

    pub(crate) const fn unmatched(&self) -> Unmatched {
        self.unmatched
    }

    pub(crate) const fn routes(&self) -> &Routes {
        &self.routes
    }
}

/// Which host and path belong to which resource.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    hosts: BTreeMap<String, HostRoutes>,
    /// The resources of all hosts, by path alone.
    anywhere: HostRoutes,
}

#[derive(Clone, Debug, Default)]
struct HostRoutes {
    /// Path without its trailing slash → resource.
    resources: BTreeMap<String, usize>,
    /// The lengths of those paths, longest first: the only prefixes that are worth a look.
    lengths: Vec<usize>,
    /// Path of a metadata document, without its trailing slash → resource.
    documents: BTreeMap<String, usize>,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// This resource.
    Resource(usize),
    /// The metadata of this resource.
    Document(usize),
    /// A well-known document that does not exist.
    NoDocument,
    /// Nothing that is configured.
    Nothing,
    /// Nothing that is configured for this host, but a path of another one: the proxy's route may not look at the host.
    OtherHost,
}

/// Metadata of an authorization server. Clients older than RFC 9728 look for it on the MCP server's own host; an answer
/// other than 404 there sends them into a dead end, or to the wrong server.
const SERVER_METADATA: [&str; 2] = ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];

impl Routes {
    /// Adds a resource below `path`; false if the place is taken.
    pub(crate) fn add_resource(&mut self, authority: &str, path: &str, resource: usize) -> bool {
        self.anywhere.add(path, resource);
        self.hosts.entry(authority.into()).or_default().add(path, resource)
    }

    /// Adds the metadata document of a resource; false if the place is taken.
    pub(crate) fn add_document(&mut self, authority: &str, base_path: &str, resource: usize) -> bool {
        let host = self.hosts.entry(authority.into()).or_default();
        let path = alloc::format!("{METADATA_PATH}{base_path}");
        let free = host.documents.get(&path).is_none_or(|taken| *taken == resource);
        if free {
            host.documents.insert(path, resource);
        }
        free
    }

    /// Finds what a request is for. Host names are compared without case, paths with it.
    pub(crate) fn find(&self, authority: &[u8], path: &RequestPath<'_>) -> Target {
        let path = path.as_str();
        let host = self.host(authority);
        if is_below(path, METADATA_PATH) {
            let without_slash = path.strip_suffix('/').unwrap_or(path);
            let document = host.and_then(|host| host.documents.get(without_slash));
            return document.map_or(Target::NoDocument, |resource| Target::Document(*resource));
        }
        match host.and_then(|host| host.resource(path)) {
            Some(_) if SERVER_METADATA.into_iter().any(|document| is_below(path, document)) => Target::NoDocument,
            Some(resource) => Target::Resource(resource),
            None if self.anywhere.resource(path).is_some() => Target::OtherHost,
            None => Target::Nothing,
        }
    }

    fn host(&self, authority: &[u8]) -> Option<&HostRoutes> {
        let authority = str::from_utf8(authority).ok()?;
        if authority.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return self.hosts.get(&authority.to_ascii_lowercase());
        }
        self.hosts.get(authority)
    }
}

impl HostRoutes {
    fn add(&mut self, path: &str, resource: usize) -> bool {
        let free = !self.resources.contains_key(path);
        if free {
            self.resources.insert(path.into(), resource);
            if !self.lengths.contains(&path.len()) {
                self.lengths.push(path.len());
                self.lengths.sort_unstable_by(|a, b| b.cmp(a));
            }
        }
        free
    }

    /// The resource with the longest path that contains this one, on segment boundaries.
    fn resource(&self, path: &str) -> Option<usize> {
        self.lengths.iter().find_map(|length| {
            let (prefix, rest) = path.split_at_checked(*length)?;
            let on_boundary = rest.is_empty() || rest.starts_with('/');
            if on_boundary { self.resources.get(prefix).copied() } else { None }
        })
    }
}

/// Whether requests for this path are answered with documents, or with their absence.
pub(crate) fn is_well_known(path: &str) -> bool {
    is_below(path, METADATA_PATH) || SERVER_METADATA.into_iter().any(|document| is_below(path, document))
}

fn is_below(path: &str, base: &str) -> bool {
    path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
