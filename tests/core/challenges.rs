//! What a client is told (RFC 6750 section 3, MCP authorization): one line that every client reads in the same way.

mod parsers;
mod wording;

use mcp_oauth::{
    fetch::Answer,
    gate::{Gate, Verdict},
    refusal::Refusal,
    reply::Reply,
    waiting::MAX_HELD,
};
use serde_json::{Value, json};

use crate::support::{
    ISSUER, METADATA_URL, NOW, RESOURCE, ask, ask_as, claims, gate, good_token, head, header, inline_config, jwk, jwks,
    present, put, remote_config, reply, reply_header, sign, sign_texts, with,
};

/// A request that is refused, and how.
struct Row {
    name: &'static str,
    /// `Authorization` lines.
    credentials: Vec<String>,
    status: u16,
    /// Of the challenge; empty if there must be none (RFC 6750 section 3.1).
    error: &'static str,
    description: &'static str,
    reason: &'static str,
}

/// Every refusal that has a challenge, by a request that causes it.
fn rows() -> Vec<Row> {
    let missing = |name, credentials: &[&str]| Row {
        name,
        credentials: credentials.iter().map(ToString::to_string).collect(),
        status: 401,
        error: "",
        description: "an access token is required",
        reason: "mcp_oauth_missing_token",
    };
    let malformed = |name, credentials: &[&str], description| Row {
        name,
        credentials: credentials.iter().map(ToString::to_string).collect(),
        status: 400,
        error: "invalid_request",
        description,
        reason: "mcp_oauth_malformed_credentials",
    };
    let invalid = |name, token: &str, description, reason| Row {
        name,
        credentials: vec![format!("Bearer {token}")],
        status: 401,
        error: "invalid_token",
        description,
        reason,
    };
    const DOUBLED: &str = "more than one set of credentials was sent";
    const UNREADABLE: &str = "the credentials are malformed";
    const BROKEN: &str = "the access token is malformed";
    const OTHER_KIND: &str = "the token is not an access token";
    const UNSIGNED: &str = "the signature of the access token is not valid";
    let good = good_token();
    let claimed = |claim: &str, value: Value| sign(&header(), &with(claims(), claim, value));
    let headed = |member: &str, value: Value| sign(&with(header(), member, value), &claims());
    let untyped = with(header(), "typ", Value::Null);
    vec![
        missing("no credentials", &[]),
        missing("Basic credentials", &["Basic YTpi"]),
        missing("a DPoP-bound token", &[&format!("DPoP {good}")]),
        missing("a scheme that starts like Bearer", &["BearerX abc"]),
        malformed("two lines", &[&format!("Bearer {good}"), &format!("Bearer {good}")], DOUBLED),
        malformed("two lines of two schemes", &["Basic YTpi", &format!("Bearer {good}")], DOUBLED),
        malformed("two tokens in one line", &[&format!("Bearer {good}, Bearer {good}")], DOUBLED),
        malformed("a token behind another scheme", &[&format!("Basic YTpi, Bearer {good}")], DOUBLED),
        malformed("nothing after Bearer", &["Bearer"], UNREADABLE),
        malformed("spaces after Bearer", &["Bearer   "], UNREADABLE),
        malformed("two words after Bearer", &["Bearer a b"], UNREADABLE),
        malformed("no token68 (quotes)", &["Bearer \"abc\""], UNREADABLE),
        malformed("no token68 (padding only)", &["Bearer =="], UNREADABLE),
        malformed("too long", &[&format!("Bearer {}", "a".repeat(16 * 1024 + 1))], "the access token is too long"),
        invalid("an opaque token", "abc", BROKEN, "mcp_oauth_token_malformed"),
        invalid("a token as long as may be", &"a".repeat(16 * 1024), BROKEN, "mcp_oauth_token_malformed"),
        invalid("no exp", &claimed("exp", Value::Null), BROKEN, "mcp_oauth_token_claim"),
        invalid("another type", &headed("typ", json!("logout+jwt")), OTHER_KIND, "mcp_oauth_token_type"),
        invalid(
            "an ID token",
            &sign(&untyped, &with(claims(), "nonce", json!("n"))),
            OTHER_KIND,
            "mcp_oauth_token_type",
        ),
        invalid(
            "another issuer",
            &claimed("iss", json!("https://idp.example.com/")),
            "the access token was issued by another authorization server",
            "mcp_oauth_token_issuer",
        ),
        invalid(
            "another resource",
            &claimed("aud", json!("https://mcp.example.com/mcp-admin")),
            "the access token was issued for another resource",
            "mcp_oauth_token_audience",
        ),
        invalid("expired", &claimed("exp", json!(NOW.0 - 60)), "the access token expired", "mcp_oauth_token_expired"),
        invalid(
            "not yet valid",
            &claimed("nbf", json!(NOW.0 + 60)),
            "the access token is not valid yet",
            "mcp_oauth_token_not_yet_valid",
        ),
        invalid(
            "sender-constrained",
            &claimed("cnf", json!({ "jkt": "x" })),
            "the access token is sender-constrained and no proof was verified",
            "mcp_oauth_token_sender_constrained",
        ),
        invalid(
            "an algorithm that is not allowed",
            &headed("alg", json!("RS256")),
            UNSIGNED,
            "mcp_oauth_token_algorithm",
        ),
        invalid("an unknown key", &headed("kid", json!("k9")), UNSIGNED, "mcp_oauth_token_key"),
        invalid("no kid, and two keys that fit", &headed("kid", Value::Null), UNSIGNED, "mcp_oauth_token_key"),
        invalid(
            "another key",
            &sign_texts(2, &header().to_string(), &claims().to_string()),
            UNSIGNED,
            "mcp_oauth_token_signature",
        ),
        Row {
            name: "a scope is missing",
            credentials: vec![format!("Bearer {}", claimed("scope", json!("mcp:write")))],
            status: 403,
            error: "insufficient_scope",
            description: "the access token does not carry the needed permissions",
            reason: "mcp_oauth_insufficient_scope",
        },
    ]
}

/// Two keys, one algorithm, and these scopes.
fn config(scopes: &Value) -> Value {
    let config = put(inline_config(), "/authorization_servers/0/jwks", jwks(&[jwk(1, "k1"), jwk(2, "k2")]));
    let config = put(config, "/authorization_servers/0/algorithms", json!(["ES256"]));
    put(config, "/resources/0/scopes", scopes.clone())
}

fn refused(gate: &mut Gate, path: &str, credentials: &[String]) -> Reply {
    let lines: Vec<_> = credentials.iter().map(|value| ("authorization", value.as_str())).collect();
    reply(ask(gate, &head(path, &lines)))
}

/// Spec 3.2, to the letter. `scope` is what a challenge has of it, with the separator where the parameter stands.
fn expected_challenge(row: &Row, scope: &str) -> String {
    let Row { error, description, .. } = row;
    let (before, after) = (
        if scope.is_empty() { String::new() } else { format!("scope=\"{scope}\", ") },
        if scope.is_empty() { String::new() } else { format!(", scope=\"{scope}\"") },
    );
    match row.status {
        401 if error.is_empty() => format!("Bearer resource_metadata=\"{METADATA_URL}\"{after}"),
        401 => format!(
            "Bearer error=\"{error}\", error_description=\"{description}\", resource_metadata=\"{METADATA_URL}\"{after}"
        ),
        403 => format!(
            "Bearer error=\"{error}\", {before}resource_metadata=\"{METADATA_URL}\", error_description=\"{description}\""
        ),
        _ => format!(
            "Bearer error=\"{error}\", error_description=\"{description}\", resource_metadata=\"{METADATA_URL}\""
        ),
    }
}

fn check(row: &Row, reply: &Reply, scope: &str) {
    let name = format!("{} (scope `{scope}`)", row.name);
    assert_eq!((reply.status(), reply.reason()), (row.status, row.reason), "{name}");
    let challenge = expected_challenge(row, scope);
    let mut headers: Vec<_> = reply.headers().collect();
    headers.sort_unstable();
    assert_eq!(
        headers,
        [
            ("access-control-allow-origin", "*"),
            (
                "access-control-expose-headers",
                "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After, DPoP-Nonce"
            ),
            ("cache-control", "no-store"),
            ("content-type", "application/json"),
            ("www-authenticate", &*challenge),
        ],
        "{name}"
    );
    let error = if row.error.is_empty() { "missing_token" } else { row.error };
    let body = format!("{{\"error\":\"{error}\",\"error_description\":\"{}\"}}", row.description);
    assert_eq!(String::from_utf8_lossy(reply.body()), body, "{name}");
}

#[test]
fn each_refusal_has_its_exact_challenge() {
    // The scopes that a client without a good token is told, and one with too few.
    let cases = [
        (json!({}), "", ""),
        (json!({ "required": ["mcp:read"] }), "mcp:read", "mcp:read"),
        (
            json!({ "required": ["mcp:read"], "challenged": ["mcp:write", "mcp:read"] }),
            "mcp:read mcp:write",
            "mcp:read",
        ),
        (json!({ "required": ["mcp:read"], "challenged": ["other"] }), "other", "mcp:read"),
        // Entra: what is asked for is not what the token says.
        (
            json!({ "required": ["mcp:read"], "request_as": { "mcp:read": "api://app/mcp.read" } }),
            "api://app/mcp.read",
            "api://app/mcp.read",
        ),
        (json!({ "required": ["mcp:read"], "advertised": ["all"] }), "mcp:read", "mcp:read"),
        (json!({ "challenged": ["mcp:read"] }), "mcp:read", ""),
        (json!({ "advertised": ["mcp:read"] }), "", ""),
    ];
    for (scopes, without, with_too_few) in cases {
        let mut gate = gate(&config(&scopes));
        for row in rows() {
            // What is not required cannot be missing.
            if row.status == 403 && scopes["required"].is_null() {
                continue;
            }
            let scope = if row.status == 403 { with_too_few } else { without };
            check(&row, &refused(&mut gate, "/mcp", &row.credentials), scope);
        }
        let good = [format!("Bearer {}", good_token())];
        let lines: Vec<_> = good.iter().map(|value| ("authorization", value.as_str())).collect();
        assert!(matches!(ask(&mut gate, &head("/mcp", &lines)), Verdict::Forward(_)), "the good token, {scopes}");
    }
}

/// The token in the query is not credentials (OAuth 2.1 section 5.1.1), neither alone nor besides a header.
#[test]
fn a_token_in_the_query_is_no_token() {
    let mut gate = gate(&inline_config());
    let path = format!("/mcp?access_token={}", good_token());
    let expected = refused(&mut gate, "/mcp", &[]);
    assert_eq!(refused(&mut gate, &path, &[]), expected);
}

/// A token that is wrong in two ways is told the first: what needs no key comes first, scopes come last.
#[test]
fn the_first_thing_that_is_wrong_is_told() {
    let mut gate = gate(&config(&json!({ "required": ["mcp:admin"] })));
    let expired = with(claims(), "exp", json!(1));
    let rows = [
        ("expired and forged", sign_texts(2, &header().to_string(), &expired.to_string()), "mcp_oauth_token_expired"),
        (
            "forged and without the scope",
            sign_texts(2, &header().to_string(), &claims().to_string()),
            "mcp_oauth_token_signature",
        ),
        ("without the scope", good_token(), "mcp_oauth_insufficient_scope"),
    ];
    for (name, token, expected) in rows {
        assert_eq!(refused(&mut gate, "/mcp", &[format!("Bearer {token}")]).reason(), expected, "{name}");
    }
}

/// 401 would make a client throw a good token away; a challenge would make it log in again.
#[test]
fn missing_keys_are_503_without_a_challenge() {
    let mut gate = gate(&remote_config());
    let authorization = format!("Bearer {}", good_token());
    let lines = head("/mcp", &[("authorization", &authorization)]);
    for id in 0..MAX_HELD {
        let verdict = ask_as(&mut gate, u32::try_from(id).expect("small"), &lines, NOW);
        assert!(matches!(verdict, Verdict::Hold), "request {id}: {verdict:?}");
    }
    let overloaded = reply(ask_as(&mut gate, 99_999, &lines, NOW));
    let fetch = gate.poll_fetch(NOW).expect("a fetch");
    let resumed = gate.on_answer(fetch.id, Answer::NoResponse, NOW).resumed;
    assert_eq!(resumed.len(), MAX_HELD);
    let waited = resumed.into_iter().next().map(|resumed| reply(resumed.verdict)).expect("a request that waited");
    let at_once = reply(ask_as(&mut gate, 1, &lines, NOW));
    let unavailable = Refusal::KeysUnavailable { issuer: ISSUER.into(), retry_after: 1 };
    let rows = [
        (
            "waited",
            waited,
            unavailable.clone(),
            "the keys of the authorization server are not available",
            "mcp_oauth_keys_unavailable",
        ),
        (
            "at once",
            at_once,
            unavailable,
            "the keys of the authorization server are not available",
            "mcp_oauth_keys_unavailable",
        ),
        (
            "too many wait",
            overloaded,
            Refusal::Overloaded { held: MAX_HELD },
            "too many requests wait",
            "mcp_oauth_overloaded",
        ),
        (
            "the host failed",
            Reply::refuse(Refusal::Host("proxy_get_header_map_pairs")),
            Refusal::Host("proxy_get_header_map_pairs"),
            "the gateway failed",
            "mcp_oauth_host_failure",
        ),
    ];
    for (name, reply, refusal, description, reason) in rows {
        assert_eq!(reply.refusal(), Some(&refusal), "{name}");
        assert_eq!((reply.status(), reply.reason()), (503, reason), "{name}");
        assert_eq!(reply_header(&reply, "www-authenticate"), None, "{name}");
        assert_eq!(reply_header(&reply, "retry-after"), Some("1"), "{name}");
        assert_eq!(reply_header(&reply, "cache-control"), Some("no-store"), "{name}");
        assert_eq!(reply_header(&reply, "access-control-allow-origin"), Some("*"), "{name}");
        let body = format!("{{\"error\":\"temporarily_unavailable\",\"error_description\":\"{description}\"}}");
        assert_eq!(String::from_utf8_lossy(reply.body()), body, "{name}");
    }
}

/// Two resources, one host: each challenge is its own resource's.
#[test]
fn a_challenge_belongs_to_its_resource() {
    let resources = json!([
        { "resource": RESOURCE, "scopes": { "required": ["a"] } },
        { "resource": "https://mcp.example.com/mcp/b", "scopes": { "required": ["b"] } },
    ]);
    let mut gate = gate(&put(inline_config(), "/resources", resources));
    let rows =
        [("/mcp", format!("{METADATA_URL}\", scope=\"a\"")), ("/mcp/b/c", format!("{METADATA_URL}/b\", scope=\"b\""))];
    for (path, rest) in rows {
        let reply = refused(&mut gate, path, &[]);
        let expected = format!("Bearer resource_metadata=\"{rest}");
        assert_eq!(reply_header(&reply, "www-authenticate"), Some(&*expected), "{path}");
    }
}

/// MCP SEP-2350: all that the operation needs and no more, in one challenge. MCP Scope Minimization: no more than a start
/// before that, which is another list.
#[test]
fn a_token_with_too_few_scopes_is_told_all_that_are_needed() {
    // What the configuration says, what a client without a token is told, and one with a token without scopes.
    let rows = [
        (json!({ "required": ["a", "b"] }), "a b", "a b"),
        (json!({ "required": ["a", "b"], "challenged": ["a"] }), "a", "a b"),
        (json!({ "required": ["a", "b"], "challenged": ["a", "b", "c"] }), "a b c", "a b"),
        (json!({ "required": ["a"], "challenged": ["api://app/.default"] }), "api://app/.default", "a"),
        (json!({ "required": ["a"], "request_as": { "a": "api://app/a" } }), "api://app/a", "api://app/a"),
        (json!({ "required": ["a"], "challenged": ["b"], "request_as": { "a": "api://app/a" } }), "b", "api://app/a"),
        (json!({ "required": ["a", "b"], "implies": { "a": ["b"] } }), "a b", "a"),
    ];
    for (scopes, without, with_too_few) in rows {
        let mut gate = gate(&put(inline_config(), "/resources/0/scopes", scopes.clone()));
        let told = |verdict| {
            let reply = reply(verdict);
            let challenge = reply_header(&reply, "www-authenticate").expect("a challenge").to_owned();
            let (_, scope) = challenge.split_once("scope=\"").expect("scopes");
            (reply.status(), scope.split_once('"').expect("a quote").0.to_owned())
        };
        assert_eq!(told(ask(&mut gate, &head("/mcp", &[]))), (401, without.to_owned()), "{scopes}");
        let few = sign(&header(), &with(claims(), "scope", json!("")));
        assert_eq!(told(present(&mut gate, &few)), (403, with_too_few.to_owned()), "{scopes}");
    }
}
