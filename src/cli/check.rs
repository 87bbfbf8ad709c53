//! `peergate check FILE`: would a proxy take this policy? With `--envoy FILE`: has that Envoy what the policy names?
//!
//! It reads what the filter would read, with the same code, only that the file may be YAML. Of a policy that is good it
//! says what its author may not have meant. It starts no proxy and fetches nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use peergate_filter::config::{Document, Environment};
use peergate_filter::envoy_check::EnvoyFile;
use peergate_filter::render::Subject;
use peergate_filter::{advice, config, envoy_check};

use super::surroundings::Surroundings;
use super::{USAGE, policy_file, report, say};
use crate::cli::shown_path;

/// What `check` takes.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The policy, as YAML or JSON
    #[arg(required_unless_present = "envoy")]
    file: Option<PathBuf>,
    /// An Envoy file: has it the clusters and variables that the policy names? Without a policy, those in it are checked
    #[arg(long, value_name = "FILE")]
    envoy: Option<PathBuf>,
    #[command(flatten)]
    surroundings: Surroundings,
    /// Leave sealed secrets sealed: for machines that must not have the key, such as those of CI
    #[arg(long)]
    without_unsealing_key: bool,
    /// Without this process's variables: one that `--env` does not set is no fault. For machines that have no secrets
    #[arg(long)]
    without_environment: bool,
    /// Fail if there is a hint
    #[arg(long)]
    deny_hints: bool,
}

/// Checks a policy: `ok` on the standard output and 0, or what is wrong on the standard error and 1.
pub(crate) fn check(arguments: &Arguments) -> ExitCode {
    let environment = match arguments.without_environment {
        true => arguments.surroundings.environment_alone(),
        false => arguments.surroundings.environment(),
    };
    let Some(environment) = environment else {
        say(&mut io::stderr(), "error: `--env` takes NAME=VALUE");
        return ExitCode::from(USAGE);
    };
    let document = match &arguments.file {
        Some(file) => match policy_file::read(file) {
            Ok(document) => Some(document),
            Err(error) => return unreadable(file, &error),
        },
        None => None,
    };
    let checked = match &document {
        Some(document) => policy(arguments, document, &environment),
        None => Ok(0),
    };
    let surrounded = match &arguments.envoy {
        Some(file) => match policy_file::read_envoy(file) {
            Ok(envoy) => surroundings(&envoy, document.as_ref()),
            Err(error) => return unreadable(file, &error),
        },
        None => Ok(0),
    };
    match (checked, surrounded) {
        (Ok(hints), Ok(more)) if arguments.deny_hints && hints + more > 0 => {
            report::count(hints + more, "hint");
            ExitCode::FAILURE
        }
        (Ok(_), Ok(_)) => {
            say(&mut io::stdout(), "ok");
            ExitCode::SUCCESS
        }
        (Err(Faulty), _) | (_, Err(Faulty)) => ExitCode::FAILURE,
    }
}

/// What is wrong was said.
struct Faulty;

/// The policy itself; how many hints there are.
fn policy(arguments: &Arguments, document: &Document, environment: &Environment) -> Result<usize, Faulty> {
    let loaded = match (arguments.without_environment, arguments.without_unsealing_key) {
        (true, _) => Subject::new(document, environment).map(|subject| subject.loaded),
        (false, true) => config::load_unopened(document, environment),
        (false, false) => config::load(document, environment),
    };
    match loaded {
        Ok(loaded) => {
            match arguments.without_environment {
                true => report::warnings_but_of_missing_secrets(&loaded),
                false => report::warnings(&loaded),
            }
            let hints = advice::hints(&loaded.policy, document, environment);
            report::hints(&loaded, &hints);
            Ok(hints.len())
        }
        Err(errors) => {
            report::errors(&errors);
            Err(Faulty)
        }
    }
}

/// What an Envoy file has for the policy, else for those in it; how many hints there are.
fn surroundings(envoy: &EnvoyFile, document: Option<&Document>) -> Result<usize, Faulty> {
    let findings = match document.map(|document| Subject::new(document, &Environment::default())) {
        Some(Ok(subject)) => envoy_check::check(envoy, Some(&subject)),
        // It has faults besides, which were said.
        Some(Err(_)) => return Err(Faulty),
        None => envoy_check::check(envoy, None),
    };
    for finding in &findings {
        let kind = if finding.problem.is_error() {
            "error"
        } else {
            "hint"
        };
        say(&mut io::stderr(), &format!("{kind}: {finding}"));
        if let Some(help) = finding.problem.help() {
            say(&mut io::stderr(), &format!("  help: {help}"));
        }
    }
    let errors = findings
        .iter()
        .filter(|finding| finding.problem.is_error())
        .count();
    match errors {
        0 => Ok(findings.len()),
        errors => {
            report::count(errors, "error");
            Err(Faulty)
        }
    }
}

fn unreadable(file: &Path, error: &policy_file::ReadError) -> ExitCode {
    say(
        &mut io::stderr(),
        &format!("error: {}: {error}", shown_path(file)),
    );
    ExitCode::FAILURE
}

const EXAMPLES: &str = "\
Examples:
  With the variables of this environment, as the proxy has them:
    peergate check policy.yaml
  In CI, where the key of sealed secrets must not be:
    peergate check policy.yaml --without-unsealing-key --deny-hints
  Where no variable of the proxy is set:
    peergate check policy.yaml --without-environment --deny-hints
  For another place:
    peergate check policy.yaml --env KEY=trial --workload charlie
  With the Envoy file that it is for, or the policies in that file:
    peergate check policy.yaml --envoy envoy.yaml
    peergate check --envoy envoy.yaml";
