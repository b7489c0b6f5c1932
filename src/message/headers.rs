//! The headers that repeat what a body says (MCP 2026-07-28, Standard Request Headers): a cross-check, never the basis of
//! a decision, because not every server compares them with the body.

use core::fmt;

use alloc::{
    borrow::{Cow, ToOwned},
    string::String,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Kind, Message};
use crate::request::Line;

/// The first revision whose requests carry the headers.
const FIRST_MODERN: &str = "2026-07-28";

/// The last revision whose requests may be batches.
const LAST_WITH_BATCHES: &str = "2025-03-26";

/// The headers of one request, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct McpHeaders {
    method: Option<String>,
    name: Option<String>,
    version: Option<String>,
}

/// How headers and body contradict each other, or how a header contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderMismatch {
    /// There are two lines of this header.
    Doubled(&'static str),
    /// Its value is not visible ASCII, or its Base64 form is broken.
    Malformed(&'static str),
    /// A modern request must have it.
    Missing(&'static str),
    /// It says something else than the body.
    Differs(&'static str),
}

impl fmt::Display for HeaderMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Doubled(header) => write!(f, "the header `{header}` comes twice"),
            Self::Malformed(header) => write!(f, "the header `{header}` is malformed"),
            Self::Missing(header) => write!(f, "the header `{header}` is missing"),
            Self::Differs(header) => write!(f, "the header `{header}` differs from the body"),
        }
    }
}

const METHOD: &str = "Mcp-Method";
const NAME: &str = "Mcp-Name";
const VERSION: &str = "MCP-Protocol-Version";

impl McpHeaders {
    /// Reads the three headers.
    ///
    /// # Errors
    ///
    /// [`HeaderMismatch::Doubled`] or [`HeaderMismatch::Malformed`].
    pub(crate) fn read(method: Line<'_>, name: Line<'_>, version: Line<'_>) -> Result<Self, HeaderMismatch> {
        let name = one(name, NAME)?.map(|value| decode(value).ok_or(HeaderMismatch::Malformed(NAME))).transpose()?;
        Ok(Self {
            method: one(method, METHOD)?.map(ToOwned::to_owned),
            name: name.map(Cow::into_owned),
            version: one(version, VERSION)?.map(ToOwned::to_owned),
        })
    }

    /// Whether the request says that it is of 2026-07-28 or later. Versions are dates, so their order is that of texts.
    pub(crate) fn are_modern(&self) -> bool {
        self.version.as_deref().is_some_and(|version| version >= FIRST_MODERN && is_date(version))
    }

    /// Whether the request says that it is of a revision without batches; a version that is no date is none that has them.
    pub(crate) fn exclude_batches(&self) -> bool {
        self.version.as_deref().is_some_and(|version| version > LAST_WITH_BATCHES || !is_date(version))
    }

    /// Compares the headers with the body.
    ///
    /// # Errors
    ///
    /// [`HeaderMismatch::Missing`] or [`HeaderMismatch::Differs`]; a contradiction also where the revision does not know
    /// the headers, because somebody behind might.
    pub(crate) fn check(&self, message: &Message<'_>) -> Result<(), HeaderMismatch> {
        let is_modern = self.are_modern() || message.protocol_version.is_some();
        let must_have = is_modern && message.kind == Kind::Request;
        compare(METHOD, self.method.as_deref(), Some(&message.method), must_have)?;
        compare(NAME, self.name.as_deref(), message.name(), must_have)?;
        // Methods whose requests need not have it: who sends it must mean the target.
        let is_target = |name: &str| message.targets.iter().any(|target| target.as_str() == name);
        if !message.targets.is_empty() && !self.name.as_deref().is_none_or(is_target) {
            return Err(HeaderMismatch::Differs(NAME));
        }
        compare(VERSION, self.version.as_deref(), message.protocol_version.as_deref(), must_have)
    }
}

/// A header and what the body says; what the body does not say cannot be compared.
fn compare(
    header: &'static str,
    sent: Option<&str>,
    in_body: Option<&str>,
    must_have: bool,
) -> Result<(), HeaderMismatch> {
    match (sent, in_body) {
        (Some(sent), Some(in_body)) if sent != in_body => Err(HeaderMismatch::Differs(header)),
        (None, Some(_)) if must_have => Err(HeaderMismatch::Missing(header)),
        _ => Ok(()),
    }
}

fn is_date(version: &str) -> bool {
    version.len() == FIRST_MODERN.len() && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// The value of a header without the white space around it (RFC 9110 section 5.5).
fn one<'r>(line: Line<'r>, header: &'static str) -> Result<Option<&'r str>, HeaderMismatch> {
    match line {
        Line::Absent => Ok(None),
        Line::Several => Err(HeaderMismatch::Doubled(header)),
        Line::One(value) => {
            let legal = value.iter().all(|byte| matches!(byte, b'\t' | 0x20..=0x7E));
            let text = str::from_utf8(value).ok().filter(|_| legal).ok_or(HeaderMismatch::Malformed(header))?;
            Ok(Some(text.trim_matches([' ', '\t'])))
        }
    }
}

/// Undoes the Base64 form (Value Encoding): its marks are lower-case, and without both of them the value is literal.
fn decode(value: &str) -> Option<Cow<'_, str>> {
    match value.strip_prefix("=?base64?").and_then(|value| value.strip_suffix("?=")) {
        None => Some(Cow::Borrowed(value)),
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok().map(Cow::Owned),
    }
}
