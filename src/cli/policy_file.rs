//! A policy in a file, as YAML or JSON.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use peergate_filter::config::{Document, MAX_DEPTH};
use peergate_filter::envoy_check::EnvoyFile;
use peergate_filter::json;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Error as YamlError, UserMessageFormatter};

/// Reads the policy in a file: JSON where the name ends so, else YAML.
///
/// # Errors
///
/// Where the file cannot be read, or holds no document, or plainly something else than a policy.
pub(crate) fn read(file: &Path) -> Result<Document, ReadError> {
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

/// Reads an Envoy file, as YAML or JSON, which is YAML too.
///
/// # Errors
///
/// Where the file cannot be read, or holds no document, or two members of one name: Envoy takes the last without a word.
pub(crate) fn read_envoy(file: &Path) -> Result<EnvoyFile, ReadError> {
    let bytes = fs::read(file).map_err(ReadError::File)?;
    let read = |reads_as_envoy: bool| {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_depth: MAX_ENVOY_DEPTH },
            duplicate_keys: DuplicateKeyPolicy::Error,
            merge_keys: MergeKeyPolicy::Error,
            strict_booleans: !reads_as_envoy,
            legacy_octal_numbers: reads_as_envoy,
            with_snippet: false,
        };
        serde_saphyr::from_slice_with_options(&bytes, options)
            .map_err(|error| ReadError::Yaml(Box::new(error)))
    };
    Ok(EnvoyFile {
        as_written: read(false)?,
        as_envoy_reads: read(true)?,
    })
}

/// Ours: a policy stands in some fifteen objects and lists of an Envoy file.
const MAX_ENVOY_DEPTH: usize = 4 * MAX_DEPTH;

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
pub(crate) enum ReadError {
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
                 `configuration` of the wasm filter; `peergate check --envoy FILE` looks at the whole file",
            ),
            Self::KubernetesResource => formatter.write_str(
                "is a Kubernetes resource\n  help: give the policy itself, which stands there as `pluginConfig`",
            ),
        }
    }
}
