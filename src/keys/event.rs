//! What happens to key sets, as an operator sees it: counters and log lines. It makes the texts; it writes none.

use std::fmt::Write as _;

use super::fetch::FetchError;
use crate::jwks::Skipped;
use crate::time::UnixTime;

/// Something that happened to the keys of a provider.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The provider.
    pub provider: String,
    /// What.
    pub happened: Happened,
}

/// See [`Event`].
#[derive(Debug, Clone, PartialEq)]
pub enum Happened {
    /// A set was fetched.
    Fetched {
        /// When.
        at: UnixTime,
        /// What is in it; `None` if it is the set of before.
        new: Option<Contents>,
        /// Since when it could not be fetched, and how often.
        was_down: Option<(UnixTime, u64)>,
    },
    /// A fetch failed.
    Failed {
        /// Why.
        error: FetchError,
        /// Since when fetches fail.
        since: UnixTime,
        /// How many have failed since.
        failures: u64,
        /// Whether there is a set of before.
        has_keys: bool,
    },
    /// The set of before is too old to be believed.
    Stale {
        /// How old it may be.
        max_stale_seconds: u32,
    },
    /// What another worker has stored cannot be read: it is none of this filter's.
    NotOurs,
}

/// What is in a set.
#[derive(Debug, Clone, PartialEq)]
pub struct Contents {
    /// How many keys can be used.
    pub keys: usize,
    /// Those that cannot.
    pub skipped: Vec<Skipped>,
}

impl Event {
    /// The names of its counters, each to be increased by one.
    pub fn counters(&self) -> Vec<String> {
        let provider = &self.provider;
        let fetch =
            |outcome: &str| format!("peergate_key_fetches_total.provider.{provider}.outcome.{outcome}");
        match &self.happened {
            Happened::Fetched { new: None, .. } => vec![fetch("unchanged")],
            Happened::Fetched {
                new: Some(contents), ..
            } => {
                let skipped = contents.skipped.iter().map(|skipped| {
                    let reason = skipped.reason.name();
                    format!("peergate_keys_skipped_total.provider.{provider}.reason.{reason}")
                });
                std::iter::once(fetch("ok")).chain(skipped).collect()
            }
            Happened::Failed { error, .. } => vec![fetch(error.reason())],
            Happened::Stale { .. } => vec![format!("peergate_keys_stale_total.provider.{provider}")],
            Happened::NotOurs => vec![format!("peergate_shared_keys_rejected_total.provider.{provider}")],
        }
    }

    /// The gauge that says when the set was fetched, in seconds since the Unix epoch. Every worker would set it alike.
    pub fn gauge(&self) -> Option<(String, u64)> {
        let name = format!(
            "peergate_key_set_fetched_timestamp_seconds.provider.{}",
            self.provider
        );
        match &self.happened {
            Happened::Fetched { at, .. } => Some((name, at.seconds())),
            // An alert on an age needs a beginning.
            Happened::Failed { has_keys: false, .. } => Some((name, 0)),
            Happened::Failed { .. } | Happened::Stale { .. } | Happened::NotOurs => None,
        }
    }

    /// Whether somebody has to look after it.
    pub const fn is_bad(&self) -> bool {
        match &self.happened {
            Happened::Fetched { .. } => false,
            Happened::Failed { .. } | Happened::Stale { .. } | Happened::NotOurs => true,
        }
    }

    /// The line for the log. None where nothing is new: a source that is down is spoken of less and less often.
    pub fn line(&self) -> Option<String> {
        let mut line = format!("peergate: keys of provider `{}`: ", self.provider);
        match &self.happened {
            Happened::Fetched {
                new: None,
                was_down: None,
                ..
            } => return None,
            Happened::Fetched { new, was_down, .. } => {
                match new {
                    Some(contents) => write_contents(&mut line, contents),
                    None => line.push_str("unchanged"),
                }
                if let Some((since, failures)) = was_down {
                    let _ = write!(line, "; was down since {}, {failures} fetches failed", since);
                }
            }
            Happened::Failed { failures, .. } if !failures.is_power_of_two() => return None,
            Happened::Failed {
                error,
                since,
                failures,
                has_keys,
            } => {
                let then = match has_keys {
                    true => "the keys of before stay",
                    false => "there are none",
                };
                let _ = write!(line, "down since {} ({failures} failed): {error}; {then}", since);
            }
            Happened::Stale { max_stale_seconds } => {
                let _ = write!(
                    line,
                    "dropped, for there was no newer set for {max_stale_seconds} seconds; its callers get 503"
                );
            }
            Happened::NotOurs => {
                line.push_str("what stands in shared data was not written by this filter; ignored")
            }
        }
        Some(line)
    }
}

fn write_contents(line: &mut String, contents: &Contents) {
    let _ = write!(line, "{} fetched", contents.keys);
    if !contents.skipped.is_empty() {
        let _ = write!(line, ", {} skipped: ", contents.skipped.len());
        let named: Vec<String> = contents
            .skipped
            .iter()
            .take(MAX_NAMED)
            .map(ToString::to_string)
            .collect();
        line.push_str(&named.join("; "));
        if contents.skipped.len() > MAX_NAMED {
            line.push_str("; …");
        }
    }
}

/// Ours: a line that can still be read.
const MAX_NAMED: usize = 10;
