//! Requests, answers, time and departures in any order: one fetch per issuer at a time, one answer per request.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use mcp_oauth::{
    fetch::{Answer, Fetch, FetchId},
    gate::{Gate, Outcome, Resumed, Verdict},
    time::UnixTime,
};
use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::{Value, json};

use super::cases;
use crate::support::{
    ISSUER, NOW, ask_as, claims, gate, head, header, jwk, jwks, put, remote_config, sign_texts, with,
};

const SECOND_ISSUER: &str = "https://second.example.com";

/// What can happen to a gate.
#[derive(Clone, Debug)]
enum Step {
    /// A request with one of the tokens.
    Request(usize),
    /// A client leaves, perhaps one that does not wait.
    Gone(Index),
    /// The host asks what to fetch.
    Poll,
    /// A fetch ends in one of these ways.
    Answer(Index, End),
    /// A fetch that ended before ends again.
    Again(Index),
    /// So many seconds pass.
    Wait(u64),
    /// The host's tick.
    Tick,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Good,
    OtherKeys,
    NotFound,
    Down,
    Html,
}

fn any_step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![
        4 => Just(End::Good),
        1 => Just(End::OtherKeys),
        1 => Just(End::NotFound),
        1 => Just(End::Down),
        1 => Just(End::Html),
    ];
    let wait = prop_oneof![4 => 0..3_u64, 2 => 5..40_u64, 1 => 590..4000_u64];
    prop_oneof![
        6 => (0..TOKENS.len()).prop_map(Step::Request),
        1 => any::<Index>().prop_map(Step::Gone),
        4 => Just(Step::Poll),
        4 => (any::<Index>(), end).prop_map(|(which, end)| Step::Answer(which, end)),
        1 => any::<Index>().prop_map(Step::Again),
        3 => wait.prop_map(Step::Wait),
        2 => Just(Step::Tick),
    ]
}

/// Good ones of two issuers, one of an unknown key, one whose key changed, one without the scope, and nonsense.
static TOKENS: LazyLock<[String; 6]> = LazyLock::new(|| {
    let lasting = with(claims(), "exp", json!(NOW.0 + 10_000_000));
    let sign = |seed: u8, header: Value, claims: &Value| sign_texts(seed, &header.to_string(), &claims.to_string());
    [
        sign(1, header(), &lasting),
        sign(1, header(), &with(lasting.clone(), "iss", json!(SECOND_ISSUER))),
        sign(1, with(header(), "kid", json!("k9")), &lasting),
        sign(2, header(), &lasting),
        sign(1, header(), &with(lasting, "scope", json!("other"))),
        "a.b.c".to_owned(),
    ]
});

static METADATA: LazyLock<String> =
    LazyLock::new(|| json!({ "issuer": ISSUER, "jwks_uri": "https://idp.example.com/keys" }).to_string());
static KEYS: LazyLock<String> = LazyLock::new(|| jwks(&[jwk(1, "k1")]).to_string());
static OTHER_KEYS: LazyLock<String> = LazyLock::new(|| jwks(&[jwk(2, "k1")]).to_string());

fn config() -> Value {
    let servers = json!([
        { "issuer": ISSUER, "cluster": "first", "keys_max_stale": "20m" },
        { "issuer": SECOND_ISSUER, "cluster": "second", "jwks_uri": "https://second.example.com/keys" },
    ]);
    put(remote_config(), "/authorization_servers", servers)
}

/// What the host knows: who waits, and which fetches it has sent.
struct Model {
    gate: Gate,
    now: UnixTime,
    next_id: u32,
    waiting: BTreeSet<u32>,
    in_flight: BTreeMap<String, Fetch>,
    ended: Vec<FetchId>,
}

impl Model {
    fn new() -> Self {
        Self {
            gate: gate(&config()),
            now: NOW,
            next_id: 0,
            waiting: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            ended: Vec::new(),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Request(token) => self.request(*token)?,
            Step::Gone(which) => {
                let id = u32::try_from(which.index(self.next_id as usize + 1)).expect("small");
                self.gate.on_gone(id);
                self.waiting.remove(&id);
            }
            Step::Poll => self.poll()?,
            Step::Answer(which, end) if !self.in_flight.is_empty() => {
                let cluster = self.in_flight.keys().nth(which.index(self.in_flight.len())).cloned();
                self.answer(&cluster.unwrap_or_default(), *end)?;
            }
            Step::Again(which) if !self.ended.is_empty() => {
                let id = self.ended[which.index(self.ended.len())];
                let outcome = self.gate.on_answer(id, good("{}"), self.now);
                prop_assert!(outcome.event.is_none() && outcome.resumed.is_empty(), "an old answer: {:?}", outcome);
            }
            Step::Answer(..) | Step::Again(_) => {}
            Step::Wait(seconds) => self.now = UnixTime(self.now.0 + seconds),
            Step::Tick => {
                for outcome in self.gate.on_time(self.now) {
                    let issuer = outcome.event.as_ref().map(|event| event.issuer.clone()).unwrap_or_default();
                    let forgotten = self.in_flight.remove(if issuer == ISSUER { "first" } else { "second" });
                    prop_assert!(forgotten.is_some(), "a fetch was given up that was not sent: {:?}", outcome);
                    self.ended.extend(forgotten.map(|fetch| fetch.id));
                    self.resumed(outcome.resumed)?;
                }
            }
        }
        let busy = !self.waiting.is_empty() || !self.in_flight.is_empty();
        prop_assert!(!busy || self.gate.next_call().is_some(), "nobody would call again: {:?}", self.waiting);
        Ok(())
    }

    fn request(&mut self, token: usize) -> Result<(), TestCaseError> {
        self.next_id += 1;
        let authorization = format!("Bearer {}", TOKENS[token]);
        let lines = head("/mcp", &[("authorization", &authorization)]);
        let verdict = ask_as(&mut self.gate, self.next_id, &lines, self.now);
        match verdict {
            Verdict::Hold => {
                prop_assert!(token != 5, "nonsense waits");
                self.waiting.insert(self.next_id);
            }
            verdict => check_decided(token, &verdict)?,
        }
        Ok(())
    }

    fn poll(&mut self) -> Result<(), TestCaseError> {
        while let Some(fetch) = self.gate.poll_fetch(self.now) {
            let cluster = fetch.cluster.to_string();
            let other = self.in_flight.insert(cluster, fetch);
            prop_assert!(other.is_none(), "two fetches at once: {:?}", other);
        }
        Ok(())
    }

    fn answer(&mut self, cluster: &str, end: End) -> Result<(), TestCaseError> {
        let Some(fetch) = self.in_flight.remove(cluster) else { return Ok(()) };
        self.ended.push(fetch.id);
        let is_metadata = fetch.uri.as_str().contains(".well-known");
        let document = match end {
            _ if is_metadata => &*METADATA,
            End::OtherKeys => &*OTHER_KEYS,
            _ => &*KEYS,
        };
        let answer = match end {
            End::Good | End::OtherKeys => good(document),
            End::NotFound => Answer::Response { status: b"404", content_type: None, cache_control: None, body: b"" },
            End::Down => Answer::NoResponse,
            End::Html => good("<html>"),
        };
        let Outcome { resumed, .. } = self.gate.on_answer(fetch.id, answer, self.now);
        self.resumed(resumed)
    }

    fn resumed(&mut self, resumed: Vec<Resumed>) -> Result<(), TestCaseError> {
        for Resumed { request, verdict } in resumed {
            prop_assert!(self.waiting.remove(&request), "request {} does not wait: {:?}", request, verdict);
            prop_assert!(matches!(verdict, Verdict::Forward(_) | Verdict::Reply(_)), "{:?}", verdict);
        }
        Ok(())
    }

    /// The host does its duty: whatever is to be fetched is fetched, in vain. Then nobody may wait.
    fn finish(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..8 {
            self.poll()?;
            for cluster in ["first", "second"] {
                self.answer(cluster, End::Down)?;
            }
        }
        prop_assert!(self.waiting.is_empty(), "never answered: {:?}", self.waiting);
        prop_assert!(self.in_flight.is_empty(), "{:?}", self.in_flight);
        Ok(())
    }
}

fn good(document: &str) -> Answer<'_> {
    Answer::Response {
        status: b"200",
        content_type: Some(b"application/json"),
        cache_control: None,
        body: document.as_bytes(),
    }
}

/// What no order of events changes: nonsense is refused, and what may not go upstream does not.
fn check_decided(token: usize, verdict: &Verdict) -> Result<(), TestCaseError> {
    match verdict {
        Verdict::Forward(_) => prop_assert!(token != 2 && token < 4, "token {} was forwarded", token),
        Verdict::Reply(reply) => {
            let expected: &[u16] = match token {
                5 => &[401],
                4 => &[401, 403, 503],
                _ => &[401, 503],
            };
            prop_assert!(expected.contains(&reply.status()), "token {}: {:?}", token, reply);
        }
        other => prop_assert!(false, "token {}: {:?}", token, other),
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn in_any_order_fetches_are_single_and_everybody_is_answered_once(steps in vec(any_step(), 0..80)) {
        let mut model = Model::new();
        for step in &steps {
            model.step(step)?;
        }
        model.finish()?;
    }
}
