//! Powers modulo an odd number: the arithmetic of RSA verification (RFC 8017 §5.2.2).
//!
//! Written here because a verifier in WebAssembly lives from it: libraries that are made for private keys take two to
//! fifteen times as long (docs/performance.md). It is Montgomery's multiplication (Handbook of Applied Cryptography,
//! §14.3.2) on digits of 27 bits, whose products add up in 64 bits without a carry until the end, four rows at a time.
//!
//! It is for public values only: its time depends on all of them.

use std::cmp::Ordering;

/// The sum of up to four products. At most 2·152 of 54 bits and the carries meet in a column of the largest modulus:
/// below 2⁶³.
macro_rules! add {
    ($column:expr, $(($left:expr, $right:expr)),+) => {
        *$column = $column$(.wrapping_add(product($left, $right)))+
    };
}

/// An odd modulus, made ready.
pub(super) struct Modulus {
    /// The modulus, and zeros behind it.
    digits: Vec<u32>,
    /// −1 divided by the modulus, modulo one digit.
    negative_inverse: u64,
    /// R² modulo the modulus, where R is one more than [`Self::count`] digits can hold.
    radix_squared: Vec<u32>,
    /// How many digits a number has.
    count: usize,
    /// How many bytes the modulus has.
    bytes: usize,
}

impl Modulus {
    /// From big-endian bytes without leading zeros. The number must be odd, which is the caller's to check: an even one
    /// gives wrong powers, and no fault.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let zeros = bytes.first().map_or(0, |first| first.leading_zeros());
        let bits = bytes.len().saturating_mul(8).saturating_sub(index(zeros));
        // Two bits more, so that results below twice the modulus need no subtraction on the way.
        let count = bits.saturating_add(2).div_ceil(DIGIT_BITS).next_multiple_of(ROWS);
        let digits = digits(bytes, count);
        let first = digits.first().copied().unwrap_or_default();
        // Newton's iteration doubles the correct bits each time: 3, 6, 12, 24, 48.
        let inverse = (0..4).fold(first, |inverse, _| {
            inverse.wrapping_mul(2_u32.wrapping_sub(first.wrapping_mul(inverse)))
        });
        let mut modulus = Self {
            digits,
            negative_inverse: u64::from(inverse.wrapping_neg()) & MASK,
            radix_squared: Vec::new(),
            count,
            bytes: bytes.len(),
        };
        modulus.radix_squared = modulus.radix_squared(bits);
        modulus
    }

    /// `base` to the power of `exponent`, which must be odd, as big-endian bytes of the size of the modulus. `None` if
    /// the base is not below the modulus.
    pub(super) fn power(&self, base: &[u8], exponent: u64) -> Option<Vec<u8>> {
        if base.len() > self.bytes {
            return None;
        }
        let plain = digits(base, self.count);
        if self.is_reached_by(&plain) {
            return None;
        }
        let mut space = self.space();
        let base = self.product(&plain, &self.radix_squared, &mut space);
        let mut power = base.clone();
        // From the bit below the highest to the one before the last; the last one is set.
        let below_highest = (u64::BITS - 1).saturating_sub(exponent.leading_zeros());
        for bit in (1..below_highest).rev() {
            power = self.square(&power, &mut space);
            if exponent >> bit & 1 == 1 {
                power = self.product(&power, &base, &mut space);
            }
        }
        if below_highest > 0 {
            power = self.square(&power, &mut space);
        }
        // With the plain base in place of its Montgomery form, the last product leaves that form.
        let mut power = match below_highest {
            0 => plain,
            _ => self.product(&power, &plain, &mut space),
        };
        self.reduce_once(&mut power);
        Some(bytes(&power, self.bytes))
    }

    /// R² by squarings and doublings along the bits of its logarithm, from 2·R.
    fn radix_squared(&self, bits: usize) -> Vec<u32> {
        let logarithm = self.count.saturating_mul(DIGIT_BITS);
        // The highest power of two below the modulus.
        let highest = bits.saturating_sub(1);
        let mut power: Vec<u32> = self.digits.iter().map(|_| 0).collect();
        if let Some(digit) = power.get_mut(highest / DIGIT_BITS) {
            *digit = 1 << (highest % DIGIT_BITS);
        }
        for _ in highest..=logarithm {
            self.double(&mut power);
        }
        let mut space = self.space();
        for bit in (0..logarithm.ilog2()).rev() {
            power = self.square(&power, &mut space);
            if logarithm >> bit & 1 == 1 {
                self.double(&mut power);
            }
        }
        power
    }

    fn double(&self, number: &mut [u32]) {
        self.reduce_once(number);
        let mut carry = 0;
        for digit in number.iter_mut() {
            let doubled = u64::from(*digit) << 1 | carry;
            *digit = low(doubled);
            carry = doubled >> DIGIT_BITS;
        }
        self.reduce_once(number);
    }

    /// Of a number below twice the modulus.
    fn reduce_once(&self, number: &mut [u32]) {
        if !self.is_reached_by(number) {
            return;
        }
        let mut borrow = 0;
        for (digit, less) in number.iter_mut().zip(&self.digits) {
            let difference = u64::from(*digit)
                .wrapping_sub(u64::from(*less))
                .wrapping_sub(borrow);
            *digit = low(difference);
            borrow = difference >> 63;
        }
    }

    fn is_reached_by(&self, number: &[u32]) -> bool {
        number.iter().rev().cmp(self.digits.iter().rev()) != Ordering::Less
    }

    /// Room for the columns of a product.
    fn space(&self) -> Vec<u64> {
        vec![0; self.count.saturating_mul(2).saturating_add(2 * ROWS)]
    }

    /// left·right/R, below twice the modulus if both factors are.
    #[inline(never)]
    fn product(&self, left: &[u32], right: &[u32], columns: &mut [u64]) -> Vec<u32> {
        columns.fill(0);
        let mut shifted = vec![0; ROWS - 1];
        shifted.extend(right);
        let mut rest = &mut *columns;
        for rows in left.as_chunks::<ROWS>().0.iter().take(self.count / ROWS) {
            add_rows(rest, *rows, &shifted);
            rest = rest.get_mut(ROWS..).unwrap_or_default();
        }
        self.reduce(columns)
    }

    /// number²/R: two equal products are one, doubled.
    #[inline(never)]
    fn square(&self, number: &[u32], columns: &mut [u64]) -> Vec<u32> {
        columns.fill(0);
        let (mut rest, mut digits) = (&mut *columns, number);
        while let (Some((&[a, b, c, d], others @ &[e, f, g, ..])), Some((head, [c4, c5, c6, tail @ ..]))) = (
            digits.split_first_chunk::<ROWS>(),
            rest.split_first_chunk_mut::<ROWS>(),
        ) {
            let doubled = [a << 1, b << 1, c << 1, d << 1];
            let [a2, b2, c2, _] = doubled;
            // What the four have among themselves, and in the columns that not all four reach.
            let [c0, c1, c2_, c3] = head;
            add!(c0, (a, a));
            add!(c1, (a2, b));
            add!(c2_, (a2, c), (b, b));
            add!(c3, (a2, d), (b2, c));
            add!(c4, (b2, d), (c, c), (a2, e));
            add!(c5, (c2, d), (a2, f), (b2, e));
            add!(c6, (d, d), (a2, g), (b2, f), (c2, e));
            add_rows(tail, doubled, others);
            digits = others;
            rest = tail.get_mut(1..).unwrap_or_default();
        }
        self.reduce(columns)
    }

    /// Adds the multiple of the modulus that makes the lower half zero, and gives the upper half.
    #[inline(never)]
    fn reduce(&self, columns: &mut [u64]) -> Vec<u32> {
        let &[n0, n1, n2, n3, ..] = self.digits.as_slice() else {
            return Vec::new();
        };
        let mut columns = columns;
        for _ in 0..self.count / ROWS {
            let Some(([c0, c1, c2, c3], rest)) = columns.split_first_chunk_mut::<ROWS>() else {
                return Vec::new();
            };
            let (m0, carry) = self.multiple(*c0, n0);
            add!(c1, (m0, n1));
            let (m1, carry) = self.multiple(c1.wrapping_add(carry), n0);
            add!(c2, (m0, n2), (m1, n1));
            let (m2, carry) = self.multiple(c2.wrapping_add(carry), n0);
            add!(c3, (m0, n3), (m1, n2), (m2, n1));
            let (m3, carry) = self.multiple(c3.wrapping_add(carry), n0);
            if let (Some(next), Some(modulus)) = (rest.first_mut(), self.digits.get(1..)) {
                *next = next.wrapping_add(carry);
                add_rows(rest, [m0, m1, m2, m3], modulus);
            }
            columns = rest;
        }
        let mut carry = 0;
        let mut number: Vec<u32> = columns
            .iter()
            .take(self.count)
            .map(|column| {
                let sum = column.wrapping_add(carry);
                carry = sum >> DIGIT_BITS;
                low(sum)
            })
            .collect();
        number.resize(self.digits.len(), 0);
        number
    }

    /// How often the modulus is to be added so that this column becomes zero, and what the column then carries on.
    #[inline(always)]
    fn multiple(&self, column: u64, first: u32) -> (u32, u64) {
        let multiple = low(column.wrapping_mul(self.negative_inverse));
        let sum = column.wrapping_add(product(multiple, first));
        (multiple, sum >> DIGIT_BITS)
    }
}

/// Adds four rows of a product, each one column further than the one before. Each window of `right` holds the digits
/// that meet in a column, that of the last row first.
#[inline(always)]
fn add_rows(columns: &mut [u64], [a, b, c, d]: [u32; ROWS], right: &[u32]) {
    for (column, &[z, y, x, w]) in columns.iter_mut().zip(right.array_windows::<ROWS>()) {
        add!(column, (a, w), (b, x), (c, y), (d, z));
    }
}

#[inline(always)]
fn product(left: u32, right: u32) -> u64 {
    u64::from(left).wrapping_mul(u64::from(right))
}

/// The lowest digit.
#[inline(always)]
fn low(number: u64) -> u32 {
    u32::try_from(number & MASK).unwrap_or_default()
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The digits of big-endian bytes, lowest first, and zeros behind them.
fn digits(bytes: &[u8], count: usize) -> Vec<u32> {
    let mut digits = Vec::with_capacity(count.saturating_add(ROWS));
    let (mut pending, mut bits) = (0_u64, 0);
    for byte in bytes.iter().rev() {
        pending |= u64::from(*byte) << bits;
        bits += 8;
        if bits >= DIGIT_BITS {
            digits.push(low(pending));
            pending >>= DIGIT_BITS;
            bits -= DIGIT_BITS;
        }
    }
    digits.push(low(pending));
    digits.resize(count.saturating_add(ROWS), 0);
    digits
}

/// The other way round, into so many bytes.
fn bytes(digits: &[u32], size: usize) -> Vec<u8> {
    let mut digits = digits.iter();
    let (mut pending, mut bits) = (0_u64, 0);
    let mut bytes: Vec<u8> = (0..size)
        .map(|_| {
            if bits < 8 {
                pending |= u64::from(digits.next().copied().unwrap_or_default()) << bits;
                bits += DIGIT_BITS;
            }
            let byte = u8::try_from(pending & 0xff).unwrap_or_default();
            pending >>= 8;
            bits -= 8;
            byte
        })
        .collect();
    bytes.reverse();
    bytes
}

/// Bits of a digit: a column of the largest modulus, 4096 bits, holds all its products in 64 bits.
const DIGIT_BITS: usize = 27;

const MASK: u64 = (1 << DIGIT_BITS) - 1;

/// Rows that are added at a time: what an interpreter of registers keeps in them, as measured in V8 on x86-64.
const ROWS: usize = 4;

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
            let ready = Modulus::new(&modulus);
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
        let modulus = Modulus::new(&[0xc5, 0x01]);
        assert_eq!(modulus.power(&[0xc5, 0x00], 1), Some(vec![0xc5, 0x00]));
        assert_eq!(modulus.power(&[0xc5, 0x01], 3), None);
        assert_eq!(modulus.power(&[0xc5, 0x02], 3), None);
        assert_eq!(modulus.power(&[0, 0, 1], 3), None);
        assert_eq!(modulus.power(&[0, 0], 3), Some(vec![0, 0]));
        assert_eq!(modulus.power(&[], 3), Some(vec![0, 0]));
    }
}
