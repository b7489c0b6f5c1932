//! What the tool says, and that no token is ever in it.

use std::io::{IsTerminal as _, Write as _};

use serde_json::Value;

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
    secrets: Vec<String>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let colour = !json && std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { json, colour, progress: !json && std::io::stderr().is_terminal(), secrets: Vec::new() }
    }

    /// Whatever is printed from now on has this not in it, nor a part of it between dots.
    pub(crate) fn keep_secret(&mut self, secret: &str) {
        const LEAST: usize = 6;
        let parts = std::iter::once(secret).chain(secret.split(['.', ' ', ',', '=', ';']));
        self.secrets.extend(parts.filter(|part| part.len() >= LEAST).map(str::to_owned));
        self.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        self.secrets.dedup();
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
            self.plain(&serde_json::to_string_pretty(value).unwrap_or_default());
        }
    }

    /// Text as it is, for people and machines.
    pub(crate) fn plain(&self, text: &str) {
        // Whoever reads may have had enough.
        let _ = writeln!(std::io::stdout().lock(), "{}", self.clean(text));
    }

    /// What is being done, for whoever waits at a terminal.
    pub(crate) fn progress(&self, text: &str) {
        if self.progress {
            let _ = writeln!(std::io::stderr().lock(), "\x1b[2m... {}\x1b[0m", self.clean(text));
        }
    }

    pub(crate) fn paint(&self, ink: Ink, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match ink {
            Ink::Red => 31,
            Ink::Green => 32,
            Ink::Yellow => 33,
            Ink::Dim => 2,
            Ink::Bold => 1,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    pub(crate) fn clean(&self, text: &str) -> String {
        let mut text = without_tokens(text);
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), HIDDEN);
            }
        }
        text
    }
}

const HIDDEN: &str = "<hidden>";

/// To standard error.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Text without anything that looks like a JWT, or the beginning of one: wherever it was put by mistake, it is not repeated.
pub(crate) fn without_tokens(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.=~+".contains(c);
    let (mut clean, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once("eyJ") {
        clean.push_str(before);
        let end = after.find(|c| !is_part(c)).unwrap_or(after.len());
        let (token, left) = after.split_at_checked(end).unwrap_or((after, ""));
        clean.push_str(if token.len() >= 5 { HIDDEN } else { "eyJ" });
        if token.len() < 5 {
            clean.push_str(token);
        }
        rest = left;
    }
    clean.push_str(rest);
    clean
}
