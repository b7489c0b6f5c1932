//! Requests: asks the gate and does what it says.

use mcp_oauth::{
    gate::{Resumed, Verdict},
    pending::Pending,
    refusal::Refusal,
    reply::Reply,
    request::{Certificate, Request, RouteResource},
    time::UnixTime,
};

use crate::{
    host::{self, Buffer, Map},
    metrics::{add_all, count_insecure_forward, count_request, tell_held},
    pairs::Pairs,
    plugin::{keep_time, with_plugin, with_vm},
    stream::{Action, Body, State, apply, log_report, obey_forward, obey_reply, put_state, take_state, tell},
};

/// Where Envoy has what the metadata of a route says of it.
const ROUTE_RESOURCE: &str = "xds\0route_metadata\0filter_metadata\0mcp_oauth\0resource";

/// Where Envoy has the digest of the client's certificate, in hexadecimal digits.
const CERTIFICATE: &str = "connection\0sha256_peer_certificate_digest";

pub(crate) fn on_headers(context: u32, ended: bool) -> Action {
    let Judged { verdict, root, now, wants_fetch } = judge(context, ended);
    // Nobody waits for it, so that it is of no consequence if the tick cannot be had.
    if wants_fetch && !matches!(verdict, Verdict::Hold) {
        keep_time(root, now).ok();
    }
    let is_held = matches!(verdict, Verdict::Hold);
    let (state, action) = match verdict {
        Verdict::Forward(forward) => obey_forward(context, forward),
        Verdict::Reply(reply) => obey_reply(context, &reply),
        Verdict::ReadBody(pending) => read_body(context, pending),
        Verdict::Hold if keep_time(root, now).is_ok() => {
            (State::Held(Body { ended, ..Body::default() }), Action::Pause)
        }
        Verdict::Hold => {
            let refusal = Refusal::Host("proxy_set_tick_period_milliseconds");
            let reply = with_plugin(root, |plugin| plugin.gate.refuse_held(context, refusal.clone())).flatten();
            obey_reply(context, &reply.unwrap_or_else(|| Reply::refuse(refusal)))
        }
        Verdict::NotOurs(_) => {
            count_insecure_forward(root);
            (State::Untouched, Action::Continue)
        }
    };
    put_state(context, state);
    if is_held {
        tell_held(root);
    }
    action
}

/// What the gate says of a request, and to which root context it belongs.
struct Judged {
    verdict: Verdict,
    root: u32,
    now: UnixTime,
    /// Something should be fetched soon.
    wants_fetch: bool,
}

fn judge(context: u32, ended: bool) -> Judged {
    let fault = |call| {
        let verdict = Verdict::Reply(Reply::refuse(Refusal::Host(call)));
        Judged { verdict, root: 0, now: UnixTime(0), wants_fetch: false }
    };
    let Ok(head) = host::header_pairs(Map::Request) else { return fault("proxy_get_header_map_pairs") };
    let Ok(now) = host::now() else { return fault("proxy_get_current_time_nanoseconds") };
    // `Ok(Err(..))`: the proxy must be asked first, for what its route names and for the certificate.
    let put = |told: Option<(RouteResource<'_>, Certificate)>| {
        let judged = with_vm(|vm| {
            let root = vm.streams.get(&context)?.root;
            let plugin = vm.plugins.get_mut(&root)?;
            let policy = plugin.gate.policy();
            let wanted = (policy.reads_route_metadata(), policy.reads_certificate());
            if told.is_none() && wanted != (false, false) {
                return Some(Ok(Err(wanted)));
            }
            let mut lines = Pairs::new(&head);
            let request = Request::new(&mut lines, plugin.gate.policy().identity_headers()).ended(ended);
            // A line that was not read might be a forged identity.
            if !lines.is_whole() {
                return Some(Err("proxy_get_header_map_pairs"));
            }
            let (route, certificate) = told.unwrap_or_default();
            let request = request.on_route(route).on_connection(certificate);
            let verdict = plugin.gate.on_request(context, &request, now);
            let judged = Judged { verdict, root, now, wants_fetch: plugin.gate.wants_fetch() };
            Some(Ok(Ok((judged, plugin.take_counts(now)))))
        });
        judged.flatten().unwrap_or(Err("proxy_on_context_create"))
    };
    let judged = match put(None) {
        // Only now, because most configurations do not need it.
        Ok(Err((route, certificate))) => {
            let ask = |wanted, property| if wanted { host::property(property) } else { Ok(None) };
            // Whom the gate needs no certificate of is not refused because it cannot be had.
            let certificate = ask(certificate, CERTIFICATE).map_or(Certificate::Unknown, |digest| {
                digest.as_deref().map_or(Certificate::Absent, Certificate::from_hex)
            });
            match ask(route, ROUTE_RESOURCE) {
                Ok(name) => {
                    put(Some((name.as_deref().map_or(RouteResource::Unnamed, RouteResource::Named), certificate)))
                }
                Err(_) => Err("proxy_get_property"),
            }
        }
        judged => judged,
    };
    match judged {
        Ok(Ok((judged, counted))) => {
            add_all(counted);
            judged
        }
        Ok(Err(_)) => fault("proxy_get_property"),
        Err(call) => fault(call),
    }
}

/// Keeps a request until its body was read; its head too, unless the configuration lets that go.
fn read_body(context: u32, pending: Box<Pending>) -> (State, Action) {
    let Some(head) = pending.head() else {
        return (State::Reading(pending, Body::default()), Action::Pause);
    };
    let edited = apply(Map::Request, head.edits()).map_err(|_| Refusal::Host("proxy_replace_header_map_value"));
    if let Err(refusal) = edited.and_then(|()| tell(head.notes())) {
        return obey_reply(context, &pending.refuse(refusal));
    }
    (State::Reading(pending, Body::default()), Action::Continue)
}

/// The same for a request that waited for another server, whose body may have come meanwhile.
fn read_held_body(context: u32, pending: Box<Pending>, body: Body) -> (State, Action) {
    if body.size == 0 && !body.ended {
        return read_body(context, pending);
    }
    // The proxy has some of the body. If it let the head go it would send that along, so the head has to wait after all.
    match read_body(context, pending) {
        (State::Reading(pending, _), _) => on_pending(context, pending, body),
        refused => refused,
    }
}

pub(crate) fn on_body(context: u32, size: usize, ended: bool) -> Action {
    let Some(state) = take_state(context) else { return Action::Pause };
    let (state, action) = match state {
        State::Reading(pending, body) => on_pending(context, pending, Body { size, ended, ..body }),
        State::Held(body) => on_held_body(context, Body { size, ended, ..body }),
        // Neither is a request that may go on: one has no verdict, the other was answered.
        State::New | State::Answered => (state, Action::Pause),
        State::Forwarded(_) | State::Listing(_) | State::Events(_) | State::Withheld | State::Untouched => {
            (state, Action::Continue)
        }
    };
    put_state(context, state);
    action
}

/// Trailers end a body that was not said to have ended.
pub(crate) fn on_trailers(context: u32) -> Action {
    let Some(state) = take_state(context) else { return Action::Pause };
    let (state, action) = match state {
        State::Reading(pending, body) => on_pending(context, pending, Body { ended: true, ..body }),
        State::Held(body) => (State::Held(Body { ended: true, ..body }), Action::Pause),
        State::New | State::Answered => (state, Action::Pause),
        State::Forwarded(_) | State::Listing(_) | State::Events(_) | State::Withheld | State::Untouched => {
            (state, Action::Continue)
        }
    };
    put_state(context, state);
    action
}

/// The body of a request that waits for another server: the gate says how much of it may.
fn on_held_body(context: u32, body: Body) -> (State, Action) {
    let said = with_vm(|vm| {
        let root = vm.streams.get(&context)?.root;
        let gate = &mut vm.plugins.get_mut(&root)?.gate;
        Some((root, gate.on_held_body(context, body.size), gate.reads_held_body(context)))
    });
    match said.flatten() {
        Some((root, Some(reply), _)) => {
            tell_held(root);
            obey_reply(context, &reply)
        }
        Some((_, None, false)) => (State::Held(body), Action::Wait),
        Some((_, None, true)) | None => (State::Held(body), Action::Pause),
    }
}

/// Judges the body if it is there, or if there is too much of it already.
fn on_pending(context: u32, mut pending: Box<Pending>, body: Body) -> (State, Action) {
    if !body.ended {
        return match pending.on_arrived(body.size) {
            Some(reply) => obey_reply(context, &reply),
            None => (State::Reading(pending, body), Action::Pause),
        };
    }
    let is_edited = pending.head().is_some();
    match judge_body(*pending, body) {
        // Somebody else answered while the head was held: nobody waits for the upstream, and its head still has the token.
        Verdict::Forward(_) if body.answered && !is_edited => (State::Answered, Action::Pause),
        Verdict::Forward(forward) if is_edited => match tell(forward.notes_of_body()) {
            Err(refusal) => obey_reply(context, &forward.response_guard().refuse(refusal)),
            Ok(()) => {
                log_report(&forward);
                count_request(context, forward.decision());
                // A response that has begun is none that is filtered: see `response::on_early_headers`.
                let guard = forward.into_response_guard();
                (if body.answered { State::Untouched } else { State::Forwarded(guard) }, Action::Continue)
            }
        },
        Verdict::Forward(forward) => obey_forward(context, forward),
        Verdict::Reply(reply) => obey_reply(context, &reply),
        Verdict::Hold | Verdict::ReadBody(_) | Verdict::NotOurs(_) => {
            obey_reply(context, &Reply::refuse(Refusal::Host("proxy_on_request_body")))
        }
    }
}

fn judge_body(pending: Pending, body: Body) -> Verdict {
    if body.size > pending.max_body_bytes() {
        return Verdict::Reply(pending.too_large());
    }
    // Some hosts have no buffer where there is no byte.
    let bytes = if body.size == 0 { Ok(Vec::new()) } else { host::buffer(Buffer::RequestBody, body.size) };
    match bytes {
        Ok(bytes) if bytes.len() == body.size => pending.judge(&bytes),
        // A host that hands over less than it announced would have the rest forwarded unread.
        _ => Verdict::Reply(pending.refuse(Refusal::Host("proxy_get_buffer_bytes"))),
    }
}

/// Lets requests go on that were held, or answers them.
pub(crate) fn resume(resumed: Vec<Resumed>, root: u32) {
    if resumed.is_empty() {
        return;
    }
    for Resumed { request, verdict } in resumed {
        // A client that left took its context along.
        if host::set_effective_context(request).is_err() {
            continue;
        }
        let body = match take_state(request) {
            Some(State::Held(body)) => body,
            _ => Body::default(),
        };
        let (state, action) = match verdict {
            Verdict::Forward(forward) => obey_forward(request, forward),
            Verdict::Reply(reply) => obey_reply(request, &reply),
            Verdict::ReadBody(pending) => read_held_body(request, pending, body),
            Verdict::Hold | Verdict::NotOurs(_) => {
                obey_reply(request, &Reply::refuse(Refusal::Host("proxy_continue_stream")))
            }
        };
        put_state(request, state);
        if action == Action::Continue {
            host::continue_request().ok();
        }
    }
    host::set_effective_context(root).ok();
}
