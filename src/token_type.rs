//! Which JWTs are access tokens: other kinds come from the same issuer, signed with the same keys.

use alloc::borrow::ToOwned as _;

use crate::{
    json::{Object, Value},
    policy::AuthorizationServer,
    provider::{Mark, Preset},
    token::TokenError,
};

/// RFC 9068 section 4 and RFC 8725 sections 3.11 and 3.12.
pub(crate) fn check_type(
    typ: Option<&str>,
    claims: &Object<'_>,
    server: &AuthorizationServer,
) -> Result<(), TokenError> {
    let preset = server.preset();
    if preset.mark == Mark::Nothing {
        return Err(TokenError::OpaqueOnly);
    }
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
    match (preset.mark, claims.get("typ").and_then(Value::as_text).as_deref()) {
        // Keycloak types its tokens by claim, and before version 24 put `nonce` into access tokens too.
        (Mark::Shape | Mark::Typ, Some("Bearer" | "DPoP")) => return Ok(()),
        (Mark::Typ, None) => return Err(TokenError::Unmarked("typ")),
        (_, None | Some("Bearer" | "DPoP")) => {}
        (_, Some(_)) => return Err(TokenError::NotAccessToken("typ")),
    }
    let missing = match preset.mark {
        Mark::OneOf(names) if !names.iter().any(|name| claims.has(name)) => names.first(),
        Mark::AllOf(names) => names.iter().find(|name| !claims.has(name)),
        _ => None,
    };
    if let Some(name) = missing {
        return Err(TokenError::Unmarked(name));
    }
    check_shape(claims, preset.mark)?;
    if is_for_client(claims, preset) && !matches!(preset.mark, Mark::AllOf(_)) {
        return Err(TokenError::NotAccessToken("aud"));
    }
    Ok(())
}

/// ID tokens, logout and security event tokens, DPoP proofs.
pub(crate) fn check_shape(claims: &Object<'_>, mark: Mark) -> Result<(), TokenError> {
    let telling = ["nonce", "at_hash", "c_hash", "s_hash", "events", "htm", "htu", "ath"];
    let mut telling = telling.into_iter().skip(usize::from(matches!(mark, Mark::AllOf(_))));
    telling.find(|claim| claims.has(claim)).map_or(Ok(()), |claim| Err(TokenError::NotAccessToken(claim)))
}

/// OpenID Connect Core section 2: the audience of an ID token is the client. Where an application is both client and
/// resource (Entra), only the absence of scopes and roles tells the two apart.
fn is_for_client(claims: &Object<'_>, preset: &Preset) -> bool {
    let audience = claims.get("aud").and_then(|aud| match aud.as_items().as_deref() {
        Some([only]) => only.as_text(),
        _ => aud.as_text(),
    });
    // From the end, because an ID token says `azp`.
    let client = preset.client_claims.iter().rev().find_map(|claim| claims.get(claim)).and_then(Value::as_text);
    let has_rights = ["scope", "scp", "roles"].into_iter().any(|claim| claims.has(claim));
    audience.is_some() && audience == client && !has_rights
}
