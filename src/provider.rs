//! What is known of an authorization server by its product: the setting `provider`.
//!
//! A preset changes defaults, which the operator's own settings override, and adds checks; every comparison stays exact. One
//! rule of thumb is lifted, for authentik alone: its access tokens look like ID tokens, and the mark that is asked for
//! instead tells the two apart. Each quirk stands beside its symptom and its source; `tests/core/providers` has the documents
//! and tokens that show it.

use alloc::{string::String, vec::Vec};

use crate::{issuer::Issuer, uri::HttpUri};

/// Whose product an authorization server is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Provider {
    /// Nothing is known but the standards.
    #[default]
    Generic,
    /// Keycloak.
    Keycloak,
    /// Auth0.
    Auth0,
    /// Microsoft Entra ID.
    Entra,
    /// Okta.
    Okta,
    /// Google.
    Google,
    /// authentik.
    Authentik,
}

/// What is specific to a provider's tokens.
pub(crate) struct Preset {
    /// Scopes are in the first of these claims that is there.
    pub(crate) scope_claims: &'static [&'static str],
    /// The client is in the first of these claims.
    pub(crate) client_claims: &'static [&'static str],
    pub(crate) mark: Mark,
    /// Why `audiences` cannot be left out.
    pub(crate) audience: Option<&'static str>,
}

/// What makes a JWT whose header does not type it an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A claim `typ`; without it, that all claims are absent which ID tokens have.
    Shape,
    /// A claim `typ`.
    Typ,
    /// One of these claims, and that all are absent which ID tokens have.
    OneOf(&'static [&'static str]),
    /// All of these claims, beside which those that name the client and the login may stand as in ID tokens.
    AllOf(&'static [&'static str]),
    /// Nothing: access tokens are opaque, and all JWTs are something else.
    Nothing,
}

/// What the standards say; introspection answers are in their words, whoever answers (RFC 7662 section 2.2).
pub(crate) static STANDARD: Preset = GENERIC;

const GENERIC: Preset = Preset {
    // RFC 9068 section 2.2.3; `scp` is Entra's and Okta's.
    scope_claims: &["scope", "scp"],
    // RFC 9068 section 2.2; OpenID Connect servers that predate it say `azp`.
    client_claims: &["client_id", "azp"],
    mark: Mark::Shape,
    audience: None,
};

const KEYCLOAK: Preset = Preset {
    scope_claims: &["scope"],
    // Symptom: the header says `JWT` for access, ID, refresh and logout tokens alike (keycloak/keycloak#34146), unless a
    // client has "Use at+jwt as access token header type" (#37573); the claim `typ` differs: `Bearer`, or `DPoP` since that
    // is supported (services, DPoPUtil.java), `ID`, `Refresh`, `Logout`.
    mark: Mark::Typ,
    ..GENERIC
};

const AUTH0: Preset = Preset {
    // `permissions` (RBAC) is what the user may, whatever the client was granted, so it is none of the scopes.
    // Source: Auth0 docs, Access Token Profiles and "Enable Role-Based Access Control for APIs".
    scope_claims: &["scope"],
    // Symptom: the default profile types its tokens `JWT`; both profiles name the client, in `azp` or `client_id`, and ID
    // tokens do not. Source: Auth0 docs, Access Token Profiles, "Token profile differences".
    mark: Mark::OneOf(&["azp", "client_id"]),
    ..GENERIC
};

const ENTRA: Preset = Preset {
    // Symptom: tokens of client credentials have no `scp`; their permissions are in `roles`, which for users are
    // something else. Source: Microsoft docs, Access token claims reference, `scp` and `roles`.
    scope_claims: &["scp", "roles"],
    // `appid` in v1.0 tokens, `azp` in v2.0 tokens (same source). Symptom of their absence: an ID token has the
    // audience of an app that is client and resource, may have `roles`, and from the token endpoint has no `at_hash`.
    // Source: Microsoft docs, ID token claims reference.
    client_claims: &["azp", "appid"],
    mark: Mark::OneOf(&["azp", "appid"]),
    // Same source as `scp`, `aud`.
    audience: Some("Entra's tokens are for the client id of the API (v2.0) or its `api://` URI (v1.0)"),
};

const OKTA: Preset = Preset {
    // Symptom: no `scope` and no `client_id`; ID tokens have neither `scp` nor `cid`.
    // Source: Okta docs, OpenID Connect & OAuth 2.0 API, "Access token payload" and "ID token payload".
    scope_claims: &["scp"],
    client_claims: &["cid"],
    mark: Mark::OneOf(&["cid"]),
    audience: None,
};

const GOOGLE: Preset = Preset {
    // Symptom: access tokens are `ya29.…`, and whoever needs a JWT is tempted to take the ID token, whose audience is
    // the client. Source: Google Cloud docs, Token types; rabbitmq.com/docs/oauth2-examples-google.
    mark: Mark::Nothing,
    audience: Some("Google's tokens are for the client id"),
    ..GENERIC
};

const AUTHENTIK: Preset = Preset {
    // Symptom: access tokens have no `scope` unless a scope mapping adds it (goauthentik/authentik#6668).
    scope_claims: &["scope"],
    client_claims: &["azp"],
    // Symptom: an access token is a copy of the ID token, `nonce` and the client as audience included, with `azp` and
    // `uid` added. Source: goauthentik/authentik, providers/oauth2/id_token.py, `to_access_token`.
    mark: Mark::AllOf(&["azp", "uid"]),
    // Same source.
    audience: Some("authentik's tokens are for the client id"),
};

impl Provider {
    /// The words of the configuration.
    pub(crate) const NAMES: [(&'static str, Self); 7] = [
        ("generic", Self::Generic),
        ("keycloak", Self::Keycloak),
        ("auth0", Self::Auth0),
        ("entra", Self::Entra),
        ("okta", Self::Okta),
        ("google", Self::Google),
        ("authentik", Self::Authentik),
    ];

    pub(crate) const fn preset(self) -> &'static Preset {
        match self {
            Self::Generic => &GENERIC,
            Self::Keycloak => &KEYCLOAK,
            Self::Auth0 => &AUTH0,
            Self::Entra => &ENTRA,
            Self::Okta => &OKTA,
            Self::Google => &GOOGLE,
            Self::Authentik => &AUTHENTIK,
        }
    }

    /// What is wrong with the spelling of an issuer: the metadata would be of another, or no token would have it.
    pub(crate) fn misspelling(self, issuer: &Issuer) -> Option<&'static str> {
        let path = issuer.uri().path();
        let (fits, cure) = match self {
            Self::Generic => (true, ""),
            Self::Keycloak => (
                path.rsplit_once('/').is_some_and(|(above, realm)| above.ends_with("/realms") && !realm.is_empty()),
                "is no issuer of Keycloak: they end with `/realms/` and the name of the realm",
            ),
            // Symptom: `invalid issuer claim (iss)` (auth0/docs#5199, auth0-blog/nodejs-jwt-authentication-sample#32).
            Self::Auth0 => (path == "/", "is no issuer of Auth0: they end with `/` right behind the host"),
            // Symptom: `did not match the issuer returned by provider, expected ".../common/v2.0" got
            // ".../{tenantid}/v2.0"` (MicrosoftDocs/azure-docs#38427, #113944).
            Self::Entra => (
                tenant(issuer).is_some(),
                "is no issuer of Entra: write `https://login.microsoftonline.com/<tenant id>/v2.0`, the id in lower case; \
                 no token is of `common`, `organizations`, `consumers` or the name of a domain",
            ),
            // Symptom: `SigningKeyNotFoundError` (okta/okta-oidc-js#46, #422). Source: Okta docs, Validate access tokens:
            // nobody but Okta should consume tokens of the org server.
            Self::Okta => (
                path.strip_prefix("/oauth2/").is_some_and(|id| !id.is_empty() && !id.contains('/')),
                "is no issuer of an Okta custom authorization server: they end with `/oauth2/default`, or another id \
                 there; tokens of the org server are for Okta alone",
            ),
            // Symptom: `https://accounts.google.com/` is refused (github/copilot-cli#4606).
            Self::Google => (issuer.as_str() == "https://accounts.google.com", "is not `https://accounts.google.com`"),
            // Symptom: `issuer did not match the issuer returned by provider, expected ".../application/o/gokapi" got
            // ".../application/o/gokapi/"` (Forceu/Gokapi#149).
            Self::Authentik => (
                authentik_base(path).is_some(),
                "is no issuer of authentik: they end with `/application/o/`, the slug of the application and `/`, unless \
                 its issuer mode is another: then `provider` is `generic`, and `jwks_uri` is needed",
            ),
        };
        (!fits).then_some(cure)
    }

    /// By which other name tokens of the same server call it; its keys are the same.
    pub(crate) fn other_issuer(self, issuer: &Issuer) -> Option<String> {
        // Symptom: an API registered with `requestedAccessTokenVersion` 1 or null gets v1.0 tokens, from the v2.0 endpoint
        // too (AzureAD/microsoft-authentication-library-for-js#560, #2363). Source for the keys being the same:
        // MicrosoftDocs/azure-docs#22063.
        let has_two = self == Self::Entra && issuer.uri().authority() == "login.microsoftonline.com";
        let tenant = tenant(issuer).filter(|_| has_two)?;
        Some(alloc::format!("https://sts.windows.net/{tenant}/"))
    }

    /// Where the metadata may be, the likeliest place first.
    pub(crate) fn metadata_candidates(self, issuer: &Issuer) -> Vec<HttpUri> {
        let mut candidates = issuer.metadata_candidates();
        // Symptom: two 404 in the log before each first fetch. Keycloak before 26.4 (keycloak/keycloak#40923), Entra and
        // authentik (website/docs, OAuth 2.0 provider, "OAuth2 endpoints") have no document where RFC 8414 puts it; all
        // have the one of OpenID Connect Discovery, behind the issuer's path.
        if self != Self::Generic {
            candidates.reverse();
        }
        candidates
    }

    /// Where tokens are introspected, if the issuer says it.
    ///
    /// Does NOT know one of Auth0 and Entra: they have none.
    pub(crate) fn introspection_endpoint(self, issuer: &Issuer) -> Option<HttpUri> {
        let (issuer, path) = (issuer.uri(), issuer.uri().path());
        match self {
            Self::Generic | Self::Auth0 | Self::Entra => None,
            // Source: a realm's metadata, `introspection_endpoint`.
            Self::Keycloak => {
                Some(issuer.with_path(&alloc::format!("{path}/protocol/openid-connect/token/introspect")))
            }
            // Source: Okta docs, OpenID Connect & OAuth 2.0 API, "Composing your base URL" and "/introspect".
            Self::Okta => Some(issuer.with_path(&alloc::format!("{path}/v1/introspect"))),
            // Source: googleapis/google-auth-library-nodejs#337. It is on another host than the issuer.
            Self::Google => HttpUri::parse("https://oauth2.googleapis.com/tokeninfo").ok(),
            // Source: authentik docs, OAuth 2.0 provider, "OAuth2 endpoints": one for all applications.
            Self::Authentik => Some(issuer.with_path(&alloc::format!("{}/introspect/", authentik_base(path)?))),
        }
    }

    /// The audience below which clients ask for scopes that tokens carry by their short names.
    pub(crate) fn scope_base(self, audiences: &[String]) -> Option<&str> {
        // Symptom: `AADSTS9010010` or `AADSTS650053` where `mcp.read`, as `scp` has it, is asked for and not
        // `api://…/mcp.read` (anthropics/claude-ai-mcp#977, anthropics/claude-code#73460).
        let mut uris = audiences.iter().filter(|audience| audience.contains("://"));
        uris.next().filter(|_| self == Self::Entra && uris.next().is_none()).map(String::as_str)
    }
}

/// The tenant of an issuer as Entra writes them: `/<id>/v2.0`, and for v1.0 `https://sts.windows.net/<id>/`.
fn tenant(issuer: &Issuer) -> Option<&str> {
    let end = if issuer.uri().authority() == "sts.windows.net" { "/" } else { "/v2.0" };
    let id = issuer.uri().path().strip_prefix('/')?.strip_suffix(end)?;
    let fits = |(position, byte): (usize, u8)| match position {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    };
    (id.len() == 36 && id.bytes().enumerate().all(fits)).then_some(id)
}

/// Where authentik's endpoints are: what is before the slug of an issuer's path.
fn authentik_base(path: &str) -> Option<&str> {
    let (base, slug) = path.strip_suffix('/')?.rsplit_once('/')?;
    (base.ends_with("/application/o") && !slug.is_empty()).then_some(base)
}
