//! `scopes` of a resource.

use alloc::{borrow::ToOwned, collections::BTreeMap, vec, vec::Vec};

use super::reader::{At, Findings};
use crate::{
    scope::{Scope, ScopeSet},
    scope_policy::{ChallengeScopes, ScopePolicy},
};

/// What the scopes of a resource come to, and what its metadata shows of them.
pub(super) fn read_scopes(
    at: Option<At<'_>>,
    request_below: Option<&str>,
    findings: &mut Findings,
) -> (ScopePolicy, ScopeSet) {
    let request_below = request_below.map(ToOwned::to_owned);
    let known = ["required", "challenged", "advertised", "implies", "request_as", "challenge"];
    let Some(members) = at.and_then(|at| findings.object(&at, &known)) else {
        return (ScopePolicy { request_below, ..ScopePolicy::default() }, ScopeSet::default());
    };
    let request_as = members.get("request_as").map(|at| read_names(&at, findings)).unwrap_or_default();
    let implied_by = members.get("implies").map(|at| read_hierarchy(&at, findings)).unwrap_or_default();
    let required = members.get("required").map(|at| read_scope_list(&at, findings)).unwrap_or_default();
    let words = [("needed", ChallengeScopes::Needed), ("granted_and_needed", ChallengeScopes::GrantedAndNeeded)];
    let challenge = findings.choice(members.get("challenge"), &words).unwrap_or_default();
    let challenged = ScopeSet::default();
    let mut policy = ScopePolicy { required, challenged, implied_by, request_as, request_below, challenge };
    let as_requested = || policy.required.iter().map(|scope| policy.requested(scope)).collect();
    let before = findings.0.len();
    let mut listed = |name| members.get(name).map_or_else(as_requested, |at| read_scope_list(&at, findings));
    let (challenged, advertised): (ScopeSet, ScopeSet) = (listed("challenged"), listed("advertised"));
    if challenged.is_empty() && !policy.required.is_empty() && findings.0.len() == before {
        findings.add(&members.place("challenged"), "is empty, so no client would learn what `required` asks for");
    }
    policy.challenged = challenged;
    (policy, advertised)
}

/// Scope that a token carries → scope that a client asks for.
fn read_names(at: &At<'_>, findings: &mut Findings) -> BTreeMap<Scope, Scope> {
    let mut names = BTreeMap::new();
    for (name, at) in findings.entries(at) {
        let carried = read_scope(&at.path, &name, findings);
        let requested = findings.text(&at).and_then(|text| read_scope(&at.path, &text, findings));
        names.extend(carried.zip(requested));
    }
    names
}

/// Scope → all the scopes that imply it. A circle makes its scopes worth the same.
fn read_hierarchy(at: &At<'_>, findings: &mut Findings) -> BTreeMap<Scope, ScopeSet> {
    let mut implies: BTreeMap<Scope, ScopeSet> = BTreeMap::new();
    for (name, at) in findings.entries(at) {
        let implied = read_scope_list(&at, findings);
        implies.extend(read_scope(&at.path, &name, findings).map(|scope| (scope, implied)));
    }
    let mut implied_by: BTreeMap<Scope, Vec<Scope>> = BTreeMap::new();
    for (scope, implied) in &implies {
        let (mut found, mut next): (Vec<&Scope>, Vec<&Scope>) = (vec![scope], implied.iter().collect());
        while let Some(one) = next.pop() {
            if !found.contains(&one) {
                found.push(one);
                implied_by.entry(one.clone()).or_default().push(scope.clone());
                next.extend(implies.get(one).into_iter().flat_map(ScopeSet::iter));
            }
        }
    }
    // `collect` would bring a sort of its own into the module.
    let mut sets = BTreeMap::new();
    sets.extend(implied_by.into_iter().map(|(scope, by)| (scope, by.into_iter().collect())));
    sets
}

pub(super) fn read_scope_list(at: &At<'_>, findings: &mut Findings) -> ScopeSet {
    let texts = findings.texts(at);
    texts.into_iter().filter_map(|(path, text)| read_scope(&path, &text, findings)).collect()
}

pub(super) fn read_scopes_in_order(items: &[At<'_>], findings: &mut Findings) -> Vec<Scope> {
    let read = |at: &At<'_>| findings.text(at).and_then(|text| read_scope(&at.path, &text, findings));
    items.iter().filter_map(read).collect()
}

fn read_scope(path: &str, text: &str, findings: &mut Findings) -> Option<Scope> {
    match Scope::parse(text) {
        // MCP 2026-07-28, Refresh Tokens: a resource neither needs nor asks for it.
        Some(scope) if scope.as_str() == "offline_access" => {
            findings.add(path, "`offline_access` is between a client and its authorization server");
            None
        }
        Some(scope) => Some(scope),
        None => {
            findings.wrong(path, text, &"is no scope (RFC 6749 section 3.3)");
            None
        }
    }
}
