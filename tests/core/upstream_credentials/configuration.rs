//! Promise: a setting that could not be carried out does not load, and no finding shows a secret.

use mcp_oauth::config;
use serde_json::{Value, json};

use super::{
    API_KEY, but, client_credentials, environment, header, identity_jwt, private_p256, token_exchange, with_credential,
};
use crate::support::{jwk, jwks, put, without};

fn findings_where(config: &Value, environment: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let found = config::parse_in(config.to_string().as_bytes(), environment).err().unwrap_or_default();
    found.iter().map(ToString::to_string).collect()
}

fn findings(credential: &Value) -> Vec<String> {
    findings_where(&with_credential(credential), &environment)
}

#[test]
fn what_may_be_said_loads() {
    let rows = [
        json!("none"),
        json!("insecure_forward_client_token"),
        header(),
        json!({ "header": { "name": "authorization", "prefix": "Bearer ", "value_variable": "ACTOR" } }),
        json!({ "header": { "name": "x-api-key", "prefix": "", "value_variable": "API_KEY" } }),
        token_exchange(),
        without(but(&token_exchange(), "resource", json!("urn:upstream")), "/token_exchange/audience"),
        but(&token_exchange(), "actor_token_variable", json!("ACTOR")),
        but(&token_exchange(), "scopes", json!(["a", "b"])),
        but(&token_exchange(), "client_authentication", json!("client_secret_post")),
        client_credentials(),
        without(client_credentials(), "/client_credentials/audience"),
        identity_jwt(),
        but(&identity_jwt(), "header", json!("x-identity")),
        but(&identity_jwt(), "keys_variable", json!("NEW_KEYS")),
        but(&identity_jwt(), "max_age", json!("10s")),
    ];
    for credential in rows {
        assert_eq!(findings(&credential), Vec::<String>::new(), "{credential}");
    }
}

#[test]
fn everything_else_is_a_finding() {
    let at = "resources[0].upstream_credential";
    let kinds = "does not have exactly one of header, token_exchange, client_credentials, identity_jwt";
    let client = "client_id, client_secret_variable, client_authentication";
    let rows = [
        (json!("insecure"), ": `(not shown)` is not one of `none`, `insecure_forward_client_token`".to_owned()),
        (json!(["none"]), ": is a list where a text is expected".to_owned()),
        (json!(true), ": is true or false where a text is expected".to_owned()),
        (json!({}), format!(": {kinds}")),
        (json!({ "header": header()["header"], "token_exchange": {} }), format!(": {kinds}")),
        (json!({ "header": null }), ".header: is null where an object is expected".to_owned()),
        (
            but(&header(), "value", json!("k")),
            ".header.value: unknown key; known here: name, prefix, value_variable".to_owned(),
        ),
        (without(header(), "/header/name"), ".header.name: is missing".to_owned()),
        (but(&header(), "name", json!("X-Api-Key")), ".header.name: `(not shown)` is no header name in lower-case letters, digits and hyphens".to_owned()),
        (but(&header(), "name", json!("x_api_key")), ".header.name: `(not shown)` is no header name in lower-case letters, digits and hyphens".to_owned()),
        (but(&header(), "name", json!("cookie")), ".header.name: `(not shown)` has a meaning of its own".to_owned()),
        (but(&header(), "name", json!("mcp-session-id")), ".header.name: `(not shown)` has a meaning of its own".to_owned()),
        (but(&header(), "name", json!("x-mcp-subject")), ": `x-mcp-subject` is a header that tells who is calling".to_owned()),
        (but(&header(), "prefix", json!(" Bearer")), ".header.prefix: `(not shown)` begins with a space".to_owned()),
        (but(&header(), "prefix", json!("é")), ".header.prefix: `(not shown)` has characters other than visible ASCII".to_owned()),
        (but(&header(), "prefix", json!(1)), ".header.prefix: is a number where a text is expected".to_owned()),
        (without(header(), "/header/value_variable"), ".header.value_variable: is missing".to_owned()),
        (but(&header(), "value_variable", json!("NONE")), ".header.value_variable: the environment variable `NONE` is not set".to_owned()),
        (
            but(&token_exchange(), "url", json!("x")),
            format!(".token_exchange.url: unknown key; known here: endpoint, cluster, audience, resource, scopes, timeout, max_age, {client}, actor_token_variable"),
        ),
        (
            but(&client_credentials(), "actor_token_variable", json!("x")),
            format!(".client_credentials.actor_token_variable: unknown key; known here: endpoint, cluster, audience, resource, scopes, timeout, max_age, {client}"),
        ),
        (without(token_exchange(), "/token_exchange/endpoint"), ".token_exchange.endpoint: is missing".to_owned()),
        (but(&token_exchange(), "endpoint", json!("http://as.example.com/token")), ".token_exchange.endpoint: `http://as.example.com/token` is http, which is allowed on loopback hosts only".to_owned()),
        (without(token_exchange(), "/token_exchange/cluster"), ".token_exchange.cluster: is missing".to_owned()),
        (without(token_exchange(), "/token_exchange/client_id"), ".token_exchange.client_id: is missing".to_owned()),
        (without(token_exchange(), "/token_exchange/client_secret_variable"), ".token_exchange.client_secret_variable: is missing".to_owned()),
        (but(&token_exchange(), "client_authentication", json!("none")), ".token_exchange.client_authentication: `(not shown)` is not one of `client_secret_basic`, `client_secret_post`".to_owned()),
        (without(token_exchange(), "/token_exchange/audience"), ".token_exchange: has neither `audience` nor `resource`: the token would be good for anything".to_owned()),
        (but(&token_exchange(), "resource", json!("upstream")), ".token_exchange.resource: `(not shown)` is not an absolute URI".to_owned()),
        (but(&token_exchange(), "resource", json!("https://a.example/#b")), ".token_exchange.resource: `https://a.example/#b` has a fragment, which RFC 8707 section 2 forbids".to_owned()),
        (but(&token_exchange(), "scopes", json!(["a b"])), ".token_exchange.scopes[0]: `(not shown)` is no scope (RFC 6749 section 3.3)".to_owned()),
        (but(&token_exchange(), "timeout", json!("2m")), ".token_exchange.timeout: `2m` is not within 100ms and 1m".to_owned()),
        (but(&token_exchange(), "max_age", json!("0s")), ".token_exchange.max_age: `0s` is not within 1s and 24h".to_owned()),
        (but(&token_exchange(), "actor_token_variable", json!("API_KEY")), ".token_exchange.actor_token_variable: the environment variable `API_KEY` has characters other than visible ASCII".to_owned()),
        (without(identity_jwt(), "/identity_jwt/issuer"), ".identity_jwt.issuer: is missing".to_owned()),
        (but(&identity_jwt(), "issuer", json!("gateway")), ".identity_jwt.issuer: `(not shown)` is not an absolute URI with a host".to_owned()),
        (but(&identity_jwt(), "issuer", json!("https://idp.example.com")), ".identity_jwt.issuer: `https://idp.example.com` is an authorization server's: nobody could tell its tokens from these".to_owned()),
        (without(identity_jwt(), "/identity_jwt/audience"), ".identity_jwt.audience: is missing".to_owned()),
        (but(&identity_jwt(), "max_age", json!("2h")), ".identity_jwt.max_age: `2h` is not within 10s and 1h".to_owned()),
        (without(identity_jwt(), "/identity_jwt/keys_variable"), ".identity_jwt.keys_variable: is missing".to_owned()),
        (but(&identity_jwt(), "header", json!("host")), ".identity_jwt.header: `(not shown)` has a meaning of its own".to_owned()),
        (without(identity_jwt(), "/identity_jwt/jwks_path"), ".identity_jwt.jwks_path: is missing".to_owned()),
    ];
    for (credential, expected) in rows {
        assert_eq!(findings(&credential), [format!("{at}{expected}")], "{credential}");
    }
}

#[test]
fn texts_have_a_greatest_length() {
    let at = "resources[0].upstream_credential";
    let text = |length: usize| json!("x".repeat(length));
    let rows = [
        (header(), "prefix", "header.prefix: `(not shown)` has more than 1024 characters"),
        (token_exchange(), "audience", "token_exchange.audience: `(not shown)` has more than 1024 bytes"),
    ];
    for (credential, member, fault) in rows {
        assert_eq!(findings(&but(&credential, member, text(1024))), Vec::<String>::new());
        for length in [1025, 5000] {
            assert_eq!(findings(&but(&credential, member, text(length))), [format!("{at}.{fault}")], "{length}");
        }
    }
    let key = |length: usize| move |name: &str| (name == "API_KEY").then(|| "x".repeat(length));
    assert_eq!(findings_where(&with_credential(&header()), &key(16 * 1024)), Vec::<String>::new());
    let found = findings_where(&with_credential(&header()), &key(16 * 1024 + 1));
    assert!(found.len() == 1 && found[0].ends_with("has more than 16 KiB"), "{found:?}");
}

/// No finding shows anything of a value.
#[test]
fn secrets_that_cannot_be_sent_are_named_by_their_variable() {
    let rows = [
        (header(), "", "API_KEY", "is empty"),
        (header(), " hush", "API_KEY", "begins or ends with a space"),
        (header(), "hush ", "API_KEY", "begins or ends with a space"),
        (header(), "hush\n", "API_KEY", "has characters other than visible ASCII"),
        (header(), "hushé", "API_KEY", "has characters other than visible ASCII"),
        (header(), "hush\r\nx: y", "API_KEY", "has characters other than visible ASCII"),
        (header(), &"hush".repeat(5000), "API_KEY", "has more than 16 KiB"),
        (
            but(&token_exchange(), "actor_token_variable", json!("API_KEY")),
            "hush hush",
            "API_KEY",
            "has characters other than visible ASCII",
        ),
        (token_exchange(), "", "CLIENT_SECRET", "is empty"),
        (
            client_credentials(),
            "hush\n",
            "CLIENT_SECRET",
            "holds other characters than visible ASCII and spaces, perhaps the end of a line",
        ),
        (identity_jwt(), "", "KEYS", "is empty"),
        (identity_jwt(), "hush", "KEYS", "is no JWK Set: not one JSON value (line 1, column 1)"),
    ];
    for (credential, value, variable, fault) in rows {
        let secret = |name: &str| if name == variable { Some(value.to_owned()) } else { environment(name) };
        let found = findings_where(&with_credential(&credential), &secret);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ends_with(&format!(": the environment variable `{variable}` {fault}")), "{found:?}");
        assert!(!found[0].contains("hush"), "{found:?}");
        assert_eq!(
            findings(&credential).is_empty(),
            credential != but(&token_exchange(), "actor_token_variable", json!("API_KEY"))
        );
    }
}

#[test]
fn private_keys_must_be_good_for_signing() {
    let p256 = private_p256(7);
    let fault = |number: usize, fault: &str| format!("holds `keys[{number}]`, which {fault}");
    let member = |name: &str| format!("has no `{name}` of 32 bytes in base64url");
    let purpose = "is by its `use`, `key_ops` or `alg` not for signatures with ES256";
    let kinds = "is no EC key on P-256";
    let ed25519 = json!({
        "kty": "OKP", "crv": "Ed25519", "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    });
    let text = "has a `kid` that is no text of 1 to 128 visible ASCII characters";
    let rows: Vec<(Value, String)> = vec![
        (json!([]), "is no JWK Set: not a JSON object".into()),
        (json!({}), "is no JWK Set: it has no `keys` array".into()),
        (json!({ "keys": {} }), "is no JWK Set: it has no `keys` array".into()),
        (json!({ "keys": [] }), "holds no key, or more than 4 of them".into()),
        (jwks(&[1, 2, 3, 4, 5].map(private_p256)), "holds no key, or more than 4 of them".into()),
        (json!({ "keys": [1] }), fault(0, kinds)),
        (json!({ "keys": [{ "kty": "RSA" }] }), fault(0, kinds)),
        (json!({ "keys": [put(p256.clone(), "/crv", json!("P-384"))] }), fault(0, kinds)),
        (json!({ "keys": [ed25519] }), fault(0, kinds)),
        // What is public signs nothing.
        (json!({ "keys": [p256, jwk(7, "k")] }), fault(1, &member("d"))),
        (json!({ "keys": [without(p256.clone(), "/x")] }), fault(0, &member("x"))),
        (json!({ "keys": [without(p256.clone(), "/y")] }), fault(0, &member("y"))),
        (json!({ "keys": [put(p256.clone(), "/d", json!("AA"))] }), fault(0, &member("d"))),
        (
            json!({ "keys": [put(p256.clone(), "/d", json!("A".repeat(43)))] }),
            fault(0, "has a `d` that is no private key"),
        ),
        (
            json!({ "keys": [put(p256.clone(), "/d", private_p256(8)["d"].clone())] }),
            fault(0, "has another public key than that of its `d`"),
        ),
        (json!({ "keys": [put(p256.clone(), "/use", json!("enc"))] }), fault(0, purpose)),
        (json!({ "keys": [put(p256.clone(), "/alg", json!("EdDSA"))] }), fault(0, purpose)),
        (json!({ "keys": [put(p256.clone(), "/alg", json!("ES384"))] }), fault(0, purpose)),
        (json!({ "keys": [put(p256.clone(), "/key_ops", json!(["verify"]))] }), fault(0, purpose)),
        (json!({ "keys": [put(p256.clone(), "/kid", json!(""))] }), fault(0, text)),
        (json!({ "keys": [put(p256.clone(), "/kid", json!(1))] }), fault(0, text)),
        (json!({ "keys": [put(p256.clone(), "/kid", json!("a b"))] }), fault(0, text)),
        (json!({ "keys": [p256, p256] }), "holds `keys[0]` and `keys[1]`, which have one `kid`".into()),
    ];
    let set = |keys: &Value| {
        let keys = keys.to_string();
        let environment = move |name: &str| (name == "KEYS").then(|| keys.clone());
        findings_where(&with_credential(&identity_jwt()), &environment)
    };
    for (keys, expected) in rows {
        let place = "resources[0].upstream_credential.identity_jwt.keys_variable: the environment variable `KEYS`";
        let found = set(&keys);
        assert_eq!(found, [format!("{place} {expected}")], "{keys}");
        assert!(!found[0].contains(p256["d"].as_str().expect("a text")), "{found:?}");
    }
    for more in
        [json!({ "use": "sig" }), json!({ "alg": "ES256" }), json!({ "key_ops": ["sign"] }), json!({ "kid": "a" })]
    {
        let mut key = p256.clone();
        key.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        assert_eq!(set(&json!({ "keys": [key] })), Vec::<String>::new(), "{more}");
    }
    assert!(set(&json!({ "keys": [private_p256(1), private_p256(2), private_p256(3), private_p256(4)] })).is_empty());
}

/// Nobody else could exchange what only this gate knows.
#[test]
fn static_tokens_are_not_exchanged() {
    let listing = |credential| put(with_credential(&credential), "/resources/0/static_tokens", json!([]));
    let found = findings_where(&listing(token_exchange()), &environment);
    let reason = "cannot be beside `static_tokens`, which no authorization server could exchange";
    assert_eq!(found, [format!("resources[0].upstream_credential.token_exchange: {reason}")]);
    for credential in [header(), client_credentials(), identity_jwt(), json!("insecure_forward_client_token")] {
        assert!(findings_where(&listing(credential), &environment).is_empty());
    }
}

/// Where the usual identity headers are renamed or off, a server may still trust them.
#[test]
fn a_credential_is_no_identity() {
    let config = put(with_credential(&but(&header(), "name", json!("x-who"))), "/identity_headers", json!({}));
    assert!(findings_where(&config, &environment).is_empty());
    for (name, credential) in
        [("x-who", but(&header(), "name", json!("x-who"))), ("x-who", but(&identity_jwt(), "header", json!("x-who")))]
    {
        let config = put(with_credential(&credential), "/identity_headers", json!({ "subject": name }));
        let found = findings_where(&config, &environment);
        assert_eq!(
            found,
            [format!("resources[0].upstream_credential: `{name}` is a header that tells who is calling")]
        );
    }
    let off = put(
        with_credential(&but(&header(), "name", json!("x-mcp-subject"))),
        "/identity_headers",
        json!({ "subject": null }),
    );
    assert_eq!(findings_where(&off, &environment).len(), 1);
}

/// The place is right where an earlier resource could not be read.
#[test]
fn findings_have_their_place() {
    let mut config = with_credential(&but(&header(), "name", json!("x-mcp-subject")));
    let good = config["resources"][0].clone();
    config["resources"] = json!([{ "resource": "no" }, good]);
    let found = findings_where(&config, &environment);
    let expected = "resources[1].upstream_credential: `x-mcp-subject` is a header that tells who is calling";
    assert!(found.contains(&expected.to_owned()), "{found:?}");
    assert!(!found.concat().contains(API_KEY));
}
