//! Where calls, and the filter's own requests, go.

use super::EnvoyOptions;
use super::pieces::{self, Piece};
use super::routes::{self, Routes};
use crate::render::{Address, Cluster};
use crate::role::Role;

pub(super) struct Clusters<'a> {
    pub(super) options: &'a EnvoyOptions,
    pub(super) routes: &'a Routes,
    /// Those behind a second hop.
    pub(super) hops: &'a [String],
}

impl Clusters<'_> {
    /// All of them; those behind a second hop, or all of calls, with the filter of clusters.
    pub(super) fn render(&self, roles: &[Role], filter: Option<&str>) -> String {
        let mut text = String::new();
        if roles
            .iter()
            .any(|role| matches!(role, Role::Inbound | Role::Gateway))
        {
            let about =
                "The agent. It listens on loopback, or whoever reaches its port gets past the filter.";
            text.push_str(&self.cluster("agent", Some(&self.options.agent), about, None));
        }
        let calls = roles.iter().any(|role| *role != Role::Inbound);
        let called: Vec<String> = self.routes.clusters().collect();
        let mut filter = filter.map(|filter| (filter, false));
        for cluster in self.routes.all() {
            let is_asked = !cluster.path.starts_with("outbound.rules");
            let is_called = called.contains(&cluster.name);
            if !calls && !is_asked {
                continue;
            }
            let is_hop = is_called && calls && self.hops.contains(&cluster.name);
            if is_hop {
                let (name, listener) = (
                    routes::first_hop(&cluster.name),
                    routes::second_hop(&cluster.name),
                );
                text.push_str(&pieces::first_hop_cluster(&name, &listener));
            }
            let has_filter = is_hop || (is_called && roles.contains(&Role::Upstream));
            let own = match &mut filter {
                Some((_, is_written @ true)) if has_filter => {
                    let _ = is_written;
                    Some("- *peergate_of_clusters\n".to_owned())
                }
                Some((filter, is_written)) if has_filter => {
                    *is_written = true;
                    Some((*filter).to_owned())
                }
                Some(_) | None => None,
            };
            let address = self.options.addresses.get(&cluster.name);
            let about = self.about(cluster, address, is_called);
            let address = address.or(cluster.address.as_ref());
            text.push_str(&self.cluster(&cluster.name, address, &about, own.as_deref()));
        }
        if text.is_empty() {
            text.push_str("  []\n");
        }
        text
    }

    fn about(&self, cluster: &Cluster, told: Option<&Address>, is_called: bool) -> String {
        if told.is_some() {
            return String::new();
        }
        match &cluster.address {
            None => format!(
                "PLACEHOLDER: the policy does not say where this leads ({}). Put the address here, or give it with \
                 --cluster NAME=URL.",
                cluster.path
            ),
            Some(_) if cluster.is_guessed => {
                "The policy tells the host. Port 443 and TLS are a guess: --cluster NAME=URL says it."
                    .to_owned()
            }
            Some(address) if !address.is_tls && !address.is_ip() && !is_called => {
                "Without TLS, as the policy writes it: whoever answers here is believed.".to_owned()
            }
            Some(address) if !address.is_tls && is_called => {
                "Without TLS: what the rules put onto calls goes there in the clear. --cluster NAME=URL says where, and https \
                 that TLS is spoken."
                    .to_owned()
            }
            Some(_) => String::new(),
        }
    }

    fn cluster(&self, name: &str, address: Option<&Address>, about: &str, filter: Option<&str>) -> String {
        let placeholder = Address::new("placeholder.invalid", 443);
        let address = address.unwrap_or(&placeholder);
        pieces::cluster(&Piece {
            name,
            address,
            about,
            filter,
            ca_file: &self.options.ca_file,
        })
    }
}
