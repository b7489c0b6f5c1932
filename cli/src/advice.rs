//! What is around a plugin configuration and makes the filter unsafe or useless.

use std::collections::{HashMap, HashSet};

use crate::{
    assumed::{Variable, is_variable_name, variables},
    check::{Finding, Severity},
    configuration::{Configuration, Readable},
    dialects,
    manifests::{Holder, Plugin, typed},
    node::{Node, Style, Value, shown},
};

/// Everything that can be said of a plugin without asking the core.
pub(crate) fn advise(plugin: &Plugin<'_>, readable: Option<&Readable>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(plugin.filter.and_then(sees_no_requests));
    kind_of_value(plugin, &mut findings);
    if let Configuration::Map(node) = plugin.configuration {
        read_otherwise(node, "", &mut HashSet::new(), &mut findings);
    }
    if let Some(readable) = readable
        && let Ok(tree) = readable.tree()
    {
        hold_requests(plugin, tree, readable, &mut findings);
        environment(plugin, tree, readable, &mut findings);
        if let Some(unmatched) = tree.get(&["unmatched"]).filter(|node| node.text() == Some("insecure_forward")) {
            let reason = "requests that no resource is for are forwarded unchecked";
            findings.push(Finding::new(Severity::Note, readable.in_file(unmatched.at), "unmatched", reason, ""));
        }
    }
    findings
}

fn sees_no_requests(filter: &Node) -> Option<Finding> {
    const KIND: &str = "envoy.extensions.filters.http.wasm.v3.Wasm";
    let (kind, _) = typed(filter).filter(|(kind, _)| !kind.ends_with(&format!("/{KIND}")))?;
    let reason = "a plugin of this kind sees no HTTP requests, so they pass unchecked";
    let cure = format!("write type.googleapis.com/{KIND}, in `http_filters`");
    let finding = Finding::new(Severity::Error, filter.at, "@type", reason, cure);
    Some(Finding { value: Some(shown(kind)), ..finding })
}

/// What can be said of the settings beside it, which several configurations may share.
pub(crate) fn advise_around(plugin: &Plugin<'_>) -> Vec<Finding> {
    let mut findings = settings(plugin.around, plugin.holder);
    findings.extend(placeholder(plugin));
    match plugin.holder {
        Holder::Higress => rules(plugin.around, &mut findings),
        Holder::Istio => {
            let spec = plugin.document.get(&["spec"]).filter(|spec| !std::ptr::eq(&***spec, plugin.around));
            traffic(plugin.around, &mut findings);
            if let Some(spec) = spec {
                traffic(spec, &mut findings);
            }
        }
        Holder::Itself | Holder::Envoy | Holder::EnvoyGateway => {}
    }
    findings
}

/// The image that the manifests under deploy/ and those of `init` have: no findings, and nothing that a proxy could fetch.
fn placeholder(plugin: &Plugin<'_>) -> Option<Finding> {
    let url = match plugin.holder {
        Holder::Istio | Holder::Higress => plugin.around.get(&["url"]).map(|url| &**url),
        Holder::EnvoyGateway => plugin.around.find(&[&["code"], &["image"], &["url"]]),
        Holder::Itself | Holder::Envoy => None,
    }?;
    let is_zero = |digest: &str| !digest.is_empty() && digest.bytes().all(|digit| digit == b'0');
    let text = url.text()?;
    let is_of_nobody = text.trim_start_matches("oci://").starts_with("registry.example.com/");
    (is_of_nobody || text.split_once("@sha256:").is_some_and(|(_, digest)| is_zero(digest))).then(|| {
        let reason = "this image is the placeholder of the manifest, which no registry has";
        let cure = "write yours, with the digest that `make push` says";
        Finding::new(Severity::Note, url.at, "url", reason, cure)
    })
}

/// What can be said of the settings alone.
pub(crate) fn settings(around: &Node, holder: Holder) -> Vec<Finding> {
    let mut findings = Vec::new();
    fail_open(around, holder, &mut findings);
    let runtime = around.field("vm_config").and_then(|vm| vm.field("runtime"));
    if let Some(runtime) = runtime.filter(|runtime| runtime.text() == Some("envoy.wasm.runtime.null")) {
        let reason = "this runtime runs what is built into Envoy, and no module";
        let cure = "write envoy.wasm.runtime.v8";
        let finding = Finding::new(Severity::Error, runtime.at, "vm_config.runtime", reason, cure);
        findings.push(Finding { value: Some(written(runtime)), ..finding });
    }
    findings
}

/// Higress' `matchRules`. Those that are not switched off it hands over, as `_rules_` in the configuration.
fn rules(spec: &Node, findings: &mut Vec<Finding>) {
    let switch = |node: &Node, name| switched_off(name, node.get(&[name])?);
    let rules = spec.get(&["matchRules"]).map(|rules| rules.items()).unwrap_or_default();
    findings.extend(switch(spec, "defaultConfigDisable"));
    findings.extend(rules.iter().filter_map(|rule| switch(rule, "configDisable")));
    let is_off = |rule: &Node| rule.get(&["configDisable"]).is_some_and(|off| off.is_true());
    if let Some(rule) = rules.iter().find(|rule| !is_off(rule)) {
        let reason = "Higress puts `_rules_` into the configuration, which the filter refuses as an unknown key";
        let cure =
            "write one `defaultConfig` with all resources, which are told apart by host and path, and no `matchRules`";
        findings.push(Finding::new(Severity::Error, rule.at, "matchRules", reason, cure));
    }
}

/// Which traffic Istio's manifest is for: of HTTP, and all of it.
fn traffic(spec: &Node, findings: &mut Vec<Finding>) {
    if let Some(kind) =
        spec.field("type").filter(|kind| !matches!(kind.text(), Some("HTTP" | "UNSPECIFIED_PLUGIN_TYPE")))
    {
        let reason = "a plugin of this type sees no HTTP requests, so they pass unchecked";
        let finding = Finding::new(Severity::Error, kind.at, "type", reason, "write HTTP, or leave it out");
        findings.push(Finding { value: Some(written(kind)), ..finding });
    }
    let Some(all) = spec.field("match").filter(|all| !all.items().is_empty()) else { return };
    let targets = spec.field("targetRefs").map(Node::items).unwrap_or_default();
    let targets = || targets.iter().map(|target| &**target).chain(spec.field("targetRef"));
    // Where all requests are on their way out, as Istio's reference has it.
    let is_gateway = targets().count() > 0 && targets().all(|target| target.text_of(&["kind"]) == Some("Gateway"));
    let is_all = |one: &Node| {
        one.field("ports").is_none_or(|ports| ports.items().is_empty())
            && one.field("mode").is_none_or(|mode| match mode.text() {
                Some("CLIENT_AND_SERVER" | "UNDEFINED") => true,
                Some("CLIENT") => is_gateway,
                _ => false,
            })
    };
    if !all.items().iter().any(|one| is_all(one)) {
        let reason = "requests pass unchecked wherever this does not match";
        let cure = "leave it out; what needs no token is for `unmatched`, `anonymous_methods` or a gateway of its own";
        findings.push(Finding::new(Severity::Warning, all.at, "match", reason, cure));
    }
}

/// Off by default and on for some routes is off for all routes that come later.
pub(crate) fn switched_off(name: &str, node: &Node) -> Option<Finding> {
    let reason = "requests pass unchecked wherever this filter is not switched on again";
    let cure = "write false; what needs no token is for `unmatched`, `anonymous_methods` or a listener of its own";
    let is_off = !matches!(node.value, Value::Truth(false) | Value::Null);
    let finding = || Finding::new(Severity::Warning, node.at, name, reason, cure);
    is_off.then(|| Finding { value: Some(written(node)), ..finding() })
}

/// Only what is known to be closed counts: proxies read `fail_open`, `3`, `0x3` and `yes` too. Null is unset, which is closed.
fn fail_open(around: &Node, holder: Holder, findings: &mut Vec<Finding>) {
    let given = |name: &str| around.get(&[name]).filter(|node| !matches!(node.value, Value::Null));
    for name in ["failure_policy", "failurePolicy", "failStrategy"] {
        let Some(node) = given(name) else { continue };
        let (closed, cure): (&[&str], _) = match (name, holder) {
            ("failStrategy", Holder::Higress) => (&["FAIL_CLOSE"], "write FAIL_CLOSE"),
            ("failStrategy", _) => (&["FAIL_CLOSE", "FAIL_RELOAD"], "write FAIL_CLOSE or FAIL_RELOAD"),
            _ => (&["FAIL_RELOAD", "FAIL_CLOSED", "UNSPECIFIED"], "write FAIL_RELOAD"),
        };
        if !node.text().is_some_and(|text| closed.contains(&text)) {
            findings.push(unsafe_setting(node, name, cure));
        }
    }
    for name in ["fail_open", "failOpen"] {
        if let Some(node) = given(name).filter(|node| !node.is_false()) {
            findings.push(unsafe_setting(node, name, "write false"));
        }
    }
}

fn unsafe_setting(node: &Node, name: &str, cure: &str) -> Finding {
    let reason = "requests would pass unchecked whenever the filter cannot run or its configuration is refused";
    Finding { value: Some(written(node)), ..Finding::new(Severity::Error, node.at, name, reason, cure) }
}

pub(crate) fn written(node: &Node) -> String {
    match &node.value {
        Value::Text { text: value, .. } | Value::Number(value) => shown(value),
        Value::Truth(truth) => truth.to_string(),
        _ => "something else".to_owned(),
    }
}

/// What is here another configuration than in the cluster: `kubectl` and most others read YAML 1.1. What aliases share, once.
fn read_otherwise(node: &Node, path: &str, seen: &mut HashSet<*const Node>, findings: &mut Vec<Finding>) {
    if !seen.insert(node) {
        return;
    }
    match &node.value {
        Value::Text { text, style: Style::Plain } if dialects::is_read_otherwise(text) => {
            let reason = "this is a text for some readers of YAML, and a truth value or a number for others";
            let cure = "put it in quotes if it is a text, else write true, false or a decimal number";
            // What is longer than `false` may be a secret in digits.
            let value = Some(text).filter(|text| text.len() <= 5).map(|text| shown(text));
            findings.push(Finding { value, ..Finding::new(Severity::Error, node.at, path, reason, cure) });
        }
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                read_otherwise(item, &format!("{path}[{index}]"), seen, findings);
            }
        }
        Value::Map(members) => {
            for member in members {
                let dot = if path.is_empty() { "" } else { "." };
                read_otherwise(&member.node, &format!("{path}{dot}{}", shown(&member.name)), seen, findings);
            }
        }
        _ => {}
    }
}

/// What is not handed over as the JSON that it looks like: Envoy takes a text in a `StringValue` or bytes in a `BytesValue`,
/// and gives a module any other message as protobuf; the resources of Kubernetes take an object, and hand over a text with its
/// quotes.
fn kind_of_value(plugin: &Plugin<'_>, findings: &mut Vec<Finding>) {
    if plugin.holder != Holder::Envoy {
        if let Configuration::Text(node) = plugin.configuration {
            let reason = "the filter would get a JSON text and not the object in it";
            let cure = "write the configuration as an object, without quotes around it";
            findings.push(Finding::new(Severity::Error, node.at, "configuration", reason, cure));
        }
        return;
    }
    let is_missing = matches!(plugin.configuration, Configuration::Missing(_));
    let Some(any) = plugin.around.get(&["configuration"]).filter(|_| !is_missing) else { return };
    let kind = any.get(&["@type"]);
    // What has no slash is no type URL, and refused.
    let is_value = |text: &str| {
        ["StringValue", "BytesValue"].iter().any(|kind| text.ends_with(&format!("/google.protobuf.{kind}")))
    };
    let is_text = kind.and_then(|node| node.text()).is_some_and(is_value)
        && any.get(&["value"]).is_some_and(|value| value.text().is_some());
    if !is_text {
        let reason = "the filter would get protobuf and not JSON";
        let cure = "write the JSON as `value` of a type.googleapis.com/google.protobuf.StringValue";
        let at = kind.map_or(any.at, |node| node.at);
        findings.push(Finding::new(Severity::Error, at, "configuration.@type", reason, cure));
    } else if let Some(other) = any.members().iter().find(|member| !matches!(&*member.name, "@type" | "value")) {
        let reason = "Envoy refuses what stands beside `@type` and `value`";
        let path = format!("configuration.{}", shown(&other.name));
        findings.push(Finding::new(Severity::Error, other.at, &path, reason, "delete it"));
    }
}

fn hold_requests(plugin: &Plugin<'_>, tree: &Node, readable: &Readable, findings: &mut Vec<Finding>) {
    let reads = |resource: &Node| {
        let has_items = |name| resource.get(&[name]).is_some_and(|list| !list.items().is_empty());
        has_items("rules") || has_items("anonymous_methods") || resource.text_of(&["default"]) == Some("deny")
    };
    let reads = tree.get(&["resources"]).is_some_and(|all| all.items().iter().any(|resource| reads(resource)));
    let Some(held) = tree.get(&["hold_requests"]).filter(|held| reads && held.text() == Some("headers")) else {
        return;
    };
    let at = readable.in_file(held.at);
    match plugin.holder {
        Holder::Envoy => {
            let names = ["allow_on_headers_stop_iteration", "allowOnHeadersStopIteration"];
            if !plugin.around.get(&names).is_some_and(|allowed| allowed.is_true()) {
                let reason = "Envoy does not deliver the bodies of requests whose head is held";
                let cure = "write `allow_on_headers_stop_iteration: true` beside `failure_policy`";
                findings.push(Finding::new(Severity::Error, at, "hold_requests", reason, cure));
            }
        }
        Holder::Istio | Holder::EnvoyGateway | Holder::Higress => {
            let reason =
                "this kind of manifest has no `allow_on_headers_stop_iteration`, so held heads never get their bodies";
            findings.push(Finding::new(Severity::Error, at, "hold_requests", reason, "write \"body\""));
        }
        Holder::Itself => {}
    }
}

/// The variables that a manifest passes on, with the place of those whose value stands in it.
fn passed_on<'n>(plugin: &Plugin<'n>) -> Option<Vec<(&'n str, Option<usize>)>> {
    let around = plugin.around;
    let texts = |node: Option<&'n Node>| -> Vec<(&'n str, Option<usize>)> {
        let items = node.map(Node::items).unwrap_or_default();
        items.iter().filter_map(|item| Some((item.text()?, None))).collect()
    };
    match plugin.holder {
        Holder::Envoy => {
            let path: [&[&str]; 2] = [&["vm_config", "vmConfig"], &["environment_variables", "environmentVariables"]];
            let variables = around.find(&path);
            let keys = texts(variables.and_then(|all| all.find(&[&["host_env_keys", "hostEnvKeys"]])));
            let values = variables.and_then(|all| all.find(&[&["key_values", "keyValues"]]));
            let values = values.map(Node::members).unwrap_or_default();
            Some(keys.into_iter().chain(values.iter().map(|member| (&*member.name, Some(member.node.at)))).collect())
        }
        Holder::Istio | Holder::Higress => {
            let env = around.find(&[&["vmConfig"], &["env"]]).map(Node::items).unwrap_or_default();
            let one = |entry: &'n std::rc::Rc<Node>| {
                let is_host = entry.text_of(&["valueFrom"]) == Some("HOST");
                let value = entry.get(&["value"]).filter(|_| !is_host).map(|value| value.at);
                Some((entry.text_of(&["name"])?, value))
            };
            Some(env.iter().filter_map(one).collect())
        }
        Holder::EnvoyGateway => Some(texts(around.find(&[&["env"], &["hostKeys"]]))),
        Holder::Itself => None,
    }
}

fn environment(plugin: &Plugin<'_>, tree: &Node, readable: &Readable, findings: &mut Vec<Finding>) {
    let named = variables(tree);
    for Variable { setting, name, at } in &named {
        if !is_variable_name(name) {
            let reason = "this does not look like the name of an environment variable, and is not shown in case it is the secret";
            let cure = "write the name, in capitals, and put the secret into the proxy's environment";
            findings.push(Finding::new(Severity::Warning, readable.in_file(*at), setting, reason, cure));
        }
    }
    let Some(all) = passed_on(plugin) else { return };
    let mut passed: HashMap<&str, Option<usize>> = HashMap::new();
    for (name, value) in all {
        // Of two of a name, the one whose value stands there.
        let known = passed.entry(name).or_insert(value);
        *known = known.or(value);
    }
    let how = match plugin.holder {
        Holder::Istio | Holder::Higress => "`vmConfig.env` with `valueFrom: HOST`",
        Holder::EnvoyGateway => "`env.hostKeys`",
        _ => "`vm_config.environment_variables.host_env_keys`",
    };
    for Variable { setting, name: variable, at } in named.iter().filter(|variable| is_variable_name(variable.name)) {
        match passed.get(variable) {
            None => {
                let reason = format!("the environment variable `{variable}` is not passed on to the module");
                let cure = format!("name it in {how}");
                findings.push(Finding::new(Severity::Error, readable.in_file(*at), setting, reason, cure));
            }
            Some(Some(at)) => {
                let reason = format!(
                    "the secret `{variable}` stands in the manifest, for everybody who may read it or the proxy's config dump"
                );
                let cure = format!("put it into the proxy's environment and name it in {how}");
                findings.push(Finding::new(Severity::Error, *at, variable, reason, cure));
            }
            Some(None) => {}
        }
    }
}
