//! The questions of a worker to other servers: what is asked, what the answers come to, and what the log is told.

use core::time::Duration;

use alloc::{
    borrow::ToOwned,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};

use super::{Awaited, Checks, Identified, RoomOf, Step, Wait};
use crate::{
    bearer::BearerToken,
    explain::{self, Check},
    fetch::{Answer, Asker, Fetch, FetchError, FetchId, RemoteEvent},
    flights::FlightId,
    grant::{Caller, VerifiedToken},
    introspection::{self, Introspection, Verdict},
    key_cache::KeyCache,
    metrics::Count,
    policy::{Policy, ResourcePolicy},
    refusal::Refusal,
    secret::Secret,
    time::UnixTime,
    token::TokenError,
    token_cache::Bad,
    upstream_credential::{self, Credential, Credentials, Need},
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

impl Question {
    fn service(&self) -> Service {
        match self {
            Self::Introspection { issuer, .. } => Service::Introspection(*issuer),
            Self::Credential(question) => Service::TokenEndpoint(question.resource()),
        }
    }
}

/// What the log was told of a server.
#[derive(Debug)]
pub(super) struct Told {
    service: Service,
    is_failing: bool,
    at: UnixTime,
}

/// A server is told of no more often: it may answer some tokens and fail at others, and clients choose tokens.
const TELL_EVERY: Duration = Duration::from_secs(10);

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
        explain::at(Check::Introspection);
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
        let flight = self.flights.find(is).or_else(|| {
            let new = || Question::Introspection { issuer, token: introspection::secret(text), verified };
            self.flights.open(|other| other.service() == Service::Introspection(issuer), new)
        });
        match flight {
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
        text: Option<&[u8]>,
        now: UnixTime,
    ) -> Step<Option<Credential>> {
        if let Some(credential) = Credentials::at_once(resource) {
            return Step::Done(Some(credential));
        }
        // Nobody is asked for the sake of a request that will be refused. Where methods need no token, this one may do what
        // everybody may, and gets what everybody gets.
        let nobody = Caller::anonymous();
        let is_open = resource.access().is_some_and(|access| !access.anonymous.is_empty());
        let caller = match caller.is_anonymous() || caller.has(resource, &[]) {
            true => caller,
            false if is_open => &nobody,
            false => return Step::Done(None),
        };
        explain::at(Check::UpstreamCredential);
        match self.credentials.get(index, resource, caller, text, policy, now) {
            Need::Ready(credential) => Step::Done(Some(credential)),
            Need::ReadyAndAsk(credential, question) => {
                self.ask(question);
                Step::Done(Some(credential))
            }
            Need::Ask(question) => match self.ask(question) {
                Some(flight) => {
                    let room = if caller.is_anonymous() { RoomOf::Anonymous } else { RoomOf::Upstream(index) };
                    Step::Wait(Wait { awaited: Awaited::Flight(flight), room })
                }
                None => Step::Refuse(Refusal::Overloaded { held: self.flights.len() }),
            },
            Need::Refused(refusal) => Step::Refuse(refusal),
        }
    }

    fn ask(&mut self, question: upstream_credential::Question) -> Option<FlightId> {
        let is = |other: &Question| matches!(other, Question::Credential(other) if *other == question);
        let service = Service::TokenEndpoint(question.resource());
        let id = self.flights.find(is);
        id.or_else(|| self.flights.open(|other| other.service() == service, || Question::Credential(question)))
    }

    /// Whether there is something to fetch that nobody waits for.
    pub(crate) fn has_unsent(&self) -> bool {
        self.flights.has_unsent()
    }

    /// The next fetch to start now.
    pub(crate) fn poll_fetch(&mut self, policy: &Policy, now: UnixTime) -> Option<Fetch> {
        self.set_clock(now);
        if let Some(fetch) = self.keys.iter_mut().find_map(|cache| cache.poll_fetch(now)) {
            self.tally.add(Count::KeyFetch);
            return Some(fetch);
        }
        let timeout = |question: &Question| match question {
            Question::Introspection { issuer, .. } => introspection(policy, *issuer).map(|asked| asked.timeout),
            Question::Credential(question) => question.endpoint(policy).map(|endpoint| endpoint.timeout),
        };
        let (id, question) = self.flights.send(now, |question| timeout(question).unwrap_or_default())?;
        let (cluster, uri, post) = match question {
            Question::Introspection { issuer, token, .. } => {
                self.tally.add(Count::Introspection);
                let asked = introspection(policy, *issuer)?;
                (&asked.cluster, &asked.endpoint, asked.question(token))
            }
            Question::Credential(question) => {
                self.tally.add(Count::TokenEndpoint);
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
        if failure.is_some() {
            self.tally.add(Count::IntrospectionFailure);
        }
        let event = self.note(Service::Introspection(issuer), asked.endpoint.as_str(), failure, now);
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
        if error.is_some() {
            self.tally.add(Count::TokenEndpointFailure);
        }
        let event = match error {
            // Perhaps it is about this caller only.
            Some(error) if !is_own && !error.is_about_gate() => None,
            error => self.note(service, uri, error.map(|error| error.to_string()), now),
        };
        (Landing::Credential(credential), event)
    }

    /// What is new about a server: that it is of no use any more, or that it is again.
    fn note(&mut self, service: Service, uri: &str, failure: Option<String>, now: UnixTime) -> Option<RemoteEvent> {
        let is_failing = failure.is_some();
        match self.told.iter_mut().find(|told| told.service == service) {
            Some(told) if told.is_failing == is_failing || now < told.at.plus(TELL_EVERY) => return None,
            Some(told) => (told.is_failing, told.at) = (is_failing, now),
            None if is_failing => self.told.push(Told { service, is_failing, at: now }),
            None => return None,
        }
        let service = match service {
            Service::Introspection(_) => "introspection",
            Service::TokenEndpoint(_) => "upstream credential",
        };
        Some(RemoteEvent { service, uri: uri.to_owned(), failure })
    }

    /// The clock was set back by so many seconds.
    pub(super) fn set_back_questions(&mut self, seconds: u64) {
        self.flights.set_back(seconds);
        for told in &mut self.told {
            told.at = told.at.minus(seconds);
        }
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
