//! How the keys of an issuer are found (RFC 8414, OpenID Connect Discovery, MCP authorization): where is asked, in which
//! order, which answers count, and what the operator reads about it.

mod answers;

use std::time::Duration;

use mcp_oauth::{
    fetch::{Answer, Fetch, KeyEvent},
    gate::{Gate, Verdict},
    issuer::Issuer,
    time::UnixTime,
};
use serde_json::{Value, json};

use crate::support::{
    ISSUER, NOW, ask, ask_as, claims, gate, head, header, inline_config, jwk, jwks, put, refusal, remote_config, sign,
    with,
};

const JSON: &[u8] = b"application/json";
const FIRST: &str = "https://idp.example.com/.well-known/oauth-authorization-server";
const SECOND: &str = "https://idp.example.com/.well-known/openid-configuration";
const KEYS: &str = "https://idp.example.com/keys";

fn metadata(issuer: &str, jwks_uri: &str) -> Value {
    json!({ "issuer": issuer, "jwks_uri": jwks_uri })
}

fn ok(body: &[u8]) -> Answer<'_> {
    Answer::Response { status: b"200", content_type: Some(JSON), cache_control: None, body }
}

const NOT_FOUND: Answer<'static> =
    Answer::Response { status: b"404", content_type: None, cache_control: None, body: b"" };

/// The fetch that is due, which must be this one.
#[track_caller]
fn expect_fetch(gate: &mut Gate, uri: &str) -> Fetch {
    let fetch = gate.poll_fetch(NOW).unwrap_or_else(|| panic!("no fetch of {uri}"));
    assert_eq!(fetch.uri.as_str(), uri);
    assert!(gate.poll_fetch(NOW).is_none(), "a second fetch beside {uri}");
    fetch
}

/// Answers the fetch of `uri` that must be due.
#[track_caller]
fn answer(gate: &mut Gate, uri: &str, answer: Answer<'_>) -> Option<KeyEvent> {
    let fetch = expect_fetch(gate, uri);
    gate.on_answer(fetch.id, answer, NOW).event
}

#[track_caller]
fn answer_json(gate: &mut Gate, uri: &str, document: &Value) -> Option<KeyEvent> {
    answer(gate, uri, ok(document.to_string().as_bytes()))
}

fn text(event: Option<KeyEvent>) -> Option<String> {
    event.map(|event| event.to_string())
}

/// Spec 2.4.
const CANDIDATES: [(&str, &[&str]); 9] = [
    (
        "https://auth.example.com",
        &[
            "https://auth.example.com/.well-known/oauth-authorization-server",
            "https://auth.example.com/.well-known/openid-configuration",
        ],
    ),
    (
        "https://t.auth0.com/",
        &[
            "https://t.auth0.com/.well-known/oauth-authorization-server",
            "https://t.auth0.com/.well-known/openid-configuration",
        ],
    ),
    (
        "https://auth.example.com/tenant1",
        &[
            "https://auth.example.com/.well-known/oauth-authorization-server/tenant1",
            "https://auth.example.com/.well-known/openid-configuration/tenant1",
            "https://auth.example.com/tenant1/.well-known/openid-configuration",
        ],
    ),
    (
        "https://auth.example.com/tenant1/",
        &[
            "https://auth.example.com/.well-known/oauth-authorization-server/tenant1",
            "https://auth.example.com/.well-known/openid-configuration/tenant1",
            "https://auth.example.com/tenant1/.well-known/openid-configuration",
        ],
    ),
    (
        "https://kc:8443/realms/r",
        &[
            "https://kc:8443/.well-known/oauth-authorization-server/realms/r",
            "https://kc:8443/.well-known/openid-configuration/realms/r",
            "https://kc:8443/realms/r/.well-known/openid-configuration",
        ],
    ),
    (
        "https://login.microsoftonline.com/7f0d/v2.0",
        &[
            "https://login.microsoftonline.com/.well-known/oauth-authorization-server/7f0d/v2.0",
            "https://login.microsoftonline.com/.well-known/openid-configuration/7f0d/v2.0",
            "https://login.microsoftonline.com/7f0d/v2.0/.well-known/openid-configuration",
        ],
    ),
    (
        "http://127.0.0.1:4000",
        &[
            "http://127.0.0.1:4000/.well-known/oauth-authorization-server",
            "http://127.0.0.1:4000/.well-known/openid-configuration",
        ],
    ),
    (
        "https://[2001:db8::1]/a",
        &[
            "https://[2001:db8::1]/.well-known/oauth-authorization-server/a",
            "https://[2001:db8::1]/.well-known/openid-configuration/a",
            "https://[2001:db8::1]/a/.well-known/openid-configuration",
        ],
    ),
    (
        "https://auth.example.com/a%2Fb",
        &[
            "https://auth.example.com/.well-known/oauth-authorization-server/a%2Fb",
            "https://auth.example.com/.well-known/openid-configuration/a%2Fb",
            "https://auth.example.com/a%2Fb/.well-known/openid-configuration",
        ],
    ),
];

#[test]
fn the_places_of_metadata_are_tried_in_the_order_of_the_specification() {
    for (issuer, places) in CANDIDATES {
        let parsed = Issuer::parse(issuer).expect("an issuer");
        let found: Vec<_> = parsed.metadata_candidates().iter().map(|uri| uri.as_str().to_owned()).collect();
        assert_eq!(found, places, "{issuer}");

        // As the gate asks for them, when each is absent.
        let mut asked = gate(&put(remote_config(), "/authorization_servers/0/issuer", json!(issuer)));
        let (last, first) = places.split_last().expect("places");
        for place in first {
            let event = text(answer(&mut asked, place, NOT_FOUND));
            let expected = format!("keys: issuer `{issuer}`: `{place}`: answered `404`; trying the next place");
            assert_eq!(event, Some(expected), "{issuer}");
        }
        let event = text(answer(&mut asked, last, NOT_FOUND));
        let expected = format!(
            "keys: issuer `{issuer}`: `{last}`: answered `404`; next try in `1` s at the earliest, its tokens cannot \
             be checked until then"
        );
        assert_eq!(event, Some(expected), "{issuer}");
        assert!(asked.poll_fetch(NOW).is_none(), "{issuer}: all places were tried");

        // Each place alone is enough, and the ones after it are not asked.
        for (position, place) in places.iter().enumerate() {
            let mut gate = gate(&put(remote_config(), "/authorization_servers/0/issuer", json!(issuer)));
            for absent in &places[..position] {
                answer(&mut gate, absent, NOT_FOUND);
            }
            let keys = format!("{issuer}{}keys", if issuer.ends_with('/') { "" } else { "/" });
            assert_eq!(answer_json(&mut gate, place, &metadata(issuer, &keys)), None, "{issuer} at {place}");
            let _ = expect_fetch(&mut gate, &keys);
        }
    }
}

/// RFC 8414 section 3.3: the slash is part of the name.
#[test]
fn the_issuer_of_the_metadata_is_compared_as_text() {
    let rows = [
        ("https://t.auth0.com/", "https://t.auth0.com/", true),
        ("https://t.auth0.com/", "https://t.auth0.com", false),
        ("https://auth.example.com", "https://auth.example.com", true),
        ("https://auth.example.com", "https://auth.example.com/", false),
        ("https://auth.example.com", "https://AUTH.example.com", false),
        ("https://auth.example.com", "https://auth.example.com:443", false),
        ("https://auth.example.com:443", "https://auth.example.com", false),
        ("https://auth.example.com:443", "https://auth.example.com:443", true),
        ("https://auth.example.com", "https://auth.example.com/tenant1", false),
        ("https://auth.example.com/tenant1", "https://auth.example.com/tenant1", true),
        ("https://auth.example.com/tenant1", "https://auth.example.com", false),
        ("https://auth.example.com/tenant1", "https://auth.example.com/tenant1/", false),
        ("https://auth.example.com/tenant1/", "https://auth.example.com/tenant1", false),
        ("https://auth.example.com/tenant1", "https://auth.example.com/tenant2", false),
    ];
    for (issuer, found, same) in rows {
        let mut gate = gate(&put(remote_config(), "/authorization_servers/0/issuer", json!(issuer)));
        let fetch = gate.poll_fetch(NOW).expect("a fetch");
        let document = metadata(found, KEYS).to_string();
        let event = gate.on_answer(fetch.id, ok(document.as_bytes()), NOW).event;
        let expected = (!same).then(|| {
            let place = fetch.uri.as_str();
            format!("keys: issuer `{issuer}`: `{place}`: the metadata is of issuer `{found}`; trying the next place")
        });
        assert_eq!(text(event), expected, "{issuer} and {found}");
        let next = gate.poll_fetch(NOW).expect("a fetch");
        assert_eq!(next.uri.as_str() == KEYS, same, "{issuer} and {found}: {}", next.uri.as_str());
    }
}

/// Keys must not travel less protected than the issuer's name promises; more protected they may.
#[test]
fn the_keys_are_as_protected_as_their_issuer() {
    const LOCAL: &str = "http://127.0.0.1:4000";
    let other_scheme = |uri: &str| format!("the `jwks_uri` `{uri}` has a scheme other than https");
    let rows = [
        (ISSUER, "https://keys.example.net/jwks", None),
        (ISSUER, "http://127.0.0.1:4000/jwks", Some(other_scheme("http://127.0.0.1:4000/jwks"))),
        (ISSUER, "http://localhost/jwks", Some(other_scheme("http://localhost/jwks"))),
        (LOCAL, "http://127.0.0.1:4000/jwks", None),
        (LOCAL, "http://[::1]:4000/jwks", None),
        (
            LOCAL,
            "http://keys.example.net/jwks",
            Some(
                "the `jwks_uri` `http://keys.example.net/jwks` is http, which is allowed on loopback hosts only"
                    .to_owned(),
            ),
        ),
    ];
    for (issuer, jwks_uri, why) in rows {
        let (event, next) = discover(issuer, jwks_uri);
        let why = why.map(|why| {
            let place = format!("{issuer}/.well-known/oauth-authorization-server");
            format!("keys: issuer `{issuer}`: `{place}`: {why}; trying the next place")
        });
        assert_eq!(event, why, "{issuer} with {jwks_uri}");
        assert_eq!(next == jwks_uri, why.is_none(), "{issuer} with {jwks_uri}: {next}");
    }
}

/// An issuer on this machine whose keys are elsewhere, over https: that is no step down.
#[test]
fn an_issuer_on_loopback_may_have_keys_over_https() {
    let keys = "https://keys.example.net/jwks";
    assert_eq!(discover("http://127.0.0.1:4000", keys), (None, keys.to_owned()));
}

/// What is said of a `jwks_uri` in the metadata of this issuer, and where is asked next.
fn discover(issuer: &str, jwks_uri: &str) -> (Option<String>, String) {
    let mut gate = gate(&put(remote_config(), "/authorization_servers/0/issuer", json!(issuer)));
    let place = format!("{issuer}/.well-known/oauth-authorization-server");
    let event = answer_json(&mut gate, &place, &metadata(issuer, jwks_uri));
    let next = gate.poll_fetch(NOW).expect("a fetch");
    (text(event), next.uri.as_str().to_owned())
}

#[test]
fn the_whole_way_ends_with_keys_that_verify() {
    let mut gate = gate(&remote_config());
    let authorization = format!("Bearer {}", sign(&header(), &claims()));
    let lines = head("/mcp", &[("authorization", &authorization)]);
    assert!(matches!(ask(&mut gate, &lines), Verdict::Hold), "a request that came early waits");
    assert_eq!(answer_json(&mut gate, FIRST, &metadata(ISSUER, "https://keys.example.net/jwks?v=2")), None);
    let fetch = expect_fetch(&mut gate, "https://keys.example.net/jwks?v=2");
    assert_eq!(
        (fetch.uri.scheme(), fetch.uri.authority(), &*fetch.uri.request_target()),
        ("https", "keys.example.net", "/jwks?v=2")
    );
    let unusable = json!({ "kty": "oct", "k": "c2VjcmV0" });
    let outcome = gate.on_answer(fetch.id, ok(jwks(&[unusable, jwk(1, "k1")]).to_string().as_bytes()), NOW);
    let event = outcome.event.expect("an event");
    assert_eq!((&*event.issuer, event.is_failure()), (ISSUER, false));
    assert_eq!(
        event.to_string(),
        "keys: issuer `https://idp.example.com`: `https://keys.example.net/jwks?...` has `1` usable keys, `1` were \
         left out"
    );
    let verdicts: Vec<_> = outcome.resumed.into_iter().map(|resumed| (resumed.request, resumed.verdict)).collect();
    assert!(matches!(&verdicts[..], [(1, Verdict::Forward(_))]), "{verdicts:?}");
    assert!(matches!(ask(&mut gate, &lines), Verdict::Forward(_)), "and the next one need not wait");
    assert!(gate.poll_fetch(NOW).is_none());
}

#[test]
fn an_explicit_jwks_uri_skips_discovery() {
    let mut gate =
        gate(&put(remote_config(), "/authorization_servers/0/jwks_uri", json!("https://idp.example.com/own")));
    let event = answer(&mut gate, "https://idp.example.com/own", NOT_FOUND);
    assert_eq!(
        text(event).as_deref(),
        Some(
            "keys: issuer `https://idp.example.com`: `https://idp.example.com/own`: answered `404`; next try in `1` s \
             at the earliest, its tokens cannot be checked until then"
        )
    );
    // Nor does a failure start it.
    let retry = UnixTime(NOW.0 + 1);
    let authorization = format!("Bearer {}", sign(&header(), &claims()));
    let verdict = ask_as(&mut gate, 1, &head("/mcp", &[("authorization", &authorization)]), retry);
    assert!(matches!(verdict, Verdict::Hold), "{verdict:?}");
    let fetch = gate.poll_fetch(retry).expect("a fetch");
    assert_eq!(fetch.uri.as_str(), "https://idp.example.com/own");
}

/// A key set that cannot be had may have moved: the metadata is read again.
#[test]
fn a_failed_fetch_of_keys_starts_again_at_the_metadata() {
    let mut gate = gate(&remote_config());
    answer_json(&mut gate, FIRST, &metadata(ISSUER, KEYS));
    assert!(answer(&mut gate, KEYS, NOT_FOUND).is_some_and(|event| event.is_failure()));
    let retry = UnixTime(NOW.0 + 1);
    let authorization = format!("Bearer {}", sign(&header(), &claims()));
    let verdict = ask_as(&mut gate, 1, &head("/mcp", &[("authorization", &authorization)]), retry);
    assert!(matches!(verdict, Verdict::Hold), "{verdict:?}");
    assert_eq!(gate.poll_fetch(retry).expect("a fetch").uri.as_str(), FIRST);
}

#[test]
fn each_document_is_fetched_from_its_cluster_within_its_time() {
    let server = |more: &[(&str, Value)]| {
        let server = json!({ "issuer": ISSUER, "cluster": "idp" });
        let server = more.iter().fold(server, |server, (name, value)| with(server, name, value.clone()));
        put(remote_config(), "/authorization_servers", json!([server]))
    };
    let (elsewhere, timeout) = (("jwks_cluster", json!("idp-keys")), ("fetch_timeout", json!("750ms")));
    let five = Duration::from_secs(5);
    let rows = [
        ("the defaults", server(&[]), "idp", "idp", five),
        ("keys elsewhere", server(std::slice::from_ref(&elsewhere)), "idp", "idp-keys", five),
        ("another timeout", server(&[elsewhere, timeout]), "idp", "idp-keys", Duration::from_millis(750)),
    ];
    for (name, config, metadata_cluster, keys_cluster, timeout) in rows {
        let mut gate = gate(&config);
        let fetch = expect_fetch(&mut gate, FIRST);
        assert_eq!((&*fetch.cluster, fetch.timeout), (metadata_cluster, timeout), "{name}: metadata");
        let _ = gate.on_answer(fetch.id, NOT_FOUND, NOW);
        let fetch = expect_fetch(&mut gate, SECOND);
        assert_eq!((&*fetch.cluster, fetch.timeout), (metadata_cluster, timeout), "{name}: second place");
        let _ = gate.on_answer(fetch.id, ok(metadata(ISSUER, KEYS).to_string().as_bytes()), NOW);
        let fetch = expect_fetch(&mut gate, KEYS);
        assert_eq!((&*fetch.cluster, fetch.timeout), (keys_cluster, timeout), "{name}: keys");
    }
    let explicit = server(&[("jwks_uri", json!(KEYS)), ("jwks_cluster", json!("idp-keys"))]);
    assert_eq!(&*expect_fetch(&mut gate(&explicit), KEYS).cluster, "idp-keys", "explicit jwks_uri");
    assert!(gate(&inline_config()).poll_fetch(NOW).is_none(), "inline keys are never fetched");
}

/// Every issuer has keys of its own: one that is down does not touch the others.
#[test]
fn issuers_are_discovered_side_by_side() {
    let servers = json!([
        { "issuer": ISSUER, "cluster": "idp" },
        { "issuer": "https://second.example.com", "cluster": "second" },
    ]);
    let mut gate = gate(&put(remote_config(), "/authorization_servers", servers));
    let first = gate.poll_fetch(NOW).expect("a fetch");
    let second = gate.poll_fetch(NOW).expect("a fetch of the other");
    assert!(gate.poll_fetch(NOW).is_none());
    assert_eq!((&*first.cluster, &*second.cluster), ("idp", "second"));
    let down = gate.on_answer(second.id, Answer::NoResponse, NOW).event.expect("an event");
    assert_eq!((&*down.issuer, down.is_failure()), ("https://second.example.com", true));
    let _ = gate.on_answer(first.id, ok(metadata(ISSUER, KEYS).to_string().as_bytes()), NOW);
    let _ = answer_json(&mut gate, KEYS, &jwks(&[jwk(1, "k1")]));
    let authorization = format!("Bearer {}", sign(&header(), &claims()));
    assert!(matches!(ask(&mut gate, &head("/mcp", &[("authorization", &authorization)])), Verdict::Forward(_)));
    // The same key, but the other issuer did not say that it is its own.
    let of_other = sign(&header(), &with(claims(), "iss", json!("https://second.example.com")));
    let authorization = format!("Bearer {of_other}");
    let refused = refusal(ask(&mut gate, &head("/mcp", &[("authorization", &authorization)])));
    assert_eq!(refused.status(), 503, "{refused:?}");
}
