//! Request and remote values as an operator may see them.

use core::fmt;

/// Prints at most 80 characters, with everything outside visible ASCII, and the backtick that quotes it, replaced by
/// `?`: a log line stays one line, whoever chose the value.
#[derive(Clone, Copy)]
pub struct Shown<'a>(pub &'a str);

/// A URI without its user information and its query, which may be secrets.
#[derive(Clone, Copy)]
pub struct ShownUri<'a>(pub &'a str);

impl fmt::Display for ShownUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        if let Some((scheme, after)) = rest.split_once(':') {
            // A password may have any character in it, so it ends at the last `@`; unless that is the query's.
            if let Some((user, host)) = after.rsplit_once('@') {
                write!(f, "{}:...@", Shown(scheme))?;
                rest = if user.contains('?') { "..." } else { host };
            }
            if let Some((uri, _)) = rest.split_once('?') {
                return write!(f, "{}?...", Shown(uri));
            }
        }
        Shown(rest).fmt(f)
    }
}

/// A URI that was read already, whole but for its query, which may be a secret.
#[derive(Clone, Copy)]
pub(crate) struct WithoutQuery<'a>(pub(crate) &'a str);

impl fmt::Display for WithoutQuery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once('?') {
            Some((uri, _)) => write!(f, "{uri}?..."),
            None => f.write_str(self.0),
        }
    }
}

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
