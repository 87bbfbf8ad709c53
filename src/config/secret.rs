//! SECRET: `{env: NAME}`, `{sealed: "…"}` or `{inline: "…"}`. Nothing that was written here is repeated in an error, but the
//! name of a variable, and what the header of a JWE says to everybody.

use crate::config::problem::{Kind, SecretProblem};
use crate::config::reader::Node;
use crate::config::sealed::{Variable, opened};
use crate::config::text::is_variable_name;
use crate::config::warning::Caution;
use crate::sealed::UNSEALING_KEY;
use crate::secret::Secret;

/// A secret, or the knowledge that a variable which this proxy should have is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<T> {
    /// It is there.
    There(T),
    /// It is not, and the policy says that what needs it is refused (`on_missing_secret: deny_rule`).
    Missing,
}

impl<T> Found<T> {
    /// What is made of it, where it is there.
    pub(super) fn map<U>(self, make: impl FnOnce(T) -> U) -> Found<U> {
        match self {
            Self::There(value) => Found::There(make(value)),
            Self::Missing => Found::Missing,
        }
    }

    /// What is made of it, if that can be; `None` after a problem was reported.
    pub(super) fn and_then<U>(self, make: impl FnOnce(T) -> Option<U>) -> Option<Found<U>> {
        match self {
            Self::There(value) => make(value).map(Found::There),
            Self::Missing => Some(Found::Missing),
        }
    }

    /// The value, where it is there.
    pub(super) fn there(self) -> Option<T> {
        match self {
            Self::There(value) => Some(value),
            Self::Missing => None,
        }
    }
}

/// Parts what is there from what is missing: all that is there, and whether something is missing.
pub(super) fn present<T>(found: Vec<Found<T>>) -> (Vec<T>, bool) {
    let count = found.len();
    let there: Vec<T> = found.into_iter().filter_map(Found::there).collect();
    let lacks_some = there.len() < count;
    (there, lacks_some)
}

/// Reads a SECRET, which is never empty. One that is written down is warned about.
pub(super) fn secret(node: &Node<'_>) -> Option<Found<Secret<String>>> {
    if node.kind() != Kind::Object {
        return node.refuse(SecretProblem::Shape(node.kind()));
    }
    let secret = node.object_of_secret(MEMBERS, SecretProblem::Member.into())?;
    let sources = (
        secret.optional("env"),
        secret.optional("sealed"),
        secret.optional("inline"),
    );
    let found = match sources {
        (Some(name), None, None) => from_variable(&name),
        (None, Some(sealed), None) => unsealed(&sealed),
        (None, None, Some(inline)) => written_down(&inline).map(Found::There),
        _ => node.refuse(SecretProblem::NotOneSource),
    };
    if let Some(Found::There(secret)) = &found {
        node.remember(secret);
    }
    found
}

fn from_variable(node: &Node<'_>) -> Option<Found<Secret<String>>> {
    let name = node.text()?;
    if !is_variable_name(name) {
        return node.refuse(SecretProblem::VariableName);
    }
    // Whoever writes a policy may say where secrets go, and shall not send away what opens those of all policies.
    if name == UNSEALING_KEY {
        return node.refuse(SecretProblem::IsUnsealingKey);
    }
    let is_empty = match look_up(node, name) {
        Variable::There(value) => return Some(Found::There(value)),
        Variable::Unknown => return Some(Found::Missing),
        Variable::Refused => return None,
        Variable::Blank => true,
        Variable::Absent => false,
    };
    if node.secrets_may_miss() {
        node.warn(Caution::SecretMissing(name.to_owned()));
        return Some(Found::Missing);
    }
    node.refuse(match is_empty {
        true => SecretProblem::VariableEmpty(name.to_owned()),
        false => SecretProblem::Unset(name.to_owned()),
    })
}

/// A variable of the proxy's environment, else of `sealed_env`.
pub(super) fn look_up(node: &Node<'_>, name: &str) -> Variable {
    let own = node.environment().variables.get(name);
    if let Some(value) = own.filter(|value| !value.trim().is_empty()) {
        return Variable::There(Secret::new(value.clone()));
    }
    match node.sealed().variable(name) {
        Variable::Absent if own.is_some() => Variable::Blank,
        other => other,
    }
}

fn unsealed(node: &Node<'_>) -> Option<Found<Secret<String>>> {
    match opened(node)? {
        Found::There(secret) if secret.expose().trim().is_empty() => node.refuse(SecretProblem::Empty),
        found => Some(found),
    }
}

fn written_down(node: &Node<'_>) -> Option<Secret<String>> {
    node.warn(Caution::InlineSecret);
    if node.is_blank_text() {
        return node.refuse(SecretProblem::Empty);
    }
    node.text().map(|text| Secret::new(text.to_owned()))
}

const MEMBERS: &[&str] = &["env", "sealed", "inline"];
