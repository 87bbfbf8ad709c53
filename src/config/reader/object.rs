//! Objects with known members.

use crate::config::document::Document;
use crate::config::problem::{Problem, ShapeProblem};
use crate::config::reader::{Node, has_entries};
use crate::config::warning::Caution;

/// An object whose members are known.
#[derive(Debug, Clone)]
pub(in crate::config) struct Object<'c> {
    node: Node<'c>,
    /// Known members that unknown ones were taken for.
    meant: Vec<&'static str>,
}

impl<'c> Object<'c> {
    pub(super) const fn new(node: Node<'c>, meant: Vec<&'static str>) -> Self {
        Self { node, meant }
    }

    /// The object as a value.
    pub(in crate::config) const fn node(&self) -> &Node<'c> {
        &self.node
    }

    /// A member, if it is there and not null.
    pub(in crate::config) fn optional(&self, name: &'static str) -> Option<Node<'c>> {
        let value = self.node.value.member(name)?;
        Some(Node {
            context: self.node.context,
            path: self.node.path.member(name),
            value,
        })
    }

    /// Whether a member is there and not null.
    pub(in crate::config) fn has(&self, name: &'static str) -> bool {
        self.node.value.member(name).is_some()
    }

    /// Whether a member has, or was meant to have, something in it: for questions about a section before it is read.
    pub(in crate::config) fn has_entries(&self, name: &str) -> bool {
        has_entries(self.node.value, name)
    }

    /// Whether a member is there and null, for the few that mean something by it.
    pub(in crate::config) fn is_null(&self, name: &'static str) -> bool {
        let Document::Object(members) = self.node.value else {
            return false;
        };
        members
            .iter()
            .any(|(other, value)| other == name && matches!(value, Document::Null))
    }

    /// Refuses each of these that is null: where leaving a condition away opens something, one whose value was lost (an
    /// empty YAML list, a template that came out empty) must not count as left away.
    pub(in crate::config) fn refuse_null(&self, names: &[&'static str]) {
        for name in names.iter().filter(|name| self.is_null(name)) {
            self.refuse_member::<()>(name, ShapeProblem::NullCondition);
        }
    }

    /// Where a member stands, or would stand.
    pub(in crate::config) fn path_of(&self, name: &'static str) -> String {
        self.node.path.member(name).to_string()
    }

    /// A member that is an object with known members; the empty one where it is absent, so that defaults are said
    /// once.
    pub(in crate::config) fn section(
        &self,
        name: &'static str,
        known: &'static [&'static str],
    ) -> Option<Object<'c>> {
        static EMPTY: Document = Document::Object(Vec::new());
        match self.optional(name) {
            Some(node) => node.object(known),
            None => {
                let node = Node {
                    context: self.node.context,
                    path: self.node.path.member(name),
                    value: &EMPTY,
                };
                Some(Object::new(node, Vec::new()))
            }
        }
    }

    /// A member that must be there.
    pub(in crate::config) fn required(&self, name: &'static str) -> Option<Node<'c>> {
        self.optional(name)
            .or_else(|| self.refuse_missing(name, ShapeProblem::Missing))
    }

    /// Reports that a member is missing, unless one was reported that was meant to be it.
    pub(in crate::config) fn refuse_missing<T>(
        &self,
        name: &'static str,
        problem: impl Into<Problem>,
    ) -> Option<T> {
        match self.is_mistyped(name) {
            true => None,
            false => self.refuse_member(name, problem),
        }
    }

    /// Whether a member is there under a name that was reported as unknown.
    pub(in crate::config) fn is_mistyped(&self, name: &str) -> bool {
        self.meant.contains(&name)
    }

    /// A member as `read` reads it, or the default where it is absent.
    pub(in crate::config) fn or<T>(
        &self,
        name: &'static str,
        default: T,
        read: impl FnOnce(Node<'c>) -> Option<T>,
    ) -> Option<T> {
        self.optional(name).map_or(Some(default), read)
    }

    /// A flag that is off unless it is written.
    pub(in crate::config) fn flag(&self, name: &'static str) -> Option<bool> {
        self.or(name, false, |node| node.flag())
    }

    /// A flag that makes things weaker: on only where it is written, and then warned about.
    pub(in crate::config) fn insecure_flag(&self, name: &'static str, caution: Caution) -> Option<bool> {
        self.or(name, false, |node| {
            let flag = node.flag()?;
            if flag {
                node.warn(caution);
            }
            Some(flag)
        })
    }

    /// A list that is empty unless it is written.
    pub(in crate::config) fn list<T>(
        &self,
        name: &'static str,
        read: impl FnMut(Node<'c>) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.or(name, Vec::new(), |node| node.list(read))
    }

    /// Reports that something is wrong with a member, which need not be there.
    pub(in crate::config) fn refuse_member<T>(
        &self,
        name: &'static str,
        problem: impl Into<Problem>,
    ) -> Option<T> {
        let path = self.node.path.member(name);
        self.node.context.report(&path, problem.into());
        None
    }

    /// Of members that exclude each other, the one that is there.
    pub(in crate::config) fn one_of(&self, choices: &'static [&'static str]) -> Option<Node<'c>> {
        let found: Vec<&'static str> = choices.iter().copied().filter(|name| self.has(name)).collect();
        match found.as_slice() {
            [] if choices.iter().any(|name| self.is_mistyped(name)) => None,
            [] => self.node.refuse(ShapeProblem::NoneOf(choices)),
            [name] => self.optional(name),
            _ => self.node.refuse(ShapeProblem::Excluding(found)),
        }
    }
}
