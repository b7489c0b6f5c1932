//! `mcp_resource_server.wasm`: makes an MCP server behind a proxy an OAuth 2.1 protected resource.
//!
//! All decisions are the core's ([`mcp_oauth`]); this crate translates proxy-wasm callbacks into calls of its gate
//! (`plugin.rs`) and verdicts into host calls (`host.rs`).

mod crypto;
mod exports;
mod host;
mod pairs;
mod plugin;
