//! The token that is presented, and in which scheme.

use std::io::Read as _;

use crate::{Misuse, arguments::Explain};

/// Four times what the core takes: one that is too long is for the core to refuse, and whatever is longer is no token.
const MAX_INPUT_BYTES: u64 = 64 * 1024;

const SCHEMES: [&str; 2] = ["Bearer", "DPoP"];

/// A token and its scheme.
pub(super) struct Presented {
    pub(super) scheme: &'static str,
    pub(super) token: String,
}

pub(super) fn read(options: &Explain) -> Result<Option<Presented>, Misuse> {
    let named = |name: &str| SCHEMES.into_iter().find(|scheme| scheme.eq_ignore_ascii_case(name));
    let scheme = match options.scheme.as_deref() {
        None => None,
        Some(name) => Some(named(name).ok_or_else(|| Misuse::new("an unknown --scheme", "write Bearer or DPoP"))?),
    };
    let given = match options.token.as_deref() {
        None if scheme.is_some() => {
            return Err(Misuse::new("--scheme without --token: nothing is presented in it", "add --token"));
        }
        None => return Ok(None),
        Some("-") => from_standard_input()?,
        Some(given) => given.to_owned(),
    };
    // The value of the header is what people copy.
    let given = given.trim();
    let (first, rest) = given.split_once(char::is_whitespace).unwrap_or((given, ""));
    let (copied, token) = match named(first) {
        Some(scheme) => (Some(scheme), rest.trim_start()),
        None => (None, given),
    };
    if token.is_empty() {
        return Err(Misuse::new("the token is empty", "give the token, or leave out --token"));
    }
    let scheme = scheme.or(copied).unwrap_or("Bearer");
    Ok(Some(Presented { scheme, token: token.to_owned() }))
}

fn from_standard_input() -> Result<String, Misuse> {
    let mut text = String::new();
    let read = std::io::stdin().take(MAX_INPUT_BYTES.saturating_add(1)).read_to_string(&mut text);
    read.map_err(|_| Misuse::new("standard input is no text", "give it the token and nothing else"))?;
    if u64::try_from(text.len()).map_or(true, |size| size > MAX_INPUT_BYTES) {
        let what = format!("standard input is longer than {} KiB, and so is no token", MAX_INPUT_BYTES / 1024);
        return Err(Misuse::new(what, "give it the token and nothing else"));
    }
    Ok(text)
}
