//! The inbound machine: who is calling, and may they?
//!
//! ```text
//! a document of the filter's own? ─► answer
//! strip what is ours ─► path, host ─► rule ─┬─► deny
//!                                     ▲     ├─► public ──────────────────────────────────────► permit
//!                                     │     └─► prove credentials ─► accept ─► require ─► forward ─► permit
//!                                     └─── of a rule in shadow, whatever it says
//! ```
//!
//! Every arrow that is not drawn is a refusal.

#[cfg(not(target_arch = "wasm32"))]
pub(super) mod findings;

use std::rc::Rc;

use crate::authority::Authority;
use crate::decision::answer::{self, Circumstances};
use crate::decision::credentials::{Presented, Proved};
use crate::decision::mark::Mark;
use crate::decision::record::{Outcome, Record};
use crate::decision::second_factor::SecondFactor;
use crate::decision::{
    Caller, CallersToken, Deny, Means, Method, ORIGINAL_PATH, Permit, Wish, assertion, card, identity,
    location, published, state as filter_state,
};
use crate::http::{Edits, Headers, Repeated, Reply, Request};
use crate::path::RequestPath;
use crate::policy::inbound::{AmbiguousPaths, CorsPreflight};
use crate::policy::owned::is_same_header;
use crate::policy::rule::{Accept, Action, Protocol, Require, Rule};
use crate::policy::{Enforcement, Inbound, Policy};
use crate::role::Direction;
use crate::state::{Glance, SharedState};
use crate::time::UnixTime;

/// The end of the machine.
pub(super) enum Verdict<'p> {
    /// The request may come in, changed so.
    Permitted(Permit, Edits, Vec<Record<'p>>),
    /// It is answered.
    Refused(Reply, Vec<Record<'p>>, Option<Wish>),
}

/// Decides whether a request may come in.
pub(super) fn decide<'p>(means: Means<'p>, request: &Request, now: UnixTime) -> Verdict<'p> {
    let policy = means.policy;
    if let Some((reply, kind)) = published::published(policy, request) {
        let record = Record::new(Direction::Inbound, None, Outcome::Published(kind));
        return Verdict::Refused(reply, vec![record], None);
    }
    let mut records = Vec::new();
    match judge(means, request, now, &mut records) {
        Ok(Entry {
            rule,
            admitted,
            mut edits,
        }) => {
            let mark = if admitted.is_some() {
                Mark::Verified
            } else {
                Mark::Anonymous
            };
            edits.set_state(filter_state::INBOUND, mark.value());
            let half = policy.inbound.as_ref();
            let card = half
                .zip(rule)
                .and_then(|(half, rule)| card::watch(half, request, rule, &mut edits));
            let bars_token = rule.is_some_and(Rule::bars_token);
            let rule = rule.map(|rule| rule.name.as_str());
            records.push(Record::new(Direction::Inbound, rule, Outcome::Allowed));
            let (caller, callers_token) = match admitted {
                Some(Admitted {
                    caller,
                    callers_token,
                }) => (Some(caller), callers_token),
                None => (None, None),
            };
            let permit = Permit {
                caller,
                callers_token,
                bars_token,
                card_path: card.as_ref().map(|_| card::path(request)).unwrap_or_default(),
                card_request: card.as_ref().map(|_| card::id(request)).unwrap_or_default(),
                card,
                ..Permit::default()
            };
            Verdict::Permitted(permit, edits, records)
        }
        Err(Refusal {
            rule,
            deny,
            shown,
            wish,
        }) => {
            let mut reply = answer::reply(&deny, &circumstances(policy, request, rule));
            for (name, value) in shown.state() {
                reply.edits.set_state(name, value.to_vec());
            }
            let rule = rule.map(|rule| rule.name.as_str());
            records.push(Record::denied(Direction::Inbound, rule, deny));
            Verdict::Refused(reply, records, wish.map(|wish| *wish))
        }
    }
}

/// A request that may come in: by which rule, of whom, and what is changed.
struct Entry<'p> {
    rule: Option<&'p Rule>,
    admitted: Option<Admitted>,
    edits: Edits,
}

/// A caller who was verified.
struct Admitted {
    caller: Rc<Caller>,
    callers_token: Option<CallersToken>,
}

/// A request that may not: by which rule, why, and the filter state that shows whose first factor was good.
struct Refusal<'p> {
    rule: Option<&'p Rule>,
    deny: Deny,
    shown: Box<Edits>,
    /// What may make something else of it.
    wish: Option<Box<Wish>>,
}

/// A refusal before any rule.
impl From<Deny> for Refusal<'_> {
    fn from(deny: Deny) -> Self {
        Self {
            rule: None,
            deny,
            shown: Box::default(),
            wish: None,
        }
    }
}

fn judge<'p>(
    means: Means<'p>,
    request: &Request,
    now: UnixTime,
    records: &mut Vec<Record<'p>>,
) -> Result<Entry<'p>, Refusal<'p>> {
    let policy = means.policy;
    let inbound = policy.inbound.as_ref().ok_or(Deny::NotConfigured)?;
    let mut edits = strip(policy, request);
    let (path, authority) = target(policy, inbound, request)?;
    if inbound.cors_preflight == CorsPreflight::Pass && is_cors_preflight(request) {
        return Ok(Entry {
            rule: None,
            admitted: None,
            edits,
        });
    }
    let presented = Presented::new(inbound, means, request, now);
    let glance = Glance(means.state);
    for rule in inbound.rules.candidates(&path, &authority) {
        let Some(matched) = matches(rule, request, &authority, &path) else {
            continue;
        };
        // What only looks uses no code up, and counts none.
        let state = match (policy.enforcement, rule.enforcement) {
            (Enforcement::Enforce, Enforcement::Enforce) => means.state,
            (Enforcement::Shadow, _) | (_, Enforcement::Shadow) => &glance,
        };
        let judge = |edits: &mut Edits| {
            matched.map_err(unproved)?;
            apply(inbound, rule, &path, &presented, state, edits)
        };
        match rule.enforcement {
            Enforcement::Enforce => {
                return match judge(&mut edits) {
                    Ok(admitted) => Ok(Entry {
                        rule: Some(rule),
                        admitted,
                        edits,
                    }),
                    Err((deny, shown)) => Err(Refusal {
                        rule: Some(rule),
                        deny,
                        shown: Box::new(shown),
                        wish: presented.take_wish().map(Box::new),
                    }),
                };
            }
            // It never decides: matching goes on behind it, whatever it says.
            Enforcement::Shadow => {
                let judged = judge(&mut Edits::default());
                // What decides nothing keeps nobody waiting.
                presented.take_wish();
                let outcome = match judged {
                    Ok(_) => Outcome::Allowed,
                    Err((deny, _)) => Outcome::Denied(deny),
                };
                records.push(Record {
                    enforcement: Enforcement::Shadow,
                    ..Record::new(Direction::Inbound, Some(&rule.name), outcome)
                });
            }
        }
    }
    Err(Deny::NoRule.into())
}

fn circumstances<'a>(policy: &'a Policy, request: &'a Request, rule: Option<&'a Rule>) -> Circumstances<'a> {
    let scopes = match rule.map(|rule| &rule.action) {
        Some(Action::Authenticate(_, require)) => require.scopes.as_slice(),
        Some(Action::Deny | Action::Public) | None => &[],
    };
    Circumstances {
        style: &policy.errors,
        request,
        protocol: rule.map_or(Protocol::Auto, |rule| rule.protocol),
        scopes,
        inbound: policy.inbound.as_ref(),
    }
}

/// Takes away all that only the filter writes, and what stands in every place of a credential, on every path. A
/// provider may have its token put back.
fn strip(policy: &Policy, request: &Request) -> Edits {
    let mut edits = Edits::default();
    edits.remove_all(&request.headers, |name| is_ours(policy, name));
    if let Some(inbound) = &policy.inbound {
        location::strip(inbound, request, &mut edits);
    }
    edits
}

/// The same of trailers, for some servers read them like headers. Cookies there are no honest client's: all go if one
/// is a credential.
pub(super) fn strip_trailers(policy: &Policy, trailers: &Headers) -> Edits {
    let mut edits = Edits::default();
    edits.remove_all(trailers, |name| is_ours(policy, name));
    if let Some(inbound) = &policy.inbound
        && location::is_in_cookies(inbound, trailers)
    {
        edits.remove(location::COOKIE);
    }
    edits
}

/// Whether a header, or trailer, is the filter's own or a place of its credentials.
fn is_ours(policy: &Policy, name: &[u8]) -> bool {
    policy.owned_headers.contains(name)
        || policy.inbound.as_ref().is_some_and(|inbound| {
            name == ORIGINAL_PATH
                || is_same_header(name, inbound.totp.header.as_bytes())
                || location::is_header(inbound, name)
        })
}

/// Where the request goes, if that has one meaning only.
fn target<'r>(
    policy: &Policy,
    inbound: &Inbound,
    request: &'r Request,
) -> Result<(RequestPath<'r>, Authority<'r>), Deny> {
    if names_owned_header(policy, request) {
        return Err(Deny::ConnectionNamesOwned);
    }
    // Methods have a case, and some servers have none: to those `post` is a POST, which a rule must not miss.
    if request.method().iter().any(u8::is_ascii_lowercase) {
        return Err(Deny::MethodAmbiguous);
    }
    let path = request.path().ok_or(Deny::PathMissing)?;
    let path = RequestPath::raw(path).where_marks_count(&inbound.path_marks);
    if let (AmbiguousPaths::Reject, Some(ambiguity)) = (inbound.ambiguous_paths, path.ambiguity()) {
        return Err(Deny::PathAmbiguous(ambiguity));
    }
    let authority = Authority::parse(request.authority()).map_err(Deny::HostInvalid)?;
    Ok((path, authority))
}

/// Whether `Connection` names a header of the filter, so that a proxy further on would take it off. Envoy itself takes
/// `Connection` away before filters run, but for an upgrade (RFC 9110 §7.6.1).
fn names_owned_header(policy: &Policy, request: &Request) -> bool {
    request
        .headers
        .all(b"connection")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .any(|name| is_ours(policy, name.trim_ascii()))
}

/// A CORS preflight as the Fetch standard defines it.
fn is_cors_preflight(request: &Request) -> bool {
    request.method() == b"OPTIONS"
        && request.headers.first(b"origin").is_some()
        && request.headers.first(b"access-control-request-method").is_some()
}

/// Whether a rule matches. A path with two meanings matches no rule that lets strangers through.
///
/// # Errors
/// A header that the rule asks for comes twice: which of them the upstream takes is not known, and a rule that
/// refuses one of them must not be passed over for the other.
fn matches(
    rule: &Rule,
    request: &Request,
    authority: &Authority<'_>,
    path: &RequestPath<'_>,
) -> Option<Result<(), Deny>> {
    if (path.is_ambiguous() && rule.lets_strangers_through())
        || !rule.condition.matches_target(request, authority, path)
    {
        return None;
    }
    match rule.condition.matches_headers(&request.headers) {
        Ok(true) => Some(Ok(())),
        Ok(false) => None,
        Err(Repeated) => Some(Err(Deny::HeaderRepeated {
            rule: rule.name.clone(),
        })),
    }
}

/// What a rule that matches says: who is let in. A refusal comes with what may be shown of a caller whose first factor
/// was good.
fn apply(
    inbound: &Inbound,
    rule: &Rule,
    path: &RequestPath<'_>,
    presented: &Presented<'_, '_>,
    state: &dyn SharedState,
    edits: &mut Edits,
) -> Result<Option<Admitted>, (Deny, Edits)> {
    if rule.protocol == Protocol::Mcp
        && path
            .query()
            .is_some_and(|query| location::holds_token(inbound, query))
    {
        return Err(unproved(Deny::TokenInQuery));
    }
    match &rule.action {
        Action::Deny => Err(unproved(Deny::RuleDenied)),
        Action::Public => Ok(None),
        Action::Authenticate(accept, require) => {
            if rule.bars_token() {
                location::bar(presented.request(), edits);
            }
            authenticate(inbound, rule, (accept, require), presented, state, edits)
        }
    }
}

/// A refusal that shows nobody.
fn unproved(deny: Deny) -> (Deny, Edits) {
    (deny, Edits::default())
}

/// Proves the caller, and that it has all that the rule asks for.
fn authenticate(
    inbound: &Inbound,
    rule: &Rule,
    (accept, require): (&Accept, &Require),
    presented: &Presented<'_, '_>,
    state: &dyn SharedState,
    edits: &mut Edits,
) -> Result<Option<Admitted>, (Deny, Edits)> {
    // Read before any proof, so that a request which carries two is never decided by one of them.
    let code = presented.code().map_err(unproved)?;
    let proofs = presented.proofs().map_err(unproved)?;
    for credential in &proofs.proved {
        check_accepted(accept, credential).map_err(unproved)?;
    }
    let introspected = proofs
        .opaque
        .as_ref()
        .map(|opaque| opaque.prove(presented, accept));
    let introspected = introspected.transpose().map_err(unproved)?;
    let connected = match introspected.is_none() && proofs.proved.is_empty() && accept.mtls {
        true => presented.connected(),
        false => None,
    };
    // The token's identity wins over the key's: it is proved first.
    let mut proved = introspected.iter().chain(&proofs.proved).chain(&connected);
    let Some(credential) = proved.next() else {
        return match accept.none {
            true => Ok(None),
            false => Err(unproved(Deny::CredentialsMissing)),
        };
    };
    check_requirements(inbound, require, credential, code, state, presented.now())
        .and_then(|()| identity::forward(inbound, rule, credential, presented.request(), edits))
        .and_then(|()| {
            let has_otp = require.totp.is_some() || credential.has_otp();
            assertion::add(
                inbound,
                presented.means(),
                credential,
                has_otp,
                presented.now(),
                edits,
            )
        })
        .map_err(|deny| (deny, identity::shown(&inbound.forward, &credential.caller)))?;
    Ok(Some(Admitted {
        caller: Rc::clone(&credential.caller),
        callers_token: credential.callers_token.clone(),
    }))
}

/// First that the caller is who it says, then that it may do this.
fn check_requirements(
    inbound: &Inbound,
    require: &Require,
    credential: &Proved<'_>,
    code: Option<&[u8]>,
    state: &dyn SharedState,
    now: UnixTime,
) -> Result<(), Deny> {
    check_audience(require, credential)?;
    // Where a gateway has checked a code, it is used up.
    if let Some(requirement) = require.totp.filter(|_| !credential.has_otp()) {
        let second_factor = SecondFactor {
            totp: &inbound.totp,
            requirement,
            credential,
            state,
            now,
        };
        second_factor.check(code)?;
    }
    check_authorization(require, &credential.caller)
}

fn check_accepted(accept: &Accept, credential: &Proved<'_>) -> Result<(), Deny> {
    let method = credential.caller.method;
    let provider = credential.provider.map(|provider| provider.name.as_str());
    let is_accepted = match method {
        Method::Jwt => provider.is_some_and(|provider| accept.jwt.accepts(provider)),
        Method::Introspection => {
            let name = credential.introspection.as_deref();
            name.is_some_and(|name| accept.introspections.iter().any(|accepted| accepted == name))
        }
        Method::BearerToken => accept.bearer_token,
        Method::ApiKey => accept.api_key,
        Method::Mtls => accept.mtls,
    };
    match is_accepted {
        true => Ok(()),
        false => Err(Deny::CredentialNotAccepted {
            method,
            provider: provider.map(str::to_owned),
        }),
    }
}

/// A rule may be narrower than the token's provider. Keys have no audience.
fn check_audience(require: &Require, credential: &Proved<'_>) -> Result<(), Deny> {
    let of_token = credential.token.as_ref().map(|token| &*token.audiences);
    let is_for_rule = |audiences: &[String]| {
        let mut audiences = audiences.iter();
        audiences.any(|audience| require.audiences.contains(audience))
    };
    let audiences = of_token.or(credential.audiences.as_deref());
    match require.audiences.is_empty() || audiences.is_none_or(is_for_rule) {
        true => Ok(()),
        false => Err(Deny::AudienceNotAccepted),
    }
}

fn check_authorization(require: &Require, caller: &Caller) -> Result<(), Deny> {
    if !require.scopes.iter().all(|scope| caller.scopes.contains(scope)) {
        return Err(Deny::ScopeInsufficient {
            required: require.scopes.clone(),
        });
    }
    if !require.peers.is_empty()
        && !caller
            .peer
            .as_ref()
            .is_some_and(|peer| require.peers.iter().any(|wanted| **wanted == *peer.name))
    {
        return Err(Deny::PeerNotAllowed);
    }
    let failed = require.claims.iter().find(|(claim, values)| {
        !claim
            .find(&caller.claims)
            .is_some_and(|value| crate::claims::holds_any(value, values))
    });
    match failed {
        Some((claim, _)) => Err(Deny::ClaimNotAllowed {
            claim: claim.as_str().to_owned(),
        }),
        None => Ok(()),
    }
}
