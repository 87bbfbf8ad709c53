//! The path of a request, read so that two servers cannot read it in two ways.
//!
//! It decodes and normalises nothing: what would need it is ambiguous, for the upstream may do it differently.

use std::fmt;

/// The request target: the path before `?`, and the query behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestPath<'a> {
    path: &'a [u8],
    query: Option<&'a [u8]>,
    ambiguity: Option<Ambiguity>,
}

impl<'a> RequestPath<'a> {
    /// From `:path`.
    ///
    /// # Errors
    /// The first [`Ambiguity`]; the query is not looked at.
    pub fn parse(target: &'a [u8]) -> Result<Self, Ambiguity> {
        let path = Self::raw(target);
        match path.ambiguity {
            Some(ambiguity) => Err(ambiguity),
            None => Ok(path),
        }
    }

    /// From `:path`, byte by byte, whatever stands there; [`RequestPath::is_ambiguous`] tells.
    pub fn raw(target: &'a [u8]) -> Self {
        let mut parts = target.splitn(2, |byte| *byte == b'?');
        let path = parts.next().unwrap_or_default();
        let query = parts.next();
        // A fragment never belongs into a request; behind `?` some servers still cut there.
        let ambiguity = match target.contains(&b'#') {
            true => Some(Ambiguity::Fragment),
            false => ambiguity(path).err(),
        };
        Self {
            path,
            query,
            ambiguity,
        }
    }

    /// The bytes before `?`.
    pub const fn path(&self) -> &'a [u8] {
        self.path
    }

    /// The bytes behind `?`.
    pub const fn query(&self) -> Option<&'a [u8]> {
        self.query
    }

    /// Whether two servers could read it in two ways.
    pub const fn is_ambiguous(&self) -> bool {
        self.ambiguity.is_some()
    }
}

/// What two servers could read in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ambiguity {
    /// It does not begin with `/`.
    NotAbsolute,
    /// `//`: merged by some.
    EmptySegment,
    /// `.` or `..`: resolved by some.
    DotSegment,
    /// `\`: a `/` for some.
    Backslash,
    /// `;`: the begin of a parameter for some.
    Semicolon,
    /// `#`: the end of the path for some.
    Fragment,
    /// A control character, a space, or a byte above ASCII.
    Character,
    /// `%` without two hexadecimal digits.
    InvalidEscape,
    /// An escape that stands for a separator, a dot, NUL, or a character that needs none: decoded by some.
    EscapedPlain,
}

impl fmt::Display for Ambiguity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotAbsolute => "the path does not begin with `/`",
            Self::EmptySegment => "the path holds `//`",
            Self::DotSegment => "the path holds a dot segment",
            Self::Backslash => "the path holds `\\`",
            Self::Semicolon => "the path holds `;`",
            Self::Fragment => "the request target holds `#`",
            Self::Character => "the path holds a control character, a space or a byte above ASCII",
            Self::InvalidEscape => "the path holds `%` without two hexadecimal digits",
            Self::EscapedPlain => {
                "the path escapes a separator, a dot, NUL or a character that needs no escape"
            }
        })
    }
}

fn ambiguity(path: &[u8]) -> Result<(), Ambiguity> {
    let segments = path.strip_prefix(b"/").ok_or(Ambiguity::NotAbsolute)?;
    let mut segments = segments.split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            // `/a/` ends with an empty segment, and `/` is nothing else.
            b"" if segments.peek().is_some() => return Err(Ambiguity::EmptySegment),
            b"." | b".." => return Err(Ambiguity::DotSegment),
            segment => characters(segment)?,
        }
    }
    Ok(())
}

fn characters(segment: &[u8]) -> Result<(), Ambiguity> {
    let mut bytes = segment.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => return Err(Ambiguity::Backslash),
            b';' => return Err(Ambiguity::Semicolon),
            b'%' => {
                let digits =
                    [bytes.next(), bytes.next()].map(|digit| digit.and_then(|digit| hex_value(*digit)));
                let [Some(high), Some(low)] = digits else {
                    return Err(Ambiguity::InvalidEscape);
                };
                let decoded = high << 4 | low;
                if matches!(decoded, b'/' | b'\\' | 0) || is_unreserved(decoded) {
                    return Err(Ambiguity::EscapedPlain);
                }
            }
            0x21..=0x7e => {}
            _ => return Err(Ambiguity::Character),
        }
    }
    Ok(())
}

fn hex_value(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// RFC 3986 §2.3; the dot is one of them.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_meaning() {
        for path in [
            "/",
            "/a",
            "/a/",
            "/a/b.c",
            "/.well-known/agent.json",
            "/a%20b",
            "/a:send",
            "/...",
            "/a?b//;\\%zz",
        ] {
            assert!(RequestPath::parse(path.as_bytes()).is_ok(), "{path}");
        }
        let path = RequestPath::parse(b"/a?b?c").unwrap();
        assert_eq!(
            (path.path(), path.query()),
            (b"/a".as_slice(), Some(b"b?c".as_slice()))
        );
    }

    #[test]
    fn two_meanings() {
        for (path, ambiguity) in [
            (b"".as_slice(), Ambiguity::NotAbsolute),
            (b"*", Ambiguity::NotAbsolute),
            (b"admin", Ambiguity::NotAbsolute),
            (b"http://a/b", Ambiguity::NotAbsolute),
            (b"?/a", Ambiguity::NotAbsolute),
            (b"//admin", Ambiguity::EmptySegment),
            (b"/a//b", Ambiguity::EmptySegment),
            (b"/a//", Ambiguity::EmptySegment),
            (b"/./a", Ambiguity::DotSegment),
            (b"/a/..", Ambiguity::DotSegment),
            (b"/.well-known/agent-card.json/../admin", Ambiguity::DotSegment),
            (b"/a\\b", Ambiguity::Backslash),
            (b"/a;b", Ambiguity::Semicolon),
            (b"/a#b", Ambiguity::Fragment),
            (b"/a?b#c", Ambiguity::Fragment),
            (b"/a b", Ambiguity::Character),
            (b"/a\0", Ambiguity::Character),
            (b"/\xff", Ambiguity::Character),
            (b"/a%", Ambiguity::InvalidEscape),
            (b"/a%2", Ambiguity::InvalidEscape),
            (b"/a%zz", Ambiguity::InvalidEscape),
            (b"/%2e%2e/admin", Ambiguity::EscapedPlain),
            (b"/a%2Fb", Ambiguity::EscapedPlain),
            (b"/a%5cb", Ambiguity::EscapedPlain),
            (b"/a%00", Ambiguity::EscapedPlain),
            (b"/%61dmin", Ambiguity::EscapedPlain),
        ] {
            assert_eq!(
                RequestPath::parse(path),
                Err(ambiguity),
                "{}",
                path.escape_ascii()
            );
            assert!(RequestPath::raw(path).is_ambiguous());
        }
    }
}
