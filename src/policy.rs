//! The policy: configuration after every check, immutable, with nothing left to interpret per request.

use core::time::Duration;

use alloc::{boxed::Box, collections::BTreeMap, string::String, sync::Arc, vec::Vec};

use crate::{
    bearer::Scheme,
    challenge::{Challenge, Terms},
    claim::{ClaimPath, Condition},
    cors::Origins,
    dpop::{DpopPolicy, Replay, ReplayLimits},
    filter_state::FilterState,
    forward::IdentityHeaders,
    introspection::Introspection,
    issuer::Issuer,
    json::Object,
    jwk::KeySet,
    jws::Algorithm,
    metadata::Document,
    metrics::RequestMetrics,
    page::Page,
    path::RequestPath,
    provider::{Preset, Provider},
    refusal::Refusal,
    report_only::ReportOnly,
    request::RouteResource,
    routes::{Routes, Target, is_well_known},
    rules::Access,
    scope::ScopeSet,
    scope_policy::ScopePolicy,
    session::SessionKeys,
    static_token::StaticTokens,
    token_cache::TokenCacheLimits,
    upstream_credential::{IdentityJwt, UpstreamCredential},
    uri::HttpUri,
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
    pub(crate) hold_requests: HoldRequests,
    pub(crate) filter_state: FilterState,
    pub(crate) request_metrics: RequestMetrics,
    /// The resources by their names, where routes may name them.
    pub(crate) route_names: Option<BTreeMap<String, usize>>,
    /// Whether a resource takes tokens that are bound to certificates.
    pub(crate) reads_certificate: bool,
    /// All that rules ask of claims; a rule names them by number, so that each is checked once per token.
    pub(crate) conditions: Vec<Condition>,
}

/// What of a request waits until its body was judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HoldRequests {
    /// Head and body: the upstream learns nothing of a request that is refused. The proxy must deliver bodies of paused
    /// requests (Envoy: `allow_on_headers_stop_iteration`).
    #[default]
    Headers,
    /// The body only: the head goes upstream as soon as the token was found good.
    Body,
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
    /// What `iss` may be instead.
    pub(crate) other_issuer: Option<String>,
    pub(crate) provider: Provider,
    pub(crate) keys: KeySource,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) clock_skew: Duration,
    pub(crate) require_at_jwt: bool,
    /// `None`: those of the provider.
    pub(crate) scope_claims: Option<Vec<ClaimPath>>,
    pub(crate) introspection: Option<Introspection>,
}

/// Where an authorization server's keys come from.
#[derive(Clone, Debug)]
pub(crate) enum KeySource {
    /// There are none: its tokens are introspected, whatever their form.
    None,
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
    /// Where the metadata may be, in the order in which it is asked for.
    pub(crate) metadata: Vec<HttpUri>,
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

    /// Whether tokens with this `iss` are its own (RFC 9068 section 4: exactly).
    pub(crate) fn is_issuer(&self, iss: &str) -> bool {
        self.issuer.as_str() == iss || self.other_issuer.as_deref() == Some(iss)
    }

    pub(crate) const fn preset(&self) -> &'static Preset {
        self.provider.preset()
    }

    pub(crate) fn allows(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    pub(crate) const fn clock_skew(&self) -> Duration {
        self.clock_skew
    }

    pub(crate) fn scope_claims(&self) -> Option<&[ClaimPath]> {
        self.scope_claims.as_deref()
    }

    pub(crate) const fn introspection(&self) -> Option<&Introspection> {
        self.introspection.as_ref()
    }

    /// Whether its tokens are only ever introspected.
    pub(crate) const fn has_no_keys(&self) -> bool {
        matches!(self.keys, KeySource::None)
    }

    pub(crate) const fn requires_at_jwt(&self) -> bool {
        self.require_at_jwt
    }
}

/// One protected resource.
#[derive(Clone, Debug)]
pub struct ResourcePolicy {
    pub(crate) uri: String,
    pub(crate) issuers: Vec<usize>,
    pub(crate) audiences: Vec<String>,
    pub(crate) scopes: ScopePolicy,
    /// `None`: bodies are none of our business and are never read.
    pub(crate) access: Option<Access>,
    pub(crate) sessions: Option<SessionKeys>,
    pub(crate) static_tokens: StaticTokens,
    pub(crate) origins: Origins,
    /// `None`: tokens that are bound to a key of their sender are refused.
    pub(crate) dpop: Option<DpopPolicy>,
    /// Whether tokens may be bound to the client's certificate.
    pub(crate) mutual_tls: bool,
    pub(crate) metadata_url: String,
    /// `alg` values of DPoP proofs, as challenges list them.
    pub(crate) dpop_algorithms: String,
    pub(crate) bare_challenge: Arc<str>,
    pub(crate) document: Document,
    /// `None`: browsers are answered like all others.
    pub(crate) page: Option<Page>,
    pub(crate) upstream_credential: UpstreamCredential,
    /// Its place in the policy.
    pub(crate) index: usize,
    /// Refusals are reported and not enforced.
    pub(crate) report_only: Option<ReportOnly>,
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

    /// The resource identifier.
    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    pub(crate) const fn scopes(&self) -> &ScopePolicy {
        &self.scopes
    }

    pub(crate) const fn access(&self) -> Option<&Access> {
        self.access.as_ref()
    }

    pub(crate) const fn sessions(&self) -> Option<&SessionKeys> {
        self.sessions.as_ref()
    }

    pub(crate) const fn static_tokens(&self) -> &StaticTokens {
        &self.static_tokens
    }

    pub(crate) const fn origins(&self) -> &Origins {
        &self.origins
    }

    pub(crate) const fn dpop(&self) -> Option<&DpopPolicy> {
        self.dpop.as_ref()
    }

    pub(crate) const fn mutual_tls(&self) -> bool {
        self.mutual_tls
    }

    /// How a token may be presented.
    pub(crate) const fn schemes(&self) -> &'static [Scheme] {
        match self.dpop {
            Some(_) => &[Scheme::Bearer, Scheme::Dpop],
            None => &[Scheme::Bearer],
        }
    }

    pub(crate) const fn page(&self) -> Option<&Page> {
        self.page.as_ref()
    }

    /// What each challenge says.
    pub(crate) fn terms(&self) -> Terms<'_> {
        Terms {
            metadata_url: &self.metadata_url,
            dpop: self.dpop.as_ref().map(|_| self.dpop_algorithms.as_str()),
            dpop_only: self.dpop.as_ref().is_some_and(|dpop| dpop.required),
        }
    }

    pub(crate) const fn upstream_credential(&self) -> &UpstreamCredential {
        &self.upstream_credential
    }

    /// The identity JWTs of its server, whose keys are published.
    pub(crate) fn jwks(&self) -> Option<&IdentityJwt> {
        match &self.upstream_credential {
            UpstreamCredential::IdentityJwt(jwt) => Some(jwt),
            _ => None,
        }
    }

    /// The challenge that says nothing but where the metadata is.
    pub(crate) fn bare_challenge(&self) -> &str {
        &self.bare_challenge
    }

    pub(crate) fn challenge_without_error(terms: Terms<'_>, challenged: &ScopeSet) -> Arc<str> {
        alloc::format!("{}", Challenge::missing(terms, challenged)).into()
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

    /// How many servers may be asked about single tokens.
    pub(crate) fn asked_servers(&self) -> usize {
        let introspecting = self.authorization_servers.iter().filter(|server| server.introspection.is_some());
        let upstreams = self.asking_upstreams().into_iter().filter(|asks| *asks);
        introspecting.count().saturating_add(upstreams.count())
    }

    /// The one authorization server of a resource that may be asked about tokens that are no JWS.
    pub(crate) fn introspects_opaque(&self, resource: &ResourcePolicy) -> Option<usize> {
        let asked =
            |index: &usize| self.authorization_server(*index).is_some_and(|server| server.introspection.is_some());
        resource.issuers.iter().copied().find(asked)
    }

    /// What an operator should know although the configuration loads: a line each.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.resources.iter().flat_map(|resource| {
            let gives_away = matches!(resource.upstream_credential, UpstreamCredential::InsecureForwardClientToken(_));
            let gives_away = gives_away.then_some(
                "insecure_forward_client_token`: its server gets the client's token, which the MCP specification forbids",
            );
            let reports = resource.report_only.map(|_| "report_only`: NOTHING IS ENFORCED, its server gets what would be refused");
            let why = gives_away.into_iter().chain(reports);
            why.map(|why| alloc::format!("`{}`: `{why}", resource.uri))
        })
    }

    /// Of each resource, whether its upstream gets a credential that another server gives.
    pub(crate) fn asking_upstreams(&self) -> Vec<bool> {
        let asks = |resource: &ResourcePolicy| {
            let credential = &resource.upstream_credential;
            matches!(credential, UpstreamCredential::TokenExchange(_) | UpstreamCredential::ClientCredentials(_))
        };
        self.resources.iter().map(asks).collect()
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

    pub(crate) const fn hold_requests(&self) -> HoldRequests {
        self.hold_requests
    }

    /// The numbers of the conditions that these claims fulfil.
    pub(crate) fn facts(&self, claims: &Object<'_>) -> Box<[usize]> {
        let held = self.conditions.iter().enumerate().filter(|(_, condition)| condition.holds(claims));
        held.map(|(number, _)| number).collect()
    }

    /// The same for a caller of whose claims nothing is known.
    pub(crate) fn facts_without_claims(&self) -> Arc<[usize]> {
        let held = self.conditions.iter().enumerate().filter(|(_, condition)| condition.holds_if_unclear);
        held.map(|(number, _)| number).collect()
    }

    pub(crate) const fn unmatched(&self) -> Unmatched {
        self.unmatched
    }

    /// What the proxy is told of each request.
    #[must_use]
    pub const fn filter_state(&self) -> FilterState {
        self.filter_state
    }

    /// Whether the gate must be told which resource the proxy's route names ([`crate::request::Request::on_route`]).
    #[must_use]
    pub const fn reads_route_metadata(&self) -> bool {
        self.route_names.is_some()
    }

    /// Whether the gate must be told of the client's certificate ([`crate::request::Request::on_connection`]).
    #[must_use]
    pub const fn reads_certificate(&self) -> bool {
        self.reads_certificate
    }

    /// What remembers the proofs of one worker. A proof that is too old for one resource may not be for another one.
    pub(crate) fn replay(&self) -> Replay {
        let windows = self.resources.iter().filter_map(ResourcePolicy::dpop).map(|dpop| dpop.max_age);
        Replay::new(windows.max().unwrap_or_default(), ReplayLimits::default())
    }

    /// What a request is for: what its route names, where routes may; else what its host and its path say. Well-known
    /// documents are where clients look for them, whatever the route.
    pub(crate) fn target(
        &self,
        authority: &[u8],
        path: &RequestPath<'_>,
        route: RouteResource<'_>,
    ) -> Result<Target, Refusal> {
        let found = || self.routes.find(authority, path);
        let Some(names) = &self.route_names else { return Ok(found()) };
        match route {
            // Perhaps it names another resource than host and path say, with other scopes.
            RouteResource::Unknown => Err(Refusal::Host("route metadata")),
            RouteResource::Unnamed => Ok(found()),
            RouteResource::Named(_) if is_well_known(path.as_str()) => Ok(match found() {
                document @ Target::Document(_) => document,
                _ => Target::NoDocument,
            }),
            RouteResource::Named(name) => {
                if let keys @ Target::Keys(_) = found() {
                    return Ok(keys);
                }
                let index = str::from_utf8(name).ok().and_then(|name| names.get(name)).copied();
                let unknown = || Refusal::RouteResource(String::from_utf8_lossy(name).into_owned());
                index.map(Target::Resource).ok_or_else(unknown)
            }
        }
    }
}
