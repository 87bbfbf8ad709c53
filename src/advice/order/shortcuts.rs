//! A weaker rule for some requests only, in front of a stricter one that names the same paths.

use crate::advice::Findings;
use crate::advice::conditions::Viewed;
use crate::advice::order::{MAX_RULES, METHODS, Rules, add_at_header, is_denial, targets};
use crate::advice::samples::{Sample, headers_for};
use crate::advice::words::{Advice, Requests};
use crate::config::path::Path;
use crate::matcher::{HeaderMatch, MethodMatch};

/// Looks for rules behind this one that lose requests to it.
pub(super) fn advise(
    rules: &Rules<'_>,
    index: usize,
    weak: &Viewed<'_>,
    conditions: &Path<'_>,
    findings: &mut Findings<'_>,
) {
    let limits = &weak.rule.condition;
    if limits.headers.is_empty() && limits.methods.is_empty() && limits.hosts.is_empty() {
        return;
    }
    for (later, strong) in rules.viewed.iter().enumerate().take(MAX_RULES).skip(index + 1) {
        let names_paths = !strong.rule.condition.is_any_path();
        let may_be_meant = is_denial(strong) && !names_paths;
        if may_be_meant || !strong.is_enforced() || !weak.takes_paths_of(strong) {
            continue;
        }
        let Some(weakness) = rules.weakness(index, later) else {
            continue;
        };
        let Some(limit) = limit(rules, weak, strong, names_paths) else {
            continue;
        };
        let Some(paths) = taken_paths(rules, (index, weak), (later, strong), &limit) else {
            continue;
        };
        let from = rules.name(later);
        let takes = |requests| Advice::TakesAway {
            requests,
            from,
            weakness,
        };
        match limit {
            Limit::Header(header) => {
                let advice = takes(Requests::WithHeader { paths });
                add_at_header(rules, index, header, conditions, advice, findings);
            }
            Limit::Methods(methods) => {
                let methods = methods
                    .iter()
                    .map(MethodMatch::as_str)
                    .map(str::to_owned)
                    .collect();
                findings.add(
                    &conditions.member("methods"),
                    takes(Requests::NamedMethods { paths, methods }),
                );
            }
            Limit::Hosts => {
                findings.add(&conditions.member("hosts"), takes(Requests::TheseHosts { paths }));
            }
        }
        return;
    }
}

/// What keeps a weaker rule from taking all that a stricter one behind it matches.
enum Limit<'p> {
    Header(&'p HeaderMatch),
    Methods(&'p [MethodMatch]),
    Hosts,
}

fn limit<'p>(
    rules: &Rules<'_>,
    weak: &Viewed<'p>,
    strong: &Viewed<'_>,
    names_paths: bool,
) -> Option<Limit<'p>> {
    let (own, others) = (&weak.rule.condition, &strong.rule.condition);
    let further = own.headers.iter().find(|header| !others.headers.contains(header));
    if let Some(header) = further {
        return Some(Limit::Header(header));
    }
    if names_paths && !own.methods.is_empty() && others.methods.is_empty() {
        return Some(Limit::Methods(&own.methods));
    }
    let is_of_hosts = names_paths && !own.hosts.is_empty() && others.hosts.is_empty();
    (is_of_hosts && !rules.is_gateway).then_some(Limit::Hosts)
}

/// The paths of the stricter rule for which it is so: the weaker one decides, and without its limit the stricter one.
fn taken_paths(
    rules: &Rules<'_>,
    (weak, weak_rule): (usize, &Viewed<'_>),
    (strong, strong_rule): (usize, &Viewed<'_>),
    limit: &Limit<'_>,
) -> Option<Vec<String>> {
    let (own, others) = (&weak_rule.rule.condition, &strong_rule.rule.condition);
    let named = [own, others]
        .into_iter()
        .find(|condition| !condition.methods.is_empty());
    let methods = named.map_or(&[][..], |condition| condition.methods.as_slice());
    let is_common = |method: &&MethodMatch| others.methods.is_empty() || others.methods.contains(method);
    let method = match methods {
        [] => "POST",
        methods => methods.iter().find(is_common)?.as_str(),
    };
    let taken = Sample {
        method: method.to_owned(),
        host: rules.hosts.common(own, others)?.to_owned(),
        path: String::new(),
        headers: headers_for(own.headers.iter().chain(&others.headers))?,
    };
    let left = match limit {
        Limit::Header(_) => taken.with_headers(headers_for(&others.headers)?),
        Limit::Methods(methods) => {
            let is_other = |method: &&str| !methods.iter().any(|named| named.as_str() == *method);
            Sample {
                method: METHODS.into_iter().find(is_other)?.into(),
                ..taken.clone()
            }
        }
        Limit::Hosts => Sample {
            host: rules.hosts.outside(own)?.into(),
            ..taken.clone()
        },
    };
    let at = |sample: &Sample, path: &str| sample.with_path(path).decided_by(&rules.viewed);
    let mut paths = Vec::new();
    let mut is_taken = false;
    for (pattern, path) in targets(strong_rule) {
        if at(&taken, &path) == Some(weak) && at(&left, &path) == Some(strong) {
            is_taken = true;
            paths.extend(pattern.map(|pattern| pattern.text.clone()));
        }
    }
    paths.dedup();
    is_taken.then_some(paths)
}
