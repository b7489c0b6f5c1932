//! What the tests share: one issuer, one resource, one key, one good token, and the question put to a gate.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_oauth::{
    config,
    forward::Edit,
    gate::{Gate, Verdict},
    path::PathError,
    refusal::Refusal,
    reply::Reply,
    request::Request,
    time::UnixTime,
    token::TokenError,
};
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use serde_json::{Value, json};

pub(crate) const NOW: UnixTime = UnixTime(1_800_000_000);
pub(crate) const ISSUER: &str = "https://idp.example.com";
pub(crate) const RESOURCE: &str = "https://mcp.example.com/mcp";
pub(crate) const METADATA_URL: &str = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";

/// A test-only ES256 key; different seeds make different keys.
pub(crate) fn es256(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).expect("a scalar below the order")
}

/// The public JWK of [`es256`].
pub(crate) fn jwk(seed: u8, kid: &str) -> Value {
    let point = es256(seed).verifying_key().to_sec1_point(false);
    let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid,
        "x": coordinate(point.x().expect("not the identity")), "y": coordinate(point.y().expect("uncompressed")),
    })
}

pub(crate) fn jwks(keys: &[Value]) -> Value {
    json!({ "keys": keys })
}

/// The header of a good token.
pub(crate) fn header() -> Value {
    json!({ "typ": "at+jwt", "alg": "ES256", "kid": "k1" })
}

/// The claims of a good token.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": RESOURCE, "sub": "alice", "client_id": "c1", "scope": "mcp:read mcp:write",
        "iat": NOW.0 - 10, "exp": NOW.0 + 300, "jti": "1",
    })
}

/// The same object with one member changed, or removed where the value is null.
pub(crate) fn with(mut object: Value, member: &str, value: Value) -> Value {
    let members = object.as_object_mut().expect("an object");
    if value.is_null() {
        members.remove(member)
    } else {
        members.insert(member.to_owned(), value)
    };
    object
}

/// A compact JWS over exactly these texts, signed with [`es256`].
pub(crate) fn sign_texts(seed: u8, header: &str, claims: &str) -> String {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature: Signature = es256(seed).sign(input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

pub(crate) fn sign(header: &Value, claims: &Value) -> String {
    sign_texts(1, &header.to_string(), &claims.to_string())
}

/// A token that is accepted.
pub(crate) fn good_token() -> String {
    sign(&header(), &claims())
}

/// A configuration with the key of seed 1 inline, as `k1`.
pub(crate) fn inline_config() -> Value {
    json!({
        "authorization_servers": [{ "issuer": ISSUER, "jwks": jwks(&[jwk(1, "k1")]) }],
        "resources": [{ "resource": RESOURCE, "scopes": { "required": ["mcp:read"] } }],
    })
}

/// A configuration that has to fetch its keys.
pub(crate) fn remote_config() -> Value {
    with(inline_config(), "authorization_servers", json!([{ "issuer": ISSUER, "cluster": "idp" }]))
}

pub(crate) fn gate(config: &Value) -> Gate {
    match config::parse(config.to_string().as_bytes()) {
        Ok(policy) => Gate::new(policy),
        Err(findings) => panic!("findings: {findings:?}"),
    }
}

/// Header lines of a POST to `path` of the resource's host, followed by `more`.
pub(crate) fn head<'h>(path: &'h str, more: &[(&'h str, &'h str)]) -> Vec<(&'h str, &'h str)> {
    let mut lines = vec![(":method", "POST"), (":authority", "mcp.example.com"), (":path", path)];
    lines.extend(more);
    lines
}

pub(crate) fn ask_as(gate: &mut Gate, id: u32, lines: &[(&str, &str)], now: UnixTime) -> Verdict {
    let lines = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let request = Request::new(lines, gate.policy().identity_headers());
    #[cfg(feature = "explain")]
    mcp_oauth::explain::start();
    let verdict = gate.on_request(id, &request, now);
    #[cfg(feature = "explain")]
    assert_explained(&verdict);
    verdict
}

/// The check that refuses is one that said that it begins, and nothing goes upstream whose scopes were not checked.
#[cfg(feature = "explain")]
#[track_caller]
fn assert_explained(verdict: &Verdict) {
    use mcp_oauth::explain::{self, Check};

    let begun = explain::take();
    let refusal = match verdict {
        Verdict::Forward(forward) => forward.refusal(),
        Verdict::Reply(reply) => reply.refusal(),
        Verdict::Hold | Verdict::ReadBody(_) | Verdict::NotOurs(_) => return,
    };
    match refusal {
        None => assert!(!matches!(verdict, Verdict::Forward(_)) || begun.contains(&Check::Scopes), "{begun:?}"),
        Some(refusal) => {
            let Some(check) = Check::of(refusal) else { return };
            // Whether a token is bound is asked twice: whether that can be proved, and whether it is.
            let is_same = |begun: &Check| *begun == check || (check == Check::Binding && *begun == Check::Possession);
            assert!(begun.iter().any(is_same), "{refusal:?}: {begun:?}");
        }
    }
}

pub(crate) fn ask(gate: &mut Gate, lines: &[(&str, &str)]) -> Verdict {
    ask_as(gate, 1, lines, NOW)
}

/// Presents a token to the resource.
pub(crate) fn present(gate: &mut Gate, token: &str) -> Verdict {
    let authorization = format!("Bearer {token}");
    ask(gate, &head("/mcp", &[("authorization", &authorization)]))
}

#[track_caller]
pub(crate) fn reply(verdict: Verdict) -> Reply {
    match verdict {
        Verdict::Reply(reply) => reply,
        other => panic!("expected a reply, got {other:?}"),
    }
}

#[track_caller]
pub(crate) fn refusal(verdict: Verdict) -> Refusal {
    reply(verdict).refusal().expect("a refusal").clone()
}

/// The value of a reply's header; `None` if it is absent, a panic if it is there twice.
#[track_caller]
pub(crate) fn reply_header<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    let mut found = reply.headers().filter(|(other, _)| *other == name);
    let value = found.next().map(|(_, value)| value);
    assert!(found.next().is_none(), "`{name}` is there twice");
    value
}

/// The same object with one member changed; unlike [`with`], a null is written and not taken for a removal.
pub(crate) fn holding(mut object: Value, member: &str, value: Value) -> Value {
    object.as_object_mut().expect("an object").insert(member.to_owned(), value);
    object
}

/// A compact JWS over exactly this signing input, however odd, signed with [`es256`].
pub(crate) fn sign_input(seed: u8, input: &str) -> String {
    let signature: Signature = es256(seed).sign(input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

/// A compact JWS over exactly these bytes, which need not be texts.
pub(crate) fn sign_bytes(seed: u8, header: &[u8], claims: &[u8]) -> String {
    sign_input(seed, &format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims)))
}

/// What a verdict comes to: `Ok` if the request goes upstream, else why it does not.
#[track_caller]
pub(crate) fn outcome(verdict: Verdict) -> Result<(), Refusal> {
    match verdict {
        Verdict::Forward(_) => Ok(()),
        Verdict::Reply(reply) => Err(reply.refusal().expect("a refusal").clone()),
        other => panic!("neither forwarded nor refused: {other:?}"),
    }
}

/// One line of a table: the clause it guards and what is special about it, what is presented, what becomes of it.
pub(crate) struct Row<T> {
    pub(crate) name: String,
    pub(crate) input: T,
    pub(crate) expected: Result<(), Refusal>,
}

pub(crate) fn accepted<T>(name: impl Into<String>, input: T) -> Row<T> {
    Row { name: name.into(), input, expected: Ok(()) }
}

pub(crate) fn refused<T>(name: impl Into<String>, input: T, refusal: Refusal) -> Row<T> {
    Row { name: name.into(), input, expected: Err(refusal) }
}

/// A row whose token is not valid, for exactly this reason.
pub(crate) fn invalid<T>(name: impl Into<String>, input: T, error: TokenError) -> Row<T> {
    refused(name, input, Refusal::Token(error))
}

/// Asks for every row, reports all rows that came out otherwise, and wants both outcomes in the table: one that refuses
/// everything or accepts everything shows nothing.
#[track_caller]
pub(crate) fn check<T>(rows: Vec<Row<T>>, mut ask: impl FnMut(&T) -> Result<(), Refusal>) {
    let accepted = rows.iter().filter(|row| row.expected.is_ok()).count();
    assert!(accepted > 0 && accepted < rows.len(), "{accepted} of {} rows are accepted", rows.len());
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|Row { name, input, expected }| {
            let found = ask(input);
            (found != *expected).then(|| format!("{name}\n    expected: {expected:?}\n       found: {found:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

/// [`check`] for tokens, each presented to a fresh gate with this configuration.
#[track_caller]
pub(crate) fn check_tokens(config: &Value, rows: Vec<Row<String>>) {
    check(rows, |token| outcome(present(&mut gate(config), token)));
}

/// What is wrong with a configuration, as an operator reads it: one line per finding.
pub(crate) fn findings(config: &Value) -> Vec<String> {
    findings_in(config.to_string().as_bytes())
}

/// The same for a file that need not be JSON.
pub(crate) fn findings_in(file: &[u8]) -> Vec<String> {
    let found = config::parse(file).err().unwrap_or_default();
    found.iter().map(ToString::to_string).collect()
}

/// The same document with the value at a JSON pointer (RFC 6901) replaced; its parent must exist.
pub(crate) fn put(mut document: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    match document.pointer_mut(parent).expect("a parent") {
        Value::Array(items) => items[name.parse::<usize>().expect("an index")] = value,
        parent => parent[name] = value,
    }
    document
}

/// The same document without the member at a JSON pointer.
pub(crate) fn without(mut document: Value, pointer: &str) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let parent = document.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
    assert!(parent.remove(name).is_some(), "`{pointer}` is not there");
    document
}

/// Header lines as a proxy keeps them, for edits to be made on: names have no case, and may be there several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeaderMap(pub(crate) Vec<(Vec<u8>, Vec<u8>)>);

impl HeaderMap {
    pub(crate) fn new<T: AsRef<[u8]>>(lines: &[(T, T)]) -> Self {
        Self(lines.iter().map(|(name, value)| (name.as_ref().to_vec(), value.as_ref().to_vec())).collect())
    }

    pub(crate) fn apply<'e>(&mut self, edits: impl IntoIterator<Item = Edit<'e>>) {
        for edit in edits {
            let name = match edit {
                Edit::Remove(name) => name,
                Edit::Set(name, _) | Edit::Add(name, _) => name.as_bytes(),
            };
            if !matches!(edit, Edit::Add(..)) {
                self.0.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
            }
            if let Edit::Set(name, value) | Edit::Add(name, value) = edit {
                self.0.push((name.as_bytes().to_vec(), value.to_vec()));
            }
        }
    }

    /// All values of a name, as text.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let named = self.0.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }
}

/// A URI as findings have it: no user information, no query.
pub(crate) fn shown_uri(uri: &str) -> String {
    let uri = match (uri.split_once(':'), uri.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}:...@{host}"),
        _ => uri.to_owned(),
    };
    uri.split_once('?').map(|(uri, _)| format!("{uri}?...")).unwrap_or(uri)
}

/// Every reason why a path is refused.
pub(crate) fn path_errors() -> [PathError; 10] {
    [
        PathError::NotAbsolute,
        PathError::NotVisibleAscii,
        PathError::Backslash,
        PathError::Semicolon,
        PathError::Fragment,
        PathError::EmptySegment,
        PathError::DotSegment,
        PathError::PercentForm,
        PathError::PercentEncoded(b'/'),
        PathError::Unencoded(b'"'),
    ]
}
