//! Local replies, and what holds for each of them.

use crate::headers::Headers;
use serde_json::Value;

/// A local reply, first as the guest made it, then as it left the proxy.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Status code.
    pub status: u32,
    /// `response_code_details`.
    pub details: String,
    /// Headers as the client gets them.
    pub headers: Headers,
    /// Body.
    pub body: Vec<u8>,
}

impl Reply {
    /// Fails the test unless this is the refusal with this status and error code, and has what
    /// every refusal has.
    #[track_caller]
    pub fn refuses(&self, status: u32, error: &str) -> &Self {
        assert_eq!((self.status, self.error().as_str()), (status, error), "{self:?}");
        assert_eq!(self.headers.get(":status"), Some(status.to_string().as_str()), "{self:?}");
        assert_eq!(self.headers.get("content-type"), Some("application/json"), "{self:?}");
        assert_eq!(self.headers.get("cache-control"), Some("no-store"), "{self:?}");
        assert_eq!(self.headers.get("access-control-allow-origin"), Some("*"), "{self:?}");
        let exposed = self.headers.get("access-control-expose-headers").unwrap_or("");
        for name in ["WWW-Authenticate", "Mcp-Session-Id", "MCP-Protocol-Version", "Retry-After"] {
            assert!(exposed.contains(name), "{name} is not exposed: {self:?}");
        }
        assert!(self.details.starts_with("mcp_oauth_"), "{self:?}");
        assert!(self.details.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{self:?}");
        let challenged = self.headers.get("www-authenticate").is_some();
        assert_eq!(challenged, matches!(status, 401 | 403) || self.challenges_bad_request(), "{self:?}");
        assert!(status != 503 || self.retry_after().is_some_and(|seconds| seconds > 0), "{self:?}");
        self
    }

    /// The `error` of the body.
    #[track_caller]
    pub fn error(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_else(|bad| panic!("{bad}: {self:?}"));
        assert!(body["error_description"].is_string(), "{self:?}");
        body["error"].as_str().unwrap_or_else(|| panic!("no error: {self:?}")).to_owned()
    }

    /// The challenge, which there must be exactly one of.
    #[track_caller]
    pub fn challenge(&self) -> &str {
        self.headers.get("www-authenticate").unwrap_or_else(|| panic!("no challenge: {self:?}"))
    }

    /// `retry-after` in seconds.
    pub fn retry_after(&self) -> Option<u64> {
        self.headers.get("retry-after").map(|value| value.parse().expect("seconds"))
    }

    /// A 400 has a challenge when the credentials are what is wrong, not when the path is.
    fn challenges_bad_request(&self) -> bool {
        self.status == 400 && self.details == "mcp_oauth_malformed_credentials"
    }
}
