//! Sessions that belong to whoever opened them, without any state here (MCP 2025-11-25, Session Management; Security Best
//! Practices, Session Hijacking).
//!
//! A client never sees the server's session id but a sealed one: the id, a dot, and an HMAC over the id, the resource and
//! the caller. Every replica with the key can check it. A stolen one is worth nothing with another caller's token.

use alloc::string::String;

use crate::mac::MacKeys;

/// The keys of an operator.
#[derive(Clone, Debug)]
pub(crate) struct SessionKeys(pub(crate) MacKeys);

/// Whom and what a session belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner<'o> {
    pub(crate) resource: &'o str,
    pub(crate) issuer: &'o str,
    /// The `sub` of the caller, else its client; both are empty without a token.
    pub(crate) subject: &'o str,
    pub(crate) client: &'o str,
}

impl SessionKeys {
    /// The id as the client gets it; `None` for one that no server may send (visible ASCII only, MCP transports).
    pub(crate) fn seal(&self, id: &[u8], owner: Owner<'_>) -> Option<String> {
        let id = str::from_utf8(id).ok().filter(|id| is_session_id(id))?;
        Some(alloc::format!("{id}.{}", self.0.seal(&parts(id, owner))?))
    }

    /// The id as the server knows it, if this owner got it sealed. Compares in constant time.
    pub(crate) fn open<'s>(&self, sealed: &'s [u8], owner: Owner<'_>) -> Option<&'s str> {
        let (id, seal) = str::from_utf8(sealed).ok()?.rsplit_once('.')?;
        (is_session_id(id) && self.0.opens(&parts(id, owner), seal)).then_some(id)
    }
}

fn is_session_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| matches!(byte, 0x21..=0x7E))
}

fn parts<'o>(id: &'o str, owner: Owner<'o>) -> [&'o str; 6] {
    ["mcp-session", owner.resource, owner.issuer, owner.subject, owner.client, id]
}
