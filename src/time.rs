//! The time of a decision, which is always an argument.

use std::fmt;
use std::time::{Duration, SystemTime};

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

    /// Nanoseconds since the Unix epoch.
    pub const fn nanoseconds(self) -> u64 {
        self.nanoseconds
    }

    /// Whole seconds since the Unix epoch.
    pub const fn seconds(self) -> u64 {
        self.nanoseconds / NANOSECONDS_PER_SECOND
    }

    /// Seconds since the Unix epoch with their fraction, as a JWT's `NumericDate` counts them (RFC 7519 §2).
    #[expect(
        clippy::as_conversions,
        reason = "no lossless conversion exists; below a microsecond nothing is compared"
    )]
    pub const fn numeric_date(self) -> f64 {
        self.nanoseconds as f64 / NANOSECONDS_PER_SECOND as f64
    }
}

/// As logs write it: RFC 3339 in UTC, without fractions.
impl fmt::Display for UnixTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(self.seconds()));
        match time {
            Some(time) => humantime::format_rfc3339_seconds(time).fmt(formatter),
            None => Err(fmt::Error),
        }
    }
}

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

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
}
