//! Requests that wait for answers: how many. Those that nobody has verified yet keep no others out.

use std::cell::Cell;
use std::rc::Rc;

use super::Kind;

/// The places of a worker.
#[derive(Debug)]
pub(super) struct Places {
    limit: u32,
    for_tokens: Rc<Cell<u32>>,
    for_introspections: Rc<Cell<u32>>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place(Rc<Cell<u32>>);

impl Places {
    pub(super) fn new(limit: u32) -> Self {
        Self {
            limit,
            for_tokens: Rc::default(),
            for_introspections: Rc::default(),
        }
    }

    pub(super) fn take(&self, kind: Kind) -> Option<Place> {
        let taken = match kind {
            Kind::Token | Kind::Metadata => &self.for_tokens,
            Kind::Introspection => &self.for_introspections,
        };
        (taken.get() < self.limit).then(|| {
            taken.set(taken.get().saturating_add(1));
            Place(Rc::clone(taken))
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_keep_nobody_out() {
        let places = Places::new(2);
        let strangers: Vec<Place> = (0..9).map_while(|_| places.take(Kind::Introspection)).collect();
        assert_eq!(strangers.len(), 2);
        let first = places.take(Kind::Token);
        let second = places.take(Kind::Metadata);
        assert!(first.is_some() && second.is_some());
        assert!(places.take(Kind::Token).is_none());
        drop(first);
        assert!(places.take(Kind::Token).is_some());
    }
}
