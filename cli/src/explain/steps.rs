//! The checks by name, each with its clause; and what became of each, by what the core says that it ran.

use mcp_oauth::{explain::Check, refusal::Refusal};

/// What became of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Passed,
    Failed,
    /// It found that another check has to answer: no JWT, so the authorization server or the operator's list.
    PassedOn,
    /// It did not come to it.
    NotReached,
    /// It waits for something that was not to be had.
    Undecided,
}

impl Status {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::PassedOn => "passed on",
            Self::NotReached => "not reached",
            Self::Undecided => "undecided",
        }
    }
}

/// One line of the explanation.
pub(crate) struct Step {
    pub(crate) check: Check,
    pub(crate) status: Status,
}

/// How a request ended, for the list.
pub(crate) enum End<'r> {
    Forwarded,
    /// An answer that is no refusal: a document, a preflight.
    Answered,
    Refused(&'r Refusal),
    /// It still waits.
    Open,
}

/// Every check that was begun, in that order, and those that the request did not come to.
pub(crate) fn list(begun: &[Check], end: &End<'_>) -> Vec<Step> {
    let failed = match end {
        End::Refused(refusal) => Check::of(refusal),
        End::Forwarded | End::Answered | End::Open => None,
    };
    let mut order: Vec<Check> = begun.to_vec();
    order.extend(failed.filter(|failed| !begun.contains(failed)));
    let mut steps: Vec<Step> = Vec::new();
    for (index, check) in order.iter().copied().enumerate() {
        let next = order.get(index.saturating_add(1)).copied();
        let is_last = next.is_none();
        let status = match check {
            _ if failed == Some(check) => Status::Failed,
            _ if is_last && matches!(end, End::Open) => Status::Undecided,
            // The gate itself could not go on.
            _ if is_last && failed.is_none() && matches!(end, End::Refused(_)) => Status::Undecided,
            Check::Form | Check::Issuer if matches!(next, Some(Check::StaticToken | Check::Introspection)) => {
                Status::PassedOn
            }
            Check::StaticToken if next == Some(Check::Introspection) => Status::PassedOn,
            Check::StaticToken if failed.is_some_and(|failed| failed <= Check::Issuer) => Status::Failed,
            _ => Status::Passed,
        };
        steps.push(Step { check, status });
    }
    let last = order.iter().copied().filter(|check| Some(*check) != failed).max();
    if !matches!(end, End::Forwarded | End::Answered) {
        let is_after = |check: Check| last.is_none_or(|last| check > last) && !order.contains(&check);
        let after = |check: &Check| is_after(*check) && applies_to_all(*check);
        let rest = Check::ALL.into_iter().filter(after);
        steps.extend(rest.map(|check| Step { check, status: Status::NotReached }));
    }
    steps
}

/// Whether every request with a JWT meets it; of the others it cannot be said that one did not come to them.
const fn applies_to_all(check: Check) -> bool {
    !matches!(
        check,
        Check::Introspection
            | Check::StaticToken
            | Check::Endpoint
            | Check::Session
            | Check::Message
            | Check::Headers
            | Check::Rules
    )
}

/// What is checked, and by which clause.
pub(crate) const fn describe(check: Check) -> (&'static str, &'static str) {
    match check {
        Check::Head => {
            ("the request has one method, host and path, with one reading", "RFC 9110 section 7.1; RFC 3986 section 6")
        }
        Check::Resource => ("a resource is configured there", "RFC 9728 section 2"),
        Check::Origin => ("the page that asks may", "MCP transports, Security Warning; RFC 6454"),
        Check::Credentials => (
            "there is one token, in a scheme that is taken",
            "RFC 6750 sections 2.1 and 3; MCP authorization, Token Requirements",
        ),
        Check::Form => {
            ("the token is a signed JWT with a known algorithm", "RFC 7515 section 3.1; RFC 8725 sections 3.1 and 3.2")
        }
        Check::Issuer => {
            ("`iss` is an authorization server of the resource", "RFC 9068 section 4; RFC 8725 section 3.8")
        }
        Check::Algorithm => ("the issuer may sign with this algorithm", "RFC 8725 section 3.1"),
        Check::Kind => {
            ("it is an access token and no other kind of token", "RFC 9068 section 4; RFC 8725 sections 3.11 and 3.12")
        }
        Check::Claims => ("its claims are there and of their types", "RFC 9068 section 2.2; RFC 7519 section 4.1"),
        Check::Audience => ("`aud` has the resource", "RFC 8707 section 2; MCP authorization, Token Handling"),
        Check::Times => ("it has begun and has not expired", "RFC 7519 sections 4.1.4 to 4.1.6"),
        Check::Binding => ("what it is bound to can be proved here", "RFC 7800 section 3; RFC 9449 section 7.1"),
        Check::Key => ("the issuer has the key", "RFC 8414 section 3; RFC 7517 section 4.5"),
        Check::Signature => ("the signature is right", "RFC 7515 section 5.2"),
        Check::Introspection => ("the issuer says that it is active", "RFC 7662 section 2.2"),
        Check::StaticToken => ("it is one of the operator's own tokens", "`static_tokens` of the configuration"),
        Check::Possession => ("its sender proves what it is bound to", "RFC 9449 section 4.3; RFC 8705 section 3"),
        Check::UpstreamCredential => {
            ("there is a credential for the server", "MCP authorization, Access Token Privilege Restriction; RFC 8693")
        }
        Check::Endpoint => ("method and media type are those of an MCP endpoint", "MCP transports, Streamable HTTP"),
        Check::Session => ("the session is the caller's", "MCP transports, Session Management"),
        Check::Message => {
            ("the body is one well-formed message that is not too large", "JSON-RPC 2.0; MCP base protocol")
        }
        Check::Headers => ("headers and body say the same", "MCP transports, Standard Request Headers"),
        Check::Rules => ("the rules allow it", "`rules` and `default` of the configuration"),
        Check::Scopes => {
            ("the token carries the scopes", "RFC 6750 section 3.1; MCP authorization, Scope Challenge Handling")
        }
        _ => ("", ""),
    }
}
