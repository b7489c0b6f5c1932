//! What a token is bound to: the `cnf` claim (RFC 7800 section 3.1).

use core::fmt;

use alloc::string::String;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    digest::{self, Digest},
    json::{Object, Quoted, Value},
    policy::ResourcePolicy,
    token::TokenError,
};

/// The SHA-256 thumbprint of a public key (RFC 7638): its name wherever a token is bound to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thumbprint(Digest);

/// What has to be proved beside a token. Where both are there, both have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Confirmation {
    /// `jkt` (RFC 9449 section 6): the key of DPoP proofs.
    pub(crate) key: Option<Thumbprint>,
    /// `x5t#S256` (RFC 8705 section 3.1): SHA-256 of the client's certificate.
    pub(crate) certificate: Option<Digest>,
}

impl Confirmation {
    /// What a token says that it is bound to. Whatever is not understood could not be proved to anybody.
    pub(crate) fn of(claims: &Object<'_>) -> Result<Option<Self>, TokenError> {
        claims.get("cnf").map(|cnf| Self::read(cnf).ok_or(TokenError::SenderConstrained)).transpose()
    }

    /// Whether this resource looks at all of it.
    pub(crate) const fn is_provable(&self, resource: &ResourcePolicy) -> bool {
        (self.key.is_none() || resource.dpop().is_some()) && (self.certificate.is_none() || resource.mutual_tls())
    }

    /// `None` for whatever could not be proved here: no object, no member, one that is unknown (RFC 7800 section 3.1 leaves
    /// it to applications whether these may be ignored) or that is no SHA-256.
    fn read(cnf: Value<'_>) -> Option<Self> {
        let mut found = Self { key: None, certificate: None };
        for (name, value) in cnf.as_object()?.entries() {
            let text = value.as_text()?;
            let digest = || digest::from_base64url(&text);
            match name {
                "jkt" => found.key = Some(Thumbprint(digest()?)),
                "x5t#S256" => found.certificate = Some(digest()?),
                // Keycloak 26.7 says with it what `jkt` is for; with another word it would be for something else.
                "kc-jkt-type" if text.eq_ignore_ascii_case("dpop") => {}
                _ => return None,
            }
        }
        (found.key.is_some() || found.certificate.is_some()).then_some(found)
    }
}

impl Thumbprint {
    /// The thumbprint of a key whose type is known; it need not be usable.
    pub(crate) fn of(jwk: &Object<'_>) -> Option<Self> {
        let text = |member: &str| jwk.get(member).and_then(Value::as_text);
        // RFC 7638 section 3.2 and RFC 8037 section 2: in the order of their names.
        let required: &[&str] = match &*text("kty")? {
            "EC" => &["crv", "kty", "x", "y"],
            "OKP" => &["crv", "kty", "x"],
            "RSA" => &["e", "kty", "n"],
            _ => return None,
        };
        let mut canonical = String::new();
        for name in required {
            let before = if canonical.is_empty() { "{" } else { "," };
            canonical.push_str(&alloc::format!("{before}\"{name}\":{}", Quoted(&text(name)?)));
        }
        canonical.push('}');
        Some(Self(digest::sha256(canonical.as_bytes())))
    }

    pub(crate) const fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// A number that is as good as random.
    pub(crate) fn spread(&self) -> usize {
        self.0.first_chunk().map_or(0, |bytes| usize::try_from(u32::from_le_bytes(*bytes)).unwrap_or_default())
    }

    /// The same of a key as a document.
    #[must_use]
    pub fn of_jwk(document: &[u8]) -> Option<Self> {
        Self::of(&crate::json::object(document).ok()?)
    }
}

/// As `jkt` has it.
impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thumbprint({self})")
    }
}
