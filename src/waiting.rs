//! How many requests may wait at a time, and what they may take meanwhile of a worker's memory and of the proxy's: what
//! somebody else decides the length of must have an end. `docs/threats.md` says where the numbers come from.

use core::sync::atomic::{AtomicUsize, Ordering};

use alloc::{sync::Arc, vec::Vec};

const MIB: usize = 1024 * 1024;

/// As many requests may wait for keys at a time: a fetch takes seconds at the worst, so this is hundreds of requests per
/// second and worker during a cold start.
pub const MAX_HELD: usize = 1024;

/// What these may take together: heads with their tokens, and what has come of bodies that are read. 1 024 heads of 60 KiB,
/// the longest that Envoy takes by default, fit.
pub const MAX_HELD_BYTES: usize = 64 * MIB;

/// As many requests with a good token may wait for the rest of their body at a time: twice as many as those that waited for
/// keys, all of which begin to wait for it in the same moment. A body mostly comes with its head; at a tenth of a second for
/// the rest this is twenty thousand requests per second and worker.
pub const MAX_READING: usize = 2 * MAX_HELD;

/// What these may take together, bodies included: 256 of the longest ones at the default of `body.max_size`.
pub const MAX_READING_BYTES: usize = 256 * MIB;

/// As many requests without a token may wait for the rest of their body at a time, where some methods need none. Nobody
/// answers for these, and they have a room of their own, so that they keep out only each other.
pub const MAX_READING_ANONYMOUS: usize = 256;

/// What these may take together, bodies included.
pub const MAX_READING_ANONYMOUS_BYTES: usize = 16 * MIB;

/// What may be kept of events of filtered lists of which the end has not come, in all streams together.
pub const MAX_EVENT_BYTES: usize = 64 * MIB;

/// The rooms of one worker.
#[derive(Debug)]
pub(crate) struct Rooms {
    /// For requests that wait for keys or for the word of an issuer, by issuer: each has its share, so that one that is slow
    /// does not keep out the tokens of the others. A configuration has 32 issuers at most, so the least is 32 requests and 2 MiB.
    pub(crate) issuers: Vec<Room>,
    /// For requests that wait for a credential of their upstream, by resource: each has its share, for the same reason.
    pub(crate) upstreams: Vec<Option<Room>>,
    /// For requests whose body is being read.
    pub(crate) reading: Room,
    /// The same for requests without a token, and for those of them that wait for a credential of their upstream.
    pub(crate) reading_anonymous: Room,
    /// For beginnings of events.
    pub(crate) events: Room,
}

impl Rooms {
    /// `upstreams` says of each resource whether its upstream gets a credential that another server gives.
    pub(crate) fn new(issuers: usize, upstreams: &[bool]) -> Self {
        let share = |of: usize| of.checked_div(issuers).unwrap_or_default();
        let asking = upstreams.iter().filter(|asks| **asks).count();
        let upstream_share = |of: usize, least: usize| of.checked_div(asking).unwrap_or_default().max(least);
        let upstream = || Room::new(upstream_share(MAX_HELD, 8), upstream_share(MAX_HELD_BYTES, MIB / 2));
        Self {
            issuers: (0..issuers).map(|_| Room::new(share(MAX_HELD), share(MAX_HELD_BYTES))).collect(),
            upstreams: upstreams.iter().map(|asks| asks.then(upstream)).collect(),
            reading: Room::new(MAX_READING, MAX_READING_BYTES),
            reading_anonymous: Room::new(MAX_READING_ANONYMOUS, MAX_READING_ANONYMOUS_BYTES),
            // What bounds the streams is the proxy; an event that is complete takes nothing.
            events: Room::new(usize::MAX, MAX_EVENT_BYTES),
        }
    }
}

/// Room for so many, and for so many bytes. Clones are the same room.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    most: usize,
    most_bytes: usize,
    taken: AtomicUsize,
    taken_bytes: AtomicUsize,
}

/// A place in a [`Room`]. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    room: Room,
    bytes: usize,
}

impl Room {
    fn new(most: usize, most_bytes: usize) -> Self {
        let (taken, taken_bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self(Arc::new(Inside { most, most_bytes, taken, taken_bytes }))
    }

    /// How many are in it.
    pub(crate) fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// A place for one that takes so many bytes for now; `None` if there is none.
    pub(crate) fn enter(&self, bytes: usize) -> Option<Place> {
        if self.taken() >= self.0.most {
            return None;
        }
        self.0.taken.fetch_add(1, Ordering::Relaxed);
        let mut place = Place { room: self.clone(), bytes: 0 };
        place.resize(bytes).then_some(place)
    }
}

impl Place {
    /// Takes so many bytes from now on. False, and all stays as it was, if the room has not that many left.
    #[must_use]
    pub(crate) fn resize(&mut self, bytes: usize) -> bool {
        let Inside { most_bytes, taken_bytes, .. } = &*self.room.0;
        let others = taken_bytes.load(Ordering::Relaxed).saturating_sub(self.bytes);
        let together = others.saturating_add(bytes);
        // Whoever takes less than before may always.
        if bytes > self.bytes && together > *most_bytes {
            return false;
        }
        taken_bytes.store(together, Ordering::Relaxed);
        self.bytes = bytes;
        true
    }

    /// How many bytes it takes.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many are in the room with it, itself included.
    pub(crate) fn taken(&self) -> usize {
        self.room.taken()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.0.taken_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.room.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
