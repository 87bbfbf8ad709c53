//! Whom, or what, something is remembered of.

use std::hash::Hasher as _;
use std::iter;

use sha2::{Digest as _, Sha256};
use siphasher::sip128::{Hasher128 as _, SipHasher24};

/// A digest that stands for a peer, a credential or a code where others can read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject([u8; SUBJECT_BYTES]);

impl Subject {
    /// Of some kind, told by its parts. No other parts make the same text: each comes behind its length.
    pub fn of(kind: &str, parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in iter::once(kind.as_bytes()).chain(parts.iter().copied()) {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        let mut bytes = [0; SUBJECT_BYTES];
        let digest = hash.finalize();
        bytes.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self(bytes)
    }

    /// A further one, made with a key that is nobody else's (SipHash-2-4, 128 bits: a tenth of the time of a SHA-256).
    pub(super) fn marked(&self, key: &[u8; SUBJECT_BYTES], number: u64) -> Self {
        let mut hash = SipHasher24::new_with_key(key);
        hash.write(&self.0);
        hash.write(&number.to_be_bytes());
        Self(hash.finish128().as_bytes())
    }

    /// As it was written.
    pub(super) const fn from_bytes(bytes: [u8; SUBJECT_BYTES]) -> Self {
        Self(bytes)
    }

    /// As it is written.
    pub const fn as_bytes(&self) -> &[u8; SUBJECT_BYTES] {
        &self.0
    }
}

/// Half a SHA-256: nobody finds a second text for a given one, and no two meet by chance.
pub(super) const SUBJECT_BYTES: usize = 16;
