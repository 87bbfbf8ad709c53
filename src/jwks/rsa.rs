//! RSA signatures (RFC 8017): the paddings of RSASSA-PKCS1-v1_5 and RSASSA-PSS, and verification.
//!
//! PSS has no parameters here: one hash for message and mask, and a salt of its size (RFC 7518 §3.5). It does not judge
//! keys: what a modulus and an exponent may be, `jwk` knows.

use std::sync::OnceLock;

use super::hash::Hash;
use super::modular::Modulus;

/// A public key.
pub(super) struct RsaKey {
    modulus: Vec<u8>,
    exponent: u64,
    /// Made ready at the first signature that is verified here: most are by the host.
    ready: OnceLock<Option<Modulus>>,
}

/// How a digest is laid into a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Padding {
    Pkcs1,
    Pss,
}

impl RsaKey {
    /// Of an odd modulus, big-endian without leading zeros, and an odd exponent.
    pub(super) const fn new(modulus: Vec<u8>, exponent: u64) -> Self {
        Self {
            modulus,
            exponent,
            ready: OnceLock::new(),
        }
    }

    /// The modulus as it was given.
    pub(super) fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// RFC 8017 §8.1.2 and §8.2.2. A signature has the size of the modulus and is below it.
    pub(super) fn verify(&self, padding: Padding, hash: Hash, message: &[u8], signature: &[u8]) -> bool {
        if signature.len() != self.modulus.len() {
            return false;
        }
        let ready = self.ready.get_or_init(|| Modulus::new(&self.modulus));
        let power = |modulus: &Modulus| modulus.power(signature, self.exponent);
        let Some(encoded) = ready.as_ref().and_then(power) else {
            return false;
        };
        let digest = hash.of(&[message]);
        match padding {
            Padding::Pkcs1 => pkcs1(hash, &digest, encoded.len()).is_some_and(|expected| expected == encoded),
            Padding::Pss => is_pss(hash, &digest, &encoded, self.top_zeros()).is_some(),
        }
    }

    /// The bits that are zero at the head of an encoded message of PSS, which has one bit less than the modulus.
    fn top_zeros(&self) -> u32 {
        top_zeros(&self.modulus)
    }
}

fn top_zeros(modulus: &[u8]) -> u32 {
    modulus
        .first()
        .map_or(0, |first| first.leading_zeros().saturating_add(1))
}

/// EMSA-PKCS1-v1_5 (RFC 8017 §9.2): there is one encoding, so it is made and compared, and nothing is parsed.
pub(crate) fn pkcs1(hash: Hash, digest: &[u8], size: usize) -> Option<Vec<u8>> {
    let prefix = digest_info(hash);
    let fill = size
        .checked_sub(prefix.len())?
        .checked_sub(digest.len())?
        .checked_sub(3)?;
    let mut encoded = vec![0, 1];
    encoded.resize(fill.checked_add(2)?, 0xff);
    encoded.push(0);
    encoded.extend(prefix);
    encoded.extend(digest);
    Some(encoded)
}

/// EMSA-PSS-VERIFY (RFC 8017 §9.1.2), with the numbers of its steps; `None` is "inconsistent".
fn is_pss(hash: Hash, digest: &[u8], encoded: &[u8], top_zeros: u32) -> Option<()> {
    // A modulus of 8·n+1 bits: the message has a byte less, and the number's first one must be zero.
    let (encoded, top_zeros) = match top_zeros {
        8 => (encoded.strip_prefix(&[0])?, 0),
        _ => (encoded, top_zeros),
    };
    let size = hash.bytes();
    // 4.
    let rest = encoded.strip_suffix(&[0xbc])?;
    // 3. and 5.
    let (masked, mixed) = rest.split_at_checked(rest.len().checked_sub(size)?)?;
    // 6.
    if masked.first()?.leading_zeros() < top_zeros {
        return None;
    }
    // 7. to 9.
    let mask = mask(hash, mixed, masked.len());
    let mut block: Vec<u8> = masked
        .iter()
        .zip(&mask)
        .map(|(left, right)| left ^ right)
        .collect();
    let first = block.first_mut()?;
    *first &= 0xff_u8.checked_shr(top_zeros)?;
    // 10. and 11.
    let (padding, salt) = block.split_at_checked(block.len().checked_sub(size)?)?;
    let zeros = padding.strip_suffix(&[1])?;
    if zeros.iter().any(|byte| *byte != 0) {
        return None;
    }
    // 12. to 14.
    (hash.of(&[&[0; 8], digest, salt]) == mixed).then_some(())
}

/// EMSA-PSS-ENCODE (RFC 8017 §9.1.1), with the numbers of its steps, as a number of the size of the modulus. The salt is
/// to have the size of the hash.
pub(crate) fn pss(hash: Hash, digest: &[u8], salt: &[u8], modulus: &[u8]) -> Option<Vec<u8>> {
    // A modulus of 8·n+1 bits: the message has a byte less.
    let (size, top_zeros) = match top_zeros(modulus) {
        8 => (modulus.len().checked_sub(1)?, 0),
        top_zeros => (modulus.len(), top_zeros),
    };
    // 5. and 6.
    let mixed = hash.of(&[&[0; 8], digest, salt]);
    // 7. and 8., behind the byte that the modulus has more.
    let block = size.checked_sub(mixed.len())?.checked_sub(1)?;
    let start = modulus.len().checked_sub(size)?;
    let zeros = block.checked_sub(salt.len())?.checked_sub(1)?;
    let mut encoded = vec![0; start.checked_add(zeros)?];
    encoded.push(1);
    encoded.extend_from_slice(salt);
    // 9. to 11.
    let masked = encoded.get_mut(start..)?;
    for (byte, mask) in masked.iter_mut().zip(mask(hash, &mixed, block)) {
        *byte ^= mask;
    }
    *masked.first_mut()? &= 0xff_u8.checked_shr(top_zeros)?;
    // 12.
    encoded.extend_from_slice(&mixed);
    encoded.push(0xbc);
    Some(encoded)
}

/// MGF1 (RFC 8017 §B.2.1).
fn mask(hash: Hash, seed: &[u8], size: usize) -> Vec<u8> {
    let mut mask = Vec::with_capacity(size.saturating_add(hash.bytes()));
    for counter in 0_u32.. {
        if mask.len() >= size {
            break;
        }
        mask.extend(hash.of(&[seed, &counter.to_be_bytes()]));
    }
    mask
}

/// The DER in front of a digest (RFC 8017 §9.2, note 1).
const fn digest_info(hash: Hash) -> &'static [u8] {
    match hash {
        Hash::Sha256 => b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
        Hash::Sha384 => b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
        Hash::Sha512 => b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
    }
}
