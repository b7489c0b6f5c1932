//! One stream: how far the proxy has come with it, and what is done to it.

use mcp_oauth::{
    event_stream::ListEvents,
    forward::{Edit, Forward},
    pending::Pending,
    refusal::Refusal,
    reply::Reply,
    response::ResponseGuard,
};

use crate::{
    host::{self, Level, Map, Status},
    metrics::count_request,
    plugin::with_vm,
};

/// What the proxy does with a stream after a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Continue = 0,
    Pause = 1,
    /// Of a body: wait, and do not collect it for the next callback. After a callback that said `Pause`, Envoy before 1.39
    /// loses the piece of the body that comes next when the request goes on (Kuadrant/wasm-shim#388).
    Wait = 2,
}

pub(crate) struct Stream {
    pub(crate) root: u32,
    pub(crate) state: State,
}

/// How far the proxy has come with a stream.
pub(crate) enum State {
    /// No request headers yet.
    New,
    /// It waits for what another server has to say. Its body may come meanwhile.
    Held(Body),
    /// Its head was found good, and it waits for its body.
    Reading(Box<Pending>, Body),
    /// It went upstream.
    Forwarded(ResponseGuard),
    /// Its response is a list that is being collected.
    Listing(Listing),
    /// Its response is a list in an event stream, which passes event by event.
    Events(Box<ListEvents>),
    /// It was answered here.
    Answered,
    /// What is left of its response must not be shown.
    Withheld,
    /// It is none of ours, or nothing is left to do.
    Untouched,
}

/// How much of a body the proxy has.
#[derive(Clone, Copy, Default)]
pub(crate) struct Body {
    pub(crate) size: usize,
    pub(crate) ended: bool,
    /// Whether the upstream's response has begun already.
    pub(crate) answered: bool,
}

/// A list on its way to the client.
pub(crate) struct Listing {
    pub(crate) guard: ResponseGuard,
    /// Whether the response says what its body is.
    pub(crate) is_typed: bool,
    pub(crate) size: usize,
    /// The client already got an error instead of what is still to come.
    pub(crate) is_replaced: bool,
}

impl Stream {
    pub(crate) const fn new(root: u32) -> Self {
        Self { root, state: State::New }
    }
}

/// Takes the state of a stream, to be put back with [`put_state`].
///
/// Meanwhile it counts as answered: should the proxy call back in between, nothing goes on.
pub(crate) fn take_state(context: u32) -> Option<State> {
    let take = |stream: &mut Stream| core::mem::replace(&mut stream.state, State::Answered);
    with_vm(|vm| vm.streams.get_mut(&context).map(|stream| take(stream))).flatten()
}

pub(crate) fn put_state(context: u32, state: State) {
    let old = with_vm(|vm| vm.streams.get_mut(&context).map(|stream| core::mem::replace(&mut stream.state, state)));
    drop(old);
}

/// Makes every edit, in order, or stops at the first that fails.
pub(crate) fn apply<'e>(map: Map, edits: impl Iterator<Item = Edit<'e>>) -> Result<(), Status> {
    for edit in edits {
        match edit {
            Edit::Remove(name) => host::remove_header(map, name)?,
            Edit::Set(name, value) => host::replace_header(map, name, value)?,
            Edit::Add(name, value) => host::add_header(map, name, value)?,
        }
    }
    Ok(())
}

/// Tells the proxy what it wants to know of the current stream, or as much of it as it takes.
pub(crate) fn tell<'n>(notes: impl Iterator<Item = (&'static str, &'n str)>) -> Result<(), Refusal> {
    for (name, value) in notes {
        host::set_property(name, value).map_err(|_| Refusal::Host("proxy_set_property"))?;
    }
    Ok(())
}

pub(crate) fn obey_forward(context: u32, forward: Forward) -> (State, Action) {
    // Half-edited headers may still carry the token, so nothing less than all of the edits will do.
    if apply(Map::Request, forward.edits()).is_err() {
        return obey_reply(context, &forward.response_guard().refuse(Refusal::Host("proxy_replace_header_map_value")));
    }
    // Filters behind this one may decide by what they are told.
    if let Err(refusal) = tell(forward.notes()) {
        return obey_reply(context, &forward.response_guard().refuse(refusal));
    }
    log_report(&forward);
    count_request(context, forward.decision());
    (State::Forwarded(forward.into_response_guard()), Action::Continue)
}

/// Says of a request that goes on why it would have been refused. At level debug, because whoever is not refused can send
/// as many as they like.
pub(crate) fn log_report(forward: &Forward) {
    if let Some(refusal) = forward.refusal()
        && host::logs(Level::Debug)
    {
        host::log(Level::Debug, &format!("report only: would be refused: {refusal}"));
    }
}

/// Answers the current stream. If the proxy does not take the answer, the stream stays paused: never forwarded.
pub(crate) fn obey_reply(context: u32, reply: &Reply) -> (State, Action) {
    if let Some(refusal) = reply.refusal() {
        let level =
            if matches!(refusal, Refusal::Host(_) | Refusal::RouteResource(_)) { Level::Warn } else { Level::Debug };
        if host::logs(level) {
            host::log(level, &format!("refused: {refusal}"));
        }
    }
    // Nothing goes on, so that what the proxy does not take is only missing in its log.
    let state = with_vm(|vm| {
        let root = vm.streams.get(&context)?.root;
        Some(vm.plugins.get(&root)?.gate.policy().filter_state())
    });
    for (name, value) in reply.notes(state.flatten().unwrap_or_default()) {
        host::set_property(name, value).ok();
    }
    host::send_local_response(reply.status(), reply.reason(), reply.headers(), reply.body()).ok();
    count_request(context, reply.decision());
    (State::Answered, Action::Pause)
}
