//! Signatures that the host checks faster than wasm can, where it has proved that it checks them right.
//!
//! A host's answer is used for an algorithm only after it called a known good signature good and a known bad one bad. After
//! an answer that is neither it has to prove itself again, and after a few of these it is given up. The in-wasm
//! implementation takes over: the outcome is the same, only slower.

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
    trust: [Trust; 5],
    fallbacks: u64,
}

#[derive(Clone, Copy, Debug)]
struct Trust {
    algorithm: Algorithm,
    standing: Standing,
    /// As many tokens in a row got an answer that is not understood.
    unknown: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Unproved,
    Proved,
    GivenUp,
}

/// As many answers in a row may not be understood. If one were enough, a failed call or a key that the host does not take
/// would cost the tokens of all issuers; each of them costs a proof. A proof does not end the row: what the host cannot
/// tell need not be in it.
const MAX_UNKNOWN: u32 = 3;

impl Acceleration {
    /// Tries the host at the first signature of each algorithm, or never.
    pub(crate) fn new(setting: VerifySignature, host: Box<dyn HostCrypto>) -> Self {
        use Algorithm::{Es256, Es384, Rs256, Rs384, Rs512};
        let standing = match setting {
            VerifySignature::Auto => Standing::Unproved,
            VerifySignature::Never => Standing::GivenUp,
        };
        let trust = [Rs256, Rs384, Rs512, Es256, Es384].map(|algorithm| Trust { algorithm, standing, unknown: 0 });
        Self { host, trust, fallbacks: 0 }
    }

    /// Checks a signature, by the host if it is trusted with the algorithm.
    pub(crate) fn verify(
        &mut self,
        key: &PublicKey,
        algorithm: Algorithm,
        text: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        // A host may take other lengths: DER hides that of an ECDSA signature.
        if signature.len() != key.signature_len() {
            return Err(BadSignature);
        }
        match self.ask_trusted_host(key, algorithm, text, signature) {
            HostAnswer::Good => Ok(()),
            HostAnswer::Bad => Err(BadSignature),
            HostAnswer::Unknown => key.verify(algorithm, text, signature),
        }
    }

    fn ask_trusted_host(&mut self, key: &PublicKey, algorithm: Algorithm, text: &[u8], signature: &[u8]) -> HostAnswer {
        let host = self.host.as_mut();
        // The host is given a key and a hash, so a key of another kind would be used for what it is not meant for.
        let trust = self.trust.iter_mut().find(|trust| trust.algorithm == algorithm && key.fits(algorithm));
        let Some(trust) = trust.filter(|trust| trust.standing != Standing::GivenUp) else { return HostAnswer::Unknown };
        if trust.standing == Standing::Unproved {
            trust.standing = proof(host, algorithm);
        }
        let answer = match trust.standing {
            Standing::Proved => ask(host, algorithm, key, text, signature),
            Standing::Unproved | Standing::GivenUp => HostAnswer::Unknown,
        };
        if answer != HostAnswer::Unknown {
            trust.unknown = 0;
            return answer;
        }
        trust.unknown = trust.unknown.saturating_add(1);
        if trust.standing == Standing::Proved {
            trust.standing = Standing::Unproved;
        }
        if trust.unknown >= MAX_UNKNOWN {
            trust.standing = Standing::GivenUp;
        }
        self.fallbacks = self.fallbacks.saturating_add(1);
        HostAnswer::Unknown
    }

    /// How many tokens the host was no help with since the last call.
    pub(crate) fn take_fallbacks(&mut self) -> u64 {
        core::mem::take(&mut self.fallbacks)
    }
}

/// Whether the host tells a known good signature from a bad one. One that calls them the wrong way is given up at once.
fn proof(host: &mut dyn HostCrypto, algorithm: Algorithm) -> Standing {
    let Some((key, signature)) = known_signature(algorithm) else { return Standing::GivenUp };
    // The vector itself must be right, or a host that says yes to anything would pass.
    if key.verify(algorithm, vectors::TEXT, &signature).is_err() {
        return Standing::GivenUp;
    }
    for (text, expected) in [(vectors::TEXT, HostAnswer::Good), (vectors::OTHER_TEXT, HostAnswer::Bad)] {
        match ask(host, algorithm, &key, text, &signature) {
            HostAnswer::Unknown => return Standing::Unproved,
            answer if answer != expected => return Standing::GivenUp,
            _ => {}
        }
    }
    Standing::Proved
}

fn ask(host: &mut dyn HostCrypto, algorithm: Algorithm, key: &PublicKey, text: &[u8], signature: &[u8]) -> HostAnswer {
    match algorithm {
        Algorithm::Es256 | Algorithm::Es384 => {
            host.verify(algorithm, key.spki(), text, &der::ecdsa_signature(signature))
        }
        _ => host.verify(algorithm, key.spki(), text, signature),
    }
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
