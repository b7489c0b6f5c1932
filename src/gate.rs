//! The one flow, readable from top to bottom: request in, [`Verdict`] out.
//!
//! ```text
//! on_request ─ match ─┬─ document, preflight ──────────────────────────► Reply
//!                     ├─ no resource ──────────────────────────────────► Reply 404 (or NotOurs)
//!                     └─ resource ─ credentials ─ candidate ─ key ─┬───► Hold ··· on_answer ··► (the same from `key`)
//!                                                       signature ─┴─ introspection ─┬─────────► Hold ··· on_answer ─┐
//!                                                                       possession ◄─┴───────────────────────────────┘
//!                                                                       credential for the upstream ─┬─► Hold ·· on_answer ─┐
//!                                                                                          body ◄────┴──────────────────────┘
//!                                                                                            ├─► ReadBody ····· judge ─┐
//!                                                                                          scopes ◄────────────────────┘
//!                                                                                            └─► Forward or Reply
//! ```

use alloc::{boxed::Box, collections::BTreeMap, sync::Arc, vec::Vec};

use crate::{
    acceleration::{HostCrypto, NoHostCrypto},
    arrival::{Arrival, Expected},
    bearer::BearerToken,
    checks::{Awaited, Checks, Identified, Landing, Presented, RoomOf, Step, Wait, unavailable},
    cors::Origin,
    fetch::{Answer, Asker, Fetch, FetchError, FetchId, KeyEvent, RemoteEvent},
    flights::FlightId,
    forward::Forward,
    grant::Caller,
    key_cache::{Patience, Progress},
    path::RequestPath,
    pending::{Pending, admit},
    policy::{Policy, ResourcePolicy, Unmatched},
    refusal::Refusal,
    reply::Reply,
    request::Request,
    routes::Target,
    secret::Secret,
    time::UnixTime,
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
    /// For the log.
    pub remote: Option<RemoteEvent>,
}

/// The gate of one worker: a policy, the keys it needs, and the requests that wait for them.
#[derive(Debug)]
pub struct Gate {
    policy: Arc<Policy>,
    checks: Checks,
    held: BTreeMap<RequestId, Held>,
    rooms: Rooms,
}

/// A request that waits. Its token is a secret, so it has no `Debug` of its own.
struct Held {
    awaited: Awaited,
    resource: usize,
    token: Secret,
    /// Who was found to be calling; what it waits for is the credential for its upstream.
    caller: Option<Caller>,
    arrival: Arrival,
    place: Place,
}

impl core::fmt::Debug for Held {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Held({:?}, resource {})", self.awaited, self.resource)
    }
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
        let checks = Checks::new(&policy, crypto, seed);
        let rooms = Rooms::new(policy.authorization_servers().len(), &policy.asking_upstreams());
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
        let arrival = Arrival::new(request, &path, resource, origin);
        let presented = match self.checks.read(request.authorization(), resource.schemes(), now) {
            Ok(presented) => presented,
            Err(error) => return Verdict::Reply(arrival.refuse(Refusal::Credentials(error), resource)),
        };
        let text = request.authorization().unread_in(resource.schemes());
        let text = text.and_then(|(_, text)| str::from_utf8(text).ok());
        let policy = Arc::clone(&self.policy);
        let step = match presented {
            // Only the body tells whether the method is one that needs no token.
            Presented::Nothing
                if resource.access().is_some_and(|access| !access.anonymous.is_empty())
                    && matches!(arrival.body, Expected::Message(_)) =>
            {
                Step::Done(Caller::anonymous())
            }
            Presented::Nothing => Step::Refuse(Refusal::MissingToken),
            Presented::Known(known) => {
                let who = Identified::Token(known);
                Step::from(self.checks.authenticate(who, &arrival.possession, resource, &policy, now))
            }
            Presented::New(new) => {
                let identified = self.checks.identify_new(&policy, resource, new, now, Patience::MayWait);
                identified.and_then(|who| self.checks.authenticate(who, &arrival.possession, resource, &policy, now))
            }
        };
        let presented = request.authorization();
        let step = self.checks.or_static(step, presented, &arrival.possession, resource, &policy, now);
        match self.go_on(step, index, arrival, None, text, now) {
            Next::Verdict(verdict) => verdict,
            Next::Wait { awaited, caller, arrival, place } => {
                let token = Secret::new(text.unwrap_or_default());
                self.held.insert(id, Held { awaited, resource: index, token, caller, arrival, place });
                Verdict::Hold
            }
        }
    }

    /// From what is known of the caller to a verdict, or to the next thing to wait for.
    fn go_on(
        &mut self,
        step: Step<Caller>,
        index: usize,
        arrival: Arrival,
        place: Option<Place>,
        text: Option<&str>,
        now: UnixTime,
    ) -> Next {
        let policy = Arc::clone(&self.policy);
        let Some(resource) = policy.resource(index) else {
            return Next::Verdict(Verdict::Reply(Reply::refuse(Refusal::Unmatched)));
        };
        let caller = match step {
            Step::Done(caller) => caller,
            Step::Refuse(refusal) => return Next::Verdict(Verdict::Reply(arrival.refuse(refusal, resource))),
            Step::Wait(wait) => return self.wait(wait, None, resource, arrival, place),
        };
        let step = match &arrival.body {
            Expected::Refused(_) => Step::Done(None),
            _ => self.checks.credential(&policy, index, resource, &caller, text, now),
        };
        match step {
            Step::Done(credential) => {
                Next::Verdict(admit(caller, credential, index, arrival, resource, &policy, &self.rooms))
            }
            Step::Refuse(refusal) => Next::Verdict(refuse_known(refusal, resource, &arrival, &caller)),
            Step::Wait(wait) => self.wait(wait, Some(caller), resource, arrival, place),
        }
    }

    fn wait(
        &self,
        Wait { awaited, room }: Wait,
        caller: Option<Caller>,
        resource: &ResourcePolicy,
        arrival: Arrival,
        place: Option<Place>,
    ) -> Next {
        let size = place.as_ref().map_or(arrival.size, Place::bytes);
        let place = match room {
            RoomOf::Issuer(issuer) => place.or_else(|| self.rooms.issuers.get(issuer)?.enter(size)),
            RoomOf::Upstream(index) => {
                let room = self.rooms.upstreams.get(index).and_then(Option::as_ref);
                room.and_then(|room| room.enter(size))
            }
            RoomOf::Anonymous => self.rooms.reading_anonymous.enter(size),
        };
        match place {
            Some(place) => Next::Wait { awaited, caller, arrival, place },
            None => {
                let refusal = Refusal::Overloaded { held: self.held.len() };
                Next::Verdict(Verdict::Reply(arrival.refuse(refusal, resource)))
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

    /// Whether the body of a held request will be read; if not, the host need not collect it.
    #[must_use]
    pub fn reads_held_body(&self, id: RequestId) -> bool {
        self.held.get(&id).and_then(|held| self.policy.resource(held.resource)?.access()).is_some()
    }

    /// The answer to a held request that cannot be held any more; `None` if it is not.
    pub fn refuse_held(&mut self, id: RequestId, refusal: Refusal) -> Option<Reply> {
        let held = self.held.remove(&id)?;
        Some(Reply::refuse_for(refusal, self.policy.resource(held.resource), &held.arrival.origin))
    }

    /// The next fetch to start now; to be called until there is none.
    pub fn poll_fetch(&mut self, now: UnixTime) -> Option<Fetch> {
        self.checks.poll_fetch(&self.policy, now)
    }

    /// Whether the answer to a fetch is still waited for. A host that never reports the end of some may forget the others.
    #[must_use]
    pub fn awaits(&self, id: FetchId) -> bool {
        self.checks.awaits(id)
    }

    /// Takes the answer to a fetch; one to a fetch that is no longer waited for changes nothing.
    pub fn on_answer(&mut self, id: FetchId, answer: Answer<'_>, now: UnixTime) -> Outcome {
        self.checks.set_clock(now);
        match id.asker {
            Asker::Keys(issuer) => {
                let Some(cache) = self.checks.keys.get_mut(issuer) else { return Outcome::default() };
                let progress = cache.on_answer(id, answer, now);
                self.after_keys(issuer, progress, now)
            }
            Asker::Flight => self.after_flight(FlightId(id.serial), Ok(answer), now),
        }
    }

    /// Gives up fetches whose end the host never reported.
    pub fn on_time(&mut self, now: UnixTime) -> Vec<Outcome> {
        self.checks.set_clock(now);
        let mut outcomes = Vec::new();
        for issuer in 0..self.checks.keys.len() {
            let Some(cache) = self.checks.keys.get_mut(issuer) else { continue };
            let progress = cache.on_time(now);
            if !matches!(progress, Progress::Ignored) {
                outcomes.push(self.after_keys(issuer, progress, now));
            }
        }
        for flight in self.checks.overdue(now) {
            outcomes.push(self.after_flight(flight, Err(FetchError::Forgotten), now));
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
        self.checks.next_call()
    }

    /// Whether there is something to fetch that no request waits for, so that [`Gate::poll_fetch`] should be called soon.
    #[must_use]
    pub fn wants_fetch(&self) -> bool {
        self.checks.has_unsent()
    }

    /// With how many tokens the host's cryptography was tried and was no help since the last call.
    pub fn take_acceleration_fallbacks(&mut self) -> u64 {
        self.checks.acceleration.take_fallbacks()
    }

    fn after_keys(&mut self, issuer: usize, progress: Progress, now: UnixTime) -> Outcome {
        match progress {
            Progress::Ignored => Outcome::default(),
            Progress::Next(event) => Outcome { event, ..Outcome::default() },
            Progress::Ended(event) => {
                Outcome { resumed: self.resume(Awaited::Keys(issuer), None, now), event: Some(event), remote: None }
            }
        }
    }

    fn after_flight(&mut self, flight: FlightId, answer: Result<Answer<'_>, FetchError>, now: UnixTime) -> Outcome {
        let policy = Arc::clone(&self.policy);
        let Some((landing, remote)) = self.checks.land(flight, answer, &policy, now) else {
            return Outcome::default();
        };
        Outcome { resumed: self.resume(Awaited::Flight(flight), Some(&landing), now), event: None, remote }
    }

    /// Decides on everything that waited for this, with what is known now. Some of it may have to wait for something else.
    fn resume(&mut self, awaited: Awaited, landing: Option<&Landing>, now: UnixTime) -> Vec<Resumed> {
        let is_due = |(id, held): (&RequestId, &Held)| (held.awaited == awaited).then_some(*id);
        let due: Vec<RequestId> = self.held.iter().filter_map(is_due).collect();
        let mut resumed = Vec::new();
        for request in due {
            let Some(held) = self.held.remove(&request) else { continue };
            if let Some(verdict) = self.reconsider(request, held, landing, now) {
                resumed.push(Resumed { request, verdict });
            }
        }
        resumed
    }

    /// `None`: it waits again, for something else.
    fn reconsider(&mut self, id: RequestId, held: Held, landing: Option<&Landing>, now: UnixTime) -> Option<Verdict> {
        let policy = Arc::clone(&self.policy);
        let Some(resource) = policy.resource(held.resource) else {
            return Some(Verdict::Reply(Reply::refuse(Refusal::Unmatched)));
        };
        let Held { resource: index, token, caller, arrival, place, .. } = held;
        if let (Some(caller), Some(Landing::Credential(credential))) = (caller, landing) {
            // It was found good before it waited.
            let credential = caller.check_times(&policy, now).and_then(|()| credential.clone());
            return Some(match credential {
                Ok(credential) => admit(caller, Some(credential), index, arrival, resource, &policy, &self.rooms),
                Err(refusal) => refuse_known(refusal, resource, &arrival, &caller),
            });
        }
        let identified = match landing {
            Some(Landing::Credential(_)) => Step::Refuse(Refusal::Misconfigured),
            Some(Landing::Token(token)) => Step::from(token.clone().map(Identified::Token)),
            None => {
                let text = BearerToken::held(token.expose());
                match self.checks.identify(&policy, resource, text, now, Patience::Waited) {
                    // Whatever is known now decides.
                    Step::Wait(Wait { awaited: Awaited::Keys(issuer), .. }) => {
                        Step::Refuse(unavailable(&policy, issuer, 1))
                    }
                    step => step,
                }
            }
        };
        let step =
            identified.and_then(|who| self.checks.authenticate(who, &arrival.possession, resource, &policy, now));
        match self.go_on(step, index, arrival, Some(place), Some(token.expose()), now) {
            Next::Verdict(verdict) => Some(verdict),
            Next::Wait { awaited, caller, arrival, place } => {
                self.held.insert(id, Held { awaited, resource: index, token, caller, arrival, place });
                None
            }
        }
    }
}

/// What comes next for a request.
enum Next {
    Verdict(Verdict),
    Wait { awaited: Awaited, caller: Option<Caller>, arrival: Arrival, place: Place },
}

fn refuse_known(refusal: Refusal, resource: &ResourcePolicy, arrival: &Arrival, caller: &Caller) -> Verdict {
    Verdict::Reply(arrival.refuse(refusal, resource).about(caller, &[]))
}
