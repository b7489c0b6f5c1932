//! The DER forms that hosts take keys and signatures in: SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7, with RFC 3279
//! section 2.3, RFC 5480, RFC 8410) and ECDSA-Sig-Value (RFC 3279 section 2.2.3).

use alloc::{boxed::Box, vec::Vec};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;

/// `rsaEncryption`, with its NULL parameters.
const RSA: &[u8] = &[0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00];
/// `id-ecPublicKey` on `secp256r1`.
const P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03,
    0x01, 0x07,
];
/// `id-ecPublicKey` on `secp384r1`.
const P384: &[u8] =
    &[0x30, 0x10, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x22];
/// `id-Ed25519`.
const ED25519: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70];

/// SubjectPublicKeyInfo of an RSA key.
pub(crate) fn rsa_key(modulus: &[u8], exponent: &[u8]) -> Box<[u8]> {
    info(RSA, &element(SEQUENCE, &[unsigned(modulus), unsigned(exponent)].concat()))
}

/// SubjectPublicKeyInfo of a P-256 point.
pub(crate) fn p256_key(point: &[u8]) -> Box<[u8]> {
    info(P256, point)
}

/// SubjectPublicKeyInfo of a P-384 point.
pub(crate) fn p384_key(point: &[u8]) -> Box<[u8]> {
    info(P384, point)
}

/// SubjectPublicKeyInfo of an Ed25519 point.
pub(crate) fn ed25519_key(key: &[u8]) -> Box<[u8]> {
    info(ED25519, key)
}

/// ECDSA-Sig-Value from the `R || S` of a JWS (RFC 7518 section 3.4).
pub(crate) fn ecdsa_signature(r_and_s: &[u8]) -> Vec<u8> {
    let (r, s) = r_and_s.split_at_checked(r_and_s.len().wrapping_div(2)).unwrap_or_default();
    element(SEQUENCE, &[unsigned(r), unsigned(s)].concat())
}

fn info(algorithm: &[u8], key: &[u8]) -> Box<[u8]> {
    // A bit string starts with the number of bits that its last byte does not use.
    let key = element(BIT_STRING, &[&[0], key].concat());
    element(SEQUENCE, &[algorithm, &key].concat()).into()
}

/// A non-negative INTEGER: no superfluous zeros, and one where the first bit would be a sign.
fn unsigned(big_endian: &[u8]) -> Vec<u8> {
    let start = big_endian.iter().position(|byte| *byte != 0).unwrap_or(big_endian.len());
    let digits = big_endian.get(start..).unwrap_or_default();
    let sign: &[u8] = if digits.first().is_none_or(|byte| *byte >= 0x80) { &[0] } else { &[] };
    element(INTEGER, &[sign, digits].concat())
}

/// Tag, length in its shortest form, content. Contents here are far below 64 KiB.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
    let head: &[u8] = match (high, low) {
        (0, 0..0x80) => &[tag, low],
        (0, _) => &[tag, 0x81, low],
        _ => &[tag, 0x82, high, low],
    };
    [head, content].concat()
}
