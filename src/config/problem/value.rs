//! Problems with the values that stand in many places: texts with names in them, secrets, header names.

use std::fmt;

use crate::config::problem::Kind;
use crate::excerpt::Excerpt;
use crate::sealed::{JweError, UNSEALING_KEY, UnsealingKeyError};

/// What is wrong with a TEXT.
#[derive(Debug, Clone, PartialEq)]
pub enum TextProblem {
    /// `${` without `}`.
    Unterminated,
    /// What stands between `${` and `}` is no name of a variable.
    Name(Excerpt),
    /// The name stands for nothing.
    Unset(String),
    /// The name is that of the variable that opens sealed secrets.
    IsUnsealingKey,
}

impl TextProblem {
    pub(super) fn help(&self) -> Option<String> {
        match self {
            Self::Unterminated => Some("write `$$` for a `$` that begins no name".into()),
            Self::Name(_) => {
                Some("a name is of letters, digits and `_`, and does not begin with a digit".into())
            }
            Self::Unset(name) => Some(match name.as_str() {
                WORKLOAD => "it comes from the node's metadata (WORKLOAD_NAME), or from a variable".into(),
                NAMESPACE => "it comes from the node's metadata (NAMESPACE), or from a variable".into(),
                _ => SET_VARIABLE.into(),
            }),
            Self::IsUnsealingKey => None,
        }
    }
}

impl fmt::Display for TextProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unterminated => formatter.write_str("holds a `${` without its `}`"),
            Self::Name(name) => write!(formatter, "`${{{name}}}` holds no name of a variable"),
            Self::Unset(name) => write!(formatter, "`${{{name}}}` is not set"),
            Self::IsUnsealingKey => formatter.write_str(IS_UNSEALING_KEY),
        }
    }
}

/// What is wrong with a SECRET.
#[derive(Debug, Clone, PartialEq)]
pub enum SecretProblem {
    /// It is not written as a secret.
    Shape(Kind),
    /// It has none of its three forms, or more than one.
    NotOneSource,
    /// It has a member that is not known. The name is not repeated: it may be the secret.
    Member,
    /// It names a variable in characters that no variable has. The name may be the secret.
    VariableName,
    /// Its variable is not set.
    Unset(String),
    /// Its variable is empty.
    VariableEmpty(String),
    /// It is written down or sealed, and is empty.
    Empty,
    /// It names the variable that opens sealed secrets.
    IsUnsealingKey,
    /// It is sealed, and cannot be opened.
    Sealed(JweError),
    /// It is sealed, and there is no key that opens anything.
    UnsealingKeyUnset,
    /// It is sealed, and what should be the keys are none.
    UnsealingKey(UnsealingKeyError),
    /// `sealed_env` was opened, and does not hold variables.
    SealedVariables,
}

impl SecretProblem {
    pub(super) fn help(&self) -> Option<String> {
        match self {
            Self::Shape(_) | Self::NotOneSource | Self::Member => Some(
                "write `{env: NAME}`, where NAME is a variable of the proxy's environment, or `{sealed: …}`, as `peergate \
                 seal` makes it; `{inline: …}` is for trials"
                    .into(),
            ),
            Self::VariableName => Some("`env` takes the name of a variable, not its value".into()),
            Self::Unset(_) | Self::VariableEmpty(_) | Self::UnsealingKeyUnset => Some(SET_VARIABLE.into()),
            Self::Sealed(JweError::Segments(_) | JweError::Base64(_)) => {
                Some("`peergate seal` makes it, on one line".into())
            }
            Self::Sealed(JweError::Algorithm(_) | JweError::Encryption(_)) => {
                Some("`alg` ECDH-ES and `enc` A256GCM are read, as `peergate seal` makes them".into())
            }
            Self::UnsealingKey(_) => {
                Some("`peergate seal --new-key` makes one; it is a private JWK, or a JWK set of several".into())
            }
            Self::SealedVariables => Some("`peergate seal --variables` makes it".into()),
            Self::Empty | Self::IsUnsealingKey | Self::Sealed(_) => None,
        }
    }
}

impl fmt::Display for SecretProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(found) => write!(formatter, "expected a secret, found {found}"),
            Self::NotOneSource => {
                formatter.write_str("secret needs exactly one of `env`, `sealed` and `inline`")
            }
            Self::Member => formatter.write_str("secret has a member that is unknown"),
            Self::VariableName => formatter.write_str("is no name of a variable"),
            Self::Unset(name) => write!(formatter, "variable `{name}` is not set"),
            Self::VariableEmpty(name) => write!(formatter, "variable `{name}` is empty"),
            Self::Empty => formatter.write_str("secret is empty"),
            Self::IsUnsealingKey => formatter.write_str(IS_UNSEALING_KEY),
            Self::Sealed(error) => write!(formatter, "sealed secret {error}"),
            Self::UnsealingKeyUnset => {
                write!(
                    formatter,
                    "sealed secret cannot be opened: variable `{UNSEALING_KEY}` is not set"
                )
            }
            Self::UnsealingKey(error) => {
                write!(
                    formatter,
                    "sealed secret cannot be opened: variable `{UNSEALING_KEY}`: {error}"
                )
            }
            Self::SealedVariables => {
                formatter.write_str("what is sealed is no JSON object of variables and their texts")
            }
        }
    }
}

/// What is wrong with the name of a header.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "what a variant says tells what its fields hold")]
pub enum HeaderProblem {
    /// No header can have this name (RFC 9110 §5.1).
    Name(Excerpt),
    /// The header is HTTP's own, or the proxy's.
    Reserved(String),
    /// The filter itself writes the header, or removes it in case a caller does.
    Owned(String),
    /// Another member has the header already, be it with `_` in place of `-`.
    Taken {
        name: String,
        by: String,
        is_folded: bool,
    },
}

impl HeaderProblem {
    pub(super) fn help(&self) -> Option<String> {
        match self {
            Self::Name(_) => Some("such as `x-agent-sub`".into()),
            Self::Taken { is_folded: true, .. } => {
                Some("servers that fold names take `_` for `-`, so that these count as equal".into())
            }
            Self::Taken { is_folded: false, .. } => None,
            Self::Reserved(_) | Self::Owned(_) => None,
        }
    }
}

impl fmt::Display for HeaderProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(formatter, "`{name}` is no name of a header"),
            Self::Reserved(name) => write!(formatter, "header `{name}` belongs to HTTP or to the proxy"),
            Self::Owned(name) => write!(
                formatter,
                "header `{name}` is the filter's own, whatever `forward` says"
            ),
            Self::Taken { name, by, .. } => write!(formatter, "header `{name}` is already that of {by}"),
        }
    }
}

/// The two names of a TEXT that the node's metadata answers first.
pub(in crate::config) const WORKLOAD: &str = "WORKLOAD";
pub(in crate::config) const NAMESPACE: &str = "NAMESPACE";

const SET_VARIABLE: &str =
    "set it in the proxy's environment: `vm_config.environment_variables` in Envoy, `vmConfig.env` in Istio";

const IS_UNSEALING_KEY: &str = "this variable opens sealed secrets, and goes nowhere else";
