//! The operator's private keys for identity JWTs (RFC 7517, RFC 7518 section 6.2.2). ES256
//! only: to sign with Ed25519 as well would make the module 45 KiB larger instead of 19.

use core::fmt;

use alloc::{string::String, vec::Vec};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use p256::ecdsa::signature::Signer as _;
use sha2::{Digest as _, Sha256};

use crate::json::{self, JsonError, Object, Quoted, Value};

/// More keys than a rotation needs.
pub(crate) const MAX_KEYS: usize = 4;

/// The keys of one issuer of identity JWTs: the first one signs, all of them are published.
#[derive(Clone, Debug)]
pub(crate) struct SigningKeys {
    first: SigningKey,
    others: Vec<SigningKey>,
}

/// One private key, and what is published of it.
#[derive(Clone)]
struct SigningKey {
    key: p256::ecdsa::SigningKey,
    id: String,
    /// The members that a thumbprint is made of (RFC 7638 section 3.2), in that order and form.
    members: String,
}

/// The key is secret.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

/// Why a text is no set of private keys. It says nothing of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SigningKeysError {
    /// It is not strict JSON.
    Json(JsonError),
    /// It has no `keys` array (RFC 7517 section 5.1).
    NoKeys,
    /// There are none, or more than [`MAX_KEYS`].
    Count,
    /// The key of this number cannot be used.
    Key(usize, KeyFault),
    /// The keys of these numbers have one `kid`.
    SameId(usize, usize),
}

/// What is wrong with a private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyFault {
    /// It is not EC on P-256.
    Type,
    /// `use`, `key_ops` or `alg` is for something else than to sign with ES256.
    Purpose,
    /// `kid` is there and no text of visible ASCII.
    Id,
    /// A member is missing, or not base64url of the right length.
    Member(&'static str),
    /// `d` is no private key of the curve.
    Private,
    /// `x` and `y` are not the public key of `d`.
    Mismatch,
}

impl fmt::Display for SigningKeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "is no JWK Set: {error}"),
            Self::NoKeys => f.write_str("is no JWK Set: it has no `keys` array"),
            Self::Count => write!(f, "holds no key, or more than {MAX_KEYS} of them"),
            Self::Key(number, fault) => write!(f, "holds `keys[{number}]`, which {fault}"),
            Self::SameId(first, second) => {
                write!(f, "holds `keys[{first}]` and `keys[{second}]`, which have one `kid`")
            }
        }
    }
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type => f.write_str("is no EC key on P-256"),
            Self::Purpose => f.write_str("is by its `use`, `key_ops` or `alg` not for signatures with ES256"),
            Self::Id => f.write_str("has a `kid` that is no text of 1 to 128 visible ASCII characters"),
            Self::Member(name) => write!(f, "has no `{name}` of 32 bytes in base64url"),
            Self::Private => f.write_str("has a `d` that is no private key"),
            Self::Mismatch => f.write_str("has another public key than that of its `d`"),
        }
    }
}

impl SigningKeys {
    /// Reads a JWK Set of private keys. Unlike the set of an authorization server, all of it must be good.
    pub(crate) fn parse(text: &str) -> Result<Self, SigningKeysError> {
        let set = json::object(text.as_bytes()).map_err(SigningKeysError::Json)?;
        let listed = set.get("keys").and_then(Value::as_items).ok_or(SigningKeysError::NoKeys)?;
        if listed.len() > MAX_KEYS {
            return Err(SigningKeysError::Count);
        }
        let mut keys: Vec<SigningKey> = Vec::new();
        for (number, jwk) in listed.into_iter().enumerate() {
            let jwk = jwk.as_object().ok_or(KeyFault::Type);
            let key = jwk.and_then(|jwk| SigningKey::parse(&jwk));
            let key = key.map_err(|fault| SigningKeysError::Key(number, fault))?;
            if let Some(other) = keys.iter().position(|other| other.id == key.id) {
                return Err(SigningKeysError::SameId(other, number));
            }
            keys.push(key);
        }
        let mut keys = keys.into_iter();
        let first = keys.next().ok_or(SigningKeysError::Count)?;
        Ok(Self { first, others: keys.collect() })
    }

    /// The compact JWS over these claims (RFC 7515 section 7.1).
    pub(crate) fn sign(&self, claims: &str) -> String {
        let SigningKey { key, id, .. } = &self.first;
        let header = alloc::format!("{{\"alg\":\"ES256\",\"kid\":{},\"typ\":\"JWT\"}}", Quoted(id));
        let mut jws = URL_SAFE_NO_PAD.encode(header);
        jws.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut jws);
        // RFC 6979: no random numbers are needed.
        let signature: p256::ecdsa::Signature = key.sign(jws.as_bytes());
        jws.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.to_bytes(), &mut jws);
        jws
    }

    /// The JWK Set of the public keys.
    pub(crate) fn published(&self) -> String {
        let keys: Vec<String> = core::iter::once(&self.first).chain(&self.others).map(SigningKey::published).collect();
        alloc::format!("{{\"keys\":[{}]}}", keys.join(","))
    }
}

impl SigningKey {
    fn parse(jwk: &Object<'_>) -> Result<Self, KeyFault> {
        let text = |member: &str| jwk.get(member).and_then(Value::as_text);
        let bytes = |member: &'static str| -> Result<[u8; 32], KeyFault> {
            let decoded = text(member).and_then(|text| URL_SAFE_NO_PAD.decode(&*text).ok());
            decoded.and_then(|bytes| bytes.try_into().ok()).ok_or(KeyFault::Member(member))
        };
        if text("kty").as_deref() != Some("EC") || text("crv").as_deref() != Some("P-256") {
            return Err(KeyFault::Type);
        }
        // RFC 7517 sections 4.2 to 4.4.
        let is_sign = |op: &Value<'_>| op.as_text().as_deref() == Some("sign");
        let may_sign = |ops: Value<'_>| ops.as_items().is_some_and(|ops| ops.iter().any(is_sign));
        let is = |member: &str, only: &str| !jwk.has(member) || text(member).as_deref() == Some(only);
        if !is("use", "sig") || !is("alg", "ES256") || !jwk.get("key_ops").is_none_or(may_sign) {
            return Err(KeyFault::Purpose);
        }
        let (private, x, y) = (bytes("d")?, bytes("x")?, bytes("y")?);
        let key = p256::ecdsa::SigningKey::from_slice(&private).map_err(|_| KeyFault::Private)?;
        if key.verifying_key().to_sec1_point(false).as_bytes() != [&[4][..], &x, &y].concat() {
            return Err(KeyFault::Mismatch);
        }
        let [x, y] = [x, y].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate));
        let members = alloc::format!("\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"{x}\",\"y\":\"{y}\"");
        let id = match jwk.get("kid") {
            Some(id) => id.as_text().filter(|id| is_key_id(id)).ok_or(KeyFault::Id)?.into_owned(),
            None => URL_SAFE_NO_PAD.encode(Sha256::digest(alloc::format!("{{{members}}}"))),
        };
        Ok(Self { key, id, members })
    }

    fn published(&self) -> String {
        alloc::format!("{{{},\"use\":\"sig\",\"alg\":\"ES256\",\"kid\":{}}}", self.members, Quoted(&self.id))
    }
}

fn is_key_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|byte| matches!(byte, 0x21..=0x7E))
}
