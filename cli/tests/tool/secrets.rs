//! Secrets in the wrong place of a configuration, and in URLs: they are in no output.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{
    loopback::{json as document, nothing, serve},
    support::{NOW, assert_hidden, claims, configuration, file, good_token, header, remote, run, run_with, sign, with},
};

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

/// Hidden is the secret, and not the words around it: machines read the same document, whatever the token is.
#[test]
fn only_values_are_hidden() {
    let path = file("a.json", configuration().to_string());
    let now = NOW.to_string();
    let of = |token: &str, more: &[&str]| {
        let arguments = ["explain", "--json", "--config", &path, "--now", &now, "--token", token];
        run(&[&arguments, more].concat()).json()
    };
    let usual = of("another-token", &[]);
    for word in ["verdict", "status", "passed", "failed", "reached", "refuse", "clause", "Credentials", "malformed"] {
        let told = of(word, &[]);
        let names =
            |document: &Value| -> Vec<String> { document.as_object().expect("an object").keys().cloned().collect() };
        assert_eq!((names(&told), &told["verdict"]), (names(&usual), &json!("refuse")), "{word}: {told}");
        assert_eq!(told["reason"], usual["reason"], "{word}: {told}");
        let steps = |document: &Value| -> Vec<Value> {
            let steps = document["steps"].as_array().expect("a list").iter();
            steps.map(|step| json!([step["check"], step["clause"], step["status"]])).collect()
        };
        assert_eq!(steps(&told), steps(&usual), "{word}");
    }
    let token = good_token();
    let challenge = |document: &Value| {
        let headers = document["reply"]["headers"].as_array().expect("a list").clone();
        headers.iter().find(|header| header[0] == "www-authenticate").expect("a challenge")[1].to_string()
    };
    let bearer = format!("Bearer {token}");
    let header = format!("authorization: Bearer {token}");
    let scheme = run(&["explain", "--json", "--config", &path, "--now", "1", "--token", &bearer]);
    assert!(challenge(&scheme.json()).starts_with("\"Bearer "), "{scheme:?}");
    let doubled = run(&["explain", "--config", &path, "--now", "1", "--token", &token, "--header", &header]);
    assert!(doubled.code == 1 && doubled.out.contains("`Authorization: Bearer`"), "{doubled:?}");
    // A cookie has a name and a secret.
    let cookie = "cookie: verdict=S3cr3tV4lueXYZ; other=S3cr3tV4lueXYZ";
    let told = run(&["explain", "--config", &path, "--header", cookie, "--path", "/verdict/S3cr3tV4lueXYZ"]);
    assert!(!told.out.contains(SECRET), "{told:?}");
    for told in [scheme, doubled] {
        assert_hidden(&told, &token);
    }
}

/// However the header of a JWT is laid out, what begins with it is no text to repeat.
#[test]
fn any_layout_of_a_token_is_known() {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    for header in [
        "{\"alg\":\"ES256\"}",
        "{ \"alg\": \"ES256\" }",
        "{  \"alg\": \"ES256\" }",
        "{\n  \"alg\": \"ES256\"\n}",
        "{\n\"alg\":\"ES256\"}",
        "{\r\n  \"alg\": \"ES256\"}",
        "{\n\t\"alg\": \"ES256\"}",
        "{\t\"alg\": \"ES256\"}",
    ] {
        let token = format!("{}.{}.c2lnbmF0dXJl", part(header), part(&claims().to_string()));
        for arguments in [
            &["check", &token][..],
            &["explain", "--config", &token],
            &[
                "explain",
                "--config",
                &file("a.json", configuration().to_string()),
                "--path",
                &format!("/mcp?t={token}"),
            ],
            &["init", "--for", "json", "--resource", &token, "--issuer", &token],
        ] {
            assert_hidden(&run_with(arguments, ""), &token);
        }
    }
    // What only looks a little like it is repeated.
    for name in ["framework-of-mine.yaml", "eyebrow-of-mine.yaml", "renewo-and-more.yaml", "eyJ.yml"] {
        let told = run(&["check", name]);
        assert!(told.code == 2 && told.err.contains(name), "{told:?}");
    }
}

/// Whatever signs it has in it: many tokens have dots, base64 has slashes and may begin with one.
#[test]
fn an_opaque_secret_in_a_wrong_argument_is_not_repeated() {
    let good = file("a.json", configuration().to_string());
    let init = ["init", "--for", "json", "--resource", "https://mcp.example.com/mcp", "--issuer", "https://a.example"];
    for secret in [
        "S3cr3tV4lueXYZ-and-more",
        "Zm9vYmFyMTIzNDU2Nzg5MFNFQ1JFVA",
        "ya29.A0ARrdaMq3kTzVx8",
        "/Zm9vYmFyMTIz/NDU2Nzg5MFNF/Q1JFVA==",
        "~x9.Zm9vYmFyMTIz NDU2",
        "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "ab12-cd34-ef56-gh78",
        "qwpzmxnvbtyrueiwoqpalsk",
        "4829173650482917",
        "aZbYcXdWeVfUg",
        "QWPZMXNVBTYRUE",
    ] {
        let (option, inside) = (format!("--{secret}"), format!("{secret}/x"));
        let rows: [&[&str]; 12] = [
            &["check", secret],
            &["check", "--json", secret],
            &["check", &good, secret],
            &["explain", "--config", secret],
            &["explain", "--config", &good, "--keys", secret],
            &["explain", "--config", &good, "--body", secret],
            &["explain", "--config", &good, "--fetch", "--ca", secret],
            &["explain", "--config", &good, &option],
            &["explain", "--config", &good, secret],
            &[&option],
            &["discover", secret],
            &[&init[..], &["--output", &inside]].concat(),
        ];
        for arguments in rows {
            let told = run(arguments);
            assert!(told.code == 2 && !(told.out + &told.err).contains(secret), "{arguments:?}: {}", told.err);
        }
    }
    // Names that are none are repeated: they are what has to be put right.
    for name in [
        "no/such/Manifest2.yaml",
        "/no/such/Manifest2026",
        "manifests-of-mine",
        "/no/such/tmp.Xa83kdKslQ/config.json",
        "deploy/istio-traffic-extension.yaml",
        "WasmPlugin.EnvoyGateway_20261127-v1alpha1.yaml",
    ] {
        for arguments in [&["check", name][..], &["explain", "--config", name]] {
            let told = run(arguments);
            assert!(told.code == 2 && told.err.contains(&format!("{name}: ")), "{told:?}");
        }
        assert_eq!(run(&["check", "--json", name]).json()["unread"][0]["file"], name);
    }
    let told = run(&["explain", "--confg", "x"]);
    assert!(told.code == 2 && told.err.contains("an option that there is not: --confg"), "{told:?}");
}

#[test]
fn arguments_are_not_obeyed_by_the_terminal() {
    let odd = "/no/\u{1b}[31m\u{9b}x\nforged: line";
    for arguments in [
        &["check", odd][..],
        &["explain", "--config", odd],
        &["explain", "--config", &file("a.json", configuration().to_string()), "--body", odd],
        &["init", "--resource", "https://mcp.example.com/mcp", "--issuer", "https://idp.example.com", "--output", odd],
        &["check", &format!("--{odd}")],
        &["check", "--env", odd],
    ] {
        let told = run(arguments);
        assert!(told.code == 2 && told.err.lines().count() == 2, "{told:?}");
        assert!(!told.err.contains(['\u{1b}', '\u{9b}']) && !told.err.contains("\nforged"), "{told:?}");
    }
}

/// A URL is shown without user information and query, whoever wrote it: the token too.
#[test]
fn urls_of_a_token_are_shown_without_query() {
    let path = file("a.json", configuration().to_string());
    let long = format!("https://u:{}{SECRET}@a.example/", "x".repeat(60));
    let longer = format!("https://u:{SECRET}{}@a.example/", "x".repeat(90));
    let rows = [
        ("iss", json!(format!("https://a.example/t?x={SECRET}")), "`https://a.example/t?...`"),
        ("iss", json!(format!("https://u:{SECRET}@a.example/t")), "`https:...@a.example/t`"),
        ("iss", json!(long), "`https:...@a.example/`"),
        ("iss", json!(longer), "`https:...@a.example/`"),
        ("iss", json!(format!("urn:a:b?{SECRET}")), "`urn:a:b?...`"),
        ("iss", json!("https://a.example/t"), "`https://a.example/t`"),
        ("aud", json!(format!("https://a.example/t?x={SECRET}")), "`https://a.example/t?...`"),
        ("aud", json!(["x", format!("https://a.example/?{SECRET}"), "y"]), "`x https://a.example/?... y`"),
        ("aud", json!(["x", long]), "`x https:...@a.example/`"),
        ("aud", json!(["x", "https://a.example/t"]), "`x https://a.example/t`"),
    ];
    for (claim, value, expected) in rows {
        let token = sign(&header(), &with(claims(), claim, value));
        let now = NOW.to_string();
        let arguments = ["explain", "--config", &path, "--now", &now, "--token", "-"];
        for more in [&[][..], &["--json"]] {
            let told = run_with(&[&arguments, more].concat(), &token);
            assert!(told.code == 1 && told.out.contains(expected), "{expected}: {told:?}");
            assert!(!told.out.contains(SECRET), "{told:?}");
        }
    }
}

/// The same of what servers say.
#[test]
fn urls_of_a_server_are_shown_without_query() {
    // Longer, it would be cut off.
    let query = format!("?{SECRET}");
    let with_user = format!("https://u:{SECRET}@a.example/");
    for (issuer, keys) in [
        (Some(format!("https://a.example/x{query}")), "https://a.example/k".to_owned()),
        (Some(with_user.clone()), "https://a.example/k".to_owned()),
        (None, format!("http://a.example/k{query}")),
        (None, with_user.clone()),
    ] {
        let server = serve(move |base, _, _, _| {
            document(&json!({ "issuer": issuer.clone().unwrap_or(base.to_owned()), "jwks_uri": keys }))
        });
        let path = file("a.json", remote(&server.base).to_string());
        let token = sign(&header(), &with(claims(), "iss", json!(server.base)));
        let now = NOW.to_string();
        let arguments = ["explain", "--config", &path, "--now", &now, "--token", "-", "--fetch", "--json"];
        let told = run_with(&arguments, &token);
        assert!(told.code == 1 && told.out.contains("a.example") && !told.out.contains(SECRET), "{told:?}");
    }
    let endpoint = |base: &str| format!("{base}/token{query}");
    let server = serve(|_, _, _, _| (500, String::new(), String::new()));
    let mut exchange = configuration();
    exchange["resources"][0]["upstream_credential"] = json!({ "token_exchange": {
        "endpoint": endpoint(&server.base), "cluster": "idp", "client_id": "me", "audience": "a",
        "client_secret_variable": "MCP_CLIENT_SECRET",
    }});
    let path = file("a.json", exchange.to_string());
    let now = NOW.to_string();
    let arguments = ["explain", "--config", &path, "--now", &now, "--token", "-", "--fetch", "--exchange", "--json"];
    let told = run_with(&[&arguments[..], &["--env", "MCP_CLIENT_SECRET=hunter2"]].concat(), &good_token());
    assert_eq!((told.code, &told.json()["reason"]), (1, &json!("mcp_oauth_upstream_credential_unavailable")));
    assert!(told.out.contains("/token?...") && !told.out.contains(SECRET), "{told:?}");

    let well_known = "/.well-known/oauth-protected-resource";
    let (first, second) = (query.clone(), with_user.clone());
    let answers = move |base: &str, _: &str, path: &str, _: &str| match path.split('?').next().unwrap_or_default() {
        "/mcp" => {
            let metadata = format!("{base}{well_known}/mcp{first}");
            (401, format!("www-authenticate: Bearer resource_metadata=\"{metadata}\"\r\n"), String::new())
        }
        path if path.starts_with(well_known) => document(&json!({
            "resource": format!("{base}/x{first}"), "authorization_servers": [base, format!("{base}/y{first}"), second],
        })),
        "/.well-known/oauth-authorization-server" => document(&json!({
            "issuer": format!("{base}/z{first}"), "authorization_endpoint": format!("http://a.example/{first}"),
            "token_endpoint": second.replace("https", "http"), "registration_endpoint": format!("http://a.example/{first}"),
            "jwks_uri": format!("http://a.example/{first}"),
        })),
        _ => nothing(),
    };
    let server = serve(answers);
    let moved = serve(move |base, _, _, _| (302, format!("location: {base}/to{query}\r\n"), String::new()));
    let elsewhere = serve(move |_, _, _, _| (302, format!("location: {with_user}to\r\n"), String::new()));
    for (base, expected) in
        [(&server.base, "a.example/?..."), (&moved.base, "/to, which"), (&elsewhere.base, "@a.example/to, which")]
    {
        for more in [&[][..], &["--json"]] {
            let told = run(&[&["discover", &format!("{base}/mcp")], more].concat());
            assert!(told.code == 1 && told.out.contains(expected), "{expected}: {told:?}");
            assert!(!(told.out + &told.err).contains(SECRET), "{more:?}");
        }
    }
}
