//! Problems with peers and their credentials.

use std::fmt;

use crate::api_key::DigestError;
use crate::config::problem::{Kind, did_you_mean};
use crate::excerpt::Excerpt;
use crate::spiffe::PatternError;
use crate::totp::SeedError;

/// What is wrong with a peer, or with a credential.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "what a variant says tells what its fields hold")]
pub enum PeerProblem {
    /// No provider has this name.
    ProviderUnknown { name: Excerpt, nearest: Option<String> },
    /// No peer has this name.
    PeerUnknown { name: Excerpt, nearest: Option<String> },
    /// Another peer has this value of the provider's claim already, be it by its name.
    TokenTwice { peer: Excerpt, provider: Excerpt },
    /// The same key stands there already.
    KeyTwice(String),
    /// A key is not written as one.
    KeyShape(Kind),
    /// A key has none of its three forms, or more than one.
    KeySource,
    /// A key has a member that is not known. The name is not repeated: it may be the key.
    KeyMember,
    /// A key, or its digest.
    Key(DigestError),
    /// A key holds, at this place from 1, a character that no request can bring it with.
    KeyCharacter(usize),
    /// A SPIFFE ID, or a pattern of them.
    Principal(PatternError),
    /// Another peer has this pattern already.
    PrincipalTwice(Excerpt),
    /// A TOTP seed.
    Seed(SeedError),
    /// Not a scope-token (RFC 6749 §3.3).
    Scope(Excerpt),
}

impl PeerProblem {
    pub(super) fn help(&self) -> Option<String> {
        match self {
            Self::ProviderUnknown { nearest, .. } | Self::PeerUnknown { nearest, .. } => {
                nearest.as_ref().map(did_you_mean)
            }
            Self::KeyShape(_) | Self::KeySource | Self::KeyMember => Some(
                "write `{sha256: …}`, the digest of the key in hex, `{env: NAME}`, a variable that holds the key, or \
                 `{sealed: …}`"
                    .into(),
            ),
            Self::KeyCharacter(_) => Some("a key is of visible ASCII characters, without a comma".into()),
            Self::Seed(SeedError::TooShort { .. }) => Some(
                "make a new seed; `insecure_allow_short_seeds: true` takes this one for inbound calls".into(),
            ),
            Self::Scope(_) => {
                Some("a scope has no spaces and no quotes (RFC 6749 §3.3); a list takes several".into())
            }
            Self::Principal(_) => Some(
                "such as `spiffe://cluster.local/ns/agents/sa/mrpink`, or `spiffe://cluster.local/ns/agents/*` for all below"
                    .into(),
            ),
            Self::PrincipalTwice(_) => Some("a certificate belongs to one peer".into()),
            Self::TokenTwice { .. } => Some("a token belongs to one peer".into()),
            Self::KeyTwice(_) => Some("a key belongs to one peer".into()),
            Self::Key(_) | Self::Seed(_) => None,
        }
    }
}

impl fmt::Display for PeerProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProviderUnknown { name, .. } => write!(formatter, "there is no provider `{name}`"),
            Self::PeerUnknown { name, .. } => write!(formatter, "there is no peer `{name}`"),
            Self::TokenTwice { peer, provider } => {
                write!(
                    formatter,
                    "tokens of provider `{provider}` with this value are those of peer `{peer}` too"
                )
            }
            Self::KeyTwice(first) => write!(formatter, "is the same key as {first}"),
            Self::KeyShape(found) => write!(formatter, "expected a key, found {found}"),
            Self::KeySource => {
                formatter.write_str("key needs exactly one of `sha256`, `env`, `sealed` and `inline`")
            }
            Self::KeyMember => formatter.write_str("key has a member that is unknown"),
            Self::Key(error) => error.fmt(formatter),
            Self::KeyCharacter(position) => {
                write!(
                    formatter,
                    "character {position} of the key is not allowed in a key"
                )
            }
            Self::Principal(error) => error.fmt(formatter),
            Self::PrincipalTwice(peer) => write!(formatter, "is that of peer `{peer}` too"),
            Self::Seed(error) => error.fmt(formatter),
            Self::Scope(scope) => write!(formatter, "`{scope}` is no scope"),
        }
    }
}
