//! The plugin: brings what the proxy says to the core's gate, and does what the gate's verdict says.
//!
//! State is borrowed only while the core thinks, never during a host call, so a host that calls back from inside a call
//! meets free state. Where a host call fails, the request is refused.

use std::{cell::RefCell, collections::BTreeMap};

use mcp_oauth::{
    config,
    fetch::{Answer, Fetch, FetchId, KeyEvent, KeyEventKind, MAX_DOCUMENT_BYTES},
    form::MEDIA_TYPE,
    gate::{Gate, Outcome},
    policy::Policy,
    refusal::Refusal,
    time::UnixTime,
};

use crate::{
    crypto::VerifySignature,
    host::{self, Buffer, Level, Map, Status},
    metrics::{Metrics, tell_counts, tell_held, tell_keys},
    request,
    stream::Stream,
};

/// A VM may run several plugins, each with its own configuration and streams. Boxes have one size, so that the maps, and the
/// one of held requests in the core, share their code: 7 KiB.
#[derive(Default)]
pub(crate) struct Vm {
    pub(crate) plugins: BTreeMap<u32, Box<Plugin>>,
    pub(crate) streams: BTreeMap<u32, Box<Stream>>,
}

pub(crate) struct Plugin {
    pub(crate) gate: Gate,
    /// The fetches that were sent.
    calls: Vec<(u32, FetchId)>,
    /// What the timer is set for.
    alarm: Option<UnixTime>,
    /// It went off, and goes on doing so in the same period until it is set anew.
    goes_on: bool,
    pub(crate) metrics: Metrics,
}

thread_local! {
    static VM: RefCell<Vm> = const { RefCell::new(Vm { plugins: BTreeMap::new(), streams: BTreeMap::new() }) };
}

/// Runs `think` on the state; `None` if a host called back while the core was thinking.
pub(crate) fn with_vm<T>(think: impl FnOnce(&mut Vm) -> T) -> Option<T> {
    VM.with(|vm| vm.try_borrow_mut().ok().map(|mut vm| think(&mut vm)))
}

pub(crate) fn with_plugin<T>(root: u32, think: impl FnOnce(&mut Plugin) -> T) -> Option<T> {
    with_vm(|vm| vm.plugins.get_mut(&root).map(|plugin| think(plugin))).flatten()
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
            vm.plugins.insert(context, Box::new(Plugin::new(Policy::refusing(), 0)));
        } else {
            vm.streams.insert(context, Box::new(Stream::new(root)));
        }
    });
}

/// A pure function of the configuration's bytes, as far as its result goes: an answer that differs between Envoy's
/// canary VM and its workers makes Envoy run without the filter.
pub(crate) fn on_configure(root: u32, size: usize) -> bool {
    // An empty configuration is refused in every VM; some hosts have no buffer to read it from.
    let bytes = if size == 0 { Ok(Vec::new()) } else { host::buffer(Buffer::PluginConfiguration, size) };
    let (policy, accepted) = match bytes {
        Ok(bytes) => match config::parse_in(&bytes, &|name| std::env::var(name).ok()) {
            Ok(policy) => {
                for warning in policy.warnings() {
                    host::log(Level::Warn, &format!("config: {warning}"));
                }
                (policy, true)
            }
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
    plugin.metrics = Metrics::define();
    let replaced = with_vm(|vm| vm.plugins.insert(root, Box::new(plugin))).flatten();
    if let Some(mut replaced) = replaced {
        request::resume(replaced.gate.refuse_all_held(&Refusal::Misconfigured), root);
        replaced.metrics.close();
    }
    // The first tick fetches keys, so that the first request need not wait. If the tick cannot be had, it will.
    keep_time(root, UnixTime(0)).ok();
    accepted
}

pub(crate) fn on_tick(root: u32) {
    let Ok(now) = host::now() else { return };
    with_plugin(root, |plugin| plugin.goes_on = true);
    let outcomes = with_plugin(root, |plugin| {
        let outcomes = plugin.gate.on_time(now);
        // A proxy that never reports the end of some calls must not make this grow.
        plugin.calls.retain(|(_, id)| plugin.gate.awaits(*id));
        outcomes
    });
    for outcome in outcomes.unwrap_or_default() {
        settle(root, outcome, now);
    }
    send_fetches(root, now);
    tell_counts(root, now);
    keep_time(root, now).ok();
}

pub(crate) fn on_http_call_response(root: u32, token: u32, headers: usize, body_size: usize) {
    let sent = with_plugin(root, |plugin| {
        let at = plugin.calls.iter().position(|(call, _)| *call == token)?;
        Some(plugin.calls.swap_remove(at))
    });
    let Some((_, id)) = sent.flatten() else { return };
    let Ok(now) = host::now() else {
        let refusal = Refusal::Host("proxy_get_current_time_nanoseconds");
        request::resume(with_plugin(root, |plugin| plugin.gate.refuse_all_held(&refusal)).unwrap_or_default(), root);
        tell_held(root);
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
    settle(root, outcome, now);
    tell_counts(root, now);
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

pub(crate) fn on_delete(context: u32) {
    let gone = with_vm(|vm| {
        let stream = vm.streams.remove(&context);
        if let Some(stream) = &stream
            && let Some(plugin) = vm.plugins.get_mut(&stream.root)
        {
            plugin.gate.on_gone(context);
        }
        (stream, vm.plugins.remove(&context))
    });
    let (stream, plugin) = gone.unwrap_or_default();
    if let Some(stream) = stream {
        tell_held(stream.root);
    }
    if let Some(plugin) = plugin {
        plugin.metrics.close();
    }
}

impl Plugin {
    fn new(policy: Policy, seed: u64) -> Self {
        Self {
            gate: Gate::on_host(policy, Box::new(VerifySignature), seed),
            calls: Vec::new(),
            alarm: None,
            goes_on: false,
            metrics: Metrics::default(),
        }
    }
}

/// Starts every fetch that the gate wants now.
fn send_fetches(root: u32, now: UnixTime) {
    while let Some(fetch) = with_plugin(root, |plugin| plugin.gate.poll_fetch(now)).flatten() {
        match send(&fetch) {
            Ok(token) => {
                with_plugin(root, |plugin| plugin.calls.push((token, fetch.id)));
            }
            Err(Status(status)) => {
                let answer = Answer::NotSent(status);
                let outcome = with_plugin(root, |plugin| plugin.gate.on_answer(fetch.id, answer, now));
                settle(root, outcome.unwrap_or_default(), now);
            }
        }
    }
}

fn send(fetch: &Fetch) -> Result<u32, Status> {
    let target = fetch.uri.request_target();
    let (method, authorization, body) = match &fetch.post {
        None => ("GET", None, ""),
        Some(post) => ("POST", post.authorization.as_ref(), post.form.expose()),
    };
    let mut headers = vec![
        (":method", method),
        (":scheme", fetch.uri.scheme()),
        (":authority", fetch.uri.authority()),
        (":path", target.as_str()),
        ("accept", "application/json"),
    ];
    let length = body.len().to_string();
    if fetch.post.is_some() {
        headers.extend([("content-type", MEDIA_TYPE), ("content-length", length.as_str())]);
    }
    headers.extend(authorization.map(|authorization| ("authorization", authorization.expose())));
    let timeout = u32::try_from(fetch.timeout.as_millis()).unwrap_or(u32::MAX);
    host::http_call(&fetch.cluster, headers.into_iter(), body.as_bytes(), timeout)
}

fn settle(root: u32, outcome: Outcome, now: UnixTime) {
    if let Some(event) = outcome.event {
        report(&event);
        if let KeyEventKind::Fetched { .. } = event.kind {
            tell_keys(root, &event.issuer, now);
        }
    }
    if let Some(event) = outcome.remote {
        let level = if event.failure.is_some() { Level::Error } else { Level::Info };
        host::log(level, &format!("{event}"));
    }
    request::resume(outcome.resumed, root);
}

fn report(event: &KeyEvent) {
    host::log(if event.is_failure() { Level::Error } else { Level::Info }, &format!("{event}"));
}

/// Has the proxy call `on_tick` when the gate has something to do by itself.
pub(crate) fn keep_time(root: u32, now: UnixTime) -> Result<(), Status> {
    let change = with_plugin(root, |plugin| {
        let wanted = plugin.gate.next_call();
        (plugin.goes_on || wanted != plugin.alarm).then_some(wanted)
    });
    let Some(wanted) = change.flatten() else { return Ok(()) };
    let milliseconds = wanted.map_or(0, |at| at.seconds_from(now).saturating_mul(1000).max(1));
    host::set_tick_period(u32::try_from(milliseconds).unwrap_or(u32::MAX))?;
    with_plugin(root, |plugin| (plugin.alarm, plugin.goes_on) = (wanted, false));
    Ok(())
}
