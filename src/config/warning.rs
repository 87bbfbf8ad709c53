//! What a configuration may say, and its author should know.

use std::fmt;

use crate::config::path::Path;

/// One thing that should be known, and where. Prints as one line, `path: caution`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    path: String,
    caution: Caution,
}

impl Warning {
    pub(super) fn new(path: &Path<'_>, caution: Caution) -> Self {
        Self {
            path: path.to_string(),
            caution,
        }
    }

    /// Where.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What.
    pub const fn caution(&self) -> &Caution {
        &self.caution
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.caution)
    }
}

/// What should be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caution {
    /// A secret is written down.
    InlineSecret,
    /// `insecure_shadow_all`.
    ShadowAll,
    /// A secret is not there, and the policy lets the rest go on without it (`on_missing_secret: deny_rule`).
    SecretMissing(String),
    /// `insecure_any_audience`.
    AnyAudience,
    /// `insecure_shared_seeds`.
    SharedSeeds,
    /// `insecure_allow_short_seeds`.
    ShortSeeds,
    /// `insecure_allow_query_param_auth`.
    QueryParameters,
    /// Tokens or API keys of callers in the query.
    CredentialInUrl,
    /// `insecure_any_cluster`.
    AnyCluster,
    /// `insecure_for_anonymous`.
    ForAnonymous,
    /// A key set holds a private key.
    PrivateKey,
    /// A rule lets everybody through, wherever they go.
    EverythingPublic,
    /// A key of a set is not used; the reason.
    SkippedKey(String),
}

impl fmt::Display for Caution {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InlineSecret => formatter.write_str(
                "secret is written into the configuration, where every dump and every reader of it shows it",
            ),
            Self::ShadowAll => formatter.write_str("nothing is refused and nothing is put on calls: the policy is only counted and logged"),
            Self::SecretMissing(name) => {
                write!(formatter, "variable `{name}` is not set: what needs it is answered with 503")
            }
            Self::AnyAudience => {
                formatter.write_str("tokens that were issued for any other service are accepted as well")
            }
            Self::SharedSeeds => formatter
                .write_str("whoever holds a shared seed can make the codes of every caller without its own"),
            Self::ShortSeeds => {
                formatter.write_str("seeds below 128 bits can be found by trying (RFC 4226 §4)")
            }
            Self::QueryParameters => formatter.write_str("API keys in URLs may appear in proxy logs"),
            Self::CredentialInUrl => formatter.write_str(
                "credentials in URLs may appear in the logs and histories of callers, and of every proxy before this one",
            ),
            Self::AnyCluster => formatter.write_str(
                "a caller who names the host in a request to any other cluster gets the secret sent there",
            ),
            Self::ForAnonymous => {
                formatter.write_str("callers whom nobody verified get the credential put on their calls")
            }
            Self::PrivateKey => formatter.write_str(
                "key is a private one: whoever reads the configuration can sign tokens; its public half is enough",
            ),
            Self::EverythingPublic => {
                formatter.write_str("lets everybody through on every path that no earlier rule matches")
            }
            Self::SkippedKey(reason) => write!(formatter, "key is not used: {reason}"),
        }
    }
}
