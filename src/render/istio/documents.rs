//! What is made, looked at once more: Kubernetes takes two resources of one name for one, and keeps the second.

use std::collections::BTreeSet;

use crate::render::error::RenderError;

/// No two resources of one kind, namespace and name.
///
/// # Errors
/// There are.
pub(super) fn refuse_twins(text: &str) -> Result<(), RenderError> {
    let mut seen = BTreeSet::new();
    for document in text.split("\n---\n") {
        // All templates write the head of a resource like this.
        let after = |mark: &str| document.lines().find_map(|line| line.strip_prefix(mark));
        let (Some(kind), Some(name), Some(namespace)) =
            (after("kind: "), after("  name: "), after("  namespace: "))
        else {
            continue;
        };
        if !seen.insert((kind, namespace, name)) {
            return Err(RenderError::Twins(format!("{kind} {namespace}/{name}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins() {
        let one = |kind: &str, name: &str| {
            format!("# a\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: agents\nspec:\n")
        };
        let several = |resources: &[String]| refuse_twins(&resources.join("---\n"));
        let (plugin, entry) = (one("WasmPlugin", "a"), one("ServiceEntry", "a"));
        assert_eq!(
            several(&[plugin.clone(), entry.clone(), one("WasmPlugin", "b")]),
            Ok(())
        );
        let error = several(&[entry, plugin.clone(), plugin])
            .err()
            .map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some("WasmPlugin agents/a: made twice, and the second would replace the first")
        );
    }
}
