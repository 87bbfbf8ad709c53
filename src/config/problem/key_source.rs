//! Problems with keys that are fetched.

use std::fmt;

use crate::callout::UrlError;
use crate::state::MIN_SECRET_BYTES;

/// What is wrong with the source of a provider's keys, or with what workers share of it.
#[derive(Debug, Clone, PartialEq)]
pub enum KeySourceProblem {
    /// A URL. It may hold a secret, and is not repeated.
    Url(UrlError),
    /// There is no `uri`, and the issuer is no URL below which metadata could stand.
    IssuerIsNoUrl(UrlError),
    /// `jwks_uri` beside `remote`.
    UriWithoutDiscovery,
    /// Something is said of fetching, and nothing is fetched.
    NothingFetched,
    /// Keys would be dropped before they are fetched again; after how many seconds they are.
    StaleBeforeFetched(u32),
    /// A sealing key that can be guessed; its length.
    SealingKeyTooShort(usize),
}

impl KeySourceProblem {
    pub(super) fn help(&self) -> Option<String> {
        let help = match self {
            Self::IssuerIsNoUrl(_) => "say where the issuer publishes its metadata",
            Self::UriWithoutDiscovery => "`remote.uri` is the URI of the key set",
            Self::SealingKeyTooShort(_) => "`openssl rand -base64 32` makes a good one",
            Self::NothingFetched => "keys that are written down change with the configuration",
            Self::Url(_) | Self::StaleBeforeFetched(_) => return None,
        };
        Some(help.into())
    }
}

impl fmt::Display for KeySourceProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => error.fmt(formatter),
            Self::IssuerIsNoUrl(error) => {
                write!(
                    formatter,
                    "is required, for the issuer is no URL of metadata: {error}"
                )
            }
            Self::UriWithoutDiscovery => formatter.write_str("goes with `discovery`, not with `remote`"),
            Self::NothingFetched => formatter.write_str("goes with `discovery` or `remote` only"),
            Self::StaleBeforeFetched(seconds) => {
                write!(formatter, "is below `seconds`, which is {seconds}")
            }
            Self::SealingKeyTooShort(bytes) => {
                write!(
                    formatter,
                    "secret has {bytes} bytes, {MIN_SECRET_BYTES} are needed"
                )
            }
        }
    }
}
