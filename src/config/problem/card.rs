//! Problems with agent cards.

use std::fmt;

use crate::agent_card::NotACard;
use crate::authority::HostNameError;
use crate::callout::UrlError;

/// What is wrong with `agent_card`.
#[derive(Debug, Clone, PartialEq)]
pub enum CardProblem {
    /// The host that the rules are asked for.
    Host(HostNameError),
    /// Where tokens are asked for.
    TokenUrl(UrlError),
    /// What is served is no card.
    NotACard(NotACard),
    /// Cards are to be signed, and there is no key.
    NoKey,
    /// There are keys, and nothing is signed.
    NothingSigned,
    /// Keys are to be served, and there are none of the card's own.
    NoKeysToServe,
    /// The filter serves something else there.
    PathTaken,
    /// A key of the assertion that is served there has the name too.
    KidTwice,
    /// What is signed must lead to a host, and none is named.
    NoHost,
}

impl CardProblem {
    pub(super) fn help(&self) -> Option<String> {
        let help = match self {
            Self::NoKey => {
                "add `keys: [{kid: NAME, key: {env: NAME}}]` beside it, or `inbound.forward.assertion`, whose key signs then"
            }
            Self::NothingSigned => "`signed: resign` has cards signed; or take the keys away",
            Self::NoHost => {
                "write the host of the agent, as callers name it, into `host`: a card whose interfaces stand elsewhere is not \
                 signed, whatever the upstream has made it of"
            }
            Self::NoKeysToServe => {
                "it serves `keys`; those of the assertion are served at `inbound.forward.assertion.jwks_path`"
            }
            Self::NotACard(_) => {
                "write the card as the agent would serve it: with `supportedInterfaces` (A2A 1.0), or with `url` and \
                 `protocolVersion` (0.3)"
            }
            Self::Host(_) | Self::TokenUrl(_) | Self::PathTaken | Self::KidTwice => return None,
        };
        Some(help.into())
    }
}

impl fmt::Display for CardProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(error) => error.fmt(formatter),
            Self::TokenUrl(error) => error.fmt(formatter),
            Self::NotACard(error) => write!(formatter, "is no agent card: {error}"),
            Self::NoKey => formatter.write_str("needs a key to sign with"),
            Self::NothingSigned => formatter.write_str("sign nothing"),
            Self::NoKeysToServe => formatter.write_str("has no keys to serve"),
            Self::NoHost => formatter.write_str("needs `host`, the one host whose cards are signed"),
            Self::KidTwice => formatter
                .write_str("has a `kid` that another key of `forward.assertion`, served there too, has"),
            Self::PathTaken => formatter.write_str("stands where the filter serves another document"),
        }
    }
}
