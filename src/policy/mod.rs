//! The policy: configuration after every check, immutable, with nothing left to interpret per request.

mod authorization_server;
mod resource;

use alloc::{boxed::Box, collections::BTreeMap, string::String, sync::Arc, vec::Vec};

pub use authorization_server::AuthorizationServer;
pub(crate) use authorization_server::{KeySource, RemoteKeys};
pub use resource::ResourcePolicy;

use crate::{
    claim::Condition,
    dpop::{Replay, ReplayLimits},
    filter_state::FilterState,
    forward::IdentityHeaders,
    json::Object,
    metrics::RequestMetrics,
    path::RequestPath,
    refusal::Refusal,
    request::RouteResource,
    routes::{Routes, Target, is_well_known},
    token_cache::TokenCacheLimits,
    upstream_credential::UpstreamCredential,
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
