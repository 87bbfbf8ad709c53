//! OAuth 2.0 as a client (RFC 6749): what is asked of an authorization server, and what its answers are worth.
//!
//! Two things are asked: tokens for upstreams, in exchange for a caller's (RFC 8693, RFC 7523) or in the client's own
//! name (RFC 6749 §4.4), and what an opaque token of a caller means (RFC 7662). An answer that is not known to be good
//! gives nothing.
//!
//! It sends nothing and waits for nothing, it keeps no token, and it does not know whose token it is given or whether
//! that one is good.

mod answer;
mod client;
mod form;
mod granted;
mod introspection;
mod request;
#[cfg(test)]
mod tests;
mod uri;

pub use self::answer::{ErrorCode, Found, Malformed, TokenError, Unavailable};
pub use self::client::{Client, ClientAuthentication, Proof, TokenEndpoint};
pub use self::granted::{Expected, Granted, MAX_ANSWER_BYTES};
pub use self::introspection::{Active, IntrospectionError, IntrospectionRequest, Vouched};
pub use self::request::{CacheKey, Grant, GrantType, Target, TokenRequest, TokenType, TypedToken};
pub use self::uri::{ResourceError, check_resource};

/// Whether the protocol itself sets this parameter of a request, so that no configuration may (RFC 6749, RFC 7521,
/// RFC 7523, RFC 8693, RFC 8707, RFC 7662).
pub fn is_own_parameter(name: &str) -> bool {
    OWN_PARAMETERS.contains(&name)
}

const OWN_PARAMETERS: [&str; 18] = [
    "grant_type",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "assertion",
    "subject_token",
    "subject_token_type",
    "actor_token",
    "actor_token_type",
    "resource",
    "audience",
    "scope",
    "requested_token_type",
    "token",
    "token_type_hint",
    "refresh_token",
    "code",
];
