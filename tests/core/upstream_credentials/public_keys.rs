//! The keys that identity JWTs are verified with: public ones only, where the operator said, before any authentication.

use mcp_oauth::{config, refusal::Refusal, reply::Reply};
use serde_json::{Value, json};

use super::{but, environment, gate, identity_jwt, with_credential};
use crate::support::{NOW, RESOURCE, ask_as, outcome, put, refusal, reply, reply_header};

const PATH: &str = "/.well-known/mcp-oauth/jwks.json";

fn get(config: &Value, method: &str, host: &str, path: &str, more: &[(&str, &str)]) -> Reply {
    let mut lines = vec![(":method", method), (":authority", host), (":path", path)];
    lines.extend(more);
    reply(ask_as(&mut gate(config), 1, &lines, NOW))
}

fn config() -> Value {
    with_credential(&identity_jwt())
}

fn findings(config: &Value) -> Vec<String> {
    let found = config::parse_in(config.to_string().as_bytes(), &environment).err().unwrap_or_default();
    found.iter().map(ToString::to_string).collect()
}

/// The configuration with more resources, each at a URI with a credential.
fn beside(others: &[(&str, Value)]) -> Value {
    let mut config = config();
    for (uri, credential) in others {
        let mut other = config["resources"][0].clone();
        other["resource"] = json!(uri);
        other["upstream_credential"] = credential.clone();
        config["resources"].as_array_mut().expect("a list").push(other);
    }
    config
}

#[test]
fn public_keys_are_served_and_nothing_else() {
    let config = with_credential(&but(&identity_jwt(), "keys_variable", json!("NEW_KEYS")));
    let found = get(&config, "GET", "mcp.example.com", PATH, &[]);
    assert_eq!((found.status(), found.reason()), (200, "mcp_oauth_identity_keys"));
    assert_eq!(reply_header(&found, "content-type"), Some("application/jwk-set+json"));
    assert_eq!(reply_header(&found, "cache-control"), Some("public, max-age=300"));
    assert_eq!(reply_header(&found, "access-control-allow-origin"), Some("*"));
    let keys: Value = serde_json::from_slice(found.body()).expect("JSON");
    let keys = keys["keys"].as_array().expect("a list").clone();
    assert_eq!(keys.len(), 2);
    for (key, seed) in keys.iter().zip([8, 7]) {
        let names: Vec<&String> = key.as_object().expect("an object").keys().collect();
        assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
        let private = super::private_p256(seed);
        assert_eq!((&key["x"], &key["y"], &key["crv"]), (&private["x"], &private["y"], &json!("P-256")));
        assert!(!String::from_utf8_lossy(found.body()).contains(private["d"].as_str().expect("a text")));
    }
    assert_eq!(keys[0]["kid"], "new");
}

#[test]
fn it_is_a_document_like_the_others() {
    let found = get(&config(), "GET", "mcp.example.com", PATH, &[]);
    let etag = reply_header(&found, "etag").expect("an ETag").to_owned();
    let again = get(&config(), "GET", "mcp.example.com:443", PATH, &[("if-none-match", &etag)]);
    assert_eq!((again.status(), again.body().len()), (304, 0));
    assert_eq!(get(&config(), "HEAD", "MCP.example.com", PATH, &[]).status(), 200);
    assert_eq!(get(&config(), "OPTIONS", "mcp.example.com", PATH, &[]).status(), 204);
    let post = get(&config(), "POST", "mcp.example.com", PATH, &[]);
    assert_eq!((post.status(), post.refusal()), (405, Some(&Refusal::Method)));
    // Whatever credentials come along.
    let with_token = get(&config(), "GET", "mcp.example.com", PATH, &[("authorization", "Bearer bad")]);
    assert_eq!(with_token.status(), 200);
    for (host, path) in [
        ("other.example.com", PATH),
        ("mcp.example.com", "/.well-known/mcp-oauth/jwks.json/"),
        ("mcp.example.com", "/.well-known/mcp-oauth/JWKS.json"),
        ("mcp.example.com", "/.well-known/mcp-oauth"),
    ] {
        let lines = [(":method", "GET"), (":authority", host), (":path", path)];
        assert_eq!(refusal(ask_as(&mut gate(&config()), 1, &lines, NOW)), Refusal::Unmatched, "{host}{path}");
    }
}

#[test]
fn the_path_must_be_one_that_requests_have() {
    let at = "resources[0].upstream_credential.identity_jwt.jwks_path:";
    let path_of = |path: &str| config_with(path);
    let rows = [
        ("jwks.json", "is no path that a request can match"),
        ("/a//b", "is no path that a request can match"),
        ("/a/../b", "is no path that a request can match"),
        ("/a%2fb", "is no path that a request can match"),
        ("/a b", "is no path that a request can match"),
        ("/keys?a", "has a query or ends with a slash"),
        ("/keys/", "has a query or ends with a slash"),
        ("/", "has a query or ends with a slash"),
        ("/.well-known/oauth-protected-resource", "lies where OAuth metadata is served"),
        ("/.well-known/oauth-protected-resource/keys", "lies where OAuth metadata is served"),
        ("/.well-known/openid-configuration", "lies where OAuth metadata is served"),
        ("/.well-known/oauth-authorization-server/a", "lies where OAuth metadata is served"),
        ("/mcp", "lies within the resource `https://mcp.example.com/mcp`"),
    ];
    for (path, reason) in rows {
        // It was read, so it is a path.
        let shown = if path == "/mcp" { path } else { "(not shown)" };
        assert_eq!(findings(&path_of(path)), [format!("{at} `{shown}` {reason}")]);
    }
    for path in ["/keys", "/.well-known/jwks.json", "/mcp-keys", "/mcp/keys"] {
        let config = path_of(path);
        assert_eq!(findings(&config), Vec::<String>::new(), "{path}");
        assert_eq!(get(&config, "GET", "mcp.example.com", path, &[]).status(), 200, "{path}");
    }
}

fn config_with(path: &str) -> Value {
    with_credential(&but(&identity_jwt(), "jwks_path", json!(path)))
}

/// A path within a resource is that resource's own, and two resources of a host share a path only with the same keys.
#[test]
fn neither_keys_nor_resources_are_hidden() {
    let none = json!("none");
    let around = "resources[0].upstream_credential.identity_jwt.jwks_path: `/.well-known/mcp-oauth/jwks.json` lies within the resource";
    for uri in [
        "https://mcp.example.com",
        "https://mcp.example.com/.well-known",
        "https://mcp.example.com/.well-known/mcp-oauth/jwks.json",
    ] {
        let found = findings(&beside(&[(uri, none.clone())]));
        assert_eq!(found, [format!("{around} `{uri}`")], "{uri}");
    }
    for uri in ["https://mcp.example.com/other", "https://other.example.com", "https://mcp.example.com:8443"] {
        assert_eq!(findings(&beside(&[(uri, none.clone())])), Vec::<String>::new(), "{uri}");
    }
    let same = beside(&[("https://mcp.example.com", identity_jwt()), ("https://mcp.example.com/b", identity_jwt())]);
    assert_eq!(findings(&same), Vec::<String>::new());
    assert_eq!(get(&same, "GET", "mcp.example.com", PATH, &[]).status(), 200);
    let other_keys = but(&identity_jwt(), "keys_variable", json!("NEW_KEYS"));
    let clash = beside(&[("https://mcp.example.com/b", other_keys.clone())]);
    let reason = "is where another resource of the host has other keys";
    assert_eq!(
        findings(&clash),
        [format!("resources[1].upstream_credential.identity_jwt.jwks_path: `{PATH}` {reason}")]
    );
    let apart = beside(&[("https://other.example.com/b", other_keys)]);
    assert_eq!(findings(&apart), Vec::<String>::new());
    let found = [get(&apart, "GET", "mcp.example.com", PATH, &[]), get(&apart, "GET", "other.example.com", PATH, &[])];
    assert_ne!(found[0].body(), found[1].body(), "each host its own");
}

/// Where routes name resources, the keys are where they are all the same.
#[test]
fn routes_do_not_hide_the_keys() {
    use mcp_oauth::request::{Request, RouteResource};
    let config = put(config(), "/route_metadata", json!(true));
    for route in [RouteResource::Unnamed, RouteResource::Named(RESOURCE.as_bytes()), RouteResource::Named(b"no")] {
        let mut gate = gate(&config);
        let lines: [(&[u8], &[u8]); 3] =
            [(b":method", b"GET"), (b":authority", b"mcp.example.com"), (b":path", PATH.as_bytes())];
        let request = Request::new(lines, gate.policy().identity_headers()).on_route(route);
        assert_eq!(reply(gate.on_request(1, &request, NOW)).status(), 200, "{route:?}");
    }
}

#[test]
fn there_are_none_without_identity_jwts() {
    let config = crate::support::inline_config();
    let lines = [(":method", "GET"), (":authority", "mcp.example.com"), (":path", PATH)];
    assert_eq!(outcome(ask_as(&mut crate::support::gate(&config), 1, &lines, NOW)), Err(Refusal::Unmatched));
}
