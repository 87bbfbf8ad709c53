//! An answer that is there.

use std::rc::Rc;

use super::NANOSECONDS;
use super::question::Failure;
use crate::secret::Secret;
use crate::time::UnixTime;

/// An answer that is kept.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) made_at: u64,
    pub(super) expires_at: u64,
    pub(super) found: Result<Secret<Vec<u8>>, Failure>,
}

/// An answer that was found.
#[derive(Debug, Clone)]
pub struct Found(pub(super) Rc<Kept>);

impl Found {
    /// What the server has said.
    ///
    /// # Errors
    /// [`Failure`] if it has said no, or nothing, a moment ago.
    pub fn value(&self) -> Result<&[u8], &Failure> {
        self.0.found.as_ref().map(|value| value.expose().as_slice())
    }

    /// Until when it is good.
    pub fn expires_at(&self) -> UnixTime {
        UnixTime::from_nanoseconds(self.0.expires_at.saturating_mul(NANOSECONDS))
    }

    /// Which answer this is, for [`Answers::forget`].
    pub fn receipt(&self) -> Receipt {
        Receipt(self.0.made_at)
    }
}

/// Tells one answer to a question from a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt(pub(super) u64);

impl Kept {
    /// Whether it may be used now. One of the future was made before the clock was set back, or was never made here.
    pub(super) const fn is_good(&self, now: u64) -> bool {
        now < self.expires_at && self.made_at <= now.saturating_add(MAX_CLOCK_STEP)
    }
}

/// Ours, in milliseconds. Workers read one clock, which may be set.
const MAX_CLOCK_STEP: u64 = 60_000;
