//! The command line. Results go to the standard output, everything else to the standard error.

mod check;
mod clock;
mod explain;
mod hash_key;
mod loaded;
mod policy_file;
mod render;
mod report;
mod seal;
mod secrets;
mod surroundings;
mod token;
mod totp;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Reads the arguments and does what they say.
pub(crate) fn run() -> ExitCode {
    match Arguments::parse().command {
        Command::Check(arguments) => check::check(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::HashKey(arguments) => hash_key::hash_key(&arguments),
        Command::Render(arguments) => render::render(&arguments),
        Command::Seal(arguments) => seal::seal(&arguments),
        Command::Token(arguments) => token::token(&arguments),
        Command::Totp(arguments) => totp::totp(&arguments),
    }
}

/// Authentication for a mesh of AI agents, as one filter for Envoy and Istio.
#[derive(Parser)]
#[command(name = "peergate", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Reports everything that is wrong with a policy; exits with 0 if nothing is, else with 1.
    Check(check::Arguments),
    /// Says what would become of a request and why, step by step; exits with 0 if it goes on, with 3 if it is refused, and with
    /// 4 if it waits for a server that is not asked here.
    Explain(explain::Arguments),
    /// Prints the digest of an API key or a static token, which a policy takes in its place; or makes a key
    HashKey(hash_key::Arguments),
    /// Makes of a policy what a proxy is given: an Envoy file, or manifests for Istio.
    Render(render::Arguments),
    /// Seals a secret, so that it can stand in a policy that everybody may read; or makes a key to seal to.
    Seal(seal::Arguments),
    /// Mints tokens for tests with a key that you have, makes such keys, and shows what a token says; it is no identity provider
    Token(token::Arguments),
    /// Makes seeds and codes of the second factor, and says what is wrong with a code
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
        Ok(result) => {
            if !result.is_empty() {
                say(&mut io::stdout(), &result);
            }
            ExitCode::SUCCESS
        }
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

/// Writes a line. Where nobody reads, there is nobody to tell.
fn say(stream: &mut dyn Write, line: &str) {
    let _ = writeln!(stream, "{line}");
}

/// As `clap` exits for arguments that it refuses.
const USAGE: u8 = 2;
