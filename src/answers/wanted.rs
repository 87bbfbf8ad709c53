//! Questions that somebody waits for.

use std::rc::Rc;

use super::question::{Kind, Question, Random};
use crate::state::Id;

/// A question that somebody waits for.
pub(super) struct Wanted {
    pub(super) question: Rc<dyn Question>,
    /// Answers that are not newer are not meant.
    pub(super) after: u64,
    /// Until when somebody waits.
    pub(super) until: u64,
    pub(super) stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is to be looked at.
    New,
    /// It is to be asked as soon as the server has room.
    Queued,
    /// Another worker is at it.
    Watched,
    /// It was sent.
    Asked,
}

/// Random bytes of one question's own.
pub(super) fn own(random: &Random, id: &Id) -> Random {
    let mut own = *random;
    for (byte, other) in own.iter_mut().zip(id) {
        *byte ^= other;
    }
    own
}

pub(super) fn asked(wanted: &[Wanted]) -> impl Iterator<Item = &dyn Question> {
    let asked = wanted.iter().filter(|one| one.stage == Stage::Asked);
    asked.map(|one| &*one.question)
}

pub(super) fn server(question: &dyn Question) -> (Kind, Rc<str>) {
    (question.kind(), question.server())
}

/// For how long somebody waits: what the server has, and what is before and behind it.
pub(super) fn patience(question: &dyn Question) -> u64 {
    u64::from(question.timeout_seconds())
        .saturating_mul(1_000)
        .saturating_add(PATIENCE_RESERVE)
}

/// How long a worker may be at it.
pub(super) fn lease(question: &dyn Question) -> u64 {
    u64::from(question.timeout_seconds())
        .saturating_mul(1_000)
        .saturating_add(LEASE_RESERVE)
}

/// Ours, in milliseconds: a refusal by the proxy's own timeout comes before the end of the wait.
const PATIENCE_RESERVE: u64 = 1_000;
/// Ours, in milliseconds: for what is between the lease and the question.
const LEASE_RESERVE: u64 = 500;
