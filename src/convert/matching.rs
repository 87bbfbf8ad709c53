//! What a rule of `jwt_authn` matches.

use serde_json::Value;

use super::Findings;
use super::draft::Match;
use super::expression::Expression;
use super::members::Members;
use crate::matcher::MethodMatch;

/// A match, and how far it is from what was written.
#[derive(Debug)]
pub(super) struct Matched {
    pub(super) condition: Match,
    /// It takes more than what was written, so that it may only refuse.
    pub(super) is_wider: bool,
    /// It takes `[`, `]` and `|` in the holes of a template, which Envoy's does not.
    pub(super) is_loose: bool,
    /// What it does not take of what was written.
    pub(super) leak: Option<Leak>,
}

/// Paths that were matched and are not: those that begin so, but not with whole segments, or in another letter case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leak {
    pub(super) prefix: String,
    pub(super) is_of_case: bool,
}

/// Reads the `match` of a rule.
pub(super) fn matched(members: &Members<'_>, findings: &mut Findings) -> Matched {
    let mut matched = Matched {
        condition: Match::default(),
        is_wider: false,
        is_loose: false,
        leak: None,
    };
    path(members, &mut matched, findings);
    for header in members.objects("headers") {
        header_condition(&header, &mut matched, findings);
    }
    let has_other = members
        .get("case_sensitive")
        .is_some_and(|value| value.as_bool() == Some(false));
    if has_other {
        findings.lost(
            members.path_of("case_sensitive"),
            "paths have a letter case here: what is written otherwise is not matched",
        );
        // Envoy looks at no letter case but of these. All that they take begins so, in some letter case.
        let path = ["prefix", "path", "path_separated_prefix"]
            .iter()
            .find_map(|name| members.text(name));
        matched.leak = path.filter(|path| *path != "/").map(|path| Leak {
            prefix: path.to_owned(),
            is_of_case: true,
        });
    }
    for name in members.rest() {
        matched.is_wider = true;
        findings.lost(
            members.path_of(name),
            "is nothing that a rule can match by: the rule takes all requests for its paths, and refuses them",
        );
    }
    matched
}

fn path(members: &Members<'_>, matched: &mut Matched, findings: &mut Findings) {
    let condition = &mut matched.condition;
    if let Some(prefix) = members.text("prefix") {
        let is_folder = prefix.ends_with('/');
        match prefix {
            "/" => {}
            _ if is_folder && is_plain(prefix) => condition.templates.push(format!("{prefix}**")),
            _ if is_folder => {
                matched.is_wider = true;
                condition.prefixes.push(prefix.to_owned());
                findings.lost(
                    members.path_of("prefix"),
                    "has a mark of templates: the rule takes the folder itself too, and refuses it",
                );
            }
            _ => {
                condition.prefixes.push(prefix.to_owned());
                matched.leak = Some(Leak {
                    prefix: prefix.to_owned(),
                    is_of_case: false,
                });
            }
        }
    } else if let Some(path) = members.text("path") {
        condition.paths.push(path.to_owned());
    } else if let Some(prefix) = members.text("path_separated_prefix") {
        condition.prefixes.push(prefix.to_owned());
    } else if let Some(regex) = members.object("safe_regex") {
        expression(&regex, matched, findings);
    } else if let Some(policy) = members.object("path_match_policy") {
        let template = policy.object("typed_config");
        let template = template.as_ref().and_then(|config| config.text("path_template"));
        let readable = template.filter(|template| {
            let segments = template.split('/').skip(1);
            segments
                .clone()
                .all(|segment| is_plain(segment) || is_hole(segment))
        });
        match readable {
            Some(template) => {
                matched.is_loose = true;
                condition.templates.push(template.to_owned());
            }
            None => {
                matched.is_wider = true;
                findings.lost(
                    policy.path(),
                    "is no template that is read here: the rule takes every path, and refuses it",
                );
            }
        }
    } else if members.get("prefix").and_then(Value::as_str) != Some("") {
        // An empty prefix is one of every path. All else says nothing that is known here.
        matched.is_wider = true;
        findings.lost(
            members.path(),
            "says of no path that is read here: the rule takes every path, and refuses it",
        );
    }
}

fn expression(members: &Members<'_>, matched: &mut Matched, findings: &mut Findings) {
    let text = members.text("regex").unwrap_or_default();
    let _ = members.get("google_re2");
    match Expression::read(text) {
        Expression::Everything => {}
        Expression::Path(path) => matched.condition.paths.push(path),
        Expression::Template(template) => matched.condition.templates.push(template),
        Expression::Within(folder) => {
            matched.is_wider = true;
            findings.lost(
                members.path(),
                format!(
                    "`{text}` is no list of segments: the rule takes all within `{folder}`, and refuses it"
                ),
            );
            matched.condition.prefixes.push(folder);
        }
        Expression::Anything => {
            matched.is_wider = true;
            findings.lost(
                members.path(),
                format!("`{text}` is no list of segments, and nothing shows where its paths begin: the rule takes every path, and refuses it"),
            );
        }
    }
}

fn header_condition(header: &Members<'_>, matched: &mut Matched, findings: &mut Findings) {
    let name = header.text("name").unwrap_or_default();
    let exact = header.text("exact_match").map(str::to_owned).or_else(|| {
        let matcher = header.object("string_match")?;
        let exact = matcher.text("exact").map(str::to_owned);
        exact.filter(|_| !matcher.flag("ignore_case"))
    });
    let is_inverted = header.flag("invert_match");
    let condition = &mut matched.condition;
    match (name, exact) {
        // Several methods of a rule are a choice here, and no request has two.
        (":method", Some(method))
            if !is_inverted && condition.methods.is_empty() && MethodMatch::parse(&method).is_ok() =>
        {
            condition.methods.push(method);
        }
        (name, Some(value))
            if !is_inverted
                && !name.starts_with(':')
                // Envoy reads it as `:authority`.
                && !name.eq_ignore_ascii_case("host")
                && condition.headers.iter().all(|(other, _)| !name.eq_ignore_ascii_case(other)) =>
        {
            condition.headers.push((name.to_ascii_lowercase(), value));
        }
        _ => {
            matched.is_wider = true;
            findings.lost(
                header.path(),
                "a rule matches a method or a header once, and by its whole value only: it takes all requests for its paths, and refuses them",
            );
        }
    }
}

/// Whether a segment of a template stands for itself.
pub(super) fn is_plain(segment: &str) -> bool {
    !segment.contains(['*', '{', '}', '?', '#'])
}

/// Whether it is a variable, or a star.
fn is_hole(segment: &str) -> bool {
    let name = |segment: &str| {
        segment
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let inner = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    matches!(segment, "*" | "**")
        || inner.is_some_and(|inner| match inner.split_once('=') {
            Some((variable, pattern)) => name(variable) && matches!(pattern, "*" | "**"),
            None => name(inner),
        })
}

impl Leak {
    /// Whether a rule takes some of these paths.
    pub(super) fn reaches(&self, condition: &Match) -> bool {
        if condition.is_any_path() {
            return true;
        }
        let fold = |text: &str| match self.is_of_case {
            true => text.to_ascii_lowercase(),
            false => text.to_owned(),
        };
        let own = fold(&self.prefix);
        let own = own.strip_suffix('/').unwrap_or(&own).to_owned();
        let is_within = |path: &str, prefix: &str| {
            path.strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let mut paths = condition.paths.iter().map(|path| fold(path));
        let mut prefixes = condition
            .prefixes
            .iter()
            .map(|path| fold(path.strip_suffix('/').unwrap_or(path)));
        // A template, up to its first hole.
        let mut fixed = condition.templates.iter().map(|template| {
            let end = template.find(['*', '{']).unwrap_or(template.len());
            fold(template.get(..end).unwrap_or_default())
        });
        let is_open = |fixed: &String| {
            let goes_on = fixed.strip_prefix(own.as_str());
            own.starts_with(fixed.as_str())
                || goes_on.is_some_and(|rest| self.is_of_case || !rest.starts_with('/'))
        };
        if fixed.any(|fixed| is_open(&fixed)) {
            return true;
        }
        match self.is_of_case {
            true => {
                paths.any(|path| path.starts_with(&own))
                    || prefixes.any(|path| own.starts_with(&path) || path.starts_with(&own))
            }
            false => {
                paths.any(|path| path.starts_with(&own) && !is_within(&path, &own))
                    || prefixes.any(|path| {
                        let is_sibling = path.starts_with(&own) && !is_within(&path, &own);
                        // A folder around it has all its siblings.
                        is_sibling || (path != own && is_within(&own, &path))
                    })
            }
        }
    }

    /// In words.
    pub(super) fn told(&self) -> String {
        match self.is_of_case {
            true => format!("`{}` in another letter case", self.prefix),
            false => format!(
                "a path such as `{}x`, behind the prefix without a slash,",
                self.prefix
            ),
        }
    }
}
