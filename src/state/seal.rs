//! Values that other modules of the same proxy can read and write are sealed, where they could harm: AES-256-GCM
//! (NIST SP 800-38D), bound to the name and the version under which they are kept.

use std::fmt;

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::secret::Secret;

/// Seals and opens.
pub struct SealingKey {
    key: Secret<[u8; 32]>,
    hiding: Secret<[u8; 32]>,
    id: String,
}

impl SealingKey {
    /// From a secret text of at least [`MIN_SECRET_BYTES`].
    ///
    /// # Errors
    /// [`SecretTooShort`].
    pub fn new(secret: &str) -> Result<Self, SecretTooShort> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(SecretTooShort { bytes: secret.len() });
        }
        // RFC 5869 §2.3 with the secret as the pseudorandom key: one output for each use.
        let expand = |info: &[u8]| mac(secret.as_bytes(), info).ok_or(SecretTooShort { bytes: secret.len() });
        let id = expand(b"peergate shared state, name\x01")?;
        Ok(Self {
            key: Secret::new(expand(b"peergate shared state\x01")?),
            hiding: Secret::new(expand(b"peergate shared state, hidden\x01")?),
            id: id
                .iter()
                .take(ID_BYTES)
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        })
    }

    /// Tells the key from others, and tells nothing else of it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Seals a value under a name; a nonce must never be used again. `None` cannot be: the value is far below the limit
    /// of the algorithm.
    pub fn seal(&self, name: &str, nonce: [u8; NONCE_BYTES], value: &[u8]) -> Option<Vec<u8>> {
        let payload = Payload {
            msg: value,
            aad: name.as_bytes(),
        };
        let sealed = self.cipher().encrypt(&Nonce::from(nonce), payload).ok()?;
        Some([nonce.as_slice(), &sealed].concat())
    }

    /// What was sealed under this name; `None` for everything else.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload {
            msg: sealed,
            aad: name.as_bytes(),
        };
        self.cipher().decrypt(&Nonce::from(*nonce), payload).ok()
    }

    /// A digest that tells nothing of the value to who has not the key, and is the same to all who have it.
    pub fn hidden(&self, value: &[u8; 32]) -> [u8; 32] {
        // A key of this length is never refused.
        mac(self.hiding.expose(), value).unwrap_or_default()
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&Key::<Aes256Gcm>::from(*self.key.expose()))
    }
}

/// RFC 2104 with SHA-256.
fn mac(key: &[u8], value: &[u8]) -> Option<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(value);
    Some(mac.finalize().into_bytes().into())
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SealingKey")
    }
}

/// A secret that can be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretTooShort {
    /// Its length.
    pub bytes: usize,
}

/// Ours: no two keys of one proxy are alike by chance.
const ID_BYTES: usize = 8;

/// As long as the key that is made of it.
pub const MIN_SECRET_BYTES: usize = 32;

/// The length of a nonce (NIST SP 800-38D §8.2.2).
pub const NONCE_BYTES: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_opened_and_nothing_else() {
        let key = SealingKey::new("0123456789abcdef0123456789abcdef").unwrap();
        let sealed = key.seal("a", [7; NONCE_BYTES], b"value").unwrap();
        assert_eq!(key.open("a", &sealed).as_deref(), Some(b"value".as_slice()));
        assert_eq!(key.open("b", &sealed), None);
        let other = SealingKey::new("1123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(other.open("a", &sealed), None);
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert_eq!(key.open("a", &changed), None, "{index}");
            assert_eq!(key.open("a", &sealed[..index]), None, "{index}");
        }
        assert!(!sealed.windows(5).any(|window| window == b"value"));
    }

    #[test]
    fn a_short_secret_is_refused() {
        let error = SealingKey::new(&"a".repeat(31)).unwrap_err();
        assert_eq!(error, SecretTooShort { bytes: 31 });
        assert_eq!(
            format!("{:?}", SealingKey::new(&"a".repeat(32)).unwrap()),
            "SealingKey"
        );
    }
}
