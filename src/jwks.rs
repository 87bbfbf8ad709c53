//! Key sets: which keys may have signed a token, and whether one of them did.
//!
//! A set comes from a JWK Set document (RFC 7517 §5) or from shared secrets, never from both: a document never
//! gives a key for an HMAC, so a public key can never be used as a secret. A document is read key by key: what is
//! bad or unknown is left out and recorded, and the rest is used. Each key is made ready once, when the set is
//! read.
//!
//! It does not fetch, and it does not know which issuer a set belongs to, how old it is, or when to fetch again.
//! It does not follow `jku`, `x5u` or `x5c`.

mod algorithm;
pub(crate) mod der;
mod hash;
mod host;
mod jwk;
mod key;
mod modular;
mod rsa;
mod secrets;
mod sets;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde_json::{Map, Value};

use crate::excerpt::Excerpt;

pub use self::algorithm::{Algorithm, AlgorithmSet};
pub use self::hash::Hash;
pub use self::host::{HostScheme, HostSignatures, NoHostSignatures, Proven, VerifiedBy};
pub use self::jwk::{MAX_RSA_BITS, MIN_RSA_BITS, SkipReason};
pub use self::key::{Fingerprint, Key};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use self::key::{rsa_scheme, tag};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use self::rsa::Padding;
pub(crate) use self::rsa::{pkcs1, pss};
pub use self::secrets::{SecretError, SharedSecret};
pub use self::sets::KeySets;

/// The keys of one issuer. The default is a set without keys, as before the first one has been fetched.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    by_kid: HashMap<String, Candidates>,
    for_tokens_without_kid: Candidates,
    fingerprints: HashSet<Fingerprint>,
    skipped: Vec<Skipped>,
    symmetric: bool,
}

impl KeySet {
    /// From a JWK Set document. The set may turn out to have no keys: see [`KeySet::len`] and [`KeySet::skipped`].
    ///
    /// # Errors
    /// [`Error`] if the document as a whole is none; a bad key is only left out.
    pub fn from_jwks(document: &Map<String, Value>) -> Result<Self, Error> {
        let Some(Value::Array(entries)) = document.get("keys") else {
            return Err(Error::KeysMissing);
        };
        if entries.len() > MAX_KEYS {
            return Err(Error::TooManyKeys { count: entries.len() });
        }
        let mut set = Self::default();
        for (index, entry) in entries.iter().enumerate() {
            let kid = jwk::kid(entry);
            let shown = kid.as_ref().ok().copied().flatten().map(Excerpt::new);
            let added = kid.and_then(|kid| set.add(kid, jwk::key(entry, kid)?));
            if let Err(reason) = added {
                set.skipped.push(Skipped {
                    index,
                    kid: shown,
                    reason,
                });
            }
        }
        Ok(set)
    }

    /// The keys to try, at most [`MAX_CANDIDATES`], in the order of the set. The cost does not grow with the set.
    ///
    /// A token with a `kid` is served by the keys of exactly this `kid`; a token without one by any key that fits.
    /// A key without `kid` serves only tokens without `kid`.
    ///
    /// # Errors
    /// [`NoKey`] if there is none, never an empty iterator.
    pub fn candidates(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<impl Iterator<Item = &Key>, NoKey> {
        let (candidates, none_fits) = match kid {
            Some(kid) => (
                self.by_kid.get(kid).ok_or(NoKey::Unknown)?,
                NoKey::AlgorithmMismatch,
            ),
            None => (&self.for_tokens_without_kid, NoKey::Unknown),
        };
        let mut keys = candidates
            .serving(algorithm)
            .filter_map(|index| self.keys.get(index))
            .peekable();
        match keys.peek() {
            Some(_) => Ok(keys),
            None => Err(none_fits),
        }
    }

    /// Whether a key of this fingerprint is in the set: a result that it verified still stands.
    pub fn contains(&self, fingerprint: Fingerprint) -> bool {
        self.fingerprints.contains(&fingerprint)
    }

    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key can be used.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether the keys are shared secrets.
    pub const fn is_symmetric(&self) -> bool {
        self.symmetric
    }

    /// The keys that were left out, in the order of the document.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    fn add(&mut self, kid: Option<&str>, key: Key) -> Result<(), SkipReason> {
        let (index, algorithms) = (self.keys.len(), key.algorithms());
        let for_kid = kid.map(|kid| {
            let candidates = self.by_kid.entry(kid.to_owned()).or_default();
            candidates.place(index, algorithms)
        });
        // The key of a `kid` that is full is not added, so it must not be found without `kid` either.
        if for_kid == Some(false) {
            return Err(SkipReason::NeverTried);
        }
        let without_kid = self.for_tokens_without_kid.place(index, algorithms);
        if for_kid.is_none() && !without_kid {
            return Err(SkipReason::NeverTried);
        }
        self.fingerprints.insert(key.fingerprint());
        self.keys.push(key);
        Ok(())
    }
}

/// A key that was left out of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its place in `keys`, from 0.
    pub index: usize,
    /// Its `kid`, if it has one that could be used.
    pub kid: Option<Excerpt>,
    /// Why.
    pub reason: SkipReason,
}

impl fmt::Display for Skipped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kid {
            Some(kid) => write!(formatter, "keys[{}] `{kid}`: {}", self.index, self.reason),
            None => write!(formatter, "keys[{}]: {}", self.index, self.reason),
        }
    }
}

/// Why a set has no key for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoKey {
    /// No key has this `kid`; for a token without `kid`, no key serves this algorithm. A newer set may have one.
    Unknown,
    /// The `kid` is there, but no key of it serves this algorithm.
    AlgorithmMismatch,
}

/// Why a document is no key set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// There is no member `keys` with an array (RFC 7517 §5.1).
    KeysMissing,
    /// There are more than [`MAX_KEYS`] keys.
    TooManyKeys {
        /// How many.
        count: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeysMissing => formatter.write_str("no array `keys`"),
            Self::TooManyKeys { count } => write!(formatter, "{count} keys, more than {MAX_KEYS}"),
        }
    }
}

impl std::error::Error for Error {}

/// Places of keys in a set, each with the algorithms for which it is tried. No algorithm has more than
/// [`MAX_CANDIDATES`], which bounds the list as well.
#[derive(Debug, Default)]
struct Candidates(Vec<(usize, AlgorithmSet)>);

impl Candidates {
    /// Places a key for those of its algorithms that have room; false if none has.
    fn place(&mut self, index: usize, algorithms: AlgorithmSet) -> bool {
        let free: AlgorithmSet = algorithms
            .iter()
            .filter(|algorithm| self.serving(*algorithm).count() < MAX_CANDIDATES)
            .collect();
        if free.is_empty() {
            return false;
        }
        self.0.push((index, free));
        true
    }

    fn serving(&self, algorithm: Algorithm) -> impl Iterator<Item = usize> {
        self.0
            .iter()
            .filter(move |(_, algorithms)| algorithms.contains(algorithm))
            .map(|(index, _)| *index)
    }
}

/// How many keys are tried for one token: a few of one `kid` stand beside each other while a provider rotates, and
/// each more is a verification that an attacker gets for a forged signature.
pub const MAX_CANDIDATES: usize = 4;

/// How long a `kid` may be. RFC 7517 sets no limit; a hash in hex or a URL fits.
pub const MAX_KID_BYTES: usize = 256;

/// How many keys a set may have. Real sets have fewer than ten; the performance goals go up to this number.
pub const MAX_KEYS: usize = 10_000;
