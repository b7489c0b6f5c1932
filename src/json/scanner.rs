//! One pass over a JSON text (RFC 8259) that checks everything and builds nothing.
//!
//! It refuses what readers read in different ways: two members of one name in an object at any depth, however they are
//! escaped; half a surrogate pair; a byte order mark; anything after the value; more than [`MAX_DEPTH`] levels or
//! [`MAX_NAMES`] names at a time.

use alloc::{string::String, vec::Vec};

use super::{
    cursor::Cursor,
    names::{FEW_NAMES, MAX_NAMES, find_same},
    text::Text,
};

/// As many objects and arrays may be open at a time. Real requests and documents have fewer than twenty; each level
/// costs a stack frame here and in every reader behind.
pub(crate) const MAX_DEPTH: usize = 127;

/// Why the text is refused; [`Scanner::at`] tells where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Syntax,
    /// Two members of one object have the name that [`Scanner::duplicate`] tells.
    Duplicate,
    /// There are more than [`MAX_NAMES`].
    Names,
}

pub(crate) struct Scanner<'j> {
    cursor: Cursor<'j>,
    /// The innermost of what is open: for an object where its names begin, for an array [`ARRAY`].
    inner: usize,
    /// What is open around it.
    outer: Vec<usize>,
    /// The names of all open objects.
    names: Vec<Text<'j>>,
    duplicate: Option<Text<'j>>,
}

const ARRAY: usize = usize::MAX;

impl<'j> Scanner<'j> {
    pub(crate) const fn new(text: &'j [u8]) -> Self {
        Self { cursor: Cursor::new(text), inner: ARRAY, outer: Vec::new(), names: Vec::new(), duplicate: None }
    }

    /// How many bytes were read; after [`Fault::Duplicate`], how many stand before the second of the two names.
    pub(crate) const fn at(&self) -> usize {
        self.cursor.at()
    }

    /// The name behind [`Fault::Duplicate`].
    pub(crate) fn duplicate(self) -> Option<String> {
        self.duplicate.map(|name| name.decode().into_owned())
    }

    /// The first byte of the value that comes next.
    pub(crate) fn peek(&mut self) -> Result<u8, Fault> {
        match self.cursor.token() {
            0 => Err(Fault::Syntax),
            byte => Ok(byte),
        }
    }

    /// Reads an object. `read` is given the name of each member and must read its value.
    pub(crate) fn members(
        &mut self,
        mut read: impl FnMut(&mut Self, Text<'j>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if self.cursor.byte() != b'{' {
            return Err(Fault::Syntax);
        }
        let mut more = self.with_cursor(Self::open_object)?;
        while more {
            let name = self.with_cursor(Self::name)?;
            read(self, name)?;
            more = self.with_cursor(|scanner, cursor| scanner.next(cursor, b'}'))?;
        }
        Ok(())
    }

    /// Reads an array. `read` must read one item.
    pub(crate) fn items(&mut self, mut read: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        if self.cursor.byte() != b'[' {
            return Err(Fault::Syntax);
        }
        let mut more = self.with_cursor(Self::open_array)?;
        while more {
            self.cursor.token();
            read(self)?;
            more = self.with_cursor(|scanner, cursor| scanner.next(cursor, b']'))?;
        }
        Ok(())
    }

    /// Reads a value of any kind, and returns it as it is written.
    pub(crate) fn value(&mut self) -> Result<&'j [u8], Fault> {
        self.cursor.token();
        self.spanned(Self::skip)
    }

    /// What `read` reads, as it is written.
    pub(crate) fn spanned(&mut self, read: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<&'j [u8], Fault> {
        let start = self.at();
        read(self)?;
        self.cursor.since(start)
    }

    /// Reads a text.
    pub(crate) fn text(&mut self) -> Result<Text<'j>, Fault> {
        self.with_cursor(|_, cursor| cursor.text())
    }

    /// Nothing may follow but whitespace.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        self.cursor.token();
        if self.cursor.is_at_end() { Ok(()) } else { Err(Fault::Syntax) }
    }

    /// Reads a value of any kind.
    pub(crate) fn skip(&mut self) -> Result<(), Fault> {
        self.with_cursor(Self::skip_at)
    }

    /// Reads with a cursor of its own, and goes where it ended, also when it failed.
    #[inline(always)]
    fn with_cursor<T>(
        &mut self,
        read: impl FnOnce(&mut Self, &mut Cursor<'j>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut cursor = self.cursor;
        let outcome = read(self, &mut cursor);
        self.cursor = cursor;
        outcome
    }

    /// A loop, because this is where nearly all of a large body goes through.
    #[inline(always)]
    fn skip_at(&mut self, cursor: &mut Cursor<'j>) -> Result<(), Fault> {
        let outside = self.outer.len();
        loop {
            match cursor.token() {
                b'"' => cursor.text().map(|_| ())?,
                b'{' => {
                    if self.open_object(cursor)? {
                        self.name(cursor)?;
                        continue;
                    }
                }
                b'[' => {
                    if self.open_array(cursor)? {
                        continue;
                    }
                }
                b't' => cursor.word(b"true")?,
                b'f' => cursor.word(b"false")?,
                b'n' => cursor.word(b"null")?,
                _ => cursor.number()?,
            }
            loop {
                if self.outer.len() == outside {
                    return Ok(());
                }
                let is_array = self.inner == ARRAY;
                if self.next(cursor, if is_array { b']' } else { b'}' })? {
                    if !is_array {
                        self.name(cursor)?;
                    }
                    break;
                }
            }
        }
    }

    /// Reads a name and its colon.
    #[inline(always)]
    fn name(&mut self, cursor: &mut Cursor<'j>) -> Result<Text<'j>, Fault> {
        cursor.token();
        let name = cursor.text()?;
        let few = self.names.get(self.inner..).unwrap_or_default();
        if few.len() < FEW_NAMES && few.iter().any(|other| other.is(name)) {
            return Err(self.found_duplicate(cursor, name));
        }
        if self.names.len() == self.names.capacity() {
            self.grow_names()?;
        }
        self.names.push(name);
        if cursor.token() != b':' {
            return Err(Fault::Syntax);
        }
        cursor.step(1);
        Ok(name)
    }

    /// Steps into an object; false if it is empty, and left already.
    #[inline(always)]
    fn open_object(&mut self, cursor: &mut Cursor<'j>) -> Result<bool, Fault> {
        self.enter(cursor, self.names.len())?;
        if cursor.token() != b'}' {
            return Ok(true);
        }
        self.leave(cursor).map(|()| false)
    }

    #[inline(always)]
    fn open_array(&mut self, cursor: &mut Cursor<'j>) -> Result<bool, Fault> {
        self.enter(cursor, ARRAY)?;
        if cursor.token() != b']' {
            return Ok(true);
        }
        self.leave(cursor).map(|()| false)
    }

    #[inline(always)]
    fn enter(&mut self, cursor: &mut Cursor<'j>, what: usize) -> Result<(), Fault> {
        if self.outer.len() >= MAX_DEPTH {
            return Err(Fault::Syntax);
        }
        cursor.step(1);
        self.outer.push(self.inner);
        self.inner = what;
        Ok(())
    }

    /// Steps over a comma, or out of the object or array that `bracket` ends; false in the latter case.
    #[inline(always)]
    fn next(&mut self, cursor: &mut Cursor<'j>, bracket: u8) -> Result<bool, Fault> {
        match cursor.token() {
            b',' => {
                cursor.step(1);
                Ok(true)
            }
            byte if byte == bracket => self.leave(cursor).map(|()| false),
            _ => Err(Fault::Syntax),
        }
    }

    #[inline(always)]
    fn leave(&mut self, cursor: &mut Cursor<'j>) -> Result<(), Fault> {
        cursor.step(1);
        if self.inner != ARRAY {
            if self.names.len().saturating_sub(self.inner) > FEW_NAMES
                && let Some(name) = find_same(self.names.get(self.inner..).unwrap_or_default())
            {
                return Err(self.found_duplicate(cursor, name));
            }
            self.names.truncate(self.inner);
        }
        self.inner = self.outer.pop().unwrap_or(ARRAY);
        Ok(())
    }

    /// The bound is looked at where it costs nothing: when memory is asked for.
    #[cold]
    fn grow_names(&mut self) -> Result<(), Fault> {
        let names = self.names.len();
        if names >= MAX_NAMES {
            return Err(Fault::Names);
        }
        self.names.reserve_exact(names.max(16).min(MAX_NAMES.saturating_sub(names)));
        Ok(())
    }

    #[cold]
    fn found_duplicate(&mut self, cursor: &mut Cursor<'j>, name: Text<'j>) -> Fault {
        cursor.go_back_to(name);
        self.duplicate = Some(name);
        Fault::Duplicate
    }
}
