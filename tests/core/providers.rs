//! Presets: where a provider keeps its metadata, what its tokens look like, and what must not pass for one. The documents
//! and tokens are as the provider's documentation, its source or its users have them (`source`), with example names and
//! keys; `generic` is what becomes of them without the preset.

mod configuration;
mod introspection;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_oauth::{
    config,
    fetch::Answer,
    gate::{Gate, Verdict},
};
use serde_json::{Value, json};

use crate::support::{HeaderMap, NOW, ask, head, holding, jwk, jwks, outcome, sign, with};

const KEYCLOAK: &str = include_str!("providers/keycloak.json");
const AUTH0: &str = include_str!("providers/auth0.json");
const ENTRA: &str = include_str!("providers/entra.json");
const OKTA: &str = include_str!("providers/okta.json");
const GOOGLE: &str = include_str!("providers/google.json");
const AUTHENTIK: &str = include_str!("providers/authentik.json");
const ALL: [&str; 6] = [KEYCLOAK, AUTH0, ENTRA, OKTA, GOOGLE, AUTHENTIK];

fn vectors(file: &str) -> Value {
    serde_json::from_str(file).expect("JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}"))
}

fn config_of(server: &Value, resource: &Value) -> Value {
    json!({ "authorization_servers": [server], "resources": [resource] })
}

#[track_caller]
fn gate(config: &Value) -> Gate {
    let environment = |name: &str| (name == "SECRET").then(|| "secret".to_owned());
    let policy = config::parse_in(config.to_string().as_bytes(), &environment);
    Gate::new(policy.unwrap_or_else(|findings| panic!("findings: {findings:?}")))
}

/// The server without what the preset knows of it, and with the test's key.
fn generic(server: &Value) -> Value {
    json!({ "issuer": server["issuer"], "jwks": jwks(&[jwk(1, "k1")]) })
}

fn answer(gate: &mut Gate, at: &str, document: &Value) {
    let fetch = gate.poll_fetch(NOW).unwrap_or_else(|| panic!("no fetch of {at}"));
    assert_eq!(fetch.uri.as_str(), at);
    let body = document.to_string();
    let content_type = Some(b"application/json".as_slice());
    let answer = Answer::Response { status: b"200", content_type, cache_control: None, body: body.as_bytes() };
    let _ = gate.on_answer(fetch.id, answer, NOW);
}

/// A gate that has found the provider's keys as its preset finds them.
fn gate_with_keys(server: &Value, resource: &Value, metadata: &Value) -> Gate {
    let mut gate = gate(&config_of(server, resource));
    if !metadata.is_null() {
        answer(&mut gate, text(&metadata["at"]), &metadata["document"]);
        answer(&mut gate, text(&metadata["document"]["jwks_uri"]), &jwks(&[jwk(1, "k1")]));
    }
    gate
}

/// One recorded token: what it is, and what is asked of it.
struct Recorded {
    name: String,
    token: String,
    vector: Value,
    resource: Value,
}

/// A vector that has no claims of its own is the last one that has, changed.
fn recorded(file: &Value) -> Vec<Recorded> {
    let (mut header, mut claims) = (Value::Null, Value::Null);
    let list = file["tokens"].as_array().expect("a list");
    let tokens = list.iter().map(|vector| {
        if vector["header"].is_object() {
            header = with(holding(vector["header"].clone(), "alg", json!("ES256")), "kid", json!("k1"));
        }
        if vector["claims"].is_object() {
            claims = vector["claims"].clone();
            for (claim, at) in [("exp", NOW.0 + 300), ("iat", NOW.0 - 10), ("nbf", NOW.0 - 10)] {
                if claims.get(claim).is_some() {
                    claims = holding(claims.take(), claim, json!(at));
                }
            }
        }
        let changes = vector["change"].as_object().into_iter().flatten();
        let changed = changes.fold(claims.clone(), |claims, (claim, value)| with(claims, claim, value.clone()));
        let typed = if vector["retype"].is_null() {
            header.clone()
        } else {
            with(header.clone(), "typ", vector["retype"].clone())
        };
        let mut resource = file["resource"].clone();
        for setting in ["audiences", "scopes"] {
            if !vector[setting].is_null() {
                resource = holding(resource, setting, vector[setting].clone());
            }
        }
        Recorded {
            name: text(&vector["name"]).to_owned(),
            token: sign(&typed, &changed),
            vector: vector.clone(),
            resource,
        }
    });
    tokens.collect()
}

/// What becomes of a token, in the words of the log, and what the upstream is told.
fn present(gate: &mut Gate, token: &str) -> (String, HeaderMap) {
    let authorization = format!("Bearer {token}");
    let lines = head("/mcp", &[("authorization", &authorization)]);
    let mut headers = HeaderMap::new(&lines);
    let verdict = ask(gate, &lines);
    if let Verdict::Forward(forward) = &verdict {
        headers.apply(forward.edits());
    }
    (outcome(verdict).map_or_else(|refusal| refusal.to_string(), |()| "accepted".to_owned()), headers)
}

fn check_told(told: &Value, headers: &HeaderMap, name: &str) {
    for (header, value) in told.as_object().into_iter().flatten() {
        let expected: Vec<String> = value.as_str().map(ToOwned::to_owned).into_iter().collect();
        assert_eq!(headers.all(header), expected, "{name}: {header}");
    }
}

fn check(file: &str) {
    let file = vectors(file);
    let (server, mut accepted) = (&file["server"], 0);
    let all = recorded(&file);
    let newer = file.get("newer_metadata");
    for Recorded { name, token, vector, resource } in &all {
        for metadata in [Some(&file["metadata"]), newer].into_iter().flatten() {
            let (found, headers) = present(&mut gate_with_keys(server, resource, metadata), token);
            assert_eq!(found, text(&vector["preset"]), "{name}");
            check_told(&vector["told"], &headers, name);
            accepted += usize::from(found == "accepted");
        }
        let (found, headers) = present(&mut gate(&config_of(&generic(server), resource)), token);
        assert_eq!(found, text(&vector["generic"]), "{name}, without the preset");
        check_told(&vector["generic_told"], &headers, name);
    }
    // Google's JWTs are all refused.
    let presented = all.len() * (1 + usize::from(newer.is_some()));
    assert!(accepted < presented && (accepted > 0 || file["metadata"].is_null()), "{accepted} of {presented}");
}

#[test]
fn keycloak_types_its_tokens_by_a_claim() {
    check(KEYCLOAK);
}

#[test]
fn auth0_names_the_client_in_access_tokens_only() {
    check(AUTH0);
}

/// auth0/nextjs-auth0#1809: a client that asks for no audience gets a token that is encrypted for Auth0.
#[test]
fn auth0_gives_opaque_tokens_to_clients_without_an_audience() {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"dir","enc":"A256GCM","iss":"https://my-domain.auth0.com/"}"#);
    let token = format!("{header}..AAAAAAAAAAAAAAAA.c2VjcmV0.AAAAAAAAAAAAAAAAAAAAAA");
    let file = vectors(AUTH0);
    let mut gate = gate_with_keys(&file["server"], &file["resource"], &file["metadata"]);
    assert_eq!(present(&mut gate, &token).0, "token: not a compact JWS: `5` parts instead of 3");
}

#[test]
fn entra_has_two_names_for_a_tenant_and_two_claims_for_rights() {
    check(ENTRA);
}

#[test]
fn okta_has_names_of_its_own() {
    check(OKTA);
}

#[test]
fn google_has_no_access_tokens_that_are_jwts() {
    check(GOOGLE);
}

/// With the preset nobody needs what Google publishes. Without it, the keys are where it says, on a host of their own; the
/// place that RFC 8414 asks first has nothing.
#[test]
fn googles_metadata_is_for_those_who_want_its_id_tokens() {
    let file = vectors(GOOGLE);
    let mut preset = gate(&config_of(&file["server"], &file["resource"]));
    assert!(preset.poll_fetch(NOW).is_none());

    let server = json!({ "issuer": file["server"]["issuer"], "cluster": "accounts", "jwks_cluster": "www" });
    let published = &file["published_metadata"];
    let mut generic = gate(&config_of(&server, &file["resource"]));
    let first = generic.poll_fetch(NOW).expect("a fetch");
    assert_eq!(first.uri.as_str(), "https://accounts.google.com/.well-known/oauth-authorization-server");
    let missing = Answer::Response { status: b"404", content_type: None, cache_control: None, body: b"" };
    let _ = generic.on_answer(first.id, missing, NOW);
    answer(&mut generic, text(&published["at"]), &published["document"]);
    let keys = generic.poll_fetch(NOW).expect("a fetch of the keys");
    assert_eq!((keys.uri.as_str(), keys.cluster.as_ref()), ("https://www.googleapis.com/oauth2/v3/certs", "www"));
    let body = jwks(&[jwk(1, "k1")]).to_string();
    let content_type = Some(b"application/json".as_slice());
    let found = Answer::Response { status: b"200", content_type, cache_control: None, body: body.as_bytes() };
    let _ = generic.on_answer(keys.id, found, NOW);
    for Recorded { name, token, vector, .. } in recorded(&file) {
        assert_eq!(present(&mut generic, &token).0, text(&vector["generic"]), "{name}");
    }
}

#[test]
fn authentik_makes_access_tokens_of_id_tokens() {
    check(AUTHENTIK);
}

#[test]
fn every_vector_tells_where_it_is_from() {
    for file in ALL {
        let file = vectors(file);
        let first = &file["tokens"][0];
        let sources = [&file["metadata"]["source"], &file["answer"]["source"]];
        assert!(sources.into_iter().any(Value::is_string), "{}", file["server"]);
        let more = ["newer_metadata", "published_metadata"].into_iter().filter_map(|name| file.get(name));
        assert!(more.into_iter().all(|metadata| metadata["source"].is_string()), "{}", file["server"]);
        let new = file["tokens"].as_array().into_iter().flatten().filter(|token| token["claims"].is_object());
        assert!(new.chain([first]).all(|token| token["source"].is_string()), "{}", file["server"]);
    }
}

/// keycloak/keycloak#40923: the preset asks first where the document is; the standard places come after it.
#[test]
fn all_places_of_the_metadata_are_asked_the_likely_one_first() {
    let expected = [
        "https://sso.example.com/realms/mcp/.well-known/openid-configuration",
        "https://sso.example.com/.well-known/openid-configuration/realms/mcp",
        "https://sso.example.com/.well-known/oauth-authorization-server/realms/mcp",
    ];
    let file = vectors(KEYCLOAK);
    let standard: Vec<&str> = expected.into_iter().rev().collect();
    for (server, places) in [
        (file["server"].clone(), expected.to_vec()),
        (holding(file["server"].clone(), "provider", json!("generic")), standard.clone()),
        (with(file["server"].clone(), "provider", Value::Null), standard),
    ] {
        let mut gate = gate(&config_of(&server, &file["resource"]));
        for place in places {
            let fetch = gate.poll_fetch(NOW).expect("a fetch");
            assert_eq!(fetch.uri.as_str(), place);
            let missing = Answer::Response { status: b"404", content_type: None, cache_control: None, body: b"" };
            let _ = gate.on_answer(fetch.id, missing, NOW);
        }
        assert!(gate.poll_fetch(NOW).is_none());
    }
}

/// MicrosoftDocs/azure-docs#38427: a document for all tenants is nobody's.
#[test]
fn metadata_of_no_tenant_in_particular_is_not_used() {
    let mut file = vectors(ENTRA);
    file["metadata"]["document"]["issuer"] = json!("https://login.microsoftonline.com/{tenantid}/v2.0");
    let mut gate = gate(&config_of(&file["server"], &file["resource"]));
    answer(&mut gate, text(&file["metadata"]["at"]), &file["metadata"]["document"]);
    let next = gate.poll_fetch(NOW).expect("another place");
    assert!(next.uri.as_str().contains("/.well-known/openid-configuration/aaaabbbb"), "{}", next.uri.as_str());
}
