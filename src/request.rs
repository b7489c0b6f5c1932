//! The head of a request, as far as the gate reads it: bytes in, borrowed, one pass over the headers.

use core::fmt;

use alloc::vec::Vec;

use crate::{
    bearer::Authorization,
    digest,
    forward::IdentityHeaders,
    message::{HeaderMismatch, McpHeaders},
};

/// What the gate knows of a request. Everything in it is attacker's choice.
#[derive(Default)]
pub struct Request<'r> {
    method: Option<&'r [u8]>,
    path: Option<&'r [u8]>,
    authority: Option<&'r [u8]>,
    host: Option<&'r [u8]>,
    /// A pseudo header that came twice: readers disagree on which counts.
    doubled: bool,
    authorization: Authorization<'r>,
    origin: Line<'r>,
    session: Line<'r>,
    mcp_method: Line<'r>,
    mcp_name: Line<'r>,
    protocol_version: Line<'r>,
    content_type: Line<'r>,
    content_encoding: Line<'r>,
    accept: Line<'r>,
    accept_encoding: bool,
    ended: bool,
    preflight_method: bool,
    preflight_headers: Option<&'r [u8]>,
    if_none_match: Option<&'r [u8]>,
    size: usize,
    forbidden: Vec<&'r [u8]>,
    session_variants: Vec<&'r [u8]>,
    credential_variants: Vec<&'r [u8]>,
    route: RouteResource<'r>,
    proof: Line<'r>,
    certificate: Certificate,
}

/// The resource that the proxy's route names, as far as the host could tell. It is the operator's word, not the client's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RouteResource<'r> {
    /// The host did not look, or failed.
    #[default]
    Unknown,
    /// The route names none.
    Unnamed,
    /// The route names this one.
    Named(&'r [u8]),
}

/// The certificate of the client, as far as the host could tell (RFC 8705).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Certificate {
    /// The host did not look, or failed.
    #[default]
    Unknown,
    /// The connection has none.
    Absent,
    /// The SHA-256 of its DER form. The client has the private key: that is what a handshake shows.
    Sha256([u8; 32]),
}

impl Certificate {
    /// Reads a digest in 64 lower-case hexadecimal digits; nothing means that there is no certificate.
    #[must_use]
    pub fn from_hex(text: &[u8]) -> Self {
        match digest::from_hex(text) {
            Some(digest) => Self::Sha256(digest),
            None if text.is_empty() => Self::Absent,
            None => Self::Unknown,
        }
    }
}

/// The lines of one header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Line<'r> {
    /// None.
    #[default]
    Absent,
    /// One, with this value.
    One(&'r [u8]),
    /// More: readers disagree on which counts.
    Several,
}

impl<'r> Line<'r> {
    fn add(&mut self, value: &'r [u8]) {
        *self = if *self == Self::Absent { Self::One(value) } else { Self::Several };
    }
}

/// Says nothing of the path, whose query may hold a token.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.map(<[u8]>::len);
        write!(f, "Request({:?}, path of {path:?} bytes)", self.authorization)
    }
}

/// Credentials that are meant for the gate or for the proxy, never for the upstream.
const CREDENTIALS: [&str; 2] = ["dpop", "proxy-authorization"];

const SESSION: &str = "mcp-session-id";

impl<'r> Request<'r> {
    /// Reads header lines in the order in which they came, pseudo headers included; names in any case.
    pub fn new(headers: impl IntoIterator<Item = (&'r [u8], &'r [u8])>, identity: &IdentityHeaders) -> Self {
        let mut request = Self::default();
        for (name, value) in headers {
            request.add(name, value, identity);
        }
        request
    }

    /// Says whether the head was all of the request.
    #[must_use]
    pub const fn ended(mut self, ended: bool) -> Self {
        self.ended = ended;
        self
    }

    /// Says which resource the proxy's route names; it counts where the policy lets routes name them
    /// ([`crate::policy::Policy::reads_route_metadata`]).
    #[must_use]
    pub const fn on_route(mut self, route: RouteResource<'r>) -> Self {
        self.route = route;
        self
    }

    /// Says which certificate the client showed; it counts where the policy asks for it
    /// ([`crate::policy::Policy::reads_certificate`]).
    #[must_use]
    pub const fn on_connection(mut self, certificate: Certificate) -> Self {
        self.certificate = certificate;
        self
    }

    pub(crate) const fn certificate(&self) -> Certificate {
        self.certificate
    }

    /// The `DPoP` header.
    pub(crate) const fn proof(&self) -> Line<'r> {
        self.proof
    }

    pub(crate) const fn route(&self) -> RouteResource<'r> {
        self.route
    }

    fn add(&mut self, name: &'r [u8], value: &'r [u8], identity: &IdentityHeaders) {
        // As RFC 9113 section 6.5.2 counts it.
        self.size = [name.len(), value.len(), 32].into_iter().fold(self.size, usize::saturating_add);
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        if is(b":method") {
            self.doubled |= self.method.replace(value).is_some();
        } else if is(b":path") {
            self.doubled |= self.path.replace(value).is_some();
        } else if is(b":authority") {
            self.doubled |= self.authority.replace(value).is_some();
        } else if is(b"host") {
            self.doubled |= self.host.replace(value).is_some();
        } else if is(b"authorization") {
            self.authorization = self.authorization.and(value);
        } else if is(b"dpop") {
            self.proof.add(value);
        } else if is(b"origin") {
            self.origin.add(value);
        } else if is(b"content-type") {
            self.content_type.add(value);
        } else if is(b"content-encoding") {
            self.content_encoding.add(value);
        } else if is(b"accept") {
            self.accept.add(value);
        } else if is(b"accept-encoding") {
            self.accept_encoding = true;
        } else if is(b"mcp-session-id") {
            self.session.add(value);
        } else if is(b"mcp-protocol-version") {
            self.protocol_version.add(value);
        } else if is(b"mcp-method") {
            self.mcp_method.add(value);
        } else if is(b"mcp-name") {
            self.mcp_name.add(value);
        } else if is(b"access-control-request-method") {
            self.preflight_method = true;
        } else if is(b"access-control-request-headers") {
            self.preflight_headers = Some(value);
        } else if is(b"if-none-match") {
            self.if_none_match = Some(value);
        }
        if is_alike(name, SESSION) && !is(SESSION.as_bytes()) {
            self.session_variants.push(name);
        }
        if identity.credentials.iter().any(|own| is_alike(name, own)) {
            self.credential_variants.push(name);
        }
        // Whatever else a header means: one that the upstream would take for an identity must not be the client's.
        if CREDENTIALS.into_iter().any(|own| is_alike(name, own)) || identity.is_alike(name) {
            self.forbidden.push(name);
        }
    }

    /// Authority and path, if both and the method are there exactly once.
    pub(crate) fn target(&self) -> Option<(&'r [u8], &'r [u8])> {
        let authority = self.authority.or(self.host).filter(|authority| is_authority(authority))?;
        (!self.doubled && self.method.is_some()).then_some((authority, self.path?))
    }

    pub(crate) fn method(&self) -> &'r [u8] {
        self.method.unwrap_or_default()
    }

    pub(crate) const fn authorization(&self) -> Authorization<'r> {
        self.authorization
    }

    /// About how many bytes the head has: more than anybody keeps of it.
    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    pub(crate) const fn origin(&self) -> Line<'r> {
        self.origin
    }

    pub(crate) const fn session(&self) -> Line<'r> {
        self.session
    }

    /// Names, as they were sent, that a server could take for `Mcp-Session-Id`.
    pub(crate) fn session_variants(&self) -> &[&'r [u8]] {
        &self.session_variants
    }

    /// Names, as they were sent, that a server could take for a credential of the proxy's own.
    pub(crate) fn credential_variants(&self) -> &[&'r [u8]] {
        &self.credential_variants
    }

    pub(crate) fn mcp_headers(&self) -> Result<McpHeaders, HeaderMismatch> {
        McpHeaders::read(self.mcp_method, self.mcp_name, self.protocol_version)
    }

    pub(crate) const fn content_type(&self) -> Line<'r> {
        self.content_type
    }

    pub(crate) const fn content_encoding(&self) -> Line<'r> {
        self.content_encoding
    }

    pub(crate) const fn accept(&self) -> Line<'r> {
        self.accept
    }

    pub(crate) const fn has_accept_encoding(&self) -> bool {
        self.accept_encoding
    }

    pub(crate) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// A preflight is an OPTIONS with both of its headers; any other OPTIONS is an ordinary request.
    pub(crate) fn is_preflight(&self) -> bool {
        self.method() == b"OPTIONS" && self.origin != Line::Absent && self.preflight_method
    }

    pub(crate) const fn preflight_headers(&self) -> Option<&'r [u8]> {
        self.preflight_headers
    }

    pub(crate) const fn if_none_match(&self) -> Option<&'r [u8]> {
        self.if_none_match
    }

    /// Names, as they were sent, of headers that must not reach the upstream besides `Authorization`.
    pub(crate) fn forbidden(&self) -> &[&'r [u8]] {
        &self.forbidden
    }
}

/// Whether a server could take `name` for `own`, which is in lower case with hyphens: CGI and its heirs fold case and read
/// `_` as `-`.
pub(crate) fn is_alike(name: &[u8], own: &str) -> bool {
    let fold = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    own.len() == name.len() && name.iter().map(fold).eq(own.bytes())
}

/// Host and port as RFC 9110 section 7.2 has them, as far as a reader could take them for something else: no list, no
/// user information, no path.
fn is_authority(authority: &[u8]) -> bool {
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(byte);
    !authority.is_empty() && authority.iter().all(legal)
}
