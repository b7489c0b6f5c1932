//! One pass over a JSON text (RFC 8259) that checks everything and builds nothing.
//!
//! It refuses what readers read in different ways: two members of one name in an object at any depth, however they are
//! escaped; half a surrogate pair; a byte order mark; anything after the value; more than [`MAX_DEPTH`] levels.

use alloc::{borrow::Cow, collections::BTreeSet, string::String, vec::Vec};

/// As many objects and arrays may be open at a time. Real requests and documents have fewer than twenty; each level
/// costs a stack frame here and in every reader behind.
pub(crate) const MAX_DEPTH: usize = 127;

/// From this many members on, names are looked up in a tree: comparing each with each would cost the square.
const FEW_NAMES: usize = 24;

/// Why the text is refused; [`Scanner::at`] tells where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Syntax,
    /// Two members of one object have this name.
    Duplicate(String),
}

pub(crate) struct Scanner<'j> {
    text: &'j [u8],
    at: usize,
    depth: usize,
    /// The names of all open objects, so that one allocation serves them all.
    names: Vec<Cow<'j, str>>,
}

impl<'j> Scanner<'j> {
    pub(crate) const fn new(text: &'j [u8]) -> Self {
        Self { text, at: 0, depth: 0, names: Vec::new() }
    }

    /// How many bytes were read.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// The first byte of the value that comes next.
    pub(crate) fn peek(&mut self) -> Result<u8, Fault> {
        self.skip_whitespace();
        self.byte().ok_or(Fault::Syntax)
    }

    /// Reads an object. `read` is given the name of each member and must read its value.
    pub(crate) fn members(
        &mut self,
        mut read: impl FnMut(&mut Self, &Cow<'j, str>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let first_name = self.names.len();
        let mut many = BTreeSet::new();
        self.open(b'{')?;
        let mut ended = self.close_empty(b'}');
        while !ended {
            self.skip_whitespace();
            let name = self.text()?.decode();
            self.remember_name(name.clone(), first_name, &mut many)?;
            self.skip_whitespace();
            self.expect(b':')?;
            self.skip_whitespace();
            read(self, &name)?;
            ended = self.close_or_comma(b'}')?;
        }
        self.names.truncate(first_name);
        Ok(())
    }

    /// Reads an array. `read` must read one item.
    pub(crate) fn items(&mut self, mut read: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        self.open(b'[')?;
        let mut ended = self.close_empty(b']');
        while !ended {
            self.skip_whitespace();
            read(self)?;
            ended = self.close_or_comma(b']')?;
        }
        Ok(())
    }

    /// Reads a value of any kind, and returns it as it is written.
    pub(crate) fn value(&mut self) -> Result<&'j [u8], Fault> {
        self.skip_whitespace();
        let start = self.at;
        match self.byte().ok_or(Fault::Syntax)? {
            b'{' => self.members(|scanner, _| scanner.value().map(|_| ()))?,
            b'[' => self.items(|scanner| scanner.value().map(|_| ()))?,
            b'"' => self.text().map(|_| ())?,
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'n' => self.word(b"null")?,
            _ => self.number()?,
        }
        self.text.get(start..self.at).ok_or(Fault::Syntax)
    }

    /// What `read` reads, as it is written.
    pub(crate) fn spanned(&mut self, read: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<&'j [u8], Fault> {
        let start = self.at;
        read(self)?;
        self.text.get(start..self.at).ok_or(Fault::Syntax)
    }

    /// Reads a text.
    pub(crate) fn text(&mut self) -> Result<Text<'j>, Fault> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.skip_plain();
            match self.byte().ok_or(Fault::Syntax)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                0x80.. => self.not_ascii()?,
                0..0x20 => return Err(Fault::Syntax),
                _ => self.step(1),
            }
        }
        let written = self.text.get(start..self.at).and_then(|bytes| str::from_utf8(bytes).ok());
        self.step(1);
        Ok(Text { written: written.ok_or(Fault::Syntax)?, escaped })
    }

    /// Nothing may follow but whitespace.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        self.skip_whitespace();
        if self.byte().is_none() { Ok(()) } else { Err(Fault::Syntax) }
    }

    fn remember_name(
        &mut self,
        name: Cow<'j, str>,
        first: usize,
        many: &mut BTreeSet<Cow<'j, str>>,
    ) -> Result<(), Fault> {
        let few = self.names.get(first..).unwrap_or_default();
        if many.is_empty() && few.len() < FEW_NAMES {
            if few.contains(&name) {
                return Err(Fault::Duplicate(name.into_owned()));
            }
            self.names.push(name);
            return Ok(());
        }
        many.extend(self.names.drain(first..));
        if many.contains(&name) {
            return Err(Fault::Duplicate(name.into_owned()));
        }
        many.insert(name);
        Ok(())
    }

    fn open(&mut self, bracket: u8) -> Result<(), Fault> {
        if self.depth >= MAX_DEPTH {
            return Err(Fault::Syntax);
        }
        self.expect(bracket)?;
        self.depth = self.depth.saturating_add(1);
        Ok(())
    }

    fn close_empty(&mut self, bracket: u8) -> bool {
        self.skip_whitespace();
        self.close(bracket)
    }

    fn close_or_comma(&mut self, bracket: u8) -> Result<bool, Fault> {
        self.skip_whitespace();
        if self.close(bracket) { Ok(true) } else { self.expect(b',').map(|()| false) }
    }

    fn close(&mut self, bracket: u8) -> bool {
        let closes = self.byte() == Some(bracket);
        if closes {
            self.step(1);
            self.depth = self.depth.saturating_sub(1);
        }
        closes
    }

    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn step(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.byte() != Some(byte) {
            return Err(Fault::Syntax);
        }
        self.step(1);
        Ok(())
    }

    fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
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

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.step(1);
        }
        if self.at == start { Err(Fault::Syntax) } else { Ok(()) }
    }

    /// Steps over bytes that stand for themselves in a text, eight at a time: nearly all bytes of a request are such.
    fn skip_plain(&mut self) {
        while let Some(chunk) = self.text.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            let special = special_bytes(u64::from_le_bytes(*chunk));
            // The lowest set bit is the first special byte, whose number is an eighth of the bit's.
            let plain = special.trailing_zeros() >> 3;
            self.step(usize::try_from(plain).unwrap_or_default());
            if special != 0 {
                return;
            }
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

/// The high bit of each byte that ends a plain run: a quote, a backslash, a control byte, one outside ASCII. Bits above
/// the lowest one may be wrong.
const fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    const fn below(word: u64, least: u64) -> u64 {
        word.wrapping_sub(ONES.wrapping_mul(least)) & !word
    }
    const fn equal(word: u64, byte: u64) -> u64 {
        below(word ^ ONES.wrapping_mul(byte), 1)
    }
    (word | below(word, 0x20) | equal(word, b'"' as u64) | equal(word, b'\\' as u64)) & HIGHS
}

/// A text as it is written, without its quotes. Its escapes were checked.
#[derive(Clone, Copy)]
pub(crate) struct Text<'j> {
    written: &'j str,
    escaped: bool,
}

impl<'j> Text<'j> {
    /// What it says.
    pub(crate) fn decode(self) -> Cow<'j, str> {
        if !self.escaped {
            return Cow::Borrowed(self.written);
        }
        let mut decoded = String::with_capacity(self.written.len());
        let mut rest = self.written;
        while let Some((plain, escape)) = rest.split_once('\\') {
            decoded.push_str(plain);
            let mut chars = escape.chars();
            match chars.next() {
                Some('u') => decoded.extend(decode_unit(&mut chars)),
                Some('b') => decoded.push('\u{8}'),
                Some('f') => decoded.push('\u{c}'),
                Some('n') => decoded.push('\n'),
                Some('r') => decoded.push('\r'),
                Some('t') => decoded.push('\t'),
                itself => decoded.extend(itself),
            }
            rest = chars.as_str();
        }
        decoded.push_str(rest);
        Cow::Owned(decoded)
    }
}

/// The character of `\uXXXX`, or of a pair of them; both were checked.
fn decode_unit(chars: &mut core::str::Chars<'_>) -> Option<char> {
    let first = decode_hex(chars)?;
    if !matches!(first, 0xD800..=0xDBFF) {
        return char::from_u32(first);
    }
    // `\u` of the second half.
    chars.nth(1)?;
    let (high, low) = (first & 0x3FF, decode_hex(chars)? & 0x3FF);
    char::from_u32(((high << 10) | low).saturating_add(0x1_0000))
}

fn decode_hex(chars: &mut core::str::Chars<'_>) -> Option<u32> {
    chars.by_ref().take(4).try_fold(0, |unit, digit| Some((unit << 4) | digit.to_digit(16)?))
}
