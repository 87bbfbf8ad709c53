//! Why a good policy is not rendered.

use std::fmt;

use crate::role::Role;

/// Why a good policy is not rendered. Prints in lower case and without a full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RenderError {
    /// Secrets are written down in it: where.
    InlineSecrets(Vec<String>),
    /// It says itself where it stands.
    OtherRole {
        /// What it says.
        written: Role,
    },
    /// It has not the half that decides there.
    NoHalf(&'static str),
}

impl RenderError {
    /// What to do about it, where that is not plain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::InlineSecrets(_) => Some(
                "name a variable, `{env: NAME}`, or have `peergate seal` seal it; of a key set the public halves are \
                 enough. `--insecure-inline-secrets` renders them all the same",
            ),
            Self::OtherRole { .. } => Some("leave `--role` away, or write the same into the policy"),
            Self::NoHalf(_) => None,
        }
    }
}

impl fmt::Display for RenderError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InlineSecrets(places) => write!(
                formatter,
                "{}: written down, and would stand in every copy of what is rendered",
                places.join(", ")
            ),
            Self::OtherRole { written } => {
                write!(formatter, "role: the policy says `{}`", role_name(*written))
            }
            Self::NoHalf(half) => write!(formatter, "configuration: has no `{half}`, which decides there"),
        }
    }
}

impl std::error::Error for RenderError {}

/// As the configuration writes it.
pub(super) const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Inbound => "inbound",
        Role::Outbound => "outbound",
        Role::Gateway => "gateway",
        Role::Upstream => "upstream",
    }
}
