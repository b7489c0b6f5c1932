//! `dpop` of a resource.

use core::time::Duration;

use alloc::{string::String, vec, vec::Vec};

use super::{
    HOUR, SECOND, Surroundings,
    authorization_servers::read_algorithms,
    reader::{At, Findings},
    resources::read_keys,
};
use crate::{
    dpop::{DpopPolicy, Nonces},
    jws::Algorithm,
};

/// Five minutes, as MCP's DPoP extension asks for.
const MAX_AGE: Duration = Duration::from_secs(300);

pub(super) fn read_dpop(at: &At<'_>, surroundings: Surroundings<'_>, findings: &mut Findings) -> Option<DpopPolicy> {
    let members = findings.object(at, &["required", "algorithms", "max_age", "clock_skew", "nonce"])?;
    let required = findings.truth(members.get("required"));
    let algorithms = match members.get("algorithms") {
        Some(at) => {
            let mut algorithms: Vec<Algorithm> = Vec::new();
            for algorithm in read_algorithms(&at, findings) {
                if algorithms.contains(&algorithm) {
                    findings.add(&at.path, alloc::format!("`{}` is listed twice", algorithm.as_str()));
                }
                algorithms.push(algorithm);
            }
            algorithms
        }
        None => vec![Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Ps256],
    };
    let max_age = findings.duration(members.get("max_age"), MAX_AGE, SECOND..=HOUR);
    let skew = Duration::from_secs(30);
    let clock_skew = findings.duration(members.get("clock_skew"), skew, Duration::ZERO..=MAX_AGE);
    let nonces = members.get("nonce").and_then(|at| {
        let members = findings.object(&at, &["key_variable", "max_age"])?;
        let max_age = findings.duration(members.get("max_age"), MAX_AGE, SECOND..=HOUR);
        Some(Nonces { keys: read_keys(&members, surroundings, findings)?, max_age })
    });
    Some(DpopPolicy { required, algorithms, origin: String::new(), max_age, clock_skew, nonces })
}
