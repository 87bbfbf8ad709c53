//! Keys on P-256 as JWK (RFC 7517, RFC 7518 §6.2), and the private ones of a proxy.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::elliptic_curve::point::AffineCoordinates as _;
use p256::{AffinePoint, PublicKey, SecretKey};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

use super::envelope::Envelope;
use super::error::{JweError, JwkError, UnsealingKeyError};
use super::{ALGORITHM, FIELD_BYTES, MAX_DEPTH, MAX_KEYS, MAX_KEYS_BYTES, agreement};
use crate::excerpt::Excerpt;
use crate::json;
use crate::secret::Secret;

/// The private keys of a proxy: one, or several while they are rotated.
#[derive(Debug)]
pub struct UnsealingKeys {
    keys: Vec<UnsealingKey>,
}

impl UnsealingKeys {
    /// From a private JWK, or a JWK set of them (RFC 7517 §5).
    ///
    /// # Errors
    /// Of the first key that is not used: no key of a set is passed over.
    pub fn parse(text: &str) -> Result<Self, UnsealingKeyError> {
        let mut document = document(text)?;
        let mut keys = Vec::new();
        match document.get_mut("keys") {
            None => keys.push(UnsealingKey::new(&mut document)?),
            Some(Value::Array(list)) if (1..=MAX_KEYS).contains(&list.len()) => {
                for jwk in list {
                    keys.push(UnsealingKey::new(
                        jwk.as_object_mut().ok_or(JwkError::NotAnObject)?,
                    )?);
                }
            }
            Some(_) => return Err(UnsealingKeyError::Count),
        }
        Ok(Self { keys })
    }

    /// Opens what was sealed: with the key that it names, by thumbprint (RFC 7638) or by the `kid` of the JWK, else with
    /// any.
    ///
    /// # Errors
    /// No key opens it, or it holds no text.
    pub fn open(&self, envelope: &Envelope<'_>) -> Result<Secret<String>, JweError> {
        let (party_u, party_v) = envelope.parties();
        let (mut is_known, mut opened) = (false, None);
        for key in &self.keys {
            if opened.is_none() && envelope.kid().is_none_or(|kid| key.is_called(kid)) {
                is_known = true;
                let agreed = agreement::agree(&key.secret, envelope.ephemeral(), party_u, party_v);
                opened = envelope.open(&agreed);
            }
        }
        if let (false, Some(kid)) = (is_known, envelope.kid()) {
            return Err(JweError::KeyUnknown(Excerpt::new(kid)));
        }
        String::from_utf8(opened.ok_or(JweError::NotOpened)?)
            .map(Secret::new)
            .map_err(|error| {
                error.into_bytes().zeroize();
                JweError::NotText
            })
    }

    /// The private numbers as they were written, to be kept out of what is printed.
    pub fn numbers(&self) -> impl Iterator<Item = &Secret<String>> {
        self.keys.iter().map(|key| &key.number)
    }
}

struct UnsealingKey {
    /// Zeroed when dropped.
    secret: SecretKey,
    number: Secret<String>,
    kid: Option<String>,
    thumbprint: String,
}

impl UnsealingKey {
    /// Takes the private number out of the JWK: nobody else zeroes it.
    fn new(jwk: &mut Map<String, Value>) -> Result<Self, JwkError> {
        let Some(Value::String(number)) = jwk.remove("d") else {
            return Err(JwkError::Number("d"));
        };
        let number = Secret::new(number);
        let public = public_key(jwk)?;
        let bytes = Secret::new(decode(number.expose()).ok_or(JwkError::Number("d"))?);
        let secret = SecretKey::from_slice(bytes.expose()).map_err(|_| JwkError::NotOnCurve)?;
        if !are_halves(&secret, &public) {
            return Err(JwkError::Halves);
        }
        Ok(Self {
            secret,
            number,
            kid: text(jwk, "kid").map(str::to_owned),
            thumbprint: thumbprint(jwk),
        })
    }

    fn is_called(&self, kid: &str) -> bool {
        self.thumbprint == kid || self.kid.as_deref() == Some(kid)
    }
}

impl fmt::Debug for UnsealingKey {
    /// Its public name.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "UnsealingKey({})", self.thumbprint)
    }
}

/// Whether a public key is that of a private one, or its mirror image, with which it agrees upon the same keys. Agreeing
/// with the curve's generator tells: the other way to a public key brings a table of 25 KB into the module.
fn are_halves(secret: &SecretKey, public: &PublicKey) -> bool {
    PublicKey::from_affine(AffinePoint::GENERATOR).is_ok_and(|generator| {
        let x = public.as_affine().x();
        secret.diffie_hellman(&generator).raw_secret_bytes().as_slice() == x.as_slice()
    })
}

/// The object in the text of a JWK or of a JWK set.
pub(super) fn document(text: &str) -> Result<Map<String, Value>, JwkError> {
    match text.len() <= MAX_KEYS_BYTES {
        true => json::object(text.as_bytes(), MAX_DEPTH).map_err(|_| JwkError::NotAnObject),
        false => Err(JwkError::NotAnObject),
    }
}

/// The public key in a JWK. What is said of its use must fit, where it is said.
pub(super) fn public_key(jwk: &Map<String, Value>) -> Result<PublicKey, JwkError> {
    if text(jwk, "kty") != Some("EC") || text(jwk, "crv") != Some("P-256") {
        return Err(JwkError::Kind);
    }
    for (name, purpose) in [("use", "enc"), ("alg", ALGORITHM)] {
        if jwk.contains_key(name) && text(jwk, name) != Some(purpose) {
            return Err(JwkError::Purpose);
        }
    }
    let point = [UNCOMPRESSED, &number(jwk, "x")?, &number(jwk, "y")?].concat();
    PublicKey::from_sec1_bytes(&point).map_err(|_| JwkError::NotOnCurve)
}

/// The name of a public key (RFC 7638 §3) that was read: its coordinates have one spelling.
pub(super) fn thumbprint(jwk: &Map<String, Value>) -> String {
    let (x, y) = (
        text(jwk, "x").unwrap_or_default(),
        text(jwk, "y").unwrap_or_default(),
    );
    let canonical = [r#"{"crv":"P-256","kty":"EC","x":""#, x, r#"","y":""#, y, r#""}"#].concat();
    let digest: [u8; 32] = Sha256::digest(canonical).into();
    URL_SAFE_NO_PAD.encode(digest)
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    jwk.get(name).and_then(Value::as_str)
}

fn number(jwk: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, JwkError> {
    text(jwk, name).and_then(decode).ok_or(JwkError::Number(name))
}

/// A number of full size (RFC 7518 §6.2.1.2, §6.2.2.1).
fn decode(text: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    (bytes.len() == FIELD_BYTES).then_some(bytes)
}

/// How a point begins of which both coordinates are there (SEC 1 §2.3.3).
const UNCOMPRESSED: &[u8] = &[4];
