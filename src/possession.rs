//! What a request proves beside its token, and whether that is enough for what the token is bound to.

use core::fmt;

use alloc::boxed::Box;

use crate::{
    acceleration::Acceleration,
    bearer::Scheme,
    confirmation::Confirmation,
    digest::{Digest, sha256},
    dpop::{ProofError, Replay, Use},
    path::RequestPath,
    policy::ResourcePolicy,
    refusal::Refusal,
    request::{Certificate, Line, Request},
    time::UnixTime,
    token::TokenError,
};

/// What a request proves. It waits with the request, and is judged once.
pub(crate) struct Possession {
    scheme: Scheme,
    certificate: Certificate,
    /// Only where the scheme is `DPoP`.
    proof: Proof,
    method: Box<[u8]>,
    path: Box<str>,
    /// SHA-256 of the token.
    token: Digest,
}

enum Proof {
    None,
    One(Box<[u8]>),
    Several,
}

/// Evidence that a token is its sender's: all that it is bound to was proved. Nothing but [`Possession::prove`] makes one.
#[derive(Debug)]
pub(crate) struct Proved(());

/// A proof that was not used yet is worth something.
impl fmt::Debug for Possession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Possession({:?})", self.scheme)
    }
}

impl Possession {
    pub(crate) fn of(request: &Request<'_>, path: &RequestPath<'_>, resource: &ResourcePolicy) -> Self {
        let presented = request.authorization().unread_in(resource.schemes());
        let certificate = request.certificate();
        let Some((scheme @ Scheme::Dpop, token)) = presented else { return Self::bearer(certificate) };
        let proof = match request.proof() {
            Line::Absent => Proof::None,
            Line::One(proof) => Proof::One(proof.into()),
            Line::Several => Proof::Several,
        };
        let (method, path, token) = (request.method().into(), path.as_str().into(), sha256(token));
        Self { scheme, certificate, proof, method, path, token }
    }

    fn bearer(certificate: Certificate) -> Self {
        let (method, path, token) = (Box::default(), Box::default(), Digest::default());
        Self { scheme: Scheme::Bearer, certificate, proof: Proof::None, method, path, token }
    }

    pub(crate) const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Judges what the request proves against what its token, which must be good for the resource, is bound to. A proof
    /// counts once, so this must be asked once for each request.
    pub(crate) fn prove(
        &self,
        bound_to: Option<Confirmation>,
        resource: &ResourcePolicy,
        now: UnixTime,
        acceleration: &mut Acceleration,
        replay: &mut Replay,
    ) -> Result<Proved, Refusal> {
        let refuse = |error| Err(Refusal::Token(error));
        // RFC 8705 section 3.
        if resource.mutual_tls() && self.certificate == Certificate::Unknown {
            return Err(Refusal::Host("client certificate"));
        }
        match (bound_to.and_then(|bound_to| bound_to.certificate), self.certificate) {
            (None, _) => {}
            (Some(_), _) if !resource.mutual_tls() => return refuse(TokenError::SenderConstrained),
            (Some(wanted), Certificate::Sha256(shown)) if wanted == shown => {}
            (Some(_), _) => return refuse(TokenError::Certificate),
        }
        // RFC 9449 section 7.2: a token that is bound to a key is never taken as a bearer token.
        match (bound_to.and_then(|bound_to| bound_to.key), self.scheme, resource.dpop()) {
            (None, Scheme::Bearer, Some(dpop)) if dpop.required => refuse(TokenError::NotBound),
            (None, Scheme::Bearer, _) => Ok(Proved(())),
            (None, Scheme::Dpop, _) => refuse(TokenError::NotBound),
            (Some(key), Scheme::Dpop, Some(dpop)) => {
                let (method, path) = (&*self.method, &*self.path);
                let wanted = Use { method, path, resource: resource.uri(), token: self.token, key };
                match &self.proof {
                    Proof::None => Err(ProofError::Missing),
                    Proof::Several => Err(ProofError::Doubled),
                    Proof::One(proof) => dpop.check(proof, &wanted, now, acceleration, replay),
                }
                .map(|()| Proved(()))
                .map_err(Refusal::Proof)
            }
            (Some(_), ..) => refuse(TokenError::SenderConstrained),
        }
    }
}
