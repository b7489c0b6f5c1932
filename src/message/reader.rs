//! One pass over a body: the members that decide are picked up on the way, everything else is checked and skipped.

use alloc::{borrow::Cow, string::ToString as _, vec, vec::Vec};

use super::{Kind, MAX_BATCH, MAX_ID_BYTES, MAX_SUBSCRIPTIONS, Message, MessageError, Messages, Target};
use crate::json::{self, Fault, Scanner};

/// Where MCP 2026-07-28 puts the version of each request.
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// Reads a body; an array only where `batches` are allowed.
///
/// Does NOT check what no policy looks at: `jsonrpc`, arguments, whether the method exists.
///
/// # Errors
///
/// [`MessageError`] for the first thing that is wrong.
pub fn read(body: &[u8], batches: bool) -> Result<Messages<'_>, MessageError> {
    let mut reader = Reader { odd: None };
    let mut list = Vec::new();
    let mut count = 0_usize;
    let is_batch = json::document(body, |scanner| {
        if scanner.peek()? != b'[' {
            list.push(reader.draft(scanner)?);
            return Ok(false);
        }
        scanner.items(|scanner| {
            count = count.saturating_add(1);
            if count > MAX_BATCH { scanner.skip() } else { reader.draft(scanner).map(|draft| list.push(draft)) }
        })?;
        Ok(true)
    });
    let is_batch = is_batch.map_err(MessageError::Json)?;
    if is_batch && !batches {
        return Err(MessageError::Batch);
    }
    if is_batch && (count == 0 || count > MAX_BATCH) {
        return Err(MessageError::BatchLength(count));
    }
    if let Some(odd) = reader.odd {
        return Err(odd);
    }
    let list = list.into_iter().map(Draft::finish).collect::<Result<_, _>>()?;
    Ok(Messages { list, is_batch })
}

/// A member that was looked for.
#[derive(Default)]
enum Field<'b> {
    #[default]
    Absent,
    Text(Cow<'b, str>),
    /// Something else than a text.
    Other,
}

#[derive(Default)]
struct Draft<'b> {
    is_object: bool,
    id: Option<&'b [u8]>,
    method: Field<'b>,
    answers: usize,
    is_error: bool,
    name: Field<'b>,
    uri: Field<'b>,
    task: Field<'b>,
    reference: Reference<'b>,
    subscriptions: Vec<Field<'b>>,
    version: Field<'b>,
}

/// `params.ref` of `completion/complete`.
#[derive(Default)]
struct Reference<'b> {
    name: Field<'b>,
    uri: Field<'b>,
}

struct Reader {
    /// The first thing that is JSON, but not as it should be.
    odd: Option<MessageError>,
}

impl Reader {
    fn draft<'b>(&mut self, scanner: &mut Scanner<'b>) -> Result<Draft<'b>, Fault> {
        let mut draft = Draft::default();
        if scanner.peek()? != b'{' {
            scanner.skip()?;
            return Ok(draft);
        }
        draft.is_object = true;
        scanner.members(|scanner, name| {
            match &*name.decode() {
                "id" => draft.id = Some(scanner.value()?),
                "method" => draft.method = field(scanner)?,
                "params" => {
                    self.object(scanner, "params", |reader, scanner, name| reader.parameter(scanner, name, &mut draft))?
                }
                answer @ ("result" | "error") => {
                    draft.is_error = answer == "error";
                    scanner.skip()?;
                    draft.answers = draft.answers.saturating_add(1);
                }
                other => self.skip(scanner, other, &["jsonrpc", "id", "method", "params", "result", "error"])?,
            }
            Ok(())
        })?;
        Ok(draft)
    }

    fn parameter<'b>(&mut self, scanner: &mut Scanner<'b>, name: &str, draft: &mut Draft<'b>) -> Result<(), Fault> {
        match name {
            "name" => draft.name = field(scanner)?,
            "uri" => draft.uri = field(scanner)?,
            "taskId" => draft.task = field(scanner)?,
            "ref" => self.object(scanner, "params.ref", |reader, scanner, name| {
                match name {
                    "name" => draft.reference.name = field(scanner)?,
                    "uri" => draft.reference.uri = field(scanner)?,
                    other => reader.skip(scanner, other, &["type", "name", "uri"])?,
                }
                Ok(())
            })?,
            "notifications" => self.object(scanner, "params.notifications", |reader, scanner, name| {
                match name {
                    "resourceSubscriptions" if scanner.peek()? == b'[' => scanner.items(|scanner| {
                        if draft.subscriptions.len() > MAX_SUBSCRIPTIONS {
                            return scanner.skip();
                        }
                        draft.subscriptions.push(field(scanner)?);
                        Ok(())
                    })?,
                    "resourceSubscriptions" => draft.subscriptions.push(field(scanner).map(|_| Field::Other)?),
                    other => reader.skip(scanner, other, &["resourceSubscriptions"])?,
                }
                Ok(())
            })?,
            "_meta" => self.object(scanner, "params._meta", |reader, scanner, name| {
                match name {
                    VERSION => draft.version = field(scanner)?,
                    other => reader.skip(scanner, other, &[VERSION])?,
                }
                Ok(())
            })?,
            other => {
                self.skip(scanner, other, &["name", "uri", "taskId", "ref", "notifications", "_meta", "arguments"])?
            }
        }
        Ok(())
    }

    /// Reads an object, or `null`, which every reader takes for nothing.
    fn object<'b>(
        &mut self,
        scanner: &mut Scanner<'b>,
        member: &'static str,
        mut read: impl FnMut(&mut Self, &mut Scanner<'b>, &str) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if scanner.peek()? == b'{' {
            return scanner.members(|scanner, name| read(self, scanner, &name.decode()));
        }
        if scanner.value()? != b"null" {
            self.odd.get_or_insert(MessageError::Member(member));
        }
        Ok(())
    }

    /// Skips a member that is none of the known ones, unless another reader would take it for one.
    fn skip(&mut self, scanner: &mut Scanner<'_>, name: &str, known: &[&str]) -> Result<(), Fault> {
        if known.iter().any(|known| name != *known && is_variant(name, known)) {
            self.odd.get_or_insert_with(|| MessageError::Variant(name.to_string()));
        }
        scanner.skip()
    }
}

fn field<'b>(scanner: &mut Scanner<'b>) -> Result<Field<'b>, Fault> {
    if scanner.peek()? == b'"' {
        return Ok(Field::Text(scanner.text()?.decode()));
    }
    scanner.skip().map(|()| Field::Other)
}

/// Whether another reader takes `name` for `known`, which is ASCII: Go's `encoding/json` folds case as Unicode does, and
/// Java's `equalsIgnoreCase` as Turkish does; four letters outside ASCII fold into it. Python's models take the names of
/// their fields too, which are in snake case (`task_id`).
fn is_variant(name: &str, known: &str) -> bool {
    folded(name).eq(folded(known))
}

fn folded(name: &str) -> impl Iterator<Item = char> {
    let is_separator = |letter| matches!(letter, '_' | '-' | '.' | '/');
    // Those at an end belong to the name: `meta` is not `_meta`.
    let start = name.len().saturating_sub(name.trim_start_matches(is_separator).len());
    let inner = start..name.trim_end_matches(is_separator).len();
    let kept = name.char_indices().filter(move |(at, letter)| !(is_separator(*letter) && inner.contains(at)));
    kept.map(|(_, letter)| match letter {
        'ſ' => 's',
        'ı' | 'İ' => 'i',
        '\u{212A}' => 'k',
        other => other.to_ascii_lowercase(),
    })
}

impl<'b> Draft<'b> {
    fn finish(self) -> Result<Message<'b>, MessageError> {
        if !self.is_object {
            return Err(MessageError::NoMessage);
        }
        let id = self.id.map(read_id).transpose()?;
        let Field::Text(method) = self.method else {
            return match self.method {
                // An error may be about a request whose id was not understood.
                Field::Absent if self.answers == 1 && (self.is_error || self.id.is_some()) => Ok(Message {
                    kind: Kind::Response,
                    id: id.flatten(),
                    method: Cow::Borrowed(""),
                    targets: Vec::new(),
                    protocol_version: None,
                }),
                Field::Absent => Err(MessageError::NoMessage),
                _ => Err(MessageError::Member("method")),
            };
        };
        if self.answers > 0 {
            return Err(MessageError::NoMessage);
        }
        let kind = match (self.id, id.flatten()) {
            (None, _) => Kind::Notification,
            (Some(_), Some(_)) => Kind::Request,
            // MCP base protocol, Requests: unlike in JSON-RPC, the id must not be null.
            (Some(_), None) => return Err(MessageError::Member("id")),
        };
        let method = plain(Field::Text(method), "method")?;
        let targets = match &*method {
            "tools/call" => vec![Target::Tool(plain(self.name, "params.name")?)],
            "prompts/get" => vec![Target::Prompt(plain(self.name, "params.name")?)],
            "resources/read" => vec![Target::Resource(plain(self.uri, "params.uri")?)],
            // Not of every revision: a server that does not know the method must be the one to say so.
            "resources/subscribe" | "resources/unsubscribe" => {
                optional(self.uri, "params.uri")?.map(Target::Resource).into_iter().collect()
            }
            "tasks/get" | "tasks/update" | "tasks/cancel" | "tasks/result" => {
                optional(self.task, "params.taskId")?.map(Target::Task).into_iter().collect()
            }
            // Which of the two counts is told by a third member; whoever sends both must be allowed both.
            "completion/complete" => match (self.reference.name, self.reference.uri) {
                (name, Field::Absent) => vec![Target::Prompt(plain(name, "params.ref.name")?)],
                (Field::Absent, uri) => vec![Target::Resource(plain(uri, "params.ref.uri")?)],
                (name, uri) => vec![
                    Target::Prompt(plain(name, "params.ref.name")?),
                    Target::Resource(plain(uri, "params.ref.uri")?),
                ],
            },
            "subscriptions/listen" if self.subscriptions.len() > MAX_SUBSCRIPTIONS => {
                return Err(MessageError::Subscriptions);
            }
            "subscriptions/listen" => {
                let each = self.subscriptions.into_iter();
                each.map(|uri| plain(uri, "params.notifications.resourceSubscriptions").map(Target::Resource))
                    .collect::<Result<_, _>>()?
            }
            _ => Vec::new(),
        };
        let protocol_version = optional(self.version, "params._meta.protocolVersion")?;
        Ok(Message { kind, id: id.flatten(), method, targets, protocol_version })
    }
}

/// A text without control characters: servers and logs cut names at a NUL.
fn plain<'b>(field: Field<'b>, member: &'static str) -> Result<Cow<'b, str>, MessageError> {
    match field {
        Field::Text(text) if text.chars().any(char::is_control) => Err(MessageError::Control(member)),
        Field::Text(text) => Ok(text),
        Field::Absent | Field::Other => Err(MessageError::Member(member)),
    }
}

fn optional<'b>(field: Field<'b>, member: &'static str) -> Result<Option<Cow<'b, str>>, MessageError> {
    if matches!(field, Field::Absent) { Ok(None) } else { plain(field, member).map(Some) }
}

/// The id of the one request that a body seems to be, although [`read`] refused it: its sender waits for an answer.
pub(crate) fn id(body: &[u8]) -> Option<&str> {
    let mut reader = Reader { odd: None };
    let draft = json::document(body, |scanner| reader.draft(scanner)).ok()?;
    let is_request = matches!(draft.method, Field::Text(_)) && draft.answers == 0;
    read_id(draft.id.filter(|_| is_request)?).ok()?
}

/// A text or a number as JSON; `None` for `null`.
fn read_id(id: &[u8]) -> Result<Option<&str>, MessageError> {
    let error = MessageError::Member("id");
    match id.first() {
        Some(b'"' | b'-' | b'0'..=b'9') if id.len() <= MAX_ID_BYTES => str::from_utf8(id).map(Some).map_err(|_| error),
        Some(b'n') => Ok(None),
        _ => Err(error),
    }
}
