//! Counters and gauges of the proxy: which there are, and when they are told.
//!
//! Metrics are nobody's security: a proxy that does not take one only counts less.

use mcp_oauth::{
    metrics::{COUNTERS, Counts, Decision, OUTCOMES, Outcome, reason_counter},
    time::UnixTime,
};

use crate::{
    host::{self, Metric},
    plugin::{Plugin, with_plugin, with_vm},
};

/// Requests that were forwarded unchecked because of `unmatched: insecure_forward`.
const INSECURE_FORWARDS: &str = "mcp_oauth.insecure_forward";

/// Requests that wait for keys, for the word of an issuer, or for a credential.
const HELD: &str = "mcp_oauth.held_requests";

/// The metrics of one plugin, as far as they are defined.
#[derive(Default)]
pub(crate) struct Metrics {
    counters: [Option<u32>; COUNTERS.len()],
    insecure_forwards: Option<u32>,
    held: Option<u32>,
    /// What the proxy was told of them.
    told_held: usize,
    /// By place and outcome.
    requests: Vec<[Option<u32>; OUTCOMES]>,
    /// By issuer.
    keys: Vec<(String, u32)>,
    /// There are as many as there are reasons.
    reasons: Vec<(Outcome, &'static str, u32)>,
}

impl Metrics {
    /// Defines those that every plugin has, so that they can be read before anything happens.
    pub(crate) fn define() -> Self {
        let define = |kind, name| host::define(kind, name).ok();
        Self {
            counters: COUNTERS.map(|name| define(Metric::Counter, name)),
            insecure_forwards: define(Metric::Counter, INSECURE_FORWARDS),
            held: define(Metric::Gauge, HELD),
            ..Self::default()
        }
    }

    /// Takes back what lasts no longer than the plugin.
    pub(crate) fn close(&self) {
        if let (Some(gauge), Ok(held @ 1..)) = (self.held, i64::try_from(self.told_held)) {
            host::increment(gauge, held.wrapping_neg()).ok();
        }
    }
}

impl Plugin {
    pub(crate) fn take_counts(&mut self, now: UnixTime) -> Counted {
        (self.metrics.counters, self.gate.take_counts(now))
    }
}

/// Counts what became of a request.
pub(crate) fn count_request(context: u32, decision: Decision) {
    let Some(root) = with_vm(|vm| Some(vm.streams.get(&context)?.root)).flatten() else { return };
    count_by_resource(root, decision);
    if let Some(reason) = decision.reason {
        count_by_reason(root, decision.outcome, reason);
    }
}

fn count_by_resource(root: u32, Decision { outcome, resource, .. }: Decision) {
    let known = with_plugin(root, |plugin| {
        let place = plugin.gate.policy().counted_as(resource)?;
        let id = plugin.metrics.requests.get(place).and_then(|ids| *ids.get(outcome as usize)?);
        Some((place, id.ok_or_else(|| plugin.gate.policy().requests_counter(outcome, place))))
    });
    let Some((place, id)) = known.flatten() else { return };
    let id = id.or_else(|name| {
        let id = host::define(Metric::Counter, &name)?;
        with_plugin(root, |plugin| {
            let requests = &mut plugin.metrics.requests;
            if requests.len() <= place {
                requests.resize(place.saturating_add(1), [None; OUTCOMES]);
            }
            if let Some(slot) = requests.get_mut(place).and_then(|ids| ids.get_mut(outcome as usize)) {
                *slot = Some(id);
            }
        });
        Ok::<u32, host::Status>(id)
    });
    add((id.ok(), 1));
}

fn count_by_reason(root: u32, outcome: Outcome, reason: &'static str) {
    let known = with_plugin(root, |plugin| {
        plugin.gate.policy().counted_as(None)?;
        let reasons = &plugin.metrics.reasons;
        Some(reasons.iter().find(|(of, name, _)| *of == outcome && *name == reason).map(|(.., id)| *id))
    });
    let Some(known) = known.flatten() else { return };
    let id = known.or_else(|| {
        let id = host::define(Metric::Counter, &reason_counter(outcome, reason)?).ok()?;
        with_plugin(root, |plugin| plugin.metrics.reasons.push((outcome, reason, id)));
        Some(id)
    });
    add((id, 1));
}

/// Counts a request that was forwarded unchecked.
pub(crate) fn count_insecure_forward(root: u32) {
    add((with_plugin(root, |plugin| plugin.metrics.insecure_forwards).flatten(), 1));
}

/// Tells what was counted since the last call, and how many requests wait.
pub(crate) fn tell_counts(root: u32, now: UnixTime) {
    if let Some(counted) = with_plugin(root, |plugin| plugin.take_counts(now)) {
        add_all(counted);
    }
    tell_held(root);
}

/// What was counted, and by which counters.
pub(crate) type Counted = ([Option<u32>; COUNTERS.len()], Counts);

pub(crate) fn add_all((counters, counts): Counted) {
    counters.into_iter().zip(counts).for_each(add);
}

/// Tells how many requests wait, if that changed. Workers add to one gauge, so it is told by the difference.
pub(crate) fn tell_held(root: u32) {
    let changed = with_plugin(root, |plugin| {
        let (held, told) = (plugin.gate.held(), plugin.metrics.told_held);
        plugin.metrics.told_held = held;
        let difference = i64::try_from(held).ok()?.checked_sub(i64::try_from(told).ok()?)?;
        Some((plugin.metrics.held?, difference)).filter(|_| difference != 0)
    });
    if let Some((gauge, difference)) = changed.flatten() {
        host::increment(gauge, difference).ok();
    }
}

/// Tells when the keys of an issuer were fetched.
pub(crate) fn tell_keys(root: u32, issuer: &str, now: UnixTime) {
    let known = with_plugin(root, |plugin| {
        let known = plugin.metrics.keys.iter().find(|(of, _)| of == issuer).map(|(_, id)| *id);
        known.ok_or_else(|| plugin.gate.policy().keys_gauge(issuer))
    });
    let Some(known) = known else { return };
    let gauge = known.or_else(|name| {
        let id = host::define(Metric::Gauge, &name)?;
        with_plugin(root, |plugin| plugin.metrics.keys.push((issuer.to_owned(), id)));
        Ok::<u32, host::Status>(id)
    });
    if let Ok(gauge) = gauge {
        host::record(gauge, now.0).ok();
    }
}

/// Adds to a counter, if there is one and something to add.
fn add((counter, by): (Option<u32>, u64)) {
    if let (Some(counter), Ok(by @ 1..)) = (counter, i64::try_from(by)) {
        host::increment(counter, by).ok();
    }
}
