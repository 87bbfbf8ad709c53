//! Problems with the document as a whole.

use std::fmt;

use crate::json;

/// What is wrong with the document as a whole.
#[derive(Debug, Clone, PartialEq)]
pub enum DocumentProblem {
    /// There are no bytes, or only white space.
    Empty,
    /// The bytes are no JSON, and no serialized `google.protobuf.Struct` either.
    NeitherJsonNorStruct(json::Error),
    /// The bytes are JSON, but no object, or one that two readers could understand in two ways.
    Json(json::Error),
    /// Objects and lists of a `Struct` stand in each other more often than this.
    TooDeep(usize),
    /// A number of a `Struct` is NaN or infinite.
    NotFinite,
    /// A value of a `Struct` is of no kind.
    NoValue,
    /// This version of the format is not read here.
    Version(String),
    /// Neither `inbound` nor `outbound` is there.
    NoHalf,
    /// The role decides by a half that is not there.
    RoleWithoutHalf(&'static str),
    /// The whole policy is in shadow, without the word that nothing shall be refused.
    ShadowAll,
    /// That word, of a policy that is enforced.
    ShadowNothing,
    /// There is no policy, and nobody said why.
    Unread,
}

impl DocumentProblem {
    pub(super) fn help(&self) -> Option<String> {
        match self {
            Self::Empty | Self::NoHalf => Some("write `version: 1`, and `inbound`, `outbound` or both".into()),
            Self::NeitherJsonNorStruct(_) => Some(
                "Envoy hands JSON from a StringValue and protobuf from a google.protobuf.Struct; YAML is not read here"
                    .into(),
            ),
            Self::ShadowAll => Some(
                "nothing would be refused: add `insecure_shadow_all: true` if that is meant, or put single rules in shadow"
                    .into(),
            ),
            Self::ShadowNothing => Some("take it away, or write `enforcement: shadow`".into()),
            Self::Version(_) => Some("this release reads version 1".into()),
            Self::Json(_) | Self::TooDeep(_) | Self::NotFinite | Self::NoValue | Self::RoleWithoutHalf(_) | Self::Unread => None,
        }
    }
}

impl fmt::Display for DocumentProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("is empty"),
            Self::NeitherJsonNorStruct(error) => {
                write!(
                    formatter,
                    "is neither JSON nor a serialized google.protobuf.Struct: {error}"
                )
            }
            Self::Json(error) => write!(formatter, "is not accepted as JSON: {error}"),
            Self::TooDeep(limit) => write!(formatter, "is nested deeper than {limit}"),
            Self::NotFinite => formatter.write_str("is not a finite number"),
            Self::NoValue => formatter.write_str("has no value"),
            Self::Version(found) => write!(formatter, "`{found}` is no version that is read"),
            Self::NoHalf => formatter.write_str("has neither `inbound` nor `outbound`"),
            Self::RoleWithoutHalf(half) => write!(formatter, "needs `{half}`, which is not there"),
            Self::ShadowAll => formatter.write_str("puts the whole policy in shadow"),
            Self::ShadowNothing => formatter.write_str("goes with `enforcement: shadow`"),
            Self::Unread => formatter.write_str("cannot be read"),
        }
    }
}
