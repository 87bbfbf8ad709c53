//! Problems with the shape of a value, whatever it means.

use std::fmt;
use std::ops::RangeInclusive;

use crate::authority::HostName;
use crate::config::problem::{alternatives, did_you_mean};
use crate::excerpt::Excerpt;

/// What is wrong with the shape of a value.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "what a variant says tells what its fields hold")]
pub enum ShapeProblem {
    /// A member must be there and is not.
    Missing,
    /// None of several members is there.
    NoneOf(&'static [&'static str]),
    /// Several members are there of which only one can count.
    Excluding(Vec<&'static str>),
    /// A member is not known here.
    UnknownMember {
        known: Vec<&'static str>,
        nearest: Option<&'static str>,
    },
    /// A later release reads this value.
    ValueNotSupportedYet(Excerpt),
    /// A value of one kind stands where another is read.
    WrongKind { expected: Kind, found: Kind },
    /// A number is no integer, or outside its limits.
    NotWithin {
        range: RangeInclusive<i64>,
        found: String,
    },
    /// A text is none of those that are read here.
    NotOneOf {
        found: Excerpt,
        choices: Vec<&'static str>,
        nearest: Option<&'static str>,
    },
    /// A condition is null, which would ask nothing.
    NullCondition,
    /// A URL stands where a host is read; the host in it.
    UrlForHost(Option<HostName>),
    /// There are no characters.
    EmptyText,
    /// There are no entries.
    EmptyList,
    /// There are more entries than this.
    TooMany(usize),
    /// The entry of this index is the same.
    Repeated(usize),
    /// A name is empty, too long, or holds characters besides letters, digits and these marks.
    Name { longest: usize, marks: &'static str },
}

impl ShapeProblem {
    pub(super) fn help(&self) -> Option<String> {
        match self {
            Self::UnknownMember {
                nearest: Some(nearest),
                ..
            }
            | Self::NotOneOf {
                nearest: Some(nearest),
                ..
            } => Some(did_you_mean(nearest)),
            Self::UnknownMember { known, nearest: None } => {
                Some(format!("members here are {}", known.join(", ")))
            }
            Self::WrongKind {
                expected: Kind::Text,
                found: Kind::Number | Kind::Flag,
            } => Some("put quotes around it".into()),
            Self::WrongKind {
                expected: Kind::List,
                found: Kind::Text | Kind::Number | Kind::Flag,
            } => Some("write it as a list, in brackets: `[…]`".into()),
            Self::WrongKind {
                expected: Kind::Flag,
                found: Kind::Text,
            } => Some("write `true` or `false`, without quotes".into()),
            Self::Excluding(_) => Some("keep one of them".into()),
            Self::UrlForHost(Some(host)) => Some(format!("write `{}`", host.as_str())),
            Self::UrlForHost(None) => Some("write the host alone, such as `mcp.example.com`".into()),
            Self::NullCondition => Some("write what it must be, or leave the name away too".into()),
            Self::Missing
            | Self::NoneOf(_)
            | Self::ValueNotSupportedYet(_)
            | Self::WrongKind { .. }
            | Self::NotWithin { .. }
            | Self::NotOneOf { nearest: None, .. }
            | Self::EmptyText
            | Self::EmptyList
            | Self::TooMany(_)
            | Self::Repeated(_)
            | Self::Name { .. } => None,
        }
    }
}

impl fmt::Display for ShapeProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => formatter.write_str("is required"),
            Self::NoneOf(choices) => write!(formatter, "needs {}", alternatives(choices)),
            Self::Excluding(found) => {
                write!(
                    formatter,
                    "has `{}`, which exclude each other",
                    found.join("` and `")
                )
            }
            Self::UnknownMember { .. } => formatter.write_str("is unknown"),
            Self::ValueNotSupportedYet(value) => write!(formatter, "`{value}` is not supported yet"),
            Self::WrongKind { expected, found } => write!(formatter, "expected {expected}, found {found}"),
            Self::NotWithin { range, found } => {
                let (least, most) = (range.start(), range.end());
                write!(
                    formatter,
                    "expected an integer from {least} to {most}, found `{found}`"
                )
            }
            Self::NotOneOf { found, choices, .. } => {
                write!(formatter, "expected {}, found `{found}`", alternatives(choices))
            }
            Self::UrlForHost(_) => formatter.write_str("expected a host, found a URL"),
            Self::NullCondition => formatter.write_str("is null, which would ask nothing"),
            Self::EmptyText => formatter.write_str("is empty"),
            Self::EmptyList => formatter.write_str("has no entry"),
            Self::TooMany(limit) => write!(formatter, "has more than {limit} entries"),
            Self::Repeated(first) => write!(formatter, "is the same as entry {first}"),
            Self::Name { longest, marks } => {
                let marks: String = marks.chars().map(|mark| format!(", `{mark}`")).collect();
                write!(
                    formatter,
                    "name is not 1 to {longest} characters of letters, digits{marks}"
                )
            }
        }
    }
}

/// The kinds of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Null,
    Flag,
    Number,
    Text,
    List,
    Object,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Null => "null",
            Self::Flag => "true or false",
            Self::Number => "a number",
            Self::Text => "text",
            Self::List => "a list",
            Self::Object => "an object",
        })
    }
}
