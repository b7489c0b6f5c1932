//! Reads a JSON tree and remembers everything that is wrong with it, each with its place, so that an operator mends a
//! file in one round. (`serde` stops at the first mistake.)

use core::{fmt, ops::RangeInclusive, time::Duration};

use alloc::{
    borrow::{Cow, ToOwned},
    string::String,
    vec::Vec,
};

use crate::{
    json::{Kind, Object, Value},
    shown::{Shown, ShownUri},
};

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where, such as `resources[1].resource`; empty for the document as a whole.
    pub path: String,
    /// What is wrong, with the value in backticks.
    pub reason: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.reason) } else { write!(f, "{}: {}", self.path, self.reason) }
    }
}

/// A value and its place.
#[derive(Clone)]
pub(super) struct At<'v> {
    pub(super) path: String,
    value: Value<'v>,
}

/// An object whose member names were all expected.
pub(super) struct Members<'v> {
    path: String,
    object: Object<'v>,
}

impl<'v> Members<'v> {
    pub(super) fn root(object: Object<'v>) -> Self {
        Self { path: String::new(), object }
    }

    pub(super) fn place(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { alloc::format!("{}.{name}", self.path) }
    }

    pub(super) fn get(&self, name: &str) -> Option<At<'v>> {
        Some(At { path: self.place(name), value: self.object.get(name)? })
    }
}

/// Everything that was found so far.
#[derive(Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn add(&mut self, path: &str, reason: impl Into<String>) {
        self.0.push(Finding { path: path.to_owned(), reason: reason.into() });
    }

    pub(super) fn expect_only(&mut self, members: &Members<'_>, known: &[&str]) {
        for name in members.object.names().filter(|name| !known.contains(name)) {
            let is_word = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_'));
            let path = if is_word { "" } else { &members.path };
            let place = members.place(&alloc::format!("{}", Given { path, text: name }));
            self.add(&place, alloc::format!("unknown key; known here: {}", known.join(", ")));
        }
    }

    pub(super) fn object<'v>(&mut self, at: &At<'v>, known: &[&str]) -> Option<Members<'v>> {
        let Some(object) = at.value.as_object() else {
            self.wrong_type(at, "an object");
            return None;
        };
        let members = Members { path: at.path.clone(), object };
        self.expect_only(&members, known);
        Some(members)
    }

    /// An object whose members are not ours to know (an inline JWK Set).
    pub(super) fn foreign_object<'v>(&mut self, at: &At<'v>) -> Option<Object<'v>> {
        let object = at.value.as_object();
        if object.is_none() {
            self.wrong_type(at, "an object");
        }
        object
    }

    /// The members of an object whose names are the operator's.
    pub(super) fn entries<'v>(&mut self, at: &At<'v>) -> Vec<(String, At<'v>)> {
        let Some(object) = self.foreign_object(at) else { return Vec::new() };
        let entry = |(name, value): (&str, Value<'v>)| {
            (name.to_owned(), At { path: alloc::format!("{}.{}", at.path, Shown(name)), value })
        };
        object.entries().map(entry).collect()
    }

    pub(super) fn items<'v>(&mut self, at: &At<'v>) -> Vec<At<'v>> {
        let Some(items) = at.value.as_items() else {
            self.wrong_type(at, "a list");
            return Vec::new();
        };
        let place = |(index, value)| At { path: alloc::format!("{}[{index}]", at.path), value };
        items.into_iter().enumerate().map(place).collect()
    }

    pub(super) fn text<'v>(&mut self, at: &At<'v>) -> Option<Cow<'v, str>> {
        let text = at.value.as_text();
        match text.as_deref() {
            None => self.wrong_type(at, "a text"),
            Some("") => self.add(&at.path, "is empty"),
            Some(_) => {}
        }
        text.filter(|text| !text.is_empty())
    }

    pub(super) fn texts<'v>(&mut self, at: &At<'v>) -> Vec<(String, Cow<'v, str>)> {
        let items = self.items(at);
        items.into_iter().filter_map(|item| self.text(&item).map(|text| (item.path, text))).collect()
    }

    pub(super) fn truth(&mut self, at: Option<At<'_>>) -> bool {
        let Some(at) = at else { return false };
        at.value.as_truth().unwrap_or_else(|| {
            self.wrong_type(&at, "true or false");
            false
        })
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, at: Option<At<'_>>, known: &[(&str, T)]) -> Option<T> {
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        let found = self.word(&at?, &words)?;
        known.get(found).map(|(_, meaning)| *meaning)
    }

    /// Its place among these words. (Apart from `choice`, so that the module has it once and not once for each type.)
    fn word(&mut self, at: &At<'_>, words: &[&str]) -> Option<usize> {
        let text = self.text(at)?;
        let found = words.iter().position(|word| *word == text);
        if found.is_none() {
            self.wrong(&at.path, &text, &format_args!("is not one of `{}`", words.join("`, `")));
        }
        found
    }

    /// A text in a form of its own; the error follows the value in the finding.
    pub(super) fn parsed<T, E: fmt::Display>(&mut self, at: &At<'_>, parse: fn(&str) -> Result<T, E>) -> Option<T> {
        let text = self.text(at)?;
        parse(&text).map_err(|error| self.wrong(&at.path, &text, &error)).ok()
    }

    /// What is wrong with a text, after the text.
    pub(super) fn wrong(&mut self, path: &str, text: &str, error: &dyn fmt::Display) {
        self.add(path, alloc::format!("`{}` {error}", Given { path, text }));
    }

    /// What is wrong with an environment variable. What does not look like a name may be the secret.
    pub(super) fn wrong_variable(&mut self, path: &str, name: &str, error: &dyn fmt::Display) {
        let is_name = name.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
        let name = if is_name { name } else { HIDDEN };
        self.add(path, alloc::format!("the environment variable `{}` {error}", Shown(name)));
    }

    pub(super) fn duration(
        &mut self,
        at: Option<At<'_>>,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let Some(at) = at else { return default };
        let Some(text) = self.text(&at) else { return default };
        let Some(duration) = parse_duration(&text) else {
            self.wrong(&at.path, &text, &"is no duration: write a whole number and ms, s, m or h");
            return default;
        };
        if !range.contains(&duration) {
            let (least, most) = (Written(*range.start()), Written(*range.end()));
            self.add(&at.path, alloc::format!("`{}` is not within {least} and {most}", Shown(&text)));
            return default;
        }
        duration
    }

    /// A size in bytes: a whole number with a unit.
    pub(super) fn size(&mut self, at: Option<At<'_>>, default: usize, range: RangeInclusive<usize>) -> usize {
        let Some(at) = at else { return default };
        let Some(text) = self.text(&at) else { return default };
        let Some(size) = parse_size(&text) else {
            self.wrong(&at.path, &text, &"is no size: write a whole number and B, KiB or MiB");
            return default;
        };
        if !range.contains(&size) {
            let (least, most) = (range.start(), range.end());
            self.add(&at.path, alloc::format!("`{}` is not within {least} and {most} bytes", Shown(&text)));
            return default;
        }
        size
    }

    /// A whole number.
    pub(super) fn count(&mut self, at: Option<At<'_>>, default: usize, range: RangeInclusive<usize>) -> usize {
        let Some(at) = at else { return default };
        let Some(count) = at.value.as_number().and_then(|count| count.parse().ok()) else {
            self.wrong_type(&at, "a whole number");
            return default;
        };
        if !range.contains(&count) {
            let (least, most) = (range.start(), range.end());
            self.add(&at.path, alloc::format!("`{count}` is not within {least} and {most}"));
            return default;
        }
        count
    }

    /// `null`, which means "off" where it is allowed.
    pub(super) fn is_off(at: &At<'_>) -> bool {
        at.value.kind() == Kind::Null
    }

    pub(super) fn is_object(at: &At<'_>) -> bool {
        at.value.kind() == Kind::Object
    }

    /// An empty text, where that means something.
    pub(super) fn is_empty_text(at: &At<'_>) -> bool {
        at.value.as_text().is_some_and(|text| text.is_empty())
    }

    fn wrong_type(&mut self, at: &At<'_>, expected: &str) {
        let found = match at.value.kind() {
            Kind::Null => "null",
            Kind::Boolean => "true or false",
            Kind::Number => "a number",
            Kind::Text => "a text",
            Kind::Array => "a list",
            Kind::Object => "an object",
        };
        self.add(&at.path, alloc::format!("is {found} where {expected} is expected"));
    }
}

const HIDDEN: &str = "(not shown)";

/// A value as a finding shows it, and a finding is logged: where secrets are configured, one may stand in the wrong place.
struct Given<'g> {
    path: &'g str,
    text: &'g str,
}

impl fmt::Display for Given<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SECRET: [&str; 5] = ["static_tokens", "upstream_credential", "introspection", "sessions", "dpop"];
        let is_shown = self.text.contains("://") || !SECRET.iter().any(|name| self.path.contains(name));
        if is_shown { ShownUri(self.text).fmt(f) } else { f.write_str(HIDDEN) }
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}

/// A duration as a configuration has it.
struct Written(Duration);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match (seconds.wrapping_rem(3600), seconds.wrapping_rem(60), self.0.subsec_millis()) {
            (_, _, 1..) => write!(f, "{}ms", self.0.as_millis()),
            (0, _, 0) if seconds > 0 => write!(f, "{}h", seconds.wrapping_div(3600)),
            (_, 0, 0) if seconds > 0 => write!(f, "{}m", seconds.wrapping_div(60)),
            _ => write!(f, "{seconds}s"),
        }
    }
}

fn parse_size(text: &str) -> Option<usize> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: usize = number.parse().ok()?;
    match unit {
        "B" => Some(number),
        "KiB" => number.checked_mul(1024),
        "MiB" => number.checked_mul(1024 * 1024),
        _ => None,
    }
}
