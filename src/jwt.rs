//! JSON Web Tokens (RFC 7519) in compact form (RFC 7515 §7.1): is this a token of one of these issuers, for us, now?
//!
//! The steps stand in one order, in [`Verifier::verify`]: size and characters, base64url, header, provider by
//! `iss`, algorithm and `typ` of that provider, key, signature, claims. Nothing in the token chooses how it is
//! verified: the key decides the algorithm, and `jwk`, `jku`, `x5u` and `x5c` are not looked at. What is not known to
//! be good is refused. But for an unknown issuer, no claim is told apart before the signature is good.
//!
//! A [`Verified`] comes from nowhere else, so holding one is the proof.
//!
//! It does not know how a token arrived, what it is answered with, who the caller is to the operator, or where keys
//! come from. It caches nothing. It does not read JWE or the JSON serialisations.

mod claims;
mod compact;
mod error;
#[cfg(not(target_arch = "wasm32"))]
mod findings;
mod provider;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use serde_json::{Map, Value};

use self::claims::Times;
use self::compact::{Compact, Header};
use crate::excerpt::Excerpt;
use crate::json;
use crate::jwks::{AlgorithmSet, Fingerprint, HostSignatures, KeySets};
use crate::time::UnixTime;

pub use self::claims::{ForeignMark, NumericDate, audiences};
pub use self::error::{Error, Malformed, ProvidersError, Segment};
pub use self::provider::{Audiences, MediaType, Provider, SubjectPattern};

/// All providers of a policy.
#[derive(Debug)]
pub struct Verifier {
    providers: Vec<Provider>,
    by_issuer: HashMap<String, usize>,
    /// What any provider allows: the rest is refused before a claim is read.
    algorithms: AlgorithmSet,
    max_token_bytes: usize,
}

impl Verifier {
    /// How long a token may be.
    pub const fn max_token_bytes(&self) -> usize {
        self.max_token_bytes
    }

    /// From the providers; their order gives the index in [`Verified::provider`].
    ///
    /// # Errors
    /// [`ProvidersError`]: issuers are what tells providers apart, so they must differ.
    pub fn new(providers: Vec<Provider>, max_token_bytes: usize) -> Result<Self, ProvidersError> {
        if max_token_bytes > MAX_TOKEN_BYTES {
            return Err(ProvidersError::TokenLimit {
                bytes: max_token_bytes,
            });
        }
        let mut by_issuer = HashMap::with_capacity(providers.len());
        for (index, provider) in providers.iter().enumerate() {
            if provider.issuer == RESERVED_ISSUER {
                return Err(ProvidersError::IssuerReserved { index });
            }
            if let Some(first) = by_issuer.insert(provider.issuer.clone(), index) {
                return Err(ProvidersError::IssuerRepeated { first, index });
            }
        }
        let algorithms = providers.iter().fold(AlgorithmSet::default(), |union, provider| {
            union.union(provider.algorithms)
        });
        Ok(Self {
            providers,
            by_issuer,
            algorithms,
            max_token_bytes,
        })
    }

    /// The providers, in their order.
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// Verifies a token, the bare one without a scheme.
    ///
    /// # Errors
    /// The first [`Error`] in the order of the steps.
    pub fn verify(&self, token: &[u8], means: Means<'_>, now: UnixTime) -> Result<Verified, Error> {
        let compact = Compact::parse(token, self.max_token_bytes)?;
        let header = Header::parse(&compact.header)?;
        if !self.algorithms.contains(header.algorithm) {
            return Err(header.algorithm_not_allowed());
        }
        let claims = json::object(&compact.payload, MAX_DEPTH).map_err(|error| {
            Error::Malformed(Malformed::Json {
                segment: Segment::Payload,
                error,
            })
        })?;
        let (index, provider) = self.provider_of(&claims)?;
        provider.admit(&header)?;
        let key = provider.signer(index, &header, &compact, means)?;
        let times = claims::check(provider, &claims, now)?;
        Ok(Verified {
            claims,
            payload: compact.payload_segment.to_owned(),
            standing: Standing {
                provider: index,
                key,
                times,
            },
        })
    }

    /// Whether a token that was verified before would be verified now: its key stands in its provider's set, and the
    /// time is within its own. All else that is asked of a token changes with the policy only.
    pub fn still_verifies(&self, standing: &Standing, means: Means<'_>, now: UnixTime) -> bool {
        let set = means.keys.get(standing.provider);
        set.is_some_and(|set| set.contains(standing.key)) && self.is_within_times(standing, now)
    }

    /// The second half of [`Verifier::still_verifies`]: for who knows that the set is the one that verified it.
    pub fn is_within_times(&self, standing: &Standing, now: UnixTime) -> bool {
        let provider = self.providers.get(standing.provider);
        provider.is_some_and(|provider| standing.times.check(provider, now).is_ok())
    }

    /// By `iss`, byte for byte. An `iss` that is missing or no string names no provider.
    fn provider_of(&self, claims: &Map<String, Value>) -> Result<(usize, &Provider), Error> {
        let issuer = claims.get("iss").and_then(Value::as_str);
        issuer
            .and_then(|issuer| self.by_issuer.get(issuer))
            .and_then(|index| Some((*index, self.providers.get(*index)?)))
            .ok_or_else(|| Error::IssuerUnknown {
                issuer: issuer.map(Excerpt::new),
            })
    }
}

/// Whether claims that an authorization server vouches for (RFC 7662 §2.2) are good now: those that are there, for not
/// all of them need be. Answers with `exp`.
///
/// # Errors
/// The first [`Error`], in the order of a token's claims.
pub fn check_vouched(
    claims: &Map<String, Value>,
    issuer: Option<&str>,
    audiences: &Audiences,
    now: UnixTime,
) -> Result<Option<NumericDate>, Error> {
    claims::check_vouched(claims, issuer, audiences, now)
}

/// The `exp` of what may be a token, whoever wrote it: for who wants to know when it is of no use any longer, and
/// nothing else.
pub fn unverified_expiry(token: &[u8]) -> Option<NumericDate> {
    let compact = Compact::parse(token, MAX_TOKEN_BYTES).ok()?;
    claims::expiry(&json::object(&compact.payload, MAX_DEPTH).ok()?)
}

/// What verification needs besides the policy.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    /// The keys that stand now, in the order of the providers.
    pub keys: &'a KeySets,
    /// The host's cryptography.
    pub signatures: &'a dyn HostSignatures,
}

/// A token whose signature and claims are good.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    claims: Map<String, Value>,
    payload: String,
    standing: Standing,
}

/// What a later moment may end of a verified token: its times, and its key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    provider: usize,
    key: Fingerprint,
    times: Times,
}

impl Standing {
    /// When the token ends, without any skew of clocks.
    pub fn expires_at(&self) -> UnixTime {
        UnixTime::from_numeric_date(self.times.expires_at().seconds())
    }

    /// The index of the provider.
    pub const fn provider(&self) -> usize {
        self.provider
    }
}

impl Verified {
    /// The index of the provider it is from.
    pub const fn provider(&self) -> usize {
        self.standing.provider
    }

    /// What a later moment may end.
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// The claims. `iss`, and `sub` and `jti` where present, are strings.
    pub const fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The claims as they were received: the second segment of the token, in base64url.
    pub fn payload(&self) -> &str {
        &self.payload
    }

    /// The `exp` claim, without the clock skew. A result must not be kept for longer.
    pub fn expires_at(&self) -> NumericDate {
        self.standing.times.expires_at()
    }

    /// The key that verified it. When the key has left the set, the result no longer stands.
    pub const fn key(&self) -> Fingerprint {
        self.standing.key
    }

    /// The audiences, for a rule that asks for fewer than the provider does.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        claims::audiences(&self.claims)
    }
}

/// How much a token may weigh at the most, whatever an operator sets. Envoy takes 60 KiB of headers by default.
pub const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// How deep header and claims may be nested, the object itself being 1. Real claims stay below 6.
pub const MAX_DEPTH: usize = 16;

/// The issuer that callers with an API key are given, so no provider may have it.
pub const RESERVED_ISSUER: &str = "api-key";
