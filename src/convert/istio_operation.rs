//! What an AuthorizationPolicy says of hosts, methods and paths: as much as a rule can match, or less, or more.
//!
//! Who lets in takes less, and who keeps out takes more.

use super::draft::Match;
use super::members::Members;
use super::{Findings, Options};
use crate::matcher::{HostMatch, MethodMatch, PathExact, PathPrefix, PathTemplate};

/// An operation, or less; `None` where nothing of it can be said.
pub(super) fn narrower(operation: &Members<'_>, findings: &mut Findings) -> Option<Match> {
    let mut condition = Match::default();
    let hosts = operation.texts("hosts");
    let methods = operation.texts("methods");
    let paths = operation.texts("paths");
    condition.hosts = hosts.iter().filter(|host| is_host(host)).cloned().collect();
    if !condition.hosts.is_empty() {
        findings.note(
            operation.path_of("hosts"),
            "are matched without their port here: a request that names one is for this host too",
        );
    }
    let is_any_method = methods.iter().any(|method| method == "*");
    if !is_any_method {
        condition.methods = methods
            .iter()
            .filter(|method| is_method(method))
            .cloned()
            .collect();
    }
    let mut lost_paths = 0_usize;
    for path in &paths {
        match pattern(path) {
            Some(Pattern::Everything) => condition.prefixes.push("/".to_owned()),
            Some(Pattern::Path(path)) => condition.paths.push(path),
            Some(Pattern::Template(template)) => {
                if path.contains('{') {
                    findings.note(
                        operation.path_of("paths"),
                        format!("`{path}` takes each character in a free segment; Envoy takes those of a URI but `*`"),
                    );
                }
                condition.templates.push(template);
            }
            Some(Pattern::Start(start)) => {
                findings.note(
                    operation.path_of("paths"),
                    format!("`{path}` is taken as a prefix of whole segments: `{start}x` is not let in"),
                );
                condition.prefixes.push(start);
            }
            None => lost_paths += 1,
        }
    }
    let has_rest = !operation.rest().is_empty();
    let has_lost_methods = !is_any_method && condition.methods.len() < methods.len();
    if has_rest || has_lost_methods || lost_paths > 0 || condition.hosts.len() < hosts.len() {
        findings.lost(
            operation.path(),
            "not all of it can be said here: what cannot is refused",
        );
    }
    let has_none = has_rest
        || (!hosts.is_empty() && condition.hosts.is_empty())
        || (!methods.is_empty() && !is_any_method && condition.methods.is_empty())
        || (!paths.is_empty() && paths.len() == lost_paths);
    (!has_none).then(|| distinct(condition))
}

/// The operations, or more.
pub(super) fn wider(operations: &[Members<'_>], options: Options, findings: &mut Findings) -> Vec<Match> {
    let inner: Vec<Members<'_>> = operations
        .iter()
        .filter_map(|to| to.object("operation"))
        .collect();
    if inner.is_empty() {
        return vec![Match::default()];
    }
    let mut conditions = Vec::new();
    for operation in inner {
        let mut condition = Match::default();
        let mut is_wider = false;
        for path in &operation.texts("paths") {
            match pattern(path) {
                Some(Pattern::Path(path)) => condition.paths.push(path),
                Some(Pattern::Template(template)) => condition.templates.push(template),
                Some(Pattern::Everything) => condition.prefixes.push("/".to_owned()),
                Some(Pattern::Start(start)) if options.whole_segments => condition.prefixes.push(start),
                Some(Pattern::Start(start)) => {
                    is_wider = true;
                    let folder = start.rsplit_once('/').map_or("/", |(folder, _)| folder);
                    condition
                        .prefixes
                        .push(if folder.is_empty() { "/" } else { folder }.to_owned());
                }
                None => {
                    is_wider = true;
                    condition.prefixes.push("/".to_owned());
                }
            }
        }
        let hosts = operation.texts("hosts");
        match hosts.iter().all(|host| is_host(host)) {
            true => condition.hosts = hosts,
            false => is_wider = true,
        }
        let methods = operation.texts("methods");
        match methods.iter().all(|method| is_method(method)) {
            true => condition.methods = methods,
            // Exactly all of them.
            false if methods.iter().any(|method| method == "*") => {}
            false => is_wider = true,
        }
        is_wider |= !operation.rest().is_empty();
        if is_wider {
            findings.lost(
                operation.path(),
                "not all of it can be said here: more is kept out. Of a prefix such as `/a*`: if nothing is served at `/ax`, say `--whole-segments`",
            );
        }
        conditions.push(distinct(condition));
    }
    conditions
}

/// A policy takes no entry twice.
fn distinct(mut condition: Match) -> Match {
    for list in [
        &mut condition.hosts,
        &mut condition.paths,
        &mut condition.prefixes,
        &mut condition.templates,
        &mut condition.methods,
    ] {
        list.sort();
        list.dedup();
    }
    condition
}

fn is_host(host: &str) -> bool {
    HostMatch::parse(host).is_ok()
}

/// Envoy takes `P*` for a prefix, and `*` for every method; a rule would take both for a name.
fn is_method(method: &str) -> bool {
    !method.contains('*') && MethodMatch::parse(method).is_ok()
}

enum Pattern {
    Everything,
    Path(String),
    Template(String),
    /// A prefix that need not end with a segment.
    Start(String),
}

/// What a rule can say of a path of Istio's, exactly.
fn pattern(path: &str) -> Option<Pattern> {
    if path == "*" || path == "/*" {
        return Some(Pattern::Everything);
    }
    if !path.starts_with('/') {
        return None;
    }
    if path.contains(['{', '}']) {
        return template(path);
    }
    match path.strip_suffix('*') {
        None if path.contains('*') => None,
        None => PathExact::parse(path)
            .is_ok()
            .then(|| Pattern::Path(path.to_owned())),
        Some(start) if start.contains('*') => None,
        Some(start) if start.ends_with('/') => parsed(format!("{start}**")),
        Some(start) => PathPrefix::parse(start)
            .is_ok()
            .then(|| Pattern::Start(start.to_owned())),
    }
}

/// A path with `{*}` and `{**}`, which are whole segments.
fn template(path: &str) -> Option<Pattern> {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        segments.push(match segment {
            "{*}" => "*",
            "{**}" => "**",
            other if other.contains(['{', '}', '*']) => return None,
            other => other,
        });
    }
    parsed(segments.join("/"))
}

fn parsed(template: String) -> Option<Pattern> {
    PathTemplate::parse(&template)
        .is_ok()
        .then_some(Pattern::Template(template))
}
