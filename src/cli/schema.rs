//! `peergate schema`: the JSON Schema of the configuration, for editors.

use std::io;
use std::process::ExitCode;

use peergate_filter::schema;

use super::{print, say};

/// What `schema` takes.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// For a configuration of Envoy, in which the policy stands as the filter's `configuration`
    #[arg(long, conflicts_with = "istio")]
    envoy: bool,
    /// For manifests of Istio, in which the policy stands as `pluginConfig`
    #[arg(long)]
    istio: bool,
}

/// Prints the schema.
pub(crate) fn schema(arguments: &Arguments) -> ExitCode {
    let printed = match (arguments.envoy, arguments.istio) {
        (true, _) => schema::envoy(),
        (_, true) => schema::istio(),
        (false, false) => Ok(schema::POLICY.to_owned()),
    };
    match printed {
        Ok(text) => print(&text),
        Err(error) => {
            say(
                &mut io::stderr(),
                &format!("error: the schema is broken: {error}"),
            );
            ExitCode::FAILURE
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  peergate schema > peergate.schema.json
  peergate schema --istio > istio.schema.json

A file names its schema in its first line, for editors with a YAML language
server:
  # yaml-language-server: $schema=peergate.schema.json";
