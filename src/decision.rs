//! From a request and a policy to what the boundary shall do. Pure: the same arguments give the same decision.
//!
//! [`decide`] runs the machines that the role asks for, [`inbound`] before [`outbound`], and nothing else in the
//! crate can make a [`Permit`]: forwarding without a decision does not compile.

pub mod answer;
mod answered;
mod assertion;
mod callers_token;
mod card;
mod credentials;
pub mod deny;
#[cfg(not(target_arch = "wasm32"))]
pub mod findings;
mod identity;
mod inbound;
mod injected;
mod introspected;
mod known;
mod location;
pub mod log_budget;
mod mark;
mod outbound;
mod pending;
mod published;
mod questions;
pub mod record;
mod second_factor;
mod shadow;
pub mod state;

use std::mem;
use std::rc::Rc;

use crate::answers::Answers;
use crate::claims::Claims;
use crate::echo::Given;
use crate::http::{Edits, Headers, Reply, Request};
use crate::jwks::NoHostSignatures;
use crate::jwt;
use crate::policy::inbound::Peer;
use crate::policy::location::AUTHORIZATION;
use crate::policy::owned::is_same_header;
use crate::policy::{Enforcement, ErrorStyle, NO_RULE, Policy};
use crate::redact::Redactor;
use crate::role::{Direction, Role};
use crate::signer::{HostSigner, NoHostSigner};
use crate::state::{Nowhere, SharedState};
use crate::time::UnixTime;

use self::callers_token::CallersToken;
use self::card::Watch;
use self::inbound::Verdict;
use self::injected::Injected;
use self::mark::Mark;
use self::outbound::Receipt;

pub use self::answered::Exposure;
pub use self::card::{CardMeans, CardNote, Cards, Passed};
pub use self::deny::Deny;
pub use self::known::KnownTokens;
pub use self::outbound::Recheck;
pub use self::pending::{Held, Pending, Wish};
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
    /// Let the request wait for what would help it, where that may come, and decide it again when there is news; else
    /// go on without.
    Wait(Pending<'p>),
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
#[derive(Debug, Default)]
pub struct Permit {
    caller: Option<Rc<Caller>>,
    /// The caller's token, where an outbound rule may exchange it.
    callers_token: Option<CallersToken>,
    /// Whether no token of the caller may go on, in trailers either.
    bars_token: bool,
    /// Which token an outbound rule has put on the call.
    token: Option<Receipt>,
    /// What an outbound rule has put on the call.
    given: Given,
    /// The headers among it, in lower case.
    given_headers: Vec<String>,
    /// The rule that has put a credential into the query.
    query_rule: Option<String>,
    /// The agent card that may come as the answer.
    card: Option<Watch>,
    /// What was asked for then, as a log may show it.
    card_path: Rc<str>,
    /// By which request, as a log line names it: an answer does not say.
    card_request: Rc<str>,
    /// Whether another policy has decided, and this one has nothing to do with the stream.
    is_aside: bool,
}

impl Permit {
    /// The verified caller; `None` where the rule asked for none, or where nobody was asked.
    pub fn caller(&self) -> Option<&Caller> {
        self.caller.as_deref()
    }

    /// What the inbound half knows, for a request that has to wait.
    fn copy(&self) -> Self {
        Self {
            caller: self.caller.clone(),
            callers_token: self.callers_token.clone(),
            bars_token: self.bars_token,
            card: self.card.clone(),
            card_path: Rc::clone(&self.card_path),
            card_request: Rc::clone(&self.card_request),
            ..Self::default()
        }
    }
}

/// A verified caller.
#[derive(Debug)]
pub struct Caller {
    /// The kind of its credential.
    pub method: Method,
    /// The peer that the credential belongs to.
    pub peer: Option<Rc<Peer>>,
    /// The subject: a token's `sub`, a certificate's SPIFFE ID, else the peer's name.
    pub sub: Option<Rc<str>>,
    /// The issuer: a token's `iss`, else a word for the kind of credential.
    pub iss: Rc<str>,
    /// A name for people.
    pub display_name: Option<Rc<str>>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// The claims of its token that a rule asks for; none for others.
    pub claims: Claims,
}

/// The kind of a credential, in the words of `accept`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A verified JWT.
    Jwt,
    /// An opaque token that its server knows as active.
    Introspection,
    /// A static bearer token.
    BearerToken,
    /// An API key.
    ApiKey,
    /// The certificate of the connection.
    Mtls,
}

impl Method {
    /// As it is forwarded.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::Introspection => "introspection",
            Self::BearerToken => "bearer_token",
            Self::ApiKey => "api_key",
            Self::Mtls => "mtls",
        }
    }
}

/// What a decision is made of besides the request.
#[derive(Clone, Copy)]
pub struct Means<'p> {
    /// What is enforced.
    pub policy: &'p Policy,
    /// The keys that stand now, and the host's cryptography.
    pub tokens: jwt::Means<'p>,
    /// The host, which may sign.
    pub signer: &'p dyn HostSigner,
    /// What was verified under this policy before; `None`: nothing is kept.
    pub known: Option<&'p KnownTokens>,
    /// What the workers of the process know in common, and everybody in it may read: counters, never secrets.
    pub state: &'p dyn SharedState,
    /// What servers have said; `None`: nobody is asked.
    pub answers: Option<&'p Answers>,
    /// A key that only this virtual machine knows: what is made with it cannot be foreseen. `None` where the host has no
    /// random bytes.
    pub machine_key: Option<[u8; 16]>,
}

impl<'p> Means<'p> {
    /// With the keys that the policy itself holds, and without a host: what must be remembered is refused.
    pub fn of(policy: &'p Policy) -> Self {
        let tokens = jwt::Means {
            keys: &policy.keys.written,
            signatures: &NoHostSignatures,
        };
        Self {
            policy,
            tokens,
            signer: &NoHostSigner,
            known: None,
            state: &Nowhere,
            answers: None,
            machine_key: None,
        }
    }
}

/// Makes room in what workers share, for what decisions under this policy remember there. To be called when it comes
/// into force, and before: what is there already stays as it is.
pub fn prepare(policy: &Policy, state: &dyn SharedState) {
    for ledger in policy.inbound.iter().flat_map(|inbound| inbound.ledgers()) {
        ledger.prepare(state);
    }
}

/// Decides a request in the role that the filter has on its stream.
pub fn decide<'p>(means: Means<'p>, role: Role, request: &Request, now: UnixTime) -> Decision<'p> {
    decide_on(means, role, request, None, now)
}

/// Decides a request that has waited, with what is held of it.
pub fn decide_on<'p>(
    means: Means<'p>,
    role: Role,
    request: &Request,
    held: Option<Held>,
    now: UnixTime,
) -> Decision<'p> {
    let injected = Injected::of(request);
    match injected.filter(|injected| injected.is_of_a_run_before(means.policy, role, request)) {
        Some(injected) => decide_again(means, role, request, &injected, held, now),
        None => decide_once(means, role, request, None, held, now),
    }
}

/// Takes off what a run before has put on, and decides what is left.
fn decide_again<'p>(
    means: Means<'p>,
    role: Role,
    request: &Request,
    injected: &Injected,
    held: Option<Held>,
    now: UnixTime,
) -> Decision<'p> {
    let policy = means.policy;
    let (removal, mut decision) = match injected.removal(request, &policy.secrets()) {
        Ok(removal) => {
            let mut left = request.edited(&removal);
            left.injected = None;
            let decision = decide_once(means, role, &left, Some(injected), held, now);
            (removal, decision)
        }
        Err(removal) => {
            let mut decision = refuse(&policy.errors, request, Deny::OutboundRedirected);
            if let Step::Reply(reply) = &mut decision.step {
                reply.edits.set(b":path", UNSPEAKABLE_PATH.to_vec());
            }
            (removal, decision)
        }
    };
    let edits = decision.step.edits();
    let later = mem::replace(edits, removal);
    edits.merge(later);
    decision
}

fn decide_once<'p>(
    means: Means<'p>,
    role: Role,
    request: &Request,
    before: Option<&Injected>,
    held: Option<Held>,
    now: UnixTime,
) -> Decision<'p> {
    let policy = means.policy;
    let decision = decide_in_earnest(means, role, request, before, held, now);
    match policy.enforcement {
        Enforcement::Enforce => decision,
        Enforcement::Shadow => shadow::watch(policy, request, decision),
    }
}

fn decide_in_earnest<'p>(
    means: Means<'p>,
    role: Role,
    request: &Request,
    before: Option<&Injected>,
    held: Option<Held>,
    now: UnixTime,
) -> Decision<'p> {
    let policy = means.policy;
    match (role, Mark::of(request)) {
        (Role::Outbound | Role::Upstream, mark) => outbound::decide(means, role, mark, request, before, now),
        (Role::Inbound | Role::Gateway, Some(_)) if policy.is_fallback => Decision::aside(),
        // Two policies that both decide would check a credential that the first has taken off.
        (Role::Inbound | Role::Gateway, Some(_)) => {
            let mut decision = refuse(&policy.errors, request, Deny::LayerOrder);
            if let Step::Reply(reply) = &mut decision.step {
                // The other policy's rule has not refused it.
                reply.edits.set_state(state::RULE, NO_RULE);
            }
            decision
        }
        (Role::Inbound | Role::Gateway, None) => match judged(means, request, held, now) {
            Verdict::Permitted(permit, edits, records) if role == Role::Gateway => {
                let decision =
                    outbound::continue_gateway(means, request, before, now, permit, edits, records);
                unlogged(policy, request, decision)
            }
            Verdict::Permitted(permit, edits, records) => {
                Decision::new(Step::Forward(permit, edits), records)
            }
            Verdict::Refused(reply, records, wish) => {
                let keys = || records.last().and_then(|record| record.wish(&policy.keys));
                let wish = wish.or_else(|| keys().map(Wish::Keys));
                let refusal = Decision::new(Step::Reply(reply), records);
                match wish {
                    Some(wish) => refusal.unless(wish, None, Vec::new()),
                    None => refusal,
                }
            }
        },
    }
}

/// What the inbound machine says, or has said before the request had to wait.
fn judged<'p>(means: Means<'p>, request: &Request, held: Option<Held>, now: UnixTime) -> Verdict<'p> {
    match held {
        Some(Held { permit, edits }) => Verdict::Permitted(permit, edits, Vec::new()),
        None => inbound::decide(means, request, now),
    }
}

/// Keeps what the inbound half knows to be a credential in the query out of what the outbound half has logged.
fn unlogged<'p>(policy: &Policy, request: &Request, mut decision: Decision<'p>) -> Decision<'p> {
    match &mut decision.step {
        Step::Forward(_, edits) | Step::Recheck(edits, _) => {
            if let Some(inbound) = &policy.inbound {
                location::clean_original_path(inbound, edits);
            }
        }
        Step::Wait(pending) => {
            let otherwise = mem::replace(&mut *pending.otherwise, Decision::aside());
            *pending.otherwise = unlogged(policy, request, otherwise);
        }
        // It saw the request without them, and the proxy still has the one that it received.
        Step::Reply(reply) => {
            let mut edits = answer::without_secrets(&policy.errors.redactor, request);
            edits.merge(mem::take(&mut reply.edits));
            reply.edits = edits;
        }
    }
    decision
}

/// What is taken out of the trailers of a request that goes on: a forged identity stays one behind the body.
pub fn decide_trailers(policy: &Policy, permit: &Permit, trailers: &Headers) -> Edits {
    if permit.is_aside {
        return Edits::default();
    }
    let mut edits = inbound::strip_trailers(policy, trailers);
    if permit.bars_token {
        edits.remove_all(trailers, |name| name == AUTHORIZATION.as_bytes());
    }
    // What is put on comes once, and not again behind the body.
    edits.remove_all(trailers, |name| {
        let mut given = permit.given_headers.iter();
        given.any(|own| is_same_header(own.as_bytes(), name))
    });
    if policy.enforcement == Enforcement::Shadow {
        edits.retain(|name| policy.owned_headers.contains(name));
    }
    edits
}

/// The decision for a stream without a policy: a configuration that could not be read serves nothing.
pub fn without_policy<'p>(request: &Request) -> Decision<'p> {
    refuse(&ErrorStyle::default(), request, Deny::NotConfigured)
}

/// The decision for a stream on which a host call failed: whatever was decided cannot be applied, and what was applied
/// so far must not be logged.
pub fn host_failed<'p>(policy: Option<&Policy>, request: &Request) -> Decision<'p> {
    let style = ErrorStyle {
        // The names of its parameters are needed; what it says of refusals is not.
        redactor: policy.map_or_else(Redactor::default, |policy| policy.errors.redactor.clone()),
        ..ErrorStyle::default()
    };
    let mut decision = refuse(&style, request, Deny::Internal("a host call failed"));
    if let (Step::Reply(reply), Some(path)) = (&mut decision.step, request.path()) {
        reply.edits.set(b":path", style.redactor.sanitize(path));
    }
    decision
}

fn refuse<'p>(style: &ErrorStyle, request: &Request, deny: Deny) -> Decision<'p> {
    let reply = answer::reply(&deny, &answer::Circumstances::plain(style, request));
    let record = Record::denied(Direction::Inbound, None, deny);
    Decision::new(Step::Reply(reply), vec![record])
}

impl Step<'_> {
    /// What is changed of the request, whichever step it is.
    fn edits(&mut self) -> &mut Edits {
        match self {
            Self::Forward(_, edits) | Self::Recheck(edits, _) => edits,
            Self::Reply(reply) => &mut reply.edits,
            Self::Wait(pending) => pending.otherwise.step.edits(),
        }
    }
}

impl<'p> Decision<'p> {
    /// A step with its records; what they say is put where access logs and RBAC see it.
    fn new(mut step: Step<'p>, records: Vec<Record<'p>>) -> Self {
        show(&records, step.edits());
        Self { step, records }
    }

    /// This, unless a wish comes true that may make something else of it. The records are those of what is held.
    fn unless(self, wish: Wish, held: Option<Held>, records: Vec<Record<'p>>) -> Self {
        let pending = Pending {
            wish,
            otherwise: Box::new(self),
            held,
        };
        Self {
            step: Step::Wait(pending),
            records,
        }
    }

    /// Another policy has decided: nothing is changed, and what it said stands.
    fn aside() -> Self {
        let permit = Permit {
            is_aside: true,
            ..Permit::default()
        };
        Self {
            step: Step::Forward(permit, Edits::default()),
            records: vec![Record::new(Direction::Inbound, None, Outcome::StoodAside)],
        }
    }
}

/// Puts what records say where access logs and RBAC see it.
fn show(records: &[Record<'_>], edits: &mut Edits) {
    for (enforcement, reason, rule) in [
        (Enforcement::Enforce, state::REASON, state::RULE),
        (Enforcement::Shadow, state::SHADOW_REASON, state::SHADOW_RULE),
    ] {
        let of_kind = || records.iter().filter(|record| record.enforcement == enforcement);
        // A gateway has two records: a refusal explains itself, else the inbound rule is what matters.
        let is_refusal = |record: &&Record<'_>| matches!(record.outcome, Outcome::Denied(_));
        if let Some(record) = of_kind().find(is_refusal).or(of_kind().next()) {
            // What was said before the request had to wait stands, unless it is refused after all.
            if edits.has_state(reason) && !is_refusal(&record) {
                continue;
            }
            edits.set_state(reason, record.outcome.reason());
            if let Some(name) = record.rule {
                edits.set_state(rule, name.as_bytes().to_vec());
            }
        }
    }
}

/// The property under which filter state [`state::INBOUND`] is read.
pub const MARK: &str = "wasm.peergate.inbound";
/// The property under which filter state [`state::INJECTED`] is read.
pub const INJECTED: &str = "wasm.peergate.injected";

/// What is logged in place of a path out of which a secret cannot be taken.
const UNSPEAKABLE_PATH: &[u8] = b"/*****";

/// Envoy writes the path before a rewrite into this header and logs print it; a caller's own would be believed.
const ORIGINAL_PATH: &[u8] = b"x-envoy-original-path";
/// Envoy writes the URL before a redirect that it follows into this header, with the key that was in it.
const ORIGINAL_URL: &[u8] = b"x-envoy-original-url";
