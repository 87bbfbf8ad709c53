//! Many values in a store that never forgets: a fixed number of records, each with room for a few entries. When one more
//! comes than there is room for, the one that is over first goes.
//!
//! What stands in a record may have been written by anybody in the process: nonsense is as good as nothing. Whether a
//! payload is to be believed is not decided here.

use super::{SharedState, Version};

/// What an entry is found by: a digest.
pub type Id = [u8; ID_BYTES];

/// An entry. Times are milliseconds since the Unix epoch, 0 for never.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is found by.
    pub id: Id,
    /// Until when a worker is at it.
    pub leased_until: u64,
    /// Which worker.
    pub holder: u64,
    /// When a payload was last forgotten.
    pub forgotten_at: u64,
    /// When the payload was put there.
    pub made_at: u64,
    /// Until when it is good.
    pub expires_at: u64,
    /// The payload; empty where there is none.
    pub payload: Vec<u8>,
}

impl Entry {
    const fn empty(id: Id) -> Self {
        Self {
            id,
            leased_until: 0,
            holder: 0,
            forgotten_at: 0,
            made_at: 0,
            expires_at: 0,
            payload: Vec::new(),
        }
    }

    /// Whether a worker is at it. A lease that lasts longer than any is none.
    pub const fn is_leased(&self, now: u64, longest: u64) -> bool {
        self.leased_until > now && self.leased_until <= now.saturating_add(longest)
    }

    fn is_over_at(&self) -> u64 {
        let remembered = match self.forgotten_at {
            0 => 0,
            forgotten_at => forgotten_at.saturating_add(REMEMBERED_FOR),
        };
        self.leased_until.max(self.expires_at).max(remembered)
    }
}

/// The records of one use.
#[derive(Debug, Clone, Copy)]
pub struct Slots {
    /// What their names begin with.
    pub prefix: &'static str,
    /// How many there are.
    pub count: u16,
}

/// What became of a change.
#[derive(Debug, PartialEq, Eq)]
pub enum Changed {
    /// It was written.
    Written,
    /// Who changes it did not want to, after all.
    Declined,
    /// Others were faster again and again, or the store failed.
    Failed,
}

impl Slots {
    /// Makes the records that are missing, so that no two workers ever make one at once. To be called at configuration.
    pub fn prepare(&self, store: &dyn SharedState) {
        for number in 0..self.count {
            let name = self.name_of(number);
            if store.get(&name).is_none() {
                // Two workers may both write here, the same.
                let _ = store.set(&name, &[FORMAT], None);
            }
        }
    }

    /// The entry of an id, if there is one.
    pub fn find(&self, store: &dyn SharedState, id: &Id) -> Option<Entry> {
        let held = store.get(&self.name(id))?;
        entries(&held.value).find(|entry| entry.id == *id)
    }

    /// Changes the entry of an id, or a new one, if `change` says so of what stands there.
    pub fn change(
        &self,
        store: &dyn SharedState,
        id: &Id,
        now: u64,
        mut change: impl FnMut(&mut Entry) -> bool,
    ) -> Changed {
        let name = self.name(id);
        for _ in 0..MAX_WRITES {
            let held = store.get(&name);
            let value = held.as_ref().map_or(&[][..], |held| &held.value);
            let mut all: Vec<Entry> = entries(value).collect();
            let mut own = match all.iter().position(|entry| entry.id == *id) {
                Some(index) => all.swap_remove(index),
                None => Entry::empty(*id),
            };
            if !change(&mut own) {
                return Changed::Declined;
            }
            let version: Option<Version> = held.map(|held| held.version);
            if store.set(&name, &record(own, all, now), version).is_ok() {
                return Changed::Written;
            }
        }
        Changed::Failed
    }

    fn name(&self, id: &Id) -> String {
        let [first, second, ..] = *id;
        self.name_of(u16::from_be_bytes([first, second]) % self.count.max(1))
    }

    fn name_of(&self, number: u16) -> String {
        format!("{}.{number}", self.prefix)
    }
}

/// A record with an entry and as many of the others as fit.
fn record(own: Entry, mut others: Vec<Entry>, now: u64) -> Vec<u8> {
    others.retain(|entry| entry.is_over_at() > now);
    // Those that last longest stay.
    others.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.is_over_at()));
    let mut record = vec![FORMAT];
    let is_empty = own.payload.is_empty() && own.leased_until == 0 && own.forgotten_at == 0;
    for entry in (!is_empty).then_some(own).into_iter().chain(others).take(WAYS) {
        if record.len() + entry.payload.len() + HEAD_BYTES > MAX_RECORD_BYTES {
            continue;
        }
        record.extend(entry.id);
        for number in [
            entry.leased_until,
            entry.holder,
            entry.forgotten_at,
            entry.made_at,
            entry.expires_at,
        ] {
            record.extend(number.to_le_bytes());
        }
        let length = u32::try_from(entry.payload.len()).unwrap_or_default();
        record.extend(length.to_le_bytes());
        record.extend(entry.payload);
    }
    record
}

fn entries(record: &[u8]) -> impl Iterator<Item = Entry> {
    let mut rest = match record.split_first() {
        Some((&FORMAT, rest)) => rest,
        Some(_) | None => &[],
    };
    std::iter::from_fn(move || {
        let id = *take(&mut rest)?;
        let mut number = || take(&mut rest).map(|bytes| u64::from_le_bytes(*bytes));
        let (leased_until, holder, forgotten_at) = (number()?, number()?, number()?);
        let (made_at, expires_at) = (number()?, number()?);
        let length = usize::try_from(u32::from_le_bytes(*take(&mut rest)?)).ok()?;
        let (payload, behind) = rest.split_at_checked(length)?;
        rest = behind;
        Some(Entry {
            id,
            leased_until,
            holder,
            forgotten_at,
            made_at,
            expires_at,
            payload: payload.to_vec(),
        })
    })
    .take(WAYS)
}

fn take<'r, const SIZE: usize>(rest: &mut &'r [u8]) -> Option<&'r [u8; SIZE]> {
    let (taken, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(taken)
}

/// Ours, in milliseconds: that something was forgotten is known for so long at least.
const REMEMBERED_FOR: u64 = 60_000;
/// SHA-256.
const ID_BYTES: usize = 32;
/// The first byte of a record: another one is another format.
const FORMAT: u8 = 1;
/// Ours: how many entries stand in one record.
const WAYS: usize = 8;
/// What stands before a payload.
const HEAD_BYTES: usize = ID_BYTES + 5 * 8 + 4;
/// Ours: eight payloads of usual size, three of the largest.
const MAX_RECORD_BYTES: usize = 64 * 1024;
/// Ours: a record changes when a worker begins or ends something, seldom twice at once.
const MAX_WRITES: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Memory, Nowhere};

    const SLOTS: Slots = Slots {
        prefix: "test",
        count: 2,
    };

    fn put(store: &Memory, first: u8, expires_at: u64, payload: &[u8]) -> Changed {
        let mut id = [first; 32];
        id[1] = 0;
        SLOTS.change(store, &id, 10, |entry| {
            entry.expires_at = expires_at;
            entry.payload = payload.to_vec();
            true
        })
    }

    fn found(store: &Memory, first: u8) -> Option<Vec<u8>> {
        let mut id = [first; 32];
        id[1] = 0;
        SLOTS.find(store, &id).map(|entry| entry.payload)
    }

    #[test]
    fn entries_are_found_again_and_go_when_they_are_emptied() {
        let store = Memory::default();
        SLOTS.prepare(&store);
        assert_eq!(put(&store, 2, 100, b"two"), Changed::Written);
        assert_eq!(put(&store, 4, 100, b"four"), Changed::Written);
        assert_eq!(put(&store, 2, 200, b"other"), Changed::Written);
        assert_eq!(found(&store, 2).unwrap(), b"other");
        assert_eq!(found(&store, 4).unwrap(), b"four");
        assert_eq!(put(&store, 2, 0, b""), Changed::Written);
        assert_eq!(found(&store, 2), None);
        assert_eq!(found(&store, 4).unwrap(), b"four");
    }

    #[test]
    fn what_is_over_goes_and_then_what_is_over_first() {
        let store = Memory::default();
        put(&store, 1, 5, b"over");
        for number in 0..9 {
            put(&store, 2 + number, 1_000 - u64::from(number), b"value");
        }
        assert_eq!(found(&store, 1), None);
        // The last one has come just now; of the others the one before it is over first.
        assert!(found(&store, 10).is_some());
        assert_eq!(found(&store, 9), None);
        assert!(found(&store, 2).is_some());
    }

    #[test]
    fn a_record_stays_within_its_size() {
        let store = Memory::default();
        for number in 0..4 {
            put(&store, number, 100 + u64::from(number), &vec![b'a'; 20_000]);
        }
        assert_eq!((found(&store, 0), found(&store, 3).is_some()), (None, true));
        put(&store, 5, 1_000, &vec![b'a'; MAX_RECORD_BYTES]);
        assert_eq!(found(&store, 5), None);
        assert!(store.get("test.0").unwrap().value.len() <= MAX_RECORD_BYTES);
    }

    #[test]
    fn nonsense_is_as_good_as_nothing() {
        for nonsense in [&b""[..], b"garbage", &[1; 30], &[1; 500], &[255; 500]] {
            let store = Memory::default();
            store.set("test.0", nonsense, None).unwrap();
            let _ = found(&store, 2);
            assert_eq!(put(&store, 2, 100, b"two"), Changed::Written);
            assert_eq!(found(&store, 2).unwrap(), b"two");
        }
    }

    #[test]
    fn a_store_that_fails_keeps_nothing() {
        let changed = SLOTS.change(&Nowhere, &[0; 32], 0, |entry| {
            entry.payload = b"a".to_vec();
            true
        });
        assert_eq!(changed, Changed::Failed);
        assert_eq!(SLOTS.change(&Nowhere, &[0; 32], 0, |_| false), Changed::Declined);
    }
}
