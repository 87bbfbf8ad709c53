//! TEXT: a text that may hold names of the place where the filter runs, as `${NAME}`.

use crate::config::Environment;
use crate::config::problem::{NAMESPACE, ShapeProblem, TextProblem, WORKLOAD};
use crate::config::reader::Node;
use crate::excerpt::Excerpt;
use crate::sealed::UNSEALING_KEY;

/// Reads a TEXT with its names replaced. A name that stands for nothing is an error, never an empty text.
pub(super) fn text(node: &Node<'_>) -> Option<String> {
    match interpolate(node.text()?, node.environment()) {
        Ok(text) if text.is_empty() => node.refuse(ShapeProblem::EmptyText),
        Ok(text) => Some(text),
        Err(problem) => node.refuse(problem),
    }
}

/// Whether this can be the name of a variable (POSIX.1-2017 §8.1).
pub(super) fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Replaces each `${NAME}`; `$$` is a `$`, and so is a `$` before anything else.
fn interpolate(text: &str, environment: &Environment) -> Result<String, TextProblem> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        rest = if let Some(named) = after.strip_prefix('{') {
            let (name, after) = named.split_once('}').ok_or(TextProblem::Unterminated)?;
            result.push_str(value(name, environment)?);
            after
        } else {
            result.push('$');
            after.strip_prefix('$').unwrap_or(after)
        };
    }
    result.push_str(rest);
    Ok(result)
}

fn value<'e>(name: &str, environment: &'e Environment) -> Result<&'e str, TextProblem> {
    if !is_variable_name(name) {
        return Err(TextProblem::Name(Excerpt::new(name)));
    }
    if name == UNSEALING_KEY {
        return Err(TextProblem::IsUnsealingKey);
    }
    let metadata = match name {
        WORKLOAD => environment.workload.as_deref(),
        NAMESPACE => environment.namespace.as_deref(),
        _ => None,
    };
    metadata
        .or_else(|| environment.variables.get(name).map(String::as_str))
        .ok_or_else(|| TextProblem::Unset(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, TextProblem> {
        let environment = Environment {
            variables: [
                ("A", "1"),
                ("B_2", "${A}"),
                ("EMPTY", ""),
                ("NAMESPACE", "variable"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
            workload: Some("agent".into()),
            namespace: None,
        };
        interpolate(text, &environment)
    }

    #[test]
    fn names_are_replaced_once() {
        for (text, expected) in [
            ("plain", "plain"),
            ("${A}", "1"),
            ("a${A}b${A}", "a1b1"),
            ("${B_2}", "${A}"),
            ("${EMPTY}", ""),
            ("${WORKLOAD}.${NAMESPACE}", "agent.variable"),
            ("$A", "$A"),
            ("$", "$"),
            ("$$", "$"),
            ("$${A}", "${A}"),
            ("$$${A}", "$1"),
            ("a}b{", "a}b{"),
        ] {
            assert_eq!(read(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_refused() {
        let name = |name: &str| Err(TextProblem::Name(Excerpt::new(name)));
        assert_eq!(read("a${A"), Err(TextProblem::Unterminated));
        assert_eq!(read("${"), Err(TextProblem::Unterminated));
        assert_eq!(read("${}"), name(""));
        assert_eq!(read("${2A}"), name("2A"));
        assert_eq!(read("${A-B}"), name("A-B"));
        assert_eq!(read("${A:-x}"), name("A:-x"));
        assert_eq!(read("${C}"), Err(TextProblem::Unset("C".into())));
    }

    #[test]
    fn the_metadata_counts_before_a_variable() {
        let environment = Environment {
            variables: [("WORKLOAD".to_owned(), "variable".to_owned())].into(),
            workload: Some("metadata".into()),
            namespace: None,
        };
        assert_eq!(interpolate("${WORKLOAD}", &environment), Ok("metadata".into()));
        assert_eq!(
            interpolate("${NAMESPACE}", &environment),
            Err(TextProblem::Unset("NAMESPACE".into()))
        );
    }
}
