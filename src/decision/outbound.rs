//! The outbound machine: what does a call need that its caller must not hold?
//!
//! ```text
//! strip ─► rule ─► caller verified? ─► put on ─► [cluster again, but not within it] ─► permit
//! ```

mod task;

use std::mem;

use crate::authority::Authority;
use crate::decision::answer::{self, Circumstances};
use crate::decision::injected::Injected;
use crate::decision::mark::Mark;
use crate::decision::record::{Outcome, Record};
use crate::decision::{Decision, Deny, ORIGINAL_PATH, ORIGINAL_URL, Permit, Step};
use crate::http::{Edits, Request};
use crate::path::RequestPath;
use crate::policy::outbound::{OnNoMatch, Outbound, Rule};
use crate::policy::owned::is_same_header;
use crate::policy::{ErrorStyle, Policy};
use crate::role::{Direction, Role};
use crate::time::UnixTime;

use self::task::{Applied, Task};

/// Decides a call of the workload behind which the filter stands, or a call within the cluster that it goes to. Where
/// nobody was asked who they are on this stream, the workload is trusted with its own calls.
pub(super) fn decide<'p>(
    policy: &'p Policy,
    role: Role,
    mark: Option<Mark>,
    request: &Request,
    before: Option<&Injected>,
    now: UnixTime,
) -> Decision<'p> {
    let mut edits = Edits::default();
    // What an inbound decision has put on stays on: it removed what was forged.
    if mark.is_none() {
        edits.remove_all(&request.headers, |name| policy.owned_headers.contains(name));
    }
    let call = Call {
        request,
        now,
        injected: Injected::of(request),
        run_before: before,
        is_strangers: mark == Some(Mark::Anonymous),
        route: if role == Role::Upstream {
            Route::Taken
        } else {
            Route::Open
        },
    };
    run(policy, call, Permit::default(), edits, Vec::new())
}

/// Goes on with a request that a gateway let in: what the inbound machine put on stays on.
pub(super) fn continue_gateway<'p>(
    policy: &'p Policy,
    request: &Request,
    before: Option<&Injected>,
    now: UnixTime,
    permit: Permit,
    edits: Edits,
    inbound: Vec<Record<'p>>,
) -> Decision<'p> {
    if policy.outbound.is_none() {
        return Decision::new(Step::Forward(permit, edits), inbound);
    }
    let call = Call {
        request: &request.edited(&edits),
        now,
        injected: Injected::of(request),
        run_before: before,
        is_strangers: permit.caller.is_none(),
        route: Route::Open,
    };
    run(policy, call, permit, edits, inbound)
}

/// A call whose route is to be looked at again.
#[derive(Debug)]
pub struct Recheck<'p> {
    rule: &'p Rule,
    style: &'p ErrorStyle,
    permit: Permit,
    /// Takes the secrets off again.
    undo: Edits,
    records: Vec<Record<'p>>,
}

impl<'p> Recheck<'p> {
    /// What was decided: that the call goes on.
    pub(super) fn into_records(mut self) -> Vec<Record<'p>> {
        let rule = Some(self.rule.name.as_str());
        self.records
            .push(Record::new(Direction::Outbound, rule, Outcome::Allowed));
        self.records
    }

    /// Goes on with the cluster that the edited request is routed to.
    pub fn resume(mut self, request: &Request, cluster: Option<&[u8]>) -> Decision<'p> {
        if self.rule.condition.clusters.contain(cluster) {
            let permit = mem::take(&mut self.permit);
            return Decision::new(Step::Forward(permit, Edits::default()), self.into_records());
        }
        let rule = Some(self.rule.name.as_str());
        let deny = Deny::OutboundClusterChanged;
        let mut reply = answer::reply(&deny, &Circumstances::plain(self.style, request));
        reply.edits.merge(self.undo);
        self.records.push(Record::denied(Direction::Outbound, rule, deny));
        Decision::new(Step::Reply(reply), self.records)
    }
}

/// A call, and what is known of it.
struct Call<'r> {
    request: &'r Request,
    now: UnixTime,
    /// What was put on it before: by another filter, or by an attempt before this one.
    injected: Option<Injected>,
    /// What a whole run before this one had put on, and is off again.
    run_before: Option<&'r Injected>,
    /// Whether it came in from a caller whom nobody verified.
    is_strangers: bool,
    route: Route,
}

/// Whether the filter's edits can still send a call elsewhere.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Route {
    /// The proxy chooses the route anew when headers change.
    Open,
    /// The filter stands behind the choice.
    Taken,
}

fn run<'p>(
    policy: &'p Policy,
    call: Call<'_>,
    mut permit: Permit,
    mut edits: Edits,
    mut records: Vec<Record<'p>>,
) -> Decision<'p> {
    edits.remove(ORIGINAL_PATH);
    edits.remove(ORIGINAL_URL);
    let Some(outbound) = &policy.outbound else {
        records.push(Record::new(Direction::Outbound, None, Outcome::NoPolicy));
        return Decision::new(Step::Forward(permit, edits), records);
    };
    for name in &outbound.strip_headers {
        edits.remove_all(&call.request.headers, |other| {
            is_same_header(other, name.as_bytes())
        });
    }
    let (rule, applied) = choose(policy, outbound, &call, &mut edits);
    let name = rule.map(|rule| rule.name.as_str());
    let applied = match applied {
        Ok(applied) => applied,
        Err(deny) => {
            let reply = answer::reply(&deny, &Circumstances::plain(&policy.errors, call.request));
            records.push(Record::denied(Direction::Outbound, name, deny));
            return Decision::new(Step::Reply(reply), records);
        }
    };
    permit.given = applied.given;
    permit.given_headers = applied.headers;
    // Within a cluster the path is final, and nobody rewrites it behind the filter.
    permit.query_rule = rule
        .filter(|rule| call.route == Route::Open && !rule.query_parameters.is_empty())
        .map(|rule| rule.name.clone());
    match rule {
        Some(rule) if rule.puts_on() && call.route == Route::Open => {
            let recheck = Recheck {
                rule,
                style: &policy.errors,
                permit,
                undo: applied.undo,
                records,
            };
            Decision::new(Step::Recheck(edits, recheck), Vec::new())
        }
        Some(_) | None => {
            let outcome = rule.map_or(Outcome::NoMatch, |_| Outcome::Allowed);
            records.push(Record::new(Direction::Outbound, name, outcome));
            Decision::new(Step::Forward(permit, edits), records)
        }
    }
}

/// The rule of a call, and what comes of it.
fn choose<'p>(
    policy: &'p Policy,
    outbound: &'p Outbound,
    call: &Call<'_>,
    edits: &mut Edits,
) -> (Option<&'p Rule>, Result<Applied, Deny>) {
    let found = match find_rule(outbound, call.request) {
        Ok(found) => found,
        Err(deny) => return (None, Err(deny)),
    };
    let rule = found.as_ref().map(|(rule, _)| *rule);
    let is_by = |injected: &Injected| rule.is_some_and(|rule| injected.is_by(&policy.identity, &rule.name));
    if call.run_before.is_some_and(|injected| !is_by(injected)) {
        return (rule, Err(Deny::OutboundRedirected));
    }
    let applied = match found {
        None => match outbound.on_no_match {
            OnNoMatch::Forward => Ok(Applied::default()),
            OnNoMatch::Deny => Err(Deny::OutboundNoMatch),
        },
        Some((rule, _)) if rule.lacks_secret => Err(Deny::SecretMissing),
        Some((rule, _)) if call.is_strangers && rule.adds_secret() && !rule.for_anonymous => {
            Err(Deny::OutboundAnonymous)
        }
        Some((rule, authority)) => {
            let task = Task {
                outbound,
                rule,
                redactor: &policy.errors.redactor,
                authority: &authority,
                request: call.request,
                policy: &policy.identity,
                is_within_cluster: call.route == Route::Taken,
                now: call.now,
                before: call.injected.as_ref(),
            };
            task.apply(edits)
        }
    };
    (rule, applied)
}

/// The first rule that matches, and the host that it matched; none for a call without a path.
fn find_rule<'p, 'r>(
    outbound: &'p Outbound,
    request: &'r Request,
) -> Result<Option<(&'p Rule, Authority<'r>)>, Deny> {
    let Some(path) = request.path() else {
        return Ok(None);
    };
    let path = RequestPath::raw(path);
    let authority = Authority::parse(request.authority()).map_err(Deny::HostInvalid)?;
    for rule in outbound.rules.candidates(&path, &authority) {
        if rule
            .condition
            .matches(request, &authority, &path)
            .map_err(Deny::PathAmbiguous)?
        {
            return Ok(Some((rule, authority)));
        }
    }
    Ok(None)
}
