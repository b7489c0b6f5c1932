//! From the bytes of a token to claims that a key vouches for: [`BearerToken`] → `Candidate` → [`VerifiedToken`].

use core::fmt;

use alloc::{
    borrow::Cow,
    boxed::Box,
    string::{String, ToString as _},
    sync::Arc,
    vec,
    vec::Vec,
};

use crate::{
    acceleration::Acceleration,
    bearer::BearerToken,
    claim,
    confirmation::Confirmation,
    grant::{Proof, VerifiedToken},
    json::Object,
    jwk::Key,
    jws::{Algorithm, CompactJws, JwsError},
    policy::{AuthorizationServer, Policy, ResourcePolicy},
    provider::Preset,
    scope::ScopeSet,
    shown::Shown,
    signature::BadSignature,
    time::UnixTime,
    token_type::check_type,
};

/// Why a token is not valid for a resource. To the client all of them are `invalid_token`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// It is no compact JWS.
    Jws(JwsError),
    /// Its `typ` is not that of an access token (RFC 8725 section 3.11), or not `at+jwt` where that is required.
    Type(String),
    /// It has the shape of another kind of token (RFC 8725 section 3.12); this claim gives it away.
    NotAccessToken(&'static str),
    /// It lacks the claim that the provider's access tokens have and its other tokens have not.
    Unmarked(&'static str),
    /// The provider's access tokens are opaque, so a JWT is something else.
    OpaqueOnly,
    /// A claim is absent or not of its type.
    Claim(&'static str, ClaimFault),
    /// A claim that scopes are read from is neither a text nor an array.
    ScopeClaim(String),
    /// No authorization server of the resource is this issuer.
    Issuer(String),
    /// The issuer may not use this algorithm here.
    Algorithm(Algorithm),
    /// It was issued for somebody else.
    Audience {
        /// What the token says.
        found: String,
        /// What the resource accepts.
        accepted: String,
    },
    /// Its `exp` has passed, skew included.
    Expired {
        /// The `exp` claim.
        at: UnixTime,
        /// When it was judged.
        now: UnixTime,
    },
    /// Its `nbf` or `iat` lies in the future, skew included.
    NotYetValid {
        /// The claim.
        claim: &'static str,
        /// Its value.
        at: UnixTime,
        /// When it was judged.
        now: UnixTime,
    },
    /// It is bound to a key (`cnf`, RFC 7800) whose possession was not proved (RFC 9449 section 7.2).
    SenderConstrained,
    /// It is bound to no key, and must be: the resource takes no other, or it was presented with the scheme `DPoP`.
    NotBound,
    /// It is bound to a certificate (RFC 8705 section 3), and the client has none or another one.
    Certificate,
    /// The issuer has no key with this `kid` that fits.
    UnknownKey(Option<String>),
    /// It has no `kid`, and several keys fit.
    AmbiguousKey,
    /// The signature is wrong.
    Signature,
    /// Its authorization server says that it is not active (RFC 7662 section 2.2).
    Inactive,
}

/// What is wrong with a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimFault {
    /// It is absent.
    Missing,
    /// It has another JSON type than RFC 7519 section 4.1 says.
    Type,
    /// It is a number, but no date between 1970 and 9999.
    Range,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jws(error) => error.fmt(f),
            Self::Type(typ) => write!(f, "the type `{}` is not that of an access token here", Shown(typ)),
            Self::NotAccessToken(claim) => write!(f, "not an access token: it has the shape told by `{claim}`"),
            Self::Unmarked(claim) => write!(f, "not an access token: this provider's have `{claim}`"),
            Self::OpaqueOnly => f.write_str("not an access token: this provider's are opaque"),
            Self::Claim(claim, ClaimFault::Missing) => write!(f, "the claim `{claim}` is missing"),
            Self::Claim(claim, ClaimFault::Type) => write!(f, "the claim `{claim}` has the wrong type"),
            Self::Claim(claim, ClaimFault::Range) => write!(f, "the claim `{claim}` is no date"),
            Self::ScopeClaim(claim) => write!(f, "the claim `{claim}` has the wrong type"),
            Self::Issuer(issuer) => {
                write!(f, "issuer `{}` is no authorization server of this resource", Shown(issuer))
            }
            Self::Algorithm(algorithm) => write!(f, "algorithm `{}` is not allowed here", algorithm.as_str()),
            Self::Audience { found, accepted } => {
                write!(f, "audience `{}` does not include `{}`", Shown(found), Shown(accepted))
            }
            Self::Expired { at, now } => write!(f, "expired `{}` s ago", now.seconds_from(*at)),
            Self::NotYetValid { claim, at, now } => {
                write!(f, "`{claim}` lies `{}` s in the future", at.seconds_from(*now))
            }
            Self::SenderConstrained => f.write_str("bound to a key (`cnf`) whose possession was not proved"),
            Self::NotBound => f.write_str("not bound to a key (`cnf.jkt`)"),
            Self::Certificate => f.write_str("bound to another certificate than the client's"),
            Self::UnknownKey(Some(id)) => write!(f, "no usable key `{}`", Shown(id)),
            Self::UnknownKey(None) => f.write_str("no `kid`, and no key fits"),
            Self::AmbiguousKey => f.write_str("no `kid`, and several keys fit"),
            Self::Signature => f.write_str("wrong signature"),
            Self::Inactive => f.write_str("its authorization server says that it is not active"),
        }
    }
}

impl TokenError {
    /// What the client is told: from a fixed list, without any value of the token.
    pub(crate) const fn description(&self) -> &'static str {
        match self {
            Self::Jws(_) | Self::Claim(..) | Self::ScopeClaim(_) => "the access token is malformed",
            Self::Type(_) | Self::NotAccessToken(_) | Self::Unmarked(_) | Self::OpaqueOnly => {
                "the token is not an access token"
            }
            Self::Issuer(_) => "the access token was issued by another authorization server",
            Self::Audience { .. } => "the access token was issued for another resource",
            Self::Expired { .. } => "the access token expired",
            Self::NotYetValid { .. } => "the access token is not valid yet",
            Self::Inactive => "the access token is not active",
            Self::SenderConstrained => "the access token is sender-constrained and no proof was verified",
            Self::NotBound => "the access token is not bound to a DPoP key",
            Self::Certificate => "the access token is bound to another client certificate",
            Self::Algorithm(_) | Self::UnknownKey(_) | Self::AmbiguousKey | Self::Signature => {
                "the signature of the access token is not valid"
            }
        }
    }

    /// Whether no issuer of the resource answers for the token, so that it may be one of the operator's own.
    pub(crate) fn is_foreign(&self) -> bool {
        matches!(self, Self::Jws(_) | Self::Issuer(_) | Self::Claim("iss", _))
    }

    /// A stable name for logs and metrics.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Jws(_) => "mcp_oauth_token_malformed",
            Self::Type(_) | Self::NotAccessToken(_) | Self::Unmarked(_) | Self::OpaqueOnly => "mcp_oauth_token_type",
            Self::Claim(..) | Self::ScopeClaim(_) => "mcp_oauth_token_claim",
            Self::Issuer(_) => "mcp_oauth_token_issuer",
            Self::Algorithm(_) => "mcp_oauth_token_algorithm",
            Self::Audience { .. } => "mcp_oauth_token_audience",
            Self::Expired { .. } => "mcp_oauth_token_expired",
            Self::NotYetValid { .. } => "mcp_oauth_token_not_yet_valid",
            Self::SenderConstrained => "mcp_oauth_token_sender_constrained",
            Self::NotBound => "mcp_oauth_token_not_bound",
            Self::Certificate => "mcp_oauth_token_certificate",
            Self::UnknownKey(_) | Self::AmbiguousKey => "mcp_oauth_token_key",
            Self::Signature => "mcp_oauth_token_signature",
            Self::Inactive => "mcp_oauth_token_inactive",
        }
    }
}

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
        let jws = CompactJws::parse(token.expose()).map_err(TokenError::Jws)?;
        let set = jws.claims().map_err(TokenError::Jws)?;
        let issuer = required_text(&set, "iss")?;
        let (index, server) = resource
            .issuers()
            .iter()
            .filter_map(|index| Some((*index, policy.authorization_server(*index)?)))
            .find(|(_, server)| server.is_issuer(&issuer))
            .ok_or_else(|| TokenError::Issuer(issuer.to_string()))?;
        if !server.allows(jws.algorithm) {
            return Err(TokenError::Algorithm(jws.algorithm));
        }
        check_type(jws.typ.as_deref(), &set, server)?;
        let claims = Claims::read(&set, index, server, server.preset(), policy, Dates::Numbers)?;
        claims.check_audience(resource)?;
        claims.check_times(server, now)?;
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
            bound_to: Confirmation::of(set)?,
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
