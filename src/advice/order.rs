//! What follows from the order of the inbound rules: which of them can never match, and which are got past by a request
//! that a weaker one takes.
//!
//! A weaker rule is no mistake by itself: one for a narrower path in front of a stricter one is how exceptions are
//! written. It is one where the stricter rule names paths, and a request for these goes to the weaker one all the same,
//! because one of the two is limited by something that the caller chooses. Where both rules say for which methods, or
//! for which hosts, they are, the author has thought of it.

mod holes;
mod shortcuts;

use crate::advice::Findings;
use crate::advice::conditions::Viewed;
use crate::advice::entry::members;
use crate::advice::pattern::Pattern;
use crate::advice::samples::{Hosts, Sample, headers_for};
use crate::advice::strength::{Weakness, weakness};
use crate::advice::words::Advice;
use crate::config::Document;
use crate::config::path::Path;
use crate::matcher::{HeaderMatch, MethodMatch};
use crate::policy::Inbound;
use crate::policy::rule::{Action, Condition};

/// The inbound rules as they are compared.
pub(super) struct Rules<'p> {
    pub(super) inbound: &'p Inbound,
    /// All of them, those in shadow included.
    pub(super) viewed: Vec<Viewed<'p>>,
    /// The same in the document.
    pub(super) nodes: &'p [Document],
    pub(super) hosts: Hosts,
    /// Whether every host is another service's: then a rule for one host says nothing about the others.
    pub(super) is_gateway: bool,
}

impl Rules<'_> {
    /// In what a rule is weaker than another one.
    fn weakness(&self, weak: usize, strong: usize) -> Option<Weakness> {
        let providers: Vec<&str> = self
            .inbound
            .providers
            .iter()
            .map(|provider| provider.name.as_str())
            .collect();
        let action = |index: usize| self.viewed.get(index).map(|viewed| &viewed.rule.action);
        weakness(action(weak)?, action(strong)?, &providers)
    }

    fn name(&self, index: usize) -> String {
        self.viewed
            .get(index)
            .map(|viewed| viewed.rule.name.clone())
            .unwrap_or_default()
    }

    /// The first rule that takes everything that this one matches.
    pub(super) fn taken_by(&self, index: usize) -> Option<usize> {
        let rule = self.viewed.get(index)?;
        self.viewed
            .iter()
            .take(index)
            .position(|other| other.takes_all_of(rule, self.inbound.ambiguous_paths))
    }
}

/// Looks at all rules, in pairs.
pub(super) fn advise(rules: &Rules<'_>, findings: &mut Findings<'_>) {
    let list = Path::root().member("inbound").member("rules");
    for (index, rule) in rules.viewed.iter().enumerate().take(MAX_RULES) {
        let path = list.index(index);
        if let Some(by) = rules.taken_by(index) {
            findings.add(&path, Advice::NeverMatches { by: rules.name(by) });
            continue;
        }
        if rule.is_enforced() {
            let conditions = path.member("match");
            holes::advise(rules, index, rule, &conditions, findings);
            shortcuts::advise(rules, index, rule, &conditions, findings);
        }
    }
}

/// A request that a rule matches, but for its path.
pub(super) fn base(rules: &Rules<'_>, condition: &Condition) -> Option<Sample> {
    Some(Sample {
        method: condition
            .methods
            .first()
            .map_or("POST", MethodMatch::as_str)
            .to_owned(),
        host: rules.hosts.inside(condition)?.to_owned(),
        path: String::new(),
        headers: headers_for(&condition.headers)?,
    })
}

/// The paths of a rule, each with its pattern; of a rule for every path, two.
pub(super) fn targets<'v>(rule: &'v Viewed<'_>) -> Vec<(Option<&'v Pattern>, String)> {
    match rule.rule.condition.is_any_path() {
        true => vec![(None, "/".into()), (None, "/peergate-sample".into())],
        false => {
            let of = |pattern: &'v Pattern| {
                let samples = pattern.samples().into_iter();
                samples.map(move |path| (Some(pattern), path))
            };
            rule.patterns.iter().flat_map(of).collect()
        }
    }
}

/// The same, but only those of which the rule gets a request.
fn own_targets<'v>(
    rules: &Rules<'_>,
    index: usize,
    rule: &'v Viewed<'_>,
) -> Vec<(Option<&'v Pattern>, String)> {
    let Some(base) = base(rules, &rule.rule.condition) else {
        return Vec::new();
    };
    let is_own = |(_, path): &(Option<&Pattern>, String)| {
        base.with_path(path).decided_by(&rules.viewed) == Some(index)
    };
    targets(rule).into_iter().filter(is_own).collect()
}

fn is_denial(rule: &Viewed<'_>) -> bool {
    matches!(rule.rule.action, Action::Deny)
}

/// At the header as it is written, which may be in another letter case.
fn add_at_header(
    rules: &Rules<'_>,
    index: usize,
    header: &HeaderMatch,
    conditions: &Path<'_>,
    advice: Advice,
    findings: &mut Findings<'_>,
) {
    let conditions_node = rules.nodes.get(index).and_then(|rule| rule.member("match"));
    let is_meant = |name: &&str| name.as_bytes().eq_ignore_ascii_case(header.name());
    let name = members(conditions_node, "headers")
        .map(|(name, _)| name)
        .find(is_meant);
    let headers = conditions.member("headers");
    findings.add(&headers.member(name.unwrap_or_default()), advice);
}

/// The methods of RFC 9110 §9.3 that reach an upstream, and of RFC 5789.
pub(super) const METHODS: [&str; 7] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
/// Ours: rules are compared in pairs. What stands behind so many is not looked at.
const MAX_RULES: usize = 1000;
