//! The request as it may go upstream: without the client's credentials, with the identity that was verified.

use core::fmt;

use alloc::{borrow::ToOwned, boxed::Box, string::String, sync::Arc, vec::Vec};

use crate::{
    claim_headers::ClaimHeader,
    filter_state::{Note, Notes},
    grant::{Caller, Grant},
    metrics::{Decision, Outcome},
    path::RequestPath,
    refusal::Refusal,
    report_only::Reported,
    request::{Request, is_alike},
    response::ResponseGuard,
    scope::ScopeSet,
    upstream_credential::Credential,
};

/// A change to a header map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit<'a> {
    /// Delete every line of this name.
    Remove(&'a [u8]),
    /// Make this the only line of this name.
    Set(&'a str, &'a [u8]),
    /// Add a line to those that are there.
    Add(&'a str, &'a [u8]),
}

/// A request that may go upstream. Only a [`Grant`] and a `Credential` together make one, or the setting `report_only`; and
/// nothing but the credential `insecure_forward_client_token` keeps the client's token.
#[derive(Debug)]
#[must_use]
pub struct Forward {
    cleaned: Cleaned,
    why: Why,
    response: ResponseGuard,
    asked: Notes,
}

/// What lets it go on.
#[derive(Debug)]
enum Why {
    Granted(Grant, Credential),
    Reported(Reported),
}

/// Header lines that tell the upstream who is calling.
pub(crate) type Identity = Box<[(Arc<str>, String)]>;

impl Forward {
    pub(crate) fn new(grant: Grant, credential: Credential, cleaned: Cleaned, response: ResponseGuard) -> Self {
        Self { cleaned, why: Why::Granted(grant, credential), response, asked: Notes::default() }
    }

    pub(crate) fn reported(reported: Reported, cleaned: Cleaned, response: ResponseGuard) -> Self {
        Self { cleaned, why: Why::Reported(reported), response, asked: Notes::default() }
    }

    pub(crate) fn asking(mut self, asked: Notes) -> Self {
        self.asked = asked;
        self
    }

    /// What the proxy must be told before the request goes on: names and values. Filters behind this one may rely on it, so
    /// all of it must succeed, after the edits.
    pub fn notes(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let caller = self.caller().map(Caller::notes).unwrap_or_default();
        let caller = caller.iter().map(|(name, value)| (*name, value.as_str()));
        // Last: a failure before it must not leave an `allow` behind.
        let allow = self.refusal().is_none().then(|| self.response.filter_state().note(Note::Decision, "allow"));
        caller.chain(self.notes_of_body()).chain(allow.flatten())
    }

    /// Whoever was found to be calling.
    fn caller(&self) -> Option<&Caller> {
        match &self.why {
            Why::Granted(grant, _) => Some(grant.caller()),
            Why::Reported(reported) => reported.caller.as_ref(),
        }
    }

    /// Why it would have been refused if refusals were enforced; for the log.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        match &self.why {
            Why::Granted(..) => None,
            Why::Reported(reported) => Some(&reported.refusal),
        }
    }

    /// For the metrics.
    #[must_use]
    pub fn decision(&self) -> Decision {
        let reason = self.refusal().map(Refusal::reason);
        let outcome = if reason.is_some() { Outcome::Report } else { Outcome::Allow };
        Decision { outcome, reason, resource: Some(self.response.resource_index()) }
    }

    /// The part of [`Forward::notes`] that a head which went ahead did not have.
    pub fn notes_of_body(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let state = self.response.filter_state();
        let reason = self.refusal().and_then(|refusal| state.note(Note::Reason, refusal.reason()));
        // A head that went ahead was allowed.
        let report = self.refusal().and_then(|_| state.note(Note::Decision, Outcome::Report.as_str()));
        let asked = self.asked.iter().map(|(name, value)| (*name, value.as_str()));
        report.into_iter().chain(reason).chain(asked)
    }

    /// The edits, in order. All of them must succeed before the request goes on.
    pub fn edits(&self) -> impl Iterator<Item = Edit<'_>> {
        let is_alone = self.cleaned.is_free_of_identity;
        let identity = self.caller().map(Caller::identity_lines).unwrap_or_default();
        let identity = identity.iter().map(move |(name, value)| {
            // Hosts look for lines to replace, which takes longer than to add one.
            if is_alone { Edit::Add(name, value.as_bytes()) } else { Edit::Set(name, value.as_bytes()) }
        });
        // Whoever would be refused must not get what the operator gives to those who are not.
        let credential = match &self.why {
            Why::Granted(_, credential) => Some(credential),
            Why::Reported(_) => None,
        };
        let keeps_token = credential.is_some_and(Credential::keeps_client_token);
        let token = (!keeps_token).then_some(Edit::Remove(b"authorization"));
        let credential =
            credential.and_then(Credential::line).map(|line| Edit::Set(&line.name, line.value.expose().as_bytes()));
        token.into_iter().chain(self.cleaned.edits()).chain(identity).chain(credential)
    }

    /// What to do with the response.
    #[must_use]
    pub const fn response_guard(&self) -> &ResponseGuard {
        &self.response
    }

    /// What to do with the response, after the request went upstream.
    #[must_use]
    pub fn into_response_guard(self) -> ResponseGuard {
        self.response
    }
}

/// What must not reach the upstream of one request. Owned, so that it can wait with a held request.
#[derive(Clone, Default)]
pub(crate) struct Cleaned {
    remove: Vec<Box<[u8]>>,
    set: Vec<(&'static str, String)>,
    /// The client sent no header that a server could take for an identity.
    is_free_of_identity: bool,
}

/// Names only: a path may hold a token, and a session id is one.
impl fmt::Debug for Cleaned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let removed = self.remove.iter().map(|name| String::from_utf8_lossy(name));
        let set = self.set.iter().map(|(name, _)| *name);
        write!(f, "Cleaned(removes {:?}, sets {:?})", removed.collect::<Vec<_>>(), set.collect::<Vec<_>>())
    }
}

impl Cleaned {
    pub(crate) fn new(request: &Request<'_>, path: &RequestPath<'_>) -> Self {
        Self {
            remove: request.forbidden().iter().map(|name| (*name).into()).collect(),
            set: path.without_query_token().map(|path| (":path", path)).into_iter().collect(),
            is_free_of_identity: request.forbidden().is_empty(),
        }
    }

    pub(crate) fn remove(&mut self, name: &[u8]) {
        self.remove.push(name.into());
    }

    pub(crate) fn set(&mut self, name: &'static str, value: String) {
        self.set.push((name, value));
    }

    fn edits(&self) -> impl Iterator<Item = Edit<'_>> {
        let set = self.set.iter().map(|(name, value)| Edit::Set(name, value.as_bytes()));
        let remove = self.remove.iter().map(|name| Edit::Remove(name));
        remove.chain(set)
    }
}

/// The names of the headers that tell the upstream who is calling; `None` switches one off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeaders {
    /// The `sub` claim.
    pub subject: Option<Arc<str>>,
    /// The `client_id` claim, else `azp`.
    pub client_id: Option<Arc<str>>,
    /// The token's scopes, separated by spaces.
    pub scopes: Option<Arc<str>>,
    /// The issuer.
    pub issuer: Option<Arc<str>>,
    /// Other claims.
    pub(crate) claims: Vec<ClaimHeader>,
    /// The names of headers with a credential for the upstream of one resource or another.
    pub(crate) credentials: Vec<Arc<str>>,
}

/// Subject, client, scopes, issuer.
const USUAL_NAMES: [&str; 4] = ["x-mcp-subject", "x-mcp-client-id", "x-mcp-scopes", "x-mcp-issuer"];

/// What a static token's subject begins with. An issuer may not name a caller so.
const STATIC: &str = "static:";

impl Default for IdentityHeaders {
    fn default() -> Self {
        let [subject, client_id, scopes, issuer] = USUAL_NAMES.map(|name| Some(name.into()));
        Self { subject, client_id, scopes, issuer, claims: Vec::new(), credentials: Vec::new() }
    }
}

impl IdentityHeaders {
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        let usual = [&self.subject, &self.client_id, &self.scopes, &self.issuer].into_iter().flatten();
        usual.chain(self.claims.iter().map(|line| &line.name))
    }

    /// Whether a server could take this header for one of them, or for one of the usual ones where they are renamed or off.
    pub(crate) fn is_alike(&self, name: &[u8]) -> bool {
        self.names().any(|own| is_alike(name, own)) || USUAL_NAMES.into_iter().any(|own| is_alike(name, own))
    }

    /// The lines for the holder of a static token: the subject begins with `static:`, as no issuer's does.
    pub(crate) fn fill_static(&self, name: &str, scopes: &ScopeSet) -> Identity {
        self.lines(Some(static_subject(name)), None, scopes, None)
    }

    /// The lines for one caller; a claim that is absent has none.
    pub(crate) fn fill(
        &self,
        subject: Option<&str>,
        client_id: Option<&str>,
        scopes: &ScopeSet,
        issuer: Option<&str>,
    ) -> Identity {
        self.lines(subject.map(issuer_subject), client_id, scopes, issuer)
    }

    fn lines(
        &self,
        subject: Option<String>,
        client_id: Option<&str>,
        scopes: &ScopeSet,
        issuer: Option<&str>,
    ) -> Identity {
        let scopes = Some(scopes).filter(|scopes| !scopes.is_empty()).map(|scopes| alloc::format!("{scopes}"));
        let values = [
            (&self.subject, subject),
            (&self.client_id, client_id.map(header_safe)),
            (&self.scopes, scopes),
            (&self.issuer, issuer.map(ToOwned::to_owned)),
        ];
        values.into_iter().filter_map(|(name, value)| Some((name.clone()?, value?))).collect()
    }
}

/// The subject of the holder of a static token, as it is told.
pub(crate) fn static_subject(name: &str) -> String {
    alloc::format!("{STATIC}{name}")
}

/// The subject of an issuer's token, as it is told.
pub(crate) fn issuer_subject(subject: &str) -> String {
    let safe = header_safe(subject);
    match safe.strip_prefix(STATIC) {
        Some(rest) => alloc::format!("static%3A{rest}"),
        None => safe,
    }
}

/// Percent-encodes everything outside visible ASCII, and `%` itself so that the encoding can be undone.
pub(crate) fn header_safe(value: &str) -> String {
    encode(value, b"%")
}

/// Percent-encodes everything outside visible ASCII, and these bytes.
pub(crate) fn encode(value: &str, reserved: &[u8]) -> String {
    let mut safe = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            0x21..=0x7E if !reserved.contains(&byte) => safe.push(char::from(byte)),
            _ => safe.push_str(&alloc::format!("%{byte:02X}")),
        }
    }
    safe
}
