//! What can be wrong with a configuration, and the words for it: one closed enum for each part, with what to do
//! about it. The words are part of the contract: each stands in a test. What was written into a place for secrets is
//! never among them.

mod card;
mod credential;
mod document;
mod error;
mod key_source;
mod location;
mod oauth;
mod outbound;
mod provider;
mod rule;
mod shape;
mod value;

use std::fmt;

pub use self::card::CardProblem;
pub use self::credential::PeerProblem;
pub use self::document::DocumentProblem;
pub use self::error::{Error, Errors};
pub use self::key_source::KeySourceProblem;
pub use self::location::LocationProblem;
pub use self::oauth::OauthProblem;
pub(super) use self::outbound::HOSTS_BOUND;
pub use self::outbound::OutboundProblem;
pub use self::provider::ProviderProblem;
pub use self::rule::{AcceptedKind, RuleProblem};
pub use self::shape::{Kind, ShapeProblem};
pub use self::value::{HeaderProblem, SecretProblem, TextProblem};
pub(super) use self::value::{NAMESPACE, WORKLOAD};

/// Makes the enum of all problems from those of the parts.
macro_rules! problems {
    ($($(#[$documentation:meta])* $name:ident($part:ty),)+) => {
        /// What is wrong. Prints in lower case and without a full stop, except where a text is fixed elsewhere.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Problem {
            $($(#[$documentation])* $name($part),)+
        }

        impl Problem {
            /// What to do about it, where that is not plain.
            pub fn help(&self) -> Option<String> {
                match self {
                    $(Self::$name(problem) => problem.help(),)+
                }
            }
        }

        impl fmt::Display for Problem {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name(problem) => problem.fmt(formatter),)+
                }
            }
        }

        $(impl From<$part> for Problem {
            fn from(problem: $part) -> Self {
                Self::$name(problem)
            }
        })+
    };
}

problems! {
    /// With the document as a whole.
    Document(DocumentProblem),
    /// With the shape of a value: its kind, its members, its limits.
    Shape(ShapeProblem),
    /// With a TEXT.
    Text(TextProblem),
    /// With a SECRET.
    Secret(SecretProblem),
    /// With the name of a header.
    Header(HeaderProblem),
    /// With a place where credentials stand.
    Location(LocationProblem),
    /// With a provider.
    Provider(ProviderProblem),
    /// With keys that are fetched.
    KeySource(KeySourceProblem),
    /// With a peer and its credentials.
    Peer(PeerProblem),
    /// With an inbound rule, or with what is forwarded and answered.
    Rule(RuleProblem),
    /// With the outbound half.
    Outbound(OutboundProblem),
    /// With OAuth clients, and what they are for.
    Oauth(OauthProblem),
    /// With agent cards.
    Card(CardProblem),
}

/// Names in backticks, as `a`, `b` or `c`.
fn alternatives(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// The question that a slip of the fingers calls for.
fn did_you_mean(nearest: impl fmt::Display) -> String {
    format!("did you mean `{nearest}`?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_row() {
        assert_eq!(alternatives(&[]), "");
        assert_eq!(alternatives(&["a"]), "`a`");
        assert_eq!(alternatives(&["a", "b"]), "`a` or `b`");
        assert_eq!(alternatives(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
