//! What a token must carry, what a challenge asks for, and how the one becomes the other.

use core::cmp::Reverse;

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use crate::scope::{Scope, ScopeSet};

/// Of so many lists of alternatives one choice is made that fits as many as it can; more are chosen for in turn. A
/// subscription can meet hundreds of rules, and to compare each list with each costs their square.
const MAX_JOINT: usize = 32;

/// After as many comparisons of alternatives, about ten milliseconds, each list is chosen for by itself: 256 resources of one
/// subscription may meet as many rules with dozens of alternatives each.
const MAX_COMPARISONS: usize = 1 << 20;

/// The scopes of one resource. Three lists that clients use differently, kept apart: what a token must carry for anything
/// at all, what a 401 asks for, and (in the metadata only) what is advertised.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScopePolicy {
    pub(crate) required: ScopeSet,
    pub(crate) challenged: ScopeSet,
    /// Scope → the scopes that imply it, through any number of steps.
    pub(crate) implied_by: BTreeMap<Scope, ScopeSet>,
    /// Scope that a token carries → scope that a client asks for, where the two differ (Entra).
    pub(crate) request_as: BTreeMap<Scope, Scope>,
    /// What clients put before all other scopes that they ask for, with a `/` between.
    pub(crate) request_below: Option<String>,
    pub(crate) challenge: ChallengeScopes,
}

/// Which scopes the challenge of a 403 names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ChallengeScopes {
    /// What the request needs (RFC 6750 section 3: "the scope necessary to access").
    #[default]
    Needed,
    /// Also what the token has, for clients that replace their scopes by the challenged ones.
    GrantedAndNeeded,
}

/// What one rule asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) all: ScopeSet,
    /// One of these, the preferred one first; none if it is empty.
    pub(crate) any: Vec<Scope>,
}

impl Needs {
    pub(crate) fn is_nothing(&self) -> bool {
        self.all.is_empty() && self.any.is_empty()
    }
}

impl ScopePolicy {
    /// Whether a token with these scopes may do what `needs` and the resource ask for.
    pub(crate) fn allows(&self, granted: &ScopeSet, needs: &[&Needs]) -> bool {
        let has = |scope: &Scope| self.includes(granted, scope);
        self.required.iter().all(has)
            && needs
                .iter()
                .all(|needs| needs.all.iter().all(has) && (needs.any.is_empty() || needs.any.iter().any(has)))
    }

    /// What a client must ask for so that [`ScopePolicy::allows`], in its own names: the smallest set that is enough, all
    /// of it at once (MCP SEP-2350).
    pub(crate) fn needed(&self, granted: &ScopeSet, needs: &[&Needs]) -> ScopeSet {
        let all = self.required.iter().chain(needs.iter().flat_map(|needs| needs.all.iter()));
        let all: ScopeSet = all.cloned().collect();
        // Several targets may meet one rule.
        let mut open: Vec<&[Scope]> = Vec::new();
        for any in needs.iter().map(|needs| &*needs.any) {
            let is_met = any.is_empty() || any.iter().any(|scope| self.includes(&all, scope));
            if !is_met && !open.iter().any(|known| core::ptr::eq(*known, any)) {
                open.push(any);
            }
        }
        let mut chosen: Vec<&Scope> = Vec::new();
        let mut compared = 0_usize;
        loop {
            let width = if compared < MAX_COMPARISONS { MAX_JOINT } else { 1 };
            let joint = open.get(..width).unwrap_or(&open);
            let Some(next) = self.best(granted, joint) else { break };
            let alternatives: usize = joint.iter().map(|any| any.len()).sum();
            compared = compared.saturating_add(alternatives.saturating_mul(alternatives));
            open.retain(|any| !any.iter().any(|scope| self.is_in(scope, |other| other == next)));
            chosen.push(next);
        }
        let asked: Vec<&Scope> = all.iter().chain(chosen).collect();
        let mut implied: Vec<&Scope> = Vec::new();
        for scope in &asked {
            // Of scopes that imply each other the last one stays.
            let is_other = |other: &Scope| other != *scope && asked.contains(&other) && !implied.contains(&other);
            if self.is_in(scope, is_other) {
                implied.push(scope);
            }
        }
        let needed = asked.iter().copied().filter(|scope| !implied.contains(scope));
        let granted = granted.iter().filter(|_| self.challenge == ChallengeScopes::GrantedAndNeeded);
        needed.chain(granted).map(|scope| self.requested(scope)).collect()
    }

    /// Of these alternatives what the token has, so that it does not get lost; else what is good for most of the lists;
    /// else what comes first.
    fn best<'n>(&self, granted: &ScopeSet, lists: &[&'n [Scope]]) -> Option<&'n Scope> {
        let fits = |one: &Scope, any: &[Scope]| any.iter().any(|scope| self.is_in(scope, |other| other == one));
        let alternatives = lists.iter().flat_map(|any| any.iter());
        alternatives.min_by_key(|scope| {
            let met = lists.iter().filter(|any| fits(scope, any)).count();
            Reverse((self.includes(granted, scope), met))
        })
    }

    /// Whether these scopes have this one in them, or one that implies it.
    fn includes(&self, scopes: &ScopeSet, scope: &Scope) -> bool {
        self.is_in(scope, |other| scopes.contains(other))
    }

    fn is_in(&self, scope: &Scope, contains: impl Fn(&Scope) -> bool) -> bool {
        contains(scope) || self.implied_by.get(scope).is_some_and(|by| by.iter().any(contains))
    }

    /// The name by which a client asks for a scope.
    pub(crate) fn requested(&self, scope: &Scope) -> Scope {
        let below = || {
            let base = self.request_below.as_deref().filter(|_| !scope.is_global())?;
            Scope::parse(&alloc::format!("{base}/{}", scope.as_str()))
        };
        self.request_as.get(scope).cloned().or_else(below).unwrap_or_else(|| scope.clone())
    }
}
