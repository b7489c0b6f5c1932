//! Envoy's foreign function `verify_signature`: its messages, its answers, and hosts that get it wrong.

use crate::abi::{Status, status};
use p256::ecdsa::signature::Verifier as _;
use p256::pkcs8::DecodePublicKey as _;
use rsa::traits::PublicKeyParts as _;
use sha2::digest::const_oid::AssociatedOid;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// What a host's `verify_signature` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifySignature {
    /// There is none, as in most proxies.
    Absent,
    /// It checks RSASSA-PKCS1-v1_5 and ECDSA, as Envoy does.
    Real,
    /// It calls every signature good.
    AlwaysGood,
    /// It calls every signature bad.
    AlwaysBad,
    /// It answers with bytes that are no result.
    Garbage,
    /// It answers with nothing: `false` without an error, as protocol buffers have it.
    Empty,
    /// It fails.
    Fails(Status),
}

const GOOD: &[u8] = &[0x08, 0x01];
const REFUSED: &str = "Failed to verify digest. Error code: 0";
const NO_KEY: &str = "Failed to initialize digest verify.";

/// The weakest RSA key that this host takes.
const MIN_RSA_BYTES: usize = 2048 / 8;

impl VerifySignature {
    /// The result message for an argument message.
    pub(crate) fn call(self, argument: &[u8]) -> Result<Vec<u8>, Status> {
        // Also a host that lies reads what it was sent: no test passes by sending nonsense.
        let asked = Argument::parse(argument).ok_or(status::BAD_ARGUMENT)?;
        match self {
            Self::Absent => Err(status::NOT_FOUND),
            Self::Real => Ok(asked.answer().map_or_else(error, |()| GOOD.to_vec())),
            Self::AlwaysGood => Ok(GOOD.to_vec()),
            Self::AlwaysBad => Ok(error(REFUSED)),
            Self::Garbage => Ok(b"\xff\x00 certainly".to_vec()),
            Self::Empty => Ok(Vec::new()),
            Self::Fails(status) => Err(status),
        }
    }
}

fn error(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 0x80).expect("short");
    [&[0x12, length], text.as_bytes()].concat()
}

/// What is asked, each field exactly once.
#[derive(Debug)]
struct Argument<'a> {
    hash_function: &'a [u8],
    public_key: &'a [u8],
    signature: &'a [u8],
    text: &'a [u8],
}

impl<'a> Argument<'a> {
    fn parse(mut message: &'a [u8]) -> Option<Self> {
        let mut fields = [None; 4];
        while let [tag, rest @ ..] = message {
            let number = usize::from(tag >> 3);
            let (length, rest) = varint(rest)?;
            let value = rest.get(..length)?;
            let field = fields.get_mut(number.checked_sub(1)?)?;
            if tag & 7 != 2 || field.replace(value).is_some() {
                return None;
            }
            message = &rest[length..];
        }
        let [hash_function, public_key, signature, text] = fields;
        Some(Self { hash_function: hash_function?, public_key: public_key?, signature: signature?, text: text? })
    }

    fn answer(&self) -> Result<(), &'static str> {
        match self.hash_function {
            b"sha256" => self.check::<Sha256>(|| {
                let key = p256::ecdsa::VerifyingKey::from_public_key_der(self.public_key).ok()?;
                let signature = p256::ecdsa::Signature::from_der(self.signature);
                Some(signature.is_ok_and(|signature| key.verify(self.text, &signature).is_ok()))
            }),
            b"sha384" => self.check::<Sha384>(|| {
                let key = p384::ecdsa::VerifyingKey::from_public_key_der(self.public_key).ok()?;
                let signature = p384::ecdsa::Signature::from_der(self.signature);
                Some(signature.is_ok_and(|signature| key.verify(self.text, &signature).is_ok()))
            }),
            b"sha512" => self.check::<Sha512>(|| None),
            _ => Err("this hash function is not supported."),
        }
    }

    /// On the curve that goes with the hash, if the key is on it; else as RSA.
    fn check<D>(&self, on_curve: impl FnOnce() -> Option<bool>) -> Result<(), &'static str>
    where
        D: Digest + AssociatedOid,
    {
        if let Some(good) = on_curve() {
            return good.then_some(()).ok_or(REFUSED);
        }
        let key = rsa::RsaPublicKey::from_public_key_der(self.public_key).map_err(|_| NO_KEY)?;
        if key.size() < MIN_RSA_BYTES {
            return Err(NO_KEY);
        }
        let good = key.verify(rsa::Pkcs1v15Sign::new::<D>(), &D::digest(self.text), self.signature);
        good.map_err(|_| REFUSED)
    }
}

fn varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let length = bytes.iter().take(4).position(|byte| byte & 0x80 == 0)? + 1;
    let (bytes, rest) = bytes.split_at(length);
    Some((bytes.iter().rev().fold(0, |value, byte| value << 7 | usize::from(byte & 0x7f)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
        let field = |(number, value): &(u8, &[u8])| {
            [&[number << 3 | 2, u8::try_from(value.len()).expect("short")], *value].concat()
        };
        fields.iter().flat_map(field).collect()
    }

    #[test]
    fn a_message_needs_each_field_once() {
        let good: [(u8, &[u8]); 4] = [(1, b"sha256"), (2, b"key"), (3, b"signature"), (4, b"text")];
        assert_eq!(Argument::parse(&message(&good)).expect("complete").text, b"text");
        assert!(Argument::parse(&message(&good[..3])).is_none());
        assert!(Argument::parse(&message(&[good.as_slice(), &[(4, b"other")]].concat())).is_none());
        assert!(Argument::parse(&message(&[good.as_slice(), &[(5, b"other")]].concat())).is_none());
        let cut = message(&good);
        assert!(Argument::parse(&cut[..cut.len() - 1]).is_none());
    }

    #[test]
    fn a_length_may_take_several_bytes() {
        let long = [b'x'; 300];
        let mut bytes = message(&[(1, b"sha256"), (2, b"key"), (3, b"signature")]);
        bytes.extend([0x22, 0xac, 0x02]);
        bytes.extend(long);
        assert_eq!(Argument::parse(&bytes).expect("complete").text, long);
    }

    #[test]
    fn a_key_that_is_none_is_not_called_a_bad_signature() {
        let asked = message(&[(1, b"sha256"), (2, b"key"), (3, b"signature"), (4, b"text")]);
        assert_eq!(VerifySignature::Real.call(&asked), Ok(error(NO_KEY)));
        assert_eq!(VerifySignature::Absent.call(&asked), Err(status::NOT_FOUND));
        assert_eq!(VerifySignature::Real.call(b"?"), Err(status::BAD_ARGUMENT));
    }
}
