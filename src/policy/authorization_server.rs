//! An authorization server as the configuration has it.

use core::time::Duration;

use alloc::{string::String, sync::Arc, vec::Vec};

use crate::{
    claim::ClaimPath,
    introspection::Introspection,
    issuer::Issuer,
    jwk::KeySet,
    jws::Algorithm,
    provider::{Preset, Provider},
    uri::HttpUri,
};

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
