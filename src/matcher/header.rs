//! Headers.

use std::fmt;

use crate::http::Headers;

/// A header by its name and what its value must be.
///
/// Any client can send any header: such a match tells kinds of requests apart, and is no proof of who sends them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderMatch {
    /// In lower case.
    name: Vec<u8>,
    test: HeaderTest,
}

/// What a header must be. Values are compared byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderTest {
    /// There, with any value, or absent.
    Present(bool),
    /// This value.
    Exact(String),
    /// A value that starts like this.
    Prefix(String),
    /// A value that ends like this.
    Suffix(String),
}

impl HeaderMatch {
    /// From a header's name in any letter case, and a test.
    ///
    /// # Errors
    /// The name is no header's, is a pseudo-header's, or the test is one that every value passes.
    pub fn parse(name: &str, test: HeaderTest) -> Result<Self, HeaderMatchError> {
        if name.starts_with(':') {
            return Err(HeaderMatchError::PseudoHeader {
                name: name.to_owned(),
            });
        }
        // RFC 9110 §5.6.2.
        let is_token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            return Err(HeaderMatchError::Name {
                name: name.to_owned(),
            });
        }
        if let HeaderTest::Prefix(part) | HeaderTest::Suffix(part) = &test
            && part.is_empty()
        {
            return Err(HeaderMatchError::MatchesAll);
        }
        Ok(Self {
            name: name.to_ascii_lowercase().into_bytes(),
            test,
        })
    }

    /// The name of the header, in lower case.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// What its value must be: to compare one match with another.
    pub const fn test(&self) -> &HeaderTest {
        &self.test
    }

    /// Whether the request has such a header. If it stands more than once, every value must pass the test: which
    /// of them a server takes is not known here.
    pub fn matches(&self, headers: &Headers) -> bool {
        let mut values = headers.all(&self.name).peekable();
        let is_present = values.peek().is_some();
        match &self.test {
            HeaderTest::Present(expected) => is_present == *expected,
            HeaderTest::Exact(exact) => is_present && values.all(|value| value == exact.as_bytes()),
            HeaderTest::Prefix(prefix) => {
                is_present && values.all(|value| value.starts_with(prefix.as_bytes()))
            }
            HeaderTest::Suffix(suffix) => {
                is_present && values.all(|value| value.ends_with(suffix.as_bytes()))
            }
        }
    }
}

/// Why a header match was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderMatchError {
    /// The name is no token.
    Name {
        /// The name as it was given.
        name: String,
    },
    /// Hosts, paths and methods have matchers of their own, which cannot be got round.
    PseudoHeader {
        /// The name as it was given.
        name: String,
    },
    /// An empty prefix or suffix: what is meant is `present`.
    MatchesAll,
}

impl fmt::Display for HeaderMatchError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { name } => write!(formatter, "`{name}` is no header name"),
            Self::PseudoHeader { name } => write!(
                formatter,
                "`{name}` is a pseudo-header, use hosts, paths or methods instead"
            ),
            Self::MatchesAll => {
                formatter.write_str("an empty prefix or suffix matches every value, use present instead")
            }
        }
    }
}

impl std::error::Error for HeaderMatchError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(test: HeaderTest, values: &[&[u8]]) -> bool {
        let headers = values
            .iter()
            .map(|value| (b"X-Kind".to_vec(), value.to_vec()))
            .chain([(b"x-other".to_vec(), b"agent".to_vec())]);
        HeaderMatch::parse("x-KIND", test)
            .unwrap()
            .matches(&Headers::new(headers))
    }

    #[test]
    fn present() {
        assert!(matches(HeaderTest::Present(true), &[b""]));
        assert!(!matches(HeaderTest::Present(true), &[]));
        assert!(matches(HeaderTest::Present(false), &[]));
        assert!(!matches(HeaderTest::Present(false), &[b"", b"a"]));
    }

    #[test]
    fn values() {
        let exact = || HeaderTest::Exact("agent".to_owned());
        let prefix = || HeaderTest::Prefix("age".to_owned());
        let suffix = || HeaderTest::Suffix("ent".to_owned());
        for test in [exact(), prefix(), suffix()] {
            assert!(matches(test.clone(), &[b"agent"]));
            assert!(matches(test.clone(), &[b"agent", b"agent"]));
            assert!(!matches(test.clone(), &[b"agent", b"other"]));
            assert!(!matches(test.clone(), &[b"other", b"agent"]));
            assert!(!matches(test.clone(), &[b"Agent", b"AGENT"]));
            assert!(!matches(test.clone(), &[]));
            assert!(!matches(test, &[b"\xff"]));
        }
        assert!(!matches(exact(), &[b"agents"]));
        assert!(matches(prefix(), &[b"age\xff"]));
        assert!(matches(suffix(), &[b"\xffent"]));
        assert!(matches(HeaderTest::Exact(String::new()), &[b""]));
    }

    #[test]
    fn refused_matches() {
        let name = |name: &str| HeaderMatchError::Name {
            name: name.to_owned(),
        };
        for (header, test, expected) in [
            ("", HeaderTest::Present(true), name("")),
            ("a b", HeaderTest::Present(true), name("a b")),
            ("a:", HeaderTest::Present(true), name("a:")),
            ("x-\u{e9}", HeaderTest::Present(true), name("x-\u{e9}")),
            (
                ":path",
                HeaderTest::Present(true),
                HeaderMatchError::PseudoHeader {
                    name: ":path".to_owned(),
                },
            ),
            (
                "a",
                HeaderTest::Prefix(String::new()),
                HeaderMatchError::MatchesAll,
            ),
            (
                "a",
                HeaderTest::Suffix(String::new()),
                HeaderMatchError::MatchesAll,
            ),
        ] {
            assert_eq!(HeaderMatch::parse(header, test), Err(expected));
        }
        assert_eq!(name("a b").to_string(), "`a b` is no header name");
    }
}
