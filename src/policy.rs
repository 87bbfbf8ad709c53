//! The compiled policy: immutable and valid. It exists only as the result of reading a configuration without a
//! single error, so nothing here is checked again.

pub mod inbound;
pub mod outbound;
pub mod owned;
pub mod rule;

use crate::redact::Redactor;
use crate::role::RoleSetting;

pub use self::inbound::Inbound;
pub use self::outbound::Outbound;
pub use self::owned::OwnedHeaders;

/// A whole policy: what one attachment of the filter enforces.
#[derive(Debug)]
pub struct Policy {
    /// Which half decides on a stream.
    pub role: RoleSetting,
    /// Who may call, and what is forwarded of them.
    pub inbound: Option<Inbound>,
    /// What calls are given.
    pub outbound: Option<Outbound>,
    /// Headers that only this filter writes: removed from every request before a rule is looked at.
    pub owned_headers: OwnedHeaders,
    /// How refusals are worded.
    pub errors: ErrorStyle,
}

/// How refusals are worded (`inbound.errors`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorStyle {
    /// The `realm` of challenges (RFC 9110 §11.5).
    pub realm: String,
    /// Whether a caller is told which check failed; `false` reduces every 401 to one text.
    pub verbose: bool,
    /// The `code` of JSON-RPC errors.
    pub jsonrpc_code: i32,
    /// Takes secrets out of the path of a refused request, which access logs print.
    pub redactor: Redactor,
}
