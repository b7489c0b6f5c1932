//! `mcp-oauth explain`: why a request is let through or refused. The verdict is the gate's; what is told of the way to it is
//! what the gate's own checks noted.

mod answers;
mod bound;
mod chosen;
mod cures;
mod presented;
mod request;
mod steps;

use std::time::Duration;

use mcp_oauth::{
    explain::{self, Check},
    forward::{Edit, Forward, IdentityHeaders},
    gate::{Gate, Verdict},
    policy::Policy,
    refusal::Refusal,
    reply::Reply,
    request::{Certificate, Request, RouteResource},
    time::UnixTime,
    token::TokenError,
};
use serde_json::json;

use crate::{
    Ending, Misuse,
    arguments::Explain,
    http::{self, Client, Unreachable},
    output::{Ink, Output},
};
use answers::Answers;
use request::Asked;
use steps::{End, Status, Step};

/// A request waits for a few answers only: metadata at three places, keys, introspection, a credential.
const MAX_FETCHES: usize = 16;

pub(crate) fn run(options: &Explain, out: &mut Output) -> Result<Ending, Misuse> {
    let asked = request::read(options, out)?;
    let keys = options.keys.as_deref().map(request::read_keys).transpose()?;
    let client = options.fetch.then(|| Client::new(options.ca.as_deref(), Duration::from_secs(10))).transpose()?;
    let exchange = options.exchange;
    let (issuers, made_up) = (asked.issuers.clone(), asked.made_up.clone());
    let mut answers =
        Answers { keys, client, exchange, issuers, made_up, unreachable: Vec::new(), open: None, events: Vec::new() };
    let policy = asked.policy.clone();
    explain::start();
    let verdict = decide(policy, &asked, &mut answers, out);
    let begun = explain::take();
    report(verdict, &begun, &asked, &answers, out)
}

/// What the gate says in the end; `None` if it waits for an answer that nobody gives.
fn decide(policy: Policy, asked: &Asked, answers: &mut Answers, out: &Output) -> Option<Verdict> {
    const ID: u32 = 1;
    let mut gate = Gate::new(policy);
    let now = asked.now;
    let lines = asked.head.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let request = Request::new(lines, gate.policy().identity_headers())
        .ended(asked.body.is_none())
        .on_route(RouteResource::Unnamed)
        .on_connection(asked.certificate.unwrap_or(Certificate::Absent));
    let mut verdict = gate.on_request(ID, &request, now);
    for _ in 0..MAX_FETCHES {
        match verdict {
            Verdict::Hold => {}
            Verdict::ReadBody(pending) => {
                let body = asked.body.as_deref().unwrap_or_default();
                return Some(pending.judge(body));
            }
            other => return Some(other),
        }
        let fetch = gate.poll_fetch(now)?;
        let answer = answers.to(&fetch, out)?;
        let outcome = gate.on_answer(fetch.id, answer.answer(), now);
        answers.note(&fetch, outcome.event, outcome.remote);
        verdict = outcome.resumed.into_iter().next().map_or(Verdict::Hold, |resumed| resumed.verdict);
    }
    None
}

fn report(
    verdict: Option<Verdict>,
    begun: &[Check],
    asked: &Asked,
    answers: &Answers,
    out: &Output,
) -> Result<Ending, Misuse> {
    let end = match &verdict {
        Some(Verdict::Forward(forward)) => forward.refusal().map_or(End::Forwarded, End::Refused),
        Some(Verdict::NotOurs(_)) => End::Forwarded,
        Some(Verdict::Reply(reply)) => reply.refusal().map_or(End::Answered, End::Refused),
        Some(Verdict::Hold | Verdict::ReadBody(_)) | None => End::Open,
    };
    let steps = steps::list(begun, &end);
    let why = match &end {
        End::Refused(refusal) => Some(answers.as_it_was(&why(refusal))),
        End::Open => answers.open.clone(),
        End::Forwarded | End::Answered => None,
    };
    for note in &asked.notes {
        out.line(&out.paint(Ink::Dim, &format!("note: {note}")));
    }
    for event in &answers.events {
        out.line(&out.paint(Ink::Dim, event));
    }
    steps.iter().for_each(|step| print(step, why.as_deref(), out));
    out.line("");
    let mut document = json!({
        "steps": steps.iter().map(|step| {
            let (what, clause) = steps::describe(step.check);
            let check = format!("{:?}", step.check);
            json!({ "check": check, "what": what, "clause": clause, "status": step.status.name() })
        }).collect::<Vec<_>>(),
        "why": why, "notes": asked.notes, "events": answers.events,
        "unreachable": answers.unreachable.iter().map(|server| json!({
            "step": server.step, "address": server.address,
            "waited_ms": u64::try_from(server.waited.as_millis()).unwrap_or(u64::MAX), "why": server.why,
            "cure": unreachable(server),
        })).collect::<Vec<_>>(),
    });
    if let End::Refused(refusal) = &end {
        let cure = cure(refusal, begun, asked, answers);
        let how = if matches!(verdict, Some(Verdict::Forward(_))) { "would be refused" } else { "refused" };
        let why = why.as_deref().unwrap_or_default();
        out.line(&out.paint(Ink::Red, &format!("{how}: {} ({why})", refusal.reason())));
        cure.iter().for_each(|cure| out.line(&format!("   cure: {cure}")));
        out.line(&format!("   more: docs/guides/troubleshooting.md#{}", refusal.reason()));
        set(&mut document, "reason", json!(refusal.reason()));
        set(&mut document, "cure", json!(cure));
    }
    let (name, ending) = match &verdict {
        Some(Verdict::Forward(forward)) => {
            let edits = edits(forward, asked.policy.identity_headers());
            let refusal = forward.refusal();
            let (ink, why) = match refusal {
                Some(_) => (Ink::Yellow, "forwarded all the same, because the resource is `report_only`"),
                None => (Ink::Green, "forwarded"),
            };
            out.line(&out.paint(ink, &format!("{why}: the server gets the request, with these changes")));
            edits.iter().for_each(|edit| out.line(&format!("   {edit}")));
            set(&mut document, "edits", json!(edits));
            if refusal.is_some() { ("report", Ending::Findings) } else { ("forward", Ending::Good) }
        }
        Some(Verdict::NotOurs(_)) => {
            out.line(&out.paint(
                Ink::Yellow,
                "forwarded untouched: no resource is there, and `unmatched: insecure_forward` says so",
            ));
            ("not ours", Ending::Good)
        }
        Some(Verdict::Reply(reply)) => {
            told(reply, out);
            set(&mut document, "reason", json!(reply.reason()));
            set(&mut document, "reply", reply_document(reply));
            if reply.refusal().is_some() { ("refuse", Ending::Findings) } else { ("answer", Ending::Good) }
        }
        Some(Verdict::Hold | Verdict::ReadBody(_)) | None => {
            out.line(&out.paint(Ink::Yellow, "undecided"));
            ("undecided", Ending::Misuse)
        }
    };
    let ending = if answers.unreachable.is_empty() { ending } else { Ending::Unreachable };
    for server in &answers.unreachable {
        out.line(&out.paint(Ink::Red, &format!("{}: {server}", server.step)));
        out.line(&format!("   cure: {}", unreachable(server)));
    }
    set(&mut document, "verdict", json!(name));
    out.document(&document);
    if ending == Ending::Misuse && !out.json {
        let why = why.unwrap_or_else(|| "the gate waits for an answer that never comes".to_owned());
        out.line(&format!("   {why}"));
    }
    Ok(ending)
}

fn set(document: &mut serde_json::Value, name: &str, value: serde_json::Value) {
    if let Some(members) = document.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

fn print(step: &Step, why: Option<&str>, out: &Output) {
    let (what, clause) = steps::describe(step.check);
    let ink = match step.status {
        Status::Passed => Ink::Green,
        Status::Failed => Ink::Red,
        Status::PassedOn | Status::Undecided => Ink::Yellow,
        Status::NotReached => Ink::Dim,
    };
    let status = out.paint(ink, &format!("{:<11}", step.status.name()));
    out.line(&format!("{status} {what} {}", out.paint(Ink::Dim, &format!("({clause})"))));
    if let Some(why) = why.filter(|_| matches!(step.status, Status::Failed | Status::Undecided)) {
        out.line(&format!("            {why}"));
    }
}

/// What the gate says. A token has a say in it, and so has the query of an endpoint.
fn why(refusal: &Refusal) -> String {
    let values: Vec<&str> = match refusal {
        Refusal::Token(TokenError::Issuer(issuer)) => vec![issuer],
        Refusal::Token(TokenError::Audience { found, accepted }) => vec![found, accepted],
        Refusal::UpstreamCredentialUnavailable { endpoint, .. }
        | Refusal::UpstreamCredentialRefused { endpoint, .. } => vec![endpoint],
        _ => Vec::new(),
    };
    http::without_secrets(&refusal.to_string(), &values)
}

/// What has to be done about exactly this.
fn cure(refusal: &Refusal, begun: &[Check], asked: &Asked, answers: &Answers) -> Option<&'static str> {
    match refusal {
        Refusal::Token(TokenError::SenderConstrained) => match asked.bound {
            // A JWT that comes to that check is bound to what could be proved here.
            Some(_) if begun.contains(&Check::Possession) => {
                Some("send it as DPoP and with a proof, here with --scheme DPoP and --header 'DPoP: PROOF'")
            }
            Some(bound) => Some(bound.cure()),
            None => cures::cure(refusal.reason()),
        },
        Refusal::KeysUnavailable { .. } if answers.keys.is_some() => {
            Some("give with --keys a JWK Set that has a public key which the filter can use: RSA, EC or Ed25519")
        }
        _ => cures::exact(refusal).or_else(|| cures::cure(refusal.reason())),
    }
}

fn unreachable(server: &Unreachable) -> &'static str {
    server.cure(match server.step.as_str() {
        "keys" => "see whether the address is right and can be reached from here; or give the keys with --keys FILE",
        "introspection" => "see whether `introspection.endpoint` is right and can be reached from here",
        _ => "see whether the `endpoint` in `upstream_credential` is right and can be reached from here",
    })
}

fn told(reply: &Reply, out: &Output) {
    if reply.refusal().is_none() {
        out.line(&out.paint(Ink::Green, &format!("answered by the filter itself: {}", reply.reason())));
    }
    out.line("the client gets:");
    out.line(&format!("   {}", reply.status()));
    reply.headers().for_each(|(name, value)| out.line(&format!("   {name}: {value}")));
    out.line(&format!("   {}", String::from_utf8_lossy(reply.body())));
}

fn reply_document(reply: &Reply) -> serde_json::Value {
    let headers: Vec<_> = reply.headers().map(|(name, value)| json!([name, value])).collect();
    json!({ "status": reply.status(), "headers": headers, "body": String::from_utf8_lossy(reply.body()) })
}

/// What is changed on the way to the server. Values only where they are an identity; the others are credentials and paths.
fn edits(forward: &Forward, identity: &IdentityHeaders) -> Vec<String> {
    let usual = [&identity.subject, &identity.client_id, &identity.scopes, &identity.issuer];
    let show = |name: &str, value: &[u8]| {
        let is_identity = usual.into_iter().flatten().any(|own| **own == *name);
        let value = if is_identity { String::from_utf8_lossy(value).into_owned() } else { "(not shown)".to_owned() };
        format!("sets {name}: {value}")
    };
    forward
        .edits()
        .map(|edit| match edit {
            Edit::Remove(name) => format!("removes {}", String::from_utf8_lossy(name)),
            Edit::Set(name, value) | Edit::Add(name, value) => show(name, value),
        })
        .collect()
}

/// The time of the clock.
#[allow(
    clippy::disallowed_methods,
    reason = "the one place where the tool reads a clock; the core gets it as an argument"
)]
fn clock() -> UnixTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixTime(since.map_or(0, |since| since.as_secs()))
}
