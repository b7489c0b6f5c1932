//! Absolute `https` URIs that keep the spelling they were given.
//!
//! Issuers and resources are compared code point by code point (RFC 8414 section 3.3, RFC 9728 section 6), so nothing
//! here normalizes: a URI that is not already in its normal form is refused, with the normal form in the error.

use core::fmt;

use alloc::{borrow::ToOwned, string::String};
use url::{Host, Url};

use crate::shown::ShownUri;

/// An absolute URI with scheme `https`, or `http` on a loopback host, without user information and fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUri {
    text: String,
    scheme: &'static str,
    authority: String,
    path_and_query: String,
    path_len: usize,
}

/// Why a text is no acceptable URI.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UriError {
    /// It does not parse as an absolute URI with a host.
    NotAbsolute,
    /// The scheme is not the one that is allowed here.
    Scheme,
    /// `http` outside the loopback interface: whoever is on the path reads the tokens.
    Http,
    /// It carries a user name or a password.
    UserInfo,
    /// Its host name has characters other than letters, digits, `-`, `_` and `.` (RFC 1123 section 2.1, and what is in use).
    HostName,
    /// It has a fragment, which RFC 8707 section 2 and RFC 9728 section 1.2 forbid.
    Fragment,
    /// It has a query.
    Query,
    /// It names the default port of its scheme, which clients drop before they compare.
    DefaultPort,
    /// It is not in normal form (upper-case host, dot segments, odd characters...); this is.
    NotNormal(String),
    /// A request for its path would be refused as ambiguous, so it could never be matched.
    Path(crate::path::PathError),
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAbsolute => f.write_str("is not an absolute URI with a host"),
            Self::Scheme => f.write_str("has a scheme other than https"),
            Self::Http => f.write_str("is http, which is allowed on loopback hosts only"),
            Self::UserInfo => f.write_str("has user information"),
            Self::HostName => {
                f.write_str("has a host name with other characters than letters, digits, `-`, `_` and `.`")
            }
            Self::Fragment => f.write_str("has a fragment, which RFC 8707 section 2 forbids"),
            Self::Query => f.write_str("has a query"),
            Self::DefaultPort => f.write_str("names the default port of its scheme: leave the port out"),
            Self::NotNormal(normal) => write!(f, "is not in normal form: write `{}`", ShownUri(normal)),
            Self::Path(error) => write!(f, "has a path that no request can match: {error}"),
        }
    }
}

impl HttpUri {
    /// Parses a URI that is compared as text. The default port of its scheme may be named, as some authorization servers do in
    /// their issuer.
    ///
    /// # Errors
    ///
    /// One [`UriError`] for the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        Self::read(text, true)
    }

    /// The same of one that clients compare: they drop a default port first.
    pub(crate) fn parse_for_clients(text: &str) -> Result<Self, UriError> {
        Self::read(text, false)
    }

    fn read(text: &str, may_name_port: bool) -> Result<Self, UriError> {
        let url = Url::parse(text).map_err(|_| UriError::NotAbsolute)?;
        let (scheme, default_port) = match url.scheme() {
            "https" => ("https", ":443"),
            "http" if is_loopback(url.host()) => ("http", ":80"),
            "http" => return Err(UriError::Http),
            _ => return Err(UriError::Scheme),
        };
        // The URL standard lets a host name have quotes, and this one will stand in a quoted header value.
        if url.domain().is_some_and(|name| !name.bytes().all(is_host_name_byte)) {
            return Err(UriError::HostName);
        }
        if url.fragment().is_some() {
            return Err(UriError::Fragment);
        }
        let (written_scheme, after_scheme) = text.split_once("://").ok_or(UriError::NotAbsolute)?;
        let authority_end = after_scheme.find(['/', '?', '\\']).unwrap_or(after_scheme.len());
        let (written_authority, rest) = after_scheme.split_at_checked(authority_end).ok_or(UriError::NotAbsolute)?;
        if written_authority.contains('@') {
            return Err(UriError::UserInfo);
        }
        let authority = url.authority();
        // A bare origin is normal both with and without the slash that a parser adds.
        let normal = url.as_str();
        let normal = if rest.is_empty() { normal.strip_suffix('/').unwrap_or(normal) } else { normal };
        // IPv6 addresses end with a bracket.
        let host = written_authority.strip_suffix(default_port).unwrap_or(written_authority);
        if !may_name_port && host.len() < written_authority.len() {
            return Err(UriError::DefaultPort);
        }
        if alloc::format!("{written_scheme}://{host}{rest}") != normal {
            return Err(UriError::NotNormal(normal.to_owned()));
        }
        let path_len = rest.find('?').unwrap_or(rest.len());
        Ok(Self {
            text: text.to_owned(),
            scheme,
            authority: authority.to_owned(),
            path_and_query: rest.to_owned(),
            path_len,
        })
    }

    /// The URI exactly as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `https` or `http`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// Host and, if it is not the default one, port.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The path as it was written: empty for a bare origin.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path_and_query.get(..self.path_len).unwrap_or_default()
    }

    /// Path and query as a request line needs them: never empty.
    #[must_use]
    pub fn request_target(&self) -> String {
        let slash = if self.path_len == 0 { "/" } else { "" };
        alloc::format!("{slash}{}", self.path_and_query)
    }

    /// The same origin with another path.
    #[must_use]
    pub(crate) fn with_path(&self, path: &str) -> Self {
        Self {
            text: alloc::format!("{}://{}{path}", self.scheme, self.authority),
            scheme: self.scheme,
            authority: self.authority.clone(),
            path_and_query: path.to_owned(),
            path_len: path.len(),
        }
    }
}

const fn is_host_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// RFC 8252 section 7.3 names the loopback literals; `localhost` is what people type.
fn is_loopback(host: Option<Host<&str>>) -> bool {
    match host {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
