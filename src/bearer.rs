//! The `Authorization` header of a request (RFC 6750 section 2.1, RFC 9110 section 11).

use core::fmt;

/// The longest token that is looked at. Envoy's default limit for all headers together is 60 KiB; the largest tokens
/// seen in the field (Entra with groups) stay below 8 KiB.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// A `Bearer` token as it was received: well-formed, and nothing else is known of it.
///
/// It has no `Display`, and `Debug` tells its length only, so it cannot reach a log by accident.
#[derive(Clone, Copy)]
pub struct BearerToken<'r>(&'r str);

impl<'r> BearerToken<'r> {
    /// The secret itself.
    pub(crate) const fn expose(self) -> &'r str {
        self.0
    }

    /// The token of a request that was held; it was parsed when the request came.
    pub(crate) const fn held(text: &'r str) -> Self {
        Self(text)
    }
}

impl fmt::Debug for BearerToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BearerToken(<{} bytes>)", self.0.len())
    }
}

/// How a token was presented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// Whoever has it may use it (RFC 6750).
    #[default]
    Bearer,
    /// With a proof of the key that it is bound to (RFC 9449 section 7.1).
    Dpop,
}

impl Scheme {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Dpop => "DPoP",
        }
    }
}

/// All `Authorization` header lines of a request.
#[derive(Clone, Copy, Debug, Default)]
pub enum Authorization<'r> {
    /// No such header.
    #[default]
    Absent,
    /// One line.
    One(HeaderValue<'r>),
    /// More than one line: readers disagree on which counts.
    Several,
}

/// The bytes of a header that may hold a secret.
#[derive(Clone, Copy)]
pub struct HeaderValue<'r>(pub &'r [u8]);

impl fmt::Debug for HeaderValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeaderValue(<{} bytes>)", self.0.len())
    }
}

/// Why the credentials of a request cannot be read: RFC 6750 section 3.1, `invalid_request`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialsError {
    /// Two `Authorization` lines, or two credentials joined to one line.
    Doubled,
    /// The scheme is not followed by exactly one token of the `b64token` form.
    Malformed,
    /// The token is longer than [`MAX_TOKEN_BYTES`].
    TooLong(usize),
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Doubled => f.write_str("more than one set of credentials"),
            Self::Malformed => f.write_str("the credentials are not one b64token"),
            Self::TooLong(bytes) => write!(f, "a token of `{bytes}` bytes, more than `{MAX_TOKEN_BYTES}`"),
        }
    }
}

impl<'r> Authorization<'r> {
    /// Adds a line that was received.
    #[must_use]
    pub const fn and(self, value: &'r [u8]) -> Self {
        match self {
            Self::Absent => Self::One(HeaderValue(value)),
            Self::One(_) | Self::Several => Self::Several,
        }
    }

    /// What follows `Bearer` in the only line: good for nothing but to be compared with a token that was read before.
    pub(crate) fn unread(self) -> Option<&'r [u8]> {
        self.unread_in(&[Scheme::Bearer]).map(|(_, text)| text)
    }

    /// The same for one of these schemes.
    pub(crate) fn unread_in(self, schemes: &[Scheme]) -> Option<(Scheme, &'r [u8])> {
        match self {
            Self::One(HeaderValue(value)) => strip(value, schemes),
            Self::Absent | Self::Several => None,
        }
    }

    /// The Bearer token, or `None` if there are no Bearer credentials (another scheme counts as none).
    ///
    /// Does NOT look at the query: OAuth 2.1 section 5.1 forbids tokens there.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`] if there are Bearer credentials that cannot be one token.
    pub fn bearer(self) -> Result<Option<BearerToken<'r>>, CredentialsError> {
        Ok(self.token(&[Scheme::Bearer])?.map(|(_, token)| token))
    }

    /// The same for a token in one of these schemes.
    ///
    /// # Errors
    ///
    /// As [`Authorization::bearer`].
    pub fn token(self, schemes: &[Scheme]) -> Result<Option<(Scheme, BearerToken<'r>)>, CredentialsError> {
        let value = match self {
            Self::Absent => return Ok(None),
            Self::One(HeaderValue(value)) => value,
            Self::Several => return Err(CredentialsError::Doubled),
        };
        let Some((scheme, credentials)) = strip(value, schemes) else {
            // Envoy joins repeated lines with a comma, so `Basic ...` may hide `Bearer ...` behind it.
            let mut others = value.split(|byte| *byte == b',').skip(1);
            let hidden = others.any(|part| strip(part.trim_ascii(), schemes).is_some());
            return if hidden { Err(CredentialsError::Doubled) } else { Ok(None) };
        };
        if credentials.contains(&b',') {
            return Err(CredentialsError::Doubled);
        }
        if credentials.len() > MAX_TOKEN_BYTES {
            return Err(CredentialsError::TooLong(credentials.len()));
        }
        let body = credentials.trim_suffix_while(b'=');
        let legal = |byte: &u8| B64TOKEN.get(usize::from(*byte)) == Some(&true);
        if body.is_empty() || !body.iter().all(legal) {
            return Err(CredentialsError::Malformed);
        }
        let text = str::from_utf8(credentials).map_err(|_| CredentialsError::Malformed)?;
        Ok(Some((scheme, BearerToken(text))))
    }
}

/// The bytes of a `b64token` (RFC 6750 section 2.1), as a table because every byte of every new token is looked up.
const B64TOKEN: [bool; 256] = {
    let legal = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/";
    let mut table = [false; 256];
    let mut rest = legal.as_slice();
    while let [byte, others @ ..] = rest {
        #[expect(clippy::indexing_slicing, reason = "a byte is an index of 256 entries, and this runs in the compiler")]
        let entry = &mut table[*byte as usize];
        *entry = true;
        rest = others;
    }
    table
};

/// What follows the name of one of these schemes (any case) and one or more spaces; the empty value if nothing follows.
fn strip<'v>(value: &'v [u8], schemes: &[Scheme]) -> Option<(Scheme, &'v [u8])> {
    schemes.iter().find_map(|scheme| {
        let name = scheme.as_str().as_bytes();
        let (found, rest) = value.split_at_checked(name.len())?;
        if !found.eq_ignore_ascii_case(name) {
            return None;
        }
        if rest.is_empty() {
            return Some((*scheme, rest));
        }
        let token = rest.iter().position(|byte| *byte != b' ').map_or(&[][..], |at| rest.get(at..).unwrap_or_default());
        rest.starts_with(b" ").then_some((*scheme, token))
    })
}

trait TrimSuffix {
    fn trim_suffix_while(&self, byte: u8) -> &Self;
}

impl TrimSuffix for [u8] {
    fn trim_suffix_while(&self, byte: u8) -> &Self {
        let mut rest = self;
        while let Some((last, before)) = rest.split_last()
            && *last == byte
        {
            rest = before;
        }
        rest
    }
}
