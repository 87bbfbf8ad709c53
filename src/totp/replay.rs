//! Codes that were used, so that they are not used again.
//!
//! A record never forgets in favour of who comes with an old code. What is taken out of it, for its time is over or
//! for want of room, lifts its floor: what is not listed counts as used up to there. So a clock that is set back opens
//! nothing, and in a record that is full some callers wait for their next code.

use crate::state::SharedState;
use crate::time::UnixTime;
use crate::totp::ledger::{self, EMPTY, Ledger, Reader, Unavailable};
use crate::totp::subject::Subject;

/// What becomes of a code that comes again, from the laxest to the strictest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Replay {
    /// It is good for as long as its window.
    #[default]
    Allow,
    /// It is good with the credential that it first came with.
    PerToken,
    /// It is used up, and so is every code of an older step (RFC 6238 §5.2).
    OneTime,
}

/// A code that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// Whose codes are told apart here: a peer where a code counts once, else the code itself.
    pub subject: Subject,
    /// From when on no window reaches it ([`super::CodeParameters::over_at`]); a newer code has a later one.
    pub over_at: u64,
}

impl Used {
    /// Uses a code of a peer up. False if it is not newer than the last one.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub fn once(self, state: &dyn SharedState, now: UnixTime) -> Result<bool, Unavailable> {
        self.note(Ledger::OneTime, self.subject, state, now)
    }

    /// Binds a code to the credential that it comes with. False if it is bound to another one.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub fn with(
        self,
        credential: Subject,
        state: &dyn SharedState,
        now: UnixTime,
    ) -> Result<bool, Unavailable> {
        self.note(Ledger::PerToken, credential, state, now)
    }

    fn note(
        self,
        ledger: Ledger,
        holder: Subject,
        state: &dyn SharedState,
        now: UnixTime,
    ) -> Result<bool, Unavailable> {
        let key = ledger.key_of(self.subject);
        let mut is_good = false;
        ledger::replace(state, &key, &mut |record| {
            let mut list = List::read(record, now);
            let listed = list.of(self.subject);
            if let (Ledger::PerToken, Some(listed)) = (ledger, listed) {
                is_good = listed.holder == holder;
                return None;
            }
            let last = listed.map_or(list.floor, |listed| listed.used.over_at);
            is_good = self.over_at > last;
            match is_good {
                true => {
                    list.add(self, holder, now);
                    Some(list.written())
                }
                false => list.repaired(),
            }
        })?;
        Ok(is_good)
    }
}

/// One record.
struct List {
    /// What is not listed was used if it is over by then.
    floor: u64,
    entries: Vec<Listed>,
    /// Whether it stands there so, or something that cannot be read does.
    is_read: bool,
}

#[derive(Clone, Copy)]
struct Listed {
    used: Used,
    /// The credential that a code is bound to.
    holder: Subject,
}

impl List {
    /// What cannot be read may have said that every code was used.
    fn read(record: &[u8], now: UnixTime) -> Self {
        Self::parsed(record).unwrap_or(Self {
            floor: now.seconds().saturating_add(LONGEST_LIFE_SECONDS),
            entries: Vec::new(),
            is_read: false,
        })
    }

    fn parsed(record: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(record)?;
        let mut list = Self {
            floor: 0,
            entries: Vec::new(),
            is_read: true,
        };
        if reader.is_at_end() {
            return Some(list);
        }
        list.floor = reader.seconds()?;
        while !reader.is_at_end() {
            list.entries.push(Listed {
                used: Used {
                    subject: reader.subject()?,
                    over_at: reader.seconds()?,
                },
                holder: reader.subject()?,
            });
        }
        (list.entries.len() <= MAX_ENTRIES).then_some(list)
    }

    fn written(&self) -> Vec<u8> {
        let mut record = EMPTY.to_vec();
        record.extend(self.floor.to_be_bytes());
        for Listed { used, holder } in &self.entries {
            record.extend(used.subject.as_bytes());
            record.extend(used.over_at.to_be_bytes());
            record.extend(holder.as_bytes());
        }
        record
    }

    /// What replaces a record that cannot be read: it would else keep everybody out for ever.
    fn repaired(&self) -> Option<Vec<u8>> {
        (!self.is_read).then(|| self.written())
    }

    fn of(&self, subject: Subject) -> Option<&Listed> {
        self.entries.iter().find(|listed| listed.used.subject == subject)
    }

    /// Adds an entry in place of an older one, and takes those out that are over or have no room.
    fn add(&mut self, used: Used, holder: Subject, now: UnixTime) {
        self.entries.retain(|listed| listed.used.subject != used.subject);
        self.entries.push(Listed { used, holder });
        while let Some((index, over_at)) = self.first_over()
            && (over_at <= now.seconds() || self.entries.len() > MAX_ENTRIES)
        {
            self.entries.swap_remove(index);
            self.floor = self.floor.max(over_at);
        }
    }

    /// The entry that is over first.
    fn first_over(&self) -> Option<(usize, u64)> {
        let times = self.entries.iter().map(|listed| listed.used.over_at);
        times.enumerate().min_by_key(|(_, over_at)| *over_at)
    }
}

/// Ours: places in a record. It is some 1,300 bytes long at the most.
const MAX_ENTRIES: usize = 32;
/// How far ahead a code may be over: that of the last step of the widest window, of the longest period.
const LONGEST_LIFE_SECONDS: u64 = 300 * 5;

#[cfg(test)]
mod tests;
