//! A request whose head was found good and whose body decides: from [`Pending`] to a verdict.

use alloc::{borrow::ToOwned, boxed::Box, sync::Arc, vec::Vec};

use crate::{
    arrival::{Arrival, Expected, Session},
    explain::{self, Check},
    filter_state::{FilterState, Notes},
    forward::Forward,
    gate::Verdict,
    grant::{Caller, Grant},
    list_filter::ListFilter,
    message::{self, HeaderMismatch, Kind, McpHeaders, Message, MessageError, Messages, Target},
    policy::{HoldRequests, Policy, ResourcePolicy},
    refusal::Refusal,
    reply::Reply,
    response::ResponseGuard,
    rules::{Access, Ruling, is_ambiguous, is_ambiguous_template},
    scope_policy::Needs,
    upstream_credential::{Credential, NO_CREDENTIAL},
    waiting::{Place, Room, Rooms},
};

/// A request that must be kept until its body was read to the end. It does not hold the client's token.
#[derive(Debug)]
pub struct Pending {
    policy: Arc<Policy>,
    caller: Caller,
    credential: Option<Credential>,
    index: usize,
    arrival: Arrival,
    max_body_bytes: usize,
    head: Option<Forward>,
    place: Place,
    /// For the answer, if that is a list.
    events: Room,
}

impl Pending {
    /// More bytes than this need not be read: [`Pending::too_large`] is the answer.
    #[must_use]
    pub const fn max_body_bytes(&self) -> usize {
        self.max_body_bytes
    }

    /// To be told how much of the body the host has, while it is not complete. If that is too long, or if too much waits
    /// already, this is the answer, which need not wait for the rest.
    pub fn on_arrived(&mut self, size: usize) -> Option<Reply> {
        if size > self.max_body_bytes {
            return Some(self.too_large());
        }
        let fits =
            self.place.resize(weight(&self.caller, self.credential.as_ref(), &self.arrival).saturating_add(size));
        (!fits).then(|| self.refuse(Refusal::Overloaded { held: self.place.taken() }))
    }

    /// The upstream answered the [`Pending::head`], with success or without: the reply to give instead, if its answer may be
    /// a list of which nobody knows yet that it must be filtered.
    pub fn on_early_response(&self, is_success: bool) -> Option<Reply> {
        let filters = self.resource()?.access()?.filter_lists;
        (filters && is_success).then(|| self.refuse(Refusal::EarlyResponse))
    }

    /// The head of a request of which only the body waits ([`HoldRequests::Body`]): its edits must be made and it must go
    /// upstream now. `None`: it waits too.
    #[must_use]
    pub const fn head(&self) -> Option<&Forward> {
        self.head.as_ref()
    }

    /// The answer to a body that is too long.
    pub fn too_large(&self) -> Reply {
        self.refuse(Refusal::TooLarge { most: self.max_body_bytes })
    }

    /// The answer if the host cannot do what it takes.
    pub fn refuse(&self, refusal: Refusal) -> Reply {
        Reply::refuse_for(refusal, self.resource(), &self.arrival.origin).about(&self.caller, &[])
    }

    fn resource(&self) -> Option<&ResourcePolicy> {
        self.policy.resource(self.index)
    }

    /// Decides on the whole body, by the policy and the time that the head was judged by: does NOT look at the token's `exp`
    /// again. Never [`Verdict::Hold`] or [`Verdict::ReadBody`].
    pub fn judge(self, body: &[u8]) -> Verdict {
        explain::at(Check::Message);
        if body.len() > self.max_body_bytes {
            return Verdict::Reply(self.too_large());
        }
        let policy = Arc::clone(&self.policy);
        let Some((resource, access)) =
            policy.resource(self.index).and_then(|resource| Some((resource, resource.access()?)))
        else {
            return Verdict::Reply(Reply::refuse(Refusal::Unmatched));
        };
        let Self { caller, credential, mut arrival, events, .. } = self;
        let nobody = caller.is_anonymous().then(|| caller.clone());
        let who = caller.clone();
        let mut asked = Asked { state: policy.filter_state(), notes: Notes::default() };
        let decision = match &arrival.body {
            Expected::Message(headers) => decide(caller, headers, body, access, resource, &events, &mut asked),
            Expected::Nothing if !body.is_empty() => Err((Refusal::UnexpectedBody, None)),
            _ => caller.grant(resource, &[]).map(|grant| (grant, None)).map_err(|refusal| (refusal, None)),
        };
        let decision = decision.and_then(|decided| match &nobody {
            Some(nobody) => {
                let opened = open_session(&mut arrival, nobody, resource, &policy);
                opened.map(|()| decided).map_err(|refusal| (refusal, None))
            }
            None => Ok(decided),
        });
        let decision = decision.and_then(|(grant, list)| Ok((grant, list, credential.ok_or((NO_CREDENTIAL, None))?)));
        match decision {
            Ok((grant, list, credential)) => {
                let forward = forward(grant, credential, arrival, &policy, resource, list);
                Verdict::Forward(forward.asking(asked.notes))
            }
            Err((refusal, id)) => match (arrival.turn_away(refusal, Some(&who), asked.notes, resource, &policy), id) {
                (Verdict::Reply(reply), Some(id)) => Verdict::Reply(reply.answering(id)),
                (verdict, _) => verdict,
            },
        }
    }
}

/// What follows from a caller and a head alone. Without a credential, it is certain already that nothing goes upstream.
pub(crate) fn admit(
    caller: Caller,
    credential: Option<Credential>,
    index: usize,
    mut arrival: Arrival,
    resource: &ResourcePolicy,
    policy: &Arc<Policy>,
    rooms: &Rooms,
) -> Verdict {
    let who = caller.clone();
    if resource.access().is_some() {
        explain::at(Check::Endpoint);
    }
    let refuse =
        |refusal, arrival: &mut Arrival| arrival.turn_away(refusal, Some(&who), Notes::default(), resource, policy);
    let refused = match &arrival.body {
        Expected::Refused(refusal) => Some(refusal.clone()),
        // A head that contradicts itself must not go upstream, so it cannot wait for the id that its answer should have.
        Expected::Message(Err(mismatch)) if policy.hold_requests() == HoldRequests::Body => {
            explain::at(Check::Headers);
            Some(Refusal::HeaderMismatch(*mismatch))
        }
        _ => None,
    };
    if let Some(refusal) = refused {
        return refuse(refusal, &mut arrival);
    }
    // Without a token it is not known yet whether one is needed, and a 404 would end the session.
    if !caller.is_anonymous() && open_session(&mut arrival, &caller, resource, policy).is_err() {
        return refuse(Refusal::Session, &mut arrival);
    }
    let ended = arrival.ended;
    let reads = match arrival.body {
        Expected::Message(_) => true,
        Expected::Nothing => !ended,
        Expected::Anything | Expected::Refused(_) => false,
    };
    let Some(access) = resource.access().filter(|_| reads) else {
        let granted = caller.grant(resource, &[]).and_then(|grant| Ok((grant, credential.ok_or(NO_CREDENTIAL)?)));
        return match granted {
            Ok((grant, credential)) => Verdict::Forward(forward(grant, credential, arrival, policy, resource, None)),
            Err(refusal) => refuse(refusal, &mut arrival),
        };
    };
    let room = if caller.is_anonymous() { &rooms.reading_anonymous } else { &rooms.reading };
    let Some(place) = room.enter(weight(&caller, credential.as_ref(), &arrival)) else {
        return refuse(Refusal::Overloaded { held: room.taken() }, &mut arrival);
    };
    let mut pending = Pending {
        policy: Arc::clone(policy),
        caller,
        credential,
        index,
        arrival,
        max_body_bytes: access.max_body_bytes,
        head: None,
        place,
        events: rooms.events.clone(),
    };
    if ended {
        return pending.judge(&[]);
    }
    if policy.hold_requests() == HoldRequests::Body {
        // The head goes upstream, so it must be good for something by itself.
        let grant = pending.caller.clone().grant(resource, &[]);
        match grant.and_then(|grant| Ok((grant, pending.credential.clone().ok_or(NO_CREDENTIAL)?))) {
            Ok((grant, credential)) => {
                let guard = ResponseGuard::new(resource, pending.arrival.origin.clone(), Some(grant.caller()), policy);
                let cleaned = core::mem::take(&mut pending.arrival.cleaned);
                pending.head = Some(Forward::new(grant, credential, cleaned, guard));
            }
            Err(refusal) => return refuse(refusal, &mut pending.arrival),
        }
    }
    Verdict::ReadBody(Box::new(pending))
}

/// About how many bytes are kept of a request without its body.
fn weight(caller: &Caller, credential: Option<&Credential>, arrival: &Arrival) -> usize {
    let credential = credential.map_or(0, Credential::weight);
    caller.weight().saturating_add(credential).saturating_add(arrival.size)
}

/// Gives the server its own session id back, if the session is this caller's.
fn open_session(
    arrival: &mut Arrival,
    caller: &Caller,
    resource: &ResourcePolicy,
    policy: &Policy,
) -> Result<(), Refusal> {
    match (core::mem::replace(&mut arrival.session, Session::None), resource.sessions()) {
        (Session::Sealed(sealed), Some(keys)) => {
            explain::at(Check::Session);
            let id = caller.owner(resource, policy).and_then(|owner| keys.open(&sealed, owner));
            match id {
                Some(id) => arrival.cleaned.set("mcp-session-id", id.to_owned()),
                None if resource.seals_sessions() => return Err(Refusal::Session),
                None => {}
            }
            Ok(())
        }
        (Session::Several, _) => {
            explain::at(Check::Session);
            Err(Refusal::Session)
        }
        _ => Ok(()),
    }
}

fn forward(
    grant: Grant,
    credential: Credential,
    arrival: Arrival,
    policy: &Arc<Policy>,
    resource: &ResourcePolicy,
    list: Option<ListFilter>,
) -> Forward {
    let guard = ResponseGuard::new(resource, arrival.origin, Some(grant.caller()), policy).filtering(list);
    Forward::new(grant, credential, arrival.cleaned, guard)
}

/// What the proxy is told of a body.
struct Asked {
    state: FilterState,
    notes: Notes,
}

/// The right to send a body, and how the answer is filtered; or a refusal and the id of the request it answers.
type Decision<'b> = Result<(Grant, Option<ListFilter>), (Refusal, Option<&'b str>)>;

/// The algorithm of the MCP specification's body checks: parse, compare with the headers, judge every target.
fn decide<'b>(
    caller: Caller,
    headers: &Result<McpHeaders, HeaderMismatch>,
    body: &'b [u8],
    access: &Access,
    resource: &ResourcePolicy,
    events: &Room,
    asked: &mut Asked,
) -> Decision<'b> {
    let batches = access.batches && !headers.as_ref().is_ok_and(McpHeaders::exclude_batches);
    let messages = message::read(body, batches);
    // Whoever has no token is told like every other request without one, unless the method is known to need none.
    let Messages { list, is_batch } = messages.map_err(|error| {
        if caller.is_anonymous() { (Refusal::MissingToken, None) } else { (Refusal::Message(error), message::id(body)) }
    })?;
    let single = list.first().filter(|_| !is_batch);
    asked.notes = single.map(|message| asked.state.of_message(message)).unwrap_or_default();
    let id = single.filter(|message| message.kind == Kind::Request).and_then(|message| message.id);
    let refuse = |refusal| (refusal, id);
    if caller.is_anonymous() && !list.iter().all(|message| access.is_anonymous(message)) {
        return Err((Refusal::MissingToken, None));
    }
    explain::at(Check::Headers);
    let headers = headers.as_ref().map_err(|mismatch| refuse(Refusal::HeaderMismatch(*mismatch)))?;
    for message in &list {
        if message.kind == Kind::Response && headers.are_modern() {
            return Err(refuse(Refusal::Message(MessageError::Response)));
        }
        headers.check(message).map_err(|mismatch| refuse(Refusal::HeaderMismatch(mismatch)))?;
        explain::at(Check::Rules);
        if access.has_uris() && has_ambiguous_uri(message) {
            return Err(refuse(Refusal::AmbiguousUri));
        }
    }
    let needs = rule(&list, &caller, access).map_err(|refusal| {
        // Claims that only a token has might have met another rule.
        let may_change = caller.is_anonymous() && access.has_conditions();
        if may_change { (Refusal::MissingToken, None) } else { refuse(refusal) }
    })?;
    let filter = single.filter(|_| access.filter_lists);
    let filter = filter.and_then(|message| ListFilter::for_answer_to(message, &caller, headers.are_modern(), events));
    let grant = caller.grant_messages(&list, &needs, access, resource);
    let grant = grant.map_err(|refusal| {
        let id = if refusal == Refusal::MissingToken { None } else { id };
        (refusal, id)
    })?;
    Ok((grant, filter))
}

/// What the rules ask for all messages together, so that one challenge names it all.
fn rule<'p>(list: &[Message<'_>], caller: &Caller, access: &'p Access) -> Result<Vec<&'p Needs>, Refusal> {
    let mut all = Vec::new();
    for message in list {
        match access.judge(message, caller.facts()) {
            Ruling::Allow(needs) => all.extend(needs),
            Ruling::Deny(rule) => return Err(Refusal::Denied { rule }),
        }
    }
    Ok(all)
}

/// Completion may be about a template.
fn has_ambiguous_uri(message: &Message<'_>) -> bool {
    let is_ambiguous = if message.method == "completion/complete" { is_ambiguous_template } else { is_ambiguous };
    message.targets.iter().any(|target| matches!(target, Target::Resource(uri) if is_ambiguous(uri)))
}
