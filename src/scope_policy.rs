//! What a token must carry, what a challenge asks for, and how the one becomes the other.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::scope::{Scope, ScopeSet};

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
        let all = needs.iter().flat_map(|needs| needs.all.iter()).chain(self.required.iter());
        let all: ScopeSet = all.cloned().collect();
        // Of alternatives, what is asked for anyway is enough; else the one that the token has must not get lost.
        let open = needs.iter().filter(|needs| !needs.any.iter().any(|scope| self.includes(&all, scope)));
        let any = open.filter_map(|needs| {
            needs.any.iter().find(|scope| self.includes(granted, scope)).or_else(|| needs.any.first())
        });
        let of_rules = all.iter().filter(|scope| !self.required.contains(scope));
        let asked = of_rules.chain(any).map(|scope| self.requested(scope));
        let granted = granted.iter().filter(|_| self.challenge == ChallengeScopes::GrantedAndNeeded);
        asked.chain(self.base().iter()).chain(granted.map(|scope| self.requested(scope))).cloned().collect()
    }

    /// Whether these scopes have this one in them, or one that implies it.
    fn includes(&self, scopes: &ScopeSet, scope: &Scope) -> bool {
        let implied_by = self.implied_by.get(scope);
        scopes.contains(scope) || implied_by.is_some_and(|by| by.iter().any(|scope| scopes.contains(scope)))
    }

    /// All that is required or challenged. Where the challenged scopes have nothing in common with the required ones, they
    /// are the names that an authorization server knows the same rights by, and all of them are asked for.
    fn base(&self) -> ScopeSet {
        let required: ScopeSet = self.required.iter().map(|scope| self.requested(scope)).cloned().collect();
        let same_names = required.iter().any(|scope| self.challenged.contains(scope));
        let required = required.iter().filter(|_| same_names);
        required.chain(self.challenged.iter()).cloned().collect()
    }

    /// The name by which a client asks for a scope.
    pub(crate) fn requested<'s>(&'s self, scope: &'s Scope) -> &'s Scope {
        self.request_as.get(scope).unwrap_or(scope)
    }
}
