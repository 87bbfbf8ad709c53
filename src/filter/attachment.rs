//! What all streams of one configuration have in common.

use std::rc::Rc;

use crate::decision::{CardNote, Cards, Exposure, KnownTokens, Permit, Record};
use crate::filter::errands::Errands;
use crate::filter::host;
use crate::filter::metrics::Metrics;
use crate::filter::signatures::Signatures;
use crate::http::Request;
use crate::jwks::{HostSignatures, NoHostSignatures};
use crate::policy::Policy;
use crate::redact::Redactor;
use crate::role::Place;
use crate::signer::{HostSigner, NoHostSigner};

/// See the module. Nothing in it depends on the place of a stream: Envoy may attach one root to listeners of both
/// directions.
#[derive(Default)]
pub(super) struct Attachment {
    /// The policy; `None` before a configuration was accepted.
    pub(super) policy: Option<Policy>,
    /// The tokens that were verified under it.
    pub(super) known: Option<KnownTokens>,
    /// The agent cards that were rewritten under it.
    pub(super) cards: Cards,
    /// A key that only this virtual machine knows.
    pub(super) machine_key: Option<[u8; 16]>,
    /// Envoy's `xds.node.id`.
    pub(super) node_id: Vec<u8>,
    /// Counters, and what was said once.
    pub(super) metrics: Metrics,
    /// What its streams ask for.
    pub(super) errands: Option<Errands>,
    /// The proxy's cryptography; `None` before a configuration was accepted.
    pub(super) signatures: Option<Rc<Signatures>>,
}

impl Attachment {
    /// The proxy's cryptography, as far as it is to be believed.
    pub(super) fn signatures(&self) -> &dyn HostSignatures {
        match &self.signatures {
            Some(signatures) => signatures.as_ref(),
            None => &NoHostSignatures,
        }
    }

    /// The proxy, which may sign.
    pub(super) fn signer(&self) -> &dyn HostSigner {
        match &self.signatures {
            Some(signatures) => signatures.as_ref(),
            None => &NoHostSigner,
        }
    }

    /// Counts and logs decisions.
    pub(super) fn note(&self, records: &[Record<'_>], request: &Request) {
        if let (Some(policy), Some(errands)) = (&self.policy, &self.errands) {
            errands.note(&policy.keys, records);
        }
        match &self.policy {
            Some(policy) => self.metrics.note(records, request, &policy.errors.redactor),
            None => self.metrics.note(records, request, &Redactor::default()),
        }
    }

    /// Counts that logs show a credential, and says so once for a rule.
    pub(super) fn note_exposure(&self, exposure: &Exposure<'_>) {
        if let Some(policy) = &self.policy {
            self.metrics.note_exposure(exposure, &policy.errors.redactor);
        }
    }

    /// Counts what became of an agent card, and says what the operator should know of it once.
    pub(super) fn note_card(&self, note: CardNote, permit: &Permit) {
        if let Some(policy) = &self.policy {
            let redactor = &policy.errors.redactor;
            self.metrics.note_card(note, permit, redactor);
        }
    }

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
