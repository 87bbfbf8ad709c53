//! What Istio takes, and what may come of it.

use super::hosts::{self, Port};
use super::{IstioOptions, Mode, is_gateway};
use crate::render::Address;
use crate::render::named::{Subject, text};
use crate::role::{Role, RoleSetting};

/// What may come of what was rendered, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IstioCaution {
    /// What is so, in lower case and without a full stop.
    pub what: String,
    /// What to do about it.
    pub help: String,
}

/// What there is to say of a policy that is rendered.
pub fn istio_cautions(subject: &Subject<'_>, options: &IstioOptions) -> Vec<IstioCaution> {
    let mut found = clusters(subject);
    found.extend(of_hosts(subject, options));
    found.extend(gateways(subject, options));
    let names: Vec<&str> = subject.named.needed_variables().collect();
    let is_mesh = options.target.is_all() && options.target.namespace == options.root_namespace;
    let is_lenient = subject.document.member("on_missing_secret").and_then(text) == Some("deny_rule");
    if is_mesh && !names.is_empty() && !is_lenient {
        found.push(IstioCaution {
            what: format!(
                "variables {}: every proxy of the mesh needs them: one without them refuses the policy, and answers 500 to everything",
                names.join(", ")
            ),
            help: "`on_missing_secret: deny_rule` lets only what needs them answer 503; sealed secrets want one variable in place of \
                   all (`peergate seal`)"
                .to_owned(),
        });
    }
    found
}

/// Clusters of the policy that Istio never makes: calls to them get nothing.
fn clusters(subject: &Subject<'_>) -> Vec<IstioCaution> {
    let unknown = subject.named.clusters.iter();
    let unknown = unknown.filter(|cluster| Address::of_istio(&cluster.name).is_none());
    let caution = |name: &str| {
        IstioCaution {
        what: format!("cluster `{name}`: Istio makes no cluster of this name"),
        help: "name it as Istio does: `outbound|443||api.example`, `outbound|80||charlie.agents.svc.cluster.local`".to_owned(),
    }
    };
    unknown.map(|cluster| caution(&cluster.name)).collect()
}

fn of_hosts(subject: &Subject<'_>, options: &IstioOptions) -> Vec<IstioCaution> {
    let mut found = Vec::new();
    for host in hosts::hosts(subject, options) {
        let name = &host.name;
        if host.is_wildcard() {
            found.push(IstioCaution {
                what: format!("host `{name}`: no ServiceEntry is made: nobody can look up a wildcard"),
                help: "name each host that is called, or write the ServiceEntry yourself".to_owned(),
            });
            continue;
        }
        if let Some((_, domain)) = name.split_once(".svc.") {
            found.push(IstioCaution {
                what: format!("host `{name}`: taken for a host outside the mesh, where TLS is spoken"),
                help: format!("if it is a service of the mesh: `--cluster-domain {domain}`"),
            });
        }
        if options.target.namespace == options.root_namespace {
            let retyped = host.ports.iter().filter(|port| port.is_retyped());
            found.extend(retyped.map(|port| retype(name, *port)));
        }
    }
    found
}

fn retype(name: &str, port: Port) -> IstioCaution {
    let number = port.number;
    IstioCaution {
        what: format!(
            "host `{name}`: port {number} is plain HTTP for every workload of the mesh: one that speaks TLS there itself gets TLS \
             within TLS"
        ),
        help: hosts::other_port(name, port),
    }
}

/// Where only its author knows whether it is for gateways.
fn gateways(subject: &Subject<'_>, options: &IstioOptions) -> Option<IstioCaution> {
    let policy = &subject.loaded.policy;
    let is_gateway = is_gateway(subject, options);
    if policy.role == RoleSetting::Fixed(Role::Gateway) && options.target.is_all() {
        return Some(IstioCaution {
            what: "role: `gateway` without a selector: it is for every sidecar of the namespace as well, and asks whoever calls out"
                .to_owned(),
            help: "`--selector LABEL=VALUE` with what the gateway's pods have, or `--target-ref Gateway/NAME`".to_owned(),
        });
    }
    let publishes = subject
        .document
        .member("inbound")
        .and_then(|half| half.member("forward"))
        .and_then(|forward| forward.member("assertion"))
        .is_some_and(|assertion| assertion.member("jwks_path").is_some());
    let is_server = matches!(options.mode, None | Some(Mode::Server)) && policy.outbound.is_none();
    (publishes && is_server && !is_gateway).then(|| IstioCaution {
        what: "inbound.forward.assertion.jwks_path: a gateway's, and `match` is SERVER, which is nothing at a gateway: it would stay open"
            .to_owned(),
        help: "where it is for a gateway, `role: gateway` in the policy says so".to_owned(),
    })
}
