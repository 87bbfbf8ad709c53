//! What rules match by: host, path, method, header. Each is a type that exists only if its text makes sense.

use std::fmt;

use crate::authority::{AuthorityError, Host, HostName};
use crate::http::Headers;
use crate::path::{Ambiguity, RequestPath};

/// A host, exact or, as `*.example.com`, every host below a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostMatch {
    /// This host.
    Exact(HostName),
    /// Every host below this domain, not itself: the text begins with the dot.
    Below(String),
}

impl HostMatch {
    /// From `a.example` or `*.example`.
    ///
    /// # Errors
    /// [`AuthorityError`] if it is neither.
    pub fn parse(text: &str) -> Result<Self, AuthorityError> {
        match text.strip_prefix("*.") {
            Some(domain) => Ok(Self::Below(format!(".{}", HostName::parse(domain)?.as_str()))),
            None => HostName::parse(text).map(Self::Exact),
        }
    }

    /// Whether a request is for this host.
    pub fn matches(&self, host: &Host) -> bool {
        match self {
            Self::Exact(name) => name.is(host),
            Self::Below(suffix) => host
                .name()
                .strip_suffix(suffix.as_str())
                .is_some_and(|below| !below.is_empty()),
        }
    }
}

/// An exact path, byte by byte: case and a slash at the end count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathExact(Vec<u8>);

impl PathExact {
    /// From a path without a query.
    ///
    /// # Errors
    /// [`PathPatternError`] if no request can have it.
    pub fn parse(text: &str) -> Result<Self, PathPatternError> {
        plain_path(text).map(|path| Self(path.to_vec()))
    }

    /// Whether the path is this one.
    pub fn matches(&self, path: &RequestPath<'_>) -> bool {
        self.0 == path.path()
    }
}

/// A prefix of whole segments: `/admin` is a prefix of `/admin` and `/admin/x`, not of `/administrator`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPrefix(Vec<u8>);

impl PathPrefix {
    /// From a path without a query; a slash at its end changes nothing.
    ///
    /// # Errors
    /// [`PathPatternError`] if no request can begin with it.
    pub fn parse(text: &str) -> Result<Self, PathPatternError> {
        let path = plain_path(text)?;
        Ok(Self(path.strip_suffix(b"/").unwrap_or(path).to_vec()))
    }

    /// Whether it is a prefix of every path.
    pub const fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the path is this one or below it.
    pub fn matches(&self, path: &RequestPath<'_>) -> bool {
        path.path()
            .strip_prefix(self.0.as_slice())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }
}

/// A path with places for any one segment, as `/tasks/{id}/status`; `**` at the end stands for any number of them,
/// as in Envoy's URI templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplate {
    segments: Vec<Segment>,
    has_tail: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(Vec<u8>),
    Any,
}

impl PathTemplate {
    /// From a template: segments are text, `{name}`, `*`, or at the end `**`.
    ///
    /// # Errors
    /// [`PathPatternError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, PathPatternError> {
        let text = text
            .strip_prefix('/')
            .ok_or(PathPatternError::Ambiguous(Ambiguity::NotAbsolute))?;
        let (text, has_tail) = match text.strip_suffix("**") {
            Some("") => {
                return Ok(Self {
                    segments: Vec::new(),
                    has_tail: true,
                });
            }
            Some(rest) => (rest.strip_suffix('/').ok_or(PathPatternError::Template)?, true),
            None => (text, false),
        };
        let segments = text.split('/').map(segment).collect::<Result<_, _>>()?;
        Ok(Self { segments, has_tail })
    }

    /// Whether the path fits. A place holds one segment that is not empty.
    pub fn matches(&self, path: &RequestPath<'_>) -> bool {
        let Some(path) = path.path().strip_prefix(b"/") else {
            return false;
        };
        let mut given = path.split(|byte| *byte == b'/');
        let fits = self.segments.iter().all(|segment| match (segment, given.next()) {
            (Segment::Literal(literal), Some(given)) => literal == given,
            (Segment::Any, Some(given)) => !given.is_empty(),
            (_, None) => false,
        });
        fits && (self.has_tail || given.next().is_none())
    }
}

fn segment(text: &str) -> Result<Segment, PathPatternError> {
    if text == "*" {
        return Ok(Segment::Any);
    }
    if let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let is_name = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        return is_name.then_some(Segment::Any).ok_or(PathPatternError::Template);
    }
    if text.contains(['{', '}', '*']) {
        return Err(PathPatternError::Template);
    }
    plain_path(&format!("/{text}")).map(|_| Segment::Literal(text.as_bytes().to_vec()))
}

/// Why a path cannot stand in a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathPatternError {
    /// A query: rules match the path before it.
    Query,
    /// Requests with such a path are refused before any rule.
    Ambiguous(Ambiguity),
    /// A segment that is neither text nor a place for one.
    Template,
}

impl fmt::Display for PathPatternError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query => formatter.write_str("holds a query; rules match the path before it"),
            Self::Ambiguous(ambiguity) => write!(formatter, "can never match: {ambiguity}"),
            Self::Template => formatter
                .write_str("has a segment that is neither text nor `{name}` nor `*`, nor `**` at the end"),
        }
    }
}

fn plain_path(text: &str) -> Result<&[u8], PathPatternError> {
    let path = RequestPath::parse(text.as_bytes()).map_err(PathPatternError::Ambiguous)?;
    match path.query() {
        Some(_) => Err(PathPatternError::Query),
        None => Ok(path.path()),
    }
}

/// A method, exact: methods have a case (RFC 9110 §9.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodMatch(Vec<u8>);

impl MethodMatch {
    /// From a method in capitals, as `GET`; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let is_method =
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
        is_method.then(|| Self(text.as_bytes().to_vec()))
    }

    /// Whether it is this method.
    pub fn matches(&self, method: &[u8]) -> bool {
        self.0 == method
    }
}

/// A header with one value; a header that comes more than once matches nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderMatch {
    name: Vec<u8>,
    value: Vec<u8>,
}

impl HeaderMatch {
    /// From a name, which must be in lower case, and a value.
    pub fn new(name: &str, value: &str) -> Self {
        Self {
            name: name.as_bytes().to_vec(),
            value: value.as_bytes().to_vec(),
        }
    }

    /// Whether the request has the header once, with this value.
    pub fn matches(&self, headers: &Headers) -> bool {
        headers.single(&self.name) == Ok(Some(&self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching<'a>(matches: impl Fn(&RequestPath<'_>) -> bool, paths: &[&'a str]) -> Vec<&'a str> {
        paths
            .iter()
            .copied()
            .filter(|path| matches(&RequestPath::raw(path.as_bytes())))
            .collect()
    }

    #[test]
    fn hosts() {
        let host = |name: &str| Host::parse(name.as_bytes()).unwrap();
        let exact = HostMatch::parse("A.example:80").unwrap();
        assert!(exact.matches(&host("a.EXAMPLE")) && !exact.matches(&host("b.a.example")));
        let below = HostMatch::parse("*.example").unwrap();
        assert!(
            below.matches(&host("b.a.example"))
                && !below.matches(&host("example"))
                && !below.matches(&host("badexample"))
        );
        assert_eq!(HostMatch::parse("a.*.example"), Err(AuthorityError::Character));
    }

    #[test]
    fn exact_paths_and_prefixes() {
        let paths = [
            "/admin",
            "/admin/",
            "/admin/x",
            "/administrator",
            "/Admin",
            "/admin?x",
            "/",
        ];
        let exact = PathExact::parse("/admin").unwrap();
        assert_eq!(
            matching(|path| exact.matches(path), &paths),
            ["/admin", "/admin?x"]
        );
        for prefix in ["/admin", "/admin/"] {
            let prefix = PathPrefix::parse(prefix).unwrap();
            assert_eq!(
                matching(|path| prefix.matches(path), &paths),
                ["/admin", "/admin/", "/admin/x", "/admin?x"]
            );
        }
        let root = PathPrefix::parse("/").unwrap();
        assert!(root.is_root());
        assert_eq!(matching(|path| root.matches(path), &paths), paths);
    }

    #[test]
    fn templates() {
        let paths = [
            "/tasks/1/status",
            "/tasks//status",
            "/tasks/1",
            "/tasks/1/status/x",
            "/tasks",
        ];
        let template = |text: &str| PathTemplate::parse(text).unwrap();
        assert_eq!(
            matching(|path| template("/tasks/{id}/status").matches(path), &paths),
            ["/tasks/1/status"]
        );
        assert_eq!(
            matching(|path| template("/tasks/*").matches(path), &paths),
            ["/tasks/1"]
        );
        assert_eq!(
            matching(|path| template("/tasks/{id}/**").matches(path), &paths),
            ["/tasks/1/status", "/tasks/1", "/tasks/1/status/x"]
        );
        assert_eq!(matching(|path| template("/**").matches(path), &paths), paths);
    }

    #[test]
    fn what_can_never_match_is_an_error() {
        assert_eq!(PathExact::parse("/a?b"), Err(PathPatternError::Query));
        assert_eq!(
            PathPrefix::parse("admin"),
            Err(PathPatternError::Ambiguous(Ambiguity::NotAbsolute))
        );
        assert_eq!(
            PathPrefix::parse("/a//b"),
            Err(PathPatternError::Ambiguous(Ambiguity::EmptySegment))
        );
        assert_eq!(
            PathTemplate::parse("a"),
            Err(PathPatternError::Ambiguous(Ambiguity::NotAbsolute))
        );
        assert_eq!(PathTemplate::parse("/a{b}"), Err(PathPatternError::Template));
        assert_eq!(PathTemplate::parse("/{}"), Err(PathPatternError::Template));
        assert_eq!(PathTemplate::parse("/**/a"), Err(PathPatternError::Template));
        assert_eq!(PathTemplate::parse("/a**"), Err(PathPatternError::Template));
        assert_eq!(MethodMatch::parse("get"), None);
    }

    #[test]
    fn headers() {
        let matcher = HeaderMatch::new("x-a", "1");
        let headers = |values: &[&str]| {
            Headers::new(
                values
                    .iter()
                    .map(|value| (b"X-A".to_vec(), value.as_bytes().to_vec())),
            )
        };
        assert!(matcher.matches(&headers(&["1"])));
        assert!(
            !matcher.matches(&headers(&["1", "1"]))
                && !matcher.matches(&headers(&["2"]))
                && !matcher.matches(&headers(&[]))
        );
    }
}
