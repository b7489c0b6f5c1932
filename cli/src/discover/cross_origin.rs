//! What a client in a browser may do (the Fetch standard).

use super::{Look, PROTOCOL, Rating, challenge::INITIALIZE, is_open_to};

const STEP: &str = "browsers";

pub(super) fn ask(look: &mut Look<'_>, url: &str) {
    let origin = look.origin.clone();
    let wanted = "authorization, content-type, mcp-protocol-version";
    let headers = [
        ("origin", origin.as_str()),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", wanted),
    ];
    let Some(preflight) = look.ask(STEP, "OPTIONS", url, &headers, None) else { return };
    let allowed = preflight.header("access-control-allow-headers").unwrap_or_default().to_ascii_lowercase();
    let names: Vec<&str> = allowed.split(',').map(str::trim).collect();
    // A `*` does not stand for Authorization.
    let has = |name: &str| names.contains(&name) || (names.contains(&"*") && name != "authorization");
    let missing: Vec<&str> = wanted.split(", ").filter(|name| !has(name)).collect();
    match preflight.status {
        200..=299 if is_open_to(&preflight, &origin) && missing.is_empty() => {
            look.good(STEP, format!("pages of {origin} may ask"));
        }
        403 => {
            look.note(STEP, format!("pages of {origin} are refused, as `origins` may say"));
            return;
        }
        200..=299 if is_open_to(&preflight, &origin) => {
            let what = format!("the preflight does not allow the headers {}", missing.join(", "));
            look.add(Rating::Warning, STEP, what, "list them in Access-Control-Allow-Headers");
        }
        status => {
            let what = format!("pages of {origin} may not ask: the preflight is answered {status}");
            let cure = "answer OPTIONS without a token, with Access-Control-Allow-Origin";
            look.add(Rating::Warning, STEP, what, cure);
        }
    }
    let accept = "application/json, text/event-stream";
    let headers = [
        ("accept", accept),
        ("content-type", "application/json"),
        ("mcp-protocol-version", PROTOCOL),
        ("origin", origin.as_str()),
    ];
    let Some(answer) = look.ask(STEP, "POST", url, &headers, Some(INITIALIZE)) else { return };
    let exposed = answer.header("access-control-expose-headers").unwrap_or_default().to_ascii_lowercase();
    let is_exposed = exposed.split(',').any(|name| matches!(name.trim(), "*" | "www-authenticate"));
    if answer.status == 401 && is_open_to(&answer, &origin) && !is_exposed {
        let what = "pages cannot read the challenge";
        look.add(Rating::Warning, STEP, what, "add WWW-Authenticate to Access-Control-Expose-Headers");
    }
}
