//! The hosts outside the mesh that the policy names: Istio is told of each, and how to speak TLS there.

use super::{IstioOptions, fill, rules, scalar};
use crate::render::Address;
use crate::render::named::{Subject, texts};
use crate::render::yaml::comment;

/// What is called at a host.
struct Host {
    name: String,
    ports: Vec<Port>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Port {
    number: u16,
    is_tls: bool,
}

/// A ServiceEntry for each host, and a DestinationRule where TLS is spoken. Those behind a second hop have their own cluster,
/// and only need a route.
pub(super) fn render(subject: &Subject<'_>, options: &IstioOptions, with_key: &[String]) -> String {
    let mut text = String::new();
    for host in hosts(subject, options) {
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
        let name = scalar(&format!("{}-{}", options.name, resource_name(&host.name)));
        let export = match options.target.selector.is_empty() && options.target.references.is_empty() {
            true => String::new(),
            false => "# For this namespace only.\nexportTo: [\".\"]".to_owned(),
        };
        let is_ip = Address::new(&host.name, 0).is_ip();
        let holes = [
            ("comment", about(&host)),
            ("name", name),
            ("namespace", scalar(&options.target.namespace)),
            ("host", scalar(&host.name)),
            ("resolution", if is_ip { "NONE" } else { "DNS" }.to_owned()),
            ("ports", lines),
            ("export", export),
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
    let calls: Vec<String> = host
        .ports
        .iter()
        .map(|port| match port.number {
            HTTP_PORT => format!("http://{}/", host.name),
            number => format!("http://{}:{number}/", host.name),
        })
        .collect();
    comment(&format!(
        "{} is called by plain HTTP ({}), so that the sidecar sees the request; TLS is the sidecar's.",
        host.name,
        calls.join(", ")
    ))
}

fn line(port: Port) -> String {
    let Port { number, is_tls } = port;
    // What is called at 80 and speaks TLS does so at 443.
    let target = if is_tls && number == HTTP_PORT {
        "targetPort: 443, "
    } else {
        ""
    };
    format!("- {{number: {number}, {target}name: http-{number}, protocol: HTTP}}\n")
}

fn hosts(subject: &Subject<'_>, options: &IstioOptions) -> Vec<Host> {
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
        add(
            &mut hosts,
            &place.host,
            Port {
                number: place.port,
                is_tls,
            },
        );
    }
    for rule in rules(subject.document) {
        let condition = rule.member("match");
        let listed = |member| texts(condition.and_then(|condition| condition.member(member)));
        if listed("clusters").is_empty() {
            for host in listed("hosts") {
                add(
                    &mut hosts,
                    host,
                    Port {
                        number: HTTP_PORT,
                        is_tls: true,
                    },
                );
            }
        }
    }
    hosts
}

fn add(hosts: &mut Vec<Host>, name: &str, port: Port) {
    if Address::new(name, port.number).is_in_mesh() {
        return;
    }
    match hosts.iter_mut().find(|host| host.name == name) {
        Some(host) if host.ports.iter().any(|other| other.number == port.number) => {}
        Some(host) => host.ports.push(port),
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
/// RFC 9110 §4.2.1.
const HTTP_PORT: u16 = 80;
