//! Tokens that the operator lists beside those of authorization servers: the same challenges, scopes, rules and sessions,
//! an identity that no issuer can give, and nothing where none is configured.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_oauth::{
    config,
    gate::{Gate, Verdict},
    grant::InsufficientScope,
    jws::JwsError,
    refusal::Refusal,
    scope::ScopeSet,
    time::UnixTime,
    token::{ClaimFault, TokenError},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    access_rules::{call, post},
    support::{
        HeaderMap, METADATA_URL, NOW, Row, accepted, ask, ask_as, check, claims, gate, good_token, head, header,
        holding, inline_config, invalid, jwk, jwks, outcome, present, put, reply, reply_header, sign, sign_texts, with,
    },
};

/// 2027-01-15T08:00:00Z is [`NOW`].
const TOKENS: [(&str, &str, &str); 4] = [
    ("ci", "a-token-of-ci", "2027-01-15T08:00:01Z"),
    ("old", "a-token-that-expired", "2027-01-15T08:00:00Z"),
    ("forever", "a-token-without-end", "never"),
    ("JWT", "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl", "never"),
];

fn sha256(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn entry(name: &str, token: &str, scopes: &Value, expires: &str) -> Value {
    json!({ "name": name, "sha256": sha256(token), "scopes": scopes, "expires": expires })
}

/// The shared configuration with all of [`TOKENS`], each with `mcp:read`.
fn listing() -> Value {
    let entries = TOKENS.map(|(name, token, expires)| entry(name, token, &json!(["mcp:read"]), expires));
    put(inline_config(), "/resources/0/static_tokens", json!(entries))
}

fn malformed() -> TokenError {
    TokenError::Jws(JwsError::Parts(1))
}

/// What becomes of a token with and without the list.
fn judge((config, token): &(Value, String)) -> Result<(), Refusal> {
    outcome(present(&mut gate(config), token))
}

#[test]
fn exactly_the_listed_tokens_are_let_through() {
    let row = |token: &str| (listing(), token.to_owned());
    let foreign = |claims: Value| sign(&header(), &claims);
    let other_issuer = foreign(with(claims(), "iss", json!("https://x.example.com")));
    let listed_jwt = |token: &str| {
        let entry = entry("jwt", token, &json!(["mcp:read"]), "never");
        (put(inline_config(), "/resources/0/static_tokens", json!([entry])), token.to_owned())
    };
    let wrong = sign_texts(2, &header().to_string(), &claims().to_string());
    let without_issuer = foreign(with(claims(), "iss", Value::Null));
    let mut rows: Vec<Row<(Value, String)>> = vec![
        accepted("a listed token", row("a-token-of-ci")),
        accepted("one that never expires", row("a-token-without-end")),
        accepted("one that looks like a JWT", row(TOKENS[3].1)),
        accepted("a token of the issuer", row(&good_token())),
        invalid("an expired one", row("a-token-that-expired"), TokenError::Expired { at: NOW, now: NOW }),
        invalid("another text", row("a-token-of-cI"), malformed()),
        invalid("a shorter text", row("a-token-of-c"), malformed()),
        invalid("a longer text", row("a-token-of-ci="), malformed()),
        invalid("the hash itself", row(&sha256("a-token-of-ci")), malformed()),
        invalid("the name", row("ci"), malformed()),
        invalid("no list", (inline_config(), "a-token-of-ci".to_owned()), malformed()),
        accepted("of another issuer, listed", listed_jwt(&other_issuer)),
        invalid("of another issuer", row(&other_issuer), TokenError::Issuer("https://x.example.com".to_owned())),
        accepted("without an issuer, listed", listed_jwt(&without_issuer)),
        invalid("without an issuer", row(&without_issuer), TokenError::Claim("iss", ClaimFault::Missing)),
        // Whatever an issuer of the resource answers for, it alone answers for.
        invalid("of the issuer, badly signed, listed", listed_jwt(&wrong), TokenError::Signature),
    ];
    let empty = put(inline_config(), "/resources/0/static_tokens", json!([]));
    rows.push(invalid("an empty list", (empty, "a-token-of-ci".to_owned()), malformed()));
    check(rows, judge);
}

/// Which issuers a resource has decides, not what else was asked before.
#[test]
fn a_token_that_is_remembered_is_judged_alike() {
    let token = good_token();
    let other = "https://other.example.com";
    let servers = json!([
        { "issuer": "https://idp.example.com", "jwks": jwks(&[jwk(1, "k1")]) },
        { "issuer": other, "jwks": jwks(&[jwk(1, "k1")]) },
    ]);
    let config = put(inline_config(), "/authorization_servers", servers);
    let listed = entry("jwt", &token, &json!([]), "never");
    let second = json!({
        "resource": "https://mcp.example.com/other", "authorization_servers": [other], "static_tokens": [listed],
    });
    for static_tokens in [true, false] {
        let second = if static_tokens { second.clone() } else { with(second.clone(), "static_tokens", Value::Null) };
        let resources = json!([config["resources"][0], second]);
        let config = put(config.clone(), "/resources", resources);
        let authorization = format!("Bearer {token}");
        let lines = head("/other", &[("authorization", &authorization)]);
        let fresh = outcome(ask(&mut gate(&config), &lines));
        let mut gate = gate(&config);
        assert_eq!(outcome(present(&mut gate, &token)), Ok(()));
        assert_eq!(outcome(ask(&mut gate, &lines)), fresh, "listed: {static_tokens}");
        assert_eq!(fresh.is_ok(), static_tokens);
    }
}

#[test]
fn a_token_belongs_to_its_resource() {
    let other = json!({ "resource": "https://mcp.example.com/other" });
    let config = put(listing(), "/resources", json!([listing()["resources"][0], other]));
    let mut gate = gate(&config);
    let mut send = |path: &str| outcome(ask(&mut gate, &head(path, &[("authorization", "bearer  a-token-of-ci")])));
    assert_eq!(send("/mcp"), Ok(()));
    assert_eq!(send("/other"), Err(Refusal::Token(malformed())));
}

#[test]
fn a_token_expires_at_its_second() {
    let dates = [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:01Z", 1),
        ("1972-02-29T23:59:59Z", 68_255_999),
        ("1999-12-31T23:59:59Z", 946_684_799),
        ("2000-02-29T00:00:00Z", 951_782_400),
        ("2000-03-01T00:00:00Z", 951_868_800),
        ("2024-12-31T00:00:00Z", 1_735_603_200),
        ("2027-01-15T08:00:00Z", 1_800_000_000),
        ("2100-03-01T00:00:00Z", 4_107_542_400),
        ("9999-12-31T23:59:59Z", 253_402_300_799),
    ];
    for (text, at) in dates {
        let entry = entry("ci", "secret", &json!(["mcp:read"]), text);
        let mut gate = gate(&put(inline_config(), "/resources/0/static_tokens", json!([entry])));
        let lines = head("/mcp", &[("authorization", "Bearer secret")]);
        let at = UnixTime(at);
        let expired = Err(Refusal::Token(TokenError::Expired { at, now: at }));
        assert_eq!(outcome(ask_as(&mut gate, 1, &lines, at)), expired, "{text}");
        if at.0 > 0 {
            assert_eq!(outcome(ask_as(&mut gate, 1, &lines, UnixTime(at.0 - 1))), Ok(()), "{text}, a second before");
        }
    }
}

#[test]
fn refusals_are_those_of_any_token() {
    let reply = reply(present(&mut gate(&listing()), "a-token-that-expired"));
    assert_eq!((reply.status(), reply.refusal().expect("a refusal").code()), (401, "invalid_token"));
    let challenge = format!(
        "Bearer error=\"invalid_token\", error_description=\"the access token expired\", \
         resource_metadata=\"{METADATA_URL}\", scope=\"mcp:read\""
    );
    assert_eq!(reply_header(&reply, "www-authenticate"), Some(challenge.as_str()));
    let lacking = put(listing(), "/resources/0/static_tokens/0/scopes", json!(["mcp:write"]));
    let [granted, needed] = ["mcp:write", "mcp:read"].map(ScopeSet::from_list);
    let refusal = Refusal::InsufficientScope(InsufficientScope { granted, needed });
    assert_eq!(outcome(present(&mut gate(&lacking), "a-token-of-ci")), Err(refusal));
}

/// Of the caller's claims nothing is known: what denies by them is closed, what allows by them is not opened.
#[test]
fn rules_apply() {
    let rules = json!([
        { "tools": ["plain"] },
        { "tools": ["scoped"], "scopes": ["mcp:write"] },
        { "tools": ["not_for_interns"], "claims": [{ "claim": "groups", "contains": "interns" }], "deny": true },
        { "tools": ["for_staff"], "claims": [{ "claim": "groups", "contains": "staff" }] },
        { "tools": ["for_staff", "denied"], "deny": true },
    ]);
    let config = put(put(listing(), "/resources/0/rules", rules), "/hold_requests", json!("headers"));
    let send = |token: &str, tool: &str| outcome(post(&mut gate(&config), token, &[], &call(tool)));
    let [granted, needed] = ["mcp:read", "mcp:read mcp:write"].map(ScopeSet::from_list);
    let denied = |rule| Err(Refusal::Denied { rule: Some(rule) });
    let rows = [
        ("plain", Ok(()), Ok(())),
        ("scoped", Err(Refusal::InsufficientScope(InsufficientScope { granted, needed })), Ok(())),
        ("not_for_interns", denied(2), Ok(())),
        ("for_staff", denied(4), Ok(())),
        ("denied", denied(4), denied(4)),
    ];
    let staff = sign(&header(), &holding(claims(), "groups", json!(["staff"])));
    for (tool, of_static, of_jwt) in rows {
        assert_eq!(send("a-token-of-ci", tool), of_static, "{tool}, the static token");
        assert_eq!(send(&staff, tool), of_jwt, "{tool}, a token of the issuer");
    }
}

fn forwarded(gate: &mut Gate, token: &str, more: &[(&str, &str)]) -> HeaderMap {
    let authorization = format!("Bearer {token}");
    let mut lines = head("/mcp", &[("authorization", &authorization)]);
    lines.extend(more);
    let Verdict::Forward(forward) = ask(gate, &lines) else { panic!("not forwarded") };
    let mut headers = HeaderMap::new(&lines);
    headers.apply(forward.edits());
    headers
}

#[test]
fn the_upstream_gets_the_name_and_no_token() {
    let spoofed = [
        ("x-mcp-subject", "root"),
        ("X_MCP_Issuer", "https://idp.example.com"),
        ("x-mcp-client-id", "c9"),
        ("dpop", "p"),
    ];
    let headers = forwarded(&mut gate(&listing()), "a-token-of-ci", &spoofed);
    let mut expected = head("/mcp", &[]);
    expected.extend([("x-mcp-subject", "static:ci"), ("x-mcp-scopes", "mcp:read")]);
    assert_eq!(headers, HeaderMap::new(&expected));
    let renamed = put(listing(), "/identity_headers", json!({ "subject": "x-user", "scopes": null }));
    let headers = forwarded(&mut gate(&renamed), "a-token-of-ci", &[("x-user", "root")]);
    assert_eq!(headers.all("x-user"), ["static:ci"]);
    assert!(headers.all("x-mcp-scopes").is_empty());
}

#[test]
fn the_proxy_is_told_the_name_and_the_scopes() {
    let config = put(listing(), "/filter_state", json!(["subject", "client_id", "issuer", "scopes"]));
    let Verdict::Forward(forward) = present(&mut gate(&config), "a-token-of-ci") else { panic!("not forwarded") };
    let notes: Vec<(&str, &str)> = forward.notes().collect();
    assert_eq!(notes, [("mcp_oauth.subject", "static:ci"), ("mcp_oauth.scopes", "mcp:read")]);
}

#[test]
fn no_issuer_can_name_a_caller_like_a_static_token() {
    let rows = [
        ("static:ci", "static%3Aci"),
        ("static:", "static%3A"),
        ("static:static:ci", "static%3Astatic:ci"),
        ("static%3Aci", "static%253Aci"),
        ("Static:ci", "Static:ci"),
        ("statics:ci", "statics:ci"),
        ("a:static:ci", "a:static:ci"),
    ];
    for (subject, expected) in rows {
        let token = sign(&header(), &with(claims(), "sub", json!(subject)));
        assert_eq!(forwarded(&mut gate(&listing()), &token, &[]).all("x-mcp-subject"), [expected], "{subject}");
    }
}

#[test]
fn a_session_belongs_to_the_holder_of_its_token() {
    let keys = URL_SAFE_NO_PAD.encode([7; 32]);
    let other = entry("two", "a-second-token", &json!(["mcp:read"]), "never");
    let config = put(listing(), "/resources/0/static_tokens/1", other);
    let config = put(config, "/resources/0/sessions", json!({ "key_variable": "KEYS" }));
    let policy = config::parse_in(config.to_string().as_bytes(), &|_| Some(keys.clone())).expect("no findings");
    let mut gate = Gate::new(policy);
    let mut send = |token: &str, session: Option<&str>| {
        let authorization = format!("Bearer {token}");
        let more: Vec<_> = session.map(|session| ("mcp-session-id", session)).into_iter().collect();
        let mut lines = head("/mcp", &[("authorization", &authorization)]);
        lines.extend(more);
        ask(&mut gate, &lines)
    };
    let named = |subject: &str| sign(&header(), &with(claims(), "sub", json!(subject)));
    let Verdict::Forward(forward) = send("a-token-of-ci", None) else { panic!("not forwarded") };
    let sealed = forward.into_response_guard().seal_session(b"s1").expect("sealed");
    assert_eq!(outcome(send("a-token-of-ci", Some(&sealed))), Ok(()));
    for (name, token) in [
        ("another entry", "a-second-token".to_owned()),
        ("a user", good_token()),
        ("a user of that name", named("ci")),
        ("a user of that name, as servers see it", named("static:ci")),
    ] {
        assert_eq!(outcome(send(&token, Some(&sealed))), Err(Refusal::Session), "{name}");
    }
}

#[test]
fn neither_token_nor_hash_is_printed() {
    let config = listing();
    let policy = config::parse(config.to_string().as_bytes()).expect("no findings");
    let mut gate = Gate::new(policy.clone());
    let verdict = present(&mut gate, "a-token-of-ci");
    assert!(matches!(verdict, Verdict::Forward(_)));
    let expired = present(&mut gate, "a-token-that-expired");
    let printed = format!("{policy:?} {policy:#?} {gate:?} {verdict:?} {expired:?}");
    assert!(
        printed.contains("StaticTokens(<4>)") && printed.contains("StaticToken(ci)"),
        "it prints what may be shown"
    );
    for (_, token, _) in TOKENS {
        let digest: Vec<u8> = Sha256::digest(token.as_bytes()).to_vec();
        let numbers = digest[..4].iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
        let lines = numbers.replace(", ", ",\n");
        let flat: String = printed.chars().filter(|c| !c.is_whitespace()).collect();
        for secret in [token, &sha256(token)[..8], &numbers, &lines] {
            assert!(!printed.contains(secret), "{secret}");
        }
        assert!(!flat.contains(&numbers.replace(' ', "")), "{numbers}");
    }
}
