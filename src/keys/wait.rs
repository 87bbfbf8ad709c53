//! Requests that wait for keys: for how long, and how many.

use std::cell::Cell;
use std::rc::Rc;

/// Which keys would help a request that is refused without them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Those of a provider whose set is not there.
    AnyKeys {
        /// The provider's index.
        provider: usize,
    },
    /// A newer set of a provider: the one that is there lacks the token's key.
    NewerKeys {
        /// The provider's index.
        provider: usize,
    },
}

impl Wish {
    /// The provider's index.
    pub const fn provider(self) -> usize {
        match self {
            Self::AnyKeys { provider } | Self::NewerKeys { provider } => provider,
        }
    }
}

/// How a request's wait ends, for its counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitEnd {
    /// It was decided, for better or worse, because there was news.
    Decided,
    /// Nothing came in its time.
    TimedOut,
    /// It found no place.
    Full,
    /// Its client has gone.
    Gone,
}

impl WaitEnd {
    /// A stable name for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decided => "decided",
            Self::TimedOut => "timed_out",
            Self::Full => "full",
            Self::Gone => "gone",
        }
    }
}

/// How long and how many (`inbound.limits`), in each worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitLimits {
    /// How many seconds a request waits (`key_wait_seconds`).
    pub seconds: u32,
    /// How many requests wait (`waiting_requests`).
    pub requests: u32,
}

impl Default for WaitLimits {
    /// Ours: a client's own patience, and what a worker's memory does not notice.
    fn default() -> Self {
        Self {
            seconds: 5,
            requests: 1000,
        }
    }
}

/// The places of requests that wait in a worker.
#[derive(Debug, Clone)]
pub(super) struct Places {
    limit: u32,
    taken: Rc<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: Cell<u32>,
    for_newer_keys: Cell<u32>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    taken: Rc<Taken>,
    wish: Wish,
}

impl Places {
    pub(super) fn new(limit: u32) -> Self {
        Self {
            limit,
            taken: Rc::default(),
        }
    }

    /// A place, if there is one. Whoever asks for newer keys needs no valid signature to do so: a tenth of the places is
    /// for these, and nobody else's, so that neither keeps the other out.
    pub(super) fn take(&self, wish: Wish) -> Option<Place> {
        let taken = &self.taken;
        let has_room = match wish {
            Wish::AnyKeys { .. } => {
                let others = taken.all.get().saturating_sub(taken.for_newer_keys.get());
                others < self.limit.saturating_sub(self.limit / 10)
            }
            Wish::NewerKeys { .. } => self.limit > 0 && taken.for_newer_keys.get() < (self.limit / 10).max(1),
        };
        has_room.then(|| Place::new(Rc::clone(taken), wish))
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> u32 {
        self.taken.all.get()
    }
}

impl Place {
    fn new(taken: Rc<Taken>, wish: Wish) -> Self {
        taken.all.set(taken.all.get().saturating_add(1));
        if matches!(wish, Wish::NewerKeys { .. }) {
            taken
                .for_newer_keys
                .set(taken.for_newer_keys.get().saturating_add(1));
        }
        Self { taken, wish }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let taken = &self.taken;
        taken.all.set(taken.all.get().saturating_sub(1));
        if matches!(self.wish, Wish::NewerKeys { .. }) {
            taken
                .for_newer_keys
                .set(taken.for_newer_keys.get().saturating_sub(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Wish = Wish::AnyKeys { provider: 0 };
    const NEWER: Wish = Wish::NewerKeys { provider: 0 };

    #[test]
    fn unknown_kids_fill_a_tenth() {
        let places = Places::new(25);
        let strangers: Vec<Place> = (0..9).map_while(|_| places.take(NEWER)).collect();
        assert_eq!(strangers.len(), 2);
        let others: Vec<Place> = (0..99).map_while(|_| places.take(ANY)).collect();
        assert_eq!(others.len(), 23);
        assert!(places.take(ANY).is_none());
        drop(strangers);
        assert_eq!(places.taken(), 23);
        assert!(places.take(ANY).is_none());
        assert!(places.take(NEWER).is_some());
        assert!(Places::new(0).take(NEWER).is_none());
        drop(others);
        assert_eq!(places.taken(), 0);
    }
}
