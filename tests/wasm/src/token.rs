//! Tokens signed by keys that exist only in these tests.

use crate::rsa_key;
use crate::world::NOW;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::{SignatureEncoding as _, Signer as _};
use rsa::pkcs1v15;
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};

/// The issuer of every good token.
pub const ISSUER: &str = "https://idp.example.com/realms/mcp";
/// The resource of every good token.
pub const RESOURCE: &str = "https://mcp.example.com/weather/mcp";
/// Its path.
pub const PATH: &str = "/weather/mcp";
/// The scope that the resource requires.
pub const SCOPE: &str = "weather.read";
/// The subject of every good token.
pub const SUBJECT: &str = "alice";
/// The client of every good token.
pub const CLIENT: &str = "client-7";

/// A signing key with its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Ed25519 by seed byte. The quickest to verify, so the usual one.
    Ed25519(u8),
    /// P-256 by scalar byte.
    P256(u8),
    /// P-384 by scalar byte.
    P384(u8),
    /// The one RSA key, as RS256.
    Rsa,
    /// The same as RS384.
    Rsa384,
    /// The same as RS512.
    Rsa512,
}

impl Key {
    /// The key of good tokens.
    pub const GOOD: Self = Self::Ed25519(7);
    /// A key that no key set lists, unless a test says so.
    pub const OTHER: Self = Self::Ed25519(8);

    fn algorithm(self) -> &'static str {
        match self {
            Self::Ed25519(_) => "EdDSA",
            Self::P256(_) => "ES256",
            Self::P384(_) => "ES384",
            Self::Rsa => "RS256",
            Self::Rsa384 => "RS384",
            Self::Rsa512 => "RS512",
        }
    }

    fn id(self) -> String {
        match self {
            Self::Ed25519(seed) => format!("ed-{seed}"),
            Self::P256(seed) => format!("p256-{seed}"),
            Self::P384(seed) => format!("p384-{seed}"),
            Self::Rsa => "rsa".to_owned(),
            Self::Rsa384 => "rsa-384".to_owned(),
            Self::Rsa512 => "rsa-512".to_owned(),
        }
    }

    fn ed25519(seed: u8) -> ed25519_dalek::SigningKey {
        ed25519_dalek::SigningKey::from_bytes(&[seed; 32])
    }

    fn p256(seed: u8) -> p256::ecdsa::SigningKey {
        p256::ecdsa::SigningKey::from_slice(&[seed; 32]).expect("a valid scalar")
    }

    fn p384(seed: u8) -> p384::ecdsa::SigningKey {
        p384::ecdsa::SigningKey::from_slice(&[seed; 48]).expect("a valid scalar")
    }

    fn rsa() -> rsa::RsaPrivateKey {
        let number = |hex| rsa::BoxedUint::from_be_slice_vartime(&from_hex(hex));
        rsa::RsaPrivateKey::from_components(
            number(rsa_key::MODULUS),
            rsa::BoxedUint::from(65537_u64),
            number(rsa_key::PRIVATE_EXPONENT),
            vec![number(rsa_key::PRIME_1), number(rsa_key::PRIME_2)],
        )
        .expect("a consistent key")
    }

    /// The public key as a JWK.
    pub fn jwk(self) -> Value {
        let mut jwk = match self {
            Self::Ed25519(seed) => {
                let x = encode(Self::ed25519(seed).verifying_key().as_bytes());
                json!({"kty": "OKP", "crv": "Ed25519", "x": x})
            }
            Self::P256(seed) => {
                let point = Self::p256(seed).verifying_key().to_sec1_point(false);
                let (x, y) = (point.x().expect("affine"), point.y().expect("affine"));
                json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)})
            }
            Self::P384(seed) => {
                let point = Self::p384(seed).verifying_key().to_sec1_point(false);
                let (x, y) = (point.x().expect("affine"), point.y().expect("affine"));
                json!({"kty": "EC", "crv": "P-384", "x": encode(x), "y": encode(y)})
            }
            Self::Rsa | Self::Rsa384 | Self::Rsa512 => {
                json!({"kty": "RSA", "n": encode(&from_hex(rsa_key::MODULUS)), "e": encode(&[1, 0, 1])})
            }
        };
        jwk["kid"] = json!(self.id());
        jwk["alg"] = json!(self.algorithm());
        jwk["use"] = json!("sig");
        jwk
    }

    fn sign(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(seed) => Self::ed25519(seed).sign(message).to_vec(),
            Self::P256(seed) => {
                let signature: p256::ecdsa::Signature = Self::p256(seed).sign(message);
                signature.to_vec()
            }
            Self::P384(seed) => {
                let signature: p384::ecdsa::Signature = Self::p384(seed).sign(message);
                signature.to_vec()
            }
            Self::Rsa => pkcs1v15::SigningKey::<Sha256>::new(Self::rsa()).sign(message).to_vec(),
            Self::Rsa384 => pkcs1v15::SigningKey::<Sha384>::new(Self::rsa()).sign(message).to_vec(),
            Self::Rsa512 => pkcs1v15::SigningKey::<Sha512>::new(Self::rsa()).sign(message).to_vec(),
        }
    }
}

/// A key set.
pub fn jwks(keys: &[Key]) -> Value {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()})
}

/// A token in the making. Starts good; each call makes one change.
#[derive(Clone, Debug)]
pub struct Token {
    header: Value,
    claims: Value,
    key: Key,
}

impl Token {
    /// A token that the usual configuration accepts.
    pub fn good() -> Self {
        let claims = json!({
            "iss": ISSUER,
            "aud": RESOURCE,
            "sub": SUBJECT,
            "client_id": CLIENT,
            "scope": SCOPE,
            "jti": "one",
            "iat": NOW - 60,
            "exp": NOW + 3600,
        });
        Self { header: json!({"typ": "at+jwt"}), claims, key: Key::GOOD }.signed_by(Key::GOOD)
    }

    /// Changes the key, and the header accordingly.
    pub fn signed_by(mut self, key: Key) -> Self {
        self.key = key;
        self.header["alg"] = json!(key.algorithm());
        self.header["kid"] = json!(key.id());
        self
    }

    /// Changes only the key, so that the signature is not by the key that the header names.
    pub fn forged_by(mut self, key: Key) -> Self {
        self.key = key;
        self
    }

    /// Sets a member of the header; null takes it away.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        set(&mut self.header, name, value.into());
        self
    }

    /// Sets a claim; null takes it away.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        set(&mut self.claims, name, value.into());
        self
    }

    /// The compact form with the signature of another token: a forgery that costs nothing.
    pub fn with_signature_of(&self, other: &str) -> String {
        let (_, signature) = other.rsplit_once('.').expect("three parts");
        format!("{}.{signature}", self.message())
    }

    /// The compact form.
    pub fn sign(&self) -> String {
        let message = self.message();
        format!("{message}.{}", encode(&self.key.sign(message.as_bytes())))
    }

    fn message(&self) -> String {
        let part = |value: &Value| encode(value.to_string().as_bytes());
        format!("{}.{}", part(&self.header), part(&self.claims))
    }
}

fn set(object: &mut Value, name: &str, value: Value) {
    let members = object.as_object_mut().expect("an object");
    match value {
        Value::Null => members.remove(name),
        value => members.insert(name.to_owned(), value),
    };
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn from_hex(text: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(digit).collect()
}
