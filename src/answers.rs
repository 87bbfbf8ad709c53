//! Answers of servers to questions that many requests have: asked once for all workers of the process, kept until they
//! run out, and waited for by the requests that need them.
//!
//! ```text
//! a request needs an answer ─► here? ─► use it
//!                           └► stored by another worker? ─► take it over, use it
//!                           └► want it, and wait ─► on the tick: nobody is at it? ─► take the lease ─► ask
//!                                                 └► answered: store it ─► who waits is decided again
//! ```
//!
//! [`Answers`] is one worker's view. It sends nothing and reads no clock. What is shared is sealed where a key is there,
//! and bound to the name and the time that it was stored under.
//!
//! It does not know what a question means: that is a [`Question`]'s business.

mod event;
mod found;
mod place;
mod question;
mod stored;
#[cfg(test)]
mod tests;
mod wanted;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;

use crate::callout::{Answer, Callout};
use crate::secret::Secret;
use crate::state::{Changed, Entry, Id, NONCE_BYTES, SealingKey, SharedState, Slots};
use crate::time::UnixTime;
use crate::token_cache::{Limits, TokenCache};

pub use self::event::{Event, wait_counter};
pub use self::found::{Found, Receipt};
pub use self::place::Place;
pub use self::question::{Failure, FailureKind, Good, Kind, Question, Random};

use self::found::Kept;
use self::place::Places;
use self::stored::{opened, written};
use self::wanted::{Stage, Wanted, asked, lease, own, patience, server};

/// The answers that one worker knows, and the questions that it waits for.
pub struct Answers {
    store: Box<dyn SharedState>,
    sealing: Option<Rc<SealingKey>>,
    /// What nonces and the worker's name are made of: random.
    seed: [u8; 16],
    nonces: Cell<u32>,
    kept: TokenCache<Rc<Kept>>,
    wanted: RefCell<Vec<Wanted>>,
    /// How many may wait for answers of a kind, and who does.
    places: Places,
}

/// What is to be done after a step.
#[derive(Debug, Default)]
pub struct Turn {
    /// What to send; each answer goes to [`Answers::answered`].
    pub callouts: Vec<(Id, Callout)>,
    /// What to count.
    pub events: Vec<Event>,
}

impl Answers {
    /// None yet. `seed` must be random. With a sealing key what is shared is sealed.
    /// `places` is how many may wait for tokens, and as many for what opaque tokens stand for.
    pub fn new(
        store: Box<dyn SharedState>,
        sealing: Option<Rc<SealingKey>>,
        seed: [u8; 16],
        places: u32,
    ) -> Self {
        let limits = Limits {
            entries: MAX_KEPT,
            bytes: MAX_KEPT_BYTES,
        };
        Self {
            store,
            sealing,
            seed,
            nonces: Cell::new(0),
            kept: TokenCache::new(limits, seed),
            wanted: RefCell::default(),
            places: Places::new(places),
        }
    }

    /// Makes the records that workers share. To be called at configuration.
    pub fn prepare(&self) {
        SLOTS.prepare(self.store.as_ref());
        TOKENS.prepare(self.store.as_ref());
    }

    /// An answer, if it is there and good.
    pub fn find(&self, id: &Id, now: UnixTime) -> Option<Found> {
        self.find_in(&SLOTS, id, now)
    }

    fn find_in(&self, slots: &Slots, id: &Id, now: UnixTime) -> Option<Found> {
        let now = now.milliseconds();
        if let Some(kept) = self.kept.get(id) {
            if kept.is_good(now) {
                return Some(Found(kept));
            }
            self.kept.remove(id);
        }
        self.take_over(slots, id, 0, now).map(Found)
    }

    /// An answer to a question that nobody needs to wait for when it runs out: it is asked again while it is still good.
    pub fn find_fresh(&self, question: &Rc<dyn Question>, now: UnixTime) -> Option<Found> {
        let found = self.find(question.id(), now)?;
        let Kept {
            made_at, expires_at, ..
        } = *found.0;
        let lived = now.milliseconds().saturating_sub(made_at);
        if lived > expires_at.saturating_sub(made_at) / 5 * 4 {
            let until = now.milliseconds().saturating_add(patience(question.as_ref()));
            self.put_on_list(question, made_at, until);
        }
        Some(found)
    }

    /// Keeps a verified token under an id that only its holder knows, for all workers.
    pub fn keep_token(&self, id: &Id, value: Vec<u8>, expires_at: UnixTime, now: UnixTime) {
        let (now, expires_at) = (now.milliseconds(), expires_at.milliseconds());
        self.store_in(&TOKENS, id, Ok(Secret::new(value)), expires_at, now);
    }

    /// A token that was kept.
    pub fn find_token(&self, id: &Id, now: UnixTime) -> Option<Found> {
        self.find_in(&TOKENS, id, now)
    }

    /// Forgets an answer that turned out to be no good, unless there is a newer one; and not again at once: who says so of each
    /// must not have every call asked for anew.
    pub fn forget(&self, id: &Id, receipt: Receipt, now: UnixTime) {
        let at = now.milliseconds();
        let mut stays = false;
        SLOTS.change(self.store.as_ref(), &self.shared_id(id), at, |entry| {
            let is_meant = !entry.payload.is_empty() && entry.made_at <= receipt.0;
            let is_again = entry.forgotten_at <= at && at - entry.forgotten_at < FORGOTTEN_FOR;
            stays = is_meant && is_again;
            if is_meant && !is_again {
                entry.payload.clear();
                entry.expires_at = 0;
                entry.forgotten_at = at;
            }
            is_meant && !is_again
        });
        if !stays && self.kept.get(id).is_some_and(|kept| kept.made_at <= receipt.0) {
            self.kept.remove(id);
        }
    }

    /// Until when a request that has come at `since` shall wait for an answer; `None` if it has waited enough.
    pub fn patience(&self, question: &dyn Question, since: UnixTime, now: UnixTime) -> Option<UnixTime> {
        let deadline = since.milliseconds().saturating_add(patience(question));
        let is_within = (since.milliseconds()..deadline).contains(&now.milliseconds());
        is_within.then(|| UnixTime::from_nanoseconds(deadline.saturating_mul(NANOSECONDS)))
    }

    /// Whether a wait is over: its end has come, or the clock was set back behind its start.
    pub fn is_over(&self, question: &dyn Question, deadline: UnixTime, now: UnixTime) -> bool {
        let (deadline, now) = (deadline.milliseconds(), now.milliseconds());
        now >= deadline || deadline - now > patience(question)
    }

    /// Has a question asked, for somebody who waits until then.
    pub fn want(&self, question: &Rc<dyn Question>, until: UnixTime) {
        self.put_on_list(question, 0, until.milliseconds());
    }

    /// The questions whose answers are still to come.
    pub fn wanted(&self) -> HashSet<Id> {
        let wanted = self.wanted.try_borrow();
        let ids = |wanted: &Vec<Wanted>| wanted.iter().map(|one| *one.question.id()).collect();
        wanted.map_or_else(|_| HashSet::new(), |wanted| ids(&wanted))
    }

    /// A place to wait in, if there is one.
    pub fn place(&self, kind: Kind) -> Option<Place> {
        self.places.take(kind)
    }

    /// Whether anything is to be looked after on a tick.
    pub fn is_waited_for(&self) -> bool {
        self.wanted.try_borrow().is_ok_and(|wanted| !wanted.is_empty())
    }

    /// Whether something can be asked on the next tick that was not looked at yet.
    pub fn has_questions(&self) -> bool {
        let wanted = self.wanted.try_borrow();
        wanted.is_ok_and(|wanted| wanted.iter().any(|one| one.stage == Stage::New))
    }

    /// What is to be asked. To be called often while requests wait.
    pub fn tick(&self, now: UnixTime, random: &Random) -> Turn {
        let mut turn = Turn::default();
        let mut wanted = self.wanted.take();
        let mut flying: Vec<(Kind, Rc<str>)> = asked(&wanted).map(server).collect();
        wanted.retain_mut(|one| {
            if one.stage == Stage::Asked {
                return true;
            }
            let own = server(&*one.question);
            let is_full = flying.iter().filter(|other| **other == own).count() >= MAX_ASKED;
            match self.look_after(one, is_full, now, random) {
                Progress::Over => return false,
                Progress::Waits => {}
                Progress::Asks(callout) => {
                    flying.push(own);
                    turn.callouts.push((*one.question.id(), callout));
                }
                Progress::Failed(event) => {
                    turn.events.push(event);
                    return false;
                }
            }
            true
        });
        self.wanted.borrow_mut().append(&mut wanted);
        turn
    }

    /// Takes an answer. One that nobody waits for any more is kept all the same.
    pub fn answered(&self, id: &Id, answer: Answer, now: UnixTime) -> Option<Event> {
        let question = {
            let mut wanted = self.wanted.try_borrow_mut().ok()?;
            let index = wanted.iter().position(|one| one.question.id() == id)?;
            let question = wanted.remove(index).question;
            // The server has room for one more.
            let own = server(&*question);
            let next = wanted
                .iter_mut()
                .find(|one| one.stage == Stage::Queued && server(&*one.question) == own);
            if let Some(next) = next {
                next.stage = Stage::New;
            }
            question
        };
        let read = question.read(answer, now);
        Some(self.conclude(question.as_ref(), read, now))
    }

    fn conclude(&self, question: &dyn Question, read: Result<Good, Failure>, now: UnixTime) -> Event {
        let event = Event::of(question, read.as_ref());
        let now = now.milliseconds();
        match read {
            Ok(Good { value, expires_at }) => {
                self.store_answer(question.id(), Ok(value), expires_at.milliseconds(), now);
            }
            // What is still good is no worse for it; the lease runs out by itself, and so long nobody asks again.
            Err(_) if self.is_there(question.id(), now) => {}
            Err(failure) => {
                let expires_at = now.saturating_add(failure.kind.remembered_milliseconds());
                self.store_answer(question.id(), Err(failure), expires_at, now);
            }
        }
        event
    }

    fn is_there(&self, id: &Id, now: u64) -> bool {
        let kept = self.kept.get(id).filter(|kept| kept.is_good(now));
        let kept = kept.or_else(|| self.take_over(&SLOTS, id, 0, now));
        kept.is_some_and(|kept| kept.found.is_ok())
    }

    /// What becomes of a question that somebody waits for, and that this worker has not sent.
    fn look_after(&self, one: &mut Wanted, is_full: bool, now: UnixTime, random: &Random) -> Progress {
        let at = now.milliseconds();
        if one.until <= at {
            return Progress::Over;
        }
        // Nobody has asked it yet, and nobody can: there is nothing to look for.
        if is_full && one.stage != Stage::Watched {
            one.stage = Stage::Queued;
            return Progress::Waits;
        }
        if self.take_over(&SLOTS, one.question.id(), one.after, at).is_some() {
            return Progress::Over;
        }
        if is_full {
            return Progress::Waits;
        }
        let longest = lease(one.question.as_ref());
        let taken = SLOTS.change(
            self.store.as_ref(),
            &self.shared_id(one.question.id()),
            at,
            |entry| {
                let is_free = !entry.is_leased(at, longest);
                if is_free {
                    entry.leased_until = at.saturating_add(longest);
                    entry.holder = self.worker();
                }
                is_free
            },
        );
        match taken {
            Changed::Declined => {
                one.stage = Stage::Watched;
                Progress::Waits
            }
            // Where nothing can be shared, each worker asks for itself.
            Changed::Written | Changed::Failed => {
                match one.question.ask(now, &own(random, one.question.id())) {
                    Some(callout) => {
                        one.stage = Stage::Asked;
                        Progress::Asks(callout)
                    }
                    None => {
                        let failure = Failure::new(FailureKind::Refused, "the question could not be made");
                        Progress::Failed(self.conclude(one.question.as_ref(), Err(failure), now))
                    }
                }
            }
        }
    }

    fn put_on_list(&self, question: &Rc<dyn Question>, after: u64, until: u64) {
        let Ok(mut wanted) = self.wanted.try_borrow_mut() else {
            return;
        };
        if let Some(one) = wanted.iter_mut().find(|one| one.question.id() == question.id()) {
            one.until = one.until.max(until);
            return;
        }
        // Who asks what an opaque token stands for is nobody yet, and takes no room from others.
        let kind = question.kind();
        let of_kind = wanted.iter().filter(|one| one.question.kind() == kind).count();
        if of_kind < MAX_WANTED {
            wanted.push(Wanted {
                question: Rc::clone(question),
                after,
                until,
                stage: Stage::New,
            });
        }
    }

    /// What another worker has stored after this moment.
    fn take_over(&self, slots: &Slots, id: &Id, after: u64, now: u64) -> Option<Rc<Kept>> {
        let entry = slots.find(self.store.as_ref(), &self.shared_id(id))?;
        let is_meant = !entry.payload.is_empty() && (after == 0 || entry.made_at > after);
        if !is_meant {
            return None;
        }
        let kept = Kept {
            made_at: entry.made_at,
            expires_at: entry.expires_at,
            found: opened(&entry, self.sealing.as_deref())?,
        };
        kept.is_good(now).then(|| self.keep_here(id, kept))
    }

    fn store_answer(&self, id: &Id, found: Result<Secret<Vec<u8>>, Failure>, expires_at: u64, now: u64) {
        self.store_in(&SLOTS, id, found, expires_at, now);
    }

    fn store_in(
        &self,
        slots: &Slots,
        id: &Id,
        found: Result<Secret<Vec<u8>>, Failure>,
        expires_at: u64,
        now: u64,
    ) {
        let kept = Kept {
            made_at: now,
            expires_at,
            found,
        };
        let shared_id = self.shared_id(id);
        let payload = written(&shared_id, &kept, self.sealing.as_deref(), self.nonce()).unwrap_or_default();
        slots.change(self.store.as_ref(), &shared_id, now, |entry| {
            *entry = Entry {
                id: shared_id,
                leased_until: 0,
                holder: 0,
                forgotten_at: entry.forgotten_at,
                made_at: now,
                expires_at,
                payload: payload.clone(),
            };
            true
        });
        self.keep_here(id, kept);
    }

    fn keep_here(&self, id: &Id, kept: Kept) -> Rc<Kept> {
        let bytes = kept.found.as_ref().map_or(0, |value| value.expose().len());
        let kept = Rc::new(kept);
        self.kept
            .insert(id, Rc::clone(&kept), bytes.saturating_add(OWN_BYTES));
        kept
    }

    /// What others can read tells nothing of what an answer depends on: a client's secret could be guessed with it.
    fn shared_id(&self, id: &Id) -> Id {
        self.sealing.as_ref().map_or(*id, |key| key.hidden(id))
    }

    /// Tells this worker from others.
    fn worker(&self) -> u64 {
        self.seed
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// Never the same twice: a random half, and a count. `None` after as many as there are.
    fn nonce(&self) -> Option<[u8; NONCE_BYTES]> {
        let count = self.nonces.get();
        self.nonces.set(count.checked_add(1)?);
        let (random, _) = self.seed.split_last_chunk::<8>()?;
        let mut nonce = [0; NONCE_BYTES];
        let bytes = random.iter().copied().chain(count.to_be_bytes());
        for (place, byte) in nonce.iter_mut().zip(bytes) {
            *place = byte;
        }
        Some(nonce)
    }
}

/// Without what is kept: it belongs to callers.
impl fmt::Debug for Answers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Answers").finish_non_exhaustive()
    }
}

/// What becomes of a question on a tick.
enum Progress {
    /// It is answered, or nobody waits any more.
    Over,
    Waits,
    Asks(Callout),
    Failed(Event),
}

/// Where workers share answers; the number is that of the format.
const SLOTS: Slots = Slots {
    prefix: "peergate.answers.1",
    count: 256,
};
/// Where they share verified tokens.
const TOKENS: Slots = Slots {
    prefix: "peergate.tokens.1",
    count: 1_024,
};
/// Ours: what a worker keeps, of usual size and in all.
const MAX_KEPT: usize = 2_000;
const MAX_KEPT_BYTES: usize = 4 * 1024 * 1024;
/// What an answer takes besides its text, by estimate.
const OWN_BYTES: usize = 160;
/// All of them.
pub const RECORDS: usize = 256 + 1_024;
/// Ours: as many questions of a kind wait in a worker; more are not asked.
const MAX_WANTED: usize = 1_000;
/// Ours, in milliseconds: for so long none is forgotten again.
const FORGOTTEN_FOR: u64 = 10_000;
/// As many questions are under way to one server, in a worker.
const MAX_ASKED: usize = 16;
const NANOSECONDS: u64 = 1_000_000;
