//! RSA with the private key (RFC 8017 §5.2.1), by its primes: a quarter of the time that the one exponent takes.
//!
//! The arithmetic is crypto-bigint's, in constant time. A signature that goes out is to be verified first: one that went
//! wrong in one prime gives both away.

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, ConcatenatingMul as _, Odd};

use super::pkcs8::{self, RSA_ENCRYPTION, VERSION_0};
use crate::jwks::der::{self, NULL, OBJECT_IDENTIFIER, SEQUENCE};
use crate::jwks::{Hash, pkcs1, pss};
use crate::secret::Secret;

/// Big-endian numbers without leading zeros.
pub(super) struct RsaPrivateKey {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    /// d, p, q, d mod (p−1), d mod (q−1), and the inverse of q modulo p.
    secret: Secret<[Vec<u8>; 6]>,
}

impl RsaPrivateKey {
    /// `None` if they are not of the sizes that such numbers have; that they belong together is seen at a signature.
    pub(super) fn new(modulus: Vec<u8>, exponent: Vec<u8>, secret: [Vec<u8>; 6]) -> Option<Self> {
        let modulus = shortened(modulus);
        let secret = Secret::new(secret.map(shortened));
        let [_, p, q, first, second, inverse] = secret.expose();
        let sum = p.len().checked_add(q.len())?;
        let fits = [p, q]
            .into_iter()
            .zip([first, second])
            .all(|(prime, exponent)| prime.len() >= MIN_PRIME_BYTES && exponent.len() <= prime.len());
        (fits && inverse.len() <= p.len() && (sum == modulus.len() || sum == modulus.len().checked_add(1)?))
            .then_some(Self {
                modulus,
                exponent: shortened(exponent),
                secret,
            })
    }

    /// n.
    pub(super) fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// e.
    pub(super) fn exponent(&self) -> &[u8] {
        &self.exponent
    }

    /// RFC 8017 §8.2.1, with SHA-256.
    pub(super) fn sign_pkcs1(&self, message: &[u8]) -> Option<Vec<u8>> {
        let digest = Hash::Sha256.of(&[message]);
        self.power(&pkcs1(Hash::Sha256, &digest, self.modulus.len())?)
    }

    /// RFC 8017 §8.1.1, with SHA-256.
    pub(super) fn sign_pss(&self, message: &[u8], salt: &[u8]) -> Option<Vec<u8>> {
        let digest = Hash::Sha256.of(&[message]);
        self.power(&pss(Hash::Sha256, &digest, salt, &self.modulus)?)
    }

    /// The key as a host wants it (RFC 8017 §A.1.2).
    pub(super) fn pkcs8(&self) -> Vec<u8> {
        let mut key = VERSION_0.to_vec();
        for number in [&self.modulus, &self.exponent]
            .into_iter()
            .chain(self.secret.expose())
        {
            key.extend(der::integer(number));
        }
        let key = Secret::new(der::element(SEQUENCE, &[Secret::new(key).expose()]));
        let algorithm = der::element(OBJECT_IDENTIFIER, &[RSA_ENCRYPTION]);
        pkcs8::info(&[&algorithm, NULL], key.expose())
    }

    /// RSASP1 by the Chinese remainder theorem (RFC 8017 §5.1.2, step 2 b).
    fn power(&self, encoded: &[u8]) -> Option<Vec<u8>> {
        let [_, p, q, first, second, inverse] = self.secret.expose();
        let encoded = number(encoded, self.modulus.len())?;
        let (p_params, q_params) = (params(p)?, params(q)?);
        let power = |params: &BoxedMontyParams, exponent: &[u8], size| {
            let base = encoded.rem(params.modulus().as_nz_ref());
            let exponent = number(exponent, size)?;
            Some(BoxedMontyForm::new(base, params).pow(&exponent))
        };
        let in_p = power(&p_params, first, p.len())?;
        let in_q = power(&q_params, second, q.len())?.retrieve();
        let to_p = BoxedMontyForm::new(in_q.rem(p_params.modulus().as_nz_ref()), &p_params);
        let inverse = BoxedMontyForm::new(number(inverse, p.len())?, &p_params);
        let times = in_p.sub(&to_p).mul(&inverse).retrieve();
        let power = times
            .concatenating_mul(q_params.modulus().as_ref())
            .concatenating_add(&in_q)
            .to_be_bytes();
        // Whole words: there may be more zeros in front than the modulus has room for.
        let (_, power) = power.split_at_checked(power.len().checked_sub(self.modulus.len())?)?;
        Some(power.to_vec())
    }
}

/// A number of as many bits as these bytes, whatever leads it.
fn number(bytes: &[u8], size: usize) -> Option<BoxedUint> {
    BoxedUint::from_be_slice(bytes, u32::try_from(size.checked_mul(8)?).ok()?).ok()
}

fn params(prime: &[u8]) -> Option<BoxedMontyParams> {
    let prime = Odd::new(number(prime, prime.len())?).into_option()?;
    Some(BoxedMontyParams::new(prime))
}

fn shortened(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    number
}

/// Of keys of 1024 bits, which are refused where they are told from others.
const MIN_PRIME_BYTES: usize = 64;
