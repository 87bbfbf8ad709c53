//! Files of YAML with a list of cases each.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;

/// Every case of the files in a folder, with the name of its file.
pub(crate) fn cases<Case: DeserializeOwned>(folder: &str) -> Vec<(String, Case)> {
    let mut cases = Vec::new();
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        // As `peergate check` does; without it, `off` would be false.
        let options = serde_saphyr::options! { strict_booleans: true };
        let list: Vec<Case> = serde_saphyr::from_str_with_options(&text, options)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        cases.extend(list.into_iter().map(|case| (file.clone(), case)));
    }
    cases
}
