//! The one flow, readable from top to bottom: request in, [`Verdict`] out.
//!
//! ```text
//! on_request ─ match ─┬─ document, preflight ──────────────────────────► Reply
//!                     ├─ no resource ──────────────────────────────────► Reply 404 (or NotOurs)
//!                     └─ resource ─ credentials ─ candidate ─ key ─┬───► Hold ··· on_answer ··► (the same from `key`)
//!                                                                  └─ signature ─┬─────────────► ReadBody ····· judge ─┐
//!                                                                                └─ scopes ◄───────────────────────────┘
//!                                                                                      └───────► Forward or Reply
//! ```

use alloc::{borrow::ToOwned, boxed::Box, collections::BTreeMap, string::String, sync::Arc, vec::Vec};

use crate::{
    acceleration::{Acceleration, HostCrypto, NoHostCrypto},
    arrival::{Arrival, Expected},
    bearer::{Authorization, BearerToken, CredentialsError},
    cors::Origin,
    fetch::{Answer, Fetch, FetchId, KeyEvent},
    forward::Forward,
    grant::{Caller, VerifiedToken},
    key_cache::{KeyCache, Lookup, Patience, Progress},
    path::RequestPath,
    pending::{Pending, admit},
    policy::{Policy, ResourcePolicy, Unmatched},
    refusal::Refusal,
    reply::Reply,
    request::Request,
    routes::Target,
    signature::BadSignature,
    time::UnixTime,
    token::{Candidate, TokenError},
    token_cache::TokenCache,
    waiting::{Place, Rooms},
};

/// What the host must do with a request.
#[derive(Debug)]
#[must_use]
pub enum Verdict {
    /// Send it upstream, after every edit was made.
    Forward(Forward),
    /// Keep it until a [`Resumed`] names it.
    Hold,
    /// Keep it until its body was read, then ask [`Pending::judge`].
    ReadBody(Box<Pending>),
    /// Answer it. The upstream never sees it.
    Reply(Reply),
    /// Send it upstream untouched: it belongs to no resource, and the operator said `unmatched: insecure_forward`.
    NotOurs(NotOurs),
}

/// Evidence that the operator asked for [`Unmatched::InsecureForward`]; nothing else makes one.
#[derive(Debug)]
pub struct NotOurs(());

/// The host's name for a request, such as the number of its context.
pub type RequestId = u32;

/// A verdict on a request that was held.
#[derive(Debug)]
#[must_use]
pub struct Resumed {
    /// The request.
    pub request: RequestId,
    /// Never [`Verdict::Hold`].
    pub verdict: Verdict,
}

/// What an answer led to.
#[derive(Debug, Default)]
#[must_use]
pub struct Outcome {
    /// The requests that can go on.
    pub resumed: Vec<Resumed>,
    /// For the log.
    pub event: Option<KeyEvent>,
}

/// The gate of one worker: a policy, the keys it needs, and the requests that wait for them.
#[derive(Debug)]
pub struct Gate {
    policy: Arc<Policy>,
    checks: Checks,
    held: BTreeMap<RequestId, Held>,
    rooms: Rooms,
}

/// What a worker knows that its policy does not say.
#[derive(Debug)]
struct Checks {
    keys: Vec<KeyCache>,
    tokens: TokenCache,
    acceleration: Acceleration,
    /// The time of the last call.
    clock: UnixTime,
}

/// A request that waits. Its token is a secret, so it has no `Debug` of its own.
struct Held {
    issuer: usize,
    resource: usize,
    token: String,
    arrival: Arrival,
    place: Place,
}

impl core::fmt::Debug for Held {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Held(issuer {}, resource {})", self.issuer, self.resource)
    }
}

/// The credentials of a request.
enum Presented<'r> {
    Nothing,
    /// A token whose signature need not be checked again.
    Known(Arc<VerifiedToken>),
    New(BearerToken<'r>),
}

/// What one look at a token comes to.
enum Judgement<'r> {
    Admit(Caller),
    Refuse(Refusal),
    /// Its issuer's keys must be fetched first.
    Wait {
        issuer: usize,
        token: BearerToken<'r>,
    },
}

impl Gate {
    /// A gate that enforces `policy`, has no keys yet, and checks all signatures itself.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self::on_host(policy, Box::new(NoHostCrypto), 0)
    }

    /// A gate that may let its host check signatures.
    ///
    /// `seed` should differ from worker to worker; it spreads their refreshes over time, and nothing else.
    #[must_use]
    pub fn on_host(policy: Policy, crypto: Box<dyn HostCrypto>, seed: u64) -> Self {
        let servers = policy.authorization_servers().iter().enumerate();
        let checks = Checks {
            keys: servers.map(|(index, server)| KeyCache::new(index, server, seed)).collect(),
            tokens: TokenCache::new(policy.token_cache()),
            acceleration: Acceleration::new(policy.verify_signature(), crypto),
            clock: UnixTime(0),
        };
        let rooms = Rooms::new(policy.authorization_servers().len());
        Self { policy: Arc::new(policy), checks, held: BTreeMap::new(), rooms }
    }

    /// What the gate enforces.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Decides on the head of a request. Every method and every content type is treated alike.
    ///
    /// After [`Verdict::Hold`] the gate remembers the request until [`Gate::on_answer`], [`Gate::on_time`] or
    /// [`Gate::on_gone`] names it; [`Gate::poll_fetch`] says what to fetch meanwhile.
    pub fn on_request(&mut self, id: RequestId, request: &Request<'_>, now: UnixTime) -> Verdict {
        let refuse = |refusal| Verdict::Reply(Reply::refuse(refusal));
        // A host that asks twice about one request must not get an answer to the first question later.
        self.held.remove(&id);
        if self.policy.unmatched() == Unmatched::Misconfigured {
            return refuse(Refusal::Misconfigured);
        }
        let Some((authority, path)) = request.target() else { return refuse(Refusal::Head) };
        let path = match RequestPath::parse(path) {
            Ok(path) => path,
            Err(error) => return refuse(Refusal::Path(error)),
        };
        let target = match self.policy.target(authority, &path, request.route()) {
            Ok(target) => target,
            Err(refusal) => return refuse(refusal),
        };
        let index = match target {
            Target::Resource(index) => index,
            Target::Document(index) => {
                return self.policy.resource(index).map_or_else(
                    || refuse(Refusal::NoDocument),
                    |resource| Verdict::Reply(resource.document.answer(request)),
                );
            }
            Target::Keys(index) => {
                return self
                    .policy
                    .resource(index)
                    .and_then(ResourcePolicy::jwks)
                    .map_or_else(|| refuse(Refusal::NoDocument), |jwt| Verdict::Reply(jwt.jwks.answer(request)));
            }
            Target::NoDocument => return refuse(Refusal::NoDocument),
            Target::Nothing if self.policy.unmatched() == Unmatched::InsecureForward => {
                return Verdict::NotOurs(NotOurs(()));
            }
            Target::Nothing | Target::OtherHost => return refuse(Refusal::Unmatched),
        };
        let Some(resource) = self.policy.resource(index) else { return refuse(Refusal::Unmatched) };
        let origin = resource.origins().judge(request.origin());
        if origin == Origin::Refused {
            return Verdict::Reply(Reply::challenge(Refusal::Origin, resource, &origin));
        }
        if request.is_preflight() {
            return Verdict::Reply(resource.origins().preflight(&origin, request.preflight_headers()));
        }
        self.checks.set_clock(now);
        let presented = match self.checks.read(request.authorization(), now) {
            Ok(presented) => presented,
            Err(error) => return Verdict::Reply(Reply::challenge(Refusal::Credentials(error), resource, &origin)),
        };
        let arrival = Arrival::new(request, &path, resource, origin);
        let judgement = match presented {
            // Only the body tells whether the method is one that needs no token.
            Presented::Nothing
                if resource.access().is_some_and(|access| !access.anonymous.is_empty())
                    && matches!(arrival.body, Expected::Message(_)) =>
            {
                Judgement::Admit(Caller::anonymous())
            }
            Presented::Nothing => Judgement::Refuse(Refusal::MissingToken),
            Presented::Known(token) => Judgement::from(token.authenticate(resource, &self.policy, now)),
            Presented::New(token) => self.checks.judge(&self.policy, resource, token, now, Patience::MayWait),
        };
        match judgement.or_static(request.authorization(), resource, now) {
            Judgement::Admit(caller) => admit(caller, index, arrival, resource, &self.policy, &self.rooms),
            Judgement::Refuse(refusal) => Verdict::Reply(Reply::challenge(refusal, resource, &arrival.origin)),
            Judgement::Wait { issuer, token } => {
                let room = self.rooms.keys.get(issuer);
                let Some(place) = room.and_then(|room| room.enter(arrival.size)) else {
                    let refusal = Refusal::Overloaded { held: self.held.len() };
                    return Verdict::Reply(Reply::challenge(refusal, resource, &arrival.origin));
                };
                let token = token.expose().to_owned();
                self.held.insert(id, Held { issuer, resource: index, token, arrival, place });
                Verdict::Hold
            }
        }
    }

    /// To be told how much of the body of a held request the host has, where bodies come before the verdict on the head. If
    /// it is read and is too long, or if too much waits already, this is the answer, and the request is not held any more.
    pub fn on_held_body(&mut self, id: RequestId, size: usize) -> Option<Reply> {
        let held = self.held.get_mut(&id)?;
        // What is not read is the host's to bound.
        let most = self.policy.resource(held.resource)?.access()?.max_body_bytes;
        if size > most {
            return self.refuse_held(id, Refusal::TooLarge { most });
        }
        if !held.place.resize(held.arrival.size.saturating_add(size)) {
            let held = self.held.len();
            return self.refuse_held(id, Refusal::Overloaded { held });
        }
        None
    }

    /// The answer to a held request that cannot be held any more; `None` if it is not.
    pub fn refuse_held(&mut self, id: RequestId, refusal: Refusal) -> Option<Reply> {
        let held = self.held.remove(&id)?;
        Some(Reply::refuse_for(refusal, self.policy.resource(held.resource), &held.arrival.origin))
    }

    /// The next fetch to start now; to be called until there is none.
    pub fn poll_fetch(&mut self, now: UnixTime) -> Option<Fetch> {
        self.checks.set_clock(now);
        self.checks.keys.iter_mut().find_map(|cache| cache.poll_fetch(now))
    }

    /// Takes the answer to a fetch; one to a fetch that is no longer waited for changes nothing.
    pub fn on_answer(&mut self, id: FetchId, answer: Answer<'_>, now: UnixTime) -> Outcome {
        self.checks.set_clock(now);
        let Some(cache) = self.checks.keys.get_mut(id.issuer) else { return Outcome::default() };
        let progress = cache.on_answer(id, answer, now);
        self.after(id.issuer, progress, now)
    }

    /// Gives up fetches whose end the host never reported.
    pub fn on_time(&mut self, now: UnixTime) -> Vec<Outcome> {
        self.checks.set_clock(now);
        let mut outcomes = Vec::new();
        for issuer in 0..self.checks.keys.len() {
            let Some(cache) = self.checks.keys.get_mut(issuer) else { continue };
            let progress = cache.on_time(now);
            if !matches!(progress, Progress::Ignored) {
                outcomes.push(self.after(issuer, progress, now));
            }
        }
        outcomes
    }

    /// Forgets a request: its client left, or the proxy gave it up.
    pub fn on_gone(&mut self, id: RequestId) {
        self.held.remove(&id);
    }

    /// Refuses every request that waits, because the gate is about to be replaced or cannot go on.
    pub fn refuse_all_held(&mut self, refusal: &Refusal) -> Vec<Resumed> {
        let held = core::mem::take(&mut self.held);
        let refuse =
            |held: &Held| Reply::refuse_for(refusal.clone(), self.policy.resource(held.resource), &held.arrival.origin);
        held.into_iter().map(|(request, held)| Resumed { request, verdict: Verdict::Reply(refuse(&held)) }).collect()
    }

    /// When [`Gate::on_time`] and [`Gate::poll_fetch`] should be called although nothing came from outside; it may
    /// change with every other call. `None`: not at all; a time that has passed: at once.
    #[must_use]
    pub fn next_call(&self) -> Option<UnixTime> {
        self.checks.keys.iter().filter_map(KeyCache::next_call).min()
    }

    /// With how many tokens the host's cryptography was tried and was no help since the last call.
    pub fn take_acceleration_fallbacks(&mut self) -> u64 {
        self.checks.acceleration.take_fallbacks()
    }

    fn after(&mut self, issuer: usize, progress: Progress, now: UnixTime) -> Outcome {
        match progress {
            Progress::Ignored => Outcome::default(),
            Progress::Next(event) => Outcome { resumed: Vec::new(), event },
            Progress::Ended(event) => Outcome { resumed: self.resume(issuer, now), event: Some(event) },
        }
    }

    /// Decides on everything that waited for this issuer, with what is known now.
    fn resume(&mut self, issuer: usize, now: UnixTime) -> Vec<Resumed> {
        let (due, held): (BTreeMap<_, _>, _) =
            core::mem::take(&mut self.held).into_iter().partition(|(_, held)| held.issuer == issuer);
        self.held = held;
        due.into_iter().map(|(request, held)| Resumed { request, verdict: self.reconsider(held, now) }).collect()
    }

    fn reconsider(&mut self, held: Held, now: UnixTime) -> Verdict {
        let Some(resource) = self.policy.resource(held.resource) else {
            return Verdict::Reply(Reply::refuse(Refusal::Unmatched));
        };
        let Held { resource: index, token, arrival, .. } = held;
        let token = BearerToken::held(&token);
        let judgement = match self.checks.recall(token.expose().as_bytes(), now) {
            Some(known) => Judgement::from(known.authenticate(resource, &self.policy, now)),
            None => self.checks.judge(&self.policy, resource, token, now, Patience::Waited),
        };
        let refusal = match judgement {
            Judgement::Admit(caller) => return admit(caller, index, arrival, resource, &self.policy, &self.rooms),
            Judgement::Refuse(refusal) => refusal,
            Judgement::Wait { issuer, .. } => unavailable(&self.policy, issuer, 1),
        };
        Verdict::Reply(Reply::challenge(refusal, resource, &arrival.origin))
    }
}

impl Checks {
    /// Notes what time it is. A clock that was ahead and is set right would leave whatever was planned by it hours ahead:
    /// without keys, or with keys that were taken back.
    fn set_clock(&mut self, now: UnixTime) {
        if now < self.clock {
            let seconds = self.clock.seconds_from(now);
            self.keys.iter_mut().for_each(|cache| cache.set_back(seconds));
            self.tokens.forget_good();
        }
        self.clock = now;
    }

    /// What a request presents. The bytes of a token that is remembered were read before, and are only compared.
    fn read<'r>(&mut self, authorization: Authorization<'r>, now: UnixTime) -> Result<Presented<'r>, CredentialsError> {
        if let Some(token) = authorization.unread().and_then(|text| self.recall(text, now)) {
            return Ok(Presented::Known(token));
        }
        Ok(authorization.bearer()?.map_or(Presented::Nothing, Presented::New))
    }

    /// A token that was verified before, with a key that its issuer still has.
    fn recall(&mut self, text: &[u8], now: UnixTime) -> Option<Arc<VerifiedToken>> {
        let token = self.tokens.good(text, now)?;
        let is_held = self.keys.get_mut(token.issuer())?.holds(token.key(), now);
        is_held.then(|| Arc::clone(token))
    }

    /// The way of a token that is not remembered: candidate, key, signature; then its rights.
    fn judge<'r>(
        &mut self,
        policy: &Policy,
        resource: &ResourcePolicy,
        text: BearerToken<'r>,
        now: UnixTime,
        patience: Patience,
    ) -> Judgement<'r> {
        let candidate = match Candidate::parse(text, resource, policy, now) {
            Ok(candidate) => candidate,
            Err(error) => return Judgement::Refuse(Refusal::Token(error)),
        };
        let issuer = candidate.issuer();
        let Some(cache) = self.keys.get_mut(issuer) else { return Judgement::Refuse(unavailable(policy, issuer, 1)) };
        let key = match cache.lookup(candidate.key_id(), candidate.algorithm(), now, patience) {
            Lookup::Found(key) => key,
            Lookup::Wait => return Judgement::Wait { issuer, token: text },
            Lookup::NotFound => {
                let key_id = candidate.key_id().map(ToOwned::to_owned);
                return Judgement::Refuse(Refusal::Token(TokenError::UnknownKey(key_id)));
            }
            Lookup::Ambiguous => return Judgement::Refuse(Refusal::Token(TokenError::AmbiguousKey)),
            Lookup::Unavailable { retry_after } => {
                return Judgement::Refuse(unavailable(policy, issuer, retry_after));
            }
        };
        let serial = key.serial();
        let known_bad = self.tokens.bad(text) == Some((issuer, serial));
        let verified =
            if known_bad { Err(BadSignature) } else { candidate.verify(key, policy, &mut self.acceleration) };
        if let Ok(token) = verified {
            let token = Arc::new(token);
            self.tokens.remember(text, &token, now);
            return Judgement::from(token.authenticate(resource, policy, now));
        }
        self.tokens.remember_bad(text, (issuer, serial));
        if cache.may_have_changed(now, patience) {
            return Judgement::Wait { issuer, token: text };
        }
        Judgement::Refuse(Refusal::Token(TokenError::Signature))
    }
}

impl Judgement<'_> {
    /// A token that no issuer of the resource answers for may be one that the operator listed. Asked last, so that nobody
    /// else pays for the hash.
    fn or_static(self, presented: Authorization<'_>, resource: &ResourcePolicy, now: UnixTime) -> Self {
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

impl From<Result<Caller, Refusal>> for Judgement<'_> {
    fn from(authenticated: Result<Caller, Refusal>) -> Self {
        match authenticated {
            Ok(caller) => Self::Admit(caller),
            Err(refusal) => Self::Refuse(refusal),
        }
    }
}

fn unavailable(policy: &Policy, issuer: usize, retry_after: u64) -> Refusal {
    let issuer = policy.authorization_server(issuer).map(|server| server.issuer().as_str().to_owned());
    Refusal::KeysUnavailable { issuer: issuer.unwrap_or_default(), retry_after }
}
