//! `render envoy`: an Envoy with the filter in it.
//!
//! The file is that of the project's samples (`envoy/*.yaml`), with what the policy says in its places. Where a policy
//! puts keys into the query there are two hops, as in `envoy/query-credentials.yaml`.

mod clusters;
pub(super) mod pieces;
mod routes;

use std::collections::BTreeSet;

use super::Address;
use super::error::RenderError;
use super::hops;
use super::named::{Addresses, Subject};
use super::yaml::{comment, fill, scalar};
use crate::config::Document;
use crate::role::{Role, RoleSetting};

use self::clusters::Clusters;
use self::pieces::Filter;
use self::routes::Routes;

/// What the policy does not say.
#[derive(Debug, Clone)]
pub struct EnvoyOptions {
    /// Where the filter stands, where the policy leaves that to the place.
    pub role: Option<Role>,
    /// The file of the module.
    pub module: String,
    /// The workload that callers call.
    pub agent: Address,
    /// The first port; the ways out and the administration have those behind it.
    pub port: u16,
    /// The authorities that servers are verified with.
    pub ca_file: String,
    /// Where clusters lead.
    pub addresses: Addresses,
    /// What `${WORKLOAD}` and `${NAMESPACE}` stand for.
    pub workload: Option<String>,
    /// See above.
    pub namespace: Option<String>,
    /// Nothing but the HTTP filter.
    pub filter_only: bool,
    /// Secrets may be written down.
    pub allows_inline_secrets: bool,
}

/// An Envoy file.
///
/// # Errors
/// [`RenderError`].
pub fn envoy(subject: &Subject<'_>, options: &EnvoyOptions) -> Result<String, RenderError> {
    let inline = subject.inline_secrets();
    if !options.allows_inline_secrets && !inline.is_empty() {
        return Err(RenderError::InlineSecrets(inline));
    }
    subject.refuse_unknown(&options.addresses)?;
    let roles = roles(subject, options.role)?;
    if options.filter_only {
        let filter = Filter {
            anchor: "",
            name: FILTER_NAME,
            code: pieces::local(&options.module),
            policy: subject.document,
        };
        return Ok(pieces::filter(&filter, &subject.named));
    }
    let is_outside = |role: &&Role| matches!(role, Role::Outbound | Role::Gateway);
    // A filter of a cluster that is told so has no other place: the second hop is all that is to be added.
    let with_key = hops::with_key(subject.document);
    let is_split = !with_key.is_empty() && roles.iter().any(|role| is_outside(&role));
    let policies = is_split.then(|| hops::split(subject.document, routes::first_hop, str::to_owned));
    let whole = File {
        subject,
        options,
        first: policies.as_ref().map_or(subject.document, |hops| &hops.first),
        second: policies.as_ref().map(|hops| &hops.second),
        with_key,
    };
    Ok(whole.render(&roles))
}

/// Where the filter is to stand.
fn roles(subject: &Subject<'_>, wanted: Option<Role>) -> Result<Vec<Role>, RenderError> {
    let policy = &subject.loaded.policy;
    let roles = match (policy.role, wanted) {
        (RoleSetting::Fixed(written), Some(wanted)) if written != wanted => {
            return Err(RenderError::OtherRole { written });
        }
        (RoleSetting::Fixed(role), _) | (RoleSetting::Auto, Some(role)) => vec![role],
        (RoleSetting::Auto, None) => {
            let inbound = policy.inbound.is_some().then_some(Role::Inbound);
            let outbound = policy.outbound.is_some().then_some(Role::Outbound);
            inbound.into_iter().chain(outbound).collect()
        }
    };
    for role in &roles {
        let needed = match role {
            Role::Inbound | Role::Gateway if policy.inbound.is_none() => "inbound",
            Role::Outbound | Role::Upstream if policy.outbound.is_none() => "outbound",
            Role::Inbound | Role::Gateway | Role::Outbound | Role::Upstream => continue,
        };
        return Err(RenderError::NoHalf(needed));
    }
    Ok(roles)
}

struct File<'a> {
    subject: &'a Subject<'a>,
    options: &'a EnvoyOptions,
    /// The policy of the listeners.
    first: &'a Document,
    /// The policy of the clusters behind the second hop, where there is one and it is another.
    second: Option<&'a Document>,
    /// The clusters whose calls are given a key in the query.
    with_key: BTreeSet<String>,
}

impl File<'_> {
    fn render(&self, roles: &[Role]) -> String {
        let options = self.options;
        let routes = Routes::new(self.subject, options);
        let mut listeners = String::new();
        for (index, role) in roles.iter().enumerate() {
            listeners.push_str(&self.listener(*role, index == 0, &routes));
        }
        let hops: Vec<String> = routes.clusters().filter(|name| self.is_hop(name)).collect();
        let is_called = roles.iter().any(|role| *role != Role::Inbound);
        let is_hopping = is_called && !hops.is_empty();
        if is_hopping {
            for cluster in &hops {
                let listener = routes::second_hop(cluster);
                listeners.push_str(&pieces::second_hop(cluster, &listener, cluster));
                listeners.push('\n');
            }
        }
        let clusters = Clusters {
            options,
            routes: &routes,
            hops: &hops,
        };
        let is_upstream = roles.contains(&Role::Upstream);
        let policy_of_clusters = self.second.or(is_upstream.then_some(self.subject.document));
        let filter = policy_of_clusters.map(|policy| self.filter("&peergate_of_clusters", policy));
        let clusters = clusters.render(roles, filter.as_deref());
        fill(
            FILE,
            &[
                ("head", &self.head()),
                ("admin_port", &options.port.saturating_add(2).to_string()),
                ("node", &self.node()),
                ("extensions", if is_hopping { INTERNAL_LISTENER } else { "" }),
                ("listeners", &listeners),
                ("clusters", &clusters),
                ("shared", &shared_with_samples()),
            ],
        )
    }

    fn is_hop(&self, cluster: &str) -> bool {
        self.with_key.contains(cluster)
    }

    fn head(&self) -> String {
        let variables: Vec<String> = self.variables().iter().map(|name| format!("{name}=… ")).collect();
        format!(
            "# Made by `peergate render envoy`. It runs as it is, with the module where `filename` says and these variables:\n\
             #\n#   {}envoy --config-path FILE\n#\n\
             # Every address is on loopback: a listener for others wants another address, and a transport_socket for TLS.",
            variables.concat()
        )
    }

    /// All but the platform's, which need not be set.
    fn variables(&self) -> Vec<&str> {
        self.subject.named.needed_variables().collect()
    }

    fn node(&self) -> String {
        let metadata = &self.subject.named.metadata;
        if metadata.is_empty() {
            return String::new();
        }
        let options = self.options;
        let of = |value: &Option<String>| value.as_deref().map_or(PLACEHOLDER_NAME.to_owned(), scalar);
        let is_known = options.workload.is_some() && options.namespace.is_some();
        let about = match is_known {
            true => "What ${WORKLOAD} and ${NAMESPACE} stand for in the policy.",
            false => {
                "What ${WORKLOAD} and ${NAMESPACE} stand for in the policy. PLACEHOLDER: say it here, or with --workload \
                 and --namespace."
            }
        };
        format!(
            "{}node: {{id: peergate, cluster: peergate, metadata: {{WORKLOAD_NAME: {}, NAMESPACE: {}}}}}\n\n",
            comment(about),
            of(&options.workload),
            of(&options.namespace),
        )
    }

    fn listener(&self, role: Role, is_first: bool, routes: &Routes) -> String {
        let (name, direction, about) = match role {
            Role::Inbound => ("inbound", "traffic_direction: INBOUND", INBOUND),
            Role::Outbound | Role::Upstream => ("outbound", "traffic_direction: OUTBOUND", OUTBOUND),
            Role::Gateway => ("front", "", GATEWAY),
        };
        let is_out = matches!(role, Role::Outbound | Role::Upstream);
        let offset = u16::from(is_out);
        let filter = match role {
            Role::Upstream => String::new(),
            _ if is_first => self.filter("&peergate", self.first),
            _ => "- *peergate\n".to_owned(),
        };
        let has_hops = role != Role::Inbound && routes.clusters().any(|name| self.is_hop(&name));
        let state = if has_hops { SET_FILTER_STATE } else { "" };
        let access_log = match is_first {
            true => access_log_of_samples(),
            false => "- *access_log\n".to_owned(),
        };
        let remove = "# Access logs print this header as the path: its value is Envoy's to set, not a caller's.\n\
                      request_headers_to_remove: [x-envoy-original-path]\n";
        let hosts = routes.hosts(role, |cluster| match self.is_hop(cluster) {
            true => routes::first_hop(cluster),
            false => cluster.to_owned(),
        });
        fill(
            LISTENER,
            &[
                ("comment", &comment(about)),
                ("name", name),
                ("direction", direction),
                ("address_comment", if is_out { LOOPBACK_ONLY } else { "" }),
                ("port", &self.options.port.saturating_add(offset).to_string()),
                ("callers", if is_out { "" } else { "use_remote_address: true" }),
                ("access_log", &access_log),
                ("filters", &format!("{filter}{state}")),
                ("route_options", if has_hops { remove } else { "" }),
                ("hosts", &hosts),
            ],
        )
    }

    fn filter(&self, anchor: &str, policy: &Document) -> String {
        let filter = Filter {
            anchor,
            name: FILTER_NAME,
            code: pieces::local(&self.options.module),
            policy,
        };
        pieces::filter(&filter, &self.subject.named)
    }
}

/// The access log of the samples, in whose words one dashboard reads all.
fn access_log_of_samples() -> String {
    let log = SAMPLE
        .split_once("          - &access_log\n")
        .and_then(|(_, rest)| rest.split_once("          http_filters:"))
        .map_or("", |(log, _)| log);
    let lines: String = log
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix("          ").unwrap_or(line)))
        .collect();
    format!("- &access_log\n{lines}")
}

/// How the samples bound connections and name what is counted.
fn shared_with_samples() -> String {
    let mark = "# How many callers may be connected at once.";
    SAMPLE
        .split_once(mark)
        .map(|(_, rest)| format!("{mark}{rest}"))
        .unwrap_or_default()
}

const FILE: &str = include_str!("envoy/file.yaml");
const LISTENER: &str = include_str!("envoy/listener.yaml");
const SET_FILTER_STATE: &str = include_str!("envoy/set_filter_state.yaml");
const INTERNAL_LISTENER: &str = include_str!("envoy/internal_listener.yaml");
const SAMPLE: &str = include_str!("../../envoy/demo.yaml");

const INBOUND: &str =
    "What others send to the agent. The direction tells peergate which half of its policy to apply.";
const OUTBOUND: &str =
    "What the agent sends to others, by plain HTTP: calls that it encrypts itself pass no HTTP filter.";
const GATEWAY: &str =
    "The door: inbound rules, then outbound ones. No traffic_direction: to peergate this is a gateway.";
const LOOPBACK_ONLY: &str = "# Loopback, and nothing else: whoever reaches this listener gets the agent's credentials put onto their calls.";
const FILTER_NAME: &str = "peergate";
const PLACEHOLDER_NAME: &str = "placeholder";
