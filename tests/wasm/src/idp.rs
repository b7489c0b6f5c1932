//! An authorization server that answers the module's calls, and the configurations that name it.

use crate::request::Answer;
use crate::token::{ISSUER, Key, RESOURCE, SCOPE, jwks};
use crate::vm::Vm;
use crate::world::HttpCall;
use serde_json::{Value, json};

/// The metadata document of [`ISSUER`], the first place that discovery asks.
pub const METADATA_URL: &str = "https://idp.example.com/.well-known/oauth-authorization-server/realms/mcp";
/// Where its keys are.
pub const JWKS_URL: &str = "https://idp.example.com/realms/mcp/keys";

/// The configuration of one resource whose keys are fetched from [`ISSUER`].
pub fn fetching_config() -> Value {
    json!({
        "authorization_servers": [{"issuer": ISSUER, "cluster": "idp"}],
        "resources": [{"resource": RESOURCE, "scopes": {"required": [SCOPE]}}],
    })
}

/// The same with inline keys.
pub fn inline_config(keys: &[Key]) -> Value {
    let mut config = fetching_config();
    config["authorization_servers"] = json!([{"issuer": ISSUER, "jwks": jwks(keys)}]);
    config
}

/// An authorization server.
#[derive(Clone, Debug)]
pub struct Idp {
    keys: Vec<Key>,
}

impl Default for Idp {
    fn default() -> Self {
        Self { keys: vec![Key::GOOD] }
    }
}

impl Idp {
    /// One that has these keys.
    pub fn with_keys(keys: &[Key]) -> Self {
        Self { keys: keys.to_vec() }
    }

    /// Its metadata document.
    pub fn metadata() -> Value {
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": format!("{ISSUER}/auth"),
            "token_endpoint": format!("{ISSUER}/token"),
            "jwks_uri": JWKS_URL,
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
        })
    }

    /// Its answer to one call.
    pub fn answer(&self, call: &HttpCall) -> Answer {
        match call.url().as_str() {
            METADATA_URL => Answer::json(&Self::metadata()),
            JWKS_URL => Answer::json(&jwks(&self.keys)),
            _ => Answer::not_found(),
        }
    }

    /// Ticks and answers until the module asks for nothing more.
    pub fn serve(&self, vm: &mut Vm) {
        settle(vm, |call| self.answer(call));
    }
}

/// Ticks and answers every call until the module asks for nothing more. Returns the URLs that it
/// asked for.
pub fn settle(vm: &mut Vm, answer: impl Fn(&HttpCall) -> Answer) -> Vec<String> {
    const MORE_THAN_ENOUGH: u32 = 20;
    let mut urls = Vec::new();
    for _ in 0..MORE_THAN_ENOUGH {
        vm.tick();
        let open = vm.world().open_calls();
        if open.is_empty() {
            return urls;
        }
        for call in open {
            urls.push(call.url());
            vm.answer(call.token, answer(&call));
        }
    }
    panic!("the module never stops asking: {urls:#?}");
}
