//! SECRET: `{env: NAME}` or `{inline: "…"}`. Nothing that was written here is repeated in an error, but the name of a
//! variable.

use crate::config::problem::{Kind, SecretProblem, ShapeProblem};
use crate::config::reader::Node;
use crate::config::text::is_variable_name;
use crate::config::warning::Caution;
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
    if secret.has("sealed") {
        return secret.refuse_member("sealed", ShapeProblem::NotSupportedYet);
    }
    let found = match (secret.optional("env"), secret.optional("inline")) {
        (Some(name), None) => from_variable(&name),
        (None, Some(inline)) => written_down(&inline).map(Found::There),
        (None, None) | (Some(_), Some(_)) => node.refuse(SecretProblem::NotOneSource),
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
    match node.environment().variables.get(name) {
        Some(value) if !value.trim().is_empty() => Some(Found::There(Secret::new(value.clone()))),
        _ if node.secrets_may_miss() => {
            node.warn(Caution::SecretMissing(name.to_owned()));
            Some(Found::Missing)
        }
        None => node.refuse(SecretProblem::Unset(name.to_owned())),
        Some(_) => node.refuse(SecretProblem::VariableEmpty(name.to_owned())),
    }
}

fn written_down(node: &Node<'_>) -> Option<Secret<String>> {
    node.warn(Caution::InlineSecret);
    if node.is_blank_text() {
        return node.refuse(SecretProblem::Empty);
    }
    node.text().map(|text| Secret::new(text.to_owned()))
}

const MEMBERS: &[&str] = &["env", "inline", "sealed"];
