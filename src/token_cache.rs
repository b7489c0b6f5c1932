//! Tokens whose signature was checked, or of which their authorization server was asked, so that it need not be done again.
//!
//! Only what that proves is remembered. Audience, times and scopes are judged anew for each request, and an entry is worth
//! nothing once its key has left the issuer's set (`KeyCache::holds`).

use core::time::Duration;

use alloc::sync::Arc;

use crate::{bearer::BearerToken, bounded::Bounded, grant::VerifiedToken, jwk::KeySerial, time::UnixTime};

/// Bounds of the cache of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenCacheLimits {
    /// As many tokens; 0 switches the cache off.
    pub max_entries: usize,
    /// As many bytes, tokens and what is remembered of them.
    pub max_bytes: usize,
    /// No entry lives longer.
    pub ttl: Duration,
}

impl Default for TokenCacheLimits {
    fn default() -> Self {
        // 10 000 live tokens of the usual 1 KiB fit: each takes about 1.7 KiB.
        Self { max_entries: 32_768, max_bytes: 32 * 1024 * 1024, ttl: Duration::from_secs(300) }
    }
}

/// Bad tokens are remembered apart from good ones, so that no flood of them evicts a good one: fewer and shorter.
const MAX_BAD_ENTRIES: usize = 256;
const MAX_BAD_BYTES: usize = 256 * 1024;

#[derive(Debug)]
pub(crate) struct TokenCache {
    good: Bounded<Good>,
    bad: Bounded<Bad>,
    ttl: Duration,
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    /// Its signature, with this key of this issuer.
    Signature(usize, KeySerial),
    /// This issuer says that it is not active; that counts until then.
    Inactive(usize, UnixTime),
}

#[derive(Clone, Debug)]
struct Good {
    token: Arc<VerifiedToken>,
    until: UnixTime,
}

impl TokenCache {
    pub(crate) fn new(limits: TokenCacheLimits) -> Self {
        let bad = if limits.max_entries == 0 { 0 } else { MAX_BAD_ENTRIES };
        Self {
            good: Bounded::new(limits.max_entries, limits.max_bytes),
            bad: Bounded::new(bad, MAX_BAD_BYTES),
            ttl: limits.ttl,
        }
    }

    /// The token that these bytes are, if it was remembered. They need not have been read before: what is remembered was.
    pub(crate) fn good(&mut self, text: &[u8], now: UnixTime) -> Option<&Arc<VerifiedToken>> {
        self.good.get(0, text).filter(|good| now < good.until).map(|good| &good.token)
    }

    /// What was found wrong with this token. Whoever asks must see whether it still counts.
    pub(crate) fn bad(&mut self, token: BearerToken<'_>) -> Option<Bad> {
        self.bad.get(0, token.expose().as_bytes()).copied()
    }

    /// Remembers a good token for `at_most` this time.
    pub(crate) fn remember(
        &mut self,
        text: BearerToken<'_>,
        token: &Arc<VerifiedToken>,
        now: UnixTime,
        at_most: Option<Duration>,
    ) {
        let until = token.expires_at().min(now.plus(at_most.map_or(self.ttl, |most| most.min(self.ttl))));
        if now < until {
            self.good.insert(0, text.expose(), Good { token: Arc::clone(token), until }, token.weight());
        }
    }

    /// Forgets what was reckoned by a clock that was wrong.
    pub(crate) fn forget(&mut self) {
        self.good.clear();
        self.bad.clear();
    }

    pub(crate) fn remember_bad(&mut self, text: BearerToken<'_>, bad: Bad) {
        self.bad.insert(0, text.expose(), bad, 0);
    }
}
