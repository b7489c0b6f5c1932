//! The state machine behind [`KeyCache`](super::KeyCache), for keys that are fetched.

use core::time::Duration;

use alloc::{borrow::ToOwned, string::String, sync::Arc, vec::Vec};

use super::{Lookup, Patience, Progress};
use crate::{
    fetch::{Asker, Document, Fetch, FetchError, FetchId, KeyEvent, KeyEventKind},
    issuer::Issuer,
    jwk::{KeySerial, KeySet, Selection},
    jws::Algorithm,
    policy::RemoteKeys,
    time::UnixTime,
    uri::HttpUri,
};

/// The longest pause between two tries after failures; they start at one second and about double.
const MAX_BACKOFF: u64 = 30;

/// Where the keys are rarely changes: metadata that is older is read again before the keys are.
const METADATA_MAX_AGE: Duration = Duration::from_secs(3600);

/// A fetch whose end the host has not reported this long after its timeout is given up.
const GRACE: Duration = Duration::from_secs(2);

/// The keys of an issuer that has them at a URL.
#[derive(Debug)]
pub(super) struct Remote {
    issuer: Issuer,
    index: usize,
    settings: RemoteKeys,
    state: State,
    /// Somebody asked for what only a fetch can bring.
    wanted: bool,
    serial: u64,
    failures: u32,
    last_failed: bool,
    /// When a missing or wrong key last caused a refetch.
    missed_at: Option<UnixTime>,
    discovered: Option<(HttpUri, UnixTime)>,
    /// The serial that the newest key got.
    last_key: u64,
    /// Differs from worker to worker, so that they do not all refresh in the same second.
    seed: u64,
}

#[derive(Debug)]
enum State {
    Absent { retry_at: UnixTime },
    Fetching { old: Option<Fetched>, step: Step, sent: Option<(u64, UnixTime)>, left: Vec<HttpUri> },
    Ready { fetched: Fetched, refresh_at: UnixTime },
}

#[derive(Debug)]
struct Fetched {
    set: KeySet,
    at: UnixTime,
}

#[derive(Clone, Debug)]
enum Step {
    Metadata(HttpUri),
    Keys(HttpUri),
}

impl Remote {
    /// Has nothing, and wants it at once: a worker that waited here would refuse requests for as long.
    pub(super) const fn new(index: usize, issuer: Issuer, settings: RemoteKeys, seed: u64) -> Self {
        Self {
            issuer,
            index,
            settings,
            state: State::Absent { retry_at: UnixTime(0) },
            wanted: false,
            serial: 0,
            failures: 0,
            last_failed: false,
            missed_at: None,
            discovered: None,
            last_key: 0,
            seed,
        }
    }

    pub(super) fn lookup(
        &mut self,
        key_id: Option<&str>,
        algorithm: Algorithm,
        now: UnixTime,
        patience: Patience,
    ) -> Lookup<'_> {
        self.forget_too_old(now);
        // Looked up twice, because a key that is lent out would keep `self` borrowed on the way to the miss.
        let found = match self.current() {
            Some(set) => set.select(key_id, algorithm),
            None => Selection::None,
        };
        match found {
            // Perhaps one of them has gone meanwhile.
            Selection::Ambiguous => {
                return match self.missing(now, patience) {
                    Lookup::NotFound => Lookup::Ambiguous,
                    lookup => lookup,
                };
            }
            Selection::None => return self.missing(now, patience),
            Selection::One(_) => {}
        }
        match self.current().map(|set| set.select(key_id, algorithm)) {
            Some(Selection::One(key)) => Lookup::Found(key),
            _ => Lookup::NotFound,
        }
    }

    fn current(&self) -> Option<&KeySet> {
        match &self.state {
            State::Ready { fetched, .. } | State::Fetching { old: Some(fetched), .. } => Some(&fetched.set),
            State::Absent { .. } | State::Fetching { old: None, .. } => None,
        }
    }

    fn missing(&mut self, now: UnixTime, patience: Patience) -> Lookup<'static> {
        let (retry_at, has_keys) = match &self.state {
            State::Absent { retry_at } => (*retry_at, false),
            State::Ready { refresh_at, .. } => (*refresh_at, true),
            State::Fetching { .. } => (now, self.current().is_some()),
        };
        // A refetch that failed says nothing about the key: not 401, or a good token would be thrown away.
        let unknowable = !has_keys || self.last_failed;
        if patience == Patience::MayWait && self.want_refetch(now) {
            Lookup::Wait
        } else if unknowable {
            Lookup::Unavailable { retry_after: retry_at.seconds_from(now).max(1) }
        } else {
            Lookup::NotFound
        }
    }

    /// Asks for a fetch because of a missing or wrong key; false if there may be none now.
    pub(super) fn want_refetch(&mut self, now: UnixTime) -> bool {
        match self.state {
            State::Fetching { .. } => return true,
            State::Absent { retry_at } if now < retry_at => return false,
            State::Absent { .. } => {}
            State::Ready { refresh_at, .. } => {
                let backing_off = self.last_failed && now < refresh_at;
                let cooldown = self.settings.refetch_cooldown;
                let cooling_down = self.missed_at.is_some_and(|missed_at| now < missed_at.plus(cooldown));
                if !self.wanted && (backing_off || cooling_down) {
                    return false;
                }
                if !self.wanted {
                    self.missed_at = Some(now);
                }
            }
        }
        self.wanted = true;
        true
    }

    pub(super) fn holds(&mut self, serial: KeySerial, now: UnixTime) -> bool {
        self.forget_too_old(now);
        self.current().is_some_and(|set| set.holds(serial))
    }

    pub(super) fn on_time(&mut self, now: UnixTime) -> Progress {
        match self.state {
            State::Fetching { sent: Some((serial, deadline)), .. } if now > deadline => {
                let id = FetchId { asker: Asker::Keys(self.index), serial };
                self.on_answer(id, Err(FetchError::Forgotten), now)
            }
            _ => Progress::Ignored,
        }
    }

    pub(super) fn awaits(&self, serial: u64) -> bool {
        matches!(self.state, State::Fetching { sent: Some((sent, _)), .. } if sent == serial)
    }

    pub(super) const fn next_call(&self) -> Option<UnixTime> {
        match self.state {
            _ if self.wanted => Some(UnixTime(0)),
            State::Fetching { sent: None, .. } => Some(UnixTime(0)),
            State::Fetching { sent: Some((_, deadline)), .. } => Some(deadline.plus(Duration::from_secs(1))),
            State::Absent { retry_at: at } | State::Ready { refresh_at: at, .. } => Some(at),
        }
    }

    /// Moves all that it remembers of the clock. A moment that was noted by another clock comes too soon then, never late.
    pub(super) fn set_back(&mut self, seconds: u64) {
        let (fetched, planned) = match &mut self.state {
            State::Absent { retry_at } => (None, Some(retry_at)),
            State::Fetching { old, sent, .. } => (old.as_mut(), sent.as_mut().map(|(_, deadline)| deadline)),
            State::Ready { fetched, refresh_at } => (Some(fetched), Some(refresh_at)),
        };
        let fetched = fetched.map(|fetched| &mut fetched.at);
        let discovered = self.discovered.as_mut().map(|(_, at)| at);
        for at in [fetched, planned, self.missed_at.as_mut(), discovered].into_iter().flatten() {
            *at = at.minus(seconds);
        }
    }

    fn forget_too_old(&mut self, now: UnixTime) {
        let max_stale = self.settings.max_stale;
        let too_old = |fetched: &Fetched| now >= fetched.at.plus(max_stale);
        match &mut self.state {
            State::Ready { fetched, refresh_at } if too_old(fetched) => {
                // The refresh may be backing off from a failure; without keys the same pause holds.
                self.state = State::Absent { retry_at: *refresh_at };
            }
            State::Fetching { old, .. } if old.as_ref().is_some_and(too_old) => *old = None,
            _ => {}
        }
    }

    pub(super) fn poll_fetch(&mut self, now: UnixTime) -> Option<Fetch> {
        let due = match self.state {
            State::Absent { retry_at: at } | State::Ready { refresh_at: at, .. } => self.wanted || now >= at,
            State::Fetching { .. } => false,
        };
        self.wanted = false;
        if due {
            self.start(now);
        }
        let State::Fetching { step, sent: sent @ None, .. } = &mut self.state else { return None };
        let (cluster, uri) = match step {
            Step::Metadata(uri) => (&self.settings.cluster, uri),
            Step::Keys(uri) => (&self.settings.jwks_cluster, uri),
        };
        self.serial = self.serial.wrapping_add(1);
        let timeout = self.settings.fetch_timeout;
        *sent = Some((self.serial, now.plus(timeout).plus(GRACE)));
        Some(Fetch {
            id: FetchId { asker: Asker::Keys(self.index), serial: self.serial },
            cluster: Arc::clone(cluster),
            uri: uri.clone(),
            timeout,
            post: None,
        })
    }

    fn start(&mut self, now: UnixTime) {
        let known = match (&self.settings.jwks_uri, &self.discovered) {
            (Some(uri), _) => Some(uri),
            (None, Some((uri, at))) if now < at.plus(METADATA_MAX_AGE) => Some(uri),
            (None, _) => None,
        };
        let mut left: Vec<HttpUri> = Vec::new();
        let step = match known {
            Some(uri) => Step::Keys(uri.clone()),
            None => {
                left = self.settings.metadata.clone();
                left.reverse();
                match left.pop() {
                    Some(uri) => Step::Metadata(uri),
                    None => return,
                }
            }
        };
        let old = match core::mem::replace(&mut self.state, State::Absent { retry_at: now }) {
            State::Ready { fetched, .. } => Some(fetched),
            State::Fetching { old, .. } => old,
            State::Absent { .. } => None,
        };
        self.state = State::Fetching { old, step, sent: None, left };
    }

    pub(super) fn on_answer(
        &mut self,
        id: FetchId,
        answer: Result<Document<'_>, FetchError>,
        now: UnixTime,
    ) -> Progress {
        let State::Fetching { step, sent, left, .. } = &mut self.state else { return Progress::Ignored };
        if sent.is_none_or(|(serial, _)| serial != id.serial) {
            return Progress::Ignored;
        }
        *sent = None;
        match step.clone() {
            Step::Metadata(uri) => {
                let found = answer.and_then(|found| self.issuer.jwks_uri(found.body).map_err(FetchError::Metadata));
                match found {
                    Ok(jwks_uri) => {
                        self.discovered = Some((jwks_uri.clone(), now));
                        *step = Step::Keys(jwks_uri);
                        Progress::Next(None)
                    }
                    Err(error) if error.may_be_elsewhere() && !left.is_empty() => {
                        if let Some(next) = left.pop() {
                            *step = Step::Metadata(next);
                        }
                        Progress::Next(Some(self.event(KeyEventKind::TriedElsewhere { uri: text(&uri), error })))
                    }
                    Err(error) => self.fail(&uri, error, now),
                }
            }
            Step::Keys(uri) => match answer.and_then(|found| {
                let set = KeySet::parse(found.body).map_err(FetchError::Keys)?;
                Ok((set, found.max_age))
            }) {
                Ok((set, max_age)) => {
                    let event = KeyEventKind::Fetched { uri: text(&uri), usable: set.usable(), skipped: set.skipped() };
                    self.adopt(set, max_age, now);
                    Progress::Ended(self.event(event))
                }
                Err(error) => {
                    // The keys may have moved: read the metadata again next time.
                    self.discovered = None;
                    self.fail(&uri, error, now)
                }
            },
        }
    }

    fn adopt(&mut self, mut set: KeySet, max_age: Option<Duration>, now: UnixTime) {
        let mut last_key = self.last_key;
        set.succeed(self.current(), &mut last_key);
        self.last_key = last_key;
        let longest = self.settings.max_age;
        // A server that forbids keeping its keys at all would be asked for every request.
        let shortest = self.settings.refetch_cooldown.min(longest);
        let lifetime = max_age.unwrap_or(longest).clamp(shortest, longest);
        let refresh_at = now.plus(lifetime.saturating_sub(self.jitter(lifetime)));
        self.state = State::Ready { fetched: Fetched { set, at: now }, refresh_at };
        self.failures = 0;
        self.last_failed = false;
        self.wanted = false;
    }

    /// Up to a tenth of a lifetime, another one each time.
    fn jitter(&self, lifetime: Duration) -> Duration {
        Duration::from_secs(self.chance(lifetime.as_secs().wrapping_div(10)))
    }

    /// A number below this one, another one for each worker and each fetch; 0 if there is none.
    fn chance(&self, below: u64) -> u64 {
        // SplitMix64's finalizer spreads seeds that differ in few bits.
        let mut mixed = self.seed.wrapping_add(self.serial.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)).checked_rem(below).unwrap_or_default()
    }

    /// The pause after a failure. Longer ones are shortened by up to a quarter, or all workers would come back at once.
    fn backoff(&self) -> u64 {
        let pause = 1_u64.checked_shl(self.failures).unwrap_or(MAX_BACKOFF).min(MAX_BACKOFF);
        let quarter = if pause < 4 { 0 } else { pause.wrapping_div(4).saturating_add(1) };
        pause.saturating_sub(self.chance(quarter))
    }

    fn fail(&mut self, uri: &HttpUri, error: FetchError, now: UnixTime) -> Progress {
        let backoff = self.backoff();
        self.failures = self.failures.saturating_add(1);
        self.last_failed = true;
        self.wanted = false;
        let retry_at = UnixTime(now.0.saturating_add(backoff));
        let old = match core::mem::replace(&mut self.state, State::Absent { retry_at }) {
            State::Fetching { old, .. } => old,
            State::Ready { fetched, .. } => Some(fetched),
            State::Absent { .. } => None,
        };
        let mut old_keys_for = None;
        if let Some(fetched) = old {
            old_keys_for = Some(fetched.at.plus(self.settings.max_stale).seconds_from(now));
            self.state = State::Ready { fetched, refresh_at: retry_at };
        }
        let uri = text(uri);
        Progress::Ended(self.event(KeyEventKind::Failed { uri, error, retry_in: backoff, old_keys_for }))
    }

    fn event(&self, kind: KeyEventKind) -> KeyEvent {
        KeyEvent::new(self.issuer.as_str(), kind)
    }
}

fn text(uri: &HttpUri) -> String {
    uri.as_str().to_owned()
}
