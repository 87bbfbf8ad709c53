//! Absolute URIs: resources, and kinds of tokens.

use std::fmt;

/// Whether a text is a resource indicator: an absolute URI without a fragment (RFC 8707 §2).
///
/// # Errors
/// [`ResourceError`].
pub fn check_resource(text: &str) -> Result<(), ResourceError> {
    if text.contains('#') {
        return Err(ResourceError::Fragment);
    }
    match is_absolute_uri(text) {
        true => Ok(()),
        false => Err(ResourceError::NotAbsolute),
    }
}

/// A scheme, a colon and something behind it, in the characters of URIs (RFC 3986 §2 and §3.1).
pub(super) fn is_absolute_uri(text: &str) -> bool {
    let is_of_uri = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !rest.is_empty()
        && rest.bytes().all(is_of_uri)
}

/// Why a text is no resource indicator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceError {
    /// It is no absolute URI.
    NotAbsolute,
    /// It has a fragment.
    Fragment,
}

impl fmt::Display for ResourceError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotAbsolute => "is no absolute URI",
            Self::Fragment => "is a URI with a fragment",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources() {
        for text in [
            "https://mcp.example/",
            "https://mcp.example/a?b=c",
            "urn:mcp:search",
            "api:a",
        ] {
            assert_eq!(check_resource(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "mcp.example",
            "/a",
            "1a:b",
            ":a",
            "a b:c",
            "https:",
            "urn:a b",
            "urn:ü",
            "urn:<a>",
        ] {
            assert_eq!(check_resource(text), Err(ResourceError::NotAbsolute), "{text}");
        }
        assert_eq!(
            check_resource("https://a.example/#b"),
            Err(ResourceError::Fragment)
        );
        assert_eq!(
            check_resource("https://a.example/#"),
            Err(ResourceError::Fragment)
        );
    }
}
