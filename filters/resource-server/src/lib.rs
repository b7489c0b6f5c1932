//! `mcp_resource_server.wasm`: makes an MCP server behind a proxy an OAuth 2.1 protected resource.
//!
//! All decisions are the core's ([`mcp_oauth`]); this crate translates proxy-wasm callbacks into calls of its gate
//! (`plugin.rs`, `request.rs`, `response.rs`) and verdicts into host calls (`stream.rs`, `host.rs`).

mod crypto;
mod exports;
mod host;
mod metrics;
mod pairs;
mod plugin;
mod request;
mod response;
mod stream;
