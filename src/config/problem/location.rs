//! Problems with the places where credentials stand.

use std::fmt;

use crate::excerpt::Excerpt;
use crate::policy::location::Location;
use crate::query::ParameterNameError;

/// What is wrong with a place where credentials stand.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "what a variant says tells what its fields hold")]
pub enum LocationProblem {
    /// No cookie can have this name.
    Cookie(Excerpt),
    /// Not the name of a query parameter.
    Parameter(ParameterNameError),
    /// Neither nothing nor a scheme's name and a space.
    Prefix,
    /// The entry of this index names the same header with the same scheme.
    HeaderTwice(usize),
    /// Another member has the place already.
    Taken { location: Location, by: String },
    /// A provider whose tokens stand in no place.
    Nowhere,
    /// There are more places than this.
    TooMany(usize),
}

impl LocationProblem {
    pub(super) fn help(&self) -> Option<String> {
        let help = match self {
            Self::Cookie(_) => {
                "a name has no spaces, no quotes and none of `;`, `,` and `=` (RFC 6265 §4.1.1)"
            }
            Self::Prefix => "such as `Bearer ` with its space; nothing where the token stands alone",
            Self::Nowhere => "add a place, or leave `from_headers` away for `Authorization: Bearer`",
            Self::TooMany(_) => "each request is looked through for every one of them",
            Self::Parameter(_) | Self::HeaderTwice(_) | Self::Taken { .. } => return None,
        };
        Some(help.into())
    }
}

impl fmt::Display for LocationProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie(name) => write!(formatter, "`{name}` is no name of a cookie"),
            Self::Parameter(error) => error.fmt(formatter),
            Self::Prefix => formatter.write_str("is not the name of a scheme and one space"),
            Self::HeaderTwice(first) => write!(formatter, "is the same as entry {first}"),
            Self::Taken { location, by } => write!(formatter, "{location} is already that of {by}"),
            Self::Nowhere => formatter.write_str("leaves the provider's tokens no place to stand in"),
            Self::TooMany(limit) => {
                write!(formatter, "more than {limit} places of credentials are named")
            }
        }
    }
}
