//! Token exchange (RFC 8693): the client's token for one that is meant for the upstream.

use super::{
    token_endpoint::TokenEndpoint,
    token_response::{ACCESS_TOKEN, GrantType},
};
use crate::{fetch::Post, secret::Secret};

/// The setting `token_exchange`.
#[derive(Clone, Debug)]
pub(crate) struct TokenExchange {
    pub(crate) endpoint: TokenEndpoint,
    /// The gate's own token, where the endpoint wants to know who acts for the caller (RFC 8693 section 1.1: delegation).
    pub(crate) actor_token: Option<Secret>,
}

impl TokenExchange {
    /// RFC 8693 section 2.1.
    pub(crate) fn request(&self, subject_token: &str) -> Post {
        let actor = self.actor_token.as_ref().map(Secret::expose);
        let form = self
            .endpoint
            .form(GrantType::TokenExchange.as_str())
            .field("subject_token", subject_token)
            .field("subject_token_type", ACCESS_TOKEN)
            .field("requested_token_type", ACCESS_TOKEN)
            .maybe("actor_token", actor)
            .maybe("actor_token_type", actor.map(|_| ACCESS_TOKEN));
        self.endpoint.request(form)
    }
}
