//! What a configuration may say, and its author should know.

use std::fmt;

use crate::config::path::Path;
use crate::policy::card::Said;

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
    /// `insecure_unverified_subject`.
    UnverifiedSubject,
    /// `on_missing_subject: insecure_forward`.
    MissingSubjectForwarded,
    /// `on_failure: insecure_strip`.
    FailureStripped,
    /// `on_failure: insecure_forward`.
    FailureForwarded,
    /// A rule with a token whose header gets something else.
    TokenOverridden,
    /// `insecure_token_passthrough`.
    TokenPassthrough,
    /// A key set holds a private key.
    PrivateKey,
    /// A rule lets everybody through, wherever they go.
    EverythingPublic,
    /// A key of a set is not used; the reason.
    SkippedKey(String),
    /// What became of the card that the filter serves itself.
    StaticCard(Said),
}

impl fmt::Display for Caution {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InlineSecret => formatter.write_str(
                "secret is written into the configuration, where every dump and every reader of it shows it",
            ),
            Self::ShadowAll => formatter.write_str("nothing is refused and no credential is put on: the policy is counted and logged, and forwards verified identities"),
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
            Self::UnverifiedSubject => formatter.write_str(
                "whatever the header holds goes to the token endpoint, be it a stranger's token or none",
            ),
            Self::MissingSubjectForwarded => formatter
                .write_str("calls without a caller's token go on with whatever credential they come with"),
            Self::FailureStripped => {
                formatter.write_str("calls for which no token is got go on, without any credential")
            }
            Self::FailureForwarded => formatter.write_str(
                "calls for which no token is got go on with the token that they come with, which the upstream can use \
                 as the caller",
            ),
            Self::TokenOverridden => formatter
                .write_str("is never sent: `headers.authorization` of the rule stands in its place"),
            Self::TokenPassthrough => formatter.write_str(
                "the caller's token goes on to the upstream, which can use it as the caller; MCP forbids it",
            ),
            Self::PrivateKey => formatter.write_str(
                "key is a private one: whoever reads the configuration can sign tokens; its public half is enough",
            ),
            Self::EverythingPublic => {
                formatter.write_str("lets everybody through on every path that no earlier rule matches")
            }
            Self::SkippedKey(reason) => write!(formatter, "key is not used: {reason}"),
            Self::StaticCard(said) => write!(formatter, "the card in `static`: {}", said.text()),
        }
    }
}
