//! One key: which algorithms it serves, and whether a signature is its own.

use std::fmt;

use jwt_simple::algorithms::{
    ECDSAP256PublicKeyLike, ECDSAP256kPublicKeyLike, ECDSAP384PublicKeyLike, ES256PublicKey, ES256kPublicKey,
    ES384PublicKey, Ed25519PublicKey, EdDSAPublicKeyLike, HS256Key, HS384Key, HS512Key, MACLike,
};
use p256::ecdsa::signature::Verifier as _;
use sha2::{Digest as _, Sha256};
use superboring::hash::MessageDigest;
use superboring::pkey::{PKey, Public};
use superboring::rsa::Padding;
use superboring::sign::{RsaPssSaltlen, Verifier as RsaVerifier};

use super::algorithm::{Algorithm, AlgorithmSet};
use super::host::HostSignatures;
use crate::secret::constant_time_eq;

/// A key that verifies signatures, ready for use: nothing of it is parsed again per token.
pub struct Key {
    algorithms: AlgorithmSet,
    material: Material,
    fingerprint: Fingerprint,
}

impl Key {
    /// A key of this material. `identity` is what tells it from other keys: its `kid`, its type and its numbers, each
    /// with a name.
    pub(super) fn new(algorithms: AlgorithmSet, material: Material, identity: &[(&[u8], &[u8])]) -> Self {
        Self {
            algorithms,
            material,
            fingerprint: Fingerprint::of(algorithms, identity),
        }
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
        _host: &dyn HostSignatures,
    ) -> bool {
        self.algorithms.contains(algorithm) && self.material.verify(algorithm, signing_input, signature)
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
    /// Not jwt-simple's own type, which takes no exponent but 65537.
    Rsa(Box<PKey<Public>>),
    P256(ES256PublicKey),
    P384(ES384PublicKey),
    P521(Box<p521::ecdsa::VerifyingKey>),
    Secp256k1(ES256kPublicKey),
    Ed25519(Ed25519PublicKey),
    Hs256(HS256Key),
    Hs384(HS384Key),
    Hs512(HS512Key),
}

impl Material {
    /// ECDSA signatures are R‖S of a fixed length (RFC 7518 §3.4); `from_slice` takes no other length, and no r or
    /// s outside 1..n−1. An s above n/2 is as good as one below.
    fn verify(&self, algorithm: Algorithm, signing_input: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa(key) => verify_rsa(key, algorithm, signing_input, signature),
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
            Self::Secp256k1(key) => k256::ecdsa::Signature::from_slice(signature).is_ok_and(|signature| {
                // k256 refuses a high s, as Bitcoin does; RFC 8812 §3.2 does not.
                let key = key.public_key().as_ref();
                key.verify(signing_input, &signature.normalize_s()).is_ok()
            }),
            Self::Ed25519(key) => verify_ed25519(key, signing_input, signature),
            Self::Hs256(key) => constant_time_eq(&key.authentication_tag(signing_input), signature),
            Self::Hs384(key) => constant_time_eq(&key.authentication_tag(signing_input), signature),
            Self::Hs512(key) => constant_time_eq(&key.authentication_tag(signing_input), signature),
        }
    }
}

fn verify_ed25519(key: &Ed25519PublicKey, signing_input: &[u8], signature: &[u8]) -> bool {
    signature.try_into().is_ok_and(|signature| {
        key.public_key()
            .as_ref()
            .verify(signing_input, &signature)
            .is_ok()
    })
}

fn verify_rsa(key: &PKey<Public>, algorithm: Algorithm, signing_input: &[u8], signature: &[u8]) -> bool {
    let (digest, padding) = match algorithm {
        Algorithm::Rs256 => (MessageDigest::sha256(), Padding::PKCS1),
        Algorithm::Rs384 => (MessageDigest::sha384(), Padding::PKCS1),
        Algorithm::Rs512 => (MessageDigest::sha512(), Padding::PKCS1),
        Algorithm::Ps256 => (MessageDigest::sha256(), Padding::PKCS1_PSS),
        Algorithm::Ps384 => (MessageDigest::sha384(), Padding::PKCS1_PSS),
        Algorithm::Ps512 => (MessageDigest::sha512(), Padding::PKCS1_PSS),
        Algorithm::Es256
        | Algorithm::Es384
        | Algorithm::Es512
        | Algorithm::Es256K
        | Algorithm::EdDsa
        | Algorithm::Hs256
        | Algorithm::Hs384
        | Algorithm::Hs512 => return false,
    };
    RsaVerifier::new(digest, key).is_ok_and(|mut verifier| {
        verifier.set_rsa_padding(padding).is_ok()
            // RFC 7518 §3.5: the salt is as long as the hash.
            && verifier.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH).is_ok()
            && verifier.verify_oneshot(signature, signing_input).unwrap_or(false)
    })
}

/// 128 bits: no attacker chooses the keys of a set, and a cache holds one of these per token.
const FINGERPRINT_BYTES: usize = 16;
