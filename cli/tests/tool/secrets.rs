//! Secrets in the wrong place of a configuration, and in URLs: they are in no output.

use serde_json::{Value, json};

use crate::support::{configuration, file, run};

const SECRET: &str = "S3cr3tV4lueXYZ";

fn changed(pointer: &str, member: &str, value: Value) -> Value {
    let mut changed = configuration();
    changed.pointer_mut(pointer).expect("it is there")[member] = value;
    changed
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    let (server, resource) = ("/authorization_servers/0", "/resources/0");
    let with_password = format!("https://u:{SECRET}@idp.example.com/x");
    let with_query = format!("https://idp.example.com/x?client_secret={SECRET}");
    let endpoint =
        |url: &str| json!({ "endpoint": url, "cluster": "c", "client_id": "a", "client_secret_variable": SECRET });
    let rows = [
        changed(resource, "static_tokens", json!([SECRET])),
        changed(resource, "static_tokens", json!(SECRET)),
        changed(resource, "static_tokens", json!([{ "name": format!("{SECRET} x"), "expires": SECRET }])),
        changed(resource, "static_tokens", json!([{ SECRET: "x" }])),
        changed(resource, "upstream_credential", json!(SECRET)),
        changed(resource, "upstream_credential", json!({ "header": SECRET })),
        changed(resource, "sessions", json!(SECRET)),
        changed(resource, "sessions", json!({ "key_variable": [SECRET] })),
        changed(resource, "dpop", json!(SECRET)),
        changed(resource, "dpop", json!({ "nonce": SECRET })),
        changed(server, "jwks", json!(SECRET)),
        changed(server, "introspection", json!(SECRET)),
        changed(server, "introspection", endpoint(&with_password)),
        changed(server, "issuer", json!(with_password)),
        changed(server, "issuer", json!(with_query)),
        changed(resource, "resource", json!(with_password)),
        changed(resource, "resource", json!(with_query)),
    ];
    for row in rows {
        let path = file("a.json", row.to_string());
        for arguments in [
            &["check", &path][..],
            &["check", "--json", &path],
            &["check", "--strict-env", &path],
            &["explain", "--config", &path],
        ] {
            let told = run(arguments);
            assert!(told.code > 0 && !(told.out + &told.err).contains(SECRET), "{arguments:?}: {row}");
        }
    }
    let told = run(&["check", &file("a.json", changed(server, "issuer", json!(with_query)).to_string())]);
    assert!(told.out.contains(r#"value: "https://idp.example.com/x?...""#), "{told:?}");
}
