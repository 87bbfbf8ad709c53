//! The second factor of a caller whose first one was good: a code, a seed, room for another guess, a match, and whether
//! the code is a new one. In this order, which is that of their texts.
//!
//! What is remembered of codes stands in a state that all workers of the proxy share. Where that does not answer, a
//! code is refused: nothing is known of it. It knows no rule, and a rule that only looks hands it a state to look at.

#[cfg(not(target_arch = "wasm32"))]
mod findings;

use crate::decision::credentials::Proved;
use crate::decision::{Caller, Deny};
use crate::policy::inbound::Totp;
use crate::policy::rule::TotpRequirement;
use crate::state::SharedState;
use crate::time::UnixTime;
use crate::totp::{self, By, Guesser, Match, Replay, Seed, Subject, Unavailable, Used};

/// What the codes of a caller are remembered under. A digest takes its time, so that they are made with the proof of a
/// credential and kept as long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subjects {
    credential: Subject,
    /// The peer; the provider of callers without one. These can be as many as their provider lets them be, so that what
    /// bounds a peer bounds all of them together.
    owner: Subject,
    /// The peer, or the caller without one.
    caller: Subject,
}

impl Subjects {
    /// Of a credential of this kind, and where it is a token, of its provider. `None` where no rule asks for a code.
    pub(super) fn new(
        totp: &Totp,
        caller: &Caller,
        provider: Option<&str>,
        kind: &str,
        credential: &[u8],
    ) -> Option<Self> {
        if !totp.is_asked {
            return None;
        }
        let issuer = provider.unwrap_or_else(|| caller.method.as_str()).as_bytes();
        let subject = |kind, parts: [&[u8]; 2]| {
            let [first, second] = parts;
            Subject::of(kind, &[totp.scope.as_bytes(), first, second])
        };
        let credential = subject(kind, [issuer, credential]);
        let owner = match &caller.peer {
            Some(peer) => subject("peer", [peer.name.as_bytes(), &[]]),
            None => subject("provider", [issuer, &[]]),
        };
        let caller = match (&caller.peer, &caller.sub) {
            (Some(_), _) => owner,
            (None, Some(sub)) => subject("sub", [issuer, sub.as_bytes()]),
            (None, None) => credential,
        };
        Some(Self {
            credential,
            owner,
            caller,
        })
    }
}

/// What a code is checked with.
pub(super) struct SecondFactor<'a> {
    pub(super) totp: &'a Totp,
    pub(super) requirement: TotpRequirement,
    pub(super) credential: &'a Proved<'a>,
    pub(super) state: &'a dyn SharedState,
    pub(super) now: UnixTime,
}

impl SecondFactor<'_> {
    /// Whether a code lets the caller pass. One that does is used up then, where codes are.
    pub(super) fn check(&self, code: Option<&[u8]>) -> Result<(), Deny> {
        let code = code.filter(|code| !code.is_empty()).ok_or(Deny::TotpMissing)?;
        let (seeds, lacks_seed) = self.seeds();
        if seeds.is_empty() {
            return Err(match lacks_seed {
                true => Deny::SecretMissing,
                false => Deny::TotpNotConfigured,
            });
        }
        let subjects = self.credential.subjects;
        let subjects = subjects.ok_or(Deny::Internal("a credential that nothing tells from others"))?;
        let guesser = self.guesser(&subjects);
        let throttle = &self.totp.throttle;
        throttled(throttle.look(self.state, &guesser, self.now))?;
        match totp::verify(seeds, &self.requirement.code, code, self.now) {
            Some(matched) => self.use_up(&subjects, seeds, matched),
            None => {
                throttled(throttle.count(self.state, &guesser, self.now))?;
                // The code may be that of the seed which is not there.
                Err(match lacks_seed {
                    true => Deny::SecretMissing,
                    false => Deny::TotpInvalid,
                })
            }
        }
    }

    /// The caller's seeds, and whether one of them is not there.
    fn seeds(&self) -> (&[Seed], bool) {
        match self.caller().peer.as_deref() {
            Some(peer) if !peer.totp_seeds.is_empty() || peer.lacks_seed => {
                (&peer.totp_seeds, peer.lacks_seed)
            }
            Some(_) | None => (&self.totp.shared_seeds, self.totp.lacks_shared_seed),
        }
    }

    fn use_up(&self, subjects: &Subjects, seeds: &[Seed], matched: Match) -> Result<(), Deny> {
        let parameters = &self.requirement.code;
        let over_at = parameters.over_at(matched.step);
        let is_new = match self.requirement.replay {
            Replay::Allow => return Ok(()),
            Replay::OneTime => {
                let subject = subjects.caller;
                Used { subject, over_at }.once(self.state, self.now)
            }
            Replay::PerToken => {
                let seed = seeds
                    .get(matched.seed)
                    .ok_or(Deny::Internal("a code of no seed"))?;
                let subject = seed.subject(subjects.caller, matched.step);
                Used { subject, over_at }.with(subjects.credential, self.state, self.now)
            }
        };
        match is_new {
            Ok(true) => Ok(()),
            Ok(false) => Err(Deny::TotpReplayed),
            Err(Unavailable) => Err(FORGOTTEN),
        }
    }

    /// Whose guesses are counted together.
    fn guesser(&self, subjects: &Subjects) -> Guesser {
        let owner = subjects.owner;
        let (single, ceiling) = match (self.totp.throttle.by, &self.caller().peer) {
            (By::Credential, _) => (subjects.credential, Some(owner)),
            (By::Peer, Some(_)) => (owner, None),
            (By::Peer, None) => (subjects.caller, Some(owner)),
        };
        Guesser {
            owner,
            single,
            ceiling,
        }
    }

    fn caller(&self) -> &Caller {
        &self.credential.caller
    }
}

fn throttled(wait: Result<Option<u64>, Unavailable>) -> Result<(), Deny> {
    match wait {
        Ok(None) => Ok(()),
        Ok(Some(seconds)) => Err(Deny::TotpThrottled { seconds }),
        Err(Unavailable) => Err(FORGOTTEN),
    }
}

const FORGOTTEN: Deny = Deny::Internal("what is remembered of codes cannot be read or written");
