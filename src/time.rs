//! The time of a decision, which is always an argument.

use std::fmt;

/// A point in time: nanoseconds since the Unix epoch, as Envoy's clock gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime {
    nanoseconds: u64,
}

impl UnixTime {
    /// From nanoseconds since the Unix epoch.
    pub const fn from_nanoseconds(nanoseconds: u64) -> Self {
        Self { nanoseconds }
    }

    /// From whole seconds since the Unix epoch; a time past the year 2554 is held at that year.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self {
            nanoseconds: seconds.saturating_mul(NANOSECONDS_PER_SECOND),
        }
    }

    /// So many milliseconds later.
    pub const fn after_milliseconds(self, milliseconds: u64) -> Self {
        let later = milliseconds.saturating_mul(NANOSECONDS_PER_MILLISECOND);
        Self {
            nanoseconds: self.nanoseconds.saturating_add(later),
        }
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn nanoseconds(self) -> u64 {
        self.nanoseconds
    }

    /// Whole seconds since the Unix epoch.
    pub const fn seconds(self) -> u64 {
        self.nanoseconds / NANOSECONDS_PER_SECOND
    }

    /// Whole milliseconds since the Unix epoch.
    pub const fn milliseconds(self) -> u64 {
        self.nanoseconds / NANOSECONDS_PER_MILLISECOND
    }

    /// Seconds since the Unix epoch with their fraction, as a JWT's `NumericDate` counts them (RFC 7519 §2).
    #[expect(
        clippy::as_conversions,
        reason = "no lossless conversion exists; below a microsecond nothing is compared"
    )]
    pub const fn numeric_date(self) -> f64 {
        self.nanoseconds as f64 / NANOSECONDS_PER_SECOND as f64
    }

    /// From what a `NumericDate` counts, without its fraction. What is before the epoch is held there.
    #[expect(
        clippy::as_conversions,
        reason = "it saturates, which is what is meant; NaN is the epoch"
    )]
    pub const fn from_numeric_date(seconds: f64) -> Self {
        Self::from_seconds(seconds as u64)
    }
}

/// As logs write it: RFC 3339 in UTC, without fractions.
impl fmt::Display for UnixTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.seconds() / SECONDS_PER_DAY, self.seconds() % SECONDS_PER_DAY);
        let (year, month, day) = date(days);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(
            formatter,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

/// The date so many days after the first of January 1970, by years that begin in March: the leap day is their last. A
/// library for it would be a part in a hundred of the module.
const fn date(days: u64) -> (u64, u64, u64) {
    // Days since the first of March of the year 0; 400 years have 146 097.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = year + era * 400;
    if month < 10 {
        (year, month + 3, day)
    } else {
        (year + 1, month - 9, day)
    }
}

const SECONDS_PER_DAY: u64 = 86_400;
const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;
const NANOSECONDS_PER_MILLISECOND: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        let time = UnixTime::from_nanoseconds(1_234_567_890_500_000_000);
        assert_eq!(time.seconds(), 1_234_567_890);
        assert_eq!(time.numeric_date(), 1_234_567_890.5);
        assert_eq!(UnixTime::from_seconds(u64::MAX).seconds(), 18_446_744_073);
        assert_eq!(time.to_string(), "2009-02-13T23:31:30Z");
        assert_eq!(
            UnixTime::from_seconds(u64::MAX).to_string(),
            "2554-07-21T23:34:33Z"
        );
    }

    /// Held against a library that the module is too small for.
    #[test]
    fn dates() {
        for day in 0..200_000 {
            let seconds = day * 86_400 + 86_399;
            let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            assert_eq!(
                UnixTime::from_seconds(seconds).to_string(),
                humantime::format_rfc3339_seconds(time).to_string()
            );
        }
    }
}
