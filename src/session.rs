//! Sessions that belong to whoever opened them, without any state here (MCP 2025-11-25, Session Management; Security Best
//! Practices, Session Hijacking).
//!
//! A client never sees the server's session id but a sealed one: the id, a dot, and an HMAC over the id, the resource and
//! the caller. Every replica with the key can check it. A stolen one is worth nothing with another caller's token.

use core::fmt;

use alloc::{string::String, vec::Vec};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// A key shorter than the digest weakens it (RFC 2104 section 3).
pub(crate) const MIN_KEY_BYTES: usize = 32;

/// More keys than a rotation needs.
pub(crate) const MAX_KEYS: usize = 4;

/// The keys of an operator: the first one seals, all of them open.
#[derive(Clone)]
pub(crate) struct SessionKeys(Vec<Vec<u8>>);

/// The keys are secret.
impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKeys(<{} keys>)", self.0.len())
    }
}

/// Why a text is no list of keys. It says nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeysError {
    /// There are none, or more than [`MAX_KEYS`].
    Count,
    /// One is not base64url without padding.
    Encoding,
    /// One has fewer than [`MIN_KEY_BYTES`].
    Short,
}

impl fmt::Display for KeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count => write!(f, "holds no key, or more than {MAX_KEYS} of them"),
            Self::Encoding => f.write_str("holds a key that is not base64url without padding"),
            Self::Short => write!(f, "holds a key of less than {MIN_KEY_BYTES} bytes"),
        }
    }
}

/// Whom and what a session belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner<'o> {
    pub(crate) resource: &'o str,
    pub(crate) issuer: &'o str,
    /// The `sub` of the caller, else its client; both are empty without a token.
    pub(crate) subject: &'o str,
    pub(crate) client: &'o str,
}

impl SessionKeys {
    /// Reads keys in base64url, separated by commas.
    pub(crate) fn parse(text: &str) -> Result<Self, KeysError> {
        let keys = text.split(',').map(|key| URL_SAFE_NO_PAD.decode(key.trim()));
        let keys: Vec<Vec<u8>> = keys.collect::<Result<_, _>>().map_err(|_| KeysError::Encoding)?;
        match () {
            () if text.trim().is_empty() || keys.len() > MAX_KEYS => Err(KeysError::Count),
            () if keys.iter().any(|key| key.len() < MIN_KEY_BYTES) => Err(KeysError::Short),
            () => Ok(Self(keys)),
        }
    }

    /// The id as the client gets it; `None` for one that no server may send (visible ASCII only, MCP transports).
    pub(crate) fn seal(&self, id: &[u8], owner: Owner<'_>) -> Option<String> {
        let id = str::from_utf8(id).ok().filter(|id| is_session_id(id))?;
        let mac = mac(self.0.first()?, id, owner)?.finalize().into_bytes();
        Some(alloc::format!("{id}.{}", URL_SAFE_NO_PAD.encode(mac)))
    }

    /// The id as the server knows it, if this owner got it sealed. Compares in constant time.
    pub(crate) fn open<'s>(&self, sealed: &'s [u8], owner: Owner<'_>) -> Option<&'s str> {
        let (id, seal) = str::from_utf8(sealed).ok()?.rsplit_once('.')?;
        let seal = URL_SAFE_NO_PAD.decode(seal).ok()?;
        let opens = |key| mac(key, id, owner).is_some_and(|mac| mac.verify_slice(&seal).is_ok());
        (is_session_id(id) && self.0.iter().any(|key| opens(key))).then_some(id)
    }
}

fn is_session_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| matches!(byte, 0x21..=0x7E))
}

/// Each part with its length in front, so that no two owners make the same input.
fn mac(key: &[u8], id: &str, owner: Owner<'_>) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    for part in ["mcp-session", owner.resource, owner.issuer, owner.subject, owner.client, id] {
        mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        mac.update(part.as_bytes());
    }
    Some(mac)
}
