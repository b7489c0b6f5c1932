//! Where a provider is asked about tokens, and in whose words it answers (RFC 7662).

use mcp_oauth::fetch::Answer;
use serde_json::{Value, json};

use super::{AUTH0, AUTHENTIK, ENTRA, GOOGLE, KEYCLOAK, OKTA, config_of, gate, recorded, text, vectors};
use crate::support::{HeaderMap, NOW, ask, findings, head, holding, jwk, jwks, outcome, put, without};

fn client() -> Value {
    json!({ "cluster": "idp", "client_id": "gateway", "client_secret_variable": "SECRET" })
}

/// The provider's server, its keys inline, asked about opaque tokens.
fn asked(file: &Value, introspection: Value) -> Value {
    let server = json!({ "issuer": file["server"]["issuer"], "provider": file["server"]["provider"] });
    let keys = jwks(&[jwk(1, "k1")]);
    let server = if file["metadata"].is_null() { server } else { holding(server, "jwks", keys) };
    config_of(&holding(server, "introspection", introspection), &file["resource"])
}

/// What becomes of an opaque token, where it was asked about, and what the upstream is told.
fn introspect(config: &Value, token: &str, answer: &Value) -> (String, String, HeaderMap) {
    let mut gate = gate(config);
    let authorization = format!("Bearer {token}");
    let lines = head("/mcp", &[("authorization", &authorization)]);
    let _ = ask(&mut gate, &lines);
    let fetch = gate.poll_fetch(NOW).expect("a question");
    let body = answer.to_string();
    let content_type = Some(b"application/json".as_slice());
    let answer = Answer::Response { status: b"200", content_type, cache_control: None, body: body.as_bytes() };
    let mut resumed = gate.on_answer(fetch.id, answer, NOW).resumed;
    let verdict = resumed.remove(0).verdict;
    let mut headers = HeaderMap::new(&lines);
    if let mcp_oauth::gate::Verdict::Forward(forward) = &verdict {
        headers.apply(forward.edits());
    }
    let found = outcome(verdict).map_or_else(|refusal| refusal.to_string(), |()| "accepted".to_owned());
    (found, fetch.uri.as_str().to_owned(), headers)
}

fn active(file: &Value) -> Value {
    let audience = file["resource"]["audiences"].get(0).unwrap_or(&file["resource"]["resource"]);
    let scope = file["resource"]["scopes"]["required"].get(0).cloned().unwrap_or_else(|| json!("openid"));
    json!({
        "active": true, "iss": file["server"]["issuer"], "aud": audience, "sub": "alice", "client_id": "c1",
        "scope": scope, "iat": NOW.0 - 10, "exp": NOW.0 + 300,
    })
}

#[test]
fn a_preset_knows_the_endpoint() {
    for (file, endpoint) in [
        (KEYCLOAK, "https://sso.example.com/realms/mcp/protocol/openid-connect/token/introspect"),
        (OKTA, "https://dev-133320.okta.com/oauth2/default/v1/introspect"),
        (AUTHENTIK, "https://auth.example.com/application/o/introspect/"),
    ] {
        let file = vectors(file);
        for metadata in [file.get("metadata"), file.get("newer_metadata")].into_iter().flatten() {
            assert_eq!(metadata["document"]["introspection_endpoint"], json!(endpoint));
        }
        let (found, asked_at, headers) = introspect(&asked(&file, client()), "opaque", &active(&file));
        assert_eq!((found.as_str(), asked_at.as_str()), ("accepted", endpoint));
        // The answer is in the words of RFC 7662, also where the provider's tokens have others.
        assert_eq!(headers.all("x-mcp-client-id"), ["c1"]);
        let scope = file["resource"]["scopes"]["required"].get(0).map_or("openid", text);
        assert_eq!(headers.all("x-mcp-scopes"), [scope]);
        let own = holding(client(), "endpoint", json!("https://proxy.example.com/introspect"));
        let (found, asked_at, _) = introspect(&asked(&file, own), "opaque", &active(&file));
        assert_eq!((found.as_str(), asked_at.as_str()), ("accepted", "https://proxy.example.com/introspect"));
    }
}

#[test]
fn where_there_is_none_it_must_be_written() {
    for file in [AUTH0, ENTRA] {
        let file = vectors(file);
        let found = findings_with_secret(&asked(&file, client()));
        assert_eq!(found, ["authorization_servers[0].introspection.endpoint: is missing"]);
        let own = holding(client(), "endpoint", json!("https://proxy.example.com/introspect"));
        assert_eq!(findings_with_secret(&asked(&file, own)), Vec::<String>::new());
    }
}

fn findings_with_secret(config: &Value) -> Vec<String> {
    let environment = |name: &str| (name == "SECRET").then(|| "secret".to_owned());
    let found = mcp_oauth::config::parse_in(config.to_string().as_bytes(), &environment).err().unwrap_or_default();
    found.iter().map(ToString::to_string).collect()
}

/// goauthentik/authentik, views/introspection.py: the answer is the ID token of the login, `scope` and `client_id` added; that
/// of a refresh token has `at_hash` (views/token.py).
#[test]
fn authentik_answers_with_an_id_token() {
    let file = vectors(AUTHENTIK);
    let answer = holding(holding(active(&file), "nonce", json!("n-0S6_WzA2Mj")), "client_id", json!("c0ffee"));
    let config = asked(&file, client());
    assert_eq!(introspect(&config, "opaque", &answer).0, "accepted");
    let refresh = holding(answer.clone(), "at_hash", json!("wfgvmE9VxjAudsl9lc6TqA"));
    let expected = "token: not an access token: it has the shape told by `at_hash`";
    assert_eq!(introspect(&config, "opaque", &refresh).0, expected);
    let other = put(config, "/authorization_servers/0/provider", json!("generic"));
    let other = put(other, "/authorization_servers/0/introspection/endpoint", json!("https://auth.example.com/i"));
    assert_eq!(introspect(&other, "opaque", &answer).0, "token: not an access token: it has the shape told by `nonce`");
}

#[test]
fn google_is_asked_in_its_own_form() {
    let file = vectors(GOOGLE);
    let config = config_of(&file["server"], &file["resource"]);
    let info = holding(file["answer"]["document"].clone(), "exp", json!((NOW.0 + 300).to_string()));
    let (found, asked_at, headers) = introspect(&config, "ya29.a0Af-x", &info);
    assert_eq!((found.as_str(), asked_at.as_str()), ("accepted", text(&file["answer"]["at"])));
    assert_eq!(headers.all("x-mcp-client-id"), ["407408718192.apps.googleusercontent.com"]);
    assert_eq!(headers.all("x-mcp-issuer"), ["https://accounts.google.com"]);
    let other = holding(info, "aud", json!("1.apps.googleusercontent.com"));
    assert!(introspect(&config, "ya29.a0Af-x", &other).0.starts_with("token: audience `1.apps."));
    // Nobody is asked about a JWT: it is none of Google's access tokens.
    let mut gate = gate(&config);
    let authorization = format!("Bearer {}", recorded(&file)[0].token);
    let _ = outcome(ask(&mut gate, &head("/mcp", &[("authorization", &authorization)]))).expect_err("refused");
    assert!(gate.poll_fetch(NOW).is_none());
}

#[test]
fn google_has_no_use_for_keys() {
    let file = vectors(GOOGLE);
    let config = config_of(&file["server"], &file["resource"]);
    assert_eq!(findings(&config), Vec::<String>::new());
    let missing = "authorization_servers[0].introspection: is missing: access tokens of this provider are opaque";
    assert_eq!(findings(&without(config.clone(), "/authorization_servers/0/introspection")), [missing]);
    for (name, value) in
        [("jwks", jwks(&[jwk(1, "k1")])), ("jwks_uri", json!("https://www.googleapis.com/oauth2/v3/certs"))]
    {
        let found = findings(&put(config.clone(), &format!("/authorization_servers/0/{name}"), value));
        assert_eq!(
            found,
            [format!("authorization_servers[0].{name}: has no meaning here: all tokens are introspected")]
        );
    }
    // The cluster is for the questions; no key is fetched from it.
    let config = put(config, "/authorization_servers/0/cluster", json!("google"));
    let config = put(config, "/authorization_servers/0/introspection", json!({}));
    assert_eq!(findings(&config), Vec::<String>::new());
    assert!(gate(&config).poll_fetch(NOW).is_none());
}
