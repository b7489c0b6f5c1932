//! `discover`: servers on this machine, right and wrong in one thing each.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
};

use serde_json::{Value, json};

use crate::{
    loopback::{Server, json as document, nobody, nothing, serve},
    support::{Run, jwks, run},
};

/// What a good deployment answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Open,
    Redirected,
    NoChallenge,
    NoPlace,
    ErrorCode,
    OtherResource,
    NoServers,
    NoMetadata,
    MetadataRedirected,
    MetadataType,
    OtherIssuer,
    NoPkce,
    NoRegistration,
    ByDocument,
    PlainRegistration,
    NoKeys,
    NoCors,
    HiddenChallenge,
    Scopes,
}

fn deploy(fault: Fault) -> Server {
    serve(move |base, method, path, all| answer(fault, base, method, path, all))
}

fn answer(fault: Fault, base: &str, method: &str, path: &str, all: &str) -> (u16, String, String) {
    let cors = "access-control-allow-origin: *\r\naccess-control-expose-headers: WWW-Authenticate\r\naccess-control-allow-headers: Authorization, Content-Type, MCP-Protocol-Version\r\n";
    let place = format!("{base}/.well-known/oauth-protected-resource/mcp");
    match (method, path) {
        ("POST", "/mcp") if fault == Fault::Open => (200, String::new(), "{}".to_owned()),
        ("POST", "/mcp") if fault == Fault::Redirected => {
            (307, format!("location: {base}/elsewhere\r\n"), String::new())
        }
        ("POST", "/mcp") => {
            assert!(!all.to_ascii_lowercase().contains("\nauthorization:"), "there is no token to send");
            let challenge = match fault {
                Fault::NoChallenge => String::new(),
                Fault::NoPlace => "www-authenticate: Bearer scope=\"a\"\r\n".to_owned(),
                Fault::ErrorCode => {
                    format!("www-authenticate: Bearer error=\"invalid_token\", resource_metadata=\"{place}\"\r\n")
                }
                _ => format!("www-authenticate: Bearer resource_metadata=\"{place}\", scope=\"mcp:read\"\r\n"),
            };
            let cors =
                if fault == Fault::HiddenChallenge { cors.replace("WWW-Authenticate", "X") } else { cors.to_owned() };
            (401, format!("{challenge}{cors}"), String::new())
        }
        ("OPTIONS", "/mcp") if fault == Fault::NoCors => (401, String::new(), String::new()),
        ("OPTIONS", "/mcp") => (204, cors.to_owned(), String::new()),
        ("GET", "/.well-known/oauth-protected-resource/mcp") => match fault {
            Fault::NoMetadata => nothing(),
            Fault::MetadataRedirected => (302, "location: /x\r\n".to_owned(), String::new()),
            _ => {
                let resource =
                    if fault == Fault::OtherResource { format!("{base}/other") } else { format!("{base}/mcp") };
                let servers = if fault == Fault::NoServers { json!([]) } else { json!([base]) };
                let (status, headers, body) = document(
                    &json!({ "resource": resource, "authorization_servers": servers, "scopes_supported": ["mcp:read"] }),
                );
                let headers = if fault == Fault::MetadataType {
                    headers.replace("application/json", "text/html")
                } else {
                    headers
                };
                (status, headers, body)
            }
        },
        ("GET", "/.well-known/oauth-authorization-server") => document(&server(fault, base)),
        ("GET", "/jwks") if fault == Fault::NoKeys => document(&json!({ "keys": [] })),
        ("GET", "/jwks") => {
            // The type that RFC 7517 has for it.
            let (status, headers, body) = document(&jwks());
            (status, headers.replace("application/json", "application/jwk-set+json"), body)
        }
        _ => nothing(),
    }
}

fn server(fault: Fault, base: &str) -> Value {
    let issuer = if fault == Fault::OtherIssuer { format!("{base}/") } else { base.to_owned() };
    let mut metadata = json!({
        "issuer": issuer, "authorization_endpoint": format!("{base}/authorize"), "token_endpoint": format!("{base}/token"),
        "jwks_uri": format!("{base}/jwks"), "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["plain", "S256"], "registration_endpoint": format!("{base}/register"),
        "scopes_supported": ["mcp:read"],
    });
    match fault {
        Fault::NoPkce => metadata["code_challenge_methods_supported"] = json!(["plain"]),
        Fault::NoRegistration | Fault::ByDocument => {
            metadata.as_object_mut().expect("an object").remove("registration_endpoint");
            metadata["client_id_metadata_document_supported"] = json!(fault == Fault::ByDocument);
        }
        Fault::PlainRegistration => metadata["registration_endpoint"] = json!("http://idp.example.com/register"),
        Fault::Scopes => metadata["scopes_supported"] = json!(["openid"]),
        _ => {}
    }
    metadata
}

fn discover(base: &str) -> Run {
    run(&["discover", "--json", "--timeout", "5s", &format!("{base}/mcp")])
}

fn bad(found: &Run) -> Vec<(String, String)> {
    let document = found.json();
    let items = document["items"].as_array().expect("items").iter();
    let text = |item: &Value, name: &str| item[name].as_str().expect("text").to_owned();
    let items = items.filter(|item| matches!(item["rating"].as_str(), Some("error" | "warning")));
    items
        .map(|item| {
            // An instruction, and not a clause alone.
            assert!(text(item, "cure").starts_with(|c: char| c.is_ascii_lowercase()), "{item}");
            (text(item, "rating"), text(item, "what"))
        })
        .collect()
}

#[test]
fn a_good_deployment_has_nothing_to_complain_about() {
    for fault in [Fault::None, Fault::ByDocument] {
        let server = deploy(fault);
        let found = discover(&server.base);
        assert_eq!((found.code, bad(&found)), (0, vec![]), "{found:?}");
        let seen: Vec<String> = server.seen.lock().expect("a lock").iter().map(|(line, _)| line.clone()).collect();
        let expected = [
            "POST /mcp",
            "GET /.well-known/oauth-protected-resource/mcp",
            "GET /.well-known/oauth-protected-resource",
            "GET /.well-known/oauth-authorization-server",
            "GET /jwks",
            "OPTIONS /mcp",
            "POST /mcp",
        ];
        assert_eq!(seen, expected, "the order of clients, and nothing else");
    }
}

#[test]
fn each_fault_is_found() {
    let rows = [
        (Fault::Open, "error", "is let through (200)"),
        (Fault::Redirected, "error", "a redirect (307)"),
        (Fault::NoChallenge, "warning", "there is no WWW-Authenticate"),
        (Fault::NoPlace, "warning", "does not say where the metadata is"),
        (Fault::ErrorCode, "warning", "has the error `invalid_token`"),
        (Fault::OtherResource, "error", "`resource` is"),
        (Fault::NoServers, "error", "names no authorization server"),
        (Fault::NoMetadata, "error", "it is nowhere"),
        (Fault::MetadataRedirected, "error", "is a redirect (302) to /x"),
        (Fault::MetadataType, "error", "media type `text/html`"),
        (Fault::OtherIssuer, "error", "its `issuer` is"),
        (Fault::NoPkce, "error", "no PKCE with S256"),
        (Fault::NoRegistration, "warning", "no client can register itself"),
        (Fault::PlainRegistration, "error", "`registration_endpoint` is"),
        (Fault::NoKeys, "error", "there are none"),
        (Fault::NoCors, "warning", "the preflight is answered 401"),
        (Fault::HiddenChallenge, "warning", "pages cannot read the challenge"),
        (Fault::Scopes, "warning", "does not list the scopes `mcp:read`"),
    ];
    for (fault, rating, what) in rows {
        let server = deploy(fault);
        let found = discover(&server.base);
        let bad = bad(&found);
        assert_eq!(found.code, 1, "{what}: {found:?}");
        assert!(bad.iter().any(|(found, text)| found == rating && text.contains(what)), "{what}: {bad:?}");
        let seen = server.seen.lock().expect("a lock");
        assert!(
            !seen.iter().any(|(line, _)| line.contains("/elsewhere") || line.ends_with("/x")),
            "no redirect is followed"
        );
    }
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let base = nobody();
    let found = discover(&base);
    let server = &found.json()["unreachable"][0];
    assert_eq!(
        (found.code, server["step"].as_str(), server["address"].as_str()),
        (3, Some("challenge"), Some(&*format!("{base}/mcp")))
    );
    let text = run(&["discover", &format!("{base}/mcp?access_token=eyJhbGciOiJFUzI1NiJ9.e30.AAAA")]);
    assert!(text.code == 3 && text.out.contains("nothing listens there") && !text.out.contains("eyJ"), "{text:?}");
}

#[test]
fn nobody_waits_for_long() {
    let silent = serve(|_, _, _, _| (0, String::new(), String::new()));
    let found = run(&["discover", "--json", "--timeout", "300ms", &format!("{}/mcp", silent.base)]);
    let server = &found.json()["unreachable"][0];
    assert_eq!((found.code, server["why"].as_str()), (3, Some("no answer in time")), "{found:?}");
    assert!((250..3000).contains(&server["waited_ms"].as_u64().expect("a number")), "{server}");
}

/// Answers begin and do not end: the listener is kept, and so are its streams.
fn unfinished(head: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(head.as_bytes()));
            if head.contains("keep-alive") {
                kept.push(stream);
            }
        }
    });
    format!("http://{address}/mcp")
}

#[test]
fn an_answer_that_does_not_end_is_told_with_step_place_and_time() {
    let rows = [
        ("HTTP/1.1 401 x\r\nconnection: keep-alive\r\ncontent-length: 100\r\n\r\nabc", "the body did not end in time"),
        ("HTTP/1.1 401 x\r\nconnection: close\r\ncontent-length: 100\r\n\r\nabc", "the body was cut off: "),
        ("HTTP/1.1 401 x\r\nconnection: keep-alive\r\n", "no answer in time"),
    ];
    for (head, why) in rows {
        let url = unfinished(head);
        let found = run(&["discover", "--timeout", "300ms", &url]);
        let line = found.out.lines().find(|line| line.contains(why)).unwrap_or_else(|| panic!("{why}: {found:?}"));
        assert!(found.code == 3 && line.contains(&format!(" challenge: {url}: {why}")), "{found:?}");
        assert!(line.contains(" s") && line.contains(", after 0.") && !line.contains("challenge: challenge"), "{line}");
    }
}

#[test]
fn a_place_that_is_no_url_has_no_origin() {
    for (place, expected) in [
        ("/metadata", "`/metadata` is no URL that can be asked"),
        ("https://127.0.0.2:1/x", "that is another origin than"),
    ] {
        let server = serve(move |base, method, path, all| match (method, path) {
            ("POST", "/mcp") => {
                (401, format!("www-authenticate: Bearer resource_metadata=\"{place}\"\r\n"), String::new())
            }
            _ => answer(Fault::None, base, method, path, all),
        });
        let found = discover(&server.base);
        assert!(found.out.contains(expected), "{found:?}");
        assert_eq!(found.out.contains("another origin"), expected.contains("another origin"), "{found:?}");
        assert!(!found.out.contains("neither https nor on this machine"), "{found:?}");
    }
}

#[test]
fn an_authorization_server_that_is_not_there_is_named_once() {
    let gone = nobody();
    let issuer = gone.clone();
    let server = serve(move |base, method, path, all| match (method, path) {
        ("GET", "/.well-known/oauth-protected-resource/mcp") => {
            document(&json!({ "resource": format!("{base}/mcp"), "authorization_servers": [issuer] }))
        }
        _ => answer(Fault::None, base, method, path, all),
    });
    let found = discover(&server.base);
    let unreachable = found.json()["unreachable"].as_array().expect("a list").len();
    assert_eq!((found.code, unreachable), (3, 1), "{found:?}");
    assert!(found.out.contains(&format!("{gone}/.well-known/oauth-authorization-server")), "{found:?}");
}

#[test]
fn endless_and_odd_answers_are_bounded() {
    let big = serve(|base, method, path, all| match path {
        "/.well-known/oauth-protected-resource/mcp" => {
            (200, "content-type: application/json\r\n".to_owned(), format!("[{}", " ".repeat(1_000_000)))
        }
        "/.well-known/oauth-protected-resource" => {
            (200, "content-type: application/json\r\n".to_owned(), "[[[[".repeat(1000))
        }
        _ => answer(Fault::None, base, method, path, all),
    });
    let found = discover(&big.base);
    assert!(
        found.code == 1 && found.out.contains("longer than 256 KiB") && found.out.contains("is no JSON object"),
        "{found:?}"
    );
}

#[test]
fn what_a_server_says_is_not_obeyed_by_the_terminal() {
    let title = "\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}";
    for at in ["jwks", "place"] {
        let server = serve(move |base, method, path, all| match (method, path) {
            ("GET", "/.well-known/oauth-authorization-server") if at == "jwks" => {
                let mut metadata = server(Fault::None, base);
                metadata["jwks_uri"] = json!(format!("{base}/{title}"));
                document(&metadata)
            }
            ("POST", "/mcp") if at == "place" => {
                let challenge = format!("www-authenticate: Bearer resource_metadata=\"{base}/\u{9b}31m\u{202e}\"\r\n");
                (401, challenge, String::new())
            }
            _ => answer(Fault::None, base, method, path, all),
        });
        for arguments in [&["discover"][..], &["discover", "--json"]] {
            let url = format!("{}/mcp", server.base);
            let found = run(&[arguments, &[&url]].concat());
            assert_eq!(found.code, 1, "an error in metadata, and not a server that is not there: {found:?}");
            assert!(!found.out.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']), "{found:?}");
            assert!(found.out.contains("is no URL that can be asked"), "{found:?}");
        }
    }
}

/// 0.0.0.0 leads here, and is no loopback address by its looks: a server somewhere else.
#[test]
fn a_server_elsewhere_does_not_choose_what_is_asked_here() {
    let server = deploy(Fault::None);
    let found = run(&["discover", "--json", &format!("{}/mcp", server.base.replace("127.0.0.1", "0.0.0.0"))]);
    assert!(found.code == 1 && found.out.contains("is on the machine of whoever asks, and is not asked"), "{found:?}");
    let seen: Vec<String> = server.seen.lock().expect("a lock").iter().map(|(line, _)| line.clone()).collect();
    assert!(
        seen.iter().all(|line| !line.ends_with("/jwks") && !line.ends_with("/oauth-authorization-server")),
        "{seen:?}"
    );
}

#[test]
fn user_information_makes_no_loopback_address() {
    let server = serve(|base, method, path, all| match (method, path) {
        ("GET", "/.well-known/oauth-authorization-server") => {
            let mut metadata = server(Fault::None, base);
            metadata["jwks_uri"] = json!("http://127.0.0.1:1@evil.invalid/k");
            document(&metadata)
        }
        _ => answer(Fault::None, base, method, path, all),
    });
    let found = discover(&server.base);
    assert!(found.code == 1 && found.out.contains("serve it by https"), "{found:?}");
}
