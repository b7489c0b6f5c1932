//! Rules that are never reached, because an earlier one matches all that they match. To load them would leave a tool open
//! that an operator believes closed.

use super::reader::Findings;
use crate::{
    claim::Condition,
    rules::{Pattern, Rule},
};

/// Compares each rule, given with its place, with those before it.
pub(super) fn find_unreached(rules: &[(usize, &Rule)], at: &str, conditions: &[Condition], findings: &mut Findings) {
    for (position, (number, later)) in rules.iter().enumerate() {
        let mut before = rules.iter().take(position);
        if let Some((first, _)) = before.find(|(_, earlier)| covers(earlier, later, conditions)) {
            let reason = alloc::format!("is never reached: `rules[{first}]` matches all that it matches");
            findings.add(&alloc::format!("{at}[{number}]"), reason);
        }
    }
}

/// Whether `earlier` matches all that `later` matches. Never wrongly yes; no also where only several of its patterns do so
/// together.
fn covers(earlier: &Rule, later: &Rule, conditions: &[Condition]) -> bool {
    let claims = earlier.conditions.iter().all(|own| {
        let own = conditions.get(*own);
        let mut others = later.conditions.iter().filter_map(|other| conditions.get(*other));
        own.is_some_and(|own| others.any(|other| own.is_implied_by(other)))
    });
    claims && if later.targets.is_empty() { covers_methods(earlier, later) } else { covers_targets(earlier, later) }
}

fn covers_methods(earlier: &Rule, later: &Rule) -> bool {
    let all = [Pattern::parse("*")];
    let methods = if later.methods.is_empty() { &all } else { &*later.methods };
    methods.iter().all(|method| {
        let is_method = earlier.methods.is_empty() || earlier.methods.iter().any(|own| own.covers(method));
        let is_target = earlier.targets.is_empty() || earlier.targets.iter().any(|own| own.covers_method(method));
        is_method && is_target
    })
}

fn covers_targets(earlier: &Rule, later: &Rule) -> bool {
    later.targets.iter().all(|target| {
        let mut methods = target.methods().iter().filter(|method| later.is_for(method));
        let is_target = earlier.targets.is_empty() || earlier.targets.iter().any(|own| own.covers(target));
        is_target && methods.all(|method| earlier.is_for(method))
    })
}
