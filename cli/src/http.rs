//! HTTP for the commands that ask servers: bounded in time and size, no redirect followed, and every failure says which
//! step, which address, and how long it took.

use std::{
    io::Read as _,
    time::{Duration, Instant},
};

use ureq::{
    Agent, RequestExt as _,
    http::{Method, Request},
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

use crate::{
    Misuse,
    node::{shown, shown_uri},
    output,
    source::MAX_FILE_BYTES,
};

/// More is cut off: no document that is read here is longer.
const MAX_BODY_BYTES: u64 = 256 * 1024;

/// A client with its trust.
pub(crate) struct Client {
    roots: Option<RootCerts>,
    pub(crate) timeout: Duration,
}

/// An answer, whatever its status.
#[derive(Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) too_large: bool,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }
}

/// A server that gave no answer.
#[derive(Clone, Debug)]
pub(crate) struct Unreachable {
    pub(crate) step: String,
    pub(crate) address: String,
    pub(crate) waited: Duration,
    pub(crate) why: String,
}

impl Unreachable {
    /// What to do: `otherwise`, unless it was its certificate.
    pub(crate) fn cure(&self, otherwise: &'static str) -> &'static str {
        if self.why.contains("certificate") {
            return "if its certificate is of your own CA, name that with --ca FILE; else mend the certificate";
        }
        otherwise
    }
}

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { address, waited, why, .. } = self;
        write!(f, "{address}: {why}, after {:.1} s", waited.as_secs_f64())
    }
}

impl Client {
    /// `ca` is a file of certificates to trust instead of the public ones.
    pub(crate) fn new(ca: Option<&str>, timeout: Duration) -> Result<Self, Misuse> {
        let roots = ca.map(|name| {
            let cure = "name a file with PEM certificates";
            let unreadable = |error| Misuse::new(format!("--ca {}: {error}", output::name_of_file(name)), cure);
            let mut pem = Vec::new();
            let read = std::fs::File::open(name)
                .and_then(|file| file.take(MAX_FILE_BYTES.saturating_add(1)).read_to_end(&mut pem));
            read.map_err(unreadable)?;
            if u64::try_from(pem.len()).map_or(true, |size| size > MAX_FILE_BYTES) {
                return Err(Misuse::new(
                    format!("--ca {name}: is larger than {} MiB", MAX_FILE_BYTES / 1024 / 1024),
                    cure,
                ));
            }
            let certificates: Vec<_> = parse_pem(&pem)
                .filter_map(|item| match item {
                    Ok(PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                })
                .collect();
            if certificates.is_empty() {
                return Err(Misuse::new(format!("--ca {name}: has no certificate"), cure));
            }
            Ok(RootCerts::new_with_certs(&certificates))
        });
        Ok(Self { roots: roots.transpose()?, timeout })
    }

    /// One request; a POST where there is a body.
    pub(crate) fn ask(
        &self,
        step: &str,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
        timeout: Duration,
    ) -> Result<Response, Unreachable> {
        let started = now();
        let failed =
            |why: String| Unreachable { step: step.to_owned(), address: address(url), waited: started.elapsed(), why };
        let mut tls = TlsConfig::builder();
        if let Some(roots) = &self.roots {
            tls = tls.root_certs(roots.clone());
        }
        let mut config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!("mcp-oauth/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build());
        if is_loopback(url) {
            config = config.proxy(None);
        }
        let agent = Agent::new_with_config(config.build());
        let method = Method::from_bytes(method.as_bytes()).map_err(|error| failed(error.to_string()))?;
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.unwrap_or_default().to_owned()).map_err(|error| failed(error.to_string()))?;
        let answer = if body.is_some() {
            request.with_agent(&agent).run()
        } else {
            request.map(|_| ()).with_agent(&agent).run()
        };
        let answer = answer.map_err(|error| failed(why(&error)))?;
        let text = |value: &ureq::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = answer.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        let mut response = Response { status: answer.status().as_u16(), headers, ..Response::default() };
        // An event stream has no end, and is none of the documents that are asked for.
        if response.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")) {
            return Ok(response);
        }
        let mut reader = answer.into_body().into_reader().take(MAX_BODY_BYTES.saturating_add(1));
        reader.read_to_end(&mut response.body).map_err(|error| failed(why_cut(error)))?;
        response.too_large = u64::try_from(response.body.len()).is_ok_and(|size| size > MAX_BODY_BYTES);
        Ok(response)
    }
}

fn why(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::HostNotFound => "there is no such host".to_owned(),
        ureq::Error::ConnectionFailed => "nothing listens there".to_owned(),
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            "nothing listens there".to_owned()
        }
        other => {
            let text = other.to_string();
            text.split_once(NO_CERTIFICATE).map_or(text.clone(), |(_, fault)| certificate(fault))
        }
    }
}

/// Why a body did not end.
fn why_cut(error: std::io::Error) -> String {
    match ureq::Error::from(error) {
        ureq::Error::Timeout(_) => "the body did not end in time".to_owned(),
        other => format!("the body was cut off: {}", why(&other)),
    }
}

/// What rustls writes before the fault of a certificate.
const NO_CERTIFICATE: &str = "invalid peer certificate: ";

/// rustls has words for some faults, and the names of its variants for the others.
fn certificate(fault: &str) -> String {
    let known = [
        ("UnknownIssuer", "its certificate is of an authority that is not trusted"),
        ("CaUsedAsEndEntity", "its certificate is an authority's and not a server's"),
        ("BadSignature", "its certificate has a wrong signature"),
        ("Revoked", "its certificate was revoked"),
        ("BadEncoding", "its certificate cannot be read"),
        ("UnsupportedCertVersion", "its certificate is of an old version"),
        ("InvalidPurpose", "its certificate is not one for servers"),
    ];
    if let Some((_, text)) = known.into_iter().find(|(name, _)| fault.contains(name)) {
        return text.to_owned();
    }
    // Behind `;` the names of the certificate follow, as variants too.
    let words = fault.split(';').next().and_then(|fault| fault.strip_prefix("certificate "));
    match words {
        Some(words) if words.starts_with("does not ") => format!("its certificate {words}"),
        Some(words) => format!("its certificate is {words}"),
        None => "its certificate is not valid".to_owned(),
    }
}

/// A URL as it may be told: its query may have a secret in it, and its user information does.
pub(crate) fn address(url: &str) -> String {
    if url.contains('@') { shown_uri(url) } else { shown(url.split(['?', '#']).next().unwrap_or_default()) }
}

/// A sentence about these values, as it may be told: each may be a URL, or several with spaces between them.
pub(crate) fn without_secrets(told: &str, values: &[&str]) -> String {
    values.iter().fold(told.to_owned(), |told, value| {
        let bare = shown(&value.split(' ').map(shown_uri).collect::<Vec<_>>().join(" "));
        // The core cuts some of them, and writes others as they are.
        let told = told.replace(&format!("`{}`", shown(value)), &format!("`{bare}`"));
        told.replace(&format!("`{value}`"), &format!("`{bare}`"))
    })
}

/// Whether it can be asked at all: an http or https URL with a host and no user information.
pub(crate) fn is_url(url: &str) -> bool {
    let scheme = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    scheme.is_some()
        && url.bytes().all(|byte| byte.is_ascii_graphic())
        && url.parse::<ureq::http::Uri>().is_ok_and(|uri| {
            uri.host().is_some_and(|host| !host.is_empty())
                && uri.authority().is_some_and(|authority| {
                    let is_bare = authority.as_str() == authority.host() || authority.port_u16().is_some();
                    is_bare && !authority.as_str().contains('@')
                })
        })
}

/// A URL on this machine.
pub(crate) fn is_loopback(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // What is before `@` is no host, and only looks like one.
    if authority.contains('@') {
        return false;
    }
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host == "::1" || host.parse().is_ok_and(|v4: std::net::Ipv4Addr| v4.is_loopback())
}

/// A duration such as `5s` or `500ms`.
pub(crate) fn parse_timeout(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let timeout = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        _ => return None,
    };
    (Duration::from_millis(10)..=Duration::from_secs(300)).contains(&timeout).then_some(timeout)
}

#[allow(clippy::disallowed_methods, reason = "how long somebody waited is not what a decision depends on")]
fn now() -> Instant {
    Instant::now()
}
