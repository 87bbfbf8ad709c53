//! SPIFFE IDs (the SPIFFE-ID standard, §2): the names of workloads in X.509 certificates, and patterns of them.
//!
//! They are compared byte for byte. It looks at no certificate: whether one was validated, the proxy does not tell.

use std::collections::HashMap;
use std::fmt;

/// The ID that these bytes are, if they are one: a trust domain and a path of plain segments. A name with a dot segment,
/// an empty segment or a percent sign has two meanings, and is none.
pub fn parse(bytes: &[u8]) -> Option<&str> {
    let id = std::str::from_utf8(bytes).ok()?;
    let (trust_domain, segments) = parts(id)?;
    let is_good =
        is_trust_domain(trust_domain) && segments.is_none_or(|path| path.split('/').all(is_segment));
    is_good.then_some(id)
}

/// Where the proxy tells the name of who has connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The certificate of the connection.
    Connection,
    /// In a waypoint of Istio callers come out of a tunnel, at whose other end another proxy stands.
    Tunnel,
}

/// The name of who has connected, as the proxy has it: it is looked at with [`parse`]. `property` asks the proxy.
pub fn principal(node_id: &[u8], property: impl Fn(&[&str]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    match Source::of(node_id) {
        Source::Connection => {
            // A boolean, as one byte.
            property(&["connection", "mtls"]).filter(|flag| flag == &[1])?;
            property(&["connection", "uri_san_peer_certificate"])
        }
        Source::Tunnel => {
            let name = property(&["filter_state", PEER_PRINCIPAL]).or_else(|| property(&[PEER_PRINCIPAL]))?;
            // Some versions of Istio leave the scheme away.
            match name.starts_with(SCHEME.as_bytes()) {
                true => Some(name),
                false => Some([SCHEME.as_bytes(), &name].concat()),
            }
        }
    }
}

impl Source {
    fn of(node_id: &[u8]) -> Self {
        match node_id.starts_with(WAYPOINT) {
            true => Self::Tunnel,
            false => Self::Connection,
        }
    }
}

/// What belongs to which IDs. Finding it takes as many steps as an ID has segments, however many patterns there are.
#[derive(Debug)]
pub struct Patterns<T> {
    exact: HashMap<String, T>,
    /// By what stands before the `*`, the slash included.
    prefixes: HashMap<String, T>,
}

impl<T> Default for Patterns<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            prefixes: HashMap::new(),
        }
    }
}

impl<T> Patterns<T> {
    /// Adds a pattern; the last value of one counts.
    pub fn insert(&mut self, pattern: Pattern, value: T) {
        match pattern {
            Pattern::Exact(id) => self.exact.insert(id, value),
            Pattern::Prefix(prefix) => self.prefixes.insert(prefix, value),
        };
    }

    /// All values, in no order that means anything.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.exact.values().chain(self.prefixes.values())
    }

    /// What belongs to an ID: by its exact pattern, else by the longest prefix.
    pub fn find(&self, id: &str) -> Option<&T> {
        let prefixes = || {
            let slashes = id.rmatch_indices('/').map(|(at, _)| at);
            slashes.filter_map(|at| id.get(..=at))
        };
        self.exact
            .get(id)
            .or_else(|| prefixes().find_map(|prefix| self.prefixes.get(prefix)))
    }
}

/// An ID, or all IDs below one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pattern {
    /// This one.
    Exact(String),
    /// All that begin so; it ends with a slash.
    Prefix(String),
}

impl Pattern {
    /// From an ID, or from one with `/*` behind it: all below it, but not itself.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let id = text.strip_suffix("/*").unwrap_or(text);
        if !text.starts_with(SCHEME) {
            return Err(PatternError::Scheme);
        }
        if parse(id.as_bytes()).is_none() {
            return Err(PatternError::Id);
        }
        Ok(match id.len() == text.len() {
            true => Self::Exact(id.to_owned()),
            false => Self::Prefix(format!("{id}/")),
        })
    }
}

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternError {
    /// It is a name of another kind.
    Scheme,
    /// What stands behind the scheme is not what an ID is made of.
    Id,
}

impl fmt::Display for PatternError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Scheme => "does not begin with `spiffe://`",
            Self::Id => "is no SPIFFE ID",
        })
    }
}

impl std::error::Error for PatternError {}

/// The trust domain, and the path without its first slash where there is one.
fn parts(id: &str) -> Option<(&str, Option<&str>)> {
    let rest = id.strip_prefix(SCHEME).filter(|_| id.len() <= MAX_ID_BYTES)?;
    Some(match rest.split_once('/') {
        Some((trust_domain, path)) => (trust_domain, Some(path)),
        None => (rest, None),
    })
}

/// §2.1 knows lower case only; meshes have used others, and bytes are compared.
fn is_trust_domain(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TRUST_DOMAIN_BYTES && text.bytes().all(is_id_byte)
}

/// §2.2.
fn is_segment(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && text.bytes().all(is_id_byte)
}

const fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

/// The scheme, and what parts it from the trust domain.
pub const SCHEME: &str = "spiffe://";
/// Istio's node ids begin with the kind of proxy.
const WAYPOINT: &[u8] = b"waypoint~";
/// Filter state that Istio sets.
const PEER_PRINCIPAL: &str = "io.istio.peer_principal";
/// §2.3.
const MAX_ID_BYTES: usize = 2048;
/// §2.1.
const MAX_TRUST_DOMAIN_BYTES: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        for id in [
            "spiffe://mesh",
            "spiffe://cluster.local/ns/agents/sa/mrpink",
            "spiffe://a-b_c.D/1/..x/x.",
        ] {
            assert_eq!(parse(id.as_bytes()), Some(id));
        }
        for id in [
            "",
            "spiffe:/mesh",
            "spiffe://",
            "spiffe:///a",
            "SPIFFE://mesh/a",
            "https://mesh/a",
            "mesh/ns/a",
            "spiffe://mesh/",
            "spiffe://mesh/a/",
            "spiffe://mesh//a",
            "spiffe://mesh/./a",
            "spiffe://mesh/a/..",
            "spiffe://mesh/a%2fb",
            "spiffe://mesh/a b",
            "spiffe://mesh/a\n",
            "spiffe://mesh/ä",
            "spiffe://mesh:80/a",
            "spiffe://u@mesh/a",
            "spiffe://mesh/a?b",
            "spiffe://mesh/a#b",
            "spiffe://mesh/*",
            "spiffe://mesh/a,b",
        ] {
            assert_eq!(parse(id.as_bytes()), None, "{id}");
        }
        assert_eq!(parse(b"spiffe://mesh/\xff"), None);
        let long = format!("spiffe://mesh/{}", "a".repeat(2048 - 14));
        assert_eq!(parse(long.as_bytes()), Some(long.as_str()));
        assert_eq!(parse((long + "a").as_bytes()), None);
        let domain = format!("spiffe://{}", "a".repeat(256));
        assert_eq!(parse(domain.as_bytes()), None);
    }

    #[test]
    fn the_proxy_is_asked_where_it_knows() {
        let told = |node_id: &str, known: &[(&str, &[u8])]| {
            let property = |path: &[&str]| {
                let found = known.iter().find(|(name, _)| *name == path.join("/"));
                found.map(|(_, value)| value.to_vec())
            };
            principal(node_id.as_bytes(), property).map(|name| String::from_utf8(name).unwrap())
        };
        let san: (&str, &[u8]) = ("connection/uri_san_peer_certificate", b"spiffe://mesh/a");
        let state: (&str, &[u8]) = ("filter_state/io.istio.peer_principal", b"spiffe://mesh/b");
        let bare: (&str, &[u8]) = ("io.istio.peer_principal", b"mesh/c");
        let id = |text: &str| Some(text.to_owned());
        for node_id in ["", "envoy", "sidecar~1", "router~1"] {
            assert_eq!(
                told(node_id, &[("connection/mtls", &[1]), san, state]),
                id("spiffe://mesh/a")
            );
            assert_eq!(told(node_id, &[("connection/mtls", &[0]), san, state]), None);
            assert_eq!(told(node_id, &[san, state, bare]), None);
            assert_eq!(told(node_id, &[("connection/mtls", &[1])]), None);
        }
        let waypoint = "waypoint~10.0.0.1~a~b";
        assert_eq!(told(waypoint, &[("connection/mtls", &[1]), san]), None);
        assert_eq!(told(waypoint, &[state, bare]), id("spiffe://mesh/b"));
        assert_eq!(told(waypoint, &[bare]), id("spiffe://mesh/c"));
    }

    #[test]
    fn patterns() {
        let exact = |id: &str| Ok(Pattern::Exact(id.to_owned()));
        let prefix = |id: &str| Ok(Pattern::Prefix(id.to_owned()));
        assert_eq!(Pattern::parse("spiffe://mesh/a"), exact("spiffe://mesh/a"));
        assert_eq!(Pattern::parse("spiffe://mesh/a/*"), prefix("spiffe://mesh/a/"));
        assert_eq!(Pattern::parse("spiffe://mesh/*"), prefix("spiffe://mesh/"));
        for text in ["", "*", "mesh/a", "https://mesh/a", "spiffe:/*"] {
            assert_eq!(Pattern::parse(text), Err(PatternError::Scheme), "{text}");
        }
        for text in [
            "spiffe://",
            "spiffe://*",
            "spiffe:///*",
            "spiffe://mesh/a*",
            "spiffe://mesh/*/a",
            "spiffe://mesh/**",
        ] {
            assert_eq!(Pattern::parse(text), Err(PatternError::Id), "{text}");
        }
    }

    #[test]
    fn the_exact_one_wins_then_the_longest_prefix() {
        let mut patterns = Patterns::default();
        for text in [
            "spiffe://mesh/*",
            "spiffe://mesh/ns/a/*",
            "spiffe://mesh/ns/a/sa/x",
            "spiffe://mesh/ns/a/sa/x/*",
        ] {
            patterns.insert(Pattern::parse(text).unwrap(), text);
        }
        for (id, expected) in [
            ("spiffe://mesh/ns/a/sa/x", Some("spiffe://mesh/ns/a/sa/x")),
            ("spiffe://mesh/ns/a/sa/x/y", Some("spiffe://mesh/ns/a/sa/x/*")),
            ("spiffe://mesh/ns/a/sa/xy", Some("spiffe://mesh/ns/a/*")),
            ("spiffe://mesh/ns/a", Some("spiffe://mesh/*")),
            ("spiffe://mesh/ns/ab", Some("spiffe://mesh/*")),
            ("spiffe://mesh", None),
            ("spiffe://mesh.example/ns/a", None),
        ] {
            assert_eq!(patterns.find(id).copied(), expected, "{id}");
        }
    }
}
