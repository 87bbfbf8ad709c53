//! `peergate check FILE`: would a proxy take this policy?
//!
//! It reads what the filter would read, with the same code, only that the file may be YAML. Of a policy that is good it
//! says what its author may not have meant. It starts no proxy and fetches nothing.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use peergate_filter::{advice, config};

use super::surroundings::Surroundings;
use super::{USAGE, policy_file, report, say};

/// What `check` takes.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The policy, as YAML or JSON
    file: PathBuf,
    #[command(flatten)]
    surroundings: Surroundings,
    /// Leave sealed secrets sealed: for machines that must not have the key, such as those of CI
    #[arg(long)]
    without_unsealing_key: bool,
    /// Fail if there is a hint
    #[arg(long)]
    deny_hints: bool,
}

/// Checks a policy: `ok` on the standard output and 0, or what is wrong on the standard error and 1.
pub(crate) fn check(arguments: &Arguments) -> ExitCode {
    let Some(environment) = arguments.surroundings.environment() else {
        say(&mut io::stderr(), "error: `--env` takes NAME=VALUE");
        return ExitCode::from(USAGE);
    };
    let document = match policy_file::read(&arguments.file) {
        Ok(document) => document,
        Err(error) => {
            say(
                &mut io::stderr(),
                &format!("error: {}: {error}", arguments.file.display()),
            );
            return ExitCode::FAILURE;
        }
    };
    let load = match arguments.without_unsealing_key {
        true => config::load_unopened,
        false => config::load,
    };
    match load(&document, &environment) {
        Ok(loaded) => {
            report::warnings(&loaded);
            let hints = advice::hints(&loaded.policy, &document, &environment);
            report::hints(&loaded, &hints);
            if arguments.deny_hints && !hints.is_empty() {
                report::count(hints.len(), "hint");
                return ExitCode::FAILURE;
            }
            say(&mut io::stdout(), "ok");
            ExitCode::SUCCESS
        }
        Err(errors) => {
            report::errors(&errors);
            ExitCode::FAILURE
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  With the variables of this environment, as the proxy has them:
    peergate check policy.yaml
  In CI, where the key of sealed secrets must not be:
    peergate check policy.yaml --without-unsealing-key --deny-hints
  For another place:
    peergate check policy.yaml --env KEY=trial --workload charlie";
