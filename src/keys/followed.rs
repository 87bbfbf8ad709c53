//! One source, as one worker follows it: what stands in shared data, and what this worker adds to it.

use std::rc::Rc;

use sha2::{Digest as _, Sha256};

use super::Random;
use super::event::{Contents, Event, Happened};
use super::fetch::{self, FetchError, Fetched, Stage};
use super::schedule::{MAX_BACKOFF, Schedule, is_stale, milliseconds, refresh_in};
use super::source::Source;
use crate::callout::Callout;
use crate::jwks::{KeySet, KeySets};
use crate::state::{NONCE_BYTES, SealingKey, SharedState};
use crate::time::UnixTime;

/// A source, and what this worker knows of it.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) provider: usize,
    pub(super) source: Source,
    pub(super) record_name: String,
    document_name: String,
    pub(super) schedule: Schedule,
    /// Which set stands here.
    generation: u64,
    /// The digest of its document.
    digest: Option<[u8; 32]>,
    pub(super) fetching: Option<Stage>,
    /// When the set that stands here was fetched, in milliseconds: what others say of it is not believed without end.
    fetched_at: u64,
    /// When a request has asked for a key that the set lacks, and that was not answered.
    pub(super) wanted_at: Option<u64>,
    /// When this worker last began a fetch, in milliseconds, or began to follow the source.
    began_at: u64,
    /// The set that stood there then: another one by now is newer than what this worker was told.
    began_generation: u64,
    /// When this worker shall ask although the record says that all is well: it has no set, and cannot read the others'.
    pub(super) needed_at: Option<u64>,
    /// The set that could not be taken over, so that it is said once.
    rejected: u64,
}

impl Followed {
    /// Names that are shared with those only who can read what stands there.
    pub(super) fn new(provider: usize, source: Source, sealing: Option<&SealingKey>) -> Self {
        let sealed = sealing.map_or_else(String::new, |key| key.id().to_owned());
        let digest: [u8; 32] = Sha256::digest(source.canonical() + &sealed).into();
        let id: String = digest
            .iter()
            .take(ID_BYTES)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            provider,
            source,
            record_name: format!("{PREFIX}.{id}.record"),
            document_name: format!("{PREFIX}.{id}.keys"),
            schedule: Schedule::default(),
            generation: 0,
            digest: None,
            fetching: None,
            fetched_at: 0,
            wanted_at: None,
            began_at: 0,
            began_generation: 0,
            needed_at: None,
            rejected: 0,
        }
    }

    pub(super) fn event(&self, happened: Happened) -> Event {
        Event {
            provider: self.source.provider.clone(),
            happened,
        }
    }

    /// How long a worker may be at it, in milliseconds.
    pub(super) fn lease(&self) -> u64 {
        (self.source.longest_fetch_seconds() + LEASE_RESERVE_SECONDS) * 1_000
    }

    /// Reads the record, takes over a newer set, drops one that is too old. Whether there is news for those who wait.
    pub(super) fn look(
        &mut self,
        shared: &dyn SharedState,
        sets: &mut KeySets,
        sealing: Option<&SealingKey>,
        now: u64,
        events: &mut Vec<Event>,
    ) -> bool {
        let record = shared.get(&self.record_name).map(|held| held.value);
        let schedule = Schedule::parse(&record.unwrap_or_default());
        let mut is_news = schedule != self.schedule && schedule.leased_until == 0;
        self.schedule = schedule;
        if self.began_at == 0 {
            self.began_at = now;
        }
        self.wanted_at = self.wanted_at.filter(|wanted| schedule.is_before(*wanted, now));
        // A set of the future is one of before the clock was set back, and no reason to refuse newer ones.
        self.fetched_at = self.fetched_at.min(now);
        if schedule.generation != self.generation && schedule.generation != self.rejected {
            match self.stored(shared, sealing, now) {
                Some(Ok(stored)) => {
                    (self.generation, self.fetched_at) = (schedule.generation, stored.fetched_at);
                    if let Some((keys, digest)) = stored.new {
                        sets.set(self.provider, Some(Rc::new(keys)));
                        self.digest = Some(digest);
                        is_news = true;
                    }
                }
                // The set comes before the record that says so; what is read between the two is read again.
                None => {}
                Some(Err(Nonsense)) => {
                    self.rejected = schedule.generation;
                    // Others are served; this worker has to see to itself.
                    self.needed_at = Some(now).filter(|_| sets.get(self.provider).is_none());
                    events.push(self.event(Happened::NotOurs));
                }
            }
        }
        if sets.get(self.provider).is_some() && is_stale(self.fetched_at, now, &self.source.cache) {
            sets.set(self.provider, None);
            self.digest = None;
            let max_stale_seconds = self.source.cache.max_stale_seconds;
            events.push(self.event(Happened::Stale { max_stale_seconds }));
            is_news = true;
        }
        is_news
    }

    /// The set of the record, if it stands there.
    fn stored(
        &self,
        shared: &dyn SharedState,
        sealing: Option<&SealingKey>,
        now: u64,
    ) -> Option<Result<Stored, Nonsense>> {
        let held = shared.get(&self.document_name)?;
        let Some((generation, value)) = parted(&held.value) else {
            return Some(Err(Nonsense));
        };
        if generation != self.schedule.generation {
            return None;
        }
        let value = match sealing {
            Some(key) => key.open(&self.sealed_name(generation), value),
            None => Some(value.to_vec()),
        };
        Some(self.read(value.as_deref(), now).ok_or(Nonsense))
    }

    /// A set with the time of its fetch. One that is older than what stands here was put back there by somebody.
    fn read(&self, value: Option<&[u8]>, now: u64) -> Option<Stored> {
        let (fetched_at, document) = parted(value?)?;
        if fetched_at < self.fetched_at || fetched_at > now.saturating_add(MAX_CLOCK_STEP) {
            return None;
        }
        let digest: [u8; 32] = Sha256::digest(document).into();
        let new = match self.digest == Some(digest) {
            true => None,
            false => Some((fetch::key_set(document).ok()?, digest)),
        };
        Some(Stored { fetched_at, new })
    }

    fn sealed_name(&self, generation: u64) -> String {
        format!("{} {generation}", self.document_name)
    }

    /// Takes the lease if a fetch is due and nobody is at it, and says what to ask.
    pub(super) fn begin(
        &mut self,
        shared: &dyn SharedState,
        is_sealed: bool,
        worker: u64,
        now: u64,
    ) -> Option<Callout> {
        let longest = self.lease();
        let is_for_kid =
            self.wanted_at.is_some() && self.schedule.is_due_for_unknown_kid(now, &self.source.cache);
        let is_overdue = is_sealed && self.is_overdue(now);
        let is_needed = self.needed_at.is_some_and(|needed| needed <= now);
        let is_due = is_for_kid || is_needed || self.schedule.is_due(now, &self.source.cache);
        let is_free = !self.schedule.is_leased(now, longest);
        if !(is_overdue || is_due && is_free) {
            return None;
        }
        let held = shared.get(&self.record_name);
        let seen = Schedule::parse(held.as_ref().map_or(&[], |held| &held.value));
        // Between two looks another worker may have been faster.
        if seen != self.schedule {
            return None;
        }
        let begun = seen.begun(now, is_for_kid, worker, longest);
        let version = held.map(|held| held.version);
        shared
            .set(&self.record_name, begun.to_text().as_bytes(), version)
            .ok()?;
        self.schedule = begun;
        (self.wanted_at, self.began_at) = (None, now);
        self.began_generation = begun.generation;
        // Until it has a set.
        self.needed_at = self.needed_at.map(|_| now.saturating_add(MAX_BACKOFF));
        let (stage, endpoint) = fetch::first(&self.source);
        self.fetching = Some(stage);
        Some(Callout::get(endpoint))
    }

    /// Whether the set should long have been fetched again. Where others can write the record, it could be made to say
    /// for ever that all is well.
    fn is_overdue(&self, now: u64) -> bool {
        let twice = milliseconds(self.source.cache.seconds).saturating_mul(2);
        self.fetched_at.saturating_add(twice) < now && self.began_at.saturating_add(MAX_BACKOFF) < now
    }

    /// Puts a fetched set in place of the one before, here and for all workers.
    pub(super) fn take(
        &mut self,
        fetched: Fetched,
        sets: &mut KeySets,
        shared: &dyn SharedState,
        sealing: Option<&SealingKey>,
        now: u64,
        random: &Random,
    ) -> Happened {
        let stored = shared.get(&self.record_name);
        let stored = Schedule::parse(stored.as_ref().map_or(&[], |held| &held.value));
        if stored.generation > self.began_generation && self.digest.is_some() {
            // Another worker was asked to as well, and has an answer that is newer: it is taken over at the next look.
            let at = UnixTime::from_nanoseconds(now.saturating_mul(1_000_000));
            return Happened::Fetched {
                at,
                new: None,
                was_down: None,
            };
        }
        self.needed_at = None;
        let digest: [u8; 32] = Sha256::digest(&fetched.document).into();
        let is_new = self.digest != Some(digest);
        let contents = Contents {
            keys: fetched.keys.len(),
            skipped: fetched.keys.skipped().to_vec(),
        };
        let before = self.schedule;
        let next_in = refresh_in(fetched.max_age_seconds, &self.source.cache, random.number());
        let value = [format!("{now}\n").as_bytes(), &fetched.document].concat();
        let change = |schedule: Schedule| schedule.done(now, next_in);
        self.write(shared, change, |own, shared, generation, attempt| {
            own.store(&value, shared, sealing, generation, random.nonce(attempt));
        });
        (self.fetched_at, self.generation) = (now, self.schedule.generation);
        if is_new {
            sets.set(self.provider, Some(Rc::new(fetched.keys)));
            self.digest = Some(digest);
        }
        Happened::Fetched {
            at: UnixTime::from_nanoseconds(now.saturating_mul(1_000_000)),
            new: is_new.then_some(contents),
            was_down: (before.failures > 0).then(|| {
                let since = UnixTime::from_nanoseconds(before.down_since.saturating_mul(1_000_000));
                (since, before.failures)
            }),
        }
    }

    pub(super) fn fail(
        &mut self,
        error: FetchError,
        has_keys: bool,
        shared: &dyn SharedState,
        now: u64,
        random: &Random,
    ) -> Happened {
        self.write(
            shared,
            |schedule| schedule.failed(now, random.number()),
            |_, _, _, _| {},
        );
        Happened::Failed {
            error,
            since: UnixTime::from_nanoseconds(self.schedule.down_since.saturating_mul(1_000_000)),
            failures: self.schedule.failures,
            has_keys,
        }
    }

    /// Writes the record on top of what stands there now: a lease that was taken over meanwhile is over as well, for the
    /// question has its answer.
    fn write(
        &mut self,
        shared: &dyn SharedState,
        change: impl Fn(Schedule) -> Schedule,
        before: impl Fn(&Self, &dyn SharedState, u64, u8),
    ) {
        for attempt in 0..MAX_WRITES {
            let held = shared.get(&self.record_name);
            let seen = Schedule::parse(held.as_ref().map_or(&[], |held| &held.value));
            let changed = change(seen);
            before(self, shared, changed.generation, attempt);
            let version = held.map(|held| held.version);
            let written = shared.set(&self.record_name, changed.to_text().as_bytes(), version);
            if written.is_ok() {
                self.schedule = changed;
                return;
            }
        }
        // Nothing was stored. What was fetched is good for this worker, and the others fetch for themselves.
        self.schedule = change(self.schedule);
    }

    fn store(
        &self,
        document: &[u8],
        shared: &dyn SharedState,
        sealing: Option<&SealingKey>,
        generation: u64,
        nonce: [u8; NONCE_BYTES],
    ) {
        let sealed = match sealing {
            Some(key) => key.seal(&self.sealed_name(generation), nonce, document),
            None => Some(document.to_vec()),
        };
        let Some(sealed) = sealed else { return };
        let value = [format!("{generation}\n").as_bytes(), &sealed].concat();
        let version = shared.get(&self.document_name).map(|held| held.version);
        // Whoever was faster has fetched the same, or newer.
        let _ = shared.set(&self.document_name, &value, version);
    }
}

/// A set that stands in shared data.
struct Stored {
    fetched_at: u64,
    /// The set and the digest of its document, where it is another than the one that stands here.
    new: Option<(KeySet, [u8; 32])>,
}

/// What stands in shared data is no set, or not this filter's, or not its newest.
struct Nonsense;

/// A number on a line of its own, and what follows.
fn parted(value: &[u8]) -> Option<(u64, &[u8])> {
    let end = value.iter().position(|byte| *byte == b'\n')?;
    let (number, rest) = value.split_at_checked(end)?;
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    Some((number, rest.get(1..)?))
}

/// The names in shared data, which other modules may use as well; the number is that of the format.
const PREFIX: &str = "peergate.keys.1";
/// Ours: no two sources of one proxy are alike by chance.
const ID_BYTES: usize = 16;
/// Ours: for what is between two callouts and behind the last.
const LEASE_RESERVE_SECONDS: u64 = 2;
/// Ours: a record changes when a lease is taken or given back, seldom twice at once.
const MAX_WRITES: u8 = 5;
/// Ours: in milliseconds. Workers read one clock, which may be set.
const MAX_CLOCK_STEP: u64 = 60_000;
