//! Promise: who opens a resource in a browser gets the same 401 with a page that says how to use it; it has nothing of the
//! request, loads nothing, and runs nothing but its own script. Nobody else gets it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mcp_oauth::reply::Reply;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{
    ask, claims, findings, gate, good_token, header, inline_config, outcome, put, reply, reply_header, sign, with,
};

/// As Chromium, Firefox and Safari ask for a page.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const HTML: &str = "text/html; charset=utf-8";

fn get(config: &Value, method: &str, more: &[(&str, &str)]) -> Reply {
    let mut lines = vec![(":method", method), (":authority", "mcp.example.com"), (":path", "/mcp")];
    lines.extend(more);
    reply(ask(&mut gate(config), &lines))
}

fn open(config: &Value) -> Reply {
    get(config, "GET", &[("accept", BROWSER)])
}

fn text(reply: &Reply) -> &str {
    str::from_utf8(reply.body()).expect("UTF-8")
}

fn of(resource: &str) -> Value {
    put(inline_config(), "/resources/0/resource", json!(resource))
}

/// The texts of the snippets, as a browser reads them.
fn snippets(page: &str) -> Vec<String> {
    let read =
        |text: &str| text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    page.split("<pre>").skip(1).map(|rest| read(rest.split_once("</pre>").expect("an end").0)).collect()
}

/// Whatever the resource has besides: rules read bodies, and what needs no token is known by them alone.
#[test]
fn it_is_the_same_401_with_another_body() {
    let resource = |more: Value| {
        let mut config = put(inline_config(), "/hold_requests", json!("headers"));
        let members = more.as_object().expect("an object").clone();
        config["resources"][0].as_object_mut().expect("an object").extend(members);
        config
    };
    let rows = [
        ("bare", resource(json!({})), None),
        ("rules", resource(json!({ "rules": [{ "tools": ["a"], "scopes": ["b"] }] })), None),
        ("methods without a token", resource(json!({ "rules": [{}], "anonymous_methods": ["ping"] })), None),
        ("DPoP alone", resource(json!({ "dpop": { "required": true } })), None),
        ("a listed origin", resource(json!({ "origins": ["https://app.example"] })), Some("https://app.example")),
        ("any origin", resource(json!({})), Some("https://app.example")),
    ];
    for (what, config, origin) in rows {
        for method in ["GET", "HEAD"] {
            let origin = origin.map(|origin| ("origin", origin));
            let asked: Vec<_> = origin.into_iter().chain([("accept", BROWSER)]).collect();
            let page = get(&config, method, &asked);
            let plain = get(&config, "GET", asked.get(..asked.len() - 1).expect("without accept"));
            assert_eq!(
                (page.status(), page.reason(), page.refusal()),
                (401, plain.reason(), plain.refusal()),
                "{what}"
            );
            for (name, value) in plain.headers().filter(|(name, _)| *name != "content-type") {
                assert_eq!(reply_header(&page, name), Some(value), "{what}: {name}");
            }
            assert_eq!(reply_header(&plain, "content-type"), Some("application/json"), "{what}");
            assert_eq!(reply_header(&page, "content-type"), Some(HTML), "{what}");
            assert_eq!(reply_header(&page, "x-content-type-options"), Some("nosniff"), "{what}");
            assert_eq!(reply_header(&page, "referrer-policy"), Some("no-referrer"), "{what}");
            assert_eq!(page.headers().len(), plain.headers().len() + 3, "{what}");
        }
    }
}

#[test]
fn where_refusals_are_only_reported_a_browser_reaches_the_server() {
    let config = put(inline_config(), "/resources/0/report_only", json!(true));
    let lines = [(":method", "GET"), (":authority", "mcp.example.com"), (":path", "/mcp"), ("accept", BROWSER)];
    assert_eq!(outcome(ask(&mut gate(&config), &lines)), Ok(()));
}

/// Who asks, with which method and headers, and whether it is a person.
type Asked<'r> = (&'r str, &'r str, &'r [(&'r str, &'r str)], bool);

#[test]
fn who_gets_it() {
    let expired = format!("Bearer {}", sign(&header(), &with(claims(), "exp", json!(1))));
    let rows: [Asked<'_>; 20] = [
        ("a browser", "GET", &[("accept", BROWSER)], true),
        ("one that asks for the head", "HEAD", &[("accept", BROWSER)], true),
        ("text browsers", "GET", &[("accept", "text/html, text/plain;q=0.5")], true),
        ("in other letters, with spaces", "GET", &[("Accept", "image/*,\t Text/HTML ")], true),
        ("with credentials of another scheme", "GET", &[("accept", BROWSER), ("authorization", "Basic YTpi")], true),
        ("MCP: listening", "GET", &[("accept", "text/event-stream")], false),
        ("MCP: posting", "POST", &[("accept", "application/json, text/event-stream")], false),
        ("curl", "GET", &[("accept", "*/*")], false),
        ("nothing is said", "GET", &[], false),
        ("another type of this beginning", "GET", &[("accept", "text/html+x, text/htm")], false),
        ("with a weight, which browsers do not give it", "GET", &[("accept", "text/html;q=0")], false),
        ("a library that names all", "GET", &[("accept", "text/html, application/json")], false),
        ("a client that names all", "GET", &[("accept", "Text/Event-Stream, text/html")], false),
        ("one that weighs", "GET", &[("accept", "text/html, application/json;q=0.9")], false),
        ("one that names a charset", "GET", &[("accept", "application/json ; charset=utf-8,text/html")], false),
        ("a client that weighs", "GET", &[("accept", "text/html,text/event-stream;q=0.5")], false),
        ("two lines", "GET", &[("accept", BROWSER), ("accept", "application/json")], false),
        ("a form", "POST", &[("accept", BROWSER)], false),
        ("a bad token", "GET", &[("accept", BROWSER), ("authorization", &expired)], false),
        ("no token", "GET", &[("accept", BROWSER), ("authorization", "Bearer")], false),
    ];
    for (name, method, more, expected) in rows {
        let reply = get(&inline_config(), method, more);
        assert_eq!(reply_header(&reply, "content-type") == Some(HTML), expected, "{name}");
        assert_eq!(reply.body().starts_with(b"<!doctype html>"), expected, "{name}");
        assert!(reply_header(&reply, "www-authenticate").is_some(), "{name}");
    }
}

#[test]
fn with_a_good_token_or_elsewhere_there_is_none() {
    let authorization = format!("Bearer {}", good_token());
    let lines = |path| [(":method", "GET"), (":authority", "mcp.example.com"), (":path", path), ("accept", BROWSER)];
    let mut with_token = lines("/mcp").to_vec();
    with_token.push(("authorization", &authorization));
    assert_eq!(outcome(ask(&mut gate(&inline_config()), &with_token)), Ok(()));
    for path in ["/elsewhere", "/.well-known/oauth-protected-resource/mcp", "/mcp/../x"] {
        let reply = reply(ask(&mut gate(&inline_config()), &lines(path)));
        assert_eq!(reply_header(&reply, "content-type"), Some("application/json"), "{path}");
    }
}

#[test]
fn it_can_be_switched_off() {
    for (value, expected) in [(json!(true), HTML), (json!(false), "application/json")] {
        let reply = open(&put(inline_config(), "/resources/0/browser_page", value.clone()));
        assert_eq!((reply.status(), reply_header(&reply, "content-type")), (401, Some(expected)), "{value}");
    }
    let wrong = findings(&put(inline_config(), "/resources/0/browser_page", json!("off")));
    assert_eq!(wrong, ["resources[0].browser_page: is a text where true or false is expected"]);
}

/// CSP level 3 section 6.7: style and script are known by their hashes, and there is no other of either.
#[test]
fn its_policy_knows_its_style_and_script_and_nothing_else() {
    let reply = open(&inline_config());
    let page = text(&reply);
    let hash = |name: &str| {
        let start = format!("<{name}>");
        let mut found = page.split(&start).skip(1);
        let (inside, _) = found.next().and_then(|rest| rest.split_once(&format!("</{name}>"))).expect("one");
        assert_eq!((found.next(), page.matches(&format!("<{name}")).count()), (None, 1), "{name}");
        STANDARD.encode(Sha256::digest(inside.as_bytes()))
    };
    let (style, script) = (hash("style"), hash("script"));
    assert_eq!(
        reply_header(&reply, "content-security-policy"),
        Some(&*format!(
            "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
        ))
    );
    for outside in [" src=", "url(", "@import", "<link", "<form", " style=", " onclick=", "|"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn its_snippets_have_the_address() {
    let config = put(of("https://mcp.example.com/weather/mcp"), "/resources/0/host_default", json!(true));
    let lines =
        [(":method", "GET"), (":authority", "mcp.example.com"), (":path", "/weather/mcp/x"), ("accept", BROWSER)];
    let reply = reply(ask(&mut gate(&config), &lines));
    let (uri, name) = ("https://mcp.example.com/weather/mcp", "mcp-example-com-weather-mcp");
    let [address, claude, code, cursor, remote, inspector] = snippets(text(&reply)).try_into().expect("six");
    assert_eq!(address, uri);
    assert_eq!(claude, format!("claude mcp add --transport http {name} {uri}"));
    assert_eq!(inspector, "npx @modelcontextprotocol/inspector");
    let json = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    assert_eq!(json(&code), json!({ "servers": { name: { "type": "http", "url": uri } } }));
    assert_eq!(json(&cursor), json!({ "mcpServers": { name: { "url": uri } } }));
    assert_eq!(json(&remote), json!({ "mcpServers": { name: { "command": "npx", "args": ["mcp-remote", uri] } } }));
    let metadata = "https://mcp.example.com/.well-known/oauth-protected-resource/weather/mcp";
    assert!(text(&reply).contains(&format!("<a href=\"{metadata}\">")));
    assert!(text(&reply).contains("<h1>mcp.example.com/weather/mcp</h1>"), "without a name it is the address");
}

/// A resource, what clients may call it, whether a shell can be given its address.
#[test]
fn addresses_of_all_kinds() {
    let long = "a".repeat(60);
    let rows = [
        ("https://mcp.example.com".to_owned(), "/", "mcp-example-com".to_owned(), true),
        ("https://mcp.example.com/".to_owned(), "/", "mcp-example-com".to_owned(), true),
        ("http://127.0.0.1:8080/mcp".to_owned(), "/mcp", "127-0-0-1-8080-mcp".to_owned(), true),
        ("http://[::1]:8080/mcp".to_owned(), "/mcp", "1-8080-mcp".to_owned(), false),
        ("https://mcp.example.com/$a'&b".to_owned(), "/$a'&b", "mcp-example-com-a-b".to_owned(), false),
        ("https://mcp.example.com/caf%C3%A9".to_owned(), "/caf%C3%A9", "mcp-example-com-caf-C3-A9".to_owned(), false),
        (format!("https://{long}.example/mcp"), "/mcp", "a".repeat(40), true),
        (format!("https://{}.{long}/mcp", "b".repeat(39)), "/mcp", "b".repeat(39), true),
    ];
    for (uri, path, name, in_a_shell) in rows {
        let (_, place) = uri.split_once("://").expect("a scheme");
        let authority = place.split('/').next().expect("an authority");
        let lines = [(":method", "GET"), (":authority", authority), (":path", path), ("accept", BROWSER)];
        let reply = reply(ask(&mut gate(&of(&uri)), &lines));
        let snippets = snippets(text(&reply));
        assert_eq!(snippets[0], uri);
        assert_eq!(snippets.iter().any(|text| text.starts_with("claude ")), in_a_shell, "{uri}");
        let code: Value = serde_json::from_str(&snippets[if in_a_shell { 2 } else { 1 }]).expect("JSON");
        assert_eq!(code["servers"][&name]["url"], uri, "{uri}");
    }
}

#[test]
fn what_the_operator_writes_is_text() {
    let metadata = json!({
        "resource_name": "<script>alert(1)</script> & \"Wetter\" für alle",
        "resource_documentation": "https://docs.example.com/?a=1&b=\"><script>alert(2)</script>",
    });
    let reply = open(&put(inline_config(), "/resources/0/metadata", metadata));
    let page = text(&reply);
    let name = "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;Wetter&quot; für alle";
    assert!(page.contains(&format!("<title>{name}</title>")) && page.contains(&format!("<h1>{name}</h1>")), "{page}");
    let documentation = "https://docs.example.com/?a=1&amp;b=&quot;&gt;&lt;script&gt;alert(2)&lt;/script&gt;";
    assert!(page.contains(&format!("<a href=\"{documentation}\">Documentation</a>.")), "{page}");
    assert_eq!(page.matches("<script").count(), 1);
}

#[test]
fn nothing_of_the_request_is_in_it() {
    let plain = open(&inline_config());
    let odd = [
        (":method", "GET"),
        (":authority", "mcp.example.com:443"),
        (":path", "/mcp/a-very-odd-path?x=very-odd"),
        ("accept", BROWSER),
        ("origin", "https://very-odd.example"),
        ("referer", "https://very-odd.example"),
        ("x-forwarded-host", "very-odd.example"),
    ];
    let odd = reply(ask(&mut gate(&inline_config()), &odd));
    assert_eq!(text(&odd), text(&plain));
}
