//! The plugin: brings what the proxy says to the core's gate, and does what the gate's verdict says.
//!
//! State is borrowed only while the core thinks, never during a host call, so a host that calls back from inside a call
//! meets free state. Where a host call fails, the request is refused.

use std::{cell::RefCell, collections::BTreeMap};

use mcp_oauth::{
    config,
    fetch::{Answer, Fetch, FetchId, KeyEvent, MAX_DOCUMENT_BYTES},
    forward::{Edit, Forward, ResponseGuard},
    gate::{Gate, Outcome, Resumed, Verdict},
    policy::Policy,
    refusal::Refusal,
    reply::Reply,
    request::Request,
    time::UnixTime,
};

use crate::{
    crypto::VerifySignature,
    host::{self, Buffer, Level, Map, Status},
    pairs,
};

/// What the proxy does with a stream after a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Continue = 0,
    Pause = 1,
}

/// Requests that were forwarded unchecked because of `unmatched: insecure_forward`.
const INSECURE_FORWARDS: &str = "mcp_oauth.insecure_forward";

/// Algorithms for which the proxy's `verify_signature` was tried and given up.
const SIGNATURE_FALLBACKS: &str = "mcp_oauth.verify_signature_fallback";

/// A VM may run several plugins, each with its own configuration and streams.
#[derive(Default)]
struct Vm {
    plugins: BTreeMap<u32, Plugin>,
    streams: BTreeMap<u32, Stream>,
}

struct Plugin {
    gate: Gate,
    calls: BTreeMap<u32, FetchId>,
    /// What the timer is set for.
    alarm: Option<UnixTime>,
    insecure_forwards: Option<u32>,
    signature_fallbacks: Option<u32>,
}

struct Stream {
    root: u32,
    state: State,
}

/// How far the proxy has come with a stream.
#[derive(Clone)]
enum State {
    /// No request headers yet.
    New,
    /// It waits for keys.
    Held,
    /// It went upstream.
    Forwarded(ResponseGuard),
    /// It was answered here, or it is none of ours: its response is left alone.
    Settled,
}

thread_local! {
    static VM: RefCell<Vm> = const { RefCell::new(Vm { plugins: BTreeMap::new(), streams: BTreeMap::new() }) };
}

/// Runs `think` on the state; `None` if a host called back while the core was thinking.
fn with_vm<T>(think: impl FnOnce(&mut Vm) -> T) -> Option<T> {
    VM.with(|vm| vm.try_borrow_mut().ok().map(|mut vm| think(&mut vm)))
}

fn with_plugin<T>(root: u32, think: impl FnOnce(&mut Plugin) -> T) -> Option<T> {
    with_vm(|vm| vm.plugins.get_mut(&root).map(think)).flatten()
}

/// A panic is a defect and traps; its message could quote data, so only the place is logged.
pub(crate) fn on_start() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line()));
        host::log(Level::Critical, &format!("defect: panic at {}", place.unwrap_or_default()));
    }));
}

pub(crate) fn on_context_create(context: u32, root: u32) {
    with_vm(|vm| {
        if root == 0 {
            vm.plugins.insert(context, Plugin::new(Policy::refusing(), 0));
        } else {
            vm.streams.insert(context, Stream { root, state: State::New });
        }
    });
}

/// A pure function of the configuration's bytes, as far as its result goes: an answer that differs between Envoy's
/// canary VM and its workers makes Envoy run without the filter.
pub(crate) fn on_configure(root: u32, size: usize) -> bool {
    // An empty configuration is refused in every VM; some hosts have no buffer to read it from.
    let bytes = if size == 0 { Ok(Vec::new()) } else { host::buffer(Buffer::PluginConfiguration, size) };
    let (policy, accepted) = match bytes {
        Ok(bytes) => match config::parse(&bytes) {
            Ok(policy) => (policy, true),
            Err(findings) => {
                for finding in findings {
                    host::log(Level::Error, &format!("config: {finding}"));
                }
                (Policy::refusing(), false)
            }
        },
        Err(Status(status)) => {
            // Perhaps only this worker's fault: `false` would open the gate, so it answers 503 instead.
            host::log(Level::Error, &format!("config: the proxy did not hand it over (status `{status}`)"));
            (Policy::refusing(), true)
        }
    };
    let mut plugin = Plugin::new(policy, host::now_nanoseconds().unwrap_or_default());
    plugin.insecure_forwards = host::define_counter(INSECURE_FORWARDS).ok();
    plugin.signature_fallbacks = host::define_counter(SIGNATURE_FALLBACKS).ok();
    let replaced = with_vm(|vm| vm.plugins.insert(root, plugin)).flatten();
    if let Some(mut replaced) = replaced {
        resume(replaced.gate.refuse_all_held(&Refusal::Misconfigured), root);
    }
    // The first tick fetches keys, so that the first request need not wait. If the tick cannot be had, it will.
    keep_time(root, UnixTime(0)).ok();
    accepted
}

pub(crate) fn on_tick(root: u32) {
    let Ok(now) = host::now() else { return };
    with_plugin(root, |plugin| plugin.alarm = None);
    for outcome in with_plugin(root, |plugin| plugin.gate.on_time(now)).unwrap_or_default() {
        settle(root, outcome);
    }
    send_fetches(root, now);
    keep_time(root, now).ok();
}

pub(crate) fn on_http_call_response(root: u32, token: u32, headers: usize, body_size: usize) {
    let Some(id) = with_plugin(root, |plugin| plugin.calls.remove(&token)).flatten() else { return };
    let Ok(now) = host::now() else {
        let refusal = Refusal::Host("proxy_get_current_time_nanoseconds");
        resume(with_plugin(root, |plugin| plugin.gate.refuse_all_held(&refusal)).unwrap_or_default(), root);
        return;
    };
    let response = if headers == 0 { Err(Answer::NoResponse) } else { read_response(body_size) };
    let answer = match &response {
        Ok(Response { status, content_type, cache_control, body }) => Answer::Response {
            status,
            content_type: content_type.as_deref(),
            cache_control: cache_control.as_deref(),
            body,
        },
        Err(answer) => *answer,
    };
    let outcome = with_plugin(root, |plugin| plugin.gate.on_answer(id, answer, now)).unwrap_or_default();
    // The next document first: to resume requests is to act for them, and the call must be the root context's own.
    send_fetches(root, now);
    settle(root, outcome);
    count(with_plugin(root, Plugin::take_fallbacks).unwrap_or_default());
    keep_time(root, now).ok();
}

struct Response {
    status: Vec<u8>,
    content_type: Option<Vec<u8>>,
    cache_control: Option<Vec<u8>>,
    body: Vec<u8>,
}

fn read_response(body_size: usize) -> Result<Response, Answer<'static>> {
    if body_size > MAX_DOCUMENT_BYTES {
        return Err(Answer::TooLarge(body_size));
    }
    let header = |name| host::header(Map::HttpCallResponse, name).map_err(|_| Answer::NoResponse);
    let status = header(":status")?.unwrap_or_default();
    let (content_type, cache_control) = (header("content-type")?, header("cache-control")?);
    let body = if body_size == 0 {
        Vec::new()
    } else {
        host::buffer(Buffer::HttpCallResponseBody, body_size).map_err(|_| Answer::NoResponse)?
    };
    Ok(Response { status, content_type, cache_control, body })
}

pub(crate) fn on_request_headers(context: u32) -> Action {
    let Judged { verdict, root, now } = judge(context);
    let (state, action) = match verdict {
        Verdict::Forward(forward) => obey_forward(forward),
        Verdict::Reply(reply) => obey_reply(&reply),
        Verdict::Hold if keep_time(root, now).is_ok() => (State::Held, Action::Pause),
        Verdict::Hold => {
            with_plugin(root, |plugin| plugin.gate.on_gone(context));
            obey_reply(&Reply::refuse(Refusal::Host("proxy_set_tick_period_milliseconds")))
        }
        Verdict::NotOurs(_) => {
            count((with_plugin(root, |plugin| plugin.insecure_forwards).flatten(), 1));
            (State::Settled, Action::Continue)
        }
    };
    with_vm(|vm| vm.streams.get_mut(&context).map(|stream| stream.state = state));
    action
}

/// What the gate says of a request, and to which root context it belongs.
struct Judged {
    verdict: Verdict,
    root: u32,
    now: UnixTime,
}

fn judge(context: u32) -> Judged {
    let fault =
        |call| Judged { verdict: Verdict::Reply(Reply::refuse(Refusal::Host(call))), root: 0, now: UnixTime(0) };
    let Ok(head) = host::header_pairs(Map::Request) else { return fault("proxy_get_header_map_pairs") };
    let Ok(now) = host::now() else { return fault("proxy_get_current_time_nanoseconds") };
    let judged = with_vm(|vm| {
        let root = vm.streams.get(&context)?.root;
        let plugin = vm.plugins.get_mut(&root)?;
        let request = Request::new(pairs::iter(&head), plugin.gate.policy().identity_headers());
        let verdict = plugin.gate.on_request(context, &request, now);
        Some((Judged { verdict, root, now }, plugin.take_fallbacks()))
    });
    let Some((judged, fallbacks)) = judged.flatten() else { return fault("proxy_on_context_create") };
    count(fallbacks);
    judged
}

/// Adds to a counter, if there is one and something to add.
fn count((counter, by): (Option<u32>, u64)) {
    if let (Some(counter), Ok(by @ 1..)) = (counter, i64::try_from(by)) {
        host::increment(counter, by).ok();
    }
}

pub(crate) fn on_response_headers(context: u32) -> Action {
    let state = with_vm(|vm| vm.streams.get(&context).map(|stream| stream.state.clone())).flatten();
    let Some(State::Forwarded(guard)) = state else { return Action::Continue };
    // A failed look counts as found: what is removed for nothing does no harm.
    if !matches!(host::header(Map::Response, "www-authenticate"), Ok(None)) {
        let status = host::header(Map::Response, ":status").ok().flatten().unwrap_or_default();
        if apply(Map::Response, guard.on_upstream_challenge(&status)).is_err() {
            let (state, action) = obey_reply(&Reply::refuse(Refusal::Host("proxy_remove_header_map_value")));
            with_vm(|vm| vm.streams.get_mut(&context).map(|stream| stream.state = state));
            return action;
        }
    }
    if guard.is_cross_origin() && host::header(Map::Response, "access-control-allow-origin") == Ok(None) {
        // A browser that cannot read the response is no breach.
        apply(Map::Response, ResponseGuard::cors_edits()).ok();
    }
    Action::Continue
}

pub(crate) fn on_delete(context: u32) {
    let plugin = with_vm(|vm| {
        if let Some(stream) = vm.streams.remove(&context)
            && let Some(plugin) = vm.plugins.get_mut(&stream.root)
        {
            plugin.gate.on_gone(context);
        }
        vm.plugins.remove(&context)
    });
    drop(plugin);
}

impl Plugin {
    fn take_fallbacks(&mut self) -> (Option<u32>, u64) {
        (self.signature_fallbacks, self.gate.take_acceleration_fallbacks())
    }

    fn new(policy: Policy, seed: u64) -> Self {
        Self {
            gate: Gate::on_host(policy, Box::new(VerifySignature), seed),
            calls: BTreeMap::new(),
            alarm: None,
            insecure_forwards: None,
            signature_fallbacks: None,
        }
    }
}

/// Makes every edit, in order, or stops at the first that fails.
fn apply<'e>(map: Map, edits: impl Iterator<Item = Edit<'e>>) -> Result<(), Status> {
    for edit in edits {
        match edit {
            Edit::Remove(name) => host::remove_header(map, name)?,
            Edit::Set(name, value) => host::replace_header(map, name, value)?,
        }
    }
    Ok(())
}

fn obey_forward(forward: Forward) -> (State, Action) {
    // Half-edited headers may still carry the token, so nothing less than all of the edits will do.
    if apply(Map::Request, forward.edits()).is_err() {
        return obey_reply(&Reply::refuse(Refusal::Host("proxy_replace_header_map_value")));
    }
    (State::Forwarded(forward.into_response_guard()), Action::Continue)
}

/// Answers the current stream. If the proxy does not take the answer, the stream stays paused: never forwarded.
fn obey_reply(reply: &Reply) -> (State, Action) {
    if let Some(refusal) = reply.refusal() {
        let level = if matches!(refusal, Refusal::Host(_)) { Level::Warn } else { Level::Debug };
        if host::logs(level) {
            host::log(level, &format!("refused: {refusal}"));
        }
    }
    host::send_local_response(reply.status(), reply.reason(), reply.headers(), reply.body()).ok();
    (State::Settled, Action::Pause)
}

/// Starts every fetch that the gate wants now.
fn send_fetches(root: u32, now: UnixTime) {
    while let Some(fetch) = with_plugin(root, |plugin| plugin.gate.poll_fetch(now)).flatten() {
        match send(&fetch) {
            Ok(token) => {
                with_plugin(root, |plugin| plugin.calls.insert(token, fetch.id));
            }
            Err(Status(status)) => {
                let answer = Answer::NotSent(status);
                let outcome = with_plugin(root, |plugin| plugin.gate.on_answer(fetch.id, answer, now));
                settle(root, outcome.unwrap_or_default());
            }
        }
    }
}

fn send(fetch: &Fetch) -> Result<u32, Status> {
    let target = fetch.uri.request_target();
    let headers = [
        (":method", "GET"),
        (":scheme", fetch.uri.scheme()),
        (":authority", fetch.uri.authority()),
        (":path", target.as_str()),
        ("accept", "application/json"),
    ];
    let timeout = u32::try_from(fetch.timeout.as_millis()).unwrap_or(u32::MAX);
    host::http_call(&fetch.cluster, headers.into_iter(), timeout)
}

fn settle(root: u32, outcome: Outcome) {
    if let Some(event) = outcome.event {
        report(&event);
    }
    resume(outcome.resumed, root);
}

fn report(event: &KeyEvent) {
    host::log(if event.is_failure() { Level::Error } else { Level::Info }, &format!("{event}"));
}

/// Lets requests go on that were held, or answers them.
fn resume(resumed: Vec<Resumed>, root: u32) {
    if resumed.is_empty() {
        return;
    }
    for Resumed { request, verdict } in resumed {
        // A client that left took its context along.
        if host::set_effective_context(request).is_err() {
            continue;
        }
        let (state, action) = match verdict {
            Verdict::Forward(forward) => obey_forward(forward),
            Verdict::Reply(reply) => obey_reply(&reply),
            Verdict::Hold | Verdict::NotOurs(_) => obey_reply(&Reply::refuse(Refusal::Host("proxy_continue_stream"))),
        };
        with_vm(|vm| vm.streams.get_mut(&request).map(|stream| stream.state = state));
        if action == Action::Continue {
            host::continue_request().ok();
        }
    }
    host::set_effective_context(root).ok();
}

/// Has the proxy call `on_tick` when the gate has something to do by itself.
fn keep_time(root: u32, now: UnixTime) -> Result<(), Status> {
    let change = with_plugin(root, |plugin| (plugin.gate.next_call(), plugin.alarm));
    let Some((wanted, _)) = change.filter(|(wanted, set)| wanted != set) else { return Ok(()) };
    let milliseconds = wanted.map_or(0, |at| at.seconds_from(now).saturating_mul(1000).max(1));
    host::set_tick_period(u32::try_from(milliseconds).unwrap_or(u32::MAX))?;
    with_plugin(root, |plugin| plugin.alarm = wanted);
    Ok(())
}
