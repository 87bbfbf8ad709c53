//! What the workers of one proxy process know in common: values that are replaced only by who has seen the last one.
//!
//! It says how such a store is used, and has one in plain memory: for tests, and for a worker that shares with nobody.

mod seal;
mod slots;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

pub use self::seal::{MIN_SECRET_BYTES, NONCE_BYTES, SealingKey, SecretTooShort};
pub use self::slots::{Changed, Entry, Id, Slots};

/// A store whose values have versions.
pub trait SharedState {
    /// A value and its version; none where there is none, or the store does not answer.
    fn get(&self, key: &str) -> Option<Versioned>;

    /// Replaces a value. Without a version it is put there whatever stands there.
    ///
    /// # Errors
    /// [`Overtaken`] if another version stands there by now.
    fn set(&self, key: &str, value: &[u8], seen: Option<Version>) -> Result<(), Overtaken>;
}

/// Where nothing is kept and nothing can be: what must be remembered cannot be done here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nowhere;

impl SharedState for Nowhere {
    fn get(&self, _key: &str) -> Option<Versioned> {
        None
    }

    fn set(&self, _key: &str, _value: &[u8], _seen: Option<Version>) -> Result<(), Overtaken> {
        Err(Overtaken)
    }
}

impl<S: SharedState + ?Sized> SharedState for Rc<S> {
    fn get(&self, key: &str) -> Option<Versioned> {
        S::get(self, key)
    }

    fn set(&self, key: &str, value: &[u8], seen: Option<Version>) -> Result<(), Overtaken> {
        S::set(self, key, value, seen)
    }
}

/// A look at a store: what is written goes nowhere.
#[derive(Clone, Copy)]
pub struct Glance<'a>(pub &'a dyn SharedState);

impl SharedState for Glance<'_> {
    fn get(&self, key: &str) -> Option<Versioned> {
        self.0.get(key)
    }

    fn set(&self, _key: &str, _value: &[u8], _seen: Option<Version>) -> Result<(), Overtaken> {
        Ok(())
    }
}

/// A value of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// The value.
    pub value: Vec<u8>,
    /// Its version.
    pub version: Version,
}

/// Tells one version of a value from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version(pub u32);

/// Somebody else has replaced the value, or the store failed: nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overtaken;

/// A store in plain memory.
#[derive(Debug, Default)]
pub struct Memory {
    values: RefCell<BTreeMap<String, Versioned>>,
    limit: Option<usize>,
}

impl Memory {
    /// A store that forgets everything when one value more comes than it may hold.
    pub const fn bounded(limit: usize) -> Self {
        Self {
            values: RefCell::new(BTreeMap::new()),
            limit: Some(limit),
        }
    }
}

impl SharedState for Memory {
    fn get(&self, key: &str) -> Option<Versioned> {
        self.values.try_borrow().ok()?.get(key).cloned()
    }

    fn set(&self, key: &str, value: &[u8], seen: Option<Version>) -> Result<(), Overtaken> {
        let mut values = self.values.try_borrow_mut().map_err(|_| Overtaken)?;
        let old = values.get(key).map(|held| held.version);
        if seen.is_some() && seen != old {
            return Err(Overtaken);
        }
        if old.is_none() && self.limit.is_some_and(|limit| values.len() >= limit) {
            values.clear();
        }
        let version = Version(old.map_or(0, |Version(old)| old).wrapping_add(1));
        let value = value.to_vec();
        values.insert(key.to_owned(), Versioned { value, version });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_has_seen_the_last_value_replaces_it() {
        let state = Memory::default();
        assert_eq!(state.get("a"), None);
        assert_eq!(state.set("a", b"1", None), Ok(()));
        let first = state.get("a").unwrap();
        assert_eq!(state.set("a", b"2", Some(first.version)), Ok(()));
        assert_eq!(state.set("a", b"3", Some(first.version)), Err(Overtaken));
        assert_eq!(state.get("a").unwrap().value, b"2");
        assert_eq!(state.set("b", b"1", Some(first.version)), Err(Overtaken));
    }

    #[test]
    fn a_bounded_store_does_not_grow() {
        let state = Memory::bounded(2);
        for key in ["a", "b", "a", "c"] {
            assert_eq!(state.set(key, b"1", None), Ok(()));
        }
        assert_eq!((state.get("a"), state.get("b")), (None, None));
        assert!(state.get("c").is_some());
    }
}
