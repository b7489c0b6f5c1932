//! The path of a request, taken only if every reader of it must read the same thing.
//!
//! Envoy does not normalize paths unless told to, upstream servers normalize differently, and a path that the gate
//! reads as unprotected and the server as protected is a bypass. So a path that *any* of the usual normalizations would
//! change is refused, never "not matched".

use core::fmt;

use alloc::{string::String, vec::Vec};

/// A `:path` that means one thing only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestPath<'r> {
    path: &'r str,
    query: Option<&'r str>,
}

/// Leaves out the query, which may hold a token.
impl fmt::Debug for RequestPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestPath({:?})", self.path)
    }
}

/// Why a `:path` is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathError {
    /// It does not start with a slash (`*`, an absolute URI, nothing).
    NotAbsolute,
    /// It has bytes outside visible ASCII.
    NotVisibleAscii,
    /// It has a backslash, which browsers and some servers read as a slash.
    Backslash,
    /// It has a semicolon, after which some servers see parameters that they cut off.
    Semicolon,
    /// It has a fragment, which never belongs into a request (RFC 9110 section 7.1).
    Fragment,
    /// It has an empty segment, which merging of slashes would drop.
    EmptySegment,
    /// It has a `.` or `..` segment.
    DotSegment,
    /// It has a percent sign without two upper-case hexadecimal digits (RFC 3986 section 6.2.2.1).
    PercentForm,
    /// It percent-encodes a byte that could stand for itself, a separator, or a control byte.
    PercentEncoded(u8),
    /// It has a byte that a path must percent-encode (RFC 3986 section 3.3).
    Unencoded(u8),
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAbsolute => f.write_str("the path does not start with a slash"),
            Self::NotVisibleAscii => f.write_str("the path has bytes outside visible ASCII"),
            Self::Backslash => f.write_str("the path has a backslash"),
            Self::Semicolon => f.write_str("the path has a semicolon"),
            Self::Fragment => f.write_str("the path has a fragment"),
            Self::EmptySegment => f.write_str("the path has an empty segment"),
            Self::DotSegment => f.write_str("the path has a dot segment"),
            Self::PercentForm => f.write_str("the path has a percent sign without two upper-case hexadecimal digits"),
            Self::PercentEncoded(byte) => write!(f, "the path has `%{byte:02X}`, which decodes ambiguously"),
            Self::Unencoded(byte) => write!(f, "the path has the byte `{byte:02X}`, which must be percent-encoded"),
        }
    }
}

impl<'r> RequestPath<'r> {
    /// Parses the `:path` of a request. The query is split off and not judged, except for its bytes.
    ///
    /// # Errors
    ///
    /// The first reason why two readers could see different paths.
    pub fn parse(raw: &'r [u8]) -> Result<Self, PathError> {
        if !raw.iter().all(|byte| matches!(byte, 0x21..=0x7E)) {
            return Err(PathError::NotVisibleAscii);
        }
        let text = str::from_utf8(raw).map_err(|_| PathError::NotVisibleAscii)?;
        if text.contains('#') {
            return Err(PathError::Fragment);
        }
        let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
        let segments = path.strip_prefix('/').ok_or(PathError::NotAbsolute)?;
        let mut rest = segments.split('/').peekable();
        while let Some(segment) = rest.next() {
            match segment {
                "" if rest.peek().is_some() => return Err(PathError::EmptySegment),
                "." | ".." => return Err(PathError::DotSegment),
                _ => check_segment(segment)?,
            }
        }
        Ok(Self { path, query })
    }

    /// The path without the query.
    #[must_use]
    pub const fn as_str(&self) -> &'r str {
        self.path
    }

    /// The whole `:path` without `access_token` parameters, if it has any.
    ///
    /// OAuth 2.1 section 5.1 forbids reading tokens from the query; leaving one in would hand it to the upstream and
    /// its logs.
    #[must_use]
    pub fn without_query_token(&self) -> Option<String> {
        let query = self.query?;
        let is_token = |parameter: &&str| {
            let (name, _) = parameter.split_once('=').unwrap_or((parameter, ""));
            decodes_to(name, b"access_token")
        };
        if !query.split('&').any(|parameter| is_token(&parameter)) {
            return None;
        }
        let kept: Vec<&str> = query.split('&').filter(|parameter| !is_token(parameter)).collect();
        let mark = if kept.is_empty() { "" } else { "?" };
        Some(alloc::format!("{}{mark}{}", self.path, kept.join("&")))
    }
}

/// Whether a part of a path or of another URI has one spelling only: no percent-encoding that could be left out, none that
/// hides a separator, nothing that must be encoded, no parameters.
pub(crate) fn check_segment(segment: &str) -> Result<(), PathError> {
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => return Err(PathError::Backslash),
            b';' => return Err(PathError::Semicolon),
            b'%' => {
                let decoded = upper_hex(bytes.next()).zip(upper_hex(bytes.next()));
                let (high, low) = decoded.ok_or(PathError::PercentForm)?;
                let decoded = (high << 4) | low;
                if !matches!(decoded, b' ' | 0x80..) && !must_be_encoded(decoded) {
                    return Err(PathError::PercentEncoded(decoded));
                }
            }
            _ if must_be_encoded(byte) => return Err(PathError::Unencoded(byte)),
            _ => {}
        }
    }
    Ok(())
}

/// Visible ASCII that is neither `pchar` nor a separator (RFC 3986 section 3.3). Every other visible byte has to stand
/// for itself, so that each path has one spelling: a server takes `/%40admin` for `/@admin`.
const fn must_be_encoded(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'[' | b']' | b'^' | b'`' | b'{' | b'|' | b'}')
}

fn upper_hex(byte: Option<u8>) -> Option<u8> {
    match byte? {
        digit @ b'0'..=b'9' => Some(digit.wrapping_sub(b'0')),
        digit @ b'A'..=b'F' => Some(digit.wrapping_sub(b'A').wrapping_add(10)),
        _ => None,
    }
}

/// Whether a query parameter's name is `expected` after percent-decoding (either case) with `+` left alone.
fn decodes_to(name: &str, expected: &[u8]) -> bool {
    let mut bytes = name.bytes();
    let mut decoded = core::iter::from_fn(|| {
        let byte = bytes.next()?;
        if byte != b'%' {
            return Some(byte);
        }
        let mut ahead = bytes.clone();
        let pair = upper_hex(ahead.next().map(|b| b.to_ascii_uppercase()))
            .zip(upper_hex(ahead.next().map(|b| b.to_ascii_uppercase())));
        pair.map_or(Some(byte), |(high, low)| {
            bytes = ahead;
            Some((high << 4) | low)
        })
    });
    expected.iter().all(|want| decoded.next() == Some(*want)) && decoded.next().is_none()
}
