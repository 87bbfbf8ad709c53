//! One member of a key set (RFC 7517 §4) made into a [`Key`], or the reason why it is left out.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_simple::algorithms::{ES256PublicKey, ES384PublicKey};
use k256::elliptic_curve::point::AffineCoordinates as _;
use serde_json::{Map, Value};

use super::MAX_KID_BYTES;
use super::algorithm::{Algorithm, AlgorithmSet};
use super::der;
use super::key::{Key, Material};
use super::rsa::RsaKey;
use crate::excerpt::Excerpt;

/// Why a key of a set is not used. The other keys of the set are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipReason {
    /// The entry is no JSON object.
    NotAnObject,
    /// `kid` is there, but no string (RFC 7517 §4.5).
    KidNotText,
    /// `kid` is longer than [`MAX_KID_BYTES`].
    KidTooLong {
        /// Its length.
        bytes: usize,
    },
    /// `kty` is missing, or none that verifies signatures.
    KeyTypeUnknown {
        /// The value; empty if it is no string.
        kty: Excerpt,
    },
    /// `kty` is `oct`: a secret has no place in a published set, and accepting one lets whoever reads the set sign.
    Symmetric,
    /// `crv` is missing, or none that is known for this `kty`.
    CurveUnknown {
        /// The value; empty if it is no string.
        crv: Excerpt,
    },
    /// `use` is there and not `sig` (RFC 7517 §4.2).
    NotForSignatures,
    /// `key_ops` is there and does not list `verify` (RFC 7517 §4.3).
    NotForVerification,
    /// `alg` is there and not the name of a known signature algorithm.
    AlgorithmUnknown {
        /// The value; empty if it is no string.
        alg: Excerpt,
    },
    /// `alg` is not one that a key of this `kty` and `crv` can serve.
    AlgorithmMismatch {
        /// The algorithm.
        alg: Algorithm,
    },
    /// A number of the key is missing, is not strict base64url, or has the wrong length.
    MemberMalformed {
        /// The member's name.
        name: &'static str,
    },
    /// The RSA modulus is shorter than [`MIN_RSA_BITS`].
    RsaTooShort {
        /// Its length.
        bits: usize,
    },
    /// The RSA modulus is longer than [`MAX_RSA_BITS`].
    RsaTooLong {
        /// Its length.
        bits: usize,
    },
    /// The RSA modulus is even.
    RsaModulus,
    /// The RSA exponent is even, below 3, or longer than 33 bits.
    RsaExponent,
    /// The point is not on the curve, or of small order.
    PointInvalid,
    /// As many keys as are ever tried stand before it under the same `kid` and for the same algorithms.
    NeverTried,
}

impl SkipReason {
    /// A stable name for metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotAnObject => "not_an_object",
            Self::KidNotText | Self::KidTooLong { .. } => "kid_invalid",
            Self::KeyTypeUnknown { .. } => "kty_unknown",
            Self::Symmetric => "symmetric",
            Self::CurveUnknown { .. } => "crv_unknown",
            Self::NotForSignatures | Self::NotForVerification => "other_use",
            Self::AlgorithmUnknown { .. } | Self::AlgorithmMismatch { .. } => "alg_invalid",
            Self::MemberMalformed { .. } => "malformed",
            Self::RsaTooShort { .. } => "rsa_too_short",
            Self::RsaTooLong { .. } => "rsa_too_long",
            Self::RsaModulus | Self::RsaExponent => "rsa_invalid",
            Self::PointInvalid => "point_invalid",
            Self::NeverTried => "too_many",
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject => formatter.write_str("not an object"),
            Self::KidNotText => formatter.write_str("`kid` is not a string"),
            Self::KidTooLong { bytes } => {
                write!(formatter, "`kid` has {bytes} bytes, more than {MAX_KID_BYTES}")
            }
            Self::KeyTypeUnknown { kty } => write!(formatter, "unknown `kty` `{kty}`"),
            Self::Symmetric => formatter.write_str("a symmetric key in a published set"),
            Self::CurveUnknown { crv } => write!(formatter, "unknown `crv` `{crv}`"),
            Self::NotForSignatures => formatter.write_str("`use` is not `sig`"),
            Self::NotForVerification => formatter.write_str("`key_ops` does not hold `verify`"),
            Self::AlgorithmUnknown { alg } => write!(formatter, "unknown `alg` `{alg}`"),
            Self::AlgorithmMismatch { alg } => write!(formatter, "`alg` `{alg}` does not fit the key"),
            Self::MemberMalformed { name } => write!(formatter, "`{name}` is missing or malformed"),
            Self::RsaTooShort { bits } => {
                write!(formatter, "RSA modulus of {bits} bits, below {MIN_RSA_BITS}")
            }
            Self::RsaTooLong { bits } => {
                write!(formatter, "RSA modulus of {bits} bits, above {MAX_RSA_BITS}")
            }
            Self::RsaModulus => formatter.write_str("RSA modulus is even"),
            Self::RsaExponent => formatter.write_str("RSA exponent is even, below 3 or above 33 bits"),
            Self::PointInvalid => formatter.write_str("point is not on the curve or of small order"),
            Self::NeverTried => formatter.write_str("too many keys of this `kid` and algorithm before it"),
        }
    }
}

/// The `kid` of an entry of a set, if it has one.
pub(super) fn kid(entry: &Value) -> Result<Option<&str>, SkipReason> {
    match entry.get("kid") {
        None => Ok(None),
        Some(Value::String(kid)) if kid.len() <= MAX_KID_BYTES => Ok(Some(kid)),
        Some(Value::String(kid)) => Err(SkipReason::KidTooLong { bytes: kid.len() }),
        Some(_) => Err(SkipReason::KidNotText),
    }
}

/// The key of an entry. Members that are not named here, private ones among them, are not looked at.
pub(super) fn key(entry: &Value, kid: Option<&str>) -> Result<Key, SkipReason> {
    let jwk = entry.as_object().ok_or(SkipReason::NotAnObject)?;
    let kind = Kind::of(jwk)?;
    check_use(jwk)?;
    let algorithms = algorithms(jwk, kind)?;
    match kind {
        Kind::Rsa => rsa(jwk, algorithms, kid),
        Kind::Ec(curve) => ec(jwk, curve, algorithms, kid),
        Kind::Ed25519 => ed25519(jwk, algorithms, kid),
    }
}

/// What `kty` and `crv` say together.
#[derive(Clone, Copy)]
enum Kind {
    Rsa,
    Ec(Curve),
    Ed25519,
}

#[derive(Clone, Copy)]
enum Curve {
    P256,
    P384,
    P521,
    Secp256k1,
}

impl Kind {
    fn of(jwk: &Map<String, Value>) -> Result<Self, SkipReason> {
        match (text(jwk, "kty"), text(jwk, "crv")) {
            ("RSA", _) => Ok(Self::Rsa),
            ("EC", "P-256") => Ok(Self::Ec(Curve::P256)),
            ("EC", "P-384") => Ok(Self::Ec(Curve::P384)),
            ("EC", "P-521") => Ok(Self::Ec(Curve::P521)),
            ("EC", "secp256k1") => Ok(Self::Ec(Curve::Secp256k1)),
            ("OKP", "Ed25519") => Ok(Self::Ed25519),
            ("EC" | "OKP", crv) => Err(SkipReason::CurveUnknown {
                crv: Excerpt::new(crv),
            }),
            ("oct", _) => Err(SkipReason::Symmetric),
            (kty, _) => Err(SkipReason::KeyTypeUnknown {
                kty: Excerpt::new(kty),
            }),
        }
    }

    /// What such a key can serve: an EC key what its curve says, an RSA key both paddings with every hash.
    const fn algorithms(self) -> AlgorithmSet {
        match self {
            Self::Rsa => AlgorithmSet::of(&[
                Algorithm::Rs256,
                Algorithm::Rs384,
                Algorithm::Rs512,
                Algorithm::Ps256,
                Algorithm::Ps384,
                Algorithm::Ps512,
            ]),
            Self::Ec(Curve::P256) => AlgorithmSet::of(&[Algorithm::Es256]),
            Self::Ec(Curve::P384) => AlgorithmSet::of(&[Algorithm::Es384]),
            Self::Ec(Curve::P521) => AlgorithmSet::of(&[Algorithm::Es512]),
            Self::Ec(Curve::Secp256k1) => AlgorithmSet::of(&[Algorithm::Es256K]),
            Self::Ed25519 => AlgorithmSet::of(&[Algorithm::EdDsa]),
        }
    }
}

fn check_use(jwk: &Map<String, Value>) -> Result<(), SkipReason> {
    if jwk.get("use").is_some_and(|value| value != "sig") {
        return Err(SkipReason::NotForSignatures);
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().any(|value| value == "verify") => Ok(()),
        Some(_) => Err(SkipReason::NotForVerification),
    }
}

/// A key with `alg` serves that one only.
fn algorithms(jwk: &Map<String, Value>, kind: Kind) -> Result<AlgorithmSet, SkipReason> {
    if !jwk.contains_key("alg") {
        return Ok(kind.algorithms());
    }
    let name = text(jwk, "alg");
    let alg = Algorithm::from_name(name).ok_or_else(|| SkipReason::AlgorithmUnknown {
        alg: Excerpt::new(name),
    })?;
    if !kind.algorithms().contains(alg) {
        return Err(SkipReason::AlgorithmMismatch { alg });
    }
    Ok(AlgorithmSet::of(&[alg]))
}

/// RFC 7518 §6.3.1. Leading zero bytes, which that section forbids and some providers send, change no number.
fn rsa(jwk: &Map<String, Value>, algorithms: AlgorithmSet, kid: Option<&str>) -> Result<Key, SkipReason> {
    let (modulus, exponent) = (number(jwk, "n")?, number(jwk, "e")?);
    let (modulus, exponent) = (without_leading_zeros(&modulus), without_leading_zeros(&exponent));
    let bits = bit_length(modulus);
    if bits < MIN_RSA_BITS {
        return Err(SkipReason::RsaTooShort { bits });
    }
    if bits > MAX_RSA_BITS {
        return Err(SkipReason::RsaTooLong { bits });
    }
    if is_even(modulus) {
        return Err(SkipReason::RsaModulus);
    }
    let value = exponent_value(exponent).ok_or(SkipReason::RsaExponent)?;
    let identity = [kid_identity(kid), (b"RSA", modulus), (b"e", exponent)];
    let material = Material::Rsa(RsaKey::new(modulus.to_vec(), value));
    let key = Key::new(algorithms, material, &identity);
    Ok(match value {
        HOST_RSA_EXPONENT => key.with_host_key(der::rsa_public_key(modulus, exponent)),
        _ => key,
    })
}

/// An odd number from 3 to [`MAX_RSA_EXPONENT`].
fn exponent_value(exponent: &[u8]) -> Option<u64> {
    let mut bytes = [0; 8];
    let start = bytes.len().checked_sub(exponent.len())?;
    bytes.get_mut(start..)?.copy_from_slice(exponent);
    let value = u64::from_be_bytes(bytes);
    (value % 2 == 1 && (3..=MAX_RSA_EXPONENT).contains(&value)).then_some(value)
}

/// RFC 7518 §6.2.1.
fn ec(
    jwk: &Map<String, Value>,
    curve: Curve,
    algorithms: AlgorithmSet,
    kid: Option<&str>,
) -> Result<Key, SkipReason> {
    let bytes = match curve {
        Curve::P256 | Curve::Secp256k1 => 32,
        Curve::P384 => 48,
        Curve::P521 => 66,
    };
    // SEC 1 §2.3.3: an uncompressed point is 4, x, y.
    let mut point = vec![4];
    point.extend(coordinate(jwk, "x", bytes)?);
    point.extend(coordinate(jwk, "y", bytes)?);
    let (material, host_curve) = match curve {
        Curve::P256 => (
            ES256PublicKey::from_bytes(&point).ok().map(Material::P256),
            Some(der::Curve::P256),
        ),
        Curve::P384 => (
            ES384PublicKey::from_bytes(&point).ok().map(Material::P384),
            Some(der::Curve::P384),
        ),
        Curve::P521 => (
            p521::ecdsa::VerifyingKey::from_sec1_bytes(&point)
                .ok()
                .map(|key| Material::P521(Box::new(key))),
            Some(der::Curve::P521),
        ),
        Curve::Secp256k1 => (secp256k1(&point).map(Material::Secp256k1), None),
    };
    let material = material.ok_or(SkipReason::PointInvalid)?;
    let key = Key::new(algorithms, material, &[kid_identity(kid), (b"EC", &point)]);
    Ok(match host_curve {
        Some(curve) => key.with_host_key(der::ec_public_key(curve, &point)),
        None => key,
    })
}

/// From its coordinates: what reads any form of a point brings code for forms that never come, a fortieth of the module.
fn secp256k1(point: &[u8]) -> Option<k256::ecdsa::VerifyingKey> {
    let (x, y) = point.get(1..)?.split_at_checked(SECP256K1_BYTES)?;
    let (x, y) = (x.try_into().ok()?, y.try_into().ok()?);
    let point = k256::AffinePoint::from_coordinates(x, y).into_option()?;
    k256::PublicKey::from_affine(point).ok().map(Into::into)
}

/// RFC 8037 §2. The 32 bytes are little-endian, so none of them is a leading zero to be left out.
fn ed25519(jwk: &Map<String, Value>, algorithms: AlgorithmSet, kid: Option<&str>) -> Result<Key, SkipReason> {
    let point = number(jwk, "x")?;
    let bytes: [u8; ED25519_BYTES] = point
        .as_slice()
        .try_into()
        .map_err(|_| SkipReason::MemberMalformed { name: "x" })?;
    let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes).map_err(|_| SkipReason::PointInvalid)?;
    // The library takes more than one encoding of some points; RFC 8032 §5.1.3 has one of each.
    if key.is_weak() || key.to_edwards().compress().to_bytes() != bytes {
        return Err(SkipReason::PointInvalid);
    }
    let identity = [kid_identity(kid), (b"Ed25519", &point)];
    Ok(Key::new(algorithms, Material::Ed25519(key), &identity))
}

/// What a `kid` adds to a key's identity: none is not the same as an empty one.
pub(super) fn kid_identity(kid: Option<&str>) -> (&'static [u8], &[u8]) {
    kid.map_or((b"", b""), |kid| (b"kid", kid.as_bytes()))
}

/// A text member; empty if it is missing or no string, which no caller has a meaning for.
fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> &'a str {
    jwk.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A member in strict base64url.
fn number(jwk: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, SkipReason> {
    jwk.get(name)
        .and_then(Value::as_str)
        .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
        .ok_or(SkipReason::MemberMalformed { name })
}

/// A coordinate of full size (RFC 7518 §6.2.1.2). A longer one is taken where zeros lead it; a shorter one is not
/// padded: that section forbids it, and nothing tells it from a value that was cut off.
fn coordinate(jwk: &Map<String, Value>, name: &'static str, size: usize) -> Result<Vec<u8>, SkipReason> {
    let mut value = number(jwk, name)?;
    match value.len().checked_sub(size) {
        Some(excess) if value.drain(..excess).all(|byte| byte == 0) => Ok(value),
        _ => Err(SkipReason::MemberMalformed { name }),
    }
}

fn without_leading_zeros(value: &[u8]) -> &[u8] {
    let mut rest = value;
    while let [0, others @ ..] = rest {
        rest = others;
    }
    rest
}

/// Of a number without leading zero bytes.
fn bit_length(value: &[u8]) -> usize {
    value.first().map_or(0, |first| {
        let zeros: usize = (0..8).rev().take_while(|bit| first >> bit & 1 == 0).count();
        value.len().saturating_mul(8).saturating_sub(zeros)
    })
}

/// Of a number without leading zero bytes; zero is even.
fn is_even(value: &[u8]) -> bool {
    value.last().is_none_or(|last| last & 1 == 0)
}

/// RFC 7518 §3.3 and §3.5: 2048 bits or larger.
pub const MIN_RSA_BITS: usize = 2048;

/// What one more bit costs grows with the square of the size, at each verification, and protects nothing: no provider
/// in sight has larger ones.
pub const MAX_RSA_BITS: usize = 4096;

/// 33 bits, as in BoringSSL (`kMaxExponentBits`) and Go: a longer exponent is an attack on the verifier's time.
const MAX_RSA_EXPONENT: u64 = (1 << 33) - 1;

/// F4, the exponent of practically every key. Libraries have rules of their own for others, so no host is asked there.
const HOST_RSA_EXPONENT: u64 = 65537;

/// SEC 2 §2.4.1.
const SECP256K1_BYTES: usize = 32;

/// RFC 8032 §5.1.5.
const ED25519_BYTES: usize = 32;
