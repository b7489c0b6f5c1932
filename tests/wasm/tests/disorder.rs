//! Callbacks in every order: never a trap, never a forward without a good token.

use serde_json::json;
use wasm_host_tests::{
    Answer, FORGED, Fault, HOST_FUNCTIONS, Headers, Idp, Key, PATH, Request, Response, STATUSES, Stream, Token, Vm,
    breach, fetching_config, inline_config, jwks,
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
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let tokens = [Token::good().sign(), Token::good().forged_by(Key::OTHER).sign()];
        let dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut chaos = Self { vm: Vm::new(), dice, roots: Vec::new(), streams: Vec::new(), steps: Vec::new(), tokens };
        if seed.is_multiple_of(2) {
            let (root, _) = chaos.vm.root(fetching_config().to_string());
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
            2 => inline_config(&[Key::GOOD]).to_string().into(),
            _ => fetching_config().to_string().into(),
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
        let kind = self.dice.roll(26);
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
    let mut forwarded = 0;
    for seed in 1..=SEQUENCES {
        let mut chaos = Chaos::new(seed);
        for _ in 0..STEPS {
            chaos.step();
            chaos.check();
        }
        for (stream, _) in chaos.streams.clone() {
            forwarded += chaos.vm.upstream_attempts(stream).len();
        }
    }
    println!("{forwarded} forwards in {SEQUENCES} sequences of {STEPS} steps");
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
