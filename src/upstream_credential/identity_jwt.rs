//! Identity JWTs: who is calling, signed by the gate, for servers that verify instead of trusting their network.

use core::time::Duration;

use alloc::{string::String, sync::Arc};

use super::{Line, signing_key::SigningKeys};
use crate::{
    forward::{issuer_subject, static_subject},
    json::Quoted,
    metadata::Document,
    scope::ScopeSet,
    secret::Secret,
    time::UnixTime,
};

/// How a resource's server is told who is calling.
#[derive(Clone, Debug)]
pub(crate) struct IdentityJwt {
    /// In lower case. `authorization` gets the scheme `Bearer`, any other one the bare JWT.
    pub(crate) header: Arc<str>,
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) max_age: Duration,
    pub(crate) keys: SigningKeys,
    pub(crate) jwks_path: String,
    /// The public keys, as they are served.
    pub(crate) jwks: Document,
}

/// Who is calling, as a verified or static token tells.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Identity<'i> {
    /// The claims of an issuer's token.
    Token { issuer: &'i str, subject: Option<&'i str>, client_id: Option<&'i str>, scopes: &'i ScopeSet },
    /// The holder of the static token of this name.
    Static { name: &'i str, scopes: &'i ScopeSet },
}

impl IdentityJwt {
    /// The header line, signed. It says nothing of a token that counts no more, so it ends with it.
    pub(super) fn line(&self, identity: Identity<'_>, ends_at: Option<UnixTime>, now: UnixTime) -> Line {
        let jwt = self.keys.sign(&self.claims(identity, ends_at, now));
        let is_authorization = &*self.header == "authorization";
        let value = if is_authorization { alloc::format!("Bearer {jwt}") } else { jwt };
        Line { name: Arc::clone(&self.header), value: Secret::from(value) }
    }

    /// How long one may be given to the server again: what is left of it then is as long.
    pub(crate) fn reuse(&self) -> Duration {
        self.max_age.checked_div(2).unwrap_or_default()
    }

    /// RFC 7519 section 4.1, RFC 8693 sections 4.2 and 4.3, RFC 9493 section 3.2.2.
    fn claims(&self, identity: Identity<'_>, ends_at: Option<UnixTime>, now: UnixTime) -> String {
        let (scopes, subject, client_id) = match identity {
            Identity::Token { subject, client_id, scopes, .. } => (scopes, subject.map(distinct_subject), client_id),
            Identity::Static { name, scopes } => (scopes, Some(static_subject(name)), None),
        };
        let scopes = alloc::format!("{scopes}");
        let longest = now.plus(self.max_age);
        let expires_at = ends_at.map_or(longest, |at| at.min(longest));
        let mut claims = alloc::format!("{{\"iat\":{},\"exp\":{}", now.0, expires_at.0);
        let texts = [
            ("iss", Some(self.issuer.as_str())),
            ("aud", Some(&self.audience)),
            ("sub", subject.as_deref()),
            ("client_id", client_id),
            ("scope", Some(scopes.as_str()).filter(|scopes| !scopes.is_empty())),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                claims.push_str(&alloc::format!(",\"{name}\":{}", Quoted(value)));
            }
        }
        if let Identity::Token { issuer, subject: Some(subject), .. } = identity {
            let (issuer, subject) = (Quoted(issuer), Quoted(subject));
            claims
                .push_str(&alloc::format!(",\"sub_id\":{{\"format\":\"iss_sub\",\"iss\":{issuer},\"sub\":{subject}}}"));
        }
        claims.push('}');
        claims
    }
}

/// The subject as its issuer has it; only one that could be taken for the holder of a static token is written as the
/// identity headers have it.
fn distinct_subject(subject: &str) -> String {
    let is_alike = subject.starts_with("static:") || subject.starts_with("static%");
    if is_alike { issuer_subject(subject) } else { subject.into() }
}
