//! Private keys as openssl writes them: PEM (RFC 7468) of DER `PrivateKeyInfo` (RFC 5208 §5, RFC 5958 §2).
//!
//! It reads what is needed of three kinds of keys. What stands behind that (attributes, the public half) is not looked at.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::rsa::RsaPrivateKey;
use super::{Error, Read};
use crate::jwks::der::{self, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE};
use crate::secret::Secret;

/// Reads the first private key of a text.
pub(super) fn pem(text: &str) -> Result<Read, Error> {
    let Some((_, rest)) = text.split_once(BEGIN) else {
        return Err(match OLDER.iter().any(|label| text.contains(label)) {
            true => Error::OlderForm,
            false if text.contains(ENCRYPTED) => Error::Encrypted,
            false => Error::NotAKey,
        });
    };
    let (body, _) = rest.split_once(END).ok_or(Error::Malformed)?;
    let body = Secret::new(body.split_ascii_whitespace().collect::<String>());
    let der = STANDARD.decode(body.expose()).map_err(|_| Error::Malformed)?;
    key(Secret::new(der).expose())
}

/// `PrivateKeyInfo`: a version, an algorithm, and the key in a form of that algorithm.
fn key(der: &[u8]) -> Result<Read, Error> {
    let mut document = der;
    let mut info = take(&mut document, SEQUENCE)?;
    take(&mut info, INTEGER)?;
    let mut algorithm = take(&mut info, SEQUENCE)?;
    let mut key = take(&mut info, OCTET_STRING)?;
    match take(&mut algorithm, OBJECT_IDENTIFIER)? {
        // RFC 5915 §3: version, scalar.
        EC_PUBLIC_KEY => {
            if take(&mut algorithm, OBJECT_IDENTIFIER)? != P256 {
                return Err(Error::CurveUnknown);
            }
            let mut key = take(&mut key, SEQUENCE)?;
            take(&mut key, INTEGER)?;
            Ok(Read::P256(Secret::new(take(&mut key, OCTET_STRING)?.to_vec())))
        }
        // RFC 8410 §7: one octet string within the other.
        ED25519 => Ok(Read::Ed25519(Secret::new(take(&mut key, OCTET_STRING)?.to_vec()))),
        // RFC 8017 §A.1.2: version, n, e, d, p, q, d mod (p−1), d mod (q−1), the inverse of q.
        RSA_ENCRYPTION => {
            let mut key = take(&mut key, SEQUENCE)?;
            let mut number = || take(&mut key, INTEGER).map(<[u8]>::to_vec);
            number()?;
            let (n, e) = (number()?, number()?);
            let secret = [number()?, number()?, number()?, number()?, number()?, number()?];
            RsaPrivateKey::new(n, e, secret)
                .map(Read::Rsa)
                .ok_or(Error::Malformed)
        }
        _ => Err(Error::CurveUnknown),
    }
}

/// The same, the other way round: of a scalar on P-256.
pub(super) fn p256(scalar: &[u8]) -> Vec<u8> {
    let key = der::element(SEQUENCE, &[VERSION_1, &der::element(OCTET_STRING, &[scalar])]);
    info(
        &[
            &der::element(OBJECT_IDENTIFIER, &[EC_PUBLIC_KEY]),
            &der::element(OBJECT_IDENTIFIER, &[P256]),
        ],
        &key,
    )
}

/// Of the key of an algorithm.
pub(super) fn info(algorithm: &[&[u8]], key: &[u8]) -> Vec<u8> {
    let algorithm = der::element(SEQUENCE, algorithm);
    der::element(
        SEQUENCE,
        &[VERSION_0, &algorithm, &der::element(OCTET_STRING, &[key])],
    )
}

fn take<'d>(rest: &mut &'d [u8], tag: u8) -> Result<&'d [u8], Error> {
    der::take(rest, tag).ok_or(Error::Malformed)
}

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
/// RFC 5915 §4; PKCS#1 has no label in any RFC, and is what openssl wrote before.
const OLDER: [&str; 2] = [
    "-----BEGIN EC PRIVATE KEY-----",
    "-----BEGIN RSA PRIVATE KEY-----",
];

pub(super) const VERSION_0: &[u8] = b"\x02\x01\x00";
const VERSION_1: &[u8] = b"\x02\x01\x01";
/// 1.2.840.10045.2.1 (RFC 5480 §2.1.1).
const EC_PUBLIC_KEY: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01";
/// 1.2.840.10045.3.1.7 (RFC 5480 §2.1.1.1).
const P256: &[u8] = b"\x2a\x86\x48\xce\x3d\x03\x01\x07";
/// 1.3.101.112 (RFC 8410 §3).
const ED25519: &[u8] = b"\x2b\x65\x70";
/// 1.2.840.113549.1.1.1 (RFC 8017 §A.1).
pub(super) const RSA_ENCRYPTION: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
