//! What the host knows and remembers: contexts, streams, calls, logs, faults.

use crate::abi::{Buffer, Map, Status, status};
use crate::fault::{Fault, VERIFY};
use crate::flow::Flow;
use crate::foreign::VerifySignature;
use crate::headers::Headers;
use crate::reply::Reply;
use std::collections::{BTreeMap, VecDeque};

/// 2026-11-18T09:06:40Z, the time of every test that does not set another.
pub const NOW: u64 = 1_795_000_000;

/// One line that the guest logged.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// 0 trace to 5 critical.
    pub level: u32,
    /// The text.
    pub text: String,
}

/// Level `error` of the ABI.
const ERROR: u32 = 4;

/// The callbacks in which a filter may answer.
const STREAM_CALLBACKS: [&str; 4] =
    ["proxy_on_request_headers", "proxy_on_request_body", "proxy_on_request_trailers", "proxy_on_response_headers"];

/// What stands behind a cluster name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cluster {
    /// Requests are sent; the test answers them.
    Up,
    /// The cluster has no endpoint.
    Empty,
}

/// An HTTP call that the guest made.
#[derive(Clone, Debug)]
pub struct HttpCall {
    /// The token it was given.
    pub token: u32,
    /// The root context that gets the answer, whoever asked.
    pub root: u32,
    /// The context that asked.
    pub asked_by: u32,
    /// The cluster it goes to.
    pub cluster: String,
    /// Its request headers.
    pub headers: Headers,
    /// Its body.
    pub body: Vec<u8>,
    /// Its timeout in milliseconds.
    pub timeout_ms: u32,
    /// Whether the answer is still due.
    pub open: bool,
}

impl HttpCall {
    /// The full URL it asks for.
    pub fn url(&self) -> String {
        let part = |name| self.headers.get(name).unwrap_or("");
        format!("{}://{}{}", part(":scheme"), part(":authority"), part(":path"))
    }
}

/// How an answer is given to a guest that asks for an empty buffer; hosts differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyBuffer {
    /// Ok, and the result pointers are not written.
    Untouched,
    /// Ok, with pointer 0 and size 0.
    Zero,
    /// NotFound.
    NotFound,
}

/// One stream, dead or alive.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamState {
    pub(crate) root: u32,
    pub(crate) alive: bool,
    /// Whether the request headers callback has returned "pause" and nothing followed.
    pub(crate) held: bool,
    pub(crate) request_flow: Flow,
    pub(crate) response_flow: Flow,
    pub(crate) request: Option<Headers>,
    pub(crate) response: Option<Headers>,
    /// The request headers at the moment when they went upstream.
    pub(crate) forwarded: Option<Headers>,
    /// Each attempt to continue, also those that a fault stopped.
    pub(crate) continues: Vec<Headers>,
    pub(crate) reply: Option<Reply>,
    /// The response headers as the client got them.
    pub(crate) client_head: Option<Headers>,
    /// It was answered after that.
    pub(crate) reset: bool,
    /// What the filter told of it.
    pub(crate) filter_state: BTreeMap<String, String>,
}

/// What is done when a callback has returned.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deferred {
    /// Send the local reply to this stream.
    Reply(u32),
    /// Let this request go on.
    Continue(u32),
}

/// The state of one VM's host.
pub struct World {
    /// Seconds since 1970 as the guest sees them.
    pub now: u64,
    /// The clusters that exist.
    pub clusters: BTreeMap<String, Cluster>,
    /// What the guest logged.
    pub logs: Vec<LogLine>,
    /// The HTTP calls it made, in order.
    pub http_calls: Vec<HttpCall>,
    /// Tick period of each root context that set one, in milliseconds.
    pub ticks: BTreeMap<u32, u32>,
    /// Host calls by name since the VM started.
    pub counts: BTreeMap<&'static str, u32>,
    /// How an empty buffer is handed over.
    pub empty_buffer: EmptyBuffer,
    /// Whether a request that is paused at its headers still gets body callbacks, with headers that can be changed
    /// (`allow_on_headers_stop_iteration`).
    pub stops_headers_only: bool,
    /// How many bytes at the end of a body the host announces and does not hand over.
    pub withheld: usize,
    /// Environment variables, `NAME=value`.
    pub environment: Vec<String>,
    /// The resource that the metadata of every route name; `None`: they name none.
    pub route_resource: Option<Vec<u8>>,
    /// What the host says of the client's certificate; `None`: the connection has no TLS.
    pub certificate: Option<Vec<u8>>,
    /// Names and kinds of the metrics, by id. What is defined twice has two ids and one value.
    pub metrics: Vec<(String, u32)>,
    /// Their values, by name.
    pub metric_values: BTreeMap<String, i64>,
    /// What this host's `verify_signature` does.
    pub verify_signature: VerifySignature,
    /// So many bytes are missing at the end of each map of headers.
    pub cut_pairs: usize,
    /// Things the guest did that no filter may do. Checked when the VM is dropped.
    pub violations: Vec<String>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) roots: BTreeMap<u32, Vec<u8>>,
    pub(crate) streams: BTreeMap<u32, StreamState>,
    /// The context whose callback runs.
    pub(crate) current: u32,
    /// That callback.
    pub(crate) callback: &'static str,
    /// The context that the guest switched to; 0 for none.
    pub(crate) effective: u32,
    pub(crate) configuring: bool,
    /// The answer that is being delivered: headers and body.
    pub(crate) answer: Option<(Headers, Vec<u8>)>,
    /// What is done when the callback has returned.
    pub(crate) due: VecDeque<Deferred>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            now: NOW,
            clusters: BTreeMap::from([("idp".to_owned(), Cluster::Up)]),
            logs: Vec::new(),
            http_calls: Vec::new(),
            ticks: BTreeMap::new(),
            counts: BTreeMap::new(),
            empty_buffer: EmptyBuffer::Untouched,
            stops_headers_only: false,
            withheld: 0,
            environment: Vec::new(),
            route_resource: None,
            certificate: None,
            metrics: Vec::new(),
            metric_values: BTreeMap::new(),
            verify_signature: VerifySignature::Absent,
            cut_pairs: 0,
            violations: Vec::new(),
            faults: Vec::new(),
            roots: BTreeMap::new(),
            streams: BTreeMap::new(),
            current: 0,
            callback: "",
            effective: 0,
            configuring: false,
            answer: None,
            due: VecDeque::new(),
        }
    }
}

impl World {
    /// Adds a fault; n-th calls are counted from now.
    pub fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Ends all faults.
    pub fn heal(&mut self) {
        self.faults.clear();
    }

    /// The calls whose answers are still due.
    pub fn open_calls(&self) -> Vec<HttpCall> {
        self.http_calls.iter().filter(|call| call.open).cloned().collect()
    }

    /// All log lines as one text.
    pub fn log_text(&self) -> String {
        self.logs.iter().map(|line| format!("[{}] {}\n", line.level, line.text)).collect()
    }

    /// The log lines of level error.
    pub fn errors(&self) -> Vec<&str> {
        self.logs.iter().filter(|line| line.level == ERROR).map(|line| line.text.as_str()).collect()
    }

    /// How many host calls were made so far.
    pub fn host_calls(&self) -> u32 {
        self.counts.values().sum()
    }

    /// The value of a metric, 0 if it was never defined.
    pub fn metric(&self, name: &str) -> u64 {
        let value = self.metric_values.get(name).copied().unwrap_or_default();
        u64::try_from(value).expect("no metric is below 0")
    }

    /// Kind and value of the metric with this id.
    pub(crate) fn metric_of(&mut self, id: u32) -> Option<(u32, &mut i64)> {
        let (name, kind) = self.metrics.get((id as usize).checked_sub(1)?)?;
        Some((*kind, self.metric_values.get_mut(name)?))
    }

    /// How often the guest asked the host to verify a signature.
    pub fn asked_to_verify(&self) -> u32 {
        self.counts.get(VERIFY).copied().unwrap_or_default()
    }

    /// Counts a call and says which status a fault gives it.
    pub(crate) fn enter(&mut self, function: &'static str) -> Option<Status> {
        *self.counts.entry(function).or_default() += 1;
        // Every fault counts the call, also when an earlier one already struck.
        let struck: Vec<_> = self.faults.iter_mut().map(|f| f.strikes(function)).collect();
        struck.into_iter().flatten().next()
    }

    pub(crate) fn violation(&mut self, text: impl Into<String>) {
        self.violations.push(text.into());
    }

    /// The context that host calls act on: the effective one while it lives, else the current.
    pub(crate) fn context(&self) -> u32 {
        if self.effective != 0 && self.is_alive(self.effective) { self.effective } else { self.current }
    }

    pub(crate) fn is_alive(&self, id: u32) -> bool {
        self.roots.contains_key(&id) || self.streams.get(&id).is_some_and(|stream| stream.alive)
    }

    /// The root of the context that host calls act on.
    pub(crate) fn root(&self) -> u32 {
        let context = self.context();
        self.streams.get(&context).map_or(context, |stream| stream.root)
    }

    /// The live stream that host calls act on, if it is one.
    pub(crate) fn stream(&mut self) -> Option<&mut StreamState> {
        let id = self.context();
        self.streams.get_mut(&id).filter(|stream| stream.alive)
    }

    /// A header map, where the phase has it.
    pub(crate) fn map(&mut self, number: u32) -> Option<&mut Headers> {
        match Map::from_number(number)? {
            Map::Request => self.stream()?.request.as_mut(),
            Map::Response => self.stream()?.response.as_mut(),
            Map::CallResponse => {
                let at_root = self.roots.contains_key(&self.context());
                self.answer.as_mut().filter(|_| at_root).map(|(headers, _)| headers)
            }
        }
    }

    /// A buffer, where the phase has it.
    pub(crate) fn buffer(&self, number: u32) -> Option<&[u8]> {
        let at_root = self.roots.get(&self.context());
        let stream = self.streams.get(&self.context()).filter(|stream| stream.alive);
        match Buffer::from_number(number)? {
            Buffer::VmConfiguration => Some(&[]),
            Buffer::PluginConfiguration => at_root.filter(|_| self.configuring).map(|config| config.as_slice()),
            Buffer::CallResponseBody => {
                self.answer.as_ref().filter(|_| at_root.is_some()).map(|(_, body)| body.as_slice())
            }
            Buffer::RequestBody => {
                Some(stream.map(|stream| self.handed_over(&stream.request_flow)).unwrap_or_default())
            }
            Buffer::ResponseBody => {
                Some(stream.map(|stream| self.handed_over(&stream.response_flow)).unwrap_or_default())
            }
        }
    }

    fn handed_over<'f>(&self, flow: &'f Flow) -> &'f [u8] {
        let bytes = flow.visible();
        &bytes[..bytes.len().saturating_sub(self.withheld)]
    }

    /// Replaces the start of a body; Envoy can do that only where there is a buffer.
    pub(crate) fn set_buffer(&mut self, number: u32, start: u32, replaced: u32, data: &[u8]) -> Status {
        let Some(buffer) = Buffer::from_number(number) else { return status::NOT_FOUND };
        let bytes = self.stream().and_then(|stream| match buffer {
            Buffer::RequestBody => stream.request_flow.visible_mut(),
            Buffer::ResponseBody => stream.response_flow.visible_mut(),
            _ => None,
        });
        let Some(bytes) = bytes.filter(|_| start == 0) else { return status::BAD_ARGUMENT };
        let replaced = replaced as usize;
        if replaced > bytes.len() {
            self.violation(format!("{replaced} bytes replaced where there are fewer"));
            return status::BAD_ARGUMENT;
        }
        bytes.splice(..replaced, data.iter().copied());
        status::OK
    }

    /// A property of a live stream; its path has NULs between its parts.
    pub(crate) fn property(&mut self, path: &[u8]) -> Result<Vec<u8>, Status> {
        const ROUTE_RESOURCE: &[u8] = b"xds\0route_metadata\0filter_metadata\0mcp_oauth\0resource";
        const CERTIFICATE: &[u8] = b"connection\0sha256_peer_certificate_digest";
        let value = match path {
            ROUTE_RESOURCE => &self.route_resource,
            CERTIFICATE => &self.certificate,
            _ => &None,
        };
        let value = value.clone();
        if self.stream().is_none() || ![ROUTE_RESOURCE, CERTIFICATE].contains(&path) {
            self.violation(format!("the property `{}` is asked for", path.escape_ascii()));
            return Err(status::NOT_FOUND);
        }
        value.ok_or(status::NOT_FOUND)
    }

    /// Filter state of a live stream, as Envoy names it.
    pub(crate) fn set_property(&mut self, path: &str, value: Vec<u8>) -> Status {
        let visible = value.iter().all(|byte| matches!(byte, b' '..=b'~'));
        if !path.starts_with("mcp_oauth.") || !visible {
            self.violation(format!("the property `{path}` is set to `{}`", value.escape_ascii()));
        }
        let Some(stream) = self.stream() else { return status::NOT_FOUND };
        stream.filter_state.insert(format!("wasm.{path}"), String::from_utf8_lossy(&value).into_owned());
        status::OK
    }

    pub(crate) fn send_reply(&mut self, reply: Reply) -> Status {
        let id = self.context();
        // While a body is being read, the head may have gone.
        let in_body = ["proxy_on_request_body", "proxy_on_request_trailers"].contains(&self.callback);
        let Some(stream) = self.stream() else {
            // Without a stream it goes nowhere. That is the host's fault if it asked about such a context.
            if !STREAM_CALLBACKS.contains(&self.callback) {
                self.violation(format!("local reply {} on context {id} in {}", reply.status, self.callback));
            }
            return status::OK;
        };
        if stream.reply.is_some() {
            return status::BAD_ARGUMENT;
        }
        if stream.client_head.is_some() {
            // The response has begun: there is no room for another one.
            stream.reset = true;
            return status::OK;
        }
        let reads = stream.forwarded.is_some() && in_body && !stream.request_flow.passed().1;
        let late = stream.forwarded.is_some() && stream.response.is_none() && !reads;
        stream.reply = Some(reply);
        stream.held = false;
        self.due.push_back(Deferred::Reply(id));
        if late {
            self.violation(format!("local reply on stream {id}, which had gone upstream"));
        }
        status::OK
    }

    /// Notes the attempt to continue, with the headers that would go upstream.
    pub(crate) fn note_continue(&mut self) {
        if let Some(stream) = self.stream() {
            let headers = stream.request.clone().unwrap_or_default();
            stream.continues.push(headers);
        }
    }

    pub(crate) fn continue_stream(&mut self) -> Status {
        let id = self.context();
        match self.stream() {
            Some(stream) if stream.held => {
                stream.held = false;
                stream.forwarded = stream.request.take();
                self.due.push_back(Deferred::Continue(id));
            }
            _ => self.violation(format!("continue_stream on context {id}, which is not held")),
        }
        status::OK
    }

    pub(crate) fn http_call(
        &mut self,
        cluster: &str,
        headers: Headers,
        body: Vec<u8>,
        timeout_ms: u32,
    ) -> Result<u32, Status> {
        let complete = [":method", ":path", ":authority"].iter().all(|name| headers.bytes(name).is_some());
        let negative = i32::try_from(timeout_ms).is_err();
        match self.clusters.get(cluster) {
            Some(_) if !complete || negative => Err(status::BAD_ARGUMENT),
            None => Err(status::BAD_ARGUMENT),
            Some(Cluster::Empty) => Err(status::INTERNAL_FAILURE),
            Some(Cluster::Up) => {
                let token = self.http_calls.last().map_or(1, |call| call.token + 1);
                let asked_by = self.context();
                let root = self.root();
                let cluster = cluster.to_owned();
                self.http_calls.push(HttpCall {
                    token,
                    root,
                    asked_by,
                    cluster,
                    headers,
                    body,
                    timeout_ms,
                    open: true,
                });
                Ok(token)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: u32 = 1;
    const STREAM: u32 = 2;
    const REQUEST_MAP: u32 = 0;

    /// A root, and one stream whose callback runs.
    fn world() -> World {
        let mut world = World { current: STREAM, callback: "proxy_on_request_headers", ..World::default() };
        world.roots.insert(ROOT, b"{}".to_vec());
        let request = Some(Headers::default());
        world.streams.insert(STREAM, StreamState { root: ROOT, alive: true, request, ..StreamState::default() });
        world
    }

    fn reply() -> Reply {
        Reply { status: 401, details: String::new(), headers: Headers::default(), body: Vec::new() }
    }

    fn call(cluster: &str, headers: &[&str]) -> Result<u32, Status> {
        let mut map = Headers::default();
        headers.iter().for_each(|name| map.add(name, "x"));
        world().http_call(cluster, map, Vec::new(), 1000)
    }

    #[test]
    fn a_stream_is_answered_once() {
        let mut world = world();
        assert_eq!(world.send_reply(reply()), status::OK);
        assert_eq!(world.send_reply(reply()), status::BAD_ARGUMENT);
    }

    #[test]
    fn request_headers_are_gone_after_continue() {
        let mut world = world();
        assert!(world.map(REQUEST_MAP).is_some());
        world.streams.get_mut(&STREAM).unwrap().held = true;
        world.continue_stream();
        assert!(world.map(REQUEST_MAP).is_none());
        assert!(world.violations.is_empty());
        world.continue_stream();
        assert_eq!(world.violations.len(), 1);
    }

    #[test]
    fn a_root_acts_for_a_stream_only_while_that_lives() {
        let mut world = world();
        (world.current, world.callback) = (ROOT, "proxy_on_tick");
        assert!(world.map(REQUEST_MAP).is_none());
        world.effective = STREAM;
        assert!(world.map(REQUEST_MAP).is_some());
        world.streams.get_mut(&STREAM).unwrap().alive = false;
        assert!(world.map(REQUEST_MAP).is_none());
        world.send_reply(reply());
        assert_eq!(world.violations.len(), 1, "a reply on the root goes nowhere");
    }

    #[test]
    fn calls_need_a_cluster_with_an_endpoint_and_a_complete_request() {
        let complete = [":method", ":path", ":authority"];
        assert_eq!(call("idp", &complete), Ok(1));
        assert_eq!(call("idp", &complete[..2]), Err(status::BAD_ARGUMENT));
        assert_eq!(call("nobody", &complete), Err(status::BAD_ARGUMENT));
        let mut world = world();
        world.clusters.insert("idp".to_owned(), Cluster::Empty);
        let mut headers = Headers::default();
        complete.iter().for_each(|name| headers.add(name, "x"));
        assert_eq!(world.http_call("idp", headers, Vec::new(), 1000), Err(status::INTERNAL_FAILURE));
    }

    #[test]
    fn a_configuration_is_readable_only_while_configuring() {
        let mut world = world();
        world.current = ROOT;
        assert_eq!(world.buffer(7), None);
        world.configuring = true;
        assert_eq!(world.buffer(7), Some(b"{}".as_slice()));
    }
}
