//! Signatures that the host checks faster than wasm can, where it has proved that it checks them right.
//!
//! A host's answer is used for an algorithm only after it called a known good signature good and a known bad one bad. An
//! answer that is neither ends that for good, and the in-wasm implementation takes over: the outcome is the same, only
//! slower.

mod vectors;

use core::fmt;

use alloc::{boxed::Box, vec::Vec};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    der,
    jws::Algorithm,
    policy::VerifySignature,
    signature::{BadSignature, PublicKey},
};

/// What a host says of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostAnswer {
    /// It is of this key over this text.
    Good,
    /// It is not.
    Bad,
    /// The host cannot tell, or said something that is not understood.
    Unknown,
}

/// A host that may be able to check signatures.
pub trait HostCrypto: fmt::Debug {
    /// Checks a signature over `text`. The key is a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7); ECDSA signatures
    /// are ECDSA-Sig-Values (RFC 3279 section 2.2.3). Both are DER.
    fn verify(&mut self, algorithm: Algorithm, key: &[u8], text: &[u8], signature: &[u8]) -> HostAnswer;
}

/// A host without cryptography.
#[derive(Clone, Copy, Debug)]
pub struct NoHostCrypto;

impl HostCrypto for NoHostCrypto {
    fn verify(&mut self, _: Algorithm, _: &[u8], _: &[u8], _: &[u8]) -> HostAnswer {
        HostAnswer::Unknown
    }
}

/// A host, and how far it is trusted with each algorithm.
#[derive(Debug)]
pub(crate) struct Acceleration {
    host: Box<dyn HostCrypto>,
    trust: [(Algorithm, Trust); 5],
    fallbacks: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    Untried,
    Proved,
    Never,
}

impl Acceleration {
    /// Tries the host at the first signature of each algorithm, or never.
    pub(crate) fn new(setting: VerifySignature, host: Box<dyn HostCrypto>) -> Self {
        use Algorithm::{Es256, Es384, Rs256, Rs384, Rs512};
        let trust = match setting {
            VerifySignature::Auto => Trust::Untried,
            VerifySignature::Never => Trust::Never,
        };
        Self { host, trust: [Rs256, Rs384, Rs512, Es256, Es384].map(|algorithm| (algorithm, trust)), fallbacks: 0 }
    }

    /// Checks a signature, by the host if it is trusted with the algorithm.
    pub(crate) fn verify(
        &mut self,
        key: &PublicKey,
        algorithm: Algorithm,
        text: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        match self.ask_trusted_host(key, algorithm, text, signature) {
            HostAnswer::Good => Ok(()),
            HostAnswer::Bad => Err(BadSignature),
            HostAnswer::Unknown => key.verify(algorithm, text, signature),
        }
    }

    fn ask_trusted_host(&mut self, key: &PublicKey, algorithm: Algorithm, text: &[u8], signature: &[u8]) -> HostAnswer {
        let host = self.host.as_mut();
        // The host is given a key and a hash, so a key of another kind would be used for what it is not meant for.
        let entry = self.trust.iter_mut().find(|(known, _)| *known == algorithm && key.fits(algorithm));
        let Some((_, trust)) = entry else { return HostAnswer::Unknown };
        let answer = match *trust {
            Trust::Never => return HostAnswer::Unknown,
            Trust::Untried if !proves_itself(host, algorithm) => HostAnswer::Unknown,
            Trust::Untried | Trust::Proved => ask(host, algorithm, key, text, signature),
        };
        *trust = if answer == HostAnswer::Unknown { Trust::Never } else { Trust::Proved };
        if answer == HostAnswer::Unknown {
            self.fallbacks = self.fallbacks.saturating_add(1);
        }
        answer
    }

    /// How many algorithms the host lost its trust for since the last call.
    pub(crate) fn take_fallbacks(&mut self) -> u64 {
        core::mem::take(&mut self.fallbacks)
    }
}

/// Whether the host tells a known good signature from a bad one.
fn proves_itself(host: &mut dyn HostCrypto, algorithm: Algorithm) -> bool {
    let Some((key, signature)) = known_signature(algorithm) else { return false };
    // The vector itself must be right, or a host that says yes to anything would pass.
    key.verify(algorithm, vectors::TEXT, &signature).is_ok()
        && ask(host, algorithm, &key, vectors::TEXT, &signature) == HostAnswer::Good
        && ask(host, algorithm, &key, vectors::OTHER_TEXT, &signature) == HostAnswer::Bad
}

fn ask(host: &mut dyn HostCrypto, algorithm: Algorithm, key: &PublicKey, text: &[u8], signature: &[u8]) -> HostAnswer {
    let expected = match algorithm {
        Algorithm::Es256 => 64,
        Algorithm::Es384 => 96,
        _ => return host.verify(algorithm, key.spki(), text, signature),
    };
    // DER would hide a signature of the wrong length.
    if signature.len() != expected {
        return HostAnswer::Bad;
    }
    host.verify(algorithm, key.spki(), text, &der::ecdsa_signature(signature))
}

fn known_signature(algorithm: Algorithm) -> Option<(PublicKey, Vec<u8>)> {
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let rsa = |signature| Some((PublicKey::rsa(&decode(vectors::RSA_MODULUS)?, &[1, 0, 1])?, decode(signature)?));
    match algorithm {
        Algorithm::Rs256 => rsa(vectors::RS256),
        Algorithm::Rs384 => rsa(vectors::RS384),
        Algorithm::Rs512 => rsa(vectors::RS512),
        Algorithm::Es256 => {
            let [x, y, signature] = vectors::ES256;
            Some((PublicKey::p256(&decode(x)?, &decode(y)?)?, decode(signature)?))
        }
        Algorithm::Es384 => {
            let [x, y, signature] = vectors::ES384;
            Some((PublicKey::p384(&decode(x)?, &decode(y)?)?, decode(signature)?))
        }
        Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 | Algorithm::EdDsa => None,
    }
}
