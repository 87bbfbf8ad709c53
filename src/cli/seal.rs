//! `peergate seal`: makes what stands in a policy as `{sealed: …}` or `sealed_env`, and the keys for it.
//!
//! A secret is read from the standard input or a file, never from an argument, which every process of the machine sees
//! and a shell keeps.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use peergate_filter::json;
use peergate_filter::sealed::{KeyPair, Recipient, SealError, UNSEALING_KEY, UnsealingKeyError};
use peergate_filter::secret::Secret;
use serde_json::{Map, Value};

use super::secrets::{self, Misplaced, Trouble};
use super::{finish, say};
use crate::cli::shown_path;

/// What `seal` takes.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The public key to seal to: a file with a JWK, or the JWK itself
    #[arg(
        long,
        value_name = "JWK",
        required_unless_present = "new_key",
        conflicts_with = "new_key"
    )]
    key: Option<String>,
    /// Seal the content of this file, in place of the standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["new_key", "variables"])]
    from: Option<PathBuf>,
    /// Make a `sealed_env` of the variables in this file, lines of NAME=VALUE or a JSON object; `-` is the standard input
    #[arg(long, value_name = "FILE", conflicts_with = "new_key")]
    variables: Option<PathBuf>,
    /// Make a key: the private half goes into this file, which must not be there, the public one to the standard output
    #[arg(long, value_name = "FILE")]
    new_key: Option<PathBuf>,
    /// Write the keys of this file behind the new one, so that what was sealed to them is still opened
    #[arg(long, value_name = "FILE", requires = "new_key", conflicts_with = "key")]
    keep: Option<PathBuf>,
    #[command(flatten)]
    misplaced: Misplaced,
}

/// Seals, or makes a key: the result on the standard output and 0, or what is wrong on the standard error and 1.
pub(crate) fn seal(arguments: &Arguments) -> ExitCode {
    finish(sealed_or_made(arguments))
}

fn sealed_or_made(arguments: &Arguments) -> Result<String, Failure> {
    arguments.misplaced.refuse()?;
    match (&arguments.new_key, &arguments.key) {
        (Some(file), _) => new_key(file, arguments.keep.as_deref()),
        (None, Some(key)) => sealed(arguments, key),
        // The parser of the command line has seen to it.
        (None, None) => Err(Failure::Usage("`--key` or `--new-key` is required")),
    }
}

fn sealed(arguments: &Arguments, key: &str) -> Result<String, Failure> {
    let recipient = match key.trim_start().starts_with('{') {
        true => Recipient::parse(key),
        false => Recipient::parse(secrets::read(Path::new(key))?.expose()),
    };
    let recipient = recipient.map_err(Failure::Key)?;
    let text = match (&arguments.variables, &arguments.from) {
        (Some(file), _) if file.as_os_str() == "-" => variables(&secrets::standard_input()?)?,
        (Some(file), _) => variables(&secrets::read(file)?)?,
        (None, file) => secrets::without_line_end(&secrets::from(file.as_deref())?).ok_or(Failure::Empty)?,
    };
    loop {
        let (key, nonce) = (secrets::random()?, *secrets::random()?.expose());
        match recipient.seal(text.expose(), &key, nonce) {
            Err(SealError::Unlucky) => {}
            sealed => return sealed.map_err(Failure::Seal),
        }
    }
}

/// Writes a new private key; the public one.
fn new_key(file: &Path, keep: Option<&Path>) -> Result<String, Failure> {
    let pair = loop {
        match KeyPair::new(&secrets::random()?) {
            Err(SealError::Unlucky) => {}
            pair => break pair.map_err(Failure::Seal)?,
        }
    };
    let private = match keep {
        Some(old) => pair.before(secrets::read(old)?.expose()).map_err(Failure::Key)?,
        None => pair.private.clone(),
    };
    secrets::write_private(file, &private)?;
    say(
        &mut io::stderr(),
        &format!(
            "private key written to {}: the proxy needs what is in it as variable {UNSEALING_KEY}\n\
             public key, for `peergate seal --key`:",
            shown_path(file)
        ),
    );
    Ok(pair.public)
}

/// The variables in a file, as one JSON object.
fn variables(text: &Secret<String>) -> Result<Secret<String>, Failure> {
    let text = text.expose();
    let object = match text.trim_start().starts_with('{') {
        true => json::object(text.as_bytes(), 1).map_err(|_| Failure::VariablesJson)?,
        false => lines(text)?,
    };
    if object.is_empty() {
        return Err(Failure::Empty);
    }
    let is_good = |(name, value): (&String, &Value)| {
        is_variable_name(name) && value.as_str().is_some_and(|value| !value.trim().is_empty())
    };
    match object.iter().all(is_good) {
        true => Ok(Secret::new(Value::Object(object).to_string())),
        false => Err(Failure::VariablesJson),
    }
}

/// `NAME=VALUE`, of which no tool makes something else.
fn lines(text: &str) -> Result<Map<String, Value>, Failure> {
    let mut object = Map::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let number = index.saturating_add(1);
        let (name, value) = line.split_once('=').ok_or(Failure::Line(number))?;
        if !is_variable_name(name) || value.trim().is_empty() {
            return Err(Failure::Line(number));
        }
        if value.starts_with(['"', '\'']) || value.trim() != value {
            return Err(Failure::Quotes(number));
        }
        if object.insert(name.to_owned(), Value::from(value)).is_some() {
            return Err(Failure::Twice(number));
        }
    }
    Ok(object)
}

fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Why nothing was made. Nothing of a secret is repeated.
enum Failure {
    Usage(&'static str),
    Trouble(Trouble),
    Key(UnsealingKeyError),
    Seal(SealError),
    Empty,
    VariablesJson,
    Line(usize),
    Quotes(usize),
    Twice(usize),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl super::Failure for Failure {
    fn is_usage(&self) -> bool {
        match self {
            Self::Usage(_) => true,
            Self::Trouble(trouble) => trouble.is_usage(),
            Self::Key(_)
            | Self::Seal(_)
            | Self::Empty
            | Self::VariablesJson
            | Self::Line(_)
            | Self::Quotes(_)
            | Self::Twice(_) => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => formatter.write_str(text),
            Self::Trouble(trouble) => trouble.fmt(formatter),
            Self::Key(error) => write!(
                formatter,
                "key: {error}\n  help: `peergate seal --new-key FILE` makes one"
            ),
            Self::Seal(error) => write!(formatter, "secret {error}"),
            Self::Empty => formatter.write_str("there is nothing to seal"),
            Self::VariablesJson => {
                formatter.write_str("variables: is no JSON object of names of variables and texts")
            }
            Self::Line(line) => write!(formatter, "variables: line {line} is not NAME=VALUE"),
            Self::Quotes(line) => write!(
                formatter,
                "variables: line {line} has a quote or white space around its value\n  help: leave it away, or write a \
                 JSON object where it belongs to the value"
            ),
            Self::Twice(line) => write!(formatter, "variables: line {line} names a variable again"),
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  Once, a key: the private half is for proxies, the public one for all:
    peergate seal --new-key unsealing.jwk > sealing.jwk
  One secret:
    printf %s \"$API_KEY\" | peergate seal --key sealing.jwk
  All variables of a policy at once, for its `sealed_env`:
    peergate seal --key sealing.jwk --variables secrets.env";
