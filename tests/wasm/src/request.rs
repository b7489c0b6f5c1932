//! What clients send, what upstreams and authorization servers answer.

use crate::headers::Headers;
use serde_json::Value;

/// The authority of every request that does not set another.
pub const AUTHORITY: &str = "mcp.example.com";

/// The headers of a request.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) headers: Headers,
    ends: Option<bool>,
}

impl Request {
    /// Any method; the scheme is https, the authority [`AUTHORITY`].
    pub fn new(method: &str, path: &str) -> Self {
        let mut headers = Headers::default();
        headers.add(":authority", AUTHORITY);
        headers.add(":path", path);
        headers.add(":method", method);
        headers.add(":scheme", "https");
        Self { headers, ends: None }
    }

    /// A GET.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A POST as an MCP client sends it.
    pub fn post(path: &str) -> Self {
        Self::new("POST", path)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("content-length", "42")
    }

    /// Adds a header; copies stay.
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.add(name, value);
        self
    }

    /// Sets a header, replacing the one that is there.
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.set(name, value);
        self
    }

    /// Takes a header away.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// Adds `authorization: Bearer ...`.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Says whether no body follows. If it is not said, only a POST has one.
    pub fn ending(mut self, ends: bool) -> Self {
        self.ends = Some(ends);
        self
    }

    /// Whether no body follows.
    pub(crate) fn ends(&self) -> bool {
        self.ends.unwrap_or(self.headers.bytes(":method") != Some(b"POST"))
    }
}

/// The headers of an upstream's response.
#[derive(Clone, Debug)]
pub struct Response {
    pub(crate) headers: Headers,
}

impl Response {
    /// A response of a host that does not tell its status.
    pub fn without_status() -> Self {
        Self { headers: Headers::default() }
    }

    /// A response with a status and nothing else.
    pub fn status(status: u16) -> Self {
        let mut headers = Headers::default();
        headers.add(":status", status.to_string());
        Self { headers }
    }

    /// Adds a header; copies stay.
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.add(name, value);
        self
    }
}

/// What comes back from a `proxy_http_call`.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Any answer.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut headers = Headers::default();
        headers.add(":status", status.to_string());
        headers.add("content-type", content_type);
        Self { headers, body: body.into() }
    }

    /// 200 with a JSON document.
    pub fn json(document: &Value) -> Self {
        Self::new(200, "application/json", document.to_string())
    }

    /// A page where JSON was expected.
    pub fn html() -> Self {
        Self::new(200, "text/html", "<!doctype html><title>Sign in</title>")
    }

    /// 404.
    pub fn not_found() -> Self {
        Self::new(404, "text/plain", "not found")
    }

    /// What Envoy makes of a refused connection.
    pub fn refused() -> Self {
        Self::new(503, "text/plain", "upstream connect error")
    }

    /// What Envoy makes of a timeout.
    pub fn timeout() -> Self {
        Self::new(504, "text/plain", "upstream request timeout")
    }

    /// What Envoy makes of a reset stream: nothing at all.
    pub fn reset() -> Self {
        Self { headers: Headers::default(), body: Vec::new() }
    }

    /// Sets a header.
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.set(name, value);
        self
    }
}
