//! Private keys of RSA, from a JWK or from PKCS#1.

use serde_json::{Map, Value};

use super::key::{KeyError, number};
use crate::jwks::Hash;
use crate::jwks::der::{self, INTEGER};
use crate::secret::Secret;
use crate::signer::RsaPrivateKey;

/// An RSA key with its numbers, in the order of RFC 8017 §A.1.2: n, e, d, p, q, d mod (p−1), d mod (q−1), the inverse of q.
pub(super) struct Rsa {
    numbers: [Secret<Vec<u8>>; 8],
    key: RsaPrivateKey,
}

impl Rsa {
    /// From the contents of an `RSAPrivateKey`.
    pub(super) fn from_pkcs1(contents: &[u8]) -> Result<Self, KeyError> {
        let mut rest = contents;
        let mut next = || {
            let number = der::take(&mut rest, INTEGER).ok_or(KeyError::Malformed)?;
            Ok(Secret::new(number.strip_prefix(&[0]).unwrap_or(number).to_vec()))
        };
        // The version.
        let _: Secret<Vec<u8>> = next()?;
        let numbers = [
            next()?,
            next()?,
            next()?,
            next()?,
            next()?,
            next()?,
            next()?,
            next()?,
        ];
        let key = RsaPrivateKey::read(contents).ok_or(KeyError::Malformed)?;
        Ok(Self { numbers, key })
    }

    /// RFC 7518 §6.3.2. All numbers must be there: from n, e and d alone nothing is computed here.
    pub(super) fn from_jwk(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        let mut contents = der::integer(&[0]);
        for name in MEMBERS {
            contents.extend(der::integer(number(jwk, name)?.expose()));
        }
        let contents = Secret::new(contents);
        Self::from_pkcs1(contents.expose())
    }

    /// The members of a JWK, all of which are base64url.
    pub(super) fn members(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let numbers = self.numbers.iter().map(|number| number.expose().as_slice());
        MEMBERS.into_iter().zip(numbers)
    }

    /// RFC 8017 §8.2.1.
    pub(super) fn sign_pkcs1(&self, hash: Hash, message: &[u8]) -> Option<Vec<u8>> {
        self.key.sign_pkcs1(hash, message)
    }

    /// RFC 8017 §8.1.1, with a salt as long as the hash (RFC 7518 §3.5).
    pub(super) fn sign_pss(&self, hash: Hash, message: &[u8], salt: &[u8]) -> Option<Vec<u8>> {
        self.key.sign_pss(hash, message, salt.get(..hash.bytes())?)
    }
}

const MEMBERS: [&str; 8] = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];
