//! JWK Sets (RFC 7517) as keys that can verify.

use core::fmt;

use alloc::{string::String, vec::Vec};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    json::{self, JsonError, Object, Value},
    jws::Algorithm,
    signature::PublicKey,
};

/// More keys than this in one set are left out: selection stays cheap, and real sets have fewer than twenty.
pub const MAX_KEYS: usize = 100;

/// The usable keys of one issuer.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    skipped: usize,
}

/// One usable key.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    id: Option<String>,
    algorithm: Option<Algorithm>,
    key: PublicKey,
    serial: KeySerial,
}

/// Names a key for as long as it stays in its issuer's set. A key that left and came back gets another one, so nothing
/// that was proved with it before comes back to life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeySerial(u64);

/// Why a document is no JWK Set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeySetError {
    /// It is not strict JSON.
    Json(JsonError),
    /// It has no `keys` array (RFC 7517 section 5.1).
    NoKeys,
    /// None of this many keys can verify a token.
    NoneUsable(usize),
}

impl fmt::Display for KeySetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "the JWK Set: {error}"),
            Self::NoKeys => f.write_str("the JWK Set has no `keys` array"),
            Self::NoneUsable(keys) => write!(f, "none of the `{keys}` keys of the JWK Set is usable"),
        }
    }
}

/// The outcome of choosing a key.
#[derive(Debug)]
pub(crate) enum Selection<'k> {
    /// The one key that fits.
    One(&'k Key),
    /// No key fits: perhaps a newer set has it.
    None,
    /// Several keys fit and the token does not say which: a newer set would not help.
    Ambiguous,
}

impl KeySet {
    /// Reads a JWK Set and keeps the keys that can be used; the others do not spoil the set (RFC 7517 section 5).
    ///
    /// # Errors
    ///
    /// [`KeySetError`] if there is no usable key at all.
    pub fn parse(document: &[u8]) -> Result<Self, KeySetError> {
        Self::from_object(&json::object(document).map_err(KeySetError::Json)?)
    }

    pub(crate) fn from_object(set: &Object<'_>) -> Result<Self, KeySetError> {
        let listed = set.get("keys").and_then(Value::as_items).ok_or(KeySetError::NoKeys)?;
        let keys: Vec<Key> = listed.iter().filter_map(|jwk| Key::parse(&jwk.as_object()?)).take(MAX_KEYS).collect();
        if keys.is_empty() {
            return Err(KeySetError::NoneUsable(listed.len()));
        }
        let skipped = listed.len().saturating_sub(keys.len());
        Ok(Self { keys, skipped })
    }

    /// How many keys can be used.
    #[must_use]
    pub fn usable(&self) -> usize {
        self.keys.len()
    }

    /// How many keys of the document were left out.
    #[must_use]
    pub const fn skipped(&self) -> usize {
        self.skipped
    }

    /// Gives each key the serial that it had in the set that this one replaces, or a new one.
    pub(crate) fn succeed(&mut self, old: Option<&Self>, last: &mut u64) {
        for key in &mut self.keys {
            let same = |other: &&Key| other.id == key.id && other.algorithm == key.algorithm && other.key == key.key;
            key.serial = old.and_then(|old| old.keys.iter().find(same)).map_or_else(
                || {
                    *last = last.wrapping_add(1);
                    KeySerial(*last)
                },
                |other| other.serial,
            );
        }
    }

    /// Whether this key is still in the set.
    pub(crate) fn holds(&self, serial: KeySerial) -> bool {
        self.keys.iter().any(|key| key.serial == serial)
    }

    /// The key for a token's `kid` and `alg`.
    ///
    /// A token without `kid` gets a key only if exactly one fits: trying them all would make each key valid for each
    /// token.
    pub(crate) fn select(&self, key_id: Option<&str>, algorithm: Algorithm) -> Selection<'_> {
        let mut fitting = self.keys.iter().filter(|key| {
            let named = key_id.is_none_or(|id| key.id.as_deref() == Some(id));
            named && key.is_for(algorithm)
        });
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Selection::One(key),
            (None, _) => Selection::None,
            (Some(_), Some(_)) => Selection::Ambiguous,
        }
    }
}

impl Key {
    pub(crate) const fn public_key(&self) -> &PublicKey {
        &self.key
    }

    pub(crate) const fn serial(&self) -> KeySerial {
        self.serial
    }

    /// Whether tokens of this algorithm can be checked with it.
    pub(crate) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithm.is_none_or(|only| only == algorithm) && self.key.fits(algorithm)
    }

    /// `None` for whatever may not or cannot verify a signature.
    pub(crate) fn parse(jwk: &Object<'_>) -> Option<Self> {
        let text = |member: &str| jwk.get(member).and_then(Value::as_text);
        let bytes = |member: &str| URL_SAFE_NO_PAD.decode(&*text(member)?).ok();

        // RFC 7517 sections 4.2 and 4.3: a key for something else is not for us.
        if jwk.has("use") && text("use").as_deref() != Some("sig") {
            return None;
        }
        let is_verify = |op: &Value<'_>| op.as_text().as_deref() == Some("verify");
        let may_verify = |ops: Value<'_>| ops.as_items().is_some_and(|ops| ops.iter().any(is_verify));
        if !jwk.get("key_ops").is_none_or(may_verify) {
            return None;
        }
        // A set with a private key in it is a leak: whoever reads it can sign.
        if jwk.has("d") {
            return None;
        }
        let algorithm = match jwk.get("alg") {
            None => None,
            Some(name) => Some(Algorithm::parse(&name.as_text()?)?),
        };
        let id = match jwk.get("kid") {
            None => None,
            Some(id) => Some(id.as_text()?.into_owned()),
        };
        let curve = text("crv");
        let key = match (&*text("kty")?, curve.as_deref()) {
            ("RSA", _) => PublicKey::rsa(&bytes("n")?, &bytes("e")?),
            ("EC", Some("P-256")) => PublicKey::p256(&bytes("x")?, &bytes("y")?),
            ("EC", Some("P-384")) => PublicKey::p384(&bytes("x")?, &bytes("y")?),
            ("OKP", Some("Ed25519")) => PublicKey::ed25519(&bytes("x")?),
            _ => None,
        }?;
        (algorithm.is_none_or(|only| key.fits(only))).then_some(Self {
            id,
            algorithm,
            key,
            serial: KeySerial::default(),
        })
    }
}
