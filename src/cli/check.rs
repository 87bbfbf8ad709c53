//! `peergate check FILE`: would a proxy take this policy?
//!
//! It reads what the filter would read, with the same code, only that the file may be YAML. Of a policy that is good it
//! says what its author may not have meant. It starts no proxy and fetches nothing.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use peergate_filter::advice::{self, Hint};
use peergate_filter::config::{self, Document, Environment, Errors, Loaded, MAX_DEPTH};
use peergate_filter::json;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Error as YamlError, UserMessageFormatter};

use super::{USAGE, say};

/// What `check` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The policy, as YAML or JSON
    file: PathBuf,
    /// A variable of the proxy's environment, in place of this process's own; may be repeated
    // A text, for the parser of the command line repeats what it refuses, and values are secrets.
    #[arg(long = "env", value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// The workload that the proxy stands at: `${WORKLOAD}`
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,
    /// The namespace of that workload: `${NAMESPACE}`
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Leave sealed secrets sealed: for machines that must not have the key, such as those of CI
    #[arg(long)]
    without_unsealing_key: bool,
    /// Fail if there is a hint
    #[arg(long)]
    deny_hints: bool,
}

/// Checks a policy: `ok` on the standard output and 0, or what is wrong on the standard error and 1.
pub(crate) fn check(arguments: &Arguments) -> ExitCode {
    let Some(environment) = environment(arguments) else {
        say(&mut io::stderr(), "error: `--env` takes NAME=VALUE");
        return ExitCode::from(USAGE);
    };
    let document = match read(&arguments.file) {
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
            report_warnings(&loaded);
            let hints = advice::hints(&loaded.policy, &document, &environment);
            report_hints(&loaded, &hints);
            if arguments.deny_hints && !hints.is_empty() {
                report_count(hints.len(), "hint");
                return ExitCode::FAILURE;
            }
            say(&mut io::stdout(), "ok");
            ExitCode::SUCCESS
        }
        Err(errors) => {
            report_errors(&errors);
            ExitCode::FAILURE
        }
    }
}

fn report_warnings(loaded: &Loaded) {
    for warning in &loaded.warnings {
        let line = loaded.redactor.clean(format!("warning: {warning}"));
        say(&mut io::stderr(), line.as_str());
    }
}

fn report_hints(loaded: &Loaded, hints: &[Hint]) {
    for hint in hints {
        let help = hint.help().map(|help| format!("  help: {help}"));
        for line in [Some(format!("hint: {hint}")), help].into_iter().flatten() {
            say(&mut io::stderr(), loaded.redactor.clean(line).as_str());
        }
    }
}

fn report_errors(errors: &Errors) {
    for line in errors.lines() {
        let kind = if line.as_str().starts_with("  help: ") {
            ""
        } else {
            "error: "
        };
        say(&mut io::stderr(), &format!("{kind}{line}"));
    }
    report_count(errors.iter().len(), "error");
}

fn report_count(count: usize, noun: &str) {
    let ending = if count == 1 { "" } else { "s" };
    say(&mut io::stderr(), &format!("{count} {noun}{ending}"));
}

/// This process's environment, with what the arguments say put over it.
#[expect(
    clippy::disallowed_methods,
    reason = "the program is the boundary here: it stands in for the proxy's environment"
)]
fn environment(arguments: &Arguments) -> Option<Environment> {
    let own = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut environment = Environment {
        variables: own.collect(),
        workload: arguments.workload.clone(),
        namespace: arguments.namespace.clone(),
    };
    for variable in &arguments.variables {
        let (name, value) = variable.split_once('=')?;
        environment.variables.insert(name.to_owned(), value.to_owned());
    }
    Some(environment)
}

fn read(file: &Path) -> Result<Document, ReadError> {
    let bytes = fs::read(file).map_err(ReadError::File)?;
    let is_json = file
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let document = match is_json {
        true => Document::from_json(&bytes).map_err(ReadError::Json)?,
        false => yaml(&bytes)?,
    };
    if document.member("static_resources").is_some() {
        return Err(ReadError::EnvoyBootstrap);
    }
    if document.member("apiVersion").is_some() && document.member("kind").is_some() {
        return Err(ReadError::KubernetesResource);
    }
    Ok(document)
}

/// YAML as all readers of it understand it: without members that stand twice, and without `<<` and `yes`, of which
/// Envoy makes something else than Kubernetes does.
fn yaml(bytes: &[u8]) -> Result<Document, ReadError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        // A snippet of the file would show the secrets in it.
        with_snippet: false,
    };
    serde_saphyr::from_slice_with_options(bytes, options).map_err(|error| ReadError::Yaml(Box::new(error)))
}

/// Why there is no policy in a file.
enum ReadError {
    File(io::Error),
    Json(json::Error),
    Yaml(Box<YamlError>),
    EnvoyBootstrap,
    KubernetesResource,
}

impl fmt::Display for ReadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => write!(formatter, "cannot be read: {error}"),
            Self::Json(error) => write!(formatter, "is not accepted as JSON: {error}"),
            Self::Yaml(error) => {
                write!(formatter, "is not accepted as YAML: {}", error.render_with_formatter(&UserMessageFormatter))
            }
            Self::EnvoyBootstrap => formatter.write_str(
                "is a configuration of Envoy\n  help: give the policy itself, which stands there as the \
                 `configuration` of the wasm filter",
            ),
            Self::KubernetesResource => formatter.write_str(
                "is a Kubernetes resource\n  help: give the policy itself, which stands there as `pluginConfig`",
            ),
        }
    }
}
