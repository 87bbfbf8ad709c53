//! The compiled policy: immutable and valid. It exists only as the result of reading a configuration without a
//! single error, so nothing here is checked again.

pub mod card;
pub mod inbound;
pub mod keys;
pub mod location;
pub mod outbound;
pub mod owned;
pub mod published;
pub mod resource;
pub mod rule;
pub mod rules;
pub mod token;

use std::rc::Rc;

use crate::echo::Given;
use crate::jwt;
use crate::redact::Redactor;
use crate::role::{Role, RoleSetting};

pub use self::inbound::Inbound;
pub use self::keys::KeyPlan;
pub use self::outbound::Outbound;
pub use self::owned::OwnedHeaders;
pub use self::published::Published;
pub use self::rules::Rules;

use self::token::TokenPlan;

/// A whole policy: what one attachment of the filter enforces.
#[derive(Debug)]
pub struct Policy {
    /// Tells it from other policies on the same stream: made of the configuration it was read from.
    pub identity: String,
    /// Which half decides on a stream.
    pub role: RoleSetting,
    /// Whether it stands aside where another policy has decided on the stream (`fallback`).
    pub is_fallback: bool,
    /// Whether it decides at all.
    pub enforcement: Enforcement,
    /// Who may call, and what is forwarded of them.
    pub inbound: Option<Inbound>,
    /// What calls are given.
    pub outbound: Option<Outbound>,
    /// Headers that only this filter writes: removed from every request before a rule is looked at.
    pub owned_headers: OwnedHeaders,
    /// How refusals are worded.
    pub errors: ErrorStyle,
    /// Where the keys of its providers come from.
    pub keys: KeyPlan,
    /// What its rules ask for besides.
    pub needs: Needs,
}

/// What the rules of a policy need that others can do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Servers are asked for something else than keys, or what was verified is kept for other streams.
    pub answers: bool,
    /// A caller's own token is exchanged on the stream that it came on.
    pub callers_tokens: bool,
}

impl Needs {
    /// Of both halves.
    pub fn of(inbound: Option<&Inbound>, outbound: Option<&Outbound>) -> Self {
        let rules = || outbound.iter().flat_map(|outbound| outbound.rules.iter());
        let plans = || rules().filter_map(|rule| rule.token.as_ref());
        let is_introspected = inbound.is_some_and(|inbound| !inbound.introspections.is_empty());
        // Whoever is handed an assertion on a call finds the token behind it.
        let is_asserted = inbound.is_some_and(|inbound| inbound.assertion.is_some());
        Self {
            answers: is_introspected || is_asserted || plans().next().is_some(),
            callers_tokens: is_asserted || plans().any(TokenPlan::exchanges_callers),
        }
    }
}

impl Policy {
    /// Whether a decision in this role may ask who has connected.
    pub fn asks_for_principal(&self, role: Role) -> bool {
        let accepts_some = |inbound: &Inbound| inbound.principals.is_some();
        role.looks_inbound() && self.inbound.as_ref().is_some_and(accepts_some)
    }

    /// All secrets that its outbound rules put on, but for codes.
    pub fn secrets(&self) -> Given {
        let rules = self.outbound.iter().flat_map(|outbound| outbound.rules.iter());
        let mut secrets = Given::default();
        for secret in rules.flat_map(outbound::Rule::secrets) {
            secrets.add(Rc::clone(secret));
        }
        secrets
    }
}

/// Whether a policy, or a rule, decides (`enforcement`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Enforcement {
    /// It does.
    #[default]
    Enforce,
    /// What it would decide is counted and logged, and decides nothing.
    Shadow,
}

/// How refusals are worded (`inbound.errors`).
#[derive(Debug, Clone)]
pub struct ErrorStyle {
    /// The `realm` of challenges (RFC 9110 §11.5).
    pub realm: String,
    /// Whether a caller is told which check failed; `false` reduces every 401 to one text.
    pub verbose: bool,
    /// The `code` of JSON-RPC errors.
    pub jsonrpc_code: i32,
    /// Whether pages of other origins may read the challenge (`expose_challenge`).
    pub exposes_challenge: bool,
    /// Takes secrets out of the path of a refused request, which access logs print.
    pub redactor: Redactor,
}

impl Default for ErrorStyle {
    fn default() -> Self {
        Self {
            realm: DEFAULT_REALM.to_owned(),
            verbose: true,
            jsonrpc_code: DEFAULT_JSONRPC_CODE,
            exposes_challenge: false,
            redactor: Redactor::default(),
        }
    }
}

/// What stands in place of a rule's name where no rule decided; no rule may have it.
pub const NO_RULE: &str = "none";
/// The header that carries the verified claims as one JSON object.
pub const RB_AUTH_CLAIMS: &str = "rb-auth-claims";
/// The issuer of callers with an API key, whom no issuer vouches for. No provider may have it.
pub const API_KEY_ISSUER: &str = jwt::RESERVED_ISSUER;
/// The issuer of callers with a static bearer token. No provider may have it.
pub const BEARER_TOKEN_ISSUER: &str = "bearer-token";
/// The issuer of callers who are known by their certificate. No provider may have it.
pub const MTLS_ISSUER: &str = "mtls";
/// The realm of challenges where neither the configuration nor the proxy knows a better one.
const DEFAULT_REALM: &str = "peergate";
/// In the range that JSON-RPC 2.0 §5.1 leaves to servers, outside what A2A has taken (-32001 to -32010).
const DEFAULT_JSONRPC_CODE: i32 = -32000;
