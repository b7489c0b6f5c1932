//! What the proxy is told of a request: for its access log, and for the filters behind this one.
//!
//! Every value comes from a verified token, from a body that was judged, or from this crate. None has a byte outside visible
//! ASCII, but for the spaces between scopes: logs and rules compare them as text.

use alloc::{borrow::ToOwned, boxed::Box, string::String};

use crate::{
    forward::header_safe,
    message::{Message, Target},
    scope::ScopeSet,
};

/// A longer method or tool is cut and ends in `...`. What is not cut is never longer, so that nothing that was cut equals
/// something else; the longest names in the field have 128 bytes.
const MAX_NAME_BYTES: usize = 256;

/// What the proxy can be told; each is one bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Note {
    Subject = 1,
    ClientId = 2,
    Issuer = 4,
    Scopes = 8,
    Method = 16,
    Tool = 32,
    Reason = 64,
    Decision = 128,
}

/// Names, as the proxy has them, and values.
pub(crate) type Notes = Box<[(&'static str, String)]>;

/// Which notes the proxy gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilterState(u8);

impl Note {
    /// The names in a configuration.
    pub(crate) const NAMES: [(&str, Self); 8] = [
        ("subject", Self::Subject),
        ("client_id", Self::ClientId),
        ("issuer", Self::Issuer),
        ("scopes", Self::Scopes),
        ("method", Self::Method),
        ("tool", Self::Tool),
        ("decision", Self::Decision),
        ("reason", Self::Reason),
    ];

    const fn path(self) -> &'static str {
        match self {
            Self::Subject => "mcp_oauth.subject",
            Self::ClientId => "mcp_oauth.client_id",
            Self::Issuer => "mcp_oauth.issuer",
            Self::Scopes => "mcp_oauth.scopes",
            Self::Method => "mcp_oauth.method",
            Self::Tool => "mcp_oauth.tool",
            Self::Decision => "mcp_oauth.decision",
            Self::Reason => "mcp_oauth.reason",
        }
    }
}

impl FilterState {
    pub(crate) const fn add(&mut self, note: Note) {
        self.0 |= note as u8;
    }

    pub(crate) const fn has(self, note: Note) -> bool {
        self.0 & note as u8 != 0
    }

    /// A note with a value that needs no making.
    pub(crate) fn note(self, note: Note, value: &str) -> Option<(&'static str, &str)> {
        self.has(note).then(|| (note.path(), value))
    }

    fn fill<const N: usize>(self, values: [(Note, Option<String>); N]) -> Notes {
        let wanted = values.into_iter().filter(|(note, _)| self.has(*note));
        wanted.filter_map(|(note, value)| Some((note.path(), value?))).collect()
    }

    /// Who calls, in the same form as the identity headers.
    pub(crate) fn of_token(
        self,
        subject: Option<String>,
        client_id: Option<&str>,
        scopes: &ScopeSet,
        issuer: Option<&str>,
    ) -> Notes {
        if self == Self::default() {
            return Notes::default();
        }
        self.fill([
            (Note::Subject, subject),
            (Note::ClientId, client_id.map(header_safe)),
            (Note::Issuer, issuer.map(ToOwned::to_owned)),
            (Note::Scopes, (!scopes.is_empty()).then(|| alloc::format!("{scopes}"))),
        ])
    }

    /// What is asked for.
    pub(crate) fn of_message(self, message: &Message<'_>) -> Notes {
        if !self.has(Note::Method) && !self.has(Note::Tool) {
            return Notes::default();
        }
        let tool = message.targets.iter().find_map(|target| match target {
            Target::Tool(name) => Some(short(name)),
            _ => None,
        });
        let method = (!message.method.is_empty()).then(|| short(&message.method));
        self.fill([(Note::Method, method), (Note::Tool, tool)])
    }
}

fn short(name: &str) -> String {
    // No escape is longer than three bytes per byte, so what is left out here would be cut anyway.
    let end = name.char_indices().map(|(at, _)| at).find(|at| *at > MAX_NAME_BYTES);
    let mut safe = header_safe(end.and_then(|end| name.get(..end)).unwrap_or(name));
    if safe.len() > MAX_NAME_BYTES {
        safe.truncate(MAX_NAME_BYTES);
        safe.push_str("...");
    }
    safe
}
