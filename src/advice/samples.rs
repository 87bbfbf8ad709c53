//! Requests that are made up to see which rule decides them: what is said of a policy is tried on it first.

use crate::advice::conditions::{Viewed, sample_value};
use crate::authority::Authority;
use crate::http::{Headers, Request};
use crate::matcher::{HeaderMatch, HostMatch};
use crate::path::RequestPath;
use crate::policy::rule::Condition;

/// A request that is made up. It carries no credential: rules are matched without.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) method: String,
    pub(super) host: String,
    pub(super) path: String,
    /// Names in lower case, and values.
    pub(super) headers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Sample {
    /// The rule that decides it, among those that are enforced.
    pub(super) fn decided_by(&self, rules: &[Viewed<'_>]) -> Option<usize> {
        self.first(rules, |viewed| viewed.is_enforced())
    }

    /// Whether a rule matches it, in shadow or not.
    pub(super) fn is_matched_by(&self, rule: &Viewed<'_>) -> bool {
        self.first([rule], |_| true).is_some()
    }

    fn first<'v, 'p: 'v>(
        &self,
        rules: impl IntoIterator<Item = &'v Viewed<'p>>,
        counts: impl Fn(&Viewed<'_>) -> bool,
    ) -> Option<usize> {
        let asked = [
            (":method", &self.method),
            (":authority", &self.host),
            (":path", &self.path),
        ]
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        let request = Request {
            headers: Headers::new(asked.into_iter().chain(self.headers.iter().cloned())),
            ..Request::default()
        };
        let authority = Authority::parse(self.host.as_bytes()).ok()?;
        let path = RequestPath::classify(self.path.as_bytes()).ok()?;
        rules.into_iter().position(|viewed| {
            let condition = &viewed.rule.condition;
            counts(viewed)
                && condition.matches_target(&request, &authority, &path)
                && condition.matches_headers(&request.headers) == Ok(true)
        })
    }

    /// The same with another path.
    pub(super) fn with_path(&self, path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..self.clone()
        }
    }

    /// The same with other headers.
    pub(super) fn with_headers(&self, headers: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        Self {
            headers,
            ..self.clone()
        }
    }
}

/// Headers that pass all of these tests; `None` if two of them exclude each other.
pub(super) fn headers_for<'m>(
    matches: impl IntoIterator<Item = &'m HeaderMatch>,
) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut headers: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for header in matches {
        let Some(value) = sample_value(header.test()) else {
            continue;
        };
        match headers.iter().find(|(name, _)| name == header.name()) {
            Some((_, other)) if other != value.as_bytes() => return None,
            Some(_) => {}
            None => headers.push((header.name().to_vec(), value.as_bytes().to_vec())),
        }
    }
    Some(headers)
}

/// Hosts that tell the rules apart: one for each that is named, and one that none names.
#[derive(Debug)]
pub(super) struct Hosts {
    named: Vec<String>,
}

impl Hosts {
    /// Of these rules.
    pub(super) fn of(rules: &[Viewed<'_>]) -> Self {
        let mut named: Vec<String> = rules
            .iter()
            .flat_map(|viewed| &viewed.rule.condition.hosts)
            .map(sample_host)
            .take(MAX_HOSTS)
            .collect();
        named.sort();
        named.dedup();
        Self { named }
    }

    /// Whether some rule names a host.
    pub(super) const fn are_told_apart(&self) -> bool {
        !self.named.is_empty()
    }

    /// All of them, the one that nobody names first.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        std::iter::once(NOBODYS_HOST).chain(self.named.iter().map(String::as_str))
    }

    /// One that both rules match.
    pub(super) fn common(&self, one: &Condition, other: &Condition) -> Option<&str> {
        self.all().find(|host| names(one, host) && names(other, host))
    }

    /// One that the rule matches.
    pub(super) fn inside(&self, condition: &Condition) -> Option<&str> {
        self.all().find(|host| names(condition, host))
    }

    /// All that the rule matches.
    pub(super) fn all_inside(&self, condition: &Condition) -> impl Iterator<Item = &str> {
        self.all().filter(move |host| names(condition, host))
    }

    /// One that the rule does not match.
    pub(super) fn outside(&self, condition: &Condition) -> Option<&str> {
        self.all().find(|host| !names(condition, host))
    }
}

/// Whether a rule is for this host.
fn names(condition: &Condition, host: &str) -> bool {
    condition.hosts.is_empty()
        || Authority::parse(host.as_bytes())
            .is_ok_and(|authority| condition.hosts.iter().any(|host| host.matches(&authority)))
}

fn sample_host(host: &HostMatch) -> String {
    match (host.exact(), host.below()) {
        (Some(address), _) if address.contains(':') => format!("[{address}]"),
        (Some(host), _) => host.to_owned(),
        (None, domain) => format!("peergate-sample{}", domain.unwrap_or_default()),
    }
}

/// RFC 6761 §6.4: nobody has a host there.
pub(super) const NOBODYS_HOST: &str = "peergate-sample.invalid";
/// Ours: bounds the work for a policy with very many.
const MAX_HOSTS: usize = 200;
