//! `peergate convert FILE`: from `jwt_authn`, or Istio's RequestAuthentication, to a policy.
//!
//! The policy is read again as a proxy would read it before it is printed. Keys that are fetched are not fetched here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use peergate_filter::config::{self, Document, Environment};
use peergate_filter::convert::{self, Converted, Options};
use peergate_filter::visible::visible;
use serde_json::Value;
use serde_saphyr::UserMessageFormatter;
use serde_saphyr::options::DuplicateKeyPolicy;

use super::{report, say, shown_path};

/// What `convert` takes.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// An Envoy file, the `typed_config` of its filter, or manifests of Istio; YAML or JSON
    file: PathBuf,
    /// Take prefixes of paths as whole segments: you know that nothing is served at `/apix` where `/api` is written
    #[arg(long)]
    whole_segments: bool,
}

/// Prints the policy and 0, or 3 if something was not carried over; or what is wrong and 1.
pub(crate) fn convert(arguments: &Arguments) -> ExitCode {
    let fail = |error: &str| {
        say(
            &mut io::stderr(),
            &format!("error: {}: {error}", shown_path(&arguments.file)),
        );
        ExitCode::FAILURE
    };
    let documents = match documents(&arguments.file) {
        Ok(documents) => documents,
        Err(error) => return fail(&error),
    };
    let options = Options {
        whole_segments: arguments.whole_segments,
    };
    match convert::convert(&documents, options) {
        Ok(converted) => print(&converted),
        Err(error) => fail(&error.to_string()),
    }
}

fn print(converted: &Converted) -> ExitCode {
    for finding in &converted.findings {
        say(&mut io::stderr(), &finding.to_string());
    }
    // What it was made of may hold what no policy can: a header that belongs to the proxy, a path that is ambiguous.
    let read = serde_saphyr::from_str::<Document>(&converted.policy);
    let Ok(document) = read else {
        say(&mut io::stderr(), "error: what comes out is no YAML");
        return ExitCode::FAILURE;
    };
    if let Err(errors) = config::load(&document, &Environment::default()) {
        report::errors(&errors);
        say(
            &mut io::stderr(),
            "error: what comes out is no policy: change the input where these say",
        );
        return ExitCode::FAILURE;
    }
    say(&mut io::stdout(), converted.policy.trim_end());
    match converted.findings.iter().any(|finding| finding.is_lost) {
        true => ExitCode::from(NOT_ALL),
        false => ExitCode::SUCCESS,
    }
}

/// All documents of a file. As Envoy and Kubernetes do it, but for members that stand twice.
fn documents(file: &Path) -> Result<Vec<Value>, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("cannot be read: {error}"))?;
    let is_json = file
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    if is_json {
        let document = serde_json::from_str(&text);
        return document
            .map(|document| vec![document])
            .map_err(|error| format!("is not accepted as JSON: {error}"));
    }
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        with_snippet: false,
    };
    serde_saphyr::from_multiple_with_options(&text, options).map_err(|error| {
        format!(
            "is not accepted as YAML: {}",
            visible(&error.render_with_formatter(&UserMessageFormatter))
        )
    })
}

/// Something was not carried over.
const NOT_ALL: u8 = 3;

const EXAMPLES: &str = "\
Examples:
  Of an Envoy file, or of manifests of Istio:
    peergate convert envoy.yaml > policy.yaml
    peergate convert manifests.yaml > policy.yaml
  Where nothing is served at paths such as /apix beside /api:
    peergate convert --whole-segments envoy.yaml > policy.yaml

Read the lines with DECIDE, and try the policy in shadow before it decides.";
