//! Keys in the query under Istio: an EnvoyFilter makes the second hop, on which peergate puts them on.
//!
//! Istio attaches modules to listeners only, and what stands there is seen by access logs. So the filter of the second hop
//! stands in a cluster of this patch's own.

use super::{IstioOptions, fill, scalar};
use crate::config::Document;
use crate::render::Address;
use crate::render::envoy::pieces::{self, Filter, Piece};
use crate::render::error::RenderError;
use crate::render::named::Subject;
use crate::render::yaml::comment;
use crate::visible::visible;

/// The cluster that leads to the second hop.
pub(super) fn first_name(cluster: &str) -> String {
    format!("peergate-first-hop|{}", rest(cluster))
}

/// The cluster of the host itself.
pub(super) fn second_name(cluster: &str) -> String {
    format!("peergate-with-key|{}", rest(cluster))
}

/// The EnvoyFilter.
pub(super) fn render(
    subject: &Subject<'_>,
    policy: &Document,
    options: &IstioOptions,
    with_key: &[String],
) -> Result<String, RenderError> {
    let mut patches = String::new();
    for cluster in with_key {
        let place = Address::of_istio(cluster).ok_or_else(|| RenderError::NoIstioCluster(cluster.clone()))?;
        if place.host.contains('*') {
            return Err(RenderError::Wildcard(place.host));
        }
        let told = options.addresses.get(cluster).cloned();
        let address = told.unwrap_or_else(|| Address {
            is_tls: true,
            port: if place.port == HTTP_PORT {
                HTTPS_PORT
            } else {
                place.port
            },
            ..place.clone()
        });
        let listener = format!("peergate-second-hop|{}", rest(cluster));
        let holes = [
            ("host", visible(&place.host)),
            ("vhost", scalar(&format!("{}:{}", place.host, place.port))),
            ("first", scalar(&first_name(cluster))),
            (
                "first_cluster",
                bare(&pieces::first_hop_cluster(&first_name(cluster), &listener)),
            ),
            (
                "listener",
                bare(&pieces::second_hop(&place.host, &listener, &second_name(cluster))),
            ),
            (
                "second_cluster",
                bare(&pieces::cluster(&Piece {
                    name: &second_name(cluster),
                    address: &address,
                    about: "",
                    filter: Some(DISCOVERED),
                    ca_file: CA_FILE,
                })),
            ),
        ];
        let holes: Vec<(&str, &str)> = holes
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        patches.push_str(&fill(PATCHES, &holes));
    }
    let filter = Filter {
        anchor: "",
        name: FILTER_NAME,
        code: code(options),
        policy,
    };
    let filter = bare(&pieces::filter(&filter, &subject.named));
    patches.push_str(&fill(EXTENSION, &[("filter", &filter)]));
    let about = format!(
        "Keys go into the query on a second hop within the same Envoy, where no log, trace or mirror sees them. An EnvoyFilter is \
         written for a version of Envoy, not for Istio's API: try it at each upgrade. Whoever has an access log added to every \
         connection manager must leave these out.{}",
        match options.pull_secret {
            Some(_) =>
                " Istio hands imagePullSecret to plugins only: the registry must let the agent have the image without.",
            None => "",
        }
    );
    let target = match options.target.selector.is_empty() {
        true => String::new(),
        false => format!("workloadSelector: {{labels: {{{}}}}}", options.target.labels()),
    };
    Ok(fill(
        ENVOY_FILTER,
        &[
            ("comment", &comment(&about)),
            ("name", &scalar(&format!("{}-second-hop", options.name))),
            ("namespace", &scalar(&options.target.namespace)),
            ("target", &target),
            ("patches", &patches),
        ],
    ))
}

/// Where the module comes from: Istio's agent fetches what comes by discovery, as it does for a plugin.
fn code(options: &IstioOptions) -> String {
    if let Some(file) = options.image.strip_prefix("file://") {
        return pieces::local(file);
    }
    let digest = options
        .sha256
        .as_deref()
        .map(|digest| format!(", sha256: {}", scalar(digest)));
    format!(
        "{{remote: {{http_uri: {{uri: {}, timeout: 30s, cluster: _}}{}}}}}",
        scalar(&options.image),
        digest.unwrap_or_default()
    )
}

/// `443||api.example` of `outbound|443||api.example`.
fn rest(cluster: &str) -> &str {
    cluster.strip_prefix("outbound|").unwrap_or(cluster)
}

/// An entry of a list without the mark of one, and without the comment above.
fn bare(entry: &str) -> String {
    let lines = entry.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.map(|line| {
        line.strip_prefix("- ")
            .or(line.strip_prefix("  "))
            .unwrap_or(line)
    });
    lines.map(|line| format!("{line}\n")).collect()
}

const FILTER_NAME: &str = "peergate-second-hop";
const DISCOVERED: &str = include_str!("discovered.yaml");
const EXTENSION: &str = include_str!("extension.yaml");
const PATCHES: &str = include_str!("second_hop.yaml");
const ENVOY_FILTER: &str = include_str!("envoy_filter.yaml");
/// Where Istio's images have them (Debian and Ubuntu).
const CA_FILE: &str = "/etc/ssl/certs/ca-certificates.crt";
/// RFC 9110 §4.2.1 and §4.2.2.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;
