//! Paths, prefixes and templates in one form, in which one can be shown to cover another.

use crate::advice::entry::{as_text, entries};
use crate::config::Document;
use crate::matcher::TemplateSegment;
use crate::policy::rule::Condition;

/// A path, prefix or template of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// As it was written.
    pub(super) text: String,
    /// Where it stands: the member of `match`, and its index there.
    pub(super) place: (&'static str, usize),
    segments: Vec<TemplateSegment>,
    tail: Tail,
}

/// What may follow the segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// Nothing.
    End,
    /// Nothing, or further segments: a prefix.
    Below,
    /// At least one more segment, which may be empty: `**`.
    Rest,
}

impl Pattern {
    /// All of a rule's, which the document holds in the same order.
    pub(super) fn all(condition: &Condition, rule: &Document) -> Vec<Self> {
        let literals = |path: &[u8]| match path.strip_prefix(b"/") {
            Some(path) => path
                .split(|byte| *byte == b'/')
                .map(|segment| TemplateSegment::Literal(segment.to_vec()))
                .collect(),
            // The prefix `/`.
            None => Vec::new(),
        };
        let paths = condition
            .paths
            .iter()
            .map(|path| (literals(path.as_bytes()), Tail::End));
        let prefixes = condition
            .path_prefixes
            .iter()
            .map(|prefix| (literals(prefix.as_bytes()), Tail::Below));
        let templates = condition.path_templates.iter().map(|template| {
            let tail = if template.is_open() { Tail::Rest } else { Tail::End };
            (template.segments().to_vec(), tail)
        });
        let written = |member: &'static str| {
            let texts = entries(rule.member("match"), member).iter().enumerate();
            texts.filter_map(move |(index, text)| Some((as_text(text)?, (member, index))))
        };
        let places = written("paths")
            .chain(written("path_prefixes"))
            .chain(written("path_templates"));
        paths
            .chain(prefixes)
            .chain(templates)
            .zip(places)
            .map(|((segments, tail), (text, place))| Self {
                text: text.to_owned(),
                place,
                segments,
                tail,
            })
            .collect()
    }

    /// Whether every path that matches the other one matches this one.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let mut pairs = self.segments.iter().zip(&other.segments);
        // A free segment of the other one is covered by none of this one's: it may be empty.
        other.segments.len() >= self.segments.len()
            && pairs.all(|(own, other)| segment_covers(own, other))
            && match self.tail {
                Tail::End => other.tail == Tail::End && other.segments.len() == self.segments.len(),
                Tail::Below | Tail::Rest => other.least_segments() >= self.least_segments(),
            }
    }

    /// Paths that match, of each kind that there is.
    pub(super) fn samples(&self) -> Vec<String> {
        let path = self.path();
        match self.tail {
            Tail::End => vec![path],
            Tail::Below if path.is_empty() => vec!["/".into(), format!("/{FREE}")],
            Tail::Below => vec![path.clone(), format!("{path}/{FREE}")],
            Tail::Rest => vec![format!("{path}/{FREE}")],
        }
    }

    /// What servers with lenient routers take for a path that matches, and does not match by itself: with another slash
    /// at the end, or without it. As a path that a request may have, and as the pattern is written.
    pub(super) fn sibling(&self) -> Option<(String, String)> {
        let without_rest = || self.text.rsplit_once('/').map(|(start, _)| start);
        let written = match (self.tail, self.text.strip_suffix('/')) {
            (Tail::Below, _) => return None,
            (Tail::End, Some(shorter)) => shorter.to_owned(),
            (Tail::End, None) => format!("{}/", self.text),
            (Tail::Rest, _) => without_rest()?.to_owned(),
        };
        let path = self.path();
        let path = match (self.tail, path.strip_suffix('/')) {
            (Tail::End, Some(shorter)) => shorter.to_owned(),
            (Tail::End, None) => format!("{path}/"),
            (Tail::Below | Tail::Rest, _) => path,
        };
        (!path.is_empty()).then_some((path, written))
    }

    /// A path below one that matches, where the pattern ends with a `*` that reads like everything below.
    pub(super) fn below(&self) -> Option<String> {
        let is_template = self.place.0 == "path_templates";
        let is_meant = is_template && self.tail == Tail::End && self.text.ends_with("/*");
        is_meant.then(|| format!("{}/{FREE}", self.path()))
    }

    /// The fewest segments of a path that matches.
    fn least_segments(&self) -> usize {
        self.segments.len() + usize::from(self.tail == Tail::Rest)
    }

    /// A path of the segments alone.
    fn path(&self) -> String {
        self.segments
            .iter()
            .map(|segment| match segment {
                TemplateSegment::Literal(literal) => format!("/{}", String::from_utf8_lossy(literal)),
                TemplateSegment::Any { suffix } => format!("/{FREE}{}", String::from_utf8_lossy(suffix)),
            })
            .collect()
    }
}

/// Whether each pattern of one list is covered by one of another. Two that cover a third one together are not seen.
pub(super) fn all_covered(by: &[Pattern], patterns: &[Pattern]) -> bool {
    patterns
        .iter()
        .all(|pattern| by.iter().any(|other| other.covers(pattern)))
}

fn segment_covers(own: &TemplateSegment, other: &TemplateSegment) -> bool {
    match (own, other) {
        (TemplateSegment::Literal(own), TemplateSegment::Literal(other)) => own == other,
        (TemplateSegment::Literal(_), TemplateSegment::Any { .. }) => false,
        (TemplateSegment::Any { suffix }, TemplateSegment::Literal(other)) => other
            .strip_suffix(suffix.as_slice())
            .is_some_and(|free| !free.is_empty()),
        // What is free in the other one is not empty, and stands before its suffix.
        (TemplateSegment::Any { suffix }, TemplateSegment::Any { suffix: other }) => other.ends_with(suffix),
    }
}

/// What stands for a free segment. A rule that names it is a rule of nobody.
const FREE: &str = "peergate-sample";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matcher::{PathExact, PathPrefix, PathTemplate};
    use crate::path::RequestPath;

    /// A path, a prefix (`/admin/…`) or a template, told apart by how they are written here.
    fn pattern(text: &str) -> Pattern {
        let mut condition = Condition::default();
        let (member, text) = if let Some(prefix) = text.strip_suffix('…') {
            condition.path_prefixes.push(PathPrefix::parse(prefix).unwrap());
            ("path_prefixes", prefix)
        } else if text.contains(['*', '{']) {
            condition.path_templates.push(PathTemplate::parse(text).unwrap());
            ("path_templates", text)
        } else {
            condition.paths.push(PathExact::parse(text).unwrap());
            ("paths", text)
        };
        let rule = format!(r#"{{"match": {{"{member}": ["{text}"]}}}}"#);
        let rule = Document::from_json(rule.as_bytes()).unwrap();
        Pattern::all(&condition, &rule).remove(0)
    }

    const ALL: [&str; 19] = [
        "/",
        "/…",
        "/a",
        "/a/",
        "/a…",
        "/a/b",
        "/a/b…",
        "/a/b/c",
        "/a/b:x",
        "/a/{b}",
        "/a/{b}/",
        "/{a}/b",
        "/{a}/{b}",
        "/a/{b}:x",
        "/a/{b}:y:x",
        "/a/**",
        "/{a}/**",
        "/a/{b}/**",
        "/**",
    ];

    #[test]
    fn what_covers_what() {
        let covered = |by: &str| -> Vec<&str> {
            let by = pattern(by);
            ALL.into_iter()
                .filter(|other| by.covers(&pattern(other)))
                .collect()
        };
        assert_eq!(covered("/…"), ALL);
        assert_eq!(covered("/"), ["/"]);
        assert_eq!(covered("/a"), ["/a"]);
        assert_eq!(
            covered("/a…"),
            [
                "/a",
                "/a/",
                "/a…",
                "/a/b",
                "/a/b…",
                "/a/b/c",
                "/a/b:x",
                "/a/{b}",
                "/a/{b}/",
                "/a/{b}:x",
                "/a/{b}:y:x",
                "/a/**",
                "/a/{b}/**"
            ]
        );
        assert_eq!(covered("/a/b…"), ["/a/b", "/a/b…", "/a/b/c"]);
        assert_eq!(
            covered("/a/{b}"),
            ["/a/b", "/a/b:x", "/a/{b}", "/a/{b}:x", "/a/{b}:y:x"]
        );
        assert_eq!(
            covered("/a/{b}:x"),
            ["/a/b:x", "/a/{b}:x", "/a/{b}:y:x"].map(|path| path)
        );
        assert_eq!(covered("/{a}/b"), ["/a/b", "/{a}/b"]);
        assert_eq!(covered("/a/{b}/**"), ["/a/b/c", "/a/{b}/", "/a/{b}/**"]);
        // Not `/a`, and so not the prefix either.
        assert!(!covered("/a/**").contains(&"/a…"));
        assert!(covered("/a/**").contains(&"/a/b…"));
        // Not what does not begin with a slash, which `/` takes in raw mode.
        assert!(!covered("/**").contains(&"/…"));
    }

    #[test]
    fn what_is_covered_matches() {
        for by in ALL.map(pattern) {
            for other in ALL.map(pattern).iter().filter(|other| by.covers(other)) {
                for sample in other.samples() {
                    assert!(matches(&by, &sample), "{} {} {sample}", by.text, other.text);
                }
            }
        }
    }

    #[test]
    fn samples_match_and_siblings_do_not() {
        for text in ALL {
            let pattern = pattern(text);
            for sample in pattern.samples() {
                assert!(matches(&pattern, &sample), "{text} {sample}");
            }
            if let Some((path, _)) = pattern.sibling() {
                assert!(!matches(&pattern, &path), "{text} {path}");
                assert_eq!(RequestPath::raw(path.as_bytes()).ambiguity(), None, "{path}");
            }
        }
        let sibling = |text| pattern(text).sibling();
        let both = |path: &str, text: &str| Some((path.to_owned(), text.to_owned()));
        assert_eq!(sibling("/a"), both("/a/", "/a/"));
        assert_eq!(sibling("/a/"), both("/a", "/a"));
        assert_eq!(sibling("/a/{b}"), both("/a/peergate-sample/", "/a/{b}/"));
        assert_eq!(sibling("/a/**"), both("/a", "/a"));
        for without in ["/", "/…", "/a…", "/**"] {
            assert_eq!(sibling(without), None, "{without}");
        }
        assert_eq!(
            pattern("/a/*").below().as_deref(),
            Some("/a/peergate-sample/peergate-sample")
        );
        for without in ["/a", "/a…", "/a/{b}", "/a/**", "/*/a"] {
            assert_eq!(pattern(without).below(), None, "{without}");
        }
    }

    /// Asks the matchers themselves.
    fn matches(pattern: &Pattern, path: &str) -> bool {
        let path = RequestPath::raw(path.as_bytes());
        match pattern.place.0 {
            "paths" => PathExact::parse(&pattern.text).unwrap().matches(&path),
            "path_prefixes" => PathPrefix::parse(&pattern.text).unwrap().matches(&path),
            _ => PathTemplate::parse(&pattern.text).unwrap().matches(&path),
        }
    }
}
