//! `introspect` and `introspection` of an authorization server.

use core::time::Duration;

use super::{
    HOUR, MINUTE, SECOND, Surroundings,
    client_authentication::{KNOWN as CLIENT, read_client_authentication},
    reader::{Findings, Members},
    required_uri,
};
use crate::{
    introspection::{Introspection, Service, Tokens},
    provider::Provider,
    uri::HttpUri,
};

#[derive(Clone, Copy)]
enum Form {
    Rfc7662,
    GoogleTokeninfo,
}

pub(super) fn read_introspection(
    server: &Members<'_>,
    provider: Provider,
    known_endpoint: Option<HttpUri>,
    surroundings: Surroundings<'_>,
    findings: &mut Findings,
) -> Option<Introspection> {
    const KNOWN: [&str; 9] = [
        "endpoint",
        "cluster",
        "form",
        "client_id",
        "client_secret_variable",
        "client_authentication",
        "timeout",
        "max_age",
        "inactive_max_age",
    ];
    let tokens = server.get("introspect");
    let is_asked_for = tokens.is_some();
    let tokens = findings.choice(tokens, &[("opaque_only", Tokens::OpaqueOnly), ("always", Tokens::Always)]);
    let Some(at) = server.get("introspection") else {
        if is_asked_for {
            findings.add(&server.place("introspection"), "is missing: `introspect` needs to know whom to ask");
        }
        return None;
    };
    let members = findings.object(&at, &KNOWN)?;
    let endpoint = match (members.get("endpoint"), known_endpoint) {
        (None, Some(known)) => Some(known),
        _ => required_uri(&members, "endpoint", findings),
    };
    let cluster = match members.get("cluster").or_else(|| server.get("cluster")) {
        Some(at) => findings.text(&at),
        None => {
            findings.add(&members.place("cluster"), "is missing");
            None
        }
    };
    let form = [("rfc7662", Form::Rfc7662), ("google_tokeninfo", Form::GoogleTokeninfo)];
    let usual = if provider == Provider::Google { Form::GoogleTokeninfo } else { Form::Rfc7662 };
    let service = match findings.choice(members.get("form"), &form).unwrap_or(usual) {
        Form::Rfc7662 => read_client_authentication(&members, surroundings, findings).map(Service::Rfc7662),
        Form::GoogleTokeninfo => {
            for name in CLIENT.into_iter().filter(|name| members.get(name).is_some()) {
                findings.add(&members.place(name), "has no meaning here: `google_tokeninfo` authenticates nobody");
            }
            Some(Service::GoogleTokeninfo)
        }
    };
    let duration = Duration::from_secs;
    let timeout = findings.duration(members.get("timeout"), duration(5), Duration::from_millis(100)..=MINUTE);
    let max_age = findings.duration(members.get("max_age"), MINUTE, SECOND..=HOUR);
    let inactive_max_age = findings.duration(members.get("inactive_max_age"), duration(10), Duration::ZERO..=HOUR);
    Some(Introspection {
        tokens: tokens.unwrap_or_default(),
        endpoint: endpoint?,
        cluster: cluster?.into(),
        service: service?,
        timeout,
        max_age,
        inactive_max_age,
    })
}
