//! From a token whose signature is good, or that the operator listed, to the right to go upstream: [`VerifiedToken`] or
//! `StaticToken` → `Caller` → [`Grant`].

use core::fmt;

use alloc::{borrow::ToOwned, string::String, sync::Arc};

use crate::{
    confirmation::Confirmation,
    explain::{self, Check},
    filter_state::Notes,
    forward::{Identity, issuer_subject},
    jwk::KeySerial,
    message::Message,
    policy::{AuthorizationServer, Policy, ResourcePolicy},
    possession::Proved,
    refusal::Refusal,
    rules::Access,
    scope::ScopeSet,
    scope_policy::Needs,
    session::Owner,
    static_token::StaticToken,
    time::UnixTime,
    token::{Claims, TokenError},
    upstream_credential,
};

/// A token whose signature was checked, or for which its authorization server spoke, and whose issuer, type and form were
/// found good.
///
/// Does NOT say that it is good for a resource at this time: that is what makes a `Caller`.
pub struct VerifiedToken {
    claims: Claims,
    proof: Proof,
    identity: Identity,
    notes: Notes,
}

/// What vouches for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Its signature, made with this key of its issuer.
    Key(KeySerial),
    /// Its authorization server, when it was asked.
    Introspection,
}

/// Says nothing about the person behind it.
impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifiedToken(issuer {}, expires at {})", self.claims.issuer, self.claims.expires_at.0)
    }
}

/// The token is valid and may not do this (RFC 6750 section 3.1, `insufficient_scope`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InsufficientScope {
    /// What the token carries.
    pub granted: ScopeSet,
    /// What the client must ask for, in the names that it asks by.
    pub needed: ScopeSet,
}

/// Who asks: proof that a verified or static token is good for a resource now, or that there is no token.
///
/// Does NOT say what the caller may do: that is what makes a [`Grant`].
#[derive(Clone, Debug)]
pub(crate) struct Caller(Who);

#[derive(Clone, Debug)]
enum Who {
    Nobody,
    Token(Arc<VerifiedToken>),
    Static(Arc<StaticToken>),
}

/// Proof that a caller may do what the request asks for.
#[derive(Debug)]
pub struct Grant {
    caller: Caller,
}

impl VerifiedToken {
    /// A token that an active answer describes ([`crate::introspection`]).
    pub(crate) fn introspected(claims: Claims, policy: &Policy) -> Self {
        Self::new(claims, Proof::Introspection, policy)
    }

    pub(crate) fn new(mut claims: Claims, proof: Proof, policy: &Policy) -> Self {
        let issuer = policy.authorization_server(claims.issuer).map(|server| server.issuer().as_str());
        let (subject, client_id) = (claims.subject.as_deref(), claims.client_id.as_deref());
        let usual = policy.identity_headers().fill(subject, client_id, &claims.scopes, issuer);
        let notes = policy.filter_state().of_token(subject.map(issuer_subject), client_id, &claims.scopes, issuer);
        let told = core::mem::take(&mut claims.told);
        let identity = usual.into_iter().chain(told).collect();
        Self { claims, proof, identity, notes }
    }

    /// Every decision that depends on the resource and on the time. A token from the cache meets the same ones as a token
    /// that was verified just now.
    pub(crate) fn authenticate(
        self: Arc<Self>,
        resource: &ResourcePolicy,
        policy: &Policy,
        now: UnixTime,
        prove: impl FnOnce(Option<Confirmation>) -> Result<Proved, Refusal>,
    ) -> Result<Caller, Refusal> {
        explain::at(Check::Issuer);
        let server = policy.authorization_server(self.claims.issuer);
        let Some(server) = server.filter(|_| resource.issuers().contains(&self.claims.issuer)) else {
            let issuer = server.map(|server| server.issuer().as_str().to_owned());
            return Err(Refusal::Token(TokenError::Issuer(issuer.unwrap_or_default())));
        };
        explain::at(Check::Audience);
        self.claims.check_audience(resource).map_err(Refusal::Token)?;
        explain::at(Check::Times);
        self.claims.check_times(server, now).map_err(Refusal::Token)?;
        // Last, because a proof counts once.
        let _: Proved = prove(self.claims.bound_to)?;
        Ok(Caller(Who::Token(self)))
    }

    /// What whoever presents it has to prove.
    pub(crate) const fn bound_to(&self) -> Option<Confirmation> {
        self.claims.bound_to
    }

    pub(crate) const fn issuer(&self) -> usize {
        self.claims.issuer
    }

    pub(crate) const fn proof(&self) -> Proof {
        self.proof
    }

    pub(crate) const fn expires_at(&self) -> UnixTime {
        self.claims.expires_at
    }

    /// About how many bytes it keeps.
    pub(crate) fn weight(&self) -> usize {
        let audiences: usize = self.claims.audiences.iter().map(|audience| audience.len().saturating_add(24)).sum();
        let identity: usize = self.identity.iter().map(|(_, value)| value.len().saturating_add(40)).sum();
        let scopes: usize = self.claims.scopes.iter().map(|scope| scope.as_str().len().saturating_add(24)).sum();
        let facts = self.claims.facts.len().saturating_mul(8);
        let names = [&self.claims.subject, &self.claims.client_id].into_iter().flatten().map(String::len).sum();
        let notes: usize = self.notes.iter().map(|(_, value)| value.len().saturating_add(40)).sum();
        [256, audiences, identity, scopes, facts, names, notes].into_iter().fold(0, usize::saturating_add)
    }
}

impl Caller {
    /// A caller without a token. It may go on only by `Caller::grant_messages`.
    pub(crate) const fn anonymous() -> Self {
        Self(Who::Nobody)
    }

    /// The holder of a token that the operator listed for the resource.
    pub(crate) fn with_static(token: &Arc<StaticToken>, now: UnixTime) -> Result<Self, Refusal> {
        explain::at(Check::Times);
        token.check_time(now).map_err(Refusal::Token)?;
        Ok(Self(Who::Static(Arc::clone(token))))
    }

    /// The times of its token, which may have passed while the request was held.
    pub(crate) fn check_times(&self, policy: &Policy, now: UnixTime) -> Result<(), Refusal> {
        let checked = match &self.0 {
            Who::Nobody => Ok(()),
            Who::Static(token) => token.check_time(now),
            Who::Token(token) => match policy.authorization_server(token.claims.issuer) {
                Some(server) => token.claims.check_times(server, now),
                None => Err(TokenError::Issuer(String::new())),
            },
        };
        checked.map_err(Refusal::Token)
    }

    /// About how many bytes its token keeps. A static one is the policy's.
    pub(crate) fn weight(&self) -> usize {
        match &self.0 {
            Who::Token(token) => token.weight(),
            Who::Nobody | Who::Static(_) => 0,
        }
    }

    /// `None` without a token.
    fn scopes(&self) -> Option<&ScopeSet> {
        match &self.0 {
            Who::Nobody => None,
            Who::Token(token) => Some(&token.claims.scopes),
            Who::Static(token) => Some(token.scopes()),
        }
    }

    /// Header lines that tell the upstream who is calling.
    pub(crate) fn identity_lines(&self) -> &[(Arc<str>, String)] {
        static NOBODY: [(Arc<str>, String); 0] = [];
        match &self.0 {
            Who::Nobody => &NOBODY,
            Who::Token(token) => &token.identity,
            Who::Static(token) => token.identity(),
        }
    }

    /// What the proxy is told of the caller.
    pub(crate) fn notes(&self) -> &[(&'static str, String)] {
        match &self.0 {
            Who::Nobody => &[],
            Who::Token(token) => &token.notes,
            Who::Static(token) => token.notes(),
        }
    }

    /// The numbers of the conditions that the claims fulfil.
    pub(crate) fn facts(&self) -> &[usize] {
        match &self.0 {
            Who::Nobody => &[],
            Who::Token(token) => &token.claims.facts,
            Who::Static(token) => token.facts(),
        }
    }

    /// Whether the token carries what the resource and these rules ask for.
    pub(crate) fn has(&self, resource: &ResourcePolicy, needs: &[&Needs]) -> bool {
        self.scopes().is_some_and(|scopes| resource.scopes().allows(scopes, needs))
    }

    /// The right to do what `needs` is enough for.
    pub(crate) fn grant(self, resource: &ResourcePolicy, needs: &[&Needs]) -> Result<Grant, Refusal> {
        explain::at(Check::Scopes);
        let Some(scopes) = self.scopes() else { return Err(Refusal::MissingToken) };
        if self.has(resource, needs) {
            return Ok(Grant { caller: self });
        }
        let granted = scopes.clone();
        let needed = resource.scopes().needed(&granted, needs);
        Err(Refusal::InsufficientScope(InsufficientScope { granted, needed }))
    }

    /// The right to send messages: without any scope if they need no token and no rule asks for scopes.
    pub(crate) fn grant_messages(
        self,
        messages: &[Message<'_>],
        needs: &[&Needs],
        access: &Access,
        resource: &ResourcePolicy,
    ) -> Result<Grant, Refusal> {
        let needs_no_token = messages.iter().all(|message| access.is_anonymous(message));
        if needs_no_token && needs.iter().all(|needs| needs.is_nothing()) {
            return Ok(Grant { caller: self });
        }
        self.grant(resource, needs)
    }

    pub(crate) const fn is_anonymous(&self) -> bool {
        matches!(self.0, Who::Nobody)
    }

    /// Who is calling, for a server that verifies it; nobody without a token.
    pub(crate) fn identity<'i>(&'i self, policy: &'i Policy) -> Option<upstream_credential::Identity<'i>> {
        match &self.0 {
            Who::Nobody => None,
            Who::Token(token) => Some(upstream_credential::Identity::Token {
                issuer: policy.authorization_server(token.claims.issuer)?.issuer().as_str(),
                subject: token.claims.subject.as_deref(),
                client_id: token.claims.client_id.as_deref(),
                scopes: &token.claims.scopes,
            }),
            Who::Static(token) => {
                Some(upstream_credential::Identity::Static { name: token.name(), scopes: token.scopes() })
            }
        }
    }

    /// When its token counts no more, skew included; `None`: it has none, or one without end.
    pub(crate) fn ends_at(&self, policy: &Policy) -> Option<UnixTime> {
        match &self.0 {
            Who::Nobody => None,
            Who::Token(token) => {
                let skew = policy.authorization_server(token.claims.issuer).map(AuthorizationServer::clock_skew);
                Some(token.claims.expires_at.plus(skew.unwrap_or_default()))
            }
            Who::Static(token) => token.expires_at(),
        }
    }

    /// Whether this is who it was before: the same token, of which the same is known.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Who::Token(one), Who::Token(other)) => {
                let (mine, others) = (&one.claims, &other.claims);
                Arc::ptr_eq(one, other)
                    || ((mine.issuer, &mine.subject, &mine.client_id)
                        == (others.issuer, &others.subject, &others.client_id)
                        && (&mine.scopes, mine.expires_at) == (&others.scopes, others.expires_at))
            }
            (Who::Static(one), Who::Static(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// Whom a session of this caller belongs to: the subject, or the client where there is none. `None` for a token that
    /// names neither. Callers without a token are one: what they may do, everybody may.
    pub(crate) fn owner<'o>(&'o self, resource: &'o ResourcePolicy, policy: &'o Policy) -> Option<Owner<'o>> {
        let resource = resource.uri();
        let claims = match &self.0 {
            Who::Nobody => return Some(Owner { resource, issuer: "", subject: "", client: "" }),
            // No token of an issuer makes the same, because its issuer has a name.
            Who::Static(token) => return Some(Owner { resource, issuer: "", subject: token.name(), client: "" }),
            Who::Token(token) => &token.claims,
        };
        let issuer = policy.authorization_server(claims.issuer)?.issuer().as_str();
        let subject = claims.subject.as_deref();
        let client = claims.client_id.as_deref().filter(|_| subject.is_none());
        subject.or(client)?;
        Some(Owner { resource, issuer, subject: subject.unwrap_or_default(), client: client.unwrap_or_default() })
    }
}

impl Grant {
    pub(crate) const fn caller(&self) -> &Caller {
        &self.caller
    }
}
