//! What the outbound machine looks at, and what it would put on: for the program, which tells a person why. Names and
//! places, never a value.
//!
//! It asks the machine's own functions, as [`super::run`] does.

use crate::authority::Authority;
use crate::decision::inbound::findings::{refused, why_not};
use crate::decision::injected::Injected;
use crate::decision::mark::Mark;
use crate::decision::{Deny, Means, Permit};
use crate::findings::{Finding, Kind, Verdict, listed, quoted, quoted_bytes};
use crate::http::{Edits, Request};
use crate::path::RequestPath;
use crate::policy::outbound::{Clusters, Condition, Outbound, ParameterValue, Rule};
use crate::policy::token::{Actor, SubjectSource, TokenPlan};
use crate::role::Role;
use crate::time::UnixTime;

use super::task::Task;
use super::token::{self, Obtained, Token};
use super::{Call, Chosen, Route, choose};

/// What is looked at of a call: [`super::decide`], or with the permit of a gateway's inbound half
/// [`super::continue_gateway`].
pub(in crate::decision) fn findings(
    means: Means<'_>,
    role: Role,
    request: &Request,
    before: Option<&Injected>,
    permit: Option<&Permit>,
    now: UnixTime,
) -> Vec<Finding> {
    let is_strangers = match permit {
        Some(permit) => permit.caller.is_none(),
        None => Mark::of(request) == Some(Mark::Anonymous),
    };
    let call = Call {
        request,
        now,
        injected: Injected::of(request),
        run_before: before,
        is_strangers,
        route: match role {
            Role::Upstream => Route::Taken,
            Role::Inbound | Role::Outbound | Role::Gateway => Route::Open,
        },
    };
    let nobody = Permit::default();
    of_call(means, &call, permit.unwrap_or(&nobody))
}

fn of_call(means: Means<'_>, call: &Call<'_>, permit: &Permit) -> Vec<Finding> {
    let Some(outbound) = &means.policy.outbound else {
        let text = "the policy has no `outbound`: calls go on as they are";
        return vec![Finding::new(Kind::Check, "policy", Verdict::Note, text)];
    };
    let mut findings = passed_over(outbound, call);
    match choose(means.policy, outbound, call) {
        Err((None, deny)) => findings.push(refused(Kind::Check, "rule", &deny)),
        Ok(None) => {
            let text = "no rule matches: the call goes on as it is";
            findings.push(Finding::new(Kind::Check, "rule", Verdict::Note, text));
        }
        Err((Some(rule), deny)) => {
            let below = vec![refused(Kind::Check, "rule", &deny)];
            findings.push(of_rule(rule, call, below));
        }
        Ok(Some(chosen)) => {
            let below = of_chosen(means, call, &chosen, permit);
            findings.push(of_rule(chosen.0, call, below));
        }
    }
    findings
}

/// The rules before the one that is found, or that refuses the path.
fn passed_over(outbound: &Outbound, call: &Call<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (Some(path), Ok(authority)) = (call.request.path(), Authority::parse(call.request.authority()))
    else {
        return findings;
    };
    let path = RequestPath::raw(path);
    for rule in outbound.rules.iter() {
        let conditions = conditions(&rule.condition, call.request);
        match rule.condition.matches(call.request, &authority, &path) {
            Ok(true) => return findings,
            Ok(false) => {
                let text = why_not(&conditions);
                findings.push(Finding::new(Kind::Rule, &rule.name, Verdict::Skipped, text).with(conditions));
            }
            Err(ambiguity) => {
                let text = format!("asks for a path, and this one has two readings: {ambiguity}");
                findings.push(Finding::new(Kind::Rule, &rule.name, Verdict::Bad, text).with(conditions));
                return findings;
            }
        }
    }
    findings
}

fn of_rule(rule: &Rule, call: &Call<'_>, below: Vec<Finding>) -> Finding {
    let mut findings = conditions(&rule.condition, call.request);
    findings.extend(below);
    Finding::new(Kind::Rule, &rule.name, Verdict::Good, "matches, and decides").with(findings)
}

/// What a rule that may be applied does: [`super::conclude`].
fn of_chosen(means: Means<'_>, call: &Call<'_>, chosen: &Chosen<'_, '_>, permit: &Permit) -> Vec<Finding> {
    let (rule, authority) = chosen;
    let mut findings = Vec::new();
    let token = match token::obtain(means, rule, call, permit) {
        Obtained::Done(token) => {
            findings.extend(rule.token.as_ref().map(|plan| of_token(plan, token.as_ref())));
            token
        }
        Obtained::Asks { otherwise, .. } => {
            findings.extend(
                rule.token
                    .as_ref()
                    .map(|plan| of_wish(plan, otherwise.as_ref().err())),
            );
            otherwise
        }
    };
    let Ok(token) = token else { return findings };
    let task = Task {
        hosts: means
            .policy
            .outbound
            .as_ref()
            .map_or(&[], |outbound| &outbound.query_hosts),
        rule,
        redactor: &means.policy.errors.redactor,
        authority,
        request: call.request,
        policy: &means.policy.identity,
        is_within_cluster: call.route == Route::Taken,
        now: call.now,
        before: call.injected.as_ref(),
    };
    match task.apply(&token, &mut Edits::default()) {
        Ok(_) => findings.extend(put_on(rule)),
        Err(deny) => findings.push(refused(Kind::Check, "put on", &deny)),
    }
    findings
}

/// Each condition that a rule has.
fn conditions(condition: &Condition, request: &Request) -> Vec<Finding> {
    let mut findings = Vec::new();
    let authority = Authority::parse(request.authority());
    let mut add = |name: &str, is_met: bool, actual: String, wanted: String| {
        let (result, word) = match is_met {
            true => (Verdict::Good, "is one of"),
            false => (Verdict::Bad, "is none of"),
        };
        findings.push(Finding::new(
            Kind::Condition,
            name,
            result,
            format!("{actual} {word} {wanted}"),
        ));
    };
    // Each is asked of a condition that has nothing else.
    let is_met = |only: Condition| {
        let path = RequestPath::raw(request.path().unwrap_or_default());
        let is_met = authority
            .as_ref()
            .map(|authority| only.matches(request, authority, &path));
        is_met.is_ok_and(|is_met| is_met.unwrap_or(false))
    };
    if !condition.hosts.is_empty() {
        let hosts = condition.hosts.clone();
        let wanted = listed(condition.hosts.iter().map(|host| host.as_str()));
        let actual = authority
            .as_ref()
            .map_or_else(ToString::to_string, |host| quoted(host.host()));
        add(
            "host",
            is_met(Condition {
                hosts,
                ..Condition::default()
            }),
            actual,
            wanted,
        );
    }
    if let Clusters::OneOf(names) = &condition.clusters {
        let actual = match request.cluster.as_deref() {
            Some(cluster) => quoted_bytes(cluster),
            None => "unknown (`--cluster`)".to_owned(),
        };
        let is_met = condition.clusters.contain(request.cluster.as_deref());
        add(
            "cluster",
            is_met,
            actual,
            listed(names.iter().map(String::as_str)),
        );
    }
    if !condition.ports.is_empty() {
        let ports = condition.ports.clone();
        let wanted: Vec<String> = ports.iter().map(ToString::to_string).collect();
        let actual = authority.as_ref().ok().and_then(Authority::port);
        let actual = actual.map_or("that of the scheme".to_owned(), |port| format!("`{port}`"));
        let is_met = is_met(Condition {
            ports,
            ..Condition::default()
        });
        add("port", is_met, actual, listed(wanted.iter().map(String::as_str)));
    }
    if !condition.path_prefixes.is_empty() {
        let path_prefixes = condition.path_prefixes.clone();
        let wanted: Vec<String> = path_prefixes
            .iter()
            .map(|prefix| format!("{}/…", String::from_utf8_lossy(prefix.as_bytes())))
            .collect();
        let path = RequestPath::raw(request.path().unwrap_or_default());
        let is_met = is_met(Condition {
            path_prefixes,
            ..Condition::default()
        });
        add(
            "path",
            is_met,
            quoted_bytes(path.path()),
            listed(wanted.iter().map(String::as_str)),
        );
    }
    if findings.is_empty() {
        findings.push(Finding::new(
            Kind::Condition,
            "match",
            Verdict::Good,
            "every call",
        ));
    }
    findings
}

/// A token for the upstream, and where it comes from.
fn of_token(plan: &TokenPlan, token: Result<&Token, &Deny>) -> Finding {
    let text = match token {
        Err(deny) => return refused(Kind::Check, "token", deny),
        Ok(Token::NotMeant) => "none: the call keeps its `authorization`",
        Ok(Token::Untouched) => "none: the call goes on as it is",
        Ok(Token::Kept) => "there already, of an attempt before",
        Ok(Token::Stripped) => "none: the call loses the one that it came with",
        Ok(Token::Got { .. }) => "there already, in header `authorization`",
    };
    let finding = Finding::new(Kind::Check, "token", Verdict::Note, text);
    finding.with(vec![source(plan)])
}

/// A token that has to be asked for.
fn of_wish(plan: &TokenPlan, otherwise: Option<&Deny>) -> Finding {
    let text = "a server is asked first, and the call waits; what follows is what happens without its answer";
    let finding = Finding::new(Kind::Check, "token", Verdict::Unknown, text).with(vec![source(plan)]);
    match otherwise {
        Some(deny) => finding.because(deny.reason()),
        None => finding,
    }
}

fn source(plan: &TokenPlan) -> Finding {
    let subject = plan.subject.as_ref().map(|subject| match &subject.source {
        SubjectSource::Inbound => "the token that the caller was verified by".to_owned(),
        SubjectSource::Header(header, _) => format!("the token in header `{}`", header.name),
        SubjectSource::Assertion(header) => {
            format!("the token behind the assertion in header `{}`", header.name)
        }
    });
    let actor = plan.actor.as_ref().map(|actor| match actor {
        Actor::ClientCredentials => ", in the name of the client itself".to_owned(),
        Actor::Header(header, _) => format!(", in the name of the token in header `{}`", header.name),
    });
    let subject = subject
        .as_deref()
        .unwrap_or("nobody's token, by the client's own credentials");
    let text = format!(
        "client `{}`, for {subject}{}",
        plan.client.name(),
        actor.unwrap_or_default()
    );
    Finding::new(Kind::Check, "source", Verdict::Note, text)
}

/// What a rule puts on: names and places.
fn put_on(rule: &Rule) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |name: &str, text: String| {
        findings.push(Finding::new(Kind::PutOn, name, Verdict::Good, text));
    };
    for (name, value) in &rule.query_parameters {
        add(
            "parameter",
            match value {
                ParameterValue::Secret(_) => format!("`{}` of the policy", name.as_str()),
                ParameterValue::FromHeader(header) => {
                    format!("`{}`, moved from header `{header}`", name.as_str())
                }
            },
        );
    }
    if let Some(moved) = &rule.query_to_header {
        add(
            "header",
            format!("`{}`, moved from parameter `{}`", moved.to, moved.from),
        );
    }
    for (name, _) in &rule.headers {
        add("header", format!("`{name}` of the policy"));
    }
    for (name, _) in &rule.cookies {
        add("cookie", format!("`{name}` of the policy"));
    }
    if let Some(totp) = &rule.totp {
        let period = totp.code.period_seconds();
        add(
            "header",
            format!(
                "`{}`: the code of this moment, in steps of {period} s",
                totp.header
            ),
        );
    }
    if findings.is_empty() && rule.token.is_none() {
        findings.push(Finding::new(
            Kind::PutOn,
            "nothing",
            Verdict::Note,
            "the rule puts nothing on",
        ));
    }
    findings
}

/// Whether the call still goes where the rule says, once the edits are applied.
pub(in crate::decision) fn of_recheck(deny: Option<&Deny>, cluster: Option<&[u8]>) -> Finding {
    let name = "cluster after the edits";
    match deny {
        Some(deny) => refused(Kind::Check, name, deny),
        None => {
            let cluster = cluster.map_or("any".to_owned(), quoted_bytes);
            Finding::new(Kind::Check, name, Verdict::Good, cluster)
        }
    }
}
