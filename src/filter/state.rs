//! What workers share: the host's shared data, or, where that is not safe, this worker's own memory.

use std::cell::RefCell;

use crate::answers;
use crate::filter::host;
use crate::state::{Memory, Overtaken, SharedState, Version, Versioned};

/// Where a worker keeps what it knows of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    /// In shared data, where all workers of the process see it.
    Shared,
    /// In its own memory, which outlives a configuration.
    Own,
}

impl SharedState for Store {
    fn get(&self, key: &str) -> Option<Versioned> {
        match self {
            // An empty value is what the SDK leaves of one that was removed.
            Self::Shared => host::shared_data(key)
                .ok()
                .filter(|(value, _)| !value.is_empty())
                .map(|(value, version)| Versioned {
                    value,
                    version: Version(version),
                }),
            Self::Own => OWN.with_borrow(|own| own.get(key)),
        }
    }

    fn set(&self, key: &str, value: &[u8], seen: Option<Version>) -> Result<(), Overtaken> {
        match self {
            Self::Shared => {
                let version = seen.map_or(0, |Version(version)| version);
                host::set_shared_data(key, value, version).map_err(|_| Overtaken)
            }
            Self::Own => OWN.with_borrow(|own| own.set(key, value, seen)),
        }
    }
}

thread_local! {
    static OWN: RefCell<Memory> = const { RefCell::new(Memory::bounded(MAX_OWN_VALUES)) };
}

/// Ours: two for each source of keys, and the records of answers.
const MAX_OWN_VALUES: usize = 128 + answers::RECORDS;
