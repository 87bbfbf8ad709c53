//! The command line. Results go to the standard output, everything else to the standard error.

mod check;
mod clock;
mod completions;
mod convert;
mod explain;
mod hash_key;
mod kubernetes;
mod loaded;
mod man;
mod policy_file;
mod render;
mod report;
mod role;
mod schema;
mod seal;
mod secrets;
mod surroundings;
mod token;
mod totp;

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::error::ContextValue;
use clap::{CommandFactory as _, Parser, Subcommand};
use peergate_filter::visible::visible;

/// Reads the arguments and does what they say.
pub(crate) fn run() -> ExitCode {
    match arguments().command {
        Command::Check(arguments) => check::check(&arguments),
        Command::Completions(arguments) => completions::completions(&arguments),
        Command::Convert(arguments) => convert::convert(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::HashKey(arguments) => hash_key::hash_key(&arguments),
        Command::Man(arguments) => man::man(&arguments),
        Command::Render(arguments) => render::render(&arguments),
        Command::Schema(arguments) => schema::schema(&arguments),
        Command::Seal(arguments) => seal::seal(&arguments),
        Command::Token(arguments) => token::token(&arguments),
        Command::Totp(arguments) => totp::totp(&arguments),
    }
}

/// The arguments. Where they are no good, `clap` says so and exits; of what was typed it prints nothing that nobody sees.
fn arguments() -> Arguments {
    Arguments::try_parse().unwrap_or_else(|mut error| {
        let texts: Vec<_> = error
            .context()
            .filter_map(|(kind, value)| match value {
                ContextValue::String(text) => Some((kind, visible(text))),
                _ => None,
            })
            .collect();
        for (kind, text) in texts {
            error.insert(kind, ContextValue::String(text));
        }
        error.exit()
    })
}

/// Authentication for a mesh of AI agents, as one filter for Envoy and Istio.
#[derive(Parser)]
#[command(name = "peergate", version, propagate_version = true, after_long_help = CONVENTIONS)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check a policy: every fault at once, or hints on one that is good
    Check(check::Arguments),
    /// Print what a shell completes commands and arguments with
    Completions(completions::Arguments),
    /// Make a policy of Envoy's `jwt_authn`, or of Istio's RequestAuthentication
    ///
    /// The exit status is 0 if all was carried over, and 3 if something was not, which is said; nothing is let in that was not.
    Convert(convert::Arguments),
    /// Explain what would become of a request and why, step by step
    ///
    /// The exit status is 0 if the request goes on, 3 if it is refused, and 4 if it waits for a server that is not asked here.
    Explain(explain::Arguments),
    /// Hash an API key or a static token for a policy, or make one
    ///
    /// A policy needs the digest of a key that callers bring, and not the key.
    HashKey(hash_key::Arguments),
    /// Print a manual page, or write all of them into a folder
    Man(man::Arguments),
    /// Make of a policy what a proxy is given: an Envoy file, or manifests for Istio
    Render(render::Arguments),
    /// Print the JSON Schema of a policy, with which editors complete, explain and check
    Schema(schema::Arguments),
    /// Seal a secret for a policy that everybody may read, or make a key to seal to
    Seal(seal::Arguments),
    /// Mint tokens for tests, make keys for them, and show what a token says
    ///
    /// It is no identity provider: it authenticates nobody, and says of a caller whatever it is told to.
    Token(token::Arguments),
    /// Make seeds and codes of the second factor, and see what is wrong with a code
    ///
    /// It does what a client does (RFC 6238). What a proxy remembers of codes, it does not know.
    Totp(totp::Arguments),
}

/// Why a command gave no result. It prints as what stands behind `error: `, with its help on a line of its own.
trait Failure: fmt::Display {
    /// Whether the command was not given as it is meant: `clap` cannot know everything.
    fn is_usage(&self) -> bool;

    /// Whether everything was said already.
    fn is_reported(&self) -> bool {
        false
    }
}

/// The result on the standard output and 0, or what is wrong on the standard error and 1 or [`USAGE`].
fn finish(done: Result<String, impl Failure>) -> ExitCode {
    match done {
        Ok(result) if result.is_empty() => ExitCode::SUCCESS,
        Ok(result) => print(&format!("{result}\n")),
        Err(failure) => {
            if !failure.is_reported() {
                say(&mut io::stderr(), &format!("error: {failure}"));
            }
            match failure.is_usage() {
                true => ExitCode::from(USAGE),
                false => ExitCode::FAILURE,
            }
        }
    }
}

/// The command line itself, for what is made of it.
fn command() -> clap::Command {
    Arguments::command()
}

/// Writes the result to the standard output. A disk that is full is a failure; where nobody reads, there is nobody to tell.
fn print(result: &str) -> ExitCode {
    let mut output = io::stdout().lock();
    let written = output.write_all(result.as_bytes()).and_then(|()| output.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            say(&mut io::stderr(), &format!("error: the standard output: {error}"));
            ExitCode::FAILURE
        }
        Ok(()) | Err(_) => ExitCode::SUCCESS,
    }
}

/// Writes a text, as lines; what nobody sees in them is spelt out. Where nobody reads, there is nobody to tell.
fn say(stream: &mut dyn Write, text: &str) {
    for line in text.split('\n') {
        let _ = writeln!(stream, "{}", visible(line));
    }
}

/// A path as it may be printed: within its line, whatever it is called.
fn shown_path(path: &Path) -> String {
    visible(&path.display().to_string())
}

/// As `clap` exits for arguments that it refuses.
const USAGE: u8 = 2;

const CONVENTIONS: &str = "\
Results go to the standard output, all else to the standard error.
Secrets come from files, variables and the standard input. Arguments hold
none, but for `--env NAME=VALUE`, which is for trials.

Exit status:
  0  done; a policy is good
  1  something is wrong, and was said
  2  the command was not given as it is meant
  3  `explain`: the request is refused
     `convert`: something was not carried over, and is refused now
  4  `explain`: it waits for a server, which is not asked here

Examples:
  peergate check policy.yaml
  peergate help totp code";
