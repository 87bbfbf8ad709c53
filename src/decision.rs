//! From a request and a policy to what the boundary shall do. Pure: the same arguments give the same decision.
//!
//! [`decide`] runs the machines that the role asks for, [`inbound`] before [`outbound`], and nothing else in the
//! crate can make a [`Permit`]: forwarding without a decision does not compile.

pub mod answer;
mod credentials;
pub mod deny;
mod identity;
mod inbound;
mod outbound;
pub mod record;

use std::rc::Rc;

use crate::claims::Claims;
use crate::http::{Edits, Headers, Reply, Request};
use crate::policy::inbound::Peer;
use crate::policy::{ErrorStyle, Policy};
use crate::redact::Redactor;
use crate::role::{Direction, Role};
use crate::time::UnixTime;

use self::inbound::Verdict;

pub use self::deny::Deny;
pub use self::outbound::Recheck;
pub use self::record::{Outcome, Record};

/// What the boundary shall do next.
#[derive(Debug)]
pub enum Step<'p> {
    /// Apply the edits and let the request go on.
    Forward(Permit, Edits),
    /// Apply the edits, read the cluster of the route again, and resume with it: changing the path chose the route
    /// anew.
    Recheck(Edits, Recheck<'p>),
    /// Apply the reply's edits, then answer.
    Reply(Reply),
}

/// A step, and what is to be counted and logged of it.
#[derive(Debug)]
pub struct Decision<'p> {
    /// What to do.
    pub step: Step<'p>,
    /// One for each machine that came to an end.
    pub records: Vec<Record<'p>>,
}

/// The proof that a request was decided and may go on. Only the machines in this module make one.
#[derive(Debug)]
pub struct Permit {
    caller: Option<Caller>,
}

impl Permit {
    /// The verified caller; `None` where the rule asked for none, or where nobody was asked.
    pub fn caller(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }
}

/// A verified caller.
#[derive(Debug)]
pub struct Caller {
    /// The kind of its credential.
    pub method: Method,
    /// The peer that the credential belongs to.
    pub peer: Option<Rc<Peer>>,
    /// The subject: a token's `sub`, else the peer's name.
    pub sub: Option<String>,
    /// The issuer: a token's `iss`, else the kind of key.
    pub iss: String,
    /// A name for people.
    pub display_name: Option<String>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// The claims of its token; none for keys.
    pub claims: Claims,
}

/// The kind of a credential, in the words of `accept`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A verified JWT.
    Jwt,
    /// A static bearer token.
    BearerToken,
    /// An API key.
    ApiKey,
}

impl Method {
    /// As it is forwarded.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::BearerToken => "bearer_token",
            Self::ApiKey => "api_key",
        }
    }
}

/// Decides a request in the role that the filter has on its stream.
pub fn decide<'p>(policy: &'p Policy, role: Role, request: &Request, now: UnixTime) -> Decision<'p> {
    let verdict = match role {
        Role::Outbound => return outbound::decide(policy, request, now),
        Role::Inbound | Role::Gateway => inbound::decide(policy, request, now),
    };
    match (role, verdict) {
        (_, Verdict::Refused(reply, record)) => Decision::new(Step::Reply(reply), vec![record]),
        (Role::Gateway, Verdict::Permitted(permit, edits, record)) => {
            outbound::continue_gateway(policy, request, now, permit, edits, record)
        }
        (_, Verdict::Permitted(permit, edits, record)) => {
            Decision::new(Step::Forward(permit, edits), vec![record])
        }
    }
}

/// What is taken out of the trailers of a request that goes on: a forged identity stays one behind the body.
pub fn decide_trailers(policy: &Policy, trailers: &Headers) -> Edits {
    inbound::strip(policy, trailers)
}

/// The decision for a stream without a policy: a configuration that could not be read serves nothing.
pub fn without_policy<'p>(request: &Request) -> Decision<'p> {
    refuse(request, Deny::NotConfigured)
}

/// The decision for a stream on which a host call failed: whatever was decided cannot be applied, and what was applied
/// so far must not be logged.
pub fn host_failed<'p>(request: &Request) -> Decision<'p> {
    let mut decision = refuse(request, Deny::Internal("a host call failed"));
    if let (Step::Reply(reply), Some(path)) = (&mut decision.step, request.path()) {
        reply.edits.set(b":path", Redactor::default().sanitize(path));
    }
    decision
}

fn refuse<'p>(request: &Request, deny: Deny) -> Decision<'p> {
    let style = ErrorStyle::default();
    let reply = answer::reply(&deny, &answer::Circumstances::plain(&style, request));
    let record = Record::denied(Direction::Inbound, None, deny);
    Decision::new(Step::Reply(reply), vec![record])
}

impl<'p> Decision<'p> {
    /// A step with its records; what they say is put where access logs and RBAC see it.
    fn new(mut step: Step<'p>, records: Vec<Record<'p>>) -> Self {
        let edits = match &mut step {
            Step::Forward(_, edits) | Step::Recheck(edits, _) => edits,
            Step::Reply(reply) => &mut reply.edits,
        };
        // A gateway has two records: a refusal explains itself, else the inbound rule is what matters.
        let is_refusal = |record: &&Record<'_>| matches!(record.outcome, Outcome::Denied(_));
        if let Some(record) = records.iter().find(is_refusal).or(records.first()) {
            edits.set_state(state::REASON, record.outcome.reason().as_bytes().to_vec());
            if let Some(rule) = record.rule {
                edits.set_state(state::RULE, rule.as_bytes().to_vec());
            }
        }
        Self { step, records }
    }
}

/// Names of the filter state objects, `wasm.<name>` in Envoy.
pub mod state {
    /// Why the request was refused, or `ok`.
    pub const REASON: &str = "peergate.reason";
    /// The rule that decided.
    pub const RULE: &str = "peergate.rule";
    /// The verified peer's name.
    pub const PEER: &str = "peergate.peer";
    /// The verified subject.
    pub const SUB: &str = "peergate.sub";
    /// The issuer of the verified credential.
    pub const ISS: &str = "peergate.iss";
    /// The kind of the verified credential.
    pub const METHOD: &str = "peergate.method";
}

/// Envoy writes the path before a rewrite into this header and logs print it; a caller's own would be believed.
const ORIGINAL_PATH: &[u8] = b"x-envoy-original-path";
