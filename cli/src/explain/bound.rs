//! What a token says that it is bound to, for the cure: the core's answer is one for all that it cannot prove.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

/// Of a JWT's `cnf` (RFC 7800 section 3.1), what the core could prove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bound {
    key: bool,
    certificate: bool,
    other: bool,
}

impl Bound {
    /// `None` if the token does not say it: perhaps its authorization server does.
    pub(super) fn of(token: &str) -> Option<Self> {
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        let claims: Value = serde_json::from_slice(&payload).ok()?;
        let mut found = Self::default();
        match claims.get("cnf")? {
            Value::Object(members) => {
                for (name, value) in members {
                    let is_digest = || {
                        let digest = value.as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
                        digest.is_some_and(|digest| digest.len() == 32)
                    };
                    match name.as_str() {
                        "jkt" if is_digest() => found.key = true,
                        "x5t#S256" if is_digest() => found.certificate = true,
                        "kc-jkt-type" => {}
                        _ => found.other = true,
                    }
                }
            }
            _ => found.other = true,
        }
        Some(found)
    }

    /// Why it is refused although nobody looked for a proof.
    pub(super) const fn cure(self) -> &'static str {
        match self {
            Self { other: false, key: true, certificate: false } => {
                "configure `dpop` for the resource, or get a token that is not bound"
            }
            Self { other: false, key: false, certificate: true } => {
                "configure `mutual_tls` for the resource, or get a token that is not bound"
            }
            Self { other: false, key: true, certificate: true } => {
                "configure `dpop` and `mutual_tls` for the resource, or get a token that is not bound"
            }
            _ => {
                "get a token that is not bound, or bound by `cnf.jkt` or `cnf.x5t#S256` alone: nothing else can be proved here"
            }
        }
    }
}
