//! What a request body asks for: the parts of a JSON-RPC message that a policy looks at (MCP base protocol, Messages).
//!
//! The upstream parses the body again, with a parser that may be laxer than this one. So whatever two readers could take
//! for different messages is refused: duplicate names, known names in another case (Go's `encoding/json` takes them for
//! the same: CVE-2026-27896), a message that is both a request and a response.

mod headers;
mod reader;

use core::fmt;

use alloc::{borrow::Cow, string::String, vec::Vec};

pub use headers::{HeaderMismatch, McpHeaders};
pub(crate) use reader::id;
pub use reader::read;

use crate::{json::JsonError, shown::Shown};

/// As many messages may stand in one batch: each is judged, and none of the known clients sends more than ten.
pub const MAX_BATCH: usize = 100;

/// As many resources may one `subscriptions/listen` name: each is compared with each rule.
pub const MAX_SUBSCRIPTIONS: usize = 256;

/// An `id` longer than this is no honest one, and it is repeated in errors.
pub const MAX_ID_BYTES: usize = 1024;

/// What a body holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Messages<'b> {
    /// In their order; at least one.
    pub list: Vec<Message<'b>>,
    /// Whether they stood in an array (MCP 2025-03-26 only); an array of one is still an array.
    pub is_batch: bool,
}

/// One JSON-RPC message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'b> {
    /// What it is.
    pub kind: Kind,
    /// The `id` as JSON; a text or a number.
    pub id: Option<&'b str>,
    /// The `method`; empty for responses.
    pub method: Cow<'b, str>,
    /// What the method is applied to.
    pub targets: Vec<Target<'b>>,
    /// `params._meta["io.modelcontextprotocol/protocolVersion"]`: its presence makes a message modern (2026-07-28).
    pub protocol_version: Option<Cow<'b, str>>,
}

/// The kinds of JSON-RPC messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A `method` and an `id`.
    Request,
    /// A `method` alone.
    Notification,
    /// A `result` or an `error`: the answer to a request of the server (up to MCP 2025-11-25).
    Response,
}

/// What a method is applied to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target<'b> {
    /// `tools/call`: `params.name`.
    Tool(Cow<'b, str>),
    /// `prompts/get`: `params.name`; `completion/complete`: `params.ref.name`.
    Prompt(Cow<'b, str>),
    /// `resources/read`, `/subscribe` and `/unsubscribe`: `params.uri`; `completion/complete`: `params.ref.uri`;
    /// `subscriptions/listen`: each of `params.notifications.resourceSubscriptions`.
    Resource(Cow<'b, str>),
    /// `tasks/*`: `params.taskId`. Which tool started the task is not known here.
    Task(Cow<'b, str>),
}

impl Target<'_> {
    /// The name or URI.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Tool(text) | Self::Prompt(text) | Self::Resource(text) | Self::Task(text) => text,
        }
    }
}

impl Message<'_> {
    /// What the `Mcp-Name` header must repeat (MCP 2026-07-28, Standard Request Headers).
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        let named = ["tools/call", "prompts/get", "resources/read", "tasks/get", "tasks/update", "tasks/cancel"];
        let target = self.targets.first().filter(|_| named.contains(&&*self.method))?;
        Some(target.as_str())
    }
}

/// Why a body is no message that could be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageError {
    /// It is not strict JSON.
    Json(JsonError),
    /// A member whose name some readers take for a known one.
    Variant(String),
    /// This member is absent, or has another type than the specification says.
    Member(&'static str),
    /// This member has control characters.
    Control(&'static str),
    /// It is neither request nor notification nor response, or more than one of them.
    NoMessage,
    /// It is a response, and its headers say 2026-07-28 or later, when servers ask nothing.
    Response,
    /// It is an array, and batches are not allowed.
    Batch,
    /// It is an array of this many messages: none, or more than [`MAX_BATCH`].
    BatchLength(usize),
    /// It names more than [`MAX_SUBSCRIPTIONS`] resources.
    Subscriptions,
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::Variant(name) => write!(f, "the member `{}` is spelt like a known one", Shown(name)),
            Self::Member(member) => write!(f, "`{member}` is missing or of the wrong type"),
            Self::Control(member) => write!(f, "`{member}` has control characters"),
            Self::NoMessage => f.write_str("neither a request nor a notification nor a response"),
            Self::Response => f.write_str("a response, which revisions from 2026-07-28 on do not have"),
            Self::Batch => f.write_str("a batch, which is not allowed here"),
            Self::Subscriptions => write!(f, "more than {MAX_SUBSCRIPTIONS} resources in one subscription"),
            Self::BatchLength(messages) => write!(f, "a batch of `{messages}` messages"),
        }
    }
}
