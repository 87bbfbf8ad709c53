//! SECRET: `{env: NAME}` or `{inline: "…"}`. Nothing that was written here is repeated in an error, but the name of a
//! variable.

use crate::config::problem::{Kind, SecretProblem, ShapeProblem};
use crate::config::reader::Node;
use crate::config::text::is_variable_name;
use crate::config::warning::Caution;
use crate::secret::Secret;

/// Reads a SECRET, which is never empty. One that is written down is warned about.
pub(super) fn secret(node: &Node<'_>) -> Option<Secret<String>> {
    if node.kind() != Kind::Object {
        return node.refuse(SecretProblem::Shape(node.kind()));
    }
    let secret = node.object_of_secret(MEMBERS, SecretProblem::Member.into())?;
    if secret.has("sealed") {
        return secret.refuse_member("sealed", ShapeProblem::NotSupportedYet);
    }
    match (secret.optional("env"), secret.optional("inline")) {
        (Some(name), None) => from_variable(&name),
        (None, Some(inline)) => written_down(&inline),
        (None, None) | (Some(_), Some(_)) => node.refuse(SecretProblem::NotOneSource),
    }
}

fn from_variable(node: &Node<'_>) -> Option<Secret<String>> {
    let name = node.text()?;
    if !is_variable_name(name) {
        return node.refuse(SecretProblem::VariableName);
    }
    match node.environment().variables.get(name) {
        None => node.refuse(SecretProblem::Unset(name.to_owned())),
        Some(value) if value.trim().is_empty() => node.refuse(SecretProblem::VariableEmpty(name.to_owned())),
        Some(value) => Some(Secret::new(value.clone())),
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
