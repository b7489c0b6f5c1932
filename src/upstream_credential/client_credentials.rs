//! Client credentials (RFC 6749 section 4.4): one token of the gate's own for all callers of a resource.

use super::{token_endpoint::TokenEndpoint, token_response::GrantType};

use crate::fetch::Post;

/// The setting `client_credentials`.
#[derive(Clone, Debug)]
pub(crate) struct ClientCredentials {
    pub(crate) endpoint: TokenEndpoint,
}

impl ClientCredentials {
    /// RFC 6749 section 4.4.2.
    pub(crate) fn request(&self) -> Post {
        self.endpoint.request(self.endpoint.form(GrantType::ClientCredentials.as_str()))
    }
}
