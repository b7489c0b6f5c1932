//! Challenges: whatever configuration, token and request hold, a client reads one in the one form that all of them read, and
//! finds in it where to go and what to ask for.
//!
//! The input is lines: options (`dpop`, `only`, `granted`), the path of the resource, the scopes that it requires, the scopes
//! of the token, and credentials.

#![no_main]

mod common;

use std::collections::BTreeSet;

use common::{
    Challenge, challenges, check_reply, line, strict_object,
    support::{NOW, claims, header, inline_config, put, sign, sign_texts, with},
};
use mcp_oauth::{
    config,
    gate::{Gate, Verdict},
    refusal::Refusal,
    reply::Reply,
    scope::Scope,
};
use serde_json::json;

const HOST: &str = "https://mcp.example.com";

/// What the challenges of one resource may say.
struct Case<'c> {
    resource: String,
    required: BTreeSet<&'c str>,
    carried: &'c str,
    has_dpop: bool,
    dpop_only: bool,
    granted: bool,
}

impl Case<'_> {
    fn check(&self, gate: &mut Gate, reply: &Reply) {
        check_reply(reply);
        let Some((_, value)) = reply.headers().find(|(name, _)| *name == "www-authenticate") else { return };
        let found = challenges(value);
        let [(scheme, parameters), others @ ..] = &*found else { panic!("none in {value:?}") };
        assert!(scheme == "Bearer" || (scheme == "DPoP" && self.has_dpop), "{value:?}");
        assert!(!self.dpop_only || scheme == "DPoP", "{value:?}");
        let is_dpop = |(scheme, parameters): &Challenge| scheme == "DPoP" && parameters.keys().eq(["algs"]);
        assert!(others.len() == usize::from(self.has_dpop && scheme == "Bearer") && others.iter().all(is_dpop));

        let known = ["algs", "error", "error_description", "resource_metadata", "scope"];
        assert!(parameters.keys().all(|name| known.contains(&name.as_str())), "{value:?}");
        let refusal = reply.refusal().expect("a refusal");
        // RFC 6750 section 3.1: no error for whoever sent nothing.
        let error = (*refusal != Refusal::MissingToken).then(|| refusal.code());
        assert_eq!(parameters.get("error").map(String::as_str), error, "{value:?}");
        assert_eq!(parameters.contains_key("error_description"), error.is_some(), "{value:?}");
        self.check_scope(parameters.get("scope").map(String::as_str), refusal, value);

        let url = parameters.get("resource_metadata").unwrap_or_else(|| panic!("no metadata in {value:?}"));
        let path = url.strip_prefix(HOST).unwrap_or_else(|| panic!("elsewhere: {value:?}"));
        let lines = [line(":method", "GET"), line(":authority", "mcp.example.com"), line(":path", path)];
        let Verdict::Reply(document) = common::ask(gate, 2, &lines, NOW) else { panic!("no document at {path:?}") };
        let members = strict_object(document.body()).expect("a document");
        assert!(document.status() == 200 && members["resource"] == *self.resource, "{path:?}: {document:?}");
    }

    fn check_scope(&self, scope: Option<&str>, refusal: &Refusal, value: &str) {
        let Some(list) = scope else {
            let is_silent = self.required.is_empty() || refusal.status() == 400;
            assert!(is_silent, "nobody is told what to ask for: {value:?}");
            return;
        };
        let words: Vec<&str> = list.split(' ').collect();
        let carried: BTreeSet<&str> = self.carried.split(' ').filter(|word| Scope::parse(word).is_some()).collect();
        let repeats = self.granted && matches!(refusal, Refusal::InsufficientScope(_));
        for word in &words {
            let is_own = self.required.contains(word) || (repeats && carried.contains(word));
            assert!(Scope::parse(word).is_some() && is_own, "{word:?} in {value:?}");
        }
        let set: BTreeSet<&str> = words.iter().copied().collect();
        assert!(set.len() == words.len() && set.is_superset(&self.required), "{value:?}");
        assert!(!repeats || set.is_superset(&carried), "{value:?}");
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let [options, path, required, carried] = [(); 4].map(|()| lines.next().unwrap_or_default());
    let credentials = lines.next();
    let has = |option: &str| options.split(' ').any(|own| own == option);

    let resource = format!("{HOST}{path}");
    let required: BTreeSet<&str> = required.split(' ').filter(|word| !word.is_empty()).collect();
    let challenge = if has("granted") { "granted_and_needed" } else { "needed" };
    let mut config = put(inline_config(), "/resources/0/resource", json!(resource));
    config = put(config, "/resources/0/scopes", json!({ "required": required, "challenge": challenge }));
    if has("dpop") || has("only") {
        config = put(config, "/resources/0/dpop", json!({ "required": has("only") }));
    }
    // What a resource and a scope may be is the business of the target `configuration`.
    let Ok(policy) = config::parse(config.to_string().as_bytes()) else { return };
    let mut gate = Gate::new(policy);
    let (has_dpop, dpop_only, granted) = (has("dpop") || has("only"), has("only"), has("granted"));
    let case = Case { resource: resource.clone(), required, carried, has_dpop, dpop_only, granted };

    let own = with(with(claims(), "aud", json!(resource)), "scope", json!(carried));
    let tokens = [sign(&header(), &own), sign_texts(9, &header().to_string(), &own.to_string())];
    let signed = tokens.iter().flat_map(|token| [format!("Bearer {token}"), format!("DPoP {token}")]).map(Some);
    for credentials in signed.chain([None, credentials.map(str::to_owned)]) {
        let path = if path.is_empty() { "/" } else { path };
        let mut lines = vec![line(":method", "POST"), line(":authority", "mcp.example.com"), line(":path", path)];
        lines.extend(credentials.map(|value| line("authorization", value)));
        match common::ask(&mut gate, 1, &lines, NOW) {
            Verdict::Reply(reply) => case.check(&mut gate, &reply),
            Verdict::Forward(_) => assert!(case.required.iter().all(|word| carried.split(' ').any(|own| own == *word))),
            other => panic!("{other:?}"),
        }
    }
});
