//! What a worker knows that its policy does not say, and what that makes of a token.

use alloc::{
    borrow::ToOwned,
    boxed::Box,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};

use crate::{
    acceleration::{Acceleration, HostCrypto},
    bearer::{Authorization, BearerToken, CredentialsError},
    fetch::{Answer, Asker, Fetch, FetchError, FetchId, RemoteEvent},
    flights::{FlightId, Flights},
    grant::{Caller, Proof, VerifiedToken},
    introspection::{self, Introspection, Tokens, Verdict},
    key_cache::{KeyCache, Lookup, Patience},
    policy::{Policy, ResourcePolicy},
    refusal::Refusal,
    secret::Secret,
    signature::BadSignature,
    static_token::StaticToken,
    time::UnixTime,
    token::{Candidate, TokenError},
    token_cache::{Bad, TokenCache},
    upstream_credential::{self, Credential, Credentials, Need},
};

/// Keys, tokens that were checked, and questions that are open.
#[derive(Debug)]
pub(crate) struct Checks {
    pub(crate) keys: Vec<KeyCache>,
    tokens: TokenCache,
    pub(crate) acceleration: Acceleration,
    flights: Flights<Question>,
    credentials: Credentials,
    /// Those of whom the last answer was of no use.
    failing: Vec<Service>,
    /// The time of the last call.
    clock: UnixTime,
}

/// The credentials of a request.
pub(crate) enum Presented<'r> {
    Nothing,
    /// A token that need not be checked again.
    Known(Arc<VerifiedToken>),
    New(BearerToken<'r>),
}

/// A server that is asked questions: the introspection of an issuer, or the token endpoint of a resource's upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Introspection(usize),
    TokenEndpoint(usize),
}

/// How far one look at a request leads.
pub(crate) enum Step<T> {
    Done(T),
    Refuse(Refusal),
    Wait(Wait),
}

/// What a request waits for, and in whose room.
#[derive(Clone, Copy)]
pub(crate) struct Wait {
    pub(crate) awaited: Awaited,
    pub(crate) room: RoomOf,
}

/// Who is waited for.
#[derive(Clone, Copy)]
pub(crate) enum RoomOf {
    Issuer(usize),
    /// The token endpoint of a resource's upstream.
    Upstream(usize),
}

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// The keys of this issuer.
    Keys(usize),
    /// The answer to a question.
    Flight(FlightId),
}

/// Whose token it is.
pub(crate) enum Identified {
    Token(Arc<VerifiedToken>),
    Static(Arc<StaticToken>),
}

/// A question to another server.
#[derive(Debug)]
enum Question {
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

impl<T> Step<T> {
    pub(crate) fn and_then<U>(self, next: impl FnOnce(T) -> Result<U, Refusal>) -> Step<U> {
        match self {
            Self::Done(done) => Step::from(next(done)),
            Self::Refuse(refusal) => Step::Refuse(refusal),
            Self::Wait(wait) => Step::Wait(wait),
        }
    }
}

impl<T> From<Result<T, Refusal>> for Step<T> {
    fn from(result: Result<T, Refusal>) -> Self {
        match result {
            Ok(done) => Self::Done(done),
            Err(refusal) => Self::Refuse(refusal),
        }
    }
}

impl Step<Caller> {
    /// A token that no issuer of the resource answers for may be one that the operator listed. Asked last, so that nobody
    /// else pays for the hash.
    pub(crate) fn or_static(self, presented: Authorization<'_>, resource: &ResourcePolicy, now: UnixTime) -> Self {
        match (&self, presented.unread()) {
            (Self::Refuse(Refusal::Token(error)), Some(text))
                if error.is_foreign() && !resource.static_tokens().is_empty() =>
            {
                resource.static_tokens().find(text).map_or(self, |token| Self::from(Caller::with_static(token, now)))
            }
            _ => self,
        }
    }
}

impl Identified {
    /// Whether it is good for this resource, now.
    pub(crate) fn authenticate(
        self,
        resource: &ResourcePolicy,
        policy: &Policy,
        now: UnixTime,
    ) -> Result<Caller, Refusal> {
        match self {
            Self::Token(token) => token.authenticate(resource, policy, now),
            Self::Static(token) => Caller::with_static(&token, now),
        }
    }
}

impl Checks {
    pub(crate) fn new(policy: &Policy, crypto: Box<dyn HostCrypto>, seed: u64) -> Self {
        let servers = policy.authorization_servers().iter().enumerate();
        Self {
            keys: servers.map(|(index, server)| KeyCache::new(index, server, seed)).collect(),
            tokens: TokenCache::new(policy.token_cache()),
            acceleration: Acceleration::new(policy.verify_signature(), crypto),
            flights: Flights::default(),
            credentials: Credentials::default(),
            failing: Vec::new(),
            clock: UnixTime(0),
        }
    }

    /// Notes what time it is. A clock that was ahead and is set right would leave whatever was planned by it hours ahead:
    /// without keys, or with keys that were taken back.
    pub(crate) fn set_clock(&mut self, now: UnixTime) {
        if now < self.clock {
            let seconds = self.clock.seconds_from(now);
            self.keys.iter_mut().for_each(|cache| cache.set_back(seconds));
            self.flights.set_back(seconds);
            self.tokens.forget();
            self.credentials.forget();
        }
        self.clock = now;
    }

    /// What a request presents. The bytes of a token that is remembered were read before, and are only compared.
    pub(crate) fn read<'r>(
        &mut self,
        authorization: Authorization<'r>,
        now: UnixTime,
    ) -> Result<Presented<'r>, CredentialsError> {
        if let Some(token) = authorization.unread().and_then(|text| self.recall(text, now)) {
            return Ok(Presented::Known(token));
        }
        Ok(authorization.bearer()?.map_or(Presented::Nothing, Presented::New))
    }

    /// A token that was found good before, with a key that its issuer still has.
    fn recall(&mut self, text: &[u8], now: UnixTime) -> Option<Arc<VerifiedToken>> {
        let token = self.tokens.good(text, now)?;
        let counts = match token.proof() {
            Proof::Key(key) => self.keys.get_mut(token.issuer())?.holds(key, now),
            Proof::Introspection => true,
        };
        counts.then(|| Arc::clone(token))
    }

    /// Whose token this is: one that is remembered, or as [`Checks::identify_new`] says.
    pub(crate) fn identify(
        &mut self,
        policy: &Policy,
        resource: &ResourcePolicy,
        text: BearerToken<'_>,
        now: UnixTime,
        patience: Patience,
    ) -> Step<Identified> {
        match self.recall(text.expose().as_bytes(), now) {
            Some(known) => Step::Done(Identified::Token(known)),
            None => self.identify_new(policy, resource, text, now, patience),
        }
    }

    /// The way of a token that is not remembered: candidate, key, signature; or the word of its authorization server.
    pub(crate) fn identify_new(
        &mut self,
        policy: &Policy,
        resource: &ResourcePolicy,
        text: BearerToken<'_>,
        now: UnixTime,
        patience: Patience,
    ) -> Step<Identified> {
        let refuse = |error| Step::Refuse(Refusal::Token(error));
        let candidate = match Candidate::parse(text, resource, policy, now) {
            Ok(candidate) => candidate,
            Err(TokenError::Jws(error)) if error.is_opaque() => {
                let Some(issuer) = policy.introspects_opaque(resource) else { return refuse(TokenError::Jws(error)) };
                // Before anybody is asked: the operator's own tokens are nobody else's business.
                return match resource.static_tokens().find(text.expose().as_bytes()) {
                    Some(token) => Step::Done(Identified::Static(Arc::clone(token))),
                    None => self.introspect(issuer, text, None, now),
                };
            }
            Err(error) => return refuse(error),
        };
        let issuer = candidate.issuer();
        let Some((cache, server)) = self.keys.get_mut(issuer).zip(policy.authorization_server(issuer)) else {
            return Step::Refuse(unavailable(policy, issuer, 1));
        };
        if server.has_no_keys() {
            return self.introspect(issuer, text, None, now);
        }
        let wait = Wait { awaited: Awaited::Keys(issuer), room: RoomOf::Issuer(issuer) };
        let key = match cache.lookup(candidate.key_id(), candidate.algorithm(), now, patience) {
            Lookup::Found(key) => key,
            Lookup::Wait => return Step::Wait(wait),
            Lookup::NotFound => return refuse(TokenError::UnknownKey(candidate.key_id().map(ToOwned::to_owned))),
            Lookup::Ambiguous => return refuse(TokenError::AmbiguousKey),
            Lookup::Unavailable { retry_after } => return Step::Refuse(unavailable(policy, issuer, retry_after)),
        };
        let bad = Bad::Signature(issuer, key.serial());
        let known_bad = self.tokens.bad(text) == Some(bad);
        let verified =
            if known_bad { Err(BadSignature) } else { candidate.verify(key, policy, &mut self.acceleration) };
        if let Ok(token) = verified {
            let token = Arc::new(token);
            if server.introspection().is_some_and(|introspection| introspection.tokens == Tokens::Always) {
                return self.introspect(issuer, text, Some(token), now);
            }
            self.tokens.remember(text, &token, now, None);
            return Step::Done(Identified::Token(token));
        }
        self.tokens.remember_bad(text, bad);
        if cache.may_have_changed(now, patience) {
            return Step::Wait(wait);
        }
        refuse(TokenError::Signature)
    }

    /// Has a token's authorization server asked about it, once for all that present it.
    fn introspect(
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

pub(crate) fn unavailable(policy: &Policy, issuer: usize, retry_after: u64) -> Refusal {
    let issuer = policy.authorization_server(issuer).map(|server| server.issuer().as_str().to_owned());
    Refusal::KeysUnavailable { issuer: issuer.unwrap_or_default(), retry_after }
}
