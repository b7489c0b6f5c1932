//! Texts in JSON (RFC 8259 section 7): as they are written, and what they say.

use alloc::{borrow::Cow, string::String};

/// A text as it is written, without its quotes. Its escapes were checked.
#[derive(Clone, Copy)]
pub(crate) struct Text<'j> {
    /// UTF-8.
    pub(super) written: &'j [u8],
    pub(super) escaped: bool,
}

impl<'j> Text<'j> {
    /// Whether both say the same, however they are written.
    #[inline(always)]
    pub(super) fn is(self, other: Self) -> bool {
        if self.escaped || other.escaped {
            return self.decode() == other.decode();
        }
        // The first byte tells most names apart without a call.
        self.written.first() == other.written.first() && self.written == other.written
    }

    pub(super) fn bytes(self) -> Cow<'j, [u8]> {
        if self.escaped {
            return Cow::Owned(self.decode().into_owned().into_bytes());
        }
        Cow::Borrowed(self.written)
    }

    /// What it says.
    pub(crate) fn decode(self) -> Cow<'j, str> {
        let written = str::from_utf8(self.written).unwrap_or_default();
        if !self.escaped {
            return Cow::Borrowed(written);
        }
        let mut decoded = String::with_capacity(written.len());
        let mut rest = written;
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
