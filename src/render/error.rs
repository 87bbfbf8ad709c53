//! Why a good policy is not rendered.

use std::fmt;

use crate::role::Role;
use crate::visible::visible;

/// Why a good policy is not rendered. Prints in lower case and without a full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RenderError {
    /// Secrets are written down in it: where.
    InlineSecrets(Vec<String>),
    /// It says itself where it stands.
    OtherRole {
        /// What it says.
        written: Role,
    },
    /// It has not the half that decides there.
    NoHalf(&'static str),
    /// It signs nothing, and is to be a gateway that sidecars believe.
    NoAssertion,
    /// It publishes no keys to verify that with.
    NoJwksPath,
    /// What was made of it for the sidecars is no good policy: a fault of this program.
    Derived(String),
    /// Keys go into the query of what passes a gateway of Istio.
    QueryAtGateway,
    /// A cluster with a key in its query is none of Istio's.
    NoIstioCluster(String),
    /// An address was given for a cluster that it does not have, perhaps for one with a name like it.
    NoSuchCluster(String, Option<String>),
    /// It is for a cluster's filter, and Istio attaches to listeners.
    UpstreamInIstio,
    /// It decides for the whole mesh, and would be in the way of every workload's own: the root namespace.
    MeshWide(String),
    /// The sidecars behind the gateway are the whole mesh: the root namespace.
    MeshWideSidecars(String),
    /// The gateway's policy is for the sidecars as well.
    GatewayUnnamed,
    /// Which service leads to the gateway is not known.
    GatewayService,
    /// It would be attached to nothing.
    ServerAtGateway,
    /// Nothing leads to a host that is none.
    Wildcard(String),
    /// Two resources have one name: a fault of this program.
    Twins(String),
}

impl RenderError {
    /// What to do about it, where that is not plain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::InlineSecrets(_) => Some(
                "name a variable, `{env: NAME}`, or have `peergate seal` seal it; of a key set the public halves are \
                 enough. `--insecure-inline-secrets` renders them all the same",
            ),
            Self::OtherRole { .. } => Some("leave `--role` away, or write the same into the policy"),
            Self::NoAssertion => Some("`issuer`, `audience`, `keys` and `jwks_path`: docs/assertion.md"),
            Self::NoJwksPath => Some("such as `/.well-known/mesh/jwks.json`: sidecars get the keys there"),
            Self::QueryAtGateway => Some(
                "give the keys to a sidecar's policy, or accept that logs of the gateway see them: `--simple-query`",
            ),
            Self::NoIstioCluster(_) => {
                Some("Istio's clusters have names such as `outbound|443||api.example`")
            }
            Self::UpstreamInIstio => Some(
                "leave `role` away and name `match.clusters`: where keys go into the query, the second hop is made of it",
            ),
            Self::MeshWide(_) => Some(
                "add `fallback: true` to the policy, so that a workload's own goes first, or name the workloads: \
                 `--selector LABEL=VALUE`",
            ),
            Self::MeshWideSidecars(_) => {
                Some("`--sidecar-selector LABEL=VALUE`, or the namespace where the agents are")
            }
            Self::GatewayUnnamed => Some("`--selector LABEL=VALUE`, with what the gateway's pods have"),
            Self::GatewayService => Some(
                "`--gateway-service HOST:PORT`: for a Gateway NAME that Istio runs, `NAME-istio.NAMESPACE.svc.cluster.local:80`",
            ),
            Self::ServerAtGateway => Some("leave `--mode` away"),
            Self::Wildcard(_) => Some("name each host: `outbound|443||api.example`"),
            Self::NoSuchCluster(..) | Self::Twins(_) | Self::NoHalf(_) | Self::Derived(_) => None,
        }
    }
}

impl fmt::Display for RenderError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InlineSecrets(places) => write!(
                formatter,
                "{}: written down, and would stand in every copy of what is rendered",
                visible(&places.join(", "))
            ),
            Self::OtherRole { written } => {
                write!(formatter, "role: the policy says `{}`", role_name(*written))
            }
            Self::NoAssertion => {
                formatter.write_str("inbound.forward.assertion: missing: the gateway signs nothing")
            }
            Self::NoJwksPath => formatter.write_str("inbound.forward.assertion.jwks_path: missing"),
            Self::Derived(errors) => {
                write!(formatter, "the policy of the sidecars would be refused: {errors}")
            }
            Self::QueryAtGateway => formatter.write_str(
                "outbound.rules: a second hop for keys in the query is not made for gateways of Istio",
            ),
            Self::NoIstioCluster(cluster) => {
                write!(
                    formatter,
                    "outbound.rules: Istio has no cluster `{}`",
                    visible(cluster)
                )
            }
            Self::NoSuchCluster(name, nearest) => {
                write!(formatter, "--cluster: the policy has no cluster `{}`", visible(name))?;
                match nearest {
                    Some(nearest) => write!(formatter, "\n  help: did you mean `{}`?", visible(nearest)),
                    None => Ok(()),
                }
            }
            Self::UpstreamInIstio => formatter
                .write_str("role: `upstream` is for a filter of a cluster, and Istio attaches to listeners"),
            Self::MeshWide(root) => write!(
                formatter,
                "fallback: missing: without a selector `{root}` is the whole mesh, where every workload with a policy of its own \
                 would answer 503 (`layer_order`)"
            ),
            Self::MeshWideSidecars(root) => write!(
                formatter,
                "--sidecar-namespace: without a selector `{root}` is the whole mesh"
            ),
            Self::GatewayUnnamed => formatter
                .write_str("--pair: without a selector the gateway's policy is for the sidecars of its namespace as well"),
            Self::GatewayService => {
                formatter.write_str("--gateway-service: missing: which service leads to this gateway is not known")
            }
            Self::ServerAtGateway => formatter
                .write_str("--mode: Istio calls nothing SERVER at a gateway: the filter would not be there, and the gateway open"),
            Self::Wildcard(host) => write!(formatter, "outbound.rules: no second hop leads to `{}`", visible(host)),
            Self::Twins(resource) => {
                write!(formatter, "{resource}: made twice, and the second would replace the first")
            }
            Self::NoHalf(half) => write!(formatter, "configuration: has no `{half}`, which decides there"),
        }
    }
}

impl std::error::Error for RenderError {}

/// As the configuration writes it.
pub(super) const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Inbound => "inbound",
        Role::Outbound => "outbound",
        Role::Gateway => "gateway",
        Role::Upstream => "upstream",
    }
}
