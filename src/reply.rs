//! Answers that the gate gives itself; the upstream never sees the request.

use alloc::{borrow::Cow, string::String, vec, vec::Vec};

use crate::{
    bearer::Scheme,
    challenge::Challenge,
    cors::{self, Origin},
    filter_state::{FilterState, Note},
    grant::Caller,
    metrics::{Decision, Outcome},
    page,
    policy::ResourcePolicy,
    refusal::Refusal,
};

/// A complete response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Reply {
    status: u16,
    headers: Vec<Header>,
    body: Vec<u8>,
    reason: &'static str,
    refusal: Option<Refusal>,
    /// What is known of the request: names and values.
    known: Vec<(&'static str, String)>,
    /// The place of its resource in the policy.
    resource: Option<usize>,
}

/// A header line: names are fixed, values are visible ASCII and spaces.
pub(crate) type Header = (&'static str, Cow<'static, str>);

impl Reply {
    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The header lines.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        self.headers.iter().map(|(name, value)| (*name, value.as_ref()))
    }

    /// The body. A host that answers HEAD must not send it.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// A stable name of what happened, for access logs.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.reason
    }

    /// Why the request was refused; `None` for documents and preflights.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    /// For the metrics.
    #[must_use]
    pub fn decision(&self) -> Decision {
        let outcome = if self.refusal.is_some() { Outcome::Deny } else { Outcome::Answer };
        Decision { outcome, reason: self.refusal.as_ref().map(Refusal::reason), resource: self.resource }
    }

    /// Says which resource the request is for.
    pub(crate) const fn of_resource(mut self, resource: &ResourcePolicy) -> Self {
        self.resource = Some(resource.index);
        self
    }

    /// What the proxy should be told, of what it is told at all: names and values.
    pub fn notes(&self, state: FilterState) -> impl Iterator<Item = (&'static str, &str)> {
        let decision = self.decision().outcome.as_str();
        let known = self.known.iter().map(|(name, value)| (*name, value.as_str()));
        // First: should a request have been allowed before, nothing may keep that from being taken back.
        state.note(Note::Decision, decision).into_iter().chain(state.note(Note::Reason, self.reason)).chain(known)
    }

    /// An answer that is no refusal.
    pub(crate) const fn document(status: u16, headers: Vec<Header>, body: Vec<u8>, reason: &'static str) -> Self {
        Self { status, headers, body, reason, refusal: None, known: Vec::new(), resource: None }
    }

    /// A refusal outside any resource: no challenge, because there is nothing to ask a token for.
    pub fn refuse(refusal: Refusal) -> Self {
        let mut reply = Self::bare(refusal);
        reply.headers.extend(cors::exposed());
        reply
    }

    fn bare(refusal: Refusal) -> Self {
        let mut headers =
            vec![("content-type", Cow::Borrowed("application/json")), ("cache-control", Cow::Borrowed("no-store"))];
        match &refusal {
            Refusal::KeysUnavailable { retry_after, .. } => {
                headers.push(("retry-after", Cow::Owned(alloc::format!("{retry_after}"))));
            }
            Refusal::IntrospectionUnavailable { .. }
            | Refusal::UpstreamCredentialUnavailable { .. }
            | Refusal::Overloaded { .. }
            | Refusal::Misconfigured
            | Refusal::RouteResource(_)
            | Refusal::Host(_) => {
                headers.push(("retry-after", Cow::Borrowed("1")));
            }
            Refusal::Method => headers.push(("allow", Cow::Borrowed(cors::DOCUMENT_METHODS))),
            Refusal::EndpointMethod => headers.push(("allow", Cow::Borrowed(cors::ENDPOINT_METHODS))),
            _ => {}
        }
        // Both are from fixed lists of plain ASCII, so there is nothing to escape.
        let body =
            alloc::format!("{{\"error\":\"{}\",\"error_description\":\"{}\"}}", refusal.code(), refusal.description());
        Self {
            status: refusal.status(),
            headers,
            body: body.into_bytes(),
            reason: refusal.reason(),
            refusal: Some(refusal),
            known: Vec::new(),
            resource: None,
        }
    }

    /// Says whose request is answered, and what it asks for.
    pub(crate) fn about(mut self, caller: &Caller, asked: &[(&'static str, String)]) -> Self {
        self.known = [caller.notes(), asked].concat();
        self
    }

    /// A refusal of a request that was for a resource when it came.
    pub(crate) fn refuse_for(refusal: Refusal, resource: Option<&ResourcePolicy>, origin: &Origin) -> Self {
        match resource {
            Some(resource) => Self::challenge(refusal, resource, origin),
            None => Self::refuse(refusal),
        }
    }

    /// A refusal of a request for `resource`, with the challenge that lets a client recover by itself.
    pub(crate) fn challenge(refusal: Refusal, resource: &ResourcePolicy, origin: &Origin) -> Self {
        Self::challenge_in(Scheme::Bearer, refusal, resource, origin)
    }

    /// The same for one that presented its token in this scheme.
    pub(crate) fn challenge_in(scheme: Scheme, refusal: Refusal, resource: &ResourcePolicy, origin: &Origin) -> Self {
        let (terms, scopes) = (resource.terms(), &resource.scopes().challenged);
        let challenge = match &refusal {
            Refusal::MissingToken => Some(Challenge::missing(terms, scopes)),
            Refusal::Credentials(_) => Some(Challenge::invalid_request(terms, scopes, refusal.description())),
            Refusal::Token(_) | Refusal::Proof(_) => {
                Some(Challenge::invalid(refusal.code(), terms, scopes, refusal.description()))
            }
            Refusal::InsufficientScope(error) => {
                Some(Challenge::insufficient_scope(terms, &error.needed, refusal.description()))
            }
            _ => None,
        };
        let value = challenge.map(|challenge| -> String { alloc::format!("{}", challenge.to(scheme)) });
        let nonce = resource.nonce_after(&refusal);
        let mut reply = Self::bare(refusal).of_resource(resource);
        reply.headers.extend(resource.origins().headers(origin));
        reply.headers.extend(value.map(|value| ("www-authenticate", Cow::Owned(value))));
        reply.headers.extend(nonce.map(|nonce| ("dpop-nonce", Cow::Owned(nonce))));
        reply
    }

    /// The same for a person: a page of HTML is its body.
    pub(crate) fn showing(mut self, page: Vec<u8>) -> Self {
        if let Some((_, value)) = self.headers.iter_mut().find(|(name, _)| *name == "content-type") {
            *value = Cow::Borrowed(page::MEDIA_TYPE);
        }
        self.headers.extend(page::HEADERS);
        self.body = page;
        self
    }

    /// The same as the answer to the JSON-RPC request of this `id` (JSON): hosts show its message to people, and clients
    /// take it for an answer only if the id is theirs.
    pub(crate) fn answering(mut self, id: &str) -> Self {
        if let Some((refusal, code)) = self.refusal.as_ref().and_then(|refusal| Some((refusal, refusal.rpc_code()?))) {
            let (error, message) = (refusal.code(), refusal.description());
            self.body = alloc::format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{\"code\":{code},\"message\":\"{message}\",\"data\":{{\"error\":\"{error}\"}}}}}}"
            )
            .into_bytes();
        }
        self
    }
}
