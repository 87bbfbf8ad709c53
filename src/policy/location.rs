//! Where a caller's credentials stand in a request.

use std::fmt;

use crate::jwt;

/// A place where a credential may stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A header, in lower case.
    Header(String),
    /// A cookie, whose name has a case.
    Cookie(String),
    /// A parameter of the query, whose name has a case.
    Parameter(String),
}

impl Location {
    /// The header.
    pub fn header(&self) -> Option<&str> {
        match self {
            Self::Header(name) => Some(name),
            Self::Cookie(_) | Self::Parameter(_) => None,
        }
    }

    /// The cookie.
    pub fn cookie(&self) -> Option<&str> {
        match self {
            Self::Cookie(name) => Some(name),
            Self::Header(_) | Self::Parameter(_) => None,
        }
    }

    /// The parameter.
    pub fn parameter(&self) -> Option<&str> {
        match self {
            Self::Parameter(name) => Some(name),
            Self::Header(_) | Self::Cookie(_) => None,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(formatter, "header `{name}`"),
            Self::Cookie(name) => write!(formatter, "cookie `{name}`"),
            Self::Parameter(name) => write!(formatter, "parameter `{name}`"),
        }
    }
}

/// A place where a token may stand, and the ways in which it may be written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenLocation {
    /// The place.
    pub location: Location,
    /// No two have one scheme, so that a value has one form at the most.
    pub forms: Vec<TokenForm>,
}

/// One way in which a token may be written, and whose tokens are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenForm {
    /// What stands before the token, parted from it by spaces; `None`: nothing does.
    pub scheme: Option<String>,
    /// The providers whose tokens count here, by their index, in order.
    pub providers: Vec<usize>,
    /// Whether static bearer tokens do.
    pub is_for_static_tokens: bool,
    /// Whether opaque tokens do, of which a server is asked.
    pub is_for_opaque_tokens: bool,
}

impl TokenForm {
    /// The token of a value that is written so: the scheme's name without case, one or more spaces, one token (RFC 9110
    /// §11.4); or the token alone.
    pub fn token<'v>(&self, value: &'v [u8]) -> Option<&'v [u8]> {
        let token = self.behind_scheme(value)?;
        // What is longer than any token is refused for its length: an attacker gets no work for it.
        let looked_at = token.get(..jwt::MAX_TOKEN_BYTES).unwrap_or(token);
        let is_one_token = !token.is_empty() && !looked_at.iter().any(u8::is_ascii_whitespace);
        is_one_token.then_some(token)
    }

    /// What stands where the token should, which may be anything: for who looks for tokens that are known.
    pub fn behind_scheme<'v>(&self, value: &'v [u8]) -> Option<&'v [u8]> {
        let Some(scheme) = &self.scheme else {
            return Some(value);
        };
        let (name, rest) = value.split_at_checked(scheme.len())?;
        let token = rest.trim_ascii_start();
        let spaces = rest.len() - token.len();
        let is_parted_by_spaces = spaces > 0 && rest.iter().take(spaces).all(|byte| *byte == b' ');
        (name.eq_ignore_ascii_case(scheme.as_bytes()) && is_parted_by_spaces).then_some(token)
    }
}

/// The header that holds credentials where nothing else is said, and static bearer tokens in any case.
pub const AUTHORIZATION: &str = "authorization";
/// Their scheme (RFC 6750 §2.1).
pub const BEARER: &str = "Bearer";

#[cfg(test)]
mod tests {
    use super::*;

    fn token(scheme: Option<&str>, value: &'static str) -> Option<&'static str> {
        let form = TokenForm {
            scheme: scheme.map(str::to_owned),
            providers: Vec::new(),
            is_for_static_tokens: false,
            is_for_opaque_tokens: false,
        };
        form.token(value.as_bytes())
            .map(|token| std::str::from_utf8(token).unwrap())
    }

    #[test]
    fn behind_a_scheme() {
        for value in ["Bearer abc", "bEARER abc", "Bearer    abc"] {
            assert_eq!(token(Some("Bearer"), value), Some("abc"), "{value}");
        }
        for value in [
            "",
            "Bear",
            "Bearer",
            "Bearer ",
            "Bearerabc",
            "Bearer\tabc",
            "Bearer \tabc",
            " Bearer abc",
            "Bearer abc def",
            "Bearer abc ",
            "Basic abc",
            "abc",
        ] {
            assert_eq!(token(Some("Bearer"), value), None, "{value}");
        }
    }

    #[test]
    fn alone() {
        assert_eq!(token(None, "abc"), Some("abc"));
        assert_eq!(token(None, "Bearer"), Some("Bearer"));
        for value in ["", " ", " abc", "abc ", "Bearer abc", "a\tb"] {
            assert_eq!(token(None, value), None, "{value}");
        }
    }
}
