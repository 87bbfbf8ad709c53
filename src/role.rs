//! Where the filter stands, and which half of the policy decides there.

use std::fmt;

/// What the configuration says of its place (`role`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleSetting {
    /// Decided for each stream by [`Place`].
    Auto,
    /// Written down.
    Fixed(Role),
}

/// What the filter does on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Before a workload: who is calling?
    Inbound,
    /// Behind a workload: what does its call need?
    Outbound,
    /// Both, in this order: the door of a mesh.
    Gateway,
    /// Within one cluster, behind the route and every rewrite: what does a call to this upstream need?
    Upstream,
}

/// What the proxy says of the place of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Envoy's `xds.node.id`.
    pub node_id: Vec<u8>,
    /// Envoy's `xds.listener_direction`: 0 unspecified, 1 inbound, 2 outbound.
    pub listener_direction: Option<u64>,
    /// Whether the upstream's address is known already. Among the filters of a listener it is not, while request
    /// headers pass; among those of a cluster it is.
    pub is_within_cluster: bool,
}

impl RoleSetting {
    /// Whether [`RoleSetting::role`] looks at the place at all.
    pub const fn depends_on_place(self) -> bool {
        matches!(self, Self::Auto)
    }

    /// The role on a stream.
    ///
    /// A filter of a cluster is one wherever its listener stands. Istio marks every listener of a gateway OUTBOUND and the inner one of a waypoint INBOUND, so the kind of node
    /// counts before the direction; a place that says nothing is a gateway, where inbound rules decide first.
    pub fn role(self, place: &Place) -> Role {
        match self {
            Self::Fixed(role) => role,
            Self::Auto if place.is_within_cluster => Role::Upstream,
            Self::Auto if GATEWAY_NODES.iter().any(|kind| place.node_id.starts_with(kind)) => Role::Gateway,
            Self::Auto => match place.listener_direction {
                Some(DIRECTION_INBOUND) => Role::Inbound,
                Some(DIRECTION_OUTBOUND) => Role::Outbound,
                Some(_) | None => Role::Gateway,
            },
        }
    }
}

impl Role {
    /// As a policy writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::Gateway => "gateway",
            Self::Upstream => "upstream",
        }
    }

    /// Whether inbound rules are looked at.
    pub const fn looks_inbound(self) -> bool {
        match self {
            Self::Inbound | Self::Gateway => true,
            Self::Outbound | Self::Upstream => false,
        }
    }

    /// Whether outbound rules are looked at.
    pub const fn looks_outbound(self) -> bool {
        match self {
            Self::Outbound | Self::Gateway | Self::Upstream => true,
            Self::Inbound => false,
        }
    }
}

/// One half of the policy, as a label of metrics and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// A caller is authenticated.
    Inbound,
    /// A call is given what its upstream wants.
    Outbound,
}

impl fmt::Display for Direction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        })
    }
}

/// Istio's node ids begin with the kind of proxy: `sidecar~`, `router~` (a gateway), `waypoint~`.
const GATEWAY_NODES: [&[u8]; 2] = [b"router~", b"waypoint~"];
/// `envoy.config.core.v3.TrafficDirection`.
const DIRECTION_INBOUND: u64 = 1;
const DIRECTION_OUTBOUND: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(node_id: &str, listener_direction: Option<u64>) -> Role {
        RoleSetting::Auto.role(&Place {
            node_id: node_id.into(),
            listener_direction,
            is_within_cluster: false,
        })
    }

    #[test]
    fn by_direction() {
        assert_eq!(auto("sidecar~10.0.0.1~a~b", Some(1)), Role::Inbound);
        assert_eq!(auto("sidecar~10.0.0.1~a~b", Some(2)), Role::Outbound);
        assert_eq!(auto("envoy", Some(0)), Role::Gateway);
        assert_eq!(auto("envoy", None), Role::Gateway);
        assert_eq!(auto("envoy", Some(7)), Role::Gateway);
    }

    #[test]
    fn a_gateway_of_istio_is_marked_outbound_and_is_a_gateway() {
        assert_eq!(auto("router~10.0.0.1~a~b", Some(2)), Role::Gateway);
        assert_eq!(auto("waypoint~10.0.0.1~a~b", Some(1)), Role::Gateway);
    }

    #[test]
    fn a_filter_of_a_cluster_is_one_in_every_proxy() {
        for (node_id, listener_direction) in [("envoy", Some(1)), ("router~a", Some(2)), ("waypoint~a", None)]
        {
            let place = Place {
                node_id: node_id.into(),
                listener_direction,
                is_within_cluster: true,
            };
            assert_eq!(RoleSetting::Auto.role(&place), Role::Upstream);
        }
    }

    #[test]
    fn written_down_is_final() {
        let place = Place {
            node_id: b"router~a".to_vec(),
            listener_direction: Some(2),
            is_within_cluster: true,
        };
        assert_eq!(RoleSetting::Fixed(Role::Inbound).role(&place), Role::Inbound);
    }
}
