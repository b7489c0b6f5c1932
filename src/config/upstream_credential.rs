//! `upstream_credential` of a resource. Secrets are in environment variables, and no finding says anything of their values.

use core::time::Duration;

use alloc::{borrow::ToOwned, string::String, sync::Arc, vec::Vec};

use super::{
    DAY, HOUR, MINUTE, SECOND, Surroundings,
    client_authentication::{KNOWN, read_client_authentication},
    identity_headers::parse_header_name,
    reader::{At, Findings, Members},
    required_text,
    scopes::read_scope_list,
};
use crate::{
    metadata::Document,
    path::RequestPath,
    policy::{Policy, ResourcePolicy},
    resource::ResourceUri,
    routes::{Routes, is_well_known},
    scope::ScopeSet,
    secret::Secret,
    upstream_credential::{
        AUTHORIZATION, ClientCredentials, IdentityJwt, InsecureForwardClientToken, Line, MAX_TOKEN_BYTES, SigningKeys,
        TokenEndpoint, TokenExchange, UpstreamCredential,
    },
    uri::HttpUri,
};

/// How long whoever verifies with the public keys may keep them.
const JWKS_MAX_AGE: Duration = Duration::from_secs(300);

const MAX_TEXT_BYTES: usize = 1024;

pub(super) fn read_upstream_credential(
    at: &At<'_>,
    surroundings: Surroundings<'_>,
    has_static_tokens: bool,
    policy: &Policy,
    findings: &mut Findings,
) -> Option<UpstreamCredential> {
    const KINDS: [&str; 4] = ["header", "token_exchange", "client_credentials", "identity_jwt"];
    if !Findings::is_object(at) {
        return match findings.choice(Some(at.clone()), &[("none", false), ("insecure_forward_client_token", true)])? {
            false => Some(UpstreamCredential::None),
            true => Some(UpstreamCredential::InsecureForwardClientToken(InsecureForwardClientToken::of_setting())),
        };
    }
    let members = findings.object(at, &KINDS)?;
    let mut given = KINDS.into_iter().filter_map(|kind| Some((kind, members.get(kind)?)));
    let (Some((kind, at)), None) = (given.next(), given.next()) else {
        findings.add(&at.path, alloc::format!("does not have exactly one of {}", KINDS.join(", ")));
        return None;
    };
    Some(match kind {
        "header" => UpstreamCredential::Header(Arc::new(read_header(&at, surroundings, findings)?)),
        "token_exchange" => {
            if has_static_tokens {
                findings
                    .add(&at.path, "cannot be beside `static_tokens`, which no authorization server could exchange");
            }
            UpstreamCredential::TokenExchange(Arc::new(read_token_exchange(&at, surroundings, findings)?))
        }
        "client_credentials" => {
            let endpoint = read_endpoint(&at, &[], HOUR, surroundings, findings);
            UpstreamCredential::ClientCredentials(Arc::new(ClientCredentials { endpoint: endpoint?.1 }))
        }
        _ => UpstreamCredential::IdentityJwt(Arc::new(read_identity_jwt(&at, surroundings, policy, findings)?)),
    })
}

fn required<T, E: core::fmt::Display>(
    members: &Members<'_>,
    name: &str,
    parse: fn(&str) -> Result<T, E>,
    findings: &mut Findings,
) -> Option<T> {
    let at = members.get(name);
    if at.is_none() {
        findings.add(&members.place(name), "is missing");
    }
    findings.parsed(&at?, parse)
}

/// A secret, and the variable that has it.
struct Variable {
    place: String,
    name: String,
    value: String,
}

fn read_variable(
    members: &Members<'_>,
    member: &str,
    surroundings: Surroundings<'_>,
    findings: &mut Findings,
) -> Option<Variable> {
    let name = required_text(members, member, findings)?;
    let place = members.place(member);
    match (surroundings.environment)(&name) {
        None => findings.wrong_variable(&place, &name, &"is not set"),
        Some(value) if value.is_empty() => {
            findings.wrong_variable(&place, &name, &"is empty");
        }
        Some(value) => return Some(Variable { place, name: name.into_owned(), value }),
    }
    None
}

impl Variable {
    /// The value, if it is visible ASCII, perhaps with spaces in it.
    fn visible(self, spaces: bool, findings: &mut Findings) -> Option<String> {
        let Self { place, name, value } = self;
        let legal = |byte: u8| matches!(byte, 0x21..=0x7E) || spaces && byte == b' ';
        let fault = match () {
            () if value.len() > MAX_TOKEN_BYTES => "has more than 16 KiB",
            () if value.starts_with(' ') || value.ends_with(' ') => "begins or ends with a space",
            () if !value.bytes().all(legal) => "has characters other than visible ASCII",
            () => return Some(value),
        };
        findings.wrong_variable(&place, &name, &fault);
        None
    }
}

/// Unlike a header with an identity, one with a credential may be `Authorization`.
fn parse_credential_header(text: &str) -> Result<Arc<str>, &'static str> {
    if text == AUTHORIZATION { Ok(text.into()) } else { parse_header_name(text) }
}

fn read_header(at: &At<'_>, surroundings: Surroundings<'_>, findings: &mut Findings) -> Option<Line> {
    let members = findings.object(at, &["name", "prefix", "value_variable"])?;
    let name = required(&members, "name", parse_credential_header, findings);
    let prefix = match members.get("prefix") {
        Some(at) if Findings::is_empty_text(&at) => Some(String::new()),
        Some(at) => findings.parsed(&at, parse_prefix),
        None => Some(String::new()),
    };
    let value = read_variable(&members, "value_variable", surroundings, findings);
    let value = value.and_then(|value| value.visible(true, findings));
    Some(Line { name: name?, value: Secret::from(alloc::format!("{}{}", prefix?, value?)) })
}

fn parse_prefix(text: &str) -> Result<String, &'static str> {
    let is_visible = text.bytes().all(|byte| matches!(byte, 0x20..=0x7E));
    match () {
        () if !is_visible => Err("has characters other than visible ASCII"),
        () if text.starts_with(' ') => Err("begins with a space"),
        () if text.len() > MAX_TEXT_BYTES => Err("has more than 1024 characters"),
        () => Ok(text.to_owned()),
    }
}

fn read_token_exchange(at: &At<'_>, surroundings: Surroundings<'_>, findings: &mut Findings) -> Option<TokenExchange> {
    const DEFAULT_MAX_AGE: Duration = Duration::from_secs(300);
    let (members, endpoint) = read_endpoint(at, &["actor_token_variable"], DEFAULT_MAX_AGE, surroundings, findings)?;
    if members.get("audience").or_else(|| members.get("resource")).is_none() {
        findings.add(&at.path, "has neither `audience` nor `resource`: the token would be good for anything");
    }
    let actor_token = match members.get("actor_token_variable") {
        Some(_) => {
            let token = read_variable(&members, "actor_token_variable", surroundings, findings)?;
            Some(Secret::from(token.visible(false, findings)?))
        }
        None => None,
    };
    Some(TokenExchange { endpoint, actor_token })
}

/// What both grants need.
fn read_endpoint<'v>(
    at: &At<'v>,
    more: &[&str],
    default_max_age: Duration,
    surroundings: Surroundings<'_>,
    findings: &mut Findings,
) -> Option<(Members<'v>, TokenEndpoint)> {
    const OWN: [&str; 7] = ["endpoint", "cluster", "audience", "resource", "scopes", "timeout", "max_age"];
    let members = findings.object(at, &[&OWN[..], &KNOWN, more].concat())?;
    let uri = required(&members, "endpoint", HttpUri::parse, findings);
    let cluster = required_text(&members, "cluster", findings);
    let client = read_client_authentication(&members, surroundings, findings);
    let audience = members.get("audience").and_then(|at| findings.parsed(&at, parse_short));
    let resource = members.get("resource").and_then(|at| findings.parsed(&at, parse_resource));
    let scopes = members.get("scopes").map_or_else(ScopeSet::default, |at| read_scope_list(&at, findings));
    let timeout =
        findings.duration(members.get("timeout"), Duration::from_secs(5), Duration::from_millis(100)..=MINUTE);
    let max_age = findings.duration(members.get("max_age"), default_max_age, SECOND..=DAY);
    let (uri, cluster, client) = (uri?, cluster?.into(), client?);
    Some((members, TokenEndpoint { uri, cluster, client, audience, resource, scopes, timeout, max_age }))
}

fn parse_short(text: &str) -> Result<String, &'static str> {
    if text.len() > MAX_TEXT_BYTES { Err("has more than 1024 bytes") } else { Ok(text.to_owned()) }
}

/// RFC 8707 section 2: an absolute URI without fragment.
fn parse_resource(text: &str) -> Result<String, &'static str> {
    match url::Url::parse(text) {
        Ok(_) if text.contains('#') => Err("has a fragment, which RFC 8707 section 2 forbids"),
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("is not an absolute URI"),
    }
}

fn read_identity_jwt(
    at: &At<'_>,
    surroundings: Surroundings<'_>,
    policy: &Policy,
    findings: &mut Findings,
) -> Option<IdentityJwt> {
    let known = ["header", "issuer", "audience", "max_age", "keys_variable", "jwks_path"];
    let members = findings.object(at, &known)?;
    let header = match members.get("header") {
        Some(at) => findings.parsed(&at, parse_credential_header),
        None => Some(AUTHORIZATION.into()),
    };
    let issuer = required(&members, "issuer", HttpUri::parse, findings);
    let is_taken = |issuer: &&HttpUri| {
        policy.authorization_servers().iter().any(|server| server.issuer().as_str() == issuer.as_str())
    };
    if let Some(issuer) = issuer.as_ref().filter(is_taken) {
        let reason = "is an authorization server's: nobody could tell its tokens from these";
        findings.add(&members.place("issuer"), alloc::format!("`{}` {reason}", issuer.as_str()));
    }
    let audience = required(&members, "audience", parse_short, findings);
    let max_age = findings.duration(members.get("max_age"), MINUTE, Duration::from_secs(10)..=HOUR);
    let keys =
        read_variable(&members, "keys_variable", surroundings, findings).and_then(|Variable { place, name, value }| {
            let keys = SigningKeys::parse(&value);
            keys.map_err(|error| findings.wrong_variable(&place, &name, &error)).ok()
        });
    let jwks_path = required(&members, "jwks_path", parse_jwks_path, findings);
    let keys = keys?;
    let jwks = Document::serving(keys.published(), "application/jwk-set+json", "mcp_oauth_identity_keys", JWKS_MAX_AGE);
    Some(IdentityJwt {
        header: header?,
        issuer: issuer?.as_str().to_owned(),
        audience: audience?,
        max_age,
        keys,
        jwks_path: jwks_path?,
        jwks,
    })
}

fn parse_jwks_path(text: &str) -> Result<String, &'static str> {
    match RequestPath::parse(text.as_bytes()) {
        Err(_) => Err("is no path that a request can match"),
        Ok(path) if path.as_str() != text || text.ends_with('/') => Err("has a query or ends with a slash"),
        Ok(_) if is_well_known(text) => Err("lies where OAuth metadata is served"),
        Ok(_) => Ok(text.to_owned()),
    }
}

/// What can only be said of all resources together; each is given with its place.
pub(super) fn check_all(policy: &mut Policy, places: &[String], findings: &mut Findings) {
    let mut names: Vec<Arc<str>> = Vec::new();
    for (index, (resource, place)) in policy.resources.iter().zip(places).enumerate() {
        let place = alloc::format!("{place}.upstream_credential");
        if let Some(name) = resource.upstream_credential.header() {
            if policy.identity_headers.is_alike(name.as_bytes()) {
                findings.add(&place, alloc::format!("`{name}` is a header that tells who is calling"));
            }
            if !names.iter().any(|other| **other == *name) {
                names.push(name.into());
            }
        }
        if let UpstreamCredential::IdentityJwt(jwt) = &resource.upstream_credential {
            let place = alloc::format!("{place}.identity_jwt.jwks_path");
            if let Err(reason) = route(jwt, index, &policy.resources, &mut policy.routes) {
                findings.add(&place, alloc::format!("`{}` {reason}", jwt.jwks_path));
            }
        }
    }
    policy.identity_headers.credentials = names;
}

/// Enters the public keys into the routes: they must neither hide a resource nor be hidden by one.
fn route(jwt: &IdentityJwt, index: usize, resources: &[ResourcePolicy], routes: &mut Routes) -> Result<(), String> {
    let (path, own) = (&jwt.jwks_path, resources.get(index));
    let uri = own.and_then(|own| ResourceUri::parse(own.uri()).ok());
    for authority in uri.iter().flat_map(ResourceUri::authorities) {
        let around = routes.resource(&authority, path).and_then(|around| resources.get(around));
        if let Some(around) = around {
            let is_endpoint = ResourceUri::parse(around.uri()).is_ok_and(|uri| uri.base_path() == path);
            if is_endpoint || around.jwks().is_none_or(|other| other.jwks_path != *path) {
                return Err(alloc::format!("lies within the resource `{}`", around.uri()));
            }
        }
        let served = resources.get(routes.add_keys(&authority, path, index)).and_then(ResourcePolicy::jwks);
        if served.is_none_or(|served| served.jwks != jwt.jwks) {
            return Err("is where another resource of the host has other keys".to_owned());
        }
    }
    Ok(())
}
