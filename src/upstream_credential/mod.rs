//! What a resource's server gets in place of the client's token (MCP authorization, Token Handling: "MUST NOT pass through
//! the token it received from the MCP client").
//!
//! A `Forward` needs a `Credential`, and only this module makes one.

mod client_credentials;
mod identity_jwt;
mod kept;
mod signing_key;
mod token_endpoint;
mod token_exchange;
mod token_response;

use core::fmt;

use alloc::sync::Arc;

pub(crate) use client_credentials::ClientCredentials;
pub(crate) use identity_jwt::{Identity, IdentityJwt};
pub(crate) use kept::{Credentials, Need, Question};
pub(crate) use signing_key::SigningKeys;
pub(crate) use token_endpoint::TokenEndpoint;
pub(crate) use token_exchange::TokenExchange;
pub(crate) use token_response::MAX_TOKEN_BYTES;
pub use token_response::TokenEndpointError;

use crate::{refusal::Refusal, secret::Secret};

/// Where the credential for a resource's server comes from.
#[derive(Clone, Debug, Default)]
pub(crate) enum UpstreamCredential {
    /// There is none: the server trusts the proxy by other means.
    #[default]
    None,
    /// The client's own token: the loudly named setting `insecure_forward_client_token`.
    InsecureForwardClientToken(InsecureForwardClientToken),
    /// One that the operator set.
    Header(Arc<Line>),
    /// The token that an authorization server gives for the client's.
    TokenExchange(Arc<TokenExchange>),
    /// The gate's own token.
    ClientCredentials(Arc<ClientCredentials>),
    /// A JWT of the gate that says who is calling.
    IdentityJwt(Arc<IdentityJwt>),
}

/// Evidence that the operator asked for the client's token to be forwarded; only the configuration makes one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InsecureForwardClientToken(());

impl InsecureForwardClientToken {
    /// For `config::upstream_credential`, and for nothing else.
    pub(crate) const fn of_setting() -> Self {
        Self(())
    }
}

/// A header line with a secret in it.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// In lower case, with hyphens.
    pub(crate) name: Arc<str>,
    pub(crate) value: Secret,
}

impl Line {
    fn weight(&self) -> usize {
        self.value.expose().len()
    }
}

/// The name of the header that has the client's token.
pub(crate) const AUTHORIZATION: &str = "authorization";

impl UpstreamCredential {
    /// The header that the credential stands in, which must never be the client's.
    pub(crate) fn header(&self) -> Option<&str> {
        match self {
            Self::None | Self::InsecureForwardClientToken(_) => None,
            Self::Header(line) => Some(&line.name),
            Self::TokenExchange(_) | Self::ClientCredentials(_) => Some(AUTHORIZATION),
            Self::IdentityJwt(jwt) => Some(&jwt.header),
        }
    }
}

/// Should never be seen: whoever has no credential is refused for another reason before.
pub(crate) const NO_CREDENTIAL: Refusal = Refusal::Host("upstream credential");

/// What goes upstream with one request, besides who is calling.
#[derive(Clone)]
pub(crate) struct Credential(What);

#[derive(Clone)]
enum What {
    Nothing,
    Line(Arc<Line>),
    ClientToken(InsecureForwardClientToken),
}

/// Which kind of credential, and in which header.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            What::Nothing => f.write_str("Credential(nothing)"),
            What::Line(line) => write!(f, "Credential({})", line.name),
            What::ClientToken(_) => f.write_str("Credential(client token)"),
        }
    }
}

impl Credential {
    /// The line to send.
    pub(crate) const fn line(&self) -> Option<&Arc<Line>> {
        match &self.0 {
            What::Line(line) => Some(line),
            What::Nothing | What::ClientToken(_) => None,
        }
    }

    /// Whether the client's `Authorization` stays, because the operator said so.
    pub(crate) const fn keeps_client_token(&self) -> bool {
        matches!(self.0, What::ClientToken(_))
    }

    /// About how many bytes it keeps.
    pub(crate) fn weight(&self) -> usize {
        self.line().map_or(0, |line| line.weight())
    }
}
