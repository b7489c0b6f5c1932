//! What to do about a finding: from what is wrong, and from what the setting is for.

use crate::{manifests::Holder, schema};

/// The cure for a finding of the core.
pub(crate) fn cure(path: &str, reason: &str) -> String {
    let setting = schema::describe(path);
    let name = path.rsplit('.').next().unwrap_or(path);
    let about = || setting.as_ref().map(|text| format!("`{name}` is {text}"));
    if let Some((_, known)) = reason.split_once("known here: ") {
        let nearest = known.split(", ").map(|known| (distance(known, name), known)).min();
        return match nearest {
            Some((steps, known)) if steps <= 3 => format!("write `{known}` if that is what is meant, else delete it"),
            _ => "delete it: nothing is ignored, because it may be a misspelt security setting".to_owned(),
        };
    }
    let fixed = [
        ("is neither `never` nor", "write a date in UTC such as \"2027-01-31T12:00:00Z\", or \"never\""),
        ("has a fragment", "leave out `#` and what follows it"),
        ("is http, which", "write https: tokens travel to it"),
        ("has a scheme other", "write https"),
        ("has user information", "leave out the part before `@`"),
        ("names the default port", "leave the port out"),
        ("is in neither", "see what is known above"),
        ("is empty: leave it out", "leave it out"),
        ("is listed twice", "delete one of the two"),
        ("is never reached", "put it above that rule, or delete it"),
        ("is no duration", "write a whole number and ms, s, m or h, such as \"30s\""),
        ("is no size", "write a whole number and B, KiB or MiB, such as \"64KiB\""),
        ("has the host and path of another", "give each resource a host or a path of its own"),
        ("is no SHA-256", "sha256sum of the token, without a line end: printf %s \"$TOKEN\" | sha256sum"),
        ("has no meaning", "delete it"),
        ("is no configured issuer", "write it as in `authorization_servers[].issuer`, or add it there"),
        ("`offline_access`", "delete it"),
        ("is not an absolute URI", "write the whole URL, with https://"),
    ];
    if let Some((_, cure)) = fixed.into_iter().find(|(words, _)| reason.contains(words)) {
        return cure.to_owned();
    }
    if let Some((_, normal)) = reason.split_once("is not in normal form: write ") {
        return format!("write {normal}");
    }
    if reason.starts_with("is missing") {
        return about().map_or_else(|| format!("add `{name}`"), |about| format!("add it: {about}"));
    }
    if let Some((_, words)) = reason.split_once("is not one of ") {
        return format!("write one of {words}");
    }
    if let Some((_, range)) = reason.split_once("is not within ") {
        return format!("write something between {}", range);
    }
    if let Some((_, expected)) = reason.split_once(" where ") {
        return match about() {
            Some(about) => format!("write {}; {about}", expected.trim_end_matches(" is expected")),
            None => format!("write {}", expected.trim_end_matches(" is expected")),
        };
    }
    about().unwrap_or_else(|| "see the table of settings in README.md".to_owned())
}

/// The cure for an environment variable that is not set, by where it has to be passed on.
pub(crate) fn variable(reason: &str, holder: Holder) -> Option<String> {
    let place = match holder {
        _ if !reason.contains("is not set") => return None,
        Holder::Envoy => "`vm_config.environment_variables.host_env_keys`",
        Holder::Istio => "`vmConfig.env` with `valueFrom: HOST`",
        Holder::EnvoyGateway => "`env.hostKeys`",
        Holder::Higress | Holder::Itself => {
            return Some(format!("set it where the proxy runs, and pass it on to the module; {HERE}"));
        }
    };
    Some(format!("set it where the proxy runs, and pass it on in {place}; {HERE}"))
}

const HERE: &str = "here give it with --env NAME=VALUE";

/// How many letters must change to make one name of another.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, a) in one.chars().take(64).enumerate() {
        let mut diagonal = line;
        let mut left = line.saturating_add(1);
        let mut next = vec![left];
        for (b, above) in other.iter().zip(row.iter().skip(1)) {
            let changed = diagonal.saturating_add(usize::from(a != *b));
            left = changed.min(left.saturating_add(1)).min(above.saturating_add(1));
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
