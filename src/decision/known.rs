//! What is known of the caller of a verified token: made once, and kept for as long as the token would be verified
//! again with the same result.
//!
//! It is the finished result: who the caller is, and the bytes that are forwarded of it. Of the claims it holds those
//! that a rule asks for. It does not know which rule a request meets, nor where a token may stand: that is looked at
//! each time.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};

use crate::decision::assertion::Assertable;
use crate::decision::identity::{self, Forwarded};
use crate::decision::second_factor::Subjects;
use crate::decision::{Caller, Deny, Means, Method};
use crate::jwks::KeySet;
use crate::policy::inbound::{Asked, Provider};
use crate::policy::{Inbound, Policy};
use crate::time::UnixTime;
use crate::token_cache::{Limits, TokenCache};
use crate::{assertion, claims, jwt};

/// The tokens that were verified under one policy. Each policy has its own: what it makes of a token is in them.
#[derive(Debug)]
pub struct KnownTokens {
    callers: TokenCache<KnownCaller>,
    /// How many assertions were made.
    count: Cell<u64>,
}

impl KnownTokens {
    /// None yet. The key is that of the cache's hash: random, and nobody else's.
    pub fn new(policy: &Policy, key: [u8; 16]) -> Self {
        let entries = policy
            .inbound
            .as_ref()
            .map_or(0, |inbound| inbound.token_cache_entries);
        let limits = Limits {
            entries,
            bytes: MAX_BYTES,
        };
        Self {
            callers: TokenCache::new(limits, key),
            count: Cell::new(0),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.callers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.callers.is_empty()
    }

    /// What is known of a token, if it would be verified now.
    pub(super) fn find(
        &self,
        inbound: &Inbound,
        token: &[u8],
        means: jwt::Means<'_>,
        now: UnixTime,
    ) -> Option<Rc<Known>> {
        let KnownCaller::Token(known) = self.callers.get(token)? else {
            return None;
        };
        if !known.stands(inbound, means, now) {
            // Not expired, perhaps, but from a future that has moved away: it is verified again in any case.
            self.callers.remove(token);
            return None;
        }
        Some(known)
    }

    pub(super) fn keep(&self, token: &[u8], known: &Rc<Known>) {
        let kept = KnownCaller::Token(Rc::clone(known));
        self.callers.insert(token, kept, known.bytes());
    }

    /// What is asserted of a caller without a token, whom `key` tells from others.
    pub(super) fn assertable(&self, key: &[u8], make: &dyn Fn() -> Rc<Assertable>) -> Rc<Assertable> {
        if let Some(KnownCaller::Other(assertable)) = self.callers.get(key) {
            return assertable;
        }
        let made = make();
        let kept = KnownCaller::Other(Rc::clone(&made));
        self.callers.insert(key, kept, made.bytes());
        made
    }

    /// Another number each time.
    pub(super) fn count(&self) -> u64 {
        self.count.replace(self.count.get().wrapping_add(1))
    }
}

/// What is kept, under a token or under what tells a caller without one from others.
#[derive(Debug, Clone)]
enum KnownCaller {
    Token(Rc<Known>),
    Other(Rc<Assertable>),
}

/// The caller of a verified token.
pub(super) struct Known {
    pub(super) caller: Rc<Caller>,
    /// Its audiences, where a rule asks for some.
    pub(super) audiences: Box<[String]>,
    /// What codes are remembered under, where a rule asks for some.
    pub(super) subjects: Option<Subjects>,
    /// What is forwarded of it.
    pub(super) forwarded: Result<Forwarded, Deny>,
    /// What is asserted of it, where that is done.
    pub(super) assertable: Option<Assertable>,
    /// Whether it is the assertion of a peergate that has checked a one-time password.
    pub(super) has_otp: bool,
    standing: jwt::Standing,
    /// The set that its key was last found in: while it stands, the key does.
    set: RefCell<Weak<KeySet>>,
}

impl Known {
    /// From a token that was verified just now, and its text.
    pub(super) fn of(
        inbound: &Inbound,
        provider: &Provider,
        text: &[u8],
        token: &jwt::Verified,
        means: jwt::Means<'_>,
    ) -> Self {
        let mut caller = tokened(provider, token);
        let forwarded = identity::forwarded(&inbound.forward, Some(provider), &caller, Some(token.payload()));
        let assertable = inbound.assertion.as_ref().map(|assertion| {
            Assertable::of_token(assertion, provider, &caller, token.expires_at().seconds())
        });
        let has_otp = provider.is_assertion && assertion::has_otp(&caller.claims);
        let subjects = subjects(inbound, provider, &caller, text, token);
        let Asked { claims, audiences } = &inbound.asked;
        caller.claims.retain(|name, _| claims.contains(name));
        let audiences = token.audiences().filter(|_| *audiences).map(str::to_owned);
        let set = means.keys.get(token.provider()).map(Rc::downgrade);
        Self {
            caller: Rc::new(caller),
            audiences: audiences.collect(),
            subjects,
            forwarded,
            assertable,
            has_otp,
            standing: token.standing(),
            set: RefCell::new(set.unwrap_or_default()),
        }
    }

    /// What is known of a token that verifies.
    ///
    /// # Errors
    /// [`jwt::Error`].
    pub(super) fn verified(
        inbound: &Inbound,
        means: Means<'_>,
        token: &[u8],
        now: UnixTime,
    ) -> Result<Rc<Self>, jwt::Error> {
        if let Some(known) = means
            .known
            .and_then(|known| known.find(inbound, token, means.tokens, now))
        {
            return Ok(known);
        }
        let verified = inbound.tokens.verify(token, means.tokens, now)?;
        let provider = inbound.providers.get(verified.provider());
        let provider = provider.ok_or(jwt::Error::KeysMissing {
            provider: verified.provider(),
        })?;
        let known = Rc::new(Self::of(inbound, provider, token, &verified, means.tokens));
        if let Some(tokens) = means.known {
            tokens.keep(token, &known);
        }
        Ok(known)
    }

    /// When the token ends.
    pub(super) fn expires_at(&self) -> UnixTime {
        self.standing.expires_at()
    }

    /// The index of the provider.
    pub(super) const fn provider(&self) -> usize {
        self.standing.provider()
    }

    fn stands(&self, inbound: &Inbound, means: jwt::Means<'_>, now: UnixTime) -> bool {
        let Some(set) = means.keys.get(self.provider()) else {
            return false;
        };
        let is_the_same = |known: &Weak<KeySet>| std::ptr::eq(known.as_ptr(), Rc::as_ptr(set));
        if self.set.try_borrow().is_ok_and(|known| is_the_same(&known)) {
            return inbound.tokens.is_within_times(&self.standing, now);
        }
        let stands = inbound.tokens.still_verifies(&self.standing, means, now);
        if stands && let Ok(mut known) = self.set.try_borrow_mut() {
            *known = Rc::downgrade(set);
        }
        stands
    }

    /// What it takes, by estimate: texts, and a word or two for each of them.
    fn bytes(&self) -> usize {
        let Caller {
            sub,
            display_name,
            scopes,
            claims,
            ..
        } = &*self.caller;
        let texts = [sub, display_name].into_iter().flatten().map(|text| text.len());
        let lists = scopes.iter().chain(&self.audiences).map(String::len);
        let listed: usize = texts
            .chain(lists)
            .map(|bytes| bytes.saturating_add(TEXT_BYTES))
            .sum();
        let forwarded = self.forwarded.as_ref().map_or(0, Forwarded::bytes);
        // A tree of values: what its text takes, and as much again for its nodes.
        let claims: usize = claims
            .iter()
            .map(|(name, value)| name.len() + value.to_string().len() + CLAIM_BYTES)
            .sum();
        let assertable = self.assertable.as_ref().map_or(0, Assertable::bytes);
        OWN_BYTES + listed + forwarded + claims + assertable
    }
}

/// Whose it is belongs in no log.
impl fmt::Debug for Known {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Known").finish_non_exhaustive()
    }
}

/// The caller that a verified token stands for: the peer that the configuration gives it to, or, where it gives it to
/// none, a caller without a peer.
fn tokened(provider: &Provider, token: &jwt::Verified) -> Caller {
    let claims = token.claims();
    let text = |name: &str| claims.get(name).and_then(|value| value.as_str());
    let peer = provider
        .peer_claim
        .find(claims)
        .and_then(|value| value.as_str())
        .and_then(|value| provider.peers.get(value));
    Caller {
        method: Method::Jwt,
        peer: peer.cloned(),
        sub: text("sub").map(Into::into),
        // That of the provider, byte for byte; a peergate tells whose caller it was before.
        iss: match text(assertion::IDP_ISS).filter(|_| provider.is_assertion) {
            Some(issuer) => issuer.into(),
            None => provider.issuer.clone(),
        },
        display_name: text("name").map(Into::into),
        scopes: claims::scopes(claims, &provider.scope_claims),
        claims: claims.clone(),
    }
}

/// A token is told from others whatever its signature is: there is more than one that is good for it.
fn subjects(
    inbound: &Inbound,
    provider: &Provider,
    caller: &Caller,
    text: &[u8],
    token: &jwt::Verified,
) -> Option<Subjects> {
    let jti = token.claims().get("jti").and_then(|value| value.as_str());
    let signed = || {
        let end = text.iter().rposition(|byte| *byte == b'.');
        end.and_then(|end| text.get(..end)).unwrap_or(text)
    };
    let (kind, credential) = match jti {
        // RFC 7519 §4.1.7.
        Some(jti) => ("jti", jti.as_bytes()),
        None => ("signed", signed()),
    };
    Subjects::new(&inbound.totp, caller, Some(&provider.name), kind, credential)
}

/// What the tokens of a worker take at the most, by estimate: 10,000 of usual size, and a few hundred if each of them is
/// as long as any may be.
const MAX_BYTES: usize = 6 * 1024 * 1024;
/// An entry, its caller, and what the allocator adds.
const OWN_BYTES: usize = 240;
const TEXT_BYTES: usize = 20;
/// Of one claim, with its part of the tree's nodes.
const CLAIM_BYTES: usize = 96;
