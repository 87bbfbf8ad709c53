//! The assertion of a verified caller: made once for each credential and second factor, and kept with what is known of the
//! credential until half of its life is over.

use std::cell::RefCell;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::assertion::{self, Assertion, Minted, Random, Subject};
use crate::claims::Claims;
use crate::decision::credentials::Proved;
use crate::decision::{Caller, CallersToken, Deny, Means, Method};
use crate::http::Edits;
use crate::policy::Inbound;
use crate::policy::inbound::Provider;
use crate::time::UnixTime;

/// What an assertion says of a credential, and those that were made of it: without and with a second factor.
#[derive(Debug)]
pub(super) struct Assertable {
    subject: Subject,
    /// The `exp` of the credential, where it has one.
    expires_at: Option<u64>,
    minted: [RefCell<Option<Rc<Minted>>>; 2],
}

impl Assertable {
    /// Of the caller whom a verified token stands for.
    pub(super) fn of_token(
        assertion: &Assertion,
        provider: &Provider,
        caller: &Caller,
        expires_at: f64,
    ) -> Self {
        // What was told by an assertion before this one is handed on.
        let amr = match provider.is_assertion {
            true => assertion::words(&caller.claims),
            false => vec![word(caller.method)],
        };
        Self::new(
            assertion,
            caller,
            &caller.claims,
            &amr,
            Some(whole_seconds(expires_at)),
        )
    }

    fn of_other(assertion: &Assertion, caller: &Caller) -> Self {
        // An opaque token has claims, as its server tells them; a key has its peer's scopes.
        let mut claims = caller.claims.clone();
        if claims.is_empty() && !caller.scopes.is_empty() {
            claims.insert("scope".to_owned(), caller.scopes.join(" ").into());
        }
        let expires_at = claims.get("exp").and_then(Value::as_f64).map(whole_seconds);
        Self::new(assertion, caller, &claims, &[word(caller.method)], expires_at)
    }

    fn new(
        assertion: &Assertion,
        caller: &Caller,
        claims: &Claims,
        amr: &[&str],
        expires_at: Option<u64>,
    ) -> Self {
        let peer = caller.peer.as_ref().map(|peer| &*peer.name);
        Self {
            subject: assertion.subject(caller.sub.as_deref(), &caller.iss, peer, claims, amr),
            expires_at,
            minted: Default::default(),
        }
    }

    /// What it takes, by estimate.
    pub(super) const fn bytes(&self) -> usize {
        self.subject.bytes()
    }

    /// The one that stands, or a new one.
    fn minted(
        &self,
        assertion: &Assertion,
        means: Means<'_>,
        has_otp: bool,
        token: Option<&CallersToken>,
        now: UnixTime,
    ) -> Result<Rc<Minted>, Deny> {
        let [without, with] = &self.minted;
        let slot = if has_otp { with } else { without };
        if let Some(minted) = slot.borrow().as_ref().filter(|minted| minted.is_fresh(now)) {
            return Ok(Rc::clone(minted));
        }
        let random = random(means, now).ok_or(Deny::Internal("no random bytes for an assertion"))?;
        let minted = assertion
            .mint(
                &self.subject,
                has_otp,
                self.expires_at,
                now,
                &random,
                means.signer,
            )
            .ok_or_else(|| Deny::ClaimNotForwardable {
                header: assertion.header.to_string(),
            })?;
        if let (Some(answers), Some(token)) = (means.answers, token) {
            let id = assertion::id(&minted.value);
            answers.keep_token(
                &id,
                token.to_bytes(),
                UnixTime::from_seconds(minted.expires_at),
                now,
            );
        }
        let minted = Rc::new(minted);
        slot.replace(Some(Rc::clone(&minted)));
        Ok(minted)
    }
}

/// Puts the assertion of a caller whom a rule lets in onto the request. `has_otp` says that the rule asked for a second
/// factor, and got it.
///
/// # Errors
/// The [`Deny`] for a caller of whom none can be made: an upstream that verifies would refuse it.
pub(super) fn add(
    inbound: &Inbound,
    means: Means<'_>,
    credential: &Proved<'_>,
    has_otp: bool,
    now: UnixTime,
    edits: &mut Edits,
) -> Result<(), Deny> {
    let Some(assertion) = &inbound.assertion else {
        return Ok(());
    };
    if assertion.lacks_key {
        return Err(Deny::SecretMissing);
    }
    let token = credential.callers_token.as_ref();
    let of_token = credential.token.as_ref();
    let minted = match of_token.and_then(|known| known.assertable.as_ref()) {
        Some(assertable) => assertable.minted(assertion, means, has_otp, token, now)?,
        None => {
            let caller = &credential.caller;
            let made = || Rc::new(Assertable::of_other(assertion, caller));
            let assertable = match means.known {
                Some(known) => known.assertable(&key(credential), &made),
                None => made(),
            };
            assertable.minted(assertion, means, has_otp, token, now)?
        }
    };
    edits.set_shared(&Rc::clone(&assertion.header).into(), &minted.value);
    Ok(())
}

/// The word of RFC 8176 §2 for how a caller was known, where it has one; else our own.
const fn word(method: Method) -> &'static str {
    match method {
        Method::Mtls => "pop",
        Method::Jwt | Method::Introspection | Method::BearerToken | Method::ApiKey => method.as_str(),
    }
}

/// Tells callers without a JWT apart, each by all that an assertion says of it or stands for: of one name the rest is the same
/// as long as the policy is, but for opaque tokens, of which each has a key of its own.
fn key(credential: &Proved<'_>) -> Vec<u8> {
    let Caller {
        method,
        iss,
        peer,
        sub,
        ..
    } = &*credential.caller;
    let token = credential.callers_token.as_ref();
    // What its server says of it may be another thing the next time.
    let end = token.map_or(0, |token| token.expires_at.milliseconds());
    let parts = [
        method.as_str().as_bytes(),
        iss.as_bytes(),
        credential.introspection.as_deref().unwrap_or_default().as_bytes(),
        peer.as_ref().map_or("", |peer| &peer.name).as_bytes(),
        sub.as_deref().unwrap_or_default().as_bytes(),
        &end.to_be_bytes(),
        token.map_or(&[], |token| token.token.expose()),
    ];
    let mut key = Vec::new();
    for part in parts {
        key.extend(part.len().to_be_bytes());
        key.extend(part);
    }
    key
}

/// Out of the key that only this virtual machine knows, the time, and how many there were before.
fn random(means: Means<'_>, now: UnixTime) -> Option<Random> {
    let (key, count) = (means.machine_key?, means.known.map_or(0, |known| known.count()));
    let derived = |purpose: &[u8]| {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key).ok()?;
        for part in [purpose, &now.nanoseconds().to_be_bytes(), &count.to_be_bytes()] {
            mac.update(part);
        }
        Some(<[u8; 32]>::from(mac.finalize().into_bytes()))
    };
    let jti = derived(b"jti")?;
    Some(Random {
        jti: URL_SAFE_NO_PAD.encode(jti.first_chunk::<JTI_BYTES>()?),
        salt: derived(b"salt")?,
    })
}

/// Of a `NumericDate` that was verified: fractions are cut off, and what is before 1970 was refused.
#[expect(
    clippy::as_conversions,
    reason = "no other conversion exists; it is held at the ends of the range"
)]
const fn whole_seconds(date: f64) -> u64 {
    date as u64
}

/// 128 bits: nobody meets one by chance.
const JTI_BYTES: usize = 16;
