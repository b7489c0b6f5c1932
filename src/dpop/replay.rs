//! Which proofs were seen, so that none counts twice (RFC 9449 section 11.1).
//!
//! Of one worker and for as long as it runs with one configuration: a proof that was stolen counts once in each other one.
//! What is remembered has an end, and that end never opens anything: whatever is forgotten leaves a time behind, and proofs
//! that were made before it are refused. It is the holder's own as long as there is room for its name, so that one who
//! sends more than is remembered makes trouble for nobody else.

use core::{fmt, time::Duration};

use alloc::{collections::BTreeMap, vec::Vec};

use super::ProofError;
use crate::{
    confirmation::Thumbprint,
    digest::{Digest, sha256},
    time::UnixTime,
};

/// Bounds of what one worker remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayLimits {
    /// As many holders of keys.
    pub holders: usize,
    /// As many proofs of one holder.
    pub proofs_of_holder: usize,
    /// As many proofs of all of them.
    pub proofs: usize,
}

impl Default for ReplayLimits {
    fn default() -> Self {
        // 200 requests per second of all clients together for 330 seconds, 12 of each; about 4 MiB when full.
        Self { holders: 16_384, proofs_of_holder: 4096, proofs: 65_536 }
    }
}

/// The proofs that one worker has seen.
pub struct Replay {
    holders: BTreeMap<Thumbprint, Holder>,
    /// How many are remembered of all holders.
    proofs: usize,
    /// What was made before this counts as seen, whoever made it.
    since: UnixTime,
    /// When all holders were last looked through.
    swept: UnixTime,
    /// No proof counts any more when so much time has passed since it was made.
    window: Duration,
    limits: ReplayLimits,
}

/// Numbers only: there are thousands of them.
impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Replay(<{} proofs of {} holders>)", self.proofs, self.holders.len())
    }
}

/// The proofs of one key.
#[derive(Default)]
struct Holder {
    /// By the time they were made.
    seen: Vec<(UnixTime, Digest)>,
    /// What was made before this counts as seen.
    since: UnixTime,
}

impl Replay {
    /// Nothing was seen yet.
    #[must_use]
    pub const fn new(window: Duration, limits: ReplayLimits) -> Self {
        Self { holders: BTreeMap::new(), proofs: 0, since: UnixTime(0), swept: UnixTime(0), window, limits }
    }

    /// Remembers a proof, which must be good for everything else.
    ///
    /// # Errors
    ///
    /// [`ProofError::Replayed`], or [`ProofError::Forgotten`] if that cannot be known.
    pub fn admit(&mut self, key: Thumbprint, id: &str, made: UnixTime, now: UnixTime) -> Result<(), ProofError> {
        let proof = (made, sha256(id.as_bytes()));
        self.judge(key, &proof)?;
        let is_new = !self.holders.contains_key(&key);
        let lacks_place = is_new && self.holders.len() >= self.limits.holders;
        if lacks_place || self.proofs >= self.limits.proofs {
            self.make_room(is_new.then_some(made), now);
        }
        if self.holders.len() >= self.limits.holders && !self.holders.contains_key(&key) {
            return Err(ProofError::Forgotten);
        }
        let holder = self.holders.entry(key).or_default();
        let before = holder.seen.len();
        if before >= self.limits.proofs_of_holder {
            holder.forget_expired(now, self.window);
            holder.forget_half_of(self.limits.proofs_of_holder);
        }
        self.proofs = self.proofs.saturating_add(holder.seen.len()).saturating_sub(before);
        // What was forgotten just now may be all that was made so long ago.
        self.judge(key, &proof)?;
        if let Some(holder) = self.holders.get_mut(&key) {
            let at = holder.seen.partition_point(|other| *other < proof);
            holder.seen.insert(at, proof);
            self.proofs = self.proofs.saturating_add(1);
        }
        Ok(())
    }

    fn judge(&self, key: Thumbprint, proof: &(UnixTime, Digest)) -> Result<(), ProofError> {
        let holder = self.holders.get(&key);
        if proof.0 < holder.map_or(self.since, |holder| holder.since.max(self.since)) {
            return Err(ProofError::Forgotten);
        }
        match holder.map(|holder| holder.seen.binary_search(proof)) {
            Some(Ok(_)) => Err(ProofError::Replayed),
            _ => Ok(()),
        }
    }

    /// Makes room for one more proof; for a new holder with one that was made at this time, unless that is the oldest of all,
    /// which has to go itself: what is made in the future must not push out what is made now.
    fn make_room(&mut self, for_new_holder: Option<UnixTime>, now: UnixTime) {
        // Once per second: what is looked through must not cost more than the signature did.
        if self.swept != now {
            self.swept = now;
            let (window, since) = (self.window, &mut self.since);
            self.holders.retain(|_, holder| {
                holder.forget_expired(now, window);
                let stays = !holder.seen.is_empty() || now <= holder.since.plus(window);
                if !stays {
                    *since = holder.since.max(*since);
                }
                stays
            });
        }
        if self.holders.len() >= self.limits.holders
            && let Some(made) = for_new_holder
        {
            // The one that has been quiet for longest, so that the time that is left behind for all is the earliest.
            let last = |holder: &Holder| holder.seen.last().map_or(holder.since, |(made, _)| made.plus(SECOND));
            let quiet = self.holders.iter().map(|(key, holder)| (last(holder).max(holder.since), *key)).min();
            if let Some((since, key)) = quiet.filter(|(since, _)| made >= *since) {
                self.holders.remove(&key);
                self.since = self.since.max(since);
            }
        }
        self.proofs = self.holders.values().map(|holder| holder.seen.len()).fold(0, usize::saturating_add);
        if self.proofs >= self.limits.proofs
            && let Some(holder) = self.holders.values_mut().max_by_key(|holder| holder.seen.len())
        {
            let before = holder.seen.len();
            holder.forget_half_of(before);
            self.proofs = self.proofs.saturating_add(holder.seen.len()).saturating_sub(before);
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

impl Holder {
    /// Forgets what counts no more because of its age. A clock that was ahead may show later that it was too early.
    fn forget_expired(&mut self, now: UnixTime, window: Duration) {
        let count = self.seen.partition_point(|(made, _)| made.plus(window) < now);
        self.forget(count);
    }

    /// Forgets the older half of a list that is this long or longer.
    fn forget_half_of(&mut self, most: usize) {
        if self.seen.len() >= most {
            self.forget(self.seen.len().div_ceil(2));
        }
    }

    /// Forgets the oldest proofs, and everything that was made in the same second as the last of them.
    fn forget(&mut self, count: usize) {
        let Some((last, _)) = count.checked_sub(1).and_then(|last| self.seen.get(last)) else { return };
        self.since = self.since.max(last.plus(SECOND));
        let count = self.seen.partition_point(|(made, _)| *made < self.since);
        self.seen.drain(..count);
    }
}
