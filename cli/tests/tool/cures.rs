//! Whatever is refused, there is something to do about it.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_oauth::refusal::Refusal;
use serde_json::{Value, json};

use crate::support::{ISSUER, NOW, claims, configuration, file, good_token, header, run, run_with, sign, with};

#[path = "../../src/explain/cures.rs"]
mod of_refusals;

/// The quoted names that begin with `mcp_oauth_`, as the core's own test of reasons finds them.
fn reasons() -> BTreeSet<String> {
    let sources = [
        include_str!("../../../src/refusal.rs"),
        include_str!("../../../src/token/error.rs"),
        include_str!("../../../src/dpop/mod.rs"),
    ];
    let quoted = sources.iter().flat_map(|text| text.split("\"mcp_oauth_").skip(1));
    quoted.filter_map(|rest| Some(format!("mcp_oauth_{}", rest.split_once('"')?.0))).collect()
}

/// What `docs/guides/troubleshooting.md` has a paragraph for, which the core's tests compare with all of its sources.
fn documented() -> (BTreeSet<String>, BTreeSet<String>) {
    let guide = include_str!("../../../docs/guides/troubleshooting.md");
    let (faults, others) = guide.split_once("\n## No fault\n").expect("a chapter");
    let headings = |text: &str| {
        text.lines()
            .filter_map(|line| line.strip_prefix("### "))
            .filter(|line| line.starts_with("mcp_oauth_"))
            .map(str::to_owned)
            .collect()
    };
    (headings(faults), headings(others))
}

#[test]
fn every_refusal_has_a_cure_and_nothing_else_has() {
    let (faults, others) = documented();
    assert_eq!(reasons(), faults);
    assert!(faults.len() >= 45 && others.len() >= 3, "{faults:?} {others:?}");
    for reason in &faults {
        assert!(of_refusals::cure(reason).is_some_and(|cure| cure.len() > 10), "{reason}");
    }
    for reason in &others {
        assert_eq!(of_refusals::cure(reason), None, "{reason}");
    }
    assert_eq!(of_refusals::exact(&Refusal::Unmatched), None);
}

/// One name stands for several causes, and what helps against one does not against the others.
#[test]
fn a_cure_is_for_exactly_that_cause() {
    let mut constrained = configuration();
    constrained["authorization_servers"][0]["require_at_jwt"] = json!(true);
    constrained["authorization_servers"][0]["algorithms"] = json!(["ES256"]);
    constrained["resources"][0]["dpop"] = json!({});
    let (plain, dpop) = (configuration().to_string(), constrained.to_string());
    let head = |member: &str, value: Value| sign(&with(header(), member, value), &claims());
    let claim = |member: &str, value: Value| sign(&header(), &with(claims(), member, value));
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let good = good_token();
    let (_, behind) = good.split_once('.').expect("parts");
    let (before, signature) = good.rsplit_once('.').expect("parts");
    let thumb = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    let rows = [
        (&plain, "gho_16C7e42F292c".to_owned(), "for opaque ones configure `introspection`"),
        (&plain, "eyJhbGciOiJkaXIifQ.a.b.c.d".to_owned(), "and not encrypt them"),
        (&plain, head("alg", json!("none")), "have the issuer sign with one of its `algorithms`"),
        (&plain, head("alg", json!("HS256")), "have the issuer sign with one of its `algorithms`"),
        (&plain, head("alg", json!("ES999")), "have the issuer sign with one of its `algorithms`"),
        (&dpop, head("alg", json!("RS256")), "add it to `algorithms`"),
        (&plain, head("crit", json!(["x"])), "leave `crit` out"),
        (&plain, head("alg", Value::Null), "with an `alg`"),
        (&plain, head("kid", json!(1)), "write it as a text"),
        (&plain, format!("{}.{behind}", part(r#"{"alg":"ES256","alg":"ES256"}"#)), "no member twice"),
        (&plain, format!("{before}.A"), "copy the token again, all of it"),
        (&plain, format!("{}.{}.{signature}", part(r#"{"alg":"ES256"}"#), part("[]")), "claims as one JSON object"),
        (&plain, "a".repeat(16 * 1024 + 1), "put less into its tokens"),
        (&plain, "one,two".to_owned(), "with one token"),
        (&plain, "one two".to_owned(), "and nothing behind it"),
        (&plain, head("typ", json!("id_token+jwt")), "not the ID token"),
        (&dpop, head("typ", json!("JWT")), "leave out `require_at_jwt`"),
        (&dpop, head("typ", Value::Null), "leave out `require_at_jwt`"),
        (&dpop, head("typ", json!("logout+jwt")), "not the ID token"),
        (&plain, claim("aud", Value::Null), "have the client send `resource`"),
        (&plain, claim("exp", Value::Null), "have the issuer put it in"),
        (&plain, claim("aud", json!(1)), "as a text or a list of texts"),
        (&plain, claim("exp", json!("1")), "as a number"),
        (&plain, claim("sub", json!(1)), "as a text"),
        (&plain, claim("exp", json!(NOW * 1000)), "not in milliseconds"),
        (&plain, claim("scope", json!(5)), "another claim in `scope_claims`"),
        (&plain, head("kid", json!("k2")), "compare the token's `kid`"),
        (
            &plain,
            sign(&with(with(header(), "kid", Value::Null), "alg", json!("RS256")), &claims()),
            "in `kid`, and publish",
        ),
        (&plain, claim("cnf", json!({ "kid": thumb })), "nothing else can be proved here"),
        (&plain, claim("cnf", json!({ "jkt": "c2hvcnQ" })), "nothing else can be proved here"),
        (&plain, claim("cnf", json!({ "jkt": thumb, "x": "y" })), "nothing else can be proved here"),
        (&plain, claim("cnf", json!({})), "nothing else can be proved here"),
        (&plain, claim("cnf", json!("x")), "nothing else can be proved here"),
        (&plain, claim("cnf", json!({ "jkt": thumb })), "configure `dpop` for the resource"),
        (&plain, claim("cnf", json!({ "jkt": thumb, "kc-jkt-type": "dpop" })), "configure `dpop` for the resource"),
        (&plain, claim("cnf", json!({ "x5t#S256": thumb })), "configure `mutual_tls` for the resource"),
        (&plain, claim("cnf", json!({ "jkt": thumb, "x5t#S256": thumb })), "configure `dpop` and `mutual_tls`"),
        (&dpop, claim("cnf", json!({ "jkt": thumb })), "send it as DPoP and with a proof"),
    ];
    for (configuration, token, expected) in rows {
        let path = file("a.json", configuration);
        let now = NOW.to_string();
        let arguments = ["explain", "--config", &path, "--now", &now, "--token", "-"];
        let told = run_with(&[&arguments[..], &["--json"]].concat(), &token);
        let document = told.json();
        let cure = document["cure"].as_str().expect("a cure");
        assert!(told.code == 1 && cure.contains(expected), "{expected}: {told:?}");
        // People read the same.
        assert!(run_with(&arguments, &token).out.contains(&format!("   cure: {cure}\n")), "{expected}");
    }
}

/// The same of the rest of a request.
#[test]
fn a_cure_is_for_exactly_that_part_of_a_request() {
    let mut configuration = configuration();
    configuration["resources"][0]["dpop"] = json!({});
    configuration["resources"][0]["default"] = json!("deny");
    configuration["hold_requests"] = json!("headers");
    let path = file("a.json", configuration.to_string());
    let thumb = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    let bound = sign(&header(), &with(claims(), "cnf", json!({ "jkt": thumb })));
    let body = file("body.json", "{}");
    let proof = |header: &Value| format!("DPoP: {}", sign(header, &json!({})));
    let (long, hmac) =
        (format!("DPoP: {}", "a".repeat(8 * 1024 + 1)), proof(&json!({ "typ": "dpop+jwt", "alg": "HS256" })));
    let private = proof(&json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": { "kty": "EC", "d": "x" } }));
    let rows: [(&str, &[&str], &str); 9] = [
        (&good_token(), &["--method", "GET", "--body", &body], "send no body with this method"),
        (&good_token(), &["--header", "content-type: text/plain"], "`content-type: application/json`"),
        (&good_token(), &["--header", "content-encoding: gzip"], "without `content-encoding`"),
        (&good_token(), &[], "change `rules` or `default`"),
        (&bound, &["--scheme", "DPoP"], "add the client's proof"),
        (&bound, &["--scheme", "DPoP", "--header", "DPoP: a", "--header", "DPoP: b"], "one `DPoP` header, not two"),
        (&bound, &["--scheme", "DPoP", "--header", &long], "make a shorter proof"),
        (&bound, &["--scheme", "DPoP", "--header", &hmac], "one of the resource's `dpop.algorithms`"),
        (&bound, &["--scheme", "DPoP", "--header", &private], "only the public key into `jwk`"),
    ];
    for (token, more, expected) in rows {
        let now = NOW.to_string();
        let arguments = ["explain", "--config", &path, "--now", &now, "--token", "-", "--json"];
        let told = run_with(&[&arguments[..], more].concat(), token);
        let cure = told.json()["cure"].as_str().unwrap_or_default().to_owned();
        assert!(told.code == 1 && cure.contains(expected), "{expected}: {told:?}");
    }
}

#[test]
fn no_cure_is_printed_empty() {
    let path = file("a.json", configuration().to_string());
    let metadata = "/.well-known/oauth-protected-resource/mcp";
    let rows: [(&[&str], i32, bool); 4] = [
        (&["--method", "GET", "--path", metadata], 0, false),
        (&["--method", "DELETE", "--path", metadata], 1, true),
        (&["--path", "/.well-known/oauth-protected-resource/other"], 1, true),
        (&["--path", "/a//b"], 1, true),
    ];
    for (arguments, code, has) in rows {
        let all = [&["explain", "--config", &path], arguments].concat();
        let told = run(&all);
        assert_eq!((told.code, told.out.contains("   cure: ")), (code, has), "{told:?}");
        assert!(!told.out.lines().any(|line| line.trim_end() == "   cure:"), "{told:?}");
        let document = run(&[&all[..], &["--json"]].concat()).json();
        assert_eq!(document.get("cure").is_some_and(|cure| cure.as_str().is_some_and(|cure| !cure.is_empty())), has);
        assert_eq!(document.get("cure").is_some(), has, "{document}");
    }
}

/// Each kind of manifest has its own place for it.
#[test]
fn a_variable_is_passed_on_where_the_manifest_can() {
    let mut configuration = configuration();
    configuration["resources"][0]["sessions"] = json!({ "key_variable": "MCP_KEYS" });
    let wasm =
        |kind: &str, group: &str, spec: &str| format!("kind: {kind}\napiVersion: {group}/v1alpha1\nspec:\n  {spec}\n");
    let value = format!("'{configuration}'");
    let rows = [
        (
            format!(
                "typed_config:\n  \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n  config:\n    configuration:\n      \"@type\": type.googleapis.com/google.protobuf.StringValue\n      value: {value}\n"
            ),
            "`vm_config.environment_variables.host_env_keys`",
        ),
        (wasm("WasmPlugin", "extensions.istio.io", &format!("pluginConfig: {configuration}")), "`vmConfig.env` with"),
        (
            wasm("EnvoyExtensionPolicy", "gateway.envoyproxy.io", &format!("wasm: [{{ config: {configuration} }}]")),
            "`env.hostKeys`",
        ),
        (
            wasm("WasmPlugin", "extensions.higress.io", &format!("defaultConfig: {configuration}")),
            "pass it on to the module",
        ),
        (configuration.to_string(), "pass it on to the module"),
    ];
    let places = ["host_env_keys", "vmConfig.env", "env.hostKeys"];
    for (text, place) in rows {
        let told = run_with(&["check", "--strict-env", "--json", "-"], &text);
        let findings = told.json()["findings"].as_array().expect("a list").clone();
        let finding = findings.iter().find(|f| f["reason"].as_str().expect("a text").contains("is not set"));
        let cure = finding.unwrap_or_else(|| panic!("{told:?}"))["cure"].as_str().expect("a text");
        assert!(cure.contains(place) && cure.contains("--env"), "{cure}");
        assert!(places.iter().all(|other| place.contains(other) || !cure.contains(other)), "{cure}");
    }
}

#[test]
fn what_is_assumed_is_named_or_counted() {
    let of = |first: &str, second: &str| {
        let mut changed = configuration();
        let mut other = changed["resources"][0].clone();
        other["resource"] = json!("https://mcp.example.com/other");
        changed["resources"][0]["sessions"] = json!({ "key_variable": first });
        other["sessions"] = json!({ "key_variable": second });
        changed["resources"].as_array_mut().expect("a list").push(other);
        file("a.json", changed.to_string())
    };
    let rows = [
        ("A", "B", "right: A, B\n"),
        ("A", "odd name", "right: A, one with an odd name\n"),
        ("odd name", "odd name", "right: one with an odd name\n"),
        ("odd name", "odder name", "right: 2 with odd names\n"),
    ];
    for (first, second, expected) in rows {
        let told = run(&["check", &of(first, second)]);
        assert!(told.out.contains(&format!("assumed to be set and {expected}")), "{first} {second}: {told:?}");
    }
}

/// Whatever is wrong with a setting, its cure is an instruction: one sentence, and not what the setting is for alone.
#[test]
fn what_is_wrong_with_a_setting_has_an_instruction() {
    let server = "/authorization_servers/0";
    let resource = "/resources/0";
    let rows = [
        ("", "authorization_servers", json!([]), "write it: `authorization_servers` is whose tokens are accepted"),
        ("", "authorization_servers", Value::Null, "add it: `authorization_servers` is whose tokens are accepted"),
        ("", "resources", json!("x"), "write a list: `resources` is what is protected"),
        ("", "unmatched", json!("allow"), "write one of `deny`, `insecure_forward`"),
        ("", "token_cache", json!({ "ttl": "2d" }), "write a whole number and ms, s, m or h"),
        ("", "token_cache", json!({ "ttl": "5h" }), "write something between 1s and 1h"),
        ("", "token_cache", json!({ "max_bytes": "5" }), "write a whole number and B, KiB or MiB"),
        ("", "identity_headers", json!({ "subject": "X Y" }), "write the name of a header"),
        ("", "identity_headers", json!({ "subject": "host" }), "write the name of another header"),
        ("", "identity_headers", json!({ "subject": "x-a", "issuer": "x-a" }), "write another name for one of the two"),
        ("", "filter_state", json!(["tool", "tool"]), "delete one of the two"),
        (server, "issuer", json!("https://a.example/?x"), "leave out `?` and what follows it"),
        (server, "issuer", json!("https://a.example/#x"), "leave out `#` and what follows it"),
        (resource, "resource", json!("https://a.example:443"), "leave the port out"),
        (server, "issuer", json!("https://a~b.example"), "write the host in ASCII"),
        (server, "issuer", json!("https://u@a.example"), "leave out the part before `@`"),
        (server, "issuer", json!("http://a.example"), "write https"),
        (server, "issuer", json!("a.example"), "write the whole URL"),
        (server, "issuer", json!(""), "write it: `issuer` is exactly the tokens' iss"),
        (server, "provider", json!("keycloak"), "write the `iss` of its tokens"),
        (server, "provider", json!("google"), "write https://accounts.google.com"),
        (server, "algorithms", json!(["HS256"]), "write one of RS256"),
        (server, "algorithms", json!([]), "add what is accepted"),
        (server, "jwks", json!({ "keys": [] }), "give a public key"),
        (server, "jwks", json!({}), "write a JWK Set"),
        (server, "keys_max_age", json!("1m"), "delete it"),
        (resource, "resource", json!("https://A.example/x"), "write `https://a.example/x`"),
        (resource, "resource", json!("https://a.example/.well-known/oauth-protected-resource"), "write another path"),
        (resource, "scopes", json!({ "required": [""] }), "delete it, or write what is meant"),
        (resource, "scopes", json!({ "required": ["a\"b"] }), "write one scope: visible ASCII"),
        (resource, "scopes", json!({ "required": ["a"], "challenged": [] }), "add a scope, or leave it out"),
        (resource, "scopes", json!({ "required": ["offline_access"] }), "delete it"),
        (resource, "authorization_servers", json!([]), "add what is accepted"),
        (resource, "authorization_servers", json!(["https://b.example"]), "write it as in"),
        (resource, "origins", json!(["https://a.example/x"]), "write scheme and host"),
        (resource, "origins", json!(["https://a.example:443"]), "leave the port out"),
        (resource, "cors", json!({ "expose_headers": ["a b"] }), "write the name of a header"),
        (resource, "metadata", json!({ "resource_tos_uri": "ftp://a.example" }), "write the whole URL"),
        (resource, "anonymous_methods", json!(["*"]), "name the methods instead of `*`"),
        (resource, "anonymous_methods", json!(["tools/list"]), "add it: `hold_requests` is what of a request waits"),
        (resource, "filter_lists", json!(true), "add `rules`, or leave it out"),
        (resource, "rules", json!([{ "tools": ["a*b"] }]), "write `*` at the end only"),
        (resource, "rules", json!([{ "resources": ["a*"] }]), "write `/*` at the end"),
        (resource, "rules", json!([{ "resources": ["x y"] }]), "write the URI plainly"),
        (resource, "rules", json!([{ "deny": true, "scopes": ["a"] }]), "delete the scopes, or `deny`"),
        (resource, "rules", json!([{ "claims": [{ "claim": "a" }] }]), "write one of the two"),
        (resource, "rules", json!([{ "tools": [] }]), "leave it out"),
        (resource, "rules", json!([{}, {}]), "put it above that rule"),
        (resource, "rules", json!([{ "methods": ["ping"], "tools": ["a"] }]), "write tools/call for tools"),
        (resource, "static_tokens", json!([{ "name": "a b" }]), "write letters, digits"),
        (resource, "static_tokens", json!([{ "sha256": "x" }]), "write what this says of the token"),
        (resource, "static_tokens", json!([{ "expires": "soon" }]), "write a date in UTC"),
        (resource, "static_tokens", json!([{ "name": "a" }]), "add it: `sha256` is SHA-256 of the token"),
        (resource, "upstream_credential", json!({}), "leave one of them"),
        (
            resource,
            "upstream_credential",
            json!({ "token_exchange": { "endpoint": "https://a.example/t", "cluster": "c", "client_id": "c", "client_secret_variable": "OK" } }),
            "add one of the two",
        ),
        (resource, "upstream_credential", json!({ "header": { "prefix": " x" } }), "leave that space out"),
        (resource, "upstream_credential", json!({ "header": { "prefix": "\u{fc}" } }), "leave out what is no visible"),
        (
            resource,
            "upstream_credential",
            json!({ "header": { "name": "x-mcp-subject", "value_variable": "OK" } }),
            "write the name of another header",
        ),
        (
            resource,
            "upstream_credential",
            json!({ "header": { "value_variable": "EMPTY" } }),
            "set it where the proxy runs",
        ),
        (
            resource,
            "upstream_credential",
            json!({ "header": { "value_variable": "LINE" } }),
            "leave out what is no visible",
        ),
        (resource, "sessions", json!({ "key_variable": "OK" }), "set it to what this prints: openssl rand"),
        (resource, "sessions", json!({ "key_variable": "LINE" }), "set it to what this prints: openssl rand"),
        (resource, "upstream_credential", json!({ "identity_jwt": { "keys_variable": "OK" } }), "set it to a JWK Set"),
        (resource, "upstream_credential", json!({ "identity_jwt": { "jwks_path": "/a/" } }), "and `/` at the end"),
        (
            resource,
            "upstream_credential",
            json!({ "identity_jwt": { "issuer": ISSUER } }),
            "write a URL of the proxy's own",
        ),
        (resource, "unknown_setting", json!(1), "delete it: nothing is ignored"),
        (resource, "scops", json!({}), "write `scopes` if that is what is meant"),
    ];
    for (pointer, member, value, expected) in rows {
        let mut changed = configuration();
        let place = changed.pointer_mut(pointer).expect("it is there");
        *place = with(place.clone(), member, value);
        let path = file("a.json", changed.to_string());
        let environment = ["--env", "OK=c2hvcnQ", "--env", "EMPTY=", "--env", "LINE=a b\n"];
        let checked = run(&[&["check", "--json", &path], &environment[..]].concat());
        let findings = checked.json()["findings"].as_array().expect("a list").clone();
        let cures: Vec<&str> = findings.iter().filter_map(|finding| finding["cure"].as_str()).collect();
        assert!(cures.iter().any(|cure| cure.contains(expected)), "{expected}: {findings:#?}");
        const VERBS: [&str; 10] = ["add", "delete", "give", "leave", "make", "name", "put", "set", "write", "mend"];
        for (cure, finding) in cures.iter().zip(&findings).filter(|(_, finding)| finding["severity"] != "note") {
            let verb = cure.split([' ', ':']).next().expect("a word");
            assert!(VERBS.contains(&verb), "{cure}: {finding}");
            assert!(!cure.contains(". ") && !cure.ends_with('.'), "{cure}: {finding}");
        }
    }
}
