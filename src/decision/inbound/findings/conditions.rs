//! Why a rule matches or not, condition by condition, as its matchers say.

use crate::authority::Authority;
use crate::findings::{Finding, Kind, Verdict, listed, quoted, quoted_bytes};
use crate::http::Request;
use crate::matcher::{HeaderMatch, HeaderTest, HostMatch, MethodMatch, PathTemplate, TemplateSegment};
use crate::path::RequestPath;
use crate::policy::rule::Condition;

/// Each condition that a rule has.
pub(super) fn of(
    condition: &Condition,
    request: &Request,
    authority: &Authority<'_>,
    path: &RequestPath<'_>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !condition.is_any_path() {
        let is_met = condition.paths.iter().any(|matcher| matcher.matches(path))
            || condition
                .path_prefixes
                .iter()
                .any(|matcher| matcher.matches(path))
            || condition
                .path_templates
                .iter()
                .any(|matcher| matcher.matches(path));
        let wanted = wanted_paths(condition);
        let wanted = listed(wanted.iter().map(String::as_str));
        findings.push(finding("path", is_met, &quoted_bytes(path.path()), &wanted));
    }
    if !condition.hosts.is_empty() {
        let is_met = condition.hosts.iter().any(|matcher| matcher.matches(authority));
        let wanted: Vec<String> = condition.hosts.iter().map(host).collect();
        let wanted = listed(wanted.iter().map(String::as_str));
        findings.push(finding("host", is_met, &quoted(authority.host()), &wanted));
    }
    if !condition.methods.is_empty() {
        let is_met = condition
            .methods
            .iter()
            .any(|matcher| matcher.matches(request.method()));
        let wanted = listed(condition.methods.iter().map(MethodMatch::as_str));
        findings.push(finding(
            "method",
            is_met,
            &quoted_bytes(request.method()),
            &wanted,
        ));
    }
    for header in &condition.headers {
        findings.push(of_header(header, request));
    }
    if findings.is_empty() {
        findings.push(Finding::new(
            Kind::Condition,
            "match",
            Verdict::Good,
            "every request",
        ));
    }
    findings
}

/// A path with two readings matches no rule that lets strangers through.
pub(super) fn two_readings() -> Finding {
    let text = "has two readings, and the rule lets callers without a credential in";
    Finding::new(Kind::Condition, "path", Verdict::Bad, text)
}

/// Which conditions are not met, in a few words.
pub(in crate::decision) fn why_not(conditions: &[Finding]) -> String {
    let unmet = conditions
        .iter()
        .filter(|condition| condition.result == Verdict::Bad);
    let unmet: Vec<String> = unmet
        .map(|condition| format!("{} {}", condition.name, condition.text))
        .collect();
    format!("does not match: {}", unmet.join("; "))
}

fn finding(name: &str, is_met: bool, actual: &str, wanted: &str) -> Finding {
    let (result, word) = match is_met {
        true => (Verdict::Good, "is one of"),
        false => (Verdict::Bad, "is none of"),
    };
    Finding::new(Kind::Condition, name, result, format!("{actual} {word} {wanted}"))
}

fn wanted_paths(condition: &Condition) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let whole = condition.paths.iter().map(|path| text(path.as_bytes()));
    let prefixes = condition.path_prefixes.iter();
    let prefixes = prefixes.map(|prefix| format!("{}/…", text(prefix.as_bytes())));
    let templates = condition.path_templates.iter().map(template);
    whole.chain(prefixes).chain(templates).collect()
}

fn template(template: &PathTemplate) -> String {
    let segment = |segment: &TemplateSegment| match segment {
        TemplateSegment::Literal(text) => format!("/{}", String::from_utf8_lossy(text)),
        TemplateSegment::Any { suffix } => format!("/*{}", String::from_utf8_lossy(suffix)),
    };
    let rest = if template.is_open() { "/**" } else { "" };
    let segments: String = template.segments().iter().map(segment).collect();
    format!("{segments}{rest}")
}

fn host(host: &HostMatch) -> String {
    let wildcard = if host.below().is_some() { "*" } else { "" };
    format!("{wildcard}{}", host.as_str())
}

/// Of a header the value is not shown: it may be a secret.
fn of_header(header: &HeaderMatch, request: &Request) -> Finding {
    let name = String::from_utf8_lossy(header.name()).into_owned();
    let wanted = match header.test() {
        HeaderTest::Present(true) => "to be there".to_owned(),
        HeaderTest::Present(false) => "to be absent".to_owned(),
        HeaderTest::Exact(value) => format!("to be {}", quoted(value)),
        HeaderTest::Prefix(value) => format!("to begin with {}", quoted(value)),
        HeaderTest::Suffix(value) => format!("to end with {}", quoted(value)),
    };
    let count = request.headers.all(header.name()).count();
    let (result, actual) = match (header.matches(&request.headers), count) {
        (_, 2..) => (Verdict::Bad, "comes more than once"),
        (true, _) => (Verdict::Good, "is as it should be"),
        (false, 0) => (Verdict::Bad, "is not there"),
        (false, _) => (Verdict::Bad, "is not so"),
    };
    let text = format!("`{name}` {actual}; it has {wanted}");
    Finding::new(Kind::Condition, "header", result, text)
}
