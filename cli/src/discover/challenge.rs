//! The answer to a request without a token, read as the official clients read it.

use super::{Look, PROTOCOL, Rating, origin_of};
use crate::{
    http,
    node::{shown, shown_uri},
};

/// What the challenge says.
#[derive(Default)]
pub(super) struct Challenged {
    pub(super) metadata: Option<String>,
}

const STEP: &str = "challenge";

/// `None`: there is no server.
pub(super) fn ask(look: &mut Look<'_>, url: &str) -> Option<Challenged> {
    let accept = "application/json, text/event-stream";
    let headers = [("accept", accept), ("content-type", "application/json"), ("mcp-protocol-version", PROTOCOL)];
    let response = look.ask(STEP, "POST", url, &headers, Some(INITIALIZE))?;
    let status = response.status;
    match status {
        401 => look.good(STEP, "a request without a token is answered 401"),
        200..=299 => {
            let cure = "put the filter in front of this URL: compare its `resource`, and the routes around it";
            look.add(Rating::Error, STEP, format!("a request without a token is let through ({status})"), cure);
        }
        300..=399 => {
            let to = http::address(response.header("location").unwrap_or_default());
            let cure = "give users the URL that it leads to; clients send no token after a redirect";
            look.add(Rating::Error, STEP, format!("a redirect ({status}) to {to}, which is not followed"), cure);
        }
        404 => look.add(Rating::Error, STEP, "404: there is no MCP server", "compare host and path with `resource`"),
        503 => {
            let cure = "see the proxy's log: its configuration was refused, or its upstream is gone";
            look.add(Rating::Error, STEP, "503 instead of 401", cure);
        }
        status => {
            let cure = "answer 401, which is what makes a client get a token (MCP authorization, Error Handling)";
            look.add(Rating::Error, STEP, format!("{status} instead of 401"), cure);
        }
    }
    if status != 401 {
        return Some(Challenged::default());
    }
    let lines = response.all("www-authenticate");
    let joined = lines.join(", ");
    if joined.is_empty() {
        let cure = "send WWW-Authenticate: Bearer resource_metadata=\"...\" (RFC 9728 section 5.1)";
        look.add(
            Rating::Warning,
            STEP,
            "there is no WWW-Authenticate: clients have to guess where the metadata is",
            cure,
        );
        return Some(Challenged::default());
    }
    let scheme = joined.split([' ', ',']).next().unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") {
        let what = format!("the first challenge is `{}`: clients that read only one find no Bearer", shown(scheme));
        look.add(Rating::Warning, STEP, what, "send the Bearer challenge first");
    }
    let metadata = field(&joined, "resource_metadata");
    match &metadata {
        None => {
            let cure = "add resource_metadata=\"...\" (RFC 9728 section 5.1)";
            look.add(Rating::Warning, STEP, "it does not say where the metadata is", cure);
        }
        Some(place) => {
            look.good(STEP, format!("the metadata is at {}", shown_uri(place)));
            // What is no URL has no origin, and is an error of its own when it is asked.
            if http::is_url(place) && origin_of(place) != origin_of(url) {
                let cure = "serve it on the host of the server: clients may not trust another one";
                look.add(Rating::Warning, STEP, format!("that is another origin than {}", origin_of(url)), cure);
            }
        }
    }
    if joined.matches("resource_metadata=").count() > 1 {
        let what = "it names the metadata more than once: clients disagree on which counts";
        look.add(Rating::Warning, STEP, what, "send one challenge for Bearer");
    }
    if let Some(error) = field(&joined, "error").filter(|_| scheme.eq_ignore_ascii_case("bearer")) {
        let cure = "leave it out where there was no token (RFC 6750 section 3.1)";
        look.add(Rating::Warning, STEP, format!("it has the error `{}`", shown(&error)), cure);
    }
    match field(&joined, "scope") {
        Some(scope) => look.note(STEP, format!("a client asks for the scopes `{}`", shown(&scope))),
        None => look.note(STEP, "it names no scopes: a client asks for those of the metadata, or for none"),
    }
    Some(Challenged { metadata })
}

pub(super) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"mcp-oauth","version":"0"}}}"#;

/// A parameter as the TypeScript and the Python SDK find it: the first `name=`, with quotes or up to a comma or a space.
fn field(challenge: &str, name: &str) -> Option<String> {
    let wanted = format!("{name}=");
    let mut rest = challenge;
    let value = loop {
        let (before, after) = rest.split_once(wanted.as_str())?;
        // `error=` must not be found in `no_error=`.
        if before.chars().next_back().is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_') {
            break after;
        }
        rest = after;
    };
    let value = match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => value.split([',', ' ']).next(),
    };
    value.filter(|value| !value.is_empty()).map(str::to_owned)
}
