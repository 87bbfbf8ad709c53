//! One key: which algorithms it serves, and whether a signature is its own.

use std::fmt;

use ed25519_dalek::VerifyingKey as Ed25519Key;
use hmac::{Hmac, KeyInit, Mac};
use jwt_simple::algorithms::{
    ECDSAP256PublicKeyLike, ECDSAP384PublicKeyLike, ES256PublicKey, ES384PublicKey,
};
use p256::ecdsa::signature::Verifier as _;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::algorithm::{Algorithm, AlgorithmSet};
use super::der;
use super::hash::Hash;
use super::host::{HostScheme, HostSignatures, VerifiedBy};
use super::rsa::{Padding, RsaKey};
use crate::secret::{Secret, constant_time_eq};

/// A key that verifies signatures, ready for use: nothing of it is parsed again per token.
pub struct Key {
    algorithms: AlgorithmSet,
    material: Material,
    fingerprint: Fingerprint,
    /// The key as a host wants it; none where a host might judge otherwise than this code.
    host_key: Option<Vec<u8>>,
}

impl Key {
    /// A key of this material. `identity` is what tells it from other keys: its `kid`, its type and its numbers, each
    /// with a name.
    pub(super) fn new(algorithms: AlgorithmSet, material: Material, identity: &[(&[u8], &[u8])]) -> Self {
        Self {
            algorithms,
            material,
            fingerprint: Fingerprint::of(algorithms, identity),
            host_key: None,
        }
    }

    /// The same key, which a host may be asked about in this form.
    pub(super) fn with_host_key(mut self, host_key: Vec<u8>) -> Self {
        let is_of_use = self
            .algorithms
            .iter()
            .any(|algorithm| HostScheme::of(algorithm).is_some());
        self.host_key = is_of_use.then_some(host_key);
        self
    }

    /// What the key serves. The key decides the algorithm; the header of a token must agree.
    pub const fn algorithms(&self) -> AlgorithmSet {
        self.algorithms
    }

    /// Tells this key from others.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Whether `signature` is this key's signature, by this algorithm, of `signing_input`: the first two segments of
    /// a token with the dot between them (RFC 7515 §5.2).
    ///
    /// Every verification goes through here. A host with faster cryptography is asked first; what it does not answer is
    /// computed here.
    pub fn verify(
        &self,
        algorithm: Algorithm,
        signing_input: &[u8],
        signature: &[u8],
        host: &dyn HostSignatures,
    ) -> bool {
        if !self.algorithms.contains(algorithm) {
            return false;
        }
        let Some(signature) = self.material.well_formed(signature) else {
            return false;
        };
        let by_host = HostScheme::of(algorithm)
            .zip(self.host_key.as_deref())
            .and_then(|(scheme, key)| match &self.material {
                Material::Rsa(_) => host.verify(scheme, key, signature, signing_input),
                _ => host.verify(scheme, key, &der::ecdsa_signature(signature), signing_input),
            });
        match by_host {
            Some(is_good) => {
                host.note(VerifiedBy::Host);
                is_good
            }
            None => {
                host.note(VerifiedBy::Module);
                self.material.verify(algorithm, signing_input, signature)
            }
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Key")
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

/// Stands for a key where the key itself is not needed, such as beside a cached result. Two keys of one fingerprint
/// are the same key, under the same `kid`, for the same algorithms.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; FINGERPRINT_BYTES]);

impl Fingerprint {
    fn of(algorithms: AlgorithmSet, identity: &[(&[u8], &[u8])]) -> Self {
        let mut hash = Sha256::new();
        for algorithm in algorithms.iter() {
            hash.update(algorithm.name());
            hash.update(b",");
        }
        for (name, value) in identity {
            // Each is hashed by itself, so that no two lists run together.
            hash.update(Sha256::digest(name));
            hash.update(Sha256::digest(value));
        }
        let mut short = [0; FINGERPRINT_BYTES];
        for (to, from) in short.iter_mut().zip(hash.finalize()) {
            *to = from;
        }
        Self(short)
    }
}

/// Without the value: that of a shared secret is a hash of the secret.
impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Fingerprint")
    }
}

/// The key itself, by its type and curve.
pub(super) enum Material {
    Rsa(RsaKey),
    P256(ES256PublicKey),
    P384(ES384PublicKey),
    P521(Box<p521::ecdsa::VerifyingKey>),
    Secp256k1(k256::ecdsa::VerifyingKey),
    Ed25519(Ed25519Key),
    Hmac(Secret<Vec<u8>>),
}

impl Material {
    /// The signature, if it could be one of such a key: what is refused here costs nobody a computation. ECDSA
    /// signatures are R‖S of a fixed length (RFC 7518 §3.4); `from_slice` takes no other length, and no r or s outside
    /// 1..n−1.
    fn well_formed<'s>(&self, signature: &'s [u8]) -> Option<&'s [u8]> {
        let is_well_formed = match self {
            Self::Rsa(key) => signature.len() == key.modulus().len(),
            Self::P256(_) => p256::ecdsa::Signature::from_slice(signature).is_ok(),
            Self::P384(_) => p384::ecdsa::Signature::from_slice(signature).is_ok(),
            Self::P521(_) => p521::ecdsa::Signature::from_slice(signature).is_ok(),
            Self::Secp256k1(_) => k256::ecdsa::Signature::from_slice(signature).is_ok(),
            Self::Ed25519(_) => signature.len() == ed25519_dalek::SIGNATURE_LENGTH,
            Self::Hmac(_) => true,
        };
        is_well_formed.then_some(signature)
    }

    /// An s above n/2 is as good as one below.
    fn verify(&self, algorithm: Algorithm, signing_input: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa(key) => rsa_scheme(algorithm)
                .is_some_and(|(padding, hash)| key.verify(padding, hash, signing_input, signature)),
            Self::P256(key) => p256::ecdsa::Signature::from_slice(signature).is_ok_and(|signature| {
                let key = key.public_key().as_ref();
                key.verify(signing_input, &signature).is_ok()
            }),
            Self::P384(key) => p384::ecdsa::Signature::from_slice(signature).is_ok_and(|signature| {
                let key = key.public_key().as_ref();
                key.verify(signing_input, &signature).is_ok()
            }),
            Self::P521(key) => p521::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(signing_input, &signature).is_ok()),
            // k256 refuses a high s, as Bitcoin does; RFC 8812 §3.2 does not.
            Self::Secp256k1(key) => k256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(signing_input, &signature.normalize_s()).is_ok()),
            Self::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(signing_input, &signature).is_ok()),
            Self::Hmac(secret) => tag(algorithm, secret, signing_input)
                .is_some_and(|expected| constant_time_eq(&expected, signature)),
        }
    }
}

pub(crate) const fn rsa_scheme(algorithm: Algorithm) -> Option<(Padding, Hash)> {
    match algorithm {
        Algorithm::Rs256 => Some((Padding::Pkcs1, Hash::Sha256)),
        Algorithm::Rs384 => Some((Padding::Pkcs1, Hash::Sha384)),
        Algorithm::Rs512 => Some((Padding::Pkcs1, Hash::Sha512)),
        Algorithm::Ps256 => Some((Padding::Pss, Hash::Sha256)),
        Algorithm::Ps384 => Some((Padding::Pss, Hash::Sha384)),
        Algorithm::Ps512 => Some((Padding::Pss, Hash::Sha512)),
        Algorithm::Es256
        | Algorithm::Es384
        | Algorithm::Es512
        | Algorithm::Es256K
        | Algorithm::EdDsa
        | Algorithm::Hs256
        | Algorithm::Hs384
        | Algorithm::Hs512 => None,
    }
}

/// RFC 7518 §3.2.
pub(crate) fn tag(algorithm: Algorithm, secret: &Secret<Vec<u8>>, message: &[u8]) -> Option<Vec<u8>> {
    fn tag<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
        let mut mac = <M as KeyInit>::new_from_slice(key).ok()?;
        mac.update(message);
        Some(mac.finalize().into_bytes().to_vec())
    }
    let key = secret.expose();
    match algorithm {
        Algorithm::Hs256 => tag::<Hmac<Sha256>>(key, message),
        Algorithm::Hs384 => tag::<Hmac<Sha384>>(key, message),
        Algorithm::Hs512 => tag::<Hmac<Sha512>>(key, message),
        Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512
        | Algorithm::Es256
        | Algorithm::Es384
        | Algorithm::Es512
        | Algorithm::Es256K
        | Algorithm::EdDsa => None,
    }
}

/// 128 bits: no attacker chooses the keys of a set, and a cache holds one of these per token.
const FINGERPRINT_BYTES: usize = 16;
