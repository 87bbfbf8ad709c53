//! What can be asked, and what can come of it.

use std::fmt;
use std::rc::Rc;

use crate::callout::{Answer, Callout};
use crate::secret::Secret;
use crate::state::Id;
use crate::time::UnixTime;

/// One question to one server.
pub trait Question: fmt::Debug {
    /// What it is known by: a digest of all that the answer depends on.
    fn id(&self) -> &Id;

    /// What is asked for.
    fn kind(&self) -> Kind;

    /// The name of the server in the configuration.
    fn server(&self) -> Rc<str>;

    /// How long an answer may take.
    fn timeout_seconds(&self) -> u16;

    /// What is sent. `random` is used for this request alone. `None` where it cannot be made.
    fn ask(&self, now: UnixTime, random: &Random) -> Option<Callout>;

    /// What an answer says.
    ///
    /// # Errors
    /// [`Failure`].
    fn read(&self, answer: Answer, now: UnixTime) -> Result<Good, Failure>;
}

/// Random bytes, for one question.
pub type Random = [u8; 48];

/// What a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A token for an upstream.
    Token,
    /// The metadata of an authorization server.
    Metadata,
    /// What an opaque token stands for.
    Introspection,
}

/// A good answer.
#[derive(Debug)]
pub struct Good {
    /// What it says.
    pub value: Secret<Vec<u8>>,
    /// Until when it is good.
    pub expires_at: UnixTime,
}

/// Why there is no answer. It holds what an operator may read, and no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// In words, for the log.
    pub detail: Box<str>,
}

impl Failure {
    /// With words for the log.
    pub fn new(kind: FailureKind, detail: impl Into<Box<str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.detail)
    }
}

/// Kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The server could not be asked, or is broken: it may be well in a moment.
    Unavailable,
    /// The server said no, or the question could not be made.
    Refused,
    /// The server said something that cannot be used.
    Malformed,
}

impl FailureKind {
    /// A stable name for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
        }
    }

    /// For how long nobody asks again.
    pub(super) const fn remembered_milliseconds(self) -> u64 {
        match self {
            // Long enough for all who wait to see it.
            Self::Unavailable => 1_000,
            Self::Refused | Self::Malformed => 10_000,
        }
    }
}
