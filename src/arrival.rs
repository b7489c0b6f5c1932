//! What of a request's head is needed after its token was judged. Owned, so that it can wait.

use crate::{
    cors::Origin,
    forward::Cleaned,
    message::{HeaderMismatch, McpHeaders},
    page,
    path::RequestPath,
    policy::ResourcePolicy,
    possession::Possession,
    refusal::{MediaError, Refusal},
    reply::Reply,
    request::{Line, Request, is_alike},
};

/// A request on its way to the verdict.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) cleaned: Cleaned,
    pub(crate) origin: Origin,
    pub(crate) body: Expected,
    pub(crate) session: Session,
    pub(crate) possession: Possession,
    /// Whether a person wants to see something.
    pub(crate) wants_page: bool,
    /// Whether the head is all of the request.
    pub(crate) ended: bool,
    /// At least as many bytes as all of this takes, and a token besides.
    pub(crate) size: usize,
}

/// What is expected of the body.
#[derive(Debug)]
pub(crate) enum Expected {
    /// It is not looked at.
    Anything,
    /// There is none, and there must not be: GET and DELETE.
    Nothing,
    /// One JSON-RPC message, or a batch; it must fit these headers. Where they contradict themselves, its id is still
    /// needed for the answer.
    Message(Result<McpHeaders, HeaderMismatch>),
    /// It will not be read, for this reason.
    Refused(Refusal),
}

/// The `Mcp-Session-Id` of a request to a resource that seals sessions.
pub(crate) enum Session {
    /// There is none, or sessions are not sealed here.
    None,
    /// It must be opened.
    Sealed(alloc::vec::Vec<u8>),
    /// There are several.
    Several,
}

/// A session id is a secret.
impl core::fmt::Debug for Session {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Sealed(_) => "Sealed",
            Self::Several => "Several",
        })
    }
}

impl Arrival {
    pub(crate) fn new(
        request: &Request<'_>,
        path: &RequestPath<'_>,
        resource: &ResourcePolicy,
        origin: Origin,
    ) -> Self {
        let mut arrival = Self {
            cleaned: Cleaned::new(request, path),
            origin,
            body: expect(request, resource),
            session: Session::None,
            possession: Possession::of(request, path, resource),
            wants_page: resource.page().is_some() && page::is_wanted(request.method(), request.accept()),
            ended: request.has_ended(),
            // The path may be kept twice: cleaned, and for a proof.
            size: request.size().saturating_add(path.as_str().len()),
        };
        if let Some(own) = resource.upstream_credential().header() {
            for name in request.credential_variants().iter().filter(|name| is_alike(name, own)) {
                arrival.cleaned.remove(name);
            }
        }
        if resource.sessions().is_some() && !resource.seals_sessions() {
            // One that was sealed when refusals were enforced is opened for its owner; all others stay as they are.
            if let Line::One(id) = request.session() {
                arrival.session = Session::Sealed(id.into());
            }
        } else if resource.sessions().is_some() {
            let is_modern = request.mcp_headers().is_ok_and(|headers| headers.are_modern());
            for name in request.session_variants() {
                arrival.cleaned.remove(name);
            }
            arrival.session = match request.session() {
                Line::Absent => Session::None,
                // Revisions from 2026-07-28 on have no sessions. A server of an older one behind a modern head would take
                // an id that nobody opened, so it does not get one.
                _ if is_modern => {
                    arrival.cleaned.remove(b"mcp-session-id");
                    Session::None
                }
                Line::One(sealed) => Session::Sealed(sealed.into()),
                Line::Several => Session::Several,
            };
        }
        if resource.access().is_some_and(|access| access.filter_lists) && request.has_accept_encoding() {
            // What is compressed cannot be filtered. Whether it is a list is not known before the body.
            arrival.cleaned.remove(b"accept-encoding");
        }
        arrival
    }

    /// The answer to it, for whoever asked in this way.
    pub(crate) fn refuse(&self, refusal: Refusal, resource: &ResourcePolicy) -> Reply {
        let page = resource.page().filter(|_| self.wants_page && matches!(refusal, Refusal::MissingToken));
        let reply = Reply::challenge_in(self.possession.scheme(), refusal, resource, &self.origin);
        match page {
            Some(page) => reply.showing(page.render(resource)),
            None => reply,
        }
    }
}

/// MCP transports, Streamable HTTP: POST has a message, GET and DELETE have none, and there are no other methods.
fn expect(request: &Request<'_>, resource: &ResourcePolicy) -> Expected {
    match request.method() {
        // Servers echo the head, with whatever the gate put into it.
        b"TRACE" => return Expected::Refused(Refusal::EndpointMethod),
        _ if resource.access().is_none() => return Expected::Anything,
        b"GET" | b"DELETE" => return Expected::Nothing,
        b"POST" => {}
        _ => return Expected::Refused(Refusal::EndpointMethod),
    }
    if !matches!(request.content_type(), Line::One(value) if is_json(value)) {
        return Expected::Refused(Refusal::Media(MediaError::Type));
    }
    match request.content_encoding() {
        Line::Absent => {}
        Line::One(value) if value.trim_ascii().eq_ignore_ascii_case(b"identity") => {}
        _ => return Expected::Refused(Refusal::Media(MediaError::Encoding)),
    }
    Expected::Message(request.mcp_headers())
}

/// `application/json` in any case, with no parameter but `charset=utf-8`. Servers decode what another charset names:
/// in UTF-7 a message hides inside another one's text.
fn is_json(content_type: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(content_type) else { return false };
    let mut parts = text.split(';').map(|part| part.trim_matches([' ', '\t']));
    let is_type = parts.next().is_some_and(|part| part.eq_ignore_ascii_case("application/json"));
    let is_utf_8 =
        |part: &str| ["charset=utf-8", "charset=\"utf-8\""].into_iter().any(|known| part.eq_ignore_ascii_case(known));
    let mut parameters = parts.filter(|part| !part.is_empty());
    is_type && parameters.next().is_none_or(is_utf_8) && parameters.next().is_none()
}
