//! API keys and static tokens, of which a policy needs the digest alone.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::advice::LEAST_KEY_BYTES;
use crate::api_key::{Digest, DigestError, unfit_byte};
use crate::secret::Secret;

/// The digest of a key that the filter takes.
///
/// A key that can be guessed is refused here, for behind its digest nobody sees that it is short: `may_be_short` takes it.
///
/// # Errors
/// [`KeyError`], which never holds a part of the key.
pub fn digest(key: &Secret<String>, may_be_short: bool) -> Result<Digest, KeyError> {
    let bytes = key.expose().as_bytes();
    if let Some(place) = unfit_byte(bytes) {
        return Err(KeyError::Character { place });
    }
    let digest = Digest::of_secret(bytes).map_err(KeyError::Digest)?;
    match bytes.len() < LEAST_KEY_BYTES && !may_be_short {
        true => Err(KeyError::Short { bytes: bytes.len() }),
        false => Ok(digest),
    }
}

/// A new key: the prefix, by which people and scanners of sources know what it is, and random bytes in base64url.
///
/// # Errors
/// [`KeyError::Prefix`].
pub fn new_key(prefix: &str, random: &Secret<[u8; NEW_KEY_BYTES]>) -> Result<Secret<String>, KeyError> {
    let is_prefix_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if prefix.len() > MAX_PREFIX_BYTES || !prefix.bytes().all(is_prefix_byte) {
        return Err(KeyError::Prefix);
    }
    let mut key = String::with_capacity(MAX_PREFIX_BYTES + NEW_KEY_BYTES * 2);
    key.push_str(prefix);
    // Into the room that is there: what was cut off in growing would stay in memory.
    URL_SAFE_NO_PAD.encode_string(random.expose(), &mut key);
    Ok(Secret::new(key))
}

/// Why a key was refused. Holds nothing of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyError {
    /// No request can bring it.
    Character {
        /// The place of the byte, counted from one.
        place: usize,
    },
    /// Nothing, or too long.
    Digest(DigestError),
    /// It can be guessed.
    Short {
        /// Its length.
        bytes: usize,
    },
    /// A prefix for new keys is too long, or of other characters than such prefixes have.
    Prefix,
}

impl KeyError {
    /// What to do about it, where that is not plain.
    pub const fn help(&self) -> Option<&'static str> {
        match self {
            Self::Character { .. } => Some("a key is of visible ASCII characters, without a comma"),
            Self::Short { .. } => Some(
                "`peergate hash-key --new` makes one by chance; `--insecure-allow-short` takes this one all the same",
            ),
            Self::Digest(_) | Self::Prefix => None,
        }
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character { place } => {
                write!(formatter, "character {place} of the key is not allowed in a key")
            }
            Self::Digest(error) => error.fmt(formatter),
            Self::Short { bytes } => write!(
                formatter,
                "key has {bytes} bytes, and can be guessed below {LEAST_KEY_BYTES}"
            ),
            Self::Prefix => write!(
                formatter,
                "a prefix has at most {MAX_PREFIX_BYTES} letters, digits and `_`, `-`, `.`"
            ),
        }
    }
}

impl std::error::Error for KeyError {}

/// 256 bits: as many as the digest has.
pub const NEW_KEY_BYTES: usize = 32;
/// Ours: a prefix is read by people.
const MAX_PREFIX_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(key: &str, may_be_short: bool) -> Option<KeyError> {
        digest(&Secret::new(key.to_owned()), may_be_short).err()
    }

    #[test]
    fn the_keys_that_a_policy_takes() {
        let longest = "k".repeat(8192);
        for key in ["sixteen-bytes-ok", "!~_.-/+=0123456789", longest.as_str()] {
            assert_eq!(refused(key, false), None);
        }
        assert_eq!(
            refused("fifteen-bytes-k", false),
            Some(KeyError::Short { bytes: 15 })
        );
        assert_eq!(refused("fifteen-bytes-k", true), None);
        assert_eq!(refused("", true), Some(KeyError::Digest(DigestError::OfNothing)));
        assert_eq!(
            refused(&"k".repeat(8193), true),
            Some(KeyError::Digest(DigestError::TooLong { bytes: 8193 }))
        );
        for key in [
            "white space within a key",
            "sixteen,bytes,ok",
            "sixteen-bytes-\u{f6}k",
        ] {
            assert!(matches!(refused(key, true), Some(KeyError::Character { .. })));
        }
    }

    #[test]
    fn new_keys_are_taken() {
        let random = Secret::new([0xfb; NEW_KEY_BYTES]);
        let key = new_key("pg_", &random).unwrap();
        assert_eq!(key.expose().len(), 3 + 43);
        assert!(digest(&key, false).is_ok());
        for prefix in ["a b", "a,b", "\u{f6}", &"p".repeat(33)] {
            assert_eq!(new_key(prefix, &random).unwrap_err(), KeyError::Prefix);
        }
    }
}
