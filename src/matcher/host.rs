//! Hosts.

use std::fmt;

use crate::authority::{Authority, AuthorityError};

/// One host, or all below a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostMatch {
    form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Exact(String),
    /// The domain with its leading dot.
    Below(String),
}

impl HostMatch {
    /// From a host, or `*.` and a domain, which matches the hosts below it at any depth but not the domain itself.
    ///
    /// A port is an error and not ignored: who writes one means less than all ports.
    ///
    /// # Errors
    /// [`HostMatchError`].
    pub fn parse(pattern: &str) -> Result<Self, HostMatchError> {
        let Some(domain) = pattern.strip_prefix("*.") else {
            return Self::parse_exact(pattern);
        };
        let form = Form::Below(format!(".{}", parse_host(domain)?));
        Ok(Self { form })
    }

    /// From a host alone: for rules that send a credential there.
    ///
    /// # Errors
    /// [`HostMatchError`].
    pub fn parse_exact(pattern: &str) -> Result<Self, HostMatchError> {
        let form = Form::Exact(parse_host(pattern)?);
        Ok(Self { form })
    }

    /// Whether the request is for such a host, whatever its port.
    pub fn matches(&self, authority: &Authority<'_>) -> bool {
        match &self.form {
            Form::Exact(host) => authority.host() == host,
            // An authority never starts with a dot, so something stands before the suffix.
            Form::Below(suffix) => authority.host().ends_with(suffix.as_str()),
        }
    }

    /// The host, or the domain with its leading dot, with which no host starts.
    pub fn as_str(&self) -> &str {
        match &self.form {
            Form::Exact(text) | Form::Below(text) => text,
        }
    }

    /// The host, unless this is a wildcard: to look one up among many.
    pub fn exact(&self) -> Option<&str> {
        match &self.form {
            Form::Exact(host) => Some(host),
            Form::Below(_) => None,
        }
    }

    /// The domain with its leading dot, if this is a wildcard: to compare one with another.
    pub fn below(&self) -> Option<&str> {
        match &self.form {
            Form::Exact(_) => None,
            Form::Below(domain) => Some(domain),
        }
    }
}

/// Why a host in a rule was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostMatchError {
    /// A `*` where none may be.
    Wildcard,
    /// A port.
    Port {
        /// The port.
        port: u16,
    },
    /// No host.
    Host(AuthorityError),
}

impl fmt::Display for HostMatchError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wildcard => formatter.write_str("host holds a wildcard that is not allowed here"),
            Self::Port { port } => write!(formatter, "host holds the port `{port}`"),
            Self::Host(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for HostMatchError {}

fn parse_host(text: &str) -> Result<String, HostMatchError> {
    if text.contains('*') {
        return Err(HostMatchError::Wildcard);
    }
    let authority = Authority::parse(text.as_bytes()).map_err(HostMatchError::Host)?;
    match authority.port() {
        Some(port) => Err(HostMatchError::Port { port }),
        None => Ok(authority.host().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, authority: &str) -> bool {
        let authority = Authority::parse(authority.as_bytes()).unwrap();
        HostMatch::parse(pattern).unwrap().matches(&authority)
    }

    #[test]
    fn exact_hosts() {
        for authority in ["agent.example", "AGENT.example:8080"] {
            assert!(matches("Agent.Example", authority));
        }
        for authority in [
            "a.agent.example",
            "example",
            "agent.example.evil",
            "xagent.example",
        ] {
            assert!(!matches("agent.example", authority));
        }
        assert!(matches("[::1]", "[0::1]:80"));
        assert_eq!(HostMatch::parse("A.b").unwrap().exact(), Some("a.b"));
    }

    #[test]
    fn hosts_below_a_domain() {
        for authority in ["a.mesh.example", "A.B.mesh.example:1"] {
            assert!(matches("*.mesh.example", authority));
        }
        for authority in ["mesh.example", "amesh.example", "a.mesh.example.evil"] {
            assert!(!matches("*.mesh.example", authority));
        }
        assert_eq!(HostMatch::parse("*.b").unwrap().exact(), None);
        assert_eq!(HostMatch::parse("*.B").unwrap().below(), Some(".b"));
        assert_eq!(HostMatch::parse("b").unwrap().below(), None);
    }

    #[test]
    fn refused_hosts() {
        for (pattern, expected) in [
            ("*", HostMatchError::Wildcard),
            ("a.*", HostMatchError::Wildcard),
            ("*.*.b", HostMatchError::Wildcard),
            ("*a.b", HostMatchError::Wildcard),
            ("a:80", HostMatchError::Port { port: 80 }),
            ("*.a:80", HostMatchError::Port { port: 80 }),
            ("", HostMatchError::Host(AuthorityError::Empty)),
            ("*.", HostMatchError::Host(AuthorityError::Empty)),
            ("a.", HostMatchError::Host(AuthorityError::TrailingDot)),
            ("u@a", HostMatchError::Host(AuthorityError::Userinfo)),
        ] {
            assert_eq!(HostMatch::parse(pattern), Err(expected), "`{pattern}`");
        }
        assert_eq!(HostMatch::parse_exact("*.a"), Err(HostMatchError::Wildcard));
        let port = HostMatchError::Port { port: 80 };
        assert_eq!(port.to_string(), "host holds the port `80`");
    }
}
