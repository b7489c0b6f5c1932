//! What becomes of the response to a request that went upstream.

use alloc::{string::String, sync::Arc, vec::Vec};

use crate::{
    cors::{self, Origin},
    forward::Edit,
    grant::Caller,
    list_filter::ListFilter,
    policy::{Policy, ResourcePolicy},
};

/// What to do with the response to a forwarded request.
#[derive(Clone, Debug)]
pub struct ResponseGuard {
    resource: usize,
    challenge: Arc<str>,
    origin: Origin,
    expose: Arc<str>,
    /// Whose a session would be, where sessions are sealed.
    owner: Option<(Arc<Policy>, Caller)>,
    list: Option<(Arc<Policy>, ListFilter)>,
}

impl ResponseGuard {
    pub(crate) fn new(
        index: usize,
        resource: &ResourcePolicy,
        origin: Origin,
        caller: &Caller,
        policy: &Arc<Policy>,
    ) -> Self {
        Self {
            resource: index,
            challenge: resource.bare_challenge(),
            origin,
            expose: Arc::clone(&resource.origins().expose),
            owner: resource.sessions().map(|_| (Arc::clone(policy), caller.clone())),
            list: None,
        }
    }

    pub(crate) fn filtering(mut self, list: Option<ListFilter>, policy: &Arc<Policy>) -> Self {
        self.list = list.map(|list| (Arc::clone(policy), list));
        self
    }

    /// The edits for a response that has a `WWW-Authenticate` of the upstream.
    ///
    /// The upstream never saw the client's token, so its challenge is about something else and would send the client
    /// to the wrong authorization server. A 401 must have one (RFC 9110 section 15.5.2), so it gets the resource's own.
    pub fn on_upstream_challenge(&self, status: &[u8]) -> impl Iterator<Item = Edit<'_>> {
        let own = (status == b"401").then(|| Edit::Set("www-authenticate", self.challenge.as_bytes()));
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
        let expose = Edit::Set("access-control-expose-headers", self.expose.as_bytes());
        [Edit::Set("access-control-allow-origin", allow.as_bytes()), expose].into_iter().chain(vary)
    }

    /// Whether an `Mcp-Session-Id` of the response must be sealed.
    #[must_use]
    pub const fn seals_sessions(&self) -> bool {
        self.owner.is_some()
    }

    /// The `Mcp-Session-Id` of the response as the client may see it. `None`: it must be removed, because nobody could own it.
    #[must_use]
    pub fn seal_session(&self, id: &[u8]) -> Option<String> {
        let (policy, caller) = self.owner.as_ref()?;
        let resource = policy.resource(self.resource)?;
        resource.sessions()?.seal(id, caller.owner(resource, policy)?)
    }

    /// Whether the body of a successful response is a list that must be filtered.
    #[must_use]
    pub const fn filters_list(&self) -> bool {
        self.list.is_some()
    }

    /// The list as the caller may see it; `None` if the response is none that is filtered.
    #[must_use]
    pub fn filter_list(&self, body: &[u8], is_event_stream: bool) -> Option<Vec<u8>> {
        let (policy, list) = self.list.as_ref()?;
        Some(list.apply(body, is_event_stream, policy.resource(self.resource)?))
    }

    /// What the client gets instead of a list that is too long.
    #[must_use]
    pub fn unreadable_list(&self, is_event_stream: bool) -> Vec<u8> {
        self.list.as_ref().map(|(_, list)| list.unreadable(is_event_stream)).unwrap_or_default()
    }
}
