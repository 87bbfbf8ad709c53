//! What a rule of `jwt_authn` matches.

use super::Findings;
use super::draft::Match;
use super::members::Members;

/// A match, and how far it is from what was written.
#[derive(Debug)]
pub(super) struct Matched {
    pub(super) condition: Match,
    /// It takes more than what was written, so that it may only refuse.
    pub(super) is_wider: bool,
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
        let condition = &matched.condition;
        let path = condition.paths.iter().chain(&condition.prefixes).next();
        matched.leak = path.filter(|path| *path != "/").map(|path| Leak {
            prefix: path.clone(),
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
        match prefix {
            "/" => {}
            _ if prefix.ends_with('/') && is_plain(prefix) => condition.templates.push(format!("{prefix}**")),
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
        let text = regex.text("regex").unwrap_or_default();
        let _ = (regex.get("google_re2"), members.get("safe_regex"));
        if !from_regex(text, condition) {
            matched.is_wider = true;
            wider(condition, text);
            findings.lost(
                regex.path(),
                format!("`{text}` is no list of segments: the rule takes more, and refuses it"),
            );
        }
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
            Some(template) => condition.templates.push(template.to_owned()),
            None => {
                matched.is_wider = true;
                findings.lost(
                    policy.path(),
                    "is no template that is read here: the rule takes every path, and refuses it",
                );
            }
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
        (":method", Some(method)) if !is_inverted => condition.methods.push(method),
        (name, Some(value)) if !is_inverted && !name.starts_with(':') => {
            condition.headers.push((name.to_ascii_lowercase(), value));
        }
        _ => {
            matched.is_wider = true;
            findings.lost(
                header.path(),
                "a rule matches headers by their whole value only: it takes all requests for its paths, and refuses them",
            );
        }
    }
}

/// A regular expression that is a list of segments in disguise.
fn from_regex(text: &str, condition: &mut Match) -> bool {
    let text = text.strip_prefix('^').unwrap_or(text);
    let text = text.strip_suffix('$').unwrap_or(text);
    if matches!(text, ".*" | "/.*") {
        return true;
    }
    let Some(text) = text.strip_prefix('/') else {
        return false;
    };
    // A slash within brackets parts nothing.
    let text = text.replace("[^/]", "\u{0}");
    let mut segments: Vec<String> = Vec::new();
    let mut parts = text.split('/').peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        match part {
            "\u{0}+" => segments.push("*".to_owned()),
            ".*" if is_last => segments.push("**".to_owned()),
            _ => match literal(part) {
                Some(segment) => segments.push(segment),
                None => return false,
            },
        }
    }
    let path = format!("/{}", segments.join("/"));
    match segments.iter().any(|segment| segment.starts_with('*')) {
        true => condition.templates.push(path),
        false => condition.paths.push(path),
    }
    true
}

/// A piece of a regular expression in which each character stands for itself.
fn literal(part: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = part.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.push(characters.next().filter(|next| next.is_ascii_punctuation())?),
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' | '~' | '@' | '%' => text.push(character),
            _ => return None,
        }
    }
    Some(text)
}

/// All below the folders that a regular expression surely begins with.
fn wider(condition: &mut Match, text: &str) {
    let text = text.strip_prefix('^').unwrap_or(text);
    let has_choice = has_outer_choice(text);
    let mut prefix = String::new();
    for part in text.split('/').skip(1) {
        match literal(part) {
            Some(segment) if !segment.is_empty() && !has_choice => {
                prefix.push('/');
                prefix.push_str(&segment);
            }
            _ => break,
        }
    }
    // The last one may go on.
    if text.split('/').skip(1).all(|part| literal(part).is_some()) {
        prefix.clear();
    }
    if !prefix.is_empty() {
        condition.prefixes.push(prefix);
    }
}

/// Whether an expression is a choice as a whole, so that it may begin with anything.
fn has_outer_choice(text: &str) -> bool {
    let mut depth = 0_usize;
    text.chars().any(|character| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == '|' && depth == 0
    })
}

/// Whether a segment of a template stands for itself.
fn is_plain(segment: &str) -> bool {
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
