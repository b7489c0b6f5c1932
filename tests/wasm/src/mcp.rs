//! Resources with rules, and the messages that are sent to them.

use crate::idp::{Idp, fetching_config, inline_config};
use crate::request::{Request, Response};
use crate::token::{Key, PATH, Token};
use crate::vm::{Stream, Vm};
use serde_json::{Value, json};

/// The scope that [`ADMIN_TOOL`] needs besides.
pub const ADMIN_SCOPE: &str = "weather.admin";
/// A tool that every token may call.
pub const TOOL: &str = "forecast";
/// A tool that needs [`ADMIN_SCOPE`].
pub const ADMIN_TOOL: &str = "reboot";
/// A tool that nobody may call.
pub const DENIED_TOOL: &str = "delete_all";

/// What the proxy keeps while a body is read; the filter and its host are set up for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The head, too.
    Headers,
    /// Only the body: the head has gone.
    Body,
}

impl Hold {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Headers, Self::Body];

    /// Adds rules to the resource of a configuration.
    pub fn ruled(self, mut config: Value) -> Value {
        config["hold_requests"] = json!(if self == Self::Headers { "headers" } else { "body" });
        config["resources"][0]["rules"] =
            json!([{"tools": ["delete_*"], "deny": true}, {"tools": [ADMIN_TOOL], "scopes": [ADMIN_SCOPE]}]);
        config["resources"][0]["filter_lists"] = json!(true);
        config
    }

    /// A VM with a configuration as it is.
    pub fn start(self, config: &Value) -> Vm {
        let mut vm = Vm::start(config.to_string());
        vm.world().stops_headers_only = self == Self::Headers;
        vm
    }

    /// A VM with rules and its keys.
    pub fn warm(self) -> Vm {
        self.start(&self.ruled(inline_config(&[Key::GOOD])))
    }

    /// A VM with rules that must fetch its keys.
    pub fn cold(self) -> Vm {
        self.start(&self.ruled(fetching_config()))
    }

    /// The same with the keys fetched and the token of the test known.
    pub fn served(self) -> Vm {
        let mut vm = self.cold();
        Idp::default().serve(&mut vm);
        let stream = vm.request(good_post());
        vm.send(stream, call(TOOL), true);
        assert!(vm.upstream(stream).ended, "{}", vm.world().log_text());
        vm.delete(stream);
        vm
    }
}

/// A POST with a good token.
pub fn good_post() -> Request {
    Request::post(PATH).bearer(&Token::good().sign())
}

/// A request of MCP. Its id is 7.
pub fn message(method: &str, params: Value) -> String {
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).to_string()
}

/// The call of a tool.
pub fn call(tool: &str) -> String {
    message("tools/call", json!({"name": tool, "arguments": {"city": "Oslo"}}))
}

/// A server's list of tools.
pub fn tools(names: &[&str]) -> String {
    let tools: Vec<Value> = names.iter().map(|name| json!({"name": name, "inputSchema": {}})).collect();
    json!({"jsonrpc": "2.0", "id": 7, "result": {"tools": tools}}).to_string()
}

/// Every tool that rules know.
pub fn all_tools() -> String {
    tools(&[TOOL, ADMIN_TOOL, DENIED_TOOL])
}

/// A request for the list of tools, gone upstream.
#[track_caller]
pub fn asked(vm: &mut Vm, request: Request) -> Stream {
    let stream = vm.request(request);
    vm.send(stream, message("tools/list", json!({})), true);
    assert!(vm.upstream(stream).ended, "{:?}\n{}", vm.outcome(stream), vm.world().log_text());
    stream
}

/// A server's answer, with a length that filtering makes wrong.
pub fn response(content_type: &str) -> Response {
    Response::status(200).header("content-type", content_type).header("content-length", "4711")
}
