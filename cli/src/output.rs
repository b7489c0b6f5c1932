//! What the tool says, and that no token is ever in it.

use std::{
    cell::Cell,
    io::{IsTerminal as _, Write as _},
};

use serde_json::Value;

use crate::Misuse;

/// A colour, on a terminal.
#[derive(Clone, Copy)]
pub(crate) enum Ink {
    Red,
    Green,
    Yellow,
    Dim,
    Bold,
}

/// Standard output, as it is wanted.
pub(crate) struct Output {
    pub(crate) json: bool,
    colour: bool,
    progress: bool,
    dim: bool,
    secrets: Vec<String>,
    /// Whether something could not be written.
    failed: Cell<bool>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let colour = !json && std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let dim = std::env::var_os("NO_COLOR").is_none();
        Self {
            json,
            colour,
            progress: !json && std::io::stderr().is_terminal(),
            dim,
            secrets: Vec::new(),
            failed: Cell::new(false),
        }
    }

    /// Whatever is printed from now on has this not in it, nor a part of it between dots.
    pub(crate) fn keep_secret(&mut self, secret: &str) {
        const LEAST: usize = 6;
        let parts = std::iter::once(secret).chain(secret.split(['.', ' ', ',', '=', ';']));
        let is_secret = |part: &&str| part.len() >= LEAST && !part.eq_ignore_ascii_case("bearer");
        self.secrets.extend(parts.filter(is_secret).map(str::to_owned));
        self.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        self.secrets.dedup();
    }

    /// Fails if something that was printed is lost.
    pub(crate) fn end(&self) -> Result<(), Misuse> {
        if self.failed.get() {
            return Err(Misuse::new("standard output could not be written", "see whether the disk is full"));
        }
        Ok(())
    }

    /// A line for people.
    pub(crate) fn line(&self, text: &str) {
        if !self.json {
            self.plain(text);
        }
    }

    /// A document for machines.
    pub(crate) fn document(&self, value: &Value) {
        if self.json {
            let mut value = value.clone();
            self.hide(&mut value);
            self.write(&visible(&serde_json::to_string_pretty(&value).unwrap_or_default(), &[]));
        }
    }

    /// Hides in the values: names, and the words by which a machine tells one case from another, are the tool's own.
    fn hide(&self, value: &mut Value) {
        const OWN: [&str; 7] = ["check", "clause", "rating", "severity", "status", "step", "verdict"];
        let is_reason = |text: &str| {
            text.starts_with("mcp_oauth_") && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        match value {
            Value::String(text) if is_reason(text) => {}
            Value::String(text) => *text = self.without_secrets(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide(item)),
            Value::Object(members) => {
                let others =
                    members.iter_mut().filter(|(name, value)| !OWN.contains(&name.as_str()) || !value.is_string());
                others.for_each(|(_, value)| self.hide(value));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Text as it is, for people and machines.
    pub(crate) fn plain(&self, text: &str) {
        self.write(&self.clean(text));
    }

    fn write(&self, text: &str) {
        let mut stdout = std::io::stdout().lock();
        let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
        // Whoever reads may have had enough.
        if written.is_err_and(|error| error.kind() != std::io::ErrorKind::BrokenPipe) {
            self.failed.set(true);
        }
    }

    /// What is being done, for whoever waits at a terminal.
    pub(crate) fn progress(&self, text: &str) {
        if self.progress {
            let (dim, plain) = if self.dim { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
            let _ = writeln!(std::io::stderr().lock(), "{dim}... {}{plain}", self.clean(text));
        }
    }

    pub(crate) fn paint(&self, ink: Ink, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let [red, green, yellow, dim, bold, plain] = COLOURS;
        let colour = match ink {
            Ink::Red => red,
            Ink::Green => green,
            Ink::Yellow => yellow,
            Ink::Dim => dim,
            Ink::Bold => bold,
        };
        format!("{colour}{text}{plain}")
    }

    fn clean(&self, text: &str) -> String {
        visible(&self.without_secrets(text), if self.colour { &COLOURS } else { &[] })
    }

    fn without_secrets(&self, text: &str) -> String {
        let mut text = without_tokens(text);
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), HIDDEN);
            }
        }
        text
    }
}

/// In the order of [`Ink`], and back to none.
const COLOURS: [&str; 6] = ["\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[2m", "\x1b[1m", "\x1b[0m"];

/// Text without what a terminal would obey, but for these sequences: servers, files and arguments have a say in what is printed.
fn visible(text: &str, allowed: &[&str]) -> String {
    let is_obeyed = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let (mut seen, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(c) = rest.chars().next() {
        let own = allowed.iter().find_map(|own| Some((*own, rest.strip_prefix(own)?)));
        if let Some((own, left)) = own {
            seen.push_str(own);
            rest = left;
        } else {
            seen.push(if is_obeyed(c) { '?' } else { c });
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
    }
    seen
}

const HIDDEN: &str = "<hidden>";

/// To standard error. Whatever was given may have been a token in the wrong place.
pub(crate) fn complain(misuse: &Misuse) {
    let line = |text: &str| visible(&without_tokens(text), &[]).replace('\n', "?");
    let _ = writeln!(std::io::stderr().lock(), "mcp-oauth: {}\n   cure: {}", line(&misuse.what), line(&misuse.cure));
}

/// The name of a file that may not be there: one with so much in it that is no word may be a secret in a wrong argument,
/// whatever dots and slashes it has. Whatever is shorter is no secret worth the name.
pub(crate) fn name_of_file(name: &str) -> &str {
    const LEAST_SECRET: usize = 12;
    let pieces = name.split(|c: char| !c.is_alphanumeric()).filter(|piece| !is_word(piece));
    let odd = pieces.fold(0_usize, |sum, piece| sum.saturating_add(piece.len()));
    if odd < LEAST_SECRET { name } else { HIDDEN }
}

/// A word as people name files: `envoy`, `README`, `WasmPlugin`, `config2`, or a date in digits.
fn is_word(piece: &str) -> bool {
    let letters = piece.trim_end_matches(|c: char| c.is_ascii_digit());
    let (length, digits) = (letters.chars().count(), piece.len().saturating_sub(letters.len()));
    let is_spelt = letters.split(char::is_uppercase).skip(1).all(|small| small.len() >= 2)
        || length <= 10 && letters.chars().all(char::is_uppercase);
    let has_digits_within = letters.contains(|c: char| c.is_ascii_digit());
    match (length, digits) {
        (0, digits) => digits <= 8,
        (1 | 2, 1..) | (21.., _) | (_, 5..) => false,
        _ => is_spelt && !has_digits_within,
    }
}

/// Text without anything that looks like a JWT, or the beginning of one: wherever it was put by mistake, it is not repeated.
fn without_tokens(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.=~+".contains(c);
    let (mut clean, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(c) = rest.chars().next() {
        let end = if begins_token(rest) { rest.find(|c| !is_part(c)).unwrap_or(rest.len()) } else { 0 };
        if end >= LEAST_TOKEN {
            clean.push_str(HIDDEN);
            rest = rest.get(end..).unwrap_or_default();
        } else {
            clean.push(c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
    }
    clean
}

/// No header of a JWT is shorter.
const LEAST_TOKEN: usize = 8;

/// An object in base64url: `{"`, or `{` and white space twice, or white space and `"`.
fn begins_token(text: &str) -> bool {
    let spaced = ["eyA", "ewk", "ewo", "ew0"].into_iter().find_map(|start| text.strip_prefix(start));
    text.starts_with("eyJ") || spaced.is_some_and(|rest| rest.starts_with(['g', 'i', 'J', 'K', 'N']))
}
