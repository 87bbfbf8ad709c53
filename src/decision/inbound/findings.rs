//! What the inbound machine looks at, step by step: for the program, which tells a person why.
//!
//! It asks the machine's own functions, one after the other, where [`super::judge`] asks them all at once. What decides
//! is the machine; a test holds that both say the same of every case of the table.

mod conditions;
mod requirements;

use crate::authority::Authority;
use crate::decision::credentials::Presented;
use crate::decision::{Deny, Means, location, published};
use crate::findings::{Finding, Kind, Verdict, quoted, quoted_bytes};
use crate::http::Request;
use crate::path::RequestPath;
use crate::policy::inbound::{AmbiguousPaths, CorsPreflight};
use crate::policy::rule::{Action, Protocol, Rule};
use crate::policy::{Enforcement, Inbound};
use crate::state::Glance;
use crate::time::UnixTime;

use super::{is_cors_preflight, matches, target};

pub(in crate::decision) use self::conditions::why_not;
use self::requirements::Trail;

/// What was looked at, in its order.
#[derive(Debug, Default)]
pub(in crate::decision) struct Findings {
    /// The request itself.
    pub(in crate::decision) request: Vec<Finding>,
    /// Its credentials, where a rule asks for some.
    pub(in crate::decision) credentials: Vec<Finding>,
    /// The rules, up to the one that decides.
    pub(in crate::decision) rules: Vec<Finding>,
}

/// What the machine looks at. Nothing is used up, and nothing is counted.
pub(in crate::decision) fn findings(means: Means<'_>, request: &Request, now: UnixTime) -> Findings {
    let glance = Glance(means.state);
    // What was verified before would not be looked at again.
    let means = Means {
        state: &glance,
        known: None,
        ..means
    };
    let mut found = Findings::default();
    if let Some((_, kind)) = published::published(means.policy, request) {
        let text = "the filter answers with a document of its own, before any rule";
        let name = published::reason(kind);
        found
            .request
            .push(Finding::new(Kind::Request, name, Verdict::Good, text));
        return found;
    }
    let Some(inbound) = means.policy.inbound.as_ref() else {
        found
            .request
            .push(refused(Kind::Request, "policy", &Deny::NotConfigured));
        return found;
    };
    let target = target(means.policy, inbound, request);
    found.request = of_target(inbound, request, target.as_ref().err());
    let Ok((path, authority)) = target else {
        return found;
    };
    if inbound.cors_preflight == CorsPreflight::Pass && is_cors_preflight(request) {
        let text = "a preflight, which passes without a credential (`cors_preflight: pass`)";
        found
            .request
            .push(Finding::new(Kind::Request, "CORS", Verdict::Good, text));
        return found;
    }
    let presented = Presented::new(inbound, means, request, now);
    let mut asked = Asked {
        inbound,
        request,
        path: &path,
        authority: &authority,
        presented: &presented,
        needs_credentials: false,
    };
    found.rules = asked.rules();
    if asked.needs_credentials {
        found.credentials = presented.findings();
    }
    found
}

/// The request's own parts, in the order in which they are looked at.
fn of_target(inbound: &Inbound, request: &Request, deny: Option<&Deny>) -> Vec<Finding> {
    let path = request.path().map(RequestPath::raw);
    let path = path.map(|path| path.where_marks_count(&inbound.path_marks));
    let reading = match (path.and_then(|path| path.ambiguity()), inbound.ambiguous_paths) {
        (None, _) => "one reading only".to_owned(),
        (Some(ambiguity), AmbiguousPaths::Reject) => ambiguity.to_string(),
        (Some(ambiguity), AmbiguousPaths::Raw) => {
            format!("{ambiguity}: taken byte by byte (`ambiguous_paths: raw`), and public to nobody")
        }
    };
    let host = Authority::parse(request.authority());
    let parts = [
        ("connection", "names no header of the filter".to_owned()),
        ("method", quoted_bytes(request.method())),
        (
            "path",
            path.map_or("none".to_owned(), |path| quoted_bytes(path.path())),
        ),
        ("readings of the path", reading),
        (
            "host",
            host.map_or_else(|error| error.to_string(), |host| quoted(host.host())),
        ),
    ];
    let failed = deny.map(|deny| match deny {
        Deny::ConnectionNamesOwned => 0,
        Deny::MethodAmbiguous => 1,
        Deny::PathMissing => 2,
        Deny::PathAmbiguous(_) => 3,
        _ => 4,
    });
    let mut findings = Vec::new();
    for (index, (name, text)) in parts.into_iter().enumerate() {
        match (failed, deny) {
            (Some(failed), Some(deny)) if failed == index => {
                findings.push(refused(Kind::Request, name, deny));
                break;
            }
            _ => findings.push(Finding::new(Kind::Request, name, Verdict::Good, text)),
        }
    }
    findings
}

/// A request whose way is looked at.
struct Asked<'a, 'p, 'r> {
    inbound: &'p Inbound,
    request: &'r Request,
    path: &'a RequestPath<'r>,
    authority: &'a Authority<'r>,
    presented: &'a Presented<'p, 'r>,
    /// Whether a rule that matches asks for credentials.
    needs_credentials: bool,
}

impl Asked<'_, '_, '_> {
    /// The rules in their order, up to the one that decides.
    fn rules(&mut self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for rule in self.inbound.rules.iter() {
            let is_shadow = rule.enforcement == Enforcement::Shadow;
            let kind = if is_shadow { Kind::ShadowRule } else { Kind::Rule };
            let conditions = conditions::of(&rule.condition, self.request, self.authority, self.path);
            let Some(matched) = matches(rule, self.request, self.authority, self.path) else {
                let mut conditions = conditions;
                if self.path.is_ambiguous() && rule.lets_strangers_through() {
                    conditions.push(conditions::two_readings());
                }
                let text = conditions::why_not(&conditions);
                findings.push(Finding::new(kind, &rule.name, Verdict::Skipped, text).with(conditions));
                continue;
            };
            let mut below = conditions;
            below.extend(match matched {
                Err(deny) => vec![refused(Kind::Check, "headers", &deny)],
                Ok(()) => self.applied(rule),
            });
            let text = match is_shadow {
                false => "matches, and decides",
                true => "matches, and only looks (`enforcement: shadow`)",
            };
            findings.push(Finding::new(kind, &rule.name, Verdict::Good, text).with(below));
            if !is_shadow {
                return findings;
            }
        }
        findings.push(refused(Kind::Check, "rule", &Deny::NoRule));
        findings
    }

    /// What a rule that matches does: [`super::apply`], step by step.
    fn applied(&mut self, rule: &Rule) -> Vec<Finding> {
        let query = self.path.query().filter(|_| rule.protocol == Protocol::Mcp);
        if query.is_some_and(|query| location::holds_token(self.inbound, query)) {
            return vec![refused(Kind::Check, "query", &Deny::TokenInQuery)];
        }
        match &rule.action {
            Action::Deny => vec![refused(Kind::Check, "deny", &Deny::RuleDenied)],
            Action::Public => {
                let text = "open to everybody (`accept: [none]`); no credential is looked at";
                vec![Finding::new(Kind::Check, "accept", Verdict::Good, text)]
            }
            Action::Authenticate(accept, require) => {
                self.needs_credentials = true;
                let mut trail = Trail::default();
                trail.authenticate(self.inbound, rule, (accept, require), self.presented);
                // The wish of one rule is not another's.
                self.presented.take_wish();
                trail.findings
            }
        }
    }
}

/// A refusal.
pub(in crate::decision) fn refused(kind: Kind, name: &str, deny: &Deny) -> Finding {
    Finding::new(kind, name, Verdict::Bad, deny.to_string()).because(deny.reason())
}
