//! Parts of an Envoy file that other forms have as well.

use super::fill;
use crate::config::{Document, Environment};
use crate::render::Address;
use crate::render::named::{Named, Subject};
use crate::render::yaml::{comment, document, list, scalar};
use crate::visible::visible;

/// A cluster.
pub(in crate::render) struct Piece<'a> {
    pub(in crate::render) name: &'a str,
    pub(in crate::render) address: &'a Address,
    /// A comment.
    pub(in crate::render) about: &'a str,
    /// The filter within it, as an entry of a list.
    pub(in crate::render) filter: Option<&'a str>,
    /// The authorities that it verifies servers with.
    pub(in crate::render) ca_file: &'a str,
}

/// The HTTP filter.
pub(in crate::render) struct Filter<'a> {
    /// A name by which it can stand in further places of the file, or nothing.
    pub(in crate::render) anchor: &'a str,
    /// Its name, and that of what its workers share.
    pub(in crate::render) name: &'a str,
    /// Where the module is, as YAML on one line.
    pub(in crate::render) code: String,
    pub(in crate::render) policy: &'a Document,
}

/// A module in a file.
pub(in crate::render) fn local(file: &str) -> String {
    format!("{{local: {{filename: {}}}}}", scalar(file))
}

/// The filter as an entry of a list, with the variables that its policy names; else those of the whole policy.
pub(in crate::render) fn filter(filter: &Filter<'_>, whole: &Named) -> String {
    // Each filter gets the variables of its own policy; a policy of one hop is good, as that of both is.
    let own = Subject::new(filter.policy, &Environment::default()).ok();
    let variables = own.as_ref().map_or(&whole.variables, |own| &own.named.variables);
    let environment = match variables.is_empty() {
        true => String::new(),
        false => format!(
            "# Secrets come by name from Envoy's own environment: values written here would stand in /config_dump.\n\
             environment_variables: {{host_env_keys: {}}}\n",
            list(variables)
        ),
    };
    let text = fill(
        FILTER,
        &[
            ("anchor", filter.anchor),
            ("name", filter.name),
            ("code", &filter.code),
            ("environment", &environment),
            ("policy", &document(filter.policy)),
        ],
    );
    match filter.anchor {
        "" => text.replacen("- \n  ", "- ", 1),
        _ => text,
    }
}

pub(in crate::render) fn first_hop_cluster(name: &str, listener: &str) -> String {
    fill(
        FIRST_HOP,
        &[("cluster", &scalar(name)), ("listener", &scalar(listener))],
    )
}

/// The internal listener.
pub(in crate::render) fn second_hop(host: &str, listener: &str, cluster: &str) -> String {
    let host = visible(host);
    let holes = [
        ("host", host.as_str()),
        ("listener", &scalar(listener)),
        ("cluster", &scalar(cluster)),
    ];
    fill(SECOND_HOP, &holes)
}

pub(in crate::render) fn cluster(piece: &Piece<'_>) -> String {
    let Piece {
        name,
        address,
        about,
        filter,
        ca_file,
    } = piece;
    let about = if about.is_empty() {
        String::new()
    } else {
        comment(about)
    };
    let tls = if address.is_tls {
        tls(address, ca_file)
    } else {
        String::new()
    };
    let filters = filter.map(|filter| fill(FILTERS, &[("filter", filter)]));
    fill(
        CLUSTER,
        &[
            ("comment", &about),
            ("name", &scalar(name)),
            ("type", if address.is_ip() { "STATIC" } else { "STRICT_DNS" }),
            ("host", &scalar(&address.host)),
            ("port", &address.port.to_string()),
            ("tls", &tls),
            ("filters", &filters.unwrap_or_default()),
        ],
    )
}

fn tls(address: &Address, ca_file: &str) -> String {
    let host = scalar(&address.host);
    // A name of a server is no address (RFC 6066 §3).
    let (sni, kind) = match address.is_ip() {
        true => (String::new(), "IP_ADDRESS"),
        false => (format!("sni: {host}"), "DNS"),
    };
    let holes = [
        ("sni", sni.as_str()),
        ("ca", &scalar(ca_file)),
        ("kind", kind),
        ("host", &host),
    ];
    fill(TLS, &holes)
}

const CLUSTER: &str = include_str!("cluster.yaml");
const FILTER: &str = include_str!("filter.yaml");
const FILTERS: &str = include_str!("cluster_filters.yaml");
const FIRST_HOP: &str = include_str!("first_hop_cluster.yaml");
const SECOND_HOP: &str = include_str!("second_hop.yaml");
const TLS: &str = include_str!("tls.yaml");
