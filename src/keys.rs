//! The keys of real identity providers: fetched before they are needed, once for all workers of a process, and dropped
//! when nobody vouches for them any more.
//!
//! ```text
//! on every tick ─► another worker has stored a set? ─► take it
//!               └► due, and nobody is at it? ─► take the lease ─► ask ─► [metadata ─► ask] ─► key set ─► store it
//!                                                                  └─► failed: the set of before stays, try later
//! ```
//!
//! [`Keys`] is one worker's view. It sends nothing and reads no clock: it is told what time it is and what came back, and
//! says what to ask. What is shared with other workers stands in a [`SharedState`]: the record of a source says when it
//! is due and who is at it, and the set stands beside it.
//!
//! It does not verify tokens, and it does not know which requests need which keys but for the [`Wish`] they leave.

mod event;
mod fetch;
mod followed;
mod schedule;
mod source;
#[cfg(test)]
mod tests;
mod wait;

use std::rc::Rc;

use crate::callout::{Answer, Callout};
use crate::jwks::KeySets;
use crate::state::{NONCE_BYTES, SealingKey, SharedState};
use crate::time::UnixTime;

pub use self::event::{Contents, Event, Happened};
pub use self::fetch::{FetchError, MAX_DOCUMENT_BYTES};
pub use self::source::{CacheTimes, Location, Source};
pub use self::wait::{Place, WaitEnd, WaitLimits, Wish};

use self::fetch::{Next, Stage};
use self::followed::Followed;
use self::schedule::{Schedule, milliseconds};
use self::wait::Places;

/// The keys of a policy's providers, as one worker knows them.
#[derive(Debug)]
pub struct Keys {
    sets: Rc<KeySets>,
    followed: Vec<Followed>,
    sealing: Option<Rc<SealingKey>>,
    limits: WaitLimits,
    places: Places,
    /// Tells this worker from others.
    worker: u64,
    /// Counts what is news to requests that wait.
    news: u64,
}

/// What is to be done after a step.
#[derive(Debug, Default, PartialEq)]
pub struct Turn {
    /// What to send, each for a provider; its answer goes to [`Keys::answered`].
    pub callouts: Vec<(usize, Callout)>,
    /// What to count and log.
    pub events: Vec<Event>,
}

/// Random bytes for one step.
#[derive(Debug)]
pub struct Random(pub [u8; 20]);

impl Random {
    fn number(&self) -> u64 {
        let (_, number) = self.0.split_at(NONCE_BYTES);
        number
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// Another one for each attempt.
    fn nonce(&self, attempt: u8) -> [u8; NONCE_BYTES] {
        let mut nonce: [u8; NONCE_BYTES] = self.0.first_chunk().copied().unwrap_or_default();
        if let Some(last) = nonce.last_mut() {
            *last = last.wrapping_add(attempt);
        }
        nonce
    }
}

impl Keys {
    /// For these providers: the sets that are written down, and the sources of those that are not. With a sealing key
    /// what is shared is sealed. `random` tells this worker from others.
    pub fn new(
        written: &KeySets,
        sources: impl IntoIterator<Item = (usize, Source)>,
        sealing: Option<Rc<SealingKey>>,
        limits: WaitLimits,
        random: &Random,
    ) -> Self {
        Self {
            sets: Rc::new(written.clone()),
            followed: sources
                .into_iter()
                .map(|(provider, source)| Followed::new(provider, source, sealing.as_deref()))
                .collect(),
            sealing,
            limits,
            places: Places::new(limits.requests),
            worker: random.number(),
            news: 0,
        }
    }

    /// The sets that stand now.
    pub fn sets(&self) -> Rc<KeySets> {
        Rc::clone(&self.sets)
    }

    /// Whether anything is fetched at all.
    pub fn fetches(&self) -> bool {
        !self.followed.is_empty()
    }

    /// How many requests wait in this worker.
    pub fn waiting(&self) -> u32 {
        self.places.taken()
    }

    /// Changes whenever requests that wait may be decided otherwise than before.
    pub const fn news(&self) -> u64 {
        self.news
    }

    /// Before the first request: makes the records, and takes over what other workers have stored. It takes no lease: who
    /// configures a filter may be gone at once.
    pub fn prepare(&mut self, shared: &dyn SharedState, now: UnixTime) -> Vec<Event> {
        let mut events = Vec::new();
        for followed in &mut self.followed {
            if shared.get(&followed.record_name).is_none() {
                // Two workers may both write here, the same.
                let _ = shared.set(
                    &followed.record_name,
                    Schedule::default().to_text().as_bytes(),
                    None,
                );
            }
            followed.look(
                shared,
                Rc::make_mut(&mut self.sets),
                self.sealing.as_deref(),
                now.milliseconds(),
                &mut events,
            );
        }
        events
    }

    /// What is due. To be called often while requests wait, and every second or so else.
    pub fn tick(&mut self, shared: &dyn SharedState, now: UnixTime) -> Turn {
        let mut turn = Turn::default();
        let now = now.milliseconds();
        for followed in &mut self.followed {
            let sealing = self.sealing.as_deref();
            if followed.look(
                shared,
                Rc::make_mut(&mut self.sets),
                sealing,
                now,
                &mut turn.events,
            ) {
                self.news = self.news.wrapping_add(1);
            }
            if let Some(callout) = followed.begin(shared, self.sealing.is_some(), self.worker, now) {
                turn.callouts.push((followed.provider, callout));
            }
        }
        turn
    }

    /// What an answer leads to. An answer that nobody waits for any more leads to nothing.
    pub fn answered(
        &mut self,
        provider: usize,
        answer: Answer,
        shared: &dyn SharedState,
        now: UnixTime,
        random: &Random,
    ) -> Turn {
        let mut turn = Turn::default();
        let Some(followed) = self
            .followed
            .iter_mut()
            .find(|followed| followed.provider == provider)
        else {
            return turn;
        };
        let Some(stage) = followed.fetching.take() else {
            return turn;
        };
        match fetch::next(&followed.source, &stage, answer) {
            Ok(Next::Ask(endpoint)) => {
                followed.fetching = Some(Stage::KeySet);
                turn.callouts.push((provider, Callout::get(&endpoint)));
            }
            Ok(Next::Done(fetched)) => {
                let sealing = self.sealing.as_deref();
                let happened = followed.take(
                    fetched,
                    Rc::make_mut(&mut self.sets),
                    shared,
                    sealing,
                    now.milliseconds(),
                    random,
                );
                turn.events.push(followed.event(happened));
                self.news = self.news.wrapping_add(1);
            }
            Err(error) => {
                let has_keys = self.sets.get(provider).is_some();
                let happened = followed.fail(error, has_keys, shared, now.milliseconds(), random);
                turn.events.push(followed.event(happened));
                self.news = self.news.wrapping_add(1);
            }
        }
        turn
    }

    /// Notes that a key was missing, whether or not a request waits for it. Within the interval it is not asked for.
    pub fn note(&mut self, wish: Wish, now: UnixTime) {
        if let Wish::NewerKeys { provider } = wish
            && let Some(followed) = self.followed.iter_mut().find(|one| one.provider == provider)
            && followed
                .schedule
                .is_due_for_unknown_kid(now.milliseconds(), &followed.source.cache)
        {
            followed.wanted_at.get_or_insert(now.milliseconds());
        }
    }

    /// Until when a request that has come at `since` shall wait for its wish; `None` if that is no use, or it has waited
    /// enough.
    pub fn patience(&self, wish: Wish, since: UnixTime, now: UnixTime) -> Option<UnixTime> {
        let followed = self
            .followed
            .iter()
            .find(|followed| followed.provider == wish.provider())?;
        let (start, now) = (since.milliseconds(), now.milliseconds());
        let deadline = start.saturating_add(milliseconds(self.limits.seconds));
        let longest = followed.lease();
        let schedule = &followed.schedule;
        let is_coming = schedule.is_leased(now, longest)
            || match wish {
                Wish::AnyKeys { .. } => {
                    schedule.is_due(now, &followed.source.cache)
                        || schedule.due_at <= deadline
                        || followed.needed_at.is_some_and(|needed| needed <= deadline)
                }
                Wish::NewerKeys { .. } => {
                    schedule.is_before(start, now)
                        && schedule.is_due_for_unknown_kid(now, &followed.source.cache)
                }
            };
        // A clock that was set back gives no more time.
        (is_coming && (start..deadline).contains(&now))
            .then(|| UnixTime::from_nanoseconds(deadline.saturating_mul(1_000_000)))
    }

    /// Whether a wait is over: its end has come, or the clock was set back behind its start.
    pub fn is_over(&self, deadline: UnixTime, now: UnixTime) -> bool {
        let (deadline, now) = (deadline.milliseconds(), now.milliseconds());
        now >= deadline || deadline - now > milliseconds(self.limits.seconds)
    }

    /// A place to wait in, if there is one.
    pub fn place(&self, wish: Wish) -> Option<Place> {
        self.places.take(wish)
    }

    /// The name of a counter of waits.
    pub fn wait_counter(&self, wish: Wish, what: &str) -> String {
        let is_meant = |followed: &&Followed| followed.provider == wish.provider();
        let provider = self.followed.iter().find(is_meant);
        let provider = provider.map_or("none", |followed| followed.source.provider.as_str());
        format!("peergate_key_waits_total.provider.{provider}.outcome.{what}")
    }
}
