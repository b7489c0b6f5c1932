//! Lists in event streams (HTML standard, section 9.2, server-sent events), filtered event by event: a server may ask the
//! client for something in the middle and wait for the answer, or keep the stream open behind the list.

use core::fmt;

use alloc::vec::Vec;

use crate::{
    list_filter::{Changed, ListFilter, MAX_LIST_BYTES},
    policy::ResourcePolicy,
    response::ResponseGuard,
    waiting::Place,
};

/// A list in an event stream on its way to the client: takes what the upstream sends and gives what may be sent on.
///
/// It keeps at most [`MAX_LIST_BYTES`] of an event whose end has not come. An event that cannot be read becomes a JSON-RPC
/// error that answers the request, and nothing is shown after that.
pub struct ListEvents {
    guard: ResponseGuard,
    /// What has come of the event that has not ended.
    rest: Vec<u8>,
    /// The room for that; `None` when the client got an error instead of all that follows.
    place: Option<Place>,
    boundary: Boundary,
    /// No event has ended yet.
    is_first: bool,
}

/// Says nothing of what the upstream sent.
impl fmt::Debug for ListEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListEvents({} bytes are kept)", self.rest.len())
    }
}

impl ListEvents {
    /// `None` if the response is none that is filtered.
    pub(crate) fn new(guard: ResponseGuard) -> Option<Self> {
        let place = Some(guard.list()?.0.events().enter(0)?);
        Some(Self { guard, rest: Vec::new(), place, boundary: Boundary::default(), is_first: true })
    }

    /// What the client may see of the stream after this piece, which is the last one if it has `ended`: all events that are
    /// complete now. What the end of the stream cuts off counts as one, too.
    #[must_use]
    pub fn push(&mut self, mut piece: &[u8], ended: bool) -> Vec<u8> {
        let mut shown = Vec::with_capacity(piece.len());
        while let Some(end) = self.boundary.find(piece) {
            let (last, next) = piece.split_at_checked(end).unwrap_or((piece, &[]));
            piece = next;
            self.keep(last, &mut shown);
            self.show(&mut shown);
        }
        self.keep(piece, &mut shown);
        if ended {
            self.show(&mut shown);
        }
        let kept = self.rest.capacity();
        if self.place.as_mut().is_some_and(|place| !place.resize(kept)) {
            self.fail(&mut shown);
        }
        shown
    }

    /// What the client may see if the host cannot hand over what came.
    #[must_use]
    pub fn fail_now(&mut self) -> Vec<u8> {
        let mut shown = Vec::new();
        self.fail(&mut shown);
        shown
    }

    fn keep(&mut self, part: &[u8], shown: &mut Vec<u8>) {
        if self.rest.len().saturating_add(part.len()) > MAX_LIST_BYTES {
            self.fail(shown);
        }
        if self.place.is_some() {
            self.rest.extend_from_slice(part);
        }
    }

    /// Shows the event that is kept.
    fn show(&mut self, shown: &mut Vec<u8>) {
        // A byte order mark is not part of the first field's name.
        const MARK: &[u8] = b"\xef\xbb\xbf";
        let event = core::mem::take(&mut self.rest);
        let is_first = core::mem::replace(&mut self.is_first, false);
        let (mark, fields) = match event.strip_prefix(MARK) {
            Some(fields) if is_first => (MARK, fields),
            _ => (&[][..], &*event),
        };
        shown.extend_from_slice(mark);
        if !self.guard.list().is_some_and(|(list, resource)| show(fields, list, resource, shown)) {
            self.fail(shown);
        }
    }

    fn fail(&mut self, shown: &mut Vec<u8>) {
        if self.place.take().is_some() {
            self.rest = Vec::new();
            shown.extend_from_slice(b"event: message\ndata: ");
            shown.extend(self.guard.unreadable_list());
            shown.extend_from_slice(b"\n\n");
        }
    }
}

/// Shows what may be seen of one event; false, and nothing was shown, if it cannot be read.
fn show(event: &[u8], list: &ListFilter, resource: &ResourcePolicy, shown: &mut Vec<u8>) -> bool {
    let values: Vec<&[u8]> = lines(event).filter_map(|line| Some(Data::of(line)?.value)).collect();
    let data = values.join(&b"\n"[..]);
    // An event without data primes a client for resumption.
    let changes = if data.is_empty() { Ok(Vec::new()) } else { list.changes(&data, resource) };
    let Ok(changes) = changes else { return false };
    if changes.is_empty() {
        shown.extend_from_slice(event);
        return true;
    }
    let mut changed = Changed::new(&data, &changes);
    let (mut at, mut first, mut text) = (0_usize, None, Vec::new());
    for line in lines(event) {
        let Some(Data { prefix, value, end }) = Data::of(line) else {
            shown.extend_from_slice(line);
            continue;
        };
        let prefix: &[u8] = first.get_or_insert(prefix);
        let behind = at.saturating_add(value.len());
        // Where a line end is hidden, two lines become one, with the beginning of the first and the end of the second. What
        // is hidden begins at some other byte of the data, so the first one has a value, and a colon before it.
        if !changed.copy(at..behind, &mut text) {
            shown.extend_from_slice(prefix);
            shown.append(&mut text);
            shown.extend_from_slice(end);
            first = None;
        }
        at = behind.saturating_add(1);
    }
    true
}

/// A line of data.
struct Data<'l> {
    /// The name and what separates it from the value.
    prefix: &'l [u8],
    value: &'l [u8],
    /// CR LF, LF or CR; nothing at the end of the stream.
    end: &'l [u8],
}

impl<'l> Data<'l> {
    fn of(line: &'l [u8]) -> Option<Self> {
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        let end = line.get(content.len()..)?;
        let value = match content.strip_prefix(b"data")? {
            [] => &[],
            [b':', b' ', value @ ..] | [b':', value @ ..] => value,
            _ => return None,
        };
        let prefix = content.get(..content.len().checked_sub(value.len())?)?;
        Some(Self { prefix, value, end })
    }
}

/// Lines with their ends.
fn lines(mut stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    core::iter::from_fn(move || {
        if stream.is_empty() {
            return None;
        }
        let end = stream.iter().position(|byte| is_line_end(*byte)).unwrap_or(stream.len());
        let rest = stream.get(end..).unwrap_or_default();
        let len = if rest.starts_with(b"\r\n") { 2 } else { rest.len().min(1) };
        let (line, rest) = stream.split_at_checked(end.saturating_add(len))?;
        stream = rest;
        Some(line)
    })
}

const fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Finds where events end, at empty lines, in pieces that are cut anywhere. Counts as an event of its own whatever clients or
/// what lies before them may wait for: a comment between events, by which servers keep a stream open, and a LF behind a CR.
#[derive(Default)]
struct Boundary {
    /// The event that goes on has a byte.
    has_begun: bool,
    /// So has its last line.
    has_line: bool,
    /// So far it is one line, a comment.
    is_comment: bool,
    /// The byte before was a CR, to whose line a LF still belongs.
    is_after_cr: bool,
}

impl Boundary {
    /// Where the event that goes on ends in this piece, which counts as read up to there.
    fn find(&mut self, piece: &[u8]) -> Option<usize> {
        let mut rest = piece.iter();
        while let Some(others) = rest.clone().position(|byte| is_line_end(*byte)) {
            self.skip(rest.as_slice().get(..others)?);
            let byte = *rest.nth(others)?;
            let is_second = self.is_after_cr && byte == b'\n';
            let ends = if is_second { !self.has_begun } else { self.is_comment || !self.has_line };
            *self = Self { has_begun: !ends, has_line: false, is_comment: false, is_after_cr: byte == b'\r' };
            if ends {
                return piece.len().checked_sub(rest.len());
            }
        }
        self.skip(rest.as_slice());
        None
    }

    /// Bytes that end no line.
    fn skip(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first() {
            let is_comment = if self.has_begun { self.is_comment } else { *first == b':' };
            *self = Self { has_begun: true, has_line: true, is_comment, is_after_cr: false };
        }
    }
}
