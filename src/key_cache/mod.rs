//! The keys of one issuer as a state machine: when to fetch, whom to let wait, when to refuse. It performs no I/O.
//!
//! | state | a key is asked for | leaves by |
//! |---|---|---|
//! | absent | before `retry_at`: unavailable; then: wait | `poll_fetch` |
//! | fetching | in the old set: found; else: wait | `on_answer` |
//! | ready | in the set: found; missing: one refetch per cooldown, then not found | `poll_fetch`, time |
//!
//! At most one fetch is in flight. Keys are refreshed before they are too old, whether or not anybody asks; a refresh
//! that fails leaves the old ones in use, up to `keys_max_stale`.

mod remote;

use alloc::boxed::Box;

use crate::{
    fetch::{Answer, Fetch, FetchId, KeyEvent},
    jwk::{Key, KeySerial, KeySet, Selection},
    jws::Algorithm,
    policy::{AuthorizationServer, KeySource},
    time::UnixTime,
};

use remote::Remote;

/// What asking for a key comes to.
#[derive(Debug)]
pub(crate) enum Lookup<'k> {
    /// This key.
    Found(&'k Key),
    /// Ask again when the fetch has ended.
    Wait,
    /// The issuer has no such key.
    NotFound,
    /// Several keys fit.
    Ambiguous,
    /// Whether the issuer has such a key cannot be known now.
    Unavailable {
        /// Seconds until it is worth trying again.
        retry_after: u64,
    },
}

/// Whether a request may still wait for a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It came just now.
    MayWait,
    /// It waited for the fetch that ended: whatever is known now decides.
    Waited,
}

/// The keys of one issuer.
#[derive(Debug)]
pub(crate) struct KeyCache {
    keys: Keys,
}

#[derive(Debug)]
enum Keys {
    /// Its tokens are introspected.
    None,
    Inline(KeySet),
    Remote(Box<Remote>),
}

/// What an answer led to.
#[derive(Debug)]
pub(crate) enum Progress {
    /// It was not the answer that is waited for.
    Ignored,
    /// Another document has to be fetched: see [`KeyCache::poll_fetch`].
    Next(Option<KeyEvent>),
    /// The fetch ended, well or badly: those who wait can be answered.
    Ended(KeyEvent),
}

impl KeyCache {
    /// Starts without keys and wants them, so that the first request need not wait.
    pub(crate) fn new(index: usize, server: &AuthorizationServer, seed: u64) -> Self {
        let keys = match &server.keys {
            KeySource::None => Keys::None,
            KeySource::Inline(set) => {
                let mut set = set.clone();
                set.succeed(None, &mut 0);
                Keys::Inline(set)
            }
            KeySource::Remote(settings) => {
                Keys::Remote(Box::new(Remote::new(index, server.issuer.clone(), settings.clone(), seed)))
            }
        };
        Self { keys }
    }

    /// Finds the key for a token's `kid` and `alg`.
    pub(crate) fn lookup(
        &mut self,
        key_id: Option<&str>,
        algorithm: Algorithm,
        now: UnixTime,
        patience: Patience,
    ) -> Lookup<'_> {
        match &mut self.keys {
            Keys::None => Lookup::NotFound,
            Keys::Inline(set) => match set.select(key_id, algorithm) {
                Selection::One(key) => Lookup::Found(key),
                Selection::None => Lookup::NotFound,
                Selection::Ambiguous => Lookup::Ambiguous,
            },
            Keys::Remote(remote) => remote.lookup(key_id, algorithm, now, patience),
        }
    }

    /// The key that was found does not fit the signature. Authorization servers do change a key and keep its `kid`, so
    /// one refetch per cooldown is worth the wait; otherwise the token is bad.
    pub(crate) fn may_have_changed(&mut self, now: UnixTime, patience: Patience) -> bool {
        match &mut self.keys {
            Keys::None | Keys::Inline(_) => false,
            Keys::Remote(remote) => patience == Patience::MayWait && remote.want_refetch(now),
        }
    }

    /// The fetch to start now, if any.
    pub(crate) fn poll_fetch(&mut self, now: UnixTime) -> Option<Fetch> {
        match &mut self.keys {
            Keys::None | Keys::Inline(_) => None,
            Keys::Remote(remote) => remote.poll_fetch(now),
        }
    }

    /// What came back.
    pub(crate) fn on_answer(&mut self, id: FetchId, answer: Answer<'_>, now: UnixTime) -> Progress {
        match &mut self.keys {
            Keys::None | Keys::Inline(_) => Progress::Ignored,
            Keys::Remote(remote) => remote.on_answer(id, answer.json(), now),
        }
    }

    /// Gives up a fetch whose end the host never reported.
    pub(crate) fn on_time(&mut self, now: UnixTime) -> Progress {
        match &mut self.keys {
            Keys::None | Keys::Inline(_) => Progress::Ignored,
            Keys::Remote(remote) => remote.on_time(now),
        }
    }

    /// When [`KeyCache::on_time`] and [`KeyCache::poll_fetch`] have something to do by themselves; `None`: never. The
    /// beginning of time means at once.
    pub(crate) fn next_call(&self) -> Option<UnixTime> {
        match &self.keys {
            Keys::None | Keys::Inline(_) => None,
            Keys::Remote(remote) => remote.next_call(),
        }
    }

    /// Whether a key that proved a token is still the issuer's.
    pub(crate) fn holds(&mut self, serial: KeySerial, now: UnixTime) -> bool {
        match &mut self.keys {
            Keys::None => false,
            Keys::Inline(set) => set.holds(serial),
            Keys::Remote(remote) => remote.holds(serial, now),
        }
    }

    /// Whether this fetch is still waited for.
    pub(crate) fn awaits(&self, serial: u64) -> bool {
        match &self.keys {
            Keys::None | Keys::Inline(_) => false,
            Keys::Remote(remote) => remote.awaits(serial),
        }
    }

    /// The clock was set back by so many seconds: whatever lies ahead is as near as before.
    pub(crate) fn set_back(&mut self, seconds: u64) {
        if let Keys::Remote(remote) = &mut self.keys {
            remote.set_back(seconds);
        }
    }
}
