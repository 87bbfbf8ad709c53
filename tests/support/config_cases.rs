//! The cases of `tests/config/*.yaml`, each a configuration and what is said of it.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

#[path = "halves.rs"]
mod halves;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

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
    let mut cases = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        // As `peergate check` does; without it, `off` would be false.
        let options = serde_saphyr::options! { strict_booleans: true };
        let list: Vec<Case> = serde_saphyr::from_str_with_options(&text, options)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        cases.extend(
            list.into_iter()
                .map(|case| (format!("{file}: {}", case.case), case)),
        );
    }
    cases
}
