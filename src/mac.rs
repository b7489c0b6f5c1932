//! Seals with keys of the operator: HMAC-SHA256 (RFC 2104).

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
pub(crate) struct MacKeys(Vec<Vec<u8>>);

/// The keys are secret.
impl fmt::Debug for MacKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MacKeys(<{} keys>)", self.0.len())
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

impl MacKeys {
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

    /// The seal over these parts in base64url. The first part says what it is for.
    pub(crate) fn seal(&self, parts: &[&str]) -> Option<String> {
        let mac = mac(self.0.first()?, parts)?.finalize().into_bytes();
        Some(URL_SAFE_NO_PAD.encode(mac))
    }

    /// Whether this is the seal over these parts. Compares in constant time.
    pub(crate) fn opens(&self, parts: &[&str], seal: &str) -> bool {
        let Ok(seal) = URL_SAFE_NO_PAD.decode(seal) else { return false };
        self.0.iter().any(|key| mac(key, parts).is_some_and(|mac| mac.verify_slice(&seal).is_ok()))
    }
}

/// Each part with its length in front, so that no other parts make the same input.
fn mac(key: &[u8], parts: &[&str]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    for part in parts {
        mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        mac.update(part.as_bytes());
    }
    Some(mac)
}
