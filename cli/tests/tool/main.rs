//! The tool as it is used: arguments in, text and exit code out.

mod check;
mod discover;
mod explain;
mod fetching;
mod hostile;
mod init;
mod loopback;
mod places;
mod schema;
mod support;
mod usage;
