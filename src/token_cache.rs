//! What is known of tokens that were verified: bounded, the least recently used goes first.
//!
//! A token is found by a keyed 128-bit SipHash (Aumasson and Bernstein, 2012) over all of it, whose key no stranger
//! knows, and what is found is compared by the token's length and by the bytes of its signature. Whole tokens would
//! not fit the memory of a worker, and an unkeyed hash would let its makers look for two of one value at leisure.
//!
//! It does not know what is kept, whether that still stands, or what time it is: who asks looks. What was refused is
//! not kept.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::mem;

use siphasher::sip128::SipHasher24;

/// How much is kept at the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many tokens; 0 keeps none.
    pub entries: usize,
    /// How many bytes, by estimate.
    pub bytes: usize,
}

/// See the module.
pub struct TokenCache<V> {
    limits: Limits,
    key: [u8; 16],
    kept: RefCell<Kept<V>>,
}

impl<V: Clone> TokenCache<V> {
    /// An empty one. The key must be random, and nobody's but the cache's.
    pub fn new(limits: Limits, key: [u8; 16]) -> Self {
        Self {
            limits,
            key,
            kept: RefCell::new(Kept::default()),
        }
    }

    /// What is known of a token.
    pub fn get(&self, token: &[u8]) -> Option<V> {
        let mut kept = self.kept.try_borrow_mut().ok()?;
        if kept.by_digest.is_empty() {
            return None;
        }
        let place = *kept.by_digest.get(&self.digest(token))?;
        let entry = kept.entries.get(index(place))?;
        if !entry.is_of(token) {
            return None;
        }
        let value = entry.value.clone();
        kept.touch(place);
        value
    }

    /// Keeps what is known of a token, and lets go of the oldest until it fits. `bytes` is what it takes, by estimate.
    pub fn insert(&self, token: &[u8], value: V, bytes: usize) {
        let Ok(mut kept) = self.kept.try_borrow_mut() else {
            return;
        };
        let signature = compared(token);
        let bytes = bytes.saturating_add(OWN_BYTES).saturating_add(signature.len());
        if self.limits.entries == 0 || bytes > self.limits.bytes {
            return;
        }
        let digest = self.digest(token);
        kept.remove(digest);
        while kept.by_digest.len() >= self.limits.entries
            || kept.bytes.saturating_add(bytes) > self.limits.bytes
        {
            let Some(oldest) = kept.entries.get(index(kept.oldest)) else {
                return;
            };
            let oldest = oldest.digest;
            kept.remove(oldest);
        }
        kept.insert(Entry {
            digest,
            length: token.len(),
            signature: signature.into(),
            value: Some(value),
            bytes,
            newer: NONE,
            older: NONE,
        });
    }

    /// Forgets a token.
    pub fn remove(&self, token: &[u8]) {
        if let Ok(mut kept) = self.kept.try_borrow_mut() {
            kept.remove(self.digest(token));
        }
    }

    /// How many tokens are kept.
    pub fn len(&self) -> usize {
        self.kept.try_borrow().map_or(0, |kept| kept.by_digest.len())
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn digest(&self, token: &[u8]) -> u128 {
        SipHasher24::new_with_key(&self.key).hash(token).as_u128()
    }
}

/// Without what is kept: it belongs to callers.
impl<V> fmt::Debug for TokenCache<V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenCache")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// The entries, in a list from the one that was used last to the one that goes first.
struct Kept<V> {
    by_digest: HashMap<u128, u32, BuildHasherDefault<Digested>>,
    /// Places that are free hold no value.
    entries: Vec<Entry<V>>,
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
    bytes: usize,
}

struct Entry<V> {
    digest: u128,
    length: usize,
    signature: Box<[u8]>,
    value: Option<V>,
    bytes: usize,
    newer: u32,
    older: u32,
}

impl<V> Entry<V> {
    fn is_of(&self, token: &[u8]) -> bool {
        self.length == token.len() && *self.signature == *compared(token)
    }
}

impl<V> Default for Kept<V> {
    fn default() -> Self {
        Self {
            by_digest: HashMap::default(),
            entries: Vec::new(),
            free: Vec::new(),
            newest: NONE,
            oldest: NONE,
            bytes: 0,
        }
    }
}

impl<V> Kept<V> {
    /// Moves an entry to the front.
    fn touch(&mut self, place: u32) {
        if self.newest != place {
            self.unlink(place);
            self.link(place);
        }
    }

    fn insert(&mut self, entry: Entry<V>) {
        let (digest, bytes) = (entry.digest, entry.bytes);
        let place = match self.free.pop() {
            Some(place) => place,
            None => u32::try_from(self.entries.len()).unwrap_or(NONE),
        };
        match self.entries.get_mut(index(place)) {
            Some(free) => *free = entry,
            None => self.entries.push(entry),
        }
        self.by_digest.insert(digest, place);
        self.bytes = self.bytes.saturating_add(bytes);
        self.link(place);
    }

    fn remove(&mut self, digest: u128) {
        let Some(place) = self.by_digest.remove(&digest) else {
            return;
        };
        self.unlink(place);
        if let Some(entry) = self.entries.get_mut(index(place)) {
            self.bytes = self.bytes.saturating_sub(entry.bytes);
            entry.value = None;
            entry.signature = Box::default();
        }
        self.free.push(place);
    }

    fn link(&mut self, place: u32) {
        let second = mem::replace(&mut self.newest, place);
        if let Some(entry) = self.entries.get_mut(index(place)) {
            entry.newer = NONE;
            entry.older = second;
        }
        match self.entries.get_mut(index(second)) {
            Some(entry) => entry.newer = place,
            None => self.oldest = place,
        }
    }

    fn unlink(&mut self, place: u32) {
        let Some((newer, older)) = self
            .entries
            .get(index(place))
            .map(|entry| (entry.newer, entry.older))
        else {
            return;
        };
        match self.entries.get_mut(index(newer)) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
        match self.entries.get_mut(index(older)) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
    }
}

/// The key is a hash already: its low half is as good as any.
#[derive(Default)]
struct Digested(u64);

impl Hasher for Digested {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not called for `u128`; any other use is a correct hash, if a slow one.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, digest: u128) {
        let [low @ .., _, _, _, _, _, _, _, _] = digest.to_le_bytes();
        self.0 = u64::from_le_bytes(low);
    }
}

/// The bytes that are compared: the token's end, which is its signature or, of an RSA key's, the last part of it.
fn compared(token: &[u8]) -> &[u8] {
    let start = token.len().saturating_sub(COMPARED_BYTES);
    token.get(start..).unwrap_or_default()
}

fn index(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// No place: beyond all.
const NONE: u32 = u32::MAX;
/// 64 bytes in base64url: the whole signature of ECDSA over P-256, of Ed25519 and of HS512.
const COMPARED_BYTES: usize = 86;
/// What an entry takes besides: itself, and its part of the table.
const OWN_BYTES: usize = 112;

#[cfg(test)]
mod tests;
