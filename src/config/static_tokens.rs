//! `static_tokens` of a resource. No finding repeats a hash, which may be the token itself by mistake.

use alloc::{string::String, vec::Vec};

use super::{
    reader::{At, Findings},
    required_text,
    scopes::read_scope_list,
};
use crate::{digest, static_token::Entry, time::UnixTime};

/// Each is compared with each token that no issuer answers for.
const MAX_STATIC_TOKENS: usize = 256;

const MAX_NAME_BYTES: usize = 64;

pub(super) fn read_static_tokens(at: &At<'_>, findings: &mut Findings) -> Vec<Entry> {
    let items = findings.items(at);
    if items.len() > MAX_STATIC_TOKENS {
        findings.add(&at.path, alloc::format!("has `{}` entries, more than {MAX_STATIC_TOKENS}", items.len()));
        return Vec::new();
    }
    let mut entries: Vec<Entry> = Vec::new();
    for at in &items {
        let Some(entry) = read_entry(at, findings) else { continue };
        if entries.iter().any(|other| other.name == entry.name) {
            findings.add(&at.path, alloc::format!("`{}` is listed twice", entry.name));
        }
        if let Some(other) = entries.iter().find(|other| other.digest == entry.digest) {
            findings.add(&at.path, alloc::format!("`{}` has the same token as `{}`", entry.name, other.name));
        }
        entries.push(entry);
    }
    entries
}

fn read_entry(at: &At<'_>, findings: &mut Findings) -> Option<Entry> {
    let members = findings.object(at, &["name", "sha256", "scopes", "expires"])?;
    let name = members.get("name");
    let name = if name.is_some() {
        name.and_then(|at| findings.parsed(&at, parse_name))
    } else {
        findings.add(&members.place("name"), "is missing");
        None
    };
    let digest = required_text(&members, "sha256", findings).and_then(|text| {
        let digest = digest::from_hex(text.as_bytes());
        if digest.is_none() {
            findings.add(&members.place("sha256"), "is no SHA-256 in 64 lower-case hexadecimal digits");
        }
        digest
    });
    let scopes = members.get("scopes");
    if scopes.is_none() {
        findings.add(&members.place("scopes"), "is missing: a list, which may be empty");
    }
    let scopes = scopes.map(|at| read_scope_list(&at, findings));
    let expires = members.get("expires");
    if expires.is_none() {
        findings.add(&members.place("expires"), "is missing: a date, or `never`");
    }
    let expires_at = expires.and_then(|at| findings.parsed(&at, parse_expires));
    Some(Entry { name: name?, digest: digest?, scopes: scopes?, expires_at: expires_at? })
}

/// What needs no encoding anywhere.
fn parse_name(text: &str) -> Result<String, &'static str> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match () {
        () if !text.bytes().all(legal) => Err("is no name of letters, digits, `.`, `_` and `-`"),
        () if text.len() > MAX_NAME_BYTES => Err("is a name of more than 64 characters"),
        () => Ok(text.into()),
    }
}

/// `Ok(None)` for a token that never expires. Whether a date has passed is not for a configuration to say: it would load in
/// one VM and not in the next.
fn parse_expires(text: &str) -> Result<Option<UnixTime>, &'static str> {
    if text == "never" {
        return Ok(None);
    }
    UnixTime::parse(text).map(Some).ok_or("is neither `never` nor a date in UTC such as 2027-01-31T12:00:00Z")
}
