//! The metadata of an authorization server, in the order in which clients look for it, and what clients need of it.

use mcp_oauth::issuer::Issuer;
use serde_json::Value;

use super::{KEYS, Look, Rating, is_open_to, is_protected, texts};
use crate::node::{shown, shown_uri};

const STEP: &str = "authorization server";

pub(super) fn look_at(look: &mut Look<'_>, issuer: &str, scopes: &[String]) {
    let parsed = match Issuer::parse(issuer) {
        Ok(parsed) => parsed,
        Err(error) => {
            let what = format!("`{}` {error}", shown_uri(issuer));
            look.add(Rating::Error, STEP, what, "name an https URL without query and fragment (RFC 8414 section 2)");
            return;
        }
    };
    let mut found = None;
    for place in parsed.metadata_candidates() {
        let unreachable = look.unreachable.len();
        if let Some(document) = look.document(STEP, place.as_str()) {
            look.good(STEP, format!("metadata at {}", shown_uri(place.as_str())));
            found = Some(document);
            break;
        }
        // Nobody answers there, so the other places need not be tried.
        if look.unreachable.len() > unreachable {
            return;
        }
    }
    let Some((response, document)) = found else {
        let cure = "serve it at one of these places: clients look nowhere else (MCP authorization, Authorization Server Metadata Discovery)";
        look.add(Rating::Error, STEP, format!("`{}` has no metadata", shown_uri(issuer)), cure);
        return;
    };
    if !is_open_to(&response, &look.origin.clone()) {
        let what = format!("pages of {} may not read its metadata: clients in browsers fail", look.origin);
        look.add(Rating::Warning, STEP, what, "allow it there (CORS); many servers have a list of origins");
    }
    identity(look, issuer, &document);
    endpoints(look, &document);
    registration(look, &document);
    let known = texts(&document, "scopes_supported");
    let missing: Vec<&str> =
        scopes.iter().filter(|scope| !known.is_empty() && !known.contains(scope)).map(String::as_str).collect();
    if !missing.is_empty() {
        let what = format!("it does not list the scopes `{}`", shown(&missing.join(" ")));
        look.add(Rating::Warning, STEP, what, "define them there: a client that asks for others may be refused");
    }
    keys(look, &document);
}

fn identity(look: &mut Look<'_>, issuer: &str, document: &Value) {
    match document.get("issuer").and_then(Value::as_str) {
        Some(found) if found == issuer => look.good(STEP, "its `issuer` is the one that the resource names"),
        found => {
            let what =
                format!("its `issuer` is `{}`, not `{}`", shown_uri(found.unwrap_or_default()), shown_uri(issuer));
            look.add(
                Rating::Error,
                STEP,
                what,
                "make them the same text, also in a `/` at the end (RFC 8414 section 3.3)",
            );
        }
    }
    if document.get("authorization_response_iss_parameter_supported") != Some(&Value::Bool(true)) {
        look.note(
            STEP,
            "it does not say in its answers who it is (RFC 9207): clients of several servers could be mixed up",
        );
    }
}

fn endpoints(look: &mut Look<'_>, document: &Value) {
    for name in ["authorization_endpoint", "token_endpoint"] {
        match document.get(name).and_then(Value::as_str) {
            None => look.add(
                Rating::Error,
                STEP,
                format!("it has no `{name}`"),
                "add it: clients need it (RFC 8414 section 2)",
            ),
            Some(url) if !is_protected(url) => {
                look.add(
                    Rating::Error,
                    STEP,
                    format!("`{name}` is `{}`", shown_uri(url)),
                    "serve it by https (OAuth 2.1 section 1.5)",
                );
            }
            Some(_) => {}
        }
    }
    let methods = texts(document, "code_challenge_methods_supported");
    if methods.iter().any(|method| method == "S256") {
        look.good(STEP, "PKCE with S256");
    } else {
        let what = if methods.is_empty() { "it does not say that it has PKCE" } else { "it has no PKCE with S256" };
        let cure = "list S256 in `code_challenge_methods_supported`: clients must refuse a server without (MCP authorization, Authorization Code Protection)";
        look.add(Rating::Error, STEP, what, cure);
    }
    let lacks = |member: &str, wanted: &str| {
        let listed = texts(document, member);
        !listed.is_empty() && !listed.iter().any(|one| one == wanted)
    };
    if lacks("response_types_supported", "code") || lacks("grant_types_supported", "authorization_code") {
        let cure = "enable it: it is what MCP clients use for people";
        look.add(Rating::Error, STEP, "it has no authorization code grant", cure);
    }
    if lacks("grant_types_supported", "refresh_token") {
        look.note(STEP, "it gives no refresh tokens: people log in again when a token expires");
    }
}

fn registration(look: &mut Look<'_>, document: &Value) {
    let by_document = document.get("client_id_metadata_document_supported") == Some(&Value::Bool(true));
    let endpoint = document.get("registration_endpoint").and_then(Value::as_str);
    if by_document {
        look.good(STEP, "clients need no registration (Client ID Metadata Documents)");
    }
    match endpoint {
        Some(url) if is_protected(url) => look.good(STEP, "clients can register themselves (RFC 7591)"),
        Some(url) => {
            let what = format!("`registration_endpoint` is `{}`", shown_uri(url));
            look.add(Rating::Error, STEP, what, "serve it by https (OAuth 2.1 section 1.5)");
        }
        None if !by_document => {
            let cure = "enable Client ID Metadata Documents or dynamic registration, or give every user a client_id";
            look.add(Rating::Warning, STEP, "no client can register itself", cure);
        }
        None => {}
    }
    let methods = texts(document, "token_endpoint_auth_methods_supported");
    if !methods.is_empty() && !methods.iter().any(|method| method == "none") {
        look.note(STEP, "it lists no public clients (`none`): most MCP clients on desktops are");
    }
}

/// The filter needs them; clients do not.
fn keys(look: &mut Look<'_>, document: &Value) {
    let Some(url) = document.get("jwks_uri").and_then(Value::as_str) else {
        look.note(KEYS, "there is no `jwks_uri`: the filter needs `jwks`, `jwks_uri` or `introspection`");
        return;
    };
    if !is_protected(url) {
        look.add(
            Rating::Error,
            KEYS,
            format!("`jwks_uri` is `{}`", shown_uri(url)),
            "serve it by https: the filter refuses it",
        );
        return;
    }
    if let Some((_, set)) = look.document(KEYS, url) {
        match set.get("keys").and_then(Value::as_array) {
            Some(keys) if !keys.is_empty() => look.good(KEYS, format!("{} of them", keys.len())),
            _ => look.add(
                Rating::Error,
                KEYS,
                "there are none",
                "serve a JWK Set with keys in `keys` (RFC 7517 section 5)",
            ),
        }
    }
}
