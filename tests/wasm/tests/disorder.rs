//! Callbacks in every order: never a trap, never a forward without a good token.

use serde_json::{Value, json};
use wasm_host_tests::{
    Answer, DENIED_TOOL, FORGED, Fault, HOST_FUNCTIONS, Headers, Hold, Idp, Key, PATH, Request, Response, STATUSES,
    Stream, TOOL, Token, Vm, breach, call, fetching_config, inline_config, jwks,
};

/// A small generator (xorshift64*): the same sequence in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(mixed).expect("31 bits") % sides
    }

    fn number(&mut self) -> u32 {
        let odd = [0, 1, 2, 3, 100, 4096, 1 << 20, u32::MAX >> 1, 1 << 31, u32::MAX];
        *self.pick(&odd)
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len())]
    }
}

/// One VM that a host gone mad drives, and which requests on it had a good token.
struct Chaos {
    vm: Vm,
    dice: Dice,
    roots: Vec<u32>,
    streams: Vec<(Stream, bool)>,
    steps: Vec<String>,
    tokens: [String; 2],
    /// Whether all resources have rules; then the host does not lie about bodies.
    hold: Option<Hold>,
    /// How often a body that was judged had been forwarded.
    bodies: usize,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let tokens = [Token::good().sign(), Token::good().forged_by(Key::OTHER).sign()];
        let dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let hold = [None, Some(Hold::Headers), None, Some(Hold::Body)][usize::try_from(seed / 2 % 4).expect("small")];
        let (roots, streams, steps) = (Vec::new(), Vec::new(), Vec::new());
        let mut chaos = Self { vm: Vm::new(), dice, roots, streams, steps, tokens, hold, bodies: 0 };
        chaos.vm.world().stops_headers_only = hold == Some(Hold::Headers);
        if seed.is_multiple_of(2) {
            let config = chaos.ruled(fetching_config());
            let (root, _) = chaos.vm.root(config);
            chaos.roots.push(root);
        }
        chaos
    }

    /// A context id: mostly one that exists, of whatever kind.
    fn any_context(&mut self) -> u32 {
        let known: Vec<u32> =
            self.roots.iter().copied().chain(self.streams.iter().map(|(Stream(id), _)| *id)).collect();
        if known.is_empty() || self.dice.roll(5) == 0 { self.dice.number() } else { *self.dice.pick(&known) }
    }

    fn config(&mut self) -> Vec<u8> {
        match self.dice.roll(6) {
            0 => Vec::new(),
            1 => b"{}".to_vec(),
            2 => self.ruled(inline_config(&[Key::GOOD])),
            _ => self.ruled(fetching_config()),
        }
    }

    fn ruled(&self, config: Value) -> Vec<u8> {
        self.hold.map_or(config.clone(), |hold| hold.ruled(config)).to_string().into()
    }

    /// A piece of a body, or a lie about one.
    fn body(&mut self, context: u32) {
        let known = self.streams.iter().any(|(Stream(id), _)| *id == context);
        if !known || (self.hold.is_none() && self.dice.roll(2) == 0) {
            let (is_request, size, end) = (self.dice.roll(2) == 0, self.dice.number(), self.dice.roll(2) == 0);
            if self.dice.roll(4) == 0 {
                self.vm.deliver_trailers(context, is_request);
            } else {
                self.vm.deliver_body(context, is_request, size, end);
            }
            return;
        }
        let stream = Stream(context);
        let tool = if self.dice.roll(2) == 0 { TOOL } else { DENIED_TOOL };
        let body = call(tool);
        let end = self.dice.roll(2) == 0;
        match self.dice.roll(8) {
            0 => self.vm.send_trailers(stream),
            1 => self.vm.send(stream, "", true),
            2 => self.vm.send_back(stream, body, end),
            3 => self.vm.send_back_trailers(stream),
            4 => self.vm.send(stream, &body[..20], end),
            _ => self.vm.send(stream, body, end),
        }
    }

    fn request(&mut self) -> (Request, bool) {
        let path = if self.dice.roll(8) == 0 { "/elsewhere" } else { PATH };
        let request = Request::post(path).header("x-mcp-subject", FORGED).header("x_mcp_issuer", FORGED);
        match self.dice.roll(4) {
            0 => (request, false),
            1 => (request.bearer(&self.tokens[1].clone()), false),
            _ => (request.bearer(&self.tokens[0].clone()), true),
        }
    }

    fn answer(&mut self) -> Answer {
        match self.dice.roll(8) {
            0 => Answer::reset(),
            1 => Answer::timeout(),
            2 => Answer::html(),
            3 => Answer::json(&json!({"keys": []})),
            4 => Answer::json(&Idp::metadata()),
            _ => Answer::json(&jwks(&[Key::GOOD])),
        }
    }

    fn step(&mut self) {
        let kind = self.dice.roll(32);
        let context = self.any_context();
        self.steps.push(format!("step {kind} on context {context}"));
        match kind {
            0 | 1 => {
                let config = self.config();
                let (root, _) = self.vm.root(config);
                self.roots.push(root);
            }
            2 => {
                let config = self.config();
                let root = self.vm.new_root(config);
                self.roots.push(root);
            }
            3 => {
                let size = self.dice.number();
                self.vm.configure(context, size);
            }
            4 => self.vm.tick_root(context),
            5 | 6 => {
                let seconds = *self.dice.pick(&[0, 1, 7, 40, 700, 90_000]);
                self.vm.sleep(seconds);
            }
            7 => {
                // A clock that was set back.
                let now = self.vm.world().now;
                self.vm.world().now = now.saturating_sub(*self.dice.pick(&[1, 3600, u64::MAX]));
                self.vm.tick();
                self.vm.world().now = now;
            }
            8..=11 => {
                let root = self.root_or(context);
                let stream = self.vm.new_stream(root);
                self.streams.push((stream, false));
                if self.dice.roll(8) != 0 {
                    self.send(stream);
                }
            }
            // An id that may be unknown, a root's, or a stream's that had its headers already.
            12 => self.send(Stream(context)),
            13 => {
                let headers = if self.dice.roll(2) == 0 { Headers::default() } else { upstream_401() };
                self.vm.response_headers(Stream(context), headers);
            }
            14 | 15 => self.vm.delete(Stream(context)),
            16 | 17 => self.deliver_open(),
            18 => {
                let (token, count, size) = (self.dice.number(), self.dice.number(), self.dice.number());
                let answer = self.answer();
                let answer = (self.dice.roll(2) == 0).then_some(answer);
                self.vm.deliver(context, token, count, size, answer);
            }
            // What a host in its right mind does, so that some requests get through.
            20..=22 => self.serve(),
            26.. => self.body(context),
            23.. => {
                let root = self.roots.first().copied().unwrap_or(context);
                let stream = self.vm.new_stream(root);
                self.streams.push((stream, false));
                self.send(stream);
            }
            _ if self.dice.roll(2) == 0 => self.vm.world().heal(),
            _ => {
                let (function, status) = (*self.dice.pick(&HOST_FUNCTIONS), *self.dice.pick(&STATUSES));
                self.vm.world().fault(Fault::nth(function, 1, status));
            }
        }
    }

    fn serve(&mut self) {
        self.vm.world().heal();
        self.vm.sleep(1);
        for call in self.vm.world().open_calls() {
            self.vm.answer(call.token, Idp::default().answer(&call));
        }
    }

    fn root_or(&mut self, context: u32) -> u32 {
        if self.roots.is_empty() || self.dice.roll(8) == 0 { context } else { *self.dice.pick(&self.roots) }
    }

    fn send(&mut self, stream: Stream) {
        let (request, good) = self.request();
        let known = self.streams.iter_mut().find(|(other, _)| *other == stream);
        let is_known = known.is_some();
        if let Some((_, allowed)) = known {
            *allowed |= good;
        }
        let action = self.vm.request_headers(stream, request);
        assert!(is_known || action != 0, "an unknown context was told to continue");
    }

    fn deliver_open(&mut self) {
        let open = self.vm.world().open_calls();
        if open.is_empty() {
            return;
        }
        let call = self.dice.pick(&open).clone();
        let answer = if self.dice.roll(3) == 0 { self.answer() } else { Idp::default().answer(&call) };
        // Sometimes the numbers do not fit the answer.
        match self.dice.roll(6) {
            0 => {
                let (count, size) = (self.dice.number(), self.dice.number());
                self.vm.deliver(call.root, call.token, count, size, Some(answer));
            }
            _ => self.vm.answer(call.token, answer),
        }
    }

    fn check(&mut self) {
        // Rules that only a sane host can expect to be kept: it sent one stream's headers twice.
        self.vm.world().violations.clear();
        for (stream, allowed) in self.streams.clone() {
            if let Some(what) = breach(&mut self.vm, stream, allowed) {
                panic!("{what}\n{:#?}", self.steps);
            }
            let body = self.vm.upstream(stream).body;
            self.bodies += usize::from(!body.is_empty() && self.hold.is_some());
            let denied = String::from_utf8_lossy(&body).contains(DENIED_TOOL);
            assert!(self.hold.is_none() || !denied, "a denied message was forwarded\n{:#?}", self.steps);
        }
    }
}

fn upstream_401() -> Headers {
    let mut headers = Headers::default();
    headers.add(":status", "401");
    headers.add("www-authenticate", "Basic realm=\"x\"");
    headers
}

#[test]
fn a_host_gone_mad_finds_no_way_through() {
    const SEQUENCES: u64 = 400;
    const STEPS: usize = 60;
    let (mut forwarded, mut bodies) = (0, 0);
    for seed in 1..=SEQUENCES {
        let mut chaos = Chaos::new(seed);
        for _ in 0..STEPS {
            chaos.step();
            chaos.check();
        }
        for (stream, _) in chaos.streams.clone() {
            forwarded += chaos.vm.upstream_attempts(stream).len();
        }
        bodies += chaos.bodies;
    }
    println!("{forwarded} forwards in {SEQUENCES} sequences of {STEPS} steps, {bodies} with a body that was judged");
    assert!(bodies > 100, "too few bodies to prove anything: {bodies}");
    assert!(forwarded > 100, "too few forwards to prove anything: {forwarded}");
}

#[test]
fn a_response_before_its_request_passes_without_a_trap() {
    let mut vm = Vm::start(inline_config(&[Key::GOOD]).to_string());
    let stream = vm.new_stream(1);
    vm.try_respond(stream, Response::status(401).header("www-authenticate", "Basic"));
    vm.request_headers(stream, Request::post(PATH));
    vm.replied(stream).refuses(401, "missing_token");
}

#[test]
fn deleting_twice_and_ticking_before_configure_do_no_harm() {
    let mut vm = Vm::new();
    let root = vm.new_root(Vec::new());
    vm.tick_root(root);
    vm.tick_root(77);
    assert!(vm.world().http_calls.is_empty());
    assert!(vm.reconfigure(root, fetching_config().to_string()));
    let stream = vm.request(Request::post(PATH).bearer(&Token::good().sign()));
    for _ in 0..2 {
        vm.delete(stream);
        vm.delete(Stream(4711));
    }
    Idp::default().serve(&mut vm);
    assert!(vm.upstream_attempts(stream).is_empty());
    let stream = vm.request(Request::post(PATH).bearer(&Token::good().sign()));
    vm.forwarded(stream);
}

#[test]
fn configuring_again_answers_those_who_wait_and_takes_effect() {
    let mut vm = Vm::start(fetching_config().to_string());
    let stream = vm.request(Request::post(PATH).bearer(&Token::good().sign()));
    assert!(vm.is_held(stream));
    assert!(vm.reconfigure(1, inline_config(&[Key::OTHER]).to_string()));
    assert_eq!(vm.replied(stream).status, 503);
    let stream = vm.request(Request::post(PATH).bearer(&Token::good().sign()));
    vm.replied(stream).refuses(401, "invalid_token");
    let stream = vm.request(Request::post(PATH).bearer(&Token::good().signed_by(Key::OTHER).sign()));
    vm.forwarded(stream);
}

#[test]
fn configuring_again_does_not_mix_two_configurations_in_one_request() {
    let ruled = |claim: &str| {
        let mut config = inline_config(&[Key::GOOD]);
        config["hold_requests"] = json!("headers");
        config["resources"][0]["rules"] = json!([{"tools": [TOOL], "claims": [{"claim": claim, "equals": "yes"}]}]);
        config["resources"][0]["default"] = json!("deny");
        config.to_string()
    };
    // The conditions of both are numbered alike: mixed up, the caller of the old one would meet that of the new one.
    for (claim, passes) in [("staff", true), ("admin", false)] {
        let mut vm = Vm::start(ruled("staff"));
        vm.world().stops_headers_only = true;
        let stream = vm.request(Request::post(PATH).bearer(&Token::good().claim(claim, "yes").sign()));
        assert!(vm.reconfigure(1, ruled("admin")));
        vm.send(stream, call(TOOL), true);
        assert_eq!(vm.upstream(stream).is_nothing(), !passes, "{claim}: judged by the one that it began with");
    }
}
