//! What keeps requests from the filter, in the same file, and what Higress does in its own way.

use crate::forms::{WASM, expect, good, istio, manifest, string_value};

const FILTER: &str = "type.googleapis.com/envoy.config.route.v3.FilterConfig";

fn plugin() -> String {
    format!("{{ {WASM}, config: {{ configuration: {} }} }}", string_value(&good()))
}

fn listener(filters: &str, route: &str) -> String {
    format!("typed_config:\n  route_config: {{ virtual_hosts: [{{ {route} }}] }}\n  http_filters: [{filters}]\n")
}

fn entry(more: &str) -> String {
    format!("{{ name: mcp{more}, typed_config: {} }}", plugin())
}

const OFF: Option<&str> =
    Some("warning disabled: requests pass unchecked wherever this filter is not switched on again");

#[test]
fn a_filter_that_is_off_for_some_routes_is_a_finding() {
    let route = |list: &str, name: &str, config: &str| {
        listener(&entry(""), &format!("{list}: {{ {name}: {{ \"@type\": {FILTER}, {config} }} }}"))
    };
    let snake = "typed_per_filter_config";
    let skip = "\"@type\": type.googleapis.com/envoy.extensions.filters.common.matcher.action.v3.SkipFilter";
    let matcher =
        |action: &str| format!("matcher: {{ on_no_match: {{ action: {{ name: a, typed_config: {{ {action} }} }} }} }}");
    expect(&[
        ("on", listener(&entry(""), ""), None),
        ("on for a route", route(snake, "mcp", "disabled: false"), None),
        ("not said", route(snake, "mcp", "disabled: null"), None),
        ("off for a route", route(snake, "mcp", "disabled: true"), OFF),
        ("off for a route, in the other spelling", route("typedPerFilterConfig", "mcp", "disabled: true"), OFF),
        ("another filter's", route(snake, "other", "disabled: true"), None),
        (
            "skipped for a route",
            route(snake, "mcp", &matcher(skip)),
            Some("warning matcher: requests pass unchecked wherever"),
        ),
        ("not skipped for a route", route(snake, "mcp", &matcher("a: 1")), None),
        (
            "in another document",
            format!(
                "{}---\n{}",
                listener(&entry(""), ""),
                "x: { typed_per_filter_config: { mcp: { disabled: true } } }\n"
            ),
            OFF,
        ),
    ]);
}

#[test]
fn a_filter_that_is_off_where_it_stands_is_a_finding() {
    let discovered = |more: &str| {
        listener(&format!("{{ name: mcp{more}, config_discovery: {{ default_config: {} }} }}", plugin()), "")
    };
    let wrapped = |more: &str, action: &str| {
        let kind = "type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher";
        let matcher =
            format!("xds_matcher: {{ on_no_match: {{ action: {{ typed_config: {{ \"@type\": a/{action} }} }} }} }}");
        let inner = format!("extension_config: {{ name: x, typed_config: {} }}", plugin());
        listener(&format!("{{ name: mcp{more}, typed_config: {{ \"@type\": {kind}, {matcher}, {inner} }} }}"), "")
    };
    let skip = "envoy.extensions.filters.common.matcher.action.v3.SkipFilter";
    let router = "{ name: router, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } }";
    expect(&[
        ("discovered", discovered(""), None),
        ("discovered, and off", discovered(", disabled: true"), OFF),
        ("with a matcher", wrapped("", "other"), None),
        ("with a matcher, and off", wrapped(", disabled: true", "other"), OFF),
        ("skipped", wrapped("", skip), Some("warning matcher: requests pass unchecked wherever this matcher skips")),
        ("before the router", listener(&format!("{}, {router}", entry("")), ""), None),
        (
            "behind the router",
            listener(&format!("{router}, {}", entry("")), ""),
            Some("error http_filters: this filter stands behind the router"),
        ),
        ("needed", listener(&entry(", is_optional: false"), ""), None),
        (
            "not needed",
            listener(&entry(", is_optional: true"), ""),
            Some("warning is_optional: an Envoy that does not know Wasm"),
        ),
    ]);
}

#[test]
fn patches_that_undo_others_are_findings() {
    let patches = |patch: &str| {
        let value = entry("");
        let insert = format!("{{ applyTo: HTTP_FILTER, patch: {{ operation: INSERT_FIRST, value: {value} }} }}");
        manifest("networking.istio.io", "EnvoyFilter", &format!("configPatches: [{insert}, {patch}]"))
    };
    let matching = |name: &str, patch: &str| {
        patches(&format!(
            "{{ match: {{ listener: {{ filterChain: {{ filter: {{ subFilter: {{ name: {name} }} }} }} }} }}, patch: {{ {patch} }} }}"
        ))
    };
    let merge = |value: &str| patches(&format!("{{ patch: {{ operation: MERGE, value: {{ {value} }} }} }}"));
    let open = format!("typed_config: {{ {WASM}, config: {{ failure_policy: FAIL_OPEN }} }}");
    let removed = Some("warning patch.operation: this patch takes the filter out");
    let fails = Some("error failure_policy: requests would pass unchecked");
    expect(&[
        ("none", patches("{}"), None),
        ("removed", matching("mcp", "operation: REMOVE"), removed),
        ("another removed", matching("other", "operation: REMOVE"), None),
        ("something before it", matching("mcp", "operation: INSERT_BEFORE, value: { name: a }"), None),
        ("merged", merge("name: mcp, disabled: true"), OFF),
        ("merged, by what it matches", matching("mcp", "operation: MERGE, value: { disabled: true }"), OFF),
        ("merged into another", merge("name: other, disabled: true"), None),
        ("merged, open", merge(&format!("name: mcp, {open}")), fails),
        ("merged, open, by what it matches", matching("mcp", &format!("operation: MERGE, value: {{ {open} }}")), fails),
        ("merged, closed", merge(&format!("name: mcp, {}", open.replace("FAIL_OPEN", "FAIL_RELOAD"))), None),
        ("merged into another, open", merge(&format!("name: other, {open}")), None),
        (
            "merged, for a route",
            merge(&format!("typed_per_filter_config: {{ mcp: {{ \"@type\": {FILTER}, disabled: true }} }}")),
            OFF,
        ),
    ]);
}

#[test]
fn a_plugin_that_sees_no_requests_is_a_finding() {
    let traffic = |more: &str| istio(&format!("{more}, pluginConfig: {}", good()));
    let extension = |more: &str, wasm: &str| {
        let spec = format!("{more} wasm: {{ {wasm} pluginConfig: {} }}", good());
        manifest("extensions.istio.io", "TrafficExtension", &spec)
    };
    let gateway = "targetRefs: [{ kind: Gateway, name: mcp }]";
    let kind = Some("error type: a plugin of this type sees no HTTP requests");
    let some = Some("warning match: requests pass unchecked wherever this does not match");
    let network = listener(&entry(""), "").replace("filters.http.wasm", "filters.network.wasm");
    expect(&[
        ("of connections", network, Some("error @type: a plugin of this kind sees no HTTP requests")),
        ("HTTP", traffic("type: HTTP"), None),
        ("not said", traffic("type: UNSPECIFIED_PLUGIN_TYPE"), None),
        ("NETWORK", traffic("type: NETWORK"), kind),
        ("NETWORK, of an extension", extension("", "type: NETWORK,"), kind),
        ("everything", traffic("match: [{ mode: CLIENT_AND_SERVER }]"), None),
        ("no choice", traffic("match: []"), None),
        ("a port", traffic("match: [{ mode: SERVER, ports: [{ number: 9 }] }]"), some),
        ("a port, and all", traffic("match: [{ ports: [{ number: 9 }] }, { ports: [] }]"), None),
        ("a port, of an extension", extension("match: [{ ports: [{ number: 9 }] }],", ""), some),
        ("a workload's way out", traffic("match: [{ mode: CLIENT }]"), some),
        ("a gateway's way out", traffic(&format!("{gateway}, match: [{{ mode: CLIENT }}]")), None),
        ("a gateway's way in", traffic(&format!("{gateway}, match: [{{ mode: SERVER }}]")), some),
        (
            "a gateway's way out, at a port",
            traffic(&format!("{gateway}, match: [{{ mode: CLIENT, ports: [{{ number: 9 }}] }}]")),
            some,
        ),
    ]);
}

#[test]
fn higress_has_its_own_ways() {
    let higress = |more: &str, resource: &str| {
        let configuration = good().replace("\"scopes\":", &format!("{resource}\"scopes\":"));
        manifest("extensions.higress.io", "WasmPlugin", &format!("{more} defaultConfig: {configuration}"))
    };
    let secret = r#""sessions": { "key_variable": "MCP_KEYS" }, "#;
    expect(&[
        ("closed", higress("failStrategy: FAIL_CLOSE,", ""), None),
        ("closed, because it is not set", higress("failStrategy: null,", ""), None),
        (
            "Istio's",
            higress("failStrategy: FAIL_RELOAD,", ""),
            Some("error failStrategy: requests would pass unchecked"),
        ),
        ("a variable", higress("vmConfig: { env: [{ name: MCP_KEYS, valueFrom: HOST }] },", secret), None),
        ("a variable that is not passed on", higress("", secret), Some("`MCP_KEYS` is not passed on")),
        (
            "a secret in the file",
            higress("vmConfig: { env: [{ name: MCP_KEYS, value: s3cr3t }] },", secret),
            Some("error MCP_KEYS: the secret `MCP_KEYS` stands in the manifest"),
        ),
        (
            "a secret in the file, after a variable of this name",
            higress(
                "vmConfig: { env: [{ name: MCP_KEYS, valueFrom: HOST }, { name: MCP_KEYS, value: s3cr3t }] },",
                secret,
            ),
            Some("error MCP_KEYS: the secret `MCP_KEYS` stands in the manifest"),
        ),
    ]);
}
