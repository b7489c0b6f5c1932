//! One pass over a JSON text (RFC 8259) that checks everything and builds nothing.
//!
//! It refuses what readers read in different ways: two members of one name in an object at any depth, however they are
//! escaped; half a surrogate pair; a byte order mark; anything after the value; more than [`MAX_DEPTH`] levels or
//! [`MAX_NAMES`] names at a time.

use alloc::{string::String, vec::Vec};

use super::{
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
    text: &'j [u8],
    at: usize,
    /// What is open, the innermost last: for an object where its names begin, for an array [`ARRAY`].
    open: Vec<usize>,
    /// The names of all open objects.
    names: Vec<Text<'j>>,
    duplicate: Option<Text<'j>>,
}

const ARRAY: usize = usize::MAX;

impl<'j> Scanner<'j> {
    pub(crate) const fn new(text: &'j [u8]) -> Self {
        Self { text, at: 0, open: Vec::new(), names: Vec::new(), duplicate: None }
    }

    /// How many bytes were read; after [`Fault::Duplicate`], how many stand before the second of the two names.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// The name behind [`Fault::Duplicate`].
    pub(crate) fn duplicate(self) -> Option<String> {
        self.duplicate.map(|name| name.decode().into_owned())
    }

    /// The first byte of the value that comes next.
    pub(crate) fn peek(&mut self) -> Result<u8, Fault> {
        self.skip_whitespace();
        self.byte().ok_or(Fault::Syntax)
    }

    /// Reads an object. `read` is given the name of each member and must read its value.
    pub(crate) fn members(
        &mut self,
        mut read: impl FnMut(&mut Self, Text<'j>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if self.byte() != Some(b'{') {
            return Err(Fault::Syntax);
        }
        let mut more = self.open_object()?;
        while more {
            let name = self.name()?;
            read(self, name)?;
            more = self.next(b'}')?;
        }
        Ok(())
    }

    /// Reads an array. `read` must read one item.
    pub(crate) fn items(&mut self, mut read: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        if self.byte() != Some(b'[') {
            return Err(Fault::Syntax);
        }
        let mut more = self.open_array()?;
        while more {
            self.skip_whitespace();
            read(self)?;
            more = self.next(b']')?;
        }
        Ok(())
    }

    /// Reads a value of any kind, and returns it as it is written.
    pub(crate) fn value(&mut self) -> Result<&'j [u8], Fault> {
        self.skip_whitespace();
        self.spanned(Self::skip)
    }

    /// Reads a value of any kind. A loop, because this is where nearly all of a large body goes through.
    pub(crate) fn skip(&mut self) -> Result<(), Fault> {
        let outside = self.open.len();
        loop {
            self.skip_whitespace();
            match self.byte().ok_or(Fault::Syntax)? {
                b'"' => self.text().map(|_| ())?,
                b'{' => {
                    if self.open_object()? {
                        self.name()?;
                        continue;
                    }
                }
                b'[' => {
                    if self.open_array()? {
                        continue;
                    }
                }
                b't' => self.word(b"true")?,
                b'f' => self.word(b"false")?,
                b'n' => self.word(b"null")?,
                _ => self.number()?,
            }
            loop {
                if self.open.len() == outside {
                    return Ok(());
                }
                let is_array = self.open.last() == Some(&ARRAY);
                if self.next(if is_array { b']' } else { b'}' })? {
                    if !is_array {
                        self.name()?;
                    }
                    break;
                }
            }
        }
    }

    /// What `read` reads, as it is written.
    pub(crate) fn spanned(&mut self, read: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<&'j [u8], Fault> {
        let start = self.at;
        read(self)?;
        self.text.get(start..self.at).ok_or(Fault::Syntax)
    }

    /// Reads a text.
    #[inline(always)]
    pub(crate) fn text(&mut self) -> Result<Text<'j>, Fault> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        // Names and most texts end within a few bytes; it takes longer ones to make eight at a time pay.
        let mut few = 0_usize;
        while few < 12 && self.byte().is_some_and(is_plain) {
            self.step(1);
            few = few.wrapping_add(1);
        }
        loop {
            match self.byte().ok_or(Fault::Syntax)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                0x80.. => self.not_ascii()?,
                0..0x20 => return Err(Fault::Syntax),
                _ => self.skip_plain(),
            }
        }
        let written = self.text.get(start..self.at).ok_or(Fault::Syntax)?;
        self.step(1);
        Ok(Text { written, escaped })
    }

    /// Nothing may follow but whitespace.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        self.skip_whitespace();
        if self.byte().is_none() { Ok(()) } else { Err(Fault::Syntax) }
    }

    /// Reads a name and its colon.
    #[inline(always)]
    fn name(&mut self) -> Result<Text<'j>, Fault> {
        self.skip_whitespace();
        let name = self.text()?;
        let first = self.open.last().copied().unwrap_or_default();
        let few = self.names.get(first..).unwrap_or_default();
        if few.len() < FEW_NAMES && few.iter().any(|other| other.is(name)) {
            return Err(self.found_duplicate(name));
        }
        if self.names.len() == self.names.capacity() {
            self.grow_names()?;
        }
        self.names.push(name);
        self.skip_whitespace();
        self.expect(b':')?;
        Ok(name)
    }

    /// Steps into an object; false if it is empty, and left already.
    fn open_object(&mut self) -> Result<bool, Fault> {
        self.enter(self.names.len())?;
        Ok(!self.leave_at(b'}')?)
    }

    fn open_array(&mut self) -> Result<bool, Fault> {
        self.enter(ARRAY)?;
        Ok(!self.leave_at(b']')?)
    }

    #[inline(always)]
    fn enter(&mut self, what: usize) -> Result<(), Fault> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Fault::Syntax);
        }
        self.step(1);
        self.open.push(what);
        Ok(())
    }

    /// Steps over a comma, or out of the object or array that `bracket` ends; false in the latter case.
    #[inline(always)]
    fn next(&mut self, bracket: u8) -> Result<bool, Fault> {
        if self.leave_at(bracket)? {
            return Ok(false);
        }
        self.expect(b',').map(|()| true)
    }

    #[inline(always)]
    fn leave_at(&mut self, bracket: u8) -> Result<bool, Fault> {
        self.skip_whitespace();
        if self.byte() != Some(bracket) {
            return Ok(false);
        }
        self.step(1);
        match self.open.pop() {
            None | Some(ARRAY) => {}
            Some(first) => {
                if self.names.len().saturating_sub(first) > FEW_NAMES {
                    self.compare_names(first)?;
                }
                self.names.truncate(first);
            }
        }
        Ok(true)
    }

    #[cold]
    fn compare_names(&mut self, first: usize) -> Result<(), Fault> {
        let same = find_same(self.names.get_mut(first..).unwrap_or_default());
        same.map_or(Ok(()), |name| Err(self.found_duplicate(name)))
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
    fn found_duplicate(&mut self, name: Text<'j>) -> Fault {
        // Where its quote is: a part of the text begins as far behind its start as their addresses differ.
        let start = name.written.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
        self.at = start.saturating_sub(1);
        self.duplicate = Some(name);
        Fault::Duplicate
    }

    #[inline(always)]
    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    #[inline(always)]
    fn step(&mut self, bytes: usize) {
        // At most the text's length: every step follows a look at what it steps over.
        self.at = self.at.wrapping_add(bytes);
    }

    #[inline(always)]
    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.byte() != Some(byte) {
            return Err(Fault::Syntax);
        }
        self.step(1);
        Ok(())
    }

    #[inline(always)]
    fn skip_whitespace(&mut self) {
        // Most values follow without any.
        while let Some(0..=b' ') = self.byte() {
            if !matches!(self.byte(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
                return;
            }
            self.step(1);
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Fault> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return Err(Fault::Syntax);
        }
        self.step(word.len());
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.byte() == Some(b'-') {
            self.step(1);
        }
        if self.byte() == Some(b'0') {
            self.step(1);
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.step(1);
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.step(1);
            if let Some(b'+' | b'-') = self.byte() {
                self.step(1);
            }
            self.digits()?;
        }
        Ok(())
    }

    #[inline(always)]
    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.step(1);
        }
        if self.at == start { Err(Fault::Syntax) } else { Ok(()) }
    }

    /// Steps over bytes that stand for themselves in a text, eight at a time: nearly all bytes of a request are such.
    #[inline(always)]
    fn skip_plain(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let (chunks, _) = rest.as_chunks::<8>();
        let mut plain = 0_usize;
        for chunk in chunks {
            let special = special_bytes(u64::from_le_bytes(*chunk));
            if special != 0 {
                // The lowest set bit is the first special byte, whose number is an eighth of the bit's.
                plain = plain.wrapping_add(usize::try_from(special.trailing_zeros() >> 3).unwrap_or_default());
                break;
            }
            plain = plain.wrapping_add(8);
        }
        self.step(plain);
        // What is left over at the end of the body.
        while self.byte().is_some_and(is_plain) {
            self.step(1);
        }
    }

    /// `\"`, `\n` and so on, or `\u` with four digits; both halves of a surrogate pair, or none.
    fn escape(&mut self) -> Result<(), Fault> {
        self.step(1);
        let escape = self.byte().ok_or(Fault::Syntax)?;
        self.step(1);
        match escape {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => match self.unit()? {
                0xD800..=0xDBFF => {
                    self.word(br"\u")?;
                    if matches!(self.unit()?, 0xDC00..=0xDFFF) { Ok(()) } else { Err(Fault::Syntax) }
                }
                0xDC00..=0xDFFF => Err(Fault::Syntax),
                _ => Ok(()),
            },
            _ => Err(Fault::Syntax),
        }
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Result<u32, Fault> {
        let digits = self.text.get(self.at..).and_then(<[u8]>::first_chunk::<4>).ok_or(Fault::Syntax)?;
        let unit = digits.iter().try_fold(0, |unit, digit| Some((unit << 4) | char::from(*digit).to_digit(16)?));
        self.step(4);
        unit.ok_or(Fault::Syntax)
    }

    /// A run of bytes outside ASCII, which must be UTF-8 in itself.
    fn not_ascii(&mut self) -> Result<(), Fault> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let run = rest.split(u8::is_ascii).next().unwrap_or_default();
        str::from_utf8(run).map_err(|_| Fault::Syntax)?;
        self.step(run.len());
        Ok(())
    }
}

#[inline(always)]
const fn is_plain(byte: u8) -> bool {
    byte < 0x80 && byte >= 0x20 && byte != b'"' && byte != b'\\'
}

/// The high bit of each byte that ends a plain run: a quote, a backslash, a control byte, one outside ASCII. Bits above
/// the lowest one may be wrong, because a subtraction borrows from the byte above.
#[inline(always)]
const fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let below_space = word.wrapping_sub(ONES.wrapping_mul(0x20));
    let quote = (word ^ ONES.wrapping_mul(b'"' as u64)).wrapping_sub(ONES);
    let backslash = (word ^ ONES.wrapping_mul(b'\\' as u64)).wrapping_sub(ONES);
    (word | below_space | quote | backslash) & (ONES << 7)
}
