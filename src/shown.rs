//! Request and remote values as an operator may see them.

use core::fmt;

/// Prints at most 80 characters, with everything outside visible ASCII, and the backtick that quotes it, replaced by
/// `?`: a log line stays one line, whoever chose the value.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

const MAX_SHOWN: usize = 80;

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for character in self.0.chars().take(MAX_SHOWN) {
            let plain = matches!(character, ' '..='~') && character != '`';
            f.write_char(if plain { character } else { '?' })?;
        }
        if self.0.chars().nth(MAX_SHOWN).is_some() { f.write_str("...") } else { Ok(()) }
    }
}
