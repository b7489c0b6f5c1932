//! One direction of a stream, as Envoy's filter manager and its Wasm filter keep it.

/// Bodies on their way, past one filter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flow {
    stopped: Stopped,
    /// What a body callback is called with, unless a buffer grows.
    chunk: Option<Vec<u8>>,
    /// Whether the last body callback paused: the next one is told of all that is buffered.
    buffering: bool,
    /// Whether the next piece of the body gets lost: Envoy before 1.39 forgets it where a request goes on whose last body
    /// callback paused.
    loses_next: bool,
    buffer: Option<Vec<u8>>,
    ended: bool,
    trailers: bool,
    passed: Vec<u8>,
    complete: bool,
}

/// How the filter stopped this direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stopped {
    #[default]
    No,
    /// Bodies still come to the filter.
    Single,
    /// Bodies wait, too (`StopAllIterationAndWatermark`).
    All,
}

/// A callback that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// With the size that the filter is told, and whether that is all.
    Body(usize, bool),
    Trailers,
}

impl Flow {
    /// Headers were delivered; nothing follows them if they `end` it.
    pub(crate) fn headers(&mut self, end: bool) {
        *self = Self { ended: end, ..Self::default() };
    }

    /// The headers callback returned "pause"; `all` says whether bodies wait, too.
    pub(crate) fn stop(&mut self, all: bool) {
        self.stopped = if all { Stopped::All } else { Stopped::Single };
    }

    /// The bytes that the filter can read now.
    pub(crate) fn visible(&self) -> &[u8] {
        let bytes = if self.buffering { &self.buffer } else { &self.chunk };
        bytes.as_deref().unwrap_or_default()
    }

    /// The same to be changed; none where nothing is there.
    pub(crate) fn visible_mut(&mut self) -> Option<&mut Vec<u8>> {
        if self.buffering { self.buffer.as_mut() } else { self.chunk.as_mut() }
    }

    /// A piece of the body arrives.
    pub(crate) fn body(&mut self, data: &[u8], end: bool) -> Option<Due> {
        self.ended |= end;
        let data = if std::mem::take(&mut self.loses_next) { &[] } else { data };
        if self.stopped == Stopped::All || self.buffering {
            self.buffer.get_or_insert_default().extend(data);
        } else {
            self.chunk = Some(data.to_vec());
        }
        (self.stopped != Stopped::All).then(|| Due::Body(self.visible().len(), end))
    }

    /// Trailers arrive.
    pub(crate) fn trailers(&mut self) -> Option<Due> {
        (self.ended, self.trailers) = (true, true);
        (self.stopped != Stopped::All).then_some(Due::Trailers)
    }

    /// A body callback returned; `collect` says whether the next one is told of all that is there. True: it let go of
    /// everything, also of headers that it held.
    pub(crate) fn after_body(&mut self, pause: bool, collect: bool) -> bool {
        let chunk = self.chunk.take().unwrap_or_default();
        self.buffer.get_or_insert_default().extend(chunk);
        self.buffering = pause && collect;
        self.after(pause)
    }

    /// A trailers callback returned.
    pub(crate) fn after_trailers(&mut self, pause: bool) -> bool {
        self.after(pause)
    }

    fn after(&mut self, pause: bool) -> bool {
        if pause {
            self.stopped = Stopped::Single
        } else {
            self.pass()
        }
        !pause
    }

    /// Lets all go on that was delivered.
    pub(crate) fn pass(&mut self) {
        self.stopped = Stopped::No;
        self.passed.append(self.buffer.get_or_insert_default());
        self.buffer = None;
        self.complete = self.ended;
    }

    /// The filter continued the stream: the callbacks that it is still owed.
    pub(crate) fn resume(&mut self) -> Vec<Due> {
        if self.stopped != Stopped::All {
            // The filter saw all of it already.
            self.loses_next = std::mem::take(&mut self.buffering) && !self.ended;
            self.pass();
            return Vec::new();
        }
        self.stopped = Stopped::No;
        self.chunk = self.buffer.take();
        let last = self.ended && !self.trailers;
        let body = self.chunk.as_ref().map(|chunk| Due::Body(chunk.len(), last));
        let due: Vec<Due> = body.into_iter().chain(self.trailers.then_some(Due::Trailers)).collect();
        if due.is_empty() {
            self.pass();
        }
        due
    }

    /// What went past the filter, and whether that was all.
    pub(crate) fn passed(&self) -> (&[u8], bool) {
        (&self.passed, self.complete)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_the_body_callback_pauses_it_is_told_of_all_that_is_there() {
        let mut flow = Flow::default();
        assert_eq!(flow.body(b"ab", false), Some(Due::Body(2, false)));
        assert!(!flow.after_body(true, true));
        assert_eq!(flow.body(b"c", false), Some(Due::Body(3, false)));
        assert_eq!(flow.visible(), b"abc");
        assert!(!flow.after_body(true, true));
        assert_eq!(flow.visible(), b"abc", "between the callbacks");
        assert_eq!(flow.body(b"", true), Some(Due::Body(3, true)));
        assert_eq!(flow.passed(), (&b""[..], false));
        assert!(flow.after_body(false, true));
        assert_eq!(flow.passed(), (&b"abc"[..], true));
    }

    #[test]
    fn what_is_let_go_is_not_seen_again() {
        let mut flow = Flow::default();
        flow.body(b"ab", false);
        flow.after_body(false, true);
        assert_eq!(flow.body(b"c", false), Some(Due::Body(1, false)));
        flow.after_body(false, true);
        assert_eq!(flow.passed(), (&b"abc"[..], false));
        flow.trailers();
        flow.after_trailers(false);
        assert_eq!(flow.passed(), (&b"abc"[..], true));
    }

    #[test]
    fn stopped_for_all_the_body_waits_and_is_delivered_whole() {
        let mut flow = Flow::default();
        flow.stop(true);
        assert_eq!(flow.body(b"ab", false), None);
        assert_eq!(flow.body(b"c", false), None);
        assert_eq!(flow.trailers(), None);
        assert_eq!(flow.visible(), b"");
        assert_eq!(flow.resume(), [Due::Body(3, false), Due::Trailers]);
        assert_eq!(flow.visible(), b"abc");
        flow.after_body(true, true);
        assert_eq!(flow.visible(), b"abc", "for the trailers callback");
        flow.after_trailers(false);
        assert_eq!(flow.passed(), (&b"abc"[..], true));
    }

    #[test]
    fn stopped_for_itself_it_continues_past_the_filter() {
        for (collect, passed) in [(false, &b"abcd"[..]), (true, &b"abd"[..])] {
            let mut flow = Flow::default();
            flow.stop(false);
            flow.body(b"ab", false);
            flow.after_body(true, collect);
            assert_eq!(flow.resume(), []);
            assert_eq!(flow.passed(), (&b"ab"[..], false));
            for (piece, end) in [(b"c", false), (b"d", true)] {
                flow.body(piece, end);
                flow.after_body(false, true);
            }
            assert_eq!(flow.passed(), (passed, true), "what was collected makes it lose the next piece");
        }
    }

    #[test]
    fn headers_that_end_it_are_all() {
        let mut flow = Flow::default();
        flow.headers(true);
        flow.stop(true);
        assert_eq!(flow.resume(), []);
        assert_eq!(flow.passed(), (&b""[..], true));
    }
}
