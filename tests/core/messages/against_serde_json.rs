//! Two readers, one message: whatever is accepted, `serde_json` reads alike; whatever it refuses, is refused.

use proptest::{collection::vec, prelude::*, sample::Index, sample::select, test_runner::RngSeed};

use super::oracle::compare;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(8259), ..ProptestConfig::default() }
}

macro_rules! seed {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../../../fuzz/seeds/message/", $name)).as_slice())
    };
}

/// The seeds of the fuzz target, and whether each is accepted.
const SEEDS: [((&str, &[u8]), bool); 12] = [
    (seed!("call.json"), true),
    (seed!("escapes.json"), true),
    (seed!("listen.json"), true),
    (seed!("complete.json"), true),
    (seed!("notification.json"), true),
    (seed!("response.json"), true),
    (seed!("numbers.json"), true),
    (seed!("batch.json"), true),
    (seed!("task.json"), true),
    (seed!("read.json"), true),
    (seed!("duplicate.json"), false),
    (seed!("variant.json"), false),
];

/// A generator of refused bodies only would show nothing.
#[test]
fn the_seeds_are_read_as_they_are_meant() {
    for ((name, body), accepted) in SEEDS {
        assert_eq!(compare(body, true), Ok(accepted), "{name}");
        assert_eq!(compare(body, false), Ok(accepted && name != "batch.json"), "{name}");
    }
}

/// JSON as it is written, which a [`serde_json::Value`] is not: duplicates, order, numbers of any size.
#[derive(Clone, Debug)]
enum Json {
    Raw(&'static str),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Writes it with the white space and the escapes that `noise` says.
    fn write(&self, noise: &mut impl Iterator<Item = u8>, out: &mut String) {
        space(noise, out);
        match self {
            Self::Raw(raw) => out.push_str(raw),
            Self::Text(text) => write_text(text, noise, out),
            Self::List(items) => {
                out.push('[');
                for (number, item) in items.iter().enumerate() {
                    out.push_str(if number == 0 { "" } else { "," });
                    item.write(noise, out);
                }
                space(noise, out);
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (number, (name, value)) in members.iter().enumerate() {
                    out.push_str(if number == 0 { "" } else { "," });
                    space(noise, out);
                    write_text(name, noise, out);
                    space(noise, out);
                    out.push(':');
                    value.write(noise, out);
                }
                space(noise, out);
                out.push('}');
            }
        }
        space(noise, out);
    }
}

fn space(noise: &mut impl Iterator<Item = u8>, out: &mut String) {
    out.push_str(match noise.next() {
        Some(0..20) => " ",
        Some(20..25) => "\n\t",
        Some(25..30) => "\r\n  ",
        _ => "",
    });
}

fn write_text(text: &str, noise: &mut impl Iterator<Item = u8>, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        let choice = noise.next().unwrap_or(255);
        let short = "\"\\/\u{8}\u{c}\n\r\t".find(letter).map(|at| &"\"\\/bfnrt"[at..=at]);
        match (letter, short) {
            (_, Some(short)) if choice >= 64 => out.extend(["\\", short]),
            ('"' | '\\' | '\0'..' ', _) | (_, Some(_)) => write_units(letter, choice, out),
            _ if choice < 24 => write_units(letter, choice, out),
            _ => out.push(letter),
        }
    }
    out.push('"');
}

fn write_units(letter: char, choice: u8, out: &mut String) {
    for unit in letter.encode_utf16(&mut [0; 2]) {
        let written = if choice.is_multiple_of(2) { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") };
        out.push_str(&written);
    }
}

const METHODS: &[&str] = &[
    "tools/call",
    "prompts/get",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "subscriptions/listen",
    "completion/complete",
    "tasks/get",
    "tasks/update",
    "tasks/cancel",
    "tasks/result",
    "tasks/list",
    "tools/list",
    "notifications/initialized",
    "",
];

const NAMES: &[&str] = &[
    "jsonrpc",
    "id",
    "method",
    "params",
    "result",
    "error",
    "name",
    "uri",
    "taskId",
    "ref",
    "notifications",
    "_meta",
    "arguments",
    "type",
    "resourceSubscriptions",
    "io.modelcontextprotocol/protocolVersion",
    "Name",
    "METHOD",
    "param\u{17F}",
    "tas\u{212A}Id",
    "URI",
    "x",
    "",
    "\u{0}",
    "é\"\\",
];

const RAW: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "7",
    "-1.5e-3",
    "1e400",
    "-1E+99999",
    "1e-400",
    "123456789012345678901234567890",
    "[]",
    "{}",
];

const ODD_RAW: &[&str] =
    &["", "01", "1.", "-", "+1", ".5", "1e", "nul", "NaN", "\"", "\"\\ud800\"", "[1,]", "{\"a\"}", "'a'"];

/// Without control characters.
fn plain() -> impl Strategy<Value = String> {
    prop_oneof!["[-a-z/_.]{0,12}", "\\PC{0,12}"]
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![3 => plain(), 1 => any::<String>(), 1 => select(NAMES).prop_map(str::to_owned)]
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        6 => select(RAW).prop_map(Json::Raw),
        6 => any_text().prop_map(Json::Text),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Json::List),
            vec((any_text(), inner), 0..5).prop_map(|members| Json::Object(once_each(members))),
        ]
    })
}

fn once_each(mut members: Vec<(String, Json)>) -> Vec<(String, Json)> {
    let mut seen = std::collections::BTreeSet::new();
    members.retain(|(name, _)| seen.insert(name.clone()));
    members
}

/// A member that is there with this probability.
fn member(
    name: &'static str,
    there: f64,
    value: impl Strategy<Value = Json>,
) -> impl Strategy<Value = Option<(String, Json)>> {
    (0.0..1.0, value).prop_map(move |(dice, value)| (dice < there).then(|| (name.to_owned(), value)))
}

fn text() -> impl Strategy<Value = Json> {
    plain().prop_map(Json::Text)
}

fn object(members: impl Strategy<Value = Vec<Option<(String, Json)>>>) -> impl Strategy<Value = Json> {
    members.prop_map(|members| Json::Object(members.into_iter().flatten().collect()))
}

/// Params in which every method finds what it needs if `there` is 1.
fn params(there: f64) -> impl Strategy<Value = Json> {
    let reference = object(
        (member("type", 0.5, text()), member("name", there, text()), member("uri", 0.3, text()))
            .prop_map(|(a, b, c)| vec![a, b, c]),
    );
    let uris = vec(text(), 0..4).prop_map(Json::List);
    let notifications = object(
        (member("resourceSubscriptions", there, uris), member("x", 0.5, any_json())).prop_map(|(a, b)| vec![a, b]),
    );
    let version = member("io.modelcontextprotocol/protocolVersion", 0.5, text());
    let meta = object((member("progressToken", 0.5, any_json()), version).prop_map(|(a, b)| vec![a, b]));
    let members = (
        member("name", there, text()),
        member("uri", there, text()),
        member("taskId", there, text()),
        member("ref", there, reference),
        member("notifications", 0.5, notifications),
        member("_meta", 0.5, meta),
        member("arguments", 0.5, any_json()),
    );
    object(members.prop_map(|(a, b, c, d, e, f, g)| vec![a, b, c, d, e, f, g]).prop_shuffle())
}

fn id() -> impl Strategy<Value = Json> {
    prop_oneof![
        text(),
        select(&["0", "-0", "7", "-1.5e-3", "1e400", "123456789012345678901234567890"][..]).prop_map(Json::Raw)
    ]
}

/// A message that must be accepted.
fn well_formed() -> impl Strategy<Value = Json> {
    let method = prop_oneof![9 => select(METHODS).prop_map(str::to_owned), 1 => plain()].prop_map(Json::Text);
    let call = (
        member("jsonrpc", 0.9, Just(Json::Text("2.0".to_owned()))),
        member("id", 0.8, id()),
        member("method", 1.0, method),
        member("params", 1.0, params(1.0)),
        member("more", 0.2, any_json()),
    );
    let call = call.prop_map(|(a, b, c, d, e)| vec![a, b, c, d, e]);
    let result = prop_oneof![Just("result"), Just("error")].prop_flat_map(|name| member(name, 1.0, any_json()));
    let response =
        (member("id", 1.0, id()), result, member("params", 0.2, params(0.5))).prop_map(|(a, b, c)| vec![a, b, c]);
    prop_oneof![5 => object(call.prop_shuffle()), 1 => object(response.prop_shuffle())]
}

/// Something like a message: members are missing, of other types, twice, or in another case.
fn odd() -> impl Strategy<Value = Json> {
    let any_member = (select(NAMES).prop_map(str::to_owned), prop_oneof![any_json(), params(0.7), id()]);
    let broken = (select(NAMES).prop_map(str::to_owned), select(ODD_RAW).prop_map(Json::Raw));
    (well_formed(), vec(any_member, 0..3), proptest::option::weighted(0.2, broken), any::<Index>(), any::<bool>())
        .prop_map(|(message, more, broken, at, once)| {
            let Json::Object(mut members) = message else { return message };
            members.remove(at.index(members.len()));
            let at = at.index(members.len() + 1);
            members.splice(at..at, more.into_iter().chain(broken));
            Json::Object(if once { once_each(members) } else { members })
        })
}

fn written(json: impl Strategy<Value = Json>) -> impl Strategy<Value = String> {
    (json, vec(any::<u8>(), 1..200)).prop_map(|(json, noise)| {
        let mut out = String::new();
        json.write(&mut noise.into_iter().cycle(), &mut out);
        out
    })
}

/// Bytes exchanged, added or lost, mostly such that mean something.
fn damaged(body: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => select(&b"{}[]\",:\\u/0123456789.-+eEdDtfn \t\r\n\0\x1F\x7F\x80\xC3\xA9\xED\xA0\xEF\xBB\xBF\xFF"[..]), 1 => any::<u8>()];
    let change = (any::<Index>(), vec(byte, 0..3), 0..3_usize);
    (body, vec(change, 0..3), proptest::option::weighted(0.3, any::<Index>())).prop_map(|(body, changes, end)| {
        let mut body = body.into_bytes();
        for (at, new, old) in changes {
            let at = at.index(body.len() + 1);
            body.splice(at..(at + old).min(body.len()), new);
        }
        body.truncate(end.map_or(body.len(), |end| end.index(body.len() + 1)));
        body
    })
}

#[track_caller]
fn agree(body: &[u8]) -> Result<(), TestCaseError> {
    for batches in [false, true] {
        if let Err(reason) = compare(body, batches) {
            return Err(TestCaseError::fail(format!("{reason}\n{}", body.escape_ascii())));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn every_well_formed_message_is_accepted(body in written(well_formed()), batch in 1..4_usize) {
        prop_assert_eq!(compare(body.as_bytes(), false), Ok(true), "{}", body);
        let body = format!("[{}]", vec![body; batch].join(","));
        prop_assert_eq!(compare(body.as_bytes(), true), Ok(true), "{}", body);
    }

    #[test]
    fn odd_messages_are_read_alike(body in written(odd())) {
        agree(body.as_bytes())?;
    }

    #[test]
    fn any_json_is_read_alike(body in written(any_json())) {
        agree(body.as_bytes())?;
    }

    #[test]
    fn damaged_messages_are_read_alike(body in damaged(written(well_formed()))) {
        agree(&body)?;
    }

    #[test]
    fn any_bytes_are_read_alike(body in prop_oneof![vec(any::<u8>(), 0..100), vec(0x20..0x7F_u8, 0..100)]) {
        agree(&body)?;
    }
}
