//! One fetch: what to ask next, and what an answer is worth. Nothing that is not a good answer gives keys.

use std::fmt;

use super::source::{Location, Source};
use crate::callout::{Answer, Body, Endpoint};
use crate::excerpt::Excerpt;
use crate::json;
use crate::jwks::{self, KeySet};
use crate::metadata;

/// A fetch on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// The metadata was asked for.
    Metadata,
    /// The key set was.
    KeySet,
}

/// What a good answer leads to.
pub(super) enum Next {
    /// The key set stands here.
    Ask(Endpoint),
    /// The key set, as it came.
    Done(Fetched),
}

/// A key set that was fetched.
pub(super) struct Fetched {
    pub(super) document: Vec<u8>,
    pub(super) keys: KeySet,
    /// For how many seconds the answer says that it is good (RFC 9111 §5.2.2.1).
    pub(super) max_age_seconds: Option<u64>,
}

/// What to ask first.
pub(super) fn first(source: &Source) -> (Stage, &Endpoint) {
    match &source.location {
        Location::KeySet(endpoint) => (Stage::KeySet, endpoint),
        Location::Metadata { metadata, .. } => (Stage::Metadata, metadata),
    }
}

/// What an answer leads to.
pub(super) fn next(source: &Source, stage: &Stage, answer: Answer) -> Result<Next, FetchError> {
    let (max_age_seconds, document) = read(answer)?;
    match (stage, &source.location) {
        (Stage::KeySet, _) | (Stage::Metadata, Location::KeySet(_)) => Ok(Next::Done(Fetched {
            keys: key_set(&document)?,
            document,
            max_age_seconds,
        })),
        (Stage::Metadata, Location::Metadata { metadata, key_set }) => {
            let issuer = &source.issuer;
            let document = metadata::read(issuer, &document).map_err(FetchError::Metadata)?;
            let named = || metadata::endpoint(&document, "jwks_uri", issuer, metadata);
            let endpoint = key_set.clone().map_or_else(named, Ok);
            endpoint.map(Next::Ask).map_err(FetchError::Metadata)
        }
    }
}

/// A key set document with at least one key that can be used.
pub(super) fn key_set(document: &[u8]) -> Result<KeySet, FetchError> {
    let document = json::object(document, MAX_DEPTH).map_err(FetchError::Json)?;
    let keys = KeySet::from_jwks(&document).map_err(FetchError::KeySet)?;
    match keys.is_empty() {
        true => Err(FetchError::NoUsableKey {
            skipped: keys.skipped().len(),
        }),
        false => Ok(keys),
    }
}

fn read(answer: Answer) -> Result<(Option<u64>, Vec<u8>), FetchError> {
    let (headers, body) = match answer {
        Answer::Received { headers, body } => (headers, body),
        Answer::Nothing => return Err(FetchError::NoAnswer),
        Answer::NotSent => return Err(FetchError::NoCluster),
    };
    let status = headers.first(b":status").unwrap_or_default();
    if status != b"200" {
        return Err(FetchError::Status {
            status: Excerpt::new(&String::from_utf8_lossy(status)),
        });
    }
    let max_age = headers
        .all(b"cache-control")
        .find_map(|value| max_age(&String::from_utf8_lossy(value)));
    match body {
        Body::Whole(body) if body.len() <= MAX_DOCUMENT_BYTES => Ok((max_age, body)),
        Body::Whole(body) => Err(FetchError::TooLong { bytes: body.len() }),
        Body::TooLong { bytes } => Err(FetchError::TooLong { bytes }),
    }
}

/// The `max-age` of a `Cache-Control`. `no-cache` and `no-store` are said of nearly everything, key sets that last for
/// months among it, and are not listened to: every proxy of a mesh would ask again and again.
fn max_age(value: &str) -> Option<u64> {
    value.split(',').find_map(|directive| {
        let (name, argument) = directive.split_once('=')?;
        let is_meant = name.trim().eq_ignore_ascii_case("max-age");
        is_meant.then(|| argument.trim().trim_matches('"').parse().ok())?
    })
}

/// Why a fetch gave no keys. For logs: what comes from the server is cut and escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchError {
    /// The proxy has no such cluster.
    NoCluster,
    /// No answer came.
    NoAnswer,
    /// An answer of another status than 200; redirects are not followed.
    Status {
        /// The status.
        status: Excerpt,
    },
    /// The document is longer than [`MAX_DOCUMENT_BYTES`].
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The document is no JSON object.
    Json(json::Error),
    /// The metadata is of no use.
    Metadata(metadata::Error),
    /// The document is no key set.
    KeySet(jwks::Error),
    /// The key set has no key that can be used.
    NoUsableKey {
        /// How many it has that cannot.
        skipped: usize,
    },
}

impl FetchError {
    /// A stable name for metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoCluster => "no_cluster",
            Self::NoAnswer => "no_answer",
            Self::Status { .. } => "status",
            Self::TooLong { .. } => "too_long",
            Self::Json(_) | Self::Metadata(metadata::Error::Json(_)) => "malformed",
            Self::Metadata(metadata::Error::Issuer { .. }) => "issuer_differs",
            Self::Metadata(
                metadata::Error::Missing { .. }
                | metadata::Error::Url { .. }
                | metadata::Error::Elsewhere { .. },
            ) => "jwks_uri",
            Self::KeySet(_) => "no_key_set",
            Self::NoUsableKey { .. } => "no_usable_key",
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCluster => formatter.write_str("the proxy has no such cluster"),
            Self::NoAnswer => formatter.write_str("no answer"),
            Self::Status { status } => write!(formatter, "status {status}"),
            Self::TooLong { bytes } => {
                write!(
                    formatter,
                    "a document of {bytes} bytes, more than {MAX_DOCUMENT_BYTES}"
                )
            }
            Self::Json(error) => write!(formatter, "the document: {error}"),
            Self::Metadata(error) => error.fmt(formatter),
            Self::KeySet(error) => write!(formatter, "not a key set: {error}"),
            Self::NoUsableKey { skipped: 0 } => formatter.write_str("a key set without keys"),
            Self::NoUsableKey { skipped } => {
                write!(formatter, "none of the {skipped} keys of the set can be used")
            }
        }
    }
}

impl std::error::Error for FetchError {}

/// How much of an answer is read: ten times what the largest of real sets weigh.
pub const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

/// As tokens: real metadata nests 4 deep.
const MAX_DEPTH: usize = 16;
