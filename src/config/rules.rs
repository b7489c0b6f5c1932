//! `rules` of a resource, and the settings that only matter where bodies are read.

use alloc::vec::Vec;

use super::{
    reader::{At, Findings, Members},
    scopes::{read_scope_list, read_scopes_in_order},
};
use crate::{
    claim::{ClaimPath, Condition, Test},
    policy::HoldRequests,
    rules::{Access, Effect, Otherwise, Pattern, Rule, TargetPattern, UriPattern, is_ambiguous_template},
    scope_policy::Needs,
};

/// More rules than anybody reads; each is compared with each request until one matches.
const MAX_RULES: usize = 1000;

/// All conditions of all resources are checked once for each new token.
const MAX_CONDITIONS: usize = 256;

/// Envoy buffers 1 MiB by default.
const DEFAULT_BODY_BYTES: usize = 1024 * 1024;

/// `None` if nothing needs bodies to be read.
pub(super) fn read_access(
    members: &Members<'_>,
    hold_requests: Option<HoldRequests>,
    conditions: &mut Vec<Condition>,
    findings: &mut Findings,
) -> Option<Access> {
    let rules = members.get("rules").map(|at| read_rules(&at, conditions, findings)).unwrap_or_default();
    let words = [("allow", Otherwise::Allow), ("deny", Otherwise::Deny)];
    let otherwise = findings.choice(members.get("default"), &words).unwrap_or_default();
    let anonymous = members.get("anonymous_methods").map(|at| read_patterns(&at, findings)).unwrap_or_default();
    let filter_lists = findings.truth(members.get("filter_lists"));
    let (max_body_bytes, batches) = read_body(members.get("body"), findings);
    if filter_lists && batches {
        findings.add(&members.place("filter_lists"), "cannot be combined with `body.batches`");
    }
    if filter_lists && rules.is_empty() {
        findings.add(&members.place("filter_lists"), "has nothing to filter by: there are no `rules`");
    }
    if !anonymous.is_empty() && hold_requests == Some(HoldRequests::Body) {
        let reason = "needs `hold_requests: headers`: otherwise heads without a token would go upstream";
        findings.add(&members.place("anonymous_methods"), reason);
    }
    let reads = !rules.is_empty() || otherwise == Otherwise::Deny || !anonymous.is_empty();
    if !reads && let Some(at) = members.get("body") {
        findings.add(
            &at.path,
            "has no meaning here: without `rules`, `default: deny` or `anonymous_methods` no body is read",
        );
    }
    reads.then_some(Access { rules, otherwise, anonymous, batches, max_body_bytes, filter_lists })
}

fn read_body(at: Option<At<'_>>, findings: &mut Findings) -> (usize, bool) {
    let Some(members) = at.and_then(|at| findings.object(&at, &["max_size", "batches"])) else {
        return (DEFAULT_BODY_BYTES, false);
    };
    let max_size = findings.size(members.get("max_size"), DEFAULT_BODY_BYTES, 1024..=16 * 1024 * 1024);
    (max_size, findings.truth(members.get("batches")))
}

fn read_rules(at: &At<'_>, conditions: &mut Vec<Condition>, findings: &mut Findings) -> Vec<Rule> {
    let items = findings.items(at);
    if items.len() > MAX_RULES {
        findings.add(&at.path, alloc::format!("has `{}` entries, more than {MAX_RULES}", items.len()));
        return Vec::new();
    }
    let mut rules: Vec<Rule> = Vec::new();
    let mut catch_all = None;
    for (number, at) in items.iter().enumerate() {
        if let Some(before) = catch_all {
            findings.add(&at.path, alloc::format!("is never reached: rule {before} matches everything"));
        }
        let before = findings.0.len();
        let Some(rule) = read_rule(at, conditions, findings) else { continue };
        // A rule with a mistake may match less than it seems to.
        let is_whole = findings.0.len() == before;
        if is_whole
            && (rule.methods.is_empty() || rule.methods.iter().any(Pattern::matches_everything))
            && rule.targets.is_empty()
            && rule.conditions.is_empty()
            && catch_all.is_none()
        {
            catch_all = Some(number);
        }
        rules.push(rule);
    }
    rules
}

fn read_rule(at: &At<'_>, conditions: &mut Vec<Condition>, findings: &mut Findings) -> Option<Rule> {
    let known = ["methods", "tools", "prompts", "resources", "claims", "scopes", "any_of", "deny"];
    let members = findings.object(at, &known)?;
    let mut patterns = |name| members.get(name).map(|at| read_patterns(&at, findings)).unwrap_or_default();
    let methods = patterns("methods");
    let tools = patterns("tools").into_iter().map(TargetPattern::Tool);
    let prompts = patterns("prompts").into_iter().map(TargetPattern::Prompt);
    let mut targets: Vec<TargetPattern> = tools.chain(prompts).collect();
    if let Some(at) = members.get("resources") {
        let uris = filled(&at, findings);
        targets.extend(uris.iter().filter_map(|at| findings.parsed(at, parse_uri)).map(TargetPattern::Resource));
    }
    let known_conditions = conditions.len();
    let is_for = |target: &TargetPattern| {
        let named_by = |name: &&str| methods.iter().any(|method| method.matches(name));
        methods.is_empty() || target.methods().iter().any(named_by)
    };
    if !targets.iter().all(is_for) {
        findings.add(&members.place("methods"), "leaves out the methods that name such tools, prompts or resources");
    }
    let claims = members.get("claims").map(|at| filled(&at, findings)).unwrap_or_default();
    let numbers = claims.iter().filter_map(|at| read_condition(at, findings)).map(|condition| {
        conditions.iter().position(|known| *known == condition).unwrap_or_else(|| {
            conditions.push(condition);
            conditions.len().saturating_sub(1)
        })
    });
    let numbers = numbers.collect();
    if conditions.len() > MAX_CONDITIONS && known_conditions <= MAX_CONDITIONS {
        findings.add(
            &members.place("claims"),
            alloc::format!("is more than the {MAX_CONDITIONS} conditions that one configuration may have"),
        );
    }
    let all = members.get("scopes").map(|at| read_scope_list(&at, findings)).unwrap_or_default();
    let any = members.get("any_of").map(|at| read_scopes_in_order(&filled(&at, findings), findings));
    let denies = findings.truth(members.get("deny"));
    if denies && (members.get("scopes").is_some() || members.get("any_of").is_some()) {
        findings.add(&members.place("deny"), "has no use for scopes: nothing cures a denial");
    }
    let effect = if denies { Effect::Deny } else { Effect::Allow(Needs { all, any: any.unwrap_or_default() }) };
    Some(Rule { methods, targets, conditions: numbers, effect })
}

/// A list that is not empty: an empty one would match everything, or could never be fulfilled.
fn filled<'v>(at: &At<'v>, findings: &mut Findings) -> Vec<At<'v>> {
    let before = findings.0.len();
    let items = findings.items(at);
    if items.is_empty() && findings.0.len() == before {
        findings.add(&at.path, "is empty: leave it out");
    }
    items
}

fn read_patterns(at: &At<'_>, findings: &mut Findings) -> Vec<Pattern> {
    filled(at, findings).iter().filter_map(|at| findings.parsed(at, parse_pattern)).collect()
}

fn parse_pattern(text: &str) -> Result<Pattern, &'static str> {
    if text.strip_suffix('*').unwrap_or(text).contains('*') {
        return Err("has a `*` that is not at its end");
    }
    Ok(Pattern::parse(text))
}

fn parse_uri(text: &str) -> Result<UriPattern, &'static str> {
    let base = if text.ends_with("/*") { text.strip_suffix('*').unwrap_or(text) } else { text };
    match () {
        () if base.contains('*') => Err("has a `*` that is not a last segment of its own"),
        // A template, which lists and completions name.
        () if is_ambiguous_template(base) => {
            Err("is no URI, or one with several spellings, so no request for it is accepted")
        }
        () => Ok(UriPattern::parse(text)),
    }
}

fn read_condition(at: &At<'_>, findings: &mut Findings) -> Option<Condition> {
    let members = findings.object(at, &["claim", "equals", "contains"])?;
    let Some(claim) = members.get("claim") else {
        findings.add(&members.place("claim"), "is missing");
        return None;
    };
    let claim = findings.text(&claim).map(|claim| ClaimPath(claim.into_owned()));
    let test = match (members.get("equals"), members.get("contains")) {
        (Some(at), None) => Test::Equals(findings.text(&at)?.into_owned()),
        (None, Some(at)) => Test::Contains(findings.text(&at)?.into_owned()),
        _ => {
            findings.add(&at.path, "needs either `equals` or `contains`");
            return None;
        }
    };
    Some(Condition { claim: claim?, test })
}
