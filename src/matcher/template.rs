//! Path templates: the subset of Envoy's `uri_template` that needs no look ahead.
//!
//! What a variable holds is not extracted.

use std::fmt;

use super::path::{PathPatternError, check_path};
use crate::path::RequestPath;

/// A path in which some segments are free.
///
/// | in the template | matches |
/// |---|---|
/// | `*`, `{name}`, `{name=*}` | one segment, which is not empty |
/// | the same with `:verb` after it | one segment that ends in `:verb` and has something before it |
/// | `**`, `{name=**}`, at the end only | the rest, which may be empty or hold slashes: `/v1/**` matches `/v1/` and `/v1/a/b`, but not `/v1` |
/// | anything else | itself, byte for byte |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplate {
    segments: Vec<TemplateSegment>,
    is_open: bool,
}

impl PathTemplate {
    /// From a path without a query.
    ///
    /// # Errors
    /// [`PathTemplateError`].
    pub fn parse(template: &str) -> Result<Self, PathTemplateError> {
        // With letters in place of the variables, it must be a path that a request can have.
        let sample: String = template
            .chars()
            .map(|character| {
                if "{}*=".contains(character) {
                    'x'
                } else {
                    character
                }
            })
            .collect();
        check_path(&sample).map_err(PathTemplateError::Path)?;

        let mut names: Vec<&str> = Vec::new();
        let mut parsed = Self {
            segments: Vec::new(),
            is_open: false,
        };
        for text in template.split('/').skip(1) {
            if parsed.is_open {
                return Err(PathTemplateError::RestNotLast);
            }
            let (variable, part) = parse_segment(text)?;
            if let Some(name) = variable {
                if names.contains(&name) {
                    return Err(PathTemplateError::RepeatedVariable {
                        name: name.to_owned(),
                    });
                }
                names.push(name);
            }
            match part {
                Part::Segment(segment) => parsed.segments.push(segment),
                Part::Rest => parsed.is_open = true,
            }
        }
        Ok(parsed)
    }

    /// The parts that are not free.
    pub fn literals(&self) -> impl Iterator<Item = &[u8]> {
        self.segments.iter().map(|segment| match segment {
            TemplateSegment::Literal(text) | TemplateSegment::Any { suffix: text } => text.as_slice(),
        })
    }

    /// The segments before the first one that is free: all that it matches begins with them.
    pub fn first_literals(&self) -> impl Iterator<Item = &[u8]> {
        self.segments.iter().map_while(|segment| match segment {
            TemplateSegment::Literal(text) => Some(text.as_slice()),
            TemplateSegment::Any { .. } => None,
        })
    }

    /// Whether the path of the request has this form. Linear in its length.
    pub fn matches(&self, path: &RequestPath<'_>) -> bool {
        let Some(path) = path.path().strip_prefix(b"/") else {
            return false;
        };
        let mut segments = path.split(|byte| *byte == b'/');
        for expected in &self.segments {
            if !segments.next().is_some_and(|segment| expected.matches(segment)) {
                return false;
            }
        }
        segments.next().is_some() == self.is_open
    }

    /// The segments, without the rest: to compare one template with another.
    pub fn segments(&self) -> &[TemplateSegment] {
        &self.segments
    }

    /// Whether the rest of the path is free (`**`).
    pub const fn is_open(&self) -> bool {
        self.is_open
    }
}

/// Why a template was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathTemplateError {
    /// It is no path.
    Path(PathPatternError),
    /// A segment mixes text with a variable, or a brace has no other one.
    Segment {
        /// The segment.
        segment: String,
    },
    /// A variable's name is empty, starts with a digit, or holds something else than letters, digits and `_`.
    VariableName {
        /// The name.
        name: String,
    },
    /// Two variables have one name.
    RepeatedVariable {
        /// The name.
        name: String,
    },
    /// `**` is not at the end.
    RestNotLast,
}

impl fmt::Display for PathTemplateError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(error) => error.fmt(formatter),
            Self::Segment { segment } => write!(
                formatter,
                "segment `{segment}` is neither plain text nor one of `*`, `**`, `{{name}}`, `{{name=*}}`, `{{name=**}}`"
            ),
            Self::VariableName { name } => write!(
                formatter,
                "variable `{name}` must start with a letter or underscore, followed by letters, digits or underscores"
            ),
            Self::RepeatedVariable { name } => write!(formatter, "variable `{name}` occurs twice"),
            Self::RestNotLast => formatter.write_str("`**` is not at the end"),
        }
    }
}

impl std::error::Error for PathTemplateError {}

/// One segment of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateSegment {
    /// This, byte for byte.
    Literal(Vec<u8>),
    /// Anything that is not empty, then this.
    Any {
        /// What it ends in, which may be nothing.
        suffix: Vec<u8>,
    },
}

impl TemplateSegment {
    /// Whether a segment of a path is of this form.
    pub fn matches(&self, segment: &[u8]) -> bool {
        match self {
            Self::Literal(literal) => segment == literal,
            Self::Any { suffix } => segment
                .strip_suffix(suffix.as_slice())
                .is_some_and(|free| !free.is_empty()),
        }
    }
}

enum Part {
    Segment(TemplateSegment),
    Rest,
}

/// A segment, and the variable in it.
fn parse_segment(text: &str) -> Result<(Option<&str>, Part), PathTemplateError> {
    let malformed = || PathTemplateError::Segment {
        segment: text.to_owned(),
    };
    let (variable, glob, suffix) = if let Some(opened) = text.strip_prefix('{') {
        let (inner, suffix) = opened.split_once('}').ok_or_else(malformed)?;
        let (name, glob) = inner.split_once('=').unwrap_or((inner, "*"));
        check_name(name)?;
        (Some(name), glob, suffix)
    } else if let Some(suffix) = text.strip_prefix("**") {
        (None, "**", suffix)
    } else if let Some(suffix) = text.strip_prefix('*') {
        (None, "*", suffix)
    } else if text.contains(['{', '}', '*']) {
        return Err(malformed());
    } else {
        return Ok((None, Part::Segment(TemplateSegment::Literal(text.into()))));
    };
    let is_verb = suffix.len() > 1 && suffix.starts_with(':') && !suffix.contains(['{', '}', '*']);
    match (glob, suffix) {
        ("**", "") => Ok((variable, Part::Rest)),
        ("*", suffix) if suffix.is_empty() || is_verb => {
            let suffix = suffix.into();
            Ok((variable, Part::Segment(TemplateSegment::Any { suffix })))
        }
        _ => Err(malformed()),
    }
}

fn check_name(name: &str) -> Result<(), PathTemplateError> {
    let starts = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    match name.as_bytes().split_first() {
        Some((first, rest))
            if starts(first) && rest.iter().all(|byte| starts(byte) || byte.is_ascii_digit()) =>
        {
            Ok(())
        }
        _ => Err(PathTemplateError::VariableName {
            name: name.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Ambiguity;

    fn matching<'a>(template: &str, targets: &[&'a str]) -> Vec<&'a str> {
        let template = PathTemplate::parse(template).unwrap();
        let matches = |target: &&&str| template.matches(&RequestPath::raw(target.as_bytes()));
        targets.iter().filter(matches).copied().collect()
    }

    #[test]
    fn one_segment() {
        let targets = [
            "/v1/a/x",
            "/v1/a%20b/x",
            "/v1/a/x?q",
            "/v1//x",
            "/v1/a/b/x",
            "/v1/a/x/",
            "/v1/a",
            "/v1/a/X",
            "/x/v1/a/x",
            "v1/a/x",
            "/v1/{id}/x",
        ];
        let expected = ["/v1/a/x", "/v1/a%20b/x", "/v1/a/x?q", "/v1/{id}/x"];
        for template in ["/v1/{id}/x", "/v1/*/x", "/v1/{id=*}/x"] {
            assert_eq!(matching(template, &targets), expected);
        }
        assert_eq!(
            matching("/{a}/{b}", &["/", "/a", "/a/", "/a/b", "/a/b/"]),
            ["/a/b"]
        );
        assert_eq!(matching("/{a}/", &["/a", "/a/", "//"]), ["/a/"]);
        assert_eq!(matching("/", &["/", "", "/a"]), ["/"]);
    }

    #[test]
    fn verbs_of_a2a() {
        let targets = [
            "/tasks/7:cancel",
            "/tasks/:cancel",
            "/tasks/7",
            "/tasks/7:cancel:cancel",
            "/tasks/7:cancelled",
            "/tasks/7/x:cancel",
        ];
        let expected = ["/tasks/7:cancel", "/tasks/7:cancel:cancel"];
        assert_eq!(matching("/tasks/{id}:cancel", &targets), expected);
        assert_eq!(matching("/tasks/*:cancel", &targets), expected);
        assert_eq!(
            matching("/message:send", &["/message:send", "/message"]),
            ["/message:send"]
        );
    }

    #[test]
    fn the_rest() {
        let targets = ["/v1", "/v1/", "/v1/a", "/v1/a/b/", "/v2/a", "/"];
        for template in ["/v1/**", "/v1/{rest=**}"] {
            assert_eq!(matching(template, &targets), ["/v1/", "/v1/a", "/v1/a/b/"]);
        }
        assert_eq!(
            matching("/{v}/**", &["/v1", "/v1/", "//a", "/v2/a/b"]),
            ["/v1/", "/v2/a/b"]
        );
        assert_eq!(matching("/**", &["/", "/a/b", "*", ""]), ["/", "/a/b"]);
    }

    #[test]
    fn refused_templates() {
        let segment = |segment: &str| PathTemplateError::Segment {
            segment: segment.to_owned(),
        };
        let name = |name: &str| PathTemplateError::VariableName {
            name: name.to_owned(),
        };
        let path = |ambiguity| PathTemplateError::Path(PathPatternError::Ambiguous(ambiguity));
        for (template, expected) in [
            ("", path(Ambiguity::NoLeadingSlash)),
            ("{a}/b", path(Ambiguity::NoLeadingSlash)),
            ("/a//{b}", path(Ambiguity::EmptySegment)),
            ("/{a}/../b", path(Ambiguity::DotSegment)),
            ("/{a}?b", PathTemplateError::Path(PathPatternError::Query)),
            ("/{a", segment("{a")),
            ("/a}", segment("a}")),
            ("/a{b}", segment("a{b}")),
            ("/{a}b", segment("{a}b")),
            ("/{a}{b}", segment("{a}{b}")),
            ("/{a}:", segment("{a}:")),
            ("/a*", segment("a*")),
            ("/***", segment("***")),
            ("/**:x", segment("**:x")),
            ("/{a=b}", segment("{a=b}")),
            ("/{a=}", segment("{a=}")),
            ("/{}", name("")),
            ("/{=**}", name("")),
            ("/{1a}", name("1a")),
            ("/{a-b}", name("a-b")),
            (
                "/{a}/{a}",
                PathTemplateError::RepeatedVariable { name: "a".to_owned() },
            ),
            ("/**/a", PathTemplateError::RestNotLast),
            ("/{a=**}/", PathTemplateError::RestNotLast),
        ] {
            assert_eq!(PathTemplate::parse(template), Err(expected), "{template}");
        }
        assert_eq!(
            PathTemplate::parse("/a*").unwrap_err().to_string(),
            "segment `a*` is neither plain text nor one of `*`, `**`, `{name}`, `{name=*}`, `{name=**}`"
        );
    }
}
