//! From the bytes of a token to the right to go upstream, one type per stage:
//! [`BearerToken`] → `Candidate` → [`VerifiedToken`] → [`Grant`].

use core::fmt;

use alloc::{
    borrow::{Cow, ToOwned},
    string::{String, ToString as _},
    sync::Arc,
    vec,
    vec::Vec,
};

use crate::{
    acceleration::Acceleration,
    bearer::BearerToken,
    forward::Identity,
    json::{Object, Value},
    jwk::{Key, KeySerial},
    jws::{Algorithm, CompactJws, JwsError},
    policy::{AuthorizationServer, Policy, ResourcePolicy},
    refusal::Refusal,
    scope::{Scope, ScopeSet},
    shown::Shown,
    signature::BadSignature,
    time::UnixTime,
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
    /// A claim is absent or not of its type.
    Claim(&'static str, ClaimFault),
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
    /// The issuer has no key with this `kid` that fits.
    UnknownKey(Option<String>),
    /// It has no `kid`, and several keys fit.
    AmbiguousKey,
    /// The signature is wrong.
    Signature,
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
            Self::Claim(claim, ClaimFault::Missing) => write!(f, "the claim `{claim}` is missing"),
            Self::Claim(claim, ClaimFault::Type) => write!(f, "the claim `{claim}` has the wrong type"),
            Self::Claim(claim, ClaimFault::Range) => write!(f, "the claim `{claim}` is no date"),
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
            Self::UnknownKey(Some(id)) => write!(f, "no usable key `{}`", Shown(id)),
            Self::UnknownKey(None) => f.write_str("no `kid`, and no key fits"),
            Self::AmbiguousKey => f.write_str("no `kid`, and several keys fit"),
            Self::Signature => f.write_str("wrong signature"),
        }
    }
}

impl TokenError {
    /// What the client is told: from a fixed list, without any value of the token.
    pub(crate) const fn description(&self) -> &'static str {
        match self {
            Self::Jws(_) | Self::Claim(..) => "the access token is malformed",
            Self::Type(_) | Self::NotAccessToken(_) => "the token is not an access token",
            Self::Issuer(_) => "the access token was issued by another authorization server",
            Self::Audience { .. } => "the access token was issued for another resource",
            Self::Expired { .. } => "the access token expired",
            Self::NotYetValid { .. } => "the access token is not valid yet",
            Self::SenderConstrained => "the access token is sender-constrained and no proof was verified",
            Self::Algorithm(_) | Self::UnknownKey(_) | Self::AmbiguousKey | Self::Signature => {
                "the signature of the access token is not valid"
            }
        }
    }

    /// A stable name for logs and metrics.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Jws(_) => "mcp_oauth_token_malformed",
            Self::Type(_) | Self::NotAccessToken(_) => "mcp_oauth_token_type",
            Self::Claim(..) => "mcp_oauth_token_claim",
            Self::Issuer(_) => "mcp_oauth_token_issuer",
            Self::Algorithm(_) => "mcp_oauth_token_algorithm",
            Self::Audience { .. } => "mcp_oauth_token_audience",
            Self::Expired { .. } => "mcp_oauth_token_expired",
            Self::NotYetValid { .. } => "mcp_oauth_token_not_yet_valid",
            Self::SenderConstrained => "mcp_oauth_token_sender_constrained",
            Self::UnknownKey(_) | Self::AmbiguousKey => "mcp_oauth_token_key",
            Self::Signature => "mcp_oauth_token_signature",
        }
    }
}

/// A token that is plausible: everything that can be checked without a key was checked, the signature was not.
pub(crate) struct Candidate<'t> {
    jws: CompactJws<'t>,
    claims: Claims,
}

/// What a decision needs of a token.
struct Claims {
    issuer: usize,
    audiences: Vec<String>,
    expires_at: UnixTime,
    /// `nbf` and `iat`: neither may lie in the future.
    starts: [(&'static str, Option<UnixTime>); 2],
    subject: Option<String>,
    client_id: Option<String>,
    scopes: ScopeSet,
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
            .find(|(_, server)| server.issuer().as_str() == issuer)
            .ok_or_else(|| TokenError::Issuer(issuer.to_string()))?;
        if !server.allows(jws.algorithm) {
            return Err(TokenError::Algorithm(jws.algorithm));
        }
        check_type(jws.typ.as_deref(), &set, server)?;
        let audiences = audiences(&set)?;
        check_audience(&audiences, resource)?;
        let claims = Claims {
            issuer: index,
            audiences,
            expires_at: numeric_date(&set, "exp")?.ok_or(TokenError::Claim("exp", ClaimFault::Missing))?,
            starts: [("nbf", numeric_date(&set, "nbf")?), ("iat", numeric_date(&set, "iat")?)],
            subject: optional_text(&set, "sub")?,
            // RFC 9068 section 2.2; OpenID Connect servers that predate it say `azp`.
            client_id: optional_text(&set, "client_id")?.or(optional_text(&set, "azp")?),
            scopes: scopes(&set)?,
        };
        claims.check_times(server, now)?;
        if set.has("cnf") {
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
        Ok(VerifiedToken::new(self.claims, key.serial(), policy))
    }
}

/// A token whose signature was checked, and whose issuer, type and form were found good.
///
/// Does NOT say that it is good for a resource at this time: that is what makes a [`Grant`].
pub struct VerifiedToken {
    claims: Claims,
    key: KeySerial,
    identity: Identity,
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
}

/// Proof that a verified token is good for a resource now, and carries every scope that a request needs.
#[derive(Debug)]
pub struct Grant {
    token: Arc<VerifiedToken>,
}

impl VerifiedToken {
    fn new(claims: Claims, key: KeySerial, policy: &Policy) -> Self {
        let issuer = policy.authorization_server(claims.issuer).map(|server| server.issuer().as_str());
        let (subject, client_id) = (claims.subject.as_deref(), claims.client_id.as_deref());
        let identity = policy.identity_headers().fill(subject, client_id, &claims.scopes, issuer);
        Self { claims, key, identity }
    }

    /// Every decision that depends on the request and on the time. A token from the cache meets the same ones as a
    /// token that was verified just now.
    pub(crate) fn authorize(
        self: Arc<Self>,
        resource: &ResourcePolicy,
        policy: &Policy,
        now: UnixTime,
    ) -> Result<Grant, Refusal> {
        let server = policy.authorization_server(self.claims.issuer);
        let Some(server) = server.filter(|_| resource.issuers().contains(&self.claims.issuer)) else {
            let issuer = server.map(|server| server.issuer().as_str().to_owned());
            return Err(Refusal::Token(TokenError::Issuer(issuer.unwrap_or_default())));
        };
        check_audience(&self.claims.audiences, resource).map_err(Refusal::Token)?;
        self.claims.check_times(server, now).map_err(Refusal::Token)?;
        if !self.claims.scopes.covers(resource.required_scopes()) {
            return Err(Refusal::InsufficientScope(InsufficientScope { granted: self.claims.scopes.clone() }));
        }
        Ok(Grant { token: self })
    }

    pub(crate) const fn issuer(&self) -> usize {
        self.claims.issuer
    }

    pub(crate) const fn key(&self) -> KeySerial {
        self.key
    }

    pub(crate) const fn expires_at(&self) -> UnixTime {
        self.claims.expires_at
    }

    /// About how many bytes it keeps.
    pub(crate) fn weight(&self) -> usize {
        let audiences: usize = self.claims.audiences.iter().map(|audience| audience.len().saturating_add(24)).sum();
        let identity: usize = self.identity.iter().map(|(_, value)| value.len().saturating_add(40)).sum();
        let scopes: usize = self.claims.scopes.iter().map(|scope| scope.as_str().len().saturating_add(24)).sum();
        [256, audiences, identity, scopes].into_iter().fold(0, usize::saturating_add)
    }
}

impl Grant {
    /// Header lines that tell the upstream who is calling.
    pub(crate) fn identity(&self) -> &Identity {
        &self.token.identity
    }
}

/// RFC 9068 section 4 and RFC 8725 sections 3.11 and 3.12: other JWTs of the same issuer, with the same keys, must not
/// pass as access tokens.
fn check_type(typ: Option<&str>, claims: &Object<'_>, server: &AuthorizationServer) -> Result<(), TokenError> {
    let written = typ.unwrap_or_default();
    let typ = written.to_ascii_lowercase();
    // RFC 7515 section 4.1.9: `application/` may be left out.
    match typ.strip_prefix("application/").unwrap_or(&typ) {
        "at+jwt" => return Ok(()),
        "" | "jwt" if !server.requires_at_jwt() => {}
        // `logout+jwt`, `dpop+jwt`, `oauth-id-jag+jwt`, `secevent+jwt`, and what will be registered next.
        _ => return Err(TokenError::Type(written.to_owned())),
    }
    // Untyped from here on, so the shape decides.
    match claims.get("typ").and_then(Value::as_text).as_deref() {
        // Keycloak types its tokens by claim, and before version 24 put `nonce` into access tokens too.
        Some("Bearer") => return Ok(()),
        Some(_) => return Err(TokenError::NotAccessToken("typ")),
        None => {}
    }
    // ID tokens, logout and security event tokens, DPoP proofs.
    let telling = ["nonce", "at_hash", "c_hash", "s_hash", "events", "htm", "htu", "ath"];
    if let Some(claim) = telling.into_iter().find(|claim| claims.has(claim)) {
        return Err(TokenError::NotAccessToken(claim));
    }
    // OpenID Connect Core section 2: the audience of an ID token is the client. Where an application is both client and
    // resource (Entra), only the absence of scopes and roles tells the two apart.
    let audience = claims.get("aud").and_then(|aud| match aud.as_items().as_deref() {
        Some([only]) => only.as_text(),
        _ => aud.as_text(),
    });
    let client = claims.get("azp").or_else(|| claims.get("client_id")).and_then(Value::as_text);
    let has_rights = ["scope", "scp", "roles"].into_iter().any(|claim| claims.has(claim));
    if audience.is_some() && audience == client && !has_rights {
        return Err(TokenError::NotAccessToken("aud"));
    }
    Ok(())
}

/// RFC 7519 section 4.1.3: a text or an array of texts.
fn audiences(claims: &Object<'_>) -> Result<Vec<String>, TokenError> {
    let aud = claims.get("aud").ok_or(TokenError::Claim("aud", ClaimFault::Missing))?;
    let items = aud.as_items().unwrap_or_else(|| vec![aud]);
    let texts: Option<_> = items.into_iter().map(|item| item.as_text().map(Cow::into_owned)).collect();
    texts.ok_or(TokenError::Claim("aud", ClaimFault::Type))
}

/// RFC 8707 section 2: one accepted audience, code point by code point.
fn check_audience(found: &[String], resource: &ResourcePolicy) -> Result<(), TokenError> {
    if found.iter().any(|audience| resource.accepts_audience(audience)) {
        return Ok(());
    }
    Err(TokenError::Audience { found: found.join(" "), accepted: resource.audiences().join(" ") })
}

impl Claims {
    /// RFC 7519 sections 4.1.4 to 4.1.6.
    fn check_times(&self, server: &AuthorizationServer, now: UnixTime) -> Result<(), TokenError> {
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
fn numeric_date(claims: &Object<'_>, claim: &'static str) -> Result<Option<UnixTime>, TokenError> {
    const LAST_SECOND_OF_9999: u64 = 253_402_300_799;
    let Some(value) = claims.get(claim) else { return Ok(None) };
    let number = value.as_number().ok_or(TokenError::Claim(claim, ClaimFault::Type))?;
    let whole = match number.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let seconds = number.parse::<f64>().ok().filter(|seconds| *seconds >= 0.0 && *seconds < 1e15);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked above")]
            seconds.map(|seconds| seconds as u64).ok_or(TokenError::Claim(claim, ClaimFault::Range))?
        }
    };
    if whole > LAST_SECOND_OF_9999 {
        return Err(TokenError::Claim(claim, ClaimFault::Range));
    }
    Ok(Some(UnixTime(whole)))
}

/// `scope` (RFC 9068 section 2.2.3), or `scp` of Entra (text) and Okta (array).
fn scopes(claims: &Object<'_>) -> Result<ScopeSet, TokenError> {
    for claim in ["scope", "scp"] {
        let Some(value) = claims.get(claim) else { continue };
        return match (value.as_text(), value.as_items()) {
            (Some(list), _) => Ok(ScopeSet::from_list(&list)),
            (_, Some(items)) => Ok(items.into_iter().filter_map(|item| Scope::parse(&item.as_text()?)).collect()),
            _ => Err(TokenError::Claim(claim, ClaimFault::Type)),
        };
    }
    Ok(ScopeSet::default())
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
