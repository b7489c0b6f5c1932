//! The questions of a worker to other servers: what is asked, what the answers come to, and what the log is told.

use alloc::{
    borrow::ToOwned,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};

use super::{Awaited, Checks, Identified, RoomOf, Step, Wait};
use crate::{
    bearer::BearerToken,
    fetch::{Answer, Asker, Fetch, FetchError, FetchId, RemoteEvent},
    flights::FlightId,
    grant::{Caller, VerifiedToken},
    introspection::{self, Introspection, Verdict},
    key_cache::KeyCache,
    policy::{Policy, ResourcePolicy},
    refusal::Refusal,
    secret::Secret,
    time::UnixTime,
    token::TokenError,
    token_cache::Bad,
    upstream_credential::{self, Credential, Need},
};

/// A server that is asked questions: the introspection of an issuer, or the token endpoint of a resource's upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Introspection(usize),
    TokenEndpoint(usize),
}

/// A question to another server.
#[derive(Debug)]
pub(super) enum Question {
    /// Whether this token is active.
    Introspection { issuer: usize, token: Secret, verified: Option<Arc<VerifiedToken>> },
    /// For a credential for an upstream.
    Credential(upstream_credential::Question),
}

/// The answer to a question.
pub(crate) enum Landing {
    /// What the token is.
    Token(Result<Arc<VerifiedToken>, Refusal>),
    /// What the upstream is to get.
    Credential(Result<Credential, Refusal>),
}

impl Checks {
    /// Has a token's authorization server asked about it, once for all that present it.
    pub(super) fn introspect(
        &mut self,
        issuer: usize,
        text: BearerToken<'_>,
        verified: Option<Arc<VerifiedToken>>,
        now: UnixTime,
    ) -> Step<Identified> {
        match self.tokens.bad(text) {
            Some(Bad::Inactive(of, until)) if of == issuer && now < until => {
                return Step::Refuse(Refusal::Token(TokenError::Inactive));
            }
            _ => {}
        }
        let is = |question: &Question| {
            matches!(question, Question::Introspection { issuer: of, token, .. }
                if *of == issuer && token.expose() == text.expose())
        };
        let new = || Question::Introspection { issuer, token: introspection::secret(text), verified };
        match self.flights.join(is, new) {
            Some(flight) => Step::Wait(Wait { awaited: Awaited::Flight(flight), room: RoomOf::Issuer(issuer) }),
            None => Step::Refuse(Refusal::Overloaded { held: self.flights.len() }),
        }
    }

    /// The credential for the upstream of a resource; `None` if the request will certainly not get there.
    pub(crate) fn credential(
        &mut self,
        policy: &Policy,
        index: usize,
        resource: &ResourcePolicy,
        caller: &Caller,
        text: Option<&str>,
        now: UnixTime,
    ) -> Step<Option<Credential>> {
        let is_open = resource.access().is_some_and(|access| !access.anonymous.is_empty());
        // Nobody is asked for the sake of a request that will be refused.
        if !caller.is_anonymous() && !is_open && !caller.has(resource, &[]) {
            return Step::Done(None);
        }
        match self.credentials.get(index, resource, caller, text, policy, now) {
            Need::Ready(credential) => Step::Done(Some(credential)),
            Need::ReadyAndAsk(credential, question) => {
                self.ask(question);
                Step::Done(Some(credential))
            }
            Need::Ask(question) => match self.ask(question) {
                Some(flight) => Step::Wait(Wait { awaited: Awaited::Flight(flight), room: RoomOf::Upstream(index) }),
                None => Step::Refuse(Refusal::Overloaded { held: self.flights.len() }),
            },
            Need::Refused(refusal) => Step::Refuse(refusal),
        }
    }

    fn ask(&mut self, question: upstream_credential::Question) -> Option<FlightId> {
        let is = |other: &Question| matches!(other, Question::Credential(other) if *other == question);
        // The same again, because `is` borrows it.
        let id = self.flights.find(is);
        id.or_else(|| self.flights.join(|_| false, || Question::Credential(question)))
    }

    /// Whether there is something to fetch that nobody waits for.
    pub(crate) fn has_unsent(&self) -> bool {
        self.flights.has_unsent()
    }

    /// The next fetch to start now.
    pub(crate) fn poll_fetch(&mut self, policy: &Policy, now: UnixTime) -> Option<Fetch> {
        self.set_clock(now);
        if let Some(fetch) = self.keys.iter_mut().find_map(|cache| cache.poll_fetch(now)) {
            return Some(fetch);
        }
        let timeout = |question: &Question| match question {
            Question::Introspection { issuer, .. } => introspection(policy, *issuer).map(|asked| asked.timeout),
            Question::Credential(question) => question.endpoint(policy).map(|endpoint| endpoint.timeout),
        };
        let (id, question) = self.flights.send(now, |question| timeout(question).unwrap_or_default())?;
        let (cluster, uri, post) = match question {
            Question::Introspection { issuer, token, .. } => {
                let asked = introspection(policy, *issuer)?;
                (&asked.cluster, &asked.endpoint, asked.question(token))
            }
            Question::Credential(question) => {
                let endpoint = question.endpoint(policy)?;
                (&endpoint.cluster, &endpoint.uri, question.post(policy)?)
            }
        };
        Some(Fetch {
            id: FetchId { asker: Asker::Flight, serial: id.0 },
            cluster: Arc::clone(cluster),
            uri: uri.clone(),
            timeout: timeout(question)?,
            post: Some(post),
        })
    }

    /// Whether the answer to this fetch is still waited for.
    pub(crate) fn awaits(&self, id: FetchId) -> bool {
        match id.asker {
            Asker::Keys(issuer) => self.keys.get(issuer).is_some_and(|cache| cache.awaits(id.serial)),
            Asker::Flight => self.flights.awaits(FlightId(id.serial)),
        }
    }

    /// What an answer says; `None` if nobody waits for it.
    pub(crate) fn land(
        &mut self,
        id: FlightId,
        answer: Result<Answer<'_>, FetchError>,
        policy: &Policy,
        now: UnixTime,
    ) -> Option<(Landing, Option<RemoteEvent>)> {
        let (issuer, token, verified) = match self.flights.land(id)? {
            Question::Introspection { issuer, token, verified } => (issuer, token, verified),
            Question::Credential(question) => return Some(self.land_credential(question, answer, policy, now)),
        };
        let server = policy.authorization_server(issuer)?;
        let asked = server.introspection()?;
        let text = BearerToken::held(token.expose());
        let read = asked.read(answer, issuer, server, verified, policy, now);
        let failure = read.as_ref().err().map(ToString::to_string);
        let event = self.note(Service::Introspection(issuer), asked.endpoint.as_str(), failure);
        let landing = match read {
            Ok(Verdict::Active(token)) => {
                self.tokens.remember(text, &token, now, Some(asked.max_age));
                Ok(token)
            }
            Ok(Verdict::Inactive) => {
                self.tokens.remember_bad(text, Bad::Inactive(issuer, now.plus(asked.inactive_max_age)));
                Err(Refusal::Token(TokenError::Inactive))
            }
            Ok(Verdict::Refused(error)) => Err(Refusal::Token(error)),
            Err(error) => {
                let issuer = server.issuer().as_str().to_owned();
                Err(Refusal::IntrospectionUnavailable { issuer, error })
            }
        };
        Some((Landing::Token(landing), event))
    }

    fn land_credential(
        &mut self,
        question: upstream_credential::Question,
        answer: Result<Answer<'_>, FetchError>,
        policy: &Policy,
        now: UnixTime,
    ) -> (Landing, Option<RemoteEvent>) {
        let uri = question.endpoint(policy).map(|endpoint| endpoint.uri.as_str()).unwrap_or_default();
        let (service, is_own) = (Service::TokenEndpoint(question.resource()), question.is_own());
        let (credential, error) = self.credentials.land(question, answer, policy, now);
        let event = match error {
            // Perhaps it is about this caller only.
            Some(error) if !is_own && !error.is_about_gate() => None,
            error => self.note(service, uri, error.map(|error| error.to_string())),
        };
        (Landing::Credential(credential), event)
    }

    /// What is new about a server: that it is of no use any more, or that it is again.
    fn note(&mut self, service: Service, uri: &str, failure: Option<String>) -> Option<RemoteEvent> {
        let changed = failure.is_some() != self.failing.contains(&service);
        if changed && failure.is_some() {
            self.failing.push(service);
        } else if changed {
            self.failing.retain(|failing| *failing != service);
        }
        let service = match service {
            Service::Introspection(_) => "introspection",
            Service::TokenEndpoint(_) => "upstream credential",
        };
        changed.then_some(RemoteEvent { service, uri: uri.to_owned(), failure })
    }

    /// The questions whose end the host never reported.
    pub(crate) fn overdue(&self, now: UnixTime) -> Vec<FlightId> {
        self.flights.overdue(now)
    }

    /// When there is something to do although nothing came from outside.
    pub(crate) fn next_call(&self) -> Option<UnixTime> {
        self.keys.iter().filter_map(KeyCache::next_call).chain(self.flights.next_call()).min()
    }
}

fn introspection(policy: &Policy, issuer: usize) -> Option<&Introspection> {
    policy.authorization_server(issuer)?.introspection()
}
