//! The second factor of a caller whose first one was good: a code, a seed, room for another guess, a match, and whether
//! the code is a new one. In this order, which is that of their texts.
//!
//! What is remembered of codes stands in a state that all workers of the proxy share. Where that does not answer, a
//! code is refused: nothing is known of it. It knows no rule, and a rule that only looks hands it a state to look at.

use crate::decision::credentials::Proved;
use crate::decision::{Caller, Deny};
use crate::policy::inbound::Totp;
use crate::policy::rule::TotpRequirement;
use crate::state::SharedState;
use crate::time::UnixTime;
use crate::totp::{self, By, Guesser, Match, Replay, Seed, Subject, Unavailable, Used};

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
        let guesser = self.guesser()?;
        let throttle = &self.totp.throttle;
        throttled(throttle.look(self.state, &guesser, self.now))?;
        match totp::verify(seeds, &self.requirement.code, code, self.now) {
            Some(matched) => self.use_up(seeds, matched),
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

    fn use_up(&self, seeds: &[Seed], matched: Match) -> Result<(), Deny> {
        let parameters = &self.requirement.code;
        let over_at = parameters.over_at(matched.step);
        let is_new = match self.requirement.replay {
            Replay::Allow => return Ok(()),
            Replay::OneTime => {
                let subject = Subject::of("codes", &[self.caller_subject()?.as_bytes(), &parameters.tag()]);
                Used { subject, over_at }.once(self.state, self.now)
            }
            Replay::PerToken => {
                let seed = seeds
                    .get(matched.seed)
                    .ok_or(Deny::Internal("a code of no seed"))?;
                let subject = seed.subject(self.caller_subject()?, matched.step);
                Used { subject, over_at }.with(self.credential_subject()?, self.state, self.now)
            }
        };
        match is_new {
            Ok(true) => Ok(()),
            Ok(false) => Err(Deny::TotpReplayed),
            Err(Unavailable) => Err(FORGOTTEN),
        }
    }

    /// Whose guesses are counted together. Callers without a peer can be as many as their provider lets them be, so that
    /// all of them have one ceiling.
    fn guesser(&self) -> Result<Guesser, Deny> {
        let owner = self.owner();
        let (single, ceiling) = match (self.totp.throttle.by, &self.caller().peer) {
            (By::Credential, _) => (self.credential_subject()?, Some(owner)),
            (By::Peer, Some(_)) => (owner, None),
            (By::Peer, None) => (self.caller_subject()?, Some(owner)),
        };
        Ok(Guesser {
            owner,
            single,
            ceiling,
        })
    }

    /// The peer; the provider of callers without one.
    fn owner(&self) -> Subject {
        match &self.caller().peer {
            Some(peer) => self.subject("peer", &[peer.name.as_bytes()]),
            None => self.subject("provider", &[self.provider().as_bytes()]),
        }
    }

    /// The peer, or the caller without one.
    fn caller_subject(&self) -> Result<Subject, Deny> {
        let caller = self.caller();
        match (&caller.peer, &caller.sub) {
            (Some(_), _) => Ok(self.owner()),
            (None, Some(sub)) => Ok(self.subject("sub", &[self.provider().as_bytes(), sub.as_bytes()])),
            (None, None) => self.credential_subject(),
        }
    }

    fn credential_subject(&self) -> Result<Subject, Deny> {
        let credential = self.credential.subject;
        let credential = credential.ok_or(Deny::Internal("a credential that nothing tells from others"))?;
        Ok(self.subject("credential", &[credential.as_bytes()]))
    }

    fn subject(&self, kind: &str, parts: &[&[u8]]) -> Subject {
        Subject::of(kind, &[&[self.totp.scope.as_bytes().as_slice()], parts].concat())
    }

    fn provider(&self) -> &str {
        match self.credential.provider {
            Some(provider) => &provider.name,
            None => self.caller().method.as_str(),
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
