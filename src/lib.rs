//! # mcp-oauth
//!
//! The host-neutral core of `mcp-oauth-filter`: it decides whether a request may reach a Model Context Protocol server,
//! and answers for the server in its role as an OAuth 2.1 protected resource.
//!
//! It performs no I/O, reads no clock and has no globals: it is `no_std`, time is an argument, and a verdict is a return
//! value. A host (a proxy-wasm filter, an `ext_authz` service, a test) brings requests and does what the verdict says.
//!
//! ```
//! use mcp_oauth::{config, gate::{Gate, Verdict}, request::Request, time::UnixTime};
//!
//! let policy = config::parse(br#"{
//!     "authorization_servers": [{ "issuer": "https://idp.example.com", "cluster": "idp" }],
//!     "resources": [{ "resource": "https://mcp.example.com/mcp", "scopes": { "required": ["mcp:read"] } }]
//! }"#).expect("a configuration without findings");
//! let mut gate = Gate::new(policy);
//! let headers: [(&[u8], &[u8]); 3] =
//!     [(b":method", b"POST"), (b":authority", b"mcp.example.com"), (b":path", b"/mcp")];
//! let request = Request::new(headers, gate.policy().identity_headers());
//! let Verdict::Reply(reply) = gate.on_request(1, &request, UnixTime(1_800_000_000)) else { panic!("let through") };
//! assert_eq!(reply.status(), 401);
//! ```
//!
//! ## What it guarantees
//!
//! - Nothing is forwarded without a [`grant::Grant`], which only a token makes that was verified or that the operator listed
//!   (by its hash), or an operator's list of methods that need none; or, where the operator wrote `report_only`, with neither
//!   token nor credential.
//! - No [`forward::Forward`] keeps the client's token, unless the operator wrote `insecure_forward_client_token`.
//! - Issuer, audience, expiry and signature are always checked; a configuration that could not check them does not
//!   load, and a configuration that does not load is a policy that refuses everything.
//! - What cannot be decided is refused: with 503 if the reason is ours, with 4xx if it is the request's.
//! - Nothing panics on any input, and every queue, cache and document is bounded.
//!
//! ## What it does not do
//!
//! It does not look at the arguments of a tool, does not check the chain of a client's certificate (who ends TLS does), and
//! does not issue tokens.
//!
//! ## Where to find what
//!
//! | module | what | source |
//! |---|---|---|
//! | [`gate`], `checks` | the one flow from request to verdict | MCP authorization |
//! | [`request`], [`path`], [`bearer`] | what was received | RFC 9110, RFC 6750 section 2.1 |
//! | [`policy`], `routes`, [`config`] | what is enforced, and the file that says so | |
//! | [`resource`], [`metadata`] | resource identifier, resource metadata | RFC 8707, RFC 9728 |
//! | [`issuer`], [`fetch`] | authorization server metadata, and getting documents | RFC 8414, OpenID Connect Discovery |
//! | `provider` | what is known of an authorization server by its product | |
//! | [`jwk`], [`signature`], `key_cache` | keys | RFC 7517, RFC 7518, RFC 8037 |
//! | [`token_cache`], `bounded`, [`acceleration`] | what need not be checked again, and who checks signatures | |
//! | [`confirmation`], [`dpop`], `possession` | what a token is bound to, and whether that is proved | RFC 7800, RFC 9449, RFC 8705 |
//! | [`jws`], [`token`], `token_type`, `static_token` | tokens: form, kind, claims, signature, rights | RFC 7515, RFC 7519, RFC 8725, RFC 9068 |
//! | [`introspection`], [`flights`] | tokens that only their authorization server knows, and how it is asked | RFC 7662 |
//! | [`secret`], [`form`], `client_authentication` | the gate as a client of other servers | RFC 6749 section 2.3.1 |
//! | [`grant`], [`scope`], `scope_policy` | who asks, and whether the scopes are enough | RFC 6749 section 3.3 |
//! | [`message`], `json`, `rules`, [`pending`] | what the body asks for, and who may | MCP base protocol, JSON-RPC 2.0 |
//! | [`refusal`], [`challenge`], [`reply`], [`cors`] | saying no | RFC 6750 section 3, Fetch |
//! | [`forward`], `claim_headers` | saying yes | MCP authorization, Token Handling |
//! | `report_only` | what would be refused, where the operator only wants to know | |
//! | [`upstream_credential`] | what the server gets instead of the client's token | RFC 8693, RFC 6749 section 4.4, RFC 9493 |
//! | [`filter_state`] | what the proxy is told of a request | |
//! | [`metrics`] | what is worth counting | |
//! | `page` | what a person sees in a browser | |
//! | [`response`], `session`, [`list_filter`], [`event_stream`] | the way back | MCP transports, server-sent events |
//! | [`waiting`] | how much may wait | |
//! | `explain` | which checks a decision went through, for the command-line tool (feature `explain`) | |

#![no_std]

extern crate alloc;

pub mod acceleration;
mod arrival;
pub mod bearer;
mod bounded;
pub mod challenge;
mod checks;
mod claim;
mod claim_headers;
mod client_authentication;
pub mod config;
pub mod confirmation;
pub mod cors;
mod der;
mod digest;
pub mod dpop;
pub mod event_stream;
#[cfg(feature = "explain")]
pub mod explain;
#[cfg(not(feature = "explain"))]
mod explain;
pub mod fetch;
pub mod filter_state;
pub mod flights;
pub mod form;
pub mod forward;
pub mod gate;
pub mod grant;
pub mod introspection;
pub mod issuer;
pub mod json;
pub mod jwk;
pub mod jws;
mod key_cache;
pub mod list_filter;
mod mac;
pub mod message;
pub mod metadata;
pub mod metrics;
mod page;
pub mod path;
pub mod pending;
pub mod policy;
mod possession;
mod provider;
pub mod refusal;
pub mod reply;
mod report_only;
pub mod request;
pub mod resource;
pub mod response;
mod routes;
mod rules;
pub mod scope;
mod scope_policy;
pub mod secret;
mod session;
pub mod shown;
pub mod signature;
mod static_token;
pub mod time;
pub mod token;
pub mod token_cache;
mod token_type;
pub mod upstream_credential;
pub mod uri;
pub mod waiting;
