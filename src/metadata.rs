//! Protected resource metadata (RFC 9728 section 3): the document, made once from configuration, and its answers.

use core::time::Duration;

use alloc::{borrow::Cow, string::String, vec, vec::Vec};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::{
    cors,
    dpop::DpopPolicy,
    json::Quoted,
    refusal::Refusal,
    reply::{Header, Reply},
    request::Request,
};

/// What a resource says about itself besides what follows from its policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// `resource_name`: for people.
    pub name: Option<String>,
    /// `resource_documentation`: a page for developers.
    pub documentation: Option<String>,
    /// `resource_policy_uri`.
    pub policy_uri: Option<String>,
    /// `resource_tos_uri`.
    pub tos_uri: Option<String>,
}

/// What a resource says about tokens that are bound to their sender.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Binding<'p> {
    pub(crate) dpop: Option<&'p DpopPolicy>,
    pub(crate) mutual_tls: bool,
}

/// A document as it is served: nothing of a request ever enters it, neither `Host` nor `X-Forwarded-*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    body: String,
    media_type: &'static str,
    /// For access logs.
    reason: &'static str,
    etag: String,
    cache_control: String,
}

impl Document {
    /// Builds the document; parameters without a value are left out (RFC 9728 section 3.2).
    pub(crate) fn new(
        resource: &str,
        issuers: &[&str],
        scopes: &[&str],
        binding: Binding<'_>,
        description: &Description,
        max_age: Duration,
    ) -> Self {
        let quoted = |value: &str| alloc::format!("{}", Quoted(value));
        let text = |value: &Option<String>| value.as_deref().map(quoted);
        let list = |values: &[&str]| {
            let items: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            (!items.is_empty()).then(|| alloc::format!("[{}]", items.join(",")))
        };
        let truth = |value: bool| value.then(|| String::from("true"));
        let algorithms: Vec<&str> =
            binding.dpop.iter().flat_map(|dpop| &dpop.algorithms).map(|algorithm| algorithm.as_str()).collect();
        let members = [
            ("resource", Some(quoted(resource))),
            ("authorization_servers", list(issuers)),
            ("scopes_supported", list(scopes)),
            ("bearer_methods_supported", list(&["header"])),
            ("tls_client_certificate_bound_access_tokens", truth(binding.mutual_tls)),
            ("dpop_signing_alg_values_supported", list(&algorithms)),
            ("dpop_bound_access_tokens_required", truth(binding.dpop.is_some_and(|dpop| dpop.required))),
            ("resource_name", text(&description.name)),
            ("resource_documentation", text(&description.documentation)),
            ("resource_policy_uri", text(&description.policy_uri)),
            ("resource_tos_uri", text(&description.tos_uri)),
        ];
        let members: Vec<String> =
            members.into_iter().filter_map(|(name, value)| Some(alloc::format!("\"{name}\":{}", value?))).collect();
        let body = alloc::format!("{{{}}}", members.join(","));
        Self::serving(body, "application/json", "mcp_oauth_metadata", max_age)
    }

    /// A document of these bytes.
    pub(crate) fn serving(body: String, media_type: &'static str, reason: &'static str, max_age: Duration) -> Self {
        // 96 bits of the digest: enough to tell any two versions of one document apart.
        let digest = Sha256::digest(body.as_bytes());
        let etag = alloc::format!("\"{}\"", URL_SAFE_NO_PAD.encode(digest.get(..12).unwrap_or_default()));
        let cache_control = alloc::format!("public, max-age={}", max_age.as_secs());
        Self { body, media_type, reason, etag, cache_control }
    }

    /// Answers a request for this document, whoever asks.
    pub(crate) fn answer(&self, request: &Request<'_>) -> Reply {
        match request.method() {
            b"GET" | b"HEAD" => self.serve(request.if_none_match()),
            b"OPTIONS" => cors::document_preflight(request.preflight_headers()),
            _ => Reply::refuse(Refusal::Method),
        }
    }

    fn serve(&self, if_none_match: Option<&[u8]>) -> Reply {
        let mut headers: Vec<Header> =
            vec![("etag", Cow::Owned(self.etag.clone())), ("cache-control", Cow::Owned(self.cache_control.clone()))];
        headers.extend(cors::exposed());
        if if_none_match.is_some_and(|wanted| self.matches(wanted)) {
            return Reply::document(304, headers, Vec::new(), self.reason);
        }
        headers.push(("content-type", Cow::Borrowed(self.media_type)));
        Reply::document(200, headers, self.body.clone().into_bytes(), self.reason)
    }

    /// RFC 9110 section 13.1.2: weak comparison.
    fn matches(&self, if_none_match: &[u8]) -> bool {
        if_none_match
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == self.etag.as_bytes())
    }
}
