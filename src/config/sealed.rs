//! `{sealed: "…"}` and `sealed_env`: secrets that stand in the policy, encrypted to a key of the proxy's environment.
//!
//! What is wrong with one in form is said wherever it is read. One that the keys of this proxy do not open is an error;
//! only where there is no key at all it counts as a variable that is not set.

use std::cell::OnceCell;

use crate::config::problem::SecretProblem;
use crate::config::reader::Node;
use crate::config::secret::Found;
use crate::config::text::is_variable_name;
use crate::config::warning::Caution;
use crate::json;
use crate::sealed::{Envelope, UNSEALING_KEY, UnsealingKeyError, UnsealingKeys};
use crate::secret::Secret;

/// What opens sealed secrets here, and what `sealed_env` holds.
#[derive(Debug, Default)]
pub(super) struct Sealed {
    /// Read when the first one is there.
    keys: OnceCell<Result<UnsealingKeys, NoKeys>>,
    /// Unset where there is no `sealed_env`.
    variables: OnceCell<Variables>,
}

/// Why nothing is opened here.
#[derive(Debug, Clone, Copy)]
enum NoKeys {
    /// Whoever looks at the policy must not have them.
    Withheld,
    /// The variable is not set, or is empty.
    Unset,
    /// The variable holds no keys.
    Bad(UnsealingKeyError),
}

/// What is known of `sealed_env`.
#[derive(Debug)]
enum Variables {
    There(Vec<(String, Secret<String>)>),
    /// There is no key to open it with.
    Missing,
    /// What is wrong with it was reported.
    Refused,
}

/// What a variable is.
pub(super) enum Variable {
    /// It has a value.
    There(Secret<String>),
    /// It has a value of nothing, or of white space.
    Blank,
    /// It is not there.
    Absent,
    /// It may be there: nobody here can tell.
    Unknown,
    /// What keeps it from being known was reported.
    Refused,
}

impl Sealed {
    /// Nothing is opened: for a machine that must not have the keys.
    pub(super) fn withhold_keys(&self) {
        // Nothing was opened before: it is the first call.
        let _ = self.keys.set(Err(NoKeys::Withheld));
    }

    /// Looks into `sealed_env`.
    pub(super) fn variable(&self, name: &str) -> Variable {
        match self.variables.get() {
            None => Variable::Absent,
            Some(Variables::There(variables)) => match variables.iter().find(|(other, _)| other == name) {
                Some((_, value)) if value.expose().trim().is_empty() => Variable::Blank,
                Some((_, value)) => Variable::There(value.clone()),
                None => Variable::Absent,
            },
            Some(Variables::Missing) => match self.keys.get() {
                Some(Err(NoKeys::Withheld)) => Variable::Unknown,
                _ => Variable::Absent,
            },
            Some(Variables::Refused) => Variable::Refused,
        }
    }

    fn keys(&self, node: &Node<'_>) -> &Result<UnsealingKeys, NoKeys> {
        self.keys.get_or_init(|| {
            let keys = unsealing_keys(node)?;
            for number in keys.numbers() {
                node.remember(number);
            }
            Ok(keys)
        })
    }
}

fn unsealing_keys(node: &Node<'_>) -> Result<UnsealingKeys, NoKeys> {
    match node.environment().variables.get(UNSEALING_KEY) {
        Some(text) if !text.trim().is_empty() => UnsealingKeys::parse(text).map_err(NoKeys::Bad),
        _ => Err(NoKeys::Unset),
    }
}

/// Reads `sealed_env`: one JSON object with texts, by the names of variables.
pub(super) fn sealed_variables(node: &Node<'_>) -> Option<()> {
    let read = || match opened(node)? {
        Found::Missing => Some(Variables::Missing),
        Found::There(text) => match variables(text.expose()) {
            Some(variables) => Some(Variables::There(variables)),
            None => node.refuse(SecretProblem::SealedVariables),
        },
    };
    let variables = read();
    let is_good = variables.is_some();
    let _ = node
        .sealed()
        .variables
        .set(variables.unwrap_or(Variables::Refused));
    is_good.then_some(())
}

/// Nothing of it is repeated in an error.
fn variables(text: &str) -> Option<Vec<(String, Secret<String>)>> {
    let mut variables = Vec::new();
    for (name, value) in &json::object(text.as_bytes(), SEALED_DEPTH).ok()? {
        let value = value.as_str().filter(|_| is_variable_name(name))?;
        variables.push((name.clone(), Secret::new(value.to_owned())));
    }
    Some(variables)
}

/// Opens what stands here.
pub(super) fn opened(node: &Node<'_>) -> Option<Found<Secret<String>>> {
    let envelope = match Envelope::parse(node.text()?) {
        Ok(envelope) => envelope,
        Err(error) => return node.refuse(SecretProblem::Sealed(error)),
    };
    match node.sealed().keys(node) {
        Ok(keys) => match keys.open(&envelope) {
            Ok(secret) => Some(Found::There(secret)),
            Err(error) => node.refuse(SecretProblem::Sealed(error)),
        },
        Err(NoKeys::Withheld) => Some(Found::Missing),
        Err(NoKeys::Unset) if node.secrets_may_miss() => {
            node.warn(Caution::SecretMissing(UNSEALING_KEY.to_owned()));
            Some(Found::Missing)
        }
        Err(NoKeys::Unset) => node.refuse(SecretProblem::UnsealingKeyUnset),
        Err(NoKeys::Bad(error)) => node.refuse(SecretProblem::UnsealingKey(*error)),
    }
}

/// The object itself.
const SEALED_DEPTH: usize = 1;
