//! The hosts outside the mesh that the policy names: Istio is told of each, and how to speak TLS there.

use std::collections::BTreeSet;

use super::{IstioOptions, fill, rules, scalar};
use crate::render::Address;
use crate::render::named::{Subject, texts};
use crate::render::yaml::comment;

/// What is called at a host.
pub(super) struct Host {
    pub(super) name: String,
    pub(super) ports: Vec<Port>,
}

impl Host {
    pub(super) fn is_wildcard(&self) -> bool {
        self.name.contains('*')
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) number: u16,
    /// What the host has it as.
    target: u16,
    is_tls: bool,
    /// Whether the workload calls there, and not only the filter.
    is_called: bool,
}

impl Port {
    /// Whether others are likely to speak TLS there themselves.
    pub(super) const fn is_retyped(self) -> bool {
        self.is_tls && self.number != HTTP_PORT && self.number == self.target
    }
}

/// A ServiceEntry for each host, and a DestinationRule where TLS is spoken. Those behind a second hop have their own cluster,
/// and only need a route.
pub(super) fn render(subject: &Subject<'_>, options: &IstioOptions, with_key: &[String]) -> String {
    let mut text = String::new();
    let mut names = BTreeSet::new();
    for host in hosts(subject, options) {
        if host.is_wildcard() {
            continue;
        }
        let ports = host.ports.iter();
        let is_hop = |port: &&Port| with_key.contains(&format!("outbound|{}||{}", port.number, host.name));
        let tls: String = ports
            .clone()
            .filter(|port| port.is_tls && !is_hop(port))
            .map(|port| {
                fill(
                    TLS,
                    &[("port", &port.number.to_string()), ("host", &scalar(&host.name))],
                )
            })
            .collect();
        let lines: String = ports.map(|port| line(*port)).collect();
        let name = scalar(&unlike(
            &mut names,
            format!("{}-{}", options.name, resource_name(&host.name)),
        ));
        let export = match options.target.namespace == options.root_namespace {
            true => "# For the whole mesh, as the policy is: no exportTo.",
            false => "# For this namespace only.\nexportTo: [\".\"]",
        };
        let is_ip = Address::new(&host.name, 0).is_ip();
        let holes = [
            ("comment", about(&host)),
            ("name", name),
            ("namespace", scalar(&options.target.namespace)),
            ("host", scalar(&host.name)),
            ("resolution", if is_ip { "NONE" } else { "DNS" }.to_owned()),
            ("ports", lines),
            ("export", export.to_owned()),
        ];
        let mut holes: Vec<(&str, &str)> = holes
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        text.push_str(&fill(SERVICE_ENTRY, &holes));
        if !tls.is_empty() {
            holes.retain(|(name, _)| *name != "ports");
            holes.push(("ports", &tls));
            text.push_str(&fill(DESTINATION_RULE, &holes));
        }
    }
    text
}

fn about(host: &Host) -> String {
    let name = &host.name;
    let of_port = |port: &Port| match port.number {
        HTTP_PORT => format!("http://{name}/"),
        number => format!("http://{name}:{number}/"),
    };
    let (called, asked): (Vec<&Port>, Vec<&Port>) = host.ports.iter().partition(|port| port.is_called);
    let mut text = String::new();
    if !called.is_empty() {
        let calls: Vec<String> = called.into_iter().map(of_port).collect();
        text = format!(
            "{name} is called by plain HTTP ({}), so that the sidecar sees the request; TLS is the sidecar's.",
            calls.join(", ")
        );
    }
    for port in asked {
        let gap = if text.is_empty() { "" } else { " " };
        let number = port.number;
        text.push_str(&format!(
            "{gap}The filter itself asks {name} through `outbound|{number}||{name}`"
        ));
        text.push_str(if port.is_tls { "; TLS is the proxy's." } else { "." });
        if port.is_retyped() {
            text.push_str(&format!(
                " A program that speaks TLS there itself gets TLS within TLS: {}.",
                other_port(name, *port)
            ));
        }
    }
    comment(&text)
}

/// How nobody else's port becomes another.
pub(super) fn other_port(name: &str, port: Port) -> String {
    match port.is_called {
        true => {
            format!("name the cluster `outbound|80||{name}`, and call `http://{name}/`: it is reached at 443")
        }
        false => {
            format!(
                "with the cluster `outbound|8443||{name}` in the policy, the filter has a port for itself"
            )
        }
    }
}

fn line(port: Port) -> String {
    let Port { number, target, .. } = port;
    let target = match target == number {
        true => String::new(),
        false => format!("targetPort: {target}, "),
    };
    format!("- {{number: {number}, {target}name: http-{number}, protocol: HTTP}}\n")
}

/// A name that no other has: `a-b.example` and `a.b.example` would have one.
fn unlike(names: &mut BTreeSet<String>, name: String) -> String {
    let mut own = name.clone();
    let mut count = 1;
    while !names.insert(own.clone()) {
        count += 1;
        own = format!("{name}-{count}");
    }
    own
}

/// The hosts outside the mesh that the policy names.
pub(super) fn hosts(subject: &Subject<'_>, options: &IstioOptions) -> Vec<Host> {
    let mut hosts: Vec<Host> = Vec::new();
    for cluster in &subject.named.clusters {
        let Some(place) = Address::of_istio(&cluster.name) else {
            continue;
        };
        let is_call = cluster.path.starts_with("outbound.rules");
        let told = options.addresses.get(&cluster.name);
        let is_tls = match (told, &cluster.address) {
            (Some(address), _) => address.is_tls,
            // A secret goes there, to a host that is not of the mesh.
            _ if is_call => true,
            (None, Some(address)) => address.is_tls,
            (None, None) => true,
        };
        let target = match (told, &cluster.address) {
            (Some(address), _) => address.port,
            (None, Some(address)) if !is_call => address.port,
            // What is called at 80 and speaks TLS does so at 443.
            _ if is_tls && place.port == HTTP_PORT => HTTPS_PORT,
            _ => place.port,
        };
        let port = Port {
            number: place.port,
            target,
            is_tls,
            is_called: is_call || is_matched(subject, &cluster.name),
        };
        add(&mut hosts, options, &place.host, port);
    }
    for rule in rules(subject.document) {
        let condition = rule.member("match");
        let listed = |member| texts(condition.and_then(|condition| condition.member(member)));
        if listed("clusters").is_empty() {
            for host in listed("hosts") {
                let port = Port {
                    number: HTTP_PORT,
                    target: HTTPS_PORT,
                    is_tls: true,
                    is_called: true,
                };
                add(&mut hosts, options, host, port);
            }
        }
    }
    hosts
}

/// Whether a rule for calls names the cluster, whatever named it first.
fn is_matched(subject: &Subject<'_>, cluster: &str) -> bool {
    let mut conditions = rules(subject.document).map(|rule| rule.member("match"));
    conditions.any(|condition| {
        texts(condition.and_then(|condition| condition.member("clusters"))).contains(&cluster)
    })
}

fn add(hosts: &mut Vec<Host>, options: &IstioOptions, name: &str, port: Port) {
    if Address::new(name, port.number).is_in_mesh(&options.cluster_domain) {
        return;
    }
    match hosts.iter_mut().find(|host| host.name == name) {
        Some(host) => match host.ports.iter_mut().find(|other| other.number == port.number) {
            Some(other) => other.is_called |= port.is_called,
            None => host.ports.push(port),
        },
        None => hosts.push(Host {
            name: name.to_owned(),
            ports: vec![port],
        }),
    }
}

/// As names of Kubernetes are (RFC 1123).
pub(super) fn resource_name(host: &str) -> String {
    let letter = |letter: char| match letter.is_ascii_alphanumeric() {
        true => letter.to_ascii_lowercase(),
        false => '-',
    };
    host.chars().map(letter).collect()
}

const SERVICE_ENTRY: &str = include_str!("service_entry.yaml");
const DESTINATION_RULE: &str = include_str!("destination_rule.yaml");
const TLS: &str = include_str!("tls_port.yaml");
/// RFC 9110 §4.2.1 and §4.2.2.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;
