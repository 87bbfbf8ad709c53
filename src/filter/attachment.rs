//! What all streams of one configuration have in common.

use crate::filter::host;
use crate::filter::metrics::Metrics;
use crate::policy::Policy;
use crate::role::Place;

/// See the module. Nothing in it depends on the place of a stream: Envoy may attach one root to listeners of both
/// directions.
#[derive(Default)]
pub(super) struct Attachment {
    /// The policy; `None` before a configuration was accepted.
    pub(super) policy: Option<Policy>,
    /// Envoy's `xds.node.id`.
    pub(super) node_id: Vec<u8>,
    /// Counters, and what was said once.
    pub(super) metrics: Metrics,
}

impl Attachment {
    /// Where a stream stands.
    pub(super) fn place(&self) -> Place {
        let direction = host::property(&["xds", "listener_direction"]);
        Place {
            node_id: self.node_id.clone(),
            // An int64 in the byte order of the machine, which for wasm is little-endian.
            listener_direction: direction
                .and_then(|bytes| <[u8; 8]>::try_from(bytes).ok())
                .map(u64::from_le_bytes),
            is_within_cluster: host::property(&["upstream", "address"]).is_some(),
        }
    }
}
