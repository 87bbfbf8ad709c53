//! A stricter rule that misses some requests for its paths, and a weaker one behind it that gets them.

use crate::advice::Findings;
use crate::advice::conditions::Viewed;
use crate::advice::order::{METHODS, Rules, add_at_header, base, is_denial, own_targets};
use crate::advice::pattern::Pattern;
use crate::advice::samples::{Sample, headers_for};
use crate::advice::strength::Weakness;
use crate::advice::words::{Advice, Requests};
use crate::config::path::Path;
use crate::policy::rule::{Action, Condition};

/// Looks for requests that fall past one rule.
pub(super) fn advise(
    rules: &Rules<'_>,
    index: usize,
    rule: &Viewed<'_>,
    conditions: &Path<'_>,
    findings: &mut Findings<'_>,
) {
    methods_fall_through(rules, index, rule, conditions, findings);
    headers_fall_through(rules, index, rule, conditions, findings);
    hosts_fall_through(rules, index, rule, conditions, findings);
    siblings_fall_through(rules, index, rule, conditions, findings);
}

/// A rule for some methods, and a weaker one behind it that gets the others.
fn methods_fall_through(
    rules: &Rules<'_>,
    index: usize,
    rule: &Viewed<'_>,
    conditions: &Path<'_>,
    findings: &mut Findings<'_>,
) {
    let condition = &rule.rule.condition;
    // A rule that refuses some methods means these.
    if condition.methods.is_empty() || matches!(rule.rule.action, Action::Deny) {
        return;
    }
    let names = |method: &str| condition.methods.iter().any(|named| named.as_str() == method);
    let Some(base) = base(rules, condition) else {
        return;
    };
    let mut fallen: Option<Fallen> = None;
    for (pattern, path) in own_targets(rules, index, rule) {
        for method in METHODS.into_iter().filter(|method| !names(method)) {
            let sample = Sample {
                method: method.into(),
                ..base.with_path(&path)
            };
            let is_deliberate = |other: &Condition| !other.methods.is_empty();
            if let Some((to, weakness)) = falls_to(rules, index, &sample, pattern, is_deliberate) {
                let fallen = fallen.get_or_insert_with(|| Fallen::new(to, weakness));
                fallen.add(to, pattern, method);
            }
        }
    }
    // Reading may well ask for less than writing does; `HEAD` may not ask for less than `GET`.
    let is_telling = |method: &&str| !SAFE_METHODS.contains(method) || (*method == "HEAD" && names("GET"));
    if let Some(fallen) = fallen.filter(|fallen| fallen.methods.iter().any(is_telling)) {
        let requests = Requests::Methods {
            paths: fallen.paths,
            methods: fallen.methods,
        };
        findings.add(
            &conditions.member("methods"),
            Advice::FallsThrough {
                requests,
                to: rules.name(fallen.to),
                weakness: fallen.weakness,
            },
        );
    }
}

/// What falls to one other rule: the first that was found.
struct Fallen {
    to: usize,
    weakness: Weakness,
    paths: Vec<String>,
    methods: Vec<&'static str>,
}

impl Fallen {
    const fn new(to: usize, weakness: Weakness) -> Self {
        Self {
            to,
            weakness,
            paths: Vec::new(),
            methods: Vec::new(),
        }
    }

    fn add(&mut self, to: usize, pattern: Option<&Pattern>, method: &'static str) {
        if to != self.to {
            return;
        }
        if let Some(pattern) = pattern.filter(|pattern| !self.paths.contains(&pattern.text)) {
            self.paths.push(pattern.text.clone());
        }
        if !self.methods.contains(&method) {
            self.methods.push(method);
        }
    }
}

/// A rule for requests with a header, and a weaker one behind it that gets those without.
fn headers_fall_through(
    rules: &Rules<'_>,
    index: usize,
    rule: &Viewed<'_>,
    conditions: &Path<'_>,
    findings: &mut Findings<'_>,
) {
    let condition = &rule.rule.condition;
    let Some(base) = base(rules, condition) else {
        return;
    };
    for header in &condition.headers {
        let others = condition.headers.iter().filter(|other| *other != header);
        let Some(headers) = headers_for(others) else {
            return;
        };
        let base = base.with_headers(headers);
        // Another value of the same header is another kind of request, which the author has thought of.
        let is_deliberate =
            |other: &Condition| other.headers.iter().any(|other| other.name() == header.name());
        if let Some((paths, to, weakness)) = falls(rules, index, rule, &base, is_deliberate) {
            let advice = Advice::FallsThrough {
                requests: Requests::WithoutHeader { paths },
                to: rules.name(to),
                weakness,
            };
            add_at_header(rules, index, header, conditions, advice, findings);
            return;
        }
    }
}

/// A rule for paths of some hosts, and a weaker one behind it that gets the same paths of others.
fn hosts_fall_through(
    rules: &Rules<'_>,
    index: usize,
    rule: &Viewed<'_>,
    conditions: &Path<'_>,
    findings: &mut Findings<'_>,
) {
    let condition = &rule.rule.condition;
    let names_paths = !condition.is_any_path();
    if rules.is_gateway || condition.hosts.is_empty() || !names_paths || is_denial(rule) {
        return;
    }
    let (Some(base), Some(host)) = (base(rules, condition), rules.hosts.outside(condition)) else {
        return;
    };
    let base = Sample {
        host: host.into(),
        ..base
    };
    let is_deliberate = |other: &Condition| !other.hosts.is_empty();
    if let Some((paths, to, weakness)) = falls(rules, index, rule, &base, is_deliberate) {
        let advice = Advice::FallsThrough {
            requests: Requests::OtherHosts { paths },
            to: rules.name(to),
            weakness,
        };
        findings.add(&conditions.member("hosts"), advice);
    }
}

/// A rule for a whole path, and a weaker one that gets the same with another slash at its end; or a rule for one free
/// segment, and a weaker one that gets what is below.
fn siblings_fall_through(
    rules: &Rules<'_>,
    index: usize,
    rule: &Viewed<'_>,
    conditions: &Path<'_>,
    findings: &mut Findings<'_>,
) {
    let Some(base) = base(rules, &rule.rule.condition) else {
        return;
    };
    let decided = |path: &str| {
        let decision = base.with_path(path).decided_by(&rules.viewed);
        let to = decision.filter(|to| *to != index)?;
        let paths = &rules.viewed.get(to)?.rule.condition.paths;
        // A rule that names the path means it.
        match paths.iter().any(|named| named.as_bytes() == path.as_bytes()) {
            true => None,
            false => Some((rules.name(to), rules.weakness(to, index)?)),
        }
    };
    let mut patterns: Vec<&Pattern> = own_targets(rules, index, rule)
        .into_iter()
        .filter_map(|(pattern, _)| pattern)
        .collect();
    // A prefix has several targets, and no sibling.
    patterns.dedup();
    for pattern in patterns {
        let (member, entry) = pattern.place;
        let path = conditions.member(member).index(entry);
        let of = pattern.text.clone();
        if let Some((to, weakness)) = pattern.below().and_then(|path| decided(&path)) {
            findings.add(&path, Advice::BelowFallsThrough { of, to, weakness });
        } else if let Some((sibling_path, sibling)) = pattern.sibling()
            && let Some((to, weakness)) = decided(&sibling_path)
        {
            let advice = Advice::SiblingFallsThrough {
                sibling,
                of,
                to,
                weakness,
            };
            findings.add(&path, advice);
        }
    }
}

/// For a request that a rule misses: the paths, the rule that gets it, and in what that is weaker.
fn falls(
    rules: &Rules<'_>,
    index: usize,
    rule: &Viewed<'_>,
    base: &Sample,
    is_deliberate: impl Fn(&Condition) -> bool,
) -> Option<(Vec<String>, usize, Weakness)> {
    let mut found: Option<(Vec<String>, usize, Weakness)> = None;
    for (pattern, path) in own_targets(rules, index, rule) {
        let sample = Sample { path, ..base.clone() };
        let Some((to, weakness)) = falls_to(rules, index, &sample, pattern, &is_deliberate) else {
            continue;
        };
        let (paths, first, _) = found.get_or_insert_with(|| (Vec::new(), to, weakness));
        if *first == to {
            paths.extend(pattern.map(|pattern| pattern.text.clone()));
            paths.dedup();
        }
    }
    found
}

/// The weaker rule behind this one that a request goes to.
fn falls_to(
    rules: &Rules<'_>,
    index: usize,
    sample: &Sample,
    pattern: Option<&Pattern>,
    is_deliberate: impl Fn(&Condition) -> bool,
) -> Option<(usize, Weakness)> {
    let to = sample.decided_by(&rules.viewed).filter(|to| *to > index)?;
    let other = &rules.viewed.get(to)?.rule.condition;
    // What a rule for every path misses concerns the rule for every other request, and no exception.
    let is_exception = pattern.is_none() && !other.is_any_path();
    match is_deliberate(other) || is_exception {
        true => None,
        false => Some((to, rules.weakness(to, index)?)),
    }
}

/// RFC 9110 §9.2.1.
const SAFE_METHODS: [&str; 3] = ["GET", "HEAD", "OPTIONS"];
