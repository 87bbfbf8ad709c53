//! Reads values out of a document. Each accessor returns the value in its own type, or `None` after it has reported
//! what is wrong: nothing stops at the first error, and nothing is read twice.
//!
//! A `None` says only that an error was reported; absence is [`Object::optional`]'s answer.

mod object;

use std::cell::{Cell, RefCell};
use std::ops::RangeInclusive;

use crate::config::Environment;
use crate::config::document::Document;
use crate::config::misplaced::below;
use crate::config::nearest::nearest;
use crate::config::path::Path;
use crate::config::problem::{Error, Errors, Kind, Problem, ShapeProblem};
use crate::config::sealed::Sealed;
use crate::config::sorted;
use crate::config::warning::{Caution, Warning};
use crate::excerpt::Excerpt;
use crate::redact::Redactor;
use crate::secret::Secret;

pub(super) use self::object::Object;

/// What is known while a configuration is read: its place, and what was found wrong so far.
#[derive(Debug)]
pub(super) struct Context<'c> {
    document: &'c Document,
    environment: &'c Environment,
    findings: RefCell<Findings>,
    secrets_may_miss: Cell<bool>,
    /// The secrets that were read, which no text of this reading may show.
    secrets: RefCell<Vec<Secret<String>>>,
    sealed: Sealed,
}

#[derive(Debug, Default)]
struct Findings {
    errors: Vec<(Vec<usize>, Box<Error>)>,
    warnings: Vec<(Vec<usize>, Box<Warning>)>,
}

impl<'c> Context<'c> {
    pub(super) fn new(document: &'c Document, environment: &'c Environment) -> Self {
        Self {
            document,
            environment,
            findings: RefCell::default(),
            secrets_may_miss: Cell::new(false),
            secrets: RefCell::default(),
            sealed: Sealed::default(),
        }
    }

    /// From here on, a secret that is not set is a warning and no error.
    pub(super) fn let_secrets_miss(&self) {
        self.secrets_may_miss.set(true);
    }

    /// What opens sealed secrets.
    pub(super) const fn sealed(&self) -> &Sealed {
        &self.sealed
    }

    /// The document itself.
    pub(super) fn root(&'c self) -> Node<'c> {
        Node {
            context: self,
            path: Path::root(),
            value: self.document,
        }
    }

    /// All warnings, or all errors, in the order of the document; and what keeps the secrets that were read out of the
    /// texts of either.
    pub(super) fn finish(self) -> Result<(Vec<Warning>, Redactor), Errors> {
        let mut redactor = Redactor::default();
        for secret in self.secrets.borrow().iter() {
            redactor.add_secret(secret.expose().as_bytes());
        }
        let findings = self.findings.into_inner();
        let errors = findings.errors.into_iter().map(|(_, error)| *error).collect();
        let warnings = findings.warnings.into_iter().map(|(_, warning)| *warning);
        match Errors::new(errors, &redactor) {
            Some(errors) => Err(errors),
            None => Ok((warnings.collect(), redactor)),
        }
    }

    /// What stands in one place keeps the order in which it was found.
    fn report(&self, path: &Path<'_>, problem: Problem) {
        let position = path.position(self.document);
        let errors = &mut self.findings.borrow_mut().errors;
        sorted::insert_by(errors, position, Error::new(path, problem));
    }
}

/// A value of the document, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node<'c> {
    context: &'c Context<'c>,
    path: Path<'c>,
    value: &'c Document,
}

impl<'c> Node<'c> {
    /// Reports that something is wrong with this value.
    pub(super) fn refuse<T>(&self, problem: impl Into<Problem>) -> Option<T> {
        self.context.report(&self.path, problem.into());
        None
    }

    /// Reports that something about this value should be known.
    pub(super) fn warn(&self, caution: Caution) {
        let position = self.path.position(self.context.document);
        let warning = Warning::new(&self.path, caution);
        let warnings = &mut self.context.findings.borrow_mut().warnings;
        sorted::insert_by(warnings, position, warning);
    }

    /// Whether a secret that is not set is a warning and no error.
    pub(super) fn secrets_may_miss(&self) -> bool {
        self.context.secrets_may_miss.get()
    }

    /// Keeps a secret out of every text of this reading.
    pub(super) fn remember(&self, secret: &Secret<String>) {
        self.context.secrets.borrow_mut().push(secret.clone());
    }

    /// What opens sealed secrets.
    pub(super) const fn sealed(&self) -> &'c Sealed {
        self.context.sealed()
    }

    /// The surroundings in which the configuration is read.
    pub(super) const fn environment(&self) -> &'c Environment {
        self.context.environment
    }

    /// Where the value stands.
    pub(super) fn path(&self) -> String {
        self.path.to_string()
    }

    /// The value itself, for parts that have a format of their own.
    pub(super) const fn document(&self) -> &'c Document {
        self.value
    }

    /// What kind of value this is.
    pub(super) const fn kind(&self) -> Kind {
        self.value.kind()
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Option<bool> {
        match self.value {
            Document::Flag(flag) => Some(*flag),
            other => self.refuse(wrong_kind(Kind::Flag, other)),
        }
    }

    /// Whether this is a text of nothing, or of white space.
    pub(super) fn is_blank_text(&self) -> bool {
        matches!(self.value, Document::Text(text) if text.expose().trim().is_empty())
    }

    /// A text of at least one character.
    pub(super) fn text(&self) -> Option<&'c str> {
        match self.value {
            Document::Text(text) if text.expose().is_empty() => self.refuse(ShapeProblem::EmptyText),
            Document::Text(text) => Some(text.expose()),
            other => self.refuse(wrong_kind(Kind::Text, other)),
        }
    }

    /// An integer within limits, in a type that holds them.
    pub(super) fn integer<T: TryFrom<i64>>(&self, range: RangeInclusive<i64>) -> Option<T> {
        let Document::Number(number) = self.value else {
            return self.refuse(wrong_kind(Kind::Number, self.value));
        };
        let integer = number.as_i64().filter(|integer| range.contains(integer));
        match integer.and_then(|integer| T::try_from(integer).ok()) {
            Some(integer) => Some(integer),
            None => self.refuse(ShapeProblem::NotWithin {
                range,
                found: number.to_string(),
            }),
        }
    }

    /// One of several words, each with its meaning; `None` is the meaning of a word of a later release.
    pub(super) fn choice<T: Copy>(&self, words: &[(&'static str, Option<T>)]) -> Option<T> {
        let written = match self.value {
            // What YAML takes for something else than the word that was meant, such as `off`.
            Document::Flag(flag) => flag.to_string(),
            Document::Number(number) => number.to_string(),
            _ => self.text()?.to_owned(),
        };
        match words.iter().find(|(word, _)| *word == written) {
            Some((_, Some(meaning))) => Some(*meaning),
            Some((_, None)) => self.refuse(ShapeProblem::ValueNotSupportedYet(Excerpt::new(&written))),
            None => self.refuse(ShapeProblem::NotOneOf {
                found: Excerpt::new(&written),
                choices: words
                    .iter()
                    .filter(|(_, meaning)| meaning.is_some())
                    .map(|(word, _)| *word)
                    .collect(),
                nearest: nearest(&written, words.iter().map(|(word, _)| *word)),
            }),
        }
    }

    /// The entries of a list, each as `read` reads it.
    pub(super) fn list<T>(&self, read: impl FnMut(Node<'c>) -> Option<T>) -> Option<Vec<T>> {
        all(self.entries()?.into_iter().map(read))
    }

    /// The entries themselves.
    fn entries(&self) -> Option<Vec<Node<'c>>> {
        let Document::List(entries) = self.value else {
            return self.refuse(wrong_kind(Kind::List, self.value));
        };
        self.check_size(entries.len())?;
        let mut nodes = Vec::with_capacity(entries.len());
        for (index, value) in entries.iter().enumerate() {
            nodes.push(Node {
                context: self.context,
                path: self.path.index(index),
                value,
            });
        }
        Some(nodes)
    }

    /// The same, of a list that must have entries.
    pub(super) fn non_empty_list<T>(&self, read: impl FnMut(Node<'c>) -> Option<T>) -> Option<Vec<T>> {
        match self.value {
            Document::List(entries) if entries.is_empty() => self.refuse(ShapeProblem::EmptyList),
            _ => self.list(read),
        }
    }

    /// The members of an object whose names are the author's, each with its name. Null members are absent.
    pub(super) fn members(&self) -> Option<Vec<(&'c str, Node<'c>)>> {
        let Document::Object(members) = self.value else {
            return self.refuse(wrong_kind(Kind::Object, self.value));
        };
        self.check_size(members.len())?;
        let node = |(name, value): &'c (String, Document)| {
            (
                name.as_str(),
                Node {
                    context: self.context,
                    path: self.path.member(name),
                    value,
                },
            )
        };
        Some(
            members
                .iter()
                .filter(|(_, value)| !matches!(value, Document::Null))
                .map(node)
                .collect(),
        )
    }

    /// An object with known members. Others are reported, and do not keep the known ones from being read.
    pub(super) fn object(&self, known: &'static [&'static str]) -> Option<Object<'c>> {
        let Document::Object(members) = self.value else {
            return self.refuse(wrong_kind(Kind::Object, self.value));
        };
        let mut meant = Vec::new();
        for (name, _) in members.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
            let nearest = nearest(name, known.iter().copied());
            meant.extend(nearest);
            let problem = ShapeProblem::UnknownMember {
                known: known.to_vec(),
                nearest: nearest.or_else(|| below(name, known)),
            };
            self.context.report(&self.path.member(name), problem.into());
        }
        Some(Object::new(self.clone(), meant))
    }

    /// An object of a format of its own, which may have members that are not known here.
    pub(super) fn open_object(&self) -> Option<Object<'c>> {
        match self.value {
            Document::Object(_) => Some(Object::new(self.clone(), Vec::new())),
            other => self.refuse(wrong_kind(Kind::Object, other)),
        }
    }

    /// An object whose member names are not repeated in errors, for they may be secrets.
    pub(super) fn object_of_secret(
        &self,
        known: &'static [&'static str],
        unknown: Problem,
    ) -> Option<Object<'c>> {
        let Document::Object(members) = self.value else {
            return None;
        };
        match members.iter().all(|(name, _)| known.contains(&name.as_str())) {
            true => Some(Object::new(self.clone(), Vec::new())),
            false => self.refuse(unknown),
        }
    }

    /// Reports the name of a member that is not of letters, digits and these marks.
    pub(super) fn check_name(&self, name: &str, longest: usize, marks: &'static str) -> Option<()> {
        let is_good = (1..=longest).contains(&name.len())
            && name
                .chars()
                .all(|character| character.is_ascii_alphanumeric() || marks.contains(character));
        match is_good {
            true => Some(()),
            false => self.refuse(ShapeProblem::Name { longest, marks }),
        }
    }

    fn check_size(&self, size: usize) -> Option<()> {
        match size > MAX_ENTRIES {
            true => self.refuse(ShapeProblem::TooMany(MAX_ENTRIES)),
            false => Some(()),
        }
    }
}

/// All values, if there is none that was refused. Unlike `collect`, it goes on after the first refusal, so that the
/// others are reported too.
pub(super) fn all<T>(values: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let mut complete = Some(Vec::new());
    for value in values {
        match (&mut complete, value) {
            (Some(values), Some(value)) => values.push(value),
            _ => complete = None,
        }
    }
    complete
}

/// Reads the entries of a list of texts, of which none may stand there twice.
pub(super) fn distinct<'c, T>(
    mut read: impl FnMut(&Node<'c>) -> Option<T>,
) -> impl FnMut(Node<'c>) -> Option<T> {
    let mut seen = Vec::new();
    let mut index = 0_usize;
    move |node| {
        let first = match node.value {
            Document::Text(text) => sorted::first(&mut seen, text.expose().as_str(), index),
            _ => index,
        };
        let is_first = first == index;
        index += 1;
        match is_first {
            true => read(&node),
            false => node.refuse(ShapeProblem::Repeated(first)),
        }
    }
}

/// Reads a text as it is.
pub(super) fn plain_text(node: &Node<'_>) -> Option<String> {
    node.text().map(str::to_owned)
}

/// Whether a member is there and no empty list.
pub(super) fn has_entries(object: &Document, name: &str) -> bool {
    object
        .member(name)
        .is_some_and(|value| !matches!(value, Document::List(entries) if entries.is_empty()))
}

fn wrong_kind(expected: Kind, found: &Document) -> ShapeProblem {
    ShapeProblem::WrongKind {
        expected,
        found: found.kind(),
    }
}

/// Ours: for rules, peers, keys and every other list. Bounds the work of a worker at load, and of a request that is
/// matched against every rule.
const MAX_ENTRIES: usize = 10_000;
