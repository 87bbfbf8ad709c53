//! What stands around the inbound rules.

use crate::config::declared::Declared;
use crate::policy::OwnedHeaders;
use crate::totp::{CodeParameters, Replay};

/// What rules are checked against.
#[derive(Debug)]
pub(super) struct Surroundings<'a, 'c> {
    /// What else is declared.
    pub(super) declared: &'a Declared<'c>,
    /// Whether anybody has, or was meant to have, a TOTP seed.
    pub(super) has_seeds: bool,
    /// How codes are made; `None` if that could not be read.
    pub(super) code: Option<CodeParameters>,
    /// What becomes of a code that comes again; `None` if that could not be read.
    pub(super) replay: Option<Replay>,
    /// Whether there are seeds for callers without their own.
    pub(super) has_shared_seeds: bool,
    /// Whether the operator says that the listener validates certificates of clients. Where that could not be read, it
    /// counts as said, so that nothing is reported twice.
    pub(super) validates_certificates: bool,
    /// The headers that only the filter writes.
    pub(super) owned_headers: OwnedHeaders,
}
