//! Proofs that whoever sends a token holds the key that it is bound to (RFC 9449).

mod nonce;
mod replay;
mod target;

use core::{fmt, time::Duration};

use alloc::{string::String, vec::Vec};

pub(crate) use nonce::Nonces;
pub use replay::{Replay, ReplayLimits};
use target::Target;

use crate::{
    acceleration::Acceleration,
    confirmation::Thumbprint,
    digest::{self, Digest},
    json::Value,
    jwk::Key,
    jws::{Algorithm, CompactJws, JwsError, Part},
    shown::Shown,
    time::UnixTime,
    token::{Dates, numeric_date},
};

/// A proof with an RSA key of 4096 bits has less than 3 KiB.
pub const MAX_PROOF_BYTES: usize = 8 * 1024;

/// The work for a proof is the client's choice, so its keys are bounded more closely than those of issuers.
const MAX_RSA_BYTES: usize = 4096 / 8;

/// What is remembered of a `jti` is of one length; this only keeps what is hashed short.
const MAX_ID_BYTES: usize = 256;

/// How proofs for a resource are judged.
#[derive(Clone, Debug)]
pub(crate) struct DpopPolicy {
    /// Whether tokens that are bound to no key are refused.
    pub(crate) required: bool,
    pub(crate) algorithms: Vec<Algorithm>,
    /// Scheme and authority of the resource identifier.
    pub(crate) origin: String,
    /// How long ago a proof may have been made.
    pub(crate) max_age: Duration,
    /// How far ahead a client's clock may be.
    pub(crate) clock_skew: Duration,
    pub(crate) nonces: Option<Nonces>,
}

/// What a proof must be about.
pub(crate) struct Use<'u> {
    pub(crate) method: &'u [u8],
    /// Without query.
    pub(crate) path: &'u str,
    /// The resource identifier.
    pub(crate) resource: &'u str,
    /// SHA-256 of the token.
    pub(crate) token: Digest,
    /// What the token is bound to.
    pub(crate) key: Thumbprint,
}

/// Why a DPoP proof does not count (RFC 9449 section 4.3).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProofError {
    /// There is no `DPoP` header.
    Missing,
    /// There is more than one (check 1).
    Doubled,
    /// It has this many bytes, more than [`MAX_PROOF_BYTES`].
    TooLong(usize),
    /// It is no compact JWS that can be checked (checks 2 and 5).
    Jws(JwsError),
    /// Its `typ` is not `dpop+jwt` (check 4).
    Type(String),
    /// The resource does not take this algorithm (check 5).
    Algorithm(Algorithm),
    /// Its `jwk` has a private member (check 7).
    PrivateKey,
    /// Its `jwk` is absent, unusable, too long, or does not fit its `alg`.
    Key,
    /// It is of another key than the one that the token is bound to (check 12): `invalid_token`.
    OtherKey,
    /// A claim is absent or not of its form (check 3).
    Claim(&'static str),
    /// It was made for another method, URI or token, as this claim tells (checks 8, 9 and 12).
    OtherUse(&'static str),
    /// It was made too long ago, or in the future (check 11).
    Time {
        /// Its `iat`.
        made: UnixTime,
        /// When it was judged.
        now: UnixTime,
    },
    /// It has no nonce, or none that counts (check 10): `use_dpop_nonce`.
    Nonce {
        /// When it was judged, which the next nonce says.
        now: UnixTime,
    },
    /// The signature is wrong (check 6).
    Signature,
    /// It was used before (section 11.1).
    Replayed,
    /// It was made before the oldest one that is remembered, so perhaps it was used before.
    Forgotten,
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no `DPoP` header"),
            Self::Doubled => f.write_str("more than one `DPoP` header"),
            Self::TooLong(bytes) => write!(f, "a proof of `{bytes}` bytes, more than `{MAX_PROOF_BYTES}`"),
            Self::Jws(error) => error.fmt(f),
            Self::Type(typ) => write!(f, "the type `{}` is not `dpop+jwt`", Shown(typ)),
            Self::Algorithm(algorithm) => write!(f, "algorithm `{}` is not allowed here", algorithm.as_str()),
            Self::PrivateKey => f.write_str("its `jwk` is a private key"),
            Self::Key => f.write_str("its `jwk` is missing, not usable or does not fit its `alg`"),
            Self::OtherKey => f.write_str("the token is bound to another key"),
            Self::Claim(claim) => write!(f, "the claim `{claim}` is missing or malformed"),
            Self::OtherUse(claim) => write!(f, "made for another use, as `{claim}` tells"),
            Self::Time { made, now } if made > now => {
                write!(f, "`iat` lies `{}` s in the future", made.seconds_from(*now))
            }
            Self::Time { made, now } => write!(f, "made `{}` s ago", now.seconds_from(*made)),
            Self::Nonce { .. } => f.write_str("no nonce that counts"),
            Self::Signature => f.write_str("wrong signature"),
            Self::Replayed => f.write_str("used before"),
            Self::Forgotten => f.write_str("made before the oldest proof that is remembered"),
        }
    }
}

impl ProofError {
    /// The `error` of the challenge (RFC 9449 sections 7.1 and 9).
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Nonce { .. } => "use_dpop_nonce",
            Self::OtherKey => "invalid_token",
            _ => "invalid_dpop_proof",
        }
    }

    /// What the client is told: from a fixed list.
    pub(crate) const fn description(&self) -> &'static str {
        match self {
            Self::Missing => "a DPoP proof is required",
            Self::Doubled => "more than one DPoP proof was sent",
            Self::TooLong(_) | Self::Jws(_) | Self::Claim(_) => "the DPoP proof is malformed",
            Self::Type(_) => "the type of the DPoP proof is not dpop+jwt",
            Self::Algorithm(_) => "the algorithm of the DPoP proof is not accepted",
            Self::PrivateKey | Self::Key => "the key of the DPoP proof is not usable",
            Self::OtherKey => "the access token is bound to another key",
            Self::OtherUse(_) => "the DPoP proof was made for another request",
            Self::Time { .. } => "the DPoP proof was not made just now",
            Self::Nonce { .. } => "the DPoP proof needs the nonce of this server",
            Self::Signature => "the signature of the DPoP proof is not valid",
            Self::Replayed | Self::Forgotten => "the DPoP proof was used before",
        }
    }

    /// A stable name for logs and metrics.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "mcp_oauth_dpop_missing",
            Self::OtherKey => "mcp_oauth_dpop_key",
            Self::OtherUse(_) => "mcp_oauth_dpop_use",
            Self::Time { .. } => "mcp_oauth_dpop_time",
            Self::Nonce { .. } => "mcp_oauth_dpop_nonce",
            Self::Replayed | Self::Forgotten => "mcp_oauth_dpop_replay",
            Self::Signature => "mcp_oauth_dpop_signature",
            _ => "mcp_oauth_dpop_malformed",
        }
    }
}

/// RFC 7518 section 6 and RFC 8037 section 2.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

impl DpopPolicy {
    /// `alg` values, as challenges list them.
    pub(crate) fn algorithms(&self) -> String {
        let names: Vec<&str> = self.algorithms.iter().map(|algorithm| algorithm.as_str()).collect();
        names.join(" ")
    }

    /// RFC 9449 section 4.3. What costs most comes last: a signature is checked for the holder of the token's key only, and
    /// only a proof that is good is remembered.
    pub(crate) fn check(
        &self,
        proof: &[u8],
        wanted: &Use<'_>,
        now: UnixTime,
        acceleration: &mut Acceleration,
        replay: &mut Replay,
    ) -> Result<(), ProofError> {
        if proof.len() > MAX_PROOF_BYTES {
            return Err(ProofError::TooLong(proof.len()));
        }
        let text = str::from_utf8(proof).map_err(|_| ProofError::Jws(JwsError::Base64(Part::Header)))?;
        let jws = CompactJws::parse(text).map_err(ProofError::Jws)?;
        check_type(jws.typ.as_deref())?;
        if !self.algorithms.contains(&jws.algorithm) {
            return Err(ProofError::Algorithm(jws.algorithm));
        }
        let header = jws.header().map_err(ProofError::Jws)?;
        let jwk = header.get("jwk").and_then(Value::as_object).ok_or(ProofError::Key)?;
        if PRIVATE.into_iter().any(|member| jwk.has(member)) {
            return Err(ProofError::PrivateKey);
        }
        if Thumbprint::of(&jwk).ok_or(ProofError::Key)? != wanted.key {
            return Err(ProofError::OtherKey);
        }

        let claims = jws.claims().map_err(ProofError::Jws)?;
        let text = |claim: &'static str| claims.get(claim).and_then(Value::as_text).ok_or(ProofError::Claim(claim));
        let id = text("jti")?;
        if id.is_empty() || id.len() > MAX_ID_BYTES {
            return Err(ProofError::Claim("jti"));
        }
        if text("htm")?.as_bytes() != wanted.method {
            return Err(ProofError::OtherUse("htm"));
        }
        let target = Target { resource: wanted.resource, origin: &self.origin, path: wanted.path };
        if !target.is_named_by(&text("htu")?) {
            return Err(ProofError::OtherUse("htu"));
        }
        let made = numeric_date(&claims, "iat", Dates::Numbers).ok().flatten().ok_or(ProofError::Claim("iat"))?;
        if made > now.plus(self.clock_skew) || now > made.plus(self.max_age) {
            return Err(ProofError::Time { made, now });
        }
        if digest::from_base64url(&text("ath")?) != Some(wanted.token) {
            return Err(ProofError::OtherUse("ath"));
        }
        if let Some(nonces) = &self.nonces {
            let nonce = claims.get("nonce").and_then(Value::as_text);
            if !nonce.is_some_and(|nonce| nonces.is_fresh(&nonce, now, self.clock_skew)) {
                return Err(ProofError::Nonce { now });
            }
        }

        let key = Key::parse(&jwk).filter(|key| key.is_for(jws.algorithm)).ok_or(ProofError::Key)?;
        if key.public_key().signature_len() > MAX_RSA_BYTES {
            return Err(ProofError::Key);
        }
        acceleration
            .verify(key.public_key(), jws.algorithm, jws.signing_input.as_bytes(), &jws.signature)
            .map_err(|_| ProofError::Signature)?;
        replay.admit(wanted.key, &id, made, now)
    }
}

/// RFC 7515 section 4.1.9: `application/` may be left out, and media types have no case.
fn check_type(typ: Option<&str>) -> Result<(), ProofError> {
    let written = typ.unwrap_or_default();
    let typ = written.to_ascii_lowercase();
    if typ.strip_prefix("application/").unwrap_or(&typ) == "dpop+jwt" {
        return Ok(());
    }
    Err(ProofError::Type(written.into()))
}
