//! Where it is written what was seen of codes: a fixed number of records in a state that the workers share.
//!
//! Such a state forgets nothing by itself, and knows no "put it there if there is nothing": two workers could both do
//! it. So the records are made when a configuration comes, empty, and from then on only replaced by who has seen the
//! last version. A record that is not there is none that says nothing: who asks is told that nothing is known.

use std::fmt::Write as _;

use crate::state::{SharedState, Versioned};
use crate::totp::subject::{SUBJECT_BYTES, Subject};

/// What is kept apart, by its use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ledger {
    /// Failed codes.
    Failures,
    /// The last code of each peer.
    OneTime,
    /// Which credential has used a code.
    PerToken,
}

impl Ledger {
    /// Makes the records that are not there.
    pub fn prepare(self, state: &dyn SharedState) {
        for key in self.keys() {
            if state.get(&key).is_none() {
                // Who cannot write here cannot read later, and refuses then.
                let _ = state.set(&key, EMPTY, None);
            }
        }
    }

    fn keys(self) -> impl Iterator<Item = String> {
        (0..=u8::MAX >> (u8::BITS - BUCKET_BITS)).map(move |bucket| self.key(bucket))
    }

    /// How long each record is.
    #[cfg(test)]
    pub(super) fn lengths(self, state: &dyn SharedState) -> Vec<usize> {
        let records = self.keys().filter_map(|key| state.get(&key));
        records.map(|record| record.value.len()).collect()
    }

    /// The key of the record in which a subject has its place.
    pub(super) fn key_of(self, subject: Subject) -> String {
        let [first, ..] = *subject.as_bytes();
        self.key(first >> (u8::BITS - BUCKET_BITS))
    }

    fn key(self, bucket: u8) -> String {
        let mut key = String::with_capacity(PREFIX.len() + 16);
        key.push_str(PREFIX);
        key.push_str(match self {
            Self::Failures => "failures.",
            Self::OneTime => "one_time.",
            Self::PerToken => "per_token.",
        });
        let _ = write!(key, "{bucket}");
        key
    }
}

/// Replaces a record by what `change` makes of the last one, or leaves it where that makes none. It may be asked more than
/// once; what it said last counts.
///
/// # Errors
/// [`Unavailable`]: nothing was changed.
pub(super) fn replace(
    state: &dyn SharedState,
    key: &str,
    change: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Result<(), Unavailable> {
    for _ in 0..MAX_ATTEMPTS {
        let Versioned { value, version } = state.get(key).ok_or(Unavailable)?;
        match change(&value) {
            Some(changed) if state.set(key, &changed, Some(version)).is_err() => {}
            Some(_) | None => return Ok(()),
        }
    }
    Err(Unavailable)
}

/// What is remembered cannot be read, or cannot be written: nothing may be concluded from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unavailable;

/// Takes numbers and subjects out of a record. `None` where it is too short.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Of a record of this version.
    pub(super) fn new(record: &'a [u8]) -> Option<Self> {
        record.strip_prefix(EMPTY).map(Self)
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn bytes<const SIZE: usize>(&mut self) -> Option<[u8; SIZE]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    pub(super) fn subject(&mut self) -> Option<Subject> {
        self.bytes::<SUBJECT_BYTES>().map(Subject::from_bytes)
    }

    pub(super) fn seconds(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_be_bytes)
    }
}

/// What a record begins with: the version of what follows. By itself it is a record that says nothing yet.
pub(super) const EMPTY: &[u8] = &[1];
/// The version stands in the name as well, for two versions of this program may run in one proxy while it is upgraded.
const PREFIX: &str = "peergate.totp.1.";
/// Ours: 128 records of each ledger. With a few dozen places in each there is room for thousands of callers, and a
/// request reads little.
const BUCKET_BITS: u32 = 7;
/// Ours: who is overtaken has lost to another worker that was done. No proxy has so many that one of them loses this
/// often.
const MAX_ATTEMPTS: u32 = 100;
