//! Why `peergate totp` gave no result.

use std::fmt;
use std::time::Duration;

use peergate_filter::enrolment::{AccountError, PeerError};
use peergate_filter::time::UnixTime;
use peergate_filter::totp::{CodeParameters, CodeParametersError, SeedError};

use crate::cli::Failure;
use crate::cli::loaded::NotLoaded;
use crate::cli::secrets::Trouble;

/// Why there is no result. Nothing of a seed or a code is repeated.
pub(super) enum Refused {
    Trouble(Trouble),
    Seed(SeedError),
    SeedNumber(usize),
    SeedPlace,
    Unset(String),
    Parameters(CodeParametersError),
    Account(AccountError),
    TooLong,
    NotLoaded(NotLoaded),
    Peer(PeerError),
    NoCode,
    NotDigits,
    Outside {
        told: String,
        window: u8,
    },
    NoSuchCode {
        now: UnixTime,
        within: Duration,
        other: Option<CodeParameters>,
    },
}

impl From<Trouble> for Refused {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<NotLoaded> for Refused {
    fn from(reason: NotLoaded) -> Self {
        Self::NotLoaded(reason)
    }
}

impl From<SeedError> for Refused {
    fn from(error: SeedError) -> Self {
        Self::Seed(error)
    }
}

impl From<AccountError> for Refused {
    fn from(error: AccountError) -> Self {
        Self::Account(error)
    }
}

impl Failure for Refused {
    fn is_usage(&self) -> bool {
        match self {
            Self::Trouble(trouble) => trouble.is_usage(),
            Self::NotLoaded(reason) => reason.is_usage(),
            Self::SeedPlace | Self::Parameters(_) | Self::Account(_) => true,
            Self::Seed(_)
            | Self::SeedNumber(_)
            | Self::Unset(_)
            | Self::TooLong
            | Self::Peer(_)
            | Self::NoCode
            | Self::NotDigits
            | Self::Outside { .. }
            | Self::NoSuchCode { .. } => false,
        }
    }

    fn is_reported(&self) -> bool {
        matches!(self, Self::NotLoaded(reason) if reason.is_reported())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trouble(trouble) => trouble.fmt(formatter),
            Self::Seed(error @ SeedError::TooShort { .. }) => write!(
                formatter,
                "{error}\n  help: `peergate totp new` makes one that is long enough; `--insecure-allow-short` takes this one"
            ),
            Self::Seed(error) => error.fmt(formatter),
            Self::SeedNumber(count) => write!(formatter, "there is no such seed\n  help: `--seed` counts from 1 to {count}"),
            Self::SeedPlace => formatter.write_str(
                "the code is read from the standard input, and its seed must come from elsewhere\n  help: `--from FILE`, \
                 `--from-env NAME`, or `--policy FILE --peer NAME`",
            ),
            Self::Unset(name) => write!(formatter, "variable `{name}` is not set"),
            Self::Parameters(error) => error.fmt(formatter),
            Self::Account(error) => error.fmt(formatter),
            Self::TooLong => formatter.write_str("the key URI is too long for a QR code"),
            Self::NotLoaded(reason) => reason.fmt(formatter),
            Self::Peer(error) => error.fmt(formatter),
            Self::NoCode => formatter.write_str("there is no code on the standard input"),
            Self::NotDigits => formatter.write_str("the code on the standard input is not made of digits alone"),
            Self::Outside { told, window } => {
                let plural = if *window == 1 { "" } else { "s" };
                write!(
                    formatter,
                    "not good: {told}\n  help: codes are good up to {window} step{plural} away (`window_steps`): set the clocks \
                     right, with chrony or the like"
                )
            }
            Self::NoSuchCode { now, within, other } => {
                write!(
                    formatter,
                    "not good: no code of this seed within {} of {now}\n  help: ",
                    humantime::format_duration(*within)
                )?;
                match other {
                    Some(other) => write!(
                        formatter,
                        "it is one by {} with {} digits and {} seconds: make client and policy agree",
                        other.algorithm().name(),
                        other.digits().count(),
                        other.period_seconds()
                    ),
                    None => formatter.write_str("it was made of another seed, or in another way"),
                }
            }
        }
    }
}
