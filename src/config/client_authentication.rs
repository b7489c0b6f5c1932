//! How the gate authenticates as a client. The secret is in an environment variable, so that whoever reads the configuration
//! cannot use it.

use alloc::borrow::Cow;

use super::{
    Surroundings,
    reader::{Findings, Members},
    required_text,
};
use crate::{
    client_authentication::{ClientAuthentication, Method},
    secret::Secret,
};

/// The settings, for the lists of those who have them.
pub(super) const KNOWN: [&str; 3] = ["client_id", "client_secret_variable", "client_authentication"];

pub(super) fn read_client_authentication(
    members: &Members<'_>,
    surroundings: Surroundings<'_>,
    findings: &mut Findings,
) -> Option<ClientAuthentication> {
    let client_id = required_text(members, "client_id", findings).map(Cow::into_owned);
    let client_secret = match members.get("client_secret_variable") {
        Some(_) => read_secret(members, "client_secret_variable", surroundings, findings),
        None => {
            findings.add(&members.place("client_secret_variable"), "is missing");
            None
        }
    };
    let method = findings.choice(members.get("client_authentication"), &Method::NAMES).unwrap_or_default();
    Some(ClientAuthentication { client_id: client_id?, client_secret: client_secret?, method })
}

/// The secret in the environment variable that this setting names: visible ASCII and spaces (RFC 6749 appendix A.2). `None`
/// without the setting, too.
pub(super) fn read_secret(
    members: &Members<'_>,
    name: &str,
    surroundings: Surroundings<'_>,
    findings: &mut Findings,
) -> Option<Secret> {
    let at = members.get(name)?;
    let variable = findings.text(&at)?;
    let Some(value) = (surroundings.environment)(&variable) else {
        findings.wrong_variable(&at.path, &variable, &"is not set");
        return None;
    };
    if value.is_empty() {
        findings.wrong_variable(&at.path, &variable, &"is empty");
        return None;
    }
    if !value.bytes().all(|byte| matches!(byte, 0x20..=0x7E)) {
        let why = "holds other characters than visible ASCII and spaces, perhaps the end of a line";
        findings.wrong_variable(&at.path, &variable, &why);
        return None;
    }
    Some(Secret::from(value))
}
