//! Problems with a provider and its keys.

use std::fmt;

use crate::claims::ClaimPathError;
use crate::config::problem::did_you_mean;
use crate::excerpt::Excerpt;
use crate::jwks;

/// What is wrong with a provider.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "what a variant says tells what its fields hold")]
pub enum ProviderProblem {
    /// Another provider has the issuer.
    IssuerTwice(Excerpt),
    /// The filter itself writes the issuer, for callers with another credential.
    IssuerReserved(&'static str),
    /// Neither audiences nor the word that any will do.
    AudiencesMissing,
    /// A claim path.
    ClaimPath(ClaimPathError),
    /// No algorithm has this name; those that are known.
    AlgorithmUnknown {
        name: Excerpt,
        nearest: Option<&'static str>,
        known: Vec<&'static str>,
    },
    /// HMAC with public keys.
    AlgorithmNeedsSecrets(jwks::Algorithm),
    /// A signature algorithm with shared secrets.
    AlgorithmNeedsKeys(jwks::Algorithm),
    /// An inline key set.
    KeySet(jwks::Error),
    /// An inline key set without one key that can be used; why the first is not.
    NoUsableKey(Option<jwks::SkipReason>),
    /// None of the keys serves one of the algorithms; what they serve.
    NoKeyForAlgorithms(Vec<&'static str>),
    /// A shared secret has fewer bytes than the hash of its algorithm.
    SecretTooShort {
        algorithm: jwks::Algorithm,
        bytes: usize,
        minimum: usize,
    },
    /// A `kid` has more bytes than any token's may have.
    KidTooLong(usize),
    /// There are more secrets of one `kid` and algorithm than are ever tried.
    TooManySecrets,
}

impl ProviderProblem {
    pub(super) fn help(&self) -> Option<String> {
        match self {
            Self::AlgorithmUnknown {
                nearest: Some(nearest),
                ..
            } => Some(did_you_mean(nearest)),
            Self::AlgorithmUnknown { known, .. } => Some(format!("known are {}", known.join(", "))),
            Self::AlgorithmNeedsSecrets(_) => Some(
                "with `jwks: {secrets: [{alg, secret}]}` both sides hold the key; a public key is no secret"
                    .into(),
            ),
            Self::NoKeyForAlgorithms(served) => Some(format!("its keys serve {}", served.join(", "))),
            Self::AudiencesMissing => Some(
                "whom the tokens are for; `insecure_any_audience: true` takes those of other services too"
                    .into(),
            ),
            Self::IssuerTwice(_) => Some("tokens are told apart by their issuer".into()),
            Self::SecretTooShort { .. } => {
                Some("RFC 7518 §3.2: no shorter than the output of the hash".into())
            }
            Self::IssuerReserved(_)
            | Self::ClaimPath(_)
            | Self::AlgorithmNeedsKeys(_)
            | Self::KeySet(_)
            | Self::NoUsableKey(_)
            | Self::KidTooLong(_)
            | Self::TooManySecrets => None,
        }
    }
}

impl fmt::Display for ProviderProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IssuerTwice(provider) => write!(formatter, "is the issuer of provider `{provider}` too"),
            Self::IssuerReserved(issuer) => {
                write!(formatter, "`{issuer}` is the issuer that peergate itself names")
            }
            Self::AudiencesMissing => formatter.write_str("is required"),
            Self::ClaimPath(error) => write!(formatter, "claim path {error}"),
            Self::AlgorithmUnknown { name, .. } => write!(formatter, "unknown algorithm `{name}`"),
            Self::AlgorithmNeedsSecrets(algorithm) => {
                write!(formatter, "`{algorithm}` cannot be verified with a key set")
            }
            Self::AlgorithmNeedsKeys(algorithm) => {
                write!(formatter, "`{algorithm}` cannot be verified with shared secrets")
            }
            Self::KeySet(error) => write!(formatter, "is not a key set: {error}"),
            Self::NoUsableKey(None) => formatter.write_str("has no key"),
            Self::NoUsableKey(Some(reason)) => {
                write!(formatter, "has no key that can be used; the first: {reason}")
            }
            Self::NoKeyForAlgorithms(_) => {
                formatter.write_str("no key of the provider serves any of these algorithms")
            }
            Self::SecretTooShort {
                algorithm,
                bytes,
                minimum,
            } => {
                write!(formatter, "secret has {bytes} bytes, {algorithm} needs {minimum}")
            }
            Self::KidTooLong(bytes) => {
                write!(formatter, "has {bytes} bytes, more than {}", jwks::MAX_KID_BYTES)
            }
            Self::TooManySecrets => {
                write!(
                    formatter,
                    "more than {} secrets have this `kid` and `alg`",
                    jwks::MAX_CANDIDATES
                )
            }
        }
    }
}
