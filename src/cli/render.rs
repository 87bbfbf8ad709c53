//! `peergate render`: from a policy to what a proxy is given.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use peergate_filter::config::Environment;
use peergate_filter::render::{self, Address, Addresses, EnvoyOptions, RenderError, Subject};

use super::role::RoleArgument;
use super::{USAGE, policy_file, report, say};

/// What `render` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    form: Form,
}

#[derive(clap::Subcommand)]
enum Form {
    /// An Envoy file that runs as it is: listeners, clusters, the filter with the policy in it
    Envoy(Box<Envoy>),
}

/// The policy, and what every form takes.
#[derive(clap::Args)]
struct Policy {
    /// The policy, as YAML or JSON
    file: PathBuf,
    /// A variable that a text of the policy names (`${NAME}`), for what is to be seen of it here; may be repeated
    #[arg(long = "env", value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// Render secrets that are written down in the policy, for trials: every reader of the output has them
    #[arg(long)]
    insecure_inline_secrets: bool,
}

#[derive(clap::Args)]
struct Envoy {
    #[command(flatten)]
    policy: Policy,
    /// Nothing but the HTTP filter, for a listener or a cluster of your own
    #[arg(long)]
    filter_only: bool,
    /// Where the filter stands, if the policy leaves that to the place [default: a sidecar, inbound and outbound as the
    /// policy has them]
    #[arg(long, value_name = "ROLE")]
    role: Option<RoleArgument>,
    /// The file of the module, as Envoy finds it
    #[arg(long, value_name = "FILE", default_value = "target/peergate.wasm")]
    module: String,
    /// The workload that callers call
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9000", value_parser = host_and_port)]
    agent: Address,
    /// The first port, of callers; calls out and the administration have the two behind it
    #[arg(long, value_name = "PORT", default_value_t = 10000, value_parser = clap::value_parser!(u16).range(1..=65533))]
    port: u16,
    /// Where a cluster leads: `--cluster api=https://api.example`; may be repeated
    #[arg(long = "cluster", value_name = "NAME=URL", value_parser = cluster)]
    clusters: Vec<(String, Address)>,
    /// The authorities that servers' certificates are verified with
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/ssl/certs/ca-certificates.crt"
    )]
    ca_file: String,
    /// The workload that the proxy stands at: `${WORKLOAD}`
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,
    /// The namespace of that workload: `${NAMESPACE}`
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
}

/// Renders a policy onto the standard output, or says on the standard error why not.
pub(crate) fn render(arguments: &Arguments) -> ExitCode {
    match &arguments.form {
        Form::Envoy(arguments) => with_subject(&arguments.policy, |subject| envoy(arguments, subject)),
    }
}

fn envoy(arguments: &Envoy, subject: &Subject<'_>) -> Result<String, RenderError> {
    let options = EnvoyOptions {
        role: arguments.role.as_ref().map(|role| role.0),
        module: arguments.module.clone(),
        agent: arguments.agent.clone(),
        port: arguments.port,
        ca_file: arguments.ca_file.clone(),
        addresses: arguments.clusters.iter().cloned().collect::<Addresses>(),
        workload: arguments.workload.clone(),
        namespace: arguments.namespace.clone(),
        filter_only: arguments.filter_only,
        allows_inline_secrets: arguments.policy.insecure_inline_secrets,
    };
    render::envoy(subject, &options)
}

/// Reads the policy, and prints what is made of it.
fn with_subject(
    arguments: &Policy,
    make: impl FnOnce(&Subject<'_>) -> Result<String, RenderError>,
) -> ExitCode {
    let mut variables = BTreeMap::new();
    for variable in &arguments.variables {
        let Some((name, value)) = variable.split_once('=') else {
            say(&mut io::stderr(), "error: `--env` takes NAME=VALUE");
            return ExitCode::from(USAGE);
        };
        variables.insert(name.to_owned(), value.to_owned());
    }
    // Nothing of this process's own environment: what is rendered is the same wherever it is.
    let environment = Environment {
        variables,
        workload: None,
        namespace: None,
    };
    let document = match policy_file::read(&arguments.file) {
        Ok(document) => document,
        Err(error) => return fail(arguments, &error.to_string(), None),
    };
    let subject = match Subject::new(&document, &environment) {
        Ok(subject) => subject,
        Err(errors) => {
            report::errors(&errors);
            return ExitCode::FAILURE;
        }
    };
    match make(&subject) {
        Ok(text) => {
            report::warnings_but_of_missing_secrets(&subject.loaded);
            say(&mut io::stdout(), text.trim_end_matches('\n'));
            ExitCode::SUCCESS
        }
        Err(error) => fail(arguments, &error.to_string(), error.help()),
    }
}

fn fail(arguments: &Policy, error: &str, help: Option<&str>) -> ExitCode {
    say(
        &mut io::stderr(),
        &format!("error: {}: {error}", arguments.file.display()),
    );
    if let Some(help) = help {
        say(&mut io::stderr(), &format!("  help: {help}"));
    }
    ExitCode::FAILURE
}

fn host_and_port(text: &str) -> Result<Address, &'static str> {
    Address::of_host_and_port(text).ok_or("expected HOST:PORT")
}

fn cluster(text: &str) -> Result<(String, Address), &'static str> {
    let (name, url) = text.split_once('=').ok_or("expected NAME=URL")?;
    let address = Address::of_url(url).ok_or("expected an `http` or `https` URL behind NAME=")?;
    Ok((name.to_owned(), address))
}
