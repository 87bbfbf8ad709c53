//! A whole policy in shadow: what it would decide is counted and logged, and the request goes on.
//!
//! Credentials stay where they are, for whoever checks them today; nothing is put on a call. One thing is as in
//! earnest: headers that only the filter writes are removed, and come back only for a caller who was verified and whom
//! the policy would let in.

use crate::decision::{Decision, Permit, Step};
use crate::http::{Edits, Request};
use crate::policy::{Enforcement, Policy};

/// What becomes of a decision that is only looked at.
pub(super) fn watch<'p>(policy: &'p Policy, request: &Request, decision: Decision<'p>) -> Decision<'p> {
    let Decision { step, mut records } = decision;
    let edits = match step {
        Step::Forward(permit, edits) if permit.is_aside => {
            return Decision {
                step: Step::Forward(permit, edits),
                records,
            };
        }
        Step::Forward(_, mut edits) => {
            edits.retain(|header| policy.owned_headers.contains(header));
            edits
        }
        Step::Recheck(mut edits, recheck) => {
            records = recheck.into_records();
            edits.retain(|header| policy.owned_headers.contains(header));
            edits
        }
        Step::Reply(_) => unforged(policy, request),
        // What decides nothing keeps nobody waiting.
        Step::Wait(pending) => {
            records.extend(pending.refuse().records);
            unforged(policy, request)
        }
    };
    for record in &mut records {
        record.enforcement = Enforcement::Shadow;
    }
    Decision::new(Step::Forward(Permit::default(), edits), records)
}

/// Takes forged headers off, unless a filter that decided in earnest has put them there.
fn unforged(policy: &Policy, request: &Request) -> Edits {
    let mut edits = Edits::default();
    if request.mark.is_none() {
        edits.remove_all(&request.headers, |name| policy.owned_headers.contains(name));
    }
    edits
}
