//! The host that a request is for.

use std::fmt;

/// The host of an authority (RFC 3986 §3.2), lower-cased, its port apart.
///
/// A dot at the end is kept: `a.example.` is not `a.example` here, so that no rule and no list takes one for the
/// other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    name: String,
    port: Option<u16>,
}

impl Host {
    /// From `:authority`.
    ///
    /// # Errors
    /// [`AuthorityError`] for whatever is not one host with at most a port. Envoy joins two `Host` headers with a
    /// comma.
    pub fn parse(authority: &[u8]) -> Result<Self, AuthorityError> {
        let authority = std::str::from_utf8(authority).map_err(|_| AuthorityError::Character)?;
        if authority.is_empty() {
            return Err(AuthorityError::Empty);
        }
        if authority.contains(',') {
            return Err(AuthorityError::SeveralHosts);
        }
        if authority.contains('@') {
            return Err(AuthorityError::UserInfo);
        }
        let (name, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((name, "")) => (name, None),
            Some((name, port)) => (name, Some(port.strip_prefix(':').ok_or(AuthorityError::Port)?)),
            None => match authority.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (authority, None),
            },
        };
        let is_address = authority.starts_with('[');
        let is_host_character = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') || (is_address && byte == b':')
        };
        if name.is_empty() {
            return Err(AuthorityError::Empty);
        }
        if !name.bytes().all(is_host_character) {
            return Err(AuthorityError::Character);
        }
        let port = port
            .map(|port| port_number(port).ok_or(AuthorityError::Port))
            .transpose()?;
        Ok(Self {
            name: name.to_ascii_lowercase(),
            port,
        })
    }

    /// The host, without port and brackets.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port, where one stands.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }
}

/// Digits only: Rust's own reading would take a sign.
fn port_number(text: &str) -> Option<u16> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

/// What is wrong with an authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorityError {
    /// No host.
    Empty,
    /// A comma: two `Host` headers.
    SeveralHosts,
    /// User information, which HTTP forbids (RFC 9110 §4.2.4).
    UserInfo,
    /// A character that no host has.
    Character,
    /// No port from 0 to 65535.
    Port,
}

impl fmt::Display for AuthorityError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Empty => "has no host",
            Self::SeveralHosts => "names more than one host",
            Self::UserInfo => "holds user information",
            Self::Character => "holds a character that no host name has",
            Self::Port => "has a port that is no number from 0 to 65535",
        })
    }
}

/// A host as a configuration names it: exact, no wildcard; a scheme's port, user information and the brackets of
/// an IPv6 address are ignored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

impl HostName {
    /// From a host name.
    ///
    /// # Errors
    /// [`AuthorityError`] if it is none; `*` is a character that no host name has.
    pub fn parse(text: &str) -> Result<Self, AuthorityError> {
        let text = text.rsplit_once('@').map_or(text, |(_, host)| host);
        // An IPv6 address without its brackets has more than one colon.
        let host = match !text.starts_with('[') && text.matches(':').count() > 1 {
            true => Host::parse(format!("[{text}]").as_bytes())?,
            false => Host::parse(text.as_bytes())?,
        };
        Ok(Self(host.name))
    }

    /// Whether a request is for this host.
    pub fn is(&self, host: &Host) -> bool {
        self.0 == host.name
    }

    /// In lower case, without port and brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (authority, name, port) in [
            ("A.Example", "a.example", None),
            ("a.example:8080", "a.example", Some(8080)),
            ("[::1]:80", "::1", Some(80)),
            ("[::1]", "::1", None),
            ("127.0.0.1:0", "127.0.0.1", Some(0)),
            ("a.example.", "a.example.", None),
            ("my_service", "my_service", None),
        ] {
            let host = Host::parse(authority.as_bytes()).unwrap();
            assert_eq!((host.name(), host.port()), (name, port), "{authority}");
        }
    }

    #[test]
    fn no_hosts() {
        for (authority, error) in [
            (b"".as_slice(), AuthorityError::Empty),
            (b":80", AuthorityError::Empty),
            (b"[]", AuthorityError::Empty),
            (b"a,b", AuthorityError::SeveralHosts),
            (b"user@a", AuthorityError::UserInfo),
            (b"a b", AuthorityError::Character),
            (b"a%2eb", AuthorityError::Character),
            (b"a/b", AuthorityError::Character),
            (b"\xff", AuthorityError::Character),
            ("ä.example".as_bytes(), AuthorityError::Character),
            (b"a:", AuthorityError::Port),
            (b"a:65536", AuthorityError::Port),
            (b"a:+80", AuthorityError::Port),
            (b"a:80:80", AuthorityError::Port),
            (b"[::1]80", AuthorityError::Port),
        ] {
            assert_eq!(
                Host::parse(authority).err(),
                Some(error),
                "{}",
                authority.escape_ascii()
            );
        }
    }

    #[test]
    fn configured_hosts() {
        for (text, name) in [
            ("MCP.tavily.com", "mcp.tavily.com"),
            ("u:p@a:443", "a"),
            ("[::1]:443", "::1"),
            ("::1", "::1"),
        ] {
            assert_eq!(
                HostName::parse(text).map(|host| host.0),
                Ok(name.to_owned()),
                "{text}"
            );
        }
        assert_eq!(HostName::parse("*.example"), Err(AuthorityError::Character));
        assert!(
            !HostName::parse("tavily.com")
                .unwrap()
                .is(&Host::parse(b"mcp.tavily.com").unwrap())
        );
    }
}
