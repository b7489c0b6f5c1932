//! `authorization_servers`: who issues tokens, and where the keys come from.

use core::time::Duration;

use alloc::{string::ToString as _, vec::Vec};

use super::{
    DAY, HOUR, MINUTE, SECOND, Surroundings,
    introspection::read_introspection,
    reader::{At, Findings, Members},
    required_text,
};
use crate::{
    claim::ClaimPath,
    issuer::Issuer,
    jwk::KeySet,
    jws::Algorithm,
    policy::{AuthorizationServer, KeySource, RemoteKeys},
    provider::{Mark, Provider},
    uri::HttpUri,
};

pub(super) fn read_authorization_server(
    at: &At<'_>,
    surroundings: Surroundings<'_>,
    findings: &mut Findings,
) -> Option<AuthorizationServer> {
    const KNOWN: [&str; 16] = [
        "issuer",
        "provider",
        "cluster",
        "jwks_uri",
        "jwks",
        "jwks_cluster",
        "algorithms",
        "clock_skew",
        "fetch_timeout",
        "keys_max_age",
        "keys_max_stale",
        "refetch_cooldown",
        "require_at_jwt",
        "scope_claims",
        "introspect",
        "introspection",
    ];
    let members = findings.object(at, &KNOWN)?;
    let issuer = match members.get("issuer") {
        Some(at) => findings.parsed(&at, Issuer::parse),
        None => {
            findings.add(&members.place("issuer"), "is missing");
            None
        }
    };
    let provider = findings.choice(members.get("provider"), &Provider::NAMES).unwrap_or_default();
    if let Some((at, issuer)) = members.get("issuer").zip(issuer.as_ref())
        && let Some(cure) = provider.misspelling(issuer)
    {
        findings.wrong(&at.path, issuer.as_str(), &cure);
    }
    let algorithms = match members.get("algorithms") {
        Some(at) => read_algorithms(&at, findings),
        None => Algorithm::ALL.to_vec(),
    };
    let clock_skew = findings.duration(
        members.get("clock_skew"),
        Duration::from_secs(30),
        Duration::ZERO..=Duration::from_secs(300),
    );
    let require_at_jwt = findings.truth(members.get("require_at_jwt"));
    let scope_claims = members.get("scope_claims").map(|at| read_scope_claims(&at, findings));
    let endpoint = issuer.as_ref().and_then(|issuer| provider.introspection_endpoint(issuer));
    let introspection = read_introspection(&members, provider, endpoint, surroundings, findings);
    let is_introspected = members.get("introspection").is_some();
    let is_opaque = provider.preset().mark == Mark::Nothing;
    if is_opaque && !is_introspected {
        findings.add(&members.place("introspection"), "is missing: access tokens of this provider are opaque");
    }
    let keys = match members.get("jwks") {
        _ if is_opaque => read_no_keys(&members, findings),
        Some(at) => read_inline_keys(&at, &members, findings),
        None if is_introspected && members.get("cluster").is_none() => read_no_keys(&members, findings),
        None => {
            let metadata = issuer.as_ref().map(|issuer| provider.metadata_candidates(issuer));
            read_remote_keys(&members, metadata.unwrap_or_default(), findings)
        }
    };
    let issuer = issuer?;
    Some(AuthorizationServer {
        other_issuer: provider.other_issuer(&issuer),
        issuer,
        provider,
        keys: keys?,
        algorithms,
        clock_skew,
        require_at_jwt,
        scope_claims,
        introspection,
    })
}

pub(super) fn read_algorithms(at: &At<'_>, findings: &mut Findings) -> Vec<Algorithm> {
    let before = findings.0.len();
    let mut algorithms = Vec::new();
    for (path, name) in findings.texts(at) {
        match Algorithm::parse(&name) {
            Some(algorithm) => algorithms.push(algorithm),
            None => findings.wrong(&path, &name, &"is no supported algorithm"),
        }
    }
    if algorithms.is_empty() && findings.0.len() == before {
        findings.add(&at.path, "is empty: no token could be accepted");
    }
    algorithms
}

fn read_scope_claims(at: &At<'_>, findings: &mut Findings) -> Vec<ClaimPath> {
    let before = findings.0.len();
    let claims: Vec<ClaimPath> =
        findings.texts(at).into_iter().map(|(_, claim)| ClaimPath(claim.into_owned())).collect();
    if claims.is_empty() && findings.0.len() == before {
        findings.add(&at.path, "is empty: no token could carry a scope");
    }
    claims
}

/// Settings of fetches, without a cluster to fetch from.
const REMOTE: [&str; 6] =
    ["jwks_uri", "jwks_cluster", "fetch_timeout", "keys_max_age", "keys_max_stale", "refetch_cooldown"];

fn read_no_keys(members: &Members<'_>, findings: &mut Findings) -> Option<KeySource> {
    for name in ["jwks"].into_iter().chain(REMOTE).filter(|name| members.get(name).is_some()) {
        findings.add(&members.place(name), "has no meaning here: all tokens are introspected");
    }
    Some(KeySource::None)
}

fn read_inline_keys(at: &At<'_>, members: &Members<'_>, findings: &mut Findings) -> Option<KeySource> {
    for name in REMOTE.into_iter().filter(|name| members.get(name).is_some()) {
        findings.add(&members.place(name), "has no meaning beside `jwks`: inline keys are never fetched");
    }
    // Of no use, but a mistake in it is a mistake.
    members.get("cluster").map(|at| findings.text(&at));
    let keys = KeySet::from_object(&findings.foreign_object(at)?);
    keys.map(KeySource::Inline).map_err(|error| findings.add(&at.path, error.to_string())).ok()
}

fn read_remote_keys(members: &Members<'_>, metadata: Vec<HttpUri>, findings: &mut Findings) -> Option<KeySource> {
    let cluster = required_text(members, "cluster", findings);
    let jwks_cluster = match members.get("jwks_cluster") {
        Some(at) => findings.text(&at),
        None => cluster.clone(),
    };
    let jwks_uri = members.get("jwks_uri").and_then(|at| findings.parsed(&at, HttpUri::parse));
    let fetch_timeout =
        findings.duration(members.get("fetch_timeout"), Duration::from_secs(5), Duration::from_millis(100)..=MINUTE);
    let max_age =
        findings.duration(members.get("keys_max_age"), Duration::from_secs(600), Duration::from_secs(10)..=DAY);
    let max_stale = findings.duration(members.get("keys_max_stale"), HOUR.max(max_age), max_age..=DAY);
    let refetch_cooldown = findings.duration(members.get("refetch_cooldown"), Duration::from_secs(30), SECOND..=HOUR);
    Some(KeySource::Remote(RemoteKeys {
        cluster: cluster?.into(),
        jwks_cluster: jwks_cluster?.into(),
        metadata,
        jwks_uri,
        fetch_timeout,
        max_age,
        max_stale,
        refetch_cooldown,
    }))
}
