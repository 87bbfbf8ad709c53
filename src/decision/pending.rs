//! Requests that are not decided yet, for something is to be asked first.

use std::rc::Rc;

use crate::answers::Question;
use crate::decision::{Decision, Permit};
use crate::http::Edits;
use crate::keys;

/// What would help a request.
#[derive(Debug, Clone)]
pub enum Wish {
    /// Keys of a provider.
    Keys(keys::Wish),
    /// An answer of a server.
    Answer(Rc<dyn Question>),
}

/// A request that waits, or is refused.
#[derive(Debug)]
pub struct Pending<'p> {
    pub(super) wish: Wish,
    pub(super) otherwise: Box<Decision<'p>>,
    pub(super) held: Option<Held>,
}

impl<'p> Pending<'p> {
    /// What would help.
    pub const fn wish(&self) -> &Wish {
        &self.wish
    }

    /// Waits, and is decided again with what is held, when there is news: see [`super::decide_on`].
    pub fn hold(self) -> (Wish, Option<Held>) {
        (self.wish, self.held)
    }

    /// Waits no more.
    pub fn refuse(self) -> Decision<'p> {
        *self.otherwise
    }
}

/// What was decided of a request before it had to wait, and is not decided again: a code that was good once would be
/// refused the second time.
#[derive(Debug)]
pub struct Held {
    pub(super) permit: Permit,
    pub(super) edits: Edits,
}
