//! Which proofs were seen, so that none counts twice (RFC 9449 section 11.1).
//!
//! Of one worker and for as long as it runs with one configuration: a proof that was stolen counts once in each other one.
//! What is remembered has an end, and that end never opens anything: whatever is forgotten leaves a time behind, and proofs
//! that were made before it are refused. Keys are spread over many buckets, each with a time and a bound of its own, so that
//! one who sends more than is remembered makes trouble for few others, and for these only if their clocks are behind: what
//! lies in the future is not forgotten, so that the time that is left behind never does. It may take half of the room at the
//! most, and what is too old to count takes none of that half.

use core::{fmt, time::Duration};

use alloc::vec::Vec;

use super::ProofError;
use crate::{
    confirmation::Thumbprint,
    digest::{Digest, sha256},
    time::UnixTime,
};

/// Bounds of what one worker remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayLimits {
    /// So many buckets for keys.
    pub buckets: usize,
    /// As many proofs in one bucket.
    pub proofs_of_bucket: usize,
    /// As many proofs in all of them.
    pub proofs: usize,
}

impl Default for ReplayLimits {
    fn default() -> Self {
        // 200 requests per second of all clients together for 330 seconds, 12 of each; about 3 MiB when full.
        Self { buckets: 4096, proofs_of_bucket: 4096, proofs: 65_536 }
    }
}

/// The proofs that one worker has seen.
pub struct Replay {
    /// None before the first proof.
    buckets: Vec<Bucket>,
    /// How many are remembered in all buckets.
    proofs: usize,
    /// When all buckets were last looked through.
    swept: UnixTime,
    /// No proof counts any more when so much time has passed since it was made.
    window: Duration,
    limits: ReplayLimits,
}

/// Numbers only: there are thousands of them.
impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Replay(<{} proofs>)", self.proofs)
    }
}

/// The proofs of some keys.
#[derive(Default)]
struct Bucket {
    /// By the time they were made.
    seen: Vec<Seen>,
    /// What was made before this counts as seen.
    since: UnixTime,
}

/// When a proof was made, and the hash of its key and its `jti`.
type Seen = (UnixTime, Digest);

impl Replay {
    /// Nothing was seen yet.
    #[must_use]
    pub const fn new(window: Duration, limits: ReplayLimits) -> Self {
        Self { buckets: Vec::new(), proofs: 0, swept: UnixTime(0), window, limits }
    }

    /// Remembers a proof, which must be good for everything else.
    ///
    /// # Errors
    ///
    /// [`ProofError::Replayed`], or [`ProofError::Forgotten`] if that cannot be known.
    pub fn admit(&mut self, key: Thumbprint, id: &str, made: UnixTime, now: UnixTime) -> Result<(), ProofError> {
        let ReplayLimits { buckets, proofs_of_bucket, proofs } = self.limits;
        if self.buckets.is_empty() {
            self.buckets.resize_with(buckets, Bucket::default);
        }
        if is_half(self.proofs, proofs) {
            self.make_room(now);
        }
        let place = key.spread().checked_rem(buckets).unwrap_or_default();
        let bucket = self.buckets.get_mut(place).ok_or(ProofError::Forgotten)?;
        // Not sooner: a clock that jumps ahead for a moment would shut out, for nothing, whoever is slow.
        if is_half(bucket.seen.len(), proofs_of_bucket) {
            self.proofs = self.proofs.saturating_sub(bucket.forget_old(self.window, now));
        }
        if bucket.seen.len() >= proofs_of_bucket {
            self.proofs = self.proofs.saturating_sub(bucket.forget_half(now));
        }
        if made < bucket.since {
            return Err(ProofError::Forgotten);
        }
        let proof = (made, sha256(&[key.bytes(), id.as_bytes()].concat()));
        let Err(at) = bucket.seen.binary_search(&proof) else { return Err(ProofError::Replayed) };
        // Of what is not forgotten there may be half of what is remembered at the most.
        let is_full = |taken: usize, most: usize| if made > now { is_half(taken, most) } else { taken >= most };
        if is_full(bucket.seen.len(), proofs_of_bucket) || is_full(self.proofs, proofs) {
            return Err(ProofError::Forgotten);
        }
        bucket.seen.insert(at, proof);
        self.proofs = self.proofs.saturating_add(1);
        Ok(())
    }

    /// Forgets what is too old to count, and if that is not enough, some of the fullest bucket.
    fn make_room(&mut self, now: UnixTime) {
        // Once per second: what is looked through must not cost more than the signature did.
        if self.swept != now {
            self.swept = now;
            for bucket in &mut self.buckets {
                self.proofs = self.proofs.saturating_sub(bucket.forget_old(self.window, now));
            }
        }
        if self.proofs >= self.limits.proofs
            && let Some(bucket) = self.buckets.iter_mut().max_by_key(|bucket| bucket.past(now))
        {
            self.proofs = self.proofs.saturating_sub(bucket.forget_half(now));
        }
    }
}

/// Whether there is no room for proofs from the future.
const fn is_half(taken: usize, most: usize) -> bool {
    taken.saturating_mul(2) >= most
}

impl Bucket {
    /// How many were not made in the future.
    fn past(&self, now: UnixTime) -> usize {
        self.seen.partition_point(|(made, _)| *made <= now)
    }

    /// Forgets what is too old to count, and says how many these were.
    fn forget_old(&mut self, window: Duration, now: UnixTime) -> usize {
        self.forget(self.seen.partition_point(|(made, _)| made.plus(window) < now))
    }

    /// Forgets the older half of what was not made in the future, and says how many these were.
    fn forget_half(&mut self, now: UnixTime) -> usize {
        self.forget(self.past(now).div_ceil(2))
    }

    /// Forgets the oldest, and whatever was made in the same second as the last of them.
    fn forget(&mut self, count: usize) -> usize {
        let Some((last, _)) = count.checked_sub(1).and_then(|last| self.seen.get(last)) else { return 0 };
        // A clock that was ahead may show later that it was too early.
        self.since = self.since.max(last.plus(Duration::from_secs(1)));
        let count = self.seen.partition_point(|(made, _)| *made < self.since);
        self.seen.drain(..count);
        count
    }
}
