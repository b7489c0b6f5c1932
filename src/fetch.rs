//! Documents that the host fetches for the core: what to ask for, and what came back.

use core::{fmt, time::Duration};

use alloc::{borrow::ToOwned, string::String, sync::Arc};

use crate::{
    issuer::MetadataError,
    jwk::KeySetError,
    secret::Secret,
    shown::{Shown, WithoutQuery},
    uri::HttpUri,
};

/// Longer documents are refused. The largest key sets in the field (Entra, with certificate chains) are near 20 KiB.
pub const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

/// Names one fetch, so that an answer to a forgotten one changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FetchId {
    pub(crate) asker: Asker,
    pub(crate) serial: u64,
}

/// Who wants a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asker {
    /// The keys of this issuer.
    Keys(usize),
    /// A question about one token.
    Flight,
}

/// A request that the host must send now, without following redirects: a GET, or a POST where there is a form.
#[derive(Clone, Debug)]
#[must_use]
pub struct Fetch {
    /// To be given back with the answer.
    pub id: FetchId,
    /// The proxy's cluster that the request goes to.
    pub cluster: Arc<str>,
    /// What to ask for.
    pub uri: HttpUri,
    /// How long to wait for the whole answer.
    pub timeout: Duration,
    /// What to send.
    pub post: Option<Post>,
}

/// A form to send. All of it is secret: there are tokens in it.
#[derive(Clone, Debug)]
pub struct Post {
    /// The `Authorization` header, if there is one.
    pub authorization: Option<Secret>,
    /// The body, [`crate::form::MEDIA_TYPE`].
    pub form: Secret,
}

/// What the host got.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// A response. A body over [`MAX_DOCUMENT_BYTES`] need not be copied: see [`Answer::TooLarge`].
    Response {
        /// `:status`.
        status: &'a [u8],
        /// `content-type`, if there is one.
        content_type: Option<&'a [u8]>,
        /// `cache-control`, if there is one.
        cache_control: Option<&'a [u8]>,
        /// The whole body.
        body: &'a [u8],
    },
    /// A response whose body has this many bytes.
    TooLarge(usize),
    /// The request could not be sent, with the host's status.
    NotSent(u32),
    /// The connection ended without a response, or the host could not hand it over.
    NoResponse,
}

/// Why a fetch brought nothing usable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchError {
    /// The status is not 200. Proxies answer 503 and 504 themselves when they cannot connect or wait too long.
    Status(String),
    /// The response is not JSON.
    ContentType(String),
    /// The body has this many bytes.
    TooLarge(usize),
    /// The host refused to send the request, with this status: a wrong cluster name, most likely.
    NotSent(u32),
    /// There was no response.
    NoResponse,
    /// The host never said how the fetch ended.
    Forgotten,
    /// The authorization server's metadata cannot be used.
    Metadata(MetadataError),
    /// The keys cannot be used.
    Keys(KeySetError),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) if status == "503" => f.write_str("answered 503, or could not be reached"),
            Self::Status(status) if status == "504" => f.write_str("answered 504, or did not answer in time"),
            Self::Status(status) => write!(f, "answered `{}`", Shown(status)),
            Self::ContentType(found) => write!(f, "answered `{}` instead of JSON", Shown(found)),
            Self::TooLarge(bytes) => write!(f, "answered `{bytes}` bytes, more than `{MAX_DOCUMENT_BYTES}`"),
            Self::NotSent(status) => {
                write!(f, "the proxy did not send the request (status `{status}`): check the cluster")
            }
            Self::NoResponse => f.write_str("the connection ended without a response"),
            Self::Forgotten => f.write_str("the proxy never reported the end of the request"),
            Self::Metadata(error) => error.fmt(f),
            Self::Keys(error) => error.fmt(f),
        }
    }
}

impl FetchError {
    /// Whether the next metadata candidate is worth a try: the server is there and has no such document.
    ///
    /// Another 5xx or silence means that the server is down, and asking it twice more would keep requests waiting.
    pub(crate) fn may_be_elsewhere(&self) -> bool {
        match self {
            Self::Status(status) => !status.starts_with('5') || status == "502",
            Self::ContentType(_) | Self::TooLarge(_) | Self::Metadata(_) => true,
            Self::NotSent(_) | Self::NoResponse | Self::Forgotten | Self::Keys(_) => false,
        }
    }
}

/// A JSON document as it was received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Document<'a> {
    pub(crate) body: &'a [u8],
    /// How long its server says that it may be kept.
    pub(crate) max_age: Option<Duration>,
}

impl<'a> Answer<'a> {
    /// The body of a 200 with a JSON media type (RFC 8414 section 3.2; key sets use their own, RFC 7517 section 8.5).
    pub(crate) fn json(self) -> Result<Document<'a>, FetchError> {
        self.json_of(&[b"200"]).map(|(_, document)| document)
    }

    /// The same of one of these statuses: which one, and the body.
    pub(crate) fn json_of(self, statuses: &[&[u8]]) -> Result<(&'a [u8], Document<'a>), FetchError> {
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match self {
            Self::Response { status, content_type, cache_control, body } => {
                if !statuses.contains(&status) {
                    return Err(FetchError::Status(lossy(status)));
                }
                let media_type = content_type.unwrap_or_default().split(|byte| *byte == b';').next();
                let media_type = media_type.unwrap_or_default().trim_ascii().to_ascii_lowercase();
                let is_json = media_type == b"application/json"
                    || (media_type.starts_with(b"application/") && media_type.ends_with(b"+json"));
                if !is_json {
                    return Err(FetchError::ContentType(lossy(&media_type)));
                }
                if body.len() > MAX_DOCUMENT_BYTES {
                    return Err(FetchError::TooLarge(body.len()));
                }
                Ok((status, Document { body, max_age: cache_control.and_then(max_age) }))
            }
            Self::TooLarge(bytes) => Err(FetchError::TooLarge(bytes)),
            Self::NotSent(status) => Err(FetchError::NotSent(status)),
            Self::NoResponse => Err(FetchError::NoResponse),
        }
    }
}

/// RFC 9111 section 5.2.2: `max-age`, or nothing at all for `no-store` and `no-cache`.
fn max_age(cache_control: &[u8]) -> Option<Duration> {
    let directives = || cache_control.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let is = |directive: &[u8], name: &[u8]| directive.eq_ignore_ascii_case(name);
    if directives().any(|directive| is(directive, b"no-store") || is(directive, b"no-cache")) {
        return Some(Duration::ZERO);
    }
    directives().find_map(|directive| {
        let (name, seconds) = directive.split_at_checked(8)?;
        let seconds = str::from_utf8(seconds).ok()?.trim_matches('"');
        is(name, b"max-age=").then(|| seconds.parse().ok().map(Duration::from_secs))?
    })
}

/// Something about an issuer's keys that an operator wants to read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct KeyEvent {
    /// The issuer.
    pub issuer: String,
    /// What happened.
    pub kind: KeyEventKind,
}

/// What happened to an issuer's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyEventKind {
    /// Keys were fetched.
    Fetched {
        /// From here.
        uri: String,
        /// So many can be used.
        usable: usize,
        /// So many were left out.
        skipped: usize,
    },
    /// A document could not be had or used; another place is tried.
    TriedElsewhere {
        /// This document.
        uri: String,
        /// The cause.
        error: FetchError,
    },
    /// The fetch failed.
    Failed {
        /// The last document that was asked for.
        uri: String,
        /// The cause.
        error: FetchError,
        /// Seconds until it is tried again.
        retry_in: u64,
        /// Seconds for which the keys fetched before stay in use; `None` if there are none.
        old_keys_for: Option<u64>,
    },
}

impl KeyEvent {
    pub(crate) fn new(issuer: &str, kind: KeyEventKind) -> Self {
        Self { issuer: issuer.to_owned(), kind }
    }

    /// Whether somebody should look after it.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        matches!(self.kind, KeyEventKind::Failed { .. })
    }
}

impl fmt::Display for KeyEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keys: issuer `{}`: ", self.issuer)?;
        match &self.kind {
            KeyEventKind::Fetched { uri, usable, skipped } => {
                write!(f, "`{}` has `{usable}` usable keys, `{skipped}` were left out", WithoutQuery(uri))
            }
            KeyEventKind::TriedElsewhere { uri, error } => {
                write!(f, "`{}`: {error}; trying the next place", WithoutQuery(uri))
            }
            KeyEventKind::Failed { uri, error, retry_in, old_keys_for } => {
                write!(f, "`{}`: {error}; next try in `{retry_in}` s at the earliest", WithoutQuery(uri))?;
                match old_keys_for {
                    Some(seconds) => write!(f, ", the old keys stay in use for `{seconds}` s"),
                    None => f.write_str(", its tokens cannot be checked until then"),
                }
            }
        }
    }
}

/// A server that is asked about single tokens stopped to answer, or began again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct RemoteEvent {
    /// What it is asked for.
    pub service: &'static str,
    /// Where.
    pub uri: String,
    /// Why its answer is of no use; `None`: it answers again.
    pub failure: Option<String>,
}

impl fmt::Display for RemoteEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: `{}`: ", self.service, WithoutQuery(&self.uri))?;
        match &self.failure {
            Some(failure) => write!(f, "{failure}; requests that need it are refused while that lasts"),
            None => f.write_str("answers again"),
        }
    }
}
