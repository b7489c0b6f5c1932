//! What to do about a finding: from what is wrong, and from what the setting is for.

use crate::{manifests::Holder, schema};

/// What to do, by words of the core's reason. The first that fits counts.
const FIXED: [(&str, &str); 80] = [
    ("is neither `never` nor", "write a date in UTC such as \"2027-01-31T12:00:00Z\", or \"never\""),
    ("has a fragment", "leave out `#` and what follows it"),
    ("has a query or ends with a slash", "leave out `?` and what follows it, and `/` at the end"),
    ("has a query", "leave out `?` and what follows it"),
    ("is http, which", "write https: tokens travel to it"),
    ("has a scheme other", "write https"),
    ("has user information", "leave out the part before `@`"),
    ("names the default port", "leave the port out"),
    ("has a host name with other", "write the host in ASCII, a name in other letters with `xn--`"),
    (
        "that no request can match",
        "write the path plainly: without `..`, `//`, `;`, and with upper-case digits behind `%`",
    ),
    ("is not an absolute U", "write the whole URL in ASCII, with https://"),
    ("is neither http nor https", "write the whole URL, with https://"),
    ("is no issuer of", "write the `iss` of its tokens, letter by letter; or another `provider`"),
    ("is not `https://accounts.google.com`", "write https://accounts.google.com, or another `provider`"),
    ("is no configured issuer", "write it as in `authorization_servers[].issuer`, or add it there"),
    ("is an authorization server's", "write a URL of the proxy's own"),
    ("is no supported algorithm", "write one of RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA"),
    ("`offline_access`", "delete it"),
    ("is no scope", "write one scope: visible ASCII without spaces, `\"` and `\\`"),
    ("is empty: leave it out", "leave it out"),
    ("is empty: no token", "add what is accepted, or leave it out"),
    ("is empty, so no client", "add a scope, or leave it out"),
    ("` is empty", "set it where the proxy runs"),
    ("is listed twice", "delete one of the two"),
    ("is used twice", "write another name for one of the two"),
    ("appears twice", "delete one of the two"),
    ("has the same token as", "delete one of the two, or give it a token of its own"),
    ("is never reached", "put it above that rule, or delete it"),
    ("is no duration", "write a whole number and ms, s, m or h, such as \"30s\""),
    ("is no size", "write a whole number and B, KiB or MiB, such as \"64KiB\""),
    ("has the host and path of another", "give each resource a host or a path of its own"),
    ("is a second default of its host", "leave out `host_default` of one of the two"),
    ("lies where OAuth metadata is served", "write another path, not below /.well-known/"),
    ("lies within the resource", "write a path outside of all resources"),
    ("is where another resource of the host", "write another path, or name the same keys in both"),
    ("is no path that", "write a path such as /mcp-keys, without `..`, `//` and `;`"),
    (
        "two authorization servers with `introspection`",
        "name one of the two in `authorization_servers` of the resource",
    ),
    ("is no SHA-256", "write what this says of the token, without a line end: printf %s \"$TOKEN\" | sha256sum"),
    ("is no name of letters", "write letters, digits, `.`, `_` and `-` only"),
    ("is a name of more than", "write a shorter one"),
    ("are bound to no key", "leave out `static_tokens`, or `dpop.required`"),
    ("cannot be beside `static_tokens`", "leave out one of the two"),
    ("cannot be combined with", "leave out one of the two"),
    ("cannot have `initialize` beside", "leave out one of the two"),
    ("does not have exactly one of", "leave one of them"),
    ("has neither `audience` nor `resource`", "add one of the two"),
    ("needs either `equals` or `contains`", "write one of the two"),
    ("needs `hold_requests: headers`", "write \"headers\" for `hold_requests`, or leave this out"),
    ("`report_only` needs `headers` here", "write \"headers\" for `hold_requests`, or leave out `report_only`"),
    ("has nothing to filter by", "add `rules`, or leave it out"),
    ("has no use for scopes", "delete the scopes, or `deny`"),
    ("has no meaning", "delete it"),
    ("name the methods", "name the methods instead of `*`"),
    ("is no method that names such", "delete it, or write tools/call for tools and prompts/get for prompts"),
    ("leaves out the methods", "add tools/call for tools, prompts/get for prompts, resources/read for resources"),
    ("conditions that one configuration", "delete some"),
    ("`*` that is not at its end", "write `*` at the end only"),
    ("`*` that is not a last segment", "write `/*` at the end, and no other `*`"),
    (
        "is no URI, or one with several",
        "write the URI plainly: lower-case scheme and host, no `..`, nothing encoded for nothing",
    ),
    ("is a header that tells who", "write the name of another header"),
    ("is no header name", "write the name of a header: lower-case letters, digits and `-`"),
    ("has a meaning of its own", "write the name of another header, such as one that begins with x-mcp-"),
    (
        "is no origin",
        "write scheme and host in lower case, with a port that is not the default: https://app.example.com",
    ),
    ("is no JWK Set", "set it to a JWK Set, an object with a list `keys`"),
    ("keys of the JWK Set is usable", "give a public key that tokens are signed with: RSA, EC or Ed25519"),
    ("the JWK Set", "write a JWK Set, an object with a list `keys`"),
    ("holds no key, or more than", "set it to as many keys as that, the newest first"),
    ("that is not base64url without", "set it to what this prints: openssl rand -base64 32 | tr '+/' '-_' | tr -d '='"),
    ("holds a key of less than", "set it to what this prints: openssl rand -base64 32 | tr '+/' '-_' | tr -d '='"),
    ("which have one `kid`", "give each key a `kid` of its own"),
    ("holds `keys[", "set it to a JWK Set of private EC keys on P-256 with `d`, `x`, `y` and a `kid`"),
    ("holds other characters than", "set it to visible ASCII, without the end of a line"),
    ("has characters other than", "leave out what is no visible ASCII, such as the end of a line"),
    ("begins or ends with a space", "leave that space out"),
    ("begins with a space", "leave that space out"),
    ("has more than", "make it shorter"),
    ("entries, more than", "delete some, or divide them among several proxies"),
    ("more than", "delete some"),
    ("not a JSON object", "write an object with `authorization_servers` and `resources`"),
    ("not one JSON value", "mend the JSON there, or just before"),
];

/// The cure for a finding of the core.
pub(crate) fn cure(path: &str, reason: &str) -> String {
    let setting = schema::describe(path);
    let last = path.rsplit('.').next().unwrap_or(path);
    let name = last.split('[').next().unwrap_or(last);
    // What follows are defaults and ranges.
    let about = setting.as_ref().and_then(|text| text.split(". ").next()).map(|text| format!("`{name}` is {text}"));
    if let Some((_, known)) = reason.split_once("known here: ") {
        let nearest = known.split(", ").map(|known| (distance(known, name), known)).min();
        return match nearest {
            Some((steps, known)) if steps <= 3 => format!("write `{known}` if that is what is meant, else delete it"),
            _ => "delete it: nothing is ignored, because it may be a misspelt security setting".to_owned(),
        };
    }
    let after = |words: &str| reason.split_once(words).map(|(_, rest)| rest);
    let what = if reason.starts_with("is missing") {
        "add it".to_owned()
    } else if reason == "is empty" && last.ends_with(']') {
        return "delete it, or write what is meant".to_owned();
    } else if reason == "is empty" {
        "write it".to_owned()
    } else if let Some(expected) = after(" where ").and_then(|rest| rest.strip_suffix(" is expected")) {
        format!("write {expected}")
    } else if let Some(normal) = after("is not in normal form: write ") {
        return format!("write {normal}");
    } else if let Some(words) = after("is not one of ") {
        return format!("write one of {words}");
    } else if let Some(range) = after("is not within ") {
        return format!("write something between {range}");
    } else if let Some((_, cure)) = FIXED.iter().find(|(words, _)| reason.contains(words)) {
        return (*cure).to_owned();
    } else {
        "write it as README.md says".to_owned()
    };
    about.map_or(what.clone(), |about| format!("{what}: {about}"))
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
