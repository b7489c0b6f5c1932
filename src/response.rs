//! What becomes of the response to a request that went upstream.

use alloc::{borrow::ToOwned as _, string::String, sync::Arc, vec::Vec};

use crate::{
    cors::{self, Origin},
    event_stream::ListEvents,
    filter_state::FilterState,
    forward::Edit,
    grant::Caller,
    list_filter::ListFilter,
    policy::{Policy, ResourcePolicy},
    refusal::Refusal,
    reply::Reply,
    upstream_credential::TokenEndpointError,
};

/// What to do with the response to a forwarded request.
#[derive(Clone, Debug)]
pub struct ResponseGuard {
    policy: Arc<Policy>,
    resource: usize,
    origin: Origin,
    /// Whose a session would be, where sessions are sealed.
    owner: Option<Caller>,
    list: Option<ListFilter>,
    nonce: Option<String>,
    /// The server got a credential of the gate.
    has_credential: bool,
}

impl ResponseGuard {
    pub(crate) fn new(
        resource: &ResourcePolicy,
        origin: Origin,
        caller: Option<&Caller>,
        policy: &Arc<Policy>,
    ) -> Self {
        let owner = caller.filter(|_| resource.seals_sessions()).cloned();
        let has_credential = caller.is_some() && resource.upstream_credential().header().is_some();
        let policy = Arc::clone(policy);
        Self { policy, resource: resource.index, origin, owner, list: None, nonce: None, has_credential }
    }

    pub(crate) fn filtering(mut self, list: Option<ListFilter>) -> Self {
        self.list = list;
        self
    }

    pub(crate) fn telling(mut self, nonce: Option<String>) -> Self {
        self.nonce = nonce;
        self
    }

    pub(crate) fn filter_state(&self) -> FilterState {
        self.policy.filter_state()
    }

    pub(crate) const fn resource_index(&self) -> usize {
        self.resource
    }

    fn resource(&self) -> Option<&ResourcePolicy> {
        self.policy.resource(self.resource)
    }

    /// The refusal to send instead of the response: one that the client may read, wherever it runs.
    pub fn refuse(&self, refusal: Refusal) -> Reply {
        Reply::refuse_for(refusal, self.resource(), &self.origin)
    }

    /// Whether a 401 is not about the client's token, but about a credential that the server got of the gate.
    #[must_use]
    pub const fn has_credential(&self) -> bool {
        self.has_credential
    }

    /// The refusal to send instead of such a 401: a client would throw a good token away.
    #[must_use]
    pub fn credential_refused(&self) -> Refusal {
        let endpoint = self.resource().map(|resource| resource.uri().to_owned()).unwrap_or_default();
        Refusal::UpstreamCredentialRefused { endpoint, error: TokenEndpointError::Server }
    }

    /// The edits for a response that has a `WWW-Authenticate` of the upstream.
    ///
    /// The upstream never saw the client's token, so its challenge is about something else and would send the client
    /// to the wrong authorization server. A 401 must have one (RFC 9110 section 15.5.2), so it gets the resource's own.
    pub fn on_upstream_challenge(&self, status: &[u8]) -> impl Iterator<Item = Edit<'_>> {
        let resource = self.resource().filter(|_| status == b"401");
        let own = resource.map(|resource| Edit::Set("www-authenticate", resource.bare_challenge().as_bytes()));
        core::iter::once(Edit::Remove(b"www-authenticate")).chain(own)
    }

    /// Whether the client runs in a browser, which hides a response without [`ResponseGuard::cors_edits`].
    #[must_use]
    pub const fn is_cross_origin(&self) -> bool {
        matches!(self.origin, Origin::Any | Origin::Listed(_))
    }

    /// The edits for a response to a browser, unless the upstream set `Access-Control-Allow-Origin` itself: browsers
    /// refuse two of them.
    pub fn cors_edits(&self) -> impl Iterator<Item = Edit<'_>> {
        let (allow, vary) = match &self.origin {
            Origin::Listed(origin) => (&**origin, Some(Edit::Add("vary", b"Origin"))),
            _ => (cors::ALLOW_ORIGIN, None),
        };
        let expose = self.resource().map(|resource| resource.origins().expose.as_bytes());
        let expose = expose.map(|names| Edit::Set("access-control-expose-headers", names));
        core::iter::once(Edit::Set("access-control-allow-origin", allow.as_bytes())).chain(expose).chain(vary)
    }

    /// The `DPoP-Nonce` that the response must have. A client that should have had one is not refused where refusals are only
    /// reported, but would never have one either (RFC 9449 section 8.2).
    #[must_use]
    pub fn dpop_nonce(&self) -> Option<&str> {
        self.nonce.as_deref()
    }

    /// Whether an `Mcp-Session-Id` of the response must be sealed.
    #[must_use]
    pub const fn seals_sessions(&self) -> bool {
        self.owner.is_some()
    }

    /// The `Mcp-Session-Id` of the response as the client may see it. `None`: it must be removed, because nobody could own it.
    #[must_use]
    pub fn seal_session(&self, id: &[u8]) -> Option<String> {
        let (caller, resource) = self.owner.as_ref().zip(self.resource())?;
        resource.sessions()?.seal(id, caller.owner(resource, &self.policy)?)
    }

    /// Whether the body of a successful response is a list that must be filtered.
    #[must_use]
    pub const fn filters_list(&self) -> bool {
        self.list.is_some()
    }

    /// The list as the caller may see it, of a JSON body; `None` if the response is none that is filtered.
    #[must_use]
    pub fn filter_list(&self, body: &[u8]) -> Option<Vec<u8>> {
        let (list, resource) = self.list()?;
        Some(list.apply(body, resource))
    }

    /// The same of an event stream, piece by piece.
    #[must_use]
    pub fn into_list_events(self) -> Option<ListEvents> {
        ListEvents::new(self)
    }

    /// What the client gets instead of a list that is too long.
    #[must_use]
    pub fn unreadable_list(&self) -> Vec<u8> {
        self.list.as_ref().map(ListFilter::unreadable).unwrap_or_default()
    }

    pub(crate) fn list(&self) -> Option<(&ListFilter, &ResourcePolicy)> {
        self.list.as_ref().zip(self.resource())
    }
}
