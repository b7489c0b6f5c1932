//! Lists that show only what the caller may use: `tools/list` and its kin, as JSON or as an event stream.
//!
//! Hiding is no protection, the rules are: it keeps a model from trying what it may not do. What is kept is kept byte for
//! byte. What cannot be read is not passed on.

use core::ops::Range;

use alloc::{borrow::Cow, borrow::ToOwned, string::String, vec, vec::Vec};

use crate::{
    grant::Caller,
    json::{self, Fault, JsonError, Scanner},
    message::{Kind, Message, Target},
    policy::ResourcePolicy,
    rules::{Access, Ruling, is_ambiguous},
};

/// Lists longer than this are not read: a worker must not hold more for one response. Below the 1 MiB at which Envoy, by
/// default, breaks the response off without a word.
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
type Change = (Range<usize>, String);

impl ListFilter {
    /// A filter for the answer to `message`, if that is a list.
    pub(crate) fn for_answer_to(message: &Message<'_>, caller: &Caller, is_modern: bool) -> Option<Self> {
        let (list, id) = (List::of(&message.method)?, message.id?);
        let is_modern = is_modern || message.protocol_version.is_some();
        Some(Self { list, caller: caller.clone(), is_modern, id: id.to_owned() })
    }

    /// The body as the caller may see it.
    pub(crate) fn apply(&self, body: &[u8], is_event_stream: bool, resource: &ResourcePolicy) -> Vec<u8> {
        let Some(access) = resource.access() else { return body.to_vec() };
        let judge = Judge { filter: self, access, resource };
        let filtered = if is_event_stream { judge.event_stream(body) } else { judge.message(body) };
        filtered.unwrap_or_else(|_| self.unreadable(is_event_stream))
    }

    /// What the client gets instead of a list that cannot be read.
    pub(crate) fn unreadable(&self, is_event_stream: bool) -> Vec<u8> {
        // JSON-RPC 2.0 section 5.1, internal error.
        let error = alloc::format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{},\"error\":{{\"code\":-32603,\"message\":\"the list cannot be filtered\"}}}}",
            self.id
        );
        if is_event_stream { alloc::format!("event: message\ndata: {error}\n\n") } else { error }.into_bytes()
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

    fn message(&self, text: &[u8]) -> Result<Vec<u8>, JsonError> {
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
        changes.sort_by_key(|(range, _)| range.start);
        Ok(change(text, &changes))
    }

    fn result(&self, scanner: &mut Scanner<'_>, changes: &mut Vec<Change>) -> Result<(), Fault> {
        const PRIVATE: &str = "\"private\"";
        let (items, _) = self.filter.list.members();
        // After the bracket.
        let inside = scanner.at().saturating_add(1);
        let (mut is_empty, mut has_scope, mut has_items) = (true, false, false);
        scanner.members(|scanner, name| {
            is_empty = false;
            match &*name.decode() {
                "cacheScope" => {
                    has_scope = true;
                    scanner.peek()?;
                    let start = scanner.at();
                    scanner.skip()?;
                    changes.push((start..scanner.at(), PRIVATE.to_owned()));
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
            let comma = if is_empty { "" } else { "," };
            changes.push((inside..inside, alloc::format!("\"cacheScope\":{PRIVATE}{comma}")));
        }
        Ok(())
    }

    fn items(&self, scanner: &mut Scanner<'_>, changes: &mut Vec<Change>) -> Result<(), Fault> {
        let (_, key) = self.filter.list.members();
        let start = scanner.at();
        let (mut shown, mut hidden) = (Vec::new(), false);
        scanner.items(|scanner| {
            let mut item = None;
            let bytes = if scanner.peek()? == b'{' {
                scanner.spanned(|scanner| {
                    scanner.members(|scanner, name| {
                        if name.decode() == key && scanner.peek()? == b'"' {
                            item = Some(scanner.text()?.decode());
                            return Ok(());
                        }
                        scanner.skip()
                    })
                })?
            } else {
                scanner.value()?
            };
            if self.shows(item) {
                shown.push(bytes)
            } else {
                hidden = true
            }
            Ok(())
        })?;
        if hidden {
            let kept = shown.join(&b","[..]);
            let kept = String::from_utf8(kept).map_err(|_| Fault::Syntax)?;
            changes.push((start..scanner.at(), alloc::format!("[{kept}]")));
        }
        Ok(())
    }

    /// Events end at empty lines; the lines of their data are joined (HTML standard, server-sent events).
    fn event_stream(&self, stream: &[u8]) -> Result<Vec<u8>, JsonError> {
        // A byte order mark is not part of the first field's name.
        const MARK: &[u8] = b"\xef\xbb\xbf";
        let (mark, stream) = stream.strip_prefix(MARK).map_or((&[][..], stream), |stream| (MARK, stream));
        let mut output = mark.to_vec();
        output.reserve(stream.len());
        let mut event: Vec<&[u8]> = Vec::new();
        for line in lines(stream) {
            event.push(line);
            if content(line).is_empty() {
                self.event(&event, &mut output)?;
                event.clear();
            }
        }
        self.event(&event, &mut output)?;
        Ok(output)
    }

    fn event(&self, event: &[&[u8]], output: &mut Vec<u8>) -> Result<(), JsonError> {
        let data: Vec<&[u8]> = event.iter().filter_map(|line| data_of(content(line))).collect();
        let data = data.join(&b"\n"[..]);
        // An event without data primes a client for resumption.
        let filtered = if data.is_empty() { data.clone() } else { self.message(&data)? };
        if filtered == data {
            event.iter().for_each(|line| output.extend_from_slice(line));
            return Ok(());
        }
        let mut written = false;
        for line in event {
            if data_of(content(line)).is_none() {
                output.extend_from_slice(line);
            } else if !written {
                written = true;
                for line in filtered.split(|byte| *byte == b'\n') {
                    output.extend_from_slice(b"data: ");
                    output.extend_from_slice(line);
                    output.push(b'\n');
                }
            }
        }
        Ok(())
    }
}

/// Lines with their ends: CR LF, LF or CR.
fn lines(mut stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    core::iter::from_fn(move || {
        if stream.is_empty() {
            return None;
        }
        let end = stream.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(stream.len());
        let rest = stream.get(end..).unwrap_or_default();
        let len = if rest.starts_with(b"\r\n") { 2 } else { rest.len().min(1) };
        let (line, rest) = stream.split_at_checked(end.saturating_add(len))?;
        stream = rest;
        Some(line)
    })
}

fn content(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The value of a `data` field.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    let value = match line.strip_prefix(b"data")? {
        [] => return Some(&[]),
        [b':', value @ ..] => value,
        _ => return None,
    };
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

/// The text with its changes, which are in order and do not overlap.
fn change(text: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut changed = Vec::with_capacity(text.len());
    let mut done = 0;
    for (range, replacement) in changes {
        changed.extend_from_slice(text.get(done..range.start).unwrap_or_default());
        changed.extend_from_slice(replacement.as_bytes());
        done = range.end;
    }
    changed.extend_from_slice(text.get(done..).unwrap_or_default());
    changed
}
