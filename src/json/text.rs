//! Texts in JSON (RFC 8259 section 7): as they are written, and what they say.

use core::cmp::Ordering;

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
            return self.cmp(other) == Ordering::Equal;
        }
        // The first byte tells most names apart without a call.
        self.written.first() == other.written.first() && self.written == other.written
    }

    /// The order of what they say, however they are written.
    #[cold]
    pub(super) fn cmp(self, other: Self) -> Ordering {
        self.chars().cmp(other.chars())
    }

    /// A number that is the same for all that say the same (FNV-1a over code points); others may have it too.
    pub(super) fn digest(self) -> u64 {
        let add = |digest: u64, letter| (digest ^ u64::from(u32::from(letter))).wrapping_mul(0x0100_0000_01B3);
        self.chars().fold(0xCBF2_9CE4_8422_2325, add)
    }

    fn chars(self) -> impl Iterator<Item = char> {
        let mut rest = str::from_utf8(self.written).unwrap_or_default().chars();
        core::iter::from_fn(move || match rest.next()? {
            '\\' => decode_escape(&mut rest),
            itself => Some(itself),
        })
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
            decoded.extend(decode_escape(&mut chars));
            rest = chars.as_str();
        }
        decoded.push_str(rest);
        Cow::Owned(decoded)
    }
}

/// The character that follows a backslash.
fn decode_escape(chars: &mut core::str::Chars<'_>) -> Option<char> {
    match chars.next() {
        Some('u') => decode_unit(chars),
        Some('b') => Some('\u{8}'),
        Some('f') => Some('\u{c}'),
        Some('n') => Some('\n'),
        Some('r') => Some('\r'),
        Some('t') => Some('\t'),
        itself => itself,
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
