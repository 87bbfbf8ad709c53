//! Where the keys of providers come from.

use std::rc::Rc;

use crate::jwks::KeySets;
use crate::keys::{Source, WaitLimits};
use crate::state::SealingKey;

/// The keys of all providers, as far as a configuration can say.
#[derive(Debug, Default)]
pub struct KeyPlan {
    /// Those that are written down, in the order of the providers.
    pub written: KeySets,
    /// Those that are fetched, each for the provider of its index.
    pub sources: Vec<(usize, Source)>,
    /// How requests wait for them.
    pub waits: WaitLimits,
    /// Seals what workers share (`shared_state_key`).
    pub sealing: Option<Rc<SealingKey>>,
}

impl KeyPlan {
    /// Whether the keys of a provider are fetched.
    pub fn are_fetched(&self, provider: usize) -> bool {
        self.sources.iter().any(|(index, _)| *index == provider)
    }
}
