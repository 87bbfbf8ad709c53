//! A problem with its place, and all of them together.

use std::fmt;

use crate::config::path::Path;
use crate::config::problem::Problem;
use crate::redact::{Clean, Redactor};

/// One thing that is wrong, and where. Prints as one line, `path: problem`.
#[derive(Debug, Clone, PartialEq)]
pub struct Error {
    path: String,
    problem: Problem,
}

impl Error {
    pub(in crate::config) fn new(path: &Path<'_>, problem: impl Into<Problem>) -> Self {
        Self {
            path: path.to_string(),
            problem: problem.into(),
        }
    }

    pub(in crate::config) fn at_root(problem: impl Into<Problem>) -> Self {
        Self::new(&Path::root(), problem)
    }

    /// Where: `inbound.rules[2].match.paths[0]`, or `configuration` for all of it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What.
    pub const fn problem(&self) -> &Problem {
        &self.problem
    }

    /// What to do about it, where that is not plain.
    pub fn help(&self) -> Option<String> {
        self.problem.help()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: {}",
            self.path,
            on_one_line(&self.problem.to_string())
        )
    }
}

impl std::error::Error for Error {}

/// Everything that is wrong with a configuration, in the order of the document; at least one thing is.
///
/// Prints each as a line, with a line `  help: …` below where there is help.
#[derive(Debug, Clone)]
pub struct Errors {
    errors: Vec<Error>,
    redactor: Redactor,
}

impl Errors {
    /// `None` if nothing is wrong. The redactor knows the secrets that were read.
    pub(in crate::config) fn new(errors: Vec<Error>, redactor: &Redactor) -> Option<Self> {
        (!errors.is_empty()).then(|| Self {
            errors,
            redactor: redactor.clone(),
        })
    }

    /// All of it as one text to print, behind a heading.
    pub fn report(&self, heading: &str) -> Clean {
        self.redactor.clean(format!("{heading}{self}"))
    }

    /// All of it as lines to print.
    pub fn lines(&self) -> Vec<Clean> {
        let lines = |error: &Error| {
            let help = error.help().map(|help| format!("  help: {}", on_one_line(&help)));
            [Some(error.to_string()), help].into_iter().flatten()
        };
        let lines = self.errors.iter().flat_map(lines);
        lines.map(|line| self.redactor.clean(line)).collect()
    }

    /// One after the other.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Error> {
        self.errors.iter()
    }
}

impl From<Error> for Errors {
    fn from(error: Error) -> Self {
        Self {
            errors: vec![error],
            redactor: Redactor::default(),
        }
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.lines().iter().enumerate() {
            let separator = if index > 0 { "\n" } else { "" };
            write!(formatter, "{separator}{line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// What the configuration holds is repeated in errors; a line break in it must not begin a line of its own.
fn on_one_line(text: &str) -> String {
    let escaped = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    text.chars().map(escaped).collect()
}
