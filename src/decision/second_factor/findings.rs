//! Which step a code is of: for the program, which tells a person why. It says where clocks differ, and never a code.

use crate::findings::{distance, shortened};
use crate::time::UnixTime;
use crate::totp;

use super::SecondFactor;

impl SecondFactor<'_> {
    /// What there is to say of a code, whatever becomes of it.
    pub(in crate::decision) fn told(&self, code: Option<&[u8]>) -> String {
        let parameters = &self.requirement.code;
        let (seeds, _) = self.seeds();
        let (window, period) = (parameters.window_steps(), parameters.period_seconds());
        let current = parameters.step_at(self.now);
        let asked = format!("steps of {period} s, {window} before and after step {current} count");
        let Some(code) = code.filter(|code| !code.is_empty()) else {
            return asked;
        };
        let matched = totp::verify(seeds, parameters, code, self.now);
        if let Some(matched) = matched {
            let seed = matched.seed.saturating_add(1);
            return format!(
                "of step {}, {}, of seed {seed} of {}; {asked}",
                matched.step,
                offset(matched.step, current),
                seeds.len()
            );
        }
        match self.elsewhere(code) {
            Some(step) => {
                let begins = UnixTime::from_seconds(step.saturating_mul(period.into()));
                let when = distance(begins, self.now);
                format!("it is of step {step}, which began {when}: compare clocks; {asked}")
            }
            None => format!("{}, of no step near; {asked}", shortened(code)),
        }
    }

    /// The step that a code is of, where it is one of the hours around: a clock is off then.
    fn elsewhere(&self, code: &[u8]) -> Option<u64> {
        let alone = self.requirement.code.with_window_steps(0).ok()?;
        let (seeds, _) = self.seeds();
        let current = alone.step_at(self.now);
        let around = (1..=PROBED_STEPS).flat_map(|by| [current.checked_sub(by), current.checked_add(by)]);
        around.flatten().find(|step| {
            let begins = UnixTime::from_seconds(step.saturating_mul(alone.period_seconds().into()));
            totp::verify(seeds, &alone, code, begins).is_some()
        })
    }
}

fn offset(step: u64, current: u64) -> String {
    match step.cmp(&current) {
        std::cmp::Ordering::Equal => "the current one".to_owned(),
        std::cmp::Ordering::Less => format!("{} before the current one", current.saturating_sub(step)),
        std::cmp::Ordering::Greater => format!("{} after the current one", step.saturating_sub(current)),
    }
}

/// Ours: an hour of usual steps. Among as many codes of six digits one that is right by chance is rare enough.
const PROBED_STEPS: u64 = 120;
