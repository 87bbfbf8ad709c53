//! The mark that an inbound decision leaves on its stream, as filter state, which no client can set. It tells the
//! filters behind it that somebody has decided, and whether the caller is known.

use crate::http::Request;

/// What an inbound decision that let a request in says of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// A credential proved it.
    Verified,
    /// Nobody was asked.
    Anonymous,
}

impl Mark {
    /// The mark on a stream. One that is not understood is that of a caller whom nobody knows.
    pub(super) fn of(request: &Request) -> Option<Self> {
        match request.mark.as_deref()? == VERIFIED.as_bytes() {
            true => Some(Self::Verified),
            false => Some(Self::Anonymous),
        }
    }

    /// As filter state.
    pub(super) const fn value(self) -> &'static str {
        match self {
            Self::Verified => VERIFIED,
            Self::Anonymous => "anonymous",
        }
    }
}

const VERIFIED: &str = "verified";
