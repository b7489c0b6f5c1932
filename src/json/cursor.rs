//! A place in a JSON text, and the steps from it over what has no parts: white space, texts, numbers, words.
//!
//! It is copied, not borrowed: whoever reads much copies it out of the scanner and back, so that it stays in registers.

use super::{scanner::Fault, text::Text};

#[derive(Clone, Copy)]
pub(super) struct Cursor<'j> {
    text: &'j [u8],
    at: usize,
}

impl<'j> Cursor<'j> {
    pub(super) const fn new(text: &'j [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// How many bytes were read.
    pub(super) const fn at(self) -> usize {
        self.at
    }

    /// What stands between an earlier place and this one.
    pub(super) fn since(self, start: usize) -> Result<&'j [u8], Fault> {
        self.text.get(start..self.at).ok_or(Fault::Syntax)
    }

    /// Goes back to the quote before a text that was read.
    pub(super) fn go_back_to(&mut self, text: Text<'j>) {
        // A part of the text begins as far behind its start as their addresses differ.
        let start = text.written.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
        self.at = start.saturating_sub(1);
    }

    /// The byte here; at the end NUL, which no JSON text has outside an escape.
    #[inline(always)]
    pub(super) fn byte(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    /// Whether all was read.
    pub(super) const fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    /// The byte behind white space.
    #[inline(always)]
    pub(super) fn token(&mut self) -> u8 {
        let mut byte = self.byte();
        // Most values follow without any.
        while byte <= b' ' && matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            self.step(1);
            byte = self.byte();
        }
        byte
    }

    #[inline(always)]
    pub(super) fn step(&mut self, bytes: usize) {
        // At most the text's length: every step follows a look at what it steps over.
        self.at = self.at.wrapping_add(bytes);
    }

    /// Reads a text, of which this must be the quote.
    #[inline(always)]
    pub(super) fn text(&mut self) -> Result<Text<'j>, Fault> {
        if self.byte() != b'"' {
            return Err(Fault::Syntax);
        }
        self.step(1);
        let start = self.at;
        let mut escaped = false;
        // Names and most texts end within a few bytes; it takes longer ones to make sixteen at a time pay.
        self.skip_plain_until(start.wrapping_add(12));
        loop {
            match self.byte() {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.apart(Self::escape)?;
                }
                0x80.. => self.apart(Self::not_ascii)?,
                0..0x20 => return Err(Fault::Syntax),
                _ => self.skip_plain(),
            }
        }
        let written = self.since(start)?;
        self.step(1);
        Ok(Text { written, escaped })
    }

    #[inline(always)]
    pub(super) fn word(&mut self, word: &[u8]) -> Result<(), Fault> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return Err(Fault::Syntax);
        }
        self.step(word.len());
        Ok(())
    }

    #[inline(always)]
    pub(super) fn number(&mut self) -> Result<(), Fault> {
        if self.byte() == b'-' {
            self.step(1);
        }
        if self.byte() == b'0' {
            self.step(1);
        } else {
            self.digits()?;
        }
        if let b'.' | b'e' | b'E' = self.byte() {
            return self.apart(Self::fraction);
        }
        Ok(())
    }

    /// Reads what is seldom there with a copy, so that this cursor stays in registers.
    #[inline(always)]
    fn apart(&mut self, read: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut copy = *self;
        let outcome = read(&mut copy);
        self.at = copy.at;
        outcome
    }

    #[inline(never)]
    fn fraction(&mut self) -> Result<(), Fault> {
        if self.byte() == b'.' {
            self.step(1);
            self.digits()?;
        }
        if let b'e' | b'E' = self.byte() {
            self.step(1);
            if let b'+' | b'-' = self.byte() {
                self.step(1);
            }
            self.digits()?;
        }
        Ok(())
    }

    #[inline(always)]
    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.byte().is_ascii_digit() {
            self.step(1);
        }
        if self.at == start { Err(Fault::Syntax) } else { Ok(()) }
    }

    /// Steps over bytes that stand for themselves in a text, sixteen at a time: nearly all bytes of a request are such.
    #[inline(always)]
    fn skip_plain(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let (chunks, _) = rest.as_chunks::<16>();
        for chunk in chunks {
            let word = u128::from_le_bytes(*chunk);
            #[expect(clippy::cast_possible_truncation, reason = "both halves are looked at")]
            let (low, high) = (special_bytes(word as u64), special_bytes((word >> 64) as u64));
            if low | high != 0 {
                break;
            }
            self.step(16);
        }
        // The rest of the text, or of the body.
        self.skip_plain_until(self.text.len());
    }

    #[inline(always)]
    fn skip_plain_until(&mut self, end: usize) {
        let rest = self.text.get(self.at..end.min(self.text.len())).unwrap_or_default();
        let plain = rest.iter().position(|byte| PLAIN.get(usize::from(*byte)) != Some(&true));
        self.step(plain.unwrap_or(rest.len()));
    }

    /// `\"`, `\n` and so on, or `\u` with four digits; both halves of a surrogate pair, or none.
    #[inline(never)]
    fn escape(&mut self) -> Result<(), Fault> {
        self.step(1);
        let escape = self.byte();
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
    #[inline(never)]
    fn not_ascii(&mut self) -> Result<(), Fault> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let run = rest.split(u8::is_ascii).next().unwrap_or_default();
        str::from_utf8(run).map_err(|_| Fault::Syntax)?;
        self.step(run.len());
        Ok(())
    }
}

/// Whether a byte stands for itself in a text and is ASCII.
const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x20;
    while byte < 0x80 {
        #[expect(clippy::indexing_slicing, reason = "below 128 of 256 entries, and this runs in the compiler")]
        let entry = &mut table[byte];
        *entry = byte != b'"' as usize && byte != b'\\' as usize;
        byte = byte.wrapping_add(1);
    }
    table
};

/// Not 0 if one of the bytes ends a plain run: a quote, a backslash, a control byte, one outside ASCII. Which one cannot be
/// told from it, because a subtraction borrows from the byte above.
#[inline(always)]
const fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let below_space = word.wrapping_sub(ONES.wrapping_mul(0x20));
    let quote = (word ^ ONES.wrapping_mul(b'"' as u64)).wrapping_sub(ONES);
    let backslash = (word ^ ONES.wrapping_mul(b'\\' as u64)).wrapping_sub(ONES);
    (word | below_space | quote | backslash) & (ONES << 7)
}
