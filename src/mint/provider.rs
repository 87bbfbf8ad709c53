//! What a provider of a policy wants of tokens, and what it says of one.

use std::rc::Rc;

use super::key::MintingKey;
use crate::jwks::{KeySets, NoHostSignatures};
use crate::jwt::{Audiences, Error, Means, Provider};
use crate::policy::Policy;
use crate::time::UnixTime;

/// A provider of a policy.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'p> {
    policy: &'p Policy,
    index: usize,
    /// What its tokens must satisfy.
    pub provider: &'p Provider,
}

impl<'p> Expected<'p> {
    /// By its name.
    pub fn find(policy: &'p Policy, name: &str) -> Option<Self> {
        let mut providers = policy.inbound.as_ref()?.tokens.providers().iter().enumerate();
        let (index, provider) = providers.find(|(_, provider)| provider.name == name)?;
        Some(Self {
            policy,
            index,
            provider,
        })
    }

    /// An audience that it takes.
    pub fn audience(&self) -> Option<&'p str> {
        match &self.provider.audiences {
            Audiences::Any => None,
            Audiences::OneOf(audiences) => audiences.first().map(String::as_str),
        }
    }

    /// The `typ` that it wants, where it wants one.
    pub fn typ(&self) -> Option<&'p str> {
        self.provider.types.first().map(|typ| typ.as_str())
    }

    /// Whether nobody knows which keys it has before they are fetched.
    pub fn fetches_keys(&self) -> bool {
        self.policy.keys.are_fetched(self.index)
    }

    /// What the filter would say of a token; of one whose provider's keys are fetched, as if the key were among them.
    ///
    /// # Errors
    /// Why it would be refused.
    pub fn judge(&self, key: &MintingKey, token: &str, now: UnixTime) -> Result<(), Error> {
        let Some(inbound) = &self.policy.inbound else {
            return Ok(());
        };
        let fetched;
        let keys = match self.fetches_keys() {
            true => {
                let mut sets = vec![None; self.index];
                sets.push(key.key_set().ok().map(Rc::new));
                fetched = KeySets::new(sets);
                &fetched
            }
            false => &self.policy.keys.written,
        };
        let means = Means {
            keys,
            signatures: &NoHostSignatures,
        };
        inbound.tokens.verify(token.as_bytes(), means, now).map(|_| ())
    }
}
