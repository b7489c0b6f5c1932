//! Lists that show only what the caller may use: `tools/list` and its kin. As an event stream: [`crate::event_stream`].
//!
//! Hiding is no protection, the rules are: it keeps a model from trying what it may not do. All that is not hidden stays
//! byte for byte as it was. What cannot be read is not passed on.

use core::ops::Range;

use alloc::{borrow::Cow, borrow::ToOwned, string::String, vec, vec::Vec};

use crate::{
    grant::Caller,
    json::{self, Fault, JsonError, Scanner},
    message::{Kind, Message, Target},
    policy::ResourcePolicy,
    rules::{Access, Ruling, is_ambiguous},
    waiting::Room,
};

/// Lists longer than this are not read, nor events: a worker must not hold more for one response. Below the 1 MiB at which
/// Envoy, by default, breaks the response off without a word.
pub const MAX_LIST_BYTES: usize = 768 * 1024;

/// How one response is filtered.
#[derive(Clone, Debug)]
pub(crate) struct ListFilter {
    list: List,
    caller: Caller,
    /// Whether the request was of 2026-07-28 or later, whose results say who may cache them.
    is_modern: bool,
    /// The id of the request, as JSON.
    id: String,
    /// For events of which only a part has come.
    events: Room,
}

/// The lists of MCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Tools,
    Prompts,
    Resources,
    ResourceTemplates,
}

impl List {
    fn of(method: &str) -> Option<Self> {
        match method {
            "tools/list" => Some(Self::Tools),
            "prompts/list" => Some(Self::Prompts),
            "resources/list" => Some(Self::Resources),
            "resources/templates/list" => Some(Self::ResourceTemplates),
            _ => None,
        }
    }

    /// The member of the result that holds the items, and the member of an item that a request names it by.
    const fn members(self) -> (&'static str, &'static str) {
        match self {
            Self::Tools => ("tools", "name"),
            Self::Prompts => ("prompts", "name"),
            Self::Resources => ("resources", "uri"),
            Self::ResourceTemplates => ("resourceTemplates", "uriTemplate"),
        }
    }

    /// The request that would use an item.
    fn usage(self, item: Cow<'_, str>) -> Message<'_> {
        let (method, target) = match self {
            Self::Tools => ("tools/call", Target::Tool(item)),
            Self::Prompts => ("prompts/get", Target::Prompt(item)),
            Self::Resources | Self::ResourceTemplates => ("resources/read", Target::Resource(item)),
        };
        Message {
            kind: Kind::Request,
            id: None,
            method: Cow::Borrowed(method),
            targets: vec![target],
            protocol_version: None,
        }
    }
}

/// What is changed in a text: these bytes become those.
pub(crate) type Change = (Range<usize>, &'static str);

impl ListFilter {
    /// A filter for the answer to `message`, if that is a list.
    pub(crate) fn for_answer_to(
        message: &Message<'_>,
        caller: &Caller,
        is_modern: bool,
        events: &Room,
    ) -> Option<Self> {
        let list = List::of(&message.method)?;
        // Some servers answer a notification all the same.
        let id = message.id.unwrap_or("null");
        let is_modern = is_modern || message.protocol_version.is_some();
        Some(Self { list, caller: caller.clone(), is_modern, id: id.to_owned(), events: events.clone() })
    }

    /// The JSON body as the caller may see it.
    pub(crate) fn apply(&self, body: &[u8], resource: &ResourcePolicy) -> Vec<u8> {
        let Ok(changes) = self.changes(body, resource) else { return self.unreadable() };
        let mut shown = Vec::with_capacity(body.len());
        Changed::new(body, &changes).copy(0..body.len(), &mut shown);
        shown
    }

    /// What must be changed in a message, in order and without overlaps.
    pub(crate) fn changes(&self, message: &[u8], resource: &ResourcePolicy) -> Result<Vec<Change>, JsonError> {
        let Some(access) = resource.access() else { return Ok(Vec::new()) };
        Judge { filter: self, access, resource }.message(message)
    }

    /// What the client gets instead of a list that cannot be read.
    pub(crate) fn unreadable(&self) -> Vec<u8> {
        // JSON-RPC 2.0 section 5.1, internal error.
        alloc::format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{},\"error\":{{\"code\":-32603,\"message\":\"the list cannot be filtered\"}}}}",
            self.id
        )
        .into_bytes()
    }

    pub(crate) const fn events(&self) -> &Room {
        &self.events
    }
}

struct Judge<'f> {
    filter: &'f ListFilter,
    access: &'f Access,
    resource: &'f ResourcePolicy,
}

impl Judge<'_> {
    fn shows(&self, item: Option<Cow<'_, str>>) -> bool {
        let Some(item) = item else { return false };
        let is_uri = self.filter.list == List::Resources;
        if is_uri && self.access.has_uris() && is_ambiguous(&item) {
            return false;
        }
        let caller = &self.filter.caller;
        match self.access.judge(&self.filter.list.usage(item), caller.facts()) {
            // Whoever has no token yet sees what a token could open.
            Ruling::Allow(needs) => caller.is_anonymous() || caller.has(self.resource, &needs),
            Ruling::Deny(_) => false,
        }
    }

    fn message(&self, text: &[u8]) -> Result<Vec<Change>, JsonError> {
        let mut changes = Vec::new();
        json::document(text, |scanner| {
            if scanner.peek()? != b'{' {
                return Err(Fault::Syntax);
            }
            scanner.members(|scanner, name| match &*name.decode() {
                "result" if scanner.peek()? == b'{' => self.result(scanner, &mut changes),
                _ => scanner.skip(),
            })
        })?;
        Ok(changes)
    }

    fn result(&self, scanner: &mut Scanner<'_>, changes: &mut Vec<Change>) -> Result<(), Fault> {
        let (items, _) = self.filter.list.members();
        // After the bracket.
        let inside = scanner.at().saturating_add(1);
        let before = changes.len();
        let (mut is_empty, mut has_scope, mut has_items) = (true, false, false);
        scanner.members(|scanner, name| {
            is_empty = false;
            match &*name.decode() {
                "cacheScope" => {
                    has_scope = true;
                    scanner.peek()?;
                    let start = scanner.at();
                    scanner.skip()?;
                    changes.push((start..scanner.at(), "\"private\""));
                    Ok(())
                }
                name if name == items && scanner.peek()? == b'[' => {
                    has_items = true;
                    self.items(scanner, changes)
                }
                _ => scanner.skip(),
            }
        })?;
        // A list that depends on the caller must not be cached for others; older results do not have the member.
        if has_items && !has_scope && self.filter.is_modern {
            let scope = if is_empty { "\"cacheScope\":\"private\"" } else { "\"cacheScope\":\"private\"," };
            // In the order of their places, as all of them.
            changes.insert(before, (inside..inside, scope));
        }
        Ok(())
    }

    /// An item goes with the comma before it, or, if none before it stays, with the one behind it.
    fn items(&self, scanner: &mut Scanner<'_>, changes: &mut Vec<Change>) -> Result<(), Fault> {
        let (_, key) = self.filter.list.members();
        // Where what is hidden begins, while nothing was shown yet, and where the item before ended.
        let (mut hidden, mut any_shown, mut end) = (None, false, 0);
        scanner.items(|scanner| {
            let start = scanner.at();
            let mut item = None;
            if scanner.peek()? == b'{' {
                scanner.members(|scanner, name| {
                    if name.decode() == key && scanner.peek()? == b'"' {
                        item = Some(scanner.text()?.decode());
                        return Ok(());
                    }
                    scanner.skip()
                })?;
            } else {
                scanner.skip()?;
            }
            match (self.shows(item), any_shown) {
                (true, _) => {
                    any_shown = true;
                    changes.extend(hidden.take().map(|hidden| (hidden..start, "")));
                }
                (false, true) => changes.push((end..scanner.at(), "")),
                (false, false) => hidden = hidden.or(Some(start)),
            }
            end = scanner.at();
            Ok(())
        })?;
        changes.extend(hidden.map(|hidden| (hidden..end, "")));
        Ok(())
    }
}

/// A text with its changes, part by part.
pub(crate) struct Changed<'t> {
    text: &'t [u8],
    /// Those that are still to come, or to end.
    changes: &'t [Change],
}

impl<'t> Changed<'t> {
    pub(crate) const fn new(text: &'t [u8], changes: &'t [Change]) -> Self {
        Self { text, changes }
    }

    /// Copies the next part; true if the byte behind it is hidden. What is inserted between two parts belongs to the first.
    pub(crate) fn copy(&mut self, part: Range<usize>, into: &mut Vec<u8>) -> bool {
        let mut at = part.start;
        while let Some(((range, replacement), rest)) = self.changes.split_first()
            && range.start <= part.end
        {
            into.extend_from_slice(self.text.get(at..range.start).unwrap_or_default());
            if range.start >= part.start {
                into.extend_from_slice(replacement.as_bytes());
            }
            if range.end > part.end {
                return true;
            }
            at = at.max(range.end);
            self.changes = rest;
        }
        into.extend_from_slice(self.text.get(at..part.end).unwrap_or_default());
        false
    }
}
