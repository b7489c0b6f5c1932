//! Nonces that say when they were given out, so that nobody has to remember them (RFC 9449 sections 8 and 9).

use core::time::Duration;

use alloc::string::String;

use super::ProofError;
use crate::{mac::MacKeys, policy::ResourcePolicy, refusal::Refusal, time::UnixTime};

/// How nonces are made and judged. Every replica with the same keys takes those of the others.
#[derive(Clone, Debug)]
pub(crate) struct Nonces {
    pub(crate) keys: MacKeys,
    /// How long each counts.
    pub(crate) max_age: Duration,
}

/// What the seals of nonces are for, beside those of sessions.
const PURPOSE: &str = "dpop-nonce";

impl Nonces {
    /// The nonce of this second.
    pub(crate) fn issue(&self, now: UnixTime) -> Option<String> {
        let issued = alloc::format!("{}", now.0);
        let seal = self.keys.seal(&[PURPOSE, &issued])?;
        Some(alloc::format!("{issued}.{seal}"))
    }

    /// Whether it was issued here and still counts; another replica's clock may be ahead by the skew.
    pub(super) fn is_fresh(&self, nonce: &str, now: UnixTime, skew: Duration) -> bool {
        let Some((issued, seal)) = nonce.split_once('.') else { return false };
        let is_ours = self.keys.opens(&[PURPOSE, issued], seal);
        let issued = issued.parse().map(UnixTime);
        is_ours && issued.is_ok_and(|issued| issued <= now.plus(skew) && now <= issued.plus(self.max_age))
    }
}

impl ResourcePolicy {
    /// What a client needs for its next proof, if it is told no because of the last one's nonce.
    pub(crate) fn nonce_after(&self, refusal: &Refusal) -> Option<String> {
        let Refusal::Proof(ProofError::Nonce { now }) = refusal else { return None };
        self.dpop()?.nonces.as_ref()?.issue(*now)
    }
}
