//! RSA with the private key (RFC 8017 §5.2.1), by its primes: a quarter of the time that the one exponent takes.
//!
//! The powers are crypto-bigint's, in constant time, and all else is its Montgomery multiplication, which verification needs
//! too. A signature that goes out is to be verified first: one that went wrong in one prime gives both away.

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};

use crate::jwks::der::{self, INTEGER};
use crate::jwks::{Hash, pkcs1, pss};
use crate::secret::Secret;

/// Big-endian numbers without leading zeros.
pub(crate) struct RsaPrivateKey {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    q: Secret<Vec<u8>>,
    /// d mod (p−1) and d mod (q−1).
    exponents: [Secret<Vec<u8>>; 2],
    /// The inverse of q modulo p.
    inverse: Secret<Vec<u8>>,
    /// n, p and q, made ready: in a time that depends on them, once for a key.
    ready: [BoxedMontyParams; 3],
}

impl RsaPrivateKey {
    /// RFC 8017 §A.1.2: version, n, e, d, p, q, d mod (p−1), d mod (q−1), the inverse of q. `None` if they are not of the
    /// sizes that such numbers have; that they belong together is seen at a signature.
    pub(crate) fn read(mut numbers: &[u8]) -> Option<Self> {
        let mut next = || der::take(&mut numbers, INTEGER).map(shortened);
        next()?;
        let (modulus, exponent) = (next()?, next()?);
        next()?;
        let (p, q) = (next()?, next()?);
        let (first, second, inverse) = (next()?, next()?, next()?);
        // The halves that a message is cut into are no longer than a prime is made.
        let is_prime = |prime: &[u8]| {
            prime.len() >= MIN_PRIME_BYTES
                && prime.len() <= modulus.len()
                && whole(prime).saturating_mul(2) >= modulus.len()
        };
        let is_below = first.len() <= p.len() && second.len() <= q.len() && inverse.len() <= p.len();
        if !(is_prime(p) && is_prime(q) && is_below) {
            return None;
        }
        let secret = |number: &[u8]| Secret::new(number.to_vec());
        Some(Self {
            ready: [params(modulus)?, params(p)?, params(q)?],
            modulus: modulus.to_vec(),
            exponent: exponent.to_vec(),
            q: secret(q),
            exponents: [secret(first), secret(second)],
            inverse: secret(inverse),
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

    /// RFC 8017 §8.2.1.
    pub(crate) fn sign_pkcs1(&self, hash: Hash, message: &[u8]) -> Option<Vec<u8>> {
        let digest = hash.of(&[message]);
        self.power(&pkcs1(hash, &digest, self.modulus.len())?)
    }

    /// RFC 8017 §8.1.1.
    pub(crate) fn sign_pss(&self, hash: Hash, message: &[u8], salt: &[u8]) -> Option<Vec<u8>> {
        let digest = hash.of(&[message]);
        self.power(&pss(hash, &digest, salt, &self.modulus)?)
    }

    /// RSASP1 by the Chinese remainder theorem (RFC 8017 §5.1.2, step 2 b): all that is asked of the numbers is that they
    /// are no longer than what they are taken modulo.
    fn power(&self, encoded: &[u8]) -> Option<Vec<u8>> {
        let [first, second] = &self.exponents;
        let [n_ready, p_ready, q_ready] = &self.ready;
        let in_p = reduced(encoded, p_ready)?.pow(&number(first.expose(), p_ready)?);
        let in_q = reduced(encoded, q_ready)?.pow(&number(second.expose(), q_ready)?);
        let in_q = in_q.retrieve().to_be_bytes();
        let times = in_p
            .sub(&reduced(&in_q, p_ready)?)
            .mul(&form(self.inverse.expose(), p_ready)?)
            .retrieve()
            .to_be_bytes();
        let power = form(&times, n_ready)?
            .mul(&form(self.q.expose(), n_ready)?)
            .add(&form(&in_q, n_ready)?)
            .retrieve()
            .to_be_bytes();
        // Whole words: there may be more zeros in front than the modulus has room for.
        let (_, power) = power.split_at_checked(power.len().checked_sub(self.modulus.len())?)?;
        Some(power.to_vec())
    }
}

/// A number of up to two times the length of the modulus, modulo that: by its halves, as a division would be more code.
fn reduced(bytes: &[u8], ready: &BoxedMontyParams) -> Option<BoxedMontyForm> {
    let bytes_of_half = usize::try_from(ready.bits_precision()).ok()? / 8;
    let (high, low) = bytes.split_at_checked(bytes.len().saturating_sub(bytes_of_half))?;
    // What 1 is in that form is the power of 2 by which the halves are apart.
    let apart = BoxedMontyForm::new(BoxedMontyForm::one(ready).to_montgomery(), ready);
    Some(form(high, ready)?.mul(&apart).add(&form(low, ready)?))
}

fn form(bytes: &[u8], ready: &BoxedMontyParams) -> Option<BoxedMontyForm> {
    Some(BoxedMontyForm::new(number(bytes, ready)?, ready))
}

/// A number with as much room as the modulus has.
fn number(bytes: &[u8], ready: &BoxedMontyParams) -> Option<BoxedUint> {
    BoxedUint::from_be_slice(bytes, ready.bits_precision()).ok()
}

fn params(modulus: &[u8]) -> Option<BoxedMontyParams> {
    let bits = u32::try_from(whole(modulus).checked_mul(8)?).ok()?;
    let modulus = BoxedUint::from_be_slice(modulus, bits).ok()?;
    Some(BoxedMontyParams::new_vartime(Odd::new(modulus).into_option()?))
}

/// How many bytes it takes in whole words.
const fn whole(number: &[u8]) -> usize {
    number.len().next_multiple_of(8)
}

fn shortened(number: &[u8]) -> &[u8] {
    let mut rest = number;
    while let [0, others @ ..] = rest {
        rest = others;
    }
    rest
}

/// Of keys of 1024 bits, which are refused where they are told from others.
const MIN_PRIME_BYTES: usize = 64;
