//! What is worth counting, as values: the host counts.
//!
//! Names and what they are counted by come from this crate and from the configuration, never from a request, so that
//! nobody can make a host keep more counters than there are resources and reasons.

use alloc::{borrow::ToOwned, string::String};

use crate::{policy::Policy, time::UnixTime};

/// How requests are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestMetrics {
    /// By what became of them, and refused ones by reason.
    #[default]
    Total,
    /// By their resource too.
    PerResource,
    /// Not at all.
    Off,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on.
    Allow = 0,
    /// It is refused.
    Deny = 1,
    /// It is for a document, or a preflight.
    Answer = 2,
    /// It goes on although it would be refused.
    Report = 3,
}

/// How many there are.
pub const OUTCOMES: usize = 4;

/// What became of a request, and for which resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What.
    pub outcome: Outcome,
    /// Why, of a [`Outcome::Deny`] or a [`Outcome::Report`]: one of a fixed list.
    pub reason: Option<&'static str>,
    /// The place of its resource in the policy; `None` if it is for no resource.
    pub resource: Option<usize>,
}

impl Outcome {
    /// Its name in filter state and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Answer => "answer",
            Self::Report => "report",
        }
    }
}

/// What is counted besides requests; each is a place in [`Counts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    SignatureFallback,
    CacheHit,
    CacheMiss,
    KeyFetch,
    KeyFailure,
    Introspection,
    IntrospectionFailure,
    TokenEndpoint,
    TokenEndpointFailure,
}

/// The names of [`Counts`], in their order.
pub const COUNTERS: [&str; 9] = [
    "mcp_oauth.verify_signature_fallback",
    "mcp_oauth.token_cache.hit",
    "mcp_oauth.token_cache.miss",
    "mcp_oauth.fetches.keys",
    "mcp_oauth.fetch_failures.keys",
    "mcp_oauth.fetches.introspection",
    "mcp_oauth.fetch_failures.introspection",
    "mcp_oauth.fetches.token_endpoint",
    "mcp_oauth.fetch_failures.token_endpoint",
];

/// How often each happened.
pub type Counts = [u64; COUNTERS.len()];

/// Hits are told at most once in so many seconds, so that what costs least stays so.
const HITS_EVERY: u64 = 10;

/// What was not told yet.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: Counts,
    hits: u64,
    told_at: UnixTime,
}

impl Tally {
    pub(crate) fn add(&mut self, count: Count) {
        let place = match count {
            Count::CacheHit => Some(&mut self.hits),
            other => self.counts.get_mut(other as usize),
        };
        if let Some(place) = place {
            *place = place.saturating_add(1);
        }
    }

    /// What is to be told now.
    pub(crate) fn take(&mut self, fallbacks: u64, now: UnixTime) -> Counts {
        let mut counts = core::mem::take(&mut self.counts);
        if let Some(place) = counts.get_mut(Count::SignatureFallback as usize) {
            *place = fallbacks;
        }
        // A clock that was set back must not keep them for longer.
        if now < self.told_at || now.minus(HITS_EVERY) >= self.told_at {
            self.told_at = now;
            if let Some(place) = counts.get_mut(Count::CacheHit as usize) {
                *place = core::mem::take(&mut self.hits);
            }
        }
        counts
    }
}

/// As many resources are counted each by itself; the rest are one. With the four outcomes of each, that is as much as
/// proxies and their scrapers have of one upstream cluster or two.
pub const MAX_COUNTED_RESOURCES: usize = 200;

impl Policy {
    /// The place of a decision among the counters of resources: 0 where they are counted together, 1 for no resource, the
    /// last for all that are beyond the bound. `None`: requests are not counted.
    #[must_use]
    pub fn counted_as(&self, resource: Option<usize>) -> Option<usize> {
        match self.request_metrics {
            RequestMetrics::Off => None,
            RequestMetrics::Total => Some(0),
            RequestMetrics::PerResource => {
                let index = resource.map(|index| index.min(MAX_COUNTED_RESOURCES));
                Some(index.map_or(1, |index| index.saturating_add(2)))
            }
        }
    }

    /// How the counter of these decisions is called.
    #[must_use]
    pub fn requests_counter(&self, outcome: Outcome, place: usize) -> String {
        let mut name = "mcp_oauth.requests.".to_owned();
        name.push_str(outcome.as_str());
        if place > 0 {
            let index = place.checked_sub(2);
            name.push_str(".resource.");
            match index.map(|index| (self.resource(index), index < MAX_COUNTED_RESOURCES)) {
                None => name.push_str("none"),
                Some((Some(resource), true)) => push_label(&mut name, resource.uri()),
                Some(_) => name.push_str("other"),
            }
        }
        name
    }

    /// How the gauge of an issuer's keys is called: the time at which they were fetched.
    #[must_use]
    pub fn keys_gauge(&self, issuer: &str) -> String {
        let mut name = "mcp_oauth.keys_fetched_at.issuer.".to_owned();
        push_label(&mut name, issuer);
        name
    }
}

/// A URL as a part of a name that every sink of metrics takes: host and path, and `_` for what is neither letter nor digit.
fn push_label(name: &mut String, url: &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/');
    name.extend(rest.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }));
}

/// How the counter of a reason is called; `None` for outcomes that have none.
#[must_use]
pub fn reason_counter(outcome: Outcome, reason: &str) -> Option<String> {
    let mut name = match outcome {
        Outcome::Deny => "mcp_oauth.denied.",
        Outcome::Report => "mcp_oauth.reported.",
        Outcome::Allow | Outcome::Answer => return None,
    }
    .to_owned();
    // Its own prefix is as long as this one.
    name.push_str(reason.get("mcp_oauth.".len()..).unwrap_or(reason));
    Some(name)
}
