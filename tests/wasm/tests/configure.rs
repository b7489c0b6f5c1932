//! Configuration: both of Envoy's VMs judge alike, and a refused one forwards nothing.

use serde_json::{Value, json};
use wasm_host_tests::{EmptyBuffer, Key, PATH, Request, Token, Vm, fetching_config, inline_config};

/// One VM with one root, and whether it accepted.
fn configured(config: impl AsRef<[u8]>) -> (Vm, bool) {
    let mut vm = Vm::new();
    let (_, accepted) = vm.root(config);
    (vm, accepted)
}

/// Nothing gets past a root that has no good configuration: no request, no document.
fn assert_refuses_everything(vm: &mut Vm) {
    let good = Token::good().sign();
    for request in [
        Request::post(PATH).bearer(&good),
        Request::post(PATH),
        Request::get("/"),
        Request::get("/.well-known/oauth-protected-resource/weather/mcp"),
        Request::new("OPTIONS", PATH).header("origin", "https://a.example"),
    ] {
        let shown = format!("{request:?}");
        let stream = vm.request(request);
        let reply = vm.replied(stream);
        assert_eq!(reply.status, 503, "{shown}: {reply:?}");
        reply.refuses(503, "temporarily_unavailable");
    }
    assert!(vm.world().http_calls.is_empty(), "a refused configuration fetches nothing");
}

#[test]
fn both_vms_accept_the_same_good_bytes() {
    for config in [fetching_config(), inline_config(&[Key::GOOD])] {
        for name in ["canary", "worker"] {
            let (mut vm, accepted) = configured(config.to_string());
            assert!(accepted, "{name}: {}", vm.world().log_text());
            assert!(vm.world().errors().is_empty(), "{name}: {}", vm.world().log_text());
            let stream = vm.request(Request::post(PATH));
            vm.replied(stream).refuses(401, "missing_token");
        }
    }
}

/// A configuration with one change.
fn changed(pointer: &str, value: Value) -> String {
    let mut config = fetching_config();
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    config.pointer_mut(parent).expect(pointer)[name] = value;
    config.to_string()
}

#[test]
fn both_vms_refuse_the_same_bad_bytes_and_say_why() {
    let many = json!({
        "authorization_servers": [{"issuer": "http://idp.example.com", "cluster": "idp", "audeince": 1}],
        "resources": [{"resource": "http://mcp.example.com/mcp"}],
    });
    // The configuration, and the paths of its findings.
    let table: [(String, &[&str]); 9] = [
        (changed("/surprise", json!(1)), &["surprise"]),
        (changed("/authorization_servers/0/clock_skew", json!("6m")), &["authorization_servers[0].clock_skew"]),
        (changed("/authorization_servers/0/algorithms", json!(["none"])), &["authorization_servers[0].algorithms[0]"]),
        (changed("/authorization_servers/0/jwks", json!({"keys": 1})), &["authorization_servers[0].jwks"]),
        (changed("/resources/0/resource", json!("https://mcp.example.com/a/../b")), &["resources[0].resource"]),
        (changed("/resources/0/audiences", json!([])), &["resources[0].audiences"]),
        (changed("/resources", json!([])), &["resources"]),
        (changed("/unmatched", json!("forward")), &["unmatched"]),
        (
            many.to_string(),
            &["authorization_servers[0].issuer", "authorization_servers[0].audeince", "resources[0].resource"],
        ),
    ];
    for (config, paths) in table {
        let mut logs = Vec::new();
        for name in ["canary", "worker"] {
            let (mut vm, accepted) = configured(&config);
            assert!(!accepted, "{name} accepted {config}");
            let errors = vm.world().errors().join("\n");
            for path in paths {
                let line = format!("config: {path}: ");
                assert!(errors.lines().any(|error| error.contains(&line)), "no `{line}` in:\n{errors}");
            }
            logs.push(errors);
            assert_refuses_everything(&mut vm);
        }
        assert_eq!(logs[0], logs[1], "two VMs, two opinions");
    }
}

#[test]
fn each_finding_has_a_line_of_its_own() {
    let config = json!({
        "authorization_servers": [{"issuer": "http://idp.example.com", "cluster": "idp"}],
        "resources": [{"resource": "http://mcp.example.com/mcp"}],
    });
    let (mut vm, accepted) = configured(config.to_string());
    assert!(!accepted);
    let errors = vm.world().errors();
    let findings = errors.iter().filter(|error| error.starts_with("config: ")).count();
    assert_eq!(findings, 2, "{errors:#?}");
}

#[test]
fn bytes_that_are_no_json_object_are_refused() {
    let good = fetching_config().to_string();
    let mut table: Vec<Vec<u8>> = vec![
        format!("{good} trailing").into(),
        format!("{good}{good}").into(),
        good[..good.len() - 1].into(),
        format!("\u{feff}{good}").into(),
        "[]".into(),
        "null".into(),
        " ".into(),
        b"\xff\xfe\x00".into(),
        good.replace("weather.read", "\u{1}").into(),
        "[".repeat(100_000).into(),
        format!("{{\"resources\":{}", "{\"a\":".repeat(50_000)).into(),
    ];
    let mut not_utf8 = good.clone().into_bytes();
    let at = good.find("weather.read").expect("the scope is there");
    not_utf8[at] = 0xff;
    table.push(not_utf8);
    for config in table {
        for name in ["canary", "worker"] {
            let (mut vm, accepted) = configured(&config);
            let shown = config[..config.len().min(80)].escape_ascii();
            assert!(!accepted, "{name} accepted {shown}");
            assert!(!vm.world().errors().is_empty(), "{name} said nothing about {shown}");
            assert_refuses_everything(&mut vm);
        }
    }
    assert!(configured(good).1, "the sibling without a change");
}

#[test]
fn an_empty_configuration_is_refused_however_the_host_hands_it_over() {
    for style in [EmptyBuffer::Untouched, EmptyBuffer::Zero, EmptyBuffer::NotFound] {
        let mut vm = Vm::new();
        vm.world().empty_buffer = style;
        let (_, accepted) = vm.root("");
        assert!(!accepted, "{style:?}");
        assert_refuses_everything(&mut vm);
    }
}

#[test]
fn a_megabyte_of_configuration_is_read_whole() {
    let mut config = inline_config(&[Key::GOOD]);
    let first = config["resources"][0].clone();
    let more = (0..500).map(|n| {
        let mut resource = first.clone();
        resource["resource"] = json!(format!("https://mcp.example.com/more/{n}"));
        resource
    });
    config["resources"].as_array_mut().expect("an array").extend(more);
    let text = config.to_string().replace("}},{", &format!("}}}},{}{{", " ".repeat(2048)));
    assert!(text.len() > 1 << 20, "{}", text.len());
    let mut vm = Vm::start(text);
    let stream = vm.request(Request::post(PATH).bearer(&Token::good().sign()));
    vm.forwarded(stream);
    let stream = vm.request(Request::post("/more/499"));
    vm.replied(stream).refuses(401, "missing_token");
}

#[test]
fn roots_of_one_vm_keep_to_their_own_configurations() {
    let mut vm = Vm::new();
    let (first, accepted) = vm.root(inline_config(&[Key::GOOD]).to_string());
    assert!(accepted);
    let (refused, accepted) = vm.root("{}");
    assert!(!accepted);
    let (other, accepted) = vm.root(inline_config(&[Key::OTHER]).to_string());
    assert!(accepted);

    let good = Request::post(PATH).bearer(&Token::good().sign());
    let stream = vm.request_on(first, good.clone());
    vm.forwarded(stream);
    let stream = vm.request_on(refused, good.clone());
    vm.replied(stream).refuses(503, "temporarily_unavailable");
    let stream = vm.request_on(other, good);
    vm.replied(stream).refuses(401, "invalid_token");
    let stream = vm.request_on(other, Request::post(PATH).bearer(&Token::good().signed_by(Key::OTHER).sign()));
    vm.forwarded(stream);
}

#[test]
fn a_root_that_was_never_configured_refuses_everything() {
    let mut vm = Vm::new();
    vm.new_root(Vec::new());
    assert_refuses_everything(&mut vm);
}
