//! Failed codes, counted: who has failed too often waits, and its code is not looked at.
//!
//! A failure counts for as long as the window of the policy that saw it, whatever succeeds meanwhile. It is written down
//! with the second in which it no longer counts, and with its window, so that records mean the same to policies with
//! different ones. In a record without room, who has failed least makes room; all who are not listed then count as having
//! failed as often as that one.

use std::mem;

use crate::state::{SharedState, Versioned};
use crate::time::UnixTime;
use crate::totp::ledger::{self, EMPTY, Ledger, Reader, Unavailable};
use crate::totp::subject::Subject;

/// How many codes may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// How many within a window.
    pub max_failures: u16,
    /// The window.
    pub window_seconds: u32,
    /// Whose failures are counted together.
    pub by: By,
}

/// Whose failures are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Those of one credential, and with a higher limit those of its peer.
    Credential,
    /// Those of a peer.
    Peer,
}

impl Throttle {
    /// Five in five minutes.
    pub const DEFAULT: Self = Self {
        max_failures: 5,
        window_seconds: 300,
        by: By::Credential,
    };

    /// For how many seconds this caller has to wait; `None` if it has not to.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub fn look(
        &self,
        state: &dyn SharedState,
        caller: &Guesser,
        now: UnixTime,
    ) -> Result<Option<u64>, Unavailable> {
        let key = Ledger::Failures.key_of(caller.owner);
        let Versioned { value, version } = state.get(&key).ok_or(Unavailable)?;
        if value == EMPTY {
            return Ok(None);
        }
        let (mut record, is_read) = self.record(&value, now);
        // A clock that was set back would keep callers out until it is where it was. And what cannot be read is
        // replaced, or it would stay.
        let is_moved = record.pull(caller, now);
        if is_moved || !is_read {
            let _ = state.set(&key, &record.written(), Some(version));
        }
        Ok(self.wait(&record, caller, now))
    }

    /// Counts a failure. If this caller had failed often enough by then, nothing is counted, and the answer is for how
    /// many seconds it has to wait.
    ///
    /// # Errors
    /// [`Unavailable`]: it was not counted.
    pub fn count(
        &self,
        state: &dyn SharedState,
        caller: &Guesser,
        now: UnixTime,
    ) -> Result<Option<u64>, Unavailable> {
        let key = Ledger::Failures.key_of(caller.owner);
        let mut wait = None;
        ledger::replace(state, &key, &mut |value| {
            let (mut record, _) = self.record(value, now);
            wait = self.wait(&record, caller, now);
            if wait.is_some() {
                return None;
            }
            record.singles.clean(now);
            record.ceilings.clean(now);
            let failure = self.mark(now, 1);
            record.singles.add(caller.single, failure, self.max_failures);
            if let Some(ceiling) = caller.ceiling {
                record.ceilings.add(ceiling, failure, self.ceiling());
            }
            Some(record.written())
        })?;
        Ok(wait)
    }

    /// Bounds the failures of one peer with many credentials.
    const fn ceiling(&self) -> u16 {
        self.max_failures.saturating_mul(CEILING_FACTOR)
    }

    fn wait(&self, record: &Record, caller: &Guesser, now: UnixTime) -> Option<u64> {
        let single = record.singles.of(caller.single).wait(self.max_failures, now);
        let ceiling = caller
            .ceiling
            .and_then(|ceiling| record.ceilings.of(ceiling).wait(self.ceiling(), now));
        single.max(ceiling)
    }

    /// So many failures now. Where many may fail, some of them count a little longer, so that a few numbers
    /// hold them all.
    fn mark(&self, now: UnixTime, count: u16) -> Mark {
        let grain = match usize::from(self.max_failures) > FEW {
            true => u64::from(self.window_seconds).div_ceil(GRAINS).max(1),
            false => 1,
        };
        let end = now.seconds().saturating_add(self.window_seconds.into());
        let until = end.div_ceil(grain).saturating_mul(grain);
        let seconds = until.saturating_sub(now.seconds());
        Mark {
            until,
            seconds: u32::try_from(seconds).unwrap_or(u32::MAX),
            count,
        }
    }

    /// A record, and whether it could be read. What cannot be read may have said that everybody has to wait.
    fn record(&self, value: &[u8], now: UnixTime) -> (Record, bool) {
        if let Some(record) = Record::parsed(value) {
            return (record, true);
        }
        let mut record = Record::default();
        for (table, count) in [
            (&mut record.singles, self.max_failures),
            (&mut record.ceilings, self.ceiling()),
        ] {
            table.rest.0.push(self.mark(now, count));
        }
        (record, false)
    }
}

/// Who has brought a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guesser {
    /// To whom it belongs: chooses the record, so that nobody but the operator has chosen it.
    pub owner: Subject,
    /// Whose failures are counted up to the limit.
    pub single: Subject,
    /// Whose are counted up to the ceiling as well.
    pub ceiling: Option<Subject>,
}

/// One record: what was counted for some owners.
#[derive(Default)]
struct Record {
    singles: Table,
    ceilings: Table,
}

impl Record {
    fn parsed(value: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(value)?;
        if reader.is_at_end() {
            return Some(Self::default());
        }
        let record = Self {
            singles: Table::read(&mut reader)?,
            ceilings: Table::read(&mut reader)?,
        };
        reader.is_at_end().then_some(record)
    }

    fn written(&self) -> Vec<u8> {
        let mut value = EMPTY.to_vec();
        self.singles.write(&mut value);
        self.ceilings.write(&mut value);
        value
    }

    /// Has no failure of this caller count beyond its window from now on. Whether one did.
    fn pull(&mut self, caller: &Guesser, now: UnixTime) -> bool {
        let single = self.singles.of_mut(caller.single).pull(now);
        let ceiling = caller
            .ceiling
            .is_some_and(|ceiling| self.ceilings.of_mut(ceiling).pull(now));
        single || ceiling
    }
}

/// Failures by subject.
#[derive(Default)]
struct Table {
    /// Those of everybody who is not listed: never fewer than they were.
    rest: Failures,
    entries: Vec<(Subject, Failures)>,
}

impl Table {
    fn of(&self, subject: Subject) -> &Failures {
        let mut entries = self.entries.iter();
        let entry = entries.find(|(listed, _)| *listed == subject);
        entry.map_or(&self.rest, |(_, failures)| failures)
    }

    fn of_mut(&mut self, subject: Subject) -> &mut Failures {
        let mut entries = self.entries.iter_mut();
        let entry = entries.find(|(listed, _)| *listed == subject);
        entry.map_or(&mut self.rest, |(_, failures)| failures)
    }

    fn add(&mut self, subject: Subject, failure: Mark, limit: u16) {
        if !self.entries.iter().any(|(listed, _)| *listed == subject) {
            self.entries.push((subject, self.rest.clone()));
        }
        self.of_mut(subject).add(failure, limit);
        while self.entries.len() > MAX_ENTRIES
            && let Some((index, _)) = self
                .entries
                .iter()
                .enumerate()
                .min_by_key(|(_, (_, failures))| failures.sum())
        {
            let (_, failures) = self.entries.swap_remove(index);
            self.rest = self.rest.or(&failures);
        }
    }

    /// Takes out what counts no more.
    fn clean(&mut self, now: UnixTime) {
        self.rest.clean(now);
        for (_, failures) in &mut self.entries {
            failures.clean(now);
        }
        self.entries.retain(|(_, failures)| !failures.0.is_empty());
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let rest = Failures::read(reader)?;
        let [count] = reader.bytes()?;
        let entries = (0..count).map(|_| Some((reader.subject()?, Failures::read(reader)?)));
        Some(Self {
            rest,
            entries: entries.collect::<Option<_>>()?,
        })
    }

    fn write(&self, value: &mut Vec<u8>) {
        self.rest.write(value);
        value.push(u8::try_from(self.entries.len()).unwrap_or(u8::MAX));
        for (subject, failures) in &self.entries {
            value.extend(subject.as_bytes());
            failures.write(value);
        }
    }
}

/// Failures of one subject, those first that are over first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Failures(Vec<Mark>);

/// Failures that are over in the same second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    until: u64,
    /// For how many seconds they count, seen from when they were counted.
    seconds: u32,
    count: u16,
}

impl Mark {
    /// Those as well, as long as these.
    fn join(&mut self, other: Self) {
        self.seconds = self.seconds.max(other.seconds);
        self.count = self.count.saturating_add(other.count);
    }
}

impl Failures {
    /// How many count at some time from now on.
    fn sum(&self) -> u32 {
        self.0.iter().map(|mark| u32::from(mark.count)).sum()
    }

    /// In how many seconds there are fewer than the limit; `None` if there are now.
    fn wait(&self, limit: u16, now: UnixTime) -> Option<u64> {
        let standing = || self.0.iter().filter(|mark| mark.until > now.seconds());
        let sum: u32 = standing().map(|mark| u32::from(mark.count)).sum();
        let mut excess = sum.checked_sub(limit.into())?;
        for mark in standing() {
            match excess.checked_sub(mark.count.into()) {
                Some(left) => excess = left,
                None => return Some(mark.until.saturating_sub(now.seconds())),
            }
        }
        None
    }

    /// One more. Beyond the limit the oldest decides nothing.
    fn add(&mut self, failure: Mark, limit: u16) {
        self.put(failure);
        let mut excess = self.sum().saturating_sub(limit.into());
        self.0.retain_mut(|mark| {
            let taken = u16::try_from(excess).unwrap_or(u16::MAX).min(mark.count);
            excess = excess.saturating_sub(taken.into());
            mark.count = mark.count.saturating_sub(taken);
            mark.count > 0
        });
        self.fit();
    }

    fn clean(&mut self, now: UnixTime) {
        self.0.retain(|mark| mark.until > now.seconds());
    }

    /// Has none count longer from now on than it did when it was counted. Whether one did.
    fn pull(&mut self, now: UnixTime) -> bool {
        let latest = |mark: &Mark| now.seconds().saturating_add(mark.seconds.into());
        let is_beyond = self.0.iter().any(|mark| mark.until > latest(mark));
        if is_beyond {
            for mark in mem::take(&mut self.0) {
                let until = mark.until.min(latest(&mark));
                self.put(Mark { until, ..mark });
            }
        }
        is_beyond
    }

    /// These as well.
    fn put(&mut self, further: Mark) {
        let earlier = self.0.iter().take_while(|mark| mark.until < further.until);
        let earlier = earlier.count();
        match self.0.get_mut(earlier) {
            Some(mark) if mark.until == further.until => mark.join(further),
            Some(_) | None => self.0.insert(earlier, further),
        }
    }

    /// As many as there are in that of the two where there are more, at every time.
    fn or(&self, other: &Self) -> Self {
        let mut joined = Self::default();
        for mark in self.0.iter().chain(&other.0).rev() {
            joined.put(Mark { count: 0, ..*mark });
        }
        let mut later = 0;
        for mark in joined.0.iter_mut().rev() {
            let standing = self.standing_at(mark.until).max(other.standing_at(mark.until));
            mark.count = u16::try_from(standing.saturating_sub(later)).unwrap_or(u16::MAX);
            later = standing;
        }
        joined.0.retain(|mark| mark.count > 0);
        joined.fit();
        joined
    }

    /// How many are over in this second or later.
    fn standing_at(&self, until: u64) -> u32 {
        let marks = self.0.iter().filter(|mark| mark.until >= until);
        marks.map(|mark| u32::from(mark.count)).sum()
    }

    /// Too many marks: the first of them count as long as the next.
    fn fit(&mut self) {
        while self.0.len() > MAX_MARKS {
            let first = self.0.remove(0);
            if let Some(next) = self.0.first_mut() {
                next.join(first);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let [count] = reader.bytes()?;
        let mark = |_| {
            Some(Mark {
                until: reader.seconds()?,
                seconds: u32::from_be_bytes(reader.bytes()?),
                count: u16::from_be_bytes(reader.bytes()?),
            })
        };
        let marks: Vec<Mark> = (0..count).map(mark).collect::<Option<_>>()?;
        let is_good = marks.len() <= MAX_MARKS
            && marks.is_sorted_by(|first, second| first.until < second.until)
            && marks.iter().all(|mark| mark.seconds <= LONGEST_SECONDS);
        is_good.then_some(Self(marks))
    }

    fn write(&self, value: &mut Vec<u8>) {
        value.push(u8::try_from(self.0.len()).unwrap_or(u8::MAX));
        for Mark {
            until,
            seconds,
            count,
        } in &self.0
        {
            value.extend(until.to_be_bytes());
            value.extend(seconds.to_be_bytes());
            value.extend(count.to_be_bytes());
        }
    }
}

/// Of the requirement: guessing with many credentials of one peer is bounded too.
const CEILING_FACTOR: u16 = 20;
/// The longest window that a policy may have, a day, and the part of it that some failures count longer.
const LONGEST_SECONDS: u32 = 86_400 + 86_400 / 32;
/// Ours: so many failures are written down each for itself.
const FEW: usize = 32;
/// Ours: where there may be more, their times are rounded up to a part of the window.
const GRAINS: u64 = 32;
/// Those that count at one time, with the one that begins and the one that ends.
const MAX_MARKS: usize = FEW + 2;
/// Ours: places in a table. With the default limits no peer can fill one: its ceiling comes first. A record is then some
/// 30 KB long at the most, and nine bytes where nobody fails.
const MAX_ENTRIES: usize = 128;

#[cfg(test)]
mod tests;
