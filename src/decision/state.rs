//! Names of the filter state objects, `wasm.<name>` in Envoy.

/// Why the request was refused, or `ok`.
pub const REASON: &str = "peergate.reason";
/// The rule that decided.
pub const RULE: &str = "peergate.rule";
/// What a rule or a policy in shadow would have said.
pub const SHADOW_REASON: &str = "peergate.shadow_reason";
/// The rule in shadow that would have decided.
pub const SHADOW_RULE: &str = "peergate.shadow_rule";
/// What an outbound rule has put on a call: names, never values. It must outlive a redirect that the proxy follows.
pub const INJECTED: &str = "peergate.injected";
/// That an inbound decision let the request in: `verified` or `anonymous`, for the filters behind it.
pub const INBOUND: &str = "peergate.inbound";
/// The verified peer's name.
pub const PEER: &str = "peergate.peer";
/// The verified subject.
pub const SUB: &str = "peergate.sub";
/// The issuer of the verified credential.
pub const ISS: &str = "peergate.iss";
/// The kind of the verified credential.
pub const METHOD: &str = "peergate.method";
