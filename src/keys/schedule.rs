//! When a source is asked again, and by which worker: a record that all workers of a process share.
//!
//! Whoever finds it due takes a lease for as long as a fetch can take. A worker that dies with a lease is waited for that
//! long, and no longer. What stands in the record is not trusted further than that: another module could have written it.

use std::fmt::Write as _;

use crate::keys::source::CacheTimes;

/// The record. All times are milliseconds since the Unix epoch, 0 for never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Schedule {
    /// Which set is stored: how many were fetched.
    pub(super) generation: u64,
    /// When the last fetch began.
    pub(super) attempted_at: u64,
    /// When the last fetch began that was for a key which the set lacks. Other fetches do not count: a key that is new
    /// just after one of them is asked for at once.
    pub(super) asked_for_kid_at: u64,
    /// When the next one shall begin.
    pub(super) due_at: u64,
    /// Until when a worker is at it.
    pub(super) leased_until: u64,
    /// Which worker.
    pub(super) holder: u64,
    /// How many fetches have failed since the last good one.
    pub(super) failures: u64,
    /// Since when they fail.
    pub(super) down_since: u64,
}

impl Schedule {
    /// From what is stored; a record that cannot be read is as good as none.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let numbers: Result<Vec<u64>, _> = text.split(' ').map(str::parse).collect();
        match numbers.as_deref() {
            Ok(
                [
                    generation,
                    attempted_at,
                    asked_for_kid_at,
                    due_at,
                    leased_until,
                    holder,
                    failures,
                    down_since,
                ],
            ) => Self {
                generation: *generation,
                attempted_at: *attempted_at,
                asked_for_kid_at: *asked_for_kid_at,
                due_at: *due_at,
                leased_until: *leased_until,
                holder: *holder,
                failures: *failures,
                down_since: *down_since,
            },
            _ => Self::default(),
        }
    }

    /// As it is stored.
    pub(super) fn to_text(self) -> String {
        let numbers = [
            self.generation,
            self.attempted_at,
            self.asked_for_kid_at,
            self.due_at,
            self.leased_until,
            self.holder,
            self.failures,
            self.down_since,
        ];
        let mut text = String::new();
        for number in numbers {
            let _ = write!(text, "{number} ");
        }
        text.truncate(text.trim_end().len());
        text
    }

    /// Whether a worker is at it. A lease that lasts longer than any fetch is none.
    pub(super) fn is_leased(&self, now: u64, longest: u64) -> bool {
        self.leased_until > now && self.leased_until <= now.saturating_add(longest)
    }

    /// Whether the next fetch shall begin. One that is further away than any is put is due.
    pub(super) fn is_due(&self, now: u64, cache: &CacheTimes) -> bool {
        let furthest = milliseconds(cache.seconds).max(MAX_BACKOFF).saturating_mul(2);
        self.due_at <= now || self.due_at > now.saturating_add(furthest)
    }

    /// Whether a key that is not in the set may be asked for.
    pub(super) fn is_due_for_unknown_kid(&self, now: u64, cache: &CacheTimes) -> bool {
        let interval = milliseconds(cache.unknown_kid_interval_seconds);
        self.asked_for_kid_at.saturating_add(interval) <= now || self.asked_for_kid_at > now
    }

    /// Whether the last fetch began before this moment. One that lies in the future was before the clock was set back.
    pub(super) const fn is_before(&self, moment: u64, now: u64) -> bool {
        self.attempted_at < moment || self.attempted_at > now
    }

    /// With a fetch that begins.
    pub(super) const fn begun(mut self, now: u64, is_for_kid: bool, holder: u64, longest: u64) -> Self {
        self.attempted_at = now;
        if is_for_kid {
            self.asked_for_kid_at = now;
        }
        self.leased_until = now.saturating_add(longest);
        self.holder = holder;
        self
    }

    /// With a fetch that has given a set.
    pub(super) const fn done(mut self, now: u64, next_in: u64) -> Self {
        self.generation = self.generation.saturating_add(1);
        self.due_at = now.saturating_add(next_in);
        (self.leased_until, self.failures, self.down_since) = (0, 0, 0);
        self
    }

    /// With a fetch that has given none.
    pub(super) fn failed(mut self, now: u64, random: u64) -> Self {
        if self.failures == 0 {
            self.down_since = now;
        }
        self.failures = self.failures.saturating_add(1);
        self.due_at = now.saturating_add(backoff(self.failures, random));
        self.leased_until = 0;
        self
    }
}

/// Whether a set that was fetched then is too old to be believed.
pub(super) fn is_stale(fetched_at: u64, now: u64, cache: &CacheTimes) -> bool {
    fetched_at.saturating_add(milliseconds(cache.max_stale_seconds)) < now
}

/// In how many milliseconds a set is fetched again: within the bounds, and not by all proxies at once.
pub(super) fn refresh_in(max_age_seconds: Option<u64>, cache: &CacheTimes, random: u64) -> u64 {
    let longest = u64::from(cache.seconds);
    let seconds = max_age_seconds.unwrap_or(longest);
    let seconds = seconds.clamp(SHORTEST_REFRESH_SECONDS.min(longest), longest);
    // From 80 to 95 parts in a hundred.
    seconds.saturating_mul(800 + random % 151)
}

/// Doubles from a second to a minute, a fifth more or less.
fn backoff(failures: u64, random: u64) -> u64 {
    let doublings = u32::try_from(failures.saturating_sub(1))
        .unwrap_or(u32::MAX)
        .min(6);
    let milliseconds = (1_000_u64 << doublings).min(MAX_BACKOFF);
    milliseconds.saturating_mul(800 + random % 401) / 1_000
}

pub(super) fn milliseconds(seconds: u32) -> u64 {
    u64::from(seconds) * 1_000
}

/// Ours: a server that says that its keys are good for a second is not asked every second.
const SHORTEST_REFRESH_SECONDS: u64 = 30;
/// Ours: in milliseconds.
pub(super) const MAX_BACKOFF: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    const CACHE: CacheTimes = CacheTimes {
        seconds: 600,
        max_stale_seconds: 3600,
        unknown_kid_interval_seconds: 10,
    };

    #[test]
    fn what_is_stored_is_read_again() {
        let schedule = Schedule::default()
            .begun(5_000, true, u64::MAX, 7_000)
            .failed(6_000, 200);
        assert_eq!(
            schedule.to_text(),
            format!("0 5000 5000 7000 0 {} 1 6000", u64::MAX)
        );
        assert_eq!(Schedule::parse(schedule.to_text().as_bytes()), schedule);
        for garbage in [
            "",
            "1 2 3",
            "a b c d e f g h",
            "1 2 3 4 5 6 7 8 9",
            "-1 2 3 4 5 6 7 8",
        ] {
            assert_eq!(
                Schedule::parse(garbage.as_bytes()),
                Schedule::default(),
                "{garbage}"
            );
        }
    }

    #[test]
    fn a_refresh_comes_before_the_end_and_within_bounds() {
        for (max_age, earliest, latest) in [
            (None, 480_000, 570_000),
            (Some(100_000), 480_000, 570_000),
            (Some(100), 80_000, 95_000),
            (Some(0), 24_000, 28_500),
        ] {
            assert_eq!(refresh_in(max_age, &CACHE, 0), earliest);
            assert_eq!(refresh_in(max_age, &CACHE, 150), latest);
        }
        let short = CacheTimes { seconds: 2, ..CACHE };
        assert_eq!(refresh_in(Some(0), &short, 0), 1_600);
    }

    #[test]
    fn failures_are_waited_out_longer_and_longer() {
        let waits: Vec<u64> = (1..=9).map(|failures| backoff(failures, 200)).collect();
        let seconds = [1, 2, 4, 8, 16, 32, 60, 60, 60];
        assert_eq!(waits, seconds.map(|seconds| seconds * 1_000));
        assert_eq!((backoff(1, 0), backoff(1, 400)), (800, 1_200));
        assert_eq!(backoff(u64::MAX, 0), 48_000);
    }

    #[test]
    fn nonsense_stops_nothing() {
        let far = Schedule {
            due_at: u64::MAX,
            leased_until: u64::MAX,
            asked_for_kid_at: u64::MAX,
            ..Schedule::default()
        };
        assert!(far.is_due(1_000, &CACHE));
        assert!(!far.is_leased(1_000, 10_000));
        assert!(far.is_due_for_unknown_kid(1_000, &CACHE));
    }
}
