//! The whole gate: requests, answers, time and departures in any order. Each line of the input is a step:
//!
//! ```text
//! c2                 the configuration, in the first line
//! tg  Bearer         the token (a letter of `Tokens`) and how it is presented; x17A changes byte 17 of it to `A`
//! hORIGIN: null      a header line of the next request
//! mGET  b{...}       its method, its body
//! a/mcp              the request
//! p                  the host asks what to fetch
//! k  o  n  d  r{...} the oldest fetch ends: keys, other keys, 404, no response, this document
//! w30  i  g1         so many seconds pass; the host's tick; the client of request 1 leaves
//! ```

#![no_main]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::LazyLock,
};

use common::{
    check_forward, check_reply, line, shows,
    support::{
        HeaderMap, ISSUER, NOW, claims, gate, header, inline_config, jwk, jwks, put, remote_config, sign_texts, with,
    },
};
use mcp_oauth::{
    fetch::{Answer, Fetch},
    forward::Forward,
    gate::{Gate, Outcome, Verdict},
    policy::Policy,
    time::UnixTime,
};
use serde_json::{Value, json};

/// Half a minute for clocks that differ: the default `clock_skew`.
const SKEW: u64 = 30;

/// How long the good token lasts.
const LIFE: u64 = 600;

/// Tokens by letter. Only `g` may ever go upstream, and `s` where it lacks nothing.
static TOKENS: LazyLock<BTreeMap<u8, String>> = LazyLock::new(|| {
    let good = with(claims(), "exp", json!(NOW.0 + LIFE));
    let sign = |seed: u8, header: &Value, claims: &Value| sign_texts(seed, &header.to_string(), &claims.to_string());
    let changed = |name, value| sign(1, &header(), &with(good.clone(), name, value));
    BTreeMap::from([
        (b'g', sign(1, &header(), &good)),
        (b'a', changed("aud", json!("https://other.example.com"))),
        (b'i', changed("iss", json!("https://other.example.com"))),
        (b'e', changed("exp", json!(NOW.0 - SKEW - 1))),
        (b'f', changed("nbf", json!(NOW.0 + 100_000_000))),
        (b'l', changed("scope", json!("other"))),
        (b'c', changed("cnf", json!({ "jkt": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" }))),
        (b's', sign(9, &header(), &good)),
        (b'u', sign(1, &with(header(), "kid", json!("k9")), &good)),
        (b'n', "e30.e30.".to_owned()),
    ])
});

static POLICIES: LazyLock<Vec<Policy>> = LazyLock::new(|| {
    let held = |config| put(config, "/hold_requests", json!("headers"));
    let rules = json!([{ "tools": ["no*"], "deny": true }, { "methods": ["tools/call"], "scopes": ["mcp:write"] }]);
    let ruled = |config| put(held(config), "/resources/0/rules", rules.clone());
    let keys = json!("https://idp.example.com/keys");
    let configs = [
        remote_config(),
        put(remote_config(), "/authorization_servers/0/jwks_uri", keys),
        ruled(remote_config()),
        put(ruled(inline_config()), "/hold_requests", json!("body")),
        put(
            put(inline_config(), "/resources/0/origins", json!(["https://app.example.com"])),
            "/resources/0/dpop",
            json!({}),
        ),
        put(
            put(remote_config(), "/authorization_servers/0/keys_max_stale", json!("20m")),
            "/token_cache",
            json!({ "max_entries": 1 }),
        ),
    ];
    configs.iter().map(|config| gate(config).policy().clone()).collect()
});

static METADATA: LazyLock<String> =
    LazyLock::new(|| json!({ "issuer": ISSUER, "jwks_uri": "https://idp.example.com/keys" }).to_string());
static SIGNER: LazyLock<Value> = LazyLock::new(|| jwk(1, "k1"));
static KEYS: LazyLock<String> = LazyLock::new(|| jwks(&[jwk(1, "k1")]).to_string());
static OTHER_KEYS: LazyLock<String> = LazyLock::new(|| jwks(&[jwk(2, "k1")]).to_string());

/// What was asked: the header lines, the token among them, the body.
#[derive(Clone, Default)]
struct Asked {
    lines: Vec<(Vec<u8>, Vec<u8>)>,
    token: Vec<u8>,
    body: Vec<u8>,
}

/// The host: what it knows, and what the next request will be.
struct Host {
    gate: Gate,
    now: UnixTime,
    /// Whether the key of the good token was ever published.
    knows_key: bool,
    waiting: BTreeMap<u32, Asked>,
    fetches: VecDeque<Fetch>,
    next: u32,
    method: Vec<u8>,
    more: Vec<(Vec<u8>, Vec<u8>)>,
    scheme: Vec<u8>,
    asked: Asked,
}

impl Host {
    fn step(&mut self, step: &[u8]) {
        let Some((what, rest)) = step.split_first() else { return };
        let number = || str::from_utf8(rest).ok().and_then(|text| text.trim().parse::<u32>().ok());
        match what {
            b't' => {
                let (letter, scheme) = rest.split_first().unwrap_or((&b'-', &[]));
                self.asked.token = TOKENS.get(letter).map(|token| token.clone().into_bytes()).unwrap_or_default();
                self.scheme = scheme.to_vec();
            }
            b'x' => {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let at = str::from_utf8(&rest[..digits]).ok().and_then(|at| at.parse::<usize>().ok());
                if let Some((byte, new)) = at.and_then(|at| self.asked.token.get_mut(at)).zip(rest.get(digits)) {
                    *byte = *new;
                }
            }
            b'h' => {
                let (name, value) = rest.split_at(rest.iter().position(|byte| *byte == b':').unwrap_or(rest.len()));
                self.more.push((name.to_vec(), value.strip_prefix(b":").unwrap_or(value).trim_ascii().to_vec()));
            }
            b'm' => self.method = rest.to_vec(),
            b'b' => self.asked.body = rest.to_vec(),
            b'a' => self.ask(rest),
            b'p' => self.poll(),
            b'k' => self.answer(Some(KEYS.as_bytes())),
            b'o' => self.answer(Some(OTHER_KEYS.as_bytes())),
            b'n' => self.end(Answer::Response { status: b"404", content_type: None, cache_control: None, body: b"" }),
            b'd' => self.answer(None),
            b'r' => self.answer(Some(rest)),
            b'w' => self.now = UnixTime(self.now.0.saturating_add(number().unwrap_or(1).into())),
            b'i' => {
                let outcomes = self.gate.on_time(self.now);
                outcomes.into_iter().for_each(|outcome| self.take(outcome));
                self.fetches.retain(|fetch| self.gate.awaits(fetch.id));
            }
            b'g' => {
                let id = number().unwrap_or(1);
                self.gate.on_gone(id);
                self.waiting.remove(&id);
            }
            _ => {}
        }
        let is_idle = self.waiting.is_empty() && self.fetches.is_empty();
        assert!(is_idle || self.gate.next_call().is_some(), "nobody would call again");
    }

    fn ask(&mut self, path: &[u8]) {
        self.next += 1;
        let mut asked = self.asked.clone();
        asked.lines = vec![line(":method", &self.method), line(":authority", "mcp.example.com"), line(":path", path)];
        if !asked.token.is_empty() {
            asked.lines.push(line("authorization", [&*self.scheme, &*asked.token].concat()));
        }
        asked.lines.append(&mut self.more);
        let verdict = common::ask(&mut self.gate, self.next, &asked.lines, self.now);
        self.check_silent(&verdict, &asked);
        match verdict {
            Verdict::Hold => assert!(self.waiting.insert(self.next, asked).is_none()),
            verdict => self.decided(verdict, &asked),
        }
    }

    fn poll(&mut self) {
        while let Some(fetch) = self.gate.poll_fetch(self.now) {
            assert!(self.fetches.iter().all(|other| other.cluster != fetch.cluster), "two fetches at once");
            assert!(fetch.post.is_none(), "no token is to be asked about");
            self.fetches.push_back(fetch);
        }
    }

    fn answer(&mut self, document: Option<&[u8]>) {
        let is_metadata = self.fetches.front().is_some_and(|fetch| fetch.uri.as_str().contains(".well-known"));
        let is_raw = document.is_some_and(|document| document != KEYS.as_bytes() && document != OTHER_KEYS.as_bytes());
        let body = if is_metadata && !is_raw { document.map(|_| METADATA.as_bytes()) } else { document };
        let Some(body) = body else { return self.end(Answer::NoResponse) };
        // Whatever else is served: the key in it is the key.
        self.knows_key |= ["x", "y"]
            .into_iter()
            .all(|name| common::find(body, SIGNER[name].as_str().expect("a coordinate").as_bytes()));
        let (status, json) = (&b"200"[..], Some(&b"application/json"[..]));
        self.end(Answer::Response { status, content_type: json, cache_control: None, body });
    }

    fn end(&mut self, answer: Answer<'_>) {
        let Some(fetch) = self.fetches.pop_front() else { return };
        let outcome = self.gate.on_answer(fetch.id, answer, self.now);
        self.take(outcome);
        let again = self.gate.on_answer(fetch.id, answer, self.now);
        assert!(again.resumed.is_empty() && again.event.is_none(), "one answer counts twice: {again:?}");
    }

    fn take(&mut self, outcome: Outcome) {
        for resumed in outcome.resumed {
            let asked = self.waiting.remove(&resumed.request).expect("it waits");
            self.check_silent(&resumed.verdict, &asked);
            assert!(!matches!(resumed.verdict, Verdict::Hold), "{resumed:?}");
            self.decided(resumed.verdict, &asked);
        }
    }

    fn decided(&self, verdict: Verdict, asked: &Asked) {
        match verdict {
            Verdict::Reply(reply) => {
                check_reply(&reply);
                let headers = reply.headers().flat_map(|(_, value)| value.bytes()).collect::<Vec<_>>();
                assert!(!shows(&headers, &text(asked)) && !shows(reply.body(), &text(asked)), "{reply:?}");
            }
            Verdict::Forward(forward) => self.check_forwarded(&forward, asked),
            Verdict::ReadBody(pending) => {
                self.check_token(asked);
                let head = pending.head().map(|head| self.check_forwarded(head, asked));
                let verdict = pending.judge(&asked.body);
                self.check_silent(&verdict, asked);
                match verdict {
                    // A head that went ahead had all the edits.
                    Verdict::Forward(_) if head.is_some() => {}
                    Verdict::Forward(_) | Verdict::Reply(_) => self.decided(verdict, asked),
                    other => panic!("{other:?}"),
                }
            }
            other => panic!("{other:?}"),
        }
    }

    /// The only token that opens the gate, while it lasts, and after its key was published.
    fn check_token(&self, asked: &Asked) {
        assert_eq!(asked.token, TOKENS[&b'g'].as_bytes(), "another token");
        assert!(self.now.0 < NOW.0 + LIFE + SKEW, "expired at {:?}", self.now);
        assert!(self.knows_key, "nobody published the key");
    }

    fn check_forwarded(&self, forward: &Forward, asked: &Asked) {
        self.check_token(asked);
        check_forward(forward);
        let mut headers = HeaderMap(asked.lines.clone());
        headers.apply(forward.edits());
        for name in ["authorization", "dpop", "proxy-authorization"] {
            assert!(headers.all(name).is_empty(), "{name} goes upstream");
        }
        for added in headers.0.iter().filter(|line| !asked.lines.contains(line)) {
            assert!(!shows(&added.1, &text(asked)), "the token is in {}", added.0.escape_ascii());
        }
        let told = |name: &str| headers.all(name);
        let expected = [
            ("x-mcp-subject", "alice"),
            ("x-mcp-client-id", "c1"),
            ("x-mcp-scopes", "mcp:read mcp:write"),
            ("x-mcp-issuer", ISSUER),
        ];
        for (name, value) in expected {
            assert_eq!(told(name), [value], "{name}");
            let alike = headers
                .0
                .iter()
                .filter(|(other, _)| other.to_ascii_lowercase().escape_ascii().to_string().replace('_', "-") == name);
            assert_eq!(alike.count(), 1, "{name} in another spelling");
        }
    }

    fn check_silent(&self, value: &impl std::fmt::Debug, asked: &Asked) {
        assert!(!shows(format!("{value:?}").as_bytes(), &text(asked)), "{value:?}");
    }

    /// All that is to be fetched is fetched, in vain. Then nobody may wait.
    fn finish(mut self) {
        let everybody: BTreeSet<String> = self.waiting.values().map(text).collect();
        let printed = format!("{:?}", self.gate);
        assert!(everybody.iter().all(|token| !shows(printed.as_bytes(), token)), "{printed}");
        for _ in 0..8 {
            self.poll();
            self.answer(None);
        }
        assert!(self.waiting.is_empty() && self.gate.held() == 0, "never answered: {:?}", self.waiting.keys());
    }
}

/// The token as a text; nothing if there is none, or if it is no secret, because the client wrote of it elsewhere too.
fn text(asked: &Asked) -> String {
    let token = String::from_utf8_lossy(&asked.token).into_owned();
    let others = asked.lines.iter().filter(|(name, _)| name != b"authorization").map(|(_, value)| &**value);
    if others.chain([&*asked.body]).any(|value| shows(value, &token)) { String::new() } else { token }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut steps = data.split(|byte| *byte == b'\n').peekable();
    let first = steps.next_if(|line| line.first() == Some(&b'c')).and_then(|line| line.get(1).copied());
    let index = usize::from(first.unwrap_or(b'0').wrapping_sub(b'0')) % POLICIES.len();
    let gate = Gate::new(POLICIES[index].clone());
    let mut host = Host {
        gate,
        now: NOW,
        knows_key: matches!(index, 3 | 4),
        waiting: BTreeMap::new(),
        fetches: VecDeque::new(),
        next: 0,
        method: b"POST".to_vec(),
        more: Vec::new(),
        scheme: b"Bearer ".to_vec(),
        asked: Asked::default(),
    };
    // More steps show nothing new, and each may take a signature.
    for step in steps.take(60) {
        host.step(step);
    }
    host.finish();
});
