//! The cases of `tests/config/*.yaml`, each a configuration and what is said of it.

#![allow(dead_code, reason = "not every file of tests asks for all of it")]

#[path = "case_files.rs"]
mod case_files;
#[path = "halves.rs"]
mod halves;

use std::collections::BTreeMap;

use peergate_filter::config::{self, Document, Environment, Errors, Loaded};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    case: String,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    workload: Option<String>,
    namespace: Option<String>,
    policy: Option<Document>,
    inbound: Option<Document>,
    outbound: Option<Document>,
    pub(crate) refused: Option<String>,
    pub(crate) accepted: Option<String>,
}

impl Case {
    /// The configuration, whole.
    pub(crate) fn policy(&self) -> Document {
        halves::policy(self.policy.clone(), self.inbound.clone(), self.outbound.clone())
    }

    /// What becomes of it where it is read.
    pub(crate) fn load(&self) -> Result<Loaded, Errors> {
        let environment = Environment {
            variables: self.environment.clone(),
            workload: self.workload.clone(),
            namespace: self.namespace.clone(),
        };
        config::load(&self.policy(), &environment)
    }
}

/// All cases, by file and name.
pub(crate) fn cases() -> Vec<(String, Case)> {
    let cases = case_files::cases::<Case>("tests/config").into_iter();
    cases
        .map(|(file, case)| (format!("{file}: {}", case.case), case))
        .collect()
}
