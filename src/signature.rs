//! Public keys and the signatures made with them (RFC 7518 section 3, RFC 8037 section 3.1).

use alloc::boxed::Box;

use rsa::{BoxedUint, Pkcs1v15Sign, Pss, RsaPublicKey, traits::PublicKeyParts as _};
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::{der, jws::Algorithm};

/// RSA moduli shorter than this are forgeable (RFC 7518 section 3.3).
pub const MIN_RSA_BITS: usize = 2048;
/// The work for a token grows with the square of the length, and no authorization server uses longer ones.
pub const MAX_RSA_BITS: usize = 8192;

/// A public key, parsed once. Two are equal if they are the same key.
#[derive(Clone, Debug)]
pub struct PublicKey {
    kind: Kind,
    spki: Box<[u8]>,
}

#[derive(Clone, Debug)]
enum Kind {
    Rsa(RsaPublicKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for PublicKey {}

/// The signature does not fit the key and the text. Nothing more is said: detail would help only a forger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSignature;

impl PublicKey {
    /// An RSA key from its big-endian modulus and exponent, or `None` if it is unusable or weak.
    #[must_use]
    pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        // RFC 7518 section 6.3.1.1: some libraries write a zero first. More of them would cost like a longer key.
        let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
        if modulus.first().is_none_or(|byte| *byte == 0) {
            return None;
        }
        let n = BoxedUint::from_be_slice_vartime(modulus);
        let e = BoxedUint::from_be_slice_vartime(exponent);
        let key = RsaPublicKey::new_with_size_limits(n, e, MIN_RSA_BITS..=MAX_RSA_BITS).ok()?;
        Some(Self { kind: Kind::Rsa(key), spki: der::rsa_key(modulus, exponent) })
    }

    /// A P-256 key from its affine coordinates, or `None` if they are no point on the curve.
    #[must_use]
    pub fn p256(x: &[u8], y: &[u8]) -> Option<Self> {
        let point = uncompressed::<65>(x, y)?;
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()?;
        Some(Self { kind: Kind::P256(key), spki: der::p256_key(&point) })
    }

    /// A P-384 key from its affine coordinates, or `None` if they are no point on the curve.
    #[must_use]
    pub fn p384(x: &[u8], y: &[u8]) -> Option<Self> {
        let point = uncompressed::<97>(x, y)?;
        let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()?;
        Some(Self { kind: Kind::P384(key), spki: der::p384_key(&point) })
    }

    /// An Ed25519 key, or `None` if the bytes are no point or one of small order.
    #[must_use]
    pub fn ed25519(bytes: &[u8]) -> Option<Self> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes.try_into().ok()?).ok()?;
        (!key.is_weak()).then(|| Self { kind: Kind::Ed25519(key), spki: der::ed25519_key(bytes) })
    }

    /// The key as a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), which hosts take.
    pub(crate) const fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// How many bytes each of its signatures has.
    pub(crate) fn signature_len(&self) -> usize {
        match &self.kind {
            Kind::Rsa(key) => key.size(),
            Kind::P256(_) | Kind::Ed25519(_) => 64,
            Kind::P384(_) => 96,
        }
    }

    /// Whether a key of this type is what `algorithm` asks for.
    pub const fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        match self.kind {
            Kind::Rsa(_) => matches!(algorithm, Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512),
            Kind::P256(_) => matches!(algorithm, Es256),
            Kind::P384(_) => matches!(algorithm, Es384),
            Kind::Ed25519(_) => matches!(algorithm, EdDsa),
        }
    }

    /// Checks `signature` over `text`. A key that does not fit the algorithm verifies nothing.
    ///
    /// ECDSA signatures are `R || S` (RFC 7518 section 3.4), not DER. `S` may be high: JWS does not forbid it.
    ///
    /// # Errors
    ///
    /// [`BadSignature`].
    pub fn verify(&self, algorithm: Algorithm, text: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        use Algorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        let good = match (&self.kind, algorithm) {
            (Kind::Rsa(key), Rs256) => pkcs1::<Sha256>(key, text, signature),
            (Kind::Rsa(key), Rs384) => pkcs1::<Sha384>(key, text, signature),
            (Kind::Rsa(key), Rs512) => pkcs1::<Sha512>(key, text, signature),
            // RFC 7518 section 3.5: the salt is as long as the hash.
            (Kind::Rsa(key), Ps256) => pss(key, Pss::<Sha256>::new_with_salt(32), &Sha256::digest(text), signature),
            (Kind::Rsa(key), Ps384) => pss(key, Pss::<Sha384>::new_with_salt(48), &Sha384::digest(text), signature),
            (Kind::Rsa(key), Ps512) => pss(key, Pss::<Sha512>::new_with_salt(64), &Sha512::digest(text), signature),
            (Kind::P256(key), Es256) => {
                use p256::ecdsa::signature::Verifier as _;
                p256::ecdsa::Signature::from_slice(signature)
                    .is_ok_and(|signature| key.verify(text, &signature).is_ok())
            }
            (Kind::P384(key), Es384) => {
                use p384::ecdsa::signature::Verifier as _;
                p384::ecdsa::Signature::from_slice(signature)
                    .is_ok_and(|signature| key.verify(text, &signature).is_ok())
            }
            (Kind::Ed25519(key), EdDsa) => {
                use ed25519_dalek::Verifier as _;
                ed25519_dalek::Signature::from_slice(signature).is_ok_and(|signature| {
                    !has_small_order(signature.r_bytes()) && key.verify(text, &signature).is_ok()
                })
            }
            _ => false,
        };
        if good { Ok(()) } else { Err(BadSignature) }
    }
}

/// Whether an Ed25519 point has an order of at most 8: libraries differ on signatures that start with one, and only the
/// owner of a key can make them. `verify_strict` decompresses the point to find out, which costs a tenth of the whole.
///
/// `verify` compares R byte for byte with the canonical encoding of what it computes, so these `y` are all there are.
fn has_small_order(point: &[u8; 32]) -> bool {
    const fn y(first: u8, middle: u8, last: u8) -> [u8; 32] {
        let mut y = [middle; 32];
        y[0] = first;
        y[31] = last;
        y
    }
    const SMALL: [[u8; 32]; 5] = [
        y(0, 0, 0),
        y(1, 0, 0),
        y(0xEC, 0xFF, 0x7F),
        [
            0x26, 0xE8, 0x95, 0x8F, 0xC2, 0xB2, 0x27, 0xB0, 0x45, 0xC3, 0xF4, 0x89, 0xF2, 0xEF, 0x98, 0xF0, 0xD5, 0xDF,
            0xAC, 0x05, 0xD3, 0xC6, 0x33, 0x39, 0xB1, 0x38, 0x02, 0x88, 0x6D, 0x53, 0xFC, 0x05,
        ],
        [
            0xC7, 0x17, 0x6A, 0x70, 0x3D, 0x4D, 0xD8, 0x4F, 0xBA, 0x3C, 0x0B, 0x76, 0x0D, 0x10, 0x67, 0x0F, 0x2A, 0x20,
            0x53, 0xFA, 0x2C, 0x39, 0xCC, 0xC6, 0x4E, 0xC7, 0xFD, 0x77, 0x92, 0xAC, 0x03, 0x7A,
        ],
    ];
    let mut y = *point;
    if let Some(last) = y.last_mut() {
        *last &= 0x7F;
    }
    SMALL.contains(&y)
}

fn pkcs1<D>(key: &RsaPublicKey, text: &[u8], signature: &[u8]) -> bool
where
    D: Digest + sha2::digest::const_oid::AssociatedOid,
{
    signature.len() == key.size() && key.verify(Pkcs1v15Sign::new::<D>(), &D::digest(text), signature).is_ok()
}

fn pss<D>(key: &RsaPublicKey, scheme: Pss<D>, hash: &[u8], signature: &[u8]) -> bool
where
    Pss<D>: rsa::traits::SignatureScheme,
{
    signature.len() == key.size() && key.verify(scheme, hash, signature).is_ok()
}

/// `04 || X || Y` (SEC 1 section 2.3.3); RFC 7518 section 6.2.1.2 fixes the length of each coordinate.
fn uncompressed<const N: usize>(x: &[u8], y: &[u8]) -> Option<[u8; N]> {
    let half = N.checked_sub(1)?.checked_div(2)?;
    if x.len() != half || y.len() != half {
        return None;
    }
    let mut point = [0; N];
    let (tag, coordinates) = point.split_first_mut()?;
    let (to_x, to_y) = coordinates.split_at_mut_checked(half)?;
    *tag = 4;
    to_x.copy_from_slice(x);
    to_y.copy_from_slice(y);
    Some(point)
}
