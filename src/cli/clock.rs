//! Time, for commands whose result depends on it.

use std::fmt;
use std::time::{Duration, SystemTime};

use peergate_filter::time::UnixTime;

/// A moment that an argument names, or now.
#[derive(clap::Args)]
pub(crate) struct Moment {
    /// The time to do it for, in place of now: RFC 3339, or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = parse)]
    at: Option<UnixTime>,
}

impl Moment {
    /// The moment.
    pub(crate) fn time(&self) -> UnixTime {
        self.at.unwrap_or_else(now)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program is the boundary here: the core is told the time"
)]
fn now() -> UnixTime {
    since_epoch(SystemTime::now())
}

/// A time before the epoch is held there.
fn since_epoch(time: SystemTime) -> UnixTime {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    UnixTime::from_nanoseconds(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// `2026-11-21T22:00:00Z` or `1795298400`.
pub(crate) fn parse(text: &str) -> Result<UnixTime, NoTime> {
    match text.parse() {
        // What the core cannot count it would hold at its last moment.
        Ok(seconds) => Some(UnixTime::from_seconds(seconds)).filter(|time| time.seconds() == seconds),
        Err(_) => humantime::parse_rfc3339_weak(text).map(since_epoch).ok(),
    }
    .ok_or(NoTime)
}

/// A text that is no time.
#[derive(Debug)]
pub(crate) struct NoTime;

impl fmt::Display for NoTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("write `2026-11-21T22:00:00Z`, or seconds since 1970, up to the year 2554")
    }
}

impl std::error::Error for NoTime {}
