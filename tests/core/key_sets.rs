//! JWK Sets (RFC 7517): which keys are used, which are left out without spoiling the set, and which of them a token gets.

mod selection;
mod unusable;

use mcp_oauth::jwk::{KeySet, KeySetError};
use serde_json::Value;

use crate::support::jwks;

/// How many keys of the set are used and how many are left out.
fn counted(keys: &[Value]) -> Result<(usize, usize), KeySetError> {
    counts(jwks(keys).to_string().as_bytes())
}

fn counts(document: &[u8]) -> Result<(usize, usize), KeySetError> {
    KeySet::parse(document).map(|set| (set.usable(), set.skipped()))
}
