//! From a policy to what a proxy is given: a whole Envoy file, or the resources of Istio.
//!
//! It is for `peergate render`, and knows no file, no environment and no secret: a policy is rendered as it was written,
//! by the names of its secrets. What it cannot know (where a cluster leads, what a workload is called) is an argument, or
//! a placeholder that says so.

mod address;
mod envoy;
mod error;
mod hops;
mod istio;
mod named;
mod pair;
pub(crate) mod yaml;

pub use self::address::Address;
pub use self::envoy::{EnvoyOptions, envoy};
pub use self::error::RenderError;
pub use self::istio::{IstioCaution, IstioOptions, Kind, Mode, Phase, Target, istio, istio_cautions};
pub use self::named::{Addresses, Cluster, Named, Subject};
pub use self::pair::{Gateway, sidecar_policy};

/// A policy as YAML that everybody reads alike.
pub fn policy(document: &crate::config::Document) -> String {
    yaml::document(document)
}
