//! Every host call fails with every status in turn: never a trap, never a forward that should not be.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use wasm_host_tests::{
    FORGED, Fault, HOST_FUNCTIONS, Idp, Key, Outcome, PATH, Request, Response, STATUSES, Stream, Token, Vm, breach,
    fetching_config,
};

const NOT_FOUND: u32 = 1;

/// What became of each request of the scenario, by name.
type Outcomes = BTreeMap<&'static str, String>;

struct Run {
    vm: Vm,
    /// "There is no such header" is an answer like any other, true or not.
    denies_headers: bool,
    streams: Vec<(&'static str, Stream, bool)>,
    outcomes: Outcomes,
    problems: Vec<String>,
}

impl Run {
    fn send(&mut self, name: &'static str, token: Option<&Token>) -> Stream {
        let mut request = Request::post(PATH)
            .header("x-mcp-subject", FORGED)
            .header("x_mcp_client_id", FORGED)
            .header("dpop", FORGED)
            .header("origin", "https://inspector.example");
        if let Some(token) = token {
            request = request.bearer(&token.sign());
        }
        let stream = self.vm.request(request);
        let allowed = name.starts_with("good");
        self.streams.push((name, stream, allowed));
        stream
    }

    fn respond(&mut self, stream: Stream) {
        if !matches!(self.vm.outcome(stream), Outcome::Forwarded(_)) {
            return;
        }
        let challenge = "Bearer resource_metadata=\"https://evil.example/\"";
        let response = Response::status(401).header("www-authenticate", challenge);
        let leaked = self.vm.try_respond(stream, response).is_some_and(|seen| seen.mentions("evil.example"));
        if leaked && !self.denies_headers {
            self.problems.push("the upstream's challenge reached the client".to_owned());
        }
    }

    /// Looks at every request so far.
    fn look(&mut self) {
        for (name, stream, allowed) in self.streams.clone() {
            if let Some(what) = breach(&mut self.vm, stream, allowed) {
                self.problems.push(format!("{name}: {what}"));
            }
            let shown = match self.vm.outcome(stream) {
                Outcome::Forwarded(_) => "forwarded".to_owned(),
                Outcome::Replied(reply) => reply.status.to_string(),
                Outcome::Held => "held".to_owned(),
                Outcome::Gone => "gone".to_owned(),
            };
            self.outcomes.insert(name, shown);
        }
    }
}

/// Configure, hold, fetch, resume, and then the same with the keys at hand.
fn run(faults: &[Fault]) -> Run {
    let mut vm = Vm::with_faults(faults);
    let (_, accepted) = vm.root(fetching_config().to_string());
    let denies_headers = faults.iter().any(|fault| fault.may_return("proxy_get_header_map_value", NOT_FOUND));
    let mut run = Run { vm, denies_headers, streams: Vec::new(), outcomes: Outcomes::new(), problems: Vec::new() };
    if !accepted {
        // In a worker this would take the filter out of the chain: everything would be forwarded.
        run.problems.push("proxy_on_configure returned 0 for good bytes".to_owned());
    }
    let unknown = Token::good().signed_by(Key::OTHER);
    let held = run.send("good and held", Some(&Token::good()));
    run.send("unknown and held", Some(&unknown));
    let gone = run.send("good but gone", Some(&Token::good()));
    run.send("no token", None);
    run.vm.delete(gone);
    Idp::default().serve(&mut run.vm);
    run.respond(held);

    run.vm.sleep(40);
    let warm = run.send("good and warm", Some(&Token::good()));
    run.respond(warm);
    run.send("unscoped", Some(&Token::good().claim("scope", "other")));
    run.send("no token either", None);
    run.look();
    run
}

/// A minute after the fault, the next request is served, unless the configuration was lost.
fn recover(run: &mut Run) {
    run.vm.world().heal();
    for _ in 0..60 {
        run.vm.sleep(1);
        Idp::default().serve(&mut run.vm);
    }
    let next = run.send("good and next", Some(&Token::good()));
    Idp::default().serve(&mut run.vm);
    match run.vm.outcome(next) {
        Outcome::Forwarded(_) => {}
        Outcome::Replied(reply) if reply.details == "mcp_oauth_misconfigured" => {}
        outcome => run.problems.push(format!("no recovery: {outcome:?}")),
    }
    run.look();
}

/// The problems of one run with its recovery; a trap or a broken rule of the host is one too.
fn problems(faults: &[Fault]) -> Vec<String> {
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut run = run(faults);
        recover(&mut run);
        run.problems
    }));
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        vec![text.unwrap_or_else(|| "a panic without a text".to_owned())]
    })
}

/// Runs all of them and fails with everything that was found.
#[track_caller]
fn assert_none(cases: impl Iterator<Item = (String, Fault)>) {
    let mut found = Vec::new();
    let mut count = 0;
    for (name, fault) in cases {
        count += 1;
        found.extend(problems(&[fault]).into_iter().map(|problem| format!("{name}: {problem}")));
    }
    println!("{count} runs");
    assert!(found.is_empty(), "{} problems in {count} runs:\n{}", found.len(), found.join("\n"));
}

/// How often the scenario calls each function when nothing fails.
fn calls() -> BTreeMap<&'static str, u32> {
    run(&[]).vm.world().counts.clone()
}

#[test]
fn without_faults_the_scenario_goes_as_it_should() {
    let mut run = run(&[]);
    let expected = [
        ("good and held", "forwarded"),
        ("good and warm", "forwarded"),
        ("good but gone", "gone"),
        ("no token", "401"),
        ("no token either", "401"),
        ("unknown and held", "401"),
        ("unscoped", "403"),
    ];
    let expected: Outcomes = expected.into_iter().map(|(name, what)| (name, what.to_owned())).collect();
    assert_eq!(run.outcomes, expected);
    recover(&mut run);
    assert_eq!(run.problems, Vec::<String>::new());
    // A scenario that does not call a function cannot show what happens when it fails.
    for function in HOST_FUNCTIONS {
        let rare = matches!(function, "proxy_increment_metric");
        assert!(rare || run.vm.world().counts.contains_key(function), "{function} is never called");
    }
}

#[test]
fn every_call_of_a_function_fails() {
    let cases = HOST_FUNCTIONS.iter().flat_map(|function| {
        STATUSES
            .iter()
            .map(move |status| (format!("{function} always returns {status}"), Fault::always(function, *status)))
    });
    assert_none(cases);
}

#[test]
fn the_nth_call_of_a_function_fails() {
    let cases = calls().into_iter().flat_map(|(function, count)| {
        (1..=count).flat_map(move |n| {
            STATUSES.iter().map(move |status| {
                (format!("call {n} of {function} returns {status}"), Fault::nth(function, n, *status))
            })
        })
    });
    assert_none(cases);
}

#[test]
fn from_the_nth_call_on_everything_fails() {
    let total: u32 = calls().values().sum();
    let cases = (1..=total).flat_map(|n| {
        [1, 2, 10]
            .map(|status| (format!("from call {n} on everything returns {status}"), Fault::everything_from(n, status)))
    });
    assert_none(cases);
}

#[test]
fn what_only_observes_changes_nothing_when_it_fails() {
    let expected = run(&[]).outcomes;
    let observers = ["proxy_log", "proxy_get_log_level", "proxy_define_metric", "proxy_increment_metric"];
    for function in observers {
        for status in STATUSES {
            let outcomes = run(&[Fault::always(function, status)]).outcomes;
            assert_eq!(outcomes, expected, "{function} returns {status}");
        }
    }
}

#[test]
fn a_worker_that_cannot_read_its_configuration_stays_in_the_chain_and_refuses() {
    for status in STATUSES {
        let mut vm = Vm::with_faults(&[Fault::always("proxy_get_buffer_bytes", status)]);
        let (_, accepted) = vm.root(fetching_config().to_string());
        assert!(accepted, "status {status}: Envoy would go on without the filter");
        vm.world().heal();
        let stream = vm.request(Request::post(PATH).bearer(&Token::good().sign()));
        vm.replied(stream).refuses(503, "temporarily_unavailable");
        let stream = vm.request(Request::post(PATH));
        vm.replied(stream).refuses(503, "temporarily_unavailable");
    }
}
