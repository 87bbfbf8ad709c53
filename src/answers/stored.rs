//! An answer as it stands in shared data.

use std::fmt::Write as _;

use super::found::Kept;
use super::question::{Failure, FailureKind};
use crate::secret::Secret;
use crate::state::{Entry, Id, NONCE_BYTES, SealingKey};

/// The bytes that are shared. `None` where it is too large, or cannot be sealed: then it is not.
pub(super) fn written(
    id: &Id,
    kept: &Kept,
    sealing: Option<&SealingKey>,
    nonce: Option<[u8; NONCE_BYTES]>,
) -> Option<Vec<u8>> {
    let plain = Secret::new(match &kept.found {
        Ok(value) => [&[VALUE], value.expose().as_slice()].concat(),
        Err(failure) => [&[tag(failure.kind)], failure.detail.as_bytes()].concat(),
    });
    if plain.expose().len() > MAX_SHARED_BYTES {
        return None;
    }
    match sealing {
        Some(key) => key.seal(&name(id, kept.made_at, kept.expires_at), nonce?, plain.expose()),
        None => Some(plain.expose().clone()),
    }
}

/// What was shared, if it was by this filter.
pub(super) fn opened(
    entry: &Entry,
    sealing: Option<&SealingKey>,
) -> Option<Result<Secret<Vec<u8>>, Failure>> {
    let plain = Secret::new(match sealing {
        Some(key) => key.open(&name(&entry.id, entry.made_at, entry.expires_at), &entry.payload)?,
        None => entry.payload.clone(),
    });
    let (tag, rest) = plain.expose().split_first()?;
    let kind = match *tag {
        VALUE => return Some(Ok(Secret::new(rest.to_vec()))),
        UNAVAILABLE => FailureKind::Unavailable,
        REFUSED => FailureKind::Refused,
        MALFORMED => FailureKind::Malformed,
        _ => return None,
    };
    let detail = std::str::from_utf8(rest).ok()?;
    Some(Err(Failure::new(kind, detail)))
}

/// What is sealed is bound to all that stands beside it.
fn name(id: &Id, made_at: u64, expires_at: u64) -> String {
    let mut name = String::from("peergate.answers.1 ");
    for byte in id {
        let _ = write!(name, "{byte:02x}");
    }
    let _ = write!(name, " {made_at} {expires_at}");
    name
}

const fn tag(kind: FailureKind) -> u8 {
    match kind {
        FailureKind::Unavailable => UNAVAILABLE,
        FailureKind::Refused => REFUSED,
        FailureKind::Malformed => MALFORMED,
    }
}

const VALUE: u8 = b'v';
const UNAVAILABLE: u8 = b'u';
const REFUSED: u8 = b'r';
const MALFORMED: u8 = b'm';
/// Ours: larger ones are kept by each worker that asks. A header of a request can be as long.
const MAX_SHARED_BYTES: usize = 16 * 1024;
