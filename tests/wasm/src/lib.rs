//! The module that was really built, in a small in-process host that imitates Envoy's rules.
//!
//! ```no_run
//! use wasm_host_tests::{Key, Request, Token, Vm, inline_config};
//!
//! let mut vm = Vm::start(inline_config(&[Key::GOOD]).to_string());
//! let stream = vm.request(Request::post("/weather/mcp").bearer(&Token::good().sign()));
//! assert_eq!(vm.forwarded(stream).get("authorization"), None);
//! ```
//!
//! | rule of Envoy | here |
//! |---|---|
//! | two VMs configure the same bytes | two [`Vm`]s |
//! | answers to HTTP calls come on the root context, whoever asked | [`Vm::answer`] |
//! | unknown cluster, no endpoint, refused, timeout, reset | [`Cluster`], [`Answer`] |
//! | a request paused at its headers: its body waits, or comes with headers that can be changed | [`World::stops_headers_only`] |
//! | a body callback that paused is told of all that is buffered | [`Vm::send`], [`Vm::send_back`] |
//! | no request headers after "continue" | [`Outcome::Forwarded`] keeps what went upstream |
//! | a local reply passes through the filter's own response callback | done by [`Vm`] |
//! | a stream that is gone cannot become the effective context | [`Vm::delete`] |
//! | filter state, what the metadata of a route says, and the client's certificate | [`Vm::filter_state`], [`World::route_resource`], [`World::certificate`] |
//! | the foreign function `verify_signature`, where switched on | [`VerifySignature`] |
//!
//! A [`Fault`] makes host functions fail.

pub mod abi;
mod bodies;
mod calls;
mod fault;
mod flow;
mod foreign;
mod guest;
mod headers;
mod idp;
mod mcp;
mod module;
mod promise;
mod reply;
mod request;
mod rsa_key;
mod token;
mod vm;
mod wasi;
mod world;

pub use bodies::Received;
pub use fault::{Fault, HOST_FUNCTIONS, STATUSES, VERIFY};
pub use foreign::VerifySignature;
pub use headers::Headers;
pub use idp::{Idp, JWKS_URL, METADATA_URL, fetching_config, inline_config, settle};
pub use mcp::{
    ADMIN_SCOPE, ADMIN_TOOL, DENIED_TOOL, Hold, TOOL, all_tools, asked, call, good_post, message, response, tools,
};
pub use module::{Built, built};
pub use promise::{FORGED, breach};
pub use reply::Reply;
pub use request::{AUTHORITY, Answer, Request, Response};
pub use token::{CLIENT, ISSUER, Key, PATH, RESOURCE, SCOPE, SUBJECT, Token, jwks};
pub use vm::{Outcome, Stream, Vm};
pub use world::{Cluster, EmptyBuffer, HttpCall, LogLine, NOW, World};
