//! Powers modulo an odd number: the step of RSA verification that computes (RFC 8017 §5.2.2).
//!
//! The arithmetic is crypto-bigint's. What is chosen here is the order of its multiplications: its own powers go through
//! windows in constant time, for private keys, and take twice as long (docs/performance.md).
//!
//! It is for public values only: its time depends on all of them.

use std::cmp::Ordering;

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};

/// An odd modulus, made ready.
pub(super) struct Modulus {
    params: BoxedMontyParams,
    /// How many bytes the modulus was given in.
    bytes: usize,
}

impl Modulus {
    /// From big-endian bytes. `None` if the number is even or 1.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        let (last, rest) = bytes.split_last()?;
        if *last <= 1 && rest.iter().all(|byte| *byte == 0) {
            return None;
        }
        let modulus = Odd::new(BoxedUint::from_be_slice_vartime(bytes)).into_option()?;
        Some(Self {
            params: BoxedMontyParams::new_vartime(modulus),
            bytes: bytes.len(),
        })
    }

    /// `base` to the power of `exponent`, as big-endian bytes of the size of the modulus. `None` if the base has more
    /// bytes than the modulus or is not below it, and for an exponent of zero.
    pub(super) fn power(&self, base: &[u8], exponent: u64) -> Option<Vec<u8>> {
        if base.len() > self.bytes {
            return None;
        }
        let base = BoxedUint::from_be_slice(base, self.params.bits_precision()).ok()?;
        if base.cmp_vartime(self.params.modulus().as_ref()) != Ordering::Less {
            return None;
        }
        let base = BoxedMontyForm::new(base, &self.params);
        let mut power = base.clone();
        for bit in (0..exponent.checked_ilog2()?).rev() {
            power = power.square();
            if exponent >> bit & 1 == 1 {
                power = power.mul(&base);
            }
        }
        // Whole words: there may be more zeros in front than the modulus has room for.
        let words = power.retrieve().to_be_bytes();
        let (_, number) = words.split_at_checked(words.len().checked_sub(self.bytes)?)?;
        Some(number.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;

    use super::*;

    fn expected(modulus: &[u8], base: &[u8], exponent: u64) -> Vec<u8> {
        let modulus_number = BigUint::from_bytes_be(modulus);
        let power = BigUint::from_bytes_be(base).modpow(&exponent.into(), &modulus_number);
        let power = power.to_bytes_be();
        let mut padded = vec![0; modulus.len() - power.len()];
        padded.extend(power);
        padded
    }

    /// Against a library, on numbers by chance and on those where carries run far.
    #[test]
    fn powers_are_those_of_a_library() {
        let mut random = fastrand::Rng::with_seed(27);
        for round in 0..400 {
            let size = random.usize(1..=512);
            let mut modulus: Vec<u8> = (0..size).map(|_| random.u8(..)).collect();
            match round % 4 {
                0 => modulus.fill(0xff),
                1 => {
                    let (from, to) = (random.usize(..size), random.usize(..=size));
                    modulus[from.min(to)..to].fill(if random.bool() { 0xff } else { 0 });
                }
                _ => {}
            }
            modulus[0] |= 1 << random.u8(..8);
            modulus[size - 1] |= 1;
            let modulus_number = BigUint::from_bytes_be(&modulus);
            if modulus_number < BigUint::from(3_u8) {
                continue;
            }
            let base = match round % 3 {
                0 => modulus_number.clone() - BigUint::from(random.u8(1..3)),
                1 => BigUint::from(random.u8(..)) % &modulus_number,
                _ => {
                    let bytes: Vec<u8> = (0..size).map(|_| random.u8(..)).collect();
                    BigUint::from_bytes_be(&bytes) % &modulus_number
                }
            }
            .to_bytes_be();
            let ready = Modulus::new(&modulus).unwrap();
            for exponent in [1, 3, 65537, random.u64(..1 << 33) | 1, (1 << 33) - 1] {
                let power = ready.power(&base, exponent).unwrap();
                assert_eq!(
                    power,
                    expected(&modulus, &base, exponent),
                    "{modulus:x?}^{exponent}"
                );
            }
        }
    }

    #[test]
    fn a_base_that_is_not_below_the_modulus_is_refused() {
        let modulus = Modulus::new(&[0xc5, 0x01]).unwrap();
        assert_eq!(modulus.power(&[0xc5, 0x00], 1), Some(vec![0xc5, 0x00]));
        assert_eq!(modulus.power(&[0xc5, 0x01], 3), None);
        assert_eq!(modulus.power(&[0xc5, 0x02], 3), None);
        assert_eq!(modulus.power(&[0, 0, 1], 3), None);
        assert_eq!(modulus.power(&[0, 0], 3), Some(vec![0, 0]));
        assert_eq!(modulus.power(&[], 3), Some(vec![0, 0]));
    }

    #[test]
    fn leading_zeros_of_a_base_count_and_those_of_a_modulus_make_room() {
        let modulus = Modulus::new(&[0, 0xc5, 0x01]).unwrap();
        assert_eq!(modulus.power(&[0, 0, 2], 3), Some(vec![0, 0, 8]));
        assert_eq!(modulus.power(&[2], 3), Some(vec![0, 0, 8]));
        assert_eq!(modulus.power(&[0, 0, 0, 2], 3), None);
        assert_eq!(modulus.power(&[0xff; 600], 3), None);
    }

    #[test]
    fn what_has_no_powers_is_refused() {
        for modulus in [&[][..], &[0], &[1], &[0, 0, 1], &[2], &[0xff, 0xfe], &[0; 512]] {
            assert!(Modulus::new(modulus).is_none(), "{modulus:x?}");
        }
        let modulus = Modulus::new(&[3]).unwrap();
        assert_eq!(modulus.power(&[2], 0), None);
        assert_eq!(modulus.power(&[2], u64::MAX), Some(vec![2]));
    }
}
