//! Rules: who may call what. The first one that matches decides.

use alloc::{borrow::ToOwned, string::String, vec::Vec};

use crate::{
    message::{Kind, Message, Target},
    path,
    scope_policy::Needs,
};

/// What a resource asks of the bodies of requests.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) rules: Vec<Rule>,
    /// What happens when no rule matches.
    pub(crate) otherwise: Otherwise,
    /// Methods that need no token.
    pub(crate) anonymous: Vec<Pattern>,
    pub(crate) batches: bool,
    pub(crate) max_body_bytes: usize,
    /// Whether lists show only what the caller may use.
    pub(crate) filter_lists: bool,
}

/// What happens when no rule matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Otherwise {
    /// The scopes that the resource requires are enough.
    #[default]
    Allow,
    /// It is refused, whatever the token carries.
    Deny,
}

/// One rule. An empty list matches everything.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) methods: Vec<Pattern>,
    pub(crate) targets: Vec<TargetPattern>,
    /// Numbers of conditions that the caller's claims must fulfil ([`crate::policy::Policy::conditions`]).
    pub(crate) conditions: Vec<usize>,
    pub(crate) effect: Effect,
}

/// What a rule says.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// Yes, with these scopes.
    Allow(Needs),
    /// No.
    Deny,
}

/// A name, or with `*` at its end the start of names. Case matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    Exact(String),
    Prefix(String),
}

/// What a rule's target must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TargetPattern {
    Tool(Pattern),
    Prompt(Pattern),
    Resource(UriPattern),
}

/// A resource URI, or with `/*` at its end everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UriPattern {
    Exact(String),
    Below(String),
}

/// What the rules say of a message.
#[derive(Clone, Debug)]
pub(crate) enum Ruling<'p> {
    /// A token with all of these may.
    Allow(Vec<&'p Needs>),
    /// Nobody like this caller may, whatever the scopes; the number of the rule that says so.
    Deny(Option<usize>),
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Self {
        text.strip_suffix('*').map_or_else(|| Self::Exact(text.into()), |start| Self::Prefix(start.into()))
    }

    pub(crate) fn matches_everything(&self) -> bool {
        matches!(self, Self::Prefix(start) if start.is_empty())
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(own) => own == text,
            Self::Prefix(start) => text.starts_with(start.as_str()),
        }
    }

    /// Whether it matches all that `other` matches.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(own), Self::Exact(other)) => own == other,
            (Self::Exact(_), Self::Prefix(_)) => false,
            (Self::Prefix(start), Self::Exact(other) | Self::Prefix(other)) => other.starts_with(start.as_str()),
        }
    }
}

impl UriPattern {
    pub(crate) fn parse(text: &str) -> Self {
        match text.strip_suffix('*').filter(|base| base.ends_with('/')) {
            Some(base) => Self::Below(base.into()),
            None => Self::Exact(text.into()),
        }
    }

    fn matches(&self, uri: &str) -> bool {
        match self {
            Self::Exact(own) => own == uri,
            Self::Below(base) => uri.starts_with(base.as_str()),
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(own), Self::Exact(other)) => own == other,
            (Self::Exact(_), Self::Below(_)) => false,
            (Self::Below(base), Self::Exact(other) | Self::Below(other)) => other.starts_with(base.as_str()),
        }
    }
}

impl TargetPattern {
    /// The methods whose requests have such a target.
    pub(crate) const fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::Tool(_) => &["tools/call"],
            Self::Prompt(_) => &["prompts/get", "completion/complete"],
            Self::Resource(_) => &[
                "resources/read",
                "resources/subscribe",
                "resources/unsubscribe",
                "subscriptions/listen",
                "completion/complete",
            ],
        }
    }

    fn matches(&self, target: &Target<'_>) -> bool {
        match (self, target) {
            (Self::Tool(pattern), Target::Tool(name)) | (Self::Prompt(pattern), Target::Prompt(name)) => {
                pattern.matches(name)
            }
            (Self::Resource(pattern), Target::Resource(uri)) => pattern.matches(uri),
            _ => false,
        }
    }

    /// Whether it matches all that `other` matches.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tool(own), Self::Tool(other)) | (Self::Prompt(own), Self::Prompt(other)) => own.covers(other),
            (Self::Resource(own), Self::Resource(other)) => own.covers(other),
            _ => false,
        }
    }

    /// Whether it matches every message of these methods, which must not be without a target.
    pub(crate) fn covers_method(&self, method: &Pattern) -> bool {
        let is = |name: &str| matches!(method, Pattern::Exact(method) if method == name);
        match self {
            Self::Tool(pattern) => is("tools/call") && pattern.matches_everything(),
            Self::Prompt(pattern) => is("prompts/get") && pattern.matches_everything(),
            Self::Resource(_) => false,
        }
    }
}

impl Rule {
    pub(crate) fn is_for(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|pattern| pattern.matches(method))
    }

    fn matches(&self, method: &str, target: Option<&Target<'_>>, facts: &[usize]) -> bool {
        let is_target = |target| self.targets.iter().any(|pattern| pattern.matches(target));
        self.is_for(method)
            && (self.targets.is_empty() || target.is_some_and(is_target))
            && self.conditions.iter().all(|condition| facts.contains(condition))
    }
}

impl Access {
    /// What the rules say of a message of a caller whose claims fulfil the conditions `facts`.
    ///
    /// Each target is judged by itself, and all must be allowed. The answer to a request of the server passes: without
    /// it sampling and elicitation would hang.
    pub(crate) fn judge(&self, message: &Message<'_>, facts: &[usize]) -> Ruling<'_> {
        let mut all = Vec::new();
        if message.kind == Kind::Response {
            return Ruling::Allow(all);
        }
        let alone = message.targets.is_empty().then_some(None);
        for target in alone.into_iter().chain(message.targets.iter().map(Some)) {
            let mut rules = self.rules.iter().enumerate();
            match (rules.find(|(_, rule)| rule.matches(&message.method, target, facts)), self.otherwise) {
                (Some((_, Rule { effect: Effect::Allow(needs), .. })), _) => all.push(needs),
                (Some((number, _)), _) => return Ruling::Deny(Some(number)),
                (None, Otherwise::Allow) => {}
                (None, Otherwise::Deny) => return Ruling::Deny(None),
            }
        }
        Ruling::Allow(all)
    }

    /// Whether a message of this method needs no token.
    pub(crate) fn is_anonymous(&self, message: &Message<'_>) -> bool {
        message.kind != Kind::Response && self.anonymous.iter().any(|pattern| pattern.matches(&message.method))
    }

    /// Whether some rule looks at the caller's claims.
    pub(crate) fn has_conditions(&self) -> bool {
        self.rules.iter().any(|rule| !rule.conditions.is_empty())
    }

    /// Whether the rules tell resources apart by URI, so that a URI must mean one thing only.
    pub(crate) fn has_uris(&self) -> bool {
        self.rules.iter().flat_map(|rule| &rule.targets).any(|target| matches!(target, TargetPattern::Resource(_)))
    }
}

/// Whether a server could take this URI for one that is written otherwise: only what is left alone by every usual
/// normalization (RFC 3986 section 6.2.2, the URL standard) has one spelling.
pub(crate) fn is_ambiguous(uri: &str) -> bool {
    has_one_spelling(uri).is_none()
}

/// The same for what may be a template: the expressions in its braces (RFC 6570) are its own, and so is their case.
pub(crate) fn is_ambiguous_template(template: &str) -> bool {
    let mut parts = template.split('{');
    let mut uri = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let Some((expression, after)) = part.split_once('}') else { return true };
        uri.push_str(&expression.to_ascii_lowercase());
        uri.push_str(after);
    }
    is_ambiguous(&uri)
}

fn has_one_spelling(uri: &str) -> Option<()> {
    let (scheme, rest) = uri.split_once(':')?;
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    if scheme.is_empty() || !scheme.bytes().all(legal) || !rest.bytes().all(|byte| matches!(byte, 0x21..=0x7E)) {
        return None;
    }
    // A fragment never reaches a server, and readers drop an empty query.
    if uri.contains('#') || uri.ends_with('?') {
        return None;
    }
    // What the URL standard would write otherwise, and the TypeScript SDK does: empty and padded ports, empty users,
    // default ports, numbers as hosts, `file://localhost`, a missing slash.
    if url::Url::parse(uri).ok()?.as_str() != uri {
        return None;
    }
    let (hierarchy, after) = rest.split_at_checked(rest.find(['?', '#']).unwrap_or(rest.len()))?;
    let path = match hierarchy.strip_prefix("//") {
        Some(hierarchy) => {
            let (authority, path) = hierarchy.split_at_checked(hierarchy.find('/').unwrap_or(hierarchy.len()))?;
            // Python reads hosts in lower case, and nobody compares users.
            let has_more = authority.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b'@');
            // A server that only cuts the scheme off reads the authority as the first segment.
            if has_more || matches!(authority, "." | "..") || path::check_segment(authority).is_err() {
                return None;
            }
            path.strip_prefix('/').unwrap_or_default()
        }
        None if hierarchy.is_empty() => return None,
        // A slash alone leaves an empty segment before it: Python writes `x:/a` for `x:///a`.
        None => hierarchy,
    };
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_inner_and_empty = segment.is_empty() && segments.peek().is_some();
        if is_inner_and_empty || matches!(segment, "." | "..") || path::check_segment(segment).is_err() {
            return None;
        }
    }
    // Not every server knows that a path ends at `?`.
    let mut parts = after.split(['?', '#', '/']);
    parts.all(|part| !matches!(part, "." | "..") && path::check_segment(part).is_ok()).then_some(())
}
