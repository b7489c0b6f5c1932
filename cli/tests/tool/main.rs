//! The tool as it is used: arguments in, text and exit code out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    reason = "tests fail by panicking"
)]

mod check;
mod chosen;
mod clusters;
mod cures;
mod dialects;
mod discover;
mod explain;
mod fetching;
mod files;
mod filters;
mod forms;
mod hostile;
mod init;
mod loopback;
mod places;
mod presented;
mod schema;
mod secrets;
mod services;
mod support;
mod terminal;
mod usage;
