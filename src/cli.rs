//! The command line. Results go to the standard output, everything else to the standard error.

mod check;
mod policy_file;
mod report;
mod seal;
mod surroundings;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Reads the arguments and does what they say.
pub(crate) fn run() -> ExitCode {
    match Arguments::parse().command {
        Command::Check(arguments) => check::check(&arguments),
        Command::Seal(arguments) => seal::seal(&arguments),
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
    /// Seals a secret, so that it can stand in a policy that everybody may read; or makes a key to seal to.
    Seal(seal::Arguments),
}

/// Writes a line. Where nobody reads, there is nobody to tell.
fn say(stream: &mut dyn Write, line: &str) {
    let _ = writeln!(stream, "{line}");
}

/// As `clap` exits for arguments that it refuses.
const USAGE: u8 = 2;
