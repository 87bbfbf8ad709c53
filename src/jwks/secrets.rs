//! Key sets of shared secrets, for HS256, HS384 and HS512. They come from the operator, who sees every error.

use std::fmt;

use super::algorithm::{Algorithm, AlgorithmSet};
use super::jwk::kid_identity;
use super::key::{Key, Material};
use super::{KeySet, MAX_KID_BYTES};
use crate::secret::Secret;

/// A secret that an issuer shares with this filter.
#[derive(Debug, Clone)]
pub struct SharedSecret {
    /// The `kid` of the tokens it signs; without one it serves tokens without `kid`.
    pub kid: Option<String>,
    /// HS256, HS384 or HS512: the one algorithm it serves.
    pub algorithm: Algorithm,
    /// The secret's bytes.
    pub secret: Secret<Vec<u8>>,
}

impl KeySet {
    /// From shared secrets, all of which must be usable: these are the operator's own.
    ///
    /// # Errors
    /// The first [`SecretError`].
    pub fn from_secrets(secrets: &[SharedSecret]) -> Result<Self, SecretError> {
        let mut set = Self {
            symmetric: true,
            ..Self::default()
        };
        for (index, shared) in secrets.iter().enumerate() {
            let kid = shared.kid.as_deref();
            let key = shared.key(index)?;
            set.add(kid, key).map_err(|_| SecretError::NeverTried { index })?;
        }
        Ok(set)
    }
}

impl SharedSecret {
    fn key(&self, index: usize) -> Result<Key, SecretError> {
        let kid = self.kid.as_deref();
        if let Some(bytes) = kid.map(str::len).filter(|bytes| *bytes > MAX_KID_BYTES) {
            return Err(SecretError::KidTooLong { index, bytes });
        }
        let secret = self.secret.expose().as_slice();
        let minimum = self.algorithm.hmac_bytes().ok_or(SecretError::NotSymmetric {
            index,
            algorithm: self.algorithm,
        })?;
        if secret.len() < minimum {
            return Err(SecretError::TooShort {
                index,
                bytes: secret.len(),
                minimum,
            });
        }
        let algorithms = AlgorithmSet::of(&[self.algorithm]);
        Ok(Key::new(
            algorithms,
            Material::Hmac(self.secret.clone()),
            &[kid_identity(kid), (b"oct", secret)],
        ))
    }
}

/// Why shared secrets make no key set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretError {
    /// The algorithm is no HMAC.
    NotSymmetric {
        /// The place in the list, from 0.
        index: usize,
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// The secret is shorter than the hash (RFC 7518 §3.2).
    TooShort {
        /// The place in the list, from 0.
        index: usize,
        /// The length of the secret.
        bytes: usize,
        /// The least length.
        minimum: usize,
    },
    /// The `kid` is longer than [`MAX_KID_BYTES`].
    KidTooLong {
        /// The place in the list, from 0.
        index: usize,
        /// The length of the `kid`.
        bytes: usize,
    },
    /// As many secrets as are ever tried stand before it under the same `kid` and algorithm.
    NeverTried {
        /// The place in the list, from 0.
        index: usize,
    },
}

impl fmt::Display for SecretError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSymmetric { index, algorithm } => {
                write!(
                    formatter,
                    "secrets[{index}]: `{algorithm}` takes no shared secret"
                )
            }
            Self::TooShort {
                index,
                bytes,
                minimum,
            } => write!(formatter, "secrets[{index}]: {bytes} bytes, below {minimum}"),
            Self::KidTooLong { index, bytes } => write!(
                formatter,
                "secrets[{index}]: `kid` has {bytes} bytes, more than {MAX_KID_BYTES}"
            ),
            Self::NeverTried { index } => write!(
                formatter,
                "secrets[{index}]: too many secrets of this `kid` and algorithm before it"
            ),
        }
    }
}

impl std::error::Error for SecretError {}
