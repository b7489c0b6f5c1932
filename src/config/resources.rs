//! `resources`: what is protected, and how each presents itself.

use core::time::Duration;

use alloc::{
    borrow::{Cow, ToOwned},
    string::String,
    sync::Arc,
    vec::Vec,
};

use super::{
    DAY, HOUR, Surroundings, dpop,
    reader::{At, Findings, Members},
    rules, scopes, static_tokens,
    upstream_credential::read_upstream_credential,
};
use crate::{
    cors::{EXPOSE_HEADERS, MAX_AGE, Origins},
    dpop::DpopPolicy,
    mac::MacKeys,
    metadata::{Binding, Description, Document},
    page::Page,
    policy::{HoldRequests, Policy, ResourcePolicy},
    provider::Provider,
    report_only::ReportOnly,
    resource::ResourceUri,
    routes::is_well_known,
    scope::Scope,
    session::SessionKeys,
    static_token::{Entry, StaticTokens},
    upstream_credential::UpstreamCredential,
};

/// More origins than one server is used from.
const MAX_ORIGINS: usize = 100;

/// Adds a resource to the policy. Its static tokens are handed back, because who they are told to be, and what is denied to
/// them, is known when everything was read.
pub(super) fn read_resource(
    at: &At<'_>,
    surroundings: Surroundings<'_>,
    policy: &mut Policy,
    findings: &mut Findings,
) -> Option<Vec<Entry>> {
    const KNOWN: [&str; 20] = [
        "resource",
        "authorization_servers",
        "audiences",
        "scopes",
        "host_default",
        "metadata",
        "rules",
        "default",
        "anonymous_methods",
        "body",
        "filter_lists",
        "sessions",
        "dpop",
        "mutual_tls",
        "static_tokens",
        "origins",
        "cors",
        "upstream_credential",
        "report_only",
        "browser_page",
    ];
    let members = findings.object(at, &KNOWN)?;
    let issuers = match members.get("authorization_servers") {
        Some(at) => read_issuer_list(&at, policy, findings),
        None => (0..policy.authorization_servers.len()).collect(),
    };
    let asked =
        |index: &&usize| policy.authorization_server(**index).is_some_and(|server| server.introspection.is_some());
    if issuers.iter().filter(asked).count() > 1 {
        let why = "has two authorization servers with `introspection`: whose an opaque token is, nobody could tell";
        findings.add(&at.path, why);
    }
    let audiences = members.get("audiences").map(|at| {
        let before = findings.0.len();
        let audiences: Vec<String> = findings.texts(&at).into_iter().map(|(_, text)| text.into_owned()).collect();
        if audiences.is_empty() && findings.0.len() == before {
            findings.add(&at.path, "is empty: no token could be accepted");
        }
        audiences
    });
    let providers: Vec<Provider> =
        issuers.iter().filter_map(|index| Some(policy.authorization_server(*index)?.provider)).collect();
    if audiences.is_none()
        && let Some(needed) = providers.iter().find_map(|provider| provider.preset().audience)
    {
        findings.add(&members.place("audiences"), alloc::format!("is missing: {needed}"));
    }
    let (scopes, advertised) =
        scopes::read_scopes(members.get("scopes"), scope_base(&providers, audiences.as_deref()), findings);
    let report_only = findings.truth(members.get("report_only")).then(ReportOnly::of_setting);
    let mut access = rules::read_access(&members, surroundings.hold_requests, &mut policy.conditions, findings);
    if let Some(access) = access.as_mut().filter(|_| report_only.is_some()) {
        // Nothing is hidden where nothing is enforced.
        access.filter_lists = false;
    }
    let sessions = members.get("sessions").and_then(|at| {
        let members = findings.object(&at, &["key_variable"])?;
        read_keys(&members, surroundings, findings).map(SessionKeys)
    });
    let static_tokens = members.get("static_tokens").map(|at| static_tokens::read_static_tokens(&at, findings));
    let dpop = members.get("dpop").and_then(|at| dpop::read_dpop(&at, surroundings, findings));
    if static_tokens.as_ref().is_some_and(|tokens| !tokens.is_empty())
        && dpop.as_ref().is_some_and(|dpop| dpop.required)
    {
        findings.add(&members.place("static_tokens"), "are bound to no key, so `dpop.required` refuses them all");
    }
    let mutual_tls = findings.truth(members.get("mutual_tls"));
    let upstream_credential = members
        .get("upstream_credential")
        .and_then(|at| read_upstream_credential(&at, surroundings, static_tokens.is_some(), policy, findings));
    if report_only.is_some()
        && access.is_some()
        && surroundings.hold_requests == Some(HoldRequests::Body)
        && let Some(at) = members.get("upstream_credential").filter(|_| gives_something(upstream_credential.as_ref()))
    {
        let why = "would go ahead, with `hold_requests: body`, of a body that is only reported: `report_only` needs `headers` here";
        findings.add(&at.path, why);
    }
    let origins = read_origins(&members, findings);
    let host_default = findings.truth(members.get("host_default"));
    let (description, max_age) = read_metadata(members.get("metadata"), findings);
    let browser_page = members.get("browser_page");
    let page = (browser_page.is_none() || findings.truth(browser_page)).then(|| Page::new(&description));

    let Some(resource) = members.get("resource") else {
        findings.add(&members.place("resource"), "is missing");
        return None;
    };
    let uri = findings.parsed(&resource, ResourceUri::parse)?;
    if is_well_known(uri.base_path()) {
        findings.add(&resource.path, "lies where OAuth metadata is served, so no request would reach it");
    }
    let index = policy.resources.len();
    route(&uri, &resource.path, host_default, index, policy, findings);

    let issuer_texts: Vec<&str> =
        issuers.iter().filter_map(|index| Some(policy.authorization_server(*index)?.issuer.as_str())).collect();
    let advertised: Vec<&str> = advertised.iter().map(Scope::as_str).collect();
    let dpop = dpop.map(|dpop| DpopPolicy { origin: uri.origin(), ..dpop });
    let binding = Binding { dpop: dpop.as_ref(), mutual_tls };
    let document = Document::new(uri.as_str(), &issuer_texts, &advertised, binding, &description, max_age);
    let mut resource = ResourcePolicy {
        issuers,
        audiences: audiences.unwrap_or_else(|| uri.audiences()),
        bare_challenge: Arc::default(),
        scopes,
        access,
        sessions,
        static_tokens: StaticTokens::default(),
        origins,
        dpop_algorithms: dpop.as_ref().map(DpopPolicy::algorithms).unwrap_or_default(),
        dpop,
        mutual_tls,
        metadata_url: uri.metadata_url(),
        document,
        page,
        upstream_credential: upstream_credential.unwrap_or_default(),
        uri: uri.as_str().into(),
        index,
        report_only,
    };
    resource.bare_challenge = ResourcePolicy::challenge_without_error(resource.terms(), &resource.scopes.challenged);
    policy.resources.push(resource);
    Some(static_tokens.unwrap_or_default())
}

const fn gives_something(credential: Option<&UpstreamCredential>) -> bool {
    !matches!(credential, None | Some(UpstreamCredential::None))
}

/// Where clients ask for scopes, if all servers that they may ask say the same.
fn scope_base<'a>(providers: &[Provider], audiences: Option<&'a [String]>) -> Option<&'a str> {
    let (first, others) = providers.split_first()?;
    first.scope_base(audiences?).filter(|_| others.iter().all(|other| other == first))
}

/// Enters a resource and its documents into the routes.
fn route(
    uri: &ResourceUri,
    place: &str,
    host_default: bool,
    index: usize,
    policy: &mut Policy,
    findings: &mut Findings,
) {
    let is_default = host_default || uri.base_path().is_empty();
    for authority in uri.authorities() {
        let routes = &mut policy.routes;
        if !routes.add_resource(&authority, uri.base_path(), index) {
            findings.add(place, alloc::format!("`{}` has the host and path of another resource", uri.as_str()));
            return;
        }
        let documents = [Some(uri.base_path()), is_default.then_some("")];
        if !documents.into_iter().flatten().all(|path| routes.add_document(&authority, path, index)) {
            findings.add(place, alloc::format!("`{}` is a second default of its host", uri.as_str()));
            return;
        }
    }
}

fn read_issuer_list(at: &At<'_>, policy: &Policy, findings: &mut Findings) -> Vec<usize> {
    let before = findings.0.len();
    let mut issuers = Vec::new();
    for (path, text) in findings.texts(at) {
        let position = policy.authorization_servers.iter().position(|server| server.issuer.as_str() == text);
        match position {
            Some(index) if issuers.contains(&index) => findings.add(&path, alloc::format!("`{text}` is listed twice")),
            Some(index) => issuers.push(index),
            None => findings.wrong(&path, &text, &"is no configured issuer"),
        }
    }
    if issuers.is_empty() && findings.0.len() == before {
        findings.add(&at.path, "is empty: no token could be accepted");
    }
    issuers
}

/// Keys are secret, so the configuration only names the environment variable that holds them.
pub(super) fn read_keys(
    members: &Members<'_>,
    surroundings: Surroundings<'_>,
    findings: &mut Findings,
) -> Option<MacKeys> {
    let Some(at) = members.get("key_variable") else {
        findings.add(&members.place("key_variable"), "is missing");
        return None;
    };
    let name = findings.text(&at)?;
    let Some(value) = (surroundings.environment)(&name) else {
        findings.wrong_variable(&at.path, &name, &"is not set");
        return None;
    };
    let keys = MacKeys::parse(&value);
    keys.map_err(|error| findings.wrong_variable(&at.path, &name, &error)).ok()
}

fn read_origins(members: &Members<'_>, findings: &mut Findings) -> Origins {
    let mut origins = Origins::default();
    if let Some(at) = members.get("origins") {
        let listed = findings.items(&at);
        if listed.len() > MAX_ORIGINS {
            findings.add(&at.path, alloc::format!("has `{}` entries, more than {MAX_ORIGINS}", listed.len()));
        }
        origins.allowed = Some(listed.iter().filter_map(|at| findings.parsed(at, parse_origin)).collect());
    }
    let Some(cors) = members.get("cors").and_then(|at| findings.object(&at, &["expose_headers", "max_age"])) else {
        return origins;
    };
    if let Some(at) = cors.get("expose_headers") {
        let names: Vec<Arc<str>> =
            findings.items(&at).iter().filter_map(|at| findings.parsed(at, parse_exposed)).collect();
        let all: Vec<&str> = core::iter::once(EXPOSE_HEADERS).chain(names.iter().map(|name| &**name)).collect();
        origins.expose = all.join(", ").into();
    }
    origins.max_age = findings.duration(cors.get("max_age"), MAX_AGE, Duration::ZERO..=DAY);
    origins
}

/// An origin as browsers write it (RFC 6454 section 6.2); the scheme may be an extension's.
fn parse_origin(text: &str) -> Result<Arc<str>, &'static str> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-+._:[]".contains(&byte);
    let Some((scheme, authority)) = text.split_once("://") else {
        return Err("is no origin: write scheme://host or scheme://host:port");
    };
    let is_default =
        matches!((scheme, authority.rsplit_once(':')), ("https", Some((_, "443"))) | ("http", Some((_, "80"))));
    match () {
        () if scheme.is_empty() || authority.is_empty() => {
            Err("is no origin: write scheme://host or scheme://host:port")
        }
        () if !text.replacen("://", "", 1).bytes().all(legal) => {
            Err("is no origin: only lower case, no path, no wildcard")
        }
        () if is_default => Err("names the default port of its scheme, which browsers leave out"),
        () => Ok(text.into()),
    }
}

fn parse_exposed(text: &str) -> Result<Arc<str>, &'static str> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if text.bytes().all(legal) { Ok(text.into()) } else { Err("is no header name") }
}

fn read_metadata(at: Option<At<'_>>, findings: &mut Findings) -> (Description, Duration) {
    let known = ["resource_name", "resource_documentation", "resource_policy_uri", "resource_tos_uri", "max_age"];
    let Some(members) = at.and_then(|at| findings.object(&at, &known)) else {
        return (Description::default(), HOUR);
    };
    let mut page = |name| members.get(name).and_then(|at| findings.parsed(&at, parse_page));
    let documentation = page("resource_documentation");
    let policy_uri = page("resource_policy_uri");
    let tos_uri = page("resource_tos_uri");
    let name = members.get("resource_name").and_then(|at| findings.text(&at)).map(Cow::into_owned);
    let max_age = findings.duration(members.get("max_age"), HOUR, Duration::ZERO..=DAY);
    (Description { name, documentation, policy_uri, tos_uri }, max_age)
}

/// A page for people: it is shown, never compared, so any http or https URL will do.
fn parse_page(text: &str) -> Result<String, &'static str> {
    let url = url::Url::parse(text).map_err(|_| "is not an absolute URL")?;
    if matches!(url.scheme(), "http" | "https") { Ok(text.to_owned()) } else { Err("is neither http nor https") }
}
