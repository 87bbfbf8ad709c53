//! The request target: its path, its query, and whether a server could read the path in more than one way.
//!
//! It decides nothing about ambiguous paths but only names them: rules are matched byte by byte, and a server
//! behind the filter that reads `//admin` or `/%61dmin` as `/admin` would answer what another rule protects.
//! Nothing is normalised here, for a normal form that differs from the server's is the same mistake again.

use std::fmt;

/// A request target up to its query, for who need not know whether it can be read in two ways.
pub fn without_query(target: &[u8]) -> &[u8] {
    target.split(|byte| *byte == b'?').next().unwrap_or_default()
}

/// The value of `:path`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestPath<'a> {
    path: &'a [u8],
    query: Option<&'a [u8]>,
    ambiguity: Option<Ambiguity>,
}

impl<'a> RequestPath<'a> {
    /// A target that can be read in one way only (`ambiguous_paths: reject`).
    ///
    /// # Errors
    /// The first thing that makes it ambiguous, from left to right.
    pub fn classify(target: &'a [u8]) -> Result<Self, Ambiguity> {
        let path = Self::raw(target);
        match path.ambiguity {
            Some(ambiguity) => Err(ambiguity),
            None => Ok(path),
        }
    }

    /// Any target, byte by byte (`ambiguous_paths: raw`). It keeps the mark that it is ambiguous: such a path
    /// must never match a rule that lets a request through without a credential.
    pub fn raw(target: &'a [u8]) -> Self {
        let (path, query) = match target.iter().position(|byte| *byte == b'?') {
            Some(end) => (
                target.get(..end).unwrap_or_default(),
                Some(target.get(end + 1..).unwrap_or_default()),
            ),
            None => (target, None),
        };
        let ambiguity = find_ambiguity(path).or_else(|| {
            // A fragment has no place in a request target (RFC 9112 §3.2): servers cut it off, or do not.
            let fragment = query.is_some_and(|query| query.contains(&b'#'));
            fragment.then_some(Ambiguity::Fragment)
        });
        Self {
            path,
            query,
            ambiguity,
        }
    }

    /// The same target where these of the [`MARKS`] mean something: an escape of one of them is ambiguous then. A `%`
    /// among them says that a rule names an escape, of which there is one spelling then (RFC 3986 §6.2.2.1). Servers
    /// decode it, and a rule for `/message:send` must not be passed over by `/message%3Asend`; where no rule names the
    /// mark, clients may escape it as they like.
    pub fn where_marks_count(mut self, marks: &[u8]) -> Self {
        if self.ambiguity.is_none() && !marks.is_empty() {
            let escapes = self.path.split(|byte| *byte == b'%').skip(1);
            let mut ambiguities = escapes.filter_map(|after| {
                let (high, low, _) = split_escape(after)?;
                let byte = high << 4 | low;
                let is_lower = after.iter().take(2).any(u8::is_ascii_lowercase);
                if marks.contains(&byte) && byte != b'%' {
                    Some(Ambiguity::EncodedDelimiter { byte })
                } else {
                    (is_lower && marks.contains(&b'%')).then_some(Ambiguity::EscapeInLowerCase { byte })
                }
            });
            self.ambiguity = ambiguities.next();
        }
        self
    }

    /// The bytes before the first `?`: what rules are matched on.
    pub const fn path(&self) -> &'a [u8] {
        self.path
    }

    /// The bytes after the first `?`, if there is one.
    pub const fn query(&self) -> Option<&'a [u8]> {
        self.query
    }

    /// What makes the path ambiguous.
    pub const fn ambiguity(&self) -> Option<Ambiguity> {
        self.ambiguity
    }

    /// Whether a server could read the path in another way than by its bytes.
    pub const fn is_ambiguous(&self) -> bool {
        self.ambiguity.is_some()
    }
}

/// The marks that a path may hold as they are and that clients may escape all the same (RFC 3986 §3.3).
pub const MARKS: &[u8] = b"!$&'()*+,=:@[]|";

/// What makes a path ambiguous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ambiguity {
    /// It does not start with `/`: empty, `*`, or an absolute URL.
    NoLeadingSlash,
    /// `//`: servers merge slashes, or take what follows for a host.
    EmptySegment,
    /// A segment `.` or `..`: servers resolve them.
    DotSegment,
    /// `\`: some servers take it for `/`.
    Backslash,
    /// `;`: some servers cut a segment's parameters off.
    Semicolon,
    /// `#`, in the query too.
    Fragment,
    /// A percent-encoded `/`, `\`, `.` or NUL, or a mark that a rule names.
    EncodedDelimiter {
        /// The byte that is encoded.
        byte: u8,
    },
    /// An escape with lower-case digits, where a rule names one: `%c3` is `%C3`.
    EscapeInLowerCase {
        /// The byte that is encoded.
        byte: u8,
    },
    /// A percent-encoded character that needs no encoding (RFC 3986 §2.3): both spellings mean the same.
    EncodedUnreserved {
        /// The byte that is encoded.
        byte: u8,
    },
    /// A percent-encoded control character: servers cut there, or write it into a line of their own.
    EncodedControl {
        /// The byte that is encoded.
        byte: u8,
    },
    /// Percent-encoded bytes that are no UTF-8: an overlong `.` or `/` is one to lenient decoders.
    EncodedNotUtf8,
    /// `%25` with two hexadecimal digits behind it: an escape for servers that decode twice.
    EncodedTwice,
    /// A `%` without two hexadecimal digits.
    InvalidEscape,
    /// A byte that RFC 3986 does not know in a path: a control, a space, one above 0x7E, or one of the marks that the
    /// URL standard of the web has servers take for their escapes (`{` for `%7B`). Servers cut there, encode it, or
    /// read it in some character set.
    ForbiddenByte {
        /// The byte.
        byte: u8,
    },
}

impl fmt::Display for Ambiguity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLeadingSlash => formatter.write_str("path does not start with `/`"),
            Self::EmptySegment => formatter.write_str("path holds `//`"),
            Self::DotSegment => formatter.write_str("path holds a dot segment"),
            Self::Backslash => formatter.write_str("path holds `\\`"),
            Self::Semicolon => formatter.write_str("path holds `;`"),
            Self::Fragment => formatter.write_str("path holds `#`"),
            Self::EncodedDelimiter { byte } | Self::EncodedUnreserved { byte } => {
                write!(
                    formatter,
                    "path holds `%{byte:02X}`, an encoded `{}`",
                    byte.escape_ascii()
                )
            }
            Self::EncodedControl { byte } => {
                write!(
                    formatter,
                    "path holds `%{byte:02X}`, an encoded control character"
                )
            }
            Self::EscapeInLowerCase { byte } => {
                write!(formatter, "path holds `%{byte:02x}`, an escape in lower case")
            }
            Self::EncodedNotUtf8 => formatter.write_str("path holds encoded bytes that are no UTF-8"),
            Self::EncodedTwice => formatter.write_str("path holds `%25` before two hexadecimal digits"),
            Self::InvalidEscape => formatter.write_str("path holds `%` without two hexadecimal digits"),
            Self::ForbiddenByte { byte } => write!(formatter, "path holds the byte 0x{byte:02X}"),
        }
    }
}

impl std::error::Error for Ambiguity {}

/// The first ambiguity of a path (without its query). One pass; its length is bounded by Envoy's
/// `max_request_headers_kb`.
fn find_ambiguity(path: &[u8]) -> Option<Ambiguity> {
    let Some(after_slash) = path.strip_prefix(b"/") else {
        return Some(Ambiguity::NoLeadingSlash);
    };
    let mut segments = after_slash.split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        // An empty last segment is a trailing slash, which is fine.
        if segment.is_empty() && segments.peek().is_some() {
            return Some(Ambiguity::EmptySegment);
        }
        if segment == b"." || segment == b".." {
            return Some(Ambiguity::DotSegment);
        }
        if let Some(ambiguity) = find_in_segment(segment) {
            return Some(ambiguity);
        }
    }
    None
}

fn find_in_segment(segment: &[u8]) -> Option<Ambiguity> {
    let mut rest = segment;
    let mut has_high_bytes = false;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'\\' => return Some(Ambiguity::Backslash),
            b';' => return Some(Ambiguity::Semicolon),
            b'#' => return Some(Ambiguity::Fragment),
            0..=b' ' | 0x7f.. => return Some(Ambiguity::ForbiddenByte { byte: *byte }),
            // The path percent-encode set of the URL standard (WHATWG, §1.3).
            b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'}' => {
                return Some(Ambiguity::ForbiddenByte { byte: *byte });
            }
            b'%' => {
                let Some((high, low, after)) = split_escape(after) else {
                    return Some(Ambiguity::InvalidEscape);
                };
                let byte = high << 4 | low;
                match byte {
                    b'/' | b'\\' | b'.' | 0 => return Some(Ambiguity::EncodedDelimiter { byte }),
                    // RFC 3986 §2.3; the dot, another one, is above.
                    b'-' | b'_' | b'~' => return Some(Ambiguity::EncodedUnreserved { byte }),
                    _ if byte.is_ascii_alphanumeric() => {
                        return Some(Ambiguity::EncodedUnreserved { byte });
                    }
                    1..0x20 | 0x7f => return Some(Ambiguity::EncodedControl { byte }),
                    b'%' if split_escape(after).is_some() => return Some(Ambiguity::EncodedTwice),
                    _ => {
                        has_high_bytes |= !byte.is_ascii();
                        rest = after;
                    }
                }
            }
            _ => {}
        }
    }
    let is_utf8 = || percent_encoding::percent_decode(segment).decode_utf8().is_ok();
    (has_high_bytes && !is_utf8()).then_some(Ambiguity::EncodedNotUtf8)
}

/// The two hexadecimal digits that follow a `%`, and what follows them.
fn split_escape(after_percent: &[u8]) -> Option<(u8, u8, &[u8])> {
    let [high, low, after @ ..] = after_percent else {
        return None;
    };
    Some((hex_value(*high)?, hex_value(*low)?, after))
}

const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_that_rules_name() {
        let ambiguity = |target: &str, marks: &str| {
            RequestPath::raw(target.as_bytes())
                .where_marks_count(marks.as_bytes())
                .ambiguity()
        };
        let escaped = |byte| Some(Ambiguity::EncodedDelimiter { byte });
        assert_eq!(ambiguity("/v1/message%3Asend", ":"), escaped(b':'));
        assert_eq!(ambiguity("/v1/a%40b/message%3asend", ":"), escaped(b':'));
        assert_eq!(ambiguity("/v1/a%40b:c", ":"), None);
        assert_eq!(ambiguity("/v1/message%3Asend", ""), None);
        assert_eq!(ambiguity("/v1/message?a=%3A", ":"), None);
    }

    #[test]
    fn plain_paths() {
        for (target, path, query) in [
            ("/", "/", None),
            ("/a", "/a", None),
            ("/a/b/", "/a/b/", None),
            ("/a?", "/a", Some("")),
            (
                "/a?b=c;d&e=//%2e%2F\\..?f/./%zz",
                "/a",
                Some("b=c;d&e=//%2e%2F\\..?f/./%zz"),
            ),
            (
                "/.well-known/agent-card.json",
                "/.well-known/agent-card.json",
                None,
            ),
            ("/...", "/...", None),
            ("/a..b/.c/d.", "/a..b/.c/d.", None),
            (
                "/v1/message:send/@a,b=c+d!$&'()*~-_",
                "/v1/message:send/@a,b=c+d!$&'()*~-_",
                None,
            ),
            ("/%20/%3B/%23/%3F/%25/%C3%A9", "/%20/%3B/%23/%3F/%25/%C3%A9", None),
        ] {
            let classified = RequestPath::classify(target.as_bytes()).unwrap();
            assert_eq!(classified.path(), path.as_bytes());
            assert_eq!(classified.query(), query.map(str::as_bytes));
            assert!(!classified.is_ambiguous());
        }
    }

    #[test]
    fn ambiguous_paths() {
        let delimiter = |byte| Ambiguity::EncodedDelimiter { byte };
        let unreserved = |byte| Ambiguity::EncodedUnreserved { byte };
        let forbidden = |byte| Ambiguity::ForbiddenByte { byte };
        let cases: [(&[u8], Ambiguity); 44] = [
            (b"", Ambiguity::NoLeadingSlash),
            (b"*", Ambiguity::NoLeadingSlash),
            (b"?a", Ambiguity::NoLeadingSlash),
            (b"admin", Ambiguity::NoLeadingSlash),
            (b"http://host/admin", Ambiguity::NoLeadingSlash),
            (b"%2Fadmin", Ambiguity::NoLeadingSlash),
            (b"//", Ambiguity::EmptySegment),
            (b"//admin", Ambiguity::EmptySegment),
            (b"/a//b", Ambiguity::EmptySegment),
            (b"/a//", Ambiguity::EmptySegment),
            (b"/a//?b", Ambiguity::EmptySegment),
            (b"/.", Ambiguity::DotSegment),
            (b"/..", Ambiguity::DotSegment),
            (b"/./a", Ambiguity::DotSegment),
            (b"/a/../b", Ambiguity::DotSegment),
            (b"/a/..?b", Ambiguity::DotSegment),
            (b"/.well-known/agent-card.json/../admin", Ambiguity::DotSegment),
            (b"/a\\b", Ambiguity::Backslash),
            (b"/..\\admin", Ambiguity::Backslash),
            (b"/a;b", Ambiguity::Semicolon),
            (b"/a/..;/b", Ambiguity::Semicolon),
            (b"/a#b", Ambiguity::Fragment),
            (b"/a?b#c", Ambiguity::Fragment),
            (b"/a%2Fb", delimiter(b'/')),
            (b"/a%2fb", delimiter(b'/')),
            (b"/a%5Cb", delimiter(b'\\')),
            (b"/%2e%2E/admin", delimiter(b'.')),
            (b"/.%2e/admin", delimiter(b'.')),
            (b"/a%00", delimiter(0)),
            (b"/%61dmin", unreserved(b'a')),
            (b"/%41", unreserved(b'A')),
            (b"/%30", unreserved(b'0')),
            (b"/%2d", unreserved(b'-')),
            (b"/%5F", unreserved(b'_')),
            (b"/%7E", unreserved(b'~')),
            (b"/%", Ambiguity::InvalidEscape),
            (b"/%2", Ambiguity::InvalidEscape),
            (b"/%2?F", Ambiguity::InvalidEscape),
            (b"/%gg", Ambiguity::InvalidEscape),
            (b"/%u002f", Ambiguity::InvalidEscape),
            (b"/a b", forbidden(b' ')),
            (b"/a\0b", forbidden(0)),
            (b"/a\x7f", forbidden(0x7f)),
            (b"/\xc0\xaf", forbidden(0xc0)),
        ];
        for (target, expected) in cases {
            assert_eq!(
                RequestPath::classify(target),
                Err(expected),
                "{}",
                target.escape_ascii()
            );
            assert!(RequestPath::raw(target).is_ambiguous());
        }
    }

    #[test]
    fn every_byte_is_decided() {
        for byte in 0..=u8::MAX {
            let target = [b'/', b'a', byte, b'b'];
            let expected = match byte {
                b'\\' => Err(Ambiguity::Backslash),
                b';' => Err(Ambiguity::Semicolon),
                b'#' => Err(Ambiguity::Fragment),
                b'%' => Err(Ambiguity::InvalidEscape),
                0..=0x20 | 0x7f.. => Err(Ambiguity::ForbiddenByte { byte }),
                b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'}' => Err(Ambiguity::ForbiddenByte { byte }),
                _ => Ok(()),
            };
            assert_eq!(RequestPath::classify(&target).map(|_| ()), expected, "{byte:#x}");
        }
    }

    #[test]
    fn a_raw_path_keeps_its_bytes() {
        let path = RequestPath::raw(b"//a#b?c#d");
        assert_eq!(path.path(), b"//a#b");
        assert_eq!(path.query(), Some(b"c#d".as_slice()));
        assert!(path.is_ambiguous());
        assert!(!RequestPath::raw(b"/a?b").is_ambiguous());
    }

    #[test]
    fn what_an_operator_reads() {
        for (target, expected) in [
            (b"/a%2Fb".as_slice(), "path holds `%2F`, an encoded `/`"),
            (b"/a%00b", "path holds `%00`, an encoded `\\x00`"),
            (b"/a\rb", "path holds the byte 0x0D"),
            (b"a", "path does not start with `/`"),
        ] {
            assert_eq!(RequestPath::classify(target).unwrap_err().to_string(), expected);
        }
    }
}
