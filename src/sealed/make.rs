//! Sealing, and keys to seal to: for the program, and no part of the filter.

use std::fmt;

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::elliptic_curve::point::AffineCoordinates as _;
use p256::{PublicKey, SecretKey};
use serde_json::{Map, Value, json};

use super::error::{JwkError, UnsealingKeyError};
use super::jwk::{UnsealingKeys, document, public_key, thumbprint};
use super::{ALGORITHM, ENCRYPTION, FIELD_BYTES, MAX_JWE_BYTES, NONCE_BYTES, agreement};
use crate::secret::Secret;

/// Whom a secret is sealed to: the public half of a key.
#[derive(Debug)]
pub struct Recipient {
    public: PublicKey,
    kid: String,
}

impl Recipient {
    /// From a JWK, or the first of a JWK set. A private one will do: its public half is used.
    ///
    /// # Errors
    /// It is no key on P-256, or for something else.
    pub fn parse(text: &str) -> Result<Self, UnsealingKeyError> {
        let jwk = members(text)?
            .into_iter()
            .next()
            .ok_or(UnsealingKeyError::Count)?;
        Ok(Self {
            public: public_key(&jwk)?,
            kid: thumbprint(&jwk),
        })
    }

    /// The name that what is sealed says of its key: the thumbprint (RFC 7638).
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Seals a text. The random bytes must be fresh ones each time: the first are a key of their own.
    ///
    /// # Errors
    /// The text is too long, or the random bytes are no number of the curve's order, which one in 2³² is not.
    pub fn seal(
        &self,
        text: &str,
        random: &Secret<[u8; FIELD_BYTES]>,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<String, SealError> {
        let ephemeral = SecretKey::from_slice(random.expose()).map_err(|_| SealError::Unlucky)?;
        let header = json!({
            "alg": ALGORITHM,
            "enc": ENCRYPTION,
            "epk": public_jwk(&ephemeral.public_key()),
            "kid": self.kid,
        });
        let key = agreement::agree(&ephemeral, &self.public, b"", b"");
        let sealed = seal_under(&header.to_string(), &key, nonce, text.as_bytes());
        sealed
            .filter(|jwe| jwe.len() <= MAX_JWE_BYTES)
            .ok_or(SealError::TooLong)
    }
}

/// A JWE of direct agreement, whatever the header says.
pub(super) fn seal_under(
    header: &str,
    key: &Secret<[u8; 32]>,
    nonce: [u8; NONCE_BYTES],
    text: &[u8],
) -> Option<String> {
    let header = URL_SAFE_NO_PAD.encode(header);
    let payload = Payload {
        msg: text,
        aad: header.as_bytes(),
    };
    let cipher = Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key.expose()));
    let sealed = cipher.encrypt(&Nonce::from(nonce), payload).ok()?;
    let (ciphertext, tag) = sealed.split_last_chunk::<{ super::TAG_BYTES }>()?;
    let [nonce, ciphertext, tag] =
        [nonce.as_slice(), ciphertext, tag].map(|part| URL_SAFE_NO_PAD.encode(part));
    Some(format!("{header}..{nonce}.{ciphertext}.{tag}"))
}

/// Why a text is not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealError {
    /// No proxy would read it: it would be longer than [`MAX_JWE_BYTES`].
    TooLong,
    /// The random bytes are no private key: others are.
    Unlucky,
}

impl fmt::Display for SealError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(
                formatter,
                "is longer than {MAX_JWE_BYTES} bytes when it is sealed"
            ),
            Self::Unlucky => formatter.write_str("random bytes are no key"),
        }
    }
}

/// A new key, as JWKs (RFC 7517) on one line each.
#[derive(Debug)]
pub struct KeyPair {
    /// For the proxy's environment.
    pub private: Secret<String>,
    /// For whoever seals.
    pub public: String,
    /// The thumbprint of both.
    pub kid: String,
}

impl KeyPair {
    /// From random bytes.
    ///
    /// # Errors
    /// [`SealError::Unlucky`].
    pub fn new(random: &Secret<[u8; FIELD_BYTES]>) -> Result<Self, SealError> {
        let secret = SecretKey::from_slice(random.expose()).map_err(|_| SealError::Unlucky)?;
        let point = public_jwk(&secret.public_key());
        let kid = thumbprint(&point);
        let [kty, crv, x, y] =
            ["kty", "crv", "x", "y"].map(|name| point.get(name).cloned().unwrap_or_default());
        let number = Secret::new(URL_SAFE_NO_PAD.encode(random.expose()));
        let public = format!(
            r#""kty":{kty},"crv":{crv},"use":"enc","alg":"{ALGORITHM}","kid":"{kid}","x":{x},"y":{y}"#
        );
        Ok(Self {
            private: Secret::new(format!(r#"{{{public},"d":"{}"}}"#, number.expose())),
            public: format!("{{{public}}}"),
            kid,
        })
    }

    /// The new private key and behind it those that are there, a JWK or a JWK set, as one JWK set: what was sealed to them
    /// is opened as well, and what is sealed now is sealed to the new one.
    ///
    /// # Errors
    /// They are no keys, or too many.
    pub fn before(&self, old: &str) -> Result<Secret<String>, UnsealingKeyError> {
        let old: Vec<Secret<String>> = members(old)?
            .into_iter()
            .map(|jwk| Secret::new(Value::Object(jwk).to_string()))
            .collect();
        let keys: Vec<&str> = [&self.private]
            .into_iter()
            .chain(&old)
            .map(|key| key.expose().as_str())
            .collect();
        let set = Secret::new(format!(r#"{{"keys":[{}]}}"#, keys.join(",")));
        UnsealingKeys::parse(set.expose()).map(|_| set)
    }
}

/// The keys in the text of a JWK or of a JWK set.
fn members(text: &str) -> Result<Vec<Map<String, Value>>, UnsealingKeyError> {
    let mut document = document(text)?;
    match document.remove("keys") {
        None => Ok(vec![document]),
        Some(Value::Array(keys)) => keys
            .into_iter()
            .map(|key| match key {
                Value::Object(jwk) => Ok(jwk),
                _ => Err(JwkError::NotAnObject.into()),
            })
            .collect(),
        Some(_) => Err(UnsealingKeyError::Count),
    }
}

fn public_jwk(key: &PublicKey) -> Map<String, Value> {
    let point = key.as_affine();
    let number = |bytes: &[u8]| Value::String(URL_SAFE_NO_PAD.encode(bytes));
    [
        ("kty", Value::from("EC")),
        ("crv", Value::from("P-256")),
        ("x", number(point.x().as_slice())),
        ("y", number(point.y().as_slice())),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
