//! The key of a JWE: a point that two agree upon, and the Concat KDF over it.

use p256::{PublicKey, SecretKey};
use sha2::{Digest as _, Sha256};

use super::ENCRYPTION;
use crate::secret::Secret;

/// What the two halves of a key agree upon with somebody else's (RFC 7518 §4.6). The parties are the header's `apu` and
/// `apv`, empty where they are not there.
pub(super) fn agree(own: &SecretKey, other: &PublicKey, party_u: &[u8], party_v: &[u8]) -> Secret<[u8; 32]> {
    let shared = own.diffie_hellman(other);
    concat_kdf(
        shared.raw_secret_bytes().as_slice(),
        ENCRYPTION,
        KEY_BITS,
        party_u,
        party_v,
    )
}

/// The Concat KDF with SHA-256 (NIST SP 800-56A §5.8.1, as RFC 7518 §4.6.2 fills it in), of which one round is enough
/// for every key of up to 256 bits.
pub(super) fn concat_kdf(
    shared: &[u8],
    algorithm: &str,
    key_bits: u32,
    party_u: &[u8],
    party_v: &[u8],
) -> Secret<[u8; 32]> {
    let mut hash = Sha256::new();
    hash.update(FIRST_ROUND.to_be_bytes());
    hash.update(shared);
    for field in [algorithm.as_bytes(), party_u, party_v] {
        // A header is far shorter than what this length cannot say.
        hash.update(u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
        hash.update(field);
    }
    hash.update(key_bits.to_be_bytes());
    Secret::new(hash.finalize().into())
}

const FIRST_ROUND: u32 = 1;

/// Of A256GCM.
const KEY_BITS: u32 = 256;
