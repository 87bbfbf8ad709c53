//! Secrets on their way into the program and out of it.
//!
//! They come from the standard input, a file or a variable, never from an argument, which every process of the machine sees
//! and a shell keeps; new ones go into files that nobody else may read.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::cli::shown_path;
use peergate_filter::secret::Secret;

/// A secret that somebody wrote behind the command, where the parser of the command line would repeat it.
#[derive(clap::Args)]
pub(crate) struct Misplaced {
    #[arg(hide = true)]
    misplaced: Vec<OsString>,
}

impl Misplaced {
    /// Refuses it, without a word on what it is.
    pub(crate) const fn refuse(&self) -> Result<(), Trouble> {
        match self.misplaced.is_empty() {
            true => Ok(()),
            false => Err(Trouble::Argument),
        }
    }
}

/// The text of a file; without one, of the standard input.
pub(crate) fn from(file: Option<&Path>) -> Result<Secret<String>, Trouble> {
    match file {
        Some(file) => read(file),
        None => standard_input(),
    }
}

/// The text of the standard input, where it is no terminal.
pub(crate) fn standard_input() -> Result<Secret<String>, Trouble> {
    let mut input = io::stdin();
    if input.is_terminal() {
        return Err(Trouble::Terminal);
    }
    let mut bytes = Vec::new();
    let read = input.read_to_end(&mut bytes);
    read.map_err(|error| Trouble::File("the standard input".into(), error))?;
    utf8(bytes, Path::new("the standard input"))
}

/// The text of a file.
pub(crate) fn read(file: &Path) -> Result<Secret<String>, Trouble> {
    let bytes = fs::read(file).map_err(|error| Trouble::File(file.to_owned(), error))?;
    utf8(bytes, file)
}

fn utf8(bytes: Vec<u8>, file: &Path) -> Result<Secret<String>, Trouble> {
    String::from_utf8(bytes)
        .map(Secret::new)
        .map_err(|_| Trouble::NotText(file.to_owned()))
}

/// What editors and `echo` put behind a text is no part of it. `None` where nothing else is there.
pub(crate) fn without_line_end(text: &Secret<String>) -> Option<Secret<String>> {
    let text = text.expose();
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    match text.trim().is_empty() {
        true => None,
        false => Some(Secret::new(text.to_owned())),
    }
}

/// Writes a line into a new file that its owner alone may read.
pub(crate) fn write_private(file: &Path, text: &Secret<String>) -> Result<(), Trouble> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(file)
        .and_then(|mut opened| writeln!(opened, "{}", text.expose()))
        .map_err(|error| Trouble::File(file.to_owned(), error))
}

/// Bytes of the system's.
pub(crate) fn random<const N: usize>() -> Result<Secret<[u8; N]>, Trouble> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Trouble::Random)?;
    Ok(Secret::new(bytes))
}

/// Why a secret could not be read or kept. Nothing of it is repeated.
pub(crate) enum Trouble {
    Argument,
    Terminal,
    File(PathBuf, io::Error),
    NotText(PathBuf),
    Random,
}

impl Trouble {
    /// Whether the command was not given as it is meant.
    pub(crate) const fn is_usage(&self) -> bool {
        matches!(self, Self::Argument | Self::Terminal)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument => formatter.write_str(
                "a secret is not taken as an argument, which every process of this machine sees\n  help: pipe it in, or use \
                 `--from FILE`",
            ),
            Self::Terminal => formatter.write_str(
                "the secret is read from the standard input, where the terminal would show it: pipe it in, or use `--from FILE`",
            ),
            Self::File(file, error) => {
                write!(formatter, "{}: {error}", shown_path(file))?;
                // What stands there may be the one copy of a key.
                match error.kind() == io::ErrorKind::AlreadyExists {
                    true => formatter.write_str("\n  help: it is not overwritten: name another file, or move this one away"),
                    false => Ok(()),
                }
            }
            Self::NotText(file) => write!(formatter, "{}: is not UTF-8", shown_path(file)),
            Self::Random => formatter.write_str("the system gives no random bytes"),
        }
    }
}
