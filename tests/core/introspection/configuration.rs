//! Promise: an introspection that could not work does not load, and no finding shows a secret.

use mcp_oauth::config;
use serde_json::{Value, json};

use super::{SECRET, asking, environment, introspection};
use crate::support::{put, without};

fn findings(config: &Value) -> Vec<String> {
    let found = config::parse_in(config.to_string().as_bytes(), &environment).err().unwrap_or_default();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn each_mistake_has_its_finding() {
    let at = "/authorization_servers/0/introspection";
    let place = "authorization_servers[0].introspection";
    let change = |member: &str, value: Value| put(asking(), &format!("{at}/{member}"), value);
    let lack = |member: &str| without(asking(), &format!("{at}/{member}"));
    let google = |more: &str, value: Value| {
        let form = json!({ "endpoint": "https://oauth2.googleapis.com/tokeninfo", "cluster": "g", "form": "google_tokeninfo" });
        put(put(asking(), at, form), &format!("{at}/{more}"), value)
    };
    let rows: Vec<(Value, String)> = vec![
        (lack("endpoint"), format!("{place}.endpoint: is missing")),
        (lack("cluster"), format!("{place}.cluster: is missing")),
        (lack("client_id"), format!("{place}.client_id: is missing")),
        (lack("client_secret_variable"), format!("{place}.client_secret_variable: is missing")),
        (
            change("endpoint", json!("http://idp.example.com/introspect")),
            format!(
                "{place}.endpoint: `http://idp.example.com/introspect` is http, which is allowed on loopback hosts only"
            ),
        ),
        (
            change("client_secret_variable", json!("ABSENT")),
            format!("{place}.client_secret_variable: the environment variable `ABSENT` is not set"),
        ),
        (
            change("client_secret_variable", json!("EMPTY")),
            format!("{place}.client_secret_variable: the environment variable `EMPTY` is empty"),
        ),
        (
            change("client_secret_variable", json!("NOT_ASCII")),
            format!(
                "{place}.client_secret_variable: the environment variable `NOT_ASCII` holds other characters than visible \
                 ASCII and spaces, perhaps the end of a line"
            ),
        ),
        (
            change("client_secret_variable", json!("LINE")),
            format!(
                "{place}.client_secret_variable: the environment variable `LINE` holds other characters than visible ASCII \
                 and spaces, perhaps the end of a line"
            ),
        ),
        (
            change("client_authentication", json!("private_key_jwt")),
            format!(
                "{place}.client_authentication: `(not shown)` is not one of `client_secret_basic`, `client_secret_post`"
            ),
        ),
        (
            change("form", json!("github")),
            format!("{place}.form: `(not shown)` is not one of `rfc7662`, `google_tokeninfo`"),
        ),
        (change("timeout", json!("0s")), format!("{place}.timeout: `0s` is not within 100ms and 1m")),
        (change("max_age", json!("0s")), format!("{place}.max_age: `0s` is not within 1s and 1h")),
        (
            google("client_id", json!("c")),
            format!("{place}.client_id: has no meaning here: `google_tokeninfo` authenticates nobody"),
        ),
        (
            put(without(asking(), at), "/authorization_servers/0/introspect", json!("always")),
            format!("{place}: is missing: `introspect` needs to know whom to ask"),
        ),
        (
            put(asking(), "/authorization_servers/0/introspect", json!("never")),
            "authorization_servers[0].introspect: `never` is not one of `opaque_only`, `always`".to_owned(),
        ),
        (
            put(
                without(asking(), "/authorization_servers/0/jwks"),
                "/authorization_servers/0/keys_max_age",
                json!("1m"),
            ),
            "authorization_servers[0].keys_max_age: has no meaning here: all tokens are introspected".to_owned(),
        ),
    ];
    assert_eq!(findings(&asking()), Vec::<String>::new());
    assert_eq!(findings(&google("timeout", json!("1s"))), Vec::<String>::new());
    for (config, finding) in rows {
        let found = findings(&config);
        assert_eq!(found, [finding]);
        assert!(!found.concat().contains(SECRET) && !found.concat().contains("secret\n"));
    }
}

#[test]
fn nobody_is_shown_the_opaque_tokens_of_another() {
    let second = json!({
        "issuer": "https://other.example.com", "introspection": put(introspection(), "/cluster", json!("other")),
    });
    let config = put(asking(), "/authorization_servers", json!([asking()["authorization_servers"][0], second]));
    assert_eq!(
        findings(&config),
        [
            "resources[0]: has two authorization servers with `introspection`: whose an opaque token is, nobody could tell"
        ]
    );
    let one = put(config, "/resources/0/authorization_servers", json!(["https://other.example.com"]));
    assert_eq!(findings(&one), Vec::<String>::new());
}
