//! The proxy that a policy is looked at for: its environment, and the workload that it stands at.

use std::collections::BTreeMap;

use peergate_filter::config::Environment;

/// Arguments of every command that reads a policy.
#[derive(clap::Args)]
pub(crate) struct Surroundings {
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
}

impl Surroundings {
    /// This process's environment, with what the arguments say put over it; `None` where one is no `NAME=VALUE`.
    #[expect(
        clippy::disallowed_methods,
        reason = "the program is the boundary here: it stands in for the proxy's environment"
    )]
    pub(crate) fn environment(&self) -> Option<Environment> {
        let own = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        self.over(own.collect())
    }

    /// What the arguments say alone.
    pub(crate) fn environment_alone(&self) -> Option<Environment> {
        self.over(BTreeMap::new())
    }

    fn over(&self, variables: BTreeMap<String, String>) -> Option<Environment> {
        let mut environment = Environment {
            variables,
            workload: self.workload.clone(),
            namespace: self.namespace.clone(),
        };
        for variable in &self.variables {
            let (name, value) = variable.split_once('=')?;
            environment.variables.insert(name.to_owned(), value.to_owned());
        }
        Some(environment)
    }
}
