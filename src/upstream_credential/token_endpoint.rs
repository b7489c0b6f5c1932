//! The endpoint of an authorization server that gives tokens for an upstream (RFC 6749 section 3.2).

use core::time::Duration;

use alloc::{string::String, sync::Arc};

use super::token_response::{GrantType, Issued};
use crate::{
    client_authentication::ClientAuthentication, fetch::Post, form::Form, scope::ScopeSet, secret::Secret,
    time::UnixTime, uri::HttpUri,
};

/// Where tokens for an upstream come from, and what is asked for.
#[derive(Clone, Debug)]
pub(crate) struct TokenEndpoint {
    pub(crate) uri: HttpUri,
    /// The proxy's cluster.
    pub(crate) cluster: Arc<str>,
    pub(crate) client: ClientAuthentication,
    /// For whom, by a name (RFC 8693 section 2.1).
    pub(crate) audience: Option<String>,
    /// For whom, by a URI (RFC 8707 section 2).
    pub(crate) resource: Option<String>,
    pub(crate) scopes: ScopeSet,
    /// How long one request may take.
    pub(crate) timeout: Duration,
    /// No token is kept longer.
    pub(crate) max_age: Duration,
}

/// A token that runs out on its way is of no use, and clocks run apart.
const LEEWAY: Duration = Duration::from_secs(10);

impl TokenEndpoint {
    /// The form that both grants share.
    pub(super) fn form(&self, grant_type: &str) -> Form {
        let scopes = (!self.scopes.is_empty()).then(|| alloc::format!("{}", self.scopes));
        Form::default()
            .field("grant_type", grant_type)
            .maybe("audience", self.audience.as_deref())
            .maybe("resource", self.resource.as_deref())
            .maybe("scope", scopes.as_deref())
    }

    pub(super) fn request(&self, form: Form) -> Post {
        let (form, authorization) = self.client.apply(form);
        Post { authorization, form: Secret::from(form.finish()) }
    }

    /// Until when a token that was issued now may be used; that may be now.
    pub(crate) fn until(&self, issued: &Issued, now: UnixTime) -> UnixTime {
        now.plus(issued.lifetime.saturating_sub(LEEWAY).min(self.max_age))
    }
}

impl GrantType {
    /// RFC 8693 section 2.1, RFC 6749 section 4.4.2.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
            Self::ClientCredentials => "client_credentials",
        }
    }
}
