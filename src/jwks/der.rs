//! The few structures of DER (X.690) that a host wants or gives: public keys and ECDSA signatures; and what private keys
//! are read by.

/// `SubjectPublicKeyInfo` of an RSA key (RFC 3279 §2.3.1); the numbers are big-endian without leading zeros.
pub(super) fn rsa_public_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let key = element(SEQUENCE, &[&integer(modulus), &integer(exponent)]);
    public_key(RSA_ENCRYPTION, &key)
}

/// `SubjectPublicKeyInfo` of a point on a curve (RFC 5480 §2).
pub(super) fn ec_public_key(curve: Curve, point: &[u8]) -> Vec<u8> {
    public_key(curve.algorithm(), point)
}

/// `Ecdsa-Sig-Value` (RFC 3279 §2.2.3) of R‖S.
pub(crate) fn ecdsa_signature(signature: &[u8]) -> Vec<u8> {
    let (r, s) = signature.split_at(signature.len() / 2);
    element(SEQUENCE, &[&integer(r), &integer(s)])
}

/// R‖S of an `Ecdsa-Sig-Value`, each number in this many bytes.
pub(crate) fn fixed_ecdsa_signature(der: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut document = der;
    let mut numbers = take(&mut document, SEQUENCE)?;
    let mut signature = Vec::with_capacity(size.saturating_mul(2));
    for _ in 0..2 {
        let number = take(&mut numbers, INTEGER)?;
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        let zeros = size.checked_sub(number.len())?;
        signature.resize(signature.len().checked_add(zeros)?, 0);
        signature.extend(number);
    }
    Some(signature)
}

/// The contents of the element at the head of `rest`, which is left with what follows. `None` if it has another tag, or
/// does not end within `rest`. Lengths of more than two bytes are none of a key.
pub(crate) fn take<'d>(rest: &mut &'d [u8], tag: u8) -> Option<&'d [u8]> {
    let (size, behind) = match *rest {
        [first, size @ ..=0x7f, behind @ ..] if *first == tag => (usize::from(*size), behind),
        [first, 0x81, size, behind @ ..] if *first == tag => (usize::from(*size), behind),
        [first, 0x82, high, low, behind @ ..] if *first == tag => {
            (usize::from(u16::from_be_bytes([*high, *low])), behind)
        }
        _ => return None,
    };
    let (contents, behind) = behind.split_at_checked(size)?;
    *rest = behind;
    Some(contents)
}

/// The curves that hosts know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    /// `AlgorithmIdentifier`: id-ecPublicKey and the curve.
    const fn algorithm(self) -> &'static [u8] {
        match self {
            Self::P256 => b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
            Self::P384 => b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22",
            Self::P521 => b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23",
        }
    }
}

fn public_key(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let algorithm = element(SEQUENCE, &[algorithm]);
    // No bit of the last byte is unused.
    let key = element(BIT_STRING, &[&[0], key]);
    element(SEQUENCE, &[&algorithm, &key])
}

/// A positive integer in its shortest form, with a zero before it where it would look negative.
pub(crate) fn integer(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let number = bytes.get(zeros..).unwrap_or_default();
    let sign: &[u8] = match number.first() {
        Some(first) if first.leading_zeros() > 0 => &[],
        _ => &[0],
    };
    element(INTEGER, &[sign, number])
}

fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let size: usize = parts.iter().map(|part| part.len()).sum();
    let mut element = vec![tag];
    match (u8::try_from(size), u16::try_from(size)) {
        (Ok(size @ ..0x80), _) => element.push(size),
        (Ok(size), _) => element.extend([0x81, size]),
        // Two bytes of length reach far beyond the largest key.
        (_, size) => {
            element.push(0x82);
            element.extend(size.unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    for part in parts {
        element.extend(*part);
    }
    element
}

/// `AlgorithmIdentifier` of rsaEncryption, with its NULL.
const RSA_ENCRYPTION: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

pub(crate) const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_shortest_and_positive() {
        assert_eq!(integer(&[]), [2, 1, 0]);
        assert_eq!(integer(&[0, 0]), [2, 1, 0]);
        assert_eq!(integer(&[0, 0x7f]), [2, 1, 0x7f]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[0, 0, 0x80, 0]), [2, 3, 0, 0x80, 0]);
    }

    #[test]
    fn lengths_are_shortest() {
        let head = |size: usize| element(SEQUENCE, &[&vec![7; size]])[..5].to_vec();
        assert_eq!(head(127), [0x30, 127, 7, 7, 7]);
        assert_eq!(head(128), [0x30, 0x81, 128, 7, 7]);
        assert_eq!(head(255), [0x30, 0x81, 255, 7, 7]);
        assert_eq!(head(256), [0x30, 0x82, 1, 0, 7]);
    }

    #[test]
    fn the_longest_signature_in_der() {
        let der = ecdsa_signature(&[0xff; 132]);
        assert_eq!(der[..6], [0x30, 0x81, 138, 2, 67, 0]);
        assert_eq!(der.len(), 141);
        assert_eq!(ecdsa_signature(&[0, 1, 0, 2]), [0x30, 6, 2, 1, 1, 2, 1, 2]);
    }
}
