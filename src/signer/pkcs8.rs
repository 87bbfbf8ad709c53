//! Private keys as openssl writes them: PEM (RFC 7468) of DER `PrivateKeyInfo` (RFC 5208 §5).
//!
//! It reads what is needed of two kinds of keys. What stands behind that (attributes, the public half) is not looked at.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::rsa::RsaPrivateKey;
use super::{Error, Material};
use crate::jwks::der::{self, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE};
use crate::secret::Secret;

/// The first private key of a text.
pub(crate) fn pem(text: &str) -> Result<Secret<Vec<u8>>, Error> {
    let Some((_, rest)) = text.split_once(BEGIN) else {
        return Err(if text.contains(ENCRYPTED) {
            Error::Encrypted
        } else if text.contains(SEC1) || text.contains(PKCS1) {
            Error::OlderForm
        } else {
            Error::NotAKey
        });
    };
    let (body, _) = rest.split_once(END).ok_or(Error::Malformed)?;
    let mut lines = body.to_owned().into_bytes();
    lines.retain(|byte| !byte.is_ascii_whitespace());
    let lines = Secret::new(lines);
    let der = STANDARD.decode(lines.expose()).map_err(|_| Error::Malformed)?;
    Ok(Secret::new(der))
}

/// `PrivateKeyInfo`: a version, an algorithm, and the key in a form of that algorithm.
pub(super) fn key(der: &[u8]) -> Result<Material, Error> {
    let mut document = der;
    let mut info = take(&mut document, SEQUENCE)?;
    take(&mut info, INTEGER)?;
    let mut algorithm = take(&mut info, SEQUENCE)?;
    let mut key = take(&mut info, OCTET_STRING)?;
    let kind = take(&mut algorithm, OBJECT_IDENTIFIER)?;
    if kind == EC_PUBLIC_KEY && take(&mut algorithm, OBJECT_IDENTIFIER)? == P256 {
        // RFC 5915 §3: version, scalar.
        let mut key = take(&mut key, SEQUENCE)?;
        take(&mut key, INTEGER)?;
        let key = p256::ecdsa::SigningKey::from_slice(take(&mut key, OCTET_STRING)?);
        return key.map(Material::P256).map_err(|_| Error::Malformed);
    }
    if kind == RSA_ENCRYPTION {
        let numbers = take(&mut key, SEQUENCE)?;
        return RsaPrivateKey::read(numbers)
            .map(Material::Rsa)
            .ok_or(Error::Malformed);
    }
    Err(Error::KindUnknown)
}

fn take<'d>(rest: &mut &'d [u8], tag: u8) -> Result<&'d [u8], Error> {
    der::take(rest, tag).ok_or(Error::Malformed)
}

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
/// RFC 5915 §4.
const SEC1: &str = "-----BEGIN EC PRIVATE KEY-----";
/// In no RFC, and what openssl wrote before.
const PKCS1: &str = "-----BEGIN RSA PRIVATE KEY-----";

/// 1.2.840.10045.2.1 (RFC 5480 §2.1.1).
const EC_PUBLIC_KEY: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01";
/// 1.2.840.10045.3.1.7 (RFC 5480 §2.1.1.1).
const P256: &[u8] = b"\x2a\x86\x48\xce\x3d\x03\x01\x07";
/// 1.2.840.113549.1.1.1 (RFC 8017 §A.1).
const RSA_ENCRYPTION: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
