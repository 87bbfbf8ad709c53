//! Whether a rule takes every request that another one matches. Sound, not complete: where it cannot be shown, it is
//! not so.

use crate::advice::pattern::{Pattern, all_covered};
use crate::matcher::{HeaderTest, HostMatch, PathPrefix};
use crate::policy::inbound::AmbiguousPaths;
use crate::policy::outbound::Clusters;
use crate::policy::rule::{Action, Condition, Rule};
use crate::policy::{Enforcement, outbound};

/// An inbound rule, and its paths in a form that can be compared.
#[derive(Debug)]
pub(super) struct Viewed<'p> {
    /// The rule.
    pub(super) rule: &'p Rule,
    /// Its paths, prefixes and templates.
    pub(super) patterns: Vec<Pattern>,
}

impl Viewed<'_> {
    /// Whether the rule decides.
    pub(super) fn is_enforced(&self) -> bool {
        self.rule.enforcement == Enforcement::Enforce
    }

    /// Whether it lets callers without a credential through.
    pub(super) fn admits_strangers(&self) -> bool {
        match &self.rule.action {
            Action::Deny => false,
            Action::Public => true,
            Action::Authenticate(accept, _) => accept.none,
        }
    }

    /// Whether it takes every request that the other one matches.
    pub(super) fn takes_all_of(&self, other: &Self, ambiguous_paths: AmbiguousPaths) -> bool {
        let (own, others) = (&self.rule.condition, &other.rule.condition);
        // A path with two meanings is matched by no rule that lets strangers through.
        let passes_over =
            ambiguous_paths == AmbiguousPaths::Raw && self.admits_strangers() && !other.admits_strangers();
        self.is_enforced()
            && !passes_over
            && self.takes_paths_of(other)
            && hosts_cover(own, others)
            && is_within(&own.methods, &others.methods)
            && own.headers.iter().all(|header| others.headers.contains(header))
    }

    /// Whether it matches every path that the other one matches.
    pub(super) fn takes_paths_of(&self, other: &Self) -> bool {
        self.rule.condition.is_any_path()
            || (!other.rule.condition.is_any_path() && all_covered(&self.patterns, &other.patterns))
    }
}

/// Whether an outbound condition matches every call that another one matches.
pub(super) fn takes_all_calls(own: &outbound::Condition, other: &outbound::Condition) -> bool {
    let clusters = match (&own.clusters, &other.clusters) {
        (Clusters::Any, _) => true,
        (Clusters::OneOf(_), Clusters::Any) => false,
        (Clusters::OneOf(own), Clusters::OneOf(other)) => other.iter().all(|name| own.contains(name)),
    };
    clusters
        && is_within(&own.hosts, &other.hosts)
        && is_within(&own.ports, &other.ports)
        && prefixes_cover(&own.path_prefixes, &other.path_prefixes)
}

/// Whether hosts of a rule are among another's, wildcards included.
fn hosts_cover(own: &Condition, other: &Condition) -> bool {
    let is_covered = |host: &HostMatch| own.hosts.iter().any(|own| host_covers(own, host));
    own.hosts.is_empty() || (!other.hosts.is_empty() && other.hosts.iter().all(is_covered))
}

fn host_covers(own: &HostMatch, other: &HostMatch) -> bool {
    match (own.below(), other.exact().or(other.below())) {
        (Some(domain), Some(other)) => other.ends_with(domain),
        _ => own == other,
    }
}

/// Whether what a rule names is among what another one names. Naming nothing is naming everything.
fn is_within<T: PartialEq>(own: &[T], other: &[T]) -> bool {
    own.is_empty() || (!other.is_empty() && other.iter().all(|name| own.contains(name)))
}

fn prefixes_cover(own: &[PathPrefix], other: &[PathPrefix]) -> bool {
    let is_any = |prefixes: &[PathPrefix]| prefixes.is_empty() || prefixes.iter().any(PathPrefix::is_root);
    let covers = |own: &PathPrefix, other: &PathPrefix| {
        other
            .as_bytes()
            .strip_prefix(own.as_bytes())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    is_any(own) || (!is_any(other) && other.iter().all(|other| own.iter().any(|own| covers(own, other))))
}

/// A value that passes a test; `None` where the header must be absent.
pub(super) fn sample_value(test: &HeaderTest) -> Option<&str> {
    match test {
        HeaderTest::Present(true) => Some("x"),
        HeaderTest::Present(false) => None,
        HeaderTest::Exact(value) | HeaderTest::Prefix(value) | HeaderTest::Suffix(value) => Some(value),
    }
}
