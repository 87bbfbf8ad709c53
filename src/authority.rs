//! Host names: of a request (`:authority`) and of the configuration.
//!
//! One spelling per host, so that neither an allow-list nor a denial can be slipped past: letters are lowered, the
//! port is dropped, IPv6 addresses are brought into their one text form. What has no place in a host name is an
//! error and never cut off. Nothing is resolved, and no other header (`x-forwarded-host`) is looked at.
//!
//! A trailing dot is an error. `mcp.tavily.com.` is the same name to DNS, but another string to Envoy's routes,
//! to TLS and to the upstream: as a name of its own it would slip past a rule that denies `mcp.tavily.com`, and
//! without its dot it would match an allow-list on a route that Envoy chose for another name. Whoever wants such
//! requests sets Envoy's `strip_trailing_host_dot`, which comes before all of it.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;

/// The authority of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority<'a> {
    host: Cow<'a, str>,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// From the value of `:authority`, which is a host and at most a port. Userinfo is an error.
    ///
    /// # Errors
    /// [`AuthorityError`]; the request is to be answered with 400.
    pub fn parse(authority: &'a [u8]) -> Result<Self, AuthorityError> {
        let authority = std::str::from_utf8(authority).map_err(|_| AuthorityError::NotAscii)?;
        let (host, port) = split_port(authority)?;
        Ok(Self {
            host: normalise(host)?,
            port,
        })
    }

    /// The host: lower case, without port and brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where the authority names one.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }
}

/// Why an authority, or a host name, was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorityError {
    /// There is no host.
    Empty,
    /// Longer than a name can be in DNS.
    TooLong {
        /// The length of the host.
        bytes: usize,
    },
    /// A byte above 0x7F. International names travel in their ASCII form (`xn--`).
    NotAscii,
    /// An `@`: what stands before it would be userinfo.
    Userinfo,
    /// A comma: Envoy joins two `Host` headers with one.
    Comma,
    /// Any other byte that is neither letter, digit, `-`, `_` nor `.`: spaces, controls, `%`, `*`, slashes.
    ForbiddenByte {
        /// The byte.
        byte: u8,
    },
    /// A dot at the start, or two in a row.
    EmptyLabel,
    /// A dot at the end.
    TrailingDot,
    /// A bracket without its other one, or no IPv6 address within.
    BadAddress,
    /// What follows the colon is no number from 1 to 65535.
    BadPort,
}

impl fmt::Display for AuthorityError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("host is empty"),
            Self::TooLong { bytes } => {
                write!(
                    formatter,
                    "host has {bytes} bytes, at most {MAXIMUM_HOST_BYTES} are allowed"
                )
            }
            Self::NotAscii => formatter.write_str("host is not ascii"),
            Self::Userinfo => formatter.write_str("host holds `@`"),
            Self::Comma => formatter.write_str("host holds `,`"),
            Self::ForbiddenByte { byte } => write!(formatter, "host holds `{}`", byte.escape_ascii()),
            Self::EmptyLabel => formatter.write_str("host has an empty label"),
            Self::TrailingDot => formatter.write_str("host ends with a dot"),
            Self::BadAddress => formatter.write_str("host is no ipv6 address"),
            Self::BadPort => formatter.write_str("port is not within 1 to 65535"),
        }
    }
}

impl std::error::Error for AuthorityError {}

/// A host name in the configuration: exactly one host, no wildcard.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

impl HostName {
    /// From an entry as an operator writes it: letter case, userinfo, a port and the brackets of an IPv6 address
    /// make no difference.
    ///
    /// # Errors
    /// [`HostNameError`].
    pub fn parse(entry: &str) -> Result<Self, HostNameError> {
        let host_and_port = entry.rsplit_once('@').map_or(entry, |(_, after)| after);
        if host_and_port.contains('*') {
            return Err(HostNameError::Wildcard);
        }
        // Without brackets an address has no port.
        if let Ok(address) = host_and_port.parse::<Ipv6Addr>() {
            return Ok(Self(address.to_string()));
        }
        let (host, _) = split_port(host_and_port)?;
        Ok(Self(normalise(host)?.into_owned()))
    }

    /// The name: lower case, without port and brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a request goes to this host, whatever its port.
    pub fn matches(&self, authority: &Authority<'_>) -> bool {
        self.0 == authority.host()
    }
}

/// Why an entry is no host name. Userinfo may be a secret, so the entry is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostNameError {
    /// A `*`: a list of exact names has no wildcards.
    Wildcard,
    /// No host at all.
    Host(AuthorityError),
}

impl From<AuthorityError> for HostNameError {
    fn from(error: AuthorityError) -> Self {
        Self::Host(error)
    }
}

impl fmt::Display for HostNameError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wildcard => formatter.write_str("host holds a wildcard, only exact names are allowed"),
            Self::Host(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for HostNameError {}

/// Host and port; the host with its brackets.
fn split_port(authority: &str) -> Result<(&str, Option<u16>), AuthorityError> {
    // What stands in the port is named too: in `a:80,b:80` the mistake is the comma.
    if let Some(error) = authority.bytes().find_map(forbidden_anywhere) {
        return Err(error);
    }
    // An address in brackets holds colons of its own.
    let colon = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None if authority.starts_with('[') => return Err(AuthorityError::BadAddress),
        None => authority.find(':').unwrap_or(authority.len()),
    };
    match authority.split_at_checked(colon) {
        Some((host, "")) => Ok((host, None)),
        Some((host, rest)) => {
            let port = rest.strip_prefix(':').ok_or(AuthorityError::BadAddress)?;
            Ok((host, Some(parse_port(port)?)))
        }
        None => Err(AuthorityError::BadAddress),
    }
}

/// What has no place in an authority at all, be it in the host or in the port.
const fn forbidden_anywhere(byte: u8) -> Option<AuthorityError> {
    match byte {
        b',' => Some(AuthorityError::Comma),
        b'@' => Some(AuthorityError::Userinfo),
        0..=b' ' | 0x7f => Some(AuthorityError::ForbiddenByte { byte }),
        0x80.. => Some(AuthorityError::NotAscii),
        _ => None,
    }
}

/// RFC 3986 §3.2.3, but neither empty nor zero. Digits only, for the standard parser takes a `+` too.
fn parse_port(text: &str) -> Result<u16, AuthorityError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ => Err(AuthorityError::BadPort),
    }
}

/// The one spelling of a host, which may stand in brackets.
fn normalise(host: &str) -> Result<Cow<'_, str>, AuthorityError> {
    if let Some(opened) = host.strip_prefix('[') {
        let address = opened.strip_suffix(']').ok_or(AuthorityError::BadAddress)?;
        let address: Ipv6Addr = address.parse().map_err(|_| AuthorityError::BadAddress)?;
        // RFC 5952 gives each address one text form.
        return Ok(Cow::Owned(address.to_string()));
    }
    if host.is_empty() {
        return Err(AuthorityError::Empty);
    }
    if host.len() > MAXIMUM_HOST_BYTES {
        return Err(AuthorityError::TooLong { bytes: host.len() });
    }
    if let Some(byte) = host.bytes().find(|byte| !is_host_byte(*byte)) {
        return Err(AuthorityError::ForbiddenByte { byte });
    }
    if host.starts_with('.') || host.contains("..") {
        return Err(AuthorityError::EmptyLabel);
    }
    if host.ends_with('.') {
        return Err(AuthorityError::TrailingDot);
    }
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(Cow::Owned(host.to_ascii_lowercase()));
    }
    Ok(Cow::Borrowed(host))
}

/// Letters, digits, hyphen and dot (RFC 1123 §2.1), and the underscore of service names. Percent-encoding, which
/// RFC 3986 allows in a host, would be a second spelling.
const fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// RFC 1035 §2.3.4: 255 octets on the wire, which are 253 characters.
const MAXIMUM_HOST_BYTES: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(authority: &[u8]) -> Result<(String, Option<u16>), AuthorityError> {
        Authority::parse(authority).map(|authority| (authority.host().to_owned(), authority.port()))
    }

    #[test]
    fn authorities() {
        for (authority, host, port) in [
            ("mcp.tavily.com", "mcp.tavily.com", None),
            ("MCP.Tavily.COM", "mcp.tavily.com", None),
            ("mcp.tavily.com:443", "mcp.tavily.com", Some(443)),
            ("localhost:1", "localhost", Some(1)),
            ("a_b-c.svc:65535", "a_b-c.svc", Some(65535)),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]", "::1", None),
            ("[::1]:8080", "::1", Some(8080)),
            ("[2001:DB8:0:0::1]:8080", "2001:db8::1", Some(8080)),
        ] {
            assert_eq!(parsed(authority.as_bytes()), Ok((host.to_owned(), port)));
        }
    }

    #[test]
    fn a_lower_case_name_is_not_copied() {
        let authority = Authority::parse(b"mcp.tavily.com:443").unwrap();
        assert!(matches!(authority.host, Cow::Borrowed("mcp.tavily.com")));
    }

    #[test]
    fn refused_authorities() {
        let forbidden = |byte| AuthorityError::ForbiddenByte { byte };
        let cases: [(&[u8], AuthorityError); 37] = [
            (b"", AuthorityError::Empty),
            (b":80", AuthorityError::Empty),
            (b"a,b", AuthorityError::Comma),
            (b"a:80,b:80", AuthorityError::Comma),
            (b"[::1],b", AuthorityError::Comma),
            (b"[::1]b", AuthorityError::BadAddress),
            (b"user@a", AuthorityError::Userinfo),
            (b"user:password@a", AuthorityError::Userinfo),
            (b"mcp.tavily.com:443@evil.example", AuthorityError::Userinfo),
            (b" a", forbidden(b' ')),
            (b"a b", forbidden(b' ')),
            (b"a ", forbidden(b' ')),
            (b"a\t", forbidden(b'\t')),
            (b"a\0", forbidden(0)),
            (b"a\r\nb", forbidden(b'\r')),
            (b"a\x7f", forbidden(0x7f)),
            (b"a/b", forbidden(b'/')),
            (b"a\\b", forbidden(b'\\')),
            (b"a?b", forbidden(b'?')),
            (b"a#b", forbidden(b'#')),
            (b"a%2eb", forbidden(b'%')),
            (b"*.example.com", forbidden(b'*')),
            (b"\xff", AuthorityError::NotAscii),
            ("\u{ff41}.example".as_bytes(), AuthorityError::NotAscii),
            (b"mcp.tavily.com.", AuthorityError::TrailingDot),
            (b"mcp.tavily.com.:443", AuthorityError::TrailingDot),
            (b".", AuthorityError::EmptyLabel),
            (b".tavily.com", AuthorityError::EmptyLabel),
            (b"mcp..tavily.com", AuthorityError::EmptyLabel),
            (b"a:", AuthorityError::BadPort),
            (b"a:0", AuthorityError::BadPort),
            (b"a:65536", AuthorityError::BadPort),
            (b"a:+80", AuthorityError::BadPort),
            (b"::1", AuthorityError::BadPort),
            (b"[::1", AuthorityError::BadAddress),
            (b"[fe80::1%eth0]", AuthorityError::BadAddress),
            (b"a]", forbidden(b']')),
        ];
        for (authority, expected) in cases {
            assert_eq!(parsed(authority), Err(expected), "{}", authority.escape_ascii());
        }
        let long = "a".repeat(254);
        assert_eq!(
            parsed(long.as_bytes()),
            Err(AuthorityError::TooLong { bytes: 254 })
        );
        assert_eq!(parsed(&long.as_bytes()[1..]), Ok(("a".repeat(253), None)));
    }

    #[test]
    fn entries_of_the_configuration() {
        for (entry, name) in [
            ("mcp.tavily.com", "mcp.tavily.com"),
            ("MCP.tavily.com", "mcp.tavily.com"),
            ("mcp.tavily.com:443", "mcp.tavily.com"),
            ("user:p*@ss@mcp.tavily.com:443", "mcp.tavily.com"),
            ("[::1]:443", "::1"),
            ("[0:0::1]", "::1"),
            ("::1", "::1"),
        ] {
            assert_eq!(HostName::parse(entry).unwrap().as_str(), name);
        }
    }

    #[test]
    fn refused_entries() {
        let host = HostNameError::Host;
        for (entry, expected) in [
            ("*.tavily.com", HostNameError::Wildcard),
            ("*", HostNameError::Wildcard),
            ("", host(AuthorityError::Empty)),
            ("user@", host(AuthorityError::Empty)),
            ("a,b", host(AuthorityError::Comma)),
            ("mcp.tavily.com.", host(AuthorityError::TrailingDot)),
            ("https://a", host(AuthorityError::BadPort)),
            ("a/b", host(AuthorityError::ForbiddenByte { byte: b'/' })),
        ] {
            assert_eq!(HostName::parse(entry), Err(expected), "`{entry}`");
        }
        assert_eq!(HostName::parse("a b").unwrap_err().to_string(), "host holds ` `");
    }

    #[test]
    fn a_name_is_one_host_only() {
        let name = HostName::parse("mcp.tavily.com").unwrap();
        let matches = |authority: &'static [u8]| name.matches(&Authority::parse(authority).unwrap());
        assert!(matches(b"mcp.tavily.com"));
        assert!(matches(b"MCP.TAVILY.COM:8443"));
        assert!(!matches(b"a.mcp.tavily.com"));
        assert!(!matches(b"tavily.com"));
        assert!(!matches(b"mcp.tavily.com.evil.example"));
        let address = HostName::parse("[::1]").unwrap();
        assert!(address.matches(&Authority::parse(b"[0:0::1]:80").unwrap()));
    }
}
