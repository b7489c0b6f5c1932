//! How the gate authenticates as a client of an authorization server (RFC 6749 section 2.3.1).

use alloc::string::String;
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    form::{self, Form},
    secret::Secret,
};

/// The gate as a client.
#[derive(Clone, Debug)]
pub(crate) struct ClientAuthentication {
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret,
    pub(crate) method: Method,
}

/// By their names of RFC 7591 section 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Method {
    #[default]
    ClientSecretBasic,
    ClientSecretPost,
}

impl Method {
    pub(crate) const NAMES: [(&str, Self); 2] =
        [("client_secret_basic", Self::ClientSecretBasic), ("client_secret_post", Self::ClientSecretPost)];
}

impl ClientAuthentication {
    /// The form with the credentials, or the `Authorization` header that goes with it.
    pub(crate) fn apply(&self, form: Form) -> (Form, Option<Secret>) {
        let (id, secret) = (self.client_id.as_str(), self.client_secret.expose());
        match self.method {
            Method::ClientSecretBasic => {
                // Both parts are form-encoded first, so that a colon in the id does not move the border.
                let pair = alloc::format!("{}:{}", form::encode(id), form::encode(secret));
                (form, Some(Secret::from(alloc::format!("Basic {}", STANDARD.encode(pair)))))
            }
            Method::ClientSecretPost => (form.field("client_id", id).field("client_secret", secret), None),
        }
    }
}
