//! The resource metadata (RFC 9728), at every place where a client looks.

use serde_json::Value;

use super::{Look, Rating, is_open_to, is_protected, origin_of, texts};
use crate::{
    http,
    node::{shown, shown_uri},
};

const STEP: &str = "resource metadata";

/// The metadata that clients take: where the challenge says, else at the well-known place of the path, else at the host's.
pub(super) fn find(look: &mut Look<'_>, url: &str, challenged: Option<&str>) -> Option<Value> {
    let origin = origin_of(url);
    let path = url.strip_prefix(origin).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default().trim_end_matches('/');
    let of_path = format!("{origin}/.well-known/oauth-protected-resource{path}");
    let of_host = format!("{origin}/.well-known/oauth-protected-resource");
    let mut places: Vec<&str> = challenged.into_iter().collect();
    for place in [of_path.as_str(), of_host.as_str()] {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let mut taken: Option<Value> = None;
    for place in places {
        if http::is_url(place) && !is_protected(place) && origin_of(place) != origin {
            let what = format!("{} is neither https nor on this machine, and is not asked", shown_uri(place));
            look.add(Rating::Error, STEP, what, "serve it by https");
            continue;
        }
        let Some((response, document)) = look.document(STEP, place) else { continue };
        match &taken {
            None => {
                look.good(STEP, format!("found at {}", shown_uri(place)));
                if !is_open_to(&response, &look.origin.clone()) {
                    let what = format!("pages of {} may not read it: clients in browsers fail", look.origin);
                    look.add(Rating::Warning, STEP, what, "send Access-Control-Allow-Origin: *");
                }
                judge(look, url, &document);
                taken = Some(document);
            }
            Some(first) if first.get("resource") != document.get("resource") && place != of_host => {
                let what = format!("{} is about another resource", shown_uri(place));
                look.add(Rating::Warning, STEP, what, "serve the same at both places, or at one only");
            }
            Some(_) => look.note(STEP, format!("{} answers too", shown_uri(place))),
        }
    }
    if taken.is_none() {
        let cure = format!("serve it at {of_path}");
        look.add(Rating::Error, STEP, "it is nowhere, so no client learns of the authorization server", cure);
    }
    taken
}

fn judge(look: &mut Look<'_>, url: &str, document: &Value) {
    let url = url.split('?').next().unwrap_or(url);
    match document.get("resource").and_then(Value::as_str) {
        None => look.add(
            Rating::Error,
            STEP,
            "it has no `resource`",
            "add it: the URL that users type (RFC 9728 section 2)",
        ),
        Some(resource) if resource == url => look.good(STEP, "`resource` is this URL"),
        Some(resource) => {
            let what = format!("`resource` is `{}`, and the URL is `{}`", shown_uri(resource), shown_uri(url));
            // What the TypeScript SDK allows.
            let path = |url: &str| format!("{}/", url.trim_end_matches('/'));
            let is_above = origin_of(resource) == origin_of(url) && path(url).starts_with(&path(resource));
            let cure = "set `resource` to what users type, the same text (RFC 9728 section 3.3)";
            let rating = if is_above { Rating::Warning } else { Rating::Error };
            look.add(rating, STEP, what, cure);
        }
    }
    let servers = texts(document, "authorization_servers");
    if servers.is_empty() {
        let cure = "name at least one in `authorization_servers` (MCP authorization, Protected Resource Metadata)";
        look.add(Rating::Error, STEP, "it names no authorization server", cure);
    } else {
        look.note(
            STEP,
            format!(
                "authorization servers: {}",
                servers.iter().map(|server| shown_uri(server)).collect::<Vec<_>>().join(", ")
            ),
        );
    }
    let methods = texts(document, "bearer_methods_supported");
    if !methods.is_empty() && !methods.iter().any(|method| method == "header") {
        let cure = "add `header`, or leave the list out: tokens are sent in the Authorization header (MCP authorization, Token Requirements)";
        look.add(Rating::Warning, STEP, "`bearer_methods_supported` lacks `header`", cure);
    }
    let scopes = texts(document, "scopes_supported");
    if !scopes.is_empty() {
        look.note(STEP, format!("scopes: {}", shown(&scopes.join(" "))));
    }
}
