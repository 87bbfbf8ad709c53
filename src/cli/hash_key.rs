//! `peergate hash-key`: the digest of an API key or a static token, as a policy takes it in place of the key.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use peergate_filter::enrolment::{self, KeyError};
use peergate_filter::secret::Secret;

use super::secrets::{self, Misplaced, Trouble};
use super::{Failure, finish, say};
use crate::cli::shown_path;

/// What `hash-key` takes.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Read the key from this file, in place of the standard input
    #[arg(long, value_name = "FILE", conflicts_with = "new")]
    from: Option<PathBuf>,
    /// Make a new key: it is shown once, on the standard error, and its digest goes to the standard output
    #[arg(long)]
    new: bool,
    /// Write the new key into this file, which must not be there, and show it nowhere
    #[arg(long, value_name = "FILE", requires = "new")]
    out: Option<PathBuf>,
    /// What the new key begins with: people, and scanners of sources, know by it what it is
    #[arg(long, value_name = "TEXT", default_value = "pgk_", requires = "new")]
    prefix: String,
    /// Take a key that can be guessed, of fewer than 16 bytes
    #[arg(long, conflicts_with = "new")]
    insecure_allow_short: bool,
    #[command(flatten)]
    misplaced: Misplaced,
}

/// Prints `{"sha256": "…"}`, which YAML and JSON read alike.
pub(crate) fn hash_key(arguments: &Arguments) -> ExitCode {
    finish(match (arguments.misplaced.refuse(), arguments.new) {
        (Err(trouble), _) => Err(Refused::Trouble(trouble)),
        (Ok(()), true) => made(arguments),
        (Ok(()), false) => given(arguments),
    })
}

fn given(arguments: &Arguments) -> Result<String, Refused> {
    let text = secrets::from(arguments.from.as_deref()).map_err(Refused::Trouble)?;
    let key = secrets::without_line_end(&text).ok_or(Refused::Empty)?;
    member(&key, arguments.insecure_allow_short)
}

fn made(arguments: &Arguments) -> Result<String, Refused> {
    let random = secrets::random().map_err(Refused::Trouble)?;
    let key = enrolment::new_key(&arguments.prefix, &random).map_err(Refused::Key)?;
    let member = member(&key, false)?;
    match &arguments.out {
        Some(file) => {
            secrets::write_private(file, &key).map_err(Refused::Trouble)?;
            say(&mut io::stderr(), &format!("key written to {}", shown_path(file)));
        }
        None => {
            // Made to be handed on, and nowhere else to be had: this once it is shown.
            let shown = format!("key, which is not shown again: {}", key.expose());
            say(&mut io::stderr(), &shown);
        }
    }
    Ok(member)
}

fn member(key: &Secret<String>, may_be_short: bool) -> Result<String, Refused> {
    let digest = enrolment::digest(key, may_be_short).map_err(Refused::Key)?;
    Ok(format!(r#"{{"sha256": "{}"}}"#, digest.to_hex()))
}

/// Why there is no digest. Nothing of a key is repeated.
enum Refused {
    Trouble(Trouble),
    Empty,
    Key(KeyError),
}

impl Failure for Refused {
    fn is_usage(&self) -> bool {
        match self {
            Self::Trouble(trouble) => trouble.is_usage(),
            Self::Key(KeyError::Prefix) => true,
            Self::Key(_) | Self::Empty => false,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trouble(trouble) => trouble.fmt(formatter),
            Self::Empty => formatter.write_str("key is empty"),
            Self::Key(error) => match error.help() {
                Some(help) => write!(formatter, "{error}\n  help: {help}"),
                None => error.fmt(formatter),
            },
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  Of a key that is in a variable:
    printf %s \"$API_KEY\" | peergate hash-key
  A new one, for its owner alone to read:
    peergate hash-key --new --out mrpink.key

What is printed stands in a policy as an entry of `api_keys` or
`bearer_tokens` of a peer.";
