//! Methods.

use std::fmt;

/// One method, byte for byte (RFC 9110 §9.1: letter case counts).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MethodMatch(String);

impl MethodMatch {
    /// From a token in upper case.
    ///
    /// # Errors
    /// The name is empty, holds what no method can hold, or a lower-case letter, with which it would match none
    /// that is in use.
    pub fn parse(name: &str) -> Result<Self, MethodMatchError> {
        let is_method_byte = |byte: u8| {
            // RFC 9110 §5.6.2, without the letters in lower case.
            byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte)
        };
        if name.is_empty() || !name.bytes().all(is_method_byte) {
            return Err(MethodMatchError {
                name: name.to_owned(),
            });
        }
        Ok(Self(name.to_owned()))
    }

    /// Whether this is the method of the request.
    pub fn matches(&self, method: &[u8]) -> bool {
        method == self.0.as_bytes()
    }

    /// The method.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name that is no method in upper case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodMatchError {
    /// The name as it was given.
    pub name: String,
}

impl fmt::Display for MethodMatchError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` is no method in upper case", self.name)
    }
}

impl std::error::Error for MethodMatchError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods() {
        let method = MethodMatch::parse("GET").unwrap();
        assert_eq!(method.as_str(), "GET");
        assert!(method.matches(b"GET"));
        for other in [b"get".as_slice(), b"HEAD", b"GET ", b"GE", b"", b"\xff"] {
            assert!(!method.matches(other));
        }
        assert!(MethodMatch::parse("M-SEARCH").unwrap().matches(b"M-SEARCH"));
    }

    #[test]
    fn refused_names() {
        for name in ["", "get", "Get", "GET ", "GET,HEAD", "G\u{c9}T", "GET\n"] {
            let expected = MethodMatchError {
                name: name.to_owned(),
            };
            assert_eq!(MethodMatch::parse(name), Err(expected));
        }
        assert_eq!(
            MethodMatch::parse("get").unwrap_err().to_string(),
            "`get` is no method in upper case"
        );
    }
}
