//! Which host leads to which cluster, as the outbound rules say.

use super::{EnvoyOptions, fill};
use crate::render::hops::ends;
use crate::render::named::{Subject, entries, texts};
use crate::render::yaml::{comment, list, scalar};
use crate::render::{Address, Cluster};
use crate::role::Role;

/// The ways of calls, in the order of the rules.
pub(super) struct Routes {
    hosts: Vec<Host>,
    clusters: Vec<Cluster>,
}

struct Host {
    domain: String,
    /// Prefixes of paths with the clusters that they lead to.
    ways: Vec<(String, String)>,
}

impl Routes {
    pub(super) fn new(subject: &Subject<'_>, options: &EnvoyOptions) -> Self {
        let mut routes = Self {
            hosts: Vec::new(),
            clusters: subject.named.clusters.clone(),
        };
        let half = subject.document.member("outbound");
        for rule in entries(half.and_then(|half| half.member("rules"))) {
            let condition = rule.member("match");
            let listed = |member| texts(condition.and_then(|condition| condition.member(member)));
            let (hosts, prefixes) = (listed("hosts"), listed("path_prefixes"));
            let names_clusters = !listed("clusters").is_empty();
            for end in ends(rule) {
                let is_first = ends(rule).first() == Some(&end);
                // Of several clusters a call goes to one: the first, until somebody says otherwise.
                if names_clusters && !is_first {
                    continue;
                }
                if !names_clusters {
                    routes.add_cluster(end);
                }
                let own = [end];
                let domains: Vec<String> = match (names_clusters, hosts.is_empty()) {
                    (true, true) => vec![routes.host_of(end, options)],
                    (true, false) => hosts.iter().map(|host| (*host).to_owned()).collect(),
                    (false, _) => own.iter().map(|host| (*host).to_owned()).collect(),
                };
                for domain in domains {
                    routes.add(&domain, &prefixes, end);
                }
            }
        }
        routes
    }

    /// All clusters of calls, each once.
    pub(super) fn clusters(&self) -> impl Iterator<Item = String> {
        let mut names: Vec<&str> = Vec::new();
        for (_, cluster) in self.hosts.iter().flat_map(|host| &host.ways) {
            if !names.contains(&cluster.as_str()) {
                names.push(cluster);
            }
        }
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        names.into_iter()
    }

    /// All clusters that the policy names or means.
    pub(super) fn all(&self) -> &[Cluster] {
        &self.clusters
    }

    /// The virtual hosts of a listener.
    pub(super) fn hosts(&self, role: Role, name: impl Fn(&str) -> String) -> String {
        let mut text = String::new();
        if role != Role::Inbound {
            for host in &self.hosts {
                text.push_str(&virtual_host(host, &name));
            }
        }
        match role {
            Role::Inbound | Role::Gateway => text.push_str(&fill(AGENT, &[])),
            Role::Outbound | Role::Upstream => text.push_str(&comment(
                "No other host has a way out of here: each that is meant needs a virtual host and a cluster.",
            )),
        }
        if self.hosts.is_empty() && matches!(role, Role::Outbound | Role::Upstream) {
            text = format!("{text}  []\n");
        }
        text
    }

    fn add(&mut self, domain: &str, prefixes: &[&str], cluster: &str) {
        let prefixes = if prefixes.is_empty() { &["/"] } else { prefixes };
        let at = match self
            .hosts
            .iter()
            .position(|host| host.domain.eq_ignore_ascii_case(domain))
        {
            Some(at) => at,
            None => {
                self.hosts.push(Host {
                    domain: domain.to_owned(),
                    ways: Vec::new(),
                });
                self.hosts.len() - 1
            }
        };
        let Some(host) = self.hosts.get_mut(at) else {
            return;
        };
        for prefix in prefixes {
            if !host.ways.iter().any(|(other, _)| other == prefix) {
                host.ways.push(((*prefix).to_owned(), cluster.to_owned()));
            }
        }
    }

    fn add_cluster(&mut self, host: &str) {
        if !self.clusters.iter().any(|cluster| cluster.name == host) {
            self.clusters.push(Cluster {
                name: host.to_owned(),
                path: String::new(),
                address: Some(Address::new(host, HTTPS_PORT)),
                is_guessed: true,
            });
        }
    }

    fn host_of(&self, cluster: &str, options: &EnvoyOptions) -> String {
        let known = self.clusters.iter().find(|other| other.name == cluster);
        let told = known.and_then(|cluster| cluster.address.as_ref());
        match told.or_else(|| options.addresses.get(cluster)) {
            Some(address) => address.host.clone(),
            None => format!("{cluster}.placeholder.invalid"),
        }
    }
}

/// The cluster that leads to the second hop.
pub(super) fn first_hop(cluster: &str) -> String {
    format!("{cluster}-first-hop")
}

/// The listener of the second hop.
pub(super) fn second_hop(cluster: &str) -> String {
    format!("{cluster}-second-hop")
}

fn virtual_host(host: &Host, name: &impl Fn(&str) -> String) -> String {
    let mut text = format!(
        "- name: {}\n  domains: {}\n  routes:\n",
        scalar(&host.domain),
        list([&host.domain])
    );
    // Envoy takes the first that matches.
    let mut ways: Vec<&(String, String)> = host.ways.iter().collect();
    ways.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    for (prefix, cluster) in ways {
        text.push_str(&fill(
            ROUTE,
            &[("prefix", &scalar(prefix)), ("cluster", &scalar(&name(cluster)))],
        ));
    }
    text
}

const AGENT: &str = "- name: agent
  domains: [\"*\"]
  routes:
  # No limit for the whole answer, for agents stream; stream_idle_timeout above bounds silence.
  - match: {prefix: /}
    route: {cluster: agent, timeout: 0s}
";
const ROUTE: &str = "  - match: {prefix: {{prefix}}}
    route: {cluster: {{cluster}}, timeout: 0s}
";
/// RFC 9110 §4.2.2.
const HTTPS_PORT: u16 = 443;
