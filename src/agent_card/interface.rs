//! Where an agent takes messages, by what its card says (A2A 0.3 §5.6, A2A 1.0 §8.3).

use std::fmt;

use serde_json::{Map, Value};

use crate::excerpt::Excerpt;

use super::Shape;

/// Where a message is POSTed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Host and port, as the card has them.
    pub authority: String,
    /// The path, as a request's.
    pub path: String,
}

/// The url of an interface that no message can be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableUrl {
    /// The url; nothing where there is none.
    pub url: Excerpt,
}

impl fmt::Display for UnreadableUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` is no url of an interface", self.url)
    }
}

impl std::error::Error for UnreadableUrl {}

pub(super) fn of(_members: &Map<String, Value>, _shape: Shape) -> Vec<Result<Interface, UnreadableUrl>> {
    Vec::new()
}
