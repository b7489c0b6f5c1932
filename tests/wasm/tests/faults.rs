//! Every host call fails with every status in turn: never a trap, never a forward that should not be.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use serde_json::{Value, json};
use wasm_host_tests::{
    FORGED, Fault, HOST_FUNCTIONS, Idp, Key, Outcome, PATH, Request, Response, STATUSES, Stream, Token, VERIFY,
    VerifySignature, Vm, breach, fetching_config,
};

const NOT_FOUND: u32 = 1;

/// One that the module tells from the others, and two. RSA takes an interpreter a while.
const SOME_STATUSES: [u32; 3] = [NOT_FOUND, 2, 10];

/// What became of each request of the scenario, by name.
type Outcomes = BTreeMap<&'static str, String>;

/// Who checks the signatures, and the tokens for that, made once.
struct Scene {
    name: &'static str,
    key: Key,
    host: VerifySignature,
    statuses: &'static [u32],
    good: String,
    unknown: String,
    unscoped: String,
    forged: [String; 2],
    /// What is added to the configuration.
    more: fn(&mut Value),
}

impl Scene {
    fn new(name: &'static str, key: Key, host: VerifySignature, statuses: &'static [u32]) -> Self {
        let token = Token::good().signed_by(key);
        let good = token.sign();
        let unknown = Token::good().signed_by(Key::OTHER).sign();
        let unscoped = token.clone().claim("scope", "other").sign();
        let forged = [1, 2].map(|n| token.clone().claim("jti", n).with_signature_of(&good));
        Self { name, key, host, statuses, good, unknown, unscoped, forged, more: |_| {} }
    }

    fn config(&self) -> String {
        let mut config = fetching_config();
        (self.more)(&mut config);
        config.to_string()
    }

    /// The statuses that a function returns in this scene: all where they may matter.
    fn statuses(&self, function: &str) -> &'static [u32] {
        if function == VERIFY { &STATUSES } else { self.statuses }
    }
}

/// The module checks signatures itself, because the host has no function for it.
static PLAIN: LazyLock<Scene> = LazyLock::new(|| Scene::new("plain", Key::GOOD, VerifySignature::Absent, &STATUSES));
/// The host does it.
static FAST: LazyLock<Scene> = LazyLock::new(|| Scene::new("fast", Key::Rsa, VerifySignature::Real, &SOME_STATUSES));
/// The module does it, because the host was caught.
static LIAR: LazyLock<Scene> =
    LazyLock::new(|| Scene::new("liar", Key::Rsa, VerifySignature::AlwaysGood, &SOME_STATUSES));

/// The proxy is told who calls, and routes may name resources.
static TOLD: LazyLock<Scene> = LazyLock::new(|| Scene {
    more: |config| {
        config["filter_state"] = json!(["subject", "decision", "reason"]);
        config["route_metadata"] = json!(true);
    },
    ..Scene::new("told", Key::GOOD, VerifySignature::Absent, &SOME_STATUSES)
});

fn scenes() -> [&'static Scene; 4] {
    [&PLAIN, &FAST, &LIAR, &TOLD]
}

struct Run {
    scene: &'static Scene,
    vm: Vm,
    /// "There is no such header" is an answer like any other, true or not.
    denies_headers: bool,
    streams: Vec<(&'static str, Stream, bool)>,
    outcomes: Outcomes,
    problems: Vec<String>,
}

impl Run {
    fn send(&mut self, name: &'static str, token: Option<&str>) -> Stream {
        let mut request = Request::post(PATH)
            .header("x-mcp-subject", FORGED)
            .header("x_mcp_client_id", FORGED)
            .header("dpop", FORGED)
            .header("origin", "https://inspector.example");
        if let Some(token) = token {
            request = request.bearer(token);
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
fn run(scene: &'static Scene, faults: &[Fault]) -> Run {
    let mut vm = Vm::with_faults(faults);
    vm.world().verify_signature = scene.host;
    let (_, accepted) = vm.root(scene.config());
    let denies_headers = faults.iter().any(|fault| fault.may_return("proxy_get_header_map_value", NOT_FOUND));
    let (outcomes, problems) = (Outcomes::new(), Vec::new());
    let mut run = Run { scene, vm, denies_headers, streams: Vec::new(), outcomes, problems };
    if !accepted {
        // In a worker this would take the filter out of the chain: everything would be forwarded.
        run.problems.push("proxy_on_configure returned 0 for good bytes".to_owned());
    }
    let held = run.send("good and held", Some(&scene.good));
    run.send("unknown and held", Some(&scene.unknown));
    run.send("forged and held", Some(&scene.forged[0]));
    let gone = run.send("good but gone", Some(&scene.good));
    run.send("no token", None);
    run.vm.delete(gone);
    serve(&mut run);
    run.respond(held);

    run.vm.sleep(40);
    run.send("forged and warm", Some(&scene.forged[1]));
    // A wrong signature is worth one refetch.
    serve(&mut run);
    let warm = run.send("good and warm", Some(&scene.good));
    run.respond(warm);
    run.send("unscoped", Some(&scene.unscoped));
    run.send("no token either", None);
    run.look();
    run
}

fn serve(run: &mut Run) {
    Idp::with_keys(&[run.scene.key]).serve(&mut run.vm);
}

/// A minute after the fault, the next request is served, unless the configuration was lost.
fn recover(run: &mut Run) {
    run.vm.world().heal();
    for _ in 0..60 {
        run.vm.sleep(1);
        serve(run);
    }
    let next = run.send("good and next", Some(&run.scene.good));
    serve(run);
    match run.vm.outcome(next) {
        Outcome::Forwarded(_) => {}
        Outcome::Replied(reply) if reply.details == "mcp_oauth_misconfigured" => {}
        outcome => run.problems.push(format!("no recovery: {outcome:?}")),
    }
    run.look();
}

/// The problems of one run with its recovery; a trap or a broken rule of the host is one too.
fn problems(scene: &'static Scene, faults: &[Fault]) -> Vec<String> {
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut run = run(scene, faults);
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
fn assert_none(scene: &'static Scene, cases: impl Iterator<Item = (String, Fault)>) {
    let mut found = Vec::new();
    let mut count = 0;
    for (name, fault) in cases {
        count += 1;
        found.extend(problems(scene, &[fault]).into_iter().map(|problem| format!("{name}: {problem}")));
    }
    println!("{}: {count} runs", scene.name);
    assert!(found.is_empty(), "{} problems in {count} runs:\n{}", found.len(), found.join("\n"));
}

/// How often the scenario calls each function when nothing fails.
fn calls(scene: &'static Scene) -> BTreeMap<&'static str, u32> {
    run(scene, &[]).vm.world().counts.clone()
}

#[test]
fn without_faults_the_scenario_goes_as_it_should() {
    let expected = [
        ("forged and held", "401"),
        ("forged and warm", "401"),
        ("good and held", "forwarded"),
        ("good and warm", "forwarded"),
        ("good but gone", "gone"),
        ("no token", "401"),
        ("no token either", "401"),
        ("unknown and held", "401"),
        ("unscoped", "403"),
    ];
    let expected: Outcomes = expected.into_iter().map(|(name, what)| (name, what.to_owned())).collect();
    let mut called = BTreeMap::new();
    for scene in scenes() {
        let mut run = run(scene, &[]);
        assert_eq!(run.outcomes, expected, "{}", scene.name);
        recover(&mut run);
        assert_eq!(run.problems, Vec::<String>::new(), "{}", scene.name);
        called.extend(run.vm.world().counts.clone());
    }
    // Scenarios that do not call a function cannot show what happens when it fails. Those of `body_faults.rs` do it.
    let elsewhere = ["proxy_set_buffer_bytes", "proxy_add_header_map_value"];
    for function in HOST_FUNCTIONS.into_iter().filter(|function| !elsewhere.contains(function)) {
        assert!(called.contains_key(function), "{function} is never called");
    }
}

fn every_call_fails(scene: &'static Scene) {
    let cases = HOST_FUNCTIONS.iter().flat_map(|function| {
        scene
            .statuses(function)
            .iter()
            .map(move |status| (format!("{function} always returns {status}"), Fault::always(function, *status)))
    });
    assert_none(scene, cases);
}

fn the_nth_call_fails(scene: &'static Scene) {
    let cases = calls(scene).into_iter().flat_map(|(function, count)| {
        (1..=count).flat_map(move |n| {
            scene.statuses(function).iter().map(move |status| {
                (format!("call {n} of {function} returns {status}"), Fault::nth(function, n, *status))
            })
        })
    });
    assert_none(scene, cases);
}

fn everything_fails_from_the_nth_call_on(scene: &'static Scene) {
    let total: u32 = calls(scene).values().sum();
    let cases = (1..=total).flat_map(|n| {
        SOME_STATUSES
            .map(|status| (format!("from call {n} on everything returns {status}"), Fault::everything_from(n, status)))
    });
    assert_none(scene, cases);
}

/// One test of each kind for a scene.
macro_rules! matrix {
    ($module:ident, $scene:ident) => {
        mod $module {
            #[test]
            fn every_call_of_a_function_fails() {
                super::every_call_fails(&super::$scene);
            }

            #[test]
            fn the_nth_call_of_a_function_fails() {
                super::the_nth_call_fails(&super::$scene);
            }

            #[test]
            fn from_the_nth_call_on_everything_fails() {
                super::everything_fails_from_the_nth_call_on(&super::$scene);
            }
        }
    };
}

matrix!(plain, PLAIN);
matrix!(fast, FAST);
matrix!(liar, LIAR);
matrix!(told, TOLD);

#[test]
fn what_only_observes_or_helps_changes_nothing_when_it_fails() {
    let metrics = ["proxy_define_metric", "proxy_increment_metric", "proxy_record_metric"];
    let helpers = ["proxy_log", "proxy_get_log_level", VERIFY].into_iter().chain(metrics);
    for scene in scenes() {
        let expected = run(scene, &[]).outcomes;
        for function in helpers.clone() {
            for status in STATUSES {
                let outcomes = run(scene, &[Fault::always(function, status)]).outcomes;
                assert_eq!(outcomes, expected, "{}: {function} returns {status}", scene.name);
            }
        }
        for n in 1..=calls(scene).get(VERIFY).copied().unwrap_or_default() {
            for status in STATUSES {
                let outcomes = run(scene, &[Fault::nth(VERIFY, n, status)]).outcomes;
                assert_eq!(outcomes, expected, "{}: call {n} of {VERIFY} returns {status}", scene.name);
            }
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
