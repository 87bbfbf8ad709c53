//! What a token of one issuer must satisfy.

use super::Means;
use super::compact::{Compact, Header};
use super::error::Error;
use crate::excerpt::Excerpt;
use crate::jwks::{AlgorithmSet, Fingerprint, NoKey};

/// An issuer, and what its tokens must satisfy.
#[derive(Debug)]
pub struct Provider {
    /// Its name in the policy.
    pub name: String,
    /// Its `iss`, byte for byte: a trailing slash counts.
    pub issuer: String,
    /// For whom its tokens may be.
    pub audiences: Audiences,
    /// Whether its keys are shared secrets, for HS256, HS384 and HS512.
    pub is_symmetric: bool,
    /// Which algorithms it may use. Those of the other kind than its keys are refused whatever stands here.
    pub algorithms: AlgorithmSet,
    /// Which header `typ` its tokens may have. Empty: any but those of ID tokens and logout tokens, which are then
    /// also known by weaker marks ([`super::ForeignMark`]).
    pub types: Vec<MediaType>,
    /// How far its clock may be off. It is added to `exp` and `iat`, and taken from `nbf`.
    pub clock_skew_seconds: u16,
    /// How far `exp` may be from `iat`; `iat` is then required.
    pub max_lifetime_seconds: Option<u32>,
    /// Claims that must be there besides `exp`, by their names at the top level.
    pub required_claims: Vec<String>,
    /// Which `sub` its tokens may have; `sub` is then required. Empty: any, and none.
    pub subjects: Vec<SubjectPattern>,
}

impl Provider {
    /// What the header must satisfy at this provider.
    pub(super) fn admit(&self, header: &Header) -> Result<(), Error> {
        // HMAC with a public key as its secret, or a public key where a secret was meant: never.
        let kinds_differ = header.algorithm.is_symmetric() != self.is_symmetric;
        if kinds_differ || !self.algorithms.contains(header.algorithm) {
            return Err(header.algorithm_not_allowed());
        }
        let typ = header.typ.as_deref();
        let admitted = if self.types.is_empty() {
            !typ.is_some_and(|typ| FOREIGN_TYPES.iter().any(|foreign| same_type(typ, foreign)))
        } else {
            // RFC 7519 §5.1: `typ` is optional, and `JWT` says no more than its absence.
            self.types
                .iter()
                .any(|allowed| allowed.matches(typ.unwrap_or("JWT")))
        };
        if admitted {
            Ok(())
        } else {
            Err(Error::TypeNotAllowed {
                typ: typ.map(Excerpt::new),
            })
        }
    }

    /// The key that made the signature.
    pub(super) fn signer(
        &self,
        provider: usize,
        header: &Header,
        token: &Compact<'_>,
        means: Means<'_>,
    ) -> Result<Fingerprint, Error> {
        let kid = header.kid.as_deref();
        let keys = means.keys.get(provider).ok_or(Error::KeysMissing { provider })?;
        let mut candidates = keys
            .candidates(kid, header.algorithm)
            .map_err(|no_key| match no_key {
                NoKey::Unknown => Error::KeyUnknown {
                    provider,
                    kid: kid.map(Excerpt::new),
                },
                NoKey::AlgorithmMismatch => Error::KeyMismatch {
                    provider,
                    kid: Excerpt::new(kid.unwrap_or_default()),
                    algorithm: header.algorithm,
                },
            })?;
        candidates
            .find(|key| {
                key.verify(
                    header.algorithm,
                    token.signing_input,
                    &token.signature,
                    means.signatures,
                )
            })
            .map(|key| key.fingerprint())
            .ok_or(Error::SignatureInvalid { provider })
    }
}

/// For whom tokens may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audiences {
    /// For anybody. Insecure: a token that another service received is good here.
    Any,
    /// For one of these, byte for byte.
    OneOf(Vec<String>),
}

/// A `typ` as RFC 7515 §4.1.9 compares it: without case, and `at+jwt` is `application/at+jwt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType(String);

impl MediaType {
    /// From either form.
    pub fn new(name: &str) -> Self {
        Self(without_application(name).to_ascii_lowercase())
    }

    /// In the short form, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `typ` is this type, in either form.
    pub fn matches(&self, typ: &str) -> bool {
        same_type(typ, &self.0)
    }
}

/// Which `sub` is allowed, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectPattern {
    /// This one.
    Exact(String),
    /// Those that start so.
    Prefix(String),
    /// Those that end so.
    Suffix(String),
}

impl SubjectPattern {
    /// Whether the subject fits.
    pub fn matches(&self, subject: &str) -> bool {
        match self {
            Self::Exact(exact) => subject == exact,
            Self::Prefix(prefix) => subject.starts_with(prefix),
            Self::Suffix(suffix) => subject.ends_with(suffix),
        }
    }
}

/// `short` must be in the short form.
fn same_type(typ: &str, short: &str) -> bool {
    without_application(typ).eq_ignore_ascii_case(short)
}

/// The prefix is left out only where no other `/` follows (RFC 7515 §4.1.9).
fn without_application(name: &str) -> &str {
    match name.split_at_checked(APPLICATION.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(APPLICATION) && !rest.contains('/') => rest,
        _ => name,
    }
}

const APPLICATION: &str = "application/";

/// Header types of tokens that say nothing about access. Logout tokens: OpenID Connect Back-Channel Logout 1.0 §2.4.
/// ID tokens have no standard one; `id_token+jwt` is what Connect2id sends for explicitly typed ones, `id+jwt` what
/// several smaller servers do.
const FOREIGN_TYPES: [&str; 3] = ["logout+jwt", "id_token+jwt", "id+jwt"];
