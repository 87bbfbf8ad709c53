//! Paths, whole or by their start.

use std::fmt;

use crate::path::{Ambiguity, MARKS, RequestPath};

/// One path, byte for byte: letter case and a trailing slash count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathExact(Vec<u8>);

impl PathExact {
    /// From a path without a query.
    ///
    /// # Errors
    /// The pattern could never match, because no request gets as far with such a path.
    pub fn parse(pattern: &str) -> Result<Self, PathPatternError> {
        check_path(pattern)?;
        Ok(Self(pattern.as_bytes().to_vec()))
    }

    /// Whether this is the path of the request.
    pub fn matches(&self, path: &RequestPath<'_>) -> bool {
        path.path() == self.0
    }

    /// The path itself: to look one up among many.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A path and all below it, by whole segments: `/admin` matches `/admin`, `/admin/` and `/admin/x`, but not
/// `/administrator`. `/` matches everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPrefix {
    /// Without its last slash; `/` is the empty one.
    prefix: Vec<u8>,
}

impl PathPrefix {
    /// From a path without a query. A trailing slash makes no difference: `/admin/` is `/admin`, as in the
    /// Gateway API. Otherwise the bare `/admin` would fall to a weaker rule.
    ///
    /// # Errors
    /// The pattern could never match, because no request gets as far with such a path.
    pub fn parse(pattern: &str) -> Result<Self, PathPatternError> {
        check_path(pattern)?;
        let prefix = pattern.strip_suffix('/').unwrap_or(pattern);
        Ok(Self {
            prefix: prefix.as_bytes().to_vec(),
        })
    }

    /// Whether it is a prefix of every path.
    pub const fn is_root(&self) -> bool {
        self.prefix.is_empty()
    }

    /// Whether the path of the request is this one or below it.
    pub fn matches(&self, path: &RequestPath<'_>) -> bool {
        // `/` takes what does not even start with a slash (`ambiguous_paths: raw`), lest it fall past the last rule.
        self.is_root()
            || path
                .path()
                .strip_prefix(self.prefix.as_slice())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }

    /// The path without its trailing slash, empty for `/`: to look one up among many.
    pub fn as_bytes(&self) -> &[u8] {
        &self.prefix
    }
}

/// Why a path in a rule was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathPatternError {
    /// It holds a `?`; rules look at what stands before.
    Query,
    /// It is ambiguous, so that a request with such a path is refused before any rule.
    Ambiguous(Ambiguity),
}

impl fmt::Display for PathPatternError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query => {
                formatter.write_str("path holds `?`, but rules match what stands before the query")
            }
            Self::Ambiguous(ambiguity) => ambiguity.fmt(formatter),
        }
    }
}

impl std::error::Error for PathPatternError {}

/// Whether a request could have this path.
pub(super) fn check_path(pattern: &str) -> Result<(), PathPatternError> {
    if pattern.contains('?') {
        return Err(PathPatternError::Query);
    }
    // A mark stands in a rule as it is, so that a request which escapes it can be told.
    let path = RequestPath::raw(pattern.as_bytes())
        .where_marks_count(MARKS)
        .where_marks_count(b"%");
    match path.ambiguity() {
        None => Ok(()),
        Some(ambiguity) => Err(PathPatternError::Ambiguous(ambiguity)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(pattern: &str, target: &str) -> bool {
        let pattern = PathExact::parse(pattern).unwrap();
        pattern.matches(&RequestPath::raw(target.as_bytes()))
    }

    fn prefix(pattern: &str, target: &str) -> bool {
        let pattern = PathPrefix::parse(pattern).unwrap();
        pattern.matches(&RequestPath::raw(target.as_bytes()))
    }

    #[test]
    fn exact_paths() {
        assert!(exact("/card.json", "/card.json"));
        assert!(exact("/card.json", "/card.json?a=/b"));
        assert!(exact("/", "/"));
        assert!(exact("/a%20b", "/a%20b"));
        for target in [
            "/card.json/",
            "/Card.json",
            "/card.jso",
            "/card.json/x",
            "//card.json",
            "/card.json/../admin",
            "/card.json;x",
            "/card.json%3f",
            "card.json",
            "",
            "/",
        ] {
            assert!(!exact("/card.json", target), "{target}");
        }
    }

    #[test]
    fn prefixes_are_whole_segments() {
        for pattern in ["/admin", "/admin/"] {
            for target in [
                "/admin",
                "/admin/",
                "/admin/x",
                "/admin/x/y",
                "/admin?x",
                "/admin//x",
            ] {
                assert!(prefix(pattern, target), "{pattern} {target}");
            }
            for target in [
                "/",
                "/administrator",
                "/admi",
                "/Admin",
                "/x/admin",
                "//admin",
                "/admin.x",
                "admin",
            ] {
                assert!(!prefix(pattern, target), "{pattern} {target}");
            }
        }
    }

    #[test]
    fn the_root_matches_everything() {
        for target in ["/", "/x", "//x", "/?x", "*", "", "x"] {
            assert!(prefix("/", target), "{target}");
        }
    }

    #[test]
    fn refused_patterns() {
        for (pattern, expected) in [
            ("", PathPatternError::Ambiguous(Ambiguity::NoLeadingSlash)),
            ("admin", PathPatternError::Ambiguous(Ambiguity::NoLeadingSlash)),
            ("/a?b", PathPatternError::Query),
            ("/a//", PathPatternError::Ambiguous(Ambiguity::EmptySegment)),
            ("/a/../b", PathPatternError::Ambiguous(Ambiguity::DotSegment)),
            (
                "/caf\u{e9}",
                PathPatternError::Ambiguous(Ambiguity::ForbiddenByte { byte: 0xc3 }),
            ),
        ] {
            assert_eq!(PathExact::parse(pattern), Err(expected));
            assert_eq!(PathPrefix::parse(pattern), Err(expected));
        }
        assert_eq!(
            PathExact::parse("admin").unwrap_err().to_string(),
            "path does not start with `/`"
        );
    }
}
