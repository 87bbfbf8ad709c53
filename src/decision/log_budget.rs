//! How many lines refusals may write: whoever sends requests without a credential decides how many there are.
//!
//! It counts lines and makes no text of a refusal. Which lines it bounds, and what time it is, who asks knows.

use crate::time::UnixTime;

/// A bucket of lines, one for all refusals of a virtual machine.
#[derive(Debug, Default)]
pub struct LogBudget {
    /// When the bucket is full again, in nanoseconds since the Unix epoch: each line puts it off.
    full_at: u64,
    left_out: u64,
}

impl LogBudget {
    /// Whether a line may be written now, and then how many were left out before it; else it counts as left out.
    pub fn take(&mut self, now: UnixTime) -> Option<u64> {
        let now = now.nanoseconds();
        let latest = now.saturating_add(LINES_AT_ONCE * NANOSECONDS_PER_LINE);
        // A clock that was set back finds no more than an empty bucket.
        let full_at = self
            .full_at
            .clamp(now, latest)
            .saturating_add(NANOSECONDS_PER_LINE);
        if full_at > latest {
            self.full_at = self.full_at.min(latest);
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        self.full_at = full_at;
        Some(std::mem::take(&mut self.left_out))
    }

    /// How many were left out since the last line, if any were and a line may be written now that says so.
    pub fn take_left_out(&mut self, now: UnixTime) -> Option<u64> {
        if self.left_out == 0 {
            return None;
        }
        let left_out = self.left_out;
        let taken = self.take(now);
        if taken.is_none() {
            // The line that would have said it is no refusal's.
            self.left_out = left_out;
        }
        taken
    }
}

/// Ours: a fault that hits a few callers is seen whole.
const LINES_AT_ONCE: u64 = 100;
/// Ours: 20 a second. Enough to see what goes on; a worker then writes some 4 kB a second at the most.
const NANOSECONDS_PER_LINE: u64 = 1_000_000_000 / 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> UnixTime {
        UnixTime::from_nanoseconds(1_790_000_000_000_000_000 + milliseconds * 1_000_000)
    }

    fn taken(budget: &mut LogBudget, count: usize, now: UnixTime) -> usize {
        (0..count).filter_map(|_| budget.take(now)).count()
    }

    #[test]
    fn a_hundred_at_once_and_twenty_a_second() {
        let mut budget = LogBudget::default();
        assert_eq!(taken(&mut budget, 1_000, at(0)), 100);
        assert_eq!(taken(&mut budget, 1_000, at(49)), 0);
        assert_eq!(taken(&mut budget, 1_000, at(50)), 1);
        assert_eq!(taken(&mut budget, 1_000, at(1_050)), 20);
        assert_eq!(taken(&mut budget, 1_000, at(3_600_000)), 100);
    }

    #[test]
    fn the_next_line_knows_how_many_were_left_out() {
        let mut budget = LogBudget::default();
        assert_eq!(budget.take(at(0)), Some(0));
        assert_eq!(taken(&mut budget, 149, at(0)), 99);
        assert_eq!(budget.take(at(50)), Some(50));
        assert_eq!(budget.take(at(100)), Some(0));
    }

    #[test]
    fn a_line_that_only_says_so_takes_its_place_and_counts_for_none() {
        let mut budget = LogBudget::default();
        assert_eq!(budget.take_left_out(at(0)), None);
        assert_eq!(taken(&mut budget, 107, at(0)), 100);
        assert_eq!(budget.take_left_out(at(0)), None);
        assert_eq!(budget.take_left_out(at(50)), Some(7));
        assert_eq!(budget.take(at(50)), None);
        assert_eq!(budget.take_left_out(at(100)), Some(1));
        assert_eq!(budget.take_left_out(at(10_000)), None);
    }

    #[test]
    fn a_clock_that_is_set_back_silences_nothing_for_long() {
        let mut budget = LogBudget::default();
        assert_eq!(taken(&mut budget, 200, at(3_600_000)), 100);
        assert_eq!(budget.take(at(0)), None);
        assert_eq!(taken(&mut budget, 200, at(1_000)), 20);
    }

    #[test]
    fn the_ends_of_time() {
        let mut budget = LogBudget::default();
        let (first, last) = (
            UnixTime::from_nanoseconds(0),
            UnixTime::from_nanoseconds(u64::MAX),
        );
        assert_eq!(taken(&mut budget, 200, first), 100);
        budget.take(last);
        budget.take(last);
    }
}
