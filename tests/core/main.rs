//! The core's promises, one module each. Compiled natively (`cargo test`) and to wasm (`make test-core-wasm`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a test that cannot go on has failed"
)]

mod acceleration;
mod access_rules;
mod access_tokens;
mod algorithms;
mod browser_page;
mod challenges;
mod configuration;
mod counts;
mod cross_origin;
mod discovery;
mod documentation;
mod dpop;
mod filter_state;
mod introspection;
mod key_rotation;
mod key_sets;
mod list_filter;
mod log_lines;
mod messages;
mod no_passthrough;
mod origins;
mod properties;
mod providers;
mod reasons;
mod report_only;
mod request_paths;
mod resource_metadata;
mod route_metadata;
mod sessions;
mod static_tokens;
mod support;
mod token_cache;
mod upstream_credentials;
mod waiting;
mod wycheproof;
