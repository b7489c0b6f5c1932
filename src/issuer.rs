//! The issuer identifier of an authorization server and its metadata (RFC 8414, OpenID Connect Discovery 1.0).

use core::fmt;

use alloc::{
    string::{String, ToString as _},
    vec,
    vec::Vec,
};

use crate::{
    json::{self, JsonError, Value},
    shown::Shown,
    uri::{HttpUri, UriError},
};

/// An issuer identifier. Equality is equality of the text (RFC 8414 section 3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer(HttpUri);

impl Issuer {
    /// Accepts an absolute https URI (http on loopback hosts only) without query and fragment (RFC 8414 section 2).
    ///
    /// # Errors
    ///
    /// One [`UriError`].
    pub fn parse(text: &str) -> Result<Self, UriError> {
        if text.contains('?') { Err(UriError::Query) } else { HttpUri::parse(text).map(Self) }
    }

    /// The identifier exactly as it was written: what `iss` must be.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) const fn uri(&self) -> &HttpUri {
        &self.0
    }

    /// Where the metadata may be, in the order of the MCP specification (Authorization Server Metadata Discovery).
    #[must_use]
    pub fn metadata_candidates(&self) -> Vec<HttpUri> {
        let path = self.0.path();
        // RFC 8414 section 3.1: a terminating slash goes before the well-known part is inserted.
        let path = path.strip_suffix('/').unwrap_or(path);
        let at = |path: &str| self.0.with_path(path);
        let mut candidates = vec![
            at(&alloc::format!("/.well-known/oauth-authorization-server{path}")),
            at(&alloc::format!("/.well-known/openid-configuration{path}")),
        ];
        if !path.is_empty() {
            candidates.push(at(&alloc::format!("{path}/.well-known/openid-configuration")));
        }
        candidates
    }

    /// Finds `jwks_uri` in a metadata document that is this issuer's own.
    ///
    /// Does NOT look at any other member: clients do, and they get the document from the authorization server itself.
    pub(crate) fn jwks_uri(&self, document: &[u8]) -> Result<HttpUri, MetadataError> {
        let metadata = json::object(document).map_err(MetadataError::Json)?;
        let text = |member: &str| metadata.get(member).and_then(Value::as_text);
        match text("issuer") {
            Some(issuer) if issuer == self.as_str() => {}
            other => return Err(MetadataError::Issuer(other.unwrap_or_default().into_owned())),
        }
        let uri = text("jwks_uri").ok_or(MetadataError::NoJwksUri)?;
        let jwks_uri = HttpUri::parse(&uri).map_err(|error| MetadataError::JwksUri(uri.to_string(), error))?;
        if self.0.scheme() == "https" && jwks_uri.scheme() != "https" {
            // Keys must not travel less protected than the issuer's name promises.
            return Err(MetadataError::JwksUri(uri.into_owned(), UriError::Scheme));
        }
        Ok(jwks_uri)
    }
}

/// Why an authorization server's metadata cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetadataError {
    /// It is not strict JSON.
    Json(JsonError),
    /// It names this issuer (empty: none), not the configured one (RFC 8414 section 3.3).
    Issuer(String),
    /// It has no `jwks_uri`.
    NoJwksUri,
    /// This `jwks_uri` is not acceptable.
    JwksUri(String, UriError),
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "the metadata: {error}"),
            Self::Issuer(found) => write!(f, "the metadata is of issuer `{}`", Shown(found)),
            Self::NoJwksUri => f.write_str("the metadata has no `jwks_uri`"),
            Self::JwksUri(uri, error) => write!(f, "the `jwks_uri` `{}` {error}", Shown(uri)),
        }
    }
}
