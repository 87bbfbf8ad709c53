//! What the streams of one configuration have asked for, in one worker: sends what the core says, hands over what comes
//! back, and wakes the streams that wait.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use proxy_wasm::types::LogLevel;

use crate::answers::{self, Answers};
use crate::callout::{Answer, Callout};
use crate::decision::{Record, Wish};
use crate::filter::callout::{received, send};
use crate::filter::host;
use crate::filter::http::{Resumed, Slot, resume};
use crate::filter::metrics;
use crate::filter::state::Store;
use crate::jwks::KeySets;
use crate::keys::{self, Keys, MAX_DOCUMENT_BYTES, Random, WaitEnd};
use crate::policy::{KeyPlan, Policy};
use crate::redact::Redactor;
use crate::state::{Id, Nowhere, SharedState};
use crate::time::UnixTime;

/// See the module.
pub(super) struct Errands {
    keys: RefCell<Keys>,
    answers: Answers,
    store: Store,
    redactor: Redactor,
    waiting: RefCell<Vec<Waiter>>,
    /// What each callout that is under way is for, by its number.
    callouts: RefCell<HashMap<u32, Purpose>>,
    /// The numbers of its counters: the host remembers each definition for ever.
    counters: RefCell<HashMap<String, u32>>,
    news: Cell<u64>,
    tick_milliseconds: Cell<u32>,
}

/// A stream that waits, for as long as it is there.
struct Waiter {
    context: u32,
    slot: Weak<Slot>,
    wish: Wish,
    deadline: UnixTime,
    _place: Place,
}

/// A place among those who wait.
enum Place {
    Key { _place: keys::Place },
    Answer { _place: answers::Place },
}

/// What a callout is for.
#[derive(Clone, Copy)]
enum Purpose {
    /// The keys of this provider.
    Keys(usize),
    /// The answer to this question.
    Answer(Id),
}

impl Errands {
    /// For a policy; what others have fetched is there at once.
    pub(super) fn new(policy: &Policy) -> Self {
        let plan = &policy.keys;
        let redactor = policy.errors.redactor.clone();
        let store = store(policy, &redactor);
        let mut keys = Keys::new(
            &plan.written,
            plan.sources.iter().cloned(),
            plan.sealing.clone(),
            plan.waits,
            // This one hides nothing.
            &random().unwrap_or(Random([0; 20])),
        );
        let events = match host::now() {
            Ok(now) => keys.prepare(&store, now),
            Err(_) => Vec::new(),
        };
        // Without random bytes nothing can be sealed: nothing is shared then.
        let (seed, shared): (_, Box<dyn SharedState>) = match host::random() {
            Ok(seed) => (seed, Box::new(store)),
            Err(_) => ([0; 16], Box::new(Nowhere)),
        };
        let answers = Answers::new(shared, plan.sealing.clone(), seed, plan.waits.requests);
        if policy.needs.answers {
            answers.prepare();
        }
        let errands = Self {
            keys: RefCell::new(keys),
            answers,
            store,
            redactor,
            waiting: RefCell::default(),
            callouts: RefCell::default(),
            counters: RefCell::default(),
            news: Cell::new(0),
            tick_milliseconds: Cell::new(0),
        };
        errands.tell(&events);
        if errands.keys.borrow().fetches() || policy.needs.answers {
            errands.set_tick(SOON_MILLISECONDS);
        }
        errands
    }

    /// The sets that stand now.
    pub(super) fn sets(&self) -> Rc<KeySets> {
        self.keys.borrow().sets()
    }

    /// The answers that are there.
    pub(super) const fn answers(&self) -> &Answers {
        &self.answers
    }

    /// Notes which keys refused requests have asked for.
    pub(super) fn note(&self, plan: &KeyPlan, records: &[Record<'_>]) {
        for wish in records.iter().filter_map(|record| record.wish(plan)) {
            if let (Ok(mut keys), Ok(now)) = (self.keys.try_borrow_mut(), host::now()) {
                keys.note(wish, now);
            }
        }
    }

    /// Until when a stream that came at `since` shall wait.
    pub(super) fn patience(&self, wish: &Wish, since: UnixTime, now: UnixTime) -> Option<UnixTime> {
        match wish {
            Wish::Keys(wish) => self.keys.borrow().patience(*wish, since, now),
            Wish::Answer(question) => self.answers.patience(question.as_ref(), since, now),
        }
    }

    /// Lets a stream wait. Whether it has found a place.
    pub(super) fn enlist(
        &self,
        context: u32,
        slot: &Rc<Slot>,
        wish: &Wish,
        deadline: UnixTime,
        now: UnixTime,
    ) -> bool {
        let Some(place) = self.place(wish) else {
            self.count_wait(wish, WaitEnd::Full.as_str());
            return false;
        };
        self.count_wait(wish, "started");
        self.ask_for(wish, deadline, now);
        self.waiting.borrow_mut().push(Waiter {
            context,
            slot: Rc::downgrade(slot),
            wish: wish.clone(),
            deadline,
            _place: place,
        });
        self.hurry();
        true
    }

    fn place(&self, wish: &Wish) -> Option<Place> {
        match wish {
            Wish::Keys(wish) => self
                .keys
                .borrow()
                .place(*wish)
                .map(|_place| Place::Key { _place }),
            Wish::Answer(question) => {
                let place = self.answers.place(question.kind());
                place.map(|_place| Place::Answer { _place })
            }
        }
    }

    fn ask_for(&self, wish: &Wish, deadline: UnixTime, now: UnixTime) {
        match wish {
            Wish::Keys(wish) => self.keys.borrow_mut().note(*wish, now),
            Wish::Answer(question) => self.answers.want(question, deadline),
        }
    }

    /// What is to be done from time to time. `root` is the context that callouts are sent from.
    pub(super) fn tick(&self, root: u32) {
        let Ok(now) = host::now() else { return };
        let turn = self.keys.borrow_mut().tick(&self.store, now);
        self.run_keys(turn);
        self.run_answers(now);
        self.wake(root, now);
        self.hurry();
    }

    /// The answer to a callout has come; its headers and body can be read.
    pub(super) fn answered(&self, root: u32, number: u32, headers: usize, body_bytes: usize) {
        let Some(purpose) = self.callouts.borrow_mut().remove(&number) else {
            return;
        };
        match purpose {
            Purpose::Keys(provider) => {
                let answer = received(headers, body_bytes, MAX_DOCUMENT_BYTES);
                let turn = self.hand_over(provider, answer);
                self.run_keys(turn);
            }
            Purpose::Answer(id) => self.take_answer(&id, received(headers, body_bytes, MAX_ANSWER_BYTES)),
        }
        if let Ok(now) = host::now() {
            self.wake(root, now);
        }
        self.hurry();
    }

    fn hand_over(&self, provider: usize, answer: Answer) -> keys::Turn {
        let (Ok(now), Some(random)) = (host::now(), random()) else {
            return keys::Turn::default();
        };
        let mut keys = self.keys.borrow_mut();
        keys.answered(provider, answer, &self.store, now, &random)
    }

    fn take_answer(&self, id: &Id, answer: Answer) {
        let Ok(now) = host::now() else { return };
        if let Some(event) = self.answers.answered(id, answer, now) {
            self.count(event.counter());
        }
    }

    fn run_keys(&self, mut turn: keys::Turn) {
        self.tell(&turn.events);
        while let Some((provider, callout)) = turn.callouts.pop() {
            if !self.send(&callout, Purpose::Keys(provider)) {
                let failed = self.hand_over(provider, Answer::NotSent);
                self.tell(&failed.events);
            }
        }
    }

    fn run_answers(&self, now: UnixTime) {
        if !self.answers.is_waited_for() {
            return;
        }
        let Ok(random) = host::random() else { return };
        let turn = self.answers.tick(now, &random);
        for event in turn.events {
            self.count(event.counter());
        }
        for (id, callout) in turn.callouts {
            if !self.send(&callout, Purpose::Answer(id)) {
                self.take_answer(&id, Answer::NotSent);
            }
        }
    }

    fn send(&self, callout: &Callout, purpose: Purpose) -> bool {
        let number = send(callout);
        if let Some(number) = number {
            self.callouts.borrow_mut().insert(number, purpose);
        }
        number.is_some()
    }

    /// Decides streams again for which there is news, or which have waited long enough.
    fn wake(&self, root: u32, now: UnixTime) {
        let news = self.keys.borrow().news();
        let are_keys_new = self.news.replace(news) != news;
        let waiting = self.waiting.take();
        let wanted = self.answers.wanted();
        let mut stay = Vec::with_capacity(waiting.len());
        for waiter in waiting {
            let (is_news, is_over) = match &waiter.wish {
                Wish::Keys(_) => (are_keys_new, self.keys.borrow().is_over(waiter.deadline, now)),
                Wish::Answer(question) => (
                    !wanted.contains(question.id()),
                    self.answers.is_over(question.as_ref(), waiter.deadline, now),
                ),
            };
            match waiter.slot.upgrade() {
                None => self.count_wait(&waiter.wish, WaitEnd::Gone.as_str()),
                Some(_) if !is_news && !is_over => stay.push(waiter),
                Some(slot) => stay.extend(self.go_on(waiter, &slot, is_over, now)),
            }
        }
        let _ = host::act_on(root);
        self.waiting.borrow_mut().append(&mut stay);
    }

    /// Decides a stream again; comes back with those that go on waiting.
    fn go_on(&self, mut waiter: Waiter, slot: &Rc<Slot>, is_over: bool, now: UnixTime) -> Option<Waiter> {
        if host::act_on(waiter.context).is_err() {
            return Some(waiter);
        }
        match resume(slot, now) {
            Resumed::Ended => {
                let end = if is_over {
                    WaitEnd::TimedOut
                } else {
                    WaitEnd::Decided
                };
                self.count_wait(&waiter.wish, end.as_str());
                None
            }
            // What it waited for has come, and now it waits for something else.
            Resumed::Waits(wish, deadline) => {
                self.ask_for(&wish, deadline, now);
                (waiter.wish, waiter.deadline) = (wish, deadline);
                Some(waiter)
            }
        }
    }

    /// Sees to it that the next tick comes when there is something to do.
    fn hurry(&self) {
        self.set_tick(if self.answers.has_questions() {
            AT_ONCE_MILLISECONDS
        } else if self.waiting.borrow().is_empty() {
            IDLE_MILLISECONDS
        } else {
            SOON_MILLISECONDS
        });
    }

    fn set_tick(&self, milliseconds: u32) {
        if self.tick_milliseconds.replace(milliseconds) != milliseconds {
            let _ = host::set_tick_period(milliseconds);
        }
    }

    fn tell(&self, events: &[keys::Event]) {
        for event in events {
            for name in event.counters() {
                self.count(name);
            }
            if let Some((name, value)) = event.gauge() {
                let _ = host::record_gauge(&name, value);
            }
            if let Some(line) = event.line() {
                let level = if event.is_bad() {
                    LogLevel::Warn
                } else {
                    LogLevel::Info
                };
                host::log(level, &self.redactor.clean(line));
            }
        }
    }

    fn count_wait(&self, wish: &Wish, what: &'static str) {
        self.count(match wish {
            Wish::Keys(wish) => self.keys.borrow().wait_counter(*wish, what),
            Wish::Answer(question) => answers::wait_counter(question.as_ref(), what),
        });
    }

    fn count(&self, name: String) {
        metrics::count(&self.counters, name.clone(), || name);
    }
}

/// Whether workers may share: where no other module can write what they share, or cannot read it.
fn store(policy: &Policy, redactor: &Redactor) -> Store {
    let plan = &policy.keys;
    let has_own_vm = host::property(&["plugin_vm_id"]).is_some_and(|id| !id.is_empty());
    if has_own_vm || plan.sealing.is_some() {
        return Store::Shared;
    }
    if !plan.sources.is_empty() || policy.needs.answers {
        let line = "peergate: each worker fetches keys and tokens for itself: the VM has no `vm_id` of its own, and there is no \
                    `shared_state_key`";
        host::log(LogLevel::Info, &redactor.clean(line.to_owned()));
    }
    Store::Own
}

/// Without random bytes nothing can be sealed.
fn random() -> Option<Random> {
    host::random().ok().map(Random)
}

/// Ours: as much as a key set may have.
const MAX_ANSWER_BYTES: usize = MAX_DOCUMENT_BYTES;
/// As soon as the proxy can: something is to be asked that a request waits for.
const AT_ONCE_MILLISECONDS: u32 = 1;
/// Ours: while requests wait. What costs nothing to look for is looked for often.
const SOON_MILLISECONDS: u32 = 20;
/// Ours: else. A set that another worker has fetched is in use here after this time at the latest.
const IDLE_MILLISECONDS: u32 = 1_000;
