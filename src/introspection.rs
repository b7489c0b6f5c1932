//! Asking an authorization server what a token is worth (RFC 7662): the question, and what its answer proves.

use core::{fmt, time::Duration};

use alloc::sync::Arc;

use crate::{
    bearer::BearerToken,
    client_authentication::ClientAuthentication,
    confirmation::Confirmation,
    explain::{self, Check},
    fetch::{Answer, FetchError, Post},
    form::Form,
    grant::VerifiedToken,
    json::{self, JsonError, Object, Value},
    policy::{AuthorizationServer, Policy},
    provider::STANDARD,
    secret::Secret,
    time::UnixTime,
    token::{Claims, Dates, TokenError},
    token_type::check_shape,
    uri::HttpUri,
};

/// Where and how an authorization server is asked.
#[derive(Clone, Debug)]
pub(crate) struct Introspection {
    pub(crate) tokens: Tokens,
    pub(crate) endpoint: HttpUri,
    pub(crate) cluster: Arc<str>,
    pub(crate) service: Service,
    pub(crate) timeout: Duration,
    /// How long an active answer counts at the most.
    pub(crate) max_age: Duration,
    /// How long an inactive one does.
    pub(crate) inactive_max_age: Duration,
}

/// About which tokens a server is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tokens {
    /// Those that are no JWS: its JWTs are checked with its keys alone.
    #[default]
    OpaqueOnly,
    /// All of them: JWTs after they were found good, because they may have been revoked.
    Always,
}

/// What kind of service answers.
#[derive(Clone, Debug)]
pub(crate) enum Service {
    /// RFC 7662.
    Rfc7662(ClientAuthentication),
    /// Google has no introspection. Its `tokeninfo` tells who a token is for and until when: numbers are texts in it, and a
    /// bad token is a 400 (developers.google.com/identity/protocols/oauth2, "Validating access tokens").
    GoogleTokeninfo,
}

/// Why an answer says nothing about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IntrospectionError {
    /// There is no usable answer.
    Fetch(FetchError),
    /// It is not strict JSON.
    Json(JsonError),
    /// It has no `active`, or one that is neither true nor false.
    Active,
    /// It is an error other than that the token is not valid.
    Refused,
}

impl fmt::Display for IntrospectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetch(FetchError::Status(status)) if status == "401" => {
                f.write_str("answered 401: check the client id and its secret")
            }
            Self::Fetch(error) => error.fmt(f),
            Self::Json(error) => write!(f, "the answer: {error}"),
            Self::Active => f.write_str("the answer has no `active` that is true or false"),
            Self::Refused => f.write_str("the answer is an error"),
        }
    }
}

/// What became of a token.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is what this says.
    Active(Arc<VerifiedToken>),
    /// It is not to be used, and will not be.
    Inactive,
    /// It is active, and not what a token must be.
    Refused(TokenError),
}

impl Introspection {
    /// The question about a token (RFC 7662 section 2.1).
    pub(crate) fn question(&self, token: &Secret) -> Post {
        let (form, authorization) = match &self.service {
            Service::Rfc7662(client) => {
                let form = Form::default().field("token", token.expose()).field("token_type_hint", "access_token");
                client.apply(form)
            }
            Service::GoogleTokeninfo => (Form::default().field("access_token", token.expose()), None),
        };
        Post { authorization, form: Secret::from(form.finish()) }
    }

    /// What the answer says (RFC 7662 section 2.2). `verified` is a token that was found good by its signature: of that, only
    /// what may have changed is asked.
    pub(crate) fn read(
        &self,
        answer: Result<Answer<'_>, FetchError>,
        issuer: usize,
        server: &AuthorizationServer,
        verified: Option<Arc<VerifiedToken>>,
        policy: &Policy,
        now: UnixTime,
    ) -> Result<Verdict, IntrospectionError> {
        let statuses: &[&[u8]] = match self.service {
            Service::Rfc7662(_) => &[b"200"],
            Service::GoogleTokeninfo => &[b"200", b"400"],
        };
        let (status, document) =
            answer.and_then(|answer| answer.json_of(statuses)).map_err(IntrospectionError::Fetch)?;
        // Nearly all of them may be left out, and some servers write null for that.
        let answer = json::object(document.body).map_err(IntrospectionError::Json)?.skipping_nulls();
        match self.service {
            Service::Rfc7662(_) => match answer.get("active").and_then(Value::as_truth) {
                Some(true) => {}
                Some(false) => return Ok(Verdict::Inactive),
                None => return Err(IntrospectionError::Active),
            },
            Service::GoogleTokeninfo if status == b"400" => {
                let error = answer.get("error").and_then(Value::as_text);
                // The older of the two forms in which it says so names no error.
                let is_invalid = match error.as_deref() {
                    Some(error) => error == "invalid_token",
                    None => answer.has("error_description"),
                };
                return if is_invalid { Ok(Verdict::Inactive) } else { Err(IntrospectionError::Refused) };
            }
            Service::GoogleTokeninfo => {}
        }
        let dates = match self.service {
            Service::Rfc7662(_) => Dates::Numbers,
            Service::GoogleTokeninfo => Dates::NumbersOrTexts,
        };
        let judged = match verified {
            Some(token) => still_good(&answer, &token, server, dates, now).map(|()| token),
            None => read_token(&answer, issuer, server, policy, dates).map(Arc::new),
        };
        Ok(judged.map_or_else(Verdict::Refused, Verdict::Active))
    }
}

/// All of the token is in the answer, and everything that a JWT must say must stand there.
fn read_token(
    answer: &Object<'_>,
    issuer: usize,
    server: &AuthorizationServer,
    policy: &Policy,
    dates: Dates,
) -> Result<VerifiedToken, TokenError> {
    explain::at(Check::Issuer);
    check_issuer(answer, server)?;
    explain::at(Check::Kind);
    // A refresh token is active too, and RFC 7662 section 2.2 leaves it to the server to tell: in `token_type` as of RFC 6749
    // section 5.1, in `typ` (Keycloak) or in `token_use` (Ory, Cognito).
    let kinds: [(&str, [&str; 2]); 3] =
        [("token_type", ["Bearer", "DPoP"]), ("token_use", ["access_token", "access"]), ("typ", ["Bearer", "DPoP"])];
    let mut is_typed = false;
    for (member, known) in kinds {
        let Some(kind) = answer.get(member) else { continue };
        let kind = kind.as_text();
        if !known.into_iter().any(|known| kind.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case(known))) {
            return Err(TokenError::NotAccessToken(member));
        }
        is_typed = member == "typ";
    }
    // Keycloak before version 24 put `nonce` into access tokens too.
    if !is_typed {
        check_shape(answer, server.preset().mark)?;
    }
    explain::at(Check::Claims);
    let claims = Claims::read(answer, issuer, server, &STANDARD, policy, dates)?;
    Ok(VerifiedToken::introspected(claims, policy))
}

fn still_good(
    answer: &Object<'_>,
    token: &VerifiedToken,
    server: &AuthorizationServer,
    dates: Dates,
    now: UnixTime,
) -> Result<(), TokenError> {
    check_issuer(answer, server)?;
    // RFC 9449 section 6.2: both say what the token is bound to, and the answer may leave it out.
    if answer.has("cnf") && Confirmation::of(answer)? != token.bound_to() {
        return Err(TokenError::SenderConstrained);
    }
    Claims::check_end(answer, server, dates, now)
}

/// RFC 7662 has `iss` optional, and it was this issuer that was asked.
fn check_issuer(answer: &Object<'_>, server: &AuthorizationServer) -> Result<(), TokenError> {
    let Some(issuer) = answer.get("iss") else { return Ok(()) };
    match issuer.as_text() {
        Some(issuer) if server.is_issuer(&issuer) => Ok(()),
        other => Err(TokenError::Issuer(other.unwrap_or_default().into_owned())),
    }
}

/// A token to ask about: well-formed, so that nothing in it can leave its field.
pub(crate) fn secret(token: BearerToken<'_>) -> Secret {
    Secret::new(token.expose())
}
