//! What a policy holds of a peer's second factor.

use std::fmt;
use std::rc::Rc;

use crate::excerpt::Excerpt;
use crate::policy::Inbound;
use crate::policy::inbound::Peer;
use crate::policy::rule::{Action, Rule};
use crate::totp::CodeParameters;

/// A peer, and how its codes are made.
#[derive(Debug)]
pub struct Enrolled {
    /// The peer, with its seeds.
    pub peer: Rc<Peer>,
    /// How codes are made; the window is the widest that a rule has.
    pub parameters: CodeParameters,
}

/// The peer of this name, where there is a seed of its own.
///
/// # Errors
/// [`PeerError`].
pub fn enrolled(inbound: Option<&Inbound>, name: &str) -> Result<Enrolled, PeerError> {
    let unknown = || PeerError::Unknown(Excerpt::new(name));
    let inbound = inbound.ok_or_else(unknown)?;
    let peer = peers(inbound)
        .find(|peer| *peer.name == *name)
        .ok_or_else(unknown)?;
    if peer.totp_seeds.is_empty() {
        return Err(match peer.lacks_seed {
            true => PeerError::SeedMissing(Excerpt::new(name)),
            false => PeerError::NoSeed(Excerpt::new(name)),
        });
    }
    let codes = inbound.rules.iter().filter_map(asked);
    let parameters = codes
        .max_by_key(CodeParameters::window_steps)
        .ok_or(PeerError::NotAsked)?;
    Ok(Enrolled {
        peer: Rc::clone(peer),
        parameters,
    })
}

fn asked(rule: &Rule) -> Option<CodeParameters> {
    match &rule.action {
        Action::Authenticate(_, require) => require.totp.map(|totp| totp.code),
        Action::Deny | Action::Public => None,
    }
}

/// All that somebody can be, some of them more than once.
fn peers(inbound: &Inbound) -> impl Iterator<Item = &Rc<Peer>> {
    let tokens = inbound
        .providers
        .iter()
        .flat_map(|provider| provider.peers.values());
    let opaque = inbound
        .introspections
        .iter()
        .flat_map(|asked| asked.peers.values());
    let principals = inbound
        .principals
        .iter()
        .flat_map(|principals| principals.values());
    tokens
        .chain(opaque)
        .chain(inbound.api_keys.keys.values())
        .chain(inbound.bearer_tokens.values())
        .chain(principals)
}

/// Why there are no codes of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerError {
    /// There is no such peer, or nobody can be it.
    Unknown(Excerpt),
    /// It has no seed.
    NoSeed(Excerpt),
    /// It has one that is not there.
    SeedMissing(Excerpt),
    /// No rule asks for a code.
    NotAsked,
}

impl fmt::Display for PeerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(formatter, "the policy has no peer `{name}` that a caller can be"),
            Self::SeedMissing(name) => write!(
                formatter,
                "the seed of peer `{name}` is not there: its variable is not set, or the key of sealed secrets"
            ),
            Self::NoSeed(name) => write!(formatter, "peer `{name}` has no TOTP seed"),
            Self::NotAsked => formatter.write_str("no rule of the policy asks for a code"),
        }
    }
}

impl std::error::Error for PeerError {}
