//! The credentials that a worker has, so that not every request costs a signature or another server's time.

use core::{fmt, time::Duration};

use alloc::{borrow::ToOwned, string::String, sync::Arc, vec::Vec};

use super::{
    AUTHORIZATION, Credential, Line, NO_CREDENTIAL, TokenEndpoint, TokenEndpointError, UpstreamCredential, What,
    token_response::{self, GrantType},
};
use crate::{
    bounded::Bounded,
    fetch::{Answer, FetchError, Post},
    grant::Caller,
    policy::{Policy, ResourcePolicy},
    refusal::Refusal,
    secret::Secret,
    time::UnixTime,
};

/// As many credentials of single callers are kept by one worker, and as many bytes of them and of the callers' tokens.
const MAX_ENTRIES: usize = 16_384;
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// A token endpoint that refused is not asked for the same again for so long.
const REFUSED_FOR: Duration = Duration::from_secs(10);

/// A token endpoint that did not give the gate's own token is not asked again for so long.
const FAILED_FOR: Duration = Duration::from_secs(1);

/// What a worker has for the upstreams of its resources.
pub(crate) struct Credentials {
    /// Of single callers, by resource and token.
    of_callers: Bounded<Kept>,
    /// Of the gate itself, by resource.
    own: Vec<Option<Kept>>,
}

/// Numbers only.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials(<{}>, own <{}>)", self.of_callers.len(), self.own.len())
    }
}

struct Kept {
    what: Result<Arc<Line>, Refusal>,
    /// Of whom it says something, where the gate itself made it.
    caller: Option<Caller>,
    /// From then on, a new one should be got while this one lasts.
    fresh_until: UnixTime,
    until: UnixTime,
}

/// What it takes to have a credential.
pub(crate) enum Need {
    /// Nothing.
    Ready(Credential),
    /// Nothing, but this should be asked, so that nobody has to wait later.
    ReadyAndAsk(Credential, Question),
    /// The answer to this.
    Ask(Question),
    /// There is none.
    Refused(Refusal),
}

/// A question to a token endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    resource: usize,
    /// The token to exchange; `None` asks for the gate's own.
    subject: Option<Secret>,
}

impl Default for Credentials {
    fn default() -> Self {
        Self { of_callers: Bounded::new(MAX_ENTRIES, MAX_BYTES), own: Vec::new() }
    }
}

impl Credentials {
    /// The credential that all requests get, whoever sends them; `None` if it takes a look at the caller or at what is kept.
    pub(crate) fn at_once(resource: &ResourcePolicy) -> Option<Credential> {
        match resource.upstream_credential() {
            UpstreamCredential::None => Some(Credential(What::Nothing)),
            UpstreamCredential::Header(line) => Some(Credential(What::Line(Arc::clone(line)))),
            _ => None,
        }
    }

    /// The credential for a request of this caller, where there is none [`Credentials::at_once`], who may have presented a token of this text.
    pub(crate) fn get(
        &mut self,
        index: usize,
        resource: &ResourcePolicy,
        caller: &Caller,
        text: Option<&[u8]>,
        policy: &Policy,
        now: UnixTime,
    ) -> Need {
        let ready = |what| Need::Ready(Credential(what));
        let credential = resource.upstream_credential();
        match credential {
            UpstreamCredential::ClientCredentials(_) => return self.own(index, now),
            // What says something of the caller, without one.
            _ if caller.is_anonymous() => return ready(What::Nothing),
            _ => {}
        }
        // Nothing weaker goes upstream if the host of this asks wrongly.
        let text = text.and_then(|text| str::from_utf8(text).ok());
        let Some(text) = text else { return Need::Refused(NO_CREDENTIAL) };
        match credential {
            UpstreamCredential::InsecureForwardClientToken(evidence) => ready(What::ClientToken(*evidence)),
            UpstreamCredential::TokenExchange(_) => match self.of_caller(index, text, now) {
                Some(Ok(line)) => ready(What::Line(line)),
                Some(Err(refusal)) => Need::Refused(refusal),
                None => Need::Ask(Question { resource: index, subject: Some(Secret::new(text)) }),
            },
            UpstreamCredential::IdentityJwt(jwt) => {
                let kept = self.of_callers.get(index, text.as_bytes()).filter(|kept| now < kept.until);
                // An issuer that was asked again may have said something else of the same token.
                let kept = kept.filter(|kept| kept.caller.as_ref().is_some_and(|before| before.is(caller)));
                if let Some(Kept { what: Ok(line), .. }) = kept {
                    return ready(What::Line(Arc::clone(line)));
                }
                let Some(identity) = caller.identity(policy) else { return Need::Refused(NO_CREDENTIAL) };
                let ends_at = caller.ends_at(policy);
                let line = Arc::new(jwt.line(identity, ends_at, now));
                let reuse = now.plus(jwt.reuse());
                let until = ends_at.map_or(reuse, |at| at.min(reuse));
                self.keep_of_caller(index, text, Ok(Arc::clone(&line)), Some(caller), until, now);
                ready(What::Line(line))
            }
            _ => Need::Refused(NO_CREDENTIAL),
        }
    }

    fn own(&self, index: usize, now: UnixTime) -> Need {
        let question = Question { resource: index, subject: None };
        match self.own.get(index).and_then(Option::as_ref).filter(|kept| now < kept.until) {
            None => Need::Ask(question),
            Some(Kept { what: Err(refusal), .. }) => Need::Refused(refusal.clone()),
            Some(Kept { what: Ok(line), fresh_until, .. }) => {
                let credential = Credential(What::Line(Arc::clone(line)));
                if now < *fresh_until { Need::Ready(credential) } else { Need::ReadyAndAsk(credential, question) }
            }
        }
    }

    fn of_caller(&mut self, index: usize, text: &str, now: UnixTime) -> Option<Result<Arc<Line>, Refusal>> {
        let kept = self.of_callers.get(index, text.as_bytes()).filter(|kept| now < kept.until)?;
        Some(kept.what.clone())
    }

    fn keep_of_caller(
        &mut self,
        index: usize,
        text: &str,
        what: Result<Arc<Line>, Refusal>,
        caller: Option<&Caller>,
        until: UnixTime,
        now: UnixTime,
    ) {
        if now < until {
            let weight = what.as_ref().map_or(512, |line| line.weight()).saturating_add(160);
            let weight = weight.saturating_add(caller.map_or(0, Caller::weight));
            let kept = Kept { what, caller: caller.cloned(), fresh_until: until, until };
            self.of_callers.insert(index, text, kept, weight);
        }
    }

    /// What the answer to a question comes to, for all who wait for it; and what is wrong with the endpoint.
    pub(crate) fn land(
        &mut self,
        question: Question,
        answer: Result<Answer<'_>, FetchError>,
        policy: &Policy,
        now: UnixTime,
    ) -> (Result<Credential, Refusal>, Option<TokenEndpointError>) {
        let endpoint = question.endpoint(policy);
        let grant_type =
            if question.subject.is_some() { GrantType::TokenExchange } else { GrantType::ClientCredentials };
        let read =
            answer.map_err(TokenEndpointError::Fetch).and_then(|answer| token_response::read(answer, grant_type));
        let (what, until, error) = match (read, endpoint) {
            (Ok(issued), Some(endpoint)) => {
                let value = Secret::from(alloc::format!("Bearer {}", issued.token.expose()));
                let line = Arc::new(Line { name: AUTHORIZATION.into(), value });
                (Ok(line), endpoint.until(&issued, now), None)
            }
            (Ok(_), None) => (Err(Refusal::Misconfigured), now, None),
            (Err(error), _) => {
                let name = endpoint.map(|endpoint| endpoint.uri.as_str().to_owned()).unwrap_or_default();
                let until = match (error.is_refusal(), &question.subject) {
                    (true, _) => now.plus(REFUSED_FOR),
                    (false, None) => now.plus(FAILED_FOR),
                    (false, Some(_)) => now,
                };
                (Err(refusal(name, error.clone())), until, Some(error))
            }
        };
        match &question.subject {
            Some(text) => self.keep_of_caller(question.resource, text.expose(), what.clone(), None, until, now),
            None => self.keep_own(question.resource, what.clone(), until, now),
        }
        (what.map(|line| Credential(What::Line(line))), error)
    }

    fn keep_own(&mut self, index: usize, what: Result<Arc<Line>, Refusal>, until: UnixTime, now: UnixTime) {
        let lifetime = until.seconds_from(now);
        // The last tenth is for getting the next one.
        let fresh_until = now.plus(Duration::from_secs(lifetime.saturating_sub(lifetime / 10)));
        if self.own.len() <= index {
            self.own.resize_with(index.saturating_add(1), || None);
        }
        let Some(slot) = self.own.get_mut(index) else { return };
        if let Some(kept) = slot.as_mut()
            && kept.what.is_ok()
            && now < kept.until
            && (what.is_err() || until <= kept.until)
        {
            // The old one is still good, and lasts longer.
            kept.fresh_until = if what.is_err() { until } else { fresh_until.max(now.plus(FAILED_FOR)) };
            return;
        }
        *slot = Some(Kept { what, caller: None, fresh_until, until });
    }

    /// Forgets all that was reckoned by a clock that was wrong.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }
}

impl Question {
    /// The number of the resource.
    pub(crate) const fn resource(&self) -> usize {
        self.resource
    }

    /// Whether it is for the gate's own token.
    pub(crate) const fn is_own(&self) -> bool {
        self.subject.is_none()
    }

    /// Where it is asked.
    pub(crate) fn endpoint<'p>(&self, policy: &'p Policy) -> Option<&'p TokenEndpoint> {
        match policy.resource(self.resource)?.upstream_credential() {
            UpstreamCredential::TokenExchange(exchange) => Some(&exchange.endpoint),
            UpstreamCredential::ClientCredentials(credentials) => Some(&credentials.endpoint),
            _ => None,
        }
    }

    /// What is sent.
    pub(crate) fn post(&self, policy: &Policy) -> Option<Post> {
        match (policy.resource(self.resource)?.upstream_credential(), &self.subject) {
            (UpstreamCredential::TokenExchange(exchange), Some(subject)) => Some(exchange.request(subject.expose())),
            (UpstreamCredential::ClientCredentials(credentials), None) => Some(credentials.request()),
            _ => None,
        }
    }
}

fn refusal(endpoint: String, error: TokenEndpointError) -> Refusal {
    if error.is_refusal() {
        Refusal::UpstreamCredentialRefused { endpoint, error }
    } else {
        Refusal::UpstreamCredentialUnavailable { endpoint, error }
    }
}
