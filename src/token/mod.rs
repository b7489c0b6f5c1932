//! From the bytes of a token to claims that a key vouches for: [`BearerToken`] → `Candidate` → [`VerifiedToken`].

mod error;

use alloc::{
    borrow::Cow,
    boxed::Box,
    string::{String, ToString as _},
    sync::Arc,
    vec,
    vec::Vec,
};

pub use error::{ClaimFault, TokenError};

use crate::{
    acceleration::Acceleration,
    bearer::BearerToken,
    claim,
    confirmation::Confirmation,
    explain::{self, Check},
    grant::{Proof, VerifiedToken},
    json::Object,
    jwk::Key,
    jws::{Algorithm, CompactJws},
    policy::{AuthorizationServer, Policy, ResourcePolicy},
    provider::Preset,
    scope::ScopeSet,
    signature::BadSignature,
    time::UnixTime,
    token_type::check_type,
};

/// A token that is plausible: everything that can be checked without a key was checked, the signature was not.
pub(crate) struct Candidate<'t> {
    jws: CompactJws<'t>,
    claims: Claims,
}

/// How dates are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dates {
    /// RFC 7519 section 2, NumericDate.
    Numbers,
    /// Some services put their numbers into texts.
    NumbersOrTexts,
}

/// What a decision needs of a token.
pub(crate) struct Claims {
    pub(crate) issuer: usize,
    pub(crate) audiences: Vec<String>,
    pub(crate) expires_at: UnixTime,
    /// `nbf` and `iat`: neither may lie in the future.
    starts: [(&'static str, Option<UnixTime>); 2],
    pub(crate) subject: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) scopes: ScopeSet,
    /// What its sender has to prove.
    pub(crate) bound_to: Option<Confirmation>,
    /// Header lines for the upstream.
    pub(crate) told: Vec<(Arc<str>, String)>,
    /// Numbers of the policy's conditions that hold.
    pub(crate) facts: Box<[usize]>,
}

impl<'t> Candidate<'t> {
    /// The cheap checks, before any key is looked for: a token for somebody else must not cause a fetch.
    pub(crate) fn parse(
        token: BearerToken<'t>,
        resource: &ResourcePolicy,
        policy: &Policy,
        now: UnixTime,
    ) -> Result<Self, TokenError> {
        explain::at(Check::Form);
        let jws = CompactJws::parse(token.expose()).map_err(TokenError::Jws)?;
        let set = jws.claims().map_err(TokenError::Jws)?;
        explain::at(Check::Issuer);
        let issuer = required_text(&set, "iss")?;
        let (index, server) = resource
            .issuers()
            .iter()
            .filter_map(|index| Some((*index, policy.authorization_server(*index)?)))
            .find(|(_, server)| server.is_issuer(&issuer))
            .ok_or_else(|| TokenError::Issuer(issuer.to_string()))?;
        explain::at(Check::Algorithm);
        if !server.allows(jws.algorithm) {
            return Err(TokenError::Algorithm(jws.algorithm));
        }
        explain::at(Check::Kind);
        check_type(jws.typ.as_deref(), &set, server)?;
        explain::at(Check::Claims);
        let claims = Claims::read(&set, index, server, server.preset(), policy, Dates::Numbers)?;
        explain::at(Check::Audience);
        claims.check_audience(resource)?;
        explain::at(Check::Times);
        claims.check_times(server, now)?;
        explain::at(Check::Binding);
        if claims.bound_to.is_some_and(|bound_to| !bound_to.is_provable(resource)) {
            return Err(TokenError::SenderConstrained);
        }
        Ok(Self { jws, claims })
    }

    /// The authorization server that must have the key.
    pub(crate) const fn issuer(&self) -> usize {
        self.claims.issuer
    }

    pub(crate) fn key_id(&self) -> Option<&str> {
        self.jws.key_id.as_deref()
    }

    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.jws.algorithm
    }

    /// The only way to a [`VerifiedToken`].
    pub(crate) fn verify(
        self,
        key: &Key,
        policy: &Policy,
        acceleration: &mut Acceleration,
    ) -> Result<VerifiedToken, BadSignature> {
        let text = self.jws.signing_input.as_bytes();
        acceleration.verify(key.public_key(), self.jws.algorithm, text, &self.jws.signature)?;
        Ok(VerifiedToken::new(self.claims, Proof::Key(key.serial()), policy))
    }
}

/// RFC 7519 section 4.1.3: a text or an array of texts.
fn audiences(claims: &Object<'_>) -> Result<Vec<String>, TokenError> {
    let aud = claims.get("aud").ok_or(TokenError::Claim("aud", ClaimFault::Missing))?;
    let items = aud.as_items().unwrap_or_else(|| vec![aud]);
    let texts: Option<_> = items.into_iter().map(|item| item.as_text().map(Cow::into_owned)).collect();
    texts.ok_or(TokenError::Claim("aud", ClaimFault::Type))
}

impl Claims {
    /// What a token or an introspection answer says, of which `iss` and kind were checked.
    pub(crate) fn read(
        set: &Object<'_>,
        index: usize,
        server: &AuthorizationServer,
        names: &Preset,
        policy: &Policy,
        dates: Dates,
    ) -> Result<Self, TokenError> {
        let date = |claim| numeric_date(set, claim, dates);
        Ok(Self {
            issuer: index,
            audiences: audiences(set)?,
            expires_at: date("exp")?.ok_or(TokenError::Claim("exp", ClaimFault::Missing))?,
            starts: [("nbf", date("nbf")?), ("iat", date("iat")?)],
            subject: optional_text(set, "sub")?,
            client_id: client_id(set, names)?,
            scopes: scopes(set, server, names)?,
            bound_to: Confirmation::of(set).inspect_err(|_| explain::at(Check::Binding))?,
            told: policy.identity_headers().of_claims(set),
            facts: policy.facts(set),
        })
    }

    /// RFC 8707 section 2: one accepted audience, code point by code point.
    pub(crate) fn check_audience(&self, resource: &ResourcePolicy) -> Result<(), TokenError> {
        if self.audiences.iter().any(|audience| resource.accepts_audience(audience)) {
            return Ok(());
        }
        Err(TokenError::Audience { found: self.audiences.join(" "), accepted: resource.audiences().join(" ") })
    }

    /// The `exp` alone, if there is one.
    pub(crate) fn check_end(
        set: &Object<'_>,
        server: &AuthorizationServer,
        dates: Dates,
        now: UnixTime,
    ) -> Result<(), TokenError> {
        match numeric_date(set, "exp", dates)? {
            Some(at) if now >= at.plus(server.clock_skew()) => Err(TokenError::Expired { at, now }),
            _ => Ok(()),
        }
    }

    /// RFC 7519 sections 4.1.4 to 4.1.6.
    pub(crate) fn check_times(&self, server: &AuthorizationServer, now: UnixTime) -> Result<(), TokenError> {
        let skew = server.clock_skew();
        if now >= self.expires_at.plus(skew) {
            return Err(TokenError::Expired { at: self.expires_at, now });
        }
        for (claim, at) in self.starts {
            if let Some(at) = at
                && now.plus(skew) < at
            {
                return Err(TokenError::NotYetValid { claim, at, now });
            }
        }
        Ok(())
    }
}

/// A NumericDate may have a fraction, which is cut off. Dates after 9999 are refused: they are milliseconds taken for
/// seconds, and would make a token that never expires.
pub(crate) fn numeric_date(
    claims: &Object<'_>,
    claim: &'static str,
    dates: Dates,
) -> Result<Option<UnixTime>, TokenError> {
    const LAST_SECOND_OF_9999: u64 = 253_402_300_799;
    let Some(value) = claims.get(claim) else { return Ok(None) };
    let text = value.as_text().filter(|_| dates == Dates::NumbersOrTexts);
    let number = value.as_number().or(text.as_deref()).ok_or(TokenError::Claim(claim, ClaimFault::Type))?;
    let whole = whole_number(number).ok_or(TokenError::Claim(claim, ClaimFault::Range))?;
    if whole > LAST_SECOND_OF_9999 {
        return Err(TokenError::Claim(claim, ClaimFault::Range));
    }
    Ok(Some(UnixTime(whole)))
}

/// A JSON number without its fraction; `None` if it is negative or has more than 18 digits. (What the standard library reads
/// numbers with brings 16 KiB of tables.)
fn whole_number(number: &str) -> Option<u64> {
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (number, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (is_negative, whole) = whole.strip_prefix('-').map_or((false, whole), |whole| (true, whole));
    let digits = || whole.bytes().chain(fraction.bytes());
    let is_number = !whole.is_empty() && digits().all(|digit| digit.is_ascii_digit());
    let length = i64::try_from(whole.len()).ok()?.saturating_add(exponent.into()).max(0);
    if !is_number || length > 18 || (is_negative && digits().any(|digit| digit != b'0')) {
        return None;
    }
    let digits = digits().chain(core::iter::repeat(b'0')).take(usize::try_from(length).ok()?);
    Some(digits.fold(0, |sum, digit| sum.wrapping_mul(10).wrapping_add(u64::from(digit & 0xF))))
}

/// All that the configured claims hold; without any, the first of the usual ones that is there, a text or an array.
fn scopes(claims: &Object<'_>, server: &AuthorizationServer, names: &Preset) -> Result<ScopeSet, TokenError> {
    let Some(listed) = server.scope_claims() else {
        let mut usual = names.scope_claims.iter();
        let Some((claim, value)) = usual.find_map(|claim| Some((*claim, claims.get(claim)?))) else {
            return Ok(ScopeSet::default());
        };
        return claim::scopes(value).ok_or(TokenError::Claim(claim, ClaimFault::Type));
    };
    let mut all = ScopeSet::default();
    for (claim, value) in listed.iter().filter_map(|claim| Some((claim, claim.find(claims).ok()?))) {
        let scopes = claim::scopes(value).ok_or_else(|| TokenError::ScopeClaim(claim.0.clone()))?;
        all = all.iter().chain(scopes.iter()).cloned().collect();
    }
    Ok(all)
}

fn client_id(claims: &Object<'_>, names: &Preset) -> Result<Option<String>, TokenError> {
    names.client_claims.iter().try_fold(None, |found: Option<String>, claim| {
        let text = optional_text(claims, claim)?;
        Ok(found.or(text))
    })
}

fn required_text<'j>(claims: &Object<'j>, claim: &'static str) -> Result<Cow<'j, str>, TokenError> {
    let value = claims.get(claim).ok_or(TokenError::Claim(claim, ClaimFault::Missing))?;
    value.as_text().ok_or(TokenError::Claim(claim, ClaimFault::Type))
}

fn optional_text(claims: &Object<'_>, claim: &'static str) -> Result<Option<String>, TokenError> {
    let Some(value) = claims.get(claim) else { return Ok(None) };
    let text = value.as_text().ok_or(TokenError::Claim(claim, ClaimFault::Type))?;
    Ok((!text.is_empty()).then(|| text.into_owned()))
}
