//! Fixed texts: what the client reads holds nothing of the request or the token, and nothing that a parser trips on.

use mcp_oauth::{
    bearer::CredentialsError,
    grant::InsufficientScope,
    jws::{Algorithm, JwsError, Part},
    refusal::Refusal,
    reply::Reply,
    scope::ScopeSet,
    time::UnixTime,
    token::{ClaimFault, TokenError},
};

use crate::support::path_errors;

/// What an attacker may write wherever a value is kept.
const HOSTILE: &str = "scope=\"x\", error=\\ resource_metadata=\r\nSet-Cookie: a\u{e9}";

fn refusals() -> Vec<Refusal> {
    let hostile = || HOSTILE.to_owned();
    let tokens = [
        TokenError::Jws(JwsError::Parts(1)),
        TokenError::Jws(JwsError::Base64(Part::Payload)),
        TokenError::Jws(JwsError::Critical),
        TokenError::Jws(JwsError::NoAlgorithm),
        TokenError::Jws(JwsError::Algorithm(hostile())),
        TokenError::Jws(JwsError::NotText("kid")),
        TokenError::Type(hostile()),
        TokenError::NotAccessToken("nonce"),
        TokenError::Unmarked("azp"),
        TokenError::OpaqueOnly,
        TokenError::Claim("aud", ClaimFault::Missing),
        TokenError::Claim("aud", ClaimFault::Type),
        TokenError::Claim("exp", ClaimFault::Range),
        TokenError::Issuer(hostile()),
        TokenError::Algorithm(Algorithm::Rs256),
        TokenError::Audience { found: hostile(), accepted: hostile() },
        TokenError::Expired { at: UnixTime(1), now: UnixTime(2) },
        TokenError::NotYetValid { claim: "nbf", at: UnixTime(2), now: UnixTime(1) },
        TokenError::SenderConstrained,
        TokenError::UnknownKey(Some(hostile())),
        TokenError::UnknownKey(None),
        TokenError::AmbiguousKey,
        TokenError::Signature,
    ];
    let paths = path_errors();
    let mut all = vec![
        Refusal::Head,
        Refusal::Unmatched,
        Refusal::NoDocument,
        Refusal::Method,
        Refusal::MissingToken,
        Refusal::Credentials(CredentialsError::Doubled),
        Refusal::Credentials(CredentialsError::Malformed),
        Refusal::Credentials(CredentialsError::TooLong(99_999)),
        Refusal::InsufficientScope(InsufficientScope {
            granted: ScopeSet::from_list("scope=a error=b"),
            needed: ScopeSet::from_list("mcp:read"),
        }),
        Refusal::KeysUnavailable { issuer: hostile(), retry_after: 17 },
        Refusal::Overloaded { held: 1024 },
        Refusal::TooLarge { most: 1024 },
        Refusal::UnreadableList,
        Refusal::EarlyResponse,
        Refusal::Misconfigured,
        Refusal::Host("proxy_log"),
    ];
    all.extend(tokens.into_iter().map(Refusal::Token));
    all.extend(paths.into_iter().map(Refusal::Path));
    all
}

#[test]
fn a_description_is_plain_words() {
    for refusal in refusals() {
        let text = refusal.description();
        let plain = text.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b' ' | b'-'));
        assert!(plain && !text.is_empty(), "{refusal:?}: {text}");
        for trap in ["scope=", "error=", "resource_metadata=", "\"", "\\"] {
            assert!(!text.contains(trap), "{refusal:?}: `{trap}` in {text}");
        }
    }
}

#[test]
fn a_reply_holds_nothing_of_the_request() {
    for refusal in refusals() {
        let reply = Reply::refuse(refusal.clone());
        let name = format!("{refusal:?}");
        let expected =
            format!("{{\"error\":\"{}\",\"error_description\":\"{}\"}}", refusal.code(), refusal.description());
        assert_eq!(String::from_utf8_lossy(reply.body()), expected, "{name}");
        assert_eq!(reply.status(), refusal.status(), "{name}");
        for (header, value) in reply.headers() {
            assert!(value.bytes().all(|byte| matches!(byte, 0x20..=0x7E)), "{name}: {header}: {value:?}");
            assert_ne!(header, "www-authenticate", "{name}: a challenge needs a resource");
        }
        let retry = reply.headers().find(|(header, _)| *header == "retry-after").map(|(_, value)| value);
        let expected = match &refusal {
            Refusal::KeysUnavailable { .. } => Some("17"),
            refusal if refusal.status() == 503 => Some("1"),
            _ => None,
        };
        assert_eq!(retry, expected, "{name}");
    }
}

/// `response_code_details` of a proxy: no white space, lower case, and never a value.
#[test]
fn a_reason_is_a_stable_word() {
    for refusal in refusals() {
        let reason = refusal.reason();
        let plain = reason.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        assert!(plain && reason.starts_with("mcp_oauth_"), "{refusal:?}: {reason}");
        let code = refusal.code();
        assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{refusal:?}: {code}");
    }
}

/// The operator's line shows values, but stays one line of visible ASCII.
#[test]
fn a_log_line_stays_a_line() {
    for refusal in refusals() {
        let line = refusal.to_string();
        // The issuer of missing keys comes from the configuration, which lets no such text in.
        if matches!(refusal, Refusal::KeysUnavailable { .. }) {
            continue;
        }
        assert!(line.bytes().all(|byte| matches!(byte, 0x20..=0x7E)), "{refusal:?}: {line:?}");
        assert!(line.len() <= 240, "{refusal:?}: {} bytes", line.len());
        assert!(line.matches('`').count().is_multiple_of(2), "{refusal:?}: a value ends its quotes: {line}");
    }
}
