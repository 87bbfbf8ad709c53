//! Inbound rules in shadow behind which nothing decides. A rule in shadow refuses nobody by itself, and lets nobody in
//! either: what no enforced rule matches is refused.

use crate::advice::Findings;
use crate::advice::conditions::Viewed;
use crate::advice::order::{METHODS, Rules, base, targets};
use crate::advice::samples::Sample;
use crate::advice::words::Advice;
use crate::config::path::Path;
use crate::matcher::MethodMatch;

/// Looks at each rule in shadow. A whole policy in shadow has none: it says so above its rules.
pub(super) fn advise(rules: &Rules<'_>, findings: &mut Findings<'_>) {
    let list = Path::root().member("inbound").member("rules");
    for (index, rule) in rules.viewed.iter().enumerate() {
        if rule.is_enforced() {
            continue;
        }
        if let Some(sample) = refused(rules, rule) {
            let advice = Advice::ShadowRefused {
                method: sample.method,
                host: rules.hosts.are_told_apart().then_some(sample.host),
                path: sample.path,
            };
            findings.add(&list.index(index), advice);
        }
    }
}

/// A request that the rule matches, and no enforced one.
fn refused(rules: &Rules<'_>, rule: &Viewed<'_>) -> Option<Sample> {
    let condition = &rule.rule.condition;
    let base = base(rules, condition)?;
    let methods: Vec<&str> = match condition.methods.as_slice() {
        [] => std::iter::once("POST").chain(METHODS).collect(),
        named => named.iter().map(MethodMatch::as_str).collect(),
    };
    let paths: Vec<String> = targets(rule).into_iter().map(|(_, path)| path).collect();
    let hosts = rules.hosts.all_inside(condition);
    let samples = hosts.flat_map(|host| {
        let (base, paths) = (&base, &paths);
        methods.iter().flat_map(move |method| {
            paths.iter().map(move |path| Sample {
                method: (*method).to_owned(),
                host: host.to_owned(),
                ..base.with_path(path)
            })
        })
    });
    let is_refused = |sample: &Sample| {
        let (path, method) = (sample.path.as_bytes(), sample.method.as_str());
        // What the filter serves itself it answers before any rule.
        // A tunnel has no path.
        let is_tunnel = method == "CONNECT";
        let is_served = SERVED.contains(&method) && rules.inbound.published.find(path, b"").is_some();
        !is_tunnel && !is_served && sample.is_matched_by(rule) && sample.decided_by(&rules.viewed).is_none()
    };
    samples.take(MAX_SAMPLES).find(is_refused)
}

/// The methods by which the filter serves a document.
const SERVED: [&str; 3] = ["GET", "HEAD", "OPTIONS"];
/// Ours: each is tried on every rule. What is found behind so many is not said.
const MAX_SAMPLES: usize = 1000;
