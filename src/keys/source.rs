//! Where the keys of a provider are published.

use crate::callout::Endpoint;

/// The published keys of one provider, and how long a set may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name of the provider, for logs and metrics.
    pub provider: String,
    /// Its issuer, which metadata must name byte for byte (OpenID Connect Discovery 1.0 §4.3, RFC 8414 §3.3).
    pub issuer: String,
    /// Where.
    pub location: Location,
    /// How long.
    pub cache: CacheTimes,
}

/// Where a key set stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// At a URL that is known (`remote`).
    KeySet(Endpoint),
    /// Where the issuer's metadata says (`discovery`).
    Metadata {
        /// The metadata: of OpenID Connect Discovery 1.0 or of RFC 8414.
        metadata: Endpoint,
        /// Asked in place of the `jwks_uri` of the metadata (`jwks_uri`).
        key_set: Option<Endpoint>,
    },
}

/// How long a key set is used (`jwks.cache`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheTimes {
    /// After how many seconds it is fetched again, at the latest.
    pub seconds: u32,
    /// After how many seconds without a newer one it is believed no more.
    pub max_stale_seconds: u32,
    /// How many seconds are between two fetches because of keys that are not in the set, at the least.
    pub unknown_kid_interval_seconds: u32,
}

impl Source {
    /// What the name is made of under which workers share what they know of it: all that decides what is fetched. How
    /// long a set may be used is not part of it: a policy that changes it in an outage keeps its keys.
    pub(super) fn canonical(&self) -> String {
        let mut parts = vec![self.issuer.clone()];
        let endpoints = match &self.location {
            Location::KeySet(key_set) => [Some(key_set), None, None],
            Location::Metadata { metadata, key_set } => [None, Some(metadata), key_set.as_ref()],
        };
        for endpoint in endpoints {
            parts.push(endpoint.map_or_else(String::new, |endpoint| {
                format!("{} {}", endpoint.cluster, endpoint.url)
            }));
        }
        // Each with its length, so that no two lists run together.
        parts
            .iter()
            .map(|part| format!("{}:{part}", part.len()))
            .collect()
    }

    /// How many seconds a whole fetch may take.
    pub(super) fn longest_fetch_seconds(&self) -> u64 {
        match &self.location {
            Location::KeySet(key_set) => key_set.timeout_seconds.into(),
            Location::Metadata { metadata, key_set } => {
                let second = key_set.as_ref().unwrap_or(metadata);
                u64::from(metadata.timeout_seconds) + u64::from(second.timeout_seconds)
            }
        }
    }
}
