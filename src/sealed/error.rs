//! Why something is not opened. None of these holds a byte of a key or of what was sealed.

use std::fmt;

use super::{MAX_JWE_BYTES, MAX_KEYS, NONCE_BYTES, TAG_BYTES};
use crate::excerpt::Excerpt;
use crate::json;

/// Why a text is no sealed secret, or cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JweError {
    /// It is longer than [`MAX_JWE_BYTES`].
    TooLong,
    /// It has not five segments (RFC 7516 §3.1); how many.
    Segments(usize),
    /// A segment is not canonical base64url (RFC 7515 §2): no padding, no stray bits.
    Base64(&'static str),
    /// The header is too long, or no JSON object that all readers understand alike.
    Header(Option<json::Error>),
    /// A member of the header is missing, or has not the type that it must have.
    Member(&'static str),
    /// `alg` is another one.
    Algorithm(Excerpt),
    /// `enc` is another one.
    Encryption(Excerpt),
    /// `crit` is there (RFC 7516 §4.1.13): no extension is understood.
    Critical,
    /// `zip` is there (RFC 7516 §4.1.3): what is compressed tells of its content by its length.
    Compressed,
    /// `epk` is no public key on P-256.
    EphemeralKey(JwkError),
    /// There is an encrypted key, which direct agreement has not (RFC 7518 §4.6).
    EncryptedKey,
    /// The initialization vector or the authentication tag has another length than AES-GCM's.
    Lengths,
    /// No key that is there has this `kid`.
    KeyUnknown(Excerpt),
    /// No key that is there opens it, or it was changed.
    NotOpened,
    /// What was sealed is not UTF-8.
    NotText,
}

impl fmt::Display for JweError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(formatter, "is longer than {MAX_JWE_BYTES} bytes"),
            Self::Segments(count) => write!(formatter, "is no compact JWE: it has {count} of 5 segments"),
            Self::Base64(segment) => write!(formatter, "{segment} is not canonical base64url"),
            Self::Header(None) => formatter.write_str("header is too long"),
            Self::Header(Some(error)) => write!(formatter, "header: {error}"),
            Self::Member(name) => write!(formatter, "header: `{name}` is missing, or of the wrong type"),
            Self::Algorithm(found) => write!(formatter, "header: `alg` is `{found}` and not `ECDH-ES`"),
            Self::Encryption(found) => write!(formatter, "header: `enc` is `{found}` and not `A256GCM`"),
            Self::Critical => formatter.write_str("header: `crit` asks for what is not understood"),
            Self::Compressed => formatter.write_str("header: `zip`: what is compressed is not read"),
            Self::EphemeralKey(error) => write!(formatter, "header: `epk`: {error}"),
            Self::EncryptedKey => formatter.write_str("has an encrypted key, where `ECDH-ES` has none"),
            Self::Lengths => write!(
                formatter,
                "initialization vector is not of {NONCE_BYTES} bytes, or authentication tag not of {TAG_BYTES}"
            ),
            Self::KeyUnknown(kid) => {
                write!(formatter, "is sealed to key `{kid}`, which this proxy has not")
            }
            Self::NotOpened => {
                formatter.write_str("cannot be opened: it was changed, or sealed to another key")
            }
            Self::NotText => formatter.write_str("holds something that is not UTF-8"),
        }
    }
}

/// Why a JWK is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwkError {
    /// It is no JSON object, or one that two readers could understand in two ways.
    NotAnObject,
    /// It is not of `kty` EC and `crv` P-256.
    Kind,
    /// `use` or `alg` says that it is for something else.
    Purpose,
    /// A number is missing, or not 32 bytes in canonical base64url (RFC 7518 §6.2).
    Number(&'static str),
    /// `x` and `y` are no point on the curve, or `d` is no number of the curve's order.
    NotOnCurve,
    /// `x` and `y` are not the public half of `d`.
    Halves,
    /// There is a `d`, where a public key is read.
    Private,
}

impl fmt::Display for JwkError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotAnObject => "is no JWK",
            Self::Kind => "is not of `kty` EC and `crv` P-256",
            Self::Purpose => "is for something else: `use` is not `enc`, or `alg` not `ECDH-ES`",
            Self::Number(name) => {
                return write!(formatter, "`{name}` is missing, or not 32 bytes in base64url");
            }
            Self::NotOnCurve => "is no key on the curve",
            Self::Halves => "`x` and `y` are not the public half of `d`",
            Self::Private => "holds `d`, and is known to everybody",
        })
    }
}

/// Why what the environment holds are no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnsealingKeyError {
    /// A set has no key, or more than [`MAX_KEYS`].
    Count,
    /// A key is not used.
    Key(JwkError),
}

impl fmt::Display for UnsealingKeyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count => write!(formatter, "`keys` is not a list of 1 to {MAX_KEYS} keys"),
            Self::Key(error) => error.fmt(formatter),
        }
    }
}

impl From<JwkError> for UnsealingKeyError {
    fn from(error: JwkError) -> Self {
        Self::Key(error)
    }
}
