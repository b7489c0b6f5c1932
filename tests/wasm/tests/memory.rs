//! The module's memory: a held request takes what its head takes, a body its length once, while it is judged, and a flood
//! of whatever is refused nothing that stays.

use serde_json::{Value, json};
use wasm_host_tests::{
    Hold, Idp, Key, Outcome, PATH, Request, Stream, TOOL, Token, Vm, asked, fetching_config, good_post, inline_config,
    message, response,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// For a request of which only the head is kept: state of the stream, of the gate, what the allocator adds.
const PER_REQUEST: usize = KIB;

/// Memory grows by pages of 64 KiB, and the allocator asks for one more than it needs.
const SLACK: usize = 128 * KIB;

/// A message of exactly this many bytes: one long text, or members and items as usual ones have them.
fn body(size: usize, is_text: bool) -> String {
    let call = |arguments: Value| message("tools/call", json!({"name": TOOL, "arguments": arguments}));
    let body = if is_text {
        let rest = size - call(json!({"text": ""})).len();
        call(json!({"text": "x".repeat(rest)}))
    } else {
        let item = json!({"id": 17, "name": "Oslo", "tags": ["a", "b"], "at": {"lat": 59.9, "lon": 10.75}});
        let items = size.saturating_sub(call(json!([])).len()) / (item.to_string().len() + 1);
        call(Value::Array(vec![item; items]))
    };
    assert!(body.len() <= size, "{} of {size} bytes", body.len());
    format!("{body}{}", " ".repeat(size - body.len()))
}

/// Many requests at a time, of which all has come but the last byte; then they are judged, one after the other.
fn hold_and_judge(vm: &mut Vm, count: usize, body: &str, growth: &mut Growth) {
    let streams: Vec<Stream> = (0..count).map(|_| vm.request(good_post())).collect();
    let (most, last) = body.split_at(body.len() - 1);
    for stream in &streams {
        for piece in most.as_bytes().chunks(64 * KIB) {
            vm.send(*stream, piece, false);
        }
        assert!(vm.upstream(*stream).body.is_empty(), "it waits");
    }
    growth.held = vm.memory();
    for stream in streams {
        vm.send(stream, last, true);
        assert!(vm.upstream(stream).body == body.as_bytes(), "{:?}", vm.outcome(stream));
        vm.delete(stream);
    }
    growth.judged = vm.memory();
}

#[derive(Default)]
struct Growth {
    held: usize,
    judged: usize,
}

#[test]
fn a_held_request_takes_its_head_and_while_it_is_judged_its_body_once() {
    let rows = [
        // how many, how long, one text
        (1, KIB, true),
        (200, KIB, true),
        (200, KIB, false),
        (1, MIB, true),
        (1, MIB, false),
        (40, 100 * KIB, false),
        (40, MIB, true),
        (4, MIB, false),
    ];
    for hold in Hold::BOTH {
        for (count, size, is_text) in rows {
            let mut vm = hold.served();
            let body = body(size, is_text);
            let before = vm.memory();
            let mut first = Growth::default();
            hold_and_judge(&mut vm, count, &body, &mut first);
            let (held, judged) = (first.held - before, first.judged - before);
            let case = format!("{hold:?}, {count} requests of {size} bytes: {held} bytes more, then {judged}");
            assert!(held <= count * PER_REQUEST + SLACK, "{case}");
            assert!(judged <= count * PER_REQUEST + size + SLACK, "{case}");
            // All of it is free again: the same once more takes nothing.
            let mut second = Growth::default();
            hold_and_judge(&mut vm, count, &body, &mut second);
            let more = second.judged.max(second.held) - first.judged;
            assert_eq!(more, 0, "{case}, then {more} more");
        }
    }
}

#[test]
fn a_body_that_is_refused_takes_no_more() {
    for hold in Hold::BOTH {
        let mut vm = hold.served();
        let bodies = [
            " ".repeat(MIB),
            "[".repeat(MIB),
            "\"".repeat(MIB),
            format!("{}x", body(MIB - 1, false)),
            body(MIB, false).replacen(TOOL, "delete_1", 1),
            // Longer than may be: it is not even copied.
            " ".repeat(MIB + 1),
        ];
        let before = vm.memory();
        for (n, body) in bodies.iter().cycle().take(2 * bodies.len()).enumerate() {
            let stream = vm.request(good_post());
            vm.send(stream, body, true);
            assert!(matches!(vm.replied(stream).status, 400 | 403 | 413), "{n}: {:?}", vm.outcome(stream));
            vm.delete(stream);
            let grown = vm.memory() - before;
            assert!(grown <= MIB + SLACK, "{hold:?}: {grown} bytes more after {n}");
        }
    }
}

#[test]
fn a_request_that_waits_for_keys_takes_its_head() {
    const COUNT: usize = 1000;
    for (token, most) in [(Token::good(), 2 * KIB), (padded(11_500), 17 * KIB)] {
        let mut vm = Vm::start(fetching_config().to_string());
        vm.world().stops_headers_only = true;
        let request = Request::post(PATH).bearer(&token.signed_by(Key::OTHER).sign());
        let hold_all = |vm: &mut Vm| {
            let streams: Vec<Stream> = (0..COUNT).map(|_| vm.request(request.clone())).collect();
            for stream in streams {
                vm.send(stream, "x".repeat(8 * KIB), false);
                assert!(vm.is_held(stream));
                vm.delete(stream);
            }
        };
        let before = vm.memory();
        hold_all(&mut vm);
        let first = vm.memory() - before;
        assert!(first <= COUNT * most + SLACK, "{} bytes for each", first / COUNT);
        hold_all(&mut vm);
        assert_eq!(vm.memory() - before, first, "whoever leaves takes nothing");
    }
}

/// A token with so many bytes of claims that nobody reads.
fn padded(bytes: usize) -> Token {
    Token::good().claim("padding", "x".repeat(bytes))
}

/// A flood of requests of which each is refused in this way, each with another token.
fn flood(vm: &mut Vm, from: usize, count: usize, status: u32, token: impl Fn(usize) -> String) {
    for n in from..from + count {
        let stream = vm.request(Request::post(PATH).bearer(&token(n)));
        match vm.outcome(stream) {
            Outcome::Replied(reply) => assert_eq!(reply.status, status, "{reply:?}"),
            other => panic!("not refused: {other:?}"),
        }
        vm.delete(stream);
    }
}

#[test]
fn floods_of_bad_tokens_leave_the_memory_level() {
    let good = Token::good().sign();
    let (good, long) = (good.as_str(), padded(11_500));
    // More than are remembered at a time.
    const ENOUGH: usize = 280;
    type Make<'t> = Box<dyn Fn(usize) -> String + 't>;
    let rows: [(&str, u32, usize, Make<'_>); 7] = [
        (
            "distinct and forged",
            401,
            ENOUGH,
            Box::new(|n| Token::good().claim("jti", n.to_string()).with_signature_of(good)),
        ),
        (
            "distinct, forged, nearly 16 KiB",
            401,
            ENOUGH,
            Box::new(|n| long.clone().claim("jti", n.to_string()).with_signature_of(good)),
        ),
        (
            "keys that nobody has",
            401,
            2000,
            Box::new(|n| Token::good().header("kid", format!("unknown-{n}")).with_signature_of(good)),
        ),
        (
            "keys that nobody has, nearly 16 KiB",
            401,
            2000,
            Box::new(|n| long.clone().header("kid", format!("unknown-{n}")).with_signature_of(good)),
        ),
        (
            "for somebody else",
            401,
            2000,
            Box::new(|n| Token::good().claim("aud", n.to_string()).with_signature_of(good)),
        ),
        ("nonsense of 16 KiB", 401, 2000, Box::new(|n| format!("{n:0>16384}"))),
        ("more than 16 KiB", 400, 2000, Box::new(|n| format!("{n:0>20000}"))),
    ];
    for (name, status, count, token) in rows {
        // Where keys are fetched, an unknown one might be a reason to fetch and to wait.
        let is_about_keys = name.starts_with("keys");
        let config = if is_about_keys { fetching_config() } else { inline_config(&[Key::GOOD]) };
        let mut vm = Vm::start(config.to_string());
        Idp::default().serve(&mut vm);
        // A key that may have come in the meantime is asked for once.
        let unknown = Token::good().header("kid", "new").with_signature_of(good);
        let stream = vm.request(Request::post(PATH).bearer(&unknown));
        Idp::default().serve(&mut vm);
        vm.replied(stream);
        flood(&mut vm, 0, count, status, &token);
        let before = vm.memory();
        flood(&mut vm, count, count, status, &token);
        assert_eq!(vm.memory() - before, 0, "{name}: bytes more");
        let stream = vm.request(good_post());
        vm.forwarded(stream);
    }
}

/// What is kept of events whose end has not come has an end for all streams together.
#[test]
fn beginnings_of_events_take_no_more_than_they_may() {
    const MOST: usize = 64 * MIB;
    let mut vm = Hold::Headers.served();
    let piece = " ".repeat(128 * KIB);
    let before = vm.memory();
    let mut refused = 0;
    for _ in 0..150 {
        let stream = asked(&mut vm, good_post());
        vm.respond(stream, response("text/event-stream"));
        for _ in 0..5 {
            vm.send_back(stream, &piece, false);
        }
        refused += usize::from(!vm.client(stream).body.is_empty());
    }
    let grown = vm.memory() - before;
    // While a beginning becomes longer it is there twice.
    assert!(grown <= MOST + 3 * MIB + 150 * PER_REQUEST, "{grown} bytes more");
    assert!(grown >= MOST / 2 && (10..140).contains(&refused), "{grown} bytes more, {refused} refused");
}
