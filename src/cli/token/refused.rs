//! Why `peergate token` gave no result.

use std::fmt;
use std::path::PathBuf;

use peergate_filter::jwks::Algorithm;
use peergate_filter::mint::{KeyError, NoToken};

use crate::cli::Failure;
use crate::cli::loaded::NotLoaded;
use crate::cli::secrets::Trouble;
use crate::cli::shown_path;

/// Nothing of a key or a token is repeated.
pub(super) enum Refused {
    Trouble(Trouble),
    NotLoaded(NotLoaded),
    NoProvider(String),
    NoKey,
    Key(PathBuf, KeyError),
    NewKey(KeyError),
    NoPair(Algorithm),
    NoToken(NoToken),
    NothingToDecode,
    Arithmetic,
}

impl From<Trouble> for Refused {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<NotLoaded> for Refused {
    fn from(reason: NotLoaded) -> Self {
        Self::NotLoaded(reason)
    }
}

impl Failure for Refused {
    fn is_usage(&self) -> bool {
        match self {
            Self::Trouble(trouble) => trouble.is_usage(),
            Self::NotLoaded(reason) => reason.is_usage(),
            Self::NoPair(_) => true,
            Self::NoProvider(_)
            | Self::NoKey
            | Self::Key(..)
            | Self::NewKey(_)
            | Self::NoToken(_)
            | Self::NothingToDecode
            | Self::Arithmetic => false,
        }
    }

    fn is_reported(&self) -> bool {
        matches!(self, Self::NotLoaded(reason) if reason.is_reported())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trouble(trouble) => trouble.fmt(formatter),
            Self::NotLoaded(reason) => reason.fmt(formatter),
            Self::NoProvider(name) => write!(formatter, "the policy has no provider `{name}`"),
            Self::NoKey => formatter.write_str("the file of the key is empty"),
            Self::Key(file, error) => write!(formatter, "{} {error}", shown_path(file)),
            Self::NewKey(error) => write!(formatter, "the new key {error}"),
            Self::NoPair(algorithm) => write!(
                formatter,
                "`{algorithm}` has no key pair: its secret is any text that nobody guesses\n  help: `openssl rand -hex 64` \
                 makes one, and `--key FILE --alg {algorithm}` signs with it"
            ),
            Self::NoToken(error) => write!(formatter, "the text {error}"),
            Self::NothingToDecode => formatter.write_str("there is no token to decode"),
            Self::Arithmetic => formatter.write_str("the signature went wrong, and is not shown"),
        }
    }
}
