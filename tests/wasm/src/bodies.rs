//! Bodies and trailers of a [`Vm`]'s streams, both ways.

use crate::flow::{Due, Flow};
use crate::headers::Headers;
use crate::vm::{Stream, Vm};
use crate::world::StreamState;

/// What one side got of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its headers, if they came.
    pub head: Option<Headers>,
    /// As much of its body as came.
    pub body: Vec<u8>,
    /// Whether that is all.
    pub ended: bool,
}

impl Received {
    /// Whether not even the head came.
    pub fn is_nothing(&self) -> bool {
        self.head.is_none() && self.body.is_empty() && !self.ended
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Request,
    Response,
}

impl Way {
    fn flow(self, state: &mut StreamState) -> &mut Flow {
        match self {
            Self::Request => &mut state.request_flow,
            Self::Response => &mut state.response_flow,
        }
    }

    /// Whether what arrives on this way still comes to the filter.
    fn is_open(self, state: &StreamState) -> bool {
        let begun = match self {
            Self::Request => state.request.is_some() || state.forwarded.is_some(),
            Self::Response => state.client_head.is_some(),
        };
        begun && state.alive && state.reply.is_none() && !state.reset
    }
}

impl Vm {
    /// The client sends a piece of its body.
    pub fn send(&mut self, stream: Stream, data: impl AsRef<[u8]>, end: bool) {
        self.arrive(stream, Way::Request, |flow| flow.body(data.as_ref(), end));
    }

    /// The client ends its body with trailers.
    pub fn send_trailers(&mut self, stream: Stream) {
        self.arrive(stream, Way::Request, Flow::trailers);
    }

    /// The upstream sends a piece of its body.
    pub fn send_back(&mut self, stream: Stream, data: impl AsRef<[u8]>, end: bool) {
        self.arrive(stream, Way::Response, |flow| flow.body(data.as_ref(), end));
    }

    /// The upstream ends its body with trailers.
    pub fn send_back_trailers(&mut self, stream: Stream) {
        self.arrive(stream, Way::Response, Flow::trailers);
    }

    /// What the upstream got.
    pub fn upstream(&mut self, stream: Stream) -> Received {
        let state = self.state(stream).expect("a stream of this VM");
        let (body, ended) = state.request_flow.passed();
        Received { head: state.forwarded.clone(), body: body.to_vec(), ended }
    }

    /// What the client got of the upstream's response.
    pub fn client(&mut self, stream: Stream) -> Received {
        let state = self.state(stream).expect("a stream of this VM");
        let (body, ended) = state.response_flow.passed();
        Received { head: state.client_head.clone(), body: body.to_vec(), ended }
    }

    /// Whether the proxy reset the stream, because the filter answered after the response had begun.
    pub fn was_reset(&mut self, stream: Stream) -> bool {
        self.state(stream).expect("a stream of this VM").reset
    }

    /// Only calls a body callback, with any size, whether or not there is a body behind it.
    pub fn deliver_body(&mut self, context: u32, is_request: bool, size: u32, end: bool) -> u32 {
        let name = if is_request { "proxy_on_request_body" } else { "proxy_on_response_body" };
        let action = self.call(context, name, (context, size, u32::from(end)));
        self.do_what_is_due();
        action.expect("the module exports it")
    }

    /// Only calls a trailers callback.
    pub fn deliver_trailers(&mut self, context: u32, is_request: bool) -> u32 {
        let name = if is_request { "proxy_on_request_trailers" } else { "proxy_on_response_trailers" };
        let action = self.call(context, name, (context, 0_u32));
        self.do_what_is_due();
        action.expect("the module exports it")
    }

    fn arrive(&mut self, stream: Stream, way: Way, what: impl FnOnce(&mut Flow) -> Option<Due>) {
        let state = self.state(stream).expect("a stream of this VM");
        // After an answer nobody listens.
        if way.is_open(state)
            && let Some(due) = what(way.flow(state))
        {
            self.call_back(stream, way, due);
        }
    }

    /// Lets a request go on that the filter continued.
    pub(crate) fn go_on(&mut self, stream: Stream) {
        let state = self.state(stream).expect("only streams are continued");
        for due in state.request_flow.resume() {
            let state = self.state(stream).expect("only streams are continued");
            if Way::Request.is_open(state) {
                self.call_back(stream, Way::Request, due);
            }
        }
    }

    /// Passes a local reply's body through the filter; returns what comes out.
    pub(crate) fn filter_reply_body(&mut self, stream: Stream, body: &[u8]) -> Vec<u8> {
        let state = self.state(stream).expect("only streams reply");
        state.response_flow.headers(false);
        let due = state.response_flow.body(body, true).expect("nothing stopped it");
        self.call_back(stream, Way::Response, due);
        let state = self.state(stream).expect("only streams reply");
        let (body, ended) = state.response_flow.passed();
        let body = body.to_vec();
        if !ended {
            self.world().violation(format!("the filter keeps the reply of stream {} from the client", stream.0));
        }
        body
    }

    fn call_back(&mut self, stream: Stream, way: Way, due: Due) {
        let Stream(id) = stream;
        let (name, action) = match (way, due) {
            (Way::Request, Due::Body(size, end)) => self.body_callback("proxy_on_request_body", id, size, end),
            (Way::Response, Due::Body(size, end)) => self.body_callback("proxy_on_response_body", id, size, end),
            (Way::Request, Due::Trailers) => self.trailers_callback("proxy_on_request_trailers", id),
            (Way::Response, Due::Trailers) => self.trailers_callback("proxy_on_response_trailers", id),
        };
        // StopIterationAndWatermark: wait, and do not collect.
        let waits = way == Way::Request && matches!(due, Due::Body(..)) && action == 2;
        if action > 1 && !waits {
            self.world().violation(format!("{name} returned {action}"));
        }
        let state = self.state(stream).expect("a stream of this VM");
        // An answer is deferred, and stops everything.
        let pause = action != 0 || (way == Way::Request && (state.reply.is_some() || state.reset));
        let flow = way.flow(state);
        let released = match due {
            Due::Body(..) => flow.after_body(pause, !waits),
            Due::Trailers => flow.after_trailers(pause),
        };
        if released && way == Way::Request && state.forwarded.is_none() {
            state.forwarded = state.request.take();
            state.held = false;
        }
        self.do_what_is_due();
    }

    fn body_callback(&mut self, name: &'static str, id: u32, size: usize, end: bool) -> (&'static str, u32) {
        let size = u32::try_from(size).expect("below 4 GiB");
        (name, self.call(id, name, (id, size, u32::from(end))).unwrap_or_default())
    }

    fn trailers_callback(&mut self, name: &'static str, id: u32) -> (&'static str, u32) {
        (name, self.call(id, name, (id, 0_u32)).unwrap_or_default())
    }
}
