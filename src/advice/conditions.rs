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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{Authority, HostName};
    use crate::http::{Headers, Request};
    use crate::matcher::{HeaderMatch, MethodMatch, PathExact};
    use crate::path::RequestPath;
    use crate::policy::rule::Protocol;

    /// All combinations of hosts, methods and headers; paths are compared in a file of their own.
    fn conditions() -> Vec<Condition> {
        let hosts: [&[&str]; 6] = [
            &[],
            &["a.b"],
            &["b"],
            &["*.b"],
            &["*.a.b"],
            &["b", "*.b", "[::1]"],
        ];
        let methods: [&[&str]; 4] = [&[], &["GET"], &["POST"], &["GET", "POST"]];
        let headers: [&[(&str, &str)]; 4] = [&[], &[("x", "1")], &[("x", "2")], &[("X", "1"), ("y", "1")]];
        let mut all = Vec::new();
        for hosts in hosts {
            for methods in methods {
                for headers in headers {
                    let header = |(name, value): &(&str, &str)| {
                        HeaderMatch::parse(name, HeaderTest::Exact((*value).into()))
                    };
                    all.push(Condition {
                        hosts: hosts.iter().map(|host| HostMatch::parse(host).unwrap()).collect(),
                        methods: methods
                            .iter()
                            .map(|name| MethodMatch::parse(name).unwrap())
                            .collect(),
                        headers: headers.iter().map(|pair| header(pair).unwrap()).collect(),
                        ..Condition::default()
                    });
                }
            }
        }
        all
    }

    fn requests() -> Vec<Request> {
        let headers: [&[(&str, &str)]; 5] = [
            &[],
            &[("x", "1")],
            &[("x", "2")],
            &[("y", "1")],
            &[("x", "1"), ("y", "1")],
        ];
        let mut all = Vec::new();
        for host in ["a.b", "b", "c.a.b", "c", "[::1]"] {
            for method in ["GET", "POST", "PUT"] {
                for headers in headers {
                    let pseudo = [(":authority", host), (":method", method), (":path", "/")];
                    let pairs = pseudo.iter().chain(headers);
                    let bytes =
                        pairs.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
                    all.push(Request {
                        headers: Headers::new(bytes),
                        ..Request::default()
                    });
                }
            }
        }
        all
    }

    fn matches(condition: &Condition, request: &Request) -> bool {
        let authority = Authority::parse(request.authority()).unwrap();
        condition.matches_target(request, &authority, &RequestPath::raw(b"/"))
            && condition.matches_headers(&request.headers).unwrap()
    }

    fn rule(condition: Condition, action: Action, enforcement: Enforcement) -> Rule {
        Rule {
            name: "a".into(),
            condition,
            action,
            protocol: Protocol::Auto,
            passes_token: false,
            enforcement,
            has_card_rpc: false,
        }
    }

    fn viewed(rule: &Rule) -> Viewed<'_> {
        Viewed {
            rule,
            patterns: Vec::new(),
        }
    }

    /// Not only sound but complete, for one of all that is written down here.
    #[test]
    fn one_takes_all_of_another_if_it_matches_every_request() {
        let requests = requests();
        let rules: Vec<Rule> = conditions()
            .into_iter()
            .map(|condition| rule(condition, Action::Deny, Enforcement::Enforce))
            .collect();
        let matched: Vec<Vec<bool>> = rules
            .iter()
            .map(|rule| {
                requests
                    .iter()
                    .map(|request| matches(&rule.condition, request))
                    .collect()
            })
            .collect();
        let mut count = 0;
        for (one, own) in rules.iter().zip(&matched) {
            for (other, others) in rules.iter().zip(&matched) {
                let takes = viewed(one).takes_all_of(&viewed(other), AmbiguousPaths::Reject);
                let is_so = own.iter().zip(others).all(|(own, other)| *own || !other);
                assert_eq!(takes, is_so, "{:?} {:?}", one.condition, other.condition);
                count += usize::from(takes);
            }
        }
        assert!(count > rules.len(), "{count}");
    }

    #[test]
    fn a_rule_in_shadow_takes_nothing() {
        let shadow = rule(Condition::default(), Action::Public, Enforcement::Shadow);
        let public = rule(Condition::default(), Action::Public, Enforcement::Enforce);
        let taken = |by: &Rule, other: &Rule| viewed(by).takes_all_of(&viewed(other), AmbiguousPaths::Reject);
        assert!(!taken(&shadow, &public));
        assert!(taken(&public, &shadow));
    }

    #[test]
    fn ambiguous_paths_go_past_strangers() {
        let public = rule(Condition::default(), Action::Public, Enforcement::Enforce);
        let denial = rule(Condition::default(), Action::Deny, Enforcement::Enforce);
        let taken = |by: &Rule, other: &Rule, paths| viewed(by).takes_all_of(&viewed(other), paths);
        assert!(taken(&public, &denial, AmbiguousPaths::Reject));
        assert!(!taken(&public, &denial, AmbiguousPaths::Raw));
        assert!(taken(&public, &public, AmbiguousPaths::Raw));
        assert!(taken(&denial, &public, AmbiguousPaths::Raw));
    }

    #[test]
    fn a_path_is_less_than_every_path() {
        let every = rule(Condition::default(), Action::Deny, Enforcement::Enforce);
        let condition = Condition {
            paths: vec![PathExact::parse("/a").unwrap()],
            ..Condition::default()
        };
        let one = rule(condition, Action::Deny, Enforcement::Enforce);
        assert!(viewed(&every).takes_paths_of(&viewed(&one)));
        assert!(!viewed(&one).takes_paths_of(&viewed(&every)));
    }

    #[test]
    fn calls() {
        let condition =
            |hosts: &[&str], clusters: &[&str], ports: &[u16], prefixes: &[&str]| outbound::Condition {
                hosts: hosts.iter().map(|host| HostName::parse(host).unwrap()).collect(),
                clusters: match clusters {
                    [] => Clusters::Any,
                    names => Clusters::OneOf(names.iter().map(|name| (*name).to_owned()).collect()),
                },
                ports: ports.to_vec(),
                path_prefixes: prefixes
                    .iter()
                    .map(|prefix| PathPrefix::parse(prefix).unwrap())
                    .collect(),
            };
        let any = condition(&[], &[], &[], &[]);
        let root = condition(&[], &[], &[], &["/"]);
        let some = condition(&["a", "b"], &["x", "y"], &[80, 443], &["/a", "/b"]);
        let less = condition(&["b"], &["y"], &[443], &["/b/c"]);
        assert!(takes_all_calls(&any, &root) && takes_all_calls(&root, &any));
        assert!(takes_all_calls(&any, &some) && !takes_all_calls(&some, &any));
        assert!(takes_all_calls(&some, &less) && !takes_all_calls(&less, &some));
        for more in [
            condition(&["c"], &["y"], &[443], &["/b/c"]),
            condition(&["b"], &["z"], &[443], &["/b/c"]),
            condition(&["b"], &["y"], &[1], &["/b/c"]),
            condition(&["b"], &["y"], &[443], &["/bc"]),
            condition(&["b"], &["y"], &[443], &["/b", "/"]),
        ] {
            assert!(!takes_all_calls(&some, &more), "{more:?}");
        }
    }
}
