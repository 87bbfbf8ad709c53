//! Where a cluster leads.

use std::net::IpAddr;

use crate::authority::Authority;

/// A host, its port, and whether TLS is spoken there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether TLS is spoken there.
    pub is_tls: bool,
}

impl Address {
    /// TLS is what is spoken at 443.
    pub fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port,
            is_tls: port == HTTPS_PORT,
        }
    }

    /// Of an `http` or `https` URL. One whose host holds names (`${…}`) tells none.
    pub fn of_url(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let is_tls = match scheme {
            _ if scheme.eq_ignore_ascii_case("https") => true,
            _ if scheme.eq_ignore_ascii_case("http") => false,
            _ => return None,
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let default = if is_tls { HTTPS_PORT } else { HTTP_PORT };
        let (host, port) = host_and_port(authority)?;
        Some(Self {
            host,
            port: port.unwrap_or(default),
            is_tls,
        })
    }

    /// Of the name that Istio gives to the cluster of a service: `outbound|443||mcp.example.com`.
    pub fn of_istio(cluster: &str) -> Option<Self> {
        let mut parts = cluster.split('|');
        let (direction, port, _subset, host) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_whole = parts.next().is_none() && direction == "outbound" && !host.is_empty();
        is_whole.then_some(Self::new(host, port.parse().ok()?))
    }

    /// Of `HOST:PORT`.
    pub fn of_host_and_port(text: &str) -> Option<Self> {
        let (host, port) = host_and_port(text)?;
        Some(Self {
            host,
            port: port?,
            is_tls: false,
        })
    }

    /// Whether the host is an address, so that nobody looks it up.
    pub fn is_ip(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }

    /// Whether the host is a service of the cluster itself, which Istio knows.
    pub fn is_in_mesh(&self, cluster_domain: &str) -> bool {
        self.host.ends_with(&format!(".svc.{cluster_domain}")) || !self.host.contains('.')
    }
}

fn host_and_port(authority: &str) -> Option<(String, Option<u16>)> {
    let parsed = Authority::parse(authority.as_bytes()).ok()?;
    let host = parsed.host().trim_start_matches('[').trim_end_matches(']');
    (!host.contains('$')).then(|| (host.to_owned(), parsed.port()))
}

/// RFC 9110 §4.2.1 and §4.2.2.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let address = |host: &str, port, is_tls| {
            Some(Address {
                host: host.to_owned(),
                port,
                is_tls,
            })
        };
        assert_eq!(
            Address::of_url("https://idp.example/keys"),
            address("idp.example", 443, true)
        );
        assert_eq!(
            Address::of_url("http://idp.example"),
            address("idp.example", 80, false)
        );
        assert_eq!(
            Address::of_url("HTTP://[::1]:8080?a"),
            address("::1", 8080, false)
        );
        assert_eq!(Address::of_url("https://${HOST}/keys"), None);
        assert_eq!(Address::of_url("${URL}/keys"), None);
        assert_eq!(
            Address::of_istio("outbound|443||mcp.example.com"),
            address("mcp.example.com", 443, true)
        );
        assert_eq!(Address::of_istio("outbound|80|v1|a.b"), address("a.b", 80, false));
        assert_eq!(Address::of_istio("inbound|80||"), None);
        assert_eq!(Address::of_istio("api"), None);
        assert_eq!(
            Address::of_host_and_port("127.0.0.1:9000"),
            address("127.0.0.1", 9000, false)
        );
        assert_eq!(Address::of_host_and_port("agent"), None);
    }
}
