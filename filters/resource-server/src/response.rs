//! Responses: what the upstream must not tell the client, and what the client must be told besides.

use mcp_oauth::{list_filter::MAX_LIST_BYTES, refusal::Refusal, reply::Reply, response::ResponseGuard};

use crate::{
    host::{self, Buffer, Map, Status},
    stream::{Action, Body, Listing, State, apply, obey_reply, put_state, take_state},
};

pub(crate) fn on_headers(context: u32) -> Action {
    let Some(state) = take_state(context) else { return Action::Continue };
    let (state, action) = match state {
        State::Forwarded(guard) => guard_headers(guard).unwrap_or_else(|refusal| obey_reply(&Reply::refuse(refusal))),
        // The upstream answers a head whose body is still being read.
        State::Reading(pending, body) => {
            match pending.head().map(|head| guard_headers(head.response_guard().clone())) {
                Some(Err(refusal)) => obey_reply(&Reply::refuse(refusal)),
                Some(Ok(_)) | None => (State::Reading(pending, Body { answered: true, ..body }), Action::Continue),
            }
        }
        other => (other, Action::Continue),
    };
    put_state(context, state);
    action
}

fn guard_headers(guard: ResponseGuard) -> Result<(State, Action), Refusal> {
    let fault = |_: Status| Refusal::Host("proxy_replace_header_map_value");
    // A failed look counts as found: what is removed for nothing does no harm.
    if !matches!(host::header(Map::Response, "www-authenticate"), Ok(None)) {
        let status = host::header(Map::Response, ":status").ok().flatten().unwrap_or_default();
        apply(Map::Response, guard.on_upstream_challenge(&status)).map_err(fault)?;
    }
    if guard.is_cross_origin() && host::header(Map::Response, "access-control-allow-origin") == Ok(None) {
        // A browser that cannot read the response is no breach.
        apply(Map::Response, guard.cors_edits()).ok();
    }
    if guard.seals_sessions() {
        seal_session(&guard).map_err(fault)?;
    }
    if !guard.filters_list() {
        return Ok((State::Untouched, Action::Continue));
    }
    let look = |name| host::header(Map::Response, name).map_err(|_| Refusal::Host("proxy_get_header_map_value"));
    let content_type = look("content-type")?;
    let media_type = content_type.as_deref().and_then(|value| value.split(|byte| *byte == b';').next());
    let is = |wanted: &[u8]| media_type.is_some_and(|media_type| media_type.trim_ascii().eq_ignore_ascii_case(wanted));
    let is_event_stream = is(b"text/event-stream");
    let is_success = look(":status")?.is_some_and(|status| status.starts_with(b"2"));
    if !is_success {
        return Ok((State::Untouched, Action::Continue));
    }
    let is_typed = content_type.is_some();
    if (is_typed && !is_event_stream && !is(b"application/json")) || look("content-encoding")?.is_some() {
        return Err(Refusal::UnreadableList);
    }
    // The list may become shorter.
    host::remove_header(Map::Response, b"content-length").map_err(fault)?;
    Ok((State::Listing(Listing { guard, is_event_stream, is_typed, size: 0, is_replaced: false }), Action::Continue))
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
        // Without a body there is no buffer to show anything in.
        State::Listing(listing) if !listing.is_replaced && listing.size > 0 => collect(listing, true),
        State::Withheld => (State::Withheld, Action::Pause),
        other => (other, Action::Continue),
    };
    put_state(context, state);
    action
}

/// Keeps a list until it is complete, and shows what the caller may see of it.
fn collect(mut listing: Listing, ended: bool) -> (State, Action) {
    let Listing { is_event_stream, size, .. } = listing;
    let shown = match () {
        () if listing.is_replaced => Vec::new(),
        // 202 and 204 have neither body nor type; a body without a type is read as JSON.
        () if size == 0 && ended && !listing.is_typed => return (State::Untouched, Action::Continue),
        () if size > MAX_LIST_BYTES => listing.guard.unreadable_list(is_event_stream),
        () if !ended => return (State::Listing(listing), Action::Pause),
        () => {
            let body = if size == 0 { Ok(Vec::new()) } else { host::buffer(Buffer::ResponseBody, size) };
            let body = body.ok().filter(|body| body.len() == size);
            let shown = body.and_then(|body| listing.guard.filter_list(&body, is_event_stream));
            shown.unwrap_or_else(|| listing.guard.unreadable_list(is_event_stream))
        }
    };
    listing.is_replaced = true;
    if host::set_buffer(Buffer::ResponseBody, size, &shown).is_err() {
        // What cannot be replaced must not be shown, and the head has been sent: the client waits in vain.
        return (State::Withheld, Action::Pause);
    }
    (State::Listing(listing), Action::Continue)
}
