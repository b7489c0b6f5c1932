//! Report-only mode: what becomes of a refusal where the operator only wants to know of it.

use crate::{
    arrival::Arrival,
    filter_state::Notes,
    forward::Forward,
    gate::Verdict,
    grant::Caller,
    policy::{Policy, ResourcePolicy},
    refusal::Refusal,
    response::ResponseGuard,
};

use alloc::sync::Arc;

/// Evidence that the operator asked for a resource's refusals to be reported and not enforced; only the configuration makes
/// one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReportOnly(());

impl ReportOnly {
    /// For `config::resources`, and for nothing else.
    pub(crate) const fn of_setting() -> Self {
        Self(())
    }
}

/// Why a request would have been refused that goes on because of [`ReportOnly`].
#[derive(Debug)]
pub(crate) struct Reported {
    /// That it may.
    _evidence: ReportOnly,
    pub(crate) refusal: Refusal,
    /// Whoever was found to be calling all the same.
    pub(crate) caller: Option<Caller>,
}

impl ResourcePolicy {
    /// Whether the sessions of its server are sealed: they would be lost when refusals are enforced no more, or not yet.
    pub(crate) const fn seals_sessions(&self) -> bool {
        self.sessions.is_some() && self.report_only.is_none()
    }

    pub(crate) const fn report_only(&self) -> Option<ReportOnly> {
        self.report_only
    }
}

impl Refusal {
    /// Whether a request that is refused for this may go on where refusals are only reported: a decision about caller and
    /// request may wait, but not a bound of the memory, a failure of the proxy, or not knowing whose request it is.
    const fn may_be_reported(&self) -> bool {
        match self {
            Self::Path(_)
            | Self::Head
            | Self::Unmatched
            | Self::RouteResource(_)
            | Self::NoDocument
            | Self::Method
            | Self::TooLarge { .. }
            | Self::UnreadableList
            | Self::EarlyResponse
            | Self::Overloaded { .. }
            | Self::Misconfigured
            | Self::Host(_) => false,
            Self::MissingToken
            | Self::Credentials(_)
            | Self::Token(_)
            | Self::Proof(_)
            | Self::InsufficientScope(_)
            | Self::Origin
            | Self::EndpointMethod
            | Self::Media(_)
            | Self::Message(_)
            | Self::UnexpectedBody
            | Self::HeaderMismatch(_)
            | Self::AmbiguousUri
            | Self::Denied { .. }
            | Self::Session
            | Self::KeysUnavailable { .. }
            | Self::IntrospectionUnavailable { .. }
            | Self::UpstreamCredentialUnavailable { .. }
            | Self::UpstreamCredentialRefused { .. } => true,
        }
    }
}

impl Arrival {
    /// What becomes of a request that is not to go on: it is answered, or it goes on all the same and is reported, without a
    /// credential for the upstream. `caller` is whoever was found to be calling.
    pub(crate) fn turn_away(
        &mut self,
        refusal: Refusal,
        caller: Option<&Caller>,
        asked: Notes,
        resource: &ResourcePolicy,
        policy: &Arc<Policy>,
    ) -> Verdict {
        let Some(evidence) = resource.report_only().filter(|_| refusal.may_be_reported()) else {
            let reply = self.refuse(refusal, resource);
            return Verdict::Reply(match caller {
                Some(caller) => reply.about(caller, &asked),
                None => reply,
            });
        };
        // Perhaps its token ran out while it waited.
        let caller = caller.filter(|_| !matches!(refusal, Refusal::Token(_))).cloned();
        let guard = ResponseGuard::new(resource, self.origin.clone(), None, policy);
        let guard = guard.telling(resource.nonce_after(&refusal));
        let reported = Reported { _evidence: evidence, refusal, caller };
        Verdict::Forward(Forward::reported(reported, core::mem::take(&mut self.cleaned), guard).asking(asked))
    }
}
