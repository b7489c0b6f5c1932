//! `rules` of a resource, and the settings that only matter where bodies are read.

use alloc::{string::String, vec::Vec};

use super::{
    reach::find_unreached,
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
    let anonymous = read_anonymous(members, hold_requests, findings);
    let filter_lists = findings.truth(members.get("filter_lists"));
    let (max_body_bytes, batches) = read_body(members.get("body"), findings);
    if filter_lists && batches {
        findings.add(&members.place("filter_lists"), "cannot be combined with `body.batches`");
    }
    if filter_lists && rules.is_empty() {
        findings.add(&members.place("filter_lists"), "has nothing to filter by: there are no `rules`");
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

fn read_anonymous(members: &Members<'_>, hold_requests: Option<HoldRequests>, findings: &mut Findings) -> Vec<Pattern> {
    let Some(at) = members.get("anonymous_methods") else { return Vec::new() };
    let patterns = read_patterns(&at, findings);
    if patterns.iter().any(Pattern::matches_everything) {
        findings.add(&at.path, "has `*`, which would switch authentication off: name the methods");
    } else if members.get("sessions").is_some() && patterns.iter().any(|pattern| pattern.matches("initialize")) {
        let reason = "cannot have `initialize` beside `sessions`: a session that nobody opened belongs to nobody";
        findings.add(&at.path, reason);
    }
    if !patterns.is_empty() && hold_requests == Some(HoldRequests::Body) {
        let reason = "needs `hold_requests: headers`: otherwise heads without a token would go upstream";
        findings.add(&at.path, reason);
    }
    patterns
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
    let (mut rules, mut whole): (Vec<Rule>, Vec<(usize, usize)>) = (Vec::new(), Vec::new());
    for (number, at) in items.iter().enumerate() {
        let before = findings.0.len();
        let Some(rule) = read_rule(at, conditions, findings) else { continue };
        // A rule with a mistake may match less than it seems to.
        whole.extend((findings.0.len() == before).then_some((number, rules.len())));
        rules.push(rule);
    }
    let whole = whole.into_iter().filter_map(|(number, index)| Some((number, rules.get(index)?)));
    find_unreached(&whole.collect::<Vec<_>>(), &at.path, conditions, findings);
    rules
}

fn read_rule(at: &At<'_>, conditions: &mut Vec<Condition>, findings: &mut Findings) -> Option<Rule> {
    let known = ["methods", "tools", "prompts", "resources", "claims", "scopes", "any_of", "deny"];
    let members = findings.object(at, &known)?;
    let denies = findings.truth(members.get("deny"));
    let methods = read_methods(&members, findings);
    let mut patterns = |name| members.get(name).map(|at| read_patterns(&at, findings)).unwrap_or_default();
    let tools = patterns("tools").into_iter().map(TargetPattern::Tool);
    let prompts = patterns("prompts").into_iter().map(TargetPattern::Prompt);
    let mut targets: Vec<TargetPattern> = tools.chain(prompts).collect();
    if let Some(at) = members.get("resources") {
        let uris = filled(&at, findings);
        targets.extend(uris.iter().filter_map(|at| findings.parsed(at, parse_uri)).map(TargetPattern::Resource));
    }
    check_methods(&methods, &targets, &members, findings);
    let all = members.get("scopes").map(|at| read_scope_list(&at, findings)).unwrap_or_default();
    let any = members.get("any_of").map(|at| read_scopes_in_order(&filled(&at, findings), findings));
    if denies && (members.get("scopes").is_some() || members.get("any_of").is_some()) {
        findings.add(&members.place("deny"), "has no use for scopes: nothing cures a denial");
    }
    let effect = if denies { Effect::Deny } else { Effect::Allow(Needs { all, any: any.unwrap_or_default() }) };
    let methods = methods.into_iter().map(|(_, pattern)| pattern).collect();
    let conditions = read_conditions(&members, denies, conditions, findings);
    Some(Rule { methods, targets, conditions, effect })
}

/// The methods of a rule, each with its place.
fn read_methods(members: &Members<'_>, findings: &mut Findings) -> Vec<(String, Pattern)> {
    let items = members.get("methods").map(|at| filled(&at, findings)).unwrap_or_default();
    items.into_iter().filter_map(|at| findings.parsed(&at, parse_pattern).map(|pattern| (at.path, pattern))).collect()
}

/// Methods and targets of a rule must be able to meet.
fn check_methods(
    methods: &[(String, Pattern)],
    targets: &[TargetPattern],
    members: &Members<'_>,
    findings: &mut Findings,
) {
    let fits = |pattern: &Pattern, target: &TargetPattern| target.methods().iter().any(|name| pattern.matches(name));
    let before = findings.0.len();
    for (path, _) in methods.iter().filter(|(_, pattern)| !targets.iter().any(|target| fits(pattern, target))) {
        if !targets.is_empty() {
            findings.add(path, "is no method that names such tools, prompts or resources");
        }
    }
    let is_left_out = |target| !methods.iter().any(|(_, pattern)| fits(pattern, target));
    if findings.0.len() == before && !methods.is_empty() && targets.iter().any(is_left_out) {
        findings.add(&members.place("methods"), "leaves out the methods that name such tools, prompts or resources");
    }
}

/// The numbers of a rule's conditions.
fn read_conditions(
    members: &Members<'_>,
    denies: bool,
    conditions: &mut Vec<Condition>,
    findings: &mut Findings,
) -> Vec<usize> {
    let known_conditions = conditions.len();
    let claims = members.get("claims").map(|at| filled(&at, findings)).unwrap_or_default();
    let numbers = claims.iter().filter_map(|at| read_condition(at, denies, findings)).map(|condition| {
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
    numbers
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

fn read_condition(at: &At<'_>, denies: bool, findings: &mut Findings) -> Option<Condition> {
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
    // What cannot be judged must neither open a door nor fail to close one.
    Some(Condition { claim: claim?, test, holds_if_unclear: denies })
}
