//! How long a code is good, and which step a code is of: what a wrong clock looks like.

use crate::secret::constant_time_eq;
use crate::time::UnixTime;
use crate::totp::{Algorithm, CodeParameters, Digits, Seed, code_at};

/// The step of a moment: its first second, and the first one behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Its first second.
    pub from: UnixTime,
    /// The first second of the next step.
    pub until: UnixTime,
}

/// The life of the code of a moment, where no window makes it longer.
pub fn life(parameters: &CodeParameters, now: UnixTime) -> Life {
    let (step, period) = (parameters.step_at(now), u64::from(parameters.period_seconds()));
    let from = step.saturating_mul(period);
    Life {
        from: UnixTime::from_seconds(from),
        until: UnixTime::from_seconds(from.saturating_add(period)),
    }
}

/// What a code was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// The index of its seed.
    pub seed: usize,
    /// How many steps it is behind this clock; negative: before it.
    pub steps_behind: i64,
    /// How many seconds the clock that made it is behind this one, at the least and at the most, if it was made just now.
    pub seconds_behind: (i64, i64),
}

/// The step of a code, as many steps around a moment as `reach` says: the nearest one, the older of two.
pub fn find(
    seeds: &[Seed],
    parameters: &CodeParameters,
    code: &[u8],
    now: UnixTime,
    reach: u32,
) -> Option<Finding> {
    let current = i64::try_from(parameters.step_at(now)).ok()?;
    let period = i64::from(parameters.period_seconds());
    let now = i64::try_from(now.seconds()).ok()?;
    let around = (0..=i64::from(reach)).flat_map(|steps| match steps {
        0 => [Some(0), None],
        _ => [Some(steps), Some(-steps)],
    });
    for steps_behind in around.flatten() {
        let first = current.saturating_sub(steps_behind).saturating_mul(period);
        // Before the epoch there are no codes.
        let Ok(seconds) = u64::try_from(first) else {
            continue;
        };
        let time = UnixTime::from_seconds(seconds);
        let is_its = |seed: &Seed| constant_time_eq(code_at(seed, parameters, time).expose(), code);
        if let Some(seed) = seeds.iter().position(is_its) {
            let last = first.saturating_add(period).saturating_sub(1);
            return Some(Finding {
                seed,
                steps_behind,
                seconds_behind: (now.saturating_sub(last), now.saturating_sub(first)),
            });
        }
    }
    None
}

/// Under which other parameters that authenticators use a code would be one of this moment: the nearest step to either side
/// is looked at as well.
pub fn by_other_parameters(
    seeds: &[Seed],
    parameters: &CodeParameters,
    code: &[u8],
    now: UnixTime,
) -> Option<CodeParameters> {
    let digits = match code.len() {
        6 => Digits::Six,
        8 => Digits::Eight,
        _ => return None,
    };
    let algorithms = [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512];
    let candidates = algorithms.into_iter().flat_map(|algorithm| {
        let periods = [parameters.period_seconds(), 30, 60];
        periods.map(|period| CodeParameters::new(algorithm, digits, period, parameters.window_steps()).ok())
    });
    candidates
        .flatten()
        .find(|other| other != parameters && find(seeds, other, code, now, 1).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_seconds(1_234_567_897);

    fn seed() -> Seed {
        Seed::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap()
    }

    fn code(parameters: &CodeParameters, seconds: u64) -> Vec<u8> {
        code_at(&seed(), parameters, UnixTime::from_seconds(seconds))
            .expose()
            .to_vec()
    }

    #[test]
    fn the_step_of_a_moment() {
        let life = life(&CodeParameters::DEFAULT, NOW);
        assert_eq!(life.from.seconds(), 1_234_567_890);
        assert_eq!(life.until.seconds(), 1_234_567_920);
    }

    #[test]
    fn a_code_tells_how_far_off_a_clock_is() {
        let parameters = CodeParameters::DEFAULT;
        let find = |seconds: u64| {
            let code = code(&parameters, seconds);
            find(&[seed()], &parameters, &code, NOW, 120)
        };
        for (seconds, steps_behind, seconds_behind) in [
            (1_234_567_897, 0, (-22, 7)),
            (1_234_567_889, 1, (8, 37)),
            (1_234_567_920, -1, (-52, -23)),
            (1_234_567_897 - 3600, 120, (3578, 3607)),
        ] {
            let found = Finding {
                seed: 0,
                steps_behind,
                seconds_behind,
            };
            assert_eq!(find(seconds), Some(found));
            let (least, most) = seconds_behind;
            let off = 1_234_567_897 - i64::try_from(seconds).unwrap();
            assert!((least..=most).contains(&off));
        }
        assert_eq!(find(1_234_567_897 - 3660), None);
    }

    #[test]
    fn there_are_no_codes_before_the_epoch() {
        let parameters = CodeParameters::DEFAULT;
        let code = code(&parameters, 0);
        let found = find(&[seed()], &parameters, &code, UnixTime::from_seconds(31), 10);
        assert_eq!(found.map(|found| found.steps_behind), Some(1));
    }

    #[test]
    fn codes_of_other_parameters_are_known() {
        let other = CodeParameters::new(Algorithm::Sha256, Digits::Six, 60, 1).unwrap();
        let code = code(&other, NOW.seconds());
        let known = by_other_parameters(&[seed()], &CodeParameters::DEFAULT, &code, NOW);
        assert_eq!(known, Some(other));
        assert_eq!(
            by_other_parameters(&[seed()], &CodeParameters::DEFAULT, b"12345", NOW),
            None
        );
    }
}
