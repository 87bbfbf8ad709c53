//! The key sets that stand at a moment.

use std::rc::Rc;

use super::KeySet;

/// One set for each provider of a policy, in their order; none where it has not come yet.
#[derive(Debug, Clone, Default)]
pub struct KeySets {
    sets: Vec<Option<Rc<KeySet>>>,
}

impl KeySets {
    /// From the sets, in the order of the providers.
    pub fn new(sets: impl IntoIterator<Item = Option<Rc<KeySet>>>) -> Self {
        Self {
            sets: sets.into_iter().collect(),
        }
    }

    /// The set of a provider.
    pub fn get(&self, provider: usize) -> Option<&Rc<KeySet>> {
        self.sets.get(provider).and_then(Option::as_ref)
    }

    /// Puts another in its place, or none. A provider that is not there gets nothing.
    pub fn set(&mut self, provider: usize, keys: Option<Rc<KeySet>>) {
        if let Some(place) = self.sets.get_mut(provider) {
            *place = keys;
        }
    }
}
