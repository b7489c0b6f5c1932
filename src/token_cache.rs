//! Tokens whose signature was checked, so that it need not be checked again.
//!
//! Only what a signature proves is remembered. Audience, times and scopes are judged anew for each request, and an entry
//! is worth nothing once its key has left the issuer's set (`KeyCache::holds`).

use core::time::Duration;

use alloc::{boxed::Box, collections::BTreeMap, sync::Arc};

use crate::{bearer::BearerToken, grant::VerifiedToken, jwk::KeySerial, time::UnixTime};

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
        // 10 000 live tokens of the usual 1 KiB fit, twice over.
        Self { max_entries: 32_768, max_bytes: 32 * 1024 * 1024, ttl: Duration::from_secs(300) }
    }
}

/// Bad tokens are remembered apart from good ones, so that no flood of them evicts a good one: fewer and shorter.
const MAX_BAD_ENTRIES: usize = 256;
const MAX_BAD_BYTES: usize = 256 * 1024;

/// What is known of a token.
#[derive(Debug)]
pub(crate) enum Known {
    /// Its signature is good.
    Good(Arc<VerifiedToken>),
    /// Its signature was wrong with this key of this issuer.
    Bad((usize, KeySerial)),
}

#[derive(Debug)]
pub(crate) struct TokenCache {
    good: Generations<Good>,
    bad: Generations<(usize, KeySerial)>,
    ttl: Duration,
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
            good: Generations::new(limits.max_entries, limits.max_bytes),
            bad: Generations::new(bad, MAX_BAD_BYTES),
            ttl: limits.ttl,
        }
    }

    pub(crate) fn get(&mut self, token: BearerToken<'_>, now: UnixTime) -> Option<Known> {
        let text = token.expose();
        if let Some(good) = self.good.get(text) {
            return (now < good.until).then(|| Known::Good(Arc::clone(&good.token)));
        }
        self.bad.get(text).map(|key| Known::Bad(*key))
    }

    pub(crate) fn remember(&mut self, text: BearerToken<'_>, token: &Arc<VerifiedToken>, now: UnixTime) {
        let until = token.expires_at().min(now.plus(self.ttl));
        let weight = token.weight();
        self.good.insert(text.expose(), Good { token: Arc::clone(token), until }, weight);
    }

    pub(crate) fn remember_bad(&mut self, text: BearerToken<'_>, key: (usize, KeySerial)) {
        self.bad.insert(text.expose(), key, 0);
    }
}

/// A map that forgets what was not used for longest, roughly: what is used moves to the young half, and when that is
/// full it becomes the old half, whose rest is forgotten. Each step is cheap, and nothing has to be scanned.
#[derive(Debug)]
struct Generations<V> {
    young: Generation<V>,
    old: Generation<V>,
    max_entries: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct Generation<V> {
    entries: BTreeMap<u64, Entry<V>>,
    bytes: usize,
}

struct Entry<V> {
    token: Box<str>,
    value: V,
    bytes: usize,
}

/// The token is a secret.
impl<V> core::fmt::Debug for Entry<V> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Entry(<{} bytes>)", self.bytes)
    }
}

impl<V> Default for Generation<V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), bytes: 0 }
    }
}

/// What an entry costs besides its token and value: two words of the map, and the allocator's.
const OVERHEAD: usize = 64;

impl<V> Generations<V> {
    fn new(max_entries: usize, max_bytes: usize) -> Self {
        Self {
            young: Generation::default(),
            old: Generation::default(),
            max_entries: max_entries.div_ceil(2),
            max_bytes: max_bytes.div_ceil(2),
        }
    }

    fn get(&mut self, token: &str) -> Option<&V> {
        let hash = tail_hash(token);
        let is_old = self.old.entries.get(&hash).is_some_and(|entry| *entry.token == *token);
        if is_old && let Some(entry) = self.old.entries.remove(&hash) {
            self.old.bytes = self.old.bytes.saturating_sub(entry.bytes);
            self.put(hash, entry);
        }
        self.young.entries.get(&hash).filter(|entry| *entry.token == *token).map(|entry| &entry.value)
    }

    fn insert(&mut self, token: &str, value: V, weight: usize) {
        let bytes = token.len().saturating_add(weight).saturating_add(OVERHEAD);
        if self.max_entries == 0 || bytes > self.max_bytes {
            return;
        }
        self.put(tail_hash(token), Entry { token: token.into(), value, bytes });
    }

    fn put(&mut self, hash: u64, entry: Entry<V>) {
        let full = self.young.entries.len() >= self.max_entries
            || self.young.bytes.saturating_add(entry.bytes) > self.max_bytes;
        if full {
            self.old = core::mem::take(&mut self.young);
        }
        self.young.bytes = self.young.bytes.saturating_add(entry.bytes);
        if let Some(replaced) = self.young.entries.insert(hash, entry) {
            self.young.bytes = self.young.bytes.saturating_sub(replaced.bytes);
        }
    }
}

/// FNV-1a over the end of the token, which is the end of its signature: as good as random in every token that was
/// verified. Whoever makes two tokens collide has had them both signed, and gains one eviction.
fn tail_hash(token: &str) -> u64 {
    let bytes = token.as_bytes();
    let tail = bytes.get(bytes.len().saturating_sub(24)..).unwrap_or_default();
    tail.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
