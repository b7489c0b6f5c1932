//! Compact JWS (RFC 7515) up to, and not including, the signature check.

use core::fmt;

use alloc::{string::String, vec::Vec};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::json::{self, JsonError, Object, Value};

/// The signature algorithms that are implemented (RFC 7518 section 3.1, RFC 8037 section 3.1).
///
/// `none` and the HMAC family have no name here, so no later code can mistake one for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// EdDSA on Ed25519, also under its fully specified name `Ed25519` (RFC 9864 section 2.2).
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// Reads an `alg` value; case matters.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::EdDsa);
        }
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// The `alg` value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// The part of a JWS that a signature can be wrong in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The JOSE header.
    Header,
    /// The payload.
    Payload,
    /// The signature.
    Signature,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
    }
}

/// Why a token is no compact JWS that can be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JwsError {
    /// It has this many dot-separated parts instead of three: opaque, or encrypted (five).
    Parts(usize),
    /// This part is not unpadded base64url in its only spelling.
    Base64(Part),
    /// This part is no strict JSON object.
    Json(Part, JsonError),
    /// The header has a `crit` member; no extension is understood (RFC 7515 section 4.1.11).
    Critical,
    /// The header names no `alg` as a text.
    NoAlgorithm,
    /// The `alg` is not implemented: `none`, HMAC, or unknown.
    Algorithm(String),
    /// A header member that must be a text is not: `kid` or `typ`.
    NotText(&'static str),
}

impl fmt::Display for JwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parts(parts) => write!(f, "not a compact JWS: `{parts}` parts instead of 3"),
            Self::Base64(part) => write!(f, "the {part} is not base64url without padding"),
            Self::Json(part, error) => write!(f, "the {part}: {error}"),
            Self::Critical => f.write_str("the header has `crit`, and no extension is understood"),
            Self::NoAlgorithm => f.write_str("the header has no `alg`"),
            Self::Algorithm(name) => write!(f, "the algorithm `{}` is not accepted", crate::shown::Shown(name)),
            Self::NotText(member) => write!(f, "the header member `{member}` is not a text"),
        }
    }
}

impl JwsError {
    /// Whether the token does not even look like a JWS, so that only its authorization server knows what it is.
    pub(crate) const fn is_opaque(&self) -> bool {
        match self {
            Self::Parts(_) | Self::Base64(Part::Header) | Self::Json(Part::Header, _) | Self::NoAlgorithm => true,
            Self::Base64(_) | Self::Json(..) | Self::Critical | Self::Algorithm(_) | Self::NotText(_) => false,
        }
    }
}

/// A compact JWS that was taken apart. Nothing in it may be trusted yet.
pub(crate) struct CompactJws<'t> {
    /// What the signature covers: header, dot, payload, as they were received.
    pub(crate) signing_input: &'t str,
    /// From the header; the *key* must agree.
    pub(crate) algorithm: Algorithm,
    /// `kid`: a hint, never a location.
    pub(crate) key_id: Option<String>,
    /// `typ` as it was written.
    pub(crate) typ: Option<String>,
    header: Vec<u8>,
    payload: Vec<u8>,
    /// The decoded signature.
    pub(crate) signature: Vec<u8>,
}

impl<'t> CompactJws<'t> {
    /// Takes a token apart. `jku`, `jwk`, `x5u` and `x5c` are never followed (RFC 8725 section 3.10).
    ///
    /// Does NOT check the signature.
    pub(crate) fn parse(token: &'t str) -> Result<Self, JwsError> {
        let parts = token.split('.').count();
        let split =
            token.rsplit_once('.').and_then(|(input, signature)| Some((input, input.split_once('.')?, signature)));
        let (signing_input, (header, payload), signature) =
            split.filter(|_| parts == 3).ok_or(JwsError::Parts(parts))?;

        let decoded = decode(header, Part::Header)?;
        let header = json::object(&decoded).map_err(|error| JwsError::Json(Part::Header, error))?;
        if header.has("crit") {
            return Err(JwsError::Critical);
        }
        let name = header.get("alg").and_then(Value::as_text).ok_or(JwsError::NoAlgorithm)?;
        let algorithm = Algorithm::parse(&name).ok_or_else(|| JwsError::Algorithm(name.into_owned()))?;
        let text = |member: &'static str| match header.get(member) {
            None => Ok(None),
            Some(value) => value.as_text().map(|text| Some(text.into_owned())).ok_or(JwsError::NotText(member)),
        };
        let (key_id, typ) = (text("kid")?, text("typ")?);

        let payload = decode(payload, Part::Payload)?;
        let signature = decode(signature, Part::Signature)?;
        drop(header);
        Ok(Self { signing_input, algorithm, key_id, typ, header: decoded, payload, signature })
    }

    /// The whole JOSE header, for kinds of tokens that have more in it.
    pub(crate) fn header(&self) -> Result<Object<'_>, JwsError> {
        json::object(&self.header).map_err(|error| JwsError::Json(Part::Header, error))
    }

    /// The claims set.
    pub(crate) fn claims(&self) -> Result<Object<'_>, JwsError> {
        json::object(&self.payload).map_err(|error| JwsError::Json(Part::Payload, error))
    }
}

fn decode(text: &str, part: Part) -> Result<Vec<u8>, JwsError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| JwsError::Base64(part))
}
