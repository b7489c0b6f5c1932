//! `explain --fetch` and `--keys`: keys from files, from servers, and from servers that are not there.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use serde_json::{Value, json};

use crate::{
    loopback::{json as document, nobody, nothing, serve},
    support::{NOW, assert_hidden, claims, file, header, jwks, own, python, remote, run_with, sign, with},
};

fn token_of(issuer: &str) -> String {
    sign(&header(), &with(claims(), "iss", json!(issuer)))
}

fn explain(configuration: &Value, token: &str, more: &[&str]) -> crate::support::Run {
    let path = file("config.json", configuration.to_string());
    let now = NOW.to_string();
    let mut arguments = vec!["explain", "--json", "--config", &path, "--token", "-", "--now", &now];
    arguments.extend(more);
    let told = run_with(&arguments, token);
    assert_hidden(&told, token);
    told
}

#[test]
fn keys_come_over_the_network() {
    let server = serve(|base, _, path, _| match path {
        "/.well-known/openid-configuration" => document(&json!({ "issuer": base, "jwks_uri": format!("{base}/jwks") })),
        "/jwks" => document(&jwks()),
        _ => nothing(),
    });
    let told = explain(&remote(&server.base), &token_of(&server.base), &["--fetch"]);
    assert_eq!((told.code, told.json()["verdict"].as_str()), (0, Some("forward")), "{told:?}");
    let seen = server.seen.lock().expect("a lock");
    let lines: Vec<&str> = seen.iter().map(|(line, _)| line.as_str()).collect();
    let expected =
        ["GET /.well-known/oauth-authorization-server", "GET /.well-known/openid-configuration", "GET /jwks"];
    assert_eq!(lines, expected);
    assert!(seen.iter().all(|(_, all)| !all.contains("eyJ")), "the token goes nowhere");
}

#[test]
fn metadata_of_another_issuer_is_not_taken() {
    let server = serve(|base, _, path, _| match path {
        "/jwks" => document(&jwks()),
        _ => document(&json!({ "issuer": "https://other.example", "jwks_uri": format!("{base}/jwks") })),
    });
    let told = explain(&remote(&server.base), &token_of(&server.base), &["--fetch"]);
    assert_eq!((told.code, told.json()["reason"].as_str()), (1, Some("mcp_oauth_keys_unavailable")), "{told:?}");
    assert!(told.json()["cure"].as_str().is_some_and(|cure| cure.contains("what its metadata says")), "{told:?}");
}

/// Why there are no keys is said to whoever reads, and not only on a terminal.
#[test]
fn what_came_of_the_answers_is_told() {
    let (issuers, keys) = (["right", "other"], [jwks(), json!({ "keys": [] }), json!({ "keys": [{ "kty": "oct" }] })]);
    for (issuer, set) in issuers.iter().flat_map(|issuer| keys.iter().map(move |set| (*issuer, set.clone()))) {
        let is_good = issuer == "right" && set == jwks();
        let expected = match issuer {
            "other" => "the metadata is of issuer `https://other.example`",
            _ if is_good => "has `1` usable keys, `0` were left out",
            _ => "/jwks`: ",
        };
        let answer = set.clone();
        let server = serve(move |base, _, path, _| match path {
            "/jwks" => document(&answer),
            _ if issuer == "other" => {
                document(&json!({ "issuer": "https://other.example", "jwks_uri": format!("{base}/jwks") }))
            }
            _ => document(&json!({ "issuer": base, "jwks_uri": format!("{base}/jwks") })),
        });
        let token = token_of(&server.base);
        let told = explain(&remote(&server.base), &token, &["--fetch"]);
        let events = told.json()["events"].to_string();
        assert!(events.contains(expected) && (told.code == 0) == is_good, "{expected}: {told:?}");
        let path = file("config.json", remote(&server.base).to_string());
        let told =
            run_with(&["explain", "--config", &path, "--token", "-", "--now", &NOW.to_string(), "--fetch"], &token);
        assert!(told.out.contains(expected), "{expected}: {told:?}");
        assert_hidden(&told, &token);
    }
    let base = nobody();
    let none = file("jwks.json", r#"{ "keys": [] }"#);
    for (keys, expected) in
        [(none, "keys: --keys: "), (file("jwks.json", jwks().to_string()), "keys: --keys has `1` usable")]
    {
        let told = explain(&remote(&base), &token_of(&base), &["--keys", &keys]);
        let events = told.json()["events"].to_string();
        assert!(events.contains(expected) && !events.contains("keys-of-the-file"), "{told:?}");
    }
    // A query may be a secret.
    let server = serve(|base, _, _, _| document(&json!({ "issuer": base, "jwks_uri": format!("{base}/x") })));
    let mut configuration = remote(&server.base);
    configuration["authorization_servers"][0]["jwks_uri"] = json!(format!("{}/keys?key=S3cr3tV4lue", server.base));
    for more in [&["--fetch"][..], &[]] {
        let told = explain(&configuration, &token_of(&server.base), more);
        let place = format!("{}/keys", server.base);
        assert!(told.code > 0 && told.out.contains(&place) && !told.out.contains("S3cr3tV4lue"), "{told:?}");
    }
    // Nobody was asked.
    assert_eq!(explain(&remote(&base), &token_of(&base), &[]).json()["events"], json!([]));
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let base = nobody();
    let told = explain(&remote(&base), &token_of(&base), &["--fetch"]);
    let server = &told.json()["unreachable"][0];
    assert_eq!(told.code, 3, "{told:?}");
    assert_eq!(server["step"], "keys");
    assert_eq!(server["address"], format!("{base}/.well-known/oauth-authorization-server"));
    assert!(server["waited_ms"].is_u64() && server["why"] == "nothing listens there", "{server}");
}

/// What helps depends on who is not there; and of one answer one thing is said.
#[test]
fn each_server_that_is_not_there_has_a_cure_of_its_own() {
    let base = nobody();
    let slow = serve(|_, _, _, _| (0, String::new(), String::new()));
    let introspected = |base: &str| {
        let introspection = json!({
            "endpoint": format!("{base}/introspect"), "cluster": "idp", "client_id": "me", "timeout": "200ms",
            "client_secret_variable": "MCP_CLIENT_SECRET",
        });
        let servers = json!([{ "issuer": base, "introspection": introspection }]);
        with(remote(base), "authorization_servers", servers)
    };
    let more = ["--fetch", "--env", "MCP_CLIENT_SECRET=hunter2hunter2"];
    let rows = [
        (remote(&base), token_of(&base), "nothing listens there", "or give the keys with --keys FILE"),
        (introspected(&base), "opaque-token".to_owned(), "nothing listens there", "`introspection.endpoint`"),
        (introspected(&slow.base), "opaque-token".to_owned(), "no answer in time", "`introspection.endpoint`"),
    ];
    for (configuration, token, why, cure) in rows {
        let told = explain(&configuration, &token, &more);
        let document = told.json();
        let server = &document["unreachable"][0];
        assert!(told.code == 3 && server["why"] == why, "{told:?}");
        assert!(server["cure"].as_str().is_some_and(|text| text.contains(cure)), "{told:?}");
        let is_of_keys = server["step"] == "keys";
        assert_eq!(told.out.contains("--keys"), is_of_keys, "{told:?}");
        assert!(document["events"].to_string().contains(why), "{told:?}");
        assert!(is_of_keys || document["why"].as_str().is_some_and(|text| text.contains(why)), "{told:?}");
        assert!(!told.out.contains("without a response"), "{told:?}");
        let path = file("config.json", configuration.to_string());
        let now = NOW.to_string();
        let arguments = ["explain", "--config", &path, "--token", "-", "--now", &now];
        let told = run_with(&[&arguments, &more[..]].concat(), &token);
        assert!(told.out.contains(cure) && !told.out.contains("without a response"), "{told:?}");
    }
}

/// A long answer is not read to its end, so nobody knows how long it is.
#[test]
fn an_answer_that_is_too_large_is_told_as_one() {
    const MOST: usize = 256 * 1024;
    let introspected = |base: &str| {
        let introspection = json!({
            "endpoint": format!("{base}/introspect"), "cluster": "idp", "client_id": "me",
            "client_secret_variable": "MCP_CLIENT_SECRET",
        });
        let servers = json!([{ "issuer": base, "introspection": introspection }]);
        with(remote(base), "authorization_servers", servers)
    };
    for (size, is_too_large) in [(MOST, false), (MOST + 1, true), (MOST * 8, true)] {
        let server = serve(move |_, _, _, _| (200, "content-type: application/json\r\n".to_owned(), " ".repeat(size)));
        let rows = [(remote(&server.base), token_of(&server.base)), (introspected(&server.base), "opaque".to_owned())];
        for (configuration, token) in rows {
            let told = explain(&configuration, &token, &["--fetch", "--env", "MCP_CLIENT_SECRET=hunter2hunter2"]);
            let is_told = told.out.contains("answered more than `262144` bytes");
            assert_eq!((told.code, is_told), (1, is_too_large), "{size}: {told:?}");
            assert!(!told.out.contains("answered `262145`") && told.json()["unreachable"] == json!([]), "{told:?}");
        }
    }
}

/// An answer of no use is not one that did not come.
#[test]
fn each_answer_of_no_use_has_a_cure_of_its_own() {
    let rows = [
        (401, "application/json", "{}", "`client_id` and the secret"),
        (404, "application/json", "{}", "compare `introspection.endpoint`"),
        (200, "text/html", "hello", "compare `introspection.endpoint`"),
        (200, "application/json", "{}", "compare `introspection.endpoint`"),
        (200, "application/json", "{", "compare `introspection.endpoint`"),
    ];
    for (status, kind, body, expected) in rows {
        let server = serve(move |_, _, _, _| (status, format!("content-type: {kind}\r\n"), body.to_owned()));
        let introspection = json!({
            "endpoint": format!("{}/introspect", server.base), "cluster": "idp", "client_id": "me",
            "client_secret_variable": "MCP_CLIENT_SECRET",
        });
        let servers = json!([{ "issuer": server.base, "introspection": introspection }]);
        let configuration = with(remote(&server.base), "authorization_servers", servers);
        let told = explain(&configuration, "opaque-token", &["--fetch", "--env", "MCP_CLIENT_SECRET=hunter2hunter2"]);
        let document = told.json();
        assert_eq!((told.code, document["unreachable"].clone()), (1, json!([])), "{told:?}");
        assert!(document["cure"].as_str().is_some_and(|text| text.contains(expected)), "{told:?}");
    }
}

#[test]
fn keys_come_from_a_file() {
    let base = nobody();
    for configuration in [remote(&base), with_jwks_uri(&base)] {
        let keys = file("jwks.json", jwks().to_string());
        let told = explain(&configuration, &token_of(&base), &["--keys", &keys]);
        assert_eq!((told.code, told.json()["verdict"].as_str()), (0, Some("forward")), "{told:?}");
    }
    let none = file("jwks.json", r#"{ "keys": [] }"#);
    let told = explain(&remote(&base), &token_of(&base), &["--keys", &none]);
    assert_eq!((told.code, told.json()["reason"].as_str()), (1, Some("mcp_oauth_keys_unavailable")));
    assert!(told.json()["cure"].as_str().is_some_and(|cure| cure.starts_with("give with --keys")), "{told:?}");
}

fn with_jwks_uri(base: &str) -> Value {
    let server = json!([{ "issuer": base, "cluster": "idp", "jwks_uri": format!("{base}/keys") }]);
    with(remote(base), "authorization_servers", server)
}

#[test]
fn without_keys_it_is_undecided() {
    let base = nobody();
    let told = explain(&remote(&base), &token_of(&base), &[]);
    let found = told.json();
    assert_eq!((told.code, found["verdict"].as_str()), (2, Some("undecided")));
    assert!(found["why"].as_str().expect("a cure").contains("--keys FILE"), "{found}");
    // What can be said without keys is said.
    let expired = sign(&header(), &with(with(claims(), "iss", json!(base)), "exp", json!(1)));
    let told = explain(&remote(&base), &expired, &[]);
    assert_eq!((told.code, told.json()["reason"].as_str()), (1, Some("mcp_oauth_token_expired")));
}

#[test]
fn opaque_tokens_are_introspected() {
    let server = serve(|base, method, path, all| match (method, path) {
        ("POST", "/introspect") if all.contains("token=opaque-and-secret") => document(&json!({
            "active": true, "iss": base, "aud": "https://mcp.example.com/mcp", "exp": NOW + 60, "scope": "mcp:read",
        })),
        ("POST", "/introspect") => document(&json!({ "active": false })),
        _ => nothing(),
    });
    let introspection = json!({
        "endpoint": format!("{}/introspect", server.base), "cluster": "idp", "client_id": "me",
        "client_secret_variable": "MCP_CLIENT_SECRET",
    });
    let servers = json!([{ "issuer": server.base, "introspection": introspection }]);
    let configuration = with(remote(&server.base), "authorization_servers", servers);
    let more = ["--fetch", "--env", "MCP_CLIENT_SECRET=hunter2hunter2"];
    let told = explain(&configuration, "opaque-and-secret", &more);
    assert_eq!((told.code, told.json()["verdict"].as_str()), (0, Some("forward")), "{told:?}");
    assert!(!told.out.contains("hunter2") && !told.out.contains("opaque-and-secret"));
    let told = explain(&configuration, "opaque-but-revoked", &more);
    assert_eq!((told.code, told.json()["reason"].as_str()), (1, Some("mcp_oauth_token_inactive")), "{told:?}");
    // Nobody is asked without --fetch.
    let asked = server.seen.lock().expect("a lock").len();
    let told = explain(&configuration, "opaque-and-secret", &[]);
    assert_eq!((told.code, server.seen.lock().expect("a lock").len()), (2, asked));
}

#[test]
fn an_authority_of_ones_own_is_trusted_when_it_is_named() {
    let folder = file("jwks.json", jwks().to_string());
    let folder = folder.trim_end_matches("/jwks.json");
    let made = python(&[&own("testbed/certificates.py"), folder, "stranger=stranger"]).status();
    assert!(made.expect("Python runs").success());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls.py");
    let mut server = python(&[script, folder]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut port = String::new();
    BufReader::new(server.stdout.take().expect("a pipe")).read_line(&mut port).expect("a port");
    let base = format!("https://127.0.0.1:{}", port.trim());

    let token = token_of(&base);
    let authority = format!("{folder}/authority.pem");
    let told = explain(&remote(&base), &token, &["--fetch", "--ca", &authority]);
    assert_eq!((told.code, told.json()["verdict"].as_str()), (0, Some("forward")), "{told:?}");
    let stranger = format!("{folder}/stranger.pem");
    for more in [&["--fetch"][..], &["--fetch", "--ca", &stranger]] {
        let told = explain(&remote(&base), &token, more);
        let why = told.json()["unreachable"][0]["why"].clone();
        assert_eq!((told.code, why.as_str()), (3, Some("its certificate is of an authority that is not trusted")));
        let path = file("config.json", remote(&base).to_string());
        let now = NOW.to_string();
        let told = run_with(&[&["explain", "--config", &path, "--token", "-", "--now", &now], more].concat(), &token);
        assert!(told.out.contains("cure: if its certificate is of your own CA, name that with --ca FILE"), "{told:?}");
    }
    // The certificate is for 127.0.0.1 only.
    let named = base.replace("127.0.0.1", "localhost");
    let told = explain(&remote(&named), &token_of(&named), &["--fetch", "--ca", &authority]);
    let why = told.json()["unreachable"][0]["why"].clone();
    assert_eq!((told.code, why.as_str()), (3, Some("its certificate is not valid for name \"localhost\"")), "{told:?}");
    for wrong in ["/no/such/file", &format!("{folder}/server.key")] {
        let path = file("config.json", remote(&base).to_string());
        let told = run_with(&["explain", "--config", &path, "--fetch", "--ca", wrong], "");
        assert!(told.code == 2 && told.err.contains("name a file with PEM certificates"), "{told:?}");
    }
    drop(server.stdin.take());
    server.wait().expect("it ends");
}

#[test]
fn a_credential_is_issued_only_when_that_is_asked_for() {
    let server = serve(|base, method, path, all| match (method, path) {
        ("GET", "/jwks") => document(&jwks()),
        ("POST", "/token") if all.contains("audience=tickets") => document(&json!({
            "access_token": "exchanged-and-secret", "token_type": "Bearer", "expires_in": 60,
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        })),
        ("POST", "/token") => {
            (400, "content-type: application/json\r\n".to_owned(), json!({ "error": "invalid_target" }).to_string())
        }
        _ => document(&json!({ "issuer": base, "jwks_uri": format!("{base}/jwks") })),
    });
    let of = |audience: &str| {
        let exchange = json!({ "token_exchange": {
            "endpoint": format!("{}/token", server.base), "cluster": "idp", "client_id": "me",
            "client_secret_variable": "MCP_CLIENT_SECRET", "audience": audience,
        }});
        let mut configuration = remote(&server.base);
        configuration["resources"][0]["upstream_credential"] = exchange;
        configuration
    };
    let token = token_of(&server.base);
    let asked = || server.seen.lock().expect("a lock").iter().filter(|(line, _)| line == "POST /token").count();
    let secret = ["--env", "MCP_CLIENT_SECRET=hunter2hunter2"];

    let told = explain(&of("tickets"), &token, &[&["--fetch"], &secret[..]].concat());
    assert_eq!((told.code, told.json()["verdict"].as_str(), asked()), (2, Some("undecided"), 0), "{told:?}");
    assert!(told.json()["why"].as_str().expect("a cure").contains("with --exchange it does"));
    // What is made up for a secret goes nowhere.
    let told = explain(&of("tickets"), &token, &["--fetch", "--exchange"]);
    assert_eq!((told.code, told.json()["verdict"].as_str(), asked()), (2, Some("undecided"), 0), "{told:?}");
    assert!(told.json()["why"].as_str().expect("a cure").contains("give MCP_CLIENT_SECRET with --env"));

    let more = [&["--fetch", "--exchange"], &secret[..]].concat();
    let told = explain(&of("tickets"), &token, &more);
    assert_eq!((told.code, told.json()["verdict"].as_str(), asked()), (0, Some("forward"), 1), "{told:?}");
    assert!(!told.out.contains("exchanged-and-secret") && !told.out.contains("hunter2"), "{told:?}");
    let told = explain(&of("other"), &token, &more);
    let reason = told.json()["reason"].clone();
    assert_eq!((told.code, reason.as_str()), (1, Some("mcp_oauth_upstream_credential_refused")), "{told:?}");
}
