//! What a decision looks at, in its order: for the program, which tells a person why.
//!
//! It decides nothing. It goes the way of [`super::decide_on`] with the same functions, and asks at each of them what a
//! decision hides: which rules were passed over, which checks were good. Nothing is used up by it.

use crate::decision::inbound::Verdict as InboundVerdict;
use crate::decision::inbound::findings::refused;
use crate::decision::injected::Injected;
use crate::decision::mark::Mark;
use crate::decision::{Deny, Means, inbound, outbound};
use crate::findings::{Finding, Kind, Verdict};
use crate::http::Request;
use crate::role::Role;
use crate::state::Glance;
use crate::time::UnixTime;

/// What was looked at.
#[derive(Debug, Default)]
pub struct Findings {
    /// The request itself, and the policies before this one.
    pub request: Vec<Finding>,
    /// Its credentials, where a rule asks for some.
    pub credentials: Vec<Finding>,
    /// The inbound rules, up to the one that decides.
    pub inbound: Vec<Finding>,
    /// The outbound rules, up to the one that decides.
    pub outbound: Vec<Finding>,
}

impl Findings {
    /// What a decision in this role looks at.
    pub fn of(means: Means<'_>, role: Role, request: &Request, now: UnixTime) -> Self {
        let injected = Injected::of(request);
        let injected = injected.filter(|injected| injected.is_of_a_run_before(means.policy, role, request));
        let Some(injected) = injected else {
            return Self::once(means, role, request, None, now);
        };
        match injected.removal(request, &means.policy.secrets()) {
            Ok(removal) => {
                let mut left = request.edited(&removal);
                left.injected = None;
                Self::once(means, role, &left, Some(&injected), now)
            }
            Err(_) => Self {
                request: vec![refused(Kind::Request, "redirect", &Deny::OutboundRedirected)],
                ..Self::default()
            },
        }
    }

    fn once(
        means: Means<'_>,
        role: Role,
        request: &Request,
        before: Option<&Injected>,
        now: UnixTime,
    ) -> Self {
        let layer = |finding| Self {
            request: vec![finding],
            ..Self::default()
        };
        match (role, Mark::of(request)) {
            (Role::Outbound | Role::Upstream, _) => Self {
                outbound: outbound::findings::findings(means, role, request, before, None, now),
                ..Self::default()
            },
            (Role::Inbound | Role::Gateway, Some(_)) if means.policy.is_fallback => {
                let text = "another policy has decided, and this one stands aside (`fallback: true`)";
                layer(Finding::new(Kind::Request, "layer", Verdict::Good, text))
            }
            (Role::Inbound | Role::Gateway, Some(_)) => {
                layer(refused(Kind::Request, "layer", &Deny::LayerOrder))
            }
            (Role::Inbound | Role::Gateway, None) => {
                let found = inbound::findings::findings(means, request, now);
                let mut findings = Self {
                    request: found.request,
                    credentials: found.credentials,
                    inbound: found.rules,
                    outbound: Vec::new(),
                };
                if role == Role::Gateway && means.policy.outbound.is_some() {
                    findings.outbound = gateway(means, request, before, now);
                }
                findings
            }
        }
    }

    /// Adds whether the call still goes where its rule says, once what is put on has chosen the route anew.
    pub(crate) fn add_recheck(&mut self, deny: Option<&Deny>, cluster: Option<&[u8]>) {
        let finding = outbound::findings::of_recheck(deny, cluster);
        match self.outbound.last_mut() {
            Some(rule) => rule.findings.push(finding),
            None => self.outbound.push(finding),
        }
    }
}

/// The outbound half of a gateway, where the inbound one lets the request in.
fn gateway(means: Means<'_>, request: &Request, before: Option<&Injected>, now: UnixTime) -> Vec<Finding> {
    let glance = Glance(means.state);
    let looking = Means {
        state: &glance,
        known: None,
        ..means
    };
    match inbound::decide(looking, request, now) {
        InboundVerdict::Permitted(permit, edits, _) => {
            let request = request.edited(&edits);
            outbound::findings::findings(means, Role::Gateway, &request, before, Some(&permit), now)
        }
        InboundVerdict::Refused(..) => Vec::new(),
    }
}
