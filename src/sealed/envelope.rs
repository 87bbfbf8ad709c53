//! The form of a sealed secret: five segments of base64url, the first of which is the header (RFC 7516 §3.1).

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::PublicKey;
use serde_json::{Map, Value};

use super::error::{JweError, JwkError};
use super::jwk::public_key;
use super::{ALGORITHM, ENCRYPTION, MAX_DEPTH, MAX_HEADER_BYTES, MAX_JWE_BYTES, NONCE_BYTES, TAG_BYTES};
use crate::excerpt::Excerpt;
use crate::json;
use crate::secret::Secret;

/// A sealed secret taken apart. It is one in form; whether a key opens it is [`super::UnsealingKeys::open`]'s to say.
#[derive(Debug)]
pub struct Envelope<'text> {
    /// The header as it stands there: what is authenticated beside the text (RFC 7516 §5.1, step 14).
    header: &'text str,
    kid: Option<String>,
    ephemeral: PublicKey,
    party_u: Vec<u8>,
    party_v: Vec<u8>,
    nonce: [u8; NONCE_BYTES],
    /// The ciphertext, and its tag behind it.
    sealed: Vec<u8>,
}

impl<'text> Envelope<'text> {
    /// Takes it apart. Decoding is canonical, so that each sealed secret has one form only.
    ///
    /// # Errors
    /// The first fault, from the left to the right.
    pub fn parse(text: &'text str) -> Result<Self, JweError> {
        if text.len() > MAX_JWE_BYTES {
            return Err(JweError::TooLong);
        }
        let mut segments = text.splitn(6, '.');
        let mut next = || segments.next();
        let (Some(header), Some(encrypted_key), Some(nonce), Some(ciphertext), Some(tag), None) =
            (next(), next(), next(), next(), next(), next())
        else {
            return Err(JweError::Segments(text.split('.').count()));
        };
        if header.len() > MAX_HEADER_BYTES {
            return Err(JweError::Header(None));
        }
        let members = json::object(&decode(header, "header")?, MAX_DEPTH)
            .map_err(|error| JweError::Header(Some(error)))?;
        check_algorithms(&members)?;
        let ephemeral = match members.get("epk") {
            // Whoever sees the private half of it opens everything.
            Some(Value::Object(jwk)) if jwk.contains_key("d") => Err(JwkError::Private),
            Some(Value::Object(jwk)) => public_key(jwk),
            _ => return Err(JweError::Member("epk")),
        };
        let ephemeral = ephemeral.map_err(JweError::EphemeralKey)?;
        let party_u = party(&members, "apu")?;
        let party_v = party(&members, "apv")?;
        if !encrypted_key.is_empty() {
            return Err(JweError::EncryptedKey);
        }
        let nonce = decode(nonce, "initialization vector")?;
        let mut sealed = decode(ciphertext, "ciphertext")?;
        let tag = decode(tag, "authentication tag")?;
        let nonce = nonce.try_into().map_err(|_| JweError::Lengths)?;
        if tag.len() != TAG_BYTES {
            return Err(JweError::Lengths);
        }
        sealed.extend(tag);
        Ok(Self {
            header,
            kid: optional_text(&members, "kid")?.map(str::to_owned),
            ephemeral,
            party_u,
            party_v,
            nonce,
            sealed,
        })
    }

    /// The name of the key that it is sealed to.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub(super) const fn ephemeral(&self) -> &PublicKey {
        &self.ephemeral
    }

    /// `apu` and `apv` (RFC 7518 §4.6.1).
    pub(super) fn parties(&self) -> (&[u8], &[u8]) {
        (&self.party_u, &self.party_v)
    }

    /// What is in it, if this is its key and nothing was changed.
    pub(super) fn open(&self, key: &Secret<[u8; 32]>) -> Option<Vec<u8>> {
        let payload = Payload {
            msg: &self.sealed,
            aad: self.header.as_bytes(),
        };
        let cipher = Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key.expose()));
        cipher.decrypt(&Nonce::from(self.nonce), payload).ok()
    }
}

fn check_algorithms(header: &Map<String, Value>) -> Result<(), JweError> {
    if header.contains_key("crit") {
        return Err(JweError::Critical);
    }
    if header.contains_key("zip") {
        return Err(JweError::Compressed);
    }
    let algorithm = optional_text(header, "alg")?.ok_or(JweError::Member("alg"))?;
    let encryption = optional_text(header, "enc")?.ok_or(JweError::Member("enc"))?;
    match (algorithm, encryption) {
        (ALGORITHM, ENCRYPTION) => Ok(()),
        (ALGORITHM, other) => Err(JweError::Encryption(Excerpt::new(other))),
        (other, _) => Err(JweError::Algorithm(Excerpt::new(other))),
    }
}

/// `apu` or `apv`; nothing where it is not there.
fn party(header: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, JweError> {
    decode(optional_text(header, name)?.unwrap_or_default(), name)
}

fn optional_text<'h>(
    header: &'h Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'h str>, JweError> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JweError::Member(name)),
    }
}

fn decode(text: &str, what: &'static str) -> Result<Vec<u8>, JweError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| JweError::Base64(what))
}
