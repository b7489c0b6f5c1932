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

mod held;

use alloc::{boxed::Box, collections::BTreeMap, sync::Arc, vec::Vec};

use self::held::{Held, Next};
use crate::{
    acceleration::{HostCrypto, NoHostCrypto},
    arrival::{Arrival, Expected},
    checks::{Awaited, Checks, Identified, Presented, Step},
    cors::Origin,
    explain::{self, Check},
    fetch::{Answer, Asker, Fetch, FetchError, FetchId, KeyEvent, RemoteEvent},
    filter_state::Notes,
    flights::FlightId,
    forward::Forward,
    grant::Caller,
    key_cache::{Patience, Progress},
    metrics::{Count, Counts},
    path::RequestPath,
    pending::{Pending, admit},
    policy::{Policy, Unmatched},
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
    held: BTreeMap<RequestId, Box<Held>>,
    rooms: Rooms,
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
        explain::at(Check::Head);
        let Some((authority, path)) = request.target() else { return refuse(Refusal::Head) };
        let path = match RequestPath::parse(path) {
            Ok(path) => path,
            Err(error) => return refuse(Refusal::Path(error)),
        };
        explain::at(Check::Resource);
        let target = match self.policy.target(authority, &path, request.route()) {
            Ok(target) => target,
            Err(refusal) => return refuse(refusal),
        };
        let index = match target {
            Target::Resource(index) => index,
            Target::Document(index) => {
                return self.policy.resource(index).map_or_else(
                    || refuse(Refusal::NoDocument),
                    |resource| Verdict::Reply(resource.document.answer(request).of_resource(resource)),
                );
            }
            Target::Keys(index) => {
                let resource = self.policy.resource(index);
                return resource.and_then(|resource| Some((resource, resource.jwks()?))).map_or_else(
                    || refuse(Refusal::NoDocument),
                    |(resource, jwt)| Verdict::Reply(jwt.jwks.answer(request).of_resource(resource)),
                );
            }
            Target::NoDocument => return refuse(Refusal::NoDocument),
            Target::Nothing if self.policy.unmatched() == Unmatched::InsecureForward => {
                return Verdict::NotOurs(NotOurs(()));
            }
            Target::Nothing | Target::Alike => return refuse(Refusal::Unmatched),
        };
        let policy = Arc::clone(&self.policy);
        let Some(resource) = policy.resource(index) else { return refuse(Refusal::Unmatched) };
        explain::at(Check::Origin);
        let origin = resource.origins().judge(request.origin());
        let is_refused = origin == Origin::Refused;
        if request.is_preflight() && !is_refused {
            let preflight = resource.origins().preflight(&origin, request.preflight_headers());
            return Verdict::Reply(preflight.of_resource(resource));
        }
        self.checks.set_clock(now);
        let mut arrival = Arrival::new(request, &path, resource, origin);
        if is_refused {
            return arrival.turn_away(Refusal::Origin, None, Notes::default(), resource, &policy);
        }
        explain::at(Check::Credentials);
        let presented = match self.checks.read(request.authorization(), resource.schemes(), now) {
            Ok(presented) => presented,
            Err(error) => {
                let refusal = Refusal::Credentials(error);
                return arrival.turn_away(refusal, None, Notes::default(), resource, &policy);
            }
        };
        self.checks.note_presented(&presented);
        let text = request.authorization().unread_in(resource.schemes()).map(|(_, text)| text);
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
                let token = Secret::new(str::from_utf8(text.unwrap_or_default()).unwrap_or_default());
                self.held.insert(id, Box::new(Held { awaited, resource: index, token, caller, arrival, place }));
                Verdict::Hold
            }
        }
    }

    /// From what is known of the caller to a verdict, or to the next thing to wait for.
    fn go_on(
        &mut self,
        step: Step<Caller>,
        index: usize,
        mut arrival: Arrival,
        place: Option<Place>,
        text: Option<&[u8]>,
        now: UnixTime,
    ) -> Next {
        let policy = Arc::clone(&self.policy);
        let Some(resource) = policy.resource(index) else {
            return Next::Verdict(Verdict::Reply(Reply::refuse(Refusal::Unmatched)));
        };
        let caller = match step {
            Step::Done(caller) => caller,
            Step::Refuse(refusal) => {
                return Next::Verdict(arrival.turn_away(refusal, None, Notes::default(), resource, &policy));
            }
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
            Step::Refuse(refusal) => {
                Next::Verdict(arrival.turn_away(refusal, Some(&caller), Notes::default(), resource, &policy))
            }
            Step::Wait(wait) => self.wait(wait, Some(caller), resource, arrival, place),
        }
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

    /// What is to be counted since the last call, by [`COUNTERS`](crate::metrics::COUNTERS). It tells
    /// [`Gate::take_acceleration_fallbacks`] too.
    pub fn take_counts(&mut self, now: UnixTime) -> Counts {
        self.checks.take_counts(now)
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
                if event.is_failure() {
                    self.checks.tally.add(Count::KeyFailure);
                }
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
}
