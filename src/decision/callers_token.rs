//! The token that a caller was verified by, as it is kept for who acts for the caller.

use std::rc::Rc;

use crate::secret::Secret;
use crate::time::UnixTime;

/// A verified caller's token, which can be exchanged.
#[derive(Debug, Clone)]
pub(super) struct CallersToken {
    pub(super) token: Rc<Secret<Vec<u8>>>,
    pub(super) expires_at: UnixTime,
}

impl CallersToken {
    /// As it is kept: when it ends, in milliseconds, and the token on the next line.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let end = self.expires_at.milliseconds();
        [format!("{end}\n").as_bytes(), self.token.expose()].concat()
    }

    /// From what was kept.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let (end, rest) = bytes.split_at_checked(end)?;
        let end: u64 = std::str::from_utf8(end).ok()?.parse().ok()?;
        Some(Self {
            token: Rc::new(Secret::new(rest.get(1..)?.to_vec())),
            expires_at: UnixTime::from_seconds(0).after_milliseconds(end),
        })
    }
}
