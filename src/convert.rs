//! From the configuration of Envoy's `jwt_authn`, or of Istio's RequestAuthentication and AuthorizationPolicy, to a policy.
//!
//! Nothing is widened: what a policy cannot say becomes stricter, most often a refusal, and is told. Who wants it otherwise
//! decides by hand. It fetches no key, reads no file, and does not know what stands behind a name of a cluster.

mod draft;
mod expression;
mod istio;
mod istio_operation;
mod istio_rules;
mod jwt_authn;
mod manifests;
mod matching;
mod members;
mod provider;
mod requirement;

use std::fmt;

use serde_json::Value;

use crate::visible::visible;

use self::members::Members;

/// A policy, and what is to be known of it.
#[derive(Debug)]
pub struct Converted {
    /// The policy in YAML.
    pub policy: String,
    /// What was not carried over, and what is to be decided.
    pub findings: Vec<Finding>,
}

/// Something that the author must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether something was not carried over; else it is a note.
    pub is_lost: bool,
    /// Where it stands in the input.
    pub path: String,
    /// What became of it, and what to do.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_lost { "not carried over" } else { "note" };
        write!(formatter, "{kind}: {}: {}", self.path, self.text)
    }
}

/// Why nothing comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConvertError {
    /// There is nothing that this reads.
    Nothing,
    /// There are several filters: how many.
    Several(usize),
    /// The resources are for several workloads.
    SeveralWorkloads,
    /// A manifest is none that Kubernetes would take.
    Malformed {
        /// Where, without control characters.
        path: String,
        /// What is wrong there.
        what: &'static str,
    },
}

impl fmt::Display for ConvertError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => formatter.write_str(
                "holds no `jwt_authn` and no RequestAuthentication\n  help: give an Envoy file, the filter's \
                 `typed_config`, or manifests of Istio",
            ),
            Self::Several(count) => write!(
                formatter,
                "holds {count} `jwt_authn` filters\n  help: give the `typed_config` of one"
            ),
            Self::SeveralWorkloads => formatter.write_str(
                "has resources for several namespaces or selectors\n  help: give those of one workload: each gets a \
                 policy of its own",
            ),
            Self::Malformed { path, what } => write!(
                formatter,
                "`{path}` {what}\n  help: Istio does not take this manifest: what it would do is not known"
            ),
        }
    }
}

impl std::error::Error for ConvertError {}

/// What the author says of the input.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// No path goes on behind a prefix but with a slash: `/api` stands for `/api/…` and not for `/apix`.
    pub whole_segments: bool,
}

/// Converts what these documents hold.
///
/// # Errors
/// Nothing of this kind is there, or more than one policy could be made of it.
pub fn convert(documents: &[Value], options: Options) -> Result<Converted, ConvertError> {
    let resources = manifests::unfolded(documents)?;
    if resources.iter().any(manifests::is_istio) {
        return istio::convert(&resources, options);
    }
    let mut filters = Vec::new();
    for document in documents {
        find(document, "", &mut filters);
    }
    match filters.as_slice() {
        [(filter, path)] => {
            let filter = Members::new(filter, path.as_str()).ok_or(ConvertError::Nothing)?;
            Ok(jwt_authn::convert(&filter, documents, options))
        }
        [] => match documents {
            // The block alone, without its type.
            [document] if document.get("providers").is_some() => {
                let filter = Members::new(document, "").ok_or(ConvertError::Nothing)?;
                Ok(jwt_authn::convert(&filter, documents, options))
            }
            _ => Err(ConvertError::Nothing),
        },
        several => Err(ConvertError::Several(several.len())),
    }
}

/// Finds the filters in a whole file.
fn find<'v>(value: &'v Value, path: &str, filters: &mut Vec<(&'v Value, String)>) {
    match value {
        Value::Object(members) => {
            let kind = members.get("@type").and_then(Value::as_str);
            if kind.is_some_and(|kind| kind.ends_with(FILTER)) {
                filters.push((value, path.to_owned()));
                return;
            }
            for (name, value) in members {
                let separator = if path.is_empty() { "" } else { "." };
                find(value, &format!("{path}{separator}{name}"), filters);
            }
        }
        Value::Array(entries) => {
            for (index, value) in entries.iter().enumerate() {
                find(value, &format!("{path}[{index}]"), filters);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What was found on the way.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn lost(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.add(true, path.into(), text.into());
    }

    fn note(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.add(false, path.into(), text.into());
    }

    fn add(&mut self, is_lost: bool, path: String, text: String) {
        let finding = Finding {
            is_lost,
            path: visible(&path),
            text: visible(&text),
        };
        if !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }

    /// Tells of the members that nobody has looked at.
    fn rest(&mut self, members: &Members<'_>, what: &str) {
        for name in members.rest() {
            self.lost(members.path_of(name), what);
        }
    }
}

const FILTER: &str = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication";
