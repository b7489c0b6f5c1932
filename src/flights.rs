//! Questions to other servers about single tokens: each is asked once at a time, whoever wants to know, and as many at a time
//! as there may be. It performs no I/O.

use core::time::Duration;

use alloc::vec::Vec;

use crate::time::UnixTime;

/// As many questions to all servers together may be open at a time in one worker, and to each one its share, so that one
/// that is slow does not keep the others from being asked. Whoever sends tokens that nobody knows makes one of each; at 20 ms
/// per answer 128 are six thousand per second, and what they hold is 128 tokens of 16 KiB.
pub const MAX_FLIGHTS: usize = 128;

/// No server's share is smaller, however many there are.
pub const MIN_FLIGHTS: usize = 8;

/// With the least shares of very many servers there may be more, up to this many.
const MAX_FLIGHTS_OF_ALL: usize = 4 * MAX_FLIGHTS;

/// A question whose end the host has not reported this long after its timeout is given up.
const GRACE: Duration = Duration::from_secs(2);

/// Names a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlightId(pub(crate) u64);

/// The questions that are open, in the order in which they came. So few that a look at all of them costs no more than a map.
#[derive(Debug)]
pub(crate) struct Flights<Q> {
    open: Vec<Flight<Q>>,
    last: u64,
    /// How many may be open to one server.
    share: usize,
}

#[derive(Debug)]
struct Flight<Q> {
    id: FlightId,
    question: Q,
    /// When it is given up; `None`: it was not sent yet.
    deadline: Option<UnixTime>,
}

impl<Q> Flights<Q> {
    /// Nothing is open; as many servers may be asked.
    pub(crate) fn new(servers: usize) -> Self {
        let share = MAX_FLIGHTS.checked_div(servers).unwrap_or(MAX_FLIGHTS).max(MIN_FLIGHTS);
        Self { open: Vec::new(), last: 0, share }
    }

    /// Opens a question, unless as many are open to the same server as may be.
    pub(crate) fn open(&mut self, is_to_same: impl Fn(&Q) -> bool, new: impl FnOnce() -> Q) -> Option<FlightId> {
        let to_same = self.open.iter().filter(|flight| is_to_same(&flight.question)).count();
        if to_same >= self.share || self.open.len() >= MAX_FLIGHTS_OF_ALL {
            return None;
        }
        self.last = self.last.wrapping_add(1);
        let id = FlightId(self.last);
        self.open.push(Flight { id, question: new(), deadline: None });
        Some(id)
    }

    /// The question that `is` this one.
    pub(crate) fn find(&self, is: impl Fn(&Q) -> bool) -> Option<FlightId> {
        self.open.iter().find(|flight| is(&flight.question)).map(|flight| flight.id)
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// The next question that was not sent. It counts as sent from now on, and may take so long.
    pub(crate) fn send(&mut self, now: UnixTime, timeout: impl FnOnce(&Q) -> Duration) -> Option<(FlightId, &Q)> {
        let flight = self.open.iter_mut().find(|flight| flight.deadline.is_none())?;
        flight.deadline = Some(now.plus(timeout(&flight.question)).plus(GRACE));
        Some((flight.id, &flight.question))
    }

    /// Whether there is one to send.
    pub(crate) fn has_unsent(&self) -> bool {
        self.open.iter().any(|flight| flight.deadline.is_none())
    }

    pub(crate) fn awaits(&self, id: FlightId) -> bool {
        self.open.iter().any(|flight| flight.id == id)
    }

    /// Ends a question, however it went; `None` if it is not open.
    pub(crate) fn land(&mut self, id: FlightId) -> Option<Q> {
        let at = self.open.iter().position(|flight| flight.id == id)?;
        Some(self.open.remove(at).question)
    }

    /// The questions whose end the host never reported.
    pub(crate) fn overdue(&self, now: UnixTime) -> Vec<FlightId> {
        let late = |flight: &&Flight<Q>| flight.deadline.is_some_and(|deadline| now > deadline);
        self.open.iter().filter(late).map(|flight| flight.id).collect()
    }

    /// When there is something to send or to give up. The beginning of time means at once.
    pub(crate) fn next_call(&self) -> Option<UnixTime> {
        let at =
            |flight: &Flight<Q>| flight.deadline.map_or(UnixTime(0), |deadline| deadline.plus(Duration::from_secs(1)));
        self.open.iter().map(at).min()
    }

    /// The clock was set back by so many seconds: whatever lies ahead is as near as before.
    pub(crate) fn set_back(&mut self, seconds: u64) {
        for deadline in self.open.iter_mut().filter_map(|flight| flight.deadline.as_mut()) {
            *deadline = deadline.minus(seconds);
        }
    }
}
