//! The outbound machine: what does a call need that its caller must not hold?
//!
//! ```text
//! strip ─► rule ─► caller verified? ─► [its token] ─► put on ─► [cluster again, but not within it] ─► permit
//! ```

#[cfg(not(target_arch = "wasm32"))]
pub(super) mod findings;
mod task;
mod token;

use std::mem;

use crate::authority::Authority;
use crate::decision::answer::{self, Circumstances};
use crate::decision::injected::Injected;
use crate::decision::mark::Mark;
use crate::decision::record::{Outcome, Record};
use crate::decision::{Decision, Deny, Held, Means, ORIGINAL_PATH, ORIGINAL_URL, Permit, Step, state};
use crate::http::{Edits, Request};
use crate::path::RequestPath;
use crate::policy::outbound::{OnNoMatch, Outbound, Rule};
use crate::policy::owned::is_same_header;
use crate::policy::{ErrorStyle, Policy};
use crate::role::{Direction, Role};
use crate::time::UnixTime;

use self::task::Task;
use self::token::{Obtained, Token};

pub(super) use self::token::Receipt;

/// Decides a call of the workload behind which the filter stands, or a call within the cluster that it goes to. Where
/// nobody was asked who they are on this stream, the workload is trusted with its own calls.
pub(super) fn decide<'p>(
    means: Means<'p>,
    role: Role,
    mark: Option<Mark>,
    request: &Request,
    before: Option<&Injected>,
    now: UnixTime,
) -> Decision<'p> {
    let mut edits = Edits::default();
    // What an inbound decision has put on stays on: it removed what was forged.
    if mark.is_none() {
        edits.remove_all(&request.headers, |name| means.policy.owned_headers.contains(name));
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
    run(means, call, Permit::default(), edits, Vec::new())
}

/// Goes on with a request that a gateway let in: what the inbound machine put on stays on.
pub(super) fn continue_gateway<'p>(
    means: Means<'p>,
    request: &Request,
    before: Option<&Injected>,
    now: UnixTime,
    permit: Permit,
    edits: Edits,
    inbound: Vec<Record<'p>>,
) -> Decision<'p> {
    if means.policy.outbound.is_none() {
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
    run(means, call, permit, edits, inbound)
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
    /// Whether access logs see already who was let in.
    is_shown: bool,
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
            let is_shown = self.is_shown;
            let step = Step::Forward(permit, Edits::default());
            let records = self.into_records();
            return match is_shown {
                true => Decision { step, records },
                false => Decision::new(step, records),
            };
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
    means: Means<'p>,
    call: Call<'_>,
    permit: Permit,
    mut edits: Edits,
    mut records: Vec<Record<'p>>,
) -> Decision<'p> {
    edits.remove(ORIGINAL_PATH);
    edits.remove(ORIGINAL_URL);
    let Some(outbound) = &means.policy.outbound else {
        records.push(Record::new(Direction::Outbound, None, Outcome::NoPolicy));
        return Decision::new(Step::Forward(permit, edits), records);
    };
    for name in &outbound.strip_headers {
        edits.remove_all(&call.request.headers, |other| {
            is_same_header(other, name.as_bytes())
        });
    }
    let chosen = match choose(means.policy, outbound, &call) {
        Ok(chosen) => chosen,
        Err((rule, deny)) => return refuse(means.policy, &call, rule, deny, records),
    };
    let token = match &chosen {
        Some((rule, _)) => token::obtain(means, rule, &call, &permit),
        None => Obtained::Done(Ok(Token::NotMeant)),
    };
    match token {
        Obtained::Done(token) => conclude(means.policy, call, chosen, token, permit, edits, records),
        Obtained::Asks { wish, otherwise } => {
            // Counted and shown once, and not decided again.
            super::show(&records, &mut edits);
            let held = Held {
                permit: permit.copy(),
                edits: edits.clone(),
            };
            conclude(means.policy, call, chosen, otherwise, permit, edits, Vec::new()).unless(
                wish,
                Some(held),
                records,
            )
        }
    }
}

/// Puts on what the rule says, with the token that was got or was not.
fn conclude<'p>(
    policy: &'p Policy,
    call: Call<'_>,
    chosen: Option<Chosen<'p, '_>>,
    token: Result<Token, Deny>,
    mut permit: Permit,
    mut edits: Edits,
    mut records: Vec<Record<'p>>,
) -> Decision<'p> {
    let Some((rule, authority)) = chosen else {
        records.push(Record::new(Direction::Outbound, None, Outcome::NoMatch));
        return Decision::new(Step::Forward(permit, edits), records);
    };
    let applied = token.and_then(|token| {
        let task = Task {
            hosts: policy
                .outbound
                .as_ref()
                .map_or(&[], |outbound| &outbound.query_hosts),
            rule,
            redactor: &policy.errors.redactor,
            authority: &authority,
            request: call.request,
            policy: &policy.identity,
            is_within_cluster: call.route == Route::Taken,
            now: call.now,
            before: call.injected.as_ref(),
        };
        permit.token = token.receipt();
        task.apply(&token, &mut edits)
    });
    let applied = match applied {
        Ok(applied) => applied,
        Err(deny) => return refuse(policy, &call, Some(rule), deny, records),
    };
    permit.given = applied.given;
    permit.given_headers = applied.headers;
    // Within a cluster the path is final, and nobody rewrites it behind the filter.
    permit.query_rule =
        (call.route == Route::Open && !rule.query_parameters.is_empty()).then(|| rule.name.clone());
    if rule.puts_on() && call.route == Route::Open {
        let recheck = Recheck {
            rule,
            style: &policy.errors,
            permit,
            undo: applied.undo,
            records,
            is_shown: edits.has_state(state::REASON),
        };
        return Decision::new(Step::Recheck(edits, recheck), Vec::new());
    }
    records.push(Record::new(
        Direction::Outbound,
        Some(&rule.name),
        Outcome::Allowed,
    ));
    Decision::new(Step::Forward(permit, edits), records)
}

fn refuse<'p>(
    policy: &'p Policy,
    call: &Call<'_>,
    rule: Option<&'p Rule>,
    deny: Deny,
    mut records: Vec<Record<'p>>,
) -> Decision<'p> {
    let reply = answer::reply(&deny, &Circumstances::plain(&policy.errors, call.request));
    let name = rule.map(|rule| rule.name.as_str());
    records.push(Record::denied(Direction::Outbound, name, deny));
    Decision::new(Step::Reply(reply), records)
}

/// A rule, and the host that it matched.
type Chosen<'p, 'r> = (&'p Rule, Authority<'r>);

/// The rule of a call and the host that it matched, if the rule may be applied to the call.
fn choose<'p, 'r>(
    policy: &'p Policy,
    outbound: &'p Outbound,
    call: &Call<'r>,
) -> Result<Option<Chosen<'p, 'r>>, (Option<&'p Rule>, Deny)> {
    let found = find_rule(outbound, call.request).map_err(|deny| (None, deny))?;
    let rule = found.as_ref().map(|(rule, _)| *rule);
    let is_by = |injected: &Injected| rule.is_some_and(|rule| injected.is_by(&policy.identity, &rule.name));
    if call.run_before.is_some_and(|injected| !is_by(injected)) {
        return Err((rule, Deny::OutboundRedirected));
    }
    match rule {
        None if outbound.on_no_match == OnNoMatch::Deny => Err((None, Deny::OutboundNoMatch)),
        Some(rule) if rule.lacks_secret => Err((Some(rule), Deny::SecretMissing)),
        Some(rule) if call.is_strangers && rule.adds_secret() && !rule.for_anonymous => {
            Err((Some(rule), Deny::OutboundAnonymous))
        }
        Some(_) | None => Ok(found),
    }
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

const AUTHORIZATION: &str = "authorization";
