//! The policy that a command wants to know something of.

use std::fmt;
use std::path::{Path, PathBuf};

use peergate_filter::config::{self, Loaded};
use peergate_filter::sealed::UNSEALING_KEY;

use super::policy_file::{self, ReadError};
use super::surroundings::Surroundings;
use super::{Failure, report};
use crate::cli::shown_path;

/// Loads a policy as a proxy would, and says what there is to say of it. Where the key to sealed secrets is not, they count
/// as missing.
pub(crate) fn load(file: &Path, surroundings: &Surroundings) -> Result<Loaded, NotLoaded> {
    let environment = surroundings.environment().ok_or(NotLoaded::Variable)?;
    let document = policy_file::read(file).map_err(|error| NotLoaded::Unread(file.to_owned(), error))?;
    let load = match environment.variables.contains_key(UNSEALING_KEY) {
        true => config::load,
        false => config::load_unopened,
    };
    let loaded = load(&document, &environment).map_err(|errors| {
        report::errors(&errors);
        NotLoaded::Reported
    })?;
    report::warnings(&loaded);
    Ok(loaded)
}

/// Why there is no policy.
pub(crate) enum NotLoaded {
    Variable,
    Unread(PathBuf, ReadError),
    /// Each of its faults was told.
    Reported,
}

impl Failure for NotLoaded {
    fn is_usage(&self) -> bool {
        matches!(self, Self::Variable)
    }

    fn is_reported(&self) -> bool {
        matches!(self, Self::Reported)
    }
}

impl fmt::Display for NotLoaded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable => formatter.write_str("`--env` takes NAME=VALUE"),
            Self::Unread(file, error) => write!(formatter, "{}: {error}", shown_path(file)),
            Self::Reported => Ok(()),
        }
    }
}
