//! One instance of the module, driven through its callbacks.

use crate::fault::Fault;
use crate::headers::Headers;
use crate::module::built;
use crate::reply::Reply;
use crate::request::{Answer, Request, Response};
use crate::world::{Deferred, StreamState, World};
use crate::{calls, wasi};
use std::fmt::Debug;
use wasmi::{Instance, Linker, Store, WasmParams, WasmResults};

const CONTINUE: u32 = 0;
const PAUSE: u32 = 1;

/// The callbacks whose result says what becomes of the bytes that they were called with.
const BODIES: [&str; 4] =
    ["proxy_on_request_body", "proxy_on_request_trailers", "proxy_on_response_body", "proxy_on_response_trailers"];

/// One stream of a [`Vm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream(pub u32);

/// What became of a request.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It went upstream with these headers.
    Forwarded(Headers),
    /// The client got this.
    Replied(Reply),
    /// It waits.
    Held,
    /// The client left while it waited.
    Gone,
}

/// One instance of the module and its host: what Envoy calls a VM.
///
/// Any trap fails the test with the name of the callback. What no filter may do at all (a second
/// local reply, a header with a line break, a pointer into nowhere) fails it when the VM is
/// dropped.
pub struct Vm {
    store: Store<World>,
    instance: Instance,
    next_context: u32,
}

impl Vm {
    /// Instantiates the module and runs `_initialize`.
    pub fn new() -> Self {
        Self::with_faults(&[])
    }

    /// The same with faults from the first host call on.
    pub fn with_faults(faults: &[Fault]) -> Self {
        let mut world = World::default();
        faults.iter().for_each(|fault| world.fault(fault.clone()));
        Self::in_world(world)
    }

    /// The same with environment variables.
    pub fn with_environment(variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Self::in_world(World { environment: variables, ..World::default() })
    }

    fn in_world(world: World) -> Self {
        let module = &built().module;
        let mut linker = Linker::new(module.engine());
        calls::define(&mut linker).expect("each host function is defined once");
        wasi::define(&mut linker, module).expect("each WASI function is defined once");
        let mut store = Store::new(module.engine(), world);
        let instance = linker
            .instantiate_and_start(&mut store, module)
            .unwrap_or_else(|error| panic!("the host refuses the module: {error}"));
        let mut vm = Self { store, instance, next_context: 1 };
        vm.call::<(), ()>(0, "_initialize", ());
        vm
    }

    /// A VM with one root context that accepted the configuration.
    pub fn start(config: impl AsRef<[u8]>) -> Self {
        let mut vm = Self::new();
        let (_, accepted) = vm.root(config);
        assert!(accepted, "configuration refused:\n{}", vm.world().log_text());
        vm
    }

    /// Adds a root context as Envoy does: create, VM start, configure. Returns its id and whether
    /// the configuration was accepted.
    pub fn root(&mut self, config: impl AsRef<[u8]>) -> (u32, bool) {
        let config = config.as_ref().to_vec();
        let size = u32::try_from(config.len()).expect("below 4 GiB");
        let root = self.new_root(config);
        let started = self.call::<_, u32>(root, "proxy_on_vm_start", (root, 0_u32));
        assert_ne!(started, Some(0), "proxy_on_vm_start refused");
        (root, self.configure(root, size))
    }

    /// Only creates a root context.
    pub fn new_root(&mut self, config: Vec<u8>) -> u32 {
        let root = self.allocate_id();
        self.world().roots.insert(root, config);
        self.call::<_, ()>(root, "proxy_on_context_create", (root, 0_u32));
        root
    }

    /// Only configures a root context. The size is the host's word, true or not.
    pub fn configure(&mut self, root: u32, size: u32) -> bool {
        self.world().configuring = true;
        let accepted = self.call(root, "proxy_on_configure", (root, size));
        self.world().configuring = false;
        accepted.unwrap_or(1_u32) != 0
    }

    /// Gives a root context other configuration bytes and configures it again. Returns whether they were accepted.
    pub fn reconfigure(&mut self, root: u32, config: impl AsRef<[u8]>) -> bool {
        let config = config.as_ref().to_vec();
        let size = u32::try_from(config.len()).expect("below 4 GiB");
        self.world().roots.insert(root, config);
        self.configure(root, size)
    }

    /// The host's state, for looking and for changing.
    pub fn world(&mut self) -> &mut World {
        self.store.data_mut()
    }

    /// Lets each root context tick that asked for ticks.
    pub fn tick(&mut self) {
        let due = self.world().ticks.clone();
        for (root, _) in due.into_iter().filter(|(_, period)| *period > 0) {
            self.tick_root(root);
        }
    }

    /// Lets one context tick, whether it asked or not.
    pub fn tick_root(&mut self, root: u32) {
        self.call::<_, ()>(root, "proxy_on_tick", root);
    }

    /// Moves the clock and then ticks.
    pub fn sleep(&mut self, seconds: u64) {
        self.world().now += seconds;
        self.tick();
    }

    /// Sends a request through the first root context.
    pub fn request(&mut self, request: Request) -> Stream {
        let root = *self.world().roots.keys().next().expect("there is a root context");
        self.request_on(root, request)
    }

    /// Sends a request through a root context.
    pub fn request_on(&mut self, root: u32, request: Request) -> Stream {
        let stream = self.new_stream(root);
        self.request_headers(stream, request);
        stream
    }

    /// Only creates a stream's context.
    pub fn new_stream(&mut self, root: u32) -> Stream {
        let id = self.allocate_id();
        let state = StreamState { root, alive: true, ..StreamState::default() };
        self.world().streams.insert(id, state);
        self.call::<_, ()>(id, "proxy_on_context_create", (id, root));
        Stream(id)
    }

    /// Only delivers request headers. Returns the action, which on a live stream takes effect.
    pub fn request_headers(&mut self, stream: Stream, request: Request) -> u32 {
        let Stream(id) = stream;
        let count = u32::try_from(request.headers.len()).expect("few headers");
        let ends = u32::from(request.ends());
        if let Some(state) = self.state(stream) {
            let (root, alive) = (state.root, state.alive);
            *state = StreamState { root, alive, request: Some(request.headers), ..StreamState::default() };
            state.request_flow.headers(ends != 0);
        }
        let action = self.call_then(id, "proxy_on_request_headers", (id, count, ends), |world, action| {
            let Some(state) = world.streams.get_mut(&id).filter(|state| state.alive) else { return };
            match action {
                _ if state.reply.is_some() => {}
                CONTINUE => {
                    state.forwarded = state.request.take();
                    state.request_flow.pass();
                }
                PAUSE => {
                    state.held = true;
                    state.request_flow.stop(!world.stops_headers_only);
                }
                other => world.violation(format!("proxy_on_request_headers returned {other}")),
            }
        });
        action.expect("the module exports proxy_on_request_headers")
    }

    /// Lets the upstream answer; returns what the client sees of it. Fails the test if the filter
    /// answers in its place or lets it wait.
    pub fn respond(&mut self, stream: Stream, response: Response) -> Headers {
        let seen = self.try_respond(stream, response);
        seen.unwrap_or_else(|| panic!("the response does not pass: {:?}", self.outcome(stream)))
    }

    /// The same; nothing if the response does not pass.
    pub fn try_respond(&mut self, stream: Stream, response: Response) -> Option<Headers> {
        let action = self.response_headers(stream, response.headers);
        let state = self.state(stream).expect("a stream of this VM");
        let headers = state.response.take().unwrap_or_default();
        state.response_flow.headers(false);
        let passes = action == CONTINUE && state.reply.is_none();
        passes.then(|| state.client_head.insert(headers).clone())
    }

    /// Only delivers response headers.
    pub fn response_headers(&mut self, stream: Stream, headers: Headers) -> u32 {
        let Stream(id) = stream;
        let count = u32::try_from(headers.len()).expect("few headers");
        if let Some(state) = self.state(stream) {
            state.response = Some(headers);
        }
        self.call(id, "proxy_on_response_headers", (id, count, 0_u32)).unwrap_or(CONTINUE)
    }

    /// Ends a stream: the client left, or all is done.
    pub fn delete(&mut self, stream: Stream) {
        let Stream(id) = stream;
        self.call::<_, ()>(id, "proxy_on_delete", id);
        if let Some(state) = self.state(stream) {
            state.alive = false;
        }
    }

    /// Delivers the answer to an open call.
    pub fn answer(&mut self, token: u32, answer: Answer) {
        let calls = &mut self.world().http_calls;
        let call = calls.iter_mut().find(|call| call.token == token && call.open);
        let call = call.unwrap_or_else(|| panic!("no open call {token}"));
        call.open = false;
        let root = call.root;
        let count = u32::try_from(answer.headers.len()).expect("few headers");
        let size = u32::try_from(answer.body.len()).expect("below 4 GiB");
        self.deliver(root, token, count, size, Some(answer));
    }

    /// Only calls `proxy_on_http_call_response`, with any numbers, and with or without an answer
    /// behind them.
    pub fn deliver(&mut self, root: u32, token: u32, count: u32, size: u32, answer: Option<Answer>) {
        self.world().answer = answer.map(|answer| (answer.headers, answer.body));
        let name = "proxy_on_http_call_response";
        self.call_then::<_, ()>(root, name, (root, token, count, size, 0_u32), |world, ()| {
            world.answer = None;
        });
    }

    /// Asks the guest for memory, as the host does before it hands bytes over; 0 means no.
    pub fn allocate(&mut self, size: u32) -> u32 {
        let pointer = self.call(0, "proxy_on_memory_allocate", size);
        pointer.expect("the module exports proxy_on_memory_allocate")
    }

    /// What became of a request.
    pub fn outcome(&mut self, stream: Stream) -> Outcome {
        let state = self.state(stream).expect("a stream of this VM");
        match (&state.reply, &state.forwarded) {
            (Some(reply), _) => Outcome::Replied(reply.clone()),
            (None, Some(headers)) => Outcome::Forwarded(headers.clone()),
            (None, None) if state.alive => Outcome::Held,
            (None, None) => Outcome::Gone,
        }
    }

    /// The headers with which a request went upstream; fails the test if it did not.
    pub fn forwarded(&mut self, stream: Stream) -> Headers {
        match self.outcome(stream) {
            Outcome::Forwarded(headers) => headers,
            other => panic!("expected a forward, got {other:?}\n{}", self.world().log_text()),
        }
    }

    /// The local reply to a request; fails the test if there is none.
    pub fn replied(&mut self, stream: Stream) -> Reply {
        match self.outcome(stream) {
            Outcome::Replied(reply) => reply,
            other => panic!("expected a local reply, got {other:?}\n{}", self.world().log_text()),
        }
    }

    /// What the filter told the proxy of a request, by the names that Envoy gives it.
    pub fn filter_state(&mut self, stream: Stream) -> std::collections::BTreeMap<String, String> {
        self.state(stream).expect("a stream of this VM").filter_state.clone()
    }

    /// Whether the request waits.
    pub fn is_held(&mut self, stream: Stream) -> bool {
        matches!(self.outcome(stream), Outcome::Held)
    }

    /// Every header map that went upstream or would have: forwards, and attempts to continue.
    pub fn upstream_attempts(&mut self, stream: Stream) -> Vec<Headers> {
        let state = self.state(stream).expect("a stream of this VM");
        state.forwarded.iter().chain(&state.continues).cloned().collect()
    }

    /// How many bytes of memory the module has.
    pub fn memory(&self) -> usize {
        let memory = self.instance.get_memory(&self.store, "memory").expect("the module exports memory");
        memory.data_size(&self.store)
    }

    pub(crate) fn state(&mut self, stream: Stream) -> Option<&mut StreamState> {
        self.world().streams.get_mut(&stream.0)
    }

    fn allocate_id(&mut self) -> u32 {
        let id = self.next_context;
        self.next_context += 1;
        id
    }

    pub(crate) fn call<P, R>(&mut self, context: u32, name: &'static str, params: P) -> Option<R>
    where
        P: WasmParams + Debug,
        R: WasmResults + Copy,
    {
        self.call_then(context, name, params, |_, _| {})
    }

    /// Calls a callback, applies what its result means, and then what the host had deferred.
    fn call_then<P, R>(
        &mut self,
        context: u32,
        name: &'static str,
        params: P,
        apply: impl FnOnce(&mut World, R),
    ) -> Option<R>
    where
        P: WasmParams + Debug,
        R: WasmResults + Copy,
    {
        let function = self.instance.get_func(&self.store, name)?;
        let function =
            function.typed::<P, R>(&self.store).unwrap_or_else(|error| panic!("{name} has another signature: {error}"));
        let (outer, effective) = (self.world().current, self.world().effective);
        (self.world().current, self.world().effective) = (context, 0);
        self.world().callback = name;
        let shown = format!("{name}{params:?}");
        let result = function
            .call(&mut self.store, params)
            .unwrap_or_else(|trap| panic!("trap in {shown}: {trap}\n{}", self.world().log_text()));
        (self.world().current, self.world().effective) = (outer, effective);
        apply(self.store.data_mut(), result);
        // Bodies are: whether a callback let them go decides what is done next.
        if !BODIES.contains(&name) {
            self.do_what_is_due();
        }
        Some(result)
    }

    /// What the filter asked for during a callback is done after it.
    pub(crate) fn do_what_is_due(&mut self) {
        while let Some(due) = self.world().due.pop_front() {
            match due {
                Deferred::Reply(id) => self.send_reply(Stream(id)),
                Deferred::Continue(id) => self.go_on(Stream(id)),
            }
        }
    }

    /// A local reply passes through the filter's own response callbacks on its way out, unless it replaces a response
    /// that is there already.
    fn send_reply(&mut self, stream: Stream) {
        let state = self.state(stream).expect("only streams reply");
        if state.response.is_some() {
            return;
        }
        let Reply { headers, body, .. } = state.reply.clone().expect("a reply is due");
        self.response_headers(stream, headers);
        let body = if body.is_empty() { body } else { self.filter_reply_body(stream, &body) };
        let state = self.state(stream).expect("only streams reply");
        let headers = state.response.take();
        if let (Some(reply), Some(headers)) = (&mut state.reply, headers) {
            (reply.headers, reply.body) = (headers, body);
        }
    }
}

impl Default for Vm {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let violations = &self.store.data().violations;
            assert!(violations.is_empty(), "the filter broke the host's rules: {violations:#?}");
        }
    }
}
