//! Requests that wait: for keys, for the word of an issuer, for a credential of their upstream.

use alloc::{boxed::Box, sync::Arc, vec::Vec};

use super::{Gate, RequestId, Resumed, Verdict};
use crate::{
    arrival::Arrival,
    bearer::BearerToken,
    checks::{Awaited, Identified, Landing, RoomOf, Step, Wait, unavailable},
    filter_state::Notes,
    grant::Caller,
    key_cache::Patience,
    pending::admit,
    policy::ResourcePolicy,
    refusal::Refusal,
    reply::Reply,
    secret::Secret,
    time::UnixTime,
    waiting::Place,
};

/// A request that waits. Its token is a secret, so it has no `Debug` of its own.
pub(super) struct Held {
    pub(super) awaited: Awaited,
    pub(super) resource: usize,
    pub(super) token: Secret,
    /// Who was found to be calling; what it waits for is the credential for its upstream.
    pub(super) caller: Option<Caller>,
    pub(super) arrival: Arrival,
    pub(super) place: Place,
}

impl core::fmt::Debug for Held {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Held({:?}, resource {})", self.awaited, self.resource)
    }
}

/// What comes next for a request.
pub(super) enum Next {
    Verdict(Verdict),
    Wait { awaited: Awaited, caller: Option<Caller>, arrival: Arrival, place: Place },
}

impl Gate {
    pub(super) fn wait(
        &self,
        Wait { awaited, room }: Wait,
        caller: Option<Caller>,
        resource: &ResourcePolicy,
        mut arrival: Arrival,
        place: Option<Place>,
    ) -> Next {
        let weight = caller.as_ref().map_or(0, Caller::weight);
        let size = place.as_ref().map_or(arrival.size, Place::bytes).saturating_add(weight);
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
                Next::Verdict(arrival.turn_away(refusal, None, Notes::default(), resource, &self.policy))
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
        let weight = held.caller.as_ref().map_or(0, Caller::weight);
        if !held.place.resize(held.arrival.size.saturating_add(weight).saturating_add(size)) {
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

    /// How many requests wait.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Decides on everything that waited for this, with what is known now. Some of it may have to wait for something else.
    pub(super) fn resume(&mut self, awaited: Awaited, landing: Option<&Landing>, now: UnixTime) -> Vec<Resumed> {
        let due: Vec<RequestId> =
            self.held.iter().filter(|(_, held)| held.awaited == awaited).map(|(id, _)| *id).collect();
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
    fn reconsider(
        &mut self,
        id: RequestId,
        held: Box<Held>,
        landing: Option<&Landing>,
        now: UnixTime,
    ) -> Option<Verdict> {
        let policy = Arc::clone(&self.policy);
        let Some(resource) = policy.resource(held.resource) else {
            return Some(Verdict::Reply(Reply::refuse(Refusal::Unmatched)));
        };
        let Held { resource: index, token, caller, mut arrival, place, .. } = *held;
        if let (Some(caller), Some(Landing::Credential(credential))) = (caller, landing) {
            // Its next place may be in the same room.
            drop(place);
            // It was found good before it waited.
            let credential = caller.check_times(&policy, now).and_then(|()| credential.clone());
            return Some(match credential {
                Ok(credential) => admit(caller, Some(credential), index, arrival, resource, &policy, &self.rooms),
                Err(refusal) => arrival.turn_away(refusal, Some(&caller), Notes::default(), resource, &policy),
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
        match self.go_on(step, index, arrival, Some(place), Some(token.expose().as_bytes()), now) {
            Next::Verdict(verdict) => Some(verdict),
            Next::Wait { awaited, caller, arrival, place } => {
                self.held.insert(id, Box::new(Held { awaited, resource: index, token, caller, arrival, place }));
                None
            }
        }
    }
}
