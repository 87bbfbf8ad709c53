//! Private keys of every kind that the filter verifies signatures of.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use serde_json::{Map, Value};

use super::key::{KeyError, SALT_BYTES, number};
use super::rsa::Rsa;
use crate::jwks::der::{self, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE};
use crate::jwks::{Algorithm, Padding, rsa_scheme, tag};
use crate::secret::Secret;

/// A private key.
pub(super) enum Material {
    Rsa(Box<Rsa>),
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    P521(p521::ecdsa::SigningKey),
    Secp256k1(k256::ecdsa::SigningKey),
    /// The seed: the library's own key is not zeroed.
    Ed25519(Secret<[u8; 32]>),
    Shared(Secret<Vec<u8>>),
}

impl Material {
    /// `PrivateKeyInfo` (RFC 5208 §5).
    pub(super) fn from_pkcs8(document: &[u8]) -> Result<Self, KeyError> {
        let take = |rest: &mut &'_ [u8], tag| -> Result<Vec<u8>, KeyError> {
            der::take(rest, tag)
                .map(<[u8]>::to_vec)
                .ok_or(KeyError::Malformed)
        };
        let mut rest = document;
        let info = Secret::new(take(&mut rest, SEQUENCE)?);
        let mut info = info.expose().as_slice();
        take(&mut info, INTEGER)?;
        let algorithm = take(&mut info, SEQUENCE)?;
        let key = Secret::new(take(&mut info, OCTET_STRING)?);
        let mut key = key.expose().as_slice();
        let mut algorithm = algorithm.as_slice();
        let kind = take(&mut algorithm, OBJECT_IDENTIFIER)?;
        match kind.as_slice() {
            RSA_ENCRYPTION => {
                let numbers = Secret::new(take(&mut key, SEQUENCE)?);
                Ok(Self::Rsa(Box::new(Rsa::from_pkcs1(numbers.expose())?)))
            }
            EC_PUBLIC_KEY => {
                let curve = take(&mut algorithm, OBJECT_IDENTIFIER)?;
                // RFC 5915 §3: version, scalar.
                let parts = Secret::new(take(&mut key, SEQUENCE)?);
                let mut parts = parts.expose().as_slice();
                take(&mut parts, INTEGER)?;
                let scalar = Secret::new(take(&mut parts, OCTET_STRING)?);
                let curve = CURVES.into_iter().find(|(_, oid)| *oid == curve);
                Self::on_curve(curve.ok_or(KeyError::KindUnknown)?.0, scalar.expose())
            }
            // RFC 8410 §7.
            ED25519 => Self::ed25519(&Secret::new(take(&mut key, OCTET_STRING)?)),
            _ => Err(KeyError::KindUnknown),
        }
    }

    /// RFC 7518 §6, RFC 8037 §2.
    pub(super) fn from_jwk(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        let text = |name| jwk.get(name).and_then(Value::as_str).unwrap_or_default();
        match text("kty") {
            "RSA" => Ok(Self::Rsa(Box::new(Rsa::from_jwk(jwk)?))),
            "EC" => Self::on_curve(text("crv"), number(jwk, "d")?.expose()),
            "OKP" if text("crv") == "Ed25519" => Self::ed25519(&number(jwk, "d")?),
            "oct" => Ok(Self::Shared(number(jwk, "k")?)),
            _ => Err(KeyError::KindUnknown),
        }
    }

    /// Of a curve by its name in a JWK.
    pub(super) fn on_curve(curve: &str, scalar: &[u8]) -> Result<Self, KeyError> {
        match curve {
            "P-256" => p256::ecdsa::SigningKey::from_slice(scalar).map(Self::P256).ok(),
            "P-384" => p384::ecdsa::SigningKey::from_slice(scalar).map(Self::P384).ok(),
            "P-521" => p521::ecdsa::SigningKey::from_slice(scalar).map(Self::P521).ok(),
            "secp256k1" => k256::ecdsa::SigningKey::from_slice(scalar)
                .map(Self::Secp256k1)
                .ok(),
            _ => return Err(KeyError::KindUnknown),
        }
        .ok_or(KeyError::Malformed)
    }

    pub(super) fn ed25519(seed: &Secret<Vec<u8>>) -> Result<Self, KeyError> {
        let seed = seed.expose().as_slice().try_into();
        seed.map(|seed| Self::Ed25519(Secret::new(seed)))
            .map_err(|_| KeyError::Malformed)
    }

    /// What it signs with; the first is taken where nobody says which.
    pub(super) const fn algorithms(&self) -> &'static [Algorithm] {
        match self {
            Self::Rsa(_) => &[
                Algorithm::Rs256,
                Algorithm::Rs384,
                Algorithm::Rs512,
                Algorithm::Ps256,
                Algorithm::Ps384,
                Algorithm::Ps512,
            ],
            Self::P256(_) => &[Algorithm::Es256],
            Self::P384(_) => &[Algorithm::Es384],
            Self::P521(_) => &[Algorithm::Es512],
            Self::Secp256k1(_) => &[Algorithm::Es256K],
            Self::Ed25519(_) => &[Algorithm::EdDsa],
            Self::Shared(_) => &[Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512],
        }
    }

    /// A signature in the form of JWS (RFC 7518 §3). `None` for an algorithm of another kind, or if the arithmetic went
    /// wrong.
    pub(super) fn sign(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        salt: &[u8; SALT_BYTES],
    ) -> Option<Vec<u8>> {
        match self {
            Self::Rsa(key) => match rsa_scheme(algorithm)? {
                (Padding::Pkcs1, hash) => key.sign_pkcs1(hash, message),
                (Padding::Pss, hash) => key.sign_pss(hash, message, salt),
            },
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.try_sign(message).ok()?;
                Some(signature.to_bytes().to_vec())
            }
            Self::P384(key) => {
                let signature: p384::ecdsa::Signature = key.try_sign(message).ok()?;
                Some(signature.to_bytes().to_vec())
            }
            Self::P521(key) => {
                let signature: p521::ecdsa::Signature = key.try_sign(message).ok()?;
                Some(signature.to_bytes().to_vec())
            }
            Self::Secp256k1(key) => {
                let signature: k256::ecdsa::Signature = key.try_sign(message).ok()?;
                Some(signature.to_bytes().to_vec())
            }
            Self::Ed25519(seed) => Some(ed25519(seed).try_sign(message).ok()?.to_bytes().to_vec()),
            Self::Shared(secret) => tag(algorithm, secret, message),
        }
    }

    /// The members of its public half that tell it from others, in the order of their names (RFC 7638 §3.2). None for a
    /// shared secret, which has no such half.
    pub(super) fn public_members(&self) -> Option<Vec<(&'static str, String)>> {
        let point = |crv: &str, point: &[u8]| {
            // SEC 1 §2.3.3: an uncompressed point is 4, x, y.
            let numbers = point.get(1..).unwrap_or_default();
            let (x, y) = numbers.split_at_checked(numbers.len() / 2).unwrap_or_default();
            vec![
                ("crv", crv.to_owned()),
                ("kty", "EC".to_owned()),
                ("x", URL_SAFE_NO_PAD.encode(x)),
                ("y", URL_SAFE_NO_PAD.encode(y)),
            ]
        };
        Some(match self {
            Self::Rsa(key) => {
                let mut members: Vec<_> = key
                    .members()
                    .take(2)
                    .map(|(name, number)| (name, URL_SAFE_NO_PAD.encode(number)))
                    .chain([("kty", "RSA".to_owned())])
                    .collect();
                members.sort();
                members
            }
            Self::P256(key) => point("P-256", key.verifying_key().to_sec1_point(false).as_bytes()),
            Self::P384(key) => point("P-384", key.verifying_key().to_sec1_point(false).as_bytes()),
            Self::P521(key) => point("P-521", key.verifying_key().to_sec1_point(false).as_bytes()),
            Self::Secp256k1(key) => point("secp256k1", key.verifying_key().to_sec1_point(false).as_bytes()),
            Self::Ed25519(seed) => vec![
                ("crv", "Ed25519".to_owned()),
                ("kty", "OKP".to_owned()),
                (
                    "x",
                    URL_SAFE_NO_PAD.encode(ed25519(seed).verifying_key().as_bytes()),
                ),
            ],
            Self::Shared(_) => return None,
        })
    }

    /// The members of a JWK that are the private half.
    pub(super) fn private_members(&self) -> Vec<(&'static str, Secret<String>)> {
        let one = |name, bytes: &[u8]| vec![(name, Secret::new(URL_SAFE_NO_PAD.encode(bytes)))];
        match self {
            Self::Rsa(key) => key
                .members()
                .skip(2)
                .map(|(name, number)| (name, Secret::new(URL_SAFE_NO_PAD.encode(number))))
                .collect(),
            Self::P256(key) => one("d", &key.to_bytes()),
            Self::P384(key) => one("d", &key.to_bytes()),
            Self::P521(key) => one("d", &key.to_bytes()),
            Self::Secp256k1(key) => one("d", &key.to_bytes()),
            Self::Ed25519(seed) => one("d", seed.expose()),
            Self::Shared(secret) => one("k", secret.expose()),
        }
    }
}

fn ed25519(seed: &Secret<[u8; 32]>) -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(seed.expose())
}

/// 1.2.840.113549.1.1.1 (RFC 8017 §A.1).
const RSA_ENCRYPTION: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
/// 1.2.840.10045.2.1 (RFC 5480 §2.1.1).
const EC_PUBLIC_KEY: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01";
/// 1.3.101.112 (RFC 8410 §3).
const ED25519: &[u8] = b"\x2b\x65\x70";
/// RFC 5480 §2.1.1.1, and SEC 2 §A.2.1 for the last.
const CURVES: [(&str, &[u8]); 4] = [
    ("P-256", b"\x2a\x86\x48\xce\x3d\x03\x01\x07"),
    ("P-384", b"\x2b\x81\x04\x00\x22"),
    ("P-521", b"\x2b\x81\x04\x00\x23"),
    ("secp256k1", b"\x2b\x81\x04\x00\x0a"),
];
