//! Environment variables that a configuration names: given, found, or made up so that the rest can be checked.

use std::{cell::RefCell, collections::BTreeMap};

use crate::node::Node;

/// Where the values come from.
pub(crate) struct Environment {
    given: BTreeMap<String, String>,
    /// Whether one that is nowhere gets a value that fits.
    assume: bool,
    kinds: BTreeMap<String, Kind>,
    assumed: RefCell<Vec<String>>,
}

/// What a variable holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Secret,
    MacKeys,
    SigningKeys,
}

/// RFC 7515 appendix A.3.1: an example's key, known to everybody.
const SIGNING_KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

impl Environment {
    pub(crate) fn new(given: &[(String, String)], assume: bool, configuration: &Node) -> Self {
        let mut kinds = BTreeMap::new();
        for Variable { setting, name, .. } in variables(configuration) {
            let kind = match setting {
                "key_variable" => Kind::MacKeys,
                "keys_variable" => Kind::SigningKeys,
                _ => Kind::Secret,
            };
            kinds.insert(name.to_owned(), kind);
        }
        Self { given: given.iter().cloned().collect(), assume, kinds, assumed: RefCell::default() }
    }

    pub(crate) fn value(&self, name: &str) -> Option<String> {
        if let Some(value) = self.given.get(name).cloned().or_else(|| std::env::var(name).ok()) {
            return Some(value);
        }
        let kind = self.kinds.get(name).filter(|_| self.assume)?;
        if !self.assumed.borrow().iter().any(|assumed| assumed == name) {
            self.assumed.borrow_mut().push(name.to_owned());
        }
        Some(match kind {
            Kind::Secret => "assumed".to_owned(),
            Kind::MacKeys => "0".repeat(43),
            Kind::SigningKeys => SIGNING_KEYS.to_owned(),
        })
    }

    /// The variables for which a value was made up.
    pub(crate) fn assumed(&self) -> Vec<String> {
        self.assumed.borrow().clone()
    }

    /// What was assumed, in words; `None`: nothing.
    pub(crate) fn note(&self) -> Option<String> {
        let (named, odd): (Vec<_>, Vec<_>) = self.assumed().into_iter().partition(|name| is_variable_name(name));
        let number = match odd.len() {
            0 => None,
            1 => Some("one with an odd name".to_owned()),
            number => Some(format!("{number} with odd names")),
        };
        let all: Vec<String> = named.into_iter().chain(number).collect();
        (!all.is_empty()).then(|| format!("assumed to be set and right: {}", all.join(", ")))
    }
}

impl Environment {
    /// Those of them that are shown to other servers, as far as they may be named.
    pub(crate) fn made_up_secrets(&self) -> Vec<String> {
        let is_secret = |name: &&String| self.kinds.get(*name) == Some(&Kind::Secret);
        let shown =
            |name: &String| if is_variable_name(name) { name.clone() } else { "one with an odd name".to_owned() };
        self.assumed.borrow().iter().filter(is_secret).map(shown).collect()
    }
}

/// An environment variable that a configuration names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Variable<'c> {
    pub(crate) setting: &'c str,
    pub(crate) name: &'c str,
    /// Where it is named.
    pub(crate) at: usize,
}

/// The environment variables that a configuration names, each with the setting that does, in their order; each once.
pub(crate) fn variables(configuration: &Node) -> Vec<Variable<'_>> {
    let mut found = Vec::new();
    configuration.each(&mut |node| {
        for member in node.members().iter().filter(|member| member.name.ends_with("_variable")) {
            let variable = |name| Variable { setting: &member.name, name, at: member.node.at };
            found.extend(member.node.text().map(variable));
        }
    });
    found.sort_unstable();
    found.dedup_by_key(|variable| (variable.setting, variable.name));
    found
}

/// Whether it is one by its looks. What is not may be a secret that was written where a name belongs.
pub(crate) fn is_variable_name(text: &str) -> bool {
    text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}
