//! What there is to say of an Envoy file, in words.

use std::fmt;

/// One thing, and where. Prints as one line, `place: problem`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where in the Envoy file, or in the policy.
    pub place: String,
    /// What.
    pub problem: Problem,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.problem)
    }
}

/// What.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The filter is nowhere in the file.
    NoFilter,
    /// A filter has no policy that could be read.
    NoPolicy,
    /// A policy has a fault.
    Policy {
        /// The fault with its place.
        line: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// Envoy takes a word or a number for another value.
    Misread {
        /// As it stands in the file.
        written: String,
        /// What Envoy makes of it.
        read: String,
    },
    /// A cluster is not in the file, and no other can come.
    NoCluster(String),
    /// A cluster is not in the file, and others come by discovery.
    ClusterDiscovered(String),
    /// A variable does not get to the filter.
    NoVariable(String),
    /// The same where the policy says that it may miss.
    VariableMayMiss(String),
    /// The value of a variable stands in the file.
    ValueWrittenDown(String),
    /// A filter is bypassed when it fails.
    FailsOpen,
    /// A filter that has failed never works again.
    FailsForEver,
    /// Others may write what its workers share.
    NoVmId,
    /// Filters of callers share nothing with each other.
    SeveralVmIds(Vec<String>),
    /// The connection manager has Envoy's own idle timeout.
    NoIdleTimeout,
    /// The connection manager lets requests wait for ever.
    IdleForEver,
    /// The half that decides there is missing.
    NoInbound,
    /// The half that decides there is missing.
    NoOutbound,
    /// The half that is there is never looked at.
    NobodyAsked,
    /// The filter does not run; open where callers would be asked.
    SwitchedOff {
        /// Whether callers would be asked.
        open: bool,
    },
    /// The filter runs on some routes only.
    SwitchedOffBut {
        /// Whether callers would be asked.
        open: bool,
    },
    /// A route turns the filter off.
    RouteWithout {
        /// Whether callers would be asked.
        open: bool,
    },
    /// Labels of the counters stay in their names.
    NoTags(Vec<&'static str>),
}

impl Problem {
    /// Whether something does not work, or not as it is meant; else it is a hint.
    pub const fn is_error(&self) -> bool {
        match self {
            Self::NoFilter
            | Self::NoPolicy
            | Self::Policy { .. }
            | Self::Misread { .. }
            | Self::NoCluster(_)
            | Self::NoVariable(_)
            | Self::FailsOpen
            | Self::NoInbound
            | Self::NobodyAsked
            | Self::SwitchedOff { .. } => true,
            Self::ClusterDiscovered(_)
            | Self::VariableMayMiss(_)
            | Self::ValueWrittenDown(_)
            | Self::FailsForEver
            | Self::NoVmId
            | Self::SeveralVmIds(_)
            | Self::NoIdleTimeout
            | Self::IdleForEver
            | Self::NoOutbound
            | Self::SwitchedOffBut { .. }
            | Self::RouteWithout { .. }
            | Self::NoTags(_) => false,
        }
    }

    /// What to do about it, where that is not plain.
    pub fn help(&self) -> Option<String> {
        let help = match self {
            Self::Policy { help, .. } => return help.clone(),
            Self::NoFilter => "what comes by discovery (LDS, ECDS) is not seen here",
            Self::NoPolicy => {
                "`configuration` is a google.protobuf.Struct, or a google.protobuf.StringValue with JSON"
            }
            Self::Misread { .. } => "quote it, or write `true`, `false`, and numbers without leading zeros",
            Self::NoCluster(_) => "add it to `static_resources.clusters`, or name the cluster that is meant",
            Self::NoVariable(_) | Self::VariableMayMiss(_) => {
                "add it to `vm_config.environment_variables.host_env_keys` of the filter"
            }
            Self::ValueWrittenDown(_) => {
                "name it in `host_env_keys`: what stands here is in every dump of the configuration"
            }
            Self::FailsOpen | Self::FailsForEver => "`failure_policy: FAIL_RELOAD`",
            Self::NoVmId => "`vm_config: {vm_id: peergate, …}`",
            Self::SeveralVmIds(_) => "give them one, unless they are to know nothing of each other",
            Self::NoIdleTimeout | Self::IdleForEver => "`stream_idle_timeout: 60s` in the connection manager",
            Self::NobodyAsked => {
                "`traffic_direction: INBOUND` of the listener before a workload, or `role` in the policy"
            }
            Self::SwitchedOff { .. } | Self::SwitchedOffBut { .. } => "take `disabled: true` away",
            Self::RouteWithout { open: true } => {
                "a rule with `accept: [none]` lets everybody in too, and takes forged identities off"
            }
            Self::RouteWithout { open: false } | Self::NoInbound | Self::NoOutbound => return None,
            Self::NoTags(_) => "`stats_config` at the end of envoy/demo.yaml",
            Self::ClusterDiscovered(_) => return None,
        };
        Some(help.to_owned())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFilter => formatter.write_str("no filter of peergate is in this file"),
            Self::NoPolicy => formatter.write_str("the filter has no policy"),
            Self::Policy { line, .. } => formatter.write_str(line),
            Self::Misread { written, read } => write!(formatter, "`{written}` is {read} to Envoy, which reads YAML 1.1"),
            Self::NoCluster(name) => write!(formatter, "cluster `{name}` is not in the Envoy file"),
            Self::ClusterDiscovered(name) => write!(
                formatter,
                "cluster `{name}` is not in the Envoy file; whether it comes by discovery cannot be seen here"
            ),
            Self::NoVariable(name) => write!(formatter, "variable `{name}` is not handed to the filter"),
            Self::VariableMayMiss(name) => write!(
                formatter,
                "variable `{name}` is not handed to the filter; the policy lets it miss, or has it sealed"
            ),
            Self::ValueWrittenDown(name) => write!(formatter, "the value of variable `{name}` is written into the Envoy file"),
            Self::FailsOpen => formatter.write_str("should the module fail, requests pass unchecked"),
            Self::FailsForEver => {
                formatter.write_str("should the module ever trap, this worker answers 503 until Envoy is restarted")
            }
            Self::NoVmId => formatter.write_str("every module without a `vm_id` can write what the filter's workers share"),
            Self::SeveralVmIds(names) => write!(
                formatter,
                "filters of listeners have several `vm_id`s (`{}`): they do not know of each other's codes and keys",
                names.join("`, `")
            ),
            Self::NoIdleTimeout => formatter.write_str(
                "no `stream_idle_timeout`: a request that waits when the module traps is held for five minutes",
            ),
            Self::IdleForEver => {
                formatter.write_str("`stream_idle_timeout` is off: a request that waits when the module traps is held for ever")
            }
            Self::NoInbound => formatter.write_str("the policy has no `inbound`: every request is answered with 503 here"),
            Self::NoOutbound => formatter.write_str("the policy has no `outbound`: the filter does nothing here"),
            Self::NobodyAsked => formatter.write_str(
                "the policy has no `outbound`, and its `inbound` is never looked at here: nobody is asked who they are",
            ),
            Self::SwitchedOff { open } => write!(formatter, "the filter is switched off (`disabled: true`): {}", without(*open)),
            Self::SwitchedOffBut { open } => write!(
                formatter,
                "the filter is switched off (`disabled: true`) but where a route turns it on; elsewhere {}",
                without(*open)
            ),
            Self::RouteWithout { open } => write!(formatter, "turns the filter off: {}", without(*open)),
            Self::NoTags(names) => write!(
                formatter,
                "no tag `{}` for the filter's counters: they have one long name each",
                names.join("`, `")
            ),
        }
    }
}

/// What becomes of requests where the filter does not run (docs/placements.md).
const fn without(open: bool) -> &'static str {
    match open {
        true => "requests pass unchecked, and identities can be forged",
        false => "calls are given nothing",
    }
}
