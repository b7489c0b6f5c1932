//! A route of the proxy names the resource that it is for.

use serde_json::{Value, json};
use wasm_host_tests::{
    Fault, Idp, Key, PATH, RESOURCE, Request, STATUSES, Token, Vm, fetching_config, good_post, inline_config,
};

const GET: &str = "proxy_get_property";
const NOT_FOUND: u32 = 1;
const OTHER: &str = "https://other.example.com/news";

/// What the route names, and why the request is refused if it is.
type Row = (Option<&'static [u8]>, Result<(), &'static str>);

fn with_routes(mut config: Value) -> Value {
    config["resources"].as_array_mut().expect("a list").push(json!({"resource": OTHER}));
    config["route_metadata"] = json!(true);
    config
}

fn vm(names: Option<&[u8]>) -> Vm {
    let mut vm = Vm::start(with_routes(inline_config(&[Key::GOOD])).to_string());
    vm.world().route_resource = names.map(<[u8]>::to_vec);
    vm
}

#[test]
fn a_route_names_one_configured_resource_exactly() {
    let rows: [Row; 9] = [
        (None, Ok(())),
        (Some(RESOURCE.as_bytes()), Ok(())),
        (Some(OTHER.as_bytes()), Err("mcp_oauth_token_audience")),
        (Some(b"https://mcp.example.com/nobody"), Err("mcp_oauth_route_resource")),
        (Some(b"https://mcp.example.com/weather/mcp/"), Err("mcp_oauth_route_resource")),
        (Some(b"HTTPS://mcp.example.com/weather/mcp"), Err("mcp_oauth_route_resource")),
        (Some(b""), Err("mcp_oauth_route_resource")),
        (Some(b"\xff"), Err("mcp_oauth_route_resource")),
        (Some(&[0; 8]), Err("mcp_oauth_route_resource")),
    ];
    for (name, expected) in rows {
        let mut vm = vm(name);
        let stream = vm.request(good_post());
        match expected {
            Ok(()) => drop(vm.forwarded(stream)),
            Err(reason) => assert_eq!(vm.replied(stream).details, reason, "{name:?}"),
        }
        assert_eq!(vm.world().counts[GET], 1, "one call per request");
    }
}

#[test]
fn a_named_resource_needs_no_host_and_no_path_of_its_own() {
    let mut named = vm(Some(OTHER.as_bytes()));
    let request = |token: &Token| Request::post("/anything").with(":authority", "gateway").bearer(&token.sign());
    let for_other = Token::good().claim("aud", OTHER);
    let stream = named.request(request(&for_other));
    named.forwarded(stream);
    let stream = named.request(Request::post("/anything").with(":authority", "gateway"));
    let challenge = named.replied(stream).challenge().to_owned();
    assert!(challenge.contains("https://other.example.com/.well-known/oauth-protected-resource/news"), "{challenge}");
    let stream = named.request(Request::post("/a/../b").bearer(&for_other.sign()));
    named.replied(stream).refuses(400, "invalid_request");
    let mut unnamed = vm(None);
    let stream = unnamed.request(request(&for_other));
    assert_eq!(unnamed.replied(stream).details, "mcp_oauth_unmatched");
}

#[test]
fn a_route_that_cannot_be_asked_is_refused() {
    for status in STATUSES {
        for unmatched in ["deny", "insecure_forward"] {
            let mut config = with_routes(inline_config(&[Key::GOOD]));
            config["unmatched"] = json!(unmatched);
            let mut vm = Vm::start(config.to_string());
            vm.world().fault(Fault::always(GET, status));
            let stream = vm.request(good_post());
            if status == NOT_FOUND {
                vm.forwarded(stream);
            } else {
                vm.replied(stream).refuses(503, "temporarily_unavailable");
                let stream = vm.request(Request::post("/elsewhere"));
                vm.replied(stream).refuses(503, "temporarily_unavailable");
            }
        }
    }
}

#[test]
fn a_request_that_waits_for_keys_remembers_what_its_route_named() {
    let mut vm = Vm::start(with_routes(fetching_config()).to_string());
    vm.world().route_resource = Some(OTHER.into());
    let good = vm.request(Request::post(PATH).bearer(&Token::good().claim("aud", OTHER).sign()));
    vm.world().route_resource = Some(RESOURCE.into());
    Idp::default().serve(&mut vm);
    vm.forwarded(good);
}

#[test]
fn without_the_setting_routes_are_not_asked() {
    let mut vm = Vm::start(inline_config(&[Key::GOOD]).to_string());
    vm.world().route_resource = Some(OTHER.into());
    let stream = vm.request(good_post());
    vm.forwarded(stream);
    assert_eq!(vm.world().counts.get(GET), None);
}
