//! What a worker knows that its policy does not say, and what that makes of a token.

mod questions;

use alloc::{borrow::ToOwned, boxed::Box, sync::Arc, vec::Vec};

pub(crate) use questions::Landing;
use questions::{Question, Told};

use crate::{
    acceleration::{Acceleration, HostCrypto},
    bearer::{Authorization, BearerToken, CredentialsError, Scheme},
    dpop::Replay,
    explain::{self, Check},
    flights::{FlightId, Flights},
    grant::{Caller, Proof, VerifiedToken},
    introspection::Tokens,
    key_cache::{KeyCache, Lookup, Patience},
    metrics::{Count, Counts, Tally},
    policy::{Policy, ResourcePolicy},
    possession::Possession,
    refusal::Refusal,
    signature::BadSignature,
    static_token::StaticToken,
    time::UnixTime,
    token::{Candidate, TokenError},
    token_cache::{Bad, TokenCache},
    upstream_credential::Credentials,
};

/// Keys, tokens that were checked, and questions that are open.
#[derive(Debug)]
pub(crate) struct Checks {
    pub(crate) keys: Vec<KeyCache>,
    tokens: TokenCache,
    pub(crate) acceleration: Acceleration,
    /// The DPoP proofs that were used.
    replay: Replay,
    flights: Flights<Question>,
    credentials: Credentials,
    pub(crate) tally: Tally,
    /// What the log was told of the servers.
    told: Vec<Told>,
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
    /// The same, for those without a token: they keep out only each other.
    Anonymous,
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

impl Checks {
    pub(crate) fn new(policy: &Policy, crypto: Box<dyn HostCrypto>, seed: u64) -> Self {
        let servers = policy.authorization_servers().iter().enumerate();
        Self {
            keys: servers.map(|(index, server)| KeyCache::new(index, server, seed)).collect(),
            tokens: TokenCache::new(policy.token_cache()),
            acceleration: Acceleration::new(policy.verify_signature(), crypto),
            replay: policy.replay(),
            flights: Flights::new(policy.asked_servers()),
            credentials: Credentials::default(),
            tally: Tally::default(),
            told: Vec::new(),
            clock: UnixTime(0),
        }
    }

    /// Notes what time it is. A clock that was ahead and is set right would leave whatever was planned by it hours ahead:
    /// without keys, or with keys that were taken back.
    pub(crate) fn set_clock(&mut self, now: UnixTime) {
        if now < self.clock {
            let seconds = self.clock.seconds_from(now);
            self.keys.iter_mut().for_each(|cache| cache.set_back(seconds));
            self.set_back_questions(seconds);
            self.tokens.forget();
            self.credentials.forget();
        }
        self.clock = now;
    }

    /// What a request presents. The bytes of a token that is remembered were read before, and are only compared.
    pub(crate) fn read<'r>(
        &mut self,
        authorization: Authorization<'r>,
        schemes: &[Scheme],
        now: UnixTime,
    ) -> Result<Presented<'r>, CredentialsError> {
        let unread = authorization.unread_in(schemes);
        if let Some(token) = unread.and_then(|(_, text)| self.recall(text, now)) {
            return Ok(Presented::Known(token));
        }
        Ok(authorization.token(schemes)?.map_or(Presented::Nothing, |(_, token)| Presented::New(token)))
    }

    /// Counts what the cache was good for.
    pub(crate) fn note_presented(&mut self, presented: &Presented<'_>) {
        match presented {
            Presented::Nothing => {}
            Presented::Known(_) => self.tally.add(Count::CacheHit),
            Presented::New(_) => self.tally.add(Count::CacheMiss),
        }
    }

    pub(crate) fn take_counts(&mut self, now: UnixTime) -> Counts {
        self.tally.take(self.acceleration.take_fallbacks(), now)
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
                explain::at(Check::StaticToken);
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
        explain::at(Check::Key);
        let key = match cache.lookup(candidate.key_id(), candidate.algorithm(), now, patience) {
            Lookup::Found(key) => key,
            Lookup::Wait => return Step::Wait(wait),
            Lookup::NotFound => return refuse(TokenError::UnknownKey(candidate.key_id().map(ToOwned::to_owned))),
            Lookup::Ambiguous => return refuse(TokenError::AmbiguousKey),
            Lookup::Unavailable { retry_after } => return Step::Refuse(unavailable(policy, issuer, retry_after)),
        };
        explain::at(Check::Signature);
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

    /// A token that no issuer of the resource answers for may be one that the operator listed. Asked last, so that nobody
    /// else pays for the hash.
    pub(crate) fn or_static(
        &mut self,
        step: Step<Caller>,
        presented: Authorization<'_>,
        possession: &Possession,
        resource: &ResourcePolicy,
        policy: &Policy,
        now: UnixTime,
    ) -> Step<Caller> {
        match (&step, presented.unread()) {
            (Step::Refuse(Refusal::Token(error)), Some(text))
                if error.is_foreign() && !resource.static_tokens().is_empty() =>
            {
                explain::at(Check::StaticToken);
                let Some(token) = resource.static_tokens().find(text) else { return step };
                let who = Identified::Static(Arc::clone(token));
                Step::from(self.authenticate(who, possession, resource, policy, now))
            }
            _ => step,
        }
    }

    /// Whether a token is good for this resource, now, and its sender's: to be asked once for each request.
    pub(crate) fn authenticate(
        &mut self,
        who: Identified,
        possession: &Possession,
        resource: &ResourcePolicy,
        policy: &Policy,
        now: UnixTime,
    ) -> Result<Caller, Refusal> {
        let (acceleration, replay) = (&mut self.acceleration, &mut self.replay);
        let mut prove = |bound_to| possession.prove(bound_to, resource, now, acceleration, replay);
        match who {
            Identified::Token(token) => token.authenticate(resource, policy, now, prove),
            Identified::Static(token) => prove(None).and_then(|_| Caller::with_static(&token, now)),
        }
    }
}

pub(crate) fn unavailable(policy: &Policy, issuer: usize, retry_after: u64) -> Refusal {
    let issuer = policy.authorization_server(issuer).map(|server| server.issuer().as_str().to_owned());
    Refusal::KeysUnavailable { issuer: issuer.unwrap_or_default(), retry_after }
}
