//! The resource identifier (RFC 8707 section 2, RFC 9728 section 1.2) and what follows from it.

use alloc::{string::String, vec, vec::Vec};

use crate::{
    path::RequestPath,
    uri::{HttpUri, UriError},
};

/// Where protected resource metadata lives (RFC 9728 section 3).
pub const METADATA_PATH: &str = "/.well-known/oauth-protected-resource";

/// The URI of a protected resource: exactly the URL that people type into their client.
///
/// Equality is equality of the text: RFC 9728 section 6 forbids normalizing before comparing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceUri(HttpUri);

impl ResourceUri {
    /// Accepts an absolute https URI (http on loopback hosts only) in normal form, without user information, fragment,
    /// default port and query, and with a path that a request can match.
    ///
    /// # Errors
    ///
    /// One [`UriError`].
    pub fn parse(text: &str) -> Result<Self, UriError> {
        // RFC 9728 section 1.2 says SHOULD NOT; clients treat a query in three different ways.
        if text.contains('?') {
            return Err(UriError::Query);
        }
        let uri = HttpUri::parse_for_clients(text)?;
        RequestPath::parse(uri.request_target().as_bytes()).map_err(UriError::Path)?;
        Ok(Self(uri))
    }

    /// The identifier exactly as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The part before the path.
    pub(crate) fn origin(&self) -> String {
        alloc::format!("{}://{}", self.0.scheme(), self.0.authority())
    }

    /// The values of `:authority` with which requests for this resource arrive.
    pub(crate) fn authorities(&self) -> Vec<String> {
        let authority = self.0.authority();
        let default_port = if self.0.scheme() == "https" { 443 } else { 80 };
        let has_port =
            authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        let mut all = vec![String::from(authority)];
        if !has_port {
            all.push(alloc::format!("{authority}:{default_port}"));
        }
        all
    }

    /// The path below which everything belongs to this resource; empty for a bare origin.
    pub(crate) fn base_path(&self) -> &str {
        let path = self.0.path();
        path.strip_suffix('/').unwrap_or(path)
    }

    /// The URL of this resource's metadata: the well-known path inserted between host and path (RFC 9728 section 3.1).
    #[must_use]
    pub fn metadata_url(&self) -> String {
        let path = self.0.path();
        let path = if path == "/" { "" } else { path };
        alloc::format!("{}://{}{METADATA_PATH}{path}", self.0.scheme(), self.0.authority())
    }

    /// The audiences that mean this resource.
    ///
    /// Clients send the `resource` parameter verbatim, except that older ones write a bare origin with a slash
    /// (typescript-sdk#1968), so for those both spellings count. Nothing else is ever considered equal.
    #[must_use]
    pub fn audiences(&self) -> Vec<String> {
        let text = self.as_str();
        match self.0.path() {
            "" => vec![text.into(), alloc::format!("{text}/")],
            "/" => vec![text.into(), text.trim_end_matches('/').into()],
            _ => vec![text.into()],
        }
    }
}
