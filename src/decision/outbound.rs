//! The outbound machine: what does a call need that its caller must not hold?
//!
//! ```text
//! strip ─► rule (host, port, path, cluster) ─► caller verified? ─► query, TOTP ─► [cluster again] ─► permit
//!
//! the cluster is not asked for again within the cluster itself
//! ```

use crate::authority::Authority;
use crate::decision::answer::{self, Circumstances};
use crate::decision::mark::Mark;
use crate::decision::record::{Outcome, Record};
use crate::decision::{Decision, Deny, ORIGINAL_PATH, Permit, Step};
use crate::http::{Edits, Request};
use crate::path::RequestPath;
use crate::policy::outbound::{OnNoMatch, Outbound, Rule};
use crate::policy::{ErrorStyle, Policy};
use crate::query;
use crate::role::{Direction, Role};
use crate::time::UnixTime;
use crate::totp;

/// Decides a call of the workload behind which the filter stands, or a call within the cluster that it goes to. Where
/// nobody was asked who they are on this stream, the workload is trusted with its own calls.
pub(super) fn decide<'p>(
    policy: &'p Policy,
    role: Role,
    mark: Option<Mark>,
    request: &Request,
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
        is_strangers: mark == Some(Mark::Anonymous),
        route: if role == Role::Upstream {
            Route::Taken
        } else {
            Route::Open
        },
    };
    run(policy, &call, Permit::default(), edits, Vec::new())
}

/// Goes on with a request that a gateway let in: what the inbound machine put on stays on.
pub(super) fn continue_gateway<'p>(
    policy: &'p Policy,
    request: &Request,
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
        is_strangers: permit.caller.is_none(),
        route: Route::Open,
    };
    run(policy, &call, permit, edits, inbound)
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
    /// What was decided so far, where nothing more shall be.
    pub(super) fn into_records(mut self) -> Vec<Record<'p>> {
        let rule = Some(self.rule.name.as_str());
        self.records
            .push(Record::new(Direction::Outbound, rule, Outcome::Allowed));
        self.records
    }

    /// Goes on with the cluster that the edited request is routed to.
    pub fn resume(mut self, request: &Request, cluster: Option<&[u8]>) -> Decision<'p> {
        let rule = Some(self.rule.name.as_str());
        if self.rule.condition.clusters.contain(cluster) {
            self.records
                .push(Record::new(Direction::Outbound, rule, Outcome::Allowed));
            return Decision::new(Step::Forward(self.permit, Edits::default()), self.records);
        }
        let deny = Deny::OutboundClusterChanged;
        let mut reply = answer::reply(&deny, &Circumstances::plain(self.style, request));
        reply.edits = self.undo;
        self.records.push(Record::denied(Direction::Outbound, rule, deny));
        Decision::new(Step::Reply(reply), self.records)
    }
}

/// A call, and what is known of it.
struct Call<'r> {
    request: &'r Request,
    now: UnixTime,
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
    call: &Call<'_>,
    permit: Permit,
    mut edits: Edits,
    mut records: Vec<Record<'p>>,
) -> Decision<'p> {
    let request = call.request;
    edits.remove(ORIGINAL_PATH);
    let Some(outbound) = &policy.outbound else {
        records.push(Record::new(Direction::Outbound, None, Outcome::NoPolicy));
        return Decision::new(Step::Forward(permit, edits), records);
    };
    for name in &outbound.strip_headers {
        edits.remove(name.as_bytes());
    }
    let (rule, applied) = match find_rule(outbound, request) {
        Err(deny) => (None, Err(deny)),
        Ok(None) => match outbound.on_no_match {
            OnNoMatch::Forward => (None, Ok(Edits::default())),
            OnNoMatch::Deny => (None, Err(Deny::OutboundNoMatch)),
        },
        Ok(Some((rule, _))) if call.is_strangers && rule.adds_secret() && !rule.for_anonymous => {
            (Some(rule), Err(Deny::OutboundAnonymous))
        }
        Ok(Some((rule, authority))) => (
            Some(rule),
            apply(outbound, rule, &policy.errors, &authority, call, &mut edits),
        ),
    };
    let name = rule.map(|rule| rule.name.as_str());
    let undo = match applied {
        Ok(undo) => undo,
        Err(deny) => {
            let reply = answer::reply(&deny, &Circumstances::plain(&policy.errors, request));
            records.push(Record::denied(Direction::Outbound, name, deny));
            return Decision::new(Step::Reply(reply), records);
        }
    };
    match rule {
        Some(rule) if rule.adds_secret() && call.route == Route::Open => {
            let recheck = Recheck {
                rule,
                style: &policy.errors,
                permit,
                undo,
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
    for rule in &outbound.rules {
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

/// Puts on what the rule gives, and says what takes it off again, for the access log of a call that is refused after
/// all.
fn apply(
    outbound: &Outbound,
    rule: &Rule,
    style: &ErrorStyle,
    authority: &Authority<'_>,
    call: &Call<'_>,
    edits: &mut Edits,
) -> Result<Edits, Deny> {
    let mut undo = Edits::default();
    if !rule.query_parameters.is_empty() {
        // The configuration lists no other host; the request decides again, for this is where a key would leave.
        if !outbound
            .query_hosts
            .iter()
            .any(|listed| listed.matches(authority))
        {
            return Err(Deny::QueryHostNotAllowed {
                host: authority.host().to_owned(),
            });
        }
        let path = call.request.path().ok_or(Deny::PathMissing)?;
        let rewritten = query::rewrite(path, &rule.query_parameters);
        undo.set(b":path", style.redactor.sanitize(&rewritten.clean_path));
        undo.remove(ORIGINAL_PATH);
        edits.set(b":path", rewritten.path);
        // Envoy's default access log and its tracers print this header in place of the path.
        edits.set(ORIGINAL_PATH, rewritten.clean_path);
    }
    if let Some(totp) = &rule.totp {
        let code = totp::code_at(&totp.seed, &totp.code, call.now);
        undo.remove(totp.header.as_bytes());
        edits.set(totp.header.as_bytes(), code.expose().to_vec());
    }
    Ok(undo)
}
