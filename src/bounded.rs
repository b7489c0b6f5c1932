//! What is remembered by token: so many entries, so many bytes.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};

/// A map that forgets what was not used for longest, roughly (the CLOCK algorithm): a hand goes round the entries, and
/// forgets the first one that was not used since it last came by. A use is one mark, so a hit costs no more than a look.
///
/// Its owner may divide it into spaces: a token in one is another than in the next.
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
    space: usize,
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

    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.max_entries, self.max_bytes);
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// What is remembered of a token in this space.
    pub(crate) fn get(&mut self, space: usize, token: &[u8]) -> Option<&V> {
        let at = *self.index.get(&hash(space, token))?;
        let is_it = |entry: &&mut Entry<V>| entry.space == space && is_same(&entry.token, token);
        let entry = self.slots.get_mut(at)?.as_mut().filter(is_it)?;
        entry.used = true;
        Some(&entry.value)
    }

    pub(crate) fn insert(&mut self, space: usize, token: &str, value: V, weight: usize) {
        let bytes = token.len().saturating_add(weight).saturating_add(OVERHEAD);
        if self.max_entries == 0 || bytes > self.max_bytes {
            return;
        }
        let hash = hash(space, token.as_bytes());
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
            *slot = Some(Entry { hash, space, token: token.as_bytes().into(), value, bytes, used: false });
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

/// FNV-1a over the whole token, eight bytes at a time. Parts of it would not do: PASETOs with a footer begin and end alike, and have
/// the same audience in between. Whoever makes two tokens collide has had them both issued, and gains one eviction.
fn hash(space: usize, token: &[u8]) -> u64 {
    let (words, rest) = token.as_chunks::<8>();
    let step = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x0100_0000_01b3);
    let seed = 0xcbf2_9ce4_8422_2325 ^ u64::try_from(space).unwrap_or_default();
    let rest = rest.iter().fold(seed, |hash, byte| step(hash, u64::from(*byte)));
    words.iter().fold(rest, |hash, chunk| step(hash, u64::from_le_bytes(*chunk)))
}
