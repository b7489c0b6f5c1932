//! Responses: what the upstream must not tell the client, and what the client must be told besides.

use mcp_oauth::{
    event_stream::ListEvents, list_filter::MAX_LIST_BYTES, pending::Pending, refusal::Refusal, response::ResponseGuard,
};

use crate::{
    host::{self, Buffer, Map, Status},
    stream::{Action, Body, Listing, State, apply, obey_reply, put_state, take_state},
};

pub(crate) fn on_headers(context: u32) -> Action {
    let Some(state) = take_state(context) else { return Action::Continue };
    let (state, action) = match state {
        State::Forwarded(guard) => match guard_headers(&guard).and_then(|()| list_in(&guard)) {
            Ok(list) => (expect_body(guard, list), Action::Continue),
            Err(refusal) => obey_reply(context, &guard.refuse(refusal)),
        },
        State::Reading(pending, body) => on_early_headers(context, pending, body),
        other => (other, Action::Continue),
    };
    put_state(context, state);
    action
}

/// The upstream answers a head whose body is still being read.
fn on_early_headers(context: u32, pending: Box<Pending>, body: Body) -> (State, Action) {
    // Without a head it was not asked: somebody else answers.
    if let Some(head) = pending.head() {
        let guarded = guard_headers(head.response_guard()).and_then(|()| is_success());
        let reply = match guarded {
            Ok(is_success) => pending.on_early_response(is_success),
            Err(refusal) => Some(pending.refuse(refusal)),
        };
        if let Some(reply) = reply {
            return obey_reply(context, &reply);
        }
    }
    (State::Reading(pending, Body { answered: true, ..body }), Action::Continue)
}

/// Makes the edits that every response gets.
fn guard_headers(guard: &ResponseGuard) -> Result<(), Refusal> {
    if guard.has_credential() && look(":status")?.as_deref() == Some(b"401") {
        return Err(guard.credential_refused());
    }
    // A failed look counts as found: what is removed for nothing does no harm.
    if !matches!(host::header(Map::Response, "www-authenticate"), Ok(None)) {
        let status = host::header(Map::Response, ":status").ok().flatten().unwrap_or_default();
        apply(Map::Response, guard.on_upstream_challenge(&status)).map_err(unchanged)?;
    }
    if guard.is_cross_origin() && host::header(Map::Response, "access-control-allow-origin") == Ok(None) {
        // A browser that cannot read the response is no breach.
        apply(Map::Response, guard.cors_edits()).ok();
    }
    if let Some(nonce) = guard.dpop_nonce() {
        // A client that does not learn it is reported once more, and not refused.
        host::replace_header(Map::Response, "dpop-nonce", nonce.as_bytes()).ok();
    }
    if guard.seals_sessions() {
        seal_session(guard).map_err(unchanged)?;
    }
    Ok(())
}

/// What a successful answer to a request for a list is.
enum Kind {
    Json,
    Events,
    Untyped,
}

/// The list that the body is and that must be filtered.
fn list_in(guard: &ResponseGuard) -> Result<Option<Kind>, Refusal> {
    if !guard.filters_list() || !is_success()? {
        return Ok(None);
    }
    let content_type = look("content-type")?;
    let media_type = content_type.as_deref().and_then(|value| value.split(|byte| *byte == b';').next());
    let is = |wanted: &[u8]| media_type.is_some_and(|media_type| media_type.trim_ascii().eq_ignore_ascii_case(wanted));
    let kind = match content_type {
        None => Kind::Untyped,
        Some(_) if is(b"application/json") => Kind::Json,
        Some(_) if is(b"text/event-stream") => Kind::Events,
        Some(_) => return Err(Refusal::UnreadableList),
    };
    if look("content-encoding")?.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        return Err(Refusal::UnreadableList);
    }
    // The list may become shorter.
    host::remove_header(Map::Response, b"content-length").map_err(unchanged)?;
    Ok(Some(kind))
}

fn expect_body(guard: ResponseGuard, list: Option<Kind>) -> State {
    match list {
        None => State::Untouched,
        Some(Kind::Events) => {
            // One that nothing could be kept for must not be shown.
            guard.into_list_events().map_or(State::Withheld, |events| State::Events(Box::new(events)))
        }
        Some(kind) => {
            let is_typed = matches!(kind, Kind::Json);
            State::Listing(Listing { guard, is_typed, size: 0, is_replaced: false })
        }
    }
}

/// An answer without a status might be one.
fn is_success() -> Result<bool, Refusal> {
    Ok(look(":status")?.is_none_or(|status| status.starts_with(b"2")))
}

fn look(name: &str) -> Result<Option<Vec<u8>>, Refusal> {
    host::header(Map::Response, name).map_err(|_| Refusal::Host("proxy_get_header_map_value"))
}

const fn unchanged(_: Status) -> Refusal {
    Refusal::Host("proxy_replace_header_map_value")
}

fn seal_session(guard: &ResponseGuard) -> Result<(), Status> {
    let Some(id) = host::header(Map::Response, "mcp-session-id")? else { return Ok(()) };
    match guard.seal_session(&id) {
        Some(sealed) => host::replace_header(Map::Response, "mcp-session-id", sealed.as_bytes()),
        None => host::remove_header(Map::Response, b"mcp-session-id"),
    }
}

pub(crate) fn on_body(context: u32, size: usize, ended: bool) -> Action {
    let Some(state) = take_state(context) else { return Action::Continue };
    let (state, action) = match state {
        State::Listing(listing) => collect(Listing { size, ..listing }, ended),
        State::Events(events) => pass_on(events, size, ended),
        State::Withheld => (State::Withheld, Action::Pause),
        other => (other, Action::Continue),
    };
    put_state(context, state);
    action
}

/// Trailers end a body that was not said to have ended.
pub(crate) fn on_trailers(context: u32) -> Action {
    let Some(state) = take_state(context) else { return Action::Continue };
    let (state, action) = match state {
        // Without a body there is no buffer to show anything in. So an event that is not complete is lost, which clients do
        // not take for an event either (HTML standard, section 9.2.6).
        State::Listing(listing) if !listing.is_replaced && listing.size > 0 => collect(listing, true),
        State::Withheld => (State::Withheld, Action::Pause),
        other => (other, Action::Continue),
    };
    put_state(context, state);
    action
}

/// Keeps a list until it is complete, and shows what the caller may see of it.
fn collect(mut listing: Listing, ended: bool) -> (State, Action) {
    let Listing { size, .. } = listing;
    let shown = match () {
        () if listing.is_replaced => Vec::new(),
        // 202 and 204 have neither body nor type; a body without a type is read as JSON.
        () if size == 0 && ended && !listing.is_typed => return (State::Untouched, Action::Continue),
        () if size > MAX_LIST_BYTES => listing.guard.unreadable_list(),
        () if !ended => return (State::Listing(listing), Action::Pause),
        () => {
            let shown = body(size).and_then(|body| listing.guard.filter_list(&body));
            shown.unwrap_or_else(|| listing.guard.unreadable_list())
        }
    };
    listing.is_replaced = true;
    replace(State::Listing(listing), size, &shown)
}

/// Shows what the caller may see of the events that are complete. The proxy never keeps any of the body: it would be part of
/// the next piece.
fn pass_on(mut events: Box<ListEvents>, size: usize, ended: bool) -> (State, Action) {
    let shown = match body(size) {
        Some(piece) => events.push(&piece, ended),
        None => events.fail_now(),
    };
    replace(State::Events(events), size, &shown)
}

/// What the proxy has of the body, if it hands over all that it announced.
fn body(size: usize) -> Option<Vec<u8>> {
    // Some hosts have no buffer where there is no byte.
    let body = if size == 0 { Ok(Vec::new()) } else { host::buffer(Buffer::ResponseBody, size) };
    body.ok().filter(|body| body.len() == size)
}

fn replace(state: State, size: usize, shown: &[u8]) -> (State, Action) {
    if size == 0 && shown.is_empty() {
        return (state, Action::Continue);
    }
    if host::set_buffer(Buffer::ResponseBody, size, shown).is_err() {
        // What cannot be replaced must not be shown, and the head has been sent: the client waits in vain.
        return (State::Withheld, Action::Pause);
    }
    (state, Action::Continue)
}
