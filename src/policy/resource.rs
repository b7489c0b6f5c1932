//! A protected resource as the configuration has it.

use alloc::{string::String, sync::Arc, vec::Vec};

use crate::{
    bearer::Scheme,
    challenge::{Challenge, Terms},
    cors::Origins,
    dpop::DpopPolicy,
    metadata::Document,
    page::Page,
    report_only::ReportOnly,
    rules::Access,
    scope::ScopeSet,
    scope_policy::ScopePolicy,
    session::SessionKeys,
    static_token::StaticTokens,
    upstream_credential::{IdentityJwt, UpstreamCredential},
};

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
