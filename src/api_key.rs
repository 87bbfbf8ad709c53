//! Opaque credentials, known by their SHA-256 digest: API keys and static bearer tokens.
//!
//! Finds what belongs to a presented key. It does not know where a key is carried, and it does not stretch keys:
//! a plain hash protects random keys of full length, not passwords.

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::secret::constant_time_eq;

/// The SHA-256 digest of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; DIGEST_BYTES]);

impl Digest {
    /// The digest of a secret that the configuration holds.
    ///
    /// # Errors
    /// The secret is empty, or longer than a request may present.
    pub fn of_secret(secret: &[u8]) -> Result<Self, DigestError> {
        if secret.is_empty() {
            return Err(DigestError::OfNothing);
        }
        if secret.len() > MAXIMUM_KEY_BYTES {
            return Err(DigestError::TooLong { bytes: secret.len() });
        }
        Ok(Self::of(secret))
    }

    /// From 64 hexadecimal digits, upper or lower case.
    ///
    /// # Errors
    /// Another number of digits, another character, or the digest of the empty string.
    pub fn from_hex(text: &str) -> Result<Self, DigestError> {
        if let Some(index) = text.bytes().position(|byte| !byte.is_ascii_hexdigit()) {
            return Err(DigestError::Character { position: index + 1 });
        }
        if text.len() != DIGEST_BYTES * 2 {
            return Err(DigestError::Length { digits: text.len() });
        }
        let mut bytes = [0; DIGEST_BYTES];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = pair
                .iter()
                .fold(0, |value, digit| (value << 4) | hex_value(*digit));
        }
        let digest = Self(bytes);
        if digest == Self::of(b"") {
            return Err(DigestError::OfNothing);
        }
        Ok(digest)
    }

    /// 64 hexadecimal digits in lower case, as a policy takes them. Whoever has them can try guesses against them.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// What the digest is filed under. Finding the bucket is not constant-time; what the time could tell is the
    /// start of a stored digest, from which no key can be computed.
    fn bucket(&self) -> u64 {
        let first = self.0.first_chunk().copied().unwrap_or_default();
        u64::from_be_bytes(first)
    }
}

impl fmt::Debug for Digest {
    /// The first four bytes: enough to tell digests apart, too little to try guesses against.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Digest({:08x}\u{2026})", self.bucket() >> 32)
    }
}

/// Why a digest was refused. Holds nothing of the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestError {
    /// The secret is empty, or the digest is that of the empty string.
    OfNothing,
    /// The secret is longer than any key that is looked at.
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A character is no hexadecimal digit.
    Character {
        /// Which one, counted from one in bytes.
        position: usize,
    },
    /// Not as many digits as SHA-256 has.
    Length {
        /// How many there are.
        digits: usize,
    },
}

impl fmt::Display for DigestError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OfNothing => formatter.write_str("key is empty"),
            Self::TooLong { bytes } => {
                write!(
                    formatter,
                    "key has {bytes} bytes, at most {MAXIMUM_KEY_BYTES} are looked at"
                )
            }
            Self::Character { position } => {
                write!(
                    formatter,
                    "character {position} of the digest is no hexadecimal digit"
                )
            }
            Self::Length { digits } => {
                let expected = DIGEST_BYTES * 2;
                write!(formatter, "digest has {digits} digits, sha256 has {expected}")
            }
        }
    }
}

impl std::error::Error for DigestError {}

/// The place, counted from one, of the first byte that no request can bring a key with: it is outside visible ASCII, or a
/// comma, which joins the values of a header that comes twice (RFC 9110 §5.3).
pub fn unfit_byte(key: &[u8]) -> Option<usize> {
    let is_key_byte = |byte: &u8| byte.is_ascii_graphic() && *byte != b',';
    let index = key.iter().position(|byte| !is_key_byte(byte))?;
    Some(index + 1)
}

/// What belongs to which key. The cost of a lookup does not grow with the number of keys in any way that counts:
/// one hash, one descent in a tree that is four levels deep at 10 000 keys, one comparison.
#[derive(Debug, Clone)]
pub struct Credentials<T> {
    // Ordered, because a hash map would need randomness, which the core does not have.
    buckets: BTreeMap<u64, Vec<(Digest, T)>>,
}

impl<T> Default for Credentials<T> {
    fn default() -> Self {
        Self {
            buckets: BTreeMap::new(),
        }
    }
}

impl<T> Credentials<T> {
    /// Files a value under the digest of its key.
    ///
    /// # Errors
    /// The digest is already there, be it with the same value: one of the two entries is a mistake.
    pub fn insert(&mut self, digest: Digest, value: T) -> Result<(), Duplicate<T>>
    where
        T: Clone,
    {
        let bucket = self.buckets.entry(digest.bucket()).or_default();
        if let Some((_, first)) = bucket.iter().find(|(other, _)| *other == digest) {
            return Err(Duplicate {
                first: first.clone(),
                second: value,
            });
        }
        bucket.push((digest, value));
        Ok(())
    }

    /// What belongs to a presented key. An empty key belongs to nobody, and neither does one over 8 KiB.
    pub fn find(&self, presented: &[u8]) -> Option<&T> {
        if presented.is_empty() || presented.len() > MAXIMUM_KEY_BYTES {
            return None;
        }
        let digest = Digest::of(presented);
        let mut found = None;
        for (other, value) in self.buckets.get(&digest.bucket())? {
            if constant_time_eq(&other.0, &digest.0) {
                found = Some(value);
            }
        }
        found
    }

    /// All values, in no order that means anything.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.buckets.values().flatten().map(|(_, value)| value)
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }
}

/// Two entries have one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duplicate<T> {
    /// The value of the entry that was there.
    pub first: T,
    /// The value of the entry that was refused.
    pub second: T,
}

/// The value of a hexadecimal digit; zero for anything else.
const fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}

/// The output of SHA-256 (FIPS 180-4).
const DIGEST_BYTES: usize = 32;

/// Ours: as long as a token may be by default (`max_token_bytes`). Hashing is the only work done for a stranger.
const MAXIMUM_KEY_BYTES: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4's example: the digest of `abc`.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn store(keys: &[&str]) -> Credentials<usize> {
        let mut store = Credentials::default();
        for (index, key) in keys.iter().enumerate() {
            store
                .insert(Digest::of_secret(key.as_bytes()).unwrap(), index)
                .unwrap();
        }
        store
    }

    #[test]
    fn a_digest_comes_from_hex_or_from_the_secret() {
        let digest = Digest::of_secret(b"abc").unwrap();
        assert_eq!(Digest::from_hex(ABC), Ok(digest));
        assert_eq!(Digest::from_hex(&ABC.to_ascii_uppercase()), Ok(digest));
        assert_eq!(format!("{digest:?}"), "Digest(ba7816bf\u{2026})");
        assert_eq!(digest.to_hex(), ABC);
    }

    #[test]
    fn bytes_that_no_request_brings() {
        assert_eq!(unfit_byte(b"!key-7f3a_~"), None);
        for key in ["a b", "a,b", "a\n", "a\x7f", "a\u{e9}"] {
            assert_eq!(unfit_byte(key.as_bytes()), Some(2), "{key:?}");
        }
    }

    #[test]
    fn refused_digests() {
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (text, expected) in [
            ("", DigestError::Length { digits: 0 }),
            (&ABC[1..], DigestError::Length { digits: 63 }),
            (&format!("{ABC}0"), DigestError::Length { digits: 65 }),
            (
                &format!("0x{}", &ABC[2..]),
                DigestError::Character { position: 2 },
            ),
            (&format!(" {ABC}"), DigestError::Character { position: 1 }),
            (&format!("{ABC}\n"), DigestError::Character { position: 65 }),
            (nothing, DigestError::OfNothing),
        ] {
            assert_eq!(Digest::from_hex(text), Err(expected), "`{text}`");
        }
        assert_eq!(Digest::of_secret(b""), Err(DigestError::OfNothing));
        assert_eq!(
            Digest::of_secret(&[b'k'; 8193]),
            Err(DigestError::TooLong { bytes: 8193 })
        );
        assert_eq!(
            DigestError::Length { digits: 63 }.to_string(),
            "digest has 63 digits, sha256 has 64"
        );
    }

    #[test]
    fn each_key_finds_its_own() {
        let store = store(&["one", "two", "three"]);
        assert_eq!(store.find(b"one"), Some(&0));
        assert_eq!(store.find(b"three"), Some(&2));
        for presented in [b"One".as_slice(), b"one ", b"on", b"\xff", ABC.as_bytes()] {
            assert_eq!(store.find(presented), None);
        }
    }

    #[test]
    fn an_empty_key_belongs_to_nobody() {
        let mut store = store(&["one"]);
        // Not even if its digest got in some other way.
        store.insert(Digest::of(b""), 1).unwrap();
        assert_eq!(store.find(b""), None);
        assert!(Credentials::<usize>::default().is_empty());
        assert_eq!(Credentials::<usize>::default().find(b""), None);
    }

    #[test]
    fn a_key_that_is_too_long_is_not_hashed() {
        let longest = [b'k'; MAXIMUM_KEY_BYTES + 1];
        let mut store = Credentials::default();
        store.insert(Digest::of(&longest), 0).unwrap();
        store.insert(Digest::of(&longest[1..]), 1).unwrap();
        assert_eq!(store.find(&longest), None);
        assert_eq!(store.find(&longest[1..]), Some(&1));
    }

    #[test]
    fn a_key_of_two_entries_names_both() {
        let mut store = store(&["one", "two"]);
        assert_eq!(
            store.insert(Digest::of(b"one"), 7),
            Err(Duplicate { first: 0, second: 7 })
        );
        assert_eq!(store.find(b"one"), Some(&0));
    }

    #[test]
    fn digests_with_the_same_start_share_a_bucket() {
        let mut twin = Digest::of(b"one");
        twin.0[31] ^= 1;
        let mut store = Credentials::default();
        store.insert(twin, "twin").unwrap();
        assert_eq!(store.find(b"one"), None);
        store.insert(Digest::of(b"one"), "one").unwrap();
        assert_eq!(store.buckets.len(), 1);
        assert_eq!(store.find(b"one"), Some(&"one"));
    }

    #[test]
    fn ten_thousand_keys() {
        let keys: Vec<String> = (0..10_000).map(|number| format!("key-{number}")).collect();
        let store = store(&keys.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(store.find(b"key-0"), Some(&0));
        assert_eq!(store.find(b"key-9999"), Some(&9999));
        assert_eq!(store.find(b"key-10000"), None);
        // Flat: no bucket has more than the one entry that is compared.
        assert!(store.buckets.values().all(|bucket| bucket.len() == 1));
    }
}
