//! Every host call fails, as in `faults.rs`, where bodies are judged, lists are filtered and sessions are sealed: never a
//! trap, nothing forwarded that was not judged, nothing shown that is hidden.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use serde_json::{Value, json};
use wasm_host_tests::{
    DENIED_TOOL, FORGED, Fault, HOST_FUNCTIONS, Hold, Idp, Outcome, PATH, Request, Response, Stream, TOOL, Token,
    VERIFY, Vm, breach, call, fetching_config, good_post, message, tools,
};

const NOT_FOUND: u32 = 1;

/// The one that the module tells from the others, and another.
const STATUSES: [u32; 2] = [NOT_FOUND, 10];

/// 32 bytes in base64url.
const SESSION_KEY: &str = "c2Vzc2lvbnMgYXJlIHNlYWxlZCB3aXRoIHRoaXMga2V5IQ";
/// What the upstream calls a session.
const SESSION: &str = "upstream-session";

static GOOD: LazyLock<Request> = LazyLock::new(good_post);
static UNSCOPED: LazyLock<Request> =
    LazyLock::new(|| Request::post(PATH).bearer(&Token::good().claim("scope", "other").sign()));

/// Sent with every request.
const ORIGIN: &str = "https://inspector.example";

struct Run {
    hold: Hold,
    vm: Vm,
    /// "There is no such header" is an answer like any other, true or not.
    denies_headers: bool,
    outcomes: BTreeMap<&'static str, String>,
    problems: Vec<String>,
}

fn config(hold: Hold) -> Value {
    let mut config = hold.ruled(fetching_config());
    config["resources"][0]["sessions"] = json!({"key_variable": "KEYS"});
    config["resources"][0]["origins"] = json!([ORIGIN]);
    config["filter_state"] = json!(["tool", "decision"]);
    config["route_metadata"] = json!(true);
    config
}

impl Run {
    fn begin(&mut self, request: &Request) -> Stream {
        self.vm.request(request.clone().header("x-mcp-subject", FORGED).header("dpop", FORGED).header("origin", ORIGIN))
    }

    fn must(&mut self, holds: bool, what: &str) {
        if !holds {
            self.problems.push(what.to_owned());
        }
    }

    /// Looks at a request that is over; `body` is what may have gone upstream.
    fn look(&mut self, name: &'static str, stream: Stream, authenticated: bool, body: Option<&str>) {
        if let Some(what) = breach(&mut self.vm, stream, authenticated) {
            self.problems.push(format!("{name}: {what}"));
        }
        let got = self.vm.upstream(stream);
        self.must(got.body.is_empty() || body.is_some_and(|body| got.body == body.as_bytes()), name);
        self.must(!got.ended || body.is_some(), &format!("{name}: the upstream got a whole request"));
        self.must(
            self.hold == Hold::Body || body.is_some() || got.head.is_none(),
            &format!("{name}: the head went on"),
        );
        let shown = match self.vm.outcome(stream) {
            Outcome::Replied(reply) => reply.status.to_string(),
            _ if got.ended => "forwarded".to_owned(),
            Outcome::Forwarded(_) => "stuck".to_owned(),
            Outcome::Held => "held".to_owned(),
            Outcome::Gone => "gone".to_owned(),
        };
        self.outcomes.insert(name, shown);
    }

    /// The upstream answers, if it was asked.
    fn respond(&mut self, stream: Stream, content_type: &str, body: &str) -> Option<String> {
        if !self.vm.upstream(stream).ended {
            return None;
        }
        let response = Response::status(200)
            .header("content-type", content_type)
            .header("mcp-session-id", SESSION)
            .header("www-authenticate", "Bearer resource_metadata=\"https://evil.example/\"");
        let seen = self.vm.try_respond(stream, response)?;
        let session = seen.bytes("mcp-session-id").map(|id| String::from_utf8_lossy(id).into_owned());
        if !self.denies_headers {
            self.must(!seen.mentions("evil.example"), "the upstream's challenge reached the client");
            self.must(session.as_deref() != Some(SESSION), "a session was not sealed");
        }
        let (first, last) = body.split_at(body.len() / 2);
        self.vm.send_back(stream, first, false);
        self.vm.send_back(stream, last, true);
        session
    }

    fn list(&mut self, name: &'static str, content_type: &str, body: &str) {
        let request = message("tools/list", json!({}));
        let stream = self.begin(&GOOD);
        self.vm.send(stream, &request, true);
        self.look(name, stream, true, Some(&request));
        self.respond(stream, content_type, body);
        let shown = String::from_utf8_lossy(&self.vm.client(stream).body).into_owned();
        if !self.denies_headers {
            self.must(!shown.contains(DENIED_TOOL), "a hidden tool was shown");
        }
        self.vm.delete(stream);
    }
}

fn run(hold: Hold, faults: &[Fault]) -> Run {
    let mut vm = Vm::with_environment(&[("KEYS", SESSION_KEY)]);
    faults.iter().for_each(|fault| vm.world().fault(fault.clone()));
    vm.world().stops_headers_only = hold == Hold::Headers;
    let (_, accepted) = vm.root(config(hold).to_string());
    let denies_headers = faults.iter().any(|fault| fault.may_return("proxy_get_header_map_value", NOT_FOUND));
    let mut run = Run { hold, vm, denies_headers, outcomes: BTreeMap::new(), problems: Vec::new() };
    run.must(accepted, "proxy_on_configure returned 0 for good bytes");

    // Keys are fetched while bodies arrive.
    let (good, denied) = (call(TOOL), call(DENIED_TOOL));
    let waiting = [(&*GOOD, &good), (&*GOOD, &denied), (&*UNSCOPED, &good)].map(|(request, body)| {
        let stream = run.begin(request);
        run.vm.send(stream, &body[..9], false);
        stream
    });
    run.vm.send(waiting[0], &good[9..], true);
    serve(&mut run);
    run.vm.send(waiting[1], &denied[9..], true);
    run.vm.send(waiting[2], &good[9..], false);
    run.vm.send_trailers(waiting[2]);
    run.look("good and held", waiting[0], true, Some(&good));
    run.look("denied and held", waiting[1], true, None);
    run.look("unscoped and held", waiting[2], false, None);

    // A session of its own, and then a call in it.
    let session = run.respond(waiting[0], "text/event-stream", "data: {}\n\n").unwrap_or_else(|| SESSION.to_owned());
    let sealed = session != SESSION;
    let stream = run.begin(&GOOD.clone().header("mcp-session-id", &session));
    run.vm.send(stream, &good, false);
    run.vm.send_trailers(stream);
    run.look("good in a session", stream, true, sealed.then_some(good.as_str()));
    let attempts = run.vm.upstream_attempts(stream);
    run.must(attempts.iter().all(|head| !head.mentions(&format!("{SESSION}."))), "a session was not opened");
    let stream = run.begin(&GOOD.clone().header("mcp-session-id", SESSION));
    run.vm.send(stream, &good, true);
    let got = run.vm.upstream(stream);
    run.must(got.is_nothing(), "a session that was not sealed was taken");

    for (name, body, end) in [("good", &good, true), ("denied", &denied, true), ("denied by trailers", &denied, false)]
    {
        let stream = run.begin(&GOOD);
        run.vm.send(stream, body, end);
        if !end {
            run.vm.send_trailers(stream);
        }
        run.look(name, stream, true, (name == "good").then_some(body.as_str()));
        run.vm.delete(stream);
    }
    let list = tools(&[TOOL, DENIED_TOOL]);
    run.list("list", "application/json", &list);
    run.list("list of events", "text/event-stream", &format!("data: {list}\n\n"));
    run
}

fn serve(run: &mut Run) {
    Idp::default().serve(&mut run.vm);
}

/// A minute after the fault, the next request is judged, unless the configuration was lost.
fn recover(run: &mut Run) {
    run.vm.world().heal();
    for _ in 0..60 {
        run.vm.sleep(1);
        serve(run);
    }
    for (tool, expected) in [(TOOL, "forwarded"), (DENIED_TOOL, "403")] {
        let stream = run.begin(&GOOD);
        serve(run);
        run.vm.send(stream, call(tool), true);
        run.look("next", stream, true, (tool == TOOL).then(|| call(tool)).as_deref());
        let lost =
            matches!(run.vm.outcome(stream), Outcome::Replied(reply) if reply.details == "mcp_oauth_misconfigured");
        let outcome = run.outcomes["next"].clone();
        run.must(lost || outcome == expected, &format!("no recovery: {outcome}"));
    }
}

/// The problems of one run with its recovery; a trap or a broken rule of the host is one too.
fn problems(hold: Hold, fault: Fault) -> Vec<String> {
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut run = run(hold, &[fault]);
        recover(&mut run);
        run.problems
    }));
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        vec![text.unwrap_or_else(|| "a panic without a text".to_owned())]
    })
}

#[track_caller]
fn assert_none(hold: Hold, cases: impl Iterator<Item = (String, Fault)>) {
    let mut found = Vec::new();
    let mut count = 0;
    for (name, fault) in cases {
        count += 1;
        found.extend(problems(hold, fault).into_iter().map(|problem| format!("{name}: {problem}")));
    }
    println!("{hold:?}: {count} runs");
    assert!(found.is_empty(), "{} problems in {count} runs:\n{}", found.len(), found.join("\n"));
}

#[test]
fn without_faults_the_scenario_goes_as_it_should() {
    let expected = [
        ("denied", "403"),
        ("denied and held", "403"),
        ("denied by trailers", "403"),
        ("good", "forwarded"),
        ("good and held", "forwarded"),
        ("good in a session", "forwarded"),
        ("list", "forwarded"),
        ("list of events", "forwarded"),
        ("unscoped and held", "403"),
    ];
    let expected: BTreeMap<_, _> = expected.into_iter().map(|(name, what)| (name, what.to_owned())).collect();
    for hold in Hold::BOTH {
        let mut run = run(hold, &[]);
        assert_eq!(run.outcomes, expected, "{hold:?}\n{}", run.vm.world().log_text());
        recover(&mut run);
        assert_eq!(run.problems, Vec::<String>::new(), "{hold:?}");
        // Scenarios that do not call a function cannot show what happens when it fails.
        for function in HOST_FUNCTIONS.iter().filter(|name| ![VERIFY, "proxy_increment_metric"].contains(name)) {
            assert!(run.vm.world().counts.contains_key(function), "{function} is never called");
        }
    }
}

fn every_call_fails(hold: Hold) {
    let cases = HOST_FUNCTIONS.iter().flat_map(|function| {
        STATUSES.map(|status| (format!("{function} always returns {status}"), Fault::always(function, status)))
    });
    assert_none(hold, cases);
}

/// What fails only then is not told apart by its status, but for a header that is said not to be there.
fn the_nth_call_fails(hold: Hold) {
    let calls = run(hold, &[]).vm.world().counts.clone();
    let cases = calls.into_iter().flat_map(|(function, count)| {
        let statuses = if function == "proxy_get_header_map_value" { &STATUSES[..] } else { &STATUSES[1..] };
        (1..=count).flat_map(move |n| {
            statuses.iter().map(move |status| {
                (format!("call {n} of {function} returns {status}"), Fault::nth(function, n, *status))
            })
        })
    });
    assert_none(hold, cases);
}

fn everything_fails_from_the_nth_call_on(hold: Hold) {
    let total: u32 = run(hold, &[]).vm.world().host_calls();
    let cases =
        (1..=total).map(|n| (format!("from call {n} on everything fails"), Fault::everything_from(n, STATUSES[1])));
    assert_none(hold, cases);
}

/// One test of each kind for a mode.
macro_rules! matrix {
    ($module:ident, $hold:expr) => {
        mod $module {
            use wasm_host_tests::Hold;

            #[test]
            fn every_call_of_a_function_fails() {
                super::every_call_fails($hold);
            }

            #[test]
            fn the_nth_call_of_a_function_fails() {
                super::the_nth_call_fails($hold);
            }

            #[test]
            fn from_the_nth_call_on_everything_fails() {
                super::everything_fails_from_the_nth_call_on($hold);
            }
        }
    };
}

matrix!(headers, Hold::Headers);
matrix!(body, Hold::Body);
