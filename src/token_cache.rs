//! Tokens whose signature was checked, or of which their authorization server was asked, so that it need not be done again.
//!
//! Only what that proves is remembered. Audience, times and scopes are judged anew for each request, and an entry is worth
//! nothing once its key has left the issuer's set (`KeyCache::holds`).

use core::time::Duration;

use alloc::{boxed::Box, collections::BTreeMap, sync::Arc, vec::Vec};

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
        self.good.get(text).filter(|good| now < good.until).map(|good| &good.token)
    }

    /// What was found wrong with this token. Whoever asks must see whether it still counts.
    pub(crate) fn bad(&mut self, token: BearerToken<'_>) -> Option<Bad> {
        self.bad.get(token.expose().as_bytes()).copied()
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
            self.good.insert(text.expose(), Good { token: Arc::clone(token), until }, token.weight());
        }
    }

    /// Forgets what was reckoned by a clock that was wrong.
    pub(crate) fn forget(&mut self) {
        self.good = Bounded::new(self.good.max_entries, self.good.max_bytes);
        self.bad = Bounded::new(self.bad.max_entries, self.bad.max_bytes);
    }

    pub(crate) fn remember_bad(&mut self, text: BearerToken<'_>, bad: Bad) {
        self.bad.insert(text.expose(), bad, 0);
    }
}

/// A map that forgets what was not used for longest, roughly (the CLOCK algorithm): a hand goes round the entries, and
/// forgets the first one that was not used since it last came by. A use is one mark, so a hit costs no more than a look.
#[derive(Debug)]
pub(crate) struct Bounded<V> {
    /// Where the entry of a hash is.
    index: BTreeMap<u64, usize>,
    slots: Vec<Option<Entry<V>>>,
    /// The slots without an entry.
    free: Vec<usize>,
    hand: usize,
    bytes: usize,
    max_entries: usize,
    max_bytes: usize,
}

struct Entry<V> {
    hash: u64,
    token: Box<[u8]>,
    value: V,
    bytes: usize,
    used: bool,
}

/// The token is a secret.
impl<V> core::fmt::Debug for Entry<V> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Entry(<{} bytes>)", self.bytes)
    }
}

/// What an entry costs besides its token and value: its slot, its place in the index, and the allocator's two words.
const OVERHEAD: usize = 96;

impl<V> Bounded<V> {
    pub(crate) const fn new(max_entries: usize, max_bytes: usize) -> Self {
        Self { index: BTreeMap::new(), slots: Vec::new(), free: Vec::new(), hand: 0, bytes: 0, max_entries, max_bytes }
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn get(&mut self, token: &[u8]) -> Option<&V> {
        let at = *self.index.get(&tail_hash(token))?;
        let entry = self.slots.get_mut(at)?.as_mut().filter(|entry| is_same(&entry.token, token))?;
        entry.used = true;
        Some(&entry.value)
    }

    pub(crate) fn insert(&mut self, token: &str, value: V, weight: usize) {
        let bytes = token.len().saturating_add(weight).saturating_add(OVERHEAD);
        if self.max_entries == 0 || bytes > self.max_bytes {
            return;
        }
        let hash = tail_hash(token.as_bytes());
        if let Some(at) = self.index.get(&hash).copied() {
            self.forget(at);
        }
        while self.index.len() >= self.max_entries || self.bytes.saturating_add(bytes) > self.max_bytes {
            self.turn();
        }
        let at = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len().saturating_sub(1)
        });
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = Some(Entry { hash, token: token.as_bytes().into(), value, bytes, used: false });
            self.index.insert(hash, at);
            self.bytes = self.bytes.saturating_add(bytes);
        }
    }

    /// Moves the hand by one, and forgets the entry there if it was not used since.
    fn turn(&mut self) {
        let at = self.hand;
        self.hand = if at.saturating_add(1) < self.slots.len() { at.saturating_add(1) } else { 0 };
        match self.slots.get_mut(at).and_then(Option::as_mut) {
            Some(entry) if entry.used => entry.used = false,
            Some(_) => self.forget(at),
            None => {}
        }
    }

    fn forget(&mut self, at: usize) {
        if let Some(entry) = self.slots.get_mut(at).and_then(Option::take) {
            self.index.remove(&entry.hash);
            self.bytes = self.bytes.saturating_sub(entry.bytes);
            self.free.push(at);
        }
    }
}

/// Equality, eight bytes at a time: the comparison that wasm modules are linked with goes byte by byte.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let ((ones, rest), (others, other_rest)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    let word = |chunk: &[u8; 8]| u64::from_le_bytes(*chunk);
    one.len() == other.len() && ones.iter().map(word).eq(others.iter().map(word)) && rest == other_rest
}

/// FNV-1a over the end of the token, which is the end of its signature: as good as random in every token that was
/// verified. Whoever makes two tokens collide has had them both signed, and gains one eviction.
fn tail_hash(token: &[u8]) -> u64 {
    let tail = token.get(token.len().saturating_sub(24)..).unwrap_or_default();
    tail.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
