//! What the filter does on a stream, as an argument.

use clap::builder::PossibleValue;
use peergate_filter::role::Role;

/// A role, in the words of a policy.
#[derive(Clone)]
pub(crate) struct RoleArgument(pub(crate) Role);

impl clap::ValueEnum for RoleArgument {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self(Role::Inbound),
            Self(Role::Outbound),
            Self(Role::Gateway),
            Self(Role::Upstream),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.as_str()))
    }
}
