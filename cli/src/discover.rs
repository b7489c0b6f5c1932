//! `mcp-oauth discover`: what an MCP client sees of a deployed server before it has a token, step by step, in the order in which
//! the official clients ask.

mod challenge;
mod cross_origin;
mod resource;
mod server;

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    Ending, Misuse,
    arguments::Discover,
    http::{self, Client, Response, Unreachable},
    node::{shown, shown_uri},
    output::{Ink, Output},
};

/// The step that asks for keys.
const KEYS: &str = "keys";
/// More authorization servers than these are not asked.
const MAX_SERVERS: usize = 8;

/// How good or bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rating {
    Good,
    Note,
    Warning,
    Error,
}

impl Rating {
    const fn name(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that was seen.
struct Item {
    rating: Rating,
    step: &'static str,
    what: String,
    cure: String,
}

/// What was seen so far, and with what one looks.
pub(crate) struct Look<'o> {
    out: &'o Output,
    client: Client,
    origin: String,
    /// Whether the server is on this machine.
    is_local: bool,
    items: Vec<Item>,
    unreachable: Vec<Unreachable>,
}

impl Look<'_> {
    fn add(&mut self, rating: Rating, step: &'static str, what: impl Into<String>, cure: impl Into<String>) {
        let item = Item { rating, step, what: what.into(), cure: cure.into() };
        let ink = match rating {
            Rating::Good => Ink::Green,
            Rating::Note => Ink::Dim,
            Rating::Warning => Ink::Yellow,
            Rating::Error => Ink::Red,
        };
        let rating = self.out.paint(ink, &format!("{:<7}", rating.name()));
        self.out.line(&format!("{rating} {}: {}", item.step, item.what));
        if !item.cure.is_empty() {
            self.out.line(&format!("        cure: {}", item.cure));
        }
        self.items.push(item);
    }

    fn good(&mut self, step: &'static str, what: impl Into<String>) {
        self.add(Rating::Good, step, what, "");
    }

    fn note(&mut self, step: &'static str, what: impl Into<String>) {
        self.add(Rating::Note, step, what, "");
    }

    /// A request; `None` if there was no answer, which is noted.
    fn ask(
        &mut self,
        step: &'static str,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Option<Response> {
        self.out.progress(&format!("{step}: {method} {}", http::address(url)));
        match self.client.ask(step, method, url, headers, body, self.client.timeout) {
            Ok(response) => Some(response),
            Err(unreachable) => {
                let cure = unreachable.cure(
                    "see whether the address is right, the server runs, and a firewall lets this machine through",
                );
                self.add(Rating::Error, step, unreachable.to_string(), cure);
                self.unreachable.push(unreachable);
                None
            }
        }
    }

    /// A JSON object from a place that may be asked; what is wrong with it is noted, but for 404.
    fn document(&mut self, step: &'static str, url: &str) -> Option<(Response, Value)> {
        if !http::is_url(url) {
            let cure = "write an absolute URL, of visible ASCII, without user information";
            self.add(Rating::Error, step, format!("`{}` is no URL that can be asked", shown_uri(url)), cure);
            return None;
        }
        // Whoever runs a server elsewhere does not choose what is asked on this machine.
        if http::is_loopback(url) && !self.is_local {
            let what = format!("{} is on the machine of whoever asks, and is not asked", http::address(url));
            self.add(Rating::Error, step, what, "name an address that clients reach");
            return None;
        }
        let origin = self.origin.clone();
        let headers = [("accept", "application/json"), ("mcp-protocol-version", PROTOCOL), ("origin", origin.as_str())];
        let response = self.ask(step, "GET", url, &headers, None)?;
        let url = shown_uri(url);
        match response.status {
            200 => {}
            404 => {
                self.note(step, format!("{url} is not there (404)"));
                return None;
            }
            status @ 300..=399 => {
                let to = http::address(response.header("location").unwrap_or_default());
                let cure = "serve it where clients look: few follow a redirect here";
                self.add(
                    Rating::Error,
                    step,
                    format!("{url} is a redirect ({status}) to {to}, which is not followed"),
                    cure,
                );
                return None;
            }
            status => {
                self.add(
                    Rating::Error,
                    step,
                    format!("{url} answers {status}"),
                    "serve it to everybody, without a token",
                );
                return None;
            }
        }
        if response.too_large {
            self.add(Rating::Error, step, format!("{url} is longer than 256 KiB"), "serve less");
            return None;
        }
        let kind = response.header("content-type").unwrap_or_default();
        let bare = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        // RFC 7517 section 8.5 has a type of its own for keys, and the filter takes it.
        let is_right = bare == "application/json" || (step == KEYS && bare == "application/jwk-set+json");
        if !is_right {
            let what = format!("{url} has the media type `{}`", shown(kind));
            self.add(Rating::Error, step, what, "serve it as application/json");
        }
        match serde_json::from_slice::<Value>(&response.body) {
            Ok(document) if document.is_object() => Some((response, document)),
            _ => {
                self.add(Rating::Error, step, format!("{url} is no JSON object"), "serve one");
                None
            }
        }
    }
}

/// The revision that the official clients speak.
const PROTOCOL: &str = "2025-11-25";

pub(crate) fn run(options: &Discover, out: &mut Output) -> Result<Ending, Misuse> {
    let url = options.url.as_str();
    check_url(url)?;
    let timeout = match options.timeout.as_deref() {
        None => Duration::from_secs(10),
        Some(text) => http::parse_timeout(text)
            .ok_or_else(|| Misuse::new("--timeout is no time from 10ms to 300s", "write it as in 5s or 500ms"))?,
    };
    let client = Client::new(options.ca.as_deref(), timeout)?;
    let origin = options.origin.clone().unwrap_or_else(|| "https://example.com".to_owned());
    if !origin.bytes().all(|byte| byte.is_ascii_graphic()) || !origin.contains("://") {
        return Err(Misuse::new("--origin is no origin", "write scheme://host or scheme://host:port"));
    }
    let is_local = http::is_loopback(url);
    let mut look = Look { out, client, origin, is_local, items: Vec::new(), unreachable: Vec::new() };
    if url.starts_with("http://") && !http::is_loopback(url) {
        look.add(
            Rating::Error,
            "server",
            "is reached by http: whoever is on the way reads the tokens",
            "serve it by https",
        );
    }
    walk(&mut look, url);

    let Look { items, unreachable, .. } = look;
    let count = |rating| items.iter().filter(|item| item.rating == rating).count();
    let (errors, warnings) = (count(Rating::Error), count(Rating::Warning));
    out.line("");
    let ink = if errors > 0 {
        Ink::Red
    } else if warnings > 0 {
        Ink::Yellow
    } else {
        Ink::Green
    };
    out.line(&out.paint(ink, &format!("{errors} errors, {warnings} warnings")));
    out.document(&json!({
        "url": url.split('?').next(),
        "errors": errors, "warnings": warnings,
        "items": items.iter().map(|item| {
            json!({ "rating": item.rating.name(), "step": item.step, "what": item.what, "cure": item.cure })
        }).collect::<Vec<_>>(),
        "unreachable": unreachable.iter().map(|server| json!({
            "step": server.step, "address": server.address, "why": server.why,
            "waited_ms": u64::try_from(server.waited.as_millis()).unwrap_or(u64::MAX),
        })).collect::<Vec<_>>(),
    }));
    Ok(match () {
        () if !unreachable.is_empty() => Ending::Unreachable,
        () if errors > 0 || warnings > 0 => Ending::Findings,
        () => Ending::Good,
    })
}

fn check_url(url: &str) -> Result<(), Misuse> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let cure = "write the URL as users type it: https://mcp.example.com/mcp";
    let Some(rest) = rest.filter(|rest| !rest.is_empty() && url.bytes().all(|byte| byte.is_ascii_graphic())) else {
        return Err(Misuse::new("the argument is no http or https URL", cure));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() || authority.contains('@') || url.contains('#') {
        return Err(Misuse::new("the URL has user information, a fragment or no host", cure));
    }
    if !http::is_url(url) {
        return Err(Misuse::new("the argument is no URL that can be asked", cure));
    }
    Ok(())
}

fn walk(look: &mut Look<'_>, url: &str) {
    let Some(challenged) = challenge::ask(look, url) else { return };
    let metadata = resource::find(look, url, challenged.metadata.as_deref());
    if let Some(metadata) = &metadata {
        let scopes = texts(metadata, "scopes_supported");
        let servers = texts(metadata, "authorization_servers");
        for issuer in servers.iter().take(MAX_SERVERS) {
            server::look_at(look, issuer, &scopes);
        }
        if servers.len() > MAX_SERVERS {
            look.note(
                "authorization server",
                format!("{} more were not asked", servers.len().saturating_sub(MAX_SERVERS)),
            );
        }
    }
    cross_origin::ask(look, url);
}

/// The texts of an array.
fn texts(document: &Value, member: &str) -> Vec<String> {
    let items = document.get(member).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Scheme and authority.
fn origin_of(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at.saturating_add(3));
    let (_, rest) = url.split_at_checked(start).unwrap_or_default();
    let end = rest.find(['/', '?', '#']).map_or(url.len(), |at| at.saturating_add(start));
    url.split_at_checked(end).map_or(url, |(origin, _)| origin)
}

/// Whether it is protected on its way.
fn is_protected(url: &str) -> bool {
    url.starts_with("https://") || (url.starts_with("http://") && http::is_loopback(url))
}

/// Whether pages of an origin may read an answer.
fn is_open_to(response: &Response, origin: &str) -> bool {
    response.header("access-control-allow-origin").is_some_and(|allowed| allowed == "*" || allowed == origin)
}
